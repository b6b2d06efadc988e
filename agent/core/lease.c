/* Why a rank and not the first that notices: the members of a cluster notice at the same moment. Why a look and not a blind
 * undo: what somebody else has set since is not ours to put back. */
#include "agent/core/lease.h"

#include "common/base/mutant.h"

#include <stdio.h>
#include <string.h>

const struct lease *lease_find(const struct work_order *order, const char *name) {
    for (size_t i = 0; i < order->n_leases; i++)
        if (strcmp(order->leases[i].name, name) == 0)
            return &order->leases[i];
    return NULL;
}

static const struct step *step_that_opens(const struct work_order *order, const struct lease *lease) {
    char name[KEDGE_NAME_MAX + 8];
    snprintf(name, sizeof(name), "open %s", lease->name);
    return work_order_step(order, name);
}

const struct lease *lease_of_open(const struct work_order *order, const struct step *step) {
    for (size_t i = 0; i < order->n_leases; i++)
        if (step_that_opens(order, &order->leases[i]) == step)
            return &order->leases[i];
    return NULL;
}

const struct check *lease_ours(const struct work_order *order, const struct lease *lease) {
    const struct step *open = step_that_opens(order, lease);
    for (size_t i = 0; open && i < open->n_rows; i++)
        if (open->rows[i].primitive == PRIMITIVE_RUN)
            return open->rows[i].done_if;
    return NULL;
}

uint64_t lease_due_ms(const struct lease *lease) {
    return lease->ttl_ms + (uint64_t)lease->rank * lease->delta_ms;
}

bool lease_must_look(const struct work_order *order, const struct lease *lease, uint64_t silent_ms) {
    return lease->on_loss != ON_LOSS_HOLD && silent_ms >= lease_due_ms(lease) && lease_ours(order, lease);
}

enum lease_move lease_decide(enum answer ours, bool member_is_free) {
    if (ours == ANSWER_NO && !KEDGE_MUTANT(lease_blind))
        return LEASE_FORGET;
    return (ours == ANSWER_YES || KEDGE_MUTANT(lease_blind)) && member_is_free ? LEASE_PUT_BACK
                                                                               : LEASE_LOOK_AGAIN;
}

bool lease_word_counts(uint64_t epoch, uint64_t epoch_seen) {
    return epoch >= epoch_seen;
}
