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

const struct recipe_option *recipe_option_find(const struct recipe *recipe, const char *name) {
    FIND(options, n_options);
}
