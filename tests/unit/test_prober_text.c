#include "tests/unit/test.h"

#include "agent/prober/found.h"
#include "agent/prober/template.h"
#include "common/base/error.h"

static struct found found_in(const char *match, const char *text, size_t len) {
    struct found found = {0};
    struct matcher matcher;
    struct error err = {0};
    if (matcher_init(&matcher, match, &err) == 0)
        matcher_lines(&matcher, (struct bytes){(const uint8_t *)text, len}, &found);
    else
        found.trouble = "no expression";
    matcher_deinit(&matcher);
    return found;
}

/* The items, joined by '|'; where they stand, if `where`. */
static const char *items(const char *match, const char *text, size_t len, bool where) {
    static char joined[512];
    struct found found = found_in(match, text, len);
    joined[0] = 0;
    for (size_t i = 0; i < found.n; i++) {
        size_t used = strlen(joined);
        snprintf(joined + used, sizeof(joined) - used, "%s%s", i ? "|" : "",
                 where ? found.wheres[i] : found.texts[i]);
    }
    if (found.trouble)
        snprintf(joined, sizeof(joined), "! %s", found.trouble);
    found_deinit(&found);
    return joined;
}

#define ITEMS(match, text) items(match, text, sizeof(text) - 1, false)
#define WHERES(match, text) items(match, text, sizeof(text) - 1, true)

TEST("lines are items when there is no expression") {
    check_eq_str(ITEMS(NULL, ""), "");
    check_eq_str(ITEMS(NULL, "\n\n"), "");
    check_eq_str(ITEMS(NULL, "a"), "a");
    check_eq_str(ITEMS(NULL, "a\r\n\nb\n c "), "a|b| c ");
    check_eq_str(ITEMS(NULL, "a\0b\n"), "a?b");
}

TEST("the item is the first group, else the whole match; all matches of a line count") {
    check_eq_str(ITEMS("b+", "abba\nb\nc\n"), "bb|b");
    check_eq_str(ITEMS("x=([0-9]+)", "x=1 x=22\ny=3 x=\nx=4"), "1|22|4");
    check_eq_str(ITEMS("^x", "xx\nx\n"), "x|x");
    check_eq_str(ITEMS("x$", "xx\nax"), "x|x");
    check_eq_str(ITEMS("mode=(.*)$", "mode=\nmode=ro\n"), "|ro");
    check_eq_str(ITEMS("(a)|b", "ab"), "a|b");
    check_eq_str(ITEMS("a*", "baab"), "aa");
    check_eq_str(ITEMS("a\nb", "a\nb"), "");
    check_eq_str(ITEMS("b", "a\0b"), "b");
    check_eq_str(WHERES("x=([0-9])", "one x=1 x=2\ntwo\n"), "one x=1 x=2|one x=1 x=2");
}

TEST("a bad expression is refused with a sentence") {
    struct matcher matcher;
    struct error err = {0};
    check_eq_int(matcher_init(&matcher, "a(b", &err), -EINVAL);
    check_contains(err.text, "\"a(b\" is no good");
    matcher_deinit(&matcher);
}

TEST("more items than the limit are trouble, not half a list") {
    enum { MORE = KEDGE_PROBE_ITEMS_MAX + 1 };
    char *text = malloc(2 * MORE);
    require(text);
    for (size_t i = 0; i < MORE; i++)
        memcpy(text + 2 * i, "a\n", 2);
    struct found found = found_in("a", text, 2 * MORE);
    check(found.trouble);
    found_deinit(&found);
    found = found_in("a", text, 2 * (MORE - 1));
    check(!found.trouble);
    check_eq_int(found.n, MORE - 1);
    found_deinit(&found);
    free(text);
}

static const struct places places = {.object = 0x0102030405060708, .entry = 9, .item = "a/b c"};

static bool fills(const char *template, size_t len, enum template_use use, const char *want,
                  size_t want_len) {
    struct buffer out = {0};
    sample_template_fill((struct bytes){(const uint8_t *)template, len}, &places, use, &out, NULL);
    bool same = out.len == want_len && memcmp(out.data ? out.data : (const uint8_t *)"", want, want_len) == 0;
    buffer_deinit(&out);
    return same;
}

#define FILLS(template, use, want) check(fills(template, sizeof(template) - 1, use, want, sizeof(want) - 1))

TEST("templates are filled") {
    FILLS("", TEMPLATE_BYTES, "");
    FILLS("a{o}{e}z", TEMPLATE_BYTES, "a\1\2\3\4\5\6\7\10\0\0\0\0\0\0\0\11z");
    FILLS("{o:d}/{e:d}", TEMPLATE_URL, "72623859790382856/9");
    FILLS("{i}", TEMPLATE_BYTES, "a/b c");
    FILLS("k/{i}?", TEMPLATE_URL, "k/a%2Fb%20c?");
    FILLS("{x}{o{}\xff??", TEMPLATE_BYTES, "{x}{o{}\xff??");
}

static bool matches(const char *template, size_t len, const char *text, size_t text_len) {
    struct buffer pattern = {0}, any = {0};
    sample_template_fill((struct bytes){(const uint8_t *)template, len}, &places, TEMPLATE_PATTERN, &pattern,
                         &any);
    bool good = sample_matches(buffer_bytes(&pattern), buffer_bytes(&any),
                               (struct bytes){(const uint8_t *)text, text_len});
    buffer_deinit(&pattern);
    buffer_deinit(&any);
    return good;
}

#define MATCHES(template, text) matches(template, sizeof(template) - 1, text, sizeof(text) - 1)

TEST("wild cards stand for one byte each, and an answer must begin with the pattern") {
    check(MATCHES("", ""));
    check(MATCHES("", "anything"));
    check(MATCHES("a\xff??c", "abc and more"));
    check(!MATCHES("a\xff??c", "ac"));
    check(!MATCHES("a\xff??c", "ab"));
    check(!MATCHES("abc", "abd"));
    check(MATCHES("{e}", "\0\0\0\0\0\0\0\11"));
    check(!MATCHES("{e}", "\0\0\0\0\0\0\0\12"));
    check(!MATCHES("a?", "ab"));
}
