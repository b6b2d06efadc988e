/* The machine of one member in a run: which states there are, and what each event does in each of them.
 *
 *                 prepare            switch                 (canary: starts read-only)
 *   PLANNED ─▶ PREPARING ─▶ PREPARED ─▶ SWITCHING ─▶ RECOVERING ─▶ SOAKING_READ_ONLY
 *                              ▲           │ │                        │ promote
 *                        WAITS └───────────┘ │                        ▼
 *                                            │              PROMOTING ─▶ SETTLING ─▶ SOAKING ─▶ DONE
 *                                            │     (rolling: RECOVERING ─────────────▶ SOAKING)
 *                                            ▼
 *       FAILED (nothing was stopped) · RETURNED (by its own agent) · HELD (by its own agent, with an alarm)
 *
 *   QUARANTINED (by prepare, switch or stop): its agent refuses what failed on its node before; nothing was changed.
 *   By an operator's word: SKIPPED (left out of the run) and RETIRED (gone for good; from every state).
 *
 *   `run rollback`, from RECOVERING … DONE:   return ─▶ REVERTING ─▶ RECOVERING_BACK ─▶ BACK
 *
 *   A downtime:  PREPARED ─stop▶ STOPPING ─▶ STOPPED ─pass▶ PASSING ─▶ PASSED ─start▶ STARTING ─▶ RECOVERING
 *                                              └── return, or its hold limit is over ──▶ REVERTING … · RETURNED
 *                STOPPED and PASSED ─act▶ ACTING ─▶ as before
 *   Its rollback:  RECOVERING … DONE ─stop back▶ HALTING ─▶ PASSED ─act▶ … ─return▶ REVERTING ─▶ RECOVERING_BACK ─▶ BACK
 *
 * Every (state, event) pair is answered in member.c: it moves, is ignored on purpose, or is refused with a reason. */
#ifndef KEDGE_ENGINE_MEMBER_H
#define KEDGE_ENGINE_MEMBER_H

#include "common/base/words.h"

enum member_state {
    MEMBER_PLANNED,
    MEMBER_PREPARING,
    MEMBER_PREPARED,
    MEMBER_SWITCHING,
    MEMBER_RECOVERING,
    MEMBER_SOAKING_READ_ONLY,
    MEMBER_PROMOTING,
    MEMBER_SETTLING,
    MEMBER_SOAKING,
    MEMBER_DONE,
    MEMBER_FAILED,
    MEMBER_RETURNED,
    MEMBER_HELD,
    MEMBER_REVERTING,
    MEMBER_RECOVERING_BACK,
    MEMBER_BACK,
    MEMBER_SKIPPED,
    MEMBER_RETIRED,
    MEMBER_STOPPING, /* a downtime, from here to STARTING */
    MEMBER_STOPPED,
    MEMBER_PASSING,
    MEMBER_PASSED,
    MEMBER_STARTING,
    MEMBER_ACTING,  /* a named action, while all are down */
    MEMBER_HALTING, /* the first half of the way back of a whole cluster: down again */
    MEMBER_QUARANTINED,
};
enum { MEMBER_STATES = 26 };

/* Numbers of MEMBER_EVENT records are in journals: append only. */
enum member_event {
    MEMBER_EVENT_ORDERED_PREPARE,
    MEMBER_EVENT_ORDERED_SWITCH,
    MEMBER_EVENT_ORDERED_PROMOTE,
    MEMBER_EVENT_ORDERED_RETURN,
    MEMBER_EVENT_BEGUN, /* from here to HELD: reports, see enum outcome */
    MEMBER_EVENT_REPORTED_DONE,
    MEMBER_EVENT_REPORTED_WAITS,
    MEMBER_EVENT_REPORTED_REFUSED,
    MEMBER_EVENT_REPORTED_FAILED,
    MEMBER_EVENT_REPORTED_RETURNED,
    MEMBER_EVENT_REPORTED_HELD,
    MEMBER_EVENT_RECOVERED_READ_ONLY, /* the recovered gates held; a promotion follows */
    MEMBER_EVENT_RECOVERED,           /* the recovered gates held; it is in its end mode, or back */
    MEMBER_EVENT_SOAKED,
    MEMBER_EVENT_RETRY, /* `run retry`, or `run resume`, after a failure that changed nothing */
    MEMBER_EVENT_SKIP,  /* operators' words, from here to WAIVE */
    MEMBER_EVENT_RETIRE,
    MEMBER_EVENT_PROMOTE, /* the read-only soak is ended now */
    MEMBER_EVENT_WAIVE,   /* one gate is set aside for its stop */
    MEMBER_EVENT_ORDERED_STOP,
    MEMBER_EVENT_ORDERED_PASS,
    MEMBER_EVENT_ORDERED_START,
    MEMBER_EVENT_ORDERED_ACT, /* "act NAME", "restore NAME" */
    MEMBER_EVENT_ORDERED_STOP_BACK,
    MEMBER_EVENT_PUT_BACK, /* seen when its node was returned: other hands have started what ran before */
    MEMBER_EVENT_REPORTED_QUARANTINED,
};
enum { MEMBER_EVENTS = 26 };

enum move_kind {
    MOVE_UNANSWERED, /* a hole in the table; a test looks for it */
    MOVE_TO,
    MOVE_BEFORE, /* to the state before the last order */
    MOVE_FLAG,   /* something is noted, the state stays */
    MOVE_IGNORED,
    MOVE_REFUSED,
};

struct member_move {
    enum move_kind kind;
    enum member_state to;
    const char *why; /* of ignored and refused */
};

struct member_move member_move(enum member_state state, enum member_event event);

const char *member_state_text(enum member_state state); /* "soaking read-only" */
const char *member_event_text(enum member_event event);

/* An order is in flight: the agent has it or will get it. */
bool member_state_is_ordered(enum member_state state);

/* From the order to switch until done: counts against the wave's limit and domain. */
bool member_state_is_in_change(enum member_state state);

/* It is part of the run no longer: gone for good. */
static inline bool member_state_is_gone(enum member_state state) {
    return state == MEMBER_RETIRED;
}

/* Nothing more is done with it in a wave. */
bool member_state_is_over(enum member_state state);

/* It runs the new release, so `run rollback` has something to return. */
bool member_state_is_changed(enum member_state state);

enum member_event member_event_of_outcome(enum outcome outcome);

#endif
