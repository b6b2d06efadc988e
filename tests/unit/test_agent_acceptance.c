/* Which orders an agent obeys, and when it puts a side action back: every rule at its edge. */
#include "tests/unit/test.h"

#include "agent/core/acceptance.h"
#include "agent/core/lease.h"
#include "common/base/cleanup.h"

#include <errno.h>

static const struct check in_force = {.rule = RULE_PRESENT};
static const struct row run_row = {.primitive = PRIMITIVE_RUN, .done_if = &in_force};
static const struct step steps[] = {{"prepare", VERB_PREPARE, NULL, 0}, {"switch", VERB_SWITCH, NULL, 0},
                                    {"return", VERB_REVERT, NULL, 0},   {"open delay", VERB_ACT, &run_row, 1},
                                    {"close delay", VERB_ACT, NULL, 0}, {"finalize", VERB_FINALIZE, NULL, 0}};
enum { PREPARE, SWITCH, RETURN, OPEN, CLOSE, FINALIZE };
static const struct lease lease = {.name = "delay",
                                   .close_step = "close delay",
                                   .ttl_ms = 8000,
                                   .delta_ms = 500,
                                   .rank = 2,
                                   .on_loss = ON_LOSS_UNDO};
static const struct work_order order = {
    .serial = 7, .steps = steps, .n_steps = ARRAY_LEN(steps), .leases = &lease, .n_leases = 1};

static struct offer offer_of(const struct step *step, uint64_t epoch, uint64_t serial) {
    return (struct offer){.epoch = epoch, .serial = serial, .expires_s = 100, .order = &order, .step = step};
}

static int accepted(const struct seen *seen, struct offer offer) {
    struct error err = {""};
    return acceptance_check(seen, &offer, &err);
}

TEST("A8 A11 an older epoch is refused, the same one is obeyed, and one that no coordinator reached is "
     "refused") {
    const struct seen seen = {.epoch = 5, .serial = 7};
    check(accepted(&seen, offer_of(&steps[SWITCH], 4, 7)) == -ESTALE);
    check_eq_int(accepted(&seen, offer_of(&steps[SWITCH], 5, 7)), 0);
    check_eq_int(accepted(&seen, offer_of(&steps[SWITCH], 5 + EPOCH_JUMP_MAX, 7)), 0);
    check(accepted(&seen, offer_of(&steps[SWITCH], 6 + EPOCH_JUMP_MAX, 7)) == -EPERM);
}

TEST("A8 an overtaken plan only closes and returns; another root under the same serial does nothing") {
    const struct seen seen = {.epoch = 5, .serial = 8};
    check(accepted(&seen, offer_of(&steps[SWITCH], 5, 7)) == -ESTALE);
    check(accepted(&seen, offer_of(&steps[OPEN], 5, 7)) == -ESTALE);
    check_eq_int(accepted(&seen, offer_of(&steps[RETURN], 5, 7)), 0);
    check_eq_int(accepted(&seen, offer_of(&steps[CLOSE], 5, 7)), 0);
    struct offer other = offer_of(&steps[RETURN], 5, 8);
    other.root.b[0] = 1;
    check(accepted(&seen, other) == -EPERM);
}

TEST("F08 what operators forbid keeps back all but what closes") {
    const struct seen seen = {.epoch = 5};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct offer offer = offer_of(&steps[i], 5, 7);
        offer.forbidden = "it is left out";
        check_eq_int(accepted(&seen, offer), i == RETURN || i == CLOSE ? 0 : -EPERM);
    }
}

TEST("A8 epoch and serial grow, never shrink; an abort holds for its plan and those before it") {
    struct seen seen = {.epoch = 5, .serial = 7, .aborted = 7};
    struct offer newer = offer_of(&steps[SWITCH], 6, 8), older = offer_of(&steps[RETURN], 6, 7);
    newer.root.b[0] = 9;
    struct seen_change change = acceptance_note(&seen, &newer);
    check(change.epoch && change.plan && seen.epoch == 6 && seen.serial == 8 && seen.root.b[0] == 9);
    change = acceptance_note(&seen, &older);
    check(!change.epoch && !change.plan && seen.serial == 8 && seen.root.b[0] == 9);
    check(acceptance_is_latched(&seen, 6) && acceptance_is_latched(&seen, 7));
    check(!acceptance_is_latched(&seen, 8));
}

TEST("F05 a step that has ended is answered; only what changed nothing, or puts back, is done anew by a "
     "newer order") {
    for (int outcome = OUTCOME_DONE; outcome < OUTCOMES; outcome++) {
        enum outcome o = (enum outcome)outcome;
        bool nothing =
            o == OUTCOME_WAITS || o == OUTCOME_REFUSED || o == OUTCOME_FAILED || o == OUTCOME_QUARANTINED;
        struct offer same = offer_of(&steps[SWITCH], 5, 7), later = same, reign = same;
        later.expires_s = 101;
        reign.epoch = 6;
        reign.expires_s = 1; /* another coordinator's clock */
        if (o == OUTCOME_NONE || o == OUTCOME_BEGUN)
            continue;
        check_eq_int(outcome_changed_nothing(o), nothing);
        check_eq_int(outcome_is_said_again(o), !nothing);
        check(acceptance_is_answered(o, 5, 100, &same));
        check_eq_int(acceptance_is_answered(o, 5, 100, &later), !nothing);
        check_eq_int(acceptance_is_answered(o, 5, 100, &reign), !nothing);
        check(acceptance_is_answered(o, 6, 1, &later)); /* of an older reign */
        same.step = later.step = &steps[CLOSE];
        check(acceptance_is_answered(o, 5, 100, &same));
        check(!acceptance_is_answered(o, 5, 100, &later));
    }
}

TEST("A8 expiry keeps back what has not begun in this plan, and nothing else") {
    struct member_machine m = {.record = {.serial = 7}};
    check(!acceptance_has_begun(&m, &order, &steps[SWITCH], false));
    check(acceptance_has_begun(&m, &order, &steps[SWITCH], true));
    check(acceptance_has_begun(&m, &order, &steps[CLOSE], false));
    m.record.started_new = true;
    check(acceptance_has_begun(&m, &order, &steps[SWITCH], false));
    m.record.serial = 6;
    check(!acceptance_has_begun(&m, &order, &steps[SWITCH], false));
}

TEST("F25 facts are held against the signed ones until the new release was started, and before a finalize") {
    struct machine_record record = {.serial = 7};
    check(acceptance_needs_facts(&record, &order, &steps[PREPARE]));
    check(acceptance_needs_facts(&record, &order, &steps[SWITCH]));
    check(!acceptance_needs_facts(&record, &order, &steps[RETURN]));
    record.started_new = true;
    check(!acceptance_needs_facts(&record, &order, &steps[SWITCH]));
    check(acceptance_needs_facts(&record, &order, &steps[FINALIZE]));
    record.serial = 6;
    check(acceptance_needs_facts(&record, &order, &steps[SWITCH]));
}

TEST("F31 a lease ends at its time and by its rank, looks first, and never works beside an open step") {
    struct lease holds = lease;
    holds.on_loss = ON_LOSS_HOLD;
    check_eq_int(lease_due_ms(&lease), 9000);
    check(!lease_must_look(&order, &lease, 8999));
    check(lease_must_look(&order, &lease, 9000));
    check(!lease_must_look(&order, &holds, 9000));
    check(lease_decide(ANSWER_YES, true) == LEASE_PUT_BACK);
    check(lease_decide(ANSWER_YES, false) == LEASE_LOOK_AGAIN);
    check(lease_decide(ANSWER_UNKNOWN, true) == LEASE_LOOK_AGAIN);
    check(lease_decide(ANSWER_NO, true) == LEASE_FORGET);
    check(lease_word_counts(5, 5) && lease_word_counts(6, 5) && !lease_word_counts(4, 5));
}
