/* SIGKILL for the agent at every record that it writes during a switch, just before the write and just after it. Each
 * time the next agent ends the switch as if nothing had been: the service was stopped once and started once. */
#include "tests/unit/test.h"

#include "tests/scenario/agent_world.h"

#include <signal.h>
#include <sys/wait.h>

static const char *releases, *prober;
static int left = -1;    /* records until the end; -1: never */
static bool after_write; /* die after the record, not before */

__attribute__((constructor)) static void begin(void) {
    releases = getenv("KEDGE_STORE_RELEASES");
    prober = getenv("KEDGE_PROBER");
}

int __real_journal_put(struct journal *journal, enum record_type type, const char *key, struct bytes value);
int __wrap_journal_put(struct journal *journal, enum record_type type, const char *key, struct bytes value);

/* The linker puts this in the place of journal_put (--wrap). */
int __wrap_journal_put(struct journal *journal, enum record_type type, const char *key, struct bytes value) {
    bool last = left > 0 && --left == 0;
    if (last && !after_write)
        (void)raise(SIGKILL);
    int r = __real_journal_put(journal, type, key, value);
    if (last)
        (void)raise(SIGKILL);
    return r;
}

/* True if it was killed; false when the step ended before the n-th record. */
static bool run_and_die(struct agent_world *w, const char *step, int n) {
    pid_t pid = fork();
    if (pid == 0) {
        left = -1;
        if (!world_agent_start(w, prober))
            _exit(2);
        left = n;
        _exit(world_order(w, step) ? 0 : 3);
    }
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static bool one_crash(int n, bool after, unsigned *n_killed) {
    struct agent_world w;
    bool killed = false;
    after_write = after;
    if (!check(world_init(&w, releases, "1.1.0") && world_agent_start(&w, prober) && world_adopt(&w)))
        return false;
    const struct report *report = world_order(&w, "prepare");
    if (check(report && report->outcome == OUTCOME_DONE)) {
        world_agent_stop(&w);
        killed = run_and_die(&w, "switch", n);
        *n_killed += killed;
        check(world_agent_start(&w, prober));
        report = world_order(&w, "switch"); /* as the coordinator does: delivered at least once */
        if (!report || report->outcome != OUTCOME_DONE)
            test_fail(__FILE__, __LINE__, "killed %s record %d: %s, %s", after ? "after" : "before", n,
                      report ? outcome_text(report->outcome) : "no report", report ? report->reason : "");
        check_eq_str(world_answer(&w), "1.1.0 read-only");
        check_eq_int(world_count(&w, "serves"), 2);
        check_eq_int(world_count(&w, "stopped"), 1);
        check(executor_member(w.executor, "c/store@n1")->process.id.pid > 0);
    }
    world_deinit(&w);
    return killed;
}

TEST("A41 F27 the agent is killed at every record of a switch") {
    unsigned n_killed = 0;
    for (int n = 1; n < 100; n++) {
        bool before = one_crash(n, false, &n_killed), after = one_crash(n, true, &n_killed);
        if (!before && !after)
            break;
    }
    printf("# %u kills\n", n_killed);
    check(n_killed >= 20);
}
