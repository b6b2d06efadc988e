/* The exec backend: members as plain processes of this host, which outlive the agent. A child waits until its pid is in
 * the journal, and only then becomes the service; found again by pid, start time and boot; watched by pidfd. */
#ifndef KEDGE_EXECUTOR_PROCESS_H
#define KEDGE_EXECUTOR_PROCESS_H

#include "agent/executor/spec.h"

/* A child that waits to become the service. Embedded; zeroed with pid 0: none. */
struct waiting_child {
    struct process_id id;
    int go_fd;     /* one byte lets it go on; closing it ends the child */
    int result_fd; /* readable at the end: empty when it became the service, else what went wrong (text) */
    uint32_t tag;  /* the caller's: which generation it would run */
};

/* Forks, sets all up but the last call, and waits until the child says that it is ready: so a folder, file, user or limit
 * that is not as recorded is known before anything is stopped. The service's first descriptor is /dev/null, 1 and 2 are appended to the files
 * of the spec; its folder and files are opened as the service's user. */
int child_prepare(const struct start_spec *spec, struct waiting_child *out, struct error *err) _must_check_;

/* Lets it become the service. After this the child is a stranger that is watched like all others. */
int child_release(struct waiting_child *child) _must_check_;

/* What the child said before it became the service: 0 it became it, 1 not yet known, -errno with a sentence. */
int child_result(struct waiting_child *child, struct error *err) _must_check_;

/* Ends a child that was not released; a released one is left alone. Closes both descriptors. */
void child_deinit(struct waiting_child *child);

/* A pidfd for exactly this process; -ESRCH when it has ended (or is a zombie). */
int process_open(const struct process_id *id) _must_check_;

/* True if the pidfd's process has ended: readable, or a zombie of somebody else's. */
bool process_has_ended(int pidfd, const struct process_id *id);

int process_signal(int pidfd, int signal) _must_check_;

/* How it ended, as far as it can be known ("exit code 3", "signal 9 (Killed)", "its exit code is unknown: ..."); reaps our
 * own child. */
void process_epitaph(const struct process_id *id, char *out, size_t size);

/* After a crash of the agent: a recorded child that still runs this very program waits for a word that will never come;
 * waits for its end, at most a second, and then ends it. True if it is gone. */
bool process_is_unborn(const struct process_id *id);

/* 0, or -EPERM with a sentence: the process belongs to a unit of systemd that is not this agent's own. */
int process_may_be_taken(pid_t pid, struct error *err) _must_check_;

#endif
