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
static const struct step halves[] = {STEP("stop", VERB_STOP, down_rows),
                                     {.name = "pass", .verb = VERB_PASS},
                                     STEP("start", VERB_START, up_rows),
                                     STEP("return", VERB_REVERT, down_return_rows)};
static const struct step other_steps[] = {STEP("start", VERB_START, up_rows)};
static const struct work_order another = {.serial = 9,
                                          .member = "c/m@n",
                                          .steps = other_steps,
                                          .n_steps = 1,
                                          .generations = &generation,
                                          .n_generations = 1};
static const struct work_order downtime = {.serial = 8,
                                           .member = "c/m@n",
                                           .steps = halves,
                                           .n_steps = 4,
                                           .generations = &generation,
                                           .n_generations = 1,
                                           .way_back = WAY_BACK_UNTIL_FINALIZE};

static void do_half(struct world *w, const char *name) {
    world_run(w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                        .now_us = w->now_us,
                                        .order = &downtime,
                                        .step = work_order_step(&downtime, name)});
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
        world_run(&w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                             .now_us = w.now_us,
                                             .order = &another,
                                             .step = &other_steps[0]});
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
