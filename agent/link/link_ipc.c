/* Why a queue on both sides and never a blocking write: each side may be about to write to the other. */
#include "agent/link/link_ipc.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

enum { FLAG_MORE = 1, KEEP_BYTES = 16 * 1024 };

static const struct {
    enum link_side from;
    uint32_t bytes_min, bytes_max;
} kinds[LINK_KINDS] = {
    [LINK_SIGN_REQUEST] = {LINK_SIDE_LINK, 328, 328},
    [LINK_SIGNED] = {LINK_SIDE_EXECUTOR, 64, 64},
    [LINK_UP] = {LINK_SIDE_LINK, 32, 32},
    [LINK_DOWN] = {LINK_SIDE_LINK, 0, 512},
    [LINK_FRAME_IN] = {LINK_SIDE_LINK, 0, LINK_IPC_PAYLOAD_MAX},
    [LINK_FRAME_OUT] = {LINK_SIDE_EXECUTOR, 0, LINK_IPC_PAYLOAD_MAX},
    [LINK_DROP] = {LINK_SIDE_EXECUTOR, 0, 0},
    [LINK_QUIT] = {LINK_SIDE_EXECUTOR, 0, 0},
};

int link_ipc_init(struct link_ipc *ipc, int fd, enum link_side side, struct error *err) {
    *ipc = (struct link_ipc){.fd = fd, .side = side};
    ipc->input = malloc(LINK_IPC_HEADER_BYTES + LINK_IPC_PIECE_BYTES);
    int flags = fcntl(fd, F_GETFL);
    if (!ipc->input || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        int r = ipc->input ? -errno : -ENOMEM;
        link_ipc_deinit(ipc);
        return error_errno(err, r, "the line between executor and link");
    }
    return 0;
}

void link_ipc_deinit(struct link_ipc *ipc) {
    if (ipc->fd >= 0)
        close(ipc->fd);
    free(ipc->input);
    buffer_deinit(&ipc->queue);
    buffer_deinit(&ipc->payload);
    *ipc = (struct link_ipc){.fd = -1};
}

static void buffer_rest(struct buffer *buffer) {
    if (buffer->room > KEEP_BYTES)
        buffer_deinit(buffer);
    else
        buffer_clear(buffer);
}

/* ---- sending ---- */

static void piece_queue(struct link_ipc *ipc, const struct link_message *message, struct bytes piece,
                        bool more) {
    const uint8_t head[4] = {(uint8_t)message->kind, message->type, 0, more ? FLAG_MORE : 0};
    buffer_u32(&ipc->queue, (uint32_t)(LINK_IPC_HEADER_BYTES + piece.len));
    buffer_append(&ipc->queue, head, sizeof(head));
    buffer_u64(&ipc->queue, message->seq);
    buffer_append(&ipc->queue, piece.data, piece.len);
}

int link_ipc_send(struct link_ipc *ipc, const struct link_message *message) {
    struct bytes rest = message->payload;
    assert(kinds[message->kind].from == ipc->side);
    assert(rest.len >= kinds[message->kind].bytes_min && rest.len <= kinds[message->kind].bytes_max);
    if (ipc->queue.len - ipc->queue_at + rest.len > LINK_IPC_QUEUE_BYTES_MAX)
        return -ENOBUFS;
    while (rest.len > LINK_IPC_PIECE_BYTES) {
        piece_queue(ipc, message, (struct bytes){rest.data, LINK_IPC_PIECE_BYTES}, true);
        rest = (struct bytes){rest.data + LINK_IPC_PIECE_BYTES, rest.len - LINK_IPC_PIECE_BYTES};
    }
    piece_queue(ipc, message, rest, false);
    return link_ipc_flush(ipc);
}

int link_ipc_flush(struct link_ipc *ipc) {
    if (ipc->queue.failed)
        return -ENOMEM;
    while (ipc->queue_at < ipc->queue.len) {
        const uint8_t *datagram = ipc->queue.data + ipc->queue_at + 4;
        uint32_t len = read_u32(datagram - 4);
        ssize_t n = send(ipc->fd, datagram, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
            return 0;
        if (n < 0)
            return -EPIPE;
        ipc->queue_at += 4 + len;
    }
    buffer_rest(&ipc->queue);
    ipc->queue_at = 0;
    return 0;
}

bool link_ipc_is_waiting(const struct link_ipc *ipc) {
    return ipc->queue_at < ipc->queue.len;
}

/* ---- receiving ---- */

/* A further piece has the head of the first one. */
static bool head_fits(const struct link_ipc *ipc, const struct link_message *head, unsigned flags) {
    if (head->kind < 1 || head->kind >= LINK_KINDS || kinds[head->kind].from == ipc->side ||
        flags > FLAG_MORE)
        return false;
    const struct link_message *first = &ipc->head;
    return !ipc->more || (first->kind == head->kind && first->type == head->type && first->seq == head->seq);
}

static int datagram_take(struct link_ipc *ipc, size_t len) {
    const uint8_t *p = ipc->input;
    if (len < LINK_IPC_HEADER_BYTES || len > LINK_IPC_HEADER_BYTES + LINK_IPC_PIECE_BYTES)
        return -EPROTO;
    unsigned flags = (unsigned)p[2] << 8 | p[3];
    struct link_message head = {.kind = (enum link_kind)p[0], .type = p[1], .seq = read_u64(p + 4)};
    if (!head_fits(ipc, &head, flags))
        return -EPROTO;
    if (!ipc->more)
        buffer_rest(&ipc->payload);
    buffer_append(&ipc->payload, p + LINK_IPC_HEADER_BYTES, len - LINK_IPC_HEADER_BYTES);
    ipc->head = head;
    ipc->more = flags & FLAG_MORE;
    if (ipc->payload.failed)
        return -ENOMEM;
    if (ipc->payload.len > kinds[head.kind].bytes_max ||
        (!ipc->more && ipc->payload.len < kinds[head.kind].bytes_min))
        return -EPROTO;
    return ipc->more ? LINK_IPC_NOTHING : LINK_IPC_MESSAGE;
}

int link_ipc_receive(struct link_ipc *ipc, struct link_message *message) {
    for (;;) {
        ssize_t n = recv(ipc->fd, ipc->input, LINK_IPC_HEADER_BYTES + LINK_IPC_PIECE_BYTES, MSG_TRUNC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return LINK_IPC_NOTHING;
        if (n <= 0)
            return -EPIPE;
        int r = datagram_take(ipc, (size_t)n);
        if (r == LINK_IPC_NOTHING)
            continue;
        if (r == LINK_IPC_MESSAGE) {
            *message = ipc->head;
            message->payload = buffer_bytes(&ipc->payload);
        }
        return r;
    }
}
