/* What a step is blamed for, and what that forbids (lesson 18): the rules by themselves. */
#include "tests/unit/test.h"

#include "agent/core/acceptance.h"
#include "common/plan/quarantine.h"
#include "tests/unit/machine_world.h"

static const struct row switch_rows[] = {
    ASK(.deadline_ms = 1000),
    {.primitive = PRIMITIVE_STOP, .deadline_ms = 5000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_SWAP, .generation = 1, .deadline_ms = 1000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_START, .generation = 1, .deadline_ms = 2000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_OBSERVE, .generation = 1, .deadline_ms = 1000, .on_failure = ON_FAILURE_RETURN},
};
static const struct row return_rows[] = {
    {.primitive = PRIMITIVE_STOP, .deadline_ms = 5000},
    {.primitive = PRIMITIVE_SWAP},
    {.primitive = PRIMITIVE_START, .deadline_ms = 2000},
};
static const struct row none_rows[] = {{.primitive = PRIMITIVE_STAGE, .generation = 1}};
static const struct step steps[] = {
    STEP("switch", VERB_SWITCH, switch_rows), STEP("return", VERB_REVERT, return_rows),
    STEP("prepare", VERB_PREPARE, none_rows), STEP("promote", VERB_PROMOTE, none_rows),
    STEP("stop", VERB_STOP, none_rows),       STEP("pass", VERB_PASS, none_rows),
    STEP("start", VERB_START, none_rows),     STEP("act", VERB_ACT, none_rows),
    STEP("back", VERB_BACK, none_rows),       STEP("finalize", VERB_FINALIZE, none_rows)};
static const struct generation generation = {
    .mode = MODE_READ_WRITE, .has_manifest = true, .manifest = {{7}}};
static const struct work_order order = {.cluster = "c",
                                        .serial = 7,
                                        .member = "c/m@n",
                                        .steps = steps,
                                        .n_steps = sizeof(steps) / sizeof(steps[0]),
                                        .generations = &generation,
                                        .n_generations = 1,
                                        .way_back = WAY_BACK_UNTIL_FINALIZE};

static void order_switch(struct world *w) {
    w->outcome = OUTCOME_NONE;
    world_run(w, (struct machine_event){
                     .kind = MACHINE_EVENT_ORDER, .now_us = w->now_us, .order = &order, .step = &steps[0]});
}

/* One row that is bad for as long as it is asked. */
static bool blames(unsigned bad, enum answer answer, bool fails, enum outcome outcome) {
    static struct world w;
    w = (struct world){0};
    world_init(&w);
    w.bad = bad;
    w.bad_answer = answer;
    w.bad_times = -1;
    w.bad_fails = fails;
    order_switch(&w);
    check_eq_str(outcome_text(w.outcome), outcome_text(outcome));
    return w.kept.blames;
}

TEST("lesson_18: what did not come up, or is not what was ordered, is to blame") {
    check(blames(PRIMITIVE_START, ANSWER_NO, false, OUTCOME_RETURNED));
    check(blames(PRIMITIVE_START, ANSWER_UNKNOWN, false, OUTCOME_RETURNED));
    check(blames(PRIMITIVE_OBSERVE, ANSWER_NO, false, OUTCOME_RETURNED));
}

TEST("lesson_18: what waits, what cannot be told, and what this node could not do blames nothing") {
    check(!blames(PRIMITIVE_ASK, ANSWER_NO, false, OUTCOME_WAITS));
    check(!blames(PRIMITIVE_OBSERVE, ANSWER_UNKNOWN, false, OUTCOME_RETURNED));
    check(!blames(PRIMITIVE_SWAP, ANSWER_NO, true, OUTCOME_RETURNED));
    check(!blames(PRIMITIVE_START, ANSWER_NO, true, OUTCOME_RETURNED)); /* other hands serve */
}

/* The machine stands at the row; then this happens. */
static bool blames_after(uint32_t row, const struct machine_event *event) {
    static struct world w;
    struct machine_actions actions;
    struct machine_event next = {.kind = MACHINE_EVENT_ORDER, .order = &order, .step = &steps[0]};
    w = (struct world){0};
    world_init(&w);
    for (next.now_us = w.now_us; next.kind == MACHINE_EVENT_ORDER || w.m.record.row < row;) {
        machine_step(&w.m, &next, &actions);
        if (!check(world_perform(&w, &actions, &next)))
            return false;
    }
    struct machine_event now = *event;
    now.now_us = w.now_us;
    machine_step(&w.m, &now, &actions);
    check_eq_str(machine_state_text(w.m.record.state), "returning");
    return w.m.record.blames;
}

TEST(
    "lesson_18: an end by itself is to blame once the new one was started, before that it is the old one's") {
    struct machine_event ended = {.kind = MACHINE_EVENT_ENDED, .blames = true, .reason = "exit code 1"};
    check(blames_after(3, &ended));
    check(blames_after(4, &ended));
    check(!blames_after(2, &ended));
    ended.blames = false; /* the port is served by another process */
    check(!blames_after(3, &ended));
}

TEST("lesson_18: it is remembered when the agent dies on the way back, and forgotten by the next order") {
    static struct world w;
    w = (struct world){0};
    world_init(&w);
    w.bad = PRIMITIVE_START;
    w.bad_answer = ANSWER_NO;
    w.bad_times = -1;
    order_switch(&w);
    require(w.outcome == OUTCOME_RETURNED && w.kept.blames);
    struct machine_record record = w.kept;
    record.outcome = OUTCOME_NONE;
    record.state = MACHINE_RETURNING;
    record.changed = record.stopped = true;
    struct member_machine again;
    machine_init(&again, &record, &order, &steps[0]);
    check(again.record.blames);
    w.bad_times = 0;
    order_switch(&w);
    check(w.outcome == OUTCOME_DONE && !w.kept.blames);
}

/* ---- what it forbids ---- */

static struct offer offer_of(const char *step) {
    return (struct offer){.serial = order.serial, .order = &order, .step = work_order_step(&order, step)};
}

TEST("lesson_18: steps that lead there are refused; what is stopped is started, and every way back is open") {
    static const char *const forward[] = {"prepare", "switch", "promote", "stop"}, *const others[] = {
                                                                                       "return", "pass",
                                                                                       "start",  "act",
                                                                                       "back",   "finalize"};
    struct quarantined before = {"c", 6};
    for (size_t i = 0; i < ARRAY_LEN(forward); i++) {
        struct offer offer = offer_of(forward[i]);
        check(acceptance_is_quarantined(&before, &offer));
        offer.lifts = true;
        check(!acceptance_is_quarantined(&before, &offer));
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct offer offer = offer_of(others[i]);
        check(!acceptance_is_quarantined(&before, &offer));
    }
}

TEST("lesson_18: within the plan in which it failed its budgets decide, in any other it is refused") {
    struct offer offer = offer_of("switch");
    check(!acceptance_is_quarantined(&(struct quarantined){"c", 7}, &offer));
    check(acceptance_is_quarantined(&(struct quarantined){"other", 7}, &offer));
    check(acceptance_is_quarantined(&(struct quarantined){"c", 8}, &offer));
}

TEST("lesson_18: the subject is the release, or the configuration where the release stays, or nothing") {
    struct digest what;
    struct work_order other = order;
    struct render render = {.new_digest = {{9}}};
    struct generation generations[2] = {{.render = &render}, generation};
    other.generations = generations;
    other.n_generations = 2;
    require(quarantine_subject(&other, &what));
    check_eq_int(what.b[0], 7);
    other.n_generations = 1;
    require(quarantine_subject(&other, &what));
    check_eq_int(what.b[0], 9);
    generations[0].render = NULL;
    check(!quarantine_subject(&other, &what));
    other.n_generations = 0;
    check(!quarantine_subject(&other, &what));
    struct digest lifts[2] = {{{1}}, {{7}}};
    struct header header = {.lifts = lifts, .n_lifts = 1};
    check(!quarantine_is_lifted(&header, &lifts[1]));
    header.n_lifts = 2;
    check(quarantine_is_lifted(&header, &lifts[1]));
}
