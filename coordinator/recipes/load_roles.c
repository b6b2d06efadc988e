/* Why roles are a list and not a map: their order in the file is the order of the upgrade. */
#include "coordinator/recipes/load.h"
#include "coordinator/recipes/scope.h"

#include <signal.h>
#include <string.h>

static const struct yaml_word mode_words[] = {
    {"read-write", MODE_READ_WRITE}, {"read-only", MODE_READ_ONLY}, {NULL, 0}};
static const struct yaml_word release_words[] = {
    {"executable", RELEASE_FROM_EXECUTABLE}, {"open-files", RELEASE_FROM_OPEN_FILES}, {NULL, 0}};
static const struct yaml_word format_words[] = {{"properties", CONFIG_PROPERTIES}, {NULL, 0}};
static const struct yaml_word signal_words[] = {{"TERM", SIGTERM}, {"INT", SIGINT},   {"QUIT", SIGQUIT},
                                                {"HUP", SIGHUP},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
                                                {NULL, 0}};

enum { MEMBER = PLACE_CLUSTER | PLACE_MEMBER, FACTS = PLACE_CLUSTER | PLACE_MEMBER | PLACE_FACTS };

/* Makes a loader of one map out of its takers: begins, takes, refuses what is left. */
static int modes_load(struct loader *loader, struct yaml_map *role, struct recipe_role *outp) {
    const struct yaml_node *node;
    int r = yaml_take_map(role, "modes", &node);
    if (r < 0)
        return r;
    struct recipe_mode *modes = LOAD_ARRAY(loader, node, &outp->n_modes, struct recipe_mode);
    if (!modes)
        return load_no_memory(loader);
    bool writable = false;
    for (size_t i = 0; r == 0 && i < outp->n_modes; i++) {
        int mode = 0;
        r = yaml_enum_of(node->pairs[i].key, mode_words, &mode, loader->err);
        modes[i].mode = (enum mode)mode;
        writable = writable || mode == MODE_READ_WRITE;
        if (r == 0)
            r = load_gate_name(loader, node->pairs[i].value, GATE_SCOPE_MEMBER, &modes[i].gate);
    }
    outp->modes = modes;
    return r == 0 && !writable ? yaml_refuse(node, loader->err, "`modes` must say what read-write is") : r;
}

static int release_load(struct loader *loader, const struct yaml_node *node, struct recipe_role *outp) {
    struct yaml_map map;
    int from = 0;
    int r = yaml_map_begin(&map, node, "release", loader->err);
    if (r == 0)
        r = yaml_take_enum(&map, "from", release_words, &from);
    outp->release_from = (enum release_from)from;
    if (r == 0)
        r = load_expression(loader, &map, "match", PLACE_CLUSTER, &outp->release_match);
    return r < 0 ? r : yaml_map_end(&map);
}

static int config_load(struct loader *loader, const struct yaml_node *node, struct recipe_role *outp) {
    struct yaml_map map;
    int format = 0;
    int r = yaml_map_begin(&map, node, "configuration", loader->err);
    if (r == 0)
        r = yaml_take_text(&map, "after", KEDGE_NAME_MAX, &outp->config_after);
    if (r == 0)
        r = yaml_take_enum(&map, "format", format_words, &format);
    outp->config_format = (enum config_format)format;
    if (r == 0)
        r = load_texts_optional(&map, "clear", &outp->clear_config, &outp->n_clear_config);
    if (r == 0)
        r = load_texts_optional(&map, "data", &outp->data_keys, &outp->n_data_keys);
    if (r == 0)
        r = yaml_take_text_optional(&map, "shipped", KEDGE_PATH_MAX, &outp->shipped_config);
    if (r == 0)
        r = load_texts_optional(&map, "carry", &outp->carry, &outp->n_carry);
    if (r == 0 && outp->shipped_config && outp->n_carry == 0)
        r = yaml_refuse(node, loader->err,
                        "with a `shipped` configuration, `carry` says which keys move into it");
    return r < 0 ? r : yaml_map_end(&map);
}

static int rewrite_load(struct loader *loader, const struct yaml_node *node, struct recipe_rewrite *outp) {
    struct yaml_map map;
    const char *separator = "";
    uint64_t position = 0;
    int r = yaml_map_begin(&map, node, "rewrite", loader->err);
    outp->by_position = r == 0 && yaml_has(&map, "argument");
    if (r == 0)
        r = yaml_take_uint_optional(&map, "argument", yaml_range(0, KEDGE_ARGUMENTS_MAX), &position);
    outp->position = (uint32_t)position;
    if (r == 0)
        r = yaml_take_text_optional(&map, "after", KEDGE_NAME_MAX, &outp->after);
    if (r == 0)
        r = yaml_take_text_optional(&map, "word", KEDGE_ARGUMENT_MAX, &outp->word);
    if (r == 0)
        r = load_when(loader, &map, &outp->when);
    if (r == 0)
        r = yaml_take_text_optional(&map, "separator", 1, &separator);
    outp->separator = *separator;
    if (r == 0)
        r = load_texts_optional(&map, "entries", &outp->entries, &outp->n_entries);
    if (r == 0)
        r = load_template(loader, &map, "to", FACTS, &outp->to);
    if (r == 0 && outp->by_position + (outp->after != NULL) + (outp->word != NULL) != 1)
        r = yaml_refuse(
            node, loader->err,
            "a rewrite says one of `argument` (its number), `after` (the word before) and `word`");
    if (r == 0 && (outp->separator != 0) != (outp->n_entries > 0))
        r = yaml_refuse(node, loader->err, "`separator` and `entries` go together");
    return r < 0 ? r : yaml_map_end(&map);
}

static int rewrites_load(struct loader *loader, struct yaml_map *start, struct recipe_role *outp) {
    const struct yaml_node *list = NULL;
    int r = yaml_take_list_optional(start, "rewrite", yaml_range(1, 16), &list);
    struct recipe_rewrite *rewrites = LOAD_ARRAY(loader, list, &outp->n_rewrites, struct recipe_rewrite);
    if (r == 0 && !rewrites)
        return load_no_memory(loader);
    for (size_t i = 0; r == 0 && i < outp->n_rewrites; i++)
        r = rewrite_load(loader, list->items[i], &rewrites[i]);
    outp->rewrites = rewrites;
    return r;
}

/* Of two that hold no template; the others are judged for each member, by the planner. */
static bool cap_is_shorter(const struct recipe_role *role) {
    uint64_t deadline_ms, cap_ms;
    return role->start_cap && duration_parse(role->start_deadline, &deadline_ms) &&
           duration_parse(role->start_cap, &cap_ms) && cap_ms < deadline_ms;
}

static int start_load(struct loader *loader, const struct yaml_node *node, struct recipe_role *outp) {
    struct yaml_map map;
    int r = yaml_map_begin(&map, node, "start", loader->err);
    if (r == 0)
        r = rewrites_load(loader, &map, outp);
    if (r == 0)
        r = load_texts_optional(&map, "read-only", &outp->read_only, &outp->n_read_only);
    if (r == 0)
        r = load_duration(loader, &map, "deadline", &outp->start_deadline);
    if (r == 0 && yaml_has(&map, "hard-cap"))
        r = load_duration(loader, &map, "hard-cap", &outp->start_cap);
    if (r == 0)
        r = load_expression_optional(loader, &map, "progress", PLACE_CLUSTER, &outp->progress);
    if (r == 0 && cap_is_shorter(outp))
        r = yaml_refuse(node, loader->err, "`hard-cap` is shorter than `deadline`");
    return r < 0 ? r : yaml_map_end(&map);
}

static int stop_load(struct loader *loader, const struct yaml_node *node, struct recipe_role *outp) {
    struct yaml_map map;
    int number = SIGTERM;
    int r = yaml_map_begin(&map, node, "stop", loader->err);
    if (r == 0)
        r = yaml_take_enum_optional(&map, "signal", signal_words, &number);
    outp->signal = (uint32_t)number;
    if (r == 0)
        r = load_milliseconds(&map, "deadline", &outp->stop_deadline_ms);
    return r < 0 ? r : yaml_map_end(&map);
}

static int promote_load(struct loader *loader, struct yaml_map *role, struct recipe_role *outp) {
    const struct yaml_node *list = NULL;
    int r = yaml_take_list_optional(role, "after-promote", yaml_range(1, 8), &list);
    struct recipe_command *commands = LOAD_ARRAY(loader, list, &outp->n_after_promote, struct recipe_command);
    if (r == 0 && !commands)
        return load_no_memory(loader);
    for (size_t i = 0; r == 0 && i < outp->n_after_promote; i++)
        r = load_command(loader, list->items[i], FACTS, &commands[i]);
    outp->after_promote = commands;
    return r;
}

static int identity_load(struct loader *loader, struct yaml_map *map, struct recipe_role *outp) {
    const struct yaml_node *release, *config = NULL, *instance = NULL;
    int r = yaml_take_text(map, "name", KEDGE_NAME_MAX, &outp->name);
    if (r == 0)
        r = load_template(loader, map, "self", PLACE_CLUSTER, &outp->self);
    if (r == 0)
        r = load_template(loader, map, "port", PLACE_CLUSTER, &outp->port);
    if (r == 0)
        r = load_expression(loader, map, "process", MEMBER, &outp->process);
    if (r == 0)
        r = yaml_take_node(map, "release", &release);
    if (r == 0)
        r = release_load(loader, release, outp);
    if (r == 0)
        r = yaml_take_node_optional(map, "configuration", &config);
    if (r == 0 && config)
        r = config_load(loader, config, outp);
    if (r == 0)
        r = load_texts_optional(map, "clear-arguments", &outp->clear_arguments, &outp->n_clear_arguments);
    if (r == 0)
        r = yaml_take_node_optional(map, "instance", &instance);
    struct recipe_probe *probe = instance ? arena_alloc(loader->arena, sizeof(*probe)) : NULL;
    if (r == 0 && instance && !probe)
        return load_no_memory(loader);
    if (r == 0 && instance)
        r = load_probe(loader, instance, MEMBER, probe);
    outp->instance = probe;
    return r;
}

/* One question serves all members: it must not know one of them by name, and must leave out the one it is asked for. */
static int last_judge(struct loader *loader, const struct yaml_node *node, const struct recipe_gate *last) {
    bool without_self = false;
    for (size_t i = 0; i < last->n_checks; i++) {
        const struct recipe_check *check = &last->checks[i];
        const char *const texts[] = {check->probe.target, check->probe.path, check->probe.match, check->says};
        without_self = without_self || check->without_self;
        for (size_t k = 0; k < ARRAY_LEN(texts); k++)
            if (texts[k] && strstr(texts[k], "{self}"))
                return yaml_refuse(node, loader->err,
                                   "gate %s says who goes last: it uses `without-self`, not {self}",
                                   last->name);
    }
    return without_self
               ? 0
               : yaml_refuse(node, loader->err,
                             "gate %s says who goes last: one of its checks needs `without-self: true`",
                             last->name);
}

static int role_load(struct loader *loader, const struct yaml_node *node, struct recipe_role *outp) {
    struct yaml_map map;
    const struct yaml_node *start, *stop;
    int r = yaml_map_begin(&map, node, "role", loader->err);
    if (r == 0)
        r = identity_load(loader, &map, outp);
    if (r == 0)
        r = modes_load(loader, &map, outp);
    if (r == 0)
        r = load_gate_uses(loader, &map, "after-start", GATE_SCOPE_MEMBER, &outp->after_start,
                           &outp->n_after_start);
    if (r == 0)
        r = load_gate_optional(loader, &map, "proof-of-life", GATE_SCOPE_MEMBER, &outp->proof);
    if (r == 0 && outp->proof && !outp->proof->sample)
        r = yaml_refuse(node, loader->err, "`proof-of-life` names a gate with a sample, %s has none",
                        outp->proof->name);
    if (r == 0)
        r = load_gate_optional(loader, &map, "last", GATE_SCOPE_MEMBER, &outp->last);
    if (r == 0 && outp->last)
        r = last_judge(loader, node, outp->last);
    if (r == 0)
        r = yaml_take_node(&map, "start", &start);
    if (r == 0)
        r = start_load(loader, start, outp);
    if (r == 0)
        r = yaml_take_node(&map, "stop", &stop);
    if (r == 0)
        r = stop_load(loader, stop, outp);
    if (r == 0)
        r = promote_load(loader, &map, outp);
    bool reads_only = false;
    for (size_t i = 0; i < outp->n_modes; i++)
        reads_only = reads_only || outp->modes[i].mode == MODE_READ_ONLY;
    if (r == 0 && outp->n_read_only > 0 && !reads_only)
        r = yaml_refuse(node, loader->err,
                        "a role that starts read-only says under `modes` what read-only is");
    return r < 0 ? r : yaml_map_end(&map);
}

int load_roles(struct loader *loader, const struct yaml_node *node) {
    struct recipe *recipe = loader->recipe;
    struct recipe_role *roles = LOAD_ARRAY(loader, node, &recipe->n_roles, struct recipe_role);
    if (!roles)
        return load_no_memory(loader);
    recipe->roles = roles;
    for (size_t i = 0; i < recipe->n_roles; i++) {
        int r = role_load(loader, node->items[i], &roles[i]);
        for (size_t k = 0; r == 0 && k < i; k++)
            if (strcmp(roles[k].name, roles[i].name) == 0)
                r = yaml_refuse(node->items[i], loader->err, "role %s stands twice", roles[i].name);
        if (r < 0)
            return r;
    }
    return 0;
}
