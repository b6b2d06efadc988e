/* Serves artifacts over plain HTTP: GET and HEAD of /artifact/<64 hexadecimal digits>, nothing else. Agents trust what
 * they fetch by its digest only, so there is nothing to protect but this program. Threads of its own. */
#ifndef KEDGE_FLEET_ARTIFACT_SERVER_H
#define KEDGE_FLEET_ARTIFACT_SERVER_H

#include "common/base/error.h"

enum {
    ARTIFACT_CONNECTIONS_MAX = 512,
    ARTIFACT_CONNECTIONS_PER_ADDRESS_MAX = 64,
    ARTIFACT_IDLE_S = 30,
};

struct artifact_server;

/* Listens on "HOST:PORT" (numeric; port 0 takes any) and serves the files of `folder`. -EADDRINUSE, -EADDRNOTAVAIL,
 * -EACCES with a sentence. */
int artifact_server_new(struct artifact_server **outp, const char *address, const char *folder,
                        struct error *err) _must_check_;
int artifact_server_port(const struct artifact_server *server);

/* Ends all transfers. */
struct artifact_server *artifact_server_free(struct artifact_server *server);
static inline void artifact_server_freep(struct artifact_server **server) {
    *server = artifact_server_free(*server);
}

#endif
