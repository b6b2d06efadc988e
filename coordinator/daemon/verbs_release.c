/* Releases: a manifest that was signed by a release key, and its archives, which are copied and compared with it on a
 * thread of their own. The release is known only when all of them lie where agents fetch them. */
#include "coordinator/daemon/clients.h"

#include "common/base/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

static json_t *release_object(const struct daemon *d, const struct release *release) {
    return json_pack("{s:o}", "release", json_release(d, release));
}

void verb_release_list(struct client *client) {
    const struct daemon *d = client->daemon;
    json_t *releases = json_array();
    for (size_t i = 0; i < d->n_releases; i++)
        json_add(releases, json_release(d, d->releases[i]));
    client_done(client, json_pack("{s:o,s:o}", "releases", releases, "quarantines", json_quarantines(d)));
}

void verb_release_show(struct client *client) {
    const char *name = client_argument(client, "release");
    const struct release *release = release_find(client->daemon, name);
    if (!release)
        client_refuse(client, CLIENT_BAD_INPUT, "release %s: there is none; see kedge release list",
                      name ? name : "?");
    else
        client_reply(client, CLIENT_DONE, release_object(client->daemon, release), &release->blob, "");
}

/* ---- adding ---- */

/* Goes on without its client, since what was begun is wanted anyway. */
struct adding {
    struct daemon *daemon;
    struct client *client;
    struct release *release;
    struct arena *arena; /* the request's, whose blobs are copied */
    struct artifact_import *import;
    sd_event_source *io;
};

static void adding_free(struct adding *adding) {
    artifact_import_free(adding->import); /* it has ended */
    sd_event_source_disable_unref(adding->io);
    release_free(adding->release);
    arena_free(adding->arena);
    free(adding);
}

static void adding_forget(void *operation) {
    struct adding *adding = operation;
    adding->client = NULL;
}

static int adding_keep(struct adding *adding, struct error *err) {
    const struct release *release = adding->release;
    if (release_find_digest(adding->daemon, &release->digest))
        return 0; /* known already; its archive was read once more */
    struct store_release stored = {release->digest, release->blob, release->added_ms};
    int r = store_release_put(adding->daemon->store, &stored, err);
    return r == 0 ? release_put(adding->daemon, TAKE(adding->release), err) : r;
}

static void adding_end(struct adding *adding) {
    struct daemon *d = adding->daemon;
    struct client *client = adding->client;
    struct error err;
    struct digest digest = adding->release->digest;
    int r = adding->import ? artifact_import_result(adding->import, &err) : 0;
    if (r < 0) {
        const struct manifest *manifest = adding->release->manifest;
        (void)error_context(&err, r, "release %s-%s", manifest->system, manifest->version);
        log_warning("release", "%s", err.text);
        if (client)
            client_refuse(client, r == -EBADMSG ? CLIENT_REFUSED : CLIENT_FAILED, "%s", err.text);
        adding_free(adding);
        return;
    }
    if (adding_keep(adding, &err) < 0)
        daemon_fail(d, -EIO, &err);
    else if (client)
        client_done(client, release_object(d, release_find_digest(d, &digest)));
    adding_free(adding);
}

static int on_import(sd_event_source *source, int fd, uint32_t events, void *user) {
    (void)source, (void)fd, (void)events;
    adding_end(user);
    return 0;
}

/* The i-th `archive` argument, or NULL. */
static const char *archive_argument(const struct client *client, size_t index) {
    for (size_t i = 0; i < client->request->n_arguments; i++)
        if (strcmp(client->request->arguments[i].name, "archive") == 0 && index-- == 0)
            return client->request->arguments[i].value;
    return NULL;
}

/* Where component i comes from: the request's blobs, or a file that kedged may read. */
static int source_open(const struct client *client, size_t i, struct artifact_source *source,
                       struct error *err) {
    const char *path = archive_argument(client, i);
    if (i + 1 < client->request->n_blobs) {
        source->bytes = client->request->blobs[i + 1];
        return 0;
    }
    if (!path)
        return error_set(err, -EINVAL, "component %s: its archive did not come with it", source->name);
    if (path[0] != '/')
        return error_set(err, -EINVAL, "component %s: %s is not an absolute path", source->name, path);
    struct stat st;
    source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (source->fd < 0 || fstat(source->fd, &st) < 0)
        return error_errno(err, -errno, "component %s: %s", source->name, path);
    return S_ISREG(st.st_mode) ? 0
                               : error_set(err, -EINVAL, "component %s: %s is no file", source->name, path);
}

/* What comes with the request is read and judged, also when an archive of that digest is here already: who hands over a
 * damaged one must hear of it, and a damaged copy here is replaced. */
static bool comes_with(const struct client *client, size_t i) {
    return i + 1 < client->request->n_blobs || archive_argument(client, i);
}

static int sources_open(const struct client *client, const struct manifest *manifest,
                        struct artifact_source *sources, size_t *np, struct error *err) {
    const char *folder = client->daemon->artifacts_path;
    int r = 0;
    *np = 0;
    if (manifest->n_components > ARTIFACT_IMPORTS_MAX)
        return error_set(err, -EINVAL, "it has %zu components, at most %d are taken", manifest->n_components,
                         ARTIFACT_IMPORTS_MAX);
    for (size_t i = 0; i < manifest->n_components && r == 0; i++) {
        const struct component *component = &manifest->components[i];
        struct artifact_source *source = &sources[*np];
        *source =
            (struct artifact_source){-1, {NULL, 0}, component->artifact, component->size, component->name};
        if (!comes_with(client, i) && artifact_is_there(folder, &component->artifact, component->size))
            continue;
        ++*np;
        r = source_open(client, i, source, err);
    }
    for (size_t i = 0; r < 0 && i < *np; i++)
        closep(&sources[i].fd);
    return r;
}

static int adding_begin(struct adding *adding, struct error *err) {
    struct daemon *d = adding->daemon;
    struct artifact_source sources[ARTIFACT_IMPORTS_MAX];
    size_t n;
    int r = sources_open(adding->client, adding->release->manifest, sources, &n, err);
    if (r < 0 || n == 0)
        return r;
    r = artifact_import_new(&adding->import, d->artifacts_path, sources, n, err);
    if (r == 0 && (r = sd_event_add_io(d->loop, &adding->io, artifact_import_fd(adding->import), EPOLLIN,
                                       on_import, adding)) < 0)
        r = error_errno(err, r, "import");
    return r;
}

void verb_release_add(struct client *client) {
    struct daemon *d = client->daemon;
    struct release *release;
    struct error err;
    int r = release_new(d, client->request->blobs[0], daemon_now(d), &release, &err);
    if (r < 0) {
        client_refuse(client, r == -EBADMSG ? CLIENT_BAD_INPUT : CLIENT_REFUSED, "%s", err.text);
        return;
    }
    struct adding *adding = calloc(1, sizeof(*adding));
    if (!adding)
        abort();
    *adding = (struct adding){.daemon = d, .client = client, .release = release};
    r = adding_begin(adding, &err);
    if (r < 0) {
        client_refuse(client, r == -EINVAL || r == -ENOENT ? CLIENT_BAD_INPUT : CLIENT_FAILED, "%s",
                      err.text);
        adding_free(adding);
        return;
    }
    adding->arena = TAKE(client->arena);
    client_begin(client, adding, adding_forget);
    if (!adding->import)
        adding_end(adding);
}
