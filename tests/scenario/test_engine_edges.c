/* Rules of the engine that a seed seldom meets: each of these was broken on purpose once, and nothing saw it. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

static const struct world_config rolling = {
    .n_members = 4,
    .soak_ms = 200,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

TEST("F06 F21 the way back of a run that had ended goes on by itself when a hold ends") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    require(world_hold(w, 1, 30000, "disk") == 0);
    require(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    world_run(w, 20000);
    check_eq_int(world_run_of(w)->members[1].state, MEMBER_DONE);
    world_run(w, 20000);
    check_eq_int(world_run_of(w)->members[1].state, MEMBER_BACK);
    ended(w, VERDICT_ROLLED_BACK);
}

/* ---- the end of a plan ---- */

TEST("F25 a plan that expires in the middle stops nobody more, and may still be taken back") {
    struct world_config config = rolling;
    config.soak_ms = 10000;
    config.not_after_s = 15;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    require(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "the plan has expired");
    unsigned switched = 0;
    for (unsigned i = 0; i < config.n_members; i++)
        switched += world_effects(w, i, "switch");
    check(switched > 0 && switched < config.n_members);
    require(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
}

TEST("F25 a downtime whose plan has expired before its first stop stops nobody") {
    struct world_config config = rolling;
    config.downtime = true;
    config.hold_ms = 30000;
    config.not_after_s = 15;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step_ms = 20000; /* they prepare for so long */
    require(world_begin(w) == 0);
    world_run(w, 60000);
    require(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "the plan has expired");
    for (unsigned i = 0; i < config.n_members; i++)
        check_eq_int(world_effects(w, i, "stop"), 0);
}

static void is_unsigned(struct verified_plan *plan) {
    plan->signed_by_enough = false;
}

TEST("F25 a plan that too few have signed is refused") {
    struct world_config config = rolling;
    config.amend = is_unsigned;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    check(world_begin(w) == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "signed by enough");
    check_eq_int(engine_n_runs(w->engine), 0);
}

/* ---- several gates in one question ---- */

/* Both are asked before a stop: the younger evidence and the longer detection are in the first, or in the second. */
static void first_is_strict(struct verified_plan *plan) {
    struct gate *gates = (struct gate *)(uintptr_t)plan->gates;
    plan->shape.n_may_stop = 2;
    gates[GATE_CLUSTER].evidence_age_ms = 700;
    gates[GATE_CLUSTER].detection_ms = 3000;
    gates[GATE_RECOVERED].evidence_age_ms = 5000;
    gates[GATE_RECOVERED].detection_ms = 100;
}

static void second_is_strict(struct verified_plan *plan) {
    struct gate *gates = (struct gate *)(uintptr_t)plan->gates;
    first_is_strict(plan);
    struct gate first = gates[GATE_CLUSTER];
    gates[GATE_CLUSTER].evidence_age_ms = gates[GATE_RECOVERED].evidence_age_ms;
    gates[GATE_CLUSTER].detection_ms = gates[GATE_RECOVERED].detection_ms;
    gates[GATE_RECOVERED].evidence_age_ms = first.evidence_age_ms;
    gates[GATE_RECOVERED].detection_ms = first.detection_ms;
}

TEST("F01 of gates that are asked together the strictest age and the longest detection time count") {
    void (*const amends[])(struct verified_plan *) = {first_is_strict, second_is_strict};
    for (size_t i = 0; i < ARRAY_LEN(amends); i++) {
        struct world_config config = rolling;
        config.amend = amends[i];
        _cleanup_(world_freep) struct world *w = world_new(&config);
        require(world_begin(w) == 0);
        check_eq_int(world_run_of(w)->may_stop.age_ms, 700);
        check_eq_int(world_run_of(w)->may_stop.detection_ms, 3000);
    }
}

static enum answer one_of_two_says_no(struct world *world, enum world_gate gate, unsigned node,
                                      const char *self) {
    (void)node;
    (void)self;
    return gate == (enum world_gate)world->state ? ANSWER_NO : gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F01 one no among gates that are asked together keeps everybody, whichever it is") {
    for (int bad = GATE_CLUSTER; bad <= GATE_RECOVERED; bad++) {
        struct world_config config = rolling;
        config.amend = first_is_strict;
        _cleanup_(world_freep) struct world *w = world_new(&config);
        w->gate = one_of_two_says_no;
        w->state = bad;
        require(world_begin(w) == 0);
        world_run(w, 30000);
        for (unsigned i = 0; i < config.n_members; i++)
            check_eq_int(world_effects(w, i, "switch"), 0);
    }
}
