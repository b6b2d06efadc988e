/* Why a failure's consequence stands in every row: what an agent does when nobody can be asked was decided, and signed,
 * before anything was stopped. Before the stop a failure ends the step; after it the way leads back; where data may have
 * been lost nothing is promoted and nothing is called reverted, the member is held. */
#include "coordinator/planner/planning.h"

#include <string.h>

enum {
    STAGE_DEADLINE_MS = 15 * 60 * 1000,
    RENDER_DEADLINE_MS = 30 * 1000,
    ASK_DEADLINE_MS = 10 * 1000,   /* may it stop: asked once more, not waited for */
    PROOF_DEADLINE_MS = 60 * 1000, /* after the start: mode, proof of life */
    SWAP_DEADLINE_MS = 10 * 1000,
};

struct rows {
    struct row list[KEDGE_ROWS_MAX];
    size_t n;
};

struct making {
    struct planning *p;
    const struct member_plan *m;
    const struct digest *stop_gates; /* may-stop and, unless the member is broken, its proof of life */
    size_t n_stop_gates;
    const struct digest *proof; /* one digest, or NULL */
    struct start_limits limits;
    const struct digest *gates_by_mode[MODES];
    size_t n_gates_by_mode[MODES];
};

/* ---- gates ---- */

static int member_gate(struct planning *p, const struct member_plan *m, const struct recipe_gate *gate,
                       struct digest *outp) {
    struct gate resolved;
    int r = gate_resolve(p->arena, gate, &m->own, NULL, 0, &resolved, p->err);
    if (r == 0)
        r = gate_set_add(&p->gates, &resolved, outp, p->err);
    return r < 0 ? fail(p, r) : 0;
}

/* The gate of the mode, then those that are asked after every start. */
static int mode_gates_make(struct making *making, const struct recipe_mode *mode) {
    struct planning *p = making->p;
    const struct recipe_role *role = making->m->member->role;
    struct digest *list = keep(p, 1 + role->n_after_start, sizeof(*list));
    size_t n = 0;
    int r = list ? member_gate(p, making->m, mode->gate, &list[n++]) : p->failed;
    for (size_t i = 0; r == 0 && i < role->n_after_start; i++)
        if (when_holds(&role->after_start[i].when, &making->m->facts))
            r = member_gate(p, making->m, role->after_start[i].gate, &list[n++]);
    making->gates_by_mode[mode->mode] = list;
    making->n_gates_by_mode[mode->mode] = n;
    return r;
}

static int gates_make(struct making *making) {
    struct planning *p = making->p;
    const struct member_plan *m = making->m;
    const struct recipe_role *role = m->member->role;
    struct digest *stop = keep(p, p->n_may_stop + 1, sizeof(*stop)), *proof = keep(p, 1, sizeof(*proof));
    int r = stop && proof ? 0 : p->failed;
    for (size_t i = 0; r == 0 && i < role->n_modes; i++)
        r = mode_gates_make(making, &role->modes[i]);
    if (r < 0)
        return r;
    memcpy(stop, p->may_stop, p->n_may_stop * sizeof(*stop));
    making->stop_gates = stop;
    making->n_stop_gates = p->n_may_stop;
    /* Who was down or without a mode has shown nothing that could be asked for again. */
    if (!role->proof || m->part == PART_BROKEN)
        return 0;
    r = member_gate(p, m, role->proof, proof);
    stop[making->n_stop_gates++] = *proof;
    making->proof = proof;
    return r;
}

/* ---- rows ---- */

static struct row *row_add(struct rows *rows, enum primitive primitive, uint32_t deadline_ms,
                           enum on_failure on_failure) {
    struct row *row = &rows->list[rows->n++];
    *row = (struct row){.primitive = primitive, .deadline_ms = deadline_ms, .on_failure = on_failure};
    return row;
}

static void ask_add(struct rows *rows, const struct digest *gates, size_t n, uint32_t deadline_ms,
                    enum sample_use sample, enum on_failure on_failure) {
    if (n == 0)
        return;
    struct row *row = row_add(rows, PRIMITIVE_ASK, deadline_ms, on_failure);
    row->gates = gates;
    row->n_gates = n;
    row->sample = sample;
}

/* May it stop, and what will be asked of it after; then the stop. */
static void stop_add(const struct making *making, struct rows *rows, enum on_failure on_failure) {
    const struct recipe_role *role = making->m->member->role;
    ask_add(rows, making->stop_gates, making->n_stop_gates, ASK_DEADLINE_MS,
            making->proof ? SAMPLE_CAPTURE : SAMPLE_NONE, ON_FAILURE_STOP);
    row_add(rows, PRIMITIVE_STOP, role->stop_deadline_ms, on_failure)->signal = role->signal;
}

static void start_add(const struct making *making, struct rows *rows, uint32_t generation, enum mode mode,
                      enum on_failure on_failure) {
    const struct start_limits *limits = &making->limits;
    row_add(rows, PRIMITIVE_SWAP, SWAP_DEADLINE_MS, on_failure)->generation = generation;
    struct row *start = row_add(rows, PRIMITIVE_START, limits->deadline_ms, on_failure);
    start->deadline_why = limits->why;
    struct row *observe = row_add(rows, PRIMITIVE_OBSERVE, limits->deadline_ms, on_failure);
    start->generation = observe->generation = generation;
    start->hard_cap_ms = observe->hard_cap_ms = limits->cap_ms;
    start->progress = observe->progress = making->m->member->role->progress;
    ask_add(rows, making->gates_by_mode[mode], making->n_gates_by_mode[mode], PROOF_DEADLINE_MS, SAMPLE_NONE,
            on_failure);
    ask_add(rows, making->proof, making->proof ? 1 : 0, PROOF_DEADLINE_MS, SAMPLE_COMPARE, ON_FAILURE_HOLD);
}

static int commands_add(const struct making *making, struct rows *rows) {
    const struct recipe_role *role = making->m->member->role;
    for (size_t i = 0; i < role->n_after_promote; i++) {
        const struct recipe_command *command = &role->after_promote[i];
        if (!when_holds(&command->when, &making->m->facts))
            continue;
        struct row *row = row_add(rows, PRIMITIVE_RUN, command->deadline_ms, ON_FAILURE_RETURN);
        int r = command_make(making->p, command, &making->m->facts, making->m, &row->command);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- steps ---- */

static int step_add(const struct making *making, struct work_order *order, const char *name, enum verb verb,
                    const struct rows *rows) {
    struct step *steps = (struct step *)(uintptr_t)order->steps;
    struct row *list = keep(making->p, rows->n, sizeof(*list));
    if (!list)
        return making->p->failed;
    memcpy(list, rows->list, rows->n * sizeof(*list));
    steps[order->n_steps++] = (struct step){name, verb, list, rows->n};
    return 0;
}

static int prepare_add(const struct making *making, struct work_order *order) {
    struct rows rows = {.n = 0};
    for (size_t i = 0; i < order->n_generations; i++) {
        if (order->generations[i].has_manifest)
            row_add(&rows, PRIMITIVE_STAGE, STAGE_DEADLINE_MS, ON_FAILURE_STOP)->generation = (uint32_t)i + 1;
        row_add(&rows, PRIMITIVE_RENDER, RENDER_DEADLINE_MS, ON_FAILURE_STOP)->generation = (uint32_t)i + 1;
    }
    return step_add(making, order, "prepare", VERB_PREPARE, &rows);
}

static int change_add(const struct making *making, struct work_order *order, const char *name, enum verb verb,
                      uint32_t generation) {
    struct rows rows = {.n = 0};
    enum mode mode = order->generations[generation - 1].mode;
    if (!making->m->is_down || verb == VERB_PROMOTE)
        stop_add(making, &rows, ON_FAILURE_RETURN);
    start_add(making, &rows, generation, mode, ON_FAILURE_RETURN);
    int r = mode == MODE_READ_WRITE ? commands_add(making, &rows) : 0;
    return r < 0 ? r : step_add(making, order, name, verb, &rows);
}

/* The halves. Nobody's may-stop is asked: that everything goes down is what is signed. */
static int halves_add(const struct making *making, struct work_order *order) {
    const struct recipe_role *role = making->m->member->role;
    struct rows stop = {.n = 0}, pass = {.n = 0}, start = {.n = 0}, back = {.n = 0};
    ask_add(&stop, making->proof, making->proof ? 1 : 0, PROOF_DEADLINE_MS, SAMPLE_CAPTURE, ON_FAILURE_STOP);
    struct row *row = row_add(&stop, PRIMITIVE_STOP, role->stop_deadline_ms, ON_FAILURE_RETURN);
    row->signal = role->signal;
    row->hold_ms = making->p->input->options.hold_ms;
    struct row *down_again = row_add(&back, PRIMITIVE_STOP, role->stop_deadline_ms, ON_FAILURE_HOLD);
    down_again->signal = role->signal;
    down_again->hold_ms = row->hold_ms;
    start_add(making, &start, 1, order->generations[0].mode, ON_FAILURE_HOLD);
    int r = order->generations[0].mode == MODE_READ_WRITE ? commands_add(making, &start) : 0;
    if (r == 0)
        r = step_add(making, order, "stop", VERB_STOP, &stop);
    if (r == 0)
        r = step_add(making, order, "pass", VERB_PASS, &pass);
    if (r == 0)
        r = step_add(making, order, "start", VERB_START, &start);
    return r < 0 ? r : step_add(making, order, "stop back", VERB_BACK, &back);
}

static int actions_add(const struct making *making, struct work_order *order) {
    struct planning *p = making->p;
    struct step *steps = (struct step *)(uintptr_t)order->steps;
    int r = 0;
    for (size_t i = 0; r == 0 && is_downtime(p) && i < p->recipe->n_actions; i++)
        if (action_is_carried(p, &p->recipe->actions[i], making->m))
            r = action_step_make(p, making->m, &p->recipe->actions[i], &steps[order->n_steps++]);
    return r;
}

static int return_add(const struct making *making, struct work_order *order) {
    struct rows rows = {.n = 0};
    const struct member_plan *m = making->m;
    if (is_downtime(making->p)) { /* it is down already: nothing is to be asked */
        const struct recipe_role *role = m->member->role;
        row_add(&rows, PRIMITIVE_STOP, role->stop_deadline_ms, ON_FAILURE_HOLD)->signal = role->signal;
    } else {
        stop_add(making, &rows, ON_FAILURE_HOLD);
    }
    start_add(making, &rows, 0, m->part == PART_BROKEN ? m->end_mode : m->mode, ON_FAILURE_HOLD);
    return step_add(making, order, "return", VERB_REVERT, &rows);
}

/* Nothing is staged and nothing is stopped; that all is well is asked before the act and after it. */
static int finalize_add(const struct making *making, struct work_order *order) {
    enum mode mode = making->m->mode;
    const struct digest *gates = making->gates_by_mode[mode];
    size_t n_gates = making->n_gates_by_mode[mode];
    struct rows prepare = {.n = 0}, rows = {.n = 0};
    ask_add(&prepare, gates, n_gates, PROOF_DEADLINE_MS, SAMPLE_NONE, ON_FAILURE_STOP);
    ask_add(&rows, gates, n_gates, ASK_DEADLINE_MS, SAMPLE_NONE, ON_FAILURE_STOP);
    const struct recipe_finalize *finalize = making->p->recipe->finalize;
    struct row *run =
        row_add(&rows, PRIMITIVE_RUN, finalize ? finalize->act.deadline_ms : 0, ON_FAILURE_STOP);
    int r = finalize_row_make(making->p, making->m, run);
    ask_add(&rows, gates, n_gates, PROOF_DEADLINE_MS, SAMPLE_NONE, ON_FAILURE_STOP);
    if (r == 0)
        r = step_add(making, order, "prepare", VERB_PREPARE, &prepare);
    return r < 0 ? r : step_add(making, order, "switch", VERB_FINALIZE, &rows);
}

static int sides_add(const struct making *making, struct work_order *order) {
    struct planning *p = making->p;
    struct step *steps = (struct step *)(uintptr_t)order->steps;
    int r = 0;
    for (size_t i = 0; r == 0 && i < p->n_sides; i++) {
        r = side_step_make(p, making->m, &p->sides[i], true, &steps[order->n_steps++]);
        if (r == 0)
            r = side_step_make(p, making->m, &p->sides[i], false, &steps[order->n_steps++]);
    }
    return r;
}

static int steps_make(const struct making *making, struct work_order *order, bool read_only_first) {
    struct planning *p = making->p;
    order->steps = keep(p, 6 + 2 * p->n_sides + p->recipe->n_actions, sizeof(*order->steps));
    if (order->steps && is_finalize(p)) {
        int failed = finalize_add(making, order);
        return failed < 0 ? failed : return_add(making, order);
    }
    int r = order->steps ? prepare_add(making, order) : p->failed;
    if (r == 0)
        r = is_downtime(p) ? halves_add(making, order) : change_add(making, order, "switch", VERB_SWITCH, 1);
    if (r == 0 && read_only_first)
        r = change_add(making, order, "promote", VERB_PROMOTE, 2);
    if (r == 0)
        r = return_add(making, order);
    if (r == 0)
        r = actions_add(making, order);
    return r < 0 ? r : sides_add(making, order);
}

/* ---- the rest of the order ---- */

/* What the agent compares before its first change, in a fixed order. */
static int binding_make(struct planning *p, const struct member_plan *m, struct work_order *order) {
    static const char *const names[] = {
        "adopted",    "arguments", "config.digest",  "config.path",     "directory",     "environment.digest",
        "executable", "finalized", "found",          "generation",      "managed",       "member.path",
        "mode",       "origin",    "release.folder", "release.version", "releases.path", "socket",
        "user"};
    size_t n_arguments = strtoul(fact_of(m, "arguments"), NULL, 10), n = 0;
    struct fact *binding = keep(p, ARRAY_LEN(names) + n_arguments, sizeof(*binding));
    if (!binding)
        return p->failed;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = fact_get(m->in->facts, m->in->n_facts, names[i]);
        if (value)
            binding[n++] = (struct fact){names[i], value};
    }
    for (size_t i = 0; i < n_arguments; i++) {
        const char *name = keep_format(p, "argument.%zu", i),
                   *value = fact_get(m->in->facts, m->in->n_facts, name);
        if (value && !strstr(value, "****"))
            binding[n++] = (struct fact){name, value};
    }
    order->binding = binding;
    order->n_binding = n;
    return p->failed;
}

static int leases_make(struct planning *p, size_t rank, struct work_order *order) {
    struct lease *leases = keep(p, p->n_sides, sizeof(*leases));
    if (!leases)
        return p->failed;
    for (size_t i = 0; i < p->n_sides; i++) {
        const struct side_plan *side = &p->sides[i];
        leases[i] = (struct lease){.name = side->action->name,
                                   .close_step = side->close_step,
                                   .previous = side->previous,
                                   .ours = side->ours,
                                   .ttl_ms = side->ttl_ms,
                                   .delta_ms = side->delta_ms,
                                   .rank = (uint32_t)rank,
                                   .on_loss = side->action->on_loss};
    }
    order->leases = leases;
    order->n_leases = p->n_sides;
    return 0;
}

static int generations_make(struct planning *p, const struct member_plan *m, bool read_only_first,
                            struct work_order *order) {
    struct generation *generations = keep(p, 2, sizeof(*generations));
    int r = generations ? 0 : p->failed;
    if (r == 0 && read_only_first)
        r = generation_plan(p, m, MODE_READ_ONLY, &generations[order->n_generations++]);
    if (r == 0)
        r = generation_plan(p, m, m->end_mode, &generations[order->n_generations++]);
    order->generations = generations;
    return r;
}

int order_make(struct planning *p, size_t index, struct work_order *outp) {
    const struct member_plan *m = p->order[index];
    struct making making = {.p = p, .m = m};
    bool read_only_first =
        m->part == PART_CANARY && m->member->role->n_read_only > 0 && m->end_mode == MODE_READ_WRITE;
    *outp = (struct work_order){.format = 1,
                                .cluster = p->input->cluster->name,
                                .serial = p->input->options.serial,
                                .member = m->member->full_name,
                                .role = m->member->role->name,
                                .node = m->member->node,
                                .node_key = m->node->key,
                                .domain = m->member->domain,
                                .system = p->recipe->name,
                                .self = m->member->self,
                                .end_mode = m->end_mode,
                                .way_back = is_finalize(p) ? WAY_BACK_NEVER : m->path.way_back,
                                .from_version = m->from_version,
                                .to_version = p->to_version};
    int r = gates_make(&making);
    if (r == 0)
        r = start_limits_make(p, m, &making.limits);
    if (r == 0 && !is_finalize(p))
        r = generations_make(p, m, read_only_first, outp);
    if (r == 0)
        r = steps_make(&making, outp, read_only_first);
    if (r == 0)
        r = binding_make(p, m, outp);
    return r < 0 ? r : leases_make(p, index, outp);
}
