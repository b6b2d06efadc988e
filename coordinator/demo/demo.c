/* kedge demo: reads its options, tells the story, removes everything. See demo.h. */
#include "coordinator/demo/demo.h"
#include "common/base/file.h"

#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const char help[] =
    "kedge demo: upgrade a small cluster before your eyes, in a temporary folder, with real processes\n\n"
    "  --fail         a release that does not start: its canary is returned, the run stops, nothing is lost\n"
    "  --kill         coordinator and agents are killed with SIGKILL on the way; it still ends well\n"
    "  --members N    how many members (5; 4 to 15)\n"
    "  --keep         leave the folder behind and say where it is\n\n"
    "Example: kedge demo --fail\n";

enum { EXIT_DONE, EXIT_FAILED, EXIT_BAD_INPUT };

static int options_take(struct demo *demo, int argc, char **argv) {
    static const struct option options[] = {
        {"fail", no_argument, NULL, 'f'}, {"kill", no_argument, NULL, 'k'},
        {"keep", no_argument, NULL, 'e'}, {"members", required_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'}, {0}};
    char *end;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'f': demo->fail = true; break;
        case 'k': demo->kill = true; break;
        case 'e': demo->keep = true; break;
        case 'm':
            demo->n_members = (unsigned)strtoul(optarg, &end, 10);
            if (*end || demo->n_members < DEMO_MEMBERS_MIN || demo->n_members > DEMO_MEMBERS_MAX)
                return error_set(demo->err, -EINVAL, "--members %s: expected %d to %d", optarg,
                                 DEMO_MEMBERS_MIN, DEMO_MEMBERS_MAX);
            break;
        case 'h': fputs(help, stdout); exit(EXIT_DONE);
        default: return error_set(demo->err, -EINVAL, "see kedge demo --help");
        }
    return optind == argc
               ? 0
               : error_set(demo->err, -EINVAL, "\"%s\" is not an option of the demo", argv[optind]);
}

/* True if kedge-killpoint may trace here; containers often forbid it. */
static bool ptrace_is_permitted(const char *killpoint) {
    pid_t pid = fork();
    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        execl(killpoint, killpoint, "--program", "true", "--at", "0", "--", "true", (char *)NULL);
        _exit(127);
    }
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int programs_find(struct demo *demo) {
    char self[KEDGE_PATH_MAX + 1];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0)
        return error_errno(demo->err, -errno, "/proc/self/exe");
    self[n] = 0;
    *strrchr(self, '/') = 0;
    char *killpoint = NULL;
    demo->programs = strdup(self);
    if (!demo->programs || asprintf(&demo->kedge, "%s/../cli/kedge", self) < 0 ||
        asprintf(&killpoint, "%s/kedge-killpoint", self) < 0)
        return error_set(demo->err, -ENOMEM, "out of memory");
    if (demo->kill && ptrace_is_permitted(killpoint))
        demo->killpoint = killpoint;
    else
        free(killpoint);
    return 0;
}

int demo_folder_make(struct demo *demo) {
    const char *tmp = getenv("TMPDIR");
    if (asprintf(&demo->folder, "%s/kedge-demo.XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp") < 0)
        return error_set(demo->err, -ENOMEM, "out of memory");
    if (!mkdtemp(demo->folder) || chdir(demo->folder) < 0)
        return error_errno(demo->err, -errno, "%s", demo->folder);
    setenv("KEDGE_SOCKET", "coordinator/control.sock", 1);
    unsigned ports[DEMO_MEMBERS_MAX + 2];
    int r = demo_ports_find(ports, demo->n_members + 2, demo->err);
    if (r < 0)
        return r;
    memcpy(demo->ports, ports, sizeof(demo->ports));
    demo->fleet_port = ports[demo->n_members];
    demo->artifact_port = ports[demo->n_members + 1];
    return 0;
}

static int tell(struct demo *demo) {
    int r = demo_folder_make(demo);
    if (r < 0)
        return r;
    demo_say(demo, "kedge demo: %u members of a small store go from 1.0.0 to %s while they are in use.",
             demo->n_members, demo->fail ? "1.2.0, which ships a broken configuration," : "1.1.0");
    demo_say(demo, "Everything happens in %s, which is removed in the end.", demo->folder);
    if (demo->kill && !demo->killpoint)
        demo_say(
            demo,
            "ptrace is not permitted here: processes are killed at events of the run, not at exact points.");
    r = demo_services_start(demo);
    if (r == 0)
        r = demo_keys_make(demo);
    if (r == 0)
        r = demo_kedge_start(demo);
    if (r == 0)
        r = demo_cluster_adopt(demo);
    if (r == 0)
        r = demo_release_add(demo);
    if (r == 0)
        r = demo_upgrade(demo);
    return r < 0 ? r : demo_verdict(demo, r);
}

static void clean_up(struct demo *demo, bool failed) {
    demo_stop_all(demo);
    if (!demo->folder)
        return;
    if (demo->keep) {
        printf("\n%s was left behind: %s\n", failed ? "The folder with all logs" : "The folder",
               demo->folder);
        return;
    }
    struct error ignored;
    if (chdir("/") == 0 && folder_remove(demo->folder, &ignored) < 0)
        fprintf(stderr, "kedge demo: %s could not be removed: %s\n", demo->folder, ignored.text);
}

int main(int argc, char **argv) {
    static struct demo demo;
    struct error err = {""};
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    demo = (struct demo){.n_members = 5, .err = &err, .began_ms = demo_now_ms()};
    demo.terminal = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 && !(no_colour && *no_colour);
    int r = options_take(&demo, argc, argv);
    if (r == 0)
        r = programs_find(&demo);
    if (r < 0) {
        fprintf(stderr, "kedge demo: %s\n", err.text);
        return EXIT_BAD_INPUT;
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    r = tell(&demo);
    fflush(stdout);
    clean_up(&demo, r < 0);
    double seconds = (double)(demo_now_ms() - demo.began_ms) / 1000;
    if (r < 0) {
        fprintf(stderr, "kedge demo: %s\n", err.text);
        return demo.signal ? 128 + demo.signal : EXIT_FAILED;
    }
    printf(
        "\n%s in %.0f s.\n",
        demo.fail
            ? "The broken release was stopped by its canary, which its own agent returned; nothing was lost,"
            : "All members run the new release; nobody was told, and nobody noticed,",
        seconds);
    return EXIT_DONE;
}
