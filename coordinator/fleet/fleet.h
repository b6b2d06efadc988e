/* All agents, as the rest of the coordinator sees them: who is approved, who is here, what was asked of whom and what came
 * back. Sessions and signatures are beneath (session_server.h); what may be done is decided above.
 *
 * One loop, no threads of its own: wait for fleet_fd() or fleet_deadline(), then call fleet_turn(). All callbacks come from
 * inside that call; they may call anything here but fleet_turn and fleet_free. Times are milliseconds on the caller's
 * clock, which never goes back; the skew of an agent's clock is measured against it. */
#ifndef KEDGE_FLEET_FLEET_H
#define KEDGE_FLEET_FLEET_H

#include "common/plan/verify.h"
#include "common/trust/keys.h"
#include "coordinator/fleet/session_server.h"
#include "proto/messages.h"

#include <netinet/in.h>

enum {
    /* Nodes that showed a key which nobody approved yet: in memory only, the oldest gives way. What a stranger says is
     * never written to the disk. */
    FLEET_PENDING_MAX = PENDING_MAX,
    /* A clock that is further off is said in the log and in `node show`: orders expire by the agent's clock. */
    FLEET_SKEW_WARN_MS = 5000,
};

enum node_state { NODE_PENDING, NODE_OPEN, NODE_LOST };
const char *node_state_text(enum node_state state);

/* Read-only for others. */
struct fleet_node {
    char *name;
    struct public_key key;
    enum node_state state;
    struct session_handle session;
    char address[INET6_ADDRSTRLEN]; /* "" until it was seen */
    char version[KEDGE_NAME_MAX + 1];
    uint64_t since_ms; /* of the state; 0: never seen since kedged began */
    uint64_t heard_ms; /* of the last heartbeat; 0: none yet */
    int64_t clock_skew_ms;
    uint64_t epoch; /* the highest that it has obeyed, by its last heartbeat */
    uint64_t approved_ms;
};

struct fleet_callbacks {
    void *user;
    /* An approved node has a session, maybe a new one; everything may be sent to it from here on. */
    void (*up)(void *user, const char *node);
    void (*down)(void *user, const char *node, const char *reason);
    /* Unasked words. `bytes` is the message as it came and was signed. */
    void (*report)(void *user, const char *node, const struct report *report, struct bytes bytes);
    void (*facts)(void *user, const char *node, const struct facts_message *facts);
    void (*heartbeat)(void *user, const char *node, const struct heartbeat *heartbeat);
};

struct fleet_config {
    const char *address; /* "HOST:PORT" */
    const struct key_pair *key;
    size_t max_sessions;
    struct fleet_callbacks callbacks;
};

struct fleet;
int fleet_new(struct fleet **outp, const struct fleet_config *config, struct error *err) _must_check_;
struct fleet *fleet_free(struct fleet *fleet);
static inline void fleet_freep(struct fleet **fleet) {
    *fleet = fleet_free(*fleet);
}

int fleet_port(struct fleet *fleet);
int fleet_fd(struct fleet *fleet);
uint64_t fleet_deadline(struct fleet *fleet);
void fleet_turn(struct fleet *fleet, uint64_t now_ms);

/* ---- nodes ---- */

/* At the start, from the store; and when an operator approves one: its waiting session opens in the next turn.
 * -EEXIST when the name is taken by another key. */
int fleet_node_add(struct fleet *fleet, const char *name, const struct public_key *key, uint64_t approved_ms,
                   struct error *err) _must_check_;

size_t fleet_n_nodes(const struct fleet *fleet);
const struct fleet_node *fleet_node_at(const struct fleet *fleet, size_t index); /* by name */
const struct fleet_node *fleet_node(const struct fleet *fleet, const char *name);

size_t fleet_n_pending(const struct fleet *fleet);
const struct fleet_node *fleet_pending_at(const struct fleet *fleet, size_t index);

/* ---- one-way words: -ENOTCONN when the node has no session now, -ENOBUFS, -EMSGSIZE ---- */

int fleet_send_order(struct fleet *fleet, const char *node, const struct order_message *order) _must_check_;
int fleet_send_charter(struct fleet *fleet, const char *node,
                       const struct charter_message *charter) _must_check_;
int fleet_send_lease(struct fleet *fleet, const char *node, const struct lease_message *lease) _must_check_;
int fleet_send_latch(struct fleet *fleet, const char *node, const struct latch *latch) _must_check_;
int fleet_send_word(struct fleet *fleet, const char *node, struct bytes word) _must_check_; /* signed blob */

/* ---- requests: each gets exactly one reply, also when there is no session or no answer in time ---- */

/* One of the three answers, or `problem` and none. Valid during the call. */
struct fleet_reply {
    uint64_t id;
    uint64_t tag; /* the caller's */
    const char *node;
    const char *problem;
    const struct facts_message *facts;
    const struct preview_result *preview;
    const struct answer_message *answer;
};
typedef void fleet_reply_fn(void *user, const struct fleet_reply *reply);

struct fleet_request {
    const char *node;
    uint64_t deadline_ms; /* on the caller's clock */
    fleet_reply_fn *reply;
    void *user;
    uint64_t tag;
};

/* The ids are never used twice and never 0; those of the messages are set here. */
uint64_t fleet_inquire(struct fleet *fleet, const struct fleet_request *request, struct inquire inquire);
uint64_t fleet_preview(struct fleet *fleet, const struct fleet_request *request, struct preview preview);
uint64_t fleet_ask(struct fleet *fleet, const struct fleet_request *request, struct ask ask);

/* No reply comes any more to any request with this user. */
void fleet_forget(struct fleet *fleet, const void *user);

#endif
