/* A malloc of the test program's own, which counts blocks and can fail: link own_malloc.c. Under a sanitizer, which brings its
 * own, nothing fails and nothing is counted. */
#ifndef KEDGE_TESTS_OWN_MALLOC_H
#define KEDGE_TESTS_OWN_MALLOC_H

#include <stdbool.h>

extern long
    own_malloc_countdown;    /* the allocation with this number from now on fails, 0 the next; -1: none */
extern long own_malloc_live; /* blocks that were not freed */

/* False under a sanitizer: such a test skips. */
bool own_malloc(void);

#endif
