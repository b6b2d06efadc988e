/* F30: a downtime, with whatever may happen inside it. At each order the world checks that nothing is started before all
 * have passed the barrier; here stands how each trouble ends. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

enum { HOLD_MS = 20000 };

static const struct world_config downtime = {
    .n_members = 4,
    .downtime = true,
    .hold_ms = HOLD_MS,
    .soak_ms = 200,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_CLUSTER,
};

static const struct run *the_run(const struct world *w) {
    return world_run_of(w);
}

static unsigned n_at(const struct world *w, enum world_barrier barrier) {
    unsigned n = 0;
    for (unsigned i = 0; i < w->config.n_members; i++)
        n += w->agents[i].barrier == barrier;
    return n;
}

static void all_at(const struct world *w, enum world_barrier barrier) {
    check_eq_int(n_at(w, barrier), w->config.n_members);
}

static void time_passes(struct world *w, uint64_t ms) {
    uint64_t until = w->now_ms + ms;
    while (world_next(w, until))
        ;
    w->now_ms = until;
}

static const struct world_config acting = {
    .n_members = 4,
    .downtime = true,
    .acts = true,
    .restores = true,
    .hold_ms = HOLD_MS,
    .soak_ms = 200,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_CLUSTER,
};

TEST("F30 all stop, all pass, all start; nothing is asked inside, all is asked at the end") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    all_at(w, BARRIER_STARTED);
    for (unsigned i = 0; i < 4; i++) {
        check_eq_int(world_effects(w, i, "stop"), 1);
        check_eq_int(world_effects(w, i, "pass"), 1);
        check_eq_int(world_effects(w, i, "start"), 1);
        check_eq_int(world_effects(w, i, "return"), 0);
    }
    check_eq_int(w->max_in_change, 4);
}

static enum outcome n2_does_not_stop(struct world *world, unsigned member, const char *step) {
    (void)world;
    return member == 1 && strcmp(step, "stop") == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F30 a member that does not stop: the barrier is not reached, everybody runs the old generation again") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    w->step = n2_does_not_stop;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    all_at(w, BARRIER_UP);
    check_contains(the_run(w)->verdict_text, "shop/server@n2");
    for (unsigned i = 0; i < 4; i++)
        check_eq_int(world_effects(w, i, "return"), i != 1);
}

TEST("F30 an agent that is not there before the stop: nobody is stopped") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    require(world_begin(w) == 0);
    require(world_run_until(w, 3, MEMBER_PREPARING, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "alice") == 0);
    require(world_run_until(w, 3, MEMBER_PREPARED, 60000));
    world_agent_down(w, 2);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 20000);
    check_eq_int(n_at(w, BARRIER_UP), 4);
    struct why why;
    engine_explain(w->engine, the_run(w), 2, &why);
    check(why.reasons.n > 0);
    why_deinit(&why);
    world_agent_up(w, 2);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

/* The coordinator is silent: it gives no order and hears nothing. */
static void coordinator_is_silent(struct world *w, uint64_t ms) {
    for (unsigned i = 0; i < w->config.n_members; i++)
        world_agent_down(w, i);
    time_passes(w, ms);
}

static void coordinator_is_back(struct world *w) {
    for (unsigned i = 0; i < w->config.n_members; i++)
        w->agents[i].down = false;
    world_crash(w);
}

TEST("F30 F27 the coordinator dies before the pass: at the hold limit each agent starts the old generation "
     "alone") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    w->step_ms = 50;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_STOPPED, 60000));
    coordinator_is_silent(w, HOLD_MS + 1000);
    check_eq_int(n_at(w, BARRIER_BEHIND), 0);
    all_at(w, BARRIER_UP);
    for (unsigned i = 0; i < 4; i++)
        check(w->agents[i].returned);
    coordinator_is_back(w);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    for (unsigned i = 0; i < 4; i++) {
        enum member_state state = the_run(w)->members[i].state;
        check(state == MEMBER_RETURNED || state == MEMBER_BACK || state == MEMBER_RECOVERING_BACK);
        check_eq_int(world_effects(w, i, "start"), 0);
    }
}

TEST("F30 the coordinator dies after the pass: all stay down with an alarm; it comes back and starts them") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    w->step_ms = 50;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_PASSED, 60000));
    coordinator_is_silent(w, HOLD_MS + 1000);
    all_at(w, BARRIER_BEHIND);
    for (unsigned i = 0; i < 4; i++)
        check_eq_int(w->agents[i].n_alarms, 1);
    coordinator_is_back(w);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    all_at(w, BARRIER_STARTED);
}

TEST("F30 one agent is cut off at the barrier and goes back alone: the others do not pass without it") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    w->step_ms = 50;
    require(world_begin(w) == 0);
    require(world_run_until(w, 3, MEMBER_STOPPING, 60000));
    world_agent_down(w, 3);
    time_passes(w, HOLD_MS + 5000);
    check_eq_int(n_at(w, BARRIER_UP), 4);
    world_agent_up(w, 3);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    all_at(w, BARRIER_UP);
}

/* ---- operators ---- */

TEST("F08 F30 abort before the pass: everybody runs the old generation again, nothing else begins") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    w->step_ms = 50;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_STOPPED, 60000));
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
    all_at(w, BARRIER_UP);
}

TEST("F08 F30 pause at the barrier: no further word, the hold limit goes on; resume in time goes on") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    w->step_ms = 50;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_STOPPED, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "alice") == 0);
    time_passes(w, HOLD_MS / 2);
    check_eq_int(n_at(w, BARRIER_DOWN), 4);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

TEST(
    "F08 F30 pause at the barrier for longer than the hold limit: the old generation runs, the run says so") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    w->step_ms = 50;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_STOPPED, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "alice") == 0);
    time_passes(w, 2 * HOLD_MS);
    all_at(w, BARRIER_UP);
    ended(w, VERDICT_FAILED);
    check_contains(the_run(w)->verdict_text, "hold limit");
}

TEST("F08 F30 words about a member inside a barrier: skip, retry and waive are refused with a reason, retire "
     "is taken") {
    static const enum run_event words[] = {RUN_EVENT_RETRY, RUN_EVENT_SKIP, RUN_EVENT_PROMOTE};
    for (int passed = 0; passed < 2; passed++) {
        _cleanup_(world_freep) struct world *w = world_new(&downtime);
        w->step_ms = 50;
        require(world_begin(w) == 0);
        require(world_run_until(w, 0, passed ? MEMBER_PASSED : MEMBER_STOPPED, 60000));
        for (size_t i = 0; i < ARRAY_LEN(words); i++) {
            check(world_member(w, words[i], 0, "alice") == ENGINE_REFUSED);
            check(w->refused.len > 20);
        }
        check(world_waive(w, 0, "writable", 60000, "alice: known") == ENGINE_REFUSED);
        check(world_member(w, RUN_EVENT_RETIRE, 0, "alice: its board burnt") == 0);
        world_run(w, 60000);
        ended(w, VERDICT_DONE);
        check_eq_int(n_at(w, BARRIER_STARTED), 3);
    }
}

static enum outcome n2_does_not_start(struct world *world, unsigned member, const char *step) {
    return member == 1 && strcmp(step, "start") == 0 && world->state++ == 0 ? OUTCOME_HELD : OUTCOME_DONE;
}

TEST("F30 a start behind the barrier that fails pauses the run; nobody goes back") {
    _cleanup_(world_freep) struct world *w = world_new(&downtime);
    w->step = n2_does_not_start;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(the_run(w)->paused);
    check_eq_int(the_run(w)->members[1].state, MEMBER_HELD);
    for (unsigned i = 0; i < 4; i++)
        check_eq_int(world_effects(w, i, "return"), 0);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
}

/* ---- actions, and the way back ---- */

TEST("F30 a backup before the barrier, a format behind it: each once, while all are down") {
    _cleanup_(world_freep) struct world *w = world_new(&acting);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    all_at(w, BARRIER_STARTED);
    check_eq_int(world_effects(w, 0, "act backup"), 1);
    check_eq_int(world_effects(w, 1, "act format"), 1);
    check_eq_int(world_effects(w, 0, "restore backup"), 0);
}

static enum outcome backup_fails_once(struct world *world, unsigned member, const char *step) {
    (void)member;
    return strcmp(step, "act backup") == 0 && world->state++ == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F30 an action fails: the run pauses with the reason; resume has it looked at and done") {
    _cleanup_(world_freep) struct world *w = world_new(&acting);
    w->step = backup_fails_once;
    require(world_begin(w) == 0);
    world_run(w, 10000);
    check(the_run(w)->paused);
    check_contains(the_run(w)->pause_reason, "act backup");
    check_contains(the_run(w)->pause_reason, "no room on the disk");
    check_eq_int(n_at(w, BARRIER_DOWN), 4);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check_eq_int(world_effects(w, 0, "act backup"), 1);
}

TEST(
    "F30 an action fails before the barrier and nobody is there: at the hold limit the old generation runs") {
    _cleanup_(world_freep) struct world *w = world_new(&acting);
    w->step = backup_fails_once;
    require(world_begin(w) == 0);
    world_run(w, 10000);
    check(the_run(w)->paused);
    time_passes(w, 2 * HOLD_MS);
    ended(w, VERDICT_FAILED);
    all_at(w, BARRIER_UP);
}

TEST("F30 no action is ordered when a hold limit may be over: who went back may say so late") {
    _cleanup_(world_freep) struct world *w = world_new(&acting);
    w->step_ms = 3000;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_STOPPING, 60000));
    uint64_t ordered_ms = w->now_ms;
    require(world_run_until(w, 3, MEMBER_STOPPING, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "alice") == 0);
    time_passes(w, ordered_ms + HOLD_MS + 1000 - w->now_ms);
    check_eq_int(n_at(w, BARRIER_DOWN), 4);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    char text[256];
    engine_explain_run(w->engine, the_run(w), text, sizeof(text));
    check_contains(text, "hold limit");
    time_passes(w, 2 * HOLD_MS);
    ended(w, VERDICT_FAILED);
    all_at(w, BARRIER_UP);
    check_eq_int(world_effects(w, 0, "act backup"), 0);
}

static enum outcome format_fails_once(struct world *world, unsigned member, const char *step) {
    (void)member;
    return strcmp(step, "act format") == 0 && world->state++ == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F08 F30 abort after the point of no return: nothing begins, all stay down; rollback restores and goes "
     "back") {
    _cleanup_(world_freep) struct world *w = world_new(&acting);
    w->step = format_fails_once;
    require(world_begin(w) == 0);
    world_run(w, 10000);
    require(the_run(w)->paused);
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    world_run(w, 10000);
    ended(w, VERDICT_ABORTED);
    check_contains(the_run(w)->verdict_text, "barrier passed");
    all_at(w, BARRIER_BEHIND);
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    all_at(w, BARRIER_UP);
    check_eq_int(world_effects(w, 0, "restore backup"), 1);
}

TEST("F30 F22 without a restore nobody goes back behind an action that only the new release understands") {
    struct world_config config = acting;
    config.restores = false;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = format_fails_once;
    require(world_begin(w) == 0);
    world_run(w, 10000);
    require(the_run(w)->paused);
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "act format");
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

TEST("F05 F21 F30 rollback of a downtime that is done: all stop, restore, all start; never old beside new") {
    for (int acts = 0; acts < 2; acts++) {
        _cleanup_(world_freep) struct world *w = world_new(acts ? &acting : &downtime);
        require(world_begin(w) == 0);
        world_run(w, 60000);
        ended(w, VERDICT_DONE);
        check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
        world_run(w, 60000);
        ended(w, VERDICT_ROLLED_BACK);
        all_at(w, BARRIER_UP);
        if (acts)
            check_eq_int(world_effects(w, 0, "restore backup"), 1);
        for (unsigned i = 0; i < 4; i++)
            check_eq_int(world_effects(w, i, "stop back"), 1);
    }
}

TEST("F30 a start that is held, then rollback: the held one goes back with the others") {
    _cleanup_(world_freep) struct world *w = world_new(&acting);
    w->step = n2_does_not_start;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    require(the_run(w)->paused);
    w->agents[1].barrier = BARRIER_BEHIND; /* held is down */
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    all_at(w, BARRIER_UP);
}

TEST("F06 F30 the carrier of an action is gone for good: the run says so, and can be aborted") {
    _cleanup_(world_freep) struct world *w = world_new(&acting);
    w->step_ms = 50;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_STOPPED, 60000));
    check(world_member(w, RUN_EVENT_RETIRE, 0, "alice: its board burnt") == 0);
    world_run(w, 10000);
    check(the_run(w)->paused);
    check_contains(the_run(w)->pause_reason, "carries it");
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
    check_eq_int(n_at(w, BARRIER_UP), 3);
}

/* Its agent is cut off while it acts, and comes back when the engine has given up nothing. */
TEST("F30 the agent of an action is cut off in the middle: the run waits for what it says") {
    _cleanup_(world_freep) struct world *w = world_new(&acting);
    w->step_ms = 50;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_ACTING, 60000));
    world_agent_down(w, 1);
    time_passes(w, HOLD_MS + 1000); /* all have passed: they stay down */
    check_eq_int(n_at(w, BARRIER_BEHIND), 4);
    check_eq_int(world_effects(w, 1, "act format"), 1);
    world_agent_up(w, 1);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check_eq_int(world_effects(w, 1, "act format"), 1);
}

/* ---- every moment ---- */

TEST("F04 F30 the coordinator is killed after each record, before and after it sends: the downtime goes on") {
    for (unsigned at = 1; at < 200; at++)
        for (int before = 0; before < 2; before++) {
            _cleanup_(world_freep) struct world *w = world_new(&acting);
            w->quiet = true;
            w->crash_at = at;
            w->crash_before_send = before;
            require(world_begin(w) == 0 || w->crashed);
            if (engine_n_runs(w->engine) == 0)
                continue;
            world_run(w, 120000);
            if (!w->crashed)
                return;
            if (the_run(w)->verdict != VERDICT_DONE)
                test_fail(__FILE__, __LINE__, "killed after record %u: %s", at,
                          run_verdict_text(the_run(w)->verdict));
            all_at(w, BARRIER_STARTED);
            for (unsigned i = 0; i < 4; i++)
                check_eq_int(world_effects(w, i, "start"), 1);
            check_eq_int(world_effects(w, 0, "act backup"), 1);
            check_eq_int(world_effects(w, 1, "act format"), 1);
        }
}

static bool loses_the_nth(struct world *world) {
    return world->state-- == 0;
}

TEST("F04 F30 each order is lost with the line of its agent, which is back soon: the downtime goes on") {
    for (int lost = 0; lost < 18; lost++) {
        _cleanup_(world_freep) struct world *w = world_new(&acting);
        w->quiet = true;
        w->state = lost;
        w->loses = loses_the_nth;
        require(world_begin(w) == 0);
        time_passes(w, 2000);
        for (unsigned i = 0; i < 4; i++)
            if (w->agents[i].down)
                world_agent_up(w, i);
        world_run(w, 120000);
        ended(w, VERDICT_DONE);
        all_at(w, BARRIER_STARTED);
    }
}

TEST("F08 F30 abort after each record: what is before the point of no return runs the old generation") {
    for (unsigned at = 2; at < 90; at++) {
        _cleanup_(world_freep) struct world *w = world_new(&acting);
        w->quiet = true;
        require(world_begin(w) == 0);
        while (w->n_records < at && the_run(w)->state != RUN_ENDED && world_next(w, 100000))
            ;
        if (the_run(w)->state >= RUN_CLOSING)
            return;
        bool behind = w->agents[1].running[11] || w->agents[1].ended[11];
        check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
        world_run(w, 120000);
        ended(w, VERDICT_ABORTED);
        if (!behind)
            all_at(w, BARRIER_UP);
        else
            check_eq_int(n_at(w, BARRIER_STARTED) + n_at(w, BARRIER_BEHIND), 4);
        if (!behind)
            continue;
        check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
        world_run(w, 120000);
        ended(w, VERDICT_ROLLED_BACK);
        all_at(w, BARRIER_UP);
    }
}
