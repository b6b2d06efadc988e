/* Why one flat layout and no message per kind: a journal outlives programs, and a layout that a person can read with
 * hexdump in ten minutes needs no tool of its own version. */
#include "coordinator/engine/record.h"

#include <string.h>

static const char *const kind_texts[RECORD_KIND_END] = {
    [RECORD_REIGN] = "reign",         [RECORD_RUN_BEGUN] = "run begun",
    [RECORD_RUN_EVENT] = "run",       [RECORD_WAVE] = "wave",
    [RECORD_ORDERED] = "ordered",     [RECORD_REPORTED] = "reported",
    [RECORD_MEMBER_EVENT] = "member", [RECORD_SIDE_ORDERED] = "side action ordered",
    [RECORD_NODE_HELD] = "node held", [RECORD_NODE_RETURNED] = "node returned",
    [RECORD_MEMBER_AWAY] = "agent",   [RECORD_OUTPUT] = "output",
    [RECORD_MEMBER_SEEN] = "seen",    [RECORD_SIDE_REPORTED] = "side action reported",
};

const char *record_kind_text(enum record_kind kind) {
    return (unsigned)kind < RECORD_KIND_END && kind_texts[kind] ? kind_texts[kind] : "?";
}

static void put_text(struct buffer *out, const char *text) {
    size_t len = text ? strnlen(text, RECORD_BYTES_MAX / 4) : 0;
    buffer_u32(out, (uint32_t)len);
    buffer_append(out, text, len);
}

void record_encode(const struct record *record, struct buffer *out) {
    const uint8_t head[2] = {RECORD_VERSION, (uint8_t)record->kind};
    buffer_append(out, head, sizeof(head));
    buffer_u64(out, record->at_ms);
    buffer_u64(out, record->run);
    buffer_u32(out, record->member);
    buffer_u32(out, record->number);
    buffer_u64(out, record->value);
    buffer_u64(out, record->value2);
    buffer_append(out, record->digest.b, sizeof(record->digest.b));
    put_text(out, record->name);
    put_text(out, record->text);
}

enum { FIXED_BYTES = 2 + 8 + 8 + 4 + 4 + 8 + 8 + KEDGE_DIGEST_LEN };

static int take_text(struct bytes *rest, struct arena *arena, const char **outp, struct error *err) {
    if (rest->len < 4 || read_u32(rest->data) > rest->len - 4)
        return error_set(err, -EBADMSG, "a text of the record is cut");
    size_t len = read_u32(rest->data);
    if (memchr(rest->data + 4, 0, len))
        return error_set(err, -EBADMSG, "a text of the record holds a NUL");
    *outp = arena_text_n(arena, (const char *)rest->data + 4, len);
    rest->data += 4 + len;
    rest->len -= 4 + len;
    return *outp ? 0 : error_set(err, -ENOMEM, "record: out of memory");
}

int record_decode(struct record *outp, struct bytes bytes, struct arena *arena, struct error *err) {
    const uint8_t *p = bytes.data;
    if (bytes.len < FIXED_BYTES)
        return error_set(err, -EBADMSG, "the record has %zu bytes, at least %d are needed", bytes.len,
                         FIXED_BYTES);
    if (p[0] != RECORD_VERSION)
        return error_set(err, -EPROTO, "the record has version %u, this program knows %d", p[0],
                         RECORD_VERSION);
    if (p[1] == 0 || p[1] >= RECORD_KIND_END)
        return error_set(err, -EBADMSG, "the record has kind %u, which this program does not know", p[1]);
    *outp = (struct record){
        .kind = (enum record_kind)p[1],
        .at_ms = read_u64(p + 2),
        .run = read_u64(p + 10),
        .member = read_u32(p + 18),
        .number = read_u32(p + 22),
        .value = read_u64(p + 26),
        .value2 = read_u64(p + 34),
    };
    memcpy(outp->digest.b, p + 42, KEDGE_DIGEST_LEN);
    struct bytes rest = {p + FIXED_BYTES, bytes.len - FIXED_BYTES};
    int r = take_text(&rest, arena, &outp->name, err);
    if (r == 0)
        r = take_text(&rest, arena, &outp->text, err);
    if (r == 0 && rest.len > 0)
        r = error_set(err, -EBADMSG, "the record has %zu bytes too many", rest.len);
    return r;
}
