/* Why a white list of characters: what an archive may call a file is our choice, and every trick with names (A27) needs
 * a character or a part that no release of ours has. */
#include "common/plan/release.h"

#include <string.h>

static bool char_allowed(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("._+-/@=,~", c));
}

int release_path_check(const char *path, struct error *err) {
    size_t len = strlen(path);
    if (len == 0 || len > 1024)
        return error_set(err, -EBADMSG, "path of %zu bytes, expected 1 to 1024", len);
    if (path[0] == '/')
        return error_set(err, -EBADMSG, "\"%s\" is absolute, expected a path inside the release", path);
    for (size_t i = 0; i < len; i++)
        if (!char_allowed(path[i]))
            return error_set(err, -EBADMSG,
                             "path has the byte 0x%02x; allowed are letters, digits and ._+-/@=,~",
                             (unsigned char)path[i]);
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

/* A file may not lie below another file or link: a link as a folder is how archives write outside (A28). */
static bool lies_below(const char *path, const char *other) {
    size_t n = strlen(other);
    return strncmp(path, other, n) == 0 && path[n] == '/';
}

static int component_check(const struct component *component, struct error *err) {
    if (release_path_check(component->name, err) < 0 || strchr(component->name, '/'))
        return error_set(err, -EBADMSG, "component name \"%s\" is not a plain name", component->name);
    if (component->n_files == 0)
        return error_set(err, -EBADMSG, "component %s has no files", component->name);
    for (size_t i = 0; i < component->n_files; i++) {
        const struct release_file *file = &component->files[i];
        int r = release_path_check(file->path, err);
        if (r == 0 && file->link)
            r = release_link_check(file->path, file->link, err);
        if (r < 0)
            return error_context(err, r, "component %s: file %zu", component->name, i + 1);
        if (file->mode & ~0777u)
            return error_set(err, -EBADMSG, "component %s: \"%s\" has mode %o, expected permission bits only",
                             component->name, file->path, file->mode);
        if (i == 0)
            continue;
        const char *before = component->files[i - 1].path;
        if (strcmp(before, file->path) >= 0)
            return error_set(err, -EBADMSG, "component %s: \"%s\" stands twice or out of order",
                             component->name, file->path);
    }
    /* "a-b" sorts between "a" and "a/c", so neighbours are not enough. */
    for (size_t i = 0; i + 1 < component->n_files; i++)
        for (size_t k = i + 1; k < component->n_files; k++) {
            size_t n = strlen(component->files[i].path);
            if (strncmp(component->files[k].path, component->files[i].path, n) != 0)
                break;
            if (lies_below(component->files[k].path, component->files[i].path))
                return error_set(err, -EBADMSG, "component %s: \"%s\" lies below the file \"%s\"",
                                 component->name, component->files[k].path, component->files[i].path);
        }
    return 0;
}

int manifest_check(const struct manifest *manifest, struct error *err) {
    if (manifest->format != 1)
        return error_set(err, -EBADMSG, "release manifest of format %u, expected 1", manifest->format);
    if (manifest->n_components == 0)
        return error_set(err, -EBADMSG, "release %s %s has no components", manifest->system,
                         manifest->version);
    for (size_t i = 0; i < manifest->n_components; i++) {
        int r = component_check(&manifest->components[i], err);
        if (r < 0)
            return error_context(err, r, "release %s %s", manifest->system, manifest->version);
    }
    return 0;
}
