/* How long a member's start may take. The recipe's deadline is made for all fleets; how long *this* member takes, with its
 * disk and its data, its agent has measured. So the deadline is three times the longest of its last starts where that is
 * more than the recipe's, and never beyond the hard cap. What the cluster file says in so many words wins over both: a
 * person has thought about it. A member that makes progress is not bound by the deadline, only by the cap. */
#include "coordinator/planner/planning.h"

#include <stdlib.h>
#include <string.h>

enum {
    TIMES_LONGEST = 3,
    SECOND_MS = 1000,
    START_MS_MAX = 8 * 3600 * SECOND_MS, /* a longer one counts as this: a deadline lies below a day */
};

/* The longest of "1200 900 1500", and how many there are. What is no number ends the list. */
static uint64_t longest_start_ms(const char *starts, unsigned *n_outp) {
    uint64_t longest = 0;
    *n_outp = 0;
    for (char *end; *starts; starts = end) {
        uint64_t ms = strtoull(starts, &end, 10);
        if (end == starts)
            break;
        if (ms > longest)
            longest = ms < START_MS_MAX ? ms : START_MS_MAX;
        (*n_outp)++;
    }
    return longest;
}

/* Up to what people read easily; a hundred members with much the same history then share one deadline, and one paragraph of
 * the page. */
static uint64_t rounded_up(uint64_t ms) {
    uint64_t unit = ms <= 60 * SECOND_MS    ? SECOND_MS
                    : ms <= 600 * SECOND_MS ? 10 * SECOND_MS
                                            : 60 * SECOND_MS;
    return (ms + unit - 1) / unit * unit;
}

static void history_look(struct planning *p, const struct member_plan *m, struct start_limits *limits) {
    unsigned n;
    uint64_t wanted = rounded_up(longest_start_ms(fact_of(m, "starts.ms"), &n) * TIMES_LONGEST);
    bool is_cut = limits->cap_ms > 0 && wanted > limits->cap_ms;
    if (is_cut)
        wanted = limits->cap_ms;
    if (wanted <= limits->deadline_ms)
        return;
    limits->deadline_ms = (uint32_t)wanted;
    const char *cut = is_cut ? ", cut at the hard cap" : "";
    limits->why = n == 1 ? keep_format(p, "three times its last start%s", cut)
                         : keep_format(p, "three times the longest of its last %u starts%s", n, cut);
}

/* Where the cluster file gives this value; NULL when the recipe's default stands. */
static const char *given_where(struct planning *p, const struct member_plan *m, const char *template) {
    const char *name = template_only(p->arena, template);
    for (size_t i = 0; name && i < m->member->n_values; i++)
        if (strcmp(m->member->values[i].name, name) == 0 && m->member->values[i].given)
            return m->member->values[i].origin;
    return NULL;
}

int start_limits_make(struct planning *p, const struct member_plan *m, struct start_limits *outp) {
    const struct recipe_role *role = m->member->role;
    *outp = (struct start_limits){0};
    int r = duration_fill(p->arena, role->start_deadline, &m->own, &outp->deadline_ms, p->err);
    if (r == 0 && role->start_cap)
        r = duration_fill(p->arena, role->start_cap, &m->own, &outp->cap_ms, p->err);
    if (r < 0)
        return fail(p, r);
    const char *given = given_where(p, m, role->start_deadline);
    if (given)
        outp->why = keep_format(p, "given in %s", given);
    else
        history_look(p, m, outp);
    if (outp->cap_ms < outp->deadline_ms) /* none was named, or a longer deadline was given */
        outp->cap_ms = outp->deadline_ms;
    return p->failed;
}
