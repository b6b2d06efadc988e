/* Why the costs stand here and not in the file: nobody may lower them in a file that he can write. libsodium's own names for
 * them may change their numbers with a release, so the numbers are written out. */
#include "common/trust/seal.h"

#include <sodium.h>
#include <string.h>

enum { GUESS_PASSES = 3, GUESS_BYTES = 256 * 1024 * 1024, SALT = 0, NONCE = 16, BOX = NONCE + 24 };

_Static_assert(crypto_pwhash_SALTBYTES == NONCE && crypto_secretbox_NONCEBYTES == BOX - NONCE &&
                   crypto_secretbox_MACBYTES + crypto_sign_SEEDBYTES == SEALED_BYTES - BOX,
               "the layout of a sealed seed");

static int key_of(uint8_t key[static crypto_secretbox_KEYBYTES], const struct passphrase *passphrase,
                  const uint8_t *salt, struct error *err) {
    if (crypto_pwhash(key, crypto_secretbox_KEYBYTES, passphrase->text, strlen(passphrase->text), salt,
                      GUESS_PASSES, GUESS_BYTES, crypto_pwhash_ALG_ARGON2ID13) == 0)
        return 0;
    return error_set(err, -ENOMEM, "a passphrase needs %d MiB of memory, which there are not",
                     GUESS_BYTES >> 20);
}

int seed_seal(uint8_t out[static SEALED_BYTES], const uint8_t seed[static 32],
              const struct passphrase *passphrase, struct error *err) {
    uint8_t key[crypto_secretbox_KEYBYTES];
    randombytes_buf(out, BOX); /* salt and nonce */
    int r = key_of(key, passphrase, out + SALT, err);
    if (r == 0)
        (void)crypto_secretbox_easy(out + BOX, seed, crypto_sign_SEEDBYTES, out + NONCE, key);
    sodium_memzero(key, sizeof(key));
    return r;
}

int seed_open(uint8_t seed[static 32], const uint8_t sealed[static SEALED_BYTES],
              const struct passphrase *passphrase, struct error *err) {
    uint8_t key[crypto_secretbox_KEYBYTES];
    int r = key_of(key, passphrase, sealed + SALT, err);
    if (r == 0 && crypto_secretbox_open_easy(seed, sealed + BOX, SEALED_BYTES - BOX, sealed + NONCE, key) < 0)
        r = error_set(err, -EKEYREJECTED, "this is not its passphrase");
    sodium_memzero(key, sizeof(key));
    return r;
}
