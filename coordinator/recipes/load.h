/* What the files of the loader share and nobody else sees: where a template may stand, and takers that judge it. */
#ifndef KEDGE_RECIPES_LOAD_H
#define KEDGE_RECIPES_LOAD_H

#include "common/yaml/reader.h"
#include "coordinator/recipes/recipe.h"

/* Which names a template may use, by what is known when it is filled in. */
enum template_place {
    PLACE_CLUSTER = 1, /* values, options, {cluster}, {members} */
    PLACE_MEMBER = 2,  /* {self} {member} {node} {domain} {role} */
    PLACE_FACTS = 4,   /* {executable} {release} {argument.after.--x} ... */
    PLACE_SIDE = 8,    /* {ours} {previous} */
    PLACE_OUTPUT = 16, /* {output.ACTION.NAME}; load_actions.c judges the rest of it */
};

struct loader {
    struct arena *arena;
    struct error *err;
    struct recipe *recipe;
    bool *gate_used; /* beside recipe->gates */
};

/* Lower-case letters, digits and -. */
bool load_name_is_plain(const char *name);

int load_no_memory(struct loader *loader) _must_check_;

/* Room for as many items as the list or map has; n goes to *np. */
#define LOAD_ARRAY(loader, node, np, type)                                                                   \
    ((type *)(*(np) = (node) ? (node)->n : 0, arena_array((loader)->arena, *(np), sizeof(type))))

/* A text whose templates are all known at `places`. The optional one leaves *outp. */
int load_template(struct loader *loader, struct yaml_map *map, const char *key, unsigned places,
                  const char **outp) _must_check_;
int load_template_optional(struct loader *loader, struct yaml_map *map, const char *key, unsigned places,
                           const char **outp) _must_check_;
int load_templates_optional(struct loader *loader, struct yaml_map *map, const char *key, unsigned places,
                            const char *const **outp, size_t *n_outp) _must_check_;
int load_texts_optional(struct yaml_map *map, const char *key, const char *const **outp,
                        size_t *n_outp) _must_check_;

/* A regular expression, compiled for a try. */
int load_expression_of(struct loader *loader, const struct yaml_node *node, const char *text) _must_check_;
int load_expression(struct loader *loader, struct yaml_map *map, const char *key, unsigned places,
                    const char **outp) _must_check_;
int load_expression_optional(struct loader *loader, struct yaml_map *map, const char *key, unsigned places,
                             const char **outp) _must_check_;

int load_milliseconds(struct yaml_map *map, const char *key, uint32_t *outp) _must_check_;
int load_milliseconds_optional(struct yaml_map *map, const char *key, uint32_t *outp) _must_check_;

/* A duration as 5s, or templates of the cluster that give one. */
int load_duration(struct loader *loader, struct yaml_map *map, const char *key,
                  const char **outp) _must_check_;

int load_when(struct loader *loader, struct yaml_map *map, struct when *outp) _must_check_;
int load_command(struct loader *loader, const struct yaml_node *node, unsigned places,
                 struct recipe_command *outp) _must_check_;

/* The name of a gate that exists; `scope` is what it must have, -1 for any. */
int load_gate_name(struct loader *loader, const struct yaml_node *node, int scope,
                   const struct recipe_gate **outp) _must_check_;
int load_gate_optional(struct loader *loader, struct yaml_map *map, const char *key, int scope,
                       const struct recipe_gate **outp) _must_check_;
int load_gate_uses(struct loader *loader, struct yaml_map *map, const char *key, int scope,
                   const struct gate_use **outp, size_t *n_outp) _must_check_;

/* load_gates.c: takes the keys of a probe (probe, target, path, match, send, send-hex, run, timeout) from a map. */
int load_probe_keys(struct loader *loader, struct yaml_map *map, unsigned places,
                    struct recipe_probe *outp) _must_check_;
int load_probe(struct loader *loader, const struct yaml_node *node, unsigned places,
               struct recipe_probe *outp) _must_check_;
int load_check(struct loader *loader, const struct yaml_node *node, unsigned places,
               struct recipe_check *outp) _must_check_;
int load_gates(struct loader *loader, const struct yaml_node *node) _must_check_;

/* load_finalize.c */
int load_finalize(struct loader *loader, const struct yaml_node *node) _must_check_;

/* load_roles.c */
int load_roles(struct loader *loader, const struct yaml_node *node) _must_check_;

/* load_actions.c */
int load_actions(struct loader *loader, const struct yaml_node *node) _must_check_;

/* load_versions.c */
int load_config_ops(struct loader *loader, const struct yaml_node *node, const struct recipe_config_op **outp,
                    size_t *n_outp) _must_check_;
int load_warnings(struct loader *loader, const struct yaml_node *node, const struct recipe_warning **outp,
                  size_t *n_outp) _must_check_;
int load_versions(struct loader *loader, const struct yaml_node *node) _must_check_;

#endif
