/* Real TCP on loopback; every wait is for an event, with a deadline. */
#include "common/nng/nng_transport.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The next event, waited for at most 10 s; false when none came. */
static bool event_wait(struct transport *transport, struct transport_event *event) {
    uint64_t end = now_ms() + 10 * 1000;

    while (!transport_next(transport, now_ms(), event)) {
        uint64_t deadline = transport_deadline(transport), now = now_ms();
        if (now >= end)
            return false;
        if (deadline > end)
            deadline = end;
        struct pollfd fd = {transport_fd(transport), POLLIN, 0};
        (void)poll(&fd, 1, deadline > now ? (int)(deadline - now) : 0);
    }
    return true;
}

/* A listener and a plain socket that dialled it. */
struct couple {
    struct transport *transport;
    struct connection connection;
    int fd;
};

static int socket_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        abort();
    return fd;
}

static bool couple_begin(struct couple *couple) {
    struct transport_event event;

    *couple = (struct couple){.fd = -1};
    if (nng_transport_new(&couple->transport, 512, NULL) < 0 ||
        transport_listen(couple->transport, "127.0.0.1:0", NULL) < 0)
        return false;
    couple->fd = socket_to(transport_port(couple->transport));
    if (!event_wait(couple->transport, &event) || event.kind != TRANSPORT_ACCEPTED)
        return false;
    couple->connection = event.connection;
    return event.address[12] == 127;
}

static void couple_end(struct couple *couple) {
    if (couple->fd >= 0)
        close(couple->fd);
    transport_free(couple->transport);
}

TEST("bytes arrive when they are asked for, and the end is told") {
    _cleanup_(couple_end) struct couple c;
    struct transport_event event;

    require(couple_begin(&c));
    transport_receive(c.transport, c.connection);
    require(write(c.fd, "hello", 5) == 5);
    require(event_wait(c.transport, &event));
    check_eq_int(event.kind, TRANSPORT_RECEIVED);
    check_eq_int(event.bytes.len, 5);

    require(write(c.fd, "more", 4) == 4);
    check(!transport_next(c.transport, now_ms(), &event)); /* nobody asked */
    transport_receive(c.transport, c.connection);
    require(event_wait(c.transport, &event));
    check_eq_int(event.bytes.len, 4);

    transport_receive(c.transport, c.connection);
    close(c.fd);
    c.fd = -1;
    require(event_wait(c.transport, &event));
    check_eq_int(event.kind, TRANSPORT_CLOSED);
    check_eq_int(transport_send(c.transport, c.connection, BYTES_OF("x")), -ENOTCONN);
}

TEST("two transports talk, megabytes in both directions") {
    _cleanup_(transport_freep) struct transport *server = NULL, *client = NULL;
    _cleanup_(freep) uint8_t *megabyte = calloc(1, 1 << 20);
    struct transport_event event;
    struct connection up, down;
    size_t n_up = 0, n_down = 0;
    char address[64];

    require(megabyte && nng_transport_new(&server, 8, NULL) == 0 && nng_transport_new(&client, 8, NULL) == 0);
    require(transport_listen(server, "127.0.0.1:0", NULL) == 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", transport_port(server));
    require(transport_dial(client, address, &up, NULL) == 0);
    require(event_wait(client, &event) && event.kind == TRANSPORT_DIALED);
    require(event_wait(server, &event) && event.kind == TRANSPORT_ACCEPTED);
    down = event.connection;
    check_eq_int(transport_send(client, up, (struct bytes){megabyte, 1 << 20}), 0);
    check_eq_int(transport_send(server, down, (struct bytes){megabyte, 1 << 20}), 0);
    transport_receive(client, up);
    transport_receive(server, down);
    for (uint64_t end = now_ms() + 10000;
         (n_up < 1 << 20 || n_down < 1 << 20 || transport_queued(server, down) > 0) && now_ms() < end;) {
        if (transport_next(server, now_ms(), &event) && event.kind == TRANSPORT_RECEIVED) {
            n_up += event.bytes.len;
            transport_receive(server, down);
        }
        if (transport_next(client, now_ms(), &event) && event.kind == TRANSPORT_RECEIVED) {
            n_down += event.bytes.len;
            transport_receive(client, up);
        }
    }
    check_eq_int(n_up, 1 << 20);
    check_eq_int(n_down, 1 << 20);
    check_eq_int(transport_queued(server, down), 0);
}

TEST("A48 a peer that does not read is disconnected when its queue is full") {
    _cleanup_(couple_end) struct couple c;
    _cleanup_(freep) uint8_t *part = calloc(1, 256 * 1024);
    struct transport_event event;
    size_t n = 0;
    int r = 0;

    require(part && couple_begin(&c));
    while (r == 0 && n < 64 << 20) {
        r = transport_send(c.transport, c.connection, (struct bytes){part, 256 * 1024});
        n += 256 * 1024;
        check(r != 0 || !transport_next(c.transport, now_ms(), &event));
    }
    check_eq_int(r, -ENOBUFS);
    require(event_wait(c.transport, &event));
    check_eq_int(event.kind, TRANSPORT_CLOSED);
    check_eq_str(event.reason, "the peer does not read");
}

TEST("what was queued before a close still arrives") {
    _cleanup_(couple_end) struct couple c;
    struct transport_event event;
    char text[16] = "";

    require(couple_begin(&c));
    require(transport_send(c.transport, c.connection, bytes_of_text("bye")) == 0);
    transport_close(c.transport, c.connection);
    for (uint64_t end = now_ms() + 10000;
         now_ms() < end && recv(c.fd, text, sizeof(text), MSG_DONTWAIT) <= 0;)
        (void)transport_next(c.transport, now_ms(), &event);
    check_eq_str(text, "bye");
    for (uint64_t end = now_ms() + 10000;
         now_ms() < end && recv(c.fd, text, sizeof(text), MSG_DONTWAIT) != 0;)
        (void)transport_next(c.transport, now_ms(), &event);
    check_eq_int(recv(c.fd, text, sizeof(text), MSG_DONTWAIT), 0);
}

TEST("what was queued before the end of the transport still arrives") {
    _cleanup_(couple_end) struct couple c;
    char text[16] = "";
    size_t n = 0;

    require(couple_begin(&c));
    require(transport_send(c.transport, c.connection, bytes_of_text("first ")) == 0);
    require(transport_send(c.transport, c.connection, bytes_of_text("last")) ==
            0); /* waits for the first one */
    transport_close(c.transport, c.connection);
    c.transport = transport_free(c.transport);
    for (ssize_t r = 1; r > 0; n += (size_t)(r > 0 ? r : 0))
        r = recv(c.fd, text + n, sizeof(text) - 1 - n, 0);
    check_eq_str(text, "first last");
}

TEST("a close does not wait for a peer that does not read") {
    _cleanup_(couple_end) struct couple c;
    _cleanup_(freep) uint8_t *large = calloc(1, TRANSPORT_QUEUE_BYTES_MAX);
    struct transport_event event;

    require(large && couple_begin(&c));
    for (bool stuck = false; !stuck;) { /* until the kernel takes no more */
        struct pollfd fd = {transport_fd(c.transport), POLLIN, 0};
        while (transport_queued(c.transport, c.connection) < 1 << 20)
            require(transport_send(c.transport, c.connection, (struct bytes){large, 256 * 1024}) == 0);
        stuck = poll(&fd, 1, 300) == 0;
        require(!transport_next(c.transport, now_ms(), &event));
    }
    transport_close(c.transport, c.connection);
    (void)transport_next(c.transport, now_ms(), &event);
    check(transport_deadline(c.transport) <= now_ms() + TRANSPORT_FLUSH_MS);
    (void)transport_next(c.transport, now_ms() + TRANSPORT_FLUSH_MS + 1, &event);
    check_eq_int(transport_deadline(c.transport), UINT64_MAX);
}

TEST("a taken port and a dial into the void are said in words") {
    _cleanup_(transport_freep) struct transport *first = NULL, *second = NULL;
    struct transport_event event;
    struct connection up;
    struct error err;
    char address[64];

    require(nng_transport_new(&first, 8, NULL) == 0 && nng_transport_new(&second, 8, NULL) == 0);
    require(transport_listen(first, "127.0.0.1:0", NULL) == 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", transport_port(first));
    check_eq_int(transport_listen(second, address, &err), -EADDRINUSE);
    check_contains(err.text, "another program listens there");
    check_eq_int(transport_dial(second, "nowhere", &up, &err), -EINVAL);

    transport_free(TAKE(first));
    require(transport_dial(second, address, &up, &err) == 0);
    require(event_wait(second, &event));
    check_eq_int(event.kind, TRANSPORT_CLOSED);
    check_contains(event.reason, "refused");
}

TEST("A21 connections that come and vanish in any way do not stop the listener") {
    _cleanup_(couple_end) struct couple c;
    struct transport_event event;
    unsigned n_closed = 0;

    require(couple_begin(&c));
    for (int i = 0; i < 300; i++) {
        int fd = socket_to(transport_port(c.transport));
        struct linger reset = {1, 0};
        if (i % 3 == 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        if (i % 3 == 1)
            (void)shutdown(fd, SHUT_WR);
        close(fd);
        while (transport_next(c.transport, now_ms(), &event)) {
            if (event.kind == TRANSPORT_ACCEPTED)
                transport_receive(c.transport, event.connection);
            n_closed += event.kind == TRANSPORT_CLOSED;
        }
    }
    while (n_closed < 300 && event_wait(c.transport, &event)) {
        if (event.kind == TRANSPORT_ACCEPTED)
            transport_receive(c.transport, event.connection);
        n_closed += event.kind == TRANSPORT_CLOSED;
    }
    check_eq_int(n_closed, 300);
    int fd = socket_to(transport_port(c.transport));
    require(write(fd, "x", 1) == 1);
    bool received = false;
    while (!received && event_wait(c.transport, &event)) {
        if (event.kind == TRANSPORT_ACCEPTED)
            transport_receive(c.transport, event.connection);
        received = event.kind == TRANSPORT_RECEIVED;
    }
    check(received);
    close(fd);
}
