/* F05 F21: the way back, whatever happens on it. It is signed with the plan: the changed members, the last wave first, the same
 * gates and limits, no canary. Each test ends with everybody on what it ran before, or says whom it left and why. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

static const struct world_config rolling = {
    .n_members = 4,
    .n_canaries = 1,
    .side_action = true,
    .limit = 1,
    .soak_ms = 200,
    .soak_read_only_ms = 200,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

static const struct world_config downtime = {
    .n_members = 4,
    .downtime = true,
    .hold_ms = 20000,
    .soak_ms = 200,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_CLUSTER,
};

static struct world *done_and_rolled_back(const struct world_config *config) {
    struct world *w = world_new(config);
    check(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    return w;
}

static void time_passes(struct world *w, uint64_t ms) {
    uint64_t until = w->now_ms + ms;
    while (world_next(w, until))
        ;
    w->now_ms = until;
}

static void run_says(const struct world *w, const char *words) {
    char text[KEDGE_REASON_MAX];
    engine_explain_run(w->engine, world_run_of(w), text, sizeof(text));
    check_contains(text, words);
}

static void member_says(const struct world *w, unsigned member, const char *words) {
    struct why why;
    engine_explain(w->engine, world_run_of(w), member, &why);
    check_contains(why.headline, words);
    check(why.then[0] && why.since_ms > 0);
    why_deinit(&why);
}

static void all_returned_once(const struct world *w) {
    for (unsigned i = 0; i < 4; i++)
        check_eq_int(world_effects(w, i, "return"), 1);
    check_eq_int(w->max_in_change, 1);
}

/* ---- a rolling plan ---- */

TEST("F05 F21 paused and resumed on the way back: nothing begins meanwhile, then it goes on to its end") {
    _cleanup_(world_freep) struct world *w = done_and_rolled_back(&rolling);
    require(world_run_until(w, 1, MEMBER_RECOVERING_BACK, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "alice: lunch") == 0);
    time_passes(w, 30000);
    check_eq_int(world_run_of(w)->n_in_flight, 0);
    check_eq_int(world_run_of(w)->n_state[MEMBER_BACK], 1);
    member_says(w, 2, "waits for its turn to go back");
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    all_returned_once(w);
}

TEST("F05 F08 F21 aborted on the way back: what is in flight finishes, the rest stays, and it says who runs "
     "what") {
    _cleanup_(world_freep) struct world *w = done_and_rolled_back(&rolling);
    require(world_run_until(w, 1, MEMBER_REVERTING, 60000));
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
    check_contains(world_run_of(w)->verdict_text, "3 of 4 members run 1.1");
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "make a plan back to 1.0");
}

TEST("F05 F21 rolled back twice: the second time there is nothing to take back, and it says so") {
    _cleanup_(world_freep) struct world *w = done_and_rolled_back(&rolling);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    check(world_command(w, RUN_EVENT_ROLLBACK, "bob") == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "nothing to take back");
    all_returned_once(w);
}

TEST("F05 F21 F29 an agent that is away on the way back is waited for, with the reason, and returned when it "
     "is back") {
    _cleanup_(world_freep) struct world *w = done_and_rolled_back(&rolling);
    world_agent_down(w, 2);
    time_passes(w, 30000);
    check_eq_int(world_run_of(w)->n_state[MEMBER_BACK] + world_run_of(w)->n_state[MEMBER_DONE], 4);
    run_says(w, "shop/server@n3");
    run_says(w, "not connected");
    world_agent_up(w, 2);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    all_returned_once(w);
}

TEST("F05 F06 F21 a member that is gone for good holds no rollback: it is retired, the others are back") {
    _cleanup_(world_freep) struct world *w = done_and_rolled_back(&rolling);
    world_agent_down(w, 2);
    time_passes(w, 30000);
    check(world_member(w, RUN_EVENT_RETIRE, 2, "alice: its host has burnt") == 0);
    world_run(w, 60000);
    check_eq_int(world_run_of(w)->verdict, VERDICT_ROLLED_BACK);
    check_eq_int(world_run_of(w)->n_state[MEMBER_BACK], 3);
}

TEST("F05 F06 F21 F29 a node that is held on the way back is left alone until it is returned, and the run "
     "says so") {
    _cleanup_(world_freep) struct world *w = done_and_rolled_back(&rolling);
    check(world_hold(w, 3, 0, "bob: disks are changed") == 0);
    time_passes(w, 30000);
    check_eq_int(world_effects(w, 3, "return"), 0);
    run_says(w, "node n4 is held until `kedge node return`");
    check(world_return(w, 3, "bob") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    all_returned_once(w);
}

static enum outcome n3_is_held(struct world *w, unsigned member, const char *step) {
    (void)w;
    return member == 2 && strcmp(step, "switch") == 0 ? OUTCOME_HELD : OUTCOME_DONE;
}

TEST("F05 F21 a member that its agent holds stays held: the others go back, and the verdict names it") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n3_is_held;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    require(world_run_of(w)->paused);
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    check_contains(world_run_of(w)->verdict_text, "still held: shop/server@n3");
    check_eq_int(world_effects(w, 2, "return"), 0);
}

static enum outcome n2_does_not_go_back(struct world *w, unsigned member, const char *step) {
    return member == 1 && strcmp(step, "return") == 0 && w->state++ == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F05 F21 a return that fails before its stop pauses the way back, with the reason; resume tries it "
     "again") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n2_does_not_go_back;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    world_run(w, 60000);
    require(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "shop/server@n2");
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    check_eq_int(world_run_of(w)->n_state[MEMBER_BACK], 4);
}

TEST("F04 F05 F21 the coordinator is killed again and again on the way back: each member goes back once") {
    for (int shape = 0; shape < 2; shape++) {
        _cleanup_(world_freep) struct world *w = done_and_rolled_back(shape ? &downtime : &rolling);
        for (unsigned n = 0; world_run_of(w)->state != RUN_ENDED && n < 400; n++) {
            if (n % 3 == 0)
                world_crash(w);
            if (!world_next(w, w->now_ms + 60000))
                break;
        }
        world_run(w, 60000);
        ended(w, VERDICT_ROLLED_BACK);
        for (unsigned i = 0; i < 4; i++)
            check_eq_int(world_effects(w, i, "return"), 1);
    }
}

/* ---- a downtime ---- */

TEST("F05 F21 F29 F30 the way back of a downtime waits for an agent that is away, and says for whom and what "
     "comes") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    world_agent_down(w, 1);
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    time_passes(w, 30000);
    check_eq_str(run_state_text(world_run_of(w)->state), "returning");
    run_says(w, "shop/server@n2 is to be stopped for the way back, and its agent is not connected");
    run_says(w, "it goes on when its agent is back, or it is retired");
    member_says(w, 1, "waits to go back, its agent is NOT connected");
    for (unsigned i = 0; i < 4; i++) /* never old beside new */
        check_eq_int(world_effects(w, i, "return"), 0);
    world_agent_up(w, 1);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
}

TEST("F05 F06 F21 F29 F30 the way back of a downtime waits for a node that is held, and says so") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check(world_hold(w, 1, 0, "bob") == 0);
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    time_passes(w, 30000);
    run_says(w, "shop/server@n2 is to be stopped for the way back, and its node is held by an operator");
    run_says(w, "`kedge node return`");
    check(world_return(w, 1, "bob") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
}
