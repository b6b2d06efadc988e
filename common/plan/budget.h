/* Budgets of failures (F26): how many members may be in trouble of one kind before the run is paused. Counted apart by
 * kind, for the run as a whole and for each wave; a breach pauses, it never reverts by itself.
 *
 * A budget has a count, and maybe a percentage of the members (of the run, or of the wave; who is gone for good is no
 * member): both must hold. A percentage is rounded down, so never more are allowed than were asked for: 10 % of 9 is none.
 * What has no budget: nobody may have failed, be held or be quarantined; who is unreachable or was left out by an operator has no limit
 * (a run waits for the one anyhow, and a person decided the other). */
#ifndef KEDGE_PLAN_BUDGET_H
#define KEDGE_PLAN_BUDGET_H

#include "common/base/words.h"

#include <stddef.h>
#include <stdint.h>

struct budget {
    enum budget_kind kind;
    uint32_t count;   /* as many are still allowed; KEDGE_MEMBERS_MAX: only the percentage counts */
    uint32_t percent; /* 0: only the count counts; else 1..100 */
};

enum { BUDGET_NO_LIMIT = UINT32_MAX };

/* How many of `n_members` may be so, by the first budget of that kind in the list. `otherwise` is what holds when there is
 * none: budget_default(kind) for a run, BUDGET_NO_LIMIT for a wave (the run's holds anyhow). */
uint32_t budget_allows(const struct budget *budgets, size_t n_budgets, enum budget_kind kind,
                       uint32_t n_members, uint32_t otherwise);

uint32_t budget_default(enum budget_kind kind);

#endif
