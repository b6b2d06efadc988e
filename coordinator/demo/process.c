/* The demonstration's service manager. One loop waits for signals only (SIGCHLD among them); whatever the story waits for,
 * it waits through this loop, so that a process that was killed is started again at once. Descendants that lose their
 * parent become ours (PR_SET_CHILD_SUBREAPER), so none can be left behind. */
#include "coordinator/demo/demo.h"
#include "common/base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

enum { STARTS_MAX = 60, STOP_WAIT_MS = 3000 };

int64_t demo_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct process *process_add(struct demo *demo, const char *log, const char *format, ...) {
    if (demo->n_processes == PROCESSES_MAX)
        abort();
    struct process *process = &demo->processes[demo->n_processes++];
    va_list args;
    va_start(args, format);
    vsnprintf(process->name, sizeof(process->name), format, args);
    va_end(args);
    process->log = strdup(log);
    return process;
}

void process_argument(struct process *process, const char *format, ...) {
    size_t n = 0;
    while (process->argv[n])
        n++;
    if (n + 1 >= PROCESS_ARGUMENTS_MAX)
        abort();
    va_list args;
    va_start(args, format);
    if (vasprintf(&process->argv[n], format, args) < 0)
        abort();
    va_end(args);
}

/* The killing wrapper, in front of the command; its words live in `words`. */
static size_t killpoint_words(const struct demo *demo, const struct process *process, const char **words) {
    static char at[16], report[KEDGE_PATH_MAX];
    if (!demo->killpoint || process->n_starts >= process->n_kills)
        return 0;
    const struct kill_point *point = &process->kills[process->n_starts];
    size_t n = 0;
    snprintf(at, sizeof(at), "%u", point->at);
    words[n++] = demo->killpoint;
    words[n++] = "--program";
    words[n++] = point->program;
    words[n++] = "--count";
    words[n++] = point->count;
    words[n++] = "--at";
    words[n++] = at;
    if (point->after)
        words[n++] = "--after-entry";
    if (point->trigger) {
        words[n++] = "--trigger";
        words[n++] = point->trigger;
    }
    if (point->trigger_text) {
        words[n++] = "--trigger-text";
        words[n++] = point->trigger_text;
    }
    demo_kill_report_path(demo, process, process->n_starts, report, sizeof(report));
    words[n++] = "--report";
    words[n++] = report;
    words[n++] = "--";
    return n;
}

static void child_exec(const struct demo *demo, const struct process *process) {
    const char *words[PROCESS_ARGUMENTS_MAX + 16] = {NULL};
    size_t n = killpoint_words(demo, process, words);
    for (size_t i = 0; process->argv[i]; i++)
        words[n++] = process->argv[i];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = open(process->log, O_WRONLY | O_CREAT | O_APPEND, 0644), null = open("/dev/null", O_RDONLY);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(126);
    if (log > 2)
        close(log);
    if (null > 2)
        close(null);
    if (process->folder && chdir(process->folder) < 0)
        _exit(126);
    execv(words[0], (char *const *)(uintptr_t)words);
    _exit(127);
}

int process_start(struct demo *demo, struct process *process) {
    pid_t pid = fork();
    if (pid < 0)
        return error_errno(demo->err, -errno, "starting %s", process->name);
    if (pid == 0)
        child_exec(demo, process);
    process->pid = pid;
    process->n_starts++;
    return 0;
}

static struct process *process_of(struct demo *demo, pid_t pid) {
    for (size_t i = 0; i < demo->n_processes; i++)
        if (demo->processes[i].pid == pid)
            return &demo->processes[i];
    return NULL;
}

/* The end of a log; the folder with the whole of it is removed. */
static void last_words(const struct process *process, char *out, size_t size) {
    _cleanup_(buffer_deinit) struct buffer log = {0};
    *out = 0;
    if (file_read(process->log, (size_t)16 * 1024 * 1024, &log, NULL) < 0 || log.len == 0)
        return;
    size_t from = log.len >= size ? log.len - size + 1 : 0;
    snprintf(out, size, "%s", (const char *)log.data + from);
}

static int on_end(struct demo *demo, struct process *process, int status) {
    process->pid = 0;
    bool killed = (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
                  (WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGKILL);
    process->n_killed += killed;
    if (!process->restarts || demo->stopping)
        return 0;
    if (!killed && process->n_starts >= 3) {
        char words[1024];
        last_words(process, words, sizeof(words));
        return error_set(demo->err, -ECHILD, "%s ended by itself, %s %d:\n%s", process->name,
                         WIFSIGNALED(status) ? "signal" : "exit code",
                         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), words);
    }
    if (process->n_starts >= STARTS_MAX)
        return error_set(demo->err, -ECHILD, "%s was started %u times", process->name, process->n_starts);
    return process_start(demo, process);
}

static int reap(struct demo *demo) {
    int status, r = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct process *process = process_of(demo, pid);
        if (pid == demo->command) {
            demo->command = 0;
            demo->command_status = status;
        }
        if (process && r == 0)
            r = on_end(demo, process, status);
    }
    return r;
}

int demo_pump(struct demo *demo, int timeout_ms) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
    int signal = sigtimedwait(&set, NULL, &timeout);
    if (signal > 0 && signal != SIGCHLD && !demo->stopping) {
        demo->signal = signal;
        return error_set(demo->err, -EINTR, "ended by signal %d", signal);
    }
    return reap(demo);
}

int demo_wait(struct demo *demo, demo_condition *condition, const char *what, int seconds) {
    int64_t deadline = demo_now_ms() + (int64_t)seconds * 1000;
    for (;;) {
        int r = condition(demo);
        if (r != 0)
            return r > 0 ? 0 : r;
        if (demo_now_ms() > deadline)
            return error_set(demo->err, -ETIME, "not within %d s: %s; the logs are in %s", seconds, what,
                             demo->folder);
        r = demo_pump(demo, 50);
        if (r < 0)
            return r;
    }
}

/* Kills what became ours: services that executors had started, helpers whose executor is gone. */
static bool orphans_kill(void) {
    char path[64], line[4096];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    _cleanup_(fclosep) FILE *file = fopen(path, "re");
    if (!file || !fgets(line, sizeof(line), file))
        return false;
    for (char *at = line, *end; *at; at = end + strspn(end, " ")) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        found = kill((pid_t)pid, SIGKILL) == 0 || found;
    }
    return found;
}

void demo_stop_all(struct demo *demo) {
    demo->stopping = true;
    /* Kedge first, so that nobody starts again what is stopped; services end in peace. */
    for (size_t i = demo->n_processes; i-- > 0;)
        if (demo->processes[i].pid > 0)
            kill(demo->processes[i].pid, SIGTERM);
    int64_t deadline = demo_now_ms() + STOP_WAIT_MS;
    for (;;) {
        bool any = false;
        for (size_t i = 0; i < demo->n_processes; i++)
            any = any || demo->processes[i].pid > 0;
        if (!any || demo_now_ms() > deadline)
            break;
        (void)!demo_pump(demo, 20);
    }
    /* Killing one may hand its children to us, so until there is nobody. */
    while (orphans_kill() && demo_now_ms() < deadline + STOP_WAIT_MS)
        (void)!demo_pump(demo, 20);
}
