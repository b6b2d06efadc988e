/* The tester is tested: kedge-sim with a deliberate bug (common/base/mutant.h) must break, and without it must not. */
#ifndef KEDGE_TESTS_SIM_MUTANTS_H
#define KEDGE_TESTS_SIM_MUTANTS_H

#include "coordinator/rehearsal/rehearsal.h"

/* One seed with all its faults; the caller's. */
typedef void mutants_seed_fn(uint64_t seed, struct rehearsal_result *result);

/* `which`: "all", "common", or one name. Each bug runs from seed 1 until it is seen, at most `most` seeds. Prints a table.
 * 0: all were seen; 1: not, or a seed breaks without the bug as well; 2: there is no such bug, or none in this build. */
int mutants_run(const char *which, uint64_t most, mutants_seed_fn *run_seed);

#endif
