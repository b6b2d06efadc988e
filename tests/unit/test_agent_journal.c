#include "tests/unit/test.h"

#include "agent/executor/journal.h"

#include <fcntl.h>
#include <sys/stat.h>

static char folder[] = "/tmp/kedge-test-journal-XXXXXX";
static char path[64];

__attribute__((constructor)) static void begin(void) {
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof(path), "%s/journal", folder);
}

__attribute__((destructor)) static void end(void) {
    (void)unlink(path);
    (void)rmdir(folder);
}

static struct journal *open_fresh(void) {
    struct journal *j = NULL;
    struct error err = {""};
    (void)unlink(path);
    check(journal_open(path, &j, &err) == 0);
    return j;
}

static struct journal *open_again(struct journal *j) {
    struct error err = {""};
    journal_close(j);
    j = NULL;
    if (journal_open(path, &j, &err) < 0)
        printf("# %s\n", err.text);
    return j;
}

static void put(struct journal *j, const char *key, const char *value) {
    check(journal_put(j, RECORD_MEMBER, key, bytes_of_text(value)) == 0);
}

static void has(struct journal *j, const char *key, const char *value) {
    struct bytes got = journal_get(j, RECORD_MEMBER, key);
    check_eq_str((const char *)got.data, value);
}

/* Where the bytes lie in the file, counted from its end of use. */
static void poke(size_t at, uint8_t xor) {
    int fd = open(path, O_RDWR);
    uint8_t byte = 0;
    check(pread(fd, &byte, 1, (off_t)at) == 1);
    byte ^= xor;
    check(pwrite(fd, &byte, 1, (off_t)at) == 1);
    close(fd);
}

TEST("what was put is there again, what was dropped is not, in order") {
    struct journal *j = open_fresh();
    put(j, "b", "1");
    put(j, "a", "2");
    put(j, "b", "3");
    put(j, "c", "4");
    check(journal_drop(j, RECORD_MEMBER, "c") == 0);
    check(journal_sync(j) == 0);
    j = open_again(j);
    require(j);
    has(j, "a", "2");
    has(j, "b", "3");
    check(!journal_get(j, RECORD_MEMBER, "c").data);
    check_eq_str(journal_next(j, RECORD_MEMBER, ""), "a");
    check_eq_str(journal_next(j, RECORD_MEMBER, "a"), "b");
    check(!journal_next(j, RECORD_MEMBER, "b"));
    check(!journal_next(j, RECORD_ORDER, ""));
    journal_close(j);
}

TEST("a second agent is kept out") {
    struct journal *j = open_fresh(), *second = NULL;
    struct error err;
    check_eq_int(journal_open(path, &second, &err), -EBUSY);
    check_contains(err.text, "in use");
    journal_close(j);
}

TEST("a torn tail is dropped at every length, and what is written next is read") {
    struct journal *j = open_fresh();
    put(j, "a", "first");
    size_t before = JOURNAL_BYTES - journal_room(j);
    put(j, "a", "second, longer");
    size_t after = JOURNAL_BYTES - journal_room(j);
    journal_close(j);
    int fd = open(path, O_RDWR);
    uint8_t whole[256], zeroes[256] = {0};
    size_t len = after - before;
    require(len < sizeof(whole));
    check(pread(fd, whole, len, (off_t)before) == (ssize_t)len);
    for (size_t cut = 0; cut < len; cut++) {
        check(pwrite(fd, whole, len, (off_t)before) == (ssize_t)len);
        check(pwrite(fd, zeroes, len - cut, (off_t)(before + cut)) == (ssize_t)(len - cut));
        j = NULL;
        struct error err;
        require(journal_open(path, &j, &err) == 0);
        has(j, "a", "first");
        put(j, "a", "third");
        j = open_again(j);
        require(j);
        has(j, "a", "third");
        journal_close(j);
        close(fd);
        j = open_fresh(); /* the cut file was rewritten: begin anew */
        put(j, "a", "first");
        before = JOURNAL_BYTES - journal_room(j);
        journal_close(j);
        fd = open(path, O_RDWR);
    }
    close(fd);
}

TEST("A37 a flipped bit in what was synced is named, wherever it is") {
    for (size_t bit = 0; bit < 40; bit += 3) {
        struct journal *j = open_fresh();
        put(j, "a", "first");
        size_t before = JOURNAL_BYTES - journal_room(j);
        put(j, "a", "a value of more than twenty bytes");
        check(journal_sync(j) == 0);
        put(j, "b", "knows that it was synced");
        journal_close(j);
        poke(before + bit, 0x10);
        struct journal *again = NULL;
        struct error err = {""};
        check_eq_int(journal_open(path, &again, &err), -EBADMSG);
        check_contains(err.text, "record 2 at byte");
        journal_close(again);
    }
}

TEST("a lost write before one that made it to the disk is a crash, not damage") {
    struct journal *j = open_fresh();
    put(j, "a", "first");
    size_t before = JOURNAL_BYTES - journal_room(j);
    put(j, "a", "never synced");
    put(j, "b", "neither");
    journal_close(j);
    poke(before + 12, 0xff);
    j = NULL;
    struct error err = {""};
    require(journal_open(path, &j, &err) == 0);
    has(j, "a", "first");
    check(!journal_get(j, RECORD_MEMBER, "b").data);
    journal_close(j);
}

TEST("compaction keeps the table and gives the room back; a full journal says so") {
    struct journal *j = open_fresh();
    struct error err;
    static uint8_t big[512 * 1024];
    for (int i = 0; i < 12; i++) {
        big[0] = (uint8_t)i;
        check(journal_put(j, RECORD_ORDER, "m", BYTES_OF(big)) == 0);
    }
    put(j, "a", "kept");
    check(journal_room(j) < JOURNAL_BYTES / 2);
    check(journal_compact(j, &err) == 0);
    check(journal_room(j) > JOURNAL_BYTES / 2);
    has(j, "a", "kept");
    int r = 0;
    for (int i = 0; i < 20 && r == 0; i++) {
        big[1] = (uint8_t)i;
        r = journal_put(j, RECORD_ORDER, "m", BYTES_OF(big));
    }
    check_eq_int(r, -ENOSPC);
    check(!journal_is_lost(j));
    j = open_again(j);
    require(j);
    has(j, "a", "kept");
    check(journal_get(j, RECORD_ORDER, "m").len == sizeof(big));
    journal_close(j);
}
