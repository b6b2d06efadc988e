/* The planner: recipe, cluster file, charter, release, facts and answers in; the bytes of an unsigned plan out, or
 * refused with every reason at once. PURE: the same inputs give the same bytes.
 *
 * Warnings need consent by name ("down:server@n3"); a plan is made only when there are no problems and every warning has
 * its consent. Consents that no warning asks for are problems too, so that nobody signs for something that is not there.
 *
 * Ownership: all that is returned lies in the arena. Times in milliseconds (_ms) or seconds since 1970 (_s). */
#ifndef KEDGE_PLANNER_PLANNER_H
#define KEDGE_PLANNER_PLANNER_H

#include "common/plan/charter.h"
#include "common/plan/plan.h"
#include "common/plan/release.h"
#include "coordinator/recipes/cluster_file.h"

/* What a prober said to one gate of the charter. */
struct planner_answer {
    const char *gate; /* its name */
    enum answer answer;
    const char *reason;
};

/* What the node made of the member's preview request. */
struct planner_preview {
    bool has;
    struct digest old_digest, new_digest;
    const char *diff;    /* "" when nothing changes */
    const char *problem; /* NULL or "": none */
};

/* One member, as its agent sees it; in the order of the cluster file. */
struct planner_member {
    const struct fact *facts; /* none: no answer came, see problem */
    size_t n_facts;
    const char *problem;                  /* NULL or "": none */
    uint64_t asked_ms;                    /* the coordinator's clock when they were asked for; 0: not known */
    uint64_t received_ms;                 /* the coordinator's clock when the facts came */
    uint64_t heard_ms;                    /* when its node's last heartbeat came; 0: not known */
    const char *agent_version;            /* of the node's Kedge; NULL or "": not known */
    const char *in_change;                /* by an open run: "switching, by run 3"; NULL: it is not */
    const struct planner_answer *answers; /* to the gates of its charter member */
    size_t n_answers;
    struct planner_preview preview;
};

enum planner_config {
    PLANNER_CONFIG_FOUND,  /* the found configuration with the recipe's changes */
    PLANNER_CONFIG_RELEASE /* the release's own, with the keys carried over that the recipe names */
};

/* What a plan is for; each is the same rolling shape. */
enum planner_goal {
    PLANNER_GOAL_UPGRADE,     /* strategies rolling and canary,rolling: to another release */
    PLANNER_GOAL_CONFIG_ONLY, /* the release as it is everywhere, with the operator's own changes and no others */
    PLANNER_GOAL_RESTART,     /* the same release and configuration once more */
    PLANNER_GOAL_FINALIZE, /* no stop: the recipe's act on each member, after which nothing leads back */
    PLANNER_GOAL_DOWNTIME  /* to another release: all stop, pass the barrier, all start */
};

struct planner_options {
    enum planner_goal goal;
    bool canary;               /* strategy canary,rolling; otherwise rolling */
    bool approve_after_canary; /* the other waves begin by an operator's signed word */
    bool return_inconclusive;  /* canaries that are unknown at their wait limit go back; else: pause */
    bool return_on_abort; /* aborted, members that are changed and not done go back; else: stay as they are */
    uint32_t n_canaries;  /* when no names are given */
    const char *const *canaries; /* names of members, short ("server@n1") or full */
    size_t n_canary_names;
    uint32_t limit_count;   /* members in change at once, at least 1 */
    uint32_t limit_percent; /* 0: no further limit */
    uint32_t soak_read_only_ms, soak_ms, wait_limit_ms;
    uint32_t hold_ms; /* downtime: how long a member may stay stopped before the barrier is passed */
    const struct budget_use *budgets; /* of failures; of the same wave and kind the last one counts */
    size_t n_budgets;
    const char *const *consents;
    size_t n_consents;
    const struct fact *choices; /* the recipe's options, by name */
    size_t n_choices;
    const struct config_op *changes; /* the operator's own changes of the configuration, applied last */
    size_t n_changes;
    enum planner_config config;
    const char *author, *ticket, *reason; /* the last two may be "" */
    const char *urgent;                   /* why it cannot wait for the soaks; NULL: it can */
    uint64_t created_s, not_before_s, not_after_s;
    uint64_t serial;
    uint64_t supersedes;           /* serial of the plan whose open run this one overtakes; 0: none */
    const char *const *depends_on; /* clusters, beside those of the charter */
    size_t n_depends_on;
    const char *const *lifts; /* "b2:5a9e...": what may be tried again although it failed; a part is enough */
    size_t n_lifts;
};

/* What failed before, and how; see common/plan/quarantine.h. */
struct planner_quarantine {
    struct digest what;
    const char *says; /* "it failed on shop/server@n1 in run 3: ..." */
};

struct planner_input {
    const struct cluster_file *cluster; /* and through it the recipe */
    const struct charter *charter;
    struct digest charter_digest;    /* of the bytes that were signed */
    const struct manifest *manifest; /* the release to go to; decoded and verified by the caller */
    struct bytes manifest_blob;      /* the same, signed */
    struct bytes shipped; /* content of planner_shipped_path in the release; data NULL: not there */
    const struct planner_member *members;
    size_t n_members;
    const struct planner_answer *answers; /* to the charter's cluster_gates, asked without a self */
    size_t n_answers;
    /* Side actions that an open run of the cluster has in force: what stood there before, which that run puts back at its
     * end. What the cluster says now would be taken for the operator's. */
    const struct fact *overtaken;
    size_t n_overtaken;
    const struct planner_quarantine *quarantines;
    size_t n_quarantines;
    uint64_t goes_on; /* number of the run that is superseded, if it is not paused; else 0 */
    struct planner_options options;
};

/* Why it is refused. Codes are explained by coordinator/control/explain.h (`kedge explain CODE`). */
struct planner_problem {
    const char *code, *says;
};

/* `name` is its code, and behind a colon whom or what it is about. */
struct planner_warning {
    const char *name, *says; /* "down:server@n3", "it is down (crash); …" */
    bool consented;
};

struct planner_result {
    struct bytes plan;    /* an encoded struct plan without signatures; no data when refused */
    struct digest digest; /* of its header: what people compare */
    const struct planner_problem *problems;
    size_t n_problems;
    const struct planner_warning *warnings;
    size_t n_warnings;
    const char *const *notes; /* what was decided without asking: members left out, side actions not needed */
    size_t n_notes;
};

struct planner_preview_request {
    size_t member;       /* index */
    struct bytes render; /* encoded struct render, digests zero */
};

/* The defaults of the cluster file: canary, limit, soaks. Author, times and serial are the caller's. */
void planner_options_init(struct planner_options *options, const struct cluster_file *cluster);

/* The file of the release whose content `shipped` must hold for these options; NULL: none is needed. */
const char *planner_shipped_path(const struct planner_input *input);

/* Which configurations have to be computed on their nodes before a plan can be made. Members that cannot be planned are
 * passed over; planner_make says why. */
int planner_previews(const struct planner_input *input, struct arena *arena,
                     const struct planner_preview_request **outp, size_t *n_outp,
                     struct error *err) _must_check_;

enum { PLANNER_REFUSED = 1 };

/* 0: result->plan is made. PLANNER_REFUSED: problems, or warnings without consent. Negative: -ENOMEM, or -EINVAL with a
 * sentence when a document would break its limits. */
int planner_make(const struct planner_input *input, struct arena *arena, struct planner_result *result,
                 struct error *err) _must_check_;

#endif
