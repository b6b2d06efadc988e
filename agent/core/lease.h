/* When a member puts a side action back that the coordinator left open: after ttl + rank * delta of silence, when it has
 * looked and found our value still in force. Pure: the executor keeps the time, asks, and runs the close step. */
#ifndef KEDGE_AGENT_CORE_LEASE_H
#define KEDGE_AGENT_CORE_LEASE_H

#include "common/plan/work_order.h"

/* The lease of this name in the order, or NULL. */
const struct lease *lease_find(const struct work_order *order, const char *name);

/* The lease of the side action that this step opens, or NULL. */
const struct lease *lease_of_open(const struct work_order *order, const struct step *step);

/* What "ours is in force" means: the done_if of the step that opened it. NULL: nothing says so, and it is left alone. */
const struct check *lease_ours(const struct work_order *order, const struct lease *lease);

/* Of silence, in milliseconds, after which this holder looks. What ends it is the word that this very side action is open
 * (or the order that opens it): another coordinator, or one that has forgotten the run, may talk on. */
uint64_t lease_due_ms(const struct lease *lease);

/* True when it is time to ask lease_ours(). */
bool lease_must_look(const struct work_order *order, const struct lease *lease, uint64_t silent_ms);

/* What the answer leads to. */
enum lease_move {
    LEASE_LOOK_AGAIN, /* it is not known whether ours is in force, or the member is busy */
    LEASE_FORGET,     /* ours is not in force: what is, is nobody's of ours */
    LEASE_PUT_BACK,   /* run the close step */
};
enum lease_move lease_decide(enum answer ours, bool member_is_free);

/* False for the word of an older coordinator. */
bool lease_word_counts(uint64_t epoch, uint64_t epoch_seen);

#endif
