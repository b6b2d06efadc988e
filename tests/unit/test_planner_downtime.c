#include "tests/unit/test.h"

#include "tests/unit/planner_world.h"

#include <string.h>

static const char demo[] = "coordinator/recipes/demo-store.yaml";

static void show(const struct world *w) {
    for (size_t i = 0; i < w->result.n_problems; i++)
        printf("# problem: %s: %s\n", w->result.problems[i].code, w->result.problems[i].says);
    for (size_t i = 0; i < w->result.n_warnings; i++)
        printf("# warning%s: %s: %s\n", w->result.warnings[i].consented ? " (consented)" : "",
               w->result.warnings[i].name, w->result.warnings[i].says);
}

/* The plan of the world, which nobody objects to. */
static struct verified_plan *planned(struct world *w) {
    if (!check_eq_int(world_plan(w), 0)) {
        show(w);
        return NULL;
    }
    return world_verify(w);
}

TEST("F30 a downtime plan: all stop, one barrier, all start; the page's point of no return is in the shape") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    w->input.options.goal = PLANNER_GOAL_DOWNTIME;
    w->input.options.canary = false;
    w->input.options.hold_ms = 90000;
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    static const enum wave_kind kinds[] = {WAVE_STOP, WAVE_PASS, WAVE_START};
    require(plan->shape.n_waves == ARRAY_LEN(kinds));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        check_eq_int(plan->shape.waves[i].kind, kinds[i]);
        check_eq_int(plan->shape.waves[i].n_members, 5);
    }
    check_eq_int(plan->shape.n_side_actions, 0);
    check_eq_int(plan->shape.n_may_stop, 0);
    check_contains(plan->shape.point_of_no_return, "silent for 90 s, each node starts what it ran before");
    const struct work_order *order = plan->orders[2];
    const struct step *stop = work_order_step(order, "stop"), *pass = work_order_step(order, "pass"),
                      *start = work_order_step(order, "start"), *back = work_order_step(order, "return");
    require(stop && pass && start && back && !work_order_step(order, "switch"));
    check_eq_int(stop->verb, VERB_STOP);
    check_eq_int(stop->rows[stop->n_rows - 1].primitive, PRIMITIVE_STOP);
    check_eq_int(stop->rows[stop->n_rows - 1].hold_ms, 90000);
    check_eq_int(pass->n_rows, 0);
    check_eq_int(start->rows[0].primitive, PRIMITIVE_SWAP);
    check_eq_int(start->rows[1].on_failure, ON_FAILURE_HOLD);
    check_eq_int(back->rows[0].primitive, PRIMITIVE_STOP);
}
