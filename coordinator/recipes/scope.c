/* Why names are materialised as lists of texts: a recipe's conditions and templates can then be explained by printing
 * the list, and nothing here has to know where a value came from. */
#include "coordinator/recipes/scope.h"

#include "coordinator/recipes/version.h"

#include <ctype.h>
#include <string.h>

const char *scope_get(const struct scope *scope, const char *name) {
    for (; scope; scope = scope->outer) {
        const char *value = fact_get(scope->names, scope->n, name);
        if (value)
            return value;
    }
    return NULL;
}

/* ---- templates ---- */

static bool is_later(const char *name, size_t len) {
    static const char *const later[] = {"items", "count", "o", "e", "i", "o:d", "e:d"};
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        if (strlen(later[i]) == len && memcmp(later[i], name, len) == 0)
            return true;
    return false;
}

/* The length of the name when a template begins at `text` (which is at a brace), else 0. */
static size_t name_at(const char *text) {
    if (text[0] != '{' || !islower((unsigned char)text[1]))
        return 0;
    size_t len = 1;
    while (text[1 + len] && (isalnum((unsigned char)text[1 + len]) || strchr(".-_:", text[1 + len])))
        len++;
    return text[1 + len] == '}' ? len : 0;
}

const char *template_next(const char *text, size_t *len_outp) {
    for (const char *brace = strchr(text, '{'); brace; brace = strchr(brace + 1, '{')) {
        size_t len = name_at(brace);
        if (len > 0 && !is_later(brace + 1, len)) {
            *len_outp = len;
            return brace + 1;
        }
    }
    return NULL;
}

const char *template_only(struct arena *arena, const char *text) {
    size_t len = name_at(text);
    if (len == 0 || text[len + 2] != 0 || is_later(text + 1, len))
        return NULL;
    return arena_text_n(arena, text + 1, len);
}

static void append_value(struct buffer *out, const char *value, enum template_use use) {
    for (; use == TEMPLATE_EXPRESSION && *value; value++) {
        if (strchr(".[]()*+?{}|^$\\", *value))
            buffer_append(out, "\\", 1);
        buffer_append(out, value, 1);
    }
    if (use == TEMPLATE_TEXT)
        buffer_text(out, value);
}

static int fill_one(struct buffer *out, const char *name, size_t len, enum template_use use,
                    const struct scope *scope, struct error *err) {
    char plain[256];
    if (len >= sizeof(plain))
        return error_set(err, -EINVAL, "a template's name is longer than %zu bytes", sizeof(plain) - 1);
    memcpy(plain, name, len);
    plain[len] = 0;
    const char *value = scope_get(scope, plain);
    if (!value)
        return error_set(err, -EINVAL, "{%s} has no value here", plain);
    append_value(out, value, use);
    return 0;
}

int template_fill(struct arena *arena, const char *text, enum template_use use, const struct scope *scope,
                  const char **outp, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer out = {0};
    *outp = NULL;
    if (!text)
        return 0;
    const char *name;
    size_t len;
    while ((name = template_next(text, &len))) {
        buffer_append(&out, text, (size_t)(name - 1 - text));
        int r = fill_one(&out, name, len, use, scope, err);
        if (r < 0)
            return r;
        text = name + len + 1;
    }
    buffer_text(&out, text);
    *outp = out.failed ? NULL : arena_text_n(arena, out.data ? (const char *)out.data : "", out.len);
    return *outp ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* ---- conditions ---- */

static bool condition_holds(const struct condition *condition, const struct scope *scope) {
    const char *value = scope_get(scope, condition->name);
    bool among = false;
    if (condition->other) {
        const char *other = scope_get(scope, condition->other);
        return value && *value && other && strcmp(value, other) != 0;
    }
    for (size_t i = 0; i < condition->n_values; i++) {
        const char *wanted = condition->values[i];
        among = among || (condition->is_version ? value && version_matches(wanted, value)
                                                : strcmp(value ? value : "", wanted) == 0);
    }
    return among != condition->negate;
}

bool when_holds(const struct when *when, const struct scope *scope) {
    for (size_t i = 0; i < when->n_all; i++)
        if (!condition_holds(&when->all[i], scope))
            return false;
    return true;
}

/* ---- durations ---- */

static const struct {
    const char *unit;
    uint64_t ms;
} units[] = {{"d", 24 * 3600 * 1000}, {"h", 3600 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}};

bool duration_parse(const char *text, uint64_t *ms_outp) {
    size_t n_digits = strspn(text, "0123456789");
    if (n_digits == 0 || n_digits > 12)
        return false;
    uint64_t number = strtoull(text, NULL, 10);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(text + n_digits, units[i].unit) == 0) {
            *ms_outp = number * units[i].ms;
            return true;
        }
    return false;
}

const char *duration_text(struct arena *arena, uint64_t ms) {
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (ms > 0 && ms % units[i].ms == 0)
            return arena_format(arena, "%llu %s", (unsigned long long)(ms / units[i].ms), units[i].unit);
    return arena_text(arena, "0 s");
}

/* ---- patterns ---- */

bool pattern_matches(const char *pattern, const char *text) {
    const char *star = NULL, *resume = NULL;
    while (*text) {
        bool literal_star = pattern[0] == '\\' && pattern[1] == '*';
        if (pattern[0] == '*') {
            star = ++pattern;
            resume = text;
        } else if (literal_star ? *text == '*' : *pattern == *text) {
            pattern += literal_star ? 2 : 1;
            text++;
        } else if (star) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}
