/* Why a machine and not a script with error paths: at every moment the member's whole situation is one record, which is
 * what the journal holds; so a crash, an abort, a dead process or a slow disk is one more event in a state, and each
 * (state, event) pair is answered here, in the door at the end. What an answer leads to is in answers.c, how rows begin,
 * succeed and fail in steps.c, what a crash means in primitives.c and recovery.c. */
#include "agent/core/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- states ---- */

struct state_row {
    const char *text;
    unsigned allowed; /* successors, as bits */
};

#define TO(state) (1u << (state))
static const struct state_row states[MACHINE_STATES] = {
    [MACHINE_IDLE] = {"idle", TO(MACHINE_FORWARD)},
    [MACHINE_FORWARD] = {"forward", TO(MACHINE_IDLE) | TO(MACHINE_RETURNING) | TO(MACHINE_HOLDING) |
                                        TO(MACHINE_HELD) | TO(MACHINE_BARRIER)},
    [MACHINE_RETURNING] = {"returning", TO(MACHINE_IDLE) | TO(MACHINE_HOLDING) | TO(MACHINE_HELD)},
    [MACHINE_HOLDING] = {"holding", TO(MACHINE_HELD)},
    [MACHINE_HELD] = {"held", TO(MACHINE_FORWARD)},
    [MACHINE_BARRIER] = {"at the barrier", TO(MACHINE_FORWARD) | TO(MACHINE_RETURNING)},
};

const char *machine_state_text(enum machine_state state) {
    return (unsigned)state < MACHINE_STATES ? states[state].text : "?";
}

static void invariant(const struct member_machine *m) {
    bool open = m->record.state == MACHINE_FORWARD || m->record.state == MACHINE_RETURNING ||
                m->record.state == MACHINE_HOLDING || m->record.state == MACHINE_BARRIER;
    assert(open == (m->order != NULL) && open == (m->step != NULL));
    assert(!m->record.stopped || m->record.changed);
    assert(m->record.state != MACHINE_RETURNING || m->record.changed);
    assert(m->record.state != MACHINE_HOLDING || m->record.changed);
    assert(!open || m->record.outcome == OUTCOME_NONE || m->record.state == MACHINE_BARRIER);
    assert(m->record.state != MACHINE_BARRIER || m->record.barrier != BARRIER_NONE);
    assert(m->record.state != MACHINE_HELD || m->record.held);
}

void machine_move(struct member_machine *m, enum machine_state to) {
    assert(states[m->record.state].allowed & TO(to));
    m->record.state = to;
    m->record.row = 0;
}

void reason_set(struct member_machine *m, const char *text, const char *more) {
    char fresh[KEDGE_REASON_MAX];
    snprintf(fresh, sizeof(fresh), "%.250s%s%.250s", text ? text : "",
             text && *text && more && *more ? ": " : "", more ? more : "");
    memcpy(m->record.reason, fresh, sizeof(fresh));
}

/* ---- orders ---- */

/* At the barrier lies the order by which it goes back: until the pass no other plan may take its place. Behind it nothing
 * happens by itself any more, so there a newer plan finds the member down, and may do with it what it says. */
static const char *barrier_refuses(const struct member_machine *m, const struct work_order *order,
                                   const struct step *step) {
    bool acts = (step->verb == VERB_ACT && work_order_is_downtime(order)) ||
                (step->verb == VERB_BACK && !step_find_row(step, PRIMITIVE_STOP)),
         half = step->verb == VERB_PASS || step->verb == VERB_START || acts,
         passed = m->record.barrier == BARRIER_PASSED;
    if (!machine_is_at_barrier(m))
        return half ? "it is not stopped at a barrier: it was returned, or never stopped" : NULL;
    if (m->record.barrier_serial != order->serial)
        return passed && order->serial > m->record.barrier_serial
                   ? NULL
                   : "it is stopped at the barrier of another plan, and goes back at the end of its hold "
                     "limit; or order its return";
    if (step->verb == VERB_START && !passed)
        return "the barrier is not passed yet";
    return half || step->verb == VERB_REVERT || step->verb == VERB_BACK ? NULL : "it is stopped at a barrier";
}

bool machine_holds_service(const struct member_machine *m) {
    const struct machine_record *record = &m->record;
    if (!m->order || record->state != MACHINE_FORWARD)
        return m->order || record->state == MACHINE_HELD;
    return record->stopped || record->barrier != BARRIER_NONE || step_find_row(m->step, PRIMITIVE_STOP) ||
           step_find_row(m->step, PRIMITIVE_START);
}

const char *machine_refuses(const struct member_machine *m, const struct work_order *order,
                            const struct step *step) {
    const struct machine_record *record = &m->record;
    bool same_plan = record->serial == order->serial;
    if (m->order && !machine_is_at_barrier(m))
        return "another step of this member is open";
    if (m->journal_lost)
        return "this agent's journal cannot be written (journal lost); mend its disk and restart it";
    bool back = step->verb == VERB_REVERT || step->verb == VERB_BACK;
    if (back && same_plan && !return_may_be_ordered(order->way_back, record))
        return "the way back is closed: the new release has already been at work on the data";
    if (record->state == MACHINE_HELD && record->held_serial == order->serial && step->verb != VERB_REVERT &&
        step->verb != VERB_ACT)
        return "the member is held; order its return, or approve a newer plan";
    return barrier_refuses(m, order, step);
}

static const char *refusal(const struct member_machine *m, const struct machine_event *event) {
    const char *why = machine_refuses(m, event->order, event->step);
    bool open = m->order && !machine_is_at_barrier(m);
    return event->refused && !open && !m->journal_lost ? event->refused : why;
}

static void order_begin(struct member_machine *m, const struct machine_event *event,
                        struct machine_actions *actions) {
    m->latched = event->latched;
    if (m->record.serial != event->order->serial) {
        m->record.started_new = m->record.promoted = false;
        m->record.serial = event->order->serial;
    }
    m->record.held = m->record.state == MACHINE_HELD;
    m->order = event->order;
    m->step = event->step;
    m->record.outcome = OUTCOME_NONE;
    m->record.blames = false;
    if (m->record.state != MACHINE_BARRIER) /* there the interruption goes on */
        m->record.stopped_at_us = 0;
    m->record.interruption_us = m->record.evidence_age_us = 0;
    m->evidence_us = m->evidence_limit_us = 0;
    m->stale = 0;
    m->record.reason[0] = 0;
    const struct row *start = step_last_row(m->step, PRIMITIVE_START);
    m->record.adopts = event->runs_already && start;
    way_plan(m);
    machine_move(m, MACHINE_FORWARD);
    if (m->latched && !step_is_closing(m->order, m->step)) {
        reason_set(m, "the run was aborted: nothing of it begins any more", NULL);
        conclude(m, OUTCOME_REFUSED, actions);
        return;
    }
    if (m->record.adopts)
        prove_start(m, (uint32_t)(start - m->step->rows), event->now_us, actions);
    else
        row_begin(m, event->now_us, actions);
}

static void ordered(struct member_machine *m, const struct machine_event *event,
                    struct machine_actions *actions) {
    const char *why = refusal(m, event);
    if (!why) {
        order_begin(m, event, actions);
        return;
    }
    /* A refusal changes nothing, not even the journal: it can be made again from the same facts. */
    struct machine_action *action = machine_action_add(actions, MACHINE_ACTION_REPORT);
    action->outcome = OUTCOME_REFUSED;
    action->reason = why;
}

/* ---- the door ---- */

void machine_init(struct member_machine *m, const struct machine_record *record,
                  const struct work_order *order, const struct step *step) {
    *m = (struct member_machine){.record = *record, .order = order, .step = step};
    m->deadline_us = m->cap_us = m->poll_us = UINT64_MAX;
    if (order) {
        m->record.outcome = OUTCOME_NONE;
        way_plan(m);
    }
    if (!order || record->state == MACHINE_BARRIER) /* that step has ended, and said what it changed */
        m->record.changed = m->record.stopped = false;
    invariant(m);
}

static void ended(struct member_machine *m, const struct machine_event *event,
                  struct machine_actions *actions) {
    char why[KEDGE_REASON_MAX];
    const char *how = event->reason ? event->reason : "nothing is known about how";
    switch (m->record.state) {
    case MACHINE_FORWARD:
    case MACHINE_RETURNING:
        if (row_now(m)->primitive == PRIMITIVE_STOP)
            return; /* it was asked to; the executor answers the row */
        if (m->step->verb == VERB_ACT || m->step->verb == VERB_PREPARE) {
            machine_action_add(actions, MACHINE_ACTION_ALARM)->reason = "the member ended by itself";
            return; /* these do not need it to run */
        }
        snprintf(why, sizeof(why), "it ended by itself: %.400s", how);
        if (m->record.changed) {
            if (event->blames)
                blame(m);
            row_failed(m, why, event->now_us, actions);
            return;
        }
        reason_set(m, why, NULL);
        conclude(m, OUTCOME_FAILED, actions);
        return;
    case MACHINE_BARRIER:
    case MACHINE_HOLDING: return;
    case MACHINE_IDLE:
    case MACHINE_HELD:
        machine_action_add(actions, MACHINE_ACTION_ALARM)->reason = "the member ended by itself";
        return;
    }
}

void machine_step(struct member_machine *m, const struct machine_event *event,
                  struct machine_actions *actions) {
    actions->n = 0;
    bool too_early = !m->recovered && event->kind != MACHINE_EVENT_RECOVERED &&
                     event->kind != MACHINE_EVENT_JOURNAL_LOST && event->kind != MACHINE_EVENT_LATCH;
    if (too_early)
        return;
    switch (event->kind) {
    case MACHINE_EVENT_ORDER: ordered(m, event, actions); break;
    case MACHINE_EVENT_ANSWER:
        if (event_is_of_now(m, event))
            row_answered(m, event, actions);
        break;
    case MACHINE_EVENT_FAILED:
        if (event_is_of_now(m, event))
            row_failed_by_event(m, event, actions);
        break;
    case MACHINE_EVENT_STALE:
        if (event_is_of_now(m, event) && row_now(m)->primitive == PRIMITIVE_STOP &&
            m->record.state == MACHINE_FORWARD)
            stop_put_off(m, event->now_us, actions);
        break;
    case MACHINE_EVENT_PROGRESS: row_progress(m, event); break;
    case MACHINE_EVENT_ENDED: ended(m, event, actions); break;
    case MACHINE_EVENT_TIME: row_time_passed(m, event->now_us, actions); break;
    case MACHINE_EVENT_LATCH: m->latched = true; break;
    case MACHINE_EVENT_RECOVERED:
        if (!m->recovered)
            machine_recover(m, event, actions);
        break;
    case MACHINE_EVENT_JOURNAL_LOST: m->journal_lost = true; break;
    }
    invariant(m);
}
