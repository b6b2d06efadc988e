/*
 * The harness, tested with itself: checks that hold are quiet and true, the order is that of the file, a skip counts
 * as passed. That checks which do not hold fail the program is proven by test_harness_fails.c.
 */
#include "tests/unit/test.h"

static unsigned n_run;

static void skip_at_once(void) {
    skip("for the test");
}

TEST("checks that hold are true and note nothing") {
    const unsigned char bytes[] = {1, 2, 3};

    n_run++;
    check(check(1 + 1 == 2));
    check(check_eq_int(-7, -7));
    check(check_eq_str("same", "same"));
    check(check_eq_str(NULL, NULL));
    check(check_eq_mem(bytes, "\1\2\3", sizeof(bytes)));
    check(check_contains("one sentence from outside to inside", "outside"));
    require(true);
    check_eq_int(test_n_failures, 0);
}

TEST("tests run in the order of the file") {
    check_eq_int(n_run, 1);
}

TEST("a skip leaves the function and keeps its reason") {
    skip_at_once();
    check_eq_str(test_skip_reason, "for the test");
    test_skip_reason = NULL;
}
