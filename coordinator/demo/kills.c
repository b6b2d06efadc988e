/* demo --kill: which process dies where. With ptrace the points are exact: journal writes of the coordinator, before and
 * after; system calls of executor, link and prober from the moment on at which their member's new generation lies there.
 * Without ptrace it is plain SIGKILL at events of the run. */
#include "coordinator/demo/demo.h"

#include <signal.h>
#include <string.h>

static void kill_add(struct process *process, struct kill_point point) {
    if (process->n_kills < KILLS_MAX)
        process->kills[process->n_kills++] = point;
}

static const char *trigger_of(const struct demo *demo, unsigned node) {
    char *path = NULL;
    if (asprintf(&path, "%s/nodes/n%u/kedge/members/demo_store_n%u/gen/1", demo->folder, node, node) < 0)
        abort();
    return path;
}

void demo_kills_plan(struct demo *demo) {
    if (!demo->kill || !demo->killpoint)
        return;
    static const char *const programs[] = {"kedge-agent", "kedge-link", "kedge-prober"};
    static const unsigned points[] = {700, 60, 40};
    for (unsigned i = 0; i < ARRAY_LEN(programs) && i < demo->n_members; i++)
        kill_add(demo->agents[i], (struct kill_point){.program = programs[i],
                                                      .count = "all",
                                                      .at = points[i],
                                                      .trigger = trigger_of(demo, i + 1)});
}

/* The coordinator is traced from the run on only: it is ended once, in peace, before. */
void demo_kills_by_events(struct demo *demo) {
    (void)demo;
}
