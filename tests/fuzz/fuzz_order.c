/* The first byte says which document of a small signed plan the rest replaces; it is signed anew, so that what is found
 * lies behind the signature: operators err, and release keys get lost. What passes the door is then read as a whole,
 * after everything that the caller gave is gone. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/plan_fixture.h"

#include <string.h>

/* Generations name the plan's release and their own digest, rows the gate that is sent: else nothing would get far. */
static void order_mend(const struct plan_fixture *f, struct work_order *order) {
    struct error err;
    for (size_t i = 0; i < order->n_generations; i++) {
        struct generation *generation = (struct generation *)(uintptr_t)&order->generations[i];
        generation->manifest = f->header.manifest;
        if (generation_digest(generation, &generation->digest, &err) < 0)
            abort();
    }
    for (size_t i = 0; i < order->n_steps; i++)
        for (size_t k = 0; k < order->steps[i].n_rows; k++)
            for (size_t g = 0; g < order->steps[i].rows[k].n_gates; g++)
                ((struct digest *)(uintptr_t)order->steps[i].rows[k].gates)[g] = f->gate_digest;
    order->cluster = f->header.cluster;
    order->serial = f->header.serial;
    order->node_key = f->node_key.public;
}

static void read_all(const struct codec_message *codec, const void *value) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    struct error err;
    if (codec_encode(codec, value, &bytes, &err) < 0)
        abort();
}

static void order_offer(struct plan_fixture *f) {
    struct verified_order *v = NULL;
    struct error err = {""};
    f->claim.step = f->order.n_steps > 0 ? f->order.steps[0].name : "";
    int r = order_verify(&f->context, &f->claim, &v, &err);
    if (r < 0 && strncmp(err.text, "order refused: ", 15) != 0)
        abort();
    for (struct buffer *const *b = (struct buffer *const[]){&f->order_bytes, &f->gate_bytes, &f->header_blob,
                                                            &f->manifest_blob, NULL};
         *b; b++)
        buffer_deinit(*b);
    if (r == 0) {
        read_all(&header_codec, &v->header);
        read_all(&work_order_codec, v->order);
        read_all(&manifest_codec, v->manifest);
        for (size_t i = 0; i < v->n_gates; i++)
            read_all(&gate_codec, &v->gates[i]);
    }
    verified_order_free(v);
}

static void plan_offer(const struct plan_fixture *f, struct bytes file) {
    struct verified_plan *v = NULL;
    struct error err = {""};
    if (plan_verify(&f->anchors, file, &v, &err) == 0)
        for (size_t i = 0; i < v->n_orders; i++)
            read_all(&work_order_codec, v->orders[i]);
    verified_plan_free(v);
}

static void charter_offer(const struct plan_fixture *f, struct bytes bytes) {
    struct signed_blob blob = {.context = TRUST_OPERATOR_CHARTER, .bytes = bytes};
    _cleanup_(buffer_deinit) struct buffer file = {0};
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    const struct charter *charter;
    struct error err = {""};
    if (signed_blob_sign(&blob, &f->operator_key, &err) < 0)
        abort();
    signed_blob_encode(&file, &blob);
    int r = charter_verify(&f->anchors, NULL, buffer_bytes(&file), arena, &charter, &err);
    buffer_deinit(&file);
    if (r == 0)
        read_all(&charter_codec, charter);
}

/* False when the bytes are not even that document. */
static bool replace(struct plan_fixture *f, unsigned which, struct bytes bytes, struct arena *arena) {
    static const struct codec_message *const codecs[] = {&work_order_codec, &gate_codec, &manifest_codec,
                                                         &header_codec, &shape_codec};
    struct error err;
    void *value;
    if (codec_decode(codecs[which], bytes, arena, &value, &err) < 0)
        return false;
    switch (which) {
    case 0:
        f->order = *(struct work_order *)value;
        order_mend(f, &f->order);
        break;
    case 1: f->gate = *(struct gate *)value; break;
    case 2: f->manifest = *(struct manifest *)value; break;
    case 3:
        f->header = *(struct header *)value;
        f->order.cluster = f->header.cluster;
        f->order.serial = f->header.serial;
        break;
    default:
        f->shape = *(struct shape *)value;
        f->shape.n_may_stop = 1; /* signing sets it to the one gate */
        break;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct bytes bytes = {data + 1, size - 1};
    unsigned which = data[0] % 7;
    struct plan_fixture f;
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    if (which == 5)
        plan_offer(&f, bytes);
    else if (which == 6)
        charter_offer(&f, bytes);
    else if (replace(&f, which, bytes, arena)) {
        plan_fixture_sign(&f);
        plan_offer(&f, buffer_bytes(&f.file_bytes));
        order_offer(&f);
    }
    plan_fixture_deinit(&f);
    return 0;
}
