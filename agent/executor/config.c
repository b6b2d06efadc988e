/* Why permissions are lists and not patterns: an operator must be able to read at a glance what may be touched here. */
#include "agent/executor/config.h"

#include "common/yaml/reader.h"

#include <string.h>

static int key_of(const struct yaml_node *node, const char *text, struct public_key *outp,
                  struct error *err) {
    if (!public_key_parse(outp, text))
        return yaml_refuse(
            node, err, "\"%s\" is not a public key, expected \"ed25519:\" and 64 hexadecimal digits", text);
    return 0;
}

/* {threshold: 2, keys: [..]} */
static int take_anchors(struct yaml_map *top, const char *name, struct arena *arena,
                        const struct public_key **keysp, size_t *np, size_t *thresholdp, struct error *err) {
    const struct yaml_node *node, *list;
    struct yaml_map map;
    uint64_t threshold = 1;
    int r = yaml_take_map(top, name, &node);
    if (r == 0)
        r = yaml_map_begin(&map, node, name, err);
    if (r == 0)
        r = yaml_take_uint_optional(&map, "threshold", yaml_range(1, KEDGE_SIGNATURES_MAX), &threshold);
    if (r == 0)
        r = yaml_take_list(&map, "keys", yaml_range(1, 64), &list);
    if (r == 0)
        r = yaml_map_end(&map);
    if (r < 0)
        return r;
    struct public_key *keys = arena_array(arena, list->n, sizeof(*keys));
    if (!keys)
        return error_set(err, -ENOMEM, "%s: out of memory", name);
    for (size_t i = 0; i < list->n; i++) {
        const char *text;
        r = yaml_text_of(list->items[i], yaml_range(1, 128), &text, err);
        if (r == 0)
            r = key_of(list->items[i], text, &keys[i], err);
        for (size_t k = 0; r == 0 && k < i; k++)
            if (public_key_equal(&keys[k], &keys[i]))
                r = yaml_refuse(list->items[i], err, "the same key stands twice in %s", name);
        if (r < 0)
            return r;
    }
    if (threshold > list->n)
        return yaml_refuse(node, err, "threshold %llu, but only %u keys in %s", (unsigned long long)threshold,
                           list->n, name);
    *keysp = keys;
    *np = list->n;
    *thresholdp = (size_t)threshold;
    return 0;
}

static int take_coordinator(struct yaml_map *top, struct agent_config *config, struct error *err) {
    const struct yaml_node *node;
    struct yaml_map map;
    const char *key;
    int r = yaml_take_map(top, "coordinator", &node);
    if (r == 0)
        r = yaml_map_begin(&map, node, "coordinator", err);
    if (r == 0)
        r = yaml_take_text(&map, "address", 256, &config->coordinator);
    if (r == 0)
        r = yaml_take_text(&map, "artifacts", 256, &config->artifacts);
    if (r == 0)
        r = yaml_take_text(&map, "key", 128, &key);
    if (r == 0)
        r = yaml_map_end(&map);
    if (r == 0)
        r = key_of(node, key, &config->coordinator_key, err);
    if (r == 0 && strncmp(config->artifacts, "http://", 7) != 0 &&
        strncmp(config->artifacts, "https://", 8) != 0)
        r = yaml_refuse(node, err, "artifacts is \"%s\", expected a URL like http://host:7401",
                        config->artifacts);
    if (r == 0 && !strchr(config->coordinator, ':'))
        r = yaml_refuse(node, err, "address is \"%s\", expected host:port", config->coordinator);
    return r;
}

static int member_of(const struct yaml_node *node, struct allowed_member *member, struct error *err) {
    struct yaml_map map;
    int r = yaml_map_begin(&map, node, "member", err);
    if (r == 0)
        r = yaml_take_text(&map, "member", KEDGE_MEMBER_NAME_MAX, &member->member);
    if (r == 0)
        r = yaml_take_text_optional(&map, "user", KEDGE_NAME_MAX, &member->user);
    if (r == 0)
        r = yaml_map_end(&map);
    if (r == 0 && (!strchr(member->member, '/') || !strchr(member->member, '@')))
        r = yaml_refuse(node, err, "\"%s\" is not a member, expected cluster/role@node", member->member);
    return r;
}

static int take_allow(struct yaml_map *top, struct arena *arena, struct agent_config *config,
                      struct error *err) {
    static const struct yaml_word levels[] = {
        {"observe", ALLOW_OBSERVE}, {"change", ALLOW_CHANGE}, {NULL, 0}};
    const struct yaml_node *node = NULL, *members = NULL;
    struct yaml_map map;
    struct yaml_texts commands = {0};
    int level = ALLOW_OBSERVE;
    int r = yaml_take_map_optional(top, "allow", &node);
    if (r < 0 || !node)
        return r;
    r = yaml_map_begin(&map, node, "allow", err);
    if (r == 0)
        r = yaml_take_enum_optional(&map, "level", levels, &level);
    if (r == 0)
        r = yaml_take_list_optional(&map, "members", yaml_range(0, 256), &members);
    if (r == 0)
        r = yaml_take_texts_optional(&map, "commands", yaml_range(0, 64), &commands);
    if (r == 0)
        r = yaml_map_end(&map);
    if (r < 0)
        return r;
    config->level = (enum allow_level)level;
    config->commands = commands.items;
    config->n_commands = commands.n;
    for (size_t i = 0; i < commands.n; i++)
        if (commands.items[i][0] != '/')
            return yaml_refuse(node, err, "command \"%s\" is not an absolute path", commands.items[i]);
    size_t n = members ? members->n : 0;
    struct allowed_member *list = arena_array(arena, n, sizeof(*list));
    if (!list)
        return error_set(err, -ENOMEM, "allow: out of memory");
    for (size_t i = 0; r == 0 && i < n; i++)
        r = member_of(members->items[i], &list[i], err);
    config->members = list;
    config->n_members = n;
    return r;
}

static int judge(const struct yaml_node *root, const struct agent_config *config, struct error *err) {
    if (config->state[0] != '/')
        return yaml_refuse(root, err, "state is \"%s\", expected an absolute path", config->state);
    if (config->helpers && config->helpers[0] != '/')
        return yaml_refuse(root, err, "helpers is \"%s\", expected an absolute path", config->helpers);
    return 0;
}

int agent_config_load(const char *path, struct arena *arena, struct agent_config *outp, struct error *err) {
    const struct yaml_node *root;
    struct yaml_map map;
    struct agent_config config = {0};
    int r = yaml_read(arena, path, &root, err);
    if (r == 0)
        r = yaml_map_begin(&map, root, "agent.yaml", err);
    if (r == 0)
        r = yaml_take_text(&map, "node", KEDGE_NAME_MAX, &config.node);
    if (r == 0)
        r = yaml_take_text(&map, "state", KEDGE_PATH_MAX, &config.state);
    if (r == 0)
        r = take_coordinator(&map, &config, err);
    if (r == 0)
        r = take_anchors(&map, "operators", arena, &config.anchors.operators, &config.anchors.n_operators,
                         &config.anchors.operator_threshold, err);
    if (r == 0)
        r = take_anchors(&map, "release-keys", arena, &config.anchors.release_keys,
                         &config.anchors.n_release_keys, &config.anchors.release_threshold, err);
    if (r == 0)
        r = yaml_take_text_optional(&map, "helpers", KEDGE_PATH_MAX, &config.helpers);
    if (r == 0)
        r = yaml_take_text_optional(&map, "helper-user", KEDGE_NAME_MAX, &config.helper_user);
    if (r == 0)
        r = take_allow(&map, arena, &config, err);
    if (r == 0)
        r = yaml_map_end(&map);
    if (r == 0)
        r = judge(root, &config, err);
    if (r == 0)
        *outp = config;
    return r;
}

int agent_config_allows(const struct agent_config *config, const char *member, const char *user,
                        struct error *err) {
    if (config->level != ALLOW_CHANGE)
        return error_set(err, -EPERM,
                         "this node may only be observed; set allow: level: change in its agent.yaml");
    for (size_t i = 0; i < config->n_members; i++) {
        const struct allowed_member *allowed = &config->members[i];
        if (strcmp(allowed->member, member) != 0)
            continue;
        if (user && allowed->user && strcmp(allowed->user, user) != 0)
            return error_set(err, -EPERM, "agent.yaml lets %s run as %s, not as %s", member, allowed->user,
                             user);
        return 0;
    }
    return error_set(err, -EPERM, "%s is not listed under allow: members in this node's agent.yaml", member);
}

int agent_config_allows_command(const struct agent_config *config, const char *program,
                                const char *own_executable, struct error *err) {
    if (own_executable && strcmp(program, own_executable) == 0)
        return 0;
    for (size_t i = 0; i < config->n_commands; i++)
        if (strcmp(config->commands[i], program) == 0)
            return 0;
    return error_set(err, -EPERM, "%s is not listed under allow: commands in this node's agent.yaml",
                     program);
}
