/* What the files of this room say to each other; nobody else includes it. */
#ifndef KEDGE_ENGINE_INTERNAL_H
#define KEDGE_ENGINE_INTERNAL_H

#include "common/base/mutant.h"
#include "common/plan/quarantine.h"
#include "coordinator/engine/engine.h"

struct node {
    char *name;
    bool up;
    uint64_t gone_ms;     /* since when it is not up; no earlier than this coordinator's start */
    uint32_t n_in_change; /* members in change on it, of all runs */
    uint32_t n_asked;     /* questions that it has not answered yet */
    bool held;            /* (durable) by an operator's word; see node_is_held */
    uint64_t held_since_ms, held_until_ms;
    char *held_reason;
};

struct engine {
    uint64_t epoch, now_ms, n_asks;
    uint64_t ahead_ms; /* of the caller's clock, when that was set back between two reigns; see wall_now_ms */
    struct actions *actions; /* of the step that is under way */
    struct node *nodes;
    uint32_t n_nodes, n_slots, n_held;
    uint32_t *held;    /* the nodes that are held, `n_held` of them */
    uint32_t *slots;   /* a hash table over nodes, by name; 0: free, else index + 1 */
    struct run **runs; /* the oldest first */
    size_t n_runs;
    struct quarantine *quarantines; /* (durable) the oldest first */
    size_t n_quarantines;
    struct timer **timers; /* a heap, the earliest at place 1 */
    size_t n_timers, room_timers;
};

enum {
    ASK_AGAIN_FIRST_MS = 50, /* after a no or an unknown: soon, then less often */
    ASK_AGAIN_LAST_MS = 1000,
    WATCH_MS = 1000,        /* how often a member that is done is asked */
    RELAPSE_NOES = 2,       /* noes one after the other that make a relapse */
    EVIDENCE_AGE_MS = 2000, /* of a gate that names none */
    ANSWER_SLACK_MS = 3000, /* for the way and the prober's queue, beyond the probes' own time-outs */
    ORDER_TTL_S = 120,      /* how long an order may begin after it was sent */
    SURVEY_AHEAD_MS = 500,  /* when room comes so soon, the others are asked meanwhile */
    WAIVER_MS_MAX = 24 * 3600 * 1000, /* what must be set aside for longer wants a new plan */
    PREPARE_AT_ONCE = 64,             /* members that fetch the release at the same time */
    AWAY_MS = 30000,                  /* so long an agent is away before its members count as unreachable */
    CARRIER_GONE_MS = 5000,           /* so long may an agent come back, after a restart of ours too */
};

/* The clock of people: ends of holds, waivers and plans are told in it. Durations are measured by now_ms, which goes on from
 * the journal's last record even where the host's clock was set back meanwhile; else the engine would stand still for as
 * long, with evidence that does not age. */
static inline uint64_t wall_now_ms(const struct engine *engine) {
    return engine->now_ms - engine->ahead_ms;
}

/* Ends the program when memory is out. */
void *must(void *pointer);
char *text_copy(const char *text);
void text_set(char **text, const char *value);

/* ---- reasons.c ---- */
void reasons_clear(struct reasons *reasons);
void reasons_add(struct reasons *reasons, const char *gate, const char *who, enum answer answer,
                 const char *text);
void reasons_add_all(struct reasons *to, const struct reasons *from, bool only_not_yes);
/* "n3: writable: no: zone b would keep 2" and more of them, joined by "; ". */
void reasons_text(const struct reasons *reasons, char *out, size_t size);

/* ---- timers.c ---- */
void timer_set(struct engine *engine, struct timer *timer, uint64_t at_ms);
void timer_clear(struct engine *engine, struct timer *timer);
void timers_fire(struct engine *engine);

/* ---- fold.c: the one mutator of durable state ---- */
struct run *run_new(struct engine *engine, uint64_t id, struct verified_plan *plan);
struct run *run_free(struct run *run);
/* Writes the record and applies it, as a later replay will. */
void commit(struct engine *engine, struct record record, struct verified_plan *plan);
void commit_run_event(struct run *run, enum run_event event, enum run_verdict verdict, const char *text);
void commit_member_event(struct run *run, uint32_t member, enum member_event event, const char *text);
struct action *action_add(struct engine *engine, enum action_kind kind);

/* ---- questions.c ---- */
void question_ask(struct run *run, uint32_t member, struct question *question, enum purpose purpose,
                  uint32_t node);
void questions_drop(struct run *run, uint32_t member);
bool question_is_fresh(const struct run *run, const struct question *question);
void questions_answer(struct engine *engine, const struct event *event);
void questions_node_lost(struct run *run, uint32_t node);
void question_end(struct run *run, struct question *question);
void question_timed_out(struct run *run, uint32_t member);
const struct gate_list *member_gates(const struct run_member *member);
void gate_lists_make(struct run *run);

/* ---- probers.c ---- */
void domains_make(struct run *run);
size_t probers_choose(const struct run *run, uint32_t member, uint32_t nodes[static PROBERS]);

/* ---- may_stop.c ---- */
enum may_stop { MAY_STOP_YES, MAY_STOP_ASKING, MAY_STOP_WAITS };
bool survey(struct run *run);
/* Who of its domain is on the way down already; the caller frees the list of names. */
struct beside may_stop_beside(const struct run *run, uint32_t member);
bool may_stop_too_early(struct run *run, uint32_t member);
enum may_stop may_stop(struct run *run, uint32_t member);
void may_stop_wait(struct run *run);
void may_stop_retry(struct run *run, uint32_t member);
void may_stop_node_back(struct run *run, uint32_t node);

/* ---- recovered.c ---- */
void recovered_begin(struct run *run, uint32_t member);
void recovered_poll(struct run *run, uint32_t member);
void recovered_answered(struct run *run, uint32_t member);
void recovered_judge_anew(struct run *run);

/* ---- choose.c ---- */
bool choose_has_room(const struct run *run);
uint32_t choose_change(const struct run *run, const char **step);

/* ---- orders.c ---- */
void order_issue(struct run *run, uint32_t member, const char *step);
void order_again(struct run *run, uint32_t node);
bool order_report(struct engine *engine, const struct event *event);
void order_latch(struct run *run, const char *node);
bool orders_drained(const struct run *run);

/* ---- believe.c ---- */
bool report_contradicts_itself(const struct run_member *member, const struct engine_report *report, char *why,
                               size_t size);

/* ---- side_actions.c ---- */
bool sides_can_reopen(const struct run *run);
bool sides_open(struct run *run);           /* true when all are in force */
bool sides_close(struct run *run);          /* true when none is */
bool sides_are_back(const struct run *run); /* one is not in force: an agent has put it back */
void sides_resume(struct run *run);
const struct run_side *side_no_longer_in_force(
    const struct run *run); /* by the gate that is waited for; or NULL */
void sides_lease(struct run *run, uint32_t member);
void side_report(struct run *run, uint32_t member, uint32_t side, const struct engine_report *report);
struct run_side *side_of_close(const struct run *run, const char *step);
bool side_left_fold(struct run *run, const struct record *record);
int side_leave(struct run *run, const struct run_side *side, const struct event *event);
void side_explain(const struct run *run, const struct run_side *side, char *text, size_t size);
void side_again(struct run *run, uint32_t node);

/* ---- barrier.c: the waves of a downtime ---- */
bool wave_is_of_downtime(const struct wave *wave);
bool wave_acts(const struct wave *wave); /* forward or back: a named action while all are down */
bool shape_is_downtime(const struct shape *shape);
bool run_is_downtime(const struct run *run);
bool barrier_may_return(const struct run *run); /* an abort now leads everybody back */
bool barrier_advance(struct run *run, const struct wave *wave);
bool barrier_is_over(const struct run *run, const struct wave *wave);
bool barrier_is_last(const struct run *run); /* the wave is the last one of the way forward */

/* ---- barrier_act.c: named actions, and what of them is durable ---- */
void barrier_init(struct run *run);
void barrier_deinit(struct run *run);
void barrier_dump(const struct run *run, struct buffer *out);
bool barrier_is_act(const struct run *run, const char *step);
bool barrier_act_begins(struct run *run, const char *step); /* false: no action of this name */
void barrier_act_done(struct run *run, uint32_t member);
bool act_is_over(const struct run *run, const struct wave *wave);
bool act_advance(struct run *run, const struct wave *wave);

/* ---- outputs.c: what named actions put out ---- */
bool output_fold(struct run *run, const struct record *record);
void outputs_deinit(struct run *run);
void outputs_dump(const struct run *run, struct buffer *out);
bool outputs_are_missing(const struct run *run, uint32_t member, const struct engine_report *report,
                         char *why, size_t size);
void outputs_record(struct run *run, uint32_t member, const struct engine_report *report);
void outputs_bring(const struct run *run, uint32_t member, const char *step, struct action *action);

/* ---- barrier_back.c: the ways back ---- */
bool barrier_returns(struct run *run); /* everybody back; true when there is nothing left to wait for */
void barrier_explain_back(const struct run *run, char *text, size_t size);
void barrier_explain_abort(const struct run *run, char *text, size_t size); /* whom it waits for */
bool barrier_rolls_back(struct run *run);
const char *barrier_is_final(const struct run *run); /* the action that closed every way back, or NULL */
bool barrier_unasked(const struct run_member *member, enum outcome outcome);

/* ---- pauses.c ---- */
void run_pause(struct run *run, enum pause_kind kind, uint32_t member, const char *format, ...)
    _printf_(4, 5);
bool run_has_pause(const struct run *run, enum pause_kind kind, uint32_t member);
bool run_is_paused_by(const struct run *run, const char *text);
bool pause_fold(struct run *run, const struct record *record);
void pauses_clear(struct run *run);
void pauses_lift(struct run *run, uint32_t member, enum member_event word);

/* ---- budgets.c ---- */
void budget_count(struct run *run, const struct run_member *m, bool adds);
void budgets_accept(struct run *run);
bool budget_is_over(const struct run *run, enum budget_kind kind);
void budget_judge(struct run *run, uint32_t member, enum budget_kind kind);
bool away_fold(struct run *run, const struct record *record);
void away_wait(struct run *run, uint32_t member);
void away_due(struct run *run, uint32_t member);
void away_over(struct run *run, uint32_t member);
void away_look(struct run *run);

/* Its canary is over and well, and the plan asks for an operator's word before the next wave. */
bool wave_waits_for_approval(const struct run *run);

/* ---- commands.c ---- */
/* In `value2` of the record of a rollback. Numbers are in journals. */
enum { ROLLBACK_BY_WORD, ROLLBACK_BY_PLAN };

bool way_is_closed(const struct run_member *member);
void run_abort(struct run *run, const char *why);
bool run_may_return(const struct run *run); /* the canaries, by the plan's word: nothing is in the way */
void run_return(struct run *run, const char *why);

/* ---- abort.c: members that are changed and not finished ---- */
bool run_takes_back(const struct run *run); /* nothing more is begun but returns: a rollback, or an abort */
uint32_t abort_next(const struct run *run); /* or NO_MEMBER */
uint64_t abort_until_ms(const struct run *run); /* then who is not back is left */
bool abort_is_over(struct run *run);
void abort_left_text(const struct run *run, uint32_t member, char *text, size_t size); /* "" or why it is */

/* ---- advance.c ---- */
void run_look_anew(struct run *run);
void run_advance(struct run *run);

/* ---- commands.c ---- */
int command_take(struct engine *engine, const struct event *event);

int command_node(struct engine *engine, const struct event *event);

/* ---- locks.c ---- */
const struct run *lock_holder(const struct run *run);
const struct run *lock_holder_of(const struct engine *engine, const struct verified_plan *plan,
                                 size_t n_before);
const char *lock_reason(const struct verified_plan *plan, const struct run *holder);
int locks_check(const struct engine *engine, const struct verified_plan *plan, struct actions *actions);
void locks_wake(struct engine *engine);
bool host_is_locked(const struct run *run, const struct run_member *m, struct reasons *reasons);

/* ---- holds.c ---- */
bool node_is_held(const struct engine *engine, uint32_t node);
bool member_is_held_back(const struct run *run, const struct run_member *member);
bool member_counts_as_in_change(const struct run *run, const struct run_member *member);
uint32_t run_n_held_back(const struct run *run);
void holds_wake(struct run *run);

/* ---- returns.c ---- */

/* What the members of the node run lets it come back: 0, or ENGINE_REFUSED with all that does not. */
int returns_judge(struct engine *engine, const struct event *event);

/* Notes what other hands have put back. */
void returns_take(struct engine *engine, const struct event *event);
bool fold_hold(struct engine *engine, const struct record *record);
void holds_dump(const struct engine *engine, struct buffer *out);

/* ---- quarantine.c ---- */
struct digest quarantine_digest(const struct run_member *member, const struct engine_report *report);
void quarantine_fold(struct run *run, const struct record *record); /* of a report */
void quarantine_over(struct run *run);                              /* it has ended as done */
int quarantine_check(const struct engine *engine, const struct verified_plan *plan, struct actions *actions);
bool quarantine_stops(struct run *run, uint32_t member);
void quarantines_dump(const struct engine *engine, struct buffer *out);
void quarantines_deinit(struct engine *engine);

/* ---- engine.c ---- */
int engine_refuse(struct actions *actions, const char *format, ...) _printf_(2, 3);
struct run *run_find(const struct engine *engine, uint64_t id);

/* ---- names.c ---- */
uint32_t node_index(struct engine *engine, const char *name);                 /* made when it is new */
const struct node *node_named(const struct engine *engine, const char *name); /* or NULL */
void members_sort(struct run *run);
const struct node_member *members_on(const struct run *run, uint32_t node, size_t *n_outp);

#endif
