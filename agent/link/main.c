/* kedge-link: the coordinator's line. The only process of the agent that touches the network, so it holds nothing: no
 * identity key, no journal, no right but to pass bytes. It dials, does the handshake with the executor's signature, and
 * carries sealed messages both ways. It ends when the executor does.
 *
 * One thread of ours and one poll(). A message for the executor that cannot be handed over stops the reading from the
 * network, and a full queue to the network stops the reading from the executor: nothing grows without bound. */
#include "agent/link/line.h"

#include "common/base/log.h"

#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <malloc.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum { EXECUTOR_FD = 3, EXIT_USAGE = 2, STACK_BYTES = 256 * 1024 };

struct options {
    struct line_config line;
    const char *user;
};

static int key_option(struct public_key *key, const char *name, const char *text, struct error *err) {
    return public_key_parse(key, text)
               ? 0
               : error_set(err, -EINVAL, "%s: \"%s\" is not a public key", name, text);
}

static int option_take(struct options *options, int option, const char *value, struct error *err) {
    switch (option) {
    case 'c': options->line.address = value; return 0;
    case 'n': options->line.agent.node = value; return 0;
    case 'u': options->user = value; return 0;
    case 'k': return key_option(&options->line.agent.agent, "--key", value, err);
    case 'p': return key_option(&options->line.agent.coordinator, "--coordinator-key", value, err);
    }
    return error_set(err, -EINVAL, "unknown option");
}

static int options_parse(struct options *options, int argc, char **argv, struct error *err) {
    static const struct option names[] = {
        {"coordinator", required_argument, NULL, 'c'}, {"node", required_argument, NULL, 'n'},
        {"key", required_argument, NULL, 'k'},         {"coordinator-key", required_argument, NULL, 'p'},
        {"user", required_argument, NULL, 'u'},        {0}};
    unsigned seen = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        int r = option_take(options, option, optarg, err);
        if (r < 0)
            return r;
        seen |= option == 'k' ? 1 : option == 'p' ? 2 : 0;
    }
    if (optind != argc || seen != 3 || !options->line.address || !options->line.agent.node)
        return error_set(err, -EINVAL,
                         "started by kedge-agent with --coordinator, --node, --key, --coordinator-key");
    if (!node_name_is_valid(options->line.agent.node))
        return error_set(err, -EINVAL, "--node: \"%s\" is not the name of a node", options->line.agent.node);
    return 0;
}

static int user_drop(const char *user, struct error *err) {
    const struct passwd *entry = user ? getpwnam(user) : NULL;
    if (!user)
        return 0;
    if (!entry)
        return error_set(err, -ENOENT, "user %s does not exist", user);
    if (setgroups(0, NULL) < 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) < 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) < 0)
        return error_errno(err, -errno, "become user %s", user);
    return 0;
}

/* Before the first thread: what this process can never need, it cannot get. */
static int privileges_drop(const char *user, struct error *err) {
    static const struct {
        __rlimit_resource_t what;
        rlim_t value;
    } limits[] = {{RLIMIT_CORE, 0}, {RLIMIT_NOFILE, 64}, {RLIMIT_MEMLOCK, 64 * 1024}};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct rlimit limit = {limits[i].value, limits[i].value};
        if (setrlimit(limits[i].what, &limit) < 0)
            return error_errno(err, -errno, "limit");
    }
    int r = user_drop(user, err);
    if (r < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return error_errno(err, -errno, "prctl");
    return 0;
}

/* NNG makes a thread for each of its purposes and CPUs; they do little and shall cost little. A stack has room for what
 * getaddrinfo() and its modules take. */
static void memory_spare(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0)
        (void)pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
    (void)mallopt(M_ARENA_MAX, 1);
}

int main(int argc, char **argv) {
    struct options options = {0};
    struct error err;
    log_open("kedge-link");
    (void)signal(SIGPIPE, SIG_IGN);
    if (options_parse(&options, argc, argv, &err) < 0) {
        log_error("link", "%s", err.text);
        return EXIT_USAGE;
    }
    if (fcntl(EXECUTOR_FD, F_SETFD, FD_CLOEXEC) < 0) {
        log_error("link", "descriptor %d is not open: kedge-link is started by kedge-agent, not by hand",
                  EXECUTOR_FD);
        return EXIT_USAGE;
    }
    memory_spare();
    if (privileges_drop(options.user, &err) < 0 || trust_init(&err) < 0 ||
        line_run(&options.line, EXECUTOR_FD, &err) < 0) {
        log_error("link", "%s", err.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
