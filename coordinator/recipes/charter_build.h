/* From a cluster file to the charter that an operator signs: who the members are, which questions may be asked, and which
 * node answers with which key. PURE; the CLI encodes it with charter_codec and signs those bytes. */
#ifndef KEDGE_RECIPES_CHARTER_BUILD_H
#define KEDGE_RECIPES_CHARTER_BUILD_H

#include "common/plan/charter.h"
#include "coordinator/recipes/cluster_file.h"

struct charter_input {
    const struct cluster_file *cluster;
    const struct roster_entry *nodes; /* approved nodes and their keys; `domain` is not looked at */
    size_t n_nodes;
    uint64_t serial; /* rises with every charter of the cluster */
};

/* 0, -ENOENT with a sentence that names the node which is not approved, -EINVAL, -ENOMEM. */
int charter_build(const struct charter_input *input, struct arena *arena, struct charter *outp,
                  struct error *err) _must_check_;

#endif
