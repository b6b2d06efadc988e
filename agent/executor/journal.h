/* The agent's memory: a table of (type, key) → bytes that outlives the agent, as an append-only file. Recovery reads this
 * file and /proc, and nothing else.
 *
 *     file    := "kedge-journal-1\n" | record ...        zeroes up to its fixed size
 *     record  := length u32 | crc32c u32 | seq u64 | durable u64 | type u8 | gone u8 | key length u16 | key | value
 *
 * `length` counts what follows the crc, which covers it; seq counts records; durable is the seq that was known synced
 * when the record was written. A record that does not check, with none behind it that swears that it was synced, is the
 * torn end of a crash and dropped; otherwise the journal is damaged and says where.
 *
 * The file is written full of zeroes once, so that appending never allocates: after a stop nothing fails for lack of
 * room. Callers keep journal_room() in mind before they begin. */
#ifndef KEDGE_EXECUTOR_JOURNAL_H
#define KEDGE_EXECUTOR_JOURNAL_H

#include "common/base/bytes.h"
#include "common/base/error.h"

/* Numbers are on disk: append only. */
enum record_type {
    RECORD_BOOT = 1,   /* "": boot id of the last start, wall clock */
    RECORD_TRUST,      /* "": highest epoch, highest signed time */
    RECORD_CLUSTER,    /* cluster: highest serial and its root, aborted serial */
    RECORD_CHARTER,    /* cluster: the signed blob, whether its members are adopted */
    RECORD_ORDER,      /* member: the accepted order of its current plan, all bytes */
    RECORD_STEP,       /* member: which step is open or was the last one */
    RECORD_MEMBER,     /* member: struct machine_record of agent/core */
    RECORD_PROCESS,    /* member: pid, start, boot, generation of what runs */
    RECORD_SAMPLE,     /* member: captured sample */
    RECORD_GENERATION, /* member/number: how it starts */
    RECORD_PROVEN,     /* member: number of the generation that was proven last */
    RECORD_OUTCOME,    /* cluster/serial/member/step: encoded report, expiry of its order */
    RECORD_LEASE,      /* cluster/serial/name */
    RECORD_WORD,       /* cluster/serial/member/kind/gate: an operator's signed word, the blob */
    RECORD_FINALIZED,  /* member: the version from which nothing leads back */
    RECORD_STARTS,     /* member: how long its last starts took, text */
    RECORD_QUARANTINE, /* digest: what failed on this node, see common/plan/quarantine.h */
    RECORD_TYPES
};

enum {
    JOURNAL_BYTES = 8 * 1024 * 1024,
    /* What a step may still write after its stop: records of the machine, pids, one report. */
    JOURNAL_RESERVE_BYTES = 512 * 1024,
    JOURNAL_KEY_MAX = 1024,
};

struct journal;

/* Opens or makes PATH; a lock keeps a second agent out (-EBUSY). -EBADMSG when it is damaged. */
int journal_open(const char *path, struct journal **outp, struct error *err) _must_check_;
struct journal *journal_close(struct journal *journal);
static inline void journal_closep(struct journal **journal) {
    *journal = journal_close(*journal);
}

/* Writes a record; it outlives this process. -ENOSPC when there is no room, -EIO and others from the disk. After an
 * error of the disk the journal is lost: every further write fails, the table in memory goes on. */
int journal_put(struct journal *journal, enum record_type type, const char *key,
                struct bytes value) _must_check_;
int journal_drop(struct journal *journal, enum record_type type, const char *key) _must_check_;

/* All that was put outlives the host. A failed sync is never tried again: the journal is lost. */
int journal_sync(struct journal *journal) _must_check_;

bool journal_is_lost(const struct journal *journal);

/* The value, or {NULL, 0}; valid until the next write of this key. */
struct bytes journal_get(const struct journal *journal, enum record_type type, const char *key);

/* The first key of this type after `after` in byte order ("" for the first: keys of a type that has several are never
 * empty); NULL at the end. */
const char *journal_next(const struct journal *journal, enum record_type type, const char *after);

/* Bytes that can still be written. */
size_t journal_room(const struct journal *journal);

/* Writes the table into a fresh file when more than half of this one is used; then renames it. Only between steps. */
int journal_compact(struct journal *journal, struct error *err) _must_check_;

/* For tests: the seq of the last record. */
uint64_t journal_seq(const struct journal *journal);

#endif
