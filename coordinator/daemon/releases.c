/* A release is its signed manifest; its archives lie in the artifacts' folder by digest. */
#include "coordinator/daemon/daemon.h"

#include "common/base/log.h"

#include <string.h>

enum { RELEASE_ARENA_BYTES_MAX = 64 * 1024 * 1024 };

struct release *release_free(struct release *release) {
    if (release)
        arena_free(release->arena);
    free(release);
    return NULL;
}

static void release_freep(struct release **release) {
    *release = release_free(*release);
}

int release_new(const struct daemon *d, struct bytes blob, uint64_t added_ms, struct release **outp,
                struct error *err) {
    _cleanup_(release_freep) struct release *release = calloc(1, sizeof(*release));
    if (!release || !(release->arena = arena_new(RELEASE_ARENA_BYTES_MAX)) ||
        !(release->blob.data = arena_copy(release->arena, blob.data, blob.len)))
        return error_errno(err, -ENOMEM, "release");
    release->blob.len = blob.len;
    release->added_ms = added_ms;
    release->digest = digest_of(blob);
    int r = manifest_verify(&d->config->anchors, release->blob, release->arena, &release->manifest, err);
    if (r < 0)
        return r;
    *outp = TAKE(release);
    return 0;
}

int release_put(struct daemon *d, struct release *release, struct error *err) {
    struct release **releases = realloc(d->releases, (d->n_releases + 1) * sizeof(*releases));
    if (!releases) {
        release_free(release);
        return error_errno(err, -ENOMEM, "release");
    }
    d->releases = releases;
    releases[d->n_releases++] = release;
    return 0;
}

static int release_load(void *user, const struct store_release *stored, struct error *err) {
    struct daemon *d = user;
    struct release *release;
    struct error why;
    if (release_new(d, stored->manifest, stored->added_ms, &release, &why) < 0) {
        log_error("release", "one is left out: %s", why.text);
        return 0;
    }
    return release_put(d, release, err);
}

int releases_load(struct daemon *d, struct error *err) {
    return store_releases(d->store, release_load, d, err);
}

void releases_deinit(struct daemon *d) {
    for (size_t i = 0; i < d->n_releases; i++)
        release_free(d->releases[i]);
    free(d->releases);
}

static bool release_is_named(const struct release *release, const char *name) {
    size_t len = strlen(release->manifest->system);
    return strncmp(name, release->manifest->system, len) == 0 && name[len] == '-' &&
           strcmp(name + len + 1, release->manifest->version) == 0;
}

const struct release *release_find(const struct daemon *d, const char *name) {
    for (size_t i = d->n_releases; name && i-- > 0;)
        if (release_is_named(d->releases[i], name))
            return d->releases[i];
    return NULL;
}

const struct release *release_find_digest(const struct daemon *d, const struct digest *digest) {
    for (size_t i = 0; i < d->n_releases; i++)
        if (digest_equal(&d->releases[i]->digest, digest))
            return d->releases[i];
    return NULL;
}
