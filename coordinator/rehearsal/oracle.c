/* What must always hold, judged from what the model really did and never from what a core believes of itself. Numbers are
 * those of DESIGN.md, section 8. */
#include "coordinator/rehearsal/internal.h"

#include <string.h>

enum { EVIDENCE_AGE_MS = 2000 /* of a gate that names none */ };

static const struct wave *wave_of(const struct member *m) {
    const struct shape *shape = &m->cluster->plans[0]->shape;
    for (size_t i = 0; i < shape->n_waves; i++)
        for (size_t k = 0; k < shape->waves[i].n_members; k++)
            if (shape->waves[i].members[k] == m->number)
                return &shape->waves[i];
    return NULL;
}

static uint32_t limit_of(const struct cluster *w, const struct wave *wave) {
    uint32_t limit = wave->limit_count, part = (uint32_t)((uint64_t)w->n_members * wave->limit_percent / 100);
    if (wave->limit_percent > 0 && part < limit)
        limit = part > 0 ? part : 1;
    return limit;
}

/* ---- an order goes out ---- */

/* The coordinator may order a change when both conditions were seen after the last change and lately. */
static void order_evidence(struct world *w, const struct run *run, uint32_t member, const char *step) {
    const struct member *m = &w->members[member];
    const struct cluster *cluster = m->cluster;
    uint64_t now = w->now_us / MS;
    if (m->waived_until_ms > coordinator_wall_ms(w))
        return; /* an operator's word: whatever the gate says */
    if (cluster->plans[0]->shape.n_may_stop == 0 || cluster->n_members < 2 || barrier_is_declared(w, member))
        return;
    uint64_t age = EVIDENCE_AGE_MS;
    for (size_t i = 0; i < cluster->n_gates; i++)
        if (cluster->gates[i].before_stop && cluster->gates[i].age_ms && cluster->gates[i].age_ms < age)
            age = cluster->gates[i].age_ms;
    if (m->yes_may_stop_ms == 0)
        world_fail(w, "1: %s is ordered to %s and nobody said that it may stop", m->order->member, step);
    else if (m->yes_asked_ms < cluster->last_change_ms)
        world_fail(w, "1: %s is ordered to %s on an answer from before the last change", m->order->member,
                   step);
    else if (now > m->yes_asked_ms + age + 1)
        world_fail(w, "1: %s is ordered to %s on evidence that is %llu ms old", m->order->member, step,
                   (unsigned long long)(now - m->yes_asked_ms));
    (void)run;
}

/* A host carries members of several clusters, and changes one of them at a time. */
static void order_host(struct world *w, const struct run *run, const struct member *m, const char *step) {
    for (size_t i = 0; i < engine_n_runs(w->engine); i++) {
        const struct run *other = engine_run_at(w->engine, i);
        const struct cluster *cluster = cluster_of_run(w, other);
        for (uint32_t k = 0; other != run && other->state != RUN_ENDED && k < other->n_members; k++) {
            const struct member *there = &w->members[cluster->first + k];
            if (there->node == m->node && member_state_is_in_change(other->members[k].state))
                world_fail(w, "2: %s is ordered to %s while %s on the same host is in change",
                           m->order->member, step, there->order->member);
        }
    }
}

static void order_limits(struct world *w, const struct run *run, const struct member *m, const char *step) {
    const struct wave *wave = wave_of(m);
    uint32_t n = 0;
    if (node_is_held_now(w, m->node))
        world_fail(w, "2: %s is ordered to %s and its node is held", m->order->member, step);
    if (member_state_is_in_change(run->members[m->number].before) || barrier_is_declared(w, m->index))
        return; /* it takes no room that it had not */
    order_host(w, run, m, step);
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct member *other = &w->members[m->cluster->first + i];
        bool held = node_is_held_now(w, other->node) && run->members[i].state != MEMBER_RETIRED;
        if (!member_state_is_in_change(run->members[i].state) && !held)
            continue;
        n++;
        if (wave->one_domain && strcmp(other->order->domain, m->order->domain) != 0)
            world_fail(w, "2: %s is ordered to %s while %s of another domain is in change", m->order->member,
                       step, other->order->member);
    }
    if (n > limit_of(m->cluster, wave))
        world_fail(w, "2: %s is ordered to %s and %u are in change, %u may", m->order->member, step, n,
                   limit_of(m->cluster, wave));
}

static bool all_prepared(const struct world *w, const struct cluster *cluster, uint64_t serial) {
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        const struct member *m = &w->members[cluster->first + i];
        if (!m->has_prepared[plan_index(m->cluster, serial)] && m->left_out != serial)
            return false;
    }
    return true;
}

void oracle_order(struct world *w, const struct run *run, const struct action *action) {
    struct cluster *cluster = cluster_of_run(w, run);
    struct member *m = &w->members[cluster->first + action->member];
    uint32_t number = step_number(m, action->step);
    const struct step *step = step_at(m, number);
    uint64_t serial = run->plan->header.serial;
    bool changes = step_find_row(step, PRIMITIVE_STOP) || step_find_row(step, PRIMITIVE_START) ||
                   step->verb == VERB_FINALIZE;
    bool *ordered = &m->ordered[plan_index(m->cluster, serial)][number], repeated = *ordered;
    if (run->aborting && !run->rollback && !step_closes(m, step) && !repeated)
        world_fail(w, "7: %s is ordered to %s after the abort", m->order->member, step->name);
    *ordered = true;
    oracle_barrier_order(w, m, step);
    if (!changes)
        return;
    if (!repeated && !w->result->failed) {
        order_evidence(w, run, m->index, step->name);
        order_limits(w, run, m, step->name);
        if (!all_prepared(w, cluster, serial) &&
            (step->verb == VERB_SWITCH || step->verb == VERB_STOP || step->verb == VERB_FINALIZE))
            world_fail(w, "F32: %s is ordered to %s before all are prepared", m->order->member, step->name);
        cluster->last_change_ms = w->now_us / MS;
        for (uint32_t i = 0; i < cluster->n_members; i++)
            w->members[cluster->first + i].yes_may_stop_ms = 0;
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
    m->ordered[plan_index(m->cluster, message->serial)][message->step] = false;
    if (message->report.outcome == OUTCOME_QUARANTINED)
        m->left_out = message->serial;
    if (step_find_row(step_at(m, message->step), PRIMITIVE_STOP) &&
        !outcome_changed_nothing(message->report.outcome))
        m->cluster->last_change_ms = w->now_us / MS;
}

/* ---- an agent obeys ---- */

void oracle_accept(struct world *w, struct member *m, const struct message *message) {
    const struct step *step = step_at(m, message->step);
    if (message->serial > m->judged_serial) { /* a newer plan: what is known of the one before is over */
        m->judged_serial = message->serial;
        memset(m->concluded, 0, sizeof(m->concluded));
        memset(m->stopped_for, 0, sizeof(m->stopped_for));
        m->new_started = m->new_promoted = false;
    }
    if (message->serial < m->serial_obeyed && !step_closes(m, step))
        world_fail(w, "6: %s obeys plan %llu after plan %llu", m->order->member,
                   (unsigned long long)message->serial, (unsigned long long)m->serial_obeyed);
    m->serial_obeyed = message->serial > m->serial_obeyed ? message->serial : m->serial_obeyed;
    if (message->epoch < m->epoch_obeyed)
        world_fail(w, "6: %s obeys epoch %llu after epoch %llu", m->order->member,
                   (unsigned long long)message->epoch, (unsigned long long)m->epoch_obeyed);
    m->epoch_obeyed = message->epoch;
    if (message->serial == m->judged_serial && m->concluded[message->step] == 2 && step->verb != VERB_ACT)
        world_fail(w, "6: %s begins %s once more, which had ended", m->order->member, step->name);
}

/* ---- the stop ---- */

static void stopped_at_once(struct world *w, const struct cluster *cluster) {
    uint32_t n = 0, most = 0;
    const char *domain = NULL;
    bool one = false, two = false;
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        const struct member *m = &w->members[cluster->first + i];
        const struct wave *wave = m->stopped_by_kedge ? wave_of(m) : NULL;
        if (!m->stopped_by_kedge || m->retired || m->lies_until_us > 0 || !wave ||
            barrier_is_declared(w, m->index))
            continue;
        uint32_t limit = limit_of(cluster, wave);
        n++;
        most = limit > most ? limit : most;
        one = one || wave->one_domain;
        two = two || (domain && strcmp(domain, m->order->domain) != 0);
        domain = m->order->domain;
    }
    if (n > most)
        world_fail(w, "2: %u members are stopped at once, %u may", n, most);
    if (one && two)
        world_fail(w, "2: members of two domains are stopped at once");
}

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
    bool evidence = step_find_row(step, PRIMITIVE_ASK) && !barrier_is_declared(w, m->index);
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
                   cluster_what(m->cluster), m->order->member, other);
    uint64_t *process = &m->stopped_for[m->written.step];
    if (*process && *process != m->service.token + 1 && !m->touched && m->lies_until_us == 0)
        world_fail(w, "6: %s is stopped once more for %s: another process was stopped for it before",
                   m->order->member, step->name);
    *process = m->service.token + 1;
stopped:
    m->stopped_by_kedge = true;
    stopped_at_once(w, m->cluster);
    m->asked_us = 0;
}

void oracle_start(struct world *w, struct member *m, const struct row *row) {
    enum way_back way = m->order->way_back;
    uint32_t content = content_of(m, m->machine.record.serial, row->generation);
    bool back = row->generation == 0 && m->machine.record.state != MACHINE_IDLE;
    bool closed =
        way == WAY_BACK_UNTIL_PROMOTION ? m->new_promoted : way != WAY_BACK_UNTIL_FINALIZE && m->new_started;
    closed = closed || m->finalized == m->machine.record.serial;
    bool ordered_back = m->machine.step->verb == VERB_REVERT && way == WAY_BACK_CLUSTER;
    if (m->machine.step->verb == VERB_SWITCH && m->service.read_only &&
        content_mode(m, content) != MODE_READ_ONLY)
        world_fail(w, "8: %s was made read-only by somebody and is started read-write", m->order->member);
    oracle_barrier_start(w, m, row->generation);
    if (m->service.running)
        world_fail(w, "6: %s is started while it runs", m->order->member);
    if (row->generation > m->order->n_generations)
        world_fail(w, "3: %s starts a generation that nobody signed", m->order->member);
    if (back && closed && !ordered_back) {
        model_destroy(w, m, "the old release cannot read what the new one wrote");
        world_fail(w, "4: %s is returned past its way back (%s)", m->order->member, way_back_text(way));
    }
    if (m->link != content)
        world_fail(w, "3: %s starts generation %u and its link names %u", m->order->member, content, m->link);
    if (row->generation > 0) {
        m->new_started = true;
        m->new_promoted = m->new_promoted || content_mode(m, content) != MODE_READ_ONLY;
    }
    m->stopped_by_kedge = false;
}

/* The act after which nothing leads back (F22): lesson 6, abort is looked at before every irreversible act. */
void oracle_finalizes(struct world *w, struct member *m) {
    uint64_t serial = m->machine.record.serial;
    if (m->latched >= serial)
        world_fail(w, "7: %s is finalized after its agent heard of the abort", m->order->member);
    m->finalized = serial;
}

/* ---- a step ends ---- */

static void done_is_true(struct world *w, const struct member *m, const struct step *step) {
    const struct row *start = step_last_row(step, PRIMITIVE_START);
    if (step->verb == VERB_FINALIZE && m->finalized != m->machine.record.serial)
        world_fail(w, "9: %s reports that it is finalized, and is not", m->order->member);
    /* The machine of a liar has only the lies of its own prober; what it tells is judged apart. */
    if (!start || agent_lies(w, m))
        return;
    uint32_t content = content_of(m, m->machine.record.serial, start->generation);
    if (!m->service.running || !m->service.ready || m->service.content != content ||
        service_mode(m) != content_mode(m, content))
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
    if (outcome == OUTCOME_RETURNED &&
        (!m->service.running || m->service.content != content_of(m, m->machine.record.serial, 0)))
        world_fail(w, "9: %s reports that it is back, and does not run what it ran", m->order->member);
    bool deaf = m->service.running && m->service.hangs; /* it was told to stop and took no notice */
    if (outcome_changed_nothing(outcome) && deaf)
        m->stopped_by_kedge = false;
    bool waits = oracle_barrier(w, m, step, outcome) || barrier_holds_it(m);
    if (outcome_changed_nothing(outcome) && m->stopped_by_kedge && step->verb != VERB_ACT && !waits)
        world_fail(w, "4: %s reports %s of %s and was stopped", m->order->member, outcome_text(outcome),
                   step->name);
    if (changed && step->verb == VERB_PREPARE)
        m->has_prepared[plan_index(m->cluster, m->machine.record.serial)] = true;
    if (changed)
        m->concluded[m->written.step] = m->journal_lost ? 1 : 2;
    if (changed && !waits)
        m->stopped_by_kedge = false;
}

/* ---- after every event, and at the end ---- */

void oracle_after(struct world *w) {
    oracle_barrier_after(w);
    const struct run *run = coordinator_run(w);
    if (run && run->aborting && run->paused)
        world_fail(w, "7: the run is being aborted and says that it is paused, which nobody can end");
}

static void member_end(struct world *w, const struct run *run, struct member *m) {
    uint64_t serial = run->plan->header.serial;
    bool done = run->verdict == VERDICT_DONE && run->state == RUN_ENDED &&
                run->members[m->number].state == MEMBER_DONE; /* others are what the budgets allow */
    if (m->gone || barrier_excuses(w, m))
        return;
    if (m->stopped_by_kedge && !m->service.running && m->machine.record.state != MACHINE_HELD)
        world_fail(w, "4: %s was stopped, is down and is not held", m->order->member);
    if (machine_is_busy(&m->machine) && run->state == RUN_ENDED)
        world_fail(w, "4: the run has ended and %s has a step open", m->order->member);
    bool old = m->service.content / 10 != plan_index(m->cluster, serial) + 1;
    if (done && m->order->n_generations == 0) {
        if (m->finalized != serial && !m->lied)
            world_fail(w, "9: the verdict is done and %s is not finalized", m->order->member);
        return;
    }
    if (done && !m->touched && (!m->service.running || old))
        world_fail(w, "9: the verdict is done and %s does not run the new release", m->order->member);
}

static void run_end(struct world *w, const struct cluster *cluster) {
    const struct run *run = coordinator_run_of(w, cluster);
    const struct shape *shape = &cluster->plans[0]->shape;
    bool anybody = false;
    if (!run)
        return;
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        member_end(w, run, &w->members[cluster->first + i]);
        anybody = anybody || !w->members[cluster->first + i].retired;
    }
    for (size_t i = 0; anybody && run->state == RUN_ENDED && i < shape->n_side_actions && i < SIDES_MAX; i++)
        if (cluster->side_ours[i])
            world_fail(w, "5: the run has ended and side action %s is still in force",
                       shape->side_actions[i].name);
    for (size_t i = 0; i < shape->n_side_actions && i < SIDES_MAX; i++) {
        const struct side_action *side = &shape->side_actions[i];
        const char *value = cluster->side_value[i];
        if (!cluster->side_ours[i] && value && strcmp(value, side->previous) != 0)
            world_fail(w, "5: side action %s found %s in force and has left %s", side->name, side->previous,
                       value);
    }
    if (run->state == RUN_ENDED &&
        (run->verdict == VERDICT_NONE || !run->verdict_text || !run->verdict_text[0]))
        world_fail(w, "liveness: the run has ended without a verdict");
}

void oracle_end(struct world *w) {
    for (uint32_t i = 0; i < w->n_clusters; i++)
        run_end(w, &w->clusters[i]);
}
