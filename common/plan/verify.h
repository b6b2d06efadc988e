/* The only door from bytes that came from outside to a work order that may be acted on. What passes has been signed
 * by enough operators, belongs to this node, carries a release signed by a release key, and hangs together by digest.
 * The executor's functions take a `struct verified_order`, and only this room can make one. */
#ifndef KEDGE_PLAN_VERIFY_H
#define KEDGE_PLAN_VERIFY_H

#include "common/base/arena.h"
#include "common/plan/charter.h"
#include "common/plan/output.h"
#include "common/plan/plan.h"
#include "common/plan/release.h"

/* Whom this side trusts. Borrowed pointers. */
struct trust_anchors {
    const struct public_key *operators;
    size_t n_operators;
    size_t operator_threshold; /* at least 1 */
    const struct public_key *release_keys;
    size_t n_release_keys;
    size_t release_threshold;
};

/* An order as it arrived, not yet believed. */
struct order_claim {
    struct bytes header; /* signed blob */
    struct bytes work_order;
    uint32_t leaf;
    const struct digest *path;
    size_t n_path;
    const struct bytes *gates;
    size_t n_gates;
    struct bytes manifest; /* signed blob */
    const char *step;
    struct public_key addressee;
    uint64_t expires_s;
    uint64_t epoch;
    const struct bytes *outputs; /* signed blobs, see common/plan/output.h */
    size_t n_outputs;
    struct beside beside; /* signed by nobody but the coordinator: it can only make an answer stricter */
};

/* What verification made of it; read-only, everything in `arena`. */
struct verified_order {
    struct arena *arena;
    struct header header;
    const struct work_order *order;
    const struct step *step;
    const struct manifest *manifest;
    const struct gate *gates; /* sorted by digest, as are gate_bytes and gate_digests */
    const struct bytes *gate_bytes;
    const struct digest *gate_digests;
    size_t n_gates;
    struct digest order_digest;
    uint64_t epoch, expires_s;
    const struct output_value *outputs; /* that the step's commands take, in their order */
    size_t n_outputs;
    struct beside beside;
};

/* What the agent knows for itself when it checks. */
struct verify_context {
    const struct trust_anchors *anchors;
    struct public_key self; /* the node's own key */
    uint64_t now_s;         /* seconds since 1970, never earlier than any signed time seen before */
    bool began;             /* this member's part of the plan has begun: expiry does not block going on */
};

/* 0 and *outp (free with verified_order_free; keeps nothing of the claim), or one sentence that says what was wrong and
 * what to do: -EKEYREJECTED (signatures), -EPERM (not for this node, not of this plan), -ESTALE (time), -EBADMSG (what it
 * says makes no sense, check.h), -ENOMEM. Nothing else makes the executor act.
 * Which serial, root and epoch were seen before is the caller's to compare, and that `began` is about this member of this
 * serial. */
int order_verify(const struct verify_context *context, const struct order_claim *claim,
                 struct verified_order **outp, struct error *err) _must_check_;
struct verified_order *verified_order_free(struct verified_order *order);
static inline void verified_order_freep(struct verified_order **order) {
    *order = verified_order_free(*order);
}

/* NULL when the digest is not among the order's gates. */
const struct gate *verified_order_gate(const struct verified_order *order, const struct digest *digest);

/* A charter: signed by enough operators, whole in itself (check.h) and naming `self` in its roster (self NULL: any). */
int charter_verify(const struct trust_anchors *anchors, const struct public_key *self, struct bytes blob,
                   struct arena *arena, const struct charter **outp, struct error *err) _must_check_;

/* A release manifest: signed by enough release keys, every path checked. */
int manifest_verify(const struct trust_anchors *anchors, struct bytes blob, struct arena *arena,
                    const struct manifest **outp, struct error *err) _must_check_;

/* A whole plan file, as the coordinator and the signing operator check it. signed_by_enough is false when the header
 * hangs together but still lacks signatures. */
struct verified_plan {
    struct arena *arena;
    struct header header;
    struct shape shape;
    const struct work_order *const *orders;
    size_t n_orders;
    const struct gate *gates; /* sorted by digest, as are gate_bytes and gate_digests */
    const struct bytes *gate_bytes;
    const struct digest *gate_digests;
    size_t n_gates;
    const struct manifest *manifest;
    struct plan plan;     /* the raw parts */
    struct digest digest; /* of the encoded header: what people compare */
    size_t n_signatures;
    bool signed_by_enough;
};

int plan_verify(const struct trust_anchors *anchors, struct bytes file, struct verified_plan **outp,
                struct error *err) _must_check_;
/* What the shape says of the diffs: they are read by those who sign, so they must not change between two of them.
 * -ENOMEM or 0. */
int plan_diffs_digest(const char *const *diffs, size_t n, struct digest *outp) _must_check_;
struct verified_plan *verified_plan_free(struct verified_plan *plan);
static inline void verified_plan_freep(struct verified_plan **plan) {
    *plan = verified_plan_free(*plan);
}
const struct gate *verified_plan_gate(const struct verified_plan *plan, const struct digest *digest);

#endif
