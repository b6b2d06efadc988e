/*
 * kedge-killpoint: runs a command and kills one of its processes, as a whole, at an exact point: the N-th system call,
 * or the N-th write to the disk, counted from when a trigger file exists. The demonstration and the fault tests find
 * out with it what a crash between any two steps does.
 *
 * Why ptrace and not a hook in the programs: what is killed is the program as it ships, and it cannot know. Traced are
 * the command and its children until they have become another program; those that are not the one that is looked for
 * (services!) are let go at once, so they never die with it. PTRACE_O_EXITKILL sees to it that nothing traced outlives
 * us by accident.
 *
 * Exit code: that of the command; 128 + signal when it was killed; 2 usage; 125 when ptrace is not permitted.
 */
#include "common/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { TRACEES_MAX = 256, EXIT_USAGE = 2, EXIT_NOT_PERMITTED = 125 };

static const char help[] =
    "kedge-killpoint --program NAME --at N [OPTIONS] -- COMMAND...: kill NAME at its N-th point\n"
    "  --program NAME     the process to count in and to kill: the file name of its executable\n"
    "  --count WHAT       fdatasync (and fsync), or all system calls (all)\n"
    "  --at N             which one, from 1; 0 kills nothing and only counts\n"
    "  --after-entry      at the end of that call, not before it\n"
    "  --trigger FILE     count only from when this file exists\n"
    "  --trigger-text T   and has this text in it (a log)\n"
    "  --report FILE      write what was counted\n"
    "Example: kedge-killpoint --program kedged --count fdatasync --at 7 -- kedged --state /tmp/x\n";

struct tracee {
    pid_t tid, tgid;
    bool counted;
    uint64_t number; /* of the call that it is in: the end of a call does not say which one it was */
};

static struct {
    const char *program, *trigger, *trigger_text, *report;
    off_t trigger_read; /* so much of the file has been looked at */
    uint64_t at, count;
    bool only_syncs, at_exit;
    bool triggered, killed;
    pid_t root;
    int root_status;
    bool root_ended;
    struct tracee tracees[TRACEES_MAX];
    size_t n_tracees;
} kp;

static int fail(int status, const char *what, int code) {
    fprintf(stderr, "kedge-killpoint: %s%s%s\n", what, code ? ": " : "", code ? strerror(code) : "");
    return status;
}

/* ---- who is traced ---- */

static struct tracee *tracee_find(pid_t tid) {
    for (size_t i = 0; i < kp.n_tracees; i++)
        if (kp.tracees[i].tid == tid)
            return &kp.tracees[i];
    return NULL;
}

static pid_t group_of(pid_t tid) {
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/status", tid);
    _cleanup_(fclosep) FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "Tgid:", 5) == 0)
            return (pid_t)strtol(line + 5, NULL, 10);
    return tid;
}

static bool is_program(pid_t tid) {
    char path[64], target[4096];
    snprintf(path, sizeof(path), "/proc/%d/exe", tid);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return false;
    target[n] = 0;
    const char *slash = strrchr(target, '/');
    return slash && strcmp(slash + 1, kp.program) == 0;
}

/* A thread of a counted process is counted; a forked child only once it has become the program itself. */
static struct tracee *tracee_add(pid_t tid) {
    if (kp.n_tracees == TRACEES_MAX)
        return NULL;
    struct tracee *t = &kp.tracees[kp.n_tracees];
    *t = (struct tracee){.tid = tid, .tgid = group_of(tid)};
    const struct tracee *leader = t->tgid != tid ? tracee_find(t->tgid) : NULL;
    t->counted = leader && leader->counted;
    kp.n_tracees++;
    return t;
}

static void tracee_remove(pid_t tid) {
    struct tracee *t = tracee_find(tid);
    if (t)
        *t = kp.tracees[--kp.n_tracees];
}

static void let_go(pid_t tid, int signal) {
    ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)signal);
    tracee_remove(tid);
}

static void go_on(const struct tracee *t, int signal) {
    ptrace(t->counted ? PTRACE_SYSCALL : PTRACE_CONT, t->tid, NULL, (void *)(intptr_t)signal);
}

/* ---- the point ---- */

static void report_write(void) {
    if (!kp.report)
        return;
    _cleanup_(fclosep) FILE *file = fopen(kp.report, "we");
    if (file)
        fprintf(file, "count=%llu\nkilled=%s\n", (unsigned long long)kp.count, kp.killed ? "yes" : "no");
}

static void strike(const struct tracee *t) {
    kp.killed = true;
    kill(t->tgid, SIGKILL);
    report_write();
    /* The rest is let go: each stops for that, see on_stop. */
    for (size_t i = 0; i < kp.n_tracees; i++)
        if (kp.tracees[i].tgid != t->tgid)
            ptrace(PTRACE_INTERRUPT, kp.tracees[i].tid, NULL, NULL);
}

/* Looks at what was added since the last time, and a text's length before it. */
static bool trigger_has_text(void) {
    char block[65536];
    size_t len = strlen(kp.trigger_text);
    struct stat st;
    if (stat(kp.trigger, &st) < 0 || st.st_size <= kp.trigger_read || len == 0 || len >= sizeof(block))
        return false;
    _cleanup_(closep) int fd = open(kp.trigger, O_RDONLY | O_CLOEXEC);
    off_t from = kp.trigger_read > (off_t)len ? kp.trigger_read - (off_t)len : 0;
    ssize_t n = fd < 0 ? -1 : pread(fd, block, sizeof(block), from);
    if (n <= 0)
        return false;
    kp.trigger_read = from + n;
    return memmem(block, (size_t)n, kp.trigger_text, len) != NULL;
}

static bool counts(uint64_t number) {
    if (!kp.triggered && kp.trigger)
        kp.triggered = kp.trigger_text ? trigger_has_text() : access(kp.trigger, F_OK) == 0;
    if (kp.trigger && !kp.triggered)
        return false;
    return !kp.only_syncs || number == SYS_fdatasync || number == SYS_fsync;
}

/* True when it was struck. A call is counted at its begin or at its end, as asked. */
static bool on_syscall(struct tracee *t) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, (void *)sizeof(info), &info) <= 0)
        return false;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        t->number = info.entry.nr;
    bool here = info.op == (kp.at_exit ? PTRACE_SYSCALL_INFO_EXIT : PTRACE_SYSCALL_INFO_ENTRY);
    if (!here || !counts(t->number))
        return false;
    if (++kp.count != kp.at)
        return false;
    strike(t);
    return true;
}

/* ---- events ---- */

static void on_exec(struct tracee *t) {
    t->tgid = t->tid;
    t->counted = is_program(t->tid);
    if (t->counted || t->tid == kp.root)
        go_on(t, 0);
    else
        let_go(t->tid, 0);
}

static void on_event(struct tracee *t, int event, int signal) {
    bool stops = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
    if (event == PTRACE_EVENT_EXEC)
        on_exec(t);
    else if (event == PTRACE_EVENT_STOP && stops)
        ptrace(PTRACE_LISTEN, t->tid, NULL, NULL);
    else
        go_on(t, 0); /* fork, vfork, clone: the child announces itself; a child's first stop */
}

static void on_stop(pid_t tid, int status) {
    int signal = WSTOPSIG(status), event = status >> 16;
    struct tracee *t = tracee_find(tid);
    if (!t)
        t = tracee_add(tid);
    if (!t || kp.killed) {
        bool ours = event != 0 || signal == (SIGTRAP | 0x80);
        let_go(tid, ours ? 0 : signal);
        return;
    }
    if (signal == (SIGTRAP | 0x80)) {
        if (!on_syscall(t))
            go_on(t, 0);
    } else if (event != 0) {
        on_event(t, event, signal);
    } else {
        go_on(t, signal);
    }
}

static void on_end(pid_t pid, int status) {
    tracee_remove(pid);
    if (pid == kp.root) {
        kp.root_status = status;
        kp.root_ended = true;
    }
}

/* Until the command has ended and nobody is traced any more; services that were let go are not ours to wait for. */
static int trace(void) {
    while (!kp.root_ended || kp.n_tracees > 0) {
        int status;
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            break;
        if (WIFSTOPPED(status))
            on_stop(pid, status);
        else
            on_end(pid, status);
    }
    if (!kp.killed)
        report_write();
    return WIFSIGNALED(kp.root_status) ? 128 + WTERMSIG(kp.root_status) : WEXITSTATUS(kp.root_status);
}

/* ---- begin ---- */

static void forward(int signal) {
    if (kp.root > 0 && !kp.root_ended)
        kill(kp.root, signal);
}

static int start(char **argv) {
    int gate[2];
    if (pipe(gate) < 0)
        return fail(1, "pipe", errno);
    kp.root = fork();
    if (kp.root < 0)
        return fail(1, "fork", errno);
    if (kp.root == 0) {
        char byte;
        close(gate[1]);
        if (read(gate[0], &byte, 1) != 1) /* until we are traced */
            _exit(EXIT_NOT_PERMITTED);
        close(gate[0]);
        execvp(argv[0], argv);
        _exit(fail(127, argv[0], errno));
    }
    close(gate[0]);
    intptr_t options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                       PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    int result = 0;
    if (ptrace(PTRACE_SEIZE, kp.root, NULL, (void *)options) < 0)
        result = fail(EXIT_NOT_PERMITTED, "ptrace is not permitted here", errno);
    else if (!tracee_add(kp.root) || write(gate[1], "g", 1) != 1)
        result = fail(1, "begin", errno);
    close(gate[1]);
    return result;
}

static bool number_take(const char *text, uint64_t *outp) {
    char *end;
    errno = 0;
    *outp = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"program", required_argument, NULL, 'p'},
                                            {"count", required_argument, NULL, 'c'},
                                            {"at", required_argument, NULL, 'a'},
                                            {"after-entry", no_argument, NULL, 'e'},
                                            {"trigger", required_argument, NULL, 't'},
                                            {"trigger-text", required_argument, NULL, 'x'},
                                            {"report", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool has_at = false;
    for (int option; (option = getopt_long(argc, argv, "+", options, NULL)) != -1;)
        switch (option) {
        case 'p': kp.program = optarg; break;
        case 'c':
            kp.only_syncs = strcmp(optarg, "fdatasync") == 0;
            if (!kp.only_syncs && strcmp(optarg, "all") != 0)
                return fail(EXIT_USAGE, "--count: expected fdatasync or all", 0);
            break;
        case 'a': has_at = number_take(optarg, &kp.at); break;
        case 'e': kp.at_exit = true; break;
        case 't': kp.trigger = optarg; break;
        case 'x': kp.trigger_text = optarg; break;
        case 'r': kp.report = optarg; break;
        case 'h': return fputs(help, stdout) >= 0 ? 0 : 1;
        default: return fail(EXIT_USAGE, "try --help", 0);
        }
    if (!kp.program || !has_at || optind == argc)
        return fail(EXIT_USAGE, "--program NAME, --at N and a command are needed; try --help", 0);
    struct sigaction action = {.sa_handler = forward};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    int result = start(argv + optind);
    if (result != 0 && kp.root > 0)
        kill(kp.root, SIGKILL);
    return result != 0 ? result : trace();
}
