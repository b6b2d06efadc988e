/* kedge-znode: writes one value into one node of ZooKeeper, and ends. For side actions of systems that keep a setting there
 * and whose own tool cannot write every value that an operator may have had: what was found is always put back.
 *
 * Why a program and not a request to the prober: the prober only reads, whoever hijacks it. This one is a command like others:
 * in a signed row, as the member's own user, with a deadline, and what it did is seen by the row's `done_if`.
 *
 * The same value may be written twice, so a connection that is lost begins anew until the time is over; with a new handle,
 * since the client's own reconnection leaves a request that was half sent half sent (see agent/prober/tree.c). */
#include "common/base/cleanup.h"
#include "common/base/limits.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zookeeper/zookeeper.h>

enum { EXIT_USAGE = 2, SESSION_MS = 10000, PATIENCE_S = 20, PATIENCE_S_MAX = 3600, AGAIN_MS = 50 };

static const char help[] =
    "usage: kedge-znode [--timeout SECONDS] SERVERS PATH VALUE\n"
    "Writes VALUE into the node PATH of the ZooKeeper at SERVERS (host:port,host:port/chroot); makes\n"
    "the node when it is not there. Started by kedge-agent for rows of a recipe.\n"
    "  --timeout SECONDS  how long to try; 20\n"
    "Exit codes: 0 written, 1 not, with one sentence, 2 usage.\n"
    "Example: kedge-znode 127.0.0.1:2181 /app/settings/delay 300\n";

/*   CONNECT ──▶ SET ──▶ ANSWER ──▶ DONE, FAILED
 *      ▲         ▲         │ no such node
 *      │         └─ CREATE ◀┘
 *      └── LOST: a new handle                     */
enum step { STEP_CONNECT, STEP_SET, STEP_CREATE, STEP_ANSWER, STEP_DONE, STEP_FAILED, STEP_LOST };

struct job {
    const char *servers, *path, *value;
    uint64_t until_ms;
    zhandle_t *handle;
    enum step step;
    int result; /* of STEP_FAILED */
};

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- what the client says; nothing in here calls it ---- */

static void answer_take(struct job *job, int result, int meanwhile, enum step then) {
    switch (result) {
    case ZOK: job->step = STEP_DONE; return;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZSESSIONEXPIRED:
    case ZSESSIONMOVED:
    case ZINVALIDSTATE:
    case ZCLOSING: job->step = STEP_LOST; return;
    default: job->step = result == meanwhile ? then : STEP_FAILED; job->result = result;
    }
}

static void on_set(int result, const struct Stat *stat, const void *context) {
    (void)stat;
    answer_take((struct job *)(uintptr_t)context, result, ZNONODE, STEP_CREATE);
}

static void on_created(int result, const char *path, const void *context) {
    (void)path;
    answer_take((struct job *)(uintptr_t)context, result, ZNODEEXISTS, STEP_SET);
}

static void on_event(zhandle_t *handle, int type, int state, const char *path, void *context) {
    struct job *job = context;
    (void)handle, (void)path;
    if (type != ZOO_SESSION_EVENT)
        return;
    if (state == ZOO_AUTH_FAILED_STATE)
        answer_take(job, ZAUTHFAILED, ZOK, STEP_DONE);
    else if (job->step == STEP_CONNECT)
        job->step = state == ZOO_CONNECTED_STATE ? STEP_SET : STEP_CONNECT;
    else if (state != ZOO_CONNECTED_STATE && job->step < STEP_DONE)
        job->step = STEP_LOST;
}

static void on_log(const char *message) {
    (void)message; /* what went wrong is said in one sentence */
}

/* ---- one connection ---- */

static void request_send(struct job *job) {
    int len = (int)strlen(job->value), result = ZOK;
    enum step step = job->step;
    job->step = STEP_ANSWER;
    if (step == STEP_SET)
        result = zoo_aset(job->handle, job->path, job->value, len, -1, on_set, job);
    else
        result =
            zoo_acreate(job->handle, job->path, job->value, len, &ZOO_OPEN_ACL_UNSAFE, 0, on_created, job);
    if (result != ZOK)
        answer_take(job, result, ZOK, STEP_DONE);
}

/* Lets the client do what it has to, for as long as nothing has come of it. */
static void turn(struct job *job) {
    int fd = -1, interest = 0;
    struct timeval patience = {0};
    uint64_t now = now_ms(), left = job->until_ms > now ? job->until_ms - now : 0;
    bool idle =
        zookeeper_interest(job->handle, &fd, &interest, &patience) != ZOK; /* tries the next address then */
    uint64_t wait =
        idle ? AGAIN_MS : (uint64_t)patience.tv_sec * 1000 + (uint64_t)patience.tv_usec / 1000 + 1;
    struct pollfd ready = {.fd = fd,
                           .events = (short)((interest & ZOOKEEPER_READ ? POLLIN : 0) |
                                             (interest & ZOOKEEPER_WRITE ? POLLOUT : 0))};
    (void)poll(&ready, 1, (int)(wait < left ? wait : left));
    (void)zookeeper_process(
        job->handle, (ready.revents & (POLLIN | POLLERR | POLLHUP) ? ZOOKEEPER_READ : 0) |
                         (ready.revents & POLLOUT ? ZOOKEEPER_WRITE : 0)); /* what it means comes by event */
}

/* One handle, from its beginning to an outcome, to its loss, or until the time is over. */
static bool attempt(struct job *job) {
    job->step = STEP_CONNECT;
    job->handle = zookeeper_init2(job->servers, on_event, SESSION_MS, NULL, job, 0, on_log);
    if (!job->handle)
        return false;
    while (job->step < STEP_DONE && now_ms() < job->until_ms) {
        if (job->step == STEP_SET || job->step == STEP_CREATE)
            request_send(job);
        else
            turn(job);
    }
    enum step came_to = job->step;
    zookeeper_close(job->handle); /* tells whoever still waits, which is nobody */
    job->step = came_to;
    return true;
}

static int job_do(struct job *job) {
    do {
        if (!attempt(job)) {
            fprintf(stderr, "kedge-znode: %s: %s\n", job->servers, strerror(errno));
            return EXIT_FAILURE;
        }
        if (job->step == STEP_LOST)
            (void)poll(NULL, 0, AGAIN_MS);
    } while (job->step == STEP_LOST && now_ms() < job->until_ms);
    if (job->step == STEP_DONE)
        return EXIT_SUCCESS;
    if (job->step == STEP_FAILED)
        fprintf(stderr, "kedge-znode: %s of %s: %s\n", job->path, job->servers, zerror(job->result));
    else
        fprintf(stderr, "kedge-znode: %s does not answer\n", job->servers);
    return EXIT_FAILURE;
}

/* 0 to go on, or the exit code + 1. */
static int options_parse(struct job *job, int argc, char **argv) {
    static const struct option table[] = {{"timeout", required_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'v'},
                                          {0}};
    unsigned long seconds = PATIENCE_S;
    for (int option; (option = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        char *end = NULL;
        if (option == 'h' || option == 'v')
            return fputs(option == 'h' ? help : "kedge-znode " KEDGE_VERSION "\n", stdout) < 0 ? 2 : 1;
        if (option == 't')
            seconds = strtoul(optarg, &end, 10);
        if (option != 't' || *end || seconds == 0 || seconds > PATIENCE_S_MAX) {
            fputs("kedge-znode: see --help\n", stderr);
            return EXIT_USAGE + 1;
        }
    }
    if (argc - optind != 3 || argv[optind + 1][0] != '/' || strlen(argv[optind + 2]) > KEDGE_ARGUMENT_MAX) {
        fputs("kedge-znode: servers, the path of a node and a value are needed, see --help\n", stderr);
        return EXIT_USAGE + 1;
    }
    *job = (struct job){.servers = argv[optind],
                        .path = argv[optind + 1],
                        .value = argv[optind + 2],
                        .until_ms = now_ms() + seconds * 1000};
    return 0;
}

int main(int argc, char **argv) {
    struct job job;
    int r = options_parse(&job, argc, argv);
    if (r > 0)
        return r - 1;
    zoo_set_debug_level((ZooLogLevel)0);
    return job_do(&job);
}
