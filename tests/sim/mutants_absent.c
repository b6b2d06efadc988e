/* In a build without -Dmutants=true. */
#include "tests/sim/mutants.h"

int mutants_run(const char *which, uint64_t most, mutants_seed_fn *run_seed) {
    (void)which;
    (void)most;
    (void)run_seed;
    fprintf(stderr, "kedge-sim: this build has no deliberate bugs; meson setup build-mutants -Dmutants=true, "
                    "then ninja -C build-mutants tests/sim/kedge-sim\n");
    return 2;
}
