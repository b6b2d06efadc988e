/* A run of a plan in one process: the real engine and the real member machines, against model services, a model network, a
 * model disk and a virtual clock. One 64-bit seed decides all that is left to chance, so it can be played again.
 *
 * What must always hold (DESIGN.md, section 8) is checked after every event against what the model really did. */
#ifndef KEDGE_REHEARSAL_REHEARSAL_H
#define KEDGE_REHEARSAL_REHEARSAL_H

#include "common/plan/verify.h"

#include <stdio.h>

struct rehearsal_stage;

/* Each may be switched off alone; its chances come from a stream of its own, so the others stay as they were. */
enum fault {
    FAULT_DELAY,       /* messages take up to two seconds */
    FAULT_CUT,         /* a line breaks, what was on it is lost */
    FAULT_PARTITION,   /* several lines at once, for longer */
    FAULT_DUPLICATE,   /* a message arrives twice, or once more from an older reign */
    FAULT_COORDINATOR, /* it dies: before the journal, between journal and send, in the middle of sending */
    FAULT_AGENT,       /* an agent is killed, also right after it wrote its journal */
    FAULT_HOST,        /* a host dies, with what was not synced */
    FAULT_SLOW_DISK,   /* a sync takes up to two seconds */
    FAULT_DISK,        /* the journal cannot be written any more, until the agent's next start */
    FAULT_SLOW,        /* services stop and start slowly */
    FAULT_START,       /* a new release does not come up, or is up and does not serve for a while */
    FAULT_HANG,        /* a service neither starts nor ends */
    FAULT_CRASH,       /* a service ends by itself, and somebody starts it later */
    FAULT_FLAP,        /* gates say no or unknown for a while */
    FAULT_EMPTY,       /* a new release comes up green on an empty disk */
    FAULT_STEP,        /* preparations and side actions fail */
    FAULT_OPERATORS,   /* two consoles: pause, resume, abort, rollback at any time */
    FAULT_WORDS,       /* and about one member: retry, skip, retire, promote, waive */
    FAULT_HOLDS,       /* a node is held, and returned */
    FAULT_ONE_WAY,     /* a line carries nothing in one direction for a while */
    FAULT_RACK,        /* the lines of one failure domain are cut together */
    FAULT_TAIL,        /* a message now and then takes up to a minute */
    FAULT_SLOW_READER, /* a node takes its messages one by one, slowly */
    FAULT_FRAME,       /* a line is cut in the middle of a message */
    FAULT_ECHO,        /* an order arrives once more, on a later line and in a later reign */
    FAULT_PAUSE,       /* an agent or the coordinator stands still, up to a minute */
    FAULT_LOOP,        /* an agent is restarted again and again */
    FAULT_CLOCK, /* clocks of nodes jump, drift or stand; the coordinator's is another after a restart */
    FAULT_LIE, /* an agent reports done, or a return, and has done nothing; or reports what contradicts it */
    FAULT_OLD_DISK, /* a host comes back with its disk as it was a while ago */
    FAULT_IMAGE,    /* a host comes back with an empty disk and the same key */
    FAULT_BIT_FLIP, /* a journal is damaged: its agent does not start, until somebody restores an older copy */
    FAULT_HANDS, /* people stop, start and replace services, make them read-only, spoil a prepared folder */
    FAULT_SUPERSEDE, /* a newer plan of a cluster is applied, whatever its run is at */
};
enum { FAULTS = 34, FAULTS_FIRST = 17 /* those with the oldest streams */ };
const char *fault_text(enum fault fault);

/* Of one plan that is played alone: all but a newer one. */
#define REHEARSAL_ALONE (((1ull << FAULTS) - 1) & ~(1ull << FAULT_SUPERSEDE))
/* Of those, all but what people say. */
#define REHEARSAL_NATURE                                                                                     \
    (REHEARSAL_ALONE & ~(1ull << FAULT_OPERATORS | 1ull << FAULT_WORDS | 1ull << FAULT_HOLDS))

/* Serials of cluster c are c * SERIALS + 1, 2, ...; the second and later ones supersede the one before. */
enum { SERIALS = 1000 };

/* A new plan with this serial, always the same for the same serial. */
typedef struct verified_plan *rehearsal_plan_fn(void *context, uint64_t serial);

/* How long things take in the model, in microseconds; 0: a moment. */
struct rehearsal_pace {
    uint64_t prepare_us; /* fetch and unpack the release, write the configuration */
    uint64_t stop_us;    /* a service ends after its signal */
    uint64_t start_us;   /* a service serves after its start */
    uint64_t heal_us;    /* the cluster has caught up with a member that serves again */
};

struct rehearsal_config {
    uint64_t seed;
    uint64_t faults;     /* bits of enum fault that may happen; a seed takes some of them */
    bool all_faults;     /* it takes all of them */
    uint32_t n_clusters; /* 0: one */
    uint32_t n_plans;    /* of a cluster, at most; 0: one, nothing supersedes it */
    rehearsal_plan_fn *plan;
    void *context;
    FILE *transcript; /* NULL: none */

    /* For a plan of people (stage.h); all may be left 0. */
    struct rehearsal_pace pace;
    uint64_t begin_ms;    /* since 1970: when it is applied */
    uint64_t calm_us;     /* the faults last at most so long (40 s) */
    uint64_t patience_us; /* after them it has so long to come to rest (600 s) */
    bool elects;          /* `last` gates are about one leader, the member that its wave names last */
    const struct rehearsal_stage
        *stage; /* what is wanted to happen, and who looks on; NULL: nothing, nobody */
};

struct rehearsal_rest {
    bool is, ended, paused;
    bool unapproved;   /* it waits for an operator's word about a canary that is done */
    uint64_t after_us; /* since the plan was applied */
    char verdict[16], text[512];
};

struct rehearsal_result {
    bool failed;
    char what[640]; /* "3: ..." the invariant, and what broke it; or "liveness: ..." */
    uint64_t n_events, at_us;
    uint64_t faults; /* those that the seed took */
    char verdict[16], end[512];
    bool ended, paused;
    uint64_t digest; /* of all that happened, in its order: the same seed gives the same in every build */
    struct rehearsal_rest rest; /* where it was when it first ended or paused after the faults */
};

void rehearsal_run(const struct rehearsal_config *config, struct rehearsal_result *result);

/* The order with keys of the model's own where what actions put out is signed; the same one where nothing is. */
const struct work_order *outputs_rekey(struct arena *arena, const struct work_order *from);

#endif
