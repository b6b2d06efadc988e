/* Kedge itself: keys, coordinator, agents, and the commands of the first upgrade, as in docs/. Three kinds of folders
 * that never mix: operator/ has people's keys, build/ those of the build system, coordinator/ has neither. */
#include "coordinator/demo/demo.h"
#include "common/base/file.h"

#include <pwd.h>
#include <string.h>

static int key_read(struct demo *demo, const char *path, char *out, size_t size) {
    json_t *json = NULL;
    int r = demo_ask(demo, &json, "key show %s", path);
    if (r < 0)
        return r;
    const char *key = json_string_value(json_object_get(json, "key"));
    snprintf(out, size, "%s", key ? key : "");
    json_decref(json);
    return *out ? 0 : error_set(demo->err, -EIO, "%s has no key", path);
}

int demo_keys_make(struct demo *demo) {
    demo_head(demo, "Keys: one for the operator, one for the build system; the coordinator gets neither");
    int r = folder_make("operator", 0700, demo->err);
    if (r == 0)
        r = folder_make("build", 0700, demo->err);
    if (r == 0)
        r = demo_type(demo, TYPE_SHOWN, NULL, "key new operator/alice.key");
    if (r == 0)
        r = demo_type(demo, TYPE_SHOWN, NULL, "key new build/build.key --role release");
    if (r > 0)
        return error_set(demo->err, -EIO, "no keys");
    if (r == 0)
        r = key_read(demo, "operator/alice.key", demo->operator_key, sizeof(demo->operator_key));
    return r == 0 ? key_read(demo, "build/build.key", demo->release_key, sizeof(demo->release_key)) : r;
}

/* ---- coordinator and agents ---- */

static int text_write(struct demo *demo, const char *path, struct buffer *text) {
    return text->failed ? error_set(demo->err, -ENOMEM, "out of memory")
                        : file_write(path, buffer_bytes(text), 0644, demo->err);
}

static void anchors_write(const struct demo *demo, struct buffer *out) {
    buffer_format(out,
                  "operators: {threshold: 1, keys: [\"%s\"]}\n"
                  "release-keys: {threshold: 1, keys: [\"%s\"]}\n",
                  demo->operator_key, demo->release_key);
}

static int kedged_answers(struct demo *demo) {
    json_t *json = NULL;
    struct error ignored, *err = demo->err;
    demo->err = &ignored;
    int r = demo_ask(demo, &json, "node list");
    demo->err = err;
    json_decref(json);
    if (r == -EINTR || r == -ECHILD)
        *err = ignored;
    return r == 0 ? 1 : r == -EINTR || r == -ECHILD ? r : 0;
}

static int kedged_start(struct demo *demo) {
    _cleanup_(buffer_deinit) struct buffer yaml = {0};
    int r = folder_make("coordinator", 0700, demo->err);
    buffer_format(&yaml, "listen: 127.0.0.1:%u\nartifacts: 127.0.0.1:%u\n", demo->fleet_port,
                  demo->artifact_port);
    anchors_write(demo, &yaml);
    if (r == 0)
        r = text_write(demo, "coordinator/kedged.yaml", &yaml);
    if (r < 0)
        return r;
    demo->kedged = process_add(demo, "coordinator/kedged.log", "kedged");
    process_argument(demo->kedged, "%s/../daemon/kedged", demo->programs);
    process_argument(demo->kedged, "--state");
    process_argument(demo->kedged, "coordinator");
    process_argument(demo->kedged, "--config");
    process_argument(demo->kedged, "coordinator/kedged.yaml");
    demo->kedged->restarts = true;
    demo_kills_plan_kedged(demo);
    r = process_start(demo, demo->kedged);
    if (r == 0)
        r = demo_wait(demo, kedged_answers, "kedged answers", 10);
    return r == 0 ? key_read(demo, "coordinator/kedged.key", demo->coordinator_key,
                             sizeof(demo->coordinator_key))
                  : r;
}

static int agent_start(struct demo *demo, unsigned i) {
    const struct passwd *user = getpwuid(getuid());
    char path[128], log[128];
    _cleanup_(buffer_deinit) struct buffer yaml = {0};
    snprintf(path, sizeof(path), "nodes/n%u/agent.yaml", i + 1);
    snprintf(log, sizeof(log), "nodes/n%u/agent.log", i + 1);
    buffer_format(&yaml, "node: n%u\nstate: %s/nodes/n%u/kedge\n", i + 1, demo->folder, i + 1);
    buffer_format(&yaml,
                  "coordinator: {address: 127.0.0.1:%u, artifacts: http://127.0.0.1:%u, key: \"%s\"}\n",
                  demo->fleet_port, demo->artifact_port, demo->coordinator_key);
    anchors_write(demo, &yaml);
    buffer_format(&yaml, "allow:\n  level: change\n  members:\n    - {member: demo/store@n%u, user: %s}\n",
                  i + 1, user ? user->pw_name : "root");
    int r = text_write(demo, path, &yaml);
    if (r < 0)
        return r;
    struct process *agent = demo->agents[i] = process_add(demo, log, "agent n%u", i + 1);
    process_argument(agent, "%s/../../agent/executor/kedge-agent", demo->programs);
    process_argument(agent, "--config");
    process_argument(agent, "%s", path);
    agent->restarts = true;
    return 0;
}

/* How many nodes are in this state; negative on failure. */
static int nodes_in(struct demo *demo, const char *state) {
    json_t *json = NULL;
    int r = demo_ask(demo, &json, "node list"), n = 0;
    if (r < 0)
        return r;
    size_t i;
    const json_t *node;
    json_array_foreach(json_object_get(json, "nodes"), i, node) {
        const char *is = json_string_value(json_object_get(node, "state"));
        n += is && strcmp(is, state) == 0;
    }
    json_decref(json);
    return n;
}

static int all_pending(struct demo *demo) {
    int n = nodes_in(demo, "pending");
    return n < 0 ? n : n >= (int)demo->n_members;
}

static int all_open(struct demo *demo) {
    int n = nodes_in(demo, "open");
    return n < 0 ? n : n >= (int)demo->n_members;
}

static int nodes_approve(struct demo *demo) {
    json_t *json = NULL;
    int r = demo_ask(demo, &json, "node list");
    size_t i;
    const json_t *node;
    json_array_foreach(json_object_get(json, "nodes"), i, node) {
        if (r == 0)
            r = demo_type(demo, TYPE_SHOWN, NULL, "node approve %s %s",
                          json_string_value(json_object_get(node, "name")),
                          json_string_value(json_object_get(node, "fingerprint")));
    }
    json_decref(json);
    return r > 0 ? error_set(demo->err, -EIO, "a node was not approved") : r;
}

int demo_kedge_start(struct demo *demo) {
    demo_head(demo,
              "Kedge comes: one coordinator (SQLite in coordinator/), one agent a node (nodes/nK/kedge)");
    int r = kedged_start(demo);
    for (unsigned i = 0; r == 0 && i < demo->n_members; i++)
        r = agent_start(demo, i);
    demo_kills_plan_agents(demo);
    for (unsigned i = 0; r == 0 && i < demo->n_members; i++)
        r = process_start(demo, demo->agents[i]);
    if (r == 0)
        r = demo_wait(demo, all_pending, "all agents have reached kedged", 15);
    if (r == 0)
        r = nodes_approve(demo);
    return r == 0 ? demo_wait(demo, all_open, "all agents are connected", 15) : r;
}

/* ---- the commands of an upgrade ---- */

static int cluster_file_write(struct demo *demo) {
    static const char *const domains[] = {"zone-a", "zone-b", "zone-c"};
    _cleanup_(buffer_deinit) struct buffer yaml = {0};
    buffer_text(&yaml, "cluster: demo\nsystem: demo-store\n"
                       "strategy-defaults: {canary: 1, soak-read-only: 2s, soak: 1s}\nmembers:\n");
    for (unsigned i = 0; i < demo->n_members; i++)
        buffer_format(&yaml,
                      "  - {name: store@n%u, role: store, node: n%u, domain: %s, values: {port: %u}}\n",
                      i + 1, i + 1, domains[i * 3 / demo->n_members], demo->ports[i]);
    return text_write(demo, "operator/demo.yaml", &yaml);
}

int demo_cluster_adopt(struct demo *demo) {
    demo_head(demo,
              "Adopt what runs: alice signs who may be observed; each agent records its service as it is");
    int r = cluster_file_write(demo);
    if (r == 0)
        r = demo_type(demo, TYPE_OUTPUT, NULL,
                      "cluster adopt operator/demo.yaml --key operator/alice.key --yes");
    return r > 0 ? error_set(demo->err, -EIO, "the cluster was not adopted") : r;
}

static const char *version_to(const struct demo *demo) {
    return demo->fail ? "1.2.0" : "1.1.0";
}

int demo_release_add(struct demo *demo) {
    const char *version = version_to(demo);
    demo_head(demo, "A release: cut and signed by the build system, handed to the coordinator");
    char link[KEDGE_PATH_MAX], target[KEDGE_PATH_MAX];
    snprintf(link, sizeof(link), "build/demo-store-%s", version);
    snprintf(target, sizeof(target), "%s/store/releases/demo-store-%s", demo->programs, version);
    if (symlink(target, link) < 0)
        return error_errno(demo->err, -errno, "%s", link);
    int r = demo_type(
        demo, TYPE_OUTPUT, NULL,
        "release cut build/demo-store-%s/ --system demo-store --version %s --key build/build.key -o "
        "build/demo-store-%s.release",
        version, version, version);
    if (r == 0)
        r = demo_type(demo, TYPE_SHOWN, NULL, "release add build/demo-store-%s.release", version);
    return r > 0 ? error_set(demo->err, -EIO, "the release was not added") : r;
}

static int run_find(struct demo *demo, const struct buffer *output) {
    json_error_t problem;
    json_t *json = json_loads(output->data ? (const char *)output->data : "", 0, &problem);
    json_t *id = json_object_get(json_object_get(json, "run"), "id");
    if (json_is_integer(id) && asprintf(&demo->run, "%lld", (long long)json_integer_value(id)) < 0)
        demo->run = NULL;
    json_decref(json);
    return demo->run ? 0 : error_set(demo->err, -EIO, "apply named no run: %s", (const char *)output->data);
}

int demo_kedged_wait(struct demo *demo) {
    return demo_wait(demo, kedged_answers, "kedged answers", 15);
}

/* A watch that kedged's death has met before its first answer is begun again, as an operator would. */
static int run_watch(struct demo *demo) {
    int r = 0;
    for (unsigned tries = 0; tries < (demo->kill ? 8 : 1); tries++) {
        r = demo_kedged_wait(demo);
        if (r == 0)
            r = demo_type(demo, TYPE_LIVE, NULL, "run watch %s", demo->run);
        if (r <= 0)
            break;
    }
    return r;
}

int demo_upgrade(struct demo *demo) {
    demo_head(demo, "The plan: computed from the live cluster, read and signed by alice");
    int r =
        demo_type(demo, TYPE_OUTPUT, NULL,
                  "plan demo --to demo-store-%s --strategy canary,rolling --short%s -o operator/demo.plan",
                  version_to(demo), demo->fail ? " --config release" : "");
    if (r == 0)
        r = demo_type(demo, TYPE_SHOWN, NULL,
                      "approve operator/demo.plan --key operator/alice.key --short --yes");
    if (r > 0)
        return error_set(demo->err, -EIO, "there is no approved plan");
    if (r < 0)
        return r;
    demo_head(demo, "The run: a canary, read-only first, then the others one by one");
    _cleanup_(buffer_deinit) struct buffer output = {0};
    r = demo_type(demo, TYPE_SHOWN, &output, "apply operator/demo.plan --json");
    if (r == 0)
        r = run_find(demo, &output);
    if (r == 0)
        r = demo_kills_begin(demo);
    if (r > 0)
        return error_set(demo->err, -EIO, "the run did not begin");
    return r < 0 ? r : run_watch(demo);
}
