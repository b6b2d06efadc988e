/* Why widths are counted here: printf pads bytes, and a name with an umlaut or a wide character would bend the table.
 * The C.UTF-8 locale is part of Debian's libc, whatever the user's locale says. */
#include "coordinator/cli/text.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

static bool use_colour;

void colour_use(bool use) {
    use_colour = use;
}

const char *colour_on(enum colour colour) {
    if (!use_colour)
        return "";
    switch (colour) {
    case COLOUR_NONE: return "";
    case COLOUR_GOOD: return "\033[32m";
    case COLOUR_BAD: return "\033[31m";
    case COLOUR_WARN: return "\033[33m";
    case COLOUR_DIM: return "\033[2m";
    case COLOUR_STRONG: return "\033[1m";
    }
    return "";
}

const char *colour_off(void) {
    return use_colour ? "\033[0m" : "";
}

/* One character: its bytes, and its columns (-1: a control character, -2: broken). */
static size_t character(const char *text, int *columns) {
    wchar_t c = 0;
    mbstate_t state = {0};
    size_t n = mbrtowc(&c, text, strlen(text), &state);
    if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
        *columns = -2;
        return 1;
    }
    bool bidi = (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f;
    *columns = bidi ? -1 : wcwidth(c);
    return n;
}

static size_t escape_length(const char *text) {
    if (text[0] != '\033' || text[1] != '[')
        return 0;
    size_t n = 2;
    while (text[n] && (text[n] < '@' || text[n] > '~'))
        n++;
    return text[n] ? n + 1 : n;
}

size_t text_fit(const char *text, size_t width) {
    size_t at = 0, used = 0;
    while (text[at]) {
        size_t n = escape_length(text + at);
        int columns = 0;
        if (n == 0) {
            n = character(text + at, &columns);
            columns = columns < 0 ? 1 : columns;
        }
        if (used + (size_t)columns > width)
            break;
        used += (size_t)columns;
        at += n;
    }
    return at;
}

size_t text_break(const char *line, size_t indent, size_t width) {
    size_t fits = text_fit(line, width);
    if (!line[fits])
        return fits;
    for (size_t at = fits; at > indent; at--)
        if (line[at] == ' ')
            return at;
    return fits ? fits : strlen(line);
}

size_t text_width(const char *text) {
    size_t used = 0;
    while (*text) {
        size_t n = escape_length(text);
        int columns = 0;
        if (n == 0) {
            n = character(text, &columns);
            columns = columns < 0 ? 1 : columns;
        }
        used += (size_t)columns;
        text += n;
    }
    return used;
}

char *text_clean(const char *text, bool keep_newlines) {
    _cleanup_(buffer_deinit) struct buffer out = {0};
    buffer_text(&out, "");
    while (*text) {
        int columns;
        size_t n = character(text, &columns);
        if (columns < 0 && !(keep_newlines && *text == '\n'))
            buffer_text(&out, "\xef\xbf\xbd");
        else
            buffer_append(&out, text, n);
        text += n;
    }
    return buffer_take(&out);
}

/* ---- numbers ---- */

struct short_text text_duration(int64_t ms) {
    struct short_text out;
    int64_t s = ms < 0 ? 0 : ms / 1000;
    if (s < 10)
        snprintf(out.s, sizeof(out.s), "%lld.%lld s", (long long)s,
                 (long long)(ms < 0 ? 0 : ms % 1000 / 100));
    else if (s < 60)
        snprintf(out.s, sizeof(out.s), "%lld s", (long long)s);
    else if (s < 3600)
        snprintf(out.s, sizeof(out.s), "%lld m %lld s", (long long)(s / 60), (long long)(s % 60));
    else if (s < 86400)
        snprintf(out.s, sizeof(out.s), "%lld h %lld m", (long long)(s / 3600), (long long)(s / 60 % 60));
    else
        snprintf(out.s, sizeof(out.s), "%lld d %lld h", (long long)(s / 86400), (long long)(s / 3600 % 24));
    return out;
}

struct short_text text_interval_us(int64_t us) {
    struct short_text out;
    if (us < 1000)
        snprintf(out.s, sizeof(out.s), "%lld us", (long long)us);
    else if (us < 1000000)
        snprintf(out.s, sizeof(out.s), "%lld.%lld ms", (long long)(us / 1000), (long long)(us % 1000 / 100));
    else
        snprintf(out.s, sizeof(out.s), "%lld.%02lld s", (long long)(us / 1000000),
                 (long long)(us % 1000000 / 10000));
    return out;
}

/* False when there is no such time. */
static bool time_local(int64_t ms, struct tm *tm) {
    time_t s = (time_t)(ms / 1000);
    return ms > 0 && localtime_r(&s, tm);
}

struct short_text text_time(int64_t ms) {
    struct short_text out = {""};
    struct tm tm;
    if (time_local(ms, &tm) && strftime(out.s, sizeof(out.s), "%Y-%m-%d %H:%M:%S", &tm) == 0)
        out.s[0] = 0;
    return out;
}

struct short_text text_zone(int64_t ms) {
    struct short_text out = {""};
    struct tm tm;
    if (time_local(ms, &tm) && strftime(out.s, sizeof(out.s), "%Z", &tm) == 0)
        out.s[0] = 0;
    return out;
}

struct short_text text_clock(int64_t ms) {
    struct short_text out = {""};
    struct tm tm;
    if (time_local(ms, &tm) && strftime(out.s, sizeof(out.s), "%H:%M:%S", &tm) == 0)
        out.s[0] = 0;
    return out;
}

struct short_text text_size(uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    struct short_text out;
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
        value /= 1024;
    snprintf(out.s, sizeof(out.s), "%.*f %s", unit == 0 ? 0 : 1, value, units[unit]);
    return out;
}

int64_t wall_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- tables ---- */

void table_init(struct table *table, const char *const *titles) {
    *table = (struct table){0};
    while (titles[table->n_columns] && table->n_columns < TABLE_COLUMNS_MAX) {
        table->titles[table->n_columns] = titles[table->n_columns];
        table->n_columns++;
    }
}

void table_deinit(struct table *table) {
    for (size_t i = 0; i < table->n_rows; i++)
        free(table->cells[i].text);
    free(table->cells);
    *table = (struct table){0};
}

void table_cell(struct table *table, const char *text, enum colour colour) {
    if (table->n_rows == table->room) {
        table->room = table->room ? 2 * table->room : 64;
        struct table_cell *cells = reallocarray(table->cells, table->room, sizeof(*cells));
        if (!cells)
            abort();
        table->cells = cells;
    }
    char *copy = strdup(text ? text : "");
    if (!copy)
        abort();
    table->cells[table->n_rows++] = (struct table_cell){copy, colour};
}

void table_format(struct table *table, enum colour colour, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    table_cell(table, text, colour);
}

static void cell_print(FILE *out, const char *text, enum colour colour, size_t width, bool right, bool last) {
    size_t pad = width - text_width(text);
    fprintf(out, "%*s%s%s%s", right ? (int)pad : 0, "", colour_on(colour), text, colour ? colour_off() : "");
    if (!last)
        fprintf(out, "%*s", (int)(right ? 2 : pad + 2), "");
}

void table_print(const struct table *table, FILE *out) {
    size_t widths[TABLE_COLUMNS_MAX], n = table->n_columns;
    for (size_t c = 0; c < n; c++)
        widths[c] = text_width(table->titles[c]) - (table->titles[c][0] == '>');
    for (size_t i = 0; i < table->n_rows; i++) {
        size_t width = text_width(table->cells[i].text);
        if (width > widths[i % n])
            widths[i % n] = width;
    }
    for (size_t c = 0; c < n; c++) {
        bool right = table->titles[c][0] == '>';
        cell_print(out, table->titles[c] + right, COLOUR_STRONG, widths[c], right, c + 1 == n);
    }
    fputc('\n', out);
    for (size_t i = 0; i < table->n_rows; i++) {
        size_t c = i % n;
        bool right = table->titles[c][0] == '>', last = c + 1 == n;
        cell_print(out, table->cells[i].text, table->cells[i].colour, widths[c], right, last);
        if (last)
            fputc('\n', out);
    }
}
