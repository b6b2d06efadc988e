/* What executor and link say to each other, over one SOCK_SEQPACKET pair: a closed set of kinds, each with its direction
 * and its size. A malformed or unexpected one is an attack: the receiver ends the connection.
 *
 *     datagram := u8 kind | u8 type | u16 flags (1: more of this one follows) | u64 seq | up to 128 KiB
 *
 * Larger payloads travel in pieces, so that no privilege is needed for large socket buffers. */
#ifndef KEDGE_LINK_LINK_IPC_H
#define KEDGE_LINK_LINK_IPC_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/limits.h"

enum link_kind {
    LINK_SIGN_REQUEST = 1, /* link → executor: hello | challenge; seq numbers the request */
    LINK_SIGNED,           /* executor → link: the signature of request seq */
    LINK_UP,   /* link → executor: the handshake of request seq is sent; the session's id as link has it */
    LINK_DOWN, /* link → executor: the connection is gone; why, in link's words (text) */
    LINK_FRAME_IN,  /* link → executor: a message of the coordinator, type and seq; not yet verified */
    LINK_FRAME_OUT, /* executor → link: a sealed message, type and seq */
    LINK_DROP,      /* executor → link: close the connection of request seq (0: whichever) and dial again */
    LINK_QUIT,      /* executor → link: end */
    LINK_KINDS,
};

enum {
    LINK_IPC_HEADER_BYTES = 12,
    LINK_IPC_PIECE_BYTES = 128 * 1024,
    LINK_IPC_PAYLOAD_MAX = KEDGE_MESSAGE_BYTES_MAX + 128,
    /* What may wait for the other side; past it the other side is taken for dead. */
    LINK_IPC_QUEUE_BYTES_MAX = 8 * 1024 * 1024,
};

enum link_side { LINK_SIDE_LINK, LINK_SIDE_EXECUTOR };

struct link_message {
    enum link_kind kind;
    uint8_t type;
    uint64_t seq;
    struct bytes payload;
};

/* One end of the pair. Owns the descriptor. */
struct link_ipc {
    int fd;
    enum link_side side;
    struct buffer queue; /* u32 length | datagram, ... */
    size_t queue_at;
    uint8_t *input; /* one datagram */
    struct buffer payload;
    struct link_message head; /* of what is being put together */
    bool more;
};

/* Takes the descriptor, also on failure, and makes it non-blocking. */
int link_ipc_init(struct link_ipc *ipc, int fd, enum link_side side, struct error *err) _must_check_;
void link_ipc_deinit(struct link_ipc *ipc);

/* Queues the message and sends what can be sent without blocking. The message must be one of this side's (asserted).
 * -EPIPE when the other side is gone, -ENOBUFS when it does not read, -ENOMEM. */
int link_ipc_send(struct link_ipc *ipc, const struct link_message *message) _must_check_;

/* Sends more of the queue; as link_ipc_send. */
int link_ipc_flush(struct link_ipc *ipc) _must_check_;

/* True if something waits: poll for writing too. */
bool link_ipc_is_waiting(const struct link_ipc *ipc);

/* LINK_IPC_NOTHING, or LINK_IPC_MESSAGE with a message that is valid until the next call. -EPIPE when the other side is
 * gone, -EPROTO when it sent what it must not, -ENOMEM. */
enum { LINK_IPC_NOTHING = 1, LINK_IPC_MESSAGE };
int link_ipc_receive(struct link_ipc *ipc, struct link_message *message) _must_check_;

#endif
