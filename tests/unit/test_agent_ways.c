/* How far a member may go back: what closes its way back, for how long, and what that leads to. */
#include "tests/unit/test.h"

#include "tests/unit/machine_world.h"

#include <signal.h>

static const struct row to_read_only[] = {
    ASK(.on_failure = ON_FAILURE_STOP),
    {.primitive = PRIMITIVE_STOP, .signal = SIGTERM, .deadline_ms = 5000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_SWAP, .generation = 1, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_START, .generation = 1, .deadline_ms = 2000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_OBSERVE, .generation = 1, .deadline_ms = 1000, .on_failure = ON_FAILURE_RETURN},
};
static const struct row to_read_write[] = {
    ASK(.on_failure = ON_FAILURE_STOP),
    {.primitive = PRIMITIVE_STOP, .signal = SIGTERM, .deadline_ms = 5000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_SWAP, .generation = 2, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_START, .generation = 2, .deadline_ms = 2000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_OBSERVE, .generation = 2, .deadline_ms = 1000, .on_failure = ON_FAILURE_RETURN},
};
static const struct row back[] = {
    ASK(.on_failure = ON_FAILURE_STOP),
    {.primitive = PRIMITIVE_STOP, .signal = SIGTERM, .deadline_ms = 5000, .on_failure = ON_FAILURE_HOLD},
    {.primitive = PRIMITIVE_SWAP, .on_failure = ON_FAILURE_HOLD},
    {.primitive = PRIMITIVE_START, .deadline_ms = 2000, .on_failure = ON_FAILURE_HOLD},
    {.primitive = PRIMITIVE_OBSERVE, .deadline_ms = 1000, .on_failure = ON_FAILURE_HOLD},
};
static const struct step steps[] = {STEP("switch", VERB_SWITCH, to_read_only),
                                    STEP("promote", VERB_PROMOTE, to_read_write),
                                    STEP("return", VERB_REVERT, back)};
static const struct generation generations[] = {{.mode = MODE_READ_ONLY}, {.mode = MODE_READ_WRITE}};
static struct work_order order = {.serial = 7,
                                  .member = "c/m@n",
                                  .steps = steps,
                                  .n_steps = 3,
                                  .generations = generations,
                                  .n_generations = 2};

static void do_step(struct world *w, const char *name) {
    world_run(w, (struct machine_event){.kind = MACHINE_EVENT_ORDER,
                                        .now_us = w->now_us,
                                        .order = &order,
                                        .step = work_order_step(&order, name)});
}

static void begin(struct world *w, enum way_back way_back, unsigned bad) {
    world_init(w);
    order.way_back = way_back;
    w->bad = bad;
    w->bad_answer = ANSWER_NO;
    w->bad_times = -1;
}

TEST("F05 until its promotion a member goes back from the read-only release, and from no later one") {
    struct world w;
    begin(&w, WAY_BACK_UNTIL_PROMOTION, PRIMITIVE_OBSERVE);
    do_step(&w, "switch");
    check_eq_int(w.outcome, OUTCOME_RETURNED);
    begin(&w, WAY_BACK_UNTIL_PROMOTION, PRIMITIVES);
    do_step(&w, "switch");
    check_eq_int(w.outcome, OUTCOME_DONE);
    w.bad = PRIMITIVE_OBSERVE;
    do_step(&w, "promote");
    check_eq_int(w.outcome, OUTCOME_HELD);
    check_eq_int(w.running_generation, 2);
}

TEST("F05 a start that was made and failed has closed the way back, whatever came of it") {
    struct world w;
    begin(&w, WAY_BACK_UNTIL_START, PRIMITIVE_START);
    w.bad_fails = true;
    do_step(&w, "switch");
    check_eq_int(w.outcome, OUTCOME_HELD);
    check_eq_int(w.n_alarms, 1);
    check_eq_int(w.n_starts, 0);
}

TEST("F05 a way back that is closed stays so in its plan, whatever is ordered in between") {
    struct world w;
    begin(&w, WAY_BACK_UNTIL_START, PRIMITIVES);
    do_step(&w, "switch");
    check_eq_int(w.outcome, OUTCOME_DONE);
    w.bad = PRIMITIVE_ASK;
    do_step(&w, "promote");
    check_eq_int(w.outcome, OUTCOME_WAITS);
    w.bad = PRIMITIVES;
    do_step(&w, "return");
    check_eq_int(w.outcome, OUTCOME_REFUSED);
    check_eq_int(w.running_generation, 1);
}

TEST("F05 what one plan has started closes no way back of the next") {
    struct world w;
    begin(&w, WAY_BACK_UNTIL_START, PRIMITIVES);
    do_step(&w, "switch");
    order.serial = 8;
    w.bad = PRIMITIVE_SWAP;
    w.bad_fails = true;
    do_step(&w, "switch");
    check_eq_int(w.outcome, OUTCOME_RETURNED);
    order.serial = 7;
}
