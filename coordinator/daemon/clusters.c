/* A cluster is what an operator signed: charter, and the recipe and cluster file that it was made from. The recipe is bound
 * by the charter's digest; the cluster file is only checked to name the same members: it holds values for plans, and a plan
 * is signed again. */
#include "coordinator/daemon/daemon.h"

#include "common/base/log.h"
#include "common/plan/encoding.h"

#include <string.h>

enum { CLUSTER_ARENA_BYTES_MAX = 64 * 1024 * 1024, FACTS_ARENA_BYTES_MAX = KEDGE_DOCUMENT_ARENA_BYTES_MAX };

struct cluster *cluster_free(struct cluster *cluster) {
    if (!cluster)
        return NULL;
    for (size_t i = 0; cluster->seen && i < cluster->charter->n_members; i++)
        arena_free(cluster->seen[i].arena);
    cluster_free(cluster->older);
    free(cluster->seen);
    arena_free(cluster->arena);
    free(cluster);
    return NULL;
}

static void cluster_freep(struct cluster **cluster) {
    *cluster = cluster_free(*cluster);
}

static int bytes_keep(struct arena *arena, struct bytes from, struct bytes *to, struct error *err) {
    to->data = arena_copy(arena, from.data, from.len);
    to->len = from.len;
    return to->data ? 0 : error_errno(err, -ENOMEM, "cluster");
}

/* ---- judging ---- */

/* The agents of the roster must be those that an operator approved, under the same names. */
static int roster_check(const struct daemon *d, const struct charter *charter, struct error *err) {
    for (size_t i = 0; i < charter->n_roster; i++) {
        const struct fleet_node *node = fleet_node(d->fleet, charter->roster[i].node);
        if (!node)
            return error_set(err, -EPERM, "node %s of its roster is not approved (see kedge node list)",
                             charter->roster[i].node);
        if (!public_key_equal(&node->key, &charter->roster[i].key))
            return error_set(err, -EPERM,
                             "node %s of its roster has another key than the one that was approved",
                             charter->roster[i].node);
    }
    return 0;
}

/* Members of charter and file are the same, in the same order: facts go by the one, plans by the other. */
static int file_check(const struct cluster *cluster, struct error *err) {
    const struct charter *charter = cluster->charter;
    const struct cluster_file *file = cluster->file;
    if (strcmp(file->name, charter->cluster) != 0)
        return error_set(err, -EINVAL, "the cluster file is for %s, the charter for %s", file->name,
                         charter->cluster);
    if (file->n_members != charter->n_members)
        return error_set(err, -EINVAL, "the cluster file has %zu members, the charter %zu", file->n_members,
                         charter->n_members);
    for (size_t i = 0; i < file->n_members; i++)
        if (strcmp(file->members[i].full_name, charter->members[i].name) != 0)
            return error_set(err, -EINVAL, "the cluster file has %s where the charter has %s",
                             file->members[i].full_name, charter->members[i].name);
    return 0;
}

static int gates_decode(struct cluster *cluster, struct error *err) {
    const struct charter *charter = cluster->charter;
    struct gate *gates = arena_array(cluster->arena, charter->n_gates, sizeof(*gates));
    struct digest *digests = arena_array(cluster->arena, charter->n_gates, sizeof(*digests));
    if (!gates || !digests)
        return error_errno(err, -ENOMEM, "gates");
    for (size_t i = 0; i < charter->n_gates; i++) {
        struct gate *gate;
        int r = codec_decode(&gate_codec, charter->gates[i], cluster->arena, &gate, err);
        if (r < 0)
            return r;
        gates[i] = *gate;
        digests[i] = digest_of(charter->gates[i]);
    }
    cluster->gates = gates;
    cluster->gate_digests = digests;
    cluster->n_gates = charter->n_gates;
    return 0;
}

static int files_parse(struct cluster *cluster, struct error *err) {
    struct digest recipe = digest_of(cluster->recipe_bytes);
    if (!digest_equal(&recipe, &cluster->charter->recipe))
        return error_set(err, -EPERM, "the recipe that came with it is not the one that its charter names");
    int r =
        recipe_parse(cluster->arena, cluster->charter->system, cluster->recipe_bytes, &cluster->recipe, err);
    if (r == 0)
        r = cluster_file_parse(cluster->arena, cluster->charter->cluster, cluster->file_bytes,
                               cluster->recipe, &cluster->file, err);
    return r == 0 ? file_check(cluster, err) : r;
}

static int charter_take(const struct daemon *d, struct cluster *cluster, struct error *err) {
    struct signed_blob blob;
    int r = charter_verify(&d->config->anchors, NULL, cluster->blob, cluster->arena, &cluster->charter, err);
    if (r == 0)
        r = signed_blob_decode(&blob, cluster->blob, err);
    if (r < 0)
        return r;
    cluster->digest = digest_of(blob.bytes);
    cluster->name = cluster->charter->cluster;
    cluster->seen = calloc(cluster->charter->n_members + 1, sizeof(*cluster->seen));
    return cluster->seen ? roster_check(d, cluster->charter, err) : error_errno(err, -ENOMEM, "cluster");
}

int cluster_new(const struct daemon *d, const struct cluster_source *source, struct cluster **outp,
                struct error *err) {
    _cleanup_(cluster_freep) struct cluster *cluster = calloc(1, sizeof(*cluster));
    if (!cluster || !(cluster->arena = arena_new(CLUSTER_ARENA_BYTES_MAX)))
        return error_errno(err, -ENOMEM, "cluster");
    cluster->adopt = source->adopt;
    cluster->added_ms = source->added_ms;
    int r = bytes_keep(cluster->arena, source->charter, &cluster->blob, err);
    if (r == 0)
        r = bytes_keep(cluster->arena, source->file, &cluster->file_bytes, err);
    if (r == 0)
        r = bytes_keep(cluster->arena, source->recipe, &cluster->recipe_bytes, err);
    if (r == 0)
        r = charter_take(d, cluster, err);
    if (r == 0)
        r = files_parse(cluster, err);
    if (r == 0)
        r = gates_decode(cluster, err);
    if (r < 0)
        return cluster->name ? error_context(err, r, "cluster %s", cluster->name) : r;
    *outp = TAKE(cluster);
    return 0;
}

/* ---- the table ---- */

struct cluster *cluster_find(const struct daemon *d, const char *name) {
    for (size_t i = 0; name && i < d->n_clusters; i++)
        if (strcmp(d->clusters[i]->name, name) == 0)
            return d->clusters[i];
    return NULL;
}

int cluster_put(struct daemon *d, struct cluster *cluster, struct error *err) {
    for (size_t i = 0; i < d->n_clusters; i++)
        if (strcmp(d->clusters[i]->name, cluster->name) == 0) {
            cluster->older = d->clusters[i]; /* a survey may still look at it */
            d->clusters[i] = cluster;
            return 0;
        }
    struct cluster **clusters = realloc(d->clusters, (d->n_clusters + 1) * sizeof(*clusters));
    if (!clusters) {
        cluster_free(cluster);
        return error_errno(err, -ENOMEM, "cluster");
    }
    size_t at = d->n_clusters++;
    for (; at > 0 && strcmp(clusters[at - 1]->name, cluster->name) > 0; at--)
        clusters[at] = clusters[at - 1];
    clusters[at] = cluster;
    d->clusters = clusters;
    return 0;
}

/* A charter that does not verify any more (an operator's key was taken out) is left out with a line, not a reason to stand
 * still: its runs are in the journal. */
static int charter_load(void *user, const struct store_charter *charter, struct error *err) {
    struct daemon *d = user;
    struct cluster *cluster;
    struct error why;
    struct cluster_source source = {charter->charter, charter->cluster_file, charter->recipe, charter->adopt,
                                    charter->added_ms};
    if (cluster_new(d, &source, &cluster, &why) < 0) {
        log_error("cluster", "%s is left out: %s", charter->cluster, why.text);
        return 0;
    }
    return cluster_put(d, cluster, err);
}

int clusters_load(struct daemon *d, struct error *err) {
    return store_charters(d->store, charter_load, d, err);
}

void clusters_deinit(struct daemon *d) {
    for (size_t i = 0; i < d->n_clusters; i++)
        cluster_free(d->clusters[i]);
    free(d->clusters);
}

void cluster_send(struct daemon *d, const struct cluster *cluster, const char *node) {
    struct charter_message message = {cluster->blob, cluster->adopt};
    for (size_t i = 0; i < cluster->charter->n_roster; i++)
        if (!node || strcmp(cluster->charter->roster[i].node, node) == 0)
            (void)!fleet_send_charter(d->fleet, cluster->charter->roster[i].node, &message);
}

const struct gate *cluster_gate(const struct cluster *cluster, const struct digest *digest) {
    for (size_t i = 0; i < cluster->n_gates; i++)
        if (digest_equal(&cluster->gate_digests[i], digest))
            return &cluster->gates[i];
    return NULL;
}

/* ---- what was seen ---- */

size_t cluster_member(const struct cluster *cluster, const char *member) {
    size_t i = 0;
    while (i < cluster->charter->n_members && strcmp(cluster->charter->members[i].name, member) != 0)
        i++;
    return i;
}

/* The place for what `node` says of one member, or NULL: no node speaks for another's (A17). */
static struct member_seen *seen_of(struct daemon *d, const char *cluster_name, const char *member,
                                   const char *node) {
    struct cluster *cluster = cluster_find(d, cluster_name);
    size_t i = cluster ? cluster_member(cluster, member) : 0;
    if (!cluster || i == cluster->charter->n_members ||
        strcmp(cluster->charter->members[i].node, node) != 0) {
        log_warning("facts", "%s speaks of %s of cluster %s, which is not its own", node, member,
                    cluster_name);
        return NULL;
    }
    return &cluster->seen[i];
}

static struct arena *facts_keep(struct member_seen *seen, const struct facts_message *message) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(FACTS_ARENA_BYTES_MAX);
    struct fact *facts = arena ? arena_array(arena, message->n_facts, sizeof(*facts)) : NULL;
    const char *problem = facts ? arena_text(arena, message->problem ? message->problem : "") : NULL;
    for (size_t i = 0; problem && i < message->n_facts; i++) {
        facts[i].name = arena_text(arena, message->facts[i].name);
        facts[i].value = arena_text(arena, message->facts[i].value);
        if (!facts[i].name || !facts[i].value)
            return NULL;
    }
    if (!problem)
        return NULL;
    seen->facts = facts;
    seen->n_facts = message->n_facts;
    seen->problem = problem;
    return TAKE(arena);
}

void cluster_facts(struct daemon *d, const char *node, const struct facts_message *message) {
    struct member_seen *seen = seen_of(d, message->cluster, message->member, node);
    if (!seen)
        return;
    struct arena *old = seen->arena;
    seen->arena = facts_keep(seen, message);
    if (!seen->arena) {
        seen->n_facts = 0;
        seen->problem = "out of memory";
    }
    arena_free(old);
    seen->at_ms = daemon_now(d);
    seen->seen_ms = message->at_ms;
    d->changed = true;
}

void cluster_report(struct daemon *d, const char *node, const struct report *report) {
    struct member_seen *seen = seen_of(d, report->cluster, report->member, node);
    if (!seen || report->outcome == OUTCOME_BEGUN)
        return;
    seen->reported_ms = daemon_now(d);
    if (report->at_ms > seen->seen_ms)
        seen->seen_ms = report->at_ms; /* what was seen before the report does not overtake it */
    seen->mode = report->mode;
    seen->origin = report->origin;
    seen->generation = report->generation;
    snprintf(seen->version, sizeof(seen->version), "%s", report->version);
}

static int word_index(const char *word, const char *const *texts, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(word, texts[i]) == 0)
            return i;
    return 0; /* unknown, none */
}

/* "NAME mode origin VERSION generation N state": what an agent sees of its members without being asked. Only a line that
 * is new says something: the same one may be older than what was asked since. `clock_ms` is the agent's, as in its facts. */
static void live_take(struct daemon *d, struct member_seen *seen, const char *line, uint64_t clock_ms) {
    const char *modes[MODES], *origins[ORIGINS];
    char mode[32], origin[32], version[KEDGE_NAME_MAX + 1];
    unsigned generation;
    if (strcmp(seen->live, line) == 0)
        return;
    snprintf(seen->live, sizeof(seen->live), "%s", line);
    for (int i = 0; i < MODES; i++)
        modes[i] = mode_text((enum mode)i);
    for (int i = 0; i < ORIGINS; i++)
        origins[i] = origin_text((enum origin)i);
    if (sscanf(line, "%*s %31s %31s %63s generation %u", mode, origin, version, &generation) != 4 ||
        word_index(mode, modes, MODES) == MODE_UNKNOWN || clock_ms < seen->seen_ms)
        return;
    seen->reported_ms = daemon_now(d);
    seen->mode = (enum mode)word_index(mode, modes, MODES);
    seen->origin = (enum origin)word_index(origin, origins, ORIGINS);
    seen->generation = generation;
    snprintf(seen->version, sizeof(seen->version), "%s", version);
    d->changed = true;
}

void cluster_heartbeat(struct daemon *d, const char *node, const struct heartbeat *heartbeat) {
    for (size_t i = 0; i < heartbeat->n_live; i++) {
        char name[KEDGE_MEMBER_NAME_MAX + 1];
        const char *line = heartbeat->live[i].value, *slash = strchr(line, '/');
        if (strcmp(heartbeat->live[i].name, "member") != 0 || !slash || sscanf(line, "%191s", name) != 1)
            continue;
        char *cluster = strndup(line, (size_t)(slash - line));
        struct member_seen *seen = cluster ? seen_of(d, cluster, name, node) : NULL;
        free(cluster);
        if (seen)
            live_take(d, seen, line, heartbeat->clock_ms);
    }
}

const char *seen_fact(const struct member_seen *seen, const char *name) {
    return seen->n_facts > 0 ? fact_get(seen->facts, seen->n_facts, name) : NULL;
}
