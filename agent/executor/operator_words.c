/* Why every agent judges a word for itself: the coordinator asks the same gates and may claim that one was set aside; its
 * claim changes nothing here, for the last question before the stop is this agent's own. A word counts only with the
 * signatures of the operators that this node trusts.
 *
 * Words stand in the journal as they were signed and are verified again whenever they are read: there is no second form
 * of them that could be believed by mistake. */
#include "agent/executor/executor.h"

#include "common/base/log.h"
#include "common/plan/word.h"

#include <string.h>
#include <time.h>

enum { WORD_ARENA_BYTES = 64 * 1024 };

static void key_of(const struct word *word, char *out, size_t size) {
    snprintf(out, size, "%s/%020llu/%s/%s/%s", word->cluster, (unsigned long long)word->serial, word->member,
             word_kind_text(word->kind), word->gate);
}

/* ---- taking one ---- */

static bool is_member(const struct cluster *cluster, const char *name) {
    for (size_t i = 0; i < cluster->charter->n_members; i++)
        if (strcmp(cluster->charter->members[i].name, name) == 0)
            return true;
    return false;
}

static int word_belongs(const struct executor *executor, const struct word *word, struct error *err) {
    const struct cluster *cluster = executor_cluster(executor, word->cluster);
    if (!cluster)
        return error_set(err, -EPERM, "this node holds no charter of cluster %s", word->cluster);
    if (!is_member(cluster, word->member))
        return error_set(err, -EPERM, "the charter of cluster %s names no member %s", word->cluster,
                         word->member);
    if (word->serial < cluster->record.serial)
        return error_set(err, -ESTALE, "plan %llu was overtaken by plan %llu",
                         (unsigned long long)word->serial, (unsigned long long)cluster->record.serial);
    return 0;
}

/* The one that stands under the key, or NULL: what was accepted once is not judged by the clock again. */
static const struct word *kept(const struct executor *executor, const char *key, struct arena *arena) {
    const struct word *word = NULL;
    struct error err = {""};
    struct bytes blob = journal_get(executor->journal, RECORD_WORD, key);
    if (!blob.data)
        return NULL;
    if (word_verify(&executor->config.anchors, blob, 0, arena, &word, &err) < 0) {
        log_warning("word", "%s", err.text); /* the anchors have changed since */
        return NULL;
    }
    return word;
}

static int keep(struct executor *executor, const char *key, struct bytes blob, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    if (journal_room(executor->journal) < blob.len + JOURNAL_RESERVE_BYTES)
        return error_set(err, -ENOSPC, "this agent's journal has no room for it");
    buffer_append(&packed, blob.data, blob.len);
    if (!executor_put(executor, RECORD_WORD, key, &packed) || journal_sync(executor->journal) < 0)
        return error_set(err, -EIO, "this agent's journal cannot be written (journal lost)");
    return 0;
}

void operator_word_receive(struct executor *executor, struct bytes blob) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(2 * WORD_ARENA_BYTES);
    const struct word *word = NULL, *older;
    struct error err = {""};
    char key[JOURNAL_KEY_MAX + 1], text[KEDGE_REASON_MAX];
    int r = arena ? word_verify(&executor->config.anchors, blob, executor_now_s(executor), arena, &word, &err)
                  : error_set(&err, -ENOMEM, "out of memory");
    if (r == 0)
        r = word_belongs(executor, word, &err);
    if (r < 0) {
        (void)error_context(&err, -EPERM, "refused");
        executor_warn(executor, "word", err.text);
        return;
    }
    key_of(word, key, sizeof(key));
    older = kept(executor, key, arena);
    if (older && older->created_s >= word->created_s)
        return; /* the same one again, or one that was taken back by a later one */
    word_text(word, text, sizeof(text));
    if (keep(executor, key, blob, &err) < 0)
        log_warning("word", "%s: %s", text, err.text);
    else
        log_info("word", "%s, by %s: %s", text, word->author, word->reason);
}

/* ---- what was said ---- */

static const struct word *find(const struct executor *executor, const struct work_order *order,
                               enum word_kind kind, const char *gate, struct arena *arena) {
    char key[JOURNAL_KEY_MAX + 1];
    struct word wanted = {.cluster = order->cluster,
                          .serial = order->serial,
                          .member = order->member,
                          .kind = kind,
                          .gate = gate};
    key_of(&wanted, key, sizeof(key));
    return kept(executor, key, arena);
}

const char *operator_word_forbids(const struct executor *executor, const struct work_order *order,
                                  struct arena *arena) {
    const struct word *skip = find(executor, order, WORD_SKIP, "", arena);
    const struct word *retire = find(executor, order, WORD_RETIRE, "", arena);
    const struct word *word = retire ? retire : skip;
    if (!word)
        return "";
    const char *why = arena_format(arena, "%s was %s by %s: %s", order->member,
                                   retire ? "retired" : "skipped", word->author, word->reason);
    return why ? why : "an operator has skipped it";
}

bool operator_word_waives(const struct executor *executor, const struct work_order *order,
                          const struct gate *gate, char *out, size_t size) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(WORD_ARENA_BYTES);
    const struct word *word = arena ? find(executor, order, WORD_WAIVE, gate->name, arena) : NULL;
    if (!word || word->expires_s < executor_now_s(executor))
        return false;
    if (gate->sample) {
        log_warning("word", "%s: gate %s keeps a sample, nothing could be compared after the stop without it",
                    order->member, gate->name);
        return false;
    }
    struct tm utc;
    time_t until = (time_t)word->expires_s;
    char when[32] = "?";
    if (gmtime_r(&until, &utc))
        (void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%SZ", &utc);
    snprintf(out, size, "waived by %s until %s: %s", word->author, when, word->reason);
    return true;
}

void operator_words_forget(struct executor *executor, const char *cluster, uint64_t serial) {
    char first[JOURNAL_KEY_MAX + 1], limit[JOURNAL_KEY_MAX + 1], key[JOURNAL_KEY_MAX + 1];
    size_t len = (size_t)snprintf(first, sizeof(first), "%s/", cluster);
    snprintf(limit, sizeof(limit), "%s/%020llu", cluster, (unsigned long long)serial);
    for (const char *next = journal_next(executor->journal, RECORD_WORD, first);
         next && strncmp(next, first, len) == 0 && strcmp(next, limit) < 0;
         next = journal_next(executor->journal, RECORD_WORD, key)) {
        snprintf(key, sizeof(key), "%s", next);
        (void)!journal_drop(executor->journal, RECORD_WORD, key);
    }
}
