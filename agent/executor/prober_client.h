/* The executor's end of the prober: starts it, asks it, restarts it when it dies. What is outstanding then, and what is
 * not answered in time, is unknown; a prober can answer questions and nothing else. */
#ifndef KEDGE_EXECUTOR_PROBER_CLIENT_H
#define KEDGE_EXECUTOR_PROBER_CLIENT_H

#include "agent/prober/prober_ipc.h"

#include <systemd/sd-event.h>

struct prober_client;

/* `program` is started with the request socket as descriptor PROBER_IPC_FD and `--user USER` when user is not NULL; both
 * must outlive the client. It is started by the first question. */
int prober_client_new(sd_event *loop, const char *program, const char *user, struct prober_client **outp,
                      struct error *err) _must_check_;
struct prober_client *prober_client_free(struct prober_client *client);

/* For tests: a socket whose other end answers, instead of a program. Takes it. */
int prober_client_new_on(sd_event *loop, int fd, struct prober_client **outp, struct error *err) _must_check_;

/* Called once; `reply` is valid during the call. */
typedef void (*prober_done)(void *context, const struct prober_reply *reply);

/* Asks; request->id is set here. The answer comes from the loop, never from within this call; after `timeout_ms` it is
 * unknown. The result is a number for prober_cancel; 0 when memory is out (then `done` is not called). */
uint32_t prober_ask(struct prober_client *client, const struct prober_request *request, uint32_t timeout_ms,
                    prober_done done, void *context);

/* Forgets the question. */
void prober_cancel(struct prober_client *client, uint32_t id);

#endif
