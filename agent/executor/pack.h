/* The bytes of the journal's records: written with buffer_* and the two below, read by a cursor that fails once and then
 * yields nothing. Numbers are big endian; texts and bytes carry a u32 length. */
#ifndef KEDGE_EXECUTOR_PACK_H
#define KEDGE_EXECUTOR_PACK_H

#include "common/base/arena.h"
#include "common/base/bytes.h"

static inline void pack_u8(struct buffer *out, unsigned value) {
    uint8_t byte = (uint8_t)value;
    buffer_append(out, &byte, 1);
}
static inline void pack_bytes(struct buffer *out, struct bytes bytes) {
    buffer_u32(out, (uint32_t)bytes.len);
    buffer_append(out, bytes.data, bytes.len);
}
/* NULL is packed as an empty text. */
static inline void pack_text(struct buffer *out, const char *text) {
    pack_bytes(out, bytes_of_text(text ? text : ""));
}

struct unpack {
    struct bytes rest;
    bool failed;
};

const uint8_t *unpack_raw(struct unpack *from, size_t len);
unsigned unpack_u8(struct unpack *from);
uint32_t unpack_u32(struct unpack *from);
uint64_t unpack_u64(struct unpack *from);

/* A view into the record. */
struct bytes unpack_bytes(struct unpack *from);

/* Copied into the arena; "" after a failure, also for one that holds a NUL. */
const char *unpack_text(struct unpack *from, struct arena *arena);

/* True if nothing failed and nothing is left. */
static inline bool unpack_done(const struct unpack *from) {
    return !from->failed && from->rest.len == 0;
}

#endif
