/* Why 0 and 0 % are the same and allowed: "nobody may be skipped" is something that a site may want to say. */
#include "coordinator/recipes/budget_text.h"

#include "common/base/limits.h"

#include <stdlib.h>
#include <string.h>

/* Digits up to `end`; false when there are none, or it is more than `most`. */
static bool number_of(const char *text, const char **end, uint64_t most, uint32_t *outp) {
    size_t n = strspn(text, "0123456789");
    uint64_t value = n > 0 && n < 10 ? strtoull(text, NULL, 10) : UINT64_MAX;
    *end = text + n;
    *outp = (uint32_t)value;
    return value <= most;
}

static bool limits_parse(const char *text, struct budget *budget) {
    const char *end;
    uint32_t n;
    if (!number_of(text, &end, KEDGE_MEMBERS_MAX, &n))
        return false;
    if (*end != '%') {
        budget->count = n;
        if (*end == 0)
            return true;
        if (*end != ',' || !number_of(end + 1, &end, 100, &n) || *end != '%')
            return false;
    } else {
        budget->count = KEDGE_MEMBERS_MAX;
    }
    budget->percent = n;
    budget->count = n == 0 ? 0 : budget->count; /* 0 stands for "no percentage" in a plan */
    return n <= 100 && end[1] == 0;
}

static bool kind_parse(const char *text, enum budget_kind *outp) {
    for (unsigned k = 0; k < BUDGETS; k++)
        if (strcmp(budget_kind_text((enum budget_kind)k), text) == 0) {
            *outp = (enum budget_kind)k;
            return true;
        }
    return false;
}

int budget_parse(struct arena *arena, const char *name, const char *value, struct budget_use *outp,
                 struct error *err) {
    const char *colon = strrchr(name, ':');
    *outp = (struct budget_use){0};
    if (colon && !(outp->wave = arena_text_n(arena, name, (size_t)(colon - name))))
        return error_set(err, -ENOMEM, "out of memory");
    if (!kind_parse(colon ? colon + 1 : name, &outp->budget.kind) || (colon && colon == name))
        return error_set(
            err, -EINVAL,
            "budget \"%s\": expected failed, unreachable, skipped or held, maybe with the name of "
            "a wave and a colon before it",
            name);
    if (!limits_parse(value, &outp->budget))
        return error_set(err, -EINVAL, "budget %s \"%s\": expected 2, 10%% or 2,10%%", name, value);
    return 0;
}
