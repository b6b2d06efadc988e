/* The small commands: version, completion scripts, and the way into the demo, which is a program of its own. */
#include "coordinator/cli/client.h"

#include <string.h>

int cmd_version(struct cli *cli) {
    if (!cli->json) {
        puts("kedge " KEDGE_VERSION);
        return EXIT_DONE;
    }
    _cleanup_(json_freep) json_t *json = json_pack("{s:s}", "version", KEDGE_VERSION);
    return json_print(json);
}

int cmd_completion(struct cli *cli) {
    if (strcmp(cli->arguments[0], "bash") == 0)
        return cli_completion_bash(stdout);
    if (strcmp(cli->arguments[0], "zsh") == 0)
        return cli_completion_zsh(stdout);
    return error_set(cli->err, -EINVAL, "completion %s: expected bash or zsh", cli->arguments[0]);
}

/* Beside this program in a build tree, or where it is installed. */
static const char *const demo_places[] = {"../demo/kedge-demo", "../libexec/kedge/kedge-demo"};

int cmd_demo(struct cli *cli) {
    char self[KEDGE_PATH_MAX + 1], path[KEDGE_PATH_MAX + 1 + 64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0)
        return error_errno(cli->err, -errno, "/proc/self/exe");
    self[n] = 0;
    char *slash = strrchr(self, '/');
    *slash = 0;
    const char *argv[CLI_WORDS_MAX + 2] = {"kedge demo"};
    for (size_t i = 0; i < cli->n_arguments; i++)
        argv[i + 1] = cli->arguments[i];
    for (size_t i = 0; i < ARRAY_LEN(demo_places); i++) {
        snprintf(path, sizeof(path), "%s/%s", self, demo_places[i]);
        execv(path, (char *const *)(uintptr_t)argv);
    }
    return error_set(cli->err, -ENOENT, "the demo is not installed here: no %s beside %s", demo_places[0],
                     self);
}
