/* From the names in events to indexes: nodes by a hash table (they come one by one), members by a sorted list (they come
 * with their plan). A run of ten thousand must not walk through all its names for every report. */
#include "coordinator/engine/internal.h"

#include <string.h>

static uint32_t hash(const char *text) { /* FNV-1a */
    uint32_t h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h;
}

static uint32_t *slot_of(struct engine *engine, const char *name) {
    uint32_t at = hash(name) & (engine->n_slots - 1);
    while (engine->slots[at] != 0 && strcmp(engine->nodes[engine->slots[at] - 1].name, name) != 0)
        at = (at + 1) & (engine->n_slots - 1);
    return &engine->slots[at];
}

static void slots_grow(struct engine *engine) {
    if ((engine->n_nodes + 1) * 2 <= engine->n_slots)
        return;
    engine->n_slots = engine->n_slots ? engine->n_slots * 2 : 64;
    free(engine->slots);
    engine->slots = must(calloc(engine->n_slots, sizeof(*engine->slots)));
    for (uint32_t i = 0; i < engine->n_nodes; i++)
        *slot_of(engine, engine->nodes[i].name) = i + 1;
    engine->nodes = must(realloc(engine->nodes, engine->n_slots * sizeof(*engine->nodes)));
}

uint32_t node_index(struct engine *engine, const char *name) {
    slots_grow(engine);
    uint32_t *slot = slot_of(engine, name);
    if (*slot == 0) {
        engine->nodes[engine->n_nodes] = (struct node){.name = text_copy(name)};
        *slot = ++engine->n_nodes;
    }
    return *slot - 1;
}

const struct node *node_named(const struct engine *engine, const char *name) {
    if (engine->n_slots == 0)
        return NULL;
    uint32_t at = hash(name) & (engine->n_slots - 1);
    for (; engine->slots[at] != 0; at = (at + 1) & (engine->n_slots - 1))
        if (strcmp(engine->nodes[engine->slots[at] - 1].name, name) == 0)
            return &engine->nodes[engine->slots[at] - 1];
    return NULL;
}

static int by_node(const void *a, const void *b) {
    const struct node_member *x = a, *y = b;
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return x->member < y->member ? -1 : x->member > y->member;
}

/* The members of a run on that node, in their order. */
const struct node_member *members_on(const struct run *run, uint32_t node, size_t *n_outp) {
    size_t from = 0, to = run->n_members;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (run->by_node[middle].node < node)
            from = middle + 1;
        else
            to = middle;
    }
    while (to < run->n_members && run->by_node[to].node == node)
        to++;
    *n_outp = to - from;
    return &run->by_node[from];
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct member_name *)a)->name, ((const struct member_name *)b)->name);
}

uint32_t run_n_present(const struct run *run) {
    return run->n_members - run->n_state[MEMBER_RETIRED];
}

void members_sort(struct run *run) {
    run->by_name = must(calloc(run->n_members + 1, sizeof(*run->by_name)));
    for (uint32_t i = 0; i < run->n_members; i++)
        run->by_name[i] = (struct member_name){run->members[i].order->member, i};
    qsort(run->by_name, run->n_members, sizeof(*run->by_name), by_name);
    run->by_node = must(calloc(run->n_members + 1, sizeof(*run->by_node)));
    for (uint32_t i = 0; i < run->n_members; i++)
        run->by_node[i] = (struct node_member){run->members[i].node, i};
    qsort(run->by_node, run->n_members, sizeof(*run->by_node), by_node);
}

uint32_t run_member_index(const struct run *run, const char *name) {
    struct member_name wanted = {name, 0};
    const struct member_name *found = bsearch(&wanted, run->by_name, run->n_members, sizeof(wanted), by_name);
    return found ? found->index : NO_MEMBER;
}
