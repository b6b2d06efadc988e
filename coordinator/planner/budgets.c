/* Why only what was asked for is written into the plan: what holds otherwise is one rule for all plans
 * (common/plan/budget.h), and the approval page says it in words either way. */
#include "coordinator/planner/planning.h"

#include <string.h>

static bool is_of(const struct budget_use *use, const char *wave) {
    return wave ? use->wave && strcmp(use->wave, wave) == 0 : !use->wave;
}

/* In the order of the kinds, so that the same budgets give the same bytes. */
static struct budget *collect(struct planning *p, const char *wave, size_t *n_outp) {
    const struct planner_options *options = &p->input->options;
    struct budget *list = keep(p, BUDGETS, sizeof(*list));
    size_t n = 0;
    for (unsigned k = 0; list && k < BUDGETS; k++) {
        const struct budget_use *last = NULL;
        for (size_t i = 0; i < options->n_budgets; i++)
            if (options->budgets[i].budget.kind == k && is_of(&options->budgets[i], wave))
                last = &options->budgets[i];
        if (last)
            list[n++] = last->budget;
    }
    *n_outp = n;
    return list;
}

static bool has_wave(const struct planning *p, const char *name) {
    for (size_t w = 0; w < p->n_waves; w++)
        if (strcmp(p->waves[w].name, name) == 0)
            return true;
    return false;
}

void budgets_make(struct planning *p) {
    const struct planner_options *options = &p->input->options;
    if (options->n_budgets == 0)
        return;
    p->budgets = collect(p, NULL, &p->n_budgets);
    for (size_t w = 0; w < p->n_waves; w++)
        p->waves[w].budgets = collect(p, p->waves[w].name, &p->waves[w].n_budgets);
    for (size_t i = 0; i < options->n_budgets; i++) {
        const struct budget_use *use = &options->budgets[i];
        if (!use->wave || has_wave(p, use->wave))
            continue;
        if (use->is_default)
            note(p, "the cluster file's budget for wave %s is not used: this plan has no such wave",
                 use->wave);
        else
            refuse(p, "budget-wave-unknown", "budget of wave %s: the plan has no such wave", use->wave);
    }
}
