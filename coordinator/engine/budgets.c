/* Budgets of failures (F26), judged whenever one more member is in trouble: in every state of the run that can be paused,
 * paused or waiting for a person included. The counts are kept up with every move of a member, so that judging costs the
 * same in every fleet; only a breach walks through the members, to name all of them.
 *
 * `run resume` accepts what is: only one more of the kind is a breach again. What fails before the first stop, and a canary
 * that fails, end the run whatever the budget (advance.c). */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- counting ---- */

static bool counts_as(const struct run_member *m, enum budget_kind kind) {
    switch (kind) {
    case BUDGET_FAILED: return m->state == MEMBER_FAILED || m->state == MEMBER_RETURNED;
    case BUDGET_UNREACHABLE:
        return m->is_away && m->state != MEMBER_SKIPPED && !member_state_is_gone(m->state);
    case BUDGET_SKIPPED: return m->state == MEMBER_SKIPPED;
    case BUDGET_HELD: return m->state == MEMBER_HELD;
    case BUDGET_QUARANTINED: return m->state == MEMBER_QUARANTINED;
    }
    return false;
}

static struct budget_count *count_of_wave(const struct run *run, uint32_t wave) {
    return wave < run->plan->shape.n_waves ? &run->wave_counts[wave] : NULL;
}

static void count_change(struct budget_count *count, enum budget_kind kind, bool adds) {
    count->n[kind] += adds ? 1 : -1u;
    if (count->accepted[kind] > count->n[kind])
        count->accepted[kind] = count->n[kind];
}

/* Before a member changes, and after it. */
void budget_count(struct run *run, const struct run_member *m, bool adds) {
    struct budget_count *wave = count_of_wave(run, m->wave);
    for (unsigned k = 0; k < BUDGETS; k++) {
        if (!counts_as(m, (enum budget_kind)k))
            continue;
        count_change(&run->count, (enum budget_kind)k, adds);
        if (wave)
            count_change(wave, (enum budget_kind)k, adds);
    }
    if (wave && member_state_is_gone(m->state))
        wave->n_gone += adds ? 1 : -1u;
}

/* `run resume` */
void budgets_accept(struct run *run) {
    memcpy(run->count.accepted, run->count.n, sizeof(run->count.n));
    for (size_t w = 0; w < run->plan->shape.n_waves; w++)
        memcpy(run->wave_counts[w].accepted, run->wave_counts[w].n, sizeof(run->count.n));
}

/* ---- judging ---- */

uint32_t run_budget(const struct run *run, enum budget_kind kind) {
    const struct shape *shape = &run->plan->shape;
    uint32_t n = KEDGE_MUTANT(retired_in_budget) ? run->n_members : run_n_present(run);
    return budget_allows(shape->budgets, shape->n_budgets, kind, n, budget_default(kind));
}

uint32_t run_wave_budget(const struct run *run, uint32_t wave, enum budget_kind kind) {
    const struct wave *w = &run->plan->shape.waves[wave];
    uint32_t n_present = (uint32_t)w->n_members - run->wave_counts[wave].n_gone;
    return budget_allows(w->budgets, w->n_budgets, kind, n_present, BUDGET_NO_LIMIT);
}

static bool is_over(const struct budget_count *count, enum budget_kind kind, uint32_t allowed) {
    return count->n[kind] > allowed + KEDGE_MUTANT(budget_off_by_one) &&
           count->n[kind] > count->accepted[kind];
}

static bool wave_is_over(const struct run *run, uint32_t wave, enum budget_kind kind) {
    return !KEDGE_MUTANT(budget_of_wave_ignored) &&
           is_over(&run->wave_counts[wave], kind, run_wave_budget(run, wave, kind));
}

bool budget_is_over(const struct run *run, enum budget_kind kind) {
    bool over = is_over(&run->count, kind, run_budget(run, kind));
    for (uint32_t w = 0; !over && w < run->plan->shape.n_waves; w++)
        over = wave_is_over(run, w, kind);
    return over;
}

/* ---- saying ---- */

static const char *how(const struct run_member *m, enum budget_kind kind) {
    if (kind == BUDGET_UNREACHABLE)
        return "is away: its agent is not connected";
    return m->state == MEMBER_RETURNED      ? "failed and was returned by its agent"
           : m->state == MEMBER_HELD        ? "is held by its agent"
           : m->state == MEMBER_SKIPPED     ? "was left out"
           : m->state == MEMBER_QUARANTINED ? "is refused by its agent"
                                            : "failed before its stop";
}

/* The members, in so many bytes; who finds no room is counted. */
static size_t say_members(const struct run *run, enum budget_kind kind, char *text, size_t size) {
    size_t used = 0;
    uint32_t n = 0, n_left_out = 0;
    for (uint32_t i = 0; n < run->count.n[kind] && i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        char one[KEDGE_REASON_MAX];
        if (!counts_as(m, kind))
            continue;
        bool says = kind != BUDGET_UNREACHABLE && m->reason && *m->reason;
        int len = snprintf(one, sizeof(one), "%s%s %s%s%s", n ? "; " : "", m->order->member, how(m, kind),
                           says ? ": " : "", says ? m->reason : "");
        n++;
        if (n_left_out > 0 || len < 0 || used + (size_t)len + 1 >= size) {
            n_left_out++;
            continue;
        }
        memcpy(text + used, one, (size_t)len + 1);
        used += (size_t)len;
    }
    if (n_left_out > 0)
        used += (size_t)snprintf(text + used, 32, "%s%u more", used ? "; and " : "", n_left_out);
    return used;
}

enum { SAY_LIMIT = 160, SAY_MORE = 32 }; /* bytes that are kept free for the end of the sentence */

static void breach(struct run *run, enum budget_kind kind, uint32_t wave) {
    char text[KEDGE_REASON_MAX];
    bool of_run = is_over(&run->count, kind, run_budget(run, kind));
    uint32_t n = of_run ? run->count.n[kind] : run->wave_counts[wave].n[kind];
    uint32_t allowed = of_run ? run_budget(run, kind) : run_wave_budget(run, wave, kind);
    size_t used = say_members(run, kind, text, sizeof(text) - SAY_LIMIT - SAY_MORE);
    snprintf(text + used, sizeof(text) - used, "; budget: %u %s in %s%.64s, %u allowed", n,
             budget_kind_text(kind), of_run ? "the run" : "wave ",
             of_run ? "" : run->plan->shape.waves[wave].name, allowed);
    run_pause(run, (enum pause_kind)(PAUSE_BUDGET + kind), NO_MEMBER, "%s%s",
              kind == BUDGET_HELD ? "ALARM: " : "", text);
}

/* One more member is so. */
void budget_judge(struct run *run, uint32_t member, enum budget_kind kind) {
    uint32_t wave = run->members[member].wave;
    bool over = is_over(&run->count, kind, run_budget(run, kind)) ||
                (wave < run->plan->shape.n_waves && wave_is_over(run, wave, kind));
    if (over && !(run->paused && KEDGE_MUTANT(budget_not_while_paused)))
        breach(run, kind, wave);
}

/* ---- who is away ---- */

static void away_commit(struct run *run, uint32_t member, bool is_away) {
    commit(run->engine,
           (struct record){.kind = RECORD_MEMBER_AWAY, .run = run->id, .member = member, .number = is_away},
           NULL);
}

bool away_fold(struct run *run, const struct record *record) {
    struct run_member *m = &run->members[record->member];
    if (record->number > 1)
        return false;
    budget_count(run, m, false);
    m->is_away = record->number == 1;
    budget_count(run, m, true);
    return true;
}

/* Its agent may come back for a while before it counts: a restart is no trouble. */
void away_wait(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    const struct node *node = &run->engine->nodes[m->node];
    if (run->state == RUN_ENDED || node->up || m->is_away || member_state_is_gone(m->state))
        return;
    uint64_t since_ms = node->gone_ms > run->begun_ms ? node->gone_ms : run->begun_ms;
    timer_set(run->engine, &m->away, since_ms + AWAY_MS);
}

void away_due(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    if (run->state == RUN_ENDED || run->engine->nodes[m->node].up || m->is_away ||
        member_state_is_gone(m->state))
        return;
    away_commit(run, member, true);
    budget_judge(run, member, BUDGET_UNREACHABLE);
}

void away_over(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    timer_clear(run->engine, &m->away);
    if (m->is_away && run->state != RUN_ENDED)
        away_commit(run, member, false);
}

/* After a restart, and when a run that had ended is taken up again. */
void away_look(struct run *run) {
    for (uint32_t i = 0; i < run->n_members; i++)
        if (run->engine->nodes[run->members[i].node].up)
            away_over(run, i);
        else
            away_wait(run, i);
}
