/* Success is only what was seen after the start: this very process, from this release, with the port, under a new id, in
 * the wanted mode. Each look is one round; what is not so yet is answered with no and a reason, and agent/core decides
 * how long to go on looking. */
#include "agent/executor/executor.h"

#include <string.h>

enum { OBSERVE_ARENA_BYTES = 8 * 1024 * 1024 };

static bool lies_under(const char *path, const char *folder) {
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

/* The files of another release would prove nothing: only those that lie in this one count. */
bool process_runs_from(const struct member *m, pid_t pid, const char *folder, struct arena *arena) {
    struct error err;
    struct proc_texts files = {0};
    const char *executable;
    if (procfs_link(pid, "exe", arena, &executable, &err) == 0 && lies_under(executable, folder))
        return true;
    if (m->charter->release_from == RELEASE_FROM_EXECUTABLE || procfs_files(pid, arena, &files, &err) < 0)
        return false;
    for (size_t i = 0; i < files.n; i++)
        if (lies_under(files.items[i], folder) && !strstr(files.items[i], " (deleted)"))
            return true;
    return false;
}

/* What can be seen without asking; true and a reason when something is not so. */
static bool is_wrong(struct member *m, const struct row *row, char *why, size_t size) {
    uint32_t number;
    _cleanup_(arena_freep) struct arena *arena = arena_new(OBSERVE_ARENA_BYTES);
    int r = generation_number(m, m->order->order, row->generation, &number);
    if (m->process.id.pid == 0 || !procfs_alive(&m->process.id))
        snprintf(why, size, "no process of it runs");
    else if (r < 0 || m->process.generation != number || !m->has_generation || m->generation.number != number)
        snprintf(why, size, "another generation than the wanted one runs");
    else if (!arena || (m->generation.release[0] &&
                        !process_runs_from(m, m->process.id.pid, m->generation.release, arena)))
        snprintf(why, size, "process %d has nothing open from %.300s", (int)m->process.id.pid,
                 m->generation.release);
    else if (m->charter->port > 0 && !procfs_owns_port(m->process.id.pid, (uint16_t)m->charter->port))
        snprintf(why, size, "port %u does not belong to process %d", m->charter->port,
                 (int)m->process.id.pid);
    else
        return false;
    return true;
}

static void proven(struct member *m) {
    start_observed(m);
    member_answer(m, m->op, ANSWER_YES, NULL);
}

static void on_instance(void *context, const struct answers *answers) {
    struct member *m = context;
    m->questions = NULL;
    if (answers->all.answer != ANSWER_YES) {
        member_answer(m, m->op, ANSWER_UNKNOWN, "its new instance is not known yet");
        return;
    }
    if (m->instance_before[0] &&
        strncmp(m->instance_before, answers->all.reason, sizeof(m->instance_before) - 1) == 0) {
        member_answer(m, m->op, ANSWER_NO, "its system still shows the instance from before the stop");
        return;
    }
    snprintf(m->instance, sizeof(m->instance), "%.255s", answers->all.reason);
    proven(m);
}

static void ask_instance(struct member *m) {
    struct asker asker = member_asker(m);
    if (!m->charter->instance) {
        proven(m);
        return;
    }
    m->questions = questions_instance(&asker, m->charter->instance, on_instance, m);
    if (!m->questions)
        member_answer(m, m->op, ANSWER_UNKNOWN, "out of memory");
}

/* MODE_UNKNOWN: not asked. */
static enum mode wanted_mode(const struct member *m, const struct row *row) {
    const struct work_order *order = m->order->order;
    if (row->generation > 0)
        return order->generations[row->generation - 1].mode;
    const char *found = fact_get(order->binding, order->n_binding, "mode");
    for (int i = 0; found && i < MODES; i++)
        if (strcmp(found, mode_text((enum mode)i)) == 0)
            return (enum mode)i == MODE_DOWN ? MODE_UNKNOWN : (enum mode)i;
    return MODE_UNKNOWN;
}

static void on_modes(void *context, const struct answers *answers) {
    struct member *m = context;
    char why[KEDGE_REASON_MAX];
    enum mode mode = MODE_UNKNOWN, wanted = wanted_mode(m, m->row);
    m->questions = NULL;
    for (size_t i = 0; i < answers->n_evidence && mode == MODE_UNKNOWN; i++)
        if (answers->evidence[i].answer == ANSWER_YES)
            mode = m->charter->modes[i].mode;
    m->mode = mode;
    m->origin = mode == MODE_READ_ONLY ? ORIGIN_START_FLAG : ORIGIN_NONE;
    if (mode == wanted) {
        ask_instance(m);
        return;
    }
    snprintf(why, sizeof(why), "it is %s, wanted is %s%s%.300s", mode_text(mode), mode_text(wanted),
             mode == MODE_UNKNOWN ? ": " : "", mode == MODE_UNKNOWN ? answers->all.reason : "");
    member_answer(m, m->op, ANSWER_NO, why);
}

static void ask_mode(struct member *m) {
    struct question_gate gates[MODES];
    struct asker asker = member_asker(m);
    size_t n = 0;
    for (; n < m->charter->n_modes && n < MODES; n++) {
        gates[n].gate = cluster_gate(m->cluster, &m->charter->modes[n].gate, &gates[n].bytes);
        if (!gates[n].gate) {
            member_fail(m, m->op, "a gate of its modes is not in the charter");
            return;
        }
    }
    m->questions = questions_ask(&asker, gates, n, SAMPLE_NONE, on_modes, m);
    if (!m->questions)
        member_answer(m, m->op, ANSWER_UNKNOWN, "out of memory");
}

void row_observe(struct member *m, const struct row *row) {
    char why[KEDGE_REASON_MAX];
    start_look_for_progress(m, row);
    if (is_wrong(m, row, why, sizeof(why)))
        member_answer(m, m->op, ANSWER_NO, why);
    else if (m->charter->n_modes > 0 && wanted_mode(m, row) != MODE_UNKNOWN)
        ask_mode(m);
    else {
        m->mode = MODE_UNKNOWN; /* it was down, and is not */
        m->origin = ORIGIN_NONE;
        ask_instance(m);
    }
}
