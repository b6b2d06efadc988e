/* Clusters and their plans: several clusters over the same hosts, each with a run of its own, and newer plans that overtake
 * a run in whatever state it is. A plan is made of what its members are like at that moment, as the planner does it: what
 * a plan returns to is what ran when it was made. */
#include "coordinator/rehearsal/internal.h"

#include <stdlib.h>
#include <string.h>

static uint64_t serial_of(const struct cluster *cluster, size_t index) {
    return index < cluster->n_plans ? cluster->plans[index]->header.serial
                                    : (uint64_t)cluster->index * SERIALS + index + 1;
}

uint32_t plan_index(const struct cluster *cluster, uint64_t serial) {
    for (uint32_t i = 0; i < cluster->n_plans; i++)
        if (cluster->plans[i]->header.serial == serial)
            return i;
    abort();
}

const struct verified_plan *plan_of(const struct cluster *cluster, uint64_t serial) {
    return cluster->plans[plan_index(cluster, serial)];
}

const struct work_order *order_of(const struct member *m, uint64_t serial) {
    return plan_of(m->cluster, serial)->orders[m->number];
}

struct cluster *cluster_of_run(struct world *w, const struct run *run) {
    for (uint32_t i = 0; i < w->n_clusters; i++)
        if (strcmp(w->clusters[i].plans[0]->header.cluster, run->plan->header.cluster) == 0)
            return &w->clusters[i];
    abort();
}

/* ---- contents ---- */

uint32_t content_of(const struct member *m, uint64_t serial, uint32_t generation) {
    uint32_t plan = plan_index(m->cluster, serial);
    return generation == 0 ? m->base[plan].content : (plan + 1) * 10 + generation;
}

uint32_t generation_of(const struct member *m, uint64_t serial, uint32_t content) {
    uint32_t plan = plan_index(m->cluster, serial);
    if (content == m->base[plan].content)
        return 0;
    return content / 10 == plan + 1 ? content % 10 : UINT32_MAX;
}

enum mode content_mode(const struct member *m, uint32_t content) {
    uint32_t generation = content % 10;
    if (generation > 0 && generation <= m->order->n_generations)
        return m->order->generations[generation - 1].mode;
    for (size_t i = 0; generation == 0 && i < m->order->n_binding; i++) /* as found */
        if (strcmp(m->order->binding[i].name, "mode") == 0 &&
            strcmp(m->order->binding[i].value, mode_text(MODE_READ_ONLY)) == 0)
            return MODE_READ_ONLY;
    return MODE_READ_WRITE;
}

/* ---- plans ---- */

static void facts_take(struct world *w, const struct cluster *cluster, size_t plan) {
    for (uint32_t i = 0; i < cluster->n_members; i++) {
        struct member *m = &w->members[cluster->first + i];
        m->base[plan] = (struct base){.content = m->service.running ? m->service.content : m->link,
                                      .mode = service_mode(m),
                                      .down = !m->service.running};
    }
}

static void plan_make(struct world *w, struct cluster *cluster) {
    cluster->plans[cluster->n_plans] =
        w->config->plan(w->config->context, serial_of(cluster, cluster->n_plans));
    if (!cluster->plans[cluster->n_plans])
        abort();
    cluster->n_plans++;
}

void plans_begin(struct world *w) {
    w->n_clusters = w->config->n_clusters ? w->config->n_clusters : 1;
    w->n_clusters = w->n_clusters < CLUSTERS_MAX ? w->n_clusters : CLUSTERS_MAX;
    for (uint32_t i = 0; i < w->n_clusters; i++) {
        struct cluster *cluster = &w->clusters[i];
        cluster->index = i;
        plan_make(w, cluster);
        cluster->first = w->n_members;
        cluster->n_members = (uint32_t)cluster->plans[0]->n_orders;
        w->n_members += cluster->n_members;
    }
}

void plans_free(struct world *w) {
    for (uint32_t i = 0; i < w->n_clusters; i++) {
        for (size_t k = 0; k < w->clusters[i].n_plans; k++)
            verified_plan_free(w->clusters[i].plans[k]);
        free(w->clusters[i].gates);
    }
}

static bool depends_in_circle(const struct world *w, const struct verified_plan *plan) {
    for (size_t i = 0; i < plan->shape.n_depends_on; i++)
        for (uint32_t k = 0; k < w->n_clusters; k++) {
            const struct run *run = coordinator_run_of(w, &w->clusters[k]);
            if (!run || strcmp(run->plan->header.cluster, plan->shape.depends_on[i]) != 0)
                continue;
            for (size_t n = 0; n < run->plan->shape.n_depends_on; n++)
                if (strcmp(run->plan->shape.depends_on[n], plan->header.cluster) == 0)
                    return true;
        }
    return false;
}

/* It may have begun although nobody heard of it: the coordinator died after the journal. */
static void begun_look(const struct world *w, struct cluster *cluster) {
    const struct run *run = coordinator_run_of(w, cluster);
    if (run && plan_index(cluster, run->plan->header.serial) + 1u > cluster->n_begun)
        cluster->n_begun = plan_index(cluster, run->plan->header.serial) + 1u;
}

static int give(struct world *w, struct cluster *cluster, const char *who) {
    struct event event = {.kind = EVENT_APPLY, .text = who};
    size_t plan = cluster->n_begun;
    while (cluster->n_plans <= plan)
        plan_make(w, cluster);
    bool circle = depends_in_circle(w, cluster->plans[plan]);
    facts_take(w, cluster, plan);
    event.plan = w->config->plan(w->config->context, serial_of(cluster, plan));
    int r = coordinator_give(w, &event);
    begun_look(w, cluster);
    if (circle && cluster->n_begun > plan)
        world_fail(w, "locks: cluster %s is applied, and depends on one that depends on it",
                   cluster->plans[plan]->header.cluster);
    return r;
}

/* The first plan of a cluster; again until it is taken. */
void plan_apply(struct world *w, struct cluster *cluster) {
    begun_look(w, cluster);
    if (cluster->n_begun > 0)
        return;
    if (w->engine && give(w, cluster, "alice") != 0 && w->engine && w->witness.n_failed == 0)
        world_fail(w, "setup: the plan is refused: %s", w->actions.refused);
    if (cluster->n_begun == 0)
        item_add(w, ITEM_APPLY, SECOND)->index = cluster->index;
}

/* Whatever the run is at: also when it has ended, and twice. */
void supersede_strike(struct world *w) {
    struct cluster *cluster = &w->clusters[world_random(w, FAULT_SUPERSEDE) % w->n_clusters];
    const char *who = world_random(w, FAULT_SUPERSEDE) % 2 ? "alice" : "bob";
    size_t most = w->config->n_plans < PLANS_MAX ? w->config->n_plans : PLANS_MAX;
    begun_look(w, cluster);
    if (!w->engine || w->stalled_until_us > w->now_us || cluster->n_begun == 0 || cluster->n_begun >= most)
        return;
    world_say(w, "%s applies plan %llu", who, (unsigned long long)serial_of(cluster, cluster->n_begun));
    if (give(w, cluster, who) != 0 && w->engine)
        world_say(w, "%s is refused: %s", who, w->actions.refused);
}
