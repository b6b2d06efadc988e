/* Parts of a plan in words, shared by page and JSON. Texts are written to a stream; times in UTC. */
#ifndef KEDGE_CONTROL_PLAN_WORDS_H
#define KEDGE_CONTROL_PLAN_WORDS_H

#include "common/plan/verify.h"

#include <stdio.h>

/* "10 s", "2 m", "600 ms" */
void words_duration(FILE *out, uint64_t ms);
/* "2026-01-31 22:00:05 UTC" */
void words_time(FILE *out, uint64_t seconds);
/* What the row does: "writable, nothing-missing; keys-read-back is remembered", "SIGTERM; SIGKILL after 10 s". */
void words_row(FILE *out, const struct verified_plan *plan, const struct work_order *order,
               const struct row *row);
/* What happens when the row fails: "nothing was changed: it waits or ends". */
const char *words_failure(const struct row *row);
/* The words of a command, with found ones as the plan binds them. */
void words_command(FILE *out, const struct work_order *order, const struct argument *arguments, size_t n);
/* "at least 3 of http ..., itself left out; otherwise no" */
void words_check(FILE *out, const struct check *check);
/* "failed: none; unreachable: at most 1 (10 % of 12 members, rounded down); ...": what a run (all kinds) or a wave (those
 * that it has) allows before it is paused. */
void words_budgets(FILE *out, const struct budget *budgets, size_t n, size_t n_members, bool of_run);
/* How far the way back reaches, as a sentence. */
const char *words_way_back(enum way_back way_back);
/* What an abort does with members that are changed and not done. */
const char *words_on_abort(const struct shape *shape);
const char *words_gate_name(const struct verified_plan *plan, const struct digest *digest);

#endif
