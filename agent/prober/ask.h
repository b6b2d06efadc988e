/* One probe, asked once: whatever its kind, it ends with items or with a reason why there is no answer. Only a whole
 * answer is one: what was cut, timed out or is over a limit is no answer, since "none found" may be a yes. */
#ifndef KEDGE_AGENT_PROBER_ASK_H
#define KEDGE_AGENT_PROBER_ASK_H

#include "agent/prober/found.h"
#include "agent/prober/http.h"
#include "common/plan/gate.h"

enum {
    ASK_TIMEOUT_MS_DEFAULT = 5000, /* for a probe that says 0 */
    ASK_TIMEOUT_MS_MAX = 10 * 60 * 1000,
};

struct tree;

/* What questions share. */
struct prober {
    struct loop *loop;
    struct http *http;
    struct tree *tree;
};

struct ask;

/* How one kind of probe is asked. `start` leads to exactly one ask_answered or ask_failed, at once or later; `stop` gives
 * back all that it holds, in any state. */
struct ask_kind {
    void (*start)(struct ask *ask);
    void (*stop)(struct ask *ask);
};

struct ask {
    /* set by the owner */
    struct prober *prober;
    const struct probe *probe;
    const char *log_path;
    uint64_t log_offset;
    size_t enough;             /* so many items settle the question; 0: only the whole answer does */
    void (*done)(void *owner); /* once, never from within ask_start */
    void *owner;

    /* the result */
    bool answered;
    struct found found;
    char trouble[TROUBLE_MAX];
    uint64_t asked_us; /* when the question that was answered was sent */

    /* for its kind */
    const char *target; /* the one of the probe's targets that is asked now */
    struct matcher matcher;
    void *state;

    const struct ask_kind *kind;
    char *targets, *next_target;
    size_t n_targets;
    uint64_t deadline_us;
    bool ended;
    struct timer timer; /* its end: by time-out, or told by the loop */
};

void ask_start(struct ask *ask);

/* Ends it in any state; fine on a zeroed one. */
void ask_stop(struct ask *ask);

/* For kinds. */
void ask_answered(struct ask *ask);
void ask_failed(struct ask *ask, const char *format, ...) _printf_(2, 3);

extern const struct ask_kind ask_http_kind, ask_tcp_kind, ask_connect_kind, ask_file_kind, ask_tree_kind;

#endif
