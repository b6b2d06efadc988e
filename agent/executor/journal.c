/* Why a table over a log and not a database: the stop must cost one fdatasync of a preallocated file, and what is read
 * back must be understood from this page. The table is small (members, one order and some outcomes each), so a linear
 * search is enough. */
#include "agent/executor/journal.h"

#include "common/base/limits.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static const char magic[16] = "kedge-journal-1\n";
enum {
    HEAD_BYTES = 8,   /* length, crc */
    FIXED_BYTES = 20, /* seq, durable, type, gone, key length */
};

struct entry {
    enum record_type type;
    char *key;
    uint8_t *value;
    size_t len;
};

struct journal {
    int fd;
    char *path;
    size_t at; /* where the next record goes */
    uint64_t seq, durable;
    bool lost;
    struct entry *entries; /* sorted by type and key */
    size_t n_entries, room;
    struct buffer scratch;
};

/* ---- crc32c ---- */

static uint32_t crc32c(const uint8_t *data, size_t len) {
    static uint32_t table[256];
    if (table[1] == 0)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++)
                c = c & 1 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
            table[i] = c;
        }
    uint32_t crc = ~0u;
    for (size_t i = 0; i < len; i++)
        crc = table[(crc ^ data[i]) & 0xff] ^ (crc >> 8);
    return ~crc;
}

/* ---- the table ---- */

static int entry_compare(const struct entry *entry, enum record_type type, const char *key) {
    return entry->type != type ? (entry->type < type ? -1 : 1) : strcmp(entry->key, key);
}

/* The place of the key, or where it would stand. */
static size_t entry_place(const struct journal *j, enum record_type type, const char *key, bool *found) {
    size_t i = 0;
    while (i < j->n_entries && entry_compare(&j->entries[i], type, key) < 0)
        i++;
    *found = i < j->n_entries && entry_compare(&j->entries[i], type, key) == 0;
    return i;
}

static void entry_remove(struct journal *j, size_t i) {
    free(j->entries[i].key);
    free(j->entries[i].value);
    memmove(&j->entries[i], &j->entries[i + 1], (j->n_entries - i - 1) * sizeof(*j->entries));
    j->n_entries--;
}

static int entry_insert(struct journal *j, size_t i, enum record_type type, const char *key) {
    if (j->n_entries == j->room) {
        size_t room = j->room ? 2 * j->room : 32;
        struct entry *entries = realloc(j->entries, room * sizeof(*entries));
        if (!entries)
            return -ENOMEM;
        j->entries = entries;
        j->room = room;
    }
    char *copy = strdup(key);
    if (!copy)
        return -ENOMEM;
    memmove(&j->entries[i + 1], &j->entries[i], (j->n_entries - i) * sizeof(*j->entries));
    j->entries[i] = (struct entry){.type = type, .key = copy};
    j->n_entries++;
    return 0;
}

static int table_put(struct journal *j, enum record_type type, const char *key, struct bytes value,
                     bool gone) {
    bool found;
    size_t i = entry_place(j, type, key, &found);
    if (gone) {
        if (found)
            entry_remove(j, i);
        return 0;
    }
    uint8_t *copy = malloc(value.len + 1);
    if (!copy || (!found && entry_insert(j, i, type, key) < 0)) {
        free(copy);
        return -ENOMEM;
    }
    if (value.len > 0)
        memcpy(copy, value.data, value.len);
    copy[value.len] = 0;
    free(j->entries[i].value);
    j->entries[i].value = copy;
    j->entries[i].len = value.len;
    return 0;
}

struct bytes journal_get(const struct journal *j, enum record_type type, const char *key) {
    bool found;
    size_t i = entry_place(j, type, key, &found);
    return found ? (struct bytes){j->entries[i].value, j->entries[i].len} : (struct bytes){NULL, 0};
}

const char *journal_next(const struct journal *j, enum record_type type, const char *after) {
    bool found;
    size_t i = entry_place(j, type, after, &found);
    i += found;
    return i < j->n_entries && j->entries[i].type == type ? j->entries[i].key : NULL;
}

/* ---- records ---- */

struct record {
    uint64_t seq, durable;
    enum record_type type;
    bool gone;
    char key[JOURNAL_KEY_MAX + 1];
    struct bytes value;
};

static void record_write(struct buffer *out, const struct record *record) {
    size_t key_len = strlen(record->key);
    buffer_clear(out);
    buffer_u32(out, (uint32_t)(FIXED_BYTES + key_len + record->value.len));
    buffer_u32(out, 0);
    buffer_u64(out, record->seq);
    buffer_u64(out, record->durable);
    uint8_t rest[4] = {(uint8_t)record->type, record->gone, (uint8_t)(key_len >> 8), (uint8_t)key_len};
    buffer_append(out, rest, sizeof(rest));
    buffer_append(out, record->key, key_len);
    buffer_append(out, record->value.data, record->value.len);
    if (out->failed)
        return;
    uint32_t crc = crc32c(out->data + HEAD_BYTES, out->len - HEAD_BYTES);
    for (int i = 0; i < 4; i++)
        out->data[4 + i] = (uint8_t)(crc >> (24 - 8 * i));
}

/* The record at the front of `from`; false when there is none that checks. */
static bool record_read(struct bytes from, struct record *record, size_t *lenp) {
    if (from.len < HEAD_BYTES + FIXED_BYTES)
        return false;
    uint32_t len = read_u32(from.data);
    if (len < FIXED_BYTES || len > from.len - HEAD_BYTES ||
        crc32c(from.data + HEAD_BYTES, len) != read_u32(from.data + 4))
        return false;
    const uint8_t *p = from.data + HEAD_BYTES;
    size_t key_len = (size_t)p[18] << 8 | p[19];
    if (p[16] == 0 || p[16] >= RECORD_TYPES || key_len > JOURNAL_KEY_MAX || key_len > len - FIXED_BYTES)
        return false;
    *record = (struct record){
        .seq = read_u64(p), .durable = read_u64(p + 8), .type = (enum record_type)p[16], .gone = p[17]};
    memcpy(record->key, p + FIXED_BYTES, key_len);
    record->value = (struct bytes){p + FIXED_BYTES + key_len, len - FIXED_BYTES - key_len};
    *lenp = HEAD_BYTES + len;
    return true;
}

/* Behind a record that does not check: is there one that knows it as synced? */
static bool is_missed(struct bytes rest, uint64_t seq) {
    struct record record;
    size_t len;
    for (size_t i = 1; i + HEAD_BYTES + FIXED_BYTES <= rest.len; i++) {
        if (rest.data[i] != 0 || read_u32(rest.data + i) == 0)
            continue; /* no record is 16 MiB long: its first byte is zero */
        struct bytes at = {rest.data + i, rest.len - i};
        if (record_read(at, &record, &len) && record.seq > seq && record.durable >= seq)
            return true;
    }
    return false;
}

static bool is_zero(struct bytes bytes) {
    return bytes.len == 0 || (bytes.data[0] == 0 && memcmp(bytes.data, bytes.data + 1, bytes.len - 1) == 0);
}

/* Fills the table from the file's content; *torn when something is behind the last good record. */
static int journal_replay(struct journal *j, struct bytes content, bool *torn, struct error *err) {
    if (content.len < sizeof(magic) || memcmp(content.data, magic, sizeof(magic)) != 0)
        return error_set(err, -EBADMSG, "%s is not a journal of kedge-agent", j->path);
    j->at = sizeof(magic);
    for (;;) {
        struct record record;
        size_t len;
        struct bytes rest = {content.data + j->at, content.len - j->at};
        bool good = record_read(rest, &record, &len);
        if (!good || (j->seq > 0 && record.seq != j->seq + 1)) {
            *torn = !is_zero(rest);
            if (*torn && is_missed(rest, j->seq + 1))
                return error_set(
                    err, -EBADMSG,
                    "%s is damaged: record %llu at byte %zu does not check, and later ones do; restore "
                    "the file, or move it away and adopt this node's members again",
                    j->path, (unsigned long long)j->seq + 1, j->at);
            return 0;
        }
        if (table_put(j, record.type, record.key, record.value, record.gone) < 0)
            return error_errno(err, -ENOMEM, "%s", j->path);
        j->seq = record.seq;
        j->at += len;
    }
}

/* ---- writing ---- */

static int lose(struct journal *j, int r) {
    j->lost = true;
    return r;
}

static int write_at(int fd, struct bytes bytes, size_t at) {
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t n = pwrite(fd, bytes.data + done, bytes.len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

static int append(struct journal *j, enum record_type type, const char *key, struct bytes value, bool gone) {
    size_t key_len = strlen(key);
    if (key_len > JOURNAL_KEY_MAX || value.len > JOURNAL_BYTES)
        return -EINVAL;
    struct record record = {
        .seq = j->seq + 1, .durable = j->durable, .type = type, .gone = gone, .value = value};
    memcpy(record.key, key, key_len);
    /* Memory first: whatever the disk does, this process goes on with what is true. */
    int r = table_put(j, type, key, value, gone);
    if (r < 0 || j->lost)
        return r < 0 ? r : -EIO;
    record_write(&j->scratch, &record);
    if (j->scratch.failed)
        return -ENOMEM;
    if (j->scratch.len > journal_room(j))
        return -ENOSPC;
    r = write_at(j->fd, buffer_bytes(&j->scratch), j->at);
    if (r < 0)
        return lose(j, r);
    j->at += j->scratch.len;
    j->seq++;
    return 0;
}

int journal_put(struct journal *j, enum record_type type, const char *key, struct bytes value) {
    struct bytes old = journal_get(j, type, key);
    if (old.data && bytes_equal(old, value))
        return j->lost ? -EIO : 0;
    return append(j, type, key, value, false);
}

int journal_drop(struct journal *j, enum record_type type, const char *key) {
    return journal_get(j, type, key).data ? append(j, type, key, (struct bytes){NULL, 0}, true) : 0;
}

int journal_sync(struct journal *j) {
    if (j->lost)
        return -EIO;
    if (j->durable == j->seq)
        return 0;
    if (fdatasync(j->fd) < 0)
        return lose(j, -errno);
    j->durable = j->seq;
    return 0;
}

size_t journal_room(const struct journal *j) {
    return JOURNAL_BYTES - j->at;
}

bool journal_is_lost(const struct journal *j) {
    return j->lost;
}

uint64_t journal_seq(const struct journal *j) {
    return j->seq;
}

/* ---- files ---- */

static int folder_sync(const char *path) {
    char folder[KEDGE_PATH_MAX + 1];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *(slash == folder ? slash + 1 : slash) = 0;
    _cleanup_(closep) int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_table(struct journal *j, int fd, size_t *atp, uint64_t *seqp) {
    size_t at = sizeof(magic);
    uint64_t seq = j->seq;
    for (size_t i = 0; i < j->n_entries; i++) {
        struct record record = {.seq = ++seq, .durable = j->durable, .type = j->entries[i].type};
        snprintf(record.key, sizeof(record.key), "%s", j->entries[i].key);
        record.value = (struct bytes){j->entries[i].value, j->entries[i].len};
        record_write(&j->scratch, &record);
        if (j->scratch.failed)
            return -ENOMEM;
        if (at + j->scratch.len > JOURNAL_BYTES)
            return -ENOSPC;
        int r = write_at(fd, buffer_bytes(&j->scratch), at);
        if (r < 0)
            return r;
        at += j->scratch.len;
    }
    *atp = at;
    *seqp = seq;
    return 0;
}

static int write_zeroes(int fd) {
    static const uint8_t zeroes[64 * 1024];
    for (size_t at = 0; at < JOURNAL_BYTES; at += sizeof(zeroes)) {
        int r = write_at(fd, BYTES_OF(zeroes), at);
        if (r < 0)
            return r;
    }
    return write_at(fd, BYTES_OF(magic), 0);
}

/* A fresh file with what the table holds, in the place of the old one. */
static int journal_rewrite(struct journal *j, struct error *err) {
    char fresh[KEDGE_PATH_MAX + 8];
    size_t at = 0;
    uint64_t seq = 0;
    snprintf(fresh, sizeof(fresh), "%s.new", j->path);
    _cleanup_(closep) int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(err, -errno, "%s", fresh);
    int r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : write_zeroes(fd);
    if (r == 0)
        r = write_table(j, fd, &at, &seq);
    if (r == 0 && (fsync(fd) < 0 || rename(fresh, j->path) < 0))
        r = -errno;
    if (r == 0)
        r = folder_sync(j->path);
    if (r < 0) {
        (void)unlink(fresh);
        return error_errno(err, r, "%s", fresh);
    }
    if (j->fd >= 0)
        close(j->fd);
    j->fd = TAKE_FD(fd);
    j->at = at;
    j->seq = j->durable = seq;
    return 0;
}

int journal_compact(struct journal *j, struct error *err) {
    if (j->lost || j->at <= JOURNAL_BYTES / 2)
        return 0;
    return journal_rewrite(j, err);
}

static int read_whole(int fd, struct buffer *out) {
    for (;;) {
        uint8_t chunk[64 * 1024];
        ssize_t n = pread(fd, chunk, sizeof(chunk), (off_t)out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : out->failed ? -ENOMEM : 0;
        if (out->len + (size_t)n > JOURNAL_BYTES)
            return -EFBIG;
        buffer_append(out, chunk, (size_t)n);
    }
}

static int journal_load(struct journal *j, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer content = {0};
    bool torn = false;
    int r = read_whole(j->fd, &content);
    if (r < 0)
        return error_errno(err, r, "%s", j->path);
    r = journal_replay(j, buffer_bytes(&content), &torn, err);
    if (r == 0 && (torn || content.len != JOURNAL_BYTES))
        r = journal_rewrite(j, err); /* nothing half written stays behind what comes next */
    return r;
}

int journal_open(const char *path, struct journal **outp, struct error *err) {
    _cleanup_(journal_closep) struct journal *j = calloc(1, sizeof(*j));
    if (!j || !(j->path = strdup(path)))
        return error_errno(err, -ENOMEM, "%s", path);
    j->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    int r = j->fd < 0 ? -errno : 0;
    if (r == -ENOENT)
        r = journal_rewrite(j, err);
    else if (r < 0)
        return error_errno(err, r, "%s", path);
    else if (flock(j->fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, -EBUSY, "%s is in use by another kedge-agent", path);
    else
        r = journal_load(j, err);
    if (r < 0)
        return r;
    *outp = TAKE(j);
    return 0;
}

struct journal *journal_close(struct journal *j) {
    if (!j)
        return NULL;
    while (j->n_entries > 0)
        entry_remove(j, j->n_entries - 1);
    free(j->entries);
    buffer_deinit(&j->scratch);
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j);
    return NULL;
}
