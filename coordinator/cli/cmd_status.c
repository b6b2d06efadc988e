/* status: the page for somebody who just came in. Alarms first, then runs with who waits and why, then what is not as it
 * should be; what is well is counted only. */
#include "coordinator/cli/view.h"

#include <string.h>

static bool node_is_well(const json_t *node) {
    return strcmp(json_text(node, "state"), "open") == 0;
}

static int alarms_print(const json_t *alarms) {
    size_t i;
    const json_t *alarm;
    json_array_foreach(alarms, i, alarm) {
        printf("%sALARM%s %s, %s: %s\n", colour_on(COLOUR_BAD), colour_off(), json_text(alarm, "member"),
               text_duration(wall_ms() - json_number(alarm, "since_ms")).s, json_text(alarm, "text"));
    }
    return json_array_size(alarms) > 0 ? EXIT_UNFINISHED : EXIT_DONE;
}

static int runs_print(const json_t *runs) {
    int result = EXIT_DONE;
    size_t i;
    const json_t *run;
    json_array_foreach(runs, i, run) {
        _cleanup_(buffer_deinit) struct buffer out = {0};
        bool open = json_number(run, "ended_ms") == 0;
        if (open) {
            view_run(&out, run, wall_ms(), VIEW_WHOLE);
            result = EXIT_UNFINISHED;
        } else {
            buffer_format(&out, "run %lld  %s  %s -> %s  ", (long long)json_number(run, "id"),
                          json_text(run, "cluster"), json_text(run, "from"), json_text(run, "to"));
            view_run_state(&out, run);
            buffer_format(&out, ", %s\n", text_time(json_number(run, "ended_ms")).s);
        }
        printf("%s%s", out.data ? (const char *)out.data : "", open ? "\n" : "");
    }
    return result;
}

static int nodes_print(const json_t *nodes) {
    size_t i, n_well = 0;
    const json_t *node;
    json_array_foreach(nodes, i, node) {
        const char *state = json_text(node, "state");
        int64_t since = json_number(node, "since_ms");
        if (json_has(node, "hold"))
            printf("%snode %s is held%s: by %s; kedge node return %s\n", colour_on(COLOUR_WARN),
                   json_text(node, "name"), colour_off(), json_text(json_object_get(node, "hold"), "reason"),
                   json_text(node, "name"));
        if (node_is_well(node))
            n_well++;
        else if (strcmp(state, "pending") == 0)
            printf("%snode %s waits for approval%s: compare %s, then kedge node approve %s %s\n",
                   colour_on(COLOUR_WARN), json_text(node, "name"), colour_off(),
                   json_text(node, "fingerprint"), json_text(node, "name"), json_text(node, "fingerprint"));
        else
            printf("%snode %s is not connected%s%s%s: its services go on, nothing is begun there\n",
                   colour_on(COLOUR_BAD), json_text(node, "name"), colour_off(), since ? ", since " : "",
                   since ? text_duration(wall_ms() - since).s : "");
    }
    printf("nodes: %zu of %zu connected\n", n_well, json_array_size(nodes));
    return n_well == json_array_size(nodes) ? EXIT_DONE : EXIT_UNFINISHED;
}

/* A line a cluster: how many members in which mode on which version; those that are not read-write by name. */
static int clusters_print(const json_t *clusters) {
    int result = EXIT_DONE;
    size_t i, m;
    const json_t *cluster, *member;
    json_array_foreach(clusters, i, cluster) {
        const json_t *members = json_list(cluster, "members");
        size_t n_well = 0;
        json_array_foreach(members, m, member) n_well += strcmp(json_text(member, "mode"), "read-write") == 0;
        printf("cluster %s (%s): %zu of %zu members read-write\n", json_text(cluster, "name"),
               json_text(cluster, "system"), n_well, json_array_size(members));
        if (json_has(cluster, "finalized"))
            printf("  finalized on %s by run %lld: no way leads back before it\n",
                   json_text(cluster, "finalized"), (long long)json_number(cluster, "finalized_by"));
        json_array_foreach(members, m, member) {
            const char *mode = json_text(member, "mode"), *origin = json_text(member, "origin");
            if (strcmp(mode, "read-write") == 0)
                continue;
            result = EXIT_UNFINISHED;
            printf("  %s%s is %s%s%s%s%s%s\n", colour_on(COLOUR_WARN), json_text(member, "name"),
                   *mode ? mode : "unknown", *origin && strcmp(origin, "none") != 0 ? " by " : "",
                   *origin && strcmp(origin, "none") != 0 ? origin : "", colour_off(),
                   *json_text(member, "problem") ? ": " : "", json_text(member, "problem"));
        }
    }
    return result;
}

static int worse(int a, int b) {
    return a > b ? a : b;
}

int cmd_status(struct cli *cli) {
    struct call call = {.verb = "status"};
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    int result = alarms_print(json_list(reply.json, "alarms"));
    result = worse(result, runs_print(json_list(reply.json, "runs")));
    result = worse(result, clusters_print(json_list(reply.json, "clusters")));
    result = worse(result, nodes_print(json_list(reply.json, "nodes")));
    if (result == EXIT_DONE)
        printf("%snothing waits, nothing needs anybody%s\n", colour_on(COLOUR_GOOD), colour_off());
    return result;
}
