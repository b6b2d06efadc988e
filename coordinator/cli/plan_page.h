/* The page of a plan, for the people who sign it: made from the verified file alone, never from what kedged says. */
#ifndef KEDGE_CLI_PLAN_PAGE_H
#define KEDGE_CLI_PLAN_PAGE_H

#include "common/plan/verify.h"

/* SHORT: who goes where in which waves, side actions, what cannot be taken back. FULL: every step and every gate, too. */
enum plan_page_size { PLAN_PAGE_SHORT, PLAN_PAGE_FULL };

/* Appends lines. Check out->failed. Foreign text is as it is in the file: clean it before it goes to a terminal. */
void plan_page(const struct verified_plan *plan, enum plan_page_size size, struct buffer *out);

#endif
