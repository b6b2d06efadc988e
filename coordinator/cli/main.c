/* kedge: reads the command line, calls the handler, prints the one sentence of an error, gives the exit code. */
#include "coordinator/cli/cli.h"
#include "coordinator/cli/text.h"
#include "common/trust/keys.h"

#include <locale.h>
#include <signal.h>
#include <string.h>

static const char default_socket[] = "/var/lib/kedge/control.sock";

/* Bad input is what the caller must change, refused is what somebody else must allow. */
static int exit_code_of(int error) {
    switch (error) {
    case -EINVAL:
    case -EBADMSG:
    case -EEXIST:
    case -ENOENT:
    case -EFBIG:
    case -EISDIR:
    case -ENOTDIR: return EXIT_BAD_INPUT;
    case -EPERM:
    case -EACCES:
    case -EKEYREJECTED:
    case -ESTALE: return EXIT_REFUSED;
    default: return EXIT_FAILED;
    }
}

/* A reply may bring several reasons, a line each; the first line names the program, the others are indented. */
static void error_print(const char *text) {
    _cleanup_(freep) char *clean = text_clean(text, true);
    fputs("kedge: ", stderr);
    for (const char *c = clean ? clean : text; *c; c++) {
        fputc(*c, stderr);
        if (*c == '\n' && c[1])
            fputs("       ", stderr);
    }
    fputc('\n', stderr);
}

static int run(struct cli *cli, int argc, char **argv) {
    int r = cli_parse(cli, argc, argv);
    if (r == 0 && cli->help) {
        bool asked = argc > 1;
        cli_help(asked ? stdout : stderr, cli->noun, cli->command);
        return asked ? EXIT_DONE : EXIT_BAD_INPUT;
    }
    if (r == 0)
        r = cli->command->run(cli);
    if (r == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        r = error_errno(cli->err, -errno, "standard output");
    if (r != 0 && *cli->err->text)
        error_print(cli->err->text);
    return r < 0 ? exit_code_of(r) : r;
}

int main(int argc, char **argv) {
    struct error err = {""};
    _cleanup_(arena_freep) struct arena *arena = arena_new((size_t)512 * 1024 * 1024);
    const char *socket = getenv("KEDGE_SOCKET"), *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool terminal = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
    struct cli cli = {.socket = socket && *socket ? socket : default_socket,
                      .terminal = terminal,
                      .colour = terminal && !(no_colour && *no_colour),
                      .err = &err,
                      .arena = arena};
    setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
    colour_use(cli.colour);
    if (!arena || trust_init(&err) < 0) {
        fprintf(stderr, "kedge: %s\n", arena ? err.text : "out of memory");
        return EXIT_FAILED;
    }
    return run(&cli, argc, argv);
}
