/* Why the phases run in this order: who is how (members), then what forbids or must be consented to (judge, sides), then
 * who goes when (waves), and only a plan that nobody objects to is written out. Everything that is signed is encoded once,
 * here, and tied together by digest: work orders and shape under one root, the root in the header. */
#include "coordinator/planner/planning.h"

#include "common/plan/encoding.h"
#include "common/plan/merkle.h"
#include "common/plan/verify.h"

#include <string.h>

void planner_options_init(struct planner_options *options, const struct cluster_file *cluster) {
    *options = (struct planner_options){.canary = cluster->canary > 0,
                                        .n_canaries = cluster->canary,
                                        .limit_count = cluster->limit,
                                        .soak_read_only_ms = cluster->soak_read_only_ms,
                                        .soak_ms = cluster->soak_ms,
                                        .wait_limit_ms = cluster->wait_limit_ms,
                                        .budgets = cluster->budgets,
                                        .n_budgets = cluster->n_budgets,
                                        .hold_ms = 10 * 60 * 1000,
                                        .author = "",
                                        .ticket = "",
                                        .reason = ""};
}

const char *planner_shipped_path(const struct planner_input *input) {
    const struct recipe *recipe = input->cluster->recipe;
    for (size_t i = 0; input->options.config == PLANNER_CONFIG_RELEASE && i < recipe->n_roles; i++)
        if (recipe->roles[i].shipped_config)
            return recipe->roles[i].shipped_config;
    return NULL;
}

/* ---- what both entry points begin with ---- */

static int planning_begin(struct planning *p, const struct planner_input *input, struct arena *arena,
                          struct error *err) {
    *p = (struct planning){.input = input,
                           .recipe = input->cluster->recipe,
                           .arena = arena,
                           .err = err,
                           .to_version = input->manifest->version};
    gate_set_init(&p->gates, arena);
    /* The plan's own choices are judged like values. */
    struct scope *values = keep(p, 1, sizeof(*values));
    struct fact *own = keep(p, 2, sizeof(*own));
    if (!values || !own)
        return p->failed;
    own[0] = (struct fact){"canary", input->options.canary ? "yes" : "no"};
    own[1] =
        (struct fact){"configuration", input->options.config == PLANNER_CONFIG_RELEASE ? "release" : "found"};
    int r = cluster_scope_make(arena, input->cluster, input->options.choices, input->options.n_choices,
                               values, err);
    p->scope = (struct scope){own, 2, values};
    return r < 0 ? r : (members_look(p), p->failed);
}

int planner_previews(const struct planner_input *input, struct arena *arena,
                     const struct planner_preview_request **outp, size_t *n_outp, struct error *err) {
    struct planning p;
    int r = planning_begin(&p, input, arena, err);
    struct planner_preview_request *list = r == 0 ? keep(&p, p.n_members + 1, sizeof(*list)) : NULL;
    if (!list)
        return r < 0 ? r : p.failed;
    size_t n = 0;
    for (size_t i = 0; i < p.n_members && !p.failed; i++) {
        struct member_plan *m = &p.members[i];
        if (!is_in_plan(m))
            continue;
        render_make(&p, m);
        if (!m->has_render)
            continue;
        _cleanup_(buffer_deinit) struct buffer bytes = {0};
        r = codec_encode(&render_codec, &m->render, &bytes, err);
        if (r < 0)
            return error_context(err, r, "%s", m->member->name);
        list[n] = (struct planner_preview_request){i, {arena_copy(arena, bytes.data, bytes.len), bytes.len}};
        if (!list[n++].render.data)
            return fail(&p, -ENOMEM);
    }
    *outp = list;
    *n_outp = n;
    return p.failed;
}

/* ---- configuration previews become signed digests ---- */

static void renders_make(struct planning *p) {
    bool release = p->input->options.config == PLANNER_CONFIG_RELEASE;
    const char *shipped = planner_shipped_path(p->input);
    if (release && !shipped)
        refuse(p, "no-shipped-configuration",
               "the recipe names no configuration that a release ships: use the found one");
    if (shipped && !p->input->shipped.data)
        refuse(p, "shipped-file-missing",
               "the release has no file %s, from which the configuration is to be made", shipped);
    for (size_t i = 0; i < p->n_members; i++) {
        struct member_plan *m = &p->members[i];
        const struct planner_preview *preview = &m->in->preview;
        if (!is_in_plan(m))
            continue;
        render_make(p, m);
        if (m->has_render && !preview->has && !(preview->problem && *preview->problem))
            refuse(p, "no-preview", "%s: its node did not preview the new configuration", m->member->name);
        m->render.old_digest = preview->old_digest;
        m->render.new_digest = preview->new_digest;
    }
}

/* ---- writing it out ---- */

static int encode(struct planning *p, const struct codec_message *codec, const void *value,
                  struct bytes *outp) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    int r = codec_encode(codec, value, &bytes, p->err);
    if (r < 0)
        return fail(p, r);
    *outp = (struct bytes){arena_copy(p->arena, bytes.data, bytes.len), bytes.len};
    return outp->data ? 0 : fail(p, -ENOMEM);
}

/* What cannot be undone, from the rows of all members; "" when nothing in the plan is final by itself. */
static const char *no_return_text(struct planning *p) {
    if (is_finalize(p) && p->recipe->finalize)
        return keep_format(p, "%s; what ran before is removed", p->recipe->finalize->about);
    const char *behind = is_downtime(p) ? action_behind(p) : NULL, *text = "";
    unsigned hold_s = p->input->options.hold_ms / 1000;
    if (is_downtime(p))
        text = keep_format(
            p,
            "%s%s: before it, when the coordinator is silent for %u s, each node starts what it ran before; "
            "after it nothing starts by itself, what is stopped stays down, with an alarm, until it is "
            "ordered to start or to return",
            behind ? "the barrier before " : "the barrier before the start", behind ? behind : "", hold_s);
    if (!text)
        return "";
    for (size_t i = 0; i < p->n_order; i++)
        for (size_t k = 0; k < p->order[i]->path.n_rows; k++) {
            const char *says = p->order[i]->path.rows[k]->no_return;
            if (says && !strstr(text, says))
                text = keep_format(p, "%s%s%s", text, *text ? "; " : "", says);
        }
    return text;
}

/* The charter's and those that this plan adds, each once. */
static struct texts depends_on_make(struct planning *p) {
    const struct charter *charter = p->input->charter;
    const struct planner_options *options = &p->input->options;
    struct texts all = {0};
    for (size_t i = 0; i < charter->n_depends_on; i++)
        texts_add_once(p, &all, charter->depends_on[i]);
    for (size_t i = 0; i < options->n_depends_on; i++)
        texts_add_once(p, &all, options->depends_on[i]);
    return all;
}

static int shape_encode(struct planning *p, struct plan *plan) {
    struct texts depends_on = depends_on_make(p);
    struct side_action *sides = keep(p, p->n_sides, sizeof(*sides));
    const char **warnings = keep(p, p->n_warnings, sizeof(*warnings));
    if (!sides || !warnings)
        return p->failed;
    for (size_t i = 0; i < p->n_sides; i++)
        sides[i] =
            (struct side_action){p->sides[i].action->name, p->sides[i].open_step, p->sides[i].close_step,
                                 p->sides[i].previous,     p->sides[i].ours,      p->sides[i].ttl_ms};
    for (size_t i = 0; i < p->n_warnings; i++)
        warnings[i] = keep_format(p, "%.63s: %.440s", p->warnings[i].name, p->warnings[i].says);
    struct shape shape = {.format = 1,
                          .strategy = strategy_text(&p->input->options),
                          .waves = p->waves,
                          .n_waves = p->n_waves,
                          .side_actions = sides,
                          .n_side_actions = p->n_sides,
                          .may_stop = p->may_stop,
                          .n_may_stop = p->n_may_stop,
                          .recovered = p->recovered,
                          .n_recovered = p->n_recovered,
                          .warnings = warnings,
                          .n_warnings = p->n_warnings,
                          .point_of_no_return = no_return_text(p),
                          .depends_on = depends_on.items,
                          .n_depends_on = depends_on.n,
                          .budgets = p->budgets,
                          .n_budgets = p->n_budgets,
                          .return_on_abort = p->input->options.return_on_abort,
                          .has_diffs = true};
    if (plan_diffs_digest(plan->diffs, plan->n_diffs, &shape.diffs) < 0)
        return fail(p, -ENOMEM);
    return encode(p, &shape_codec, &shape, &plan->shape);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *const *consents_sorted(struct planning *p, size_t *n_outp) {
    const struct planner_options *options = &p->input->options;
    const char **list = keep(p, options->n_consents, sizeof(*list));
    size_t n = 0;
    if (!list)
        return NULL;
    for (size_t i = 0; i < options->n_consents; i++)
        list[i] = options->consents[i];
    if (options->n_consents > 1)
        qsort(list, options->n_consents, sizeof(*list), by_text);
    for (size_t i = 0; i < options->n_consents; i++)
        if (n == 0 || strcmp(list[n - 1], list[i]) != 0)
            list[n++] = list[i];
    *n_outp = n;
    return list;
}

static const char *lowest_version(const struct planning *p) {
    const char *lowest = p->order[0]->from_version;
    for (size_t i = 1; i < p->n_order; i++)
        if (version_compare(p->order[i]->from_version, lowest) < 0)
            lowest = p->order[i]->from_version;
    return lowest;
}

static int header_encode(struct planning *p, const struct plan *plan, struct digest *digest,
                         struct bytes *outp) {
    const struct planner_input *input = p->input;
    size_t n = plan->n_work_orders + 1, n_consents = 0;
    struct digest *leaves = keep(p, n, sizeof(*leaves));
    const char *const *consents = consents_sorted(p, &n_consents);
    if (!leaves || !consents)
        return p->failed;
    leaves[0] = merkle_leaf(plan->shape);
    for (size_t i = 0; i < plan->n_work_orders; i++)
        leaves[i + 1] = merkle_leaf(plan->work_orders[i]);
    struct header header = {.format = 1,
                            .cluster = input->cluster->name,
                            .serial = input->options.serial,
                            .root = merkle_root(leaves, n),
                            .n_leaves = (uint32_t)n,
                            .charter = input->charter_digest,
                            .recipe = p->recipe->digest,
                            .manifest = digest_of(input->manifest_blob),
                            .from_version = lowest_version(p),
                            .to_version = p->to_version,
                            .author = input->options.author,
                            .ticket = input->options.ticket,
                            .reason = reason_make(p),
                            .urgency = input->options.urgent ? URGENCY_URGENT : URGENCY_NORMAL,
                            .created_s = input->options.created_s,
                            .not_before_s = input->options.not_before_s,
                            .not_after_s = input->options.not_after_s,
                            .consents = consents,
                            .n_consents = n_consents,
                            .supersedes = input->options.supersedes,
                            .lifts = p->lifts,
                            .n_lifts = p->n_lifts};
    struct signed_blob blob = {.context = TRUST_OPERATOR_PLAN};
    int r = encode(p, &header_codec, &header, &blob.bytes);
    if (r < 0)
        return r;
    _cleanup_(buffer_deinit) struct buffer file = {0};
    signed_blob_encode(&file, &blob);
    *digest = digest_of(blob.bytes);
    *outp = (struct bytes){file.failed ? NULL : arena_copy(p->arena, file.data, file.len), file.len};
    return outp->data ? 0 : fail(p, -ENOMEM);
}

static int plan_encode(struct planning *p, const struct work_order *made, struct planner_result *result) {
    struct bytes *orders = keep(p, p->n_order, sizeof(*orders));
    const char **diffs = keep(p, p->n_order, sizeof(*diffs));
    int r = orders && diffs ? 0 : p->failed;
    for (size_t i = 0; r == 0 && i < p->n_order; i++) {
        const char *diff = p->order[i]->in->preview.diff;
        diffs[i] = diff ? diff : "";
        r = encode(p, &work_order_codec, &made[i], &orders[i]);
        if (r < 0)
            return error_context(p->err, r, "%s", p->order[i]->member->name);
    }
    struct plan plan = {.work_orders = orders,
                        .n_work_orders = p->n_order,
                        .gates = p->gates.bytes,
                        .n_gates = p->gates.n,
                        .manifest = p->input->manifest_blob,
                        .diffs = diffs,
                        .n_diffs = p->n_order};
    if (r == 0)
        r = shape_encode(p, &plan);
    if (r == 0)
        r = header_encode(p, &plan, &result->digest, &plan.header);
    return r < 0 ? r : encode(p, &plan_codec, &plan, &result->plan);
}

static bool is_refused(const struct planning *p) {
    for (size_t i = 0; i < p->n_warnings; i++)
        if (!p->warnings[i].consented)
            return true;
    return p->n_problems > 0;
}

static void result_fill(const struct planning *p, struct planner_result *result) {
    result->problems = p->problems;
    result->n_problems = p->n_problems;
    result->warnings = p->warnings;
    result->n_warnings = p->n_warnings;
    result->notes = p->notes.items;
    result->n_notes = p->notes.n;
}

/* Everything that can object. Work orders are made even when something has objected already: making them finds more. */
static struct work_order *judge_and_make(struct planning *p) {
    versions_judge(p);
    if (!is_downtime(p)) /* they keep others from reacting to one that is away; here nobody is there */
        sides_look(p);
    gates_judge(p);
    capacity_judge(p);
    renders_make(p);
    goal_judge(p);
    waves_make(p);
    budgets_make(p);
    struct work_order *orders = p->failed ? NULL : keep(p, p->n_order, sizeof(*orders));
    for (size_t i = 0; orders && i < p->n_order; i++)
        if (order_make(p, i, &orders[i]) < 0)
            return NULL;
    if (p->input->options.urgent && !p->failed)
        soaks_cut(p);
    if (orders)
        quarantine_judge(p, orders);
    consents_judge(p);
    return orders;
}

int planner_make(const struct planner_input *input, struct arena *arena, struct planner_result *result,
                 struct error *err) {
    struct planning p;
    *result = (struct planner_result){0};
    int r = planning_begin(&p, input, arena, err);
    if (r < 0)
        return r;
    struct work_order *orders = p.n_members > 0 ? judge_and_make(&p) : NULL;
    result_fill(&p, result);
    if (p.failed)
        return p.failed;
    if (is_refused(&p))
        return PLANNER_REFUSED;
    r = plan_encode(&p, orders, result);
    return r;
}
