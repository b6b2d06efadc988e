/* Why not LD_PRELOAD or malloc hooks: a program's own malloc is what the linker takes first, for the libraries, too. */
#include "tests/unit/own_malloc.h"

#include <stddef.h>

long own_malloc_countdown = -1;
long own_malloc_live;

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
bool own_malloc(void) {
    return false;
}
#else
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);
void free(void *p);
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void __libc_free(void *p);

bool own_malloc(void) {
    return true;
}

static bool failure_is_due(void) {
    return own_malloc_countdown >= 0 && own_malloc_countdown-- == 0;
}

static void *counted(void *p) {
    own_malloc_live += p != NULL;
    return p;
}

void *malloc(size_t size) {
    return failure_is_due() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t n, size_t size) {
    return failure_is_due() ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size) {
    if (failure_is_due())
        return NULL;
    void *moved = __libc_realloc(p, size);
    return p ? moved : counted(moved);
}

void free(void *p) {
    own_malloc_live -= p != NULL;
    __libc_free(p);
}
#endif
