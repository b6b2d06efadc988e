/* SQLite behind a handful of calls; database.c is the only file of Kedge that knows it. A database is opened with WAL and
 * synchronous=FULL: what was committed is on the disk. Used from one thread.
 *
 *     _cleanup_(statement_freep) struct statement *s = NULL;
 *     if ((r = statement_new(db, "SELECT name FROM nodes WHERE key = ?", &s, err)) < 0)
 *         return r;
 *     statement_bind_bytes(s, 1, key);
 *     while ((r = statement_step(s, err)) == STATEMENT_ROW)
 *         use(statement_text(s, 0));
 *
 * Errors are negative errno values with SQLite's own sentence behind the file's name; -ENOSPC, -EIO, -EROFS, -ENOMEM and
 * -EBUSY (another program holds it) are told apart, everything else is -EIO. */
#ifndef KEDGE_SQLITE_DATABASE_H
#define KEDGE_SQLITE_DATABASE_H

#include "common/base/bytes.h"
#include "common/base/error.h"

struct database;
struct statement;

/* Makes the file (0600) when it is missing, and keeps it to this program until it is closed. */
int database_open(const char *path, struct database **outp, struct error *err) _must_check_;
struct database *database_close(struct database *database);
static inline void database_closep(struct database **database) {
    *database = database_close(*database);
}

/* One or more statements without results. */
int database_run(struct database *database, const char *sql, struct error *err) _must_check_;

/* Compiles one statement; parameters and columns are numbered as SQLite does: from 1 and from 0. */
int statement_new(struct database *database, const char *sql, struct statement **outp,
                  struct error *err) _must_check_;
struct statement *statement_free(struct statement *statement);
static inline void statement_freep(struct statement **statement) {
    *statement = statement_free(*statement);
}

/* Values are borrowed until the next statement_reset. A failure shows at the next step. */
void statement_bind_u64(struct statement *statement, int parameter, uint64_t value);
void statement_bind_text(struct statement *statement, int parameter, const char *text);
void statement_bind_bytes(struct statement *statement, int parameter, struct bytes bytes);

enum statement_outcome { STATEMENT_DONE, STATEMENT_ROW };

/* An outcome, or negative. */
int statement_step(struct statement *statement, struct error *err) _must_check_;

/* Runs a statement that returns no rows, and makes it ready for the next values. */
int statement_run(struct statement *statement, struct error *err) _must_check_;

/* Ready for the next values. */
void statement_reset(struct statement *statement);

/* Of the row that the last step gave; valid until the next step. A NULL is 0, "" or no bytes. */
uint64_t statement_u64(struct statement *statement, int column);
const char *statement_text(struct statement *statement, int column);
struct bytes statement_bytes(struct statement *statement, int column);

#endif
