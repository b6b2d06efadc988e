/* The coordinator's program: one loop around a pure engine. What comes in (agents' words, operators' requests, time) becomes
 * events of the engine; what it decides becomes records, which are made durable once per turn of the loop, and only then
 * orders and replies, which are sent. Questions are sent before: they change nothing.
 *
 *     a turn:  fleet_turn / a request / a timer  ──▶ conduct_event ──▶ engine_step ──▶ records to the store, rest to the outbox
 *     its end: questions to the fleet ──▶ store_commit ──▶ the rest of the outbox ──▶ replies to clients ──▶ the timer is set again
 *
 * Where to look:  conduct.c    engine, store and fleet played together; recovery
 *                 clusters.c   charters, and what was seen of their members
 *                 survey.c     facts and gates of a whole cluster, asked at once
 *                 clients.c    the control socket;  verbs.c and verbs_*.c  what is said there
 *                 json_*.c     what replies look like
 *
 * This header is for the files of this room only. */
#ifndef KEDGE_DAEMON_DAEMON_H
#define KEDGE_DAEMON_DAEMON_H

#include "coordinator/daemon/config.h"
#include "coordinator/engine/engine.h"
#include "coordinator/fleet/artifact_server.h"
#include "coordinator/fleet/artifacts.h"
#include "coordinator/fleet/fleet.h"
#include "coordinator/recipes/cluster_file.h"
#include "coordinator/store/store.h"

#include <jansson.h>
#include <systemd/sd-event.h>

struct client;
struct outgoing;
struct plan_index;

static inline void json_freep(json_t **json) {
    json_decref(*json);
}

/* ---- what is known of a cluster ---- */

/* The last facts of one member, from its agent. */
struct member_seen {
    struct arena *arena; /* NULL: never heard of */
    const struct fact *facts;
    size_t n_facts;
    const char *problem; /* "" */
    uint64_t at_ms;      /* when they came */
    uint64_t seen_ms;    /* when they were seen, on the agent's clock */
    char live[256];      /* what the last heartbeat said of it */
    /* Newer than the facts, when it is: from a report, or from a heartbeat that said something new. */
    uint64_t reported_ms;
    enum mode mode;
    enum origin origin;
    uint32_t generation;
    char version[KEDGE_NAME_MAX + 1];
};

struct cluster {
    struct arena *arena; /* everything below */
    const char *name;
    struct bytes blob, file_bytes, recipe_bytes;
    struct digest digest; /* of the bytes that were signed */
    const struct charter *charter;
    const struct recipe *recipe;
    const struct cluster_file *file; /* its members in the order of the charter's */
    const struct gate *gates;        /* decoded, with their digests */
    const struct digest *gate_digests;
    size_t n_gates;
    bool adopt;
    uint64_t added_ms;
    struct member_seen *seen; /* by the charter's members */
    struct cluster *older;    /* that this one replaced */
};

struct release {
    struct arena *arena;
    struct digest digest; /* of the signed blob */
    struct bytes blob;
    const struct manifest *manifest;
    uint64_t added_ms;
};

/* One record of a run, as `events` shows it. */
struct history_event {
    uint64_t seq;
    struct record record; /* texts owned */
};
struct history {
    uint64_t run;
    struct history_event *events;
    size_t n, room;
};

struct daemon {
    const struct daemon_config *config;
    struct key_pair key;
    sd_event *loop;
    sd_event_source *timer, *commit;
    uint64_t real_ms, boot_us; /* the clock's anchor, see daemon_now */
    uint64_t began_ms, epoch;
    char journal_path[KEDGE_PATH_MAX + 1], artifacts_path[KEDGE_PATH_MAX + 1],
        control_path[KEDGE_PATH_MAX + 1];

    struct store *store;
    struct engine *engine;
    struct actions actions;
    struct fleet *fleet;
    struct artifact_server *artifact_server;
    struct outgoing *outbox;
    size_t n_outbox, room_outbox;
    struct plan_index *plan_indexes;

    struct cluster **clusters; /* by name */
    size_t n_clusters;
    struct release **releases; /* by the time when they were added */
    size_t n_releases;
    struct history **histories; /* by run */
    size_t n_histories;

    int control_fd;
    struct client *clients;
    size_t n_clients;
    bool changed; /* something that a watcher shows has changed in this turn */
    int failed;   /* why the program ends; 0: it does not, or was asked to */
};

/* ---- daemon.c ---- */

/* Milliseconds since 1970, and never going back: anchored once at the start, then CLOCK_BOOTTIME. A clock that is set
 * while kedged runs must not make a gate look held. */
uint64_t daemon_now(const struct daemon *d);

int daemon_run(const struct daemon_config *config, struct error *err) _must_check_;

/* Ends the program with a sentence: what is durable brings it back. */
void daemon_fail(struct daemon *d, int code, const struct error *err);

/* ---- conduct.c ---- */

/* Replays the journal into a fresh engine and begins a new reign. */
int conduct_recover(struct daemon *d, struct error *err) _must_check_;
void conduct_deinit(struct daemon *d);

/* 0, or ENGINE_REFUSED: see d->actions.refused. now_ms is set here. */
int conduct_event(struct daemon *d, struct event event);

/* The same for an operator's signed word about a run, which goes to all of its nodes when the engine has taken it. */
int conduct_word(struct daemon *d, struct event event, struct bytes word);

/* The end of a turn. */
void conduct_commit(struct daemon *d);

/* For fleet_new. */
extern const struct fleet_callbacks conduct_callbacks;

/* ---- orders.c ---- */
void order_send(struct daemon *d, const struct run *run, const struct action *action);
void plan_indexes_deinit(struct daemon *d);

/* ---- history.c ---- */
void history_note(struct daemon *d, uint64_t seq, const struct record *record);
const struct history *history_of(const struct daemon *d, uint64_t run); /* or NULL */
void histories_deinit(struct daemon *d);

/* ---- clusters.c ---- */

struct cluster_source {
    struct bytes charter, file, recipe;
    bool adopt;
    uint64_t added_ms;
};
/* Verifies and judges all three; copies them. */
int cluster_new(const struct daemon *d, const struct cluster_source *source, struct cluster **outp,
                struct error *err) _must_check_;
struct cluster *cluster_free(struct cluster *cluster);
/* Takes it; an older one of the name is kept behind it, for those who still look at it. */
int cluster_put(struct daemon *d, struct cluster *cluster, struct error *err) _must_check_;
struct cluster *cluster_find(const struct daemon *d, const char *name);
int clusters_load(struct daemon *d, struct error *err) _must_check_;
void clusters_deinit(struct daemon *d);
void cluster_send(struct daemon *d, const struct cluster *cluster,
                  const char *node); /* NULL: to all of the roster */
const struct gate *cluster_gate(const struct cluster *cluster, const struct digest *digest);
/* Their index, or n_members. */
size_t cluster_member(const struct cluster *cluster, const char *member);
void cluster_facts(struct daemon *d, const char *node, const struct facts_message *facts);
void cluster_report(struct daemon *d, const char *node, const struct report *report);
void cluster_heartbeat(struct daemon *d, const char *node, const struct heartbeat *heartbeat);
const char *seen_fact(const struct member_seen *seen, const char *name); /* or NULL */

/* ---- releases.c ---- */
int release_new(const struct daemon *d, struct bytes blob, uint64_t added_ms, struct release **outp,
                struct error *err) _must_check_;
struct release *release_free(struct release *release);
int release_put(struct daemon *d, struct release *release, struct error *err) _must_check_;
int releases_load(struct daemon *d, struct error *err) _must_check_;
void releases_deinit(struct daemon *d);
const struct release *release_find(const struct daemon *d,
                                   const char *name); /* "SYSTEM-VERSION", the newest */
const struct release *release_find_digest(const struct daemon *d, const struct digest *digest);

#endif
