/* Asks a whole cluster at once: facts of every member, and, when wanted, all gates of its charter. Ends when everything has
 * been answered or the deadline has passed; what is missing is a problem of its member or an unknown of its gate. */
#ifndef KEDGE_DAEMON_SURVEY_H
#define KEDGE_DAEMON_SURVEY_H

#include "coordinator/daemon/daemon.h"
#include "coordinator/planner/planner.h"

enum { SURVEY_FACTS = 1, SURVEY_GATES = 2 };

/* One gate that was asked, of one node, for one member or the cluster. */
struct survey_answer {
    const char *gate;
    const char *member; /* NULL: about the cluster */
    const char *node;
    const struct gate *is; /* NULL: unknown to the charter */
    enum answer answer;
    const char *reason;
    uint64_t age_us;
};

struct survey {
    struct daemon *daemon;
    const struct cluster *cluster;
    struct arena *arena; /* everything that the survey holds */
    size_t n_open;       /* requests under way */
    void (*done)(struct survey *survey);
    void *user;
    /* by the charter's members */
    struct planner_member *members;
    size_t n_members;
    /* about the cluster, in the order of charter->cluster_gates */
    struct planner_answer *answers;
    size_t n_answers;
    /* all, for showing */
    struct survey_answer *all;
    size_t n_all;
};

/* `done` is called once, later, unless the survey is freed before. `what`: SURVEY_… bits. */
struct survey *survey_new(struct daemon *d, const struct cluster *cluster, unsigned what, uint64_t wait_ms,
                          void (*done)(struct survey *survey), void *user) _must_check_;
struct survey *survey_free(struct survey *survey);

#endif
