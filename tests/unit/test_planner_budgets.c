/* Budgets of failures from the cluster file and from the options of a plan, into what is signed (F26). */
#include "tests/unit/planner_world.h"
#include "tests/unit/test.h"

#include "coordinator/control/plan_page.h"
#include "coordinator/recipes/budget_text.h"

static const char demo[] = "coordinator/recipes/demo-store.yaml";

static const struct {
    const char *name, *value, *wave, *error;
    struct budget budget;
} texts[] = {
    {"failed", "2", NULL, NULL, {BUDGET_FAILED, 2, 0}},
    {"failed", "0", NULL, NULL, {BUDGET_FAILED, 0, 0}},
    {"held", "10%", NULL, NULL, {BUDGET_HELD, KEDGE_MEMBERS_MAX, 10}},
    {"skipped", "0%", NULL, NULL, {BUDGET_SKIPPED, 0, 0}},
    {"unreachable", "3,100%", NULL, NULL, {BUDGET_UNREACHABLE, 3, 100}},
    {"rolling bookie:failed", "1", "rolling bookie", NULL, {BUDGET_FAILED, 1, 0}},
    {"fail", "1", NULL, "expected failed, unreachable", {0}},
    {":failed", "1", NULL, "expected failed, unreachable", {0}},
    {"", "1", NULL, "expected failed, unreachable", {0}},
    {"failed", "", NULL, "expected 2, 10% or 2,10%", {0}},
    {"failed", "-1", NULL, "expected 2, 10% or 2,10%", {0}},
    {"failed", "101%", NULL, "expected 2, 10% or 2,10%", {0}},
    {"failed", "2,3", NULL, "expected 2, 10% or 2,10%", {0}},
    {"failed", "10%,2", NULL, "expected 2, 10% or 2,10%", {0}},
    {"failed", "2 ", NULL, "expected 2, 10% or 2,10%", {0}},
    {"failed", "99999999999999999999", NULL, "expected 2, 10% or 2,10%", {0}},
    {"failed", "16385", NULL, "expected 2, 10% or 2,10%", {0}},
};

TEST("F26 a budget as it is written: a number, a percentage, or both; anything else is refused in words") {
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 16);
        struct error err = {""};
        struct budget_use use;
        require(arena);
        int r = budget_parse(arena, texts[i].name, texts[i].value, &use, &err);
        check_eq_int(r, texts[i].error ? -EINVAL : 0);
        if (texts[i].error) {
            check_contains(err.text, texts[i].error);
            continue;
        }
        check_eq_int(use.budget.kind, texts[i].budget.kind);
        check_eq_int(use.budget.count, texts[i].budget.count);
        check_eq_int(use.budget.percent, texts[i].budget.percent);
        check_eq_str(use.wave ? use.wave : "", texts[i].wave ? texts[i].wave : "");
    }
}

static const char *const with_budget[][2] = {
    {"strategy-defaults: {",
     "strategy-defaults: {budget: {failed: 1, unreachable: 40%, canary:failed: 0}, "}};

static char *page_of(const struct verified_plan *plan) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (!file || plan_page(plan, 120, file) < 0)
        abort();
    fclose(file);
    return text;
}

TEST("F26 budgets of the cluster file are signed with the plan, an option is stronger, and the page says "
     "them") {
    const struct world_words words = {with_budget, 1};
    _cleanup_(world_freep) struct world *w = world_new(demo, &words);
    const struct budget_use *file = w->input.options.budgets;
    require(w->input.options.n_budgets == 3);
    struct budget_use uses[5] = {file[0], file[1], file[2]};
    uses[3] = (struct budget_use){NULL, {BUDGET_FAILED, 2, 50}, false};
    uses[4] = (struct budget_use){NULL, {BUDGET_SKIPPED, 1, 0}, false};
    w->input.options.budgets = uses;
    w->input.options.n_budgets = 5;
    require(world_plan(w) == 0);
    struct verified_plan *plan = world_verify(w);
    const struct shape *shape = &plan->shape;
    require(shape->n_budgets == 3);
    check_eq_int(shape->budgets[0].kind, BUDGET_FAILED);
    check_eq_int(shape->budgets[0].count, 2);
    check_eq_int(shape->budgets[0].percent, 50);
    check_eq_int(shape->budgets[1].kind, BUDGET_UNREACHABLE);
    check_eq_int(shape->budgets[2].kind, BUDGET_SKIPPED);
    check_eq_str(shape->waves[0].name, "canary");
    require(shape->waves[0].n_budgets == 1);
    check_eq_int(shape->waves[1].n_budgets, 0);
    char *page = page_of(plan);
    check_contains(page,
                   "failed: at most 2 (50 % of 5 members, rounded down); unreachable: at most 2 (40 % of 5");
    check_contains(page, "held: none");
    check_contains(page, "  budget        failed: none; beyond that the run pauses");
    free(page);
    char *json = plan_json(plan);
    check_contains(json, "\"kind\": \"unreachable\"");
    free(json);
    verified_plan_free(plan);
}

TEST("F26 a plan without budgets says what holds: no failure, nobody held") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    require(world_plan(w) == 0);
    struct verified_plan *plan = world_verify(w);
    check_eq_int(plan->shape.n_budgets, 0);
    char *page = page_of(plan);
    check_contains(page, "failed: none; unreachable: no limit; skipped: no limit; held: none; quarantined: "
                         "none; beyond that the");
    free(page);
    verified_plan_free(plan);
}

TEST("F26 a budget for a wave that the plan has not is refused; from the cluster file it is passed over") {
    const struct world_words words = {with_budget, 1};
    _cleanup_(world_freep) struct world *w = world_new(demo, &words);
    w->input.options.canary = false;
    require(world_plan(w) == 0);
    struct budget_use use = {"canary", {BUDGET_FAILED, 1, 0}, false};
    w->input.options.budgets = &use;
    w->input.options.n_budgets = 1;
    check(world_plan(w) == PLANNER_REFUSED);
    check(world_objects(w, "budget of wave canary: the plan has no such wave"));
}

TEST("F26 a cluster file with a budget that is none is refused, with its place") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    static const struct {
        const char *budget, *says;
    } rows[] = {{"{failed: some}", "budget failed \"some\": expected 2, 10% or 2,10%"},
                {"{broken: 1}", "budget \"broken\": expected failed"},
                {"{failed: [1]}", "budget failed: expected 2, 10% or 2,10%"},
                {"3", "budget"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct cluster_file *file;
        struct error err = {""};
        char text[512];
        snprintf(text, sizeof(text),
                 "cluster: shop\nsystem: demo-store\nstrategy-defaults: {budget: %s}\n"
                 "members:\n  - {name: server@n1, role: server, node: n1, domain: a}\n",
                 rows[i].budget);
        check(cluster_file_parse(w->arena, "shop.yaml", bytes_of_text(text), w->recipe, &file, &err) < 0);
        check_contains(err.text, "shop.yaml: line 3, column");
        check_contains(err.text, rows[i].says);
    }
}
