/* Runs one command of a signed row: an argument vector, no shell, a user, a working directory, an environment, a
 * deadline, bounded output. Asynchronous on the agent's one loop; never blocks it.
 *
 * Who may run what is checked before (agent_config_allows_command); this file only runs it. */
#ifndef KEDGE_EXECUTOR_COMMANDS_H
#define KEDGE_EXECUTOR_COMMANDS_H

#include "agent/executor/procfs.h"
#include "common/base/bytes.h"

#include <systemd/sd-event.h>

struct command_spec {
    const char *const *arguments;   /* NULL-terminated; word 0 is an absolute path */
    const char *const *environment; /* NULL-terminated, whole: nothing is inherited */
    const char *directory;
    const struct proc_identity *identity; /* NULL: the agent's own */
    uint32_t deadline_ms;
};

/* How it ended. Valid during the callback. */
struct command_result {
    int exit_code;       /* 0..255; -1: ended by a signal, by the deadline, or could not be started */
    struct bytes output; /* standard output and error together, cut at KEDGE_COMMAND_OUTPUT_BYTES_MAX */
    const char *problem; /* "" or one sentence: why exit_code is -1 */
    bool expired;        /* the deadline ended it */
};

typedef void (*command_done)(void *context, const struct command_result *result);

struct command_run;

/* Starts it; `done` is called once from the loop, unless command_cancel came first. All of `spec` is copied or used
 * before this returns. -errno with a sentence when it could not be started; `done` is not called then. */
int command_start(sd_event *loop, const struct command_spec *spec, command_done done, void *context,
                  struct command_run **outp, struct error *err) _must_check_;

/* Kills its process group and forgets it. Accepts NULL, returns NULL. */
struct command_run *command_cancel(struct command_run *run);

#endif
