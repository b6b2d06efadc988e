/* agent.yaml: what this node lets Kedge touch. No signature from outside widens it; freshly installed it allows to
 * observe only. Strict: unknown and repeated keys are refused with file, line and column. */
#ifndef KEDGE_EXECUTOR_CONFIG_H
#define KEDGE_EXECUTOR_CONFIG_H

#include "common/base/arena.h"
#include "common/plan/verify.h"

enum allow_level { ALLOW_OBSERVE, ALLOW_CHANGE };

struct allowed_member {
    const char *member; /* "shop/server@n1" */
    const char *user;   /* the only user it may be started as; NULL: the one it was found with */
};

struct agent_config {
    const char *node;
    const char *state;       /* folder of journal, key, members/ and releases/ */
    const char *coordinator; /* host:port */
    const char *artifacts;   /* http://host:port, no slash at the end */
    struct public_key coordinator_key;
    struct trust_anchors anchors;
    const char *helpers;     /* folder of the helper programs, or NULL: beside this one */
    const char *helper_user; /* or NULL: the own one */
    enum allow_level level;
    const struct allowed_member *members;
    size_t n_members;
    const char *const *commands; /* executables that rows may run, beside a member's own */
    size_t n_commands;
};

/* Reads and judges; everything lies in the arena. -EINVAL with one sentence. */
int agent_config_load(const char *path, struct arena *arena, struct agent_config *outp,
                      struct error *err) _must_check_;

/* 0, or -EPERM with the sentence that says what to add to agent.yaml. `user` NULL: not asked. */
int agent_config_allows(const struct agent_config *config, const char *member, const char *user,
                        struct error *err) _must_check_;
int agent_config_allows_command(const struct agent_config *config, const char *program,
                                const char *own_executable, struct error *err) _must_check_;

#endif
