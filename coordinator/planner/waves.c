/* Why one rolling wave for all domains and not one a domain: the member that goes last (leader, auditor) is chosen by live
 * fact among all, and "one domain at a time" is a rule of the wave that the engine keeps anyhow. The order in the list is
 * today's expectation. */
#include "coordinator/planner/planning.h"

#include <string.h>

static bool name_is(const struct member_plan *m, const char *name) {
    return strcmp(m->member->name, name) == 0 || strcmp(m->member->full_name, name) == 0;
}

/* ---- canaries ---- */

static bool may_be_canary(const struct member_plan *m) {
    return m->part == PART_ROLLING && m->mode == MODE_READ_WRITE && !m->goes_last;
}

static void canary_by_name(struct planning *p, const char *name) {
    struct member_plan *found = NULL;
    for (size_t i = 0; i < p->n_members && !found; i++)
        found = name_is(&p->members[i], name) ? &p->members[i] : NULL;
    if (!found)
        refuse(p, "canary-unknown", "canary %s: the cluster has no such member", name);
    else if (found->goes_last)
        refuse(p, "canary-goes-last", "canary %s: it goes last (gate %s), take another one", name,
               found->member->role->last->name);
    else if (!may_be_canary(found) && found->part != PART_CANARY)
        refuse(p, "canary-not-fit", "canary %s: it is not a healthy read-write member of this plan", name);
    else
        found->part = PART_CANARY;
}

static void canaries_choose(struct planning *p) {
    const struct planner_options *options = &p->input->options;
    for (size_t i = 0; options->canary && i < options->n_canary_names; i++)
        canary_by_name(p, options->canaries[i]);
    if (!options->canary || options->n_canary_names > 0)
        return;
    uint32_t left = options->n_canaries;
    const struct recipe_role *first = NULL;
    for (size_t i = 0; i < p->recipe->n_roles && !first; i++)
        for (size_t k = 0; k < p->n_members; k++)
            if (is_in_plan(&p->members[k]) && p->members[k].member->role == &p->recipe->roles[i])
                first = &p->recipe->roles[i];
    for (size_t i = p->n_members; i-- > 0 && left > 0;)
        if (may_be_canary(&p->members[i]) && p->members[i].member->role == first) {
            p->members[i].part = PART_CANARY;
            left--;
        }
    if (left > 0)
        refuse(p, "too-few-canaries",
               "canary: %u asked for, but only %u members are healthy, read-write and not the one that goes "
               "last",
               options->n_canaries, options->n_canaries - left);
}

/* ---- order ---- */

static bool domain_seen_before(const struct planning *p, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (strcmp(p->members[k].member->domain, p->members[i].member->domain) == 0)
            return true;
    return false;
}

static void order_append(struct planning *p, enum part part, const struct recipe_role *role, bool last) {
    for (size_t d = 0; d < p->n_members; d++) {
        if (domain_seen_before(p, d))
            continue;
        for (size_t i = d; i < p->n_members; i++) {
            struct member_plan *m = &p->members[i];
            if (m->part == part && (!role || m->member->role == role) && m->goes_last == last &&
                strcmp(m->member->domain, p->members[d].member->domain) == 0)
                p->order[p->n_order++] = m;
        }
    }
}

/* A wave over the work orders from `first` to the end of the order; none when that is empty. */
static struct wave *wave_add(struct planning *p, const char *name, enum wave_kind kind, size_t first) {
    const struct planner_options *options = &p->input->options;
    size_t n = p->n_order - first;
    uint32_t *members = n > 0 ? keep(p, n, sizeof(*members)) : NULL;
    if (!members)
        return NULL;
    for (size_t i = 0; i < n; i++)
        members[i] = (uint32_t)(first + i);
    struct wave *wave = &p->waves[p->n_waves++];
    *wave = (struct wave){.name = name,
                          .kind = kind,
                          .members = members,
                          .n_members = n,
                          .limit_count = 1,
                          .one_domain = true,
                          .soak_ms = options->soak_ms,
                          .wait_limit_ms = options->wait_limit_ms};
    return wave;
}

static void last_set(struct planning *p, const struct recipe_role *role, struct wave *wave) {
    struct gate gate;
    if (!role->last)
        return;
    int r = gate_resolve(p->arena, role->last, &p->scope, NULL, 0, &gate, p->err);
    if (r == 0)
        r = gate_set_add(&p->gates, &gate, &wave->last, p->err);
    if (r < 0)
        (void)fail(p, r);
    wave->has_last = true;
}

static void rolling_add(struct planning *p, const struct recipe_role *role) {
    const struct planner_options *options = &p->input->options;
    size_t first = p->n_order;
    order_append(p, PART_ROLLING, role, false);
    order_append(p, PART_ROLLING, role, true);
    const char *name = p->recipe->n_roles > 1 ? keep_format(p, "rolling %s", role->name) : "rolling";
    struct wave *wave = wave_add(p, name, WAVE_ROLLING, first);
    if (!wave)
        return;
    wave->limit_count = options->limit_count;
    wave->limit_percent = options->limit_percent;
    last_set(p, role, wave);
}

/* ---- downtime ---- */

static void downtime_add(struct planning *p, enum wave_kind kind, const char *what,
                         const struct recipe_role *role) {
    uint32_t *members = keep(p, p->n_order, sizeof(*members));
    size_t n = 0;
    for (size_t i = 0; members && i < p->n_order; i++)
        if (!role || p->order[i]->member->role == role)
            members[n++] = (uint32_t)i;
    if (n == 0)
        return;
    const char *name = role && p->recipe->n_roles > 1 ? keep_format(p, "%s %s", what, role->name) : what;
    p->waves[p->n_waves++] = (struct wave){.name = name,
                                           .kind = kind,
                                           .members = members,
                                           .n_members = n,
                                           .limit_count = (uint32_t)n,
                                           .soak_ms = p->input->options.soak_ms,
                                           .wait_limit_ms = p->input->options.wait_limit_ms};
}

/* Role after role down, what is to be done before the barrier, the barrier, what is to be done behind it, role after role up;
 * and what only the way back does. */
static void downtime_make(struct planning *p) {
    const struct recipe *recipe = p->recipe;
    p->order = keep(p, p->n_members, sizeof(*p->order));
    p->waves = keep(p, 2 * recipe->n_roles + recipe->n_actions + 1, sizeof(*p->waves));
    if (!p->order || !p->waves)
        return;
    for (size_t i = 0; i < recipe->n_roles; i++)
        for (int last = 0; last < 2; last++) {
            order_append(p, PART_BROKEN, &recipe->roles[i], last);
            order_append(p, PART_LEFT, &recipe->roles[i], last);
            order_append(p, PART_ROLLING, &recipe->roles[i], last);
        }
    for (size_t i = 0; i < recipe->n_roles; i++)
        downtime_add(p, WAVE_STOP, "stop", &recipe->roles[i]);
    actions_waves_make(p, ACTION_BEFORE);
    downtime_add(p, WAVE_PASS, "barrier", NULL);
    actions_waves_make(p, ACTION_BEHIND);
    for (size_t i = 0; i < recipe->n_roles; i++)
        downtime_add(p, WAVE_START, "start", &recipe->roles[i]);
    actions_waves_make(p, ACTION_WAY_BACK);
    hold_judge(p);
}

void waves_make(struct planning *p) {
    if (is_downtime(p)) {
        downtime_make(p);
        return;
    }
    canaries_choose(p);
    p->order = keep(p, p->n_members, sizeof(*p->order));
    p->waves = keep(p, p->recipe->n_roles + 2, sizeof(*p->waves));
    if (!p->order || !p->waves)
        return;
    order_append(p, PART_BROKEN, NULL, false);
    order_append(p, PART_BROKEN, NULL, true);
    order_append(p, PART_LEFT, NULL, false);
    order_append(p, PART_LEFT, NULL, true);
    (void)wave_add(p, "broken first", WAVE_ROLLING, 0);
    size_t first = p->n_order;
    order_append(p, PART_CANARY, NULL, false);
    struct wave *canary = wave_add(p, "canary", WAVE_CANARY, first);
    if (canary && p->order[first]->member->role->n_read_only > 0)
        canary->soak_read_only_ms = p->input->options.soak_read_only_ms;
    if (canary) {
        canary->approval = p->input->options.approve_after_canary;
        canary->return_inconclusive = p->input->options.return_inconclusive;
    }
    for (size_t i = 0; i < p->recipe->n_roles; i++)
        rolling_add(p, &p->recipe->roles[i]);
}
