#include "tests/unit/test.h"

#include "tests/unit/machine_world.h"

#include <signal.h>

static const struct generation generation = {.mode = MODE_READ_WRITE};

static const struct row down_rows[] = {ASK(.sample = SAMPLE_CAPTURE),
                                       {.primitive = PRIMITIVE_STOP,
                                        .signal = SIGTERM,
                                        .deadline_ms = 5000,
                                        .hold_ms = 60000,
                                        .on_failure = ON_FAILURE_RETURN}};
static const struct row up_rows[] = {
    {.primitive = PRIMITIVE_SWAP, .generation = 1, .on_failure = ON_FAILURE_HOLD},
    {.primitive = PRIMITIVE_START, .generation = 1, .deadline_ms = 2000, .on_failure = ON_FAILURE_HOLD},
    {.primitive = PRIMITIVE_OBSERVE, .generation = 1, .deadline_ms = 1000, .on_failure = ON_FAILURE_HOLD}};
static const struct row down_return_rows[] = {
    {.primitive = PRIMITIVE_STOP, .signal = SIGTERM, .deadline_ms = 5000, .on_failure = ON_FAILURE_HOLD},
    {.primitive = PRIMITIVE_SWAP, .on_failure = ON_FAILURE_HOLD},
    {.primitive = PRIMITIVE_START, .deadline_ms = 2000, .on_failure = ON_FAILURE_HOLD},
    {.primitive = PRIMITIVE_OBSERVE, .deadline_ms = 1000, .on_failure = ON_FAILURE_HOLD}};
static struct check done_if;
static struct argument word = {.text = "/bin/true"};
static struct command format = {.arguments = &word, .n_arguments = 1, .deadline_ms = 1000};
static const struct row act_rows[] = {
    {.primitive = PRIMITIVE_RUN, .command = &format, .done_if = &done_if, .on_failure = ON_FAILURE_STOP}};
static const struct row back_rows[] = {{.primitive = PRIMITIVE_STOP,
                                        .signal = SIGTERM,
                                        .deadline_ms = 5000,
                                        .hold_ms = 60000,
                                        .on_failure = ON_FAILURE_HOLD}};
static const struct step halves[] = {
    STEP("stop", VERB_STOP, down_rows),         {.name = "pass", .verb = VERB_PASS},
    STEP("start", VERB_START, up_rows),         STEP("return", VERB_REVERT, down_return_rows),
    STEP("act format", VERB_ACT, act_rows),     STEP("stop back", VERB_BACK, back_rows),
    STEP("restore format", VERB_BACK, act_rows)};
static const struct row other_rows[] = {{.primitive = PRIMITIVE_STAGE, .generation = 1}};
static const struct step other_steps[] = {STEP("prepare", VERB_PREPARE, other_rows),
                                          STEP("switch", VERB_SWITCH, up_rows)};
static const struct work_order newer = {.serial = 9,
                                        .member = "c/m@n",
                                        .steps = other_steps,
                                        .n_steps = 2,
                                        .generations = &generation,
                                        .n_generations = 1};
static const struct work_order older = {.serial = 7,
                                        .member = "c/m@n",
                                        .steps = other_steps,
                                        .n_steps = 2,
                                        .generations = &generation,
                                        .n_generations = 1};
static const struct work_order downtime = {.serial = 8,
                                           .member = "c/m@n",
                                           .steps = halves,
                                           .n_steps = sizeof(halves) / sizeof(halves[0]),
                                           .generations = &generation,
                                           .n_generations = 1,
                                           .way_back = WAY_BACK_CLUSTER};

static void do_half(struct world *w, const char *name) {
    world_run(w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                        .now_us = w->now_us,
                                        .order = &downtime,
                                        .step = work_order_step(&downtime, name)});
}

static void order_other(struct world *w, const struct work_order *order, size_t step) {
    world_run(w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                        .now_us = w->now_us,
                                        .order = order,
                                        .step = &order->steps[step]});
}

static void do_another(struct world *w, const struct work_order *order) {
    order_other(w, order, 0);
}

static void at_barrier(struct world *w, bool passed) {
    world_init(w);
    w->stay = true;
    do_half(w, "stop");
    check_eq_int(w->outcome, OUTCOME_DONE);
    check_eq_int(w->m.record.state, MACHINE_BARRIER);
    check(!w->running);
    if (passed)
        do_half(w, "pass");
    check_eq_int(w->m.record.barrier, passed ? BARRIER_PASSED : BARRIER_STOPPED);
    check_eq_int(w->synced.barrier, w->m.record.barrier);
}

static void time_goes_by(struct world *w, uint64_t ms) {
    w->stay = false;
    w->now_us += ms * 1000;
    world_run(w, (struct machine_event){.kind = MACHINE_EVENT_TIME, .now_us = w->now_us});
}

/* As the executor does it: at the barrier the order lies in the journal beside the record. */
static void restart_at_barrier(struct world *w, bool same_boot) {
    struct machine_record record = same_boot ? w->kept : w->synced;
    machine_init(&w->m, &record, &downtime, &halves[0]);
    w->stay = false;
    world_run(w, (struct machine_event){
                     .kind = MACHINE_EVENT_RECOVERED, .now_us = w->now_us, .same_boot = same_boot});
}

TEST("F30 stop, pass, start: the new generation runs, and the interruption spans all three") {
    struct world w;
    at_barrier(&w, true);
    w.now_us += 5000000;
    do_half(&w, "start");
    check_eq_int(w.outcome, OUTCOME_DONE);
    check_eq_int(w.m.record.state, MACHINE_IDLE);
    check_eq_int(w.m.record.barrier, BARRIER_NONE);
    check_eq_int(w.running_generation, 1);
    check(w.m.record.interruption_us >= 5000000);
}

TEST("F27 F30 the hold limit is over before the pass: the old generation is started, by nobody's order") {
    struct world w;
    at_barrier(&w, false);
    time_goes_by(&w, 59000);
    check_eq_int(w.outcome, OUTCOME_RETURNED);
    check(w.running && w.running_generation == 0);
    check_contains(w.reason, "hold limit");
    check_eq_int(w.m.record.state, MACHINE_IDLE);
    do_half(&w, "pass");
    check_eq_int(w.outcome, OUTCOME_REFUSED);
}

TEST("F30 the hold limit is over after the pass: it stays down, with one alarm, and can still be started") {
    struct world w;
    at_barrier(&w, true);
    time_goes_by(&w, 3600000);
    check(!w.running);
    check_eq_int(w.n_alarms, 1);
    check_eq_int(w.m.record.state, MACHINE_BARRIER);
    do_half(&w, "start");
    check_eq_int(w.outcome, OUTCOME_DONE);
    check(w.running && w.running_generation == 1);
}

TEST("F30 start before the pass is refused, return is not, passed or not") {
    for (int passed = 0; passed < 2; passed++) {
        struct world w;
        at_barrier(&w, passed);
        if (!passed) {
            do_half(&w, "start");
            check_eq_int(w.outcome, OUTCOME_REFUSED);
            check_eq_int(w.m.record.state, MACHINE_BARRIER);
        }
        do_another(&w, passed ? &older : &newer);
        check_eq_int(w.outcome, OUTCOME_REFUSED);
        do_half(&w, "return");
        check_eq_int(w.outcome, OUTCOME_DONE);
        check(w.running && w.running_generation == 0);
        check_eq_int(w.m.record.state, MACHINE_IDLE);
    }
}

TEST("F30 the agent dies at the barrier: the hold limit goes on; the host dies: not passed returns, passed "
     "stays") {
    struct world w;
    at_barrier(&w, false);
    restart_at_barrier(&w, true);
    check(w.running && w.running_generation == 0); /* at its end, not before: */
    check(w.now_us >= w.kept.hold_until_us && w.now_us >= 60000000);
    at_barrier(&w, false);
    uint64_t before = w.now_us;
    restart_at_barrier(&w, false);
    check(w.running && w.running_generation == 0 && w.now_us - before < 5000000);
    for (int same_boot = 0; same_boot < 2; same_boot++) {
        at_barrier(&w, true);
        restart_at_barrier(&w, same_boot);
        check(!w.running);
        check_eq_int(w.n_alarms, 1);
        check_eq_int(w.m.record.state, MACHINE_BARRIER);
    }
}

TEST("F30 a start behind the barrier that fails is held: nobody goes back alone from there") {
    struct world w;
    at_barrier(&w, true);
    w.bad = PRIMITIVE_OBSERVE;
    w.bad_answer = ANSWER_NO;
    w.bad_times = -1;
    w.bad_fails = true;
    do_half(&w, "start");
    check_eq_int(w.outcome, OUTCOME_HELD);
    check_eq_int(w.m.record.state, MACHINE_HELD);
    check(!w.running);
}

TEST("F06 F30 behind the barrier a newer plan takes the member, which is down, and leads it on") {
    struct world w;
    at_barrier(&w, true);
    order_other(&w, &newer, 0);
    check_eq_int(w.outcome, OUTCOME_DONE);
    check_eq_int(w.m.record.state, MACHINE_BARRIER); /* prepared, and as stopped as before */
    order_other(&w, &newer, 1);
    check_eq_int(w.outcome, OUTCOME_DONE);
    check_eq_int(w.m.record.state, MACHINE_IDLE);
    check(w.running && w.running_generation == 1);
}

TEST("F30 an action leaves the member where it is at the barrier, however it ends") {
    for (int passed = 0; passed < 2; passed++)
        for (int fails = 0; fails < 2; fails++) {
            struct world w;
            at_barrier(&w, passed);
            if (fails) {
                w.bad = PRIMITIVE_RUN;
                w.bad_answer = ANSWER_NO;
                w.bad_times = 1;
                w.bad_fails = true;
            }
            do_half(&w, "act format");
            check_eq_int(w.outcome, fails ? OUTCOME_FAILED : OUTCOME_DONE);
            check_eq_int(w.m.record.state, MACHINE_BARRIER);
            check_eq_int(w.m.record.barrier, passed ? BARRIER_PASSED : BARRIER_STOPPED);
            check(!w.running);
            time_goes_by(&w, 3600000); /* the hold limit means what it meant */
            check_eq_int(w.running, !passed);
            check_eq_int(w.n_alarms, passed);
        }
}

TEST("F30 an action needs a member that is down, and so does a restore") {
    struct world w;
    world_init(&w);
    w.stay = true;
    do_half(&w, "act format");
    check_eq_int(w.outcome, OUTCOME_REFUSED);
    do_half(&w, "restore format");
    check_eq_int(w.outcome, OUTCOME_REFUSED);
}

TEST("F27 F30 the agent dies in an action: it is not done again by itself") {
    struct world w;
    at_barrier(&w, true);
    w.die_at_row = 0;
    do_half(&w, "act format");
    check(w.dead);
    w.dead = false;
    w.die_at_row = -1;
    struct machine_record record = w.kept;
    machine_init(&w.m, &record, &downtime, work_order_step(&downtime, "act format"));
    world_run(&w,
              (struct machine_event){.kind = MACHINE_EVENT_RECOVERED, .now_us = w.now_us, .same_boot = true});
    check_eq_int(w.outcome, OUTCOME_FAILED);
    check_contains(w.reason, "ordered again");
    check_eq_int(w.m.record.state, MACHINE_BARRIER);
    check_eq_int(w.m.record.barrier, BARRIER_PASSED);
}

TEST("F05 F30 the way back of the whole cluster: stop back, restore, return, also when the run was aborted") {
    struct world w;
    at_barrier(&w, true);
    do_half(&w, "start");
    check(w.running && w.running_generation == 1);
    do_half(&w, "stop back");
    check_eq_int(w.outcome, OUTCOME_DONE);
    check(!w.running);
    check_eq_int(w.m.record.barrier, BARRIER_PASSED);
    static const char *const steps[] = {"restore format", "return"};
    for (int i = 0; i < 2; i++) {
        world_run(&w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                             .now_us = w.now_us,
                                             .order = &downtime,
                                             .step = work_order_step(&downtime, steps[i]),
                                             .latched = true});
        check_eq_int(w.outcome, OUTCOME_DONE);
    }
    check(w.running && w.running_generation == 0);
    check_eq_int(w.m.record.barrier, BARRIER_NONE);
}

TEST("F27 F30 halfway through the way back the hold limit alarms, and starts nothing") {
    struct world w;
    at_barrier(&w, true);
    do_half(&w, "start");
    do_half(&w, "stop back");
    time_goes_by(&w, 3600000);
    check(!w.running);
    check_eq_int(w.n_alarms, 1);
}

TEST("F06 F30 after an abort a pass is refused and the member stays at the barrier; its hold limit brings it "
     "back") {
    for (int restarted = 0; restarted < 2; restarted++) {
        struct world w;
        at_barrier(&w, false);
        if (restarted) { /* by an agent that has the order out of its journal */
            machine_init(&w.m, &w.kept, &downtime, work_order_step(&downtime, "stop"));
            world_run(&w, (struct machine_event){
                              .kind = MACHINE_EVENT_RECOVERED, .now_us = w.now_us, .same_boot = true});
        }
        world_run(&w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                             .now_us = w.now_us,
                                             .order = &downtime,
                                             .step = work_order_step(&downtime, "pass"),
                                             .latched = true});
        check_eq_int(w.outcome, OUTCOME_REFUSED);
        check_eq_int(w.m.record.state, MACHINE_BARRIER);
        check_eq_int(w.m.record.barrier, BARRIER_STOPPED);
        w.stay = false;
        world_run(&w, (struct machine_event){.kind = MACHINE_EVENT_TIME, .now_us = w.now_us});
        check(w.running && w.running_generation == 0);
        check_eq_int(w.outcome, OUTCOME_RETURNED);
    }
}

TEST("F27 F30 a command leaves the service alone, so it starts at boot; not at a barrier, nor in the middle "
     "of a switch") {
    struct member_machine m;
    struct machine_record record = {.state = MACHINE_FORWARD, .changed = true, .serial = 8};
    machine_init(&m, &record, &downtime, work_order_step(&downtime, "act format"));
    check(!machine_holds_service(&m));
    m.record.barrier = BARRIER_STOPPED;
    check(machine_holds_service(&m));
    machine_init(&m, &record, &downtime, work_order_step(&downtime, "stop"));
    check(machine_holds_service(&m));
    machine_init(&m, &record, &newer, work_order_step(&newer, "switch"));
    check(machine_holds_service(&m));
    machine_init(&m, &record, &newer, work_order_step(&newer, "prepare"));
    check(!machine_holds_service(&m));
    struct machine_record held = {.state = MACHINE_HELD, .held = true, .serial = 8};
    machine_init(&m, &held, NULL, NULL);
    check(machine_holds_service(&m));
    machine_init(&m, &(struct machine_record){0}, NULL, NULL);
    check(!machine_holds_service(&m));
}
