import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.bookkeeper.client.BKException;
import org.apache.bookkeeper.client.BookKeeper;
import org.apache.bookkeeper.client.BookKeeper.DigestType;
import org.apache.bookkeeper.client.LedgerEntry;
import org.apache.bookkeeper.client.LedgerHandle;
import org.apache.bookkeeper.conf.ClientConfiguration;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;

/**
 * Writes and reads entries without a pause until SIGTERM, then reads back everything that was ever acknowledged.
 *
 * <p>One thread writes ledgers of some 50 entries one after the other; a second one reads every entry as soon as it is
 * acknowledged, and between these an old one, chosen at random from all closed ledgers. An entry's content follows from
 * its ledger and number, so that a wrong answer is seen as such.
 *
 * <p>What 4.5's client would try again by itself is off, so that an operation that fails is seen to fail: ZooKeeper
 * operations are repeated only by the ZooKeeper handle that BookKeeper makes for itself (here it is given a bare one),
 * and speculative reads have a time-out of 0. What stays belongs to the protocol and counts as success: the ensemble is
 * changed when a bookie fails under a write, and a read asks the next bookie of the entry's write set.
 *
 * <p>Usage: BkLoad ZK STATSFILE PREFILL ENTRIES RATE. Exit code 0: nothing failed, nothing lost; 1 otherwise.
 */
public final class BkLoad {
    private static final int ENSEMBLE = 3;
    private static final int WRITE_QUORUM = 2;
    private static final int ACK_QUORUM = 2;
    private static final byte[] PASSWORD = "kedge".getBytes(StandardCharsets.UTF_8);
    private static final int ENTRY_BYTES = 256;
    private static final int HANDLES = 100;        // closed ledgers that the reader keeps open
    private static final long STATS_MS = 500;

    /** An acknowledged entry; the handle is null for one of a closed ledger, which the reader opens itself. */
    private static final class Entry {
        final LedgerHandle handle;
        final long ledger;
        final long number;

        Entry(LedgerHandle handle, long ledger, long number) {
            this.handle = handle;
            this.ledger = ledger;
            this.number = number;
        }
    }

    /** What one kind of operation came to; the gap is the longest time between two successes. */
    private static final class Tally {
        final AtomicLong done = new AtomicLong();
        final AtomicLong failed = new AtomicLong();
        final AtomicReference<String> firstError = new AtomicReference<>();
        private long last = 0;
        private volatile long gapNanos = 0;

        void begin() {
            last = System.nanoTime();
        }

        void success() {
            final long now = System.nanoTime();
            gapNanos = Math.max(gapNanos, now - last);
            last = now;
            done.incrementAndGet();
        }

        void failure(String what, Exception e) {
            failed.incrementAndGet();
            final String text = what + ": " + e;
            firstError.compareAndSet(null, text);
            System.err.println(System.currentTimeMillis() + " failed " + text);
        }

        /** The gap that is still open counts as well: a stand-still must not look like a short pause. */
        void end() {
            gapNanos = Math.max(gapNanos, System.nanoTime() - last);
        }

        long gapMs() {
            return gapNanos / 1_000_000;
        }
    }

    private final Path statsFile;
    private final int prefill;
    private final int entriesPerLedger;
    private final long tickNanos;
    private final ZooKeeper zk;
    private final BookKeeper bk;

    private final Tally writes = new Tally();
    private final Tally reads = new Tally();
    private final Deque<Entry> fresh = new ArrayDeque<>();               // guarded by itself
    private final List<long[]> acknowledged = new ArrayList<>();         // {ledger, n entries}; guarded by itself
    private final Map<Long, LedgerHandle> closed = new LinkedHashMap<>(16, 0.75f, true);
    private final Random random = new Random(1);

    private volatile boolean stopping = false;
    private volatile String phase = "prefill";
    private volatile long ledgers = 0;
    private volatile long lost = 0;
    private volatile long finalReads = 0;
    private volatile String firstLoss = null;

    private BkLoad(String zkAddress, Path statsFile, int prefill, int entriesPerLedger, int rate) throws Exception {
        this.statsFile = statsFile;
        this.prefill = prefill;
        this.entriesPerLedger = entriesPerLedger;
        this.tickNanos = 1_000_000_000L / rate;
        final CountDownLatch connected = new CountDownLatch(1);
        zk = new ZooKeeper(zkAddress, 30_000, event -> {
            if (event.getState() == KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        connected.await();
        final ClientConfiguration conf = new ClientConfiguration();
        conf.setSpeculativeReadTimeout(0);
        conf.setFirstSpeculativeReadTimeout(0);
        conf.setFirstSpeculativeReadLACTimeout(0);
        bk = new BookKeeper(conf, zk);
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 5) {
            System.err.println("usage: BkLoad ZK STATSFILE PREFILL ENTRIES RATE");
            System.exit(2);
        }
        final BkLoad load = new BkLoad(args[0], Paths.get(args[1]), Integer.parseInt(args[2]),
                                       Integer.parseInt(args[3]), Integer.parseInt(args[4]));
        final Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            load.stopping = true;
            try {
                main.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            Runtime.getRuntime().halt(load.verdict());
        }));
        try {
            load.run();
        } catch (Throwable e) {
            e.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private int verdict() {
        return phase.equals("done") && writes.failed.get() == 0 && reads.failed.get() == 0 && lost == 0 ? 0 : 1;
    }

    private void run() throws Exception {
        final Thread stats = new Thread(this::keepStats);
        stats.setDaemon(true);
        stats.start();
        writes.begin();
        for (int i = 0; i < prefill && !stopping; i++) {
            writeLedger(0);
        }
        phase = "running";
        writeStats();
        writes.begin();
        reads.begin();
        final Thread reader = new Thread(this::readUntilStopped);
        reader.start();
        while (!stopping) {
            writeLedger(tickNanos);
        }
        writes.end();
        reader.join();
        reads.end();
        phase = "final";
        readEverything();
        phase = "done";
        writeStats();
        System.out.println(describe());
        System.out.flush();
        bk.close();
        zk.close();
    }

    // ---- writing ------------------------------------------------------------------------------------------------

    /** One ledger from create to close; what failed is counted, and the next ledger begins afresh. */
    private void writeLedger(long tick) {
        final long began = System.nanoTime();
        LedgerHandle handle;
        try {
            handle = bk.createLedger(ENSEMBLE, WRITE_QUORUM, ACK_QUORUM, DigestType.CRC32, PASSWORD);
        } catch (BKException | InterruptedException e) {
            writes.failure("create", e);
            pause(began, Math.max(tick, tickNanos));
            return;
        }
        final long[] record = {handle.getId(), 0};
        try {
            while (record[1] < entriesPerLedger && !(stopping && tick > 0)) {
                final long start = System.nanoTime();
                final long number = handle.addEntry(content(handle.getId(), record[1]));
                writes.success();
                if (number != record[1]++) {
                    throw new IllegalStateException("entry number " + number + " instead of " + (record[1] - 1));
                }
                if (tick > 0) {
                    announce(new Entry(handle, handle.getId(), number));
                }
                pause(start, tick);
            }
        } catch (BKException | InterruptedException e) {
            writes.failure("add " + handle.getId() + "/" + record[1], e);
        }
        try {
            handle.close();
        } catch (BKException | InterruptedException e) {
            writes.failure("close " + handle.getId(), e);
        }
        synchronized (acknowledged) {
            acknowledged.add(record);
        }
        ledgers++;
    }

    private static byte[] content(long ledger, long number) {
        final byte[] bytes = new byte[ENTRY_BYTES];
        new Random(ledger * 1_000_003L + number).nextBytes(bytes);
        final byte[] name = (ledger + "/" + number + " ").getBytes(StandardCharsets.UTF_8);
        System.arraycopy(name, 0, bytes, 0, name.length);
        return bytes;
    }

    private void announce(Entry entry) {
        synchronized (fresh) {
            fresh.add(entry);
            fresh.notify();
        }
    }

    private static void pause(long since, long nanos) {
        final long left = (nanos - (System.nanoTime() - since)) / 1_000_000;
        if (left > 0) {
            try {
                Thread.sleep(left);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    // ---- reading ------------------------------------------------------------------------------------------------

    /** Every fresh entry once; when there is none at the moment, an old one per tick. */
    private void readUntilStopped() {
        while (!stopping) {
            final long start = System.nanoTime();
            final Entry entry = nextFresh();
            readOne(entry != null ? entry : anyOld());
            pause(start, entry != null ? 0 : tickNanos);
        }
        closed.values().forEach(BkLoad::closeQuietly);
    }

    private Entry nextFresh() {
        synchronized (fresh) {
            return fresh.poll();
        }
    }

    private Entry anyOld() {
        synchronized (acknowledged) {
            if (acknowledged.isEmpty()) {
                return null;
            }
            final long[] record = acknowledged.get(random.nextInt(acknowledged.size()));
            return record[1] == 0 ? null : new Entry(null, record[0], random.nextInt((int) record[1]));
        }
    }

    private void readOne(Entry entry) {
        if (entry == null) {
            return;
        }
        try {
            final LedgerHandle handle = entry.handle != null ? entry.handle : opened(entry.ledger);
            final Enumeration<LedgerEntry> found = handle.readEntries(entry.number, entry.number);
            requireContent(found.nextElement(), entry.ledger, entry.number);
            reads.success();
        } catch (BKException | InterruptedException | IllegalStateException e) {
            reads.failure("read " + entry.ledger + "/" + entry.number, e);
        }
    }

    private LedgerHandle opened(long ledger) throws BKException, InterruptedException {
        LedgerHandle handle = closed.get(ledger);
        if (handle == null) {
            handle = bk.openLedger(ledger, DigestType.CRC32, PASSWORD);
            closed.put(ledger, handle);
            if (closed.size() > HANDLES) {
                final Long oldest = closed.keySet().iterator().next();
                closeQuietly(closed.remove(oldest));
            }
        }
        return handle;
    }

    private static void requireContent(LedgerEntry entry, long ledger, long number) {
        if (!Arrays.equals(entry.getEntry(), content(ledger, number))) {
            throw new IllegalStateException("wrong content");
        }
    }

    private static void closeQuietly(LedgerHandle handle) {
        try {
            handle.close();
        } catch (BKException | InterruptedException e) {
            System.err.println("closing a handle for reading: " + e);
        }
    }

    /** Lost is what was acknowledged and does not come back with its content now. */
    private void readEverything() {
        final List<long[]> records;
        synchronized (acknowledged) {
            records = new ArrayList<>(acknowledged);
        }
        for (long[] record : records) {
            if (record[1] > 0) {
                lost += record[1] - readBack(record[0], record[1]);
            }
        }
    }

    /** How many entries of one ledger come back right. */
    private long readBack(long ledger, long count) {
        long good = 0;
        LedgerHandle handle = null;
        try {
            handle = bk.openLedger(ledger, DigestType.CRC32, PASSWORD);
            for (long number = 0; number < count; number++) {
                try {
                    requireContent(handle.readEntries(number, number).nextElement(), ledger, number);
                    good++;
                    finalReads++;
                } catch (BKException | IllegalStateException e) {
                    lose(ledger + "/" + number + ": " + e);
                }
            }
        } catch (BKException | InterruptedException e) {
            lose(ledger + ": " + e);
        } finally {
            if (handle != null) {
                closeQuietly(handle);
            }
        }
        return good;
    }

    private void lose(String what) {
        if (firstLoss == null) {
            firstLoss = what;
        }
        System.err.println("lost " + what);
    }

    // ---- figures ------------------------------------------------------------------------------------------------

    private void keepStats() {
        while (true) {
            try {
                writeStats();
                Thread.sleep(STATS_MS);
            } catch (Exception e) {
                System.err.println("cannot write " + statsFile + ": " + e);
                return;
            }
        }
    }

    private synchronized void writeStats() throws Exception {
        final Path draft = Paths.get(statsFile + ".new");
        Files.write(draft, (describe() + "\n").getBytes(StandardCharsets.UTF_8));
        Files.move(draft, statsFile, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private String describe() {
        return String.format("{\"phase\": \"%s\", \"ledgers\": %d, \"written\": %d, \"failed_writes\": %d, "
                + "\"reads\": %d, \"failed_reads\": %d, \"final_reads\": %d, \"lost\": %d, "
                + "\"longest_write_pause_ms\": %d, \"longest_read_pause_ms\": %d, "
                + "\"first_failed_write\": %s, \"first_failed_read\": %s, \"first_loss\": %s}",
                phase, ledgers, writes.done.get(), writes.failed.get(), reads.done.get(), reads.failed.get(),
                finalReads, lost, writes.gapMs(), reads.gapMs(), quoted(writes.firstError.get()),
                quoted(reads.firstError.get()), quoted(firstLoss));
    }

    private static String quoted(String text) {
        return text == null ? "null" : "\"" + text.replaceAll("[\"\\\\\\p{Cntrl}]", " ") + "\"";
    }
}
