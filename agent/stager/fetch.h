/* One artifact as a stream: fetched, counted and digested on the way. Whoever reads it gets at most the promised number
 * of bytes, and the end only if it was that number and its digest is the promised one.
 * http and https (file for tests); no redirect, no proxy, no retry: the executor decides about trying again (A50). */
#ifndef KEDGE_AGENT_STAGER_FETCH_H
#define KEDGE_AGENT_STAGER_FETCH_H

#include "common/trust/verify.h"

#include <sys/types.h>

struct fetch_wish {
    const char *url;
    uint64_t size; /* bytes */
    struct digest digest;
    bool file_allowed;   /* url may begin with file: */
    uint32_t speed_min;  /* bytes a second, ... */
    uint32_t patience_s; /* ... averaged over so long */
    uint32_t timeout_s;  /* in all */
};

struct fetch;

/* Opens nothing yet. `wish` must outlive the fetch. */
int fetch_new(struct fetch **outp, const struct fetch_wish *wish, struct error *err) _must_check_;
struct fetch *fetch_free(struct fetch *fetch);
static inline void fetch_freep(struct fetch **fetch) {
    *fetch = fetch_free(*fetch);
}

/* A tarball_pull_fn (common/archive/tarball.h); `from` is the fetch. 0 is given only after length and digest were
 * found right. -EBADMSG: the wrong bytes; -EPROTO: the wrong answer;
 * -EIO: the source failed. Both with a sentence, and again when called again. */
ssize_t fetch_pull(void *from, const uint8_t **data, struct error *err) _must_check_;

/* Reads what is left. 0 when length and digest are right. */
int fetch_drain(struct fetch *fetch, struct error *err) _must_check_;

#endif
