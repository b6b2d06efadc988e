/* What the engine costs: whole rolls over plans of 100, 1,000 and 10,000 members, answers and reports at once, virtual time.
 * Printed for each size: events, events a second, cost of an event, memory of the engine a member beyond the plan, and how
 * long the replay of the finished run takes. The wave's limit is the whole wave, so that a roll is linear in its members
 * unless the engine is not; a survey between single stops is another matter (README.md). */
#include "coordinator/engine/engine.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    EVENTS_MAX = 3000000
}; /* a roll that would take longer is cut off: the cost of an event is known by then */

struct item {
    bool is_report;
    uint32_t member;
    const char *step;
    uint64_t ask;
    size_t n_gates;
};

struct bench {
    struct engine *engine;
    struct actions actions;
    struct item *queue;
    size_t head, n, room, n_events, n_records;
    struct buffer records; /* u32 length, bytes */
    uint64_t now_ms;
};

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *alloc(struct arena *arena, size_t n, size_t size) {
    void *p = arena_array(arena, n, size);
    if (!p)
        abort();
    return p;
}

static struct digest gate_digest(unsigned gate) {
    return (struct digest){{0x10, (uint8_t)gate}};
}

static struct digest *digests(struct arena *arena, unsigned gate) {
    struct digest *one = alloc(arena, 1, sizeof(*one));
    *one = gate_digest(gate);
    return one;
}

static const struct work_order *make_order(struct arena *arena, unsigned i, unsigned n) {
    static const char *const names[] = {"prepare", "switch", "return"};
    static const enum verb verbs[] = {VERB_PREPARE, VERB_SWITCH, VERB_REVERT};
    struct work_order *order = alloc(arena, 1, sizeof(*order));
    struct step *steps = alloc(arena, 3, sizeof(*steps));
    for (size_t s = 0; s < 3; s++) {
        struct row *rows = alloc(arena, 2, sizeof(*rows));
        rows[0] = (struct row){.primitive = s ? PRIMITIVE_START : PRIMITIVE_STAGE, .generation = s == 1};
        rows[1] = (struct row){.primitive = PRIMITIVE_ASK, .gates = digests(arena, 2), .n_gates = 1};
        steps[s] = (struct step){.name = names[s], .verb = verbs[s], .rows = rows, .n_rows = s ? 2 : 1};
    }
    *order = (struct work_order){.format = 1,
                                 .cluster = "shop",
                                 .serial = 1,
                                 .member = arena_format(arena, "shop/server@n%u", i),
                                 .node = arena_format(arena, "n%u", i),
                                 .domain = arena_format(arena, "zone-%c", (char)('a' + i * 3 / n)),
                                 .self = arena_format(arena, "self-%u", i),
                                 .way_back = WAY_BACK_UNTIL_FINALIZE,
                                 .steps = steps,
                                 .n_steps = 3,
                                 .from_version = "1.0",
                                 .to_version = "1.1"};
    return order;
}

static struct verified_plan *make_plan(unsigned n) {
    struct verified_plan *plan = calloc(1, sizeof(*plan));
    if (!plan || !(plan->arena = arena_new((size_t)512 << 20)))
        abort();
    const struct work_order **orders = alloc(plan->arena, n, sizeof(*orders));
    uint32_t *members = alloc(plan->arena, n, sizeof(*members));
    struct wave *wave = alloc(plan->arena, 1, sizeof(*wave));
    struct gate *gates = alloc(plan->arena, 3, sizeof(*gates));
    struct digest *names = alloc(plan->arena, 3, sizeof(*names));
    for (unsigned i = 0; i < n; i++) {
        orders[i] = make_order(plan->arena, i, n);
        members[i] = i;
    }
    for (unsigned g = 0; g < 3; g++) {
        names[g] = gate_digest(g);
        gates[g] = (struct gate){.name = g == 0   ? "writable"
                                         : g == 1 ? "replicated"
                                                  : "alive",
                                 .scope = g < 2 ? GATE_SCOPE_CLUSTER : GATE_SCOPE_MEMBER,
                                 .evidence_age_ms = 60000};
    }
    *wave = (struct wave){
        .name = "rolling", .kind = WAVE_ROLLING, .members = members, .n_members = n, .limit_count = n};
    plan->signed_by_enough = true;
    plan->digest = (struct digest){{0x20}};
    plan->header = (struct header){
        .cluster = "shop", .serial = 1, .from_version = "1.0", .to_version = "1.1", .not_after_s = 1000000};
    plan->orders = orders;
    plan->n_orders = n;
    plan->gates = gates;
    plan->gate_digests = names;
    plan->n_gates = 3;
    plan->shape.waves = wave;
    plan->shape.n_waves = 1;
    plan->shape.may_stop = digests(plan->arena, 0);
    plan->shape.recovered = digests(plan->arena, 1);
    plan->shape.n_may_stop = plan->shape.n_recovered = 1;
    return plan;
}

static void queue_add(struct bench *b, struct item item) {
    if (b->n == b->room) {
        b->room = b->room ? 2 * b->room : 1024;
        b->queue = realloc(b->queue, b->room * sizeof(*b->queue));
        if (!b->queue)
            abort();
    }
    b->queue[b->n++] = item;
}

static void take(struct bench *b) {
    for (size_t i = 0; i < b->actions.n; i++) {
        const struct action *a = &b->actions.items[i];
        if (a->kind == ACTION_RECORD) {
            buffer_u32(&b->records, (uint32_t)a->record.len);
            buffer_append(&b->records, a->record.data, a->record.len);
            b->n_records++;
        } else if (a->kind == ACTION_ORDER) {
            queue_add(b, (struct item){.is_report = true, .member = a->member, .step = a->step});
        } else if (a->kind == ACTION_ASK) {
            uint32_t node = (uint32_t)strtoul(a->node + 1, NULL, 10);
            queue_add(b, (struct item){.member = node, .ask = a->ask, .n_gates = a->n_gates});
        }
    }
}

static void give(struct bench *b, struct event event) {
    event.now_ms = b->now_ms;
    if (engine_step(b->engine, &event, &b->actions) != 0 && event.kind == EVENT_APPLY) {
        fprintf(stderr, "refused: %s\n", b->actions.refused);
        exit(1);
    }
    b->n_events++;
    take(b);
}

static void answer(struct bench *b, const struct run *run, const struct item *item) {
    struct gate_answer answers[8];
    const struct work_order *order = run->plan->orders[item->member];
    struct event event = {.node = order->node};
    for (size_t i = 0; i < item->n_gates && i < 8; i++)
        answers[i] = (struct gate_answer){"alive", ANSWER_YES, "", 200};
    if (item->is_report) {
        event.kind = EVENT_REPORT;
        event.report = (struct engine_report){.cluster = "shop",
                                              .serial = 1,
                                              .member = order->member,
                                              .step = item->step,
                                              .outcome = OUTCOME_DONE,
                                              .reason = "",
                                              .version = "1.1",
                                              .mode = MODE_READ_WRITE};
    } else {
        event.kind = EVENT_ANSWER;
        event.ask = item->ask;
        event.answers = answers;
        event.n_answers = item->n_gates;
    }
    give(b, event);
}

/* Every agent loses its line and comes back, while the run is open and its orders to prepare are in flight. */
static void reconnect(struct bench *b, unsigned n) {
    char node[32];
    double begun = clock_s();
    for (unsigned up = 0; up < 2; up++)
        for (unsigned i = 0; i < n; i++) {
            snprintf(node, sizeof(node), "n%u", i);
            give(b, (struct event){.kind = up ? EVENT_AGENT_UP : EVENT_AGENT_DOWN, .node = node});
        }
    printf("%6u members: %5.2f us for each agent that is lost or back\n", n,
           (clock_s() - begun) * 1e6 / (2 * n));
}

static void prepare(struct bench *b, const struct run *run, unsigned n) {
    double begun = clock_s();
    size_t events = b->n_events;
    while (run->state == RUN_PREPARING && b->head < b->n) {
        struct item item = b->queue[b->head++];
        answer(b, run, &item);
    }
    events = b->n_events - events;
    printf("%6u members: %5.2f us for each report while they prepare\n", n,
           (clock_s() - begun) * 1e6 / (double)(events ? events : 1));
}

static double roll(struct bench *b, unsigned n) {
    char node[32];
    engine_resume(b->engine, b->now_ms, &b->actions);
    take(b);
    for (unsigned i = 0; i < n; i++) {
        snprintf(node, sizeof(node), "n%u", i);
        give(b, (struct event){.kind = EVENT_AGENT_UP, .node = node});
    }
    struct verified_plan *plan = make_plan(n);
    double begun = clock_s();
    give(b, (struct event){.kind = EVENT_APPLY, .plan = plan, .text = "alice"});
    const struct run *run = engine_run_at(b->engine, 0);
    printf("%6u members: %5.2f ms to apply\n", n, (clock_s() - begun) * 1e3);
    reconnect(b, n);
    prepare(b, run, n);
    begun = clock_s();
    b->n_events = 0;
    while (run->state != RUN_ENDED && b->n_events < EVENTS_MAX) {
        uint64_t due = engine_next_deadline(b->engine);
        if (b->head < b->n) {
            struct item item = b->queue[b->head++];
            answer(b, run, &item);
        } else if (due != UINT64_MAX) {
            b->now_ms = due > b->now_ms ? due : b->now_ms + 1;
            give(b, (struct event){.kind = EVENT_TICK});
        } else {
            break;
        }
    }
    return clock_s() - begun;
}

static void fold_one(struct engine *engine, const struct record *record, struct verified_plan *plan) {
    struct error err = {""};
    if (engine_fold(engine, record, record->kind == RECORD_RUN_BEGUN ? plan : NULL, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

/* Memory and time of a fresh engine that has only the journal. `times`: what was recorded of each member is recorded of
 * so many members, for the journal of a roll that is too long to be played. */
static double replay(const struct bench *b, unsigned n, unsigned times, size_t *memory) {
    struct verified_plan *plan = make_plan(n * times);
    size_t before = mallinfo2().uordblks;
    double begun = clock_s();
    struct engine *engine = engine_new(9);
    for (size_t at = 0; at < b->records.len;) {
        uint32_t len = read_u32(b->records.data + at);
        struct arena *arena = arena_new(1 << 16);
        struct record record;
        struct error err;
        if (!arena || record_decode(&record, (struct bytes){b->records.data + at + 4, len}, arena, &err) < 0)
            abort();
        bool of_member = record.kind == RECORD_ORDERED || record.kind == RECORD_REPORTED ||
                         record.kind == RECORD_MEMBER_EVENT || record.kind == RECORD_MEMBER_SEEN;
        for (unsigned i = 0; i < (of_member ? times : 1); i++, record.member += n)
            fold_one(engine, &record, plan);
        arena_free(arena);
        at += 4 + len;
    }
    double took = clock_s() - begun;
    *memory = mallinfo2().uordblks - before;
    bool ended = engine_run_at(engine, 0)->state == RUN_ENDED;
    engine_free(engine);
    return ended ? took : -1;
}

static bool measure(unsigned n) {
    struct bench b = {.engine = engine_new(1), .now_ms = 1000};
    double took = roll(&b, n);
    const struct run *run = engine_run_at(b.engine, 0);
    bool done = run->state == RUN_ENDED && run->verdict == VERDICT_DONE;
    printf("%6u members: %8zu events%s in %6.3f s, %8.0f events/s, %5.2f us an event\n", n, b.n_events,
           done ? "" : " (cut off)", took, (double)b.n_events / took, took * 1e6 / (double)b.n_events);
    for (unsigned times = 1; done && times <= 10; times *= 10) {
        size_t memory = 0;
        double again = replay(&b, n, times, &memory);
        printf("%6u members: replay of the finished run %.3f s, %zu bytes a member beyond the plan\n",
               n * times, again, memory / (n * times));
        done = again >= 0;
    }
    fflush(stdout);
    engine_free(b.engine);
    actions_deinit(&b.actions);
    buffer_deinit(&b.records);
    free(b.queue);
    return done || b.n_events >= EVENTS_MAX;
}

int main(int argc, char **argv) {
    unsigned most = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10000;
    bool done = true;
    mallopt(M_MMAP_THRESHOLD, 1 << 30); /* so that all is counted */
    for (unsigned n = 100; n <= most; n *= 10)
        done = measure(n) && done;
    return done ? 0 : 1;
}
