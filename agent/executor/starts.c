/* How a start goes on, and how long starts take here. Both stand in one file because they answer one question of an
 * operator: is it slow, or does it hang? Lines of its output that the recipe names are progress (agent/core moves the
 * deadline); the durations of the last starts are kept in the journal and offered as a fact, from which the planner makes
 * the next deadline.
 *
 * Only starts that this very process has begun and seen proven are measured: one that another agent began, or the host's
 * restart, would put a wrong number into a deadline. */
#include "agent/executor/executor.h"

#include <fcntl.h>
#include <regex.h>
#include <string.h>
#include <sys/stat.h>

enum {
    STARTS_KEPT = 5,
    READ_BYTES = 64 * 1024,
    READS_MAX = 16, /* a look; what is written faster is read by the next one */
};

/* ---- progress ---- */

/* Its two files, or one when both go to the same. */
static size_t outputs_of(const struct member *m, const char *paths[static 2]) {
    const struct start_spec *spec = &m->generation.spec;
    size_t n = 0;
    if (m->has_generation && spec->output.path)
        paths[n++] = spec->output.path;
    if (m->has_generation && spec->errors.path && (n == 0 || strcmp(paths[0], spec->errors.path) != 0))
        paths[n++] = spec->errors.path;
    return n;
}

void start_output_skip(struct member *m) {
    const char *paths[2];
    struct stat st;
    size_t n = outputs_of(m, paths);
    for (size_t i = 0; i < n; i++)
        m->output_seen[i] = stat(paths[i], &st) == 0 ? (uint64_t)st.st_size : 0;
}

static bool text_matches(const regex_t *expression, const char *text, size_t len) {
    regmatch_t whole = {.rm_so = 0, .rm_eo = (regoff_t)len};
    return regexec(expression, text, 1, &whole, REG_STARTEND) == 0;
}

/* Whole lines only: the rest of one that is being written is read with its end. A file that was cut is read from its
 * beginning. */
static bool new_lines_match(int fd, const regex_t *expression, uint64_t *seen) {
    char text[READ_BYTES];
    struct stat st;
    bool found = false;
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size < *seen)
        *seen = 0;
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t n = pread(fd, text, sizeof(text), (off_t)*seen);
        const char *last = n > 0 ? memrchr(text, '\n', (size_t)n) : NULL;
        size_t len = last ? (size_t)(last - text) + 1 : n == READ_BYTES ? READ_BYTES : 0;
        if (len == 0)
            break;
        *seen += len;
        found = found || text_matches(expression, text, len);
    }
    return found;
}

void start_look_for_progress(struct member *m, const struct row *row) {
    regex_t expression;
    const char *paths[2];
    bool found = false;
    if (!row->progress || regcomp(&expression, row->progress, REG_EXTENDED | REG_NEWLINE) != 0)
        return;
    size_t n = outputs_of(m, paths);
    for (size_t i = 0; i < n; i++) {
        _cleanup_(closep) int fd = open(paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        found = (fd >= 0 && new_lines_match(fd, &expression, &m->output_seen[i])) || found;
    }
    regfree(&expression);
    struct machine_event event = {.kind = MACHINE_EVENT_PROGRESS};
    if (found)
        member_feed(m, &event);
}

/* ---- history ---- */

void start_released(struct member *m) {
    m->released_us = clock_monotonic_us();
    m->start_ms = 0;
}

void start_observed(struct member *m) {
    if (m->released_us > 0)
        m->start_ms = (clock_monotonic_us() - m->released_us + 999) / 1000;
    m->released_us = 0;
}

/* "1200 900 1500 ", the last one last. */
static const char *all_but_the_first(const char *list) {
    const char *blank = strchr(list, ' ');
    return blank ? blank + 1 : "";
}

void start_keep(struct member *m) {
    _cleanup_(buffer_deinit) struct buffer list = {0};
    const char *kept = start_history(m);
    size_t n = 0;
    if (m->start_ms == 0)
        return;
    for (const char *p = kept; *p; p = all_but_the_first(p))
        n++;
    for (; n >= STARTS_KEPT; n--)
        kept = all_but_the_first(kept);
    buffer_format(&list, "%s%s%" PRIu64, kept, *kept ? " " : "", m->start_ms);
    buffer_append(&list, "", 1); /* read as text */
    m->start_ms = 0;
    (void)executor_put(m->executor, RECORD_STARTS, m->name, &list);
}

const char *start_history(const struct member *m) {
    struct bytes kept = journal_get(m->executor->journal, RECORD_STARTS, m->name);
    bool is_text = kept.len > 0 && kept.data[kept.len - 1] == 0;
    return is_text ? (const char *)kept.data : "";
}
