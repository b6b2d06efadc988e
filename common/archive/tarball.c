/* Why one reader for stager and `release cut`: a manifest says what the stager must find, so two readings of the same
 * archive would be two truths. libarchive does the formats; everything that it would do for us beyond reading bytes
 * (writing files, following links, restoring attributes) is left to the caller, who does less of it.
 *
 * Formats and filters are a closed list. libarchive would happily peel a gz out of a gz 25 times: one filter is enough
 * for a release and a bomb needs more. Limits hold on what an entry *claims*, before a byte of it is read. */
#include "common/archive/tarball.h"

#include "common/base/limits.h"
#include "common/plan/release.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

struct tarball {
    struct archive *archive;
    tarball_pull_fn pull;
    void *from;
    uint64_t bytes_max; /* unpacked, by size of the archive */
    unsigned strip;
    bool opened;

    size_t n_entries;
    uint64_t n_bytes; /* claimed by all entries so far */
    uint64_t left;    /* of the file that is being read */
    uint64_t at;      /* where its next byte lies */
    char path[1088];

    int failure; /* of pull; libarchive would only say that reading failed */
    struct error failed;
};

static la_ssize_t on_read(struct archive *archive, void *data, const void **outp) {
    struct tarball *tarball = data;
    const uint8_t *bytes = NULL;
    ssize_t n = tarball->pull(tarball->from, &bytes, &tarball->failed);
    if (n < 0) {
        tarball->failure = (int)n;
        archive_set_error(archive, EIO, "the source failed");
        return ARCHIVE_FATAL;
    }
    *outp = bytes;
    return n;
}

static uint64_t limit_for(uint64_t size) {
    const uint64_t free = (uint64_t)TARBALL_RATIO_FREE_MIB << 20,
                   most = (uint64_t)KEDGE_RELEASE_BYTES_MAX_GIB << 30;
    if (size > most / TARBALL_RATIO_MAX)
        return most;
    return size * TARBALL_RATIO_MAX > free ? size * TARBALL_RATIO_MAX : free;
}

struct tarball *tarball_new(tarball_pull_fn pull, void *from, uint64_t size, unsigned strip) {
    _cleanup_(tarball_freep) struct tarball *tarball = calloc(1, sizeof(*tarball));
    if (!tarball)
        return NULL;
    tarball->pull = pull;
    tarball->from = from;
    tarball->bytes_max = limit_for(size);
    tarball->strip = strip;
    tarball->archive = archive_read_new();
    if (!tarball->archive || archive_read_support_filter_gzip(tarball->archive) != ARCHIVE_OK ||
        archive_read_support_filter_xz(tarball->archive) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(tarball->archive) != ARCHIVE_OK ||
        archive_read_support_format_tar(tarball->archive) != ARCHIVE_OK)
        return NULL;
    return TAKE(tarball);
}

struct tarball *tarball_free(struct tarball *tarball) {
    if (tarball && tarball->archive)
        archive_read_free(tarball->archive);
    free(tarball);
    return NULL;
}

/* The sentence for what libarchive said, or for what our own source said before it. */
static int failed(struct tarball *tarball, const char *what, struct error *err) {
    if (tarball->failure < 0)
        return error_set(err, tarball->failure, "%s", tarball->failed.text);
    const char *text = archive_error_string(tarball->archive);
    if (archive_errno(tarball->archive) == ENOMEM)
        return error_set(err, -ENOMEM, "%s: it needs more memory than an archive may", what);
    return error_set(err, -EBADMSG, "%s: %s", what, text ? text : "broken");
}

static int open_once(struct tarball *tarball, struct error *err) {
    if (tarball->opened)
        return 0;
    tarball->opened = true;
    if (archive_read_open(tarball->archive, tarball, NULL, on_read, NULL) != ARCHIVE_OK)
        return failed(tarball, "not a tar archive (plain, gz, xz or zst)", err);
    /* The last filter is always "none". */
    if (archive_filter_count(tarball->archive) > 2)
        return error_set(err, -EBADMSG, "the archive is compressed more than once");
    return 0;
}

/* A name for a person: what is not plain is shown as '?'. */
static const char *shown(const char *path, char out[static 128]) {
    size_t n = 0;
    for (; path && path[n] && n < 127; n++)
        out[n] = path[n] >= ' ' && path[n] <= '~' ? path[n] : '?';
    out[n] = 0;
    return out;
}

/* What does not depend on the path: a closed list of kinds, nothing in disguise. */
static int kind_of(struct archive_entry *entry, const char *name, enum tarball_kind *kind,
                   struct error *err) {
    if (archive_entry_hardlink(entry))
        return error_set(err, -EBADMSG, "\"%s\" is a hard link, expected files, folders and relative links",
                         name);
    if (archive_entry_sparse_count(entry) > 0)
        return error_set(err, -EBADMSG, "\"%s\" is a sparse file, expected plain ones", name);
    switch ((mode_t)archive_entry_filetype(entry)) {
    case S_IFREG: *kind = TARBALL_FILE; return 0;
    case S_IFDIR: *kind = TARBALL_FOLDER; return 0;
    case S_IFLNK: *kind = TARBALL_LINK; return 0;
    case S_IFIFO:
        return error_set(err, -EBADMSG, "\"%s\" is a fifo, expected files, folders and relative links", name);
    case S_IFSOCK:
        return error_set(err, -EBADMSG, "\"%s\" is a socket, expected files, folders and relative links",
                         name);
    case S_IFBLK:
    case S_IFCHR:
        return error_set(err, -EBADMSG, "\"%s\" is a device, expected files, folders and relative links",
                         name);
    default:
        return error_set(err, -EBADMSG,
                         "\"%s\" is of an unknown kind, expected files, folders and relative links", name);
    }
}

/* Copies the path without "./" in front and '/' behind (both are how tar writes the same thing), judges it whole, then
 * strips. tarball->path is "" for a folder that stripping leaves nothing of. */
static int take_path(struct tarball *tarball, const char *raw, enum tarball_kind kind, struct error *err) {
    char name[128];
    while (raw[0] == '.' && raw[1] == '/')
        for (raw += 1; *raw == '/';)
            raw++;
    size_t len = strlen(raw);
    while (kind == TARBALL_FOLDER && len > 0 && raw[len - 1] == '/' && len > 1)
        len--;
    if (len >= sizeof(tarball->path))
        return error_set(err, -EBADMSG, "path of %zu bytes (\"%s...\"), expected 1 to 1024", len,
                         shown(raw, name));
    memcpy(tarball->path, raw, len);
    tarball->path[len] = 0;
    if (kind == TARBALL_FOLDER && (len == 0 || strcmp(tarball->path, ".") == 0)) {
        tarball->path[0] = 0;
        return 0;
    }
    if (release_path_check(tarball->path, err) < 0)
        return error_context(err, -EBADMSG, "\"%s\"", shown(raw, name));

    const char *rest = tarball->path;
    for (unsigned i = 0; i < tarball->strip && rest; i++)
        rest = strchr(rest, '/') ? strchr(rest, '/') + 1 : NULL;
    if (!rest && kind != TARBALL_FOLDER)
        return error_set(err, -EBADMSG, "\"%s\" lies above the %u folders that are stripped", tarball->path,
                         tarball->strip);
    memmove(tarball->path, rest ? rest : "", rest ? strlen(rest) + 1 : 1);
    return 0;
}

static int check_limits(struct tarball *tarball, uint64_t size, struct error *err) {
    unsigned depth = 0;
    for (const char *p = tarball->path; *p; p++)
        depth += *p == '/';
    if (depth > TARBALL_DEPTH_MAX)
        return error_set(err, -EBADMSG, "\"%.200s\" lies in more than %d folders", tarball->path,
                         TARBALL_DEPTH_MAX);
    if (++tarball->n_entries > KEDGE_RELEASE_FILES_MAX)
        return error_set(err, -EBADMSG, "more than %d entries", KEDGE_RELEASE_FILES_MAX);
    uint64_t most = tarball->bytes_max, room = most - tarball->n_bytes;
    if (size > room)
        return error_set(
            err, -EBADMSG,
            "\"%.200s\" has %llu bytes, and %llu came before it: more than the %llu MiB that an archive "
            "of this size may unpack to",
            tarball->path, (unsigned long long)size, (unsigned long long)tarball->n_bytes,
            (unsigned long long)most >> 20);
    tarball->n_bytes += size;
    return 0;
}

/* Padding and headers count as well: the stream as a whole may not be much longer than what its entries claim. */
static int check_stream(struct tarball *tarball, struct error *err) {
    int64_t n = archive_filter_bytes(tarball->archive, 0);
    if (n > 0 && (uint64_t)n > tarball->bytes_max + (tarball->n_entries + 64) * 4096)
        return error_set(err, -EBADMSG, "the archive unpacks to more than the %llu MiB that its size allows",
                         (unsigned long long)tarball->bytes_max >> 20);
    return 0;
}

static int next_entry(struct tarball *tarball, struct tarball_entry *out, struct error *err) {
    struct archive_entry *entry = NULL;
    char name[128];
    int r = archive_read_next_header(tarball->archive, &entry);
    if (r == ARCHIVE_EOF)
        return 0;
    if (r != ARCHIVE_OK)
        return failed(tarball, "the archive is broken", err);
    const char *raw = archive_entry_pathname(entry);
    if (!raw)
        return error_set(err, -EBADMSG,
                         "an entry's name cannot be read; allowed are letters, digits and ._+-/@=,~");

    *out = (struct tarball_entry){0};
    r = kind_of(entry, shown(raw, name), &out->kind, err);
    if (r < 0)
        return r;
    int64_t size = out->kind == TARBALL_FILE ? archive_entry_size(entry) : 0;
    if (size < 0 || (out->kind == TARBALL_FILE && !archive_entry_size_is_set(entry)))
        return error_set(err, -EBADMSG, "\"%s\" has no size", name);
    r = take_path(tarball, raw, out->kind, err);
    if (r == 0)
        r = check_limits(tarball, (uint64_t)size, err);
    if (r == 0)
        r = check_stream(tarball, err);
    if (r < 0)
        return r;
    out->path = tarball->path;
    out->size = tarball->left = (uint64_t)size;
    tarball->at = 0;
    out->mode = (uint32_t)archive_entry_perm(entry) & 0777;
    if (out->kind != TARBALL_LINK)
        return 1;
    out->link = archive_entry_symlink(entry);
    if (!out->link)
        return error_set(err, -EBADMSG, "link \"%s\" has no target that can be read", out->path);
    r = release_link_check(out->path, out->link, err);
    return r < 0 ? r : 1;
}

int tarball_next(struct tarball *tarball, struct tarball_entry *entry, struct error *err) {
    int r = open_once(tarball, err);
    if (r < 0)
        return r;
    do
        r = next_entry(tarball, entry, err);
    while (r == 1 && entry->kind == TARBALL_FOLDER && !*entry->path); /* the top, or above what is stripped */
    return r;
}

int tarball_read(struct tarball *tarball, struct bytes *out, struct error *err) {
    const void *data = NULL;
    size_t len = 0;
    int64_t at = 0;
    *out = (struct bytes){NULL, 0};
    if (tarball->left == 0)
        return 0;
    do {
        int r = archive_read_data_block(tarball->archive, &data, &len, &at);
        if (r == ARCHIVE_EOF)
            return error_set(err, -EBADMSG, "\"%s\" ends %llu bytes too early", tarball->path,
                             (unsigned long long)tarball->left);
        if (r != ARCHIVE_OK)
            return failed(tarball, tarball->path, err);
    } while (len == 0);
    if (at < 0 || (uint64_t)at != tarball->at)
        return error_set(err, -EBADMSG, "\"%s\" has holes, expected plain files", tarball->path);
    if (len > tarball->left)
        return error_set(err, -EBADMSG, "\"%s\" is longer than it says", tarball->path);
    tarball->left -= len;
    tarball->at += len;
    *out = (struct bytes){data, len};
    return 0;
}
