/* What the files of this room share: the world, its members, and what happens in it. */
#ifndef KEDGE_REHEARSAL_INTERNAL_H
#define KEDGE_REHEARSAL_INTERNAL_H

#include "agent/core/acceptance.h"
#include "agent/core/lease.h"
#include "common/plan/quarantine.h"
#include "coordinator/engine/engine.h"
#include "coordinator/rehearsal/stage.h"
#include "coordinator/rehearsal/witness.h"

enum {
    ENTRIES = 24,
    REPLICAS_MAX = 8,
    STEPS_MAX = 12,
    SNAPSHOTS = 12,
    MESSAGE_GATES = 24,
    SIDES_MAX = 4,
    GATES_MAX = 16,
    WORDS_MAX = 32,
    FAILED_MAX = 8, /* releases */
    PLANS_MAX = 6,
    CLUSTERS_MAX = 4,
    MS = 1000,
    SECOND = 1000 * MS,
};
enum { ANY_SESSION = 0 }; /* the first is 1 */
/* Of chance: one for each fault, one for habits; the later ones leave all others as they were. */
enum { STREAM_ILL = FAULTS + 1, STREAMS };

/* ---- what a gate asks ---- */

enum asks { ASKS_MAY_STOP, ASKS_RECOVERED, ASKS_MEMBER, ASKS_LAST, ASKS_SAMPLE, ASKS_IN_FORCE };
struct model_gate {
    struct digest digest;
    enum asks asks;
    const char *name;
    uint32_t age_ms;
    bool before_stop; /* it is among those that are asked before every stop */
    size_t side;      /* ASKS_IN_FORCE: of which side action */
};

/* ---- one member, its agent and its service ---- */

/* Who is on the way down together with the one that is asked for or ordered, by index; the world keeps all of them. */
struct herd {
    struct herd *next;
    size_t n;
    uint32_t members[];
};

struct kept_outcome {
    bool is;
    enum outcome outcome;
    uint64_t serial, epoch, expires_s, interruption_us, evidence_age_us, at_ms;
    uint32_t generation;
    enum mode mode;
    bool gives_away; /* a lie: done, and what runs is not what had to run then */
    bool blames;     /* see struct report */
    const struct bytes *outputs;
    size_t n_outputs;
    char reason[160];
};

/* What failed here, and in which plan. */
struct failed_here {
    struct digest what;
    struct quarantined before;
};

/* What the agent's journal holds of a member. */
struct disk {
    struct machine_record record;
    struct seen seen;
    bool has_order, ran; /* ran: the process record names a process */
    uint32_t step, ran_content, proven;
    uint64_t step_epoch, step_expires_s, boot, process; /* process: the token of the one that it names */
    const struct herd *herd;                            /* of the order */
    struct kept_outcome outcomes[STEPS_MAX];
    bool lease_open[SIDES_MAX];
    uint64_t lease_serial;
    uint64_t forbids; /* serial of the plan in which operators want nothing more to begin */
    uint64_t waived_serial, waived_until_s[GATES_MAX]; /* by gate of that plan */
    struct failed_here failed[FAILED_MAX];
    size_t n_failed;
};

struct service {
    bool running, ready, stopping, hangs, empty;
    bool foreign, read_only; /* started, made read-only by other hands */
    uint32_t content;        /* see content_of; of the process */
    uint64_t token;          /* of this process */
    uint64_t signalled_us;
    uint64_t ill_until_us; /* it runs and does not serve as it should */
};

/* The disk of a host as it was at a time. */
struct image {
    bool is, new_started, new_promoted;
    struct disk disk;
    uint32_t link;
    uint64_t prepared;
};

/* What a member was like when a plan was made. */
struct base {
    uint32_t content;
    enum mode mode;
    bool down;
};

struct member {
    uint32_t index, number, node; /* number: in its cluster's plans */
    struct cluster *cluster;
    const struct work_order *order; /* of the first plan; those of later ones have the same steps */
    struct base base[PLANS_MAX];    /* by plan */
    bool agent_up, journal_lost;
    uint64_t agent_token; /* of this life of the agent */
    uint64_t boot;
    int64_t skew_s;
    uint64_t clock_stands_s;                 /* 0: it goes */
    uint64_t paused_until_us, loop_until_us; /* the agent stands still; is killed again and again */
    bool gone;                               /* with its host, for good */
    struct disk written, synced;
    struct disk snapshots[SNAPSHOTS]; /* since the last sync */
    size_t n_snapshots;
    struct member_machine machine;
    uint32_t op;
    const struct row *row;
    struct machine_action executing;
    uint64_t time_token;
    bool outcome_kept, dies;
    uint64_t epoch, expires_s, ordering; /* of the order that it has taken last */

    struct service service;
    uint64_t prepared;                  /* serial of the plan whose generations lie ready; 0: none */
    uint64_t lease_heard_us[SIDES_MAX]; /* when this life of the agent last heard that it is open */
    struct image old;
    bool no_charter, damaged;
    uint64_t lies_until_us;
    bool lied;
    uint64_t up_since_us;    /* its agent */
    uint32_t link;           /* which generation `current` names */
    bool data_lost, noticed; /* noticed: its last end, by the cluster */
    uint64_t n_losses;
    uint64_t flaps_until_us;

    /* for the oracles */
    uint64_t asked_us;       /* when the evidence of the last yes before a stop was looked at; 0: none */
    uint64_t asked_limit_us; /* its age limit */
    bool stopped_by_kedge;
    bool new_started; /* the new release was at work on the data */
    bool new_promoted;
    bool touched;                 /* by other hands, or by a fault after its last report */
    uint64_t judged_serial;       /* of what is noted here about steps */
    uint64_t finalized;           /* by the plan of this serial; 0: by none */
    bool has_prepared[PLANS_MAX]; /* it said so once */
    uint8_t concluded[STEPS_MAX]; /* the step has changed the member and has ended; 2: its journal knows it */
    uint64_t latched;             /* serial that was aborted, as its agent knows */
    uint64_t epoch_obeyed, serial_obeyed; /* as far as its disk has kept it */
    uint32_t rows_yes;                    /* rows of the open step whose last answer was yes, as bits */
    uint64_t left_out,
        retired; /* by an operator's word, or refused as quarantined: in the plan of this serial */
    uint64_t waived_until_ms; /* an operator set a may-stop gate aside */
    bool asked_waived;        /* and so the last question counted as yes */
    const struct model_gate
        *doubts; /* the first gate of the last question that did not say yes; NULL: all did */
    enum answer doubts_answer;
    uint64_t unsafe_since_us;               /* its stop would lose something since then; 0: it would not */
    uint64_t bad_answer_ms;                 /* the coordinator heard last that it is not well */
    uint64_t yes_may_stop_ms, yes_asked_ms; /* the coordinator heard: it may stop; asked then */
    unsigned n_noes;
    uint64_t stopped_for[STEPS_MAX];    /* the process that this step has signalled; 0: none */
    bool ordered[PLANS_MAX][STEPS_MAX]; /* and, as the coordinator knows, not ended */
};

struct node {
    const char *name;
    bool connected; /* as it is */
    bool known_up;  /* as the coordinator believes */
    uint64_t session;
    uint64_t last_us[2]; /* when the last message of this session arrives: at the coordinator, at the agent */
    uint64_t cut_until_us;
    uint64_t deaf_until_us, mute_until_us; /* nothing reaches it; nothing comes from it */
    uint64_t slow_until_us,
        busy_until_us;      /* it takes its messages one by one; until then it is at the last */
    uint64_t held_until_ms; /* by an operator; UINT64_MAX: until it is returned; 0: it is not */
};

/* ---- the cluster ---- */

enum model_system { SYSTEM_LEDGERS, SYSTEM_PARTITIONS, SYSTEM_QUORUM };

struct replica {
    uint32_t member;
    bool synced;   /* it has all that was written */
    bool believed; /* the cluster thinks so */
    bool by_kedge; /* it has not, since a stop of Kedge's */
};

struct entry {
    struct replica replicas[REPLICAS_MAX];
    size_t n, need;
};

/* ---- what happens ---- */

enum item_kind {
    ITEM_TICK,
    ITEM_TO_COORDINATOR,
    ITEM_TO_AGENT,
    ITEM_CUT_SEEN,
    ITEM_CONNECT,
    ITEM_COORDINATOR_UP,
    ITEM_AGENT_UP,
    ITEM_MACHINE_TIME,
    ITEM_EXECUTE,
    ITEM_ROW,
    ITEM_SERVICE_READY,
    ITEM_SERVICE_END,
    ITEM_END_SEEN,
    ITEM_SOMEBODY_STARTS,
    ITEM_HEAL,
    ITEM_NOTICE,
    ITEM_AUDIT,
    ITEM_LEASE,
    ITEM_FAULT,
    ITEM_APPLY,
    ITEM_CALM,
    ITEM_STAGE,
};

enum message_kind {
    MESSAGE_ORDER,
    MESSAGE_ASK,
    MESSAGE_LATCH,
    MESSAGE_LEASE,
    MESSAGE_WORD,
    MESSAGE_REPORT,
    MESSAGE_ANSWER
};

struct message {
    enum message_kind kind;
    uint64_t session;
    uint32_t member, step;
    uint64_t serial, epoch, expires_s, ask, asked_us;
    const struct model_gate *gates[MESSAGE_GATES];
    enum answer answers[MESSAGE_GATES];
    size_t n_gates;
    uint32_t self; /* UINT32_MAX: nobody */
    const struct herd *herd;
    uint64_t change;
    bool open;
    uint32_t side;
    struct kept_outcome report;
    const struct bytes *outputs; /* of an order */
    size_t n_outputs;
};

struct item {
    uint64_t at_us, sequence;
    enum item_kind kind;
    uint32_t index; /* member, node or fault */
    uint64_t token;
    uint32_t op;
    enum answer answer;
    bool failed;
    const char *how;
    struct message message;
};

/* An operator's signed word about a member: kept, and sent to every agent that connects. */
struct said {
    bool hold, give_back; /* about a node */
    uint32_t node, member, gate;
    uint64_t serial;
    enum run_event word;
    uint64_t until_ms; /* by the clock of the coordinator */
};

struct cluster {
    uint32_t index;
    struct verified_plan *plans[PLANS_MAX]; /* the world's own; [0] is the first */
    size_t n_plans, n_begun;
    struct model_gate *gates; /* the same in all plans */
    size_t n_gates;
    enum model_system system;
    struct entry entries[ENTRIES];
    size_t n_entries;
    uint64_t detection_us;     /* the longest that a loss may stay unknown */
    uint32_t first, n_members; /* in world.members */
    bool side_ours[SIDES_MAX];
    const char *side_value[SIDES_MAX]; /* what is in force; NULL: what was found */
    uint64_t last_change_ms;
    uint32_t leader; /* of which a `last` gate says yes, where one is elected; a number in the plans */
};

struct put_out;

struct world {
    struct arena *outputs;   /* of what actions put out; NULL: nothing yet */
    struct put_out *put_out; /* the latest first */
    unsigned n_put_out;
    const struct rehearsal_config *config;
    struct rehearsal_result *result;
    uint64_t now_us, sequence, calm_us;
    uint64_t random[STREAMS];
    uint64_t faults;
    bool calm;
    uint64_t stalled_until_us; /* the coordinator stands still */
    int64_t wall_off_ms;       /* its clock, at this start */
    struct said said[WORDS_MAX];
    size_t n_said;
    const struct said *saying; /* durable with the records of this step */

    struct item **heap;
    size_t n_heap, room_heap;
    struct item *free_items[256];
    size_t n_free;

    struct cluster clusters[CLUSTERS_MAX];
    uint32_t n_clusters;
    struct member *members;
    uint32_t n_members;
    struct node *nodes;
    uint32_t n_nodes;

    struct engine *engine; /* NULL: dead */
    struct witness witness;
    struct actions actions;
    uint64_t epoch, tick_token, wall_ms;
    struct herd *herds;
    struct buffer *records;
    size_t n_records, room_records;
    uint64_t changes, n_gives;
    uint64_t told_at_us,
        told_ms; /* the latest time that the coordinator was told: for it no clock goes back */
    bool abort_said;
    uint32_t n_verdict_done;
    uint64_t pieces;         /* per-seed habits */
    struct staging *staging; /* NULL: nobody looks on and nothing is wanted to happen */
};

/* ---- world.c ---- */
struct item *item_add(struct world *w, enum item_kind kind, uint64_t after_us);
uint64_t world_random(struct world *w, unsigned stream);
bool world_chance(struct world *w, enum fault fault, unsigned in); /* one in `in`, while the fault is on */
void world_fold(struct world *w, uint64_t what);
uint64_t world_between(struct world *w, unsigned stream, uint64_t from, uint64_t to);
void world_say(struct world *w, const char *format, ...) _printf_(2, 3);
void world_fail(struct world *w, const char *format, ...) _printf_(2, 3);
bool world_has(const struct world *w, enum fault fault);
const struct model_gate *world_gate(const struct cluster *cluster, const struct digest *digest);

bool world_turn(struct world *w,
                uint64_t until_us); /* one thing happens; false: none until then, or it failed */

/* ---- live.c ---- */
void live(struct world *w);

/* ---- coordinator.c ---- */
void coordinator_start(struct world *w);
void coordinator_die(struct world *w);
int coordinator_give(struct world *w, struct event *event);
void coordinator_receive(struct world *w, struct message *message);
void coordinator_tick(struct world *w);
void coordinator_replay_equals(struct world *w);
const struct run *coordinator_run(const struct world *w);
const struct run *coordinator_run_of(const struct world *w, const struct cluster *cluster);
uint64_t coordinator_wall_ms(const struct world *w);
const char *answer_reason(const struct model_gate *gate, enum answer answer);
void coordinator_command(struct world *w, const struct run *run, enum run_event command, const char *text);
void message_send(struct world *w, uint32_t node, bool to_agent, const struct message *message);

/* ---- plans.c ---- */
void plans_begin(struct world *w);
void plans_free(struct world *w);
void plan_apply(struct world *w, struct cluster *cluster);
void supersede_strike(struct world *w);
uint32_t plan_index(const struct cluster *cluster, uint64_t serial);
const struct verified_plan *plan_of(const struct cluster *cluster, uint64_t serial);
const struct work_order *order_of(const struct member *m, uint64_t serial);
struct cluster *cluster_of_run(struct world *w, const struct run *run);
/* What a generation of a plan is, whatever plan asks: 0 is what was found, 12 is generation 2 of the first plan. */
uint32_t content_of(const struct member *m, uint64_t serial, uint32_t generation);
uint32_t generation_of(const struct member *m, uint64_t serial,
                       uint32_t content); /* UINT32_MAX: of none of it */

/* ---- words.c ---- */
/* A word about a member; -EAGAIN: nobody is there to hear it, ENGINE_REFUSED: w->actions.refused says why. */
int word_give(struct world *w, const struct run *run, struct said *said, const char *who) _must_check_;
void words_said(struct world *w);
void words_strike(struct world *w);
void words_again(struct world *w, uint32_t node);
bool words_retire_gone(struct world *w, const struct run *run);
bool words_approve(struct world *w, const struct run *run, const char *who);
void holds_strike(struct world *w);
bool holds_return(struct world *w); /* true: some were held */
bool node_is_held_now(const struct world *w, uint32_t node);

/* ---- line.c ---- */
void line_cut(struct world *w, uint32_t node, uint64_t for_us);
void line_connect(struct world *w, uint32_t node);
uint64_t line_delay_us(struct world *w, struct node *n, bool to_agent, uint64_t delay_us);
void line_cut_seen(struct world *w, uint32_t node);

/* ---- agent.c ---- */
uint64_t agent_wall_s(const struct world *w, const struct member *m);
void agent_receive(struct world *w, struct member *m, struct message *message);
struct member *next_on_host(struct world *w, const struct member *m,
                            const struct member *after); /* NULL: the first */
void agent_kill(struct world *w, struct member *m);
void agent_start(struct world *w, struct member *m);
void agent_feed(struct world *w, struct member *m, struct machine_event *event);
void agent_reports_again(struct world *w, struct member *m);
void agent_host_dies(struct world *w, struct member *m);
void agent_lease_look(struct world *w, struct member *m);
void agent_gone(struct world *w, struct member *m);
void disk_write(struct member *m);
void disk_sync(struct member *m);

/* ---- rows.c ---- */
void row_execute_now(struct world *w, struct member *m);
void row_finish(struct world *w, struct member *m, const struct item *item);
void row_kill_now(struct world *w, struct member *m);

/* ---- model.c ---- */
void model_init(struct world *w);
void model_gates(struct cluster *cluster); /* what each gate of its plans is about */
void service_start(struct world *w, struct member *m, uint32_t content);
void service_end(struct world *w, struct member *m, const char *how);
void service_end_seen(struct world *w, struct member *m, bool wanted, uint64_t signalled_us, const char *how);
void service_ready(struct world *w, struct member *m);
void service_heal(struct world *w, struct member *m);
enum mode service_mode(const struct member *m);
enum answer model_answer(struct world *w, const struct model_gate *gate, const struct member *by,
                         uint32_t self, const struct herd *herd, enum mode wanted);
void model_destroy(struct world *w, struct member *m, const char *why);

/* ---- cluster.c ---- */
void cluster_init(struct world *w, struct cluster *c);
bool cluster_may_stop(const struct member *m, const struct herd *herd); /* NULL: alone */
bool cluster_has_recovered(const struct world *w, const struct cluster *c);
void cluster_look(struct world *w, const struct cluster *c); /* after a change: who may stop now? */
/* Whether the stop of it takes away what the cluster cannot do without, and earlier stops of Kedge's took the rest. */
bool cluster_loses(const struct world *w, const struct member *m, const char **otherp);
const char *cluster_what(const struct cluster *c);
void cluster_lost(struct world *w, struct member *m, bool by_kedge);
void cluster_notice(struct world *w, struct member *m);
void cluster_audit(struct world *w, struct member *m);
bool cluster_heal(struct world *w, struct member *m);
void cluster_empty(struct world *w, struct member *m);
void cluster_forget(struct world *w, const struct member *m);

/* ---- oracle.c ---- */
void oracle_signal(struct world *w, struct member *m);
void oracle_start(struct world *w, struct member *m, const struct row *row);
void oracle_finalizes(struct world *w, struct member *m);
void oracle_conclude(struct world *w, struct member *m, enum outcome outcome);
void oracle_order(struct world *w, const struct run *run, const struct action *action);
void oracle_report(struct world *w, struct member *m, const struct message *message);
void oracle_accept(struct world *w, struct member *m, const struct message *message);
void oracle_answers(struct world *w, const struct message *message);
void oracle_after(struct world *w); /* every event */
void oracle_end(struct world *w);

/* ---- images.c ---- */
void image_keep(struct world *w, struct member *m);
void old_disk_strike(struct world *w, struct member *m);
void image_strike(struct world *w, struct member *m);
void bit_flip_strike(struct world *w, struct member *m);
void images_mend(struct world *w, struct member *m);

/* ---- hands.c ---- */
const char *facts_differ(const struct member *m, uint64_t serial);
bool hands_did(const struct member *m, uint64_t serial, const struct step *step);
void hands_begin(struct world *w);
void hands_strike(struct world *w, struct member *m);
bool hands_could_put_back(const struct cluster *cluster);
void hands_put_back(struct world *w, struct cluster *cluster);
void hands_mend(struct world *w, struct member *m);
void lie_strike(struct world *w, struct member *m);
bool agent_lies(const struct world *w, const struct member *m);
bool lie_shows(const struct world *w, const struct member *m, const struct step *step,
               const struct kept_outcome *kept);
bool agent_lies_about(struct world *w, struct member *m, const struct message *order);

/* ---- oracle_agent.c ---- */
void oracle_begins(struct world *w, struct member *m, const struct message *message);
void oracle_row(struct member *m, enum answer answer);
void oracle_row_after(struct world *w, const struct member *m, const struct row *row, enum answer answer);
void oracle_done(struct world *w, const struct member *m, const struct step *step);
bool oracle_runs_new(const struct member *m);
void oracle_moved(struct world *w, const struct member *m, enum machine_state was,
                  const struct machine_actions *actions);
void oracle_lease(struct world *w, const struct member *m, const char *name, bool ours);

/* ---- barrier.c ---- */
bool barrier_is_declared(const struct world *w, uint32_t member); /* its plan stops all at once */
bool barrier_holds_it(const struct member *m);
bool barrier_excuses(const struct world *w, const struct member *m);
bool barrier_waits_for_a_person(const struct world *w);
bool oracle_barrier(struct world *w, struct member *m, const struct step *step, enum outcome outcome);
void oracle_barrier_order(struct world *w, const struct member *m, const struct step *step);
void oracle_barrier_after(struct world *w);
void oracle_barrier_start(struct world *w, const struct member *m,
                          uint32_t generation); /* old never beside new */
void oracle_barrier_act(struct world *w,
                        const struct member *m); /* a named action: only while all are down */

/* ---- faults.c ---- */
void faults_begin(struct world *w);
void faults_strike(struct world *w, enum fault fault, uint64_t who);
void faults_calm(struct world *w);

/* ---- stage.c ---- */
void stage_begin(struct world *w);
void stage_look(struct world *w);           /* every event */
bool stage_is_alone(const struct world *w); /* nothing else happens than what is wanted */
bool stage_rests(const struct world *w);
void stage_rest(struct world *w);
bool stage_approves(const struct world *w); /* somebody will say that a canary is approved */
bool stage_answers(const struct world *w, const struct member *by, enum answer *outp);
bool stage_fails(const struct world *w, const struct member *m); /* what it prepares */
bool stage_keeps_the_coordinator_away(const struct world *w);
void stage_end(struct world *w);

/* ---- names ---- */
static inline const struct step *step_at(const struct member *m, uint32_t step) {
    return &m->order->steps[step];
}
bool step_closes(const struct member *m, const struct step *step);
uint32_t step_number(const struct member *m, const char *name);
enum mode content_mode(const struct member *m, uint32_t content);

/* ---- outputs.c: what named actions put out ---- */
/* What the agent's report brings, when it is done. */
void outputs_make(struct world *w, const struct member *m, const struct step *step,
                  struct kept_outcome *kept);
void outputs_send(struct world *w, const struct member *m, const struct action *a, struct message *message);
/* False with a sentence: the agent refuses the order. */
bool outputs_believed(struct world *w, const struct member *m, const struct message *message,
                      struct error *err);
void outputs_owed(struct world *w, const struct member *m, const struct message *message);

#endif
