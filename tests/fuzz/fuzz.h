/* The one function of a fuzz target; libFuzzer calls it with bytes that it makes, corpus.c with those of
 * files. */
#ifndef KEDGE_TESTS_FUZZ_H
#define KEDGE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0; ends the process when something is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
