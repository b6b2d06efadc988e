/* Where it is decided that a member may stop.
 *
 * It may, when after the last change of the run, and on evidence that is not older than its gates allow,
 *   1. its own agent can be reached, so that it will be started again;
 *   2. every other member that is not in change says yes to all of its gates, through its own agent (no answer is
 *      unknown, and unknown never passes);
 *   3. the cluster gates were answered yes by two probers of different domains that are not in change, both.
 * The member's own state is no condition: a broken member is what a new release may heal (F13). For the same reason a
 * no of others does not hold back a member that itself says no: it serves nothing that its stop could take away; what
 * the cluster would lose is asked in 3.
 *
 * It is not even asked while another member's order to stop is under way: the answers would be about a cluster that is
 * going to lose that one as well. Nor for the gates' detection time after a stop has ended: that long the cluster may not
 * know what it has lost, and its gates are hollow. Members of one domain, in a wave that keeps to one, are exempt (F15):
 * what one of them holds the others do not. But what all of them carry together may be more than the cluster can spare, so
 * whoever is asked for is asked for beside those that are on their way down, and the answer must be yes without all of
 * them, of the probers as well as of its own agent (F01).
 *
 * A gate that an operator waived for this member is set aside (its answer is shown with the waiver). A member that is
 * gone for good is not asked.
 *
 * While the answer is not yes the member waits, with every reason, and is asked again after 50 ms, then less often up to
 * 1 s. At the wave's wait limit the run is paused, nothing else. The agent asks the cluster gates once more itself, as
 * its last act before the stop. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- too early to ask ---- */

static bool shares_domain(const struct run *run, const struct run_member *a, const struct run_member *b) {
    const struct wave *wave = &run->plan->shape.waves[a->wave];
    return wave->one_domain && a->order->domain[0] && strcmp(a->order->domain, b->order->domain) == 0;
}

static bool is_stopping(const struct run_member *m) {
    return member_state_is_ordered(m->state) && member_state_is_in_change(m->state);
}

/* What earlier runs of the cluster have stopped counts as well: one that was overtaken ends in the same moment in which
 * the next begins. An order of theirs may still be under way, when its agent was away. */
static uint64_t other_runs_until_ms(const struct run *run, const struct run_member *self,
                                    uint32_t detection_ms) {
    const struct engine *engine = run->engine;
    uint64_t until_ms = 0;
    for (size_t i = 0; i < engine->n_runs; i++) {
        const struct run *other = engine->runs[i];
        bool lately = other->stop_ended_ms > 0 && other->stop_ended_ms + detection_ms > engine->now_ms;
        if (other == run || strcmp(other->plan->header.cluster, run->plan->header.cluster) != 0 ||
            (!lately && other->n_in_flight == 0))
            continue;
        for (uint32_t k = 0; k < other->n_members; k++) {
            const struct run_member *m = &other->members[k];
            bool stopping = is_stopping(m) && engine->nodes[m->node].up;
            uint64_t at_ms = stopping               ? engine->now_ms + ASK_AGAIN_LAST_MS
                             : m->stop_ended_ms > 0 ? m->stop_ended_ms + detection_ms
                                                    : 0;
            if (strcmp(m->order->member, self->order->member) != 0 && at_ms > until_ms)
                until_ms = at_ms;
        }
    }
    return until_ms;
}

static uint32_t detection_of(const struct run *run) {
    return run->recovered.detection_ms > run->may_stop.detection_ms ? run->recovered.detection_ms
                                                                    : run->may_stop.detection_ms;
}

/* Maybe the cluster still counts on it: its stop is under way, or was lately. */
static bool is_going_down(const struct run *run, const struct run_member *m) {
    bool lately = m->stop_ended_ms > 0 && m->stop_ended_ms + detection_of(run) > run->engine->now_ms;
    return !member_state_is_gone(m->state) && (is_stopping(m) || lately);
}

struct beside may_stop_beside(const struct run *run, uint32_t member) {
    const struct run_member *self = &run->members[member];
    const char **names = NULL;
    size_t n = 0;
    if (!run->plan->shape.waves[self->wave].one_domain || KEDGE_MUTANT(asked_alone))
        return (struct beside){NULL, 0};
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        if (i == member || !shares_domain(run, self, m) || !is_going_down(run, m) || !m->order->self[0])
            continue;
        if (n % 16 == 0)
            names = must(realloc(names, (n + 16) * sizeof(*names)));
        names[n++] = m->order->self;
    }
    return (struct beside){names, n};
}

/* It need not be waited for: it holds nothing of the other, and if it is on its way down there is room to say so. */
static bool is_named(const struct run *run, const struct run_member *self, const struct run_member *m,
                     size_t *n_beside) {
    return shares_domain(run, self, m) && (!is_going_down(run, m) || ++*n_beside <= KEDGE_BESIDE_MAX);
}

bool may_stop_too_early(struct run *run, uint32_t member) {
    const struct run_member *self = &run->members[member];
    uint32_t detection_ms = detection_of(run);
    uint64_t until_ms = 0;
    size_t n_beside = 0;
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        if (i == member || member_state_is_gone(m->state) || is_named(run, self, m, &n_beside))
            continue;
        if (is_stopping(m))
            return true; /* its report comes */
        if (m->stop_ended_ms > 0 && m->stop_ended_ms + detection_ms > until_ms)
            until_ms = m->stop_ended_ms + detection_ms;
    }
    uint64_t other_ms = other_runs_until_ms(run, self, detection_ms);
    until_ms = other_ms > until_ms ? other_ms : until_ms;
    if (until_ms <= run->engine->now_ms)
        return false;
    run->retry_ms = until_ms;
    timer_set(run->engine, &run->retry, until_ms);
    return true;
}

/* ---- the evidence about every member ---- */

static void survey_member(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    if (question_is_fresh(run, &m->own))
        return;
    if (m->own.id == 0)
        question_ask(run, member, &m->own, PURPOSE_OWN, m->node);
    if (m->own.id != 0 && !m->surveyed) {
        m->surveyed = true;
        run->n_surveyed++;
    }
}

/* True when every member that is not in change has answered for itself, freshly; else the asks are under way. */
bool survey(struct run *run) {
    if (run->n_surveyed > 0)
        return false;
    for (uint32_t i = 0; i < run->n_members; i++)
        if (!member_counts_as_in_change(run, &run->members[i]) &&
            !member_state_is_gone(run->members[i].state))
            survey_member(run, i);
    return run->n_surveyed == 0;
}

/* ---- the three conditions ---- */

static void reach(struct run *run, const struct run_member *self) {
    const struct node *node = &run->engine->nodes[self->node];
    if (!node->up && !KEDGE_MUTANT(silent_member_ordered))
        reasons_add(&run->wait, "its agent", self->order->member, ANSWER_UNKNOWN, "it is not connected");
}

/* To be broken allows something, so it must be as young as a yes. */
static bool is_broken(const struct run *run, const struct run_member *m) {
    const struct question *own = &m->own;
    return own->answered && own->answer == ANSWER_NO && question_is_fresh(run, own) &&
           run->engine->now_ms <= own->at_ms + own->gates->age_ms;
}

static bool holds_back(const struct run *run, const struct run_member *self, const struct run_member *other) {
    bool broken = is_broken(run, self);
    return (other->own.answer == ANSWER_UNKNOWN && !KEDGE_MUTANT(unreachable_passes) &&
            !(broken && KEDGE_MUTANT(broken_excuses_unknown))) ||
           (other->own.answer == ANSWER_NO && !broken);
}

static void others(struct run *run, const struct run_member *self) {
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *other = &run->members[i];
        if (other != self && !member_counts_as_in_change(run, other) && !member_state_is_gone(other->state) &&
            holds_back(run, self, other))
            reasons_add_all(&run->wait, &other->own.reasons, true);
    }
}

static bool asked_for_this(const struct run *run, const struct question *question) {
    return question->purpose == PURPOSE_MAY_STOP && question_is_fresh(run, question);
}

/* False while answers are awaited. */
static bool cluster(struct run *run, uint32_t member) {
    struct run_member *self = &run->members[member];
    uint32_t nodes[PROBERS];
    size_t n = run->may_stop.n > 0 ? probers_choose(run, member, nodes) : 0;
    bool complete = true;
    for (size_t i = 0; i < n; i++) {
        struct question *question = &self->cluster[i];
        if (question->id == 0 && (question->node != nodes[i] || !asked_for_this(run, question)))
            question_ask(run, member, question, PURPOSE_MAY_STOP, nodes[i]);
        complete = complete && question->id == 0;
    }
    for (size_t i = 0; complete && i < n; i++)
        reasons_add_all(&run->wait, &self->cluster[i].reasons, true);
    if (run->may_stop.n > 0 && n == 0)
        reasons_add(&run->wait, "cluster gates", self->order->member, ANSWER_UNKNOWN,
                    "no agent is connected to ask them");
    return complete;
}

/* ---- waivers ---- */

const struct waiver *run_waiver(const struct run *run, uint32_t member, const char *gate) {
    for (size_t i = 0; i < run->n_waivers; i++) {
        const struct waiver *w = &run->waivers[i];
        if ((w->member == member || KEDGE_MUTANT(waived_for_all)) &&
            (w->until_ms > wall_now_ms(run->engine) || KEDGE_MUTANT(waived_for_ever)) &&
            strcmp(w->gate, gate) == 0)
            return w;
    }
    return NULL;
}

/* What is left of the reasons to wait. */
static void set_aside(struct run *run, uint32_t member) {
    struct reasons left = {0};
    for (size_t i = 0; run->n_waivers > 0 && i < run->wait.n; i++) {
        const struct reason *r = &run->wait.items[i];
        if (!run_waiver(run, member, r->gate))
            reasons_add(&left, r->gate, r->who, r->answer, r->text);
    }
    if (run->n_waivers == 0)
        return;
    reasons_clear(&run->wait);
    run->wait = left;
}

enum may_stop may_stop(struct run *run, uint32_t member) {
    struct run_member *self = &run->members[member];
    struct reasons before = run->wait; /* shown until the new answer is complete */
    run->wait = (struct reasons){0};
    reach(run, self);
    (void)host_is_locked(run, self, &run->wait);
    others(run, self);
    if (!cluster(run, member)) {
        reasons_clear(&run->wait);
        run->wait = before;
        return MAY_STOP_ASKING;
    }
    reasons_clear(&before);
    set_aside(run, member);
    return run->wait.n == 0 ? MAY_STOP_YES : MAY_STOP_WAITS;
}

/* ---- waiting ---- */

static uint32_t wait_limit_ms(const struct run *run) {
    return run->wave < run->plan->shape.n_waves ? run->plan->shape.waves[run->wave].wait_limit_ms : 0;
}

void may_stop_wait(struct run *run) {
    struct engine *engine = run->engine;
    uint64_t now = engine->now_ms, limit = wait_limit_ms(run);
    if (run->wait_since_ms == 0)
        run->wait_since_ms = now;
    if (limit > 0 && now >= run->wait_since_ms + limit) {
        char text[KEDGE_REASON_MAX];
        reasons_text(&run->wait, text, sizeof(text));
        uint64_t waited = now - run->wait_since_ms;
        run->wait_since_ms = 0;
        run_pause(run, PAUSE_WAIT, run->candidate, "%s has waited %llu s to stop: %s%s",
                  run->members[run->candidate].order->member, (unsigned long long)(waited / 1000), text,
                  side_no_longer_in_force(run) ? "; `kedge run resume` opens it anew" : "");
        return;
    }
    run->backoff_ms = run->backoff_ms == 0 ? ASK_AGAIN_FIRST_MS : run->backoff_ms * 2;
    if (run->backoff_ms > ASK_AGAIN_LAST_MS)
        run->backoff_ms = ASK_AGAIN_LAST_MS;
    run->retry_ms = now + run->backoff_ms;
    if (limit > 0 && run->retry_ms > run->wait_since_ms + limit)
        run->retry_ms = run->wait_since_ms + limit;
    timer_set(engine, &run->retry, run->retry_ms);
}

/* What was not yes is asked again; what was, as long as its evidence is young enough, is not. */
void may_stop_retry(struct run *run, uint32_t member) {
    (void)member;
    run->retry_ms = 0;
    for (uint32_t i = 0; i < run->n_members; i++)
        if (run->members[i].own.answer != ANSWER_YES)
            run->members[i].own.stale = true;
    if (run->candidate != NO_MEMBER)
        for (size_t i = 0; i < PROBERS; i++)
            run->members[run->candidate].cluster[i].stale = true;
    run_advance(run);
}

/* An agent has come back: what it said before, or could not be asked, is asked again now. */
void may_stop_node_back(struct run *run, uint32_t node) {
    size_t n;
    const struct node_member *here = members_on(run, node, &n);
    run->retry_ms = 0;
    timer_clear(run->engine, &run->retry);
    for (size_t i = 0; i < n; i++) {
        struct run_member *m = &run->members[here[i].member];
        m->own.stale = m->own.stale || m->own.answer != ANSWER_YES;
        run->prepare_from = here[i].member < run->prepare_from ? here[i].member : run->prepare_from;
    }
    if (run->candidate != NO_MEMBER)
        for (size_t i = 0; i < PROBERS; i++)
            run->members[run->candidate].cluster[i].stale = true;
    run->n_moves++;
    run_advance(run);
}
