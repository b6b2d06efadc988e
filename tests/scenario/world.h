/* A world for the engine: agents that do their steps at most once, gates that answer as the test says, virtual time.
 * Everything that the engine decides is written to a transcript, and what must always hold is checked at each order:
 * the wave's limit, one failure domain, nothing but closing moves after an abort. */
#ifndef KEDGE_TESTS_SCENARIO_WORLD_H
#define KEDGE_TESTS_SCENARIO_WORLD_H

#include "coordinator/engine/engine.h"

enum {
    WORLD_MEMBERS_MAX = 128,
    WORLD_RUN = 32, /* with several runs, members of one at most */
    WORLD_STEPS = 13,
    WORLD_QUEUE = 4096,
    WORLD_RECORDS = 8192
};

enum world_gate { GATE_CLUSTER, GATE_RECOVERED, GATE_OLD, GATE_NEW, GATE_LAST, WORLD_GATES };

struct world_config {
    unsigned n_members, n_canaries, limit, limit_percent;
    unsigned members_per_domain; /* 0: no domains */
    bool one_domain, has_last, side_action;
    bool downtime;    /* stop all, pass, start all */
    uint32_t hold_ms; /* its hold limit */
    bool acts;        /* a backup before its barrier, a format behind it, carried by the first two members */
    bool restores;    /* and the backup can be restored */
    uint32_t soak_ms, soak_read_only_ms, detection_ms, wait_limit_ms;
    uint64_t not_before_s, not_after_s;
    enum way_back way_back;
    void (*amend)(
        struct verified_plan *plan); /* what a test changes in a plan, by its serial; NULL: nothing */
};

struct world;

/* What a gate says now; `node` was asked, `self` is left out or "". Default: yes, except GATE_LAST. */
typedef enum answer world_gate_fn(struct world *world, enum world_gate gate, unsigned node, const char *self);

/* How a step ends. Default: done. */
typedef enum outcome world_step_fn(struct world *world, unsigned member, const char *step);

struct world_item { /* something on its way */
    uint64_t at_ms, ask, run;
    bool is_report, is_hold; /* is_hold: a hold limit is over */
    unsigned node, n_gates;
    enum world_gate gates[8];
    char self[64];
    unsigned n_beside;
    struct engine_report report;
};

/* Where a member of a downtime is, as its agent knows. */
enum world_barrier { BARRIER_UP, BARRIER_DOWN, BARRIER_BEHIND, BARRIER_STARTED };

struct world_agent {
    enum world_barrier barrier;
    uint64_t hold_until_ms;
    bool returned;                 /* alone, at its hold limit */
    unsigned n_alarms;             /* its hold limit was over behind the barrier */
    bool down, latched, cut;       /* cut: its line broke and the coordinator does not know yet */
    unsigned effects[WORLD_STEPS]; /* how often each step really ran */
    bool running[WORLD_STEPS], ended[WORLD_STEPS];
    enum outcome outcome[WORLD_STEPS];
    uint64_t at_ms[WORLD_STEPS]; /* of its report, also when it is said again */
    uint64_t last_expires_s;
};

/* What somebody has started by hand, by the generations of the member's order. */
struct world_hands {
    bool touched;
    uint32_t generation; /* or FOUND_… */
};

struct world {
    struct world_config config;
    struct engine *engine;
    struct actions actions;
    struct buffer transcript, refused;
    uint64_t now_ms, epoch, step_ms;
    unsigned n_answered;
    unsigned
        liar; /* from 1: the member that reports done of this step and what ran before it; or another outcome
                          * and what runs when it is done */
    const char *lies_at; /* its name */
    struct world_agent agents[WORLD_MEMBERS_MAX];
    struct world_hands hands[WORLD_MEMBERS_MAX];
    struct world_item queue[WORLD_QUEUE];
    unsigned n_queue;
    struct buffer records[WORLD_RECORDS];
    unsigned n_records;
    unsigned crash_at;      /* the coordinator dies when it has written so many records; 0: never */
    bool crash_before_send; /* between journal and send, or after it */
    bool crashed, quiet;    /* quiet: no transcript */
    bool blames;            /* an agent that returns or holds its member says that the release is to blame */
    unsigned max_in_change, max_stopping, n_orders, n_asks;
    unsigned n_beside;  /* while a gate is asked: who is on the way down with the one it is asked for */
    bool side_in_force; /* what a look at the cluster would show */
    unsigned n_leases;
    world_gate_fn *gate;
    world_step_fn *step;
    bool (*loses)(struct world *world); /* an order, with the line that it was sent on */
    int state;                          /* the test's own */
};

extern const char *const world_gate_names[WORLD_GATES];

/* The same serial always gives the same plan, as the journal's digest wants it. */
struct verified_plan *world_plan_make(const struct world_config *config, uint64_t serial);

struct world *world_new(const struct world_config *config);
struct world *world_free(struct world *world);
static inline void world_freep(struct world **world) {
    *world = world_free(*world);
}

/* Agents come up and the plan is applied. Returns what the engine says. */
int world_begin(struct world *world);
int world_apply(struct world *world, uint64_t serial);

/* Lets things happen until the run has ended, is paused, or `for_ms` have passed. */
void world_run(struct world *world, uint64_t for_ms);
/* One thing happens, the earliest; false when nothing will before `until_ms`. */
bool world_next(struct world *world, uint64_t until_ms);
/* Until the member is in that state, or `for_ms` have passed. */
bool world_run_until(struct world *world, unsigned member, enum member_state state, uint64_t for_ms);

/* The coordinator dies and is back at once, with the journal; what was on its way to it is lost. */
void world_crash(struct world *world);

/* Its agent has not heard of the run for the time of its lease: the side action is back. Said now, and said again. */
void world_put_back(struct world *world, unsigned member);
void world_put_back_again(struct world *world, unsigned member);

int world_command(struct world *world, enum run_event command, const char *text);
int world_member(struct world *world, enum run_event command, unsigned member, const char *text);
int world_waive(struct world *world, unsigned member, const char *gate, uint64_t for_ms, const char *text);
/* The close of a side action of that run is waived. */
int world_leave(struct world *world, uint64_t run, const char *step, const char *text);
int world_hold(struct world *world, unsigned node, uint64_t for_ms, const char *text); /* 0: until returned */
int world_return(struct world *world, unsigned node, const char *text);
void world_agent_down(struct world *world, unsigned node);
void world_agent_up(struct world *world, unsigned node);
void world_note(struct world *world, const char *text);

const struct run *world_run_of(const struct world *world);
unsigned world_effects(const struct world *world, unsigned member, const char *step);

/* The dump of a fresh engine that has only the records. Free it. */
char *world_replay(const struct world *world, unsigned n_records);

#endif
