/* Why sorting and not comparing each with each: a plan may have ten thousand members, and the coordinator checks it while
 * it serves the fleet. */
#include "common/plan/check.h"
#include "common/plan/check_parts.h"

#include <string.h>

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts the texts. */
static int once_check(const char **texts, size_t n, const char *what, struct error *err) {
    qsort(texts, n, sizeof(*texts), by_text);
    for (size_t i = 1; i < n; i++)
        if (strcmp(texts[i - 1], texts[i]) == 0)
            return error_set(err, -EBADMSG, "%s %s stands twice", what, texts[i]);
    return 0;
}

/* ---- plans ---- */

static int budgets_check(const struct budget *budgets, size_t n, const char *whose, struct error *err) {
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (budgets[i].kind == budgets[k].kind)
                return error_set(err, -EBADMSG, "%s has two budgets of \"%s\"", whose,
                                 budget_kind_text(budgets[i].kind));
    return 0;
}

static int wave_check(const struct wave *wave, size_t n_orders, const struct gate_set *gates,
                      struct error *err) {
    if (wave->limit_count == 0)
        return error_set(err, -EBADMSG, "wave %s has limit 0, expected at least 1", wave->name);
    for (size_t i = 0; i < wave->n_members; i++)
        if (wave->members[i] >= n_orders)
            return error_set(err, -EBADMSG, "wave %s names work order %u of %zu", wave->name,
                             wave->members[i], n_orders);
    int r = budgets_check(wave->budgets, wave->n_budgets, wave->name, err);
    if (r < 0)
        return r;
    return wave->has_last ? gates_known(gates, &wave->last, 1, "finds who goes last", err) : 0;
}

/* Where a wave stands in a downtime: all stop, one barrier, all start, and then what only the way back does. Actions stand
 * between the stops and the starts, on either side of the barrier. -1: no wave of a downtime. */
static int place_of(enum wave_kind kind, bool passed) {
    switch (kind) {
    case WAVE_STOP: return 0;
    case WAVE_ACT: return passed ? 3 : 1;
    case WAVE_PASS: return 2;
    case WAVE_START: return 4;
    case WAVE_BACK: return 5;
    case WAVE_CANARY:
    case WAVE_ROLLING: break;
    }
    return -1;
}

static bool is_of_downtime(enum wave_kind kind) {
    return place_of(kind, false) >= 0;
}

/* An action's wave bears the name of the step that its members do. */
static int action_check(const struct wave *wave, const struct work_order *const *orders, struct error *err) {
    enum verb verb = wave->kind == WAVE_ACT ? VERB_ACT : VERB_BACK;
    for (size_t i = 0; i < wave->n_members; i++) {
        const struct work_order *order = orders[wave->members[i]];
        const struct step *step = work_order_step(order, wave->name);
        if (!step || step->verb != verb)
            return error_set(err, -EBADMSG, "wave %s: %s has no such step of verb %s", wave->name,
                             order->member, verb_text(verb));
    }
    return 0;
}

static int waves_check(const struct shape *shape, const struct work_order *const *orders,
                       size_t n[static WAVE_KINDS], struct error *err) {
    int before = 0;
    size_t n_pass_waves = 0;
    for (size_t i = 0; i < shape->n_waves; i++) {
        const struct wave *wave = &shape->waves[i];
        bool acts = wave->kind == WAVE_ACT || wave->kind == WAVE_BACK;
        int place = place_of(wave->kind, n_pass_waves > 0);
        n[wave->kind] += wave->n_members;
        n_pass_waves += wave->kind == WAVE_PASS;
        if (place < before)
            return error_set(err, -EBADMSG, "wave %s is none of a downtime, or comes too late", wave->name);
        before = place;
        int r = acts ? action_check(wave, orders, err) : 0;
        if (r < 0)
            return r;
    }
    return n_pass_waves == 1 ? 0 : error_set(err, -EBADMSG, "a downtime has one barrier");
}

/* The waves of a downtime stand alone in their plan. */
static int downtime_check(const struct shape *shape, const struct work_order *const *orders, size_t n_orders,
                          struct error *err) {
    size_t n[WAVE_KINDS] = {0}, n_waves = 0;
    for (size_t i = 0; i < shape->n_waves; i++)
        n_waves += is_of_downtime(shape->waves[i].kind);
    for (size_t i = 0; i < n_orders; i++)
        if ((work_order_step(orders[i], "stop") != NULL) != (n_waves > 0))
            return error_set(err, -EBADMSG, "%s: its steps are not those of the plan's waves",
                             orders[i]->member);
    if (n_waves == 0)
        return 0;
    if (shape->n_side_actions > 0)
        return error_set(err, -EBADMSG, "a downtime has no side action");
    int r = waves_check(shape, orders, n, err);
    if (r == 0 && (n[WAVE_STOP] != n_orders || n[WAVE_PASS] != n_orders || n[WAVE_START] != n_orders))
        r = error_set(err, -EBADMSG, "not every member stops, passes and starts once");
    return r;
}

static int side_action_check(const struct side_action *action, const struct work_order *order,
                             struct error *err) {
    const char *names[] = {action->open_step, action->close_step};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct step *step = work_order_step(order, names[i]);
        if (!step || step->verb != VERB_ACT)
            return error_set(err, -EBADMSG, "side action %s: member %s has no act \"%s\"", action->name,
                             order->member, names[i]);
    }
    return 0;
}

static int members_once_check(const struct work_order *const *orders, size_t n, struct error *err) {
    _cleanup_(freep) const char **names = calloc(n + 1, sizeof(*names));
    if (!names)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        names[i] = orders[i]->member;
    return once_check(names, n, "member", err);
}

int shape_check(const struct shape *shape, const struct work_order *const *orders, size_t n_orders,
                const struct gate_set *gates, struct error *err) {
    int r = format_check(shape->format, "plan", err);
    if (r == 0)
        r = budgets_check(shape->budgets, shape->n_budgets, "the run", err);
    for (size_t i = 0; r == 0 && i < shape->n_waves; i++)
        r = wave_check(&shape->waves[i], n_orders, gates, err);
    if (r == 0)
        r = downtime_check(shape, orders, n_orders, err);
    for (size_t i = 0; r == 0 && i < shape->n_side_actions; i++)
        for (size_t k = 0; r == 0 && k < n_orders; k++)
            r = side_action_check(&shape->side_actions[i], orders[k], err);
    if (r == 0)
        r = gates_known(gates, shape->may_stop, shape->n_may_stop, "is asked before a stop", err);
    if (r == 0)
        r = gates_known(gates, shape->recovered, shape->n_recovered, "is asked after a change", err);
    if (r == 0)
        r = plan_outputs_check(shape, orders, n_orders, err);
    return r == 0 ? members_once_check(orders, n_orders, err) : r;
}

/* ---- charters ---- */

static int charter_member_check(const struct charter_member *member, const struct charter *charter,
                                const char *const *nodes, const struct gate_set *gates, struct error *err) {
    int r = member_name_check(member->name, charter->cluster, err);
    if (r == 0 && !bsearch(&member->node, nodes, charter->n_roster, sizeof(*nodes), by_text))
        r = error_set(err, -EBADMSG, "node %s is not in the roster", member->node);
    if (r == 0)
        r = gates_known(gates, member->gates, member->n_gates, "it asks", err);
    for (size_t i = 0; r == 0 && i < member->n_modes; i++)
        r = gates_known(gates, &member->modes[i].gate, 1, "tells its mode", err);
    return r < 0 ? error_context(err, r, "member %s", member->name) : 0;
}

static int by_key(const void *a, const void *b) {
    const struct roster_entry *const *x = a, *const *y = b;
    return memcmp((*x)->key.b, (*y)->key.b, KEDGE_PUBLIC_KEY_LEN);
}

/* An order is addressed to a key: two nodes with one key would both take it. */
static int keys_once_check(const struct charter *charter, struct arena *scratch, struct error *err) {
    size_t n = charter->n_roster;
    const struct roster_entry **entries = arena_array(scratch, n, sizeof(*entries));
    if (!entries)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        entries[i] = &charter->roster[i];
    qsort(entries, n, sizeof(*entries), by_key);
    for (size_t i = 1; i < n; i++)
        if (by_key(&entries[i - 1], &entries[i]) == 0)
            return error_set(err, -EBADMSG, "nodes %s and %s have the same key", entries[i - 1]->node,
                             entries[i]->node);
    return 0;
}

int charter_check(const struct charter *charter, struct arena *scratch, struct error *err) {
    struct gate_set gates;
    const char **nodes = arena_array(scratch, charter->n_roster, sizeof(*nodes));
    const char **members = arena_array(scratch, charter->n_members, sizeof(*members));
    if (!nodes || !members)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < charter->n_roster; i++)
        nodes[i] = charter->roster[i].node;
    for (size_t i = 0; i < charter->n_members; i++)
        members[i] = charter->members[i].name;

    int r = format_check(charter->format, "charter", err);
    if (r == 0)
        r = once_check(nodes, charter->n_roster, "node", err);
    if (r == 0)
        r = once_check(members, charter->n_members, "member", err);
    if (r == 0)
        r = keys_once_check(charter, scratch, err);
    if (r == 0)
        r = gate_set_open(&gates, scratch, charter->gates, charter->n_gates, err);
    if (r == 0)
        r = gates_known(&gates, charter->cluster_gates, charter->n_cluster_gates, "is about the cluster",
                        err);
    for (size_t i = 0; r == 0 && i < charter->n_members; i++)
        r = charter_member_check(&charter->members[i], charter, nodes, &gates, err);
    return r;
}
