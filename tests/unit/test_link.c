/* The whole line over real TCP on loopback: the coordinator's server, the program kedge-link (KEDGE_LINK) as a process of
 * its own, and the executor's end. One loop drives all; every wait is for a condition, with a deadline. */
#include "agent/link/link_client.h"
#include "common/nng/nng_transport.h"
#include "coordinator/fleet/session_server.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum { CLIENTS_MAX = 4, ORDERS = 10, PATIENCE_MS = 20 * 1000 };

struct proxy;

struct agent {
    struct link_client client;
    struct key_pair key;
    char name[8];
    unsigned n_open, n_pending, n_down;
    char executed[ORDERS + 1]; /* the orders "0" to "9" in the order of their first arrival */
    size_t largest;
    char reason[256];
};

struct world {
    struct session_server *server;
    struct key_pair coordinator;
    char address[64];
    enum peer_verdict verdict;
    struct agent agents[CLIENTS_MAX];
    size_t n_agents;
    const char *user; /* whom link becomes */
    uint64_t skip_ms; /* added to the server's clock */
    struct proxy *proxy;
    /* what the coordinator saw */
    unsigned n_judged, n_opened, n_closed, n_messages;
    size_t n_reported, largest;
    struct session_handle last;
    bool gives_orders;
    char closed_reason[256];
};

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the coordinator of the tests ---- */

static enum peer_verdict on_judge(void *user, const struct peer *peer) {
    struct world *w = user;
    (void)peer;
    w->n_judged++;
    return w->verdict;
}

/* Gives every order that was not reported: at least once each, in order. */
static void on_opened(void *user, struct session_handle session, const struct peer *peer) {
    struct world *w = user;
    (void)peer;
    w->n_opened++;
    w->last = session;
    for (size_t i = w->n_reported; w->gives_orders && i < ORDERS; i++) {
        uint8_t order = (uint8_t)('0' + i);
        if (session_server_send(w->server, session, MESSAGE_ORDER, (struct bytes){&order, 1}) < 0)
            return;
    }
}

static void on_message(void *user, struct session_handle session, const struct peer *peer,
                       const struct verified_message *message) {
    struct world *w = user;
    (void)session, (void)peer;
    w->n_messages++;
    if (message->type == MESSAGE_REPORT && message->bytes.len == 1 &&
        message->bytes.data[0] == '0' + w->n_reported)
        w->n_reported++;
    if (message->bytes.len > w->largest)
        w->largest = message->bytes.len;
}

static void on_closed(void *user, struct session_handle session, const struct peer *peer,
                      const char *reason) {
    struct world *w = user;
    (void)session, (void)peer;
    w->n_closed++;
    snprintf(w->closed_reason, sizeof(w->closed_reason), "%s", reason);
}

static bool server_start(struct world *w, const char *address) {
    struct transport *transport;
    struct error err;

    if (nng_transport_new(&transport, 1024, &err) < 0)
        return false;
    struct session_server_config config = {
        transport, address, &w->coordinator, 1024, {w, on_judge, on_opened, on_message, on_closed}};
    if (session_server_new(&w->server, &config, &err) < 0) {
        printf("# %s\n", err.text);
        return false;
    }
    snprintf(w->address, sizeof(w->address), "127.0.0.1:%d", session_server_port(w->server));
    return true;
}

static bool world_begin(struct world *w) {
    memset(w, 0, sizeof(*w));
    w->verdict = PEER_ADMITTED;
    if (trust_init(NULL) < 0)
        return false;
    key_pair_generate(&w->coordinator);
    return server_start(w, "127.0.0.1:0");
}

/* `key` of another agent, or NULL for one of its own. */
static bool agent_add(struct world *w, const char *address, const struct key_pair *key) {
    struct agent *a = &w->agents[w->n_agents++];
    struct link_client_config config = {.program = getenv("KEDGE_LINK"),
                                        .address = address,
                                        .user = w->user,
                                        .coordinator = w->coordinator.public};

    key_pair_generate(&a->key);
    if (key)
        a->key = *key;
    snprintf(a->name, sizeof(a->name), "n%zu", key ? 1 : w->n_agents);
    config.node = a->name;
    config.agent = &a->key;
    return config.program && link_client_init(&a->client, &config, NULL) == 0;
}

/* ---- the agents of the tests ---- */

static void order_take(struct agent *a, struct bytes order) {
    size_t n = strlen(a->executed);
    if (order.len != 1) {
        a->largest = order.len > a->largest ? order.len : a->largest;
        return;
    }
    if (!strchr(a->executed, order.data[0]) && n < ORDERS)
        a->executed[n] = (char)order.data[0]; /* done at most once, reported always */
    (void)!link_client_send(&a->client, MESSAGE_REPORT, order);
}

static void agent_turn(struct agent *a) {
    struct link_event event;
    while (link_client_next(&a->client, now_ms(), &event))
        switch (event.kind) {
        case LINK_EVENT_PENDING: a->n_pending++; break;
        case LINK_EVENT_OPEN: a->n_open++; break;
        case LINK_EVENT_DOWN:
            a->n_down++;
            snprintf(a->reason, sizeof(a->reason), "%s", event.reason);
            break;
        case LINK_EVENT_MESSAGE:
            if (event.message.type == MESSAGE_ORDER)
                order_take(a, event.message.bytes);
            break;
        }
}

/* ---- a proxy that does one disturbance to what the coordinator says ---- */

enum disturbance { NONE, SWAP, DUPLICATE, DROP, CUT, FLIP, DISTURBANCES };

struct proxy {
    int listen_fd, to_agent, to_server; /* one connection at a time */
    int server_port;
    enum disturbance how;
    unsigned at, n_frames; /* the frame that is disturbed; frames seen */
    uint8_t wire[1 << 16];
    size_t len;
    struct buffer held;
};

static int loopback_socket(int port, bool listens) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listens ? bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0
                : connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void proxy_close(struct proxy *p) {
    if (p->to_agent >= 0)
        close(p->to_agent);
    if (p->to_server >= 0)
        close(p->to_server);
    p->to_agent = p->to_server = -1;
    p->len = 0;
    buffer_clear(&p->held);
}

static void proxy_deinit(struct proxy *p) {
    proxy_close(p);
    close(p->listen_fd);
    buffer_deinit(&p->held);
}

/* To a peer that may be gone; without a signal, so that one raised elsewhere still ends the test. */
static bool proxy_write(int fd, const void *data, size_t len) {
    const uint8_t *p = data;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static void proxy_pass(struct proxy *p, uint8_t *frame, size_t len) {
    bool here = ++p->n_frames == p->at;
    if (here && p->how == DROP)
        return;
    if (here && p->how == SWAP) {
        buffer_append(&p->held, frame, len);
        return;
    }
    if (here && p->how == FLIP)
        frame[len / 2] ^= 1;
    if (here && p->how == CUT)
        len -= 5; /* not one: every 256th frame ends with the byte that the next one begins with */
    (void)proxy_write(p->to_agent, frame, len);
    if (here && p->how == DUPLICATE)
        (void)proxy_write(p->to_agent, frame, len);
    if (p->held.len > 0)
        (void)proxy_write(p->to_agent, p->held.data, p->held.len);
    buffer_clear(&p->held);
}

static bool proxy_down(struct proxy *p) {
    ssize_t n = recv(p->to_server, p->wire + p->len, sizeof(p->wire) - p->len, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    p->len += (size_t)n;
    while (p->len >= 4 && p->len >= 4 + (size_t)read_u32(p->wire)) {
        size_t len = 4 + (size_t)read_u32(p->wire);
        uint8_t frame[1 << 12];
        memcpy(frame, p->wire, len);
        memmove(p->wire, p->wire + len, p->len - len);
        p->len -= len;
        proxy_pass(p, frame, len);
    }
    return true;
}

static bool proxy_up(struct proxy *p) {
    uint8_t bytes[4096];
    ssize_t n = recv(p->to_agent, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    return proxy_write(p->to_server, bytes, (size_t)n);
}

static void proxy_turn(struct proxy *p) {
    if (p->to_agent < 0) {
        struct pollfd fd = {p->listen_fd, POLLIN, 0};
        if (poll(&fd, 1, 0) <= 0)
            return;
        p->to_agent = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        p->to_server = loopback_socket(p->server_port, false);
    }
    if (p->to_server < 0 || !proxy_up(p) || !proxy_down(p))
        proxy_close(p);
}

/* ---- the loop ---- */

/* Waits for something to do, at most 50 ms: the caller's condition is looked at right after it is done. */
static void world_wait(struct world *w) {
    struct pollfd fds[CLIENTS_MAX + 4];
    nfds_t n = 0;
    uint64_t now = now_ms(), deadline = now + 50;

    if (w->server) {
        uint64_t d = session_server_deadline(w->server);
        d = d == UINT64_MAX ? d : d < w->skip_ms ? 0 : d - w->skip_ms;
        deadline = d < deadline ? d : deadline;
        fds[n++] = (struct pollfd){session_server_fd(w->server), POLLIN, 0};
    }
    for (size_t i = 0; i < w->n_agents; i++) {
        uint64_t d = link_client_deadline(&w->agents[i].client);
        deadline = d < deadline ? d : deadline;
        fds[n++] = (struct pollfd){link_client_fd(&w->agents[i].client), POLLIN, 0};
    }
    if (w->proxy) {
        fds[n++] = (struct pollfd){w->proxy->listen_fd, POLLIN, 0};
        fds[n++] = (struct pollfd){w->proxy->to_agent, POLLIN, 0};
        fds[n++] = (struct pollfd){w->proxy->to_server, POLLIN, 0};
    }
    (void)poll(fds, n, deadline > now ? (int)(deadline - now) : 0);
}

static void world_turn(struct world *w) {
    world_wait(w);
    if (w->server)
        session_server_turn(w->server, now_ms() + w->skip_ms);
    for (size_t i = 0; i < w->n_agents; i++)
        agent_turn(&w->agents[i]);
    if (w->proxy)
        proxy_turn(w->proxy);
}

/* Turns the loop until it holds, or patience ends. */
#define until(w, cond)                                                                                       \
    ({                                                                                                       \
        uint64_t end_ = now_ms() + PATIENCE_MS;                                                              \
        while (!(cond) && now_ms() < end_)                                                                   \
            world_turn(w);                                                                                   \
        (cond);                                                                                              \
    })

static void world_end(struct world *w) {
    for (size_t i = 0; i < w->n_agents; i++) {
        link_client_deinit(&w->agents[i].client);
        key_pair_deinit(&w->agents[i].key);
    }
    session_server_free(w->server);
    key_pair_deinit(&w->coordinator);
}

/* ---- the line ---- */

TEST("a session opens through link and carries what is largest, both ways") {
    _cleanup_(world_end) struct world w;
    _cleanup_(freep) uint8_t *large = calloc(1, KEDGE_MESSAGE_BYTES_MAX);

    require(large && world_begin(&w) && agent_add(&w, w.address, NULL));
    w.gives_orders = true;
    require(until(&w, w.n_reported == ORDERS));
    check_eq_str(w.agents[0].executed, "0123456789");
    for (int i = 0; i < 2; i++)
        check_eq_int(session_server_send(w.server, w.last, MESSAGE_ORDER,
                                         (struct bytes){large, KEDGE_MESSAGE_BYTES_MAX}),
                     0);
    for (int i = 0; i < 4; i++)
        check_eq_int(link_client_send(&w.agents[0].client, MESSAGE_FACTS,
                                      (struct bytes){large, KEDGE_MESSAGE_BYTES_MAX}),
                     0);
    check(until(&w, w.n_messages >= ORDERS + 4 && w.agents[0].largest == KEDGE_MESSAGE_BYTES_MAX));
    check_eq_int(w.largest, KEDGE_MESSAGE_BYTES_MAX);
    check_eq_int(w.n_opened, 1);
    check_eq_int(w.n_closed, 0);
    check_eq_int(link_client_send(&w.agents[0].client, MESSAGE_ORDER, BYTES_OF("x")), -ENOTCONN);
    check_eq_int(session_server_send(w.server, w.last, MESSAGE_REPORT, BYTES_OF("x")), -ENOTCONN);
}

TEST("an unknown agent waits, and opens when an operator approves its key") {
    _cleanup_(world_end) struct world w;

    require(world_begin(&w));
    w.verdict = PEER_PENDING;
    require(agent_add(&w, w.address, NULL));
    require(until(&w, w.agents[0].n_pending == 1));
    check_eq_int(w.n_opened, 0);
    check_eq_int(link_client_send(&w.agents[0].client, MESSAGE_FACTS, BYTES_OF("x")), -ENOTCONN);
    session_server_admit(w.server, &w.agents[0].key.public);
    require(until(&w, w.agents[0].n_open == 1));
    check_eq_int(w.n_opened, 1);
    check_eq_int(w.n_judged, 1);
}

TEST("a coordinator is found by its name") {
    _cleanup_(world_end) struct world w;
    char address[64];

    require(world_begin(&w));
    snprintf(address, sizeof(address), "localhost:%d", session_server_port(w.server));
    require(agent_add(&w, address, NULL));
    check(until(&w, w.agents[0].n_open == 1));
}

TEST("a refused agent is told so and opens nothing") {
    _cleanup_(world_end) struct world w;

    require(world_begin(&w));
    w.verdict = PEER_REFUSED;
    require(agent_add(&w, w.address, NULL));
    require(until(&w, w.n_judged >= 2)); /* it comes again, after a pause */
    check_eq_int(w.agents[0].n_open + w.n_opened + w.n_closed, 0);
}

TEST("an agent comes back to a coordinator that was restarted") {
    _cleanup_(world_end) struct world w;

    require(world_begin(&w) && agent_add(&w, w.address, NULL));
    require(until(&w, w.agents[0].n_open == 1));
    char address[64];
    snprintf(address, sizeof(address), "%s", w.address);
    w.server = session_server_free(w.server);
    require(until(&w, w.agents[0].n_down == 1));
    check_contains(w.agents[0].reason, "ending");
    require(server_start(&w, address));
    w.gives_orders = true;
    require(until(&w, w.n_reported == ORDERS));
    check_eq_str(w.agents[0].executed, "0123456789");
}

TEST("A18 of two sessions with one key the newer one stays, and the older one's end says why") {
    _cleanup_(world_end) struct world w;

    require(world_begin(&w) && agent_add(&w, w.address, NULL));
    require(until(&w, w.n_opened == 1));
    require(agent_add(&w, w.address, &w.agents[0].key));
    require(until(&w, w.n_closed >= 1));
    check_contains(w.closed_reason, "newer session");
    check(until(&w, w.agents[1].n_open == 1));
}

TEST("link is started again when it is killed, and ends with its executor") {
    _cleanup_(world_end) struct world w;

    require(world_begin(&w) && agent_add(&w, w.address, NULL));
    require(until(&w, w.agents[0].n_open == 1));
    pid_t first = w.agents[0].client.pid;
    require(kill(first, SIGKILL) == 0);
    require(until(&w, w.agents[0].n_open == 2));
    check(w.agents[0].client.pid != first);

    int end = fcntl(w.agents[0].client.ipc.fd, F_DUPFD_CLOEXEC, 0);
    pid_t second = w.agents[0].client.pid;
    int status = -1;
    require(end >= 0 && shutdown(end, SHUT_RDWR) == 0); /* as if the executor had ended */
    close(end);
    require(waitpid(second, &status, 0) == second);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    w.agents[0].client.pid = -1;
}

TEST("A6 whatever a proxy does to the frames, every order is done once and in order") {
    for (enum disturbance how = NONE; how < DISTURBANCES; how++)
        for (unsigned at = 2; at < 9; at += 3) { /* the welcome, and two orders */
            _cleanup_(world_end) struct world w;
            struct proxy proxy = {.to_agent = -1, .to_server = -1, .how = how, .at = at};
            struct sockaddr_in own;
            socklen_t len = sizeof(own);
            char address[64];

            require(world_begin(&w));
            proxy.listen_fd = loopback_socket(0, true);
            require(getsockname(proxy.listen_fd, (struct sockaddr *)&own, &len) == 0);
            proxy.server_port = session_server_port(w.server);
            snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(own.sin_port));
            w.proxy = &proxy;
            w.gives_orders = true;
            check(agent_add(&w, address, NULL));
            check(until(&w, w.n_reported == ORDERS));
            check_eq_str(w.agents[0].executed, "0123456789");
            check_eq_int(w.n_opened > 1, how != NONE); /* a disturbed session does not go on */
            proxy_deinit(&proxy);
        }
}

TEST("link drops its rights before it speaks to anybody") {
    _cleanup_(world_end) struct world w;
    char path[64], line[128];
    unsigned n_seen = 0;

    require(world_begin(&w));
    if (geteuid() != 0)
        skip("only root can become another user");
    w.user = "nobody";
    require(agent_add(&w, w.address, NULL));
    require(until(&w, w.agents[0].n_open == 1));
    snprintf(path, sizeof(path), "/proc/%d/status", (int)w.agents[0].client.pid);
    _cleanup_(fclosep) FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        n_seen += strcmp(line, "Uid:\t65534\t65534\t65534\t65534\n") == 0;
        n_seen += strcmp(line, "NoNewPrivs:\t1\n") == 0;
        n_seen += strcmp(line, "CapEff:\t0000000000000000\n") == 0;
        n_seen += strcmp(line, "Groups:\t \n") == 0;
    }
    check_eq_int(n_seen, 4);
}

/* ---- crowds ---- */

TEST("A20 sockets that say nothing are capped by address and time, and a good agent does not notice") {
    _cleanup_(world_end) struct world w;
    int crowd[300];
    size_t n_shut = 0;
    char byte;

    require(world_begin(&w) && agent_add(&w, w.address, NULL));
    require(until(&w, w.n_opened == 1));
    for (size_t i = 0; i < ARRAY_LEN(crowd); i++)
        crowd[i] = loopback_socket(session_server_port(w.server), false);
    for (uint64_t end = now_ms() + PATIENCE_MS; n_shut < 300 - UNPROVEN_PER_ADDRESS_MAX && now_ms() < end;) {
        world_turn(&w);
        n_shut = 0;
        for (size_t i = 0; i < ARRAY_LEN(crowd); i++)
            n_shut += recv(crowd[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    }
    check_eq_int(n_shut, 300 - UNPROVEN_PER_ADDRESS_MAX);

    unsigned before = w.n_messages;
    check(link_client_send(&w.agents[0].client, MESSAGE_FACTS, BYTES_OF("still here")) == 0);
    check(until(&w, w.n_messages > before));
    w.skip_ms = UNPROVEN_MS; /* the crowd's time is over, the agent's is not */
    check(until(&w, recv(crowd[0], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0));
    check_eq_int(w.n_closed, 0);
    for (size_t i = 0; i < ARRAY_LEN(crowd); i++)
        close(crowd[i]);
}

TEST("a silent agent is given up") {
    _cleanup_(world_end) struct world w;

    require(world_begin(&w) && agent_add(&w, w.address, NULL));
    require(until(&w, w.n_opened == 1));
    require(kill(w.agents[0].client.pid, SIGSTOP) == 0);
    w.skip_ms = SILENT_MS + 1;
    check(until(&w, w.n_closed == 1));
    check_contains(w.closed_reason, "silent");
}

/* ---- figures ---- */

static long private_kib(pid_t pid) {
    char path[64], line[128];
    long sum = 0, value;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "Private_Clean: %ld", &value) == 1 ||
            sscanf(line, "Private_Dirty: %ld", &value) == 1)
            sum += value;
    if (file)
        fclose(file);
    return sum;
}

TEST("a signed question and its signed answer, through link and back") {
    _cleanup_(world_end) struct world w;
    enum { N = 500 };

    require(world_begin(&w) && agent_add(&w, w.address, NULL));
    require(until(&w, w.n_opened == 1 && w.agents[0].n_open == 1));
    uint64_t begin = now_ms();
    for (unsigned i = 0; i < N; i++) {
        unsigned before = w.n_messages;
        require(session_server_send(w.server, w.last, MESSAGE_ORDER, bytes_of_text("0")) == 0);
        require(until(&w, w.n_messages > before));
    }
    printf("# %llu us a round trip\n", (unsigned long long)((now_ms() - begin) * 1000 / N));
}

TEST("an idle link costs little memory") {
    _cleanup_(world_end) struct world w;

    require(world_begin(&w) && agent_add(&w, w.address, NULL));
    require(until(&w, w.agents[0].n_open == 1));
    long kib = private_kib(w.agents[0].client.pid);
    printf("# kedge-link: %ld KiB private\n", kib);
    if (getenv("KEDGE_SANITIZED") || kib == 0)
        skip("built with sanitizers, or /proc is closed");
    check(kib < 3 * 1024);
}
