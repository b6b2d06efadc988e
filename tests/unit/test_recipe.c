#include "tests/unit/test.h"

#include "coordinator/recipes/charter_build.h"
#include "coordinator/recipes/cluster_file.h"
#include "tests/unit/planner_world.h"

#include <string.h>

/* The least that is a recipe; tests put one line in place of another, or one behind it. */
static const char small[] =
    "recipe: thing\n"
    "needs-kedge: '>=0.1'\n"
    "values:\n"
    "  port: {kind: number, required: true}\n"
    "  wait: {kind: duration, default: 2s}\n"
    "options:\n"
    "  mood: {choices: [calm, bold], default: calm}\n"
    "gates:\n"
    "  up:\n"
    "    scope: member\n"
    "    checks:\n"
    "      - {probe: tcp, target: 'localhost:{port}', rule: present, otherwise: no, says: it is down}\n"
    "  many:\n"
    "    scope: cluster\n"
    "    checks:\n"
    "      - {probe: tcp, target: '{members}', rule: at-least, count: 2, otherwise: no, says: too few}\n"
    "may-stop: [many]\n"
    "roles:\n"
    "  - name: server\n"
    "    self: 'localhost:{port}'\n"
    "    port: '{port}'\n"
    "    process: thing\n"
    "    release: {from: executable, match: '^(.*-([0-9.]+))/'}\n"
    "    modes: {read-write: up}\n"
    "    start: {deadline: 5s}\n"
    "    stop: {deadline: 5s}\n"
    "versions:\n"
    "  - {from: 1.x, to: 1.x, verdict: allowed}\n";

static const char cluster[] =
    "cluster: shop\n"
    "system: thing\n"
    "values: {wait: 3s}\n"
    "groups:\n"
    "  a: {domain: zone-a, values: {wait: 4s}}\n"
    "members:\n"
    "  - {name: server@n1, role: server, node: n1, group: a, values: {port: 7101, wait: 5s}}\n"
    "  - {name: server@n2, role: server, node: n2, group: a, values: {port: 7102}}\n"
    "  - {name: server@n3, role: server, node: n3, domain: zone-b, values: {port: 7103}}\n";

/* The text with the first `old` replaced; the caller frees. */
static char *changed(const char *text, const char *old, const char *new) {
    struct buffer out = {0};
    const char *at = strstr(text, old);
    if (!at)
        abort();
    buffer_append(&out, text, (size_t)(at - text));
    buffer_text(&out, new);
    buffer_text(&out, at + strlen(old));
    return buffer_take(&out);
}

static void check_refused(const char *old, const char *new, const char *sentence) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(8 * 1024 * 1024);
    _cleanup_(freep) char *text = changed(small, old, new);
    const struct recipe *recipe;
    struct error err = {{0}};
    check_eq_int(recipe_parse(arena, "thing.yaml", bytes_of_text(text), &recipe, &err), -EINVAL);
    check_eq_str(err.text, sentence);
}

static const struct recipe *small_recipe(struct arena *arena) {
    const struct recipe *recipe = NULL;
    struct error err = {{0}};
    check_eq_int(recipe_parse(arena, "thing.yaml", bytes_of_text(small), &recipe, &err), 0);
    check_eq_str(err.text, "");
    return recipe;
}

TEST("the least recipe is one") {
    _cleanup_(arena_freep) struct arena *arena = arena_new(8 * 1024 * 1024);
    const struct recipe *recipe = small_recipe(arena);
    require(recipe);
    check_eq_str(recipe->name, "thing");
    check_eq_int(recipe->n_roles, 1);
    struct digest digest = digest_of(bytes_of_text(small));
    check(digest_equal(&digest, &recipe->digest));
}

TEST("every shipped recipe is one") {
    static const char *const paths[] = {"coordinator/recipes/bookkeeper.yaml",
                                        "coordinator/recipes/demo-store.yaml",
                                        "coordinator/recipes/generic.yaml"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(8 * 1024 * 1024);
        _cleanup_(freep) char *text = world_file(paths[i]);
        const struct recipe *recipe;
        struct error err = {{0}};
        check_eq_int(recipe_parse(arena, paths[i], bytes_of_text(text), &recipe, &err), 0);
        check_eq_str(err.text, "");
    }
}

TEST("unknown keys are refused with their place and the nearest word") {
    check_refused("    port: '{port}'\n", "    port: '{port}'\n    prot: 1\n",
                  "thing.yaml: line 22, column 5: unknown key \"prot\" in role; did you mean \"port\"? known "
                  "keys: name, self, port, "
                  "process, release, configuration, clear-arguments, instance, modes, after-start, "
                  "proof-of-life, last, start, "
                  "stop, after-promote");
}

TEST("templates: names that nobody knows, and names that are known only later") {
    check_refused("localhost:{port}', rule", "localhost:{prot}', rule",
                  "thing.yaml: line 12, column 30: {prot} is no value or option of this recipe and none of "
                  "Kedge's names");
    check_refused(
        "says: too few", "says: '{self} too few'",
        "thing.yaml: line 16, column 90: {self} is not known at this place, only later or for one member");
    check_refused("says: it is down", "says: '{executable} is down'",
                  "thing.yaml: line 12, column 86: {executable} is not known at this place, only later or "
                  "for one member");
    check_refused("default: 2s", "default: '{late}'",
                  "thing.yaml: line 5, column 35: {late} is no value or option of this recipe and none of "
                  "Kedge's names");
}

TEST("references: gates that are not there, of the wrong scope, or used by nothing") {
    check_refused("{read-write: up}", "{read-write: down}",
                  "thing.yaml: line 24, column 25: there is no gate \"down\" under `gates`");
    check_refused("{read-write: up}", "{read-write: many}",
                  "thing.yaml: line 24, column 25: gate many is about the whole cluster, here one about one "
                  "member is needed");
    check_refused("may-stop: [many]\n", "", "thing.yaml: line 13, column 3: gate many is used by nothing");
    check_refused("may-stop: [many]", "may-stop: [many, up]",
                  "thing.yaml: line 17, column 18: gate up is about one member, here one about the whole "
                  "cluster is needed");
}

TEST("checks: keys that do not belong to their probe or rule") {
    check_refused("rule: at-least, count: 2", "rule: at-least",
                  "thing.yaml: line 16, column 9: rule at-least needs `count`");
    check_refused("rule: present,", "rule: present, count: 2,",
                  "thing.yaml: line 12, column 9: only rule at-least has `count`");
    check_refused("probe: tcp, target: '{members}'", "probe: zk-get, target: '{members}'",
                  "thing.yaml: line 16, column 9: this probe needs `path`, the node that it asks");
    check_refused("probe: tcp, target: 'localhost:{port}'", "probe: tcp, target: a, match: '('",
                  "thing.yaml: line 12, column 40: not a regular expression: Unmatched ( or \\(");
    check_refused(
        "probe: tcp, target: 'localhost:{port}'", "probe: tcp, target: a, send-hex: '0x'",
        "thing.yaml: line 12, column 43: \"0x\" is not two hexadecimal digits, ?? or a place as {o}");
    check_refused("    checks:\n      - {probe: tcp, target: 'localhost",
                  "    detection: soon\n    checks:\n      - {probe: tcp, target: 'localhost",
                  "thing.yaml: line 11, column 16: \"soon\" is no duration as 5s or {value}");
}

TEST("who goes last is one question for all members") {
    check_refused("    start: {", "    last: up\n    start: {",
                  "thing.yaml: line 19, column 5: gate up says who goes last: one of its checks needs "
                  "`without-self: true`");
}

TEST("conditions: names and choices that can never be true, and more than one verb") {
    check_refused("may-stop: [many]", "may-stop: [{gate: many, when: {mod: calm}}]",
                  "thing.yaml: line 17, column 32: \"mod\" is no value or option of this recipe and no fact "
                  "that a plan is made from");
    check_refused(
        "may-stop: [many]", "may-stop: [{gate: many, when: {mood: angry}}]",
        "thing.yaml: line 17, column 38: \"angry\" is no choice of option mood, so this can never be true");
    check_refused(
        "may-stop: [many]", "may-stop: [{gate: many, when: {mood: {not: calm, version: 1.x}}}]",
        "thing.yaml: line 17, column 38: a condition says one of `not`, `version` and `differs-from`");
}

TEST("version rows: patterns, reasons, and ways back that close") {
    check_refused("from: 1.x", "from: one",
                  "thing.yaml: line 28, column 12: \"one\" is no version pattern as 4.5.0, 4.5.x, "
                  "4.5.x..4.8.x, >=4.5 or *");
    check_refused("verdict: allowed", "verdict: refused",
                  "thing.yaml: line 28, column 5: a pair that is not allowed needs `why`");
    check_refused("verdict: allowed", "verdict: allowed, way-back: until-start",
                  "thing.yaml: line 28, column 5: a way back that closes needs `no-return`: what cannot be "
                  "undone, and why");
}

TEST("names, kinds and defaults") {
    check_refused("  port:", "  self:", "thing.yaml: line 4, column 3: \"self\" is one of Kedge's own names");
    check_refused("required: true", "required: true, default: '1'",
                  "thing.yaml: line 4, column 9: a value is either `required` or has a `default`");
    check_refused("default: calm", "default: sad",
                  "thing.yaml: line 7, column 9: default \"sad\" is none of the choices");
    check_refused("'>=0.1'", "'>=9'",
                  "thing.yaml: line 2, column 14: this recipe needs Kedge >=9, this is 0.1.0");
    check_refused("stop: {deadline: 5s}", "stop: {deadline: 5}",
                  "thing.yaml: line 26, column 22: \"deadline\" in stop: expected a duration from 0ms to 1d "
                  "(as 500ms, 30s, 6m, "
                  "2h, 1d), found \"5\"");
}

/* ---- cluster files ---- */

static void check_cluster_refused(const char *old, const char *new, const char *sentence) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(8 * 1024 * 1024);
    _cleanup_(freep) char *text = changed(cluster, old, new);
    const struct recipe *recipe = small_recipe(arena);
    const struct cluster_file *file;
    struct error err = {{0}};
    check_eq_int(cluster_file_parse(arena, "shop.yaml", bytes_of_text(text), recipe, &file, &err), -EINVAL);
    check_eq_str(err.text, sentence);
}

static const char *value_of(const struct cluster_member *member, const char *name, const char **origin) {
    for (size_t i = 0; i < member->n_values; i++)
        if (strcmp(member->values[i].name, name) == 0) {
            *origin = member->values[i].origin;
            return member->values[i].value;
        }
    return NULL;
}

TEST("values are settled over member, group and cluster, and each remembers where it came from") {
    _cleanup_(arena_freep) struct arena *arena = arena_new(8 * 1024 * 1024);
    const struct cluster_file *file;
    struct error err = {{0}};
    const char *origin = "";
    require(cluster_file_parse(arena, "shop.yaml", bytes_of_text(cluster), small_recipe(arena), &file,
                               &err) == 0);
    check_eq_str(value_of(&file->members[0], "wait", &origin), "5s");
    check_eq_str(origin, "member, line 7");
    check_eq_str(value_of(&file->members[1], "wait", &origin), "4s");
    check_eq_str(origin, "group a, line 5");
    check_eq_str(value_of(&file->members[2], "wait", &origin), "3s");
    check_eq_str(origin, "cluster, line 3");
    check_eq_str(value_of(&file->members[2], "wait.ms", &origin), "3000");
    check_eq_str(file->members[1].domain, "zone-a");
    check_eq_str(file->members[1].full_name, "shop/server@n2");
    check_eq_str(file->members[1].self, "localhost:7102");
    check_eq_int(file->members[1].port, 7102);
    const char *system;
    check_eq_int(cluster_file_system(arena, "shop.yaml", bytes_of_text(cluster), &system, &err), 0);
    check_eq_str(system, "thing");
}

TEST("cluster files: what is missing, unknown, doubled or of the wrong kind") {
    check_cluster_refused(
        "values: {port: 7102}", "values: {wait: 1s}",
        "shop.yaml: line 8, column 5: value port is missing (the recipe needs it); give it here, in the "
        "group or for the cluster");
    check_cluster_refused(
        "values: {port: 7102}", "values: {prot: 7102}",
        "shop.yaml: line 8, column 66: recipe thing has no value \"prot\"; did you mean \"port\"?");
    check_cluster_refused("port: 7102", "port: many",
                          "shop.yaml: line 8, column 72: \"many\" for port, expected a number");
    check_cluster_refused("port: 7102", "port: 70000",
                          "shop.yaml: line 8, column 5: member server@n2: \"70000\" is no port");
    check_cluster_refused("{wait: 3s}", "{wait: 3}",
                          "shop.yaml: line 3, column 16: \"3\" for wait, expected a duration as 5s");
    check_cluster_refused(
        "port: 7102", "port: 7101",
        "shop.yaml: line 8, column 5: members server@n1 and server@n2 are both localhost:7101");
    check_cluster_refused("server@n2", "server@n1",
                          "shop.yaml: line 8, column 5: member server@n1 stands twice");
    check_cluster_refused("group: a, values: {port: 7102}", "group: b, values: {port: 7102}",
                          "shop.yaml: line 8, column 5: there is no group \"b\" under `groups`");
    check_cluster_refused("role: server, node: n2", "role: waiter, node: n2",
                          "shop.yaml: line 8, column 5: recipe thing has no role \"waiter\"");
    check_cluster_refused("name: server@n2", "name: ../etc",
                          "shop.yaml: line 8, column 5: name \"../etc\": letters, digits "
                          "and . _ - @ only, beginning with none of . -");
    check_cluster_refused("system: thing", "system: other",
                          "shop.yaml: line 1, column 1: it is a cluster of other, the recipe is thing");
}

TEST("a charter names each node once, with its key, and every question once") {
    _cleanup_(arena_freep) struct arena *arena = arena_new(8 * 1024 * 1024);
    const struct cluster_file *file;
    struct error err = {{0}};
    struct charter charter;
    const struct roster_entry nodes[] = {
        {"n1", {{1}}, ""}, {"n2", {{2}}, ""}, {"n3", {{3}}, ""}, {"n4", {{4}}, ""}};
    require(cluster_file_parse(arena, "shop.yaml", bytes_of_text(cluster), small_recipe(arena), &file,
                               &err) == 0);
    struct charter_input input = {file, nodes, 4, 5};
    require(charter_build(&input, arena, &charter, &err) == 0);
    check_eq_int(charter.n_roster, 3);
    check_eq_int(charter.roster[2].key.b[0], 3);
    check_eq_str(charter.roster[2].domain, "zone-b");
    check_eq_int(charter.n_gates, 4); /* many, and up for each of the three */
    check_eq_int(charter.n_cluster_gates, 1);
    check_eq_int(charter.members[0].n_modes, 1);
    check_eq_int(charter.serial, 5);
    input.n_nodes = 2;
    check_eq_int(charter_build(&input, arena, &charter, &err), -ENOENT);
    check_eq_str(err.text, "cluster shop: member server@n3: node n3 is not approved here (kedge node list "
                           "shows those that wait)");
}

/* "versions:\n" becomes the actions and it; the first of them stands in line 28. */
static void check_actions_refused(const char *actions, const char *sentence) {
    _cleanup_(buffer_deinit) struct buffer text = {0};
    buffer_text(&text, "actions:\n");
    for (const char *c = actions; *c; c++)
        if (*c == '&')
            buffer_text(&text, "deadline: 1s, done-if: {probe: file, target: /x, match: x, rule: present, "
                               "otherwise: no, says: no}");
        else
            buffer_append(&text, c, 1);
    buffer_text(&text, "versions:\n");
    check_refused("versions:\n", (const char *)text.data, sentence);
}

TEST("F30 outputs of actions: what cannot be taken is refused with its place") {
    static const char dump[] = "  dump: {at: before, run: [/d], captures: {path: 'to (.+)'}, &}\n";
    char text[512];
    snprintf(text, sizeof(text), "%s  put: {at: behind, run: [/p, '{output.dump.size}'], &}\n", dump);
    check_actions_refused(
        text, "thing.yaml: line 29, column 31: {output.dump.size}: there is no action with such a "
              "capture; see `captures`");
    snprintf(text, sizeof(text), "  put: {at: before, run: [/p, '{output.dump.path}'], &}\n%s", dump);
    check_actions_refused(
        text, "thing.yaml: line 28, column 31: {output.dump.path}: action dump is not done before "
              "action put");
    snprintf(text, sizeof(text), "%s  put: {at: behind, run: ['{output.dump.path}'], &}\n", dump);
    check_actions_refused(text,
                          "thing.yaml: line 29, column 27: the program cannot be the output of an action");
    snprintf(text, sizeof(text),
             "%s  put: {at: behind, run: [/p, '{output.dump.path}{output.dump.path}'], &}\n", dump);
    check_actions_refused(text,
                          "thing.yaml: line 29, column 31: a word holds at most one output of an action");
    check_actions_refused(
        "  dump: {at: before, on: each, run: [/d], captures: {path: 'to (.+)'}, &}\n"
        "  put: {at: behind, run: [/p, '{output.dump.path}'], &}\n",
        "thing.yaml: line 29, column 31: {output.dump.path}: each server has its own, so only an "
        "action on each server can take it");
    check_actions_refused("  dump: {at: before, run: [/d], captures: {path: 'to ('}, &}\n",
                          "thing.yaml: line 28, column 50: not a regular expression: Unmatched ( or \\(");
    check_actions_refused(
        "  dump: {at: before, run: [/d], captures: {path: {allowed: a}}, &}\n",
        "thing.yaml: line 28, column 50: missing key \"match\" in capture, expected a value");
    check_refused("says: it is down", "says: '{output.dump.path}'",
                  "thing.yaml: line 12, column 86: {output.dump.path} is not known at this place, only later "
                  "or for one "
                  "member");
}
