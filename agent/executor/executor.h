/* The executor's own state: what it knows (configuration, key, journal), its helpers, the clusters whose charters it
 * holds and its members. All of it lives on one sd-event loop; nothing here is shared with another thread.
 *
 * Files: executor.c (life), messages.c (what the coordinator says), orders.c (what may begin), members.c (a machine and
 * its timer), recover.c, adopt.c, rows.c (rows done), starts.c (how starts go), facts.c (what is observed), leases.c,
 * operator_words.c, quarantine.c. */
#ifndef KEDGE_EXECUTOR_EXECUTOR_H
#define KEDGE_EXECUTOR_EXECUTOR_H

#include "agent/core/member.h"
#include "agent/executor/config.h"
#include "agent/executor/outputs.h"
#include "agent/executor/process.h"
#include "agent/executor/questions.h"
#include "agent/executor/records.h"
#include "agent/link/link_client.h"
#include "common/plan/check.h"
#include "common/trust/keys.h"
#include "proto/messages.h"

struct executor;
struct stage_run;
struct facts_run;

/* A cluster that this node belongs to. */
struct cluster {
    struct arena *arena; /* of the charter */
    const struct charter *charter;
    struct gate_set gates; /* the charter's */
    bool adopt;
    uint64_t
        latch_ahead; /* a plan that was aborted before this node had an order of it; not kept: it might never come */
    struct cluster_record record;
    struct cluster *next;
};

/* One member on this node. `charter` points into its cluster. */
struct member {
    struct executor *executor;
    struct cluster *cluster;
    const struct charter_member *charter;
    char name[KEDGE_MEMBER_NAME_MAX + 1];
    char folder[KEDGE_PATH_MAX + 1];

    struct member_machine machine;
    struct verified_order *order; /* of the open step */
    uint64_t epoch, expires_s;    /* of that order */
    sd_event_source *timer;
    uint32_t depth; /* of member_feed: rows that are done at once answer from within */

    /* what runs */
    struct process_record process;
    char instance[256]; /* its id at the system, "" not known */
    int pidfd;
    sd_event_source *watch;
    struct arena *spec_arena; /* of generation */
    struct generation_record generation;
    bool has_generation; /* adopted: `generation` is the one that runs or ran last */

    /* the row under way */
    const struct row *row;
    uint32_t op;
    bool waits_for_port; /* a start on the way back that has not begun: somebody else listens there */
    bool stopping;       /* the end of the process is wanted */
    uint64_t signalled_us;
    struct waiting_child child;
    bool child_waits;
    struct questions *questions;
    struct command_run *command;
    struct stage_run *stage;
    enum mode mode_seen; /* by OBSERVE */
    uint32_t run_phase;  /* RUN: 0 done_if before, 1 the command, 2 done_if after */
    uint64_t run_until_us;
    sd_event_source *retry; /* RUN: done_if once more */
    char command_said[KEDGE_REASON_MAX];
    struct outputs outputs; /* RUN: what its command has put out */
    char output_missing[KEDGE_REASON_MAX];
    char instance_before[256];
    uint64_t output_seen[2]; /* START, OBSERVE: how far its output and errors were read for progress */
    uint64_t released_us;    /* START: when it was let go; 0: not by this agent, or observed since */
    uint64_t start_ms;       /* how long it took then; 0: not measured */

    /* evidence of the open step, latest of each gate */
    struct evidence_kept {
        char gate[KEDGE_NAME_MAX + 1], reason[KEDGE_REASON_MAX];
        enum answer answer;
        uint64_t age_us;
    } evidence[24];
    size_t n_evidence;
    bool outcome_kept; /* the report of the step that is being concluded stands in the journal */

    /* an order on its way in: its facts are being looked at */
    struct verified_order *incoming;
    struct order_claim *incoming_claim; /* in the arena below */
    struct arena *incoming_arena;
    struct facts_run *facts;
    uint64_t facts_until_us; /* how long to ask again for what cannot be told just now */
    sd_event_source *facts_again;

    /* as last observed, for heartbeats */
    enum mode mode;
    enum origin origin;

    struct member *next;
};

struct executor {
    struct arena *arena; /* of configuration and paths */
    struct agent_config config;
    struct key_pair key;
    struct journal *journal;
    char boot[PROCFS_BOOT_ID_SIZE];
    char releases[KEDGE_PATH_MAX + 1];
    sd_event *loop;
    struct trust_record trust;
    struct prober_client *prober;
    const char *stager, *znode; /* paths of programs */

    struct link_client link;
    bool has_link, is_open;
    struct digest said; /* of what the last heartbeat said of the members */
    sd_event_source *link_io, *link_timer, *tick;
    struct {
        uint64_t since_us;
        unsigned n;
    } warned; /* see executor_warn */
    struct cluster *clusters;
    struct member *members;
    bool told_lost; /* that the journal is lost */
    struct lease_watch *leases;
    struct inquiry *inquiries; /* facts under way for nobody's order */
    struct ask_run *asks;
};

uint64_t clock_monotonic_us(void);
uint64_t clock_wall_s(void);
uint64_t clock_wall_ms(void);

/* ---- executor.c ---- */

int executor_new(const struct agent_config *config, struct arena *arena, struct executor **outp,
                 struct error *err) _must_check_;
struct executor *executor_free(struct executor *executor);

/* Takes clusters, members and leases out of the journal and goes on with what was open. Helpers must be there. */
void executor_load(struct executor *executor);

/* Connects helpers, loads, and runs until SIGTERM or SIGINT. Members go on without it. */
int executor_run(struct executor *executor, struct error *err) _must_check_;

/* Sends a message of the codec when the line is open; otherwise it is dropped (reports are sent again on reconnect). */
void executor_send(struct executor *executor, enum message_type type, const struct codec_message *codec,
                   const void *value);

struct cluster *executor_cluster(const struct executor *executor, const char *name);
struct member *executor_member(const struct executor *executor, const char *name);

/* The journal could not be written: tells the members once. */
/* Says that something of the coordinator's was refused; what comes too fast is counted instead (100 lines in 10 s). */
void executor_warn(struct executor *executor, const char *id, const char *text);

void executor_journal_lost(struct executor *executor);

/* journal_put that reports a loss. True when it was written. */
bool executor_put(struct executor *executor, enum record_type type, const char *key,
                  const struct buffer *value);

/* A gate that charter or order know by digest; *bytes is its encoding. NULL: nobody here knows it. */
const struct gate *cluster_gate(const struct cluster *cluster, const struct digest *digest,
                                struct bytes *bytesp);

/* Decodes a charter that was verified, replaces the cluster's older one and makes its members of this node. */
int cluster_take(struct executor *executor, struct bytes blob, bool adopt, struct cluster **outp,
                 struct error *err) _must_check_;

/* ---- messages.c ---- */

void message_receive(struct executor *executor, const struct verified_message *message);
void asks_cancel(struct executor *executor);

/* Sends the facts of the cluster's members of this node, unasked. */
void message_facts(struct executor *executor, const struct cluster *cluster);

/* ---- orders.c ---- */

/* Seconds since 1970, and never before a signed time that was seen: a clock that was set back revives nothing. */
uint64_t executor_now_s(const struct executor *executor);

void order_receive(struct executor *executor, struct bytes bytes);
void order_forget(struct member *member); /* the one on its way in */

/* An order out of the journal; *outp as from order_verify. */
int order_restore(struct member *member, const char *step, struct verified_order **outp,
                  struct error *err) _must_check_;

/* ---- members.c ---- */

struct member *member_new(struct executor *executor, struct cluster *cluster,
                          const struct charter_member *charter);
struct member *member_free(struct member *member);

/* Reads the journal and /proc, and goes on with what was open. */
void member_recover_all(struct member *member);

/* Feeds the machine, does what it says, arms its timer. */
void member_feed(struct member *member, struct machine_event *event);

/* Answers the row under way. */
void member_answer(struct member *member, uint32_t op, enum answer answer, const char *reason);
void member_fail(struct member *member, uint32_t op, const char *reason);
void member_fail_by_itself(struct member *member, uint32_t op,
                           const char *reason); /* see machine_event.blames */

/* Watches the process of the record; starts nothing. */
void member_watch(struct member *member);
void member_unwatch(struct member *member);
void member_process_put(struct member *member);

/* It ended and nobody here had asked for it; `by_itself`: nor is it other hands' doing. */
void member_ended(struct member *member, const char *how, bool by_itself);

/* A step that is open has no outcome: what an earlier try left, or a crash in the middle of the conclusion. */
void member_outcome_drop(struct member *member, const struct work_order *order, const struct step *step);

/* Sends a report that is not kept: progress, or a refusal. */
void member_say(struct member *member, const struct work_order *order, const struct step *step,
                enum outcome outcome, const char *reason);

/* Who is asked as this member. */
struct asker member_asker(const struct member *member);

/* Sends the stored report of every step of its newest plan again. */
void member_reports_again(const struct member *member);

/* Records generation 0 of a process that runs; -EPERM, -ESRCH with a sentence. Touches nothing. */
int member_adopt(struct member *member, struct error *err) _must_check_;

/* The member's process as found by its charter: pid, or 0 with a sentence. */
pid_t member_find(const struct member *member, struct error *err);

/* ---- hands.c ---- */

/* Looks for a process of the member that the journal does not name: started by an agent that could not write, or by other
 * hands. It becomes the member's (member_watch is the caller's); *numberp is its generation's number, UINT32_MAX when it
 * was not started as `current` is. */
bool member_take_other(struct member *member, uint32_t *numberp);

/* While nothing is under way: the same for what was started as a generation that is known, and nothing else; watched. */
bool member_take_known(struct member *member);

/* Who serves the member's port and looks like it, without being taken; 0: nobody. */
pid_t member_find_stranger(const struct member *member);

/* ---- rows.c ---- */

void row_execute(struct member *member, const struct machine_action *action);
void row_kill(struct member *member);

/* Somebody else serves the member's port: other hands have started it, or something else is there. `out` says who. */
bool port_is_taken(const struct member *member, char *out, size_t size);
void row_forget(
    struct member *member); /* whatever is under way for the row: ended or left alone, never half done */

void row_observe(struct member *member, const struct row *row); /* observe.c */

/* Its executable, or an open file where the charter says so, lies in this release folder. */
bool process_runs_from(const struct member *member, pid_t pid, const char *folder, struct arena *arena);

/* The number of the generation with this index in the open order; -ENOENT. */
int generation_number(const struct member *member, const struct work_order *order, uint32_t index,
                      uint32_t *outp);
uint32_t generation_index(const struct member *member, const struct work_order *order, uint32_t number);
int generation_load(struct member *member, uint32_t number, struct arena *arena,
                    struct generation_record *out) _must_check_;
void generation_key(const struct member *member, uint32_t number, char *out, size_t size);

/* ---- starts.c ---- */

/* What its files hold up to now is not this start's. */
void start_output_skip(struct member *member);

/* Tells the machine when a line that the row calls progress was written since the last look. */
void start_look_for_progress(struct member *member, const struct row *row);

void start_released(struct member *member); /* the child was let go */
void start_observed(struct member *member); /* it is up, and is what was wanted */
void start_keep(struct member *member);     /* its step is proven: into the journal, if it was measured */

/* "1200 900": how long its last starts took, in ms, the last one last; "" none was measured. */
const char *start_history(const struct member *member);

/* ---- last_words.c ---- */

/* Appends "; its last words: ..." to why the process ended; nothing when it said nothing, or nothing that may be shown. */
void member_last_words(const struct member *member, char *out, size_t size);

/* ---- facts.c ---- */

struct facts {
    struct fact *items;
    size_t n;
    struct arena *arena;
    const char *problem; /* "" or why there are none */
    const char *unsure;  /* "" or why mode and origin cannot be told just now, though the member runs */
};
typedef void (*facts_done)(void *context, const struct facts *facts);

/* Gathers the facts of a member (docs/facts.md); `done` from the loop. NULL when memory is out. */
struct facts_run *facts_gather(struct member *member, facts_done done, void *context) _must_check_;
struct facts_run *facts_cancel(struct facts_run *run);

/* "" or every difference: fact, signed value, value now. What cannot be told just now is no difference: *unsurep is true
 * then, and whoever needs to know asks again. */
const char *facts_compare(const struct facts *now, const struct fact *signed_facts, size_t n,
                          struct arena *arena, bool *unsurep);

/* Of a resolved path by the member's expression: group 1 the folder, group 2 the version. False when it does not match. */
bool release_of(const struct charter_member *charter, const char *path, struct arena *arena,
                const char **folderp, const char **versionp);

/* ---- leases.c ---- */

void lease_receive(struct executor *executor, const struct lease_message *message);
void lease_opens(struct executor *executor, const struct work_order *order,
                 const struct step *step);   /* before `step` begins: held from now on, if it opens one */
void leases_look(struct executor *executor); /* every tick */
void leases_load(struct executor *executor); /* from the journal */
void leases_free(struct executor *executor);

/* ---- operator_words.c ---- */

/* A signed word as it came: verified, kept in the journal, then obeyed; refused ones leave a line in the log. */
void operator_word_receive(struct executor *executor, struct bytes blob);

/* "" or why no further step of this plan is begun with the member: an operator skipped or retired it. */
const char *operator_word_forbids(const struct executor *executor, const struct work_order *order,
                                  struct arena *arena);

/* True when an operator has set this gate aside for the member in this plan, and that is not over. `out` says who, until
 * when and why. */
bool operator_word_waives(const struct executor *executor, const struct work_order *order,
                          const struct gate *gate, char *out, size_t size);

/* What was said about plans of the cluster before this one is dropped. */
void operator_words_forget(struct executor *executor, const char *cluster, uint64_t serial);

/* ---- quarantine.c ---- */

/* What the member's open order leads to has failed by itself: no other plan leads there again, on this node. */
void quarantine_note(const struct member *member, const char *reason);

/* It has proven itself, by a plan that was signed to try it again. */
void quarantine_end(const struct member *member);

/* "" or why this step is not begun: what it leads to failed here before. */
const char *quarantine_forbids(const struct executor *executor, const struct verified_order *order,
                               struct arena *arena);

#endif
