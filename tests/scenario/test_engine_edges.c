/* Rules of the engine that a seed seldom meets: each of these was broken on purpose once, and nothing saw it. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

static const struct world_config rolling = {
    .n_members = 4,
    .soak_ms = 200,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

TEST("F06 F21 the way back of a run that had ended goes on by itself when a hold ends") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    require(world_hold(w, 1, 30000, "disk") == 0);
    require(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    world_run(w, 20000);
    check_eq_int(world_run_of(w)->members[1].state, MEMBER_DONE);
    world_run(w, 20000);
    check_eq_int(world_run_of(w)->members[1].state, MEMBER_BACK);
    ended(w, VERDICT_ROLLED_BACK);
}
