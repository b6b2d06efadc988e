/* Why compatibility is rows and not code: what may follow what, how far the way back goes and why, is knowledge of the
 * system's people; each row can be read beside their release notes. */
#include "coordinator/recipes/load.h"

#include "coordinator/recipes/version.h"

#include <string.h>

static const struct yaml_word verdict_words[] = {
    {"allowed", VERSION_ALLOWED}, {"refused", VERSION_REFUSED}, {"downtime", VERSION_DOWNTIME}, {NULL, 0}};
static const struct yaml_word way_back_words[] = {{"until-start", WAY_BACK_UNTIL_START},
                                                  {"until-promotion", WAY_BACK_UNTIL_PROMOTION},
                                                  {"until-finalize", WAY_BACK_UNTIL_FINALIZE},
                                                  {"cluster", WAY_BACK_CLUSTER},
                                                  {"never", WAY_BACK_NEVER},
                                                  {NULL, 0}};
static const struct yaml_word level_words[] = {{"consent", 0}, {"refuse", 1}, {NULL, 0}};

/* The verb is the key that holds the configuration key; the second word is its object, if it has one. */
static const struct {
    const char *verb, *object;
    enum config_op_kind kind;
} config_verbs[] = {{"set", "to", CONFIG_SET},
                    {"remove", NULL, CONFIG_REMOVE},
                    {"rename", "to", CONFIG_RENAME},
                    {"add-if-missing", "to", CONFIG_ADD_IF_MISSING},
                    {"carry", NULL, CONFIG_CARRY}};

static int config_op_load(struct loader *loader, const struct yaml_node *node,
                          struct recipe_config_op *outp) {
    struct yaml_map map;
    size_t n = 0, which = 0;
    int r = yaml_map_begin(&map, node, "configuration change", loader->err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(config_verbs); i++)
        if (yaml_has(&map, config_verbs[i].verb)) {
            which = i;
            n++;
        }
    if (r == 0 && n != 1)
        r = yaml_refuse(node, loader->err,
                        "a configuration change is one of set, remove, rename, add-if-missing, carry");
    if (r == 0)
        r = load_template(loader, &map, config_verbs[which].verb, PLACE_CLUSTER | PLACE_MEMBER, &outp->key);
    outp->kind = config_verbs[which].kind;
    if (r == 0 && config_verbs[which].object)
        r = load_template(loader, &map, config_verbs[which].object, PLACE_CLUSTER | PLACE_MEMBER,
                          &outp->value);
    if (r == 0)
        r = load_when(loader, &map, &outp->when);
    return r < 0 ? r : yaml_map_end(&map);
}

int load_config_ops(struct loader *loader, const struct yaml_node *node, const struct recipe_config_op **outp,
                    size_t *n_outp) {
    struct recipe_config_op *ops = LOAD_ARRAY(loader, node, n_outp, struct recipe_config_op);
    if (!ops)
        return load_no_memory(loader);
    *outp = ops;
    for (size_t i = 0; i < *n_outp; i++) {
        int r = config_op_load(loader, node->items[i], &ops[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int warning_load(struct loader *loader, const struct yaml_node *node, struct recipe_warning *outp) {
    struct yaml_map map;
    int level = 0;
    int r = yaml_map_begin(&map, node, "warning", loader->err);
    if (r == 0)
        r = yaml_take_text(&map, "name", KEDGE_NAME_MAX, &outp->name);
    if (r == 0)
        r = load_template(loader, &map, "says", PLACE_CLUSTER | PLACE_MEMBER | PLACE_FACTS, &outp->says);
    if (r == 0)
        r = yaml_take_enum_optional(&map, "level", level_words, &level);
    outp->refuses = level == 1;
    if (r == 0)
        r = load_when(loader, &map, &outp->when);
    return r < 0 ? r : yaml_map_end(&map);
}

int load_warnings(struct loader *loader, const struct yaml_node *node, const struct recipe_warning **outp,
                  size_t *n_outp) {
    struct recipe_warning *warnings = LOAD_ARRAY(loader, node, n_outp, struct recipe_warning);
    if (!warnings)
        return load_no_memory(loader);
    *outp = warnings;
    for (size_t i = 0; i < *n_outp; i++) {
        int r = warning_load(loader, node->items[i], &warnings[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int pattern_load(struct loader *loader, struct yaml_map *map, const char *key, const char **outp) {
    const struct yaml_node *node;
    int r = yaml_take_node(map, key, &node);
    if (r == 0)
        r = yaml_text_of(node, yaml_range(1, KEDGE_NAME_MAX), outp, loader->err);
    if (r == 0 && !version_pattern_is_valid(*outp))
        r = yaml_refuse(node, loader->err,
                        "\"%s\" is no version pattern as 4.5.0, 4.5.x, 4.5.x..4.8.x, >=4.5 or *", *outp);
    return r;
}

static int version_load(struct loader *loader, const struct yaml_node *node, struct version_row *outp) {
    struct yaml_map map;
    const struct yaml_node *ops = NULL, *warnings = NULL;
    int verdict = 0, way_back = WAY_BACK_UNTIL_FINALIZE;
    outp->line = node->line;
    outp->why = "";
    int r = yaml_map_begin(&map, node, "version row", loader->err);
    if (r == 0)
        r = pattern_load(loader, &map, "from", &outp->from);
    if (r == 0)
        r = pattern_load(loader, &map, "to", &outp->to);
    if (r == 0)
        r = yaml_take_enum(&map, "verdict", verdict_words, &verdict);
    if (r == 0)
        r = yaml_take_text_optional(&map, "why", KEDGE_REASON_MAX, &outp->why);
    if (r == 0)
        r = yaml_take_enum_optional(&map, "way-back", way_back_words, &way_back);
    if (r == 0)
        r = yaml_take_text_optional(&map, "no-return", KEDGE_REASON_MAX / 2, &outp->no_return);
    if (r == 0)
        r = load_when(loader, &map, &outp->when);
    if (r == 0)
        r = yaml_take_list_optional(&map, "config", yaml_range(1, KEDGE_CONFIG_OPS_MAX), &ops);
    if (r == 0)
        r = yaml_take_list_optional(&map, "warnings", yaml_range(1, 16), &warnings);
    if (r == 0)
        r = yaml_map_end(&map);
    outp->verdict = (enum version_verdict)verdict;
    outp->way_back = (enum way_back)way_back;
    if (r == 0 && outp->verdict == VERSION_ALLOWED && outp->way_back != WAY_BACK_UNTIL_FINALIZE &&
        !outp->no_return)
        r = yaml_refuse(node, loader->err,
                        "a way back that closes needs `no-return`: what cannot be undone, and why");
    if (r == 0 && outp->verdict != VERSION_ALLOWED && !*outp->why)
        r = yaml_refuse(node, loader->err, "a pair that is not allowed needs `why`");
    if (r == 0)
        r = load_config_ops(loader, ops, &outp->ops, &outp->n_ops);
    return r < 0 ? r : load_warnings(loader, warnings, &outp->warnings, &outp->n_warnings);
}

int load_versions(struct loader *loader, const struct yaml_node *node) {
    struct recipe *recipe = loader->recipe;
    struct version_row *rows = LOAD_ARRAY(loader, node, &recipe->n_versions, struct version_row);
    if (!rows)
        return load_no_memory(loader);
    recipe->versions = rows;
    for (size_t i = 0; i < recipe->n_versions; i++) {
        int r = version_load(loader, node->items[i], &rows[i]);
        if (r < 0)
            return r;
    }
    return 0;
}
