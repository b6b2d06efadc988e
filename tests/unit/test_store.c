#include "coordinator/store/store.h"

#include "common/base/file.h"
#include "common/sqlite/database.h"
#include "tests/unit/test.h"

/* A store in a folder of its own; the raw database is opened only while the store is closed. */
struct place {
    char folder[64], path[96];
    struct key_pair key;
    struct store *store;
};

static void place_deinit(struct place *place) {
    struct error err;
    store_close(place->store);
    if (folder_remove(place->folder, &err) < 0)
        fprintf(stderr, "%s\n", err.text);
    key_pair_deinit(&place->key);
}

static bool place_init(struct place *place) {
    struct error err;
    memset(place, 0, sizeof(*place));
    snprintf(place->folder, sizeof(place->folder), "/tmp/kedge-store-XXXXXX");
    if (trust_init(&err) < 0 || !mkdtemp(place->folder))
        return false;
    snprintf(place->path, sizeof(place->path), "%s/journal.sqlite", place->folder);
    key_pair_generate(&place->key);
    return true;
}

struct heard {
    uint64_t n;
    struct buffer text;
};

static int hear(void *user, uint64_t seq, struct bytes record, struct error *err) {
    struct heard *heard = user;
    (void)err;
    check_eq_int(seq, heard->n + 1);
    heard->n = seq;
    buffer_append(&heard->text, record.data, record.len);
    return 0;
}

/* Opens and replays; what was heard goes to `text`. */
static int place_open(struct place *place, struct heard *heard, struct error *err) {
    place->store = store_close(place->store);
    int r = store_open(place->path, &place->key, &place->store, err);
    return r == 0 ? store_replay(place->store, hear, heard, err) : r;
}

static int append(struct place *place, const char *text, struct error *err) {
    uint64_t seq;
    return store_append(place->store, bytes_of_text(text), &seq, err);
}

/* Six records in two turns. */
static bool place_fill(struct place *place) {
    static const char *const texts[] = {"one ", "two ", "three ", "four ", "five ", "six "};
    struct error err = {0};
    struct heard heard = {0};
    int r = place_open(place, &heard, &err);
    for (int i = 0; i < 6 && r == 0; i++) {
        r = append(place, texts[i], &err);
        if (r == 0 && i % 3 == 2)
            r = store_commit(place->store, &err);
    }
    place->store = store_close(place->store);
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    return r == 0;
}

/* Changes the file behind the store's back. */
static int tamper(const struct place *place, const char *sql) {
    struct error err;
    _cleanup_(database_closep) struct database *database = NULL;
    int r = database_open(place->path, &database, &err);
    return r == 0 ? database_run(database, sql, &err) : r;
}

static void expect_broken(const char *sql, const char *names) {
    _cleanup_(place_deinit) struct place place;
    struct heard heard = {0};
    struct error err = {0};
    require(place_init(&place) && place_fill(&place) && tamper(&place, sql) == 0);
    check_eq_int(place_open(&place, &heard, &err), -EBADMSG);
    check_contains(err.text, names);
    check_contains(err.text, place.path);
    buffer_deinit(&heard.text);
}

TEST("what was committed is there again, in its order; what was not is not") {
    _cleanup_(place_deinit) struct place place;
    struct heard heard = {0};
    struct error err = {0};
    require(place_init(&place) && place_fill(&place));
    require(place_open(&place, &heard, &err) == 0);
    check_eq_int(heard.n, 6);
    check_eq_str((char *)heard.text.data, "one two three four five six ");
    require(append(&place, "lost", &err) == 0);
    check(store_is_dirty(place.store));
    buffer_clear(&heard.text);
    heard.n = 0;
    require(place_open(&place, &heard, &err) == 0);
    check_eq_int(heard.n, 6);
    buffer_deinit(&heard.text);
}

TEST("A37 an untouched journal verifies, again and again, also in the middle of a turn") {
    _cleanup_(place_deinit) struct place place;
    struct heard heard = {0};
    struct error err = {0};
    require(place_init(&place) && place_fill(&place) && place_open(&place, &heard, &err) == 0);
    require(append(&place, "seven ", &err) == 0);
    check_eq_int(store_replay(place.store, NULL, NULL, &err), 0);
    require(append(&place, "eight ", &err) == 0 && store_commit(place.store, &err) == 0);
    check_eq_int(store_replay(place.store, NULL, NULL, &err), 0);
    buffer_deinit(&heard.text);
}

TEST("A37 a flipped bit is found, and its record named") {
    for (int i = 1; i <= 6; i++) {
        char sql[160], name[64];
        snprintf(sql, sizeof(sql),
                 "UPDATE journal SET record = CAST('X' || substr(record, 2) AS BLOB) WHERE seq = %d", i);
        snprintf(name, sizeof(name), "journal record %d: it is not what was written", i);
        expect_broken(sql, name);
    }
}

TEST("A37 a flipped hash is found, and its record named") {
    expect_broken("UPDATE journal SET hash = zeroblob(32) WHERE seq = 4",
                  "journal record 4: it is not what was written");
    expect_broken("UPDATE journal SET hash = zeroblob(3) WHERE seq = 6",
                  "journal record 6: it is not what was written");
}

TEST("A37 a deleted record is found, wherever it was") {
    expect_broken("DELETE FROM journal WHERE seq = 1", "journal record 1: it is missing");
    expect_broken("DELETE FROM journal WHERE seq = 3", "journal record 3: it is missing");
    expect_broken("DELETE FROM journal WHERE seq = 6",
                  "journal record 6: it is missing: the journal was cut off");
    expect_broken("DELETE FROM journal", "journal record 1: it is missing");
    expect_broken("DELETE FROM journal WHERE seq > 3", "journal record 4: it is missing");
}

TEST("A37 an inserted record is found") {
    expect_broken("INSERT INTO journal VALUES (7, zeroblob(32), 'more')", "journal record 7");
    expect_broken(
        "UPDATE journal SET seq = seq + 100 WHERE seq > 3; UPDATE journal SET seq = seq - 99 WHERE seq > 100;"
        "INSERT INTO journal SELECT 4, hash, record FROM journal WHERE seq = 3",
        "journal record 4: it is not what was written");
}

TEST("A37 records that changed places are found") {
    expect_broken("UPDATE journal SET seq = 100 WHERE seq = 2; UPDATE journal SET seq = 2 WHERE seq = 3;"
                  "UPDATE journal SET seq = 3 WHERE seq = 100",
                  "journal record 2: it is not what was written");
}

TEST("A37 a truncated record is found") {
    expect_broken("UPDATE journal SET record = CAST(substr(record, 1, 2) AS BLOB) WHERE seq = 5",
                  "journal record 5: it is not what was written");
    expect_broken("UPDATE journal SET record = x'' WHERE seq = 5",
                  "journal record 5: its length is out of range");
}

TEST("A37 a head that is missing, moved or signed by another is found") {
    expect_broken("DELETE FROM journal_head", "lies behind the journal's signed head");
    expect_broken("UPDATE journal_head SET head = zeroblob(40)", "not signed by this coordinator's key");
    expect_broken("UPDATE journal_head SET signature = zeroblob(64)", "not signed by this coordinator's key");
    expect_broken("UPDATE journal_head SET head = x'00'", "wrong length");
}

TEST("A37 a whole journal of another coordinator is not ours") {
    _cleanup_(place_deinit) struct place place;
    struct heard heard = {0};
    struct error err = {0};
    require(place_init(&place) && place_fill(&place));
    key_pair_generate(&place.key);
    check_eq_int(place_open(&place, &heard, &err), -EBADMSG);
    check_contains(err.text, "not signed by this coordinator's key");
    buffer_deinit(&heard.text);
}

TEST("two programs on one journal: the second is refused") {
    _cleanup_(place_deinit) struct place place;
    _cleanup_(store_closep) struct store *second = NULL;
    struct heard heard = {0};
    struct error err = {0};
    require(place_init(&place) && place_open(&place, &heard, &err) == 0);
    check_eq_int(store_open(place.path, &place.key, &second, &err), -EBUSY);
    check_contains(err.text, "another program uses it");
}

TEST("a file that is no journal, or a later layout, gets one sentence") {
    _cleanup_(place_deinit) struct place place;
    struct error err = {0};
    struct heard heard = {0};
    require(place_init(&place));
    require(file_write(place.path,
                       bytes_of_text("this is a text, and long enough to be read as a page header....."
                                     "this is a text, and long enough to be read as a page header....."),
                       0600, &err) == 0);
    check(place_open(&place, &heard, &err) < 0);
    check_contains(err.text, "not a database");
    require(unlink(place.path) == 0 && tamper(&place, "PRAGMA user_version = 9") == 0);
    check_eq_int(place_open(&place, &heard, &err), -EPROTO);
    check_contains(err.text, "later version of Kedge");
}

static int node_note(void *user, const struct store_node *node, struct error *err) {
    (void)err;
    buffer_format(user, "%s:%02x ", node->name, node->key.b[0]);
    return 0;
}

static int charter_note(void *user, const struct store_charter *charter, struct error *err) {
    (void)err;
    buffer_format(user, "%s=%.*s/%.*s/%.*s/%d ", charter->cluster, (int)charter->charter.len,
                  (const char *)charter->charter.data, (int)charter->cluster_file.len,
                  (const char *)charter->cluster_file.data, (int)charter->recipe.len,
                  (const char *)charter->recipe.data, charter->adopt);
    return 0;
}

static int release_note(void *user, const struct store_release *release, struct error *err) {
    (void)err;
    buffer_format(user, "%02x=%.*s ", release->digest.b[0], (int)release->manifest.len,
                  (const char *)release->manifest.data);
    return 0;
}

static int report_note(void *user, const struct store_report *report, struct error *err) {
    (void)err;
    buffer_format(user, "%.*s ", (int)report->report.len, (const char *)report->report.data);
    return 0;
}

TEST("tables: what was put is there after a commit") {
    _cleanup_(place_deinit) struct place place;
    _cleanup_(buffer_deinit) struct buffer text = {0};
    struct heard heard = {0};
    struct error err = {0};
    uint64_t epoch;
    struct digest digest = {{7}};
    require(place_init(&place) && place_open(&place, &heard, &err) == 0);
    struct store *s = place.store;
    require(store_node_add(s, &(struct store_node){"n2", {{2}}, 5}, &err) == 0);
    require(store_node_add(s, &(struct store_node){"n1", {{1}}, 5}, &err) == 0);
    check_eq_int(store_node_add(s, &(struct store_node){"n1", {{3}}, 5}, &err), -EEXIST);
    struct store_charter charter = {"shop", bytes_of_text("c"), bytes_of_text("f"), bytes_of_text("r"), true,
                                    9};
    require(store_charter_put(s, &charter, &err) == 0);
    charter.charter = bytes_of_text("c2");
    require(store_charter_put(s, &charter, &err) == 0);
    require(store_release_put(s, &(struct store_release){digest, bytes_of_text("m"), 3}, &err) == 0);
    require(store_plan_put(s, &digest, bytes_of_text("plan"), &err) == 0);
    require(store_report_add(s, &(struct store_report){"shop", 4, 1, bytes_of_text("first")}, &err) == 0);
    require(store_report_add(s, &(struct store_report){"shop", 5, 1, bytes_of_text("other")}, &err) == 0);
    require(store_report_add(s, &(struct store_report){"shop", 4, 2, bytes_of_text("second")}, &err) == 0);
    require(store_number_put(s, "epoch", UINT64_MAX, &err) == 0 && store_commit(s, &err) == 0);
    require(place_open(&place, &heard, &err) == 0);
    s = place.store;
    require(store_nodes(s, node_note, &text, &err) == 0 && store_charters(s, charter_note, &text, &err) == 0);
    require(store_releases(s, release_note, &text, &err) == 0 &&
            store_plan_get(s, &digest, &text, &err) == 0);
    require(store_reports(s, "shop", 4, report_note, &text, &err) == 0);
    check_eq_str((char *)text.data, "n1:01 n2:02 shop=c2/f/r/1 07=m planfirst second ");
    check(store_number_get(s, "epoch", &epoch, &err) == 0 && epoch == UINT64_MAX);
    check(store_number_get(s, "none", &epoch, &err) == 0 && epoch == 0);
    digest.b[0] = 8;
    check_eq_int(store_plan_get(s, &digest, &text, &err), -ENOENT);
}
