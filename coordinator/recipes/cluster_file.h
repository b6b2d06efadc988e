/* Cluster files: which members a cluster has and which values they give to their recipe. Values are looked up member,
 * group, cluster, recipe's default; each remembers where it came from.
 *
 * Ownership: everything lies in the arena that was given. */
#ifndef KEDGE_RECIPES_CLUSTER_FILE_H
#define KEDGE_RECIPES_CLUSTER_FILE_H

#include "coordinator/recipes/budget_text.h"
#include "coordinator/recipes/recipe.h"

/* Member names go into consents ("down:server@n3"), which are names themselves. */
enum { CLUSTER_MEMBER_NAME_MAX = 44 };

struct cluster_value {
    const char *name, *value;
    const char *
        origin; /* "cluster shop.yaml line 4", "group a, line 7", "member, line 12", "default of the recipe" */
    bool given; /* in the cluster file */
};

struct cluster_member {
    const char *name;      /* "server@n1" */
    const char *full_name; /* "shop/server@n1" */
    const struct recipe_role *role;
    const char *node, *group, *domain; /* group and domain may be "" */
    const struct cluster_value *values;
    size_t n_values;
    const char *self;
    uint32_t port;
};

/* Gates about the whole cluster that the site adds to the recipe's; see site_gates.h. */
struct site_gates {
    const struct gate_use *may_stop, *recovered;
    size_t n_may_stop, n_recovered;
};

struct cluster_file {
    const char *name;
    const struct recipe *recipe;
    const char *const *depends_on;
    size_t n_depends_on;
    const struct cluster_value *values; /* those of the cluster as a whole */
    size_t n_values;
    const struct cluster_member *members; /* in the order of the file */
    size_t n_members;
    uint32_t soak_ms, soak_read_only_ms, wait_limit_ms; /* strategy-defaults */
    uint32_t canary, limit;
    const struct budget_use *budgets;
    size_t n_budgets;
    struct site_gates site;
};

/* The name of the recipe that a cluster file asks for: read before anything else of it can be judged. */
int cluster_file_system(struct arena *arena, const char *name, struct bytes content, const char **system_outp,
                        struct error *err) _must_check_;

/* Reads and judges the file against its recipe. -EINVAL with `FILE: line L, column C: ...`. */
int cluster_file_parse(struct arena *arena, const char *name, struct bytes content,
                       const struct recipe *recipe, const struct cluster_file **outp,
                       struct error *err) _must_check_;
int cluster_file_load(struct arena *arena, const char *path, const struct recipe *recipe,
                      const struct cluster_file **outp, struct error *err) _must_check_;

#endif
