/* The arena of common/base with one allocation a piece, in place of the real one: so a sanitizer sees the first byte past
 * any piece, which lies within a block otherwise. */
#include "common/base/arena.h"

#include <stdarg.h>
#include <string.h>

struct piece {
    struct piece *next;
    void *data;
};

struct arena {
    struct piece *pieces;
    size_t cap, used;
};

struct arena *arena_new(size_t cap) {
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena)
        arena->cap = cap;
    return arena;
}

struct arena *arena_free(struct arena *arena) {
    while (arena && arena->pieces) {
        struct piece *next = arena->pieces->next;
        free(arena->pieces->data);
        free(arena->pieces);
        arena->pieces = next;
    }
    free(arena);
    return NULL;
}

void *arena_alloc(struct arena *arena, size_t size) {
    size_t charged = size / 16 * 16 + 16;
    if (size > arena->cap || charged > arena->cap - arena->used)
        return NULL;
    struct piece *piece = calloc(1, sizeof(*piece));
    void *data = piece ? calloc(1, size > 0 ? size : 1) : NULL;
    if (!data) {
        free(piece);
        return NULL;
    }
    *piece = (struct piece){arena->pieces, data};
    arena->pieces = piece;
    arena->used += charged;
    return data;
}

void *arena_array(struct arena *arena, size_t n, size_t size) {
    return size != 0 && n > SIZE_MAX / size ? NULL : arena_alloc(arena, n * size);
}

void *arena_copy(struct arena *arena, const void *data, size_t len) {
    void *p = arena_alloc(arena, len);
    if (p && len > 0)
        memcpy(p, data, len);
    return p;
}

char *arena_text_n(struct arena *arena, const char *text, size_t len) {
    char *p = len < SIZE_MAX ? arena_alloc(arena, len + 1) : NULL;
    if (p && len > 0)
        memcpy(p, text, len);
    return p;
}

char *arena_text(struct arena *arena, const char *text) {
    return arena_text_n(arena, text, strlen(text));
}

char *arena_format(struct arena *arena, const char *format, ...) {
    va_list ap;
    char *text = NULL, *copy = NULL;
    va_start(ap, format);
    int len = vasprintf(&text, format, ap);
    va_end(ap);
    if (len >= 0) {
        copy = arena_text(arena, text);
        free(text);
    }
    return copy;
}

size_t arena_used(const struct arena *arena) {
    return arena->used;
}
