/* Why a white list of characters: what an archive may call a file is our choice, and every trick with names (A27) needs
 * a character or a part that no release of ours has. */
#include "common/plan/release.h"

#include <string.h>

static bool char_allowed(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("._+-/@=,~", c));
}

static int chars_check(const char *what, const char *text, struct error *err) {
    for (const char *c = text; *c; c++)
        if (!char_allowed(*c))
            return error_set(err, -EBADMSG,
                             "%s has the byte 0x%02x; allowed are letters, digits and ._+-/@=,~", what,
                             (unsigned char)*c);
    return 0;
}

int release_path_check(const char *path, struct error *err) {
    size_t len = strlen(path);
    if (len == 0 || len > 1024)
        return error_set(err, -EBADMSG, "path of %zu bytes, expected 1 to 1024", len);
    int r = chars_check("path", path, err); /* first: what is printed below is harmless */
    if (r < 0)
        return r;
    if (path[0] == '/')
        return error_set(err, -EBADMSG, "\"%s\" is absolute, expected a path inside the release", path);
    const char *part = path;
    for (;;) {
        size_t n = strcspn(part, "/");
        if (n == 0)
            return error_set(err, -EBADMSG, "\"%s\" has an empty part", path);
        if (strncmp(part, "..", n) == 0 && n <= 2)
            return error_set(err, -EBADMSG, "\"%s\" has a part \"%.*s\"", path, (int)n, part);
        if (part[n - 1] == '.')
            return error_set(err, -EBADMSG, "\"%s\" has a part that ends with a dot", path);
        if (part[n] == 0)
            return 0;
        part += n + 1;
    }
}

/* How deep the folder of `path` lies: parts before the last. */
static int folder_depth(const char *path) {
    int depth = 0;
    for (const char *p = path; *p; p++)
        depth += *p == '/';
    return depth;
}

int release_link_check(const char *path, const char *target, struct error *err) {
    int r = chars_check("target of a link", target, err);
    if (r < 0)
        return r;
    if (!*target || target[0] == '/' || strlen(target) > 1024)
        return error_set(err, -EBADMSG,
                         "link \"%s\" points to \"%s\", expected a relative path inside the release", path,
                         target);
    int depth = folder_depth(path);
    const char *part = target;
    bool climbing = true;
    for (;;) {
        size_t n = strcspn(part, "/");
        bool up = n == 2 && strncmp(part, "..", 2) == 0;
        if (up && !climbing)
            return error_set(err, -EBADMSG, "link \"%s\" points to \"%s\", which goes down and up again",
                             path, target);
        if (up && --depth < 0)
            return error_set(err, -EBADMSG, "link \"%s\" points to \"%s\", outside of the release", path,
                             target);
        if (!up) {
            climbing = false;
            char name[1025];
            snprintf(name, sizeof(name), "%.*s", (int)n, part);
            if (release_path_check(name, NULL) < 0)
                return error_set(err, -EBADMSG, "link \"%s\" points to \"%s\", which is not a plain path",
                                 path, target);
        }
        if (part[n] == 0)
            return climbing ? error_set(err, -EBADMSG, "link \"%s\" points to a parent folder", path) : 0;
        part += n + 1;
    }
}

/* Files are sorted by path as bytes. */
static int by_path(const void *key, const void *element) {
    const struct bytes *wanted = key;
    const char *path = ((const struct release_file *)element)->path;
    int r = strncmp((const char *)wanted->data, path, wanted->len);
    return r != 0 ? r : path[wanted->len] ? -1 : 0;
}

/* A file may not lie below another file or link: a link as a folder is how archives write outside (A28). */
static int folders_check(const struct component *component, const char *path, struct error *err) {
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct bytes folder = {(const uint8_t *)path, (size_t)(slash - path)};
        if (bsearch(&folder, component->files, component->n_files, sizeof(*component->files), by_path))
            return error_set(err, -EBADMSG, "\"%s\" lies below the file \"%.*s\"", path, (int)folder.len,
                             path);
    }
    return 0;
}

static int file_check(const struct release_file *file, struct error *err) {
    int r = release_path_check(file->path, err);
    if (r < 0)
        return r;
    if (file->mode & ~0777u)
        return error_set(err, -EBADMSG, "\"%s\" has mode %o, expected permission bits only", file->path,
                         file->mode);
    if (!file->link)
        return 0;
    struct digest digest = digest_of(bytes_of_text(file->link));
    if (file->size != 0 || !digest_equal(&digest, &file->digest))
        return error_set(err, -EBADMSG, "link \"%s\" does not match its digest", file->path);
    return release_link_check(file->path, file->link, err);
}

static int component_check(const struct component *component, struct error *err) {
    const struct release_file *files = component->files;
    if (component->n_files == 0)
        return error_set(err, -EBADMSG, "no files");
    for (size_t i = 0; i < component->n_files; i++) {
        int r = file_check(&files[i], err);
        if (r < 0)
            return error_context(err, r, "file %zu", i + 1);
        if (i > 0 && strcmp(files[i - 1].path, files[i].path) >= 0)
            return error_set(err, -EBADMSG, "\"%s\" stands twice or out of order", files[i].path);
    }
    for (size_t i = 0; i < component->n_files; i++) {
        int r = folders_check(component, files[i].path, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Components are unpacked side by side under their names. */
static int name_check(const struct manifest *manifest, size_t index, struct error *err) {
    const char *name = manifest->components[index].name;
    if (release_path_check(name, NULL) < 0 || strchr(name, '/'))
        return error_set(err, -EBADMSG, "a component's name is not a plain name");
    for (size_t i = 0; i < index; i++)
        if (strcmp(manifest->components[i].name, name) == 0)
            return error_set(err, -EBADMSG, "component %s stands twice", name);
    return 0;
}

/* A sum that cannot wrap: it stops at the first that goes past the limit. */
static int sizes_check(const struct manifest *manifest, struct error *err) {
    const uint64_t limit = (uint64_t)KEDGE_RELEASE_BYTES_MAX_GIB << 30;
    uint64_t bytes = 0;
    size_t n = 0;
    for (size_t i = 0; i < manifest->n_components; i++) {
        const struct component *component = &manifest->components[i];
        n += component->n_files;
        if (n > KEDGE_RELEASE_FILES_MAX)
            return error_set(err, -EBADMSG, "more than %d files", KEDGE_RELEASE_FILES_MAX);
        for (size_t k = 0; k <= component->n_files; k++) {
            uint64_t size = k < component->n_files ? component->files[k].size : component->size;
            if (size > limit - bytes)
                return error_set(err, -EBADMSG, "archives and files of more than %d GiB",
                                 KEDGE_RELEASE_BYTES_MAX_GIB);
            bytes += size;
        }
    }
    return 0;
}

int manifest_check(const struct manifest *manifest, struct error *err) {
    if (manifest->format != 1)
        return error_set(err, -EBADMSG, "release manifest of format %u, expected 1", manifest->format);
    if (manifest->n_components == 0)
        return error_set(err, -EBADMSG, "release %s %s has no components", manifest->system,
                         manifest->version);
    int r = sizes_check(manifest, err);
    for (size_t i = 0; r == 0 && i < manifest->n_components; i++) {
        r = name_check(manifest, i, err);
        if (r == 0)
            r = component_check(&manifest->components[i], err);
        if (r < 0)
            (void)error_context(err, r, "component %s", manifest->components[i].name);
    }
    return r < 0 ? error_context(err, r, "release %s %s", manifest->system, manifest->version) : 0;
}
