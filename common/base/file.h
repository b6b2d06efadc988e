/* Small files as a whole: read with a cap, write so that a crash leaves the old or the new one. */
#ifndef KEDGE_BASE_FILE_H
#define KEDGE_BASE_FILE_H

#include "common/base/bytes.h"
#include "common/base/error.h"

#include <sys/types.h>

/* Reads at most `max` bytes into `out` (initialised by the caller); -EFBIG when the file is larger. */
int file_read(const char *path, size_t max, struct buffer *out, struct error *err) _must_check_;

/* Writes PATH.new, syncs it, renames it over PATH and syncs the folder. */
int file_write(const char *path, struct bytes content, mode_t mode, struct error *err) _must_check_;

/* Makes the name of a file durable: syncs the folder that it lies in. 0 or -errno. */
int folder_sync_of(const char *path) _must_check_;

/* Makes the folder and its parents; an existing folder is fine. */
int folder_make(const char *path, mode_t mode, struct error *err) _must_check_;

/* Removes a folder with all in it, never following a link; a missing one is fine. */
int folder_remove(const char *path, struct error *err) _must_check_;

/* Writes all of it, whatever the signals. 0 or -errno. */
int fd_write_all(int fd, const void *data, size_t len) _must_check_;

#endif
