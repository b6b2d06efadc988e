/* Lessons that users of other systems paid for (PROMISES: what went wrong in those projects' trackers), one scenario each,
 * named after its number. The story of each lies in golden/, short enough to be read: what was asked of whom is left out.
 * After a change that is meant: KEDGE_GOLDEN_WRITE=1 build/tests/scenario/test_lessons, then read the diff.
 * The lessons about one member and its agent are in test_agent_core.c. */
#include "tests/unit/test.h"

#include "common/base/file.h"
#include "tests/scenario/world_checks.h"

static const struct world_config four = {
    .n_members = 4,
    .n_canaries = 1,
    .members_per_domain = 2,
    .one_domain = true,
    .side_action = true,
    .soak_ms = 300,
    .soak_read_only_ms = 500,
    .detection_ms = 100,
    .wait_limit_ms = 5000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

static const struct world_config rolling = {
    .n_members = 4,
    .members_per_domain = 2,
    .soak_ms = 300,
    .detection_ms = 100,
    .wait_limit_ms = 5000,
    .way_back = WAY_BACK_UNTIL_FINALIZE,
};

/* ---- the story: the transcript without what repeats ---- */

static bool is_told(const char *line) {
    static const char *const left_out[] = {"ask ",      "journal ",    "reign ", "lease ",
                                           ": prepare", "delay: done", "LATCH"};
    for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
        if (strstr(line, left_out[i]))
            return false;
    return true;
}

static void story(struct world *w, const char *name) {
    struct buffer told = {0}, wanted = {0};
    struct error err = {""};
    char path[512];
    for (char *line = (char *)w->transcript.data; *line;) {
        size_t len = strcspn(line, "\n");
        char *copy = strndup(line, len);
        if (copy && is_told(copy) && len > 11)
            buffer_format(&told, "%.7s s  %s\n", copy, copy + 11); /* tenths of a second are enough */
        free(copy);
        line += len + 1;
    }
    snprintf(path, sizeof(path), "%s/golden/%s.txt", KEDGE_SCENARIO_FOLDER, name);
    if (getenv("KEDGE_GOLDEN_WRITE") && file_write(path, buffer_bytes(&told), 0644, &err) < 0)
        printf("# %s\n", err.text);
    check(file_read(path, 1 << 20, &wanted, &err) == 0);
    check_eq_str((const char *)told.data, wanted.data ? (const char *)wanted.data : err.text);
    buffer_deinit(&told);
    buffer_deinit(&wanted);
}

static unsigned switched(const struct world *w) {
    unsigned n = 0;
    for (unsigned i = 0; i < w->config.n_members; i++)
        n += world_effects(w, i, "switch");
    return n;
}

/* ---- gates ---- */

static enum answer replicates_for_2_s(struct world *w, enum world_gate gate, unsigned node,
                                      const char *self) {
    (void)node, (void)self;
    if (gate == GATE_RECOVERED && w->state && w->now_ms < 3000)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F02 lesson_02_port_open_is_not_recovered") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = replicates_for_2_s;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_RECOVERING, 60000));
    w->state = 1;
    world_note(w, "n1 answers on its port; what it holds is copied again until 3.0 s");
    world_run(w, 1500);
    check_eq_int(switched(w), 1);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    story(w, "lesson_02_port_open_is_not_recovered");
}

static enum answer cannot_be_asked(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    (void)node, (void)self;
    if (gate == GATE_CLUSTER && w->state)
        return ANSWER_UNKNOWN;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F01 lesson_03_unknown_is_not_safe") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = cannot_be_asked;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    world_note(w, "from here on the cluster cannot be asked");
    w->state = 1;
    unsigned before = switched(w);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "unknown: the connection was refused");
    check_eq_int(switched(w), before);
    w->state = 0;
    world_note(w, "it answers again");
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    story(w, "lesson_03_unknown_is_not_safe");
}

static enum answer n1_relapses(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    (void)self;
    if (gate == GATE_NEW && node == 0 && w->state)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F12 F26 lesson_05_a_breach_counts_while_paused") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n1_relapses;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    check(world_command(w, RUN_EVENT_PAUSE, "alice: lunch") == 0);
    world_note(w, "n1, which was done, falls ill");
    w->state = 1;
    while (world_next(w, 6000))
        ;
    check_contains(world_run_of(w)->pause_reason, "relapse: shop/server@n1 is done and was well: ");
    unsigned before = switched(w);
    check(world_command(w, RUN_EVENT_RESUME, "alice: back, has not read it") == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_eq_int(switched(w), before);
    story(w, "lesson_05_a_breach_counts_while_paused");
}

static enum answer n1_flaps(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    (void)self;
    if (gate == GATE_NEW && node == 0 && w->now_ms % 1000 < 300)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F12 lesson_07_a_yes_now_and_then_does_not_set_the_deadline_back") {
    struct world_config config = rolling;
    config.detection_ms = 1000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = n1_flaps;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused && w->now_ms < 8000);
    check_contains(world_run_of(w)->pause_reason, "shop/server@n1 has not recovered for 5 s");
    check_eq_int(switched(w), 1);
    story(w, "lesson_07_a_yes_now_and_then_does_not_set_the_deadline_back");
}

static enum answer n3_is_needed(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    (void)w, (void)node;
    if (gate == GATE_CLUSTER && strcmp(self, "10.0.0.3") == 0)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F01 lesson_13_the_question_is_about_this_member_and_the_answer_names_what_blocks") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n3_is_needed;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "writable: no: 2 would be left, 3 are needed");
    check_eq_int(world_effects(w, 2, "switch"), 0);
    story(w, "lesson_13_the_answer_names_what_blocks");
}

TEST("F01 F06 lesson_13_one_gate_of_one_member_is_waived_and_nobody_elses") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n3_is_needed;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    require(world_run_of(w)->paused);
    world_note(w, "the waiver of another member helps n3 nothing");
    check_eq_int(world_waive(w, 3, "writable", 600000, "alice: nobody writes tonight"), 0);
    world_run(w, 20000);
    check_eq_int(world_effects(w, 2, "switch"), 0);
    world_note(w, "its own does");
    check_eq_int(world_waive(w, 2, "writable", 600000, "alice: nobody writes tonight"), 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    story(w, "lesson_13_a_waiver_is_for_one_member");
}

static enum answer n4_is_broken(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    (void)w, (void)self;
    return gate == GATE_LAST || (gate == GATE_OLD && node == 3) ? ANSWER_NO : ANSWER_YES;
}

TEST("F13 lesson_14_the_broken_member_goes_first") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->gate = n4_is_broken;
    require(world_begin(w) == 0);
    require(world_run_until(w, 3, MEMBER_SWITCHING, 60000));
    check_eq_int(switched(w), 1);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    story(w, "lesson_14_the_broken_member_goes_first");
}

static enum answer one_no(struct world *w, enum world_gate gate, unsigned node, const char *self) {
    (void)self;
    if (gate == GATE_NEW && node == 0 && w->state > 0 && w->state-- > 0)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F12 lesson_15_one_no_and_a_cut_line_are_no_relapse") {
    struct world_config config = rolling;
    config.soak_ms = 3000;
    config.wait_limit_ms = 60000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = one_no;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SOAKING, 60000));
    world_note(w, "n1, which is done, says no once");
    w->state = 1;
    world_run(w, 2500);
    world_note(w, "then its line is cut for ten seconds");
    world_agent_down(w, 0);
    world_run(w, 10000);
    check(!world_run_of(w)->paused);
    check_eq_int(world_run_of(w)->members[0].state, MEMBER_DONE);
    world_agent_up(w, 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    story(w, "lesson_15_one_no_and_a_cut_line_are_no_relapse");
}

TEST("F15 lesson_16_parallel_inside_a_domain_never_across") {
    struct world_config config = {
        .n_members = 6, .members_per_domain = 3, .one_domain = true, .soak_ms = 200, .limit = 4};
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check_eq_int(w->max_in_change, 3);
    story(w, "lesson_16_parallel_inside_a_domain_never_across");
}

static enum answer green_for_a_moment(struct world *w, enum world_gate gate, unsigned node,
                                      const char *self) {
    (void)node, (void)self;
    if (gate == GATE_RECOVERED && w->state && w->now_ms > 1800)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F02 lesson_20_green_is_held_longer_than_the_loss_takes_to_be_noticed") {
    struct world_config config = rolling;
    config.detection_ms = 2000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = green_for_a_moment;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_RECOVERING, 60000));
    world_note(w, "all is green; at 1.8 s the system will have noticed that data is gone");
    w->state = 1;
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_eq_int(switched(w), 1);
    story(w, "lesson_20_green_is_held_until_a_loss_would_be_known");
}

/* ---- operators ---- */

TEST("F08 lesson_06_abort_is_a_latch") {
    _cleanup_(world_freep) struct world *w = world_new(&four);
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_SWITCHING, 60000));
    check(world_command(w, RUN_EVENT_ABORT, "alice: wrong release") == 0);
    check(world_command(w, RUN_EVENT_RESUME, "bob") == ENGINE_REFUSED);
    for (unsigned i = 0; i < 4; i++)
        check(w->agents[i].latched);
    world_crash(w);
    check(world_run_of(w)->aborting);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
    check_eq_int(world_effects(w, 2, "switch") + world_effects(w, 3, "switch"), 0);
    story(w, "lesson_06_abort_is_a_latch");
}

static enum answer no_room_to_go_back(struct world *w, enum world_gate gate, unsigned node,
                                      const char *self) {
    (void)node;
    if (gate == GATE_CLUSTER && self[0] && w->state && w->now_ms < 6000)
        return ANSWER_NO;
    return gate == GATE_LAST ? ANSWER_NO : ANSWER_YES;
}

TEST("F21 lesson_11_rollback_asks_the_same_gates_and_skips_the_canary") {
    struct world_config config = four;
    config.wait_limit_ms = 60000;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = no_room_to_go_back;
    require(world_begin(w) == 0);
    require(world_run_until(w, 1, MEMBER_DONE, 60000));
    w->state = 1;
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice: clients complain") == 0);
    world_note(w, "until 6.0 s no member may stop");
    while (w->now_ms < 5900 && world_next(w, 5900))
        ;
    unsigned back = 0;
    for (unsigned i = 0; i < 4; i++)
        back += world_effects(w, i, "return");
    check_eq_int(back, 0);
    world_run(w, 60000);
    ended(w, VERDICT_ROLLED_BACK);
    check_eq_int(w->max_in_change, 1);
    story(w, "lesson_11_rollback_asks_the_same_gates");
}

/* ---- failures ---- */

static enum outcome n2_returns(struct world *w, unsigned member, const char *step) {
    (void)w;
    return member == 1 && strcmp(step, "switch") == 0 ? OUTCOME_RETURNED : OUTCOME_DONE;
}

TEST("F26 lesson_08_no_failure_is_in_the_budget_and_silence_is_named") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n2_returns;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason,
                   "shop/server@n2 failed and was returned by its agent: it ended");
    unsigned before = switched(w);
    world_agent_down(w, 3);
    check(world_command(w, RUN_EVENT_RESUME, "alice: n2 is looked at") == 0);
    world_run(w, 60000);
    check(world_run_of(w)->paused);
    check_contains(world_run_of(w)->pause_reason, "shop/server@n4: its agent: unknown: it is not connected");
    check(switched(w) <= before + 1);
    story(w, "lesson_08_no_failure_is_in_the_budget");
}

TEST("F04 lesson_09_journal_first_and_done_once") {
    unsigned n_records = 0;
    {
        _cleanup_(world_freep) struct world *clean = world_new(&rolling);
        require(world_begin(clean) == 0);
        require(world_run_until(clean, 0, MEMBER_SWITCHING, 60000));
        n_records = clean->n_records; /* the last one is the order to switch n1 */
    }
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->crash_at = n_records;
    w->crash_before_send = true;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    check(w->crashed);
    ended(w, VERDICT_DONE);
    for (unsigned i = 0; i < 4; i++)
        check_eq_int(world_effects(w, i, "switch"), 1);
    story(w, "lesson_09_journal_first_and_done_once");
}

static enum outcome first_returns(struct world *w, unsigned member, const char *step) {
    (void)w;
    return member == 0 && strcmp(step, "switch") == 0 ? OUTCOME_RETURNED : OUTCOME_DONE;
}

TEST("F05 lesson_12_the_first_bad_member_is_returned_and_nobody_else_is_touched") {
    _cleanup_(world_freep) struct world *w = world_new(&four);
    w->step = first_returns;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    check_eq_int(switched(w), 1);
    story(w, "lesson_12_the_first_bad_member_is_returned");
}

TEST("F06 lesson_10_a_hold_has_a_holder_and_ends_by_itself") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    require(world_begin(w) == 0);
    check_eq_int(world_hold(w, 1, 30000, "carol: new disk"), 0);
    world_run(w, 20000);
    check_eq_int(world_effects(w, 1, "switch"), 0);
    check(world_run_of(w)->state != RUN_ENDED);
    world_note(w, "nobody says anything; the hold is over");
    world_run(w, 60000);
    check_eq_int(world_effects(w, 1, "switch"), 1);
    ended(w, VERDICT_DONE);
    story(w, "lesson_10_a_hold_ends_by_itself");
}

TEST("F09 lesson_19_one_agent_cannot_speak_for_another") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_SWITCHING, 60000));
    world_note(w, "n4 reports in the name of n1: done");
    struct event lie = {
        .kind = EVENT_REPORT,
        .now_ms = w->now_ms,
        .node = "n4",
        .report = {.cluster = "shop",
                   .serial = 1,
                   .member = "shop/server@n1",
                   .step = "switch",
                   .outcome = OUTCOME_DONE,
                   .reason = "",
                   .version = "1.1",
                   .mode = MODE_READ_WRITE},
    };
    struct actions actions = {0};
    check(engine_step(w->engine, &lie, &actions) == ENGINE_REFUSED);
    check_eq_int(actions.n, 0);
    check_eq_int(world_run_of(w)->members[0].state, MEMBER_SWITCHING);
    actions_deinit(&actions);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    story(w, "lesson_19_one_agent_cannot_speak_for_another");
}

/* ---- newer plans ---- */

static void next_supersedes(struct verified_plan *plan) {
    plan->header.supersedes = plan->header.serial - 1;
}

static enum answer never_in_the_first(struct world *w, enum world_gate gate, unsigned node,
                                      const char *self) {
    (void)node, (void)self;
    bool wedged = gate == GATE_CLUSTER && w->state && engine_n_runs(w->engine) == 1;
    return gate == GATE_LAST || wedged ? ANSWER_NO : ANSWER_YES;
}

TEST("F06 lesson_01_a_newer_plan_overtakes_a_roll_that_is_wedged") {
    struct world_config config = rolling;
    config.amend = next_supersedes;
    config.side_action = true;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->gate = never_in_the_first;
    require(world_begin(w) == 0);
    require(world_run_until(w, 0, MEMBER_DONE, 60000));
    w->state = 1;
    world_run(w, 60000);
    require(world_run_of(w)->paused);
    check_eq_int(switched(w), 1);
    world_note(w, "nobody may stop any more, and resuming does not help: the plan itself is wrong");
    check(world_command(w, RUN_EVENT_RESUME, "alice") == 0);
    world_run(w, 60000);
    require(world_run_of(w)->paused);
    require(world_apply(w, 2) == 0);
    world_run(w, 60000);
    check_eq_int(engine_run(w->engine, 1)->verdict, VERDICT_SUPERSEDED);
    ended(w, VERDICT_DONE);
    story(w, "lesson_01_a_newer_plan_overtakes");
}

/* The second plan is the one that finalizes: nothing is stopped by it, and no way leads back. */
static void second_finalizes(struct verified_plan *plan) {
    for (size_t i = 0; plan->header.serial == 2 && i < plan->n_orders; i++) {
        struct work_order *order = arena_copy(plan->arena, plan->orders[i], sizeof(*order));
        struct step *steps =
            order ? arena_copy(plan->arena, order->steps, order->n_steps * sizeof(*steps)) : NULL;
        struct row *run = arena_array(plan->arena, 1, sizeof(*run));
        if (!steps || !run)
            abort();
        run->primitive = PRIMITIVE_RUN;
        for (size_t k = 0; k < order->n_steps; k++)
            if (steps[k].verb == VERB_SWITCH)
                steps[k] = (struct step){"switch", VERB_FINALIZE, run, 1};
        order->steps = steps;
        order->way_back = WAY_BACK_NEVER;
        ((const struct work_order **)(uintptr_t)plan->orders)[i] = order;
    }
}

TEST("F22 lesson_17_finalize_is_never_automatic") {
    struct world_config config = four;
    config.amend = second_finalizes;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    world_note(w, "a day goes by: all run 1.1, and nothing was finalized by it");
    w->now_ms += 24 * 3600 * 1000;
    for (uint32_t i = 0; i < 4; i++)
        check(member_state_is_changed(world_run_of(w)->members[i].state)); /* each could still be returned */
    world_note(w, "finalizing is a plan of its own, which operators sign");
    w->config.n_canaries = 0;
    w->config.side_action = false;
    require(world_apply(w, 2) == 0);
    world_run(w, 60000);
    check_eq_str(run_verdict_text(world_run_of(w)->verdict),
                 "done"); /* the world's replay knows one shape of plan */
    check_contains(world_run_of(w)->verdict_text, "finalized, no way leads back");
    check(world_command(w, RUN_EVENT_ROLLBACK, "alice: clients complain") == ENGINE_REFUSED);
    check_contains((const char *)w->actions.refused, "cannot go back: its way back was \"never\"");
    story(w, "lesson_17_finalize_is_never_automatic");
}

/* ---- what failed before ---- */

static void third_lifts(struct verified_plan *plan) {
    static const struct digest release = {{0x40}};
    plan->header.lifts = &release;
    plan->header.n_lifts = plan->header.serial == 3;
}

static enum outcome first_run_returns_n1(struct world *w, unsigned member, const char *step) {
    bool fails = engine_n_runs(w->engine) == 1 && member == 0 && strcmp(step, "switch") == 0;
    return fails ? OUTCOME_RETURNED : OUTCOME_DONE;
}

TEST("F06 lesson_18_a_release_that_failed_is_not_tried_again_before_somebody_has_signed_for_it") {
    struct world_config config = four;
    config.amend = third_lifts;
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->step = first_run_returns_n1;
    w->blames = true;
    require(world_begin(w) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    world_note(w, "the next night, after a restart, a plan is applied with the same release");
    world_crash(w);
    check_eq_int(world_apply(w, 2), ENGINE_REFUSED);
    check_contains(w->actions.refused, "is quarantined: it failed on shop/server@n1 in run 1: it ended");
    world_note(w, w->actions.refused);
    check_eq_int(engine_n_runs(w->engine), 1);
    world_note(w, "operators have found the fault on n1 and sign a plan that may try it again");
    require(world_apply(w, 3) == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
    check_eq_int(engine_n_quarantines(w->engine), 0);
    story(w, "lesson_18_a_release_that_failed_is_quarantined");
}

static enum outcome n1_remembers(struct world *w, unsigned member, const char *step) {
    (void)w;
    return member == 0 && strcmp(step, "prepare") == 0 ? OUTCOME_QUARANTINED : OUTCOME_DONE;
}

TEST("F26 lesson_18_an_agent_remembers_what_its_coordinator_has_lost") {
    _cleanup_(world_freep) struct world *w = world_new(&rolling);
    w->step = n1_remembers;
    world_note(w, "this coordinator was restored from before the failure; n1 was there");
    require(world_begin(w) == 0);
    world_run(w, 60000);
    const struct run *run = world_run_of(w);
    check(run->paused && run->count.n[BUDGET_QUARANTINED] == 1 && run->count.n[BUDGET_FAILED] == 0);
    check_contains(run->pause_reason, "shop/server@n1 is refused by its agent: it failed here before");
    check_contains(run->pause_reason, "budget: 1 quarantined in the run, 0 allowed");
    check_eq_int(switched(w), 0);
    check(world_command(w, RUN_EVENT_ABORT, "alice: then not") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_ABORTED);
    world_note(w, "and from now on this coordinator knows it as well");
    check_eq_int(world_apply(w, 2), ENGINE_REFUSED);
    world_note(w, w->actions.refused);
    story(w, "lesson_18_an_agent_remembers");
}
