/* Why linear searches: a recipe has a dozen of each, and is searched while planning, not while switching. */
#include "coordinator/recipes/recipe.h"

#include <string.h>

#define FIND(list, count)                                                                                    \
    for (size_t i = 0; i < recipe->count; i++)                                                               \
        if (strcmp(recipe->list[i].name, name) == 0)                                                         \
            return &recipe->list[i];                                                                         \
    return NULL

const struct recipe_role *recipe_role_find(const struct recipe *recipe, const char *name) {
    FIND(roles, n_roles);
}

const struct recipe_gate *recipe_gate_find(const struct recipe *recipe, const char *name) {
    FIND(gates, n_gates);
}

const struct recipe_value *recipe_value_find(const struct recipe *recipe, const char *name) {
    FIND(values, n_values);
}

const struct recipe_action *recipe_output_find(const struct recipe *recipe, const char *name,
                                               const struct recipe_capture **capture_outp) {
    const char *action = name + strlen("output.");
    for (size_t i = 0; strncmp(name, "output.", strlen("output.")) == 0 && i < recipe->n_actions; i++) {
        const struct recipe_action *a = &recipe->actions[i];
        size_t len = strlen(a->name);
        if (strncmp(action, a->name, len) != 0 || action[len] != '.')
            continue;
        for (size_t k = 0; k < a->n_captures; k++)
            if (strcmp(a->captures[k].name, action + len + 1) == 0) {
                *capture_outp = &a->captures[k];
                return a;
            }
    }
    return NULL;
}

const struct recipe_option *recipe_option_find(const struct recipe *recipe, const char *name) {
    FIND(options, n_options);
}
