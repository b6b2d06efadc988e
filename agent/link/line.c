/*        dial               hello             challenge           executor signs
 *  IDLE ──────▶ DIALING ───────▶ GREETING ──────────▶ SIGNING ───────────────▶ UP
 *   ▲                                                                           │
 *   └────────── after a pause ◀──── any end: refused, silent, dropped, closed ◀─┘
 *
 * Every SIGN_REQUEST has a number, and only the answer with the last number counts: what the executor says to a
 * connection that is gone cannot reach the next one. */
#include "agent/link/line.h"

#include "agent/link/link_ipc.h"
#include "common/base/log.h"
#include "common/nng/nng_transport.h"

#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

enum line_state { IDLE, DIALING, GREETING, SIGNING, UP };

struct line {
    const struct line_config *config;
    struct transport *transport;
    struct link_ipc executor;
    enum line_state state;
    struct connection connection;
    struct agent_line agent;
    struct bytes input; /* received and not yet looked at; the transport owns it */
    uint64_t now_ms, deadline_ms, request;
    unsigned attempt;
    bool quit;
    char last_reason[KEDGE_ERROR_TEXT_MAX]; /* logged once, not on every dial */
};

static uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t redial_limit_ms(unsigned attempt) {
    return attempt >= 7 ? (uint64_t)REDIAL_LAST_MS : (uint64_t)REDIAL_FIRST_MS << attempt;
}

_Static_assert(REDIAL_FIRST_MS << 7 >= REDIAL_LAST_MS, "the limit is reached by doubling");

/* ---- ends ---- */

static int executor_tell(struct line *line, const struct link_message *message) {
    return link_ipc_send(&line->executor, message);
}

static void reason_log(struct line *line, const char *reason) {
    if (strcmp(line->last_reason, reason) == 0)
        return;
    snprintf(line->last_reason, sizeof(line->last_reason), "%s", reason);
    log_info("link", "coordinator %s: %s", line->config->address, reason);
}

/* Ends the connection, tells the executor if it knew of it, and dials again after a pause. */
static int connection_end(struct line *line, const char *reason) {
    enum line_state state = line->state;
    if (state == IDLE)
        return 0;
    reason_log(line, reason);
    transport_close(line->transport, line->connection);
    if (state >= GREETING)
        agent_line_deinit(&line->agent);
    line->state = IDLE;
    line->input = (struct bytes){NULL, 0};
    line->deadline_ms = line->now_ms + randombytes_uniform((uint32_t)redial_limit_ms(line->attempt++) + 1);
    if (state < SIGNING)
        return 0;
    size_t len = strnlen(reason, 512);
    return executor_tell(
        line, &(struct link_message){.kind = LINK_DOWN, .payload = {(const uint8_t *)reason, len}});
}

/* ---- towards the coordinator ---- */

static int wire_send(struct line *line, const struct buffer *wire) {
    if (wire->failed)
        return connection_end(line, "out of memory");
    int r = transport_send(line->transport, line->connection, buffer_bytes(wire));
    return r < 0 ? connection_end(line, "the coordinator does not read") : 0;
}

static int dial(struct line *line) {
    struct error err;
    line->state = DIALING;
    line->deadline_ms = UINT64_MAX; /* the transport has its own */
    if (transport_dial(line->transport, line->config->address, &line->connection, &err) < 0)
        return connection_end(line, err.text);
    return 0;
}

static int greet(struct line *line) {
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    struct handshake_randomness random;
    randombytes_buf(&random, sizeof(random));
    agent_line_start(&line->agent, &line->config->agent, &random, &wire);
    sodium_memzero(&random, sizeof(random));
    line->state = GREETING;
    line->deadline_ms = line->now_ms + HANDSHAKE_MS;
    transport_receive(line->transport, line->connection);
    return wire_send(line, &wire);
}

static int signed_take(struct line *line, const struct link_message *message) {
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    struct signature auth;
    struct error err;
    if (line->state != SIGNING || message->seq != line->request)
        return 0; /* for a connection that is gone */
    memcpy(auth.b, message->payload.data, sizeof(auth.b));
    if (agent_line_signed(&line->agent, &auth, &wire, &err) < 0)
        return connection_end(line, err.text);
    line->state = UP;
    line->deadline_ms = line->now_ms + SILENCE_MS;
    struct digest id = session_id_of(&line->agent.transcript);
    int r = executor_tell(line, &(struct link_message){LINK_UP, 0, line->request, BYTES_OF(id.b)});
    return r < 0 ? r : wire_send(line, &wire);
}

static int frame_out(struct line *line, const struct link_message *message) {
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    struct frame frame = {message->type, message->seq, message->payload};
    struct error err;
    if (line->state != UP)
        return 0; /* for a connection that is gone */
    if (agent_line_send(&line->agent, &frame, &wire, &err) < 0)
        return connection_end(line, err.text);
    return wire_send(line, &wire);
}

/* ---- from the executor ---- */

static int executor_message(struct line *line, const struct link_message *message) {
    switch (message->kind) {
    case LINK_SIGNED: return signed_take(line, message);
    case LINK_FRAME_OUT: return frame_out(line, message);
    case LINK_DROP:
        if (message->seq != 0 && message->seq != line->request)
            return 0;
        return line->state >= SIGNING ? connection_end(line, "refused by the executor") : 0;
    case LINK_QUIT: line->quit = true; return 0;
    case LINK_SIGN_REQUEST:
    case LINK_UP:
    case LINK_DOWN:
    case LINK_FRAME_IN:
    case LINK_KINDS: break;
    }
    return -EPROTO;
}

/* Not while the network's queue holds much: the executor shall feel a slow line. */
static bool executor_may_speak(const struct line *line) {
    return line->state == IDLE ||
           transport_queued(line->transport, line->connection) < KEDGE_MESSAGE_BYTES_MAX;
}

static int executor_turn(struct line *line) {
    int r = link_ipc_flush(&line->executor);
    while (r == 0 && !line->quit && executor_may_speak(line)) {
        struct link_message message;
        r = link_ipc_receive(&line->executor, &message);
        if (r == LINK_IPC_NOTHING)
            return 0;
        if (r == LINK_IPC_MESSAGE)
            r = executor_message(line, &message);
    }
    return r;
}

/* ---- from the coordinator ---- */

static int agent_outcome_take(struct line *line, enum agent_line_outcome outcome, const struct frame *frame,
                              const struct error *err) {
    switch (outcome) {
    case AGENT_LINE_NOTHING: return 0;
    case AGENT_LINE_REFUSED: return connection_end(line, err->text);
    case AGENT_LINE_SIGN:
        line->state = SIGNING;
        return executor_tell(line, &(struct link_message){LINK_SIGN_REQUEST,
                                                          0,
                                                          ++line->request,
                                                          {(const uint8_t *)&line->agent.transcript,
                                                           sizeof(line->agent.transcript)}});
    case AGENT_LINE_FRAME:
        line->deadline_ms = line->now_ms + SILENCE_MS;
        line->attempt = 0; /* a session that works: the next pause is short again */
        line->last_reason[0] = 0;
        return executor_tell(line,
                             &(struct link_message){LINK_FRAME_IN, frame->type, frame->seq, frame->message});
    }
    return 0;
}

/* Frame by frame, as long as the executor takes them. */
static int input_turn(struct line *line) {
    bool had_input = line->input.len > 0;
    while (line->input.len > 0 && line->state >= GREETING && !link_ipc_is_waiting(&line->executor)) {
        struct frame frame;
        struct error err;
        enum agent_line_outcome outcome = agent_line_feed(&line->agent, &line->input, &frame, &err);
        int r = agent_outcome_take(line, outcome, &frame, &err);
        if (r < 0)
            return r;
    }
    if (had_input && line->input.len == 0 && line->state >= GREETING)
        transport_receive(line->transport, line->connection);
    return 0;
}

static int transport_event_take(struct line *line, const struct transport_event *event) {
    if (line->state == IDLE || event->connection.id != line->connection.id)
        return 0;
    switch (event->kind) {
    case TRANSPORT_DIALED: return greet(line);
    case TRANSPORT_CLOSED: return connection_end(line, event->reason);
    case TRANSPORT_RECEIVED: line->input = event->bytes; return input_turn(line);
    case TRANSPORT_ACCEPTED: break; /* we do not listen */
    }
    return 0;
}

static int transport_turn(struct line *line) {
    struct transport_event event;
    int r = input_turn(line);
    while (r == 0 && line->input.len == 0 && transport_next(line->transport, line->now_ms, &event))
        r = transport_event_take(line, &event);
    return r;
}

/* ---- the loop ---- */

static int deadline_turn(struct line *line) {
    if (line->now_ms < line->deadline_ms)
        return 0;
    switch (line->state) {
    case IDLE: return dial(line);
    case GREETING: return connection_end(line, "no answer to the greeting");
    case SIGNING: return connection_end(line, "the executor did not sign in time");
    case UP: return connection_end(line, "the line is silent");
    case DIALING: break;
    }
    return 0;
}

static int timeout_of(struct line *line) {
    uint64_t deadline = transport_deadline(line->transport);
    if (line->deadline_ms < deadline)
        deadline = line->deadline_ms;
    if (deadline == UINT64_MAX)
        return -1;
    line->now_ms = clock_ms();
    return deadline > line->now_ms ? (int)(deadline - line->now_ms) : 0;
}

static void wait_for_something(struct line *line) {
    short executor = (short)((executor_may_speak(line) ? POLLIN : 0) |
                             (link_ipc_is_waiting(&line->executor) ? POLLOUT : 0));
    struct pollfd fds[] = {{line->executor.fd, executor, 0}, {transport_fd(line->transport), POLLIN, 0}};
    nfds_t n = line->input.len > 0 ? 1 : 2; /* the executor is slow: leave the network alone */
    (void)poll(fds, n, timeout_of(line));
    line->now_ms = clock_ms();
}

static int line_turn(struct line *line) {
    int r = executor_turn(line);
    if (r == 0)
        r = transport_turn(line);
    return r == 0 ? deadline_turn(line) : r;
}

int line_run(const struct line_config *config, int executor_fd, struct error *err) {
    struct line line = {.config = config, .now_ms = clock_ms()};
    int r = link_ipc_init(&line.executor, executor_fd, LINK_SIDE_LINK, err);
    if (r < 0)
        return r;
    r = nng_transport_new(&line.transport, 2, err);
    if (r == 0) {
        while ((r = line_turn(&line)) == 0 && !line.quit)
            wait_for_something(&line);
        if (r < 0 && r != -EPIPE) /* -EPIPE: the executor ended, and so do we */
            (void)error_errno(err, r, "the executor");
    }
    if (line.state >= GREETING)
        agent_line_deinit(&line.agent);
    line.transport = transport_free(line.transport);
    link_ipc_deinit(&line.executor);
    return r == -EPIPE ? 0 : r;
}
