#include "tests/unit/test.h"

#include "tests/unit/planner_world.h"

#include <string.h>

static const char demo[] = "coordinator/recipes/demo-store.yaml";

/* The start of a member's switch, as the plan has it; valid as long as `plan`. */
static const struct row *start_of(const struct verified_plan *plan, const char *member) {
    for (size_t i = 0; plan && i < plan->n_orders; i++)
        if (strcmp(plan->orders[i]->member, member) == 0)
            return step_find_row(work_order_step(plan->orders[i], "switch"), PRIMITIVE_START);
    return NULL;
}

static void check_start(struct world *w, const char *history, uint32_t deadline_ms, uint32_t cap_ms,
                        const char *why) {
    if (history)
        world_fact(w, 1, "starts.ms", history);
    check_eq_int(world_plan(w), 0);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = world_verify(w);
    const struct row *start = start_of(plan, "shop/store@n2"), *other = start_of(plan, "shop/store@n1");
    require(start && other);
    check_eq_int(start->deadline_ms, deadline_ms);
    check_eq_int(start->hard_cap_ms, cap_ms);
    check_eq_str(start->deadline_why ? start->deadline_why : "", why);
    check_eq_int(other->deadline_ms, 10000); /* each by its own history */
    check(!other->deadline_why);
    const struct row *observe = start + 1;
    check_eq_int(observe->deadline_ms, deadline_ms);
    check_eq_int(observe->hard_cap_ms, cap_ms);
    check_eq_str(observe->progress, start->progress);
}

TEST("F24 a start may take three times the longest of the member's own last ones, never less than the recipe "
     "says") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    check_start(w, NULL, 10000, 30000, "");
    check_start(w, "", 10000, 30000, "");
    check_start(w, "2100 1900 3300", 10000, 30000, "");
    check_start(w, "3334", 11000, 30000, "three times its last start");
    check_start(w, "900 4100 800", 13000, 30000, "three times the longest of its last 3 starts");
    check_start(w, "900 12000", 30000, 30000,
                "three times the longest of its last 2 starts, cut at the hard cap");
    check_start(w, "18446744073709551615", 30000, 30000, "three times its last start, cut at the hard cap");
}

TEST("F24 a start deadline that the cluster file gives wins over the member's history, and over the hard "
     "cap") {
    static const char *const pairs[][2] = {
        {"values: {port: 7102}", "values: {port: 7102, start-deadline: 5s}"}};
    struct world_words words = {pairs, ARRAY_LEN(pairs)};
    _cleanup_(world_freep) struct world *w = world_new(demo, &words);
    check_start(w, "9000", 5000, 30000, "given in member, line 10");
    static const char *const longer[][2] = {
        {"values: {port: 7102}", "values: {port: 7102, start-deadline: 45s}"}};
    words.pairs = longer;
    _cleanup_(world_freep) struct world *v = world_new(demo, &words);
    check_start(v, "9000", 45000, 45000, "given in member, line 10");
}
