/* The ways back of a downtime. Before anything that only the new release understands, an abort, a failure or a rollback
 * returns everybody at once: all are down, or have never been stopped. After it the way back is a downtime again, reversed
 * (`run rollback`): all that run are stopped, then what the recipe restores, then the old generation starts everywhere. So
 * old and new never run beside each other, on the way back neither. */
#include "coordinator/engine/internal.h"

#include <stdio.h>

/* The report that nobody ordered: its hold limit was over. It bears the name of the step after which that was. */
bool barrier_unasked(const struct run_member *m, enum outcome outcome) {
    bool down = m->state == MEMBER_STOPPED || m->state == MEMBER_PASSED;
    return !m->step && down && (outcome == OUTCOME_RETURNED || outcome == OUTCOME_HELD);
}

static bool is_up(const struct run *run, const struct run_member *m) {
    return run->engine->nodes[m->node].up;
}

/* Asked once; a refusal leaves it down, with its hold limit, or a person, to do the rest. */
static bool return_one(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    if (m->stays || !is_up(run, m) || node_is_held(run->engine, m->node))
        return false;
    m->stays = true;
    order_issue(run, member, "return");
    return true;
}

/* Behind the barrier nobody goes back alone: who is not there is waited for, or retired. */
static bool must_be_told(const struct run *run, const struct run_member *m) {
    return (m->state == MEMBER_PASSED && !m->stays) || (m->state == MEMBER_PASSING && !is_up(run, m));
}

void barrier_explain_abort(const struct run *run, char *text, size_t size) {
    for (uint32_t i = 0; i < run->n_members && barrier_may_return(run); i++) {
        const struct run_member *m = &run->members[i];
        if (!must_be_told(run, m))
            continue;
        snprintf(text, size, "%s: %s is stopped behind the barrier, and %s; it is returned then, or retired",
                 run->superseded ? "superseded" : "aborting", m->order->member,
                 is_up(run, m) ? "its node is held by an operator" : "its agent is not connected");
        return;
    }
}

bool barrier_returns(struct run *run) {
    bool open = false;
    if (!orders_drained(run))
        return false;
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        if ((m->state == MEMBER_STOPPED || m->state == MEMBER_PASSED) && return_one(run, i))
            open = true;
        open = open || must_be_told(run, m);
    }
    return !open;
}

/* ---- rollback ---- */

/* Who is waited for on the way back, and what comes then; the first of them. */
void barrier_explain_back(const struct run *run, char *text, size_t size) {
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        bool down = m->state == MEMBER_STOPPED || m->state == MEMBER_PASSED || m->state == MEMBER_HELD;
        bool halts = member_state_is_changed(m->state), up = is_up(run, m);
        if ((!halts && (!down || m->stays)) || (up && !node_is_held(run->engine, m->node)))
            continue;
        snprintf(text, size, "%s is to be %s, and %s; %s, or it is retired (`kedge run retire`)",
                 m->order->member, halts ? "stopped for the way back" : "started on what it ran before",
                 up ? "its node is held by an operator" : "its agent is not connected",
                 up ? "it goes on when the node is returned (`kedge node return`)"
                    : "it goes on when its agent is back");
        return;
    }
}

/* Who runs the new release is stopped; false when nobody does any more. */
static bool halts(struct run *run, bool *issued) {
    bool left = false;
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        left = left || m->step;
        if (!member_state_is_changed(m->state))
            continue;
        left = true;
        if (!is_up(run, m) || node_is_held(run->engine, m->node))
            continue;
        order_issue(run, i, "stop back");
        *issued = true;
    }
    return left;
}

static bool restores(struct run *run, bool *issued) {
    const struct shape *shape = &run->plan->shape;
    for (size_t w = 0; w < shape->n_waves && run_is_behind(run); w++) {
        const struct wave *wave = &shape->waves[w];
        if (wave->kind != WAVE_BACK || act_is_over(run, wave))
            continue;
        *issued = act_advance(run, wave);
        return true;
    }
    return false;
}

/* Who is held and, by its own last report, not down may run the new release still: it goes back while nobody else runs. */
static bool starts_held_first(struct run *run, bool *issued) {
    bool left = false;
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        bool runs = m->state == MEMBER_HELD && m->mode != MODE_DOWN && !m->stays;
        left = left || runs || (m->state == MEMBER_REVERTING && m->before == MEMBER_HELD);
        *issued = (runs && return_one(run, i)) || *issued;
    }
    return left;
}

/* The old generation; false when all are back. */
static bool starts_old(struct run *run, bool *issued) {
    bool left = false;
    if (starts_held_first(run, issued))
        return true;
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        bool down = m->state == MEMBER_STOPPED || m->state == MEMBER_PASSED || m->state == MEMBER_HELD;
        *issued = (down && return_one(run, i)) || *issued;
        left = left || m->step || m->state == MEMBER_RECOVERING_BACK || (down && !m->stays);
    }
    return left;
}

/* As it has said last, against the report that it is stopped, or because its stop has failed. */
static bool held_runs(struct run *run) {
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        if (m->state != MEMBER_HELD || (m->mode != MODE_READ_ONLY && m->mode != MODE_READ_WRITE))
            continue;
        run_pause(
            run, PAUSE_STEP, i,
            "%s is held and still runs (%s): nobody starts %s beside it; end it by hand and retire it: %s",
            m->order->member, mode_text(m->mode), run->plan->header.from_version, m->reason ? m->reason : "");
        return true;
    }
    return false;
}

const char *barrier_is_final(const struct run *run) {
    const struct shape *shape = &run->plan->shape;
    const char *final = NULL;
    bool passed = false;
    for (size_t w = 0; w < shape->n_waves; w++) {
        const struct wave *wave = &shape->waves[w];
        if (wave->kind == WAVE_BACK)
            return NULL;
        if (wave->kind == WAVE_ACT && passed && run->act_begun[w] && !final)
            final = wave->name;
        passed = passed || wave->kind == WAVE_PASS;
    }
    return final;
}

/* True when it has ordered something, or has nothing left to do. */
bool barrier_rolls_back(struct run *run) {
    bool issued = false;
    if (halts(run, &issued))
        return issued;
    if (held_runs(run))
        return false;
    if (restores(run, &issued) || starts_old(run, &issued))
        return issued;
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        if (m->state == MEMBER_STOPPED || m->state == MEMBER_PASSED || m->state == MEMBER_HELD) {
            run_pause(run, PAUSE_STEP, i, "%s is %s and was not returned: %s", m->order->member,
                      member_state_text(m->state), m->reason ? m->reason : "");
            return false;
        }
    }
    return true;
}
