/* A cluster on paper for the tests of the planner: five members of the demonstration's store in three zones, as their
 * agents would describe them. Tests change what they are about and plan. */
#ifndef KEDGE_TESTS_PLANNER_WORLD_H
#define KEDGE_TESTS_PLANNER_WORLD_H

#include "common/plan/verify.h"
#include "common/trust/keys.h"
#include "coordinator/planner/planner.h"
#include "coordinator/recipes/charter_build.h"

#ifndef KEDGE_WORLD_MEMBERS
#define KEDGE_WORLD_MEMBERS 32 /* the figures want more */
#endif

enum {
    WORLD_MEMBERS = 5 /* of the shop */,
    WORLD_MEMBERS_MAX = KEDGE_WORLD_MEMBERS,
    WORLD_FACTS_MAX = 64,
    WORLD_ANSWERS_MAX = 8
};

struct world {
    struct arena *arena;
    struct error err;
    const struct recipe *recipe;
    const struct cluster_file *cluster;
    struct charter charter;
    struct manifest manifest;
    size_t n_members;
    struct release_file files[2];
    struct component component;
    struct bytes blob;
    struct key_pair operator, release;
    struct trust_anchors anchors;
    struct fact facts[WORLD_MEMBERS_MAX][WORLD_FACTS_MAX];
    struct planner_answer member_answers[WORLD_MEMBERS_MAX][WORLD_ANSWERS_MAX];
    struct planner_member members[WORLD_MEMBERS_MAX];
    struct planner_answer answers[WORLD_ANSWERS_MAX];
    struct planner_input input;
    struct planner_result result;
};

/* The words of the recipe that a test may put others in place of; NULL: as they are. */
struct world_words {
    const char *const (*pairs)[2];
    size_t n;
};

/* What makes a world: its files and what its agents and probers say. */
struct world_setup {
    const char *recipe, *cluster; /* path under the top folder; text of the cluster file */
    const char *to_version;
    size_t n_members;
    void (*tell)(struct world *world, const struct world_words *words); /* facts and answers */
};

struct world *world_make(const struct world_setup *setup, const struct world_words *words);

/* Aborts with a sentence when something that is not the test's subject fails. Same keys for every world. */
struct world *world_new(const char *recipe_path, const struct world_words *words);
struct world *world_free(struct world *world);
static inline void world_freep(struct world **world) {
    *world = world_free(*world);
}

void world_fact(struct world *world, size_t member, const char *name, const char *value);
void world_unfact(struct world *world, size_t member, const char *name);
void world_answer(struct world *world, const char *gate, enum answer answer, const char *reason);
void world_member_answer(struct world *world, size_t member, const char *gate, enum answer answer);
void world_consents(struct world *world, const char *const *names, size_t n);

/* planner_make; 0 or PLANNER_REFUSED (anything else aborts). */
int world_plan(struct world *world);

/* Decodes and checks the plan that world_plan made. */
struct verified_plan *world_verify(struct world *world);

/* True if one of the problems, or of the warnings without consent ("name: says"), contains the text. */
bool world_objects(const struct world *world, const char *text);

/* The whole of a text file under the top folder. */
char *world_file(const char *path);

#endif
