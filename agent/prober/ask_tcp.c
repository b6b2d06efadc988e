/* The TCP probe: send, then read what comes. The peer's close ends an answer. Where a number of items settles the question
 * (`enough`), whole lines count at once, and a last line without an end counts after a moment of silence: it may still
 * grow. In all other cases a peer that does not close gives no answer, since the next byte could change it. */
#include "agent/prober/ask.h"

#include <string.h>
#include <sys/epoll.h>

enum { ANSWER_BYTES_MAX = 1024 * 1024, SILENCE_US = 50000 };

struct tcp {
    struct dial dial;
    struct watch watch;
    struct timer silence;
    int fd;
    size_t n_sent;
    struct buffer answer;
};

/* Judges what has come so far; true when it settles the question. */
static bool settled(struct ask *ask, struct tcp *tcp, bool whole) {
    struct bytes text = buffer_bytes(&tcp->answer);
    if (!whole) {
        const uint8_t *lf = text.len ? memrchr(text.data, '\n', text.len) : NULL;
        text.len = lf ? (size_t)(lf - text.data) + 1 : 0;
    }
    found_clear(&ask->found);
    matcher_lines(&ask->matcher, text, &ask->found);
    return ask->enough > 0 && ask->found.n >= ask->enough;
}

static void on_silence(void *owner) {
    struct ask *ask = owner;
    if (settled(ask, ask->state, true))
        ask_answered(ask);
}

static void finish(struct ask *ask) {
    struct tcp *tcp = ask->state;
    settled(ask, tcp, true);
    ask_answered(ask);
}

static void take(struct ask *ask, struct tcp *tcp, struct bytes more) {
    if (more.len > ANSWER_BYTES_MAX - tcp->answer.len) {
        ask_failed(ask, "%s: the answer is longer than 1 MiB", ask->target);
        return;
    }
    buffer_append(&tcp->answer, more.data, more.len);
    if (tcp->answer.failed)
        ask_failed(ask, "out of memory");
    else if (ask->enough > 0 && settled(ask, tcp, false))
        ask_answered(ask);
    else if (ask->enough > 0)
        loop_timer_set(&tcp->silence, now_us() + SILENCE_US);
}

static void read_some(struct ask *ask, struct tcp *tcp) {
    static uint8_t chunk[16 * 1024];
    ssize_t n = recv(tcp->fd, chunk, sizeof(chunk), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        take(ask, tcp, (struct bytes){chunk, (size_t)n});
    else if (n < 0)
        ask_failed(ask, "%s: the answer broke off: %s", ask->target, strerror(errno));
    else if (tcp->answer.len == 0)
        ask_failed(ask, "%s closed without an answer", ask->target);
    else
        finish(ask);
    if (ask->ended)
        watch_remove(&tcp->watch);
}

static void on_ready(void *owner, uint32_t events) {
    struct ask *ask = owner;
    struct tcp *tcp = ask->state;
    struct bytes send_all = ask->probe->send;
    if (tcp->n_sent == send_all.len) {
        read_some(ask, tcp);
        return;
    }
    (void)events;
    ssize_t n = send(tcp->fd, send_all.data + tcp->n_sent, send_all.len - tcp->n_sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        ask_failed(ask, "%s: cannot send: %s", ask->target, strerror(errno));
        return;
    }
    tcp->n_sent += n > 0 ? (size_t)n : 0;
    if (watch_set(&tcp->watch, tcp->fd, tcp->n_sent == send_all.len ? EPOLLIN : EPOLLOUT) < 0)
        ask_failed(ask, "%s: %s", ask->target, strerror(errno));
}

static void on_connected(void *owner) {
    struct ask *ask = owner;
    struct tcp *tcp = ask->state;
    tcp->fd = TAKE_FD(tcp->dial.fd);
    if (tcp->fd < 0)
        ask_failed(ask, "%s", tcp->dial.trouble);
    else if (watch_set(&tcp->watch, tcp->fd, ask->probe->send.len ? EPOLLOUT : EPOLLIN) < 0)
        ask_failed(ask, "%s: %s", ask->target, strerror(errno));
}

static void start(struct ask *ask) {
    struct tcp *tcp = calloc(1, sizeof(*tcp));
    if (!tcp) {
        ask_failed(ask, "out of memory");
        return;
    }
    struct loop *loop = ask->prober->loop;
    ask->state = tcp;
    tcp->fd = -1;
    tcp->watch = (struct watch){.loop = loop, .fd = -1, .ready = on_ready, .owner = ask};
    tcp->silence = (struct timer){.loop = loop, .due = on_silence, .owner = ask};
    tcp->dial = (struct dial){.loop = loop, .done = on_connected, .owner = ask};
    dial_start(&tcp->dial, ask->target);
}

static void stop(struct ask *ask) {
    struct tcp *tcp = TAKE(ask->state);
    if (!tcp)
        return;
    dial_stop(&tcp->dial);
    watch_remove(&tcp->watch);
    loop_timer_stop(&tcp->silence);
    closep(&tcp->fd);
    buffer_deinit(&tcp->answer);
    free(tcp);
}

const struct ask_kind ask_tcp_kind = {start, stop};
