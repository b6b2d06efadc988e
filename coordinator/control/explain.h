/* What the codes mean that the planner puts beside its problems and warnings: one table, from which `kedge explain` and
 * docs/explain.md are printed. A check holds it against the planner's sources: no code without a row, no row without a code.
 *
 * Codes that a recipe gives to its own warnings are explained by the recipe. Constant data; nothing to free. */
#ifndef KEDGE_CONTROL_EXPLAIN_H
#define KEDGE_CONTROL_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct explanation {
    const char *code;
    bool consent;        /* a warning that a person may accept by name; else it blocks the plan */
    const char *means;   /* what was seen */
    const char *matters; /* what could happen */
    const char *todo;    /* what to do now */
};

extern const struct explanation explanations[]; /* sorted by code */
extern const size_t n_explanations;

/* By code, or by the name of a consent ("down:server@n3"); NULL when it is no code of the planner. */
const struct explanation *explanation_find(const char *code);

/* The whole table as the page docs/explain.md. */
void explanations_page(FILE *out);

#endif
