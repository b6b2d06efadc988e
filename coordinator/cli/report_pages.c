/* Paper: a report goes to people who print it, sign it and lose a sheet. So every page says of which run and plan it is
 * and how many there are, and no line is cut: what is too long goes on in the next line, indented. Pages are filled with
 * blank lines, not ended by form feeds, so that a terminal, a ticket and a printer show the same. */
#include "coordinator/cli/view.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_LINES = 4, INDENT_MAX = 40, PAGES_MAX = 999999 };

/* One line, as one or more of at most REPORT_COLUMNS; returns how many. */
static size_t line_wrap(struct buffer *out, const char *line) {
    size_t own = strspn(line, " "), indent = own + 4 < INDENT_MAX ? own + 4 : INDENT_MAX, n = 0;
    for (size_t room = REPORT_COLUMNS;; room = REPORT_COLUMNS - indent) {
        size_t len = text_break(line, n ? 0 : own, room);
        if (n > 0)
            buffer_format(out, "%*s", (int)indent, "");
        buffer_append(out, line, len);
        buffer_text(out, "\n");
        n++;
        line += len + strspn(line + len, " ");
        if (!*line)
            return n;
    }
}

static size_t lines_wrap(struct buffer *out, char *text) {
    size_t n = 0;
    for (char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        bool more = line[len] == '\n';
        size_t end = len;
        while (end > 0 && line[end - 1] == ' ')
            end--;
        line[end] = 0;
        n += line_wrap(out, line);
        line += len + more;
    }
    return n;
}

static void page_head(struct buffer *out, const json_t *run, size_t page, size_t n_pages) {
    char left[256], right[64];
    snprintf(left, sizeof(left), "Kedge, report of run %lld: cluster %s, %s -> %s",
             (long long)json_number(run, "id"), json_text(run, "cluster"), json_text(run, "from"),
             json_text(run, "to"));
    snprintf(right, sizeof(right), "page %zu of %zu", page, n_pages);
    size_t used = strlen(right) + 2, fits = text_fit(left, REPORT_COLUMNS - used);
    left[fits] = 0;
    buffer_format(out, "%s%*s%s\nplan %s\n", left, (int)(REPORT_COLUMNS - text_width(left) - strlen(right)),
                  "", right, json_text(run, "plan"));
    for (size_t i = 0; i < REPORT_COLUMNS; i++)
        buffer_text(out, "-");
    buffer_text(out, "\n\n");
}

void report_pages(struct buffer *out, const json_t *run, struct buffer *body) {
    _cleanup_(buffer_deinit) struct buffer wrapped = {0};
    char *text = buffer_take(body);
    size_t room = REPORT_LINES - HEAD_LINES, n_lines = text ? lines_wrap(&wrapped, text) : 0;
    size_t n_pages = n_lines ? (n_lines + room - 1) / room : 1;
    free(text);
    const char *at = wrapped.data ? (const char *)wrapped.data : "";
    if (n_pages > PAGES_MAX || wrapped.failed)
        out->failed = true;
    for (size_t page = 1; page <= n_pages && !out->failed; page++) {
        size_t n = 0;
        page_head(out, run, page, n_pages);
        for (; n < room && *at; n++) {
            size_t len = strcspn(at, "\n");
            buffer_append(out, at, len + (at[len] == '\n'));
            at += len + (at[len] == '\n');
        }
        for (; n < room && page < n_pages; n++)
            buffer_text(out, "\n");
    }
}
