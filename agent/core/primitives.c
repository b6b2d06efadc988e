/* What happens after a crash between stop and start? Find the row that was under way in the table below: its column
 * `agent died` or `host died` says it, and recovery.c is the one function that obeys. Example: killed after the old
 * service ended and before the new one was started, the last intent in the journal is `stop`, `swap` or `start`; the
 * agent looks, finds nothing running, and goes on with the swap and the start (host died: it goes the way back).
 *
 * Only `stop` is synced before it begins: one fdatasync covers all that was written before it (the order, what the
 * sample gates captured, the pid of the waiting child), and between the stop and the proof nothing waits for a disk.
 * `swap` and `start` need no sync of their own: a host that dies inside finds the synced intent of the stop and goes
 * back, which is right for each of them. But for the start that closes the way back (steps.c syncs it): the old release
 * cannot read what the new one has written since. */
#include "agent/core/primitives.h"

#include <assert.h>
#include <stddef.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND };

/* clang-format off: a table is read by its columns */
static const struct primitive_rule rules[PRIMITIVES] = {
    /*                     before           changes latched  agent died  host died   deadline      poll us    last point of return */
    [PRIMITIVE_OBSERVE] = {DURABLE_WRITTEN, false, false, CRASH_REDO, CRASH_UNDO, 10 * SECOND, 1000, 20000,
                           "changes nothing"},
    [PRIMITIVE_ASK] = {DURABLE_WRITTEN, false, false, CRASH_REDO, CRASH_UNDO, 30 * SECOND, 2000, 100000,
                       "changes nothing"},
    [PRIMITIVE_RENDER] = {DURABLE_WRITTEN, false, false, CRASH_REDO, CRASH_END, 30 * SECOND, 0, 0,
                          "always: written beside what runs"},
    [PRIMITIVE_STAGE] = {DURABLE_WRITTEN, false, false, CRASH_REDO, CRASH_END, 60 * MINUTE, 0, 0,
                         "always: written beside what runs"},
    [PRIMITIVE_STOP] = {DURABLE_SYNCED, true, true, CRASH_LOOK, CRASH_UNDO, 1 * MINUTE, 0, 0,
                        "until the signal is sent"},
    [PRIMITIVE_SWAP] = {DURABLE_WRITTEN, true, false, CRASH_REDO, CRASH_UNDO, 10 * SECOND, 0, 0,
                        "always: one rename back"},
    [PRIMITIVE_START] = {DURABLE_WRITTEN, true, true, CRASH_LOOK, CRASH_UNDO, 1 * MINUTE, 2000, 20000,
                         "as the order's way back says"},
    [PRIMITIVE_RUN] = {DURABLE_SYNCED, true, true, CRASH_ASK, CRASH_ASK, 1 * MINUTE, 0, 0,
                       "never by itself; a side action has its close step"},
};
/* clang-format on */

const struct primitive_rule *primitive_rule(enum primitive primitive) {
    assert((unsigned)primitive < PRIMITIVES);
    return &rules[primitive];
}
