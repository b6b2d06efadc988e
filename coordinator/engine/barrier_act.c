/* Named actions of a downtime: a backup, a format, a restore, while everybody is down. An action is a wave that bears the name
 * of the step its members do. That it was ordered is in the journal before the order leaves, so nobody ever takes an action
 * for not begun that may have begun; whether it is done says its agent, by done_if, and an action whose end is unknown or bad
 * pauses the run. `run resume` orders it again: the agent looks at done_if first. */
#include "coordinator/engine/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is durable ---- */

void barrier_init(struct run *run) {
    const struct shape *shape = &run->plan->shape;
    run->acted = must(calloc(shape->n_waves + 1, sizeof(*run->acted)));
    run->act_begun = must(calloc(shape->n_waves + 1, sizeof(*run->act_begun)));
    for (size_t w = 0; w < shape->n_waves; w++)
        if (wave_acts(&shape->waves[w]))
            run->acted[w] = must(calloc(shape->waves[w].n_members + 1, sizeof(*run->acted[w])));
}

void barrier_deinit(struct run *run) {
    for (size_t w = 0; w < run->plan->shape.n_waves; w++)
        free(run->acted[w]);
    free(run->acted);
    free(run->act_begun);
}

void barrier_dump(const struct run *run, struct buffer *out) {
    const struct shape *shape = &run->plan->shape;
    if (run->stop_ordered_ms > 0)
        buffer_format(out, "  the first stop was ordered at %llu\n",
                      (unsigned long long)run->stop_ordered_ms);
    if (run->started)
        buffer_text(out, "  the new release was ordered to start\n");
    for (size_t w = 0; w < shape->n_waves; w++) {
        if (!run->acted[w] || !run->act_begun[w])
            continue;
        buffer_format(out, "  %s begun, done by", shape->waves[w].name);
        for (size_t i = 0; i < shape->waves[w].n_members; i++)
            if (run->acted[w][i])
                buffer_format(out, " %u", shape->waves[w].members[i]);
        buffer_text(out, "\n");
    }
}

static uint32_t wave_of_act(const struct run *run, const char *step) {
    const struct shape *shape = &run->plan->shape;
    for (uint32_t w = 0; w < shape->n_waves; w++)
        if (run->acted[w] && strcmp(shape->waves[w].name, step) == 0)
            return w;
    return UINT32_MAX;
}

bool barrier_is_act(const struct run *run, const char *step) {
    return wave_of_act(run, step) != UINT32_MAX;
}

bool barrier_act_begins(struct run *run, const char *step) {
    uint32_t wave = wave_of_act(run, step);
    if (wave == UINT32_MAX)
        return false;
    run->act_begun[wave] = true;
    return true;
}

void barrier_act_done(struct run *run, uint32_t member) {
    uint32_t wave = wave_of_act(run, run->members[member].step);
    for (size_t i = 0; wave != UINT32_MAX && i < run->plan->shape.waves[wave].n_members; i++)
        if (run->plan->shape.waves[wave].members[i] == member)
            run->acted[wave][i] = true;
}

/* ---- what is next ---- */

static const bool *acted_of(const struct run *run, const struct wave *wave) {
    return run->acted[wave - run->plan->shape.waves];
}

bool act_is_over(const struct run *run, const struct wave *wave) {
    for (size_t i = 0; i < wave->n_members; i++)
        if (!acted_of(run, wave)[i])
            return false;
    return true;
}

/* Its carrier cannot be ordered: it is gone, or it is down no longer. Nobody else has the step in his order. */
static void carrier_lost(struct run *run, const struct wave *wave, uint32_t member) {
    const struct run_member *m = &run->members[member];
    run_pause(run, PAUSE_STEP, member,
              "%s: %s, which carries it, is %s; `kedge run abort`, or `kedge run rollback`", wave->name,
              m->order->member, member_state_text(m->state));
}

/* A hold limit counts on the member's node from its stop on, and what it started at the end of it may be told late. So no
 * action is ordered that could still be going on at a hold limit, counted from when the first stop was ordered. */
static bool fits_hold_limit(struct run *run, const struct wave *wave, uint32_t carrier) {
    const struct row *act =
        step_find_row(work_order_step(run->members[carrier].order, wave->name), PRIMITIVE_RUN);
    uint64_t until_ms = run->engine->now_ms + (act ? act->deadline_ms : 0);
    reasons_clear(&run->wait);
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        const struct row *stop = step_find_row(work_order_step(m->order, "stop"), PRIMITIVE_STOP);
        if (m->state != MEMBER_STOPPED || !stop || stop->hold_ms == 0 ||
            until_ms < run->stop_ordered_ms + stop->hold_ms)
            continue;
        reasons_add(
            &run->wait, "hold limit", m->order->member, ANSWER_NO,
            "it may start what it ran before the action is over; at its hold limit everybody goes back");
        run->candidate = i;
    }
    if (run->wait.n == 0)
        return true;
    may_stop_wait(run);
    return false;
}

bool act_advance(struct run *run, const struct wave *wave) {
    bool issued = false;
    for (size_t i = 0; i < wave->n_members; i++) {
        const struct run_member *m = &run->members[wave->members[i]];
        if (acted_of(run, wave)[i] || m->state == MEMBER_ACTING)
            continue;
        if (m->state != MEMBER_STOPPED && m->state != MEMBER_PASSED) {
            carrier_lost(run, wave, wave->members[i]);
            return issued;
        }
        if (!run->engine->nodes[m->node].up || node_is_held(run->engine, m->node))
            continue;
        if (m->state == MEMBER_STOPPED && !fits_hold_limit(run, wave, wave->members[i]))
            return issued;
        order_issue(run, wave->members[i], wave->name);
        issued = true;
    }
    return issued;
}
