/* Reads one file out of a release's archives, on a thread of its own: unpacking may take longer than the loop may stand. */
#ifndef KEDGE_DAEMON_SHIPPED_H
#define KEDGE_DAEMON_SHIPPED_H

#include "coordinator/daemon/daemon.h"

struct shipped;

/* `path` is that of the unpacked release. Everything must outlive it. `done` is called once from the loop, unless it is
 * freed before. */
struct shipped_request {
    sd_event *loop;
    const char *folder; /* of the artifacts */
    const struct manifest *manifest;
    const char *path;
    void (*done)(void *user);
    void *user;
};
int shipped_new(struct shipped **outp, const struct shipped_request *request, struct error *err) _must_check_;

/* After `done`: 0 with the content (data NULL: the release has no such file), or why it could not be read. */
int shipped_result(const struct shipped *shipped, struct bytes *outp, struct error *err) _must_check_;

/* Waits for its thread. */
struct shipped *shipped_free(struct shipped *shipped);

#endif
