/* The checks at the end of a scenario. */
#define TEST_HELPER
#include "tests/scenario/world_checks.h"
#include "tests/unit/test.h"

#include <stdlib.h>

void world_check_replay(const char *file, int line, const struct world *world) {
    _cleanup_(buffer_deinit) struct buffer live = {0};
    buffer_text(&live, ""); /* an engine without a run says nothing */
    engine_dump(world->engine, &live);
    char *again = world_replay(world, world->n_records);
    test_check_eq_str(file, line, again, (const char *)live.data, "the state after a replay");
    free(again);
}

void world_check_ended(const char *file, int line, const struct world *world, enum run_verdict verdict) {
    const struct run *run = world_run_of(world);
    test_check_eq_str(file, line, run_state_text(run->state), "ended", "the run's state");
    test_check_eq_str(file, line, run_verdict_text(run->verdict), run_verdict_text(verdict), "its verdict");
    test_check(file, line, !world->side_in_force, "no side action is in force");
    world_check_replay(file, line, world);
}
