/* Why by hand and not by the codec: the prober's answers are judged before anything is allocated for them, and five
 * fields need no schema. */
#include "agent/prober/prober_ipc.h"

#include <string.h>

static void put_bytes(struct buffer *out, struct bytes bytes) {
    buffer_u32(out, (uint32_t)bytes.len);
    buffer_append(out, bytes.data, bytes.len);
}

static void put_u8(struct buffer *out, unsigned value) {
    uint8_t byte = (uint8_t)value;
    buffer_append(out, &byte, 1);
}

/* A cursor that only moves forward; after the first failure it yields zeroes. */
struct cursor {
    struct bytes rest;
    bool failed;
};

static const uint8_t *take(struct cursor *cursor, size_t len) {
    if (cursor->failed || cursor->rest.len < len) {
        cursor->failed = true;
        return NULL;
    }
    const uint8_t *p = cursor->rest.data;
    cursor->rest.data += len;
    cursor->rest.len -= len;
    return p;
}

static uint32_t take_u32(struct cursor *cursor) {
    const uint8_t *p = take(cursor, 4);
    return p ? read_u32(p) : 0;
}

static uint64_t take_u64(struct cursor *cursor) {
    const uint8_t *p = take(cursor, 8);
    return p ? read_u64(p) : 0;
}

static unsigned take_u8(struct cursor *cursor, unsigned n_values) {
    const uint8_t *p = take(cursor, 1);
    if (p && *p >= n_values)
        cursor->failed = true;
    return p && !cursor->failed ? *p : 0;
}

static struct bytes take_bytes(struct cursor *cursor) {
    uint32_t len = take_u32(cursor);
    const uint8_t *p = take(cursor, len);
    return p ? (struct bytes){p, len} : (struct bytes){NULL, 0};
}

static const char *take_text(struct cursor *cursor, struct arena *arena, size_t max, bool *out_of_memory) {
    struct bytes bytes = take_bytes(cursor);
    if (bytes.len > max || (bytes.len > 0 && memchr(bytes.data, 0, bytes.len)))
        cursor->failed = true;
    if (cursor->failed || bytes.len == 0)
        return "";
    char *text = arena_text_n(arena, (const char *)bytes.data, bytes.len);
    *out_of_memory |= !text;
    return text;
}

static int sealed(const struct buffer *out) {
    if (out->failed)
        return -ENOMEM;
    return out->len > PROBER_DATAGRAM_BYTES_MAX ? -EMSGSIZE : 0;
}

static int finished(const struct cursor *cursor, bool out_of_memory) {
    if (out_of_memory)
        return -ENOMEM;
    return cursor->failed || cursor->rest.len > 0 ? -EBADMSG : 0;
}

int prober_request_pack(const struct prober_request *request, struct buffer *out) {
    buffer_u32(out, request->id);
    put_u8(out, request->kind);
    put_bytes(out, request->document);
    put_bytes(out, bytes_of_text(request->self));
    buffer_u32(out, (uint32_t)request->beside.n);
    for (size_t i = 0; i < request->beside.n; i++)
        put_bytes(out, bytes_of_text(request->beside.names[i]));
    put_bytes(out, bytes_of_text(request->log_path));
    buffer_u64(out, request->log_offset);
    put_bytes(out, request->blob);
    return sealed(out);
}

int prober_reply_pack(const struct prober_reply *reply, struct buffer *out) {
    buffer_u32(out, reply->id);
    put_u8(out, reply->answer);
    buffer_u64(out, reply->age_us);
    put_bytes(out, bytes_of_text(reply->reason));
    put_bytes(out, reply->blob);
    return sealed(out);
}

static struct beside take_beside(struct cursor *cursor, struct arena *arena, bool *out_of_memory) {
    uint32_t n = take_u32(cursor);
    cursor->failed |= n > KEDGE_BESIDE_MAX;
    const char **names = arena_array(arena, KEDGE_BESIDE_MAX, sizeof(*names));
    *out_of_memory |= !names;
    for (uint32_t i = 0; names && !cursor->failed && i < n; i++)
        names[i] = take_text(cursor, arena, KEDGE_PATH_MAX, out_of_memory);
    return (struct beside){names, names && !cursor->failed ? n : 0};
}

int prober_request_unpack(struct bytes datagram, struct arena *arena, struct prober_request *out) {
    struct cursor cursor = {.rest = datagram};
    bool out_of_memory = false;
    *out = (struct prober_request){.id = take_u32(&cursor)};
    out->kind = (enum prober_kind)take_u8(&cursor, PROBER_KINDS);
    out->document = take_bytes(&cursor);
    out->self = take_text(&cursor, arena, KEDGE_PATH_MAX, &out_of_memory);
    out->beside = take_beside(&cursor, arena, &out_of_memory);
    out->log_path = take_text(&cursor, arena, KEDGE_PATH_MAX, &out_of_memory);
    out->log_offset = take_u64(&cursor);
    out->blob = take_bytes(&cursor);
    return finished(&cursor, out_of_memory);
}

int prober_reply_unpack(struct bytes datagram, struct arena *arena, struct prober_reply *out) {
    struct cursor cursor = {.rest = datagram};
    bool out_of_memory = false;
    *out = (struct prober_reply){.id = take_u32(&cursor)};
    out->answer = (enum answer)take_u8(&cursor, ANSWERS);
    out->age_us = take_u64(&cursor);
    out->reason = take_text(&cursor, arena, KEDGE_REASON_MAX - 1, &out_of_memory);
    out->blob = take_bytes(&cursor);
    return finished(&cursor, out_of_memory);
}
