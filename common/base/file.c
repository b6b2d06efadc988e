/* Why sync before the rename: without it a power cut may leave the new name on an empty file. */
#include "common/base/file.h"

#include "common/base/limits.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

int file_read(const char *path, size_t max, struct buffer *out, struct error *err) {
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, -errno, "%s", path);
    for (;;) {
        uint8_t chunk[65536];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, -errno, "%s", path);
        if (n == 0)
            break;
        if (out->len + (size_t)n > max)
            return error_set(err, -EFBIG, "%s: larger than %zu bytes", path, max);
        buffer_append(out, chunk, (size_t)n);
        if (out->failed) /* it does not grow any more, so the cap would never be reached */
            return error_errno(err, -ENOMEM, "%s", path);
    }
    return 0;
}

int fd_write_all(int fd, const void *data, size_t len) {
    const uint8_t *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int folder_sync_of(const char *path) {
    char folder[KEDGE_PATH_MAX + 1];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        snprintf(folder, sizeof(folder), ".");
    else
        slash[slash == folder ? 1 : 0] = 0;
    _cleanup_(closep) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

int file_write(const char *path, struct bytes content, mode_t mode, struct error *err) {
    char fresh[KEDGE_PATH_MAX + 1];
    int n = snprintf(fresh, sizeof(fresh), "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof(fresh))
        return error_set(err, -ENAMETOOLONG, "%s: path is too long", path);
    (void)unlink(
        fresh); /* left by a crash, or laid there by somebody: neither its mode nor its target are ours */
    _cleanup_(closep) int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return error_errno(err, -errno, "%s", fresh);
    int r = fd_write_all(fd, content.data, content.len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && rename(fresh, path) < 0)
        r = -errno;
    if (r == 0)
        r = folder_sync_of(path);
    if (r < 0) {
        unlink(fresh);
        return error_errno(err, r, "%s", path);
    }
    return 0;
}

int folder_make(const char *path, mode_t mode, struct error *err) {
    char part[KEDGE_PATH_MAX + 1];
    int n = snprintf(part, sizeof(part), "%s", path);
    if (n < 0 || (size_t)n >= sizeof(part))
        return error_set(err, -ENAMETOOLONG, "%s: path is too long", path);
    if (n == 0)
        return error_set(err, -EINVAL, "a folder without a name");
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return error_errno(err, -errno, "%s", part);
        *p = '/';
    }
    if (mkdir(part, mode) < 0 && errno != EEXIST)
        return error_errno(err, -errno, "%s", part);
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int folder_remove(const char *path, struct error *err) {
    if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        return error_errno(err, -errno, "%s", path);
    return 0;
}
