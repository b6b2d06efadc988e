/* NNG's threads hand over and leave: a callback marks what is done, puts the connection on a list under the lock and
 * wakes the loop. Everything else (streams, buffers, queues) belongs to the loop's thread. A connection keeps its two
 * aios and its memory for its life; nothing is freed in a callback.
 *
 *            ┌── dial ──▶ DIALING ──▶ UP ──▶ FLUSHING ──▶ CLOSING ──▶ FREE
 *     FREE ──┴── accept ────────────▶ │                      ▲
 *                                     └──────────────────────┘
 * CLOSING waits for what NNG still has in flight; only then is the stream freed.
 *
 * NNG's socket patterns, its HTTP server and its timers stay out (docs/: one half-closed connection stops such a
 * listener in Debian 12's libnng 1.5.2; 10,000 timers cost more than a core). Its thread pools follow the number of CPUs
 * that are online; a CPU affinity before the start changes nothing (tried: glibc reads /sys), and a thread that does
 * nothing costs some 10 KiB.
 *
 * NNG switches TCP_NODELAY off for streams. It must be on: the second of two reports in a row would wait for the
 * acknowledgement of the first, which the other side delays by 40 ms when it has nothing to say. */
#include "common/nng/nng_transport.h"

#include <arpa/inet.h>
#include <assert.h>
#include <nng/nng.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

enum {
    INPUT_BYTES = 8 * 1024,
    BACKLOG = 4096,
    ACCEPT_PAUSE_MS = 100, /* after the system refused a descriptor or memory */
    /* Larger buffers are given back once they were sent. */
    KEEP_BYTES = 16 * 1024,
};

enum connection_state { FREE, DIALING, UP, FLUSHING, CLOSING };
enum { RECEIVE_DONE = 1, SEND_DONE = 2, ACCEPT_DONE = 4 };

struct nng_transport;

struct nng_connection {
    struct nng_transport *transport;
    struct connection name;
    enum connection_state state;
    nng_stream *stream;
    nng_stream_dialer *dialer;
    nng_aio *receive_aio, *send_aio; /* receive_aio also dials */
    bool receiving, sending;         /* NNG has the aio */
    bool wanted;                     /* the caller asked for bytes */
    const char *failed;              /* why it is to be reported as closed */
    uint64_t deadline_ms;            /* of DIALING and FLUSHING; 0: not set, the next turn knows the time */
    struct buffer in_flight, queue;
    size_t sent; /* of in_flight */
    /* under the lock */
    unsigned done;
    bool is_ready;
    struct nng_connection *next_ready;
    /* the loop's again */
    struct nng_connection *next_free;
    uint8_t input[INPUT_BYTES];
};

struct nng_transport {
    struct transport transport;
    size_t n_slots, max_slots;
    struct nng_connection **slots, *first_free;
    int event_fd;
    uint64_t now_ms, n_named;
    nng_stream_listener *listener;
    nng_aio *accept_aio;
    bool accepting, scan; /* scan: some connection has a deadline or is to be reported */
    uint64_t accept_at_ms;
    int port;
    pthread_mutex_t lock;
    /* under the lock */
    unsigned done;
    struct nng_connection *first_ready, *last_ready;
};

static struct nng_transport *nng_of(struct transport *transport) {
    return (struct nng_transport *)transport; /* its first member */
}

/* ---- on NNG's threads ---- */

static void loop_wake(struct nng_transport *t) {
    uint64_t one = 1;
    ssize_t n = write(t->event_fd, &one, sizeof(one));
    (void)n; /* full means that it is awake */
}

static void connection_done(struct nng_connection *c, unsigned what) {
    struct nng_transport *t = c->transport;
    pthread_mutex_lock(&t->lock);
    c->done |= what;
    if (!c->is_ready) {
        c->is_ready = true;
        c->next_ready = NULL;
        if (t->last_ready)
            t->last_ready->next_ready = c;
        else
            t->first_ready = c;
        t->last_ready = c;
    }
    loop_wake(t); /* under the lock: the loop empties the descriptor under it too */
    pthread_mutex_unlock(&t->lock);
}

static void on_receive(void *connection) {
    connection_done(connection, RECEIVE_DONE);
}

static void on_send(void *connection) {
    connection_done(connection, SEND_DONE);
}

static void on_accept(void *transport) {
    struct nng_transport *t = transport;
    pthread_mutex_lock(&t->lock);
    t->done |= ACCEPT_DONE;
    loop_wake(t);
    pthread_mutex_unlock(&t->lock);
}

/* ---- slots ---- */

static struct nng_connection *connection_free(struct nng_connection *c) {
    if (!c)
        return NULL;
    nng_aio_free(c->receive_aio); /* waits for its callback */
    nng_aio_free(c->send_aio);
    buffer_deinit(&c->in_flight);
    buffer_deinit(&c->queue);
    free(c);
    return NULL;
}

static struct nng_connection *connection_new(struct nng_transport *t) {
    struct nng_connection *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->transport = t;
    if (nng_aio_alloc(&c->receive_aio, on_receive, c) != 0 || nng_aio_alloc(&c->send_aio, on_send, c) != 0)
        return connection_free(c);
    nng_aio_set_timeout(c->receive_aio, NNG_DURATION_INFINITE); /* our loop has the only timer */
    nng_aio_set_timeout(c->send_aio, NNG_DURATION_INFINITE);
    return c;
}

/* The low half of a name is the slot, the high half counts. */
static struct nng_connection *connection_find(struct nng_transport *t, struct connection name) {
    size_t slot = (uint32_t)name.id;
    if (name.id == 0 || slot >= t->n_slots || t->slots[slot]->name.id != name.id)
        return NULL;
    return t->slots[slot]->state == FREE ? NULL : t->slots[slot];
}

static void slot_give(struct nng_connection *c) {
    c->state = FREE;
    c->next_free = c->transport->first_free;
    c->transport->first_free = c;
}

/* A connection in state FREE and off the free list, with a new name; NULL if there is none. */
static struct nng_connection *slot_take(struct nng_transport *t) {
    struct nng_connection *c = t->first_free;
    size_t slot = c ? (uint32_t)c->name.id : t->n_slots;
    if (c)
        t->first_free = c->next_free;
    else if (slot < t->max_slots)
        c = t->slots[slot] = connection_new(t);
    if (!c)
        return NULL;
    if (slot == t->n_slots)
        t->n_slots++;
    c->name.id = ++t->n_named << 32 | slot;
    c->wanted = false;
    c->failed = NULL;
    c->sent = 0;
    return c;
}

static void buffer_rest(struct buffer *buffer) {
    if (buffer->room > KEEP_BYTES)
        buffer_deinit(buffer);
    else
        buffer_clear(buffer);
}

/* Frees the stream once NNG has nothing of it in flight. */
static void connection_settle(struct nng_connection *c) {
    if (c->state != CLOSING || c->receiving || c->sending)
        return;
    if (c->dialer)
        nng_stream_dialer_free(c->dialer);
    if (c->stream)
        nng_stream_free(c->stream);
    c->dialer = NULL;
    c->stream = NULL;
    buffer_rest(&c->in_flight);
    buffer_rest(&c->queue);
    slot_give(c);
}

static void connection_close_now(struct nng_connection *c) {
    if (c->state == FREE || c->state == CLOSING)
        return;
    c->state = CLOSING;
    if (c->dialer)
        nng_stream_dialer_close(c->dialer);
    if (c->stream)
        nng_stream_close(c->stream);
    connection_settle(c);
}

/* ---- moving bytes ---- */

static void send_start(struct nng_connection *c) {
    if (c->sending || (c->state != UP && c->state != FLUSHING))
        return;
    if (c->sent == c->in_flight.len) {
        buffer_rest(&c->in_flight);
        c->sent = 0;
        struct buffer empty = c->in_flight;
        c->in_flight = c->queue;
        c->queue = empty;
    }
    if (c->in_flight.len == 0)
        return;
    nng_iov iov = {c->in_flight.data + c->sent, c->in_flight.len - c->sent};
    if (nng_aio_set_iov(c->send_aio, 1, &iov) != 0)
        abort(); /* one vector always fits */
    c->sending = true;
    nng_stream_send(c->stream, c->send_aio);
}

static void receive_start(struct nng_connection *c) {
    if (c->receiving || c->state != UP || !c->wanted)
        return;
    nng_iov iov = {c->input, sizeof(c->input)};
    if (nng_aio_set_iov(c->receive_aio, 1, &iov) != 0)
        abort();
    c->wanted = false;
    c->receiving = true;
    nng_stream_recv(c->stream, c->receive_aio);
}

/* ---- what callers ask for ---- */

static int tcp_send(struct transport *transport, struct connection name, struct bytes bytes) {
    struct nng_connection *c = connection_find(nng_of(transport), name);
    if (!c || c->state != UP || c->failed)
        return -ENOTCONN;
    bool full = c->in_flight.len - c->sent + c->queue.len + bytes.len > TRANSPORT_QUEUE_BYTES_MAX;
    if (!full)
        buffer_append(&c->queue, bytes.data, bytes.len);
    if (full || c->queue.failed) {
        c->failed = full ? "the peer does not read" : "out of memory";
        c->transport->scan = true;
        loop_wake(c->transport);
        return full ? -ENOBUFS : -ENOMEM;
    }
    send_start(c);
    return 0;
}

static void tcp_receive(struct transport *transport, struct connection name) {
    struct nng_connection *c = connection_find(nng_of(transport), name);
    if (!c)
        return;
    c->wanted = true;
    receive_start(c);
}

static size_t tcp_queued(struct transport *transport, struct connection name) {
    struct nng_connection *c = connection_find(nng_of(transport), name);
    return c ? c->in_flight.len - c->sent + c->queue.len : 0;
}

static void tcp_close(struct transport *transport, struct connection name) {
    struct nng_connection *c = connection_find(nng_of(transport), name);
    if (!c)
        return;
    if (c->state != UP || c->failed || tcp_queued(transport, name) == 0) {
        connection_close_now(c);
        return;
    }
    c->state = FLUSHING;
    c->deadline_ms = 0;
    c->transport->scan = true;
}

static int url_of(char *out, size_t size, const char *address, struct error *err) {
    const char *colon = strrchr(address, ':');
    int n = snprintf(out, size, "tcp://%s", address);
    if (!colon || colon == address || !colon[1] || n < 0 || (size_t)n >= size)
        return error_set(err, -EINVAL, "address \"%s\": it must be HOST:PORT", address);
    return 0;
}

static int tcp_dial(struct transport *transport, const char *address, struct connection *out,
                    struct error *err) {
    struct nng_transport *t = nng_of(transport);
    char url[300];
    int r = url_of(url, sizeof(url), address, err);
    if (r < 0)
        return r;
    struct nng_connection *c = slot_take(t);
    if (!c)
        return error_set(err, -EMFILE, "%s: too many connections", address);
    r = nng_stream_dialer_alloc(&c->dialer, url);
    if (r == 0)
        r = nng_stream_dialer_set_bool(c->dialer, NNG_OPT_TCP_NODELAY, true);
    if (r != 0) {
        if (c->dialer)
            nng_stream_dialer_free(c->dialer);
        c->dialer = NULL;
        slot_give(c);
        return error_set(err, -EINVAL, "address \"%s\": %s", address, nng_strerror(r));
    }
    c->state = DIALING;
    c->deadline_ms = 0;
    c->receiving = true;
    t->scan = true;
    nng_stream_dialer_dial(c->dialer, c->receive_aio);
    *out = c->name;
    return 0;
}

/* ---- listening ---- */

/* NNG listens with a back-log of 128 and shows its descriptor to nobody: a restart of the coordinator would turn most of
 * a large fleet away. A second listen() on the same socket only raises the back-log; here is the one search for it. */
static int backlog_raise(int port, struct error *err) {
    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_storage address;
        socklen_t len = sizeof(address), flag_len = sizeof(int);
        int listens = 0;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &flag_len) < 0 || !listens ||
            getsockname(fd, (struct sockaddr *)&address, &len) < 0)
            continue;
        uint16_t its_port = 0; /* at the same place in both families */
        if (address.ss_family == AF_INET || address.ss_family == AF_INET6)
            memcpy(&its_port, (const uint8_t *)&address + offsetof(struct sockaddr_in, sin_port),
                   sizeof(its_port));
        if (its_port != 0 && ntohs(its_port) == port)
            return listen(fd, BACKLOG) < 0 ? error_errno(err, -errno, "listen") : 0;
    }
    return error_set(err, -ENOENT, "port %d: the listening socket was not found", port);
}

static void accept_start(struct nng_transport *t) {
    t->accepting = true;
    t->accept_at_ms = UINT64_MAX;
    nng_stream_listener_accept(t->listener, t->accept_aio);
}

static int tcp_listen(struct transport *transport, const char *address, struct error *err) {
    struct nng_transport *t = nng_of(transport);
    char url[300];
    int r = url_of(url, sizeof(url), address, err);
    if (r < 0)
        return r;
    assert(!t->listener);
    r = nng_stream_listener_alloc(&t->listener, url);
    if (r == 0)
        r = nng_stream_listener_set_bool(t->listener, NNG_OPT_TCP_NODELAY, true);
    if (r != 0)
        return error_set(err, -EINVAL, "address \"%s\": %s", address, nng_strerror(r));
    r = nng_stream_listener_listen(t->listener);
    if (r == NNG_EADDRINUSE)
        return error_set(err, -EADDRINUSE,
                         "%s: another program listens there already; end it or choose another port", address);
    if (r == 0)
        r = nng_stream_listener_get_int(t->listener, NNG_OPT_TCP_BOUND_PORT, &t->port);
    if (r != 0)
        return error_set(err, -EIO, "%s: %s", address, nng_strerror(r));
    r = backlog_raise(t->port, err);
    if (r == 0)
        accept_start(t);
    return r;
}

static void address_of(uint8_t out[static TRANSPORT_ADDRESS_LEN], nng_stream *stream) {
    nng_sockaddr address;
    memset(out, 0, TRANSPORT_ADDRESS_LEN);
    if (nng_stream_get_addr(stream, NNG_OPT_REMADDR, &address) != 0)
        return;
    if (address.s_family == NNG_AF_INET6) {
        memcpy(out, address.s_in6.sa_addr, TRANSPORT_ADDRESS_LEN);
    } else if (address.s_family == NNG_AF_INET) {
        memset(out + 10, 0xff, 2);
        memcpy(out + 12, &address.s_in.sa_addr, 4);
    }
}

/* After an accept, whatever came of it, the next one is asked for: no errno ends the listening. */
static bool accept_finish(struct nng_transport *t, struct transport_event *event) {
    int r = nng_aio_result(t->accept_aio);
    t->accepting = false;
    if (r != 0) {
        t->accept_at_ms = t->now_ms + ACCEPT_PAUSE_MS;
        return false;
    }
    nng_stream *stream = nng_aio_get_output(t->accept_aio, 0);
    accept_start(t);
    struct nng_connection *c = slot_take(t);
    if (!c) {
        nng_stream_close(stream);
        nng_stream_free(stream);
        return false;
    }
    c->stream = stream;
    c->state = UP;
    *event = (struct transport_event){.kind = TRANSPORT_ACCEPTED, .connection = c->name};
    address_of(event->address, stream);
    return true;
}

/* ---- events ---- */

static bool closed_event(struct nng_connection *c, const char *reason, struct transport_event *event) {
    *event = (struct transport_event){.kind = TRANSPORT_CLOSED, .connection = c->name, .reason = reason};
    connection_close_now(c);
    return true;
}

static bool dial_finish(struct nng_connection *c, int result, struct transport_event *event) {
    if (result == 0)
        c->stream = nng_aio_get_output(c->receive_aio, 0);
    if (c->state == CLOSING && c->stream)
        nng_stream_close(c->stream);
    if (c->state != DIALING)
        return false;
    if (result != 0)
        return closed_event(c, nng_strerror(result), event);
    c->state = UP;
    *event = (struct transport_event){.kind = TRANSPORT_DIALED, .connection = c->name};
    return true;
}

static bool receive_finish(struct nng_connection *c, struct transport_event *event) {
    int result = nng_aio_result(c->receive_aio);
    c->receiving = false;
    if (c->dialer && !c->stream)
        return dial_finish(c, result, event);
    if (c->state != UP || c->failed)
        return false;
    if (result != 0)
        return closed_event(c, result == NNG_ECLOSED ? "closed by the peer" : nng_strerror(result), event);
    *event = (struct transport_event){.kind = TRANSPORT_RECEIVED,
                                      .connection = c->name,
                                      .bytes = {c->input, nng_aio_count(c->receive_aio)}};
    return true;
}

static bool send_finish(struct nng_connection *c, struct transport_event *event) {
    int result = nng_aio_result(c->send_aio);
    c->sending = false;
    if (result == 0)
        c->sent += nng_aio_count(c->send_aio);
    else if (c->state == UP && !c->failed)
        return closed_event(c, nng_strerror(result), event);
    if (result == 0)
        send_start(c);
    if (c->state == FLUSHING && !c->sending)
        connection_close_now(c);
    return false;
}

/* Takes one thing that is done off the list; NULL if there is none, and the descriptor is silent then. */
static struct nng_connection *ready_take(struct nng_transport *t, unsigned *what) {
    pthread_mutex_lock(&t->lock);
    struct nng_connection *c = t->first_ready;
    *what = 0;
    if (t->done) {
        *what = t->done;
        t->done = 0;
        c = NULL;
    } else if (c) {
        *what = c->done & RECEIVE_DONE ? RECEIVE_DONE : SEND_DONE;
        c->done &= ~*what;
        if (!c->done) {
            t->first_ready = c->next_ready;
            if (!t->first_ready)
                t->last_ready = NULL;
            c->is_ready = false;
        }
    } else {
        uint64_t count;
        ssize_t n = read(t->event_fd, &count, sizeof(count));
        (void)n;
    }
    pthread_mutex_unlock(&t->lock);
    return c;
}

/* A connection that has a deadline, or is to be reported. Fills *event if something is to be said about it. */
static bool scan_one(struct nng_connection *c, uint64_t now_ms, struct transport_event *event) {
    if (c->state == UP && c->failed)
        return closed_event(c, c->failed, event);
    if (c->state != DIALING && c->state != FLUSHING)
        return false;
    c->transport->scan = true;
    if (c->deadline_ms == 0)
        c->deadline_ms = now_ms + (c->state == DIALING ? TRANSPORT_DIAL_MS : TRANSPORT_FLUSH_MS);
    if (now_ms < c->deadline_ms)
        return false;
    if (c->state == DIALING)
        return closed_event(c, "no answer", event);
    connection_close_now(c);
    return false;
}

static bool scan_slots(struct nng_transport *t, struct transport_event *event) {
    t->scan = false;
    for (size_t i = 0; i < t->n_slots; i++)
        if (scan_one(t->slots[i], t->now_ms, event)) {
            t->scan = true; /* the rest is still to be seen */
            return true;
        }
    return false;
}

static bool tcp_next(struct transport *transport, uint64_t now_ms, struct transport_event *event) {
    struct nng_transport *t = nng_of(transport);
    t->now_ms = now_ms;
    if (t->listener && !t->accepting && now_ms >= t->accept_at_ms)
        accept_start(t);
    for (;;) {
        unsigned what;
        struct nng_connection *c = ready_take(t, &what);
        bool some = false;
        if (what == 0)
            return t->scan && scan_slots(t, event);
        if (what == ACCEPT_DONE)
            some = accept_finish(t, event);
        else if (what == RECEIVE_DONE)
            some = receive_finish(c, event);
        else
            some = send_finish(c, event);
        if (c)
            connection_settle(c);
        if (some)
            return true;
    }
}

static uint64_t tcp_deadline(struct transport *transport) {
    struct nng_transport *t = nng_of(transport);
    uint64_t deadline = t->listener && !t->accepting ? t->accept_at_ms : UINT64_MAX;
    for (size_t i = 0; t->scan && i < t->n_slots; i++) {
        const struct nng_connection *c = t->slots[i];
        if ((c->state == DIALING || c->state == FLUSHING) && c->deadline_ms < deadline)
            deadline = c->deadline_ms;
        if (c->state == UP && c->failed)
            deadline = 0;
    }
    return deadline;
}

static int tcp_port(struct transport *transport) {
    return nng_of(transport)->port;
}

static int tcp_fd(struct transport *transport) {
    return nng_of(transport)->event_fd;
}

/* ---- life ---- */

static bool is_flushing(const struct nng_transport *t) {
    for (size_t i = 0; i < t->n_slots; i++)
        if (t->slots[i]->state == FLUSHING)
            return true;
    return false;
}

/* A last word (BYE) may still wait for NNG to hand back the aio of the word before it. */
static void flush_all(struct nng_transport *t) {
    enum { STEP_MS = 10 };
    for (int i = 0; i < TRANSPORT_FLUSH_MS / STEP_MS && is_flushing(t); i++) {
        struct transport_event event;
        struct pollfd fd = {t->event_fd, POLLIN, 0};
        (void)poll(&fd, 1, STEP_MS);
        while (tcp_next(&t->transport, t->now_ms, &event))
            ; /* nobody is told any more */
    }
}

static struct transport *tcp_free(struct transport *transport) {
    struct nng_transport *t = nng_of(transport);
    flush_all(t);
    if (t->listener)
        nng_stream_listener_close(t->listener);
    if (t->accept_aio) {
        nng_aio_stop(t->accept_aio);
        if (t->accepting && nng_aio_result(t->accept_aio) == 0 && nng_aio_get_output(t->accept_aio, 0))
            nng_stream_free(nng_aio_get_output(t->accept_aio, 0));
        nng_aio_free(t->accept_aio);
    }
    for (size_t i = 0; i < t->n_slots; i++) {
        struct nng_connection *c = t->slots[i];
        connection_close_now(c);
        nng_aio_stop(c->receive_aio);
        nng_aio_stop(c->send_aio);
        if (c->dialer && !c->stream && c->receiving && nng_aio_result(c->receive_aio) == 0)
            c->stream = nng_aio_get_output(c->receive_aio, 0);
        c->receiving = c->sending = false;
        connection_settle(c);
        (void)connection_free(c);
    }
    if (t->listener)
        nng_stream_listener_free(t->listener);
    if (t->event_fd >= 0)
        close(t->event_fd);
    pthread_mutex_destroy(&t->lock);
    free(t->slots);
    free(t);
    return NULL;
}

static const struct transport_ops tcp_ops = {
    .listen = tcp_listen,
    .dial = tcp_dial,
    .send = tcp_send,
    .receive = tcp_receive,
    .queued = tcp_queued,
    .close = tcp_close,
    .port = tcp_port,
    .fd = tcp_fd,
    .deadline = tcp_deadline,
    .next = tcp_next,
    .free = tcp_free,
};

int nng_transport_new(struct transport **out, size_t max_connections, struct error *err) {
    struct nng_transport *t = calloc(1, sizeof(*t));
    if (!t)
        return error_errno(err, -ENOMEM, "transport");
    t->transport.ops = &tcp_ops;
    t->max_slots = max_connections;
    t->accept_at_ms = UINT64_MAX;
    pthread_mutex_init(&t->lock, NULL);
    t->slots = calloc(max_connections, sizeof(struct nng_connection *));
    t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!t->slots || t->event_fd < 0 || nng_aio_alloc(&t->accept_aio, on_accept, t) != 0) {
        (void)tcp_free(&t->transport);
        return error_errno(err, -ENOMEM, "transport");
    }
    nng_aio_set_timeout(t->accept_aio, NNG_DURATION_INFINITE);
    *out = &t->transport;
    return 0;
}
