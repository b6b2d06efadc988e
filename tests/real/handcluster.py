#!/usr/bin/python3
"""A BookKeeper cluster for a person: start it here, upgrade it by hand with Kedge, look, stop it.

    handcluster.py start DIR [VERSION]    make a cluster of four bookies in DIR (new or empty; default 4.5.0)
    handcluster.py status DIR             who runs, from which version, in which mode
    handcluster.py load DIR               write and read until Ctrl-C, a line of figures per second, then the sum
    handcluster.py stop DIR               end everything of it, by pid; DIR stays (end Kedge's agents first: an agent
                                          starts again what somebody else stopped, or raises an alarm)

The same cluster as in the tests, but it goes on running when this script has ended.
"""

import signal
import sys
import time

import bookkeeper
import jars
from load import Load

PORTS = [2181, 3181, 3182, 3183, 3184]      # the customary ones, if they are free


def start(folder, version=jars.PAIRS[0].old):
    if version not in jars.VERSIONS:
        raise jars.Refused(f"version {version} is not known here; known are: {', '.join(jars.VERSIONS)}")
    cluster = bookkeeper.Cluster(folder, version, ports=PORTS)
    cluster.create()
    try:
        cluster.start_all()
    except BaseException:
        cluster.close()
        raise
    status(folder)
    for new in [pair.new for pair in jars.PAIRS if pair.old == version]:
        print(f"\nrelease {new}, to be imported: {jars.archive(new)}")


def status(folder):
    cluster = bookkeeper.Cluster.found(folder)
    if not bookkeeper.java_in(cluster.folder):
        raise bookkeeper.Failed(f"the cluster in {cluster.folder} does not run")
    rw, ro, auditor = cluster.rw(), cluster.ro(), cluster.auditor()
    print(f"folder     {cluster.folder}   (working directory of every bookie)\n"
          f"zookeeper  {cluster.zk_address}   root /ledgers, session {cluster.session_ms} ms\n")
    print(f"{'bookie':8}{'address':18}{'pid':>8}  {'runs':8}{'mode':12}configuration")
    for i in cluster.bookies:
        mode = "read-write" if i in rw else "read-only" if i in ro else "down"
        print(f"n{i:<7}{'127.0.0.1:%d' % cluster.ports[i]:18}{cluster.pid(i) or '-':>8}  "
              f"{cluster.running_version(i) or '-':8}{mode:12}n{i}/bk.conf{'   auditor' if i == auditor else ''}")
    print(f"\nunder-replicated ledgers  {cluster.under_replicated() or 'none'}\n"
          f"autorecovery              {'disabled' if cluster.autorecovery_disabled() else 'enabled'}, "
          f"recovery delay {cluster.recovery_delay()} s")


def load(folder):
    cluster = bookkeeper.Cluster.found(folder)
    running = True

    def end(*_):
        nonlocal running
        running = False
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    with Load(cluster.folder, cluster.zk_address) as working:
        print("working; Ctrl-C ends it", flush=True)
        while running:
            show(working.stats())
            time.sleep(1)
        print("reading everything back ...", flush=True)
        figures = working.finish()
    show(figures)
    for what in ("first_failed_write", "first_failed_read", "first_loss"):
        if figures[what]:
            print(f"{what.replace('_', ' ')}: {figures[what]}")
    return 1 if figures["failed_writes"] or figures["failed_reads"] or figures["lost"] else 0


def show(figures):
    print(time.strftime("%H:%M:%S"), "  ".join(f"{name.replace('_', ' ')} {figures[name]}" for name in (
        "written", "failed_writes", "reads", "failed_reads", "lost", "longest_write_pause_ms",
        "longest_read_pause_ms")), flush=True)


def stop(folder):
    cluster = bookkeeper.Cluster.found(folder)
    print("stopping; the auditor's bookie can take half a minute", flush=True)
    for i, stopped in cluster.stop_all().items():
        print(f"n{i} ended after {stopped.seconds} s")


def main(args):
    verbs = {"start": start, "status": status, "load": load, "stop": stop}
    if len(args) < 2 or args[0] not in verbs or len(args) > (3 if args[0] == "start" else 2):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        return verbs[args[0]](*args[1:]) or 0
    except (bookkeeper.Failed, jars.Refused) as failure:
        print(f"handcluster: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
