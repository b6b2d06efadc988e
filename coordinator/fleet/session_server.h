/* The coordinator's end of all agents' lines: listens, does the handshakes, and hands over sessions whose peer is proven
 * and whose messages are verified. One loop, no threads of its own: wait for the descriptor or the deadline, then call
 * session_server_turn(). All callbacks come from inside that call. */
#ifndef KEDGE_FLEET_SESSION_SERVER_H
#define KEDGE_FLEET_SESSION_SERVER_H

#include "common/nng/transport.h"
#include "proto/session.h"

enum {
    /* Until a peer is proven: in all, from one address, and how long it may take. */
    UNPROVEN_MAX = 1024,
    UNPROVEN_PER_ADDRESS_MAX = 256,
    UNPROVEN_MS = 10 * 1000,
    /* Proven, but not approved by an operator: how many, and how long until they have to come again. */
    PENDING_MAX = 256,
    PENDING_MS = 60 * 1000,
    /* Agents are heard every 5 s; four silent beats are a dead line. */
    SILENT_MS = 20 * 1000,
    /* New connections: each may cost three operations with curves. */
    CONNECTIONS_BURST = 4000,
    CONNECTIONS_PER_S = 2000,
};

/* One session; never used twice in the life of a server. */
struct session_handle {
    uint64_t id;
};

/* Who is at the other end: proven by its signature. Valid during the callback. */
struct peer {
    const char *node;
    struct public_key key;
    struct digest session;
    const uint8_t *address; /* TRANSPORT_ADDRESS_LEN bytes */
};

enum peer_verdict { PEER_ADMITTED, PEER_PENDING, PEER_REFUSED };

struct session_callbacks {
    void *user;
    /* The peer has proven that it holds this key: is it the node's? Called once a connection. */
    enum peer_verdict (*judge)(void *user, const struct peer *peer);
    /* Admitted: everything may be said from here on, also from inside this call. */
    void (*opened)(void *user, struct session_handle session, const struct peer *peer);
    /* A verified message of an open session, heartbeats included (they are answered already). */
    void (*message)(void *user, struct session_handle session, const struct peer *peer,
                    const struct verified_message *message);
    /* Once for every opened one, whoever ended it. Nothing can be sent any more. */
    void (*closed)(void *user, struct session_handle session, const struct peer *peer, const char *reason);
};

struct session_server;

/* Takes the transport, also on failure, and listens on "HOST:PORT". `key` must outlive the server. */
struct session_server_config {
    struct transport *transport;
    const char *address;
    const struct key_pair *key;
    size_t max_sessions;
    struct session_callbacks callbacks;
};
int session_server_new(struct session_server **out, const struct session_server_config *config,
                       struct error *err) _must_check_;

/* Says BYE to all, without callbacks. Accepts NULL, returns NULL. */
struct session_server *session_server_free(struct session_server *server);
static inline void session_server_freep(struct session_server **server) {
    *server = session_server_free(*server);
}

int session_server_port(struct session_server *server);
int session_server_fd(struct session_server *server);
uint64_t session_server_deadline(struct session_server *server);

/* Does what there is to do, at most some hundred events; the descriptor stays readable if there is more. */
void session_server_turn(struct session_server *server, uint64_t now_ms);

/* Signs and queues one message. -ENOTCONN when the session is gone or the type is not the coordinator's; -ENOBUFS when the
 * agent does not read (`closed` follows). */
int session_server_send(struct session_server *server, struct session_handle session, enum message_type type,
                        struct bytes bytes) _must_check_;

/* Says BYE with the reason; `closed` follows in a later turn. */
void session_server_close(struct session_server *server, struct session_handle session,
                          enum bye_reason reason);

/* An operator approved this key: its waiting session, if there is one, opens in the next turn. */
void session_server_admit(struct session_server *server, const struct public_key *key);

#endif
