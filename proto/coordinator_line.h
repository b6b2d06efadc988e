/* The coordinator's end of one connection, from the first byte to the last: frames, handshake and messages in their order.
 * Pure: bytes in, bytes out; randomness and time are passed in. */
#ifndef KEDGE_PROTO_COORDINATOR_LINE_H
#define KEDGE_PROTO_COORDINATOR_LINE_H

#include "proto/handshake.h"
#include "proto/session.h"

struct coordinator_line {
    const struct key_pair *self;
    struct handshake_randomness random; /* zeroed once the keys are derived */
    struct transcript transcript;
    struct hello hello; /* whose line it is; believed from LINE_PROVEN on */
    struct session session;
    struct frame_reader reader;
    struct frame_writer writer;
};

enum coordinator_line_outcome {
    LINE_NOTHING = 1, /* more bytes are needed */
    LINE_PROVEN,  /* the peer is who hello says; now the caller says WELCOME (pending or admitted) or BYE */
    LINE_MESSAGE, /* *message holds one */
    LINE_REFUSED, /* *err says why; close the connection */
};

/* `self` must outlive the line. */
void coordinator_line_init(struct coordinator_line *line, const struct key_pair *self,
                           const struct handshake_randomness *random);
void coordinator_line_deinit(struct coordinator_line *line);

/* Takes bytes from the front of `input` until something happened; call again until LINE_NOTHING. What is to be sent is
 * appended to `out`, also before LINE_REFUSED. `message` is valid until the next call. */
enum coordinator_line_outcome coordinator_line_feed(struct coordinator_line *line, struct bytes *input,
                                                    uint64_t now_ms, struct buffer *out,
                                                    struct verified_message *message,
                                                    struct error *err) _must_check_;

/* Signs, encrypts and appends one message to `out`. It must be allowed in this state (session.h). */
void coordinator_line_say(struct coordinator_line *line, enum message_type type, struct bytes bytes,
                          struct buffer *out);

#endif
