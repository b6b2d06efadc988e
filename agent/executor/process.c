/* Why the child waits: between fork and exec nobody knows of it. If the agent dies there, the child reads the end of its
 * pipe and leaves; once its pid is in the journal, the next agent finds it. The child is made before the old service is
 * stopped, so that the interruption holds one write and one execve instead of a fork.
 *
 * After fork only calls that do not allocate: everything was laid out before. */
#include "agent/executor/process.h"

#include "common/base/file.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

enum { UNBORN_WAIT_MS = 1000, READY_WAIT_MS = 5000 };
static const char ready_word = 1;                 /* no text begins with it */
static const char unborn_name[] = "kedge-unborn"; /* at most 15 bytes */

/* ---- the child ---- */

struct birth {
    const struct start_spec *spec;
    char oom[16];
    int go_fd, result_fd;
};

_Noreturn static void child_fail(const struct birth *birth, const char *what) {
    char text[256];
    int n = snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
    if (n > 0 && write(birth->result_fd, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1) < 0)
        _exit(126);
    _exit(127);
}

static void child_open(const struct birth *birth, const struct output *output, int to) {
    int fd = open(output->path, (int)output->flags | O_CREAT | O_NOCTTY, 0640);
    if (fd < 0 || dup2(fd, to) < 0)
        child_fail(birth, output->path);
    if (fd != to)
        close(fd);
}

static void child_limits(const struct birth *birth) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) { /* lowering it needs a privilege that an unprivileged agent does not have: then it stays */
        ssize_t ignored = write(fd, birth->oom, strlen(birth->oom));
        (void)ignored;
        close(fd);
    }
    for (int i = 0; i < SPEC_LIMITS; i++)
        if (setrlimit((__rlimit_resource_t)i, &birth->spec->limits[i]) < 0)
            child_fail(birth,
                       "one of its resource limits (see /proc/PID/limits) is above what this agent may give");
}

static void child_become_user(const struct birth *birth) {
    const struct start_spec *spec = birth->spec;
    if (geteuid() == 0 && setgroups(spec->ids.n_groups, spec->ids.groups) < 0)
        child_fail(birth, "setgroups");
    if (setresgid(spec->ids.gid, spec->ids.gid, spec->ids.gid) < 0 ||
        setresuid(spec->ids.uid, spec->ids.uid, spec->ids.uid) < 0)
        child_fail(birth, "setresuid");
}

static void child_descriptors(const struct birth *birth) {
    int null = open("/dev/null", O_RDONLY | O_NOCTTY);
    if (null < 0 || dup2(null, 0) < 0)
        child_fail(birth, "/dev/null");
    if (null > 0)
        close(null);
    child_open(birth, &birth->spec->output, 1);
    child_open(birth, &birth->spec->errors, 2);
}

static void child_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Everything that can fail without a look at the outside happens before the wait. */
_Noreturn static void child_run(struct birth *birth) {
    char go = 0;
    (void)prctl(PR_SET_NAME, unborn_name);
    /* Out of the way of 0, 1 and 2, then everything else is closed. */
    int go_fd = fcntl(birth->go_fd, F_DUPFD_CLOEXEC, 10),
        result_fd = fcntl(birth->result_fd, F_DUPFD_CLOEXEC, 10);
    if (go_fd < 0 || result_fd < 0)
        _exit(127);
    birth->result_fd = result_fd;
    for (int fd = 3; fd < 10; fd++)
        close(fd);
    int low = go_fd < result_fd ? go_fd : result_fd, high = go_fd < result_fd ? result_fd : go_fd;
    if (low > 10)
        (void)syscall(SYS_close_range, 10, low - 1, 0);
    if (high > low + 1)
        (void)syscall(SYS_close_range, low + 1, high - 1, 0);
    (void)syscall(SYS_close_range, high + 1, ~0u, 0);
    child_signals();
    if (setsid() < 0)
        child_fail(birth, "setsid");
    umask(birth->spec->ids.umask);
    child_limits(birth);
    child_become_user(birth);
    child_descriptors(birth);
    if (chdir(birth->spec->directory) < 0)
        child_fail(birth, birth->spec->directory);
    ssize_t n = write(result_fd, &ready_word, 1);
    if (n != 1)
        _exit(126);
    do
        n = read(go_fd, &go, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(0); /* the agent is gone or has thought better of it */
    execve(birth->spec->executable, (char *const *)(uintptr_t)birth->spec->arguments,
           (char *const *)(uintptr_t)birth->spec->environment);
    child_fail(birth, birth->spec->executable);
}

/* ---- the parent ---- */

void child_deinit(struct waiting_child *child) {
    if (child->id.pid == 0)
        return;
    bool waits = child->go_fd >= 0;
    closep(&child->go_fd);
    closep(&child->result_fd);
    if (waits)
        (void)waitpid(child->id.pid, NULL, 0); /* it reads the end of its pipe and leaves */
    *child = (struct waiting_child){.go_fd = -1, .result_fd = -1};
}

/* Folder, files, user and limits of the service have been tried by now: what is left to fail is the exec itself. */
static int wait_ready(struct waiting_child *child, struct error *err) {
    char text[256];
    struct pollfd poll_fd = {.fd = child->result_fd, .events = POLLIN};
    if (poll(&poll_fd, 1, READY_WAIT_MS) <= 0)
        return error_set(err, -ETIMEDOUT, "it cannot be started: its folder or files do not answer");
    ssize_t n = read(child->result_fd, text, sizeof(text) - 1);
    if (n == 1 && text[0] == ready_word)
        return 0;
    text[n > 0 ? n : 0] = 0;
    return error_set(err, -ENOEXEC, "it cannot be started: %s", n > 0 ? text : "the child ended");
}

int child_prepare(const struct start_spec *spec, struct waiting_child *out, struct error *err) {
    struct waiting_child child = {.go_fd = -1, .result_fd = -1};
    int go[2], result[2];
    struct birth birth = {.spec = spec};
    int r;
    snprintf(birth.oom, sizeof(birth.oom), "%d", (int)spec->oom_score);
    if (pipe2(go, O_CLOEXEC) < 0)
        return error_errno(err, -errno, "pipe");
    if (pipe2(result, O_CLOEXEC) < 0) {
        r = -errno;
        close(go[0]);
        close(go[1]);
        return error_errno(err, r, "pipe");
    }
    birth.go_fd = go[0];
    birth.result_fd = result[1];
    pid_t pid = fork();
    if (pid == 0)
        child_run(&birth);
    r = pid < 0 ? -errno : 0;
    close(go[0]);
    close(result[1]);
    child.id.pid = pid > 0 ? pid : 0;
    child.go_fd = go[1];
    child.result_fd = result[0];
    (void)fcntl(result[0], F_SETFL, O_NONBLOCK);
    if (r < 0) {
        close(go[1]);
        close(result[0]);
        return error_errno(err, r, "fork");
    }
    r = wait_ready(&child, err);
    if (r == 0)
        r = procfs_identify(pid, &child.id, err);
    if (r < 0) {
        child_deinit(&child);
        return r;
    }
    *out = child;
    return 0;
}

int child_release(struct waiting_child *child) {
    ssize_t n;
    do
        n = write(child->go_fd, "1", 1);
    while (n < 0 && errno == EINTR);
    int r = n == 1 ? 0 : -errno;
    close(child->go_fd);
    child->go_fd = -1;
    return r;
}

int child_result(struct waiting_child *child, struct error *err) {
    char text[256];
    if (child->result_fd < 0)
        return 0;
    ssize_t n = read(child->result_fd, text, sizeof(text) - 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    close(child->result_fd);
    child->result_fd = -1;
    if (n <= 0)
        return 0;
    text[n] = 0;
    return error_set(err, -ENOEXEC, "it cannot be started: %s", text);
}

/* ---- strangers ---- */

int process_open(const struct process_id *id) {
    if (id->pid <= 0)
        return -ESRCH;
    int fd = (int)syscall(SYS_pidfd_open, id->pid, 0);
    if (fd < 0)
        return -errno;
    /* Checked after the descriptor is held: from here on the pid cannot become somebody else's. */
    if (!procfs_alive(id)) {
        close(fd);
        return -ESRCH;
    }
    return fd;
}

bool process_has_ended(int pidfd, const struct process_id *id) {
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) > 0 || !procfs_alive(id);
}

int process_signal(int pidfd, int signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

void process_epitaph(const struct process_id *id, char *out, size_t size) {
    int status;
    pid_t pid = waitpid(id->pid, &status, WNOHANG);
    if (pid != id->pid)
        snprintf(out, size, "its exit code is unknown, since this agent did not start it");
    else if (WIFSIGNALED(status))
        snprintf(out, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, size, "exit code %d", WEXITSTATUS(status));
}

/* By its name, which every exec replaces: the executable of a process that may not be dumped is hidden from most. */
static bool has_our_name(pid_t pid) {
    char path[64];
    _cleanup_(buffer_deinit) struct buffer ours = {0}, its = {0};
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    if (file_read("/proc/self/comm", 64, &ours, NULL) < 0 || file_read(path, 64, &its, NULL) < 0)
        return false;
    return bytes_equal(buffer_bytes(&ours), buffer_bytes(&its)) ||
           (its.len > 0 && bytes_equal(bytes_of_text(unborn_name), (struct bytes){its.data, its.len - 1}));
}

bool process_is_unborn(const struct process_id *id) {
    _cleanup_(closep) int fd = process_open(id);
    if (fd < 0)
        return true;
    for (int ms = 0; ms < UNBORN_WAIT_MS; ms++) {
        if (process_has_ended(fd, id))
            return true;
        if (!has_our_name(id->pid))
            return false;
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        (void)poll(&poll_fd, 1, 1);
    }
    return process_signal(fd, SIGKILL) == 0 || !procfs_alive(id);
}

/* The main process of a unit, or 0 when systemd cannot be asked (another PID 1, no bus). */
static pid_t main_pid_of(const char *unit) {
    sd_bus *bus = NULL;
    char *path = NULL;
    uint32_t pid = 0;
    if (sd_bus_open_system(&bus) >= 0 &&
        sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) >= 0 &&
        sd_bus_get_property_trivial(bus, "org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Service",
                                    "MainPID", NULL, 'u', &pid) < 0)
        pid = 0;
    free(path);
    sd_bus_flush_close_unref(bus);
    return (pid_t)pid;
}

/* "x.service" when that is the process's own cgroup, else "". */
static const char *unit_of(pid_t pid, struct arena *arena) {
    const char *path = "";
    if (procfs_cgroup(pid, arena, &path, NULL) < 0)
        return "";
    const char *unit = strrchr(path, '/'), *suffix = unit ? strrchr(unit, '.') : NULL;
    return suffix && strcmp(suffix, ".service") == 0 ? unit + 1 : "";
}

int process_may_be_taken(pid_t pid, struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(64 * 1024);
    if (!arena)
        return error_set(err, -ENOMEM, "out of memory");
    const char *its = unit_of(pid, arena), *ours = unit_of(getpid(), arena);
    if (its[0] == 0 || strcmp(its, ours) == 0)
        return 0;
    pid_t main_pid = main_pid_of(its);
    if (main_pid > 0 && main_pid != pid)
        return 0; /* started from within that unit (by cron, by a shell), not owned by it */
    return error_set(err, -EPERM,
                     "process %d belongs to %s of systemd, which would start it again; this agent takes only "
                     "processes that no service manager owns",
                     (int)pid, its);
}
