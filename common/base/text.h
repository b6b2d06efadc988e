/* Text that came from outside: what we accept as text at all, and how foreign text is made harmless before a person sees
 * it. Clean text is UTF-8 (RFC 3629: no overlong forms, no surrogates) without control characters, without invisible
 * ones and without those that turn the writing direction: none of them can make a line of a page or log look like
 * another one. */
#ifndef KEDGE_BASE_TEXT_H
#define KEDGE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Newlines and tabs are clean. */
bool text_is_clean(const char *text);

/* Clean, and without newlines and tabs. */
bool text_is_line(const char *text);

/* Copies at most `size - 1` bytes (size >= 4), a '?' for each byte or character that is not clean. What does not fit is
 * cut between characters and ends with "...". `out` may be `text` itself. Returns the length. */
size_t text_tame(char *out, size_t size, const char *text);

#endif
