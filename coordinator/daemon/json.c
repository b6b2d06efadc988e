/* Small shapes: nodes, clusters, releases. Their keys stand in coordinator/control/README.md. */
#include "coordinator/daemon/clients.h"

#include <string.h>

void json_put(json_t *object, const char *key, json_t *value) {
    if (!object || !value || json_object_set_new(object, key, value) < 0)
        abort();
}

void json_add(json_t *array, json_t *value) {
    if (!array || !value || json_array_append_new(array, value) < 0)
        abort();
}

/* jansson refuses what is not UTF-8: then each byte above ASCII becomes a question mark. */
json_t *json_text_of(const char *text) {
    json_t *json = json_string(text);
    if (json)
        return json;
    char *copy = strdup(text);
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    json = copy ? json_string(copy) : NULL;
    free(copy);
    if (!json)
        abort();
    return json;
}

json_t *json_digest(const struct digest *digest) {
    char text[KEDGE_DIGEST_TEXT_SIZE];
    digest_format(text, digest);
    return json_text_of(text);
}

json_t *json_fingerprint(const struct public_key *key) {
    char text[KEDGE_FINGERPRINT_TEXT_SIZE];
    public_key_fingerprint(text, key);
    return json_text_of(text);
}

static void put_number(json_t *object, const char *key, uint64_t value) {
    json_put(object, key, json_integer((json_int_t)value));
}

/* ---- nodes ---- */

static json_t *members_of_node(const struct daemon *d, const char *node) {
    json_t *members = json_array();
    for (size_t i = 0; i < d->n_clusters; i++) {
        const struct charter *charter = d->clusters[i]->charter;
        for (size_t k = 0; k < charter->n_members; k++)
            if (strcmp(charter->members[k].node, node) == 0)
                json_add(members, json_text_of(charter->members[k].name));
    }
    return members;
}

json_t *json_node(const struct daemon *d, const struct fleet_node *node) {
    char key[KEDGE_PUBLIC_KEY_TEXT_SIZE];
    json_t *json = json_object();
    public_key_format(key, &node->key);
    json_put(json, "name", json_text_of(node->name));
    json_put(json, "state", json_text_of(node_state_text(node->state)));
    json_put(json, "fingerprint", json_fingerprint(&node->key));
    json_put(json, "key", json_text_of(key));
    json_put(json, "address", json_text_of(node->address));
    json_put(json, "version", json_text_of(node->version));
    if (node->since_ms > 0)
        put_number(json, "since_ms", node->since_ms);
    json_put(json, "clock_skew_ms", json_integer(node->clock_skew_ms));
    struct node_hold hold;
    if (engine_node_hold(d->engine, node->name, &hold)) {
        json_t *held = json_object();
        json_put(held, "reason", json_text_of(hold.reason));
        put_number(held, "since_ms", hold.since_ms);
        if (hold.until_ms > 0)
            put_number(held, "until_ms", hold.until_ms);
        json_put(json, "hold", held);
    }
    if (node->state != NODE_PENDING)
        json_put(json, "members", members_of_node(d, node->name));
    return json;
}

/* ---- clusters ---- */

static void put_fact(json_t *json, const char *key, const struct member_seen *seen, const char *name) {
    const char *value = seen_fact(seen, name);
    if (value)
        json_put(json, key, json_text_of(value));
}

static void put_fact_number(json_t *json, const char *key, const struct member_seen *seen, const char *name) {
    const char *value = seen_fact(seen, name);
    if (value && *value >= '0' && *value <= '9')
        put_number(json, key, strtoull(value, NULL, 10));
}

/* The newer of facts and report. */
static void seen_put(json_t *json, const struct member_seen *seen) {
    if (seen->reported_ms > seen->at_ms) {
        json_put(json, "mode", json_text_of(mode_text(seen->mode)));
        json_put(json, "origin", json_text_of(origin_text(seen->origin)));
        json_put(json, "version", json_text_of(seen->version));
        put_number(json, "generation", seen->generation);
        put_number(json, "at_ms", seen->reported_ms);
        return;
    }
    put_fact(json, "mode", seen, "mode");
    put_fact(json, "origin", seen, "origin");
    put_fact(json, "version", seen, "release.version");
    put_fact_number(json, "generation", seen, "generation");
    put_fact_number(json, "pid", seen, "pid");
    if (seen->at_ms > 0)
        put_number(json, "at_ms", seen->at_ms);
}

static json_t *member_object(const struct daemon *d, const struct cluster *cluster, size_t index) {
    const struct charter_member *member = &cluster->charter->members[index];
    const struct member_seen *seen = &cluster->seen[index];
    const struct fleet_node *node = fleet_node(d->fleet, member->node);
    json_t *json = json_object();
    json_put(json, "name", json_text_of(member->name));
    json_put(json, "role", json_text_of(member->role));
    json_put(json, "node", json_text_of(member->node));
    json_put(json, "domain", json_text_of(cluster->file->members[index].domain));
    seen_put(json, seen);
    const char *managed = seen_fact(seen, "managed");
    if (managed)
        json_put(json, "managed", json_boolean(strcmp(managed, "yes") == 0));
    if (!node || node->state != NODE_OPEN)
        json_put(json, "problem", json_text_of("its agent is not connected"));
    else if (!seen->arena)
        json_put(json, "problem", json_text_of("its agent has not said anything about it yet"));
    else if (*seen->problem)
        json_put(json, "problem", json_text_of(seen->problem));
    return json;
}

/* The last run that closed the way back: its version and its number. */
static void finalized_put(const struct daemon *d, json_t *json, const char *cluster) {
    for (size_t i = engine_n_runs(d->engine); i-- > 0;) {
        const struct run *run = engine_run_at(d->engine, i);
        if (strcmp(run->plan->header.cluster, cluster) != 0 ||
            strcmp(run->plan->shape.strategy, "finalize") != 0 || run->n_state[MEMBER_DONE] == 0)
            continue;
        json_put(json, "finalized", json_text_of(run->plan->header.to_version));
        put_number(json, "finalized_by", run->id);
        return;
    }
}

json_t *json_cluster(const struct daemon *d, const struct cluster *cluster) {
    const struct run *run = engine_run_open(d->engine, cluster->name);
    json_t *json = json_object(), *members = json_array();
    json_put(json, "name", json_text_of(cluster->name));
    json_put(json, "system", json_text_of(cluster->charter->system));
    put_number(json, "serial", cluster->charter->serial);
    json_put(json, "charter", json_digest(&cluster->digest));
    json_put(json, "adopted", json_boolean(cluster->adopt));
    for (size_t i = 0; i < cluster->charter->n_members; i++)
        json_add(members, member_object(d, cluster, i));
    json_put(json, "members", members);
    if (run)
        put_number(json, "run", run->id);
    finalized_put(d, json, cluster->name);
    return json;
}

/* ---- releases ---- */

static json_t *quarantine_of(const struct daemon *d, const struct quarantine *q) {
    const struct release *release = release_find_digest(d, &q->what);
    const struct run *run = engine_run(d->engine, q->run);
    json_t *json = json_object();
    json_put(json, "digest", json_digest(&q->what));
    json_put(json, "is", json_text_of(release ? "release" : "configuration"));
    put_number(json, "since_ms", q->since_ms);
    put_number(json, "run", q->run);
    json_put(json, "member", json_text_of(run->members[q->member].order->member));
    json_put(json, "reason", json_text_of(q->reason));
    return json;
}

json_t *json_quarantines(const struct daemon *d) {
    json_t *list = json_array();
    for (size_t i = 0; i < engine_n_quarantines(d->engine); i++)
        json_add(list, quarantine_of(d, engine_quarantine_at(d->engine, i)));
    return list;
}

json_t *json_release(const struct daemon *d, const struct release *release) {
    const struct manifest *manifest = release->manifest;
    json_t *json = json_object(), *components = json_array();
    json_put(json, "system", json_text_of(manifest->system));
    json_put(json, "version", json_text_of(manifest->version));
    put_number(json, "serial", manifest->serial);
    json_put(json, "manifest", json_digest(&release->digest));
    put_number(json, "added_ms", release->added_ms);
    for (size_t i = 0; i < manifest->n_components; i++) {
        const struct component *component = &manifest->components[i];
        json_t *one = json_object();
        json_put(one, "name", json_text_of(component->name));
        json_put(one, "artifact", json_digest(&component->artifact));
        put_number(one, "size", component->size);
        put_number(one, "n_files", component->n_files);
        json_add(components, one);
    }
    json_put(json, "components", components);
    json_t *quarantines = json_array();
    for (size_t i = 0; i < engine_n_quarantines(d->engine); i++) {
        const struct quarantine *q = engine_quarantine_at(d->engine, i);
        if (digest_equal(&q->what, &release->digest))
            json_add(quarantines, quarantine_of(d, q));
    }
    json_put(json, "quarantines", quarantines);
    return json;
}
