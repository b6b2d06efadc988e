/* How the single-threaded client is driven: after every call into it, zookeeper_interest says which descriptor it waits
 * for, and a *new* registration is made each time, since it closes and opens connections inside and the number may be the
 * same (tried: an old registration then never fires). Names are looked up here; it gets numeric addresses only, since its
 * own lookup blocks. Completions run inside its calls, so nothing there closes a session: that is left to pump(), which
 * the loop calls.
 *
 * A read that is given up leaves its `call` behind, which the completion frees: the client cannot cancel. */
#include "agent/prober/tree.h"

#include <string.h>
#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>

#define buffer zookeeper_buffer /* its headers have a struct buffer of their own */
#include <zookeeper/zookeeper.h>
#undef buffer

enum {
    SESSION_TIMEOUT_MS = 10000,
    IDLE_US = 60 * 1000 * 1000,
    ATTEMPTS_MAX = 3,
    PACKETS_A_TURN = 64,
};

struct tree {
    struct loop *loop;
    struct session *sessions;
};

struct session {
    struct tree *tree;
    struct session *next;
    char *servers;
    char *rest; /* of a copy of servers: what is not looked up yet */
    char *servers_copy;
    const char *root; /* "/chroot" or "" */
    struct lookup lookup;
    struct buffer numeric;
    unsigned n_servers;

    zhandle_t *handle;
    struct watch watch;
    struct timer pump, idle;
    struct tree_read *reads;
    uint64_t generation; /* of the connection; 0: none */
    unsigned n_failures; /* to connect, in a row */
    bool was_connected, expired, refused;
};

struct call {
    struct tree_read *read; /* NULL: nobody waits any more */
};

static uint64_t last_generation;

/* ---- reads ---- */

static void unlink_read(struct tree_read *read) {
    if (read->link)
        *read->link = read->next;
    if (read->next)
        read->next->link = read->link;
    read->link = NULL;
    read->next = NULL;
}

static void forget_calls(struct tree_read *read) {
    if (read->call)
        read->call->read = NULL;
    if (read->sync_call)
        read->sync_call->read = NULL;
    read->call = read->sync_call = NULL;
}

static void read_end(struct tree_read *read, enum tree_outcome outcome) {
    struct session *session = TAKE(read->session);
    read->outcome = outcome;
    forget_calls(read);
    unlink_read(read);
    if (!session->reads)
        loop_timer_set(&session->idle, now_us() + IDLE_US);
    read->done(read->owner, read);
}

static void read_fail(struct tree_read *read, const char *trouble) {
    snprintf(read->trouble, sizeof(read->trouble), "%s", trouble);
    read_end(read, TREE_UNKNOWN);
}

void tree_read_stop(struct tree_read *read) {
    struct session *session = TAKE(read->session);
    if (!session)
        return;
    forget_calls(read);
    unlink_read(read);
    if (!session->reads)
        loop_timer_set(&session->idle, now_us() + IDLE_US);
}

static void pump_soon(struct session *session) {
    loop_timer_set(&session->pump, now_us());
}

/* What the client answered: an end, or another attempt. */
static void on_result(struct tree_read *read, int result) {
    char text[TROUBLE_MAX];
    if (result == ZOK && read->sync_result != ZOK)
        result = read->sync_result;
    switch (result) {
    case ZOK: read_end(read, TREE_THERE); return;
    case ZNONODE: read_end(read, read->sync_result == ZOK ? TREE_NOT_THERE : TREE_UNKNOWN); return;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZSESSIONEXPIRED:
    case ZSESSIONMOVED:
    case ZINVALIDSTATE:
    case ZCLOSING:
        forget_calls(read);
        if (++read->attempts < ATTEMPTS_MAX) {
            pump_soon(read->session);
            return;
        }
        snprintf(text, sizeof(text), "the connection to %.120s was lost", read->session->servers);
        break;
    case ZNOAUTH: snprintf(text, sizeof(text), "%.120s may not be read: not authorised", read->path); break;
    case ZAUTHFAILED:
        snprintf(text, sizeof(text), "%.120s refused our credentials", read->session->servers);
        break;
    default: snprintf(text, sizeof(text), "%.120s: %s", read->path, zerror(result)); break;
    }
    read_fail(read, text);
}

/* The read that waits for this call, or NULL; the call is over. */
static struct tree_read *call_end(const void *data) {
    struct call *call = (struct call *)(uintptr_t)data;
    struct tree_read *read = call->read;
    if (read && read->call == call)
        read->call = NULL;
    if (read && read->sync_call == call)
        read->sync_call = NULL;
    free(call);
    return read;
}

static void on_sync(int result, const char *value, const void *data) {
    struct tree_read *read = call_end(data);
    (void)value;
    if (read)
        read->sync_result = result;
}

static void on_stat(int result, const struct Stat *stat, const void *data) {
    struct tree_read *read = call_end(data);
    (void)stat;
    if (read)
        on_result(read, result);
}

static void on_content(int result, const char *value, int len, const struct Stat *stat, const void *data) {
    struct tree_read *read = call_end(data);
    (void)stat;
    if (!read)
        return;
    read->content = (struct bytes){(const uint8_t *)value, value && len > 0 ? (size_t)len : 0};
    on_result(read, result);
}

static void on_children(int result, const struct String_vector *names, const void *data) {
    struct tree_read *read = call_end(data);
    if (!read)
        return;
    read->names = names ? (const char *const *)names->data : NULL;
    read->n_names = names && names->count > 0 ? (size_t)names->count : 0;
    on_result(read, result);
}

static struct call *call_new(struct tree_read *read) {
    struct call *call = calloc(1, sizeof(*call));
    if (call)
        call->read = read;
    return call;
}

static int send_sync(struct session *session, struct tree_read *read) {
    read->sync_result = ZOK;
    if (*read->synced == session->generation)
        return ZOK;
    read->sync_call = call_new(read);
    int result =
        read->sync_call ? zoo_async(session->handle, read->path, on_sync, read->sync_call) : ZSYSTEMERROR;
    if (result == ZOK)
        *read->synced = session->generation;
    else
        free(TAKE(read->sync_call));
    return result;
}

/* Sync and read go out together: a server answers one client in order. */
static void send_read(struct session *session, struct tree_read *read) {
    int result = send_sync(session, read);
    if (result == ZOK) {
        read->call = call_new(read);
        zhandle_t *handle = session->handle;
        if (!read->call)
            result = ZSYSTEMERROR;
        else if (read->what == TREE_EXISTS)
            result = zoo_aexists(handle, read->path, 0, on_stat, read->call);
        else if (read->what == TREE_CONTENT)
            result = zoo_aget(handle, read->path, 0, on_content, read->call);
        else
            result = zoo_aget_children(handle, read->path, 0, on_children, read->call);
        if (result != ZOK)
            free(TAKE(read->call));
    }
    if (result != ZOK)
        on_result(read, result);
}

/* ---- sessions ---- */

static void forget_handle(struct session *session) {
    for (struct tree_read *read = session->reads; read; read = read->next)
        forget_calls(read);
    watch_remove(&session->watch);
    if (session->handle)
        zookeeper_close(session->handle);
    session->handle = NULL;
    session->generation = 0;
    session->was_connected = session->expired = session->refused = false;
}

static void session_free(struct session *session) {
    struct session **link = &session->tree->sessions;
    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    forget_handle(session);
    lookup_stop(&session->lookup);
    loop_timer_stop(&session->pump);
    loop_timer_stop(&session->idle);
    buffer_deinit(&session->numeric);
    free(session->servers_copy);
    free(session->servers);
    free(session);
}

static void fail_all(struct session *session, const char *trouble) {
    while (session->reads)
        read_fail(session->reads, trouble);
}

/* All reads get the sentence; the next question begins from nothing. */
static void give_up(struct session *session, const char *why) {
    char text[TROUBLE_MAX];
    snprintf(text, sizeof(text), "%s", why);
    forget_handle(session);
    session->n_failures = 0;
    fail_all(session, text);
    loop_timer_set(&session->idle, now_us());
}

static void on_event(zhandle_t *handle, int type, int state, const char *path, void *context) {
    struct session *session = context;
    (void)handle, (void)path;
    if (type != ZOO_SESSION_EVENT)
        return;
    if (state == ZOO_CONNECTED_STATE) {
        session->generation = ++last_generation;
        session->was_connected = true;
        session->n_failures = 0;
    } else {
        session->generation = 0;
    }
    session->expired |= state == ZOO_EXPIRED_SESSION_STATE;
    session->refused |= state == ZOO_AUTH_FAILED_STATE;
    pump_soon(session);
}

static void on_log(const char *message) {
    (void)message; /* what went wrong is in the answer */
}

static int open_handle(struct session *session) {
    zoo_set_debug_level((ZooLogLevel)0);
    session->handle = zookeeper_init2((const char *)session->numeric.data, on_event, SESSION_TIMEOUT_MS, NULL,
                                      session, 0, on_log);
    if (!session->handle)
        return -errno;
    zoo_set_servers_resolution_delay(session->handle, -1); /* numbers do not change */
    return 0;
}

/* Counts what failed before a connection was there; losing one is for is_lost(). */
static void note_result(struct session *session, int result) {
    if (result != ZOK && result != ZNOTHING && !session->was_connected)
        session->n_failures++;
}

static void on_ready(void *owner, uint32_t events) {
    struct session *session = owner;
    int what = (events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? ZOOKEEPER_READ : 0) |
               (events & EPOLLOUT ? ZOOKEEPER_WRITE : 0);
    struct pollfd more = {.fd = session->watch.fd, .events = POLLIN};
    int result = zookeeper_process(session->handle, what);
    for (int i = 0; i < PACKETS_A_TURN && result == ZOK && session->generation && poll(&more, 1, 0) == 1; i++)
        result = zookeeper_process(session->handle, ZOOKEEPER_READ);
    note_result(session, result);
    pump_soon(session);
}

/* Asks the client what it waits for. */
static void arm(struct session *session) {
    int fd = -1, interest = 0;
    struct timeval patience = {0};
    int result = zookeeper_interest(session->handle, &fd, &interest, &patience);
    note_result(session, result);
    watch_remove(&session->watch);
    uint32_t events = (interest & ZOOKEEPER_READ ? (uint32_t)EPOLLIN : 0) |
                      (interest & ZOOKEEPER_WRITE ? (uint32_t)EPOLLOUT : 0);
    if (fd >= 0 && events && watch_set(&session->watch, fd, events) < 0)
        session->n_failures++;
    uint64_t wait = (uint64_t)patience.tv_sec * 1000000 + (uint64_t)patience.tv_usec;
    loop_timer_set(&session->pump, now_us() + (wait > 1000 ? wait : 1000));
}

static struct tree_read *first_waiting(const struct session *session) {
    struct tree_read *read = session->reads;
    while (read && read->call)
        read = read->next;
    return read;
}

/* From the beginning each time: what ends inside may take others with it. */
static void send_waiting(struct session *session) {
    struct tree_read *read;
    while (session->generation && (read = first_waiting(session)))
        send_read(session, read);
}

static bool is_lost(const struct session *session) {
    return session->expired || (session->was_connected && zoo_state(session->handle) != ZOO_CONNECTED_STATE);
}

static struct tree_read *first_tired(const struct session *session) {
    struct tree_read *read = session->reads;
    while (read && read->attempts < ATTEMPTS_MAX)
        read = read->next;
    return read;
}

/* A connection that was there is gone: begins with a new handle. The client would connect again by itself, but a request
 * that was half sent stays half sent, and the server reads nonsense from then on (tried with 3.8.0). */
static void begin_again(struct session *session) {
    char text[TROUBLE_MAX];
    struct tree_read *read;
    snprintf(text, sizeof(text), "the connection to %.120s was lost", session->servers);
    for (read = session->reads; read; read = read->next)
        read->attempts += read->call != NULL;
    forget_handle(session);
    session->n_failures = 0;
    while ((read = first_tired(session)))
        read_fail(read, text);
    if (session->reads)
        pump_soon(session);
}

static void pump(void *owner) {
    struct session *session = owner;
    char text[TROUBLE_MAX];
    if (session->handle && is_lost(session))
        begin_again(session);
    if (!session->handle && !session->reads)
        return;
    if (!session->handle && open_handle(session) < 0) {
        give_up(session, "the client for ZooKeeper cannot start");
        return;
    }
    arm(session);
    send_waiting(session);
    if (session->refused) {
        snprintf(text, sizeof(text), "%.120s refused our credentials", session->servers);
        give_up(session, text);
    } else if (session->n_failures >= session->n_servers) {
        snprintf(text, sizeof(text), "cannot connect to %.120s", session->servers);
        give_up(session, text);
    } else if (is_lost(session)) {
        pump_soon(session);
    }
}

/* ---- from names to numbers ---- */

static void look_up_next(struct session *session);

static void on_looked_up(void *owner) {
    struct session *session = owner;
    const struct lookup *lookup = &session->lookup;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    bool any4 = false;
    for (size_t i = 0; i < lookup->n; i++)
        any4 |= lookup->addresses[i].storage.ss_family == AF_INET;
    for (size_t i = 0; i < lookup->n; i++) {
        const struct address *address = &lookup->addresses[i];
        bool is4 = address->storage.ss_family == AF_INET;
        if ((any4 && !is4) ||
            getnameinfo((const struct sockaddr *)&address->storage, address->len, host, sizeof(host), port,
                        sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
            continue;
        buffer_format(&session->numeric, is4 ? "%s%s:%s" : "%s[%s]:%s", session->n_servers ? "," : "", host,
                      port);
        session->n_servers++;
    }
    look_up_next(session);
}

static void look_up_next(struct session *session) {
    const char *one = strsep(&session->rest, ",");
    if (one) {
        lookup_start(&session->lookup, one);
        return;
    }
    if (session->n_servers == 0) {
        give_up(session, session->lookup.trouble[0] ? session->lookup.trouble : "no servers are named");
        return;
    }
    buffer_text(&session->numeric, session->root);
    pump_soon(session);
}

static void on_idle(void *owner) {
    struct session *session = owner;
    if (!session->reads)
        session_free(session);
}

static struct session *session_new(struct tree *tree, const char *servers) {
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->tree = tree;
    session->servers = strdup(servers);
    session->servers_copy = session->rest = strdup(servers);
    session->next = tree->sessions;
    tree->sessions = session;
    session->watch = (struct watch){.loop = tree->loop, .fd = -1, .ready = on_ready, .owner = session};
    session->pump = (struct timer){.loop = tree->loop, .due = pump, .owner = session};
    session->idle = (struct timer){.loop = tree->loop, .due = on_idle, .owner = session};
    session->lookup = (struct lookup){.loop = tree->loop, .done = on_looked_up, .owner = session};
    if (!session->servers || !session->servers_copy) {
        session_free(session);
        return NULL;
    }
    const char *slash = strchr(session->servers, '/');
    session->root = slash ? slash : "";
    session->rest[slash ? slash - session->servers : (ptrdiff_t)strlen(servers)] = 0;
    return session;
}

void tree_read_start(struct tree *tree, const char *servers, struct tree_read *read) {
    struct session *session = tree->sessions;
    while (session && strcmp(session->servers, servers) != 0)
        session = session->next;
    bool is_new = !session;
    if (is_new)
        session = session_new(tree, servers);
    if (!session)
        abort(); /* some hundred bytes */
    read->outcome = TREE_UNKNOWN;
    read->trouble[0] = 0;
    read->attempts = 0;
    read->session = session;
    read->next = session->reads;
    read->link = &session->reads;
    if (read->next)
        read->next->link = &read->next;
    session->reads = read;
    loop_timer_stop(&session->idle);
    if (is_new)
        look_up_next(session);
    else if (session->n_servers > 0)
        pump_soon(session);
}

struct tree *tree_new(struct loop *loop) {
    struct tree *tree = calloc(1, sizeof(*tree));
    if (tree)
        tree->loop = loop;
    return tree;
}

struct tree *tree_free(struct tree *tree) {
    while (tree && tree->sessions)
        session_free(tree->sessions);
    free(tree);
    return NULL;
}
