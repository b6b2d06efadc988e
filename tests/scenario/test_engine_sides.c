/* A side action that an agent has put back, because it has not heard of the run for the time of its lease: the engine hears
 * of it from the agent's report, and opens it anew before anything more is stopped. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

#include <stdlib.h>
#include <string.h>

static const struct world_config canary_rolling = {
    .n_members = 4,
    .n_canaries = 1,
    .side_action = true,
    .limit = 1,
    .soak_ms = 2000,
    .soak_read_only_ms = 500,
    .detection_ms = 100,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

static unsigned n_opened(const struct world *w) {
    unsigned n = 0;
    for (unsigned i = 0; i < w->config.n_members; i++)
        n += world_effects(w, i, "open delay");
    return n;
}

static bool stops(const char *step) {
    return strcmp(step, "switch") == 0 || strcmp(step, "promote") == 0 || strcmp(step, "return") == 0;
}

static enum outcome in_force_at_stops(struct world *w, unsigned member, const char *step) {
    (void)member;
    if (stops(step) && !w->side_in_force)
        test_fail(__FILE__, __LINE__, "n%u is ordered to %s without the side action", member + 1, step);
    return OUTCOME_DONE;
}

TEST(
    "F31 the coordinator is away longer than the lease: it opens the side action anew before the next stop") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = in_force_at_stops;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    world_crash(w);
    world_put_back(w, 3);
    world_run(w, 120000);
    check_eq_str(run_verdict_text(world_run_of(w)->verdict), "done");
    check_eq_str(run_state_text(world_run_of(w)->state), "ended");
    check(!w->side_in_force);
    check_eq_int(n_opened(w), 2);
    replay_equals(w);
}

TEST(
    "F31 what an agent says again after each reconnect is no news: the side action is not opened once more") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = in_force_at_stops;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    world_put_back(w, 3);
    require(world_run_until(w, 1, MEMBER_DONE, 60000));
    for (unsigned i = 0; i < 5; i++) {
        world_crash(w);
        world_put_back_again(w, 3);
        world_run(w, 100);
    }
    check_eq_int(n_opened(w), 2);
    world_put_back(w, 3); /* this is */
    world_run(w, 120000);
    check_eq_str(run_verdict_text(world_run_of(w)->verdict), "done");
    check_eq_int(n_opened(w), 3);
    check(!w->side_in_force);
    replay_equals(w);
}

TEST("F31 it dies before it hears that the side action is open, and is away for longer than the lease") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = in_force_at_stops;
    require(world_begin(w) == 0);
    for (unsigned i = 0; i < 100000 && n_opened(w) == 0; i++)
        world_next(w, w->now_ms + 1000);
    require(world_run_of(w)->sides[0].state == SIDE_OPENING);
    unsigned carrier = world_run_of(w)->sides[0].carrier;
    world_agent_down(w, carrier); /* it opens, and nobody hears of it */
    world_run(w, 1000);
    require(w->side_in_force);
    world_put_back(w, 3);
    world_run(w, 1000);
    world_agent_up(w, carrier);
    world_run(w, 120000);
    check_eq_str(run_verdict_text(world_run_of(w)->verdict), "done");
    check_eq_int(n_opened(w), 2);
    check(!w->side_in_force);
    replay_equals(w);
}

static enum outcome once_only(struct world *w, unsigned member, const char *step) {
    if (strcmp(step, "open delay") == 0)
        return w->state++ == 1 ? OUTCOME_FAILED : OUTCOME_DONE;
    return in_force_at_stops(w, member, step);
}

TEST("F31 F06 it cannot be opened again by one agent: the run pauses and says so, `run resume` lets another "
     "try") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = once_only;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    world_put_back(w, 3);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason,
                   "side action delay could not be opened again by shop/server@n");
    check_contains(world_run_of(w)->pause_reason, "no room on the disk");
    replay_equals(w);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 120000);
    check_eq_str(run_verdict_text(world_run_of(w)->verdict), "done");
    check(!w->side_in_force);
    replay_equals(w);
}

TEST("F31 F08 it is back when the run is aborted: nothing is opened any more") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "alice") == 0);
    world_put_back(w, 3);
    world_run(w, 1000);
    check_eq_int(n_opened(w), 1); /* a pause begins nothing */
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    world_run(w, 60000);
    check_eq_str(run_verdict_text(world_run_of(w)->verdict), "aborted");
    check_eq_int(n_opened(w), 1);
    check(!w->side_in_force);
    replay_equals(w);
}

/* ---- changed back by other hands ---- */

static void cluster_gate_is_about_it(struct verified_plan *plan) {
    ((struct gate *)(uintptr_t)plan->gates)[GATE_CLUSTER].name = SIDE_GATE_PREFIX "delay";
}

static enum answer while_in_force(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    (void)node;
    (void)self;
    return gate == GATE_CLUSTER && !w->side_in_force ? ANSWER_NO : gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F29 F31 other hands change it back: the run waits, pauses, and opens it anew when it is resumed") {
    struct world_config config = canary_rolling;
    config.amend = cluster_gate_is_about_it;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = in_force_at_stops;
    w->gate = while_in_force;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    w->side_in_force = false; /* and no agent says so */
    world_run(w, 120000);
    require(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "in-force:delay: no");
    check_contains(world_run_of(w)->pause_reason, "`kedge run resume` opens it anew");
    check_eq_int(n_opened(w), 1); /* it may be meant */
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    replay_equals(w);
    world_run(w, 120000);
    check_eq_int(n_opened(w), 2);
    ended(w, VERDICT_DONE);
}

/* ---- words while it closes ---- */

static enum outcome close_hangs(struct world *world, unsigned member, const char *step) {
    (void)world;
    (void)member;
    return strncmp(step, "close", 5) == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST(
    "F06 F08 F31 words to a run that closes are refused with what to do, and take nothing from its verdict") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = close_hangs;
    require(world_begin(w) == 0);
    world_run(w, 20000);
    require(world_run_of(w)->state == RUN_CLOSING);
    static const enum run_event words[] = {RUN_EVENT_PAUSE, RUN_EVENT_RESUME, RUN_EVENT_ABORT,
                                           RUN_EVENT_ROLLBACK};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        check(world_command(w, words[i], "alice") == ENGINE_REFUSED);
        check_contains((const char *)w->refused.data, "closes its side actions by itself");
    }
    check_contains((const char *)w->refused.data, "ask again when it has ended");
    check(!world_run_of(w)->aborting);
    check_eq_int(world_run_of(w)->verdict, VERDICT_DONE);
    w->step = NULL;
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    for (size_t i = 0; i < 3; i++) {
        check(world_command(w, words[i], "alice") == ENGINE_REFUSED);
        check_contains((const char *)w->refused.data, "`run rollback` takes it back");
    }
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    check(world_command(w, RUN_EVENT_ROLLBACK, "bob") == 0); /* from a second console it is no mistake */
    w->step = NULL;
    world_run(w, 120000);
    check_eq_int(world_run_of(w)->verdict, VERDICT_ROLLED_BACK);
}
