/* An order carries everything that its agent needs to believe it: header, work order, the path between them, every gate that
 * the work order names, the release's manifest. */
#include "coordinator/daemon/daemon.h"

#include "common/base/log.h"
#include "common/plan/merkle.h"

#include <string.h>

struct gate_set {
    struct bytes bytes[KEDGE_GATES_MAX];
    size_t n;
};

/* The encoded gate with this digest, as it stands in the plan. */
static void gate_add(struct gate_set *set, const struct verified_plan *plan, const struct digest *digest) {
    for (size_t i = 0; i < plan->n_gates; i++) {
        if (!digest_equal(&plan->gate_digests[i], digest))
            continue;
        for (size_t k = 0; k < set->n; k++)
            if (set->bytes[k].data == plan->gate_bytes[i].data)
                return;
        if (set->n < KEDGE_GATES_MAX)
            set->bytes[set->n++] = plan->gate_bytes[i];
        return;
    }
}

static void gates_collect(struct gate_set *set, const struct verified_plan *plan,
                          const struct work_order *order) {
    for (size_t s = 0; s < order->n_steps; s++)
        for (size_t i = 0; i < order->steps[s].n_rows; i++)
            for (size_t g = 0; g < order->steps[s].rows[i].n_gates; g++)
                gate_add(set, plan, &order->steps[s].rows[i].gates[g]);
}

/* The path of leaf member + 1 (leaf 0 is the shape). */
static size_t path_find(const struct verified_plan *plan, uint32_t leaf,
                        struct digest path[static KEDGE_MERKLE_DEPTH_MAX]) {
    size_t n = plan->plan.n_work_orders + 1;
    _cleanup_(freep) struct digest *leaves = calloc(n, sizeof(*leaves));
    if (!leaves)
        abort();
    leaves[0] = merkle_leaf(plan->plan.shape);
    for (size_t i = 1; i < n; i++)
        leaves[i] = merkle_leaf(plan->plan.work_orders[i - 1]);
    return merkle_path(leaves, n, leaf, path);
}

void order_send(struct daemon *d, const struct run *run, const struct action *action) {
    const struct verified_plan *plan = run->plan;
    const struct work_order *order = plan->orders[action->member];
    struct digest path[KEDGE_MERKLE_DEPTH_MAX];
    struct gate_set gates = {.n = 0};
    gates_collect(&gates, plan, order);
    struct order_message message = {
        .epoch = d->epoch,
        .header = plan->plan.header,
        .work_order = plan->plan.work_orders[action->member],
        .leaf = action->member + 1,
        .path = path,
        .n_path = path_find(plan, action->member + 1, path),
        .gates = gates.bytes,
        .n_gates = gates.n,
        .manifest = plan->plan.manifest,
        .step = action->step,
        .addressee = order->node_key,
        .expires_s = action->expires_s,
    };
    int r = fleet_send_order(d->fleet, order->node, &message);
    if (r == 0)
        log_info("order", "%s: %s", order->member, action->step);
    else if (r != -ENOTCONN)
        log_error("order", "%s: %s: could not be sent: %s", order->member, action->step, strerror(-r));
}
