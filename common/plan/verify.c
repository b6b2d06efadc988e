/* Why one function per document and no partial checks outside: the executor must not be able to hold a work order that
 * was only half believed. Signature first, parse after; then everything is tied together by digest: header -> root ->
 * work order -> gates and manifest. */
#include "common/plan/verify.h"

#include "common/plan/check.h"
#include "common/plan/encoding.h"
#include "common/plan/merkle.h"

#include <string.h>

/* ---- signed documents ---- */

static int anchors_check(const struct public_key *keys, size_t n, size_t threshold, const char *what,
                         struct error *err) {
    if (!keys || n == 0 || threshold == 0 || threshold > n)
        return error_set(err, -EPERM, "no %s keys are trusted here (%zu keys, %zu needed)", what, n,
                         threshold);
    return 0;
}

static int open_signed(struct bytes blob, enum trust_context context, const struct public_key *keys,
                       size_t n_keys, size_t threshold, struct bytes *outp, struct error *err) {
    struct signed_blob signed_blob;
    int r = signed_blob_decode(&signed_blob, blob, err);
    if (r == 0)
        r = signed_blob_verify(&signed_blob, context, keys, n_keys, threshold, err);
    if (r == 0)
        *outp = signed_blob.bytes;
    return r;
}

int manifest_verify(const struct trust_anchors *anchors, struct bytes blob, struct arena *arena,
                    const struct manifest **outp, struct error *err) {
    struct bytes bytes;
    struct manifest *manifest;
    int r = anchors_check(anchors->release_keys, anchors->n_release_keys, anchors->release_threshold,
                          "release", err);
    if (r == 0 && blob.len > KEDGE_MANIFEST_BYTES_MAX)
        r = error_set(err, -EBADMSG, "%zu bytes, at most %d can travel with an order", blob.len,
                      KEDGE_MANIFEST_BYTES_MAX);
    if (r == 0)
        r = open_signed(blob, TRUST_RELEASE_MANIFEST, anchors->release_keys, anchors->n_release_keys,
                        anchors->release_threshold, &bytes, err);
    if (r == 0)
        r = codec_decode(&manifest_codec, bytes, arena, &manifest, err);
    if (r == 0)
        r = manifest_check(manifest, err);
    if (r < 0)
        return error_context(err, r, "release manifest");
    *outp = manifest;
    return 0;
}

static bool roster_has(const struct charter *charter, const struct public_key *key) {
    for (size_t i = 0; i < charter->n_roster; i++)
        if (public_key_equal(&charter->roster[i].key, key))
            return true;
    return false;
}

static int charter_judge(const struct charter *charter, struct error *err) {
    _cleanup_(arena_freep) struct arena *scratch = arena_new(KEDGE_CONTROL_BYTES_MAX);
    return scratch ? charter_check(charter, scratch, err) : error_set(err, -ENOMEM, "out of memory");
}

int charter_verify(const struct trust_anchors *anchors, const struct public_key *self, struct bytes blob,
                   struct arena *arena, const struct charter **outp, struct error *err) {
    struct bytes bytes;
    struct charter *charter;
    int r =
        anchors_check(anchors->operators, anchors->n_operators, anchors->operator_threshold, "operator", err);
    if (r == 0)
        r = open_signed(blob, TRUST_OPERATOR_CHARTER, anchors->operators, anchors->n_operators,
                        anchors->operator_threshold, &bytes, err);
    if (r == 0)
        r = codec_decode(&charter_codec, bytes, arena, &charter, err);
    if (r == 0)
        r = charter_judge(charter, err);
    if (r == 0 && self && !roster_has(charter, self))
        r = error_set(err, -EPERM, "cluster %s: this node's key is not in the roster", charter->cluster);
    if (r < 0)
        return error_context(err, r, "charter");
    *outp = charter;
    return 0;
}

static int open_header(const struct public_key *keys, size_t n_keys, size_t threshold, struct bytes blob,
                       struct arena *arena, struct header *outp, struct error *err) {
    struct bytes bytes;
    struct header *header;
    int r = open_signed(blob, TRUST_OPERATOR_PLAN, keys, n_keys, threshold, &bytes, err);
    if (r == 0)
        r = codec_decode(&header_codec, bytes, arena, &header, err);
    if (r == 0)
        r = header_check(header, err);
    if (r == 0)
        *outp = *header;
    return r;
}

/* ---- orders, on the node ---- */

static int bytes_list_copy(struct arena *arena, const struct bytes *from, size_t n, const struct bytes **outp,
                           struct error *err) {
    struct bytes *to = arena_array(arena, n, sizeof(*to));
    for (size_t i = 0; to && i < n; i++) {
        to[i] = (struct bytes){arena_copy(arena, from[i].data, from[i].len), from[i].len};
        if (!to[i].data)
            to = NULL;
    }
    if (!to)
        return error_set(err, -ENOMEM, "out of memory");
    *outp = to;
    return 0;
}

static int time_check(const struct verify_context *context, const struct order_claim *claim,
                      const struct header *header, struct error *err) {
    if (context->began)
        return 0;
    if (header->not_before_s > context->now_s)
        return error_set(err, -ESTALE,
                         "plan %s serial %llu may not begin before %llu, it is %llu (seconds since 1970)",
                         header->cluster, (unsigned long long)header->serial,
                         (unsigned long long)header->not_before_s, (unsigned long long)context->now_s);
    if (header->not_after_s < context->now_s || claim->expires_s < context->now_s)
        return error_set(
            err, -ESTALE,
            "plan %s serial %llu has expired; check this node's clock, or make and approve a new plan",
            header->cluster, (unsigned long long)header->serial);
    return 0;
}

static int order_belongs(const struct verify_context *context, const struct order_claim *claim,
                         const struct verified_order *v, struct error *err) {
    const struct work_order *order = v->order;
    struct digest leaf = merkle_leaf(claim->work_order);
    if (!public_key_equal(&claim->addressee, &context->self) ||
        !public_key_equal(&order->node_key, &context->self))
        return error_set(err, -EPERM, "it is addressed to node %s, not to this one", order->node);
    if (claim->leaf == 0 ||
        !merkle_check(leaf, claim->leaf, v->header.n_leaves, claim->path, claim->n_path, &v->header.root))
        return error_set(err, -EPERM, "the work order is not part of the plan that was signed");
    return 0;
}

static int manifest_belongs(const struct trust_anchors *anchors, struct bytes blob, struct verified_order *v,
                            struct error *err) {
    struct digest digest = digest_of(blob);
    if (!digest_equal(&digest, &v->header.manifest))
        return error_set(err, -EPERM, "the release manifest is not the one that the plan names");
    return manifest_verify(anchors, blob, v->arena, &v->manifest, err);
}

static int order_open(const struct verify_context *context, const struct order_claim *claim,
                      struct verified_order *v, struct error *err) {
    const struct trust_anchors *anchors = context->anchors;
    int r =
        anchors_check(anchors->operators, anchors->n_operators, anchors->operator_threshold, "operator", err);
    if (r == 0)
        r = open_header(anchors->operators, anchors->n_operators, anchors->operator_threshold, claim->header,
                        v->arena, &v->header, err);
    if (r < 0)
        return r;
    struct work_order *order;
    r = codec_decode(&work_order_codec, claim->work_order, v->arena, &order, err);
    v->order = r == 0 ? order : NULL;
    if (r == 0)
        r = order_belongs(context, claim, v, err);
    if (r == 0)
        r = time_check(context, claim, &v->header, err);
    if (r == 0)
        r = manifest_belongs(anchors, claim->manifest, v, err);
    const struct bytes *gate_bytes = NULL;
    if (r == 0)
        r = bytes_list_copy(v->arena, claim->gates, claim->n_gates, &gate_bytes, err);
    struct gate_set gates;
    if (r == 0)
        r = gate_set_open(&gates, v->arena, gate_bytes, claim->n_gates, err);
    if (r == 0)
        r = order_check(v->order, &(struct order_frame){&v->header, v->manifest, &gates}, err);
    if (r < 0)
        return r;
    v->gates = gates.gates;
    v->gate_bytes = gates.bytes;
    v->gate_digests = gates.digests;
    v->n_gates = gates.n;
    v->order_digest = digest_of(claim->work_order);
    v->epoch = claim->epoch;
    v->expires_s = claim->expires_s;
    v->step = work_order_step(v->order, claim->step);
    if (!v->step)
        return error_set(err, -EBADMSG, "the work order has no step \"%s\"", claim->step);
    r = outputs_open(claim->outputs, claim->n_outputs, &v->header, v->step, v->arena, &v->outputs,
                     &v->n_outputs, err);
    if (r < 0)
        return r;
    if (beside_copy(v->arena, &claim->beside, &v->beside) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

int order_verify(const struct verify_context *context, const struct order_claim *claim,
                 struct verified_order **outp, struct error *err) {
    _cleanup_(verified_order_freep) struct verified_order *v = calloc(1, sizeof(*v));
    if (v)
        v->arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX * 4);
    if (!v || !v->arena)
        return error_set(err, -ENOMEM, "order: out of memory");
    int r = order_open(context, claim, v, err);
    if (r < 0)
        return error_context(err, r, "order refused");
    *outp = TAKE(v);
    return 0;
}

struct verified_order *verified_order_free(struct verified_order *order) {
    if (order) {
        arena_free(order->arena);
        free(order);
    }
    return NULL;
}

const struct gate *verified_order_gate(const struct verified_order *v, const struct digest *digest) {
    return gate_set_find(&(struct gate_set){v->gates, v->gate_bytes, v->gate_digests, v->n_gates, NULL},
                         digest);
}

/* ---- whole plans, for coordinator and signing operator ---- */

/* Each with its end, so that no text moves from one to the next. */
int plan_diffs_digest(const char *const *diffs, size_t n, struct digest *outp) {
    _cleanup_(buffer_deinit) struct buffer all = {0};
    for (size_t i = 0; i < n; i++)
        buffer_append(&all, diffs[i], strlen(diffs[i]) + 1);
    if (all.failed)
        return -ENOMEM;
    *outp = digest_of(buffer_bytes(&all));
    return 0;
}

static int plan_diffs(const struct plan *plan, const struct shape *shape, struct error *err) {
    struct digest digest;
    if (!shape->has_diffs)
        return 0;
    if (plan_diffs_digest(plan->diffs, plan->n_diffs, &digest) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    if (!digest_equal(&digest, &shape->diffs))
        return error_set(err, -EBADMSG,
                         "the differences of configurations that it shows are not those that were signed");
    return 0;
}

static int plan_root(const struct plan *plan, struct digest *outp) {
    size_t n = plan->n_work_orders + 1;
    struct digest *leaves = calloc(n, sizeof(*leaves));
    if (!leaves)
        return -ENOMEM;
    leaves[0] = merkle_leaf(plan->shape);
    for (size_t i = 0; i < plan->n_work_orders; i++)
        leaves[i + 1] = merkle_leaf(plan->work_orders[i]);
    *outp = merkle_root(leaves, n);
    free(leaves);
    return 0;
}

static int plan_orders(struct verified_plan *v, const struct gate_set *gates, struct error *err) {
    const struct order_frame frame = {&v->header, v->manifest, gates};
    size_t n = v->plan.n_work_orders, beside = v->plan.header.len + v->plan.manifest.len;
    const struct work_order **orders = arena_array(v->arena, n, sizeof(*orders));
    if (!orders)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct work_order *order;
        int r = codec_decode(&work_order_codec, v->plan.work_orders[i], v->arena, &order, err);
        if (r == 0)
            r = order_check(order, &frame, err);
        if (r == 0)
            r = order_size_check(order, gates, beside + v->plan.work_orders[i].len, err);
        if (r < 0)
            return error_context(err, r, "work order %zu", i + 1);
        orders[i] = order;
    }
    v->orders = orders;
    v->n_orders = n;
    return 0;
}

/* That signatures lack is an answer; that there was no memory to look is none. */
static int signed_by_enough(const struct trust_anchors *anchors, const struct signed_blob *blob, bool *outp) {
    struct error ignored;
    int r = -EKEYREJECTED;
    if (anchors->n_operators > 0 && anchors->operator_threshold > 0)
        r = signed_blob_verify(blob, TRUST_OPERATOR_PLAN, anchors->operators, anchors->n_operators,
                               anchors->operator_threshold, &ignored);
    *outp = r == 0;
    return r == -ENOMEM ? r : 0;
}

static int plan_header(const struct trust_anchors *anchors, struct verified_plan *v, struct error *err) {
    struct signed_blob blob;
    int r = signed_blob_decode(&blob, v->plan.header, err);
    if (r == 0 && blob.context != TRUST_OPERATOR_PLAN)
        r = error_set(err, -EBADMSG, "the header is signed for another purpose");
    struct header *header;
    if (r == 0)
        r = codec_decode(&header_codec, blob.bytes, v->arena, &header, err);
    if (r == 0)
        r = header_check(header, err);
    if (r < 0)
        return r;
    v->header = *header;
    v->digest = digest_of(blob.bytes);
    v->n_signatures = blob.n_signatures;
    r = signed_by_enough(anchors, &blob, &v->signed_by_enough);
    return r < 0 ? error_set(err, r, "out of memory") : 0;
}

/* The parts are those that the header names. */
static int plan_parts(struct verified_plan *v, struct error *err) {
    struct digest root, manifest = digest_of(v->plan.manifest);
    int r = plan_root(&v->plan, &root);
    if (r < 0)
        return error_set(err, r, "out of memory");
    if (v->header.n_leaves != v->plan.n_work_orders + 1 || !digest_equal(&root, &v->header.root))
        return error_set(err, -EBADMSG, "its content is not what its header signs");
    if (!digest_equal(&manifest, &v->header.manifest))
        return error_set(err, -EBADMSG, "its release manifest is not the one that its header names");
    return 0;
}

/* Only those that something signed names: another one would be a text on the page that nobody signs. */
static int plan_gates(struct verified_plan *v, const struct gate_set *all, struct error *err) {
    struct gate *gates = arena_array(v->arena, all->n, sizeof(*gates));
    struct bytes *bytes = arena_array(v->arena, all->n, sizeof(*bytes));
    struct digest *digests = arena_array(v->arena, all->n, sizeof(*digests));
    if (!gates || !bytes || !digests)
        return error_set(err, -ENOMEM, "gates: out of memory");
    for (size_t i = 0; i < all->n; i++) {
        if (!all->named[i])
            continue;
        gates[v->n_gates] = all->gates[i];
        bytes[v->n_gates] = all->bytes[i];
        digests[v->n_gates++] = all->digests[i];
    }
    v->gates = gates;
    v->gate_bytes = bytes;
    v->gate_digests = digests;
    return 0;
}

static int plan_open(const struct trust_anchors *anchors, struct bytes file, struct verified_plan *v,
                     struct error *err) {
    struct plan *plan;
    int r = codec_decode(&plan_codec, file, v->arena, &plan, err);
    if (r < 0)
        return r;
    v->plan = *plan;
    r = plan_header(anchors, v, err);
    if (r == 0)
        r = plan_parts(v, err);
    if (r == 0)
        r = manifest_verify(anchors, v->plan.manifest, v->arena, &v->manifest, err);
    struct gate_set gates;
    if (r == 0)
        r = gate_set_open(&gates, v->arena, v->plan.gates, v->plan.n_gates, err);
    if (r == 0)
        r = plan_orders(v, &gates, err);
    struct shape *shape;
    if (r == 0)
        r = codec_decode(&shape_codec, v->plan.shape, v->arena, &shape, err);
    if (r == 0)
        r = shape_check(shape, v->orders, v->n_orders, &gates, err);
    if (r == 0)
        r = plan_diffs(&v->plan, shape, err);
    if (r < 0)
        return r;
    v->shape = *shape;
    return plan_gates(v, &gates, err);
}

int plan_verify(const struct trust_anchors *anchors, struct bytes file, struct verified_plan **outp,
                struct error *err) {
    _cleanup_(verified_plan_freep) struct verified_plan *v = calloc(1, sizeof(*v));
    if (v)
        v->arena = arena_new((size_t)KEDGE_CONTROL_BYTES_MAX * 8);
    if (!v || !v->arena)
        return error_set(err, -ENOMEM, "plan: out of memory");
    int r = plan_open(anchors, file, v, err);
    if (r < 0)
        return error_context(err, r, "plan");
    *outp = TAKE(v);
    return 0;
}

struct verified_plan *verified_plan_free(struct verified_plan *plan) {
    if (plan) {
        arena_free(plan->arena);
        free(plan);
    }
    return NULL;
}

const struct gate *verified_plan_gate(const struct verified_plan *v, const struct digest *digest) {
    return gate_set_find(&(struct gate_set){v->gates, NULL, v->gate_digests, v->n_gates, NULL}, digest);
}
