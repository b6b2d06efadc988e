/* One request of the executor: decoded, asked, judged, answered. */
#ifndef KEDGE_AGENT_PROBER_REQUEST_H
#define KEDGE_AGENT_PROBER_REQUEST_H

#include "agent/prober/prober_ipc.h"
#include "agent/prober/sample.h"

struct request;

/* Where requests come from and replies go; embedded in its owner. */
struct desk {
    struct prober prober;
    void (*reply)(void *owner, const struct prober_reply *reply); /* one for each request */
    void *owner;
    struct request *requests;
    size_t n_requests;
};

/* Takes a datagram; its bytes are copied. -EBADMSG when it is no request: the executor is broken or not the executor.
 * All that may be wrong with a request that parses is answered with unknown. */
int desk_take(struct desk *desk, struct bytes datagram) _must_check_;

/* Ends all requests without an answer. */
void desk_clear(struct desk *desk);

#endif
