/* Plans as people sign them: a header over a Merkle tree whose leaf 0 is the shape (waves, limits, soaks, side
 * actions) and whose leaves 1..n are the work orders. An agent gets the header, its own work order and the path
 * between them. All pointers point into the arena of the decoded document. */
#ifndef KEDGE_PLAN_PLAN_H
#define KEDGE_PLAN_PLAN_H

#include "common/plan/budget.h"
#include "common/plan/work_order.h"

struct wave {
    const char *name;
    enum wave_kind kind;
    const uint32_t *members; /* indexes of work orders, from 0 */
    size_t n_members;
    uint32_t limit_count;   /* members in change at once, at least 1 */
    uint32_t limit_percent; /* 0: no further limit; else of the cluster's members, rounded down, at least 1 */
    bool one_domain;        /* members in change lie in one failure domain */
    bool has_last;
    struct digest last;         /* member gate: "yes" means this member goes last (leader, auditor) */
    uint32_t soak_read_only_ms; /* canary: after the read-only start, before promotion */
    uint32_t soak_ms;           /* after the last step of a member */
    uint32_t wait_limit_ms;     /* a member that may not stop for so long pauses the run */
    bool approval;              /* canary: the next wave begins by an operator's signed word, not before */
    bool return_inconclusive;   /* canary: unknown at the wait limit, it goes back; else the run is paused */
    const struct budget *budgets; /* of this wave's members, each kind once */
    size_t n_budgets;
};

#define SIDE_GATE_PREFIX "in-force:" /* and its name: the gate that asks whether it still is */
struct side_action {
    const char *name;
    const char *open_step, *close_step; /* names of steps; every work order has them */
    const char *previous, *ours;
    uint32_t ttl_ms;
};

struct shape {
    uint32_t format; /* 1 */
    const char *strategy;
    const struct wave *waves;
    size_t n_waves;
    const struct side_action *side_actions;
    size_t n_side_actions;
    const struct digest *may_stop; /* cluster gates before every stop */
    size_t n_may_stop;
    const struct digest *recovered; /* gates after every change, held for their detection time */
    size_t n_recovered;
    const char *const *warnings; /* "name: what it means"; each name needs a consent in the header */
    size_t n_warnings;
    const char *point_of_no_return; /* "" when the plan has none */
    const char *const
        *depends_on; /* clusters that this one needs; no run of theirs is open at the same time */
    size_t n_depends_on;
    const struct budget *budgets; /* of the run's members, each kind once */
    size_t n_budgets;
    bool
        return_on_abort; /* aborted, members that are changed and not done go back; else they stay as they are */
    bool has_diffs;
    struct digest diffs; /* of the plan's diffs, see plan_diffs_digest; plans of older planners lack it */
};

struct header {
    uint32_t format; /* 1 */
    const char *cluster;
    uint64_t serial;
    struct digest root;
    uint32_t n_leaves;
    struct digest charter, recipe, manifest;
    const char *from_version, *to_version;
    const char *author, *ticket, *reason;          /* the last two may be "" */
    uint64_t created_s, not_before_s, not_after_s; /* seconds since 1970; not_before 0: at once */
    const char *const *consents;
    size_t n_consents;
    enum urgency urgency;
    uint64_t supersedes;        /* serial of the plan whose open run this one overtakes; 0: none */
    const struct digest *lifts; /* what failed before and may be tried again by this plan: quarantine.h */
    size_t n_lifts;
};

/* A plan file: everything, in the exact bytes that were or will be signed. */
struct plan {
    struct bytes header; /* signed blob (common/trust/verify.h) over the encoded header */
    struct bytes shape;
    const struct bytes *work_orders;
    size_t n_work_orders;
    const struct bytes *gates; /* encoded; shared gates stand once and are referenced by digest */
    size_t n_gates;
    struct bytes manifest; /* signed blob */
    const char *const *diffs;
    size_t n_diffs;
};

#endif
