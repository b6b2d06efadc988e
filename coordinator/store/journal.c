/* The chain proves order and content of what is there; only the signed head proves that nothing behind it was cut off, so
 * both are checked, and a chain that is whole but ends elsewhere than its head is refused like a broken one. */
#include "coordinator/store/internal.h"

#include <assert.h>
#include <string.h>

static const char CHAIN_TAG[] = "kedge/1/journal"; /* hashed with its NUL */
static const char HEAD_TAG[] = "coordinator/journal";

enum { HEAD_BYTES = 8 + KEDGE_DIGEST_LEN };

static struct digest chain_hash(const struct digest *previous, uint64_t seq, struct bytes record) {
    struct digest_state state;
    uint8_t number[8];
    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)(seq >> (56 - 8 * i));
    digest_init(&state);
    digest_update(&state, BYTES_OF(CHAIN_TAG));
    digest_update(&state, BYTES_OF(previous->b));
    digest_update(&state, BYTES_OF(number));
    digest_update(&state, record);
    return digest_final(&state);
}

static int head_encode(struct buffer *out, uint64_t seq, const struct digest *hash, struct error *err) {
    buffer_u64(out, seq);
    buffer_append(out, hash->b, sizeof(hash->b));
    return out->failed ? error_errno(err, -ENOMEM, "journal") : 0;
}

int journal_head_write(struct store *store, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer head = {0};
    if (!store->head_moved)
        return 0;
    int r = head_encode(&head, store->head, &store->hash, err);
    if (r < 0)
        return r;
    struct bytes signed_part = buffer_bytes(&head);
    struct signature signature = sign_tagged(HEAD_TAG, &signed_part, 1, store->key);
    statement_bind_bytes(store->head_put, 1, signed_part);
    statement_bind_bytes(store->head_put, 2, BYTES_OF(signature.b));
    r = statement_run(store->head_put, err);
    if (r == 0)
        store->head_moved = false;
    return r;
}

int store_append(struct store *store, struct bytes record, uint64_t *seqp, struct error *err) {
    assert(store->replayed && record.len > 0 && record.len <= STORE_RECORD_BYTES_MAX);
    int r = store_begin(store, err);
    if (r < 0)
        return r;
    struct digest hash = chain_hash(&store->hash, store->head + 1, record);
    statement_bind_u64(store->append, 1, store->head + 1);
    statement_bind_bytes(store->append, 2, BYTES_OF(hash.b));
    statement_bind_bytes(store->append, 3, record);
    r = statement_run(store->append, err);
    if (r < 0)
        return error_context(err, r, "journal record %llu", (unsigned long long)store->head + 1);
    store->hash = hash;
    store->head_moved = true;
    *seqp = ++store->head;
    return 0;
}

uint64_t store_head(const struct store *store, struct digest *hash) {
    *hash = store->hash;
    return store->head;
}

/* ---- the walk ---- */

static int broken(struct error *err, uint64_t seq, const char *what) {
    return error_set(err, -EBADMSG, "journal record %llu: %s; restore the journal from a back-up",
                     (unsigned long long)seq, what);
}

/* One row, against what it must be after the one before it. */
static int row_check(struct statement *row, uint64_t seq, const struct digest *previous, struct digest *hash,
                     struct error *err) {
    uint64_t number = statement_u64(row, 0);
    struct bytes stored = statement_bytes(row, 1), record = statement_bytes(row, 2);
    if (number != seq)
        return broken(err, seq, "it is missing");
    if (record.len == 0 || record.len > STORE_RECORD_BYTES_MAX)
        return broken(err, seq, "its length is out of range");
    *hash = chain_hash(previous, seq, record);
    if (!bytes_equal(stored, BYTES_OF(hash->b)))
        return broken(
            err, seq,
            "it is not what was written (its hash does not fit its content and the record before it)");
    return 0;
}

static int chain_walk(struct store *store, store_record_fn *fn, void *user, uint64_t *seqp,
                      struct digest *hash, struct error *err) {
    _cleanup_(statement_freep) struct statement *row = NULL;
    int r = statement_new(store->database, "SELECT seq, hash, record FROM journal ORDER BY seq", &row, err);
    if (r < 0)
        return r;
    while ((r = statement_step(row, err)) == STATEMENT_ROW) {
        struct digest previous = *hash;
        r = row_check(row, *seqp + 1, &previous, hash, err);
        if (r == 0 && fn)
            r = fn(user, *seqp + 1, statement_bytes(row, 2), err);
        if (r != 0)
            return r;
        ++*seqp;
    }
    return r;
}

/* Before any record is believed: the end that was signed. */
static int head_read(struct store *store, uint64_t *seqp, struct digest *hash, struct error *err) {
    _cleanup_(statement_freep) struct statement *row = NULL;
    int r = statement_new(store->database, "SELECT head, signature FROM journal_head", &row, err);
    *seqp = 0;
    if (r == 0)
        r = statement_step(row, err);
    if (r != STATEMENT_ROW)
        return r;
    struct bytes head = statement_bytes(row, 0), bytes = statement_bytes(row, 1);
    struct signature signature;
    if (head.len != HEAD_BYTES || bytes.len != sizeof(signature.b))
        return error_set(err, -EBADMSG,
                         "journal: its signed head has a wrong length; restore it from a back-up");
    memcpy(signature.b, bytes.data, sizeof(signature.b));
    if (!verify_tagged(HEAD_TAG, &head, 1, &store->key->public, &signature))
        return error_set(err, -EBADMSG, "journal: its head was not signed by this coordinator's key");
    *seqp = read_u64(head.data);
    memcpy(hash->b, head.data + 8, sizeof(hash->b));
    return 0;
}

int store_replay(struct store *store, store_record_fn *fn, void *user, struct error *err) {
    uint64_t seq = 0, head;
    struct digest hash = {{0}}, head_hash = {{0}};
    int r = journal_head_write(store, err); /* of a verification in the middle of a turn */
    if (r == 0)
        r = head_read(store, &head, &head_hash, err);
    if (r == 0)
        r = chain_walk(store, fn, user, &seq, &hash, err);
    if (r == 0 && seq < head)
        r = broken(err, seq + 1, "it is missing: the journal was cut off before its signed head");
    if (r == 0 && seq > head)
        r = broken(err, head + 1, "it lies behind the journal's signed head: kedged did not write it");
    if (r == 0 && !digest_equal(&hash, &head_hash))
        r = broken(err, seq, "the journal's signed head names another one");
    if (r < 0)
        return error_context(err, r, "%s", store->path);
    store->head = seq;
    store->hash = hash;
    store->replayed = r == 0;
    return r;
}
