/* Why one object for frames, handshake and messages: the order of the checks is the defence, so it stands in one place,
 * and the tests of the attacks drive it without a socket. */
#include "proto/coordinator_line.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

void coordinator_line_init(struct coordinator_line *line, const struct key_pair *self,
                           const struct handshake_randomness *random) {
    *line = (struct coordinator_line){.self = self, .random = *random};
    line->session = (struct session){.self = ROLE_COORDINATOR, .state = SESSION_NEW};
    frame_reader_init(&line->reader);
    frame_writer_init(&line->writer);
}

void coordinator_line_deinit(struct coordinator_line *line) {
    frame_reader_deinit(&line->reader);
    frame_writer_deinit(&line->writer);
    sodium_memzero(line, sizeof(*line));
    line->session.state = SESSION_CLOSED;
}

static enum coordinator_line_outcome line_refuse(struct coordinator_line *line) {
    line->session.state = SESSION_CLOSED;
    return LINE_REFUSED;
}

/* The length of what is said before authentication is exact: message_rule_of has min == max for it. */
static bool handshake_frame_fits(const struct coordinator_line *line, const struct frame *frame) {
    return message_is_allowed(frame->type, ROLE_AGENT, line->session.state) &&
           frame->message.len == message_rule_of(frame->type)->bytes_max;
}

static enum coordinator_line_outcome hello_take(struct coordinator_line *line, struct bytes bytes,
                                                struct buffer *out, struct error *err) {
    memcpy(line->transcript.hello, bytes.data, HELLO_BYTES);
    if (hello_decode(&line->hello, bytes, err) < 0)
        return line_refuse(line);
    int r = challenge_make(&line->transcript, line->self, &line->random, err);
    if (r == HANDSHAKE_NO_VERSION) {
        const uint8_t reason = BYE_VERSION;
        frame_write(&line->writer, MESSAGE_BYE, (struct bytes){&reason, 1}, out);
        (void)error_set(err, -EPROTO,
                        "node %s speaks versions %u to %u of the protocol, this coordinator %d to %d",
                        line->hello.node, line->hello.version_min, line->hello.version_max,
                        PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX);
    }
    if (r != 0)
        return line_refuse(line);
    frame_write(&line->writer, MESSAGE_CHALLENGE, BYTES_OF(line->transcript.challenge), out);
    line->session.state = SESSION_CHALLENGED;
    return LINE_NOTHING;
}

static enum coordinator_line_outcome auth_take(struct coordinator_line *line, struct bytes auth,
                                               uint64_t now_ms, struct error *err) {
    struct session_keys keys;
    if (!auth_verify(&line->transcript, auth)) {
        (void)error_set(err, -EKEYREJECTED, "node %s did not sign the handshake", line->hello.node);
        return line_refuse(line);
    }
    if (session_keys_derive(&keys, &line->transcript, &line->random, ROLE_COORDINATOR, err) < 0)
        return line_refuse(line);
    frame_reader_encrypt(&line->reader, &keys.to_coordinator);
    frame_writer_encrypt(&line->writer, &keys.to_agent);
    session_keys_deinit(&keys);
    sodium_memzero(&line->random, sizeof(line->random));

    struct digest id = session_id_of(&line->transcript);
    session_init(&line->session, ROLE_COORDINATOR, &id, &line->hello.agent, now_ms);
    return LINE_PROVEN;
}

static enum coordinator_line_outcome handshake_take(struct coordinator_line *line, const struct frame *frame,
                                                    uint64_t now_ms, struct buffer *out, struct error *err) {
    if (!handshake_frame_fits(line, frame)) {
        (void)error_set(err, -EPROTO, "type %u with %zu bytes is not allowed in state %s", frame->type,
                        frame->message.len, session_state_name(line->session.state));
        return line_refuse(line);
    }
    if (line->session.state == SESSION_NEW)
        return hello_take(line, frame->message, out, err);
    return auth_take(line, frame->message, now_ms, err);
}

static enum coordinator_line_outcome message_take(struct coordinator_line *line, const struct frame *frame,
                                                  uint64_t now_ms, struct verified_message *message,
                                                  struct error *err) {
    enum session_outcome outcome =
        session_open(&line->session, message, frame->type, frame->seq, frame->message, now_ms);
    if (outcome == SESSION_ACCEPTED)
        return LINE_MESSAGE;
    (void)error_set(err, -EPROTO, "type %u, number %llu: %s", frame->type, (unsigned long long)frame->seq,
                    session_outcome_text(outcome));
    return LINE_REFUSED;
}

static bool is_handshake(enum session_state state) {
    return state == SESSION_NEW || state == SESSION_CHALLENGED;
}

enum coordinator_line_outcome coordinator_line_feed(struct coordinator_line *line, struct bytes *input,
                                                    uint64_t now_ms, struct buffer *out,
                                                    struct verified_message *message, struct error *err) {
    for (;;) {
        struct frame frame;
        if (line->session.state == SESSION_CLOSED) {
            (void)error_set(err, -EPROTO, "more bytes after the end");
            return LINE_REFUSED;
        }
        int r = frame_read(&line->reader, input, &frame);
        if (r == FRAME_NONE)
            return LINE_NOTHING;
        if (r != FRAME_COMPLETE) {
            (void)error_set(err, -EPROTO, "%s", frame_outcome_text(r));
            return line_refuse(line);
        }
        if (!is_handshake(line->session.state))
            return message_take(line, &frame, now_ms, message, err);
        enum coordinator_line_outcome outcome = handshake_take(line, &frame, now_ms, out, err);
        if (outcome != LINE_NOTHING)
            return outcome;
    }
}

void coordinator_line_say(struct coordinator_line *line, enum message_type type, struct bytes bytes,
                          struct buffer *out) {
    _cleanup_(buffer_deinit) struct buffer message = {0};
    assert(!is_handshake(line->session.state));
    session_seal(&line->session, type, bytes, line->self, &message);
    if (message.failed)
        out->failed = true;
    else
        frame_write(&line->writer, (uint8_t)type, buffer_bytes(&message), out);
}
