/* Why the state of the cluster before the run is judged by object: a cluster that is degraded in one known place can still
 * be upgraded, if somebody signs that this place is known; everything else that is wrong then counts as new. */
#include "coordinator/planner/planning.h"

#include <string.h>

/* ---- versions ---- */

static bool same_from_seen(const struct planning *p, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (is_in_plan(&p->members[k]) && strcmp(p->members[k].from_version, p->members[i].from_version) == 0)
            return true;
    return false;
}

static void version_judge(struct planning *p, const struct member_plan *m) {
    const struct version_path *path = &m->path;
    hops_judge(p, m);
    if (path->verdict == VERSION_DOWNTIME && path->n_rows == 1 && !is_downtime(p))
        refuse(p, "needs-downtime", "%s -> %s needs a downtime (--strategy downtime): %s", m->from_version,
               p->to_version, path->why);
}

void versions_judge(struct planning *p) {
    const struct planner_input *input = p->input;
    if (input->goes_on)
        warn(p, "not-paused", "",
             "run %llu, which this plan supersedes, is not paused: a member that it changes until the plan "
             "is applied is "
             "not what was signed, and is refused",
             (unsigned long long)input->goes_on);
    if (strcmp(input->manifest->system, p->recipe->name) != 0)
        refuse(p, "release-of-other-system", "the release is for %s, the cluster runs %s",
               input->manifest->system, p->recipe->name);
    if (!digest_equal(&input->charter->recipe, &p->recipe->digest))
        refuse(p, "charter-of-other-recipe",
               "the recipe is not the one that the charter was signed with: sign a new charter (kedge "
               "cluster add)");
    for (size_t i = 0; i < p->n_members; i++)
        if (is_in_plan(&p->members[i]) && !same_from_seen(p, i))
            version_judge(p, &p->members[i]);
    size_t n = 0;
    for (size_t i = 0; i < p->n_members; i++)
        n += is_in_plan(&p->members[i]);
    if (n == 0 && p->n_problems == 0)
        refuse(p, "nothing-to-do", "there is nothing to do: every member is left out");
}

/* ---- gates ---- */

/* The parts of "a, b", each to be consented to by its name. */
static void items_judge(struct planning *p, const char *gate, const char *reason) {
    while (*reason) {
        const char *comma = strstr(reason, ", ");
        size_t len = comma ? (size_t)(comma - reason) : strlen(reason);
        const char *item = arena_text_n(p->arena, reason, len);
        if (!item) {
            (void)fail(p, -ENOMEM);
            return;
        }
        const char *more = strstr(item, " and more");
        if (more)
            refuse(p, "too-much-is-wrong",
                   "gate %s: too much is wrong already to consent to each (%s …): heal the cluster first",
                   gate, item);
        else if (strlen(item) + strlen("known:") > KEDGE_NAME_MAX)
            refuse(p, "heal-first", "gate %s: %s is wrong already: heal it first", gate, item);
        else {
            warn(p, "known", item, "gate %s: %s is so before the run; only what is new will count", gate,
                 item);
            texts_add(p, &p->known, item);
        }
        reason += len + (comma ? 2 : 0);
    }
}

static void gate_judge(struct planning *p, const struct recipe_gate *gate) {
    const struct planner_input *input = p->input;
    const struct planner_answer *answer = answer_find(input->answers, input->n_answers, gate->name);
    const struct planner_answer *items =
        gate_is_none_new(gate)
            ? answer_find(input->answers, input->n_answers, keep_format(p, "items:%s", gate->name))
            : NULL;
    if (!answer || (gate_is_none_new(gate) && !items)) {
        refuse(p, "gate-not-answered", "gate %s was not answered: no prober could be asked", gate->name);
        return;
    }
    bool known = items && items->answer == ANSWER_NO;
    if (known)
        items_judge(p, gate->name, items->reason);
    if (answer->answer == ANSWER_UNKNOWN || (answer->answer == ANSWER_NO && !known))
        warn(p, "degraded", gate->name,
             "gate %s says %s before the run: %s; the run will wait until it says yes", gate->name,
             answer_text(answer->answer), answer->reason);
}

static void uses_judge(struct planning *p, const struct gate_use *uses, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (when_holds(&uses[i].when, &p->scope))
            gate_judge(p, uses[i].gate);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* `more`: room that is left at the end of the list. */
static struct digest *uses_resolve(struct planning *p, const struct gate_use *uses, size_t n_uses,
                                   size_t more, size_t *n_outp) {
    struct digest *list = keep(p, n_uses + more, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; list && i < n_uses && !p->failed; i++) {
        struct gate gate;
        if (!when_holds(&uses[i].when, &p->scope))
            continue;
        bool none_new = gate_is_none_new(uses[i].gate);
        int r = gate_resolve(p->arena, uses[i].gate, &p->scope, p->known.items, none_new ? p->known.n : 0,
                             &gate, p->err);
        if (r == 0)
            r = gate_set_add(&p->gates, &gate, &list[n], p->err);
        if (r < 0)
            (void)fail(p, r);
        n++;
    }
    *n_outp = n;
    return list;
}

/* Those of the recipe, and behind them those that the site adds. */
static const struct gate_use *uses_joined(struct planning *p, const struct gate_use *own, size_t n_own,
                                          const struct gate_use *site, size_t n_site) {
    struct gate_use *all = keep(p, n_own + n_site, sizeof(*all));
    for (size_t i = 0; all && i < n_own + n_site; i++)
        all[i] = i < n_own ? own[i] : site[i - n_own];
    return all;
}

void gates_judge(struct planning *p) {
    const struct recipe *recipe = p->recipe;
    const struct site_gates *site = &p->input->cluster->site;
    size_t n_may_stop = recipe->n_may_stop + site->n_may_stop,
           n_recovered = recipe->n_recovered + site->n_recovered;
    const struct gate_use *may_stop = uses_joined(p, recipe->may_stop, recipe->n_may_stop, site->may_stop,
                                                  site->n_may_stop),
                          *recovered = uses_joined(p, recipe->recovered, recipe->n_recovered, site->recovered,
                                                   site->n_recovered);
    if (!may_stop || !recovered)
        return;
    uses_judge(p, may_stop, n_may_stop);
    uses_judge(p, recovered, n_recovered);
    if (p->known.n > 1)
        qsort(p->known.items, p->known.n, sizeof(*p->known.items), by_text);
    size_t unique = 0;
    for (size_t i = 0; i < p->known.n; i++)
        if (unique == 0 || strcmp(p->known.items[unique - 1], p->known.items[i]) != 0)
            p->known.items[unique++] = p->known.items[i];
    p->known.n = unique;
    p->may_stop = uses_resolve(p, may_stop, is_downtime(p) ? 0 : n_may_stop, p->n_sides, &p->n_may_stop);
    p->recovered = uses_resolve(p, recovered, n_recovered, 0, &p->n_recovered);
    for (size_t i = 0; p->may_stop && i < p->n_sides && !p->failed; i++)
        side_gate_add(p, &p->sides[i], &p->may_stop[p->n_may_stop++]);
}

/* ---- strategy ---- */

bool is_downtime(const struct planning *p) {
    return p->input->options.goal == PLANNER_GOAL_DOWNTIME;
}

const char *strategy_text(const struct planner_options *options) {
    switch (options->goal) {
    case PLANNER_GOAL_CONFIG_ONLY: return "config-only";
    case PLANNER_GOAL_RESTART: return "restart";
    case PLANNER_GOAL_DOWNTIME: return "downtime";
    case PLANNER_GOAL_FINALIZE: return "finalize";
    case PLANNER_GOAL_UPGRADE: break;
    }
    return options->canary ? "canary,rolling" : "rolling";
}

static void restart_judge(struct planning *p) {
    const struct planner_options *options = &p->input->options;
    if (options->n_changes > 0 || options->config != PLANNER_CONFIG_FOUND)
        refuse(p, "restart-with-changes",
               "a restart changes no configuration: leave --change and --config out, or take --strategy "
               "config-only");
}

/* A preview that is missing was refused already. */
static void config_only_judge(struct planning *p) {
    const struct planner_options *options = &p->input->options;
    bool differs = false, known = true;
    for (size_t i = 0; i < p->n_members; i++) {
        const struct planner_preview *preview = &p->members[i].in->preview;
        bool rendered = p->members[i].has_render;
        known = known && (!rendered || preview->has);
        differs = differs ||
                  (rendered && preview->has && !digest_equal(&preview->old_digest, &preview->new_digest));
    }
    if (options->n_changes == 0 && options->config == PLANNER_CONFIG_FOUND)
        refuse(p, "no-change-named", "config-only: nothing to change was named: give --change KEY=VALUE");
    else if (known && !differs)
        refuse(p, "nothing-to-do",
               "config-only: no member's configuration would differ: there is nothing to do");
}

void goal_judge(struct planning *p) {
    const struct planner_options *options = &p->input->options;
    if (options->goal == PLANNER_GOAL_UPGRADE || options->goal == PLANNER_GOAL_DOWNTIME)
        return;
    if (!p->release_as_found)
        refuse(p, "release-not-everywhere",
               "%s: not every member runs %s; it keeps the release, so --to must name the one that runs "
               "everywhere",
               strategy_text(options), p->to_version);
    else if (options->goal == PLANNER_GOAL_RESTART)
        restart_judge(p);
    else if (options->goal == PLANNER_GOAL_FINALIZE)
        finalize_judge(p);
    else
        config_only_judge(p);
}

/* ---- capacity ---- */

static uint32_t at_once(const struct planning *p) {
    const struct planner_options *options = &p->input->options;
    uint64_t count = options->limit_count;
    if (options->limit_percent > 0) {
        uint64_t share = p->n_members * options->limit_percent / 100;
        share = share > 0 ? share : 1;
        count = share < count ? share : count;
    }
    return (uint32_t)count;
}

void capacity_judge(struct planning *p) {
    if (is_downtime(p))
        return; /* nothing is served, on purpose */
    const char *text = NULL;
    struct error why = {{0}};
    if (template_fill(p->arena, p->recipe->capacity, TEMPLATE_TEXT, &p->scope, &text, &why) < 0)
        refuse(p, "capacity-unknown", "capacity: %s; give the value for the whole cluster", why.text);
    if (!text || is_finalize(p))
        return;
    size_t writable = 0, needed = strtoull(text, NULL, 10);
    for (size_t i = 0; i < p->n_members; i++) {
        const struct member_plan *m = &p->members[i];
        writable += is_in_plan(m) ? m->end_mode == MODE_READ_WRITE : m->mode == MODE_READ_WRITE;
    }
    if (writable < needed + at_once(p))
        refuse(
            p, "capacity",
            "capacity: with %u in change at once, %zu of %zu members stay read-write, the clients need %zu",
            at_once(p), writable > at_once(p) ? writable - at_once(p) : 0, p->n_members, needed);
}

/* ---- consents and choices ---- */

static void choices_judge(struct planning *p) {
    const struct planner_options *options = &p->input->options;
    for (size_t i = 0; i < options->n_choices; i++) {
        const struct recipe_option *option = recipe_option_find(p->recipe, options->choices[i].name);
        bool known = false;
        for (size_t k = 0; option && k < option->n_choices; k++)
            known = known || strcmp(option->choices[k], options->choices[i].value) == 0;
        if (!option)
            refuse(p, "unknown-option", "recipe %s has no option %s", p->recipe->name,
                   options->choices[i].name);
        else if (!known)
            refuse(p, "unknown-choice", "option %s has no choice \"%s\"", option->name,
                   options->choices[i].value);
    }
}

void consents_judge(struct planning *p) {
    const struct planner_options *options = &p->input->options;
    enum { WARNINGS_MAX = 64 };
    for (size_t i = 0; i < options->n_consents; i++) {
        bool needed = false;
        for (size_t k = 0; k < p->n_warnings; k++)
            needed = needed || strcmp(p->warnings[k].name, options->consents[i]) == 0;
        if (!needed)
            refuse(p, "consent-not-asked", "consent \"%s\" is not asked for by this plan: leave it out",
                   options->consents[i]);
    }
    if (p->n_warnings > WARNINGS_MAX)
        refuse(p, "too-many-warnings",
               "%zu warnings are more than anybody can consent to (%d): heal the cluster first",
               p->n_warnings, WARNINGS_MAX);
    if (options->limit_count == 0 || options->limit_percent > 100)
        refuse(p, "limit-out-of-range", "limit: at least 1 member, at most 100 percent");
    if (!options->urgent && options->soak_ms < p->recipe->soak_least_ms)
        refuse(p, "soak-too-short", "a soak of %u ms is shorter than the %u ms that the recipe asks for",
               options->soak_ms, p->recipe->soak_least_ms);
    if (options->not_after_s <= options->created_s || options->not_after_s <= options->not_before_s)
        refuse(p, "time-is-over", "not-after lies before the plan could begin");
    choices_judge(p);
}
