/* The harness of the unit tests: one header, no library. A test program includes it and holds tests:
 *
 *     #include "tests/unit/test.h"
 *
 *     TEST("F07 success is what runs") {
 *         struct thing *thing = NULL;
 *         require(thing_new(&thing) == 0);        // ends this test when it does not hold
 *         check_eq_str(thing->name, "n3");        // notes the failure and goes on
 *     }
 *
 * main() is here. It runs the tests in the order of the file, prints TAP (`ok 1 - F07 success is what runs`) and
 * returns 1 if one failed. An argument runs only the tests whose names contain it: `test_plan F07`.
 * Every value is evaluated once. Tests share one process; a crash is a failure, since the announced count is missing.
 * A second source file of the same program defines TEST_HELPER first: it gets the checks and no main().
 */
#ifndef KEDGE_TESTS_UNIT_TEST_H
#define KEDGE_TESTS_UNIT_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
};

extern struct test_case *test_first, *test_last; /* in the order of registration */
extern unsigned test_n_failures;                 /* failed checks of the test that runs now */
extern const char *test_skip_reason;             /* set by skip(), for the test that runs now */

/* Called by the constructors that TEST() makes; case_ must live as long as the program. */
void test_register(struct test_case *case_);

/* Notes one failure as a TAP comment: `# file:line: text`. */
void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define TEST_PASTE_(a, b) a##b
#define TEST_PASTE(a, b) TEST_PASTE_(a, b)
#define TEST(title) TEST_DEFINE(title, __LINE__)
#define TEST_DEFINE(title, id)                                                                               \
    static void TEST_PASTE(test_run_, id)(void);                                                             \
    static struct test_case TEST_PASTE(test_case_, id) = {(title), TEST_PASTE(test_run_, id), NULL};         \
    __attribute__((constructor)) static void TEST_PASTE(test_add_, id)(void) {                               \
        test_register(&TEST_PASTE(test_case_, id));                                                          \
    }                                                                                                        \
    static void TEST_PASTE(test_run_, id)(void)

/* Each is true when it holds; otherwise it notes the failure, and the test goes on. */
#define check(cond) test_check(__FILE__, __LINE__, (cond), #cond)
#define check_eq_int(got, want)                                                                              \
    test_check_eq_int(__FILE__, __LINE__, (long long)(got), (long long)(want), #got)
#define check_eq_str(got, want) test_check_eq_str(__FILE__, __LINE__, (got), (want), #got)
#define check_eq_mem(got, want, len) test_check_eq_mem(__FILE__, __LINE__, (got), (want), (len), #got)
#define check_contains(text, part) test_check_contains(__FILE__, __LINE__, (text), (part), #text)

/* As above, but leaves the function (of type void) when it does not hold: for what the rest stands on. */
#define require(cond)                                                                                        \
    do {                                                                                                     \
        if (!check(cond))                                                                                    \
            return;                                                                                          \
    } while (0)

/* Leaves the test; it counts as skipped and the reason is printed. For what this machine lacks, never for what
 * is broken. */
#define skip(reason)                                                                                         \
    do {                                                                                                     \
        test_skip_reason = (reason);                                                                         \
        return;                                                                                              \
    } while (0)

static inline bool test_check(const char *file, int line, bool holds, const char *expression) {
    if (!holds)
        test_fail(file, line, "not true: %s", expression);
    return holds;
}

static inline bool test_check_eq_int(const char *file, int line, long long got, long long want,
                                     const char *expression) {
    if (got != want)
        test_fail(file, line, "%s is %lld, expected %lld", expression, got, want);
    return got == want;
}

static inline bool test_check_eq_str(const char *file, int line, const char *got, const char *want,
                                     const char *expression) {
    bool same = got == want || (got && want && strcmp(got, want) == 0);

    if (!same)
        test_fail(file, line, "%s is \"%s\", expected \"%s\"", expression, got ? got : "(null)",
                  want ? want : "(null)");
    return same;
}

/* Compares len bytes and names the first that differs. */
static inline bool test_check_eq_mem(const char *file, int line, const void *got, const void *want,
                                     size_t len, const char *expression) {
    const unsigned char *g = got, *w = want;

    for (size_t i = 0; i < len; i++)
        if (g[i] != w[i]) {
            test_fail(file, line, "%s: byte %zu of %zu is 0x%02x, expected 0x%02x", expression, i, len, g[i],
                      w[i]);
            return false;
        }
    return true;
}

static inline bool test_check_contains(const char *file, int line, const char *text, const char *part,
                                       const char *expression) {
    bool found = text && part && strstr(text, part);

    if (!found)
        test_fail(file, line, "%s is \"%s\", expected to contain \"%s\"", expression, text ? text : "(null)",
                  part ? part : "(null)");
    return found;
}

#ifndef TEST_HELPER

#include <stdarg.h>

struct test_case *test_first, *test_last;
unsigned test_n_failures;
const char *test_skip_reason;

void test_register(struct test_case *case_) {
    if (test_last)
        test_last->next = case_;
    else
        test_first = case_;
    test_last = case_;
}

/* The failures once more, for the end of stderr: of a long log a runner shows only the end. */
static char test_failures[8192];
static size_t test_failures_len;

void test_fail(const char *file, int line, const char *format, ...) {
    char text[4096];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    test_n_failures++;
    if (test_failures_len < sizeof(test_failures))
        test_failures_len +=
            (size_t)snprintf(test_failures + test_failures_len, sizeof(test_failures) - test_failures_len,
                             "failed: %s:%d: %s\n", file, line, text);
    printf("# %s:%d: ", file, line);
    for (const char *c = text; *c; c++) /* every line of a TAP comment begins with # */
        if (*c == '\n')
            fputs("\n#     ", stdout);
        else
            putchar(*c);
    putchar('\n');
    fflush(stdout);
}

/* Runs one test and prints its TAP line; true when it passed or was skipped. */
static bool test_run_one(const struct test_case *case_, unsigned number) {
    test_n_failures = 0;
    test_skip_reason = NULL;
    case_->run();

    bool passed = test_n_failures == 0;
    printf("%s %u - %s", passed ? "ok" : "not ok", number, case_->name);
    if (passed && test_skip_reason)
        printf(" # SKIP %s", test_skip_reason);
    putchar('\n');
    fflush(stdout);
    return passed;
}

int main(int argc, char **argv) {
    const char *only = argc > 1 ? argv[1] : "";
    unsigned n_tests = 0, number = 0;
    bool all_passed = true;

    for (const struct test_case *c = test_first; c; c = c->next)
        if (strstr(c->name, only))
            n_tests++;

    printf("1..%u\n", n_tests);
    fflush(stdout);
    for (const struct test_case *c = test_first; c; c = c->next)
        if (strstr(c->name, only) && !test_run_one(c, ++number))
            all_passed = false;
    fputs(test_failures, stderr);

    return n_tests > 0 && all_passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif

#endif
