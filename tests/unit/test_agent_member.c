#include "tests/unit/test.h"

#include "agent/core/acceptance.h"
#include "tests/unit/machine_world.h"

#include <signal.h>

/* ---- one member's order: prepare, switch, promote, return, open and close ---- */

static struct check nothing;
static struct argument argument = {.text = "/bin/true"};
static struct command command = {.arguments = &argument, .n_arguments = 1, .deadline_ms = 1000};

static const struct row prepare_rows[] = {{.primitive = PRIMITIVE_STAGE, .generation = 1},
                                          {.primitive = PRIMITIVE_RENDER, .generation = 1}};
static const struct row switch_rows[] = {
    ASK(.sample = SAMPLE_CAPTURE),
    {.primitive = PRIMITIVE_STOP, .signal = SIGTERM, .deadline_ms = 5000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_SWAP, .generation = 1, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_START,
     .generation = 1,
     .deadline_ms = 2000,
     .hard_cap_ms = 9000,
     .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_OBSERVE,
     .generation = 1,
     .deadline_ms = 1000,
     .hard_cap_ms = 5000,
     .on_failure = ON_FAILURE_RETURN},
    ASK(.deadline_ms = 1000, .hold_ms = 50, .on_failure = ON_FAILURE_RETURN),
    ASK(.sample = SAMPLE_COMPARE, .deadline_ms = 1000, .on_failure = ON_FAILURE_HOLD),
};
static const struct row promote_rows[] = {
    {.primitive = PRIMITIVE_RUN, .command = &command, .done_if = &nothing, .on_failure = ON_FAILURE_RETURN}};
static const struct row return_rows[] = {
    ASK(.on_failure = ON_FAILURE_STOP),
    {.primitive = PRIMITIVE_STOP, .signal = SIGTERM, .deadline_ms = 5000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_SWAP, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_START, .deadline_ms = 2000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_OBSERVE, .deadline_ms = 1000, .on_failure = ON_FAILURE_RETURN},
    ASK(.deadline_ms = 1000, .on_failure = ON_FAILURE_RETURN),
};
static const struct row act_rows[] = {{.primitive = PRIMITIVE_RUN, .command = &command, .done_if = &nothing}};
static const struct step steps[] = {
    STEP("prepare", VERB_PREPARE, prepare_rows), STEP("switch", VERB_SWITCH, switch_rows),
    STEP("promote", VERB_PROMOTE, promote_rows), STEP("return", VERB_REVERT, return_rows),
    STEP("open delay", VERB_ACT, act_rows),      STEP("close delay", VERB_ACT, act_rows)};
static const struct generation generation = {.mode = MODE_READ_WRITE};
static const struct lease lease = {.name = "delay", .close_step = "close delay"};
static struct work_order order = {.serial = 7,
                                  .member = "c/m@n",
                                  .steps = steps,
                                  .n_steps = 6,
                                  .generations = &generation,
                                  .n_generations = 1,
                                  .leases = &lease,
                                  .n_leases = 1,
                                  .way_back = WAY_BACK_UNTIL_FINALIZE};

static const struct step *step_named(const char *name) {
    return work_order_step(&order, name);
}

static void do_step(struct world *w, const char *name) {
    world_run(
        w, (struct machine_event){
               .kind = MACHINE_EVENT_ORDER, .now_us = w->now_us, .order = &order, .step = step_named(name)});
}

static void restart(struct world *w, bool same_boot, const char *step) {
    w->dead = false;
    w->die_at_row = w->die_after_row = -1;
    bool open = w->kept.state != MACHINE_IDLE && w->kept.state != MACHINE_HELD;
    struct machine_record record = same_boot ? w->kept : w->synced;
    open = record.outcome == OUTCOME_NONE && record.state != MACHINE_IDLE && record.state != MACHINE_HELD;
    if (!same_boot)
        w->running = false;
    machine_init(&w->m, &record, open ? &order : NULL, open ? step_named(step) : NULL);
    world_run(w, (struct machine_event){.kind = MACHINE_EVENT_RECOVERED,
                                        .now_us = w->now_us,
                                        .same_boot = same_boot,
                                        .running = w->running,
                                        .other = w->other,
                                        .running_generation = w->running_generation});
}

/* ---- the table ---- */

TEST("every primitive has a complete row") {
    for (int i = 0; i < PRIMITIVES; i++) {
        const struct primitive_rule *rule = primitive_rule((enum primitive)i);
        check(rule->last_return && rule->last_return[0]);
        check(rule->deadline_ms > 0);
        check(!rule->latched || rule->changes);
        check(rule->poll_first_us <= rule->poll_last_us);
        /* what only looks or writes beside is never undone by a crash of the agent */
        check(rule->changes || rule->agent_died == CRASH_REDO);
    }
    check_eq_int(primitive_rule(PRIMITIVE_STOP)->before, DURABLE_SYNCED);
}

TEST("F07 a switch is done, with one sync before the stop and one at the end") {
    struct world w;
    world_init(&w);
    do_step(&w, "switch");
    check_eq_int(w.outcome, OUTCOME_DONE);
    check_eq_int(w.n_signals, 1);
    check_eq_int(w.n_starts, 1);
    check_eq_int(w.running_generation, 1);
    check_eq_int(w.m.record.generation, 1);
    check_eq_int(w.m.record.state, MACHINE_IDLE);
    check(w.m.record.started_new && w.m.record.promoted);
}

TEST("between stop and proof nothing is synced") {
    struct world w;
    world_init(&w);
    struct machine_event event = {
        .kind = MACHINE_EVENT_ORDER, .now_us = 1, .order = &order, .step = step_named("switch")};
    unsigned n_syncs = 0;
    int synced_row[8];
    for (int i = 0; i < 100; i++) {
        struct machine_actions actions;
        machine_step(&w.m, &event, &actions);
        for (size_t k = 0; k < actions.n; k++)
            if (actions.items[k].kind == MACHINE_ACTION_JOURNAL && actions.items[k].sync)
                synced_row[n_syncs++] =
                    actions.items[k].record.outcome ? -1 : (int)actions.items[k].record.row;
        if (!world_perform(&w, &actions, &event)) {
            if (!machine_is_busy(&w.m))
                break;
            event = (struct machine_event){.kind = MACHINE_EVENT_TIME,
                                           .now_us = w.now_us = machine_next_deadline(&w.m)};
        }
    }
    check_eq_int(n_syncs, 2);
    check_eq_int(synced_row[0], 1);
    check_eq_int(synced_row[1], -1);
}

TEST("F01 may-stop that is not yes leaves everything as it is") {
    for (int answer = ANSWER_NO; answer <= ANSWER_UNKNOWN; answer++) {
        struct world w;
        world_init(&w);
        w.bad = PRIMITIVE_ASK;
        w.bad_answer = (enum answer)answer;
        w.bad_times = -1;
        do_step(&w, "switch");
        check_eq_int(w.outcome, OUTCOME_WAITS);
        check_eq_int(w.n_signals, 0);
        check_contains(w.reason, "as told");
    }
}

TEST("F05 F27 each row that fails after the stop brings the old one back") {
    static const enum primitive bad[] = {PRIMITIVE_SWAP, PRIMITIVE_START, PRIMITIVE_OBSERVE};
    for (size_t i = 0; i < 3; i++)
        for (int fails = 0; fails < 2; fails++) {
            struct world w;
            world_init(&w);
            w.bad = bad[i];
            w.bad_answer = ANSWER_NO;
            w.bad_fails = fails;
            w.bad_times = -1;
            do_step(&w, "switch");
            check_eq_int(w.outcome, OUTCOME_RETURNED);
            check(w.running);
            check_eq_int(w.running_generation, 0);
            check_eq_int(w.m.record.state, MACHINE_IDLE);
            check_contains(w.reason, "as told");
        }
}

TEST("F05 past the way back it is kept, with an alarm, and not touched") {
    struct world w;
    world_init(&w);
    order.way_back = WAY_BACK_UNTIL_START;
    w.bad = PRIMITIVE_OBSERVE;
    w.bad_answer = ANSWER_NO;
    w.bad_times = -1;
    do_step(&w, "switch");
    check_eq_int(w.outcome, OUTCOME_HELD);
    check_eq_int(w.n_alarms, 1);
    check_eq_int(w.n_starts, 1);
    check(w.running);
    check_eq_int(w.m.record.state, MACHINE_HELD);
    check_contains(w.reason, "way back is closed");
    /* nothing but a newer plan gets through, and the return is closed too */
    do_step(&w, "promote");
    check_eq_int(w.outcome, OUTCOME_REFUSED);
    do_step(&w, "return");
    check_eq_int(w.outcome, OUTCOME_REFUSED);
    check_eq_int(w.m.record.state, MACHINE_HELD);
    w.bad_times = 0;
    do_step(&w, "close delay"); /* an act for the cluster does not free it */
    check_eq_int(w.outcome, OUTCOME_DONE);
    check_eq_int(w.m.record.state, MACHINE_HELD);
    order.serial = 8;
    do_step(&w, "switch");
    check_eq_int(w.outcome, OUTCOME_DONE);
    check_eq_int(w.m.record.state, MACHINE_IDLE);
    order.serial = 7;
    order.way_back = WAY_BACK_UNTIL_FINALIZE;
}

/* The switch comes up to the read-back, and that says no. */
static void lose_data(struct world *w) {
    world_init(w);
    struct machine_event event = {
        .kind = MACHINE_EVENT_ORDER, .now_us = 1, .order = &order, .step = step_named("switch")};
    for (int i = 0; i < 200; i++) {
        struct machine_actions actions;
        machine_step(&w->m, &event, &actions);
        if (world_perform(w, &actions, &event)) {
            const struct row *row = row_now(&w->m);
            if (row && row->sample == SAMPLE_COMPARE && w->m.record.state == MACHINE_FORWARD) {
                event.answer = ANSWER_NO;
                event.reason = "3 of 40 are gone";
            }
            continue;
        }
        if (!machine_is_busy(&w->m))
            break;
        event = (struct machine_event){.kind = MACHINE_EVENT_TIME,
                                       .now_us = w->now_us = machine_next_deadline(&w->m)};
    }
}

TEST("lost data stops the new one at once, neither promoted nor returned") {
    struct world w;
    lose_data(&w);
    check_eq_int(w.outcome, OUTCOME_HELD);
    check(!w.running);
    check_eq_int(w.n_signals, 2);
    check_eq_int(w.n_starts, 1);
    check_eq_str(w.reason, "3 of 40 are gone");
}

TEST("F06 a held member is freed by a newer plan, which begins with its preparation, and by no step of its "
     "own") {
    struct world w;
    lose_data(&w);
    check(machine_refuses(&w.m, &order, step_named("switch")) != NULL);
    order.serial++;
    do_step(&w, "prepare");
    check_eq_int(w.outcome, OUTCOME_DONE);
    check_eq_int(w.m.record.state, MACHINE_HELD); /* nothing is proven yet */
    check(machine_refuses(&w.m, &order, step_named("switch")) == NULL);
    order.serial--;
}

TEST("an end that nobody asked for fails the step, exit code 0 included") {
    struct world w;
    world_init(&w);
    w.bad = PRIMITIVE_OBSERVE;
    w.bad_answer = ANSWER_NO;
    w.bad_times = -1;
    struct machine_event event = {
        .kind = MACHINE_EVENT_ORDER, .now_us = 1, .order = &order, .step = step_named("switch")};
    for (int i = 0; i < 8; i++) {
        struct machine_actions actions;
        machine_step(&w.m, &event, &actions);
        if (!world_perform(&w, &actions, &event))
            break;
        if (row_now(&w.m)->primitive == PRIMITIVE_OBSERVE)
            break;
    }
    require(row_now(&w.m)->primitive == PRIMITIVE_OBSERVE);
    w.running = false;
    world_run(
        &w, (struct machine_event){.kind = MACHINE_EVENT_ENDED, .now_us = w.now_us, .reason = "exit code 0"});
    check_eq_int(w.outcome, OUTCOME_RETURNED);
    check_contains(w.reason, "exit code 0");
    check_eq_int(w.running_generation, 0);
}

/* Up to the row of this primitive, which is begun and not answered. */
static void begin_until(struct world *w, enum primitive primitive) {
    struct machine_event event = {
        .kind = MACHINE_EVENT_ORDER, .now_us = 1, .order = &order, .step = step_named("switch")};
    for (int i = 0; i < 100; i++) {
        struct machine_actions actions;
        machine_step(&w->m, &event, &actions);
        if (row_now(&w->m)->primitive == primitive)
            return;
        if (!world_perform(w, &actions, &event))
            event = (struct machine_event){.kind = MACHINE_EVENT_TIME,
                                           .now_us = w->now_us = machine_next_deadline(&w->m)};
    }
    abort();
}

static void at_time(struct world *w, enum machine_event_kind kind, uint64_t now_us,
                    struct machine_actions *actions) {
    w->now_us = now_us;
    machine_step(&w->m, &(struct machine_event){.kind = kind, .now_us = now_us}, actions);
}

/* The deadline is `deadline_us` and the cap `cap_us` after the row began; a line of progress comes every half deadline. */
static void check_follows_progress(enum primitive primitive, uint64_t deadline_us, uint64_t cap_us) {
    struct world w;
    struct machine_actions actions;
    world_init(&w);
    begin_until(&w, primitive);
    uint64_t begun_us = w.now_us;
    check_eq_int(machine_next_deadline(&w.m), begun_us + deadline_us);
    for (uint64_t t = deadline_us / 2; t < cap_us; t += deadline_us / 2) {
        at_time(&w, MACHINE_EVENT_TIME, begun_us + t, &actions);
        check_eq_int(w.m.record.state, MACHINE_FORWARD);
        at_time(&w, MACHINE_EVENT_PROGRESS, begun_us + t, &actions);
    }
    at_time(&w, MACHINE_EVENT_TIME, begun_us + cap_us, &actions);
    check_eq_int(w.m.record.state, MACHINE_RETURNING);
    check_contains(w.m.record.reason,
                   primitive == PRIMITIVE_START ? "the most that it is given" : "observe took longer");
}

TEST("a start that makes progress is left alone until its hard cap, also when it only listens yet") {
    check_follows_progress(PRIMITIVE_START, 2000000, 9000000);
    check_follows_progress(PRIMITIVE_OBSERVE, 1000000, 5000000);
}

TEST("a start that hangs is returned at its deadline, counted from the last progress") {
    struct world w;
    struct machine_actions actions;
    world_init(&w);
    begin_until(&w, PRIMITIVE_START);
    uint64_t begun_us = w.now_us;
    at_time(&w, MACHINE_EVENT_PROGRESS, begun_us + 1500000, &actions);
    at_time(&w, MACHINE_EVENT_TIME, begun_us + 3499999, &actions);
    check_eq_int(w.m.record.state, MACHINE_FORWARD);
    at_time(&w, MACHINE_EVENT_TIME, begun_us + 3500000, &actions);
    check_eq_int(w.m.record.state, MACHINE_RETURNING);
    check_contains(w.m.record.reason, "without progress");
}

TEST("F08 abort before the stop changes nothing, closings go on, the way back stays open") {
    struct world w;
    world_init(&w);
    struct machine_actions actions;
    machine_step(&w.m,
                 &(struct machine_event){
                     .kind = MACHINE_EVENT_ORDER, .now_us = 1, .order = &order, .step = step_named("switch")},
                 &actions);
    uint32_t op = actions.items[actions.n - 1].op;
    machine_step(&w.m, &(struct machine_event){.kind = MACHINE_EVENT_LATCH}, &actions);
    world_run(&w, (struct machine_event){.kind = MACHINE_EVENT_ANSWER, .op = op, .now_us = 2});
    check_eq_int(w.outcome, OUTCOME_FAILED);
    check_eq_int(w.n_signals, 0);
    check_contains(w.reason, "aborted");
    world_run(&w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                         .order = &order,
                                         .step = step_named("switch"),
                                         .latched = true,
                                         .now_us = 3});
    check_eq_int(w.outcome, OUTCOME_REFUSED);
    world_run(&w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                         .order = &order,
                                         .step = step_named("close delay"),
                                         .latched = true,
                                         .now_us = 3});
    check_eq_int(w.outcome, OUTCOME_DONE);
    world_run(&w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                         .order = &order,
                                         .step = step_named("return"),
                                         .latched = true,
                                         .now_us = 3});
    check_eq_int(w.outcome, OUTCOME_DONE);
}

/* ---- what other hands have done already ---- */

/* Other hands have started generation 1, and the switch to it is ordered. */
static void order_what_runs(struct world *w) {
    w->running = true;
    w->running_generation = 1;
    world_run(w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                        .now_us = w->now_us,
                                        .order = &order,
                                        .step = step_named("switch"),
                                        .runs_already = true});
}

TEST("F06 what other hands have started already is proven, and neither stopped nor started") {
    struct world w;
    world_init(&w);
    order_what_runs(&w);
    check_eq_int(w.outcome, OUTCOME_DONE);
    check_eq_int(w.n_signals + w.n_starts, 0);
    check_eq_int(w.m.record.generation, 1);
    check(w.m.record.started_new && w.m.record.promoted); /* the data has met the new release */
    do_step(&w, "return");
    check_eq_int(w.outcome, OUTCOME_DONE);
    check_eq_int(w.running_generation, 0);
}

TEST("F06 what other hands have started and cannot be proven is left as it is") {
    static const struct {
        unsigned bad;
        enum outcome outcome;
    } cases[] = {{PRIMITIVE_START, OUTCOME_FAILED},
                 {PRIMITIVE_OBSERVE, OUTCOME_FAILED},
                 {PRIMITIVE_ASK, OUTCOME_WAITS}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world w;
        world_init(&w);
        w.bad = cases[i].bad;
        w.bad_answer = ANSWER_NO;
        w.bad_times = -1;
        order_what_runs(&w);
        check_eq_int(w.outcome, cases[i].outcome);
        check_eq_int(w.n_signals + w.n_starts, 0);
        check(w.running && w.running_generation == 1);
        check_eq_int(w.m.record.state, MACHINE_IDLE);
        check(
            acceptance_needs_facts(&w.m.record, &order, step_named("switch"))); /* before it is tried again */
    }
}

TEST("F06 F27 an agent that dies while it proves what others started starts nothing in its place") {
    for (int row = 3; row < 7; row++) {
        struct world w;
        world_init(&w);
        w.die_at_row = row;
        order_what_runs(&w);
        require(w.dead);
        w.running = row % 2 == 0; /* its owner may have stopped it meanwhile */
        restart(&w, true, "switch");
        check_eq_int(w.outcome, OUTCOME_WAITS);
        check_eq_int(w.n_signals + w.n_starts, 0);
    }
}

TEST("a stop that is too slow is killed, and one that never ends is reported") {
    struct world w;
    world_init(&w);
    struct machine_actions actions;
    struct machine_event answer;
    machine_step(&w.m,
                 &(struct machine_event){
                     .kind = MACHINE_EVENT_ORDER, .now_us = 1, .order = &order, .step = step_named("switch")},
                 &actions);
    require(world_perform(&w, &actions, &answer));
    machine_step(&w.m, &answer, &actions); /* the stop is out, and is not answered */
    uint32_t op = actions.items[actions.n - 1].op;
    uint64_t due = machine_next_deadline(&w.m);
    machine_step(&w.m, &(struct machine_event){.kind = MACHINE_EVENT_TIME, .now_us = due}, &actions);
    require(actions.n == 1);
    check_eq_int(actions.items[0].kind, MACHINE_ACTION_KILL);
    world_run(&w, (struct machine_event){.kind = MACHINE_EVENT_ANSWER, .op = op, .now_us = due + 10});
    check_eq_int(w.outcome, OUTCOME_DONE);
}

TEST("old evidence puts the stop off, three times at most") {
    struct world w;
    world_init(&w);
    struct machine_event event = {
        .kind = MACHINE_EVENT_ORDER, .now_us = 1, .order = &order, .step = step_named("switch")};
    unsigned n_stale = 0;
    for (int i = 0; i < 50; i++) {
        struct machine_actions actions;
        machine_step(&w.m, &event, &actions);
        const struct row *row = row_now(&w.m);
        if (row && row->primitive == PRIMITIVE_STOP) {
            check(actions.items[actions.n - 1].not_after_us == 600);
            event = (struct machine_event){
                .kind = MACHINE_EVENT_STALE, .op = actions.items[actions.n - 1].op, .now_us = 700};
            n_stale++;
            continue;
        }
        if (!world_perform(&w, &actions, &event))
            break;
        event.now_us = 200;
        event.age_us = 100;
        event.limit_us = 500;
    }
    check_eq_int(n_stale, 4);
    check_eq_int(w.outcome, OUTCOME_WAITS);
    check_eq_int(w.n_signals, 0);
}

/* ---- every pair ---- */

static void feed_all(const struct member_machine *from) {
    for (int kind = 0; kind < MACHINE_EVENTS; kind++)
        for (int answer = 0; answer < ANSWERS; answer++)
            for (int right_op = 0; right_op < 2; right_op++)
                for (size_t s = 0; s < 6; s++) {
                    struct member_machine m = *from;
                    struct machine_actions actions;
                    struct machine_event event = {.kind = (enum machine_event_kind)kind,
                                                  .now_us = 1000000000,
                                                  .op = m.op + !right_op,
                                                  .answer = (enum answer)answer,
                                                  .order = &order,
                                                  .step = &steps[s],
                                                  .reason = "told"};
                    machine_step(&m, &event, &actions); /* the invariant is asserted inside */
                    check(actions.n <= MACHINE_ACTIONS_MAX);
                    if (!right_op && (kind == MACHINE_EVENT_ANSWER || kind == MACHINE_EVENT_FAILED ||
                                      kind == MACHINE_EVENT_STALE))
                        check_eq_int(actions.n, 0);
                    for (size_t i = 0; i < actions.n; i++)
                        if (actions.items[i].kind ==
                            MACHINE_ACTION_EXECUTE) /* never without its intent, but for asking again */
                            check(actions.items[i].attempt > 0 ||
                                  (i > 0 && (actions.items[i - 1].kind == MACHINE_ACTION_JOURNAL ||
                                             actions.items[i - 1].kind == MACHINE_ACTION_REPORT)));
                }
}

TEST("every state and every row answer every event") {
    static const enum machine_state open[] = {MACHINE_FORWARD, MACHINE_RETURNING, MACHINE_HOLDING};
    struct member_machine m;
    struct machine_actions actions;
    for (size_t s = 0; s < 6; s++)
        for (size_t i = 0; i < 3; i++)
            for (uint32_t row = 0; row < 8; row++)
                for (int running = 0; running < 2; running++)
                    for (int boot = 0; boot < 2; boot++)
                        for (int changed = 0; changed < 2; changed++) {
                            struct machine_record record = {.state = open[i],
                                                            .row = row,
                                                            .serial = 7,
                                                            .changed = changed || i > 0,
                                                            .stopped = changed};
                            machine_init(&m, &record, &order, &steps[s]);
                            if (record.row >= rows_now(&m))
                                continue;
                            struct member_machine before = m;
                            feed_all(&before);
                            machine_step(&m,
                                         &(struct machine_event){.kind = MACHINE_EVENT_RECOVERED,
                                                                 .now_us = 5,
                                                                 .same_boot = boot,
                                                                 .running = running},
                                         &actions);
                            feed_all(&m);
                        }
    for (int held = 0; held < 2; held++) {
        struct machine_record record = {
            .state = held ? MACHINE_HELD : MACHINE_IDLE, .held = held, .serial = 7};
        machine_init(&m, &record, NULL, NULL);
        machine_step(&m, &(struct machine_event){.kind = MACHINE_EVENT_RECOVERED}, &actions);
        feed_all(&m);
    }
}

/* ---- crashes ---- */

TEST("A41 the agent dies at any row: the switch ends as without it, with one stop") {
    for (int after = 0; after < 2; after++)
        for (int row = 0; row < 7; row++) {
            struct world w;
            world_init(&w);
            w.die_at_row = after ? -1 : row;
            w.die_after_row = after ? row : -1;
            do_step(&w, "switch");
            require(w.dead);
            restart(&w, true, "switch");
            if (w.n_signals == 0) { /* it may have said that it failed: only a new order lets it begin */
                check_eq_int(w.outcome, OUTCOME_WAITS);
                check_eq_int(w.m.record.changed, false);
                do_step(&w, "switch");
            }
            check_eq_int(w.outcome, OUTCOME_DONE);
            check_eq_int(w.n_signals, 1);
            check_eq_int(w.n_starts, 1);
            check_eq_int(w.running_generation, 1);
        }
}

/* The journal ends with this row of the switch, and what lives is a process that it does not name. */
static void other_runs(struct world *w, uint32_t row, uint64_t stopped_at_us, uint32_t runs) {
    world_init(w);
    w->die_at_row = (int)row;
    do_step(w, "switch");
    w->kept.stopped_at_us = stopped_at_us;
    w->running = w->other = true;
    w->running_generation = runs;
    w->n_signals = w->n_starts = 0;
    restart(w, true, "switch");
}

TEST("A41 F27 an agent without a journal went on: its successor believes what lives, and starts nothing "
     "beside it") {
    struct world w;
    for (uint32_t row = 1; row < 7; row++) {
        other_runs(&w, row, 1, 0); /* it was returned: that is proven, not done again */
        check_eq_int(w.outcome, OUTCOME_RETURNED);
        check_eq_int(w.n_signals + w.n_starts, 0);
        other_runs(&w, row, 1, 1); /* the new release was started */
        check_eq_int(w.outcome, OUTCOME_DONE);
        check_eq_int(w.n_signals + w.n_starts, 0);
        other_runs(&w, row, 1, UINT32_MAX); /* by nobody knows whom */
        check_eq_int(w.outcome, OUTCOME_HELD);
        check_eq_int(w.n_signals + w.n_starts, 0);
        check_eq_int(w.n_alarms, 1);
    }
    other_runs(&w, 1, 0, 0); /* nobody had signalled it: somebody else started it again */
    check_eq_int(w.outcome, OUTCOME_WAITS);
}

TEST("F05 the host dies at any row after the stop: the old one is back") {
    for (int row = 1; row < 7; row++) {
        struct world w;
        world_init(&w);
        w.die_after_row = row;
        do_step(&w, "switch");
        require(w.dead);
        restart(&w, false, "switch");
        check_eq_int(w.outcome, OUTCOME_RETURNED);
        check_eq_int(w.running_generation, 0);
        check(w.running);
    }
}

TEST("the host dies past the way back: what was to be started is started") {
    order.way_back = WAY_BACK_NEVER;
    struct world w;
    world_init(&w);
    w.die_after_row = 4;
    do_step(&w, "switch");
    require(w.dead);
    w.synced = w.kept; /* the disk had it */
    restart(&w, false, "switch");
    check_eq_int(w.outcome, OUTCOME_DONE);
    check_eq_int(w.running_generation, 1);
    order.way_back = WAY_BACK_UNTIL_FINALIZE;
}

TEST("a stop that was never signalled asks may-stop again after a crash") {
    struct world w;
    world_init(&w);
    w.die_at_row = 1;
    do_step(&w, "switch");
    require(w.dead && w.running);
    w.bad = PRIMITIVE_ASK;
    w.bad_answer = ANSWER_NO;
    w.bad_times = -1;
    restart(&w, true, "switch");
    check_eq_int(w.outcome, OUTCOME_WAITS);
    check_eq_int(w.n_signals, 0);
    check(w.running);
}

TEST("F27 a stop that an earlier agent signalled is none that changed nothing, whatever this one could not "
     "do") {
    struct world w;
    struct machine_actions actions;
    world_init(&w);
    w.die_at_row = 1;
    do_step(&w, "switch");
    require(w.dead && w.running);
    w.kept.stopped_at_us = w.now_us;
    machine_init(&w.m, &w.kept, &order, step_named("switch"));
    machine_step(
        &w.m,
        &(struct machine_event){
            .kind = MACHINE_EVENT_RECOVERED, .now_us = w.now_us + 1, .same_boot = true, .running = true},
        &actions);
    require(actions.n > 0 && actions.items[actions.n - 1].kind == MACHINE_ACTION_EXECUTE);
    machine_step(&w.m,
                 &(struct machine_event){.kind = MACHINE_EVENT_FAILED,
                                         .now_us = w.now_us + 2,
                                         .op = actions.items[actions.n - 1].op,
                                         .untouched = true,
                                         .reason = "the generation was not prepared"},
                 &actions);
    check_eq_str(machine_state_text(w.m.record.state), "returning");
}

TEST("a put-back that was cut off is asked for; an opening waits to be ordered again") {
    struct world w;
    world_init(&w);
    w.die_after_row = 0;
    do_step(&w, "close delay");
    require(w.dead);
    restart(&w, true, "close delay");
    check_eq_int(w.outcome, OUTCOME_DONE);

    world_init(&w);
    w.die_after_row = 0;
    do_step(&w, "open delay");
    require(w.dead);
    restart(&w, true, "open delay");
    check_eq_int(w.outcome, OUTCOME_FAILED);
    check_contains(w.reason, "ordered again");

    struct row blind[] = {act_rows[0]};
    blind[0].done_if = NULL;
    struct step step = steps[5];
    step.rows = blind;
    struct machine_record record = {.state = MACHINE_FORWARD, .changed = true, .serial = 7};
    machine_init(&w.m, &record, &order, &step);
    world_run(&w, (struct machine_event){
                      .kind = MACHINE_EVENT_RECOVERED, .now_us = 5, .same_boot = true, .running = true});
    check_eq_int(w.outcome, OUTCOME_FAILED);
}
