/* Why one change each: every document here is signed by those who may sign it, and passes but for one thing. */
#include "common/plan/check.h"
#include "tests/unit/plan_fixture.h"
#include "tests/unit/test.h"

#include <signal.h>

/* A plan as the planner makes it: prepare, switch, return, and one side action. */
struct world {
    struct plan_fixture f;
    struct row stage, switch_rows[5], return_rows[4], act;
    struct step steps[5];
    struct argument words[2];
    struct command command;
    struct config_op op;
    struct render render;
    struct lease lease;
    struct side_action action;
    struct sample sample;
};

static void rows_init(struct world *w) {
    const struct row stop = {.primitive = PRIMITIVE_STOP, .signal = SIGTERM, .on_failure = ON_FAILURE_RETURN};
    const struct row swap = {.primitive = PRIMITIVE_SWAP, .generation = 1},
                     start = {.primitive = PRIMITIVE_START, .generation = 1},
                     observe = {.primitive = PRIMITIVE_OBSERVE, .generation = 1};
    w->stage = (struct row){.primitive = PRIMITIVE_STAGE, .generation = 1};
    w->act = (struct row){.primitive = PRIMITIVE_RUN, .command = &w->command, .done_if = &w->f.check};
    const struct row forth[] = {
        {.primitive = PRIMITIVE_ASK, .gates = &w->f.gate_digest, .n_gates = 1}, stop, swap, start, observe};
    memcpy(w->switch_rows, forth, sizeof(forth));
    const struct row back[] = {stop, swap, start, observe};
    memcpy(w->return_rows, back, sizeof(back));
    for (size_t i = 1; i < 4; i++)
        w->return_rows[i].generation = 0;
}

static void world_init(struct world *w) {
    *w = (struct world){0};
    plan_fixture_init(&w->f);
    rows_init(w);
    w->words[0].text = "/opt/store/bin/store";
    w->words[1] = (struct argument){.found = 2, .has_found = true};
    w->command = (struct command){.arguments = w->words, .n_arguments = 2, .deadline_ms = 1000};
    w->op = (struct config_op){.kind = CONFIG_SET, .key = "port", .value = "7101"};
    w->render = (struct render){.path = "conf/store.conf", .name = "store.conf", .ops = &w->op, .n_ops = 1};
    w->f.generation.render = &w->render;
    w->f.generation.arguments = w->words;
    w->f.generation.n_arguments = 2;
    w->steps[0] = (struct step){"prepare", VERB_PREPARE, &w->stage, 1};
    w->steps[1] = (struct step){"switch", VERB_SWITCH, w->switch_rows, 5};
    w->steps[2] = (struct step){"return", VERB_REVERT, w->return_rows, 4};
    w->steps[3] = (struct step){"open delay", VERB_ACT, &w->act, 1};
    w->steps[4] = (struct step){"close delay", VERB_ACT, &w->act, 1};
    w->lease = (struct lease){.name = "delay",
                              .close_step = "close delay",
                              .previous = "0",
                              .ours = "600",
                              .ttl_ms = 1000,
                              .delta_ms = 10,
                              .rank = 3};
    w->f.order.steps = w->steps;
    w->f.order.n_steps = 5;
    w->f.order.leases = &w->lease;
    w->f.order.n_leases = 1;
    w->action = (struct side_action){.name = "delay",
                                     .open_step = "open delay",
                                     .close_step = "close delay",
                                     .previous = "0",
                                     .ours = "600",
                                     .ttl_ms = 1000};
    w->f.shape.side_actions = &w->action;
    w->f.shape.n_side_actions = 1;
    w->sample = (struct sample){
        .source = w->f.probe, .target = "h:1", .per_object = 1, .limit = 2, .minimum = 1, .timeout_ms = 5};
}

static int order_judge(struct world *w, struct error *err) {
    struct verified_order *order = NULL;
    int r = order_verify(&w->f.context, &w->f.claim, &order, err);
    verified_order_free(order);
    return r;
}

static int plan_judge(struct world *w, struct error *err) {
    struct verified_plan *plan = NULL;
    int r = plan_verify(&w->f.anchors, buffer_bytes(&w->f.file_bytes), &plan, err);
    verified_plan_free(plan);
    return r;
}

/* What is changed, and what both doors then say; `plan_only` is nothing that a node sees. */
#define CHANGE(name) static void name(struct world *w)
CHANGE(other_cluster) {
    w->f.order.member = "d/store@n1";
}
CHANGE(climbing_member) {
    w->f.order.member = "c/../x@n1";
}
CHANGE(nameless_member) {
    w->f.order.member = "c/store";
}
CHANGE(other_serial) {
    w->f.order.serial = 8;
}
CHANGE(other_system) {
    w->f.order.system = "kv";
}
CHANGE(other_version) {
    w->f.header.to_version = "9.9.9";
}
CHANGE(generation_version) {
    w->f.generation.version = "1.2.0";
}
CHANGE(relative_program) {
    w->words[0].text = "store";
}
CHANGE(empty_word) {
    w->words[1].has_found = false;
}
CHANGE(double_word) {
    w->words[1].text = "x";
}
CHANGE(config_path) {
    w->render.name = "../store.conf";
}
CHANGE(config_dots) {
    w->render.name = "..";
}
CHANGE(config_injection) {
    w->op.value = "1\nadmin=true";
}
CHANGE(config_valueless) {
    w->op.value = NULL;
}
CHANGE(no_rows) {
    w->steps[0].n_rows = 0;
}
CHANGE(far_generation) {
    w->switch_rows[2].generation = 2;
}
CHANGE(other_start) {
    w->switch_rows[3].generation = 0;
    w->switch_rows[4].generation = 0;
}
CHANGE(unseen_start) {
    w->switch_rows[4].generation = 0;
}
CHANGE(return_forth) {
    w->return_rows[1].generation = 1;
}
CHANGE(stop_in_prepare) {
    w->steps[0].rows = &w->switch_rows[1];
}
CHANGE(start_in_act) {
    w->steps[3].rows = &w->switch_rows[3];
}
CHANGE(no_signal) {
    w->switch_rows[1].signal = 0;
}
CHANGE(no_command) {
    w->act.command = NULL;
}
CHANGE(no_words) {
    w->command.n_arguments = 0;
}
CHANGE(stray_command) {
    w->switch_rows[1].command = &w->command;
}
CHANGE(stray_gates) {
    w->switch_rows[1].gates = &w->f.gate_digest;
    w->switch_rows[1].n_gates = 1;
}
CHANGE(no_gates) {
    w->switch_rows[0].n_gates = 0;
}
CHANGE(no_sample) {
    w->switch_rows[0].sample = SAMPLE_CAPTURE;
}
CHANGE(empty_gate) {
    w->f.gate.n_checks = 0;
}
CHANGE(nobody_asked) {
    w->f.check.probe.target = NULL;
}
CHANGE(command_probe) {
    w->f.check.probe.kind = PROBE_COMMAND;
}
CHANGE(greedy_sample) {
    w->sample.minimum = 3;
    w->f.gate.sample = &w->sample;
}
CHANGE(lease_switch) {
    w->lease.close_step = "switch";
}
CHANGE(lease_nothing) {
    w->lease.close_step = "shut delay";
}
CHANGE(lease_long) {
    w->lease.delta_ms = 24 * 3600 * 1000;
    w->lease.rank = 16384;
}
CHANGE(lease_never) {
    w->lease.ttl_ms = 0;
}
CHANGE(two_steps) {
    w->steps[4].name = "open delay";
    w->lease.close_step = "open delay";
    w->action.close_step = "open delay";
}
CHANGE(backward_time) {
    w->f.header.not_before_s = w->f.header.not_after_s + 1;
}
CHANGE(wave_limit) {
    w->f.wave.limit_count = 0;
}
CHANGE(wave_member) {
    w->f.wave_member = 1;
}
CHANGE(wave_last) {
    w->f.wave.has_last = true;
}
CHANGE(wave_budgets) {
    static const struct budget twice[] = {{BUDGET_FAILED, 1, 0}, {BUDGET_FAILED, 2, 0}};
    w->f.wave.budgets = twice;
    w->f.wave.n_budgets = 2;
}
CHANGE(action_step) {
    w->action.open_step = "switch";
}

CHANGE(finalize_with_a_way_back) {
    w->steps[3].verb = VERB_FINALIZE;
}
CHANGE(finalize_that_stops) {
    w->f.order.way_back = WAY_BACK_NEVER;
    w->steps[1].verb = VERB_FINALIZE;
}
CHANGE(finalize_undecidable) {
    w->f.order.way_back = WAY_BACK_NEVER;
    w->steps[3].verb = VERB_FINALIZE;
    w->act.done_if = NULL;
}

static const struct {
    void (*change)(struct world *w);
    const char *says;
    bool plan_only;
} changes[] = {
    {other_cluster, "\"d/store@n1\" is not one of cluster c", false},
    {climbing_member, "is not CLUSTER/NAME@NODE", false},
    {nameless_member, "is not CLUSTER/NAME@NODE", false},
    {other_serial, "name different plans", false},
    {other_system, "the release is for store, the member is kv", false},
    {other_version, "the release is 1.1.0, the plan says 9.9.9", false},
    {generation_version, "generation 1: it calls release 1.1.0 1.2.0", false},
    {relative_program, "it would run \"store\", expected an absolute path", false},
    {empty_word, "argument 2 is neither", false},
    {double_word, "argument 2 is neither", false},
    {config_path, "is not a plain name", false},
    {config_dots, "is not a plain name", false},
    {config_injection, "the value of \"port\" has several lines", false},
    {config_valueless, "a change of \"port\" says too little", false},
    {no_rows, "step prepare: it has no rows", false},
    {far_generation, "step switch: row 3: swap: it names generation 2 of 1", false},
    {other_start, "row 4: it starts generation 0 where 1 was swapped in", false},
    {unseen_start, "step switch: generation 1 is started and not observed", false},
    {return_forth, "step return: row 2: revert leads to generation 1", false},
    {stop_in_prepare, "step prepare: row 1: stop interrupts, which prepare must not", false},
    {start_in_act, "step open delay: row 1: start interrupts, which act must not", false},
    {finalize_with_a_way_back, "step open delay finalizes, but the way back is", false},
    {finalize_that_stops, "step switch: row 2: stop interrupts, which finalize must not", false},
    {finalize_undecidable, "step open delay finalizes, but says not when that is done", false},
    {no_signal, "row 2: stop: it has no signal", false},
    {no_command, "run: it has no command", false},
    {no_words, "run: it has no command", false},
    {stray_command, "stop: it has a command, which only run can have", false},
    {stray_gates, "stop: it has gates, which only ask can have", false},
    {no_gates, "row 1: ask: it has no gate", false},
    {no_sample, "row 1: ask: none of its gates has a sample", false},
    {empty_gate, "gate answers: it asks nothing", false},
    {nobody_asked, "gate answers: it has nobody to ask", false},
    {command_probe, "gate answers: it has no command", false},
    {greedy_sample, "gate answers: its sample keeps 3 to 2 objects", false},
    {lease_switch, "lease delay is closed by \"switch\", which is no act", false},
    {lease_nothing, "lease delay is closed by \"shut delay\"", false},
    {lease_long, "lease delay ends after", false},
    {lease_never, "lease delay ends after", false},
    {two_steps, "step open delay stands twice", false},
    {backward_time, "the plan ends before it may begin", false},
    {wave_limit, "limit 0", true},
    {wave_member, "wave roll names work order 1 of 1", true},
    {wave_last, "a gate that finds who goes last was not sent", true},
    {wave_budgets, "roll has two budgets of \"failed\"", true},
    {action_step, "side action delay: member c/store@n1 has no act \"switch\"", true},
};

TEST("F25 a plan as the planner makes it passes both doors") {
    struct world w;
    struct error err = {""};
    world_init(&w);
    plan_fixture_sign(&w.f);
    check_eq_int(order_judge(&w, &err), 0);
    check_eq_int(plan_judge(&w, &err), 0);
    check_eq_str(err.text, "");
    plan_fixture_deinit(&w.f);
}

TEST("F25 what makes no sense is refused, whoever signed it") {
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct world w;
        struct error at_node = {""}, at_plan = {""};
        world_init(&w);
        changes[i].change(&w);
        plan_fixture_sign(&w.f);
        int r = order_judge(&w, &at_node);
        check(changes[i].plan_only ? r == 0 : r < 0 && r != -ENOMEM);
        check(plan_judge(&w, &at_plan) < 0);
        if (!changes[i].plan_only)
            check_contains(at_node.text, changes[i].says);
        check_contains(at_plan.text, changes[i].says);
        plan_fixture_deinit(&w.f);
    }
}

TEST("F25 what passed the door needs nothing of what it came in") {
    struct world w;
    struct error err = {""};
    struct verified_order *order = NULL;
    char step[] = "switch";
    world_init(&w);
    plan_fixture_sign(&w.f);
    w.f.claim.step = step;
    struct digest *path = calloc(w.f.n_path, sizeof(*path));
    require(path && order_verify(&w.f.context, &w.f.claim, &order, &err) == 0);
    free(path);
    struct buffer *parts[] = {&w.f.order_bytes, &w.f.gate_bytes, &w.f.manifest_blob, &w.f.header_blob};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        memset(parts[i]->data, 0xee, parts[i]->len);
    memset(step, 'x', strlen(step));
    struct digest gate_digest = w.f.gate_digest;
    plan_fixture_deinit(&w.f);
    memset(&w, 0xee, sizeof(w));

    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    check_eq_int(codec_encode(&work_order_codec, order->order, &bytes, &err), 0);
    struct digest digest = digest_of(buffer_bytes(&bytes));
    check(digest_equal(&digest, &order->order_digest));
    check_eq_str(order->step->name, "switch");
    check_eq_str(order->header.author, "alice");
    check_eq_str(order->manifest->components[0].files[0].path, "bin/store");
    check(verified_order_gate(order, &gate_digest) == &order->gates[0]);
    digest = digest_of(order->gate_bytes[0]);
    check(digest_equal(&digest, &gate_digest));
    verified_order_free(order);
}

TEST("A12 parts of two plans with one serial do not fit together") {
    struct world a, b;
    struct error err = {""};
    world_init(&a);
    world_init(&b);
    b.f.operator_key = a.f.operator_key;
    b.f.release_key = a.f.release_key;
    b.f.node_key = a.f.node_key;
    b.f.order.node_key = a.f.node_key.public;
    b.f.order.role = "other";
    b.f.manifest.serial = 3;
    b.f.gate.evidence_age_ms = 5;
    plan_fixture_sign(&a.f);
    plan_fixture_sign(&b.f);
    require(order_judge(&a, &err) == 0);
    const struct order_claim whole = a.f.claim;
    const struct {
        struct order_claim claim;
        const char *says;
    } mixes[] = {
        {{.header = b.f.claim.header}, "not part of the plan that was signed"},
        {{.work_order = b.f.claim.work_order}, "not part of the plan that was signed"},
        {{.path = b.f.path}, "not part of the plan that was signed"},
        {{.manifest = b.f.claim.manifest}, "manifest is not the one that the plan names"},
        {{.gates = b.f.claim.gates}, "a gate that it asks was not sent"},
    };
    b.f.path[0].b[0] ^= 1; /* both have the same shape beside them */
    for (size_t i = 0; i < ARRAY_LEN(mixes); i++) {
        const struct order_claim *mix = &mixes[i].claim;
        a.f.claim = whole;
        a.f.claim.header = mix->header.data ? mix->header : whole.header;
        a.f.claim.work_order = mix->work_order.data ? mix->work_order : whole.work_order;
        a.f.claim.path = mix->path ? mix->path : whole.path;
        a.f.claim.manifest = mix->manifest.data ? mix->manifest : whole.manifest;
        a.f.claim.gates = mix->gates ? mix->gates : whole.gates;
        check(order_judge(&a, &err) < 0);
        check_contains(err.text, mixes[i].says);
    }
    plan_fixture_deinit(&a.f);
    plan_fixture_deinit(&b.f);
}

TEST("A14 the shape of a plan is no work order, nor is a node of its tree") {
    struct world w;
    struct error err = {""};
    world_init(&w);
    plan_fixture_sign(&w.f);
    struct digest leaf = merkle_leaf(w.f.order_view);
    struct digest none = {{0}};
    check(!merkle_check(leaf, 0, 0, NULL, 0, &none));
    check(!merkle_check(leaf, 0, 1, NULL, 0, &w.f.header.root));
    const uint32_t leaves[] = {0, 2, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(leaves); i++) {
        w.f.claim.leaf = leaves[i];
        check_eq_int(order_judge(&w, &err), -EPERM);
        check_contains(err.text, "not part of the plan");
    }
    w.f.claim.leaf = 1;
    w.f.claim.n_path = 0;
    check_eq_int(order_judge(&w, &err), -EPERM);
    w.f.claim.leaf = 0; /* leaf 0 with its true path, work order and shape changed places */
    w.f.path[0] = leaf;
    w.f.claim.n_path = 1;
    w.f.claim.work_order = buffer_bytes(&w.f.shape_bytes);
    check(order_judge(&w, &err) < 0);
    plan_fixture_deinit(&w.f);
}

TEST("A8 the edges of time, and that only what began passes them") {
    struct world w;
    struct error err = {""};
    world_init(&w);
    w.f.header.not_before_s = w.f.context.now_s;
    plan_fixture_sign(&w.f);
    const uint64_t first = w.f.header.not_before_s, last = w.f.claim.expires_s;
    const struct {
        uint64_t now_s;
        int r;
    } edges[] = {{first - 1, -ESTALE}, {first, 0}, {last, 0}, {last + 1, -ESTALE}, {UINT64_MAX, -ESTALE}};
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        w.f.context.now_s = edges[i].now_s;
        w.f.context.began = false;
        check_eq_int(order_judge(&w, &err), edges[i].r);
        w.f.context.began = true;
        check_eq_int(order_judge(&w, &err), 0);
    }
    plan_fixture_deinit(&w.f);
}

TEST("F25 an order that could not be sent is refused before anybody signs it") {
    struct world w;
    struct error err = {""};
    world_init(&w);
    plan_fixture_sign(&w.f);
    struct gate_set set = {&w.f.gate, &w.f.gate_view, &w.f.gate_digest, 1};
    check_eq_int(order_size_check(&w.f.order, &set, KEDGE_MESSAGE_BYTES_MAX - 8192, &err), 0);
    check_eq_int(order_size_check(&w.f.order, &set, KEDGE_MESSAGE_BYTES_MAX - 4096, &err), -EBADMSG);
    check_contains(err.text, "1048576 can travel");
    struct digest digests[KEDGE_GATES_MAX + 1];
    struct bytes views[KEDGE_GATES_MAX + 1];
    struct gate gates[KEDGE_GATES_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
        digests[i] = (struct digest){{(uint8_t)i}};
        views[i] = w.f.gate_view;
        gates[i] = w.f.gate;
    }
    set = (struct gate_set){gates, views, digests, ARRAY_LEN(digests)};
    w.f.gate_digest = digests[1];
    struct row more[2] = {w.switch_rows[0], w.switch_rows[0]};
    more[1].gates = digests;
    more[1].n_gates = KEDGE_GATES_MAX;
    w.steps[1].rows = more;
    w.steps[1].n_rows = 2;
    check_eq_int(order_size_check(&w.f.order, &set, 0, &err), 0);
    more[0].gates = &digests[KEDGE_GATES_MAX];
    check_eq_int(order_size_check(&w.f.order, &set, 0, &err), -EBADMSG);
    check_contains(err.text, "more than 64 gates");
    plan_fixture_deinit(&w.f);
}

/* ---- charters ---- */

struct charter_world {
    struct plan_fixture f;
    struct roster_entry roster[2];
    struct mode_gate mode;
    struct charter_member members[2];
    struct charter charter;
};

static void charter_init(struct charter_world *w) {
    *w = (struct charter_world){0};
    plan_fixture_init(&w->f);
    plan_fixture_sign(&w->f);
    w->roster[0] = (struct roster_entry){"n1", w->f.node_key.public, ""};
    w->roster[1] = (struct roster_entry){"n2", w->f.operator_key.public, ""};
    w->mode = (struct mode_gate){MODE_READ_WRITE, w->f.gate_digest};
    const char *names[] = {"c/store@n2", "c/store@n1"}, *nodes[] = {"n2", "n1"};
    for (size_t i = 0; i < 2; i++)
        w->members[i] = (struct charter_member){.name = names[i],
                                                .role = "store",
                                                .node = nodes[i],
                                                .self = "s",
                                                .port = 7101,
                                                .process = "store",
                                                .release_match = "x",
                                                .modes = &w->mode,
                                                .n_modes = 1,
                                                .gates = &w->f.gate_digest,
                                                .n_gates = 1};
    w->charter = (struct charter){.format = 1,
                                  .cluster = "c",
                                  .system = "store",
                                  .serial = 1,
                                  .roster = w->roster,
                                  .n_roster = 2,
                                  .members = w->members,
                                  .n_members = 2,
                                  .gates = &w->f.gate_view,
                                  .n_gates = 1,
                                  .cluster_gates = &w->f.gate_digest,
                                  .n_cluster_gates = 1};
}

static int charter_judge(struct charter_world *w, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0}, file = {0};
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    if (codec_encode(&charter_codec, &w->charter, &bytes, err) < 0)
        return 1;
    struct signed_blob blob = {.context = TRUST_OPERATOR_CHARTER, .bytes = buffer_bytes(&bytes)};
    if (signed_blob_sign(&blob, &w->f.operator_key, err) < 0)
        return 1;
    signed_blob_encode(&file, &blob);
    const struct charter *charter;
    return charter_verify(&w->f.anchors, &w->f.node_key.public, buffer_bytes(&file), arena, &charter, err);
}

TEST("F25 a charter is whole in itself, or refused") {
    static const char *const says[] = {
        "",
        "node n1 stands twice",
        "nodes n1 and n2 have the same key",
        "member c/store@n1 stands twice",
        "member c/store@n2: node n3 is not in the roster",
        "\"d/store@n2\" is not one of cluster c",
        "member c/store@n2: a gate that it asks was not sent with it",
        "a gate that tells its mode was not sent with it",
        "a gate that is about the cluster was not sent with it",
        "this node's key is not in the roster",
    };
    for (size_t i = 0; i < ARRAY_LEN(says); i++) {
        struct charter_world w;
        struct error err = {""};
        struct digest other = {{1}};
        charter_init(&w);
        switch (i) {
        case 1: w.roster[1].node = "n1"; break;
        case 2: w.roster[1].key = w.roster[0].key; break;
        case 3: w.members[0].name = "c/store@n1"; break;
        case 4: w.members[0].node = "n3"; break;
        case 5: w.members[0].name = "d/store@n2"; break;
        case 6: w.members[0].gates = &other; break;
        case 7: w.mode.gate = other; break;
        case 8: w.charter.cluster_gates = &other; break;
        case 9: w.roster[0].key = w.f.release_key.public; break;
        default: break;
        }
        check_eq_int(charter_judge(&w, &err) < 0, i > 0);
        if (i > 0)
            check_contains(err.text, says[i]);
        else
            check_eq_str(err.text, "");
        plan_fixture_deinit(&w.f);
    }
}
