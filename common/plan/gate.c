/* Why the rules live here and not beside the probes: prober, executor and simulator must judge the same items alike, and
 * a rule that cannot do I/O can be tested to the last corner. */
#include "common/plan/gate.h"

#include "common/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool contains(const char *const *texts, size_t n, const char *text) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(texts[i], text) == 0)
            return true;
    return false;
}

bool check_leaves_out(const struct check *check, const char *item, const char *self,
                      const struct beside *beside) {
    return check->exclude_self &&
           ((*self && strcmp(item, self) == 0) || contains(beside->names, beside->n, item));
}

/* For whom a check is judged. */
struct asked {
    const struct check *check;
    const char *self;
    const struct beside *beside;
};

static bool is_left_out(const struct asked *asked, const char *item) {
    return check_leaves_out(asked->check, item, asked->self, asked->beside);
}

/* A text that is built up to a limit, of items that services named: what is not clean is replaced, what does not fit is cut
 * and shown as such. */
struct line {
    char *text;
    size_t size, used;
};

static void line_add(struct line *line, const char *text) {
    if (line->size - line->used >= 4)
        line->used += text_tame(line->text + line->used, line->size - line->used, text);
}

/* The items that the sentence speaks of: those that block, by the rule. */
struct blocking {
    char names[320];
    size_t n;
};

static void blocking_add(struct blocking *blocking, const char *item) {
    enum { NAMED = 5 };
    struct line line = {blocking->names, sizeof(blocking->names), strlen(blocking->names)};
    if (blocking->n > 0 && blocking->n < NAMED)
        line_add(&line, ", ");
    if (blocking->n < NAMED)
        line_add(&line, item);
    else if (blocking->n == NAMED)
        line_add(&line, " and more");
    blocking->n++;
}

static void say(struct verdict *verdict, const char *says, const struct blocking *blocking, size_t count) {
    char number[24];
    snprintf(number, sizeof(number), "%zu", count);
    struct line line = {verdict->reason, sizeof(verdict->reason), 0};
    verdict->reason[0] = 0;
    while (*says) {
        const char *brace = strchr(says, '{');
        char piece[512];
        size_t len = brace ? (size_t)(brace - says) : strlen(says);
        if (len >= sizeof(piece))
            len = sizeof(piece) - 1;
        memcpy(piece, says, len);
        piece[len] = 0;
        line_add(&line, piece);
        says += len;
        if (strncmp(says, "{items}", 7) == 0) {
            line_add(&line, blocking->names);
            says += 7;
        } else if (strncmp(says, "{count}", 7) == 0) {
            line_add(&line, number);
            says += 7;
        } else if (*says == '{') {
            line_add(&line, "{");
            says++;
        }
    }
}

static bool rule_all_in(const struct asked *asked, const char *const *items, size_t n,
                        struct blocking *blocking) {
    const struct check *check = asked->check;
    for (size_t i = 0; i < check->n_values; i++)
        if (!is_left_out(asked, check->values[i]) && !contains(items, n, check->values[i]))
            blocking_add(blocking, check->values[i]);
    return blocking->n == 0;
}

static bool rule_none_new(const struct asked *asked, const char *const *items, size_t n,
                          struct blocking *blocking) {
    const struct check *check = asked->check;
    for (size_t i = 0; i < n; i++)
        if (!is_left_out(asked, items[i]) && !contains(check->values, check->n_values, items[i]))
            blocking_add(blocking, items[i]);
    return blocking->n == 0;
}

static size_t count_others(const struct asked *asked, const char *const *items, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += !is_left_out(asked, items[i]);
    return count;
}

static bool rule_equals(const struct check *check, const char *const *items, size_t n,
                        struct blocking *blocking) {
    for (size_t i = 0; i < n; i++)
        if (!contains(check->values, check->n_values, items[i]))
            blocking_add(blocking, items[i]);
    bool all = true;
    for (size_t i = 0; i < check->n_values; i++)
        all = all && contains(items, n, check->values[i]);
    if (n == 0 && check->n_values > 0)
        blocking_add(blocking, "nothing");
    return all && n == check->n_values && blocking->n == 0;
}

static bool rule_holds(const struct asked *asked, const char *const *items, size_t n,
                       struct blocking *blocking) {
    const struct check *check = asked->check;
    switch (check->rule) {
    case RULE_PRESENT: return count_others(asked, items, n) > 0;
    case RULE_ABSENT:
        for (size_t i = 0; i < n; i++)
            if (!is_left_out(asked, items[i]))
                blocking_add(blocking, items[i]);
        return blocking->n == 0;
    case RULE_AT_LEAST:
        for (size_t i = 0; i < n; i++)
            if (!is_left_out(asked, items[i]))
                blocking_add(blocking, items[i]);
        return count_others(asked, items, n) >= check->count;
    case RULE_NONE_NEW: return rule_none_new(asked, items, n, blocking);
    case RULE_EQUALS: return rule_equals(check, items, n, blocking);
    case RULE_ALL_IN: return rule_all_in(asked, items, n, blocking);
    }
    return false;
}

static struct verdict judge(const struct asked *asked, const char *const *items, size_t n) {
    const struct check *check = asked->check;
    struct verdict verdict = {.answer = ANSWER_YES};
    struct blocking blocking = {0};
    if (rule_holds(asked, items, n, &blocking))
        return verdict;
    /* A document may not turn a broken rule into a yes. */
    verdict.answer = check->otherwise == ANSWER_NO ? ANSWER_NO : ANSWER_UNKNOWN;
    size_t count = check->rule == RULE_AT_LEAST ? count_others(asked, items, n) : blocking.n;
    say(&verdict, check->says, &blocking, count);
    return verdict;
}

struct verdict check_judge(const struct check *check, const char *const *items, size_t n_items,
                           const char *self) {
    return judge(&(struct asked){check, self, &(struct beside){NULL, 0}}, items, n_items);
}

struct verdict check_judge_beside(const struct check *check, const char *const *items, size_t n_items,
                                  const char *self, const struct beside *beside) {
    struct verdict alone = check_judge(check, items, n_items, self);
    if (alone.answer != ANSWER_YES || beside->n == 0)
        return alone;
    return judge(&(struct asked){check, self, beside}, items, n_items);
}

int beside_copy(struct arena *arena, const struct beside *from, struct beside *outp) {
    const char **names = arena_array(arena, from->n + 1, sizeof(*names));
    for (size_t i = 0; names && i < from->n; i++)
        if (!(names[i] = arena_text(arena, from->names[i])))
            return -ENOMEM;
    *outp = (struct beside){names, from->n};
    return names ? 0 : -ENOMEM;
}

static int weight(enum answer answer) {
    return answer == ANSWER_NO ? 2 : answer == ANSWER_UNKNOWN ? 1 : 0;
}

void verdict_join(struct verdict *all, const struct verdict *one) {
    if (weight(one->answer) > weight(all->answer)) {
        *all = *one;
        return;
    }
    if (one->answer != all->answer || !one->reason[0])
        return;
    struct line line = {all->reason, sizeof(all->reason), strlen(all->reason)};
    if (line.used > 0)
        line_add(&line, "; ");
    line_add(&line, one->reason);
}
