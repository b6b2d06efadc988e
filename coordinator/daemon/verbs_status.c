/* Status: the one page for somebody who just came in. Alarms are members that their agents hold, and a coordinator that
 * is not the last one. */
#include "coordinator/daemon/clients.h"

#include <string.h>

static bool is_latest(const struct daemon *d, size_t index) {
    const struct run *run = engine_run_at(d->engine, index);
    for (size_t i = index + 1; i < engine_n_runs(d->engine); i++)
        if (strcmp(engine_run_at(d->engine, i)->plan->header.cluster, run->plan->header.cluster) == 0)
            return false;
    return true;
}

static void alarms_add(json_t *alarms, const struct run *run) {
    for (uint32_t i = 0; i < run->n_members; i++) {
        const struct run_member *m = &run->members[i];
        if (m->state != MEMBER_HELD)
            continue;
        json_t *json =
            json_pack("{s:s, s:I}", "member", m->order->member, "since_ms", (json_int_t)m->since_ms);
        json_put(json, "text", json_text_of(m->reason && *m->reason ? m->reason : "held by its agent"));
        json_add(alarms, json);
    }
}

/* A node that has obeyed a later reign: this journal is an old copy, and what it decides would be refused. */
static void epochs_add(const struct daemon *d, json_t *alarms) {
    for (size_t i = 0; i < fleet_n_nodes(d->fleet); i++) {
        const struct fleet_node *node = fleet_node_at(d->fleet, i);
        char text[256];
        if (node->epoch <= d->epoch)
            continue;
        snprintf(
            text, sizeof(text),
            "it has obeyed epoch %llu, this coordinator is in epoch %llu: its journal is an old copy; end it",
            (unsigned long long)node->epoch, (unsigned long long)d->epoch);
        json_add(alarms, json_pack("{s:s, s:I, s:s}", "member", node->name, "since_ms",
                                   (json_int_t)node->since_ms, "text", text));
    }
}

void verb_status(struct client *client) {
    struct daemon *d = client->daemon;
    json_t *nodes = json_array(), *clusters = json_array(), *runs = json_array(), *alarms = json_array();
    for (size_t i = 0; i < fleet_n_pending(d->fleet); i++)
        json_add(nodes, json_node(d, fleet_pending_at(d->fleet, i)));
    for (size_t i = 0; i < fleet_n_nodes(d->fleet); i++)
        json_add(nodes, json_node(d, fleet_node_at(d->fleet, i)));
    for (size_t i = 0; i < d->n_clusters; i++)
        json_add(clusters, json_cluster(d, d->clusters[i]));
    for (size_t i = 0; i < engine_n_runs(d->engine); i++) {
        const struct run *run = engine_run_at(d->engine, i);
        if (run->state != RUN_ENDED || is_latest(d, i)) {
            json_add(runs, json_run(d, run, JSON_RUN_SHORT, 0));
            alarms_add(alarms, run);
        }
    }
    epochs_add(d, alarms);
    json_t *self = json_pack("{s:s, s:I, s:I}", "version", KEDGE_VERSION, "epoch", (json_int_t)d->epoch,
                             "since_ms", (json_int_t)d->began_ms);
    client_done(client, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "now_ms", (json_int_t)daemon_now(d),
                                  "coordinator", self, "nodes", nodes, "clusters", clusters, "runs", runs,
                                  "alarms", alarms));
}
