/* What the files of this room share; nobody else includes it. */
#ifndef KEDGE_AGENT_CORE_INTERNAL_H
#define KEDGE_AGENT_CORE_INTERNAL_H

#include "agent/core/member.h"
#include "common/base/mutant.h"

/* The row that record.state and record.row name. */
const struct row *row_now(const struct member_machine *machine);
size_t rows_now(const struct member_machine *machine);

/* Begins the row that record.row names: journal, then execute. Concludes when there is none left. */
void row_begin(struct member_machine *m, uint64_t now_us, struct machine_actions *actions);

/* Goes on from this start as if it had just been made: whether it is up, and all that proves it, is asked. */
void prove_start(struct member_machine *m, uint32_t row, uint64_t now_us, struct machine_actions *actions);

/* The row under way is done: the next one. */
void row_done(struct member_machine *m, uint64_t now_us, struct machine_actions *actions);

/* What fails now fails by what this step has started: noted, if it has started anything new. */
void blame(struct member_machine *m);

/* The row under way has failed: nothing changed, way back, or hold. */
void row_failed(struct member_machine *m, const char *why, uint64_t now_us, struct machine_actions *actions);

/* Goes the way back from its first row. */
void return_begin(struct member_machine *m, uint64_t now_us, struct machine_actions *actions);

/* The stop under way was not signalled: asks what comes before it once more. */
void stop_put_off(struct member_machine *m, uint64_t now_us, struct machine_actions *actions);

/* Ends the open step. */
void conclude(struct member_machine *m, enum outcome outcome, struct machine_actions *actions);

/* Ends it as held: with an alarm. */
void conclude_held(struct member_machine *m, struct machine_actions *actions);

/* Puts "text" or "text: more" into record.reason. */
void reason_set(struct member_machine *m, const char *text, const char *more);

/* ---- steps.c ---- */

struct machine_action *machine_action_add(struct machine_actions *actions, enum machine_action_kind kind);
void act_execute(struct member_machine *m, const struct row *row, struct machine_actions *actions);

/* The rows of the signed return from its stop on; an order without one goes back by the bare four. */
void way_plan(struct member_machine *m);

/* What people may order although a member may not do it alone. */
bool return_may_be_ordered(enum way_back way_back, const struct machine_record *record);

/* The open step may lead to the way back by itself: not from a return, and not from behind a barrier, where others may
 * have gone on with the new release. */
bool may_return_alone(const struct member_machine *m);

/* At the barrier: lets the hold limit run, and what its end leads to. */
void barrier_arm(struct member_machine *m);
void barrier_time_passed(struct member_machine *m, uint64_t now_us, struct machine_actions *actions);

/* The close step of a side action: it puts the previous value back. */
bool step_puts_back(const struct work_order *order, const struct step *step);

/* Put-backs and the way back: they go on after an abort. */
bool step_is_closing(const struct work_order *order, const struct step *step);

uint64_t after_ms(uint64_t now_us, uint64_t ms);

/* ---- answers.c ---- */

bool event_is_of_now(const struct member_machine *m, const struct machine_event *event);
void row_answered(struct member_machine *m, const struct machine_event *event,
                  struct machine_actions *actions);
void row_failed_by_event(struct member_machine *m, const struct machine_event *event,
                         struct machine_actions *actions);
void row_progress(struct member_machine *m, const struct machine_event *event);
void row_time_passed(struct member_machine *m, uint64_t now_us, struct machine_actions *actions);

/* ---- member.c, recovery.c ---- */

/* The one mutator of record.state. */
void machine_move(struct member_machine *m, enum machine_state to);

/* Goes on after a crash: recovery.c. */
void machine_recover(struct member_machine *m, const struct machine_event *event,
                     struct machine_actions *actions);

#endif
