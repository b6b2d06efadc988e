/* The waves of a downtime. They are sets like any other, but nobody's may-stop is asked inside: that everything is down is what
 * was signed. What protects the cluster instead is the order of three words, each confirmed by every agent before the next:
 * stop, pass, start. Before all have passed, any failure sends everybody back to the old generation, and an agent that
 * hears nothing goes back alone at its hold limit; after it nobody goes back alone, because others may run the new
 * release already, so a failure pauses the run and the members stay as they are. */
#include "coordinator/engine/internal.h"

#include <string.h>

bool wave_is_of_downtime(const struct wave *wave) {
    return wave->kind == WAVE_STOP || wave->kind == WAVE_PASS || wave->kind == WAVE_START;
}

bool run_is_downtime(const struct run *run) {
    const struct shape *shape = &run->plan->shape;
    return shape->n_waves > 0 && wave_is_of_downtime(&shape->waves[0]);
}

bool barrier_may_return(const struct run *run) {
    const struct shape *shape = &run->plan->shape;
    if (run->state != RUN_WAVES || run->wave >= shape->n_waves)
        return false;
    enum wave_kind kind = shape->waves[run->wave].kind;
    return kind == WAVE_STOP || kind == WAVE_PASS;
}

/* The report that nobody ordered: its hold limit was over. It bears the name of the step that it ended. */
bool barrier_unasked(const struct run_member *m, const char *step) {
    bool down = m->state == MEMBER_STOPPED || m->state == MEMBER_PASSED;
    return !m->step && down && (strcmp(step, "stop") == 0 || strcmp(step, "pass") == 0);
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
    case WAVE_CANARY:
    case WAVE_ROLLING: break;
    }
    *from = *during = MEMBER_PREPARED;
    return "";
}

bool barrier_is_over(const struct run *run, const struct wave *wave) {
    enum member_state from, during;
    (void)step_of(wave, &from, &during);
    for (size_t i = 0; i < wave->n_members; i++) {
        enum member_state state = run->members[wave->members[i]].state;
        if (state == from || state == during)
            return false;
    }
    const struct shape *shape = &run->plan->shape;
    for (uint32_t i = 0; wave == &shape->waves[shape->n_waves - 1] && i < run->n_members; i++)
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
    for (size_t i = 0; i < wave->n_members; i++)
        waiting = waiting || run->members[wave->members[i]].state == from;
    if (!waiting || (wave->kind != WAVE_START && !all_reachable(run)))
        return false;
    run->candidate = NO_MEMBER;
    run->wait_since_ms = run->backoff_ms = 0;
    for (size_t i = 0; i < wave->n_members; i++) {
        const struct run_member *m = &run->members[wave->members[i]];
        if (m->state != from || !run->engine->nodes[m->node].up)
            continue;
        order_issue(run, wave->members[i], step);
        issued = true;
    }
    return issued;
}

/* ---- back ---- */

bool barrier_returns(struct run *run) {
    bool open = false;
    if (!orders_drained(run))
        return false;
    for (uint32_t i = 0; i < run->n_members; i++) {
        struct run_member *m = &run->members[i];
        bool up = run->engine->nodes[m->node].up;
        if ((m->state == MEMBER_STOPPED || m->state == MEMBER_PASSED) && up && !m->stays) {
            m->stays = true; /* asked once; its hold limit, or a person, does the rest */
            order_issue(run, i, "return");
            open = true;
        }
        open = open || m->state == MEMBER_RECOVERING_BACK;
    }
    return !open;
}
