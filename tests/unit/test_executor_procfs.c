/* Why real processes: what is tested is whether we read the kernel rightly, so nothing of it is made up. */
#include "agent/executor/commands.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static pid_t waiting_child(void) {
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    return pid;
}

TEST("a process is its pid, its start and its boot") {
    struct process_id id;
    struct error err;
    pid_t pid = waiting_child();
    check_eq_int(procfs_identify(pid, &id, &err), 0);
    check(procfs_alive(&id));
    struct process_id other = id;
    other.started++;
    check(!procfs_alive(&other));
    other = id;
    other.boot[0] ^= 1;
    check(!procfs_alive(&other));
    kill(pid, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    check(!procfs_alive(&id)); /* a zombie lives no more */
    waitpid(pid, NULL, 0);
    check(!procfs_alive(&id));
    check_eq_int(procfs_identify(pid, &id, &err), -ESRCH);
}

TEST("arguments, folder, ids and open files are those of the process") {
    struct error err;
    _cleanup_(arena_freep) struct arena *arena = arena_new(4 << 20);
    struct proc_texts texts;
    struct proc_identity ids;
    const char *cwd;
    char here[4096];
    check_eq_int(procfs_arguments(getpid(), arena, &texts, &err), 0);
    check(texts.n >= 1);
    check_eq_int(procfs_link(getpid(), "cwd", arena, &cwd, &err), 0);
    check_eq_str(cwd, getcwd(here, sizeof(here)));
    check_eq_int(procfs_ids(getpid(), &ids, &err), 0);
    check_eq_int(ids.uid, getuid());
    check_eq_int(ids.gid, getgid());
    char name[] = "/tmp/kedge-procfs-XXXXXX";
    int fd = mkstemp(name);
    check_eq_int(procfs_files(getpid(), arena, &texts, &err), 0);
    bool seen = false;
    for (size_t i = 0; i < texts.n; i++)
        seen = seen || strcmp(texts.items[i], name) == 0;
    check(seen);
    struct proc_descriptor descriptor;
    check_eq_int(procfs_descriptor(getpid(), fd, arena, &descriptor, &err), 0);
    check_eq_str(descriptor.path, name);
    check(descriptor.is_file);
    check_eq_int(descriptor.flags & O_ACCMODE, O_RDWR);
    close(fd);
    unlink(name);
    check_eq_int(procfs_descriptor(getpid(), 250, arena, &descriptor, &err), 0);
    check_eq_str(descriptor.path, "");
}

TEST("F07 the listening socket is known by its owner") {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    require(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 1) == 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    uint16_t port = ntohs(address.sin_port);
    pid_t owner;
    struct error err;
    check(procfs_owns_port(getpid(), port));
    check_eq_int(procfs_listener(port, &owner, &err), 0);
    check_eq_int(owner, getpid());
    check(!procfs_owns_port(getppid(), port));
    int other = socket(AF_INET, SOCK_STREAM, 0); /* to have one is not to listen there */
    close(fd);
    check(!procfs_owns_port(getpid(), port));
    close(other);
    check(!procfs_owns_port(getpid(), port));
    check_eq_int(procfs_listener(port, &owner, &err), 0);
    check_eq_int(owner, 0);
}

TEST("F07 a listening socket of IPv6 is known as well") {
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(address);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0)
        return; /* this host has none */
    require(listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    check(procfs_owns_port(getpid(), ntohs(address.sin6_port)));
    close(fd);
    check(!procfs_owns_port(getpid(), ntohs(address.sin6_port)));
}

/* ---- commands ---- */

struct ended {
    sd_event *loop;
    int exit_code;
    char output[256], problem[128];
};

static void note(void *context, const struct command_result *result) {
    struct ended *ended = context;
    ended->exit_code = result->exit_code;
    snprintf(ended->output, sizeof(ended->output), "%.*s", (int)result->output.len,
             (const char *)result->output.data);
    snprintf(ended->problem, sizeof(ended->problem), "%s", result->problem);
    sd_event_exit(ended->loop, 0);
}

static struct ended run(const char *const *arguments, uint32_t deadline_ms) {
    struct ended ended = {.exit_code = -2};
    const char *environment[] = {"WORD=from outside", NULL};
    struct command_spec spec = {arguments, environment, "/", NULL, deadline_ms};
    struct command_run *command = NULL;
    struct error err = {0};
    if (sd_event_new(&ended.loop) < 0)
        abort();
    if (command_start(ended.loop, &spec, note, &ended, &command, &err) == 0)
        sd_event_loop(ended.loop);
    sd_event_unref(ended.loop);
    return ended;
}

TEST("a command's code and words come back, its environment is ours") {
    const char *arguments[] = {"/bin/sh", "-c", "echo \"$WORD $PWD\"; echo bad >&2; exit 7", NULL};
    struct ended ended = run(arguments, 5000);
    check_eq_int(ended.exit_code, 7);
    check_eq_str(ended.output, "from outside /\nbad\n");
    check_eq_str(ended.problem, "");
}

TEST("a command past its deadline is killed with all that it started") {
    const char *arguments[] = {"/bin/sh", "-c", "sh -c 'while :; do :; done' & echo $!; while :; do :; done",
                               NULL};
    struct ended ended = run(arguments, 100);
    check_eq_int(ended.exit_code, -1);
    check_eq_str(ended.problem, "did not end within 100 ms and was killed");
    pid_t grandchild = (pid_t)strtol(ended.output, NULL, 10);
    require(grandchild > 0);
    struct process_id id;
    for (int i = 0; i < 1000 && procfs_identify(grandchild, &id, NULL) == 0 && procfs_alive(&id); i++)
        sched_yield();
    check(procfs_identify(grandchild, &id, NULL) < 0 || !procfs_alive(&id));
}

TEST("a command that is not there says so") {
    const char *arguments[] = {"/no/such/program", NULL};
    struct ended ended = run(arguments, 5000);
    check_eq_int(ended.exit_code, 127);
    check_contains(ended.output, "/no/such/program: No such file");
}
