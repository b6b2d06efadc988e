/* Why pause, abort and rollback are flags and no states: they may come at any time and must not make the run forget
 * where it was. What they hold back is asked where something new would begin (advance.c), nowhere else. */
#include "coordinator/engine/run_machine.h"

#include <assert.h>
#include <stddef.h>

#define TO(state)                                                                                            \
    { RUN_MOVE_TO, RUN_##state, NULL }
#define FLAG(text)                                                                                           \
    { RUN_MOVE_FLAG, 0, text }
#define IGNORED(text)                                                                                        \
    { RUN_MOVE_IGNORED, 0, text }
#define REFUSED(text)                                                                                        \
    { RUN_MOVE_REFUSED, 0, text }

#define MEMBER                                                                                               \
    { RUN_MOVE_MEMBER, 0, NULL }

/* Words about one member: while the run changes members, and when it no longer does. */
#define MEMBERS(promote)                                                                                     \
    [RUN_EVENT_RETRY] = MEMBER, [RUN_EVENT_SKIP] = MEMBER, [RUN_EVENT_RETIRE] = MEMBER,                      \
    [RUN_EVENT_PROMOTE] = promote, [RUN_EVENT_WAIVE] = MEMBER
#define NO_MEMBERS(text)                                                                                     \
    [RUN_EVENT_RETRY] = REFUSED(text), [RUN_EVENT_SKIP] = REFUSED(text), [RUN_EVENT_RETIRE] = MEMBER,        \
    [RUN_EVENT_PROMOTE] = REFUSED(text), [RUN_EVENT_WAIVE] = REFUSED(text)

/* What an operator may say about the whole run, and a newer plan. */
#define WORDS                                                                                                \
    [RUN_EVENT_PAUSE] = FLAG("nothing new begins; what is in flight finishes"),                              \
    [RUN_EVENT_RESUME] = FLAG("it goes on, and what failed is tried again; refused when it is not paused"),  \
    [RUN_EVENT_ABORT] = FLAG("for good: what is in flight finishes or returns, then the closing moves"),     \
    [RUN_EVENT_SUPERSEDE] = FLAG("as aborted, and the newer plan waits for its end")
#define CLOSES "the run closes its side actions by itself, and nothing else begins"
#define ENDED "the run has ended; `run rollback` takes it back, or make a new plan"

#define NOT_CLOSING "side actions are closed when the run ends; only then one can be left"
#define NOT_NOW "it does not happen in this state"

static const struct run_move moves[RUN_STATES][RUN_EVENTS] =
    {
        [RUN_PREPARING] =
            {
                [RUN_EVENT_PREPARED] = TO(OPENING),
                [RUN_EVENT_PREPARE_FAILED] = TO(CLOSING),
                [RUN_EVENT_OPENED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPEN_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_WAVES_OVER] = REFUSED(NOT_NOW),
                [RUN_EVENT_CANARY_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_ABORTED] = TO(CLOSING),
                [RUN_EVENT_ROLLS_BACK] = REFUSED(NOT_NOW),
                [RUN_EVENT_ALL_BACK] = REFUSED(NOT_NOW),
                [RUN_EVENT_CLOSED] = REFUSED(NOT_NOW),
                WORDS,
                [RUN_EVENT_ROLLBACK] = REFUSED("nothing was changed yet; `run abort` ends the run"),
                MEMBERS(MEMBER),
                [RUN_EVENT_CLEAR] = REFUSED(NOT_NOW),
                [RUN_EVENT_LEAVE] = REFUSED(NOT_CLOSING),
            },
        [RUN_OPENING] =
            {
                [RUN_EVENT_PREPARED] = REFUSED(NOT_NOW),
                [RUN_EVENT_PREPARE_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPENED] = TO(WAVES),
                [RUN_EVENT_OPEN_FAILED] = TO(CLOSING),
                [RUN_EVENT_WAVES_OVER] = REFUSED(NOT_NOW),
                [RUN_EVENT_CANARY_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_ABORTED] = TO(CLOSING),
                [RUN_EVENT_ROLLS_BACK] = TO(RETURNING),
                [RUN_EVENT_ALL_BACK] = REFUSED(NOT_NOW),
                [RUN_EVENT_CLOSED] = REFUSED(NOT_NOW),
                WORDS,
                [RUN_EVENT_ROLLBACK] = REFUSED("no member was changed yet; `run abort` ends the run"),
                MEMBERS(MEMBER),
                [RUN_EVENT_CLEAR] = REFUSED(NOT_NOW),
                [RUN_EVENT_LEAVE] = REFUSED(NOT_CLOSING),
            },
        [RUN_WAVES] =
            {
                [RUN_EVENT_PREPARED] = REFUSED(NOT_NOW),
                [RUN_EVENT_PREPARE_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPENED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPEN_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_WAVES_OVER] = TO(CLOSING),
                [RUN_EVENT_CANARY_FAILED] = TO(CLOSING),
                [RUN_EVENT_ABORTED] = TO(CLOSING),
                [RUN_EVENT_ROLLS_BACK] = TO(RETURNING),
                [RUN_EVENT_ALL_BACK] = REFUSED(NOT_NOW),
                [RUN_EVENT_CLOSED] = REFUSED(NOT_NOW),
                WORDS,
                [RUN_EVENT_ROLLBACK] = FLAG("what is in flight finishes, then the changed members go back"),
                MEMBERS(MEMBER),
                [RUN_EVENT_CLEAR] = REFUSED(NOT_NOW),
                [RUN_EVENT_LEAVE] = REFUSED(NOT_CLOSING),
            },
        [RUN_RETURNING] =
            {
                [RUN_EVENT_PREPARED] = REFUSED(NOT_NOW),
                [RUN_EVENT_PREPARE_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPENED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPEN_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_WAVES_OVER] = REFUSED(NOT_NOW),
                [RUN_EVENT_CANARY_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_ABORTED] = TO(CLOSING),
                [RUN_EVENT_ROLLS_BACK] = IGNORED("it rolls back already"),
                [RUN_EVENT_ALL_BACK] = TO(CLOSING),
                [RUN_EVENT_CLOSED] = REFUSED(NOT_NOW),
                WORDS,
                [RUN_EVENT_ROLLBACK] = IGNORED("it rolls back already"),
                MEMBERS(REFUSED("the run goes back; nothing is promoted")),
                [RUN_EVENT_CLEAR] = REFUSED(NOT_NOW),
                [RUN_EVENT_LEAVE] = REFUSED(NOT_CLOSING),
            },
        [RUN_CLOSING] =
            {
                [RUN_EVENT_PREPARED] = REFUSED(NOT_NOW),
                [RUN_EVENT_PREPARE_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPENED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPEN_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_WAVES_OVER] = REFUSED(NOT_NOW),
                [RUN_EVENT_CANARY_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_ABORTED] = IGNORED("it closes already"),
                [RUN_EVENT_ROLLS_BACK] = REFUSED(NOT_NOW),
                [RUN_EVENT_ALL_BACK] = REFUSED(NOT_NOW),
                [RUN_EVENT_CLOSED] = TO(ENDED),
                [RUN_EVENT_PAUSE] = REFUSED(CLOSES),
                [RUN_EVENT_RESUME] = REFUSED(CLOSES),
                [RUN_EVENT_ABORT] =
                    IGNORED(CLOSES "; `run waive` with its close step leaves one that cannot be closed"),
                [RUN_EVENT_ROLLBACK] = REFUSED(CLOSES "; ask again when it has ended"),
                NO_MEMBERS(CLOSES "; make a new plan when it has ended"),
                [RUN_EVENT_CLEAR] = REFUSED(NOT_NOW),
                [RUN_EVENT_SUPERSEDE] = IGNORED("it closes already"),
                [RUN_EVENT_LEAVE] = FLAG("the run ends without closing it"),
            },
        [RUN_ENDED] =
            {
                [RUN_EVENT_PREPARED] = REFUSED(NOT_NOW),
                [RUN_EVENT_PREPARE_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPENED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPEN_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_WAVES_OVER] = REFUSED(NOT_NOW),
                [RUN_EVENT_CANARY_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_ABORTED] = REFUSED(NOT_NOW),
                [RUN_EVENT_ROLLS_BACK] = REFUSED(NOT_NOW),
                [RUN_EVENT_ALL_BACK] = REFUSED(NOT_NOW),
                [RUN_EVENT_CLOSED] = REFUSED(NOT_NOW),
                [RUN_EVENT_PAUSE] = REFUSED(ENDED),
                [RUN_EVENT_RESUME] = REFUSED(ENDED),
                [RUN_EVENT_ABORT] = REFUSED(ENDED),
                [RUN_EVENT_ROLLBACK] = TO(OPENING),
                NO_MEMBERS("the run has ended; make a new plan"),
                [RUN_EVENT_CLEAR] = REFUSED(NOT_NOW),
                [RUN_EVENT_SUPERSEDE] = REFUSED("the run has ended"),
                [RUN_EVENT_LEAVE] = REFUSED("the run has ended"),
            },
        [RUN_WAITING] =
            {
                [RUN_EVENT_PREPARED] = REFUSED(NOT_NOW),
                [RUN_EVENT_PREPARE_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPENED] = REFUSED(NOT_NOW),
                [RUN_EVENT_OPEN_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_WAVES_OVER] = REFUSED(NOT_NOW),
                [RUN_EVENT_CANARY_FAILED] = REFUSED(NOT_NOW),
                [RUN_EVENT_ABORTED] = TO(CLOSING),
                [RUN_EVENT_ROLLS_BACK] = REFUSED(NOT_NOW),
                [RUN_EVENT_ALL_BACK] = REFUSED(NOT_NOW),
                [RUN_EVENT_CLOSED] = REFUSED(NOT_NOW),
                WORDS,
                [RUN_EVENT_ROLLBACK] = REFUSED("nothing was changed yet; `run abort` ends the run"),
                MEMBERS(MEMBER),
                [RUN_EVENT_CLEAR] = TO(PREPARING),
                [RUN_EVENT_LEAVE] = REFUSED(NOT_CLOSING),
            },
};

struct run_move run_move(enum run_state state, enum run_event event) {
    assert((unsigned)state < RUN_STATES && (unsigned)event < RUN_EVENTS);
    return moves[state][event];
}

const char *run_state_text(enum run_state state) {
    static const char *const texts[RUN_STATES] = {
        [RUN_PREPARING] = "preparing", [RUN_OPENING] = "opening", [RUN_WAVES] = "waves",
        [RUN_RETURNING] = "returning", [RUN_CLOSING] = "closing", [RUN_ENDED] = "ended",
        [RUN_WAITING] = "waiting",
    };
    return (unsigned)state < RUN_STATES ? texts[state] : "?";
}

const char *run_event_text(enum run_event event) {
    static const char *const texts[RUN_EVENTS] = {
        [RUN_EVENT_PREPARED] = "all members are prepared",
        [RUN_EVENT_PREPARE_FAILED] = "a member could not be prepared",
        [RUN_EVENT_OPENED] = "side actions are in force",
        [RUN_EVENT_OPEN_FAILED] = "a side action could not be opened",
        [RUN_EVENT_WAVES_OVER] = "all waves are over",
        [RUN_EVENT_CANARY_FAILED] = "the canary failed",
        [RUN_EVENT_ABORTED] = "aborted",
        [RUN_EVENT_ROLLS_BACK] = "rolls back",
        [RUN_EVENT_ALL_BACK] = "all members are back",
        [RUN_EVENT_CLOSED] = "ended",
        [RUN_EVENT_PAUSE] = "paused",
        [RUN_EVENT_RESUME] = "resumed",
        [RUN_EVENT_ABORT] = "abort asked",
        [RUN_EVENT_ROLLBACK] = "rollback asked",
        [RUN_EVENT_RETRY] = "retry asked",
        [RUN_EVENT_SKIP] = "skip asked",
        [RUN_EVENT_RETIRE] = "retire asked",
        [RUN_EVENT_PROMOTE] = "promotion asked",
        [RUN_EVENT_WAIVE] = "gate waived",
        [RUN_EVENT_CLEAR] = "no other run is in its way",
        [RUN_EVENT_SUPERSEDE] = "superseded by a newer plan",
        [RUN_EVENT_LEAVE] = "a side action is left open",
    };
    return (unsigned)event < RUN_EVENTS ? texts[event] : "?";
}

const char *run_verdict_text(enum run_verdict verdict) {
    static const char *const texts[VERDICTS] = {
        [VERDICT_NONE] = "none",
        [VERDICT_DONE] = "done",
        [VERDICT_FAILED] = "failed",
        [VERDICT_ABORTED] = "aborted",
        [VERDICT_ROLLED_BACK] = "rolled-back",
        [VERDICT_SUPERSEDED] = "superseded",
    };
    return (unsigned)verdict < VERDICTS ? texts[verdict] : "?";
}
