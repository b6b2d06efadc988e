/* A seed sealed with a passphrase: Argon2id makes the key, XSalsa20-Poly1305 (crypto_secretbox) seals. Whoever finds the
 * file must guess the passphrase, at a quarter of a GiB and some half a second of a core for each guess. */
#ifndef KEDGE_TRUST_SEAL_H
#define KEDGE_TRUST_SEAL_H

#include "common/trust/keys.h"

enum { SEALED_BYTES = 16 + 24 + 16 + 32 }; /* salt, nonce, seal, seed */

/* -ENOMEM when there is not memory enough for the key. */
int seed_seal(uint8_t out[static SEALED_BYTES], const uint8_t seed[static 32],
              const struct passphrase *passphrase, struct error *err) _must_check_;

/* -EKEYREJECTED: another passphrase, or a damaged file. */
int seed_open(uint8_t seed[static 32], const uint8_t sealed[static SEALED_BYTES],
              const struct passphrase *passphrase, struct error *err) _must_check_;

#endif
