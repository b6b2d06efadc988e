/* How a row begins, and what its end leads to. What follows after a failure is decided by three things alone: has this
 * step changed anything, what does the row say, is the way back open.
 *
 * Invariant: what cannot be undone is begun only in row_begin, after its intent is an earlier action of the same list. */
#include "agent/core/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- actions ---- */

struct machine_action *machine_action_add(struct machine_actions *actions, enum machine_action_kind kind) {
    assert(actions->n < MACHINE_ACTIONS_MAX);
    struct machine_action *action = &actions->items[actions->n++];
    *action = (struct machine_action){.kind = kind};
    return action;
}

static void act_journal(struct member_machine *m, bool sync, struct machine_actions *actions) {
    struct machine_action *action = machine_action_add(actions, MACHINE_ACTION_JOURNAL);
    action->record = m->record;
    action->sync = sync;
}

static void act_report(struct member_machine *m, enum outcome outcome, struct machine_actions *actions) {
    struct machine_action *action = machine_action_add(actions, MACHINE_ACTION_REPORT);
    action->outcome = outcome;
    action->reason = m->record.reason;
}

void act_execute(struct member_machine *m, const struct row *row, struct machine_actions *actions) {
    struct machine_action *action = machine_action_add(actions, MACHINE_ACTION_EXECUTE);
    action->row = row;
    action->op = ++m->op;
    action->attempt = m->attempt;
    m->asking = true;
    action->record = m->record;
    if (row->primitive == PRIMITIVE_STOP && m->record.state == MACHINE_FORWARD && m->evidence_limit_us > 0 &&
        !KEDGE_MUTANT(last_answer_too_old))
        action->not_after_us = m->evidence_us + m->evidence_limit_us;
}

bool verb_proves(enum verb verb) {
    return verb == VERB_SWITCH || verb == VERB_PROMOTE || verb == VERB_REVERT || verb == VERB_START;
}

/* ---- the barrier ---- */

/* Does the end of this step leave the member stopped at the barrier? Notes how far it is. */
static bool ends_at_barrier(struct member_machine *m, enum outcome outcome) {
    bool done = outcome == OUTCOME_DONE;
    enum verb verb = m->step->verb;
    if (done && (verb == VERB_STOP || verb == VERB_BACK))
        m->record.barrier_serial = m->order->serial;
    bool stays = verb == VERB_ACT || verb == VERB_PREPARE || verb == VERB_BACK; /* as far as it was */
    if (outcome == OUTCOME_RETURNED || outcome == OUTCOME_HELD || (!stays && (done || m->record.changed)))
        m->record.barrier = BARRIER_NONE;
    if (done && verb == VERB_STOP)
        m->record.barrier = BARRIER_STOPPED;
    else if (done && (verb == VERB_PASS || verb == VERB_BACK))
        m->record.barrier = BARRIER_PASSED;
    return m->record.barrier != BARRIER_NONE;
}

void barrier_arm(struct member_machine *m) {
    m->deadline_us = m->record.hold_until_us;
    m->cap_us = m->poll_us = UINT64_MAX;
}

void barrier_time_passed(struct member_machine *m, uint64_t now_us, struct machine_actions *actions) {
    if (now_us < m->deadline_us)
        return;
    if (m->record.barrier == BARRIER_PASSED) {
        m->deadline_us = UINT64_MAX;
        reason_set(m,
                   "the hold limit is over and the barrier was passed: it stays down until it is ordered to "
                   "start or to return",
                   NULL);
        machine_action_add(actions, MACHINE_ACTION_ALARM)->reason = m->record.reason;
        return;
    }
    reason_set(m, "the hold limit was over before the barrier was passed", NULL);
    m->record.outcome = OUTCOME_NONE;
    m->record.changed = m->record.stopped = true;
    return_begin(m, now_us, actions);
}

/* A held member is freed by what brought it to a proven generation, and by nothing less. */
static bool stays_held(const struct member_machine *m, enum outcome outcome) {
    bool proven = outcome == OUTCOME_RETURNED || (outcome == OUTCOME_DONE && verb_proves(m->step->verb));
    return m->record.held && !proven && !KEDGE_MUTANT(held_is_freed);
}

void conclude(struct member_machine *m, enum outcome outcome, struct machine_actions *actions) {
    m->record.outcome = outcome;
    m->record.held = stays_held(m, outcome);
    bool at_barrier = ends_at_barrier(m, outcome);
    machine_move(m, at_barrier ? MACHINE_BARRIER : m->record.held ? MACHINE_HELD : MACHINE_IDLE);
    act_journal(m, true, actions);
    act_report(m, outcome, actions);
    m->asking = false;
    m->record.changed = m->record.stopped = false;
    if (at_barrier) {
        barrier_arm(m);
        return;
    }
    m->order = NULL;
    m->step = NULL;
    m->deadline_us = m->cap_us = m->poll_us = UINT64_MAX;
}

void conclude_held(struct member_machine *m, struct machine_actions *actions) {
    m->record.held = true;
    m->record.held_serial = m->record.serial;
    conclude(m, OUTCOME_HELD, actions);
    if (!KEDGE_MUTANT(held_in_silence))
        machine_action_add(actions, MACHINE_ACTION_ALARM)->reason = m->record.reason;
}

/* ---- the way back ---- */

bool way_back_is_open(enum way_back way_back, const struct machine_record *record) {
    switch (way_back) {
    case WAY_BACK_UNTIL_FINALIZE: return true;
    case WAY_BACK_UNTIL_PROMOTION: return !record->promoted || KEDGE_MUTANT(returned_after_promotion);
    case WAY_BACK_UNTIL_START:
    case WAY_BACK_CLUSTER:
    case WAY_BACK_NEVER: return !record->started_new || KEDGE_MUTANT(way_back_overstepped);
    }
    return false;
}

bool may_return_alone(const struct member_machine *m) {
    if (m->step->verb == VERB_STOP)
        return true; /* nobody has passed: the data is as the old release left it */
    return m->step->verb != VERB_REVERT && m->step->verb != VERB_START && m->step->verb != VERB_BACK &&
           way_back_is_open(m->order->way_back, &m->record);
}

/* What people may order although a member may not do it alone. */
bool return_may_be_ordered(enum way_back way_back, const struct machine_record *record) {
    return way_back == WAY_BACK_CLUSTER || KEDGE_MUTANT(return_always_ordered) ||
           way_back_is_open(way_back, record);
}

static const struct step *find_return(const struct work_order *order) {
    for (size_t i = 0; i < order->n_steps; i++)
        if (order->steps[i].verb == VERB_REVERT && step_find_row(&order->steps[i], PRIMITIVE_STOP))
            return &order->steps[i];
    return NULL;
}

static struct row row_like(const struct step *step, enum primitive primitive) {
    const struct row *found = step_find_row(step, primitive);
    struct row row = found ? *found : (struct row){.primitive = primitive};
    row.generation = 0;
    row.on_failure = ON_FAILURE_HOLD;
    return row;
}

/* The rows of the signed return from its stop on; an order without one goes back by the bare four. */
void way_plan(struct member_machine *m) {
    const struct step *signed_return = find_return(m->order);
    m->n_way = 0;
    if (signed_return) {
        const struct row *stop = step_find_row(signed_return, PRIMITIVE_STOP);
        for (size_t i = (size_t)(stop - signed_return->rows);
             i < signed_return->n_rows && m->n_way < RETURN_ROWS_MAX; i++)
            m->way[m->n_way++] = signed_return->rows[i];
    } else {
        static const enum primitive bare[] = {PRIMITIVE_STOP, PRIMITIVE_SWAP, PRIMITIVE_START,
                                              PRIMITIVE_OBSERVE};
        for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++)
            m->way[m->n_way++] = row_like(m->step, bare[i]);
    }
    m->hold = row_like(step_find_row(m->step, PRIMITIVE_STOP) ? m->step : signed_return, PRIMITIVE_STOP);
}

/* ---- rows ---- */

size_t rows_now(const struct member_machine *m) {
    switch (m->record.state) {
    case MACHINE_FORWARD: return m->step->n_rows;
    case MACHINE_RETURNING: return m->n_way;
    case MACHINE_HOLDING: return 1;
    case MACHINE_IDLE:
    case MACHINE_BARRIER:
    case MACHINE_HELD: return 0;
    }
    return 0;
}

const struct row *row_now(const struct member_machine *m) {
    if (m->record.row >= rows_now(m))
        return NULL;
    switch (m->record.state) {
    case MACHINE_FORWARD: return &m->step->rows[m->record.row];
    case MACHINE_RETURNING: return &m->way[m->record.row];
    case MACHINE_HOLDING: return &m->hold;
    case MACHINE_IDLE:
    case MACHINE_BARRIER:
    case MACHINE_HELD: return NULL;
    }
    return NULL;
}

bool step_puts_back(const struct work_order *order, const struct step *step) {
    for (size_t i = 0; i < order->n_leases; i++)
        if (strcmp(order->leases[i].close_step, step->name) == 0)
            return true;
    return false;
}

/* Put-backs and the way back go on after an abort; nothing else begins. */
bool step_is_closing(const struct work_order *order, const struct step *step) {
    return step->verb == VERB_REVERT || step->verb == VERB_BACK || step_puts_back(order, step);
}

static enum mode mode_of(const struct member_machine *m, const struct row *row) {
    return row->generation > 0 && row->generation <= m->order->n_generations
               ? m->order->generations[row->generation - 1].mode
               : MODE_UNKNOWN;
}

/* What is true from the moment on at which the row begins, whether or not it succeeds. */
static void note_begin(struct member_machine *m, const struct row *row) {
    if (primitive_rule(row->primitive)->changes && !m->record.adopts)
        m->record.changed = true;
    if (m->record.state != MACHINE_FORWARD)
        return;
    if (row->primitive == PRIMITIVE_STOP)
        m->record.stopped = true;
    m->was_started_new = m->record.started_new;
    m->was_promoted = m->record.promoted;
    if (row->primitive == PRIMITIVE_START && row->generation > 0) {
        m->record.started_new = true;
        m->record.promoted |= mode_of(m, row) != MODE_READ_ONLY;
    }
    if (row->primitive == PRIMITIVE_RUN && m->step->verb == VERB_PROMOTE)
        m->record.promoted = true;
    if (row->primitive == PRIMITIVE_RUN && m->step->verb == VERB_FINALIZE) /* nothing leads back from here */
        m->record.started_new = m->record.promoted = true;
}

uint64_t after_ms(uint64_t now_us, uint64_t ms) {
    return now_us + ms * 1000;
}

static void arm(struct member_machine *m, const struct row *row, uint64_t now_us) {
    const struct primitive_rule *rule = primitive_rule(row->primitive);
    uint32_t deadline_ms = row->deadline_ms ? row->deadline_ms : rule->deadline_ms;
    m->begun_us = now_us;
    m->deadline_us = after_ms(now_us, deadline_ms);
    m->cap_us = row->hard_cap_ms ? after_ms(now_us, row->hard_cap_ms) : UINT64_MAX;
    if (row->primitive == PRIMITIVE_ASK) /* the hold comes on top of the time to become true */
        m->deadline_us = after_ms(m->deadline_us, row->hold_ms);
    m->poll_us = UINT64_MAX;
    m->held_since_us = 0;
    m->killed = false;
    m->said[0] = 0;
    m->said_answer = ANSWER_YES;
}

/* An abort latches: before what cannot be taken back it is looked for once more. True when it ended or turned the step. */
static bool latch_stops(struct member_machine *m, const struct row *row, uint64_t now_us,
                        struct machine_actions *actions) {
    if (!m->latched || KEDGE_MUTANT(latch_ignored) || m->record.state != MACHINE_FORWARD ||
        !primitive_rule(row->primitive)->latched || step_is_closing(m->order, m->step))
        return false;
    if (!m->record.changed) {
        reason_set(m, "the run was aborted before this step changed anything", NULL);
        conclude(m, OUTCOME_FAILED, actions);
        return true;
    }
    if (!m->record.stopped || !may_return_alone(m))
        return false; /* what was begun is finished */
    reason_set(m, "the run was aborted", NULL);
    return_begin(m, now_us, actions);
    return true;
}

static void rows_finished(struct member_machine *m, struct machine_actions *actions) {
    switch (m->record.state) {
    case MACHINE_FORWARD:
        m->record.reason[0] = 0;
        conclude(m, OUTCOME_DONE, actions);
        return;
    case MACHINE_RETURNING:
        conclude(m, KEDGE_MUTANT(returned_is_done) ? OUTCOME_DONE : OUTCOME_RETURNED, actions);
        return;
    case MACHINE_HOLDING: conclude_held(m, actions); return;
    case MACHINE_IDLE:
    case MACHINE_BARRIER:
    case MACHINE_HELD: return;
    }
}

void row_begin(struct member_machine *m, uint64_t now_us, struct machine_actions *actions) {
    const struct row *row = row_now(m);
    if (!row) {
        rows_finished(m, actions);
        return;
    }
    if (latch_stops(m, row, now_us, actions))
        return;
    if (row->primitive == PRIMITIVE_ASK && !m->record.changed && KEDGE_MUTANT(stopped_unasked)) {
        row_done(m, now_us, actions);
        return;
    }
    const struct primitive_rule *rule = primitive_rule(row->primitive);
    bool first_change = rule->changes && !m->record.changed;
    bool first_stop =
        row->primitive == PRIMITIVE_STOP && m->record.state == MACHINE_FORWARD && !m->record.stopped_at_us;
    bool way_open = way_back_is_open(m->order->way_back, &m->record);
    note_begin(m, row);
    /* After the first change nothing waits for a disk: its synced intent already leads to the way back. But for the one
     * row that closes the way back: a host that dies after it must not find a journal that still takes it for open. */
    bool closes_way = way_open && !way_back_is_open(m->order->way_back, &m->record);
    act_journal(m,
                (closes_way && !KEDGE_MUTANT(way_back_not_synced)) ||
                    (rule->before == DURABLE_SYNCED && !KEDGE_MUTANT(intent_not_synced) &&
                     (first_change || first_stop)),
                actions);
    if (first_change)
        act_report(m, OUTCOME_BEGUN, actions);
    m->attempt = 0;
    arm(m, row, now_us);
    act_execute(m, row, actions);
}

void row_done(struct member_machine *m, uint64_t now_us, struct machine_actions *actions) {
    const struct row *row = row_now(m);
    if (row->primitive == PRIMITIVE_START || row->primitive == PRIMITIVE_OBSERVE)
        m->record.generation = row->generation;
    if (row->primitive == PRIMITIVE_STOP && (m->step->verb == VERB_STOP || m->step->verb == VERB_BACK))
        m->record.hold_until_us = after_ms(now_us, row->hold_ms);
    m->record.row++;
    row_begin(m, now_us, actions);
}

void return_begin(struct member_machine *m, uint64_t now_us, struct machine_actions *actions) {
    machine_move(m, MACHINE_RETURNING);
    m->record.interruption_us = 0;
    row_begin(m, now_us, actions);
}

static void hold_begin(struct member_machine *m, uint64_t now_us, struct machine_actions *actions) {
    machine_move(m, MACHINE_HOLDING);
    row_begin(m, now_us, actions);
}

static void failed_forward(struct member_machine *m, const struct row *row, const char *why, uint64_t now_us,
                           struct machine_actions *actions) {
    bool way_open = may_return_alone(m);
    reason_set(m, NULL, why);
    if (!m->record.changed)
        conclude(m,
                 row->primitive == PRIMITIVE_ASK && step_find_row(m->step, PRIMITIVE_STOP) ? OUTCOME_WAITS
                                                                                           : OUTCOME_FAILED,
                 actions);
    else if (row->primitive == PRIMITIVE_RUN && m->step->verb == VERB_BACK)
        conclude(m, OUTCOME_FAILED, actions); /* a restore; it stays down, as it is */
    else if (row->on_failure == ON_FAILURE_HOLD && m->step->verb != VERB_ACT &&
             m->step->verb != VERB_FINALIZE)
        hold_begin(m, now_us, actions);
    else if (!m->record.stopped && row->on_failure == ON_FAILURE_STOP)
        conclude(m, OUTCOME_FAILED, actions);
    else if (m->step->verb == VERB_ACT || m->step->verb == VERB_FINALIZE)
        conclude(m, OUTCOME_FAILED, actions);
    else if (way_open)
        return_begin(m, now_us, actions);
    else {
        reason_set(m, why, m->step->verb == VERB_REVERT ? "the return has failed" : "the way back is closed");
        conclude_held(m, actions);
    }
}

/* The row under way counts as begun. A way back is never to blame: what it starts ran before. */
void blame(struct member_machine *m) {
    bool forward = m->record.state == MACHINE_FORWARD && !m->record.adopts;
    for (uint32_t i = 0; forward && i <= m->record.row; i++)
        if (m->step->rows[i].primitive == PRIMITIVE_START && m->step->rows[i].generation > 0)
            m->record.blames = true;
}

void row_failed(struct member_machine *m, const char *why, uint64_t now_us, struct machine_actions *actions) {
    const struct row *row = row_now(m);
    char first[KEDGE_REASON_MAX], both[KEDGE_REASON_MAX];
    m->asking = false;
    switch (m->record.state) {
    case MACHINE_FORWARD: failed_forward(m, row, why, now_us, actions); return;
    case MACHINE_RETURNING:
        memcpy(first, m->record.reason, sizeof(first));
        if (*first && strstr(why, first))
            snprintf(both, sizeof(both), "the return has failed for the same reason");
        else
            snprintf(both, sizeof(both), "the return has failed: %.400s", why);
        reason_set(m, first, both);
        if (row->sample == SAMPLE_COMPARE)
            hold_begin(m, now_us, actions);
        else
            conclude_held(m, actions);
        return;
    case MACHINE_HOLDING:
        memcpy(first, m->record.reason, sizeof(first));
        snprintf(both, sizeof(both), "it could not be stopped: %.400s", why);
        reason_set(m, first, both);
        conclude_held(m, actions);
        return;
    case MACHINE_IDLE:
    case MACHINE_BARRIER:
    case MACHINE_HELD: return;
    }
}
