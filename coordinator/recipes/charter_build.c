/* Why every gate that a plan could use is in the charter: agents answer only questions that an operator signed for, and
 * the planner needs their answers before there is a plan. */
#include "coordinator/recipes/charter_build.h"

#include "coordinator/recipes/resolve.h"

#include <string.h>

struct build {
    const struct charter_input *input;
    const struct recipe *recipe;
    struct arena *arena;
    struct error *err;
    struct charter *charter;
    struct scope scope;
    struct gate_set gates;
};

static int no_memory(struct build *build) {
    return error_set(build->err, -ENOMEM, "charter: out of memory");
}

static int gate_add(struct build *build, const struct recipe_gate *gate, const struct scope *scope,
                    struct digest *outp) {
    struct gate resolved;
    int r = gate_resolve(build->arena, gate, scope, NULL, 0, &resolved, build->err);
    return r < 0 ? r : gate_set_add(&build->gates, &resolved, outp, build->err);
}

static bool has_digest(const struct digest *list, size_t n, const struct digest *digest) {
    for (size_t i = 0; i < n; i++)
        if (digest_equal(&list[i], digest))
            return true;
    return false;
}

static void digest_append(struct digest *list, size_t *n, const struct digest *digest) {
    if (!has_digest(list, *n, digest))
        list[(*n)++] = *digest;
}

/* ---- the whole cluster ---- */

static int uses_add(struct build *build, const struct gate_use *uses, size_t n_uses, struct digest *list,
                    size_t *n) {
    for (size_t i = 0; i < n_uses; i++) {
        struct digest digest;
        struct gate items;
        int r = gate_add(build, uses[i].gate, &build->scope, &digest);
        if (r < 0)
            return r;
        digest_append(list, n, &digest);
        if (!gate_is_none_new(uses[i].gate))
            continue;
        r = items_gate_make(build->arena, uses[i].gate, &build->scope, &items, build->err);
        if (r == 0)
            r = gate_set_add(&build->gates, &items, &digest, build->err);
        if (r < 0)
            return r;
        digest_append(list, n, &digest);
    }
    return 0;
}

static int cluster_gates_fill(struct build *build) {
    const struct recipe *recipe = build->recipe;
    const struct site_gates *site = &build->input->cluster->site;
    size_t n = 0, n_uses = recipe->n_may_stop + recipe->n_recovered + site->n_may_stop + site->n_recovered;
    struct digest *list = arena_array(build->arena, 2 * n_uses + recipe->n_side_actions, sizeof(*list));
    if (!list)
        return no_memory(build);
    int r = uses_add(build, recipe->may_stop, recipe->n_may_stop, list, &n);
    if (r == 0)
        r = uses_add(build, recipe->recovered, recipe->n_recovered, list, &n);
    if (r == 0)
        r = uses_add(build, site->may_stop, site->n_may_stop, list, &n);
    if (r == 0)
        r = uses_add(build, site->recovered, site->n_recovered, list, &n);
    for (size_t i = 0; r == 0 && i < recipe->n_side_actions; i++) {
        struct gate value;
        struct digest digest;
        r = value_gate_make(build->arena, &recipe->side_actions[i], &build->scope, &value, build->err);
        if (r == 0)
            r = gate_set_add(&build->gates, &value, &digest, build->err);
        if (r == 0)
            digest_append(list, &n, &digest);
    }
    build->charter->cluster_gates = list;
    build->charter->n_cluster_gates = n;
    return r;
}

/* ---- members ---- */

static int member_gates_fill(struct build *build, const struct recipe_role *role, const struct scope *scope,
                             struct charter_member *outp) {
    size_t n = 0;
    struct digest digest;
    struct mode_gate *modes = arena_array(build->arena, role->n_modes, sizeof(*modes));
    struct digest *gates = arena_array(build->arena, role->n_modes + role->n_after_start + 2, sizeof(*gates));
    if (!modes || !gates)
        return no_memory(build);
    for (size_t i = 0; i < role->n_modes; i++) {
        int r = gate_add(build, role->modes[i].gate, scope, &digest);
        if (r < 0)
            return r;
        modes[i] = (struct mode_gate){role->modes[i].mode, digest};
        digest_append(gates, &n, &digest);
    }
    for (size_t i = 0; i < role->n_after_start + 2; i++) {
        const struct recipe_gate *gate = i < role->n_after_start    ? role->after_start[i].gate
                                         : i == role->n_after_start ? role->proof
                                                                    : role->last;
        /* Who goes last is one question for all: it knows nobody's name. */
        int r = gate ? gate_add(build, gate, gate == role->last ? &build->scope : scope, &digest) : 0;
        if (r < 0)
            return r;
        if (gate)
            digest_append(gates, &n, &digest);
    }
    outp->modes = modes;
    outp->n_modes = role->n_modes;
    outp->gates = gates;
    outp->n_gates = n;
    return 0;
}

static int member_fill(struct build *build, const struct cluster_member *member,
                       struct charter_member *outp) {
    const struct recipe_role *role = member->role;
    struct scope scope;
    struct probe *instance = role->instance ? arena_alloc(build->arena, sizeof(*instance)) : NULL;
    if (role->instance && !instance)
        return no_memory(build);
    *outp = (struct charter_member){.name = member->full_name,
                                    .role = role->name,
                                    .node = member->node,
                                    .self = member->self,
                                    .port = member->port,
                                    .release_from = role->release_from,
                                    .config_after = role->config_after,
                                    .config_format = role->config_format,
                                    .clear_after = role->clear_arguments,
                                    .n_clear_after = role->n_clear_arguments,
                                    .instance = instance,
                                    .data_after = role->data_keys,
                                    .n_data_after = role->n_data_keys,
                                    .clear_config = role->clear_config,
                                    .n_clear_config = role->n_clear_config};
    int r = member_scope_make(build->arena, member, &build->scope, &scope, build->err);
    if (r == 0)
        r = template_fill(build->arena, role->process, TEMPLATE_EXPRESSION, &scope, &outp->process,
                          build->err);
    if (r == 0)
        r = template_fill(build->arena, role->release_match, TEMPLATE_EXPRESSION, &scope,
                          &outp->release_match, build->err);
    if (r == 0 && instance)
        r = probe_resolve(build->arena, role->instance, &scope, instance, build->err);
    if (r == 0)
        r = member_gates_fill(build, role, &scope, outp);
    return r < 0 ? error_context(build->err, r, "member %s", member->name) : 0;
}

/* ---- roster ---- */

struct approved {
    const struct roster_entry *node;
    struct roster_entry *entry; /* its own in the charter, once a member lies on it */
};

static int by_node(const void *a, const void *b) {
    return strcmp(((const struct approved *)a)->node->node, ((const struct approved *)b)->node->node);
}

/* Sorted: a cluster may have ten thousand nodes, and each member looks for its own. */
static struct approved *nodes_sort(const struct charter_input *input, struct arena *arena) {
    struct approved *nodes = arena_array(arena, input->n_nodes, sizeof(*nodes));
    for (size_t i = 0; nodes && i < input->n_nodes; i++)
        nodes[i].node = &input->nodes[i];
    if (nodes)
        qsort(nodes, input->n_nodes, sizeof(*nodes), by_node);
    return nodes;
}

/* One entry a node, in the order of the members; all its members name the same domain. */
static int roster_fill(struct build *build) {
    const struct cluster_file *cluster = build->input->cluster;
    struct roster_entry *roster = arena_array(build->arena, cluster->n_members, sizeof(*roster));
    struct approved *nodes = nodes_sort(build->input, build->arena);
    size_t n = 0;
    if (!roster || !nodes)
        return no_memory(build);
    for (size_t i = 0; i < cluster->n_members; i++) {
        const struct cluster_member *member = &cluster->members[i];
        const struct roster_entry wanted = {.node = member->node};
        struct approved *found = bsearch(&(struct approved){.node = &wanted}, nodes, build->input->n_nodes,
                                         sizeof(*nodes), by_node);
        if (!found)
            return error_set(
                build->err, -ENOENT,
                "member %s: node %s is not approved here (kedge node list shows those that wait)",
                member->name, member->node);
        if (found->entry && strcmp(found->entry->domain, member->domain) != 0)
            return error_set(build->err, -EINVAL,
                             "member %s: node %s cannot lie in domain \"%s\" and in \"%s\"", member->name,
                             member->node, found->entry->domain, member->domain);
        if (found->entry)
            continue;
        found->entry = &roster[n++];
        *found->entry = (struct roster_entry){member->node, found->node->key, member->domain};
    }
    build->charter->roster = roster;
    build->charter->n_roster = n;
    return 0;
}

int charter_build(const struct charter_input *input, struct arena *arena, struct charter *outp,
                  struct error *err) {
    const struct cluster_file *cluster = input->cluster;
    struct build build = {
        .input = input, .recipe = cluster->recipe, .arena = arena, .err = err, .charter = outp};
    struct charter_member *members = arena_array(arena, cluster->n_members, sizeof(*members));
    if (!members)
        return no_memory(&build);
    *outp = (struct charter){.format = 1,
                             .cluster = cluster->name,
                             .system = cluster->recipe->name,
                             .serial = input->serial,
                             .recipe = cluster->recipe->digest,
                             .members = members,
                             .n_members = cluster->n_members,
                             .depends_on = cluster->depends_on,
                             .n_depends_on = cluster->n_depends_on};
    gate_set_init(&build.gates, arena);
    int r = roster_fill(&build);
    if (r == 0)
        r = cluster_scope_make(arena, cluster, NULL, 0, &build.scope, err);
    if (r == 0)
        r = cluster_gates_fill(&build);
    for (size_t i = 0; r == 0 && i < cluster->n_members; i++)
        r = member_fill(&build, &cluster->members[i], &members[i]);
    outp->gates = build.gates.bytes;
    outp->n_gates = build.gates.n;
    return r < 0 ? error_context(err, r, "cluster %s", cluster->name) : 0;
}
