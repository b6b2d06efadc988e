/* From "host:port" to a connected stream: names are looked up and addresses are tried in order, without blocking. There
 * is no time-out in here; the owner has one and calls *_stop. */
#ifndef KEDGE_AGENT_PROBER_DIAL_H
#define KEDGE_AGENT_PROBER_DIAL_H

#include "agent/prober/loop.h"

#include <sys/socket.h>

enum { ADDRESSES_MAX = 8, TROUBLE_MAX = 256 };

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

struct query;

/* `done` is called once, never from within lookup_start; then n is 0 and `trouble` says why, or there are addresses. */
struct lookup {
    struct loop *loop;
    void (*done)(void *owner);
    void *owner;
    struct address addresses[ADDRESSES_MAX];
    size_t n;
    char trouble[TROUBLE_MAX];
    struct timer timer;
    struct query *query;
};

/* loop, done and owner are set. `host_port`: "127.0.0.1:80", "[::1]:80", "name:80". */
void lookup_start(struct lookup *lookup, const char *host_port);
void lookup_stop(struct lookup *lookup);

/* `done` is called once, never from within dial_start; `fd` is then the connection, the owner's to take (TAKE_FD), or -1
 * and `trouble` says why. */
struct dial {
    struct loop *loop;
    void (*done)(void *owner);
    void *owner;
    int fd;
    char trouble[TROUBLE_MAX];
    struct lookup lookup;
    size_t next;
    struct watch watch;
    char peer[128];
};

/* loop, done and owner are set. */
void dial_start(struct dial *dial, const char *host_port);

/* Ends it in any state; closes a connection that was not taken. Fine on a zeroed dial that was never started. */
void dial_stop(struct dial *dial);

#endif
