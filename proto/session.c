/* Why the order of checks: the cheap ones stand before the dear one (the signature), and nothing parses bytes that nobody
 * has signed. Why seq is checked here and by frame_read: on a node frames are opened by link, which the executor does not
 * believe. */
#include "proto/session.h"

#include <assert.h>
#include <string.h>

/* ---- rate ---- */

void token_bucket_init(struct token_bucket *bucket, uint64_t burst, uint64_t per_s, uint64_t now_ms) {
    *bucket = (struct token_bucket){burst * 1000, burst, per_s, now_ms};
}

bool token_bucket_take(struct token_bucket *bucket, uint64_t now_ms) {
    uint64_t passed_ms = now_ms > bucket->last_ms ? now_ms - bucket->last_ms : 0;
    uint64_t full_ms = bucket->burst * 1000 / bucket->per_s + 1;
    bucket->tokens_milli += (passed_ms < full_ms ? passed_ms : full_ms) * bucket->per_s;
    if (bucket->tokens_milli > bucket->burst * 1000)
        bucket->tokens_milli = bucket->burst * 1000;
    if (passed_ms > 0)
        bucket->last_ms = now_ms;
    if (bucket->tokens_milli < 1000)
        return false;
    bucket->tokens_milli -= 1000;
    return true;
}

/* ---- life ---- */

void session_init(struct session *session, enum message_role self, const struct digest *id,
                  const struct public_key *peer, uint64_t now_ms) {
    *session = (struct session){.self = self, .state = SESSION_PENDING, .id = *id, .peer = *peer};
    token_bucket_init(&session->rate, SESSION_BURST_MESSAGES, SESSION_MESSAGES_PER_S, now_ms);
}

static enum message_role other_role(enum message_role role) {
    return role == ROLE_AGENT ? ROLE_COORDINATOR : ROLE_AGENT;
}

/* What WELCOME and BYE do to a state, for their sender and their receiver alike. False for a WELCOME that is neither. */
static bool session_move(struct session *session, unsigned type, struct bytes bytes) {
    if (type == MESSAGE_BYE)
        session->state = SESSION_CLOSED;
    if (type != MESSAGE_WELCOME)
        return true;
    if (bytes.data[0] == WELCOME_ADMITTED)
        session->state = SESSION_OPEN;
    return bytes.data[0] == WELCOME_ADMITTED || bytes.data[0] == WELCOME_PENDING;
}

/* ---- messages ---- */

bool message_tag(char out[static KEDGE_TAG_MAX], enum message_role signer, unsigned type) {
    const struct message_rule *rule = message_rule_of(type);
    if (!rule)
        return false;
    snprintf(out, KEDGE_TAG_MAX, "%s/%s", signer == ROLE_AGENT ? "agent" : "coordinator", rule->name);
    return true;
}

struct message_parts {
    uint8_t seq[8];
    struct bytes parts[3];
};

/* session | seq | bytes; all but the last are of fixed length. */
static void message_parts(struct message_parts *p, const struct session *session, uint64_t seq,
                          struct bytes bytes) {
    for (int i = 0; i < 8; i++)
        p->seq[i] = (uint8_t)(seq >> (56 - 8 * i));
    p->parts[0] = BYTES_OF(session->id.b);
    p->parts[1] = BYTES_OF(p->seq);
    p->parts[2] = bytes;
}

static bool size_fits(const struct message_rule *rule, size_t len) {
    return len >= rule->bytes_min && len <= rule->bytes_max;
}

void session_seal(struct session *session, enum message_type type, struct bytes bytes,
                  const struct key_pair *self, struct buffer *out) {
    char tag[KEDGE_TAG_MAX];
    struct message_parts p;
    assert(message_is_allowed(type, session->self, session->state));
    if (!message_tag(tag, session->self, type))
        abort();
    if (!size_fits(message_rule_of(type), bytes.len)) {
        out->failed = true;
        return;
    }
    message_parts(&p, session, ++session->sent, bytes);
    struct signature signature = sign_tagged(tag, p.parts, ARRAY_LEN(p.parts), self);
    buffer_append(out, bytes.data, bytes.len);
    buffer_append(out, self->public.b, sizeof(self->public.b));
    buffer_append(out, signature.b, sizeof(signature.b));
    bool moved = session_move(session, type, bytes);
    assert(moved);
    (void)moved;
}

static enum session_outcome message_judge(struct session *session, struct verified_message *out, uint8_t type,
                                          uint64_t seq, struct bytes message, uint64_t now_ms) {
    if (seq != session->received + 1)
        return SESSION_REFUSED_ORDER;
    if (!message_is_allowed(type, other_role(session->self), session->state))
        return SESSION_REFUSED_TYPE;
    if (message.len < MESSAGE_OVERHEAD_BYTES ||
        !size_fits(message_rule_of(type), message.len - MESSAGE_OVERHEAD_BYTES))
        return SESSION_REFUSED_SIZE;
    if (!token_bucket_take(&session->rate, now_ms))
        return SESSION_REFUSED_RATE;

    char tag[KEDGE_TAG_MAX];
    struct message_parts p;
    struct public_key signer;
    struct signature signature;
    struct bytes bytes = {message.data, message.len - MESSAGE_OVERHEAD_BYTES};
    memcpy(signer.b, message.data + bytes.len, sizeof(signer.b));
    memcpy(signature.b, message.data + bytes.len + sizeof(signer.b), sizeof(signature.b));
    if (!public_key_equal(&signer, &session->peer))
        return SESSION_REFUSED_SIGNER;
    message_parts(&p, session, seq, bytes);
    if (!message_tag(tag, other_role(session->self), type) ||
        !verify_tagged(tag, p.parts, ARRAY_LEN(p.parts), &signer, &signature))
        return SESSION_REFUSED_SIGNATURE;
    if (!session_move(session, type, bytes))
        return SESSION_REFUSED_CONTENT;
    *out = (struct verified_message){(enum message_type)type, seq, bytes};
    return SESSION_ACCEPTED;
}

enum session_outcome session_open(struct session *session, struct verified_message *out, uint8_t type,
                                  uint64_t seq, struct bytes message, uint64_t now_ms) {
    enum session_outcome outcome = message_judge(session, out, type, seq, message, now_ms);
    if (outcome == SESSION_ACCEPTED)
        session->received = seq;
    else
        session->state = SESSION_CLOSED;
    return outcome;
}

const char *session_outcome_text(enum session_outcome outcome) {
    switch (outcome) {
    case SESSION_ACCEPTED: return "accepted";
    case SESSION_REFUSED_TYPE: return "this type of message is not allowed here and now";
    case SESSION_REFUSED_ORDER: return "message out of order";
    case SESSION_REFUSED_SIZE: return "message of a wrong size";
    case SESSION_REFUSED_RATE: return "too many messages";
    case SESSION_REFUSED_SIGNER: return "signed by another key than the peer's";
    case SESSION_REFUSED_SIGNATURE: return "the signature does not fit";
    case SESSION_REFUSED_CONTENT: return "content outside of its set";
    }
    return "?";
}
