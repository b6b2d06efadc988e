/* Why link verifies the challenge too: an impostor on the coordinator's address is turned away before the privileged
 * process hears of him. The executor verifies again; it does not take link's word. */
#include "proto/agent_line.h"

#include <sodium.h>
#include <string.h>

void agent_line_start(struct agent_line *line, const struct agent_line_config *config,
                      const struct handshake_randomness *random, struct buffer *out) {
    *line = (struct agent_line){.coordinator = config->coordinator, .random = *random, .state = SESSION_NEW};
    frame_reader_init(&line->reader);
    frame_writer_init(&line->writer);
    hello_make(line->transcript.hello, config->node, &config->agent, random);
    frame_write(&line->writer, MESSAGE_HELLO, BYTES_OF(line->transcript.hello), out);
}

void agent_line_deinit(struct agent_line *line) {
    frame_reader_deinit(&line->reader);
    frame_writer_deinit(&line->writer);
    sodium_memzero(line, sizeof(*line));
    line->state = SESSION_CLOSED;
}

static enum agent_line_outcome line_refuse(struct agent_line *line) {
    line->state = SESSION_CLOSED;
    return AGENT_LINE_REFUSED;
}

/* Link does not know whether it is pending or open: what is allowed in either may pass. */
static bool frame_fits(const struct agent_line *line, const struct frame *frame) {
    if (line->state != SESSION_PENDING)
        return message_is_allowed(frame->type, ROLE_COORDINATOR, line->state) &&
               frame->message.len == message_rule_of(frame->type)->bytes_max;
    return message_is_allowed(frame->type, ROLE_COORDINATOR, SESSION_PENDING) ||
           message_is_allowed(frame->type, ROLE_COORDINATOR, SESSION_OPEN);
}

static enum agent_line_outcome greeting_take(struct agent_line *line, const struct frame *frame,
                                             struct error *err) {
    if (frame->type == MESSAGE_BYE) {
        (void)error_set(err, -ECONNREFUSED, "the coordinator says that %s",
                        bye_reason_text(frame->message.data[0]));
        return line_refuse(line);
    }
    memcpy(line->transcript.challenge, frame->message.data, CHALLENGE_BYTES);
    if (challenge_verify(&line->transcript, &line->coordinator, err) < 0)
        return line_refuse(line);
    line->state = SESSION_CHALLENGED;
    return AGENT_LINE_SIGN;
}

enum agent_line_outcome agent_line_feed(struct agent_line *line, struct bytes *input, struct frame *frame,
                                        struct error *err) {
    if (line->state == SESSION_CHALLENGED && input->len == 0)
        return AGENT_LINE_NOTHING;
    if (line->state == SESSION_CHALLENGED || line->state == SESSION_CLOSED) {
        (void)error_set(err, -EPROTO, "the coordinator speaks out of turn");
        return line_refuse(line);
    }
    int r = frame_read(&line->reader, input, frame);
    if (r == FRAME_NONE)
        return AGENT_LINE_NOTHING;
    if (r != FRAME_COMPLETE) {
        (void)error_set(err, -EPROTO, "%s", frame_outcome_text(r));
        return line_refuse(line);
    }
    if (!frame_fits(line, frame)) {
        (void)error_set(err, -EPROTO, "type %u with %zu bytes is not allowed in state %s", frame->type,
                        frame->message.len, session_state_name(line->state));
        return line_refuse(line);
    }
    return line->state == SESSION_NEW ? greeting_take(line, frame, err) : AGENT_LINE_FRAME;
}

int agent_line_signed(struct agent_line *line, const struct signature *auth, struct buffer *out,
                      struct error *err) {
    struct session_keys keys;
    if (line->state != SESSION_CHALLENGED)
        return error_set(err, -EPROTO, "a signature that nobody asked for");
    int r = session_keys_derive(&keys, &line->transcript, &line->random, ROLE_AGENT, err);
    if (r < 0) {
        (void)line_refuse(line);
        return r;
    }
    frame_write(&line->writer, MESSAGE_AUTH, BYTES_OF(auth->b), out);
    frame_writer_encrypt(&line->writer, &keys.to_coordinator);
    frame_reader_encrypt(&line->reader, &keys.to_agent);
    session_keys_deinit(&keys);
    sodium_memzero(&line->random, sizeof(line->random));
    line->state = SESSION_PENDING;
    return 0;
}

int agent_line_send(struct agent_line *line, const struct frame *frame, struct buffer *out,
                    struct error *err) {
    if (line->state != SESSION_PENDING || frame->seq != line->writer.last_seq + 1 ||
        frame->message.len > KEDGE_MESSAGE_BYTES_MAX + 128 ||
        !(message_is_allowed(frame->type, ROLE_AGENT, SESSION_PENDING) ||
          message_is_allowed(frame->type, ROLE_AGENT, SESSION_OPEN)))
        return error_set(err, -EPROTO, "type %u, number %llu may not be sent now", frame->type,
                         (unsigned long long)frame->seq);
    frame_write(&line->writer, frame->type, frame->message, out);
    return 0;
}
