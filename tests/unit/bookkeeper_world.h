/* Four bookies of release 4.5.0 on paper, two failure domains, the auditor on the fourth: as planner_world.h, by the shipped
 * recipe. */
#ifndef KEDGE_TESTS_BOOKKEEPER_WORLD_H
#define KEDGE_TESTS_BOOKKEEPER_WORLD_H

#include "tests/unit/planner_world.h"

/* Free with world_free. */
struct world *bookkeeper_world(const char *to_version);

/* The same with `n` bookies (5 to WORLD_MEMBERS_MAX) in three failure domains. */
struct world *bookkeeper_world_of(size_t n, const char *to_version);

#endif
