/* After a crash there is one question and one function: which row was under way, and what does its column say? The
 * record in the journal names the row; primitives.c holds the columns; /proc says whether a process runs. There is no
 * second path: the first start of a fresh agent goes through here as well, with an empty record. */
#include "agent/core/internal.h"

#include <assert.h>

/* Restarts the way back, or the stop of what is to be held: each of its rows may be done twice. */
static void way_again(struct member_machine *m, uint64_t now_us, struct machine_actions *actions) {
    m->record.row = 0;
    row_begin(m, now_us, actions);
}

/* The host died with the new release started and the way back closed: nothing runs, so go on from the last start. */
static void start_again(struct member_machine *m, uint64_t now_us, struct machine_actions *actions) {
    uint32_t row = m->record.row;
    while (row > 0 && m->step->rows[row].primitive != PRIMITIVE_SWAP)
        row--;
    m->record.row = row;
    row_begin(m, now_us, actions);
}

static void end_unchanged(struct member_machine *m, struct machine_actions *actions) {
    reason_set(m, "the node was restarted in the middle of this step, before it changed anything", NULL);
    conclude(m, OUTCOME_FAILED, actions);
}

static void undo(struct member_machine *m, uint64_t now_us, struct machine_actions *actions) {
    if (!m->record.changed)
        end_unchanged(m, actions);
    else if (m->step->verb == VERB_REVERT)
        way_again(m, now_us, actions);
    else if (may_return_alone(m)) {
        reason_set(m, "the node was restarted in the middle of this step", NULL);
        return_begin(m, now_us, actions);
    } else
        start_again(m, now_us, actions);
}

/* A step that would stop the member and has not: this agent may have reported its end already, without a journal to keep
 * that, and the run may have gone on with another member. Only the coordinator knows, and it orders the step again. */
static bool is_not_begun(const struct member_machine *m, const struct row *row,
                         const struct machine_event *event) {
    const struct row *stop = step_find_row(m->step, PRIMITIVE_STOP);
    if (m->record.state != MACHINE_FORWARD || !stop || !event->same_boot)
        return false;
    return row < stop || (row == stop && event->running && m->record.stopped_at_us == 0);
}

/* What other hands started may have ended while nobody looked, and is not started by us. */
static void adopt_again_by_order(struct member_machine *m, struct machine_actions *actions) {
    reason_set(m, "the agent was restarted while it looked at what runs; it waits to be ordered again", NULL);
    conclude(m, OUTCOME_WAITS, actions);
}

static void wait_for_order(struct member_machine *m, struct machine_actions *actions) {
    m->record.changed = m->record.stopped = false;
    reason_set(m, "the agent was restarted before it stopped anything; it waits to be ordered again", NULL);
    conclude(m, OUTCOME_WAITS, actions);
}

/* It was signalled, maybe, and still runs. When that is so long ago that it would have ended, may-stop is asked again;
 * otherwise it is on its way down, and a second signal does no harm. */
static void look_at_stop(struct member_machine *m, const struct row *row, const struct machine_event *event,
                         struct machine_actions *actions) {
    uint32_t deadline_ms = row->deadline_ms ? row->deadline_ms : primitive_rule(PRIMITIVE_STOP)->deadline_ms;
    bool lately = event->now_us < m->record.stopped_at_us + (uint64_t)deadline_ms * 1000;
    if (!event->running)
        row_done(m, event->now_us, actions);
    else if (m->record.state == MACHINE_FORWARD && !lately)
        stop_put_off(m, event->now_us, actions);
    else
        row_begin(m, event->now_us, actions);
}

/* ---- another process than the journal's ---- */

static const struct row *find_start(const struct row *rows, size_t n, uint32_t generation) {
    for (size_t i = 0; i < n; i++)
        if (rows[i].primitive == PRIMITIVE_START && rows[i].generation == generation)
            return &rows[i];
    return NULL;
}

void prove_start(struct member_machine *m, uint32_t row, uint64_t now_us, struct machine_actions *actions) {
    m->record.row = row;
    row_begin(m, now_us, actions);
    if (actions->n == 0 || actions->items[actions->n - 1].kind != MACHINE_ACTION_EXECUTE)
        return;
    m->attempt = 1;
    actions->items[actions->n - 1].attempt = 1;
}

/* The journal stopped in the middle of the step and the world went on: what lives is believed, not the intent that the
 * journal ends with, and nothing is started beside it. It is what the step wanted, or what the way back leads to: then
 * that is proven. Anything else was started by nobody whom this machine knows: a person decides. */
static void another_runs(struct member_machine *m, const struct machine_event *event,
                         struct machine_actions *actions) {
    enum machine_state state = m->record.state;
    bool way_open = state == MACHINE_RETURNING ||
                    (state != MACHINE_HOLDING && way_back_is_open(m->order->way_back, &m->record));
    const struct row *wanted = find_start(m->step->rows, m->step->n_rows, event->running_generation);
    const struct row *back = find_start(m->way, m->n_way, event->running_generation);
    if (state == MACHINE_FORWARD && wanted) {
        prove_start(m, (uint32_t)(wanted - m->step->rows), event->now_us, actions);
        return;
    }
    if (state == MACHINE_BARRIER || (state == MACHINE_FORWARD && back && way_open)) {
        m->record.outcome = OUTCOME_NONE;
        m->record.changed = m->record.stopped = true;
        machine_move(m, MACHINE_RETURNING);
    }
    if (back && way_open) {
        reason_set(m, "what ran before was started again, and the journal does not say by whom", NULL);
        prove_start(m, (uint32_t)(back - m->way), event->now_us, actions);
    } else {
        reason_set(m, "a process of this member runs that this agent's journal does not name", NULL);
        conclude_held(m, actions);
    }
}

/* Before the signal it is as with any other process: it is asked whether it may be stopped. */
static bool another_counts(const struct member_machine *m, const struct row *row,
                           const struct machine_event *event) {
    bool forward = m->record.state == MACHINE_FORWARD;
    bool begun = !forward || m->record.stopped || (m->step->verb == VERB_START && m->record.changed);
    bool signalled = !row || row->primitive != PRIMITIVE_STOP || !forward || m->record.stopped_at_us > 0 ||
                     event->running_generation != 0;
    return event->running && event->other && begun && signalled;
}

/* Is what the row wanted already so? */
static void look(struct member_machine *m, const struct row *row, const struct machine_event *event,
                 struct machine_actions *actions) {
    if (row->primitive == PRIMITIVE_STOP) {
        look_at_stop(m, row, event, actions);
        return;
    }
    bool started =
        event->running && !KEDGE_MUTANT(start_beside) && event->running_generation == row->generation;
    row_begin(m, event->now_us, actions);
    if (!started || actions->n == 0 || actions->items[actions->n - 1].kind != MACHINE_ACTION_EXECUTE)
        return;
    m->attempt = 1; /* only ask whether it is up */
    actions->items[actions->n - 1].attempt = 1;
}

static void ask_done(struct member_machine *m, const struct row *row, const struct machine_event *event,
                     struct machine_actions *actions) {
    if (row->done_if)
        row_begin(m, event->now_us, actions); /* it looks at done_if before it runs anything */
    else
        row_failed(m,
                   "the agent was restarted while the command ran, and nothing tells whether it did its work",
                   event->now_us, actions);
}

/* Nobody knows whether the run that wanted it still lives: it may have ended meanwhile, and what is opened after that
 * nobody closes. A coordinator that still wants it orders it anew, and done_if is looked at first. Nor is an act that
 * nothing leads back from begun once more when an abort was heard. */
static bool waits_for_order(const struct member_machine *m) {
    bool opens = m->step->verb == VERB_ACT && !step_is_closing(m->order, m->step);
    bool finalizes = m->step->verb == VERB_FINALIZE && m->latched && !KEDGE_MUTANT(latch_ignored);
    return m->record.state == MACHINE_FORWARD && (opens || finalizes);
}

static void again_by_order(struct member_machine *m, struct machine_actions *actions) {
    reason_set(m, "the agent was restarted in the middle of this step; it goes on when it is ordered again",
               NULL);
    conclude(m, OUTCOME_FAILED, actions);
}

void machine_recover(struct member_machine *m, const struct machine_event *event,
                     struct machine_actions *actions) {
    m->recovered = true;
    if (!m->order)
        return;
    if (!event->same_boot) /* the clock of the hold limit has ended with the host */
        m->record.hold_until_us = event->now_us;
    const struct row *row = row_now(m);
    if (another_counts(m, row, event)) {
        another_runs(m, event, actions);
        return;
    }
    if (machine_is_at_barrier(m)) {
        barrier_arm(m);
        return;
    }
    if (!row) { /* killed between the last row and the conclusion */
        row_begin(m, event->now_us, actions);
        return;
    }
    if (m->record.state == MACHINE_FORWARD && m->record.adopts) {
        adopt_again_by_order(m, actions);
        return;
    }
    if (waits_for_order(m)) {
        again_by_order(m, actions);
        return;
    }
    if (is_not_begun(m, row, event)) {
        wait_for_order(m, actions);
        return;
    }
    if (!event->same_boot && m->record.stopped_at_us)
        m->record.stopped_at_us = 0; /* that clock has ended; this interruption is not measured */
    if (m->record.state != MACHINE_FORWARD &&
        !event->same_boot) { /* nothing runs, so its stop is done at once */
        way_again(m, event->now_us, actions);
        return;
    }
    const struct primitive_rule *rule = primitive_rule(row->primitive);
    switch (event->same_boot ? rule->agent_died : rule->host_died) {
    case CRASH_REDO: row_begin(m, event->now_us, actions); return;
    case CRASH_LOOK: look(m, row, event, actions); return;
    case CRASH_ASK: ask_done(m, row, event, actions); return;
    case CRASH_END: end_unchanged(m, actions); return;
    case CRASH_UNDO: undo(m, event->now_us, actions); return;
    }
}
