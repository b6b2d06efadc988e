/* A capped arena: everything that one decoded document, plan or request needs, freed as a whole.
 * What a peer makes us allocate is charged to its arena; past the cap, allocation returns NULL. */
#ifndef KEDGE_BASE_ARENA_H
#define KEDGE_BASE_ARENA_H

#include "common/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

struct arena;

/* `cap` in bytes, the most that may be allocated in all. NULL when memory is out. */
struct arena *arena_new(size_t cap) _must_check_;

/* Frees the arena and all that lies in it; accepts NULL, returns NULL. */
struct arena *arena_free(struct arena *arena);
static inline void arena_freep(struct arena **arena) {
    *arena = arena_free(*arena);
}

/* Zeroed, aligned to 16 bytes; NULL past the cap or when memory is out. */
void *arena_alloc(struct arena *arena, size_t size) _must_check_;

/* n items of `size` bytes, overflow checked. A request for no items returns a non-NULL pointer. */
void *arena_array(struct arena *arena, size_t n, size_t size) _must_check_;

/* Copies of `len` bytes; text gets a terminating NUL. */
void *arena_copy(struct arena *arena, const void *data, size_t len) _must_check_;
char *arena_text(struct arena *arena, const char *text) _must_check_;
char *arena_text_n(struct arena *arena, const char *text, size_t len) _must_check_;
char *arena_format(struct arena *arena, const char *format, ...) _must_check_ _printf_(2, 3);

/* Bytes handed out so far. */
size_t arena_used(const struct arena *arena);

#endif
