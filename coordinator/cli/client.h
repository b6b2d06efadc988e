/* The CLI's side of the control socket: a request, and its replies as JSON. What verbs there are and what they answer
 * stands in coordinator/control/README.md. Every text of a reply is cleaned of control characters here, once, so that
 * nothing foreign reaches the terminal as an escape. */
#ifndef KEDGE_CLI_CLIENT_H
#define KEDGE_CLI_CLIENT_H

#include "coordinator/cli/cli.h"
#include "coordinator/cli/text.h"
#include "proto/messages.h"

#include <jansson.h>

struct reply {
    int exit_code; /* enum cli_exit */
    const char *text;
    json_t *json; /* owned; an object, perhaps empty */
    const struct bytes *blobs;
    size_t n_blobs;
    struct arena *arena; /* text and blobs lie in it */
};
void reply_deinit(struct reply *reply);

static inline void json_freep(json_t **json) {
    json_decref(*json);
}

struct call {
    const char *verb;
    struct fact arguments[CLI_WORDS_MAX];
    size_t n_arguments;
    const struct bytes *blobs;
    size_t n_blobs;
};

/* Adds an argument unless `value` is NULL. */
void call_argument(struct call *call, const char *name, const char *value);

/* Asks and takes the one reply. A reply that is not "done" or "not finished" becomes an error: its text in cli->err,
 * and the result is its exit code (positive). 0 when there is something to show. */
int client_call(struct cli *cli, const struct call *call, struct reply *reply) _must_check_;

/* True for failures of the line itself: kedged is not there, or went away. */
bool client_is_gone(int result);

/* For watching: each reply is handed over; a result that is not 0 ends it. */
typedef int client_each(struct cli *cli, struct reply *reply, void *argument);
int client_watch(struct cli *cli, const struct call *call, client_each *each, void *argument) _must_check_;

/* ---- taking JSON apart: what is missing is "", 0, false or an empty list ---- */

const char *json_text(const json_t *object, const char *key);
int64_t json_number(const json_t *object, const char *key);
bool json_yes(const json_t *object, const char *key);
bool json_has(const json_t *object, const char *key);
const json_t *json_list(const json_t *object, const char *key);
/* The texts of a list, joined by ", ". */
const char *json_joined(struct cli *cli, const json_t *object, const char *key);

/* A number or a text, as text. */
const char *json_id(struct cli *cli, const json_t *object, const char *key);

/* Prints the document for --json. */
int json_print(const json_t *json);

#endif
