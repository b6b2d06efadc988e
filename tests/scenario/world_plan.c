/* The plan of the world: as many members as the test wants, steps of one or two rows, since the engine knows names and
 * gates, and no rows. */
#include "tests/scenario/world.h"

#include <stdlib.h>

static void *alloc(struct arena *arena, size_t n, size_t size) {
    void *p = arena_array(arena, n, size);
    if (!p)
        abort();
    return p;
}

/* ---- the plan ---- */

const char *const world_gate_names[WORLD_GATES] = {"writable", "replicated", "old-alive", "new-alive",
                                                   "leader"};

static struct digest gate_digest(enum world_gate gate) {
    return (struct digest){{0x10, (uint8_t)gate}};
}

static struct row *make_row(struct row *row, enum primitive primitive, struct arena *arena, int gate) {
    *row = (struct row){.primitive = primitive};
    if (gate >= 0) {
        struct digest *digest = alloc(arena, 1, sizeof(*digest));
        *digest = gate_digest((enum world_gate)gate);
        row->gates = digest;
        row->n_gates = 1;
    }
    return row;
}

static struct step make_step(struct arena *arena, const char *name, enum verb verb, int gate) {
    bool back = verb == VERB_REVERT;
    struct row *rows = alloc(arena, 2, sizeof(*rows));
    make_row(&rows[0], gate >= 0 ? PRIMITIVE_START : PRIMITIVE_STAGE, arena, -1);
    rows[0].generation = back || gate < 0 ? 0 : verb == VERB_PROMOTE ? 2 : 1;
    if (gate >= 0)
        make_row(&rows[1], PRIMITIVE_ASK, arena, gate);
    return (struct step){.name = name, .verb = verb, .rows = rows, .n_rows = gate >= 0 ? 2 : 1};
}

static struct step make_stop(struct arena *arena, uint32_t hold_ms) {
    struct row *row = alloc(arena, 1, sizeof(*row));
    make_row(row, PRIMITIVE_STOP, arena, -1);
    row->hold_ms = hold_ms;
    return (struct step){.name = "stop", .verb = VERB_STOP, .rows = row, .n_rows = 1};
}

static const struct fact found[] = {{"generation", "0"}};

static const struct work_order *make_order(struct arena *arena, const struct world_config *c, uint64_t serial,
                                           unsigned i) {
    struct work_order *order = alloc(arena, 1, sizeof(*order));
    struct step *steps = alloc(arena, WORLD_STEPS, sizeof(*steps));
    struct generation *generations = alloc(arena, 2, sizeof(*generations));
    size_t n = 0;
    generations[0].mode = i < c->n_canaries ? MODE_READ_ONLY : MODE_READ_WRITE;
    generations[1].mode = MODE_READ_WRITE;
    for (unsigned g = 0; g < 2; g++) {
        generations[g].has_manifest = true;
        generations[g].manifest = (struct digest){{0x40}}; /* one release in all plans */
    }
    steps[n++] = make_step(arena, "prepare", VERB_PREPARE, -1);
    if (c->downtime) {
        steps[n++] = make_stop(arena, c->hold_ms);
        steps[n++] = (struct step){.name = "pass", .verb = VERB_PASS};
        steps[n++] = make_step(arena, "stop back", VERB_BACK, -1);
    }
    if (c->acts && i == 0) {
        steps[n++] = make_step(arena, "act backup", VERB_ACT, -1);
        steps[n++] = make_step(arena, "restore backup", VERB_BACK, -1);
    }
    if (c->acts && i == 1) {
        steps[n++] = make_step(arena, "act format", VERB_ACT, -1);
    }
    steps[n++] = c->downtime ? make_step(arena, "start", VERB_START, GATE_NEW)
                             : make_step(arena, "switch", VERB_SWITCH, GATE_NEW);
    if (i < c->n_canaries)
        steps[n++] = make_step(arena, "promote", VERB_PROMOTE, GATE_NEW);
    steps[n++] = make_step(arena, "return", VERB_REVERT, GATE_OLD);
    steps[n++] = make_step(arena, "open delay", VERB_ACT, -1);
    steps[n++] = make_step(arena, "close delay", VERB_ACT, -1);
    *order = (struct work_order){
        .format = 1,
        .cluster = "shop",
        .serial = serial,
        .member = arena_format(arena, "shop/server@n%u", i + 1),
        .node = arena_format(arena, "n%u", i + 1),
        .domain = c->members_per_domain
                      ? arena_format(arena, "zone-%c", (char)('a' + i / c->members_per_domain))
                      : "",
        .self = arena_format(arena, "10.0.0.%u", i + 1),
        .way_back = c->way_back,
        .binding = found,
        .n_binding = 1,
        .generations = generations,
        .n_generations = 2,
        .steps = steps,
        .n_steps = n,
        .from_version = "1.0",
        .to_version = "1.1",
    };
    return order;
}

static struct wave make_wave(struct arena *arena, const struct world_config *c, enum wave_kind kind,
                             unsigned from, unsigned to) {
    uint32_t *members = alloc(arena, to - from, sizeof(*members));
    for (unsigned i = from; i < to; i++)
        members[i - from] = i;
    return (struct wave){
        .name = wave_kind_text(kind),
        .kind = kind,
        .members = members,
        .n_members = to - from,
        .limit_count = c->limit ? c->limit : 1,
        .limit_percent = c->limit_percent,
        .one_domain = c->one_domain,
        .has_last = c->has_last && kind == WAVE_ROLLING,
        .last = gate_digest(GATE_LAST),
        .soak_read_only_ms = c->soak_read_only_ms,
        .soak_ms = c->soak_ms,
        .wait_limit_ms = c->wait_limit_ms,
    };
}

static void make_gates(struct verified_plan *plan, const struct world_config *c) {
    struct gate *gates = alloc(plan->arena, WORLD_GATES, sizeof(*gates));
    struct digest *digests = alloc(plan->arena, WORLD_GATES, sizeof(*digests));
    for (unsigned g = 0; g < WORLD_GATES; g++) {
        gates[g] = (struct gate){
            .name = world_gate_names[g],
            .scope = g == GATE_CLUSTER || g == GATE_RECOVERED ? GATE_SCOPE_CLUSTER : GATE_SCOPE_MEMBER,
            .detection_ms = c->detection_ms,
            .evidence_age_ms = 1000,
        };
        digests[g] = gate_digest((enum world_gate)g);
    }
    plan->gates = gates;
    plan->gate_digests = digests;
    plan->n_gates = WORLD_GATES;
}

static struct wave make_act(struct arena *arena, const struct world_config *c, enum wave_kind kind,
                            const char *name, unsigned carrier) {
    struct wave wave = make_wave(arena, c, kind, carrier, carrier + 1);
    wave.name = name;
    return wave;
}

static void make_downtime(struct shape *shape, struct wave *waves, struct arena *arena,
                          const struct world_config *c) {
    size_t n = 0;
    waves[n++] = make_wave(arena, c, WAVE_STOP, 0, c->n_members);
    if (c->acts)
        waves[n++] = make_act(arena, c, WAVE_ACT, "act backup", 0);
    waves[n++] = make_wave(arena, c, WAVE_PASS, 0, c->n_members);
    if (c->acts)
        waves[n++] = make_act(arena, c, WAVE_ACT, "act format", 1);
    waves[n++] = make_wave(arena, c, WAVE_START, 0, c->n_members);
    if (c->restores)
        waves[n++] = make_act(arena, c, WAVE_BACK, "restore backup", 0);
    shape->n_waves = n;
}

static void make_shape(struct verified_plan *plan, const struct world_config *c) {
    struct arena *arena = plan->arena;
    struct shape *shape = &plan->shape;
    struct wave *waves = alloc(arena, 6, sizeof(*waves));
    if (c->downtime)
        make_downtime(shape, waves, arena, c);
    if (c->n_canaries > 0)
        waves[shape->n_waves++] = make_wave(arena, c, WAVE_CANARY, 0, c->n_canaries);
    if (c->n_members > c->n_canaries && !c->downtime)
        waves[shape->n_waves++] = make_wave(arena, c, WAVE_ROLLING, c->n_canaries, c->n_members);
    shape->waves = waves;
    struct digest *asked = alloc(arena, 2, sizeof(*asked));
    asked[0] = gate_digest(GATE_CLUSTER);
    asked[1] = gate_digest(GATE_RECOVERED);
    shape->may_stop = &asked[0];
    shape->n_may_stop = 1;
    shape->recovered = &asked[1];
    shape->n_recovered = 1;
    struct side_action *side = alloc(arena, 1, sizeof(*side));
    *side = (struct side_action){"delay", "open delay", "close delay", "0", "600", 8000};
    shape->side_actions = side;
    shape->n_side_actions = c->side_action ? 1 : 0;
}

struct verified_plan *world_plan_make(const struct world_config *c, uint64_t serial) {
    struct verified_plan *plan = calloc(1, sizeof(*plan));
    if (!plan || !(plan->arena = arena_new(64 << 20)))
        abort();
    plan->signed_by_enough = true;
    plan->digest = (struct digest){{0x20, (uint8_t)serial}};
    plan->header = (struct header){
        .cluster = "shop",
        .serial = serial,
        .from_version = "1.0",
        .to_version = "1.1",
        .not_before_s = c->not_before_s,
        .not_after_s = c->not_after_s ? c->not_after_s : 1000000,
    };
    const struct work_order **orders = alloc(plan->arena, c->n_members, sizeof(*orders));
    for (unsigned i = 0; i < c->n_members; i++)
        orders[i] = make_order(plan->arena, c, serial, i);
    plan->orders = orders;
    plan->n_orders = c->n_members;
    make_gates(plan, c);
    make_shape(plan, c);
    if (c->amend)
        c->amend(plan);
    return plan;
}
