/* The Merkle tree of a plan: leaf = BLAKE2b(0x00 | bytes), node = BLAKE2b(0x01 | left | right), an odd node at the end
 * of a level moves up unchanged (RFC 6962's shape, so a tree of n leaves has exactly one root). */
#ifndef KEDGE_PLAN_MERKLE_H
#define KEDGE_PLAN_MERKLE_H

#include "common/base/bytes.h"
#include "common/base/limits.h"
#include "common/trust/verify.h"

struct digest merkle_leaf(struct bytes bytes);

/* The root over n >= 1 leaves; `leaves` is used as scratch and destroyed. */
struct digest merkle_root(struct digest *leaves, size_t n);

/* The path from leaf `index` to the root; returns its length (at most KEDGE_MERKLE_DEPTH_MAX). `leaves` is scratch. */
size_t merkle_path(struct digest *leaves, size_t n, size_t index,
                   struct digest path[static KEDGE_MERKLE_DEPTH_MAX]);

/* True if the leaf at `index` of `n`, with this path, leads to `root`. */
bool merkle_check(struct digest leaf, size_t index, size_t n, const struct digest *path, size_t n_path,
                  const struct digest *root) _must_check_;

#endif
