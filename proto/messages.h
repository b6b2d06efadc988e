/* Messages between coordinator and agents, and those of the control socket, as our own structs. Which of them may be
 * sent by whom, in which state and how large stands in proto/message_types.h; this header is what they say.
 * Decoded views point into the arena that was given. Encoded documents inside (work orders, charters, gates) are bytes,
 * exactly as they were signed. */
#ifndef KEDGE_PROTO_MESSAGES_H
#define KEDGE_PROTO_MESSAGES_H

#include "common/base/fact.h"
#include "common/base/words.h"
#include "common/trust/verify.h"
#include "proto/codec.h"

struct heartbeat {
    uint64_t clock_ms; /* the sender's wall clock, for the skew warning */
    const char *version;
    uint64_t epoch;
    const struct fact *live;
    size_t n_live;
};

/* Coordinator to agent: do step `step`. See common/plan/verify.h, struct order_claim. */
struct order_message {
    uint64_t epoch;
    struct bytes header;
    struct bytes work_order;
    uint32_t leaf;
    const struct digest *path;
    size_t n_path;
    const struct bytes *gates;
    size_t n_gates;
    struct bytes manifest;
    const char *step;
    struct public_key addressee;
    uint64_t expires_s;
    const char *const *beside; /* as in struct ask: for the agent's own last question before the stop */
    size_t n_beside;
    const struct bytes *outputs; /* of earlier actions, common/plan/output.h */
    size_t n_outputs;
};

struct evidence {
    const char *gate;
    enum answer answer;
    const char *reason; /* "" when there is nothing to say */
    uint64_t age_us;
};

/* Agent to coordinator: how a step went. */
struct report {
    const char *cluster;
    uint64_t serial;
    const char *member;
    const char *step;
    enum outcome outcome;
    const char *reason;
    const struct evidence *evidence;
    size_t n_evidence;
    uint64_t interruption_us; /* from the stop signal to the proof that the new one answers; 0: none */
    uint64_t evidence_age_us; /* of the last gate answer when the stop signal was sent */
    enum mode mode;
    enum origin origin;
    const char *version;
    uint32_t generation;
    uint64_t at_ms;
    uint64_t epoch;
    bool blames; /* RETURNED, HELD: what the step has started is what failed, nothing else: quarantine.h */
    const struct bytes *outputs; /* signed blobs, common/plan/output.h */
    size_t n_outputs;
};

struct charter_message {
    struct bytes charter; /* signed blob */
    bool adopt;
};

struct inquire {
    uint64_t id;
    const char *cluster;
    const char *member;
};

struct facts_message {
    uint64_t id; /* of the inquiry; 0: unasked, after a charter */
    const char *cluster;
    const char *member;
    uint64_t at_ms;
    const struct fact *facts;
    size_t n_facts;
    const char *problem; /* "" or why there are no facts */
};

struct preview {
    uint64_t id;
    const char *cluster;
    const char *member;
    struct bytes render; /* encoded struct render, digests zero */
};

struct preview_result {
    uint64_t id;
    const char *member;
    struct digest old_digest, new_digest;
    const char *diff; /* unified, secrets masked */
    const char *problem;
};

/* Have gates (known to the agent from charter or plan, by digest) answered by its prober. */
struct ask {
    uint64_t id;
    const char *cluster;
    const char *self; /* left out where a check says so; "" nobody */
    const struct digest *gates;
    size_t n_gates;
    const char *const
        *beside; /* on their way down together with it, as the system calls them (check_judge_beside) */
    size_t n_beside;
};

struct answer_message {
    uint64_t id;
    const struct evidence *evidence; /* in the order of the ask */
    size_t n_evidence;
};

enum lease_state { LEASE_OPEN, LEASE_CLOSED };
enum { LEASE_STATES = 2 };

struct lease_message {
    const char *cluster;
    uint64_t serial;
    const char *name;
    enum lease_state state;
    uint64_t epoch;
};

/* Abort: after it the agent begins nothing of this plan but returns and closings. */
struct latch {
    const char *cluster;
    uint64_t serial;
    uint64_t epoch;
};

/* `verb` is "plan", "run pause" …; arguments are named; blobs are files that travel. */
struct control_request {
    const char *verb;
    const struct fact *arguments;
    size_t n_arguments;
    const struct bytes *blobs;
    size_t n_blobs;
};

struct control_reply {
    uint32_t exit_code; /* of the CLI: 0 done, 1 failed, 2 bad input, 3 refused, 4 not finished or unknown */
    const char *text;   /* one sentence for people, or "" */
    const char *json;   /* a JSON document, or "" */
    const struct bytes *blobs;
    size_t n_blobs;
    bool more; /* another reply follows (watch) */
};

extern const struct codec_message heartbeat_codec, order_message_codec, report_codec, charter_message_codec,
    inquire_codec, facts_message_codec, preview_codec, preview_result_codec, ask_codec, answer_message_codec,
    lease_message_codec, latch_codec, control_request_codec, control_reply_codec;

#endif
