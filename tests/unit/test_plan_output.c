/* What a named action puts out is carried by the coordinator and made by nobody but the node that the signed plan names. */
#include "tests/unit/test.h"

#include "common/plan/encoding.h"
#include "common/plan/plan.h"
#include "common/trust/keys.h"

#include <string.h>

struct fixture {
    struct key_pair node, other;
    struct header header;
    struct output_use use;
    struct action_output output;
    struct arena *arena;
    struct buffer blob;
};

static void fixture_init(struct fixture *f) {
    struct error err;
    *f = (struct fixture){.arena = arena_new(64 * 1024)};
    if (trust_init(&err) < 0 || !f->arena)
        abort();
    key_pair_generate(&f->node);
    key_pair_generate(&f->other);
    f->header = (struct header){.cluster = "shop", .serial = 7, .root = {{1, 2, 3}}};
    f->use = (struct output_use){.member = "shop/store@n1",
                                 .key = f->node.public,
                                 .step = "act backup",
                                 .name = "path",
                                 .allowed = "/[a-z0-9/]+"};
    f->output = (struct action_output){.format = 1,
                                       .cluster = "shop",
                                       .serial = 7,
                                       .root = f->header.root,
                                       .member = "shop/store@n1",
                                       .step = "act backup",
                                       .name = "path",
                                       .value = "/backups/a1"};
}

static void fixture_deinit(struct fixture *f) {
    buffer_deinit(&f->blob);
    arena_free(f->arena);
    key_pair_deinit(&f->node);
    key_pair_deinit(&f->other);
}

static struct bytes signed_as(struct fixture *f, enum trust_context context, const struct key_pair *key) {
    struct error err;
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    buffer_deinit(&f->blob);
    f->blob = (struct buffer){0};
    if (codec_encode(&action_output_codec, &f->output, &bytes, &err) < 0)
        abort();
    struct signed_blob blob = {.context = context, .bytes = buffer_bytes(&bytes)};
    if (signed_blob_sign(&blob, key, &err) < 0)
        abort();
    signed_blob_encode(&f->blob, &blob);
    return buffer_bytes(&f->blob);
}

static int opened(struct fixture *f, struct bytes blob, struct error *err) {
    const char *value = NULL;
    int r = output_open(blob, &f->header, &f->use, f->arena, &value, err);
    if (r == 0)
        check_eq_str(value, f->output.value);
    return r;
}

TEST("F30 A14 an output is believed from the node that the plan names, for this plan, member, action and "
     "name") {
    struct fixture f;
    struct error err;
    fixture_init(&f);
    check_eq_int(opened(&f, signed_as(&f, TRUST_AGENT_REPORT, &f.node), &err), 0);
    check_eq_int(opened(&f, signed_as(&f, TRUST_AGENT_REPORT, &f.other), &err), -EKEYREJECTED);
    check_contains(err.text, "output path of act backup of shop/store@n1");
    check(opened(&f, signed_as(&f, TRUST_AGENT_FACTS, &f.node), &err) <
          0); /* A5: signed for something else */
    f.output.serial = 6;
    check_eq_int(opened(&f, signed_as(&f, TRUST_AGENT_REPORT, &f.node), &err), -EPERM);
    f.output.serial = 7;
    f.output.root.b[31] = 1; /* another plan of the same serial */
    check_eq_int(opened(&f, signed_as(&f, TRUST_AGENT_REPORT, &f.node), &err), -EPERM);
    f.output.root = f.header.root;
    const char **const parts[] = {&f.output.cluster, &f.output.member, &f.output.step, &f.output.name};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const char *kept = *parts[i];
        *parts[i] = "x";
        check_eq_int(opened(&f, signed_as(&f, TRUST_AGENT_REPORT, &f.node), &err), -EPERM);
        *parts[i] = kept;
    }
    fixture_deinit(&f);
}

TEST("A1 each byte of a signed output that is changed is one too many") {
    struct fixture f;
    struct error err;
    fixture_init(&f);
    struct bytes blob = signed_as(&f, TRUST_AGENT_REPORT, &f.node);
    for (size_t i = 0; i < blob.len; i++) {
        uint8_t *byte = (uint8_t *)(uintptr_t)&blob.data[i];
        *byte ^= 1;
        check(opened(&f, blob, &err) < 0);
        *byte ^= 1;
    }
    check_eq_int(opened(&f, blob, &err), 0);
    check(opened(&f, (struct bytes){blob.data, blob.len - 1}, &err) < 0);
    fixture_deinit(&f);
}

TEST("A32 a value is one word of printable characters and no option") {
    struct error err;
    char longest[KEDGE_OUTPUT_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[KEDGE_OUTPUT_MAX + 1] = 0;
    const char *const bad[] = {"", "-rf", " a", "a ", "a\nb", "a\tb", "a\x1b[1m", "\xc3\xa9", longest};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check(output_value_check(bad[i], &err) < 0);
    check_eq_int(output_value_check(longest + 1, &err), 0);
    check_eq_int(output_value_check("/backups/alluxio-backup-2026-01-31-12345.gz; $(x)", &err), 0);
}

TEST("F30 a step takes what its order brings, and is refused when something is missing") {
    struct fixture f;
    struct error err;
    fixture_init(&f);
    const struct argument words[] = {{.text = "/bin/restore"}, {.output = &f.use}};
    const struct command command = {.arguments = words, .n_arguments = 2};
    const struct row row = {.primitive = PRIMITIVE_RUN, .command = &command};
    const struct step step = {.name = "restore backup", .verb = VERB_BACK, .rows = &row, .n_rows = 1};
    const struct output_value *values;
    size_t n = 0;
    struct bytes blob = signed_as(&f, TRUST_AGENT_REPORT, &f.node);
    check_eq_int(outputs_open(&blob, 1, &f.header, &step, f.arena, &values, &n, &err), 0);
    require(n == 1);
    check_eq_str(values[0].value, "/backups/a1");
    check(values[0].use == &f.use);
    check_eq_int(outputs_open(NULL, 0, &f.header, &step, f.arena, &values, &n, &err), -EPERM);
    check_contains(err.text, "the order does not bring output path of act backup of shop/store@n1");
    blob = signed_as(&f, TRUST_AGENT_REPORT, &f.other);
    check_eq_int(outputs_open(&blob, 1, &f.header, &step, f.arena, &values, &n, &err), -EKEYREJECTED);
    fixture_deinit(&f);
}
