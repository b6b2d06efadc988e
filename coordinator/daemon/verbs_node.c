/* Nodes: who is approved, who waits, who is here. */
#include "coordinator/daemon/clients.h"

#include "common/base/log.h"

#include <string.h>

enum { HOLD_S_MAX = 30 * 24 * 3600 };

void verb_node_list(struct client *client) {
    const struct daemon *d = client->daemon;
    json_t *nodes = json_array();
    for (size_t i = 0; i < fleet_n_pending(d->fleet); i++)
        json_add(nodes, json_node(d, fleet_pending_at(d->fleet, i)));
    for (size_t i = 0; i < fleet_n_nodes(d->fleet); i++)
        json_add(nodes, json_node(d, fleet_node_at(d->fleet, i)));
    client_done(client, json_pack("{s:o}", "nodes", nodes));
}

/* A pending one with this fingerprint; NULL fingerprint: the first of the name. */
static const struct fleet_node *pending_find(const struct daemon *d, const char *name,
                                             const char *fingerprint) {
    for (size_t i = 0; i < fleet_n_pending(d->fleet); i++) {
        const struct fleet_node *node = fleet_pending_at(d->fleet, i);
        char text[KEDGE_FINGERPRINT_TEXT_SIZE];
        public_key_fingerprint(text, &node->key);
        if (strcmp(node->name, name) == 0 && (!fingerprint || strcmp(text, fingerprint) == 0))
            return node;
    }
    return NULL;
}

void verb_node_show(struct client *client) {
    const struct daemon *d = client->daemon;
    const char *name = client_argument(client, "node");
    const struct fleet_node *node = name ? fleet_node(d->fleet, name) : NULL;
    if (name && !node)
        node = pending_find(d, name, NULL);
    if (!node)
        client_refuse(client, CLIENT_BAD_INPUT, "node %s: there is none; see kedge node list",
                      name ? name : "?");
    else
        client_done(client, json_pack("{s:o}", "node", json_node(d, node)));
}

static bool has_fingerprint(const struct fleet_node *node, const char *fingerprint) {
    char text[KEDGE_FINGERPRINT_TEXT_SIZE];
    public_key_fingerprint(text, &node->key);
    return strcmp(text, fingerprint) == 0;
}

static void approve_refuse(struct client *client, const char *name, const char *fingerprint) {
    const struct daemon *d = client->daemon;
    if (fleet_node(d->fleet, name))
        client_refuse(client, CLIENT_REFUSED,
                      "node %s is approved with another key; names are never used twice, so give the new "
                      "agent a new name",
                      name);
    else if (pending_find(d, name, NULL))
        client_refuse(client, CLIENT_REFUSED,
                      "node %s waits with another key than %s; compare it on the node", name, fingerprint);
    else
        client_refuse(client, CLIENT_REFUSED,
                      "node %s has not come yet; start its agent first (see kedge node list)", name);
}

void verb_node_approve(struct client *client) {
    struct daemon *d = client->daemon;
    struct error err;
    const char *name = client_argument(client, "node"), *fingerprint = client_argument(client, "fingerprint");
    if (!name || !fingerprint) {
        client_refuse(client, CLIENT_BAD_INPUT, "node approve: node or fingerprint is missing");
        return;
    }
    const struct fleet_node *there = fleet_node(d->fleet, name), *node = pending_find(d, name, fingerprint);
    if (there && has_fingerprint(there, fingerprint)) {
        client_reply(client, CLIENT_DONE, json_pack("{s:o}", "node", json_node(d, there)), NULL,
                     "it was approved already");
        return;
    }
    if (!node || there) {
        approve_refuse(client, name, fingerprint);
        return;
    }
    struct store_node record = {name, node->key, daemon_now(d)};
    int r = store_node_add(d->store, &record, &err);
    if (r == 0)
        r = fleet_node_add(d->fleet, name, &record.key, record.approved_ms, &err);
    if (r < 0) {
        client_refuse(client, CLIENT_FAILED, "%s", err.text);
        return;
    }
    log_info("node", "%s: approved with key %s by %s", name, fingerprint, client->who);
    client_done(client, json_pack("{s:o}", "node", json_node(d, fleet_node(d->fleet, name))));
}

/* ---- holds; their end is in verbs_return.c ---- */

static void hold_say(struct client *client, uint64_t until_ms) {
    struct daemon *d = client->daemon;
    const char *name = client_argument(client, "node"), *reason = client_argument(client, "reason");
    const struct fleet_node *node = name ? fleet_node(d->fleet, name) : NULL;
    char who[256], text[KEDGE_REASON_MAX];
    if (!node) {
        client_refuse(client, CLIENT_BAD_INPUT, "node %s: none of the name is approved; see kedge node list",
                      name ? name : "?");
        return;
    }
    client_by(client, who, sizeof(who));
    snprintf(text, sizeof(text), "%s%s%s", who, reason ? ": " : "", reason ? reason : "");
    int r = conduct_event(
        d, (struct event){.kind = EVENT_NODE_HOLD, .node = node->name, .until_ms = until_ms, .text = text});
    if (r == ENGINE_REFUSED) {
        client_refuse(client, CLIENT_REFUSED, "%s", d->actions.refused);
        return;
    }
    log_info("node", "%s: held by %s", name, text);
    client_done(client, json_pack("{s:o}", "node", json_node(d, node)));
}

void verb_node_hold(struct client *client) {
    const char *seconds = client_argument(client, "seconds");
    char *end = NULL;
    errno = 0;
    uint64_t n = seconds && *seconds >= '0' && *seconds <= '9' ? strtoull(seconds, &end, 10) : 0;
    if (!client_argument(client, "reason"))
        client_refuse(client, CLIENT_BAD_INPUT, "node hold: a reason is missing");
    else if (seconds && (n == 0 || n > HOLD_S_MAX || errno != 0 || *end))
        client_refuse(client, CLIENT_BAD_INPUT, "node hold: for %s seconds: expected 1 to %d", seconds,
                      HOLD_S_MAX);
    else
        hold_say(client, n > 0 ? daemon_now(client->daemon) + n * 1000 : 0);
}
