/* The engine: decides what each run does next. Pure: an event comes in with its time, actions come out, and nothing is
 * asked of the network, the disk or the clock.
 *
 *     engine_step(engine, event, actions);   then: make the records durable, in their order, in one transaction;
 *                                            then send the rest. Not before (but questions may go ahead).
 *     engine_next_deadline(engine)           when to send an EVENT_TICK at the latest
 *
 * Recovery: engine_new(higher epoch), engine_fold() for each record of the journal, engine_resume(). Orders that were in
 * flight are issued again, with the new epoch and a later expiry; agents answer a step that has ended with its report.
 *
 * Where to look:   may a member stop?            may_stop.c
 *                  has a member recovered?       recovered.c
 *                  which member is next?         choose.c
 *                  what does a run do next?      advance.c
 *                  how many may fail?             budgets.c
 *                  why is it paused?              pauses.c
 *                  may a held node come back?     returns.c
 *                  what may not be tried again?   quarantine.c
 *                  which states are there?       member.h, run_machine.h
 *
 * Memory that is out ends the program (the journal brings it back): a half-applied decision would be worse. */
#ifndef KEDGE_ENGINE_ENGINE_H
#define KEDGE_ENGINE_ENGINE_H

#include "common/plan/verify.h"
#include "coordinator/engine/record.h"
#include "coordinator/engine/run.h"

struct engine;

struct engine *engine_new(uint64_t epoch);
struct engine *engine_free(struct engine *engine);
static inline void engine_freep(struct engine **engine) {
    *engine = engine_free(*engine);
}

/* ---- events ---- */

enum event_kind {
    EVENT_TICK,       /* time has passed */
    EVENT_APPLY,      /* a signed plan is to be executed */
    EVENT_AGENT_UP,   /* an agent has a session, maybe a new one */
    EVENT_AGENT_DOWN, /* it has none any more */
    EVENT_REPORT,     /* an agent's signed report, checked by the fleet */
    EVENT_ANSWER,     /* to ACTION_ASK */
    EVENT_COMMAND,    /* an operator's word about a run, or about one member of it */
    EVENT_NODE_HOLD, /* an operator's word: nothing begins on `node`, which counts as in change, until `until_ms` */
    EVENT_NODE_RETURN, /* an operator's word: the hold of `node` is over */
};

struct engine_report {
    const char *cluster, *member, *step, *reason, *version;
    uint64_t serial;
    enum outcome outcome;
    uint64_t interruption_us, evidence_age_us;
    enum mode mode;
    enum origin origin;
    uint32_t generation;
    uint64_t at_ms; /* by the node's clock: one that is sent again bears the same; 0: not known */
    bool blames;    /* see struct report */
    const struct bytes *outputs; /* of an action: signed documents (common/plan/output.h) */
    size_t n_outputs;
};

/* One gate's answer, in the order of the ask. */
struct gate_answer {
    const char *gate;
    enum answer answer;
    const char *reason;
    uint64_t age_us;
};

/* What a member runs whose node is returned (returns.c): the generation of its work order, or one of these. */
#define FOUND_OTHER UINT32_MAX
#define FOUND_UNSEEN (UINT32_MAX - 1)
struct node_finding {
    uint64_t run;
    uint32_t member; /* in the run */
    uint32_t generation;
    const char *says; /* OTHER: all that differs; UNSEEN: why */
};

struct event {
    enum event_kind kind;
    uint64_t now_ms;            /* since 1970, never going back while the program runs */
    const char *node;           /* AGENT_UP, AGENT_DOWN, REPORT, ANSWER: who says so; NODE_*: which */
    struct verified_plan *plan; /* APPLY: the engine's own from then on, also when it refuses */
    struct engine_report report;
    uint64_t ask; /* ANSWER */
    const struct gate_answer *answers;
    size_t n_answers;
    uint64_t run; /* COMMAND: of which run */
    enum run_event
        command; /* PAUSE, RESUME, ABORT, ROLLBACK; with `member` RETRY, SKIP, RETIRE, PROMOTE, WAIVE */
    const char *member;                  /* "shop/server@n3" */
    const char *gate;                    /* WAIVE: by name */
    struct digest word;                  /* of the signed word, for the record; zeroes when it needs none */
    uint64_t until_ms;                   /* WAIVE: needed; NODE_HOLD: 0 is until it is returned */
    const struct node_finding *findings; /* NODE_RETURN: one for each member of which engine_must_look */
    size_t n_findings;
    const char
        *text; /* APPLY, COMMAND, NODE_*: who, and why. The engine checks no signature: what weakens (SKIP,
                             * RETIRE, PROMOTE, WAIVE) was checked before it comes here */
};

/* ---- actions ---- */

enum action_kind {
    ACTION_RECORD, /* append to the journal; durable before any other action of this step but an ASK is done */
    ACTION_ORDER,  /* send step `step` of work order `member` to its node */
    ACTION_ASK,    /* have `gates` answered by `node`'s prober; answer with EVENT_ANSWER, by id */
    ACTION_LEASE,  /* tell every agent of the run that side action `step` is open or closed */
    ACTION_LATCH, /* tell `node` (NULL: every agent of the run) that it is aborted: nothing more of it begins */
};

/* Pointers are valid until the next engine_step. */
struct action {
    enum action_kind kind;
    struct bytes record;
    uint64_t run;
    uint32_t member;
    const char *step;
    uint64_t expires_s;
    uint64_t ask;
    const char *node;
    const char *self;
    struct beside
        beside; /* ASK, ORDER: who is on the way down together with it; names and list are the action's */
    const struct digest *gates;
    size_t n_gates;
    bool lease_open;
    const struct bytes *outputs; /* ORDER: of earlier actions, that the step takes */
    size_t n_outputs;
};

struct actions {
    struct action *items;
    size_t n, room;
    struct buffer records;
    uint64_t run;       /* the run that APPLY has begun */
    char refused[1024]; /* why, when engine_step returns ENGINE_REFUSED: all reasons, by lines */
};
void actions_clear(struct actions *actions);
void actions_deinit(struct actions *actions);

enum engine_outcome { ENGINE_REFUSED = 1 };

/* `actions` is cleared first. 0, or ENGINE_REFUSED: nothing has changed (for reports and answers: it was passed over). */
int engine_step(struct engine *engine, const struct event *event, struct actions *actions) _must_check_;

/* Milliseconds since 1970; UINT64_MAX: none. */
uint64_t engine_next_deadline(const struct engine *engine);

/* ---- recovery ---- */

/* Applies one record. For RUN_BEGUN, `plan` is the plan with the record's digest and becomes the engine's; NULL
 * otherwise. -EBADMSG with a sentence for a record that does not fit what was before it. */
int engine_fold(struct engine *engine, const struct record *record, struct verified_plan *plan,
                struct error *err) _must_check_;

/* After the last record: begins the new reign. */
void engine_resume(struct engine *engine, uint64_t now_ms, struct actions *actions);

/* ---- looking ---- */

size_t engine_n_runs(const struct engine *engine);
const struct run *engine_run_at(const struct engine *engine, size_t index); /* the oldest first */
const struct run *engine_run(const struct engine *engine, uint64_t id);     /* or NULL */
const struct run *engine_run_open(const struct engine *engine, const char *cluster);
bool engine_node_is_up(const struct engine *engine, const char *node);

/* Whether an operator holds the node now, why, and until when (0: until it is returned). */
struct node_hold {
    const char *reason;
    uint64_t since_ms, until_ms;
};
bool engine_node_hold(const struct engine *engine, const char *node, struct node_hold *outp);

/* Whether somebody has to look what this member runs before `node` may be returned. */
bool engine_must_look(const struct run *run, uint32_t member, const char *node);

/* What it runs by its agent's facts: the finding's generation and text, which lies in `says`. */
void engine_find(const struct work_order *order, const struct fact *facts, size_t n_facts,
                 struct node_finding *outp, char *says, size_t size);
uint64_t engine_epoch(const struct engine *engine);

/* What failed by itself and is not to be tried again without a plan that lifts it: common/plan/quarantine.h. One for each
 * run in which it failed. */
struct quarantine {
    struct digest what; /* of a release, or of a configuration where the release stayed */
    uint64_t run;       /* in which it failed, ... */
    uint32_t member;    /* ... where first in it, ... */
    uint64_t since_ms;  /* ... when ... */
    char *reason;       /* ... and how */
};
size_t engine_n_quarantines(const struct engine *engine);
const struct quarantine *engine_quarantine_at(const struct engine *engine,
                                              size_t index); /* the oldest first */
const struct quarantine *engine_quarantine(const struct engine *engine,
                                           const struct digest *what); /* or NULL */

/* "it failed on shop/server@n1 in run 3: it ended with exit code 1" */
void engine_quarantine_text(const struct engine *engine, const struct quarantine *quarantine, char *out,
                            size_t size);

/* All that is durable, as text: two engines with the same text decide alike. For tests and `journal verify`. */
void engine_dump(const struct engine *engine, struct buffer *out);

/* The canary that is done and that an operator's `run promote` approves, so that the other waves begin; UINT32_MAX: nobody is
 * waited for. */
uint32_t engine_approval_awaited(const struct run *run);

/* ---- explaining (F29) ---- */

struct why {
    const char *state;
    char headline[256]; /* "WAITS to stop" */
    uint64_t since_ms;
    struct reasons reasons;
    char then[256];                     /* what happens if it goes on */
    uint64_t limit_ms;                  /* when that is; 0: never */
    uint64_t soak_until_ms, soak_of_ms; /* while it soaks */
};
void engine_explain(const struct engine *engine, const struct run *run, uint32_t member, struct why *outp);
void why_deinit(struct why *why);

/* The open run that a waiting one waits for, and why ("it is of the same cluster"); false when it waits for none. */
struct run_lock {
    const struct run *holder;
    const char *reason;
};
bool engine_run_lock(const struct run *run, struct run_lock *outp);

/* Why the run as a whole does not go on, or "". */
void engine_explain_run(const struct engine *engine, const struct run *run, char *text, size_t size);

#endif
