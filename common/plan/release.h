/* Release manifests: which files a release consists of, signed by a release key.
 * A component is one archive; it is unpacked into releases/DIGEST/ under the component's name, or at the top when it
 * is the only one. All pointers point into the arena of the decoded document. */
#ifndef KEDGE_PLAN_RELEASE_H
#define KEDGE_PLAN_RELEASE_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/trust/verify.h"

struct release_file {
    const char *path; /* after stripping; obeys release_path_check */
    uint64_t size;
    uint32_t mode;        /* permission bits 0777 */
    struct digest digest; /* of the content, or of the target of a link */
    const char *link;     /* NULL for a regular file; else a relative target that stays inside */
};

struct component {
    const char *name;
    struct digest artifact; /* of the archive as a whole */
    uint64_t size;          /* of the archive, bytes */
    uint32_t strip;
    const struct release_file *files; /* sorted by path, no doubles */
    size_t n_files;
};

struct manifest {
    uint32_t format; /* 1 */
    const char *system;
    const char *version;
    uint64_t serial;
    const struct component *components;
    size_t n_components;
};

/* 0, or -EBADMSG with a sentence that names the file and the rule which it breaks (A27, A28): paths, order, modes, digests of
 * links, names of components, and the limits of limits.h over all components together. */
int manifest_check(const struct manifest *manifest, struct error *err) _must_check_;

/* The rule for one path, shared with the stager and `release cut`: relative, 1 to 1024 of [A-Za-z0-9._+-/@=,~], no part
 * that is empty or ends with a dot. */
int release_path_check(const char *path, struct error *err) _must_check_;

/* The same for the target of the link at `path`; it may begin with "..", as far as it stays inside. */
int release_link_check(const char *path, const char *target, struct error *err) _must_check_;

#endif
