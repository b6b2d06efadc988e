/* A canary of which too little is known: unknown never passes, and the signed plan says what follows. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

enum { LIMIT_MS = 20000 };

static const struct world_config canary = {
    .n_members = 4,
    .n_canaries = 1,
    .side_action = true,
    .soak_ms = 200,
    .soak_read_only_ms = 3000,
    .wait_limit_ms = LIMIT_MS,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

static void goes_back(struct verified_plan *plan) {
    ((struct wave *)(uintptr_t)plan->shape.waves)[0].return_inconclusive = true;
}

static bool is_canary_wave(struct world *w) {
    const struct run *run = world_run_of(w);
    return run && run->members[0].n_stops > 0;
}

/* Once it is changed, the new release of the first member never tells. */
static enum answer new_is_unknown(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    (void)self;
    if (gate == GATE_LAST)
        return ANSWER_NO;
    return gate == GATE_NEW && node == 0 && is_canary_wave(w) ? ANSWER_UNKNOWN : ANSWER_YES;
}

static enum answer new_is_ill(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    return new_is_unknown(w, gate, node, self) == ANSWER_UNKNOWN ? ANSWER_NO
           : gate == GATE_LAST                                   ? ANSWER_NO
                                                                 : ANSWER_YES;
}

/* Well at first: it becomes unknown while it soaks. */
static enum answer unknown_while_it_soaks(struct world *w, enum world_gate gate, unsigned node,
                                          const char *self) {
    const struct run *run = world_run_of(w);
    if (run && run->members[0].state == MEMBER_SOAKING_READ_ONLY)
        w->state = 1;
    return w->state == 1 ? new_is_unknown(w, gate, node, self) : gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

static void nobody_else_was_touched(const struct world *w) {
    for (uint32_t i = 1; i < world_run_of(w)->n_members; i++)
        check_eq_int(world_run_of(w)->members[i].n_stops, 0);
    check_eq_int(world_effects(w, 0, "promote"), 0);
}

static void ended_back(const struct world *w) {
    const struct run *run = world_run_of(w);
    check_eq_str(run_state_text(run->state), "ended");
    check_eq_str(run_verdict_text(run->verdict), "rolled-back");
    check_eq_str(member_state_text(run->members[0].state), member_state_text(MEMBER_BACK));
    check_contains(run->verdict_text, "inconclusive: canary ");
    check_contains(run->verdict_text, "unknown");
    check(!w->side_in_force);
    nobody_else_was_touched(w);
    replay_equals(w);
}

TEST("F18 F19 an inconclusive canary pauses the run by default, and never passes") {
    world_gate_fn *const gates[] = {new_is_unknown, unknown_while_it_soaks};
    for (unsigned i = 0; i < 2; i++) {
        _cleanup_(world_freep) struct world *w = world_new(&canary);
        w->gate = gates[i];
        require(world_begin(w) == 0);
        world_run(w, 120000);
        const struct run *run = world_run_of(w);
        check(run->paused);
        check_eq_str(run_state_text(run->state), "waves");
        check_contains(run->pause_reason, "inconclusive: canary ");
        /* Resumed, it has the same time again and no more. */
        check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
        world_run(w, 120000);
        check(run->paused);
        nobody_else_was_touched(w);
        replay_equals(w);
    }
}

TEST("F18 F19 with return in the plan an inconclusive canary goes back, not before its limit, and the "
     "verdict says why") {
    world_gate_fn *const gates[] = {new_is_unknown, unknown_while_it_soaks};
    for (unsigned i = 0; i < 2; i++) {
        struct world_config config = canary;
        config.amend = goes_back;
        _cleanup_(world_freep) struct world *w = world_new(&config);
        w->gate = gates[i];
        require(world_begin(w) == 0);
        require(world_run_until(w, 0, MEMBER_RECOVERING, 60000));
        uint64_t changed_ms = w->now_ms;
        require(world_run_until(w, 0, MEMBER_REVERTING, 120000));
        check(w->now_ms >= changed_ms + LIMIT_MS);
        world_run(w, 120000);
        ended_back(w);
    }
}

TEST("F04 F18 F19 the way back of an inconclusive canary outlives the coordinator") {
    struct world_config config = canary;
    config.amend = goes_back;
    for (unsigned crash_at = 1; crash_at < 60; crash_at++) {
        _cleanup_(world_freep) struct world *w = world_new(&config);
        w->gate = new_is_unknown;
        w->quiet = true;
        w->crash_at = crash_at;
        w->crash_before_send = crash_at % 2;
        require(world_begin(w) == 0);
        for (unsigned i = 0; i < 40 && world_run_of(w)->state != RUN_ENDED; i++)
            world_run(w, 10000);
        ended_back(w);
    }
}

TEST("F18 F19 what is a no is no unknown: it pauses the run, with return in the plan too") {
    struct world_config config = canary;
    config.amend = goes_back;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = new_is_ill;
    require(world_begin(w) == 0);
    world_run(w, 120000);
    check(world_run_of(w)->paused);
    check(strstr(world_run_of(w)->pause_reason, "inconclusive") == NULL);
    nobody_else_was_touched(w);
}

TEST("F18 F19 an inconclusive canary whose way back is closed pauses the run") {
    struct world_config config = canary;
    config.amend = goes_back;
    config.way_back = WAY_BACK_UNTIL_START;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = new_is_unknown;
    require(world_begin(w) == 0);
    world_run(w, 120000);
    check(world_run_of(w)->paused);
    check(!world_run_of(w)->rollback);
    check_contains(world_run_of(w)->pause_reason, "inconclusive: canary ");
    check_eq_int(world_effects(w, 0, "return"), 0);
}

TEST("F08 F18 F19 a run that an operator has paused takes nobody back by itself before it is resumed") {
    struct world_config config = canary;
    config.amend = goes_back;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = new_is_unknown;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_RECOVERING, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "alice: lunch") == 0);
    while (world_next(w, w->now_ms + 1000) && w->now_ms < 200000)
        ;
    check(!world_run_of(w)->rollback);
    check_eq_int(world_effects(w, 0, "return"), 0);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 200000);
    ended_back(w);
}

TEST("F08 F18 F19 an abort ends a run whose inconclusive canary is on its way back") {
    struct world_config config = canary;
    config.amend = goes_back;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = new_is_unknown;
    w->step_ms = 2000;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_REVERTING, 120000));
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    world_run(w, 120000);
    check_eq_str(run_state_text(world_run_of(w)->state), "ended");
    check_eq_str(run_verdict_text(world_run_of(w)->verdict), "aborted");
    check(!w->side_in_force);
    replay_equals(w);
}
