#include "tests/unit/test.h"

#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/plan/budget.h"

TEST("F26 a percentage is rounded down: never more than was asked for") {
    const struct budget b[] = {{BUDGET_FAILED, KEDGE_MEMBERS_MAX, 10}};
    const struct {
        uint32_t members, allowed;
    } rows[] = {{0, 0}, {1, 0}, {9, 0}, {10, 1}, {19, 1}, {20, 2}, {99, 9}, {10000, 1000}, {16384, 1638}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_eq_int(budget_allows(b, 1, BUDGET_FAILED, rows[i].members, 7), rows[i].allowed);
}

TEST("F26 count and percentage hold both; each kind is looked up apart; what has none takes the default") {
    const struct budget b[] = {
        {BUDGET_FAILED, 3, 50}, {BUDGET_SKIPPED, 5, 0}, {BUDGET_HELD, KEDGE_MEMBERS_MAX, 100}};
    check_eq_int(budget_allows(b, 3, BUDGET_FAILED, 100, 0), 3);
    check_eq_int(budget_allows(b, 3, BUDGET_FAILED, 4, 0), 2);
    check_eq_int(budget_allows(b, 3, BUDGET_SKIPPED, 1, 0), 5);
    check_eq_int(budget_allows(b, 3, BUDGET_HELD, 12, 0), 12);
    check(budget_allows(b, 3, BUDGET_UNREACHABLE, 12, BUDGET_NO_LIMIT) == BUDGET_NO_LIMIT);
    check_eq_int(budget_default(BUDGET_FAILED), 0);
    check_eq_int(budget_default(BUDGET_HELD), 0);
    check(budget_default(BUDGET_UNREACHABLE) == BUDGET_NO_LIMIT);
    check(budget_default(BUDGET_SKIPPED) == BUDGET_NO_LIMIT);
}
