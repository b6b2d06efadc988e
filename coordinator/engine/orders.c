/* Orders and the reports on them. An order is a record first: member, step, and an expiry larger than that of any order
 * which this member had before, so that the agent knows the newer one. An order in flight is issued again when its agent
 * has a new session; the agent does a step at most once and answers with the report it has. */
#include "coordinator/engine/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static uint64_t expires_s(const struct run *run, uint64_t last_s) {
    uint64_t at = run->engine->now_ms / 1000 + ORDER_TTL_S;
    return at > last_s ? at : last_s + 1;
}

void order_issue(struct run *run, uint32_t member, const char *step) {
    struct run_member *m = &run->members[member];
    struct record record = {
        .kind = RECORD_ORDERED,
        .run = run->id,
        .member = member,
        .value = expires_s(run, m->expires_s),
        .value2 = run->engine->epoch,
        .name = step,
    };
    commit(run->engine, record, NULL);
    struct action *action = action_add(run->engine, ACTION_ORDER);
    action->run = run->id;
    action->member = member;
    action->node = m->order->node;
    action->step = m->step;
    action->expires_s = m->expires_s;
    action->beside = may_stop_beside(run, member);
    outputs_bring(run, member, step, action);
}

/* Said before an order is repeated: an order that never arrived must not begin after an abort, nor after the run's end. */
void order_latch(struct run *run, const char *node) {
    struct action *action = action_add(run->engine, ACTION_LATCH);
    action->run = run->id;
    action->node = node;
}

void order_again(struct run *run, uint32_t node) {
    size_t n;
    const struct node_member *here = members_on(run, node, &n);
    bool in_flight = false;
    for (size_t i = 0; i < n; i++)
        in_flight |= run->members[here[i].member].step != NULL;
    if ((run->aborting || (run->state == RUN_ENDED && in_flight)) && !KEDGE_MUTANT(latch_not_repeated))
        order_latch(run, run->engine->nodes[node].name);
    for (size_t i = 0; i < n; i++)
        if (run->members[here[i].member].step)
            order_issue(run, here[i].member, run->members[here[i].member].step);
}

/* On abort: what can still be reached is waited for; an agent that cannot finishes or returns alone. */
bool orders_drained(const struct run *run) {
    for (uint32_t i = 0; run->n_in_flight > 0 && i < run->n_members; i++)
        if (run->members[i].step && run->engine->nodes[run->members[i].node].up)
            return false;
    for (uint32_t i = 0; i < run->n_sides && !KEDGE_MUTANT(sides_not_drained); i++)
        if (run->sides[i].in_flight && !member_state_is_gone(run->members[run->sides[i].carrier].state) &&
            run->engine->nodes[run->members[run->sides[i].carrier].node].up)
            return false;
    return true;
}

/* ---- reports ---- */

static void record_seen(struct run *run, uint32_t member, const struct engine_report *report) {
    struct record record = {
        .kind = RECORD_MEMBER_SEEN,
        .run = run->id,
        .member = member,
        .number = report->mode,
        .value = report->origin,
        .value2 = report->generation,
        .name = report->version,
    };
    commit(run->engine, record, NULL);
}

static void record_report(struct run *run, uint32_t member, const struct engine_report *report) {
    struct record record = {
        .kind = RECORD_REPORTED,
        .run = run->id,
        .member = member,
        .number = report->outcome,
        .value = report->interruption_us,
        .value2 = report->evidence_age_us,
        .digest = quarantine_digest(&run->members[member], report),
        .name = report->step,
        .text = report->reason,
    };
    commit(run->engine, record, NULL);
    if (report->mode != MODE_UNKNOWN || (report->version && report->version[0]))
        record_seen(run, member, report);
}

/* The agent's own last question was not answered yes: the member goes on waiting, with that reason. The others may say yes
 * all the time, and it is ordered again and again: that it waits counts from the first time. */
static void wait_again(struct run *run, uint32_t member, const struct engine_report *report) {
    struct run_member *m = &run->members[member];
    text_set(&m->waits, report->reason);
    if (m->waits_since_ms == 0)
        m->waits_since_ms = run->engine->now_ms;
    run->wait_since_ms = m->waits_since_ms;
    run->backoff_ms = m->waits_backoff_ms;
    run->candidate = member;
    reasons_clear(&run->wait);
    reasons_add(&run->wait, "its own agent's last question", m->order->member, ANSWER_UNKNOWN,
                report->reason);
    may_stop_wait(run);
    m->waits_backoff_ms = run->backoff_ms;
    if (run->paused)
        m->waits_since_ms = m->waits_backoff_ms = 0; /* resumed, it has the same time again */
}

/* A canary that failed ends the run (advance.c); any other failure counts in its budget (budgets.c). */
static void failure(struct run *run, uint32_t member, const struct engine_report *report) {
    struct run_member *m = &run->members[member];
    const struct wave *wave = &run->plan->shape.waves[m->wave];
    const char *name = m->order->member;
    bool ends_run = KEDGE_MUTANT(failure_ignored) || run->state == RUN_PREPARING ||
                    (run->state == RUN_WAVES && wave->kind == WAVE_CANARY &&
                     (m->state == MEMBER_RETURNED || m->state == MEMBER_FAILED));
    bool acts = m->state == MEMBER_STOPPED || m->state == MEMBER_PASSED;
    if (m->state == MEMBER_QUARANTINED && run->state == RUN_PREPARING) {
        budget_judge(run, member, BUDGET_QUARANTINED);
    } else if (!ends_run && barrier_may_return(run) && !run->aborting &&
               !(acts && barrier_is_act(run, report->step))) {
        char why[KEDGE_REASON_MAX];
        snprintf(why, sizeof(why), "the barrier was not reached by all: %.100s: %.300s", name,
                 report->reason);
        run_abort(run, why);
    } else if (m->state == MEMBER_HELD) {
        budget_judge(run, member, BUDGET_HELD);
    } else if (m->state == MEMBER_QUARANTINED) {
        budget_judge(run, member, BUDGET_QUARANTINED);
    } else if (m->state == MEMBER_FAILED || m->state == MEMBER_RETURNED) {
        if (!ends_run)
            budget_judge(run, member, BUDGET_FAILED);
    } else { /* it is where it was before the step, which may be tried again: not after an abort, by nobody */
        m->stays = m->stays || (run->aborting && strcmp(report->step, "return") == 0);
        run_pause(run, PAUSE_STEP, member, "%s: %s %s: %s", name, report->step, outcome_text(report->outcome),
                  report->reason);
    }
}

/* It is held: nothing more is ordered to it, and nothing goes on, before somebody has looked at it. Before the barrier of a
 * downtime everybody goes back, as after any failure there. */
static void lie(struct run *run, uint32_t member, const struct engine_report *report, const char *why) {
    struct engine_report held = *report;
    held.outcome = OUTCOME_HELD;
    held.blames = false; /* nobody knows what it did */
    held.reason = why;
    record_report(run, member, &held);
    run_pause(run, PAUSE_LIE, member, "ALARM: %s: %s: %s", report->member, report->step, why);
    if (barrier_may_return(run))
        failure(run, member, &held);
}

static void member_report(struct run *run, uint32_t member, const struct engine_report *report) {
    char why[KEDGE_REASON_MAX];
    if (report_contradicts_itself(&run->members[member], report, why, sizeof(why))) {
        lie(run, member, report, why);
        run_advance(run);
        return;
    }
    struct engine_report lacking = *report;
    if (outputs_are_missing(run, member, report, why, sizeof(why))) {
        lacking.outcome = OUTCOME_FAILED;
        lacking.reason = why;
        report = &lacking;
    }
    outputs_record(run, member, report);
    record_report(run, member, report);
    if (report->outcome != OUTCOME_WAITS)
        run->members[member].waits_since_ms = run->members[member].waits_backoff_ms = 0;
    switch (report->outcome) {
    case OUTCOME_WAITS: wait_again(run, member, report); break;
    case OUTCOME_REFUSED:
    case OUTCOME_FAILED:
    case OUTCOME_RETURNED:
    case OUTCOME_QUARANTINED:
    case OUTCOME_HELD: failure(run, member, report); break;
    case OUTCOME_DONE:
    case OUTCOME_NONE:
    case OUTCOME_BEGUN: break;
    }
    run_advance(run);
}

static struct run *run_of_plan(struct engine *engine, const char *cluster, uint64_t serial) {
    for (size_t i = engine->n_runs; i-- > 0;) {
        const struct header *header = &engine->runs[i]->plan->header;
        if (header->serial == serial && strcmp(header->cluster, cluster) == 0)
            return engine->runs[i];
    }
    return NULL;
}

static bool pass_over(struct engine *engine, const char *why) {
    struct actions *actions = engine->actions;
    size_t len = strnlen(why, sizeof(actions->refused) - 1);
    memcpy(actions->refused, why, len);
    actions->refused[len] = 0;
    return false;
}

/* False when the report is passed over, with the reason in actions->refused. */
bool order_report(struct engine *engine, const struct event *event) {
    const struct engine_report *report = &event->report;
    struct run *run = run_of_plan(engine, report->cluster, report->serial);
    uint32_t member = run ? run_member_index(run, report->member) : NO_MEMBER, side;
    bool opens;
    if (member == NO_MEMBER)
        return pass_over(engine, "no run has such a member");
    struct run_member *m = &run->members[member];
    if (strcmp(m->order->node, event->node) != 0)
        return pass_over(engine, "the member is another node's");
    if (report->outcome == OUTCOME_BEGUN || report->outcome == OUTCOME_NONE)
        return pass_over(engine, "it only says that the step is under way");
    if (run_side_of_step(run, report->step, &side, &opens)) {
        side_report(run, member, side, report);
        return true;
    }
    if ((!m->step || (strcmp(m->step, report->step) != 0 && !KEDGE_MUTANT(any_report_counts))) &&
        !barrier_unasked(m, report->outcome))
        return pass_over(engine, "no such order is in flight: a repeated report");
    struct member_move move = member_move(m->state, member_event_of_outcome(report->outcome));
    if (move.kind != MOVE_TO && move.kind != MOVE_BEFORE)
        return pass_over(engine, move.why);
    member_report(run, member, report);
    return true;
}
