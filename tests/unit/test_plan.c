/* Why every refusal is made by changing one thing of a plan that passes: a refusal for another reason would show. */
#include "tests/unit/plan_fixture.h"
#include "tests/unit/test.h"

static int verify(struct plan_fixture *f, struct error *err) {
    struct verified_order *order = NULL;
    int r = order_verify(&f->context, &f->claim, &order, err);
    verified_order_free(order);
    return r;
}

TEST("F09 an order that operators signed is opened, with all that hangs on it") {
    struct plan_fixture f;
    struct error err = {0};
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    struct verified_order *order = NULL;
    check_eq_int(order_verify(&f.context, &f.claim, &order, &err), 0);
    check_eq_str(err.text, "");
    require(order != NULL);
    check_eq_str(order->step->name, "switch");
    check_eq_str(order->manifest->components[0].files[0].path, "bin/store");
    check(verified_order_gate(order, &f.gate_digest) != NULL);
    verified_order_free(order);
    plan_fixture_deinit(&f);
}

TEST("F09 a plan that another key signed is refused") {
    struct plan_fixture f;
    struct error err;
    plan_fixture_init(&f);
    struct key_pair stranger;
    key_pair_generate(&stranger);
    plan_fixture_sign(&f);
    f.anchors.operators = &stranger.public;
    check_eq_int(verify(&f, &err), -EKEYREJECTED);
    plan_fixture_deinit(&f);
}

TEST("A7 an order for another node is refused") {
    struct plan_fixture f;
    struct error err;
    struct key_pair other;
    plan_fixture_init(&f);
    key_pair_generate(&other);
    plan_fixture_sign(&f);
    f.context.self = other.public;
    check_eq_int(verify(&f, &err), -EPERM);
    check_contains(err.text, "addressed to node n1, not to this one");
    f.claim.addressee = other.public; /* the envelope may say what it likes */
    check_eq_int(verify(&f, &err), -EPERM);
    plan_fixture_deinit(&f);
}

TEST("A14 every flipped byte of work order, gate and manifest is refused") {
    struct plan_fixture f;
    struct error err;
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    struct buffer *parts[] = {&f.order_bytes, &f.gate_bytes, &f.manifest_blob, &f.header_blob};
    for (size_t p = 0; p < ARRAY_LEN(parts); p++)
        for (size_t i = 0; i < parts[p]->len; i++) {
            parts[p]->data[i] ^= 1;
            if (!check(verify(&f, &err) < 0))
                fprintf(stderr, "part %zu byte %zu\n", p, i);
            parts[p]->data[i] ^= 1;
        }
    check_eq_int(verify(&f, &err), 0);
    plan_fixture_deinit(&f);
}

TEST("A14 a release that only the coordinator would sign is refused") {
    struct plan_fixture f;
    struct error err;
    struct key_pair coordinator;
    plan_fixture_init(&f);
    key_pair_generate(&coordinator);
    plan_fixture_sign(&f);
    f.anchors.release_keys = &coordinator.public;
    check_eq_int(verify(&f, &err), -EKEYREJECTED);
    plan_fixture_deinit(&f);
}

TEST("A5 a plan signature is no charter signature") {
    struct plan_fixture f;
    struct error err;
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    const struct charter *charter;
    check(charter_verify(&f.anchors, NULL, buffer_bytes(&f.header_blob), arena, &charter, &err) < 0);
    const struct manifest *manifest;
    check(manifest_verify(&f.anchors, buffer_bytes(&f.header_blob), arena, &manifest, &err) < 0);
    plan_fixture_deinit(&f);
}

TEST("A8 an expired plan begins nothing, but what began may go on") {
    struct plan_fixture f;
    struct error err;
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    f.context.now_s = f.header.not_after_s + 1;
    check_eq_int(verify(&f, &err), -ESTALE);
    check_contains(err.text, "has expired");
    f.context.began = true;
    check_eq_int(verify(&f, &err), 0);
    plan_fixture_deinit(&f);
}

TEST("F25 a step, a gate or a generation that does not belong is refused") {
    struct plan_fixture f;
    struct error err;
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    f.claim.step = "format";
    check_eq_int(verify(&f, &err), -EBADMSG);
    f.claim.step = "switch";
    f.claim.n_gates = 0;
    check_eq_int(verify(&f, &err), -EBADMSG);
    check_contains(err.text, "gate that it asks was not sent");
    plan_fixture_sign(&f);
    f.rows[2].generation = 2;
    plan_fixture_sign(&f);
    check_eq_int(verify(&f, &err), -EBADMSG);
    check_contains(err.text, "names generation 2 of 1");
    plan_fixture_deinit(&f);
}

TEST("F25 a plan file is checked as a whole, signed or not") {
    struct plan_fixture f;
    struct error err = {0};
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    struct verified_plan *plan = NULL;
    check_eq_int(plan_verify(&f.anchors, buffer_bytes(&f.file_bytes), &plan, &err), 0);
    check_eq_str(err.text, "");
    require(plan != NULL);
    check(plan->signed_by_enough);
    check_eq_int(plan->n_orders, 1);
    verified_plan_free(TAKE(plan));
    struct key_pair stranger;
    key_pair_generate(&stranger);
    f.anchors.operators = &stranger.public;
    check_eq_int(plan_verify(&f.anchors, buffer_bytes(&f.file_bytes), &plan, &err), 0);
    require(plan != NULL);
    check(!plan->signed_by_enough);
    verified_plan_free(plan);
    plan_fixture_deinit(&f);
}

/* The signed plan of the fixture again, with other parts beside what is signed. */
static int verify_beside(struct plan_fixture *f, const char *const *diffs, size_t n_diffs,
                         const struct bytes *gates, size_t n_gates, struct verified_plan **outp,
                         struct error *err) {
    struct plan plan = {.header = buffer_bytes(&f->header_blob),
                        .shape = buffer_bytes(&f->shape_bytes),
                        .work_orders = &f->order_view,
                        .n_work_orders = 1,
                        .gates = gates,
                        .n_gates = n_gates,
                        .manifest = buffer_bytes(&f->manifest_blob),
                        .diffs = diffs,
                        .n_diffs = n_diffs};
    _cleanup_(buffer_deinit) struct buffer file = {0};
    int r = codec_encode(&plan_codec, &plan, &file, err);
    return r < 0 ? r : plan_verify(&f->anchors, buffer_bytes(&file), outp, err);
}

TEST("A47 what is shown of a plan is what was signed: differences of configurations, and gates") {
    static const char *const signed_diffs[] = {"-a = 1\n+a = 2\n"}, *const others[] = {"-a = 1\n+a = 3\n"};
    struct plan_fixture f;
    struct error err = {0};
    struct verified_plan *plan = NULL;
    plan_fixture_init(&f);
    f.shape.has_diffs = true;
    require(plan_diffs_digest(signed_diffs, 1, &f.shape.diffs) == 0);
    plan_fixture_sign(&f);
    check_eq_int(verify_beside(&f, others, 1, &f.gate_view, 1, &plan, &err), -EBADMSG);
    check_eq_int(verify_beside(&f, NULL, 0, &f.gate_view, 1, &plan, &err), -EBADMSG);
    check_eq_int(verify_beside(&f, signed_diffs, 1, &f.gate_view, 1, &plan, &err), 0);
    require(plan != NULL);
    verified_plan_free(TAKE(plan));

    /* A gate that nothing names is a text that nobody signs: it is not part of the plan. */
    struct gate gate = f.gate;
    gate.name = "anything-goes";
    _cleanup_(buffer_deinit) struct buffer encoded = {0};
    require(codec_encode(&gate_codec, &gate, &encoded, &err) == 0);
    struct bytes gates[] = {f.gate_view, buffer_bytes(&encoded)};
    struct digest digest = digest_of(gates[1]);
    check_eq_int(verify_beside(&f, signed_diffs, 1, gates, 2, &plan, &err), 0);
    require(plan != NULL);
    check_eq_int(plan->n_gates, 1);
    check(verified_plan_gate(plan, &f.gate_digest) != NULL);
    check(verified_plan_gate(plan, &digest) == NULL);
    verified_plan_free(plan);
    plan_fixture_deinit(&f);
}

TEST("documents are refused when they are not canonical") {
    struct plan_fixture f;
    struct error err;
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    struct gate *gate;
    _cleanup_(buffer_deinit) struct buffer twice = {0};
    buffer_append(&twice, f.gate_bytes.data, f.gate_bytes.len);
    check_eq_int(codec_decode(&gate_codec, buffer_bytes(&twice), arena, &gate, &err), 0);
    buffer_append(&twice, "\x28\x05", 2); /* the field detection_ms a second time */
    check_eq_int(codec_decode(&gate_codec, buffer_bytes(&twice), arena, &gate, &err), -EBADMSG);
    twice.len = f.gate_bytes.len;
    buffer_append(&twice, "\x78\x01", 2); /* field 15, unknown */
    check_eq_int(codec_decode(&gate_codec, buffer_bytes(&twice), arena, &gate, &err), -EBADMSG);
    check_contains(err.text, "unknown field 15");
    plan_fixture_deinit(&f);
}

TEST("a document costs no more than its arena") {
    struct plan_fixture f;
    struct error err;
    plan_fixture_init(&f);
    plan_fixture_sign(&f);
    struct plan *plan;
    for (size_t cap = 16; cap < 4096; cap += 64) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(cap);
        int r = codec_decode(&plan_codec, buffer_bytes(&f.file_bytes), arena, &plan, &err);
        check(r == 0 || r == -EBADMSG || r == -ENOMEM);
        check(arena_used(arena) <= cap);
    }
    plan_fixture_deinit(&f);
}

TEST("a Merkle path proves its own leaf and no other") {
    for (size_t n = 1; n <= 33; n++)
        for (size_t i = 0; i < n; i++) {
            struct digest leaves[33], scratch[33], path[KEDGE_MERKLE_DEPTH_MAX];
            for (size_t k = 0; k < n; k++)
                leaves[k] = merkle_leaf((struct bytes){(const uint8_t *)&k, sizeof(k)});
            memcpy(scratch, leaves, sizeof(leaves));
            struct digest root = merkle_root(scratch, n);
            memcpy(scratch, leaves, sizeof(leaves));
            size_t n_path = merkle_path(scratch, n, i, path);
            check(merkle_check(leaves[i], i, n, path, n_path, &root));
            if (n > 1)
                check(!merkle_check(leaves[(i + 1) % n], i, n, path, n_path, &root));
            check(!merkle_check(leaves[i], i, n, path, n_path + 1, &root));
            check(!merkle_check(leaves[i], n, n, path, n_path, &root));
        }
}

static struct verdict judge(enum check_rule rule, const char *const *values, size_t n_values, uint64_t count,
                            const char *const *items, size_t n_items) {
    struct check check = {.rule = rule,
                          .values = values,
                          .n_values = n_values,
                          .count = count,
                          .exclude_self = true,
                          .otherwise = ANSWER_NO,
                          .says = "{count} of them: {items}"};
    return check_judge(&check, items, n_items, "b1");
}

TEST("F01 rules leave the member itself out and name what blocks") {
    const char *items[] = {"b1", "b2", "b3"};
    check_eq_int(judge(RULE_AT_LEAST, NULL, 0, 2, items, 3).answer, ANSWER_YES);
    struct verdict no = judge(RULE_AT_LEAST, NULL, 0, 3, items, 3);
    check_eq_int(no.answer, ANSWER_NO);
    check_eq_str(no.reason, "2 of them: b2, b3");
    check_eq_int(judge(RULE_ABSENT, NULL, 0, 0, items, 1).answer, ANSWER_YES);
    check_eq_int(judge(RULE_ABSENT, NULL, 0, 0, items, 2).answer, ANSWER_NO);
    const char *known[] = {"b3"};
    no = judge(RULE_NONE_NEW, known, 1, 0, items, 3);
    check_eq_str(no.reason, "1 of them: b2");
    check_eq_int(judge(RULE_ALL_IN, items, 3, 0, items + 1, 2).answer, ANSWER_YES);
    check_eq_int(judge(RULE_ALL_IN, items, 3, 0, items + 2, 1).answer, ANSWER_NO);
    check_eq_int(judge(RULE_PRESENT, NULL, 0, 0, items, 1).answer, ANSWER_NO);
    check_eq_int(judge(RULE_EQUALS, items, 3, 0, items, 3).answer, ANSWER_YES);
    check_eq_int(judge(RULE_EQUALS, items, 3, 0, items, 2).answer, ANSWER_NO);
}

TEST("F01 who goes down together is left out together, and nobody's name turns a no into a yes") {
    const char *items[] = {"b1", "b2", "b3", "b4"}, *names[] = {"b2"};
    const struct beside nobody = {NULL, 0}, b2 = {names, 1};
    struct check check = {.rule = RULE_AT_LEAST,
                          .count = 3,
                          .exclude_self = true,
                          .otherwise = ANSWER_NO,
                          .says = "without them {count} are left: {items}"};
    check_eq_int(check_judge_beside(&check, items, 4, "b1", &nobody).answer, ANSWER_YES);
    struct verdict no = check_judge_beside(&check, items, 4, "b1", &b2);
    check_eq_int(no.answer, ANSWER_NO);
    check_eq_str(no.reason, "without them 2 are left: b3, b4");
    check.exclude_self = false;
    check_eq_int(check_judge_beside(&check, items, 4, "b1", &b2).answer, ANSWER_YES);
    check.exclude_self = true;
    check.rule = RULE_ABSENT;
    check_eq_int(check_judge(&check, items, 1, "b1").answer, ANSWER_YES);
    check_eq_int(check_judge_beside(&check, items, 2, "b1", &b2).answer, ANSWER_NO);
}

TEST("F01 a broken rule is never a yes, whatever the document says") {
    struct check check = {.rule = RULE_PRESENT, .otherwise = ANSWER_YES, .says = "x"};
    check_eq_int(check_judge(&check, NULL, 0, "").answer, ANSWER_UNKNOWN);
}

TEST("F01 no beats unknown beats yes, and all reasons of the answer stay") {
    struct verdict all = {ANSWER_YES, ""};
    struct verdict unknown = {ANSWER_UNKNOWN, "nobody watches"}, no = {ANSWER_NO, "ledger 7"},
                   other = {ANSWER_NO, "ledger 8"};
    verdict_join(&all, &unknown);
    check_eq_int(all.answer, ANSWER_UNKNOWN);
    verdict_join(&all, &no);
    verdict_join(&all, &unknown);
    verdict_join(&all, &other);
    check_eq_int(all.answer, ANSWER_NO);
    check_eq_str(all.reason, "ledger 7; ledger 8");
}

TEST("F01 a reason is cut where it is full, and says so") {
    char longer[600];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    const char *items[] = {"\x1b[2J", longer};
    struct verdict no = judge(RULE_ABSENT, NULL, 0, 0, items, 2);
    check(strncmp(no.reason, "2 of them: ?[2J, xxx", 20) == 0);
    check_eq_str(no.reason + strlen(no.reason) - 4, "x...");
    struct verdict all = no;
    verdict_join(&all, &no);
    check(strlen(all.reason) > 500 && strlen(all.reason) < sizeof(all.reason));
    check_eq_str(all.reason + strlen(all.reason) - 4, "x...");
}

TEST("A27 paths that lead outside are refused, plain ones are not") {
    const char *bad[] = {"",     "/etc/passwd", "../x", "a/../b", "a//b",     "a/",   "./a", "a/.",
                         "a\\b", "a b",         "a\nb", "a/b.",   "\xc3\xa9", "a/..", "..",  "."};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (!check(release_path_check(bad[i], NULL) < 0))
            fprintf(stderr, "accepted: %s\n", bad[i]);
    const char *good[] = {"lib/netty-4.1.12.jar", "bin/bookkeeper", "a/b/c/d_e+f", ".hidden", "x.y/z"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        check_eq_int(release_path_check(good[i], NULL), 0);
}

TEST("A28 links stay inside, and nothing lies below a link or a file") {
    check_eq_int(release_link_check("lib/a.so", "a.so.1", NULL), 0);
    check_eq_int(release_link_check("lib/a.so", "../other/a.so", NULL), 0);
    check(release_link_check("lib/a.so", "../../a.so", NULL) < 0);
    check(release_link_check("a", "/etc/passwd", NULL) < 0);
    check(release_link_check("a/b", "c/../../..", NULL) < 0);
    check(release_link_check("a/b", "..", NULL) < 0);
    check(release_link_check("a", "\x1b[2J", NULL) < 0);
    struct release_file files[] = {{.path = "a", .link = "b", .digest = digest_of(bytes_of_text("b"))},
                                   {.path = "a-b"},
                                   {.path = "a/x"}};
    struct component components[] = {{.name = "c", .files = files, .n_files = 3},
                                     {.name = "c", .files = files, .n_files = 2}};
    struct manifest manifest = {
        .format = 1, .system = "s", .version = "1", .components = components, .n_components = 1};
    struct error err;
    check_eq_int(manifest_check(&manifest, &err), -EBADMSG);
    check_contains(err.text, "\"a/x\" lies below the file \"a\"");
    components[0].n_files = 2;
    check_eq_int(manifest_check(&manifest, &err), 0);
    files[1].mode = 04755;
    check_eq_int(manifest_check(&manifest, &err), -EBADMSG);
    files[1].mode = 0755;
    files[0].digest.b[0] ^= 1;
    check_eq_int(manifest_check(&manifest, &err), -EBADMSG);
    check_contains(err.text, "link \"a\" does not match its digest");
    files[0].digest.b[0] ^= 1;
    manifest.n_components = 2;
    check_eq_int(manifest_check(&manifest, &err), -EBADMSG);
    check_contains(err.text, "component c stands twice");
}

TEST("A29 sizes of a release that wrap around a sum are refused") {
    struct release_file files[] = {{.path = "a", .size = 1ull << 32}, {.path = "b", .size = UINT64_MAX - 5}};
    struct component component = {.name = "c", .size = 7, .files = files, .n_files = 2};
    struct manifest manifest = {
        .format = 1, .system = "s", .version = "1", .components = &component, .n_components = 1};
    struct error err;
    check_eq_int(manifest_check(&manifest, &err), -EBADMSG);
    check_contains(err.text, "more than 8 GiB");
    files[1].size = 1ull << 31;
    check_eq_int(manifest_check(&manifest, &err), 0);
}
