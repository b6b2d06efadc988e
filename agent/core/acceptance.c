/* Why these rules stand apart from the executor that keeps their memory: a wrong one starts a member for a coordinator that
 * is no more, or twice; the simulator runs the same code against every such order. */
#include "agent/core/acceptance.h"

#include "agent/core/internal.h"

#include <errno.h>
#include <string.h>

static int serial_check(const struct seen *seen, const struct offer *offer, struct error *err) {
    unsigned long long serial = offer->serial;
    if (offer->serial == seen->serial && !digest_equal(&offer->root, &seen->root))
        return error_set(err, -EPERM, "another plan with serial %llu was begun here before; make a new plan",
                         serial);
    if (offer->serial < seen->serial && !step_is_closing(offer->order, offer->step) &&
        !KEDGE_MUTANT(overtaken_obeyed))
        return error_set(err, -ESTALE, "plan %llu was overtaken by plan %llu", serial,
                         (unsigned long long)seen->serial);
    return 0;
}

int acceptance_check(const struct seen *seen, const struct offer *offer, struct error *err) {
    if (offer->epoch < seen->epoch && !KEDGE_MUTANT(epoch_ignored))
        return error_set(
            err, -ESTALE,
            "the order is of epoch %llu, this node obeys epoch %llu: an older coordinator speaks",
            (unsigned long long)offer->epoch, (unsigned long long)seen->epoch);
    if (offer->epoch - seen->epoch > EPOCH_JUMP_MAX && offer->epoch > seen->epoch)
        return error_set(
            err, -EPERM,
            "the order is of epoch %llu, too far ahead of %llu, which this node obeys: no coordinator was "
            "started that often",
            (unsigned long long)offer->epoch, (unsigned long long)seen->epoch);
    int r = serial_check(seen, offer, err);
    if (r == 0 && offer->forbidden && offer->forbidden[0] && !step_is_closing(offer->order, offer->step))
        r = error_set(err, -EPERM, "%s", offer->forbidden);
    return r;
}

struct seen_change acceptance_note(struct seen *seen, const struct offer *offer) {
    struct seen_change change = {.epoch = offer->epoch > seen->epoch, .plan = offer->serial > seen->serial};
    if (change.epoch && !KEDGE_MUTANT(epoch_not_kept))
        seen->epoch = offer->epoch;
    if (change.plan) {
        seen->serial = offer->serial;
        seen->root = offer->root;
    }
    return change;
}

/* What is stopped at a barrier is started all the same: staying down is no remedy. */
static bool leads_on(enum verb verb) {
    return verb == VERB_PREPARE || verb == VERB_SWITCH || verb == VERB_PROMOTE || verb == VERB_STOP;
}

bool quarantined_by(const struct quarantined *before, const struct work_order *order) {
    return before->serial == order->serial && strcmp(before->cluster, order->cluster) == 0;
}

bool acceptance_is_quarantined(const struct quarantined *before, const struct offer *offer) {
    return leads_on(offer->step->verb) && !quarantined_by(before, offer->order) && !offer->lifts &&
           !KEDGE_MUTANT(quarantine_ignored);
}

bool acceptance_is_latched(const struct seen *seen, uint64_t serial) {
    return seen->aborted >= serial && !KEDGE_MUTANT(latch_forgotten);
}

bool outcome_changed_nothing(enum outcome outcome) {
    return outcome == OUTCOME_WAITS || outcome == OUTCOME_REFUSED || outcome == OUTCOME_FAILED ||
           outcome == OUTCOME_QUARANTINED;
}

bool outcome_is_said_again(enum outcome outcome) {
    return !outcome_changed_nothing(outcome);
}

bool acceptance_is_answered(enum outcome outcome, uint64_t epoch, uint64_t expires_s,
                            const struct offer *offer) {
    bool newer = offer->epoch > epoch || (offer->epoch == epoch && offer->expires_s > expires_s);
    bool again = outcome_changed_nothing(outcome) || step_puts_back(offer->order, offer->step);
    return !(again && newer) && !KEDGE_MUTANT(order_done_twice);
}

bool acceptance_has_begun(const struct member_machine *machine, const struct work_order *order,
                          const struct step *step, bool ended) {
    if (step_puts_back(order, step))
        return true;
    if (machine->record.serial != order->serial)
        return false;
    return machine->record.started_new || machine_is_busy(machine) || ended || KEDGE_MUTANT(expiry_ignored);
}

bool acceptance_needs_facts(const struct machine_record *record, const struct work_order *order,
                            const struct step *step) {
    bool first = record->serial != order->serial || !record->started_new || record->adopts;
    return (first && (step->verb == VERB_PREPARE || step->verb == VERB_SWITCH)) ||
           step->verb == VERB_FINALIZE;
}
