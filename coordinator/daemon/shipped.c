/* What comes out is compared with the signed manifest, so a damaged archive cannot put words into a plan. */
#include "coordinator/daemon/shipped.h"

#include "common/archive/tarball.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { PULL_BYTES = 256 * 1024 };

struct shipped {
    struct shipped_request request;
    const struct component *component; /* that has the file; NULL: none has */
    const struct release_file *file;
    pthread_t thread;
    bool runs;
    int event_fd, archive_fd, result;
    sd_event_source *io;
    struct buffer content;
    uint8_t *chunk;
    struct error err;
};

/* The signed entry, and the component that holds it. */
static void file_find(struct shipped *shipped) {
    const struct manifest *manifest = shipped->request.manifest;
    for (size_t c = 0; c < manifest->n_components; c++) {
        const struct component *component = &manifest->components[c];
        const char *path = shipped->request.path;
        size_t len = strlen(component->name);
        if (manifest->n_components > 1 && (strncmp(path, component->name, len) != 0 || path[len] != '/'))
            continue;
        path += manifest->n_components > 1 ? len + 1 : 0;
        for (size_t i = 0; i < component->n_files; i++)
            if (!component->files[i].link && strcmp(component->files[i].path, path) == 0) {
                shipped->component = component;
                shipped->file = &component->files[i];
            }
    }
}

/* ---- on the thread ---- */

static ssize_t pull(void *from, const uint8_t **data, struct error *err) {
    struct shipped *shipped = from;
    ssize_t n;
    do
        n = read(shipped->archive_fd, shipped->chunk, PULL_BYTES);
    while (n < 0 && errno == EINTR);
    *data = shipped->chunk;
    return n < 0 ? error_errno(err, -errno, "reading the archive") : n;
}

static int entry_read(struct shipped *shipped, struct tarball *tarball) {
    struct bytes piece;
    int r;
    while ((r = tarball_read(tarball, &piece, &shipped->err)) == 0 && piece.len > 0) {
        buffer_append(&shipped->content, piece.data, piece.len);
        if (shipped->content.len > KEDGE_CONFIG_BYTES_MAX)
            return error_set(&shipped->err, -EFBIG, "it is larger than %d bytes", KEDGE_CONFIG_BYTES_MAX);
    }
    struct digest digest = digest_of(buffer_bytes(&shipped->content));
    if (r == 0 && (shipped->content.failed || !digest_equal(&digest, &shipped->file->digest)))
        return error_set(&shipped->err, -EBADMSG, "it is not the one that the release's manifest names");
    return r;
}

static int archive_read(struct shipped *shipped, struct tarball *tarball) {
    struct tarball_entry entry;
    int r;
    while ((r = tarball_next(tarball, &entry, &shipped->err)) == 1)
        if (entry.kind == TARBALL_FILE && strcmp(entry.path, shipped->file->path) == 0)
            return entry_read(shipped, tarball);
    return r < 0 ? r : error_set(&shipped->err, -EBADMSG, "the archive has no such file, its manifest has");
}

static int shipped_read(struct shipped *shipped) {
    char name[ARTIFACT_NAME_SIZE], path[KEDGE_PATH_MAX + 1];
    artifact_name(name, &shipped->component->artifact);
    snprintf(path, sizeof(path), "%s/%s", shipped->request.folder, name);
    shipped->archive_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (shipped->archive_fd < 0)
        return error_errno(&shipped->err, -errno, "%s", path);
    _cleanup_(tarball_freep) struct tarball *tarball =
        tarball_new(pull, shipped, shipped->component->size, shipped->component->strip);
    return tarball ? archive_read(shipped, tarball) : error_errno(&shipped->err, -ENOMEM, "archive");
}

static void *shipped_run(void *user) {
    struct shipped *shipped = user;
    shipped->result = shipped->file ? shipped_read(shipped) : 0;
    if (shipped->result < 0)
        shipped->result =
            error_context(&shipped->err, shipped->result, "%s of the release", shipped->request.path);
    (void)eventfd_write(shipped->event_fd, 1);
    return NULL;
}

/* ---- on the loop ---- */

static void shipped_join(struct shipped *shipped) {
    if (shipped->runs)
        pthread_join(shipped->thread, NULL);
    shipped->runs = false;
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *user) {
    struct shipped *shipped = user;
    (void)fd, (void)events;
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
    shipped_join(shipped);
    shipped->request.done(shipped->request.user);
    return 0;
}

static int shipped_start(struct shipped *shipped, struct error *err) {
    shipped->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    shipped->chunk = malloc(PULL_BYTES);
    if (shipped->event_fd < 0 || !shipped->chunk)
        return error_errno(err, shipped->chunk ? -errno : -ENOMEM, "reading the release");
    int r = sd_event_add_io(shipped->request.loop, &shipped->io, shipped->event_fd, EPOLLIN, on_end, shipped);
    if (r == 0)
        r = -pthread_create(&shipped->thread, NULL, shipped_run, shipped);
    shipped->runs = r == 0;
    return r < 0 ? error_errno(err, r, "reading the release") : 0;
}

int shipped_new(struct shipped **outp, const struct shipped_request *request, struct error *err) {
    struct shipped *shipped = calloc(1, sizeof(*shipped));
    if (!shipped)
        return error_errno(err, -ENOMEM, "reading the release");
    shipped->request = *request;
    shipped->event_fd = shipped->archive_fd = -1;
    file_find(shipped);
    int r = shipped_start(shipped, err);
    if (r < 0) {
        shipped_free(shipped);
        return r;
    }
    *outp = shipped;
    return 0;
}

int shipped_result(const struct shipped *shipped, struct bytes *outp, struct error *err) {
    *outp = shipped->file ? buffer_bytes(&shipped->content) : (struct bytes){NULL, 0};
    return shipped->result < 0 ? error_set(err, shipped->result, "%s", shipped->err.text) : 0;
}

struct shipped *shipped_free(struct shipped *shipped) {
    if (!shipped)
        return NULL;
    shipped_join(shipped);
    sd_event_source_disable_unref(shipped->io);
    closep(&shipped->event_fd);
    closep(&shipped->archive_fd);
    buffer_deinit(&shipped->content);
    free(shipped->chunk);
    free(shipped);
    return NULL;
}
