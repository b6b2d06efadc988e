/* Words about one member. `retry` goes on with what was signed; the others weaken it, so they come as a document that
 * operators signed. It is verified here with the keys of kedged.yaml, put on record, kept as it came, and passed on to
 * the agents, which judge it with their own keys: without it none of them lets pass what this side has set aside. */
#include "coordinator/daemon/clients.h"

#include "common/base/log.h"
#include "common/plan/word.h"

#include <string.h>

static void refuse_by_engine(struct client *client, const struct run *run) {
    client_refuse(client, CLIENT_REFUSED, "run %llu: %s", (unsigned long long)run->id,
                  client->daemon->actions.refused);
}

/* ---- signed ---- */

/* Kept in the transaction of the engine's record, which bears its digest. */
static int word_keep(struct daemon *d, const struct word *word, struct bytes blob, struct error *err) {
    struct store_word kept = {word->cluster, word->serial, word->expires_s, blob};
    int r = store_word_put(d->store, &kept, err);
    if (r < 0)
        daemon_fail(d, r, err);
    return r;
}

/* Without its objects from before the stop nothing can be compared after it: agents would not let this pass. */
static int gate_check(const struct run *run, const struct word *word, struct error *err) {
    for (size_t i = 0; word->kind == WORD_WAIVE && i < run->plan->n_gates; i++)
        if (run->plan->gates[i].sample && strcmp(run->plan->gates[i].name, word->gate) == 0)
            return error_set(err, -EPERM, "gate %s keeps a sample, which is needed after the stop",
                             word->gate);
    return 0;
}

static int word_belongs(const struct run *run, const struct word *word, enum word_kind kind,
                        struct error *err) {
    const struct header *header = &run->plan->header;
    if (word->kind != kind)
        return error_set(err, -EBADMSG, "what was signed is %s, not %s", word_kind_text(word->kind),
                         word_kind_text(kind));
    if (strcmp(word->cluster, header->cluster) != 0 || word->serial != header->serial)
        return error_set(err, -EPERM, "what was signed is about plan %llu of %s, the run is plan %llu of %s",
                         (unsigned long long)word->serial, word->cluster, (unsigned long long)header->serial,
                         header->cluster);
    return gate_check(run, word, err);
}

static void word_take(struct client *client, const struct run *run, const struct word *word,
                      enum run_event command) {
    struct daemon *d = client->daemon;
    struct bytes blob = client->request->blobs[0];
    struct error err;
    char who[256], reason[KEDGE_REASON_MAX], text[KEDGE_REASON_MAX];
    client_by(client, who, sizeof(who));
    size_t n = strlen(word->author);
    bool same = strncmp(who, word->author, n) == 0 && who[n] == ' ';
    snprintf(reason, sizeof(reason), "%s%s%s: %s", same ? "" : word->author, same ? "" : ", handed in by ",
             who, word->reason);
    int r = conduct_word(d,
                         (struct event){.kind = EVENT_COMMAND,
                                        .run = run->id,
                                        .command = command,
                                        .member = word->member,
                                        .gate = word->kind == WORD_WAIVE ? word->gate : NULL,
                                        .until_ms = word->kind == WORD_WAIVE ? word->expires_s * 1000 : 0,
                                        .word = digest_of(blob),
                                        .text = reason},
                         blob);
    if (r == ENGINE_REFUSED) {
        refuse_by_engine(client, run);
        return;
    }
    if (word_keep(d, word, blob, &err) < 0)
        return;
    word_text(word, text, sizeof(text));
    log_info("run", "%llu: %s, by %s", (unsigned long long)run->id, text, reason);
    client_done(client, json_run_object(d, run, JSON_RUN_SHORT));
}

static void signed_verb(struct client *client, enum word_kind kind, enum run_event command) {
    struct daemon *d = client->daemon;
    const struct run *run = client_run(client);
    const struct word *word = NULL;
    struct error err;
    if (!run)
        return;
    int r = word_verify(&d->config->anchors, client->request->blobs[0], daemon_now(d) / 1000, client->arena,
                        &word, &err);
    if (r == 0)
        r = word_belongs(run, word, kind, &err);
    if (r < 0)
        client_refuse(client, r == -EBADMSG ? CLIENT_BAD_INPUT : CLIENT_REFUSED, "run %llu: %s",
                      (unsigned long long)run->id, err.text);
    else
        word_take(client, run, word, command);
}

void verb_run_skip(struct client *client) {
    signed_verb(client, WORD_SKIP, RUN_EVENT_SKIP);
}

void verb_run_retire(struct client *client) {
    signed_verb(client, WORD_RETIRE, RUN_EVENT_RETIRE);
}

void verb_run_promote(struct client *client) {
    signed_verb(client, WORD_PROMOTE, RUN_EVENT_PROMOTE);
}

void verb_run_waive(struct client *client) {
    signed_verb(client, WORD_WAIVE, RUN_EVENT_WAIVE);
}

/* ---- unsigned ---- */

void verb_run_retry(struct client *client) {
    struct daemon *d = client->daemon;
    const struct run *run = client_run(client);
    const char *reason = client_argument(client, "reason"), *member = client_argument(client, "member");
    char who[256], text[KEDGE_REASON_MAX];
    if (!run)
        return;
    client_by(client, who, sizeof(who));
    snprintf(text, sizeof(text), "%s%s%s", who, reason ? ": " : "", reason ? reason : "");
    int r = conduct_event(d, (struct event){.kind = EVENT_COMMAND,
                                            .run = run->id,
                                            .command = RUN_EVENT_RETRY,
                                            .member = member,
                                            .text = text});
    if (r == ENGINE_REFUSED) {
        refuse_by_engine(client, run);
        return;
    }
    log_info("run", "%llu: retry of %s by %s", (unsigned long long)run->id, member, text);
    client_done(client, json_run_object(d, run, JSON_RUN_SHORT));
}
