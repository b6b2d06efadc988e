/* What the files behind fleet.h share; nobody else includes it. */
#ifndef KEDGE_FLEET_INTERNAL_H
#define KEDGE_FLEET_INTERNAL_H

#include "coordinator/fleet/fleet.h"

enum { REQUEST_BUCKETS = 1024 };

/* One request on its way. */
struct request {
    uint64_t id;
    enum message_type expects;
    struct fleet_request asked; /* its `node` is fleet_node.name */
    struct request *next;
};

struct fleet {
    struct session_server *server;
    struct fleet_callbacks callbacks;
    struct fleet_node **nodes;   /* approved, by name */
    struct fleet_node **pending; /* the longest waiting first */
    size_t n_nodes, n_pending;
    struct request *requests[REQUEST_BUCKETS]; /* by id */
    struct request *failed;                    /* could not be sent; told in the next turn */
    uint64_t n_requests_ever, next_timeout_ms;
    uint64_t now_ms;
};

/* ---- nodes.c ---- */
void nodes_deinit(struct fleet *fleet);
struct fleet_node *node_find(const struct fleet *fleet, const char *name);
void node_state_set(struct fleet *fleet, struct fleet_node *node, enum node_state state);
void node_address_set(struct fleet_node *node, const uint8_t *address);
enum peer_verdict node_judge(void *user, const struct peer *peer);

/* ---- requests.c ---- */
void requests_deinit(struct fleet *fleet);
/* True if it was expected from this node; the reply is then told and the request gone. */
bool request_answer(struct fleet *fleet, const char *node, enum message_type type, struct fleet_reply reply);
void requests_of_node_fail(struct fleet *fleet, const char *node, const char *problem);
void requests_turn(struct fleet *fleet);
uint64_t requests_deadline(const struct fleet *fleet);

/* ---- fleet.c ---- */
int fleet_say(struct fleet *fleet, const char *node, enum message_type type,
              const struct codec_message *codec, const void *message) _must_check_;

#endif
