/* How the end of a binary answer is found, without knowing its protocol: an answer template that begins with four wild
 * cards says that the answer begins with its own length (4 bytes, big endian, of what follows). Any other answer ends
 * with the peer's close, or when it is as long as the template and a moment of silence follows. The answer is digested
 * while it comes, all but what wild cards cover; only what the template covers is kept.
 *
 * A connection is used again for the next entry. If a used one breaks before the first byte, the peer had closed it
 * meanwhile, and the entry is asked once more over a fresh one. */
#include "agent/prober/entry.h"

#include <string.h>
#include <sys/epoll.h>

enum { LENGTH_BYTES = 4, SILENCE_US = 50000, ANSWER_MIB_MAX = 64 };

static void hang_up(struct entry_reader *reader) {
    watch_remove(&reader->watch);
    closep(&reader->fd);
    reader->fd = -1;
}

static void end(struct entry_reader *reader, enum entry_outcome outcome) {
    reader->outcome = outcome;
    if (outcome == ENTRY_NONE)
        hang_up(reader);
    else
        watch_remove(&reader->watch);
    loop_timer_stop(&reader->timer);
    reader->done(reader->owner);
}

static void fail(struct entry_reader *reader, const char *what, int code) {
    snprintf(reader->trouble, sizeof(reader->trouble), "%.120s: %s%s%s", reader->sample->target, what,
             code ? ": " : "", code ? strerror(code) : "");
    end(reader, ENTRY_NONE);
}

/* ---- over TCP ---- */

static bool has_length(const struct entry_reader *reader) {
    static const uint8_t four[LENGTH_BYTES] = {1, 1, 1, 1};
    return reader->any.len >= LENGTH_BYTES && memcmp(reader->any.data, four, LENGTH_BYTES) == 0;
}

/* An answer may end within the wild cards at the template's end: they say what is not compared, not what must be there. */
static void judge(struct entry_reader *reader) {
    struct bytes pattern = buffer_bytes(&reader->pattern), any = buffer_bytes(&reader->any);
    while (pattern.len > reader->n_answer && any.data[pattern.len - 1])
        pattern.len = any.len = pattern.len - 1;
    bool good = sample_matches(pattern, any, buffer_bytes(&reader->head));
    reader->digest = digest_final(&reader->state);
    end(reader, good ? ENTRY_GOOD : ENTRY_OTHER);
}

static void start_over(struct entry_reader *reader) {
    hang_up(reader);
    reader->is_fresh = true;
    reader->n_sent = 0;
    dial_start(&reader->dial, reader->sample->target);
}

static void broke_off(struct entry_reader *reader, const char *what, int code) {
    if (!reader->is_fresh && reader->n_answer == 0)
        start_over(reader);
    else
        fail(reader, what, code);
}

/* Wild cards are not compared: a store may keep a copy that says the same in other bytes there. */
static void digest_compared(struct entry_reader *reader, struct bytes more) {
    size_t i = 0;
    for (uint64_t at = reader->n_answer; i < more.len && at < reader->any.len; i++, at++)
        if (!reader->any.data[at])
            digest_update(&reader->state, (struct bytes){more.data + i, 1});
    digest_update(&reader->state, (struct bytes){more.data + i, more.len - i});
}

static void take(struct entry_reader *reader, struct bytes more) {
    size_t keep = reader->pattern.len > LENGTH_BYTES ? reader->pattern.len : LENGTH_BYTES;
    size_t head = keep - reader->head.len < more.len ? keep - reader->head.len : more.len;
    buffer_append(&reader->head, more.data, head);
    digest_compared(reader, more);
    reader->n_answer += more.len;
    if (has_length(reader) && reader->n_whole == 0 && reader->head.len >= LENGTH_BYTES)
        reader->n_whole = (uint64_t)LENGTH_BYTES + read_u32(reader->head.data);
    const uint64_t most = (uint64_t)ANSWER_MIB_MAX << 20;
    if (reader->n_whole > most || reader->n_answer > most)
        fail(reader, "the answer is longer than 64 MiB", 0);
    else if (reader->n_whole > 0 && reader->n_answer > reader->n_whole)
        fail(reader, "more came than was asked for", 0);
    else if (reader->n_whole > 0 && reader->n_answer == reader->n_whole)
        judge(reader);
    else if (!has_length(reader))
        loop_timer_set(&reader->timer, now_us() + SILENCE_US);
}

static void read_some(struct entry_reader *reader) {
    static uint8_t chunk[64 * 1024];
    ssize_t n = recv(reader->fd, chunk, sizeof(chunk), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        take(reader, (struct bytes){chunk, (size_t)n});
    } else if (n == 0 && reader->n_answer > 0 && !has_length(reader)) {
        hang_up(reader);
        judge(reader);
    } else {
        broke_off(reader, n < 0 ? "the answer broke off" : "closed before the answer was whole",
                  n < 0 ? errno : 0);
    }
}

static void on_ready(void *owner, uint32_t events) {
    struct entry_reader *reader = owner;
    struct bytes request = buffer_bytes(&reader->request);
    (void)events;
    if (reader->n_sent == request.len) {
        read_some(reader);
        return;
    }
    ssize_t n = send(reader->fd, request.data + reader->n_sent, request.len - reader->n_sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        broke_off(reader, "cannot send", errno);
        return;
    }
    reader->n_sent += n > 0 ? (size_t)n : 0;
    if (watch_set(&reader->watch, reader->fd, reader->n_sent == request.len ? EPOLLIN : EPOLLOUT) < 0)
        fail(reader, "cannot wait", errno);
}

static uint32_t first_events(const struct entry_reader *reader) {
    return reader->request.len > 0 ? EPOLLOUT : EPOLLIN;
}

static void on_connected(void *owner) {
    struct entry_reader *reader = owner;
    reader->fd = TAKE_FD(reader->dial.fd);
    if (reader->fd < 0) {
        snprintf(reader->trouble, sizeof(reader->trouble), "%s", reader->dial.trouble);
        end(reader, ENTRY_NONE);
    } else if (watch_set(&reader->watch, reader->fd, first_events(reader)) < 0) {
        fail(reader, "cannot wait", errno);
    }
}

/* Silence after an answer without a length. */
static void on_silence(void *owner) {
    struct entry_reader *reader = owner;
    struct bytes pattern = buffer_bytes(&reader->pattern), any = buffer_bytes(&reader->any);
    if (reader->n_answer < pattern.len) { /* a slow beginning of what is expected may still become it */
        pattern.len = any.len = (size_t)reader->n_answer;
        if (sample_matches(pattern, any, buffer_bytes(&reader->head)))
            return;
    }
    hang_up(reader); /* a byte that still comes must not be taken for the next answer */
    judge(reader);
}

static void read_tcp(struct entry_reader *reader) {
    reader->is_fresh = reader->fd < 0;
    reader->n_sent = 0;
    if (reader->is_fresh)
        dial_start(&reader->dial, reader->sample->target);
    else if (watch_set(&reader->watch, reader->fd, first_events(reader)) < 0)
        start_over(reader);
}

/* ---- over HTTP ---- */

static void on_body(void *owner) {
    enum { NOT_FOUND = 404, GONE = 410 };
    struct entry_reader *reader = owner;
    const struct http_get *get = &reader->get;
    struct bytes body = buffer_bytes(&get->body);
    if (get->answered) {
        reader->digest = digest_of(body);
        bool good = sample_matches(buffer_bytes(&reader->pattern), buffer_bytes(&reader->any), body);
        end(reader, good ? ENTRY_GOOD : ENTRY_OTHER);
    } else if (get->status == NOT_FOUND || get->status == GONE) {
        end(reader, ENTRY_OTHER);
    } else {
        fail(reader, get->trouble, 0);
    }
}

/* ---- one entry ---- */

static void open_once(struct entry_reader *reader) {
    struct loop *loop = reader->prober->loop;
    if (reader->opened)
        return;
    reader->opened = true;
    reader->fd = -1;
    reader->is_http = strncmp(reader->sample->target, "http://", 7) == 0 ||
                      strncmp(reader->sample->target, "https://", 8) == 0;
    reader->watch = (struct watch){.loop = loop, .fd = -1, .ready = on_ready, .owner = reader};
    reader->timer = (struct timer){.loop = loop, .due = on_silence, .owner = reader};
    reader->dial = (struct dial){.loop = loop, .done = on_connected, .owner = reader};
    reader->get = (struct http_get){.http = reader->prober->http, .done = on_body, .owner = reader};
}

void entry_read(struct entry_reader *reader, const struct places *places) {
    open_once(reader);
    buffer_clear(&reader->request);
    buffer_clear(&reader->pattern);
    buffer_clear(&reader->any);
    buffer_clear(&reader->head);
    digest_init(&reader->state);
    reader->n_answer = reader->n_whole = 0;
    sample_template_fill(reader->sample->answer, places, TEMPLATE_PATTERN, &reader->pattern, &reader->any);
    sample_template_fill(reader->is_http ? bytes_of_text(reader->sample->target) : reader->sample->request,
                         places, reader->is_http ? TEMPLATE_URL : TEMPLATE_BYTES, &reader->request, NULL);
    if (reader->request.failed || reader->pattern.failed || reader->any.failed)
        abort(); /* some KiB; a half-filled template must not judge */
    if (!reader->is_http)
        read_tcp(reader);
    else
        http_get_start(&reader->get, (const char *)reader->request.data);
}

void entry_stop(struct entry_reader *reader) {
    if (!reader->opened)
        return;
    if (reader->is_http)
        http_get_stop(&reader->get);
    dial_stop(&reader->dial);
    hang_up(reader);
    loop_timer_stop(&reader->timer);
    buffer_deinit(&reader->request);
    buffer_deinit(&reader->pattern);
    buffer_deinit(&reader->any);
    buffer_deinit(&reader->head);
    reader->opened = false;
}
