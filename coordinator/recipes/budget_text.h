/* Budgets of failures as an operator writes them: in the cluster file, and as an option of `kedge plan`. */
#ifndef KEDGE_RECIPES_BUDGET_TEXT_H
#define KEDGE_RECIPES_BUDGET_TEXT_H

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/plan/budget.h"

/* Of a list, the last one of the same wave and kind counts. */
struct budget_use {
    const char *wave; /* its name; NULL: the run as a whole */
    struct budget budget;
    bool is_default; /* from the cluster file: passed over by a plan that has no such wave */
};

/* `name` is "KIND" or "WAVE:KIND" (failed, unreachable, skipped, held), `value` "2", "10%" or "2,10%". -EINVAL with a
 * sentence. */
int budget_parse(struct arena *arena, const char *name, const char *value, struct budget_use *outp,
                 struct error *err) _must_check_;

#endif
