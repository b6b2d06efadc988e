/* Why the terminal and not standard input: a plan may come through a pipe, and a passphrase must not stand in a script by
 * accident. Why signals are held up by a handler: a terminal must not stay mute behind a Ctrl-C. */
#include "coordinator/cli/passphrase.h"

#include "common/base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>

static const int held_up[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
static volatile sig_atomic_t came;

static void on_signal(int signal) {
    came = signal;
}

/* Byte by byte: nothing of it may stay behind in a stream's buffer. 0 bytes at the end, or when a signal came. */
static size_t line_read(int fd, char *out, size_t size) {
    size_t n = 0;
    char c = 0;
    while (came == 0 && n + 1 < size && read(fd, &c, 1) == 1 && c != '\n')
        out[n++] = c;
    out[came == 0 && c == '\n' ? n : 0] = 0;
    return strlen(out);
}

static size_t unseen_read(int fd, char *out, size_t size) {
    struct sigaction before[ARRAY_LEN(held_up)], mine = {.sa_handler = on_signal};
    struct termios seen, unseen;
    if (tcgetattr(fd, &seen) < 0)
        return 0;
    came = 0;
    for (size_t i = 0; i < ARRAY_LEN(held_up); i++)
        (void)sigaction(held_up[i], &mine, &before[i]);
    unseen = seen;
    unseen.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(fd, TCSAFLUSH, &unseen);
    size_t n = line_read(fd, out, size);
    (void)tcsetattr(fd, TCSAFLUSH, &seen);
    (void)!write(fd, "\n", 1);
    for (size_t i = 0; i < ARRAY_LEN(held_up); i++)
        (void)sigaction(held_up[i], &before[i], NULL);
    if (came != 0)
        (void)raise((int)came);
    return n;
}

static int terminal_ask(const char *question, const char *path, struct passphrase *out, struct error *err) {
    _cleanup_(closep) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_set(err, -EACCES,
                         "%s: there is no terminal to ask for its passphrase; name a file that holds it in "
                         "KEDGE_PASSPHRASE_FILE",
                         path);
    (void)dprintf(fd, "%s %s: ", question, path);
    if (unseen_read(fd, out->text, sizeof(out->text)) == 0)
        return error_set(err, -EACCES, "%s: no passphrase was given", path);
    return 0;
}

static const char *passphrase_file(void) {
    const char *file = getenv("KEDGE_PASSPHRASE_FILE");
    return file && *file ? file : NULL;
}

static int ask(void *user, const char *path, struct passphrase *out, struct error *err) {
    const char *file = passphrase_file();
    (void)user;
    return file ? passphrase_read(out, file, err) : terminal_ask("Passphrase of", path, out, err);
}

int cli_key_load(struct cli *cli, const char *path, struct key_pair *pair) {
    return key_pair_load(pair, path, ask, NULL, cli->err);
}

int cli_passphrase_new(struct cli *cli, const char *path, struct passphrase *out) {
    _cleanup_(passphrase_deinit) struct passphrase again = {""};
    const char *file = passphrase_file();
    int r =
        file ? passphrase_read(out, file, cli->err) : terminal_ask("New passphrase of", path, out, cli->err);
    if (r < 0)
        return r;
    if (strlen(out->text) < PASSPHRASE_BYTES_MIN)
        return error_set(cli->err, -EINVAL, "a passphrase of fewer than %d bytes is guessed: no key was made",
                         PASSPHRASE_BYTES_MIN);
    r = file ? 0 : terminal_ask("The same again, of", path, &again, cli->err);
    if (r < 0)
        return r;
    return file || strcmp(out->text, again.text) == 0
               ? 0
               : error_set(cli->err, -EINVAL, "the two passphrases differ: no key was made");
}
