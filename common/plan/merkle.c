/* Why leaves and nodes are hashed with different first bytes: else a node could be offered as a leaf (a second preimage),
 * and a work order could be forged from two digests. */
#include "common/plan/merkle.h"

#include <assert.h>

struct digest merkle_leaf(struct bytes bytes) {
    struct digest_state state;
    digest_init(&state);
    digest_update(&state, (struct bytes){(const uint8_t *)"\0", 1});
    digest_update(&state, bytes);
    return digest_final(&state);
}

static struct digest merkle_node(const struct digest *left, const struct digest *right) {
    struct digest_state state;
    digest_init(&state);
    digest_update(&state, (struct bytes){(const uint8_t *)"\1", 1});
    digest_update(&state, BYTES_OF(left->b));
    digest_update(&state, BYTES_OF(right->b));
    return digest_final(&state);
}

/* One level up, in place; returns the new number of nodes. */
static size_t merkle_fold(struct digest *level, size_t n) {
    size_t up = 0;
    for (size_t i = 0; i < n; i += 2)
        level[up++] = i + 1 < n ? merkle_node(&level[i], &level[i + 1]) : level[i];
    return up;
}

struct digest merkle_root(struct digest *leaves, size_t n) {
    assert(n >= 1);
    while (n > 1)
        n = merkle_fold(leaves, n);
    return leaves[0];
}

size_t merkle_path(struct digest *leaves, size_t n, size_t index,
                   struct digest path[static KEDGE_MERKLE_DEPTH_MAX]) {
    assert(index < n);
    size_t length = 0;
    while (n > 1) {
        size_t sibling = index ^ 1;
        if (sibling < n) {
            assert(length < KEDGE_MERKLE_DEPTH_MAX);
            path[length++] = leaves[sibling];
        }
        n = merkle_fold(leaves, n);
        index /= 2;
    }
    return length;
}

bool merkle_check(struct digest leaf, size_t index, size_t n, const struct digest *path, size_t n_path,
                  const struct digest *root) {
    if (index >= n)
        return false;
    size_t used = 0;
    struct digest at = leaf;
    while (n > 1) {
        size_t sibling = index ^ 1;
        if (sibling < n) {
            if (used == n_path)
                return false;
            at = index & 1 ? merkle_node(&path[used], &at) : merkle_node(&at, &path[used]);
            used++;
        }
        n = (n + 1) / 2;
        index /= 2;
    }
    return used == n_path && digest_equal(&at, root);
}
