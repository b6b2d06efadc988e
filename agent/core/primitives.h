/* The eight primitives as a table: what must be durable before one begins, and what a crash during it means. Rows of
 * work orders are made of these and of nothing else, so this table is the whole of Kedge's crash behaviour on a node. */
#ifndef KEDGE_AGENT_CORE_PRIMITIVES_H
#define KEDGE_AGENT_CORE_PRIMITIVES_H

#include "common/base/words.h"

#include <stdbool.h>
#include <stdint.h>

/* What must have happened to the intent ("this row, of this step, now") before the row begins. */
enum durable {
    DURABLE_WRITTEN, /* written to the journal: outlives the agent, not the host */
    DURABLE_SYNCED,  /* and synced: outlives the host */
};

/* What the next start of the agent does with a row that was under way. */
enum after_crash {
    CRASH_REDO, /* do it again: twice is the same as once */
    CRASH_LOOK, /* look at the process: what the row wanted may be there already; otherwise do it again */
    CRASH_ASK, /* ask the row's done_if: true is done, otherwise do it again; without done_if the row has failed */
    CRASH_END,  /* nothing was changed: end the step, the coordinator may order it again */
    CRASH_UNDO, /* go the way back; where it is closed, start what was to be started */
};

struct primitive_rule {
    enum durable before;
    bool changes; /* once it has begun, the member is not what it was: a failure goes the way back */
    bool latched; /* an abort is looked for before it begins */
    enum after_crash agent_died;
    enum after_crash host_died; /* the service is down as well */
    uint32_t deadline_ms;       /* where the row names none */
    uint32_t poll_first_us;     /* a question is asked again after this, then a quarter later ... */
    uint32_t poll_last_us;      /* ... up to this; 0: it is not asked again */
    const char *last_return;    /* until when it can be taken back, for people */
};

const struct primitive_rule *primitive_rule(enum primitive primitive);

#endif
