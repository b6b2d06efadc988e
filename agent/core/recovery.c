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

/* It still runs. Without a time in the record nobody signalled it, and may-stop is asked again; the same when it was
 * signalled so long ago that it would have ended. Otherwise it is on its way down, and a second signal does no harm. */
static void look_at_stop(struct member_machine *m, const struct row *row, const struct machine_event *event,
                         struct machine_actions *actions) {
    uint32_t deadline_ms = row->deadline_ms ? row->deadline_ms : primitive_rule(PRIMITIVE_STOP)->deadline_ms;
    bool signalled =
        m->record.stopped_at_us > 0 && event->now_us < m->record.stopped_at_us + (uint64_t)deadline_ms * 1000;
    if (!event->running)
        row_done(m, event->now_us, actions);
    else if (m->record.state == MACHINE_FORWARD && !signalled)
        stop_put_off(m, event->now_us, actions);
    else
        row_begin(m, event->now_us, actions);
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
 * nobody closes. A coordinator that still wants it orders it anew, and done_if is looked at first. */
static void open_again_by_order(struct member_machine *m, struct machine_actions *actions) {
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
    if (machine_is_at_barrier(m)) {
        barrier_arm(m);
        return;
    }
    const struct row *row = row_now(m);
    if (!row) { /* killed between the last row and the conclusion */
        row_begin(m, event->now_us, actions);
        return;
    }
    if (m->record.state == MACHINE_FORWARD && m->step->verb == VERB_ACT &&
        !step_is_closing(m->order, m->step)) {
        open_again_by_order(m, actions);
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
