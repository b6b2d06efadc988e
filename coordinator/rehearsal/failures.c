/* Failures and their budgets (F26), counted once more from what was reported and said, with an arithmetic of its own. What is
 * unreachable is left to others: how long an agent may be away is the engine's own time. Where the engine may rightly be
 * stricter, the count here is the lower one. */
#include "coordinator/rehearsal/internal.h"
#include "coordinator/rehearsal/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_of_kind(const struct heard *h, enum budget_kind kind) {
    bool stays = h->changed || h->in_change; /* its promotion or its return failed: it is what it was */
    if (h->retired || (h->left_out && kind != BUDGET_SKIPPED))
        return false;
    switch (kind) {
    case BUDGET_FAILED:
        return h->outcome == OUTCOME_RETURNED ||
               ((h->outcome == OUTCOME_FAILED || h->outcome == OUTCOME_REFUSED) && !stays);
    case BUDGET_HELD: return h->outcome == OUTCOME_HELD;
    case BUDGET_QUARANTINED: return h->outcome == OUTCOME_QUARANTINED && !stays;
    case BUDGET_SKIPPED: return h->left_out;
    case BUDGET_UNREACHABLE: return false;
    }
    return false;
}

struct amount {
    uint32_t n, n_present;
};

/* Of the run, or of one wave of it. */
static struct amount count(const struct run *run, const struct trial *trial, uint32_t wave,
                           enum budget_kind kind) {
    struct amount all = {0, 0};
    for (uint32_t i = 0; i < trial->n_members; i++) {
        if (wave < run->plan->shape.n_waves && run->members[i].wave != wave)
            continue;
        all.n += is_of_kind(&trial->heard[i], kind);
        all.n_present += !trial->heard[i].retired;
    }
    return all;
}

/* No part of a member is a member: of nine, 10 % are none. */
static bool allows(const struct budget *budgets, size_t n_budgets, enum budget_kind kind, struct amount all,
                   bool otherwise) {
    for (size_t i = 0; i < n_budgets; i++)
        if (budgets[i].kind == kind)
            return all.n <= budgets[i].count &&
                   (budgets[i].percent == 0 ||
                    (uint64_t)all.n * 100 <= (uint64_t)budgets[i].percent * all.n_present);
    return otherwise;
}

static bool is_over(const struct run *run, const struct trial *trial, uint32_t wave, enum budget_kind kind) {
    const struct shape *shape = &run->plan->shape;
    bool of_wave = wave < shape->n_waves, limited = kind != BUDGET_SKIPPED && kind != BUDGET_UNREACHABLE;
    struct amount all = count(run, trial, wave, kind);
    const struct budget *budgets = of_wave ? shape->waves[wave].budgets : shape->budgets;
    size_t n_budgets = of_wave ? shape->waves[wave].n_budgets : shape->n_budgets;
    bool allowed = allows(budgets, n_budgets, kind, all, of_wave || !limited || all.n == 0);
    return !allowed && all.n > trial->accepted[wave][kind];
}

static uint32_t whole(const struct run *run) {
    return (uint32_t)run->plan->shape.n_waves;
}

static bool is_over_for(const struct run *run, const struct trial *trial, uint32_t member,
                        enum budget_kind kind) {
    return is_over(run, trial, whole(run), kind) || is_over(run, trial, run->members[member].wave, kind);
}

static void halt(const struct run *run, struct trial *trial, uint32_t member, const char *what,
                 bool by_budget) {
    trial->halted_by = member;
    trial->by_budget = by_budget;
    snprintf(trial->halted, sizeof(trial->halted), "%.60s: %.60s", run->members[member].order->member, what);
}

/* Also when it was paused before, by whatever: who resumes it has to read this too. */
static void pause_is_said(struct world *w, const struct run *run, uint32_t member, enum budget_kind kind) {
    bool says = run->aborting || (run->state != RUN_WAVES && run->state != RUN_RETURNING);
    for (size_t i = 0; i < run->n_pauses; i++)
        says = says || run->pauses[i].kind == (enum pause_kind)(PAUSE_BUDGET + kind);
    if (!says)
        world_fail(w, "F26: with %s more are %s than the plan allows, and the run is not paused by it",
                   run->members[member].order->member, budget_kind_text(kind));
}

void failures_reported(struct world *w, const struct run *run, struct trial *trial, uint32_t member,
                       const char *step) {
    const struct heard *h = &trial->heard[member];
    char what[96];
    enum wave_kind kind = run->plan->shape.waves[run->members[member].wave].kind;
    bool one_by_one = kind == WAVE_CANARY || kind == WAVE_ROLLING; /* of a barrier, barrier.c judges */
    if (h->outcome == OUTCOME_DONE || h->outcome == OUTCOME_WAITS || !one_by_one)
        return;
    snprintf(what, sizeof(what), "%.20s %.40s", step, outcome_text(h->outcome));
    if (w->witness.gives_away) { /* whatever the budget: nobody knows what it did */
        halt(run, trial, member, what, false);
        return;
    }
    bool ends_run = kind == WAVE_CANARY && h->outcome != OUTCOME_HELD; /* whatever the budget */
    for (unsigned k = 0; k < BUDGETS; k++)
        if (is_of_kind(h, (enum budget_kind)k) && is_over_for(run, trial, member, (enum budget_kind)k)) {
            halt(run, trial, member, what, true);
            if (!ends_run)
                pause_is_said(w, run, member, (enum budget_kind)k);
        }
    if (!is_of_kind(h, BUDGET_FAILED) && !is_of_kind(h, BUDGET_QUARANTINED) && h->outcome != OUTCOME_HELD)
        halt(run, trial, member, what, false); /* it may be tried again: by a person */
}

/* A word about one member may put a budget right again, and may break one. */
void failures_word(const struct run *run, struct trial *trial, uint32_t member, enum run_event word) {
    bool over = false;
    bool lifts = word == RUN_EVENT_RETRY || word == RUN_EVENT_SKIP || word == RUN_EVENT_RETIRE;
    for (unsigned k = 0; k < BUDGETS; k++)
        for (uint32_t wave = 0; wave <= whole(run); wave++)
            over = over || is_over(run, trial, wave, (enum budget_kind)k);
    if (trial->halted[0] && trial->by_budget && lifts && !over)
        trial->halted[0] = 0;
    bool pausable = run->state == RUN_WAVES || run->state == RUN_RETURNING;
    if (word == RUN_EVENT_SKIP && pausable && !run->aborting && trial->heard[member].left_out &&
        is_over_for(run, trial, member, BUDGET_SKIPPED))
        halt(run, trial, member, "skipped", true);
}

void failures_accept(const struct run *run, struct trial *trial) {
    for (unsigned k = 0; k < BUDGETS; k++)
        for (uint32_t wave = 0; wave <= whole(run); wave++)
            trial->accepted[wave][k] = count(run, trial, wave, (enum budget_kind)k).n;
}

/* ---- quarantine, counted once more from the signed orders and from what agents blamed ---- */

/* Zeroes: nothing new. */
static struct digest leads_to(const struct work_order *order) {
    struct digest what = {{0}};
    for (size_t i = 0; i < order->n_generations; i++)
        if (order->generations[i].has_manifest)
            what = order->generations[i].manifest;
        else if (order->generations[i].render)
            what = order->generations[i].render->new_digest;
    return what;
}

static bool lifts(const struct verified_plan *plan, const struct digest *what) {
    bool found = false;
    for (size_t i = 0; i < plan->header.n_lifts; i++)
        found = found || digest_equal(&plan->header.lifts[i], what);
    return found;
}

void blames_heard(struct world *w, const struct run *run, const struct engine_report *report) {
    static const struct digest none;
    struct witness *wit = &w->witness;
    uint32_t member = run_member_index(run, report->member);
    bool blamed = report->blames && (report->outcome == OUTCOME_RETURNED || report->outcome == OUTCOME_HELD);
    if (member == NO_MEMBER || !(blamed || report->outcome == OUTCOME_QUARANTINED))
        return;
    struct digest what = leads_to(run->plan->orders[member]);
    bool known = digest_equal(&what, &none);
    for (size_t i = 0; i < wit->n_failed; i++)
        known = known || (wit->failed[i].run == run->id && digest_equal(&wit->failed[i].what, &what));
    if (known)
        return;
    wit->failed = realloc(wit->failed, (wit->n_failed + 1) * sizeof(*wit->failed));
    if (!wit->failed)
        abort();
    wit->failed[wit->n_failed++] = (struct blamed){what, run->id, engine_n_runs(w->engine)};
}

void blames_over(struct world *w, const struct run *run) {
    struct witness *wit = &w->witness;
    size_t n = 0, before = 0;
    while (engine_run_at(w->engine, before) != run)
        before++;
    for (size_t i = 0; i < wit->n_failed; i++)
        if (wit->failed[i].n_runs > before || !lifts(run->plan, &wit->failed[i].what))
            wit->failed[n++] = wit->failed[i];
    wit->n_failed = n;
}

/* A run may go on with what failed in itself: that is for its budgets. */
void blames_judge(struct world *w, const struct run *run, uint32_t member, const char *what) {
    struct digest leads = leads_to(run->plan->orders[member]);
    for (size_t i = 0; i < w->witness.n_failed; i++) {
        const struct blamed *before = &w->witness.failed[i];
        if (before->run != run->id && digest_equal(&before->what, &leads) && !lifts(run->plan, &leads))
            world_fail(w, "18: %s %s, and what it leads to failed in run %llu; nobody has signed for that",
                       run->members[member].order->member, what, (unsigned long long)before->run);
    }
}
