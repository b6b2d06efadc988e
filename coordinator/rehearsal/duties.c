/* What the engine owes besides good orders: agents hear of an abort before anything that might still begin, and that a side
 * action is wanted for as long as it is; a hold ends by itself; nobody is said to have waited who has not; and a run closes
 * when nothing of it is under way any more. Judged by what comes out of the engine's door. */
#include "coordinator/rehearsal/internal.h"
#include "coordinator/rehearsal/witness.h"

#include <string.h>

enum { SLACK_MS = 2 };

static bool is_over(const struct run *run) {
    return run->state == RUN_CLOSING || run->state == RUN_ENDED;
}

/* It was ordered before, and nobody has heard how it ended. */
static bool is_repeated(struct world *w, const struct run *run, const struct action *a) {
    const struct cluster *cluster = cluster_of_run(w, run);
    const struct member *m = &w->members[cluster->first + a->member];
    return m->ordered[plan_index(cluster, run->plan->header.serial)][step_number(m, a->step)];
}

/* Who closes a side action may be left for another one. */
static bool puts_back(struct world *w, const struct run *run, uint32_t member, const struct step *step) {
    return step->verb == VERB_ACT && step_closes(&w->members[cluster_of_run(w, run)->first + member], step);
}

static const char *name_of(const struct run *run, uint32_t member) {
    return run->members[member].order->member;
}

/* ---- an abort ---- */

/* Before the action number `before` the node (NULL: every agent) is told that nothing more of the run begins. */
static bool is_latched(const struct world *w, const struct run *run, const char *node, size_t before) {
    for (size_t i = 0; i < before; i++) {
        const struct action *a = &w->actions.items[i];
        if (a->kind == ACTION_LATCH && a->run == run->id &&
            (!a->node || (node && strcmp(a->node, node) == 0)))
            return true;
    }
    return false;
}

static void abort_is_told(struct world *w, const struct run *run, struct trial *trial) {
    bool begins = run->aborting && !trial->was_aborting;
    trial->was_aborting = run->aborting;
    if (begins && !is_over(run) && !is_latched(w, run, NULL, w->actions.n))
        world_fail(w, "7: run %llu is aborted and its agents are not told", (unsigned long long)run->id);
    for (size_t i = 0; i < w->actions.n; i++) {
        const struct action *a = &w->actions.items[i];
        bool late =
            a->kind == ACTION_ORDER && a->run == run->id && (run->aborting || run->state == RUN_ENDED);
        if (late && work_order_step(run->members[a->member].order, a->step)->verb != VERB_ACT &&
            is_repeated(w, run, a) && !is_latched(w, run, a->node, i))
            world_fail(w, "7: %s is told once more to %s, and not before it that the run is aborted",
                       name_of(run, a->member), a->step);
    }
}

/* ---- leases ---- */

static void lease_is_renewed(struct world *w, const struct run *run, struct trial *trial, uint32_t side) {
    const struct run_side *s = &run->sides[side];
    uint64_t now = w->witness.now_ms;
    bool open = false, closed = false;
    for (size_t i = 0; i < w->actions.n; i++) {
        const struct action *a = &w->actions.items[i];
        if (a->kind != ACTION_LEASE || a->run != run->id || strcmp(a->step, s->action->name) != 0)
            continue;
        open = open || a->lease_open;
        closed = closed || !a->lease_open;
    }
    bool ends = s->state == SIDE_CLOSED && trial->side[side] == SIDE_CLOSING;
    if (open && (s->state == SIDE_CLOSED || s->state == SIDE_LEFT))
        world_fail(w, "5: agents are told to hold %s open, and it is %s", s->action->name,
                   s->state == SIDE_LEFT ? "left to their leases" : "closed");
    if (ends && !closed)
        world_fail(w, "5: %s is closed, and agents are not told that their leases are over", s->action->name);
    if (open || s->state != SIDE_OPEN || trial->lease_ms[side] == 0)
        trial->lease_ms[side] = now;
    if (run->state != RUN_ENDED && now > trial->lease_ms[side] + s->action->ttl_ms / 2 + SLACK_MS)
        world_fail(w, "5: %s is open, and no agent has heard of it for %llu ms; in %u they put it back",
                   s->action->name, (unsigned long long)(now - trial->lease_ms[side]), s->action->ttl_ms);
    trial->side[side] = s->state;
    trial->opening[side] = s->state == SIDE_OPENING && s->in_flight ? s->carrier : NO_MEMBER;
}

/* ---- holds ---- */

static bool is_waited_for(const struct trial *trial, uint32_t node) {
    for (uint32_t i = 0; i < trial->n_members; i++)
        if (trial->heard[i].node == node && !trial->heard[i].retired)
            return true;
    return false;
}

/* What waits for the end of a hold is looked at then, and not when something else happens. */
static void hold_ends_in_time(struct world *w, const struct run *run, const struct trial *trial) {
    uint64_t next = engine_next_deadline(w->engine);
    for (uint32_t i = 0; i < w->witness.n_nodes && run->state != RUN_ENDED; i++) {
        uint64_t until = w->witness.nodes[i].held_until_ms;
        if (until > w->witness.now_ms && until < next && is_waited_for(trial, i))
            world_fail(w, "F15: the hold of %s ends in %llu ms, and nobody looks then",
                       w->witness.nodes[i].name, (unsigned long long)(until - w->witness.now_ms));
    }
}

/* ---- waits ---- */

/* The limit counts from the last change, or from when the run went on again; another reign begins to count anew. */
static void wait_was_so_long(struct world *w, const struct run *run, const struct trial *trial) {
    const struct shape *shape = &run->plan->shape;
    for (size_t i = 0; i < run->n_pauses && !trial->was_paused && run->wave < shape->n_waves; i++) {
        uint32_t member = run->pauses[i].member, limit_ms = shape->waves[run->wave].wait_limit_ms;
        if (run->pauses[i].kind == PAUSE_WAIT &&
            !barrier_is_declared(w, cluster_of_run(w, run)->first + member) &&
            w->witness.now_ms + SLACK_MS < trial->free_ms + limit_ms)
            world_fail(
                w, "F29: the run is paused because %s waits to stop, and it went on %llu ms ago, not %u",
                name_of(run, member), (unsigned long long)(w->witness.now_ms - trial->free_ms), limit_ms);
    }
}

/* ---- ends ---- */

/* An agent that can be reached says how it ended before the run closes over it. Who was opening a side action is remembered
 * from the step before, for the close follows in the same one. */
static void nothing_is_under_way(struct world *w, const struct run *run, const struct trial *trial) {
    const struct event *event = &w->witness.event;
    for (uint32_t i = 0; i < trial->n_members; i++)
        if (run->members[i].step && w->witness.nodes[trial->heard[i].node].up &&
            !(run->rollback &&
              run->members[i].state == MEMBER_PREPARING)) /* left over, and changes nothing */
            world_fail(w, "7: the run closes (%s) and %s, which can be reached, is ordered to %s",
                       run_verdict_text(run->verdict), name_of(run, i), run->members[i].step);
    for (uint32_t i = 0; i < run->n_sides && i < TRIAL_SIDES; i++) {
        uint32_t carrier = trial->opening[i];
        bool ends = event->kind == EVENT_REPORT && carrier != NO_MEMBER &&
                    strcmp(event->report.member, name_of(run, carrier)) == 0;
        if (carrier != NO_MEMBER && !ends && !trial->heard[carrier].retired &&
            w->witness.nodes[trial->heard[carrier].node].up)
            world_fail(w, "7: the run closes (%s) while %s, which can be reached, opens %s",
                       run_verdict_text(run->verdict), name_of(run, carrier), run->sides[i].action->name);
    }
}

static void somebody_is_new(struct world *w, const struct run *run, const struct trial *trial) {
    for (uint32_t i = 0; i < trial->n_members; i++)
        if (trial->heard[i].state == MEMBER_DONE)
            return;
    world_fail(w, "9: the verdict is done and nobody runs %s", run->plan->header.to_version);
}

/* ---- the door ---- */

void duties_begins(struct world *w, const struct run *run, const struct trial *trial,
                   const struct action *a) {
    const struct heard *h = &trial->heard[a->member];
    const struct step *step = work_order_step(run->members[a->member].order, a->step);
    if (is_repeated(w, run, a))
        return;
    if (step->verb == VERB_ACT && trial->paused && !puts_back(w, run, a->member, step))
        world_fail(w, "F08: %s is ordered to %s while the run is paused", name_of(run, a->member), a->step);
    if (step->verb == VERB_PREPARE && w->witness.nodes[h->node].held_until_ms > w->witness.now_ms)
        world_fail(w, "F15: %s is ordered to %s and its node is held", name_of(run, a->member), a->step);
}

void duties_after(struct world *w, const struct run *run, struct trial *trial) {
    bool closes = is_over(run) && !trial->ended;
    abort_is_told(w, run, trial);
    hold_ends_in_time(w, run, trial);
    wait_was_so_long(w, run, trial);
    if (trial->was_paused && !run->paused)
        trial->free_ms = w->witness.now_ms;
    if (closes)
        nothing_is_under_way(w, run, trial);
    if (closes && run->verdict == VERDICT_DONE)
        somebody_is_new(w, run, trial);
    for (uint32_t i = 0; i < run->n_sides && i < TRIAL_SIDES; i++)
        lease_is_renewed(w, run, trial, i);
    trial->ended = is_over(run);
    trial->was_paused = run->paused;
}
