/* Why a thread: hashing and syncing some hundred megabytes takes as long as a run may need to hear of a failure. The
 * thread shares nothing with the loop but its own import, and says one word on an eventfd. */
#include "coordinator/fleet/artifacts.h"

#include "common/base/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

enum { CHUNK_BYTES = 1024 * 1024 };

struct artifact_import {
    const char *folder;
    struct artifact_source sources[ARTIFACT_IMPORTS_MAX];
    size_t n_sources;
    pthread_t thread;
    bool runs;
    int event_fd;
    int result;
    struct error err;
};

void artifact_name(char out[static ARTIFACT_NAME_SIZE], const struct digest *digest) {
    hex_encode(out, digest->b, sizeof(digest->b));
}

static int artifact_path(char out[static KEDGE_PATH_MAX + 1], const char *folder, const struct digest *digest,
                         const char *ending, struct error *err) {
    char name[ARTIFACT_NAME_SIZE];
    artifact_name(name, digest);
    int n = snprintf(out, KEDGE_PATH_MAX + 1, "%s/%s%s", folder, name, ending);
    return n < 0 || n > KEDGE_PATH_MAX ? error_errno(err, -ENAMETOOLONG, "%s", folder) : 0;
}

bool artifact_is_there(const char *folder, const struct digest *digest, uint64_t size) {
    char path[KEDGE_PATH_MAX + 1];
    struct stat st;
    return artifact_path(path, folder, digest, "", NULL) == 0 && lstat(path, &st) == 0 &&
           S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

/* ---- on the thread ---- */

/* The next piece of a source; *outp points into `chunk` or into the source. */
static int source_read(struct artifact_source *source, uint64_t at, uint8_t *chunk, struct bytes *outp) {
    if (source->fd < 0) {
        size_t left = source->bytes.len > at ? source->bytes.len - (size_t)at : 0;
        *outp =
            (struct bytes){left ? source->bytes.data + at : NULL, left < CHUNK_BYTES ? left : CHUNK_BYTES};
        return 0;
    }
    ssize_t n;
    do
        n = read(source->fd, chunk, CHUNK_BYTES);
    while (n < 0 && errno == EINTR);
    *outp = (struct bytes){chunk, n > 0 ? (size_t)n : 0};
    return n < 0 ? -errno : 0;
}

/* Copies at most `size` bytes, and hashes what it has copied. */
static int source_copy(struct artifact_source *source, int to, struct digest *digest, uint64_t *sizep,
                       struct error *err) {
    _cleanup_(freep) uint8_t *chunk = malloc(CHUNK_BYTES);
    struct digest_state state;
    struct bytes piece = {NULL, 0};
    int r = chunk ? 0 : -ENOMEM;
    digest_init(&state);
    *sizep = 0;
    do {
        if (r == 0)
            r = source_read(source, *sizep, chunk, &piece);
        if (r == 0 && *sizep + piece.len > source->size)
            return error_set(err, -EBADMSG, "its archive is larger than the manifest says (%llu bytes)",
                             (unsigned long long)source->size);
        if (r == 0 && piece.len > 0) {
            digest_update(&state, piece);
            r = fd_write_all(to, piece.data, piece.len);
        }
        *sizep += piece.len;
    } while (r == 0 && piece.len > 0);
    *digest = digest_final(&state);
    return r < 0 ? error_errno(err, r, "copying its archive") : 0;
}

static int copy_check(const struct artifact_source *source, const struct digest *digest, uint64_t size,
                      struct error *err) {
    char got[KEDGE_DIGEST_TEXT_SIZE], want[KEDGE_DIGEST_TEXT_SIZE];
    if (size != source->size)
        return error_set(err, -EBADMSG, "its archive has %llu bytes, the manifest says %llu",
                         (unsigned long long)size, (unsigned long long)source->size);
    if (digest_equal(digest, &source->digest))
        return 0;
    digest_format(got, digest);
    digest_format(want, &source->digest);
    return error_set(err, -EBADMSG, "its archive has the digest %s, the manifest says %s", got, want);
}

static int source_import(struct artifact_import *import, struct artifact_source *source, struct error *err) {
    char path[KEDGE_PATH_MAX + 1], fresh[KEDGE_PATH_MAX + 1];
    struct digest digest;
    uint64_t size;
    int r = artifact_path(path, import->folder, &source->digest, "", err);
    if (r == 0)
        r = artifact_path(fresh, import->folder, &source->digest, ".new", err);
    if (r < 0)
        return r;
    _cleanup_(closep) int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return error_errno(err, -errno, "%s", fresh);
    r = source_copy(source, fd, &digest, &size, err);
    if (r == 0)
        r = copy_check(source, &digest, size, err);
    if (r == 0 && (fsync(fd) < 0 || rename(fresh, path) < 0))
        r = error_errno(err, -errno, "%s", path);
    if (r < 0)
        unlink(fresh);
    return r;
}

static int folder_sync(const char *folder, struct error *err) {
    _cleanup_(closep) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? error_errno(err, -errno, "%s", folder) : 0;
}

static void *import_run(void *user) {
    struct artifact_import *import = user;
    int r = 0;
    for (size_t i = 0; i < import->n_sources && r == 0; i++) {
        r = source_import(import, &import->sources[i], &import->err);
        if (r < 0)
            r = error_context(&import->err, r, "component %s", import->sources[i].name);
    }
    if (r == 0)
        r = folder_sync(import->folder, &import->err);
    import->result = r;
    (void)eventfd_write(import->event_fd, 1);
    return NULL;
}

/* ---- on the loop ---- */

int artifact_import_new(struct artifact_import **outp, const char *folder,
                        const struct artifact_source *sources, size_t n_sources, struct error *err) {
    _cleanup_(artifact_import_freep) struct artifact_import *import = calloc(1, sizeof(*import));
    if (!import || n_sources > ARTIFACT_IMPORTS_MAX) {
        for (size_t i = 0; i < n_sources; i++)
            closep(&(int){sources[i].fd});
        return error_set(err, import ? -E2BIG : -ENOMEM, "%s",
                         import ? "too many components" : "out of memory");
    }
    memcpy(import->sources, sources, n_sources * sizeof(sources[0]));
    import->n_sources = n_sources;
    import->folder = folder;
    import->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (import->event_fd < 0)
        return error_errno(err, -errno, "eventfd");
    int r = pthread_create(&import->thread, NULL, import_run, import);
    if (r != 0)
        return error_errno(err, -r, "a thread for the import");
    import->runs = true;
    *outp = TAKE(import);
    return 0;
}

int artifact_import_fd(const struct artifact_import *import) {
    return import->event_fd;
}

static void import_join(struct artifact_import *import) {
    if (import->runs)
        pthread_join(import->thread, NULL);
    import->runs = false;
}

int artifact_import_result(struct artifact_import *import, struct error *err) {
    import_join(import);
    return import->result < 0 ? error_set(err, import->result, "%s", import->err.text) : 0;
}

struct artifact_import *artifact_import_free(struct artifact_import *import) {
    if (!import)
        return NULL;
    import_join(import);
    for (size_t i = 0; i < import->n_sources; i++)
        closep(&import->sources[i].fd);
    closep(&import->event_fd);
    free(import);
    return NULL;
}
