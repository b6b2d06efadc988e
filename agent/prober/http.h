/* HTTP GET through libcurl, for the loop. No redirect, no proxy, no retry, http and https only; connections are reused, and
 * questions for one URL in one turn of the loop are one request. libcurl is started by the first question. */
#ifndef KEDGE_AGENT_PROBER_HTTP_H
#define KEDGE_AGENT_PROBER_HTTP_H

#include "agent/prober/dial.h"
#include "common/base/bytes.h"

struct http;
struct transfer;

/* Costs nothing until the first http_get_start. */
struct http *http_new(struct loop *loop) _must_check_;
struct http *http_free(struct http *http); /* no question may be under way */

/* Loads and starts libcurl if that was not done yet (some 30 ms): before a question whose age counts. */
void http_prepare(struct http *http);

enum { HTTP_BODY_BYTES_MAX = 1024 * 1024 };

/* One question. `done` is called once, never from within http_get_start: `answered` with a 2xx status and the whole body,
 * or `trouble` says why not, with the beginning of the body when the server said why. */
struct http_get {
    struct http *http;
    void (*done)(void *owner);
    void *owner;
    bool answered;
    long status; /* 0: no answer came */
    struct buffer body;
    char trouble[TROUBLE_MAX];
    struct transfer *transfer; /* what it waits for, with `next` */
    struct http_get *next;
    struct timer timer;
};

/* http, done and owner are set; `url` is copied. */
void http_get_start(struct http_get *get, const char *url);

/* Ends it in any state; fine on a zeroed one. */
void http_get_stop(struct http_get *get);

#endif
