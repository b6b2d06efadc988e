/* Packs a folder into a .tar.gz whose bytes depend on nothing but names, modes and content: sorted, no owners, no times,
 * so that cutting the same release twice gives the same digest. */
#ifndef KEDGE_ARCHIVE_PACK_H
#define KEDGE_ARCHIVE_PACK_H

#include "common/base/error.h"

/* Regular files and relative links only; anything else is refused by name. Writes ARCHIVE, which must not exist. */
int pack_folder(const char *folder, const char *archive, struct error *err) _must_check_;

#endif
