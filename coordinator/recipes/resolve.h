/* From a recipe and a cluster file to questions without templates. PURE. What is made here from the same recipe and the
 * same values has the same bytes, so that charter and plan name a gate by the same digest.
 *
 * Ownership: everything lies in the arena. All return 0, -EINVAL with a sentence, or -ENOMEM. */
#ifndef KEDGE_RECIPES_RESOLVE_H
#define KEDGE_RECIPES_RESOLVE_H

#include "common/plan/charter.h"
#include "common/plan/gate.h"
#include "coordinator/recipes/cluster_file.h"
#include "coordinator/recipes/scope.h"

/* {cluster}, {members}, the values of the cluster as a whole, and the options at `choices` (or their defaults). */
int cluster_scope_make(struct arena *arena, const struct cluster_file *cluster, const struct fact *choices,
                       size_t n_choices, struct scope *outp, struct error *err) _must_check_;

/* {self} {member} {node} {domain} {role} and the member's values, over `outer`. */
int member_scope_make(struct arena *arena, const struct cluster_member *member, const struct scope *outer,
                      struct scope *outp, struct error *err) _must_check_;

/* A template that gives a duration of at most a day, in milliseconds. */
int duration_fill(struct arena *arena, const char *text, const struct scope *scope, uint32_t *outp,
                  struct error *err) _must_check_;

int probe_resolve(struct arena *arena, const struct recipe_probe *from, const struct scope *scope,
                  struct probe *outp, struct error *err) _must_check_;

int check_resolve(struct arena *arena, const struct recipe_check *from, const struct scope *scope,
                  const char *const *known, size_t n_known, struct check *outp,
                  struct error *err) _must_check_;

/* `known`: objects that the none-new checks of the gate pass over. */
int gate_resolve(struct arena *arena, const struct recipe_gate *from, const struct scope *scope,
                 const char *const *known, size_t n_known, struct gate *outp, struct error *err) _must_check_;

/* Questions that only the planner asks: their reason, when they say no, lists the items ("a, b"); yes means there are none.
 * items: what the none-new checks of a gate find now; value: the value in force of a side action. */
int items_gate_make(struct arena *arena, const struct recipe_gate *from, const struct scope *scope,
                    struct gate *outp, struct error *err) _must_check_;
int value_gate_make(struct arena *arena, const struct recipe_side_action *from, const struct scope *scope,
                    struct gate *outp, struct error *err) _must_check_;
bool gate_is_none_new(const struct recipe_gate *gate);

/* Encoded gates, each once. Embedded; nothing to free, all in the arena. */
struct gate_set {
    struct arena *arena;
    struct bytes *bytes;
    struct digest *digests;
    size_t n, room;
    uint32_t *table; /* hash -> index + 1 */
    size_t table_size;
};

void gate_set_init(struct gate_set *set, struct arena *arena);

/* Encodes the gate, keeps it if it is new, and tells its digest. */
int gate_set_add(struct gate_set *set, const struct gate *gate, struct digest *outp,
                 struct error *err) _must_check_;

#endif
