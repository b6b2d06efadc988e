/* One member's machine in a world that answers every action with yes, but where it is told otherwise. It dies when it is
 * told to; its journal is kept as a crash of the agent, or of the host, would leave it. */
#ifndef KEDGE_TESTS_MACHINE_WORLD_H
#define KEDGE_TESTS_MACHINE_WORLD_H

#include "agent/core/internal.h"

#define ASK(...)                                                                                             \
    { .primitive = PRIMITIVE_ASK, .gates = &machine_gate, .n_gates = 1, __VA_ARGS__ }
#define STEP(name_, verb_, rows_)                                                                            \
    { .name = name_, .verb = verb_, .rows = rows_, .n_rows = sizeof(rows_) / sizeof(rows_[0]) }

extern const struct digest machine_gate;

struct world {
    struct member_machine m;
    struct machine_record kept, synced; /* what the journal holds, what of it would outlive the host */
    uint64_t now_us;
    bool running, other; /* other: the journal does not name it */
    uint32_t running_generation;
    unsigned n_signals, n_starts, n_kills, n_alarms;
    enum outcome outcome;
    char reason[512];
    unsigned bad; /* this primitive answers `bad_answer` while the step goes forward */
    enum answer bad_answer;
    int bad_times;     /* -1: always */
    bool bad_fails;    /* as a definite failure */
    int die_at_row;    /* crash just after the record of this row was written; -1 none */
    int die_after_row; /* crash after this row was performed, before its answer; -1 none */
    bool dead;
    bool stay; /* at the barrier no time passes */
};

void world_init(struct world *w);

/* Performs one list of actions; true when `answer` was filled. */
bool world_perform(struct world *w, const struct machine_actions *actions, struct machine_event *answer);

/* Feeds the event, and all that follows from it, until the machine waits for nothing. */
void world_run(struct world *w, struct machine_event event);

#endif
