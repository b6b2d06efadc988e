/* What may be said on the control socket: a closed table. What reduces, goes on with what was signed, or only looks needs
 * no more than the socket's permissions; what weakens comes as a blob that operators signed (verbs_word.c). */
#include "coordinator/daemon/clients.h"

#include <string.h>

static const struct {
    const char *name;
    verb_fn *run;
    size_t blobs_min, blobs_max;
} verbs[] = {
    {"version", verb_version, 0, 0},
    {"status", verb_status, 0, 0},
    {"node list", verb_node_list, 0, 0},
    {"node show", verb_node_show, 0, 0},
    {"node approve", verb_node_approve, 0, 0},
    {"node hold", verb_node_hold, 0, 0},
    {"node return", verb_node_return, 0, 0},
    {"cluster add", verb_cluster_add, 3, 3},
    {"cluster list", verb_cluster_list, 0, 0},
    {"cluster show", verb_cluster_show, 0, 0},
    {"cluster check", verb_cluster_check, 0, 0},
    {"release add", verb_release_add, 1, ARTIFACT_IMPORTS_MAX},
    {"release list", verb_release_list, 0, 0},
    {"release show", verb_release_show, 0, 0},
    {"plan", verb_plan, 0, 0},
    {"apply", verb_apply, 1, 1},
    {"run list", verb_run_list, 0, 0},
    {"run show", verb_run_show, 0, 0},
    {"run report", verb_run_show, 0, 0},
    {"run watch", verb_run_watch, 0, 0},
    {"run pause", verb_run_pause, 0, 0},
    {"run resume", verb_run_resume, 0, 0},
    {"run abort", verb_run_abort, 0, 0},
    {"run rollback", verb_run_rollback, 0, 0},
    {"run retry", verb_run_retry, 0, 0},
    {"run skip", verb_run_skip, 1, 1},
    {"run retire", verb_run_retire, 1, 1},
    {"run promote", verb_run_promote, 1, 1},
    {"run waive", verb_run_waive, 1, 1},
    {"journal verify", verb_journal_verify, 0, 0},
};

void verb_run(struct client *client) {
    const struct control_request *request = client->request;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].name, request->verb) != 0)
            continue;
        if (request->n_blobs < verbs[i].blobs_min || request->n_blobs > verbs[i].blobs_max)
            client_refuse(client, CLIENT_BAD_INPUT,
                          "%s: %zu files came with it; are kedge and kedged of one version?", request->verb,
                          request->n_blobs);
        else
            verbs[i].run(client);
        return;
    }
    client_refuse(client, CLIENT_BAD_INPUT,
                  "kedged %s does not know \"%s\"; are kedge and kedged of one version?", KEDGE_VERSION,
                  request->verb);
}

void verb_version(struct client *client) {
    const struct daemon *d = client->daemon;
    char key[KEDGE_PUBLIC_KEY_TEXT_SIZE];
    public_key_format(key, &d->key.public);
    client_done(client, json_pack("{s:s, s:I, s:s}", "version", KEDGE_VERSION, "epoch", (json_int_t)d->epoch,
                                  "key", key));
}

/* Reads the whole journal again, from the disk. */
void verb_journal_verify(struct client *client) {
    struct daemon *d = client->daemon;
    struct digest head;
    struct error err;
    if (store_replay(d->store, NULL, NULL, &err) < 0) {
        client_refuse(client, CLIENT_FAILED, "%s", err.text);
        return;
    }
    uint64_t n = store_head(d->store, &head);
    json_t *json = json_pack("{s:I}", "records", (json_int_t)n);
    json_put(json, "head", json_digest(&head));
    client_done(client, json);
}
