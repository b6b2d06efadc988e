/* Performs what the machine asks for at once and takes the clock to its next deadline, so that a whole step, with its time-outs,
 * is one call. */
#include "tests/unit/machine_world.h"

#include <assert.h>
#include <stdio.h>

const struct digest machine_gate = {{1}};

void world_init(struct world *w) {
    *w = (struct world){
        .now_us = 1000000, .running = true, .bad = PRIMITIVES, .die_at_row = -1, .die_after_row = -1};
    struct machine_record record = {0};
    machine_init(&w->m, &record, NULL, NULL);
    struct machine_actions actions;
    machine_step(
        &w->m,
        &(struct machine_event){
            .kind = MACHINE_EVENT_RECOVERED, .now_us = w->now_us, .same_boot = true, .running = true},
        &actions);
}

static void perform(struct world *w, const struct row *row) {
    if (row->primitive == PRIMITIVE_STOP && w->running) {
        w->running = false;
        w->n_signals++;
    }
    if (row->primitive == PRIMITIVE_START && !w->running) {
        w->running = true;
        w->running_generation = row->generation;
        w->n_starts++;
    }
}

bool world_perform(struct world *w, const struct machine_actions *actions, struct machine_event *answer) {
    for (size_t i = 0; i < actions->n; i++) {
        const struct machine_action *action = &actions->items[i];
        switch (action->kind) {
        case MACHINE_ACTION_JOURNAL:
            w->kept = action->record;
            if (action->sync)
                w->synced = action->record;
            if (action->record.outcome == OUTCOME_NONE && (int)action->record.row == w->die_at_row) {
                w->dead = true;
                return false;
            }
            break;
        case MACHINE_ACTION_EXECUTE:
            *answer =
                (struct machine_event){.kind = MACHINE_EVENT_ANSWER, .op = action->op, .now_us = w->now_us};
            if (action->row->primitive == w->bad && w->bad_times != 0 &&
                w->m.record.state == MACHINE_FORWARD) {
                w->bad_times -= w->bad_times > 0;
                answer->answer = w->bad_answer;
                answer->kind = w->bad_fails ? MACHINE_EVENT_FAILED : MACHINE_EVENT_ANSWER;
                answer->reason = "as told";
                if (w->bad == PRIMITIVE_START && w->bad_fails)
                    w->running = false;
                return true;
            }
            if (action->attempt == 0)
                perform(w, action->row);
            if (action->row->primitive == PRIMITIVE_STOP)
                w->kept.stopped_at_us = w->now_us;
            if ((int)w->kept.row == w->die_after_row) {
                w->dead = true;
                return false;
            }
            return true;
        case MACHINE_ACTION_KILL:
            w->n_kills++;
            w->running = false;
            break;
        case MACHINE_ACTION_REPORT:
            w->outcome = action->outcome;
            snprintf(w->reason, sizeof(w->reason), "%s", action->reason);
            break;
        case MACHINE_ACTION_ALARM: w->n_alarms++; break;
        }
    }
    return false;
}

void world_run(struct world *w, struct machine_event event) {
    for (int i = 0; i < 10000 && !w->dead; i++) {
        struct machine_actions actions;
        struct machine_event answer;
        machine_step(&w->m, &event, &actions);
        if (world_perform(w, &actions, &answer)) {
            event = answer;
            continue;
        }
        uint64_t next = machine_next_deadline(&w->m);
        if (next == UINT64_MAX || w->dead || (w->stay && machine_is_at_barrier(&w->m)))
            return;
        w->now_us = next > w->now_us ? next : w->now_us;
        event = (struct machine_event){.kind = MACHINE_EVENT_TIME, .now_us = w->now_us};
    }
    assert(w->dead); /* else it does not end */
}
