/* Tables beside the journal hold what it refers to by digest or name. They are not chained: all of it is signed by
 * operators, release keys or agents and is verified again when it is used. */
#include "coordinator/store/internal.h"

#include <string.h>

enum { SCHEMA_VERSION = 1 };

static const char SCHEMA[] =
    "CREATE TABLE journal (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, record BLOB NOT NULL);"
    "CREATE TABLE journal_head (one INTEGER PRIMARY KEY CHECK (one = 1), head BLOB NOT NULL, signature BLOB "
    "NOT NULL);"
    "CREATE TABLE nodes (name TEXT PRIMARY KEY, key BLOB NOT NULL UNIQUE, approved_ms INTEGER NOT NULL);"
    "CREATE TABLE charters (cluster TEXT PRIMARY KEY, charter BLOB NOT NULL, cluster_file BLOB NOT NULL,"
    "  recipe BLOB NOT NULL, adopt INTEGER NOT NULL, added_ms INTEGER NOT NULL);"
    "CREATE TABLE releases (digest BLOB PRIMARY KEY, manifest BLOB NOT NULL, added_ms INTEGER NOT NULL);"
    "CREATE TABLE plans (digest BLOB PRIMARY KEY, file BLOB NOT NULL);"
    "CREATE TABLE reports (id INTEGER PRIMARY KEY, cluster TEXT NOT NULL, serial INTEGER NOT NULL,"
    "  at_ms INTEGER NOT NULL, report BLOB NOT NULL);"
    "CREATE INDEX reports_of_run ON reports (cluster, serial);"
    "CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL);"
    "PRAGMA user_version = 1;";

/* Came later; an older Kedge leaves it alone, so the layout has the same number. */
static const char WORDS[] = "CREATE TABLE IF NOT EXISTS words (digest BLOB PRIMARY KEY, cluster TEXT NOT "
                            "NULL, serial INTEGER NOT NULL,"
                            "  expires_s INTEGER NOT NULL, word BLOB NOT NULL)";

/* ---- opening ---- */

static int schema_make(struct store *store, struct error *err) {
    _cleanup_(statement_freep) struct statement *version = NULL;
    int r = statement_new(store->database, "PRAGMA user_version", &version, err);
    if (r == 0)
        r = statement_step(version, err);
    if (r < 0)
        return r;
    uint64_t found = r == STATEMENT_ROW ? statement_u64(version, 0) : 0;
    version = statement_free(version);
    if (found > SCHEMA_VERSION)
        return error_set(err, -EPROTO,
                         "%s: was written by a later version of Kedge (layout %llu, this one knows %d)",
                         store->path, (unsigned long long)found, SCHEMA_VERSION);
    if (found == SCHEMA_VERSION)
        return 0;
    r = database_run(store->database, "BEGIN IMMEDIATE", err);
    if (r == 0)
        r = database_run(store->database, SCHEMA, err);
    return r == 0 ? database_run(store->database, "COMMIT", err) : r;
}

int store_open(const char *path, const struct key_pair *key, struct store **outp, struct error *err) {
    _cleanup_(store_closep) struct store *store = calloc(1, sizeof(*store));
    if (!store || !(store->path = strdup(path)))
        return error_errno(err, -ENOMEM, "%s", path);
    store->key = key;
    int r = database_open(path, &store->database, err);
    if (r == 0)
        r = schema_make(store, err);
    if (r == 0)
        r = database_run(store->database, WORDS, err);
    if (r == 0)
        r = statement_new(store->database, "INSERT INTO journal VALUES (?, ?, ?)", &store->append, err);
    if (r == 0)
        r = statement_new(store->database, "INSERT OR REPLACE INTO journal_head VALUES (1, ?, ?)",
                          &store->head_put, err);
    if (r < 0)
        return r;
    *outp = TAKE(store);
    return 0;
}

struct store *store_close(struct store *store) {
    if (!store)
        return NULL;
    statement_free(store->append);
    statement_free(store->head_put);
    database_close(store->database);
    free(store->path);
    free(store);
    return NULL;
}

/* ---- transactions ---- */

int store_begin(struct store *store, struct error *err) {
    if (store->in_transaction)
        return 0;
    int r = database_run(store->database, "BEGIN IMMEDIATE", err);
    store->in_transaction = r == 0;
    return r;
}

bool store_is_dirty(const struct store *store) {
    return store->in_transaction;
}

int store_commit(struct store *store, struct error *err) {
    if (!store->in_transaction)
        return 0;
    int r = journal_head_write(store, err);
    if (r == 0)
        r = database_run(store->database, "COMMIT", err);
    store->in_transaction = r != 0;
    return r;
}

/* Compiles a statement that writes, inside the turn's transaction. */
static int writer_new(struct store *store, const char *sql, struct statement **outp, struct error *err) {
    int r = store_begin(store, err);
    return r == 0 ? statement_new(store->database, sql, outp, err) : r;
}

/* A column that must hold exactly 32 bytes. */
static int fixed_take(struct statement *row, int column, uint8_t out[static KEDGE_DIGEST_LEN],
                      struct store *store, struct error *err) {
    struct bytes bytes = statement_bytes(row, column);
    if (bytes.len != KEDGE_DIGEST_LEN)
        return error_set(err, -EBADMSG, "%s: a key or digest has %zu bytes", store->path, bytes.len);
    memcpy(out, bytes.data, KEDGE_DIGEST_LEN);
    return 0;
}

/* ---- nodes ---- */

int store_node_add(struct store *store, const struct store_node *node, struct error *err) {
    _cleanup_(statement_freep) struct statement *s = NULL, *found = NULL;
    int r = statement_new(store->database, "SELECT 1 FROM nodes WHERE name = ?", &found, err);
    if (r < 0)
        return r;
    statement_bind_text(found, 1, node->name);
    r = statement_step(found, err);
    if (r == STATEMENT_ROW)
        return error_set(err, -EEXIST, "node %s: the name is taken, and names are never used twice",
                         node->name);
    if (r == 0)
        r = writer_new(store, "INSERT INTO nodes VALUES (?, ?, ?)", &s, err);
    if (r < 0)
        return r;
    statement_bind_text(s, 1, node->name);
    statement_bind_bytes(s, 2, BYTES_OF(node->key.b));
    statement_bind_u64(s, 3, node->approved_ms);
    return statement_run(s, err);
}

int store_nodes(struct store *store, store_node_fn *fn, void *user, struct error *err) {
    _cleanup_(statement_freep) struct statement *row = NULL;
    int r =
        statement_new(store->database, "SELECT name, key, approved_ms FROM nodes ORDER BY name", &row, err);
    while (r == 0 && (r = statement_step(row, err)) == STATEMENT_ROW) {
        struct store_node node = {.name = statement_text(row, 0), .approved_ms = statement_u64(row, 2)};
        r = fixed_take(row, 1, node.key.b, store, err);
        if (r == 0)
            r = fn(user, &node, err);
    }
    return r;
}

/* ---- charters ---- */

int store_charter_put(struct store *store, const struct store_charter *charter, struct error *err) {
    _cleanup_(statement_freep) struct statement *s = NULL;
    int r = writer_new(store, "INSERT OR REPLACE INTO charters VALUES (?, ?, ?, ?, ?, ?)", &s, err);
    if (r < 0)
        return r;
    statement_bind_text(s, 1, charter->cluster);
    statement_bind_bytes(s, 2, charter->charter);
    statement_bind_bytes(s, 3, charter->cluster_file);
    statement_bind_bytes(s, 4, charter->recipe);
    statement_bind_u64(s, 5, charter->adopt);
    statement_bind_u64(s, 6, charter->added_ms);
    return statement_run(s, err);
}

int store_charters(struct store *store, store_charter_fn *fn, void *user, struct error *err) {
    _cleanup_(statement_freep) struct statement *row = NULL;
    int r = statement_new(
        store->database,
        "SELECT cluster, charter, cluster_file, recipe, adopt, added_ms FROM charters ORDER BY cluster", &row,
        err);
    while (r == 0 && (r = statement_step(row, err)) == STATEMENT_ROW) {
        struct store_charter charter = {.cluster = statement_text(row, 0),
                                        .charter = statement_bytes(row, 1),
                                        .cluster_file = statement_bytes(row, 2),
                                        .recipe = statement_bytes(row, 3),
                                        .adopt = statement_u64(row, 4) != 0,
                                        .added_ms = statement_u64(row, 5)};
        r = fn(user, &charter, err);
    }
    return r;
}

/* ---- releases ---- */

int store_release_put(struct store *store, const struct store_release *release, struct error *err) {
    _cleanup_(statement_freep) struct statement *s = NULL;
    int r = writer_new(store, "INSERT OR IGNORE INTO releases VALUES (?, ?, ?)", &s, err);
    if (r < 0)
        return r;
    statement_bind_bytes(s, 1, BYTES_OF(release->digest.b));
    statement_bind_bytes(s, 2, release->manifest);
    statement_bind_u64(s, 3, release->added_ms);
    return statement_run(s, err);
}

int store_releases(struct store *store, store_release_fn *fn, void *user, struct error *err) {
    _cleanup_(statement_freep) struct statement *row = NULL;
    int r =
        statement_new(store->database,
                      "SELECT digest, manifest, added_ms FROM releases ORDER BY added_ms, digest", &row, err);
    while (r == 0 && (r = statement_step(row, err)) == STATEMENT_ROW) {
        struct store_release release = {.manifest = statement_bytes(row, 1),
                                        .added_ms = statement_u64(row, 2)};
        r = fixed_take(row, 0, release.digest.b, store, err);
        if (r == 0)
            r = fn(user, &release, err);
    }
    return r;
}

/* ---- plans ---- */

int store_plan_put(struct store *store, const struct digest *digest, struct bytes file, struct error *err) {
    _cleanup_(statement_freep) struct statement *s = NULL;
    int r = writer_new(store, "INSERT OR IGNORE INTO plans VALUES (?, ?)", &s, err);
    if (r < 0)
        return r;
    statement_bind_bytes(s, 1, BYTES_OF(digest->b));
    statement_bind_bytes(s, 2, file);
    return statement_run(s, err);
}

int store_plan_get(struct store *store, const struct digest *digest, struct buffer *out, struct error *err) {
    _cleanup_(statement_freep) struct statement *row = NULL;
    int r = statement_new(store->database, "SELECT file FROM plans WHERE digest = ?", &row, err);
    if (r < 0)
        return r;
    statement_bind_bytes(row, 1, BYTES_OF(digest->b));
    r = statement_step(row, err);
    if (r != STATEMENT_ROW)
        return r < 0 ? r
                     : error_set(err, -ENOENT, "%s: a plan that its journal names is missing", store->path);
    struct bytes file = statement_bytes(row, 0);
    buffer_append(out, file.data, file.len);
    return out->failed ? error_errno(err, -ENOMEM, "plan") : 0;
}

/* ---- words ---- */

/* The rows that the select finds for one run: its two places are the cluster and the serial. */
static int run_rows(struct store *store, const char *select, const char *cluster, uint64_t serial,
                    struct statement **rowp, struct error *err) {
    int r = statement_new(store->database, select, rowp, err);
    if (r < 0)
        return r;
    statement_bind_text(*rowp, 1, cluster);
    statement_bind_u64(*rowp, 2, serial);
    return 0;
}

int store_word_put(struct store *store, const struct store_word *word, struct error *err) {
    _cleanup_(statement_freep) struct statement *s = NULL;
    struct digest digest = digest_of(word->word);
    int r = writer_new(store, "INSERT OR IGNORE INTO words VALUES (?, ?, ?, ?, ?)", &s, err);
    if (r < 0)
        return r;
    statement_bind_bytes(s, 1, BYTES_OF(digest.b));
    statement_bind_text(s, 2, word->cluster);
    statement_bind_u64(s, 3, word->serial);
    statement_bind_u64(s, 4, word->expires_s);
    statement_bind_bytes(s, 5, word->word);
    return statement_run(s, err);
}

int store_words(struct store *store, const char *cluster, uint64_t serial, store_word_fn *fn, void *user,
                struct error *err) {
    _cleanup_(statement_freep) struct statement *row = NULL;
    int r =
        run_rows(store, "SELECT expires_s, word FROM words WHERE cluster = ? AND serial = ? ORDER BY rowid",
                 cluster, serial, &row, err);
    while (r == 0 && (r = statement_step(row, err)) == STATEMENT_ROW) {
        struct store_word word = {cluster, serial, statement_u64(row, 0), statement_bytes(row, 1)};
        r = fn(user, &word, err);
    }
    return r;
}

/* ---- reports ---- */

int store_report_add(struct store *store, const struct store_report *report, struct error *err) {
    _cleanup_(statement_freep) struct statement *s = NULL;
    int r = writer_new(store, "INSERT INTO reports VALUES (NULL, ?, ?, ?, ?)", &s, err);
    if (r < 0)
        return r;
    statement_bind_text(s, 1, report->cluster);
    statement_bind_u64(s, 2, report->serial);
    statement_bind_u64(s, 3, report->at_ms);
    statement_bind_bytes(s, 4, report->report);
    return statement_run(s, err);
}

int store_reports(struct store *store, const char *cluster, uint64_t serial, store_report_fn *fn, void *user,
                  struct error *err) {
    _cleanup_(statement_freep) struct statement *row = NULL;
    int r = run_rows(store, "SELECT at_ms, report FROM reports WHERE cluster = ? AND serial = ? ORDER BY id",
                     cluster, serial, &row, err);
    while (r == 0 && (r = statement_step(row, err)) == STATEMENT_ROW) {
        struct store_report report = {cluster, serial, statement_u64(row, 0), statement_bytes(row, 1)};
        r = fn(user, &report, err);
    }
    return r;
}

/* ---- numbers ---- */

int store_number_put(struct store *store, const char *name, uint64_t value, struct error *err) {
    _cleanup_(statement_freep) struct statement *s = NULL;
    int r = writer_new(store, "INSERT OR REPLACE INTO numbers VALUES (?, ?)", &s, err);
    if (r < 0)
        return r;
    statement_bind_text(s, 1, name);
    statement_bind_u64(s, 2, value);
    return statement_run(s, err);
}

int store_number_get(struct store *store, const char *name, uint64_t *valuep, struct error *err) {
    _cleanup_(statement_freep) struct statement *row = NULL;
    int r = statement_new(store->database, "SELECT value FROM numbers WHERE name = ?", &row, err);
    if (r < 0)
        return r;
    statement_bind_text(row, 1, name);
    r = statement_step(row, err);
    *valuep = r == STATEMENT_ROW ? statement_u64(row, 0) : 0;
    return r < 0 ? r : 0;
}
