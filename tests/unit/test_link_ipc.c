#include "agent/link/link_ipc.h"
#include "agent/link/line.h"
#include "tests/unit/test.h"

#include <sys/socket.h>

struct ends {
    struct link_ipc link, executor;
};

static bool ends_begin(struct ends *ends) {
    int pair[2];
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 &&
           link_ipc_init(&ends->link, pair[0], LINK_SIDE_LINK, NULL) == 0 &&
           link_ipc_init(&ends->executor, pair[1], LINK_SIDE_EXECUTOR, NULL) == 0;
}

static void ends_end(struct ends *ends) {
    link_ipc_deinit(&ends->link);
    link_ipc_deinit(&ends->executor);
}

TEST("messages of any size cross in pieces, in order") {
    static const size_t sizes[] = {0, 1, LINK_IPC_PIECE_BYTES, LINK_IPC_PIECE_BYTES + 1,
                                   LINK_IPC_PAYLOAD_MAX};
    _cleanup_(ends_end) struct ends e;
    _cleanup_(freep) uint8_t *bytes = malloc(LINK_IPC_PAYLOAD_MAX);

    require(bytes && ends_begin(&e));
    for (size_t i = 0; i < LINK_IPC_PAYLOAD_MAX; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    for (uint64_t i = 0; i < ARRAY_LEN(sizes); i++)
        require(link_ipc_send(&e.link, &(struct link_message){LINK_FRAME_IN, 20, i, {bytes, sizes[i]}}) == 0);
    check(link_ipc_is_waiting(&e.link)); /* more than a socket takes */
    for (uint64_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct link_message message;
        int r;
        while ((r = link_ipc_receive(&e.executor, &message)) == LINK_IPC_NOTHING)
            require(link_ipc_flush(&e.link) == 0);
        require(r == LINK_IPC_MESSAGE);
        check_eq_int(message.seq, i);
        check_eq_int(message.type, 20);
        require(message.payload.len == sizes[i]);
        check(sizes[i] == 0 || memcmp(message.payload.data, bytes, sizes[i]) == 0);
    }
    check(!link_ipc_is_waiting(&e.link));
}

static int refused_as(const void *datagram, size_t len) {
    _cleanup_(ends_end) struct ends e;
    struct link_message message;
    if (!ends_begin(&e) || send(e.link.fd, datagram, len, 0) < 0)
        return 0;
    return link_ipc_receive(&e.executor, &message);
}

TEST("what is not in the closed set is an attack") {
    uint8_t bytes[12 + 600] = {0};

    for (unsigned kind = 0; kind < 256; kind++) {
        bytes[0] = (uint8_t)kind;
        bool from_link =
            kind == LINK_SIGN_REQUEST || kind == LINK_UP || kind == LINK_DOWN || kind == LINK_FRAME_IN;
        size_t len = kind == LINK_SIGN_REQUEST ? 12 + 328 : kind == LINK_UP ? 12 + 32 : 12;
        check_eq_int(refused_as(bytes, len), from_link ? LINK_IPC_MESSAGE : -EPROTO);
    }
    bytes[0] = LINK_DOWN;
    check_eq_int(refused_as(bytes, 11), -EPROTO);
    check_eq_int(refused_as(bytes, 12 + 513), -EPROTO);
    bytes[0] = LINK_UP;
    check_eq_int(refused_as(bytes, 12 + 31), -EPROTO);
    bytes[0] = LINK_FRAME_IN;
    bytes[2] = 1;
    check_eq_int(refused_as(bytes, 12), -EPROTO);
    bytes[2] = 0;
    bytes[3] = 2;
    check_eq_int(refused_as(bytes, 12), -EPROTO);
}

TEST("pieces of two messages cannot be mixed, nor piled up without end") {
    _cleanup_(ends_end) struct ends e, f;
    static uint8_t piece[12 + LINK_IPC_PIECE_BYTES] = {LINK_FRAME_IN, 20, 0, 1};
    struct link_message message;
    int r = LINK_IPC_NOTHING;

    require(ends_begin(&e) && ends_begin(&f));
    require(send(e.link.fd, piece, 13, 0) == 13);
    piece[11] = 1; /* another seq */
    require(send(e.link.fd, piece, 13, 0) == 13);
    check_eq_int(link_ipc_receive(&e.executor, &message), -EPROTO);
    for (int i = 0; i < 20 && r == LINK_IPC_NOTHING; i++) {
        require(send(f.link.fd, piece, sizeof(piece), 0) == (ssize_t)sizeof(piece));
        r = link_ipc_receive(&f.executor, &message);
    }
    check_eq_int(r, -EPROTO);
    check(f.executor.payload.len <= LINK_IPC_PAYLOAD_MAX + LINK_IPC_PIECE_BYTES);
}

TEST("a side that does not read is noticed, and so is one that ended") {
    _cleanup_(ends_end) struct ends e;
    _cleanup_(freep) uint8_t *bytes = calloc(1, KEDGE_MESSAGE_BYTES_MAX);
    struct link_message message;
    int r = 0;

    require(bytes && ends_begin(&e));
    for (int i = 0; i < 20 && r == 0; i++)
        r = link_ipc_send(&e.link,
                          &(struct link_message){LINK_FRAME_IN, 20, 1, {bytes, KEDGE_MESSAGE_BYTES_MAX}});
    check_eq_int(r, -ENOBUFS);
    link_ipc_deinit(&e.executor);
    check_eq_int(link_ipc_flush(&e.link), -EPIPE);
    check_eq_int(link_ipc_receive(&e.link, &message), -EPIPE);
}

TEST("the pauses between dials begin at a tenth of a second and end at ten") {
    uint64_t last = 0;

    check_eq_int(redial_limit_ms(0), 100);
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        check(redial_limit_ms(attempt) >= last && redial_limit_ms(attempt) <= 10 * 1000);
        last = redial_limit_ms(attempt);
    }
    check_eq_int(last, 10 * 1000);
}
