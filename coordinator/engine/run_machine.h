/* The machine of a run: one execution of one plan.
 *
 *   PREPARING ─▶ OPENING ─▶ WAVES ──────────────▶ CLOSING ─▶ ENDED (with a verdict)
 *       │           │         │ rollback             ▲  ▲       │ rollback
 *       │           │         ▼                      │  │       ▼
 *       │           │      RETURNING ────────────────┘  │    OPENING ─▶ RETURNING
 *       └───────────┴── failed, aborted ────────────────┘
 *
 * A run that another one is in the way of (of the same cluster, which it supersedes, or of one that it depends on or that
 * depends on it) begins as WAITING ─▶ PREPARING.
 *
 * Whatever the way, CLOSING lies on it: side actions go back to their previous value at every end. `paused`,
 * `aborting` and `rollback` are flags beside the state: paused holds back new changes only, the other two latch.
 * Every (state, event) pair is answered in run_machine.c. */
#ifndef KEDGE_ENGINE_RUN_MACHINE_H
#define KEDGE_ENGINE_RUN_MACHINE_H

#include <stdbool.h>

enum run_state {
    RUN_PREPARING, /* all members are prepared before the first stop */
    RUN_OPENING,   /* side actions, one after the other */
    RUN_WAVES,
    RUN_RETURNING, /* `run rollback`: the waves in reverse */
    RUN_CLOSING,
    RUN_ENDED,
    RUN_WAITING, /* for another run to end; nothing was begun */
};
enum { RUN_STATES = 7 };

/* Numbers are in journals: append only. */
enum run_event {
    RUN_EVENT_PREPARED,       /* all members are */
    RUN_EVENT_PREPARE_FAILED, /* of one member; nothing was changed anywhere */
    RUN_EVENT_OPENED,         /* all side actions are in force */
    RUN_EVENT_OPEN_FAILED,
    RUN_EVENT_WAVES_OVER,
    RUN_EVENT_CANARY_FAILED,
    RUN_EVENT_ABORTED,    /* abort was asked and no order is in flight any more */
    RUN_EVENT_ROLLS_BACK, /* rollback was asked and no order is in flight any more */
    RUN_EVENT_ALL_BACK,
    RUN_EVENT_CLOSED, /* every side action has its previous value */
    RUN_EVENT_PAUSE,  /* flags, from here on; the text is the reason */
    RUN_EVENT_RESUME,
    RUN_EVENT_ABORT,
    RUN_EVENT_ROLLBACK,
    RUN_EVENT_RETRY,     /* about one member, from here to WAIVE: it tries again what it failed at */
    RUN_EVENT_SKIP,      /* it is left out of the run */
    RUN_EVENT_RETIRE,    /* it is gone for good: never asked, never counted, never waited for */
    RUN_EVENT_PROMOTE,   /* its read-only soak is ended now */
    RUN_EVENT_WAIVE,     /* one gate is set aside for its stop, until a time */
    RUN_EVENT_CLEAR,     /* no other run is in its way any more */
    RUN_EVENT_SUPERSEDE, /* a newer plan overtakes it: it drains as on abort, whatever state it is in */
    RUN_EVENT_LEAVE,     /* operators signed that one of its side actions is not closed by it */
};
enum { RUN_EVENTS = 22 };

enum run_move_kind {
    RUN_MOVE_UNANSWERED, /* a hole in the table; a test looks for it */
    RUN_MOVE_TO,
    RUN_MOVE_FLAG,    /* sets its flag, the state stays */
    RUN_MOVE_MEMBER,  /* the member's machine answers */
    RUN_MOVE_IGNORED, /* on purpose */
    RUN_MOVE_REFUSED,
};

struct run_move {
    enum run_move_kind kind;
    enum run_state to;
    const char *why; /* of ignored and refused */
};

struct run_move run_move(enum run_state state, enum run_event event);

const char *run_state_text(enum run_state state);
const char *run_event_text(enum run_event event);

enum run_verdict {
    VERDICT_NONE,
    VERDICT_DONE,
    VERDICT_FAILED,
    VERDICT_ABORTED,
    VERDICT_ROLLED_BACK,
    VERDICT_SUPERSEDED
};
enum { VERDICTS = 6 };
const char *run_verdict_text(enum run_verdict verdict);

#endif
