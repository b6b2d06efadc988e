/* Holds: an operator's word "leave this node alone", with reason and end. Members of a held node are not begun; somebody
 * may stop them by hand at any moment, so they count as in change: against the wave's limit, its domain rule, and when
 * probers are chosen. A hold ends by itself at its time, or by `node return`; what the members are then is asked, not
 * assumed (returns.c). Orders that were in flight are finished by the agent. */
#include "coordinator/engine/internal.h"

#include <string.h>

bool node_is_held(const struct engine *engine, uint32_t index) {
    const struct node *node = &engine->nodes[index];
    return node->held && (node->held_until_ms == 0 || node->held_until_ms > wall_now_ms(engine));
}

bool member_is_held_back(const struct run *run, const struct run_member *m) {
    return run->engine->n_held > 0 && node_is_held(run->engine, m->node) && !member_state_is_gone(m->state);
}

bool member_counts_as_in_change(const struct run *run, const struct run_member *m) {
    return member_state_is_in_change(m->state) || member_is_held_back(run, m);
}

/* Members that count as in change for nothing but a hold. */
uint32_t run_n_held_back(const struct run *run) {
    uint32_t n = 0;
    for (uint32_t h = 0; h < run->engine->n_held; h++) {
        size_t n_here;
        const struct node_member *here = members_on(run, run->engine->held[h], &n_here);
        for (size_t i = 0; i < n_here; i++) {
            const struct run_member *m = &run->members[here[i].member];
            n += !member_state_is_in_change(m->state) && member_is_held_back(run, m);
        }
    }
    return n;
}

/* Looks again when the next hold of one of its nodes ends. */
void holds_wake(struct run *run) {
    uint64_t first_ms = UINT64_MAX;
    for (uint32_t h = 0; h < run->engine->n_held; h++) {
        size_t n_here;
        const struct node *node = &run->engine->nodes[run->engine->held[h]];
        const struct node_member *here = members_on(run, run->engine->held[h], &n_here);
        for (size_t i = 0; i < n_here; i++)
            if (member_is_held_back(run, &run->members[here[i].member]) && node->held_until_ms > 0 &&
                node->held_until_ms < first_ms)
                first_ms = node->held_until_ms;
    }
    if (first_ms != UINT64_MAX)
        if (!KEDGE_MUTANT(hold_end_unseen))
            timer_set(run->engine, &run->hold, first_ms + run->engine->ahead_ms);
}

bool engine_node_hold(const struct engine *engine, const char *name, struct node_hold *outp) {
    const struct node *node = engine->n_held > 0 ? node_named(engine, name) : NULL;
    if (!node || !node_is_held(engine, (uint32_t)(node - engine->nodes)))
        return false;
    *outp = (struct node_hold){node->held_reason, node->held_since_ms, node->held_until_ms};
    return true;
}

/* ---- durable ---- */

/* The list of those that are held is short: operators write it. */
static void held_list(struct engine *engine, uint32_t node, bool held) {
    uint32_t at = 0;
    while (at < engine->n_held && engine->held[at] != node)
        at++;
    if (!held && at < engine->n_held)
        engine->held[at] = engine->held[--engine->n_held];
    if (!held || at < engine->n_held)
        return;
    engine->held = must(realloc(engine->held, (engine->n_held + 1) * sizeof(*engine->held)));
    engine->held[engine->n_held++] = node;
}

bool fold_hold(struct engine *engine, const struct record *record) {
    if (!record->name[0])
        return false;
    if (KEDGE_MUTANT(replay_drops_holds) && !engine->actions)
        return true;
    uint32_t index = node_index(engine, record->name); /* may move the nodes */
    struct node *node = &engine->nodes[index];
    bool held = record->kind == RECORD_NODE_HELD;
    held_list(engine, index, held);
    node->held = held;
    node->held_since_ms = record->at_ms;
    node->held_until_ms = record->value;
    text_set(&node->held_reason, record->text);
    for (size_t i = 0; i < engine->n_runs; i++) {
        run_look_anew(engine->runs[i]);
        engine->runs[i]->n_changes++; /* what was asked before is about another state of the node */
    }
    return true;
}

static const struct node *next_held(const struct engine *engine, const char *after) {
    const struct node *first = NULL;
    for (uint32_t i = 0; i < engine->n_nodes; i++) {
        const struct node *node = &engine->nodes[i];
        if (node->held && strcmp(node->name, after) > 0 && (!first || strcmp(node->name, first->name) < 0))
            first = node;
    }
    return first;
}

/* By name: in which order nodes were met is not durable. */
void holds_dump(const struct engine *engine, struct buffer *out) {
    const struct node *node = engine->n_held > 0 ? next_held(engine, "") : NULL;
    for (; node; node = next_held(engine, node->name))
        buffer_format(out, "node %s held until %llu \"%s\"\n", node->name,
                      (unsigned long long)node->held_until_ms, node->held_reason);
}

/* ---- the words ---- */

static void look_again(struct engine *engine) {
    for (size_t i = 0; i < engine->n_runs; i++) {
        struct run *run = engine->runs[i];
        if (run->state == RUN_ENDED)
            continue;
        run->retry_ms = 0;
        timer_clear(engine, &run->retry);
        holds_wake(run);
        run_advance(run);
    }
}

int command_node(struct engine *engine, const struct event *event) {
    bool hold = event->kind == EVENT_NODE_HOLD;
    if (!event->node || !event->node[0])
        return engine_refuse(engine->actions, "no node was named");
    if (hold && event->until_ms != 0 && event->until_ms <= wall_now_ms(engine))
        return engine_refuse(engine->actions, "a hold needs an end that is still to come");
    if (hold && (!event->text || !event->text[0]))
        return engine_refuse(engine->actions, "a hold needs a reason");
    uint32_t index = node_index(engine, event->node); /* may move the nodes */
    if (!hold && !engine->nodes[index].held)
        return engine_refuse(engine->actions, "node %s is not held", event->node);
    int r = hold ? 0 : returns_judge(engine, event);
    if (r != 0)
        return r;
    struct record record = {
        .kind = hold ? RECORD_NODE_HELD : RECORD_NODE_RETURNED,
        .value = hold ? event->until_ms : 0,
        .name = event->node,
        .text = event->text,
    };
    commit(engine, record, NULL);
    if (!hold)
        returns_take(engine, event);
    look_again(engine);
    return 0;
}
