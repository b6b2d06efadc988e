/* Why not tar(1): a release is cut on build machines of every kind, and the same folder must give the same bytes. */
#include "common/archive/pack.h"
#include "common/base/bytes.h"
#include "common/base/limits.h"
#include "common/plan/release.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

static void fts_closep(FTS **fts) {
    if (*fts)
        fts_close(*fts);
}

static void archive_freep(struct archive **archive) {
    if (*archive)
        archive_write_free(*archive);
}

static void entry_freep(struct archive_entry **entry) {
    archive_entry_free(*entry);
}

static int by_name(const FTSENT **a, const FTSENT **b) {
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int content_write(struct archive *archive, const char *path, uint64_t size, struct error *err) {
    uint8_t block[65536];
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_errno(err, -errno, "%s", path);
    for (ssize_t n; (n = read(fd, block, sizeof(block))) != 0;) {
        if (n < 0)
            return error_errno(err, -errno, "%s", path);
        if ((uint64_t)n > size)
            return error_set(err, -EBADMSG, "%s grew while it was packed", path);
        size -= (uint64_t)n;
        if (archive_write_data(archive, block, (size_t)n) != n)
            return error_set(err, -EIO, "packing %s: %s", path, archive_error_string(archive));
    }
    return size == 0 ? 0 : error_set(err, -EBADMSG, "%s shrank while it was packed", path);
}

static int entry_write(struct archive *archive, const FTSENT *f, const char *name, struct error *err) {
    _cleanup_(entry_freep) struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return error_set(err, -ENOMEM, "out of memory");
    archive_entry_set_pathname(entry, name);
    archive_entry_set_perm(entry, f->fts_statp->st_mode & 0777);
    if (f->fts_info == FTS_F) {
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_size(entry, f->fts_statp->st_size);
    } else {
        char target[1025];
        ssize_t n = readlink(f->fts_accpath, target, sizeof(target) - 1);
        if (n < 0)
            return error_errno(err, -errno, "%s", f->fts_path);
        target[n] = 0;
        int r = release_link_check(name, target, err);
        if (r < 0)
            return r;
        archive_entry_set_filetype(entry, AE_IFLNK);
        archive_entry_set_symlink(entry, target);
    }
    if (archive_write_header(archive, entry) != ARCHIVE_OK)
        return error_set(err, -EIO, "packing %s: %s", f->fts_path, archive_error_string(archive));
    return f->fts_info == FTS_F ? content_write(archive, f->fts_accpath, (uint64_t)f->fts_statp->st_size, err)
                                : 0;
}

static int tree_write(struct archive *archive, const char *folder, struct error *err) {
    char *roots[] = {(char *)(uintptr_t)folder, NULL};
    _cleanup_(fts_closep) FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (!fts)
        return error_errno(err, -errno, "%s", folder);
    int r = 0;
    errno = 0;
    for (FTSENT *f; r == 0 && (f = fts_read(fts));) {
        if (f->fts_info == FTS_D || f->fts_info == FTS_DP)
            continue; /* folders come from the paths of their files */
        if (f->fts_info != FTS_F && f->fts_info != FTS_SL && f->fts_info != FTS_SLNONE)
            return error_set(err, -EINVAL,
                             "%s: only regular files and relative links can be in a release%s%s", f->fts_path,
                             f->fts_errno ? ": " : "", f->fts_errno ? strerror(f->fts_errno) : "");
        const char *name = f->fts_path + strlen(folder);
        name += strspn(name, "/");
        r = release_path_check(name, err);
        if (r == 0)
            r = entry_write(archive, f, name, err);
        errno = 0;
    }
    return r == 0 && errno != 0 ? error_errno(err, -errno, "%s", folder) : r;
}

int pack_folder(const char *folder, const char *path, struct error *err) {
    _cleanup_(archive_freep) struct archive *archive = archive_write_new();
    _cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, -errno, "%s", path);
    int r =
        archive && archive_write_add_filter_gzip(archive) == ARCHIVE_OK &&
                archive_write_set_format_ustar(archive) == ARCHIVE_OK &&
                archive_write_set_options(archive, "gzip:!timestamp") == ARCHIVE_OK &&
                archive_write_open_fd(archive, fd) == ARCHIVE_OK
            ? 0
            : error_set(err, -EIO, "%s: %s", path, archive ? archive_error_string(archive) : "out of memory");
    if (r == 0)
        r = tree_write(archive, folder, err);
    if (r == 0 && archive_write_close(archive) != ARCHIVE_OK)
        r = error_set(err, -EIO, "%s: %s", path, archive_error_string(archive));
    if (r < 0)
        unlink(path);
    return r;
}
