/* Why one buffer per signature: Ed25519 reads its message twice, so tag and parts must lie together. The prehashed
 * variant would spare the copy and cost the guarantee that exactly the raw bytes are signed. */
#include "common/trust/verify.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static const char signed_prefix[] = "kedge/1/";
static const char digest_prefix[] = "b2:";
static const char key_prefix[] = "ed25519:";
static const char blob_magic[] = "kedge-signed-1\n";

enum {
    BLOB_MAGIC_LEN = sizeof(blob_magic) - 1,
    BLOB_HEADER_LEN = BLOB_MAGIC_LEN + 1 + 4 + 4,
    BLOB_SIGNATURE_LEN = KEDGE_PUBLIC_KEY_LEN + KEDGE_SIGNATURE_LEN,
};

_Static_assert(KEDGE_PUBLIC_KEY_LEN == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(KEDGE_SIGNATURE_LEN == crypto_sign_BYTES, "Ed25519");
_Static_assert(KEDGE_DIGEST_LEN == crypto_generichash_BYTES, "BLAKE2b-256");

/* ---- digests ---- */

struct digest digest_of(struct bytes bytes) {
    struct digest digest;
    crypto_generichash(digest.b, sizeof(digest.b), bytes.data, bytes.len, NULL, 0);
    return digest;
}

void digest_init(struct digest_state *state) {
    crypto_generichash_init(&state->state, NULL, 0, KEDGE_DIGEST_LEN);
}

void digest_update(struct digest_state *state, struct bytes bytes) {
    crypto_generichash_update(&state->state, bytes.data, bytes.len);
}

struct digest digest_final(struct digest_state *state) {
    struct digest digest;
    crypto_generichash_final(&state->state, digest.b, sizeof(digest.b));
    return digest;
}

/* Canonical text only: one value has one spelling, so texts can be compared. */
static bool hex_parse_after(uint8_t *out, size_t len, const char *prefix, const char *text) {
    size_t prefix_len = strlen(prefix);
    if (strncmp(text, prefix, prefix_len) != 0)
        return false;
    for (const char *c = text + prefix_len; *c; c++)
        if (*c >= 'A' && *c <= 'F')
            return false;
    return hex_decode(out, len, text + prefix_len);
}

void digest_format(char out[static KEDGE_DIGEST_TEXT_SIZE], const struct digest *digest) {
    memcpy(out, digest_prefix, sizeof(digest_prefix));
    hex_encode(out + sizeof(digest_prefix) - 1, digest->b, sizeof(digest->b));
}

bool digest_parse(struct digest *digest, const char *text) {
    return hex_parse_after(digest->b, sizeof(digest->b), digest_prefix, text);
}

bool digest_equal(const struct digest *a, const struct digest *b) {
    return sodium_memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool digest_is_zero(const struct digest *digest) {
    return sodium_is_zero(digest->b, sizeof(digest->b));
}

/* ---- public keys ---- */

void public_key_format(char out[static KEDGE_PUBLIC_KEY_TEXT_SIZE], const struct public_key *key) {
    memcpy(out, key_prefix, sizeof(key_prefix));
    hex_encode(out + sizeof(key_prefix) - 1, key->b, sizeof(key->b));
}

bool public_key_parse(struct public_key *key, const char *text) {
    return hex_parse_after(key->b, sizeof(key->b), key_prefix, text);
}

bool public_key_equal(const struct public_key *a, const struct public_key *b) {
    return sodium_memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

void public_key_fingerprint(char out[static KEDGE_FINGERPRINT_TEXT_SIZE], const struct public_key *key) {
    struct digest digest = digest_of(BYTES_OF(key->b));
    for (size_t group = 0; group < 8; group++) {
        hex_encode(out + 5 * group, digest.b + 2 * group, 2);
        out[5 * group + 4] = group < 7 ? '-' : 0;
    }
}

/* ---- contexts ---- */

static const char *const context_tags[TRUST_CONTEXT_END] = {
    [TRUST_OPERATOR_CHARTER] = "operator/charter",
    [TRUST_OPERATOR_PLAN] = "operator/plan",
    [TRUST_OPERATOR_WORD] = "operator/word",
    [TRUST_OPERATOR_TRUST] = "operator/trust",
    [TRUST_RELEASE_MANIFEST] = "release/manifest",
    [TRUST_COORDINATOR_CHALLENGE] = "coordinator/handshake-challenge",
    [TRUST_AGENT_AUTH] = "agent/handshake-auth",
    [TRUST_AGENT_REPORT] = "agent/signed-report",
    [TRUST_AGENT_FACTS] = "agent/signed-facts",
    [TRUST_COORDINATOR_ORDER] = "coordinator/signed-order",
};

const char *trust_context_tag(unsigned context) {
    return context < TRUST_CONTEXT_END ? context_tags[context] : NULL;
}

/* ---- signatures ---- */

void signed_bytes(struct buffer *out, const char *tag, const struct bytes *parts, size_t n_parts) {
    assert(strlen(tag) <= KEDGE_TAG_MAX);
    buffer_text(out, signed_prefix);
    buffer_append(out, tag, strlen(tag) + 1);
    for (size_t i = 0; i < n_parts; i++)
        buffer_append(out, parts[i].data, parts[i].len);
}

static bool signature_fits(const struct buffer *message, const struct public_key *key,
                           const struct signature *signature) {
    return crypto_sign_verify_detached(signature->b, message->data, message->len, key->b) == 0;
}

bool verify_tagged(const char *tag, const struct bytes *parts, size_t n_parts, const struct public_key *key,
                   const struct signature *signature) {
    _cleanup_(buffer_deinit) struct buffer message = {0};
    signed_bytes(&message, tag, parts, n_parts);
    return !message.failed && signature_fits(&message, key, signature);
}

bool verify_detached(enum trust_context context, struct bytes bytes, const struct public_key *key,
                     const struct signature *signature) {
    const char *tag = trust_context_tag(context);
    return tag && verify_tagged(tag, &bytes, 1, key, signature);
}

/* ---- signed blobs ---- */

void signed_blob_encode(struct buffer *out, const struct signed_blob *blob) {
    uint8_t context = (uint8_t)blob->context;
    assert(trust_context_tag(blob->context));
    assert(blob->bytes.len <= UINT32_MAX && blob->n_signatures <= KEDGE_SIGNATURES_MAX);
    buffer_append(out, blob_magic, BLOB_MAGIC_LEN);
    buffer_append(out, &context, 1);
    buffer_u32(out, (uint32_t)blob->bytes.len);
    buffer_u32(out, (uint32_t)blob->n_signatures);
    buffer_append(out, blob->bytes.data, blob->bytes.len);
    for (size_t i = 0; i < blob->n_signatures; i++) {
        buffer_append(out, blob->signatures[i].key.b, KEDGE_PUBLIC_KEY_LEN);
        buffer_append(out, blob->signatures[i].signature.b, KEDGE_SIGNATURE_LEN);
    }
}

int signed_blob_decode(struct signed_blob *blob, struct bytes file, struct error *err) {
    if (file.len < BLOB_HEADER_LEN || memcmp(file.data, blob_magic, BLOB_MAGIC_LEN) != 0)
        return error_set(err, -EBADMSG, "not a signed file of Kedge");
    unsigned context = file.data[BLOB_MAGIC_LEN];
    uint32_t len = read_u32(file.data + BLOB_MAGIC_LEN + 1);
    uint32_t n_signatures = read_u32(file.data + BLOB_MAGIC_LEN + 5);
    if (!trust_context_tag(context))
        return error_set(err, -EBADMSG, "signed file: unknown purpose %u", context);
    if (n_signatures > KEDGE_SIGNATURES_MAX)
        return error_set(err, -EBADMSG, "signed file: %u signatures, at most %d are allowed", n_signatures,
                         KEDGE_SIGNATURES_MAX);
    uint64_t want = (uint64_t)BLOB_HEADER_LEN + len + (uint64_t)n_signatures * BLOB_SIGNATURE_LEN;
    if (file.len != want)
        return error_set(err, -EBADMSG, "signed file: %zu bytes long, its header says %llu", file.len,
                         (unsigned long long)want);

    *blob = (struct signed_blob){.context = (enum trust_context)context,
                                 .bytes = {file.data + BLOB_HEADER_LEN, len},
                                 .n_signatures = n_signatures};
    const uint8_t *p = file.data + BLOB_HEADER_LEN + len;
    for (size_t i = 0; i < n_signatures; i++, p += BLOB_SIGNATURE_LEN) {
        memcpy(blob->signatures[i].key.b, p, KEDGE_PUBLIC_KEY_LEN);
        memcpy(blob->signatures[i].signature.b, p + KEDGE_PUBLIC_KEY_LEN, KEDGE_SIGNATURE_LEN);
    }
    return 0;
}

static bool is_listed(const struct public_key *key, const struct public_key *keys, size_t n_keys) {
    for (size_t i = 0; i < n_keys; i++)
        if (public_key_equal(key, &keys[i]))
            return true;
    return false;
}

/* True if an earlier signature of the blob is by the same key: one person counts once. */
static bool is_repeated(const struct signed_blob *blob, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (public_key_equal(&blob->signatures[i].key, &blob->signatures[index].key))
            return true;
    return false;
}

int signed_blob_verify(const struct signed_blob *blob, enum trust_context context,
                       const struct public_key *keys, size_t n_keys, size_t threshold, struct error *err) {
    const char *wanted = trust_context_tag(context), *found = trust_context_tag(blob->context);
    assert(threshold > 0 && wanted && found);
    if (blob->context != context)
        return error_set(err, -EKEYREJECTED, "signed as %s, not as %s", found, wanted);
    _cleanup_(buffer_deinit) struct buffer message = {0};
    signed_bytes(&message, wanted, &blob->bytes, 1);
    if (message.failed)
        return error_set(err, -ENOMEM, "out of memory");

    size_t n_valid = 0;
    for (size_t i = 0; i < blob->n_signatures; i++) {
        const struct key_signature *s = &blob->signatures[i];
        if (!is_listed(&s->key, keys, n_keys))
            continue;
        if (!signature_fits(&message, &s->key, &s->signature)) {
            char fingerprint[KEDGE_FINGERPRINT_TEXT_SIZE];
            public_key_fingerprint(fingerprint, &s->key);
            return error_set(err, -EKEYREJECTED, "the signature of key %s does not fit these bytes",
                             fingerprint);
        }
        if (!is_repeated(blob, i))
            n_valid++;
    }
    if (n_valid < threshold)
        return error_set(err, -EKEYREJECTED, "%zu of %zu needed signatures by known keys", n_valid,
                         threshold);
    return 0;
}
