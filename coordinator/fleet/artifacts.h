/* Artifacts: the archives of releases, one file each, named by the 64 hexadecimal digits of its digest, in one folder that
 * only this room writes. A file has its name only after its content was checked, so the folder is the table. */
#ifndef KEDGE_FLEET_ARTIFACTS_H
#define KEDGE_FLEET_ARTIFACTS_H

#include "common/trust/verify.h"

enum { ARTIFACT_NAME_SIZE = 2 * KEDGE_DIGEST_LEN + 1, ARTIFACT_IMPORTS_MAX = 64 };

void artifact_name(char out[static ARTIFACT_NAME_SIZE], const struct digest *digest);

/* True if it is there, with this size. */
bool artifact_is_there(const char *folder, const struct digest *digest, uint64_t size);

/* Where an archive comes from: a descriptor (then owned by the import), or bytes (fd -1; they must outlive the import). */
struct artifact_source {
    int fd;
    struct bytes bytes;
    struct digest digest;
    uint64_t size;
    const char *name; /* of the component, for errors; must outlive the import */
};

/* Copies the archives on a thread of its own, checks size and digest, syncs, and gives each its name. `folder` must
 * outlive the import. */
struct artifact_import;
int artifact_import_new(struct artifact_import **outp, const char *folder,
                        const struct artifact_source *sources, size_t n_sources,
                        struct error *err) _must_check_;

/* Readable when it has ended. */
int artifact_import_fd(const struct artifact_import *import);

/* After its end: 0, or -EBADMSG when an archive is not the one that was named, or what the disk said. */
int artifact_import_result(struct artifact_import *import, struct error *err) _must_check_;

/* Waits for its end. */
struct artifact_import *artifact_import_free(struct artifact_import *import);
static inline void artifact_import_freep(struct artifact_import **import) {
    *import = artifact_import_free(*import);
}

#endif
