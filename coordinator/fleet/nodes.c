/* Approved nodes are found by name for every message, so they lie sorted; pending ones are few and only listed. */
#include "coordinator/fleet/internal.h"

#include "common/base/log.h"

#include <arpa/inet.h>
#include <string.h>

const char *node_state_text(enum node_state state) {
    switch (state) {
    case NODE_PENDING: return "pending";
    case NODE_OPEN: return "open";
    case NODE_LOST: return "lost";
    }
    return "?";
}

static struct fleet_node *node_free(struct fleet_node *node) {
    if (node)
        free(node->name);
    free(node);
    return NULL;
}

static struct fleet_node *node_new(const char *name, const struct public_key *key, enum node_state state) {
    struct fleet_node *node = calloc(1, sizeof(*node));
    if (!node || !(node->name = strdup(name)))
        return node_free(node);
    node->key = *key;
    node->state = state;
    return node;
}

void nodes_deinit(struct fleet *fleet) {
    for (size_t i = 0; i < fleet->n_nodes; i++)
        node_free(fleet->nodes[i]);
    for (size_t i = 0; i < fleet->n_pending; i++)
        node_free(fleet->pending[i]);
    free(fleet->nodes);
    free(fleet->pending);
}

/* The first place whose name is not smaller. */
static size_t place_of(const struct fleet *fleet, const char *name) {
    size_t low = 0, high = fleet->n_nodes;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(fleet->nodes[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct fleet_node *node_find(const struct fleet *fleet, const char *name) {
    size_t at = place_of(fleet, name);
    return at < fleet->n_nodes && strcmp(fleet->nodes[at]->name, name) == 0 ? fleet->nodes[at] : NULL;
}

void node_state_set(struct fleet *fleet, struct fleet_node *node, enum node_state state) {
    node->state = state;
    node->since_ms = fleet->now_ms;
}

void node_address_set(struct fleet_node *node, const uint8_t *address) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = memcmp(address, mapped, sizeof(mapped)) == 0;
    if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? address + 12 : address, node->address,
                   sizeof(node->address)))
        node->address[0] = 0;
}

/* ---- pending ones ---- */

static void pending_remove(struct fleet *fleet, size_t index) {
    node_free(fleet->pending[index]);
    fleet->n_pending--;
    memmove(&fleet->pending[index], &fleet->pending[index + 1],
            (fleet->n_pending - index) * sizeof(fleet->pending[0]));
}

static struct fleet_node *pending_find(const struct fleet *fleet, const char *name,
                                       const struct public_key *key) {
    for (size_t i = 0; i < fleet->n_pending; i++)
        if (strcmp(fleet->pending[i]->name, name) == 0 && public_key_equal(&fleet->pending[i]->key, key))
            return fleet->pending[i];
    return NULL;
}

static void pending_note(struct fleet *fleet, const struct peer *peer) {
    struct fleet_node *node = pending_find(fleet, peer->node, &peer->key);
    if (!node) {
        node = node_new(peer->node, &peer->key, NODE_PENDING);
        if (!node)
            return;
        if (fleet->n_pending == FLEET_PENDING_MAX)
            pending_remove(fleet, 0);
        node->since_ms = fleet->now_ms;
        fleet->pending[fleet->n_pending++] = node;
    }
    node->heard_ms = fleet->now_ms;
    node_address_set(node, peer->address);
}

/* ---- judging and approving ---- */

enum peer_verdict node_judge(void *user, const struct peer *peer) {
    struct fleet *fleet = user;
    const struct fleet_node *node = node_find(fleet, peer->node);
    if (node && public_key_equal(&node->key, &peer->key))
        return PEER_ADMITTED;
    if (node) {
        char fingerprint[KEDGE_FINGERPRINT_TEXT_SIZE];
        public_key_fingerprint(fingerprint, &peer->key);
        log_warning("node", "%s: refused: it came with key %s, which is not the one that was approved",
                    peer->node, fingerprint);
        return PEER_REFUSED;
    }
    pending_note(fleet, peer);
    return PEER_PENDING;
}

int fleet_node_add(struct fleet *fleet, const char *name, const struct public_key *key, uint64_t approved_ms,
                   struct error *err) {
    const struct fleet_node *there = node_find(fleet, name);
    if (there && public_key_equal(&there->key, key))
        return 0;
    if (there)
        return error_set(err, -EEXIST, "node %s is approved with another key; names are never used twice",
                         name);
    struct fleet_node **nodes = realloc(fleet->nodes, (fleet->n_nodes + 1) * sizeof(*nodes));
    if (nodes)
        fleet->nodes = nodes;
    struct fleet_node *node = nodes ? node_new(name, key, NODE_LOST) : NULL;
    if (!node)
        return error_errno(err, -ENOMEM, "node %s", name);
    node->approved_ms = approved_ms;
    size_t at = place_of(fleet, name);
    memmove(&nodes[at + 1], &nodes[at], (fleet->n_nodes - at) * sizeof(nodes[0]));
    nodes[at] = node;
    fleet->n_nodes++;
    for (size_t i = fleet->n_pending; i-- > 0;)
        if (strcmp(fleet->pending[i]->name, name) == 0)
            pending_remove(fleet, i);
    session_server_admit(fleet->server, key);
    return 0;
}

size_t fleet_n_nodes(const struct fleet *fleet) {
    return fleet->n_nodes;
}

const struct fleet_node *fleet_node_at(const struct fleet *fleet, size_t index) {
    return fleet->nodes[index];
}

const struct fleet_node *fleet_node(const struct fleet *fleet, const char *name) {
    return node_find(fleet, name);
}

size_t fleet_n_pending(const struct fleet *fleet) {
    return fleet->n_pending;
}

const struct fleet_node *fleet_pending_at(const struct fleet *fleet, size_t index) {
    return fleet->pending[index];
}
