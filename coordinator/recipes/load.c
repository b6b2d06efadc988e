/* Why one pass in a fixed order (values, options, gates, then all that names them) instead of the order of the file:
 * every reference is then judged where it stands, with its line and column, and nothing has to be patched up later. */
#include "coordinator/recipes/load.h"

#include "common/base/file.h"
#include "coordinator/recipes/version.h"

#include <ctype.h>
#include <string.h>

static const struct yaml_word kind_words[] = {{"text", VALUE_TEXT},
                                              {"number", VALUE_NUMBER},
                                              {"duration", VALUE_DURATION},
                                              {"path", VALUE_PATH},
                                              {"address", VALUE_ADDRESS},
                                              {"addresses", VALUE_ADDRESSES},
                                              {NULL, 0}};

bool load_name_is_plain(const char *name) {
    if (!islower((unsigned char)*name) || strlen(name) > KEDGE_NAME_MAX)
        return false;
    for (; *name; name++)
        if (!islower((unsigned char)*name) && !isdigit((unsigned char)*name) && *name != '-')
            return false;
    return true;
}

/* Names that templates and conditions already use for something else. */
static bool name_is_taken(const char *name) {
    static const char *const taken[] = {
        "cluster",    "members",   "self",          "member", "node",     "domain", "role",  "config",
        "executable", "directory", "release",       "ours",   "previous", "items",  "count", "from-version",
        "to-version", "canary",    "configuration", "mode",   "origin",   "o",      "e",     "i"};
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (strcmp(taken[i], name) == 0)
            return true;
    return false;
}

static int name_check(struct loader *loader, const struct yaml_node *key) {
    if (!load_name_is_plain(key->text))
        return yaml_refuse(key, loader->err,
                           "a name is lower-case letters, digits and -, beginning with a letter");
    if (name_is_taken(key->text))
        return yaml_refuse(key, loader->err, "\"%s\" is one of Kedge's own names", key->text);
    return 0;
}

static int value_load(struct loader *loader, const struct yaml_pair *pair, struct recipe_value *outp) {
    struct yaml_map map;
    int kind = VALUE_TEXT;
    outp->name = pair->key->text;
    outp->about = "";
    int r = name_check(loader, pair->key);
    if (r == 0)
        r = yaml_map_begin(&map, pair->value, "value", loader->err);
    if (r == 0)
        r = yaml_take_enum(&map, "kind", kind_words, &kind);
    outp->kind = (enum value_kind)kind;
    if (r == 0)
        r = load_template_optional(loader, &map, "default", PLACE_CLUSTER, &outp->fallback);
    if (r == 0)
        r = yaml_take_bool_optional(&map, "required", &outp->required);
    if (r == 0)
        r = yaml_take_bool_optional(&map, "clear", &outp->clear);
    if (r == 0)
        r = yaml_take_text_optional(&map, "about", KEDGE_REASON_MAX, &outp->about);
    if (r == 0 && outp->required && outp->fallback)
        r = yaml_refuse(pair->value, loader->err, "a value is either `required` or has a `default`");
    return r < 0 ? r : yaml_map_end(&map);
}

/* A default may use the values above it: n_values grows one by one. */
static int values_load(struct loader *loader, const struct yaml_node *node) {
    size_t n;
    struct recipe_value *values = LOAD_ARRAY(loader, node, &n, struct recipe_value);
    if (!values)
        return load_no_memory(loader);
    loader->recipe->values = values;
    for (size_t i = 0; i < n; i++) {
        int r = value_load(loader, &node->pairs[i], &values[i]);
        if (r < 0)
            return r;
        loader->recipe->n_values = i + 1;
    }
    return 0;
}

static int option_load(struct loader *loader, const struct yaml_pair *pair, struct recipe_option *outp) {
    struct yaml_map map;
    outp->name = pair->key->text;
    outp->about = "";
    int r = name_check(loader, pair->key);
    if (r == 0 && recipe_value_find(loader->recipe, outp->name))
        r = yaml_refuse(pair->key, loader->err, "%s is already the name of a value", outp->name);
    if (r == 0)
        r = yaml_map_begin(&map, pair->value, "option", loader->err);
    if (r == 0)
        r = load_texts_optional(&map, "choices", &outp->choices, &outp->n_choices);
    if (r == 0 && outp->n_choices < 2)
        r = yaml_refuse(pair->value, loader->err, "an option has at least two `choices`");
    if (r == 0)
        r = yaml_take_text(&map, "default", KEDGE_NAME_MAX, &outp->fallback);
    bool known = false;
    for (size_t i = 0; r == 0 && i < outp->n_choices; i++)
        known = known || strcmp(outp->choices[i], outp->fallback) == 0;
    if (r == 0 && !known)
        r = yaml_refuse(pair->value, loader->err, "default \"%s\" is none of the choices", outp->fallback);
    if (r == 0)
        r = yaml_take_text_optional(&map, "about", KEDGE_REASON_MAX, &outp->about);
    return r < 0 ? r : yaml_map_end(&map);
}

static int options_load(struct loader *loader, const struct yaml_node *node) {
    struct recipe *recipe = loader->recipe;
    size_t n;
    struct recipe_option *options = LOAD_ARRAY(loader, node, &n, struct recipe_option);
    if (!options)
        return load_no_memory(loader);
    recipe->options = options;
    for (size_t i = 0; i < n; i++) {
        int r = option_load(loader, &node->pairs[i], &options[i]);
        if (r < 0)
            return r;
        recipe->n_options = i + 1;
    }
    return 0;
}

static int side_action_load(struct loader *loader, const struct yaml_pair *pair,
                            struct recipe_side_action *outp) {
    const unsigned places = PLACE_CLUSTER | PLACE_MEMBER | PLACE_FACTS | PLACE_SIDE;
    static const struct yaml_word loss_words[] = {{"undo", ON_LOSS_UNDO}, {"hold", ON_LOSS_HOLD}, {NULL, 0}};
    struct yaml_map map;
    const struct yaml_node *value, *open, *close;
    int on_loss = ON_LOSS_UNDO;
    outp->name = pair->key->text;
    outp->about = "";
    if (!load_name_is_plain(outp->name) || strlen(outp->name) > KEDGE_NAME_MAX - 9)
        return yaml_refuse(pair->key, loader->err, "a name is at most %d lower-case letters, digits and -",
                           KEDGE_NAME_MAX - 9);
    int r = yaml_map_begin(&map, pair->value, "side action", loader->err);
    if (r == 0)
        r = yaml_take_text_optional(&map, "about", KEDGE_REASON_MAX, &outp->about);
    if (r == 0)
        r = yaml_take_node(&map, "value", &value);
    if (r == 0)
        r = load_probe(loader, value, PLACE_CLUSTER, &outp->value);
    if (r == 0)
        r = yaml_take_text(&map, "absent", KEDGE_NAME_MAX, &outp->absent);
    if (r == 0)
        r = load_template(loader, &map, "ours", PLACE_CLUSTER, &outp->ours);
    if (r == 0)
        r = yaml_take_bool_optional(&map, "at-least", &outp->at_least);
    if (r == 0)
        r = yaml_take_node(&map, "open", &open);
    if (r == 0)
        r = load_command(loader, open, places, &outp->open);
    if (r == 0)
        r = yaml_take_node(&map, "close", &close);
    if (r == 0)
        r = load_command(loader, close, places, &outp->close);
    if (r == 0)
        r = load_duration(loader, &map, "ttl", &outp->ttl);
    if (r == 0)
        r = load_duration(loader, &map, "delta", &outp->delta);
    if (r == 0)
        r = yaml_take_enum_optional(&map, "on-loss", loss_words, &on_loss);
    outp->on_loss = (enum on_loss)on_loss;
    if (r == 0)
        r = load_when(loader, &map, &outp->when);
    return r < 0 ? r : yaml_map_end(&map);
}

static int side_actions_load(struct loader *loader, const struct yaml_node *node) {
    struct recipe *recipe = loader->recipe;
    struct recipe_side_action *actions =
        LOAD_ARRAY(loader, node, &recipe->n_side_actions, struct recipe_side_action);
    if (!actions)
        return load_no_memory(loader);
    if (recipe->n_side_actions > 8)
        return yaml_refuse(node, loader->err, "at most 8 side actions");
    recipe->side_actions = actions;
    for (size_t i = 0; i < recipe->n_side_actions; i++) {
        int r = side_action_load(loader, &node->pairs[i], &actions[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the whole ---- */

static int needs_kedge(struct loader *loader, struct yaml_map *map) {
    const struct yaml_node *node;
    const char *pattern = NULL;
    int r = yaml_take_node(map, "needs-kedge", &node);
    if (r == 0)
        r = yaml_text_of(node, yaml_range(1, KEDGE_NAME_MAX), &pattern, loader->err);
    if (r == 0 && !version_pattern_is_valid(pattern))
        r = yaml_refuse(node, loader->err, "\"%s\" is no version pattern as >=0.1", pattern);
    if (r == 0 && !version_matches(pattern, KEDGE_VERSION))
        r = yaml_refuse(node, loader->err, "this recipe needs Kedge %s, this is %s", pattern, KEDGE_VERSION);
    return r;
}

struct parts {
    const struct yaml_node *values, *options, *gates, *roles, *side_actions, *actions, *finalize, *config,
        *versions, *warnings;
};

static int parts_take(struct loader *loader, struct yaml_map *map, struct parts *parts) {
    struct recipe *recipe = loader->recipe;
    recipe->about = "";
    int r = yaml_take_text(map, "recipe", KEDGE_NAME_MAX, &recipe->name);
    if (r == 0)
        r = yaml_take_text_optional(map, "about", KEDGE_REASON_MAX, &recipe->about);
    if (r == 0)
        r = needs_kedge(loader, map);
    if (r == 0)
        r = yaml_take_map_optional(map, "values", &parts->values);
    if (r == 0)
        r = yaml_take_map_optional(map, "options", &parts->options);
    if (r == 0)
        r = yaml_take_map(map, "gates", &parts->gates);
    if (r == 0)
        r = yaml_take_list(map, "roles", yaml_range(1, 16), &parts->roles);
    if (r == 0)
        r = yaml_take_map_optional(map, "side-actions", &parts->side_actions);
    if (r == 0)
        r = yaml_take_map_optional(map, "actions", &parts->actions);
    if (r == 0)
        r = yaml_take_map_optional(map, "finalize", &parts->finalize);
    if (r == 0)
        r = yaml_take_list_optional(map, "config", yaml_range(1, KEDGE_CONFIG_OPS_MAX), &parts->config);
    if (r == 0)
        r = yaml_take_list(map, "versions", yaml_range(1, 512), &parts->versions);
    if (r == 0)
        r = yaml_take_list_optional(map, "warnings", yaml_range(1, 64), &parts->warnings);
    return r;
}

static int gates_all_used(struct loader *loader, const struct yaml_node *gates) {
    for (size_t i = 0; i < loader->recipe->n_gates; i++)
        if (!loader->gate_used[i])
            return yaml_refuse(gates->pairs[i].key, loader->err, "gate %s is used by nothing",
                               loader->recipe->gates[i].name);
    return 0;
}

static int recipe_take(struct loader *loader, const struct yaml_node *root) {
    struct recipe *recipe = loader->recipe;
    struct parts parts = {0};
    struct yaml_map map;
    int r = yaml_map_begin(&map, root, "recipe", loader->err);
    if (r == 0)
        r = parts_take(loader, &map, &parts);
    if (r == 0)
        r = values_load(loader, parts.values);
    if (r == 0)
        r = options_load(loader, parts.options);
    if (r == 0)
        r = load_gates(loader, parts.gates);
    if (r == 0)
        r = load_gate_uses(loader, &map, "may-stop", GATE_SCOPE_CLUSTER, &recipe->may_stop,
                           &recipe->n_may_stop);
    if (r == 0)
        r = load_gate_uses(loader, &map, "recovered", GATE_SCOPE_CLUSTER, &recipe->recovered,
                           &recipe->n_recovered);
    if (r == 0)
        r = load_template_optional(loader, &map, "capacity", PLACE_CLUSTER, &recipe->capacity);
    if (r == 0)
        r = load_milliseconds_optional(&map, "soak-at-least", &recipe->soak_least_ms);
    if (r == 0)
        r = yaml_map_end(&map);
    if (r == 0)
        r = load_roles(loader, parts.roles);
    if (r == 0)
        r = side_actions_load(loader, parts.side_actions);
    if (r == 0 && parts.finalize)
        r = load_finalize(loader, parts.finalize);
    if (r == 0)
        r = load_actions(loader, parts.actions);
    if (r == 0)
        r = load_config_ops(loader, parts.config, &recipe->config, &recipe->n_config);
    if (r == 0)
        r = load_versions(loader, parts.versions);
    if (r == 0)
        r = load_warnings(loader, parts.warnings, &recipe->warnings, &recipe->n_warnings);
    return r < 0 ? r : gates_all_used(loader, parts.gates);
}

int recipe_parse(struct arena *arena, const char *name, struct bytes content, const struct recipe **outp,
                 struct error *err) {
    struct yaml_source source = {name, content};
    const struct yaml_node *root;
    int r = yaml_parse(arena, &source, &root, err);
    if (r < 0)
        return r;
    struct recipe *recipe = arena_alloc(arena, sizeof(*recipe));
    struct loader loader = {.arena = arena, .err = err, .recipe = recipe};
    if (!recipe)
        return load_no_memory(&loader);
    recipe->digest = digest_of(content);
    r = recipe_take(&loader, root);
    if (r == 0)
        *outp = recipe;
    return r;
}

int recipe_load(struct arena *arena, const char *path, const struct recipe **outp, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer content = {0};
    int r = file_read(path, KEDGE_YAML_BYTES_MAX, &content, err);
    return r < 0 ? r : recipe_parse(arena, path, buffer_bytes(&content), outp, err);
}
