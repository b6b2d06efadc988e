/* The door: each event goes to the file that decides about it; then timers that are due fire, so that what needs no
 * waiting happens in the same step. */
#include "coordinator/engine/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct engine *engine_new(uint64_t epoch) {
    struct engine *engine = must(calloc(1, sizeof(*engine)));
    engine->epoch = epoch;
    return engine;
}

struct engine *engine_free(struct engine *engine) {
    if (!engine)
        return NULL;
    for (size_t i = 0; i < engine->n_runs; i++)
        run_free(engine->runs[i]);
    for (uint32_t i = 0; i < engine->n_nodes; i++) {
        free(engine->nodes[i].name);
        free(engine->nodes[i].held_reason);
    }
    free(engine->runs);
    free(engine->nodes);
    free(engine->slots);
    free(engine->held);
    quarantines_deinit(engine);
    free(engine->timers);
    free(engine);
    return NULL;
}

void actions_clear(struct actions *actions) {
    for (size_t i = 0; i < actions->n; i++) {
        free((void *)(uintptr_t)actions->items[i].record.data);
        free((void *)(uintptr_t)actions->items[i].beside.names);
        free((void *)(uintptr_t)actions->items[i].outputs);
    }
    actions->n = 0;
    actions->run = 0;
    actions->refused[0] = 0;
}

void actions_deinit(struct actions *actions) {
    actions_clear(actions);
    free(actions->items);
    *actions = (struct actions){0};
}

int engine_refuse(struct actions *actions, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    vsnprintf(actions->refused, sizeof(actions->refused), format, ap);
    va_end(ap);
    return ENGINE_REFUSED;
}

/* ---- apply ---- */

/* The newest; there are several while a superseded one drains. */
static struct run *run_find_open(const struct engine *engine, const char *cluster) {
    for (size_t i = engine->n_runs; i-- > 0;) {
        struct run *run = engine->runs[i];
        if (run->state != RUN_ENDED && strcmp(run->plan->header.cluster, cluster) == 0)
            return run;
    }
    return NULL;
}

static int check_serial(const struct engine *engine, const struct header *header, struct actions *actions) {
    const struct run *open = engine_run_open(engine, header->cluster);
    if (open && open->plan->header.serial != header->supersedes)
        return engine_refuse(
            actions,
            "cluster %s: run %llu holds it since it began (plan %llu); it must end first, or a "
            "newer plan must supersede it (see `kedge run show`)",
            header->cluster, (unsigned long long)open->id, (unsigned long long)open->plan->header.serial);
    for (size_t i = 0; i < engine->n_runs; i++) {
        const struct run *run = engine->runs[i];
        const struct header *other = &run->plan->header;
        if (strcmp(other->cluster, header->cluster) == 0 && other->serial >= header->serial)
            return engine_refuse(
                actions, "cluster %s: serial %llu was used by run %llu already; make a new plan",
                header->cluster, (unsigned long long)header->serial, (unsigned long long)run->id);
    }
    return 0;
}

/* A downtime member stands once in a wave of each kind; any other in one wave. */
static unsigned wave_bit(const struct wave *wave) {
    if (wave_acts(wave))
        return 0; /* any number of actions, beside its own waves */
    return wave_is_of_downtime(wave) ? 1u << wave->kind : 1u;
}

static int check_waves(const struct verified_plan *plan, struct actions *actions) {
    unsigned *seen = must(calloc(plan->n_orders + 1, sizeof(*seen)));
    int r = 0;
    for (size_t w = 0; w < plan->shape.n_waves; w++)
        for (size_t i = 0; i < plan->shape.waves[w].n_members; i++) {
            uint32_t member = plan->shape.waves[w].members[i];
            unsigned bit = wave_bit(&plan->shape.waves[w]);
            if (seen[member] & bit && r == 0)
                r = engine_refuse(actions, "the plan is broken: %s stands in two waves",
                                  plan->orders[member]->member);
            seen[member] |= bit;
        }
    for (size_t i = 0; i < plan->n_orders && r == 0; i++)
        if (!seen[i])
            r = engine_refuse(actions, "the plan is broken: %s stands in no wave", plan->orders[i]->member);
    free(seen);
    return r;
}

static int check_steps(const struct verified_plan *plan, struct actions *actions) {
    static const char *const one_by_one[] = {"prepare", "switch", "return"}, *const downtime[] = {
                                                                                 "prepare",   "stop",
                                                                                 "pass",      "start",
                                                                                 "stop back", "return"};
    bool halves = shape_is_downtime(&plan->shape);
    const char *const *needed = halves ? downtime : one_by_one;
    size_t n_needed = halves ? ARRAY_LEN(downtime) : ARRAY_LEN(one_by_one);
    for (size_t i = 0; i < plan->n_orders; i++)
        for (size_t k = 0; k < n_needed; k++)
            if (!work_order_step(plan->orders[i], needed[k]))
                return engine_refuse(actions, "the plan is broken: %s has no step \"%s\"",
                                     plan->orders[i]->member, needed[k]);
    return 0;
}

static int check_plan(const struct engine *engine, const struct verified_plan *plan,
                      struct actions *actions) {
    const struct header *header = &plan->header;
    if (!plan->signed_by_enough)
        return engine_refuse(
            actions,
            "the plan has not been signed by enough of the operators that are trusted here (it bears %zu "
            "signatures); see `kedge approve`",
            plan->n_signatures);
    if (plan->shape.n_waves == 0 || plan->n_orders == 0)
        return engine_refuse(actions, "the plan has nothing to do");
    if (wall_now_ms(engine) / 1000 > header->not_after_s)
        return engine_refuse(actions, "the plan has expired; make and approve a new one");
    int r = check_serial(engine, header, actions);
    r = r == 0 ? locks_check(engine, plan, actions) : r;
    r = r == 0 ? quarantine_check(engine, plan, actions) : r;
    r = r == 0 ? check_waves(plan, actions) : r;
    return r == 0 ? check_steps(plan, actions) : r;
}

/* The old run begins nothing more, whatever state it is in, and ends when what it has in flight has ended. */
static void supersede(struct run *old, const struct verified_plan *plan, const char *by) {
    char text[KEDGE_REASON_MAX];
    snprintf(text, sizeof(text), "plan %llu (%.200s)", (unsigned long long)plan->header.serial, by ? by : "");
    if (run_move(old->state, RUN_EVENT_SUPERSEDE).kind == RUN_MOVE_FLAG) {
        commit_run_event(old, RUN_EVENT_SUPERSEDE, VERDICT_NONE, text);
        order_latch(old, NULL);
    }
    old->retry_ms = 0;
    timer_clear(old->engine, &old->retry);
    run_advance(old);
}

static int apply(struct engine *engine, const struct event *event) {
    struct verified_plan *plan = event->plan;
    int r = check_plan(engine, plan, engine->actions);
    if (r != 0) {
        verified_plan_free(plan);
        return r;
    }
    struct run *old = run_find_open(engine, plan->header.cluster);
    struct record record = {
        .kind = RECORD_RUN_BEGUN,
        .number = lock_holder_of(engine, plan, engine->n_runs) != NULL,
        .run = engine->n_runs > 0 ? engine->runs[engine->n_runs - 1]->id + 1 : 1,
        .value = plan->header.serial,
        .digest = plan->digest,
        .name = plan->header.cluster,
        .text = event->text,
    };
    commit(engine, record, plan);
    engine->actions->run = record.run;
    if (old)
        supersede(old, plan, event->text);
    run_advance(run_find(engine, record.run));
    return 0;
}

/* ---- agents ---- */

static void agent_up(struct engine *engine, const char *name) {
    uint32_t node = node_index(engine, name);
    engine->nodes[node].up = true;
    for (size_t i = 0; i < engine->n_runs; i++) {
        struct run *run = engine->runs[i];
        if (run->state == RUN_ENDED && run->n_in_flight == 0)
            continue;
        size_t n;
        const struct node_member *here = members_on(run, node, &n);
        if (n == 0)
            continue;
        for (size_t k = 0; k < n; k++)
            away_over(run, here[k].member);
        questions_node_lost(run, node);
        order_again(run, node);
        side_again(run, node);
        if (run->state == RUN_ENDED)
            continue;
        may_stop_node_back(run, node);
    }
}

static void agent_down(struct engine *engine, const char *name) {
    uint32_t node = node_index(engine, name);
    engine->nodes[node].up = false;
    engine->nodes[node].gone_ms = engine->now_ms;
    for (size_t i = 0; i < engine->n_runs; i++) {
        struct run *run = engine->runs[i];
        if (run->state == RUN_ENDED)
            continue;
        size_t n;
        const struct node_member *here = members_on(run, node, &n);
        if (n == 0)
            continue;
        for (size_t k = 0; k < n; k++) { /* first: what is lost next may be all that a candidate waits for */
            run->members[here[k].member].own.stale = !KEDGE_MUTANT(evidence_of_the_lost);
            away_wait(run, here[k].member);
        }
        questions_node_lost(run, node);
        run_advance(run);
    }
}

/* ---- the door ---- */

int engine_step(struct engine *engine, const struct event *event, struct actions *actions) {
    int r = 0;
    actions_clear(actions);
    engine->actions = actions;
    if (event->now_ms + engine->ahead_ms > engine->now_ms)
        engine->now_ms = event->now_ms + engine->ahead_ms;
    switch (event->kind) {
    case EVENT_TICK: break;
    case EVENT_APPLY: r = apply(engine, event); break;
    case EVENT_AGENT_UP: agent_up(engine, event->node); break;
    case EVENT_AGENT_DOWN: agent_down(engine, event->node); break;
    case EVENT_REPORT: r = order_report(engine, event) ? 0 : ENGINE_REFUSED; break;
    case EVENT_ANSWER: questions_answer(engine, event); break;
    case EVENT_COMMAND: r = command_take(engine, event); break;
    case EVENT_NODE_HOLD:
    case EVENT_NODE_RETURN: r = command_node(engine, event); break;
    }
    timers_fire(engine);
    engine->actions = NULL;
    return r;
}

void engine_resume(struct engine *engine, uint64_t now_ms, struct actions *actions) {
    actions_clear(actions);
    engine->actions = actions;
    if (now_ms > engine->now_ms)
        engine->now_ms = now_ms;
    else
        engine->ahead_ms = engine->now_ms - now_ms;
    commit(engine, (struct record){.kind = RECORD_REIGN, .value = engine->epoch}, NULL);
    for (uint32_t i = 0; i < engine->n_nodes; i++)
        engine->nodes[i].gone_ms = engine->now_ms;
    for (size_t i = 0; i < engine->n_runs; i++) {
        if (engine->runs[i]->state != RUN_ENDED)
            holds_wake(engine->runs[i]);
        away_look(engine->runs[i]);
        run_advance(engine->runs[i]);
        sides_lease(engine->runs[i], NO_MEMBER);
    }
    timers_fire(engine);
    engine->actions = NULL;
}

/* ---- looking ---- */

size_t engine_n_runs(const struct engine *engine) {
    return engine->n_runs;
}

const struct run *engine_run_at(const struct engine *engine, size_t index) {
    return index < engine->n_runs ? engine->runs[index] : NULL;
}

struct run *run_find(const struct engine *engine, uint64_t id) {
    for (size_t i = engine->n_runs; i-- > 0;)
        if (engine->runs[i]->id == id)
            return engine->runs[i];
    return NULL;
}

const struct run *engine_run(const struct engine *engine, uint64_t id) {
    return run_find(engine, id);
}

const struct run *engine_run_open(const struct engine *engine, const char *cluster) {
    return run_find_open(engine, cluster);
}

bool engine_node_is_up(const struct engine *engine, const char *name) {
    const struct node *node = node_named(engine, name);
    return node && node->up;
}

uint64_t engine_epoch(const struct engine *engine) {
    return engine->epoch;
}

static void dump_side(const struct run *run, const struct run_side *side, struct buffer *out) {
    buffer_format(out, "  side action %s %s carrier %u%s%s\n", side->action->name,
                  side_state_text(side->state), side->carrier, side->in_flight ? " in flight" : "",
                  side->put_back ? " put back" : "");
    for (uint32_t i = 0; i < run->n_members; i++)
        if (side->closed_ms[i] > 0)
            buffer_format(out, "    put back by %s, by its clock at %llu\n", run->members[i].order->member,
                          (unsigned long long)side->closed_ms[i]);
}

static void dump_run(const struct run *run, struct buffer *out) {
    buffer_format(out, "run %llu %s wave %u%s%s%s verdict %s \"%s\" pause \"%s\"\n",
                  (unsigned long long)run->id, run_state_text(run->state), run->wave,
                  run->paused ? " paused" : "", run->aborting ? " aborting" : "",
                  run->superseded     ? " superseded"
                  : run->inconclusive ? " inconclusive"
                  : run->rollback     ? " rollback"
                                      : "",
                  run_verdict_text(run->verdict), run->verdict_text ? run->verdict_text : "",
                  run->pause_reason ? run->pause_reason : "");
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        buffer_format(out, "  %s %s step %s expires %llu stops %u mode %s \"%s\"%s%s\n", m->order->member,
                      member_state_text(m->state), m->step ? m->step : "-", (unsigned long long)m->expires_s,
                      m->n_stops, mode_text(m->mode), m->reason ? m->reason : "",
                      m->approved      ? " approved"
                      : m->promote_now ? " promote now"
                                       : "",
                      m->is_away ? " away" : "");
    }
    for (unsigned k = 0; k < BUDGETS; k++)
        if (run->count.n[k] > 0)
            buffer_format(out, "  %s %u accepted %u\n", budget_kind_text((enum budget_kind)k),
                          run->count.n[k], run->count.accepted[k]);
    barrier_dump(run, out);
    outputs_dump(run, out);
    for (size_t i = 0; i < run->n_waivers; i++)
        buffer_format(out, "  waived for %u: %s until %llu \"%s\"\n", run->waivers[i].member,
                      run->waivers[i].gate, (unsigned long long)run->waivers[i].until_ms,
                      run->waivers[i].reason);
    for (uint32_t i = 0; i < run->n_sides; i++)
        dump_side(run, &run->sides[i], out);
}

void engine_dump(const struct engine *engine, struct buffer *out) {
    for (size_t i = 0; i < engine->n_runs; i++)
        dump_run(engine->runs[i], out);
    holds_dump(engine, out);
    quarantines_dump(engine, out);
}
