/* Reads from ZooKeeper, each after a `sync` of its path, so that an answer is no older than its question. One session for
 * every list of servers, opened by its first read, kept while it is used and closed after a minute without.
 * Connection loss is tried again while that makes sense (reads change nothing); what remains is unknown, in words. */
#ifndef KEDGE_AGENT_PROBER_TREE_H
#define KEDGE_AGENT_PROBER_TREE_H

#include "agent/prober/dial.h"
#include "common/base/bytes.h"

struct tree;
struct session;
struct call;

/* Costs nothing until the first read. */
struct tree *tree_new(struct loop *loop) _must_check_;
struct tree *tree_free(struct tree *tree); /* no read may be under way */

enum tree_what { TREE_EXISTS, TREE_CONTENT, TREE_CHILDREN };
enum tree_outcome { TREE_THERE, TREE_NOT_THERE, TREE_UNKNOWN };

/* One read. `done` is called once, never from within tree_read_start; it may start and stop reads. */
struct tree_read {
    enum tree_what what;
    const char *path; /* lives as long as the read */
    uint64_t *
        synced; /* shared by reads that belong together: one sync per connection is enough for them; starts at 0 */
    void (*done)(void *owner, struct tree_read *read);
    void *owner;

    enum tree_outcome outcome;
    struct bytes content;     /* of the node; until `done` returns */
    const char *const *names; /* of the children; until `done` returns */
    size_t n_names;
    char trouble[TROUBLE_MAX];

    struct session *session; /* NULL: not under way */
    struct tree_read *next, **link;
    struct call *call, *sync_call;
    int sync_result;
    unsigned attempts;
};

/* `servers`: "host:port,host:port/chroot". */
void tree_read_start(struct tree *tree, const char *servers, struct tree_read *read);

/* Ends it in any state; fine on a zeroed one. */
void tree_read_stop(struct tree_read *read);

#endif
