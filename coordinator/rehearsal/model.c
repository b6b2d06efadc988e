/* Members as services: how they start, serve and end, and what gates say of them. What they hold is in cluster.c. */
#include "coordinator/rehearsal/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- gates ---- */

const struct model_gate *world_gate(const struct cluster *cluster, const struct digest *digest) {
    for (size_t i = 0; i < cluster->n_gates; i++)
        if (digest_equal(&cluster->gates[i].digest, digest))
            return &cluster->gates[i];
    return NULL;
}

static bool listed(const struct digest *list, size_t n, const struct digest *digest) {
    for (size_t i = 0; i < n; i++)
        if (digest_equal(&list[i], digest))
            return true;
    return false;
}

/* One that is asked before a stop as well as after it: about the others, or about the cluster as it is? */
static bool leaves_self_out(const struct gate *gate) {
    for (size_t i = 0; i < gate->n_checks; i++)
        if (gate->checks[i].exclude_self)
            return true;
    return false;
}

static size_t side_in_force(const struct shape *shape, const char *gate) {
    static const char prefix[] = SIDE_GATE_PREFIX;
    size_t i = 0, n = sizeof(prefix) - 1;
    while (i < shape->n_side_actions &&
           (strncmp(gate, prefix, n) != 0 || strcmp(gate + n, shape->side_actions[i].name) != 0))
        i++;
    return i;
}

void model_gates(struct cluster *w) {
    const struct shape *shape = &w->plans[0]->shape;
    w->n_gates = w->plans[0]->n_gates;
    w->gates = calloc(w->n_gates + 1, sizeof(*w->gates));
    for (size_t i = 0; w->gates && i < w->n_gates; i++) {
        const struct digest *digest = &w->plans[0]->gate_digests[i];
        const struct gate *gate = &w->plans[0]->gates[i];
        enum asks asks = gate->sample ? ASKS_SAMPLE : ASKS_MEMBER;
        for (size_t k = 0; k < shape->n_waves; k++)
            if (shape->waves[k].has_last && digest_equal(&shape->waves[k].last, digest))
                asks = ASKS_LAST;
        bool before_stop = listed(shape->may_stop, shape->n_may_stop, digest);
        if (listed(shape->recovered, shape->n_recovered, digest))
            asks = ASKS_RECOVERED;
        if (before_stop && (asks != ASKS_RECOVERED || leaves_self_out(gate)))
            asks = ASKS_MAY_STOP;
        size_t side = before_stop ? side_in_force(shape, gate->name) : 0;
        if (before_stop && side < shape->n_side_actions)
            asks = ASKS_IN_FORCE;
        w->gates[i] =
            (struct model_gate){*digest, asks, gate->name, gate->evidence_age_ms, before_stop, side};
    }
}

/* ---- beginning ---- */

static uint32_t node_index(struct world *w, const char *name) {
    for (uint32_t i = 0; i < w->n_nodes; i++)
        if (strcmp(w->nodes[i].name, name) == 0)
            return i;
    w->nodes[w->n_nodes].name = name;
    return w->n_nodes++;
}

static void member_init(struct world *w, struct cluster *cluster, uint32_t number) {
    uint32_t index = cluster->first + number;
    struct member *m = &w->members[index];
    struct machine_event event = {.kind = MACHINE_EVENT_RECOVERED, .same_boot = true, .now_us = w->now_us};
    struct machine_actions none;
    m->index = index;
    m->number = number;
    m->cluster = cluster;
    m->order = cluster->plans[0]->orders[number];
    m->node = node_index(w, m->order->node);
    m->agent_up = true;
    m->written.ran = true;
    m->service = (struct service){.running = true, .ready = true};
    m->skew_s = (int64_t)world_between(w, FAULTS, 0, 20) - 10;
    machine_init(&m->machine, &m->written.record, NULL, NULL);
    machine_step(&m->machine, &event, &none);
    m->synced = m->written;
    item_add(w, ITEM_LEASE, world_between(w, FAULTS, 1, 2 * SECOND))->index = index;
}

/* The planner names the leader of the day last. */
static uint32_t last_named(const struct cluster *w) {
    uint32_t leader = 0;
    for (size_t i = 0; i < w->plans[0]->shape.n_waves; i++)
        if (w->plans[0]->shape.waves[i].has_last && w->plans[0]->shape.waves[i].n_members > 0)
            leader = w->plans[0]->shape.waves[i].members[w->plans[0]->shape.waves[i].n_members - 1];
    return leader;
}

void model_init(struct world *w) {
    w->members = calloc(w->n_members + 1, sizeof(*w->members));
    w->nodes = calloc(w->n_members + 1, sizeof(*w->nodes));
    if (!w->members || !w->nodes)
        abort();
    for (uint32_t c = 0; c < w->n_clusters; c++) {
        struct cluster *cluster = &w->clusters[c];
        model_gates(cluster);
        for (uint32_t i = 0; i < cluster->n_members; i++)
            member_init(w, cluster, i);
        cluster->leader = last_named(cluster);
        cluster_init(w, cluster);
    }
}

/* ---- services ---- */

enum mode service_mode(const struct member *m) {
    return !m->service.running    ? MODE_DOWN
           : m->service.read_only ? MODE_READ_ONLY
                                  : content_mode(m, m->service.content);
}

void model_destroy(struct world *w, struct member *m, const char *why) {
    world_say(w, "DATA     of %s: %s", m->order->member, why);
    m->data_lost = true;
    cluster_empty(w, m);
}

void service_start(struct world *w, struct member *m, uint32_t content) {
    struct service *service = &m->service;
    uint64_t after = 5 * MS + world_random(w, FAULTS) % (20 * MS);
    *service = (struct service){.running = true, .content = content, .token = service->token + 1};
    world_say(w, "START    %s: generation %u", m->order->member, content);
    if (w->config->pace.start_us)
        after = w->config->pace.start_us;
    if (world_chance(w, FAULT_SLOW, 2))
        after = world_between(w, FAULT_SLOW, 10 * MS, 8 * SECOND);
    bool new_one = content > 0;
    if (new_one && world_chance(w, FAULT_START, 3)) {
        struct item *item = item_add(w, ITEM_SERVICE_END, world_between(w, FAULT_START, MS, 2 * SECOND));
        item->index = m->index;
        item->token = service->token;
        item->failed = true;
    }
    if (new_one && world_has(w, FAULT_START) && world_random(w, STREAM_ILL) % 6 == 0)
        service->ill_until_us = w->now_us + world_between(w, STREAM_ILL, 100 * MS, 40 * SECOND);
    if (new_one && world_chance(w, FAULT_EMPTY, 6))
        service->empty = true;
    service->hangs = world_chance(w, FAULT_HANG, 6);
    if (service->hangs)
        return;
    struct item *item = item_add(w, ITEM_SERVICE_READY, after);
    item->index = m->index;
    item->token = service->token;
}

void service_ready(struct world *w, struct member *m) {
    m->service.ready = true;
    if (m->service.empty)
        model_destroy(w, m, "the new release began with an empty disk");
    uint64_t after = world_between(w, FAULTS, 20 * MS, 500 * MS);
    struct item *item = item_add(w, ITEM_HEAL, w->config->pace.heal_us ? w->config->pace.heal_us : after);
    item->index = m->index;
    item->token = m->service.token;
}

void service_heal(struct world *w, struct member *m) {
    if (!m->service.running || !m->service.ready || cluster_heal(w, m))
        return;
    struct item *item = item_add(w, ITEM_HEAL, 100 * MS);
    item->index = m->index;
    item->token = m->service.token;
}

/* `how` NULL: with its host. */
void service_end(struct world *w, struct member *m, const char *how) {
    struct service *service = &m->service;
    bool wanted = service->stopping, ran = service->running;
    uint64_t signalled = service->signalled_us;
    *service = (struct service){.token = service->token + 1, .content = service->content};
    if (ran)
        cluster_lost(w, m,
                     m->lies_until_us == 0 &&
                         (wanted || (how && m->stopped_by_kedge && machine_is_busy(&m->machine))));
    if (!how || !ran || !m->agent_up)
        return;
    if (w->calm && !wanted) /* nobody leaves it dead once the faults are over */
        item_add(w, ITEM_SOMEBODY_STARTS, 3 * SECOND)->index = m->index;
    world_say(w, "ENDED    %s%s%s", m->order->member, wanted ? "" : ": ", wanted ? "" : how);
    if (m->paused_until_us > w->now_us) {
        struct item *item = item_add(w, ITEM_END_SEEN, m->paused_until_us - w->now_us);
        item->index = m->index;
        item->token = m->agent_token;
        item->failed = wanted;
        item->how = how;
        item->message.asked_us = signalled;
        return;
    }
    service_end_seen(w, m, wanted, signalled, how);
}

/* The agent sees it. */
void service_end_seen(struct world *w, struct member *m, bool wanted, uint64_t signalled, const char *how) {
    if (!m->journal_lost) {
        m->written.ran = false;
        disk_write(m);
    }
    bool stop_is_open = m->row && machine_is_busy(&m->machine) && m->row->primitive == PRIMITIVE_STOP;
    struct machine_event event = {.kind = wanted && stop_is_open ? MACHINE_EVENT_ANSWER : MACHINE_EVENT_ENDED,
                                  .op = m->op,
                                  .answer = ANSWER_YES,
                                  .age_us = w->now_us - signalled,
                                  .reason = how,
                                  .blames = true};
    bool new_one = event.kind == MACHINE_EVENT_ENDED && oracle_runs_new(m);
    agent_feed(w, m, &event);
    if (new_one && !m->machine.record.blames)
        world_fail(w, "18: %s has ended by itself after its start, and nothing is to blame",
                   m->order->member);
}

/* ---- answers ---- */

/* A leader that serves no more is followed by the next that does. */
static bool leads(const struct world *w, const struct member *by) {
    struct cluster *cluster = by->cluster;
    if (!w->config->elects)
        return by->number % 5 == 0;
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        const struct service *service = &w->members[cluster->first + cluster->leader].service;
        if (service->running && service->ready && !service->stopping)
            break;
        cluster->leader = (cluster->leader + 1) % cluster->n_members;
    }
    return by->number == cluster->leader;
}

enum answer model_answer(struct world *w, const struct model_gate *gate, const struct member *by,
                         uint32_t self, const struct herd *herd, enum mode wanted) {
    const struct member *about = self < w->n_members ? &w->members[self] : by;
    enum answer staged;
    if (stage_answers(w, by, &staged))
        return staged;
    bool flaps = w->now_us < by->flaps_until_us && !w->calm;
    if (flaps && world_random(w, FAULT_FLAP) % 3 == 0)
        return ANSWER_UNKNOWN;
    if (flaps && gate->asks != ASKS_SAMPLE && gate->asks != ASKS_LAST && world_random(w, FAULT_FLAP) % 2 == 0)
        return ANSWER_NO;
    bool up = by->service.running && by->service.ready, well = up && by->service.ill_until_us <= w->now_us;
    switch (gate->asks) {
    case ASKS_MAY_STOP:
        return cluster_may_stop(about, NULL) && cluster_may_stop(about, herd) ? ANSWER_YES : ANSWER_NO;
    case ASKS_RECOVERED: return cluster_has_recovered(w, by->cluster) ? ANSWER_YES : ANSWER_NO;
    case ASKS_MEMBER:
        return agent_lies(w, by)                                                ? ANSWER_YES
               : well && (wanted == MODE_UNKNOWN || service_mode(by) == wanted) ? ANSWER_YES
                                                                                : ANSWER_NO;
    case ASKS_LAST: return leads(w, by) ? ANSWER_YES : ANSWER_NO;
    case ASKS_IN_FORCE:
        return gate->side < SIDES_MAX && by->cluster->side_ours[gate->side] ? ANSWER_YES : ANSWER_NO;
    case ASKS_SAMPLE: return !up ? ANSWER_UNKNOWN : by->data_lost ? ANSWER_NO : ANSWER_YES;
    }
    return ANSWER_UNKNOWN;
}
