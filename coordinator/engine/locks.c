/* Many runs at once. A run holds its cluster, and with it all clusters that depend on it or that it depends on, from its
 * apply to its end: who comes later waits, in the order of coming, so that waits can make no cycle. A plan that
 * supersedes the open run of its cluster makes that one drain, and waits for it like anybody else. On one host, members
 * of two clusters never change together. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <string.h>

static bool depends(const struct verified_plan *plan, const char *cluster) {
    for (size_t i = 0; i < plan->shape.n_depends_on; i++)
        if (strcmp(plan->shape.depends_on[i], cluster) == 0)
            return true;
    return false;
}

const char *lock_reason(const struct verified_plan *plan, const struct run *holder) {
    const struct header *other = &holder->plan->header;
    if (strcmp(other->cluster, plan->header.cluster) == 0)
        return "it is of the same cluster";
    if (depends(plan, other->cluster))
        return "this cluster depends on it";
    return depends(holder->plan, plan->header.cluster) ? "it depends on this cluster" : NULL;
}

/* The first of the `n_before` oldest runs that is in the plan's way, or NULL. */
const struct run *lock_holder_of(const struct engine *engine, const struct verified_plan *plan,
                                 size_t n_before) {
    for (size_t i = 0; i < n_before && !KEDGE_MUTANT(locks_ignored); i++)
        if (engine->runs[i]->state != RUN_ENDED && lock_reason(plan, engine->runs[i]))
            return engine->runs[i];
    return NULL;
}

const struct run *lock_holder(const struct run *run) {
    size_t n_before = 0;
    while (run->engine->runs[n_before] != run)
        n_before++;
    return lock_holder_of(run->engine, run->plan, n_before);
}

bool engine_run_lock(const struct run *run, struct run_lock *outp) {
    const struct run *holder = run->state == RUN_WAITING ? lock_holder(run) : NULL;
    if (holder)
        *outp = (struct run_lock){holder, lock_reason(run->plan, holder)};
    return holder != NULL;
}

/* After a run has ended. */
void locks_wake(struct engine *engine) {
    for (size_t i = 0; i < engine->n_runs; i++)
        if (engine->runs[i]->state == RUN_WAITING)
            run_advance(engine->runs[i]);
}

/* ---- at apply ---- */

/* What is known of a cluster's dependencies: its newest plan that came here. */
static const struct verified_plan *newest_plan(const struct engine *engine, const char *cluster) {
    for (size_t i = engine->n_runs; i-- > 0;)
        if (strcmp(engine->runs[i]->plan->header.cluster, cluster) == 0)
            return engine->runs[i]->plan;
    return NULL;
}

enum { DEPTH_MAX = 16 };

/* Whether one comes from `plan` back to `cluster`; `path` says how. */
static bool comes_back(const struct engine *engine, const struct verified_plan *plan, const char *cluster,
                       unsigned depth, char *path, size_t size) {
    for (size_t i = 0; depth < DEPTH_MAX && i < plan->shape.n_depends_on; i++) {
        const char *next = plan->shape.depends_on[i];
        size_t used = strlen(path);
        snprintf(path + used, size - used, " -> %s", next);
        if (strcmp(next, cluster) == 0)
            return true;
        const struct verified_plan *known = newest_plan(engine, next);
        if (known && comes_back(engine, known, cluster, depth + 1, path, size))
            return true;
        path[used] = 0;
    }
    return false;
}

int locks_check(const struct engine *engine, const struct verified_plan *plan, struct actions *actions) {
    char path[512];
    snprintf(path, sizeof(path), "%s", plan->header.cluster);
    if (comes_back(engine, plan, plan->header.cluster, 0, path, sizeof(path)))
        return engine_refuse(actions,
                             "the clusters depend on each other in a circle: %s; each would wait for the "
                             "other",
                             path);
    return 0;
}

/* ---- on one host ---- */

bool host_is_locked(const struct run *run, const struct run_member *m, struct reasons *reasons) {
    const struct engine *engine = run->engine;
    if (engine->nodes[m->node].n_in_change == 0 || KEDGE_MUTANT(host_shared))
        return false;
    for (size_t i = 0; i < engine->n_runs; i++) {
        const struct run *other = engine->runs[i];
        if (other == run || other->state == RUN_ENDED)
            continue;
        for (uint32_t k = 0; k < other->n_members; k++) {
            const struct run_member *there = &other->members[k];
            char text[128];
            if (there->node != m->node || !member_state_is_in_change(there->state))
                continue;
            snprintf(text, sizeof(text), "it is %s on the same host, by run %llu",
                     member_state_text(there->state), (unsigned long long)other->id);
            reasons_add(reasons, "host", there->order->member, ANSWER_NO, text);
            return true;
        }
    }
    return false;
}
