/* kedge-prober: asks services what they say, as their clients would. It answers the executor's questions over a pair of
 * sockets and knows nothing else: no key, no order, no root. What it answers is judged by the rules that were signed; a
 * prober that lies can hold up an upgrade or let it go on, and cannot make anything happen that nobody signed.
 *
 * One thread and one loop; each question has its own time-out, so a service that hangs delays only who asked for it.
 *
 * What the libraries took for the first question they never give back (4 MiB for the first HTTP request). So after a time
 * without questions the program starts itself anew in place: same process, same socket, nothing remembered. */
#include "agent/prober/request.h"
#include "common/base/confine.h"
#include "common/base/log.h"

#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { EXIT_USAGE = 2, FILES_MAX = 512, IDLE_S_DEFAULT = 60, IDLE_S_MAX = 24 * 3600, REQUESTS_AT_ONCE = 16 };

/* How serving ends, beside errors. */
enum { SERVED_ALL, SERVED_ANEW };

static const char help[] =
    "usage: kedge-prober [--user NAME]\n"
    "Asks services over HTTP, TCP, ZooKeeper and files what they say. Started by kedge-agent, which\n"
    "gives it its end of a socket pair as descriptor 3; ends when the agent does.\n"
    "  --user NAME  become NAME first, when started as root\n"
    "Exit codes: 0 the agent is gone, 1 failed, 2 usage.\n"
    "Example (as the agent does it): kedge-prober --user nobody 3<>SOCKET\n";

struct service {
    struct desk desk;
    struct watch watch;
    struct timer idle;
    uint32_t idle_s;
    int result;
};

static void idle_later(struct service *service) {
    loop_timer_set(&service->idle, now_us() + (uint64_t)service->idle_s * 1000000);
}

static void on_reply(void *owner, const struct prober_reply *reply) {
    struct service *service = owner;
    _cleanup_(buffer_deinit) struct buffer out = {0};
    idle_later(service);
    struct prober_reply cut = {
        .id = reply->id, .answer = ANSWER_UNKNOWN, .reason = "the answer is too long for the agent"};
    int r = prober_reply_pack(reply, &out);
    if (r == -EMSGSIZE) {
        buffer_clear(&out);
        r = prober_reply_pack(&cut, &out);
    }
    /* Never waits for the executor: an answer that does not arrive is unknown to it. */
    if (r < 0 || send(service->watch.fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_warning("ipc", "answer %u is lost: %s", reply->id, strerror(r < 0 ? -r : errno));
}

static void end(struct service *service, int result) {
    service->result = result;
    loop_end(service->watch.loop);
}

static void on_idle(void *owner) {
    struct service *service = owner;
    if (service->desk.n_requests > 0)
        idle_later(service);
    else
        end(service, SERVED_ANEW);
}

/* False when there is none, or the executor is gone. */
static bool request_take(struct service *service) {
    static uint8_t datagram[PROBER_DATAGRAM_BYTES_MAX];
    ssize_t n = recv(service->watch.fd, datagram, sizeof(datagram), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        end(service, n == 0 || errno == ECONNRESET ? SERVED_ALL : -errno);
        return false;
    }
    if ((size_t)n <= sizeof(datagram) && desk_take(&service->desk, (struct bytes){datagram, (size_t)n}) == 0)
        return true;
    log_error("ipc", "a datagram of %zd bytes is no request", n);
    end(service, -EBADMSG);
    return false;
}

/* All that were asked together are taken together: they may share an answer (http.c). */
static void on_request(void *owner, uint32_t events) {
    (void)events;
    for (int i = 0; i < REQUESTS_AT_ONCE && request_take(owner); i++)
        ;
}

static int serve(uint32_t idle_s, struct error *err) {
    struct service service = {.desk = {.reply = on_reply}, .idle_s = idle_s};
    _cleanup_(loop_freep) struct loop *loop = loop_new();
    struct prober *prober = &service.desk.prober;
    if (!loop)
        return error_set(err, -ENOMEM, "cannot make a loop");
    *prober = (struct prober){loop, http_new(loop), tree_new(loop)};
    if (!prober->http || !prober->tree)
        return error_set(err, -ENOMEM, "out of memory");
    service.desk.owner = &service;
    service.idle = (struct timer){.loop = loop, .due = on_idle, .owner = &service};
    service.watch = (struct watch){.loop = loop, .fd = -1, .ready = on_request, .owner = &service};
    int r = watch_set(&service.watch, PROBER_IPC_FD, EPOLLIN);
    if (r == 0)
        r = loop_run(loop);
    if (r == 0)
        r = service.result;
    desk_clear(&service.desk);
    http_free(prober->http);
    tree_free(prober->tree);
    return r < 0 ? error_errno(err, r, "the agent's socket") : r;
}

static bool has_socket(void) {
    int type = 0;
    socklen_t len = sizeof(type);
    return getsockopt(PROBER_IPC_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

/* Only returns when it fails. The link in /proc names the program even where we may no longer reach its path. */
static int start_anew(char **argv, struct error *err) {
    (void)syscall(SYS_close_range, PROBER_IPC_FD + 1, ~0u, 0);
    execv("/proc/self/exe", argv);
    return error_errno(err, -errno, "cannot start anew");
}

static int run(const char *user, uint32_t idle_s, struct error *err) {
    struct account account;
    signal(SIGPIPE, SIG_IGN);
    int r = user ? account_find(user, &account, err) : 0;
    if (r == 0)
        r = confine_resource(RLIMIT_NOFILE, FILES_MAX, err);
    if (r == 0)
        r = confine(user ? &account : NULL, err);
    return r == 0 ? serve(idle_s, err) : r;
}

static bool take_seconds(const char *text, uint32_t *outp) {
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    *outp = (uint32_t)value;
    return *text >= '0' && *text <= '9' && *end == 0 && value >= 1 && value <= IDLE_S_MAX;
}

int main(int argc, char **argv) {
    enum { OPTION_USER = 1, OPTION_IDLE, OPTION_HELP, OPTION_VERSION };
    static const struct option options[] = {{"user", required_argument, NULL, OPTION_USER},
                                            {"idle", required_argument, NULL, OPTION_IDLE},
                                            {"help", no_argument, NULL, OPTION_HELP},
                                            {"version", no_argument, NULL, OPTION_VERSION},
                                            {NULL, 0, NULL, 0}};
    struct error err = {0};
    const char *user = NULL;
    uint32_t idle_s = IDLE_S_DEFAULT;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == OPTION_HELP || option == OPTION_VERSION)
            return fputs(option == OPTION_HELP ? help : "kedge-prober " KEDGE_VERSION "\n", stdout) < 0;
        if (option != OPTION_USER && (option != OPTION_IDLE || !take_seconds(optarg, &idle_s)))
            return EXIT_USAGE;
        user = option == OPTION_USER ? optarg : user;
    }
    log_open("kedge-prober");
    if (optind != argc || !has_socket()) {
        fputs("kedge-prober: started by kedge-agent with a socket as descriptor 3; see --help\n", stderr);
        return EXIT_USAGE;
    }
    int r = run(user, idle_s, &err);
    if (r == SERVED_ANEW)
        r = start_anew(argv, &err);
    if (r == SERVED_ALL)
        return EXIT_SUCCESS;
    log_error("prober", "%s", err.text);
    return EXIT_FAILURE;
}
