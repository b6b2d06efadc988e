/* When what goes wrong: each fault strikes by a stream of its own until the calm. */
#include "coordinator/rehearsal/internal.h"

#include <string.h>

static void strike_again(struct world *w, enum fault fault) {
    uint64_t most = fault == FAULT_OPERATORS || fault == FAULT_FLAP ? 8 : 4;
    uint64_t stretch = w->config->calm_us > 40ull * SECOND ? w->config->calm_us / (40ull * SECOND) : 1;
    if (world_has(w, fault))
        item_add(w, ITEM_FAULT, world_between(w, fault, 50 * MS, most * SECOND) * stretch)->index = fault;
}

void faults_begin(struct world *w) {
    static const enum fault striking[] = {
        FAULT_CUT,         FAULT_PARTITION, FAULT_COORDINATOR, FAULT_AGENT,    FAULT_HOST,    FAULT_CRASH,
        FAULT_FLAP,        FAULT_OPERATORS, FAULT_WORDS,       FAULT_HOLDS,    FAULT_ONE_WAY, FAULT_RACK,
        FAULT_SLOW_READER, FAULT_PAUSE,     FAULT_LOOP,        FAULT_CLOCK,    FAULT_LIE,     FAULT_OLD_DISK,
        FAULT_IMAGE,       FAULT_BIT_FLIP,  FAULT_HANDS,       FAULT_SUPERSEDE};
    for (size_t i = 0; i < sizeof(striking) / sizeof(striking[0]); i++)
        strike_again(w, striking[i]);
    hands_begin(w);
    uint64_t most = w->config->calm_us ? w->config->calm_us : 40ull * SECOND;
    item_add(w, ITEM_CALM, stage_is_alone(w) ? most : world_between(w, FAULTS, most / 8, most));
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
    const struct cluster *cluster = &w->clusters[0];
    if (w->n_clusters > 1)
        cluster = &w->clusters[world_random(w, FAULT_OPERATORS) % w->n_clusters];
    coordinator_command(w, coordinator_run_of(w, cluster), words[which], "alice");
    if (both)
        coordinator_command(w, coordinator_run_of(w, cluster), words[world_random(w, FAULT_OPERATORS) % 5],
                            "bob");
}

static void one_way(struct world *w, const struct member *m) {
    struct node *n = &w->nodes[m->node];
    uint64_t until = w->now_us + world_between(w, FAULT_ONE_WAY, 100 * MS, 20 * SECOND);
    bool deaf = world_random(w, FAULT_ONE_WAY) % 2;
    world_say(w, "line     %s carries nothing %s it for %llu ms", n->name, deaf ? "to" : "from",
              (unsigned long long)((until - w->now_us) / MS));
    if (deaf)
        n->deaf_until_us = until;
    else
        n->mute_until_us = until;
    if (world_random(w, FAULT_ONE_WAY) % 3 == 0) /* somebody gives the line up */
        line_cut(w, m->node, until - w->now_us);
}

/* All of a domain at once; where there are none, one of two. */
static void rack(struct world *w, const struct member *m) {
    uint64_t for_us = world_between(w, FAULT_RACK, SECOND, 15 * SECOND);
    world_say(w, "rack     \"%s\" is cut off", m->order->domain);
    for (uint32_t i = 0; i < w->n_members; i++) {
        const struct member *other = &w->members[i];
        bool same = m->order->domain[0] ? strcmp(other->order->domain, m->order->domain) == 0
                                        : world_random(w, FAULT_RACK) % 2 == 0;
        if (same)
            line_cut(w, other->node, for_us);
    }
}

static void slow_reader(struct world *w, const struct member *m) {
    struct node *n = &w->nodes[m->node];
    n->slow_until_us = w->now_us + world_between(w, FAULT_SLOW_READER, SECOND, 10 * SECOND);
    n->busy_until_us = w->now_us;
    world_say(w, "line     %s is read slowly", n->name);
}

static void pause_one(struct world *w, struct member *m) {
    uint64_t most = world_random(w, FAULT_PAUSE) % 4 ? 3 * SECOND : 60ull * SECOND;
    uint64_t for_us = world_between(w, FAULT_PAUSE, MS, most);
    if (world_random(w, FAULT_PAUSE) % 4 == 0) {
        world_say(w, "pause    the coordinator stands still for %llu ms", (unsigned long long)(for_us / MS));
        if (w->now_us + for_us > w->stalled_until_us)
            w->stalled_until_us = w->now_us + for_us;
        return;
    }
    if (!m->agent_up)
        return;
    world_say(w, "pause    the agent of %s stands still for %llu ms", m->order->member,
              (unsigned long long)(for_us / MS));
    for (struct member *each = NULL; (each = next_on_host(w, m, each));)
        if (w->now_us + for_us > each->paused_until_us)
            each->paused_until_us = w->now_us + for_us;
    if (for_us > 10 * SECOND) /* its heartbeat is missed */
        line_cut(w, m->node, for_us);
}

static void clock_strike(struct world *w, struct member *m) {
    int64_t by_s = (int64_t)world_between(w, FAULT_CLOCK, 0, 400) - 200;
    switch (world_random(w, FAULT_CLOCK) % 3) {
    case 0:
        world_say(w, "clock    of %s jumps by %lld s", m->order->node, (long long)by_s);
        m->skew_s += by_s;
        return;
    case 1: m->skew_s += by_s / 20; return; /* it drifts */
    default:
        world_say(w, "clock    of %s stands", m->order->node);
        m->clock_stands_s = (w->wall_ms + w->now_us / MS) / 1000;
        return;
    }
}

/* `who`: a member to which it happens again; 0: whom it pleases. */
void faults_strike(struct world *w, enum fault fault, uint64_t who) {
    if (!world_has(w, fault))
        return;
    if (who > 0) {
        agent_kill(w, &w->members[who - 1]);
        return;
    }
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
        for (struct member *each = NULL; (each = next_on_host(w, m, each));)
            each->touched = true;
        agent_host_dies(w, m);
        break;
    case FAULT_CRASH: crash(w, m); break;
    case FAULT_FLAP: m->flaps_until_us = w->now_us + world_between(w, fault, 100 * MS, 3 * SECOND); break;
    case FAULT_OPERATORS: operators(w); break;
    case FAULT_WORDS: words_strike(w); break;
    case FAULT_HOLDS: holds_strike(w); break;
    case FAULT_ONE_WAY: one_way(w, m); break;
    case FAULT_RACK: rack(w, m); break;
    case FAULT_SLOW_READER: slow_reader(w, m); break;
    case FAULT_PAUSE: pause_one(w, m); break;
    case FAULT_LOOP:
        world_say(w, "loop     the agent of %s does not stay up", m->order->member);
        m->loop_until_us = w->now_us + world_between(w, fault, SECOND, 10 * SECOND);
        agent_kill(w, m);
        break;
    case FAULT_CLOCK: clock_strike(w, m); break;
    case FAULT_LIE: lie_strike(w, m); break;
    case FAULT_OLD_DISK: old_disk_strike(w, m); break;
    case FAULT_IMAGE:
        if (world_random(w, fault) % 4 == 0)
            image_strike(w, m);
        break;
    case FAULT_BIT_FLIP:
        if (world_random(w, fault) % 4 == 0)
            bit_flip_strike(w, m);
        else
            image_keep(w, m); /* a backup is made */
        break;
    case FAULT_HANDS: hands_strike(w, m); break;
    case FAULT_SUPERSEDE: supersede_strike(w); break;
    case FAULT_TAIL:
    case FAULT_FRAME:
    case FAULT_ECHO:
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
    if (w->engine && w->wall_off_ms != 0) /* its clock is set right */
        coordinator_die(w);
    coordinator_start(w);
    for (uint32_t i = 0; i < w->n_nodes; i++) {
        struct node *n = &w->nodes[i];
        n->deaf_until_us = n->mute_until_us = n->slow_until_us = 0;
    }
    if (world_random(w, FAULT_HOLDS) % 2)
        (void)holds_return(w);
    for (uint32_t i = 0; i < w->n_members; i++) {
        struct member *m = &w->members[i];
        m->flaps_until_us = m->loop_until_us = m->clock_stands_s =
            0; /* who stands still does so to its end */
        m->skew_s = m->skew_s % 10;
        if (m->gone)
            continue;
        images_mend(w, m);
        hands_mend(w, m);
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
