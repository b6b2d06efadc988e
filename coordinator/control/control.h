/* Framing of the control socket, for both of its ends. A request and each reply is `u32 length, big endian | encoded
 * control_request or control_reply` (proto/messages.h); which verbs there are stands in README.md beside this file.
 *
 * The client side blocks; the server side hands in bytes as they come and never waits. A length is judged before anything
 * is allocated for it, and memory grows only with the bytes that have really come. */
#ifndef KEDGE_CONTROL_CONTROL_H
#define KEDGE_CONTROL_CONTROL_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/limits.h"
#include "proto/messages.h"

enum {
    CONTROL_HEAD_BYTES = 4,
    /* What one decoded request or reply may cost: its bytes, a second time as views, and some. */
    CONTROL_ARENA_BYTES_MAX = 2 * KEDGE_CONTROL_BYTES_MAX + 1024 * 1024,
};

/* Append one frame to `out`. -EINVAL when a field breaks its limits, -EFBIG past KEDGE_CONTROL_BYTES_MAX, -ENOMEM; `out`
 * is then as it was. */
int control_request_frame(struct buffer *out, const struct control_request *request,
                          struct error *err) _must_check_;
int control_reply_frame(struct buffer *out, const struct control_reply *reply,
                        struct error *err) _must_check_;

/* ---- client: blocking ---- */

/* A connected descriptor, or a negative errno with a sentence that says what to do. */
int control_connect(const char *path, struct error *err) _must_check_;

int control_send(int fd, const struct control_request *request, struct error *err) _must_check_;

/* The next reply; it lies in `arena` (make it with CONTROL_ARENA_BYTES_MAX). -EPIPE when kedged ended the connection. */
int control_receive(int fd, struct arena *arena, const struct control_reply **outp,
                    struct error *err) _must_check_;

/* ---- server: one frame that comes in pieces ---- */

/* Zeroed at the beginning; ends with control_frame_deinit. */
struct control_frame {
    struct buffer bytes;
};
void control_frame_deinit(struct control_frame *frame);

enum control_frame_outcome { CONTROL_FRAME_PARTIAL = 1 };

/* How many bytes are still to be read now: of the length first, then of the body; never more than 64 KiB at once. 0 when the
 * frame is complete. */
size_t control_frame_wants(const struct control_frame *frame);

/* Takes at most control_frame_wants() bytes. 0 when the frame is complete, CONTROL_FRAME_PARTIAL when more is to come,
 * -EBADMSG for a length out of range (close the connection), -ENOMEM. */
int control_frame_feed(struct control_frame *frame, struct bytes bytes, struct error *err) _must_check_;

/* Of a complete frame. */
int control_frame_request(const struct control_frame *frame, struct arena *arena,
                          const struct control_request **outp, struct error *err) _must_check_;
int control_frame_reply(const struct control_frame *frame, struct arena *arena,
                        const struct control_reply **outp, struct error *err) _must_check_;

#endif
