/* Bytes that somebody else owns, growing buffers, and hexadecimal text. */
#ifndef KEDGE_BASE_BYTES_H
#define KEDGE_BASE_BYTES_H

#include "common/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A view: never owns, never NUL-terminated by promise. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

#define BYTES_OF(array) ((struct bytes){(const uint8_t *)(array), sizeof(array)})
struct bytes bytes_of_text(const char *text);
bool bytes_equal(struct bytes a, struct bytes b);

/* A growing buffer. Appending to one that has failed does nothing; check `failed` once, at the end.
 * `data` is always NUL-terminated one past `len` when not NULL. */
struct buffer {
    uint8_t *data;
    size_t len, room;
    bool failed;
};

void buffer_deinit(struct buffer *buffer);
void buffer_append(struct buffer *buffer, const void *data, size_t len);
/* Makes it `len` bytes longer; where they are to be written, or NULL when it has failed. */
uint8_t *buffer_extend(struct buffer *buffer, size_t len) _must_check_;
void buffer_text(struct buffer *buffer, const char *text);
void buffer_format(struct buffer *buffer, const char *format, ...) _printf_(2, 3);
void buffer_u32(struct buffer *buffer, uint32_t value); /* big endian */
void buffer_u64(struct buffer *buffer, uint64_t value); /* big endian */
void buffer_clear(struct buffer *buffer);
struct bytes buffer_bytes(const struct buffer *buffer);

/* Gives the data away (malloc'ed, NUL-terminated); NULL if the buffer failed. */
char *buffer_take(struct buffer *buffer) _must_check_;

uint32_t read_u32(const uint8_t *p); /* big endian */
uint64_t read_u64(const uint8_t *p); /* big endian */

/* Lower-case hexadecimal. `out` has room for 2 * len + 1. */
void hex_encode(char *out, const uint8_t *data, size_t len);

/* True if `text` is exactly 2 * len hexadecimal digits. */
bool hex_decode(uint8_t *out, size_t len, const char *text) _must_check_;

#endif
