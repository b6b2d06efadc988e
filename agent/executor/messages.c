/* What the coordinator may say, one function for each type. All of it was signed by the coordinator and came in order
 * (link_client); none of it is believed further than that: charters and orders carry signatures of people. */
#include "agent/executor/executor.h"

#include "agent/executor/render.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/plan/encoding.h"

#include <string.h>

enum {
    MESSAGE_ARENA_BYTES = 4 * KEDGE_MESSAGE_BYTES_MAX,
    AT_ONCE_MAX = 256, /* answers under way, of either kind: as many as a node may have members */
};

/* ---- facts, asked and unasked ---- */

/* One answer on its way; they hang in a list of the executor so that its end can end them. */
struct inquiry {
    struct executor *executor;
    uint64_t id;
    char cluster[KEDGE_NAME_MAX + 1], member[KEDGE_MEMBER_NAME_MAX + 1];
    struct facts_run *run;
    struct inquiry *next;
};

static void inquiry_drop(struct inquiry *inquiry) {
    struct inquiry **at = &inquiry->executor->inquiries;
    while (*at != inquiry)
        at = &(*at)->next;
    *at = inquiry->next;
    facts_cancel(inquiry->run);
    free(inquiry);
}

static void say_facts(const struct inquiry *inquiry, const struct fact *facts, size_t n,
                      const char *problem) {
    struct facts_message message = {.id = inquiry->id,
                                    .cluster = inquiry->cluster,
                                    .member = inquiry->member,
                                    .at_ms = clock_wall_ms(),
                                    .facts = facts,
                                    .n_facts = n,
                                    .problem = problem};
    executor_send(inquiry->executor, MESSAGE_FACTS, &facts_message_codec, &message);
}

static void on_facts(void *context, const struct facts *facts) {
    struct inquiry *inquiry = context;
    inquiry->run = NULL;
    say_facts(inquiry, facts->items, facts->n, facts->problem);
    inquiry_drop(inquiry);
}

static bool too_many(const struct executor *executor) {
    size_t n = 0;
    for (const struct inquiry *i = executor->inquiries; i && n < AT_ONCE_MAX; i = i->next)
        n++;
    return n == AT_ONCE_MAX;
}

static void inquire(struct executor *executor, uint64_t id, const char *cluster, const char *name) {
    bool busy = too_many(executor);
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));
    struct member *m = executor_member(executor, name);
    if (!inquiry)
        return;
    *inquiry = (struct inquiry){.executor = executor, .id = id, .next = executor->inquiries};
    snprintf(inquiry->cluster, sizeof(inquiry->cluster), "%s", cluster);
    snprintf(inquiry->member, sizeof(inquiry->member), "%s", name);
    executor->inquiries = inquiry;
    if (m && !busy)
        inquiry->run = facts_gather(m, on_facts, inquiry);
    if (inquiry->run)
        return;
    say_facts(inquiry, NULL, 0,
              m && busy ? "this node is asked too much at once"
              : m       ? "out of memory"
                        : "this node holds no charter that names this member");
    inquiry_drop(inquiry);
}

void message_facts(struct executor *executor, const struct cluster *cluster) {
    for (struct member *m = executor->members; m; m = m->next)
        if (m->cluster == cluster)
            inquire(executor, 0, cluster->charter->cluster, m->name);
}

/* ---- questions ---- */

struct ask_run {
    struct executor *executor;
    uint64_t id;
    struct arena *arena; /* of gates out of orders */
    struct evidence *evidence;
    size_t *places;            /* question i is gate places[i] of the ask */
    bool own[KEDGE_GATES_MAX]; /* question i is about the member alone */
    const struct member *member;
    size_t n;
    struct questions *questions;
    struct ask_run *next;
};

static void ask_drop(struct ask_run *ask) {
    struct ask_run **at = &ask->executor->asks;
    while (*at != ask)
        at = &(*at)->next;
    *at = ask->next;
    questions_cancel(ask->questions);
    arena_free(ask->arena);
    free(ask);
}

static void ask_answer(struct ask_run *ask) {
    struct answer_message message = {.id = ask->id, .evidence = ask->evidence, .n_evidence = ask->n};
    executor_send(ask->executor, MESSAGE_ANSWER, &answer_message_codec, &message);
    ask_drop(ask);
}

/* A service that does not answer may only be slow, or somebody else has it in hand; one that this agent started, and saw
 * end, is known not to be well. */
static void know_better(const struct ask_run *ask, struct evidence *evidence) {
    const struct process_record *process = &ask->member->process;
    if (evidence->answer != ANSWER_UNKNOWN || !process->managed || process->id.pid > 0 ||
        process->origin == ORIGIN_NONE)
        return;
    const char *reason = arena_format(ask->arena, "%s does not run, by %s; %s", ask->member->name,
                                      origin_text(process->origin), evidence->reason);
    evidence->answer = ANSWER_NO;
    if (reason)
        evidence->reason = reason;
}

static void on_answers(void *context, const struct answers *answers) {
    struct ask_run *ask = context;
    ask->questions = NULL;
    for (size_t i = 0; i < answers->n_evidence; i++) {
        ask->evidence[ask->places[i]] = answers->evidence[i];
        if (ask->own[i])
            know_better(ask, &ask->evidence[ask->places[i]]);
    }
    ask_answer(ask);
}

/* A gate of a plan: it stands in the orders that this node has taken. */
static const struct gate *gate_of_orders(const struct ask_run *ask, const struct cluster *cluster,
                                         const struct digest *digest, struct bytes *bytesp) {
    for (const struct member *m = ask->executor->members; m; m = m->next) {
        struct order_claim claim;
        struct bytes packed = journal_get(ask->executor->journal, RECORD_ORDER, m->name);
        if (m->cluster != cluster || !packed.data || order_record_unpack(packed, ask->arena, &claim) < 0)
            continue;
        for (size_t i = 0; i < claim.n_gates; i++) {
            struct digest its = digest_of(claim.gates[i]);
            struct gate *gate;
            struct error ignored;
            if (!digest_equal(&its, digest))
                continue;
            uint8_t *copy = arena_copy(ask->arena, claim.gates[i].data, claim.gates[i].len);
            if (!copy || codec_decode(&gate_codec, claim.gates[i], ask->arena, &gate, &ignored) < 0)
                return NULL;
            *bytesp = (struct bytes){copy, claim.gates[i].len};
            return gate;
        }
    }
    return NULL;
}

/* Commands of a cluster's question run as one of its members here: the one that is meant, else any that was adopted. */
static const struct member *who_asks(const struct executor *executor, const struct cluster *cluster,
                                     const char *self) {
    const struct member *any = NULL;
    for (const struct member *m = executor->members; m; m = m->next) {
        if (m->cluster != cluster)
            continue;
        if (self[0] && strcmp(m->charter->self, self) == 0)
            return m;
        if (!any || (!any->has_generation && m->has_generation))
            any = m;
    }
    return any;
}

static bool asks_too_many(const struct executor *executor) {
    size_t n = 0;
    for (const struct ask_run *ask = executor->asks; ask && n <= AT_ONCE_MAX; ask = ask->next)
        n++;
    return n > AT_ONCE_MAX;
}

static void receive_ask(struct executor *executor, const struct ask *message) {
    struct ask_run *ask = calloc(1, sizeof(*ask));
    const struct cluster *cluster = executor_cluster(executor, message->cluster);
    struct question_gate gates[KEDGE_GATES_MAX];
    size_t n = 0;
    if (!ask)
        return;
    *ask = (struct ask_run){
        .executor = executor, .id = message->id, .next = executor->asks, .n = message->n_gates};
    executor->asks = ask;
    ask->arena = arena_new(2 * KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    ask->evidence = ask->arena ? arena_array(ask->arena, ask->n, sizeof(*ask->evidence)) : NULL;
    ask->places = ask->evidence ? arena_array(ask->arena, ask->n, sizeof(*ask->places)) : NULL;
    if (!ask->places) {
        ask_drop(ask);
        return;
    }
    for (size_t i = 0; i < ask->n; i++) {
        struct bytes bytes;
        const struct gate *gate = cluster ? cluster_gate(cluster, &message->gates[i], &bytes) : NULL;
        if (cluster && !gate)
            gate = gate_of_orders(ask, cluster, &message->gates[i], &bytes);
        ask->evidence[i] = (struct evidence){
            .gate = "?", .answer = ANSWER_UNKNOWN, .reason = "this node knows no such gate"};
        if (!gate || n == ARRAY_LEN(gates))
            continue;
        gates[n] = (struct question_gate){gate, bytes};
        ask->own[n] = gate->scope == GATE_SCOPE_MEMBER;
        ask->places[n++] = i;
    }
    const struct member *m = cluster ? who_asks(executor, cluster, message->self) : NULL;
    const struct beside told = {message->beside, message->n_beside};
    struct beside beside;
    if (!m || n == 0 || asks_too_many(executor) || beside_copy(ask->arena, &told, &beside) < 0) {
        ask_answer(ask);
        return;
    }
    struct asker asker = member_asker(m);
    asker.self = arena_text(ask->arena, message->self);
    asker.beside = beside;
    ask->member = m;
    for (size_t i = 0; i < n; i++)
        ask->own[i] = ask->own[i] && strcmp(m->charter->self, message->self) == 0;
    ask->questions = questions_ask(&asker, gates, n, SAMPLE_NONE, on_answers, ask);
    if (!ask->questions)
        ask_answer(ask);
}

void asks_cancel(struct executor *executor) {
    while (executor->asks)
        ask_drop(executor->asks);
    while (executor->inquiries)
        inquiry_drop(executor->inquiries);
}

/* ---- previews ---- */

static int preview_make(const struct member *m, const struct render *render, struct preview_result *result,
                        struct buffer *diff, struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    _cleanup_(buffer_deinit) struct buffer found = {0}, fresh = {0};
    struct process_id id = m->process.id;
    const char *directory = m->has_generation ? m->generation.spec.directory : NULL;
    if (!arena)
        return error_set(err, -ENOMEM, "out of memory");
    if (!directory) {
        pid_t pid = id.pid > 0 ? id.pid : member_find(m, err);
        if (pid == 0 || procfs_link(pid, "cwd", arena, &directory, err) < 0)
            return -ESRCH;
    }
    const char *path =
        render->path[0] == '/' ? render->path : arena_format(arena, "%s/%s", directory, render->path);
    int r = path ? file_read(path, KEDGE_CONFIG_BYTES_MAX, &found, err) : -ENOMEM;
    if (r == 0)
        r = render_apply(render, buffer_bytes(&found), &fresh, err);
    if (r < 0)
        return error_context(err, r, "configuration");
    result->old_digest = digest_of(buffer_bytes(&found));
    result->new_digest = digest_of(buffer_bytes(&fresh));
    render_diff(render->format, buffer_bytes(&found), buffer_bytes(&fresh), m->charter->clear_config,
                m->charter->n_clear_config, diff);
    return diff->failed ? error_set(err, -ENOMEM, "out of memory") : 0;
}

static void receive_preview(struct executor *executor, const struct preview *preview, struct arena *arena) {
    const struct member *m = executor_member(executor, preview->member);
    _cleanup_(buffer_deinit) struct buffer diff = {0};
    struct preview_result result = {.id = preview->id, .member = preview->member, .diff = "", .problem = ""};
    struct error err = {""};
    struct render *render;
    int r = m ? codec_decode(&render_codec, preview->render, arena, &render, &err)
              : error_set(&err, -ENOENT, "this node holds no charter that names %s", preview->member);
    if (r == 0)
        r = preview_make(m, render, &result, &diff, &err);
    if (r < 0)
        result.problem = err.text[0] ? err.text : "the configuration cannot be previewed";
    else if (diff.len > 0)
        result.diff = (char *)diff.data;
    executor_send(executor, MESSAGE_PREVIEW_RESULT, &preview_result_codec, &result);
}

/* ---- charters and aborts ---- */

static int charter_accept(struct executor *executor, const struct charter_message *message,
                          struct cluster **clusterp, struct error *err) {
    const struct charter *charter;
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    if (!arena)
        return error_set(err, -ENOMEM, "out of memory");
    int r = charter_verify(&executor->config.anchors, &executor->key.public, message->charter, arena,
                           &charter, err);
    if (r < 0)
        return r;
    const struct cluster *older = executor_cluster(executor, charter->cluster);
    if (older && older->charter->serial > charter->serial)
        return error_set(err, -ESTALE, "charter %llu of %s is older than the one that this node holds (%llu)",
                         (unsigned long long)charter->serial, charter->cluster,
                         (unsigned long long)older->charter->serial);
    for (const struct member *m = executor->members; m; m = m->next)
        if (m->cluster == older && (machine_is_busy(&m->machine) || m->incoming))
            return error_set(err, -EBUSY, "a step of %s is open: the charter is taken when it has ended",
                             m->name);
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    struct charter_record record = {message->charter, message->adopt || (older && older->adopt)};
    charter_record_pack(&record, &packed);
    if (!executor_put(executor, RECORD_CHARTER, charter->cluster, &packed) ||
        journal_sync(executor->journal) < 0)
        return error_set(err, -EIO, "this agent's journal cannot be written (journal lost)");
    return cluster_take(executor, message->charter, record.adopt, clusterp, err);
}

static void receive_charter(struct executor *executor, const struct charter_message *message) {
    struct cluster *cluster = NULL;
    struct error err = {""};
    if (charter_accept(executor, message, &cluster, &err) < 0) {
        executor_warn(executor, "charter", err.text);
        return;
    }
    log_info("charter", "cluster %s: charter %llu is held", cluster->charter->cluster,
             (unsigned long long)cluster->charter->serial);
    for (struct member *m = executor->members; cluster->adopt && m; m = m->next)
        if (m->cluster == cluster && member_adopt(m, &err) < 0)
            log_warning("charter", "%s", err.text);
    message_facts(executor, cluster);
}

static void receive_latch(struct executor *executor, const struct latch *latch) {
    struct cluster *cluster = executor_cluster(executor, latch->cluster);
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    if (!cluster || latch->serial <= cluster->record.aborted)
        return;
    /* No operator signs an abort, so it must not forbid the plans that are still to come (A11). */
    if (latch->serial > cluster->record.serial) {
        cluster->latch_ahead = latch->serial;
        return;
    }
    cluster->record.aborted = latch->serial;
    cluster_record_pack(&cluster->record, &packed);
    (void)executor_put(executor, RECORD_CLUSTER, latch->cluster, &packed);
    log_info("latch", "cluster %s: plan %llu is aborted", latch->cluster, (unsigned long long)latch->serial);
    for (struct member *m = executor->members; m; m = m->next)
        if (m->cluster == cluster && m->order && m->order->order->serial <= latch->serial) {
            struct machine_event event = {.kind = MACHINE_EVENT_LATCH};
            member_feed(m, &event);
        }
}

/* ---- the door ---- */

static void *decoded(struct executor *executor, const struct codec_message *codec,
                     const struct verified_message *message, struct arena *arena) {
    void *value = NULL;
    struct error err = {""};
    if (codec_decode(codec, message->bytes, arena, &value, &err) == 0)
        return value;
    executor_warn(executor, "message", err.text);
    return NULL;
}

void message_receive(struct executor *executor, const struct verified_message *message) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(MESSAGE_ARENA_BYTES);
    void *value;
    if (!arena)
        return;
    switch (message->type) {
    case MESSAGE_ORDER: order_receive(executor, message->bytes); return;
    case MESSAGE_CHARTER:
        if ((value = decoded(executor, &charter_message_codec, message, arena)))
            receive_charter(executor, value);
        return;
    case MESSAGE_INQUIRE:
        if ((value = decoded(executor, &inquire_codec, message, arena)))
            inquire(executor, ((struct inquire *)value)->id, ((struct inquire *)value)->cluster,
                    ((struct inquire *)value)->member);
        return;
    case MESSAGE_PREVIEW:
        if ((value = decoded(executor, &preview_codec, message, arena)))
            receive_preview(executor, value, arena);
        return;
    case MESSAGE_ASK:
        if ((value = decoded(executor, &ask_codec, message, arena)))
            receive_ask(executor, value);
        return;
    case MESSAGE_LEASE:
        if ((value = decoded(executor, &lease_message_codec, message, arena)))
            lease_receive(executor, value);
        return;
    case MESSAGE_LATCH:
        if ((value = decoded(executor, &latch_codec, message, arena)))
            receive_latch(executor, value);
        return;
    case MESSAGE_WORD: operator_word_receive(executor, message->bytes); return;
    case MESSAGE_HEARTBEAT: return; /* that it was said is all */
    case MESSAGE_HELLO:
    case MESSAGE_CHALLENGE:
    case MESSAGE_AUTH:
    case MESSAGE_WELCOME:
    case MESSAGE_BYE:
    case MESSAGE_FACTS:
    case MESSAGE_PREVIEW_RESULT:
    case MESSAGE_REPORT:
    case MESSAGE_ANSWER: log_warning("message", "type %d is not for an agent", (int)message->type); return;
    }
}
