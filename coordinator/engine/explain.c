/* Why a member is where it is, in words: what it does, since when, which gate says what, and what happens if it goes on
 * (F29). Nothing is decided here. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <string.h>

static void say(struct why *why, const char *headline, const char *then) {
    snprintf(why->headline, sizeof(why->headline), "%s", headline);
    snprintf(why->then, sizeof(why->then), "%s", then);
}

static const struct wave *wave_of(const struct run *run, const struct run_member *m) {
    const struct shape *shape = &run->plan->shape;
    return m->wave < shape->n_waves ? &shape->waves[m->wave] : NULL;
}

static void explain_soak(const struct run *run, const struct run_member *m, struct why *why) {
    const struct wave *wave = wave_of(run, m);
    bool read_only = m->state == MEMBER_SOAKING_READ_ONLY;
    why->soak_of_ms = !wave ? 0 : read_only ? wave->soak_read_only_ms : wave->soak_ms;
    why->soak_until_ms = m->good_since_ms ? m->good_since_ms + why->soak_of_ms : 0;
    reasons_add_all(&why->reasons, &m->own.reasons, false);
    for (size_t i = 0; i < PROBERS; i++)
        if (m->cluster[i].answered && m->cluster[i].purpose == PURPOSE_RECOVERED)
            reasons_add_all(&why->reasons, &m->cluster[i].reasons, false);
}

static void explain_waiting(const struct run *run, const struct run_member *m, struct why *why,
                            const char *headline) {
    const struct wave *wave = wave_of(run, m);
    why->since_ms = run->wait_since_ms;
    reasons_add_all(&why->reasons, &run->wait, false);
    if (run->paused) {
        say(why, headline, "nothing, until `kedge run resume`");
        return;
    }
    say(why, headline, wave && wave->wait_limit_ms ? "the run pauses, nothing else" : "it goes on waiting");
    why->limit_ms = wave && wave->wait_limit_ms ? run->wait_since_ms + wave->wait_limit_ms : 0;
}

static void explain_turn(const struct run *run, const struct run_member *m, struct why *why) {
    const char *then = run->state == RUN_ENDED || run->aborting
                           ? "nothing more: the run is over or being aborted"
                       : run->paused ? "nothing, until `kedge run resume`"
                                     : "it is switched when its wave has room";
    say(why,
        run->state == RUN_WAVES && run->wave == m->wave ? "waits for its turn in this wave"
                                                        : "waits for its wave",
        then);
}

static void explain_ordered(const struct run *run, const struct run_member *m, struct why *why) {
    char headline[128];
    bool up = run->engine->nodes[m->node].up;
    snprintf(headline, sizeof(headline), "waits for its agent, which does step \"%s\"",
             m->step ? m->step : "");
    say(why, headline, "its agent finishes or returns alone; then it reports");
    if (!up) {
        reasons_add(&why->reasons, "its agent", m->order->node, ANSWER_UNKNOWN, "it is not connected");
        say(why, "has an order in flight, its agent is NOT connected",
            "the run waits for it; the agent finishes or returns alone");
    }
}

static void explain_recovering(const struct run *run, const struct run_member *m, struct why *why) {
    const struct wave *wave = wave_of(run, m);
    explain_soak(run, m, why);
    why->soak_until_ms = why->soak_of_ms = 0;
    bool bad = m->bad_since_ms && !m->good_since_ms;
    say(why, bad ? "WAITS to recover" : "recovers: its gates must hold", "the run pauses, nothing else");
    if (bad && wave && wave->wait_limit_ms)
        why->limit_ms = m->bad_since_ms + wave->wait_limit_ms;
    else if (!bad)
        snprintf(why->then, sizeof(why->then), "it soaks");
}

static void explain_read_only(const struct run *run, const struct run_member *m, struct why *why,
                              bool candidate) {
    explain_soak(run, m, why);
    if (!m->soaked) {
        say(why, "soaks read-only", "it is promoted when its gates have held without a break");
    } else if (candidate && run->wait_since_ms) {
        reasons_clear(&why->reasons);
        explain_waiting(run, m, why, "WAITS for its promotion");
    } else {
        say(why, "has soaked read-only",
            run->paused ? "nothing, until `kedge run resume`" : "it is promoted");
    }
}

/* Changed and not finished, in a run that is being aborted and takes it back. */
static bool explain_taken_back(const struct run *run, uint32_t member, struct why *why) {
    const struct run_member *m = &run->members[member];
    char text[KEDGE_REASON_MAX];
    if (!run->aborting || !run_takes_back(run) || m->step || m->state == MEMBER_RECOVERING_BACK)
        return false;
    if (way_is_closed(m) || m->stays) {
        abort_left_text(run, member, text, sizeof(text));
        say(why, "is left as it is: the run is being aborted", "the run ends");
        reasons_add(&why->reasons, "way back", m->order->member, ANSWER_NO, text + strlen(" and "));
        return true;
    }
    say(why, run->candidate == member && run->wait_since_ms ? "WAITS to return" : "is to be returned",
        "it is left as it is, and the run ends");
    if (run->candidate == member)
        reasons_add_all(&why->reasons, &run->wait, false);
    why->limit_ms = abort_until_ms(run);
    return true;
}

/* It runs the new release while the run goes back. */
static void explain_to_return(const struct run *run, const struct run_member *m, bool candidate,
                              struct why *why) {
    bool up = run->engine->nodes[m->node].up;
    if (candidate && run->wait_since_ms) {
        explain_waiting(run, m, why, "WAITS to return");
        return;
    }
    if (!up)
        reasons_add(&why->reasons, "its agent", m->order->node, ANSWER_UNKNOWN, "it is not connected");
    say(why, up ? "waits for its turn to go back" : "waits to go back, its agent is NOT connected",
        run->paused ? "nothing, until `kedge run resume`" : "it is returned to what it ran before");
}

/* A waiver is shown for as long as it is in force, whether its gate says no at the moment or not. */
static void explain_waivers(const struct run *run, uint32_t member, struct why *why) {
    for (size_t i = 0; i < run->n_waivers; i++) {
        const struct waiver *w = &run->waivers[i];
        char text[KEDGE_REASON_MAX];
        if (w->member != member || w->until_ms <= wall_now_ms(run->engine))
            continue;
        snprintf(text, sizeof(text), "waived for %llu s more: %.300s",
                 (unsigned long long)((w->until_ms - wall_now_ms(run->engine) + 999) / 1000), w->reason);
        reasons_add(&why->reasons, w->gate, run->members[member].order->member, ANSWER_UNKNOWN, text);
    }
}

static void hold_text(const struct run *run, const struct run_member *m, char *text, size_t size) {
    const struct node *node = &run->engine->nodes[m->node];
    uint64_t now = wall_now_ms(run->engine), until = node->held_until_ms;
    if (until > now)
        snprintf(text, size, "held for %llu s more: %.300s", (unsigned long long)((until - now + 999) / 1000),
                 node->held_reason);
    else
        snprintf(text, size, "held until `kedge node return`: %.300s", node->held_reason);
}

static void explain_hold(const struct run *run, const struct run_member *m, struct why *why) {
    char text[KEDGE_REASON_MAX];
    if (!member_is_held_back(run, m))
        return;
    hold_text(run, m, text, sizeof(text));
    reasons_add(&why->reasons, "operator", m->order->node, ANSWER_NO, text);
    if (!member_state_is_over(m->state) && !member_state_is_ordered(m->state))
        say(why, "its node is HELD by an operator", "nothing, until the hold ends");
}

static void explain_state(const struct run *run, uint32_t member, struct why *outp) {
    const struct run_member *m = &run->members[member];
    bool candidate = run->candidate == member;
    switch (m->state) {
    case MEMBER_PLANNED:
        say(outp,
            run->engine->nodes[m->node].up ? "waits to be prepared"
                                           : "waits to be prepared, its agent is NOT connected",
            "no member is stopped before all are prepared");
        break;
    case MEMBER_PREPARED:
        if (candidate && run->wait_since_ms)
            explain_waiting(run, m, outp, "WAITS to stop");
        else
            explain_turn(run, m, outp);
        break;
    case MEMBER_PREPARING:
    case MEMBER_SWITCHING:
    case MEMBER_PROMOTING:
    case MEMBER_STOPPING:
    case MEMBER_PASSING:
    case MEMBER_STARTING:
    case MEMBER_ACTING:
    case MEMBER_HALTING:
    case MEMBER_REVERTING: explain_ordered(run, m, outp); break;
    case MEMBER_RECOVERING:
    case MEMBER_SETTLING:
    case MEMBER_RECOVERING_BACK:
        if (!explain_taken_back(run, member, outp))
            explain_recovering(run, m, outp);
        break;
    case MEMBER_SOAKING_READ_ONLY:
        if (!explain_taken_back(run, member, outp))
            explain_read_only(run, m, outp, candidate);
        break;
    case MEMBER_SOAKING:
        if (explain_taken_back(run, member, outp))
            break;
        explain_soak(run, m, outp);
        say(outp, "soaks", "it is done when its gates have held without a break");
        break;
    case MEMBER_DONE:
        reasons_add_all(&outp->reasons, &m->own.reasons, false);
        say(outp, m->relapsed ? "RELAPSED" : "done", "it stays watched until the run ends");
        break;
    case MEMBER_FAILED: say(outp, "failed, nothing was stopped", "`kedge run retry` tries it again"); break;
    case MEMBER_RETURNED:
        say(outp, "failed and was returned by its own agent", "it stays as it was before the run");
        break;
    case MEMBER_HELD: say(outp, "HELD by its own agent", "nothing, until somebody has looked at it"); break;
    case MEMBER_SKIPPED: say(outp, "left out of this run by an operator", "it stays as it is"); break;
    case MEMBER_RETIRED: say(outp, "gone for good, by an operator's word", "nothing is asked of it"); break;
    case MEMBER_STOPPED:
        say(outp, "is stopped at the barrier",
            "its agent starts what it ran before, if the barrier is not passed within the hold limit");
        break;
    case MEMBER_PASSED:
        say(outp, "is stopped, and the barrier is passed",
            run->aborting || run->state == RUN_ENDED ? "it stays down, with an alarm of its agent: the run "
                                                       "was aborted after the point of no return"
            : run->state == RUN_RETURNING ? "it is started on what it ran before; by itself it stays down"
                                          : "it is started in its wave; by itself it stays down");
        break;
    case MEMBER_QUARANTINED:
        say(outp, "QUARANTINED by its own agent, nothing was stopped",
            "it stays as it is; a plan made with --lift-quarantine may try it again");
        break;
    case MEMBER_BACK: say(outp, "is back on what it ran before", "nothing more"); break;
    }
}

/* While an order is in flight the last report is one of an attempt before; it says why this one takes long only when it has
 * only declined. */
static bool is_of_now(const struct run_member *m) {
    return !m->step || (m->waits && strcmp(m->waits, m->reason) == 0);
}

void engine_explain(const struct engine *engine, const struct run *run, uint32_t member, struct why *outp) {
    const struct run_member *m = &run->members[member];
    (void)engine;
    *outp = (struct why){.state = member_state_text(m->state), .since_ms = m->since_ms};
    if (run->state == RUN_RETURNING && member_state_is_changed(m->state))
        explain_to_return(run, m, run->candidate == member, outp);
    else
        explain_state(run, member, outp);
    explain_hold(run, m, outp);
    explain_waivers(run, member, outp);
    if (m->state != MEMBER_DONE && m->reason && m->reason[0] && is_of_now(m))
        reasons_add(&outp->reasons,
                    m->state == MEMBER_SKIPPED || m->state == MEMBER_RETIRED ? "operator" : "last report",
                    m->order->member, member_state_is_over(m->state) ? ANSWER_NO : ANSWER_UNKNOWN, m->reason);
}

void why_deinit(struct why *why) {
    reasons_clear(&why->reasons);
}

static void explain_sides(const struct run *run, char *text, size_t size) {
    for (uint32_t i = 0; i < run->n_sides; i++) {
        const struct run_side *side = &run->sides[i];
        bool waits = run->state == RUN_CLOSING && side->state != SIDE_LEFT &&
                     (side->state != SIDE_CLOSED || side->put_back);
        if (run->state != RUN_CLOSING && side->state == SIDE_CLOSED && !text[0])
            snprintf(text, size,
                     "side action %s is to be opened%s: no agent is free and connected that can do it",
                     side->action->name, run->state == RUN_OPENING ? "" : " again");
        if (waits ||
            (run->state != RUN_CLOSING && (side->state == SIDE_OPENING || side->state == SIDE_CLOSING)))
            side_explain(run, side, text, size);
    }
}

static void explain_holds(const struct run *run, char *text, size_t size) {
    for (uint32_t i = 0; run->engine->n_held > 0 && i < run->n_members; i++) {
        char hold[KEDGE_REASON_MAX];
        if (!member_is_held_back(run, &run->members[i]))
            continue;
        hold_text(run, &run->members[i], hold, sizeof(hold));
        snprintf(text, size, "node %s is %s; it counts as in change", run->members[i].order->node, hold);
        return;
    }
}

static void explain_waiting_run(const struct run *run, char *text, size_t size) {
    const struct run *holder = lock_holder(run);
    char why[KEDGE_REASON_MAX] = "";
    if (holder->state != RUN_WAITING)
        engine_explain_run(run->engine, holder, why, sizeof(why));
    snprintf(text, size, "waits for run %llu of cluster %s (%s%s%s) to end: %s",
             (unsigned long long)holder->id, holder->plan->header.cluster, run_state_text(holder->state),
             why[0] ? ", " : "", why, lock_reason(run->plan, holder));
}

static void explain_candidate(const struct run *run, char *text, size_t size) {
    char why[KEDGE_REASON_MAX] = "";
    if (run->wait.n > 0)
        reasons_text(&run->wait, why, sizeof(why));
    snprintf(text, size, "%s waits%s%s", run->members[run->candidate].order->member, why[0] ? ": " : "", why);
}

/* Somebody who cannot be reached for what comes next, or is in change and not well: the run waits for it. */
static void explain_open(const struct run *run, char *text, size_t size) {
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        bool wanted = m->step || (run->state == RUN_PREPARING && m->state == MEMBER_PLANNED);
        bool away = wanted && !run->engine->nodes[m->node].up;
        bool ill = member_state_is_in_change(m->state) && m->bad_since_ms && !m->good_since_ms;
        bool held = run->state == RUN_PREPARING && m->state == MEMBER_HELD; /* all are awaited there */
        if (!away && !ill && !held)
            continue;
        char reasons[KEDGE_REASON_MAX] = "";
        struct why why;
        engine_explain(run->engine, run, i, &why);
        if (!away) /* that it is away is all that there is to say */
            reasons_text(&why.reasons, reasons, sizeof(reasons));
        snprintf(text, size, "%s %s%s%s", m->order->member, why.headline, reasons[0] ? ": " : "", reasons);
        why_deinit(&why);
        return;
    }
}

static void explain_abort(const struct run *run, char *text, size_t size) {
    uint32_t next = run_takes_back(run) ? abort_next(run) : NO_MEMBER;
    char why[KEDGE_REASON_MAX] = "";
    const char *word = run->superseded ? "superseded" : "aborting";
    if (next == NO_MEMBER || run->n_in_flight > 0) {
        snprintf(text, size, "%s: orders in flight finish or return first", word);
        return;
    }
    if (run->candidate == next && run->wait.n > 0)
        reasons_text(&run->wait, why, sizeof(why));
    snprintf(text, size, "%s: %s is returned first, as the plan says%s%s", word,
             run->members[next].order->member, why[0] ? ", and waits: " : "", why);
}

/* Nobody is in the way and nothing is wrong: the plan wants a person to look. */
static void explain_approval(const struct run *run, char *text, size_t size) {
    uint32_t member = engine_approval_awaited(run);
    if (member == NO_MEMBER)
        return;
    const char *done = run->members[member].order->member;
    snprintf(text, size,
             "waits for an operator: canary %s is done and well; `kedge run promote %llu %s --reason WHY "
             "--key KEY` lets "
             "the other waves begin, `kedge run rollback %llu` takes it back",
             done, (unsigned long long)run->id, done, (unsigned long long)run->id);
}

/* Nobody is asked yet whether it may stop (may_stop.c). */
static void explain_early(const struct run *run, char *text, size_t size) {
    uint64_t now = run->engine->now_ms;
    bool changing = run->state == RUN_WAVES || run->state == RUN_RETURNING;
    if (changing && run->candidate == NO_MEMBER && run->retry_ms > now)
        snprintf(text, size,
                 "the next member is asked in %llu s: until then the gates may not know what the last stop "
                 "took away",
                 (unsigned long long)((run->retry_ms - now + 999) / 1000));
}

void engine_explain_run(const struct engine *engine, const struct run *run, char *text, size_t size) {
    (void)engine;
    text[0] = 0;
    if (run->state == RUN_ENDED)
        snprintf(text, size, "%s", run->verdict_text ? run->verdict_text : "");
    else if (run->state == RUN_WAITING && lock_holder(run))
        explain_waiting_run(run, text, size);
    else if (run->paused)
        snprintf(text, size, "paused: %s", run->pause_reason ? run->pause_reason : "");
    else if (run->state == RUN_OPENING || run->state == RUN_CLOSING)
        explain_sides(run, text, size);
    else if (run->aborting) {
        explain_abort(run, text, size);
        barrier_explain_abort(run, text, size);
    } else if ((run->state == RUN_WAVES || run->state == RUN_RETURNING) && sides_are_back(run))
        explain_sides(run, text, size);
    else if (run->candidate != NO_MEMBER && run->wait_since_ms)
        explain_candidate(run, text, size);
    else if (run->state == RUN_RETURNING && run_is_downtime(run))
        barrier_explain_back(run, text, size);
    else
        explain_holds(run, text, size);
    if (!text[0])
        explain_approval(run, text, size);
    if (!text[0])
        explain_open(run, text, size);
    if (!text[0])
        explain_early(run, text, size);
}
