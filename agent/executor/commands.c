/* Why a process group of its own and a pidfd: at the deadline everything that the command has started is killed with it,
 * and the end of the command is an event like all others. Output goes through one pipe: what a command says of its
 * failure stands between what it says of its work. A grandchild that keeps the pipe open does not delay the end. */
#include "agent/executor/commands.h"

#include "common/base/limits.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct command_run {
    pid_t pid;
    int pidfd, pipe;
    sd_event_source *ended, *readable, *deadline;
    struct buffer output;
    bool expired;
    uint32_t deadline_ms;
    command_done done;
    void *context;
};

static int pidfd_of(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static struct command_run *run_free(struct command_run *run) {
    sd_event_source_disable_unref(run->ended);
    sd_event_source_disable_unref(run->readable);
    sd_event_source_disable_unref(run->deadline);
    closep(&run->pidfd);
    closep(&run->pipe);
    buffer_deinit(&run->output);
    free(run);
    return NULL;
}

static void group_kill(const struct command_run *run) {
    if (run->pid > 0)
        kill(-run->pid, SIGKILL);
}

struct command_run *command_cancel(struct command_run *run) {
    if (!run)
        return NULL;
    group_kill(run);
    if (run->pid > 0)
        waitpid(run->pid, NULL, 0);
    return run_free(run);
}

static void output_drain(struct command_run *run) {
    uint8_t chunk[4096];
    for (;;) {
        ssize_t n = read(run->pipe, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            sd_event_source_set_enabled(run->readable, SD_EVENT_OFF);
        if (n <= 0)
            return;
        size_t room = KEDGE_COMMAND_OUTPUT_BYTES_MAX - run->output.len;
        buffer_append(&run->output, chunk, (size_t)n < room ? (size_t)n : room);
    }
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
    (void)source;
    (void)fd;
    (void)events;
    output_drain(userdata);
    return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
    (void)source;
    (void)usec;
    struct command_run *run = userdata;
    run->expired = true;
    group_kill(run);
    return 0;
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *userdata) {
    (void)source;
    (void)fd;
    (void)events;
    struct command_run *run = userdata;
    int status = 0;
    output_drain(run);
    group_kill(run); /* what it left behind */
    waitpid(run->pid, &status, 0);
    run->pid = 0;
    char problem[128] = "";
    if (run->expired)
        snprintf(problem, sizeof(problem), "did not end within %u ms and was killed", run->deadline_ms);
    else if (WIFSIGNALED(status))
        snprintf(problem, sizeof(problem), "was ended by signal %d", WTERMSIG(status));
    else if (run->output.failed)
        snprintf(problem, sizeof(problem), "its output could not be kept: out of memory");
    struct command_result result = {.exit_code = problem[0] ? -1 : WEXITSTATUS(status),
                                    .output = buffer_bytes(&run->output),
                                    .problem = problem,
                                    .expired = run->expired};
    command_done done = run->done;
    void *context = run->context;
    done(context, &result);
    run_free(run);
    return 0;
}

/* ---- in the child: nothing but system calls ---- */

static int become(const struct proc_identity *identity) {
    if (!identity || geteuid() != 0)
        return 0;
    if (setgroups(identity->n_groups, identity->groups) < 0 || setgid(identity->gid) < 0 ||
        setuid(identity->uid) < 0)
        return -1;
    return 0;
}

static _Noreturn void child_run(const struct command_spec *spec, int output, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDONLY);
    const char *failed = "setpgid";
    if (setpgid(0, 0) < 0 || null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        goto out;
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    umask(spec->identity ? spec->identity->umask : 077);
    failed = "user";
    if (become(spec->identity) < 0)
        goto out;
    /* A command that outlived a killed agent would run beside its own repetition. After the user: a change clears it. */
    failed = "the agent";
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        goto out;
    failed = spec->directory;
    if (chdir(spec->directory) < 0)
        goto out;
    failed = spec->arguments[0];
    execve(spec->arguments[0], (char *const *)(uintptr_t)spec->arguments,
           (char *const *)(uintptr_t)spec->environment);
out:
    dprintf(2, "cannot start: %s: %s\n", failed, strerror(errno));
    _exit(127);
}

static int sources_add(sd_event *loop, struct command_run *run) {
    int r = sd_event_add_io(loop, &run->ended, run->pidfd, EPOLLIN, on_ended, run);
    if (r >= 0)
        r = sd_event_add_io(loop, &run->readable, run->pipe, EPOLLIN, on_readable, run);
    if (r >= 0)
        r = sd_event_add_time_relative(loop, &run->deadline, CLOCK_MONOTONIC,
                                       (uint64_t)run->deadline_ms * 1000, 1000, on_deadline, run);
    /* What was said is read before the end is told. */
    if (r >= 0)
        r = sd_event_source_set_priority(run->ended, SD_EVENT_PRIORITY_NORMAL + 1);
    return r < 0 ? r : 0;
}

int command_start(sd_event *loop, const struct command_spec *spec, command_done done, void *context,
                  struct command_run **outp, struct error *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_errno(err, -errno, "%s", spec->arguments[0]);
    struct command_run *run = calloc(1, sizeof(*run));
    if (!run) {
        close(ends[0]);
        close(ends[1]);
        return error_set(err, -ENOMEM, "%s: out of memory", spec->arguments[0]);
    }
    *run = (struct command_run){
        .pidfd = -1, .pipe = ends[0], .deadline_ms = spec->deadline_ms, .done = done, .context = context};
    fcntl(ends[1], F_SETFL, 0); /* the command's end blocks, as programs expect */
    pid_t parent = getpid();
    run->pid = fork();
    if (run->pid == 0)
        child_run(spec, ends[1], parent);
    int r = run->pid < 0 ? -errno : 0;
    close(ends[1]);
    if (r == 0)
        setpgid(run->pid, run->pid); /* whoever comes first */
    if (r == 0 && (run->pidfd = pidfd_of(run->pid)) < 0)
        r = -errno;
    if (r == 0)
        r = sources_add(loop, run);
    if (r < 0) {
        command_cancel(run);
        return error_errno(err, r, "%s", spec->arguments[0]);
    }
    *outp = run;
    return 0;
}
