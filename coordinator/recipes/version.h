/* Versions, the patterns that rows of a recipe name them by, and the walk over those rows.
 *
 *     4.5.0         that one            4.5.x         every 4.5
 *     4.8.0..4.12.x from, to, both in   >=4.6         and later          *   any
 */
#ifndef KEDGE_RECIPES_VERSION_H
#define KEDGE_RECIPES_VERSION_H

#include "coordinator/recipes/scope.h"

/* <0, 0, >0. Numbers between dots count as numbers; "4.16.0" is after "4.9.1". */
int version_compare(const char *a, const char *b);

bool version_matches(const char *pattern, const char *version);

/* False when the text is none of the forms above. */
bool version_pattern_is_valid(const char *pattern);

/* What the rows say about going from one version to another: one row, or a chain of them with their notes merged. */
struct version_path {
    enum version_verdict verdict;
    const char *why;                       /* of the row that refuses; "" */
    const struct version_row *const *rows; /* in order; none when nothing changes its version */
    size_t n_rows;
    enum way_back way_back; /* the narrowest */
};

enum { VERSION_NO_PATH = 1 };

/* 0, VERSION_NO_PATH when the recipe has no rule that leads there, -ENOMEM. `scope` answers the rows' conditions. */
int version_path_find(const struct recipe *recipe, const char *from, const char *to,
                      const struct scope *scope, struct arena *arena, struct version_path *outp) _must_check_;

/* The same over rows that are not refused and without a row for the pair itself: the chain of plans, one a row, that leads
 * there (at least two rows). VERSION_NO_PATH when there is none. */
int version_chain_find(const struct recipe *recipe, const char *from, const char *to,
                       const struct scope *scope, struct arena *arena,
                       struct version_path *outp) _must_check_;

#endif
