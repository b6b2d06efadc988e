/* The next generation of a member, written beside the one that runs; and which number on this node is meant by an index
 * in an order. Nothing here interrupts anything. */
#ifndef KEDGE_EXECUTOR_PREPARE_H
#define KEDGE_EXECUTOR_PREPARE_H

#include "agent/executor/executor.h"

/* Room on the disk for the release and for the journal of the step. -ENOSPC with a sentence. */
int prepare_room(const struct member *member, const struct manifest *manifest,
                 struct error *err) _must_check_;

/* Renders the configuration, holds it against the signed digests, and writes folder and record of generation `index` of
 * the open order; again if it is there. -EINVAL with one sentence, and nothing has changed. */
int prepare_generation(struct member *member, uint32_t index, struct error *err) _must_check_;

/* The recorded generations of a member, one after the other: the cursor is the key of the last, NULL at first; NULL after
 * the last one. */
const char *generation_next(const struct member *member, const char *after, struct arena *arena,
                            struct generation_record *out);

/* Whether the generation that runs was to be followed by another of its plan: a canary that was never promoted. */
bool generation_is_passing(const struct member *member);

/* Forgets generations that neither run nor are returned to nor belong to the plan of `order` or a newer one. */
void prepare_prune(struct member *member, const struct work_order *order);

#endif
