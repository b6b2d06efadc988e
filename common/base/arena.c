/* Why blocks in a list and no realloc: pointers into an arena stay valid until it is freed, so our documents may point
 * into each other. Blocks grow with the arena, so a small document costs one allocation. */
#include "common/base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK_MIN = 4096, ALIGN = 16 };

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(ALIGN) unsigned char data[];
};

struct arena {
    struct block *blocks;
    size_t cap, used;
};

struct arena *arena_new(size_t cap) {
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena)
        arena->cap = cap;
    return arena;
}

struct arena *arena_free(struct arena *arena) {
    if (!arena)
        return NULL;
    while (arena->blocks) {
        struct block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    free(arena);
    return NULL;
}

static struct block *block_add(struct arena *arena, size_t need) {
    size_t size = arena->used < BLOCK_MIN ? BLOCK_MIN : arena->used;
    if (size > arena->cap - arena->used)
        size = arena->cap - arena->used; /* never more memory than may be handed out */
    if (size < need)
        size = need;
    struct block *block = calloc(1, sizeof(*block) + size);
    if (!block)
        return NULL;
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size) {
    assert(arena);
    if (size > arena->cap || size > SIZE_MAX - ALIGN)
        return NULL;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (size == 0)
        size = ALIGN;
    if (size > arena->cap - arena->used)
        return NULL;
    struct block *block = arena->blocks;
    if (!block || block->size - block->used < size)
        block = block_add(arena, size);
    if (!block)
        return NULL;
    void *p = block->data + block->used;
    block->used += size;
    arena->used += size;
    return p;
}

void *arena_array(struct arena *arena, size_t n, size_t size) {
    if (size != 0 && n > SIZE_MAX / size)
        return NULL;
    return arena_alloc(arena, n * size);
}

void *arena_copy(struct arena *arena, const void *data, size_t len) {
    void *p = arena_alloc(arena, len);
    if (p && len > 0)
        memcpy(p, data, len);
    return p;
}

char *arena_text_n(struct arena *arena, const char *text, size_t len) {
    if (len == SIZE_MAX)
        return NULL;
    char *p = arena_alloc(arena, len + 1);
    if (p && len > 0)
        memcpy(p, text, len);
    return p;
}

char *arena_text(struct arena *arena, const char *text) {
    return arena_text_n(arena, text, strlen(text));
}

char *arena_format(struct arena *arena, const char *format, ...) {
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *p = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
    if (p)
        vsnprintf(p, (size_t)len + 1, format, again);
    va_end(again);
    return p;
}

size_t arena_used(const struct arena *arena) {
    return arena->used;
}
