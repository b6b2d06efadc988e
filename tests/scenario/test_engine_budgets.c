/* What pauses a run, and what lets it go on: members that fall ill, that fail, that are away. Nothing may leave it standing
 * without a pause and without a reason. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

static const struct world_config rolling = {
    .n_members = 4,
    .soak_ms = 10000,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

/* ---- soaks ---- */

/* n1's own gates while it soaks: as `state` says (0: well, 1: ill, 2: silent, above: no to every fifth question). */
static enum answer n1_is_ill(struct world *world, enum world_gate gate, unsigned node, const char *self) {
    (void)self;
    if (gate == GATE_LAST)
        return ANSWER_NO;
    if (gate != GATE_NEW || node != 0 || world->state == 0)
        return ANSWER_YES;
    if (world->state == 1)
        return ANSWER_NO;
    if (world->state == 2)
        return ANSWER_UNKNOWN;
    return world->state++ % 5 == 0 ? ANSWER_NO : ANSWER_YES;
}

TEST("F12 a relapse while it soaks is judged anew after a resume: still dead, it pauses again") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n1_is_ill;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    w->state = 1;
    world_run(w, 20000);
    check(world_run_of(w)->paused);
    for (unsigned i = 0; i < 3; i++) {
        check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
        check(!world_run_of(w)->paused);
        world_run(w, 5000);
        check(world_run_of(w)->paused);
        check_contains(world_run_of(w)->pause_reason, "relapse: shop/server@n1 is soaking and was well: ");
    }
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    w->state = 0;
    world_run(w, 120000);
    ended(w, VERDICT_DONE);
}

TEST("F12 a relapse of a member that is done is judged anew too") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n1_is_ill;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SOAKING, 60000));
    w->state = 1;
    world_run(w, 8000);
    check(world_run_of(w)->paused);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 5000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "relapse: shop/server@n1 is done and was well: ");
}

TEST("F12 F29 who says nothing while it soaks pauses the run at the wait limit, with the reason") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n1_is_ill;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    w->state = 2;
    world_run(w, 50000);
    check(!world_run_of(w)->paused);
    world_run(w, 20000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "shop/server@n1 has not stayed well for 60 s: ");
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 120000);
    check(world_run_of(w)->paused);
}

TEST("F12 who flaps never soaks to the end, and pauses the run at the soak and the wait limit") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n1_is_ill;
    w->state = 0;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    w->state = 3;
    world_run(w, 65000);
    check(!world_run_of(w)->paused && world_run_of(w)->members[0].state == MEMBER_SOAKING);
    world_run(w, 15000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "has not stayed well for");
}

/* ---- which pauses an operator's word lifts ---- */

static enum outcome n2_fails_once(struct world *world, unsigned member, const char *step) {
    return member == 1 && strcmp(step, "switch") == 0 && world->state++ == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F06 F29 retry takes the only reason of the pause away: the run goes on, after a restart too") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n2_fails_once;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason,
                   "shop/server@n2 failed before its stop: no room on the disk; budget: 1 failed in the run, "
                   "0 allowed");
    world_crash(w);
    check(world_run_of(w)->paused);
    check(world_member(w, RUN_EVENT_RETRY, 1, "alice") == 0);
    check(!world_run_of(w)->paused);
    world_crash(w);
    check(!world_run_of(w)->paused);
    world_run(w, 120000);
    ended(w, VERDICT_DONE);
}

TEST("F06 what an operator paused stays paused when a fault is gone, and both reasons are told before") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n2_fails_once;
    w->step_ms = 500;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "bob: lunch") == 0);
    world_run(w, 100);
    require(world_run_until(w, 1, MEMBER_FAILED, 5000));
    check_eq_int(world_run_of(w)->n_pauses, 2);
    check_contains(world_run_of(w)->pause_reason, "bob: lunch; shop/server@n2 failed");
    check(world_member(w, RUN_EVENT_SKIP, 1, "alice") == 0);
    check(world_run_of(w)->paused);
    check_eq_str(world_run_of(w)->pause_reason, "bob: lunch");
    check(world_command(w, RUN_EVENT_RESUME, "bob") == 0);
    world_run(w, 120000);
    ended(w, VERDICT_DONE);
}

TEST("F06 a word after a fault pauses too: the fault's end does not lift it") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n2_fails_once;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check(world_command(w, RUN_EVENT_PAUSE, "bob: I look at it") == 0);
    check(world_command(w, RUN_EVENT_PAUSE, "bob: still") == 0);
    check_eq_int(world_run_of(w)->n_pauses, 2);
    check(world_member(w, RUN_EVENT_RETRY, 1, "alice") == 0);
    check_eq_str(world_run_of(w)->pause_reason, "bob: I look at it; bob: still");
    check(world_command(w, RUN_EVENT_PAUSE, "bob: I look at it; bob: still, and it is late") == 0);
    check_eq_str(world_run_of(w)->pause_reason, "bob: I look at it; bob: still, and it is late");
    size_t n_records = w->n_records;
    check(world_command(w, RUN_EVENT_PAUSE, "bob: still") == 0);
    check_eq_int(w->n_records, n_records); /* the same word once more is no news */
}

static enum answer n2_may_not_stop(struct world *world, enum world_gate gate, unsigned node,
                                   const char *self) {
    (void)node, (void)world;
    return gate == GATE_CLUSTER && strcmp(self, "10.0.0.2") == 0 ? ANSWER_NO
           : gate == GATE_LAST                                   ? ANSWER_NO
                                                                 : ANSWER_YES;
}

TEST("F01 F06 a waiver, or leaving the member out, ends the pause of a wait that was too long") {
    for (unsigned how = 0; how < 2; how++) {
        struct world_config config = rolling;
        config.wait_limit_ms = 3000;
        config.soak_ms = 200;
        _cleanup_(world_freep) struct world *w = world_new(&config);
        w->gate = n2_may_not_stop;
        require(world_begin(w) == 0);
        world_run(w, 60000);
        require(world_run_of(w)->paused);
        check_contains(world_run_of(w)->pause_reason, "shop/server@n2 has waited 3 s to stop: ");
        check((how == 0 ? world_waive(w, 1, "writable", 600000, "alice: a test ledger")
                        : world_member(w, RUN_EVENT_SKIP, 1, "alice")) == 0);
        check(!world_run_of(w)->paused);
        world_run(w, 60000);
        ended(w, VERDICT_DONE);
        check_eq_int(world_effects(w, 1, "switch"), how == 0 ? 1 : 0);
    }
}

/* ---- budgets ---- */

static const struct budget two_failed[] = {{BUDGET_FAILED, 2, 0}};
static const struct budget tenth_failed[] = {{BUDGET_FAILED, KEDGE_MEMBERS_MAX, 25}};
static const struct budget one_away[] = {{BUDGET_UNREACHABLE, 1, 0}, {BUDGET_SKIPPED, 1, 0}};

static void with_two_failed(struct verified_plan *plan) {
    plan->shape.budgets = two_failed;
    plan->shape.n_budgets = 1;
}

static void with_percent(struct verified_plan *plan) {
    plan->shape.budgets = tenth_failed;
    plan->shape.n_budgets = 1;
}

static void with_one_away(struct verified_plan *plan) {
    plan->shape.budgets = one_away;
    plan->shape.n_budgets = 2;
}

static void wave_with_none(struct verified_plan *plan) {
    static const struct budget none[] = {{BUDGET_FAILED, 0, 0}};
    struct wave *waves = (struct wave *)(uintptr_t)plan->shape.waves;
    with_two_failed(plan);
    waves[plan->shape.n_waves - 1].budgets = none;
    waves[plan->shape.n_waves - 1].n_budgets = 1;
}

static enum outcome some_return(struct world *world, unsigned member, const char *step) {
    return member % 2 == 1 && world->state == 0 && strcmp(step, "switch") == 0 ? OUTCOME_RETURNED
                                                                               : OUTCOME_DONE;
}

static const struct world_config eight = {
    .n_members = 8,
    .soak_ms = 200,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

TEST("F26 a budget of two failures lets two pass and pauses at the third, with all of them") {
    struct world_config config = eight;
    config.amend = with_two_failed;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = some_return;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_eq_int(world_run_of(w)->n_state[MEMBER_RETURNED], 3);
    check_contains(world_run_of(w)->pause_reason, "shop/server@n2 failed and was returned");
    check_contains(world_run_of(w)->pause_reason, "; shop/server@n6 failed and was returned");
    check_contains(world_run_of(w)->pause_reason, "budget: 3 failed in the run, 2 allowed");
    world_crash(w);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000); /* the three are accepted, a fourth is not */
    check(world_run_of(w)->paused);
    check_eq_int(world_run_of(w)->n_state[MEMBER_RETURNED], 4);
    check(world_member(w, RUN_EVENT_SKIP, 7, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
}

static void two_waves(struct verified_plan *plan) {
    struct wave *waves = arena_array(plan->arena, 2, sizeof(*waves));
    require(waves != NULL && plan->shape.n_waves == 1);
    waves[0] = waves[1] = plan->shape.waves[0];
    waves[0].n_members = 2;
    waves[1].members += 2;
    waves[1].n_members -= 2;
    plan->shape.waves = waves;
    plan->shape.n_waves = 2;
    with_two_failed(plan);
}

TEST("F06 F26 who failed within the budget and is tried again later is not left behind in its wave") {
    for (unsigned how = 0; how < 2; how++) {
        struct world_config config = rolling;
        config.amend = two_waves;
        _cleanup_(world_freep) struct world *w = world_new(&config);
        w->step = n2_fails_once;
        require(world_begin(w) == 0);
        require(world_run_until(w, 2, MEMBER_SOAKING, 120000));
        check_eq_str(member_state_text(world_run_of(w)->members[1].state), "failed");
        check((how == 0 ? world_command(w, RUN_EVENT_PAUSE, "alice") == 0 &&
                              world_command(w, RUN_EVENT_RESUME, "alice") == 0
                        : world_member(w, RUN_EVENT_RETRY, 1, "alice") == 0));
        world_crash(w);
        world_run(w, 240000);
        ended(w, VERDICT_DONE);
        check_eq_int(world_run_of(w)->n_state[MEMBER_DONE], 4);
    }
}

TEST("F26 a percentage is rounded down, and of a wave counted apart from the run") {
    struct world_config config = eight;
    config.amend = with_percent;
    config.n_members = 7; /* 25 % are 1.75: one */
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = some_return;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "budget: 2 failed in the run, 1 allowed");
    struct world_config waves = eight;
    waves.amend = wave_with_none;
    waves.n_canaries = 1;
    _cleanup_(world_freep) struct world *v = world_new(&waves);
    v->step = some_return;
    require(world_begin(v) == 0);
    world_run(v, 60000);
    check(world_run_of(v)->paused);
    check_contains(world_run_of(v)->pause_reason, "budget: 1 failed in wave rolling, 0 allowed");
}

TEST("F26 failures while the run is paused, or waits for a person, count and are told") {
    struct world_config config = eight;
    config.limit = 4;
    config.members_per_domain = 8;
    config.one_domain = true;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = some_return;
    w->step_ms = 2000;
    require(world_begin(w) == 0);
    require(world_run_until(w, 3, MEMBER_SWITCHING, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "bob: lunch") == 0);
    while (world_run_of(w)->n_in_flight > 0 && world_next(w, 60000))
        ;
    check_eq_int(world_run_of(w)->count.n[BUDGET_FAILED], 2);
    check_eq_int(world_run_of(w)->n_pauses, 2);
    check_contains(world_run_of(w)->pause_reason, "bob: lunch; shop/server@n2 failed");
    check_contains(world_run_of(w)->pause_reason, "; shop/server@n4 failed");
}

TEST("F26 unreachable is counted apart from failed, after 30 s, and pauses only beyond its budget") {
    struct world_config config = eight;
    config.amend = with_one_away;
    config.soak_ms = 20000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    world_agent_down(w, 6);
    world_agent_down(w, 5);
    world_run(w, 29000);
    check_eq_int(world_run_of(w)->count.n[BUDGET_UNREACHABLE], 0);
    world_agent_up(w, 5); /* a restart is no trouble */
    world_run(w, 10000);
    check_eq_int(world_run_of(w)->count.n[BUDGET_UNREACHABLE], 1);
    check_eq_int(world_run_of(w)->count.n[BUDGET_FAILED], 0);
    check(!world_run_of(w)->paused || !strstr(world_run_of(w)->pause_reason, "budget"));
    world_crash(w);
    world_agent_down(w, 7);
    world_run(w, 40000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "shop/server@n7 is away");
    check_contains(world_run_of(w)->pause_reason, "budget: 2 unreachable in the run, 1 allowed");
    world_agent_up(w, 6);
    world_agent_up(w, 7);
    check_eq_int(world_run_of(w)->count.n[BUDGET_UNREACHABLE], 0);
    check(world_run_of(w)->paused); /* a breach stays until somebody has read it */
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 600000);
    ended(w, VERDICT_DONE);
}

TEST("F26 by default who is unreachable does not pause the run at once, and is waited for by name") {
    struct world_config config = eight;
    config.wait_limit_ms = 0;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    world_agent_down(w, 6);
    world_run(w, 100000);
    check(!world_run_of(w)->paused);
    check_eq_int(world_run_of(w)->count.n[BUDGET_UNREACHABLE], 1);
    check_eq_int(world_run_of(w)->n_state[MEMBER_DONE], 1);
    check(world_run_of(w)->wait.n > 0);
    world_agent_up(w, 6);
    world_run(w, 100000);
    ended(w, VERDICT_DONE);
}

TEST("F26 skipped members have a budget of their own") {
    struct world_config config = eight;
    config.amend = with_one_away;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    check(world_member(w, RUN_EVENT_SKIP, 6, "alice: one") == 0);
    check(!world_run_of(w)->paused);
    check(world_member(w, RUN_EVENT_SKIP, 7, "alice: two") == 0);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "budget: 2 skipped in the run, 1 allowed");
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

TEST("F26 who is gone for good is in no percentage and in no count") {
    struct world_config config = eight;
    config.amend = with_percent; /* 25 % of 8: two */
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = some_return;
    require(world_begin(w) == 0);
    require(world_run_until(w, 3, MEMBER_RETURNED, 60000));
    check(!world_run_of(w)->paused);
    check(world_member(w, RUN_EVENT_RETIRE, 1, "alice: burnt") == 0);
    check_eq_int(world_run_of(w)->count.n[BUDGET_FAILED], 1);
    check_eq_int(run_budget(world_run_of(w), BUDGET_FAILED), 1); /* of seven */
    world_run(w, 60000);
    check(world_run_of(w)->paused); /* n6 is the second */
    check_contains(world_run_of(w)->pause_reason, "budget: 2 failed in the run, 1 allowed");
}

/* ---- a side action that cannot be closed ---- */

static void second_supersedes(struct verified_plan *plan) {
    plan->header.supersedes = plan->header.serial == 2 ? 1 : 0;
}

static enum outcome never_closes(struct world *world, unsigned member, const char *step) {
    (void)member;
    return strcmp(step, "close delay") == 0 && engine_run(world->engine, 1)->state == RUN_CLOSING
               ? OUTCOME_FAILED
               : OUTCOME_DONE;
}

TEST(
    "F06 F29 F31 a superseded run that cannot close its side action says why, and operators end it without") {
    struct world_config config = rolling;
    config.side_action = true;
    config.soak_ms = 200;
    config.amend = second_supersedes;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = never_closes;
    w->step_ms = 500;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
    check(world_leave(w, 1, "close delay", "alice: too early") == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "only then one can be left");
    require(world_apply(w, 2) == 0);
    world_run(w, 30000);
    const struct run *old = engine_run(w->engine, 1);
    check_eq_str(run_state_text(old->state), "closing");
    char text[1024];
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "waits for run 1 of cluster shop");
    engine_explain_run(w->engine, old, text, sizeof(text));
    check_contains(text, "side action delay is closing: no room on the disk");
    check_contains(text, "`kedge run waive 1 MEMBER 'close delay'` ends the run without it");
    check(world_leave(w, 1, "close delay", "") == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "needs a reason");
    check(world_leave(w, 1, "close delay", "alice: the service is gone") == 0);
    old = engine_run(w->engine, 1);
    check_eq_str(run_state_text(old->state), "ended");
    check_eq_str(side_state_text(old->sides[0].state), "left open");
    check_contains(old->verdict_text, "side action delay was left open: alice: the service is gone");
    unsigned n_leases = w->n_leases;
    check(world_leave(w, 1, "close delay", "alice: again") == ENGINE_REFUSED);
    world_crash(w);
    world_run(w, 120000);
    ended(w, VERDICT_DONE);
    check(w->n_leases >= n_leases);
}

/* Who is asked to close, in their order; all fail but the last one. */
static enum outcome only_n4_closes(struct world *world, unsigned member, const char *step) {
    if (strcmp(step, "close delay") != 0)
        return OUTCOME_DONE;
    world->state |= 1 << member;
    return member == 3 ? OUTCOME_DONE : OUTCOME_FAILED;
}

TEST("F31 a side action's close goes round all members: two that cannot do it do not keep it from the "
     "others") {
    struct world_config config = rolling;
    config.side_action = true;
    config.soak_ms = 200;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = only_n4_closes;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check_eq_int(w->state, 15);
    check(!w->side_in_force);
}

TEST("F29 F31 nobody is connected who could close: said, and closed when one is back") {
    struct world_config config = rolling;
    config.side_action = true;
    config.n_members = 2;
    config.soak_ms = 200;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    world_agent_down(w, 0);
    world_agent_down(w, 1);
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    world_run(w, 20000);
    char text[1024];
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "no agent is connected that can close it");
    world_agent_up(w, 1);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
}

/* ---- gates that hold ---- */

static void two_cluster_gates(struct verified_plan *plan) {
    plan->shape.n_may_stop = 2; /* the recovered gate lies behind it */
}

static enum answer three_say_no(struct world *world, enum world_gate gate, unsigned node, const char *self) {
    (void)self;
    if (gate == GATE_LAST)
        return ANSWER_NO;
    if (world->state == 0)
        return ANSWER_YES;
    if (gate == GATE_OLD && node == 2)
        return ANSWER_UNKNOWN; /* a no would make it the first one: broken members go first */
    return gate == GATE_CLUSTER || gate == GATE_RECOVERED ? ANSWER_NO : ANSWER_YES;
}

TEST("F01 F29 who waits tells all reasons, never only the first: other members, every gate, each prober") {
    struct world_config config = rolling;
    config.amend = two_cluster_gates;
    config.wait_limit_ms = 3000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = three_say_no;
    w->state = 1;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    require(world_run_of(w)->paused);
    const char *why = world_run_of(w)->pause_reason;
    check_contains(why, "shop/server@n3: old-alive: unknown");
    check_contains(why, "n2: writable: no");
    check_contains(why, "n3: writable: no");
    check_contains(why, "n2: replicated: no");
    check_contains(why, "n3: replicated: no");
    check_eq_int(world_effects(w, 0, "switch"), 0);
}

TEST("F12 the soak counts from the first good answer, detection included, and begins anew after a no") {
    struct world_config config = rolling;
    config.n_members = 2;
    config.detection_ms = 4000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = n1_is_ill;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_RECOVERING, 60000));
    uint64_t switched_ms = w->now_ms;
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    check(w->now_ms >= switched_ms + 4000 && w->now_ms <= switched_ms + 4500);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    check(w->now_ms >= switched_ms + 10000 && w->now_ms <= switched_ms + 10500);
    _cleanup_(world_freep) struct world *v = world_new(&config);
    v->gate = n1_is_ill;
    require(world_begin(v) == 0);
    require(world_run_until(v, 0, MEMBER_SOAKING, 60000));
    world_run(v, 5000);
    v->state = 5; /* one no, at the next question */
    while (v->state == 5 && world_next(v, v->now_ms + 60000))
        ;
    uint64_t no_ms = v->now_ms;
    v->state = 0;
    require(world_run_until(v, 0, MEMBER_DONE, 60000));
    check(!world_run_of(v)->paused);
    check(v->now_ms >= no_ms + 10000);
}

/* ---- agents that say what is not so ---- */

static void lie_is_seen(const struct world_config *config, unsigned liar, const char *step,
                        const char *shows) {
    _cleanup_(world_freep) struct world *w = world_new(config);
    w->liar = liar;
    w->lies_at = step;
    require(world_begin(w) == 0);
    world_run(w, 120000);
    const struct run *run = world_run_of(w);
    const struct run_member *m = &run->members[liar - 1];
    check_eq_str(member_state_text(m->state), "held");
    check_contains(m->reason, "not believed: done is reported, and in the same report it ");
    check_contains(m->reason, shows);
    check(run->paused || run->verdict == VERDICT_FAILED);
    if (run->paused) {
        check_contains(run->pause_reason, "ALARM: shop/server@n");
        check_contains(run->pause_reason, shows);
        check_eq_int(world_effects(w, liar, "switch") + world_effects(w, liar, "start"),
                     config->downtime ? 1
                                      : 0); /* who comes next: not touched; of a downtime all start at once */
        check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
        world_run(w, 120000);
    }
    ended(w, VERDICT_FAILED);
}

static const struct world_config with_canary = {
    .n_members = 4,
    .n_canaries = 1,
    .soak_ms = 1000,
    .soak_read_only_ms = 1000,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

TEST("F06 a report of done that shows the old release is not believed: held, with an alarm, and nobody goes "
     "on") {
    lie_is_seen(&rolling, 1, "switch", "it runs 1.0 (generation 0 of its node, read-write), where 1.1");
    lie_is_seen(&with_canary, 1, "switch", "it runs 1.0 (generation 0 of its node, read-only), where 1.1");
    lie_is_seen(&with_canary, 1, "promote", "it runs 1.0 (generation 0 of its node, read-write), where 1.1");
}

TEST("F06 F30 in a downtime too: who says that it is stopped and runs is not believed") {
    struct world_config downtime = rolling;
    downtime.downtime = true;
    downtime.hold_ms = 30000;
    lie_is_seen(&downtime, 1, "stop", "it is read-write, not stopped");
    lie_is_seen(&downtime, 1, "start", "it runs 1.0 (generation 0 of its node, read-write), where 1.1");
}

static enum outcome first_returns(struct world *world, unsigned member, const char *step) {
    return member == 0 && strcmp(step, world->lies_at) == 0 ? OUTCOME_RETURNED : OUTCOME_DONE;
}

static void return_is_not_believed(const struct world_config *config, const char *step, const char *shows) {
    _cleanup_(world_freep) struct world *w = world_new(config);
    w->liar = 1;
    w->lies_at = step;
    w->step = first_returns;
    require(world_begin(w) == 0);
    world_run(w, 120000);
    const struct run *run = world_run_of(w);
    check_eq_str(member_state_text(run->members[0].state), "held");
    check_contains(run->members[0].reason, "not believed: returned is reported, and in the same report it ");
    check_contains(run->members[0].reason, shows);
    check_contains(run->paused ? run->pause_reason : run->verdict_text, shows);
    check_eq_int(world_effects(w, 1, "switch"), 0);
    world_crash(w);
    check_eq_str(member_state_text(world_run_of(w)->members[0].state), "held");
}

TEST("F06 F07 a report of a return that shows the new release is not believed: held, with an alarm, and "
     "nobody "
     "goes on") {
    return_is_not_believed(&rolling, "switch",
                           "it runs 1.1 (generation 1 of its node, read-write), where 1.0");
    return_is_not_believed(&with_canary, "promote",
                           "it runs 1.1 (generation 2 of its node, read-write), where 1.0");
    struct world_config downtime = rolling;
    downtime.downtime = true;
    downtime.hold_ms = 30000;
    return_is_not_believed(&downtime, "start",
                           "it runs 1.1 (generation 1 of its node, read-write), where 1.0");
}

static enum outcome first_is_held(struct world *world, unsigned member, const char *step) {
    (void)world;
    return member == 0 && strcmp(step, "prepare") == 0 ? OUTCOME_HELD : OUTCOME_DONE;
}

TEST(
    "F06 F29 who is held before all are prepared is what the run says it waits for, and it can be left out") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    char text[KEDGE_REASON_MAX];
    w->step = first_is_held;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    if (world_run_of(w)->paused)
        check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "shop/server@n1 HELD by its own agent");
    check(world_member(w, RUN_EVENT_SKIP, 0, "alice: a new disk is ordered") == 0);
    if (world_run_of(w)->paused)
        check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}
