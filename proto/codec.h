/* The one codec of Kedge: tables say how the fields of our own structs lie on the wire, and the generated protobuf-c
 * code does the bytes. protobuf-c's types stop in this room.
 *
 * Decoding refuses what is unknown, out of range, too long, not clean text (common/base/text.h) or not canonical (it
 * encodes again and compares), and charges all memory that it keeps to the given arena. One struct has exactly one
 * encoding: an optional field that says nothing (zero, empty) is absent, unless a `has` tells the two apart. */
#ifndef KEDGE_PROTO_CODEC_H
#define KEDGE_PROTO_CODEC_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"

#include <protobuf-c/protobuf-c.h>

enum codec_kind {
    CODEC_TEXT,       /* const char *; absent: NULL, or "" with CODEC_EMPTY */
    CODEC_BYTES,      /* struct bytes; absent: no bytes */
    CODEC_FIXED,      /* an array of exactly `max` bytes; absent: zeroes */
    CODEC_U32,        /* uint32_t, 0..max */
    CODEC_U64,        /* uint64_t */
    CODEC_ENUM,       /* an enum (int), 0..max */
    CODEC_BOOL,       /* bool */
    CODEC_SUB,        /* const struct x *; absent: NULL */
    CODEC_INLINE,     /* struct x in place; required */
    CODEC_TEXTS,      /* const char *const *, with a size_t count */
    CODEC_BYTES_LIST, /* const struct bytes *, with a count */
    CODEC_FIXED_LIST, /* const struct {uint8_t b[size]} *, with a count */
    CODEC_U32_LIST,   /* const uint32_t *, with a count */
    CODEC_SUBS,       /* const struct x *, with a count */
};

struct codec_message;

/* One field. `has` is the offset of a bool that says whether it is there, or 0; `count` that of the number of items. */
struct codec_field {
    const char *name;
    enum codec_kind kind;
    size_t offset, count, has;
    uint64_t
        max; /* bytes of a text, of bytes; the largest number; items of a list are limited by max_items */
    size_t max_items;
    const struct codec_message *sub;
    bool empty_is_absent; /* TEXT: absent decodes to "" */
    bool one_line;        /* TEXT, TEXTS: no newline, no tab */
    bool tame;            /* TEXT: foreign text for people; made clean and cut to `max` when it is encoded */
};

struct codec_message {
    const char *name;
    const ProtobufCMessageDescriptor *wire;
    size_t size;
    const struct codec_field *fields;
    size_t n_fields;
};

/* *outp is a fresh struct of `message->size` in the arena, whose views point into the arena, never into `bytes`.
 * -EBADMSG with a sentence naming message and field, -ENOMEM past the arena's cap or when memory is out. */
int codec_decode(const struct codec_message *message, struct bytes bytes, struct arena *arena, void *outp,
                 struct error *err) _must_check_;

/* Appends the encoding. -EINVAL with a sentence when our own struct breaks its limits; -ENOMEM. */
int codec_encode(const struct codec_message *message, const void *value, struct buffer *out,
                 struct error *err) _must_check_;

#endif
