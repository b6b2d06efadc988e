/* The plan after which nothing leads back. */
#include "tests/unit/planner_world.h"
#include "tests/unit/test.h"

#include <string.h>

static const char demo[] = "coordinator/recipes/demo-store.yaml";

/* All run the release as proven since `proven_ms`. */
static struct world *finalizing(const char *proven_ms) {
    struct world *w = world_new(demo, NULL);
    for (size_t i = 0; i < WORLD_MEMBERS; i++) {
        world_fact(w, i, "release.version", "1.1.0");
        world_fact(w, i, "finalized", "");
        world_fact(w, i, "proven.ms", proven_ms);
    }
    w->input.options.goal = PLANNER_GOAL_FINALIZE;
    w->input.options.canary = false;
    return w;
}

static void refused_with(struct world *w, const char *text) {
    check_eq_int(world_plan(w), PLANNER_REFUSED);
    if (!check(world_objects(w, text)))
        printf("# expected: %s\n", text);
}

TEST("F22 finalize stops nothing, says what is final, and no way leads back from it") {
    _cleanup_(world_freep) struct world *w = finalizing("1000");
    require(world_plan(w) == 0);
    struct verified_plan *plan = world_verify(w);
    check_eq_str(plan->shape.strategy, "finalize");
    check_contains(plan->shape.point_of_no_return, "data of format 2");
    check_eq_int(plan->shape.n_side_actions, 0);
    check_eq_int(plan->n_orders, WORLD_MEMBERS);
    for (size_t i = 0; i < plan->n_orders; i++) {
        const struct work_order *order = plan->orders[i];
        const struct step *step = work_order_step(order, "switch");
        check_eq_int(order->way_back, WAY_BACK_NEVER);
        check_eq_int(order->n_generations, 0);
        require(step && step->verb == VERB_FINALIZE && step->n_rows == 3);
        check_eq_int(step->rows[0].primitive, PRIMITIVE_ASK);
        check_eq_int(step->rows[2].primitive, PRIMITIVE_ASK);
        const struct row *run = &step->rows[1];
        require(run->primitive == PRIMITIVE_RUN && run->done_if);
        check_eq_str(run->done_if->values[0], "2");
        check_eq_str(run->command->arguments[1].text, "finalize");
        check(fact_get(order->binding, order->n_binding, "finalized") != NULL);
    }
    plan = verified_plan_free(plan);
}

TEST("F22 lesson_17: finalize is refused before the soak is over, and when nobody knows since when it needs "
     "a consent") {
    _cleanup_(world_freep) struct world *w = finalizing("1000");
    char since[32];
    snprintf(since, sizeof(since), "%llu", (unsigned long long)w->input.options.created_s * 1000 - 2000);
    world_fact(w, 2, "proven.ms", since);
    refused_with(
        w,
        "store@n3 runs 1.1.0 as proven for 2 s, finalizing asks for 3 s at least: it may be planned in 1 s");
    snprintf(since, sizeof(since), "%llu", (unsigned long long)w->input.options.created_s * 1000 - 3000);
    world_fact(w, 2, "proven.ms", since);
    check_eq_int(world_plan(w), 0);
    /* A clock that is ahead proves nothing. */
    snprintf(since, sizeof(since), "%llu", (unsigned long long)w->input.options.created_s * 1000 + 60000);
    world_fact(w, 2, "proven.ms", since);
    refused_with(w, "store@n3 runs 1.1.0 as proven for 0 s");
    world_unfact(w, 2, "proven.ms");
    refused_with(w, "soak-unknown:store@n3");
}

TEST("F22 what is not well, on another release, or changed by the way is not finalized") {
    _cleanup_(world_freep) struct world *w = finalizing("1000");
    static const struct config_op change = {CONFIG_SET, "sync", "yes"};
    world_fact(w, 1, "mode", "read-only");
    world_fact(w, 1, "origin", "operator");
    refused_with(w, "store@n2 is read-only: what is not well is not finalized");
    world_fact(w, 1, "mode", "read-write");
    world_fact(w, 1, "origin", "none");
    w->input.options.changes = &change;
    w->input.options.n_changes = 1;
    refused_with(w, "finalize: it changes no configuration");
    w->input.options.n_changes = 0;
    world_fact(w, 1, "release.version", "1.0.0");
    refused_with(w, "finalize: not every member runs 1.1.0");
}

TEST("F22 members that are finalized already are left out, and no plan leads before them") {
    _cleanup_(world_freep) struct world *w = finalizing("1000");
    world_fact(w, 0, "finalized", "1.1.0");
    require(world_plan(w) == 0);
    struct verified_plan *plan = world_verify(w);
    check_eq_int(plan->n_orders, WORLD_MEMBERS - 1);
    plan = verified_plan_free(plan);
    check_eq_str(w->result.notes[0], "store@n1 is finalized on 1.1.0 already and is left out");
    w->input.options.goal = PLANNER_GOAL_UPGRADE;
    for (size_t i = 0; i < WORLD_MEMBERS; i++)
        world_fact(w, i, "release.version", "1.2.0");
    world_fact(w, 0, "finalized", "1.2.0");
    refused_with(w, "store@n1 was finalized on 1.2.0, so 1.1.0 cannot read its data any more");
}

TEST("F22 a recipe without such an act has nothing to finalize") {
    _cleanup_(world_freep) struct world *w = finalizing("1000");
    struct recipe without = *w->recipe;
    struct cluster_file cluster = *w->cluster;
    without.finalize = NULL;
    cluster.recipe = &without;
    w->input.cluster = &cluster;
    refused_with(w, "the recipe of demo-store has nothing to finalize");
}
