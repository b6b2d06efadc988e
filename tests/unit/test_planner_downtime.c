#include "tests/unit/test.h"

#include "common/plan/check.h"
#include "common/plan/output.h"
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

static const char actions_text[] =
    "actions:\n"
    "  backup: {at: before, on: each, run: [/bin/backup, '{member}'], deadline: 30s, done-if: &}\n"
    "  format: {at: behind, run: [/bin/format], deadline: 30s, done-if: &}\n"
    "  restore: {at: way-back, run: [/bin/restore], deadline: 30s, done-if: &}\n"
    "\nversions:\n";
static const char done_if_text[] = "{probe: command-exit, run: [/usr/bin/test, -e, /done], rule: equals, "
                                   "values: ['0'], otherwise: no, says: 'no'}";

static struct world *world_with(const char *actions) {
    char text[2048];
    size_t n = 0;
    for (const char *c = actions; *c; c++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%c", *c == '&' ? done_if_text : "",
                              *c == '&' ? ' ' : *c);
    const char *const pairs[][2] = {{"\nversions:\n", text}};
    const struct world_words words = {pairs, 1};
    struct world *w = world_new(demo, &words);
    w->input.options.goal = PLANNER_GOAL_DOWNTIME;
    w->input.options.canary = false;
    w->input.options.hold_ms = 90000;
    return w;
}

static struct world *acting_world(void) {
    return world_with(actions_text);
}

TEST("F30 actions: before the barrier, behind it, and on the way back; the plan names its point of no "
     "return") {
    _cleanup_(world_freep) struct world *w = acting_world();
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    static const struct {
        enum wave_kind kind;
        const char *name;
        size_t n_members;
    } rows[] = {{WAVE_STOP, "stop", 5},      {WAVE_ACT, "act backup", 5}, {WAVE_PASS, "barrier", 5},
                {WAVE_ACT, "act format", 1}, {WAVE_START, "start", 5},    {WAVE_BACK, "restore restore", 1}};
    require(plan->shape.n_waves == ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_eq_int(plan->shape.waves[i].kind, rows[i].kind);
        check_eq_str(plan->shape.waves[i].name, rows[i].name);
        check_eq_int(plan->shape.waves[i].n_members, rows[i].n_members);
    }
    check_contains(plan->shape.point_of_no_return, "the barrier before act format");
    unsigned n_format = 0;
    for (size_t i = 0; i < plan->n_orders; i++) {
        const struct step *back = work_order_step(plan->orders[i], "stop back");
        require(work_order_step(plan->orders[i], "act backup") && back);
        check_eq_int(back->verb, VERB_BACK);
        check_eq_int(back->rows[0].hold_ms, 90000);
        n_format += work_order_step(plan->orders[i], "act format") != NULL;
    }
    check_eq_int(n_format, 1);
}

TEST("F30 actions that may take longer than the hold limit are refused") {
    _cleanup_(world_freep) struct world *w = acting_world();
    w->input.options.hold_ms = 40000; /* a stop of 10 s and a backup of 30 s */
    check_eq_int(world_plan(w), PLANNER_REFUSED);
    check(world_objects(w, "hold limit"));
}

TEST("F30 a rolling plan has none of the actions of a downtime") {
    _cleanup_(world_freep) struct world *w = acting_world();
    w->input.options.goal = PLANNER_GOAL_UPGRADE;
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    for (size_t i = 0; i < plan->n_orders; i++)
        check(!work_order_step(plan->orders[i], "act format") &&
              !work_order_step(plan->orders[i], "stop back"));
}

static const char outputs_text[] =
    "actions:\n"
    "  dump:\n"
    "    {at: before, run: [/bin/dump], deadline: 5s, done-if: &,\n"
    "     captures: {path: 'written to (.+)$', count: {match: '([0-9]+) keys', allowed: '[0-9]+'}}}\n"
    "  each: {at: before, on: each, run: [/bin/each], deadline: 5s, done-if: &, captures: {mark: 'mark "
    "(.+)'}}\n"
    "  use: {at: behind, on: each, run: [/bin/use, '{output.each.mark}'], deadline: 5s, done-if: &}\n"
    "  restore:\n"
    "    {at: way-back, run: [/bin/restore, '--from={output.dump.path}:{member}', '{output.dump.count}'],\n"
    "     deadline: 5s, done-if: &}\n"
    "\nversions:\n";

TEST("F30 outputs of actions: who captures what, and who takes it, by member, key and pattern, is signed") {
    _cleanup_(world_freep) struct world *w = world_with(outputs_text);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct step *dump = work_order_step(plan->orders[0], "act dump"),
                      *restore = work_order_step(plan->orders[0], "restore restore");
    require(dump && restore && dump->rows[0].n_captures == 2);
    check_eq_str(dump->rows[0].captures[0].name, "path");
    check_eq_str(dump->rows[0].captures[0].match, "written to (.+)$");
    check_eq_str(dump->rows[0].captures[0].allowed, "[A-Za-z0-9._:@%+,=/-]+");
    check_eq_str(dump->rows[0].captures[1].allowed, "[0-9]+");
    const struct argument *words = restore->rows[0].command->arguments;
    require(restore->rows[0].command->n_arguments == 3 && words[1].output && words[2].output);
    check_eq_str(words[1].output->member, plan->orders[0]->member);
    check(public_key_equal(&words[1].output->key, &plan->orders[0]->node_key));
    check_eq_str(words[1].output->step, "act dump");
    check_eq_str(words[1].output->before, "--from=");
    check_eq_str(words[1].output->after, ":store@n1");
    check_eq_str(words[2].output->name, "count");
    check_eq_str(words[2].output->allowed, "[0-9]+");
    for (size_t i = 0; i < plan->n_orders; i++) { /* each its own */
        const struct step *use = work_order_step(plan->orders[i], "act use");
        require(use && use->rows[0].command->arguments[1].output);
        check_eq_str(use->rows[0].command->arguments[1].output->member, plan->orders[i]->member);
    }
}

TEST("F30 A14 a plan in which an action takes what no earlier one captures, or under another key, is "
     "refused") {
    _cleanup_(world_freep) struct world *w = world_with(outputs_text);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct step *restore = work_order_step(plan->orders[0], "restore restore");
    struct output_use *use = (struct output_use *)(uintptr_t)restore->rows[0].command->arguments[1].output;
    const struct output_use kept = *use;
    struct error err = {""};
    check_eq_int(plan_outputs_check(&plan->shape, plan->orders, plan->n_orders, &err), 0);
    use->key.b[0] ^= 1;
    check_eq_int(plan_outputs_check(&plan->shape, plan->orders, plan->n_orders, &err), -EBADMSG);
    *use = kept;
    use->allowed = ".*";
    check_eq_int(plan_outputs_check(&plan->shape, plan->orders, plan->n_orders, &err), -EBADMSG);
    *use = kept;
    use->name = "count";
    check_eq_int(plan_outputs_check(&plan->shape, plan->orders, plan->n_orders, &err), -EBADMSG);
    *use = kept;
    use->step = "restore restore";
    check_eq_int(plan_outputs_check(&plan->shape, plan->orders, plan->n_orders, &err), -EBADMSG);
}
