/* What an operator asks for with `kedge plan`, judged: arguments in, the planner's options out. */
#ifndef KEDGE_DAEMON_PLAN_OPTIONS_H
#define KEDGE_DAEMON_PLAN_OPTIONS_H

#include "coordinator/planner/planner.h"

struct plan_request {
    const struct fact *arguments; /* see coordinator/control/README.md */
    size_t n_arguments;
    const struct cluster_file *cluster; /* has the defaults */
    const char *who;                    /* the author, unless one is named */
    uint64_t now_s;
};

/* Everything lies in the arena or in the request. -EINVAL with a sentence that names the argument; one that is not known is
 * refused, so that a wish is never passed over in silence. */
int plan_options_take(const struct plan_request *request, struct arena *arena, struct planner_options *outp,
                      struct error *err) _must_check_;

#endif
