/* Clusters as they are: members with what was observed of them, and their gates asked on the spot. Adding one, which
 * needs a signature, is in charter.c. */
#include "coordinator/cli/view.h"

#include <string.h>

int cmd_cluster_list(struct cli *cli) {
    static const char *const titles[] = {"CLUSTER",  "SYSTEM", ">MEMBERS", ">READ-WRITE",
                                         "VERSIONS", "RUN",    NULL};
    struct call call = {.verb = "cluster list"};
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    size_t i, m;
    const json_t *cluster, *member;
    json_array_foreach(json_list(reply.json, "clusters"), i, cluster) {
        _cleanup_(json_freep) json_t *versions = json_object();
        _cleanup_(buffer_deinit) struct buffer words = {0};
        size_t n_well = 0;
        json_array_foreach(json_list(cluster, "members"), m, member) {
            n_well += strcmp(json_text(member, "mode"), "read-write") == 0;
            if (*json_text(member, "version") && !json_has(versions, json_text(member, "version"))) {
                json_object_set_new(versions, json_text(member, "version"), json_true());
                buffer_format(&words, "%s%s", words.len ? ", " : "", json_text(member, "version"));
            }
        }
        table_cell(&table, json_text(cluster, "name"), COLOUR_NONE);
        table_cell(&table, json_text(cluster, "system"), COLOUR_NONE);
        table_format(&table, COLOUR_NONE, "%zu", json_array_size(json_list(cluster, "members")));
        table_format(&table, COLOUR_NONE, "%zu", n_well);
        table_cell(&table, (const char *)words.data, COLOUR_NONE);
        table_cell(&table, json_id(cli, cluster, "run"), COLOUR_NONE);
    }
    if (table.n_rows == 0)
        puts("no clusters yet: kedge cluster adopt FILE --key KEY takes over one that runs");
    else
        table_print(&table, stdout);
    return EXIT_DONE;
}

static enum colour mode_colour(const char *mode) {
    return strcmp(mode, "read-write") == 0  ? COLOUR_GOOD
           : strcmp(mode, "read-only") == 0 ? COLOUR_WARN
                                            : COLOUR_BAD;
}

void cluster_print(struct cli *cli, const json_t *cluster) {
    static const char *const titles[] = {"MEMBER",  "NODE",        "DOMAIN",  "MODE",
                                         "VERSION", ">GENERATION", "PROBLEM", NULL};
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    printf("cluster   %s (%s), serial %lld\ncharter   %s\n", json_text(cluster, "name"),
           json_text(cluster, "system"), (long long)json_number(cluster, "serial"),
           json_text(cluster, "charter"));
    if (json_has(cluster, "run"))
        printf("run       %s is under way\n", json_id(cli, cluster, "run"));
    size_t i;
    const json_t *member;
    json_array_foreach(json_list(cluster, "members"), i, member) {
        const char *mode = json_text(member, "mode"), *origin = json_text(member, "origin");
        bool by = *origin && strcmp(origin, "none") != 0;
        table_cell(&table, json_text(member, "name"), COLOUR_NONE);
        table_cell(&table, json_text(member, "node"), COLOUR_NONE);
        table_cell(&table, json_text(member, "domain"), COLOUR_NONE);
        table_format(&table, mode_colour(mode), "%s%s%s", *mode ? mode : "unknown", by ? " by " : "",
                     by ? origin : "");
        table_cell(&table, json_text(member, "version"), COLOUR_NONE);
        table_cell(&table, json_id(cli, member, "generation"), COLOUR_NONE);
        table_cell(&table, json_text(member, "problem"), COLOUR_BAD);
    }
    puts("");
    table_print(&table, stdout);
}

int cmd_cluster_show(struct cli *cli) {
    struct call call = {.verb = "cluster show"};
    call_argument(&call, "cluster", cli->arguments[0]);
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    cluster_print(cli, json_object_get(reply.json, "cluster"));
    return EXIT_DONE;
}

int cmd_cluster_check(struct cli *cli) {
    static const char *const titles[] = {"ANSWER", "GATE", "ASKED", "REASON", NULL};
    struct call call = {.verb = "cluster check"};
    call_argument(&call, "cluster", cli->arguments[0]);
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json) {
        json_print(reply.json);
        return reply.exit_code;
    }
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    size_t i;
    const json_t *gate;
    json_array_foreach(json_list(reply.json, "gates"), i, gate) {
        const char *answer = json_text(gate, "answer");
        table_cell(&table, answer,
                   strcmp(answer, "yes") == 0  ? COLOUR_GOOD
                   : strcmp(answer, "no") == 0 ? COLOUR_BAD
                                               : COLOUR_WARN);
        table_cell(&table, json_text(gate, "gate"), COLOUR_NONE);
        table_cell(&table, json_text(gate, "asked"), COLOUR_NONE);
        table_cell(&table, json_text(gate, "reason"), COLOUR_NONE);
    }
    table_print(&table, stdout);
    if (*reply.text)
        printf("%s\n", reply.text);
    return reply.exit_code;
}
