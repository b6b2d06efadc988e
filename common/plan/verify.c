/* Why one function per document and no partial checks outside: the executor must not be able to hold a work order that
 * was only half believed. Signature first, parse after; then everything is tied together by digest: header -> root ->
 * work order -> gates and manifest. */
#include "common/plan/verify.h"

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

static int format_check(uint32_t format, const char *what, struct error *err) {
    return format == 1 ? 0 : error_set(err, -EBADMSG, "%s has format %u, this program knows 1", what, format);
}

int manifest_verify(const struct trust_anchors *anchors, struct bytes blob, struct arena *arena,
                    const struct manifest **outp, struct error *err) {
    struct bytes bytes;
    struct manifest *manifest;
    int r = anchors_check(anchors->release_keys, anchors->n_release_keys, anchors->release_threshold,
                          "release", err);
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
        r = format_check(charter->format, "charter", err);
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
        r = format_check(header->format, "plan header", err);
    if (r == 0)
        *outp = *header;
    return r;
}

/* ---- what a work order must hold in itself ---- */

static bool has_digest(const struct digest *digests, size_t n, const struct digest *wanted) {
    for (size_t i = 0; i < n; i++)
        if (digest_equal(&digests[i], wanted))
            return true;
    return false;
}

static int generations_check(const struct work_order *order, const struct digest *manifest,
                             struct error *err) {
    for (size_t i = 0; i < order->n_generations; i++) {
        const struct generation *generation = &order->generations[i];
        struct digest digest;
        int r = generation_digest(generation, &digest, err);
        if (r < 0)
            return r;
        if (!digest_equal(&digest, &generation->digest))
            return error_set(err, -EBADMSG, "generation %zu does not match its digest", i + 1);
        if (generation->has_manifest && !digest_equal(&generation->manifest, manifest))
            return error_set(err, -EBADMSG, "generation %zu names another release than the plan", i + 1);
        if (generation->render && strchr(generation->render->name, '/'))
            return error_set(err, -EBADMSG, "generation %zu: configuration name \"%s\" is not a plain name",
                             i + 1, generation->render->name);
    }
    return 0;
}

static int row_check(const struct work_order *order, const struct row *row, const struct digest *gates,
                     size_t n_gates, struct error *err) {
    if (row->generation > order->n_generations)
        return error_set(err, -EBADMSG, "%s names generation %u of %zu", primitive_text(row->primitive),
                         row->generation, order->n_generations);
    if (row->primitive == PRIMITIVE_RUN && (!row->command || row->command->n_arguments == 0))
        return error_set(err, -EBADMSG, "run has no command");
    if (row->primitive == PRIMITIVE_ASK && row->n_gates == 0)
        return error_set(err, -EBADMSG, "ask has no gate");
    for (size_t i = 0; i < row->n_gates; i++)
        if (!has_digest(gates, n_gates, &row->gates[i]))
            return error_set(err, -EBADMSG, "a gate that it asks was not sent with it");
    return 0;
}

static int step_check(const struct work_order *order, const struct step *step, const struct digest *gates,
                      size_t n_gates, struct error *err) {
    for (size_t i = 0; i < step->n_rows; i++) {
        int r = row_check(order, &step->rows[i], gates, n_gates, err);
        if (r < 0)
            return error_context(err, r, "step %s: row %zu", step->name, i + 1);
    }
    return 0;
}

static int order_check(const struct work_order *order, const struct digest *manifest,
                       const struct digest *gates, size_t n_gates, struct error *err) {
    int r = format_check(order->format, "work order", err);
    if (r == 0)
        r = generations_check(order, manifest, err);
    for (size_t i = 0; r == 0 && i < order->n_steps; i++) {
        r = step_check(order, &order->steps[i], gates, n_gates, err);
        for (size_t k = 0; r == 0 && k < i; k++)
            if (strcmp(order->steps[k].name, order->steps[i].name) == 0)
                r = error_set(err, -EBADMSG, "step %s stands twice", order->steps[i].name);
    }
    for (size_t i = 0; r == 0 && i < order->n_leases; i++)
        if (!work_order_step(order, order->leases[i].close_step))
            r = error_set(err, -EBADMSG, "lease %s names a step that is not there", order->leases[i].name);
    return r;
}

static int gates_decode(struct arena *arena, const struct bytes *bytes, size_t n, const struct gate **gatesp,
                        const struct digest **digestsp, struct error *err) {
    struct gate *gates = arena_array(arena, n, sizeof(*gates));
    struct digest *digests = arena_array(arena, n, sizeof(*digests));
    if (!gates || !digests)
        return error_set(err, -ENOMEM, "gates: out of memory");
    for (size_t i = 0; i < n; i++) {
        struct gate *gate;
        int r = codec_decode(&gate_codec, bytes[i], arena, &gate, err);
        if (r < 0)
            return error_context(err, r, "gate %zu", i + 1);
        gates[i] = *gate;
        digests[i] = digest_of(bytes[i]);
    }
    *gatesp = gates;
    *digestsp = digests;
    return 0;
}

/* ---- orders, on the node ---- */

static int bytes_list_copy(struct arena *arena, const struct bytes *from, size_t n,
                           const struct bytes **outp) {
    struct bytes *to = arena_array(arena, n, sizeof(*to));
    if (!to)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        to[i] = (struct bytes){arena_copy(arena, from[i].data, from[i].len), from[i].len};
        if (!to[i].data)
            return -ENOMEM;
    }
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
    if (strcmp(order->cluster, v->header.cluster) != 0 || order->serial != v->header.serial)
        return error_set(err, -EBADMSG, "work order and header name different plans");
    return 0;
}

static int manifest_belongs(const struct trust_anchors *anchors, struct bytes blob, struct verified_order *v,
                            struct error *err) {
    struct digest digest = digest_of(blob);
    if (!digest_equal(&digest, &v->header.manifest))
        return error_set(err, -EPERM, "the release manifest is not the one that the plan names");
    int r = manifest_verify(anchors, blob, v->arena, &v->manifest, err);
    if (r == 0 && strcmp(v->manifest->system, v->order->system) != 0)
        r = error_set(err, -EPERM, "the release is for %s, the member is %s", v->manifest->system,
                      v->order->system);
    return r;
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
    if (r == 0 && bytes_list_copy(v->arena, claim->gates, claim->n_gates, &v->gate_bytes) < 0)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = gates_decode(v->arena, v->gate_bytes, claim->n_gates, &v->gates, &v->gate_digests, err);
    if (r < 0)
        return r;
    v->n_gates = claim->n_gates;
    v->order_digest = digest_of(claim->work_order);
    v->epoch = claim->epoch;
    v->expires_s = claim->expires_s;
    v->step = work_order_step(v->order, claim->step);
    if (!v->step)
        return error_set(err, -EBADMSG, "the work order has no step \"%s\"", claim->step);
    return order_check(v->order, &v->header.manifest, v->gate_digests, v->n_gates, err);
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

static const struct gate *gate_find(const struct gate *gates, const struct digest *digests, size_t n,
                                    const struct digest *digest) {
    for (size_t i = 0; i < n; i++)
        if (digest_equal(&digests[i], digest))
            return &gates[i];
    return NULL;
}

const struct gate *verified_order_gate(const struct verified_order *order, const struct digest *digest) {
    return gate_find(order->gates, order->gate_digests, order->n_gates, digest);
}

/* ---- whole plans, for coordinator and signing operator ---- */

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

static int shape_check(const struct verified_plan *v, struct error *err) {
    int r = format_check(v->shape.format, "plan", err);
    for (size_t i = 0; r == 0 && i < v->shape.n_waves; i++) {
        const struct wave *wave = &v->shape.waves[i];
        if (wave->limit_count == 0)
            r = error_set(err, -EBADMSG, "wave %s has limit 0, expected at least 1", wave->name);
        for (size_t k = 0; r == 0 && k < wave->n_members; k++)
            if (wave->members[k] >= v->n_orders)
                r = error_set(err, -EBADMSG, "wave %s names work order %u of %zu", wave->name,
                              wave->members[k], v->n_orders);
    }
    for (size_t i = 0; r == 0 && i < v->shape.n_may_stop; i++)
        if (!has_digest(v->gate_digests, v->n_gates, &v->shape.may_stop[i]))
            r = error_set(err, -EBADMSG, "a may-stop gate is not in the plan");
    for (size_t i = 0; r == 0 && i < v->shape.n_recovered; i++)
        if (!has_digest(v->gate_digests, v->n_gates, &v->shape.recovered[i]))
            r = error_set(err, -EBADMSG, "a recovered gate is not in the plan");
    return r;
}

static int plan_orders(struct verified_plan *v, struct error *err) {
    size_t n = v->plan.n_work_orders;
    const struct work_order **orders = arena_array(v->arena, n, sizeof(*orders));
    if (!orders)
        return error_set(err, -ENOMEM, "out of memory");
    v->orders = orders;
    v->n_orders = n;
    for (size_t i = 0; i < n; i++) {
        struct work_order *order;
        int r = codec_decode(&work_order_codec, v->plan.work_orders[i], v->arena, &order, err);
        if (r == 0)
            r = order_check(order, &v->header.manifest, v->gate_digests, v->n_gates, err);
        if (r == 0 && (strcmp(order->cluster, v->header.cluster) != 0 || order->serial != v->header.serial))
            r = error_set(err, -EBADMSG, "it names another plan");
        if (r < 0)
            return error_context(err, r, "work order %zu", i + 1);
        orders[i] = order;
    }
    return 0;
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
        r = format_check(header->format, "plan header", err);
    if (r < 0)
        return r;
    v->header = *header;
    v->digest = digest_of(blob.bytes);
    v->n_signatures = blob.n_signatures;
    struct error ignored;
    v->signed_by_enough =
        anchors->n_operators > 0 && anchors->operator_threshold > 0 &&
        signed_blob_verify(&blob, TRUST_OPERATOR_PLAN, anchors->operators, anchors->n_operators,
                           anchors->operator_threshold, &ignored) == 0;
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
    struct digest root, manifest = digest_of(v->plan.manifest);
    if (r == 0 && plan_root(&v->plan, &root) < 0)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0 && (v->header.n_leaves != v->plan.n_work_orders + 1 || !digest_equal(&root, &v->header.root)))
        r = error_set(err, -EBADMSG, "its content is not what its header signs");
    if (r == 0 && !digest_equal(&manifest, &v->header.manifest))
        r = error_set(err, -EBADMSG, "its release manifest is not the one that its header names");
    if (r == 0)
        r = manifest_verify(anchors, v->plan.manifest, v->arena, &v->manifest, err);
    if (r == 0)
        r = gates_decode(v->arena, v->plan.gates, v->plan.n_gates, &v->gates, &v->gate_digests, err);
    v->n_gates = v->plan.n_gates;
    if (r == 0)
        r = plan_orders(v, err);
    struct shape *shape;
    if (r == 0)
        r = codec_decode(&shape_codec, v->plan.shape, v->arena, &shape, err);
    if (r < 0)
        return r;
    v->shape = *shape;
    return shape_check(v, err);
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

const struct gate *verified_plan_gate(const struct verified_plan *plan, const struct digest *digest) {
    return gate_find(plan->gates, plan->gate_digests, plan->n_gates, digest);
}
