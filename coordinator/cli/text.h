/* Text for a terminal: how wide it is, how durations and times read, and colours that vanish where they would hurt.
 * Foreign text has no control bytes by then (client.h cleans every reply). */
#ifndef KEDGE_CLI_TEXT_H
#define KEDGE_CLI_TEXT_H

#include "common/base/bytes.h"

/* Columns that UTF-8 text takes; escape sequences of colour take none. */
size_t text_width(const char *text);

/* The longest beginning of `text`, in bytes, that takes at most `width` columns. */
size_t text_fit(const char *text, size_t width);

/* Where to break a line that is too wide: before the last blank behind `indent` that still fits, else in the middle of the
 * word. Its whole length when it fits. */
size_t text_break(const char *line, size_t indent, size_t width);

/* A copy without control characters (tabs and newlines too, unless `keep_newlines`), marks that change the direction
 * of text, and broken UTF-8: each becomes U+FFFD. malloc'ed; NULL when memory is out. */
char *text_clean(const char *text, bool keep_newlines) _must_check_;

enum { TEXT_SHORT = 64 };
struct short_text {
    char s[TEXT_SHORT];
};

/* "0.8 s", "12 s", "6 m 12 s", "3 h 5 m", "4 d 2 h" */
struct short_text text_duration(int64_t ms);
/* "740 us", "12.3 ms", "4.1 s" */
struct short_text text_interval_us(int64_t us);
/* "2026-01-31 22:00:05", local time; "" for 0 */
struct short_text text_time(int64_t ms);
/* "22:00:05" */
struct short_text text_zone(int64_t ms); /* of those local times: "CET" */
struct short_text text_clock(int64_t ms);
/* "1.2 MiB" */
struct short_text text_size(uint64_t bytes);

/* Wall clock, milliseconds since 1970. */
int64_t wall_ms(void);

enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_BAD, COLOUR_WARN, COLOUR_DIM, COLOUR_STRONG };

/* Once, at the start: whether colours are used at all. */
void colour_use(bool use);
const char *colour_on(enum colour colour);
const char *colour_off(void);

/* ---- tables ---- */

enum { TABLE_COLUMNS_MAX = 12 };
struct table_cell {
    char *text; /* owned */
    enum colour colour;
};
struct table {
    const char *titles[TABLE_COLUMNS_MAX];
    size_t n_columns, n_rows, room;
    struct table_cell *cells;
};

/* Titles end with NULL; a title that begins with ">" is a column that is aligned to the right. */
void table_init(struct table *table, const char *const *titles);
void table_deinit(struct table *table);
/* One cell after the other, row by row; `text` is copied, NULL is "". Aborts when memory is out. */
void table_cell(struct table *table, const char *text, enum colour colour);
void table_format(struct table *table, enum colour colour, const char *format, ...) _printf_(3, 4);
void table_print(const struct table *table, FILE *out);

#endif
