/* A work order: one member's part of a plan, complete. No recipe is on the nodes and no condition is left to
 * interpret: resolved commands, gates by digest, from and to generations, deadlines, the way back.
 *
 * All pointers point into the arena of the document that it was decoded from. */
#ifndef KEDGE_PLAN_WORK_ORDER_H
#define KEDGE_PLAN_WORK_ORDER_H

#include "common/base/fact.h"
#include "common/plan/gate.h"
#include "common/trust/verify.h"

struct config_op {
    enum config_op_kind kind;
    const char *key;
    const char *value; /* NULL for remove and carry */
};

/* How the configuration of a generation is made from the found one or from a shipped one. */
struct render {
    const char *path; /* as found; absolute, or relative to the member's working directory */
    const char *name; /* file name under gen/N/conf */
    enum config_format format;
    bool has_shipped;
    struct bytes shipped; /* content to start from; without it the found file */
    const struct config_op *ops;
    size_t n_ops;
    struct digest old_digest, new_digest; /* of the found file, of the rendered one; signed with the plan */
};

/* What one member runs from. Index 0 of a work order is "as found" and stands in no list. */
struct generation {
    enum mode mode; /* the mode it starts in */
    bool has_manifest;
    struct digest manifest; /* of the release; without it the release is as found */
    const char *version;
    const struct render *render; /* NULL: the found configuration, in its place */
    const struct argument *arguments;
    size_t n_arguments;   /* 0: as found */
    struct digest digest; /* of its encoding without this field; names the folder's content */
};

/* run: a value that the command puts out, for later actions of the plan and for people. Its absence is a failure. */
struct capture {
    const char *name;
    const char
        *match; /* regular expression over each line; the value is the first group, else the whole match */
    const char *allowed; /* regular expression that the whole value must match */
};

struct row {
    enum primitive primitive;
    uint32_t deadline_ms; /* start, observe: without progress; stop: until SIGKILL */
    uint32_t hard_cap_ms; /* start, observe: whatever the progress */
    uint32_t hold_ms;     /* ask: how long yes must last without a break; stop: the hold limit, how long the
                           member may stay stopped before the barrier is passed or it is started */
    uint32_t generation;  /* stage, render, swap, start, observe: which */
    const struct digest *gates;
    size_t n_gates;
    enum sample_use sample;
    enum on_failure on_failure;
    uint32_t signal;          /* stop */
    const char *progress;     /* start, observe: lines of the output that match are progress; NULL: none */
    const char *deadline_why; /* start: for people: where its deadline comes from; NULL: the recipe */
    const struct command *command;
    const struct check *done_if; /* run: true already: skip; not true after it: failed */
    const struct capture *captures;
    size_t n_captures;
};

struct step {
    const char
        *name; /* "prepare", "switch", "promote", "return", "open recovery-delay" … unique in its order */
    enum verb verb;
    const struct row *rows;
    size_t n_rows;
};

/* A side action as its holders see it: after `ttl_ms + rank * delta_ms` without a word from the coordinator, the
 * holder looks whether `ours` is still in force and runs `close_step`, which puts `previous` back. */
struct lease {
    const char *name;
    const char *close_step;
    const char *previous;
    const char *ours;
    uint32_t ttl_ms, delta_ms, rank;
    enum on_loss on_loss;
};

struct work_order {
    uint32_t format; /* 1 */
    const char *cluster;
    uint64_t serial;
    const char *member; /* "shop/server@n3" */
    const char *role;
    const char *node;
    struct public_key node_key; /* the addressee */
    const char *domain;         /* "" when the fleet has none */
    const char *system;
    const char *self; /* what the system calls this member, "127.0.0.1:3181" */
    enum mode end_mode;
    enum way_back way_back;
    const struct fact *binding; /* checked by the agent before its first change */
    size_t n_binding;
    const struct generation *generations; /* numbered from 1 */
    size_t n_generations;
    const struct step *steps;
    size_t n_steps;
    const struct lease *leases;
    size_t n_leases;
    const char *from_version, *to_version;
};

/* Its member stops, passes a barrier and starts in three steps. */
bool work_order_is_downtime(const struct work_order *order);

/* NULL when there is no such step. */
const struct step *work_order_step(const struct work_order *order, const char *name);

/* The first and the last row of this primitive, or NULL; `step` may be NULL. What runs after a step is what its last row of
 * start has started. */
const struct row *step_find_row(const struct step *step, enum primitive primitive);
const struct row *step_last_row(const struct step *step, enum primitive primitive);

#endif
