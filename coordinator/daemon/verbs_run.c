/* Runs: beginning one from a signed plan, looking at them, and the words that reduce or go on. */
#include "coordinator/daemon/clients.h"

#include "common/base/log.h"

#include <string.h>

json_t *json_run_object(struct daemon *d, const struct run *run, enum json_run_size size) {
    return json_pack("{s:o}", "run", json_run(d, run, size, 0));
}

/* ---- apply ---- */

/* What the engine cannot know: whether this plan is for the cluster and with the release that are here. */
static int plan_belongs(const struct daemon *d, const struct verified_plan *plan, struct error *err) {
    const struct header *header = &plan->header;
    const struct cluster *cluster = cluster_find(d, header->cluster);
    const struct release *release = release_find_digest(d, &header->manifest);
    if (!cluster)
        return error_set(err, -EPERM, "cluster %s is not known here", header->cluster);
    if (!digest_equal(&cluster->digest, &header->charter))
        return error_set(err, -EPERM,
                         "cluster %s has another charter than when this was planned; make a new plan",
                         header->cluster);
    if (!release)
        return error_set(err, -EPERM, "its release is not here; see kedge release add");
    for (size_t i = 0; i < release->manifest->n_components; i++)
        if (!artifact_is_there(d->artifacts_path, &release->manifest->components[i].artifact,
                               release->manifest->components[i].size))
            return error_set(err, -EIO, "the archive of component %s is missing in %s",
                             release->manifest->components[i].name, d->artifacts_path);
    return 0;
}

/* A coordinator that came back from an old copy of its journal must not command (A10). */
static int reign_check(const struct daemon *d, struct error *err) {
    for (size_t i = 0; i < fleet_n_nodes(d->fleet); i++)
        if (fleet_node_at(d->fleet, i)->epoch > d->epoch)
            return error_set(err, -EPERM,
                             "node %s has obeyed epoch %llu, this coordinator is in epoch %llu: its journal "
                             "is an old copy",
                             fleet_node_at(d->fleet, i)->name,
                             (unsigned long long)fleet_node_at(d->fleet, i)->epoch,
                             (unsigned long long)d->epoch);
    return 0;
}

void client_by(const struct client *client, char *out, size_t size) {
    const char *by = client_argument(client, "by");
    snprintf(out, size, "%s%s%s%s", by ? by : "", by ? " (" : "", client->who, by ? ")" : "");
}

static void apply_begin(struct client *client, struct verified_plan *plan) {
    struct daemon *d = client->daemon;
    struct error err;
    char who[256];
    client_by(client, who, sizeof(who));
    int r = store_plan_put(d->store, &plan->digest, client->request->blobs[0], &err);
    if (r < 0) {
        verified_plan_free(plan);
        daemon_fail(d, r, &err);
        return;
    }
    r = conduct_event(d, (struct event){.kind = EVENT_APPLY, .plan = plan, .text = who});
    if (r == ENGINE_REFUSED) {
        client_refuse(client, CLIENT_REFUSED, "%s", d->actions.refused);
        return;
    }
    const struct run *run = engine_run(d->engine, d->actions.run);
    log_info("run", "%llu: begun by %s: cluster %s to %s", (unsigned long long)run->id, who,
             run->plan->header.cluster, run->plan->header.to_version);
    client_done(client, json_run_object(d, run, JSON_RUN_SHORT));
}

void verb_apply(struct client *client) {
    struct daemon *d = client->daemon;
    _cleanup_(verified_plan_freep) struct verified_plan *plan = NULL;
    struct error err;
    int r = plan_verify(&d->config->anchors, client->request->blobs[0], &plan, &err);
    if (r == 0)
        r = plan_belongs(d, plan, &err);
    if (r == 0)
        r = reign_check(d, &err);
    if (r < 0)
        client_refuse(client, r == -EBADMSG ? CLIENT_BAD_INPUT : CLIENT_REFUSED, "plan refused: %s",
                      err.text);
    else
        apply_begin(client, TAKE(plan));
}

/* ---- looking ---- */

void verb_run_list(struct client *client) {
    struct daemon *d = client->daemon;
    const char *cluster = client_argument(client, "cluster");
    json_t *runs = json_array();
    for (size_t i = engine_n_runs(d->engine); i-- > 0;) {
        const struct run *run = engine_run_at(d->engine, i);
        if (!cluster || strcmp(run->plan->header.cluster, cluster) == 0)
            json_add(runs, json_run(d, run, JSON_RUN_SHORT, 0));
    }
    client_done(client, json_pack("{s:o}", "runs", runs));
}

const struct run *client_run(struct client *client) {
    struct engine *engine = client->daemon->engine;
    const char *text = client_argument(client, "run");
    char *end = NULL;
    const struct run *run = NULL;
    if (!text && engine_n_runs(engine) > 0)
        run = engine_run_at(engine, engine_n_runs(engine) - 1);
    if (text && *text >= '0' && *text <= '9') {
        uint64_t id = strtoull(text, &end, 10);
        run = *end == 0 ? engine_run(engine, id) : NULL;
    }
    if (!run && !text)
        client_refuse(client, CLIENT_BAD_INPUT, "there is no run yet; kedge apply begins one");
    else if (!run)
        client_refuse(client, CLIENT_BAD_INPUT, "run %s: there is none; see kedge run list", text);
    return run;
}

void verb_run_show(struct client *client) {
    const struct run *run = client_run(client);
    if (run)
        client_done(client, json_run_object(client->daemon, run, JSON_RUN_WHOLE));
}

void verb_run_watch(struct client *client) {
    const struct run *run = client_run(client);
    if (run)
        client->watch = (struct client_watch){run->id, 0, 0};
}

void watch_feed(struct client *client, uint64_t now_ms) {
    struct daemon *d = client->daemon;
    const struct run *run = engine_run(d->engine, client->watch.run);
    const struct history *history = history_of(d, run->id);
    json_t *json = json_pack("{s:I, s:o}", "now_ms", (json_int_t)now_ms, "run",
                             json_run(d, run, JSON_RUN_LIVE, client->watch.seq));
    client->watch.seq = history && history->n > 0 ? history->events[history->n - 1].seq : 0;
    if (run->state == RUN_ENDED)
        client_done(client, json);
    else
        client_reply_more(client, json);
}

/* ---- words ---- */

static void run_command(struct client *client, enum run_event command, const char *word) {
    struct daemon *d = client->daemon;
    const struct run *run = client_run(client);
    const char *reason = client_argument(client, "reason");
    char who[256], text[KEDGE_REASON_MAX];
    if (!run)
        return;
    client_by(client, who, sizeof(who));
    snprintf(text, sizeof(text), "%s%s%s", who, reason ? ": " : "", reason ? reason : "");
    int r = conduct_event(
        d, (struct event){.kind = EVENT_COMMAND, .run = run->id, .command = command, .text = text});
    if (r == ENGINE_REFUSED) {
        client_refuse(client, CLIENT_REFUSED, "run %llu: %s", (unsigned long long)run->id,
                      d->actions.refused);
        return;
    }
    log_info("run", "%llu: %s by %s", (unsigned long long)run->id, word, text);
    client_done(client, json_run_object(d, run, JSON_RUN_SHORT));
}

void verb_run_pause(struct client *client) {
    run_command(client, RUN_EVENT_PAUSE, "paused");
}

void verb_run_resume(struct client *client) {
    run_command(client, RUN_EVENT_RESUME, "resumed");
}

void verb_run_abort(struct client *client) {
    run_command(client, RUN_EVENT_ABORT, "abort asked");
}

void verb_run_rollback(struct client *client) {
    run_command(client, RUN_EVENT_ROLLBACK, "rollback asked");
}
