#include "tests/unit/test.h"

#include "agent/executor/process.h"
#include "common/base/file.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[] = "/tmp/kedge-test-process-XXXXXX";
static struct arena *arena;

__attribute__((constructor)) static void begin(void) {
    if (!mkdtemp(folder) || !(arena = arena_new(1 << 24)))
        abort();
}

__attribute__((destructor)) static void end(void) {
    struct error err;
    if (folder_remove(folder, &err) < 0)
        fprintf(stderr, "%s\n", err.text);
    arena_free(arena);
}

static const char *in_folder(const char *name) {
    return arena_format(arena, "%s/%s", folder, name);
}

/* A service that somebody else started: a grandchild, with a file for its output and a variable of its own. */
static struct process_id start_stranger(void) {
    int pid_pipe[2];
    struct process_id id = {0};
    check(pipe(pid_pipe) == 0);
    pid_t parent = fork();
    if (parent == 0) {
        pid_t child = fork();
        if (child == 0) {
            int out = open(in_folder("out"), O_WRONLY | O_CREAT, 0600), pipe_out[2];
            if (out < 0 || pipe(pipe_out) < 0 || dup2(out, 1) < 0 || dup2(pipe_out[1], 2) < 0 ||
                chdir(folder) < 0)
                _exit(1);
            umask(027);
            setenv("SECRET_OF_STRANGER", "hush", 1);
            for (int fd = 3; fd < 20; fd++)
                close(fd);
            execl("/bin/sleep", "sleep", "600", NULL);
            _exit(1);
        }
        (void)!write(pid_pipe[1], &child, sizeof(child));
        _exit(0);
    }
    check(read(pid_pipe[0], &id.pid, sizeof(id.pid)) == sizeof(id.pid));
    close(pid_pipe[0]);
    close(pid_pipe[1]);
    waitpid(parent, NULL, 0);
    struct error err;
    for (int i = 0; i < 1000; i++) { /* until it became the service */
        const char *exe;
        struct proc_texts words; /* empty for a moment after exec */
        if (procfs_link(id.pid, "exe", arena, &exe, &err) == 0 && strstr(exe, "sleep") &&
            procfs_arguments(id.pid, arena, &words, &err) == 0 && words.n > 0)
            break;
        (void)poll(NULL, 0, 1);
    }
    check(procfs_identify(id.pid, &id, &err) == 0);
    return id;
}

static bool wait_end(const struct process_id *id) {
    int fd = process_open(id);
    for (int i = 0; fd >= 0 && i < 2000 && !process_has_ended(fd, id); i++)
        (void)poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1);
    if (fd >= 0)
        close(fd);
    return !procfs_alive(id);
}

TEST("a stranger is recorded without being touched, and packed and unpacked the same") {
    struct process_id id = start_stranger();
    struct start_spec spec, again;
    struct error err = {""};
    require(spec_read(id.pid, in_folder("fallback"), arena, &spec, &err) == 0);
    check_eq_str(spec.directory, folder);
    check_eq_int(spec.n_arguments, 2);
    check_eq_str(spec.arguments[1], "600");
    check_eq_int(spec.ids.umask, 027);
    check_eq_int(spec.ids.uid, geteuid());
    check_eq_str(spec.output.path, in_folder("out"));
    check_eq_str(spec.errors.path, in_folder("fallback")); /* was a pipe */
    check(spec.output.flags & O_APPEND);
    struct buffer packed = {0}, twice = {0};
    spec_pack(&spec, &packed);
    require(spec_unpack(buffer_bytes(&packed), arena, &again) == 0);
    spec_pack(&again, &twice);
    check(bytes_equal(buffer_bytes(&packed), buffer_bytes(&twice)));
    for (size_t cut = 0; cut < packed.len; cut += 7)
        check(spec_unpack((struct bytes){packed.data, cut}, arena, &again) < 0);
    struct buffer text = {0};
    spec_text(&spec, (struct words){0}, &text);
    check_contains((char *)text.data, "SECRET_OF_STRANGER=****");
    check(!strstr((char *)text.data, "hush"));

    int fd = process_open(&id);
    require(fd >= 0);
    check(!process_has_ended(fd, &id));
    check(process_signal(fd, SIGTERM) == 0);
    check(wait_end(&id));
    close(fd);
    check_eq_int(process_open(&id), -ESRCH);

    /* and the same is started again from the record */
    struct waiting_child child;
    require(spec_unpack(buffer_bytes(&packed), arena, &again) == 0);
    require(child_prepare(&again, &child, &err) == 0);
    check(child_release(&child) == 0);
    (void)poll(&(struct pollfd){.fd = child.result_fd, .events = POLLIN}, 1, 5000);
    check_eq_int(child_result(&child, &err), 0);
    struct start_spec third;
    require(spec_read(child.id.pid, "/dev/null", arena, &third, &err) == 0);
    check_eq_str(third.directory, folder);
    check_eq_int(third.ids.umask, 027);
    check_eq_int(third.n_environment, spec.n_environment);
    check_eq_str(third.output.path, in_folder("out"));
    check(kill(child.id.pid, SIGKILL) == 0);
    char how[128];
    check(wait_end(&child.id));
    process_epitaph(&child.id, how, sizeof(how));
    check_contains(how, "signal 9");
    buffer_deinit(&packed);
    buffer_deinit(&twice);
    buffer_deinit(&text);
}

TEST("a child that gets no word leaves, one whose program is missing says so") {
    const char *arguments[] = {"none", NULL}, *resolved[] = {""}, *environment[] = {NULL};
    struct start_spec spec = {.executable = "/nowhere/none",
                              .arguments = arguments,
                              .n_arguments = 1,
                              .resolved = resolved,
                              .environment = environment,
                              .directory = "/",
                              .ids.uid = geteuid(),
                              .ids.gid = getegid(),
                              .ids.umask = 022,
                              .output = {"/dev/null", O_WRONLY},
                              .errors = {"/dev/null", O_WRONLY}};
    for (int i = 0; i < SPEC_LIMITS; i++)
        check(getrlimit((__rlimit_resource_t)i, &spec.limits[i]) == 0);
    struct waiting_child child;
    struct error err = {""};
    require(child_prepare(&spec, &child, &err) == 0);
    struct process_id id = child.id;
    check(procfs_alive(&id));
    child_deinit(&child);
    check(!procfs_alive(&id));

    require(child_prepare(&spec, &child, &err) == 0);
    check_eq_int(child_result(&child, &err), 1);
    check(child_release(&child) == 0);
    (void)poll(&(struct pollfd){.fd = child.result_fd, .events = POLLIN}, 1, 5000);
    check_eq_int(child_result(&child, &err), -ENOEXEC);
    check_contains(err.text, "/nowhere/none");
    (void)waitpid(child.id.pid, NULL, 0);
    child_deinit(&child);
}

TEST("a child whose agent died before the word is seen as unborn") {
    const char *arguments[] = {"sleep", "600", NULL}, *resolved[] = {"", ""}, *environment[] = {NULL};
    struct start_spec spec = {.executable = "/bin/sleep",
                              .arguments = arguments,
                              .n_arguments = 2,
                              .resolved = resolved,
                              .environment = environment,
                              .directory = "/",
                              .ids.uid = geteuid(),
                              .ids.gid = getegid(),
                              .ids.umask = 022,
                              .output = {"/dev/null", O_WRONLY},
                              .errors = {"/dev/null", O_WRONLY}};
    for (int i = 0; i < SPEC_LIMITS; i++)
        check(getrlimit((__rlimit_resource_t)i, &spec.limits[i]) == 0);
    struct waiting_child child;
    struct error err = {""};
    require(child_prepare(&spec, &child, &err) == 0);
    struct process_id id = child.id;
    close(child.go_fd); /* as the kernel does when the agent dies */
    check(process_is_unborn(&id));
    child.go_fd = -1;
    (void)waitpid(id.pid, NULL, 0);
    child_deinit(&child);

    require(child_prepare(&spec, &child, &err) == 0);
    check(child_release(&child) == 0);
    id = child.id;
    check(!process_is_unborn(&id)); /* it became the service */
    check(kill(id.pid, SIGKILL) == 0);
    (void)waitpid(id.pid, NULL, 0);
    child_deinit(&child);
}

TEST("a process of our own cgroup may be taken") {
    struct error err = {""};
    check_eq_int(process_may_be_taken(getpid(), &err), 0);
}
