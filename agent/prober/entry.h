/* Reads the entries of a sample through the member, one after the other over one connection. */
#ifndef KEDGE_AGENT_PROBER_ENTRY_H
#define KEDGE_AGENT_PROBER_ENTRY_H

#include "agent/prober/ask.h"
#include "agent/prober/template.h"
#include "common/trust/verify.h"

enum entry_outcome {
    ENTRY_GOOD,  /* answered as the template says; `digest` is of the whole answer */
    ENTRY_OTHER, /* answered, and otherwise: the member does not have it */
    ENTRY_NONE   /* no answer; `trouble` says why */
};

struct entry_reader {
    /* set by the owner */
    struct prober *prober;
    const struct sample *sample;
    void (*done)(void *owner); /* once for each entry_read, never from within it */
    void *owner;

    enum entry_outcome outcome;
    struct digest digest;
    char trouble[TROUBLE_MAX];

    struct http_get get;
    struct dial dial;
    struct watch watch;
    struct timer timer;
    int fd;
    bool opened, is_http, is_fresh; /* the connection was made for this entry */
    struct buffer request, pattern, any, head;
    struct digest_state state;
    size_t n_sent;
    uint64_t n_answer, n_whole; /* bytes that came; bytes that the answer has, 0 while unknown */
};

/* Asks for one entry; `item` of the places must live until it is done. */
void entry_read(struct entry_reader *reader, const struct places *places);

/* Ends it in any state; fine on a zeroed one. */
void entry_stop(struct entry_reader *reader);

#endif
