/* Why link() and not rename(): a key file must never replace another one, and link() says so in one atomic step.
 * Why the seed only: it fits one line and the public half follows from it. */
#include "common/trust/keys.h"
#include "common/trust/seal.h"

#include "common/base/file.h"

#include <assert.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

static const char secret_prefix[] = "ed25519-secret:", sealed_prefix[] = "ed25519-sealed:";

enum { SEED_LEN = crypto_sign_SEEDBYTES, KEY_FILE_BYTES_MAX = 1024 };

_Static_assert(sizeof(struct secret_key) == crypto_sign_SECRETKEYBYTES, "Ed25519");

int trust_init(struct error *err) {
    return sodium_init() < 0 ? error_set(err, -EIO, "libsodium cannot start: no source of randomness") : 0;
}

/* ---- life ---- */

static void secret_key_lock(struct secret_key *key) {
    (void)sodium_mlock(key->b, sizeof(key->b)); /* best effort: RLIMIT_MEMLOCK may forbid it */
}

void secret_key_deinit(struct secret_key *key) {
    /* munlock zeroes first; where locking was refused it fails after zeroing */
    (void)sodium_munlock(key->b, sizeof(key->b));
}

void key_pair_generate(struct key_pair *pair) {
    secret_key_lock(&pair->secret);
    crypto_sign_keypair(pair->public.b, pair->secret.b);
}

void key_pair_deinit(struct key_pair *pair) {
    secret_key_deinit(&pair->secret);
    pair->public = (struct public_key){{0}};
}

/* ---- files ---- */

static void buffer_wipe(struct buffer *buffer) {
    if (buffer->data)
        sodium_memzero(buffer->data, buffer->room);
    buffer_deinit(buffer);
}

static int file_create_once(const char *path, struct bytes content, mode_t mode, struct error *err) {
    char fresh[KEDGE_PATH_MAX + 1];
    int n = snprintf(fresh, sizeof(fresh), "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof(fresh))
        return error_set(err, -ENAMETOOLONG, "%s: path is too long", path);
    if (access(path, F_OK) == 0)
        return error_set(err, -EEXIST, "%s exists; a key is never overwritten, choose another name", path);

    (void)unlink(fresh); /* left by a crash */
    _cleanup_(closep) int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return error_errno(err, -errno, "%s", fresh);
    int r = fd_write_all(fd, content.data, content.len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && link(fresh, path) < 0)
        r = -errno;
    (void)unlink(fresh);
    if (r == 0)
        r = folder_sync_of(path); /* a key that was used must be there after a power cut */
    return r < 0 ? error_errno(err, r, "%s", path) : 0;
}

static bool comment_is_clean(const char *comment) {
    for (const char *c = comment; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return strlen(comment) <= 256;
}

/* The line that holds the secret. */
static int secret_line(struct buffer *out, const struct key_pair *pair, const struct passphrase *passphrase,
                       struct error *err) {
    char hex[2 * SEALED_BYTES + 1];
    uint8_t sealed[SEALED_BYTES];
    int r = passphrase ? seed_seal(sealed, pair->secret.b, passphrase, err) : 0;
    if (r < 0)
        return r;
    if (passphrase)
        hex_encode(hex, sealed, sizeof(sealed));
    else
        hex_encode(hex, pair->secret.b, SEED_LEN);
    buffer_format(out, "%s%s\n", passphrase ? sealed_prefix : secret_prefix, hex);
    sodium_memzero(hex, sizeof(hex));
    return 0;
}

int key_pair_save(const struct key_pair *pair, const char *path, const char *comment,
                  const struct passphrase *passphrase, struct error *err) {
    char public_path[KEDGE_PATH_MAX + 1];
    int n = snprintf(public_path, sizeof(public_path), "%s.pub", path);
    if (n < 0 || (size_t)n >= sizeof(public_path))
        return error_set(err, -ENAMETOOLONG, "%s: path is too long", path);
    if (!comment_is_clean(comment))
        return error_set(err, -EINVAL, "%s: the comment of a key is one line of at most 256 bytes", path);
    if (access(public_path, F_OK) == 0)
        return error_set(err, -EEXIST, "%s exists; a key is never overwritten, choose another name",
                         public_path);

    _cleanup_(buffer_wipe) struct buffer secret_text = {0};
    buffer_format(&secret_text, "# secret half, keep it to yourself: %s\n", comment);
    int r = secret_line(&secret_text, pair, passphrase, err);
    if (r < 0)
        return r;
    char public_text_key[KEDGE_PUBLIC_KEY_TEXT_SIZE];
    public_key_format(public_text_key, &pair->public);
    _cleanup_(buffer_deinit) struct buffer public_text = {0};
    buffer_format(&public_text, "# public half: %s\n%s\n", comment, public_text_key);
    if (secret_text.failed || public_text.failed)
        return error_errno(err, -ENOMEM, "%s", path);

    r = file_create_once(path, buffer_bytes(&secret_text), 0600, err);
    if (r < 0)
        return r;
    r = file_create_once(public_path, buffer_bytes(&public_text), 0644, err);
    if (r < 0)
        (void)unlink(path); /* made a moment ago, by nobody else: link() said so */
    return r;
}

/* The second of exactly two lines, without its end; NULL if the file is shaped otherwise. Ends it in place. */
static char *key_line(struct buffer *file) {
    if (file->len == 0 || file->data[0] != '#' || memchr(file->data, 0, file->len))
        return NULL;
    char *text = (char *)file->data, *first_end = strchr(text, '\n');
    char *last_end = first_end ? strchr(first_end + 1, '\n') : NULL;
    if (!last_end || last_end[1] != 0)
        return NULL;
    *last_end = 0;
    return first_end + 1;
}

static int private_file_check(const char *path, struct error *err) {
    struct stat st;
    if (stat(path, &st) < 0)
        return error_errno(err, -errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "%s: not a regular file", path);
    if (st.st_mode & 077)
        return error_set(err, -EPERM, "%s: mode %04o lets others read this secret key; run: chmod 600 %s",
                         path, (unsigned)(st.st_mode & 07777), path);
    return 0;
}

static bool has_prefix(const char *line, const char *prefix) {
    return line && strncmp(line, prefix, strlen(prefix)) == 0;
}

static int seed_unseal(uint8_t seed[static SEED_LEN], const char *hex, const char *path, passphrase_fn *ask,
                       void *user, struct error *err) {
    _cleanup_(passphrase_deinit) struct passphrase passphrase = {""};
    uint8_t sealed[SEALED_BYTES];
    if (!hex_decode(sealed, sizeof(sealed), hex))
        return error_set(err, -EBADMSG, "%s: this sealed key is damaged: not %d digits", path,
                         2 * SEALED_BYTES);
    if (!ask)
        return error_set(err, -EACCES, "%s is sealed with a passphrase; this key must be one without", path);
    int r = ask(user, path, &passphrase, err);
    if (r < 0)
        return r;
    r = seed_open(seed, sealed, &passphrase, err);
    return r < 0 ? error_context(err, r, "%s", path) : 0;
}

int key_pair_load(struct key_pair *pair, const char *path, passphrase_fn *ask, void *user,
                  struct error *err) {
    _cleanup_(buffer_wipe) struct buffer file = {0};
    uint8_t seed[SEED_LEN];
    int r = private_file_check(path, err);
    if (r < 0)
        return r;
    r = file_read(path, KEY_FILE_BYTES_MAX, &file, err);
    if (r < 0)
        return r;
    const char *line = key_line(&file);
    if (has_prefix(line, sealed_prefix))
        r = seed_unseal(seed, line + strlen(sealed_prefix), path, ask, user, err);
    else if (!has_prefix(line, secret_prefix) ||
             !hex_decode(seed, sizeof(seed), line + strlen(secret_prefix)))
        r = error_set(err, -EBADMSG, "%s: not a secret key of Kedge (a comment line, then %s and %d digits)",
                      path, secret_prefix, 2 * SEED_LEN);
    if (r < 0)
        return r;
    secret_key_lock(&pair->secret);
    crypto_sign_seed_keypair(pair->public.b, pair->secret.b, seed);
    sodium_memzero(seed, sizeof(seed));
    return 0;
}

/* ---- passphrases ---- */

void passphrase_deinit(struct passphrase *passphrase) {
    sodium_memzero(passphrase, sizeof(*passphrase));
}

int passphrase_read(struct passphrase *passphrase, const char *path, struct error *err) {
    _cleanup_(buffer_wipe) struct buffer file = {0};
    int r = private_file_check(path, err);
    if (r == 0)
        r = file_read(path, KEY_FILE_BYTES_MAX, &file, err);
    if (r < 0)
        return r;
    size_t n = file.data ? strcspn((const char *)file.data, "\r\n") : 0;
    if (n == 0 || n > PASSPHRASE_BYTES_MAX)
        return error_set(err, -EINVAL, "%s: its first line must be a passphrase of at most %d bytes", path,
                         PASSPHRASE_BYTES_MAX);
    memcpy(passphrase->text, file.data, n);
    passphrase->text[n] = 0;
    return 0;
}

int public_key_load(struct public_key *key, const char *path, struct error *err) {
    _cleanup_(buffer_wipe) struct buffer file = {0};
    int r = file_read(path, KEY_FILE_BYTES_MAX, &file, err);
    if (r < 0)
        return r;
    const char *line = key_line(&file);
    if (has_prefix(line, secret_prefix) || has_prefix(line, sealed_prefix))
        return error_set(err, -EBADMSG, "%s: this is a secret key; its public half is %s.pub", path, path);
    if (!line || !public_key_parse(key, line))
        return error_set(err, -EBADMSG,
                         "%s: not a public key of Kedge (a comment line, then ed25519: and %d digits)", path,
                         2 * KEDGE_PUBLIC_KEY_LEN);
    return 0;
}

/* ---- signing ---- */

struct signature sign_tagged(const char *tag, const struct bytes *parts, size_t n_parts,
                             const struct key_pair *pair) {
    _cleanup_(buffer_deinit) struct buffer message = {0};
    struct signature signature;
    signed_bytes(&message, tag, parts, n_parts);
    if (message.failed)
        abort();
    crypto_sign_detached(signature.b, NULL, message.data, message.len, pair->secret.b);
    return signature;
}

struct signature sign_detached(enum trust_context context, struct bytes bytes, const struct key_pair *pair) {
    const char *tag = trust_context_tag(context);
    assert(tag);
    return sign_tagged(tag, &bytes, 1, pair);
}

int signed_blob_sign(struct signed_blob *blob, const struct key_pair *pair, struct error *err) {
    for (size_t i = 0; i < blob->n_signatures; i++)
        if (public_key_equal(&blob->signatures[i].key, &pair->public))
            return error_set(err, -EEXIST, "this key has signed already");
    if (blob->n_signatures == KEDGE_SIGNATURES_MAX)
        return error_set(err, -ENOSPC, "there are %d signatures already", KEDGE_SIGNATURES_MAX);
    blob->signatures[blob->n_signatures++] = (struct key_signature){
        .key = pair->public, .signature = sign_detached(blob->context, blob->bytes, pair)};
    return 0;
}
