/* Plans for the simulator: what the planner makes, in every shape that it can have, from one number. */
#ifndef KEDGE_TESTS_SIM_PLAN_H
#define KEDGE_TESTS_SIM_PLAN_H

#include "common/plan/verify.h"

enum sim_goal { SIM_UPGRADE, SIM_RESTART /* or a change of configuration alone */, SIM_FINALIZE };
enum { SIM_SIDES = 2 };

struct sim_shape {
    enum sim_goal goal;
    unsigned previous; /* what the side action finds in force, and has to put back */
    unsigned n_members, n_canaries, limit, limit_percent, members_per_domain, n_roles;
    unsigned n_clusters,
        n_plans;       /* clusters on the same hosts; plans of each, of which the later supersede */
    bool one_release;  /* the clusters run the same ones */
    uint32_t releases; /* bits, two for each plan: which release, and whether it lifts its quarantine */
    bool depends;     /* each cluster on the one before it; the first one, in its third plan, on the second */
    unsigned n_sides; /* side actions */
    bool in_force;    /* and whether they are is asked before each stop */
    bool one_domain, has_last, sample;
    bool downtime, acts; /* all stop, a barrier, all start; with named actions */
    uint32_t hold_ms;
    uint32_t soak_ms, soak_read_only_ms, detection_ms, wait_limit_ms;
    enum way_back way_back;
    struct budget budgets[3], wave_budget; /* of the run; of the last wave */
    unsigned n_budgets;
    bool has_wave_budget;
    bool return_on_abort;
};

struct sim_shape sim_shape_of(uint64_t seed);
/* Serials as in rehearsal.h. */
struct verified_plan *sim_plan(void *shape, uint64_t serial);

#endif
