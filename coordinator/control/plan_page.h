/* A plan as people read it before they sign it, and as other programs read it. Both are made from the verified plan alone,
 * that is from the bytes that are signed; nothing on the page comes from anywhere else. */
#ifndef KEDGE_CONTROL_PLAN_PAGE_H
#define KEDGE_CONTROL_PLAN_PAGE_H

#include "common/plan/verify.h"

#include <stdio.h>

enum { PLAN_PAGE_WIDTH_MIN = 72, PLAN_PAGE_WIDTH_MAX = 160 };

/* Writes the page; lines are at most `width` columns (brought into the range above), except for words that are longer,
 * and lines of configuration diffs, which stay as they are. 0 or -ENOMEM; errors of `out` are the caller's to ask for. */
int plan_page(const struct verified_plan *plan, unsigned width, FILE *out) _must_check_;

/* The same content as one JSON object. malloc'ed text; NULL when memory is out. */
char *plan_json(const struct verified_plan *plan) _must_check_;

#endif
