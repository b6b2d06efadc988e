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
}

uint32_t member_index(const struct run *run, const char *name) {
    struct member_name wanted = {name, 0};
    const struct member_name *found = bsearch(&wanted, run->by_name, run->n_members, sizeof(wanted), by_name);
    return found ? found->index : NO_MEMBER;
}
