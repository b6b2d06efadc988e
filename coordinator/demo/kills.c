/* demo --kill: which process dies where. With ptrace the points are exact: journal writes of the coordinator from the
 * moment the run has begun, before and after; system calls of executor, link and prober of one member each, from the
 * moment its agent has accepted the order to switch. Without ptrace it is plain SIGKILL, each when its member is first seen
 * away: in the middle of its switch. */
#include "coordinator/demo/demo.h"
#include "common/base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

static const char *const helpers[] = {"kedge-agent", "kedge-link", "kedge-prober"};

static void kill_add(struct process *process, struct kill_point point) {
    if (process->n_kills < KILLS_MAX)
        process->kills[process->n_kills++] = point;
}

static char *text_take(char *text, int n) {
    if (n < 0)
        abort();
    return text;
}

static const char *began_path(const struct demo *demo) {
    char *path = NULL;
    int n = asprintf(&path, "%s/run-has-begun", demo->folder);
    return text_take(path, n);
}

static const char *log_path(const struct demo *demo, unsigned node) {
    char *path = NULL;
    int n = asprintf(&path, "%s/nodes/n%u/agent.log", demo->folder, node);
    return text_take(path, n);
}

void demo_kills_plan_kedged(struct demo *demo) {
    static const struct {
        unsigned at;
        bool after;
    } points[] = {{2, false}, {4, true}, {7, false}, {5, true}, {11, false}};
    if (!demo->kill || !demo->killpoint)
        return;
    const char *trigger = began_path(demo);
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        kill_add(demo->kedged, (struct kill_point){.program = "kedged",
                                                   .count = "fdatasync",
                                                   .at = points[i].at,
                                                   .after = points[i].after,
                                                   .trigger = trigger});
}

void demo_kills_plan_agents(struct demo *demo) {
    static const unsigned points[] = {60, 8, 20};
    if (!demo->kill || !demo->killpoint)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(helpers); i++)
        kill_add(demo->agents[i], (struct kill_point){.program = helpers[i],
                                                      .count = "all",
                                                      .at = points[i],
                                                      .trigger = log_path(demo, i + 1),
                                                      .trigger_text = "step switch of plan"});
}

int demo_kills_begin(struct demo *demo) {
    if (!demo->kill || !demo->killpoint)
        return 0;
    int fd = open("run-has-begun", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(demo->err, -errno, "run-has-begun");
    close(fd);
    return 0;
}

void demo_kill_report_path(const struct demo *demo, const struct process *process, unsigned start, char *out,
                           size_t size) {
    snprintf(out, size, "%s/kill.%u.%u", demo->folder, (unsigned)(process - demo->processes), start);
}

/* A helper that dies under a living executor is known to its killer only. */
static bool was_killed(const struct demo *demo, const struct process *process, unsigned start) {
    char path[KEDGE_PATH_MAX], value[8];
    _cleanup_(buffer_deinit) struct buffer report = {0};
    demo_kill_report_path(demo, process, start, path, sizeof(path));
    return file_read(path, 4096, &report, NULL) == 0 && report.len > 0 &&
           demo_value((const char *)report.data, "killed", value, sizeof(value)) && strcmp(value, "yes") == 0;
}

unsigned demo_kills_count(const struct demo *demo) {
    unsigned n = demo->n_struck;
    for (size_t i = 0; i < demo->n_processes; i++) {
        const struct process *process = &demo->processes[i];
        n += demo->killpoint ? 0 : process->n_killed;
        for (unsigned start = 0; demo->killpoint && start < process->n_starts; start++)
            n += was_killed(demo, process, start);
    }
    return n;
}

/* ---- without ptrace ---- */

static bool runs_program(long pid, const char *program) {
    char path[64], target[KEDGE_PATH_MAX + 1];
    snprintf(path, sizeof(path), "/proc/%ld/exe", pid);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return false;
    target[n] = 0;
    const char *slash = strrchr(target, '/');
    return slash && strcmp(slash + 1, program) == 0;
}

/* The executor itself, or the child of it that runs this program; 0: not there. */
static pid_t helper_find(const struct process *agent, const char *program) {
    char path[64], line[4096] = "";
    if (agent->pid == 0 || runs_program(agent->pid, program))
        return agent->pid;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", agent->pid, agent->pid);
    _cleanup_(fclosep) FILE *file = fopen(path, "re");
    if (!file || !fgets(line, sizeof(line), file))
        return 0;
    for (char *at = line, *end;; at = end) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            return 0;
        if (runs_program(pid, program))
            return (pid_t)pid;
    }
}

static void strike(struct demo *demo, unsigned i) {
    pid_t pid = i < ARRAY_LEN(helpers) ? helper_find(demo->agents[i], helpers[i]) : 0;
    if (pid > 0 && kill(pid, SIGKILL) == 0)
        demo->n_struck += pid != demo->agents[i]->pid; /* the supervisor counts the executor's end itself */
    if (demo->kedged->pid > 0)
        kill(demo->kedged->pid, SIGKILL);
}

void demo_kills_by_events(struct demo *demo) {
    if (!demo->kill || demo->killpoint || !demo->run)
        return;
    for (unsigned i = 0; i < demo->n_members; i++) {
        _cleanup_(buffer_deinit) struct buffer health = {0};
        char version[32] = "";
        if (demo->struck[i])
            continue;
        if (demo_http_get(demo->ports[i], "/health", &health) &&
            demo_value((const char *)health.data, "version", version, sizeof(version)) &&
            strcmp(version, "1.0.0") == 0)
            continue;
        demo->struck[i] = true;
        strike(demo, i);
    }
}
