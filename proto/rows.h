/* Short names for the rows of codec tables: FIELD_KIND(struct, field, limit). The field's name is the same in our
 * struct and on the wire; a list `xs` has its count in `n_xs`. */
#ifndef KEDGE_PROTO_ROWS_H
#define KEDGE_PROTO_ROWS_H

#include "common/base/limits.h"
#include "proto/codec.h"

#define ROW_(s, f, k, ...)                                                                                   \
    { .name = #f, .kind = k, .offset = offsetof(struct s, f), __VA_ARGS__ }
#define FIELD_TEXT(s, f, limit) ROW_(s, f, CODEC_TEXT, .max = (limit))
#define FIELD_LINE(s, f, limit) ROW_(s, f, CODEC_TEXT, .max = (limit), .one_line = true)
#define FIELD_LINE_OR_EMPTY(s, f, limit)                                                                     \
    ROW_(s, f, CODEC_TEXT, .max = (limit), .empty_is_absent = true, .one_line = true)
/* Foreign text for people (reasons, diffs, facts): tamed when it is encoded, so it never keeps a message from going. */
#define FIELD_TAMED(s, f, limit) ROW_(s, f, CODEC_TEXT, .max = (limit), .tame = true)
#define FIELD_TAMED_OR_EMPTY(s, f, limit)                                                                    \
    ROW_(s, f, CODEC_TEXT, .max = (limit), .empty_is_absent = true, .tame = true)
#define FIELD_BYTES(s, f, limit) ROW_(s, f, CODEC_BYTES, .max = (limit))
#define FIELD_FIXED(s, f) ROW_(s, f, CODEC_FIXED, .max = sizeof(((struct s *)0)->f))
#define FIELD_U32(s, f, limit) ROW_(s, f, CODEC_U32, .max = (limit))
#define FIELD_U64(s, f) ROW_(s, f, CODEC_U64, .max = UINT64_MAX)
#define FIELD_ENUM(s, f, set) ROW_(s, f, CODEC_ENUM, .max = (set)-1)
#define FIELD_BOOL(s, f) ROW_(s, f, CODEC_BOOL, .max = 1)
#define FIELD_SUB(s, f, message) ROW_(s, f, CODEC_SUB, .sub = (message))
#define FIELD_INLINE(s, f, message) ROW_(s, f, CODEC_INLINE, .sub = (message))

#define LIST_(s, f, k, items, ...)                                                                           \
    ROW_(s, f, k, .count = offsetof(struct s, n_##f), .max_items = (items), __VA_ARGS__)
#define FIELD_TEXTS(s, f, items, limit) LIST_(s, f, CODEC_TEXTS, items, .max = (limit))
#define FIELD_LINES(s, f, items, limit) LIST_(s, f, CODEC_TEXTS, items, .max = (limit), .one_line = true)
#define FIELD_BYTES_LIST(s, f, items, limit) LIST_(s, f, CODEC_BYTES_LIST, items, .max = (limit))
#define FIELD_FIXED_LIST(s, f, items) LIST_(s, f, CODEC_FIXED_LIST, items, .max = sizeof(*((struct s *)0)->f))
#define FIELD_U32_LIST(s, f, items, limit) LIST_(s, f, CODEC_U32_LIST, items, .max = (limit))
#define FIELD_SUBS(s, f, items, message) LIST_(s, f, CODEC_SUBS, items, .sub = (message))

/* A field that is there only when the bool field `has_F` of the struct says so. */
#define FIELD_FIXED_IF(s, f)                                                                                 \
    ROW_(s, f, CODEC_FIXED, .max = sizeof(((struct s *)0)->f), .has = offsetof(struct s, has_##f))
#define FIELD_BYTES_IF(s, f, limit)                                                                          \
    ROW_(s, f, CODEC_BYTES, .max = (limit), .has = offsetof(struct s, has_##f))
#define FIELD_U32_IF(s, f, limit) ROW_(s, f, CODEC_U32, .max = (limit), .has = offsetof(struct s, has_##f))

/* Defines `const struct codec_message NAME_codec` from the rows in NAME_fields. */
#define CODEC_MESSAGE(symbol, text, struct_name, descriptor)                                                 \
    const struct codec_message symbol##_codec = {.name = text,                                               \
                                                 .wire = &(descriptor),                                      \
                                                 .size = sizeof(struct struct_name),                         \
                                                 .fields = symbol##_fields,                                  \
                                                 .n_fields = ARRAY_LEN(symbol##_fields)}

#endif
