/* What executor and prober say to each other: one datagram a request, one datagram an answer, over an AF_UNIX
 * SOCK_SEQPACKET pair (the prober's end is descriptor PROBER_IPC_FD). The same two functions on both sides; a datagram
 * that does not parse to its last byte is a bug or an attack, and the receiver ends (the executor restarts the prober).
 *
 *     request := id u32 | kind u8 | document | self | n u32 | n times beside | log_path | log_offset u64 | blob
 *                all numbers big endian
 *     reply   := id u32 | answer u8 | age_us u64 | reason | blob
 *     document, self, beside, log_path, reason, blob := length u32 | bytes
 *
 * Requests may be answered in any order and any time after; a request that is not answered in time is unknown to the
 * executor, a late reply is dropped. */
#ifndef KEDGE_AGENT_PROBER_PROBER_IPC_H
#define KEDGE_AGENT_PROBER_PROBER_IPC_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/limits.h"
#include "common/base/words.h"
#include "common/plan/gate.h"

enum {
    PROBER_IPC_FD = 3,
    /* A gate has at most 64 KiB (its codec's limit), a sample 256 objects of 48 bytes. */
    PROBER_DATAGRAM_BYTES_MAX = 128 * 1024,
    /* Outstanding requests of one executor; more are answered unknown by the executor itself. */
    PROBER_REQUESTS_MAX = 64,
};

enum prober_kind {
    /* document: encoded struct gate (gate_codec). All its checks are probed and judged (check_judge, verdict_join) but
     * those of kind PROBE_COMMAND and PROBE_COMMAND_EXIT, which the executor answers itself: they are passed over as
     * yes. A sample of the gate is not looked at. */
    PROBER_GATE,
    /* document: encoded struct gate with a sample. Yes: `blob` of the reply holds the objects that answered, at least
     * `minimum`. Fewer, or nothing to ask: unknown. */
    PROBER_SAMPLE_CAPTURE,
    /* document as above, `blob` of the request: what was captured. Yes: every object answers as before. No: the member
     * answered, and an object is missing or differs. Unknown: it could not be asked. */
    PROBER_SAMPLE_COMPARE,
    /* document: encoded struct probe (probe_codec). Yes: `blob` of the reply is the text of the first item. No item or
     * no answer: unknown. */
    PROBER_INSTANCE,
};
enum { PROBER_KINDS = 4 };

/* One captured object in a sample blob: object u64 | entry u64 | digest 32 of what was answered. */
enum { PROBER_SAMPLE_ITEM_BYTES = 8 + 8 + 32 };

struct prober_request {
    uint32_t id;
    enum prober_kind kind;
    struct bytes document;
    const char *self;     /* what a check with exclude_self leaves out; "" nobody */
    struct beside beside; /* and these as well (check_judge_beside) */
    const char *log_path; /* PROBE_LOG: the member's output; "" when it has none */
    uint64_t log_offset;  /* PROBE_LOG: where the output stood when the member was started */
    struct bytes blob;
};

struct prober_reply {
    uint32_t id;
    enum answer answer;
    uint64_t age_us;    /* of the oldest evidence, when the reply is sent */
    const char *reason; /* at most KEDGE_REASON_MAX - 1 bytes */
    struct bytes blob;
};

/* Appends the datagram to `out` (initialised by the caller). -EMSGSIZE past PROBER_DATAGRAM_BYTES_MAX, -ENOMEM. */
int prober_request_pack(const struct prober_request *request, struct buffer *out) _must_check_;
int prober_reply_pack(const struct prober_reply *reply, struct buffer *out) _must_check_;

/* Texts are copied into the arena, views point into `datagram`. -EBADMSG, or -ENOMEM past the arena's cap. */
int prober_request_unpack(struct bytes datagram, struct arena *arena,
                          struct prober_request *out) _must_check_;
int prober_reply_unpack(struct bytes datagram, struct arena *arena, struct prober_reply *out) _must_check_;

#endif
