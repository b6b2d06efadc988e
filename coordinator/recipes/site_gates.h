/* The gates that a cluster file adds to those of its recipe, in the recipe's own gate language. */
#ifndef KEDGE_RECIPES_SITE_GATES_H
#define KEDGE_RECIPES_SITE_GATES_H

#include "common/yaml/reader.h"
#include "coordinator/recipes/cluster_file.h"

/* `node` is the map under `site-gates`: gates, may-stop, recovered. -EINVAL with `FILE: line L, column C: ...`; -ENOMEM.
 * What goes to *outp lies in the arena. */
int site_gates_load(struct arena *arena, const struct recipe *recipe, const struct yaml_node *node,
                    struct site_gates *outp, struct error *err) _must_check_;

#endif
