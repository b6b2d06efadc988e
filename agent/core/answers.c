/* What the executor's answers and the time mean for the row under way: how often a question is put again, how long yes must
 * last, when it is too late. */
#include "agent/core/internal.h"

#include <stdio.h>
#include <string.h>

enum {
    KILL_GRACE_MS = 30 * 1000, /* after SIGKILL a process that does not end sits in the kernel: disk or NFS */
    STALE_MAX = 3,             /* stops put off because a slow sync made the evidence old */
};

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
static void answered_yes(struct member_machine *m, const struct row *row, const struct machine_event *event,
                         struct machine_actions *actions) {
    if (row->primitive == PRIMITIVE_STOP && m->record.state == MACHINE_FORWARD && !m->record.stopped_at_us) {
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

void row_answered(struct member_machine *m, const struct machine_event *event,
                  struct machine_actions *actions) {
    const struct row *row = row_now(m);
    m->asking = false;
    if (event->answer == ANSWER_YES || (row->sample == SAMPLE_COMPARE && KEDGE_MUTANT(sample_not_compared))) {
        answered_yes(m, row, event, actions);
        return;
    }
    m->held_since_us = 0;
    snprintf(m->said, sizeof(m->said), "%s", event->reason ? event->reason : "no reason was given");
    m->said_answer = event->answer;
    bool lost =
        row->sample == SAMPLE_COMPARE && event->answer == ANSWER_NO && !KEDGE_MUTANT(loss_asked_again);
    if (lost)
        blame(m);
    if (lost || asked_once(m, row))
        row_failed(m, m->said, event->now_us, actions);
    else
        ask_again(m, row, event->now_us);
}

bool event_is_of_now(const struct member_machine *m, const struct machine_event *event) {
    return m->order && m->asking && event->op == m->op;
}

/* Nothing was signalled yet and the evidence has grown old (the sync was slow, the agent was away): ask once more. */
void stop_put_off(struct member_machine *m, uint64_t now_us, struct machine_actions *actions) {
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

void row_failed_by_event(struct member_machine *m, const struct machine_event *event,
                         struct machine_actions *actions) {
    const struct row *row = row_now(m);
    bool signalled =
        m->record.stopped_at_us > 0; /* by an earlier agent: it ends, whatever this one could do */
    if (event->untouched && row->primitive == PRIMITIVE_STOP && m->record.state == MACHINE_FORWARD &&
        !signalled)
        m->record.changed = m->record.stopped = false;
    if (event->untouched && row->primitive == PRIMITIVE_START && m->record.state == MACHINE_FORWARD) {
        m->record.started_new =
            m->was_started_new; /* nothing was started: the way back is as open as before */
        m->record.promoted = m->was_promoted;
    }
    if (event->blames)
        blame(m);
    row_failed(m, event->reason ? event->reason : "no reason was given", event->now_us, actions);
}

/* ---- time ---- */

uint64_t machine_next_deadline(const struct member_machine *m) {
    if (!m->order)
        return UINT64_MAX;
    uint64_t next = m->deadline_us < m->cap_us ? m->deadline_us : m->cap_us;
    return m->poll_us < next ? m->poll_us : next;
}

static void too_late(struct member_machine *m, const struct row *row, uint64_t now_us,
                     struct machine_actions *actions) {
    char why[KEDGE_REASON_MAX];
    unsigned long long ms = (now_us - m->begun_us) / 1000;
    if (row->primitive == PRIMITIVE_STOP && !m->killed) {
        m->killed = true;
        m->deadline_us = after_ms(now_us, KILL_GRACE_MS);
        machine_action_add(actions, MACHINE_ACTION_KILL);
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
    if (row->primitive == PRIMITIVE_START || m->said_answer == ANSWER_NO) /* unknown is no proof */
        blame(m);
    if (row->primitive == PRIMITIVE_ASK && KEDGE_MUTANT(late_is_yes))
        row_done(m, now_us, actions);
    else
        row_failed(m, why, now_us, actions);
}

void row_time_passed(struct member_machine *m, uint64_t now_us, struct machine_actions *actions) {
    if (!m->order)
        return;
    if (machine_is_at_barrier(m)) {
        barrier_time_passed(m, now_us, actions);
        return;
    }
    const struct row *row = row_now(m);
    if (now_us >= m->deadline_us || now_us >= m->cap_us) {
        too_late(m, row, now_us, actions);
    } else if (now_us >= m->poll_us) {
        m->poll_us = UINT64_MAX;
        m->attempt++;
        act_execute(m, row, actions);
    }
}

void row_progress(struct member_machine *m, const struct machine_event *event) {
    const struct row *row = m->order ? row_now(m) : NULL;
    if (!row || (row->primitive != PRIMITIVE_START && row->primitive != PRIMITIVE_OBSERVE))
        return;
    uint32_t deadline_ms = row->deadline_ms ? row->deadline_ms : primitive_rule(row->primitive)->deadline_ms;
    m->deadline_us = after_ms(event->now_us, deadline_ms);
}
