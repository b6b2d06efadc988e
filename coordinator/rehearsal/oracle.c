/* What must always hold, judged from what the model really did and never from what a core believes of itself. Numbers are
 * those of DESIGN.md, section 8. */
#include "coordinator/rehearsal/internal.h"

#include <string.h>

enum { EVIDENCE_AGE_MS = 2000 /* of a gate that names none */ };

static const struct row *find_row(const struct step *step, enum primitive primitive) {
    for (size_t i = 0; i < step->n_rows; i++)
        if (step->rows[i].primitive == primitive)
            return &step->rows[i];
    return NULL;
}

static const struct wave *wave_of(const struct world *w, uint32_t member) {
    for (size_t i = 0; i < w->plan->shape.n_waves; i++)
        for (size_t k = 0; k < w->plan->shape.waves[i].n_members; k++)
            if (w->plan->shape.waves[i].members[k] == member)
                return &w->plan->shape.waves[i];
    return NULL;
}

static uint32_t limit_of(const struct world *w, const struct wave *wave) {
    uint32_t limit = wave->limit_count, part = (uint32_t)((uint64_t)w->n_members * wave->limit_percent / 100);
    if (wave->limit_percent > 0 && part < limit)
        limit = part > 0 ? part : 1;
    return limit;
}

/* ---- an order goes out ---- */

/* The coordinator may order a change when both conditions were seen after the last change and lately. */
static void order_evidence(struct world *w, const struct run *run, uint32_t member, const char *step) {
    const struct member *m = &w->members[member];
    uint64_t now = w->now_us / MS;
    if (m->waived_until_ms > coordinator_wall_ms(w))
        return; /* an operator's word: whatever the gate says */
    if (w->plan->shape.n_may_stop == 0 || w->n_members < 2 || barrier_is_declared(w, member))
        return;
    uint64_t age = EVIDENCE_AGE_MS;
    for (size_t i = 0; i < w->n_gates; i++)
        if (w->gates[i].before_stop && w->gates[i].age_ms && w->gates[i].age_ms < age)
            age = w->gates[i].age_ms;
    if (m->yes_may_stop_ms == 0)
        world_fail(w, "1: %s is ordered to %s and nobody said that it may stop", m->order->member, step);
    else if (m->yes_asked_ms < w->last_change_ms)
        world_fail(w, "1: %s is ordered to %s on an answer from before the last change", m->order->member,
                   step);
    else if (now > m->yes_asked_ms + age + 1)
        world_fail(w, "1: %s is ordered to %s on evidence that is %llu ms old", m->order->member, step,
                   (unsigned long long)(now - m->yes_asked_ms));
    (void)run;
}

static void order_limits(struct world *w, const struct run *run, uint32_t member, const char *step) {
    const struct wave *wave = wave_of(w, member);
    uint32_t n = 0;
    if (node_is_held_now(w, w->members[member].node))
        world_fail(w, "2: %s is ordered to %s and its node is held", w->members[member].order->member, step);
    if (member_state_is_in_change(run->members[member].before) || barrier_is_declared(w, member))
        return; /* it takes no room that it had not */
    for (uint32_t i = 0; i < run->n_members; i++) {
        bool held = node_is_held_now(w, w->members[i].node) && run->members[i].state != MEMBER_RETIRED;
        if (!member_state_is_in_change(run->members[i].state) && !held)
            continue;
        n++;
        if (wave->one_domain && strcmp(w->members[i].order->domain, w->members[member].order->domain) != 0)
            world_fail(w, "2: %s is ordered to %s while %s of another domain is in change",
                       w->members[member].order->member, step, w->members[i].order->member);
    }
    if (n > limit_of(w, wave))
        world_fail(w, "2: %s is ordered to %s and %u are in change, %u may", w->members[member].order->member,
                   step, n, limit_of(w, wave));
}

static bool all_prepared(const struct world *w) {
    for (uint32_t i = 0; i < w->n_members; i++)
        if (!w->members[i].has_prepared && !w->members[i].left_out)
            return false;
    return true;
}

void oracle_order(struct world *w, const struct run *run, const struct action *action, uint32_t member) {
    struct member *m = &w->members[member];
    uint32_t number = step_number(m, action->step);
    const struct step *step = step_at(m, number);
    bool changes = find_row(step, PRIMITIVE_STOP) || find_row(step, PRIMITIVE_START);
    bool repeated = m->ordered[number];
    if (run->aborting && !run->rollback && !step_closes(m, step) && !repeated)
        world_fail(w, "7: %s is ordered to %s after the abort", m->order->member, step->name);
    m->ordered[number] = true;
    oracle_barrier_order(w, m, step);
    if (!changes)
        return;
    if (!repeated && !w->result->failed) {
        order_evidence(w, run, member, step->name);
        order_limits(w, run, member, step->name);
        if (!all_prepared(w) && (step->verb == VERB_SWITCH || step->verb == VERB_STOP))
            world_fail(w, "F32: %s is ordered to %s before all are prepared", m->order->member, step->name);
        w->last_change_ms = w->now_us / MS;
        for (uint32_t i = 0; i < w->n_members; i++)
            w->members[i].yes_may_stop_ms = 0;
    }
}

/* ---- answers reach the coordinator ---- */

void oracle_answers(struct world *w, const struct message *message) {
    bool yes = true, may_stop = false, own = false;
    for (size_t i = 0; i < message->n_gates; i++) {
        may_stop = may_stop || message->gates[i]->before_stop;
        own = own || message->gates[i]->asks == ASKS_MEMBER;
        yes = yes && (message->answers[i] == ANSWER_YES || message->gates[i]->asks == ASKS_LAST);
    }
    bool newest = may_stop && message->side < w->n_members &&
                  message->asked_us / MS >= w->members[message->side].yes_asked_ms; /* some arrive twice */
    if (newest) {
        struct member *m = &w->members[message->side];
        m->yes_may_stop_ms = yes ? w->now_us / MS : m->yes_may_stop_ms;
        m->yes_asked_ms = yes ? message->asked_us / MS : m->yes_asked_ms;
    }
    (void)own;
}

/* The coordinator has heard how a step ended. A change makes what it was told before be about another cluster. */
void oracle_report(struct world *w, struct member *m, const struct message *message) {
    m->ordered[message->step] = false;
    if (find_row(step_at(m, message->step), PRIMITIVE_STOP) &&
        !outcome_changed_nothing(message->report.outcome))
        w->last_change_ms = w->now_us / MS;
}

/* ---- an agent obeys ---- */

void oracle_accept(struct world *w, struct member *m, const struct message *message) {
    const struct step *step = step_at(m, message->step);
    if (message->epoch < m->epoch_obeyed)
        world_fail(w, "6: %s obeys epoch %llu after epoch %llu", m->order->member,
                   (unsigned long long)message->epoch, (unsigned long long)m->epoch_obeyed);
    m->epoch_obeyed = message->epoch;
    if (m->concluded[message->step] == 2 && step->verb != VERB_ACT)
        world_fail(w, "6: %s begins %s once more, which had ended", m->order->member, step->name);
}

/* ---- the stop ---- */

void oracle_signal(struct world *w, struct member *m) {
    const struct step *step = m->machine.step;
    bool forward = m->machine.record.state == MACHINE_FORWARD;
    const char *other = "";
    if (!m->service.running || !forward)
        return;
    if (m->latched >= m->machine.record.serial && !step_closes(m, step))
        world_fail(w, "7: %s stops for %s after its agent heard of the abort", m->order->member, step->name);
    if (!m->synced.record.changed || m->synced.record.state != MACHINE_FORWARD ||
        m->synced.record.row != m->machine.record.row || m->synced.step != m->written.step)
        world_fail(w, "6: %s is stopped and its intent is not durable", m->order->member);
    bool evidence = find_row(step, PRIMITIVE_ASK) && !barrier_is_declared(w, m->index);
    if (!evidence || m->stopped_by_kedge || m->asked_waived)
        goto stopped;
    if (m->asked_us == 0)
        world_fail(w, "1: %s is stopped and its agent did not ask", m->order->member);
    else if (m->asked_limit_us && w->now_us > m->asked_us + m->asked_limit_us)
        world_fail(w, "1: %s is stopped on evidence that is %llu ms old", m->order->member,
                   (unsigned long long)((w->now_us - m->asked_us) / MS));
    else if (m->unsafe_since_us && w->now_us > m->unsafe_since_us + m->asked_limit_us &&
             m->unsafe_since_us < m->asked_us)
        world_fail(w, "1: %s is stopped and entries are lost that nobody else holds", m->order->member);
    else if (m->lies_until_us == 0 &&
             cluster_loses(w, m, &other)) /* who lied once may do late what it said */
        world_fail(w, "1: %s is lost: %s is stopped, and %s, which was stopped before, has not caught up",
                   cluster_what(w), m->order->member, other);
    uint64_t *process = &m->stopped_for[m->written.step];
    if (*process && *process != m->service.token + 1 && !m->touched && m->lies_until_us == 0)
        world_fail(w, "6: %s is stopped once more for %s: another process was stopped for it before",
                   m->order->member, step->name);
    *process = m->service.token + 1;
stopped:
    m->stopped_by_kedge = true;
    m->asked_us = 0;
}

void oracle_start(struct world *w, struct member *m, const struct row *row) {
    enum way_back way = m->order->way_back;
    bool back = row->generation == 0 && m->machine.record.state != MACHINE_IDLE;
    bool closed =
        way == WAY_BACK_UNTIL_PROMOTION ? m->new_promoted : way != WAY_BACK_UNTIL_FINALIZE && m->new_started;
    bool ordered_back = m->machine.step->verb == VERB_REVERT && way == WAY_BACK_CLUSTER;
    if (m->machine.step->verb == VERB_SWITCH && m->service.read_only &&
        generation_mode(m, row->generation) != MODE_READ_ONLY)
        world_fail(w, "8: %s was made read-only by somebody and is started read-write", m->order->member);
    if (m->service.running)
        world_fail(w, "6: %s is started while it runs", m->order->member);
    if (row->generation > m->order->n_generations)
        world_fail(w, "3: %s starts a generation that nobody signed", m->order->member);
    if (back && closed && !ordered_back) {
        model_destroy(w, m, "the old release cannot read what the new one wrote");
        world_fail(w, "4: %s is returned past its way back (%s)", m->order->member, way_back_text(way));
    }
    if (m->link != row->generation)
        world_fail(w, "3: %s starts generation %u and its link names %u", m->order->member, row->generation,
                   m->link);
    if (row->generation > 0) {
        m->new_started = true;
        m->new_promoted = m->new_promoted || generation_mode(m, row->generation) != MODE_READ_ONLY;
    }
    m->stopped_by_kedge = false;
}

/* ---- a step ends ---- */

static void done_is_true(struct world *w, const struct member *m, const struct step *step) {
    const struct row *start = find_row(step, PRIMITIVE_START);
    for (size_t i = 0; i < step->n_rows; i++)
        if (step->rows[i].primitive == PRIMITIVE_START)
            start = &step->rows[i];
    if (!start)
        return;
    if (!m->service.running || !m->service.ready || m->service.generation != start->generation ||
        service_mode(m) != generation_mode(m, start->generation))
        world_fail(w, "9: %s reports that %s is done, and does not run generation %u", m->order->member,
                   step->name, start->generation);
    for (size_t i = 0; i < step->n_rows; i++)
        if (step->rows[i].sample == SAMPLE_COMPARE && m->data_lost)
            world_fail(w, "9: %s reports that %s is done, on an empty disk", m->order->member, step->name);
}

void oracle_conclude(struct world *w, struct member *m, enum outcome outcome) {
    const struct step *step = step_at(m, m->written.step);
    bool changed = outcome == OUTCOME_DONE || outcome == OUTCOME_RETURNED || outcome == OUTCOME_HELD;
    if (m->synced.record.outcome != outcome && !m->journal_lost)
        world_fail(w, "6: %s reports %s of %s, which is not in its journal", m->order->member,
                   outcome_text(outcome), step->name);
    if (outcome == OUTCOME_DONE)
        done_is_true(w, m, step);
    if (outcome == OUTCOME_DONE)
        oracle_done(w, m, step);
    if (outcome == OUTCOME_RETURNED && (!m->service.running || m->service.generation != 0))
        world_fail(w, "9: %s reports that it is back, and does not run what it ran", m->order->member);
    bool deaf = m->service.running && m->service.hangs; /* it was told to stop and took no notice */
    if (outcome_changed_nothing(outcome) && deaf)
        m->stopped_by_kedge = false;
    bool waits = oracle_barrier(w, m, step, outcome) || barrier_holds_it(m);
    if (outcome_changed_nothing(outcome) && m->stopped_by_kedge && step->verb != VERB_ACT && !waits)
        world_fail(w, "4: %s reports %s of %s and was stopped", m->order->member, outcome_text(outcome),
                   step->name);
    m->has_prepared = m->has_prepared || (changed && step->verb == VERB_PREPARE);
    if (changed)
        m->concluded[m->written.step] = m->journal_lost ? 1 : 2;
    if (changed && !waits)
        m->stopped_by_kedge = false;
}

/* ---- after every event, and at the end ---- */

void oracle_after(struct world *w) {
    uint32_t n = 0, most = 0;
    const char *domain = NULL;
    bool one = false, two = false;
    for (uint32_t i = 0; i < w->n_members; i++) {
        const struct member *m = &w->members[i];
        const struct wave *wave = wave_of(w, i);
        bool counts = m->stopped_by_kedge && !m->retired && m->lies_until_us == 0 && wave;
        if (!counts || barrier_is_declared(w, i))
            continue;
        uint32_t limit = limit_of(w, wave);
        n++;
        most = limit > most ? limit : most;
        one = one || wave->one_domain;
        two = two || (domain && strcmp(domain, m->order->domain) != 0);
        domain = m->order->domain;
    }
    oracle_barrier_after(w);
    const struct run *run = coordinator_run(w);
    if (run && run->aborting && run->paused)
        world_fail(w, "7: the run is being aborted and says that it is paused, which nobody can end");
    if (n > most)
        world_fail(w, "2: %u members are stopped at once, %u may", n, most);
    if (one && two)
        world_fail(w, "2: members of two domains are stopped at once");
}

static void member_end(struct world *w, const struct run *run, struct member *m) {
    bool done = run->verdict == VERDICT_DONE && run->state == RUN_ENDED && !m->left_out;
    if (m->gone || barrier_excuses(w, m))
        return;
    if (m->stopped_by_kedge && !m->service.running && m->machine.record.state != MACHINE_HELD)
        world_fail(w, "4: %s was stopped, is down and is not held", m->order->member);
    if (machine_is_busy(&m->machine) && run->state == RUN_ENDED)
        world_fail(w, "4: the run has ended and %s has a step open", m->order->member);
    if (done && !m->touched && (!m->service.running || m->service.generation == 0))
        world_fail(w, "9: the verdict is done and %s does not run the new release", m->order->member);
}

void oracle_end(struct world *w) {
    const struct run *run = coordinator_run(w);
    if (!run)
        return;
    for (uint32_t i = 0; i < w->n_members; i++)
        member_end(w, run, &w->members[i]);
    bool anybody = false;
    for (uint32_t i = 0; i < w->n_members; i++)
        anybody = anybody || !w->members[i].retired;
    for (size_t i = 0;
         anybody && run->state == RUN_ENDED && i < w->plan->shape.n_side_actions && i < SIDES_MAX; i++)
        if (w->side_ours[i])
            world_fail(w, "5: the run has ended and side action %s is still in force",
                       w->plan->shape.side_actions[i].name);
    for (size_t i = 0; i < w->plan->shape.n_side_actions && i < SIDES_MAX; i++) {
        const struct side_action *side = &w->plan->shape.side_actions[i];
        if (!w->side_ours[i] && w->side_value[i] && strcmp(w->side_value[i], side->previous) != 0)
            world_fail(w, "5: side action %s found %s in force and has left %s", side->name, side->previous,
                       w->side_value[i]);
    }
    if (run->state == RUN_ENDED &&
        (run->verdict == VERDICT_NONE || !run->verdict_text || !run->verdict_text[0]))
        world_fail(w, "liveness: the run has ended without a verdict");
}
