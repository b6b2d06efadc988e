/* Byte streams between programs, behind ten calls, so that a simulated network can stand in for the real one. The caller
 * has one loop: it waits for the descriptor or the deadline, then takes events until there are none. Nothing here
 * blocks, and nothing is called back from a foreign thread. */
#ifndef KEDGE_NNG_TRANSPORT_H
#define KEDGE_NNG_TRANSPORT_H

#include "common/base/bytes.h"
#include "common/base/error.h"

enum {
    TRANSPORT_ADDRESS_LEN = 16, /* IPv6, or IPv4 mapped into it */
    /* What one peer may leave unread, in bytes, before it is disconnected: two of the largest messages and some. */
    TRANSPORT_QUEUE_BYTES_MAX = 3 * 1024 * 1024,
    /* How long a closed connection may take to send what is queued (a BYE). */
    TRANSPORT_FLUSH_MS = 1000,
    /* How long a connection may take to come up. */
    TRANSPORT_DIAL_MS = 10 * 1000,
};

/* One connection; never used twice in the life of a transport. 0 is none. */
struct connection {
    uint64_t id;
};

enum transport_event_kind {
    TRANSPORT_ACCEPTED, /* a peer dialled us */
    TRANSPORT_DIALED,   /* our dial succeeded */
    TRANSPORT_RECEIVED, /* `bytes`; no more come until transport_receive() is called */
    TRANSPORT_CLOSED, /* by the peer, by the network, or because its queue was full; `reason` says it. The connection is
                           gone. Never comes for one that the caller closed */
};

struct transport_event {
    enum transport_event_kind kind;
    struct connection connection;
    struct bytes bytes;                     /* valid until the next call */
    uint8_t address[TRANSPORT_ADDRESS_LEN]; /* of the peer, for TRANSPORT_ACCEPTED */
    const char *reason;                     /* static text */
};

struct transport;

struct transport_ops {
    int (*listen)(struct transport *transport, const char *address, struct error *err);
    int (*dial)(struct transport *transport, const char *address, struct connection *out, struct error *err);
    int (*send)(struct transport *transport, struct connection connection, struct bytes bytes);
    void (*receive)(struct transport *transport, struct connection connection);
    size_t (*queued)(struct transport *transport, struct connection connection);
    void (*close)(struct transport *transport, struct connection connection);
    int (*port)(struct transport *transport);
    int (*fd)(struct transport *transport);
    uint64_t (*deadline)(struct transport *transport);
    bool (*next)(struct transport *transport, uint64_t now_ms, struct transport_event *event);
    struct transport *(*free)(struct transport *transport);
};

struct transport {
    const struct transport_ops *ops;
};

/* "HOST:PORT"; port 0 takes any. Once per transport. */
static inline int transport_listen(struct transport *transport, const char *address, struct error *err) {
    return transport->ops->listen(transport, address, err);
}

/* Begins to connect; TRANSPORT_DIALED or TRANSPORT_CLOSED follows. */
static inline int transport_dial(struct transport *transport, const char *address, struct connection *out,
                                 struct error *err) {
    return transport->ops->dial(transport, address, out, err);
}

/* Copies `bytes` into the connection's queue. -ENOBUFS: the peer does not read, its connection is being closed and
 * TRANSPORT_CLOSED follows. -ENOTCONN: it is gone, TRANSPORT_CLOSED has come or will. -ENOMEM as -ENOBUFS. */
static inline int transport_send(struct transport *transport, struct connection connection,
                                 struct bytes bytes) {
    return transport->ops->send(transport, connection, bytes);
}

/* Asks for the next TRANSPORT_RECEIVED: once after ACCEPTED or DIALED, and once after each RECEIVED. */
static inline void transport_receive(struct transport *transport, struct connection connection) {
    transport->ops->receive(transport, connection);
}

/* Bytes that were not yet given to the network. */
static inline size_t transport_queued(struct transport *transport, struct connection connection) {
    return transport->ops->queued(transport, connection);
}

/* Sends what is queued, for at most TRANSPORT_FLUSH_MS, then closes. A connection that is gone is fine. */
static inline void transport_close(struct transport *transport, struct connection connection) {
    transport->ops->close(transport, connection);
}

/* The port that is listened on. */
static inline int transport_port(struct transport *transport) {
    return transport->ops->port(transport);
}

/* Readable when there may be events. Owned by the transport. */
static inline int transport_fd(struct transport *transport) {
    return transport->ops->fd(transport);
}

/* When transport_next must be called even if the descriptor is silent, on the clock of `now_ms`; UINT64_MAX for never. */
static inline uint64_t transport_deadline(struct transport *transport) {
    return transport->ops->deadline(transport);
}

/* The next event; false if there is none now. `now_ms` never goes back. */
static inline bool transport_next(struct transport *transport, uint64_t now_ms,
                                  struct transport_event *event) {
    return transport->ops->next(transport, now_ms, event);
}

/* Gives closed connections at most TRANSPORT_FLUSH_MS to send what is queued, then closes everything and waits for what is in
 * flight. Accepts NULL, returns NULL. */
static inline struct transport *transport_free(struct transport *transport) {
    return transport ? transport->ops->free(transport) : NULL;
}
static inline void transport_freep(struct transport **transport) {
    *transport = transport_free(*transport);
}

#endif
