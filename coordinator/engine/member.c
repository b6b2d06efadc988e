/* Why a full matrix and not the list of allowed moves: the pair that nobody thought of is where runs wedge. A hole is
 * found by a test, not by an operator. */
#include "coordinator/engine/member.h"

#include <assert.h>
#include <stddef.h>

#define TO(state)                                                                                            \
    { MOVE_TO, MEMBER_##state, NULL }
#define BEFORE                                                                                               \
    { MOVE_BEFORE, 0, NULL }
#define FLAG(text)                                                                                           \
    { MOVE_FLAG, 0, text }
#define IGNORED(text)                                                                                        \
    { MOVE_IGNORED, 0, text }
#define REFUSED(text)                                                                                        \
    { MOVE_REFUSED, 0, text }

#define NO_HALVES(text)                                                                                      \
    [MEMBER_EVENT_ORDERED_STOP] = REFUSED(text), [MEMBER_EVENT_ORDERED_PASS] = REFUSED(text),                \
    [MEMBER_EVENT_ORDERED_START] = REFUSED(text), [MEMBER_EVENT_ORDERED_ACT] = REFUSED(text)
#define NO_STOP_BACK(text) [MEMBER_EVENT_ORDERED_STOP_BACK] = REFUSED(text)
#define NO_ORDERS(text)                                                                                      \
    NO_HALVES(text), NO_STOP_BACK(text),                                                                     \
        [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED(text), [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED(text),       \
        [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED(text), [MEMBER_EVENT_ORDERED_RETURN] = REFUSED(text)
#define NO_REPORTS(text)                                                                                     \
    [MEMBER_EVENT_BEGUN] = IGNORED(text), [MEMBER_EVENT_REPORTED_DONE] = IGNORED(text),                      \
    [MEMBER_EVENT_REPORTED_WAITS] = IGNORED(text), [MEMBER_EVENT_REPORTED_REFUSED] = IGNORED(text),          \
    [MEMBER_EVENT_REPORTED_FAILED] = IGNORED(text), [MEMBER_EVENT_REPORTED_RETURNED] = IGNORED(text),        \
    [MEMBER_EVENT_REPORTED_HELD] = IGNORED(text), [MEMBER_EVENT_REPORTED_QUARANTINED] = IGNORED(text)
#define NO_GATES(text)                                                                                       \
    [MEMBER_EVENT_RECOVERED_READ_ONLY] = REFUSED(text), [MEMBER_EVENT_RECOVERED] = REFUSED(text),            \
    [MEMBER_EVENT_SOAKED] = REFUSED(text)
/* Operators' words. Who is gone is gone from every state: nothing may hang on a node that no longer exists. */
#define GOES [MEMBER_EVENT_RETIRE] = TO(RETIRED)
#define NO_RETRY                                                                                             \
    [MEMBER_EVENT_RETRY] = REFUSED("it has not failed; `run resume` lets a run that is paused go on")
#define SKIPS [MEMBER_EVENT_SKIP] = TO(SKIPPED)
#define NO_SKIP(text) [MEMBER_EVENT_SKIP] = REFUSED(text)
#define NO_PROMOTION(text) [MEMBER_EVENT_PROMOTE] = REFUSED(text)
#define WAIVES                                                                                               \
    [MEMBER_EVENT_WAIVE] =                                                                                   \
        FLAG("until the waiver ends, the gate's no or unknown does not keep it from being stopped")
#define NO_WAIVER(text) [MEMBER_EVENT_WAIVE] = REFUSED(text)
/* What was seen of a member whose node is returned; returns.c asks it of no others. */
#define PUT_BACK [MEMBER_EVENT_PUT_BACK] = TO(RETURNED)
#define NO_PUT_BACK(text) [MEMBER_EVENT_PUT_BACK] = REFUSED(text)
#define CHANGED "it was switched; finish it, or roll the run back"

/* A state in which an order is in flight; the same order may be sent once more, after a new connection or a restart. */
#define ORDERED(done, waits, refused, failed, returned, quarantined)                                         \
    [MEMBER_EVENT_BEGUN] = IGNORED("under way, the report follows"), [MEMBER_EVENT_REPORTED_DONE] = done,    \
    [MEMBER_EVENT_REPORTED_WAITS] = waits, [MEMBER_EVENT_REPORTED_REFUSED] = refused,                        \
    [MEMBER_EVENT_REPORTED_FAILED] = failed, [MEMBER_EVENT_REPORTED_RETURNED] = returned,                    \
    [MEMBER_EVENT_REPORTED_QUARANTINED] = quarantined, [MEMBER_EVENT_REPORTED_HELD] = TO(HELD),              \
    NO_GATES("an order is in flight"), GOES, NO_PUT_BACK("an order is in flight"),                           \
    [MEMBER_EVENT_RETRY] = REFUSED("an order is in flight; wait for its report"),                            \
    NO_SKIP("an order is in flight; wait for its report, or retire the member"),                             \
    NO_PROMOTION("an order is in flight; wait for its report"), WAIVES

#define LATE "no order is in flight: a repeated report"
#define BUSY "another order is in flight"
#define DOWN "it is stopped at the barrier"
#define DOWN_STAYS                                                                                           \
    "it is stopped at the barrier; `run abort` or `run rollback` returns it, if its way back is open"

/* Stopped, nothing in flight: its agent may end its hold by itself, and says so unasked. */
#define AT_BARRIER                                                                                           \
    [MEMBER_EVENT_ORDERED_ACT] = TO(ACTING), [MEMBER_EVENT_ORDERED_RETURN] = TO(REVERTING),                  \
    NO_STOP_BACK(DOWN), [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED(DOWN),                                      \
    [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED(DOWN), [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED(DOWN),           \
    [MEMBER_EVENT_ORDERED_STOP] = REFUSED(DOWN), [MEMBER_EVENT_BEGUN] = IGNORED(LATE),                       \
    [MEMBER_EVENT_REPORTED_DONE] = IGNORED(LATE), [MEMBER_EVENT_REPORTED_WAITS] = IGNORED(LATE),             \
    [MEMBER_EVENT_REPORTED_REFUSED] = IGNORED(LATE), [MEMBER_EVENT_REPORTED_FAILED] = IGNORED(LATE),         \
    [MEMBER_EVENT_REPORTED_RETURNED] = TO(RETURNED), [MEMBER_EVENT_REPORTED_HELD] = TO(HELD),                \
    [MEMBER_EVENT_REPORTED_QUARANTINED] = IGNORED(LATE), NO_GATES(DOWN), NO_RETRY, GOES, NO_PUT_BACK(DOWN),  \
    NO_SKIP(DOWN_STAYS), NO_PROMOTION(DOWN), NO_WAIVER(DOWN)

static const struct member_move moves[MEMBER_STATES][MEMBER_EVENTS] =
    {
        [MEMBER_PLANNED] =
            {
                NO_HALVES("it is not prepared"),
                NO_STOP_BACK("it is not prepared"),
                [MEMBER_EVENT_ORDERED_PREPARE] = TO(PREPARING),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED("it is not prepared"),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED("it is not prepared"),
                [MEMBER_EVENT_ORDERED_RETURN] = REFUSED("nothing was changed"),
                NO_REPORTS(LATE),
                NO_GATES("nothing was changed"),
                NO_RETRY,
                GOES,
                NO_PUT_BACK("nothing was changed"),
                SKIPS,
                NO_PROMOTION("it was not switched"),
                WAIVES,
            },
        [MEMBER_PREPARING] =
            {
                NO_HALVES("it is not prepared"),
                NO_STOP_BACK("it is not prepared"),
                [MEMBER_EVENT_ORDERED_PREPARE] = TO(PREPARING),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED("it is not prepared yet"),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED("it is not prepared yet"),
                [MEMBER_EVENT_ORDERED_RETURN] = REFUSED("nothing was changed"),
                ORDERED(TO(PREPARED), TO(PLANNED), TO(FAILED), TO(FAILED), TO(FAILED), TO(QUARANTINED)),
            },
        [MEMBER_PREPARED] =
            {
                [MEMBER_EVENT_ORDERED_ACT] = REFUSED("it is not stopped"),
                [MEMBER_EVENT_ORDERED_STOP_BACK] = REFUSED("it was not changed"),
                [MEMBER_EVENT_ORDERED_STOP] = TO(STOPPING),
                [MEMBER_EVENT_ORDERED_PASS] = REFUSED("it is not stopped"),
                [MEMBER_EVENT_ORDERED_START] = REFUSED("it is not stopped"),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED("it is prepared"),
                [MEMBER_EVENT_ORDERED_SWITCH] = TO(SWITCHING),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED("it was not switched"),
                [MEMBER_EVENT_ORDERED_RETURN] = REFUSED("nothing was changed"),
                NO_REPORTS(LATE),
                NO_GATES("nothing was changed"),
                NO_RETRY,
                GOES,
                NO_PUT_BACK("nothing was changed"),
                SKIPS,
                NO_PROMOTION("it was not switched"),
                WAIVES,
            },
        [MEMBER_SWITCHING] =
            {
                NO_HALVES(BUSY),
                NO_STOP_BACK(BUSY),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_SWITCH] = TO(SWITCHING),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_RETURN] = REFUSED(BUSY),
                ORDERED(TO(RECOVERING), BEFORE, TO(FAILED), TO(FAILED), TO(RETURNED), TO(QUARANTINED)),
            },
        [MEMBER_RECOVERING] =
            {
                NO_HALVES("it runs the new release"),
                [MEMBER_EVENT_ORDERED_STOP_BACK] = TO(HALTING),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED("it was switched"),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED("it was switched"),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED("its recovered gates have not held yet"),
                [MEMBER_EVENT_ORDERED_RETURN] = TO(REVERTING),
                NO_REPORTS(LATE),
                [MEMBER_EVENT_RECOVERED_READ_ONLY] = TO(SOAKING_READ_ONLY),
                [MEMBER_EVENT_RECOVERED] = TO(SOAKING),
                [MEMBER_EVENT_SOAKED] = REFUSED("its recovered gates have not held yet"),
                NO_RETRY,
                GOES,
                PUT_BACK,
                NO_SKIP(CHANGED),
                NO_PROMOTION("its recovered gates have not held yet, and are never left out"),
                WAIVES,
            },
        [MEMBER_SOAKING_READ_ONLY] =
            {
                NO_HALVES("it runs the new release"),
                NO_STOP_BACK("it runs the new release"),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED("it was switched"),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED("it was switched"),
                [MEMBER_EVENT_ORDERED_PROMOTE] = TO(PROMOTING),
                [MEMBER_EVENT_ORDERED_RETURN] = TO(REVERTING),
                NO_REPORTS(LATE),
                NO_GATES("it waits for its promotion"),
                NO_RETRY,
                GOES,
                PUT_BACK,
                NO_SKIP(CHANGED),
                [MEMBER_EVENT_PROMOTE] = FLAG("it is promoted without the rest of its soak"),
                WAIVES,
            },
        [MEMBER_PROMOTING] =
            {
                NO_HALVES(BUSY),
                NO_STOP_BACK(BUSY),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PROMOTE] = TO(PROMOTING),
                [MEMBER_EVENT_ORDERED_RETURN] = REFUSED(BUSY),
                ORDERED(TO(SETTLING), BEFORE, BEFORE, BEFORE, TO(RETURNED), BEFORE),
            },
        [MEMBER_SETTLING] =
            {
                NO_HALVES("it runs the new release"),
                NO_STOP_BACK("it runs the new release"),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED("it was promoted"),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED("it was promoted"),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED("it was promoted"),
                [MEMBER_EVENT_ORDERED_RETURN] = TO(REVERTING),
                NO_REPORTS(LATE),
                [MEMBER_EVENT_RECOVERED_READ_ONLY] = REFUSED("it was promoted"),
                [MEMBER_EVENT_RECOVERED] = TO(SOAKING),
                [MEMBER_EVENT_SOAKED] = REFUSED("its recovered gates have not held yet"),
                NO_RETRY,
                GOES,
                PUT_BACK,
                NO_SKIP(CHANGED),
                NO_PROMOTION("it was promoted"),
                WAIVES,
            },
        [MEMBER_SOAKING] =
            {
                NO_HALVES("it runs the new release"),
                [MEMBER_EVENT_ORDERED_STOP_BACK] = TO(HALTING),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED("it was switched"),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED("it was switched"),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED("it is in its end mode"),
                [MEMBER_EVENT_ORDERED_RETURN] = TO(REVERTING),
                NO_REPORTS(LATE),
                [MEMBER_EVENT_RECOVERED_READ_ONLY] = REFUSED("it is in its end mode"),
                [MEMBER_EVENT_RECOVERED] = REFUSED("it soaks already"),
                [MEMBER_EVENT_SOAKED] = TO(DONE),
                NO_RETRY,
                GOES,
                PUT_BACK,
                NO_SKIP(CHANGED),
                NO_PROMOTION("it is in its end mode"),
                WAIVES,
            },
        [MEMBER_DONE] =
            {
                NO_HALVES("it runs the new release"),
                [MEMBER_EVENT_ORDERED_STOP_BACK] = TO(HALTING),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED("it is done"),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED("it is done"),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED("it is done"),
                [MEMBER_EVENT_ORDERED_RETURN] = TO(REVERTING),
                NO_REPORTS(LATE),
                NO_GATES("it is done"),
                NO_RETRY,
                GOES,
                PUT_BACK,
                NO_SKIP("it is done; `run rollback` takes the run back"),
                [MEMBER_EVENT_PROMOTE] =
                    FLAG(
                        "a canary is approved, and the other waves begin; refused when no wave waits for it"),
                WAIVES,
            },
        [MEMBER_FAILED] =
            {
                NO_ORDERS("it failed; `run retry` tries it again"),
                NO_REPORTS(LATE),
                NO_GATES("nothing was changed"),
                [MEMBER_EVENT_RETRY] = BEFORE,
                GOES,
                NO_PUT_BACK("nothing was changed"),
                SKIPS,
                NO_PROMOTION("it failed"),
                WAIVES,
            },
        [MEMBER_RETURNED] =
            {
                NO_ORDERS("its agent went back; a new plan is needed"),
                NO_REPORTS(LATE),
                NO_GATES("its agent went back"),
                [MEMBER_EVENT_RETRY] =
                    REFUSED("its agent did this step and went back, and does a step at most once"),
                GOES,
                NO_PUT_BACK("its agent went back"),
                SKIPS,
                NO_PROMOTION("its agent went back"),
                NO_WAIVER("its agent went back; this run stops it no more"),
            },
        [MEMBER_HELD] =
            {
                NO_HALVES("its agent holds it, with an alarm"),
                NO_STOP_BACK("its agent holds it, stopped"),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED("its agent holds it, with an alarm"),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED("its agent holds it, with an alarm"),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED("its agent holds it, with an alarm"),
                [MEMBER_EVENT_ORDERED_RETURN] = TO(REVERTING),
                NO_REPORTS(LATE),
                NO_GATES("its agent holds it"),
                [MEMBER_EVENT_RETRY] =
                    REFUSED("its agent holds it, with an alarm, until somebody has looked at it"),
                GOES,
                NO_PUT_BACK("its agent holds it"),
                SKIPS,
                NO_PROMOTION("its agent holds it"),
                NO_WAIVER("its agent holds it; this run stops it no more"),
            },
        [MEMBER_REVERTING] =
            {
                NO_HALVES(BUSY),
                NO_STOP_BACK(BUSY),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_RETURN] = TO(REVERTING),
                ORDERED(TO(RECOVERING_BACK), BEFORE, BEFORE, BEFORE, TO(RETURNED), BEFORE),
            },
        [MEMBER_RECOVERING_BACK] =
            {
                NO_ORDERS("it was returned"),
                NO_REPORTS(LATE),
                [MEMBER_EVENT_RECOVERED_READ_ONLY] = REFUSED("it was returned"),
                [MEMBER_EVENT_RECOVERED] = TO(BACK),
                [MEMBER_EVENT_SOAKED] = REFUSED("it was returned"),
                NO_RETRY,
                GOES,
                NO_PUT_BACK("it was returned"),
                NO_SKIP("it was returned"),
                NO_PROMOTION("it was returned"),
                NO_WAIVER("it was returned"),
            },
        [MEMBER_BACK] =
            {
                NO_ORDERS("it was returned"),
                NO_REPORTS(LATE),
                NO_GATES("it was returned"),
                NO_RETRY,
                GOES,
                NO_PUT_BACK("it was returned"),
                NO_SKIP("it was returned"),
                NO_PROMOTION("it was returned"),
                NO_WAIVER("it was returned"),
            },
        [MEMBER_SKIPPED] =
            {
                NO_ORDERS("it is left out of this run"),
                NO_REPORTS(LATE),
                NO_GATES("it is left out of this run"),
                [MEMBER_EVENT_RETRY] = REFUSED("it is left out of this run"),
                GOES,
                NO_PUT_BACK("it is left out of this run"),
                [MEMBER_EVENT_SKIP] = IGNORED("it is left out already"),
                NO_PROMOTION("it is left out of this run"),
                NO_WAIVER("it is left out of this run"),
            },
        [MEMBER_RETIRED] =
            {
                NO_ORDERS("it is gone for good"),
                NO_REPORTS("it is gone for good; what it says is passed over"),
                NO_GATES("it is gone for good"),
                [MEMBER_EVENT_RETRY] = REFUSED("it is gone for good"),
                [MEMBER_EVENT_RETIRE] = IGNORED("it is gone already"),
                NO_PUT_BACK("it is gone for good"),
                NO_SKIP("it is gone for good"),
                NO_PROMOTION("it is gone for good"),
                NO_WAIVER("it is gone for good"),
            },
        [MEMBER_STOPPING] =
            {
                [MEMBER_EVENT_ORDERED_ACT] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_STOP_BACK] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_RETURN] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_STOP] = TO(STOPPING),
                [MEMBER_EVENT_ORDERED_PASS] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_START] = REFUSED(BUSY),
                ORDERED(TO(STOPPED), BEFORE, TO(FAILED), TO(FAILED), TO(RETURNED), TO(QUARANTINED)),
            },
        [MEMBER_STOPPED] =
            {
                AT_BARRIER,
                [MEMBER_EVENT_ORDERED_PASS] = TO(PASSING),
                [MEMBER_EVENT_ORDERED_START] = REFUSED("the barrier is not passed"),
            },
        [MEMBER_PASSING] =
            {
                [MEMBER_EVENT_ORDERED_ACT] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_STOP_BACK] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_RETURN] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_STOP] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PASS] = TO(PASSING),
                [MEMBER_EVENT_ORDERED_START] = REFUSED(BUSY),
                ORDERED(TO(PASSED), BEFORE, BEFORE, BEFORE, TO(RETURNED), BEFORE),
            },
        [MEMBER_PASSED] =
            {
                AT_BARRIER,
                [MEMBER_EVENT_ORDERED_PASS] = REFUSED("it has passed the barrier"),
                [MEMBER_EVENT_ORDERED_START] = TO(STARTING),
            },
        [MEMBER_STARTING] =
            {
                [MEMBER_EVENT_ORDERED_ACT] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_STOP_BACK] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_RETURN] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_STOP] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PASS] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_START] = TO(STARTING),
                ORDERED(TO(RECOVERING), BEFORE, BEFORE, BEFORE, TO(RETURNED), BEFORE),
            },
        [MEMBER_ACTING] =
            {
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_RETURN] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_STOP] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PASS] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_START] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_ACT] = TO(ACTING),
                [MEMBER_EVENT_ORDERED_STOP_BACK] = REFUSED(BUSY),
                ORDERED(BEFORE, BEFORE, BEFORE, BEFORE, TO(RETURNED), BEFORE),
            },
        [MEMBER_HALTING] =
            {
                [MEMBER_EVENT_ORDERED_PREPARE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_SWITCH] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PROMOTE] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_RETURN] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_STOP] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_PASS] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_START] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_ACT] = REFUSED(BUSY),
                [MEMBER_EVENT_ORDERED_STOP_BACK] = TO(HALTING),
                ORDERED(TO(PASSED), BEFORE, BEFORE, BEFORE, TO(RETURNED), BEFORE),
            },
        [MEMBER_QUARANTINED] =
            {
                NO_ORDERS("its agent refuses what failed there before; `run skip` leaves it out"),
                NO_REPORTS(LATE),
                NO_GATES("nothing was changed"),
                [MEMBER_EVENT_RETRY] = BEFORE, /* its agent is asked again */
                GOES,
                NO_PUT_BACK("nothing was changed"),
                SKIPS,
                NO_PROMOTION("it was not switched"),
                WAIVES,
            },
};

struct member_move member_move(enum member_state state, enum member_event event) {
    assert((unsigned)state < MEMBER_STATES && (unsigned)event < MEMBER_EVENTS);
    return moves[state][event];
}

static const struct {
    const char *text;
    bool ordered, in_change, over, changed;
} states[MEMBER_STATES] = {
    [MEMBER_PLANNED] = {"planned", false, false, false, false},
    [MEMBER_PREPARING] = {"preparing", true, false, false, false},
    [MEMBER_PREPARED] = {"prepared", false, false, false, false},
    [MEMBER_SWITCHING] = {"switching", true, true, false, false},
    [MEMBER_RECOVERING] = {"recovering", false, true, false, true},
    [MEMBER_SOAKING_READ_ONLY] = {"soaking read-only", false, true, false, true},
    [MEMBER_PROMOTING] = {"promoting", true, true, false, false},
    [MEMBER_SETTLING] = {"settling", false, true, false, true},
    [MEMBER_SOAKING] = {"soaking", false, true, false, true},
    [MEMBER_DONE] = {"done", false, false, true, true},
    [MEMBER_FAILED] = {"failed", false, false, true, false},
    [MEMBER_RETURNED] = {"returned", false, false, true, false},
    [MEMBER_HELD] = {"held", false, false, true, false},
    [MEMBER_REVERTING] = {"reverting", true, true, false, false},
    [MEMBER_RECOVERING_BACK] = {"recovering back", false, true, false, false},
    [MEMBER_BACK] = {"back", false, false, true, false},
    [MEMBER_SKIPPED] = {"skipped", false, false, true, false},
    [MEMBER_RETIRED] = {"retired", false, false, true, false},
    [MEMBER_STOPPING] = {"stopping", true, true, false, false},
    [MEMBER_STOPPED] = {"stopped", false, true, false, false},
    [MEMBER_PASSING] = {"passing the barrier", true, true, false, false},
    [MEMBER_PASSED] = {"stopped, barrier passed", false, true, false, false},
    [MEMBER_STARTING] = {"starting", true, true, false, false},
    [MEMBER_ACTING] = {"acting", true, true, false, false},
    [MEMBER_HALTING] = {"stopping for the way back", true, true, false, false},
    [MEMBER_QUARANTINED] = {"quarantined", false, false, true, false},
};

const char *member_state_text(enum member_state state) {
    return (unsigned)state < MEMBER_STATES ? states[state].text : "?";
}
bool member_state_is_ordered(enum member_state state) {
    return states[state].ordered;
}
bool member_state_is_in_change(enum member_state state) {
    return states[state].in_change;
}
bool member_state_is_over(enum member_state state) {
    return states[state].over;
}
bool member_state_is_changed(enum member_state state) {
    return states[state].changed;
}

static const char *const event_texts[MEMBER_EVENTS] = {
    [MEMBER_EVENT_ORDERED_PREPARE] = "ordered to prepare",
    [MEMBER_EVENT_ORDERED_SWITCH] = "ordered to switch",
    [MEMBER_EVENT_ORDERED_PROMOTE] = "ordered to promote",
    [MEMBER_EVENT_ORDERED_RETURN] = "ordered to return",
    [MEMBER_EVENT_BEGUN] = "reported: begun",
    [MEMBER_EVENT_REPORTED_DONE] = "reported: done",
    [MEMBER_EVENT_REPORTED_WAITS] = "reported: waits",
    [MEMBER_EVENT_REPORTED_REFUSED] = "reported: refused",
    [MEMBER_EVENT_REPORTED_FAILED] = "reported: failed",
    [MEMBER_EVENT_REPORTED_RETURNED] = "reported: returned",
    [MEMBER_EVENT_REPORTED_HELD] = "reported: held",
    [MEMBER_EVENT_RECOVERED_READ_ONLY] = "recovered, read-only",
    [MEMBER_EVENT_RECOVERED] = "recovered",
    [MEMBER_EVENT_SOAKED] = "soaked",
    [MEMBER_EVENT_RETRY] = "tried again",
    [MEMBER_EVENT_SKIP] = "skipped",
    [MEMBER_EVENT_RETIRE] = "retired",
    [MEMBER_EVENT_PROMOTE] = "promoted by an operator's word",
    [MEMBER_EVENT_WAIVE] = "a gate was waived",
    [MEMBER_EVENT_ORDERED_STOP] = "ordered to stop",
    [MEMBER_EVENT_ORDERED_PASS] = "ordered to pass the barrier",
    [MEMBER_EVENT_ORDERED_START] = "ordered to start",
    [MEMBER_EVENT_ORDERED_ACT] = "ordered to act",
    [MEMBER_EVENT_ORDERED_STOP_BACK] = "ordered to stop for the way back",
    [MEMBER_EVENT_PUT_BACK] = "put back by other hands",
    [MEMBER_EVENT_REPORTED_QUARANTINED] = "reported: quarantined",
};

const char *member_event_text(enum member_event event) {
    return (unsigned)event < MEMBER_EVENTS ? event_texts[event] : "?";
}

enum member_event member_event_of_outcome(enum outcome outcome) {
    switch (outcome) {
    case OUTCOME_DONE: return MEMBER_EVENT_REPORTED_DONE;
    case OUTCOME_WAITS: return MEMBER_EVENT_REPORTED_WAITS;
    case OUTCOME_REFUSED: return MEMBER_EVENT_REPORTED_REFUSED;
    case OUTCOME_FAILED: return MEMBER_EVENT_REPORTED_FAILED;
    case OUTCOME_RETURNED: return MEMBER_EVENT_REPORTED_RETURNED;
    case OUTCOME_HELD: return MEMBER_EVENT_REPORTED_HELD;
    case OUTCOME_QUARANTINED: return MEMBER_EVENT_REPORTED_QUARANTINED;
    case OUTCOME_NONE:
    case OUTCOME_BEGUN: break;
    }
    return MEMBER_EVENT_BEGUN;
}
