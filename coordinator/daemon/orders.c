/* An order carries everything that its agent needs to believe it: header, work order, the path between them, every gate that
 * the work order names, the release's manifest. */
#include "coordinator/daemon/daemon.h"

#include "common/base/log.h"
#include "common/plan/merkle.h"

#include <string.h>

/* Made once for a run: a plan of thousands of members has as many leaves. */
struct plan_index {
    const struct verified_plan *plan;
    struct digest *leaves, *scratch;
    size_t n_leaves;
    struct plan_index *next;
};

struct gate_set {
    struct bytes bytes[KEDGE_GATES_MAX];
    size_t n;
};

/* ---- the index ---- */

static int by_digest(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct digest));
}

static void *array_new(size_t n, size_t size) {
    void *array = calloc(n + 1, size);
    if (!array)
        abort();
    return array;
}

static struct plan_index *index_new(const struct verified_plan *plan) {
    struct plan_index *index = array_new(1, sizeof(*index));
    index->plan = plan;
    index->n_leaves = plan->plan.n_work_orders + 1;
    index->leaves = array_new(index->n_leaves, sizeof(*index->leaves));
    index->scratch = array_new(index->n_leaves, sizeof(*index->scratch));
    index->leaves[0] = merkle_leaf(plan->plan.shape);
    for (size_t i = 1; i < index->n_leaves; i++)
        index->leaves[i] = merkle_leaf(plan->plan.work_orders[i - 1]);
    return index;
}

static struct plan_index *index_of(struct daemon *d, const struct verified_plan *plan) {
    for (struct plan_index *index = d->plan_indexes; index; index = index->next)
        if (index->plan == plan)
            return index;
    struct plan_index *index = index_new(plan);
    index->next = d->plan_indexes;
    d->plan_indexes = index;
    return index;
}

void plan_indexes_deinit(struct daemon *d) {
    while (d->plan_indexes) {
        struct plan_index *index = d->plan_indexes;
        d->plan_indexes = index->next;
        free(index->leaves);
        free(index->scratch);
        free(index);
    }
}

/* ---- the order ---- */

/* The encoded gate with this digest, as it stands in the plan; once. */
static void gate_add(struct gate_set *set, const struct verified_plan *plan, const struct digest *digest) {
    const struct digest *found =
        bsearch(digest, plan->gate_digests, plan->n_gates, sizeof(*digest), by_digest);
    const struct bytes *bytes = found ? &plan->gate_bytes[found - plan->gate_digests] : NULL;
    for (size_t k = 0; bytes && k < set->n; k++)
        if (set->bytes[k].data == bytes->data)
            return;
    if (bytes && set->n < KEDGE_GATES_MAX)
        set->bytes[set->n++] = *bytes;
}

static void gates_collect(struct gate_set *set, const struct verified_plan *plan,
                          const struct work_order *order) {
    for (size_t s = 0; s < order->n_steps; s++)
        for (size_t i = 0; i < order->steps[s].n_rows; i++)
            for (size_t g = 0; g < order->steps[s].rows[i].n_gates; g++)
                gate_add(set, plan, &order->steps[s].rows[i].gates[g]);
}

/* Leaf 0 is the shape. */
static size_t path_find(const struct plan_index *index, uint32_t leaf,
                        struct digest path[static KEDGE_MERKLE_DEPTH_MAX]) {
    memcpy(index->scratch, index->leaves, index->n_leaves * sizeof(*index->leaves));
    return merkle_path(index->scratch, index->n_leaves, leaf, path);
}

void order_send(struct daemon *d, const struct run *run, const struct action *action) {
    const struct verified_plan *plan = run->plan;
    const struct work_order *order = plan->orders[action->member];
    struct digest path[KEDGE_MERKLE_DEPTH_MAX];
    struct gate_set gates = {.n = 0};
    const struct plan_index *index = index_of(d, plan);
    gates_collect(&gates, plan, order);
    struct order_message message = {
        .epoch = d->epoch,
        .header = plan->plan.header,
        .work_order = plan->plan.work_orders[action->member],
        .leaf = action->member + 1,
        .path = path,
        .n_path = path_find(index, action->member + 1, path),
        .gates = gates.bytes,
        .n_gates = gates.n,
        .manifest = plan->plan.manifest,
        .step = action->step,
        .addressee = order->node_key,
        .expires_s = action->expires_s,
        .beside = action->beside.names,
        .n_beside = action->beside.n,
        .outputs = action->outputs,
        .n_outputs = action->n_outputs,
    };
    int r = fleet_send_order(d->fleet, order->node, &message);
    if (r == 0)
        log_info("order", "%s: %s", order->member, action->step);
    else if (r != -ENOTCONN)
        log_error("order", "%s: %s: could not be sent: %s", order->member, action->step, strerror(-r));
}
