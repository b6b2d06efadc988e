/* What the two files of this room share; nobody else includes it. */
#ifndef KEDGE_STORE_INTERNAL_H
#define KEDGE_STORE_INTERNAL_H

#include "common/sqlite/database.h"
#include "coordinator/store/store.h"

struct store {
    struct database *database;
    const struct key_pair *key;
    char *path;
    struct statement *append, *head_put;
    bool in_transaction, head_moved, replayed;
    uint64_t head; /* the last record's number */
    struct digest hash;
};

/* Begins the turn's transaction unless it has begun. */
int store_begin(struct store *store, struct error *err) _must_check_;

/* Writes the signed head, if it has moved. */
int journal_head_write(struct store *store, struct error *err) _must_check_;

#endif
