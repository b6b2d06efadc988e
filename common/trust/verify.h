/* Digests, public keys and the verification of signatures: the part of trust that pure rooms may use (no file, no
 * clock, no random source). What a signature covers is always
 *
 *     "kedge/1/" role "/" type 0x00 | bytes
 *
 * so that a signature made for one purpose is worth nothing for another (A5). Tags hold no NUL, so none is a prefix of
 * another. Exact bytes are signed and never re-encoded. Ed25519 and BLAKE2b-256 of libsodium (>= 1.0.18 refuses
 * non-canonical signatures and keys of small order, A25). */
#ifndef KEDGE_TRUST_VERIFY_H
#define KEDGE_TRUST_VERIFY_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/limits.h"

#include <sodium/crypto_generichash.h>

enum {
    KEDGE_DIGEST_LEN = 32,
    KEDGE_PUBLIC_KEY_LEN = 32,
    KEDGE_SIGNATURE_LEN = 64,
    /* "b2:" and 64 digits, with the NUL; the same for "ed25519:". */
    KEDGE_DIGEST_TEXT_SIZE = 3 + 2 * KEDGE_DIGEST_LEN + 1,
    KEDGE_PUBLIC_KEY_TEXT_SIZE = 8 + 2 * KEDGE_PUBLIC_KEY_LEN + 1,
    /* "1a2b-3c4d-...": 8 groups of 4 digits, with the NUL. */
    KEDGE_FINGERPRINT_TEXT_SIZE = 8 * 5,
    /* Roles and types in tags are short words. */
    KEDGE_TAG_MAX = 96,
};

struct digest {
    uint8_t b[KEDGE_DIGEST_LEN];
};
struct public_key {
    uint8_t b[KEDGE_PUBLIC_KEY_LEN];
};
struct signature {
    uint8_t b[KEDGE_SIGNATURE_LEN];
};

/* ---- digests: BLAKE2b-256 ---- */

struct digest_state {
    crypto_generichash_state state;
};

struct digest digest_of(struct bytes bytes);
void digest_init(struct digest_state *state);
void digest_update(struct digest_state *state, struct bytes bytes);
struct digest digest_final(struct digest_state *state);

/* "b2:" and 64 lower-case digits. */
void digest_format(char out[static KEDGE_DIGEST_TEXT_SIZE], const struct digest *digest);

/* Exactly what digest_format writes; false for anything else. */
bool digest_parse(struct digest *digest, const char *text) _must_check_;

/* Constant time. */
bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *digest);

/* ---- public keys ---- */

/* "ed25519:" and 64 lower-case digits. */
void public_key_format(char out[static KEDGE_PUBLIC_KEY_TEXT_SIZE], const struct public_key *key);

/* Exactly what public_key_format writes; false for anything else. */
bool public_key_parse(struct public_key *key, const char *text) _must_check_;
bool public_key_equal(const struct public_key *a, const struct public_key *b);

/* What people read to each other: the first 16 bytes of BLAKE2b(key) as "1a2b-3c4d-...". */
void public_key_fingerprint(char out[static KEDGE_FINGERPRINT_TEXT_SIZE], const struct public_key *key);

/* ---- contexts ---- */

/* The closed set of what is signed outside of sessions. The number is written into signed files: append only.
 * Messages of a session have their own tags, from their own closed table (proto/message_types.h). */
enum trust_context {
    TRUST_OPERATOR_CHARTER = 1,
    TRUST_OPERATOR_PLAN,  /* the header of a plan */
    TRUST_OPERATOR_WORD,  /* what weakens a plan: common/plan/word.h */
    TRUST_OPERATOR_TRUST, /* changes of keys */
    TRUST_RELEASE_MANIFEST,
    TRUST_COORDINATOR_CHALLENGE,
    TRUST_AGENT_AUTH,
    TRUST_AGENT_REPORT, /* a report that is shown to others later, so it names its own plan and step */
    TRUST_AGENT_FACTS,
    TRUST_COORDINATOR_ORDER,
    TRUST_CONTEXT_END,
};

/* "operator/charter"; NULL for a number outside of the set. */
const char *trust_context_tag(unsigned context);

/* ---- signatures ---- */

bool verify_detached(enum trust_context context, struct bytes bytes, const struct public_key *key,
                     const struct signature *signature) _must_check_;

/* As above for a caller with a closed table of its own: `tag` is "role/type". The signed bytes are the parts, one after
 * the other; the caller answers for their borders (fixed lengths before the last one). False when memory is out. */
bool verify_tagged(const char *tag, const struct bytes *parts, size_t n_parts, const struct public_key *key,
                   const struct signature *signature) _must_check_;

/* "kedge/1/" tag 0x00 parts...: exactly what is signed. `out` is initialised by the caller. */
void signed_bytes(struct buffer *out, const char *tag, const struct bytes *parts, size_t n_parts);

/* ---- signed blobs: bytes with the signatures of one or more people or machines ---- */

struct key_signature {
    struct public_key key;
    struct signature signature;
};

/* `bytes` is a view: into the file that was decoded, or into what the signer holds. */
struct signed_blob {
    enum trust_context context;
    struct bytes bytes;
    struct key_signature signatures[KEDGE_SIGNATURES_MAX];
    size_t n_signatures;
};

/* magic "kedge-signed-1\n" | u8 context | u32 length | u32 count | bytes | count * (key 32 | signature 64) */
void signed_blob_encode(struct buffer *out, const struct signed_blob *blob);

/* Strict: every byte is accounted for, context and counts are in range. Nothing is believed yet.
 * -EBADMSG with a sentence. `file` must outlive the blob. */
int signed_blob_decode(struct signed_blob *blob, struct bytes file, struct error *err) _must_check_;

/* 0 if at least `threshold` (>= 1) *different* keys out of `keys` signed these bytes for this context. Signatures by
 * keys that are not listed are passed over; a wrong signature of a listed key refuses the whole. -EKEYREJECTED with a
 * sentence; -ENOMEM. */
int signed_blob_verify(const struct signed_blob *blob, enum trust_context context,
                       const struct public_key *keys, size_t n_keys, size_t threshold,
                       struct error *err) _must_check_;

#endif
