/* What member.c and recovery.c share; nobody else includes it. */
#ifndef KEDGE_AGENT_CORE_INTERNAL_H
#define KEDGE_AGENT_CORE_INTERNAL_H

#include "agent/core/member.h"

/* The row that record.state and record.row name. */
const struct row *row_now(const struct member_machine *machine);
size_t rows_now(const struct member_machine *machine);

/* Begins the row that record.row names: journal, then execute. Concludes when there is none left. */
void row_begin(struct member_machine *m, uint64_t now_us, struct member_actions *actions);

/* The row under way is done: the next one. */
void row_done(struct member_machine *m, uint64_t now_us, struct member_actions *actions);

/* The row under way has failed: nothing changed, way back, or hold. */
void row_failed(struct member_machine *m, const char *why, uint64_t now_us, struct member_actions *actions);

/* Goes the way back from its first row. */
void return_begin(struct member_machine *m, uint64_t now_us, struct member_actions *actions);

/* The stop under way was not signalled: asks what comes before it once more. */
void stop_put_off(struct member_machine *m, uint64_t now_us, struct member_actions *actions);

/* Ends the open step. */
void conclude(struct member_machine *m, enum outcome outcome, struct member_actions *actions);

/* Ends it as held: with an alarm. */
void conclude_held(struct member_machine *m, struct member_actions *actions);

/* Puts "text" or "text: more" into record.reason. */
void reason_set(struct member_machine *m, const char *text, const char *more);

/* The one mutator of record.state. */
void member_move(struct member_machine *m, enum member_state to);

/* Goes on after a crash: recovery.c. */
void member_recover(struct member_machine *m, const struct member_event *event,
                    struct member_actions *actions);

#endif
