/* The ZooKeeper probes, made of reads. A node that does not exist is an answer: there are no items. LEAVES walks the tree
 * with a number of reads under way at once; a node that vanishes during the walk was not there. */
#include "agent/prober/ask.h"
#include "agent/prober/tree.h"

#include <string.h>

enum { READS_AT_ONCE = 64, NODES_MAX = 100000, FIRST_ATTEMPTS = 3 };

/* One read of a walk, with its path. */
struct visit {
    struct tree_read read;
    char *path;
};

struct walk {
    uint64_t synced;
    struct visit visits[READS_AT_ONCE];
    char **todo; /* paths, owned */
    size_t n_todo, todo_room, n_under_way, n_seen;
    unsigned attempts; /* of FIRST */
};

static void visit_start(struct ask *ask, struct visit *visit, enum tree_what what, char *path);

static bool todo_push(struct walk *walk, char *path) {
    if (path && walk->n_todo == walk->todo_room) {
        size_t room = walk->todo_room ? 2 * walk->todo_room : 64;
        char **todo = realloc(walk->todo, room * sizeof(*todo));
        if (todo) {
            walk->todo = todo;
            walk->todo_room = room;
        }
    }
    if (!path || walk->n_todo == walk->todo_room) {
        free(path);
        return false;
    }
    walk->todo[walk->n_todo++] = path;
    return true;
}

static char *child_path(const char *parent, const char *name) {
    char *path = NULL;
    const char *slash = strcmp(parent, "/") == 0 ? "" : "/";
    return asprintf(&path, "%s%s%s", parent, slash, name) < 0 ? NULL : path;
}

/* ---- the walk ---- */

static void walk_on(struct ask *ask) {
    struct walk *walk = ask->state;
    for (size_t i = 0; i < READS_AT_ONCE && walk->n_todo > 0; i++)
        if (!walk->visits[i].path)
            visit_start(ask, &walk->visits[i], TREE_CHILDREN, walk->todo[--walk->n_todo]);
    if (walk->n_under_way == 0)
        ask_answered(ask);
}

static void on_visited(struct ask *ask, struct visit *visit) {
    struct walk *walk = ask->state;
    const struct tree_read *read = &visit->read;
    bool is_root = strcmp(visit->path, ask->probe->path) == 0;
    if (read->outcome == TREE_THERE && read->n_names == 0 && !is_root)
        matcher_line(&ask->matcher, bytes_of_text(visit->path), visit->path, &ask->found);
    walk->n_seen += read->n_names;
    if (walk->n_seen > NODES_MAX) {
        ask_failed(ask, "%.100s has more than %d nodes", ask->probe->path, NODES_MAX);
        return;
    }
    for (size_t i = 0; i < read->n_names; i++)
        if (!todo_push(walk, child_path(visit->path, read->names[i]))) {
            ask_failed(ask, "out of memory");
            return;
        }
}

/* ---- the others ---- */

static void on_children(struct ask *ask, const struct tree_read *read) {
    for (size_t i = 0; i < read->n_names; i++) {
        _cleanup_(freep) char *path = child_path(ask->probe->path, read->names[i]);
        if (!path) {
            ask_failed(ask, "out of memory");
            return;
        }
        matcher_line(&ask->matcher, bytes_of_text(read->names[i]), path, &ask->found);
    }
    ask_answered(ask);
}

static void on_siblings(struct ask *ask, const struct tree_read *read) {
    struct walk *walk = ask->state;
    const char *first = NULL;
    for (size_t i = 0; i < read->n_names; i++)
        if (!first || strcmp(read->names[i], first) < 0)
            first = read->names[i];
    char *path = first ? child_path(ask->probe->path, first) : NULL;
    if (!first)
        ask_answered(ask);
    else if (!path)
        ask_failed(ask, "out of memory");
    else
        visit_start(ask, &walk->visits[0], TREE_CONTENT, path);
}

static void on_content(struct ask *ask, const struct tree_read *read) {
    struct walk *walk = ask->state;
    bool is_first = ask->probe->kind == PROBE_ZK_FIRST;
    if (is_first && read->outcome == TREE_NOT_THERE) { /* it went between the two reads: who is first now? */
        char *path = strdup(ask->probe->path);
        if (!path || ++walk->attempts == FIRST_ATTEMPTS) {
            free(path);
            ask_failed(ask, "the children of %.100s change too fast", ask->probe->path);
        } else {
            visit_start(ask, &walk->visits[0], TREE_CHILDREN, path);
        }
        return;
    }
    matcher_lines(&ask->matcher, read->content, &ask->found);
    ask_answered(ask);
}

static void on_read(void *owner, struct tree_read *read) {
    struct ask *ask = owner;
    struct walk *walk = ask->state;
    struct visit *visit = (struct visit *)(void *)((char *)read - offsetof(struct visit, read));
    _cleanup_(freep) char *path = visit->path; /* the visit may be used again from here on */
    struct visit visited = {.read = *read, .path = path};
    visit->path = NULL;
    walk->n_under_way--;
    if (read->outcome == TREE_UNKNOWN) {
        ask_failed(ask, "%s", read->trouble);
        return;
    }
    switch (read->what) {
    case TREE_EXISTS:
        if (read->outcome == TREE_THERE)
            matcher_line(&ask->matcher, bytes_of_text(path), path, &ask->found);
        ask_answered(ask);
        return;
    case TREE_CONTENT: on_content(ask, &visited.read); return;
    case TREE_CHILDREN:
        if (ask->probe->kind == PROBE_ZK_LEAVES) {
            on_visited(ask, &visited);
            if (!ask->ended)
                walk_on(ask);
        } else if (ask->probe->kind == PROBE_ZK_FIRST) {
            on_siblings(ask, &visited.read);
        } else {
            on_children(ask, &visited.read);
        }
        return;
    }
}

static void visit_start(struct ask *ask, struct visit *visit, enum tree_what what, char *path) {
    struct walk *walk = ask->state;
    visit->path = path;
    walk->n_under_way++;
    visit->read = (struct tree_read){
        .what = what, .path = path, .synced = &walk->synced, .done = on_read, .owner = ask};
    tree_read_start(ask->prober->tree, ask->target, &visit->read);
}

static void start(struct ask *ask) {
    const char *path = ask->probe->path;
    struct walk *walk = ask->state = calloc(1, sizeof(*walk));
    char *copy = path ? strdup(path) : NULL;
    if (!walk || !copy || path[0] != '/') {
        free(copy);
        ask_failed(ask, walk ? "no path is named" : "out of memory");
        return;
    }
    enum probe_kind kind = ask->probe->kind;
    visit_start(ask, &walk->visits[0],
                kind == PROBE_ZK_EXISTS ? TREE_EXISTS
                : kind == PROBE_ZK_GET  ? TREE_CONTENT
                                        : TREE_CHILDREN,
                copy);
}

static void stop(struct ask *ask) {
    struct walk *walk = TAKE(ask->state);
    if (!walk)
        return;
    for (size_t i = 0; i < READS_AT_ONCE; i++) {
        tree_read_stop(&walk->visits[i].read);
        free(walk->visits[i].path);
    }
    for (size_t i = 0; i < walk->n_todo; i++)
        free(walk->todo[i]);
    free(walk->todo);
    free(walk);
}

const struct ask_kind ask_tree_kind = {start, stop};
