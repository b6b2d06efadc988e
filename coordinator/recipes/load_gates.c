/* Why a check is one flat map: authors read it as one sentence (ask this, there; such an answer; otherwise no, saying
 * why), and the strict reader can name every key that does not belong to its kind of probe. */
#include "coordinator/recipes/load.h"

#include "coordinator/recipes/scope.h"

#include <ctype.h>
#include <string.h>

enum { DEFAULT_TIMEOUT_MS = 5000, DEFAULT_EVIDENCE_AGE_MS = 2000 };

static const struct yaml_word probe_words[] = {{"http", PROBE_HTTP},
                                               {"tcp", PROBE_TCP},
                                               {"zk-exists", PROBE_ZK_EXISTS},
                                               {"zk-get", PROBE_ZK_GET},
                                               {"zk-children", PROBE_ZK_CHILDREN},
                                               {"zk-leaves", PROBE_ZK_LEAVES},
                                               {"zk-first", PROBE_ZK_FIRST},
                                               {"file", PROBE_FILE},
                                               {"log", PROBE_LOG},
                                               {"command", PROBE_COMMAND},
                                               {"command-exit", PROBE_COMMAND_EXIT},
                                               {NULL, 0}};

static const struct yaml_word rule_words[] = {{"present", RULE_PRESENT},
                                              {"absent", RULE_ABSENT},
                                              {"at-least", RULE_AT_LEAST},
                                              {"none-new", RULE_NONE_NEW},
                                              {"equals", RULE_EQUALS},
                                              {"all-in", RULE_ALL_IN},
                                              {NULL, 0}};

static const struct yaml_word otherwise_words[] = {{"no", ANSWER_NO}, {"unknown", ANSWER_UNKNOWN}, {NULL, 0}};
static const struct yaml_word scope_words[] = {
    {"cluster", GATE_SCOPE_CLUSTER}, {"member", GATE_SCOPE_MEMBER}, {NULL, 0}};

static bool is_zk(enum probe_kind kind) {
    return kind == PROBE_ZK_EXISTS || kind == PROBE_ZK_GET || kind == PROBE_ZK_CHILDREN ||
           kind == PROBE_ZK_LEAVES || kind == PROBE_ZK_FIRST;
}

static bool is_command(enum probe_kind kind) {
    return kind == PROBE_COMMAND || kind == PROBE_COMMAND_EXIT;
}

/* ---- bytes: hexadecimal with the places of a sample ---- */

static int hex_digit(char c) {
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* "{o}" stays, "??" is any byte, blanks are for the eye. */
static int hex_bytes(struct loader *loader, const struct yaml_node *node, const char *text,
                     struct bytes *outp) {
    _cleanup_(buffer_deinit) struct buffer out = {0};
    while (*text) {
        size_t place = *text == '{' ? strcspn(text, "}") + 1 : 0;
        if (*text == ' ') {
            text++;
        } else if (place > 0 && place <= strlen(text)) {
            buffer_append(&out, text, place);
            text += place;
        } else if (text[0] == '?' && text[1] == '?') {
            buffer_append(&out, "\xff??", 3);
            text += 2;
        } else {
            int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
            if (low < 0)
                return yaml_refuse(node, loader->err,
                                   "\"%.12s\" is not two hexadecimal digits, ?? or a place as {o}", text);
            uint8_t byte = (uint8_t)(high * 16 + low);
            buffer_append(&out, &byte, 1);
            text += 2;
        }
    }
    *outp = (struct bytes){arena_copy(loader->arena, out.data ? out.data : (const uint8_t *)"", out.len),
                           out.len};
    return out.failed || !outp->data ? load_no_memory(loader) : 0;
}

/* KEY or KEY-hex. */
static int bytes_optional(struct loader *loader, struct yaml_map *map, const char *key, const char *hex_key,
                          struct bytes *outp) {
    const struct yaml_node *node = NULL;
    const char *text = NULL;
    bool hex = yaml_has(map, hex_key);
    if (yaml_has(map, key) && hex)
        return yaml_refuse(map->node, loader->err, "say either %s or %s", key, hex_key);
    int r = yaml_take_node_optional(map, hex ? hex_key : key, &node);
    if (r < 0 || !node)
        return r;
    r = yaml_text_of(node, yaml_range(0, 4096), &text, loader->err);
    if (r == 0 && hex)
        return hex_bytes(loader, node, text, outp);
    if (r == 0)
        *outp = bytes_of_text(text);
    return r;
}

/* ---- probes ---- */

static int probe_judge(struct loader *loader, const struct yaml_node *node,
                       const struct recipe_probe *probe) {
    if (is_command(probe->kind) ? probe->n_arguments == 0 : probe->n_arguments > 0)
        return yaml_refuse(node, loader->err,
                           is_command(probe->kind) ? "this probe needs `run`, the words of its command"
                                                   : "only command probes have `run`");
    if (is_zk(probe->kind) != (probe->path != NULL))
        return yaml_refuse(node, loader->err,
                           is_zk(probe->kind) ? "this probe needs `path`, the node that it asks"
                                              : "only zk- probes have `path`");
    if (!is_command(probe->kind) && probe->kind != PROBE_LOG && !probe->target)
        return yaml_refuse(node, loader->err, "this probe needs `target`: whom it asks");
    bool reads = probe->kind == PROBE_LOG || probe->kind == PROBE_FILE ||
                 (probe->kind == PROBE_TCP && probe->send.data);
    if (reads && !probe->match)
        return yaml_refuse(node, loader->err, "this probe needs `match`: what it looks for");
    if (probe->kind == PROBE_TCP && probe->match && !probe->send.data)
        return yaml_refuse(node, loader->err,
                           "a tcp probe with `match` needs `send`: without both, connecting is the answer");
    if (probe->send.data && probe->kind != PROBE_TCP)
        return yaml_refuse(node, loader->err, "only tcp probes `send`");
    return 0;
}

int load_probe_keys(struct loader *loader, struct yaml_map *map, unsigned places, struct recipe_probe *outp) {
    int kind = 0;
    outp->timeout_ms = DEFAULT_TIMEOUT_MS;
    int r = yaml_take_enum(map, "probe", probe_words, &kind);
    outp->kind = (enum probe_kind)kind;
    if (r == 0)
        r = load_template_optional(loader, map, "target", places, &outp->target);
    if (r == 0)
        r = load_template_optional(loader, map, "path", places, &outp->path);
    if (r == 0)
        r = load_expression_optional(loader, map, "match", places, &outp->match);
    if (r == 0)
        r = bytes_optional(loader, map, "send", "send-hex", &outp->send);
    if (r == 0)
        r = load_templates_optional(loader, map, "run", places, &outp->arguments, &outp->n_arguments);
    if (r == 0)
        r = load_milliseconds_optional(map, "timeout", &outp->timeout_ms);
    return r < 0 ? r : probe_judge(loader, map->node, outp);
}

int load_probe(struct loader *loader, const struct yaml_node *node, unsigned places,
               struct recipe_probe *outp) {
    struct yaml_map map;
    int r = yaml_map_begin(&map, node, "probe", loader->err);
    if (r == 0)
        r = load_probe_keys(loader, &map, places, outp);
    return r < 0 ? r : yaml_map_end(&map);
}

/* ---- checks ---- */

static int check_judge_keys(struct loader *loader, const struct yaml_node *node,
                            const struct recipe_check *check) {
    bool counts = check->rule == RULE_AT_LEAST,
         compares = check->rule == RULE_EQUALS || check->rule == RULE_ALL_IN;
    if (counts != (check->count != NULL))
        return yaml_refuse(node, loader->err,
                           counts ? "rule at-least needs `count`" : "only rule at-least has `count`");
    if (check->n_values > 0 && !compares)
        return yaml_refuse(node, loader->err, "only the rules equals and all-in have `values`");
    if (check->rule == RULE_ALL_IN && check->n_values == 0)
        return yaml_refuse(node, loader->err, "rule all-in needs `values`");
    return 0;
}

int load_check(struct loader *loader, const struct yaml_node *node, unsigned places,
               struct recipe_check *outp) {
    struct yaml_map map;
    int rule = 0, otherwise = ANSWER_UNKNOWN;
    int r = yaml_map_begin(&map, node, "check", loader->err);
    if (r == 0)
        r = load_probe_keys(loader, &map, places, &outp->probe);
    if (r == 0)
        r = yaml_take_enum(&map, "rule", rule_words, &rule);
    outp->rule = (enum check_rule)rule;
    if (r == 0)
        r = load_template_optional(loader, &map, "count", places, &outp->count);
    if (r == 0)
        r = load_templates_optional(loader, &map, "values", places, &outp->values, &outp->n_values);
    if (r == 0)
        r = yaml_take_bool_optional(&map, "without-self", &outp->without_self);
    if (r == 0)
        r = yaml_take_enum(&map, "otherwise", otherwise_words, &otherwise);
    outp->otherwise = (enum answer)otherwise;
    if (r == 0)
        r = load_template(loader, &map, "says", places, &outp->says);
    if (r == 0)
        r = yaml_map_end(&map);
    return r < 0 ? r : check_judge_keys(loader, node, outp);
}

/* ---- samples ---- */

static int filters_load(struct loader *loader, struct yaml_map *map, struct recipe_sample *outp) {
    const struct yaml_node *list = NULL;
    int r = yaml_take_list_optional(map, "filter-any", yaml_range(1, 8), &list);
    struct bytes *any = LOAD_ARRAY(loader, list, &outp->n_filter_any, struct bytes);
    if (r == 0 && !any)
        return load_no_memory(loader);
    for (size_t i = 0; r == 0 && i < outp->n_filter_any; i++) {
        struct yaml_map one;
        r = yaml_map_begin(&one, list->items[i], "filter", loader->err);
        if (r == 0)
            r = bytes_optional(loader, &one, "text", "hex", &any[i]);
        if (r == 0)
            r = yaml_map_end(&one);
        if (r == 0 && any[i].len == 0)
            r = yaml_refuse(list->items[i], loader->err, "a filter says `text` or `hex`");
    }
    outp->filter_any = any;
    return r;
}

static int number_load(struct yaml_map *map, const char *key, uint32_t *outp) {
    uint64_t number = 0;
    int r = yaml_take_uint(map, key, yaml_range(1, KEDGE_SAMPLE_MAX), &number);
    *outp = (uint32_t)number;
    return r;
}

static int sample_judge(struct loader *loader, const struct yaml_node *node,
                        const struct recipe_sample *sample) {
    if (sample->minimum > sample->limit)
        return yaml_refuse(node, loader->err, "`minimum` is %u, but only %u (`limit`) are ever kept",
                           sample->minimum, sample->limit);
    bool http = sample->source.kind == PROBE_HTTP;
    if (!http && sample->source.kind != PROBE_ZK_LEAVES)
        return yaml_refuse(node, loader->err, "the source of a sample is http or zk-leaves");
    if (http && (sample->filter || sample->n_filter_any || sample->per_object != 1))
        return yaml_refuse(node, loader->err, "a sample over http has no filters and one request an object");
    if (!http && (!sample->filter || sample->request.len == 0 || sample->answer.len == 0))
        return yaml_refuse(node, loader->err,
                           "a sample over zk-leaves needs `filter`, `request` and `answer`");
    return 0;
}

static int sample_load(struct loader *loader, const struct yaml_node *node, struct recipe_sample *outp) {
    const unsigned places = PLACE_CLUSTER | PLACE_MEMBER;
    const struct yaml_node *source;
    struct yaml_map map;
    outp->timeout_ms = DEFAULT_TIMEOUT_MS;
    outp->request = outp->answer = (struct bytes){(const uint8_t *)"", 0};
    int r = yaml_map_begin(&map, node, "sample", loader->err);
    if (r == 0)
        r = yaml_take_node(&map, "source", &source);
    if (r == 0)
        r = load_probe(loader, source, places, &outp->source);
    if (r == 0)
        r = load_template_optional(loader, &map, "filter", places, &outp->filter);
    if (r == 0)
        r = filters_load(loader, &map, outp);
    if (r == 0)
        r = load_template(loader, &map, "target", places, &outp->target);
    if (r == 0)
        r = bytes_optional(loader, &map, "request", "request-hex", &outp->request);
    if (r == 0)
        r = bytes_optional(loader, &map, "answer", "answer-hex", &outp->answer);
    if (r == 0)
        r = number_load(&map, "per-object", &outp->per_object);
    if (r == 0)
        r = number_load(&map, "limit", &outp->limit);
    if (r == 0)
        r = number_load(&map, "minimum", &outp->minimum);
    if (r == 0)
        r = load_milliseconds_optional(&map, "timeout", &outp->timeout_ms);
    if (r == 0)
        r = yaml_map_end(&map);
    return r < 0 ? r : sample_judge(loader, node, outp);
}

/* ---- gates ---- */

static int gate_body(struct loader *loader, const struct yaml_node *node, struct recipe_gate *outp) {
    struct yaml_map map;
    const struct yaml_node *checks = NULL, *sample = NULL;
    int scope = 0;
    outp->evidence_age_ms = DEFAULT_EVIDENCE_AGE_MS;
    outp->detection = "0s";
    int r = yaml_map_begin(&map, node, "gate", loader->err);
    if (r == 0)
        r = yaml_take_enum(&map, "scope", scope_words, &scope);
    outp->scope = (enum gate_scope)scope;
    if (r == 0)
        r = yaml_take_text_optional(&map, "about", KEDGE_REASON_MAX, &outp->about);
    if (r == 0)
        r = yaml_has(&map, "detection") ? load_duration(loader, &map, "detection", &outp->detection) : 0;
    if (r == 0)
        r = load_milliseconds_optional(&map, "evidence-age", &outp->evidence_age_ms);
    if (r == 0)
        r = yaml_take_list_optional(&map, "checks", yaml_range(1, KEDGE_CHECKS_MAX), &checks);
    if (r == 0)
        r = yaml_take_map_optional(&map, "sample", &sample);
    if (r == 0)
        r = yaml_map_end(&map);
    if (r < 0)
        return r;
    if ((checks != NULL) == (sample != NULL))
        return yaml_refuse(node, loader->err, "a gate has either `checks` or a `sample`");
    if (sample && outp->scope != GATE_SCOPE_MEMBER)
        return yaml_refuse(node, loader->err, "a sample is about one member: scope is member");
    struct recipe_sample *kept = sample ? arena_alloc(loader->arena, sizeof(*kept)) : NULL;
    struct recipe_check *list = LOAD_ARRAY(loader, checks, &outp->n_checks, struct recipe_check);
    if (!list || (sample && !kept))
        return load_no_memory(loader);
    unsigned places = PLACE_CLUSTER | (outp->scope == GATE_SCOPE_MEMBER ? PLACE_MEMBER : 0);
    for (size_t i = 0; r == 0 && i < outp->n_checks; i++)
        r = load_check(loader, checks->items[i], places, &list[i]);
    outp->checks = list;
    outp->sample = kept;
    return r == 0 && sample ? sample_load(loader, sample, kept) : r;
}

int load_gates(struct loader *loader, const struct yaml_node *node) {
    struct recipe *recipe = loader->recipe;
    struct recipe_gate *gates = LOAD_ARRAY(loader, node, &recipe->n_gates, struct recipe_gate);
    loader->gate_used = arena_array(loader->arena, recipe->n_gates, sizeof(bool));
    if (!gates || !loader->gate_used)
        return load_no_memory(loader);
    recipe->gates = gates;
    for (size_t i = 0; i < recipe->n_gates; i++) {
        const struct yaml_pair *pair = &node->pairs[i];
        gates[i].name = pair->key->text;
        if (strlen(gates[i].name) > KEDGE_NAME_MAX - 9 || strchr(gates[i].name, ':'))
            return yaml_refuse(pair->key, loader->err, "a gate's name has at most %d bytes and no colon",
                               KEDGE_NAME_MAX - 9);
        int r = gate_body(loader, pair->value, &gates[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int refuse_gate(struct loader *loader, const struct yaml_node *node, const char *name) {
    struct yaml_nearest nearest = {.typed = name};
    for (size_t i = 0; i < loader->recipe->n_gates; i++)
        yaml_nearest_offer(&nearest, loader->recipe->gates[i].name);
    return yaml_refuse(node, loader->err, "there is no gate \"%s\" under `gates`%s%s%s", name,
                       nearest.word ? "; did you mean \"" : "", nearest.word ? nearest.word : "",
                       nearest.word ? "\"?" : "");
}

int load_gate_name(struct loader *loader, const struct yaml_node *node, int scope,
                   const struct recipe_gate **outp) {
    const char *name;
    int r = yaml_text_of(node, yaml_range(1, KEDGE_NAME_MAX), &name, loader->err);
    if (r < 0)
        return r;
    const struct recipe_gate *gate = recipe_gate_find(loader->recipe, name);
    if (!gate)
        return refuse_gate(loader, node, name);
    if (scope >= 0 && gate->scope != (enum gate_scope)scope)
        return yaml_refuse(node, loader->err, "gate %s is about %s, here one about %s is needed", name,
                           gate->scope == GATE_SCOPE_MEMBER ? "one member" : "the whole cluster",
                           scope == GATE_SCOPE_MEMBER ? "one member" : "the whole cluster");
    loader->gate_used[gate - loader->recipe->gates] = true;
    *outp = gate;
    return 0;
}

int load_gate_optional(struct loader *loader, struct yaml_map *map, const char *key, int scope,
                       const struct recipe_gate **outp) {
    const struct yaml_node *node = NULL;
    int r = yaml_take_node_optional(map, key, &node);
    return r < 0 || !node ? r : load_gate_name(loader, node, scope, outp);
}

static int gate_use_load(struct loader *loader, const struct yaml_node *node, int scope,
                         struct gate_use *outp) {
    if (node->kind != YAML_KIND_MAP)
        return load_gate_name(loader, node, scope, &outp->gate);
    struct yaml_map map;
    int r = yaml_map_begin(&map, node, "gate", loader->err);
    if (r == 0)
        r = load_gate_optional(loader, &map, "gate", scope, &outp->gate);
    if (r == 0 && !outp->gate)
        r = yaml_refuse(node, loader->err, "say which `gate`");
    if (r == 0)
        r = load_when(loader, &map, &outp->when);
    return r < 0 ? r : yaml_map_end(&map);
}

int load_gate_uses(struct loader *loader, struct yaml_map *map, const char *key, int scope,
                   const struct gate_use **outp, size_t *n_outp) {
    const struct yaml_node *list = NULL;
    int r = yaml_take_list_optional(map, key, yaml_range(1, KEDGE_GATES_MAX / 4), &list);
    struct gate_use *uses = LOAD_ARRAY(loader, list, n_outp, struct gate_use);
    if (r == 0 && !uses)
        return load_no_memory(loader);
    for (size_t i = 0; r == 0 && i < *n_outp; i++)
        r = gate_use_load(loader, list->items[i], scope, &uses[i]);
    *outp = uses;
    return r;
}
