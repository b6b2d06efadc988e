/* Why a site's gates have names of their own and only add: what the recipe demands was learnt from the system and holds
 * everywhere; a site may know more (a batch that must not run, a monitor that must be green), never less. They are in the
 * charter and in every plan, beside the recipe's. */
#include "coordinator/recipes/load.h"
#include "coordinator/recipes/site_gates.h"

static int names_judge(struct loader *loader, const struct recipe *recipe, const struct yaml_node *gates) {
    for (size_t i = 0; i < gates->n; i++) {
        const struct yaml_node *key = gates->pairs[i].key;
        if (recipe_gate_find(recipe, key->text))
            return yaml_refuse(key, loader->err,
                               "recipe %s has a gate %s: a site adds gates under names of its own",
                               recipe->name, key->text);
        if (!loader->gate_used[i])
            return yaml_refuse(key, loader->err,
                               "gate %s is used by nothing: name it under may-stop or recovered", key->text);
    }
    return 0;
}

int site_gates_load(struct arena *arena, const struct recipe *recipe, const struct yaml_node *node,
                    struct site_gates *outp, struct error *err) {
    struct recipe site = *recipe; /* the same values and options, other gates */
    struct loader loader = {.arena = arena, .err = err, .recipe = &site};
    const struct yaml_node *gates = NULL;
    struct yaml_map map;
    site.gates = NULL;
    site.n_gates = 0;
    int r = yaml_map_begin(&map, node, "site-gates", err);
    if (r == 0)
        r = yaml_take_map(&map, "gates", &gates);
    if (r == 0)
        r = load_gates(&loader, gates);
    if (r == 0)
        r = load_gate_uses(&loader, &map, "may-stop", GATE_SCOPE_CLUSTER, &outp->may_stop, &outp->n_may_stop);
    if (r == 0)
        r = load_gate_uses(&loader, &map, "recovered", GATE_SCOPE_CLUSTER, &outp->recovered,
                           &outp->n_recovered);
    if (r == 0)
        r = yaml_map_end(&map);
    return r < 0 ? r : names_judge(&loader, recipe, gates);
}
