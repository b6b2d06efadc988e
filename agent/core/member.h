/* One member on its node, as a machine that decides and does nothing: events in, actions out, time in the event. The
 * executor performs the actions in their order and brings back what came of them.
 *
 *                     order               last row done
 *            IDLE ───────────▶ FORWARD ─────────────────▶ IDLE   (done; before any change also: waits, failed)
 *             ▲ ▲                │ │
 *             │ │ proven         │ │ a row failed after the stop and
 *             │ └── RETURNING ◀──┘ ├── its word is hold ───────────▶ HOLDING ──▶ HELD   (what runs is stopped first)
 *             │         │          └── the way back is closed ─────────────────▶ HELD   (what runs is left as it is)
 *             │         └── the return failed ─────────────────────────────────▶ HELD
 *             └──────────── order: return, or a newer plan ────────────────────── HELD
 *
 *   A downtime: FORWARD ── step stop is done ──▶ BARRIER ── step start ──▶ FORWARD. At the barrier the order stays open and
 * a deadline runs, the signed hold limit. Before the step `pass` was done its end leads to RETURNING; after it the member
 * stays down, with an alarm, until it is ordered to start or to return: others may have gone on by then.
 *
 * The machine borrows the order of its open step until the step is concluded. */
#ifndef KEDGE_AGENT_CORE_MEMBER_H
#define KEDGE_AGENT_CORE_MEMBER_H

#include "agent/core/primitives.h"
#include "common/plan/work_order.h"

enum machine_state {
    MACHINE_IDLE,
    MACHINE_FORWARD,
    MACHINE_RETURNING,
    MACHINE_HOLDING,
    MACHINE_HELD,
    MACHINE_BARRIER
};
enum { MACHINE_STATES = 6 };

enum barrier { BARRIER_NONE, BARRIER_STOPPED, BARRIER_PASSED };
enum { BARRIERS = 3 };
const char *machine_state_text(enum machine_state state);

/* What the journal keeps of a machine: enough to go on after a crash, with the order beside it. */
struct machine_record {
    enum machine_state state;
    uint32_t row; /* of the step (FORWARD) or of the way back (RETURNING) */
    bool changed; /* this step has begun something that changes the member */
    bool stopped; /* this step has sent the stop signal, or may have */
    bool held;    /* it was held when this step began, or is */
    bool
        started_new; /* in this plan: a generation other than the one found running was started, or may have been */
    bool promoted;        /* in this plan: it was started read-write, or may have been */
    uint64_t serial;      /* the plan that the two above speak of */
    uint32_t generation;  /* index in the order of what was proven last; meaningful with `outcome` */
    enum outcome outcome; /* of the step that this record concludes; NONE while it is open */
    uint64_t
        stopped_at_us; /* monotonic: the stop signal was sent then, or the agent died in that moment; 0: not */
    uint64_t interruption_us; /* see struct report */
    uint64_t evidence_age_us;
    char reason[KEDGE_REASON_MAX]; /* why it ended, returns or is held; "" none */
    bool blames;            /* this step has failed, or returns, by what it has started and by nothing else */
    enum barrier barrier;   /* of a downtime: how far */
    uint64_t hold_until_us; /* monotonic: the end of the hold limit; meaningful with `barrier` */
    uint64_t barrier_serial; /* of the plan at whose barrier it is; meaningful with `barrier` */
    bool
        adopts; /* this step, or the last one, only proves what other hands have started: it changes nothing */
    uint64_t held_serial; /* of the plan in which it came to be held; meaningful with `held` */
};

enum machine_event_kind {
    MACHINE_EVENT_ORDER,  /* a verified order for this member, its binding facts compared */
    MACHINE_EVENT_ANSWER, /* of the row under way: yes is done, no and unknown as the row's primitive says */
    MACHINE_EVENT_FAILED, /* the row under way cannot succeed any more */
    MACHINE_EVENT_STALE,  /* the stop was not carried out: the answers before it were too old by then */
    MACHINE_EVENT_PROGRESS,     /* start, observe: a line of output that counts as progress */
    MACHINE_EVENT_ENDED,        /* the member's process ended and nobody here had asked for it */
    MACHINE_EVENT_TIME,         /* nothing but the time */
    MACHINE_EVENT_LATCH,        /* an abort of the member's plan */
    MACHINE_EVENT_RECOVERED,    /* the agent has started and looked; once, before all other events */
    MACHINE_EVENT_JOURNAL_LOST, /* the journal can no longer be written */
};
enum { MACHINE_EVENTS = 10 };

struct machine_event {
    enum machine_event_kind kind;
    uint64_t now_us;    /* monotonic */
    const char *reason; /* ANSWER, FAILED, ENDED: one sentence; may be NULL */
    bool blames;        /* FAILED, ENDED: by itself, not by this node nor by other hands */

    /* ORDER */
    const struct work_order *order;
    const struct step *step;
    const char
        *refused; /* NULL, or why the executor would not act on it (differences to the signed facts, paths) */
    bool latched; /* its plan was aborted */
    bool
        runs_already; /* exactly what the step would start runs, started by other hands: it is proven, not done again */

    /* ANSWER, FAILED, STALE: which action they answer; others are ignored */
    uint32_t op;
    enum answer answer;
    uint64_t age_us;   /* of the oldest evidence; of a stop: how long ago the signal was sent */
    uint64_t limit_us; /* how old the evidence may be when it is used; 0: no limit */
    bool untouched;    /* FAILED of a stop: the process was not signalled; of a start: nothing was started */

    /* RECOVERED */
    bool same_boot;
    bool running;                /* a process of this member is alive */
    uint32_t running_generation; /* index in the order; UINT32_MAX: another one */
    /* It is not the process that the journal names: started by an agent whose journal was lost, or by hand. */
    bool other;
};

enum machine_action_kind {
    MACHINE_ACTION_JOURNAL, /* write `record`, and sync it before the next action where `sync` */
    MACHINE_ACTION_EXECUTE, /* begin `row`, or ask again; answer with `op`. A stop writes `record` with its own time in
                     * stopped_at_us (no sync) and sends the signal at once after it, so that the next agent can tell
                     * "never signalled" from "signalled, maybe" */
    MACHINE_ACTION_KILL,   /* the stop under way: SIGKILL now */
    MACHINE_ACTION_REPORT, /* send `outcome`; for all but BEGUN it was journaled just before */
    MACHINE_ACTION_ALARM,  /* a person is needed: `reason` */
};

struct machine_action {
    enum machine_action_kind kind;
    struct machine_record record; /* JOURNAL, EXECUTE of a stop */
    bool sync;
    const struct row *row; /* EXECUTE; valid until the step is concluded */
    uint32_t op;
    uint32_t attempt; /* 0: the first time; later ones look or ask again */
    uint64_t
        not_after_us; /* stop: later than this the evidence is too old: do nothing, answer STALE; 0: no limit */
    enum outcome outcome; /* REPORT */
    const char *reason;   /* REPORT, ALARM: points into the machine, valid until its next step */
};

/* No event leads to more. */
enum { MACHINE_ACTIONS_MAX = 8 };
struct machine_actions {
    struct machine_action items[MACHINE_ACTIONS_MAX];
    size_t n;
};

enum { RETURN_ROWS_MAX = KEDGE_ROWS_MAX };

struct member_machine {
    struct machine_record record;
    const struct work_order *order; /* of the open step; NULL when none is open */
    const struct step *step;
    struct row way[RETURN_ROWS_MAX]; /* the way back of the open step */
    size_t n_way;
    struct row hold; /* the one row of HOLDING */
    bool latched;    /* the open step's plan was aborted */
    bool journal_lost;
    bool recovered; /* false until MACHINE_EVENT_RECOVERED: other events are refused */

    /* the row under way */
    uint32_t op, attempt, stale;
    bool killed;
    bool was_started_new, was_promoted; /* before the row */
    bool asking;                        /* EXECUTE is out and not answered */
    uint64_t begun_us, deadline_us, cap_us, poll_us;
    uint64_t held_since_us;                  /* an asking row: since when yes; 0: not */
    uint64_t evidence_us, evidence_limit_us; /* of the last answer before the stop */
    char said[KEDGE_REASON_MAX];             /* the last answer that was not yes ... */
    enum answer said_answer;                 /* ... and which it was; YES: none was given */
};

/* A machine of a member of which nothing is open. `record` is what the journal holds, zeroed when it holds nothing;
 * order and step are those of the record, NULL unless its state is FORWARD, RETURNING or HOLDING. Then feed
 * MACHINE_EVENT_RECOVERED. */
void machine_init(struct member_machine *machine, const struct machine_record *record,
                  const struct work_order *order, const struct step *step);

/* The door. `actions` is overwritten. */
void machine_step(struct member_machine *machine, const struct machine_event *event,
                  struct machine_actions *actions);

/* When MACHINE_EVENT_TIME is due, monotonic; UINT64_MAX: never. */
uint64_t machine_next_deadline(const struct member_machine *machine);

/* True while a step is open: from an order to its conclusion. */
static inline bool machine_is_busy(const struct member_machine *machine) {
    return machine->order != NULL;
}

/* The open step has stopped the service or will start it, or it is held: nobody else starts it, at boot either. A step that
 * only runs a command (a side action, the act that finalizes) leaves it alone. */
bool machine_holds_service(const struct member_machine *machine);

/* A step of this verb, when it is done, has proven what runs. */
bool verb_proves(enum verb verb);

/* Stopped, with its order kept; it takes the next step of that order. */
static inline bool machine_is_at_barrier(const struct member_machine *machine) {
    return machine->record.state == MACHINE_BARRIER;
}

/* Why this step would be refused now; NULL: it would begin. */
const char *machine_refuses(const struct member_machine *machine, const struct work_order *order,
                            const struct step *step);

/* True if the member may go back alone after what has happened in this plan. */
bool way_back_is_open(enum way_back way_back, const struct machine_record *record);

#endif
