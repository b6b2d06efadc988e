/* The coordinator's shell: journal first, in one transaction for each step, then send. It dies before the journal, after it,
 * or in the middle of sending; what is not in the journal is gone. */
#include "coordinator/rehearsal/internal.h"

#include <stdlib.h>
#include <string.h>

uint64_t coordinator_wall_ms(const struct world *w) {
    return (uint64_t)((int64_t)(w->wall_ms + w->now_us / MS) + w->wall_off_ms);
}

const struct run *coordinator_run(const struct world *w) {
    size_t n = w->engine ? engine_n_runs(w->engine) : 0;
    return n > 0 ? engine_run_at(w->engine, n - 1) : NULL;
}

/* The newest of the cluster that has begun anything, or its oldest that waits. */
const struct run *coordinator_run_of(const struct world *w, const struct cluster *cluster) {
    for (size_t i = w->engine ? engine_n_runs(w->engine) : 0; i-- > 0;) {
        const struct run *run = engine_run_at(w->engine, i);
        if (strcmp(run->plan->header.cluster, cluster->plans[0]->header.cluster) == 0)
            return run;
    }
    return NULL;
}

/* ---- the journal ---- */

static void record_keep(struct world *w, struct bytes bytes) {
    if (w->n_records == w->room_records) {
        w->room_records = w->room_records ? w->room_records * 2 : 256;
        w->records = realloc(w->records, w->room_records * sizeof(*w->records));
        if (!w->records)
            abort();
    }
    for (size_t i = 0; i < bytes.len; i++)
        world_fold(w, bytes.data[i]);
    w->records[w->n_records] = (struct buffer){0};
    buffer_append(&w->records[w->n_records++], bytes.data, bytes.len);
}

static void replay(struct world *w, struct engine *engine) {
    struct arena *arena = arena_new(1 << 20);
    if (!arena)
        abort();
    for (size_t i = 0; i < w->n_records && !w->result->failed; i++) {
        struct record record;
        struct error err = {""};
        struct verified_plan *plan = NULL;
        if (record_decode(&record, buffer_bytes(&w->records[i]), arena, &err) < 0) {
            world_fail(w, "6: record %zu of the journal cannot be read: %s", i + 1, err.text);
            break;
        }
        if (record.kind == RECORD_RUN_BEGUN)
            plan = w->config->plan(w->config->context, record.value);
        if (engine_fold(engine, &record, plan, &err) < 0)
            world_fail(w, "6: record %zu of the journal cannot be replayed: %s", i + 1, err.text);
        if (i % 256 == 255) {
            arena_free(arena);
            arena = arena_new(1 << 20);
        }
    }
    arena_free(arena);
}

void coordinator_replay_equals(struct world *w) {
    struct buffer live = {0}, again = {0};
    if (!w->engine)
        return;
    struct engine *engine = engine_new(w->epoch);
    replay(w, engine);
    buffer_text(&live, "");
    buffer_text(&again, "");
    engine_dump(w->engine, &live);
    engine_dump(engine, &again);
    if (!w->result->failed && !bytes_equal(buffer_bytes(&live), buffer_bytes(&again))) {
        world_say(w, "live:\n%s\nreplayed:\n%s", (char *)live.data, (char *)again.data);
        world_fail(w, "6: the journal replayed gives another state than the one that wrote it");
    }
    buffer_deinit(&live);
    buffer_deinit(&again);
    engine_free(engine);
}

static void say_record(struct world *w, struct bytes bytes) {
    struct record r;
    struct error err;
    if (!w->config->transcript)
        return;
    struct arena *arena = arena_new(1 << 16);
    const struct run *run = NULL;
    bool good = arena && record_decode(&r, bytes, arena, &err) == 0;
    if (good && w->engine)
        run = engine_run(w->engine, r.run);
    if (good)
        world_say(w, "journal  %s%s%s %s%s%s", record_kind_text(r.kind),
                  r.kind != RECORD_RUN_EVENT && run && r.member < run->n_members ? " " : "",
                  r.kind != RECORD_RUN_EVENT && run && r.member < run->n_members
                      ? run->members[r.member].order->member
                      : "",
                  r.kind == RECORD_RUN_EVENT      ? run_event_text((enum run_event)r.number)
                  : r.kind == RECORD_MEMBER_EVENT ? member_event_text((enum member_event)r.number)
                  : r.kind == RECORD_REPORTED     ? outcome_text((enum outcome)r.number)
                                                  : "",
                  r.name, r.text[0] ? r.text : "");
    arena_free(arena);
}

/* ---- sending ---- */

void message_send(struct world *w, uint32_t node, bool to_agent, const struct message *message) {
    struct node *n = &w->nodes[node];
    uint64_t delay = 200 + world_random(w, FAULTS) % 800;
    if (!n->connected)
        return;
    if (world_chance(w, FAULT_DELAY, 4))
        delay += world_between(w, FAULT_DELAY, 1, 2 * SECOND);
    delay = line_delay_us(w, n, to_agent, delay);
    if (world_chance(w, FAULT_FRAME, 60)) {
        world_say(w, "line     %s is cut in the middle of a message", n->name);
        line_cut(w, node, world_between(w, FAULT_FRAME, MS, 2 * SECOND));
        return;
    }
    if (to_agent && message->kind == MESSAGE_ORDER && world_chance(w, FAULT_ECHO, 3)) {
        struct item *echo = item_add(w, ITEM_TO_AGENT, delay + world_between(w, FAULT_ECHO, 1, 20 * SECOND));
        echo->index = node;
        echo->message = *message;
        echo->message.session = ANY_SESSION;
    }
    unsigned copies = world_chance(w, FAULT_DUPLICATE, 6) ? 2 : 1;
    for (unsigned i = 0; i < copies; i++) {
        struct item *item = item_add(w, to_agent ? ITEM_TO_AGENT : ITEM_TO_COORDINATOR, delay);
        item->index = node;
        item->message = *message;
        item->message.session = n->session;
        delay += i == 0 && copies > 1 ? world_between(w, FAULT_DUPLICATE, 1, 4 * SECOND) : 0;
    }
}

static uint32_t node_of(const struct world *w, const char *name) {
    for (uint32_t i = 0; i < w->n_nodes; i++)
        if (strcmp(w->nodes[i].name, name) == 0)
            return i;
    abort();
}

static uint32_t self_of(const struct world *w, const struct cluster *cluster, uint32_t about,
                        const char *self) {
    if (self[0] && strcmp(w->members[about].order->self, self) == 0)
        return about;
    for (uint32_t i = cluster->first; self[0] && i < cluster->first + cluster->n_members; i++)
        if (strcmp(w->members[i].order->self, self) == 0)
            return i;
    return UINT32_MAX;
}

static const struct herd *herd_of(struct world *w, const struct cluster *cluster, uint32_t about,
                                  const struct beside *beside) {
    if (beside->n == 0)
        return NULL;
    struct herd *herd = malloc(sizeof(*herd) + beside->n * sizeof(herd->members[0]));
    if (!herd)
        abort();
    *herd = (struct herd){.next = w->herds, .n = beside->n};
    for (size_t i = 0; i < beside->n; i++)
        herd->members[i] = self_of(w, cluster, about, beside->names[i]);
    return w->herds = herd;
}

static void send_order(struct world *w, const struct run *run, const struct action *a) {
    struct member *m = &w->members[cluster_of_run(w, run)->first + a->member];
    struct message message = {.kind = MESSAGE_ORDER,
                              .member = m->index,
                              .step = step_number(m, a->step),
                              .serial = run->plan->header.serial,
                              .epoch = w->epoch,
                              .expires_s = a->expires_s,
                              .herd = herd_of(w, m->cluster, m->index, &a->beside)};
    world_say(w, "ORDER    %s: %s (epoch %llu, expires %llu)", m->order->member, a->step,
              (unsigned long long)w->epoch, (unsigned long long)a->expires_s);
    outputs_send(w, m, a, &message);
    message_send(w, m->node, true, &message);
}

static void send_ask(struct world *w, const struct run *run, const struct action *a) {
    const struct cluster *cluster = cluster_of_run(w, run);
    uint32_t about = cluster->first + a->member;
    struct message message = {.kind = MESSAGE_ASK,
                              .ask = a->ask,
                              .member = about,
                              .self = self_of(w, cluster, about, a->self),
                              .herd = herd_of(w, cluster, about, &a->beside),
                              .change = w->changes};
    uint32_t node = node_of(w, a->node);
    for (size_t i = 0; i < a->n_gates && message.n_gates < MESSAGE_GATES; i++)
        message.gates[message.n_gates++] = world_gate(cluster, &a->gates[i]);
    message.asked_us = w->now_us;
    if (w->members[about].node != node) /* a prober's own member does not matter; somebody on the node asks */
        for (uint32_t i = cluster->first; i < cluster->first + cluster->n_members; i++)
            if (w->members[i].node == node)
                message.serial = i + 1;
    message.side = about;
    if (message.serial > 0)
        message.member = (uint32_t)message.serial - 1;
    message_send(w, node, true, &message);
}

static void send_all(struct world *w, const struct run *run, const struct action *a,
                     struct message *message) {
    const struct cluster *cluster = cluster_of_run(w, run);
    for (uint32_t i = cluster->first; i < cluster->first + cluster->n_members; i++) {
        struct member *m = &w->members[i];
        message->member = i;
        if (!a->node || strcmp(m->order->node, a->node) == 0)
            message_send(w, m->node, true, message);
    }
}

static void action_take(struct world *w, const struct action *a) {
    const struct run *run = engine_run(w->engine, a->run);
    struct message message = {.epoch = w->epoch, .serial = run ? run->plan->header.serial : 0};
    switch (a->kind) {
    case ACTION_RECORD: return;
    case ACTION_ORDER: send_order(w, run, a); return;
    case ACTION_ASK: send_ask(w, run, a); return;
    case ACTION_LATCH:
        message.kind = MESSAGE_LATCH;
        world_say(w, "LATCH    %s", a->node ? a->node : "all");
        send_all(w, run, a, &message);
        return;
    case ACTION_LEASE:
        message.kind = MESSAGE_LEASE;
        message.open = a->lease_open;
        for (uint32_t i = 0; i < run->n_sides && i < SIDES_MAX; i++)
            if (strcmp(run->sides[i].action->name, a->step) == 0)
                message.side = i;
        send_all(w, run, a, &message);
        return;
    }
}

static void tick_arm(struct world *w) {
    uint64_t next = engine_next_deadline(w->engine);
    if (next == UINT64_MAX)
        return;
    uint64_t now = coordinator_wall_ms(w), after = next > now ? (next - now) * MS : 0;
    struct item *item = item_add(w, ITEM_TICK, after);
    item->token = ++w->tick_token;
}

static void actions_take(struct world *w, bool refused) {
    bool dies = w->actions.n > 0 && world_chance(w, FAULT_COORDINATOR, 400);
    unsigned when = dies ? (unsigned)(world_random(w, FAULT_COORDINATOR) % 3) : 0;
    if (dies && when == 0) { /* before the journal */
        coordinator_die(w);
        return;
    }
    for (size_t i = 0; i < w->actions.n; i++)
        if (w->actions.items[i].kind == ACTION_RECORD) {
            record_keep(w, w->actions.items[i].record);
            say_record(w, w->actions.items[i].record);
        }
    words_said(w);
    witness_heard(w, refused);
    for (size_t i = 0; i < w->actions.n; i++) /* decided and durable: judged, whether or not it is sent */
        if (w->actions.items[i].kind == ACTION_ORDER)
            oracle_order(w, engine_run(w->engine, w->actions.items[i].run), &w->actions.items[i]);
    if (dies)
        coordinator_replay_equals(w);
    for (size_t i = 0; i < w->actions.n && !w->result->failed; i++) {
        if (dies && (when == 1 || i > w->actions.n / 2))
            break;
        action_take(w, &w->actions.items[i]);
    }
    if (dies)
        coordinator_die(w);
    else
        tick_arm(w);
}

int coordinator_give(struct world *w, struct event *event) {
    event->now_ms = coordinator_wall_ms(w);
    w->told_ms += (w->now_us - w->told_at_us) / MS;
    w->told_at_us = w->now_us;
    w->told_ms = event->now_ms > w->told_ms ? event->now_ms : w->told_ms;
    witness_event(w, event);
    int r = engine_step(w->engine, event, &w->actions);
    if (r != 0)
        w->saying = NULL;
    actions_take(w, r != 0);
    w->saying = NULL;
    if (++w->n_gives % (16 + w->config->seed % 48) == 0) /* after every event would be dear */
        coordinator_replay_equals(w);
    return r;
}

void coordinator_tick(struct world *w) {
    struct event event = {.kind = EVENT_TICK};
    if (w->engine)
        (void)!coordinator_give(w, &event);
}

/* ---- receiving ---- */

/* Numbers count on the node. */
static uint32_t generation_number(const struct member *m, uint32_t index) {
    const char *found = fact_get(m->order->binding, m->order->n_binding, "generation");
    return index == UINT32_MAX || !found ? index : index + (uint32_t)strtoul(found, NULL, 10);
}

/* What contradicts the signed order opens no way: it is held, and nothing goes on before somebody has looked. */
static void judge_lie(struct world *w, const struct member *m, const struct message *message) {
    const struct run *run = coordinator_run_of(w, m->cluster);
    if (!run || run->plan->header.serial != message->serial)
        return;
    if (run->members[m->number].state != MEMBER_HELD)
        world_fail(w, "9: %s says %s of %s and shows that it is not so, and is taken for %s",
                   m->order->member, outcome_text(message->report.outcome), step_at(m, message->step)->name,
                   member_state_text(run->members[m->number].state));
    else if (!run->paused && !run->aborting && run->state != RUN_CLOSING && run->state != RUN_ENDED)
        world_fail(w, "9: %s says %s of %s and shows that it is not so, and nobody is told", m->order->member,
                   outcome_text(message->report.outcome), step_at(m, message->step)->name);
}

static void receive_report(struct world *w, const struct message *message) {
    struct member *m = &w->members[message->member];
    const struct kept_outcome *k = &message->report;
    struct event event = {.kind = EVENT_REPORT, .node = m->order->node};
    event.report = (struct engine_report){
        .cluster = m->order->cluster,
        .serial = message->serial,
        .member = m->order->member,
        .step = step_at(m, message->step)->name,
        .outcome = k->outcome,
        .reason = k->reason,
        .version =
            k->generation > 0 && k->generation != UINT32_MAX ? m->order->to_version : m->order->from_version,
        .interruption_us = k->interruption_us,
        .evidence_age_us = k->evidence_age_us,
        .mode = k->mode,
        .generation = generation_number(m, k->generation),
        .at_ms = k->at_ms,
        .blames = k->blames,
        .outputs = k->outputs,
        .n_outputs = k->n_outputs,
    };
    w->witness.gives_away = k->gives_away;
    int r = coordinator_give(w, &event);
    w->witness.gives_away = false;
    if (r == 0 && w->engine && k->gives_away)
        judge_lie(w, m, message);
    if (r == 0 && w->engine) /* else it died with what it heard */
        oracle_report(w, m, message);
    if (r == 0 && w->engine)
        outputs_owed(w, m, message);
    if (r == ENGINE_REFUSED && w->engine)
        world_say(w, "report   %s: %s: %s is passed over: %s", m->order->member, event.report.step,
                  outcome_text(k->outcome), w->actions.refused);
}

const char *answer_reason(const struct model_gate *gate, enum answer answer) {
    static const char *const noes[] = {[ASKS_MAY_STOP] = "an entry would be lost",
                                       [ASKS_RECOVERED] = "an entry is not everywhere where it belongs",
                                       [ASKS_MEMBER] = "it does not serve as it should",
                                       [ASKS_LAST] = "another one leads",
                                       [ASKS_SAMPLE] = "entries are missing",
                                       [ASKS_IN_FORCE] = "the previous value is back"};
    return answer == ANSWER_YES ? "" : answer == ANSWER_NO ? noes[gate->asks] : "the connection was refused";
}

static void receive_answer(struct world *w, const struct message *message) {
    struct gate_answer answers[MESSAGE_GATES];
    const struct member *m = &w->members[message->member];
    for (size_t i = 0; i < message->n_gates; i++)
        answers[i] = (struct gate_answer){message->gates[i]->name, message->answers[i],
                                          answer_reason(message->gates[i], message->answers[i]),
                                          w->now_us - message->asked_us};
    struct event event = {.kind = EVENT_ANSWER,
                          .node = m->order->node,
                          .ask = message->ask,
                          .answers = answers,
                          .n_answers = message->n_gates};
    oracle_answers(w, message);
    (void)!coordinator_give(w, &event);
}

void coordinator_receive(struct world *w, struct message *message) {
    if (message->kind == MESSAGE_REPORT)
        receive_report(w, message);
    else if (message->kind == MESSAGE_ANSWER)
        receive_answer(w, message);
}

void coordinator_command(struct world *w, const struct run *run, enum run_event command, const char *text) {
    if (!run || w->stalled_until_us > w->now_us)
        return;
    struct event event = {.kind = EVENT_COMMAND, .run = run->id, .command = command, .text = text};
    int r = coordinator_give(w, &event);
    world_say(w, "%s run %llu %s%s%s", text, (unsigned long long)event.run, run_event_text(command),
              r ? ": refused: " : "", r && w->engine ? w->actions.refused : "");
}

/* ---- death and return ---- */

void coordinator_die(struct world *w) {
    world_say(w, "# the coordinator dies after record %zu", w->n_records);
    w->engine = engine_free(w->engine);
    actions_clear(&w->actions);
    witness_forgets(w);
    w->tick_token++;
    for (uint32_t i = 0; i < w->n_nodes; i++) {
        w->nodes[i].connected = w->nodes[i].known_up = false;
        w->nodes[i].session++;
    }
    uint64_t most = world_random(w, FAULT_COORDINATOR) % 8 ? 3 * SECOND : 40 * SECOND;
    item_add(w, ITEM_COORDINATOR_UP, world_between(w, FAULT_COORDINATOR, 10 * MS, most));
}

void coordinator_start(struct world *w) {
    if (w->engine || stage_keeps_the_coordinator_away(w))
        return;
    w->stalled_until_us = 0;
    w->wall_off_ms =
        world_chance(w, FAULT_CLOCK, 2) ? (int64_t)world_between(w, FAULT_CLOCK, 0, 100 * MS) - 40000 : 0;
    w->engine = engine_new(++w->epoch);
    replay(w, w->engine);
    if (w->result->failed)
        return;
    world_say(w, "# the coordinator begins reign %llu", (unsigned long long)w->epoch);
    witness_begins(w, coordinator_wall_ms(w));
    engine_resume(w->engine, w->witness.now_ms, &w->actions);
    actions_take(w, false);
    for (uint32_t i = 0; w->engine && i < w->n_nodes; i++) {
        struct item *item = item_add(w, ITEM_CONNECT, world_between(w, FAULTS, MS, 2 * SECOND));
        item->index = i;
        item->token = w->nodes[i].session;
    }
}
