/* Why the words of a new command line are references to the found ones wherever nothing changes: a word may be a secret,
 * which never leaves its node; and what nobody rewrote is then the same by construction, not by copying. */
#include "coordinator/planner/planning.h"

#include "common/plan/encoding.h"

#include <string.h>

static const char masked[] = "****";

/* ---- configuration ---- */

static void op_add(struct planning *p, struct config_op *ops, size_t *n, struct config_op op) {
    if (*n >= KEDGE_CONFIG_OPS_MAX)
        refuse(p, "too-many-changes", "more than %d changes of one configuration", KEDGE_CONFIG_OPS_MAX);
    else
        ops[(*n)++] = op;
}

static void recipe_ops_add(struct planning *p, const struct member_plan *m,
                           const struct recipe_config_op *from, size_t n_from, struct config_op *ops,
                           size_t *n) {
    for (size_t i = 0; i < n_from; i++) {
        struct config_op op = {.kind = from[i].kind};
        struct error why = {{0}};
        if (!when_holds(&from[i].when, &m->facts))
            continue;
        if (template_fill(p->arena, from[i].key, TEMPLATE_TEXT, &m->facts, &op.key, &why) < 0 ||
            template_fill(p->arena, from[i].value, TEMPLATE_TEXT, &m->facts, &op.value, &why) < 0)
            refuse(p, "value-missing", "%s: configuration change of %s: %s", m->member->name, from[i].key,
                   why.text);
        else
            op_add(p, ops, n, op);
    }
}

/* Into a shipped configuration move the keys that the recipe names and those that say where the data is. */
static void carries_add(struct planning *p, const struct recipe_role *role, struct config_op *ops,
                        size_t *n) {
    for (size_t i = 0; i < role->n_data_keys; i++)
        op_add(p, ops, n, (struct config_op){.kind = CONFIG_CARRY, .key = role->data_keys[i]});
    for (size_t i = 0; i < role->n_carry; i++) {
        bool done = false;
        for (size_t k = 0; k < role->n_data_keys; k++)
            done = done || strcmp(role->data_keys[k], role->carry[i]) == 0;
        if (!done)
            op_add(p, ops, n, (struct config_op){.kind = CONFIG_CARRY, .key = role->carry[i]});
    }
}

void render_make(struct planning *p, struct member_plan *m) {
    const struct planner_options *options = &p->input->options;
    const struct recipe_role *role = m->member->role;
    const char *path = fact_of(m, "config.path"), *slash = strrchr(path, '/');
    if (!role->config_after || !*path || is_finalize(p))
        return;
    struct config_op *ops = keep(p, KEDGE_CONFIG_OPS_MAX, sizeof(*ops));
    size_t n = 0;
    if (!ops)
        return;
    m->render = (struct render){
        .path = path, .name = slash ? slash + 1 : path, .format = role->config_format, .ops = ops};
    if (options->config == PLANNER_CONFIG_RELEASE) {
        m->render.has_shipped = true;
        m->render.shipped = p->input->shipped;
        carries_add(p, role, ops, &n);
    }
    bool whole =
        options->goal == PLANNER_GOAL_UPGRADE || is_downtime(p); /* else only what the operator asked for */
    if (whole)
        recipe_ops_add(p, m, p->recipe->config, p->recipe->n_config, ops, &n);
    for (size_t i = 0; whole && i < m->path.n_rows; i++)
        recipe_ops_add(p, m, m->path.rows[i]->ops, m->path.rows[i]->n_ops, ops, &n);
    for (size_t i = 0; i < options->n_changes; i++)
        op_add(p, ops, &n, options->changes[i]);
    m->render.n_ops = n;
    m->has_render = true;
}

/* ---- words ---- */

struct words {
    struct argument list[KEDGE_ARGUMENTS_MAX];
    size_t n;
};

static const char *found_text(struct planning *p, const struct member_plan *m, size_t index) {
    return fact_of(m, keep_format(p, "argument.%zu", index));
}

/* The number of the argument after the first `word`; 0: there is none. */
static size_t position_after(struct planning *p, const struct member_plan *m, const char *word, size_t n) {
    for (size_t i = 0; i + 1 < n; i++)
        if (strcmp(found_text(p, m, i), word) == 0)
            return i + 1;
    return 0;
}

bool is_masked(const char *text) {
    return strstr(text, masked) != NULL;
}

static bool matches_any(const struct recipe_rewrite *rewrite, const char *entry) {
    for (size_t i = 0; i < rewrite->n_entries; i++)
        if (pattern_matches(rewrite->entries[i], entry))
            return true;
    return false;
}

/* Replaces the entries that match, all together by one text at the place of the first. NULL when none matches. */
static const char *entries_rewrite(struct planning *p, const struct recipe_rewrite *rewrite,
                                   const char *found, const char *to) {
    _cleanup_(buffer_deinit) struct buffer out = {0};
    const char separator[] = {rewrite->separator, 0};
    bool replaced = false;
    for (;;) {
        size_t len = strcspn(found, separator);
        const char *entry = arena_text_n(p->arena, found, len);
        if (!entry) {
            (void)fail(p, -ENOMEM);
            return NULL;
        }
        bool matches = matches_any(rewrite, entry);
        if (!matches || !replaced) {
            buffer_text(&out, out.len > 0 ? separator : "");
            buffer_text(&out, matches ? to : entry);
        }
        replaced = replaced || matches;
        if (found[len] == 0)
            break;
        found += len + 1;
    }
    const char *text =
        replaced && !out.failed ? arena_text_n(p->arena, (const char *)out.data, out.len) : NULL;
    if (replaced && !text)
        (void)fail(p, -ENOMEM);
    return text;
}

static void word_rewrite(struct planning *p, const struct member_plan *m,
                         const struct recipe_rewrite *rewrite, struct words *words) {
    struct error why = {{0}};
    const char *to;
    if (template_fill(p->arena, rewrite->to, TEMPLATE_TEXT, &m->facts, &to, &why) < 0) {
        refuse(p, "value-missing", "%s: word %s: %s", m->member->name, rewrite->word, why.text);
        return;
    }
    for (size_t i = 0; i < words->n; i++)
        if (strcmp(found_text(p, m, i), rewrite->word) == 0)
            words->list[i] = (struct argument){.text = to};
}

static void rewrite_apply(struct planning *p, const struct member_plan *m,
                          const struct recipe_rewrite *rewrite, struct words *words) {
    size_t at = rewrite->by_position ? rewrite->position : position_after(p, m, rewrite->after, words->n);
    const char *where = rewrite->by_position ? keep_format(p, "argument %u", rewrite->position)
                                             : keep_format(p, "the argument after %s", rewrite->after);
    struct error why = {{0}};
    const char *to;
    if (at >= words->n || (!rewrite->by_position && at == 0)) {
        refuse(p, "command-line-differs",
               "%s: its command line has no %s, so it cannot be led to the new release", m->member->name,
               rewrite->by_position ? where : rewrite->after);
        return;
    }
    const char *found = found_text(p, m, at);
    int r = template_fill(p->arena, rewrite->to, TEMPLATE_TEXT, &m->facts, &to, &why);
    if (r < 0) {
        refuse(p, "value-missing", "%s: %s: %s", m->member->name, where, why.text);
    } else if (rewrite->separator && is_masked(found)) {
        refuse(p, "argument-masked", "%s: %s is not shown in clear, so it cannot be rewritten",
               m->member->name, where);
    } else {
        const char *text = rewrite->separator ? entries_rewrite(p, rewrite, found, to) : to;
        if (text)
            words->list[at] = (struct argument){.text = text};
        else if (!p->failed)
            refuse(p, "command-line-differs",
                   "%s: %s is \"%s\"; no part of it lies where the recipe expects the release",
                   m->member->name, where, found);
    }
}

static void config_apply(struct planning *p, const struct member_plan *m, struct words *words) {
    const char *after = m->member->role->config_after, *to = scope_get(&m->facts, "next.config");
    if (!m->has_render)
        return;
    size_t at = position_after(p, m, after, words->n);
    if (at > 0)
        words->list[at] = (struct argument){.text = to};
    else
        refuse(p, "command-line-differs",
               "%s: its command line has no %s, so it cannot be led to its new configuration",
               m->member->name, after);
}

static bool is_read_only_word(const struct recipe_role *role, const char *text) {
    for (size_t i = 0; i < role->n_read_only; i++)
        if (strcmp(role->read_only[i], text) == 0)
            return true;
    return false;
}

/* Leaves out the words of a read-only start, or makes sure that they are there. */
static void mode_apply(struct planning *p, const struct member_plan *m, enum mode mode, struct words *words) {
    const struct recipe_role *role = m->member->role;
    size_t n = 0, present = 0;
    for (size_t i = 0; i < words->n; i++) {
        bool read_only = words->list[i].has_found && is_read_only_word(role, found_text(p, m, i));
        present += read_only;
        if (!read_only || mode == MODE_READ_ONLY)
            words->list[n++] = words->list[i];
    }
    words->n = n;
    for (size_t i = 0; mode == MODE_READ_ONLY && present == 0 && i < role->n_read_only; i++)
        words->list[words->n++] = (struct argument){.text = role->read_only[i]};
}

static void words_make(struct planning *p, const struct member_plan *m, enum mode mode, struct words *words) {
    const struct recipe_role *role = m->member->role;
    words->n = strtoul(fact_of(m, "arguments"), NULL, 10);
    if (words->n == 0 || words->n + role->n_read_only > KEDGE_ARGUMENTS_MAX) {
        refuse(p, "command-line-too-long", "%s: a command line of %zu words cannot be planned",
               m->member->name, words->n);
        words->n = 0;
        return;
    }
    words->list[0] = (struct argument){.text = fact_of(m, "executable")};
    for (size_t i = 1; i < words->n; i++)
        words->list[i] = (struct argument){.found = (uint32_t)i, .has_found = true};
    for (size_t i = 0; i < role->n_rewrites && !p->release_as_found; i++) {
        const struct recipe_rewrite *rewrite = &role->rewrites[i];
        if (!when_holds(&rewrite->when, &m->facts))
            continue;
        if (rewrite->word)
            word_rewrite(p, m, rewrite, words);
        else
            rewrite_apply(p, m, rewrite, words);
    }
    config_apply(p, m, words);
    mode_apply(p, m, mode, words);
}

/* ---- the generation ---- */

int generation_plan(struct planning *p, const struct member_plan *m, enum mode mode,
                    struct generation *outp) {
    struct words *words = keep(p, 1, sizeof(*words));
    if (!words)
        return p->failed;
    words_make(p, m, mode, words);
    *outp = (struct generation){.mode = mode,
                                .has_manifest = !p->release_as_found,
                                .version = p->to_version,
                                .render = m->has_render ? &m->render : NULL,
                                .arguments = words->list,
                                .n_arguments = words->n};
    if (outp->has_manifest)
        outp->manifest = digest_of(p->input->manifest_blob);
    int r = p->failed ? p->failed : generation_digest(outp, &outp->digest, p->err);
    return r < 0 ? fail(p, r) : 0;
}

/* ---- commands ---- */

/* "argument.7" or "argument.after.-cp" as the number of a found argument; 0: it is none. */
static size_t argument_number(struct planning *p, const struct member_plan *m, const char *name) {
    static const char after[] = "argument.after.", plain[] = "argument.";
    size_t n = strtoul(fact_of(m, "arguments"), NULL, 10);
    if (strncmp(name, after, strlen(after)) == 0)
        return position_after(p, m, name + strlen(after), n);
    return strncmp(name, plain, strlen(plain)) == 0 ? strtoul(name + strlen(plain), NULL, 10) : 0;
}

static void word_make(struct planning *p, const char *from, const struct scope *scope,
                      const struct member_plan *m, struct argument *outp) {
    const char *only = template_only(p->arena, from), *text;
    struct error why = {{0}};
    if (output_word_make(p, from, scope, m, outp))
        return;
    if (template_fill(p->arena, from, TEMPLATE_TEXT, scope, &text, &why) < 0) {
        refuse(p, "value-missing", "%s: command word \"%s\": %s", m->member->name, from, why.text);
        return;
    }
    size_t number = only && is_masked(text) ? argument_number(p, m, only) : 0;
    if (number > 0)
        *outp = (struct argument){.found = (uint32_t)number, .has_found = true};
    else if (is_masked(text))
        refuse(p, "value-missing",
               "%s: command word \"%s\" would hold a secret: name the argument under clear-arguments, or use "
               "it alone",
               m->member->name, from);
    else
        *outp = (struct argument){.text = text};
}

int command_make(struct planning *p, const struct recipe_command *from, const struct scope *scope,
                 const struct member_plan *m, const struct command **outp) {
    struct command *command = keep(p, 1, sizeof(*command));
    struct argument *words = keep(p, from->n_arguments, sizeof(*words));
    if (!command || !words)
        return p->failed;
    for (size_t i = 0; i < from->n_arguments; i++)
        word_make(p, from->arguments[i], scope, m, &words[i]);
    *command = (struct command){
        .arguments = words, .n_arguments = from->n_arguments, .deadline_ms = from->deadline_ms};
    *outp = command;
    return p->failed;
}
