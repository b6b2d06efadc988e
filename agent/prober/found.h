/* What one probe found: text items, or the reason why there is no answer. And how items are taken out of text: by lines
 * and by an expression. Everything that a service can make us keep is counted here; past a limit the whole is no answer,
 * since half a list may not be judged. */
#ifndef KEDGE_AGENT_PROBER_FOUND_H
#define KEDGE_AGENT_PROBER_FOUND_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/limits.h"

#include <regex.h>

enum { FOUND_BYTES_MAX = 16 * 1024 * 1024 };

struct found {
    struct arena *arena;
    const char **texts;  /* the items */
    const char **wheres; /* for each: the path of its node, or the line that it stands in */
    size_t n, room;
    const char *trouble; /* NULL while all items could be kept */
};

void found_deinit(struct found *found);
void found_clear(struct found *found);
void found_add(struct found *found, struct bytes text, struct bytes where);

/* Lines, or an expression over them. `match` NULL: every line is an item,
 * empty ones aside. */
struct matcher {
    regex_t regex;
    bool has_regex;
    struct buffer line; /* a copy that ends with NUL and holds no other */
};

/* -EINVAL with a sentence when `match` is no POSIX extended expression. */
int matcher_init(struct matcher *matcher, const char *match, struct error *err) _must_check_;
void matcher_deinit(struct matcher *matcher);

/* All matches in one line; the item is the first group, or the whole match when there is none. `where` NULL: the line. */
void matcher_line(struct matcher *matcher, struct bytes line, const char *where, struct found *found);

/* All lines of a text, ended by LF or CR LF; the last one need not be ended. */
void matcher_lines(struct matcher *matcher, struct bytes text, struct found *found);

#endif
