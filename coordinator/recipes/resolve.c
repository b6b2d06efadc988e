/* Why {members} in the target of a question about the whole cluster becomes a list of targets: such a question has to have
 * the same bytes whoever asks it, and must still be answered while one member is down. */
#include "coordinator/recipes/resolve.h"

#include "common/plan/encoding.h"

#include <string.h>

static int no_memory(struct error *err) {
    return error_set(err, -ENOMEM, "out of memory");
}

/* ---- scopes ---- */

static const char *members_joined(struct arena *arena, const struct cluster_file *cluster) {
    _cleanup_(buffer_deinit) struct buffer out = {0};
    for (size_t i = 0; i < cluster->n_members; i++) {
        buffer_text(&out, i > 0 ? "," : "");
        buffer_text(&out, cluster->members[i].self);
    }
    return out.failed ? NULL : arena_text_n(arena, (const char *)out.data, out.len);
}

int cluster_scope_make(struct arena *arena, const struct cluster_file *cluster, const struct fact *choices,
                       size_t n_choices, struct scope *outp, struct error *err) {
    const struct recipe *recipe = cluster->recipe;
    size_t room = 2 + recipe->n_options + cluster->n_values, n = 0;
    struct fact *names = arena_array(arena, room, sizeof(*names));
    const char *members = members_joined(arena, cluster);
    if (!names || !members)
        return no_memory(err);
    names[n++] = (struct fact){"cluster", cluster->name};
    names[n++] = (struct fact){"members", members};
    for (size_t i = 0; i < recipe->n_options; i++) {
        const char *chosen = fact_get(choices, n_choices, recipe->options[i].name);
        names[n++] = (struct fact){recipe->options[i].name, chosen ? chosen : recipe->options[i].fallback};
    }
    for (size_t i = 0; i < cluster->n_values; i++)
        names[n++] = (struct fact){cluster->values[i].name, cluster->values[i].value};
    *outp = (struct scope){names, n, NULL};
    return 0;
}

int member_scope_make(struct arena *arena, const struct cluster_member *member, const struct scope *outer,
                      struct scope *outp, struct error *err) {
    size_t n = 0;
    struct fact *names = arena_array(arena, 5 + member->n_values, sizeof(*names));
    if (!names)
        return no_memory(err);
    names[n++] = (struct fact){"self", member->self};
    names[n++] = (struct fact){"member", member->name};
    names[n++] = (struct fact){"node", member->node};
    names[n++] = (struct fact){"domain", member->domain};
    names[n++] = (struct fact){"role", member->role->name};
    for (size_t i = 0; i < member->n_values; i++)
        names[n++] = (struct fact){member->values[i].name, member->values[i].value};
    *outp = (struct scope){names, n, outer};
    return 0;
}

/* ---- probes ---- */

/* The first template of the text whose value is a list ("a,b"): *nameP and its value; NULL when there is none. */
static const char *list_name(struct arena *arena, const char *text, const struct scope *scope,
                             const char **valuep) {
    size_t len;
    for (const char *at = template_next(text, &len); at; at = template_next(at + len, &len)) {
        const char *name = arena_text_n(arena, at, len);
        *valuep = name ? scope_get(scope, name) : NULL;
        if (*valuep && strchr(*valuep, ','))
            return name;
    }
    return NULL;
}

/* "http://{members}/x" with members "a,b" becomes "http://a/x http://b/x". */
static int target_fill(struct arena *arena, const char *text, const struct scope *scope, const char **outp,
                       struct error *err) {
    const char *rest = NULL, *name = text ? list_name(arena, text, scope, &rest) : NULL;
    if (!name)
        return template_fill(arena, text, TEMPLATE_TEXT, scope, outp, err);
    _cleanup_(buffer_deinit) struct buffer out = {0};
    while (*rest) {
        size_t len = strcspn(rest, ",");
        const struct fact one = {name, arena_text_n(arena, rest, len)};
        const struct scope inner = {&one, 1, scope};
        const char *target;
        int r = one.value ? template_fill(arena, text, TEMPLATE_TEXT, &inner, &target, err) : no_memory(err);
        if (r < 0)
            return r;
        buffer_text(&out, out.len > 0 ? " " : "");
        buffer_text(&out, target);
        rest += len + (rest[len] == ',');
    }
    *outp = out.failed ? NULL : arena_text_n(arena, (const char *)out.data, out.len);
    return *outp ? 0 : no_memory(err);
}

static int command_resolve(struct arena *arena, const struct recipe_probe *from, const struct scope *scope,
                           const struct command **outp, struct error *err) {
    struct command *command = arena_alloc(arena, sizeof(*command));
    struct argument *words = arena_array(arena, from->n_arguments, sizeof(*words));
    if (!command || !words)
        return no_memory(err);
    for (size_t i = 0; i < from->n_arguments; i++) {
        int r = template_fill(arena, from->arguments[i], TEMPLATE_TEXT, scope, &words[i].text, err);
        if (r < 0)
            return r;
    }
    *command = (struct command){
        .arguments = words, .n_arguments = from->n_arguments, .deadline_ms = from->timeout_ms};
    *outp = command;
    return 0;
}

int probe_resolve(struct arena *arena, const struct recipe_probe *from, const struct scope *scope,
                  struct probe *outp, struct error *err) {
    bool many = from->kind == PROBE_HTTP || from->kind == PROBE_TCP;
    *outp = (struct probe){.kind = from->kind, .send = from->send, .timeout_ms = from->timeout_ms};
    int r = many ? target_fill(arena, from->target, scope, &outp->target, err)
                 : template_fill(arena, from->target, TEMPLATE_TEXT, scope, &outp->target, err);
    if (r == 0)
        r = template_fill(arena, from->path, TEMPLATE_TEXT, scope, &outp->path, err);
    if (r == 0)
        r = template_fill(arena, from->match, TEMPLATE_EXPRESSION, scope, &outp->match, err);
    if (r == 0 && from->n_arguments > 0)
        r = command_resolve(arena, from, scope, &outp->command, err);
    return r;
}

/* ---- gates ---- */

static int number_fill(struct arena *arena, const char *text, const struct scope *scope, uint64_t *outp,
                       struct error *err) {
    const char *number;
    char *rest;
    *outp = 0;
    int r = template_fill(arena, text, TEMPLATE_TEXT, scope, &number, err);
    if (r < 0 || !number)
        return r;
    *outp = strtoull(number, &rest, 10);
    return *number == 0 || *rest ? error_set(err, -EINVAL, "\"%s\" is no number", number) : 0;
}

int check_resolve(struct arena *arena, const struct recipe_check *from, const struct scope *scope,
                  const char *const *known, size_t n_known, struct check *outp, struct error *err) {
    const char **values = arena_array(arena, from->n_values, sizeof(*values));
    if (!values)
        return no_memory(err);
    *outp =
        (struct check){.rule = from->rule, .exclude_self = from->without_self, .otherwise = from->otherwise};
    int r = probe_resolve(arena, &from->probe, scope, &outp->probe, err);
    if (r == 0)
        r = number_fill(arena, from->count, scope, &outp->count, err);
    for (size_t i = 0; r == 0 && i < from->n_values; i++)
        r = template_fill(arena, from->values[i], TEMPLATE_TEXT, scope, &values[i], err);
    if (r == 0)
        r = template_fill(arena, from->says, TEMPLATE_TEXT, scope, &outp->says, err);
    bool none_new = from->rule == RULE_NONE_NEW;
    outp->values = none_new ? known : values;
    outp->n_values = none_new ? n_known : from->n_values;
    return r;
}

static int sample_resolve(struct arena *arena, const struct recipe_sample *from, const struct scope *scope,
                          const struct sample **outp, struct error *err) {
    struct sample *sample = arena_alloc(arena, sizeof(*sample));
    if (!sample)
        return no_memory(err);
    *sample = (struct sample){.filter_any = from->filter_any,
                              .n_filter_any = from->n_filter_any,
                              .request = from->request,
                              .answer = from->answer,
                              .per_object = from->per_object,
                              .limit = from->limit,
                              .minimum = from->minimum,
                              .timeout_ms = from->timeout_ms};
    int r = probe_resolve(arena, &from->source, scope, &sample->source, err);
    if (r == 0)
        r = template_fill(arena, from->filter, TEMPLATE_TEXT, scope, &sample->filter, err);
    if (r == 0)
        r = template_fill(arena, from->target, TEMPLATE_TEXT, scope, &sample->target, err);
    *outp = sample;
    return r;
}

int duration_fill(struct arena *arena, const char *text, const struct scope *scope, uint32_t *outp,
                  struct error *err) {
    const char *filled;
    uint64_t ms;
    int r = template_fill(arena, text, TEMPLATE_TEXT, scope, &filled, err);
    if (r < 0)
        return r;
    if (!duration_parse(filled, &ms) || ms > 24 * 3600 * 1000)
        return error_set(err, -EINVAL, "\"%s\" is no duration of at most a day", filled);
    *outp = (uint32_t)ms;
    return 0;
}

int gate_resolve(struct arena *arena, const struct recipe_gate *from, const struct scope *scope,
                 const char *const *known, size_t n_known, struct gate *outp, struct error *err) {
    struct check *checks = arena_array(arena, from->n_checks, sizeof(*checks));
    if (!checks)
        return no_memory(err);
    *outp = (struct gate){.name = from->name,
                          .scope = from->scope,
                          .checks = checks,
                          .n_checks = from->n_checks,
                          .evidence_age_ms = from->evidence_age_ms};
    int r = duration_fill(arena, from->detection, scope, &outp->detection_ms, err);
    for (size_t i = 0; r == 0 && i < from->n_checks; i++)
        r = check_resolve(arena, &from->checks[i], scope, known, n_known, &checks[i], err);
    if (r == 0 && from->sample)
        r = sample_resolve(arena, from->sample, scope, &outp->sample, err);
    return r < 0 ? error_context(err, r, "gate %s", from->name) : 0;
}

bool gate_is_none_new(const struct recipe_gate *gate) {
    for (size_t i = 0; i < gate->n_checks; i++)
        if (gate->checks[i].rule == RULE_NONE_NEW)
            return true;
    return false;
}

/* A gate with one check that answers "no" and names the items, unless there are none. */
static int listing_make(struct arena *arena, const char *prefix, const char *name, struct check *checks,
                        size_t n_checks, struct gate *outp, struct error *err) {
    for (size_t i = 0; i < n_checks; i++) {
        checks[i].rule = RULE_EQUALS;
        checks[i].otherwise = ANSWER_NO;
        checks[i].says = "{items}";
    }
    *outp = (struct gate){.name = arena_format(arena, "%s:%s", prefix, name),
                          .scope = GATE_SCOPE_CLUSTER,
                          .checks = checks,
                          .n_checks = n_checks,
                          .evidence_age_ms = 60 * 1000};
    return outp->name ? 0 : no_memory(err);
}

int items_gate_make(struct arena *arena, const struct recipe_gate *from, const struct scope *scope,
                    struct gate *outp, struct error *err) {
    struct check *checks = arena_array(arena, from->n_checks, sizeof(*checks));
    size_t n = 0;
    if (!checks)
        return no_memory(err);
    for (size_t i = 0; i < from->n_checks; i++)
        if (from->checks[i].rule == RULE_NONE_NEW) {
            int r = probe_resolve(arena, &from->checks[i].probe, scope, &checks[n++].probe, err);
            if (r < 0)
                return error_context(err, r, "gate %s", from->name);
        }
    return listing_make(arena, "items", from->name, checks, n, outp, err);
}

int value_gate_make(struct arena *arena, const struct recipe_side_action *from, const struct scope *scope,
                    struct gate *outp, struct error *err) {
    struct check *check = arena_array(arena, 1, sizeof(*check));
    if (!check)
        return no_memory(err);
    int r = probe_resolve(arena, &from->value, scope, &check->probe, err);
    return r < 0 ? error_context(err, r, "side action %s", from->name)
                 : listing_make(arena, "value", from->name, check, 1, outp, err);
}

/* ---- the set ---- */

void gate_set_init(struct gate_set *set, struct arena *arena) {
    *set = (struct gate_set){.arena = arena};
}

static size_t slot_of(const struct gate_set *set, const struct digest *digest) {
    size_t at = (size_t)read_u64(digest->b) & (set->table_size - 1);
    while (set->table[at] && !digest_equal(&set->digests[set->table[at] - 1], digest))
        at = (at + 1) & (set->table_size - 1);
    return at;
}

static int set_grow(struct gate_set *set, struct error *err) {
    size_t room = set->room ? set->room * 2 : 16;
    struct bytes *bytes = arena_array(set->arena, room, sizeof(*bytes));
    struct digest *digests = arena_array(set->arena, room, sizeof(*digests));
    uint32_t *table = arena_array(set->arena, room * 2, sizeof(*table));
    if (!bytes || !digests || !table)
        return no_memory(err);
    if (set->n > 0) {
        memcpy(bytes, set->bytes, set->n * sizeof(*bytes));
        memcpy(digests, set->digests, set->n * sizeof(*digests));
    }
    *set = (struct gate_set){set->arena, bytes, digests, set->n, room, table, room * 2};
    for (size_t i = 0; i < set->n; i++)
        table[slot_of(set, &digests[i])] = (uint32_t)i + 1;
    return 0;
}

int gate_set_add(struct gate_set *set, const struct gate *gate, struct digest *outp, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer encoded = {0};
    int r = codec_encode(&gate_codec, gate, &encoded, err);
    if (r == 0 && set->n == set->room)
        r = set_grow(set, err);
    if (r < 0)
        return error_context(err, r, "gate %s", gate->name);
    *outp = digest_of(buffer_bytes(&encoded));
    size_t at = slot_of(set, outp);
    if (set->table[at])
        return 0;
    struct bytes kept = {arena_copy(set->arena, encoded.data, encoded.len), encoded.len};
    if (!kept.data)
        return no_memory(err);
    set->bytes[set->n] = kept;
    set->digests[set->n] = *outp;
    set->table[at] = (uint32_t)++set->n;
    return 0;
}
