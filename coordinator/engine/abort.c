/* What an abort does with members that are changed and not finished: a canary that soaks, a member whose gates have not held
 * yet. The signed plan says it (`on_abort`). Left, they stay as they are and the run ends at once. Returned, they go back one
 * after the other, and for each of them may-stop is asked as for any other stop, so an abort takes nothing away that the
 * cluster still needs. Who is done has nothing to do with it: it was proven, and stays.
 *
 * Nobody can resume a run that is being aborted, so this waits for no person: when nothing has moved for the wave's wait limit,
 * on top of the time that the gates need, who is not back is left as it is, and the verdict says who and why. A run that a
 * newer plan overtakes leaves its members: the newer plan was made of what they run now. */
#include "coordinator/engine/internal.h"

#include <stdio.h>

enum { ABORT_WAIT_MS = 30 * 60 * 1000 /* in a wave that has no wait limit */ };

static bool abort_takes_back(const struct run *run) {
    bool changes = run->state == RUN_WAVES || run->state == RUN_RETURNING;
    bool returns =
        run->plan->shape.return_on_abort ? !KEDGE_MUTANT(abort_leaves) : KEDGE_MUTANT(abort_takes_all);
    return run->aborting && !run->superseded && changes && returns && !run_is_downtime(run);
}

bool run_takes_back(const struct run *run) {
    return run->state == RUN_RETURNING || abort_takes_back(run);
}

static bool is_unfinished(const struct run_member *m) {
    return member_state_is_in_change(m->state) && !m->stays && !way_is_closed(m);
}

uint32_t abort_next(const struct run *run) {
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        if (is_unfinished(m) && member_state_is_changed(m->state) && !member_is_held_back(run, m))
            return i;
    }
    return NO_MEMBER;
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

uint64_t abort_until_ms(const struct run *run) {
    const struct wave *wave = &run->plan->shape.waves[run->wave];
    uint64_t since_ms = later(run->aborting_ms, run->stop_ended_ms);
    uint64_t limit_ms = wave->wait_limit_ms ? wave->wait_limit_ms : ABORT_WAIT_MS;
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        if (m->state == MEMBER_BACK)
            since_ms = later(since_ms, m->since_ms);
        if (is_unfinished(m)) /* after a restart of ours its agent has the whole time again */
            since_ms = later(since_ms, run->engine->nodes[m->node].gone_ms);
    }
    return since_ms + limit_ms + later(run->recovered.detection_ms, run->may_stop.detection_ms);
}

bool abort_is_over(struct run *run) {
    bool open = false;
    for (uint32_t i = 0; i < run->n_members && abort_takes_back(run); i++)
        open = open || is_unfinished(&run->members[i]);
    uint64_t until_ms = open ? abort_until_ms(run) : 0;
    if (until_ms <= run->engine->now_ms)
        return true;
    timer_set(run->engine, &run->start, until_ms);
    return false;
}

void abort_left_text(const struct run *run, uint32_t member, char *text, size_t size) {
    const struct run_member *m = &run->members[member];
    char why[KEDGE_REASON_MAX] = "";
    text[0] = 0;
    if (!abort_takes_back(run))
        return;
    if (way_is_closed(m))
        snprintf(why, sizeof(why), "its way back is \"%s\"", way_back_text(m->order->way_back));
    else if (!run->engine->nodes[m->node].up)
        snprintf(why, sizeof(why), "its agent is not connected");
    else if (member_is_held_back(run, m))
        snprintf(why, sizeof(why), "its node is held by an operator");
    else if (run->candidate == member && run->wait.n > 0)
        reasons_text(&run->wait, why, sizeof(why));
    else
        snprintf(why, sizeof(why), "%s", m->reason && m->reason[0] ? m->reason : "no time was left");
    snprintf(text, size, " and was not returned (%s)", why);
}
