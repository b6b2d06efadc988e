/* The message layer of one session, the same for coordinator and executor: who may say what now, in which order, how
 * often, and that the one who answers for it signed it. Pure: time is passed in, frames and sockets are elsewhere.
 *
 *     message   := bytes | signer (32) | Ed25519 signature (64)
 *     signed    := "kedge/1/" role "/" type 0x00 | session (32) | seq (u64, big endian) | bytes
 *
 * role is the signer's ("agent", "coordinator"), type the word of the table in message_types.h. */
#ifndef KEDGE_PROTO_SESSION_H
#define KEDGE_PROTO_SESSION_H

#include "common/trust/keys.h"
#include "proto/message_types.h"

enum {
    MESSAGE_OVERHEAD_BYTES = KEDGE_PUBLIC_KEY_LEN + KEDGE_SIGNATURE_LEN,
    /* A peer's messages: a burst, and how many a second after it. One costs us 60 us to verify. */
    SESSION_BURST_MESSAGES = 4000,
    SESSION_MESSAGES_PER_S = 2000,
};

/* How many of something may still happen; refilled by time. */
struct token_bucket {
    uint64_t tokens_milli, burst, per_s, last_ms;
};
void token_bucket_init(struct token_bucket *bucket, uint64_t burst, uint64_t per_s, uint64_t now_ms);
bool token_bucket_take(struct token_bucket *bucket, uint64_t now_ms) _must_check_;

/* `peer` and `id` come from a finished handshake. Holds no secrets. */
struct session {
    enum message_role self;
    enum session_state state;
    struct digest id;
    struct public_key peer;
    uint64_t sent, received; /* the last seq of each direction */
    struct token_bucket rate;
};

/* Begins in SESSION_PENDING. */
void session_init(struct session *session, enum message_role self, const struct digest *id,
                  const struct public_key *peer, uint64_t now_ms);

/* Appends bytes | signer | signature to `out`, under the next seq, which is then session->sent. The caller must be allowed
 * to say this now (asserted: it is our own word). out->failed when the size does not fit its row (what a service says can
 * make a message large) or memory is out. WELCOME and BYE move the state. */
void session_seal(struct session *session, enum message_type type, struct bytes bytes,
                  const struct key_pair *self, struct buffer *out);

enum session_outcome {
    SESSION_ACCEPTED = 1,
    SESSION_REFUSED_TYPE, /* this and all below: close the connection */
    SESSION_REFUSED_ORDER,
    SESSION_REFUSED_SIZE,
    SESSION_REFUSED_RATE,
    SESSION_REFUSED_SIGNER,
    SESSION_REFUSED_SIGNATURE,
    SESSION_REFUSED_CONTENT, /* a WELCOME that is neither */
};

/* What was verified; only session_open makes one. `bytes` points into the message. */
struct verified_message {
    enum message_type type;
    uint64_t seq;
    struct bytes bytes;
};

/* In this order: seq == last + 1, type allowed now, size, rate, signer is the peer, signature. After a refusal the session
 * is closed and refuses all. WELCOME and BYE move the state. */
enum session_outcome session_open(struct session *session, struct verified_message *out, uint8_t type,
                                  uint64_t seq, struct bytes message, uint64_t now_ms) _must_check_;

/* The tag of a type for a signer: "agent/report". False if it is not a type. */
bool message_tag(char out[static KEDGE_TAG_MAX], enum message_role signer, unsigned type) _must_check_;

const char *session_outcome_text(enum session_outcome outcome);

#endif
