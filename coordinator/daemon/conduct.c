/* Journal first, then act: conduct_event only notes what the engine decided; nothing that changes anything leaves the program
 * before conduct_commit has made its records durable. Between two commits any number of events may come, so one fsync serves
 * all that arrived in one turn (group commit), and no callback can slip an order past it.
 *
 * Questions change nothing and need not wait for the disk: they are answered while it syncs. */
#include "coordinator/daemon/clients.h"
#include "coordinator/daemon/daemon.h"

#include "common/base/log.h"
#include "common/plan/encoding.h"

#include <string.h>

enum {
    ASK_GIVE_UP_MS =
        60 * 1000, /* the engine's own limits are shorter; this only frees what nobody waits for */
    RECORD_ARENA_BYTES = 2 * RECORD_BYTES_MAX + 4096,
};

/* One action that waits for the commit; everything is a copy. */
struct outgoing {
    struct action action;
    struct buffer
        word; /* a signed one, to the nodes of run action.run; then the action itself says nothing */
};

/* ---- the outbox ---- */

static void *must(void *pointer) {
    if (!pointer)
        abort(); /* an order that is decided and not sent would be waited for; the journal brings all back */
    return pointer;
}

static char *text_of(const char *text) {
    return text ? must(strdup(text)) : NULL;
}

static void outgoing_free(struct outgoing *out) {
    free((void *)(uintptr_t)out->action.step);
    free((void *)(uintptr_t)out->action.node);
    free((void *)(uintptr_t)out->action.self);
    free((void *)(uintptr_t)out->action.gates);
    for (size_t i = 0; i < out->action.beside.n; i++)
        free((void *)(uintptr_t)out->action.beside.names[i]);
    free((void *)(uintptr_t)out->action.beside.names);
    buffer_deinit(&out->word);
}

static struct outgoing *outbox_add(struct daemon *d) {
    if (d->n_outbox == d->room_outbox) {
        d->room_outbox = d->room_outbox ? 2 * d->room_outbox : 64;
        d->outbox = must(realloc(d->outbox, d->room_outbox * sizeof(*d->outbox)));
    }
    struct outgoing *out = &d->outbox[d->n_outbox++];
    *out = (struct outgoing){0};
    return out;
}

static struct beside beside_of(const struct beside *from) {
    const char **names = must(calloc(from->n + 1, sizeof(*names)));
    for (size_t i = 0; i < from->n; i++)
        names[i] = text_of(from->names[i]);
    return (struct beside){names, from->n};
}

static void outbox_copy(struct daemon *d, const struct action *action) {
    struct outgoing *out = outbox_add(d);
    out->action = *action;
    out->action.step = text_of(action->step);
    out->action.node = text_of(action->node);
    out->action.self = text_of(action->self);
    out->action.beside = beside_of(&action->beside);
    out->action.gates = NULL;
    if (action->n_gates > 0) {
        struct digest *gates = must(calloc(action->n_gates, sizeof(*gates)));
        memcpy(gates, action->gates, action->n_gates * sizeof(*gates));
        out->action.gates = gates;
    }
}

/* ---- records ---- */

static int record_take(struct daemon *d, struct bytes bytes, struct error *err) {
    struct record record;
    uint64_t seq;
    _cleanup_(arena_freep) struct arena *arena = must(arena_new(RECORD_ARENA_BYTES));
    int r = store_append(d->store, bytes, &seq, err);
    if (r == 0)
        r = record_decode(&record, bytes, arena, err);
    if (r < 0)
        return r;
    history_note(d, seq, &record);
    return 0;
}

static void actions_take(struct daemon *d) {
    struct error err;
    for (size_t i = 0; i < d->actions.n; i++) {
        const struct action *action = &d->actions.items[i];
        if (action->kind != ACTION_RECORD) {
            outbox_copy(d, action);
            continue;
        }
        d->changed = true;
        int r = record_take(d, action->record, &err);
        if (r < 0) {
            daemon_fail(d, r, &err);
            return;
        }
    }
}

int conduct_event(struct daemon *d, struct event event) {
    event.now_ms = daemon_now(d);
    int r = engine_step(d->engine, &event, &d->actions);
    actions_take(d);
    if (event.kind == EVENT_ANSWER || event.kind == EVENT_AGENT_UP || event.kind == EVENT_AGENT_DOWN)
        d->changed = true;
    return r;
}

/* The word goes out before what the engine orders because of it: the agent's own question needs it. */
int conduct_word(struct daemon *d, struct event event, struct bytes word) {
    struct outgoing *out = outbox_add(d);
    size_t place = d->n_outbox - 1;
    out->action.run = event.run;
    buffer_append(&out->word, word.data, word.len);
    int r = conduct_event(d, event);
    if (r == ENGINE_REFUSED)
        d->outbox[place].action.run = 0; /* of no run: it is sent to nobody */
    return r;
}

/* ---- sending ---- */

static const char *cluster_of(const struct run *run) {
    return run->plan->header.cluster;
}

static void answer_take(void *user, const struct fleet_reply *reply) {
    struct daemon *d = user;
    struct gate_answer answers[KEDGE_GATES_MAX];
    size_t n = 0;
    if (reply->problem)
        answers[n++] = (struct gate_answer){"", ANSWER_UNKNOWN, reply->problem, 0};
    for (size_t i = 0; reply->answer && i < reply->answer->n_evidence && n < KEDGE_GATES_MAX; i++) {
        const struct evidence *e = &reply->answer->evidence[i];
        answers[n++] = (struct gate_answer){e->gate, e->answer, e->reason, e->age_us};
    }
    (void)conduct_event(d, (struct event){.kind = EVENT_ANSWER,
                                          .node = reply->node,
                                          .ask = reply->tag,
                                          .answers = answers,
                                          .n_answers = n});
}

static void ask_send(struct daemon *d, const struct run *run, const struct action *action) {
    struct fleet_request request = {action->node, daemon_now(d) + ASK_GIVE_UP_MS, answer_take, d,
                                    action->ask};
    struct ask ask = {.cluster = cluster_of(run),
                      .self = action->self ? action->self : "",
                      .gates = action->gates,
                      .n_gates = action->n_gates,
                      .beside = action->beside.names,
                      .n_beside = action->beside.n};
    (void)fleet_ask(d->fleet, &request, ask);
}

typedef void node_send_fn(struct daemon *d, const struct run *run, const struct action *action,
                          const char *node);

/* Once for every node of the run, in their order. */
static void nodes_each(struct daemon *d, const struct run *run, const struct action *action,
                       node_send_fn *fn) {
    if (action->node) {
        fn(d, run, action, action->node);
        return;
    }
    for (uint32_t i = 0; i < run->n_members; i++)
        if (i == 0 || run->by_node[i - 1].node != run->by_node[i].node)
            fn(d, run, action, run->members[run->by_node[i].member].order->node);
}

static void lease_send(struct daemon *d, const struct run *run, const struct action *action,
                       const char *node) {
    struct lease_message lease = {.cluster = cluster_of(run),
                                  .serial = run->plan->header.serial,
                                  .name = action->step,
                                  .state = action->lease_open ? LEASE_OPEN : LEASE_CLOSED,
                                  .epoch = d->epoch};
    (void)!fleet_send_lease(d->fleet, node, &lease);
}

static void latch_send(struct daemon *d, const struct run *run, const struct action *action,
                       const char *node) {
    struct latch latch = {cluster_of(run), run->plan->header.serial, d->epoch};
    (void)action;
    (void)!fleet_send_latch(d->fleet, node, &latch);
}

/* Agents pass over what they have already. */
static void word_send(struct daemon *d, const struct run *run, struct bytes word) {
    for (uint32_t i = 0; i < run->n_members; i++)
        if (i == 0 || run->by_node[i - 1].node != run->by_node[i].node)
            (void)!fleet_send_word(d->fleet, run->members[run->by_node[i].member].order->node, word);
}

/* A node without a session gets nothing: the engine is told when it comes, and says it again. */
static void outgoing_send(struct daemon *d, const struct outgoing *out) {
    const struct action *action = &out->action;
    const struct run *run = engine_run(d->engine, action->run);
    if (!run)
        return;
    if (out->word.len > 0) {
        word_send(d, run, buffer_bytes(&out->word));
        return;
    }
    switch (action->kind) {
    case ACTION_RECORD: return; /* is in the store */
    case ACTION_ORDER: order_send(d, run, action); return;
    case ACTION_ASK: ask_send(d, run, action); return;
    case ACTION_LEASE: nodes_each(d, run, action, lease_send); return;
    case ACTION_LATCH: nodes_each(d, run, action, latch_send); return;
    }
}

static bool is_question(const struct outgoing *out) {
    return out->word.len == 0 && out->action.kind == ACTION_ASK;
}

static void outbox_send(struct daemon *d, bool questions) {
    for (size_t i = 0; i < d->n_outbox; i++)
        if (is_question(&d->outbox[i]) == questions)
            outgoing_send(d, &d->outbox[i]);
}

void conduct_commit(struct daemon *d) {
    struct error err;
    if (!d->failed)
        outbox_send(d, true);
    int r = d->failed ? d->failed : store_commit(d->store, &err);
    if (r < 0 && !d->failed)
        daemon_fail(d, r, &err);
    if (r == 0)
        outbox_send(d, false);
    for (size_t i = 0; i < d->n_outbox; i++)
        outgoing_free(&d->outbox[i]);
    d->n_outbox = 0;
}

void conduct_deinit(struct daemon *d) {
    for (size_t i = 0; i < d->n_outbox; i++)
        outgoing_free(&d->outbox[i]);
    free(d->outbox);
    actions_deinit(&d->actions);
    d->engine = engine_free(d->engine);
}

/* ---- the fleet's words ---- */

struct word_target {
    struct daemon *d;
    const char *node;
};

static int word_again(void *user, const struct store_word *word, struct error *err) {
    const struct word_target *to = user;
    (void)err;
    if (word->expires_s >= daemon_now(to->d) / 1000)
        (void)!fleet_send_word(to->d->fleet, to->node, word->word);
    return 0;
}

/* What was said while the node was away, or before its agent lost its disk. */
static void words_again(struct daemon *d, const char *node) {
    struct error err;
    struct word_target to = {d, node};
    for (size_t i = 0; i < d->n_clusters; i++) {
        const struct run *run = engine_run_open(d->engine, d->clusters[i]->name);
        if (run &&
            store_words(d->store, cluster_of(run), run->plan->header.serial, word_again, &to, &err) < 0)
            log_warning("word", "%s: %s", node, err.text);
    }
}

static void on_up(void *user, const char *node) {
    struct daemon *d = user;
    for (size_t i = 0; i < d->n_clusters; i++)
        cluster_send(d, d->clusters[i], node);
    words_again(d, node);
    (void)conduct_event(d, (struct event){.kind = EVENT_AGENT_UP, .node = node});
}

static void on_down(void *user, const char *node, const char *reason) {
    struct daemon *d = user;
    log_warning("node", "%s: lost: %s", node, reason);
    (void)conduct_event(d, (struct event){.kind = EVENT_AGENT_DOWN, .node = node});
}

static void on_facts(void *user, const char *node, const struct facts_message *facts) {
    cluster_facts(user, node, facts);
}

static void on_heartbeat(void *user, const char *node, const struct heartbeat *heartbeat) {
    cluster_heartbeat(user, node, heartbeat);
}

/* True when the engine has put this report on record: a repeated one was there before. The kind is the second byte of
 * every record (record.h). */
static bool report_is_new(const struct daemon *d) {
    for (size_t i = 0; i < d->actions.n; i++) {
        const struct action *action = &d->actions.items[i];
        const enum record_kind kind =
            action->kind == ACTION_RECORD ? (enum record_kind)action->record.data[1] : 0;
        if (kind == RECORD_REPORTED || kind == RECORD_SIDE_REPORTED)
            return true;
    }
    return false;
}

static void report_log(const struct report *report, bool is_taken) {
    log_info("report", "%s: %s: %s%s%s%s", report->member, report->step, outcome_text(report->outcome),
             *report->reason ? ": " : "", report->reason,
             is_taken || report->outcome == OUTCOME_BEGUN ? "" : " (known already)");
}

/* The evidence is kept as it came, once, in the same transaction as the engine's records of it. */
static void report_keep(struct daemon *d, const struct report *report, struct bytes bytes) {
    struct error err;
    struct store_report kept = {report->cluster, report->serial, daemon_now(d), bytes};
    int r = store_report_add(d->store, &kept, &err);
    if (r < 0)
        daemon_fail(d, r, &err);
}

static void on_report(void *user, const char *node, const struct report *report, struct bytes bytes) {
    struct daemon *d = user;
    struct event event = {
        .kind = EVENT_REPORT,
        .node = node,
        .report =
            {
                .cluster = report->cluster,
                .member = report->member,
                .step = report->step,
                .reason = report->reason,
                .version = report->version,
                .serial = report->serial,
                .outcome = report->outcome,
                .interruption_us = report->interruption_us,
                .blames = report->blames,
                .evidence_age_us = report->evidence_age_us,
                .mode = report->mode,
                .origin = report->origin,
                .generation = report->generation,
                .at_ms = report->at_ms,
                .outputs = report->outputs,
                .n_outputs = report->n_outputs,
            },
    };
    bool is_new = conduct_event(d, event) == 0 && report_is_new(d);
    report_log(report, is_new);
    if (is_new)
        report_keep(d, report, bytes);
    cluster_report(d, node, report);
}

const struct fleet_callbacks conduct_callbacks = {
    .up = on_up, .down = on_down, .report = on_report, .facts = on_facts, .heartbeat = on_heartbeat};

/* ---- recovery ---- */

/* The keys that signed this manifest: what the journal names was verified when it was applied, and must fold again even
 * after a release key was taken out of kedged.yaml. Agents judge every manifest themselves. */
static int anchors_of_plan(struct bytes file, struct trust_anchors *anchors,
                           struct public_key keys[static KEDGE_SIGNATURES_MAX], struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = must(arena_new((size_t)KEDGE_CONTROL_BYTES_MAX * 4));
    struct plan *plan;
    struct signed_blob blob;
    int r = codec_decode(&plan_codec, file, arena, &plan, err);
    if (r == 0)
        r = signed_blob_decode(&blob, plan->manifest, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < blob.n_signatures; i++)
        keys[i] = blob.signatures[i].key;
    anchors->release_keys = keys;
    anchors->n_release_keys = blob.n_signatures;
    anchors->release_threshold = 1;
    return 0;
}

static int plan_load(struct daemon *d, const struct digest *digest, struct verified_plan **outp,
                     struct error *err) {
    _cleanup_(buffer_deinit) struct buffer file = {0};
    struct trust_anchors anchors = d->config->anchors;
    struct public_key keys[KEDGE_SIGNATURES_MAX];
    int r = store_plan_get(d->store, digest, &file, err);
    if (r == 0)
        r = anchors_of_plan(buffer_bytes(&file), &anchors, keys, err);
    return r == 0 ? plan_verify(&anchors, buffer_bytes(&file), outp, err) : r;
}

static int record_fold(void *user, uint64_t seq, struct bytes bytes, struct error *err) {
    struct daemon *d = user;
    _cleanup_(arena_freep) struct arena *arena = must(arena_new(RECORD_ARENA_BYTES));
    struct verified_plan *plan = NULL;
    struct record record;
    int r = record_decode(&record, bytes, arena, err);
    if (r == 0 && record.kind == RECORD_REIGN && record.value >= d->epoch)
        r = error_set(err, -EBADMSG, "it began epoch %llu, but the settings know of %llu only",
                      (unsigned long long)record.value, (unsigned long long)d->epoch - 1);
    if (r == 0 && record.kind == RECORD_RUN_BEGUN)
        r = plan_load(d, &record.digest, &plan, err);
    if (r == 0)
        r = engine_fold(d->engine, &record, plan, err);
    if (r < 0)
        return error_context(err, r, "journal record %llu", (unsigned long long)seq);
    history_note(d, seq, &record);
    if (record.at_ms > d->real_ms) {
        log_warning("clock", "the journal's last words are from later than this clock; it is taken as %llu",
                    (unsigned long long)record.at_ms);
        d->real_ms = record.at_ms;
    }
    return 0;
}

int conduct_recover(struct daemon *d, struct error *err) {
    uint64_t last;
    int r = store_number_get(d->store, "epoch", &last, err);
    if (r < 0)
        return r;
    d->epoch = last + 1;
    d->engine = engine_new(d->epoch);
    r = store_replay(d->store, record_fold, d, err);
    if (r == 0)
        r = store_number_put(d->store, "epoch", d->epoch, err);
    if (r < 0)
        return r;
    engine_resume(d->engine, daemon_now(d), &d->actions);
    actions_take(d);
    return 0;
}
