/*            judge: admitted
 *  UNPROVEN ─────────────────────▶ OPEN
 *      │  └── pending ─▶ PENDING ───▲ admitted by an operator
 *      ▼                   │        │
 *     DEAD ◀───────────────┴────────┘  refused, silent, closed, replaced
 *
 * A session dies where its end is noticed, and is buried at the end of the turn: callbacks may close any session, their own
 * included, without anything vanishing under the feet of a caller. */
#include "coordinator/fleet/session_server.h"

#include "common/base/log.h"
#include "proto/coordinator_line.h"

#include <arpa/inet.h>
#include <assert.h>
#include <sodium.h>
#include <string.h>

enum { EVENTS_PER_TURN = 256, SCAN_MS = 1000 };

enum phase { UNPROVEN, PENDING, OPEN, DEAD };

struct fleet_session {
    struct connection connection;
    struct coordinator_line line;
    enum phase phase;
    bool opened, admit; /* told to the caller; approved while pending */
    uint8_t address[TRANSPORT_ADDRESS_LEN];
    uint64_t deadline_ms;
    char reason[256];
    struct fleet_session *next_by_id, *next_by_key, *next_dead;
};

struct session_server {
    struct transport *transport;
    const struct key_pair *key;
    struct session_callbacks callbacks;
    size_t n_buckets;                       /* a power of two */
    struct fleet_session **by_id, **by_key; /* by_key: PENDING and OPEN ones */
    struct fleet_session *first_dead;
    size_t n_unproven, n_pending, n_sessions;
    bool admissions;
    struct token_bucket connections;
    struct buffer out;
    uint64_t now_ms, scan_at_ms;
};

/* ---- tables ---- */

static struct fleet_session **bucket_of_id(struct session_server *server, uint64_t id) {
    return &server->by_id[id & (server->n_buckets - 1)];
}

static struct fleet_session **bucket_of_key(struct session_server *server, const struct public_key *key) {
    return &server->by_key[read_u32(key->b) & (server->n_buckets - 1)];
}

static struct fleet_session *session_find(struct session_server *server, uint64_t id) {
    struct fleet_session *s = *bucket_of_id(server, id);
    while (s && s->connection.id != id)
        s = s->next_by_id;
    return s;
}

static const struct public_key *key_of(const struct fleet_session *s) {
    return &s->line.hello.agent;
}

static void key_enter(struct session_server *server, struct fleet_session *s) {
    struct fleet_session **bucket = bucket_of_key(server, key_of(s));
    s->next_by_key = *bucket;
    *bucket = s;
}

static void key_leave(struct session_server *server, struct fleet_session *s) {
    struct fleet_session **at = bucket_of_key(server, key_of(s));
    while (*at && *at != s)
        at = &(*at)->next_by_key;
    if (*at)
        *at = s->next_by_key;
}

static void id_leave(struct session_server *server, struct fleet_session *s) {
    struct fleet_session **at = bucket_of_id(server, s->connection.id);
    while (*at != s)
        at = &(*at)->next_by_id;
    *at = s->next_by_id;
}

/* ---- phases ---- */

static void phase_count(struct session_server *server, enum phase phase, int by) {
    if (phase == UNPROVEN)
        server->n_unproven += (size_t)by;
    if (phase == PENDING)
        server->n_pending += (size_t)by;
}

static void phase_move(struct session_server *server, struct fleet_session *s, enum phase to) {
    assert(s->phase != DEAD && to > s->phase);
    phase_count(server, s->phase, -1);
    phase_count(server, to, 1);
    s->phase = to;
}

static struct peer peer_of(const struct fleet_session *s) {
    return (struct peer){s->line.hello.node, *key_of(s), s->line.session.id, s->address};
}

static void address_format(char out[static INET6_ADDRSTRLEN], const uint8_t *address) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = memcmp(address, mapped, sizeof(mapped)) == 0;
    if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? address + 12 : address, out, INET6_ADDRSTRLEN))
        snprintf(out, INET6_ADDRSTRLEN, "?");
}

static void session_die(struct session_server *server, struct fleet_session *s, const char *reason) {
    char address[INET6_ADDRSTRLEN];
    if (s->phase == DEAD)
        return;
    address_format(address, s->address);
    if (s->phase == UNPROVEN)
        log_debug("session", "%s: closed before it was proven: %s", address, reason);
    else
        log_info("session", "node %s at %s: closed: %s", s->line.hello.node, address, reason);
    snprintf(s->reason, sizeof(s->reason), "%s", reason);
    transport_close(server->transport, s->connection);
    phase_move(server, s, DEAD);
    s->next_dead = server->first_dead;
    server->first_dead = s;
}

static void session_bury(struct session_server *server, struct fleet_session *s) {
    struct peer peer = peer_of(s);
    if (s->opened)
        server->callbacks.closed(server->callbacks.user, (struct session_handle){s->connection.id}, &peer,
                                 s->reason);
    key_leave(server, s);
    id_leave(server, s);
    coordinator_line_deinit(&s->line);
    server->n_sessions--;
    free(s);
}

static void dead_bury(struct session_server *server) {
    while (server->first_dead) {
        struct fleet_session *s = server->first_dead;
        server->first_dead = s->next_dead;
        session_bury(server, s);
    }
}

/* ---- saying ---- */

/* Sends server->out, the wire bytes that a line has made. */
static int out_flush(struct session_server *server, struct fleet_session *s) {
    int r = server->out.failed ? -ENOMEM : 0;
    if (r == 0 && server->out.len > 0)
        r = transport_send(server->transport, s->connection, buffer_bytes(&server->out));
    buffer_clear(&server->out);
    if (r < 0)
        session_die(server, s,
                    r == -ENOBUFS  ? "the agent does not read"
                    : r == -ENOMEM ? "out of memory"
                                   : "it is gone");
    return r;
}

static int say(struct session_server *server, struct fleet_session *s, enum message_type type,
               struct bytes bytes) {
    coordinator_line_say(&s->line, type, bytes, &server->out);
    return out_flush(server, s);
}

static void say_bye(struct session_server *server, struct fleet_session *s, enum bye_reason reason) {
    const uint8_t byte = (uint8_t)reason;
    if (s->phase != DEAD && message_is_allowed(MESSAGE_BYE, ROLE_COORDINATOR, s->line.session.state) &&
        s->phase != UNPROVEN)
        (void)!say(server, s, MESSAGE_BYE, (struct bytes){&byte, 1});
    session_die(server, s, bye_reason_text(reason));
}

static void say_welcome(struct session_server *server, struct fleet_session *s, enum welcome welcome) {
    const uint8_t byte = (uint8_t)welcome;
    (void)!say(server, s, MESSAGE_WELCOME, (struct bytes){&byte, 1});
}

/* ---- admission ---- */

/* The newest session of a key is the one: the agent dialled again, so it has given up the older one. */
static void older_replace(struct session_server *server, const struct fleet_session *newest) {
    for (struct fleet_session *s = *bucket_of_key(server, key_of(newest)); s; s = s->next_by_key)
        if (s != newest && s->phase != DEAD && public_key_equal(key_of(s), key_of(newest)))
            say_bye(server, s, BYE_REPLACED);
}

static void session_admit(struct session_server *server, struct fleet_session *s) {
    struct peer peer = peer_of(s);
    older_replace(server, s);
    say_welcome(server, s, WELCOME_ADMITTED);
    if (s->phase == DEAD)
        return;
    phase_move(server, s, OPEN);
    s->deadline_ms = server->now_ms + SILENT_MS;
    s->opened = true;
    log_info("session", "node %s: open", peer.node);
    server->callbacks.opened(server->callbacks.user, (struct session_handle){s->connection.id}, &peer);
}

static void session_wait(struct session_server *server, struct fleet_session *s) {
    char fingerprint[KEDGE_FINGERPRINT_TEXT_SIZE];
    if (server->n_pending >= PENDING_MAX) {
        phase_move(server, s, PENDING);
        say_bye(server, s, BYE_BUSY);
        return;
    }
    older_replace(server, s);
    phase_move(server, s, PENDING);
    s->deadline_ms = server->now_ms + PENDING_MS;
    public_key_fingerprint(fingerprint, key_of(s));
    log_info("session", "node %s with key %s waits for approval", s->line.hello.node, fingerprint);
    say_welcome(server, s, WELCOME_PENDING);
}

static void session_proven(struct session_server *server, struct fleet_session *s) {
    struct peer peer = peer_of(s);
    enum peer_verdict verdict = server->callbacks.judge(server->callbacks.user, &peer);
    key_enter(server, s);
    switch (verdict) {
    case PEER_ADMITTED: session_admit(server, s); return;
    case PEER_PENDING: session_wait(server, s); return;
    case PEER_REFUSED:
        phase_move(server, s, PENDING);
        say_bye(server, s, BYE_REFUSED);
        return;
    }
}

void session_server_admit(struct session_server *server, const struct public_key *key) {
    for (struct fleet_session *s = *bucket_of_key(server, key); s; s = s->next_by_key)
        if (s->phase == PENDING && public_key_equal(key_of(s), key))
            s->admit = server->admissions = true;
}

/* From a turn, since `opened` is a callback. */
static void admissions_do(struct session_server *server) {
    if (!server->admissions)
        return;
    server->admissions = false;
    for (size_t i = 0; i < server->n_buckets; i++)
        for (struct fleet_session *s = server->by_id[i]; s; s = s->next_by_id)
            if (s->admit && s->phase == PENDING)
                session_admit(server, s);
}

/* ---- hearing ---- */

static void message_take(struct session_server *server, struct fleet_session *s,
                         const struct verified_message *message) {
    struct peer peer = peer_of(s);
    if (message->type == MESSAGE_BYE) {
        session_die(server, s, bye_reason_text(message->bytes.data[0]));
        return;
    }
    if (s->phase == OPEN)
        s->deadline_ms = server->now_ms + SILENT_MS;
    if (message->type == MESSAGE_HEARTBEAT && say(server, s, MESSAGE_HEARTBEAT, (struct bytes){NULL, 0}) < 0)
        return;
    if (s->phase == OPEN)
        server->callbacks.message(server->callbacks.user, (struct session_handle){s->connection.id}, &peer,
                                  message);
}

static void bytes_take(struct session_server *server, struct fleet_session *s, struct bytes input) {
    while (s->phase != DEAD) {
        struct verified_message message;
        struct error err;
        enum coordinator_line_outcome outcome =
            coordinator_line_feed(&s->line, &input, server->now_ms, &server->out, &message, &err);
        if (out_flush(server, s) < 0)
            return;
        switch (outcome) {
        case LINE_NOTHING: transport_receive(server->transport, s->connection); return;
        case LINE_PROVEN: session_proven(server, s); break;
        case LINE_MESSAGE: message_take(server, s, &message); break;
        case LINE_REFUSED: session_die(server, s, err.text); return;
        }
    }
}

/* ---- coming ---- */

/* Few will have more than one entry; the walk is bounded by UNPROVEN_MAX and only taken when there is a crowd. */
static bool address_has_room(struct session_server *server, const uint8_t *address) {
    size_t n = 0;
    if (server->n_unproven < UNPROVEN_PER_ADDRESS_MAX)
        return true;
    for (size_t i = 0; i < server->n_buckets; i++)
        for (struct fleet_session *s = server->by_id[i]; s; s = s->next_by_id)
            n += s->phase == UNPROVEN && memcmp(s->address, address, sizeof(s->address)) == 0;
    return n < UNPROVEN_PER_ADDRESS_MAX;
}

static void session_accept(struct session_server *server, const struct transport_event *event) {
    struct fleet_session *s = NULL;
    if (server->n_unproven < UNPROVEN_MAX && token_bucket_take(&server->connections, server->now_ms) &&
        address_has_room(server, event->address))
        s = calloc(1, sizeof(*s));
    if (!s) {
        transport_close(server->transport, event->connection);
        return;
    }
    struct handshake_randomness random;
    randombytes_buf(&random, sizeof(random));
    coordinator_line_init(&s->line, server->key, &random);
    sodium_memzero(&random, sizeof(random));
    s->connection = event->connection;
    memcpy(s->address, event->address, sizeof(s->address));
    s->deadline_ms = server->now_ms + UNPROVEN_MS;
    struct fleet_session **bucket = bucket_of_id(server, s->connection.id);
    s->next_by_id = *bucket;
    *bucket = s;
    server->n_unproven++;
    server->n_sessions++;
    transport_receive(server->transport, s->connection);
}

static void event_take(struct session_server *server, const struct transport_event *event) {
    struct fleet_session *s = session_find(server, event->connection.id);
    switch (event->kind) {
    case TRANSPORT_ACCEPTED: session_accept(server, event); return;
    case TRANSPORT_RECEIVED:
        if (s)
            bytes_take(server, s, event->bytes);
        return;
    case TRANSPORT_CLOSED:
        if (s)
            session_die(server, s, event->reason);
        return;
    case TRANSPORT_DIALED: return; /* we do not dial */
    }
}

/* ---- time ---- */

static void scan(struct session_server *server) {
    if (server->now_ms < server->scan_at_ms)
        return;
    server->scan_at_ms = server->now_ms + SCAN_MS;
    for (size_t i = 0; i < server->n_buckets; i++)
        for (struct fleet_session *s = server->by_id[i]; s; s = s->next_by_id) {
            if (s->phase == DEAD || server->now_ms < s->deadline_ms)
                continue;
            session_die(server, s,
                        s->phase == OPEN      ? "the agent is silent"
                        : s->phase == PENDING ? "not approved yet, it may come again"
                                              : "too slow to prove itself");
        }
}

uint64_t session_server_deadline(struct session_server *server) {
    uint64_t deadline = transport_deadline(server->transport);
    if (server->admissions || server->first_dead)
        return 0;
    return server->n_sessions > 0 && server->scan_at_ms < deadline ? server->scan_at_ms : deadline;
}

void session_server_turn(struct session_server *server, uint64_t now_ms) {
    struct transport_event event;
    server->now_ms = now_ms;
    admissions_do(server);
    for (int i = 0; i < EVENTS_PER_TURN && transport_next(server->transport, now_ms, &event); i++) {
        event_take(server, &event);
        dead_bury(server);
    }
    scan(server);
    dead_bury(server);
}

/* ---- the caller's ---- */

int session_server_send(struct session_server *server, struct session_handle session, enum message_type type,
                        struct bytes bytes) {
    struct fleet_session *s = session_find(server, session.id);
    const struct message_rule *rule = message_rule_of(type);
    if (!s || s->phase != OPEN || !message_is_allowed(type, ROLE_COORDINATOR, s->line.session.state))
        return -ENOTCONN;
    if (bytes.len < rule->bytes_min || bytes.len > rule->bytes_max)
        return -EMSGSIZE;
    return say(server, s, type, bytes);
}

void session_server_close(struct session_server *server, struct session_handle session,
                          enum bye_reason reason) {
    struct fleet_session *s = session_find(server, session.id);
    if (s)
        say_bye(server, s, reason);
}

int session_server_port(struct session_server *server) {
    return transport_port(server->transport);
}

int session_server_fd(struct session_server *server) {
    return transport_fd(server->transport);
}

int session_server_new(struct session_server **out, const struct session_server_config *config,
                       struct error *err) {
    _cleanup_(transport_freep) struct transport *transport = config->transport;
    _cleanup_(session_server_freep) struct session_server *server = calloc(1, sizeof(*server));
    if (!server)
        return error_errno(err, -ENOMEM, "sessions");
    server->key = config->key;
    server->callbacks = config->callbacks;
    server->n_buckets = 64;
    while (server->n_buckets < config->max_sessions)
        server->n_buckets *= 2;
    server->by_id = calloc(server->n_buckets, sizeof(struct fleet_session *));
    server->by_key = calloc(server->n_buckets, sizeof(struct fleet_session *));
    token_bucket_init(&server->connections, CONNECTIONS_BURST, CONNECTIONS_PER_S, 0);
    if (!server->by_id || !server->by_key)
        return error_errno(err, -ENOMEM, "sessions");
    int r = transport_listen(transport, config->address, err);
    if (r < 0)
        return r;
    server->transport = TAKE(transport);
    *out = TAKE(server);
    return 0;
}

struct session_server *session_server_free(struct session_server *server) {
    if (!server)
        return NULL;
    for (size_t i = 0; server->by_id && server->by_key && i < server->n_buckets; i++)
        while (server->by_id[i]) {
            struct fleet_session *s = server->by_id[i];
            say_bye(server, s, BYE_ENDING);
            s->opened = false;
            session_bury(server, s);
        }
    (void)transport_free(server->transport);
    buffer_deinit(&server->out);
    free(server->by_id);
    free(server->by_key);
    free(server);
    return NULL;
}
