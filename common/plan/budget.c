/* Why a default in code and not in every plan: the safe answer must not depend on who made the plan, or when. */
#include "common/plan/budget.h"

#include "common/base/mutant.h"

uint32_t budget_default(enum budget_kind kind) {
    bool tolerable = kind == BUDGET_UNREACHABLE || kind == BUDGET_SKIPPED;
    return tolerable ? BUDGET_NO_LIMIT : 0;
}

uint32_t budget_allows(const struct budget *budgets, size_t n_budgets, enum budget_kind kind,
                       uint32_t n_members, uint32_t otherwise) {
    for (size_t i = 0; i < n_budgets; i++) {
        const struct budget *budget = &budgets[i];
        if (budget->kind != kind)
            continue;
        uint32_t part = (uint32_t)((uint64_t)n_members * budget->percent / 100);
        if (KEDGE_MUTANT(budget_rounded_up))
            part = (uint32_t)(((uint64_t)n_members * budget->percent + 99) / 100);
        return budget->percent > 0 && part < budget->count ? part : budget->count;
    }
    return otherwise;
}
