/* Why the entries are chosen by asking the member and not by computing what it should hold: only then is an answer after
 * the stop that differs a loss. The source (a tree of paths, or a list of names) says what exists; the member says what of
 * it it has. Captured is what it answered, with the digest of each whole answer.
 *
 * Candidates are taken in the order of their numbers (names: as they come); the contents of the next paths are fetched
 * ahead, since they come from somebody else. */
#include "agent/prober/sample.h"

#include "common/base/text.h"

#include <stdlib.h>
#include <inttypes.h>
#include <string.h>

enum { AHEAD = 32, RECORD_FIXED_BYTES = 8 + 8 + KEDGE_DIGEST_LEN + 2, RECORDS_BYTES_MAX = 1024 * 1024 };

/* ---- the end ---- */

static void end(struct sample_run *run, enum answer answer, const char *reason) {
    if (run->ended)
        return;
    run->ended = true;
    run->answer = answer;
    snprintf(run->reason, sizeof(run->reason), "%s", reason);
    loop_timer_set(&run->timer, now_us());
}

static void fail(struct sample_run *run, const char *what, const char *trouble) {
    char text[KEDGE_REASON_MAX];
    snprintf(text, sizeof(text), "%s%s", what, trouble);
    end(run, ANSWER_UNKNOWN, text);
}

static void capture_end(struct sample_run *run) {
    char text[160];
    uint32_t minimum = run->sample->minimum > 0 ? run->sample->minimum : 1;
    if (run->n_good >= minimum)
        snprintf(text, sizeof(text), "%zu entries read before the stop", run->n_good);
    else
        snprintf(text, sizeof(text), "only %zu of at least %u entries could be read before the stop",
                 run->n_good, minimum);
    if (run->blob.failed)
        fail(run, "", "out of memory");
    else
        end(run, run->n_good >= minimum ? ANSWER_YES : ANSWER_UNKNOWN, text);
}

static void compare_end(struct sample_run *run) {
    char text[KEDGE_REASON_MAX];
    snprintf(text, sizeof(text), "entries read back %zu/%zu%s%s", run->n_good, run->n_records,
             run->first_missing[0] ? ": first missing " : "", run->first_missing);
    end(run, run->first_missing[0] ? ANSWER_NO : ANSWER_YES, text);
}

static void on_timer(void *owner) {
    struct sample_run *run = owner;
    if (run->ended) {
        run->done(run->owner);
        return;
    }
    /* Out of time. What was captured may be enough; a loss that was seen is one. */
    entry_stop(&run->reader);
    if (!run->is_compare && run->n_good >= run->sample->minimum && run->n_good > 0)
        capture_end(run);
    else if (run->is_compare && run->first_missing[0])
        compare_end(run);
    else
        fail(run, "no answer in time",
             run->is_compare ? " while entries were read back" : " while entries were read");
}

/* ---- compare ---- */

static void compare_next(struct sample_run *run) {
    if (run->at == run->n_records)
        compare_end(run);
    else
        entry_read(&run->reader, &run->records[run->at].places);
}

static void note_missing(struct sample_run *run, const struct places *places, const char *how) {
    char item[80];
    if (run->first_missing[0])
        return;
    text_tame(item, sizeof(item), places->item);
    if (*item)
        snprintf(run->first_missing, sizeof(run->first_missing), "%s%s", item, how);
    else
        snprintf(run->first_missing, sizeof(run->first_missing), "object %" PRIu64 " entry %" PRIu64 "%s",
                 places->object, places->entry, how);
}

static void on_compared(struct sample_run *run) {
    const struct entry_reader *reader = &run->reader;
    const struct sample_record *record = &run->records[run->at];
    if (reader->outcome == ENTRY_NONE) {
        /* A loss that was seen stays one, whatever the rest would have said. */
        if (run->first_missing[0])
            compare_end(run);
        else
            fail(run, "entries could not be read back: ", reader->trouble);
        return;
    }
    bool same = digest_equal(&reader->digest, &record->digest);
    if (reader->outcome == ENTRY_GOOD && same)
        run->n_good++;
    else
        note_missing(run, &record->places, reader->outcome == ENTRY_GOOD ? " (it differs)" : "");
    run->at++;
    compare_next(run);
}

static bool records_parse(struct sample_run *run) {
    struct bytes rest = run->captured;
    size_t most = rest.len / RECORD_FIXED_BYTES;
    run->arena = arena_new(RECORDS_BYTES_MAX);
    run->records = run->arena ? arena_array(run->arena, most, sizeof(*run->records)) : NULL;
    while (run->records && rest.len >= RECORD_FIXED_BYTES) {
        struct sample_record *record = &run->records[run->n_records];
        size_t len = (size_t)rest.data[48] << 8 | rest.data[49];
        record->places.object = read_u64(rest.data);
        record->places.entry = read_u64(rest.data + 8);
        memcpy(record->digest.b, rest.data + 16, KEDGE_DIGEST_LEN);
        if (len > rest.len - RECORD_FIXED_BYTES)
            return false;
        record->places.item = arena_text_n(run->arena, (const char *)rest.data + RECORD_FIXED_BYTES, len);
        if (!record->places.item)
            return false;
        rest.data += RECORD_FIXED_BYTES + len;
        rest.len -= RECORD_FIXED_BYTES + len;
        run->n_records++;
    }
    return run->records && rest.len == 0 && run->n_records > 0;
}

/* ---- capture ---- */

static bool source_is_tree(const struct sample_run *run) {
    enum probe_kind kind = run->sample->source.kind;
    return kind == PROBE_ZK_LEAVES || kind == PROBE_ZK_CHILDREN || kind == PROBE_ZK_EXISTS;
}

static void capture_next(struct sample_run *run);

static void keep(struct sample_run *run, const struct candidate *candidate) {
    const char *item = source_is_tree(run) ? "" : candidate->text;
    size_t len = strlen(item);
    uint8_t two[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    if (len > 1024)
        return;
    buffer_u64(&run->blob, candidate->object);
    buffer_u64(&run->blob, run->entry);
    buffer_append(&run->blob, run->reader.digest.b, KEDGE_DIGEST_LEN);
    buffer_append(&run->blob, two, 2);
    buffer_append(&run->blob, item, len);
    run->n_good++;
}

static void on_captured(struct sample_run *run) {
    const struct candidate *candidate = &run->candidates[run->at];
    uint64_t per_object = source_is_tree(run) && run->sample->per_object > 0 ? run->sample->per_object : 1;
    if (run->reader.outcome == ENTRY_NONE) {
        fail(run, "entries could not be read: ", run->reader.trouble);
        return;
    }
    run->n_read++;
    if (run->reader.outcome == ENTRY_GOOD)
        keep(run, candidate);
    if (++run->entry >= per_object) {
        run->entry = 0;
        run->at++;
    }
    capture_next(run);
}

static void on_entry(void *owner) {
    struct sample_run *run = owner;
    if (run->ended)
        return;
    if (run->is_compare)
        on_compared(run);
    else
        on_captured(run);
}

static bool passes(const struct sample *sample, struct bytes content) {
    const char *filter = sample->filter;
    bool any = sample->n_filter_any == 0;
    if (content.len == 0)
        return !filter && any;
    if (filter && !memmem(content.data, content.len, filter, strlen(filter)))
        return false;
    for (size_t i = 0; i < sample->n_filter_any && !any; i++)
        any =
            memmem(content.data, content.len, sample->filter_any[i].data, sample->filter_any[i].len) != NULL;
    return any;
}

static void on_content(void *owner, struct tree_read *read) {
    struct candidate *candidate = owner;
    struct sample_run *run = candidate->run;
    candidate->read_under_way = false;
    if (run->ended)
        return;
    if (read->outcome == TREE_UNKNOWN) {
        fail(run, "candidates could not be read: ", read->trouble);
        return;
    }
    /* One that vanished meanwhile is none. */
    candidate->passed = read->outcome == TREE_THERE && passes(run->sample, read->content);
    if (candidate == &run->candidates[run->at])
        capture_next(run);
}

static void fetch_ahead(struct sample_run *run) {
    while (run->n_asked_ahead < run->n_candidates && run->n_asked_ahead < run->at + AHEAD) {
        struct candidate *candidate = &run->candidates[run->n_asked_ahead++];
        candidate->read_under_way = true;
        candidate->read = (struct tree_read){.what = TREE_CONTENT,
                                             .path = candidate->where,
                                             .synced = &run->synced,
                                             .done = on_content,
                                             .owner = candidate};
        tree_read_start(run->prober->tree, run->source.target, &candidate->read);
    }
}

/* Goes on with the candidate at `at`: passes over those that are none, waits for one whose content is not there. */
static void capture_next(struct sample_run *run) {
    uint32_t limit = run->sample->limit > 0 ? run->sample->limit : KEDGE_SAMPLE_MAX;
    for (; run->at < run->n_candidates && run->n_good < limit; run->at++) {
        struct candidate *candidate = &run->candidates[run->at];
        if (source_is_tree(run)) {
            fetch_ahead(run);
            if (candidate->read_under_way)
                return;
        }
        if (candidate->passed) {
            struct places places = {candidate->object, run->entry, candidate->text};
            entry_read(&run->reader, &places);
            return;
        }
    }
    capture_end(run);
}

/* The digits behind the source's path, joined; a number that does not fit is no object. */
static bool object_of(const struct sample_run *run, const struct candidate *candidate, uint64_t *outp) {
    const char *root = run->sample->source.path,
               *p = source_is_tree(run) ? candidate->where : candidate->text;
    if (source_is_tree(run) && root && strncmp(p, root, strlen(root)) == 0)
        p += strlen(root);
    *outp = 0;
    for (; *p; p++)
        if (*p >= '0' && *p <= '9' &&
            (__builtin_mul_overflow(*outp, 10u, outp) ||
             __builtin_add_overflow(*outp, (unsigned)(*p - '0'), outp)))
            return false;
    return true;
}

static int by_object(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    return x->object < y->object ? -1 : x->object > y->object ? 1 : strcmp(x->where, y->where);
}

static void on_source(void *owner) {
    struct sample_run *run = owner;
    const struct found *found = &run->source.found;
    if (!run->source.answered) {
        fail(run, "nothing to read back is known: ", run->source.trouble);
        return;
    }
    run->candidates = calloc(found->n + 1, sizeof(*run->candidates));
    if (!run->candidates) {
        fail(run, "", "out of memory");
        return;
    }
    for (size_t i = 0; i < found->n; i++) {
        struct candidate *candidate = &run->candidates[run->n_candidates];
        *candidate = (struct candidate){.text = found->texts[i], .where = found->wheres[i], .run = run};
        candidate->passed = !source_is_tree(run);
        run->n_candidates += object_of(run, candidate, &candidate->object) || !source_is_tree(run);
    }
    if (source_is_tree(run))
        qsort(run->candidates, run->n_candidates, sizeof(*run->candidates), by_object);
    run->asked_us = now_us();
    uint32_t ms = run->sample->timeout_ms ? run->sample->timeout_ms : ASK_TIMEOUT_MS_DEFAULT;
    loop_timer_set(&run->timer, run->asked_us + (uint64_t)ms * 1000);
    capture_next(run);
}

/* ---- both ---- */

void sample_start(struct sample_run *run) {
    struct prober *prober = run->prober;
    uint32_t ms = run->sample->timeout_ms ? run->sample->timeout_ms : ASK_TIMEOUT_MS_DEFAULT;
    run->started = true;
    run->asked_us = now_us();
    run->timer = (struct timer){.loop = prober->loop, .due = on_timer, .owner = run};
    run->reader =
        (struct entry_reader){.prober = prober, .sample = run->sample, .done = on_entry, .owner = run};
    if (!run->sample->target) {
        fail(run, "", "the sample names no target");
    } else if (run->is_compare && !records_parse(run)) {
        fail(run, "", "nothing was captured that could be read back");
    } else if (run->is_compare) {
        loop_timer_set(&run->timer, run->asked_us + (uint64_t)ms * 1000);
        compare_next(run);
    } else {
        run->source = (struct ask){.prober = prober,
                                   .probe = &run->sample->source,
                                   .log_path = run->log_path,
                                   .log_offset = run->log_offset,
                                   .done = on_source,
                                   .owner = run};
        ask_start(&run->source);
    }
}

void sample_stop(struct sample_run *run) {
    if (!run->started)
        return;
    for (size_t i = 0; i < run->n_candidates; i++)
        tree_read_stop(&run->candidates[i].read);
    entry_stop(&run->reader);
    ask_stop(&run->source);
    loop_timer_stop(&run->timer);
    buffer_deinit(&run->blob);
    run->arena = arena_free(run->arena);
    free(run->candidates);
    run->started = false;
}
