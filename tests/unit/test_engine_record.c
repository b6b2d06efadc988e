#include "tests/unit/test.h"

#include "coordinator/engine/record.h"

static const struct record sample = {
    .kind = RECORD_ORDERED,
    .at_ms = 1234567890123,
    .run = 7,
    .member = 3,
    .number = 9,
    .value = 0x1122334455667788,
    .value2 = 42,
    .digest = {{1, 2, 3}},
    .name = "switch",
    .text = "why: \xc3\xa4",
};

TEST("a record comes back as it was") {
    struct buffer bytes = {0};
    struct arena *arena = arena_new(1 << 16);
    struct record back;
    struct error err;
    record_encode(&sample, &bytes);
    require(!bytes.failed && record_decode(&back, buffer_bytes(&bytes), arena, &err) == 0);
    check(back.kind == sample.kind && back.at_ms == sample.at_ms && back.run == sample.run);
    check(back.member == sample.member && back.number == sample.number);
    check(back.value == sample.value && back.value2 == sample.value2);
    check(digest_equal(&back.digest, &sample.digest));
    check_eq_str(back.name, "switch");
    check_eq_str(back.text, "why: \xc3\xa4");
    arena_free(arena);
    buffer_deinit(&bytes);
}

TEST("a record that is cut anywhere, or longer, is refused") {
    struct buffer bytes = {0};
    struct record back;
    struct error err;
    record_encode(&sample, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        struct arena *arena = arena_new(1 << 16);
        check(record_decode(&back, (struct bytes){bytes.data, len}, arena, &err) == -EBADMSG);
        arena_free(arena);
    }
    buffer_append(&bytes, "x", 1);
    struct arena *arena = arena_new(1 << 16);
    check(record_decode(&back, buffer_bytes(&bytes), arena, &err) == -EBADMSG);
    check_contains(err.text, "1 bytes too many");
    arena_free(arena);
    buffer_deinit(&bytes);
}

TEST("a version or a kind that this program does not know is refused by name") {
    struct buffer bytes = {0};
    struct arena *arena = arena_new(1 << 16);
    struct record back;
    struct error err;
    record_encode(&sample, &bytes);
    bytes.data[0] = 2;
    check(record_decode(&back, buffer_bytes(&bytes), arena, &err) == -EPROTO);
    check_contains(err.text, "version 2");
    bytes.data[0] = RECORD_VERSION;
    bytes.data[1] = RECORD_KIND_END;
    check(record_decode(&back, buffer_bytes(&bytes), arena, &err) == -EBADMSG);
    check_contains(err.text, "kind");
    arena_free(arena);
    buffer_deinit(&bytes);
}

TEST("a reason that is too long is cut, not refused") {
    char text[RECORD_BYTES_MAX * 2];
    struct buffer bytes = {0};
    struct arena *arena = arena_new(1 << 16);
    struct record record = sample, back;
    struct error err;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    record.text = record.name = text;
    record_encode(&record, &bytes);
    check(bytes.len <= RECORD_BYTES_MAX);
    check(record_decode(&back, buffer_bytes(&bytes), arena, &err) == 0);
    arena_free(arena);
    buffer_deinit(&bytes);
}

TEST("every kind has a word") {
    for (unsigned kind = 1; kind < RECORD_KIND_END; kind++)
        check(strcmp(record_kind_text((enum record_kind)kind), "?") != 0);
}
