/* Text for terminals: widths, cleaning, durations, tables. */
#include "coordinator/cli/text.h"
#include "tests/unit/test.h"

#include <locale.h>

static void cleaned(const char *text, const char *want) {
    char *clean = text_clean(text, false);
    check_eq_str(clean, want);
    free(clean);
}

TEST("foreign text cannot reach the terminal as an escape") {
    setlocale(LC_CTYPE, "C.UTF-8");
    cleaned("plain n\xc3\xb6"
            "de",
            "plain n\xc3\xb6"
            "de");
    cleaned("a\033[2Jb", "a\xef\xbf\xbd[2Jb");
    cleaned("a\xc2\x9b"
            "2Jb",
            "a\xef\xbf\xbd"
            "2Jb"); /* the one-byte CSI of ISO 6429 */
    cleaned("a\nb\tc", "a\xef\xbf\xbd"
                       "b\xef\xbf\xbd"
                       "c");
    cleaned("x\xe2\x80\xae"
            "fdp",
            "x\xef\xbf\xbd"
            "fdp"); /* right-to-left override */
    cleaned("bad \xff\xc3", "bad \xef\xbf\xbd\xef\xbf\xbd");
    char *kept = text_clean("a\nb\033", true);
    check_eq_str(kept, "a\nb\xef\xbf\xbd");
    free(kept);
}

TEST("width counts columns, not bytes, and colours take none") {
    setlocale(LC_CTYPE, "C.UTF-8");
    check_eq_int(text_width("abc"), 3);
    check_eq_int(text_width("\xc3\xb6\xe6\xbc\xa2"), 3); /* one and two columns */
    check_eq_int(text_width("\033[31mred\033[0m"), 3);
    check_eq_int(text_fit("\xe6\xbc\xa2\xe6\xbc\xa2", 3), 3);
    check_eq_int(text_fit("\033[31mred\033[0m", 2), 7);
}

TEST("durations and sizes read as people say them") {
    check_eq_str(text_duration(840).s, "0.8 s");
    check_eq_str(text_duration(12000).s, "12 s");
    check_eq_str(text_duration(372000).s, "6 m 12 s");
    check_eq_str(text_duration(11100000).s, "3 h 5 m");
    check_eq_str(text_duration(-5).s, "0.0 s");
    check_eq_str(text_interval_us(740).s, "740 us");
    check_eq_str(text_interval_us(12345).s, "12.3 ms");
    check_eq_str(text_interval_us(4123456).s, "4.12 s");
    check_eq_str(text_size(740).s, "740 B");
    check_eq_str(text_size(1258291).s, "1.2 MiB");
    check_eq_str(text_time(0).s, "");
}

TEST("tables are aligned by width") {
    static const char *const titles[] = {"NAME", ">N", "END", NULL};
    struct table table;
    char *text = NULL;
    size_t size = 0;
    setlocale(LC_CTYPE, "C.UTF-8");
    table_init(&table, titles);
    table_cell(&table,
               "n\xc3\xb6"
               "de",
               COLOUR_BAD);
    table_cell(&table, "7", COLOUR_NONE);
    table_cell(&table, "x", COLOUR_NONE);
    table_cell(&table, "longer", COLOUR_NONE);
    table_format(&table, COLOUR_NONE, "%d", 123);
    table_cell(&table, NULL, COLOUR_NONE);
    FILE *file = open_memstream(&text, &size);
    table_print(&table, file);
    fclose(file);
    check_eq_str(text, "NAME      N  END\n"
                       "n\xc3\xb6"
                       "de      7  x\n"
                       "longer  123  \n");
    free(text);
    table_deinit(&table);
}
