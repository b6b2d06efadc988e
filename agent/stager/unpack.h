/* Writes an archive's entries into one folder and nowhere else, whatever the archive says (A27, A28, A29). */
#ifndef KEDGE_AGENT_STAGER_UNPACK_H
#define KEDGE_AGENT_STAGER_UNPACK_H

#include "common/archive/tarball.h"

/* `root` is the open folder, which must be empty and ours; `name` is what people call it. On failure what was written
 * stays; the caller's caller removes the folder. -EBADMSG: the archive; -ENOSPC: no room; others: this machine. */
int unpack(struct tarball *tarball, int root, const char *name, struct error *err) _must_check_;

#endif
