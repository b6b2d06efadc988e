/* The control socket's clients. One request each, answered by a verb at once, or later by what the verb has begun. Replies
 * leave only after the turn's commit, so that nobody is told of what might not be durable.
 *
 * Texts and JSON are copied or taken by the reply functions; a client may vanish at any time, then its operation is told to
 * end through `cancel`, and the client must not be touched any more. */
#ifndef KEDGE_DAEMON_CLIENTS_H
#define KEDGE_DAEMON_CLIENTS_H

#include "coordinator/control/control.h"
#include "coordinator/daemon/daemon.h"

enum {
    CLIENTS_MAX = 64,
    /* Between connecting and having said it all. */
    CLIENT_REQUEST_MS = 60 * 1000,
    /* A watcher that does not read is left alone when so much waits for it. */
    CLIENT_OUT_BYTES_MAX = 2 * KEDGE_CONTROL_BYTES_MAX,
};

enum client_exit { CLIENT_DONE, CLIENT_FAILED, CLIENT_BAD_INPUT, CLIENT_REFUSED, CLIENT_UNFINISHED };

struct client;
typedef void client_cancel_fn(void *operation);

/* Watching a run; 0: not. */
struct client_watch {
    uint64_t run, seq, next_ms;
};

struct client {
    struct daemon *daemon;
    int fd;
    sd_event_source *io;
    char who[128]; /* "uid 1000", for the journal and the log */
    uint64_t deadline_ms;
    struct control_frame frame;
    struct arena *arena;                   /* of the request */
    const struct control_request *request; /* NULL until it is whole */
    struct buffer out;
    size_t out_sent;
    bool answered; /* the last reply is in `out`: close when it is sent */
    void *operation;
    client_cancel_fn *cancel;
    struct client_watch watch;
    struct client *next;
};

/* Binds the socket (0660); an old one is replaced: the store's lock says that nobody uses it. */
int clients_open(struct daemon *d, struct error *err) _must_check_;
void clients_close(struct daemon *d);

/* After the commit: sends what waits, feeds watchers, buries the gone. */
void clients_flush(struct daemon *d);
uint64_t clients_deadline(const struct daemon *d);

/* ---- for verbs ---- */

/* An argument of the request, or NULL. */
const char *client_argument(const struct client *client, const char *name);

/* The last reply. `json` is taken, NULL for none; `blob` may be NULL. */
void client_reply(struct client *client, enum client_exit exit_code, json_t *json, const struct bytes *blob,
                  const char *text);
void client_done(struct client *client, json_t *json);
void client_refuse(struct client *client, enum client_exit exit_code, const char *format, ...) _printf_(3, 4);

/* One of many replies. */
void client_reply_more(struct client *client, json_t *json);

/* What goes on after the verb returned; `cancel` is called when the client vanishes before client_reply. */
void client_begin(struct client *client, void *operation, client_cancel_fn *cancel);

/* Who says it, as it is put on record: "lena (uid 1000)". */
void client_by(const struct client *client, char *out, size_t size);

/* The run that is named by its id, the latest without one; NULL: there is none, and the client was told. */
const struct run *client_run(struct client *client);

/* ---- verbs.c ---- */

/* Answers, or begins an operation that will. */
void verb_run(struct client *client);

typedef void verb_fn(struct client *client);
verb_fn verb_version, verb_journal_verify, verb_node_list, verb_node_show, verb_node_approve,
    verb_cluster_add, verb_cluster_list, verb_cluster_show, verb_cluster_check, verb_release_add,
    verb_release_list, verb_release_show, verb_plan, verb_apply, verb_run_list, verb_run_show, verb_run_watch,
    verb_run_pause, verb_run_resume, verb_run_abort, verb_run_rollback, verb_run_retry, verb_run_skip,
    verb_run_retire, verb_run_promote, verb_run_waive, verb_node_hold, verb_node_return, verb_status;

/* The next reply to a watcher; the last one when the run has ended. */
void watch_feed(struct client *client, uint64_t now_ms);

/* ---- json_*.c: new references; abort when memory is out ---- */

json_t *json_node(const struct daemon *d, const struct fleet_node *node);
json_t *json_cluster(const struct daemon *d, const struct cluster *cluster);
json_t *json_release(const struct daemon *d, const struct release *release);
/* What failed and is not to be tried again: releases and configurations, each with where, when and how. */
json_t *json_quarantines(const struct daemon *d);

enum json_run_size { JSON_RUN_SHORT, JSON_RUN_LIVE, JSON_RUN_WHOLE };
/* LIVE: with members and what they wait for, events behind `after_seq`; WHOLE: with all events, steps and evidence. */
json_t *json_run(struct daemon *d, const struct run *run, enum json_run_size size, uint64_t after_seq);
/* {run: run} */
json_t *json_run_object(struct daemon *d, const struct run *run, enum json_run_size size);
json_t *json_digest(const struct digest *digest);
json_t *json_fingerprint(const struct public_key *key);
/* Anything that may hold bytes which are not UTF-8 becomes text that is. */
json_t *json_text_of(const char *text);
/* object[key] = value, both must be there. */
void json_put(json_t *object, const char *key, json_t *value);
void json_add(json_t *array, json_t *value);

#endif
