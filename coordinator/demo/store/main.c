/* Start: configuration, port, data, then serve; nothing waits, so that a restart interrupts for milliseconds only.
 * Exit codes: 0 after SIGTERM or SIGINT, 1 the surroundings failed (port taken, disk), 2 refused (usage, configuration,
 * foreign or damaged data). */
#include "coordinator/demo/store/store.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

const char store_version[] = DEMO_STORE_VERSION;

static const char help[] = "demo-store --config FILE [--read-only]: one replica of a small key-value store\n"
                           "demo-store get ADDRESS NAME | set ADDRESS NAME VALUE: a setting of its cluster\n"
                           "demo-store finalize ADDRESS FORMAT: raises the format of its data, for good\n"
                           "  --config FILE  id, listen, data, peers and sync as `key = value` lines\n"
                           "  --read-only    serve reads only, whatever PUT /mode says\n"
                           "  --version      print the version\n"
                           "Example: demo-store --config conf/demo-store.conf\n";

static int fail(int status, const char *what, const char *why) {
    fprintf(stderr, "demo-store: %s%s%s\n", what, why[0] ? ": " : "", why);
    return status;
}

static int bind_socket(const char *listen_on, int type) {
    struct sockaddr_in address;
    int one = 1, fd = address_parse(listen_on, &address) ? socket(AF_INET, type | SOCK_CLOEXEC, 0) : -1;
    if (type == SOCK_STREAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static void store_init(struct store *s, bool read_only) {
    unsigned char bytes[8] = {0};
    settings_load(s);
    s->read_only = read_only;
    s->read_only_by = read_only ? "start-flag" : "-";
    s->started_ms = now_ms();
    (void)!getrandom(bytes, sizeof bytes, 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(s->instance + 2 * i, 3, "%02x", bytes[i]);
    for (size_t i = 0; i < s->config.n_peers; i++) {
        struct peer *peer = &s->peers[s->n_peers];
        *peer = (struct peer){.id = "-", .next_number = 1};
        memcpy(peer->address, s->config.peers[i], sizeof peer->address);
        if (strcmp(peer->address, s->config.listen) != 0 && address_parse(peer->address, &peer->to))
            s->n_peers++;
    }
}

/* A long journal, for tests of patience: nobody listens until it is over. False: it was ended before. */
static bool replay_pretend(const struct config *c, const sigset_t *ends) {
    static const struct timespec step = {.tv_nsec = REPLAY_STEP_MS * 1000000};
    for (unsigned ms = 0; ms < c->replay_ms; ms += REPLAY_STEP_MS) {
        if (!c->replay_silent) {
            printf("demo-store %s: replayed %u of %u keys\n", store_version, ms, c->replay_ms);
            fflush(stdout);
        }
        if (sigtimedwait(ends, NULL, &step) > 0)
            return false;
    }
    return true;
}

static int serve(struct store *s, bool read_only) {
    char problem[PROBLEM_MAX];
    sigset_t ends;
    int ended_by;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL); /* for all threads; from here on a stop is a graceful one */
    int fd = bind_socket(s->config.listen, SOCK_STREAM);
    s->ping_fd = fd < 0 ? -1 : bind_socket(s->config.listen, SOCK_DGRAM);
    if (s->ping_fd < 0)
        return fail(1, s->config.listen, strerror(errno));
    int result = records_open(&s->records, &s->config, problem);
    if (result != 0)
        return fail(result == -1 ? 2 : 1, problem, "");
    if (!replay_pretend(&s->config, &ends))
        return 0;
    store_init(s, read_only);
    const char *mode = store_mode(s);
    size_t n_keys = s->records.n_keys;
    struct MHD_Daemon *daemon = listen(fd, 512) == 0 ? http_start(s, fd) : NULL;
    if (daemon == NULL)
        return fail(1, s->config.listen, "cannot serve HTTP there");
    if (peers_start(s) != 0)
        return fail(1, "threads", strerror(EAGAIN));
    printf("demo-store %s: %s serves %s %s, %zu keys, instance %s\n", store_version, s->config.id,
           s->config.listen, mode, n_keys, s->instance);
    fflush(stdout);
    sigwait(&ends, &ended_by);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    peers_tell(s);
    pthread_mutex_unlock(&s->lock);
    http_stop(daemon, fd);
    pthread_mutex_lock(&s->lock); /* for good: no record is half written when the process ends */
    printf("demo-store %s: %s stopped\n", store_version, s->config.id);
    return 0;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"read-only", no_argument, NULL, 'r'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    static struct store store = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const char *config = NULL;
    char problem[PROBLEM_MAX];
    bool read_only = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'c': config = optarg; break;
        case 'r': read_only = true; break;
        case 'v': return printf("demo-store %s\n", store_version) > 0 ? 0 : 1;
        case 'h': return fputs(help, stdout) >= 0 ? 0 : 1;
        default: return fail(2, "try --help", "");
        }
    if (config == NULL && optind < argc)
        return setting_command(argc - optind, argv + optind);
    if (config == NULL || optind != argc)
        return fail(2, "--config FILE is needed, nothing else; try --help", "");
    signal(SIGPIPE, SIG_IGN);
    if (config_read(&store.config, config, problem) != 0)
        return fail(2, problem, "");
    return serve(&store, read_only);
}
