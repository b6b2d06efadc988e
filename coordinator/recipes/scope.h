/* Names and their values at one place (a cluster, a member, a command), and the two things that are done with them:
 * filling in templates and deciding conditions. PURE.
 *
 * A template is a lower-case name in braces: "{port}". Braces that hold anything else are text. {items}, {count} and
 * the places of a sample ({o} {e} {o:d} {e:d} {i}) are filled in later, by whoever asks the gate, and stay as they are. */
#ifndef KEDGE_RECIPES_SCOPE_H
#define KEDGE_RECIPES_SCOPE_H

#include "coordinator/recipes/recipe.h"

struct scope {
    const struct fact *names;
    size_t n;
    const struct scope *outer; /* asked when a name is not here; NULL: none */
};

/* NULL when no scope has it. */
const char *scope_get(const struct scope *scope, const char *name);

enum template_use {
    TEMPLATE_TEXT,
    TEMPLATE_EXPRESSION, /* values are escaped, so that they match themselves in a regular expression */
};

/* *outp is the text with its templates filled in. -EINVAL with a sentence that names the template. `text` NULL gives NULL. */
int template_fill(struct arena *arena, const char *text, enum template_use use, const struct scope *scope,
                  const char **outp, struct error *err) _must_check_;

/* If the whole text is one template: its name (in the arena). Otherwise NULL. */
const char *template_only(struct arena *arena, const char *text);

/* Walks the names of the templates in a text: returns the next one's start and length, NULL at the end. */
const char *template_next(const char *text, size_t *len_outp);

bool when_holds(const struct when *when, const struct scope *scope);

/* "250ms" "5s" "2m" "1h" "1d". */
bool duration_parse(const char *text, uint64_t *ms_outp) _must_check_;

/* "90 s", "250 ms", "2 m": for people; the largest unit that divides it. */
const char *duration_text(struct arena *arena, uint64_t ms);

/* `*` is any run of characters, `\*` a star, all else itself. */
bool pattern_matches(const char *pattern, const char *text);

#endif
