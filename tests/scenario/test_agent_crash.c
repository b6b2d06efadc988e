/* SIGKILL for the agent at every record that it writes during a switch, just before the write and just after it. Each
 * time the next agent ends the switch as if nothing had been: the service was stopped once and started once. */
#include "tests/unit/test.h"

#include "tests/scenario/agent_world.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *releases, *prober;
static int left = -1;    /* records until the end; -1: never */
static bool after_write; /* die after the record, not before */
static bool disk_fails;  /* do not die: from that record on nothing can be written */

__attribute__((constructor)) static void begin(void) {
    releases = getenv("KEDGE_STORE_RELEASES");
    prober = getenv("KEDGE_PROBER");
}

int __real_journal_put(struct journal *journal, enum record_type type, const char *key, struct bytes value);
int __wrap_journal_put(struct journal *journal, enum record_type type, const char *key, struct bytes value);

/* Every write behind this many bytes of a file fails from now on. */
static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    (void)signal(SIGXFSZ, SIG_IGN);
    check(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = bytes;
    check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* The linker puts this in the place of journal_put (--wrap). */
int __wrap_journal_put(struct journal *journal, enum record_type type, const char *key, struct bytes value) {
    bool last = left > 0 && --left == 0;
    if (last && disk_fails) {
        limit_files(4096);
        return __real_journal_put(journal, type, key, value);
    }
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

/* As the coordinator does: what waits (here for a mode that nobody can tell yet, right after a start) is ordered again. */
static const struct report *order_until_it_acts(struct agent_world *w, const char *step) {
    uint64_t until = clock_monotonic_us() + 20000000;
    const struct report *report = world_order(w, step);
    while (report && report->outcome == OUTCOME_WAITS && clock_monotonic_us() < until)
        report = world_order(w, step);
    return report;
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
        report = world_order(&w, "switch"); /* as the coordinator does: delivered at least once, */
        if (report && report->outcome == OUTCOME_WAITS) /* and when nothing was stopped yet, ordered anew */
            report = world_order(&w, "switch");
        if (!report || report->outcome != OUTCOME_DONE)
            test_fail(__FILE__, __LINE__, "killed %s record %d: %s, %s", after ? "after" : "before", n,
                      report ? outcome_text(report->outcome) : "no report", report ? report->reason : "");
        check_eq_str(world_answer(&w), "1.1.0 read-only");
        check(world_counts(&w, "serves", 2));
        check(world_counts(&w, "stopped", 1));
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

TEST("F05 F27 the host dies at every record of a switch: one generation runs, and the report says which") {
    unsigned n_killed = 0;
    after_write = true;
    for (int n = 1; n < 100; n++) {
        struct agent_world w;
        require(world_init(&w, releases, "1.1.0") && world_agent_start(&w, prober) && world_adopt(&w));
        const struct report *report = world_order(&w, "prepare");
        require(report && report->outcome == OUTCOME_DONE);
        world_agent_stop(&w);
        bool killed = run_and_die(&w, "switch", n);
        n_killed += killed;
        require(world_reboot(&w) && world_agent_start(&w, prober));
        check(world_answers(&w)); /* with no order from anybody */
        report = order_until_it_acts(&w, "switch");
        /* Failed: the order was heard and nothing had changed; the coordinator orders it again. */
        bool old = report && (report->outcome == OUTCOME_RETURNED || report->outcome == OUTCOME_FAILED);
        bool new = report && report->outcome == OUTCOME_DONE;
        if (!old && !new)
            test_fail(__FILE__, __LINE__, "host died at record %d: %s: %s", n,
                      report ? outcome_text(report->outcome) : "no report", report ? report->reason : "");
        check_eq_str(world_answer(&w), old ? "1.0.0 read-write" : "1.1.0 read-only");
        check_eq_int(world_kill_services(&w), 1);
        world_deinit(&w);
        if (!killed)
            break;
    }
    printf("# %u kills\n", n_killed);
    check(n_killed >= 10);
}

TEST("after a restart of the host what was proven last is started, and what was down stays down") {
    struct agent_world w;
    after_write = false;
    require(world_init(&w, releases, "1.1.0") && world_agent_start(&w, prober) && world_adopt(&w));
    check(world_order(&w, "prepare") && world_order(&w, "switch"));
    world_agent_stop(&w);
    require(world_reboot(&w) && world_agent_start(&w, prober));
    check(world_answers(&w));
    check_eq_str(world_answer(&w), "1.1.0 read-only");

    (void)world_kill_services(&w);
    struct member *m = executor_member(w.executor, "c/store@n1");
    for (int i = 0; i < 500 && m->process.id.pid > 0; i++)
        (void)sd_event_run(w.executor->loop, 10000);
    check_eq_int(m->origin, ORIGIN_CRASH);
    world_agent_stop(&w);
    require(world_reboot(&w) && world_agent_start(&w, prober));
    for (int i = 0; i < 20; i++)
        (void)sd_event_run(w.executor->loop, 10000);
    check_eq_str(world_answer(&w), "");
    world_deinit(&w);
}

TEST("a disk that fails at any record of a switch: nothing is stopped, or what was begun is finished from "
     "memory") {
    unsigned n_finished = 0, n_untouched = 0;
    bool more = true;
    disk_fails = true;
    for (int n = 1; n < 100 && more; n++) {
        struct agent_world w;
        require(world_init(&w, releases, "1.1.0") && world_agent_start(&w, prober) && world_adopt(&w));
        check(world_order(&w, "prepare") != NULL);
        left = n;
        world_send(&w, "switch", NULL, NULL);
        struct member *m = executor_member(w.executor, "c/store@n1");
        uint64_t until = clock_monotonic_us() + 10000000;
        while ((m->incoming || machine_is_busy(&m->machine)) && clock_monotonic_us() < until)
            (void)sd_event_run(w.executor->loop, 10000);
        more = left == 0;
        left = -1;
        bool finished = world_count(&w, "stopped") == 1;
        n_finished += finished;
        n_untouched += !finished;
        check_eq_str(world_answer(&w), finished ? "1.1.0 read-only" : "1.0.0 read-write");
        check(!machine_is_busy(&m->machine));
        check_eq_int(journal_is_lost(w.executor->journal), more);
        world_send(&w, "return", NULL, NULL); /* nothing more is begun */
        if (more)
            check(!machine_is_busy(&m->machine));
        limit_files(RLIM_INFINITY);
        check(world_kill_services(&w) == 1 || !more);
        world_deinit(&w);
    }
    disk_fails = false;
    printf("# %u finished, %u untouched\n", n_finished, n_untouched);
    check(n_finished >= 5 && n_untouched >= 3);
}
