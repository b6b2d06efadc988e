/* Why locking_mode=EXCLUSIVE: one coordinator owns its journal; a second one on the same folder is refused at once instead
 * of interleaving records. It also spares the shared-memory file of the WAL. */
#include "common/sqlite/database.h"

#include <assert.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>

struct database {
    sqlite3 *db;
    char *path;
};

struct statement {
    sqlite3_stmt *stmt;
    struct database *database;
    int bound; /* the first failure of a bind */
};

static int errno_of(int code) {
    switch (code & 0xff) {
    case SQLITE_NOMEM: return -ENOMEM;
    case SQLITE_FULL: return -ENOSPC;
    case SQLITE_READONLY: return -EROFS;
    case SQLITE_BUSY: return -EBUSY;
    case SQLITE_CANTOPEN: return -EACCES;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT: return -EBADMSG;
    default: return -EIO;
    }
}

static int database_failed(struct database *database, int code, struct error *err) {
    if ((code & 0xff) == SQLITE_BUSY)
        return error_set(err, -EBUSY, "%s: another program uses it", database->path);
    return error_set(err, errno_of(code), "%s: %s", database->path, sqlite3_errmsg(database->db));
}

int database_run(struct database *database, const char *sql, struct error *err) {
    int code = sqlite3_exec(database->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : database_failed(database, code, err);
}

int database_open(const char *path, struct database **outp, struct error *err) {
    _cleanup_(database_closep) struct database *database = calloc(1, sizeof(*database));
    if (!database || !(database->path = strdup(path)))
        return error_errno(err, -ENOMEM, "%s", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(err, -errno, "%s", path);
    close(fd); /* before SQLite locks it: closing any descriptor of a file drops POSIX locks on it */
    int code = sqlite3_open_v2(path, &database->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return database->db ? database_failed(database, code, err) : error_errno(err, -ENOMEM, "%s", path);
    sqlite3_extended_result_codes(database->db, 1);
    int r = database_run(database,
                         "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                         "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; BEGIN EXCLUSIVE; COMMIT;",
                         err);
    if (r < 0)
        return r;
    *outp = TAKE(database);
    return 0;
}

struct database *database_close(struct database *database) {
    if (!database)
        return NULL;
    int code = sqlite3_close(database->db);
    assert(code == SQLITE_OK); /* a statement outlived its database */
    free(database->path);
    free(database);
    return NULL;
}

int statement_new(struct database *database, const char *sql, struct statement **outp, struct error *err) {
    struct statement *statement = calloc(1, sizeof(*statement));
    if (!statement)
        return error_errno(err, -ENOMEM, "%s", database->path);
    statement->database = database;
    int code = sqlite3_prepare_v3(database->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->stmt, NULL);
    if (code != SQLITE_OK) {
        free(statement);
        return database_failed(database, code, err);
    }
    *outp = statement;
    return 0;
}

struct statement *statement_free(struct statement *statement) {
    if (statement)
        sqlite3_finalize(statement->stmt);
    free(statement);
    return NULL;
}

static void bind_note(struct statement *statement, int code) {
    if (statement->bound == SQLITE_OK)
        statement->bound = code;
}

void statement_bind_u64(struct statement *statement, int parameter, uint64_t value) {
    bind_note(statement, sqlite3_bind_int64(statement->stmt, parameter, (sqlite3_int64)value));
}

void statement_bind_text(struct statement *statement, int parameter, const char *text) {
    bind_note(statement, sqlite3_bind_text(statement->stmt, parameter, text, -1, SQLITE_STATIC));
}

void statement_bind_bytes(struct statement *statement, int parameter, struct bytes bytes) {
    const void *data = bytes.len > 0 ? (const void *)bytes.data : "";
    bind_note(statement, sqlite3_bind_blob64(statement->stmt, parameter, data, bytes.len, SQLITE_STATIC));
}

int statement_step(struct statement *statement, struct error *err) {
    int code = statement->bound == SQLITE_OK ? sqlite3_step(statement->stmt) : statement->bound;
    if (code == SQLITE_ROW)
        return STATEMENT_ROW;
    return code == SQLITE_DONE ? STATEMENT_DONE : database_failed(statement->database, code, err);
}

int statement_run(struct statement *statement, struct error *err) {
    int r = statement_step(statement, err);
    assert(r != STATEMENT_ROW);
    statement_reset(statement);
    return r;
}

void statement_reset(struct statement *statement) {
    (void)sqlite3_reset(statement->stmt);
    (void)sqlite3_clear_bindings(statement->stmt);
    statement->bound = SQLITE_OK;
}

uint64_t statement_u64(struct statement *statement, int column) {
    return (uint64_t)sqlite3_column_int64(statement->stmt, column);
}

const char *statement_text(struct statement *statement, int column) {
    const unsigned char *text = sqlite3_column_text(statement->stmt, column);
    return text ? (const char *)text : "";
}

struct bytes statement_bytes(struct statement *statement, int column) {
    const void *data = sqlite3_column_blob(statement->stmt, column);
    return (struct bytes){data, (size_t)sqlite3_column_bytes(statement->stmt, column)};
}
