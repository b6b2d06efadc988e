/* One table: the name of each argument and who takes it. The planner judges what the words mean for this cluster. */
#include "coordinator/daemon/plan_options.h"
#include "coordinator/recipes/scope.h"

#include <string.h>

enum { NOT_AFTER_S = 7 * 24 * 3600, WAIT_MAX_MS = 7 * 24 * 3600 * 1000 };

/* The lists of planner_options are const; here they grow. */
struct taking {
    const struct plan_request *request;
    struct arena *arena;
    struct planner_options *options;
    const char **consents, **canaries, **depends_on, **lifts;
    struct fact *choices;
    struct config_op *changes;
    struct budget_use *budgets;
    struct error *err;
};

typedef int taker(struct taking *t, const char *name, const char *text);

static int number_of(const char *text, uint64_t most, uint64_t *outp) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > most)
        return -EINVAL;
    *outp = value;
    return 0;
}

static int take_nothing(struct taking *t, const char *name, const char *text) {
    (void)t, (void)name, (void)text;
    return 0; /* cluster, release and the run that is overtaken are the caller's */
}

static int take_author(struct taking *t, const char *name, const char *text) {
    (void)name;
    t->options->author = text;
    return 0;
}

static int take_ticket(struct taking *t, const char *name, const char *text) {
    (void)name;
    t->options->ticket = text;
    return 0;
}

static int take_reason(struct taking *t, const char *name, const char *text) {
    (void)name;
    t->options->reason = text;
    return 0;
}

static int take_urgent(struct taking *t, const char *name, const char *text) {
    if (!*text)
        return error_set(t->err, -EINVAL, "%s: say why it cannot wait", name);
    t->options->urgent = text;
    return 0;
}

static int take_seconds(struct taking *t, const char *name, const char *text, uint64_t *outp) {
    return number_of(text, INT64_MAX, outp) == 0
               ? 0
               : error_set(t->err, -EINVAL, "%s \"%s\": expected seconds since 1970", name, text);
}

static int take_not_before(struct taking *t, const char *name, const char *text) {
    return take_seconds(t, name, text, &t->options->not_before_s);
}

static int take_not_after(struct taking *t, const char *name, const char *text) {
    return take_seconds(t, name, text, &t->options->not_after_s);
}

static int take_strategy(struct taking *t, const char *name, const char *text) {
    static const struct {
        const char *text;
        bool canary;
        enum planner_goal goal;
    } rows[] = {
        {"canary,rolling", true, PLANNER_GOAL_UPGRADE},   {"rolling", false, PLANNER_GOAL_UPGRADE},
        {"config-only", false, PLANNER_GOAL_CONFIG_ONLY}, {"restart", false, PLANNER_GOAL_RESTART},
        {"finalize", false, PLANNER_GOAL_FINALIZE},       {"downtime", false, PLANNER_GOAL_DOWNTIME},
    };
    size_t i = 0;
    while (i < ARRAY_LEN(rows) && strcmp(rows[i].text, text) != 0)
        i++;
    if (i == ARRAY_LEN(rows))
        return error_set(
            t->err, -EINVAL,
            "%s \"%s\": expected canary,rolling, rolling, downtime, finalize, config-only or restart", name,
            text);
    t->options->canary = rows[i].canary;
    t->options->goal = rows[i].goal;
    if (t->options->canary && t->options->n_canaries == 0)
        t->options->n_canaries = 1;
    return 0;
}

/* A number, or the name of a member. */
static int take_canary(struct taking *t, const char *name, const char *text) {
    uint64_t n;
    if (*text < '0' || *text > '9') {
        t->canaries[t->options->n_canary_names++] = text;
        return 0;
    }
    if (number_of(text, KEDGE_MEMBERS_MAX, &n) < 0 || n == 0)
        return error_set(t->err, -EINVAL, "%s \"%s\": expected a number from 1, or the name of a member",
                         name, text);
    t->options->n_canaries = (uint32_t)n;
    return 0;
}

static int take_approval(struct taking *t, const char *name, const char *text) {
    if (strcmp(text, "yes") != 0)
        return error_set(t->err, -EINVAL, "%s \"%s\": expected yes", name, text);
    t->options->approve_after_canary = true;
    return 0;
}

static int take_inconclusive(struct taking *t, const char *name, const char *text) {
    if (strcmp(text, "pause") != 0 && strcmp(text, "return") != 0)
        return error_set(t->err, -EINVAL, "%s \"%s\": expected pause or return", name, text);
    t->options->return_inconclusive = strcmp(text, "return") == 0;
    return 0;
}

static int take_abort(struct taking *t, const char *name, const char *text) {
    if (strcmp(text, "return") != 0 && strcmp(text, "leave") != 0)
        return error_set(t->err, -EINVAL, "%s \"%s\": expected return or leave", name, text);
    t->options->return_on_abort = strcmp(text, "return") == 0;
    return 0;
}

/* "2" or "25%" */
static int take_limit(struct taking *t, const char *name, const char *text) {
    size_t len = strlen(text);
    bool percent = len > 1 && text[len - 1] == '%';
    char *digits = arena_text_n(t->arena, text, len - percent);
    uint64_t n;
    if (!digits)
        return error_set(t->err, -ENOMEM, "out of memory");
    if (number_of(digits, percent ? 100 : KEDGE_MEMBERS_MAX, &n) < 0 || n == 0)
        return error_set(t->err, -EINVAL, "%s \"%s\": expected 2 or 25%%", name, text);
    t->options->limit_percent = percent ? (uint32_t)n : 0;
    t->options->limit_count = percent ? KEDGE_MEMBERS_MAX : (uint32_t)n;
    return 0;
}

static int take_duration(struct taking *t, const char *name, const char *text, uint32_t *outp) {
    uint64_t ms;
    if (!duration_parse(text, &ms) || ms > WAIT_MAX_MS)
        return error_set(t->err, -EINVAL, "%s \"%s\": expected 10s, 5m or 1h, at most 7d", name, text);
    *outp = (uint32_t)ms;
    return 0;
}

static int take_soak(struct taking *t, const char *name, const char *text) {
    return take_duration(t, name, text, &t->options->soak_ms);
}

static int take_soak_read_only(struct taking *t, const char *name, const char *text) {
    return take_duration(t, name, text, &t->options->soak_read_only_ms);
}

static int take_wait_limit(struct taking *t, const char *name, const char *text) {
    return take_duration(t, name, text, &t->options->wait_limit_ms);
}

static int take_hold_limit(struct taking *t, const char *name, const char *text) {
    int r = take_duration(t, name, text, &t->options->hold_ms);
    if (r == 0 && t->options->hold_ms == 0)
        r = error_set(t->err, -EINVAL, "%s: a member needs some time to hear the next word", name);
    return r;
}

/* "KIND=2", "WAVE:KIND=10%"; after those of the cluster file, so they count. */
static int take_budget(struct taking *t, const char *name, const char *text) {
    const char *equals = strchr(text, '=');
    const char *kind = equals ? arena_text_n(t->arena, text, (size_t)(equals - text)) : NULL;
    if (!kind)
        return error_set(t->err, -EINVAL, "%s \"%s\": expected failed=2, failed=10%% or WAVE:failed=1", name,
                         text);
    return budget_parse(t->arena, kind, equals + 1, &t->budgets[t->options->n_budgets++], t->err);
}

static int take_config(struct taking *t, const char *name, const char *text) {
    bool release = strcmp(text, "release") == 0;
    if (!release && strcmp(text, "found") != 0)
        return error_set(t->err, -EINVAL, "%s \"%s\": expected found or release", name, text);
    t->options->config = release ? PLANNER_CONFIG_RELEASE : PLANNER_CONFIG_FOUND;
    return 0;
}

static int take_consent(struct taking *t, const char *name, const char *text) {
    (void)name;
    t->consents[t->options->n_consents++] = text;
    return 0;
}

static int take_depends_on(struct taking *t, const char *name, const char *text) {
    if (strcmp(text, t->request->cluster->name) == 0)
        return error_set(t->err, -EINVAL, "%s \"%s\": a cluster does not wait for itself", name, text);
    t->depends_on[t->options->n_depends_on++] = text;
    return 0;
}

static int take_lift(struct taking *t, const char *name, const char *text) {
    (void)name;
    t->lifts[t->options->n_lifts++] = text;
    return 0;
}

/* "OPTION=WORD" */
static int take_choice(struct taking *t, const char *name, const char *text) {
    const char *equals = strchr(text, '=');
    char *option = equals ? arena_text_n(t->arena, text, (size_t)(equals - text)) : NULL;
    if (!option || !*option || !equals[1])
        return error_set(t->err, -EINVAL, "%s \"%s\": expected OPTION=WORD", name, text);
    t->choices[t->options->n_choices++] = (struct fact){option, equals + 1};
    return 0;
}

/* "KEY=VALUE", "KEY?=VALUE", "KEY->NEW", "-KEY" */
static int take_change(struct taking *t, const char *name, const char *text) {
    struct config_op *op = &t->changes[t->options->n_changes++];
    const char *arrow = strstr(text, "->"), *equals = strchr(text, '=');
    if (*text == '-' && text[1]) {
        *op = (struct config_op){.kind = CONFIG_REMOVE, .key = text + 1};
        return 0;
    }
    bool renames = arrow && (!equals || arrow < equals),
         missing = !renames && equals > text && equals[-1] == '?';
    const char *end = renames ? arrow : equals ? equals - missing : NULL;
    if (!end || end == text)
        return error_set(t->err, -EINVAL, "%s \"%s\": expected KEY=VALUE, KEY?=VALUE, KEY->NEW or -KEY", name,
                         text);
    *op = (struct config_op){.kind = renames   ? CONFIG_RENAME
                                     : missing ? CONFIG_ADD_IF_MISSING
                                               : CONFIG_SET,
                             .key = arena_text_n(t->arena, text, (size_t)(end - text)),
                             .value = renames ? arrow + 2 : equals + 1};
    return op->key ? 0 : error_set(t->err, -ENOMEM, "out of memory");
}

static const struct {
    const char *name;
    taker *take;
} takers[] = {
    {"cluster", take_nothing},
    {"to", take_nothing},
    {"author", take_author},
    {"ticket", take_ticket},
    {"reason", take_reason},
    {"not-before", take_not_before},
    {"not-after", take_not_after},
    {"strategy", take_strategy},
    {"canary", take_canary},
    {"limit", take_limit},
    {"soak", take_soak},
    {"soak-read-only", take_soak_read_only},
    {"wait-limit", take_wait_limit},
    {"config", take_config},
    {"consent", take_consent},
    {"choice", take_choice},
    {"change", take_change},
    {"urgent", take_urgent},
    {"budget", take_budget},
    {"hold-limit", take_hold_limit},
    {"approve-after-canary", take_approval},
    {"on-inconclusive", take_inconclusive},
    {"on-abort", take_abort},
    {"supersede", take_nothing},
    {"depends-on", take_depends_on},
    {"lift-quarantine", take_lift},
};

static int argument_take(struct taking *t, const struct fact *argument) {
    for (size_t i = 0; i < ARRAY_LEN(takers); i++)
        if (strcmp(takers[i].name, argument->name) == 0)
            return takers[i].take(t, argument->name, argument->value);
    return error_set(t->err, -EINVAL,
                     "plan: unknown argument \"%s\"; kedge and kedged may be of different versions",
                     argument->name);
}

int plan_options_take(const struct plan_request *request, struct arena *arena,
                      struct planner_options *options, struct error *err) {
    size_t n = request->n_arguments;
    struct taking t = {.request = request,
                       .arena = arena,
                       .options = options,
                       .consents = arena_array(arena, n, sizeof(*t.consents)),
                       .canaries = arena_array(arena, n, sizeof(*t.canaries)),
                       .depends_on = arena_array(arena, n, sizeof(*t.depends_on)),
                       .lifts = arena_array(arena, n, sizeof(*t.lifts)),
                       .choices = arena_array(arena, n, sizeof(*t.choices)),
                       .changes = arena_array(arena, n, sizeof(*t.changes)),
                       .budgets = arena_array(arena, n + request->cluster->n_budgets, sizeof(*t.budgets)),
                       .err = err};
    if (!t.consents || !t.canaries || !t.depends_on || !t.lifts || !t.choices || !t.changes || !t.budgets)
        return error_set(err, -ENOMEM, "out of memory");
    planner_options_init(options, request->cluster);
    options->author = request->who;
    options->created_s = request->now_s;
    options->not_after_s = request->now_s + NOT_AFTER_S;
    options->consents = t.consents;
    options->canaries = t.canaries;
    options->depends_on = t.depends_on;
    options->lifts = t.lifts;
    options->choices = t.choices;
    options->changes = t.changes;
    for (size_t i = 0; i < options->n_budgets; i++) /* those of the cluster file */
        t.budgets[i] = options->budgets[i];
    options->budgets = t.budgets;
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = argument_take(&t, &request->arguments[i]);
    if (r == 0 && options->approve_after_canary && !options->canary)
        r = error_set(err, -EINVAL, "approve-after-canary: this plan has no canary; see --strategy");
    if (r == 0 && options->return_inconclusive && !options->canary)
        r = error_set(err, -EINVAL, "on-inconclusive: this plan has no canary; see --strategy");
    if (r == 0 && options->return_on_abort && options->goal == PLANNER_GOAL_DOWNTIME)
        r = error_set(err, -EINVAL,
                      "on-abort return: in a downtime all go back together, as the plan says of its barrier");
    if (r == 0 && options->return_on_abort && options->goal == PLANNER_GOAL_FINALIZE)
        r = error_set(err, -EINVAL, "on-abort return: no way leads back from what is finalized");
    return r;
}
