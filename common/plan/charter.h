/* The charter: what an operator signs when a cluster is added. It lets the agents of its roster observe their members
 * and ask its gates, and nothing else. All pointers point into the arena of the decoded document. */
#ifndef KEDGE_PLAN_CHARTER_H
#define KEDGE_PLAN_CHARTER_H

#include "common/plan/work_order.h"

struct roster_entry {
    const char *node;
    struct public_key key;
    const char *domain; /* "" for none */
};

/* "The member is in `mode` when `gate` says yes." Asked in order; the first yes wins. */
struct mode_gate {
    enum mode mode;
    struct digest gate;
};

struct charter_member {
    const char *name; /* "shop/server@n3" */
    const char *role;
    const char *node;
    const char *self;
    uint32_t port;       /* the listening TCP port whose owner is the member's process */
    const char *process; /* regular expression that the command line, joined by spaces, must match */
    enum release_from release_from;
    const char *release_match; /* over the resolved path: group 1 the release folder, group 2 the version */
    const char *config_after;  /* the configuration file is the argument after this one; NULL: none */
    enum config_format config_format;
    const char *const *clear_after; /* arguments after these may be shown and rewritten */
    size_t n_clear_after;
    const struct mode_gate *modes;
    size_t n_modes;
    const struct digest *gates; /* the member's own gates */
    size_t n_gates;
    const struct probe *instance;  /* an id that is new after each start; NULL: the system has none */
    const char *const *data_after; /* configuration keys that name folders which the service writes */
    size_t n_data_after;
    const char *const *clear_config; /* configuration keys whose values may be shown */
    size_t n_clear_config;
};

struct charter {
    uint32_t format; /* 1 */
    const char *cluster;
    const char *system;
    uint64_t serial;
    struct digest recipe;
    const struct roster_entry *roster;
    size_t n_roster;
    const struct charter_member *members;
    size_t n_members;
    const struct bytes *gates; /* encoded struct gate, the read-only questions */
    size_t n_gates;
    const struct digest *cluster_gates; /* those about the whole cluster */
    size_t n_cluster_gates;
    const char *const *depends_on;
    size_t n_depends_on;
};

#endif
