/* Why real signatures here: what is tested is the door itself, so nothing of it is switched off. */
#include "tests/unit/plan_fixture.h"

#include <assert.h>
#include <signal.h>

enum { NOW_S = 1800000000 };

void plan_fixture_init(struct plan_fixture *f) {
    *f = (struct plan_fixture){0};
    struct error err;
    if (trust_init(&err) < 0)
        abort();
    key_pair_generate(&f->operator_key);
    key_pair_generate(&f->release_key);
    key_pair_generate(&f->node_key);
    f->anchors = (struct trust_anchors){&f->operator_key.public, 1, 1, &f->release_key.public, 1, 1};

    f->probe =
        (struct probe){.kind = PROBE_HTTP, .target = "http://127.0.0.1:7101/health", .timeout_ms = 500};
    f->check = (struct check){
        .probe = f->probe, .rule = RULE_PRESENT, .otherwise = ANSWER_NO, .says = "does not answer"};
    f->gate = (struct gate){.name = "answers",
                            .scope = GATE_SCOPE_MEMBER,
                            .checks = &f->check,
                            .n_checks = 1,
                            .detection_ms = 600,
                            .evidence_age_ms = 1000};
    f->file = (struct release_file){
        .path = "bin/store", .size = 5, .mode = 0755, .digest = digest_of(bytes_of_text("hello"))};
    f->component = (struct component){.name = "store",
                                      .artifact = digest_of(bytes_of_text("archive")),
                                      .size = 7,
                                      .files = &f->file,
                                      .n_files = 1};
    f->manifest = (struct manifest){.format = 1,
                                    .system = "store",
                                    .version = "1.1.0",
                                    .serial = 2,
                                    .components = &f->component,
                                    .n_components = 1};
    f->rows[0] = (struct row){.primitive = PRIMITIVE_ASK, .deadline_ms = 1000, .n_gates = 1};
    f->rows[1] = (struct row){
        .primitive = PRIMITIVE_STOP, .deadline_ms = 1000, .signal = SIGTERM, .on_failure = ON_FAILURE_RETURN};
    f->rows[2] = (struct row){
        .primitive = PRIMITIVE_SWAP, .deadline_ms = 1000, .generation = 1, .on_failure = ON_FAILURE_RETURN};
    f->steps[0] = (struct step){.name = "switch", .verb = VERB_SWITCH, .rows = f->rows, .n_rows = 3};
    f->steps[1] = (struct step){.name = "return", .verb = VERB_REVERT, .rows = f->rows, .n_rows = 2};
    f->generation = (struct generation){.mode = MODE_READ_WRITE, .has_manifest = true, .version = "1.1.0"};
    f->order = (struct work_order){.format = 1,
                                   .cluster = "c",
                                   .serial = 7,
                                   .member = "c/store@n1",
                                   .role = "store",
                                   .node = "n1",
                                   .node_key = f->node_key.public,
                                   .domain = "",
                                   .system = "store",
                                   .self = "s1",
                                   .end_mode = MODE_READ_WRITE,
                                   .way_back = WAY_BACK_UNTIL_FINALIZE,
                                   .generations = &f->generation,
                                   .n_generations = 1,
                                   .steps = f->steps,
                                   .n_steps = 2,
                                   .from_version = "1.0.0",
                                   .to_version = "1.1.0"};
    f->wave = (struct wave){
        .name = "roll", .kind = WAVE_ROLLING, .members = &f->wave_member, .n_members = 1, .limit_count = 1};
    f->shape = (struct shape){.format = 1,
                              .strategy = "rolling",
                              .waves = &f->wave,
                              .n_waves = 1,
                              .n_may_stop = 1,
                              .point_of_no_return = ""};
    f->header = (struct header){.format = 1,
                                .cluster = "c",
                                .serial = 7,
                                .from_version = "1.0.0",
                                .to_version = "1.1.0",
                                .author = "alice",
                                .ticket = "",
                                .reason = "",
                                .created_s = NOW_S,
                                .not_after_s = NOW_S + 3600};
    f->context =
        (struct verify_context){.anchors = &f->anchors, .self = f->node_key.public, .now_s = NOW_S + 1};
}

static void encode(const struct codec_message *codec, const void *value, struct buffer *out) {
    struct error err;
    buffer_clear(out);
    if (codec_encode(codec, value, out, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

static void sign(enum trust_context context, const struct key_pair *key, struct bytes bytes,
                 struct buffer *out) {
    struct signed_blob blob = {.context = context, .bytes = bytes};
    struct error err;
    if (signed_blob_sign(&blob, key, &err) < 0)
        abort();
    buffer_clear(out);
    signed_blob_encode(out, &blob);
}

static void sign_document(const struct codec_message *codec, const void *value, enum trust_context context,
                          const struct key_pair *key, struct buffer *out) {
    struct buffer bytes = {0};
    encode(codec, value, &bytes);
    sign(context, key, buffer_bytes(&bytes), out);
    buffer_deinit(&bytes);
}

void plan_fixture_sign(struct plan_fixture *f) {
    struct error err;
    encode(&gate_codec, &f->gate, &f->gate_bytes);
    f->gate_view = buffer_bytes(&f->gate_bytes);
    f->gate_digest = digest_of(f->gate_view);
    f->rows[0].gates = &f->gate_digest;
    f->shape.may_stop = &f->gate_digest;
    sign_document(&manifest_codec, &f->manifest, TRUST_RELEASE_MANIFEST, &f->release_key, &f->manifest_blob);
    f->header.manifest = digest_of(buffer_bytes(&f->manifest_blob));
    f->generation.manifest = f->header.manifest;
    if (generation_digest(&f->generation, &f->generation.digest, &err) < 0)
        abort();
    encode(&work_order_codec, &f->order, &f->order_bytes);
    f->order_view = buffer_bytes(&f->order_bytes);
    encode(&shape_codec, &f->shape, &f->shape_bytes);
    struct digest leaves[2] = {merkle_leaf(buffer_bytes(&f->shape_bytes)), merkle_leaf(f->order_view)};
    struct digest scratch[2] = {leaves[0], leaves[1]};
    f->n_path = merkle_path(scratch, 2, 1, f->path);
    f->header.root = merkle_root(leaves, 2);
    f->header.n_leaves = 2;
    sign_document(&header_codec, &f->header, TRUST_OPERATOR_PLAN, &f->operator_key, &f->header_blob);
    f->claim = (struct order_claim){.header = buffer_bytes(&f->header_blob),
                                    .work_order = f->order_view,
                                    .leaf = 1,
                                    .path = f->path,
                                    .n_path = f->n_path,
                                    .gates = &f->gate_view,
                                    .n_gates = 1,
                                    .manifest = buffer_bytes(&f->manifest_blob),
                                    .step = "switch",
                                    .addressee = f->node_key.public,
                                    .expires_s = NOW_S + 60,
                                    .epoch = 1};
    struct plan plan = {.header = buffer_bytes(&f->header_blob),
                        .shape = buffer_bytes(&f->shape_bytes),
                        .work_orders = &f->order_view,
                        .n_work_orders = 1,
                        .gates = &f->gate_view,
                        .n_gates = 1,
                        .manifest = buffer_bytes(&f->manifest_blob)};
    encode(&plan_codec, &plan, &f->file_bytes);
}

void plan_fixture_deinit(struct plan_fixture *f) {
    buffer_deinit(&f->gate_bytes);
    buffer_deinit(&f->manifest_blob);
    buffer_deinit(&f->order_bytes);
    buffer_deinit(&f->shape_bytes);
    buffer_deinit(&f->header_blob);
    buffer_deinit(&f->file_bytes);
    key_pair_deinit(&f->operator_key);
    key_pair_deinit(&f->release_key);
    key_pair_deinit(&f->node_key);
}
