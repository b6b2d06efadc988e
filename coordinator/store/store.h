/* What the coordinator keeps: an append-only, hash-chained journal of records (bytes; what they say is the engine's
 * affair), and beside it tables of what its records refer to. Everything that is written belongs to one open transaction
 * until store_commit(), which makes it durable: one fsync for all that one turn of the loop has to say.
 *
 * The chain:  hash(n) = BLAKE2b("kedge/1/journal" 0x00 | hash(n - 1) | n (u64, big endian) | record)
 * The head:   (n, hash(n)), signed by the coordinator's key with every commit, so that a journal that lost its end is
 *             known from one that did not. A back-up of the whole file is not: agents know a higher epoch then.
 *
 * Used from one thread. After a negative return of a writing function or of store_commit nothing of the transaction is
 * believed: the program ends and comes back from what is durable. Callbacks' pointers are valid during the call; a callback
 * that returns non-zero ends the walk, and the walk returns it. Times are milliseconds since 1970. */
#ifndef KEDGE_STORE_STORE_H
#define KEDGE_STORE_STORE_H

#include "common/trust/keys.h"

struct store;

enum { STORE_RECORD_BYTES_MAX = 64 * 1024 };

/* Makes the file when it is missing. `key` signs the journal's head and must outlive the store. -EBUSY when another
 * program has it open; -EPROTO when a later version of Kedge has written it. */
int store_open(const char *path, const struct key_pair *key, struct store **outp,
               struct error *err) _must_check_;
struct store *store_close(struct store *store);
static inline void store_closep(struct store **store) {
    *store = store_close(*store);
}

/* True when something is written that is not durable yet. */
bool store_is_dirty(const struct store *store);
int store_commit(struct store *store, struct error *err) _must_check_;

/* ---- the journal ---- */

typedef int store_record_fn(void *user, uint64_t seq, struct bytes record, struct error *err);

/* Walks the whole journal from its first record, checks the chain and the signed head, and hands over each record that is
 * proven (`fn` may be NULL). -EBADMSG with a sentence that names the broken record. Must run once, to its end, before the
 * first store_append. */
int store_replay(struct store *store, store_record_fn *fn, void *user, struct error *err) _must_check_;

/* *seqp is the record's number, from 1. */
int store_append(struct store *store, struct bytes record, uint64_t *seqp, struct error *err) _must_check_;

/* The last record's number (0: none) and hash. */
uint64_t store_head(const struct store *store, struct digest *hash);

/* ---- nodes that an operator approved ---- */

struct store_node {
    const char *name;
    struct public_key key;
    uint64_t approved_ms;
};
typedef int store_node_fn(void *user, const struct store_node *node, struct error *err);

/* Names are never used twice: -EEXIST. */
int store_node_add(struct store *store, const struct store_node *node, struct error *err) _must_check_;
int store_nodes(struct store *store, store_node_fn *fn, void *user, struct error *err) _must_check_;

/* ---- charters: one for each cluster, the newest, with the files that it was made from ---- */

struct store_charter {
    const char *cluster;
    struct bytes charter; /* signed blob */
    struct bytes cluster_file, recipe;
    bool adopt;
    uint64_t added_ms;
};
typedef int store_charter_fn(void *user, const struct store_charter *charter, struct error *err);
int store_charter_put(struct store *store, const struct store_charter *charter,
                      struct error *err) _must_check_;
int store_charters(struct store *store, store_charter_fn *fn, void *user, struct error *err) _must_check_;

/* ---- releases ---- */

struct store_release {
    struct digest digest;  /* of the signed blob, as headers name it */
    struct bytes manifest; /* signed blob */
    uint64_t added_ms;
};
typedef int store_release_fn(void *user, const struct store_release *release, struct error *err);
int store_release_put(struct store *store, const struct store_release *release,
                      struct error *err) _must_check_;
int store_releases(struct store *store, store_release_fn *fn, void *user, struct error *err) _must_check_;

/* ---- plans that were applied, by the digest that people compare ---- */

int store_plan_put(struct store *store, const struct digest *digest, struct bytes file,
                   struct error *err) _must_check_;

/* Appends to `out`; -ENOENT when there is none. */
int store_plan_get(struct store *store, const struct digest *digest, struct buffer *out,
                   struct error *err) _must_check_;

/* ---- operators' words that weaken a plan, as they were signed ---- */

struct store_word {
    const char *cluster;
    uint64_t serial, expires_s; /* of the plan; seconds since 1970 */
    struct bytes word;          /* signed blob */
};
typedef int store_word_fn(void *user, const struct store_word *word, struct error *err);

/* The same one twice is one. */
int store_word_put(struct store *store, const struct store_word *word, struct error *err) _must_check_;

/* In the order in which they came. */
int store_words(struct store *store, const char *cluster, uint64_t serial, store_word_fn *fn, void *user,
                struct error *err) _must_check_;

/* ---- reports of agents, as they came: the evidence behind the journal's short records ---- */

struct store_report {
    const char *cluster;
    uint64_t serial, at_ms;
    struct bytes report; /* encoded struct report */
};
typedef int store_report_fn(void *user, const struct store_report *report, struct error *err);
int store_report_add(struct store *store, const struct store_report *report, struct error *err) _must_check_;
int store_reports(struct store *store, const char *cluster, uint64_t serial, store_report_fn *fn, void *user,
                  struct error *err) _must_check_;

/* ---- small numbers by name: "epoch" ---- */

int store_number_put(struct store *store, const char *name, uint64_t value, struct error *err) _must_check_;

/* 0 when it was never put. */
int store_number_get(struct store *store, const char *name, uint64_t *valuep, struct error *err) _must_check_;

#endif
