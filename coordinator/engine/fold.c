/* The one mutator: durable state changes here and nowhere else, by a record, whether the record was just decided or is
 * read back from the journal. So what a restart finds is what was there, and a test can say so for every record. */
#include "coordinator/engine/internal.h"

#include <assert.h>
#include <string.h>

/* ---- making and unmaking a run ---- */

static void timer_init(struct timer *timer, struct run *run, uint32_t member,
                       void (*fire)(struct run *, uint32_t)) {
    *timer = (struct timer){.run = run, .member = member, .fire = fire};
}

static void member_init(struct run *run, uint32_t index) {
    struct run_member *m = &run->members[index];
    m->order = run->plan->orders[index];
    m->wave = UINT32_MAX;
    m->node = node_index(run->engine, m->order->node);
    timer_init(&m->poll, run, index, recovered_poll);
    timer_init(&m->away, run, index, away_due);
    timer_init(&m->own.timeout, run, index, question_timed_out);
    for (size_t i = 0; i < PROBERS; i++)
        timer_init(&m->cluster[i].timeout, run, index, question_timed_out);
}

static void sides_init(struct run *run) {
    const struct shape *shape = &run->plan->shape;
    run->n_sides = (uint32_t)shape->n_side_actions;
    run->sides = must(calloc(run->n_sides + 1, sizeof(*run->sides)));
    for (uint32_t i = 0; i < run->n_sides; i++) {
        run->sides[i].action = &shape->side_actions[i];
        run->sides[i].carrier = NO_MEMBER;
        run->sides[i].carried = must(calloc(run->n_members + 1, sizeof(bool)));
        run->sides[i].closed = must(calloc(run->n_members + 1, sizeof(bool)));
        run->sides[i].closed_ms = must(calloc(run->n_members + 1, sizeof(uint64_t)));
    }
}

static void timer_advance(struct run *run, uint32_t member) {
    (void)member;
    run_advance(run);
}

/* What kept a member from being prepared, or chosen, may be over. */
void run_look_anew(struct run *run) {
    run->n_moves++;
    run->prepare_from = 0;
}

static void hold_ended(struct run *run, uint32_t member) {
    (void)member;
    run_look_anew(run);
    holds_wake(run);
    run_advance(run);
}

struct run *run_new(struct engine *engine, uint64_t id, struct verified_plan *plan) {
    struct run *run = must(calloc(1, sizeof(*run)));
    const struct shape *shape = &plan->shape;
    run->id = id;
    run->engine = engine;
    run->plan = plan;
    run->candidate = NO_MEMBER;
    run->arena = must(arena_new(KEDGE_CONTROL_BYTES_MAX));
    run->n_members = (uint32_t)plan->n_orders;
    run->members = must(calloc(run->n_members + 1, sizeof(*run->members)));
    run->wave_over = must(calloc(shape->n_waves + 1, sizeof(*run->wave_over)));
    run->wave_open = must(calloc(shape->n_waves + 1, sizeof(*run->wave_open)));
    run->wave_counts = must(calloc(shape->n_waves + 1, sizeof(*run->wave_counts)));
    barrier_init(run);
    run->n_state[MEMBER_PLANNED] = run->n_members;
    for (uint32_t i = 0; i < run->n_members; i++)
        member_init(run, i);
    for (size_t w = 0; w < shape->n_waves; w++)
        for (size_t i = 0; i < shape->waves[w].n_members && !wave_acts(&shape->waves[w]); i++)
            run->members[shape->waves[w].members[i]].wave = (uint32_t)w;
    sides_init(run);
    members_sort(run);
    domains_make(run);
    gate_lists_make(run);
    timer_init(&run->retry, run, NO_MEMBER, may_stop_retry);
    timer_init(&run->lease, run, NO_MEMBER, sides_lease);
    timer_init(&run->start, run, NO_MEMBER, timer_advance);
    timer_init(&run->hold, run, NO_MEMBER, hold_ended);
    return run;
}

static void question_deinit(struct run *run, struct question *question) {
    question_end(run, question);
    reasons_clear(&question->reasons);
    question->answered = false; /* a rollback of a run that has ended asks anew */
}

static void timers_clear(struct run *run) {
    for (uint32_t i = 0; i < run->n_members; i++) {
        struct run_member *m = &run->members[i];
        timer_clear(run->engine, &m->poll);
        timer_clear(run->engine, &m->away);
        question_deinit(run, &m->own);
        for (size_t k = 0; k < PROBERS; k++)
            question_deinit(run, &m->cluster[k]);
        m->surveyed = false;
    }
    run->n_surveyed = 0;
    timer_clear(run->engine, &run->retry);
    timer_clear(run->engine, &run->lease);
    timer_clear(run->engine, &run->start);
    timer_clear(run->engine, &run->hold);
}

struct run *run_free(struct run *run) {
    if (!run)
        return NULL;
    timers_clear(run);
    for (uint32_t i = 0; i < run->n_members; i++) {
        free(run->members[i].reason);
        free(run->members[i].version);
        free(run->members[i].waits);
    }
    for (uint32_t i = 0; i < run->n_sides; i++) {
        free(run->sides[i].carried);
        free(run->sides[i].closed);
        free(run->sides[i].closed_ms);
        free(run->sides[i].reason);
    }
    for (size_t i = 0; i < run->n_waivers; i++) {
        free(run->waivers[i].gate);
        free(run->waivers[i].reason);
    }
    free(run->waivers);
    reasons_clear(&run->wait);
    free(run->sides);
    free(run->members);
    pauses_clear(run);
    barrier_deinit(run);
    outputs_deinit(run);
    free(run->wave_over);
    free(run->wave_open);
    free(run->by_node);
    free(run->next_domain);
    free(run->wave_counts);
    free(run->by_name);
    free(run->by);
    free(run->inconclusive);
    free(run->pause_reason);
    free(run->verdict_text);
    arena_free(run->arena);
    verified_plan_free(run->plan);
    free(run);
    return NULL;
}

/* ---- members ---- */

static void member_check(const struct run *run, const struct run_member *m) {
    assert(member_state_is_ordered(m->state) == (m->step != NULL));
    assert(run->n_in_flight <= run->n_members);
}

static void member_move_to(struct run *run, uint32_t index, enum member_state to, uint64_t at_ms) {
    struct run_member *m = &run->members[index];
    struct node *node = &run->engine->nodes[m->node];
    enum member_state from = m->state;
    if (from == to)
        return;
    budget_count(run, m, false);
    run->n_moves++;
    if (to == MEMBER_PLANNED && index < run->prepare_from)
        run->prepare_from = index;
    run->n_state[from]--;
    run->n_state[to]++;
    node->n_in_change -= member_state_is_in_change(from);
    node->n_in_change += member_state_is_in_change(to);
    run->n_in_flight -= member_state_is_ordered(from);
    run->n_in_flight += member_state_is_ordered(to);
    if (m->wave < run->plan->shape.n_waves) {
        run->wave_over[m->wave] -= member_state_is_over(from);
        run->wave_over[m->wave] += member_state_is_over(to);
        run->wave_open[m->wave] -= member_state_is_changed(from) || member_state_is_in_change(from);
        run->wave_open[m->wave] += member_state_is_changed(to) || member_state_is_in_change(to);
    }
    if (member_state_is_ordered(to))
        m->before = from;
    else
        m->step = NULL;
    m->state = to;
    m->since_ms = at_ms;
    budget_count(run, m, true);
    if (member_state_is_ordered(from) && !member_state_is_ordered(to))
        recovered_begin(run, index); /* whatever it was before the order, it has to show it again */
}

/* False: the table does not let it happen. */
static bool member_apply(struct run *run, uint32_t index, enum member_event event, uint64_t at_ms) {
    struct run_member *m = &run->members[index];
    struct member_move move = member_move(m->state, event);
    if (move.kind == MOVE_TO)
        member_move_to(run, index, move.to, at_ms);
    else if (move.kind == MOVE_BEFORE)
        member_move_to(run, index, m->before, at_ms);
    return move.kind == MOVE_TO || move.kind == MOVE_BEFORE || move.kind == MOVE_FLAG;
}

static bool event_of_step(const char *step, enum member_event *outp) {
    static const struct {
        const char *step;
        enum member_event event;
    } rows[] = {
        {"prepare", MEMBER_EVENT_ORDERED_PREPARE}, {"switch", MEMBER_EVENT_ORDERED_SWITCH},
        {"promote", MEMBER_EVENT_ORDERED_PROMOTE}, {"return", MEMBER_EVENT_ORDERED_RETURN},
        {"stop", MEMBER_EVENT_ORDERED_STOP},       {"pass", MEMBER_EVENT_ORDERED_PASS},
        {"start", MEMBER_EVENT_ORDERED_START},     {"stop back", MEMBER_EVENT_ORDERED_STOP_BACK},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].step, step) == 0) {
            *outp = rows[i].event;
            return true;
        }
    *outp = MEMBER_EVENT_ORDERED_ACT; /* any other name is an action's, when a wave bears it */
    return false;
}

static bool fold_ordered(struct run *run, const struct record *record) {
    struct run_member *m = &run->members[record->member];
    const struct step *step = work_order_step(m->order, record->name);
    enum member_event event;
    if (!step || (!event_of_step(record->name, &event) && !barrier_act_begins(run, record->name)))
        return false;
    if (event != MEMBER_EVENT_ORDERED_PREPARE)
        run->n_changes++;
    struct member_move move = member_move(m->state, event);
    if (move.kind != MOVE_TO)
        return false;
    m->step = step->name;
    m->expires_s = record->value;
    run->started = run->started || event == MEMBER_EVENT_ORDERED_START;
    if (event == MEMBER_EVENT_ORDERED_STOP && run->stop_ordered_ms == 0)
        run->stop_ordered_ms = record->at_ms;
    return member_apply(run, record->member, event, record->at_ms);
}

static bool fold_reported(struct run *run, const struct record *record) {
    struct run_member *m = &run->members[record->member];
    bool asked = m->step && strcmp(m->step, record->name) == 0;
    if (record->number >= OUTCOMES || (!asked && !barrier_unasked(m, (enum outcome)record->number)))
        return false;
    enum outcome outcome = (enum outcome)record->number;
    if (m->state == MEMBER_ACTING && outcome == OUTCOME_DONE)
        barrier_act_done(run, record->member);
    if (strcmp(record->name, "prepare") != 0)
        run->n_changes++;
    if (record->value > 0 || outcome == OUTCOME_RETURNED || outcome == OUTCOME_HELD)
        m->n_stops++;
    if (strcmp(record->name, "prepare") != 0 && outcome != OUTCOME_WAITS && outcome != OUTCOME_REFUSED &&
        outcome != OUTCOME_QUARANTINED)
        m->stop_ended_ms = run->stop_ended_ms = record->at_ms;
    if (record->value > 0) {
        m->interruption_us = record->value;
        m->evidence_age_us = record->value2;
    }
    if (!KEDGE_MUTANT(replay_drops_reason) || run->engine->actions)
        text_set(&m->reason, record->text);
    quarantine_fold(run, record);
    return member_apply(run, record->member, member_event_of_outcome(outcome), record->at_ms);
}

/* ---- operators' words about a member ---- */

static void waive(struct run *run, const struct record *record) {
    struct waiver *w = NULL;
    if (KEDGE_MUTANT(replay_drops_waivers) && !run->engine->actions)
        return;
    for (size_t i = 0; i < run->n_waivers; i++)
        if (run->waivers[i].member == record->member && strcmp(run->waivers[i].gate, record->name) == 0)
            w = &run->waivers[i];
    if (!w) {
        run->waivers = must(realloc(run->waivers, (run->n_waivers + 1) * sizeof(*run->waivers)));
        w = &run->waivers[run->n_waivers++];
        *w = (struct waiver){.member = record->member};
    }
    text_set(&w->gate, record->name);
    text_set(&w->reason, record->text);
    w->until_ms = record->value;
}

/* It is part of the run no longer, or not now: what was asked of it and about it is given up. */
static void leave_out(struct run *run, uint32_t index) {
    questions_drop(run, index);
    timer_clear(run->engine, &run->members[index].poll);
    if (run->candidate == index) {
        run->candidate = NO_MEMBER;
        run->wait_since_ms = 0;
        reasons_clear(&run->wait);
    }
    run->n_changes++;
}

static bool fold_member_event(struct run *run, const struct record *record) {
    struct run_member *m = &run->members[record->member];
    if (record->number >= MEMBER_EVENTS)
        return false;
    enum member_event event = (enum member_event)record->number;
    enum member_state from = m->state;
    if (!member_apply(run, record->member, event, record->at_ms))
        return false;
    if (event == MEMBER_EVENT_PUT_BACK) {
        text_set(&m->reason, record->text);
        run->n_changes++;
    } else if (event == MEMBER_EVENT_SKIP || event == MEMBER_EVENT_RETIRE) {
        text_set(&m->reason, record->text);
        if (from != m->state)
            leave_out(run, record->member);
    } else if (event == MEMBER_EVENT_PROMOTE && m->state == MEMBER_DONE) {
        m->approved = true;
    } else if (event == MEMBER_EVENT_PROMOTE) {
        m->promote_now = true;
        timer_set(run->engine, &m->poll, record->at_ms);
    } else if (event == MEMBER_EVENT_WAIVE) {
        waive(run, record);
    }
    pauses_lift(run, record->member, event);
    return true;
}

static bool fold_seen(struct run *run, const struct record *record) {
    struct run_member *m = &run->members[record->member];
    if (record->number >= MODES || record->value >= ORIGINS)
        return false;
    m->mode = (enum mode)record->number;
    m->origin = (enum origin)record->value;
    m->generation = (uint32_t)record->value2;
    text_set(&m->version, record->name);
    return true;
}

/* ---- side actions ---- */

static bool fold_side_ordered(struct run *run, const struct record *record) {
    struct run_side *side = &run->sides[record->number];
    bool opens = strcmp(record->name, side->action->open_step) == 0;
    if (!opens && strcmp(record->name, side->action->close_step) != 0)
        return false;
    enum side_state to = opens ? SIDE_OPENING : SIDE_CLOSING;
    bool again = side->state == to && side->carrier == record->member;
    side->since_ms = side->state == to ? side->since_ms : record->at_ms;
    side->state = to;
    side->put_back = side->put_back && opens && again;
    side->carrier = record->member;
    side->in_flight = true;
    for (uint32_t i = 0; opens && i < run->n_members; i++)
        side->closed[i] = false; /* agents put back again what was opened anew */
    side->expires_s = record->value;
    return true;
}

/* Unasked: its lease had ended, for it had not heard of the run for so long. */
static bool fold_side_put_back(struct run_side *side, const struct record *record) {
    side->closed_ms[record->member] = record->value2;
    if (side->state == SIDE_OPENING || side->state == SIDE_OPEN)
        side->put_back = true;
    if (side->state != SIDE_OPEN)
        return true;
    side->state = SIDE_CLOSED;
    side->since_ms = record->at_ms;
    text_set(&side->reason, record->text);
    return true;
}

static bool fold_side_reported(struct run *run, const struct record *record) {
    struct run_side *side = &run->sides[record->number];
    bool done = record->value == OUTCOME_DONE;
    bool opens = strcmp(record->name, side->action->open_step) == 0;
    bool awaited = side->in_flight && side->carrier == record->member;
    if (record->value == OUTCOME_DONE && !opens && !(awaited && side->state == SIDE_CLOSING))
        return fold_side_put_back(side, record);
    if (record->value >= OUTCOMES || (side->state != SIDE_OPENING && side->state != SIDE_CLOSING))
        return false;
    side->in_flight = false;
    text_set(&side->reason, record->text);
    if (!done)
        return true;
    (opens ? side->carried : side->closed)[record->member] = true;
    side->state = opens && !side->put_back ? SIDE_OPEN : SIDE_CLOSED;
    side->put_back = side->state == SIDE_CLOSED && opens;
    if (!opens)
        side->closed_ms[record->member] = record->value2;
    side->since_ms = record->at_ms;
    return true;
}

/* ---- the run ---- */

static void run_end(struct run *run, uint64_t at_ms) {
    run->ended_ms = at_ms;
    if (run->verdict == VERDICT_DONE)
        quarantine_over(run);
    pauses_clear(run);
    run->candidate = NO_MEMBER;
    run->wait_since_ms = run->retry_ms = 0;
    reasons_clear(&run->wait);
    timers_clear(run);
}

static void run_move_to(struct run *run, enum run_state to, const struct record *record) {
    const struct shape *shape = &run->plan->shape;
    run_look_anew(run);
    run->state = to;
    run->since_ms = record->at_ms;
    run->candidate = NO_MEMBER;
    run->wait_since_ms = 0;
    reasons_clear(&run->wait);
    switch (to) {
    case RUN_RETURNING:
        run->wave =
            shape->n_waves > 0 && !KEDGE_MUTANT(returns_begin_early) ? (uint32_t)shape->n_waves - 1 : 0;
        for (uint32_t i = 0; i < run->n_members; i++) /* an ended run had stopped asking them */
            if (run->members[i].state == MEMBER_RECOVERING_BACK)
                recovered_begin(run, i);
        break;
    case RUN_CLOSING:
        run->verdict = (enum run_verdict)record->value;
        text_set(&run->verdict_text, record->text);
        pauses_clear(run);
        break;
    case RUN_ENDED: run_end(run, record->at_ms); break;
    case RUN_OPENING: /* the first time, or once more on the way back */
        run->verdict = VERDICT_NONE;
        run->ended_ms = 0;
        run->aborting = run->aborting && !run->rollback;
        break;
    case RUN_WAITING:
    case RUN_PREPARING:
    case RUN_WAVES: break;
    }
}

static void retry_failed(struct run *run, uint64_t at_ms) {
    for (uint32_t i = 0; i < run->n_members && run->n_state[MEMBER_FAILED] > 0; i++)
        if (run->members[i].state == MEMBER_FAILED)
            member_apply(run, i, MEMBER_EVENT_RETRY, at_ms);
}

static void run_flag(struct run *run, enum run_event event, const struct record *record) {
    switch (event) {
    case RUN_EVENT_RESUME:
        pauses_clear(run);
        run->wait_since_ms = 0;
        retry_failed(run, record->at_ms);
        budgets_accept(run);
        if (!KEDGE_MUTANT(resume_not_judged))
            recovered_judge_anew(run);
        break;
    case RUN_EVENT_ABORT: /* nobody can resume it any more, so it is not paused: its closing moves go on */
        run->aborting_ms = run->aborting ? run->aborting_ms : record->at_ms;
        run->aborting = true;
        pauses_clear(run);
        text_set(&run->pause_reason, record->text);
        break;
    case RUN_EVENT_SUPERSEDE:
        run->superseded = true;
        run->aborting = !KEDGE_MUTANT(superseded_goes_on);
        pauses_clear(run);
        text_set(&run->pause_reason, record->text);
        break;
    case RUN_EVENT_ROLLBACK:
        run->rollback = true;
        free(run->inconclusive);
        run->inconclusive = record->value2 == ROLLBACK_BY_PLAN ? text_copy(record->text) : NULL;
        pauses_clear(run);
        break;
    case RUN_EVENT_PAUSE: /* see pause_fold */
    case RUN_EVENT_LEAVE: /* see side_left_fold */
    case RUN_EVENT_PREPARED:
    case RUN_EVENT_PREPARE_FAILED:
    case RUN_EVENT_OPENED:
    case RUN_EVENT_OPEN_FAILED:
    case RUN_EVENT_WAVES_OVER:
    case RUN_EVENT_CANARY_FAILED:
    case RUN_EVENT_ABORTED:
    case RUN_EVENT_ROLLS_BACK:
    case RUN_EVENT_ALL_BACK:
    case RUN_EVENT_CLOSED:
    case RUN_EVENT_RETRY:
    case RUN_EVENT_SKIP:
    case RUN_EVENT_RETIRE:
    case RUN_EVENT_PROMOTE:
    case RUN_EVENT_WAIVE:
    case RUN_EVENT_CLEAR: break;
    }
}

static bool fold_run_event(struct run *run, const struct record *record) {
    if (record->number >= RUN_EVENTS || record->value >= VERDICTS)
        return false;
    enum run_event event = (enum run_event)record->number;
    struct run_move move = run_move(run->state, event);
    if (move.kind != RUN_MOVE_TO && move.kind != RUN_MOVE_FLAG)
        return false;
    if (event == RUN_EVENT_PAUSE)
        return pause_fold(run, record);
    if (event == RUN_EVENT_LEAVE)
        return side_left_fold(run, record);
    if (move.kind == RUN_MOVE_FLAG || event == RUN_EVENT_ROLLBACK)
        run_flag(run, event, record);
    if (move.kind == RUN_MOVE_TO)
        run_move_to(run, move.to, record);
    return true;
}

static bool fold_begun(struct engine *engine, const struct record *record, struct verified_plan *plan) {
    if (!plan || !digest_equal(&plan->digest, &record->digest) || engine_run(engine, record->run)) {
        verified_plan_free(plan);
        return false;
    }
    struct run *run = run_new(engine, record->run, plan);
    run->begun_ms = run->since_ms = record->at_ms;
    run->by = text_copy(record->text);
    run->state = record->number == 1 ? RUN_WAITING : RUN_PREPARING;
    engine->runs = must(realloc(engine->runs, (engine->n_runs + 1) * sizeof(struct run *)));
    engine->runs[engine->n_runs++] = run;
    holds_wake(run);
    for (uint32_t i = 0; i < run->n_members; i++)
        away_wait(run, i);
    return true;
}

static bool fold_in_run(struct run *run, const struct record *record) {
    bool member_known = record->member < run->n_members, side_known = record->number < run->n_sides;
    switch (record->kind) {
    case RECORD_RUN_EVENT: return fold_run_event(run, record);
    case RECORD_WAVE:
        if (record->number >= run->plan->shape.n_waves)
            return false;
        run->wave = record->number;
        run_look_anew(run);
        return true;
    case RECORD_ORDERED: return member_known && fold_ordered(run, record);
    case RECORD_REPORTED: return member_known && fold_reported(run, record);
    case RECORD_MEMBER_EVENT: return member_known && fold_member_event(run, record);
    case RECORD_SIDE_ORDERED: return member_known && side_known && fold_side_ordered(run, record);
    case RECORD_SIDE_REPORTED: return member_known && side_known && fold_side_reported(run, record);
    case RECORD_MEMBER_SEEN: return member_known && fold_seen(run, record);
    case RECORD_MEMBER_AWAY: return member_known && away_fold(run, record);
    case RECORD_OUTPUT: return member_known && output_fold(run, record);
    case RECORD_REIGN:
    case RECORD_RUN_BEGUN:
    case RECORD_NODE_HELD:
    case RECORD_NODE_RETURNED:
    case RECORD_KIND_END: break;
    }
    return false;
}

int engine_fold(struct engine *engine, const struct record *record, struct verified_plan *plan,
                struct error *err) {
    if (record->at_ms > engine->now_ms)
        engine->now_ms = record->at_ms;
    if (record->kind == RECORD_REIGN)
        return 0;
    if (record->kind == RECORD_RUN_BEGUN)
        return fold_begun(engine, record, plan)
                   ? 0
                   : error_set(err, -EBADMSG, "run %llu: its plan is not the one that the record names",
                               (unsigned long long)record->run);
    if (record->kind == RECORD_NODE_HELD || record->kind == RECORD_NODE_RETURNED)
        return fold_hold(engine, record) ? 0 : error_set(err, -EBADMSG, "a hold names no node");
    struct run *run = run_find(engine, record->run);
    if (!run)
        return error_set(err, -EBADMSG, "run %llu: it never began", (unsigned long long)record->run);
    if (!fold_in_run(run, record))
        return error_set(err, -EBADMSG, "run %llu: \"%s\" (%u) cannot follow on what was before it",
                         (unsigned long long)record->run, record_kind_text(record->kind), record->number);
    if (record->kind != RECORD_RUN_EVENT && record->kind != RECORD_WAVE &&
        record->kind != RECORD_SIDE_ORDERED && record->kind != RECORD_SIDE_REPORTED)
        member_check(run, &run->members[record->member]);
    return 0;
}

/* ---- deciding ---- */

struct action *action_add(struct engine *engine, enum action_kind kind) {
    struct actions *actions = engine->actions;
    if (actions->n == actions->room) {
        actions->room = actions->room ? actions->room * 2 : 16;
        actions->items = must(realloc(actions->items, actions->room * sizeof(*actions->items)));
    }
    struct action *action = &actions->items[actions->n++];
    *action = (struct action){.kind = kind};
    return action;
}

static void record_write(struct engine *engine, const struct record *record) {
    struct buffer bytes = {0};
    record_encode(record, &bytes);
    struct action *action = action_add(engine, ACTION_RECORD);
    action->run = record->run;
    action->record.len = bytes.len;
    action->record.data = (uint8_t *)must(buffer_take(&bytes));
}

void commit(struct engine *engine, struct record record, struct verified_plan *plan) {
    struct error err;
    record.at_ms = engine->now_ms;
    record.name = record.name ? record.name : "";
    record.text = record.text ? record.text : "";
    if (record.kind != RECORD_ORDERED || !KEDGE_MUTANT(order_not_recorded))
        record_write(engine, &record);
    int r = engine_fold(engine, &record, plan, &err);
    assert(r == 0); /* what is decided here fits what is; else the journal would be unreadable later */
    (void)r;
}

void commit_run_event(struct run *run, enum run_event event, enum run_verdict verdict, const char *text) {
    commit(run->engine,
           (struct record){
               .kind = RECORD_RUN_EVENT, .run = run->id, .number = event, .value = verdict, .text = text},
           NULL);
}

void commit_member_event(struct run *run, uint32_t member, enum member_event event, const char *text) {
    commit(run->engine,
           (struct record){
               .kind = RECORD_MEMBER_EVENT, .run = run->id, .member = member, .number = event, .text = text},
           NULL);
}
