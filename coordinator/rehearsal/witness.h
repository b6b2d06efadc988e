/* A second memory of all that went into the engine and came out of it: what was asked of whom, answered, reported, said by
 * operators. Each new order to change a member, and each time that the engine takes a member for recovered, done or back,
 * is judged against it (verdicts.c), by the plan and by what was answered, never by what the engine believes of that. */
#ifndef KEDGE_REHEARSAL_WITNESS_H
#define KEDGE_REHEARSAL_WITNESS_H

#include "coordinator/engine/engine.h"

struct world;

enum { SPEAKERS = 2 /* for the cluster */, VOICES = 4 /* that are remembered */, TRIAL_SIDES = 4 };

/* A question to one node. */
struct asking {
    uint64_t id;        /* 0: none is open */
    uint64_t change;    /* trial.n_changes when it was put */
    uint64_t at_ms;     /* and when that was */
    uint64_t until_ms;  /* from then on the engine takes it for unknown */
    uint32_t node;      /* in witness.nodes */
    bool late;          /* the engine may have given it up */
    bool answered;      /* what follows is its answer */
    enum answer answer; /* joined, without the gate that says who is last */
    uint64_t seen_ms;   /* how old its oldest evidence is */
};

/* What is known of a member of a run. */
struct heard {
    uint64_t free_before_ms; /* trial.free_ms before its last order */
    uint32_t node;
    struct asking own, may_stop[VOICES], recovered[VOICES];
    enum answer last;            /* to the wave's `last` gate */
    uint64_t own_ms, cluster_ms; /* since when all answers were yes; 0: they are not */
    uint64_t longest_ms;         /* for so long both were, since the last report */
    uint64_t noes_since_ms;      /* the first of the next */
    unsigned n_noes;             /* its own, one after the other */
    unsigned n_all_noes;         /* its own and of the cluster about it, since the last report */
    const char *ordered;         /* the change in flight; NULL: none */
    enum outcome outcome;        /* of its last change */
    bool in_change, was_in_change, changed;
    bool left_out, retired, promote_now;
    bool return_ordered;
    uint64_t waived_until_ms;
    enum member_state state; /* as the engine said last */
};

struct trial {
    uint64_t run;
    uint32_t n_members;
    struct heard *heard;
    uint32_t (*accepted)[BUDGETS]; /* by wave, and of the run: so many failures an operator has let pass */
    uint64_t n_changes;
    uint64_t aborted_ms; /* when the word came, while members were changed; 0: it did not */
    bool superseded;     /* by a newer plan */
    bool paused;         /* by an operator */
    uint32_t halted_by;  /* the member */
    bool by_budget;      /* a budget halts it */
    char halted[160];    /* why nothing may be changed until somebody has resumed the run; "" it may */
    bool was_paused, was_aborting, ended; /* as the engine said last, and the next */
    enum side_state side[TRIAL_SIDES];
    uint32_t opening[TRIAL_SIDES];  /* who is; NO_MEMBER: nobody */
    uint64_t lease_ms[TRIAL_SIDES]; /* when agents were told last that the side action is held open */
    uint64_t free_ms;               /* of the last change, or when a pause was over */
};

struct witness_node {
    char *name;
    bool up;
    uint64_t held_until_ms;
};

/* What an agent blamed, or refused, in that run. */
struct blamed {
    struct digest what;
    uint64_t run;
    size_t n_runs; /* that there were then */
};

struct witness {
    struct blamed *failed; /* and no plan that was signed to try it again has ended well since */
    size_t n_failed;
    struct trial *trials;
    size_t n_trials;
    struct witness_node *nodes;
    uint32_t n_nodes;
    struct event event; /* the one that the engine has now; what it points to lives as long */
    bool has_event;
    bool gives_away; /* the report at the door is a lie that shows: to be believed as little as none */
    uint64_t now_ms;
};

/* Around each step of the engine; `heard` when what it decided is durable. A coordinator that dies has heard nothing. */
void witness_event(struct world *w, const struct event *event);
void witness_heard(struct world *w, bool refused);
void witness_forgets(struct world *w);
void witness_begins(struct world *w, uint64_t now_ms);
void witness_free(struct world *w);

/* ---- verdicts.c ---- */
void verdict_order(struct world *w, const struct run *run, const struct trial *trial, uint32_t member,
                   const struct step *step);
void verdict_claims(struct world *w, const struct run *run, struct trial *trial);
void verdict_begins(struct world *w, const struct run *run, uint32_t member, const struct step *step);

/* ---- duties.c: what the engine owes besides good orders ---- */
void duties_begins(struct world *w, const struct run *run, const struct trial *trial,
                   const struct action *order);
void duties_after(struct world *w, const struct run *run, struct trial *trial);

/* ---- failures.c: which of them halt the run ---- */
void failures_reported(struct world *w, const struct run *run, struct trial *trial, uint32_t member,
                       const char *step);
void failures_word(const struct run *run, struct trial *trial, uint32_t member, enum run_event word);
void failures_accept(const struct run *run, struct trial *trial);

/* ---- failures.c: what is not tried again ---- */
void blames_heard(struct world *w, const struct run *run, const struct engine_report *report);
void blames_over(struct world *w, const struct run *run); /* it has ended as done */
void blames_judge(struct world *w, const struct run *run, uint32_t member, const char *what);

/* ---- witness.c, for verdicts.c ---- */
/* The member's own gates after this step; without samples. */
struct gates_asked {
    size_t n;
    uint32_t age_ms, detection_ms, timeout_ms;
};
struct gates_asked own_gates(const struct run *run, uint32_t member, const char *step);
struct gates_asked cluster_gates(const struct run *run, const struct digest *digests, size_t n);
const char *stage_step(const struct run *run, const struct trial *trial, uint32_t member);

#endif
