/* Why a machine and not a script with error paths: at every moment the member's whole situation is one record, which is
 * what the journal holds; so a crash, an abort, a dead process or a slow disk is one more event in a state, and each
 * (state, event) pair is answered in one place below. What follows after a failure is decided by three things alone:
 * has this step changed anything, what does the row say, is the way back open.
 *
 * Invariant: what cannot be undone is begun only in row_begin, after its intent is an earlier action of the same list. */
#include "agent/core/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    KILL_GRACE_MS = 30 * 1000, /* after SIGKILL a process that does not end sits in the kernel: disk or NFS */
    STALE_MAX = 3,             /* stops put off because a slow sync made the evidence old */
};

/* ---- states ---- */

struct state_row {
    const char *text;
    unsigned allowed; /* successors, as bits */
};

#define TO(state) (1u << (state))
static const struct state_row states[MEMBER_STATES] = {
    [MEMBER_IDLE] = {"idle", TO(MEMBER_FORWARD)},
    [MEMBER_FORWARD] = {"forward",
                        TO(MEMBER_IDLE) | TO(MEMBER_RETURNING) | TO(MEMBER_HOLDING) | TO(MEMBER_HELD)},
    [MEMBER_RETURNING] = {"returning", TO(MEMBER_IDLE) | TO(MEMBER_HOLDING) | TO(MEMBER_HELD)},
    [MEMBER_HOLDING] = {"holding", TO(MEMBER_HELD)},
    [MEMBER_HELD] = {"held", TO(MEMBER_FORWARD)},
};

const char *member_state_text(enum member_state state) {
    return (unsigned)state < MEMBER_STATES ? states[state].text : "?";
}

static void invariant(const struct member_machine *m) {
    bool open = m->record.state == MEMBER_FORWARD || m->record.state == MEMBER_RETURNING ||
                m->record.state == MEMBER_HOLDING;
    assert(open == (m->order != NULL) && open == (m->step != NULL));
    assert(!m->record.stopped || m->record.changed);
    assert(m->record.state != MEMBER_RETURNING || m->record.changed);
    assert(m->record.state != MEMBER_HOLDING || m->record.changed);
    assert(!open || m->record.outcome == OUTCOME_NONE);
    assert(m->record.state != MEMBER_HELD || m->record.held);
}

void member_move(struct member_machine *m, enum member_state to) {
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

/* ---- actions ---- */

static struct member_action *action_add(struct member_actions *actions, enum member_action_kind kind) {
    assert(actions->n < MEMBER_ACTIONS_MAX);
    struct member_action *action = &actions->items[actions->n++];
    *action = (struct member_action){.kind = kind};
    return action;
}

static void act_journal(struct member_machine *m, bool sync, struct member_actions *actions) {
    struct member_action *action = action_add(actions, ACTION_JOURNAL);
    action->record = m->record;
    action->sync = sync;
}

static void act_report(struct member_machine *m, enum outcome outcome, struct member_actions *actions) {
    struct member_action *action = action_add(actions, ACTION_REPORT);
    action->outcome = outcome;
    action->reason = m->record.reason;
}

static void act_execute(struct member_machine *m, const struct row *row, struct member_actions *actions) {
    struct member_action *action = action_add(actions, ACTION_EXECUTE);
    action->row = row;
    action->op = ++m->op;
    action->attempt = m->attempt;
    m->asking = true;
    action->record = m->record;
    if (row->primitive == PRIMITIVE_STOP && m->record.state == MEMBER_FORWARD && m->evidence_limit_us > 0)
        action->not_after_us = m->evidence_us + m->evidence_limit_us;
}

/* A held member is freed by what brought it to a proven generation, and by nothing less. */
static bool stays_held(const struct member_machine *m, enum outcome outcome) {
    bool proven = (outcome == OUTCOME_DONE || outcome == OUTCOME_RETURNED) && m->step->verb != VERB_ACT &&
                  m->step->verb != VERB_PREPARE;
    return m->record.held && !proven;
}

void conclude(struct member_machine *m, enum outcome outcome, struct member_actions *actions) {
    m->record.outcome = outcome;
    m->record.held = stays_held(m, outcome);
    member_move(m, m->record.held ? MEMBER_HELD : MEMBER_IDLE);
    act_journal(m, true, actions);
    act_report(m, outcome, actions);
    m->order = NULL;
    m->step = NULL;
    m->deadline_us = m->cap_us = m->poll_us = UINT64_MAX;
    m->asking = false;
    m->record.changed = m->record.stopped = false;
}

void conclude_held(struct member_machine *m, struct member_actions *actions) {
    m->record.held = true;
    conclude(m, OUTCOME_HELD, actions);
    action_add(actions, ACTION_ALARM)->reason = m->record.reason;
}

/* ---- the way back ---- */

bool way_back_is_open(enum way_back way_back, const struct member_record *record) {
    switch (way_back) {
    case WAY_BACK_UNTIL_FINALIZE: return true;
    case WAY_BACK_UNTIL_PROMOTION: return !record->promoted;
    case WAY_BACK_UNTIL_START:
    case WAY_BACK_CLUSTER:
    case WAY_BACK_NEVER: return !record->started_new;
    }
    return false;
}

/* What people may order although a member may not do it alone. */
static bool return_may_be_ordered(enum way_back way_back, const struct member_record *record) {
    return way_back == WAY_BACK_CLUSTER || way_back_is_open(way_back, record);
}

static const struct row *find_row(const struct step *step, enum primitive primitive) {
    for (size_t i = 0; step && i < step->n_rows; i++)
        if (step->rows[i].primitive == primitive)
            return &step->rows[i];
    return NULL;
}

static const struct step *find_return(const struct work_order *order) {
    for (size_t i = 0; i < order->n_steps; i++)
        if (order->steps[i].verb == VERB_REVERT && find_row(&order->steps[i], PRIMITIVE_STOP))
            return &order->steps[i];
    return NULL;
}

static struct row row_like(const struct step *step, enum primitive primitive) {
    const struct row *found = find_row(step, primitive);
    struct row row = found ? *found : (struct row){.primitive = primitive};
    row.generation = 0;
    row.on_failure = ON_FAILURE_HOLD;
    return row;
}

/* The rows of the signed return from its stop on; an order without one goes back by the bare four. */
static void way_plan(struct member_machine *m) {
    const struct step *signed_return = find_return(m->order);
    m->n_way = 0;
    if (signed_return) {
        const struct row *stop = find_row(signed_return, PRIMITIVE_STOP);
        for (size_t i = (size_t)(stop - signed_return->rows);
             i < signed_return->n_rows && m->n_way < RETURN_ROWS_MAX; i++)
            m->way[m->n_way++] = signed_return->rows[i];
    } else {
        static const enum primitive bare[] = {PRIMITIVE_STOP, PRIMITIVE_SWAP, PRIMITIVE_START,
                                              PRIMITIVE_OBSERVE};
        for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++)
            m->way[m->n_way++] = row_like(m->step, bare[i]);
    }
    m->hold = row_like(find_row(m->step, PRIMITIVE_STOP) ? m->step : signed_return, PRIMITIVE_STOP);
}

/* ---- rows ---- */

size_t rows_now(const struct member_machine *m) {
    switch (m->record.state) {
    case MEMBER_FORWARD: return m->step->n_rows;
    case MEMBER_RETURNING: return m->n_way;
    case MEMBER_HOLDING: return 1;
    case MEMBER_IDLE:
    case MEMBER_HELD: return 0;
    }
    return 0;
}

const struct row *row_now(const struct member_machine *m) {
    if (m->record.row >= rows_now(m))
        return NULL;
    switch (m->record.state) {
    case MEMBER_FORWARD: return &m->step->rows[m->record.row];
    case MEMBER_RETURNING: return &m->way[m->record.row];
    case MEMBER_HOLDING: return &m->hold;
    case MEMBER_IDLE:
    case MEMBER_HELD: return NULL;
    }
    return NULL;
}

/* Put-backs and the way back go on after an abort; nothing else begins. */
static bool is_closing(const struct work_order *order, const struct step *step) {
    if (step->verb == VERB_REVERT)
        return true;
    for (size_t i = 0; i < order->n_leases; i++)
        if (strcmp(order->leases[i].close_step, step->name) == 0)
            return true;
    return false;
}

static enum mode mode_of(const struct member_machine *m, const struct row *row) {
    return row->generation > 0 && row->generation <= m->order->n_generations
               ? m->order->generations[row->generation - 1].mode
               : MODE_UNKNOWN;
}

/* What is true from the moment on at which the row begins, whether or not it succeeds. */
static void note_begin(struct member_machine *m, const struct row *row) {
    if (primitive_rule(row->primitive)->changes)
        m->record.changed = true;
    if (m->record.state != MEMBER_FORWARD)
        return;
    if (row->primitive == PRIMITIVE_STOP)
        m->record.stopped = true;
    if (row->primitive == PRIMITIVE_START && row->generation > 0) {
        m->record.started_new = true;
        m->record.promoted |= mode_of(m, row) != MODE_READ_ONLY;
    }
    if (row->primitive == PRIMITIVE_RUN && m->step->verb == VERB_PROMOTE)
        m->record.promoted = true;
}

static uint64_t after_ms(uint64_t now_us, uint64_t ms) {
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
}

/* An abort latches: before what cannot be taken back it is looked for once more. True when it ended or turned the step. */
static bool latch_stops(struct member_machine *m, const struct row *row, uint64_t now_us,
                        struct member_actions *actions) {
    if (!m->latched || m->record.state != MEMBER_FORWARD || !primitive_rule(row->primitive)->latched ||
        is_closing(m->order, m->step))
        return false;
    if (!m->record.changed) {
        reason_set(m, "the run was aborted before this step changed anything", NULL);
        conclude(m, OUTCOME_FAILED, actions);
        return true;
    }
    if (!m->record.stopped || !way_back_is_open(m->order->way_back, &m->record))
        return false; /* what was begun is finished */
    reason_set(m, "the run was aborted", NULL);
    return_begin(m, now_us, actions);
    return true;
}

static void rows_finished(struct member_machine *m, struct member_actions *actions) {
    switch (m->record.state) {
    case MEMBER_FORWARD:
        m->record.reason[0] = 0;
        conclude(m, OUTCOME_DONE, actions);
        return;
    case MEMBER_RETURNING: conclude(m, OUTCOME_RETURNED, actions); return;
    case MEMBER_HOLDING: conclude_held(m, actions); return;
    case MEMBER_IDLE:
    case MEMBER_HELD: return;
    }
}

void row_begin(struct member_machine *m, uint64_t now_us, struct member_actions *actions) {
    const struct row *row = row_now(m);
    if (!row) {
        rows_finished(m, actions);
        return;
    }
    if (latch_stops(m, row, now_us, actions))
        return;
    const struct primitive_rule *rule = primitive_rule(row->primitive);
    bool first_change = rule->changes && !m->record.changed;
    bool first_stop =
        row->primitive == PRIMITIVE_STOP && m->record.state == MEMBER_FORWARD && !m->record.stopped_at_us;
    note_begin(m, row);
    /* After the first change nothing waits for a disk: its synced intent already leads to the way back. */
    act_journal(m, rule->before == DURABLE_SYNCED && (first_change || first_stop), actions);
    if (first_change)
        act_report(m, OUTCOME_BEGUN, actions);
    m->attempt = 0;
    arm(m, row, now_us);
    act_execute(m, row, actions);
}

void row_done(struct member_machine *m, uint64_t now_us, struct member_actions *actions) {
    const struct row *row = row_now(m);
    if (row->primitive == PRIMITIVE_START || row->primitive == PRIMITIVE_OBSERVE)
        m->record.generation = row->generation;
    m->record.row++;
    row_begin(m, now_us, actions);
}

void return_begin(struct member_machine *m, uint64_t now_us, struct member_actions *actions) {
    member_move(m, MEMBER_RETURNING);
    m->record.interruption_us = 0;
    row_begin(m, now_us, actions);
}

static void hold_begin(struct member_machine *m, uint64_t now_us, struct member_actions *actions) {
    member_move(m, MEMBER_HOLDING);
    row_begin(m, now_us, actions);
}

static void failed_forward(struct member_machine *m, const struct row *row, const char *why, uint64_t now_us,
                           struct member_actions *actions) {
    bool way_open = m->step->verb != VERB_REVERT && way_back_is_open(m->order->way_back, &m->record);
    reason_set(m, NULL, why);
    if (!m->record.changed)
        conclude(m,
                 row->primitive == PRIMITIVE_ASK && find_row(m->step, PRIMITIVE_STOP) ? OUTCOME_WAITS
                                                                                      : OUTCOME_FAILED,
                 actions);
    else if (row->on_failure == ON_FAILURE_HOLD && m->step->verb != VERB_ACT)
        hold_begin(m, now_us, actions);
    else if (!m->record.stopped && row->on_failure == ON_FAILURE_STOP)
        conclude(m, OUTCOME_FAILED, actions);
    else if (m->step->verb == VERB_ACT)
        conclude(m, OUTCOME_FAILED, actions);
    else if (way_open)
        return_begin(m, now_us, actions);
    else {
        reason_set(m, why, m->step->verb == VERB_REVERT ? "the return has failed" : "the way back is closed");
        conclude_held(m, actions);
    }
}

void row_failed(struct member_machine *m, const char *why, uint64_t now_us, struct member_actions *actions) {
    const struct row *row = row_now(m);
    char first[KEDGE_REASON_MAX], both[KEDGE_REASON_MAX];
    m->asking = false;
    switch (m->record.state) {
    case MEMBER_FORWARD: failed_forward(m, row, why, now_us, actions); return;
    case MEMBER_RETURNING:
        memcpy(first, m->record.reason, sizeof(first));
        snprintf(both, sizeof(both), "the return has failed: %.400s", why);
        reason_set(m, first, both);
        if (row->sample == SAMPLE_COMPARE)
            hold_begin(m, now_us, actions);
        else
            conclude_held(m, actions);
        return;
    case MEMBER_HOLDING:
        memcpy(first, m->record.reason, sizeof(first));
        snprintf(both, sizeof(both), "it could not be stopped: %.400s", why);
        reason_set(m, first, both);
        conclude_held(m, actions);
        return;
    case MEMBER_IDLE:
    case MEMBER_HELD: return;
    }
}

/* ---- answers ---- */

/* Asked once: a may-stop gate that says no leaves the decision to the coordinator, which may ask again at leisure. */
static bool asked_once(const struct member_machine *m, const struct row *row) {
    return primitive_rule(row->primitive)->poll_first_us == 0 ||
           (row->primitive == PRIMITIVE_ASK && !m->record.changed && row->hold_ms == 0);
}

/* A pause is a quarter of the time since the row began: what comes true is seen soon after, however long it took, and
 * looking costs little beside it. */
static void ask_again(struct member_machine *m, const struct row *row, uint64_t now_us) {
    const struct primitive_rule *rule = primitive_rule(row->primitive);
    uint64_t pause_us = (now_us - m->begun_us) / 4;
    uint64_t least_us = m->attempt == 0 ? rule->poll_first_us : rule->poll_first_us / 4;
    if (pause_us < least_us)
        pause_us = least_us;
    m->poll_us = now_us + (pause_us < rule->poll_last_us ? pause_us : rule->poll_last_us);
}

/* A gate that said yes: kept for long enough, without a break? The time counts from the first yes. */
static void answered_yes(struct member_machine *m, const struct row *row, const struct member_event *event,
                         struct member_actions *actions) {
    if (row->primitive == PRIMITIVE_STOP && m->record.state == MEMBER_FORWARD && !m->record.stopped_at_us) {
        m->record.stopped_at_us = event->now_us - event->age_us;
        if (m->evidence_us && m->evidence_us < m->record.stopped_at_us)
            m->record.evidence_age_us = m->record.stopped_at_us - m->evidence_us;
    }
    bool answers = row->primitive == PRIMITIVE_ASK || row->primitive == PRIMITIVE_OBSERVE;
    if (answers && m->record.stopped_at_us && !m->record.interruption_us)
        m->record.interruption_us = event->now_us - m->record.stopped_at_us;
    if (row->primitive != PRIMITIVE_ASK) {
        row_done(m, event->now_us, actions);
        return;
    }
    m->evidence_us = event->now_us - (event->age_us < event->now_us ? event->age_us : 0);
    m->evidence_limit_us = event->limit_us;
    if (m->held_since_us == 0)
        m->held_since_us = event->now_us;
    if (event->now_us - m->held_since_us >= (uint64_t)row->hold_ms * 1000)
        row_done(m, event->now_us, actions);
    else
        ask_again(m, row, event->now_us);
}

static void answered(struct member_machine *m, const struct member_event *event,
                     struct member_actions *actions) {
    const struct row *row = row_now(m);
    m->asking = false;
    if (event->answer == ANSWER_YES) {
        answered_yes(m, row, event, actions);
        return;
    }
    m->held_since_us = 0;
    snprintf(m->said, sizeof(m->said), "%s", event->reason ? event->reason : "no reason was given");
    bool lost = row->sample == SAMPLE_COMPARE && event->answer == ANSWER_NO;
    if (lost || asked_once(m, row))
        row_failed(m, m->said, event->now_us, actions);
    else
        ask_again(m, row, event->now_us);
}

static bool is_of_now(const struct member_machine *m, const struct member_event *event) {
    return m->order && m->asking && event->op == m->op;
}

/* Nothing was signalled yet and the evidence has grown old (the sync was slow, the agent was away): ask once more. */
void stop_put_off(struct member_machine *m, uint64_t now_us, struct member_actions *actions) {
    m->asking = false;
    m->record.changed = m->record.stopped = false;
    m->record.stopped_at_us = 0;
    uint32_t row = m->record.row;
    while (row > 0 && m->step->rows[row].primitive != PRIMITIVE_ASK)
        row--;
    if (++m->stale > STALE_MAX) {
        reason_set(m, "may-stop was answered, but the answer was too old when it came to the stop", NULL);
        conclude(m, OUTCOME_WAITS, actions);
        return;
    }
    m->record.row = row; /* a step that asks nothing begins anew */
    row_begin(m, now_us, actions);
}

static void failed(struct member_machine *m, const struct member_event *event,
                   struct member_actions *actions) {
    const struct row *row = row_now(m);
    if (event->untouched && row->primitive == PRIMITIVE_STOP && m->record.state == MEMBER_FORWARD)
        m->record.changed = m->record.stopped = false;
    row_failed(m, event->reason ? event->reason : "no reason was given", event->now_us, actions);
}

/* ---- time ---- */

uint64_t member_next_deadline(const struct member_machine *m) {
    if (!m->order)
        return UINT64_MAX;
    uint64_t next = m->deadline_us < m->cap_us ? m->deadline_us : m->cap_us;
    return m->poll_us < next ? m->poll_us : next;
}

static void too_late(struct member_machine *m, const struct row *row, uint64_t now_us,
                     struct member_actions *actions) {
    char why[KEDGE_REASON_MAX];
    unsigned long long ms = (now_us - m->begun_us) / 1000;
    if (row->primitive == PRIMITIVE_STOP && !m->killed) {
        m->killed = true;
        m->deadline_us = after_ms(now_us, KILL_GRACE_MS);
        action_add(actions, ACTION_KILL);
        return;
    }
    if (row->primitive == PRIMITIVE_STOP)
        snprintf(why, sizeof(why), "it does not end, not even by SIGKILL, after %llu ms", ms);
    else if (row->primitive == PRIMITIVE_START && now_us >= m->cap_us)
        snprintf(why, sizeof(why), "it was not up after %llu ms, the most that it is given: %.300s", ms,
                 m->said);
    else if (row->primitive == PRIMITIVE_START)
        snprintf(why, sizeof(why), "it was not up after %llu ms without progress: %.300s", ms, m->said);
    else
        snprintf(why, sizeof(why), "%s took longer than %llu ms%s%.300s", primitive_text(row->primitive), ms,
                 m->said[0] ? ": " : "", m->said);
    row_failed(m, why, now_us, actions);
}

static void time_passed(struct member_machine *m, uint64_t now_us, struct member_actions *actions) {
    if (!m->order)
        return;
    const struct row *row = row_now(m);
    if (now_us >= m->deadline_us || now_us >= m->cap_us) {
        too_late(m, row, now_us, actions);
    } else if (now_us >= m->poll_us) {
        m->poll_us = UINT64_MAX;
        m->attempt++;
        act_execute(m, row, actions);
    }
}

static void progress(struct member_machine *m, const struct member_event *event) {
    const struct row *row = m->order ? row_now(m) : NULL;
    if (row && row->primitive == PRIMITIVE_START)
        m->deadline_us =
            after_ms(event->now_us,
                     row->deadline_ms ? row->deadline_ms : primitive_rule(PRIMITIVE_START)->deadline_ms);
}

/* ---- orders ---- */

static const char *refusal(const struct member_machine *m, const struct member_event *event) {
    const struct member_record *record = &m->record;
    bool same_plan = record->serial == event->order->serial;
    if (m->order)
        return "another step of this member is open";
    if (m->journal_lost)
        return "this agent's journal cannot be written (journal lost); mend its disk and restart it";
    if (event->refused)
        return event->refused;
    if (event->step->verb == VERB_REVERT && same_plan &&
        !return_may_be_ordered(event->order->way_back, record))
        return "the way back is closed: the new release has already been at work on the data";
    if (record->state == MEMBER_HELD && same_plan && event->step->verb != VERB_REVERT &&
        event->step->verb != VERB_ACT)
        return "the member is held; order its return, or approve a newer plan";
    return NULL;
}

static void order_begin(struct member_machine *m, const struct member_event *event,
                        struct member_actions *actions) {
    m->latched = event->latched;
    if (m->record.serial != event->order->serial) {
        m->record.started_new = m->record.promoted = false;
        m->record.serial = event->order->serial;
    }
    m->record.held = m->record.state == MEMBER_HELD;
    m->order = event->order;
    m->step = event->step;
    m->record.outcome = OUTCOME_NONE;
    m->record.stopped_at_us = m->record.interruption_us = m->record.evidence_age_us = 0;
    m->evidence_us = m->evidence_limit_us = 0;
    m->stale = 0;
    m->record.reason[0] = 0;
    way_plan(m);
    member_move(m, MEMBER_FORWARD);
    if (m->latched && !is_closing(m->order, m->step)) {
        reason_set(m, "the run was aborted: nothing of it begins any more", NULL);
        conclude(m, OUTCOME_REFUSED, actions);
        return;
    }
    row_begin(m, event->now_us, actions);
}

static void ordered(struct member_machine *m, const struct member_event *event,
                    struct member_actions *actions) {
    const char *why = refusal(m, event);
    if (!why) {
        order_begin(m, event, actions);
        return;
    }
    /* A refusal changes nothing, not even the journal: it can be made again from the same facts. */
    struct member_action *action = action_add(actions, ACTION_REPORT);
    action->outcome = OUTCOME_REFUSED;
    action->reason = why;
}

/* ---- the door ---- */

void member_init(struct member_machine *m, const struct member_record *record, const struct work_order *order,
                 const struct step *step) {
    *m = (struct member_machine){.record = *record, .order = order, .step = step};
    m->deadline_us = m->cap_us = m->poll_us = UINT64_MAX;
    if (order) {
        m->record.outcome = OUTCOME_NONE;
        way_plan(m);
    } else {
        m->record.changed = m->record.stopped = false;
    }
    invariant(m);
}

static void ended(struct member_machine *m, const struct member_event *event,
                  struct member_actions *actions) {
    char why[KEDGE_REASON_MAX];
    const char *how = event->reason ? event->reason : "nothing is known about how";
    switch (m->record.state) {
    case MEMBER_FORWARD:
    case MEMBER_RETURNING:
        if (row_now(m)->primitive == PRIMITIVE_STOP)
            return; /* it was asked to; the executor answers the row */
        if (m->step->verb == VERB_ACT || m->step->verb == VERB_PREPARE) {
            action_add(actions, ACTION_ALARM)->reason = "the member ended by itself";
            return; /* these do not need it to run */
        }
        snprintf(why, sizeof(why), "it ended by itself: %.400s", how);
        if (m->record.changed) {
            row_failed(m, why, event->now_us, actions);
            return;
        }
        reason_set(m, why, NULL);
        conclude(m, OUTCOME_FAILED, actions);
        return;
    case MEMBER_HOLDING: return;
    case MEMBER_IDLE:
    case MEMBER_HELD: action_add(actions, ACTION_ALARM)->reason = "the member ended by itself"; return;
    }
}

void member_step(struct member_machine *m, const struct member_event *event, struct member_actions *actions) {
    actions->n = 0;
    bool too_early = !m->recovered && event->kind != EVENT_RECOVERED && event->kind != EVENT_JOURNAL_LOST &&
                     event->kind != EVENT_LATCH;
    if (too_early)
        return;
    switch (event->kind) {
    case EVENT_ORDER: ordered(m, event, actions); break;
    case EVENT_ANSWER:
        if (is_of_now(m, event))
            answered(m, event, actions);
        break;
    case EVENT_FAILED:
        if (is_of_now(m, event))
            failed(m, event, actions);
        break;
    case EVENT_STALE:
        if (is_of_now(m, event) && row_now(m)->primitive == PRIMITIVE_STOP &&
            m->record.state == MEMBER_FORWARD)
            stop_put_off(m, event->now_us, actions);
        break;
    case EVENT_PROGRESS: progress(m, event); break;
    case EVENT_ENDED: ended(m, event, actions); break;
    case EVENT_TIME: time_passed(m, event->now_us, actions); break;
    case EVENT_LATCH: m->latched = true; break;
    case EVENT_RECOVERED:
        if (!m->recovered)
            member_recover(m, event, actions);
        break;
    case EVENT_JOURNAL_LOST: m->journal_lost = true; break;
    }
    invariant(m);
}
