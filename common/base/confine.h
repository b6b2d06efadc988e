/* What a helper gives up at its start: root, the hope of getting it back, and core files. For programs that read what
 * strangers wrote; the executor starts them and does not need to know how they do it. */
#ifndef KEDGE_BASE_CONFINE_H
#define KEDGE_BASE_CONFINE_H

#include "common/base/error.h"

#include <stdint.h>
#include <sys/types.h>

/* A user of this machine. */
struct account {
    uid_t uid;
    gid_t gid;
};

/* -ENOENT with a sentence when there is no such user. Reads the user database: before confine. */
int account_find(const char *user, struct account *outp, struct error *err) _must_check_;

/* Becomes that account for good (no groups, no way back) when running as root; NULL, or any other user: stays who it
 * is. In both cases no program that is started can gain privileges, and no core file is written. */
int confine(const struct account *account, struct error *err) _must_check_;

/* At most `max` of a resource (RLIMIT_...), and never more than it was. */
int confine_resource(int resource, uint64_t max, struct error *err) _must_check_;

#endif
