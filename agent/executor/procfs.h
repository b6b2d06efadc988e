/* What the kernel says of one process: the part of the truth that only the executor may see (/proc/PID/fd of another
 * user is closed to the others). Reads only; nothing here changes a process.
 *
 * A pid alone names nobody, since the kernel uses it again: a process is its pid, its start time and the boot.
 * Texts are copied into the arena. Errors: -ESRCH when the process is gone, other errno values with a sentence. */
#ifndef KEDGE_EXECUTOR_PROCFS_H
#define KEDGE_EXECUTOR_PROCFS_H

#include "common/base/arena.h"
#include "common/base/error.h"

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { PROCFS_BOOT_ID_SIZE = 37 };

struct process_id {
    pid_t pid;                      /* 0: none */
    uint64_t started;               /* clock ticks after boot: field 22 of /proc/PID/stat */
    char boot[PROCFS_BOOT_ID_SIZE]; /* /proc/sys/kernel/random/boot_id */
};

struct proc_texts {
    const char **items; /* NULL-terminated */
    size_t n;
};

/* The ids that a process runs with. */
struct proc_identity {
    uid_t uid;
    gid_t gid;
    gid_t groups[64];
    size_t n_groups;
    mode_t umask;
};

/* Where an open descriptor leads. */
struct proc_descriptor {
    const char *path; /* as the kernel shows it; "" when it is not open */
    int flags;        /* of open(2) */
    uint64_t position;
    bool is_file; /* a regular file, or a device like /dev/null: can be opened again by its path */
};

int procfs_boot_id(char out[static PROCFS_BOOT_ID_SIZE], struct error *err) _must_check_;

/* The process as it is now. */
int procfs_identify(pid_t pid, struct process_id *outp, struct error *err) _must_check_;

/* True while exactly this process lives: same boot, same start time, not a zombie. */
bool procfs_alive(const struct process_id *id);

/* "exe", "cwd" or "root": the resolved path. */
int procfs_link(pid_t pid, const char *name, struct arena *arena, const char **outp,
                struct error *err) _must_check_;

/* Right after exec the kernel may still show nothing: n is 0 then. */
int procfs_arguments(pid_t pid, struct arena *arena, struct proc_texts *outp, struct error *err) _must_check_;
int procfs_environment(pid_t pid, struct arena *arena, struct proc_texts *outp,
                       struct error *err) _must_check_;

int procfs_ids(pid_t pid, struct proc_identity *outp, struct error *err) _must_check_;
int procfs_limits(pid_t pid, struct rlimit limits[static RLIM_NLIMITS], struct error *err) _must_check_;
int procfs_descriptor(pid_t pid, int fd, struct arena *arena, struct proc_descriptor *outp,
                      struct error *err) _must_check_;

/* The resolved paths of all regular files that it has open or mapped, sorted, each once; "(deleted)" ones
 * too. */
int procfs_files(pid_t pid, struct arena *arena, struct proc_texts *outp, struct error *err) _must_check_;

/* Its cgroup path in the unified (or systemd) hierarchy, "" when there is none. */
int procfs_cgroup(pid_t pid, struct arena *arena, const char **outp, struct error *err) _must_check_;

/* The process that owns the listening TCP socket on `port` (in this network namespace), or 0. Two owners (a parent and
 * a child that share it): the one with the lower pid. */
int procfs_listener(uint16_t port, pid_t *outp, struct error *err) _must_check_;

/* Does the listening socket on `port` belong to this process? Looks in the process's own network namespace. */
bool procfs_owns_port(pid_t pid, uint16_t port);

#endif
