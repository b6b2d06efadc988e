/* The one cleanup idiom: a variable names the function that frees it when its scope ends.
 * Ownership is given away with `TAKE(x)` just before `return 0`. */
#ifndef KEDGE_BASE_CLEANUP_H
#define KEDGE_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _must_check_ __attribute__((warn_unused_result))
#define _printf_(f, a) __attribute__((format(printf, f, a)))

/* Gives the pointer away and leaves NULL behind. */
#define TAKE(p)                                                                                              \
    ({                                                                                                       \
        __typeof__(p) take_ = (p);                                                                           \
        (p) = NULL;                                                                                          \
        take_;                                                                                               \
    })

/* Gives the descriptor away and leaves -1 behind. */
#define TAKE_FD(fd)                                                                                          \
    ({                                                                                                       \
        int take_fd_ = (fd);                                                                                 \
        (fd) = -1;                                                                                           \
        take_fd_;                                                                                            \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline void freep(void *p) {
    free(*(void **)p);
}

static inline void closep(int *fd) {
    if (*fd >= 0)
        close(*fd);
}

static inline void fclosep(FILE **f) {
    if (*f)
        fclose(*f);
}

#endif
