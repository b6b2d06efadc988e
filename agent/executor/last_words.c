/* Why a service ended, in its own words: the last line that it wrote which is not indented (below an exception stand its
 * calls). What it wrote may hold a secret that it was given, and reports are kept for good: every value of its
 * configuration, arguments and environment that nobody has declared clear is masked. */
#include "agent/executor/executor.h"
#include "agent/executor/render.h"

#include "common/base/file.h"
#include "common/base/text.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
    TAIL_BYTES = 8192,
    LINE_MAX_BYTES = 240,
    SECRET_MIN_BYTES = 4, /* shorter values ("no", "1") are no secrets, and would mask half of every line */
    ARENA_BYTES = 4 * 1024 * 1024,
};

static void mask(char *line, const char *value) {
    size_t n = strlen(value);
    if (n < SECRET_MIN_BYTES)
        return;
    for (char *at = line; (at = strstr(at, value)); at += n)
        memset(at, '*', n);
}

static bool is_clear(const struct member *m, const char *key) {
    for (size_t i = 0; m->charter && i < m->charter->n_clear_config; i++)
        if (strcmp(m->charter->clear_config[i], key) == 0)
            return true;
    return false;
}

/* Lines KEY=VALUE, KEY: VALUE or KEY VALUE. */
static void mask_config(const struct member *m, char *line, char *config) {
    for (char *save = NULL, *at = strtok_r(config, "\r\n", &save); at; at = strtok_r(NULL, "\r\n", &save)) {
        at += strspn(at, " \t");
        size_t n = strcspn(at, "=: \t");
        char *value = at + n + strspn(at + n, "=: \t");
        if (*at == '#' || *at == '!' || n == 0 || !*value)
            continue;
        for (size_t len = strlen(value); len > 0 && isspace((unsigned char)value[len - 1]);)
            value[--len] = 0;
        at[n] = 0;
        if (!is_clear(m, at))
            mask(line, value);
    }
}

static void mask_words(const struct member *m, char *line, struct arena *arena) {
    const struct start_spec *spec = &m->generation.spec;
    struct words clear = {m->charter->clear_after, m->charter->n_clear_after};
    for (size_t i = 1; i < spec->n_arguments; i++) {
        bool shown = false;
        const char *equals = strchr(spec->arguments[i], '=');
        if (!argument_shown(spec, i, clear, arena, &shown) || shown)
            continue;
        if (equals)
            mask(line, equals + 1);
        else if (spec->arguments[i][0] != '-')
            mask(line, spec->arguments[i]);
    }
    for (size_t i = 0; i < spec->n_environment; i++) {
        const char *equals = strchr(spec->environment[i], '=');
        if (equals)
            mask(line, equals + 1);
    }
}

/* False when the secrets are not known, so the line cannot be shown. */
static bool line_mask(const struct member *m, char *line) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(ARENA_BYTES);
    _cleanup_(buffer_deinit) struct buffer config = {0};
    const struct start_spec *spec = &m->generation.spec;
    size_t index;
    if (!arena || !m->charter)
        return false;
    mask_words(m, line, arena);
    const char *path =
        m->charter->config_after ? spec_argument_after(spec, m->charter->config_after, &index) : NULL;
    if (!path)
        return true;
    const char *full = path[0] == '/' ? path : arena_format(arena, "%s/%s", spec->directory, path);
    if (!full || file_read(full, KEDGE_CONFIG_BYTES_MAX, &config, NULL) < 0)
        return false;
    if (config.data)
        mask_config(m, line, (char *)config.data);
    return true;
}

/* The last line of the text that begins with something. */
static const char *last_line(char *text) {
    const char *last = NULL;
    for (char *save = NULL, *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
        if (!isspace((unsigned char)*line))
            last = line;
    return last;
}

void member_last_words(const struct member *m, char *out, size_t size) {
    char tail[TAIL_BYTES + 1], line[LINE_MAX_BYTES];
    struct stat st;
    size_t used = strlen(out);
    if (!m->has_generation || !m->generation.spec.errors.path || used + 16 >= size)
        return;
    const struct start_spec *spec = &m->generation.spec;
    bool own = spec->output.path && strcmp(spec->output.path, spec->errors.path) == 0;
    _cleanup_(closep) int fd = open(spec->errors.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    off_t from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
    if (own && from < (off_t)m->process.log_offset)
        from = (off_t)m->process.log_offset; /* what an earlier one wrote is not its last word */
    ssize_t n = pread(fd, tail, TAIL_BYTES, from);
    if (n <= 0)
        return;
    tail[n] = 0;
    const char *last = last_line(tail);
    if (!last)
        return;
    (void)text_tame(line, sizeof(line), last);
    if (line_mask(m, line))
        snprintf(out + used, size - used, "; its last words: %s", line);
}
