/* Why finalize is asked for by a value and not by the exit code of its command: it cannot be taken back, so half-done and
 * done-already must be decidable by looking. */
#include "coordinator/recipes/load.h"

int load_finalize(struct loader *loader, const struct yaml_node *node) {
    const unsigned member = PLACE_CLUSTER | PLACE_MEMBER;
    struct recipe_finalize *out = arena_alloc(loader->arena, sizeof(*out));
    struct yaml_map map;
    const struct yaml_node *value, *act;
    if (!out)
        return load_no_memory(loader);
    int r = yaml_map_begin(&map, node, "finalize", loader->err);
    if (r == 0)
        r = yaml_take_text(&map, "about", KEDGE_REASON_MAX / 2, &out->about);
    if (r == 0)
        r = load_milliseconds(&map, "soak", &out->soak_ms);
    if (r == 0)
        r = load_when(loader, &map, &out->when);
    if (r == 0)
        r = yaml_take_node(&map, "value", &value);
    if (r == 0)
        r = load_probe(loader, value, member, &out->value);
    if (r == 0)
        r = load_template(loader, &map, "ours", member, &out->ours);
    if (r == 0)
        r = yaml_take_node(&map, "act", &act);
    if (r == 0)
        r = load_command(loader, act, member | PLACE_FACTS, &out->act);
    if (r == 0)
        r = yaml_map_end(&map);
    if (r == 0)
        loader->recipe->finalize = out;
    return r;
}
