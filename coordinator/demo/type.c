/* Typing for the operator: the commands that are shown are the commands that are run, word for word. */
#include "coordinator/demo/demo.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { WORDS_MAX = 40, OUTPUT_MAX = 8 * 1024 * 1024 };

void demo_say(const struct demo *demo, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    (void)demo;
}

void demo_head(struct demo *demo, const char *format, ...) {
    va_list args;
    printf("\n%s", demo->terminal ? "\033[1m" : "");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("%s\n", demo->terminal ? "\033[0m" : "");
    fflush(stdout);
}

static void show_command(const struct demo *demo, const char *words) {
    printf("  %s$ kedge %s%s\n", demo->terminal ? "\033[36m" : "", words, demo->terminal ? "\033[0m" : "");
    fflush(stdout);
}

static void show_output(const struct buffer *text) {
    const char *at = text->data ? (const char *)text->data : "";
    while (*at) {
        size_t len = strcspn(at, "\n");
        printf("    %.*s\n", (int)len, at);
        at += len + (at[len] == '\n');
    }
    fflush(stdout);
}

static void child_exec(const struct demo *demo, char *words, int output) {
    char *argv[WORDS_MAX + 1] = {demo->kedge};
    size_t n = 1;
    for (char *save = NULL, *word = strtok_r(words, " ", &save); word && n < WORDS_MAX;
         word = strtok_r(NULL, " ", &save))
        argv[n++] = word;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (output >= 0 && (dup2(output, 1) < 0 || dup2(output, 2) < 0))
        _exit(126);
    execv(demo->kedge, argv);
    _exit(127);
}

static int output_read(int fd, struct buffer *out) {
    uint8_t block[16384];
    ssize_t n;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    while ((n = read(fd, block, sizeof(block))) > 0 && out->len < OUTPUT_MAX)
        buffer_append(out, block, (size_t)n);
    return n < 0 ? -errno : 0;
}

/* The command is a process like the others: the pump reaps it. */
static int command_wait(struct demo *demo) {
    while (demo->command > 0) {
        demo_kills_by_events(demo);
        int r = demo_pump(demo, 100);
        if (r < 0)
            return r;
    }
    int status = demo->command_status;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int command_run(struct demo *demo, enum type_how how, char *words, struct buffer *output) {
    _cleanup_(closep) int fd = how == TYPE_LIVE ? -1 : memfd_create("output", MFD_CLOEXEC);
    if (how != TYPE_LIVE && fd < 0)
        return error_errno(demo->err, -errno, "memfd");
    pid_t pid = fork();
    if (pid < 0)
        return error_errno(demo->err, -errno, "starting kedge");
    if (pid == 0)
        child_exec(demo, words, fd);
    demo->command = pid;
    int code = command_wait(demo);
    if (code >= 0 && fd >= 0) {
        int r = output_read(fd, output);
        if (r < 0)
            return error_errno(demo->err, r, "output of kedge");
    }
    return code;
}

int demo_type(struct demo *demo, enum type_how how, struct buffer *output, const char *format, ...) {
    _cleanup_(buffer_deinit) struct buffer own = {0};
    _cleanup_(freep) char *words = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&words, format, args);
    va_end(args);
    if (n < 0)
        return error_set(demo->err, -ENOMEM, "out of memory");
    if (how != TYPE_QUIET)
        show_command(demo, words);
    if (!output)
        output = &own;
    int code = command_run(demo, how, words, output);
    if (how == TYPE_OUTPUT || (how == TYPE_SHOWN && code > 0))
        show_output(output);
    return code;
}

int demo_ask(struct demo *demo, json_t **outp, const char *format, ...) {
    _cleanup_(buffer_deinit) struct buffer output = {0};
    _cleanup_(freep) char *words = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&words, format, args);
    va_end(args);
    if (n < 0)
        return error_set(demo->err, -ENOMEM, "out of memory");
    int code = demo_type(demo, TYPE_QUIET, &output, "%s --json", words);
    if (code < 0)
        return code;
    json_error_t problem;
    const char *text = output.data ? (const char *)output.data : "";
    *outp = json_loads(text, 0, &problem);
    if (*outp)
        return 0;
    return error_set(demo->err, -EIO, "kedge %s: %s", words, text);
}
