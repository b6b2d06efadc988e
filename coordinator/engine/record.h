/* Records of the journal: what the engine decided or was told, as versioned bytes. The state of every run is the fold of
 * its records, so what is not here is forgotten when the coordinator ends, on purpose (gate answers, timers, soaks).
 *
 * Layout: u8 version (1) | u8 kind | u64 at_ms | u64 run | u32 member | u32 number | u64 value | u64 value2 |
 *         digest (32) | u32 length, name | u32 length, text      (all numbers big endian; every byte accounted for) */
#ifndef KEDGE_ENGINE_RECORD_H
#define KEDGE_ENGINE_RECORD_H

#include "common/base/arena.h"
#include "common/trust/verify.h"

/* Numbers are in journals: append only, never reuse.
 *
 *   kind            member      number           value        value2        digest   name    text
 *   REIGN           -           -                epoch        -             -        -       -
 *   RUN_BEGUN       -           1: it waits      serial       -             plan     cluster who applied it
 *   RUN_EVENT       whom (PAUSE) enum run_event  verdict      enum pause_kind -      -       reason
 *   WAVE            -           index            -            -             -        name    -
 *   ORDERED         index       -                expires_s    epoch         -        step    -
 *   REPORTED        index       enum outcome     interruption evidence age  to blame step    reason     (both in us)
 *   MEMBER_EVENT    index       enum member_event until_ms    -             word     gate    reason     (WAIVE)
 *   SIDE_ORDERED    carrier     side action      expires_s    epoch         -        step    -
 *   SIDE_REPORTED   who         side action      enum outcome its at_ms     -        step    reason     (or unasked)
 *   NODE_HELD       -           -                until_ms     -             -        node    reason     (0: until returned)
 *   NODE_RETURNED   -           -                -            -             -        node    reason
 *   MEMBER_SEEN     index       mode             origin       generation    -        version -          (from a report)
 *   MEMBER_AWAY     index       1: away, 0: back -            -             -        -       -          (its agent)
 *   OUTPUT          index       which capture    -            -             -        step    signed document, in hex */
enum record_kind {
    RECORD_REIGN = 1,
    RECORD_RUN_BEGUN,
    RECORD_RUN_EVENT,
    RECORD_WAVE,
    RECORD_ORDERED,
    RECORD_REPORTED,
    RECORD_MEMBER_EVENT,
    RECORD_SIDE_ORDERED,
    RECORD_SIDE_REPORTED,
    RECORD_MEMBER_SEEN,
    RECORD_NODE_HELD,
    RECORD_NODE_RETURNED,
    RECORD_MEMBER_AWAY,
    RECORD_OUTPUT,
    RECORD_KIND_END,
};

enum { RECORD_VERSION = 1, RECORD_BYTES_MAX = 8192 };

struct record {
    enum record_kind kind;
    uint64_t at_ms, run;
    uint32_t member, number;
    uint64_t value, value2;
    struct digest digest;
    const char *name, *text; /* never NULL after decoding */
};

const char *record_kind_text(enum record_kind kind);

/* Texts are cut so that the record stays below RECORD_BYTES_MAX. Check out->failed at the end. */
void record_encode(const struct record *record, struct buffer *out);

/* Texts are copied to the arena. -EBADMSG with a sentence that names what is wrong; -EPROTO for a version that this
 * program does not know. */
int record_decode(struct record *outp, struct bytes bytes, struct arena *arena,
                  struct error *err) _must_check_;

#endif
