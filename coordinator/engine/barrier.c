/* The waves of a downtime. They are sets like any other, but nobody's may-stop is asked inside: that everything is down is what
 * was signed. What protects the cluster instead is the order of three words, each confirmed by every agent before the next:
 * stop, pass, start. Before all have passed, any failure sends everybody back to the old generation, and an agent that
 * hears nothing goes back alone at its hold limit; after it nobody goes back alone, because others may run the new
 * release already, so a failure pauses the run and the members stay as they are. */
#include "coordinator/engine/internal.h"

bool wave_acts(const struct wave *wave) {
    return wave->kind == WAVE_ACT || wave->kind == WAVE_BACK;
}

bool wave_is_of_downtime(const struct wave *wave) {
    return wave->kind == WAVE_STOP || wave->kind == WAVE_PASS || wave->kind == WAVE_START || wave_acts(wave);
}

bool shape_is_downtime(const struct shape *shape) {
    return shape->n_waves > 0 && wave_is_of_downtime(&shape->waves[0]);
}

bool run_is_downtime(const struct run *run) {
    return shape_is_downtime(&run->plan->shape);
}

/* Something that only the new release understands may be on the disks: an action behind the barrier, or a start. */
bool run_is_behind(const struct run *run) {
    const struct shape *shape = &run->plan->shape;
    bool passed = false;
    for (size_t w = 0; w < shape->n_waves; w++) {
        if (passed && shape->waves[w].kind == WAVE_ACT && run->act_begun[w])
            return true;
        passed = passed || shape->waves[w].kind == WAVE_PASS;
    }
    return run->started;
}

bool barrier_may_return(const struct run *run) {
    return run->state == RUN_WAVES && run_is_downtime(run) && !run_is_behind(run);
}

bool barrier_is_last(const struct run *run) {
    const struct shape *shape = &run->plan->shape;
    return run->wave + 1 == shape->n_waves || shape->waves[run->wave + 1].kind == WAVE_BACK;
}

/* ---- forward ---- */

static const char *step_of(const struct wave *wave, enum member_state *from, enum member_state *during) {
    switch (wave->kind) {
    case WAVE_STOP:
        *from = MEMBER_PREPARED;
        *during = MEMBER_STOPPING;
        return "stop";
    case WAVE_PASS:
        *from = MEMBER_STOPPED;
        *during = MEMBER_PASSING;
        return "pass";
    case WAVE_START:
        *from = MEMBER_PASSED;
        *during = MEMBER_STARTING;
        return "start";
    case WAVE_ACT:
    case WAVE_BACK:
    case WAVE_CANARY:
    case WAVE_ROLLING: break;
    }
    *from = *during = MEMBER_PREPARED;
    return "";
}

bool barrier_is_over(const struct run *run, const struct wave *wave) {
    enum member_state from, during;
    if (wave_acts(wave))
        return act_is_over(run, wave);
    (void)step_of(wave, &from, &during);
    for (size_t i = 0; i < wave->n_members; i++) {
        enum member_state state = run->members[wave->members[i]].state;
        if (state == from || state == during)
            return false;
    }
    for (uint32_t i = 0; barrier_is_last(run) && i < run->n_members; i++)
        if (!member_state_is_over(run->members[i].state))
            return false; /* the gates hold only when all are up, so all are waited for at the end */
    return true;
}

/* Before the first stop and before the pass everybody must be there to hear the next word. */
static bool all_reachable(struct run *run) {
    uint32_t missing = NO_MEMBER;
    reasons_clear(&run->wait);
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        bool up = run->engine->nodes[m->node].up, held = node_is_held(run->engine, m->node);
        if (member_state_is_over(m->state) || (up && !held))
            continue;
        reasons_add(&run->wait, up ? "its node" : "its agent", m->order->member, ANSWER_UNKNOWN,
                    up ? "an operator holds it" : "it is not connected");
        missing = i;
    }
    if (missing == NO_MEMBER)
        return true;
    run->candidate = missing;
    may_stop_wait(run);
    return false;
}

bool barrier_advance(struct run *run, const struct wave *wave) {
    enum member_state from, during;
    const char *step = step_of(wave, &from, &during);
    bool waiting = false, issued = false;
    if (run->retry_ms > 0)
        return false;
    if (wave_acts(wave))
        return act_advance(run, wave);
    for (size_t i = 0; i < wave->n_members; i++)
        waiting = waiting || run->members[wave->members[i]].state == from;
    if (!waiting || (wave->kind != WAVE_START && !all_reachable(run)))
        return false;
    run->candidate = NO_MEMBER;
    run->wait_since_ms = run->backoff_ms = 0;
    for (size_t i = 0; i < wave->n_members; i++) {
        const struct run_member *m = &run->members[wave->members[i]];
        if (m->state != from || !run->engine->nodes[m->node].up || node_is_held(run->engine, m->node))
            continue;
        order_issue(run, wave->members[i], step);
        issued = true;
    }
    return issued;
}
