/* Why templates are judged when the recipe is read: a name that is mistyped in a rarely used row must be found by its
 * author, with line and column, and not by an operator at night. */
#include "coordinator/recipes/load.h"

#include "coordinator/recipes/scope.h"
#include "coordinator/recipes/version.h"

#include <regex.h>
#include <string.h>

enum { TEXT_MAX = 4096, LIST_MAX = 512 };

int load_no_memory(struct loader *loader) {
    return error_set(loader->err, -ENOMEM, "recipe: out of memory");
}

/* ---- names that templates and conditions may use ---- */

static const struct {
    const char *name;
    unsigned place;
} known_names[] = {
    {"cluster", PLACE_CLUSTER},  {"members", PLACE_CLUSTER},    {"self", PLACE_MEMBER},
    {"member", PLACE_MEMBER},    {"node", PLACE_MEMBER},        {"domain", PLACE_MEMBER},
    {"role", PLACE_MEMBER},      {"executable", PLACE_FACTS},   {"executable.tail", PLACE_FACTS},
    {"directory", PLACE_FACTS},  {"config", PLACE_FACTS},       {"next.config", PLACE_FACTS},
    {"release", PLACE_FACTS},    {"member.path", PLACE_FACTS},  {"from-version", PLACE_FACTS},
    {"to-version", PLACE_FACTS}, {"helper.znode", PLACE_FACTS}, {"ours", PLACE_SIDE},
    {"previous", PLACE_SIDE},
};

static bool begins_with(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* "timeout", and for durations "timeout.ms" and "timeout.s". */
static bool is_value(const struct recipe *recipe, const char *name) {
    for (size_t i = 0; i < recipe->n_values; i++) {
        const struct recipe_value *value = &recipe->values[i];
        size_t len = strlen(value->name);
        if (strncmp(value->name, name, len) != 0)
            continue;
        const char *rest = name + len;
        if (*rest == 0 ||
            (value->kind == VALUE_DURATION && (strcmp(rest, ".ms") == 0 || strcmp(rest, ".s") == 0)))
            return true;
    }
    return recipe_option_find(recipe, name) != NULL;
}

static bool name_is_known(const struct recipe *recipe, const char *name, unsigned places) {
    for (size_t i = 0; i < ARRAY_LEN(known_names); i++)
        if (known_names[i].place & places && strcmp(known_names[i].name, name) == 0)
            return true;
    if (places & PLACE_OUTPUT && begins_with(name, "output."))
        return true;
    if (places & PLACE_FACTS && (begins_with(name, "argument.") || begins_with(name, "config.")))
        return true;
    return is_value(recipe, name);
}

static int template_check(struct loader *loader, const struct yaml_node *node, const char *text,
                          unsigned places) {
    size_t len;
    for (const char *name = template_next(text, &len); name; name = template_next(name + len, &len)) {
        const char *plain = arena_text_n(loader->arena, name, len);
        if (!plain)
            return load_no_memory(loader);
        if (name_is_known(loader->recipe, plain, places))
            continue;
        if (name_is_known(loader->recipe, plain, ~0u))
            return yaml_refuse(node, loader->err,
                               "{%s} is not known at this place, only later or for one member", plain);
        return yaml_refuse(node, loader->err,
                           "{%s} is no value or option of this recipe and none of Kedge's names", plain);
    }
    return 0;
}

/* ---- takers ---- */

static int template_of(struct loader *loader, const struct yaml_node *node, unsigned places,
                       const char **outp) {
    int r = yaml_text_of(node, yaml_range(0, TEXT_MAX), outp, loader->err);
    return r < 0 ? r : template_check(loader, node, *outp, places);
}

int load_template(struct loader *loader, struct yaml_map *map, const char *key, unsigned places,
                  const char **outp) {
    const struct yaml_node *node;
    int r = yaml_take_node(map, key, &node);
    return r < 0 ? r : template_of(loader, node, places, outp);
}

int load_template_optional(struct loader *loader, struct yaml_map *map, const char *key, unsigned places,
                           const char **outp) {
    return yaml_has(map, key) ? load_template(loader, map, key, places, outp) : 0;
}

int load_templates_optional(struct loader *loader, struct yaml_map *map, const char *key, unsigned places,
                            const char *const **outp, size_t *n_outp) {
    const struct yaml_node *list = NULL;
    int r = yaml_take_list_optional(map, key, yaml_range(1, LIST_MAX), &list);
    const char **texts = LOAD_ARRAY(loader, list, n_outp, const char *);
    if (r == 0 && !texts)
        return load_no_memory(loader);
    for (size_t i = 0; r == 0 && i < *n_outp; i++)
        r = template_of(loader, list->items[i], places, &texts[i]);
    *outp = texts;
    return r;
}

int load_texts_optional(struct yaml_map *map, const char *key, const char *const **outp, size_t *n_outp) {
    struct yaml_texts texts = {0};
    int r = yaml_take_texts_optional(map, key, yaml_range(1, LIST_MAX), &texts);
    *outp = texts.items;
    *n_outp = texts.n;
    return r;
}

/* Templates become a letter before the try: what fills them in later is escaped and cannot break the expression. */
int load_expression_of(struct loader *loader, const struct yaml_node *node, const char *text) {
    _cleanup_(buffer_deinit) struct buffer plain = {0};
    size_t len;
    const char *rest = text;
    for (const char *name; (name = template_next(rest, &len)); rest = name + len + 1) {
        buffer_append(&plain, rest, (size_t)(name - 1 - rest));
        buffer_text(&plain, "x");
    }
    buffer_text(&plain, rest);
    if (plain.failed)
        return load_no_memory(loader);
    regex_t regex;
    int code = regcomp(&regex, (const char *)plain.data, REG_EXTENDED);
    if (code != 0) {
        char why[128];
        regerror(code, &regex, why, sizeof(why));
        return yaml_refuse(node, loader->err, "not a regular expression: %s", why);
    }
    regfree(&regex);
    return 0;
}

int load_expression(struct loader *loader, struct yaml_map *map, const char *key, unsigned places,
                    const char **outp) {
    const struct yaml_node *node;
    int r = yaml_take_node(map, key, &node);
    if (r == 0)
        r = template_of(loader, node, places, outp);
    return r < 0 ? r : load_expression_of(loader, node, *outp);
}

int load_expression_optional(struct loader *loader, struct yaml_map *map, const char *key, unsigned places,
                             const char **outp) {
    return yaml_has(map, key) ? load_expression(loader, map, key, places, outp) : 0;
}

int load_milliseconds_optional(struct yaml_map *map, const char *key, uint32_t *outp) {
    uint64_t ms = *outp;
    int r = yaml_take_duration_optional(map, key, yaml_range(0, 24 * 3600 * 1000), &ms);
    *outp = (uint32_t)ms;
    return r;
}

int load_milliseconds(struct yaml_map *map, const char *key, uint32_t *outp) {
    uint64_t ms = 0;
    int r = yaml_take_duration(map, key, yaml_range(0, 24 * 3600 * 1000), &ms);
    *outp = (uint32_t)ms;
    return r;
}

int load_duration(struct loader *loader, struct yaml_map *map, const char *key, const char **outp) {
    const struct yaml_node *node;
    uint64_t ms;
    size_t len;
    int r = yaml_take_node(map, key, &node);
    if (r == 0)
        r = template_of(loader, node, PLACE_CLUSTER, outp);
    if (r == 0 && !template_next(*outp, &len) && !duration_parse(*outp, &ms))
        r = yaml_refuse(node, loader->err, "\"%s\" is no duration as 5s or {value}", *outp);
    return r;
}

/* ---- conditions ---- */

static bool condition_name_is_known(const struct recipe *recipe, const char *name) {
    static const char *const facts[] = {"from-version",  "to-version", "canary",
                                        "configuration", "mode",       "origin"};
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        if (strcmp(facts[i], name) == 0)
            return true;
    return begins_with(name, "config.") || is_value(recipe, name);
}

static int option_choice_check(struct loader *loader, const struct yaml_node *node, const char *name,
                               const struct condition *condition) {
    const struct recipe_option *option = recipe_option_find(loader->recipe, name);
    for (size_t i = 0; option && i < condition->n_values; i++) {
        bool known = false;
        for (size_t k = 0; k < option->n_choices; k++)
            known = known || strcmp(option->choices[k], condition->values[i]) == 0;
        if (!known)
            return yaml_refuse(node, loader->err,
                               "\"%s\" is no choice of option %s, so this can never be true",
                               condition->values[i], name);
    }
    return 0;
}

static int condition_values(struct loader *loader, const struct yaml_node *node, struct condition *outp) {
    if (node->kind == YAML_KIND_LIST) {
        struct yaml_texts texts;
        int r = yaml_texts_of(node, yaml_range(1, LIST_MAX), &texts, loader->err);
        outp->values = texts.items;
        outp->n_values = texts.n;
        return r;
    }
    const char **one = arena_array(loader->arena, 1, sizeof(*one));
    if (!one)
        return load_no_memory(loader);
    outp->values = one;
    outp->n_values = 1;
    return yaml_text_of(node, yaml_range(0, TEXT_MAX), one, loader->err);
}

/* The one key of a condition that is a map: *nodep becomes its value. */
static int condition_verb(struct loader *loader, const struct yaml_node **nodep, struct condition *outp) {
    struct yaml_map map;
    const struct yaml_node *node = *nodep;
    int r = yaml_map_begin(&map, node, "condition", loader->err);
    if (r < 0)
        return r;
    outp->negate = yaml_has(&map, "not");
    outp->is_version = yaml_has(&map, "version");
    bool differs = yaml_has(&map, "differs-from");
    if (outp->negate + outp->is_version + differs != 1)
        return yaml_refuse(node, loader->err, "a condition says one of `not`, `version` and `differs-from`");
    r = yaml_take_node(&map, outp->negate ? "not" : differs ? "differs-from" : "version", nodep);
    if (r == 0 && differs)
        r = yaml_text_of(*nodep, yaml_range(1, KEDGE_NAME_MAX), &outp->other, loader->err);
    if (r == 0 && differs && !condition_name_is_known(loader->recipe, outp->other))
        r = yaml_refuse(*nodep, loader->err, "\"%s\" is no value of this recipe", outp->other);
    return r < 0 ? r : yaml_map_end(&map);
}

/* name: text | [texts] | {not: text or texts} | {version: pattern or patterns} | {differs-from: name} */
static int condition_load(struct loader *loader, const struct yaml_pair *pair, struct condition *outp) {
    outp->name = pair->key->text;
    if (!condition_name_is_known(loader->recipe, outp->name))
        return yaml_refuse(pair->key, loader->err,
                           "\"%s\" is no value or option of this recipe and no fact that a plan is made from",
                           outp->name);
    const struct yaml_node *node = pair->value;
    int r = node->kind == YAML_KIND_MAP ? condition_verb(loader, &node, outp) : 0;
    if (r < 0 || outp->other)
        return r;
    r = condition_values(loader, node, outp);
    for (size_t i = 0; r == 0 && outp->is_version && i < outp->n_values; i++)
        if (!version_pattern_is_valid(outp->values[i]))
            r = yaml_refuse(node, loader->err, "\"%s\" is no version pattern", outp->values[i]);
    return r < 0 ? r : option_choice_check(loader, node, outp->name, outp);
}

int load_when(struct loader *loader, struct yaml_map *map, struct when *outp) {
    const struct yaml_node *node = NULL;
    int r = yaml_take_map_optional(map, "when", &node);
    struct condition *all = LOAD_ARRAY(loader, node, &outp->n_all, struct condition);
    if (r == 0 && !all)
        return load_no_memory(loader);
    for (size_t i = 0; r == 0 && i < outp->n_all; i++)
        r = condition_load(loader, &node->pairs[i], &all[i]);
    outp->all = all;
    return r;
}

int load_command(struct loader *loader, const struct yaml_node *node, unsigned places,
                 struct recipe_command *outp) {
    struct yaml_map map;
    int r = yaml_map_begin(&map, node, "command", loader->err);
    if (r == 0)
        r = yaml_take_text_optional(&map, "name", KEDGE_NAME_MAX, &outp->name);
    if (r == 0)
        r = load_templates_optional(loader, &map, "run", places, &outp->arguments, &outp->n_arguments);
    if (r == 0 && outp->n_arguments == 0)
        r = yaml_refuse(node, loader->err, "a command needs `run`, its words");
    if (r == 0)
        r = load_milliseconds(&map, "deadline", &outp->deadline_ms);
    if (r == 0)
        r = load_when(loader, &map, &outp->when);
    return r < 0 ? r : yaml_map_end(&map);
}
