/* release cut: which files an archive holds, as the stager will see them (common/archive is the same reader there),
 * signed here by the release key. The archive itself is not changed. */
#include "coordinator/cli/client.h"
#include "coordinator/cli/passphrase.h"
#include "common/archive/pack.h"
#include "common/archive/tarball.h"
#include "common/base/file.h"
#include "common/plan/encoding.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* The archive as a stream that is hashed on its way. */
struct source {
    int fd;
    uint64_t n_bytes;
    struct digest_state digest;
    uint8_t block[65536];
};

static ssize_t source_pull(void *from, const uint8_t **data, struct error *err) {
    struct source *source = from;
    ssize_t n;
    do
        n = read(source->fd, source->block, sizeof(source->block));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_errno(err, -errno, "reading the archive");
    digest_update(&source->digest, (struct bytes){source->block, (size_t)n});
    source->n_bytes += (uint64_t)n;
    *data = source->block;
    return n;
}

static int file_take(struct cli *cli, struct tarball *tarball, const struct tarball_entry *entry,
                     struct release_file *out) {
    *out = (struct release_file){.path = arena_text(cli->arena, entry->path),
                                 .size = entry->size,
                                 .mode = entry->mode,
                                 .link = entry->link ? arena_text(cli->arena, entry->link) : NULL};
    if (!out->path || (entry->link && !out->link))
        return error_set(cli->err, -ENOMEM, "out of memory");
    if (out->link) {
        out->mode = 0777;
        out->digest = digest_of(bytes_of_text(out->link));
        return 0;
    }
    struct digest_state state;
    struct bytes part;
    int r;
    digest_init(&state);
    while ((r = tarball_read(tarball, &part, cli->err)) == 0 && part.len > 0)
        digest_update(&state, part);
    out->digest = digest_final(&state);
    return r;
}

static int by_path(const void *a, const void *b) {
    const struct release_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static int files_take(struct cli *cli, struct tarball *tarball, struct component *component) {
    struct release_file *files = arena_array(cli->arena, KEDGE_RELEASE_FILES_MAX, sizeof(*files));
    struct tarball_entry entry;
    int r = files ? 0 : error_set(cli->err, -ENOMEM, "out of memory");
    while (r == 0 && (r = tarball_next(tarball, &entry, cli->err)) == 1)
        r = entry.kind == TARBALL_FOLDER ? 0 : file_take(cli, tarball, &entry, &files[component->n_files++]);
    if (r < 0)
        return r;
    if (component->n_files > 0)
        qsort(files, component->n_files, sizeof(*files), by_path);
    component->files = files;
    return 0;
}

static int component_read(struct cli *cli, const char *path, uint32_t strip, struct component *component) {
    struct stat st;
    _cleanup_(freep) struct source *source = malloc(sizeof(*source));
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!source || fd < 0 || fstat(fd, &st) < 0)
        return error_errno(cli->err, -errno, "%s", path);
    source->fd = fd;
    source->n_bytes = 0;
    digest_init(&source->digest);
    *component = (struct component){.name = "main", .size = (uint64_t)st.st_size, .strip = strip};
    _cleanup_(tarball_freep) struct tarball *tarball =
        tarball_new(source_pull, source, component->size, strip);
    int r = tarball ? files_take(cli, tarball, component) : error_set(cli->err, -ENOMEM, "out of memory");
    const uint8_t *rest;
    ssize_t n = r;
    while (n == 0 && (n = source_pull(source, &rest, cli->err)) > 0)
        n = 0; /* what follows the last entry belongs to the digest, too */
    if (n < 0)
        return error_context(cli->err, (int)n, "%s", path);
    if (source->n_bytes != component->size)
        return error_set(cli->err, -EBADMSG, "%s changed while it was read", path);
    component->artifact = digest_final(&source->digest);
    return 0;
}

static int manifest_sign(struct cli *cli, const struct manifest *manifest, const struct key_pair *key,
                         struct buffer *out) {
    _cleanup_(buffer_deinit) struct buffer encoded = {0};
    int r = manifest_check(manifest, cli->err);
    if (r == 0)
        r = codec_encode(&manifest_codec, manifest, &encoded, cli->err);
    if (r < 0)
        return r;
    struct signed_blob blob = {.context = TRUST_RELEASE_MANIFEST, .bytes = buffer_bytes(&encoded)};
    r = signed_blob_sign(&blob, key, cli->err);
    if (r < 0)
        return r;
    signed_blob_encode(out, &blob);
    if (out->failed)
        return error_set(cli->err, -ENOMEM, "out of memory");
    /* Every order carries it: what is larger would be signed now and be sent to nobody. */
    if (out->len > KEDGE_MANIFEST_BYTES_MAX)
        return error_set(
            cli->err, -EFBIG,
            "%zu files make a manifest of %zu KiB, an order has room for %d KiB (some 8000 files): leave out "
            "what no node needs, or pack it into fewer files",
            manifest->components[0].n_files, out->len / 1024 + 1, KEDGE_MANIFEST_BYTES_MAX / 1024);
    return 0;
}

static int number_option(struct cli *cli, const char *name, uint64_t most, uint64_t *outp) {
    const char *text = cli_option(cli, name);
    if (!text)
        return 0;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > most)
        return error_set(cli->err, -EINVAL, "--%s %s: expected a number up to %llu", name, text,
                         (unsigned long long)most);
    *outp = value;
    return 0;
}

/* Where archive and manifest lie. A folder becomes an archive beside the manifest: app-1.2.release, app-1.2.tar.gz. */
struct places {
    char archive[KEDGE_PATH_MAX + 1], manifest[KEDGE_PATH_MAX + 1];
};

static int places_find(struct cli *cli, bool folder, struct places *out) {
    const char *path = cli->arguments[0], *to = cli_option(cli, "out");
    size_t n = strlen(path), m = to ? strlen(to) : 0;
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n > KEDGE_PATH_MAX - 32 || m > KEDGE_PATH_MAX - 32)
        return error_set(cli->err, -EINVAL, "the path is too long");
    static const char ending[] = ".release";
    if (to && (m <= sizeof(ending) - 1 || strcmp(to + m - (sizeof(ending) - 1), ending) != 0))
        return error_set(cli->err, -EINVAL, "--out %s: the name must end with .release", to);
    if (to)
        snprintf(out->manifest, sizeof(out->manifest), "%s", to);
    else
        snprintf(out->manifest, sizeof(out->manifest), "%.*s.release", (int)n, path);
    if (folder)
        snprintf(out->archive, sizeof(out->archive), "%.*s.tar.gz",
                 (int)(strlen(out->manifest) - (sizeof(ending) - 1)), out->manifest);
    else
        snprintf(out->archive, sizeof(out->archive), "%s", path);
    return 0;
}

static int cut_show(struct cli *cli, const struct manifest *manifest, const struct places *places,
                    struct bytes signed_manifest) {
    char artifact[KEDGE_DIGEST_TEXT_SIZE], digest[KEDGE_DIGEST_TEXT_SIZE];
    const struct component *component = &manifest->components[0];
    struct digest of_manifest = digest_of(signed_manifest);
    digest_format(artifact, &component->artifact);
    digest_format(digest, &of_manifest);
    if (cli->json) {
        _cleanup_(json_freep) json_t *json =
            json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:I}", "system", manifest->system, "version",
                      manifest->version, "serial", (json_int_t)manifest->serial, "manifest", digest,
                      "artifact", artifact, "release", places->manifest, "archive", places->archive, "size",
                      (json_int_t)component->size, "n_files", (json_int_t)component->n_files);
        return json_print(json);
    }
    printf("release      %s-%s, %zu files\narchive      %s, %s\n             %s\nsigned       %s\n           "
           "  %s\n",
           manifest->system, manifest->version, component->n_files, places->archive,
           text_size(component->size).s, artifact, places->manifest, digest);
    return EXIT_DONE;
}

/* What the command line says, read before anything is made. */
struct cut {
    const char *system, *version;
    uint64_t serial, strip;
    struct places places;
    bool packed; /* the archive was made here, from a folder */
};

static int cut_options_take(struct cli *cli, struct cut *cut, struct key_pair *key) {
    const char *key_path;
    struct stat st;
    cut->serial = (uint64_t)(wall_ms() / 1000);
    int r = cli_option_needed(cli, "system", &cut->system);
    if (r == 0)
        r = cli_option_needed(cli, "version", &cut->version);
    if (r == 0)
        r = cli_option_needed(cli, "key", &key_path);
    if (r == 0)
        r = number_option(cli, "serial", INT64_MAX, &cut->serial);
    if (r == 0)
        r = number_option(cli, "strip", 16, &cut->strip);
    if (r == 0)
        r = cli_key_load(cli, key_path, key);
    if (r == 0 && stat(cli->arguments[0], &st) < 0)
        r = error_errno(cli->err, -errno, "%s", cli->arguments[0]);
    if (r < 0)
        return r;
    if (S_ISDIR(st.st_mode) && cut->strip > 0)
        return error_set(cli->err, -EINVAL, "--strip is for archives; %s is a folder", cli->arguments[0]);
    r = places_find(cli, S_ISDIR(st.st_mode), &cut->places);
    if (r < 0 || !S_ISDIR(st.st_mode))
        return r;
    r = pack_folder(cli->arguments[0], cut->places.archive, cli->err);
    cut->packed = r == 0;
    return r;
}

int cmd_release_cut(struct cli *cli) {
    struct cut cut = {0};
    struct component component;
    _cleanup_(key_pair_deinit) struct key_pair key = {0};
    _cleanup_(buffer_deinit) struct buffer out = {0};
    int r = cut_options_take(cli, &cut, &key);
    if (r == 0)
        r = component_read(cli, cut.places.archive, (uint32_t)cut.strip, &component);
    struct manifest manifest = {.format = 1,
                                .system = cut.system,
                                .version = cut.version,
                                .serial = cut.serial,
                                .components = &component,
                                .n_components = 1};
    if (r == 0)
        r = manifest_sign(cli, &manifest, &key, &out);
    if (r == 0)
        r = file_write(cut.places.manifest, buffer_bytes(&out), 0644, cli->err);
    if (r < 0 && cut.packed)
        (void)unlink(cut.places.archive);
    return r < 0 ? r : cut_show(cli, &manifest, &cut.places, buffer_bytes(&out));
}
