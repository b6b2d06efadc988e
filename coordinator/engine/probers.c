/* Whom the engine asks about the whole cluster: two agents of different failure domains, none of them in change, and
 * not the one whose member is about to stop: a node that is cut off must not vouch for the rest. With fewer, all there
 * are; the member's own only when it is alone. */
#include "coordinator/engine/internal.h"

#include <string.h>

static bool is_eligible(const struct run *run, const struct run_member *member, uint32_t for_node) {
    const struct node *node = &run->engine->nodes[member->node];
    return node->up && (node->n_in_change == 0 || KEDGE_MUTANT(prober_in_change)) &&
           (!node_is_held(run->engine, member->node) || KEDGE_MUTANT(prober_held)) &&
           !member_state_is_gone(member->state) && member->node != for_node;
}

/* Nodes without a domain are taken to differ. */
static bool same_domain(const struct run_member *a, const struct run_member *b) {
    return a->order->domain[0] && !KEDGE_MUTANT(probers_of_one_domain) &&
           strcmp(a->order->domain, b->order->domain) == 0;
}

/* Members of one domain stand together in a plan: a large one is stepped over at once. */
void domains_make(struct run *run) {
    uint32_t n = run->n_members;
    run->next_domain = must(calloc(n + 1, sizeof(*run->next_domain)));
    for (uint32_t i = 0; i < n; i++)
        run->next_domain[i] = i;
    for (uint32_t k = 2 * n; k-- > 0;) { /* backwards, twice around */
        uint32_t i = k % n, next = (i + 1) % n;
        run->next_domain[i] = !same_domain(&run->members[i], &run->members[next]) ? next
                              : run->next_domain[next] == next                    ? i
                                                                                  : run->next_domain[next];
    }
}

/* How far it is from the one to the other, all around. */
static uint32_t steps_to(const struct run *run, uint32_t from, uint32_t to) {
    return to > from ? to - from : to + run->n_members - from;
}

/* Behind `first`: the next eligible one in another domain; else the next one in the same. */
static const struct run_member *other_prober(const struct run *run, const struct run_member *self,
                                             const struct run_member *first) {
    const struct run_member *same = NULL;
    uint32_t member = (uint32_t)(self - run->members), at = (uint32_t)(first - run->members);
    for (uint32_t left = steps_to(run, at, member), step; left > 1; left -= step) {
        step = same && same_domain(first, &run->members[at]) ? steps_to(run, at, run->next_domain[at]) : 1;
        if (step >= left)
            break;
        at = (at + step) % run->n_members;
        const struct run_member *m = &run->members[at];
        if (!is_eligible(run, m, self->node) || m->node == first->node)
            continue;
        if (!same_domain(first, m))
            return m;
        same = same ? same : m;
    }
    return same;
}

size_t probers_choose(const struct run *run, uint32_t member, uint32_t nodes[static PROBERS]) {
    const struct run_member *self = &run->members[member], *first = NULL;
    for (uint32_t i = 1; !first && i < run->n_members; i++) {
        const struct run_member *m = &run->members[(member + i) % run->n_members];
        first = is_eligible(run, m, self->node) ? m : NULL;
    }
    if (!first) {
        nodes[0] = self->node;
        return run->engine->nodes[self->node].up ? 1 : 0;
    }
    const struct run_member *second = other_prober(run, self, first);
    nodes[0] = first->node;
    if (KEDGE_MUTANT(one_prober))
        second = NULL;
    if (second)
        nodes[1] = second->node;
    return second ? 2 : 1;
}
