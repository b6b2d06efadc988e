/* Why openat2 although every path was judged before: the judge reads text, the kernel resolves names. Each name is
 * resolved below a descriptor with BENEATH, NO_SYMLINKS and NO_MAGICLINKS, one folder at a time, so that neither a link
 * that the archive brought itself (the two-step chain) nor one that somebody else put there leads outside. Files are
 * made with O_EXCL: an entry that stands twice is refused, never merged. */
#include "agent/stager/unpack.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "common/base/file.h"

struct target {
    int root;
    const char *name;
    int folder; /* the folder of the last entry, kept since archives are sorted by folder */
    char folder_path[1088];
    uint64_t n_bytes;
};

static int open_beneath(int folder, const char *name, int flags, mode_t mode) {
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
                           .mode = mode,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
                                      RESOLVE_NO_XDEV};
    long fd = syscall(SYS_openat2, folder, name, &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}

/* The sentence for a failed write or creation of `path`; disk full says what people need to know. */
static int failed(const struct target *target, int code, const char *path, uint64_t size, struct error *err) {
    struct statvfs fs;
    unsigned long long mib = 1024 * 1024, needed = (target->n_bytes + size) / mib + 1, left = 0;
    switch (-code) {
    case ENOSPC:
    case EDQUOT:
        if (fstatvfs(target->root, &fs) == 0)
            left = (unsigned long long)fs.f_bavail * fs.f_frsize / mib;
        return error_set(
            err, -ENOSPC,
            "no room in %s: the release needs more than %llu MiB there and %llu MiB are left; free some and "
            "prepare again",
            target->name, needed, left);
    case EFBIG:
        return error_set(err, code, "\"%s\" with its %llu bytes is larger than this process may write to %s",
                         path, (unsigned long long)size, target->name);
    case EEXIST: return error_set(err, -EBADMSG, "\"%s\" stands twice in the archive", path);
    case ELOOP:
    case ENOTDIR: return error_set(err, -EBADMSG, "\"%s\" lies below a file or a link of the archive", path);
    case ENOSYS: return error_set(err, code, "this kernel has no openat2; Linux 5.6 or later is needed");
    default: return error_errno(err, code, "\"%s\" in %s", path, target->name);
    }
}

/* Opens the folder `part` of `folder`, made if it is missing. */
static int folder_enter(int folder, const char *part) {
    if (mkdirat(folder, part, 0755) < 0 && errno != EEXIST)
        return -errno;
    return open_beneath(folder, part, O_PATH | O_DIRECTORY, 0);
}

/* *outp: the folder `path` ("" is the top), owned by the target. */
static int folder_open(struct target *target, const char *path, int *outp) {
    if (target->folder >= 0 && strcmp(path, target->folder_path) == 0) {
        *outp = target->folder;
        return 0;
    }
    _cleanup_(closep) int folder = open_beneath(target->root, ".", O_PATH | O_DIRECTORY, 0);
    char copy[sizeof(target->folder_path)], *rest = copy;
    snprintf(copy, sizeof(copy), "%s", path);
    for (char *part; folder >= 0 && *rest && (part = strsep(&rest, "/"));) {
        int next = folder_enter(folder, part);
        close(folder);
        folder = next;
        if (!rest)
            break;
    }
    if (folder < 0)
        return folder;
    closep(&target->folder);
    snprintf(target->folder_path, sizeof(target->folder_path), "%s", path);
    *outp = target->folder = TAKE_FD(folder);
    return 0;
}

/* The folder of an entry, and its name in it. */
static int place_of(struct target *target, const char *path, int *folder, const char **name) {
    char parent[sizeof(target->folder_path)];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 0, path);
    *name = slash ? slash + 1 : path;
    return folder_open(target, parent, folder);
}

static int copy_content(struct tarball *tarball, struct target *target, const struct tarball_entry *entry,
                        int fd, struct error *err) {
    for (;;) {
        struct bytes bytes;
        int r = tarball_read(tarball, &bytes, err);
        if (r < 0 || bytes.len == 0)
            return r;
        r = fd_write_all(fd, bytes.data, bytes.len);
        if (r < 0)
            return failed(target, r, entry->path, entry->size, err);
    }
}

static int write_file(struct tarball *tarball, struct target *target, const struct tarball_entry *entry,
                      struct error *err) {
    int folder;
    const char *name;
    int r = place_of(target, entry->path, &folder, &name);
    if (r < 0)
        return failed(target, r, entry->path, entry->size, err);
    _cleanup_(closep) int fd = open_beneath(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return failed(target, fd, entry->path, entry->size, err);
    r = copy_content(tarball, target, entry, fd, err);
    if (r == 0 && fchmod(fd, entry->mode & 0777) < 0)
        r = failed(target, -errno, entry->path, entry->size, err);
    return r;
}

static int write_entry(struct tarball *tarball, struct target *target, const struct tarball_entry *entry,
                       struct error *err) {
    int folder, r = 0;
    const char *name;
    switch (entry->kind) {
    case TARBALL_FILE: return write_file(tarball, target, entry, err);
    case TARBALL_FOLDER:
        r = folder_open(target, entry->path, &folder);
        return r < 0 ? failed(target, r, entry->path, 0, err) : 0;
    case TARBALL_LINK:
        r = place_of(target, entry->path, &folder, &name);
        if (r == 0 && symlinkat(entry->link, folder, name) < 0)
            r = -errno;
        return r < 0 ? failed(target, r, entry->path, 0, err) : 0;
    }
    return error_set(err, -EBADMSG, "\"%s\" is of an unknown kind", entry->path);
}

int unpack(struct tarball *tarball, int root, const char *name, struct error *err) {
    struct target target = {.root = root, .name = name, .folder = -1};
    struct tarball_entry entry;
    int r;
    while ((r = tarball_next(tarball, &entry, err)) == 1) {
        r = write_entry(tarball, &target, &entry, err);
        if (r < 0)
            break;
        target.n_bytes += entry.size;
    }
    closep(&target.folder);
    return r;
}
