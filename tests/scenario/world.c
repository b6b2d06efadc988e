/* Why a world and not a list of canned events: the engine's questions are part of what is tested, so answers must come
 * from a state that orders change, and the same scenario must go on after the coordinator died at any record. */
#define TEST_HELPER
#include "tests/scenario/world.h"

#include "tests/unit/test.h"

#include <stdarg.h>

static const char *const step_names[WORLD_STEPS] = {
    "prepare", "switch", "promote",   "return",     "open delay", "close delay",   "stop",
    "pass",    "start",  "stop back", "act backup", "act format", "restore backup"};

static const struct run *must_run(const struct world *world) {
    const struct run *run = world_run_of(world);
    if (!run)
        abort();
    return run;
}

/* ---- the transcript ---- */

static void say(struct world *w, const char *format, ...) _printf_(2, 3);
static void say(struct world *w, const char *format, ...) {
    char text[1024];
    va_list ap;
    if (w->quiet)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    buffer_format(&w->transcript, "%5u.%03u  %s\n", (unsigned)(w->now_ms / 1000),
                  (unsigned)(w->now_ms % 1000), text);
}

void world_note(struct world *world, const char *text) {
    say(world, "# %s", text);
}

static void say_record(struct world *w, const struct record *r) {
    const struct run *run = engine_run(w->engine, r->run);
    const char *member = run && r->member < run->n_members ? run->members[r->member].order->member : "?";
    switch (r->kind) {
    case RECORD_REIGN: say(w, "reign %llu", (unsigned long long)r->value); return;
    case RECORD_RUN_BEGUN:
        say(w, "run %llu of plan %s/%llu begins", (unsigned long long)r->run, r->name,
            (unsigned long long)r->value);
        return;
    case RECORD_RUN_EVENT:
        say(w, "RUN %s%s%s", run_event_text((enum run_event)r->number), r->text[0] ? ": " : "", r->text);
        return;
    case RECORD_WAVE: say(w, "WAVE %s", r->name); return;
    case RECORD_ORDERED:
    case RECORD_SIDE_ORDERED:
        say(w, "journal  %s: %s (expires %llu, epoch %llu)", member, r->name, (unsigned long long)r->value,
            (unsigned long long)r->value2);
        return;
    case RECORD_REPORTED:
    case RECORD_SIDE_REPORTED:
        say(w, "report   %s: %s: %s%s%s", member, r->name,
            outcome_text((enum outcome)(r->kind == RECORD_REPORTED ? r->number : r->value)),
            r->text[0] ? ": " : "", r->text);
        return;
    case RECORD_MEMBER_EVENT:
        say(w, "member   %s: %s%s%s%s%s", member, member_event_text((enum member_event)r->number),
            r->name[0] ? ": " : "", r->name, r->text[0] ? ": " : "", r->text);
        return;
    case RECORD_NODE_HELD: say(w, "HOLD     %s: %s", r->name, r->text); return;
    case RECORD_NODE_RETURNED: say(w, "RETURN   %s: %s", r->name, r->text); return;
    case RECORD_MEMBER_AWAY: say(w, "AWAY     %s: %s", member, r->number ? "yes" : "no"); return;
    case RECORD_OUTPUT: say(w, "output   %s: %s", member, r->name); return;
    case RECORD_MEMBER_SEEN:
    case RECORD_KIND_END: return;
    }
}

/* ---- agents ---- */

static unsigned step_index(const char *step) {
    for (unsigned i = 0; i < WORLD_STEPS; i++)
        if (strcmp(step_names[i], step) == 0)
            return i;
    abort();
}

unsigned world_effects(const struct world *world, unsigned member, const char *step) {
    return world->agents[member].effects[step_index(step)];
}

static struct world_item *queue_add(struct world *w, uint64_t at_ms) {
    if (w->n_queue == WORLD_QUEUE)
        abort();
    struct world_item *item = &w->queue[w->n_queue++];
    *item = (struct world_item){.at_ms = at_ms};
    return item;
}

static const char *reason_of(enum outcome outcome) {
    switch (outcome) {
    case OUTCOME_WAITS: return "writable: no: it would keep 2, 3 are needed";
    case OUTCOME_FAILED: return "no room on the disk";
    case OUTCOME_QUARANTINED: return "it failed here before";
    case OUTCOME_REFUSED: return "config.digest is not the one that was signed";
    case OUTCOME_RETURNED: return "it ended with exit code 1 after 12 ms";
    case OUTCOME_HELD: return "3 of 40 entries could not be read back";
    case OUTCOME_DONE:
    case OUTCOME_NONE:
    case OUTCOME_BEGUN: break;
    }
    return "";
}

/* Each run has agents' memories of its own: the first run's are agents[member]. */
static struct world_agent *agent_of(struct world *w, const struct run *run, unsigned member) {
    return &w->agents[member + (unsigned)(run->id - 1) % 4 * WORLD_RUN];
}

static void report_send(struct world *w, const struct run *run, unsigned member, unsigned step,
                        uint64_t at_ms) {
    struct world_agent *agent = agent_of(w, run, member);
    bool stops = step == 1 || step == 2 || step == 3 || step == 8;
    enum outcome outcome = agent->outcome[step];
    bool lies = w->liar == member + 1 && strcmp(w->lies_at, step_names[step]) == 0,
         done = outcome == OUTCOME_DONE;
    bool starts_new = (done != lies) && (step == 1 || step == 2 || step == 8);
    bool downs = (done && !lies && (step == 6 || step == 7 || step == 9 || step == 12)) ||
                 outcome == OUTCOME_HELD; /* it was stopped, whatever ran */
    struct world_item *item = queue_add(w, at_ms);
    item->is_report = true;
    item->node = member;
    item->run = run->id;
    item->report = (struct engine_report){
        .cluster = run->plan->header.cluster,
        .serial = run->plan->header.serial,
        .member = run->members[member].order->member,
        .step = step_names[step],
        .outcome = outcome,
        .reason = reason_of(outcome),
        .version = starts_new ? "1.1" : "1.0",
        .mode = downs                                                ? MODE_DOWN
                : done && step == 1 && member < w->config.n_canaries ? MODE_READ_ONLY
                                                                     : MODE_READ_WRITE,
        .generation = !starts_new ? 0
                      : step == 2 ? 2
                                  : 1,
        .interruption_us = stops && outcome == OUTCOME_DONE ? 1500 : 0,
        .evidence_age_us = stops ? 300 : 0,
        .at_ms = agent->at_ms[step],
        .blames = w->blames && (outcome == OUTCOME_RETURNED || outcome == OUTCOME_HELD),
    };
}

/* ---- a member of a downtime ---- */

static void barrier_step(struct world *w, const struct run *run, unsigned member, unsigned step) {
    struct world_agent *agent = agent_of(w, run, member);
    enum outcome outcome = agent->outcome[step];
    if (step == 6 && outcome == OUTCOME_DONE) {
        agent->barrier = BARRIER_DOWN;
        agent->hold_until_ms = w->now_ms + w->config.hold_ms;
        struct world_item *item = queue_add(w, agent->hold_until_ms);
        item->is_hold = true;
        item->node = member;
        item->run = run->id;
    } else if (step == 7 && outcome == OUTCOME_DONE) {
        agent->barrier = BARRIER_BEHIND;
    } else if (step == 9 && outcome == OUTCOME_DONE) {
        agent->barrier = BARRIER_BEHIND;
    } else if (step == 8 && outcome == OUTCOME_DONE) {
        agent->barrier = BARRIER_STARTED;
    } else if (outcome == OUTCOME_RETURNED || (step == 3 && outcome == OUTCOME_DONE)) {
        agent->barrier = BARRIER_UP;
    }
}

/* Nobody asked for this report: it bears the name of the step that it ends. */
static void report_returned(struct world *w, const struct run *run, unsigned member) {
    struct world_item *item = queue_add(w, w->now_ms + 1);
    item->is_report = item->is_hold = true;
    item->node = member;
    item->run = run->id;
    item->report = (struct engine_report){
        .cluster = run->plan->header.cluster,
        .serial = run->plan->header.serial,
        .member = run->members[member].order->member,
        .step = "stop",
        .outcome = OUTCOME_RETURNED,
        .reason = "the hold limit was over before the barrier was passed",
        .version = "1.0",
        .mode = MODE_READ_WRITE,
        .interruption_us = (uint64_t)w->config.hold_ms * 1000,
    };
}

/* The signed hold limit is over: before the pass the old generation starts, behind it there is an alarm. */
static void hold_over(struct world *w, const struct run *run, unsigned member) {
    struct world_agent *agent = agent_of(w, run, member);
    if (agent->hold_until_ms > w->now_ms || agent->running[step_index("return")] ||
        agent->running[step_index("start")])
        return;
    if (agent->barrier == BARRIER_BEHIND) {
        agent->n_alarms++;
        say(w, "# ALARM of n%u: it stays down", member + 1);
    }
    if (agent->barrier != BARRIER_DOWN)
        return;
    agent->barrier = BARRIER_UP;
    agent->returned = true;
    say(w, "# n%u starts what it ran before, at its hold limit", member + 1);
    report_returned(w, run, member);
}

/* What an agent of a downtime refuses; the rules of agent/core. */
static bool barrier_refuses(const struct world_agent *agent, unsigned step) {
    bool down = agent->barrier == BARRIER_DOWN || agent->barrier == BARRIER_BEHIND;
    return (step >= 10 && !down) || (step == 7 && agent->barrier != BARRIER_DOWN) ||
           (step == 8 && agent->barrier != BARRIER_BEHIND);
}

/* F30: nothing is started before all are stopped, and nothing new before all have passed. */
static void barrier_always(struct world *w, const struct run *run, unsigned member, unsigned step) {
    for (unsigned i = 0; i < run->n_members; i++) {
        const struct world_agent *other = agent_of(w, run, i);
        bool up = other->barrier == BARRIER_UP || other->barrier == BARRIER_STARTED;
        if (step >= 10 && up && run->members[i].state != MEMBER_RETIRED)
            test_fail(__FILE__, __LINE__, "F30: n%u does %s while n%u runs", member + 1, step_names[step],
                      i + 1);
        if (step == 3 && other->barrier == BARRIER_STARTED && run->members[i].state != MEMBER_RETIRED)
            test_fail(__FILE__, __LINE__, "F30: n%u goes back while n%u runs the new release", member + 1,
                      i + 1);
        if (step != 8)
            continue;
        bool gone = run->members[i].state == MEMBER_RETIRED || run->members[i].state == MEMBER_SKIPPED;
        if (!gone && other->barrier != BARRIER_BEHIND && other->barrier != BARRIER_STARTED)
            test_fail(__FILE__, __LINE__, "F30: n%u is started while n%u has not passed", member + 1, i + 1);
    }
}

static void step_end(struct world *w, const struct run *run, unsigned member, unsigned step) {
    struct world_agent *agent = agent_of(w, run, member);
    agent->running[step] = false;
    agent->ended[step] = true;
    if (step == 4 && agent->outcome[step] == OUTCOME_DONE)
        w->side_in_force = true;
    if (step == 5 && agent->outcome[step] == OUTCOME_DONE)
        w->side_in_force = false;
    barrier_step(w, run, member, step);
}

static bool changed_nothing(enum outcome outcome) {
    return outcome == OUTCOME_WAITS || outcome == OUTCOME_REFUSED || outcome == OUTCOME_FAILED ||
           outcome == OUTCOME_QUARANTINED;
}

/* At least once delivered, at most once done. */
static void order_take(struct world *w, const struct run *run, unsigned member, const char *name,
                       uint64_t expires_s) {
    struct world_agent *agent = agent_of(w, run, member);
    unsigned step = step_index(name);
    if (agent->running[step])
        return;
    bool again = changed_nothing(agent->outcome[step]) || step == 5; /* what puts back is done anew */
    if (agent->ended[step] && !(again && expires_s > agent->last_expires_s)) {
        report_send(w, run, member, step, w->now_ms + 1);
        return;
    }
    bool closes = step == 3 || step == 5 || step == 9 || step == 12;
    agent->last_expires_s = expires_s;
    barrier_always(w, run, member, step);
    agent->outcome[step] = (agent->latched && !closes) || barrier_refuses(agent, step) ? OUTCOME_REFUSED
                           : w->step ? w->step(w, member, name)
                                     : OUTCOME_DONE;
    if (run->aborting && !closes && !changed_nothing(agent->outcome[step]))
        test_fail(__FILE__, __LINE__, "F08: n%u begins %s after the abort", member + 1, name);
    agent->effects[step] += !changed_nothing(agent->outcome[step]);
    agent->running[step] = true;
    agent->ended[step] = false;
    agent->at_ms[step] = w->now_ms + w->step_ms;
    report_send(w, run, member, step, agent->at_ms[step]);
}

void world_put_back_again(struct world *w, unsigned member) {
    report_send(w, must_run(w), member, step_index("close delay"), w->now_ms + 1);
}

void world_put_back(struct world *w, unsigned member) {
    struct world_agent *agent = agent_of(w, must_run(w), member);
    unsigned step = step_index("close delay");
    say(w, "# n%u puts the side action back", member + 1);
    w->side_in_force = false;
    agent->outcome[step] = OUTCOME_DONE;
    agent->at_ms[step] = w->now_ms;
    world_put_back_again(w, member);
}

/* ---- what the engine wants ---- */

static void ask_take(struct world *w, const struct action *a) {
    unsigned node = (unsigned)strtoul(a->node + 1, NULL, 10) - 1;
    struct world_item *item = queue_add(w, w->now_ms + 1);
    w->n_asks++;
    item->ask = a->ask;
    item->node = node;
    snprintf(item->self, sizeof(item->self), "%s", a->self);
    item->n_beside = (unsigned)a->beside.n;
    for (size_t i = 0; i < a->n_gates && item->n_gates < 8; i++)
        item->gates[item->n_gates++] = (enum world_gate)a->gates[i].b[1];
    if (item->n_gates > 0 && item->gates[0] == GATE_CLUSTER)
        say(w, "ask      %s, may %s stop?", a->node, a->self);
}

static void always(struct world *w, const struct action *a) {
    const struct run *run = engine_run(w->engine, a->run);
    if (!run)
        abort();
    const struct run_member *m = &run->members[a->member];
    bool changes = strcmp(a->step, "switch") == 0 || strcmp(a->step, "return") == 0;
    unsigned in_change = 0, stopping = 0;
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *other = &run->members[i];
        if (!member_state_is_in_change(other->state))
            continue;
        in_change++;
        stopping += other->step != NULL;
        if (w->config.one_domain && changes && strcmp(other->order->domain, m->order->domain) != 0)
            test_fail(__FILE__, __LINE__, "%s and %s are in change, in two domains", other->order->member,
                      m->order->member);
    }
    w->max_in_change = in_change > w->max_in_change ? in_change : w->max_in_change;
    if (changes && w->config.one_domain && a->beside.n + 1 < stopping)
        test_fail(__FILE__, __LINE__, "%s is ordered to %s beside %u others and is told of %zu",
                  m->order->member, a->step, stopping - 1, a->beside.n);
    w->max_stopping = changes && stopping > w->max_stopping ? stopping : w->max_stopping;
    struct node_hold hold;
    if (changes && engine_node_hold(w->engine, m->order->node, &hold))
        test_fail(__FILE__, __LINE__, "%s is ordered to %s while its node is held", m->order->member,
                  a->step);
    if (run->n_state[MEMBER_PLANNED] + run->n_state[MEMBER_PREPARING] > 0 && changes)
        test_fail(__FILE__, __LINE__, "F32: %s is ordered to %s before all are prepared", m->order->member,
                  a->step);
}

static void action_take(struct world *w, const struct action *a) {
    switch (a->kind) {
    case ACTION_RECORD: return;
    case ACTION_ORDER:
        say(w, "ORDER    %s: %s", a->node, a->step);
        w->n_orders++;
        always(w, a);
        if (w->loses && w->loses(w))
            w->agents[a->member].cut = true;
        if (!w->agents[a->member].down && !w->agents[a->member].cut)
            order_take(w, engine_run(w->engine, a->run), a->member, a->step, a->expires_s);
        return;
    case ACTION_ASK: ask_take(w, a); return;
    case ACTION_LATCH:
        say(w, "LATCH    %s", a->node ? a->node : "all");
        for (unsigned i = 0; i < w->config.n_members; i++)
            if (!w->agents[i].down && !w->agents[i].cut &&
                (!a->node || strcmp(must_run(w)->members[i].order->node, a->node) == 0))
                agent_of(w, engine_run(w->engine, a->run), i)->latched = true;
        return;
    case ACTION_LEASE:
        w->n_leases++;
        if (!a->lease_open)
            say(w, "lease    %s is closed", a->step);
        return;
    }
}

static void record_keep(struct world *w, struct bytes bytes) {
    struct arena *arena = arena_new(1 << 16);
    struct record record;
    struct error err;
    if (w->n_records == WORLD_RECORDS || !arena)
        abort();
    if (record_decode(&record, bytes, arena, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err.text);
    else
        say_record(w, &record);
    arena_free(arena);
    buffer_append(&w->records[w->n_records++], bytes.data, bytes.len);
}

/* Journal first, then send: and the coordinator may die in between. */
static void actions_take(struct world *w) {
    bool dies = false;
    for (size_t i = 0; i < w->actions.n && !dies; i++)
        if (w->actions.items[i].kind == ACTION_RECORD) {
            record_keep(w, w->actions.items[i].record);
            dies = w->crash_before_send && w->n_records == w->crash_at;
        }
    bool after = !w->crash_before_send && w->crash_at > 0 && w->n_records >= w->crash_at && !w->crashed;
    for (size_t i = 0; i < w->actions.n && !dies; i++)
        action_take(w, &w->actions.items[i]);
    if ((dies || after) && !w->crashed)
        world_crash(w);
}

static int event_give(struct world *w, struct event *event) {
    event->now_ms = w->now_ms;
    int r = engine_step(w->engine, event, &w->actions);
    if (r == ENGINE_REFUSED) {
        buffer_clear(&w->refused);
        buffer_text(&w->refused, w->actions.refused);
    }
    actions_take(w);
    return r;
}

/* ---- the coordinator's death and return ---- */

static void replay(const struct world *w, struct engine *engine, unsigned n_records) {
    for (unsigned i = 0; i < n_records; i++) {
        struct arena *arena = arena_new(1 << 16);
        struct record record;
        struct error err;
        if (record_decode(&record, buffer_bytes(&w->records[i]), arena, &err) < 0)
            abort();
        struct verified_plan *plan =
            record.kind == RECORD_RUN_BEGUN ? world_plan_make(&w->config, record.value) : NULL;
        if (engine_fold(engine, &record, plan, &err) < 0)
            test_fail(__FILE__, __LINE__, "record %u: %s", i + 1, err.text);
        arena_free(arena);
    }
}

char *world_replay(const struct world *world, unsigned n_records) {
    struct engine *engine = engine_new(99);
    struct buffer out = {0};
    replay(world, engine, n_records);
    buffer_text(&out, "");
    engine_dump(engine, &out);
    engine_free(engine);
    return buffer_take(&out);
}

static void agents_connect(struct world *w) {
    for (unsigned i = 0; i < w->config.n_members; i++)
        if (!w->agents[i].down)
            world_agent_up(w, i);
}

/* Sessions end with the coordinator: what was on its way to it is lost, what agents do goes on. */
void world_crash(struct world *w) {
    w->crashed = true;
    say(w, "# the coordinator dies after record %u", w->n_records);
    unsigned kept = 0;
    for (unsigned i = 0; i < w->n_queue; i++) {
        struct world_item *item = &w->queue[i];
        bool runs = item->is_hold
                        ? !item->is_report
                        : item->is_report && w->agents[item->node + (unsigned)(item->run - 1) % 4 * WORLD_RUN]
                                                 .running[step_index(item->report.step)];
        if (runs)
            w->queue[kept++] = *item;
    }
    w->n_queue = kept;
    engine_free(w->engine);
    w->engine = engine_new(++w->epoch);
    actions_clear(&w->actions);
    replay(w, w->engine, w->n_records);
    for (unsigned i = 0; i < w->n_queue; i++) { /* names lived in the old plan */
        const struct run *run = engine_run(w->engine, w->queue[i].run);
        w->queue[i].report.cluster = run ? run->plan->header.cluster : "";
        w->queue[i].report.member = run ? run->members[w->queue[i].node].order->member : "";
    }
    engine_resume(w->engine, w->now_ms, &w->actions);
    actions_take(w);
    agents_connect(w);
}

/* ---- time ---- */

static void item_give(struct world *w, struct world_item item) {
    struct gate_answer answers[8];
    char node[16];
    struct event event = {.node = node};
    snprintf(node, sizeof(node), "n%u", item.node + 1);
    if (item.is_hold && !item.is_report) {
        hold_over(w, engine_run(w->engine, item.run), item.node);
        return;
    }
    if (item.is_report && item.is_hold && w->agents[item.node].down)
        return; /* said again when it is back */
    if (item.is_report && !item.is_hold) {
        const struct run *run = engine_run(w->engine, item.run);
        unsigned step = step_index(item.report.step);
        bool of_side = step == 4 || step == 5;
        if (!of_side || agent_of(w, run, item.node)->running[step]) /* else it was done before */
            step_end(w, run, item.node, step);
        if (w->agents[item.node].down)
            return;
    }
    if (item.is_report) {
        event.kind = EVENT_REPORT;
        event.report = item.report;
        (void)!event_give(w, &event);
        return;
    }
    if (w->agents[item.node].down)
        return;
    w->n_beside = item.n_beside;
    for (unsigned i = 0; i < item.n_gates; i++) {
        enum answer answer = w->gate                      ? w->gate(w, item.gates[i], item.node, item.self)
                             : item.gates[i] == GATE_LAST ? ANSWER_NO
                                                          : ANSWER_YES;
        answers[i] = (struct gate_answer){world_run_of(w)->plan->gates[item.gates[i]].name, answer,
                                          answer == ANSWER_NO        ? "2 would be left, 3 are needed"
                                          : answer == ANSWER_UNKNOWN ? "the connection was refused"
                                                                     : "",
                                          200};
    }
    event.kind = EVENT_ANSWER;
    event.ask = item.ask;
    event.answers = answers;
    event.n_answers = item.n_gates;
    w->n_answered++;
    (void)!event_give(w, &event);
}

bool world_next(struct world *w, uint64_t until_ms) {
    for (unsigned i = 0; i < w->config.n_members; i++)
        if (w->agents[i].cut && !w->agents[i].down)
            world_agent_down(w, i);
    unsigned first = 0;
    for (unsigned i = 1; i < w->n_queue; i++)
        if (w->queue[i].at_ms < w->queue[first].at_ms)
            first = i;
    uint64_t queue_ms = w->n_queue > 0 ? w->queue[first].at_ms : UINT64_MAX,
             tick_ms = engine_next_deadline(w->engine);
    uint64_t at = queue_ms <= tick_ms ? queue_ms : tick_ms;
    if (at > until_ms)
        return false;
    w->now_ms = at > w->now_ms ? at : w->now_ms;
    if (queue_ms <= tick_ms && w->n_queue > 0) {
        struct world_item item = w->queue[first];
        memmove(&w->queue[first], &w->queue[first + 1], (w->n_queue - first - 1) * sizeof(item));
        w->n_queue--;
        item_give(w, item);
    } else {
        struct event event = {.kind = EVENT_TICK};
        (void)!event_give(w, &event);
    }
    return true;
}

void world_run(struct world *w, uint64_t for_ms) {
    uint64_t until = w->now_ms + for_ms;
    const struct run *run;
    while ((run = world_run_of(w)) && run->state != RUN_ENDED && !run->paused && world_next(w, until))
        ;
    if (w->now_ms < until && (!run || (run->state != RUN_ENDED && !run->paused)))
        w->now_ms = until;
}

bool world_run_until(struct world *w, unsigned member, enum member_state state, uint64_t for_ms) {
    uint64_t until = w->now_ms + for_ms;
    while (must_run(w)->members[member].state != state)
        if (!world_next(w, until))
            return false;
    return true;
}

/* ---- beginning and ending ---- */

const struct run *world_run_of(const struct world *world) {
    size_t n = engine_n_runs(world->engine);
    return n > 0 ? engine_run_at(world->engine, n - 1) : NULL;
}

int world_command(struct world *world, enum run_event command, const char *text) {
    struct event event = {
        .kind = EVENT_COMMAND, .run = must_run(world)->id, .command = command, .text = text};
    return event_give(world, &event);
}

static int command_member(struct world *world, struct event event, unsigned member) {
    char name[64];
    snprintf(name, sizeof(name), "shop/server@n%u", member + 1);
    event.kind = EVENT_COMMAND;
    event.run = must_run(world)->id;
    event.member = name;
    return event_give(world, &event);
}

int world_member(struct world *world, enum run_event command, unsigned member, const char *text) {
    return command_member(world, (struct event){.command = command, .text = text}, member);
}

int world_waive(struct world *world, unsigned member, const char *gate, uint64_t for_ms, const char *text) {
    return command_member(
        world,
        (struct event){
            .command = RUN_EVENT_WAIVE, .gate = gate, .until_ms = world->now_ms + for_ms, .text = text},
        member);
}

int world_leave(struct world *world, uint64_t run, const char *step, const char *text) {
    struct event event = {.kind = EVENT_COMMAND,
                          .run = run,
                          .command = RUN_EVENT_WAIVE,
                          .gate = step,
                          .until_ms = world->now_ms + 60000,
                          .text = text};
    return event_give(world, &event);
}

static int node_word(struct world *world, struct event event, unsigned node) {
    char name[16];
    snprintf(name, sizeof(name), "n%u", node + 1);
    event.node = name;
    return event_give(world, &event);
}

int world_hold(struct world *world, unsigned node, uint64_t for_ms, const char *text) {
    uint64_t until = for_ms ? world->now_ms + for_ms : 0;
    return node_word(world, (struct event){.kind = EVENT_NODE_HOLD, .until_ms = until, .text = text}, node);
}

/* The node's agent looks at the process first, as kedged lets it. */
int world_return(struct world *world, unsigned node, const char *text) {
    struct node_finding findings[8];
    size_t n = 0;
    for (size_t i = 0; i < engine_n_runs(world->engine); i++) {
        const struct run *run = engine_run_at(world->engine, i);
        const struct world_hands *hands = &world->hands[node];
        uint32_t generation = hands->touched ? hands->generation : run->members[node].generation;
        if (engine_must_look(run, node, run->members[node].order->node) && n < ARRAY_LEN(findings))
            findings[n++] = (struct node_finding){run->id, node, generation, "user is root, expected shop"};
    }
    return node_word(
        world, (struct event){.kind = EVENT_NODE_RETURN, .text = text, .findings = findings, .n_findings = n},
        node);
}

void world_agent_down(struct world *world, unsigned node) {
    char name[16];
    snprintf(name, sizeof(name), "n%u", node + 1);
    struct event event = {.kind = EVENT_AGENT_DOWN, .node = name};
    say(world, "# %s is cut off", name);
    world->agents[node].down = true;
    (void)!event_give(world, &event);
}

void world_agent_up(struct world *world, unsigned node) {
    char name[16];
    snprintf(name, sizeof(name), "n%u", node + 1);
    struct event event = {.kind = EVENT_AGENT_UP, .node = name};
    world->agents[node].down = world->agents[node].cut = false;
    (void)!event_give(world, &event);
    if (world->config.downtime && world->agents[node].returned)
        report_returned(world, must_run(world), node);
}

int world_apply(struct world *world, uint64_t serial) {
    struct event event = {
        .kind = EVENT_APPLY, .plan = world_plan_make(&world->config, serial), .text = "alice"};
    return event_give(world, &event);
}

struct world *world_new(const struct world_config *config) {
    struct world *w = calloc(1, sizeof(*w));
    if (!w || config->n_members > WORLD_MEMBERS_MAX)
        abort();
    w->config = *config;
    w->epoch = 1;
    w->now_ms = 1000;
    w->step_ms = 5;
    w->engine = engine_new(1);
    buffer_text(&w->transcript, "");
    return w;
}

int world_begin(struct world *world) {
    engine_resume(world->engine, world->now_ms, &world->actions);
    actions_take(world);
    agents_connect(world);
    return world_apply(world, 1);
}

struct world *world_free(struct world *world) {
    if (!world)
        return NULL;
    engine_free(world->engine);
    actions_deinit(&world->actions);
    buffer_deinit(&world->transcript);
    buffer_deinit(&world->refused);
    for (unsigned i = 0; i < world->n_records; i++)
        buffer_deinit(&world->records[i]);
    free(world);
    return NULL;
}
