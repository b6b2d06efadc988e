#include "common/base/file.h"
#include "common/trust/keys.h"
#include "tests/unit/test.h"

#include <sodium.h>
#include <sys/stat.h>

static char folder[] = "/tmp/kedge-test-trust.XXXXXX";

__attribute__((constructor)) static void begin(void) {
    struct error err;
    if (trust_init(&err) < 0 || !mkdtemp(folder))
        abort();
}

__attribute__((destructor)) static void end(void) {
    (void)!folder_remove(folder, NULL);
}

static const char *in_folder(const char *name) {
    static char path[4][256];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
    return p;
}

TEST("a digest has one spelling") {
    char text[KEDGE_DIGEST_TEXT_SIZE];
    struct digest digest = digest_of(bytes_of_text("abc")), back;

    digest_format(text, &digest);
    check_eq_str(text, "b2:bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    require(digest_parse(&back, text));
    check(digest_equal(&digest, &back));
    text[3] = 'B';
    check(!digest_parse(&back, text));
    check(!digest_parse(&back, "b2:bd"));
    check(!digest_parse(&back, ""));

    struct digest_state state;
    digest_init(&state);
    digest_update(&state, bytes_of_text("a"));
    digest_update(&state, bytes_of_text("bc"));
    back = digest_final(&state);
    check(digest_equal(&digest, &back));
    check(!digest_is_zero(&back));
}

TEST("a key pair survives its file") {
    _cleanup_(key_pair_deinit) struct key_pair pair, back;
    struct public_key public;
    struct error err;
    struct stat st;

    key_pair_generate(&pair);
    check_eq_int(key_pair_save(&pair, in_folder("alice"), "operator key of alice", NULL, &err), 0);
    require(stat(in_folder("alice"), &st) == 0);
    check_eq_int(st.st_mode & 07777, 0600);
    require(key_pair_load(&back, in_folder("alice"), NULL, NULL, &err) == 0);
    check_eq_mem(&back, &pair, sizeof(pair));
    require(public_key_load(&public, in_folder("alice.pub"), &err) == 0);
    check(public_key_equal(&public, &pair.public));

    check_eq_int(key_pair_save(&pair, in_folder("alice"), "x", NULL, &err), -EEXIST);
    check_contains(err.text, "never overwritten");
    check_eq_int(public_key_load(&public, in_folder("alice"), &err), -EBADMSG);
    check_contains(err.text, "its public half is");
    check_eq_int(key_pair_save(&pair, in_folder("two"), "two\nlines", NULL, &err), -EINVAL);
}

static int gives(void *user, const char *path, struct passphrase *out, struct error *err) {
    (void)path, (void)err;
    snprintf(out->text, sizeof(out->text), "%s", (const char *)user);
    return 0;
}

TEST("a key sealed with a passphrase opens with that one alone, and shows nothing of its seed") {
    _cleanup_(key_pair_deinit) struct key_pair pair, back;
    _cleanup_(buffer_deinit) struct buffer file = {0};
    struct passphrase passphrase = {"correct horse"};
    struct public_key public;
    char seed[2 * 32 + 1], wrong[] = "correct hors", right[] = "correct horse";
    struct error err;

    key_pair_generate(&pair);
    require(key_pair_save(&pair, in_folder("sealed"), "operator key of bob", &passphrase, &err) == 0);
    require(key_pair_load(&back, in_folder("sealed"), gives, right, &err) == 0);
    check_eq_mem(&back, &pair, sizeof(pair));
    check_eq_int(key_pair_load(&back, in_folder("sealed"), gives, wrong, &err), -EKEYREJECTED);
    check_contains(err.text, "this is not its passphrase");
    check_eq_int(key_pair_load(&back, in_folder("sealed"), NULL, NULL, &err), -EACCES);
    check_contains(err.text, "is sealed with a passphrase");
    check_eq_int(public_key_load(&public, in_folder("sealed"), &err), -EBADMSG);
    check_contains(err.text, "its public half is");

    require(file_read(in_folder("sealed"), 1024, &file, &err) == 0);
    hex_encode(seed, pair.secret.b, 32);
    check(strstr((const char *)file.data, seed) == NULL);
    char *digit = strstr((char *)file.data, "ed25519-sealed:") + 100; /* within the sealed seed */
    *digit = *digit == '0' ? '1' : '0';
    require(file_write(in_folder("sealed"), buffer_bytes(&file), 0600, &err) == 0);
    check_eq_int(key_pair_load(&back, in_folder("sealed"), gives, right, &err), -EKEYREJECTED);
}

TEST("a secret key that others may read is refused") {
    _cleanup_(key_pair_deinit) struct key_pair pair;
    struct error err;

    key_pair_generate(&pair);
    require(key_pair_save(&pair, in_folder("open"), "operator key", NULL, &err) == 0);
    require(chmod(in_folder("open"), 0640) == 0);
    check_eq_int(key_pair_load(&pair, in_folder("open"), NULL, NULL, &err), -EPERM);
    check_contains(err.text, "chmod 600");
    check_contains(err.text, "open");
}

TEST("a damaged key file is refused") {
    static const char *const texts[] = {
        "",
        "#\n",
        "# x\n",
        "# x\ned25519-secret:00\n",
        "# x\n\n",
        "ed25519-secret:0000000000000000000000000000000000000000000000000000000000000000\n",
        "# x\ned25519-secret:0000000000000000000000000000000000000000000000000000000000000000",
        "# x\ned25519-secret:0000000000000000000000000000000000000000000000000000000000000000\nmore\n"};
    _cleanup_(key_pair_deinit) struct key_pair pair;
    struct error err;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        require(file_write(in_folder("bad"), bytes_of_text(texts[i]), 0600, &err) == 0);
        check_eq_int(key_pair_load(&pair, in_folder("bad"), NULL, NULL, &err), -EBADMSG);
    }
    check_eq_int(key_pair_load(&pair, in_folder("none"), NULL, NULL, &err), -ENOENT);
}

TEST("A5 every context refuses the signatures of every other") {
    _cleanup_(key_pair_deinit) struct key_pair pair;
    struct bytes text = bytes_of_text("the same bytes");

    key_pair_generate(&pair);
    for (unsigned a = 1; a < TRUST_CONTEXT_END; a++) {
        struct signature s = sign_detached((enum trust_context)a, text, &pair);
        require(trust_context_tag(a) != NULL);
        for (unsigned b = 0; b <= TRUST_CONTEXT_END; b++)
            check(verify_detached((enum trust_context)b, text, &pair.public, &s) == (a == b));
        for (unsigned b = 1; b < a; b++)
            check(strcmp(trust_context_tag(a), trust_context_tag(b)) != 0);
    }
}

TEST("A1 a flipped bit in text, key or signature is refused") {
    _cleanup_(key_pair_deinit) struct key_pair pair;
    uint8_t text[] = "switch n3 to 4.5.1";

    key_pair_generate(&pair);
    struct signature s = sign_detached(TRUST_OPERATOR_PLAN, BYTES_OF(text), &pair);
    for (size_t bit = 0; bit < 8 * sizeof(text); bit++) {
        text[bit / 8] ^= (uint8_t)(1 << bit % 8);
        check(!verify_detached(TRUST_OPERATOR_PLAN, BYTES_OF(text), &pair.public, &s));
        text[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof(s.b); bit++) {
        s.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        check(!verify_detached(TRUST_OPERATOR_PLAN, BYTES_OF(text), &pair.public, &s));
        s.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof(pair.public.b); bit++) {
        struct public_key other = pair.public;
        other.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        check(!verify_detached(TRUST_OPERATOR_PLAN, BYTES_OF(text), &other, &s));
    }
    check(verify_detached(TRUST_OPERATOR_PLAN, BYTES_OF(text), &pair.public, &s));
}

/* Under such a key one signature fits many texts: R = B·0, S = 0. */
TEST("A25 keys of small order are refused") {
    static const char *const keys[] = {"0000000000000000000000000000000000000000000000000000000000000000",
                                       "0100000000000000000000000000000000000000000000000000000000000000",
                                       "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                                       "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
                                       "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                       "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                       "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};
    struct signature s = {{1}};
    struct public_key key;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        require(hex_decode(key.b, sizeof(key.b), keys[i]));
        for (uint8_t n = 0; n < 64; n++)
            check(!verify_detached(TRUST_OPERATOR_PLAN, (struct bytes){&n, 1}, &key, &s));
    }
}

TEST("A25 a signature with S + L is refused") {
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    _cleanup_(key_pair_deinit) struct key_pair pair;
    struct bytes text = bytes_of_text("x");

    key_pair_generate(&pair);
    struct signature s = sign_detached(TRUST_OPERATOR_PLAN, text, &pair);
    sodium_add(s.b + 32, order, sizeof(order));
    check(!verify_detached(TRUST_OPERATOR_PLAN, text, &pair.public, &s));
}

TEST("A15 a threshold counts keys, not signatures") {
    _cleanup_(key_pair_deinit) struct key_pair a, b, stranger;
    key_pair_generate(&a);
    key_pair_generate(&b);
    key_pair_generate(&stranger);
    struct public_key known[] = {a.public, b.public, a.public};
    struct signed_blob blob = {.context = TRUST_OPERATOR_PLAN, .bytes = bytes_of_text("header")};
    struct error err;

    check_eq_int(signed_blob_verify(&blob, TRUST_OPERATOR_PLAN, known, 3, 1, &err), -EKEYREJECTED);
    require(signed_blob_sign(&blob, &a, &err) == 0);
    check_eq_int(signed_blob_verify(&blob, TRUST_OPERATOR_PLAN, known, 3, 1, &err), 0);
    check_eq_int(signed_blob_verify(&blob, TRUST_OPERATOR_PLAN, known, 3, 2, &err), -EKEYREJECTED);
    check_contains(err.text, "1 of 2");
    check_eq_int(signed_blob_sign(&blob, &a, &err), -EEXIST);

    blob.signatures[blob.n_signatures++] = blob.signatures[0]; /* the same key again */
    check_eq_int(signed_blob_verify(&blob, TRUST_OPERATOR_PLAN, known, 3, 2, &err), -EKEYREJECTED);
    require(signed_blob_sign(&blob, &stranger, &err) == 0);
    check_eq_int(signed_blob_verify(&blob, TRUST_OPERATOR_PLAN, known, 3, 2, &err), -EKEYREJECTED);
    require(signed_blob_sign(&blob, &b, &err) == 0);
    check_eq_int(signed_blob_verify(&blob, TRUST_OPERATOR_PLAN, known, 3, 2, &err), 0);
    check_eq_int(signed_blob_verify(&blob, TRUST_OPERATOR_CHARTER, known, 3, 2, &err), -EKEYREJECTED);
    check_contains(err.text, "signed as operator/plan");

    blob.signatures[0].signature.b[5] ^= 1;
    check_eq_int(signed_blob_verify(&blob, TRUST_OPERATOR_PLAN, known, 3, 1, &err), -EKEYREJECTED);
}

TEST("a signed file is decoded strictly") {
    _cleanup_(key_pair_deinit) struct key_pair a;
    _cleanup_(buffer_deinit) struct buffer file = {0}, again = {0};
    struct error err;

    key_pair_generate(&a);
    struct signed_blob blob = {.context = TRUST_RELEASE_MANIFEST, .bytes = bytes_of_text("manifest")}, back;
    require(signed_blob_sign(&blob, &a, &err) == 0);
    signed_blob_encode(&file, &blob);
    require(signed_blob_decode(&back, buffer_bytes(&file), &err) == 0);
    check(bytes_equal(back.bytes, blob.bytes));
    check_eq_int(signed_blob_verify(&back, TRUST_RELEASE_MANIFEST, &a.public, 1, 1, &err), 0);
    signed_blob_encode(&again, &back);
    check(bytes_equal(buffer_bytes(&file), buffer_bytes(&again)));

    for (size_t len = 0; len < file.len; len++)
        check_eq_int(signed_blob_decode(&back, (struct bytes){file.data, len}, &err), -EBADMSG);
    for (size_t i = 0; i < file.len; i++) { /* A1 */
        file.data[i] ^= 0x80;
        int r = signed_blob_decode(&back, buffer_bytes(&file), &err);
        check(r < 0 || signed_blob_verify(&back, TRUST_RELEASE_MANIFEST, &a.public, 1, 1, &err) < 0);
        file.data[i] ^= 0x80;
    }
    buffer_append(&file, "", 1);
    check_eq_int(signed_blob_decode(&back, buffer_bytes(&file), &err), -EBADMSG);
}

TEST("a public key has one spelling, and a fingerprint for people") {
    _cleanup_(key_pair_deinit) struct key_pair pair;
    char text[KEDGE_PUBLIC_KEY_TEXT_SIZE], fingerprint[KEDGE_FINGERPRINT_TEXT_SIZE];
    struct public_key back;

    key_pair_generate(&pair);
    public_key_format(text, &pair.public);
    require(public_key_parse(&back, text));
    check(public_key_equal(&pair.public, &back));
    text[0] = 'E';
    check(!public_key_parse(&back, text));
    public_key_fingerprint(fingerprint, &pair.public);
    check_eq_int(strlen(fingerprint), 39);
    check(fingerprint[4] == '-' && fingerprint[34] == '-');
}
