/* What documents must hold in themselves, whoever signed them: people and planners err, and an executor must not be the one
 * to find out half-way. Part of the door (verify.h); nothing here looks at signatures, keys or clocks.
 *
 * All return 0, or -EBADMSG with a sentence (-EPERM where release and plan do not belong together, -ENOMEM). What depends on the node (is this user allowed, does this path exist, which
 * generation runs) is the executor's to judge. */
#ifndef KEDGE_PLAN_CHECK_H
#define KEDGE_PLAN_CHECK_H

#include "common/base/arena.h"
#include "common/plan/charter.h"
#include "common/plan/plan.h"
#include "common/plan/release.h"

/* The gates that came with a document, sorted by digest. */
struct gate_set {
    const struct gate *gates;
    const struct bytes *bytes;
    const struct digest *digests;
    size_t n;
    bool *
        named; /* of each: was it found by the checks, so does something that is signed name it? NULL: not of interest */
};

/* Decodes and checks n gates, each of which may stand once. The views of `bytes` are kept. -ENOMEM. */
int gate_set_open(struct gate_set *set, struct arena *arena, const struct bytes *bytes, size_t n,
                  struct error *err) _must_check_;

/* NULL when it is not among them. */
const struct gate *gate_set_find(const struct gate_set *set, const struct digest *digest);

int format_check(uint32_t format, const char *what, struct error *err) _must_check_;

/* A header that can be in force at some time. */
int header_check(const struct header *header, struct error *err) _must_check_;

/* A work order of the plan with this header and release: its member is one of the header's cluster, its generations are
 * what their digests say and of this release, its rows can be done one after the other and ask only gates of the set,
 * its leases can be closed. */
struct order_frame {
    const struct header *header;
    const struct manifest *manifest;
    const struct gate_set *gates;
};
int order_check(const struct work_order *order, const struct order_frame *frame,
                struct error *err) _must_check_;

/* The message that carries an order (its own bytes, header and manifest: `bytes`) has room for all the gates that it asks, and
 * they are not more than a message may hold. */
int order_size_check(const struct work_order *order, const struct gate_set *gates, size_t bytes,
                     struct error *err) _must_check_;

/* Waves, side actions and gates of a plan, against its work orders. No member stands twice. */
int shape_check(const struct shape *shape, const struct work_order *const *orders, size_t n_orders,
                const struct gate_set *gates, struct error *err) _must_check_;

/* What an action takes is captured by an earlier one, under the key that it names. */
int plan_outputs_check(const struct shape *shape, const struct work_order *const *orders, size_t n_orders,
                       struct error *err) _must_check_;

/* A charter without what signatures prove: nodes and members stand once, members live on nodes of the roster, gates are
 * there. `scratch` holds the decoded gates and may be freed after it. */
int charter_check(const struct charter *charter, struct arena *scratch, struct error *err) _must_check_;

#endif
