/* Secret keys: making, keeping in files, signing. For programs only; pure rooms use common/trust/verify.h. */
#ifndef KEDGE_TRUST_KEYS_H
#define KEDGE_TRUST_KEYS_H

#include "common/trust/verify.h"

/* Seed and public key, as libsodium keeps them. Declare it with `_cleanup_(secret_key_deinit)`. */
struct secret_key {
    uint8_t b[64];
};

struct key_pair {
    struct secret_key secret;
    struct public_key public;
};

/* Once, at the start of a program, before anything else of this room. */
int trust_init(struct error *err) _must_check_;

/* A fresh pair; locked in memory as far as limits allow. */
void key_pair_generate(struct key_pair *pair);

/* Zeroes the secret. */
void key_pair_deinit(struct key_pair *pair);
void secret_key_deinit(struct secret_key *key);

enum { PASSPHRASE_BYTES_MIN = 8, PASSPHRASE_BYTES_MAX = 255 };

/* Declare it with `_cleanup_(passphrase_deinit)`. */
struct passphrase {
    char text[PASSPHRASE_BYTES_MAX + 1];
};

void passphrase_deinit(struct passphrase *passphrase);

/* The first line of a file that only its owner may read. */
int passphrase_read(struct passphrase *passphrase, const char *path, struct error *err) _must_check_;

/* Asks somebody for the passphrase of the key in `path`. */
typedef int passphrase_fn(void *user, const char *path, struct passphrase *out, struct error *err);

/* Writes PATH (the secret, 0600) and PATH.pub. Each is two lines: `# ` and the comment ("operator key of alice"), and
 * the key. With a passphrase (NULL: without) the secret is sealed. Refuses to overwrite either (-EEXIST) and leaves
 * nothing half written. */
int key_pair_save(const struct key_pair *pair, const char *path, const char *comment,
                  const struct passphrase *passphrase, struct error *err) _must_check_;

/* Refuses a file that group or others may read, or that is not one of ours; the sentence says what to do. A sealed one is
 * opened with what `ask` gives (NULL: nobody can be asked, which is refused). */
int key_pair_load(struct key_pair *pair, const char *path, passphrase_fn *ask, void *user,
                  struct error *err) _must_check_;

/* Reads PATH.pub; given a secret file, the sentence says that its .pub is meant. */
int public_key_load(struct public_key *key, const char *path, struct error *err) _must_check_;

/* ---- signing ---- */

/* Aborts when memory is out: a program that cannot sign can do nothing of use. */
struct signature sign_detached(enum trust_context context, struct bytes bytes, const struct key_pair *pair);
struct signature sign_tagged(const char *tag, const struct bytes *parts, size_t n_parts,
                             const struct key_pair *pair);

/* Adds one signature over blob->bytes for blob->context. -EEXIST when this key has signed already, -ENOSPC when there
 * is no room. */
int signed_blob_sign(struct signed_blob *blob, const struct key_pair *pair, struct error *err) _must_check_;

#endif
