/* Quarantine (lesson 18): what failed once by itself is not tried again before operators have signed that it may be.
 *
 * It is kept by digest, on both sides and each for itself: the coordinator's set is the fold of its journal and keeps the
 * release from every cluster; an agent keeps what failed on its own node, so a coordinator that was stolen, or restored
 * from before, cannot bring it back. Only what was started and then failed gets there: it did not come up, ended, is not
 * what was ordered, said no, or lost data. Not: what waits, an abort, a full disk, silence, other hands, a rollback.
 *
 * Within its own plan a failure is the budgets' to judge (budget.h); every other plan needs the lift in its header, which
 * counts for that plan only. What then proves itself is free again. */
#ifndef KEDGE_PLAN_QUARANTINE_H
#define KEDGE_PLAN_QUARANTINE_H

#include "common/plan/plan.h"

enum { QUARANTINE_LIFTS_MAX = 256 }; /* one for a release; one a member where only configurations are new */

/* What is new in this order, and would be to blame: its release, or its configuration where the release stays as it was
 * found. False: neither is (a restart, an action), so nothing of it is ever quarantined. */
bool quarantine_subject(const struct work_order *order, struct digest *outp);

/* The operators of this plan have signed that it may be tried again. */
bool quarantine_is_lifted(const struct header *header, const struct digest *subject);

#endif
