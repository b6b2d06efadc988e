/* The rules of an order and of a claim, each said once more in other words than the engine's. Where the engine may rightly
 * be more careful than the rule (a late answer, a word that is under way), the rule here is the weaker one: what it
 * refuses was wrong. */
#include "coordinator/rehearsal/internal.h"
#include "coordinator/rehearsal/witness.h"

#include <string.h>

/* Who is done is looked at every second, and two of those noes are a relapse; other questions hear of it sooner. */
enum { SLACK_MS = 2, NOES_OF_A_RELAPSE = 8, RELAPSE_KNOWN_MS = 4000, BROKEN_KNOWN_MS = 2500 };

static const char *name_of(const struct run *run, uint32_t member) {
    return run->members[member].order->member;
}

static bool is_held(const struct world *w, const struct heard *h) {
    return w->witness.nodes[h->node].held_until_ms > w->witness.now_ms;
}

static bool is_young(const struct world *w, const struct trial *trial, const struct asking *asking,
                     uint32_t age_ms) {
    return asking->answered && asking->id == 0 && asking->change == trial->n_changes &&
           w->witness.now_ms <= asking->seen_ms + age_ms + SLACK_MS;
}

static bool is_broken(const struct heard *h) {
    return h->own.answered && !h->own.late && h->own.id == 0 && h->own.answer == ANSWER_NO;
}

/* ---- invariant 1: who must have said yes ---- */

/* All others that are not in change, each by its own agent; a no holds nobody back who serves nothing himself. */
static void others_said_yes(struct world *w, const struct run *run, const struct trial *trial,
                            uint32_t member, const char *step) {
    const struct heard *self = &trial->heard[member];
    for (uint32_t i = 0; i < trial->n_members; i++) {
        const struct heard *h = &trial->heard[i];
        struct gates_asked gates = own_gates(run, i, stage_step(run, trial, i));
        if (i == member || h->in_change || h->retired || is_held(w, h) || gates.n == 0)
            continue;
        bool no_matters = !is_broken(self);
        bool away = !w->witness.nodes[h->node].up;
        bool young = is_young(w, trial, &h->own, h->own.answer == ANSWER_YES ? gates.age_ms : UINT32_MAX);
        if (away)
            world_fail(w, "1: %s is ordered to %s and the agent of %s is away", name_of(run, member), step,
                       name_of(run, i));
        else if (!young)
            world_fail(w, "1: %s is ordered to %s and %s has said nothing since the last change",
                       name_of(run, member), step, name_of(run, i));
        else if (h->own.answer == ANSWER_UNKNOWN || (h->own.answer == ANSWER_NO && no_matters))
            world_fail(w, "1: %s is ordered to %s and of %s its own agent says %s", name_of(run, member),
                       step, name_of(run, i), answer_text(h->own.answer));
    }
}

/* A node that is itself in change, held or away must not vouch for the cluster. */
static bool changes_elsewhere(const struct world *w, const struct trial *trial, uint32_t node) {
    for (size_t t = 0; t < w->witness.n_trials; t++)
        for (uint32_t i = 0; &w->witness.trials[t] != trial && i < w->witness.trials[t].n_members; i++)
            if (w->witness.trials[t].heard[i].node == node && w->witness.trials[t].heard[i].in_change)
                return true;
    return false;
}

static bool may_speak(const struct world *w, const struct trial *trial, uint32_t node) {
    bool anybody = false;
    if (changes_elsewhere(w, trial, node))
        return false;
    for (uint32_t i = 0; i < trial->n_members; i++) {
        const struct heard *h = &trial->heard[i];
        if (h->node != node)
            continue;
        if (h->in_change || is_held(w, h))
            return false;
        anybody = anybody || !h->retired;
    }
    return anybody && w->witness.nodes[node].up;
}

static const char *domain_of(const struct run *run, const struct trial *trial, uint32_t node) {
    for (uint32_t i = 0; i < trial->n_members; i++)
        if (trial->heard[i].node == node)
            return run->members[i].order->domain;
    return "";
}

static bool differ(const char *a, const char *b) {
    return !a[0] || !b[0] || strcmp(a, b) != 0;
}

struct speakers {
    uint32_t n;
    bool domains; /* two of them are of different ones */
    uint32_t node[SPEAKERS];
};

static void speaker_add(struct speakers *s, const struct run *run, const struct trial *trial, uint32_t node) {
    for (uint32_t i = 0; i < s->n && i < SPEAKERS; i++)
        if (s->node[i] == node)
            return;
    s->domains =
        s->domains || (s->n > 0 && differ(domain_of(run, trial, s->node[0]), domain_of(run, trial, node)));
    if (s->n < SPEAKERS)
        s->node[s->n] = node;
    s->n++;
}

static void cluster_said_yes(struct world *w, const struct run *run, const struct trial *trial,
                             uint32_t member, const char *step) {
    const struct shape *shape = &run->plan->shape;
    const struct heard *self = &trial->heard[member];
    struct gates_asked gates = cluster_gates(run, shape->may_stop, shape->n_may_stop);
    struct speakers could = {.n = 0}, did = {.n = 0};
    for (uint32_t i = 0; i < trial->n_members; i++)
        if (trial->heard[i].node != self->node && may_speak(w, trial, trial->heard[i].node))
            speaker_add(&could, run, trial, trial->heard[i].node);
    for (size_t i = 0; i < VOICES; i++) {
        const struct asking *voice = &self->may_stop[i];
        bool speaks = could.n == 0 || (voice->node != self->node && may_speak(w, trial, voice->node));
        if (speaks && voice->answer == ANSWER_YES && is_young(w, trial, voice, gates.age_ms))
            speaker_add(&did, run, trial, voice->node);
    }
    uint32_t needed = could.n < SPEAKERS ? could.n : SPEAKERS;
    if (gates.n == 0)
        return;
    if (did.n < (needed ? needed : 1))
        world_fail(w,
                   "1: %s is ordered to %s and %u of %u nodes that could speak for the cluster have said yes",
                   name_of(run, member), step, did.n, needed ? needed : 1);
    else if (could.domains && needed == SPEAKERS && !did.domains)
        world_fail(w, "1: %s is ordered to %s and both who spoke for the cluster are of one failure domain",
                   name_of(run, member), step);
}

/* ---- the order of a wave ---- */

static bool waits_as_last(const struct world *w, const struct run *run, const struct trial *trial,
                          uint32_t i) {
    return run->members[i].state == MEMBER_PREPARED && trial->heard[i].last == ANSWER_YES &&
           !is_held(w, &trial->heard[i]);
}

/* F13: who serves nothing goes first; nobody is made worse. */
static void broken_first(struct world *w, const struct run *run, const struct trial *trial, uint32_t member,
                         const char *what, uint32_t for_ms) {
    const struct wave *wave = &run->plan->shape.waves[run->members[member].wave];
    for (size_t k = 0; k < wave->n_members && !is_broken(&trial->heard[member]); k++) {
        uint32_t i = wave->members[k];
        const struct heard *h = &trial->heard[i];
        bool same = strcmp(run->members[i].order->domain, run->members[member].order->domain) == 0;
        bool waits =
            run->members[i].state == MEMBER_PREPARED && is_broken(h) && h->own.change == trial->n_changes;
        bool long_so =
            for_ms == 0 || (h->n_noes > 1 && h->noes_since_ms + for_ms <= w->witness.now_ms &&
                            h->own.seen_ms + for_ms > w->witness.now_ms && w->witness.nodes[h->node].up);
        if (i != member && waits && long_so && !is_held(w, h) && (same || !wave->one_domain))
            world_fail(w, "F13: %s %s before %s, which is broken", name_of(run, member), what,
                       name_of(run, i));
    }
}

static void last_is_last(struct world *w, const struct run *run, const struct trial *trial, uint32_t member) {
    const struct wave *wave = &run->plan->shape.waves[run->members[member].wave];
    const struct heard *self = &trial->heard[member];
    for (size_t k = 0; wave->has_last && self->last == ANSWER_YES && !self->own.late && k < wave->n_members;
         k++) {
        uint32_t i = wave->members[k];
        if (i != member && !is_broken(self) && !member_state_is_over(run->members[i].state) &&
            !waits_as_last(w, run, trial, i))
            world_fail(w, "F16: %s goes last and is ordered to switch before %s is done",
                       name_of(run, member), name_of(run, i));
    }
}

static bool failed(enum outcome outcome) {
    return outcome == OUTCOME_RETURNED || outcome == OUTCOME_HELD || outcome == OUTCOME_FAILED ||
           outcome == OUTCOME_REFUSED;
}

static void waves_before(struct world *w, const struct run *run, const struct trial *trial, uint32_t member) {
    const struct shape *shape = &run->plan->shape;
    for (uint32_t k = 0; k < run->members[member].wave; k++)
        for (size_t n = 0; n < shape->waves[k].n_members; n++) {
            uint32_t i = shape->waves[k].members[n];
            const struct heard *h = &trial->heard[i];
            if (shape->waves[k].kind == WAVE_CANARY && failed(h->outcome) && !h->left_out)
                world_fail(w, "F18: %s is ordered to switch and canary %s was %s", name_of(run, member),
                           name_of(run, i), outcome_text(h->outcome));
            else if (h->in_change)
                world_fail(w, "2: %s is ordered to switch and %s of an earlier wave is in change",
                           name_of(run, member), name_of(run, i));
        }
}

static void waves_behind(struct world *w, const struct run *run, const struct trial *trial, uint32_t member) {
    for (uint32_t i = 0; i < trial->n_members; i++)
        if (run->members[i].wave > run->members[member].wave && trial->heard[i].changed &&
            !trial->heard[i].retired && trial->heard[i].outcome != OUTCOME_HELD)
            world_fail(w, "F21: %s is ordered to return before %s, which was changed after it",
                       name_of(run, member), name_of(run, i));
}

/* ---- runs beside each other ---- */

static bool needs(const struct run *run, const struct run *other) {
    for (size_t i = 0; i < run->plan->shape.n_depends_on; i++)
        if (strcmp(run->plan->shape.depends_on[i], other->plan->header.cluster) == 0)
            return true;
    return strcmp(run->plan->header.cluster, other->plan->header.cluster) == 0;
}

/* An older run that is open holds its cluster, those that it depends on, and those that depend on it. */
void verdict_begins(struct world *w, const struct run *run, uint32_t member, const struct step *step) {
    for (size_t i = 0; engine_run_at(w->engine, i) != run; i++) {
        const struct run *other = engine_run_at(w->engine, i);
        if (other->state != RUN_ENDED && (needs(run, other) || needs(other, run)))
            world_fail(w, "locks: %s is ordered to %s by run %llu while run %llu of %s is open",
                       name_of(run, member), step->name, (unsigned long long)run->id,
                       (unsigned long long)other->id, other->plan->header.cluster);
    }
}

/* ---- how many ---- */

/* Of those that are not gone for good. Who was in change before takes no room that it had not. */
static void room_for_one_more(struct world *w, const struct run *run, const struct trial *trial,
                              uint32_t member, const char *step) {
    const struct wave *wave = &run->plan->shape.waves[run->members[member].wave];
    uint32_t n_present = 0, n = 1;
    for (uint32_t i = 0; i < trial->n_members; i++) {
        const struct heard *h = &trial->heard[i];
        n_present += !h->retired;
        n += i != member && (h->in_change || (is_held(w, h) && !h->retired));
    }
    uint64_t part = (uint64_t)n_present * wave->limit_percent / 100, limit = wave->limit_count;
    if (wave->limit_percent > 0 && part < limit)
        limit = part > 0 ? part : 1;
    if (!trial->heard[member].in_change && n > limit)
        world_fail(w, "2: %s is ordered to %s and %u are in change then, %llu of %u may",
                   name_of(run, member), step, n, (unsigned long long)limit, n_present);
}

/* ---- an order ---- */

static void soaked_read_only(struct world *w, const struct run *run, const struct trial *trial,
                             uint32_t member) {
    const struct heard *h = &trial->heard[member];
    uint32_t needed = run->plan->shape.waves[run->members[member].wave].soak_read_only_ms;
    if (!h->promote_now && h->longest_ms + SLACK_MS < needed)
        world_fail(w, "F03: %s is ordered to promote and was well read-only for %llu ms of %u",
                   name_of(run, member), (unsigned long long)h->longest_ms, needed);
}

/* Only where the plan says so, and only who was changed and not finished. */
static void abort_returns_it(struct world *w, const struct run *run, const struct trial *trial,
                             uint32_t member) {
    if (!run->plan->shape.return_on_abort)
        world_fail(w, "7: %s is ordered to return after the abort, and the plan leaves it",
                   name_of(run, member));
    else if (!trial->heard[member].in_change)
        world_fail(w, "7: %s is ordered to return after the abort, and was finished", name_of(run, member));
}

void verdict_order(struct world *w, const struct run *run, const struct trial *trial, uint32_t member,
                   const struct step *step) {
    const struct heard *h = &trial->heard[member];
    enum wave_kind kind = run->plan->shape.waves[run->members[member].wave].kind;
    if (kind != WAVE_CANARY && kind != WAVE_ROLLING)
        return; /* of a barrier nobody is asked */
    if (h->left_out && step->verb != VERB_REVERT)
        world_fail(w, "F08: %s is ordered to %s and was left out by an operator", name_of(run, member),
                   step->name);
    if (!w->witness.nodes[h->node].up)
        world_fail(w, "4: %s is ordered to %s and its agent is away", name_of(run, member), step->name);
    if (trial->superseded)
        world_fail(w, "9: %s is ordered to %s and a newer plan has overtaken this one", name_of(run, member),
                   step->name);
    room_for_one_more(w, run, trial, member, step->name);
    if (trial->paused)
        world_fail(w, "F08: %s is ordered to %s while the run is paused", name_of(run, member), step->name);
    if (trial->halted[0] && !run->aborting) /* whose closing moves nobody can resume */
        world_fail(w, "F26: %s is ordered to %s and nobody has resumed the run since %s",
                   name_of(run, member), step->name, trial->halted);
    if (h->waived_until_ms <= w->witness.now_ms) {
        others_said_yes(w, run, trial, member, step->name);
        cluster_said_yes(w, run, trial, member, step->name);
    }
    if (step->verb == VERB_SWITCH || step->verb == VERB_FINALIZE) {
        broken_first(w, run, trial, member, "is ordered to switch", 0);
        last_is_last(w, run, trial, member);
        waves_before(w, run, trial, member);
    } else if (step->verb == VERB_PROMOTE)
        soaked_read_only(w, run, trial, member);
    else if (run->aborting)
        abort_returns_it(w, run, trial, member);
    else
        waves_behind(w, run, trial, member);
}

/* ---- claims ---- */

static bool was_recovering(enum member_state state) {
    return state == MEMBER_RECOVERING || state == MEMBER_SETTLING || state == MEMBER_RECOVERING_BACK;
}

static bool is_recovered(enum member_state state) {
    return state == MEMBER_SOAKING_READ_ONLY || state == MEMBER_SOAKING || state == MEMBER_DONE ||
           state == MEMBER_BACK;
}

static uint32_t needed_ms(const struct run *run, const struct trial *trial, uint32_t member,
                          enum member_state from, enum member_state to) {
    const struct shape *shape = &run->plan->shape;
    const char *step = to == MEMBER_BACK ? "return" : stage_step(run, trial, member);
    uint32_t own = own_gates(run, member, step).detection_ms, needed = 0;
    uint32_t all = cluster_gates(run, shape->recovered, shape->n_recovered).detection_ms;
    if (was_recovering(from))
        needed = own > all ? own : all;
    uint32_t soak = to == MEMBER_DONE ? shape->waves[run->members[member].wave].soak_ms : 0;
    return soak > needed ? soak : needed;
}

/* It was well, without a break, for as long as the plan says. */
static void claim(struct world *w, const struct run *run, const struct trial *trial, uint32_t member,
                  enum member_state to) {
    const struct heard *h = &trial->heard[member];
    bool asks_own =
        own_gates(run, member, to == MEMBER_BACK ? "return" : stage_step(run, trial, member)).n > 0;
    bool asks_cluster = run->plan->shape.n_recovered > 0;
    uint64_t since = h->own_ms > h->cluster_ms ? h->own_ms : h->cluster_ms;
    uint32_t needed = needed_ms(run, trial, member, h->state, to);
    if ((asks_own && !h->own_ms) || (asks_cluster && !h->cluster_ms))
        world_fail(w, "F02: %s is taken for %s and %s did not say last that it is well", name_of(run, member),
                   member_state_text(to),
                   asks_own && !h->own_ms ? "its own agent" : "who speaks for the cluster");
    else if (since > 0 && w->witness.now_ms + SLACK_MS < since + needed)
        world_fail(w, "F12: %s is taken for %s and was well for %llu ms of %u", name_of(run, member),
                   member_state_text(to), (unsigned long long)(w->witness.now_ms - since), needed);
}

static void relapse(struct trial *trial, const struct run *run, struct world *w) {
    for (uint32_t i = 0; i < trial->n_members && run->state == RUN_WAVES && !run->aborting; i++) {
        struct heard *h = &trial->heard[i];
        if (is_held(w, h)) /* somebody works on it: what it says meanwhile counts neither now nor later */
            h->n_noes = 0;
        bool says_no = h->state == MEMBER_DONE && h->n_noes >= NOES_OF_A_RELAPSE &&
                       w->witness.now_ms >= h->noes_since_ms + RELAPSE_KNOWN_MS && !is_held(w, h);
        trial->halted_by = says_no && !trial->halted[0] ? i : trial->halted_by;
        trial->by_budget = trial->by_budget && !(says_no && !trial->halted[0]);
        if (says_no && !run->paused)
            world_fail(w, "F12: %s was done and says no, and the run is not paused", name_of(run, i));
        if (says_no && !trial->halted[0])
            snprintf(trial->halted, sizeof(trial->halted), "%.60s was done and says no", name_of(run, i));
    }
}

/* Nobody waits, until the run is paused for it, for one that could have gone first. */
static void waited_for_nothing(struct world *w, const struct run *run, const struct trial *trial) {
    bool begins = run->paused && !trial->was_paused && run->state == RUN_WAVES;
    for (size_t i = 0; begins && i < run->n_pauses; i++)
        if (run->pauses[i].kind == PAUSE_WAIT && run->members[run->pauses[i].member].state == MEMBER_PREPARED)
            broken_first(w, run, trial, run->pauses[i].member, "has waited to stop", BROKEN_KNOWN_MS);
}

/* One bad answer is no relapse. */
static void pause_has_a_cause(struct world *w, const struct run *run, const struct trial *trial) {
    if (!run->paused || trial->was_paused || !run->pause_reason ||
        strncmp(run->pause_reason, "relapse: ", 9) != 0)
        return;
    for (uint32_t i = 0; i < trial->n_members; i++) {
        const char *name = name_of(run, i);
        if (strncmp(run->pause_reason + 9, name, strlen(name)) == 0 &&
            run->pause_reason[9 + strlen(name)] == ' ' && trial->heard[i].n_all_noes < 2)
            world_fail(w, "F12: the run is paused for a relapse of %s, which has said no %u times", name,
                       trial->heard[i].n_all_noes);
    }
}

static void all_are_back(struct world *w, const struct run *run, const struct trial *trial) {
    for (uint32_t i = 0; i < trial->n_members; i++)
        if (trial->heard[i].changed && !trial->heard[i].retired && trial->heard[i].outcome != OUTCOME_HELD)
            world_fail(w, "9: the verdict is rolled back and %s was not returned", name_of(run, i));
}

/* Failures that a budget allows do not stop the run, and are failures all the same. */
static void all_are_new(struct world *w, const struct run *run, const struct trial *trial) {
    for (uint32_t i = 0; i < trial->n_members; i++) {
        const struct heard *h = &trial->heard[i];
        uint32_t wave = run->members[i].wave;
        enum wave_kind kind = wave < run->plan->shape.n_waves ? run->plan->shape.waves[wave].kind : WAVE_STOP;
        bool one_by_one = kind == WAVE_CANARY || kind == WAVE_ROLLING;
        if (one_by_one && !h->left_out && (!h->changed || h->outcome != OUTCOME_DONE))
            world_fail(w, "9: the verdict is done and of %s nobody heard that it is: %s", name_of(run, i),
                       outcome_text(h->outcome));
    }
}

static bool way_is_open(const struct run *run, const struct heard *h, uint32_t member) {
    enum way_back way = run->members[member].order->way_back;
    return way == WAY_BACK_UNTIL_FINALIZE || way == WAY_BACK_CLUSTER ||
           (way == WAY_BACK_UNTIL_PROMOTION && h->state == MEMBER_SOAKING_READ_ONLY);
}

/* Left as they are only those that could not be returned within the wait limit, or that refused. */
static void abort_has_returned(struct world *w, const struct run *run, const struct trial *trial) {
    const struct shape *shape = &run->plan->shape;
    for (uint32_t i = 0; i < trial->n_members && shape->return_on_abort && !trial->superseded; i++) {
        const struct heard *h = &trial->heard[i];
        bool lasted =
            w->witness.now_ms + SLACK_MS >= trial->aborted_ms + shape->waves[run->wave].wait_limit_ms;
        bool open = h->changed && h->in_change && !h->retired && way_is_open(run, h, i);
        bool refused = h->return_ordered && outcome_changed_nothing(h->outcome);
        if (trial->aborted_ms > 0 && open && !lasted && !refused)
            world_fail(w, "9: the run was aborted and %s is left %s, where the plan takes it back",
                       name_of(run, i), member_state_text(h->state));
    }
}

void verdict_claims(struct world *w, const struct run *run, struct trial *trial) {
    for (uint32_t i = 0; i < trial->n_members; i++) {
        struct heard *h = &trial->heard[i];
        enum member_state to = run->members[i].state;
        bool soaked = h->state == MEMBER_SOAKING && to == MEMBER_DONE;
        if (h->state == to)
            continue;
        if ((was_recovering(h->state) && is_recovered(to)) || soaked)
            claim(w, run, trial, i, to);
        h->state = to;
        h->in_change = h->in_change && to != MEMBER_DONE && to != MEMBER_BACK;
    }
    pause_has_a_cause(w, run, trial);
    waited_for_nothing(w, run, trial);
    relapse(trial, run, w);
    bool ended = run->state == RUN_CLOSING || run->state == RUN_ENDED;
    if (ended && !trial->ended && run->verdict == VERDICT_ROLLED_BACK)
        all_are_back(w, run, trial);
    if (ended && !trial->ended && run->verdict == VERDICT_DONE)
        all_are_new(w, run, trial);
    if (ended && !trial->ended && run->verdict == VERDICT_ABORTED)
        abort_has_returned(w, run, trial);
    if (ended && !trial->ended && run->verdict == VERDICT_DONE)
        blames_over(w, run);
}
