#include "tests/unit/test.h"

#include "agent/prober/prober_ipc.h"

TEST("a request and a reply are what was packed") {
    struct arena *arena = arena_new(1 << 20);
    struct buffer out = {0};
    const char *names[] = {"127.0.0.1:2", "127.0.0.1:3"};
    struct prober_request asked = {.id = 7,
                                   .kind = PROBER_SAMPLE_COMPARE,
                                   .document = bytes_of_text("gate"),
                                   .self = "127.0.0.1:1",
                                   .beside = {names, 2},
                                   .log_path = "/l",
                                   .log_offset = 1ull << 40,
                                   .blob = bytes_of_text("sample")},
                          got;
    require(prober_request_pack(&asked, &out) == 0);
    require(prober_request_unpack(buffer_bytes(&out), arena, &got) == 0);
    check_eq_int(got.id, 7);
    check_eq_int(got.kind, PROBER_SAMPLE_COMPARE);
    check(bytes_equal(got.document, asked.document) && bytes_equal(got.blob, asked.blob));
    check_eq_str(got.self, "127.0.0.1:1");
    require(got.beside.n == 2);
    check_eq_str(got.beside.names[1], "127.0.0.1:3");
    check_eq_str(got.log_path, "/l");
    check(got.log_offset == 1ull << 40);

    struct buffer answer = {0};
    struct prober_reply said = {.id = 9, .answer = ANSWER_NO, .age_us = 5, .reason = "two are gone"}, heard;
    require(prober_reply_pack(&said, &answer) == 0);
    require(prober_reply_unpack(buffer_bytes(&answer), arena, &heard) == 0);
    check_eq_int(heard.answer, ANSWER_NO);
    check_eq_str(heard.reason, "two are gone");
    buffer_deinit(&out);
    buffer_deinit(&answer);
    arena_free(arena);
}

TEST("every cut and every number out of range is refused") {
    struct arena *arena = arena_new(1 << 20);
    struct buffer out = {0};
    struct prober_reply said = {.id = 9, .answer = ANSWER_YES, .reason = "r", .blob = bytes_of_text("b")},
                        heard;
    require(prober_reply_pack(&said, &out) == 0);
    for (size_t len = 0; len < out.len; len++)
        check_eq_int(prober_reply_unpack((struct bytes){out.data, len}, arena, &heard), -EBADMSG);
    out.data[4] = ANSWERS;
    check_eq_int(prober_reply_unpack(buffer_bytes(&out), arena, &heard), -EBADMSG);
    out.data[4] = ANSWER_YES;
    buffer_text(&out, "x");
    check_eq_int(prober_reply_unpack(buffer_bytes(&out), arena, &heard), -EBADMSG);
    buffer_deinit(&out);
    arena_free(arena);
}
