/* What an agent may do by itself, judged from what the model answered it: the rows of its step, its alarms, its leases. */
#include "coordinator/rehearsal/internal.h"

/* What failed here before is not begun again, but by the plan itself or by one that was signed for it. */
static void begins_again(struct world *w, const struct member *m, const struct message *message,
                         const struct step *step) {
    const struct verified_plan *plan = plan_of(m->cluster, message->serial);
    struct digest what;
    bool forward = step->verb == VERB_PREPARE || step->verb == VERB_SWITCH || step->verb == VERB_PROMOTE ||
                   step->verb == VERB_STOP;
    if (!forward || !quarantine_subject(plan->orders[m->number], &what))
        return;
    for (size_t i = 0; i < plan->header.n_lifts; i++)
        if (digest_equal(&plan->header.lifts[i], &what))
            return;
    for (size_t i = 0; i < m->written.n_failed; i++)
        if (digest_equal(&m->written.failed[i].what, &what) &&
            m->written.failed[i].before.serial != message->serial)
            world_fail(w,
                       "18: %s begins %s of what failed on it in plan %llu, and nobody has signed for that",
                       m->order->member, step->name, (unsigned long long)m->written.failed[i].before.serial);
}

/* The open step has started something new, whose end nobody wanted. */
bool oracle_runs_new(const struct member *m) {
    const struct machine_record *record = &m->machine.record;
    if (!machine_is_busy(&m->machine) || record->state != MACHINE_FORWARD || !record->changed)
        return false;
    for (size_t i = 0; i <= record->row && i < m->machine.step->n_rows; i++)
        if (m->machine.step->rows[i].primitive == PRIMITIVE_START)
            return m->machine.step->rows[i].generation > 0;
    return false;
}

/* An order begins a step. */
void oracle_begins(struct world *w, struct member *m, const struct message *message) {
    const struct step *step = step_at(m, message->step);
    begins_again(w, m, message, step);
    bool same_plan = m->machine.record.serial == message->serial;
    bool open = m->machine.record.started_new || machine_is_at_barrier(&m->machine);
    bool begun = step_closes(m, step) || (same_plan && open);
    m->rows_yes = 0;
    if (!begun && agent_wall_s(w, m) > message->expires_s)
        world_fail(w, "A8: %s begins %s by an order that has expired", m->order->member, step->name);
}

/* The row under way was answered; the machine does not know it yet. */
void oracle_row(struct member *m, enum answer answer) {
    uint32_t row = m->machine.record.row;
    if (m->machine.record.state != MACHINE_FORWARD || row >= 32)
        return;
    if (answer == ANSWER_YES)
        m->rows_yes |= 1u << row;
    else
        m->rows_yes &= ~(1u << row);
}

/* And now it does. */
void oracle_row_after(struct world *w, const struct member *m, const struct row *row, enum answer answer) {
    enum machine_state state = m->machine.record.state;
    if (row->sample == SAMPLE_COMPARE && answer == ANSWER_NO && state != MACHINE_HOLDING &&
        state != MACHINE_HELD)
        world_fail(w, "F07: data that %s had before its stop is gone, and it is not stopped at once",
                   m->order->member);
}

/* What was asked after the last start, or after the act that finalizes, was answered yes, last. */
void oracle_done(struct world *w, const struct member *m, const struct step *step) {
    enum primitive change = step->verb == VERB_FINALIZE ? PRIMITIVE_RUN : PRIMITIVE_START;
    size_t after = 0;
    for (size_t i = 0; i < step->n_rows; i++)
        after = step->rows[i].primitive == change ? i + 1 : after;
    for (size_t i = after; after > 0 && i < step->n_rows && i < 32; i++) {
        enum primitive primitive = step->rows[i].primitive;
        bool asks = primitive == PRIMITIVE_ASK || primitive == PRIMITIVE_OBSERVE;
        if (asks && !(m->rows_yes & 1u << i))
            world_fail(w, "9: %s reports that %s is done, and row %zu (%s) was not answered yes",
                       m->order->member, step->name, i, primitive_text(primitive));
    }
}

void oracle_moved(struct world *w, const struct member *m, enum machine_state was,
                  const struct machine_actions *actions) {
    bool alarm = false, held = m->machine.record.state == MACHINE_HELD && was != MACHINE_HELD;
    for (size_t i = 0; i < actions->n; i++)
        alarm = alarm || actions->items[i].kind == MACHINE_ACTION_ALARM;
    if (held && m->machine.record.outcome == OUTCOME_HELD && !alarm)
        world_fail(w, "4: %s is held and nobody is alarmed", m->order->member);
}

void oracle_lease(struct world *w, const struct member *m, const char *name, bool ours) {
    if (!ours)
        world_fail(w, "5: the lease of %s puts back side action %s, which is not in force by us",
                   m->order->member, name);
}
