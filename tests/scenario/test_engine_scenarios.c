/* Transcripts of the engine: what it writes, orders and asks, compared with golden files that a person can read.
 * After a change that is meant: KEDGE_GOLDEN_WRITE=1 build/tests/scenario/test_engine_scenarios, then read the diff. */
#include "tests/unit/test.h"

#include "common/base/file.h"
#include "tests/scenario/world_checks.h"

static const struct world_config canary_rolling = {
    .n_members = 4,
    .n_canaries = 1,
    .members_per_domain = 2,
    .one_domain = true,
    .has_last = true,
    .side_action = true,
    .soak_ms = 300,
    .soak_read_only_ms = 500,
    .detection_ms = 100,
    .wait_limit_ms = 60000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

static void golden(struct world *w, const char *name) {
    char path[512];
    struct buffer wanted = {0};
    struct error err;
    snprintf(path, sizeof(path), "%s/golden/%s.txt", KEDGE_SCENARIO_FOLDER, name);
    if (getenv("KEDGE_GOLDEN_WRITE")) {
        FILE *f = fopen(path, "w");
        check(f && fwrite(w->transcript.data, 1, w->transcript.len, f) == w->transcript.len);
        if (f)
            fclose(f);
        return;
    }
    if (check(file_read(path, 1 << 20, &wanted, &err) == 0))
        check_eq_str((const char *)w->transcript.data, (const char *)wanted.data);
    buffer_deinit(&wanted);
}

/* ---- clean ---- */

/* As recipes say it: of all that lead, nobody is left without the one that is asked. */
static enum answer n2_leads(struct world *world, enum world_gate gate, unsigned node, const char *self) {
    (void)world, (void)node;
    return gate == GATE_LAST && strcmp(self, "10.0.0.2") != 0 ? ANSWER_NO : ANSWER_YES;
}

TEST("F16 F18 F32 a clean run: canary read-only, promoted, then rolling, the leader last") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->gate = n2_leads;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check_eq_int(w->max_in_change, 1);
    check_eq_str(world_run_of(w)->verdict_text, "4 of 4 members run 1.1");
    replay_equals(w);
    golden(w, "clean");
}

/* ---- a canary that fails ---- */

static enum outcome canary_returns(struct world *world, unsigned member, const char *step) {
    (void)world;
    return member == 0 && strcmp(step, "switch") == 0 ? OUTCOME_RETURNED : OUTCOME_DONE;
}

TEST("F05 F18 a canary that was returned ends the run, side actions are closed, no other member is touched") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = canary_returns;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    for (unsigned i = 1; i < 4; i++)
        check_eq_int(world_effects(w, i, "switch"), 0);
    check_contains(world_run_of(w)->verdict_text, "exit code 1");
    replay_equals(w);
    golden(w, "canary-returned");
}

static enum outcome canary_is_held(struct world *world, unsigned member, const char *step) {
    (void)world;
    return member == 0 && strcmp(step, "switch") == 0 ? OUTCOME_HELD : OUTCOME_DONE;
}

TEST("a canary that is held pauses the run with an alarm; resumed, the run ends as failed") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = canary_is_held;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "ALARM: shop/server@n1 is held");
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    check_eq_int(world_effects(w, 1, "switch"), 0);
    golden(w, "canary-held");
}

/* ---- may stop ---- */

static enum answer writable_later(struct world *world, enum world_gate gate, unsigned node,
                                  const char *self) {
    (void)node;
    if (gate == GATE_CLUSTER && strcmp(self, "10.0.0.1") == 0 && world->now_ms < 4000)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F01 F29 may stop: no, with the reason, then yes") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->gate = writable_later;
    require(world_begin(w) == 0);
    world_run(w, 2000);
    check_eq_int(world_effects(w, 0, "switch"), 0);
    struct why why;
    engine_explain(w->engine, world_run_of(w), 0, &why);
    check_eq_str(why.headline, "WAITS to stop");
    require(why.reasons.n > 0);
    check_eq_str(why.reasons.items[0].gate, "writable");
    check_eq_str(why.reasons.items[0].text, "2 would be left, 3 are needed");
    check_eq_int(why.reasons.items[0].answer, ANSWER_NO);
    check(why.since_ms > 1000 && why.limit_ms == why.since_ms + 60000);
    check_eq_str(why.then, "the run pauses, nothing else");
    why_deinit(&why);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    golden(w, "may-stop-later");
}

static enum answer one_prober_says_no(struct world *world, enum world_gate gate, unsigned node,
                                      const char *self) {
    (void)world;
    if (gate == GATE_CLUSTER && self[0] && node == 2)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F01 two probers of different domains are asked, and both must say yes") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->gate = one_prober_says_no;
    require(world_begin(w) == 0);
    world_run(w, 5000);
    check_eq_int(world_effects(w, 0, "switch"), 0);
    check(strstr((const char *)w->transcript.data, "ask      n2, may 10.0.0.1 stop?") != NULL);
    check(strstr((const char *)w->transcript.data, "ask      n3, may 10.0.0.1 stop?") != NULL);
}

TEST("F01 a silent agent is unknown: its run waits, takes no other member down, and pauses at the limit") {
    struct world_config config = canary_rolling;
    config.wait_limit_ms = 5000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    world_agent_down(w, 3);
    unsigned switched = world_effects(w, 1, "switch") + world_effects(w, 2, "switch");
    world_run(w, 60000);
    const struct run *run = world_run_of(w);
    check(run->paused);
    check_contains(run->pause_reason, "shop/server@n4: its agent: unknown: ");
    check(world_effects(w, 1, "switch") + world_effects(w, 2, "switch") <= switched + 1);
    check_eq_int(run->n_state[MEMBER_DONE] + run->n_state[MEMBER_PREPARED], 4);
    world_agent_up(w, 3);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    golden(w, "unknown-waits");
}

static enum outcome waits_twice(struct world *world, unsigned member, const char *step) {
    return member == 1 && strcmp(step, "switch") == 0 && world->state++ < 2 ? OUTCOME_WAITS : OUTCOME_DONE;
}

TEST("F01 the agent's own last question was not yes: the order is tried again, nothing was stopped") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = waits_twice;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check_eq_int(world_effects(w, 1, "switch"), 1);
    replay_equals(w);
}

static enum outcome n2_always_waits(struct world *world, unsigned member, const char *step) {
    return member == 1 && strcmp(step, "switch") == 0 && !world->state ? OUTCOME_WAITS : OUTCOME_DONE;
}

TEST("F01 F29 an agent that declines again and again while all others say yes: the run pauses at the limit") {
    struct world_config config = canary_rolling;
    config.wait_limit_ms = 5000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = n2_always_waits;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    require(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "shop/server@n2 has waited 5 s to stop");
    check_contains(world_run_of(w)->pause_reason, "its own agent's last question");
    w->state = 1;
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    replay_equals(w);
}

static enum answer n4_is_broken(struct world *world, enum world_gate gate, unsigned node, const char *self) {
    (void)self;
    if (gate == GATE_OLD && node == 3)
        return ANSWER_NO;
    (void)world;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F13 a member that is broken already goes first, and holds back nobody else's fix") {
    struct world_config config = canary_rolling;
    config.n_canaries = 0;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = n4_is_broken;
    require(world_begin(w) == 0);
    require(world_run_until(w, 3, MEMBER_SWITCHING, 60000));
    check_eq_int(
        world_effects(w, 0, "switch") + world_effects(w, 1, "switch") + world_effects(w, 2, "switch"), 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

/* ---- limits ---- */

static unsigned most_in_change(struct world_config config) {
    _cleanup_(world_freep) struct world *w = world_new(&config);
    if (!check(world_begin(w) == 0))
        return 0;
    world_run(w, 600000);
    ended(w, VERDICT_DONE);
    return w->max_in_change;
}

TEST("F14 F15 limits by count and by percent, and never two failure domains at once") {
    struct world_config config = {.n_members = 12, .members_per_domain = 4, .soak_ms = 200, .limit = 3};
    check_eq_int(most_in_change(config), 3);
    config.limit_percent = 17;
    check_eq_int(most_in_change(config), 2);
    config.limit_percent = 1;
    check_eq_int(most_in_change(config), 1);
    config.limit_percent = 0;
    config.limit = 12;
    config.one_domain = true;
    check_eq_int(most_in_change(config), 4);
}

/* What each of them holds the others do not, but writers need so many that only two can be spared. */
static enum answer spares_two(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    (void)node, (void)self;
    if (gate == GATE_CLUSTER && w->n_beside >= 2)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F01 F15 who stops together is asked for together: a domain of three of which two can be spared") {
    struct world_config config = {
        .n_members = 6, .members_per_domain = 3, .one_domain = true, .soak_ms = 200, .limit = 3};
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = spares_two;
    require(world_begin(w) == 0);
    world_run(w, 600000);
    ended(w, VERDICT_DONE);
    check_eq_int(w->max_stopping, 2);
    check_eq_int(w->max_in_change, 3); /* the third one goes while the others soak */
}

/* ---- the operator ---- */

TEST("F08 abort with a side action open: what is in flight finishes, the side action is closed, nothing else "
     "begins") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
    check(w->side_in_force);
    check(world_command(w, RUN_EVENT_ABORT, "alice: wrong ticket") == 0);
    check(world_command(w, RUN_EVENT_RESUME, "bob") == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "aborted");
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
    check_eq_int(world_effects(w, 2, "switch") + world_effects(w, 3, "switch"), 0);
    replay_equals(w);
    golden(w, "abort");
}

TEST("F08 abort does not wait for an agent that cannot be reached") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
    world_agent_down(w, 1);
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
    check_contains(world_run_of(w)->verdict_text, "shop/server@n2 is switching");
}

TEST("F08 paused: soaks count but nothing is promoted, leases go on; resumed, it goes on") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SOAKING_READ_ONLY, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "alice: lunch") == 0);
    unsigned leases = w->n_leases;
    world_run_until(w, 0, MEMBER_PROMOTING, 10000);
    check(world_run_of(w)->members[0].state == MEMBER_SOAKING_READ_ONLY &&
          world_run_of(w)->members[0].soaked);
    check(w->n_leases >= leases + 4);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    check_eq_str(member_state_text(world_run_of(w)->members[0].state), "soaking read-only");
    require(world_run_until(w, 0, MEMBER_PROMOTING, 5));
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

TEST("F21 F22 rollback in the middle: the signed way back in reverse order, the same gates, no canary") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    require(world_begin(w) == 0);
    require(world_run_until(w, 2, MEMBER_SWITCHING, 60000));
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    check_eq_int(world_effects(w, 0, "return"), 1);
    check_eq_int(world_effects(w, 1, "return"), 1);
    check_eq_int(world_effects(w, 2, "return"), 1);
    check_eq_int(world_effects(w, 3, "return"), 0);
    replay_equals(w);
    golden(w, "rollback");
}

TEST("F22 nothing is final: rollback of a run that has ended opens the side action through another member") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    for (unsigned i = 0; i < 4; i++)
        check_eq_int(world_effects(w, i, "return"), 1);
    check_eq_int(world_effects(w, 0, "open delay") + world_effects(w, 1, "open delay"), 2);
    replay_equals(w);
}

TEST("F22 while the order is under way that closes the way back, a rollback is refused; an abort is not") {
    struct world_config config = canary_rolling;
    config.way_back = WAY_BACK_UNTIL_START;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SWITCHING, 60000));
    check_eq_int(world_command(w, RUN_EVENT_ROLLBACK, "alice"), ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "cannot go back: its way back was \"until");
    check_eq_int(world_command(w, RUN_EVENT_ABORT, "alice"), 0);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
}

TEST("F22 a way back that is closed is said before anything is touched") {
    struct world_config config = canary_rolling;
    config.way_back = WAY_BACK_UNTIL_START;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SOAKING, 60000));
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "shop/server@n1 cannot go back");
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

/* ---- failures ---- */

static enum outcome n3_returns(struct world *world, unsigned member, const char *step) {
    (void)world;
    return member == 2 && strcmp(step, "switch") == 0 ? OUTCOME_RETURNED : OUTCOME_DONE;
}

TEST("F26 a rolling member that was returned pauses the run and reverts no other; resumed, the verdict says "
     "it failed") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = n3_returns;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    const struct run *run = world_run_of(w);
    check(run->paused);
    check_contains(run->pause_reason, "shop/server@n3 failed and was returned by its agent: it ended");
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    check_eq_int(run->n_state[MEMBER_DONE], 3);
    for (unsigned i = 0; i < 4; i++)
        check_eq_int(world_effects(w, i, "return"), 0);
    replay_equals(w);
}

static enum outcome n2_fails_once(struct world *world, unsigned member, const char *step) {
    return member == 1 && strcmp(step, "switch") == 0 && world->state++ == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F06 a failure that changed nothing is tried again by resume") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = n2_fails_once;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    replay_equals(w);
}

static enum outcome n4_has_no_room(struct world *world, unsigned member, const char *step) {
    (void)world;
    return member == 3 && strcmp(step, "prepare") == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F32 a member that cannot be prepared ends the run before the first stop") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = n4_has_no_room;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    check_eq_str(world_run_of(w)->verdict_text,
                 "shop/server@n4 could not be prepared, nothing was stopped: no room on the disk");
    for (unsigned i = 0; i < 4; i++)
        check_eq_int(world_effects(w, i, "switch"), 0);
    check_eq_int(world_effects(w, 0, "open delay"), 0);
}

static enum outcome side_fails(struct world *world, unsigned member, const char *step) {
    (void)world, (void)member;
    return strcmp(step, "open delay") == 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

TEST("F31 a side action that cannot be opened ends the run before the first stop, and is closed all the "
     "same") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->step = side_fails;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    check_eq_int(world_effects(w, 0, "switch"), 0);
    unsigned closed = 0;
    for (unsigned i = 0; i < 4; i++)
        closed += world_effects(w, i, "close delay");
    check_eq_int(closed, 1);
}

TEST("F31 a side action whose carrier is gone is closed by another") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SOAKING, 60000));
    check_eq_int(world_effects(w, 0, "open delay"), 1);
    world_agent_down(w, 0);
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
    check_eq_int(world_effects(w, 0, "close delay"), 0);
}

TEST("F31 a carrier that is away for a moment, after a restart of the coordinator, is waited for") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SOAKING, 60000));
    world_agent_down(w, 0);
    check(world_command(w, RUN_EVENT_ABORT, "alice") == 0);
    world_run(w, 2000);
    check(world_run_of(w)->state != RUN_ENDED);
    world_agent_up(w, 0);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
    check_eq_int(world_effects(w, 0, "close delay"), 1);
    for (unsigned i = 1; i < 4; i++)
        check_eq_int(world_effects(w, i, "close delay"), 0);
}

static enum answer n1_relapses(struct world *world, enum world_gate gate, unsigned node, const char *self) {
    (void)self;
    if (gate == GATE_NEW && node == 0 && world->state == 1)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F12 a member that was done stays watched, and its relapse pauses the run; one no is none") {
    struct world_config config = canary_rolling;
    config.soak_ms = 10000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = n1_relapses;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SOAKING, 60000));
    w->state = 1;
    world_run(w, 8000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "relapse: shop/server@n1 is done and was well: ");
    check_eq_int(world_effects(w, 2, "switch") + world_effects(w, 3, "switch"), 0);
}

static enum answer flaps(struct world *world, enum world_gate gate, unsigned node, const char *self) {
    (void)self;
    if (gate == GATE_RECOVERED && node != 0 && world->now_ms % 1000 < 300)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F02 F12 recovered must hold its detection time without a break: a flapping gate never passes") {
    struct world_config config = canary_rolling;
    config.detection_ms = 1000;
    config.wait_limit_ms = 30000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = flaps;
    require(world_begin(w) == 0);
    world_run(w, 20000);
    check_eq_str(member_state_text(world_run_of(w)->members[0].state), "recovering");
}

/* ---- what is refused ---- */

TEST("F25 what was not signed, was used, has expired or comes while a run is open is refused with a reason") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    require(world_begin(w) == 0);
    check(world_apply(w, 2) == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "run 1 holds it");
    world_run(w, 60000);
    check(world_apply(w, 1) == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "serial 1 was used");
    w->config.not_after_s = 1;
    check(world_apply(w, 2) == ENGINE_REFUSED);
    check_contains((const char *)w->refused.data, "has expired");
    w->config.not_after_s = 0;
    check(world_apply(w, 2) == 0);
}

TEST("F36 a plan is not begun before its time") {
    struct world_config config = canary_rolling;
    config.not_before_s = 10;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    world_run(w, 8900);
    check_eq_int(w->n_orders, 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

/* ---- the coordinator dies ---- */

static void at_most_once(const struct world *w, unsigned crash_at) {
    static const char *const steps[] = {"prepare", "switch",     "promote",
                                        "return",  "open delay", "close delay"};
    for (unsigned m = 0; m < w->config.n_members; m++)
        for (size_t s = 0; s < ARRAY_LEN(steps); s++)
            if (world_effects(w, m, steps[s]) > 1)
                test_fail(__FILE__, __LINE__, "crash at record %u: %s was done %u times by n%u", crash_at,
                          steps[s], world_effects(w, m, steps[s]), m + 1);
}

/* Dies when `crash_at` records are written; true when the scenario has so many. */
static bool crash_scenario(unsigned crash_at, bool before_send, world_step_fn *step, enum run_verdict verdict,
                           void (*middle)(struct world *)) {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    w->crash_at = crash_at;
    w->crash_before_send = before_send;
    w->step = step;
    if (!check(world_begin(w) == 0))
        return false;
    if (middle)
        middle(w);
    world_run(w, 120000);
    at_most_once(w, crash_at);
    const struct run *run = world_run_of(w);
    if (!run) /* it died before the run was in the journal: nothing had begun */
        return check(w->n_orders == 0);
    if (!check(run->state == RUN_ENDED && run->verdict == verdict && !w->side_in_force))
        test_fail(__FILE__, __LINE__, "crash at record %u: %s, %s", crash_at, run_state_text(run->state),
                  run_verdict_text(run->verdict));
    if (verdict == VERDICT_DONE)
        for (uint32_t i = 0; i < run->n_members; i++)
            check(world_effects(w, i, "switch") == 1 && run->members[i].n_stops == (i == 0 ? 2 : 1));
    replay_equals(w);
    return w->crashed;
}

TEST("F04 the coordinator dies at every record, before and after it sends: the run ends as a clean one") {
    unsigned n = 0;
    for (unsigned at = 1; crash_scenario(at, true, NULL, VERDICT_DONE, NULL); at++)
        n++;
    for (unsigned at = 1; crash_scenario(at, false, NULL, VERDICT_DONE, NULL); at++)
        n++;
    check(n > 60);
}

TEST("F04 F05 it dies at every record of a run whose canary is returned") {
    unsigned n = 0;
    for (unsigned at = 1; crash_scenario(at, true, canary_returns, VERDICT_FAILED, NULL); at++)
        n++;
    check(n > 15);
}

static void abort_in_the_middle(struct world *w) {
    if (world_run_of(w) && world_run_until(w, 1, MEMBER_SWITCHING, 60000))
        (void)!world_command(w, RUN_EVENT_ABORT, "alice");
}

TEST("F04 F08 F31 it dies at every record of a run that is aborted: the side action is closed") {
    unsigned n = 0;
    for (unsigned at = 1; crash_scenario(at, true, NULL, VERDICT_ABORTED, abort_in_the_middle); at++)
        n++;
    check(n > 20);
}

TEST("F04 the same records always fold to the same state") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    for (unsigned i = 0; i <= w->n_records; i++) {
        char *once = world_replay(w, i), *twice = world_replay(w, i);
        check_eq_str(once, twice);
        free(once);
        free(twice);
    }
}

/* ---- in words ---- */

TEST("F29 every state of a member has words for what it does and what follows") {
    _cleanup_(world_freep) struct world *w = world_new(&canary_rolling);
    bool seen[MEMBER_STATES] = {false};
    require(world_begin(w) == 0);
    for (bool back = false; world_run_of(w)->state != RUN_ENDED && world_next(w, 100000);) {
        if (!back && world_run_of(w)->members[2].state == MEMBER_RECOVERING) {
            back = true;
            check(world_command(w, RUN_EVENT_ROLLBACK, "alice") == 0);
        }
        for (unsigned i = 0; i < 4; i++) {
            struct why why;
            engine_explain(w->engine, world_run_of(w), i, &why);
            check(why.headline[0] && why.then[0] && why.since_ms > 0);
            seen[world_run_of(w)->members[i].state] = true;
            why_deinit(&why);
        }
    }
    check(seen[MEMBER_PREPARED] && seen[MEMBER_SWITCHING] && seen[MEMBER_SOAKING_READ_ONLY] &&
          seen[MEMBER_PROMOTING] && seen[MEMBER_SETTLING] && seen[MEMBER_SOAKING] && seen[MEMBER_DONE] &&
          seen[MEMBER_REVERTING] && seen[MEMBER_RECOVERING_BACK] && seen[MEMBER_BACK]);
}

/* ---- figures ---- */

TEST("a gate that says yes leads to the order in the same step: no polling delay at 3 and at 100 members") {
    for (unsigned n = 3; n <= 100; n += 97) {
        struct world_config config = {.n_members = n};
        _cleanup_(world_freep) struct world *w = world_new(&config);
        w->step_ms = 1;
        require(world_begin(w) == 0);
        uint64_t begun = w->now_ms;
        world_run(w, 600000);
        ended(w, VERDICT_DONE);
        uint64_t per_member = (w->now_ms - begun) / n;
        if (per_member > 4) /* the step, recovered and survey at once, two probers: a millisecond each */
            test_fail(__FILE__, __LINE__, "%u members: %llu ms each", n, (unsigned long long)per_member);
    }
}
