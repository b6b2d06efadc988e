/* Why all matches of a line and not the first: some services answer with one long line (a JSON object of members). An
 * expression with ^ still matches once. Expressions come from signed recipes, the text does not: it is capped before. */
#include "agent/prober/found.h"

#include <string.h>

void found_deinit(struct found *found) {
    found->arena = arena_free(found->arena);
    free(found->texts);
    free(found->wheres);
    *found = (struct found){0};
}

void found_clear(struct found *found) {
    found_deinit(found);
}

static bool grow(struct found *found) {
    size_t room = found->room ? 2 * found->room : 16;
    const char **texts = realloc(found->texts, room * sizeof(*texts));
    if (texts)
        found->texts = texts;
    const char **wheres = realloc(found->wheres, room * sizeof(*wheres));
    if (wheres)
        found->wheres = wheres;
    if (!texts || !wheres)
        return false;
    found->room = room;
    return true;
}

/* A copy whose NUL bytes are shown, so that nothing hides behind one. */
static const char *keep(struct found *found, struct bytes text) {
    char *copy = arena_text_n(found->arena, (const char *)text.data, text.len);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < text.len; i++)
        if (!copy[i])
            copy[i] = '?';
    return copy;
}

void found_add(struct found *found, struct bytes text, struct bytes where) {
    if (found->trouble)
        return;
    if (found->n >= KEDGE_PROBE_ITEMS_MAX) {
        found->trouble = "more items than a probe may return (20000)";
        return;
    }
    if (!found->arena)
        found->arena = arena_new(FOUND_BYTES_MAX);
    if (!found->arena || (found->n == found->room && !grow(found))) {
        found->trouble = "out of memory";
        return;
    }
    const char *copy = keep(found, text);
    const char *place = where.data == text.data && where.len == text.len ? copy : keep(found, where);
    if (!copy || !place) {
        found->trouble = "more bytes than a probe may return (16 MiB)";
        return;
    }
    found->texts[found->n] = copy;
    found->wheres[found->n++] = place;
}

int matcher_init(struct matcher *matcher, const char *match, struct error *err) {
    *matcher = (struct matcher){0};
    if (!match)
        return 0;
    int r = regcomp(&matcher->regex, match, REG_EXTENDED | REG_NEWLINE);
    if (r != 0) {
        char why[128];
        regerror(r, &matcher->regex, why, sizeof(why));
        return error_set(err, -EINVAL, "the expression \"%.200s\" is no good: %s", match, why);
    }
    matcher->has_regex = true;
    return 0;
}

void matcher_deinit(struct matcher *matcher) {
    if (matcher->has_regex)
        regfree(&matcher->regex);
    buffer_deinit(&matcher->line);
    matcher->has_regex = false;
}

/* regexec() goes by NUL (with REG_STARTEND too, as soon as a checker looks on). */
static struct bytes copy_line(struct matcher *matcher, struct bytes line) {
    buffer_clear(&matcher->line);
    buffer_append(&matcher->line, line.data, line.len);
    for (size_t i = 0; i < matcher->line.len; i++)
        if (!matcher->line.data[i])
            matcher->line.data[i] = '?';
    return buffer_bytes(&matcher->line);
}

void matcher_line(struct matcher *matcher, struct bytes line, const char *where, struct found *found) {
    struct bytes place = where ? bytes_of_text(where) : line;
    if (!matcher->has_regex) {
        if (line.len > 0)
            found_add(found, line, place);
        return;
    }
    line = copy_line(matcher, line);
    if (matcher->line.failed)
        found->trouble = "out of memory";
    for (size_t at = 0; at < line.len && !found->trouble;) {
        regmatch_t m[2] = {{.rm_so = (regoff_t)at, .rm_eo = (regoff_t)line.len}};
        int flags = REG_STARTEND | (at > 0 ? REG_NOTBOL : 0);
        if (regexec(&matcher->regex, (const char *)line.data, 2, m, flags) != 0)
            return;
        if (m[0].rm_eo == m[0].rm_so) { /* an empty match says nothing; look behind it */
            at = (size_t)m[0].rm_eo + 1;
            continue;
        }
        const regmatch_t *item = matcher->regex.re_nsub > 0 && m[1].rm_so >= 0 ? &m[1] : &m[0];
        struct bytes text = {line.data + item->rm_so, (size_t)(item->rm_eo - item->rm_so)};
        found_add(found, text, place);
        at = (size_t)m[0].rm_eo;
    }
}

void matcher_lines(struct matcher *matcher, struct bytes text, struct found *found) {
    while (text.len > 0 && !found->trouble) {
        const uint8_t *lf = memchr(text.data, '\n', text.len);
        size_t len = lf ? (size_t)(lf - text.data) : text.len, skip = lf ? len + 1 : len;
        if (len > 0 && text.data[len - 1] == '\r')
            len--;
        matcher_line(matcher, (struct bytes){text.data, len}, NULL, found);
        text.data += skip;
        text.len -= skip;
    }
}
