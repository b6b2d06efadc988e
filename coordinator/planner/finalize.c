/* Why finalize is a plan and not the end of one: until somebody has signed for it, the release before can be brought back,
 * and how long to keep that open is a decision of its own. The same waves, gates and budgets hold as for an upgrade; only
 * the change itself stops nothing, and no way leads back from it. */
#include "coordinator/planner/planning.h"

#include <stdlib.h>
#include <string.h>

bool is_finalize(const struct planning *p) {
    return p->input->options.goal == PLANNER_GOAL_FINALIZE;
}

const char *finalize_leaves_out(struct planning *p, const struct member_plan *m) {
    if (is_finalize(p) && strcmp(fact_of(m, "finalized"), p->to_version) == 0)
        return keep_format(p, "%s is finalized on %s already and is left out", m->member->name,
                           p->to_version);
    return NULL;
}

/* ---- the soak ---- */

static void soak_judge(struct planning *p, const struct member_plan *m, uint32_t soak_ms) {
    const char *since = fact_of(m, "proven.ms");
    uint64_t now_ms = p->input->options.created_s * 1000, since_ms = strtoull(since, NULL, 10);
    if (!*since) {
        warn(p, "soak-unknown", m->member->name,
             "%s: its agent does not know since when it runs %s as proven; %u s of soak are asked for",
             m->member->name, m->from_version, soak_ms / 1000);
        return;
    }
    if (now_ms < since_ms + soak_ms)
        refuse(
            p, "finalize-too-early",
            "%s runs %s as proven for %llu s, finalizing asks for %u s at least: it may be planned in %llu s",
            m->member->name, m->from_version,
            (unsigned long long)(now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0), soak_ms / 1000,
            (unsigned long long)((since_ms + soak_ms - now_ms + 999) / 1000));
}

/* ---- a member ---- */

static void closed_look(struct planning *p, const struct member_plan *m) {
    const char *finalized = fact_of(m, "finalized");
    if (*finalized && version_compare(p->to_version, finalized) < 0)
        refuse(p, "finalized", "%s was finalized on %s, so %s cannot read its data any more", m->member->name,
               finalized, p->to_version);
}

void finalize_look(struct planning *p, struct member_plan *m) {
    const struct recipe_finalize *finalize = p->recipe->finalize;
    struct error why = {{0}};
    closed_look(p, m);
    if (!is_finalize(p) || !finalize)
        return;
    if (m->mode != MODE_READ_WRITE)
        refuse(p, "finalize-not-well", "%s is %s: what is not well is not finalized", m->member->name,
               mode_text(m->mode));
    if (!when_holds(&finalize->when, &m->facts))
        refuse(p, "nothing-to-finalize", "%s runs %s, for which the recipe has nothing to finalize",
               m->member->name, m->from_version);
    soak_judge(p, m, finalize->soak_ms);
    int r = probe_resolve(p->arena, &finalize->value, &m->own, &m->finalized, &why);
    if (r == 0)
        r = template_fill(p->arena, finalize->ours, TEMPLATE_TEXT, &m->own, &m->finalized_is, &why);
    if (r < 0)
        refuse(p, "value-missing", "%s: finalize: %s", m->member->name, why.text);
}

/* ---- the plan ---- */

void finalize_judge(struct planning *p) {
    const struct planner_options *options = &p->input->options;
    if (!p->recipe->finalize)
        refuse(p, "nothing-to-finalize", "the recipe of %s has nothing to finalize", p->recipe->name);
    if (options->n_changes > 0 || options->config != PLANNER_CONFIG_FOUND)
        refuse(p, "finalize-with-changes",
               "finalize: it changes no configuration; leave --change and --config out, or plan them before");
}

int finalize_row_make(struct planning *p, const struct member_plan *m, struct row *outp) {
    const struct recipe_finalize *finalize = p->recipe->finalize;
    struct check *check = keep(p, 1, sizeof(*check));
    const char **value = keep(p, 1, sizeof(*value));
    if (!finalize || !m->finalized_is)
        return 0; /* it was refused */
    if (!check || !value)
        return p->failed;
    *value = m->finalized_is;
    *check = (struct check){.probe = m->finalized,
                            .rule = RULE_EQUALS,
                            .values = value,
                            .n_values = 1,
                            .otherwise = ANSWER_NO,
                            .says = keep_format(p, "it is {items}, not %s", *value)};
    outp->done_if = check;
    return command_make(p, &finalize->act, &m->facts, m, &outp->command);
}
