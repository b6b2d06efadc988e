/* The short form of a plan's page, for somebody who has read the whole one (coordinator/control/plan_page.h) or wants to know
 * whether to: who goes where in which waves, side actions, what cannot be taken back. */
#ifndef KEDGE_CLI_PLAN_SHORT_H
#define KEDGE_CLI_PLAN_SHORT_H

#include "common/plan/verify.h"

/* Appends lines. Check out->failed. Foreign text is as it is in the file: clean it before it goes to a terminal. */
void plan_short(const struct verified_plan *plan, struct buffer *out);

#endif
