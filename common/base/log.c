/* Why write(2) of one whole line: lines of several processes that share a file stay whole. */
#include "common/base/log.h"

#include "common/base/text.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

static const char *log_program = "kedge";
static enum log_level log_limit = LOG_LEVEL_INFO;
static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_open(const char *program) {
    log_program = program;
    const char *wanted = getenv("KEDGE_LOG");
    for (size_t i = 0; wanted && i < ARRAY_LEN(level_names); i++)
        if (strcmp(wanted, level_names[i]) == 0)
            log_limit = (enum log_level)i;
}

void log_at(enum log_level level, const char *id, const char *format, ...) {
    if (level > log_limit)
        return;
    char line[2048];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm tm;
    gmtime_r(&now.tv_sec, &tm);
    size_t used = strftime(line, sizeof(line), "%H:%M:%S", &tm);
    int n = snprintf(line + used, sizeof(line) - used, ".%03ld %s %s %s: ", now.tv_nsec / 1000000,
                     log_program, level_names[level], id);
    used += n > 0 ? (size_t)n : 0;
    va_list ap;
    va_start(ap, format);
    vsnprintf(line + used, sizeof(line) - used - 1, format, ap);
    va_end(ap);
    used = text_tame(line, sizeof(line) - 1, line);
    for (char *p = line; (p = strpbrk(p, "\n\t"));)
        *p = '?';
    line[used++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
}
