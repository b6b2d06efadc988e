/* A rehearsal that people look at: what somebody wants to happen in it, and what is told while it goes on.
 *
 * Nothing here decides what engine and agents do. What is told is read off the model and the engine after every event. */
#ifndef KEDGE_REHEARSAL_STAGE_H
#define KEDGE_REHEARSAL_STAGE_H

#include "common/base/error.h"
#include "coordinator/engine/run_machine.h"
#include "coordinator/rehearsal/rehearsal.h"

/* ---- what is told ---- */

enum note_kind {
    NOTE_RUN,      /* what the run as a whole does */
    NOTE_MEMBER,   /* how far a member is, as the engine knows it */
    NOTE_SERVICE,  /* what its service does, as it is */
    NOTE_WAIT,     /* why nothing goes on */
    NOTE_SIDE,     /* a side action is opened or put back */
    NOTE_FAULT,    /* what somebody wanted to happen, happens */
    NOTE_OPERATOR, /* a word, and what came of it */
    NOTE_AGENT,    /* an agent is away or back; the coordinator is */
};
enum { NOTE_KINDS = 8 };
const char *note_kind_text(enum note_kind kind);

/* Pointers are valid during the call. */
struct rehearsal_note {
    enum note_kind kind;
    uint64_t after_us;  /* since the plan was applied */
    const char *wave;   /* "" none */
    const char *member; /* "shop/server@n3", "" none */
    const char *text;
};
typedef void rehearsal_see_fn(void *context, const struct rehearsal_note *note);

/* One for each work order, filled in until the run comes to rest. */
struct rehearsal_member {
    uint64_t away_us; /* how long its service did not serve */
    uint32_t n_stops;
    const char *state;   /* at the end, as the engine has it */
    const char *mode;    /* as it is */
    const char *version; /* that it runs, "" when it does not run */
};

/* ---- what is wanted ---- */

enum staged_kind {
    STAGED_START_FAILS,
    STAGED_START_HANGS,
    STAGED_STOP_HANGS,
    STAGED_SLOW,
    STAGED_CRASH,
    STAGED_EMPTY,
    STAGED_HOST_DIES,
    STAGED_AGENT_DIES,
    STAGED_AGENT_AWAY,
    STAGED_PARTITION,
    STAGED_COORDINATOR_DIES,
    STAGED_GATE_NO,
    STAGED_GATE_UNKNOWN,
    STAGED_FLAP,
    STAGED_DISK_FULL,
    STAGED_JOURNAL_LOST,
    STAGED_SIDE_BACK,
    STAGED_WORD, /* of an operator */
};
enum { STAGED_KINDS = 18 };

struct staged_fault {
    const char *name, *says; /* one sentence */
    const char *when;        /* when it strikes if nothing else is said: a moment, see struct staged */
};
const struct staged_fault *staged_fault_of(enum staged_kind kind); /* NULL for STAGED_WORD */

/* Moments: "prepare", "switch", "promote", "return", "stop", "start" (a member does that step, and was told to stop for it;
 * in a downtime "switch" is "stop" or "start"),
 * "soak" (it soaks), "pause" and "end" (of the run). */
struct staged {
    enum staged_kind kind;
    const char *says;          /* as it was given, for what is told */
    const char *member;        /* whom it is about; NULL: the first to whom it can happen */
    const char *moment;        /* NULL: `at_us` counts */
    const char *moment_member; /* whose moment; NULL: of `member`, or of the first one that comes to it */
    uint64_t at_us;            /* since the plan was applied */
    uint64_t lasts_us;
    enum run_event word; /* STAGED_WORD, as the next */
    const char *gate;    /* of a waiver */
};

enum { STAGED_MAX = 32 };
struct rehearsal_stage {
    bool
        alone; /* no random fault beside them, and it is over when the run ends or pauses and nothing else is to come */
    const struct staged *items;
    size_t n_items; /* at most STAGED_MAX */
    /* An operator approves a canary that is done, so long after that; UINT64_MAX: nobody does, and the run waits. */
    uint64_t approve_us;
    bool *struck;          /* by item: it has happened; NULL: nobody asks */
    rehearsal_see_fn *see; /* NULL: nobody looks on */
    void *context;
    struct rehearsal_member *members; /* by work order; NULL: nobody asks */
    uint32_t *most_away;              /* members that did not serve at once, at most; NULL: nobody asks */
};

/* -E2BIG with a sentence for a plan that the model has no room for. */
int rehearsal_fits(const struct verified_plan *plan, struct error *err) _must_check_;

/* A plan that reads from `plan`, which must outlive it; counts as signed by enough. NULL when memory is out. */
struct verified_plan *rehearsal_plan_borrow(const struct verified_plan *plan);

/* What the model makes of a gate, in one sentence. */
const char *rehearsal_gate_model(const struct verified_plan *plan, size_t gate);

#endif
