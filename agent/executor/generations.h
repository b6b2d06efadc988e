/* The folders of a member: members/M/gen/N/{release → ..., conf/, start} and the one link `current → gen/N` through which
 * new generations are started. Generation 0 is what was found: a link to the folder where it lies, a copy of its
 * configuration, its start in words. Kedge moves no link but `current`. */
#ifndef KEDGE_EXECUTOR_GENERATIONS_H
#define KEDGE_EXECUTOR_GENERATIONS_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/limits.h"

/* "STATE/members/NAME" with '/' and '@' as '_'. -ENAMETOOLONG. */
int member_folder(const char *state, const char *member, char *out, size_t size) _must_check_;

/* What a generation's folder holds. */
struct generation_files {
    const char *release;     /* what gen/N/release points to; "" none */
    const char *config_name; /* plain name under conf/; NULL none */
    struct bytes config;
    struct bytes start; /* text for people */
};

/* Makes FOLDER/gen/NUMBER as a whole: beside its place, synced, renamed. One that is there already is replaced, unless
 * `current` leads to it (-EBUSY). */
int generation_make(const char *folder, uint32_t number, const struct generation_files *files,
                    struct error *err) _must_check_;

/* Lets `current` lead to gen/NUMBER: one rename, no sync (the journal knows what was wanted). -ENOENT when there is no
 * such generation, -EEXIST when `current` is not a link. */
int generation_swap(const char *folder, uint32_t number, struct error *err) _must_check_;

/* Makes the link that generation_swap() renames, while the old service still serves; left unused it harms nobody. */
int generation_swap_prepare(const char *folder, uint32_t number, struct error *err) _must_check_;

/* The number that `current` leads to, or -ENOENT. */
int generation_current(const char *folder) _must_check_;

/* Makes all swaps so far outlive the host. */
int generation_sync(const char *folder, struct error *err) _must_check_;

/* True if `path` (resolved as far as it exists) is `folder` or lies in it. */
bool path_lies_in(const char *path, const char *folder);

#endif
