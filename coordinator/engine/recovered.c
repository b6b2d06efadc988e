/* Whether a member has recovered after a change, whether it soaks well, and whether it still is well when it is done.
 *
 * The same questions all the time: its own gates by its own agent, the recovered gates by two others. They must be yes
 * without a break for the longest detection time of the gates, then (counted from the same first good answer) for the
 * wave's soak. A no or an unknown begins the count anew. While it recovers that is waiting, and at the wait limit,
 * counted from the first no however often yes came between, the run is paused; while it soaks, and after it is done, two
 * noes one after the other are a relapse, which pauses the run with the reason, also one that somebody had paused (F12).
 * Unknown is no relapse: trouble of an agent is not ill health of its member. But nobody soaks for ever: without a yes
 * for the wait limit, or with a soak that was begun anew for so long beyond its length, the run is paused too. `run
 * resume` judges all this anew: what is still ill pauses the run again. A canary that is unknown at its limit never
 * passes: it pauses the run, or, where the plan says so, goes back (F18 F19). */
#include "coordinator/engine/internal.h"

#include <stdio.h>

static bool is_recovering(enum member_state state) {
    return state == MEMBER_RECOVERING || state == MEMBER_SETTLING || state == MEMBER_RECOVERING_BACK;
}

static bool is_soaking(const struct run_member *m) {
    return (m->state == MEMBER_SOAKING_READ_ONLY && !m->soaked) || m->state == MEMBER_SOAKING;
}

/* Done, or a canary that has soaked and waits for its promotion: it has to stay well. */
static bool is_watched(const struct run_member *m) {
    return m->state == MEMBER_DONE || (m->state == MEMBER_SOAKING_READ_ONLY && m->soaked);
}

static const struct wave *wave_of(const struct run *run, const struct run_member *m) {
    return &run->plan->shape.waves[m->wave];
}

/* How long its gates must say yes in this state, from the first yes on. */
static uint64_t needed_ms(const struct run *run, const struct run_member *m) {
    uint32_t own = member_gates(m)->detection_ms, all = run->recovered.detection_ms;
    if (is_recovering(m->state))
        return KEDGE_MUTANT(detection_ignored) ? 0 : own > all ? own : all;
    if (m->state == MEMBER_SOAKING)
        return KEDGE_MUTANT(soak_skipped) ? 0 : wave_of(run, m)->soak_ms;
    return m->promote_now ? 0 : wave_of(run, m)->soak_read_only_ms;
}

/* What takes part in a rollback is looked at there. */
static bool is_polled(const struct run *run, const struct run_member *m) {
    if (run->state == RUN_ENDED || (run_takes_back(run) && m->state != MEMBER_RECOVERING_BACK))
        return false;
    return is_recovering(m->state) || is_soaking(m) || is_watched(m);
}

/* ---- asking ---- */

void recovered_poll(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    if (!is_polled(run, m))
        return;
    if (m->own.id == 0)
        question_ask(run, member, &m->own, PURPOSE_OWN, m->node);
    uint32_t nodes[PROBERS];
    size_t n = run->recovered.n > 0 && !is_watched(m) ? probers_choose(run, member, nodes) : 0;
    for (size_t i = 0; i < PROBERS; i++) {
        if (i < n && m->cluster[i].id == 0)
            question_ask(run, member, &m->cluster[i], PURPOSE_RECOVERED, nodes[i]);
        else if (i >= n && m->cluster[i].id == 0)
            m->cluster[i].answered = false;
    }
    recovered_answered(run, member);
}

void recovered_begin(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    m->good_since_ms = m->bad_since_ms = m->ill_since_ms = 0;
    m->n_bad = 0;
    m->backoff_ms = 0;
    m->soaked = m->relapsed = false;
    questions_drop(run, member);
    timer_set(run->engine, &m->poll, run->engine->now_ms);
}

/* After `run resume`: what is ill still is so, and says it again. */
void recovered_judge_anew(struct run *run) {
    uint64_t now = run->engine->now_ms;
    for (uint32_t i = 0; i < run->n_members; i++) {
        struct run_member *m = &run->members[i];
        m->relapsed = false;
        m->n_bad = 0;
        m->bad_since_ms = m->bad_since_ms ? now : 0;
        m->ill_since_ms = m->ill_since_ms ? now : 0;
    }
}

/* ---- judging ---- */

static enum answer join(const struct run *run, const struct run_member *m, struct reasons *reasons) {
    struct verdict all = {.answer = m->own.answer};
    reasons_add_all(reasons, &m->own.reasons, true);
    bool asked = false;
    for (size_t i = 0; i < PROBERS && !is_watched(m); i++) {
        const struct question *q = &m->cluster[i];
        if (!q->answered || q->purpose != PURPOSE_RECOVERED)
            continue;
        struct verdict one = {.answer = KEDGE_MUTANT(recovered_by_itself) ? ANSWER_YES : q->answer};
        verdict_join(&all, &one);
        reasons_add_all(reasons, &q->reasons, true);
        asked = true;
    }
    if (run->recovered.n > 0 && !is_watched(m) && !asked) {
        struct verdict one = {.answer = ANSWER_UNKNOWN};
        verdict_join(&all, &one);
        reasons_add(reasons, "cluster gates", m->order->member, ANSWER_UNKNOWN,
                    "no agent is connected to ask them");
    }
    return all.answer;
}

/* What another member in change does to the cluster is no relapse of this one; its soak begins anew all the same. */
static bool is_relapse(const struct run *run, const struct run_member *m) {
    if (is_recovering(m->state) || member_is_held_back(run, m))
        return false;
    bool alone = true;
    for (uint32_t i = 0; i < run->n_members && m->own.answer != ANSWER_NO; i++)
        alone = alone && (&run->members[i] == m || !member_counts_as_in_change(run, &run->members[i]));
    return alone;
}

static void relapse(struct run *run, struct run_member *m, const struct reasons *reasons) {
    if (m->relapsed || ++m->n_bad < (KEDGE_MUTANT(one_no_is_relapse) ? 1 : RELAPSE_NOES) ||
        KEDGE_MUTANT(relapse_ignored))
        return;
    char text[KEDGE_REASON_MAX];
    m->relapsed = true;
    reasons_text(reasons, text, sizeof(text));
    run_pause(run, PAUSE_RELAPSE, (uint32_t)(m - run->members), "relapse: %s is %s and was well: %s",
              m->order->member, member_state_text(m->state), text);
}

/* Who is done may be unknown: nothing waits for it but the next stop, and that one says so. */
static bool took_too_long(const struct run *run, const struct run_member *m) {
    uint64_t now = run->engine->now_ms, limit = wave_of(run, m)->wait_limit_ms;
    if (limit == 0 || m->state == MEMBER_DONE)
        return false;
    if (is_recovering(m->state))
        return now >= m->bad_since_ms + limit;
    if (member_is_held_back(run, m))
        return false;
    return now >= m->ill_since_ms + limit ||
           (is_soaking(m) && now >= m->bad_since_ms + limit + needed_ms(run, m));
}

/* Of a canary that is unknown to the end the verdict is neither pass nor fail: the plan says what follows. */
static void too_long(struct run *run, struct run_member *m, enum answer answer,
                     const struct reasons *reasons) {
    uint64_t now = run->engine->now_ms;
    const struct wave *wave = wave_of(run, m);
    bool inconclusive =
        answer == ANSWER_UNKNOWN && wave->kind == WAVE_CANARY && m->state != MEMBER_RECOVERING_BACK;
    char text[KEDGE_REASON_MAX], why[KEDGE_REASON_MAX * 2];
    reasons_text(reasons, text, sizeof(text));
    snprintf(why, sizeof(why), "%s%s%s has not %s for %llu s: %s",
             inconclusive ? "inconclusive: canary " : "", m->order->member,
             inconclusive ? " is unknown and" : "", is_recovering(m->state) ? "recovered" : "stayed well",
             (unsigned long long)((now - m->bad_since_ms) / 1000), text);
    m->relapsed = true;
    if (inconclusive && wave->return_inconclusive && run_may_return(run))
        run_return(run, why);
    else
        run_pause(run, PAUSE_RECOVERY, (uint32_t)(m - run->members), "%s", why);
    m->bad_since_ms = m->ill_since_ms = now; /* resumed, it has the same time again */
}

static void not_good(struct run *run, struct run_member *m, enum answer answer,
                     const struct reasons *reasons) {
    uint64_t now = run->engine->now_ms;
    bool breaks =
        !KEDGE_MUTANT(soak_not_restarted) && !(KEDGE_MUTANT(unknown_is_no_break) && answer == ANSWER_UNKNOWN);
    m->good_since_ms = breaks ? 0 : m->good_since_ms;
    m->bad_since_ms = m->bad_since_ms ? m->bad_since_ms : now;
    m->ill_since_ms = m->ill_since_ms ? m->ill_since_ms : now;
    if (answer == ANSWER_NO && is_relapse(run, m))
        relapse(run, m, reasons);
    if (took_too_long(run, m))
        too_long(run, m, answer, reasons);
    m->backoff_ms = m->backoff_ms == 0 ? ASK_AGAIN_FIRST_MS : m->backoff_ms * 2;
    m->backoff_ms = m->backoff_ms < ASK_AGAIN_LAST_MS ? m->backoff_ms : ASK_AGAIN_LAST_MS;
    timer_set(run->engine, &m->poll, now + m->backoff_ms);
}

static uint64_t watch_ms(const struct run *run) {
    return run->n_members > WATCH_MS ? run->n_members : WATCH_MS; /* a thousand asks a second are enough */
}

static void held(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    bool read_only = m->state == MEMBER_RECOVERING && work_order_step(m->order, "promote") != NULL;
    m->bad_since_ms =
        0; /* a yes now and then did not set the limit back: it counts from the first no of a state */
    if (is_recovering(m->state)) {
        commit_member_event(run, member,
                            read_only ? MEMBER_EVENT_RECOVERED_READ_ONLY : MEMBER_EVENT_RECOVERED, "");
    } else if (m->state == MEMBER_SOAKING) {
        commit_member_event(run, member, MEMBER_EVENT_SOAKED, "");
    } else {
        m->soaked = true;
        run->n_moves++;
        m->good_since_ms = 0;
        for (size_t i = 0; i < PROBERS; i++)
            m->cluster[i].stale = true;
    }
}

static void good(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    uint64_t now = run->engine->now_ms;
    m->n_bad = 0;
    m->backoff_ms = 0;
    m->relapsed = false;
    m->ill_since_ms = 0;
    if (is_watched(m)) {
        run->n_moves += m->state == MEMBER_SOAKING_READ_ONLY; /* it may be promoted now */
        m->bad_since_ms = 0;
        timer_set(run->engine, &m->poll, now + watch_ms(run));
        return;
    }
    if (m->good_since_ms == 0)
        m->good_since_ms = now;
    while ((is_recovering(m->state) || is_soaking(m)) && now - m->good_since_ms >= needed_ms(run, m))
        held(run, member);
    if (!is_recovering(m->state) && !is_soaking(m)) {
        timer_set(run->engine, &m->poll, now + watch_ms(run));
        return;
    }
    uint64_t needed = needed_ms(run, m), left = m->good_since_ms + needed - now, pause = needed / 5;
    pause = pause < ASK_AGAIN_FIRST_MS  ? ASK_AGAIN_FIRST_MS
            : pause > ASK_AGAIN_LAST_MS ? ASK_AGAIN_LAST_MS
                                        : pause;
    timer_set(run->engine, &m->poll, now + (left < pause ? left : pause));
}

static bool complete(const struct run_member *m) {
    bool all = m->own.id == 0 && m->own.answered;
    for (size_t i = 0; i < PROBERS; i++)
        all = all && (m->cluster[i].id == 0 || is_watched(m));
    return all;
}

/* Called after every answer that concerns the member; does nothing until the round is complete. */
void recovered_answered(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    if (!is_polled(run, m) || m->poll.place != 0 || !complete(m))
        return;
    _cleanup_(reasons_clear) struct reasons reasons = {0};
    enum answer answer = join(run, m, &reasons);
    if (answer == ANSWER_YES)
        good(run, member);
    else
        not_good(run, m, answer, &reasons);
    run_advance(run);
}
