/* Why a sticky `failed`: encoders append dozens of small pieces, and one check at the end cannot be forgotten in the
 * middle. */
#include "common/base/bytes.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct bytes bytes_of_text(const char *text) {
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

bool bytes_equal(struct bytes a, struct bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

void buffer_deinit(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){0};
}

static bool buffer_reserve(struct buffer *buffer, size_t more) {
    if (buffer->failed)
        return false;
    if (more >= SIZE_MAX - buffer->len - 1) {
        buffer->failed = true;
        return false;
    }
    size_t need = buffer->len + more + 1;
    if (need <= buffer->room)
        return true;
    size_t room = buffer->room < 64 ? 64 : buffer->room;
    while (room < need)
        room = room > SIZE_MAX / 2 ? need : room * 2;
    uint8_t *data = realloc(buffer->data, room);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->room = room;
    return true;
}

uint8_t *buffer_extend(struct buffer *buffer, size_t len) {
    if (!buffer_reserve(buffer, len))
        return NULL;
    uint8_t *at = buffer->data + buffer->len;
    buffer->len += len;
    buffer->data[buffer->len] = 0;
    return at;
}

void buffer_append(struct buffer *buffer, const void *data, size_t len) {
    uint8_t *at = buffer_extend(buffer, len);
    if (at && len > 0)
        memcpy(at, data, len);
}

void buffer_text(struct buffer *buffer, const char *text) {
    buffer_append(buffer, text, strlen(text));
}

void buffer_format(struct buffer *buffer, const char *format, ...) {
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (len < 0)
        buffer->failed = true;
    else if (buffer_reserve(buffer, (size_t)len)) {
        vsnprintf((char *)buffer->data + buffer->len, (size_t)len + 1, format, again);
        buffer->len += (size_t)len;
    }
    va_end(again);
}

void buffer_u32(struct buffer *buffer, uint32_t value) {
    uint8_t b[4];
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(value >> (24 - 8 * i));
    buffer_append(buffer, b, sizeof(b));
}

void buffer_u64(struct buffer *buffer, uint64_t value) {
    buffer_u32(buffer, (uint32_t)(value >> 32));
    buffer_u32(buffer, (uint32_t)value);
}

void buffer_clear(struct buffer *buffer) {
    buffer->len = 0;
    buffer->failed = false;
    if (buffer->data)
        buffer->data[0] = 0;
}

struct bytes buffer_bytes(const struct buffer *buffer) {
    return (struct bytes){buffer->data, buffer->len};
}

char *buffer_take(struct buffer *buffer) {
    buffer_append(buffer, "", 0);
    if (buffer->failed) {
        buffer_deinit(buffer);
        return NULL;
    }
    char *text = (char *)buffer->data;
    *buffer = (struct buffer){0};
    return text;
}

uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint64_t read_u64(const uint8_t *p) {
    return (uint64_t)read_u32(p) << 32 | read_u32(p + 4);
}

void hex_encode(char *out, const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * len] = 0;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(uint8_t *out, size_t len, const char *text) {
    if (strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
