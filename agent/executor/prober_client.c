/* Why every answer is delivered from the loop, failures included: whoever asks can ask several things in a row and knows
 * that none has been answered before the last was asked. */
#include "agent/executor/prober_client.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { RESTART_FIRST_MS = 50, RESTART_LAST_MS = 5000 };

struct question {
    uint32_t id;
    uint64_t deadline_us;
    prober_done done;
    void *context;
    bool failed; /* to be told unknown from the loop */
};

struct prober_client {
    sd_event *loop;
    const char *program, *user;
    pid_t pid;
    int fd;
    sd_event_source *io, *timer;
    uint64_t start_at_us;
    uint32_t restart_ms, next_id;
    struct question questions[PROBER_REQUESTS_MAX];
    size_t n_questions;
    uint8_t *input;
};

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- questions ---- */

static void answer(struct prober_client *client, size_t i, const struct prober_reply *reply) {
    struct question question = client->questions[i];
    client->questions[i] = client->questions[--client->n_questions];
    question.done(question.context, reply);
}

static void answer_unknown(struct prober_client *client, size_t i, const char *reason) {
    answer(client, i, &(struct prober_reply){.answer = ANSWER_UNKNOWN, .reason = reason});
}

static void arm(struct prober_client *client) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < client->n_questions; i++) {
        uint64_t due = client->questions[i].failed ? 0 : client->questions[i].deadline_us;
        next = due < next ? due : next;
    }
    (void)sd_event_source_set_time(client->timer, next);
    (void)sd_event_source_set_enabled(client->timer, next == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static void disconnect(struct prober_client *client) {
    client->io = sd_event_source_disable_unref(client->io);
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    if (client->pid > 0) {
        (void)kill(client->pid, SIGKILL);
        (void)waitpid(client->pid, NULL, 0);
        client->pid = 0;
    }
    for (size_t i = 0; i < client->n_questions; i++)
        client->questions[i].failed = true;
    client->restart_ms = client->restart_ms ? client->restart_ms * 2 : RESTART_FIRST_MS;
    if (client->restart_ms > RESTART_LAST_MS)
        client->restart_ms = RESTART_LAST_MS;
    client->start_at_us = now_us() + (uint64_t)client->restart_ms * 1000;
    arm(client);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
    (void)source;
    (void)usec;
    struct prober_client *client = userdata;
    uint64_t now = now_us();
    uint32_t last = client->next_id; /* what the callbacks ask anew waits for the next turn of the loop */
    for (size_t i = 0; i < client->n_questions;) {
        const struct question *question = &client->questions[i];
        if (question->id > last || (!question->failed && question->deadline_us > now)) {
            i++;
            continue;
        }
        answer_unknown(client, i,
                       question->failed ? "the prober of this node is not there"
                                        : "the prober of this node did not answer in time");
        i = 0; /* the callback may have asked or cancelled */
    }
    arm(client);
    return 0;
}

static bool receive(struct prober_client *client) {
    ssize_t n = recv(client->fd, client->input, PROBER_DATAGRAM_BYTES_MAX, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    _cleanup_(arena_freep) struct arena *arena = arena_new(16 * 1024);
    struct prober_reply reply;
    if (n <= 0 || n > PROBER_DATAGRAM_BYTES_MAX || !arena ||
        prober_reply_unpack((struct bytes){client->input, (size_t)n}, arena, &reply) < 0) {
        disconnect(client);
        return false;
    }
    client->restart_ms = 0;
    for (size_t i = 0; i < client->n_questions; i++)
        if (client->questions[i].id == reply.id) {
            answer(client, i, &reply);
            break;
        }
    return client->fd >= 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
    (void)source;
    (void)fd;
    (void)events;
    struct prober_client *client = userdata;
    while (receive(client))
        ;
    arm(client);
    return 0;
}

/* ---- the process ---- */

static int connect_fd(struct prober_client *client, int fd) {
    int size = 2 * PROBER_DATAGRAM_BYTES_MAX;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    client->fd = fd;
    return sd_event_add_io(client->loop, &client->io, fd, EPOLLIN, on_io, client);
}

_Noreturn static void run_prober(const struct prober_client *client, int fd) {
    char *arguments[4] = {(char *)(uintptr_t)client->program, NULL, NULL, NULL};
    if (client->user) {
        arguments[1] = (char *)(uintptr_t) "--user";
        arguments[2] = (char *)(uintptr_t)client->user;
    }
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (fd == PROBER_IPC_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, PROBER_IPC_FD) < 0)
        _exit(126);
    (void)syscall(SYS_close_range, PROBER_IPC_FD + 1, ~0u, 0);
    execv(client->program, arguments);
    _exit(127);
}

static void start(struct prober_client *client) {
    int ends[2];
    if (!client->program || now_us() < client->start_at_us ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        run_prober(client, ends[1]);
    close(ends[1]);
    client->pid = pid > 0 ? pid : 0;
    if (pid < 0 || connect_fd(client, ends[0]) < 0) {
        client->fd = ends[0];
        disconnect(client);
    }
}

static int client_new(sd_event *loop, struct prober_client **outp, struct error *err) {
    struct prober_client *client = calloc(1, sizeof(*client));
    if (!client || !(client->input = malloc(PROBER_DATAGRAM_BYTES_MAX))) {
        free(client);
        return error_set(err, -ENOMEM, "prober: out of memory");
    }
    client->loop = sd_event_ref(loop);
    client->fd = -1;
    int r = sd_event_add_time(loop, &client->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_timer, client);
    if (r < 0) {
        prober_client_free(client);
        return error_errno(err, r, "prober");
    }
    *outp = client;
    return 0;
}

int prober_client_new(sd_event *loop, const char *program, const char *user, struct prober_client **outp,
                      struct error *err) {
    int r = client_new(loop, outp, err);
    if (r == 0) {
        (*outp)->program = program;
        (*outp)->user = user;
    }
    return r;
}

int prober_client_new_on(sd_event *loop, int fd, struct prober_client **outp, struct error *err) {
    int r = client_new(loop, outp, err);
    return r < 0 ? r : connect_fd(*outp, fd) < 0 ? -EIO : 0;
}

struct prober_client *prober_client_free(struct prober_client *client) {
    if (!client)
        return NULL;
    disconnect(client);
    sd_event_source_disable_unref(client->timer);
    sd_event_unref(client->loop);
    free(client->input);
    free(client);
    return NULL;
}

/* ---- asking ---- */

static bool send_request(struct prober_client *client, const struct prober_request *request) {
    _cleanup_(buffer_deinit) struct buffer datagram = {0};
    if (client->fd < 0)
        start(client);
    return client->fd >= 0 && prober_request_pack(request, &datagram) == 0 &&
           send(client->fd, datagram.data, datagram.len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
               (ssize_t)datagram.len;
}

uint32_t prober_ask(struct prober_client *client, const struct prober_request *request, uint32_t timeout_ms,
                    prober_done done, void *context) {
    if (client->n_questions == PROBER_REQUESTS_MAX)
        return 0;
    struct prober_request numbered = *request;
    if (++client->next_id == 0)
        client->next_id = 1;
    numbered.id = client->next_id;
    client->questions[client->n_questions++] =
        (struct question){.id = numbered.id,
                          .deadline_us = now_us() + (uint64_t)timeout_ms * 1000,
                          .done = done,
                          .context = context,
                          .failed = !send_request(client, &numbered)};
    arm(client);
    return numbered.id;
}

void prober_cancel(struct prober_client *client, uint32_t id) {
    for (size_t i = 0; i < client->n_questions; i++)
        if (client->questions[i].id == id) {
            client->questions[i] = client->questions[--client->n_questions];
            return;
        }
}
