/* Tar archives (plain, gz, xz or zst) as a stream of entries that were already judged: what this reader hands out
 * obeys the rules for releases (A27, A28, A29), whoever made the archive. The stager unpacks with it, `release cut`
 * makes manifests with it, so both see the same files.
 *
 * Handed out: regular files, folders, relative links that stay inside. Refused: hard links, devices, fifos, sparse
 * files, paths and links that common/plan/release.h refuses, too many entries, too deep folders, too much data for the
 * size of the archive. Left out: owners, times, extended attributes, ACLs, and every mode bit above 0777. */
#ifndef KEDGE_ARCHIVE_TARBALL_H
#define KEDGE_ARCHIVE_TARBALL_H

#include "common/base/bytes.h"
#include "common/base/error.h"

enum {
    /* Folders in folders: one more than any release that we know, eight times over. */
    TARBALL_DEPTH_MAX = 64,
    /* Unpacked bytes for one of the archive, beyond the first TARBALL_RATIO_FREE_MIB. Jars in a tar have about 1,
     * sources 5 to 10. */
    TARBALL_RATIO_MAX = 200,
    TARBALL_RATIO_FREE_MIB = 64,
};

enum tarball_kind { TARBALL_FILE, TARBALL_FOLDER, TARBALL_LINK };

/* One entry; the texts live until the next call of tarball_next. */
struct tarball_entry {
    enum tarball_kind kind;
    const char *path; /* after stripping; obeys release_path_check */
    const char *link; /* TARBALL_LINK: its target; obeys release_link_check */
    uint64_t size;    /* TARBALL_FILE: bytes */
    uint32_t mode;    /* TARBALL_FILE: permission bits 0777 */
};

/* Gives the next bytes of the archive: >0 their number, with *data valid until the next call; 0 at the end; negative
 * with a sentence. Never called again after 0 or a failure. */
typedef ssize_t (*tarball_pull_fn)(void *from, const uint8_t **data, struct error *err);

struct tarball;

/* `size` is that of the archive in bytes, for the limits; `strip` leading folders are left out of every path.
 * `from` must outlive the tarball. NULL when memory is out. */
struct tarball *tarball_new(tarball_pull_fn pull, void *from, uint64_t size, unsigned strip) _must_check_;
struct tarball *tarball_free(struct tarball *tarball);
static inline void tarball_freep(struct tarball **tarball) {
    *tarball = tarball_free(*tarball);
}

/* 1 with the next entry, 0 at the end of the archive (bytes may follow in the stream), -EBADMSG with a sentence for
 * what is refused or broken, or what the pull function returned. Files and links come at most once by path only if
 * the archive is honest: the caller refuses doubles. */
int tarball_next(struct tarball *tarball, struct tarball_entry *entry, struct error *err) _must_check_;

/* The next bytes of the file that tarball_next gave; *out.len 0 at its end. All of `size` bytes come, or a failure. */
int tarball_read(struct tarball *tarball, struct bytes *out, struct error *err) _must_check_;

#endif
