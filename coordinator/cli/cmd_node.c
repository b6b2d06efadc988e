/* Nodes: a host is known by the key of its agent, and admitted by a person who compared the fingerprint. */
#include "coordinator/cli/client.h"

#include <string.h>

enum { HOLD_S_MAX = 30 * 24 * 3600 };

static enum colour state_colour(const char *state) {
    return strcmp(state, "open") == 0      ? COLOUR_GOOD
           : strcmp(state, "pending") == 0 ? COLOUR_WARN
                                           : COLOUR_BAD;
}

/* An approved agent comes back by itself, within its next try: until then it is not lost. */
static const char *state_words(const char *state, int64_t since) {
    return strcmp(state, "open") == 0                 ? "connected"
           : strcmp(state, "pending") == 0            ? "waits for approval"
           : strcmp(state, "lost") == 0 && since == 0 ? "approved, not connected yet"
                                                      : state;
}

/* "lena (uid 1000): new disk, for 1 h 59 m more"; nothing when it is not held. */
static const char *hold_words(struct cli *cli, const json_t *node) {
    const json_t *hold = json_object_get(node, "hold");
    int64_t until = json_number(hold, "until_ms");
    const char *words = !hold ? ""
                        : until
                            ? arena_format(cli->arena, "%s, for %s more", json_text(hold, "reason"),
                                           text_duration(until - wall_ms()).s)
                            : arena_format(cli->arena, "%s, until it is returned", json_text(hold, "reason"));
    return words ? words : "";
}

static int nodes_print(struct cli *cli, const json_t *nodes) {
    static const char *const titles[] = {"NODE", "STATE", "SINCE", "VERSION", "ADDRESS", "FINGERPRINT", NULL};
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    size_t i, n_pending = 0;
    const json_t *node;
    const char *first = "", *first_fingerprint = "";
    json_array_foreach(nodes, i, node) {
        const char *state = json_text(node, "state");
        int64_t since = json_number(node, "since_ms");
        if (strcmp(state, "pending") == 0 && n_pending++ == 0) {
            first = json_text(node, "name");
            first_fingerprint = json_text(node, "fingerprint");
        }
        table_cell(&table, json_text(node, "name"), COLOUR_NONE);
        table_cell(&table, state_words(state, since), state_colour(state));
        table_cell(&table, since ? text_duration(wall_ms() - since).s : "", COLOUR_NONE);
        table_cell(&table, json_text(node, "version"), COLOUR_NONE);
        table_cell(&table, json_text(node, "address"), COLOUR_NONE);
        table_cell(&table, json_text(node, "fingerprint"), COLOUR_DIM);
    }
    if (table.n_rows == 0)
        puts("no nodes yet: an agent shows up here when it has reached kedged");
    else
        table_print(&table, stdout);
    json_array_foreach(nodes, i, node) {
        if (json_has(node, "hold"))
            printf("%sheld: %s, by %s%s\n", colour_on(COLOUR_WARN), json_text(node, "name"),
                   hold_words(cli, node), colour_off());
    }
    if (n_pending > 0)
        printf("\nCompare the fingerprint on the node (kedge-agent identity), then:\n"
               "  kedge node approve %s %s\n",
               first, first_fingerprint);
    return EXIT_DONE;
}

int cmd_node_list(struct cli *cli) {
    struct call call = {.verb = "node list"};
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    return cli->json ? json_print(reply.json) : nodes_print(cli, json_list(reply.json, "nodes"));
}

static void node_print(struct cli *cli, const json_t *node) {
    const char *state = json_text(node, "state");
    int64_t since = json_number(node, "since_ms"), skew = json_number(node, "clock_skew_ms");
    printf("node         %s\n", json_text(node, "name"));
    printf("state        %s%s%s%s%s\n", colour_on(state_colour(state)), state_words(state, since),
           colour_off(), since ? ", for " : "", since ? text_duration(wall_ms() - since).s : "");
    if (json_has(node, "hold"))
        printf("held         %s%s%s\n", colour_on(COLOUR_WARN), hold_words(cli, node), colour_off());
    printf("key          %s\nfingerprint  %s\n", json_text(node, "key"), json_text(node, "fingerprint"));
    if (*json_text(node, "address"))
        printf("address      %s\n", json_text(node, "address"));
    if (*json_text(node, "version"))
        printf("agent        %s\n", json_text(node, "version"));
    if (skew > 1000 || skew < -1000)
        printf("clock        %s%s %s%s\n", colour_on(COLOUR_WARN), text_duration(skew < 0 ? -skew : skew).s,
               skew < 0 ? "behind" : "ahead", colour_off());
    if (json_array_size(json_list(node, "members")) > 0)
        printf("members      %s\n", json_joined(cli, node, "members"));
}

static int node_call(struct cli *cli, struct call *call) {
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    node_print(cli, json_object_get(reply.json, "node"));
    return EXIT_DONE;
}

int cmd_node_show(struct cli *cli) {
    struct call call = {.verb = "node show"};
    call_argument(&call, "node", cli->arguments[0]);
    return node_call(cli, &call);
}

int cmd_node_approve(struct cli *cli) {
    struct call call = {.verb = "node approve"};
    call_argument(&call, "node", cli->arguments[0]);
    call_argument(&call, "fingerprint", cli->arguments[1]);
    return node_call(cli, &call);
}

int cmd_node_hold(struct cli *cli) {
    struct call call = {.verb = "node hold"};
    const char *reason, *life = cli_option(cli, "for"), *text = NULL;
    uint64_t life_s = 0;
    int r = cli_option_needed(cli, "reason", &reason);
    if (r == 0 && life)
        r = cli_life(cli, life, HOLD_S_MAX, &life_s);
    if (r == 0 && life && !(text = arena_format(cli->arena, "%llu", (unsigned long long)life_s)))
        r = error_set(cli->err, -ENOMEM, "out of memory");
    if (r < 0)
        return r;
    call_argument(&call, "node", cli->arguments[0]);
    call_argument(&call, "reason", reason);
    call_argument(&call, "seconds", text);
    call_argument(&call, "by", cli_user_name());
    return node_call(cli, &call);
}

int cmd_node_return(struct cli *cli) {
    struct call call = {.verb = "node return"};
    call_argument(&call, "node", cli->arguments[0]);
    call_argument(&call, "reason", cli_option(cli, "reason"));
    call_argument(&call, "by", cli_user_name());
    return node_call(cli, &call);
}
