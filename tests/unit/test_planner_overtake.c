/* Plans that overtake an open run: what the cluster says now is half that run's doing. */
#include "tests/unit/planner_world.h"
#include "tests/unit/test.h"

#include <string.h>

static const char demo[] = "coordinator/recipes/demo-store.yaml";

static void refused_with(struct world *w, const char *text) {
    check_eq_int(world_plan(w), PLANNER_REFUSED);
    if (!check(world_objects(w, text)))
        printf("# expected: %s\n", text);
}

TEST("F06 the previous value of a side action is that from before the open run, not what the run has put "
     "there") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    static const struct fact before[] = {{"other", "9"}, {"repair-delay", "2"}};
    world_answer(w, "value:repair-delay", ANSWER_NO, "60"); /* ours, by the open run */
    require(world_plan(w) == 0);
    struct verified_plan *plan = world_verify(w);
    check_eq_int(plan->shape.n_side_actions, 0); /* nobody has said that a run is open */
    plan = verified_plan_free(plan);
    w->input.overtaken = before;
    w->input.n_overtaken = 2;
    w->input.options.supersedes = 6;
    require(world_plan(w) == 0);
    plan = world_verify(w);
    require(plan->shape.n_side_actions == 1);
    check_eq_str(plan->shape.side_actions[0].previous, "2");
    check_eq_str(work_order_step(plan->orders[0], "close repair-delay")->rows[0].command->arguments[4].text,
                 "2");
    check_eq_int(plan->header.supersedes, 6);
    plan = verified_plan_free(plan);
}

TEST("F06 a member that is on the target already, but was left read-only, is not left out") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    static const char *const becomes[] = {"becomes-read-write:store@n1"};
    world_fact(w, 0, "release.version", "1.1.0");
    world_fact(w, 1, "release.version", "1.1.0");
    world_fact(w, 0, "mode", "read-only");
    world_fact(w, 0, "origin", "kedge");
    world_fact(w, 0, "arguments", "4");
    world_fact(w, 0, "argument.3", "--read-only");
    refused_with(w, "becomes-read-write:store@n1");
    world_consents(w, becomes, 1);
    require(world_plan(w) == 0);
    struct verified_plan *plan = world_verify(w);
    check_eq_int(plan->n_orders, 4);
    const struct work_order *order = NULL;
    for (size_t i = 0; i < plan->n_orders; i++) {
        check(strcmp(plan->orders[i]->member, "shop/store@n2") != 0);
        order = strcmp(plan->orders[i]->member, "shop/store@n1") == 0 ? plan->orders[i] : order;
    }
    require(order);
    check_eq_str(order->from_version, "1.1.0");
    check_eq_int(order->end_mode, MODE_READ_WRITE);
    check_eq_int(order->generations[0].n_arguments, 3);
    plan = verified_plan_free(plan);
    /* By an operator's will it stays as it is, and on the target it is left out. */
    world_fact(w, 0, "origin", "operator");
    world_consents(w, NULL, 0);
    require(world_plan(w) == 0);
    plan = world_verify(w);
    check_eq_int(plan->n_orders, 3);
    plan = verified_plan_free(plan);
}

TEST("F13: a member that is down goes first on the target version, too") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    static const char *const consents[] = {"down:store@n3"};
    world_fact(w, 2, "release.version", "1.1.0");
    world_fact(w, 2, "found", "no");
    world_fact(w, 2, "mode", "down");
    world_fact(w, 2, "origin", "kedge");
    world_unfact(w, 2, "socket");
    refused_with(w, "down:store@n3");
    world_consents(w, consents, 1);
    require(world_plan(w) == 0);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = world_verify(w);
    require(plan);
    check_eq_int(plan->n_orders, WORLD_MEMBERS);
    check_eq_str(plan->shape.waves[0].name, "broken first");
    check_eq_str(plan->orders[plan->shape.waves[0].members[0]]->member, "shop/store@n3");
    check_eq_int(plan->orders[0]->end_mode, MODE_READ_WRITE);
}

TEST("F06 a run that goes on, and a member that it is changing, need a consent by name") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    static const char *const both[] = {"not-paused", "in-change:store@n2"};
    w->input.goes_on = 7;
    w->members[1].in_change = "switching, by run 7";
    refused_with(w, "not-paused: run 7");
    refused_with(w, "in-change:store@n2: store@n2 is in change (switching, by run 7)");
    world_consents(w, both, 2);
    require(world_plan(w) == 0);
}

TEST("F06 clusters that the plan depends on are the charter's and its own, each once") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    static const char *const charters[] = {"zk"}, *const own[] = {"dns", "zk", "dns"};
    w->charter.depends_on = charters;
    w->charter.n_depends_on = 1;
    w->input.options.depends_on = own;
    w->input.options.n_depends_on = 3;
    require(world_plan(w) == 0);
    struct verified_plan *plan = world_verify(w);
    require(plan->shape.n_depends_on == 2);
    check_eq_str(plan->shape.depends_on[0], "zk");
    check_eq_str(plan->shape.depends_on[1], "dns");
    plan = verified_plan_free(plan);
}
