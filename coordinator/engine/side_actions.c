/* Side actions: changes to the whole cluster for the time of a run. One agent carries each (any of the plan can: every
 * work order has the steps), all hold the lease. They are opened one after the other, and closed in reverse at every
 * end of the run, by the carrier or, when it is gone or could not, by the next one in the order of the members; the run does
 * not end before, unless operators sign that it is left (then nobody tells the agents any more that it is held open, and
 * they put it back when their leases end). An agent does a step at
 * most once, so a second opening (rollback of a run that had ended) is carried by another member.
 *
 * An agent that has not heard of the run for the time of its lease puts the side action back by itself, and says so when it
 * is heard again: then it is opened anew before anything more is stopped. Agents say what they have done again after each
 * reconnect, so a report counts as new by its time. What nobody reports, because other hands did it, is seen by its gate:
 * the run waits, pauses at its limit, and opens it anew when it is resumed. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <string.h>

const char *side_state_text(enum side_state state) {
    static const char *const texts[SIDE_STATES] = {[SIDE_CLOSED] = "closed",
                                                   [SIDE_OPENING] = "opening",
                                                   [SIDE_OPEN] = "open",
                                                   [SIDE_CLOSING] = "closing",
                                                   [SIDE_LEFT] = "left open"};
    return (unsigned)state < SIDE_STATES ? texts[state] : "?";
}

bool run_side_of_step(const struct run *run, const char *step, uint32_t *side, bool *opens) {
    for (uint32_t i = 0; i < run->n_sides; i++) {
        *side = i;
        *opens = strcmp(run->sides[i].action->open_step, step) == 0;
        if (*opens || strcmp(run->sides[i].action->close_step, step) == 0)
            return true;
    }
    return false;
}

static bool is_up(const struct run *run, uint32_t member) {
    return run->engine->nodes[run->members[member].node].up;
}

/* Who has another step in hand opens nothing. */
static bool can_carry(const struct run *run, const struct run_side *side, uint32_t member, bool opens) {
    const struct run_member *m = &run->members[member];
    const char *step = opens ? side->action->open_step : side->action->close_step;
    return is_up(run, member) && !member_state_is_gone(m->state) && !(opens && m->step) &&
           !(opens ? side->carried : side->closed)[member] && work_order_step(m->order, step) != NULL;
}

/* The next one behind the carrier, so that all have their turn; the first carriers of several side actions differ. Its
 * service may be the only one that the command can speak to: one that runs is preferred. */
static uint32_t carrier_other(const struct run *run, const struct run_side *side, bool opens) {
    uint32_t found = NO_MEMBER;
    uint32_t first = side->carrier == NO_MEMBER ? (uint32_t)(side - run->sides) : side->carrier + 1;
    for (uint32_t k = 0; k < run->n_members; k++) {
        uint32_t i = (first + k) % run->n_members;
        if (!can_carry(run, side, i, opens) || i == side->carrier)
            continue;
        if (run->members[i].mode != MODE_DOWN)
            return i;
        found = found == NO_MEMBER ? i : found;
    }
    return found;
}

/* Who opened it closes it; the one that failed last is tried after the others. */
static uint32_t carrier_choose(const struct run *run, const struct run_side *side, bool opens) {
    bool failed = side->carrier != NO_MEMBER && !side->in_flight &&
                  side->state == (opens ? SIDE_OPENING : SIDE_CLOSING);
    if (!opens && side->carrier != NO_MEMBER && !failed && can_carry(run, side, side->carrier, opens))
        return side->carrier;
    uint32_t other = carrier_other(run, side, opens);
    if (other != NO_MEMBER)
        return other;
    return side->carrier != NO_MEMBER && can_carry(run, side, side->carrier, opens) ? side->carrier
                                                                                    : NO_MEMBER;
}

static void side_issue(struct run *run, uint32_t index, uint32_t carrier, bool opens) {
    struct run_side *side = &run->sides[index];
    uint64_t expires = run->engine->now_ms / 1000 + ORDER_TTL_S;
    struct record record = {
        .kind = RECORD_SIDE_ORDERED,
        .run = run->id,
        .member = carrier,
        .number = index,
        .value = expires > side->expires_s ? expires : side->expires_s + 1,
        .value2 = run->engine->epoch,
        .name = opens ? side->action->open_step : side->action->close_step,
    };
    commit(run->engine, record, NULL);
    struct action *action = action_add(run->engine, ACTION_ORDER);
    action->run = run->id;
    action->member = carrier;
    action->node = run->members[carrier].order->node;
    action->step = record.name;
    action->expires_s = side->expires_s;
    if (opens)
        sides_lease(run, NO_MEMBER);
}

/* Whether each side action could be opened once more: an agent runs `open` at most once. */
bool sides_can_reopen(const struct run *run) {
    for (uint32_t i = 0; i < run->n_sides; i++) {
        bool left = false;
        for (uint32_t k = 0; k < run->n_members; k++)
            left = left || !run->sides[i].carried[k];
        if (!left && run->sides[i].state != SIDE_OPEN)
            return false;
    }
    return true;
}

/* ---- leases ---- */

static void lease_say(struct run *run, const struct run_side *side, bool open) {
    struct action *action = action_add(run->engine, ACTION_LEASE);
    action->run = run->id;
    action->step = side->action->name;
    action->lease_open = open;
}

/* Tells all holders of every side action that is not closed, about four times in its life. */
void sides_lease(struct run *run, uint32_t member) {
    (void)member; /* a timer's */
    uint64_t pause = UINT64_MAX;
    for (uint32_t i = 0; i < run->n_sides; i++) {
        const struct run_side *side = &run->sides[i];
        if ((side->state == SIDE_CLOSED && !KEDGE_MUTANT(lease_for_ever)) || side->state == SIDE_LEFT)
            continue;
        lease_say(run, side, true);
        uint64_t quarter = side->action->ttl_ms / 4 > 0 ? side->action->ttl_ms / 4 : 1;
        pause = quarter < pause ? quarter : pause;
    }
    if (pause != UINT64_MAX && !KEDGE_MUTANT(lease_said_once))
        timer_set(run->engine, &run->lease, run->engine->now_ms + pause);
}

/* ---- opening and closing ---- */

static bool is_gone(const struct run *run, uint32_t member) {
    return member_state_is_gone(run->members[member].state);
}

/* An agent opens at most once: when all that are left have, nobody is waited for. */
static bool nobody_opens(const struct run *run, const struct run_side *side) {
    for (uint32_t i = 0; i < run->n_members; i++)
        if (!is_gone(run, i) && !side->carried[i])
            return false;
    return true;
}

bool sides_open(struct run *run) {
    for (uint32_t i = 0; i < run->n_sides; i++) {
        struct run_side *side = &run->sides[i];
        if (side->state == SIDE_OPEN)
            continue;
        if (side->in_flight && !is_gone(run, side->carrier))
            return false;
        uint32_t carrier = carrier_choose(run, side, true);
        if (carrier != NO_MEMBER)
            side_issue(run, i, carrier, true);
        else if (side->carrier != NO_MEMBER && nobody_opens(run, side))
            run_pause(run, PAUSE_STEP, side->carrier,
                      "side action %s cannot be opened once more: every agent that is left has done so, and "
                      "does a step at most once; abort, and make a new plan",
                      side->action->name);
        return false;
    }
    return true;
}

bool sides_are_back(const struct run *run) {
    for (uint32_t i = 0; i < run->n_sides; i++)
        if (run->sides[i].state == SIDE_CLOSED || run->sides[i].state == SIDE_OPENING)
            return true;
    return false;
}

/* Its carrier is only away, and nothing has failed yet: after a restart of the coordinator the agents come back one by one,
 * and the first of them is no reason to give the step to two. */
static bool carrier_may_come_back(struct run *run, const struct run_side *side) {
    bool failed = side->state == SIDE_CLOSING && !side->in_flight;
    if (failed || side->carrier == NO_MEMBER || is_gone(run, side->carrier) || is_up(run, side->carrier))
        return false;
    uint64_t until_ms = run->engine->nodes[run->members[side->carrier].node].gone_ms + CARRIER_GONE_MS;
    if (run->engine->now_ms >= until_ms)
        return false;
    run->retry_ms = until_ms;
    timer_set(run->engine, &run->retry, until_ms);
    return true;
}

/* For certain: what an agent has put back by itself, and said late, may have been opened anew by another one since. */
static bool is_closed(const struct run_side *side) {
    return side->state == SIDE_CLOSED && !side->put_back;
}

/* Who is gone for good closes nothing: when all are, nobody is left to wait for. */
bool sides_close(struct run *run) {
    if (run_n_present(run) == 0 || (run->aborting && KEDGE_MUTANT(side_left_open)))
        return true;
    for (uint32_t i = run->n_sides; i-- > 0;) {
        struct run_side *side = &run->sides[i];
        if (is_closed(side) || side->state == SIDE_LEFT)
            continue;
        if ((side->in_flight && side->state == SIDE_CLOSING && is_up(run, side->carrier) &&
             !is_gone(run, side->carrier)) ||
            run->retry_ms > 0 || carrier_may_come_back(run, side))
            return false;
        uint32_t carrier = carrier_choose(run, side, false);
        if (carrier != NO_MEMBER)
            side_issue(run, i, carrier, false);
        return false;
    }
    return true;
}

/* ---- left, by operators ---- */

/* The side action whose close step has that name; NULL: none. */
struct run_side *side_of_close(const struct run *run, const char *step) {
    for (uint32_t i = 0; step && i < run->n_sides; i++)
        if (strcmp(run->sides[i].action->close_step, step) == 0)
            return &run->sides[i];
    return NULL;
}

bool side_left_fold(struct run *run, const struct record *record) {
    char text[KEDGE_REASON_MAX];
    struct run_side *side = record->member < run->n_sides ? &run->sides[record->member] : NULL;
    if (!side || is_closed(side))
        return false;
    side->state = SIDE_LEFT;
    side->in_flight = false;
    side->since_ms = record->at_ms;
    text_set(&side->reason, record->text);
    snprintf(text, sizeof(text), "%.250s; side action %.60s was left open: %.150s",
             run->verdict_text ? run->verdict_text : "", side->action->name, record->text);
    text_set(&run->verdict_text, text);
    return true;
}

int side_leave(struct run *run, const struct run_side *side, const struct event *event) {
    struct engine *engine = run->engine;
    struct run_move move = run_move(run->state, RUN_EVENT_LEAVE);
    if (move.kind != RUN_MOVE_FLAG)
        return engine_refuse(engine->actions, "%s", move.why);
    if (is_closed(side) || side->state == SIDE_LEFT)
        return engine_refuse(engine->actions, "side action %s is %s already", side->action->name,
                             side_state_text(side->state));
    if (!event->text || !event->text[0])
        return engine_refuse(engine->actions, "a waiver needs a reason");
    commit(engine,
           (struct record){.kind = RECORD_RUN_EVENT,
                           .run = run->id,
                           .member = (uint32_t)(side - run->sides),
                           .number = RUN_EVENT_LEAVE,
                           .digest = event->word,
                           .text = event->text},
           NULL);
    return 0;
}

/* Why it is not closed yet, and what an operator can do about it. */
void side_explain(const struct run *run, const struct run_side *side, char *text, size_t size) {
    bool can = false;
    for (uint32_t i = 0; !can && i < run->n_members; i++)
        can = can_carry(run, side, i, false);
    int n = snprintf(text, size, "side action %s is %s", side->action->name, side_state_text(side->state));
    size_t used = n > 0 && (size_t)n < size ? (size_t)n : size - 1;
    if (side->reason && side->reason[0])
        used += (size_t)snprintf(text + used, size - used, ": %.300s", side->reason);
    if (run->state != RUN_CLOSING || used >= size)
        return;
    if (!can)
        used += (size_t)snprintf(text + used, size - used, ": no agent is connected that can close it");
    if (used < size && (!can || (side->reason && side->reason[0] && !side->in_flight)))
        snprintf(text + used, size - used,
                 "; it is tried again; `kedge run waive %llu MEMBER '%s'` ends the run without it",
                 (unsigned long long)run->id, side->action->close_step);
}

static void close_again_later(struct run *run) {
    run->backoff_ms = run->backoff_ms == 0 ? ASK_AGAIN_FIRST_MS : run->backoff_ms * 2;
    run->backoff_ms = run->backoff_ms < ASK_AGAIN_LAST_MS ? run->backoff_ms : ASK_AGAIN_LAST_MS;
    run->retry_ms = run->engine->now_ms + run->backoff_ms;
    timer_set(run->engine, &run->retry, run->retry_ms);
}

static void commit_side_report(struct run *run, uint32_t member, uint32_t index,
                               const struct engine_report *report, const char *why) {
    struct record record = {
        .kind = RECORD_SIDE_REPORTED,
        .run = run->id,
        .member = member,
        .number = index,
        .value = report->outcome,
        .value2 = report->at_ms,
        .name = report->step,
        .text = why,
    };
    commit(run->engine, record, NULL);
}

static void side_is_back(struct run *run, uint32_t member, uint32_t index, const struct engine_report *report,
                         const char *why) {
    const struct run_side *side = &run->sides[index];
    bool was_open = side->state == SIDE_OPEN;
    commit_side_report(run, member, index, report, why);
    run->n_changes += was_open; /* leases run out by themselves: one may be about a newer opening */
}

/* Nobody ordered it: the first time that it is heard it is news, then it is said again. */
static void side_was_put_back(struct run *run, uint32_t member, uint32_t index,
                              const struct engine_report *report) {
    char text[KEDGE_REASON_MAX];
    if (report->outcome != OUTCOME_DONE || report->at_ms == 0 ||
        report->at_ms == run->sides[index].closed_ms[member])
        return;
    snprintf(text, sizeof(text), "%s has not heard of the run for too long and has put it back",
             run->members[member].order->member);
    side_is_back(run, member, index, report, text);
    run_advance(run);
}

static bool is_no_longer_in_force(const struct run *run, const struct run_side *side) {
    static const char prefix[] = SIDE_GATE_PREFIX;
    size_t n = sizeof(prefix) - 1;
    for (size_t i = 0; side->state == SIDE_OPEN && i < run->wait.n; i++) {
        const struct reason *r = &run->wait.items[i];
        if (r->answer == ANSWER_NO && strncmp(r->gate, prefix, n) == 0 &&
            strcmp(r->gate + n, side->action->name) == 0)
            return true;
    }
    return false;
}

const struct run_side *side_no_longer_in_force(const struct run *run) {
    for (uint32_t i = 0; i < run->n_sides; i++)
        if (is_no_longer_in_force(run, &run->sides[i]))
            return &run->sides[i];
    return NULL;
}

/* Other hands have changed it back, or an agent that never came to say so: its gate says no. That may be meant, so the run
 * only waits; but who resumes it wants it open. */
void sides_resume(struct run *run) {
    for (uint32_t i = 0; i < run->n_sides; i++) {
        const struct run_side *side = &run->sides[i];
        if (!is_no_longer_in_force(run, side) || side->carrier == NO_MEMBER)
            continue;
        struct engine_report report = {.outcome = OUTCOME_DONE,
                                       .step = side->action->close_step,
                                       .at_ms = side->closed_ms[side->carrier]};
        side_is_back(run, side->carrier, i, &report, "it was no longer in force when the run was resumed");
    }
}

void side_report(struct run *run, uint32_t member, uint32_t index, const struct engine_report *report) {
    struct run_side *side = &run->sides[index];
    bool opens = strcmp(report->step, side->action->open_step) == 0;
    if (!side->in_flight || side->carrier != member || side->state != (opens ? SIDE_OPENING : SIDE_CLOSING)) {
        if (!opens)
            side_was_put_back(run, member, index, report);
        return; /* else a repeated report */
    }
    if (!opens && report->outcome == OUTCOME_DONE && report->at_ms > 0 &&
        report->at_ms == side->closed_ms[member])
        return; /* of a close before the one that is awaited */
    commit_side_report(run, member, index, report, report->reason);
    run->n_changes++;
    bool done = report->outcome == OUTCOME_DONE;
    if (done && !opens)
        lease_say(run, side, false);
    if (!done && !opens)
        close_again_later(run);
    if (!done && opens && run->state == RUN_OPENING) {
        char text[KEDGE_REASON_MAX];
        snprintf(text, sizeof(text), "side action %s could not be opened by %s: %.300s", side->action->name,
                 run->members[member].order->member, report->reason);
        commit_run_event(run, RUN_EVENT_OPEN_FAILED, VERDICT_FAILED, text);
    } else if (!done && opens && (run->state == RUN_WAVES || run->state == RUN_RETURNING)) {
        run_pause(
            run, PAUSE_STEP, member,
            "side action %s could not be opened again by %s: %.300s; `kedge run resume %llu` lets another "
            "agent try",
            side->action->name, run->members[member].order->member, report->reason,
            (unsigned long long)run->id);
    }
    run_advance(run);
}

void side_again(struct run *run, uint32_t node) {
    for (uint32_t i = 0; i < run->n_sides; i++) {
        struct run_side *side = &run->sides[i];
        if (side->in_flight && run->members[side->carrier].node == node)
            side_issue(run, i, side->carrier, side->state == SIDE_OPENING);
    }
    for (uint32_t i = 0; i < run->n_sides; i++)
        if (run->sides[i].state != SIDE_CLOSED) {
            sides_lease(run, NO_MEMBER);
            return;
        }
}
