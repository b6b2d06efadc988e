/*
 * This program must fail: Meson expects it to (should_fail), so a harness that lets failures pass is caught.
 * Its one test fails in every way that there is, and exits 0 instead (which Meson counts as "unexpected pass")
 * if one of them was not noted.
 */
#include "tests/unit/test.h"

static void leave_early(bool *reached_end) {
    *reached_end = false;
    require(false);
    *reached_end = true;
}

TEST("each check that does not hold is noted") {
    bool reached_end = true;
    unsigned n_missed = 0;

    n_missed += check(1 + 1 == 3);
    n_missed += check_eq_int(1, 2);
    n_missed += check_eq_str("a", "b");
    n_missed += check_eq_str(NULL, "b");
    n_missed += check_eq_mem("ab", "ac", 2);
    n_missed += check_contains("text", "other");
    n_missed += check_contains(NULL, "other");
    leave_early(&reached_end);

    if (n_missed != 0 || reached_end || test_n_failures != 8)
        test_n_failures = 0;
}
