/* Hostile bytes for the codec, made by hand: protobuf has many ways to say the same, and one passes. */
#include "common/plan/encoding.h"
#include "proto/messages.h"
#include "tests/unit/test.h"

static int decode(const struct codec_message *codec, const void *data, size_t len, struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    void *value;
    return codec_decode(codec, (struct bytes){data, len}, arena, &value, err);
}

#define DECODE(codec, text, err) decode(codec, text, sizeof(text) - 1, err)

TEST("A25 of the many spellings of one message only one passes") {
    static const struct {
        const char *what, *bytes;
        size_t len;
    } bad[] = {
#define SPELLING(what, text) {what, text, sizeof(text) - 1}
        SPELLING("a field that says nothing", "\x08\x01\x20\x00"),
        SPELLING("a long varint", "\x08\x81\x00"),
        SPELLING("more than 32 bits", "\x08\x81\x80\x80\x80\x10"),
        SPELLING("a field twice", "\x08\x01\x08\x01"),
        SPELLING("another order", "\x10\x05\x08\x01"),
        SPELLING("an unknown field", "\x08\x01\xf8\x07\x01"),
        SPELLING("another type of the field", "\x0d\x01\x00\x00\x00"),
        SPELLING("an end within", "\x08\x01\x1a\x05"
                                  "ab"),
        SPELLING("field number 0", "\x08\x01\x00\x00"),
        SPELLING("a group", "\x08\x01\x0b\x0c"),
        SPELLING("nothing", ""),
#undef SPELLING
    };
    struct error err;
    /* exit_code 1; text 2, json 3, blobs 4, more 5 */
    check_eq_int(DECODE(&control_reply_codec, "\x08\x01", &err), 0);
    check_eq_int(DECODE(&control_reply_codec, "\x08\x01\x28\x01", &err), 0);
    check_eq_int(DECODE(&control_reply_codec, "\x08\x01\x28\x02", &err),
                 -EBADMSG); /* true has one spelling */
    check_eq_int(DECODE(&control_reply_codec, "\x08\x01\x28\x00", &err), -EBADMSG); /* false is absent */
    check_eq_int(DECODE(&control_reply_codec, "\x08\x01\x12\x00", &err), -EBADMSG); /* as is "" */
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (!check(decode(&control_reply_codec, bad[i].bytes, bad[i].len, &err) < 0))
            fprintf(stderr, "accepted: %s\n", bad[i].what);
}

TEST("A25 a message that comes twice is not merged into one") {
    struct check check_ = {.probe = {.target = "t", .timeout_ms = 5}, .says = "x"};
    struct gate gate = {.name = "g", .checks = &check_, .n_checks = 1};
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    struct error err;
    require(codec_encode(&gate_codec, &gate, &bytes, &err) == 0);
    check_eq_int(decode(&gate_codec, bytes.data, bytes.len, &err), 0);
    /* gate { name "g" scope 0 checks { probe {..} probe {..} .. } ..}: the inner probe stands twice */
    static const char probe[] = "\x0a\x07\x08\x00\x12\x01t\x38\x05";
    uint8_t *at = memmem(bytes.data, bytes.len, probe, sizeof(probe) - 1);
    require(at && at[-2] == 0x1a);
    _cleanup_(buffer_deinit) struct buffer twice = {0};
    buffer_append(&twice, bytes.data, (size_t)(at - bytes.data));
    twice.data[twice.len - 1] = (uint8_t)(twice.data[twice.len - 1] + sizeof(probe) - 1);
    buffer_append(&twice, probe, sizeof(probe) - 1);
    buffer_append(&twice, at, bytes.len - (size_t)(at - bytes.data));
    check_eq_int(decode(&gate_codec, twice.data, twice.len, &err), -EBADMSG);
    check_contains(err.text, "not in canonical form");
}

TEST("A33 reasons are tamed when they leave, names are refused") {
    char reason[5000];
    memset(reason, 'x', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = 0;
    memcpy(reason, "\x1b]0;", 4);
    struct report report = {.cluster = "c",
                            .member = "m",
                            .step = "s",
                            .reason = reason,
                            .version = "1",
                            .outcome = OUTCOME_DONE};
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    struct error err;
    struct report *back;
    require(codec_encode(&report_codec, &report, &bytes, &err) == 0);
    require(codec_decode(&report_codec, buffer_bytes(&bytes), arena, &back, &err) == 0);
    check_eq_int(strlen(back->reason), 4096);
    check(strncmp(back->reason, "?]0;xx", 6) == 0);
    check_eq_str(back->reason + 4093, "...");
    report.member = "m\nDONE";
    check_eq_int(codec_encode(&report_codec, &report, &bytes, &err), -EINVAL);
    check_contains(err.text, "report.member");
}

TEST("A24 a document that needs more than its arena says so") {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    struct argument words[200] = {{.text = "x"}};
    for (size_t i = 1; i < ARRAY_LEN(words); i++)
        words[i] = words[0];
    struct command command = {.arguments = words, .n_arguments = ARRAY_LEN(words), .deadline_ms = 1};
    struct error err = {""};
    require(codec_encode(&command_codec, &command, &bytes, &err) == 0);
    bool passed = false;
    for (size_t cap = 0; cap < 100000; cap += 16) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(cap);
        struct command *back;
        int r = codec_decode(&command_codec, buffer_bytes(&bytes), arena, &back, &err);
        check(r == (passed ? 0 : r == 0 ? 0 : -ENOMEM));
        passed |= r == 0;
        check(arena_used(arena) <= cap);
    }
    check(passed);
}
