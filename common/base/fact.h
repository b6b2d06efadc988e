/* A fact: one named observation. The closed list of names stands in docs/facts.md. */
#ifndef KEDGE_BASE_FACT_H
#define KEDGE_BASE_FACT_H

#include <stddef.h>
#include <string.h>

struct fact {
    const char *name;
    const char *value;
};

/* The value of a fact, or NULL. */
static inline const char *fact_get(const struct fact *facts, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(facts[i].name, name) == 0)
            return facts[i].value;
    return NULL;
}

#endif
