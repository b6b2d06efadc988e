/* What the files of the reader share and nobody else sees: texts judged and shown, numbers with units. */
#ifndef KEDGE_YAML_INTERNAL_H
#define KEDGE_YAML_INTERNAL_H

#include "common/yaml/reader.h"

/* Where a text stops being one and why, in words: "a NUL byte", "a byte that is not UTF-8". */
struct text_flaw {
    size_t offset; /* in bytes */
    char words[96];
};

/* True if all of it is UTF-8 that a person can read: line feeds and tabs, no other control characters,
 * nothing that changes the direction of text. The text may hold NUL bytes; they are flaws. */
bool text_judge(struct bytes text, struct text_flaw *flaw) _must_check_;

/* A text as an error shows it: one line, quotes around it, at most 40 characters of it. */
enum { SHOWN_MAX = 4 * 40 + sizeof("\"...\"") };
const char *text_shown(char out[static SHOWN_MAX], const char *text);

/* Insertions, deletions, replacements and swaps of neighbours from one to the other, in bytes; UINT_MAX when
 * one is longer than a key that somebody would mistype (64 bytes). */
unsigned edit_distance(const char *a, const char *b);

/* The units of a quantity, largest first; the last has factor 1. Ends with a row whose name is NULL. */
struct unit {
    const char *name;
    uint64_t factor;
};
extern const struct unit duration_units[], size_units[];

/* Decimal digits without sign or leading zero; false for anything else and past 2^64-1. */
bool number_parse(const char *text, uint64_t *outp) _must_check_;

/* A number and one unit, in the last unit of the table: "6m" is 360000. */
bool quantity_parse(const char *text, const struct unit *units, uint64_t *outp) _must_check_;

/* The other way, in the largest unit that divides it; for plain numbers `units` is NULL. */
enum { QUANTITY_MAX = 32 };
const char *quantity_shown(char out[static QUANTITY_MAX], uint64_t value, const struct unit *units);

#endif
