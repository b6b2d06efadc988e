/* Brings a release onto the node: for each component a kedge-stager without privilege fetches and unpacks the artifact
 * into a private folder; then the executor takes the tree over, holds it against the signed manifest file by file, and
 * renames it into place as releases/DIGEST. A release that lies there already is used as it is.
 *
 * What stands in releases/ was complete and verified when it was renamed; nothing else is ever under that name. */
#ifndef KEDGE_EXECUTOR_STAGE_H
#define KEDGE_EXECUTOR_STAGE_H

#include "common/plan/release.h"

#include <systemd/sd-event.h>

struct stage_spec {
    const char *stager;              /* path of kedge-stager */
    const char *user;                /* it runs as this user when the agent is root; NULL: the agent's own */
    const char *artifacts;           /* "http://host:port" */
    const char *releases;            /* folder; made if missing */
    const struct manifest *manifest; /* must stay valid until `done` or cancel */
    struct digest name;              /* of the signed manifest blob: the folder's name */
    uint32_t deadline_ms;            /* for all components together */
};

/* r is 0, or -errno with the sentence in err->text. */
typedef void (*stage_done)(void *context, int r, const struct error *err);

struct stage_run;

/* `done` is called once from the loop, unless stage_cancel came first; never from within stage_start. */
int stage_start(sd_event *loop, const struct stage_spec *spec, stage_done done, void *context,
                struct stage_run **outp, struct error *err) _must_check_;

/* Ends the stager and removes what it made. Accepts NULL, returns NULL. */
struct stage_run *stage_cancel(struct stage_run *run);

/* The path of a release, "RELEASES/HEX"; true if it is there. */
bool stage_is_there(const char *releases, const struct digest *name, char *path, size_t size);

/* Holds a folder against a component, and makes it ours: owner, modes, exactly the listed files, their sizes and digests.
 * -EBADMSG with a sentence that names the file. Used by stage_start; public for its tests. */
int stage_take_over(const char *folder, const struct component *component, struct error *err) _must_check_;

#endif
