/* Whom the engine asks about the whole cluster: two agents of different failure domains, none of them in change, and
 * not the one whose member is about to stop: a node that is cut off must not vouch for the rest. With fewer, all there
 * are; the member's own only when it is alone. */
#include "coordinator/engine/internal.h"

#include <string.h>

static bool is_eligible(const struct run *run, const struct run_member *member, uint32_t for_node) {
    const struct node *node = &run->engine->nodes[member->node];
    return node->up && (node->n_in_change == 0 || KEDGE_MUTANT(prober_in_change)) &&
           !node_is_held(run->engine, member->node) && !member_state_is_gone(member->state) &&
           member->node != for_node;
}

/* Nodes without a domain are taken to differ. */
static bool same_domain(const struct run_member *a, const struct run_member *b) {
    return a->order->domain[0] && !KEDGE_MUTANT(probers_of_one_domain) &&
           strcmp(a->order->domain, b->order->domain) == 0;
}

size_t probers_choose(const struct run *run, uint32_t member, uint32_t nodes[static PROBERS]) {
    const struct run_member *self = &run->members[member], *first = NULL, *second = NULL;
    for (uint32_t i = 1; i < run->n_members; i++) {
        const struct run_member *m = &run->members[(member + i) % run->n_members];
        if (!is_eligible(run, m, self->node) || (first && m->node == first->node))
            continue;
        if (!first) {
            first = m;
        } else if (!same_domain(first, m)) {
            second = m;
            break;
        } else if (!second) {
            second = m;
        }
    }
    if (!first) {
        nodes[0] = self->node;
        return run->engine->nodes[self->node].up ? 1 : 0;
    }
    nodes[0] = first->node;
    if (KEDGE_MUTANT(one_prober))
        second = NULL;
    if (second)
        nodes[1] = second->node;
    return second ? 2 : 1;
}
