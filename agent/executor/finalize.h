/* A finalized member: which version nothing leads back from, and the removal of what was kept for the way back. */
#ifndef KEDGE_EXECUTOR_FINALIZE_H
#define KEDGE_EXECUTOR_FINALIZE_H

#include "agent/executor/executor.h"

/* Puts it into the journal, unsynced: with the outcome of the step that did it. */
void finalize_note(struct member *member, const char *version);

/* "" when it never was. */
const char *finalize_version(const struct member *member);

/* Removes all generations but the one that runs, and releases that nothing on this node uses then. Does nothing when the
 * member is not finalized on what runs. */
void finalize_prune(struct member *member);

#endif
