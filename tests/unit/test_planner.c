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

static const char *member_of(const struct verified_plan *plan, size_t wave, size_t i) {
    return plan->orders[plan->shape.waves[wave].members[i]]->member;
}

static void check_problem(struct world *w, const char *text) {
    check_eq_int(world_plan(w), PLANNER_REFUSED);
    check_eq_int(w->result.plan.len, 0);
    if (!check(world_objects(w, text))) {
        printf("# expected: %s\n", text);
        show(w);
    }
}

TEST("the same inputs give the same bytes") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    check_eq_int(world_plan(w), 0);
    struct bytes first = w->result.plan;
    check_eq_int(world_plan(w), 0);
    check(bytes_equal(first, w->result.plan));
    check(first.len > 0);
}

TEST("F18: one canary in place, read-only first, with its own soak, then rolling") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_int(plan->n_orders, 5);
    check_eq_int(plan->shape.n_waves, 2);
    const struct wave *canary = &plan->shape.waves[0];
    check_eq_int(canary->kind, WAVE_CANARY);
    check_eq_int(canary->n_members, 1);
    check_eq_str(member_of(plan, 0, 0), "shop/store@n5");
    check_eq_int(canary->soak_read_only_ms, 10000);
    check_eq_int(canary->soak_ms, 5000);
    const struct work_order *order = plan->orders[0];
    check_eq_int(order->n_generations, 2);
    check_eq_int(order->generations[0].mode, MODE_READ_ONLY);
    check_eq_int(order->generations[1].mode, MODE_READ_WRITE);
    check(work_order_step(order, "prepare") && work_order_step(order, "switch") &&
          work_order_step(order, "promote") && work_order_step(order, "return"));
    const struct generation *read_only = &order->generations[0];
    check_eq_str(read_only->arguments[read_only->n_arguments - 1].text, "--read-only");
    check(!work_order_step(plan->orders[1], "promote"));
    check_eq_int(plan->orders[1]->n_generations, 1);
}

TEST("the new command line leads to Kedge's link; words that do not change stay on their node") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct generation *g = &plan->orders[1]->generations[0];
    check_eq_int(g->n_arguments, 3);
    check_eq_str(g->arguments[0].text,
                 "/var/lib/kedge-agent/members/shop_store_n1/current/release/bin/demo-store");
    check(g->arguments[1].has_found && g->arguments[1].found == 1);
    check_eq_str(g->arguments[2].text, "/var/lib/kedge-agent/members/shop_store_n1/current/conf/s1.conf");
    check_eq_str(g->render->path, "s1.conf");
    check(g->has_manifest);
}

TEST("rows of a switch: ask and capture, stop, swap, start, observe, ask, compare and hold") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    static const enum primitive want[] = {PRIMITIVE_ASK,     PRIMITIVE_STOP, PRIMITIVE_SWAP, PRIMITIVE_START,
                                          PRIMITIVE_OBSERVE, PRIMITIVE_ASK,  PRIMITIVE_ASK};
    const struct step *step = work_order_step(plan->orders[1], "switch");
    require(step && step->n_rows == ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        check_eq_int(step->rows[i].primitive, want[i]);
    check_eq_int(step->rows[0].sample, SAMPLE_CAPTURE);
    check_eq_int(step->rows[0].on_failure, ON_FAILURE_STOP);
    check_eq_int(step->rows[0].n_gates,
                 4); /* writable, nothing-missing, in-force:repair-delay, keys-read-back */
    check_eq_int(step->rows[1].signal, 15);
    check_eq_int(step->rows[3].on_failure, ON_FAILURE_RETURN);
    check_eq_int(step->rows[6].sample, SAMPLE_COMPARE);
    check_eq_int(step->rows[6].on_failure, ON_FAILURE_HOLD);
    const struct gate *proof = verified_plan_gate(plan, &step->rows[6].gates[0]);
    check(proof && proof->sample && proof->sample->minimum == 20);
}

TEST("charter and plan name a gate by the same digest") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_int(plan->shape.n_may_stop,
                 3); /* the last one is the plan's own: the side action is still in force */
    for (size_t i = 0; i < 2; i++) {
        bool found = false;
        for (size_t k = 0; k < w->charter.n_cluster_gates; k++)
            found = found || digest_equal(&plan->shape.may_stop[i], &w->charter.cluster_gates[k]);
        check(found);
    }
    const struct step *step = work_order_step(plan->orders[0], "switch");
    const struct charter_member *member = &w->charter.members[4];
    bool found = false;
    for (size_t k = 0; k < member->n_gates; k++)
        found = found || digest_equal(&step->rows[5].gates[0], &member->gates[k]);
    check(found);
}

TEST("F13: a member that is down does not block its repair: it goes first, by name and consent") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    world_fact(w, 2, "found", "no");
    world_fact(w, 2, "mode", "down");
    world_fact(w, 2, "origin", "crash");
    world_unfact(w, 2, "socket");
    check_problem(
        w, "down:store@n3: store@n3 is down (by crash); the plan changes it first and starts it read-write");
    static const char *const consents[] = {"down:store@n3"};
    world_consents(w, consents, 1);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_str(plan->shape.waves[0].name, "broken first");
    check_eq_str(member_of(plan, 0, 0), "shop/store@n3");
    check_eq_int(plan->orders[0]->end_mode, MODE_READ_WRITE);
    const struct step *step = work_order_step(plan->orders[0], "switch");
    require(step);
    check_eq_int(step->rows[0].primitive, PRIMITIVE_SWAP);
    check_eq_str(plan->header.consents[0], "down:store@n3");
    check_contains(plan->shape.warnings[0], "down:store@n3: store@n3 is down");
}

TEST("F13: a member without a mode goes first, and nothing is asked of it that it cannot give") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    static const char *const consents[] = {"broken:store@n2"};
    world_fact(w, 1, "mode", "unknown");
    world_consents(w, consents, 1);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct step *step = work_order_step(plan->orders[0], "switch");
    check_eq_str(plan->orders[0]->member, "shop/store@n2");
    check_eq_int(step->rows[0].primitive, PRIMITIVE_ASK);
    check_eq_int(step->rows[0].sample, SAMPLE_NONE);
    check_eq_int(step->rows[1].primitive, PRIMITIVE_STOP);
}

TEST("F14: the limit of a wave is a count and a percentage, 1 unless said otherwise, and never eats the "
     "capacity") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_int(plan->shape.waves[1].limit_count, 1);
    plan = verified_plan_free(plan);
    w->input.options.limit_count = 2;
    w->input.options.limit_percent = 50;
    plan = planned(w);
    require(plan);
    check_eq_int(plan->shape.waves[1].limit_count, 2);
    check_eq_int(plan->shape.waves[1].limit_percent, 50);
    check_eq_int(plan->shape.waves[0].limit_count, 1);
    plan = verified_plan_free(plan);
    w->input.options.limit_count = 3;
    w->input.options.limit_percent = 0;
    check_problem(w,
                  "capacity: with 3 in change at once, 2 of 5 members stay read-write, the clients need 3");
    w->input.options.limit_percent = 40;
    check_eq_int(world_plan(w), 0);
}

TEST("rolling goes domain by domain, one at a time") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    w->input.options.canary = false;
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_int(plan->shape.n_waves, 1);
    check(plan->shape.waves[0].one_domain);
    for (size_t i = 1; i < plan->n_orders; i++)
        check(strcmp(plan->orders[i - 1]->domain, plan->orders[i]->domain) <= 0);
}

TEST("canaries by name; names that do not fit are refused") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    static const char *const two[] = {"store@n1", "shop/store@n4"}, *const unknown[] = {"store@n9"};
    w->input.options.canaries = two;
    w->input.options.n_canary_names = 2;
    struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_str(member_of(plan, 0, 0), "shop/store@n1");
    check_eq_str(member_of(plan, 0, 1), "shop/store@n4");
    plan = verified_plan_free(plan);
    w->input.options.canaries = unknown;
    w->input.options.n_canary_names = 1;
    check_problem(w, "canary store@n9: the cluster has no such member");
    w->input.options.n_canary_names = 0;
    w->input.options.n_canaries = 6;
    check_problem(w, "canary: 6 asked for, but only 5 members are healthy");
}

TEST("F22: nothing is finalized by a plan, and the way back stays open until somebody does") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_str(plan->shape.point_of_no_return, "");
    for (size_t i = 0; i < plan->n_orders; i++) {
        check_eq_int(plan->orders[i]->way_back, WAY_BACK_UNTIL_FINALIZE);
        check(work_order_step(plan->orders[i], "return") != NULL);
        for (size_t k = 0; k < plan->orders[i]->n_steps; k++)
            check(!strstr(plan->orders[i]->steps[k].name, "finalize"));
    }
}

TEST("F23: a pair of versions without a rule is refused before anything else happens") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    w->manifest.version = "2.0.0";
    check_problem(w, "1.0.0 -> 2.0.0: the recipe refuses this: no other pair was ever tried");
}

TEST("F23: versions that are reached only over others: the chain that is needed, and which hop comes first") {
    static const char *const pairs[][2] = {
        {"versions:\n", "versions:\n  - {from: 1.x, to: 2.0.x, verdict: allowed}\n"
                        "  - {from: 2.0.x, to: 2.1.x, verdict: downtime, why: formats}\n"}};
    const struct world_words words = {pairs, 1};
    _cleanup_(world_freep) struct world *w = world_new(demo, &words);
    w->manifest.version = "2.1.4";
    check_problem(w,
                  "1.0.0 -> 2.1.4: the recipe refuses this: no other pair was ever tried; it knows the way "
                  "1.0.0 -> 2.0.x -> 2.1.4, each hop a plan of its own: plan to 2.0.x first");
    check_eq_str(w->result.problems[0].code, "version-refused");
    w->manifest.version = "2.0.1"; /* the pair itself has a rule: it wins */
    check_eq_int(world_plan(w), 0);
}

TEST("F24: a node that is late, of another version, or does not say its room is a warning by its name") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    w->members[0].heard_ms = w->members[0].received_ms - 25000;
    w->members[1].agent_version = "9.9";
    w->members[1].heard_ms = w->members[1].received_ms - 3000;
    world_unfact(w, 2, "disk.free");
    world_fact(w, 3, "clock.ms", "1700000002600");
    check_problem(w, "heartbeat:n1: the last heartbeat of node n1 came 25 s ago");
    check(world_objects(
        w, "agent-version:n2: the agent of node n2 is Kedge 9.9, the coordinator " KEDGE_VERSION));
    check(world_objects(w, "disk-unknown:n3: node n3 does not say how much room it has under /var/lib/"));
    check(world_objects(w, "clock:n4: the clock of node n4 is 2.6 s ahead of ours"));
    check_eq_int(w->result.n_warnings, 4);
    static const char *const consents[] = {"heartbeat:n1", "agent-version:n2", "disk-unknown:n3", "clock:n4"};
    world_consents(w, consents, 4);
    check_eq_int(world_plan(w), 0);
    w->input.options.created_s += 121;
    check_problem(w, "store@n1: what is known about it is 121 s old: plan again");
}

TEST("F24: every reason at once") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    w->members[0].n_facts = 0;
    w->members[0].problem = "no agent has connected for 12 s";
    world_fact(w, 1, "data.inside", "/opt/demo-store-1.0.0/data");
    world_fact(w, 1, "disk.free", "1000");
    world_fact(w, 2, "adopted", "no");
    world_fact(w, 2, "clock.ms", "1700000600000");
    world_fact(w, 3, "socket", "no");
    world_fact(w, 3, "clock.ms", "1700000010000");
    w->members[4].preview.problem = "s5.conf: line 3: no \"=\"";
    world_answer(w, "value:repair-delay", ANSWER_UNKNOWN, "connection refused");
    static const char *const consents[] = {"down:store@n1"};
    world_consents(w, consents, 1);
    check_eq_int(world_plan(w), PLANNER_REFUSED);
    static const char *const reasons[] = {
        "store@n1: nothing is known about it: no agent has connected for 12 s",
        "store@n2 writes into /opt/demo-store-1.0.0/data, which lies inside the release folder "
        "/opt/demo-store-1.0.0: "
        "move its data out first",
        "store@n2: node n2 has 0 MiB free under /var/lib/kedge-agent/releases, the release needs 33 MiB",
        "store@n3 is not adopted: kedge cluster adopt shop",
        "store@n3: the clock of node n3 is 600 s ahead of ours: set it right, orders carry times",
        "store@n4: port 7104 on node n4 is not listened on by the member's process (pid 4711)",
        "clock:n4: the clock of node n4 is 10 s ahead of ours",
        "store@n5: configuration: s5.conf: line 3: no \"=\"",
        "side action repair-delay: its present value is not known: connection refused",
        "consent \"down:store@n1\" is not asked for by this plan: leave it out"};
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (!check(world_objects(w, reasons[i])))
            printf("# expected: %s\n", reasons[i]);
    if (!check_eq_int(w->result.n_problems, 9))
        show(w);
}

TEST("F24: a warning needs its consent by name, and only its own") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    world_fact(w, 3, "clock.ms", "1699999990000");
    check_problem(w, "clock:n4: the clock of node n4 is 10 s behind ours");
    check_eq_int(w->result.n_problems, 0);
    static const char *const consents[] = {"clock:n4"};
    world_consents(w, consents, 1);
    check_eq_int(world_plan(w), 0);
    check(w->result.warnings[0].consented);
}

TEST("F24: an answer that took long is no wrong clock") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    w->members[3].asked_ms = w->members[3].received_ms - 9000;
    world_fact(w, 3, "clock.ms", "1699999992000");
    check_eq_int(world_plan(w), 0);
    world_fact(w, 3, "clock.ms", "1699999988000");
    check_problem(w, "clock:n4: the clock of node n4 is 3.0 s behind ours");
}

TEST("read-only by an operator stays read-only, with a consent; read-only by Kedge is brought back") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    world_fact(w, 0, "mode", "read-only");
    world_fact(w, 0, "origin", "operator");
    check_problem(w, "stays-read-only:store@n1: store@n1 is read-only (by operator)");
    static const char *const stays[] = {"stays-read-only:store@n1"}, *const becomes[] = {
                                                                         "becomes-read-write:store@n1"};
    world_consents(w, stays, 1);
    struct verified_plan *plan = planned(w);
    require(plan);
    const struct work_order *order = plan->orders[1];
    check_eq_str(order->member, "shop/store@n1");
    check_eq_int(order->end_mode, MODE_READ_ONLY);
    check_eq_str(order->generations[0].arguments[order->generations[0].n_arguments - 1].text, "--read-only");
    plan = verified_plan_free(plan);
    world_fact(w, 0, "origin", "kedge");
    world_fact(w, 0, "arguments", "4");
    world_fact(w, 0, "argument.3", "--read-only");
    world_consents(w, becomes, 1);
    plan = planned(w);
    require(plan);
    order = plan->orders[0]; /* first: until then the others may not stop */
    check_eq_str(order->member, "shop/store@n1");
    check_eq_int(order->end_mode, MODE_READ_WRITE);
    check_eq_int(order->generations[0].n_arguments, 3);
    plan = verified_plan_free(plan);
}

TEST("F25: execution refuses to diverge: what was seen is bound, what may change is not") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    world_fact(w, 0, "arguments", "4");
    world_fact(w, 0, "argument.3", "--token=****");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct work_order *order = plan->orders[1];
    static const char *const bound[] = {"release.folder", "release.version", "config.digest", "mode",
                                        "argument.2",     "directory",       "executable",    "generation"},
                             *const live[] = {"pid", "disk.free", "clock.ms", "argument.3"};
    check_eq_str(order->member, "shop/store@n1");
    for (size_t i = 0; i < ARRAY_LEN(bound); i++)
        check(fact_get(order->binding, order->n_binding, bound[i]) != NULL);
    for (size_t i = 0; i < ARRAY_LEN(live); i++)
        check(fact_get(order->binding, order->n_binding, live[i]) == NULL);
    check(order->generations[0].arguments[3].has_found);
}

TEST("F25: a plan that was changed after it was made does not hang together") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    check_eq_int(world_plan(w), 0);
    uint8_t *bytes = arena_copy(w->arena, w->result.plan.data, w->result.plan.len);
    uint8_t *soak = memmem(bytes, w->result.plan.len, "/current/release/bin", 20);
    require(soak);
    soak[1] = 'C';
    struct verified_plan *plan;
    check(plan_verify(&w->anchors, (struct bytes){bytes, w->result.plan.len}, &plan, &w->err) < 0);
}

TEST("a side action knows the previous value, and every member can put it back") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_int(plan->shape.n_side_actions, 1);
    check_eq_str(plan->shape.side_actions[0].previous, "2");
    check_eq_str(plan->shape.side_actions[0].ours, "60");
    for (size_t i = 0; i < plan->n_orders; i++) {
        const struct step *close = work_order_step(plan->orders[i], "close repair-delay");
        require(close && close->n_rows == 1);
        const struct command *command = close->rows[0].command;
        check_eq_str(command->arguments[0].text, "/opt/demo-store-1.0.0/bin/demo-store");
        check_eq_str(command->arguments[4].text, "2");
        check_eq_int(plan->orders[i]->leases[0].rank, i);
        check_eq_str(close->rows[0].done_if->values[0], "2");
    }
}

TEST("a side action that would change nothing is left out") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    world_answer(w, "value:repair-delay", ANSWER_NO, "600");
    struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_int(plan->shape.n_side_actions, 0);
    check_eq_str(w->result.notes[0], "side action repair-delay is not needed: its value is 600 already");
    plan = verified_plan_free(plan);
    static const struct fact none = {"repair", "none"}, wrong = {"repair", "maybe"};
    world_answer(w, "value:repair-delay", ANSWER_NO, "2");
    w->input.options.choices = &none;
    w->input.options.n_choices = 1;
    plan = planned(w);
    require(plan);
    check_eq_int(plan->shape.n_side_actions, 0);
    plan = verified_plan_free(plan);
    w->input.options.choices = &wrong;
    check_problem(w, "option repair has no choice \"maybe\"");
}

TEST("F01, F02: a site adds gates and lengthens soaks, and takes nothing away") {
    static const char *const pairs[][2] = {
        {"strategy-defaults:", "site-gates:\n"
                               "  gates:\n"
                               "    no-batch:\n"
                               "      scope: cluster\n"
                               "      detection: 4s\n"
                               "      checks: [{probe: http, target: \'http://127.0.0.1:9/batch\', match: "
                               "idle, rule: present, otherwise: no, "
                               "says: a batch runs}]\n"
                               "  may-stop: [no-batch]\n"
                               "  recovered: [no-batch]\n"
                               "strategy-defaults:"}};
    const struct world_words words = {pairs, 1};
    _cleanup_(world_freep) struct world *w = world_new(demo, &words);
    check_problem(w, "gate no-batch was not answered");
    world_answer(w, "no-batch", ANSWER_NO, "a batch runs");
    check_problem(w, "degraded:no-batch: gate no-batch says no before the run: a batch runs");
    world_answer(w, "no-batch", ANSWER_YES, "");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_int(plan->shape.n_may_stop, 4);
    check_eq_int(work_order_step(plan->orders[1], "switch")->rows[0].n_gates, 5);
    const struct gate *site = verified_plan_gate(plan, &plan->shape.recovered[plan->shape.n_recovered - 1]);
    require(site);
    check_eq_str(site->name, "no-batch");
    check_eq_int(site->detection_ms, 4000);
    bool chartered = false;
    for (size_t i = 0; i < w->charter.n_cluster_gates; i++)
        chartered = chartered || digest_equal(&w->charter.cluster_gates[i],
                                              &plan->shape.recovered[plan->shape.n_recovered - 1]);
    check(chartered);
}

TEST("F02: a soak is never shorter than the recipe's, whoever asks") {
    static const char *const pairs[][2] = {{"capacity:", "soak-at-least: 5s\ncapacity:"}};
    const struct world_words words = {pairs, 1};
    _cleanup_(world_freep) struct world *w = world_new(demo, &words);
    check_eq_int(world_plan(w), 0);
    w->input.options.soak_ms = 4000;
    check_problem(w, "a soak of 4000 ms is shorter than the 5000 ms that the recipe asks for");
}

TEST("urgency cuts soaks to the longest detection time of the gates, and drops nothing else") {
    static const char *const pairs[][2] = {{"capacity:", "soak-at-least: 5s\ncapacity:"}};
    const struct world_words words = {pairs, 1};
    _cleanup_(world_freep) struct world *w = world_new(demo, &words);
    _cleanup_(verified_plan_freep) struct verified_plan *calm = planned(w);
    w->input.options.urgent = "hole in the parser";
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(calm && plan);
    uint32_t detection_ms = 0;
    for (size_t i = 0; i < plan->n_gates; i++)
        detection_ms =
            plan->gates[i].detection_ms > detection_ms ? plan->gates[i].detection_ms : detection_ms;
    check_eq_int(calm->header.urgency, URGENCY_NORMAL);
    check_eq_int(plan->header.urgency, URGENCY_URGENT);
    check_eq_str(plan->header.reason, "regular upgrade; urgent: hole in the parser");
    check(detection_ms > 0 && detection_ms < calm->shape.waves[1].soak_ms);
    uint32_t most = detection_ms > 1000 ? detection_ms : 1000;
    check_eq_int(plan->shape.waves[0].soak_read_only_ms, most);
    for (size_t i = 0; i < plan->shape.n_waves; i++) {
        check_eq_int(plan->shape.waves[i].soak_ms, most);
        check(plan->shape.waves[i].one_domain);
    }
    check_eq_int(plan->shape.n_may_stop, calm->shape.n_may_stop);
    check_eq_int(plan->shape.n_recovered, calm->shape.n_recovered);
    require(plan->n_orders == calm->n_orders);
    for (size_t i = 0; i < plan->n_orders; i++)
        check(bytes_equal(plan->plan.work_orders[i], calm->plan.work_orders[i]));
    w->input.options.soak_ms = 300; /* never below it */
    _cleanup_(verified_plan_freep) struct verified_plan *brief = planned(w);
    require(brief);
    check_eq_int(brief->shape.waves[1].soak_ms, most);
}

TEST("what is wrong before the run is consented to by object; everything else counts as new") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    world_answer(w, "nothing-missing", ANSWER_NO, "2 keys newly lack a replica: k7, k3");
    world_answer(w, "items:nothing-missing", ANSWER_NO, "k7, k3");
    check_problem(w, "known:k7: gate nothing-missing: k7 is so before the run; only what is new will count");
    static const char *const consents[] = {"known:k7", "known:k3"};
    world_consents(w, consents, 2);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    bool found = false;
    for (size_t i = 0; i < plan->n_gates; i++)
        if (strcmp(plan->gates[i].name, "nothing-missing") == 0) {
            found = true;
            check_eq_int(plan->gates[i].checks[0].n_values, 2);
            check_eq_str(plan->gates[i].checks[0].values[0], "k3");
        }
    check(found);
    world_answer(w, "writable", ANSWER_NO, "without it 2 replicas are read-write, clients need 3");
    check_problem(w, "degraded:writable: gate writable says no before the run: without it 2 replicas");
}

TEST("members on the target version are left out; when all are, only configuration and mode change") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    world_fact(w, 0, "release.version", "1.1.0");
    struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_int(plan->n_orders, 4);
    check_eq_str(w->result.notes[0], "store@n1 already runs 1.1.0 and is left out");
    plan = verified_plan_free(plan);
    for (size_t i = 0; i < WORLD_MEMBERS; i++)
        world_fact(w, i, "release.version", "1.1.0");
    static const struct config_op change = {CONFIG_SET, "sync", "yes"};
    w->input.options.changes = &change;
    w->input.options.n_changes = 1;
    plan = planned(w);
    require(plan);
    check_eq_int(plan->n_orders, 5);
    const struct generation *g = &plan->orders[1]->generations[0];
    check(!g->has_manifest);
    check_eq_str(g->arguments[0].text, "/opt/demo-store-1.0.0/bin/demo-store");
    check_eq_str(g->render->ops[0].key, "sync");
    check_eq_int(work_order_step(plan->orders[1], "prepare")->n_rows, 1);
    plan = verified_plan_free(plan);
}

static void all_run(struct world *w, const char *version) {
    for (size_t i = 0; i < WORLD_MEMBERS; i++)
        world_fact(w, i, "release.version", version);
}

TEST("a restart keeps release and configuration, in the rolling shape with all its gates") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    w->input.options.goal = PLANNER_GOAL_RESTART;
    w->input.options.canary = false;
    check_problem(w, "restart: not every member runs 1.1.0");
    all_run(w, "1.1.0");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_str(plan->shape.strategy, "restart");
    check_eq_int(plan->n_orders, 5);
    check_eq_int(plan->shape.n_waves, 1);
    check_eq_int(plan->shape.waves[0].kind, WAVE_ROLLING);
    check_eq_int(plan->shape.n_may_stop, 3);
    for (size_t i = 0; i < plan->n_orders; i++) {
        const struct generation *g = &plan->orders[i]->generations[0];
        check(!g->has_manifest);
        check(!g->render || g->render->n_ops == 0);
        check(work_order_step(plan->orders[i], "return") != NULL);
    }
}

TEST("a restart with a change of configuration is refused") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    static const struct config_op change = {CONFIG_SET, "sync", "yes"};
    all_run(w, "1.1.0");
    w->input.options.goal = PLANNER_GOAL_RESTART;
    w->input.options.canary = false;
    w->input.options.changes = &change;
    w->input.options.n_changes = 1;
    check_problem(w, "a restart changes no configuration");
}

TEST("config-only makes the operator's changes and no others, and refuses when nothing would differ") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    static const struct config_op change = {CONFIG_SET, "sync", "yes"};
    all_run(w, "1.1.0");
    w->input.options.goal = PLANNER_GOAL_CONFIG_ONLY;
    w->input.options.canary = false;
    check_problem(w, "config-only: nothing to change was named");
    w->input.options.changes = &change;
    w->input.options.n_changes = 1;
    for (size_t i = 0; i < WORLD_MEMBERS; i++)
        w->members[i].preview.old_digest = w->members[i].preview.new_digest;
    check_problem(w, "config-only: no member's configuration would differ");
    w->members[3].preview.old_digest.b[0] ^= 1;
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_str(plan->shape.strategy, "config-only");
    const struct generation *g = &plan->orders[0]->generations[0];
    require(g->render);
    check(!g->has_manifest);
    check_eq_int(g->render->n_ops, 1);
    check_eq_str(g->render->ops[0].key, "sync");
}

TEST("the release's own configuration is the base, the named keys are carried over") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    w->input.options.config = PLANNER_CONFIG_RELEASE;
    check_eq_str(planner_shipped_path(&w->input), "conf/demo-store.conf.sample");
    check_problem(
        w, "the release has no file conf/demo-store.conf.sample, from which the configuration is to be made");
    w->input.shipped = bytes_of_text("id = s1\n");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct render *render = plan->orders[0]->generations[0].render;
    check(render->has_shipped);
    check_eq_int(render->n_ops, 5);
    check_eq_int(render->ops[0].kind, CONFIG_CARRY);
    check_eq_str(render->ops[0].key, "data");
}

TEST("previews are asked of every member that can be planned") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    const struct planner_preview_request *requests;
    size_t n = 0;
    w->members[1].n_facts = 0;
    check_eq_int(planner_previews(&w->input, w->arena, &requests, &n, &w->err), 0);
    check_eq_int(n, 4);
    check_eq_int(requests[1].member, 2);
    w->members[0].preview.has = false;
    check_problem(w, "store@n1: its node did not preview the new configuration");
}

TEST("a charter of another recipe, release of another system, and time that is over are refused") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    w->charter.recipe.b[0] ^= 1;
    w->manifest.system = "other";
    w->input.options.not_after_s = 1;
    check_problem(w, "the recipe is not the one that the charter was signed with");
    check(world_objects(w, "the release is for other, the cluster runs demo-store"));
    check(world_objects(w, "not-after lies before the plan could begin"));
}

TEST("memory that is out at any point is said, and nothing is made") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(arena_freep) struct arena *whole = arena_new(64 * 1024 * 1024);
    require(planner_make(&w->input, whole, &w->result, &w->err) == 0);
    size_t n_refused = 0, used = arena_used(whole);
    for (size_t cap = 1024; cap < used; cap += used / 400) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(cap);
        struct planner_result result;
        int r = planner_make(&w->input, arena, &result, &w->err);
        n_refused += r == -ENOMEM && !result.plan.data;
        if (!check(r == -ENOMEM || (r == 0 && bytes_equal(result.plan, w->result.plan))))
            printf("# cap %zu gives %d: %s\n", cap, r, r < 0 ? w->err.text : "");
    }
    check(n_refused > 300);
}

TEST("every system word in a recipe can be another one: the plan is equal, word for word") {
    static const char *const pairs[][2] = {
        {"demo-store", "acme-vault"}, {"store", "vault"}, {"repair", "mend"}};
    const struct world_words words = {pairs, ARRAY_LEN(pairs)};
    _cleanup_(world_freep) struct world *a = world_new(demo, NULL);
    _cleanup_(world_freep) struct world *b = world_new(demo, &words);
    world_answer(b, "value:mend-delay", ANSWER_NO, "2");
    _cleanup_(verified_plan_freep) struct verified_plan *one = planned(a);
    _cleanup_(verified_plan_freep) struct verified_plan *other = planned(b);
    require(one && other);
    check_eq_int(one->n_orders, other->n_orders);
    check_eq_int(one->n_gates, other->n_gates);
    check_eq_str(other->orders[0]->system, "acme-vault");
    check_eq_str(other->shape.side_actions[0].name, "mend-delay");
    for (size_t i = 0; i < one->n_orders; i++) {
        const struct work_order *x = one->orders[i], *y = other->orders[i];
        check_eq_str(x->node, y->node);
        check_eq_int(x->n_steps, y->n_steps);
        check_eq_int(x->n_binding, y->n_binding);
        for (size_t k = 0; k < x->n_steps; k++) {
            require(x->steps[k].n_rows == y->steps[k].n_rows);
            for (size_t row = 0; row < x->steps[k].n_rows; row++) {
                check_eq_int(x->steps[k].rows[row].primitive, y->steps[k].rows[row].primitive);
                check_eq_int(x->steps[k].rows[row].deadline_ms, y->steps[k].rows[row].deadline_ms);
                check_eq_int(x->steps[k].rows[row].n_gates, y->steps[k].rows[row].n_gates);
            }
        }
    }
}
