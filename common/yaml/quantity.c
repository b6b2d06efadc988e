/* Why no fractions and no second spelling: "1.5h", "64k" and "0x10" mean different things to different
 * tools. */
#include "common/yaml/internal.h"

#include <inttypes.h>
#include <string.h>

const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};

const struct unit size_units[] = {
    {"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}, {NULL, 0},
};

/* The digits at the beginning of the text; NULL if there is no well-formed number, else what follows it. */
static const char *digits_parse(const char *text, uint64_t *outp) {
    const char *p = text;
    uint64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return NULL;
    if (p == text || (text[0] == '0' && p > text + 1))
        return NULL;
    *outp = value;
    return p;
}

bool number_parse(const char *text, uint64_t *outp) {
    uint64_t value = 0;
    const char *rest = digits_parse(text, &value);
    if (!rest || *rest)
        return false;
    *outp = value;
    return true;
}

bool quantity_parse(const char *text, const struct unit *units, uint64_t *outp) {
    uint64_t value = 0;
    const char *rest = digits_parse(text, &value);
    if (!rest)
        return false;
    for (; units->name; units++)
        if (strcmp(rest, units->name) == 0)
            return !__builtin_mul_overflow(value, units->factor, outp);
    return false;
}

const char *quantity_shown(char out[static QUANTITY_MAX], uint64_t value, const struct unit *units) {
    while (units && units->factor > 1 && (value == 0 || value % units->factor != 0))
        units++;
    snprintf(out, QUANTITY_MAX, "%" PRIu64 "%s", units ? value / units->factor : value,
             units ? units->name : "");
    return out;
}
