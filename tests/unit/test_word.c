/* Every refusal is made by changing one thing of a word that passes: a refusal for another reason would show. */
#include "common/plan/word.h"
#include "tests/unit/plan_fixture.h"
#include "tests/unit/test.h"

#include "common/plan/encoding.h"

enum { NOW = 1800000000 };

struct fixture {
    struct key_pair operators[3];
    struct public_key keys[3];
    struct trust_anchors anchors;
    struct word word;
    struct buffer blob;
    struct arena *arena;
};

static void fixture_init(struct fixture *f) {
    *f = (struct fixture){.arena = arena_new(1 << 20)};
    for (size_t i = 0; i < 3; i++) {
        key_pair_generate(&f->operators[i]);
        f->keys[i] = f->operators[i].public;
    }
    f->anchors = (struct trust_anchors){.operators = f->keys, .n_operators = 2, .operator_threshold = 1};
    f->word = (struct word){.format = 1,
                            .kind = WORD_WAIVE,
                            .cluster = "bk",
                            .serial = 4,
                            .member = "bk/bookie@n1",
                            .gate = "in-sync",
                            .reason = "its ledger is known",
                            .author = "lena",
                            .created_s = NOW - 10,
                            .expires_s = NOW + 1800};
}

static void fixture_deinit(struct fixture *f) {
    buffer_deinit(&f->blob);
    arena_free(f->arena);
}

/* Signed by the first `n` operators. */
static void sign_as(struct fixture *f, enum trust_context context, size_t n) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    struct error err = {""};
    if (codec_encode(&word_codec, &f->word, &bytes, &err) < 0) {
        test_fail(__FILE__, __LINE__, "%s", err.text);
        abort();
    }
    struct signed_blob blob = {.context = context, .bytes = buffer_bytes(&bytes)};
    for (size_t i = 0; i < n; i++)
        if (signed_blob_sign(&blob, &f->operators[i], &err) < 0)
            abort();
    buffer_clear(&f->blob);
    signed_blob_encode(&f->blob, &blob);
}

static int verify_at(struct fixture *f, uint64_t now_s, struct error *err) {
    const struct word *word = NULL;
    err->text[0] = 0;
    return word_verify(&f->anchors, buffer_bytes(&f->blob), now_s, f->arena, &word, err);
}

static int sign_and_verify(struct fixture *f, struct error *err) {
    sign_as(f, TRUST_OPERATOR_WORD, 1);
    return verify_at(f, NOW, err);
}

TEST("F06 a signed word is opened as it was written") {
    struct fixture f;
    struct error err = {""};
    const struct word *word = NULL;
    char text[256];
    fixture_init(&f);
    sign_as(&f, TRUST_OPERATOR_WORD, 1);
    check_eq_int(word_verify(&f.anchors, buffer_bytes(&f.blob), NOW, f.arena, &word, &err), 0);
    check_eq_str(err.text, "");
    require(word != NULL);
    check_eq_str(word->gate, "in-sync");
    check_eq_str(word->author, "lena");
    check_eq_int(word->serial, 4);
    word_text(word, text, sizeof(text));
    check_eq_str(text, "waive gate in-sync of bk/bookie@n1 in plan 4");
    fixture_deinit(&f);
}

TEST("A5 a plan's signature is no word, and a word's is no plan") {
    struct fixture f;
    struct plan_fixture p;
    struct error err = {""};
    struct verified_order *order = NULL;
    fixture_init(&f);
    for (enum trust_context context = TRUST_OPERATOR_CHARTER; context < TRUST_CONTEXT_END; context++) {
        if (context == TRUST_OPERATOR_WORD)
            continue;
        sign_as(&f, context, 1);
        check_eq_int(verify_at(&f, NOW, &err), -EKEYREJECTED);
    }

    plan_fixture_init(&p);
    plan_fixture_sign(&p);
    f.anchors.operators = p.anchors.operators;
    f.anchors.n_operators = p.anchors.n_operators;
    const struct word *word = NULL;
    check_eq_int(word_verify(&f.anchors, p.claim.header, NOW, f.arena, &word, &err), -EKEYREJECTED);

    struct signed_blob blob;
    _cleanup_(buffer_deinit) struct buffer other = {0};
    require(signed_blob_decode(&blob, p.claim.header, &err) == 0);
    blob.context = TRUST_OPERATOR_WORD;
    blob.n_signatures = 0;
    require(signed_blob_sign(&blob, &p.operator_key, &err) == 0);
    blob.context = TRUST_OPERATOR_PLAN; /* the envelope may say what it likes */
    signed_blob_encode(&other, &blob);
    p.claim.header = buffer_bytes(&other);
    check_eq_int(order_verify(&p.context, &p.claim, &order, &err), -EKEYREJECTED);
    verified_order_free(order);
    plan_fixture_deinit(&p);
    fixture_deinit(&f);
}

TEST("A15 as many operators as the anchors ask for, and only those") {
    struct fixture f;
    struct error err;
    fixture_init(&f);
    f.anchors.operator_threshold = 2;
    sign_as(&f, TRUST_OPERATOR_WORD, 1);
    check_eq_int(verify_at(&f, NOW, &err), -EKEYREJECTED);
    sign_as(&f, TRUST_OPERATOR_WORD, 2);
    check_eq_int(verify_at(&f, NOW, &err), 0);
    f.anchors.operators = &f.keys[1];
    check_eq_int(verify_at(&f, NOW, &err), -EKEYREJECTED); /* the second one's, and a stranger's */
    f.anchors.n_operators = 0;
    f.anchors.operators = NULL;
    check_eq_int(verify_at(&f, NOW, &err), -EPERM);
    fixture_deinit(&f);
}

TEST("A14 every flipped byte of a word is refused") {
    struct fixture f;
    struct error err;
    fixture_init(&f);
    sign_as(&f, TRUST_OPERATOR_WORD, 1);
    for (size_t i = 0; i < f.blob.len; i++) {
        f.blob.data[i] ^= 1;
        if (!check(verify_at(&f, NOW, &err) < 0))
            fprintf(stderr, "byte %zu\n", i);
        f.blob.data[i] ^= 1;
    }
    check_eq_int(verify_at(&f, NOW, &err), 0);
    fixture_deinit(&f);
}

TEST("F06 a word that makes no sense is refused, whoever signed it") {
    struct fixture f;
    struct error err;
    fixture_init(&f);
    const struct word good = f.word;
    check_eq_int(sign_and_verify(&f, &err), 0);

    f.word.gate = "";
    check_eq_int(sign_and_verify(&f, &err), -EBADMSG);
    check_contains(err.text, "names no gate");
    f.word = good;
    f.word.kind = WORD_SKIP;
    check_eq_int(sign_and_verify(&f, &err), -EBADMSG);
    check_contains(err.text, "names a gate");
    f.word = good;
    f.word.member = "other/bookie@n1";
    check_eq_int(sign_and_verify(&f, &err), -EBADMSG);
    f.word = good;
    f.word.serial = 0;
    check_eq_int(sign_and_verify(&f, &err), -EBADMSG);
    f.word = good;
    f.word.reason = "";
    check_eq_int(sign_and_verify(&f, &err), -EBADMSG);
    f.word = good;
    f.word.author = "";
    check_eq_int(sign_and_verify(&f, &err), -EBADMSG);
    f.word = good;
    f.word.expires_s = f.word.created_s;
    check_eq_int(sign_and_verify(&f, &err), -EBADMSG);
    f.word = good;
    f.word.expires_s = f.word.created_s + WORD_LIFE_S_MAX + 1;
    check_eq_int(sign_and_verify(&f, &err), -EBADMSG);
    check_contains(err.text, "at most");
    f.word = good;
    f.word.format = 0;
    check_eq_int(sign_and_verify(&f, &err), -EBADMSG);
    fixture_deinit(&f);
}

TEST("A8 an expired word is refused, but one that was accepted can be read again") {
    struct fixture f;
    struct error err;
    fixture_init(&f);
    sign_as(&f, TRUST_OPERATOR_WORD, 1);
    check_eq_int(verify_at(&f, NOW + 1800, &err), 0);
    check_eq_int(verify_at(&f, NOW + 1801, &err), -ESTALE);
    check_contains(err.text, "expired");
    check_eq_int(verify_at(&f, 0, &err), 0);
    fixture_deinit(&f);
}
