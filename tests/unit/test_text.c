/* The corner cases of RFC 3629 and of texts that look like others. */
#include "common/base/text.h"

#include "common/base/cleanup.h"
#include "tests/unit/test.h"

TEST("A33 text that is not UTF-8, or that can deceive a reader, is not clean") {
    const char *bad[] = {
        "\x1b[31m",
        "\r",
        "\x7f",
        ("\xc2\x9b"
         "31m"), /* C1: CSI */
        "\xc0\x80",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xed\xa0\x80",
        "\xed\xbf\xbf", /* surrogates */
        "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80", /* past the last character */
        "\x80",
        "\xc3",
        "\xe2\x82",
        "\xe2\x82z", /* cut */
        "\xe2\x80\xae",
        "\xe2\x81\xa6",
        "\xd8\x9c", /* direction */
        "\xe2\x80\x8b",
        "\xef\xbb\xbf",
        "\xe2\x80\xa8", /* invisible, line separator */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (!check(!text_is_clean(bad[i])))
            fprintf(stderr, "accepted: number %zu\n", i);
    const char *good[] = {"", "a\tb\nc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xee\x80\x80"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        check(text_is_clean(good[i]));
    check(text_is_line("a b") && !text_is_line("a\nb") && !text_is_line("a\tb"));
}

TEST("A33 tamed text is clean, whatever it was, and is cut between characters") {
    char out[16], foreign[] = "a\x1b[1m\xff\xe2\x80\xae.";
    check_eq_int(text_tame(out, sizeof(out), foreign), 8);
    check_eq_str(out, "a?[1m??.");
    text_tame(foreign, sizeof(foreign), foreign);
    check_eq_str(foreign, "a?[1m??.");
    text_tame(out, 7, "\xc3\xa9\xc3\xa9\xc3\xa9");
    check_eq_str(out, "\xc3\xa9\xc3\xa9\xc3\xa9");
    text_tame(out, 7, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
    check_eq_str(out, "\xc3\xa9...");
    for (size_t size = 4; size <= 12; size++)
        for (unsigned byte = 1; byte < 256; byte++) {
            const char any[] = {'a', (char)byte, (char)0xe2, (char)0x82, (char)byte, 'z', '1', '2', 0};
            check(text_tame(out, size, any) < size && text_is_clean(out));
        }
}
