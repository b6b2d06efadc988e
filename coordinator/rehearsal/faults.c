/* When what goes wrong: each fault strikes by a stream of its own until the calm. */
#include "coordinator/rehearsal/internal.h"

static void strike_again(struct world *w, enum fault fault) {
    uint64_t most = fault == FAULT_OPERATORS || fault == FAULT_FLAP ? 8 : 4;
    if (world_has(w, fault))
        item_add(w, ITEM_FAULT, world_between(w, fault, 50 * MS, most * SECOND))->index = fault;
}

void faults_begin(struct world *w) {
    static const enum fault striking[] = {FAULT_CUT,  FAULT_PARTITION, FAULT_COORDINATOR, FAULT_AGENT,
                                          FAULT_HOST, FAULT_CRASH,     FAULT_FLAP,        FAULT_OPERATORS};
    for (size_t i = 0; i < sizeof(striking) / sizeof(striking[0]); i++)
        strike_again(w, striking[i]);
    item_add(w, ITEM_CALM, world_between(w, FAULTS, 5 * SECOND, 40 * SECOND));
}

static void partition(struct world *w) {
    uint64_t for_us = world_between(w, FAULT_PARTITION, SECOND, 20 * SECOND);
    for (uint32_t i = 0; i < w->n_nodes; i++)
        if (world_random(w, FAULT_PARTITION) % 2)
            line_cut(w, i, for_us + world_between(w, FAULT_PARTITION, 0, SECOND));
}

static void crash(struct world *w, struct member *m) {
    if (!m->service.running || m->service.stopping)
        return;
    m->touched = true;
    world_say(w, "crash    of %s", m->order->member);
    service_end(w, m, "signal 9");
    item_add(w, ITEM_SOMEBODY_STARTS, world_between(w, FAULT_CRASH, 100 * MS, 5 * SECOND))->index = m->index;
}

static void operators(struct world *w) {
    static const enum run_event words[] = {RUN_EVENT_PAUSE, RUN_EVENT_RESUME, RUN_EVENT_RESUME,
                                           RUN_EVENT_ABORT, RUN_EVENT_ROLLBACK};
    unsigned n_words = world_random(w, FAULT_OPERATORS) % 3 ? 3 : 5;         /* one draw in an expression: */
    unsigned which = (unsigned)(world_random(w, FAULT_OPERATORS) % n_words); /* C orders no two operands */
    bool both = world_random(w, FAULT_OPERATORS) % 4 == 0;
    coordinator_command(w, words[which], "alice");
    if (both)
        coordinator_command(w, words[world_random(w, FAULT_OPERATORS) % 5], "bob");
}

void faults_strike(struct world *w, enum fault fault) {
    if (!world_has(w, fault))
        return;
    uint32_t one = (uint32_t)(world_random(w, fault) % w->n_members);
    struct member *m = &w->members[one];
    switch (fault) {
    case FAULT_CUT: line_cut(w, m->node, world_between(w, fault, MS, 6 * SECOND)); break;
    case FAULT_PARTITION: partition(w); break;
    case FAULT_COORDINATOR:
        if (w->engine && world_random(w, fault) % 3 == 0)
            coordinator_die(w);
        break;
    case FAULT_AGENT: agent_kill(w, m); break;
    case FAULT_HOST:
        m->touched = true;
        agent_host_dies(w, m);
        break;
    case FAULT_CRASH: crash(w, m); break;
    case FAULT_FLAP: m->flaps_until_us = w->now_us + world_between(w, fault, 100 * MS, 3 * SECOND); break;
    case FAULT_OPERATORS: operators(w); break;
    case FAULT_DELAY:
    case FAULT_DUPLICATE:
    case FAULT_SLOW_DISK:
    case FAULT_DISK:
    case FAULT_SLOW:
    case FAULT_START:
    case FAULT_HANG:
    case FAULT_EMPTY:
    case FAULT_STEP: break; /* asked where they happen */
    }
    strike_again(w, fault);
}

/* Whatever was broken is mended: lines, agents with a full disk, services that crashed while nobody had stopped them. */
void faults_calm(struct world *w) {
    world_say(w, "# calm");
    w->calm = true;
    w->calm_us = w->now_us;
    coordinator_start(w);
    for (uint32_t i = 0; i < w->n_members; i++) {
        struct member *m = &w->members[i];
        m->flaps_until_us = 0;
        if (m->journal_lost)
            agent_kill(w, m);
        if (!m->service.running)
            item_add(w, ITEM_SOMEBODY_STARTS, 5 * SECOND)->index = i;
        if (m->service.running && !m->service.ready && m->service.hangs && !machine_is_busy(&m->machine)) {
            service_end(w, m, "somebody ended it");
            item_add(w, ITEM_SOMEBODY_STARTS, SECOND)->index = i;
        }
    }
}
