/* What an abort does with members that are changed and not done: the signed plan says it, in every state of a member. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

enum { LIMIT_MS = 20000 };

static const struct world_config canary = {
    .n_members = 4,
    .n_canaries = 1,
    .side_action = true,
    .soak_ms = 400,
    .soak_read_only_ms = 3000,
    .detection_ms = 300,
    .wait_limit_ms = LIMIT_MS,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

static void goes_back(struct verified_plan *plan) {
    plan->shape.return_on_abort = true;
    plan->header.supersedes = plan->header.serial == 2 ? 1 : 0;
}

static struct world *begun(bool returns, enum way_back way_back) {
    struct world_config config = canary;
    config.amend = returns ? goes_back : NULL;
    config.way_back = way_back;
    struct world *w = world_new(&config);
    w->step_ms = 50;
    check(world_begin(w) == 0);
    return w;
}

/* To the end of the run; nothing but returns and the side action begins on the way. */
static const struct run *aborted(struct world *w) {
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    unsigned n_switches = 0, n_promotions = 0;
    for (unsigned i = 0; i < canary.n_members; i++) {
        n_switches += world_effects(w, i, "switch");
        n_promotions += world_effects(w, i, "promote");
    }
    for (unsigned i = 0; i < 20 && world_run_of(w)->state != RUN_ENDED; i++)
        world_run(w, LIMIT_MS);
    for (unsigned i = 0; i < canary.n_members; i++) {
        n_switches -= world_effects(w, i, "switch");
        n_promotions -= world_effects(w, i, "promote");
    }
    check_eq_int(n_switches, 0);
    check_eq_int(n_promotions, 0);
    ended(w, VERDICT_ABORTED);
    return world_run_of(w);
}

/* Where the canary ends when it is in `state` at the abort. */
static const struct {
    enum member_state state, left, returned;
} every_state[] = {
    {MEMBER_PREPARING, MEMBER_PREPARED, MEMBER_PREPARED},
    {MEMBER_PREPARED, MEMBER_PREPARED, MEMBER_PREPARED},
    {MEMBER_SWITCHING, MEMBER_RECOVERING, MEMBER_BACK},
    {MEMBER_RECOVERING, MEMBER_RECOVERING, MEMBER_BACK},
    {MEMBER_SOAKING_READ_ONLY, MEMBER_SOAKING_READ_ONLY, MEMBER_BACK},
    {MEMBER_PROMOTING, MEMBER_SETTLING, MEMBER_BACK},
    {MEMBER_SETTLING, MEMBER_SETTLING, MEMBER_BACK},
    {MEMBER_SOAKING, MEMBER_SOAKING, MEMBER_BACK},
    {MEMBER_DONE, MEMBER_DONE, MEMBER_DONE},
};

TEST("F08 F18 an abort leaves a member in every state as it is, or takes it back if it is changed and not "
     "done, "
     "as signed") {
    for (size_t i = 0; i < sizeof(every_state) / sizeof(every_state[0]); i++)
        for (int returns = 0; returns < 2; returns++) {
            _cleanup_(world_freep) struct world *w = begun(returns, WAY_BACK_UNTIL_FINALIZE);
            require(world_run_until(w, 0, every_state[i].state, 60000));
            const struct run *run = aborted(w);
            enum member_state wanted = returns ? every_state[i].returned : every_state[i].left;
            check_eq_str(member_state_text(run->members[0].state), member_state_text(wanted));
            check_eq_int(world_effects(w, 0, "return"), wanted == MEMBER_BACK);
            for (uint32_t k = 1; k < run->n_members; k++)
                check_eq_int(run->members[k].n_stops, 0);
        }
}

TEST("F08 a rolling member in change goes back, those that are done stay, and the others are not touched") {
    static const enum member_state states[] = {MEMBER_SWITCHING, MEMBER_RECOVERING, MEMBER_SOAKING};
    for (size_t i = 0; i < 3; i++) {
        _cleanup_(world_freep) struct world *w = begun(true, WAY_BACK_UNTIL_FINALIZE);
        require(world_run_until(w, 1, states[i], 120000));
        const struct run *run = aborted(w);
        check_eq_str(member_state_text(run->members[0].state), "done");
        check_eq_str(member_state_text(run->members[1].state), "back");
        check_contains(run->verdict_text, "1 of 4 members run 1.1, shop/server@n2 is back");
        check_eq_int(run->members[2].n_stops + run->members[3].n_stops, 0);
    }
}

static enum outcome switch_ends(struct world *w, unsigned member, const char *step) {
    return member == 0 && strcmp(step, "switch") == 0 ? (enum outcome)w->state : OUTCOME_DONE;
}

TEST("F05 F08 who was returned or is held by its own agent is not returned by an abort") {
    static const enum outcome ends[] = {OUTCOME_RETURNED, OUTCOME_HELD};
    for (size_t i = 0; i < 2; i++) {
        _cleanup_(world_freep) struct world *w = begun(true, WAY_BACK_UNTIL_FINALIZE);
        w->state = (int)ends[i];
        w->step = switch_ends;
        require(world_run_until(w, 0, MEMBER_SWITCHING, 60000));
        const struct run *run = aborted(w);
        check_eq_str(member_state_text(run->members[0].state), outcome_text(ends[i]));
        check_eq_int(world_effects(w, 0, "return"), 0);
    }
}

TEST("F08 an abort of a rollback takes back who is in change, and leaves those that the rollback had not "
     "reached") {
    static const enum member_state states[] = {MEMBER_REVERTING, MEMBER_RECOVERING_BACK};
    for (size_t i = 0; i < 2; i++) {
        _cleanup_(world_freep) struct world *w = begun(true, WAY_BACK_UNTIL_FINALIZE);
        require(world_run_until(w, 1, MEMBER_SOAKING, 120000));
        check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
        require(world_run_until(w, 1, states[i], 120000));
        const struct run *run = aborted(w);
        check_eq_str(member_state_text(run->members[0].state), "done");
        check_eq_str(member_state_text(run->members[1].state), "back");
    }
}

/* Since the abort the cluster would lose too much. */
static enum answer would_lose(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    (void)node;
    (void)self;
    return gate == GATE_LAST || (gate == GATE_CLUSTER && world_run_of(w)->aborting) ? ANSWER_NO : ANSWER_YES;
}

TEST("F01 F08 F29 who may not stop is not returned by an abort either: left at the wait limit, with the "
     "reason") {
    _cleanup_(world_freep) struct world *w = begun(true, WAY_BACK_UNTIL_FINALIZE);
    char text[KEDGE_REASON_MAX];
    w->gate = would_lose;
    require(world_run_until(w, 0, MEMBER_SOAKING_READ_ONLY, 60000));
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    uint64_t aborted_ms = w->now_ms;
    for (unsigned i = 0; i < 100; i++)
        (void)world_next(w, aborted_ms + 5000);
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "shop/server@n1 is returned first, as the plan says, and waits: ");
    check_contains(text, "writable");
    const struct run *run = aborted(w);
    check(run->ended_ms >= aborted_ms + LIMIT_MS);
    check_contains(run->verdict_text,
                   "shop/server@n1 is soaking read-only (read-only) and was not returned (");
    check_contains(run->verdict_text, "writable");
    check_eq_int(world_effects(w, 0, "return"), 0);
}

TEST("F05 F08 whose way back is closed is left, at once, and the verdict says so") {
    _cleanup_(world_freep) struct world *w = begun(true, WAY_BACK_UNTIL_START);
    require(world_run_until(w, 0, MEMBER_SOAKING_READ_ONLY, 60000));
    uint64_t aborted_ms = w->now_ms;
    const struct run *run = aborted(w);
    check(run->ended_ms < aborted_ms + 1000);
    check_contains(run->verdict_text, "was not returned (its way back is \"until its first start\")");
    check_eq_int(world_effects(w, 0, "return"), 0);
}

static enum outcome refuses_to_return(struct world *w, unsigned member, const char *step) {
    (void)w;
    (void)member;
    return strcmp(step, "return") == 0 ? OUTCOME_REFUSED : OUTCOME_DONE;
}

TEST("F08 an agent that refuses the return is asked once: an abort is waited out by nobody") {
    _cleanup_(world_freep) struct world *w = begun(true, WAY_BACK_UNTIL_FINALIZE);
    w->step = refuses_to_return;
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    uint64_t aborted_ms = w->now_ms;
    const struct run *run = aborted(w);
    check(run->ended_ms < aborted_ms + LIMIT_MS);
    check_contains(run->verdict_text, "shop/server@n1 is soaking and was not returned (config.digest is not");
}

TEST("F08 F27 an agent that is away is waited for, so long and no longer") {
    for (int comes_back = 0; comes_back < 2; comes_back++) {
        _cleanup_(world_freep) struct world *w = begun(true, WAY_BACK_UNTIL_FINALIZE);
        require(world_run_until(w, 0, MEMBER_SOAKING_READ_ONLY, 60000));
        world_agent_down(w, 0);
        check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
        uint64_t aborted_ms = w->now_ms;
        while (w->now_ms < aborted_ms + LIMIT_MS / 2 && world_next(w, aborted_ms + LIMIT_MS / 2))
            ;
        check_eq_str(run_state_text(world_run_of(w)->state), "waves");
        if (comes_back)
            world_agent_up(w, 0);
        const struct run *run = aborted(w);
        check_eq_str(member_state_text(run->members[0].state), comes_back ? "back" : "soaking read-only");
        if (!comes_back)
            check_contains(run->verdict_text, "was not returned (its agent is not connected)");
    }
}

TEST("F06 F08 a run that a newer plan overtakes leaves its members, whatever an abort would do") {
    _cleanup_(world_freep) struct world *w = begun(true, WAY_BACK_UNTIL_FINALIZE);
    require(world_run_until(w, 0, MEMBER_SOAKING_READ_ONLY, 60000));
    check(world_apply(w, 2) == 0);
    (void)world_next(w, w->now_ms + 1000);
    const struct run *first = engine_run_at(w->engine, 0);
    check_eq_str(run_verdict_text(first->verdict), "superseded");
    check_eq_str(member_state_text(first->members[0].state), "soaking read-only");
}

TEST("F04 F08 an abort that returns outlives the coordinator at every record") {
    for (unsigned crash_at = 1; crash_at < 60; crash_at++) {
        struct world_config config = canary;
        config.amend = goes_back;
        _cleanup_(world_freep) struct world *w = world_new(&config);
        w->quiet = true;
        w->step_ms = 50;
        w->crash_at = crash_at;
        w->crash_before_send = crash_at % 2;
        require(world_begin(w) == 0);
        for (unsigned i = 0; i < 20 && world_run_of(w)->members[0].state != MEMBER_SOAKING_READ_ONLY; i++)
            (void)world_run_until(w, 0, MEMBER_SOAKING_READ_ONLY, 10000);
        const struct run *run = aborted(w);
        check_eq_str(member_state_text(run->members[0].state), "back");
        check_eq_int(world_effects(w, 0, "return"), 1);
    }
}
