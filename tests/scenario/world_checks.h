/* What is true of every run whose scenario is over: checked in one place, told with the line of the scenario. */
#ifndef KEDGE_TESTS_SCENARIO_WORLD_CHECKS_H
#define KEDGE_TESTS_SCENARIO_WORLD_CHECKS_H

#include "tests/scenario/world.h"

/* A coordinator that reads the journal from its beginning stands exactly where the living one stands. */
#define replay_equals(w) world_check_replay(__FILE__, __LINE__, (w))

/* The run has ended with that verdict, no side action is in force any more, and a replay agrees. */
#define ended(w, verdict) world_check_ended(__FILE__, __LINE__, (w), (verdict))

void world_check_replay(const char *file, int line, const struct world *world);
void world_check_ended(const char *file, int line, const struct world *world, enum run_verdict verdict);

#endif
