/* What the files of the planner share: the state of one planning. Every phase adds to the findings and goes on, so that
 * people get all reasons at once; memory that is out is noted once (`failed`) and asked for at the end of a phase. */
#ifndef KEDGE_PLANNER_PLANNING_H
#define KEDGE_PLANNER_PLANNING_H

#include "coordinator/planner/planner.h"
#include "coordinator/recipes/resolve.h"
#include "coordinator/recipes/version.h"

/* Where a member stands in the plan. */
enum part {
    PART_UNKNOWN, /* nothing can be planned for it */
    PART_DONE,    /* already on the target version: left out */
    PART_BROKEN,  /* down, or without a mode: goes first */
    PART_LEFT,    /* read-only by an earlier run, which is not promoting it any more: goes first, too */
    PART_CANARY,
    PART_ROLLING
};

struct member_plan {
    const struct planner_member *in;
    const struct cluster_member *member;
    const struct charter_member *chartered;
    const struct roster_entry *node;
    enum part part;
    bool is_down, goes_last;
    enum mode mode, end_mode;
    const char *from_version;
    struct version_path path;
    struct scope own, facts; /* facts over own over the cluster's */
    struct render render;
    bool has_render;
    struct probe finalized; /* of a plan that finalizes: what its value is asked by */
    const char *finalized_is;
};

struct side_plan {
    const struct recipe_side_action *action;
    const char *previous, *ours, *open_step, *close_step;
    struct probe value;
    uint32_t ttl_ms, delta_ms;
};

/* A list that grows in the arena. */
struct texts {
    const char **items;
    size_t n, room;
};

struct planning {
    const struct planner_input *input;
    const struct recipe *recipe;
    struct arena *arena;
    struct error *err;
    int failed; /* 0, or the negative code that err explains */

    struct texts notes, known;
    struct planner_problem *problems;
    size_t n_problems, problems_room;
    struct planner_warning *warnings;
    size_t n_warnings, warnings_room;

    struct scope scope;
    struct member_plan *members;
    size_t n_members;
    size_t roster_at; /* where the last search in the charter's roster ended */
    const char *to_version;
    bool release_as_found; /* all are on the target version: only configuration or mode change */
    struct side_plan *sides;
    size_t n_sides;
    struct gate_set gates;
    struct digest *may_stop, *recovered;
    size_t n_may_stop, n_recovered;

    struct member_plan **order; /* as expected today; the index is that of the work order */
    size_t n_order;
    struct wave *waves;
    size_t n_waves;
    struct budget *budgets; /* of the run */
    size_t n_budgets;
    struct digest *lifts; /* of what is to be tried, by the operator's word */
    size_t n_lifts;
};

/* Findings. */
/* `code` is one word for the kind of problem; coordinator/control/explain.c has a row for each. */
void refuse(struct planning *p, const char *code, const char *format, ...) _printf_(3, 4);
void note(struct planning *p, const char *format, ...) _printf_(2, 3);
/* `object`: whom or what it is about, "": the whole plan. The consent is CODE or CODE:OBJECT. */
void warn(struct planning *p, const char *code, const char *object, const char *format, ...) _printf_(4, 5);
bool is_consented(const struct planning *p, const char *name);

/* Memory: NULL and `failed` when it is out. */
void *keep(struct planning *p, size_t n, size_t size) _must_check_;
const char *keep_format(struct planning *p, const char *format, ...) _printf_(2, 3);
void texts_add(struct planning *p, struct texts *texts, const char *text);
void texts_add_once(struct planning *p, struct texts *texts, const char *text);
int fail(struct planning *p, int code);

const char *fact_of(const struct member_plan *m, const char *name); /* "" when there is none */
bool is_in_plan(const struct member_plan *m);
const struct planner_answer *answer_find(const struct planner_answer *answers, size_t n, const char *gate);

/* members.c: who is how, and what speaks against changing it. */
void members_look(struct planning *p);

/* node.c: what the member's node says of itself: clock, room, agent. */
void node_findings(struct planning *p, const struct member_plan *m);

/* judge.c: the release, the gates, capacity, consents. */
void versions_judge(struct planning *p);
void gates_judge(struct planning *p);
void capacity_judge(struct planning *p);
void consents_judge(struct planning *p);
/* After the configurations were made: does the plan do what its strategy says, and no more? */
void goal_judge(struct planning *p);
bool is_downtime(const struct planning *p);
const char *strategy_text(const struct planner_options *options);

/* hops.c: versions that the recipe reaches only over others, or refuses. */
void hops_judge(struct planning *p, const struct member_plan *m);

/* sides.c */
void sides_look(struct planning *p);
/* May-stop while the side action is open: ours must still be in force. */
void side_gate_add(struct planning *p, const struct side_plan *side, struct digest *outp);
int side_step_make(struct planning *p, const struct member_plan *m, const struct side_plan *side, bool open,
                   struct step *outp) _must_check_;

/* A value that never leaves its node stands there as ****. */
bool is_masked(const char *text);

/* actions.c: of a downtime. */
/* The word takes what an action puts out; false: it does not. */
bool output_word_make(struct planning *p, const char *from, const struct scope *scope,
                      const struct member_plan *m, struct argument *outp);
bool action_is_carried(const struct planning *p, const struct recipe_action *action,
                       const struct member_plan *m);
int action_step_make(struct planning *p, const struct member_plan *m, const struct recipe_action *action,
                     struct step *outp) _must_check_;
void actions_waves_make(struct planning *p, enum action_place place);
const char *action_behind(const struct planning *p); /* the first one behind the barrier, or NULL */
void hold_judge(struct planning *p);

/* waves.c */
void waves_make(struct planning *p);

/* budgets.c: gives run and waves the budgets of failures that were asked for. */
void budgets_make(struct planning *p);

/* urgency.c: cuts the soaks of an urgent plan to the longest detection time of its gates. */
void soaks_cut(struct planning *p);
const char *reason_make(struct planning *p);

/* generations.c */
void render_make(struct planning *p, struct member_plan *m);
int generation_plan(struct planning *p, const struct member_plan *m, enum mode mode,
                    struct generation *outp) _must_check_;
int command_make(struct planning *p, const struct recipe_command *from, const struct scope *scope,
                 const struct member_plan *m, const struct command **outp) _must_check_;

/* finalize.c: the plan after which nothing leads back, and the way back that an earlier one has closed. */
bool is_finalize(const struct planning *p);
/* NULL, or why the member is left out. */
const char *finalize_leaves_out(struct planning *p, const struct member_plan *m);
void finalize_look(struct planning *p, struct member_plan *m);
void finalize_judge(struct planning *p);
/* The row that does it; 0, or negative when the planning has failed. */
int finalize_row_make(struct planning *p, const struct member_plan *m, struct row *outp) _must_check_;

/* starts.c: how long a start may take. */
struct start_limits {
    uint32_t deadline_ms, cap_ms; /* without progress, and whatever the progress */
    const char *why;              /* for people: where the deadline comes from; NULL: the recipe */
};
int start_limits_make(struct planning *p, const struct member_plan *m,
                      struct start_limits *outp) _must_check_;

/* quarantine.c: what failed before is planned only by an operator's word, which is signed with the plan. */
void quarantine_judge(struct planning *p, const struct work_order *orders);

/* orders.c */
int order_make(struct planning *p, size_t index, struct work_order *outp) _must_check_;

#endif
