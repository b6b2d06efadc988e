/* kedge-agent: the part of Kedge that acts on a node. Reads agent.yaml, shuts itself off from core dumps and debuggers,
 * and runs the executor. */
#include "agent/executor/executor.h"

#include "common/base/log.h"

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { EXIT_USAGE = 2, EXIT_REFUSED = 3 };

static const char help[] =
    "usage: kedge-agent [--config FILE] [--state FOLDER] [--check | identity]\n"
    "Stops, swaps and starts the members of this node, as far as agent.yaml and signed plans allow.\n"
    "  --config FILE   default /etc/kedge/agent.yaml\n"
    "  --state FOLDER  instead of the one in the file\n"
    "  --check         read the configuration, say what is wrong with it, and end\n"
    "  identity        print this node's public key and its fingerprint (makes the key at first)\n"
    "  --version, --help\n"
    "Members go on without the agent: it may be stopped, killed and started at any time.\n"
    "Exit codes: 0 done, 1 failed, 2 usage or bad configuration.\n"
    "Example: kedge-agent --config /etc/kedge/agent.yaml identity\n";

static int fail(int status, const char *text) {
    fprintf(stderr, "kedge-agent: %s\n", text);
    return status;
}

/* What a curious process of the same user must not get at: the key in our memory. The hard limit stays: services are started
 * with the limits that they were found with, and without CAP_SYS_RESOURCE nobody can raise one again. */
static int harden(struct error *err) {
    struct rlimit none;
    umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, 64 * 1024); /* documents come and go: what they took goes back at once */
    int r = getrlimit(RLIMIT_CORE, &none);
    none.rlim_cur = 0;
    if (r < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return error_errno(err, -errno, "core dumps cannot be switched off");
    return 0;
}

static int say_identity(const struct agent_config *config, struct arena *arena, struct error *err) {
    char path[KEDGE_PATH_MAX + 1], key[KEDGE_PUBLIC_KEY_TEXT_SIZE], fingerprint[KEDGE_FINGERPRINT_TEXT_SIZE];
    struct key_pair pair;
    struct public_key public;
    snprintf(path, sizeof(path), "%s/agent.key", config->state);
    if (access(path, F_OK) < 0) {
        struct executor *executor = NULL; /* makes it, under the journal's lock */
        int r = executor_new(config, arena, &executor, err);
        if (r < 0)
            return r;
        executor_free(executor);
    }
    int r = key_pair_load(&pair, path, NULL, NULL, err);
    if (r < 0)
        return r;
    public = pair.public;
    key_pair_deinit(&pair);
    public_key_format(key, &public);
    public_key_fingerprint(fingerprint, &public);
    printf("node        %s\nkey         %s\nfingerprint %s\n", config->node, key, fingerprint);
    return 0;
}

struct options {
    const char *config, *state;
    bool check, identity;
};

/* -1: go on; else the exit code. */
static int options_take(int argc, char **argv, struct options *options) {
    static const struct option table[] = {
        {"config", required_argument, NULL, 'c'}, {"state", required_argument, NULL, 's'},
        {"check", no_argument, NULL, 'k'},        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {0}};
    for (int option; (option = getopt_long(argc, argv, "", table, NULL)) != -1;)
        switch (option) {
        case 'c': options->config = optarg; break;
        case 's': options->state = optarg; break;
        case 'k': options->check = true; break;
        case 'v': return printf("kedge-agent %s\n", KEDGE_VERSION) > 0 ? 0 : 1;
        case 'h': return fputs(help, stdout) >= 0 ? 0 : 1;
        default: return fail(EXIT_USAGE, "try --help");
        }
    if (optind < argc && strcmp(argv[optind], "identity") == 0) {
        options->identity = true;
        optind++;
    }
    return optind == argc ? -1 : fail(EXIT_USAGE, "there is an argument too many; try --help");
}

int main(int argc, char **argv) {
    struct options options = {.config = "/etc/kedge/agent.yaml"};
    struct error err = {""};
    struct agent_config config;
    struct executor *executor = NULL;
    int status = options_take(argc, argv, &options);
    if (status >= 0)
        return status;
    log_open("kedge-agent");
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    if (!arena || harden(&err) < 0 || trust_init(&err) < 0)
        return fail(1, err.text);
    if (agent_config_load(options.config, arena, &config, &err) < 0)
        return fail(EXIT_USAGE, err.text);
    if (options.state)
        config.state = options.state;
    if (config.state[0] != '/')
        return fail(EXIT_USAGE, "the state folder must be an absolute path");
    if (options.check)
        return printf("%s: good\n", options.config) > 0 ? 0 : 1;
    if (options.identity)
        return say_identity(&config, arena, &err) < 0 ? fail(1, err.text) : 0;
    int r = executor_new(&config, arena, &executor, &err);
    if (r == 0)
        r = executor_run(executor, &err);
    executor_free(executor);
    return r < 0 ? fail(1, err.text) : 0;
}
