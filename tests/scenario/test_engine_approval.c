/* A person between the canary and the rest: the plan wants a word, and the run waits for it without being paused. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

static const struct world_config rolling = {
    .n_members = 4,
    .soak_ms = 200,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

static void approval_wanted(struct verified_plan *plan) {
    ((struct wave *)(uintptr_t)plan->shape.waves)[0].approval = true;
}

TEST("F18 with an approval wanted the rest waits for a word about a done canary, and is watched meanwhile") {
    struct world_config config = rolling;
    config.n_canaries = 1;
    config.amend = approval_wanted;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    char text[512];
    require(world_begin(w) == 0);
    check(world_member(w, RUN_EVENT_PROMOTE, 0, "alice") == ENGINE_REFUSED);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    world_run(w, 60000);
    world_crash(w);
    world_run(w, 10000);
    check_eq_int(world_run_of(w)->n_state[MEMBER_DONE], 1);
    check(!world_run_of(w)->paused);
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "waits for an operator: canary");
    check(world_member(w, RUN_EVENT_PROMOTE, 1, "alice: the wrong one") == ENGINE_REFUSED);
    check(world_member(w, RUN_EVENT_PROMOTE, 0, "alice: it is good") == 0);
    world_crash(w);
    world_run(w, 120000);
    ended(w, VERDICT_DONE);
    check(world_member(w, RUN_EVENT_PROMOTE, 0, "alice: once more") == ENGINE_REFUSED);
}

TEST("F18 F08 abort and rollback end a run that waits for its approval") {
    for (unsigned how = 0; how < 2; how++) {
        struct world_config config = rolling;
        config.n_canaries = 1;
        config.amend = approval_wanted;
        _cleanup_(world_freep) struct world *w = world_new(&config);
        require(world_begin(w) == 0);
        require(world_run_until(w, 0, MEMBER_DONE, 60000));
        world_run(w, 10000);
        check(world_command(w, how == 0 ? RUN_EVENT_ABORT : RUN_EVENT_ROLLBACK, "alice") == 0);
        world_run(w, 60000);
        ended(w, how == 0 ? VERDICT_ABORTED : VERDICT_ROLLED_BACK);
    }
}
