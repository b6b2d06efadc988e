/* Why a chain of versions is refused and not merged into one plan: nobody tried that jump; each hop has a soak of its own, and
 * its way back. What the planner can do is to say which plans lead there, and which comes first. */
#include "coordinator/planner/planning.h"

/* "4.4.0 -> 4.5.x -> 4.6.2" */
static const char *chain_words(struct planning *p, const struct member_plan *m,
                               const struct version_path *chain) {
    const char *text = m->from_version;
    for (size_t i = 0; i < chain->n_rows; i++)
        text = keep_format(p, "%s -> %s", text, i + 1 < chain->n_rows ? chain->rows[i]->to : p->to_version);
    return text;
}

/* "; …" to be put behind a refusal; "" when no chain of rules leads there. */
static const char *chain_advice(struct planning *p, const struct member_plan *m) {
    struct version_path chain;
    int r = version_chain_find(p->recipe, m->from_version, p->to_version, &m->facts, p->arena, &chain);
    if (r < 0)
        (void)fail(p, r);
    if (r != 0 || chain.n_rows < 2)
        return "";
    return keep_format(p, "; it knows the way %s, each hop a plan of its own: plan to %s first%s",
                       chain_words(p, m, &chain), chain.rows[0]->to,
                       chain.rows[0]->verdict == VERSION_DOWNTIME ? " (a downtime)" : "");
}

void hops_judge(struct planning *p, const struct member_plan *m) {
    const struct version_path *path = &m->path;
    if (path->n_rows == 0 || (path->n_rows == 1 && path->verdict != VERSION_REFUSED))
        return;
    const char *advice = chain_advice(p, m);
    if (path->verdict == VERSION_REFUSED)
        refuse(p, "version-refused", "%s -> %s: the recipe refuses this: %s%s", m->from_version,
               p->to_version, path->why, advice);
    else
        refuse(p, "needs-hops", "%s -> %s: the recipe has no rule for this pair itself%s", m->from_version,
               p->to_version, advice);
}
