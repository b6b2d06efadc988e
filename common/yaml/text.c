/* Why our own decoder before libyaml's: its reader error carries no line, it takes carriage returns, NEL and
 * U+2028 as line breaks (so its lines would not be the editor's), and what is signed must look to people as
 * it is read. */
#include "common/yaml/internal.h"

#include <limits.h>
#include <string.h>

/* Bytes of the first character, 0 if it is not UTF-8 (overlong forms, surrogates and past U+10FFFF
 * included). */
static size_t char_decode(const uint8_t *p, size_t len, uint32_t *outp) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (n == 0 || n > len)
        return 0;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *outp = c;
    return n;
}

/* What is wrong with a character, NULL if nothing. */
static const char *char_flaw(uint32_t c) {
    if (c == 0)
        return "a NUL byte";
    if (c == '\r')
        return "a carriage return";
    if ((c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c <= 0x9f))
        return "a control character";
    if (c == 0x2028 || c == 0x2029)
        return "a line break that editors do not show";
    if (c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
        (c >= 0x2066 && c <= 0x2069))
        return "a mark that changes the direction of text";
    if (c == 0xfeff)
        return "a byte order mark";
    if ((c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef))
        return "a code that is no character";
    return NULL;
}

bool text_judge(struct bytes text, struct text_flaw *flaw) {
    for (size_t i = 0, n; i < text.len; i += n) {
        uint32_t c = 0;
        n = char_decode(text.data + i, text.len - i, &c);
        const char *words = n > 0 ? char_flaw(c) : NULL;
        if (n > 0 && !words)
            continue;
        flaw->offset = i;
        if (n == 0)
            snprintf(flaw->words, sizeof(flaw->words), "byte 0x%02X, which is not UTF-8", text.data[i]);
        else if (c == 0 || c == '\r')
            snprintf(flaw->words, sizeof(flaw->words), "%s", words);
        else
            snprintf(flaw->words, sizeof(flaw->words), "%s (U+%04X)", words, c);
        return false;
    }
    return true;
}

const char *text_shown(char out[static SHOWN_MAX], const char *text) {
    size_t used = 0;
    unsigned n_chars = 0;
    out[used++] = '"';
    for (; *text; text++) {
        bool begins_char = ((unsigned char)*text & 0xc0) != 0x80;
        if (begins_char && ++n_chars > 40)
            break;
        out[used++] = *text == '\n' || *text == '\t' ? ' ' : *text;
    }
    snprintf(out + used, SHOWN_MAX - used, "%s\"", *text ? "..." : "");
    return out;
}

static unsigned least_of(unsigned a, unsigned b) {
    return a < b ? a : b;
}

enum { WORD_MAX = 64 };

unsigned edit_distance(const char *a, const char *b) {
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return UINT_MAX;
    unsigned rows[3][WORD_MAX + 1]; /* this row, the one before, the one before that: i % 3 */
    for (unsigned j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least_of(replaced, least_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least_of(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

void yaml_nearest_offer(struct yaml_nearest *nearest, const char *candidate) {
    unsigned distance = edit_distance(nearest->typed, candidate);
    size_t len = strlen(candidate);
    unsigned limit = len <= 2 ? 1 : len <= 6 ? 2 : 3;
    if (distance > limit || distance >= len || (nearest->word && nearest->distance <= distance))
        return;
    nearest->word = candidate;
    nearest->distance = distance;
}
