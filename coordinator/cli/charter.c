/* cluster add and adopt: from the cluster file and its recipe to the charter, here, on the side of the person who signs.
 * kedged is asked for one thing only, the keys of the nodes that were approved; what they are is shown before signing. */
#include "coordinator/cli/view.h"
#include "coordinator/cli/passphrase.h"
#include "common/base/file.h"
#include "common/plan/encoding.h"
#include "coordinator/recipes/charter_build.h"

#include <string.h>

/* ---- the recipe ---- */

/* Beside this program in a build tree, or where it is installed. */
static const char *const recipe_places[] = {"../recipes", "../share/kedge/recipes"};

static int recipe_find(struct cli *cli, const char *system, char *out, size_t size) {
    char self[KEDGE_PATH_MAX + 1];
    const char *given = cli_option(cli, "recipe");
    if (given) {
        snprintf(out, size, "%s", given);
        return 0;
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0)
        return error_errno(cli->err, -errno, "/proc/self/exe");
    self[n] = 0;
    *strrchr(self, '/') = 0;
    for (size_t i = 0; i < ARRAY_LEN(recipe_places); i++) {
        snprintf(out, size, "%s/%s/%s.yaml", self, recipe_places[i], system);
        if (access(out, R_OK) == 0)
            return 0;
    }
    return error_set(cli->err, -ENOENT, "no recipe \"%s\" is installed; --recipe FILE says where it is",
                     system);
}

/* ---- the nodes ---- */

static int roster_take(struct cli *cli, const json_t *nodes, struct charter_input *input) {
    struct roster_entry *roster = arena_array(cli->arena, json_array_size(nodes), sizeof(*roster));
    if (!roster)
        return error_set(cli->err, -ENOMEM, "out of memory");
    size_t i;
    const json_t *node;
    json_array_foreach(nodes, i, node) {
        if (strcmp(json_text(node, "state"), "pending") == 0)
            continue;
        struct roster_entry *entry = &roster[input->n_nodes];
        *entry = (struct roster_entry){.node = arena_text(cli->arena, json_text(node, "name")), .domain = ""};
        if (!entry->node)
            return error_set(cli->err, -ENOMEM, "out of memory");
        if (!public_key_parse(&entry->key, json_text(node, "key")))
            return error_set(cli->err, -EBADMSG, "kedged says no key of node %s", entry->node);
        input->n_nodes++;
    }
    input->nodes = roster;
    return 0;
}

static int roster_ask(struct cli *cli, struct charter_input *input) {
    struct call call = {.verb = "node list"};
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    return r != 0 ? r : roster_take(cli, json_list(reply.json, "nodes"), input);
}

/* ---- what will be signed ---- */

static void charter_print(const struct charter *charter, bool adopt) {
    printf("cluster      %s (%s), charter %llu\n", charter->cluster, charter->system,
           (unsigned long long)charter->serial);
    for (size_t i = 0; i < charter->n_roster; i++) {
        char fingerprint[KEDGE_FINGERPRINT_TEXT_SIZE];
        public_key_fingerprint(fingerprint, &charter->roster[i].key);
        printf("node         %-12s  %s\n", charter->roster[i].node, fingerprint);
    }
    for (size_t i = 0; i < charter->n_members; i++) {
        const struct charter_member *m = &charter->members[i];
        printf("member       %s on %s, port %u\n", m->name, m->node, m->port);
    }
    printf("may be asked %zu gates: reading only, nothing is started, stopped or written\n",
           charter->n_gates);
    if (adopt)
        puts("adopted      what runs today is recorded as generation 0, without a restart");
}

static int charter_sign(struct cli *cli, const struct charter *charter, const struct key_pair *key,
                        struct buffer *out) {
    _cleanup_(buffer_deinit) struct buffer encoded = {0};
    int r = codec_encode(&charter_codec, charter, &encoded, cli->err);
    if (r < 0)
        return error_context(cli->err, r, "charter");
    struct signed_blob blob = {.context = TRUST_OPERATOR_CHARTER, .bytes = buffer_bytes(&encoded)};
    r = signed_blob_sign(&blob, key, cli->err);
    if (r < 0)
        return r;
    signed_blob_encode(out, &blob);
    return out->failed ? error_set(cli->err, -ENOMEM, "out of memory") : 0;
}

/* ---- the command ---- */

struct inputs {
    struct buffer cluster, recipe;
    struct key_pair key;
    struct charter charter;
};

static void inputs_deinit(struct inputs *inputs) {
    buffer_deinit(&inputs->cluster);
    buffer_deinit(&inputs->recipe);
    key_pair_deinit(&inputs->key);
}

static int inputs_read(struct cli *cli, struct inputs *in, const struct cluster_file **clusterp) {
    char path[KEDGE_PATH_MAX + 64];
    const char *file = cli->arguments[0], *key_path, *system;
    const struct recipe *recipe;
    int r = cli_option_needed(cli, "key", &key_path);
    if (r == 0)
        r = file_read(file, KEDGE_YAML_BYTES_MAX, &in->cluster, cli->err);
    if (r == 0)
        r = cluster_file_system(cli->arena, file, buffer_bytes(&in->cluster), &system, cli->err);
    if (r == 0)
        r = recipe_find(cli, system, path, sizeof(path));
    if (r == 0)
        r = file_read(path, KEDGE_YAML_BYTES_MAX, &in->recipe, cli->err);
    if (r == 0)
        r = recipe_parse(cli->arena, path, buffer_bytes(&in->recipe), &recipe, cli->err);
    if (r == 0)
        r = cluster_file_parse(cli->arena, file, buffer_bytes(&in->cluster), recipe, clusterp, cli->err);
    return r == 0 ? cli_key_load(cli, key_path, &in->key) : r;
}

static int charter_upload(struct cli *cli, struct inputs *in, bool adopt) {
    _cleanup_(buffer_deinit) struct buffer charter = {0};
    int r = charter_sign(cli, &in->charter, &in->key, &charter);
    if (r < 0)
        return r;
    struct bytes blobs[] = {buffer_bytes(&charter), buffer_bytes(&in->cluster), buffer_bytes(&in->recipe)};
    struct call call = {.verb = "cluster add", .blobs = blobs, .n_blobs = ARRAY_LEN(blobs)};
    call_argument(&call, "adopt", adopt ? "yes" : "no");
    call_argument(&call, "wait", cli_option(cli, "wait") ? cli_option(cli, "wait") : "20");
    _cleanup_(reply_deinit) struct reply reply = {0};
    r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json) {
        json_print(reply.json);
        return reply.exit_code;
    }
    puts("");
    cluster_print(cli, json_object_get(reply.json, "cluster"));
    if (*reply.text)
        printf("%s\n", reply.text);
    return reply.exit_code;
}

static int cluster_add(struct cli *cli, bool adopt) {
    _cleanup_(inputs_deinit) struct inputs in = {.charter = {.format = 0}};
    struct charter_input input = {.serial = (uint64_t)(wall_ms() / 1000)};
    int r = inputs_read(cli, &in, &input.cluster);
    if (r == 0)
        r = roster_ask(cli, &input);
    if (r == 0)
        r = charter_build(&input, cli->arena, &in.charter, cli->err);
    if (r != 0)
        return r;
    if (!cli->json)
        charter_print(&in.charter, adopt);
    r = cli_confirm(cli, "Sign this charter?");
    return r < 0 ? r : charter_upload(cli, &in, adopt);
}

int cmd_cluster_add(struct cli *cli) {
    return cluster_add(cli, false);
}

int cmd_cluster_adopt(struct cli *cli) {
    return cluster_add(cli, true);
}
