/* What stage.c (telling) and staged.c (what is wanted) share. */
#ifndef KEDGE_REHEARSAL_STAGING_H
#define KEDGE_REHEARSAL_STAGING_H

#include "coordinator/rehearsal/internal.h"

#include <stdarg.h>

/* A member as it was after the event before. */
struct last_look {
    enum member_state state;
    bool known, running, ready, stopping, away;
    bool declined; /* it was told that its agent did not stop it: that it is asked again and again is not */
    uint32_t content;
    uint64_t away_since_us;
};

/* What came of a wanted thing. */
struct striking {
    bool struck;
    uint32_t member; /* that it has struck */
    uint64_t at_us;
    bool armed; /* a time stands in the heap for it */
};

struct staging {
    uint64_t begun_us, coordinator_until_us;
    bool has_run, paused, aborting, coordinator_up;
    enum run_state run_state;
    uint32_t wave, n_away;
    uint64_t wait, candidate_told;
    uint64_t stay, stay_since_us, stay_told; /* what it says of itself, without the numbers */
    uint64_t approval_us;                    /* when the canary will be approved; 0: none is waited for */
    struct last_look *members;
    bool *connected, *gone; /* by node; gone: it was told */
    bool side_ours[SIDES_MAX];
    struct striking striking[STAGED_MAX];
};

uint64_t staging_after(const struct world *w);
void staging_tell(struct world *w, enum note_kind kind, const struct member *m, const char *format, ...)
    _printf_(4, 5);

/* ---- staged.c ---- */
void staged_look(struct world *w, const struct run *run);
bool staged_is_to_come(const struct world *w, const struct run *run);

#endif
