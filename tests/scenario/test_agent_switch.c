/* The main job of one agent over a real process: adopt, prepare, switch read-only, promote, return; a release that does
 * not start; data that is gone; orders that must not be obeyed. */
#include "tests/unit/test.h"

#include "tests/scenario/agent_world.h"

#include "common/base/file.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char *releases, *prober;

__attribute__((constructor)) static void begin(void) {
    releases = getenv("KEDGE_STORE_RELEASES");
    prober = getenv("KEDGE_PROBER");
}

static bool ready(struct agent_world *w, const char *target) {
    return world_init(w, releases, target) && world_agent_start(w, prober) && world_adopt(w);
}

static void is_done(const struct report *report, enum outcome outcome) {
    check(report != NULL);
    if (!report)
        return;
    check_eq_str(outcome_text(report->outcome), outcome_text(outcome));
    if (report->outcome != outcome)
        printf("# %s\n", report->reason);
}

TEST("F03 F07 adopted without a touch, then read-only, promoted and returned, each proven") {
    struct agent_world w;
    require(ready(&w, "1.1.0"));
    check(world_counts(&w, "serves", 1));
    const struct member *m = executor_member(w.executor, "c/store@n1");
    check_eq_str(m->generation.version, "1.0.0");
    pid_t found = m->process.id.pid;
    check(found > 0);

    is_done(world_order(&w, "prepare"), OUTCOME_DONE);
    check_eq_int(m->process.id.pid, found);
    const struct report *report = world_order(&w, "switch");
    is_done(report, OUTCOME_DONE);
    check_eq_str(world_answer(&w), "1.1.0 read-only");
    require(report != NULL);
    check_eq_int(report->mode, MODE_READ_ONLY);
    check_eq_str(report->version, "1.1.0");
    check(report->interruption_us > 0 && report->interruption_us < 2000000);
    check(report->evidence_age_us > 0 && report->evidence_age_us < 1000000);
    printf("# interruption %llu us, evidence %llu us old\n", (unsigned long long)report->interruption_us,
           (unsigned long long)report->evidence_age_us);

    is_done(world_order(&w, "promote"), OUTCOME_DONE);
    check_eq_str(world_answer(&w), "1.1.0 read-write");
    is_done(world_order(&w, "return"), OUTCOME_DONE);
    check_eq_str(world_answer(&w), "1.0.0 read-write");
    check(world_counts(&w, "serves", 4));
    check(world_counts(&w, "stopped", 3));
    world_deinit(&w);
}

TEST("F27 the service outlives its agent, and the next agent knows it") {
    struct agent_world w;
    require(ready(&w, "1.1.0"));
    is_done(world_order(&w, "prepare"), OUTCOME_DONE);
    is_done(world_order(&w, "switch"), OUTCOME_DONE);
    pid_t pid = executor_member(w.executor, "c/store@n1")->process.id.pid;
    world_agent_stop(&w);
    check_eq_str(world_answer(&w), "1.1.0 read-only");
    require(world_agent_start(&w, prober));
    const struct member *m = executor_member(w.executor, "c/store@n1");
    require(m != NULL);
    check_eq_int(m->process.id.pid, pid);
    /* a repeated order is answered and not done again */
    w.expires_s -= 1;
    is_done(world_order(&w, "switch"), OUTCOME_DONE);
    check(world_counts(&w, "serves", 2));
    is_done(world_order(&w, "promote"), OUTCOME_DONE);
    check_eq_str(world_answer(&w), "1.1.0 read-write");
    world_deinit(&w);
}

TEST("F05 a release that does not start: back on the old one, unasked") {
    struct agent_world w;
    require(ready(&w, "1.1.0"));
    struct argument *arguments = arena_array(w.arena, 4, sizeof(*arguments));
    memcpy(arguments, w.generations[0].arguments, 4 * sizeof(*arguments));
    arguments[3].text = "--no-such-option";
    w.generations[0].arguments = arguments;
    world_sign(&w);
    is_done(world_order(&w, "prepare"), OUTCOME_DONE);
    const struct report *report = world_order(&w, "switch");
    is_done(report, OUTCOME_RETURNED);
    require(report != NULL);
    check_contains(report->reason, "exit code 2");
    check_eq_str(world_answer(&w), "1.0.0 read-write");
    check_eq_int(report->generation, 0);
    world_deinit(&w);
}

TEST("F05 a gate that stays no after the start: returned, with the reason") {
    struct agent_world w;
    require(ready(&w, "1.1.0"));
    w.rows[1][6].gates = &w.gate_digests[2];
    w.rows[1][6].deadline_ms = 200;
    world_sign(&w);
    is_done(world_order(&w, "prepare"), OUTCOME_DONE);
    const struct report *report = world_order(&w, "switch");
    is_done(report, OUTCOME_RETURNED);
    require(report != NULL);
    check_contains(report->reason, "never");
    check_eq_str(world_answer(&w), "1.0.0 read-write");
    world_deinit(&w);
}

TEST("data that is gone after the start: stopped at once, held, neither promoted nor returned") {
    struct agent_world w;
    require(ready(&w, "1.1.0"));
    /* the new generation finds an empty folder */
    struct error err;
    require(file_write(arena_format(w.arena, "%s/empty.conf", w.store_folder),
                       bytes_of_text(arena_format(
                           w.arena,
                           "id = s1\nlisten = 127.0.0.1:%u\ndata = other\npeers = 127.0.0.1:%u\nsync = no\n",
                           w.port, w.port)),
                       0644, &err) == 0);
    struct argument *arguments = arena_array(w.arena, 4, sizeof(*arguments));
    memcpy(arguments, w.generations[0].arguments, 4 * sizeof(*arguments));
    arguments[2] = (struct argument){.text = "empty.conf"};
    w.generations[0].arguments = arguments;
    world_sign(&w);
    is_done(world_order(&w, "prepare"), OUTCOME_DONE);
    const struct report *report = world_order(&w, "switch");
    is_done(report, OUTCOME_HELD);
    check_eq_str(world_answer(&w), "");
    require(report != NULL);
    check_eq_int(report->mode, MODE_DOWN);
    check_eq_int(report->origin, ORIGIN_KEDGE);
    check(world_counts(&w, "serves", 2));
    /* the operator's return still works: the old data was never touched */
    is_done(world_order(&w, "return"), OUTCOME_DONE);
    check_eq_str(world_answer(&w), "1.0.0 read-write");
    world_deinit(&w);
}

TEST("F01 may-stop that says no: nothing is stopped, and a later order tries again") {
    struct agent_world w;
    require(ready(&w, "1.1.0"));
    w.rows[1][0].gates = &w.gate_digests[2];
    world_sign(&w);
    is_done(world_order(&w, "prepare"), OUTCOME_DONE);
    is_done(world_order(&w, "switch"), OUTCOME_WAITS);
    is_done(world_order(&w, "switch"), OUTCOME_WAITS);
    check(world_counts(&w, "stopped", 0));
    world_deinit(&w);
}

static void name_beside(struct order_message *message, void *data) {
    message->beside = data;
    message->n_beside = 1;
}

TEST("F01 F15 the agent's last question leaves out whom it is told of, and a later order is a new one") {
    struct agent_world w;
    const char *names[] = {"read-write"}; /* what the gate finds is left out with it */
    require(ready(&w, "1.1.0"));
    w.rows[1][0].gates = &w.gate_digests[0];
    world_sign(&w);
    is_done(world_order(&w, "prepare"), OUTCOME_DONE);
    world_send(&w, "switch", name_beside, names);
    is_done(world_wait(&w, "switch"), OUTCOME_WAITS);
    check(world_counts(&w, "stopped", 0));
    is_done(world_order(&w, "switch"), OUTCOME_DONE);
    world_deinit(&w);
}

/* Kills the executor's prober. */
static bool kill_prober(struct agent_world *w) {
    FILE *children = fopen(arena_format(w->arena, "/proc/self/task/%d/children", (int)getpid()), "re");
    bool killed = false;
    int pid;
    while (children && fscanf(children, "%d", &pid) == 1) {
        char name[32] = "";
        FILE *comm = fopen(arena_format(w->arena, "/proc/%d/comm", pid), "re");
        if (comm && fscanf(comm, "%31s", name) == 1 && strncmp(name, "kedge-prober", 12) == 0)
            killed = kill(pid, SIGKILL) == 0 || killed;
        if (comm)
            fclose(comm);
    }
    if (children)
        fclose(children);
    return killed;
}

TEST("F27 the prober dies as the switch is ordered: its facts are asked again, nothing is refused") {
    struct agent_world w;
    require(ready(&w, "1.1.0"));
    is_done(world_order(&w, "prepare"), OUTCOME_DONE);
    check(kill_prober(&w));
    is_done(world_order(&w, "switch"), OUTCOME_DONE);
    check_eq_str(world_answer(&w), "1.1.0 read-only");
    check(world_counts(&w, "stopped", 1));
    world_deinit(&w);
}

/* What the agent says on standard error while an order is looked at, in the world's arena. */
static const char *heard(struct agent_world *w, const char *step) {
    const struct member *m = executor_member(w->executor, "c/store@n1");
    uint64_t until = clock_monotonic_us() + 15000000;
    struct error err;
    struct buffer text = {0};
    const char *path = arena_format(w->arena, "%s/heard", w->folder);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), kept = dup(STDERR_FILENO);
    if (file < 0 || kept < 0 || dup2(file, STDERR_FILENO) < 0)
        return "";
    world_send(w, step, NULL, NULL);
    while (m->incoming && clock_monotonic_us() < until)
        (void)sd_event_run(w->executor->loop, 10000);
    (void)dup2(kept, STDERR_FILENO);
    close(kept);
    close(file);
    const char *out = file_read(path, 65536, &text, &err) == 0
                          ? arena_text_n(w->arena, (const char *)text.data, text.len)
                          : "";
    buffer_deinit(&text);
    return out;
}

TEST("F27 a prober that does not come back: the member waits, nothing was changed, and it is ordered again") {
    struct agent_world w;
    require(world_init(&w, releases, "1.1.0"));
    const char *link = arena_format(w.arena, "%s/kedge-prober", w.folder);
    require(symlink(prober, link) == 0 && world_agent_start(&w, link) && world_adopt(&w));
    is_done(world_order(&w, "prepare"), OUTCOME_DONE);
    require(unlink(link) == 0);
    check(kill_prober(&w));
    const char *words = heard(&w, "switch");
    check(strstr(words, "switch: waits: whether its mode is as the plan says cannot be told") != NULL);
    check(strstr(words, "refused") == NULL);
    check(world_counts(&w, "stopped", 0));
    require(symlink(prober, link) == 0);
    is_done(world_order(&w, "switch"), OUTCOME_DONE);
    check(world_counts(&w, "stopped", 1));
    world_deinit(&w);
}

TEST("a member that is killed by somebody is down by crash, and its end fails what is open") {
    struct agent_world w;
    require(ready(&w, "1.1.0"));
    struct member *m = executor_member(w.executor, "c/store@n1");
    require(kill(m->process.id.pid, SIGKILL) == 0);
    for (int i = 0; i < 1000 && m->process.id.pid > 0; i++)
        (void)sd_event_run(w.executor->loop, 10000);
    check_eq_int(m->process.id.pid, 0);
    check_eq_int(m->origin, ORIGIN_CRASH);
    check_eq_int(m->mode, MODE_DOWN);
    world_deinit(&w);
}

TEST("a member that its owner has started anew since is the one that is switched") {
    struct agent_world w;
    require(ready(&w, "1.1.0"));
    struct member *m = executor_member(w.executor, "c/store@n1");
    pid_t first = m->process.id.pid;
    check_eq_int(world_kill_services(&w), 1);
    for (int i = 0; i < 1000 && m->process.id.pid > 0; i++)
        (void)sd_event_run(w.executor->loop, 10000);
    world_start_stranger(&w, world_text(&w, "%s/demo-store-1.0.0/bin/demo-store", releases));
    require(world_answers(&w));
    is_done(world_order(&w, "prepare"), OUTCOME_DONE);
    check(m->process.id.pid > 0 && m->process.id.pid != first);
    is_done(world_order(&w, "switch"), OUTCOME_DONE);
    check_eq_str(world_answer(&w), "1.1.0 read-only");
    check_eq_int(world_kill_services(&w), 1);
    world_deinit(&w);
}

/* Somebody who takes the port as soon as it is free, and leaves it after a while; -1: never. */
static pid_t start_other_hands(const struct agent_world *w, int leaves_ms) {
    pid_t pid = fork();
    if (pid > 0)
        return pid;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(w->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    while (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
        (void)poll(NULL, 0, 0);
    (void)poll(NULL, 0, leaves_ms);
    _exit(0);
}

/* Up to the report of a switch in which others take the port; their pid. */
static pid_t lose_port(struct agent_world *w, int leaves_ms, const struct report **outp) {
    /* the new one serves elsewhere, so that others have all the time to take its port */
    struct error err;
    check(file_write(
              arena_format(w->arena, "%s/elsewhere.conf", w->store_folder),
              bytes_of_text("id = s1\nlisten = 127.0.0.2:9\ndata = data\npeers = 127.0.0.2:9\nsync = no\n"),
              0644, &err) == 0);
    struct argument *arguments = arena_array(w->arena, 4, sizeof(*arguments));
    memcpy(arguments, w->generations[0].arguments, 4 * sizeof(*arguments));
    arguments[2] = (struct argument){.text = "elsewhere.conf"};
    w->generations[0].arguments = arguments;
    world_sign(w);
    is_done(world_order(w, "prepare"), OUTCOME_DONE);
    pid_t other = start_other_hands(w, leaves_ms);
    *outp = world_order(w, "switch");
    return other;
}

TEST("other hands that start the service again fail the step with this reason") {
    struct agent_world w;
    const struct report *report = NULL;
    require(ready(&w, "1.1.0"));
    pid_t other = lose_port(&w, -1, &report);
    is_done(report, OUTCOME_HELD);
    require(report != NULL);
    check_contains(report->reason, "other hands");
    check_eq_int(executor_member(w.executor, "c/store@n1")->process.id.pid,
                 0); /* nothing waits to take the port */
    check_eq_str(executor_member(w.executor, "c/store@n1")->generation.version,
                 "1.0.0"); /* what it would be */
    check(kill(other, SIGKILL) == 0 && waitpid(other, NULL, 0) == other);
    is_done(world_order(&w, "return"), OUTCOME_DONE);
    check_eq_str(world_answer(&w), "1.0.0 read-write");
    world_deinit(&w);
}

TEST("F05 other hands that leave the port in time cost time, and the old one is back") {
    struct agent_world w;
    const struct report *report = NULL;
    require(ready(&w, "1.1.0"));
    pid_t other = lose_port(&w, 1500, &report);
    is_done(report, OUTCOME_RETURNED);
    require(report != NULL);
    check_contains(report->reason, "other hands");
    check_eq_str(world_answer(&w), "1.0.0 read-write");
    check(waitpid(other, NULL, 0) == other);
    world_deinit(&w);
}
