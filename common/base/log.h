/* Diagnostics for the person who runs a program: one line on standard error, `level id: text`.
 * Never blocks on a peer: what is not clean in foreign text (text.h) is replaced and lines are cut at 2 KiB. */
#ifndef KEDGE_BASE_LOG_H
#define KEDGE_BASE_LOG_H

#include "common/base/cleanup.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `program` is printed in front of every line; must stay valid. KEDGE_LOG=error|warning|info|debug sets the level,
 * the default is info. */
void log_open(const char *program);

/* `id` is a short fixed word that can be searched for: "session", "journal", "switch". */
void log_at(enum log_level level, const char *id, const char *format, ...) _printf_(3, 4);

#define log_error(id, ...) log_at(LOG_LEVEL_ERROR, id, __VA_ARGS__)
#define log_warning(id, ...) log_at(LOG_LEVEL_WARNING, id, __VA_ARGS__)
#define log_info(id, ...) log_at(LOG_LEVEL_INFO, id, __VA_ARGS__)
#define log_debug(id, ...) log_at(LOG_LEVEL_DEBUG, id, __VA_ARGS__)

#endif
