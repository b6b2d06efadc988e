/* Why getaddrinfo_a: names are rare here (a node's services listen on addresses), but a resolver that hangs must not
 * hold up the other questions. glibc asks in a thread of its own; we look after it every few milliseconds, and a lookup
 * that nobody waits for any more is kept until that thread has let go of it. */
#include "agent/prober/dial.h"

#include <netdb.h>
#include <string.h>
#include <sys/epoll.h>

enum { LOOK_AGAIN_US = 2000 };

struct query {
    struct gaicb request;
    struct addrinfo hints;
    struct query *next; /* of the orphans */
    char host[256], port[8];
};

static struct query *orphans;

static void query_free(struct query *query) {
    if (query->request.ar_result)
        freeaddrinfo(query->request.ar_result);
    free(query);
}

static void orphans_reap(void) {
    for (struct query **link = &orphans; *link;) {
        struct query *query = *link;
        if (gai_error(&query->request) == EAI_INPROGRESS) {
            link = &query->next;
            continue;
        }
        *link = query->next;
        query_free(query);
    }
}

static bool split(const char *text, struct query *query) {
    const char *colon = strrchr(text, ':'), *host = text, *end = colon;
    if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    if (*host == '[' && colon[-1] == ']')
        host++, end--;
    else if (memchr(text, ':', (size_t)(colon - text)))
        return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    size_t n = (size_t)(end - host);
    if (n == 0 || n >= sizeof(query->host) || port < 1 || port > 65535 || strlen(colon + 1) > 5)
        return false;
    memcpy(query->host, host, n);
    snprintf(query->port, sizeof(query->port), "%lu", port);
    return true;
}

static void take_addresses(struct lookup *lookup, const struct addrinfo *list) {
    for (; list && lookup->n < ADDRESSES_MAX; list = list->ai_next) {
        struct address *address = &lookup->addresses[lookup->n];
        if (list->ai_addrlen > sizeof(address->storage))
            continue;
        memcpy(&address->storage, list->ai_addr, list->ai_addrlen);
        address->len = list->ai_addrlen;
        lookup->n++;
    }
}

static void on_lookup(void *owner) {
    struct lookup *lookup = owner;
    struct query *query = lookup->query;
    int r = query ? gai_error(&query->request) : 0;
    if (query && r == EAI_INPROGRESS) {
        loop_timer_set(&lookup->timer, now_us() + LOOK_AGAIN_US);
        return;
    }
    if (query && r == 0)
        take_addresses(lookup, query->request.ar_result);
    if (query && r != 0)
        snprintf(lookup->trouble, sizeof(lookup->trouble), "name %.100s: %s", query->host, gai_strerror(r));
    if (query)
        query_free(query);
    lookup->query = NULL;
    lookup->done(lookup->owner);
}

static const char *ask_for(struct lookup *lookup, struct query *query) {
    struct addrinfo *list = NULL;
    query->hints = (struct addrinfo){.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    if (getaddrinfo(query->host, query->port, &query->hints, &list) == 0) {
        take_addresses(lookup, list);
        freeaddrinfo(list);
        return NULL;
    }
    query->hints.ai_flags = AI_NUMERICSERV;
    query->request =
        (struct gaicb){.ar_name = query->host, .ar_service = query->port, .ar_request = &query->hints};
    struct gaicb *list_of_one[] = {&query->request};
    if (getaddrinfo_a(GAI_NOWAIT, list_of_one, 1, NULL) != 0)
        return "its name cannot be looked up";
    lookup->query = query;
    return NULL;
}

void lookup_start(struct lookup *lookup, const char *host_port) {
    const char *trouble = "out of memory";
    lookup->n = 0;
    lookup->trouble[0] = 0;
    lookup->timer = (struct timer){.loop = lookup->loop, .due = on_lookup, .owner = lookup};
    orphans_reap();
    struct query *query = calloc(1, sizeof(*query));
    if (query)
        trouble = split(host_port, query) ? ask_for(lookup, query) : "not an address, expected host:port";
    if (trouble)
        snprintf(lookup->trouble, sizeof(lookup->trouble), "%.100s: %s", host_port, trouble);
    if (query && lookup->query != query)
        query_free(query);
    loop_timer_set(&lookup->timer, now_us());
}

void lookup_stop(struct lookup *lookup) {
    loop_timer_stop(&lookup->timer);
    struct query *query = TAKE(lookup->query);
    if (!query)
        return;
    if (gai_cancel(&query->request) == EAI_NOTCANCELED) {
        query->next = orphans;
        orphans = query;
    } else {
        query_free(query);
    }
}

/* ---- connecting ---- */

static void try_next(struct dial *dial);

static void note_trouble(struct dial *dial, int code) {
    snprintf(dial->trouble, sizeof(dial->trouble), "cannot connect to %s: %s", dial->peer, strerror(code));
}

static void on_connected(void *owner, uint32_t events) {
    struct dial *dial = owner;
    int code = 0;
    socklen_t len = sizeof(code);
    (void)events;
    watch_remove(&dial->watch);
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        code = errno;
    if (code == 0) {
        dial->done(dial->owner);
        return;
    }
    note_trouble(dial, code);
    closep(&dial->fd);
    dial->fd = -1;
    try_next(dial);
}

static int try_address(struct dial *dial, const struct address *address) {
    const struct sockaddr *to = (const struct sockaddr *)&address->storage;
    dial->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (dial->fd < 0)
        return -errno;
    if (connect(dial->fd, to, address->len) < 0 && errno != EINPROGRESS)
        return -errno;
    return watch_set(&dial->watch, dial->fd, EPOLLOUT);
}

static void try_next(struct dial *dial) {
    while (dial->next < dial->lookup.n) {
        int r = try_address(dial, &dial->lookup.addresses[dial->next++]);
        if (r == 0)
            return;
        note_trouble(dial, -r);
        closep(&dial->fd);
        dial->fd = -1;
    }
    dial->done(dial->owner);
}

static void on_looked_up(void *owner) {
    struct dial *dial = owner;
    memcpy(dial->trouble, dial->lookup.trouble, sizeof(dial->trouble));
    try_next(dial);
}

void dial_start(struct dial *dial, const char *host_port) {
    dial->fd = -1;
    dial->next = 0;
    dial->trouble[0] = 0;
    dial->watch = (struct watch){.loop = dial->loop, .fd = -1, .ready = on_connected, .owner = dial};
    dial->lookup = (struct lookup){.loop = dial->loop, .done = on_looked_up, .owner = dial};
    snprintf(dial->peer, sizeof(dial->peer), "%.120s", host_port);
    lookup_start(&dial->lookup, host_port);
}

void dial_stop(struct dial *dial) {
    if (!dial->done || !dial->peer[0])
        return;
    lookup_stop(&dial->lookup);
    watch_remove(&dial->watch);
    closep(&dial->fd);
    dial->fd = -1;
    dial->peer[0] = 0;
}
