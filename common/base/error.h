/* Errors as one sentence that grows from inside to outside: the function that knows the cause says it, every level
 * above puts its own object in front, the top prints it once.
 *
 *     return error_set(err, -EINVAL, "line %d: unknown key \"%s\"", line, key);
 *     return error_context(err, r, "config %s", path);      ->  config /etc/x: line 12: unknown key "portt"
 *
 * Negative codes are environmental or fatal (errno values); positive ones are a function's own outcomes and are
 * never put into a struct error. */
#ifndef KEDGE_BASE_ERROR_H
#define KEDGE_BASE_ERROR_H

#include "common/base/cleanup.h"

#include <errno.h>

enum { KEDGE_ERROR_TEXT_MAX = 2048 };

struct error {
    char text[KEDGE_ERROR_TEXT_MAX];
};

/* Writes the sentence and returns `code` (negative). `err` may be NULL. */
int error_set(struct error *err, int code, const char *format, ...) _printf_(3, 4);

/* As error_set, with ": " and the text of errno `-code` appended. */
int error_errno(struct error *err, int code, const char *format, ...) _printf_(3, 4);

/* Puts "CONTEXT: " in front of the sentence and returns `code`. */
int error_context(struct error *err, int code, const char *format, ...) _printf_(3, 4);

#endif
