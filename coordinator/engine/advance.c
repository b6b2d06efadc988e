/* What a run does next. run_advance is called after whatever happened and goes on until nothing moves; every new thing
 * begins here, so pause and abort are asked here and nowhere else. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- verdicts, each one sentence ---- */

static uint32_t n_done(const struct run *run) {
    return run->n_state[MEMBER_DONE];
}

static const struct run_member *first_in(const struct run *run, enum member_state state) {
    for (uint32_t i = 0; run->n_state[state] > 0 && i < run->n_members; i++)
        if (run->members[i].state == state)
            return &run->members[i];
    return NULL;
}

static const struct run_member *first_bad(const struct run *run) {
    const struct run_member *m = first_in(run, MEMBER_HELD);
    m = m ? m : first_in(run, MEMBER_RETURNED);
    m = m ? m : first_in(run, MEMBER_FAILED);
    return m ? m : first_in(run, MEMBER_QUARANTINED);
}

static void say_bad(const struct run_member *m, const char *what, char *text, size_t size) {
    const char *how = m->state == MEMBER_HELD          ? "is held by its agent"
                      : m->state == MEMBER_RETURNED    ? "failed and was returned by its agent"
                      : m->state == MEMBER_QUARANTINED ? "is refused by its agent"
                                                       : "failed before anything was stopped";
    snprintf(text, size, "%s%s %s: %s", what, m->order->member, how, m->reason ? m->reason : "");
}

static void say_members(const struct run *run, const char *what, char *text, size_t size) {
    const struct header *header = &run->plan->header;
    size_t used = (size_t)snprintf(text, size, "%s%u of %u members run %s", what, n_done(run),
                                   run_n_present(run), header->to_version);
    for (uint32_t i = 0; i < run->n_members && used < size; i++) {
        const struct run_member *m = &run->members[i];
        bool changes = member_state_is_in_change(m->state);
        char left[KEDGE_REASON_MAX] = "";
        if (changes)
            abort_left_text(run, i, left, sizeof(left));
        if (changes || m->state == MEMBER_HELD || m->state == MEMBER_SKIPPED || m->state == MEMBER_RETIRED ||
            (run->aborting && m->state == MEMBER_BACK))
            used += (size_t)snprintf(text + used, size - used, ", %s is %s%s%s", m->order->member,
                                     member_state_text(m->state),
                                     m->mode == MODE_READ_ONLY ? " (read-only)" : "", left);
    }
}

/* By what is signed for its members, not by the name of its strategy. */
static bool run_finalizes(const struct run *run) {
    for (size_t i = 0; i < run->plan->orders[0]->n_steps; i++)
        if (run->plan->orders[0]->steps[i].verb == VERB_FINALIZE)
            return true;
    return false;
}

static bool waves_over(struct run *run) {
    char text[KEDGE_REASON_MAX * 2];
    if (!orders_drained(run)) /* a side action is being opened anew */
        return false;
    const struct run_member *bad = first_bad(run);
    bool nobody = n_done(run) == 0 && !KEDGE_MUTANT(nobody_is_done);
    if (bad)
        say_bad(bad, "", text, sizeof(text));
    else
        say_members(run, run_finalizes(run) ? "finalized, no way leads back: " : "", text, sizeof(text));
    commit_run_event(run, RUN_EVENT_WAVES_OVER,
                     (bad || nobody) && !KEDGE_MUTANT(failed_is_done) ? VERDICT_FAILED : VERDICT_DONE, text);
    return true;
}

static bool aborted(struct run *run) {
    char text[KEDGE_REASON_MAX * 2], what[KEDGE_REASON_MAX];
    if (!orders_drained(run) && !KEDGE_MUTANT(aborted_over_orders))
        return false;
    snprintf(what, sizeof(what), "%s%s%s: ", run->superseded ? "superseded" : "aborted",
             run->pause_reason && run->pause_reason[0] ? " by " : "",
             run->pause_reason ? run->pause_reason : "");
    say_members(run, what, text, sizeof(text));
    bool failed = run_is_downtime(run) && first_bad(run); /* nobody's word, but what went wrong */
    commit_run_event(run, RUN_EVENT_ABORTED,
                     run->superseded ? VERDICT_SUPERSEDED
                     : failed        ? VERDICT_FAILED
                                     : VERDICT_ABORTED,
                     text);
    return true;
}

/* ---- preparing ---- */

static bool prepare_failed(struct run *run) {
    char text[KEDGE_REASON_MAX * 2];
    if (!orders_drained(run))
        return false;
    const struct run_member *m = first_bad(run);
    snprintf(text, sizeof(text), "%s could not be prepared, nothing was stopped: %s",
             m ? m->order->member : "a member", m && m->reason ? m->reason : "");
    commit_run_event(run, RUN_EVENT_PREPARE_FAILED, VERDICT_FAILED, text);
    return true;
}

/* Goes on where it ended: who could not be prepared is looked at again when its agent is back or its hold is over. */
static bool prepare_more(struct run *run) {
    uint32_t in_flight = run->n_state[MEMBER_PREPARING], before = in_flight;
    if (run->retry_ms > 0)
        return false;
    for (; run->prepare_from < run->n_members && in_flight < PREPARE_AT_ONCE; run->prepare_from++) {
        const struct run_member *m = &run->members[run->prepare_from];
        if (m->state == MEMBER_PLANNED && run->engine->nodes[m->node].up &&
            (!member_is_held_back(run, m) || KEDGE_MUTANT(prepared_held))) {
            order_issue(run, run->prepare_from, "prepare");
            in_flight++;
        }
    }
    return in_flight > before;
}

/* Nothing was begun: it waits until no older run is in its way. */
static bool advance_waiting(struct run *run) {
    if (run->aborting)
        return aborted(run);
    if (run->paused || lock_holder(run))
        return false;
    commit_run_event(run, RUN_EVENT_CLEAR, VERDICT_NONE, "");
    return true;
}

static bool advance_preparing(struct run *run) {
    uint64_t not_before_ms = run->plan->header.not_before_s * 1000;
    if (run->aborting)
        return aborted(run);
    uint32_t n_left_out = run->n_state[MEMBER_SKIPPED] + run->n_state[MEMBER_QUARANTINED];
    bool nobody = run->n_state[MEMBER_QUARANTINED] > 0 && n_left_out == run_n_present(run);
    if (run->n_state[MEMBER_FAILED] > 0 || nobody)
        return prepare_failed(run);
    if (wall_now_ms(run->engine) < not_before_ms) {
        timer_set(run->engine, &run->start, not_before_ms + run->engine->ahead_ms);
        return false;
    }
    bool prepared = run->n_state[MEMBER_PREPARED] + n_left_out == run_n_present(run) ||
                    (KEDGE_MUTANT(prepare_not_awaited) && run->n_state[MEMBER_PREPARED] > 0);
    if (prepared && !run->paused) {
        commit_run_event(run, RUN_EVENT_PREPARED, VERDICT_NONE, "");
        return true;
    }
    return run->n_state[MEMBER_PLANNED] > 0 && prepare_more(run);
}

/* ---- side actions ---- */

static bool advance_opening(struct run *run) {
    if (run->aborting)
        return aborted(run);
    if (run_n_present(run) == 0) {
        commit_run_event(run, RUN_EVENT_OPEN_FAILED, VERDICT_FAILED, "no member is left");
        return true;
    }
    if (run->paused || !sides_open(run))
        return false;
    commit_run_event(run, run->rollback ? RUN_EVENT_ROLLS_BACK : RUN_EVENT_OPENED, VERDICT_NONE, "");
    return true;
}

static bool advance_closing(struct run *run) {
    if (!sides_close(run))
        return false;
    commit_run_event(run, RUN_EVENT_CLOSED, VERDICT_NONE, "");
    locks_wake(run->engine);
    return true;
}

/* ---- one change ---- */

static bool has_expired(struct run *run) {
    if (wall_now_ms(run->engine) / 1000 <= run->plan->header.not_after_s || run_takes_back(run))
        return false;
    run_pause(run, PAUSE_EXPIRED, NO_MEMBER, "the plan has expired; make and approve a new one, or abort");
    return true;
}

/* While the wave is full: with short soaks the evidence about the others is asked for once, during the soak instead of
 * after it, so that the next member does not wait for it. Not while an order is under way: its report is a change, and
 * what was asked before it is not used. */
static void survey_ahead(struct run *run) {
    const struct wave *wave = &run->plan->shape.waves[run->wave];
    uint64_t soon_ms = (uint64_t)wave->soak_ms + run->recovered.detection_ms;
    if (soon_ms > SURVEY_AHEAD_MS || run->surveyed_ahead == run->n_changes || run->n_in_flight > 0)
        return;
    run->surveyed_ahead = run->n_changes;
    (void)survey(run);
}

/* Nobody waits to stop (any more): the one that did may be held back by now. */
static void candidate_none(struct run *run) {
    run->candidate = NO_MEMBER;
    run->wait_since_ms = run->backoff_ms = 0;
    reasons_clear(&run->wait);
}

/* Nothing more is stopped before all side actions are in force again. After an abort no agent opens one: may-stop says so. */
static bool reopens(struct run *run) {
    if (run->aborting || !sides_are_back(run))
        return false;
    candidate_none(run);
    return !sides_open(run);
}

/* Asks whether the next member may stop, and orders it when all say yes: in the same step as the last answer. */
static bool change_next(struct run *run) {
    const char *step;
    if (run->retry_ms > 0 || reopens(run))
        return false;
    if (!choose_has_room(run)) {
        candidate_none(run);
        survey_ahead(run);
        return false;
    }
    if (!survey(run))
        return false;
    uint32_t member = choose_change(run, &step);
    if (member == NO_MEMBER) {
        candidate_none(run);
        return false;
    }
    if (has_expired(run) || quarantine_stops(run, member))
        return false;
    if (may_stop_too_early(run, member)) {
        candidate_none(run);
        return false;
    }
    run->candidate = member;
    switch (may_stop(run, member)) {
    case MAY_STOP_ASKING: return false;
    case MAY_STOP_WAITS: may_stop_wait(run); return false;
    case MAY_STOP_YES: break;
    }
    candidate_none(run);
    order_issue(run, member, step);
    return true;
}

/* While the two probers are asked for a candidate, other answers change nothing. */
static bool is_asking(const struct run *run) {
    if (run->candidate == NO_MEMBER)
        return false;
    const struct run_member *m = &run->members[run->candidate];
    for (size_t i = 0; i < PROBERS; i++)
        if (m->cluster[i].id != 0 && m->cluster[i].purpose == PURPOSE_MAY_STOP)
            return true;
    return false;
}

/* ---- waves ---- */

/* `waits`: it has, and an order is still under way. */
static bool canary_failed(struct run *run, const struct wave *wave, bool *waits) {
    char text[KEDGE_REASON_MAX * 2];
    size_t n_left_out = 0;
    for (size_t i = 0; i < wave->n_members; i++) {
        const struct run_member *m = &run->members[wave->members[i]];
        n_left_out +=
            m->state == MEMBER_SKIPPED || m->state == MEMBER_RETIRED || m->state == MEMBER_QUARANTINED;
        bool bad = m->state == MEMBER_RETURNED || m->state == MEMBER_FAILED ||
                   (m->state == MEMBER_HELD && !run->paused);
        *waits = *waits || (bad && !orders_drained(run));
        if (!bad || *waits)
            continue;
        say_bad(m, "canary ", text, sizeof(text));
        commit_run_event(run, RUN_EVENT_CANARY_FAILED, VERDICT_FAILED, text);
        return true;
    }
    bool none_left = n_left_out == wave->n_members;
    *waits = *waits || (none_left && !orders_drained(run));
    if (!none_left || *waits)
        return false;
    commit_run_event(run, RUN_EVENT_CANARY_FAILED, VERDICT_FAILED,
                     "no canary is left, so nothing was proven; no other member is touched");
    return true;
}

bool wave_waits_for_approval(const struct run *run) {
    const struct shape *shape = &run->plan->shape;
    if (run->state != RUN_WAVES || run->aborting || run->rollback || run->wave + 1 >= shape->n_waves)
        return false;
    const struct wave *wave = &shape->waves[run->wave];
    if (!wave->approval || run->wave_over[run->wave] != wave->n_members)
        return false;
    for (size_t i = 0; i < wave->n_members; i++)
        if (run->members[wave->members[i]].approved)
            return false;
    return true;
}

uint32_t engine_approval_awaited(const struct run *run) {
    if (!wave_waits_for_approval(run))
        return NO_MEMBER;
    const struct wave *wave = &run->plan->shape.waves[run->wave];
    for (size_t i = 0; i < wave->n_members; i++)
        if (run->members[wave->members[i]].state == MEMBER_DONE)
            return wave->members[i];
    return NO_MEMBER;
}

static bool rolls_back(struct run *run) {
    if (!orders_drained(run))
        return false;
    commit_run_event(run, RUN_EVENT_ROLLS_BACK, VERDICT_NONE, "");
    return true;
}

static void wave_begin(struct run *run, uint32_t number) {
    const struct wave *wave = &run->plan->shape.waves[number];
    commit(run->engine,
           (struct record){.kind = RECORD_WAVE, .run = run->id, .number = number, .name = wave->name}, NULL);
}

/* The next wave; or an earlier one, of which a member that had failed within a budget is to be tried again since. */
static uint32_t wave_next(const struct run *run) {
    const struct wave *waves = run->plan->shape.waves;
    for (uint32_t i = 0; i < run->wave; i++)
        if (!wave_is_of_downtime(&waves[i]) && run->wave_over[i] != waves[i].n_members)
            return i;
    return run->wave + 1;
}

static bool advance_aborting(struct run *run) {
    if (!orders_drained(run))
        return false;
    return abort_is_over(run) ? aborted(run) : !is_asking(run) && change_next(run);
}

static bool advance_waves(struct run *run) {
    const struct shape *shape = &run->plan->shape;
    const struct wave *wave = run->wave < shape->n_waves ? &shape->waves[run->wave] : NULL;
    if (run->aborting && !KEDGE_MUTANT(abort_forgotten))
        return (!barrier_may_return(run) || barrier_returns(run)) && advance_aborting(run);
    if (run->rollback)
        return rolls_back(run);
    if (!wave)
        return waves_over(run);
    bool waits = false;
    if (wave->kind == WAVE_CANARY && run->wave_over[run->wave] > 0 && !KEDGE_MUTANT(canary_ignored) &&
        canary_failed(run, wave, &waits))
        return true;
    if (waits)
        return false;
    if ((run->paused && !KEDGE_MUTANT(pause_ignored)) || is_asking(run))
        return false;
    bool over =
        wave_is_of_downtime(wave) ? barrier_is_over(run, wave) : run->wave_over[run->wave] == wave->n_members;
    if (over) {
        uint32_t next = wave_next(run);
        if (next > run->wave && barrier_is_last(run))
            return waves_over(run);
        if (next > run->wave && wave_waits_for_approval(run))
            return false;
        wave_begin(run, next);
        return true;
    }
    if (wave->kind == WAVE_STOP &&
        (has_expired(run) || quarantine_stops(run, wave->members[0]) || reopens(run)))
        return false;
    return wave_is_of_downtime(wave) ? barrier_advance(run, wave) : change_next(run);
}

/* ---- the way back ---- */

static bool all_back(struct run *run) {
    char text[KEDGE_REASON_MAX * 2];
    if (!orders_drained(run))
        return false;
    const struct run_member *held = first_in(run, MEMBER_HELD);
    snprintf(text, sizeof(text), "rolled back: %u members run %s again%s%s%s%s", run->n_state[MEMBER_BACK],
             run->plan->header.from_version, held ? ", still held: " : "", held ? held->order->member : "",
             run->inconclusive ? "; " : "", run->inconclusive ? run->inconclusive : "");
    commit_run_event(run, RUN_EVENT_ALL_BACK, VERDICT_ROLLED_BACK, text);
    return true;
}

static bool advance_returning(struct run *run) {
    if (run->aborting)
        return advance_aborting(run);
    if (run_is_downtime(run))
        return !run->paused && barrier_rolls_back(run) && (run->n_in_flight > 0 || all_back(run));
    if (run->wave_open[run->wave] == 0) {
        if (run->wave == 0 || KEDGE_MUTANT(first_waves_not_returned))
            return all_back(run);
        wave_begin(run, run->wave - 1);
        return true;
    }
    return !run->paused && !is_asking(run) && change_next(run);
}

static bool advance_once(struct run *run) {
    switch (run->state) {
    case RUN_WAITING: return advance_waiting(run);
    case RUN_PREPARING: return advance_preparing(run);
    case RUN_OPENING: return advance_opening(run);
    case RUN_WAVES: return advance_waves(run);
    case RUN_RETURNING: return advance_returning(run);
    case RUN_CLOSING: return advance_closing(run);
    case RUN_ENDED: break;
    }
    return false;
}

void run_advance(struct run *run) {
    while (advance_once(run))
        ;
}
