/* What holds in a downtime, where the limits of a rolling upgrade do not: down is down, nobody starts before the barrier is
 * passed by all, and a member whose hold limit is over does not wait on. */
#include "coordinator/rehearsal/internal.h"

#include <string.h>

enum {
    HOLD_SLACK_US =
        5 * SECOND /* the machine looks at its deadline in time; the old service starts after it */
};

bool barrier_is_declared(const struct world *w, uint32_t member) {
    const struct member *m = &w->members[member];
    const struct shape *shape = &m->cluster->plans[0]->shape;
    for (size_t i = 0; i < shape->n_waves; i++) {
        const struct wave *wave = &shape->waves[i];
        for (size_t k = 0; wave->kind != WAVE_CANARY && wave->kind != WAVE_ROLLING && k < wave->n_members;
             k++)
            if (wave->members[k] == m->number)
                return true;
    }
    return false;
}

bool barrier_holds_it(const struct member *m) {
    return m->machine.record.barrier != BARRIER_NONE;
}

/* Behind the barrier nobody goes back alone: one that nobody starts, or whose disk forgot that it was started, stays down
 * with an alarm, for a person. So does one that lied about where it is. */
bool barrier_excuses(const struct world *w, const struct member *m) {
    bool passed = machine_is_at_barrier(&m->machine) && m->machine.record.barrier == BARRIER_PASSED;
    bool strange = (m->lied || m->touched) &&
                   (machine_is_at_barrier(&m->machine) || m->machine.record.state == MACHINE_HELD);
    return barrier_is_declared(w, m->index) && (passed || strange);
}

bool barrier_waits_for_a_person(const struct world *w) {
    for (uint32_t i = 0; i < w->n_members; i++)
        if (barrier_excuses(w, &w->members[i]))
            return true;
    return false;
}

/* A step of a downtime has ended. True when the member stays down by it. */
bool oracle_barrier(struct world *w, struct member *m, const struct step *step, enum outcome outcome) {
    bool waits = outcome == OUTCOME_DONE &&
                 (step->verb == VERB_STOP || step->verb == VERB_PASS || step->verb == VERB_BACK);
    if (waits && m->service.running && !m->touched)
        world_fail(w, "9: %s reports that %s is done, and runs", m->order->member, step->name);
    return waits;
}

/* The signed word about how long a member may stay down is the agent's to keep, whoever is silent. */
static void hold_limit(struct world *w, const struct member *m) {
    const struct machine_record *record = &m->machine.record;
    bool waits = m->agent_up && !m->journal_lost && record->state == MACHINE_BARRIER &&
                 record->barrier == BARRIER_STOPPED && m->paused_until_us <= w->now_us;
    uint64_t from_us = record->hold_until_us; /* or since it can look at its clock again */
    from_us = m->up_since_us > from_us ? m->up_since_us : from_us;
    from_us = m->paused_until_us > from_us ? m->paused_until_us : from_us;
    if (waits && record->hold_until_us > 0 && w->now_us > from_us + HOLD_SLACK_US)
        world_fail(w, "4: %s waits at the barrier and its hold limit is over since %llu s", m->order->member,
                   (unsigned long long)((w->now_us - record->hold_until_us) / SECOND));
}

/* Who starts the new release before all have stopped splits the cluster in two versions that do not know each other. What
 * counts is what was: a member that went back alone since then is the engine's to see. */
void oracle_barrier_order(struct world *w, const struct member *m, const struct step *step) {
    const struct cluster *cluster = m->cluster;
    for (uint32_t i = 0; step->verb == VERB_PASS && i < cluster->n_members; i++) {
        const struct member *other = &w->members[cluster->first + i];
        bool stopped = false;
        for (uint32_t s = 0; s < other->order->n_steps && s < STEPS_MAX; s++)
            stopped = stopped || (other->order->steps[s].verb == VERB_STOP && other->concluded[s]);
        if (!stopped && !other->left_out && !other->touched)
            world_fail(w, "B: %s is ordered to %s and %s was never stopped", m->order->member, step->name,
                       other->order->member);
    }
}

/* What runs by somebody else's hand, or by an agent that lied or lost its memory, is not the plan's doing. */
static bool runs_by_plan(const struct member *m) {
    return m->service.running && !m->service.stopping && !m->touched && !m->lied && !m->left_out &&
           !m->retired && !m->gone;
}

/* Old and new do not know each other: neither is started while the other runs, on the way back neither. */
void oracle_barrier_start(struct world *w, const struct member *m, uint32_t generation) {
    if (!work_order_is_downtime(m->order) || m->touched || m->lied || m->left_out || m->retired)
        return;
    for (uint32_t i = 0; i < m->cluster->n_members; i++) {
        const struct member *other = &w->members[m->cluster->first + i];
        uint64_t serial = m->machine.record.serial;
        uint32_t unlike = content_of(other, serial, generation == 0 ? 1 : 0);
        if (other != m && runs_by_plan(other) && other->service.content == unlike)
            world_fail(w, "B: %s starts generation %u and %s runs generation %u", m->order->member,
                       generation, other->order->member, generation == 0 ? 1 : 0);
    }
}

void oracle_barrier_act(struct world *w, const struct member *m) {
    const struct step *step = m->machine.step;
    if (!work_order_is_downtime(m->order) || (step->verb != VERB_ACT && step->verb != VERB_BACK) || m->lied)
        return;
    for (uint32_t i = 0; i < m->cluster->n_members; i++) {
        const struct member *other = &w->members[m->cluster->first + i];
        if (runs_by_plan(other))
            world_fail(w, "B: %s does %s and %s runs", m->order->member, step->name, other->order->member);
    }
}

void oracle_barrier_after(struct world *w) {
    for (uint32_t i = 0; i < w->n_members; i++)
        if (w->members[i].machine.record.barrier != BARRIER_NONE)
            hold_limit(w, &w->members[i]);
}
