/* Operators' words. The tables of the run's and the member's machine say which is taken in which state; here stands what
 * a word needs besides, and what it sets in motion. What cannot be done is refused before anything is touched, with what
 * can be done instead. */
#include "coordinator/engine/internal.h"

#include <string.h>

/* ---- about the run ---- */

/* A run that has ended takes its locks up again only when nobody else holds them, and nothing came after it. */
static int check_again(const struct run *run, struct actions *actions) {
    const struct engine *engine = run->engine;
    const struct run *newest = run;
    for (size_t i = 0; i < engine->n_runs; i++)
        if (strcmp(engine->runs[i]->plan->header.cluster, run->plan->header.cluster) == 0)
            newest = engine->runs[i];
    if (newest != run)
        return engine_refuse(actions, "run %llu came after it; make a plan back to %s",
                             (unsigned long long)newest->id, run->plan->header.from_version);
    const struct run *holder = lock_holder_of(engine, run->plan, engine->n_runs);
    if (holder)
        return engine_refuse(actions, "run %llu of cluster %s is open, and %s; it must end first",
                             (unsigned long long)holder->id, holder->plan->header.cluster,
                             lock_reason(run->plan, holder));
    return 0;
}

bool way_is_closed(const struct run_member *m) {
    enum way_back way = m->order->way_back;
    bool promoted = m->state == MEMBER_SETTLING || m->state == MEMBER_SOAKING || m->state == MEMBER_DONE;
    return way == WAY_BACK_UNTIL_START || way == WAY_BACK_NEVER ||
           (way == WAY_BACK_UNTIL_PROMOTION && promoted);
}

/* It will be, as soon as what is under way is done. */
static bool way_is_closing(const struct run_member *m) {
    enum way_back way = m->order->way_back;
    return (m->state == MEMBER_SWITCHING && way_is_closed(m)) ||
           (m->state == MEMBER_PROMOTING && way == WAY_BACK_UNTIL_PROMOTION);
}

/* A way back that is closed is said before anything is touched. */
static int check_rollback(const struct run *run, struct actions *actions) {
    const char *final = run_is_downtime(run) ? barrier_is_final(run) : NULL;
    if (final)
        return engine_refuse(actions, "%s was begun, and the plan names nothing that undoes it", final);
    uint32_t n_changed = run->n_state[MEMBER_STOPPED] + run->n_state[MEMBER_PASSED];
    if (run->aborting && run->n_sides > 0)
        return engine_refuse(
            actions,
            "the run was aborted, so its agents open no side action of it any more; make a plan back to %s",
            run->plan->header.from_version);
    if (run->state == RUN_ENDED && !sides_can_reopen(run))
        return engine_refuse(
            actions, "no agent is left that could open the side action once more; make a plan back to %s",
            run->plan->header.from_version);
    int r = run->state == RUN_ENDED ? check_again(run, actions) : 0;
    for (uint32_t i = 0; r == 0 && i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        bool changed = member_state_is_changed(m->state);
        n_changed += changed;
        if ((changed && way_is_closed(m)) || way_is_closing(m))
            return engine_refuse(actions, "%s cannot go back: its way back was \"%s\"", m->order->member,
                                 way_back_text(m->order->way_back));
    }
    if (r == 0 && n_changed == 0 && run->n_in_flight == 0)
        return engine_refuse(actions, "no member runs %s, so there is nothing to take back",
                             run->plan->header.to_version);
    return r;
}

/* Said before, by whomever: from a second console it is no mistake. */
static bool is_said(const struct run *run, enum run_event command) {
    if (run->state == RUN_ENDED)
        return false;
    return (command == RUN_EVENT_PAUSE && run_has_pause(run, PAUSE_WORD, NO_MEMBER)) ||
           (command == RUN_EVENT_ABORT && run->aborting) || /* a superseded run drains already */
           (command == RUN_EVENT_ROLLBACK && run->rollback && !run->aborting);
}

/* An aborted run is ended by what is under way; nobody may take it up again. */
static int check_run(const struct run *run, enum run_event command, struct actions *actions) {
    struct run_move move = run_move(run->state, command);
    if (is_said(run, command))
        return 0;
    if (move.kind != RUN_MOVE_TO && move.kind != RUN_MOVE_FLAG && move.kind != RUN_MOVE_MEMBER)
        return engine_refuse(actions, "%s", move.why);
    if (run->aborting && run->state != RUN_ENDED && command != RUN_EVENT_ABORT && command != RUN_EVENT_RETIRE)
        return engine_refuse(actions, "the run is being aborted; nothing but its closing moves is done");
    if (command == RUN_EVENT_RESUME && !run->paused)
        return engine_refuse(actions, "the run is not paused");
    return command == RUN_EVENT_ROLLBACK ? check_rollback(run, actions) : 0;
}

/* The engine's own word, with the reason; agents hear it at once. */
void run_abort(struct run *run, const char *why) {
    commit_run_event(run, RUN_EVENT_ABORT, VERDICT_NONE, why);
    order_latch(run, NULL);
}

/* A run that is paused stays so: who resumes it gives its canary the same time again. */
bool run_may_return(const struct run *run) {
    if (run->state != RUN_WAVES || run->paused || run->aborting || run->rollback)
        return false;
    for (uint32_t i = 0; i < run->n_members; i++)
        if (member_state_is_changed(run->members[i].state) && way_is_closed(&run->members[i]))
            return false;
    return true;
}

/* The plan's own word. What is in flight ends first, as after an operator's. */
void run_return(struct run *run, const char *why) {
    commit(run->engine,
           (struct record){.kind = RECORD_RUN_EVENT,
                           .run = run->id,
                           .number = RUN_EVENT_ROLLBACK,
                           .value2 = ROLLBACK_BY_PLAN,
                           .text = why},
           NULL);
    run_look_anew(run);
}

static void command_run(struct run *run, const struct event *event) {
    bool why = event->command == RUN_EVENT_PAUSE && !run_is_paused_by(run, event->text);
    if (event->command == RUN_EVENT_RESUME)
        sides_resume(run);
    if (why || !is_said(run, event->command))
        commit_run_event(run, event->command, VERDICT_NONE, event->text);
    if (event->command == RUN_EVENT_ROLLBACK) { /* a run that had ended did not look */
        away_look(run);
        holds_wake(run);
    }
    for (uint32_t i = 0; i < run->n_members; i++)
        run->members[i].stays = false; /* who was told to return once may be told again */
    if (event->command == RUN_EVENT_ABORT && !KEDGE_MUTANT(abort_untold))
        order_latch(run, NULL);
}

/* ---- about one member ---- */

static bool member_event_of(enum run_event command, enum member_event *outp) {
    static const struct {
        enum run_event command;
        enum member_event event;
    } rows[] = {
        {RUN_EVENT_RETRY, MEMBER_EVENT_RETRY},   {RUN_EVENT_SKIP, MEMBER_EVENT_SKIP},
        {RUN_EVENT_RETIRE, MEMBER_EVENT_RETIRE}, {RUN_EVENT_PROMOTE, MEMBER_EVENT_PROMOTE},
        {RUN_EVENT_WAIVE, MEMBER_EVENT_WAIVE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].command == command) {
            *outp = rows[i].event;
            return true;
        }
    return false;
}

static bool has_gate(const struct run *run, const char *name) {
    for (size_t i = 0; i < run->plan->n_gates; i++)
        if (strcmp(run->plan->gates[i].name, name) == 0)
            return true;
    return false;
}

static int check_waiver(const struct run *run, const struct event *event, struct actions *actions) {
    uint64_t now_ms = wall_now_ms(run->engine);
    if (!event->gate || !has_gate(run, event->gate))
        return engine_refuse(actions, "the plan has no gate \"%s\"; see `kedge run show`",
                             event->gate ? event->gate : "");
    if (event->until_ms <= now_ms)
        return engine_refuse(actions, "a waiver needs an end that is still to come");
    if (event->until_ms > now_ms + WAIVER_MS_MAX)
        return engine_refuse(actions, "a waiver lasts %d hours at most", WAIVER_MS_MAX / 3600000);
    if (!event->text || !event->text[0])
        return engine_refuse(actions, "a waiver needs a reason");
    return 0;
}

/* A canary that nobody was proves nothing: the next wave must not follow on it by itself. */
static bool is_last_canary(const struct run *run, uint32_t member) {
    const struct wave *wave = &run->plan->shape.waves[run->members[member].wave];
    for (size_t i = 0; i < wave->n_members; i++) {
        enum member_state state = run->members[wave->members[i]].state;
        if (wave->members[i] != member && state != MEMBER_SKIPPED && state != MEMBER_RETIRED &&
            state != MEMBER_QUARANTINED)
            return false;
    }
    return wave->kind == WAVE_CANARY;
}

static int check_member(const struct run *run, uint32_t member, const struct event *event,
                        enum member_event what, struct actions *actions) {
    const struct run_member *m = &run->members[member];
    struct member_move move = member_move(m->state, what);
    if (move.kind == MOVE_REFUSED && what == MEMBER_EVENT_RETRY &&
        (m->state == MEMBER_RETURNED || m->state == MEMBER_HELD))
        return engine_refuse(actions, "%s is %s: %s; make a new plan: `kedge plan %s`", m->order->member,
                             member_state_text(m->state), move.why, run->plan->header.cluster);
    if (move.kind == MOVE_REFUSED || move.kind == MOVE_UNANSWERED)
        return engine_refuse(actions, "%s is %s: %s", m->order->member, member_state_text(m->state),
                             move.why);
    if (what == MEMBER_EVENT_SKIP && is_last_canary(run, member))
        return engine_refuse(
            actions,
            "%s is the last canary, and nothing may follow on no canary; abort and make a plan "
            "without one",
            m->order->member);
    if (what == MEMBER_EVENT_PROMOTE && m->state == MEMBER_DONE &&
        (!wave_waits_for_approval(run) || m->wave != run->wave))
        return engine_refuse(actions, "%s is done, and no wave waits for a word about it", m->order->member);
    return what == MEMBER_EVENT_WAIVE ? check_waiver(run, event, actions) : 0;
}

static int command_member(struct run *run, const struct event *event, enum member_event what) {
    struct engine *engine = run->engine;
    uint32_t member = event->member ? run_member_index(run, event->member) : NO_MEMBER;
    if (member == NO_MEMBER)
        return engine_refuse(engine->actions, "it has no member %s; see `kedge run show %llu`",
                             event->member ? event->member : "(none was named)", (unsigned long long)run->id);
    int r = check_member(run, member, event, what, engine->actions);
    if (r != 0 || member_move(run->members[member].state, what).kind == MOVE_IGNORED)
        return r; /* what is so already needs no record */
    struct record record = {
        .kind = RECORD_MEMBER_EVENT,
        .run = run->id,
        .member = member,
        .number = what,
        .value = what == MEMBER_EVENT_WAIVE ? event->until_ms : 0,
        .digest = event->word,
        .name = what == MEMBER_EVENT_WAIVE ? event->gate : "",
        .text = event->text,
    };
    commit(engine, record, NULL);
    if (what == MEMBER_EVENT_SKIP)
        budget_judge(run, member, BUDGET_SKIPPED);
    return 0;
}

/* What is waived is the close of a side action: the run ends without it. */
static int side_waived(struct run *run, const struct run_side *side, const struct event *event) {
    int r = side_leave(run, side, event);
    if (r != 0)
        return r;
    run->retry_ms = 0;
    timer_clear(run->engine, &run->retry);
    run_advance(run);
    return 0;
}

int command_take(struct engine *engine, const struct event *event) {
    struct run *run = run_find(engine, event->run);
    enum member_event what = MEMBER_EVENT_RETRY;
    if (!run)
        return engine_refuse(engine->actions, "there is no run %llu", (unsigned long long)event->run);
    bool about_member = member_event_of(event->command, &what);
    if (!about_member && event->command != RUN_EVENT_PAUSE && event->command != RUN_EVENT_RESUME &&
        event->command != RUN_EVENT_ABORT && event->command != RUN_EVENT_ROLLBACK)
        return engine_refuse(engine->actions, "this is not an operator's word");
    const struct run_side *side = event->command == RUN_EVENT_WAIVE ? side_of_close(run, event->gate) : NULL;
    if (side)
        return side_waived(run, side, event);
    int r = check_run(run, event->command, engine->actions);
    if (r == 0 && about_member)
        r = command_member(run, event, what);
    if (r != 0)
        return r;
    if (!about_member)
        command_run(run, event);
    run_look_anew(run);
    run->retry_ms = 0;
    timer_clear(engine, &run->retry);
    run_advance(run);
    return 0;
}
