/* Why bytes and not text: the frames of binary protocols are written in recipes as they go over the line, so that no
 * system's protocol stands in C. */
#include "agent/prober/template.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static const uint8_t wild_card[] = {0xff, 0x3f, 0x3f};

static bool begins(struct bytes text, const void *word, size_t len) {
    return text.len >= len && memcmp(text.data, word, len) == 0;
}

static void put_item(const char *item, enum template_use use, struct buffer *out) {
    if (use != TEMPLATE_URL) {
        buffer_text(out, item);
        return;
    }
    for (const char *p = item; *p; p++)
        if (isalnum((unsigned char)*p) || strchr("-._~", *p))
            buffer_append(out, p, 1);
        else
            buffer_format(out, "%%%02X", (unsigned)(unsigned char)*p);
}

/* Fills the place that the template begins with; its length in the template, 0 when there is none. */
static size_t put_place(struct bytes template, const struct places *places, enum template_use use,
                        struct buffer *out) {
    static const char *const names[] = {"{o}", "{e}", "{o:d}", "{e:d}", "{i}"};
    size_t which = 0;
    while (which < 5 && !begins(template, names[which], strlen(names[which])))
        which++;
    switch (which) {
    case 0: buffer_u64(out, places->object); break;
    case 1: buffer_u64(out, places->entry); break;
    case 2: buffer_format(out, "%" PRIu64, places->object); break;
    case 3: buffer_format(out, "%" PRIu64, places->entry); break;
    case 4: put_item(places->item ? places->item : "", use, out); break;
    default: return 0;
    }
    return strlen(names[which]);
}

static void put_any(struct buffer *any, size_t n, uint8_t value) {
    while (any && n-- > 0)
        buffer_append(any, &value, 1);
}

void sample_template_fill(struct bytes template, const struct places *places, enum template_use use,
                          struct buffer *out, struct buffer *any) {
    while (template.len > 0) {
        size_t before = out->len, skip;
        bool wild = use == TEMPLATE_PATTERN && begins(template, wild_card, sizeof(wild_card));
        if (wild) {
            skip = sizeof(wild_card);
            buffer_append(out, "", 1);
        } else if ((skip = put_place(template, places, use, out)) == 0) {
            skip = 1;
            buffer_append(out, template.data, 1);
        }
        put_any(any, out->len - before, wild);
        template.data += skip;
        template.len -= skip;
    }
}

bool sample_matches(struct bytes pattern, struct bytes any, struct bytes text) {
    if (text.len < pattern.len || any.len != pattern.len)
        return false;
    for (size_t i = 0; i < pattern.len; i++)
        if (!any.data[i] && pattern.data[i] != text.data[i])
            return false;
    return true;
}
