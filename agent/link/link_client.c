/* Why link is believed nothing: it lives on the network side. It can delay, drop and end; what it passes on counts only
 * after session_open(), and what it gets signed is only a transcript that auth_sign() has judged. When it breaks its own
 * rules it is killed and started anew. */
#include "agent/link/link_client.h"

#include "common/base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { LINK_FD = 3 };

int link_client_init(struct link_client *client, const struct link_client_config *config, struct error *err) {
    *client = (struct link_client){.config = *config, .ipc = {.fd = -1}, .pid = -1};
    client->session.state = SESSION_CLOSED;
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return client->epoll_fd < 0 ? error_errno(err, -errno, "epoll") : 0;
}

/* ---- the process ---- */

static void link_end(struct link_client *client) {
    link_ipc_deinit(&client->ipc); /* leaves the epoll set with it */
    if (client->pid > 0) {
        (void)kill(client->pid, SIGKILL);
        while (waitpid(client->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    client->pid = -1;
}

void link_client_deinit(struct link_client *client) {
    link_end(client);
    if (client->epoll_fd >= 0)
        close(client->epoll_fd);
    client->epoll_fd = -1;
    buffer_deinit(&client->heartbeat);
}

static int link_spawn(struct link_client *client, int fd) {
    const struct link_client_config *c = &client->config;
    char agent[KEDGE_PUBLIC_KEY_TEXT_SIZE], coordinator[KEDGE_PUBLIC_KEY_TEXT_SIZE], log_level[64];
    const char *level = getenv("KEDGE_LOG");
    public_key_format(agent, &c->agent->public);
    public_key_format(coordinator, &c->coordinator);
    snprintf(log_level, sizeof(log_level), "KEDGE_LOG=%s", level ? level : "info");
    const char *const args[] = {c->program,  "--coordinator",
                                c->address,  "--node",
                                c->node,     "--key",
                                agent,       "--coordinator-key",
                                coordinator, c->user ? "--user" : NULL,
                                c->user,     NULL};
    char *const environment[] = {log_level, NULL};

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, LINK_FD);
    posix_spawn_file_actions_addclosefrom_np(&actions, LINK_FD + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    union {
        const char *const *in;
        char *const *out;
    } argv = {args}; /* posix_spawn does not write to them */
    int r = posix_spawn(&client->pid, c->program, &actions, &attributes, argv.out, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (r != 0)
        client->pid = -1;
    return -r;
}

static int link_start(struct link_client *client, struct error *err) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_errno(err, -errno, "socketpair");
    _cleanup_(closep) int theirs = pair[1];
    int r = link_ipc_init(&client->ipc, pair[0], LINK_SIDE_EXECUTOR, err);
    if (r < 0)
        return r;
    if (theirs == LINK_FD) { /* dup2 onto itself would keep close-on-exec */
        int other = fcntl(theirs, F_DUPFD_CLOEXEC, LINK_FD + 1);
        if (other < 0)
            return error_errno(err, -errno, "descriptor");
        close(theirs);
        theirs = other;
    }
    r = link_spawn(client, theirs);
    if (r < 0)
        return error_errno(err, r, "start %s", client->config.program);
    struct epoll_event event = {.events = EPOLLIN};
    client->epoll_writes = false;
    if (epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, client->ipc.fd, &event) < 0)
        return error_errno(err, -errno, "epoll");
    return 0;
}

static void link_restart_later(struct link_client *client, uint64_t now_ms) {
    link_end(client);
    client->start_at_ms = now_ms + LINK_RESTART_MS;
}

static void link_watch_writes(struct link_client *client) {
    bool writes = client->ipc.fd >= 0 && link_ipc_is_waiting(&client->ipc);
    if (client->ipc.fd < 0 || writes == client->epoll_writes)
        return;
    struct epoll_event event = {.events = EPOLLIN | (writes ? EPOLLOUT : 0)};
    if (epoll_ctl(client->epoll_fd, EPOLL_CTL_MOD, client->ipc.fd, &event) == 0)
        client->epoll_writes = writes;
}

/* ---- the session ---- */

static bool session_end(struct link_client *client, const char *reason, struct link_event *event) {
    bool told = client->told;
    client->session.state = SESSION_CLOSED;
    client->told = false;
    snprintf(client->reason, sizeof(client->reason), "%s", reason);
    *event = (struct link_event){.kind = LINK_EVENT_DOWN, .reason = client->reason};
    return told;
}

/* The coordinator's side broke a rule: away with this connection, link dials again. */
static bool session_drop(struct link_client *client, const char *reason, struct link_event *event) {
    struct link_message drop = {.kind = LINK_DROP, .seq = client->request};
    log_warning("link", "connection closed: %s", reason);
    (void)!link_ipc_send(&client->ipc, &drop); /* a dead link is noticed by the next receive */
    return session_end(client, reason, event);
}

static int message_send(struct link_client *client, enum message_type type, struct bytes bytes) {
    _cleanup_(buffer_deinit) struct buffer message = {0};
    session_seal(&client->session, type, bytes, client->config.agent, &message);
    if (message.failed)
        return -ENOMEM;
    struct link_message out = {LINK_FRAME_OUT, (uint8_t)type, client->session.sent, buffer_bytes(&message)};
    return link_ipc_send(&client->ipc, &out);
}

int link_client_send(struct link_client *client, enum message_type type, struct bytes bytes) {
    if (client->ipc.fd < 0 || !message_is_allowed(type, ROLE_AGENT, client->session.state))
        return -ENOTCONN;
    int r = message_send(client, type, bytes);
    link_watch_writes(client);
    return r;
}

void link_client_heartbeat(struct link_client *client, struct bytes bytes, bool now) {
    buffer_clear(&client->heartbeat);
    buffer_append(&client->heartbeat, bytes.data, bytes.len);
    if (now)
        client->heartbeat_at_ms = 0;
}

/* ---- what link says ---- */

static bool sign_request_take(struct link_client *client, const struct link_message *message, uint64_t now_ms,
                              struct link_event *event) {
    struct transcript transcript;
    struct signature auth;
    struct error err;
    bool told = session_end(client, "a new connection took over", event);
    memcpy(&transcript, message->payload.data, sizeof(transcript));
    struct auth_request request = {&transcript, client->config.node, client->config.agent,
                                   &client->config.coordinator};
    client->request = message->seq;
    if (auth_sign(&auth, &request, &err) < 0) {
        (void)session_drop(client, err.text, event);
        return told;
    }
    struct digest id = session_id_of(&transcript);
    session_init(&client->session, ROLE_AGENT, &id, &client->config.coordinator, now_ms);
    client->heartbeat_at_ms = now_ms + LINK_HEARTBEAT_MS;
    struct link_message out = {LINK_SIGNED, 0, message->seq, BYTES_OF(auth.b)};
    (void)!link_ipc_send(&client->ipc, &out);
    return told;
}

static bool frame_take(struct link_client *client, const struct link_message *in, uint64_t now_ms,
                       struct link_event *event) {
    struct verified_message message;
    if (client->session.state == SESSION_CLOSED)
        return false; /* on its way when the session was dropped */
    enum session_outcome outcome =
        session_open(&client->session, &message, in->type, in->seq, in->payload, now_ms);
    if (outcome != SESSION_ACCEPTED)
        return session_drop(client, session_outcome_text(outcome), event);
    if (message.type == MESSAGE_BYE)
        return session_end(client, bye_reason_text(message.bytes.data[0]), event);
    *event = (struct link_event){.kind = LINK_EVENT_MESSAGE, .message = message};
    if (message.type == MESSAGE_WELCOME) {
        event->kind = client->session.state == SESSION_OPEN ? LINK_EVENT_OPEN : LINK_EVENT_PENDING;
        client->told = true;
    }
    return true;
}

static bool link_message_take(struct link_client *client, const struct link_message *message, uint64_t now_ms,
                              struct link_event *event) {
    char reason[512];
    switch (message->kind) {
    case LINK_SIGN_REQUEST: return sign_request_take(client, message, now_ms, event);
    case LINK_FRAME_IN: return frame_take(client, message, now_ms, event);
    case LINK_DOWN:
        snprintf(reason, sizeof(reason), "%.*s", (int)message->payload.len,
                 (const char *)message->payload.data);
        return session_end(client, reason, event);
    case LINK_UP: /* the executor knows its session by itself */
        if (!bytes_equal(message->payload, BYTES_OF(client->session.id.b)) && message->seq == client->request)
            return session_drop(client, "link sees another session than the executor", event);
        return false;
    case LINK_SIGNED:
    case LINK_FRAME_OUT:
    case LINK_DROP:
    case LINK_QUIT:
    case LINK_KINDS: break;
    }
    return false; /* link_ipc_receive lets none of these through */
}

/* ---- the loop's door ---- */

int link_client_fd(const struct link_client *client) {
    return client->epoll_fd;
}

uint64_t link_client_deadline(const struct link_client *client) {
    if (client->ipc.fd < 0)
        return client->start_at_ms;
    return client->session.state == SESSION_CLOSED ? UINT64_MAX : client->heartbeat_at_ms;
}

static void heartbeat_if_due(struct link_client *client, uint64_t now_ms) {
    if (client->session.state == SESSION_CLOSED || now_ms < client->heartbeat_at_ms)
        return;
    client->heartbeat_at_ms = now_ms + LINK_HEARTBEAT_MS;
    (void)!link_client_send(client, MESSAGE_HEARTBEAT, buffer_bytes(&client->heartbeat));
}

static void start_if_due(struct link_client *client, uint64_t now_ms) {
    struct error err;
    if (client->ipc.fd >= 0 || now_ms < client->start_at_ms)
        return;
    if (link_start(client, &err) < 0) {
        log_error("link", "%s", err.text);
        link_restart_later(client, now_ms);
    }
}

bool link_client_next(struct link_client *client, uint64_t now_ms, struct link_event *event) {
    start_if_due(client, now_ms);
    while (client->ipc.fd >= 0) {
        struct link_message message;
        int r = link_ipc_flush(&client->ipc);
        if (r == 0)
            r = link_ipc_receive(&client->ipc, &message);
        if (r == LINK_IPC_MESSAGE && link_message_take(client, &message, now_ms, event))
            break;
        if (r == LINK_IPC_NOTHING) {
            heartbeat_if_due(client, now_ms);
            link_watch_writes(client);
            return false;
        }
        if (r < 0) {
            log_warning("link", "link ended: %s",
                        r == -EPROTO ? "it broke the rules and was killed" : strerror(-r));
            link_restart_later(client, now_ms);
            return session_end(client, "link ended", event);
        }
    }
    link_watch_writes(client);
    return client->ipc.fd >= 0;
}
