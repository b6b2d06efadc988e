/* Named actions of a downtime. Each has a done-if: without it nobody could say, after a crash, whether it was done, and a format
 * that is done twice is worse than one that waits for a person. */
#include "coordinator/recipes/load.h"

#include <string.h>

enum { ACTIONS_MAX = 8 };

static int role_load(struct loader *loader, struct yaml_map *map, const struct recipe_role **outp) {
    const struct yaml_node *node = NULL;
    const char *name = NULL;
    int r = yaml_take_node_optional(map, "role", &node);
    *outp = &loader->recipe->roles[0];
    if (r < 0 || !node)
        return r;
    r = yaml_text_of(node, yaml_range(1, KEDGE_NAME_MAX), &name, loader->err);
    if (r == 0 && !(*outp = recipe_role_find(loader->recipe, name)))
        r = yaml_refuse(node, loader->err, "there is no role \"%s\" under `roles`", name);
    return r;
}

static int action_load(struct loader *loader, const struct yaml_pair *pair, struct recipe_action *outp) {
    const unsigned places = PLACE_CLUSTER | PLACE_MEMBER | PLACE_FACTS;
    static const struct yaml_word place_words[] = {
        {"before", ACTION_BEFORE}, {"behind", ACTION_BEHIND}, {"way-back", ACTION_WAY_BACK}, {NULL, 0}};
    static const struct yaml_word on_words[] = {{"one", 0}, {"each", 1}, {NULL, 0}};
    struct yaml_map map;
    const struct yaml_node *done_if;
    int place = 0, each = 0;
    outp->name = pair->key->text;
    outp->about = "";
    if (!load_name_is_plain(outp->name) || strlen(outp->name) > KEDGE_NAME_MAX - 9)
        return yaml_refuse(pair->key, loader->err, "a name is at most %d lower-case letters, digits and -",
                           KEDGE_NAME_MAX - 9);
    int r = yaml_map_begin(&map, pair->value, "action", loader->err);
    if (r == 0)
        r = yaml_take_text_optional(&map, "about", KEDGE_REASON_MAX, &outp->about);
    if (r == 0)
        r = role_load(loader, &map, &outp->role);
    if (r == 0)
        r = yaml_take_enum_optional(&map, "on", on_words, &each);
    if (r == 0)
        r = yaml_take_enum(&map, "at", place_words, &place);
    outp->each = each;
    outp->place = (enum action_place)place;
    if (r == 0)
        r = load_templates_optional(loader, &map, "run", places, &outp->command.arguments,
                                    &outp->command.n_arguments);
    if (r == 0 && outp->command.n_arguments == 0)
        r = yaml_refuse(pair->value, loader->err, "an action needs `run`, the words of its command");
    if (r == 0)
        r = load_milliseconds(&map, "deadline", &outp->command.deadline_ms);
    if (r == 0)
        r = yaml_take_node(&map, "done-if", &done_if);
    if (r == 0)
        r = load_check(loader, done_if, places, &outp->done_if);
    if (r == 0)
        r = load_when(loader, &map, &outp->command.when);
    return r < 0 ? r : yaml_map_end(&map);
}

int load_actions(struct loader *loader, const struct yaml_node *node) {
    struct recipe *recipe = loader->recipe;
    struct recipe_action *actions = LOAD_ARRAY(loader, node, &recipe->n_actions, struct recipe_action);
    if (!actions)
        return load_no_memory(loader);
    if (recipe->n_actions > ACTIONS_MAX)
        return yaml_refuse(node, loader->err, "at most %d actions", ACTIONS_MAX);
    recipe->actions = actions;
    for (size_t i = 0; i < recipe->n_actions; i++) {
        int r = action_load(loader, &node->pairs[i], &actions[i]);
        if (r < 0)
            return r;
    }
    return 0;
}
