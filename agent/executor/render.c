/* Why line by line: a configuration file belongs to its operator, who will look for his comments where he left them. A
 * properties file is a list of lines; a line either sets one key or is none of our business.
 *
 * Understood of java.util.Properties: '=' or ':' or white space between key and value, '#' and '!' comments, leading
 * white space. A line that ends with a backslash goes on in the next one and is kept together with it. */
#include "agent/executor/render.h"

#include "common/base/limits.h"

#include <string.h>

enum { LINES_MAX = 20000, CONTEXT_LINES = 2 };

struct config_line {
    const char *text; /* without the end of line; continuation lines included */
    size_t len;
    const char *key; /* into text; NULL: sets nothing */
    size_t key_len;
    const char *value;
    size_t value_len;
};

struct config_lines {
    struct config_line *items;
    size_t n;
};

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\f' || c == '\r';
}

static void line_parse(struct config_line *line) {
    const char *p = line->text, *end = line->text + line->len;
    while (p < end && is_space(*p))
        p++;
    if (p == end || *p == '#' || *p == '!')
        return;
    line->key = p;
    while (p < end && !is_space(*p) && *p != '=' && *p != ':')
        p++;
    line->key_len = (size_t)(p - line->key);
    while (p < end && is_space(*p))
        p++;
    if (p < end && (*p == '=' || *p == ':'))
        p++;
    while (p < end && is_space(*p))
        p++;
    line->value = p;
    while (end > p && is_space(end[-1]))
        end--;
    line->value_len = (size_t)(end - p);
}

static bool continues(const char *text, size_t len) {
    size_t slashes = 0;
    while (slashes < len && text[len - 1 - slashes] == '\\')
        slashes++;
    return slashes % 2 == 1;
}

static int lines_split(struct bytes content, struct config_lines *out, struct error *err) {
    const char *text = (const char *)content.data;
    size_t room = 1;
    for (size_t i = 0; i < content.len; i++)
        room += text[i] == '\n';
    if (room > LINES_MAX)
        return error_set(err, -EFBIG, "configuration has more than %d lines", LINES_MAX);
    out->n = 0;
    out->items = calloc(room, sizeof(*out->items));
    if (!out->items)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t at = 0; at < content.len;) {
        struct config_line line = {.text = text + at};
        bool comment = text[at] == '#' || text[at] == '!';
        do {
            const char *end = memchr(text + at, '\n', content.len - at);
            size_t stop = end ? (size_t)(end - text) : content.len;
            line.len = (size_t)(text + stop - line.text);
            at = stop + 1;
        } while (!comment && at < content.len && continues(line.text, line.len));
        line_parse(&line);
        out->items[out->n++] = line;
    }
    return 0;
}

static void lines_deinit(struct config_lines *lines) {
    free(lines->items);
}

static bool sets(const struct config_line *line, const char *key) {
    return line->key && line->key_len == strlen(key) && memcmp(line->key, key, line->key_len) == 0;
}

static const struct config_line *lines_find(const struct config_lines *lines, const char *key) {
    for (size_t i = lines->n; i > 0; i--)
        if (sets(&lines->items[i - 1], key))
            return &lines->items[i - 1];
    return NULL;
}

const char *config_value(enum config_format format, struct bytes content, const char *key,
                         struct arena *arena) {
    (void)format; /* one format so far */
    _cleanup_(lines_deinit) struct config_lines lines = {0};
    if (lines_split(content, &lines, NULL) < 0)
        return NULL;
    const struct config_line *line = lines_find(&lines, key);
    return line ? arena_text_n(arena, line->value, line->value_len) : NULL;
}

/* ---- operations ---- */

/* Which operation, if any, rewrites this line. */
static const struct config_op *op_of(const struct render *render, const struct config_line *line) {
    for (size_t i = 0; i < render->n_ops; i++)
        if (line->key && render->ops[i].kind != CONFIG_ADD_IF_MISSING && sets(line, render->ops[i].key))
            return &render->ops[i];
    return NULL;
}

static void line_write(struct buffer *out, const struct config_line *line) {
    buffer_append(out, line->text, line->len);
    buffer_text(out, "\n");
}

static void pair_write(struct buffer *out, const char *key, const char *value, size_t value_len) {
    buffer_text(out, key);
    buffer_text(out, "=");
    buffer_append(out, value, value_len);
    buffer_text(out, "\n");
}

static void op_write(struct buffer *out, const struct config_op *op, const struct config_line *line,
                     const struct config_lines *found) {
    const struct config_line *carried;
    switch (op->kind) {
    case CONFIG_SET: pair_write(out, op->key, op->value, strlen(op->value)); return;
    case CONFIG_REMOVE:
        buffer_text(out, "# removed by kedge: ");
        for (size_t i = 0; i < line->len; i++)
            buffer_append(out, line->text[i] == '\n' ? "\n# " : line->text + i,
                          line->text[i] == '\n' ? 3 : 1);
        buffer_text(out, "\n");
        return;
    case CONFIG_RENAME: pair_write(out, op->value, line->value, line->value_len); return;
    case CONFIG_CARRY:
        carried = lines_find(found, op->key);
        if (carried)
            pair_write(out, op->key, carried->value, carried->value_len);
        else
            line_write(out, line);
        return;
    case CONFIG_ADD_IF_MISSING: line_write(out, line); return;
    }
}

/* What an operation adds at the end because the base does not set its key. */
static void op_append(struct buffer *out, const struct config_op *op, const struct config_lines *base,
                      const struct config_lines *found) {
    if (lines_find(base, op->key))
        return;
    const struct config_line *carried = op->kind == CONFIG_CARRY ? lines_find(found, op->key) : NULL;
    if (carried)
        pair_write(out, op->key, carried->value, carried->value_len);
    else if (op->kind == CONFIG_SET || op->kind == CONFIG_ADD_IF_MISSING)
        pair_write(out, op->key, op->value, strlen(op->value));
}

static int ops_check(const struct render *render, struct error *err) {
    for (size_t i = 0; i < render->n_ops; i++) {
        const struct config_op *op = &render->ops[i];
        bool needs_value =
            op->kind == CONFIG_SET || op->kind == CONFIG_RENAME || op->kind == CONFIG_ADD_IF_MISSING;
        if (!op->key || (needs_value && !op->value))
            return error_set(err, -EINVAL, "configuration operation %zu has no %s", i + 1,
                             op->key ? "value" : "key");
        if (strpbrk(op->key, "\n= ") || (op->value && strchr(op->value, '\n')))
            return error_set(err, -EINVAL, "configuration key \"%s\": a line break or = where none may be",
                             op->key);
        for (size_t k = 0; k < i; k++)
            if (strcmp(render->ops[k].key, op->key) == 0)
                return error_set(err, -EINVAL, "configuration key \"%s\": two operations", op->key);
    }
    return 0;
}

int render_apply(const struct render *render, struct bytes found, struct buffer *out, struct error *err) {
    _cleanup_(lines_deinit) struct config_lines found_lines = {0};
    _cleanup_(lines_deinit) struct config_lines shipped_lines = {0};
    int r = ops_check(render, err);
    if (r == 0)
        r = lines_split(found, &found_lines, err);
    if (r == 0 && render->has_shipped)
        r = lines_split(render->shipped, &shipped_lines, err);
    if (r < 0)
        return r;
    if (!render->has_shipped && render->n_ops == 0) {
        buffer_append(out, found.data, found.len); /* to the byte, whatever the last line ends with */
        return out->failed ? error_set(err, -ENOMEM, "out of memory") : 0;
    }
    const struct config_lines *base = render->has_shipped ? &shipped_lines : &found_lines;
    for (size_t i = 0; i < base->n; i++) {
        const struct config_op *op = op_of(render, &base->items[i]);
        if (op)
            op_write(out, op, &base->items[i], &found_lines);
        else
            line_write(out, &base->items[i]);
    }
    for (size_t i = 0; i < render->n_ops; i++)
        op_append(out, &render->ops[i], base, &found_lines);
    if (out->failed)
        return error_set(err, -ENOMEM, "out of memory");
    return out->len > KEDGE_CONFIG_BYTES_MAX
               ? error_set(err, -EFBIG, "configuration is larger than %d bytes", KEDGE_CONFIG_BYTES_MAX)
               : 0;
}

/* ---- the diff ---- */

static bool is_clear(const struct config_line *line, const char *const *clear, size_t n_clear) {
    for (size_t i = 0; i < n_clear; i++)
        if (sets(line, clear[i]))
            return true;
    return !line->key;
}

static void diff_line(struct buffer *out, char mark, const struct config_line *line, const char *const *clear,
                      size_t n_clear) {
    buffer_format(out, "%c ", mark);
    if (is_clear(line, clear, n_clear))
        buffer_append(out, line->text, line->len);
    else
        buffer_format(out, "%.*s=****", (int)line->key_len, line->key);
    buffer_text(out, "\n");
}

static bool line_equal(const struct config_line *a, const struct config_line *b) {
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* Where `line` stands in `lines` at or behind `from`, or n. */
static size_t find_from(const struct config_lines *lines, size_t from, const struct config_line *line) {
    while (from < lines->n && !line_equal(&lines->items[from], line))
        from++;
    return from;
}

struct diff {
    const struct config_lines *before, *after;
    const char *const *clear;
    size_t n_clear;
    struct buffer *out;
};

/* Lines [from, to) of one side, marked. */
static void diff_run(const struct diff *diff, char mark, const struct config_lines *lines, size_t from,
                     size_t to) {
    for (size_t i = from; i < to; i++)
        diff_line(diff->out, mark, &lines->items[i], diff->clear, diff->n_clear);
}

static void diff_gap(const struct diff *diff, size_t from, size_t to, bool first, bool last) {
    size_t head = first ? from : from + CONTEXT_LINES, tail = last                 ? to
                                                              : to < CONTEXT_LINES ? 0
                                                                                   : to - CONTEXT_LINES;
    if (head >= tail) {
        diff_run(diff, ' ', diff->before, from, to);
        return;
    }
    diff_run(diff, ' ', diff->before, from, head);
    if (!first)
        buffer_text(diff->out, "  ...\n");
    diff_run(diff, ' ', diff->before, tail, last ? tail : to);
}

void render_diff(enum config_format format, struct bytes before, struct bytes after, const char *const *clear,
                 size_t n_clear, struct buffer *out) {
    (void)format;
    _cleanup_(lines_deinit) struct config_lines old_lines = {0};
    _cleanup_(lines_deinit) struct config_lines new_lines = {0};
    if (bytes_equal(before, after) || lines_split(before, &old_lines, NULL) < 0 ||
        lines_split(after, &new_lines, NULL) < 0)
        return;
    struct diff diff = {&old_lines, &new_lines, clear, n_clear, out};
    size_t i = 0, k = 0, same = 0; /* `same`: where the run of equal lines that ends at i began */
    bool first = true;
    while (i < old_lines.n || k < new_lines.n) {
        if (i < old_lines.n && k < new_lines.n && line_equal(&old_lines.items[i], &new_lines.items[k])) {
            i++;
            k++;
            continue;
        }
        diff_gap(&diff, same, i, first, false);
        first = false;
        /* The nearest line of the old file that the new one still has ends the difference. */
        size_t next = i, there = k;
        for (; next < old_lines.n; next++)
            if ((there = find_from(&new_lines, k, &old_lines.items[next])) < new_lines.n)
                break;
        if (next == old_lines.n)
            there = new_lines.n;
        diff_run(&diff, '-', &old_lines, i, next);
        diff_run(&diff, '+', &new_lines, k, there);
        i = same = next;
        k = there;
    }
    if (!first)
        diff_gap(&diff, same, i, false, true);
}
