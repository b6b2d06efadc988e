/* Why replies wait for the turn's commit: "the run has begun" must be true after a crash, too. Why a request is read in
 * pieces on the loop: a client that is slow or silent costs one descriptor and no waiting. */
#include "coordinator/daemon/clients.h"

#include "common/base/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { READ_BYTES = 64 * 1024, WATCH_PAUSE_MS = 1000, WATCH_TOGETHER_MS = 50, BACKLOG = 1024 };

/* ---- ending ---- */

static void client_end(struct client *client) {
    if (client->operation && client->cancel)
        client->cancel(client->operation);
    client->operation = NULL;
    sd_event_source_disable_unref(client->io);
    closep(&client->fd);
    control_frame_deinit(&client->frame);
    arena_free(client->arena);
    buffer_deinit(&client->out);
    client->daemon->n_clients--;
    free(client);
}

/* Marks it; clients_flush buries it, so that nobody frees a client under the feet of its own verb. */
static void client_gone(struct client *client) {
    closep(&client->fd);
    client->fd = -1;
    client->answered = true;
    client->watch.run = 0;
    sd_event_source_set_enabled(client->io, SD_EVENT_OFF);
}

static bool client_is_over(const struct client *client) {
    return client->fd < 0 || (client->answered && client->out_sent == client->out.len);
}

/* ---- replying ---- */

const char *client_argument(const struct client *client, const char *name) {
    return fact_get(client->request->arguments, client->request->n_arguments, name);
}

static void reply_append(struct client *client, const struct control_reply *reply) {
    struct error err;
    if (client->out.len - client->out_sent > CLIENT_OUT_BYTES_MAX) {
        log_warning("control", "%s: does not read its replies", client->who);
        client_gone(client);
    } else if (control_reply_frame(&client->out, reply, &err) < 0) {
        log_error("control", "%s: %s", client->who, err.text);
        client_gone(client);
    }
}

static void reply_send(struct client *client, struct control_reply reply, json_t *json) {
    _cleanup_(freep) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (json && !text)
        abort(); /* our own document, so memory is out */
    json_decref(json);
    reply.json = text ? text : "";
    if (client->fd >= 0)
        reply_append(client, &reply);
}

void client_reply(struct client *client, enum client_exit exit_code, json_t *json, const struct bytes *blob,
                  const char *text) {
    struct control_reply reply = {
        .exit_code = exit_code, .text = text ? text : "", .blobs = blob, .n_blobs = blob ? 1 : 0};
    client->operation = NULL;
    client->watch.run = 0;
    reply_send(client, reply, json);
    client->answered = true;
}

void client_done(struct client *client, json_t *json) {
    client_reply(client, CLIENT_DONE, json, NULL, "");
}

void client_refuse(struct client *client, enum client_exit exit_code, const char *format, ...) {
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    client_reply(client, exit_code, NULL, NULL, text);
}

void client_reply_more(struct client *client, json_t *json) {
    reply_send(client, (struct control_reply){.text = "", .more = true}, json);
}

void client_begin(struct client *client, void *operation, client_cancel_fn *cancel) {
    client->operation = operation;
    client->cancel = cancel;
}

/* ---- reading ---- */

static void request_take(struct client *client) {
    struct error err;
    int r = -ENOMEM;
    client->arena = arena_new(CONTROL_ARENA_BYTES_MAX);
    if (client->arena)
        r = control_frame_request(&client->frame, client->arena, &client->request, &err);
    if (r < 0) {
        log_warning("control", "%s: %s", client->who, client->arena ? err.text : "out of memory");
        client_gone(client);
        return;
    }
    client->deadline_ms = UINT64_MAX;
    log_debug("control", "%s: %s", client->who, client->request->verb);
    verb_run(client);
}

static void client_read(struct client *client) {
    uint8_t bytes[READ_BYTES];
    struct error err;
    while (!client->request) {
        ssize_t n = read(client->fd, bytes, control_frame_wants(&client->frame));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            client_gone(client);
            return;
        }
        int r = control_frame_feed(&client->frame, (struct bytes){bytes, (size_t)n}, &err);
        if (r < 0) {
            log_warning("control", "%s: %s", client->who, err.text);
            client_gone(client);
            return;
        }
        if (r == 0)
            request_take(client);
        if (client->fd < 0)
            return;
    }
}

static void client_write(struct client *client) {
    while (client->fd >= 0 && client->out_sent < client->out.len) {
        ssize_t n = send(client->fd, client->out.data + client->out_sent, client->out.len - client->out_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            client_gone(client);
            return;
        }
        client->out_sent += (size_t)n;
    }
    if (client->out_sent == client->out.len) {
        buffer_clear(&client->out);
        client->out_sent = 0;
    }
    bool waits = client->out_sent < client->out.len;
    if (client->fd >= 0)
        (void)sd_event_source_set_io_events(client->io, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* After its request a client has nothing to say: bytes are an error, an end is an end. */
static int client_on_io(sd_event_source *source, int fd, uint32_t events, void *user) {
    struct client *client = user;
    (void)source;
    if (events & (EPOLLHUP | EPOLLERR))
        client_gone(client);
    else if (!client->request && (events & EPOLLIN))
        client_read(client);
    else if (events & EPOLLIN) {
        uint8_t byte;
        if (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
            client_gone(client);
    }
    return 0;
}

/* ---- accepting ---- */

static void client_name(struct client *client) {
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        snprintf(client->who, sizeof(client->who), "uid %u", (unsigned)peer.uid);
    else
        snprintf(client->who, sizeof(client->who), "unknown");
}

static int on_connection(sd_event_source *source, int listener, uint32_t events, void *user) {
    struct daemon *d = user;
    (void)source, (void)events;
    _cleanup_(closep) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || d->n_clients >= CLIENTS_MAX)
        return 0; /* closed at once: the CLI says that kedged ended the connection */
    struct client *client = calloc(1, sizeof(*client));
    if (!client || sd_event_add_io(d->loop, &client->io, fd, EPOLLIN, client_on_io, client) < 0) {
        free(client);
        return 0;
    }
    client->daemon = d;
    client->fd = TAKE_FD(fd);
    client->deadline_ms = daemon_now(d) + CLIENT_REQUEST_MS;
    client_name(client);
    client->next = d->clients;
    d->clients = client;
    d->n_clients++;
    return 0;
}

int clients_open(struct daemon *d, struct error *err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = d->control_path;
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, -EINVAL,
                         "control socket %s: the path is longer than %zu bytes; choose a shorter --state",
                         path, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (unlink(path) < 0 && errno != ENOENT))
        return error_errno(err, -errno, "control socket %s", path);
    mode_t old = umask(0117);
    int r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    r = r < 0 ? -errno : 0;
    umask(old);
    if (r == 0 && listen(fd, BACKLOG) < 0)
        r = -errno;
    if (r == 0)
        r = sd_event_add_io(d->loop, NULL, fd, EPOLLIN, on_connection, d);
    if (r < 0)
        return error_errno(err, r, "control socket %s", path);
    d->control_fd = TAKE_FD(fd);
    return 0;
}

void clients_close(struct daemon *d) {
    while (d->clients) {
        struct client *client = d->clients;
        d->clients = client->next;
        client_end(client);
    }
    if (d->control_fd >= 0)
        unlink(d->control_path);
    closep(&d->control_fd);
    d->control_fd = -1;
}

/* ---- the end of a turn ---- */

/* Changes come in flocks, and the view of a large run costs something to make. */
static uint64_t watch_pause_ms(const struct client *client) {
    const struct run *run = engine_run(client->daemon->engine, client->watch.run);
    return WATCH_TOGETHER_MS + (run ? run->n_members : 0);
}

static void client_watch_turn(struct client *client, uint64_t now_ms) {
    struct client_watch *watch = &client->watch;
    if (watch->run == 0)
        return;
    uint64_t soon_ms = now_ms + watch_pause_ms(client);
    if (client->daemon->changed && watch->next_ms > soon_ms)
        watch->next_ms = soon_ms;
    if (now_ms < watch->next_ms)
        return;
    watch->next_ms = now_ms + WATCH_PAUSE_MS;
    watch_feed(client, now_ms);
}

void clients_flush(struct daemon *d) {
    uint64_t now_ms = daemon_now(d);
    for (struct client **at = &d->clients; *at;) {
        struct client *client = *at;
        if (now_ms >= client->deadline_ms)
            client_gone(client);
        client_watch_turn(client, now_ms);
        client_write(client);
        if (client_is_over(client)) {
            *at = client->next;
            client_end(client);
        } else {
            at = &client->next;
        }
    }
    d->changed = false;
}

uint64_t clients_deadline(const struct daemon *d) {
    uint64_t deadline = UINT64_MAX;
    for (const struct client *client = d->clients; client; client = client->next) {
        if (client->deadline_ms < deadline)
            deadline = client->deadline_ms;
        if (client->watch.run && client->watch.next_ms < deadline)
            deadline = client->watch.next_ms;
    }
    return deadline;
}
