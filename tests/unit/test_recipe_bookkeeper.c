#include "tests/unit/test.h"

#include "coordinator/recipes/resolve.h"
#include "coordinator/recipes/version.h"
#include "tests/unit/bookkeeper_world.h"

#include <string.h>

static struct verified_plan *planned(struct world *w) {
    if (!check_eq_int(world_plan(w), 0)) {
        for (size_t i = 0; i < w->result.n_problems; i++)
            printf("# problem: %s\n", w->result.problems[i].says);
        for (size_t i = 0; i < w->result.n_warnings; i++)
            printf("# warning: %s: %s\n", w->result.warnings[i].name, w->result.warnings[i].says);
        return NULL;
    }
    return world_verify(w);
}

static const struct gate *gate_of(const struct verified_plan *plan, const char *name) {
    for (size_t i = 0; i < plan->n_gates; i++)
        if (strcmp(plan->gates[i].name, name) == 0)
            return &plan->gates[i];
    return NULL;
}

TEST("F16: the auditor's bookie is not the canary and goes last, by a question that is the same for all") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan && plan->shape.n_waves == 2);
    check_eq_str(plan->orders[0]->member, "bk-test/bookie@n3");
    check_eq_str(plan->orders[3]->member, "bk-test/bookie@n4");
    const struct wave *rolling = &plan->shape.waves[1];
    require(rolling->has_last);
    const struct gate *auditor = verified_plan_gate(plan, &rolling->last);
    require(auditor && auditor->n_checks == 2);
    check_eq_int(auditor->checks[0].probe.kind, PROBE_ZK_FIRST);
    check(auditor->checks[1].exclude_self);
    for (size_t i = 0; i < 4; i++) {
        bool asked = false;
        for (size_t k = 0; k < w->charter.members[i].n_gates; k++)
            asked = asked || digest_equal(&w->charter.members[i].gates[k], &rolling->last);
        check(asked);
    }
    static const char *const vote[] = {"127.0.0.1:3184"};
    check_eq_int(check_judge(&auditor->checks[1], vote, 1, "127.0.0.1:3184").answer, ANSWER_YES);
    check_eq_int(check_judge(&auditor->checks[1], vote, 1, "127.0.0.1:3181").answer, ANSWER_NO);
}

TEST("F18: the canary starts read-only by its flag, then without it, and proves a write") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct generation *g = plan->orders[0]->generations;
    check_eq_int(g[0].n_arguments, 10);
    check_eq_str(g[0].arguments[9].text, "-readOnly");
    check_eq_int(g[1].n_arguments, 9);
    const struct step *promote = work_order_step(plan->orders[0], "promote");
    require(promote && promote->n_rows == 8);
    const struct row *run = &promote->rows[7];
    check_eq_int(run->primitive, PRIMITIVE_RUN);
    check_eq_str(run->command->arguments[0].text, "/usr/lib/jvm/java-17-openjdk-amd64/bin/java");
    check_eq_str(run->command->arguments[4].text, "n3/current/lib/*:log");
    check_eq_str(run->command->arguments[8].text, "bookiesanity");
    const struct step *to_read_only = work_order_step(plan->orders[0], "switch");
    require(to_read_only);
    check_eq_int(to_read_only->rows[to_read_only->n_rows - 1].primitive, PRIMITIVE_ASK);
}

TEST("the class path leads to both layouts of a release; folders, secrets and other words stay") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct generation *g = &plan->orders[1]->generations[0];
    static const char path[] = "/var/lib/kedge-agent/members/bk-test_bookie_n1/current";
    char want[512];
    snprintf(want, sizeof(want), "%s/release/*:%s/release/lib/*:log", path, path);
    check_eq_str(g->arguments[0].text, "/usr/lib/jvm/java-17-openjdk-amd64/bin/java");
    check_eq_str(g->arguments[5].text, want);
    check(g->arguments[3].has_found && g->arguments[6].has_found);
    check_eq_str(g->render->path, "n1/bk.conf");
    check_eq_str(g->render->name, "bk.conf");
    check_eq_int(g->render->n_ops, 0);
    /* As Kedge started it, once more: the same line. */
    world_fact(w, 0, "argument.5", want);
    verified_plan_freep(&plan);
    plan = planned(w);
    require(plan);
    check_eq_str(plan->orders[1]->generations[0].arguments[5].text, want);
    world_fact(w, 0, "argument.5", "/opt/classes");
    check_eq_int(world_plan(w), PLANNER_REFUSED);
    check(world_objects(w, "bookie@n1: the argument after -cp is \"/opt/classes\"; no part of it lies where "
                           "the recipe expects the release"));
}

TEST("stop: SIGTERM and 90 s, since an auditor's was seen to take 32") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct step *step = work_order_step(plan->orders[3], "switch");
    require(step && step->n_rows > 1);
    const struct row *stop = &step->rows[1];
    check_eq_int(stop->primitive, PRIMITIVE_STOP);
    check_eq_int(stop->signal, 15);
    check_eq_int(stop->deadline_ms, 90000);
}

TEST("F01: without this bookie enough others are writable; the node of the read-only ones is not counted") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct gate *writable = gate_of(plan, "writable");
    require(writable);
    check_eq_int(writable->checks[0].count, 3);
    check_eq_str(writable->checks[0].probe.match, "^(.+:[0-9]+)$");
    static const char *const items[] = {"127.0.0.1:3181", "127.0.0.1:3182", "127.0.0.1:3183"};
    struct verdict verdict = check_judge(&writable->checks[0], items, 3, "127.0.0.1:3183");
    check_eq_int(verdict.answer, ANSWER_NO);
    check_eq_str(verdict.reason, "without it 2 bookies are writable, the clients need 3");
}

TEST("F02: nothing is called replicated while nobody watches, and yes is held longer than a session lasts") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct gate *gate = gate_of(plan, "nothing-under-replicated");
    require(gate && gate->n_checks == 3);
    check_eq_int(gate->detection_ms, 5000);
    static const char *const disabled[] = {"/ledgers/underreplication/disable"}, *const ledger[] = {"7"};
    check_eq_int(check_judge(&gate->checks[0], disabled, 1, "").answer, ANSWER_UNKNOWN);
    check_eq_int(check_judge(&gate->checks[1], NULL, 0, "").answer, ANSWER_UNKNOWN);
    check_eq_int(check_judge(&gate->checks[2], ledger, 1, "").answer, ANSWER_NO);
}

TEST("the proof of life asks for entries as the old protocol does, of ledgers in both layouts") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    const struct gate *gate = gate_of(plan, "entries-read-back");
    require(gate && gate->sample);
    const struct sample *sample = gate->sample;
    static const char request[] = "\0\0\0\x14\x02\x02\0\0{o}{e}";
    check_eq_int(sample->request.len, sizeof(request) - 1);
    check_eq_mem(sample->request.data, request, sizeof(request) - 1);
    check_eq_int(sample->answer.len, 4 * 3 + 8 + 4 * 3 + 36 * 3); /* 36 bytes that are not compared */
    check_eq_mem(sample->answer.data, "\xff??", 3);
    check_eq_str(sample->source.match, "^(/ledgers/([0-9]+/)*L[0-9]+)$");
    check_eq_int(sample->n_filter_any, 2);
    check_eq_mem(sample->filter_any[1].data, "\x28\x03\x32", 3);
    check_eq_int(sample->limit, 40);
    check_eq_int(sample->minimum, 20);
}

TEST("recovery: a delay that was longer before is left alone; off takes the gate that would lie out of the "
     "plan") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_str(plan->shape.side_actions[0].name, "recovery-delay");
    check_eq_str(plan->shape.side_actions[0].ours, "60");
    check_eq_str(plan->shape.side_actions[0].previous, "0");
    const struct step *open = work_order_step(plan->orders[0], "open recovery-delay");
    const struct step *close = work_order_step(plan->orders[0], "close recovery-delay");
    require(open && close);
    check_eq_str(open->rows[0].command->arguments[0].text, "/usr/libexec/kedge/kedge-znode");
    check_eq_str(open->rows[0].command->arguments[3].text, "60");
    check_eq_str(close->rows[0].command->arguments[3].text,
                 "0"); /* which BookieShell of 4.16.6 does not take */
    /* Absent and the previous value are both "closed"; ours is not. */
    static const char *const ours[] = {"60"}, *const before[] = {"0"};
    const struct check *closed = close->rows[0].done_if;
    check_eq_int(check_judge(closed, NULL, 0, "").answer, ANSWER_YES);
    check_eq_int(check_judge(closed, before, 1, "").answer, ANSWER_YES);
    check_eq_int(check_judge(closed, ours, 1, "").answer, ANSWER_NO);
    plan = verified_plan_free(plan);
    world_answer(w, "value:recovery-delay", ANSWER_NO, "86400");
    plan = planned(w);
    require(plan);
    check_eq_int(plan->shape.n_side_actions, 0);
    plan = verified_plan_free(plan);
    static const struct fact off = {"recovery", "off"};
    static const char *const consents[] = {"nobody-watches"};
    w->input.options.choices = &off;
    w->input.options.n_choices = 1;
    check_eq_int(world_plan(w), PLANNER_REFUSED);
    world_consents(w, consents, 1);
    plan = planned(w);
    require(plan);
    check(!gate_of(plan, "nothing-under-replicated"));
    check(gate_of(plan, "in-force:autorecovery-off"));
    check_eq_str(plan->shape.side_actions[0].previous, "enabled");
    plan = verified_plan_free(plan);
}

TEST("F24: configurations that would fail or mislead are refused with their sentence") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    world_fact(w, 0, "config.readOnlyModeEnabled", "false");
    world_fact(w, 1, "config.bookiePort", "3999");
    world_fact(w, 2, "config.zkTimeout", "10000");
    world_unfact(w, 3, "config.zkTimeout");
    check_eq_int(world_plan(w), PLANNER_REFUSED);
    check(world_objects(w,
                        "bookie@n1: readOnlyModeEnabled is false in n1/bk.conf, so a read-only start fails"));
    check(world_objects(
        w, "bookie@n2: the cluster file says port 3182, bookiePort in n2/bk.conf says otherwise"));
    check(world_objects(
        w, "bookie@n3: the cluster file says zk-timeout 5s, zkTimeout in n3/bk.conf says otherwise"));
    check(world_objects(
        w, "bookie@n4: n4/bk.conf sets no zkTimeout, so it is 10 s, but the cluster file says 5s"));
    check_eq_int(w->result.n_problems, 4);
}

TEST("F24: the configuration that 4.5.1 ships needs a consent that says what will happen") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    w->input.options.config = PLANNER_CONFIG_RELEASE;
    w->input.shipped = bytes_of_text("bookiePort=3181\n");
    check_eq_int(world_plan(w), PLANNER_REFUSED);
    check(world_objects(
        w, "shipped-configuration-does-not-start: 4.5.1's own bk_server.conf names a statsProviderClass"));
    static const char *const consents[] = {"shipped-configuration", "shipped-configuration-does-not-start"};
    world_consents(w, consents, 2);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_str(plan->orders[0]->generations[0].render->ops[0].key, "journalDirectory");
}

TEST("F22, F23: 4.5 to 4.16 has no way back after the first start, the main class moves, and the page can "
     "say why") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.16.6");
    struct verified_plan *plan = planned(w);
    require(plan);
    check_eq_int(plan->orders[0]->way_back, WAY_BACK_UNTIL_START);
    check_contains(plan->shape.point_of_no_return, "journal format 6");
    check_eq_str(plan->orders[0]->generations[0].arguments[6].text, "org.apache.bookkeeper.server.Main");
    plan = verified_plan_free(plan);
    static const struct fact old = {"formats", "old"};
    static const char *const consents[] = {"old-formats-stay"};
    w->input.options.choices = &old;
    w->input.options.n_choices = 1;
    world_consents(w, consents, 1);
    plan = planned(w);
    require(plan);
    check_eq_int(plan->orders[0]->way_back, WAY_BACK_UNTIL_FINALIZE);
    const struct render *render = plan->orders[0]->generations[0].render;
    check_eq_int(render->n_ops, 2);
    check_eq_str(render->ops[0].key, "journalFormatVersionToWrite");
    check_eq_str(render->ops[0].value, "5");
    plan = verified_plan_free(plan);
}

static enum way_back way_back_of(struct world *w, const char *from, const char *to, size_t *n_rows,
                                 int *found) {
    struct scope scope;
    struct version_path path = {0};
    struct error err;
    if (cluster_scope_make(w->arena, w->cluster, NULL, 0, &scope, &err) < 0)
        abort();
    *found = version_path_find(w->recipe, from, to, &scope, w->arena, &path);
    *n_rows = path.n_rows;
    return path.verdict == VERSION_ALLOWED ? path.way_back : WAY_BACK_NEVER;
}

TEST("F23: the version rows, pair by pair") {
    _cleanup_(world_freep) struct world *w = bookkeeper_world("4.5.1");
    static const struct {
        const char *from, *to;
        int found;
        size_t n_rows;
        enum way_back way_back;
    } pairs[] = {
        {"4.5.0", "4.5.1", 0, 1, WAY_BACK_UNTIL_FINALIZE},
        {"4.5.1", "4.5.0", 0, 1, WAY_BACK_UNTIL_FINALIZE},
        {"4.5.1", "4.16.6", 0, 1, WAY_BACK_UNTIL_START},
        {"4.16.6", "4.17.3", 0, 1, WAY_BACK_UNTIL_FINALIZE},
        {"4.17.3", "4.16.6", 0, 1, WAY_BACK_UNTIL_FINALIZE},
        {"4.6.2", "4.12.1", 0, 6, WAY_BACK_UNTIL_START},
        {"4.10.0", "4.14.8", 0, 1, WAY_BACK_UNTIL_FINALIZE},
        {"4.9.2", "4.10.0", 0, 1, WAY_BACK_UNTIL_FINALIZE},
        {"4.2.4", "4.5.0", 0, 1, WAY_BACK_NEVER},
        {"4.18.0", "4.17.3", 0, 1, WAY_BACK_NEVER},
        {"4.9.0", "4.8.2", VERSION_NO_PATH, 0, WAY_BACK_UNTIL_FINALIZE},
        {"4.5.0", "5.0.0", VERSION_NO_PATH, 0, WAY_BACK_UNTIL_FINALIZE},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        size_t n;
        int found;
        enum way_back way_back = way_back_of(w, pairs[i].from, pairs[i].to, &n, &found);
        bool right = check_eq_int(found, pairs[i].found) && check_eq_int(n, pairs[i].n_rows) &&
                     check_eq_int(way_back, pairs[i].way_back);
        if (!right)
            printf("# pair %s -> %s\n", pairs[i].from, pairs[i].to);
    }
}
