/* Why not the planner: the simulator wants shapes that no recipe has, thousands a second, and no signatures. */
#include "tests/sim/sim_plan.h"

#include "common/plan/output.h"
#include "coordinator/rehearsal/rehearsal.h"

#include "common/base/limits.h"
#include "coordinator/rehearsal/rehearsal.h"

#include <stdlib.h>
#include <string.h>

enum gate_number {
    GATE_MAY_STOP,
    GATE_RECOVERED,
    GATE_OLD,
    GATE_NEW,
    GATE_LAST,
    GATE_SAMPLE,
    GATE_IN_FORCE, /* one for each side action */
    GATE_COUNT = GATE_IN_FORCE + SIM_SIDES
};
static const char *const gate_names[GATE_COUNT] = {"writable",       "replicated",     "old-alive",
                                                   "new-alive",      "leader",         "reads-back",
                                                   "in-force:delay", "in-force:freeze"};

/* What the second one finds in force is no number. */
static const struct {
    const char *name, *open, *close, *ours, *previous;
} sides[SIM_SIDES] = {{"delay", "open delay", "close delay", "600", NULL},
                      {"freeze", "open freeze", "close freeze", "frozen", "moving"}};

enum { WIDER = 740 /* the first draw of draw_wider() */, RELEASES = 760 /* of the two about releases */ };

static void *keep(struct arena *arena, size_t n, size_t size) {
    void *p = arena_array(arena, n ? n : 1, size);
    if (!p)
        abort();
    return p;
}

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (x ^ (x >> 31)) >> 3;
}

/* Half of the plans have the default budgets; the others allow some of each kind, or none. */
static void draw_budgets(struct sim_shape *s, uint64_t r) {
    static const struct budget run[][2] = {
        {{BUDGET_FAILED, 1, 0}, {BUDGET_UNREACHABLE, 0, 0}},
        {{BUDGET_FAILED, KEDGE_MEMBERS_MAX, 34}, {BUDGET_HELD, 1, 0}},
        {{BUDGET_FAILED, 0, 0}, {BUDGET_SKIPPED, 0, 0}},
        {{BUDGET_FAILED, 2, 50}, {BUDGET_UNREACHABLE, KEDGE_MEMBERS_MAX, 25}},
    };
    if (r % 2 == 0)
        return;
    memcpy(s->budgets, run[r / 2 % 4], sizeof(run[0]));
    s->n_budgets = 2;
    if (r / 32 % 2)
        s->budgets[s->n_budgets++] = (struct budget){BUDGET_QUARANTINED, 1, 0};
    s->has_wave_budget = r / 8 % 2 == 0;
    s->wave_budget = (struct budget){BUDGET_FAILED, (uint32_t)(r / 16 % 2), 0};
}

/* Most are small, where every interleaving is met; some have a hundred members, and a rare one more than a thousand. */
static unsigned members_of(uint64_t small, uint64_t large) {
    if (large % 16384 == 0)
        return 1000 + (unsigned)(small % 100);
    if (large % 96 == 0)
        return 30 + (unsigned)(small % 71);
    return 2 + (unsigned)(small % 7);
}

static uint64_t draw(uint64_t seed, unsigned number) {
    return mix(seed * 0x9e3779b97f4a7c15u + number * 0xd1342543de82ef95u + 1);
}

/* A quarter of the seeds; by a number that leaves all seeds as they were that had been kept before there were these. */
static void draw_wider(struct sim_shape *s, uint64_t seed) {
    uint64_t goal = draw(seed, WIDER + 1), many = draw(seed, WIDER + 2);
    if (draw(seed, WIDER) % 4 != 0)
        return;
    if (!s->downtime && goal % 3 == 0)
        s->goal = goal / 3 % 2 ? SIM_RESTART : SIM_FINALIZE;
    if (s->goal == SIM_FINALIZE) {
        s->n_canaries = s->n_sides = 0;
        s->way_back = WAY_BACK_NEVER;
        return;
    }
    s->n_sides = s->downtime ? 0 : (unsigned)(many % 3);
    s->in_force = many / 3 % 4 != 0;
    if (draw(seed, WIDER + 15) % 2 &&
        s->n_members <= 8) { /* one may fail, and none when somebody is gone for good */
        s->budgets[0] = (struct budget){BUDGET_FAILED, KEDGE_MEMBERS_MAX, (99 + s->n_members) / s->n_members};
        s->n_budgets = 1;
    }
    if (s->one_domain && many / 12 % 2) { /* large domains: a whole one is down at once */
        s->limit = 2 + (unsigned)(many / 24 % 4);
        s->members_per_domain = 2 + (unsigned)(many / 96 % 3);
        s->limit_percent = many / 288 % 3 ? 0 : 60;
    }
}

static struct sim_shape shape_draw(uint64_t seed) {
    uint64_t r[21];
    for (unsigned i = 0; i < 21; i++)
        r[i] = draw(seed, i);
    unsigned limit = 1 + (unsigned)(r[1] % 3), n = members_of(r[0], r[18]);
    bool domains = r[2] % 2 == 0;
    if (n > 8)
        limit = 1 + n / 8;
    bool downtime = r[19] % 8 == 0;
    return (struct sim_shape){
        .downtime = downtime,
        .acts = r[20] % 2 == 0,
        .hold_ms = 15000 + 1000 * (uint32_t)(r[20] / 2 % 60),
        .n_members = n,
        .n_canaries = downtime || r[3] % 3 == 0 ? 0 : 1 + (unsigned)(r[3] % 7 == 0 && n > 3),
        .limit = limit,
        .limit_percent = r[4] % 3 == 0 ? 40 : 0,
        .members_per_domain = domains ? (n > 8 ? n / 5 : 1) + (unsigned)(r[2] % 3) : 0,
        .n_roles = r[13] % 3 == 0 ? 2 + (unsigned)(r[13] % 2) : 1,
        .n_clusters = downtime || n > 8 || r[14] % 8 ? 1 : 2 + (unsigned)(r[14] % 3 == 0),
        .n_plans = r[15] % 3 ? 4 : 2,
        .depends = r[16] % 2 == 0,
        .one_release = draw(seed, RELEASES) % 2 == 0,
        .releases = (uint32_t)draw(seed, RELEASES + 1),
        .one_domain = domains && r[5] % 2 == 0,
        .has_last = !downtime && r[6] % 2 == 0,
        .n_sides = !downtime && r[7] % 3 != 0,
        .sample = r[8] % 2 == 0,
        .soak_ms = r[9] % 3 == 0 ? 0 : 400,
        .soak_read_only_ms = r[9] % 5 == 0 ? 0 : 300,
        .detection_ms = r[10] % 3 == 0 ? 0 : 200,
        .wait_limit_ms = 5000,
        .previous = (unsigned)(r[12] % 600),
        .way_back = downtime          ? WAY_BACK_CLUSTER
                    : r[17] % 16 == 0 ? WAY_BACK_NEVER
                    : r[17] % 16 == 1 ? WAY_BACK_CLUSTER
                    : r[11] % 4 == 0  ? WAY_BACK_UNTIL_START
                    : r[11] % 4 == 1  ? WAY_BACK_UNTIL_PROMOTION
                                      : WAY_BACK_UNTIL_FINALIZE,
    };
}

struct sim_shape sim_shape_of(uint64_t seed) {
    struct sim_shape shape = shape_draw(seed);
    draw_budgets(&shape, draw(seed, 12));
    shape.return_on_abort = draw(seed, 22) % 2;
    draw_wider(&shape, seed);
    return shape;
}

static struct digest gate_digest(enum gate_number gate) {
    return (struct digest){{0x10, (uint8_t)gate}};
}

struct rows {
    struct arena *arena;
    struct row list[16];
    size_t n;
};

static struct row *add(struct rows *rows, enum primitive primitive, uint32_t generation,
                       enum on_failure on_failure) {
    struct row *row = &rows->list[rows->n++];
    *row = (struct row){.primitive = primitive, .generation = generation, .on_failure = on_failure};
    return row;
}

static struct row *ask(struct rows *rows, enum gate_number a, int b, enum on_failure on_failure) {
    struct digest *gates = keep(rows->arena, 2, sizeof(*gates));
    struct row *row = add(rows, PRIMITIVE_ASK, 0, on_failure);
    gates[0] = gate_digest(a);
    row->gates = gates;
    row->n_gates = 1;
    if (b >= 0)
        gates[row->n_gates++] = gate_digest((enum gate_number)b);
    row->deadline_ms = on_failure == ON_FAILURE_STOP ? 10000 : 20000;
    return row;
}

static struct step step_of(const struct rows *rows, const char *name, enum verb verb) {
    struct row *list = keep(rows->arena, rows->n, sizeof(*list));
    for (size_t i = 0; i < rows->n; i++)
        list[i] = rows->list[i];
    return (struct step){name, verb, list, rows->n};
}

static struct step change(struct arena *arena, const struct sim_shape *s, const char *name, enum verb verb,
                          uint32_t generation) {
    struct rows rows = {.arena = arena};
    enum on_failure bad = verb == VERB_REVERT ? ON_FAILURE_HOLD : ON_FAILURE_RETURN;
    ask(&rows, GATE_MAY_STOP, s->sample ? GATE_SAMPLE : -1, ON_FAILURE_STOP)->sample =
        s->sample ? SAMPLE_CAPTURE : SAMPLE_NONE;
    add(&rows, PRIMITIVE_STOP, 0, bad)->deadline_ms = 8000;
    add(&rows, PRIMITIVE_SWAP, generation, bad);
    struct row *start = add(&rows, PRIMITIVE_START, generation, bad);
    start->deadline_ms = 10000;
    start->hard_cap_ms = 20000;
    add(&rows, PRIMITIVE_OBSERVE, generation, bad);
    ask(&rows, verb == VERB_REVERT ? GATE_OLD : GATE_NEW, -1, bad);
    if (s->sample)
        ask(&rows, GATE_SAMPLE, -1, ON_FAILURE_HOLD)->sample = SAMPLE_COMPARE;
    return step_of(&rows, name, verb);
}

/* Nothing is stopped; what is asked before the act is asked after it. */
static struct step finalize(struct arena *arena) {
    struct rows rows = {.arena = arena};
    ask(&rows, GATE_OLD, -1, ON_FAILURE_STOP);
    struct row *row = add(&rows, PRIMITIVE_RUN, 0, ON_FAILURE_STOP);
    row->command = keep(arena, 1, sizeof(struct command));
    row->done_if = keep(arena, 1, sizeof(struct check));
    ask(&rows, GATE_OLD, -1, ON_FAILURE_STOP);
    return step_of(&rows, "switch", VERB_FINALIZE);
}

/* The halves of a downtime, as the planner makes them. */
static struct step half(struct arena *arena, const struct sim_shape *s, const char *name, enum verb verb) {
    struct rows rows = {.arena = arena};
    if (verb == VERB_STOP && s->sample)
        ask(&rows, GATE_SAMPLE, -1, ON_FAILURE_STOP)->sample = SAMPLE_CAPTURE;
    if (verb == VERB_STOP || verb == VERB_BACK || verb == VERB_REVERT) {
        struct row *row =
            add(&rows, PRIMITIVE_STOP, 0, verb == VERB_STOP ? ON_FAILURE_RETURN : ON_FAILURE_HOLD);
        row->deadline_ms = 8000;
        row->hold_ms = verb == VERB_REVERT ? 0 : s->hold_ms;
    }
    if (verb == VERB_START || verb == VERB_REVERT) {
        uint32_t generation = verb == VERB_START;
        add(&rows, PRIMITIVE_SWAP, generation, ON_FAILURE_HOLD);
        struct row *start = add(&rows, PRIMITIVE_START, generation, ON_FAILURE_HOLD);
        start->deadline_ms = 10000;
        start->hard_cap_ms = 20000;
        add(&rows, PRIMITIVE_OBSERVE, generation, ON_FAILURE_HOLD);
        ask(&rows, verb == VERB_REVERT ? GATE_OLD : GATE_NEW, -1, ON_FAILURE_HOLD);
        if (s->sample)
            ask(&rows, GATE_SAMPLE, -1, ON_FAILURE_HOLD)->sample = SAMPLE_COMPARE;
    }
    return step_of(&rows, name, verb);
}

static struct step act(struct arena *arena, const char *name, enum verb verb) {
    struct rows rows = {.arena = arena};
    add(&rows, PRIMITIVE_RUN, 0, ON_FAILURE_STOP)->command = keep(arena, 1, sizeof(struct command));
    return step_of(&rows, name, verb);
}

/* A backup, which says where it is. */
static struct step backup(struct arena *arena) {
    static const struct capture path = {"path", "(.+)", ".+"};
    struct step step = act(arena, "act backup", VERB_ACT);
    struct row *row = (struct row *)(uintptr_t)step.rows;
    row->captures = &path;
    row->n_captures = 1;
    return step;
}

/* What needs to know where the backup is, that the first member makes. */
static struct step taker(struct arena *arena, const char *name, enum verb verb, const char *cluster) {
    struct step step = act(arena, name, verb);
    struct command *command = (struct command *)(uintptr_t)step.rows[0].command;
    struct argument *words = keep(arena, 2, sizeof(*words));
    struct output_use *use = keep(arena, 1, sizeof(*use));
    *use = (struct output_use){.member = arena_format(arena, "%s/server@n1", cluster),
                               .step = "act backup",
                               .name = "path",
                               .allowed = ".+"};
    words[0].text = "/bin/act";
    words[1].output = use;
    *command = (struct command){.arguments = words, .n_arguments = 2};
    return step;
}

static struct step prepare(struct arena *arena, const struct sim_shape *s) {
    struct rows rows = {.arena = arena};
    if (s->goal == SIM_FINALIZE)
        ask(&rows, GATE_OLD, -1, ON_FAILURE_STOP);
    if (s->goal == SIM_UPGRADE)
        add(&rows, PRIMITIVE_STAGE, 1, ON_FAILURE_STOP);
    if (s->goal != SIM_FINALIZE)
        add(&rows, PRIMITIVE_RENDER, 1, ON_FAILURE_STOP);
    return step_of(&rows, "prepare", VERB_PREPARE);
}

/* The command says what is put in force, as the planner resolves it. */
static struct step side(struct arena *arena, const char *name, const char *value) {
    struct rows rows = {.arena = arena};
    struct check *done = keep(arena, 1, sizeof(*done));
    struct command *command = keep(arena, 1, sizeof(*command));
    struct argument *word = keep(arena, 1, sizeof(*word));
    word->text = value;
    *command = (struct command){.arguments = word, .n_arguments = 1};
    struct row *row = add(&rows, PRIMITIVE_RUN, 0, ON_FAILURE_STOP);
    row->done_if = done;
    row->command = command;
    return step_of(&rows, name, VERB_ACT);
}

static const char *previous_of(struct arena *arena, const struct sim_shape *s, unsigned side) {
    return sides[side].previous ? sides[side].previous : arena_format(arena, "%u", s->previous);
}

/* Which release a plan leads to: often the same as the one before, or as another cluster's. */
static struct digest release_of(const struct sim_shape *s, uint64_t serial) {
    uint64_t high = s->one_release ? 0 : serial / SERIALS, low = serial % SERIALS;
    return (struct digest){{0x40, (uint8_t)high, (uint8_t)(s->releases >> (2 * low) & 1)}};
}

/* Some plans were signed to try again what may have failed; the very first must never be refused. */
static void lifts(struct verified_plan *plan, const struct sim_shape *s, uint64_t serial) {
    struct digest *list = keep(plan->arena, 1, sizeof(*list));
    *list = release_of(s, serial);
    plan->header.lifts = list;
    plan->header.n_lifts = serial == 1 || (s->releases >> (2 * (serial % SERIALS) + 1) & 1);
}

static const char *const clusters[] = {"shop", "zk", "log", "mail"};

static const char *from_version(const struct sim_shape *s) {
    return s->goal == SIM_UPGRADE ? "1.0" : "1.1";
}

static const struct work_order *order(struct arena *arena, const struct sim_shape *s, uint64_t serial,
                                      unsigned i) {
    const char *cluster = clusters[serial / SERIALS % 4];
    struct work_order *o = keep(arena, 1, sizeof(*o));
    struct step *steps = keep(arena, 12, sizeof(*steps));
    struct generation *generations = keep(arena, 2, sizeof(*generations));
    struct lease *leases = keep(arena, SIM_SIDES, sizeof(*leases));
    bool canary = i < s->n_canaries;
    generations[0].mode = canary ? MODE_READ_ONLY : MODE_READ_WRITE;
    generations[1].mode = MODE_READ_WRITE;
    generations[0].has_manifest = generations[1].has_manifest = s->goal == SIM_UPGRADE;
    generations[0].manifest = generations[1].manifest = release_of(s, serial);
    size_t n = 0;
    steps[n++] = prepare(arena, s);
    if (s->goal == SIM_FINALIZE) {
        steps[n++] = finalize(arena);
    } else if (s->downtime) {
        steps[n++] = half(arena, s, "stop", VERB_STOP);
        steps[n++] = half(arena, s, "pass", VERB_PASS);
        steps[n++] = half(arena, s, "start", VERB_START);
        steps[n++] = half(arena, s, "stop back", VERB_BACK);
        steps[n++] = half(arena, s, "return", VERB_REVERT);
    } else {
        steps[n++] = change(arena, s, "switch", VERB_SWITCH, 1);
    }
    if (s->downtime && s->acts && i == 0) {
        steps[n++] = backup(arena);
        steps[n++] = taker(arena, "restore backup", VERB_BACK, cluster);
    }
    if (s->downtime && s->acts && i == 1)
        steps[n++] = taker(arena, "act format", VERB_ACT, cluster);
    if (canary)
        steps[n++] = change(arena, s, "promote", VERB_PROMOTE, 2);
    if (!s->downtime)
        steps[n++] = change(arena, s, "return", VERB_REVERT, 0);
    for (unsigned k = 0; k < s->n_sides || k == 0; k++) {
        const char *previous = previous_of(arena, s, k);
        steps[n++] = side(arena, sides[k].open, sides[k].ours);
        steps[n++] = side(arena, sides[k].close, previous);
        leases[k] = (struct lease){.name = sides[k].name,
                                   .close_step = sides[k].close,
                                   .previous = previous,
                                   .ours = sides[k].ours,
                                   .ttl_ms = 8000,
                                   .delta_ms = 2000,
                                   .rank = i,
                                   .on_loss = ON_LOSS_UNDO};
    }
    static const struct fact found[] = {{"generation", "0"}};
    *o = (struct work_order){
        .format = 1,
        .binding = found,
        .n_binding = ARRAY_LEN(found),
        .cluster = cluster,
        .serial = serial,
        .role = "server",
        .member = arena_format(arena, "%s/server@n%u", cluster, i + 1),
        .node = arena_format(arena, "n%u", i + 1),
        .domain = s->members_per_domain ? arena_format(arena, "zone-%u", i / s->members_per_domain) : "",
        .self = arena_format(arena, "10.0.0.%u", i + 1),
        .end_mode = MODE_READ_WRITE,
        .way_back = s->way_back,
        .generations = generations,
        .n_generations = s->goal == SIM_FINALIZE ? 0
                         : canary                ? 2
                                                 : 1,
        .steps = steps,
        .n_steps = n,
        .leases = leases,
        .n_leases = s->n_sides,
        .from_version = from_version(s),
        .to_version = "1.1"};
    return o;
}

/* The first plan of a cluster needs nothing that could need it: only a later one of the first cluster makes a circle. */
static void depends(struct verified_plan *plan, const struct sim_shape *s, uint64_t serial) {
    unsigned cluster = (unsigned)(serial / SERIALS);
    bool circle = cluster == 0 && serial == 3 && s->n_clusters > 1;
    const char **on = keep(plan->arena, 1, sizeof(*on));
    if (!s->depends || (cluster == 0 && !circle))
        return;
    on[0] = circle ? clusters[1] : clusters[cluster - 1];
    plan->shape.depends_on = on;
    plan->shape.n_depends_on = 1;
}

static struct wave wave(struct arena *arena, const struct sim_shape *s, enum wave_kind kind, unsigned from,
                        unsigned to) {
    uint32_t *members = keep(arena, to - from, sizeof(*members));
    for (unsigned i = from; i < to; i++)
        members[i - from] = i;
    return (struct wave){.name = kind == WAVE_CANARY ? "canary" : "rolling",
                         .kind = kind,
                         .members = members,
                         .n_members = to - from,
                         .limit_count = s->limit,
                         .limit_percent = s->limit_percent,
                         .one_domain = s->one_domain,
                         .has_last = s->has_last && kind == WAVE_ROLLING,
                         .last = gate_digest(GATE_LAST),
                         .soak_read_only_ms = s->soak_read_only_ms,
                         .soak_ms = s->soak_ms,
                         .wait_limit_ms = s->wait_limit_ms};
}

static struct wave named(struct arena *arena, const struct sim_shape *s, enum wave_kind kind,
                         const char *name, unsigned from, unsigned to) {
    struct wave w = wave(arena, s, kind, from, to);
    w.name = name;
    return w;
}

/* The action before the barrier can be undone, the one behind it has a restore. */
static size_t downtime(struct arena *arena, const struct sim_shape *s, struct wave *waves) {
    size_t n = 0;
    waves[n++] = named(arena, s, WAVE_STOP, "stop", 0, s->n_members);
    if (s->acts)
        waves[n++] = named(arena, s, WAVE_ACT, "act backup", 0, 1);
    waves[n++] = named(arena, s, WAVE_PASS, "pass", 0, s->n_members);
    if (s->acts)
        waves[n++] = named(arena, s, WAVE_ACT, "act format", 1, 2);
    waves[n++] = named(arena, s, WAVE_START, "start", 0, s->n_members);
    if (s->acts)
        waves[n++] = named(arena, s, WAVE_BACK, "restore backup", 0, 1);
    return n;
}

static void gates(struct verified_plan *plan, const struct sim_shape *s) {
    struct gate *list = keep(plan->arena, GATE_COUNT, sizeof(*list));
    struct digest *digests = keep(plan->arena, GATE_COUNT, sizeof(*digests));
    struct sample *sample = keep(plan->arena, 1, sizeof(*sample));
    for (unsigned g = 0; g < GATE_COUNT; g++) {
        list[g] = (struct gate){.name = gate_names[g],
                                .scope = g <= GATE_RECOVERED || g >= GATE_IN_FORCE ? GATE_SCOPE_CLUSTER
                                                                                   : GATE_SCOPE_MEMBER,
                                .sample = g == GATE_SAMPLE ? sample : NULL,
                                .detection_ms = s->detection_ms,
                                .evidence_age_ms = 1000};
        digests[g] = gate_digest((enum gate_number)g);
    }
    plan->gates = list;
    plan->gate_digests = digests;
    plan->n_gates = GATE_COUNT;
}

static void shape(struct verified_plan *plan, const struct sim_shape *s) {
    struct arena *arena = plan->arena;
    struct wave *waves = keep(arena, 6 + s->n_roles, sizeof(*waves));
    unsigned from = s->n_canaries, left = s->n_members - s->n_canaries;
    struct digest *asked = keep(arena, 2 + SIM_SIDES, sizeof(*asked));
    struct side_action *list = keep(arena, SIM_SIDES, sizeof(*list));
    if (s->n_canaries > 0)
        waves[plan->shape.n_waves++] = wave(arena, s, WAVE_CANARY, 0, s->n_canaries);
    if (s->downtime)
        plan->shape.n_waves = downtime(arena, s, waves);
    for (unsigned role = 0; role < s->n_roles && left > 0 && !s->downtime; role++) { /* one after the other */
        unsigned n = role + 1 == s->n_roles || left < 2 ? left : left / 2;
        waves[plan->shape.n_waves++] = wave(arena, s, WAVE_ROLLING, from, from + n);
        from += n;
        left -= n;
    }
    plan->shape.budgets = s->budgets;
    plan->shape.n_budgets = s->n_budgets;
    if (s->has_wave_budget && plan->shape.n_waves > 0) {
        waves[plan->shape.n_waves - 1].budgets = &s->wave_budget;
        waves[plan->shape.n_waves - 1].n_budgets = 1;
    }
    asked[0] = gate_digest(GATE_RECOVERED);
    asked[1] = gate_digest(GATE_MAY_STOP);
    for (unsigned k = 0; k < s->n_sides; k++) {
        asked[2 + k] = gate_digest((enum gate_number)(GATE_IN_FORCE + k));
        list[k] = (struct side_action){sides[k].name, sides[k].open, sides[k].close, previous_of(arena, s, k),
                                       sides[k].ours, 8000};
    }
    plan->shape.format = 1;
    plan->shape.strategy = "rolling";
    plan->shape.point_of_no_return = "";
    plan->shape.return_on_abort = s->return_on_abort && !s->downtime;
    plan->shape.waves = waves;
    plan->shape.recovered = &asked[0];
    plan->shape.may_stop = &asked[1];
    plan->shape.n_recovered = 1;
    plan->shape.n_may_stop = 1 + (s->in_force ? s->n_sides : 0);
    plan->shape.side_actions = list;
    plan->shape.n_side_actions = s->n_sides;
}

struct verified_plan *sim_plan(void *context, uint64_t serial) {
    const struct sim_shape *s = context;
    struct verified_plan *plan = calloc(1, sizeof(*plan));
    if (!plan || !(plan->arena = arena_new((16 << 20) + (size_t)s->n_members * 65536)))
        abort();
    plan->signed_by_enough = true;
    uint8_t high = (uint8_t)(serial / SERIALS), low = (uint8_t)(serial % SERIALS);
    plan->digest = (struct digest){{0x20, low, high}};
    plan->header = (struct header){.format = 1,
                                   .cluster = clusters[high % 4],
                                   .serial = serial,
                                   .supersedes = low > 1 ? serial - 1 : 0,
                                   .root = {{0x30, low, high}},
                                   .from_version = from_version(s),
                                   .to_version = "1.1",
                                   .author = "alice",
                                   .ticket = "",
                                   .reason = "",
                                   .not_after_s = 1000000};
    const struct work_order **orders = keep(plan->arena, s->n_members, sizeof(*orders));
    for (unsigned i = 0; i < s->n_members; i++)
        orders[i] = outputs_rekey(plan->arena, order(plan->arena, s, serial, i));
    plan->orders = orders;
    plan->n_orders = s->n_members;
    gates(plan, s);
    shape(plan, s);
    depends(plan, s, serial);
    lifts(plan, s, serial);
    return plan;
}
