/* Named actions of a downtime. Each has a done-if: without it nobody could say, after a crash, whether it was done, and a format
 * that is done twice is worse than one that waits for a person. */
#include "coordinator/recipes/load.h"

#include "coordinator/recipes/scope.h"

#include <string.h>

enum { ACTIONS_MAX = 8, EXPRESSION_MAX = 1024 };

/* What a captured value may look like when the recipe does not say: one word, as paths and addresses are. */
static const char ALLOWED[] = "[A-Za-z0-9._:@%+,=/-]+";

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

/* ---- what it puts out ---- */

/* `path: 'written to (.+)$'`, or `path: {match: ..., allowed: ...}` */
static int capture_load(struct loader *loader, const struct yaml_pair *pair, struct recipe_capture *outp) {
    struct yaml_map map;
    *outp = (struct recipe_capture){.name = pair->key->text, .allowed = ALLOWED};
    if (!load_name_is_plain(outp->name) || strlen(outp->name) > KEDGE_NAME_MAX)
        return yaml_refuse(pair->key, loader->err, "a name is at most %d lower-case letters, digits and -",
                           KEDGE_NAME_MAX);
    if (pair->value->text) {
        int r = yaml_text_of(pair->value, yaml_range(1, EXPRESSION_MAX), &outp->match, loader->err);
        return r < 0 ? r : load_expression_of(loader, pair->value, outp->match);
    }
    int r = yaml_map_begin(&map, pair->value, "capture", loader->err);
    if (r == 0)
        r = load_expression(loader, &map, "match", 0, &outp->match);
    if (r == 0)
        r = load_expression_optional(loader, &map, "allowed", 0, &outp->allowed);
    return r < 0 ? r : yaml_map_end(&map);
}

static int captures_load(struct loader *loader, struct yaml_map *map, struct recipe_action *outp) {
    const struct yaml_node *node = NULL;
    int r = yaml_take_map_optional(map, "captures", &node);
    struct recipe_capture *captures = LOAD_ARRAY(loader, node, &outp->n_captures, struct recipe_capture);
    if (r == 0 && !captures)
        return load_no_memory(loader);
    if (r == 0 && outp->n_captures > KEDGE_CAPTURES_MAX)
        return yaml_refuse(node, loader->err, "at most %d captures", KEDGE_CAPTURES_MAX);
    for (size_t i = 0; r == 0 && i < outp->n_captures; i++)
        r = capture_load(loader, &node->pairs[i], &captures[i]);
    outp->captures = captures;
    return r;
}

/* ---- what it takes ---- */

/* Later in the plan: behind the barrier is later than before it, the way back comes last. */
static bool comes_after(const struct recipe_action *taker, const struct recipe_action *from) {
    return taker->place != from->place ? taker->place > from->place : taker > from;
}

static int output_judge(struct loader *loader, const struct yaml_node *node, const char *name,
                        const struct recipe_action *taker) {
    const struct recipe_capture *capture;
    const struct recipe_action *from = recipe_output_find(loader->recipe, name, &capture);
    if (!from)
        return yaml_refuse(node, loader->err, "{%s}: there is no action with such a capture; see `captures`",
                           name);
    if (!comes_after(taker, from))
        return yaml_refuse(node, loader->err, "{%s}: action %s is not done before action %s", name,
                           from->name, taker->name);
    if (from->each && (!taker->each || taker->role != from->role))
        return yaml_refuse(node, loader->err,
                           "{%s}: each %s has its own, so only an action on each %s can take it", name,
                           from->role->name, from->role->name);
    return 0;
}

static int word_judge(struct loader *loader, const struct yaml_node *node,
                      const struct recipe_action *taker) {
    unsigned n = 0;
    size_t len;
    for (const char *at = template_next(node->text, &len); at; at = template_next(at + len, &len)) {
        const char *name = arena_text_n(loader->arena, at, len);
        if (!name)
            return load_no_memory(loader);
        if (strncmp(name, "output.", 7) != 0)
            continue;
        if (++n > 1)
            return yaml_refuse(node, loader->err, "a word holds at most one output of an action");
        int r = output_judge(loader, node, name, taker);
        if (r < 0)
            return r;
    }
    return 0;
}

/* When all actions are known. */
static int outputs_judge(struct loader *loader, const struct yaml_node *action,
                         const struct recipe_action *taker) {
    yaml_each(pair, action) {
        for (unsigned i = 0; strcmp(pair->key->text, "run") == 0 && i < pair->value->n; i++) {
            const struct yaml_node *word = pair->value->items[i];
            size_t len;
            const char *at = i == 0 ? template_next(word->text, &len) : NULL;
            if (at && strncmp(at, "output.", 7) == 0)
                return yaml_refuse(word, loader->err, "the program cannot be the output of an action");
            int r = word_judge(loader, word, taker);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* ---- actions ---- */

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
        r = load_templates_optional(loader, &map, "run", places | PLACE_OUTPUT, &outp->command.arguments,
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
        r = captures_load(loader, &map, outp);
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
    for (size_t i = 0; i < recipe->n_actions; i++) {
        int r = outputs_judge(loader, node->pairs[i].value, &actions[i]);
        if (r < 0)
            return r;
    }
    return 0;
}
