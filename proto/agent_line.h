/* The agent's end of one connection as the link process sees it: frames and handshake, no identity key. It verifies the
 * coordinator's challenge, lets the executor sign, and after that carries messages that it can neither make nor check.
 * Pure: bytes in, bytes out; randomness is passed in. */
#ifndef KEDGE_PROTO_AGENT_LINE_H
#define KEDGE_PROTO_AGENT_LINE_H

#include "proto/handshake.h"

struct agent_line {
    struct public_key coordinator; /* pinned */
    struct handshake_randomness random;
    struct transcript transcript;
    enum session_state state; /* link knows no OPEN: only the executor can verify a WELCOME */
    struct frame_reader reader;
    struct frame_writer writer;
};

enum agent_line_outcome {
    AGENT_LINE_NOTHING = 1, /* more bytes are needed */
    AGENT_LINE_SIGN,        /* line->transcript is complete: ask the executor, then agent_line_signed() */
    AGENT_LINE_FRAME,       /* *frame holds one, not yet verified */
    AGENT_LINE_REFUSED,     /* *err says why; close the connection */
};

struct agent_line_config {
    const char *node;
    struct public_key agent, coordinator;
};

/* Appends the hello to `out`. */
void agent_line_start(struct agent_line *line, const struct agent_line_config *config,
                      const struct handshake_randomness *random, struct buffer *out);
void agent_line_deinit(struct agent_line *line);

/* Takes bytes from the front of `input` until something happened; call again until AGENT_LINE_NOTHING. `frame` is valid
 * until the next call. */
enum agent_line_outcome agent_line_feed(struct agent_line *line, struct bytes *input, struct frame *frame,
                                        struct error *err) _must_check_;

/* The executor signed: appends auth to `out`, all further frames are encrypted. */
int agent_line_signed(struct agent_line *line, const struct signature *auth, struct buffer *out,
                      struct error *err) _must_check_;

/* Appends one frame with a message that the executor sealed under `seq`. -EPROTO if it is not its turn or an agent never
 * says this. */
int agent_line_send(struct agent_line *line, const struct frame *frame, struct buffer *out,
                    struct error *err) _must_check_;

#endif
