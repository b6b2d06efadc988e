/* What failed by itself, in whichever run, on whichever cluster (lesson 18): no other run begins with it, and one that has
 * begun is paused before its next change. The set is the fold of the reports in the journal: an agent says that what it had
 * started is to blame, or that it refuses what failed on its node before; the digest is of the signed order, never of what
 * an agent says. A run's own failures are its budgets' to judge; operators lift a quarantine by a plan that names it in its
 * header, and the run of that plan ends it when it ends as done. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <string.h>

/* The oldest; none of run `not_of` (0: of whichever). */
static const struct quarantine *find(const struct engine *engine, const struct digest *what,
                                     uint64_t not_of) {
    for (size_t i = 0; i < engine->n_quarantines; i++)
        if (digest_equal(&engine->quarantines[i].what, what) && engine->quarantines[i].run != not_of)
            return &engine->quarantines[i];
    return NULL;
}

static bool has_failed_in(const struct run *run, const struct digest *what) {
    for (size_t i = 0; i < run->engine->n_quarantines; i++)
        if (digest_equal(&run->engine->quarantines[i].what, what) &&
            run->engine->quarantines[i].run == run->id)
            return true;
    return false;
}

/* ---- entering and leaving ---- */

/* Zeroes: nothing is to blame. */
struct digest quarantine_digest(const struct run_member *m, const struct engine_report *report) {
    struct digest what = {{0}};
    bool failed = report->blames && (report->outcome == OUTCOME_RETURNED || report->outcome == OUTCOME_HELD);
    if (failed || report->outcome == OUTCOME_QUARANTINED)
        (void)quarantine_subject(m->order, &what);
    return what;
}

/* One for each run in which it failed: a run is not stopped by its own, but by any other. */
void quarantine_fold(struct run *run, const struct record *record) {
    static const struct digest none;
    struct engine *engine = run->engine;
    if (digest_equal(&record->digest, &none) || has_failed_in(run, &record->digest) ||
        (KEDGE_MUTANT(replay_drops_quarantine) && !engine->actions))
        return;
    engine->quarantines =
        must(realloc(engine->quarantines, (engine->n_quarantines + 1) * sizeof(*engine->quarantines)));
    engine->quarantines[engine->n_quarantines++] = (struct quarantine){.what = record->digest,
                                                                       .run = run->id,
                                                                       .member = record->member,
                                                                       .since_ms = record->at_ms,
                                                                       .reason = text_copy(record->text)};
}

/* What had failed before it, and it was signed to try again, has proven itself on every member that it was for. */
void quarantine_over(struct run *run) {
    struct engine *engine = run->engine;
    size_t n_left = 0;
    for (size_t i = 0; i < engine->n_quarantines; i++) {
        struct quarantine *q = &engine->quarantines[i];
        if (quarantine_is_lifted(&run->plan->header, &q->what) && q->since_ms < run->begun_ms)
            free(q->reason);
        else
            engine->quarantines[n_left++] = *q;
    }
    engine->n_quarantines = n_left;
}

void quarantines_deinit(struct engine *engine) {
    for (size_t i = 0; i < engine->n_quarantines; i++)
        free(engine->quarantines[i].reason);
    free(engine->quarantines);
}

/* ---- what it forbids ---- */

/* Why this plan is not to lead the member on, or NULL. `run`: its own failures are not counted; 0: all are. */
static const struct quarantine *forbids(const struct engine *engine, const struct verified_plan *plan,
                                        uint32_t member, uint64_t run) {
    struct digest what;
    if (engine->n_quarantines == 0 || !quarantine_subject(plan->orders[member], &what) ||
        quarantine_is_lifted(&plan->header, &what))
        return NULL;
    return find(engine, &what, run);
}

int quarantine_check(const struct engine *engine, const struct verified_plan *plan, struct actions *actions) {
    char text[KEDGE_REASON_MAX];
    for (uint32_t i = 0; i < plan->n_orders && !KEDGE_MUTANT(quarantine_applied); i++) {
        const struct quarantine *q = forbids(engine, plan, i, 0);
        if (!q)
            continue;
        engine_quarantine_text(engine, q, text, sizeof(text));
        return engine_refuse(
            actions,
            "%s: what the plan leads to is quarantined: %s; a plan that may try it again is made "
            "with --lift-quarantine",
            plan->orders[i]->member, text);
    }
    return 0;
}

/* Asked before every change; true when the run is paused by it. */
bool quarantine_stops(struct run *run, uint32_t member) {
    char text[KEDGE_REASON_MAX];
    const struct quarantine *q =
        run->state == RUN_RETURNING ? NULL : forbids(run->engine, run->plan, member, run->id);
    if (!q || KEDGE_MUTANT(quarantine_not_stopping))
        return false;
    engine_quarantine_text(run->engine, q, text, sizeof(text));
    run_pause(
        run, PAUSE_QUARANTINE, NO_MEMBER,
        "what the plan leads to is quarantined since it began: %s; abort it or roll it back, or supersede it "
        "by a plan that is made with --lift-quarantine",
        text);
    return true;
}

/* ---- looking ---- */

size_t engine_n_quarantines(const struct engine *engine) {
    return engine->n_quarantines;
}

const struct quarantine *engine_quarantine_at(const struct engine *engine, size_t index) {
    return index < engine->n_quarantines ? &engine->quarantines[index] : NULL;
}

const struct quarantine *engine_quarantine(const struct engine *engine, const struct digest *what) {
    return find(engine, what, 0);
}

void engine_quarantine_text(const struct engine *engine, const struct quarantine *q, char *out, size_t size) {
    const struct run *run = run_find(engine, q->run);
    snprintf(out, size, "it failed on %s in run %llu: %.250s", run->members[q->member].order->member,
             (unsigned long long)q->run, q->reason);
}

void quarantines_dump(const struct engine *engine, struct buffer *out) {
    for (size_t i = 0; i < engine->n_quarantines; i++) {
        const struct quarantine *q = &engine->quarantines[i];
        char what[KEDGE_DIGEST_TEXT_SIZE];
        digest_format(what, &q->what);
        buffer_format(out, "quarantined %s by member %u of run %llu since %llu \"%s\"\n", what, q->member,
                      (unsigned long long)q->run, (unsigned long long)q->since_ms, q->reason);
    }
}
