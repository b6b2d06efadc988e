/* Why one link and not one per thing: release, configuration and start mode change together in one rename, and the way
 * back is the rename back. A generation is written as gen/.new and renamed, so that a number names a whole folder. */
#include "agent/executor/generations.h"

#include "common/base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int member_folder(const char *state, const char *member, char *out, size_t size) {
    int n = snprintf(out, size, "%s/members/%s", state, member);
    if (n < 0 || (size_t)n >= size)
        return -ENAMETOOLONG;
    for (char *p = out + strlen(state) + strlen("/members/"); *p; p++)
        if (*p == '/' || *p == '@')
            *p = '_';
    return 0;
}

static int path_join(char *out, const char *folder, const char *rest, struct error *err) {
    int n = snprintf(out, KEDGE_PATH_MAX + 1, "%s/%s", folder, rest);
    return n < 0 || n > KEDGE_PATH_MAX
               ? error_set(err, -ENAMETOOLONG, "%s/%s: path is too long", folder, rest)
               : 0;
}

static int sync_folder(const char *path, struct error *err) {
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return error_errno(err, -errno, "%s", path);
    return 0;
}

/* Readable for the service's user, writable for nobody else; our umask is stricter. */
static int write_file(const char *path, struct bytes content, mode_t mode, struct error *err) {
    int r = file_write(path, content, mode, err);
    if (r == 0 && chmod(path, mode) < 0)
        r = error_errno(err, -errno, "%s", path);
    return r;
}

static int make_folder(const char *path, struct error *err) {
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return error_errno(err, -errno, "%s", path);
    return chmod(path, 0755) < 0 ? error_errno(err, -errno, "%s", path) : 0;
}

static int fill(const char *fresh, const struct generation_files *files, struct error *err) {
    char path[KEDGE_PATH_MAX + 1];
    int r = path_join(path, fresh, "release", err);
    if (r == 0 && files->release[0] && symlink(files->release, path) < 0)
        r = error_errno(err, -errno, "%s", path);
    if (r == 0)
        r = path_join(path, fresh, "conf", err);
    if (r == 0)
        r = make_folder(path, err);
    if (r == 0 && files->config_name) {
        char name[KEDGE_NAME_MAX + 8];
        snprintf(name, sizeof(name), "conf/%.*s", KEDGE_NAME_MAX, files->config_name);
        r = path_join(path, fresh, name, err);
        if (r == 0)
            r = write_file(path, files->config, 0644, err);
    }
    if (r == 0)
        r = path_join(path, fresh, "start", err);
    return r < 0 ? r : write_file(path, files->start, 0600, err);
}

static int make_parents(const char *folder, char *gen, struct error *err) {
    int r = folder_make(folder, 0755, err);
    if (r == 0)
        r = path_join(gen, folder, "gen", err);
    /* The service's user must get through to its configuration; what is secret lies elsewhere. */
    if (r == 0 && chmod(folder, 0755) < 0)
        r = error_errno(err, -errno, "%s", folder);
    return r < 0 ? r : make_folder(gen, err);
}

int generation_make(const char *folder, uint32_t number, const struct generation_files *files,
                    struct error *err) {
    char gen[KEDGE_PATH_MAX + 1], fresh[KEDGE_PATH_MAX + 1], place[KEDGE_PATH_MAX + 1], name[16];
    if (generation_current(folder) == (int)number)
        return error_set(err, -EBUSY, "generation %u is the one that runs and is not written again", number);
    snprintf(name, sizeof(name), "%u", number);
    int r = make_parents(folder, gen, err);
    if (r == 0)
        r = path_join(fresh, gen, ".new", err);
    if (r == 0)
        r = path_join(place, gen, name, err);
    if (r == 0)
        r = folder_remove(fresh, err);
    if (r == 0)
        r = make_folder(fresh, err);
    if (r == 0)
        r = fill(fresh, files, err);
    if (r == 0)
        r = sync_folder(fresh, err);
    if (r == 0)
        r = folder_remove(place, err);
    if (r == 0 && rename(fresh, place) < 0)
        r = error_errno(err, -errno, "%s", place);
    return r < 0 ? error_context(err, r, "generation %u", number) : sync_folder(gen, err);
}

/* `current.new` points to the target; made if it does not already. */
static int next_link(int fd, const char *folder, const char *target, struct error *err) {
    char made[32];
    ssize_t n = readlinkat(fd, "current.new", made, sizeof(made));
    if (n == (ssize_t)strlen(target) && memcmp(made, target, strlen(target)) == 0)
        return 0;
    if (unlinkat(fd, "current.new", 0) < 0 && errno != ENOENT)
        return error_errno(err, -errno, "%s/current.new", folder);
    if (symlinkat(target, fd, "current.new") < 0)
        return error_errno(err, -errno, "%s/current.new", folder);
    return 0;
}

static int swap(const char *folder, uint32_t number, bool for_good, struct error *err) {
    char target[32];
    struct stat st;
    snprintf(target, sizeof(target), "gen/%u", number);
    _cleanup_(closep) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstatat(fd, target, &st, 0) < 0)
        return error_errno(err, -errno, "%s/%s", folder, target);
    if (fstatat(fd, "current", &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode))
        return error_set(err, -EEXIST, "%s/current is not a link that this agent made", folder);
    int r = next_link(fd, folder, target, err);
    if (r == 0 && for_good && renameat(fd, "current.new", fd, "current") < 0)
        return error_errno(err, -errno, "%s/current", folder);
    return r;
}

int generation_swap_prepare(const char *folder, uint32_t number, struct error *err) {
    return swap(folder, number, false, err);
}

int generation_swap(const char *folder, uint32_t number, struct error *err) {
    return swap(folder, number, true, err);
}

int generation_current(const char *folder) {
    char path[KEDGE_PATH_MAX + 1], target[32];
    if (path_join(path, folder, "current", NULL) < 0)
        return -ENAMETOOLONG;
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return -errno;
    target[n] = 0;
    unsigned long number = strncmp(target, "gen/", 4) == 0 ? strtoul(target + 4, NULL, 10) : ~0ul;
    return number <= INT32_MAX ? (int)number : -ENOENT;
}

int generation_sync(const char *folder, struct error *err) {
    return sync_folder(folder, err);
}

/* The longest part of the path that exists, resolved, and the rest as it is. */
static bool resolve(const char *path, char out[static KEDGE_PATH_MAX + 1]) {
    char head[KEDGE_PATH_MAX + 1], resolved[KEDGE_PATH_MAX + 1];
    if (snprintf(head, sizeof(head), "%s", path) > KEDGE_PATH_MAX)
        return false;
    size_t len = strlen(head);
    while (!realpath(head, resolved)) {
        char *slash = strrchr(head, '/');
        if (!slash || slash == head)
            return snprintf(out, KEDGE_PATH_MAX + 1, "%s", path) <= KEDGE_PATH_MAX;
        *slash = 0;
        len = (size_t)(slash - head);
    }
    return snprintf(out, KEDGE_PATH_MAX + 1, "%s%s", resolved, path[len] ? path + len : "") <= KEDGE_PATH_MAX;
}

bool path_lies_in(const char *path, const char *folder) {
    char a[KEDGE_PATH_MAX + 1], b[KEDGE_PATH_MAX + 1];
    if (!folder[0] || !resolve(path, a) || !resolve(folder, b))
        return false;
    size_t len = strlen(b);
    return strncmp(a, b, len) == 0 && (a[len] == 0 || a[len] == '/' || b[len - 1] == '/');
}
