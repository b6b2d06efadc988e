/* Why not the codec of the wire: these records never leave the node, and recovery must read them with as little machinery
 * as there can be. */
#include "agent/executor/pack.h"

#include <string.h>

const uint8_t *unpack_raw(struct unpack *from, size_t len) {
    if (from->failed || from->rest.len < len) {
        from->failed = true;
        return NULL;
    }
    const uint8_t *p = from->rest.data;
    from->rest.data += len;
    from->rest.len -= len;
    return p;
}

unsigned unpack_u8(struct unpack *from) {
    const uint8_t *p = unpack_raw(from, 1);
    return p ? *p : 0;
}

uint32_t unpack_u32(struct unpack *from) {
    const uint8_t *p = unpack_raw(from, 4);
    return p ? read_u32(p) : 0;
}

uint64_t unpack_u64(struct unpack *from) {
    const uint8_t *p = unpack_raw(from, 8);
    return p ? read_u64(p) : 0;
}

struct bytes unpack_bytes(struct unpack *from) {
    uint32_t len = unpack_u32(from);
    const uint8_t *p = unpack_raw(from, len);
    return p ? (struct bytes){p, len} : (struct bytes){NULL, 0};
}

const char *unpack_text(struct unpack *from, struct arena *arena) {
    struct bytes bytes = unpack_bytes(from);
    if (bytes.len > 0 && memchr(bytes.data, 0, bytes.len))
        from->failed = true;
    const char *text =
        from->failed || bytes.len == 0 ? "" : arena_text_n(arena, (const char *)bytes.data, bytes.len);
    if (!text)
        from->failed = true;
    return text ? text : "";
}
