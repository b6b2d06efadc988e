/* Waits between runs make no circle: one that the clusters' dependencies would make is refused at apply, with its
 * names; runs that share nothing but hosts wait for each other host by host, and all of them end. */
#include "tests/unit/test.h"

#include <stdio.h>

#include "tests/scenario/world.h"

static const char *const needs_zk[] = {"zk"}, *const needs_shop[] = {"shop"},
                         *const needs_books[] = {"books"};

static const char *refused(struct world *w) {
    return (const char *)w->refused.data;
}

/* 1: shop needs zk. 2: zk needs shop. 3: zk needs nobody. */
static void two(struct verified_plan *plan) {
    uint64_t serial = plan->header.serial;
    plan->header.cluster = serial == 1 ? "shop" : "zk";
    plan->shape.depends_on = serial == 1 ? needs_zk : needs_shop;
    plan->shape.n_depends_on = serial <= 2;
}

TEST("F06 a circle of two runs is refused at apply with its names, and touches nothing") {
    struct world_config config = {.n_members = 2, .soak_ms = 200, .amend = two};
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    check(world_apply(w, 2) == ENGINE_REFUSED);
    check_contains(refused(w),
                   "the clusters depend on each other in a circle: zk -> shop -> zk; each would wait "
                   "for the other");
    check_eq_int(engine_n_runs(w->engine), 1);
    world_run(w, 120000);
    check_eq_int(engine_run(w->engine, 1)->verdict, VERDICT_DONE);
    require(world_apply(w, 3) == 0);
    world_run(w, 120000);
    check_eq_int(world_run_of(w)->verdict, VERDICT_DONE);
}

/* 1: shop needs zk. 2: zk needs books. 3: books needs shop. 4: books needs nobody. */
static void three(struct verified_plan *plan) {
    static const char *const names[] = {"shop", "zk", "books", "books"};
    static const char *const *const needs[] = {needs_zk, needs_books, needs_shop, needs_shop};
    uint64_t serial = plan->header.serial;
    plan->header.cluster = names[serial - 1];
    plan->shape.depends_on = needs[serial - 1];
    plan->shape.n_depends_on = serial <= 3;
}

TEST("F06 a circle of three runs is refused at apply in whichever order they come") {
    static const uint64_t orders[][3] = {{1, 2, 3}, {1, 3, 2}};
    static const char *const circles[] = {"books -> shop -> zk -> books", "zk -> books -> shop -> zk"};
    for (unsigned i = 0; i < 2; i++) {
        struct world_config config = {.n_members = 2, .soak_ms = 200, .amend = three};
        _cleanup_(world_freep) struct world *w = world_new(&config);
        require(world_begin(w) == 0);
        require(world_apply(w, orders[i][1]) == 0);
        check_eq_str(run_state_text(world_run_of(w)->state), "waiting");
        check(world_apply(w, orders[i][2]) == ENGINE_REFUSED);
        check_contains(refused(w), circles[i]);
        /* Not after a restart either: what is known of the others is in the journal. */
        world_crash(w);
        check(world_apply(w, orders[i][2]) == ENGINE_REFUSED);
        check_contains(refused(w), circles[i]);
        check_eq_int(engine_n_runs(w->engine), 2);
        world_run(w, 240000);
        check_eq_int(engine_run(w->engine, 1)->verdict, VERDICT_DONE);
        check_eq_int(engine_run(w->engine, 2)->verdict, VERDICT_DONE);
    }
}

TEST("F06 three runs in a chain of dependencies wait in the order of their coming and all end") {
    struct world_config config = {.n_members = 2, .soak_ms = 200, .amend = three};
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_apply(w, 2) == 0);
    require(world_apply(w, 4) == 0);
    world_run(w, 240000);
    for (uint64_t id = 1; id <= 3; id++)
        check_eq_int(engine_run(w->engine, id)->verdict, VERDICT_DONE);
}

/* Three clusters on the same two or three hosts; each begins with another host than the others. */
static void same_hosts(struct verified_plan *plan) {
    static const char *const names[] = {"shop", "zk", "books"};
    static const uint32_t orders[][3] = {{0, 1, 2}, {1, 2, 0}, {2, 0, 1}};
    static struct wave waves[3];
    uint64_t i = plan->header.serial - 1;
    plan->header.cluster = names[i];
    waves[i] = plan->shape.waves[0];
    waves[i].members = orders[i];
    waves[i].soak_ms = 1000 + 2500 * (uint32_t)i; /* else they would go round in step and never meet */
    waves[i].limit_count = 2;
    plan->shape.waves = &waves[i];
}

static bool all_ended(const struct world *w, uint64_t n_runs) {
    for (uint64_t id = 1; id <= n_runs; id++)
        if (engine_run(w->engine, id)->state != RUN_ENDED)
            return false;
    return true;
}

TEST("F06 F15 two and three runs that meet on shared hosts from different ends never wait in a circle") {
    for (uint64_t n_runs = 2; n_runs <= 3; n_runs++) {
        struct world_config config = {.n_members = 3, .soak_ms = 3000, .amend = same_hosts};
        _cleanup_(world_freep) struct world *w = world_new(&config);
        bool waited = false;
        require(world_begin(w) == 0);
        for (uint64_t serial = 2; serial <= n_runs; serial++)
            require(world_apply(w, serial) == 0);
        while (!all_ended(w, n_runs) && world_next(w, w->now_ms + 60000) && w->now_ms < 600000)
            for (uint64_t id = 1; id <= n_runs; id++)
                for (size_t k = 0; k < engine_run(w->engine, id)->wait.n; k++)
                    waited = waited || strcmp(engine_run(w->engine, id)->wait.items[k].gate, "host") == 0;
        check(waited);
        check(all_ended(w, n_runs));
        for (uint64_t id = 1; id <= n_runs; id++)
            check_eq_int(engine_run(w->engine, id)->verdict, VERDICT_DONE);
    }
}
