/* The next configuration of a member, made on its node from the found file or from a shipped one: comments, order and
 * every line that no operation names stay as the operator wrote them. Pure text work; reading and writing files is the
 * caller's. */
#ifndef KEDGE_EXECUTOR_RENDER_H
#define KEDGE_EXECUTOR_RENDER_H

#include "common/base/arena.h"
#include "common/plan/work_order.h"

/* Applies the operations of `render` to `found` (or to render->shipped, taking carried values from `found`). `out` is
 * initialised by the caller. -EINVAL with a sentence that names the key, -EFBIG past KEDGE_CONFIG_BYTES_MAX. */
int render_apply(const struct render *render, struct bytes found, struct buffer *out,
                 struct error *err) _must_check_;

/* The value of a key, copied to the arena; NULL when the file does not set it. The last one wins, as in
 * java.util.Properties. */
const char *config_value(enum config_format format, struct bytes content, const char *key,
                         struct arena *arena);

/* A diff for people: lines with "-" and "+" and two lines of context; values of keys that are not in `clear` are shown
 * as ****. Appends to `out`; nothing when both are equal. */
void render_diff(enum config_format format, struct bytes before, struct bytes after, const char *const *clear,
                 size_t n_clear, struct buffer *out);

#endif
