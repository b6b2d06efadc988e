/* The executor's end of the line to the coordinator: starts and restarts `link`, signs handshakes that it has checked
 * itself, seals what the agent says and verifies what it hears. What comes out of here is signed by the pinned
 * coordinator, for this session, in order. No network in here: only the pair of sockets. */
#ifndef KEDGE_LINK_LINK_CLIENT_H
#define KEDGE_LINK_LINK_CLIENT_H

#include "agent/link/link_ipc.h"
#include "proto/handshake.h"
#include "proto/session.h"

#include <sys/types.h>

enum {
    /* An agent is heard at least this often, also while pending; the coordinator answers each. */
    LINK_HEARTBEAT_MS = 5 * 1000,
    /* Between two starts of link: it ended, so something is wrong that a loop would only make worse. */
    LINK_RESTART_MS = 1000,
};

/* All texts and the key pair must outlive the client. */
struct link_client_config {
    const char *program; /* path of kedge-link */
    const char *address; /* of the coordinator, HOST:PORT */
    const char *node;    /* own name */
    const char *user;    /* link drops to this user; NULL: it stays */
    const struct key_pair *agent;
    struct public_key coordinator; /* pinned */
};

enum link_event_kind {
    LINK_EVENT_PENDING, /* connected; an operator has to approve this node's key first */
    LINK_EVENT_OPEN,    /* admitted: from here on everything may be said */
    LINK_EVENT_MESSAGE, /* any other verified message but WELCOME and BYE */
    LINK_EVENT_DOWN,    /* after PENDING or OPEN; link dials again by itself */
};

struct link_event {
    enum link_event_kind kind;
    struct verified_message message; /* valid until the next call */
    const char *reason;              /* of DOWN; valid until the next call */
};

struct link_client {
    struct link_client_config config;
    struct link_ipc ipc;
    int epoll_fd;
    bool epoll_writes;
    pid_t pid;
    uint64_t start_at_ms, heartbeat_at_ms, request;
    struct session session; /* SESSION_CLOSED while there is none */
    bool told;              /* PENDING or OPEN was reported */
    struct buffer heartbeat;
    char reason[KEDGE_ERROR_TEXT_MAX];
};

/* Link is started by the first link_client_next(). */
int link_client_init(struct link_client *client, const struct link_client_config *config,
                     struct error *err) _must_check_;

/* Ends link and waits for its end. */
void link_client_deinit(struct link_client *client);

/* Readable when there may be events; the same for the client's life. */
int link_client_fd(const struct link_client *client);

/* When link_client_next must be called even if the descriptor is silent. */
uint64_t link_client_deadline(const struct link_client *client);

/* The next event; false if there is none now. Everything else (starts, heartbeats, signing) is done on the way. */
bool link_client_next(struct link_client *client, uint64_t now_ms, struct link_event *event);

/* Seals and queues one message. -ENOTCONN when it may not be said now (not admitted, no connection): say it again after the
 * next LINK_EVENT_OPEN. */
int link_client_send(struct link_client *client, enum message_type type, struct bytes bytes) _must_check_;

/* What the heartbeats carry from now on (copied); sent at once too if the session is open and `now`. */
void link_client_heartbeat(struct link_client *client, struct bytes bytes, bool now);

#endif
