/* Why one walk for both: what text_is_clean refuses is exactly what text_tame replaces, so a tamed reason can always be
 * sent. */
#include "common/base/text.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct rune {
    uint32_t value;
    size_t len; /* 0: not UTF-8 */
};

static struct rune rune_at(const unsigned char *p) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (*p < 0x80)
        return (struct rune){*p, 1};
    size_t len = (*p & 0xe0) == 0xc0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 : (*p & 0xf8) == 0xf0 ? 4 : 0;
    uint32_t value = len ? *p & (0x7fu >> len) : 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) /* a NUL ends here, too */
            return (struct rune){0, 0};
        value = value << 6 | (p[i] & 0x3fu);
    }
    bool valid = value >= least[len] && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
    return (struct rune){value, valid ? len : 0};
}

/* Controls, zero-width characters, line separators, marks of direction, tags. */
static bool is_deceptive(uint32_t rune) {
    static const struct {
        uint32_t from, to;
    } ranges[] = {{0, 0x08},        {0x0b, 0x1f},     {0x7f, 0x9f},     {0x061c, 0x061c}, {0x200b, 0x200f},
                  {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (rune >= ranges[i].from && rune <= ranges[i].to)
            return true;
    return false;
}

bool text_is_clean(const char *text) {
    const unsigned char *p = (const unsigned char *)text;
    for (;;) {
        while (*p >= 0x20 &&
               *p < 0x7f) /* nearly all of what is checked: a third of the time of plan_verify */
            p++;
        if (*p == 0)
            return true;
        struct rune rune = rune_at(p);
        if (rune.len == 0 || is_deceptive(rune.value))
            return false;
        p += rune.len;
    }
}

bool text_is_line(const char *text) {
    return !strpbrk(text, "\n\t") && text_is_clean(text);
}

size_t text_tame(char *out, size_t size, const char *text) {
    assert(size >= 4);
    size_t used = 0, mark = 0; /* mark: where "..." still fits */
    while (*text) {
        struct rune rune = rune_at((const unsigned char *)text);
        bool bad = rune.len == 0 || is_deceptive(rune.value);
        size_t from = rune.len ? rune.len : 1, to = bad ? 1 : from;
        if (used + to >= size) {
            memcpy(out + mark, "...", 4);
            return mark + 3;
        }
        if (bad)
            out[used] = '?';
        else
            memmove(out + used, text, to);
        used += to;
        text += from;
        if (used + 3 < size)
            mark = used;
    }
    out[used] = 0;
    return used;
}
