/* Which member is next: a wave is a set, and its order is asked live. A canary that has soaked read-only is promoted
 * before anything else begins; then come members that are broken already (F13), then those that are not last by the
 * wave's gate (F16), then those of which that is unknown, and the last one alone. */
#include "coordinator/engine/internal.h"

#include <string.h>

enum rank { RANK_BROKEN, RANK_PLAIN, RANK_UNSURE, RANK_LAST, RANK_NONE };

static enum rank rank_of(const struct run_member *m) {
    if (m->own.answered && m->own.answer == ANSWER_NO && !KEDGE_MUTANT(broken_come_late))
        return RANK_BROKEN;
    if (!m->own.with_last)
        return RANK_PLAIN;
    switch (m->own.last) {
    case ANSWER_YES: return KEDGE_MUTANT(last_comes_first) ? RANK_BROKEN : RANK_LAST;
    case ANSWER_NO: return RANK_PLAIN;
    case ANSWER_UNKNOWN: break;
    }
    return RANK_UNSURE;
}

/* How many may be in change at once: the count, and the percentage of the cluster's members, whichever is less (F14). */
static uint32_t wave_limit(const struct run *run, const struct wave *wave) {
    uint32_t limit = wave->limit_count;
    if (wave->limit_percent > 0 && !KEDGE_MUTANT(percent_ignored)) {
        uint32_t n = KEDGE_MUTANT(retired_in_limit) ? run->n_members : run_n_present(run);
        uint32_t part = (uint32_t)((uint64_t)n * wave->limit_percent / 100);
        part = part > 0 ? part : 1;
        limit = part < limit ? part : limit;
    }
    return limit + KEDGE_MUTANT(limit_off_by_one);
}

static uint32_t n_in_change(const struct run *run) {
    uint32_t n = 0;
    for (unsigned s = 0; s < MEMBER_STATES; s++)
        if (member_state_is_in_change((enum member_state)s))
            n += run->n_state[s];
    return n + (KEDGE_MUTANT(holds_not_counted) ? 0 : run_n_held_back(run));
}

/* The domains in which members are in change. */
struct domains {
    const char *one; /* NULL: none */
    bool several;
};

static void domains_add(struct domains *domains, const struct run_member *m) {
    domains->several |= domains->one && strcmp(domains->one, m->order->domain) != 0;
    domains->one = m->order->domain;
}

/* A hold counts wherever its member stands, and may come while members of another domain are in change. */
static struct domains domains_in_change(const struct run *run, const struct wave *wave) {
    struct domains domains = {NULL, false};
    for (uint32_t i = 0; run->engine->n_held > 0 && i < run->n_members; i++)
        if (member_is_held_back(run, &run->members[i]))
            domains_add(&domains, &run->members[i]);
    for (size_t i = 0; i < wave->n_members; i++)
        if (member_state_is_in_change(run->members[wave->members[i]].state))
            domains_add(&domains, &run->members[wave->members[i]]);
    return domains;
}

static uint32_t choose_promotion(const struct run *run, const struct wave *wave) {
    if (wave->kind != WAVE_CANARY || run->n_state[MEMBER_SOAKING_READ_ONLY] == 0)
        return NO_MEMBER;
    for (size_t i = 0; i < wave->n_members; i++) {
        const struct run_member *m = &run->members[wave->members[i]];
        if (m->state == MEMBER_SOAKING_READ_ONLY && (m->soaked || KEDGE_MUTANT(promoted_unsoaked)) &&
            m->own.answer == ANSWER_YES && !member_is_held_back(run, m))
            return wave->members[i];
    }
    return NO_MEMBER;
}

/* The way back begins with members that were in change when it was asked for: they take no room that they had not. */
static uint32_t choose_open(const struct run *run, const struct wave *wave) {
    for (size_t i = 0; i < wave->n_members; i++) {
        enum member_state state = run->members[wave->members[i]].state;
        if (member_state_is_in_change(state) && member_state_is_changed(state) &&
            !member_is_held_back(run, &run->members[wave->members[i]]))
            return wave->members[i];
    }
    return NO_MEMBER;
}

static bool wants_change(const struct run *run, const struct run_member *m) {
    if (member_is_held_back(run, m))
        return false;
    return run->state == RUN_RETURNING ? member_state_is_changed(m->state) : m->state == MEMBER_PREPARED;
}

/* The best of the wave, and whether all that is left of it is last by its gate. */
static uint32_t choose_next(const struct run *run, const struct wave *wave) {
    struct domains domains = {NULL, false};
    uint32_t best = NO_MEMBER, n_left = 0, n_last = 0;
    enum rank best_rank = RANK_NONE;
    if (wave->one_domain && !KEDGE_MUTANT(two_domains))
        domains = domains_in_change(run, wave);
    for (size_t i = 0; i < wave->n_members; i++) {
        const struct run_member *m = &run->members[wave->members[i]];
        n_left += KEDGE_MUTANT(last_beside_change) ? wants_change(run, m) : !member_state_is_over(m->state);
        if (!wants_change(run, m))
            continue;
        enum rank rank = run->state == RUN_RETURNING ? RANK_PLAIN : rank_of(m);
        n_last += rank == RANK_LAST;
        bool fits = !domains.several && (!domains.one || strcmp(domains.one, m->order->domain) == 0);
        if (rank < best_rank && fits) {
            best_rank = rank;
            best = wave->members[i];
        }
    }
    return best_rank == RANK_LAST && n_left > n_last && !KEDGE_MUTANT(last_not_awaited) ? NO_MEMBER : best;
}

/* Asked before anybody is: while the wave is full, nobody's evidence is needed. */
bool choose_has_room(const struct run *run) {
    const struct wave *wave = &run->plan->shape.waves[run->wave];
    if (run->aborting)
        return abort_next(run) != NO_MEMBER;
    uint32_t member = run->state == RUN_RETURNING ? choose_open(run, wave) : choose_promotion(run, wave);
    return member != NO_MEMBER || n_in_change(run) < wave_limit(run, wave);
}

uint32_t choose_change(const struct run *run, const char **step) {
    const struct wave *wave = &run->plan->shape.waves[run->wave];
    bool back = run_takes_back(run);
    *step = back ? "return" : "promote";
    if (run->aborting)
        return abort_next(run);
    uint32_t member = back ? choose_open(run, wave) : choose_promotion(run, wave);
    if (member != NO_MEMBER || n_in_change(run) >= wave_limit(run, wave))
        return member;
    *step = back ? "return" : "switch";
    return choose_next(run, wave);
}
