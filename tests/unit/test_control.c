#include "coordinator/control/control.h"

#include "tests/unit/test.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const struct fact arguments[] = {{"cluster", "shop"}, {"consent", "a"}, {"consent", "b"}};

static struct control_request request_make(void) {
    static struct bytes blobs[2];
    blobs[0] = bytes_of_text("first");
    blobs[1] = bytes_of_text("");
    return (struct control_request){"plan", arguments, 3, blobs, 1};
}

/* Feeds in pieces of at most `piece` bytes, as a socket would. */
static int feed_all(struct control_frame *frame, struct bytes bytes, size_t piece, struct error *err) {
    int r = CONTROL_FRAME_PARTIAL;
    while (bytes.len > 0 && r == CONTROL_FRAME_PARTIAL) {
        size_t n = control_frame_wants(frame);
        n = n < piece ? n : piece;
        n = n < bytes.len ? n : bytes.len;
        r = control_frame_feed(frame, (struct bytes){bytes.data, n}, err);
        bytes.data += n;
        bytes.len -= n;
    }
    return r;
}

TEST("a request arrives as it was sent, however it is cut") {
    struct error err;
    struct control_request request = request_make();
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    require(control_request_frame(&wire, &request, &err) == 0);
    for (size_t piece = 1; piece < 70; piece += 7) {
        _cleanup_(control_frame_deinit) struct control_frame frame = {0};
        _cleanup_(arena_freep) struct arena *arena = arena_new(CONTROL_ARENA_BYTES_MAX);
        const struct control_request *got;
        require(feed_all(&frame, buffer_bytes(&wire), piece, &err) == 0);
        require(control_frame_request(&frame, arena, &got, &err) == 0);
        check_eq_str(got->verb, "plan");
        check_eq_int(got->n_arguments, 3);
        check_eq_str(got->arguments[2].value, "b");
        require(got->n_blobs == 1);
        check(bytes_equal(got->blobs[0], bytes_of_text("first")));
    }
}

TEST("a frame that is not whole is only partial") {
    struct error err;
    struct control_request request = request_make();
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    require(control_request_frame(&wire, &request, &err) == 0);
    for (size_t len = 1; len < wire.len; len++) {
        _cleanup_(control_frame_deinit) struct control_frame frame = {0};
        check_eq_int(feed_all(&frame, (struct bytes){wire.data, len}, 64, &err), CONTROL_FRAME_PARTIAL);
        check(control_frame_wants(&frame) > 0);
    }
}

TEST("lengths out of range are refused before anything is allocated for them") {
    static const uint32_t lengths[] = {0, KEDGE_CONTROL_BYTES_MAX + 1, 0x7fffffff, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct error err = {0};
        _cleanup_(control_frame_deinit) struct control_frame frame = {0};
        _cleanup_(buffer_deinit) struct buffer head = {0};
        buffer_u32(&head, lengths[i]);
        check_eq_int(control_frame_feed(&frame, buffer_bytes(&head), &err), -EBADMSG);
        check_contains(err.text, "it may have 1 to");
        check(frame.bytes.room < 4096);
    }
}

TEST("an announced length costs nothing until its bytes come") {
    struct error err;
    _cleanup_(control_frame_deinit) struct control_frame frame = {0};
    _cleanup_(buffer_deinit) struct buffer head = {0};
    buffer_u32(&head, KEDGE_CONTROL_BYTES_MAX);
    check_eq_int(control_frame_feed(&frame, buffer_bytes(&head), &err), CONTROL_FRAME_PARTIAL);
    check(control_frame_wants(&frame) <= 64 * 1024);
    check(frame.bytes.room < 4096);
}

TEST("every byte of a request flipped, cut and prolonged: refused or read, never more") {
    struct error err;
    struct control_request request = request_make();
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    require(control_request_frame(&wire, &request, &err) == 0);
    for (size_t i = CONTROL_HEAD_BYTES; i < wire.len; i++)
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            _cleanup_(control_frame_deinit) struct control_frame frame = {0};
            _cleanup_(arena_freep) struct arena *arena = arena_new(64 * 1024);
            const struct control_request *got;
            wire.data[i] ^= (uint8_t)bit;
            if (feed_all(&frame, buffer_bytes(&wire), 64, &err) == 0 &&
                control_frame_request(&frame, arena, &got, &err) < 0)
                check(*err.text);
            wire.data[i] ^= (uint8_t)bit;
        }
}

TEST("what is too large to be received is not sent") {
    struct error err = {0};
    _cleanup_(freep) uint8_t *large = calloc(1, KEDGE_CONTROL_BYTES_MAX);
    require(large);
    struct bytes blobs[] = {{large, KEDGE_CONTROL_BYTES_MAX}};
    struct control_request request = {"release add", NULL, 0, blobs, 1};
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    check_eq_int(control_request_frame(&wire, &request, &err), -EFBIG);
    check_contains(err.text, "release add");
    check_eq_int(wire.len, 0);
}

struct server {
    int fd;
    const struct buffer *answer;
};

static void *server_run(void *user) {
    struct server *server = user;
    uint8_t bytes[512];
    int fd = accept(server->fd, NULL, NULL);
    if (read(fd, bytes, sizeof(bytes)) > 0 && write(fd, server->answer->data, server->answer->len) < 0)
        perror("write");
    close(fd);
    return NULL;
}

/* Sends "version" to a server that answers with these bytes, and receives `n` replies. */
static int exchange(const struct buffer *answer, struct arena *arena, const struct control_reply **replies,
                    size_t n, struct error *err) {
    char folder[] = "/tmp/kedge-control-XXXXXX", path[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int r = mkdtemp(folder) ? 0 : -errno;
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    struct server server = {socket(AF_UNIX, SOCK_STREAM, 0), answer};
    pthread_t thread;
    if (r == 0 &&
        (bind(server.fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(server.fd, 1) < 0))
        r = -errno;
    if (r < 0 || pthread_create(&thread, NULL, server_run, &server) != 0)
        return -EIO;
    int fd = control_connect(path, err);
    r = fd < 0 ? fd : control_send(fd, &(struct control_request){.verb = "version"}, err);
    for (size_t i = 0; i < n && r == 0; i++)
        r = control_receive(fd, arena, &replies[i], err);
    close(fd);
    pthread_join(thread, NULL);
    close(server.fd);
    unlink(path);
    rmdir(folder);
    return r;
}

TEST("a client gets its replies, one after the other") {
    struct error err;
    _cleanup_(buffer_deinit) struct buffer answer = {0};
    _cleanup_(arena_freep) struct arena *arena = arena_new(CONTROL_ARENA_BYTES_MAX);
    const struct control_reply *replies[2];
    require(control_reply_frame(&answer, &(struct control_reply){.text = "", .json = "{}", .more = true},
                                &err) == 0);
    require(control_reply_frame(&answer, &(struct control_reply){3, "no", "", NULL, 0, false}, &err) == 0);
    require(exchange(&answer, arena, replies, 2, &err) == 0);
    check(replies[0]->more);
    check_eq_str(replies[0]->json, "{}");
    check_eq_int(replies[1]->exit_code, 3);
    check_eq_str(replies[1]->text, "no");
}

TEST("a server that hangs up in the middle is named") {
    struct error err = {0};
    _cleanup_(buffer_deinit) struct buffer answer = {0};
    _cleanup_(arena_freep) struct arena *arena = arena_new(CONTROL_ARENA_BYTES_MAX);
    const struct control_reply *replies[1];
    buffer_u32(&answer, 1000);
    buffer_text(&answer, "abc");
    check_eq_int(exchange(&answer, arena, replies, 1, &err), -EPIPE);
    check_contains(err.text, "kedged ended the connection");
}

TEST("nobody listens: the sentence says what to do") {
    struct error err = {0};
    check(control_connect("/nonexistent/kedge/control.sock", &err) < 0);
    check_contains(err.text, "does it run?");
}
