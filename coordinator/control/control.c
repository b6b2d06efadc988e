/* One framing for both ends, so that they cannot disagree. The body is read in pieces of at most 64 KiB: a peer that
 * announces 64 MiB and sends nothing costs nothing. */
#include "coordinator/control/control.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { PIECE_BYTES = 64 * 1024 };

/* ---- frames out ---- */

static int frame_append(struct buffer *out, const struct codec_message *codec, const void *message,
                        struct error *err) {
    _cleanup_(buffer_deinit) struct buffer body = {0};
    int r = codec_encode(codec, message, &body, err);
    if (r < 0)
        return r;
    if (body.len > KEDGE_CONTROL_BYTES_MAX)
        return error_set(err, -EFBIG, "%zu bytes, and at most %d go through the control socket", body.len,
                         KEDGE_CONTROL_BYTES_MAX);
    buffer_u32(out, (uint32_t)body.len);
    buffer_append(out, body.data, body.len);
    return body.failed || out->failed ? error_errno(err, -ENOMEM, "control frame") : 0;
}

int control_request_frame(struct buffer *out, const struct control_request *request, struct error *err) {
    int r = frame_append(out, &control_request_codec, request, err);
    return r < 0 ? error_context(err, r, "request \"%s\"", request->verb) : 0;
}

int control_reply_frame(struct buffer *out, const struct control_reply *reply, struct error *err) {
    int r = frame_append(out, &control_reply_codec, reply, err);
    return r < 0 ? error_context(err, r, "reply") : 0;
}

/* ---- frames in ---- */

void control_frame_deinit(struct control_frame *frame) {
    buffer_deinit(&frame->bytes);
}

static uint32_t body_len(const struct control_frame *frame) {
    return read_u32(frame->bytes.data);
}

size_t control_frame_wants(const struct control_frame *frame) {
    if (frame->bytes.len < CONTROL_HEAD_BYTES)
        return CONTROL_HEAD_BYTES - frame->bytes.len;
    size_t left = CONTROL_HEAD_BYTES + (size_t)body_len(frame) - frame->bytes.len;
    return left < PIECE_BYTES ? left : PIECE_BYTES;
}

int control_frame_feed(struct control_frame *frame, struct bytes bytes, struct error *err) {
    assert(bytes.len <= control_frame_wants(frame));
    buffer_append(&frame->bytes, bytes.data, bytes.len);
    if (frame->bytes.failed)
        return error_errno(err, -ENOMEM, "control frame");
    if (frame->bytes.len < CONTROL_HEAD_BYTES)
        return CONTROL_FRAME_PARTIAL;
    if (body_len(frame) == 0 || body_len(frame) > KEDGE_CONTROL_BYTES_MAX)
        return error_set(err, -EBADMSG, "a frame of %u bytes was announced; it may have 1 to %d",
                         body_len(frame), KEDGE_CONTROL_BYTES_MAX);
    return control_frame_wants(frame) > 0 ? CONTROL_FRAME_PARTIAL : 0;
}

static struct bytes frame_body(const struct control_frame *frame) {
    assert(control_frame_wants(frame) == 0);
    return (struct bytes){frame->bytes.data + CONTROL_HEAD_BYTES, body_len(frame)};
}

int control_frame_request(const struct control_frame *frame, struct arena *arena,
                          const struct control_request **outp, struct error *err) {
    struct control_request *request;
    int r = codec_decode(&control_request_codec, frame_body(frame), arena, &request, err);
    if (r < 0)
        return error_context(err, r, "request");
    *outp = request;
    return 0;
}

int control_frame_reply(const struct control_frame *frame, struct arena *arena,
                        const struct control_reply **outp, struct error *err) {
    struct control_reply *reply;
    int r = codec_decode(&control_reply_codec, frame_body(frame), arena, &reply, err);
    if (r < 0)
        return error_context(err, r, "kedged's reply");
    *outp = reply;
    return 0;
}

/* ---- client ---- */

int control_connect(const char *path, struct error *err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, -EINVAL, "control socket %s: the path is longer than %zu bytes", path,
                         sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(err, -errno,
                           "cannot reach kedged at %s (does it run? --socket or KEDGE_SOCKET says where)",
                           path);
    return TAKE_FD(fd);
}

int control_send(int fd, const struct control_request *request, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer frame = {0};
    int r = control_request_frame(&frame, request, err);
    if (r < 0)
        return r;
    for (size_t sent = 0; sent < frame.len;) {
        ssize_t n = send(fd, frame.data + sent, frame.len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return error_errno(err, -errno, "sending to kedged");
        sent += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int control_receive(int fd, struct arena *arena, const struct control_reply **outp, struct error *err) {
    _cleanup_(control_frame_deinit) struct control_frame frame = {0};
    _cleanup_(freep) uint8_t *piece = malloc(PIECE_BYTES);
    int r = piece ? CONTROL_FRAME_PARTIAL : error_errno(err, -ENOMEM, "kedged's reply");
    while (r == CONTROL_FRAME_PARTIAL) {
        ssize_t n = read(fd, piece, control_frame_wants(&frame));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_errno(err, n < 0 ? -errno : -EPIPE,
                               "kedged ended the connection before it answered");
        r = control_frame_feed(&frame, (struct bytes){piece, (size_t)n}, err);
        if (r < 0)
            return error_context(err, r, "kedged's reply");
    }
    return r == 0 ? control_frame_reply(&frame, arena, outp, err) : r;
}
