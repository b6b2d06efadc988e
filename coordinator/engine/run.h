/* What the engine knows of one run. Written by coordinator/engine only; others read it, to show it.
 * Fields marked (durable) are the fold of the journal; the rest is asked again after a restart. */
#ifndef KEDGE_ENGINE_RUN_H
#define KEDGE_ENGINE_RUN_H

#include "common/plan/verify.h"
#include "coordinator/engine/member.h"
#include "coordinator/engine/run_machine.h"

struct engine;

enum { NO_MEMBER = UINT32_MAX };

/* A timer lies in the engine's heap while `at_ms` is not 0. */
struct timer {
    uint64_t at_ms;
    size_t place; /* in the heap, from 1; 0: not there */
    struct run *run;
    uint32_t member; /* NO_MEMBER: the run's own */
    void (*fire)(struct run *run, uint32_t member);
};

/* Why something is not yes: one gate, as one node answered it. */
struct reason {
    char *gate;
    char *who; /* the member or node that it is about */
    enum answer answer;
    char *text;
};
struct reasons {
    struct reason *items;
    size_t n, room;
};

/* Gates that are asked together, and what they say about time. */
struct gate_list {
    const struct digest *gates;
    size_t n;
    uint32_t age_ms;       /* how old an answer may be when it is used */
    uint32_t detection_ms; /* how long yes must last after a stop */
    uint32_t timeout_ms;   /* after which no answer is unknown */
};

/* What runs decides which of its gates a member answers. */
enum stage { STAGE_BEFORE, STAGE_READ_ONLY, STAGE_AFTER };
enum { STAGES = 3 };

enum purpose { PURPOSE_OWN, PURPOSE_MAY_STOP, PURPOSE_RECOVERED };

/* Gates that were asked of one node, and the answer. */
struct question {
    uint64_t id;       /* of the ask in flight; 0: none */
    uint64_t asked_ms; /* when the ask was issued */
    uint64_t change;   /* run->n_changes at that time */
    enum purpose purpose;
    const struct gate_list *gates;
    uint32_t node;
    bool answered, stale, with_last;
    enum answer answer, last; /* joined without the `last` gate; the answer of the `last` gate */
    uint64_t at_ms;           /* of the answer, less the age of its evidence */
    struct reasons reasons;   /* one for each gate */
    struct timer timeout;
};

enum { PROBERS = 2 };

/* A gate that an operator set aside, by name, for the stops of one member. (durable) */
struct waiver {
    uint32_t member;
    char *gate, *reason;
    uint64_t until_ms;
};

/* What a run is paused by. Numbers are in journals: append only. */
enum pause_kind {
    PAUSE_WORD,        /* an operator's */
    PAUSE_EXPIRED,     /* the plan is too old to begin anything more */
    PAUSE_WAIT,        /* a member, from here to STEP, may not stop for too long */
    PAUSE_RECOVERY,    /* has not recovered, or not stayed well, for too long */
    PAUSE_RELAPSE,     /* was well and is not */
    PAUSE_STEP,        /* failed at a step that changed nothing and may be tried again */
    PAUSE_LIE,         /* says what its own report shows not to be so */
    PAUSE_QUARANTINE,  /* what the plan leads to has failed in another run since it began */
    PAUSE_BUDGET = 16, /* plus enum budget_kind */
};
enum { PAUSES = PAUSE_BUDGET + BUDGETS };

struct pause {
    enum pause_kind kind;
    uint32_t member; /* or NO_MEMBER */
    char *text;
    uint64_t since_ms;
};

/* Members in trouble, by kind of budget, and how many of them `run resume` has accepted. (durable) */
struct budget_count {
    uint32_t n[BUDGETS], accepted[BUDGETS];
    uint32_t n_gone; /* for good: part of no percentage */
};

struct run_member {
    const struct work_order *order;
    uint32_t node, wave;
    struct gate_list gates[STAGES];  /* its own; after them lies the wave's `last` gate */
    enum member_state state, before; /* (durable) */
    const char *step;                /* (durable) of the order in flight; NULL: none */
    uint64_t expires_s;              /* (durable) of the last order */
    uint64_t since_ms;               /* (durable) of the state */
    uint64_t stop_ended_ms;          /* (durable) the last report of a step that stopped it; 0: none */
    char *reason;                    /* (durable) of the last report or event */
    uint32_t n_stops;                /* (durable) */
    uint64_t interruption_us, evidence_age_us; /* (durable) of its last interruption */
    enum mode mode;                            /* (durable) last reported, as the next three */
    enum origin origin;
    uint32_t generation;
    char *version;
    bool is_away;     /* (durable) its agent was not connected for AWAY_MS, and is not yet */
    bool approved;    /* (durable) a canary that is done: an operator has let the next wave begin */
    bool promote_now; /* (durable) its read-only soak was ended by an operator */

    struct question own;              /* its gates, by its own agent */
    struct question cluster[PROBERS]; /* may-stop or recovered gates, by two others */
    bool surveyed;                    /* counted in run->n_surveyed */
    bool soaked;                      /* read-only soak is over, waits for promotion */
    uint64_t good_since_ms;           /* its gates say yes without a break since then; 0: they do not */
    uint64_t bad_since_ms;            /* the first answer in this state that was not yes; 0: none was */
    uint64_t ill_since_ms;            /* the first one after the last yes; 0: that was the last */
    unsigned n_bad;                   /* noes one after the other */
    bool relapsed;
    bool
        stays; /* its return was ordered, and is not ordered again: at the barrier, or refused after an abort */
    uint64_t backoff_ms;
    struct timer poll, away;
    char *waits;                               /* what its own agent said when it last declined to stop */
    uint64_t waits_since_ms, waits_backoff_ms; /* declined with every order since then; 0: it did not */
};

/* LEFT: operators signed that the run ends without closing it; the agents' leases do */
enum side_state { SIDE_CLOSED, SIDE_OPENING, SIDE_OPEN, SIDE_CLOSING, SIDE_LEFT };
enum { SIDE_STATES = 5 };
const char *side_state_text(enum side_state state);

struct run_side {
    const struct side_action *action;
    enum side_state state; /* (durable) */
    uint32_t carrier;      /* (durable) the member whose agent runs open and close */
    bool in_flight;        /* (durable) */
    uint64_t expires_s;    /* (durable) */
    uint64_t since_ms;     /* (durable) */
    bool *carried;         /* (durable) by member: it has run `open` and cannot again */
    bool *closed;          /* (durable) by member: it has run `close` and cannot again */
    uint64_t
        *closed_ms; /* (durable) by member: at_ms of its last known report that `close` is done; 0: none */
    bool
        put_back; /* (durable) an agent says that it did so by itself: nobody knows whether before or after others opened it */
    char *reason;
};

/* What an action has put out, as its node signed it. (durable) */
struct run_output {
    uint32_t member;
    const char *step, *name;
    char *value;
    uint8_t blob[KEDGE_OUTPUT_BYTES_MAX];
    size_t len;
};

struct member_name {
    const char *name;
    uint32_t index;
};

struct node_member {
    uint32_t node, member;
};

struct run {
    uint64_t id;
    struct engine *engine;
    struct verified_plan *plan;
    struct run_member *members;
    uint32_t n_members;
    struct member_name *by_name; /* sorted */
    uint32_t *next_domain; /* by member: the next one, all around, in another failure domain; itself: none */
    struct node_member *by_node; /* sorted: what happens to a node is about its members only */
    struct run_side *sides;
    uint32_t n_sides;
    struct arena *arena;                  /* of the gate lists */
    struct gate_list may_stop, recovered; /* about the whole cluster */

    struct run_output *outputs;
    size_t n_outputs;

    struct waiver *waivers; /* (durable), those that have expired too */
    size_t n_waivers;

    enum run_state state; /* (durable), as all up to `verdict_text` */
    uint32_t wave;
    bool paused, aborting, rollback, superseded;
    uint64_t begun_ms, ended_ms, since_ms, paused_ms, aborting_ms, stop_ended_ms;
    char *by, *pause_reason;
    char *inconclusive;   /* why the canaries go back by the plan's word; NULL: they do not */
    struct pause *pauses; /* all that it is paused by; `pause_reason` is their texts, or who aborted it */
    size_t n_pauses;
    struct budget_count count, *wave_counts; /* of the run; of each wave */
    enum run_verdict verdict;                /* decided when CLOSING begins, said when the run has ended */
    char *verdict_text;

    uint32_t n_state[MEMBER_STATES]; /* how many members are in each state */
    uint32_t n_in_flight;            /* orders of members */
    uint32_t *wave_over;             /* by wave: members with which nothing more is done */
    bool **acted; /* (durable) by wave of actions, by place in it: done; NULL: no such wave */
    bool started; /* (durable) of a downtime: the new release was ordered to start */
    uint64_t
        stop_ordered_ms; /* (durable) of a downtime: when the first member was ordered to stop; 0: none was */
    bool *act_begun;     /* (durable) by wave: its action was ordered */
    uint32_t *wave_open; /* by wave: members that are changed, or in change */
    uint32_t prepare_from; /* members before it are not to be prepared, or cannot be now */
    uint64_t n_moves;      /* how often something changed that the choice of the next member depends on */
    uint64_t idle_moves;   /* n_moves when nobody could be chosen, plus 1 */
    uint64_t n_changes;    /* orders to change and reports about them; evidence from before is not used */

    uint32_t candidate;      /* the member that wants to stop, or NO_MEMBER */
    uint64_t wait_since_ms;  /* how long the candidates have been waiting; 0: they do not */
    struct reasons wait;     /* why */
    uint32_t n_surveyed;     /* questions under way before a candidate can be chosen */
    uint64_t surveyed_ahead; /* n_changes when the others were last asked before there was room */
    uint64_t retry_ms, backoff_ms;
    struct timer retry, lease, start, hold;
};

/* By full name; NO_MEMBER: none. */
uint32_t run_member_index(const struct run *run, const char *name);

/* The waiver that is in force for a member's gate now, or NULL. */
const struct waiver *run_waiver(const struct run *run, uint32_t member, const char *gate);

/* How many members may be in trouble of that kind, BUDGET_NO_LIMIT: all. */
uint32_t run_budget(const struct run *run, enum budget_kind kind);
uint32_t run_wave_budget(const struct run *run, uint32_t wave, enum budget_kind kind);

/* A downtime: something that only the new release understands may be on the disks. An abort returns nobody any more. */
bool run_is_behind(const struct run *run);

/* Members that are not gone for good. */
uint32_t run_n_present(const struct run *run);

struct record;

/* What the record of an output has told, or NULL. */
const struct run_output *run_output_of(const struct run *run, const struct record *record);

/* By name of step: the side action and whether it opens; false if it is none. */
bool run_side_of_step(const struct run *run, const char *step, uint32_t *side, bool *opens);

#endif
