/* Clusters: what an operator signed is taken in and sent to the agents of its roster; looking at one asks its agents now. */
#include "coordinator/daemon/clients.h"
#include "coordinator/daemon/survey.h"

#include "common/base/log.h"

#include <string.h>

enum { LOOK_MS = 3000, CHECK_MS = 20 * 1000, WAIT_MAX_S = 600 };

static struct cluster *cluster_named(struct client *client) {
    const char *name = client_argument(client, "cluster");
    struct cluster *cluster = cluster_find(client->daemon, name);
    if (!cluster)
        client_refuse(client, CLIENT_BAD_INPUT, "cluster %s: there is none; see kedge cluster list",
                      name ? name : "?");
    return cluster;
}

static json_t *cluster_object(const struct daemon *d, const struct cluster *cluster) {
    return json_pack("{s:o}", "cluster", json_cluster(d, cluster));
}

void verb_cluster_list(struct client *client) {
    const struct daemon *d = client->daemon;
    json_t *clusters = json_array();
    for (size_t i = 0; i < d->n_clusters; i++)
        json_add(clusters, json_cluster(d, d->clusters[i]));
    client_done(client, json_pack("{s:o}", "clusters", clusters));
}

/* ---- with a survey ---- */

static void survey_cancel(void *operation) {
    survey_free(operation);
}

static void show_done(struct survey *survey) {
    struct client *client = survey->user;
    client_reply(client, CLIENT_DONE, cluster_object(survey->daemon, survey->cluster), &survey->cluster->blob,
                 "");
    survey_free(survey);
}

void verb_cluster_show(struct client *client) {
    const struct cluster *cluster = cluster_named(client);
    if (cluster)
        client_begin(client, survey_new(client->daemon, cluster, SURVEY_FACTS, LOOK_MS, show_done, client),
                     survey_cancel);
}

static json_t *gate_object(const struct survey_answer *answer) {
    json_t *json = json_pack("{s:s, s:s, s:s, s:I}", "gate", answer->gate, "scope",
                             answer->member ? "member" : "cluster", "answer", answer_text(answer->answer),
                             "age_us", (json_int_t)answer->age_us);
    json_put(json, "reason", json_text_of(answer->reason));
    json_put(json, "asked", json_text_of(answer->member ? answer->member : answer->node));
    return json;
}

static const struct charter_member *member_of(const struct survey *survey, const char *name) {
    const struct charter *charter = survey->cluster->charter;
    return &charter->members[cluster_member(survey->cluster, name)];
}

/* A mode's gate says which mode a member is in: only one of them can be yes. */
static bool is_mode(const struct survey *survey, const struct survey_answer *answer) {
    const struct charter_member *member = answer->member ? member_of(survey, answer->member) : NULL;
    for (size_t i = 0; member && i < member->n_modes; i++)
        if (cluster_gate(survey->cluster, &member->modes[i].gate) == answer->is)
            return true;
    return false;
}

static bool has_mode(const struct survey *survey, const char *member) {
    for (size_t i = 0; i < survey->n_all; i++)
        if (survey->all[i].member == member && survey->all[i].answer == ANSWER_YES &&
            is_mode(survey, &survey->all[i]))
            return true;
    return false;
}

/* Left out: questions that only the planner needs, and the modes that a member is not in while it is in another. */
static bool is_judgement(const struct survey *survey, const struct survey_answer *answer) {
    if (strncmp(answer->gate, "value:", 6) == 0 || strncmp(answer->gate, "items:", 6) == 0)
        return false;
    return answer->answer == ANSWER_YES || !is_mode(survey, answer) || !has_mode(survey, answer->member);
}

static void check_done(struct survey *survey) {
    struct client *client = survey->user;
    json_t *gates = json_array();
    size_t n_not_yes = 0, n = 0;
    char text[128] = "";
    for (size_t i = 0; i < survey->n_all; i++)
        if (is_judgement(survey, &survey->all[i])) {
            n++;
            n_not_yes += survey->all[i].answer != ANSWER_YES;
            json_add(gates, gate_object(&survey->all[i]));
        }
    json_t *json = cluster_object(survey->daemon, survey->cluster);
    json_put(json, "gates", gates);
    if (n_not_yes > 0)
        snprintf(text, sizeof(text), "%zu of %zu gates are not yes", n_not_yes, n);
    client_reply(client, n_not_yes > 0 ? CLIENT_UNFINISHED : CLIENT_DONE, json, NULL, text);
    survey_free(survey);
}

void verb_cluster_check(struct client *client) {
    const struct cluster *cluster = cluster_named(client);
    if (cluster)
        client_begin(
            client,
            survey_new(client->daemon, cluster, SURVEY_FACTS | SURVEY_GATES, CHECK_MS, check_done, client),
            survey_cancel);
}

/* ---- adding ---- */

/* Waits until every member has answered, or the time is over. */
struct adding {
    struct client *client;
    struct cluster *cluster;
    struct survey *survey;
};

static void adding_free(void *operation) {
    struct adding *adding = operation;
    survey_free(adding->survey);
    free(adding);
}

static size_t n_unheard(const struct cluster *cluster, char *names, size_t size) {
    size_t n = 0, len = 0;
    names[0] = 0;
    for (size_t i = 0; i < cluster->charter->n_members; i++) {
        const struct member_seen *seen = &cluster->seen[i];
        if (seen->arena && !*seen->problem)
            continue;
        const char *why = seen->arena ? seen->problem : "no answer yet";
        n++;
        if (len < size)
            len += (size_t)snprintf(names + len, size - len, "%s%s: %s", n > 1 ? "\n" : "",
                                    cluster->charter->members[i].name, why);
    }
    return n;
}

static void adding_done(struct survey *survey) {
    struct adding *adding = survey->user;
    struct daemon *d = survey->daemon;
    char names[2048];
    size_t n = n_unheard(adding->cluster, names, sizeof(names));
    json_t *json = cluster_object(d, adding->cluster);
    client_reply(adding->client, n > 0 ? CLIENT_UNFINISHED : CLIENT_DONE, json, NULL, names);
    adding_free(adding);
}

static uint64_t wait_of(const struct client *client) {
    const char *text = client_argument(client, "wait");
    char *end;
    unsigned long seconds = text && *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 10;
    return 1000 * (uint64_t)(seconds < WAIT_MAX_S ? seconds : WAIT_MAX_S);
}

/* Why the charter may not take the place of the one that is there, or 0. */
static int serial_check(const struct daemon *d, const struct cluster *cluster, struct error *err) {
    const struct cluster *old = cluster_find(d, cluster->name);
    if (!old || digest_equal(&old->digest, &cluster->digest))
        return 0;
    if (cluster->charter->serial <= old->charter->serial)
        return error_set(err, -EPERM, "cluster %s: serial %llu is not larger than %llu, which is there",
                         cluster->name, (unsigned long long)cluster->charter->serial,
                         (unsigned long long)old->charter->serial);
    if (engine_run_open(d->engine, cluster->name))
        return error_set(err, -EPERM, "cluster %s: a run is under way; a new charter has to wait for its end",
                         cluster->name);
    return 0;
}

static int cluster_keep(struct daemon *d, struct cluster *cluster, struct error *err) {
    struct store_charter charter = {cluster->name,         cluster->blob,  cluster->file_bytes,
                                    cluster->recipe_bytes, cluster->adopt, cluster->added_ms};
    int r = store_charter_put(d->store, &charter, err);
    return r == 0 ? cluster_put(d, cluster, err) : r;
}

void verb_cluster_add(struct client *client) {
    struct daemon *d = client->daemon;
    struct cluster *cluster;
    struct error err;
    const struct bytes *blobs = client->request->blobs;
    const char *adopt = client_argument(client, "adopt");
    struct cluster_source source = {blobs[0], blobs[1], blobs[2], adopt && strcmp(adopt, "yes") == 0,
                                    daemon_now(d)};
    int r = cluster_new(d, &source, &cluster, &err);
    if (r < 0) {
        client_refuse(client, r == -EINVAL || r == -EBADMSG ? CLIENT_BAD_INPUT : CLIENT_REFUSED, "%s",
                      err.text);
        return;
    }
    r = serial_check(d, cluster, &err);
    if (r < 0) {
        cluster_free(cluster);
        client_refuse(client, CLIENT_REFUSED, "%s", err.text);
        return;
    }
    r = cluster_keep(d, cluster, &err);
    if (r < 0) {
        daemon_fail(d, r, &err);
        return;
    }
    log_info("cluster", "%s: charter %llu taken in, from %s", cluster->name,
             (unsigned long long)cluster->charter->serial, client->who);
    cluster_send(d, cluster, NULL);
    struct adding *adding = calloc(1, sizeof(*adding));
    if (!adding)
        abort();
    *adding = (struct adding){client, cluster, NULL};
    adding->survey = survey_new(d, cluster, SURVEY_FACTS, wait_of(client), adding_done, adding);
    client_begin(client, adding, adding_free);
}
