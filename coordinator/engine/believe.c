/* A report of done, or of a member that went back, says in the same breath what runs now. What contradicts the signed order
 * is believed as little as no report: an agent that is broken, or is not ours any more, must not open the way for the next
 * member, nor let a run end as if the old release ran. Only what the order is certain about is compared: an agent that did
 * not ask for the mode says nothing about it. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the report's outcome says is left behind. */
struct promise {
    bool down;           /* nothing runs */
    uint32_t generation; /* else, by number in the order */
};

/* Whatever the step was, a member that went back runs what it ran when the plan was made. */
static bool promised(const struct step *step, enum outcome outcome, struct promise *outp) {
    *outp = (struct promise){.down = false};
    if (outcome == OUTCOME_RETURNED)
        return !KEDGE_MUTANT(returned_believed);
    if (outcome != OUTCOME_DONE || !step || KEDGE_MUTANT(contradiction_believed))
        return false;
    *outp = (struct promise){.down = step->verb == VERB_STOP || step->verb == VERB_PASS ||
                                     step->verb == VERB_BACK};
    const struct row *start = step_last_row(step, PRIMITIVE_START);
    if (start)
        outp->generation = start->generation;
    return start || outp->down;
}

/* MODE_UNKNOWN: the order does not say. */
static enum mode mode_promised(const struct work_order *order, const struct promise *promise) {
    if (promise->down)
        return MODE_DOWN;
    if (promise->generation > 0)
        return promise->generation <= order->n_generations ? order->generations[promise->generation - 1].mode
                                                           : MODE_UNKNOWN;
    const char *found = fact_get(order->binding, order->n_binding, "mode");
    for (int mode = MODE_READ_ONLY; found && mode < MODES; mode++)
        if (strcmp(found, mode_text((enum mode)mode)) == 0)
            return (enum mode)mode;
    return MODE_UNKNOWN;
}

/* Numbers count on the node: known is the one that ran when the plan was made, and that the new ones are others. */
static bool generation_differs(const struct work_order *order, const struct promise *promise,
                               const struct engine_report *report) {
    const char *found = fact_get(order->binding, order->n_binding, "generation");
    if (!found || promise->down)
        return false;
    bool is_found = strtoul(found, NULL, 10) == report->generation;
    return is_found != (promise->generation == 0);
}

static bool version_differs(const struct work_order *order, const struct promise *promise,
                            const struct engine_report *report) {
    if (promise->down || !report->version || !report->version[0])
        return false;
    if (promise->generation > 0)
        return strcmp(report->version, order->to_version) != 0;
    return strcmp(report->version, order->to_version) == 0 &&
           strcmp(order->from_version, order->to_version) != 0;
}

bool report_contradicts_itself(const struct run_member *m, const struct engine_report *report, char *why,
                               size_t size) {
    const struct work_order *order = m->order;
    const struct step *step = work_order_step(order, report->step);
    struct promise promise;
    if (!promised(step, report->outcome, &promise))
        return false;
    enum mode wanted = mode_promised(order, &promise);
    bool mode = wanted != MODE_UNKNOWN && report->mode != MODE_UNKNOWN && report->mode != wanted;
    if (!mode && !generation_differs(order, &promise, report) && !version_differs(order, &promise, report))
        return false;
    if (promise.down)
        snprintf(why, size, "not believed: %s is reported, and in the same report it is %s, not stopped",
                 outcome_text(report->outcome), mode_text(report->mode));
    else
        snprintf(why, size,
                 "not believed: %s is reported, and in the same report it runs %.60s (generation %u of its "
                 "node, %s), where %.60s%s%s had to run",
                 outcome_text(report->outcome), report->version && report->version[0] ? report->version : "?",
                 report->generation, mode_text(report->mode),
                 promise.generation > 0 ? order->to_version : order->from_version,
                 wanted == MODE_UNKNOWN ? "" : ", ", wanted == MODE_UNKNOWN ? "" : mode_text(wanted));
    return true;
}
