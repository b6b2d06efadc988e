/* What operators may say about one member of a run, in whatever state it is: each word does what it says, is refused with
 * a reason, and survives the coordinator's death. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

static const struct world_config rolling = {
    .n_members = 4,
    .soak_ms = 200,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

static const char *refused(const struct world *w) {
    return (const char *)w->refused.data;
}

/* ---- retry ---- */

static enum outcome n2_fails_once(struct world *world, unsigned member, const char *step) {
    return member == 1 && strcmp(step, "switch") == 0 && world->state++ == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F06 F08 retry: a member that failed before anything was stopped is tried again") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n2_fails_once;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_eq_int(world_run_of(w)->members[1].state, MEMBER_FAILED);
    check(world_member(w, RUN_EVENT_RETRY, 0, "alice") == ENGINE_REFUSED);
    check_contains(refused(w), "has not failed");
    check(world_member(w, RUN_EVENT_RETRY, 1, "alice") == 0);
    check(!world_run_of(w)->paused); /* nothing else was wrong */
    check(world_run_of(w)->members[1].state != MEMBER_FAILED);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == ENGINE_REFUSED);
    world_crash(w);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

static enum outcome n2_cannot_prepare_once(struct world *world, unsigned member, const char *step) {
    return member == 1 && strcmp(step, "prepare") == 0 && world->state++ == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F32 retry: what could not be prepared is prepared again, never taken for prepared") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n2_cannot_prepare_once;
    w->step_ms = 100;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_FAILED, 60000));
    require(world_run_of(w)->state == RUN_PREPARING);
    check(world_member(w, RUN_EVENT_RETRY, 1, "alice") == 0);
    check(world_run_of(w)->members[1].state == MEMBER_PREPARING);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check_eq_int(world_effects(w, 1, "prepare"), 1);
}

static enum outcome n2_returns(struct world *world, unsigned member, const char *step) {
    (void)world;
    return member == 1 && strcmp(step, "switch") == 0 ? OUTCOME_RETURNED : OUTCOME_DONE;
}

TEST("F08 retry of a member that its agent returned is refused, with what to do instead") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n2_returns;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_member(w, RUN_EVENT_RETRY, 1, "alice") == ENGINE_REFUSED);
    check_contains(refused(w), "at most once");
    check_contains(refused(w), "kedge plan shop");
}

/* ---- skip ---- */

TEST("F06 F08 skip: a member is left out, in whatever state without a change, and the run ends without it") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n2_returns;
    require(world_begin(w) == 0);
    check(world_member(w, RUN_EVENT_SKIP, 0, "alice") == ENGINE_REFUSED); /* being prepared */
    world_run(w, 60000);
    check(world_member(w, RUN_EVENT_SKIP, 0, "alice") == ENGINE_REFUSED); /* done */
    check_contains(refused(w), "it is done");
    check(world_member(w, RUN_EVENT_SKIP, 1, "alice: looked at later") == 0);
    check(!world_run_of(w)->paused);
    check(world_member(w, RUN_EVENT_SKIP, 3, "alice: its disk is being changed") == 0);
    world_crash(w);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check_eq_int(world_effects(w, 3, "switch"), 0);
    check_eq_str(world_run_of(w)->verdict_text,
                 "2 of 4 members run 1.1, shop/server@n2 is skipped, shop/server@n4 is skipped");
}

TEST("F18 the last canary cannot be skipped, and nothing follows on a canary that is gone") {
    struct world_config config = rolling;
    config.n_canaries = 1;
    config.soak_read_only_ms = 5000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    check(world_run_until(w, 0, MEMBER_PREPARED, 60000));
    check(world_member(w, RUN_EVENT_SKIP, 0, "alice") == ENGINE_REFUSED);
    check_contains(refused(w), "last canary");
    require(world_run_until(w, 0, MEMBER_SOAKING_READ_ONLY, 60000));
    check(world_member(w, RUN_EVENT_RETIRE, 0, "alice: it burnt") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    check_contains(world_run_of(w)->verdict_text, "no canary is left");
    check_eq_int(world_effects(w, 1, "switch"), 0);
}

/* ---- retire ---- */

TEST("F06 retire: the member of a node that is gone is asked, counted and waited for no more") {
    struct world_config config = rolling;
    config.limit = 4;
    config.limit_percent = 50;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
    world_agent_down(w, 1); /* and it never comes back */
    check(world_member(w, RUN_EVENT_RETIRE, 1, "alice: its board is broken") == 0);
    check(world_run_of(w)->members[1].step == NULL);
    world_crash(w);
    w->max_in_change = 0;
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check_eq_int(w->max_in_change, 1); /* half of three */
    check_contains(world_run_of(w)->verdict_text, "3 of 3 members run 1.1, shop/server@n2 is retired");
}

TEST("F06 a member whose agent never comes back holds the run, until it is retired") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
    world_agent_down(w, 1);
    world_run(w, 20000);
    check(world_run_of(w)->state == RUN_WAVES && world_run_of(w)->n_state[MEMBER_DONE] == 1);
    check(world_member(w, RUN_EVENT_RETIRE, 1, "alice: its board is broken") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

TEST("F06 F31 retire: the carrier of a side action is gone, another closes it, also while the run is "
     "aborted") {
    struct world_config config = rolling;
    config.side_action = true;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
    check(w->side_in_force);
    uint32_t carrier = world_run_of(w)->sides[0].carrier;
    world_agent_down(w, (unsigned)carrier);
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    check(world_member(w, RUN_EVENT_RETIRE, (unsigned)carrier, "alice: gone") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
}

TEST("F21 F31 a side action that is opened once more for the way back is closed by whoever is left, or "
     "nothing begins") {
    for (int late = 0; late < 2; late++) {
        struct world_config config = rolling;
        config.side_action = true;
        config.n_members = 2;
        _cleanup_(world_freep) struct world *w = world_new(&config);
        require(world_begin(w) == 0);
        world_run(w, 60000);
        ended(w, VERDICT_DONE);
        w->step_ms = 1000;
        check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
        unsigned second = (unsigned)world_run_of(w)->sides[0].carrier;
        if (late)
            require(world_run_until(w, 0, MEMBER_REVERTING, 60000) ||
                    world_run_until(w, 1, MEMBER_REVERTING, 1));
        world_agent_down(w, second);
        check(world_member(w, RUN_EVENT_RETIRE, second, "alice: its board is broken") == 0);
        world_run(w, 60000);
        if (!late) {
            check(world_run_of(w)->paused);
            check_contains(world_run_of(w)->pause_reason, "cannot be opened once more");
            check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
            world_run(w, 60000);
        }
        check_eq_str(run_state_text(world_run_of(w)->state), "ended");
    }
}

TEST("F06 a run whose members are all gone for good ends by abort") {
    struct world_config config = rolling;
    config.side_action = true;
    config.n_members = 2;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
    for (unsigned i = 0; i < 2; i++) {
        world_agent_down(w, i);
        check(world_member(w, RUN_EVENT_RETIRE, i, "alice: the room is flooded") == 0);
    }
    if (world_run_of(w)->state != RUN_ENDED)
        check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    check_eq_str(run_state_text(world_run_of(w)->state), "ended");
}

/* ---- promote ---- */

TEST("F03 F08 promote: the read-only soak is ended now, its gates are not") {
    struct world_config config = rolling;
    config.n_canaries = 1;
    config.soak_read_only_ms = 3600000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    check(world_member(w, RUN_EVENT_PROMOTE, 0, "alice") == ENGINE_REFUSED);
    require(world_run_until(w, 0, MEMBER_SOAKING_READ_ONLY, 60000));
    world_run(w, 10000);
    check(world_run_of(w)->members[0].state == MEMBER_SOAKING_READ_ONLY);
    check(world_member(w, RUN_EVENT_PROMOTE, 0, "alice: seen enough") == 0);
    world_crash(w);
    uint64_t begun = w->now_ms;
    require(world_run_until(w, 0, MEMBER_PROMOTING, 60000));
    check(w->now_ms - begun < 3000);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

/* ---- waive ---- */

static enum answer n3_is_ill(struct world *world, enum world_gate gate, unsigned node, const char *self) {
    (void)world;
    return gate == GATE_CLUSTER && strcmp(self, "10.0.0.3") == 0 && node != 9 ? ANSWER_NO
           : gate == GATE_LAST                                                ? ANSWER_NO
                                                                              : ANSWER_YES;
}

TEST("F01 F29 waive: one gate of one member is set aside for its stop, shown with reason and end") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n3_is_ill;
    require(world_begin(w) == 0);
    check(world_run_until(w, 1, MEMBER_DONE, 60000));
    world_run(w, 5000);
    check(world_run_of(w)->members[2].state == MEMBER_PREPARED);
    check(world_waive(w, 2, "no-such-gate", 60000, "alice") == ENGINE_REFUSED);
    check(world_waive(w, 2, "writable", 0, "alice") == ENGINE_REFUSED);
    check(world_waive(w, 2, "writable", (uint64_t)48 * 3600000, "alice") == ENGINE_REFUSED);
    check(world_waive(w, 2, "writable", 60000, "") == ENGINE_REFUSED);
    check(world_waive(w, 3, "writable", 60000, "alice: the wrong member") == 0);
    check(world_waive(w, 2, "replicated", 60000, "alice: the wrong gate") == 0);
    world_run(w, 5000);
    check(world_run_of(w)->members[2].state == MEMBER_PREPARED);
    check(world_waive(w, 2, "writable", 60000, "alice: ledger 4711 is a test") == 0);
    struct why why;
    engine_explain(w->engine, world_run_of(w), 2, &why);
    bool shown = false;
    for (size_t i = 0; i < why.reasons.n; i++)
        shown = shown || (strcmp(why.reasons.items[i].gate, "writable") == 0 &&
                          strstr(why.reasons.items[i].text, "waived for 60 s more: alice: ledger 4711"));
    check(shown);
    why_deinit(&why);
    world_crash(w);
    world_run(w, 30000);
    ended(w, VERDICT_DONE);
}

TEST("F01 a waiver ends by itself: after its time the gate holds the member back again") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n3_is_ill;
    require(world_begin(w) == 0);
    check(world_waive(w, 2, "writable", 100, "alice: only now") == 0);
    check(world_run_until(w, 1, MEMBER_DONE, 60000));
    world_run(w, 10000);
    check(world_run_of(w)->members[2].state == MEMBER_PREPARED);
    check(run_waiver(world_run_of(w), 2, "writable") == NULL);
}

/* ---- node hold and return ---- */

TEST("F06 F14 a held node is not begun and counts against the limit; the hold ends by itself") {
    struct world_config config = rolling;
    config.limit = 2;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    check(world_hold(w, 2, 0, "") == ENGINE_REFUSED);
    check(world_return(w, 2, "alice") == ENGINE_REFUSED);
    require(world_run_until(w, 0, MEMBER_SWITCHING, 60000));
    check(world_hold(w, 2, 20000, "bob: a fan is changed") == 0);
    world_crash(w);
    w->max_in_change = 0;
    world_run(w, 10000);
    check_eq_int(w->max_in_change, 1);
    check_eq_int(world_run_of(w)->n_state[MEMBER_DONE], 3);
    check_eq_int(world_run_of(w)->members[2].state, MEMBER_PREPARED);
    struct why why;
    engine_explain(w->engine, world_run_of(w), 2, &why);
    check_contains(why.headline, "HELD by an operator");
    why_deinit(&why);
    char text[512];
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "node n3 is held for");
    check_contains(text, "a fan is changed");
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

TEST("F06 F14 with a limit of one a held node holds all; returned, the run goes on") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    require(world_begin(w) == 0);
    check(world_hold(w, 3, 0, "bob: I look at it") == 0);
    world_run(w, 100000);
    check_eq_int(world_run_of(w)->n_state[MEMBER_DONE], 0);
    check(world_return(w, 3, "bob: it was the cable") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

TEST("F06 F14 a node of another domain that is held while members are in change leaves no domain to go on "
     "in") {
    struct world_config config = rolling;
    config.n_members = 6;
    config.members_per_domain = 3;
    config.one_domain = true;
    config.limit = 3;
    config.soak_ms = 20000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING, 60000));
    check(world_hold(w, 5, 0, "bob: a fan is changed") == 0);
    unsigned n_orders = w->n_orders;
    world_run(w, 10000);
    check_eq_int(w->n_orders, n_orders);
    check_eq_int(world_run_of(w)->members[0].state, MEMBER_SOAKING);
    check(world_return(w, 5, "bob") == 0);
    world_run(w, 600000);
    ended(w, VERDICT_DONE);
}

static enum answer writable_never(struct world *world, enum world_gate gate, unsigned node,
                                  const char *self) {
    (void)world, (void)node, (void)self;
    return gate == GATE_CLUSTER ? ANSWER_NO : ANSWER_YES;
}

TEST("F06 F29 a member that waits to stop and is held then waits no more: the run says that its node is "
     "held") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    char text[512];
    w->gate = writable_never;
    require(world_begin(w) == 0);
    world_run(w, 5000);
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "shop/server@n1 waits: ");
    check_contains(text, "writable");
    check(world_hold(w, 0, 0, "bob: a fan is changed") == 0);
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "node n1 is held");
}

TEST("F06 holds are the same after a restart, in whatever order their nodes were met") {
    struct world_config config = rolling;
    config.n_members = 8;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    for (unsigned i = 8; i-- > 0;)
        world_agent_up(w, i);
    require(world_begin(w) == 0);
    check(world_hold(w, 6, 0, "bob") == 0);
    check(world_hold(w, 1, 0, "bob") == 0);
    check(world_hold(w, 3, 50000, "bob") == 0);
    replay_equals(w);
}

TEST("F06 F08 a run of which everybody is gone ends, and does not say done") {
    struct world_config config = rolling;
    config.n_members = 2;
    config.side_action = true;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    check(world_member(w, RUN_EVENT_RETIRE, 0, "alice") == 0);
    check(world_member(w, RUN_EVENT_RETIRE, 1, "alice") == 0);
    world_run(w, 60000);
    check_eq_str(run_state_text(world_run_of(w)->state), "ended");
    check_eq_str(run_verdict_text(world_run_of(w)->verdict), "failed");
}

TEST("F15 a held node counts for its failure domain") {
    struct world_config config = rolling;
    config.limit = 4;
    config.members_per_domain = 2;
    config.one_domain = true;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_PREPARED, 60000));
    check(world_hold(w, 3, 30000, "bob") == 0);
    world_run(w, 20000);
    check_eq_int(world_effects(w, 0, "switch") + world_effects(w, 1, "switch"), 0);
    check_eq_int(world_effects(w, 2, "switch"), 1);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

/* ---- supersede ---- */

static void second_supersedes(struct verified_plan *plan) {
    plan->header.supersedes = plan->header.serial == 2 ? 1 : plan->header.serial == 3 ? 2 : 0;
}

static const struct world_config superseding = {
    .n_members = 3,
    .side_action = true,
    .soak_ms = 200,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
    .amend = second_supersedes,
};

static void superseded(struct world *w) {
    require(world_apply(w, 2) == 0);
    world_crash(w);
    for (unsigned i = 0; i < 3; i++)
        if (w->agents[i].down)
            world_agent_up(w, i);
    world_run(w, 120000);
    const struct run *old = engine_run(w->engine, 1);
    check_eq_str(run_state_text(old->state), "ended");
    check_eq_int(old->verdict, VERDICT_SUPERSEDED);
    check_contains(old->verdict_text, "superseded by plan 2");
    ended(w, VERDICT_DONE);
}

static enum outcome first_run_holds_n2(struct world *world, unsigned member, const char *step) {
    return engine_n_runs(world->engine) == 1 && member == 1 && strcmp(step, "switch") == 0 ? OUTCOME_HELD
                                                                                           : OUTCOME_DONE;
}

static enum answer never_in_the_first(struct world *world, enum world_gate gate, unsigned node,
                                      const char *self) {
    (void)node, (void)self;
    bool wedged = engine_n_runs(world->engine) == 1 && gate == GATE_CLUSTER;
    return wedged || gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F06 lesson 1: a newer plan supersedes a run that is under way, which drains and closes its side "
     "action") {
    _cleanup_(world_freep) struct world *w = world_new(&superseding);
    w->step_ms = 500;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
    require(world_apply(w, 2) == 0);
    check_eq_str(run_state_text(world_run_of(w)->state), "waiting");
    char text[512];
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "waits for run 1 of cluster shop");
    check_contains(text, "superseded: orders in flight");
    world_run(w, 120000);
    check_eq_int(engine_run(w->engine, 1)->members[2].n_stops, 0);
    check_eq_int(engine_run(w->engine, 1)->verdict, VERDICT_SUPERSEDED);
    ended(w, VERDICT_DONE);
}

TEST("F06 lesson 1: supersede from preparing, from a run that waits for ever, paused, held, aborting") {
    for (unsigned how = 0; how < 6; how++) {
        _cleanup_(world_freep) struct world *w = world_new(&superseding);
        w->gate = how == 1 || how == 2 ? never_in_the_first : NULL;
        w->step = how == 3 ? first_run_holds_n2 : NULL;
        w->step_ms = 100;
        require(world_begin(w) == 0);
        if (how > 0)
            world_run(w, how >= 4 ? 600 : 3000);
        if (how == 2)
            check(world_command(w, RUN_EVENT_PAUSE, "alice") == 0);
        if (how == 3)
            check(world_run_of(w)->paused);
        if (how == 4)
            world_agent_down(w, 0);
        require(world_run_of(w)->state != RUN_ENDED);
        if (how == 5)
            check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
        superseded(w);
    }
}

TEST("F06 a plan supersedes the open run by its serial only; one that waits is superseded itself") {
    _cleanup_(world_freep) struct world *w = world_new(&superseding);
    w->step_ms = 2000;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SWITCHING, 60000));
    check(world_apply(w, 3) == ENGINE_REFUSED); /* names plan 2 */
    check_contains(refused(w), "run 1 holds it");
    require(world_apply(w, 2) == 0);
    require(world_apply(w, 3) == 0);
    check_eq_int(engine_run(w->engine, 2)->verdict, VERDICT_SUPERSEDED);
    world_run(w, 120000);
    check_eq_int(engine_run(w->engine, 1)->verdict, VERDICT_SUPERSEDED);
    ended(w, VERDICT_DONE);
    check_eq_int(engine_n_runs(w->engine), 3);
}

/* The second plan begins with another member than the first. */
static void second_begins_elsewhere(struct verified_plan *plan) {
    static const uint32_t order[] = {1, 2, 0};
    static struct wave wave;
    second_supersedes(plan);
    if (plan->header.serial != 2)
        return;
    wave = plan->shape.waves[0];
    wave.members = order;
    plan->shape.waves = &wave;
}

TEST("F01 F06 a run that overtakes another waits out the detection time after the other's last stop") {
    struct world_config config = {
        .n_members = 3, .soak_ms = 0, .detection_ms = 5000, .amend = second_begins_elsewhere};
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_RECOVERING, 60000));
    uint64_t stopped_ms = world_run_of(w)->members[0].stop_ended_ms;
    require(world_apply(w, 2) == 0);
    for (int i = 0; i < 100000 && engine_run(w->engine, 2)->n_state[MEMBER_SWITCHING] == 0; i++)
        if (!world_next(w, w->now_ms + 60000))
            break;
    check_eq_int(engine_run(w->engine, 2)->n_state[MEMBER_SWITCHING], 1);
    check(w->now_ms >= stopped_ms + 5000);
    world_run(w, 120000);
    ended(w, VERDICT_DONE);
}

/* ---- many runs ---- */

static const char *const needs_zk[] = {"zk"}, *const needs_shop[] = {"shop"};

/* 1: shop, needs zk. 2: zk. 3: zk, which needs shop: a circle. 4: another cluster on the same hosts. */
static void clusters(struct verified_plan *plan) {
    uint64_t serial = plan->header.serial;
    plan->header.cluster = serial == 1 ? "shop" : serial == 4 ? "other" : "zk";
    plan->shape.depends_on = serial == 1 ? needs_zk : needs_shop;
    plan->shape.n_depends_on = serial == 1 || serial == 3;
}

TEST("F06 F29 a run waits while one of a cluster that it depends on, or that depends on it, is open") {
    struct world_config config = {.n_members = 2, .soak_ms = 200, .amend = clusters};
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    check(world_apply(w, 3) == ENGINE_REFUSED);
    check_contains(refused(w), "in a circle: zk -> shop -> zk");
    require(world_apply(w, 2) == 0);
    check_eq_str(run_state_text(world_run_of(w)->state), "waiting");
    char text[512];
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "waits for run 1 of cluster shop");
    check_contains(text, "it depends on this cluster");
    world_crash(w);
    check_eq_str(run_state_text(world_run_of(w)->state), "waiting");
    world_run(w, 60000);
    check_eq_int(engine_run(w->engine, 1)->verdict, VERDICT_DONE);
    ended(w, VERDICT_DONE);
    check(engine_run(w->engine, 2)->since_ms >= engine_run(w->engine, 1)->ended_ms);
}

TEST(
    "F06 F08 a paused run that is aborted is paused no more, and says what it waits for until it has ended") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    char text[256];
    w->step_ms = 20000;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SWITCHING, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "alice") == 0);
    check(world_command(w, RUN_EVENT_ABORT, "bob") == 0);
    check(!world_run_of(w)->paused);
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_eq_str(text, "aborting: orders in flight finish or return first");
    check(world_command(w, RUN_EVENT_PAUSE, "alice") == ENGINE_REFUSED);
    world_crash(w);
    check(!world_run_of(w)->paused);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
}

/* ---- too early to ask ---- */

TEST("F01 F14 while a stop is under way nobody else is asked whether it may stop, but in a wave of one "
     "domain") {
    for (int same = 0; same < 2; same++) {
        struct world_config config = rolling;
        config.limit = 3;
        config.soak_ms = 5000;
        config.members_per_domain = 4;
        config.one_domain = same;
        _cleanup_(world_freep) struct world *w = world_new(&config);
        w->step_ms = 2000;
        require(world_begin(w) == 0);
        require(world_run_until(w, 0, MEMBER_SWITCHING, 60000));
        require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
        check_eq_int(world_run_of(w)->members[0].state == MEMBER_SWITCHING, same);
        require(world_run_until(w, 2, MEMBER_SWITCHING, 60000));
        check_eq_int(world_run_of(w)->members[1].state == MEMBER_SWITCHING, same);
        world_run(w, 60000);
        ended(w, VERDICT_DONE);
        check_eq_int(w->max_in_change, 3);
    }
}

TEST("F02 after a member was returned nobody is stopped for as long as its loss may be unknown") {
    struct world_config config = rolling;
    config.detection_ms = 3000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = n2_returns;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_RETURNED, 60000));
    uint64_t returned_ms = w->now_ms;
    check(world_run_of(w)->paused);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 1000);
    char text[256];
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "until then the gates may not know what the last stop took away");
    require(world_run_until(w, 2, MEMBER_SWITCHING, 60000));
    check(w->now_ms >= returned_ms + 3000);
}

TEST("F06 a run that waits is aborted like any other") {
    struct world_config config = {.n_members = 2, .soak_ms = 200, .amend = clusters};
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_apply(w, 2) == 0);
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    ended(w, VERDICT_ABORTED);
    check_eq_int(world_effects(w, WORLD_RUN, "prepare"), 0);
}

TEST("F15 members of two clusters on one host never change together") {
    struct world_config config = {.n_members = 2, .soak_ms = 3000, .amend = clusters};
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_apply(w, 4) == 0);
    bool waited = false;
    while (world_run_of(w)->state != RUN_ENDED && world_next(w, 120000)) {
        const struct run *a = engine_run(w->engine, 1), *b = engine_run(w->engine, 2);
        for (uint32_t i = 0; i < 2; i++)
            check(!member_state_is_in_change(a->members[i].state) ||
                  !member_state_is_in_change(b->members[i].state));
        for (size_t i = 0; i < b->wait.n; i++)
            waited = waited || (strcmp(b->wait.items[i].gate, "host") == 0 &&
                                strstr(b->wait.items[i].text, "on the same host, by run 1"));
    }
    check(waited);
    ended(w, VERDICT_DONE);
}

static enum outcome n2_cannot_prepare(struct world *world, unsigned member, const char *step) {
    (void)world;
    return member == 1 && strcmp(step, "prepare") == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F06 F08 an order of a run that has ended meanwhile begins nothing when its agent comes back") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n2_cannot_prepare;
    w->step_ms = 3000;
    world_agent_down(w, 0);
    require(world_begin(w) == 0);
    world_agent_up(w, 0);
    w->agents[0].cut = true; /* its order is lost */
    world_run(w, 1000);
    world_agent_down(w, 0);
    world_run(w, 20000);
    ended(w, VERDICT_FAILED);
    check(world_run_of(w)->n_in_flight > 0);
    unsigned effects = world_effects(w, 0, "prepare");
    world_agent_up(w, 0);
    check(w->agents[0].latched);
    world_run(w, 20000);
    check_eq_int(world_effects(w, 0, "prepare"), effects);
}

TEST("F29 a run that waits for an agent before it can prepare its member says so") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    char text[512];
    world_agent_down(w, 2);
    require(world_begin(w) == 0);
    world_run(w, 20000);
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, "shop/server@n3 waits to be prepared, its agent is NOT connected");
}
