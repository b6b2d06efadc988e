/* Captured from what a command says, and put into one word of another. */
#include "tests/unit/test.h"

#include "agent/executor/outputs.h"

#include <string.h>

static const struct capture path = {"path", "Backup URI +: (.+)$", "(file://)?/[A-Za-z0-9._/-]+"};
static const struct row row = {.primitive = PRIMITIVE_RUN, .captures = &path, .n_captures = 1};

static int captured(const char *said, const char *value, const char *why) {
    struct outputs outputs = {.n = 0};
    struct error err = {""};
    int r = outputs_capture(&outputs, &row, bytes_of_text(said), &err);
    check_eq_int(outputs.n, value ? 1 : 0);
    if (value)
        check_eq_str(outputs.items[0].value, value);
    if (why)
        check_contains(err.text, why);
    return r;
}

TEST("F30 a value is captured from a line of the output, once") {
    check_eq_int(
        captured("Backup Host        : h1\nBackup URI         : /backups/b-1.gz\nBackup Entry Count : 5\n",
                 "/backups/b-1.gz", NULL),
        0);
    check_eq_int(captured("Backup URI : /a\nBackup URI : /a\n", "/a", NULL), 0);
    check(captured("nothing of it\n", NULL,
                   "output path is missing: no line of what the command has put out") < 0);
    check(captured("Backup URI : /a\nBackup URI : /b\n", NULL, "has put out \"/a\" and \"/b\"") < 0);
}

TEST("A32 what the plan does not allow is no value: blanks, other characters, an option, half a match") {
    check(captured("Backup URI : /a b\n", NULL, "is not what the plan allows") < 0);
    check(captured("Backup URI : /a;rm\n", NULL, "is not what the plan allows") < 0);
    check(captured("Backup URI : -rf\n", NULL, "begins with \"-\"") < 0);
    check(captured("Backup URI : x/a\n", NULL, "is not what the plan allows") < 0);
    check(captured("Backup URI : /a\r\n", NULL, "not printable") < 0);
}

TEST("F30 A32 a value becomes a part of one word, and only what the order brings does") {
    const struct output_use use = {
        .name = "path", .member = "c/s@n1", .allowed = "/[a-z ;]+", .before = "--from=", .after = ".gz"};
    const struct argument words[] = {{.text = "/bin/restore"}, {.output = &use}, {.text = "now"}};
    const struct command command = {.arguments = words, .n_arguments = 3, .deadline_ms = 5};
    struct output_value value = {&use, "/a b; c"};
    struct verified_order v = {.outputs = &value, .n_outputs = 1};
    struct command filled;
    struct error err = {""};
    _cleanup_(arena_freep) struct arena *arena = arena_new(4096);
    check_eq_int(outputs_allowed(&v, &err), 0);
    check_eq_int(outputs_fill(&v, &command, arena, &filled, &err), 0);
    check_eq_int(filled.n_arguments, 3);
    check_eq_str(filled.arguments[1].text, "--from=/a b; c.gz");
    check_eq_int(filled.deadline_ms, 5);
    value.value = "/A";
    check_eq_int(outputs_allowed(&v, &err), -EPERM);
    check_contains(err.text, "output path of c/s@n1: \"/A\" is not what the plan allows, /[a-z ;]+");
    v.n_outputs = 0;
    check(outputs_fill(&v, &command, arena, &filled, &err) < 0);
}
