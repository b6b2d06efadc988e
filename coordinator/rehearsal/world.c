/* Why a heap of things that will happen and nothing else: there is no second source of order. Two things at the same
 * moment happen in the order in which they were decided, so a seed gives the same run to the last byte. */
#include "coordinator/rehearsal/internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *fault_text(enum fault fault) {
    static const char *const texts[FAULTS] = {
        "delay",     "cut",         "partition", "duplicate", "coordinator", "agent",    "host",
        "slow-disk", "disk",        "slow",      "start",     "hang",        "crash",    "flap",
        "empty",     "step",        "operators", "words",     "holds",       "one-way",  "rack",
        "tail",      "slow-reader", "frame",     "echo",      "pause",       "loop",     "clock",
        "lie",       "old-disk",    "image",     "bit-flip",  "hands",       "supersede"};
    return (unsigned)fault < FAULTS ? texts[fault] : "?";
}

/* ---- chance ---- */

static uint64_t mix(uint64_t x) { /* splitmix64 */
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t world_random(struct world *w, unsigned stream) {
    w->random[stream] += 0x9e3779b97f4a7c15u;
    return mix(w->random[stream]) >> 8;
}

bool world_has(const struct world *w, enum fault fault) {
    return !w->calm && (w->faults & 1ull << fault) != 0;
}

bool world_chance(struct world *w, enum fault fault, unsigned in) {
    return world_has(w, fault) && world_random(w, fault) % in == 0;
}

uint64_t world_between(struct world *w, unsigned stream, uint64_t from, uint64_t to) {
    return from + world_random(w, stream) % (to - from + 1);
}

/* What happened, in its order, and what was decided: two builds that differ in one draw differ here. */
void world_fold(struct world *w, uint64_t what) {
    w->result->digest = mix(w->result->digest ^ what);
}

/* ---- what is said ---- */

void world_say(struct world *w, const char *format, ...) {
    va_list ap;
    if (!w->config->transcript)
        return;
    fprintf(w->config->transcript, "%5u.%06u  ", (unsigned)(w->now_us / SECOND),
            (unsigned)(w->now_us % SECOND));
    va_start(ap, format);
    vfprintf(w->config->transcript, format, ap);
    va_end(ap);
    fputc('\n', w->config->transcript);
}

void world_fail(struct world *w, const char *format, ...) {
    va_list ap;
    if (w->result->failed)
        return;
    w->result->failed = true;
    w->result->at_us = w->now_us;
    va_start(ap, format);
    vsnprintf(w->result->what, sizeof(w->result->what), format, ap);
    va_end(ap);
    world_say(w, "BROKEN   %s", w->result->what);
}

/* ---- what will happen ---- */

static bool before(const struct item *a, const struct item *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->sequence < b->sequence;
}

static struct item *item_put(struct world *w, const struct item *what) {
    struct item *item = w->n_free > 0 ? w->free_items[--w->n_free] : malloc(sizeof(*item));
    if (w->n_heap + 1 >= w->room_heap) {
        w->room_heap = w->room_heap ? w->room_heap * 2 : 256;
        w->heap = realloc(w->heap, w->room_heap * sizeof(struct item *));
    }
    if (!item || !w->heap)
        abort();
    *item = *what;
    size_t at = w->n_heap++;
    for (; at > 0 && before(item, w->heap[(at - 1) / 2]); at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = item;
    return item;
}

struct item *item_add(struct world *w, enum item_kind kind, uint64_t after_us) {
    struct item item = {.at_us = w->now_us + after_us, .sequence = ++w->sequence, .kind = kind};
    return item_put(w, &item);
}

static struct item *item_take(struct world *w) {
    struct item *first = w->heap[0], *last = w->heap[--w->n_heap];
    size_t at = 0;
    for (size_t child; (child = at * 2 + 1) < w->n_heap; at = child) {
        if (child + 1 < w->n_heap && before(w->heap[child + 1], w->heap[child]))
            child++;
        if (!before(w->heap[child], last))
            break;
        w->heap[at] = w->heap[child];
    }
    if (w->n_heap > 0)
        w->heap[at] = last;
    return first;
}

static void item_free(struct world *w, struct item *item) {
    if (w->n_free < sizeof(w->free_items) / sizeof(w->free_items[0]))
        w->free_items[w->n_free++] = item;
    else
        free(item);
}

static void machine_time(struct world *w, struct member *m, const struct item *item) {
    struct machine_event event = {.kind = MACHINE_EVENT_TIME};
    if (m->agent_up && item->token == m->time_token)
        agent_feed(w, m, &event);
}

/* Until when the one whom it concerns stands still; what happens to it waits for it. */
static uint64_t still_until_us(const struct world *w, const struct item *item, const struct member *m) {
    switch (item->kind) {
    case ITEM_TICK:
    case ITEM_TO_COORDINATOR:
    case ITEM_CUT_SEEN:
    case ITEM_CONNECT:
    case ITEM_APPLY: return w->stalled_until_us;
    case ITEM_TO_AGENT: return w->members[item->message.member].paused_until_us;
    case ITEM_MACHINE_TIME:
    case ITEM_EXECUTE:
    case ITEM_ROW:
    case ITEM_END_SEEN:
    case ITEM_LEASE: return m->paused_until_us;
    case ITEM_COORDINATOR_UP:
    case ITEM_AGENT_UP:
    case ITEM_SERVICE_READY:
    case ITEM_SERVICE_END:
    case ITEM_SOMEBODY_STARTS:
    case ITEM_NOTICE:
    case ITEM_AUDIT:
    case ITEM_HEAL:
    case ITEM_FAULT:
    case ITEM_CALM:
    case ITEM_STAGE: break;
    }
    return 0;
}

static bool put_off(struct world *w, const struct item *item, const struct member *m) {
    uint64_t until = still_until_us(w, item, m);
    if (until <= w->now_us)
        return false;
    bool message = item->kind == ITEM_TO_AGENT || item->kind == ITEM_TO_COORDINATOR;
    struct item later =
        *item; /* in the order in which it would have happened; what was begun comes before what is heard */
    later.at_us = until;
    if (message)
        later.sequence = ++w->sequence;
    (void)item_put(w, &later);
    return true;
}

/* Of an older reign: an older coordinator, which still lives, speaks to a node that obeys the new one. */
static bool is_echo(const struct world *w, const struct message *message) {
    return message->session == ANY_SESSION && message->epoch < w->members[message->member].epoch_obeyed;
}

static void happen(struct world *w, struct item *item) {
    struct member *m = &w->members[item->index < w->n_members ? item->index : 0];
    if (put_off(w, item, m))
        return;
    switch (item->kind) {
    case ITEM_TICK:
        if (item->token == w->tick_token)
            coordinator_tick(w);
        return;
    case ITEM_TO_COORDINATOR:
        if (w->engine && w->nodes[item->index].connected &&
            w->nodes[item->index].session == item->message.session)
            coordinator_receive(w, &item->message);
        return;
    case ITEM_TO_AGENT:
        if (w->nodes[item->index].connected &&
            (w->nodes[item->index].session == item->message.session || is_echo(w, &item->message)))
            agent_receive(w, &w->members[item->message.member], &item->message);
        return;
    case ITEM_CUT_SEEN:
        if (item->token == w->nodes[item->index].session)
            line_cut_seen(w, item->index);
        return;
    case ITEM_CONNECT:
        if (item->token == w->nodes[item->index].session)
            line_connect(w, item->index);
        return;
    case ITEM_COORDINATOR_UP: coordinator_start(w); return;
    case ITEM_AGENT_UP:
        if (item->token == m->agent_token)
            agent_start(w, m);
        return;
    case ITEM_MACHINE_TIME: machine_time(w, m, item); return;
    case ITEM_EXECUTE:
        if (m->agent_up && item->token == m->agent_token && item->op == m->op)
            row_execute_now(w, m);
        return;
    case ITEM_ROW:
        if (m->agent_up && item->token == m->agent_token && item->op == m->op)
            row_finish(w, m, item);
        return;
    case ITEM_SERVICE_READY:
        if (item->token == m->service.token && m->service.running)
            service_ready(w, m);
        return;
    case ITEM_SERVICE_END:
        if (item->token == m->service.token && m->service.running)
            service_end(w, m, item->failed ? "exit code 1" : "it ended");
        return;
    case ITEM_END_SEEN:
        if (item->token == m->agent_token)
            service_end_seen(w, m, item->failed, item->message.asked_us, item->how);
        return;
    case ITEM_SOMEBODY_STARTS:
        if (!m->gone && !m->no_charter && !(m->base[0].down && !m->new_started) && !m->service.running &&
            !machine_is_busy(&m->machine) && m->machine.record.state != MACHINE_HELD) {
            world_say(w, "hands    %s is started by somebody", m->order->member);
            service_start(w, m, m->link);
            m->service.foreign = true;
        } else if (w->calm && !m->gone && !m->service.running && machine_is_busy(&m->machine) &&
                   w->now_us < w->calm_us + 3600ull * SECOND)
            item_add(w, ITEM_SOMEBODY_STARTS, 5 * SECOND)->index = item->index; /* when its agent is done */
        return;
    case ITEM_NOTICE:
        if (item->token == m->n_losses)
            cluster_notice(w, m);
        return;
    case ITEM_AUDIT:
        if (item->token == m->n_losses)
            cluster_audit(w, m);
        return;
    case ITEM_HEAL:
        if (item->token == m->service.token)
            service_heal(w, m);
        return;
    case ITEM_LEASE:
        agent_lease_look(w, m);
        if (!w->calm || w->now_us < w->calm_us + 3600ull * SECOND)
            item_add(w, ITEM_LEASE, 2 * SECOND)->index = item->index;
        return;
    case ITEM_FAULT: faults_strike(w, (enum fault)item->index, item->token); return;
    case ITEM_APPLY: plan_apply(w, &w->clusters[item->index]); return;
    case ITEM_CALM: faults_calm(w); return;
    case ITEM_STAGE: return; /* that the time comes is all; stage_look() sees it */
    }
}

bool world_turn(struct world *w, uint64_t until_us) {
    if (w->result->failed || w->n_heap == 0 || w->heap[0]->at_us > until_us)
        return false;
    struct item *item = item_take(w);
    w->now_us = item->at_us;
    w->result->n_events++;
    world_fold(w, w->now_us);
    world_fold(w, (uint64_t)item->kind << 56 ^ (uint64_t)item->index << 32 ^ item->sequence);
    happen(w, item);
    item_free(w, item);
    oracle_after(w);
    if (w->staging)
        stage_look(w);
    return true;
}

static void run_for(struct world *w, uint64_t for_us) {
    uint64_t until = w->now_us + for_us;
    while (world_turn(w, until))
        ;
    if (!w->result->failed)
        w->now_us = until;
}

/* ---- beginning and end ---- */

static void seed(struct world *w) {
    uint64_t base = mix(w->config->seed ^ 0x6b65646765u);
    for (unsigned i = 0; i <= FAULTS; i++)
        w->random[i] = mix(base + (i < FAULTS_FIRST ? i : i < FAULTS ? i + 1 : FAULTS_FIRST) * 0x1000193ull);
    w->random[STREAM_ILL] = mix(base ^ 0x696c6cull);
    bool some = world_random(w, FAULTS) % 10 != 0;
    for (unsigned i = 0; i < FAULTS; i++) {
        bool takes = i < FAULTS_FIRST ? world_random(w, FAULTS) % 3 == 0 : world_random(w, i) % 6 == 0;
        if (takes && some)
            w->faults |= 1ull << i;
    }
    if (w->config->all_faults)
        w->faults = UINT64_MAX;
    w->faults &= w->config->faults;
    w->result->faults = w->faults;
}

static void summary(struct world *w) {
    const struct run *run = coordinator_run(w);
    if (!run)
        return;
    w->result->ended = run->state == RUN_ENDED;
    w->result->paused = run->paused;
    snprintf(w->result->verdict, sizeof(w->result->verdict), "%s", run_verdict_text(run->verdict));
    engine_explain_run(w->engine, run, w->result->end, sizeof(w->result->end));
}

static void deinit(struct world *w) {
    stage_end(w);
    engine_free(w->engine);
    arena_free(w->outputs);
    witness_free(w);
    actions_deinit(&w->actions);
    for (size_t i = 0; i < w->n_records; i++)
        buffer_deinit(&w->records[i]);
    free(w->records);
    for (struct herd *herd; (herd = w->herds); free(herd))
        w->herds = herd->next;
    while (w->n_heap > 0)
        free(w->heap[--w->n_heap]);
    while (w->n_free > 0)
        free(w->free_items[--w->n_free]);
    free(w->heap);
    free(w->members);
    free(w->nodes);
    plans_free(w);
}

void rehearsal_run(const struct rehearsal_config *config, struct rehearsal_result *result) {
    struct world w = {.config = config, .result = result, .now_us = SECOND, .wall_ms = 100000};
    *result = (struct rehearsal_result){.n_events = 0};
    if (config->begin_ms)
        w.wall_ms = config->begin_ms;
    seed(&w);
    plans_begin(&w);
    model_init(&w);
    stage_begin(&w);
    coordinator_start(&w);
    for (uint32_t i = 0; i < w.n_clusters; i++)
        item_add(&w, ITEM_APPLY, (100 + i * 700ull) * MS)->index = i;
    faults_begin(&w);
    while (!w.calm && !stage_rests(&w) && world_turn(&w, UINT64_MAX))
        ;
    if (!w.calm && !result->failed)
        faults_calm(&w);
    if (!result->failed)
        live(&w);
    if (!result->failed) {
        run_for(&w, 120ull * SECOND + 8 * (config->pace.start_us + config->pace.heal_us));
        oracle_end(&w);
        coordinator_replay_equals(&w);
    }
    summary(&w);
    deinit(&w);
}
