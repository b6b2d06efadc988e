/* Templates of a sample (common/plan/gate.h, struct sample): bytes with places that are filled per entry. */
#ifndef KEDGE_AGENT_PROBER_TEMPLATE_H
#define KEDGE_AGENT_PROBER_TEMPLATE_H

#include "common/base/bytes.h"

/* What the places stand for. */
struct places {
    uint64_t object, entry;
    const char *item;
};

enum template_use {
    TEMPLATE_BYTES,  /* as it stands; wild cards too */
    TEMPLATE_URL,    /* the item is percent-encoded, so that it stays one segment */
    TEMPLATE_PATTERN /* wild cards become one byte each, of which `any` holds 1 */
};

/* Appends the filled template to `out`; with TEMPLATE_PATTERN as many bytes to `any`: 1 where any byte will do. */
void sample_template_fill(struct bytes template, const struct places *places, enum template_use use,
                          struct buffer *out, struct buffer *any);

/* True when `text` begins with the pattern. */
bool sample_matches(struct bytes pattern, struct bytes any, struct bytes text);

#endif
