/* What pauses a run, and what lets it go on: members that fall ill, that fail, that are away. Nothing may leave it standing
 * without a pause and without a reason. */
#include "tests/unit/test.h"

#include "tests/scenario/world.h"

static const struct world_config rolling = {
    .n_members = 4,
    .soak_ms = 10000,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

static void ended(struct world *w, enum run_verdict verdict) {
    struct buffer live = {0};
    check_eq_str(run_state_text(world_run_of(w)->state), "ended");
    check_eq_str(run_verdict_text(world_run_of(w)->verdict), run_verdict_text(verdict));
    engine_dump(w->engine, &live);
    char *again = world_replay(w, w->n_records);
    check_eq_str(again, (const char *)live.data);
    free(again);
    buffer_deinit(&live);
}

/* ---- soaks ---- */

/* n1's own gates while it soaks: as `state` says (0: well, 1: ill, 2: silent, above: no to every fifth question). */
static enum answer n1_is_ill(struct world *world, enum world_gate gate, unsigned node, const char *self) {
    (void)self;
    if (gate == GATE_LAST)
        return ANSWER_NO;
    if (gate != GATE_NEW || node != 0 || world->state == 0)
        return ANSWER_YES;
    if (world->state == 1)
        return ANSWER_NO;
    if (world->state == 2)
        return ANSWER_UNKNOWN;
    return world->state++ % 5 == 0 ? ANSWER_NO : ANSWER_YES;
}

TEST("F12 a relapse while it soaks is judged anew after a resume: still dead, it pauses again") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n1_is_ill;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    w->state = 1;
    world_run(w, 20000);
    check(world_run_of(w)->paused);
    for (unsigned i = 0; i < 3; i++) {
        check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
        check(!world_run_of(w)->paused);
        world_run(w, 5000);
        check(world_run_of(w)->paused);
        check_contains(world_run_of(w)->pause_reason, "relapse: shop/server@n1 is soaking and was well: ");
    }
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    w->state = 0;
    world_run(w, 120000);
    ended(w, VERDICT_DONE);
}

TEST("F12 a relapse of a member that is done is judged anew too") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n1_is_ill;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SOAKING, 60000));
    w->state = 1;
    world_run(w, 8000);
    check(world_run_of(w)->paused);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 5000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "relapse: shop/server@n1 is done and was well: ");
}

TEST("F12 F29 who says nothing while it soaks pauses the run at the wait limit, with the reason") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n1_is_ill;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    w->state = 2;
    world_run(w, 50000);
    check(!world_run_of(w)->paused);
    world_run(w, 20000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "shop/server@n1 has not stayed well for 60 s: ");
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 120000);
    check(world_run_of(w)->paused);
}

TEST("F12 who flaps never soaks to the end, and pauses the run at the soak and the wait limit") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n1_is_ill;
    w->state = 0;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    w->state = 3;
    world_run(w, 65000);
    check(!world_run_of(w)->paused && world_run_of(w)->members[0].state == MEMBER_SOAKING);
    world_run(w, 15000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "has not stayed well for");
}
