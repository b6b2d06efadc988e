/* Why values are settled here, once and with their origin: everything after (charter, gates, plan, page) sees one list of
 * names per member and need not know about groups. */
#include "coordinator/recipes/cluster_file.h"

#include "common/base/file.h"
#include "common/yaml/reader.h"
#include "coordinator/recipes/scope.h"
#include "coordinator/recipes/site_gates.h"

#include <string.h>

enum { VALUE_MAX = 1024, DEFAULT_SOAK_MS = 60 * 1000, DEFAULT_WAIT_MS = 30 * 60 * 1000 };

struct reader {
    struct arena *arena;
    struct error *err;
    const char *file;
    const struct recipe *recipe;
    struct cluster_file *cluster;
    const struct yaml_node *values, *groups; /* maps or NULL */
};

static int no_memory(struct reader *reader) {
    return error_set(reader->err, -ENOMEM, "%s: out of memory", reader->file);
}

/* ---- kinds ---- */

static bool address_is_valid(const char *text, size_t len) {
    const char *colon = memrchr(text, ':', len);
    if (!colon || colon == text || memchr(text, ' ', len) || memchr(text, '/', len))
        return false;
    size_t n = len - (size_t)(colon + 1 - text);
    if (n == 0 || n > 5 || strspn(colon + 1, "0123456789") < n)
        return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    return port >= 1 && port <= 65535;
}

static bool addresses_are_valid(const char *text) {
    for (;;) {
        size_t len = strcspn(text, ",");
        if (!address_is_valid(text, len))
            return false;
        if (text[len] == 0)
            return true;
        text += len + 1;
    }
}

static bool kind_fits(enum value_kind kind, const char *text, const char **expected) {
    uint64_t ms;
    switch (kind) {
    case VALUE_TEXT: *expected = "a text"; return *text != 0;
    case VALUE_NUMBER:
        *expected = "a number";
        return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 19;
    case VALUE_DURATION: *expected = "a duration as 5s"; return duration_parse(text, &ms);
    case VALUE_PATH: *expected = "an absolute path"; return *text == '/';
    case VALUE_ADDRESS: *expected = "host:port"; return address_is_valid(text, strlen(text));
    case VALUE_ADDRESSES: *expected = "host:port,host:port"; return addresses_are_valid(text);
    }
    return false;
}

/* ---- values ---- */

static const struct yaml_pair *pair_find(const struct yaml_node *map, const char *key) {
    for (size_t i = 0; map && i < map->n; i++)
        if (strcmp(map->pairs[i].key->text, key) == 0)
            return &map->pairs[i];
    return NULL;
}

static int refuse_value(struct reader *reader, const struct yaml_node *key) {
    struct yaml_nearest nearest = {.typed = key->text};
    for (size_t i = 0; i < reader->recipe->n_values; i++)
        yaml_nearest_offer(&nearest, reader->recipe->values[i].name);
    return yaml_refuse(key, reader->err, "recipe %s has no value \"%s\"%s%s%s", reader->recipe->name,
                       key->text, nearest.word ? "; did you mean \"" : "", nearest.word ? nearest.word : "",
                       nearest.word ? "\"?" : "");
}

/* Every key must be a value of the recipe, and every value must be of its kind. */
static int values_judge(struct reader *reader, const struct yaml_node *map) {
    for (size_t i = 0; map && i < map->n; i++) {
        const struct yaml_pair *pair = &map->pairs[i];
        const struct recipe_value *value = recipe_value_find(reader->recipe, pair->key->text);
        const char *text, *expected = "";
        if (!value)
            return refuse_value(reader, pair->key);
        int r = yaml_text_of(pair->value, yaml_range(1, VALUE_MAX), &text, reader->err);
        if (r < 0)
            return r;
        if (!kind_fits(value->kind, text, &expected))
            return yaml_refuse(pair->value, reader->err, "\"%.60s\" for %s, expected %s", text, value->name,
                               expected);
    }
    return 0;
}

struct level {
    const struct yaml_node *map;
    const char *where; /* "cluster", "group a", "member" */
};

/* Appends a value, and for durations its forms in ms and s. */
static int value_add(struct reader *reader, enum value_kind kind, struct cluster_value value,
                     struct cluster_value *list, size_t *n) {
    uint64_t ms;
    list[(*n)++] = value;
    if (kind != VALUE_DURATION || !duration_parse(value.value, &ms))
        return 0;
    struct cluster_value in_ms = value, in_s = value;
    in_ms.name = arena_format(reader->arena, "%s.ms", value.name);
    in_ms.value = arena_format(reader->arena, "%llu", (unsigned long long)ms);
    in_s.name = arena_format(reader->arena, "%s.s", value.name);
    in_s.value = arena_format(reader->arena, "%llu", (unsigned long long)(ms / 1000));
    list[(*n)++] = in_ms;
    list[(*n)++] = in_s;
    return in_ms.name && in_ms.value && in_s.name && in_s.value ? 0 : no_memory(reader);
}

static int fallback_fill(struct reader *reader, const struct recipe_value *value,
                         const struct cluster_value *list, size_t n, const char **outp) {
    struct fact *names = arena_array(reader->arena, n, sizeof(*names));
    if (!names)
        return no_memory(reader);
    for (size_t i = 0; i < n; i++)
        names[i] = (struct fact){list[i].name, list[i].value};
    struct scope scope = {names, n, NULL};
    struct error ignored;
    /* A default that stands on a value which was not given is no default here. */
    return template_fill(reader->arena, value->fallback, TEMPLATE_TEXT, &scope, outp, &ignored) == -ENOMEM
               ? no_memory(reader)
               : 0;
}

/* Settles all values over the levels, innermost first. Missing required ones are refused at `at`, unless `lenient`. */
static int values_settle(struct reader *reader, const struct level *levels, size_t n_levels,
                         const struct yaml_node *at, bool lenient, const struct cluster_value **outp,
                         size_t *n_outp) {
    struct cluster_value *list = arena_array(reader->arena, reader->recipe->n_values * 3, sizeof(*list));
    size_t n = 0;
    if (!list)
        return no_memory(reader);
    for (size_t v = 0; v < reader->recipe->n_values; v++) {
        const struct recipe_value *value = &reader->recipe->values[v];
        const char *text = NULL, *origin = NULL;
        for (size_t i = 0; !text && i < n_levels; i++) {
            const struct yaml_pair *pair = pair_find(levels[i].map, value->name);
            if (pair) {
                text = pair->value->text;
                origin = arena_format(reader->arena, "%s, line %u", levels[i].where, pair->value->line);
            }
        }
        bool given = text != NULL;
        int r = given ? 0 : fallback_fill(reader, value, list, n, &text);
        if (r < 0 || (given && !origin))
            return r < 0 ? r : no_memory(reader);
        if (!text && value->required && !lenient)
            return yaml_refuse(at, reader->err,
                               "value %s is missing (%s); give it here, in the group or for the cluster",
                               value->name, *value->about ? value->about : "the recipe needs it");
        struct cluster_value settled = {value->name, text, given ? origin : "default of the recipe", given};
        if (text && (r = value_add(reader, value->kind, settled, list, &n)) < 0)
            return r;
    }
    *outp = list;
    *n_outp = n;
    return 0;
}

/* ---- members ---- */

static int member_texts(struct reader *reader, struct yaml_map *map, struct cluster_member *member,
                        const char **role, const struct yaml_node **values) {
    member->group = member->domain = "";
    int r = yaml_take_text(map, "name", CLUSTER_MEMBER_NAME_MAX, &member->name);
    if (r == 0)
        r = yaml_take_text(map, "role", KEDGE_NAME_MAX, role);
    if (r == 0)
        r = yaml_take_text(map, "node", KEDGE_NAME_MAX, &member->node);
    if (r == 0)
        r = yaml_take_text_optional(map, "group", KEDGE_NAME_MAX, &member->group);
    if (r == 0)
        r = yaml_take_text_optional(map, "domain", KEDGE_NAME_MAX, &member->domain);
    if (r == 0)
        r = yaml_take_map_optional(map, "values", values);
    if (r == 0)
        r = yaml_map_end(map);
    return r < 0 ? r : values_judge(reader, *values);
}

static int name_judge(struct reader *reader, const struct yaml_node *node, const char *name) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@";
    if (strspn(name, allowed) != strlen(name) || *name == '.' || *name == '-')
        return yaml_refuse(node, reader->err,
                           "name \"%s\": letters, digits and . _ - @ only, beginning with none of . -", name);
    return 0;
}

static int identity_fill(struct reader *reader, const struct yaml_node *node, struct cluster_member *member) {
    struct fact *names = arena_array(reader->arena, member->n_values + 1, sizeof(*names));
    const char *port;
    if (!names)
        return no_memory(reader);
    for (size_t i = 0; i < member->n_values; i++)
        names[i] = (struct fact){member->values[i].name, member->values[i].value};
    names[member->n_values] = (struct fact){"cluster", reader->cluster->name};
    struct scope scope = {names, member->n_values + 1, NULL};
    struct error why = {{0}};
    int r = template_fill(reader->arena, member->role->self, TEMPLATE_TEXT, &scope, &member->self, &why);
    if (r == 0)
        r = template_fill(reader->arena, member->role->port, TEMPLATE_TEXT, &scope, &port, &why);
    if (r == -ENOMEM)
        return no_memory(reader);
    if (r < 0)
        return yaml_refuse(node, reader->err, "member %s: %s", member->name, why.text);
    char *rest;
    unsigned long number = strtoul(port, &rest, 10);
    if (*port == 0 || *rest || number < 1 || number > 65535)
        return yaml_refuse(node, reader->err, "member %s: \"%s\" is no port", member->name, port);
    member->port = (uint32_t)number;
    return 0;
}

static int member_place(struct reader *reader, const struct yaml_node *node, struct cluster_member *member,
                        const struct yaml_node **group_values) {
    const struct yaml_pair *group = *member->group ? pair_find(reader->groups, member->group) : NULL;
    if (*member->group && !group)
        return yaml_refuse(node, reader->err, "there is no group \"%s\" under `groups`", member->group);
    if (!group)
        return 0;
    const struct yaml_pair *domain = pair_find(group->value, "domain"),
                           *values = pair_find(group->value, "values");
    if (domain && !*member->domain)
        member->domain = domain->value->text;
    *group_values = values ? values->value : NULL;
    return 0;
}

static int member_load(struct reader *reader, const struct yaml_node *node, struct cluster_member *member) {
    struct yaml_map map;
    const struct yaml_node *values = NULL, *group_values = NULL;
    const char *role = NULL;
    int r = yaml_map_begin(&map, node, "member", reader->err);
    if (r == 0)
        r = member_texts(reader, &map, member, &role, &values);
    if (r == 0)
        r = name_judge(reader, node, member->name);
    if (r == 0)
        r = name_judge(reader, node, member->node);
    if (r == 0)
        r = member_place(reader, node, member, &group_values);
    if (r < 0)
        return r;
    member->role = recipe_role_find(reader->recipe, role);
    if (!member->role)
        return yaml_refuse(node, reader->err, "recipe %s has no role \"%s\"", reader->recipe->name, role);
    member->full_name = arena_format(reader->arena, "%s/%s", reader->cluster->name, member->name);
    const char *group_where = arena_format(reader->arena, "group %s", member->group);
    if (!member->full_name || !group_where)
        return no_memory(reader);
    const struct level levels[] = {
        {values, "member"}, {group_values, group_where}, {reader->values, "cluster"}};
    r = values_settle(reader, levels, ARRAY_LEN(levels), node, false, &member->values, &member->n_values);
    return r < 0 ? r : identity_fill(reader, node, member);
}

/* What a member must share with no other, and where it stands in the file. */
struct claim {
    const char *text;
    size_t place;
};

static int by_claim(const void *a, const void *b) {
    const struct claim *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

/* The first that claims what another one before it has, or NULL. Sorted, since a cluster may have ten thousand. */
static const struct claim *claimed_twice(struct claim *claims, size_t n) {
    const struct claim *first = NULL;
    qsort(claims, n, sizeof(*claims), by_claim);
    for (size_t i = 1; i < n; i++)
        if (strcmp(claims[i - 1].text, claims[i].text) == 0 && (!first || claims[i].place < first->place))
            first = &claims[i];
    return first;
}

static int members_once_judge(struct reader *reader, const struct yaml_node *list,
                              const struct cluster_member *members) {
    struct claim *names = arena_array(reader->arena, list->n, sizeof(*names));
    struct claim *selves = arena_array(reader->arena, list->n, sizeof(*selves));
    const struct claim *twice;
    for (size_t i = 0; names && selves && i < list->n; i++) {
        const struct cluster_member *m = &members[i];
        names[i] = (struct claim){m->name, i};
        selves[i] = (struct claim){arena_format(reader->arena, "%s\n%s", m->role->name, m->self), i};
        if (!selves[i].text)
            selves = NULL;
    }
    if (!names || !selves)
        return no_memory(reader);
    if ((twice = claimed_twice(names, list->n)))
        return yaml_refuse(list->items[twice->place], reader->err, "member %s stands twice",
                           members[twice->place].name);
    if ((twice = claimed_twice(selves, list->n)))
        return yaml_refuse(list->items[twice->place], reader->err, "members %s and %s are both %s",
                           members[twice[-1].place].name, members[twice->place].name,
                           members[twice->place].self);
    return 0;
}

static int members_load(struct reader *reader, const struct yaml_node *list) {
    struct cluster_file *cluster = reader->cluster;
    struct cluster_member *members = arena_array(reader->arena, list->n, sizeof(*members));
    if (!members)
        return no_memory(reader);
    for (size_t i = 0; i < list->n; i++) {
        int r = member_load(reader, list->items[i], &members[i]);
        if (r < 0)
            return r;
    }
    cluster->members = members;
    cluster->n_members = list->n;
    return members_once_judge(reader, list, members);
}

/* ---- the file ---- */

static int groups_judge(struct reader *reader) {
    for (size_t i = 0; reader->groups && i < reader->groups->n; i++) {
        struct yaml_map map;
        const struct yaml_node *values = NULL;
        const char *domain = "";
        int r = yaml_map_begin(&map, reader->groups->pairs[i].value, "group", reader->err);
        if (r == 0)
            r = yaml_take_text_optional(&map, "domain", KEDGE_NAME_MAX, &domain);
        if (r == 0)
            r = yaml_take_map_optional(&map, "values", &values);
        if (r == 0)
            r = yaml_map_end(&map);
        if (r == 0)
            r = values_judge(reader, values);
        if (r < 0)
            return r;
    }
    return 0;
}

static int ms_take(struct yaml_map *map, const char *key, uint32_t *outp) {
    uint64_t ms = *outp;
    int r = yaml_take_duration_optional(map, key, yaml_range(0, 24 * 3600 * 1000), &ms);
    *outp = (uint32_t)ms;
    return r;
}

static int number_take(struct yaml_map *map, const char *key, uint64_t least, uint32_t *outp) {
    uint64_t number = *outp;
    int r = yaml_take_uint_optional(map, key, yaml_range(least, KEDGE_MEMBERS_MAX), &number);
    *outp = (uint32_t)number;
    return r;
}

static int budgets_load(struct reader *reader, const struct yaml_node *map) {
    struct budget_use *budgets = map ? arena_array(reader->arena, map->n + 1, sizeof(*budgets)) : NULL;
    if (map && !budgets)
        return no_memory(reader);
    for (unsigned i = 0; map && i < map->n; i++) {
        const struct yaml_node *value = map->pairs[i].value;
        struct error why;
        if (!value->text)
            return yaml_refuse(value, reader->err, "budget %s: expected 2, 10%% or 2,10%%",
                               map->pairs[i].key->text);
        if (budget_parse(reader->arena, map->pairs[i].key->text, value->text, &budgets[i], &why) < 0)
            return yaml_refuse(value, reader->err, "%s", why.text);
        budgets[i].is_default = true;
    }
    reader->cluster->budgets = budgets;
    reader->cluster->n_budgets = map ? map->n : 0;
    return 0;
}

static int defaults_load(struct reader *reader, const struct yaml_node *node) {
    struct cluster_file *cluster = reader->cluster;
    struct yaml_map map;
    cluster->canary = cluster->limit = 1;
    cluster->soak_ms = cluster->soak_read_only_ms = DEFAULT_SOAK_MS;
    cluster->wait_limit_ms = DEFAULT_WAIT_MS;
    if (cluster->soak_ms < reader->recipe->soak_least_ms)
        cluster->soak_ms = reader->recipe->soak_least_ms;
    if (!node)
        return 0;
    int r = yaml_map_begin(&map, node, "strategy-defaults", reader->err);
    if (r == 0)
        r = number_take(&map, "canary", 0, &cluster->canary);
    if (r == 0)
        r = number_take(&map, "limit", 1, &cluster->limit);
    if (r == 0)
        r = ms_take(&map, "soak", &cluster->soak_ms);
    if (r == 0 && cluster->soak_ms < reader->recipe->soak_least_ms)
        r = yaml_refuse(node, reader->err,
                        "recipe %s asks for a soak of at least %u ms: a site may lengthen it",
                        reader->recipe->name, reader->recipe->soak_least_ms);
    if (r == 0)
        r = ms_take(&map, "soak-read-only", &cluster->soak_read_only_ms);
    if (r == 0)
        r = ms_take(&map, "wait-limit", &cluster->wait_limit_ms);
    const struct yaml_node *budgets = NULL;
    if (r == 0)
        r = yaml_take_map_optional(&map, "budget", &budgets);
    if (r == 0)
        r = budgets_load(reader, budgets);
    return r < 0 ? r : yaml_map_end(&map);
}

static int file_take(struct reader *reader, const struct yaml_node *root) {
    struct cluster_file *cluster = reader->cluster;
    struct yaml_map map;
    struct yaml_texts depends = {0};
    const struct yaml_node *members = NULL, *defaults = NULL, *site = NULL;
    const char *system = NULL;
    int r = yaml_map_begin(&map, root, "cluster file", reader->err);
    if (r == 0)
        r = yaml_take_text(&map, "cluster", KEDGE_NAME_MAX, &cluster->name);
    if (r == 0)
        r = yaml_take_text(&map, "system", KEDGE_NAME_MAX, &system);
    if (r == 0)
        r = yaml_take_texts_optional(&map, "depends-on", yaml_range(1, 32), &depends);
    if (r == 0)
        r = yaml_take_map_optional(&map, "values", &reader->values);
    if (r == 0)
        r = yaml_take_map_optional(&map, "groups", &reader->groups);
    if (r == 0)
        r = yaml_take_list(&map, "members", yaml_range(1, KEDGE_MEMBERS_MAX - 1), &members);
    if (r == 0)
        r = yaml_take_map_optional(&map, "strategy-defaults", &defaults);
    if (r == 0)
        r = yaml_take_map_optional(&map, "site-gates", &site);
    if (r == 0)
        r = yaml_map_end(&map);
    if (r < 0)
        return r;
    cluster->depends_on = depends.items;
    cluster->n_depends_on = depends.n;
    if (strcmp(system, reader->recipe->name) != 0)
        return yaml_refuse(root, reader->err, "it is a cluster of %s, the recipe is %s", system,
                           reader->recipe->name);
    const struct level level = {reader->values, "cluster"};
    r = name_judge(reader, root, cluster->name);
    if (r == 0)
        r = values_judge(reader, reader->values);
    if (r == 0)
        r = groups_judge(reader);
    if (r == 0)
        r = values_settle(reader, &level, 1, root, true, &cluster->values, &cluster->n_values);
    if (r == 0)
        r = defaults_load(reader, defaults);
    if (r == 0 && site)
        r = site_gates_load(reader->arena, reader->recipe, site, &cluster->site, reader->err);
    return r < 0 ? r : members_load(reader, members);
}

int cluster_file_parse(struct arena *arena, const char *name, struct bytes content,
                       const struct recipe *recipe, const struct cluster_file **outp, struct error *err) {
    struct yaml_source source = {name, content};
    const struct yaml_node *root;
    struct reader reader = {.arena = arena, .err = err, .file = name, .recipe = recipe};
    int r = yaml_parse(arena, &source, &root, err);
    if (r < 0)
        return r;
    reader.cluster = arena_alloc(arena, sizeof(*reader.cluster));
    if (!reader.cluster)
        return no_memory(&reader);
    reader.cluster->recipe = recipe;
    r = file_take(&reader, root);
    if (r == 0)
        *outp = reader.cluster;
    return r;
}

int cluster_file_load(struct arena *arena, const char *path, const struct recipe *recipe,
                      const struct cluster_file **outp, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer content = {0};
    int r = file_read(path, KEDGE_YAML_BYTES_MAX, &content, err);
    return r < 0 ? r : cluster_file_parse(arena, path, buffer_bytes(&content), recipe, outp, err);
}

int cluster_file_system(struct arena *arena, const char *name, struct bytes content, const char **system_outp,
                        struct error *err) {
    struct yaml_source source = {name, content};
    const struct yaml_node *root;
    struct yaml_map map;
    int r = yaml_parse(arena, &source, &root, err);
    if (r == 0)
        r = yaml_map_begin(&map, root, "cluster file", err);
    return r < 0 ? r : yaml_take_text(&map, "system", KEDGE_NAME_MAX, system_outp);
}
