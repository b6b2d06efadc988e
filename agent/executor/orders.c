/* The one way from the coordinator's word to a step that begins, in this order: signatures and digests (order_verify, the
 * only door), what agent.yaml allows, epoch and serial, what was answered before, what failed before, the facts that were
 * signed. Nothing is written before all of it has passed, so a refused order leaves no trace but a line in the log. */
#include "agent/executor/executor.h"

#include "agent/core/acceptance.h"
#include "agent/executor/prepare.h"
#include "common/base/log.h"
#include "common/plan/encoding.h"

#include <pwd.h>
#include <string.h>

enum {
    ORDER_ARENA_BYTES = 4 * KEDGE_MESSAGE_BYTES_MAX,
    FACTS_AGAIN_MS = 100,  /* between two looks at facts of which one cannot be told just now */
    FACTS_KNOWN_MS = 5000, /* so long: a prober that was killed is there again in a fraction of it */
};

/* ---- who asks ---- */

static void claim_of(const struct order_message *message, struct order_claim *out) {
    *out = (struct order_claim){.header = message->header,
                                .work_order = message->work_order,
                                .leaf = message->leaf,
                                .path = message->path,
                                .n_path = message->n_path,
                                .gates = message->gates,
                                .n_gates = message->n_gates,
                                .manifest = message->manifest,
                                .step = message->step,
                                .addressee = message->addressee,
                                .expires_s = message->expires_s,
                                .epoch = message->epoch,
                                .outputs = message->outputs,
                                .n_outputs = message->n_outputs,
                                .beside = {message->beside, message->n_beside}};
}

/* For naming a refused order in its report, and for nothing else: nothing of it is believed. */
static void say_refused(struct executor *executor, const struct order_claim *claim, const char *why) {
    struct work_order *order;
    struct error ignored;
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    executor_warn(executor, "order", why);
    if (!arena || codec_decode(&work_order_codec, claim->work_order, arena, &order, &ignored) < 0)
        return;
    char reason[KEDGE_REASON_MAX];
    snprintf(reason, sizeof(reason), "%.500s", why);
    struct report report = {.cluster = order->cluster,
                            .serial = order->serial,
                            .member = order->member,
                            .step = claim->step,
                            .outcome = OUTCOME_REFUSED,
                            .reason = reason,
                            .version = "",
                            .at_ms = clock_wall_ms(),
                            .epoch = executor->trust.epoch};
    executor_send(executor, MESSAGE_REPORT, &report_codec, &report);
}

uint64_t executor_now_s(const struct executor *executor) {
    uint64_t wall = clock_wall_s();
    return wall > executor->trust.time_s ? wall : executor->trust.time_s;
}

static bool outcome_of(const struct executor *executor, const struct work_order *order, const char *step,
                       struct outcome_record *out) {
    char key[JOURNAL_KEY_MAX + 1];
    snprintf(key, sizeof(key), "%s/%020llu/%s/%s", order->cluster, (unsigned long long)order->serial,
             order->member, step);
    struct bytes packed = journal_get(executor->journal, RECORD_OUTCOME, key);
    return packed.data && outcome_record_unpack(packed, out) == 0;
}

/* True when this member's part of the plan has begun: it may always prove, return and undo. Looks at the claim before it
 * is believed, which only widens the time window of what must be signed anyway. */
static bool has_begun(const struct executor *executor, const struct order_claim *claim) {
    struct work_order *order;
    struct error ignored;
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    if (!arena || codec_decode(&work_order_codec, claim->work_order, arena, &order, &ignored) < 0)
        return false;
    const struct member *m = executor_member(executor, order->member);
    const struct step *step = work_order_step(order, claim->step);
    if (!m || !step)
        return false;
    struct outcome_record kept;
    bool ended = outcome_of(executor, order, claim->step, &kept) && !outcome_changed_nothing(kept.outcome);
    return acceptance_has_begun(&m->machine, order, step, ended);
}

/* ---- what it may do ---- */

static int user_check(const struct member *m, struct error *err) {
    struct passwd entry, *found = NULL;
    char text[4096], number[16];
    snprintf(number, sizeof(number), "%u", m->generation.spec.ids.uid);
    (void)getpwuid_r(m->generation.spec.ids.uid, &entry, text, sizeof(text), &found);
    return agent_config_allows(&m->executor->config, m->name, found ? found->pw_name : number, err);
}

static struct seen seen_of(const struct executor *executor, const struct cluster *cluster, uint64_t offered) {
    bool ahead = offered == cluster->latch_ahead;
    return (struct seen){.epoch = executor->trust.epoch,
                         .serial = cluster->record.serial,
                         .root = cluster->record.root,
                         .aborted = ahead ? offered : cluster->record.aborted};
}

static struct offer offer_of(const struct verified_order *v) {
    return (struct offer){.epoch = v->epoch,
                          .serial = v->header.serial,
                          .expires_s = v->expires_s,
                          .root = v->header.root,
                          .order = v->order,
                          .step = v->step};
}

static int may_begin(struct executor *executor, const struct verified_order *v, struct member **outp,
                     struct error *err) {
    struct member *m = executor_member(executor, v->order->member);
    if (!m || strcmp(m->cluster->charter->cluster, v->order->cluster) != 0)
        return error_set(err, -EPERM, "%s is in no charter that this node holds; add or adopt its cluster",
                         v->order->member);
    int r = agent_config_allows(&executor->config, m->name, NULL, err);
    struct seen seen = seen_of(executor, m->cluster, v->header.serial);
    struct offer offer = offer_of(v);
    offer.forbidden = operator_word_forbids(executor, v->order, v->arena);
    if (r == 0)
        r = acceptance_check(&seen, &offer, err);
    if (r == 0 && !m->has_generation)
        r = error_set(err, -EPERM, "%s was not adopted on this node: run kedge cluster adopt", m->name);
    if (r == 0)
        r = user_check(m, err);
    *outp = m;
    return r;
}

/* ---- accepting ---- */

static void note_trust(struct executor *executor, uint64_t epoch, const struct verified_order *v) {
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    executor->trust.epoch = epoch;
    if (v->header.created_s > executor->trust.time_s)
        executor->trust.time_s = v->header.created_s;
    trust_record_pack(&executor->trust, &packed);
    (void)executor_put(executor, RECORD_TRUST, "", &packed);
}

/* A newer plan: what older ones left is forgotten, but for what runs. */
static void note_plan(struct executor *executor, struct cluster *cluster, const struct seen *seen,
                      const struct verified_order *v) {
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    char first[JOURNAL_KEY_MAX + 1], limit[JOURNAL_KEY_MAX + 1], key[JOURNAL_KEY_MAX + 1];
    cluster->record.serial = seen->serial;
    cluster->record.root = seen->root;
    cluster_record_pack(&cluster->record, &packed);
    (void)executor_put(executor, RECORD_CLUSTER, v->order->cluster, &packed);
    operator_words_forget(executor, v->order->cluster, v->header.serial);
    size_t len = (size_t)snprintf(first, sizeof(first), "%s/", v->order->cluster);
    snprintf(limit, sizeof(limit), "%s/%020llu", v->order->cluster, (unsigned long long)v->header.serial);
    for (const char *next = journal_next(executor->journal, RECORD_OUTCOME, first);
         next && strncmp(next, first, len) == 0 && strcmp(next, limit) < 0;
         next = journal_next(executor->journal, RECORD_OUTCOME, key)) {
        snprintf(key, sizeof(key), "%s", next);
        (void)!journal_drop(executor->journal, RECORD_OUTCOME, key);
    }
}

static int keep_order(struct member *m, const struct order_claim *claim, struct error *err) {
    struct executor *executor = m->executor;
    _cleanup_(buffer_deinit) struct buffer order = {0}, step = {0};
    order_record_pack(claim, &order);
    struct step_record record = {claim->step, claim->epoch, claim->expires_s};
    step_record_pack(&record, &step);
    if (journal_room(executor->journal) < order.len + JOURNAL_RESERVE_BYTES &&
        journal_compact(executor->journal, err) < 0)
        return -EIO;
    if (journal_room(executor->journal) < order.len + JOURNAL_RESERVE_BYTES)
        return error_set(err, -ENOSPC, "this agent's journal has no room for the order");
    if (!executor_put(executor, RECORD_ORDER, m->name, &order) ||
        !executor_put(executor, RECORD_STEP, m->name, &step))
        return error_set(err, -EIO, "this agent's journal cannot be written (journal lost)");
    return 0;
}

int order_restore(struct member *m, const char *step, struct verified_order **outp, struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(ORDER_ARENA_BYTES);
    struct order_claim claim;
    struct bytes packed = journal_get(m->executor->journal, RECORD_ORDER, m->name);
    if (!arena || !packed.data || order_record_unpack(packed, arena, &claim) < 0)
        return error_set(err, -ENOENT, "its order is not in the journal");
    claim.step = step;
    struct verify_context context = {.anchors = &m->executor->config.anchors,
                                     .self = m->executor->key.public,
                                     .now_s = executor_now_s(m->executor),
                                     .began = true};
    return order_verify(&context, &claim, outp, err);
}

/* All is checked: the machine takes over. `refused` "" or the differences; `runs_already` as the machine's event has it. */
static void begin(struct member *m, struct verified_order *v, const struct order_claim *claim,
                  const char *refused, bool runs_already) {
    struct error err = {""};
    char why[KEDGE_REASON_MAX] = "";
    snprintf(why, sizeof(why), "%.500s", refused);
    const char *no = why[0] ? NULL : machine_refuses(&m->machine, v->order, v->step);
    if (no)
        snprintf(why, sizeof(why), "%.500s", no);
    if (!why[0] && keep_order(m, claim, &err) < 0)
        snprintf(why, sizeof(why), "%.500s", err.text);
    if (why[0]) {
        member_say(m, v->order, v->step, OUTCOME_REFUSED, why);
        verified_order_free(v);
        return;
    }
    struct offer offer = offer_of(v);
    struct seen seen = seen_of(m->executor, m->cluster, v->header.serial);
    struct seen_change change = acceptance_note(&seen, &offer);
    note_trust(m->executor, seen.epoch, v);
    if (change.plan)
        note_plan(m->executor, m->cluster, &seen, v);
    prepare_prune(m, v->order);
    lease_opens(m->executor, v->order, v->step);
    struct verified_order *at_barrier = TAKE(m->order); /* the machine borrows it until it has the next */
    m->order = v;
    m->epoch = v->epoch;
    m->expires_s = v->expires_s;
    m->n_evidence = 0;
    m->outputs.n = 0;
    m->outcome_kept = false;
    log_info("order", "%s: step %s of plan %llu is accepted", m->name, v->step->name,
             (unsigned long long)v->header.serial);
    member_outcome_drop(m, v->order, v->step);
    struct machine_event event = {.kind = MACHINE_EVENT_ORDER,
                                  .order = v->order,
                                  .step = v->step,
                                  .runs_already = runs_already,
                                  .latched = acceptance_is_latched(&seen, v->header.serial)};
    member_feed(m, &event);
    verified_order_free(at_barrier);
}

/* ---- facts ---- */

static const char *preflight(const struct member *m, const struct facts *facts, struct arena *arena) {
    const char *inside = fact_get(facts->items, facts->n, "data.inside");
    if (inside && inside[0])
        return arena_format(
            arena,
            "the service writes to %s, which lies inside its release folder and would be left behind: "
            "move it out before the upgrade",
            inside);
    if (facts->problem[0])
        return facts->problem;
    pid_t owner = 0;
    struct error ignored;
    if (m->process.id.pid > 0 || m->charter->port == 0 ||
        procfs_listener((uint16_t)m->charter->port, &owner, &ignored) < 0 || owner == 0)
        return "";
    return arena_format(
        arena, "port %u is taken by process %d, which is not %s: end it, or correct the cluster file",
        m->charter->port, (int)owner, m->name);
}

static void facts_look(struct member *m);

static int on_facts_again(sd_event_source *source, uint64_t usec, void *userdata) {
    (void)source;
    (void)usec;
    struct member *m = userdata;
    m->facts_again = sd_event_source_disable_unref(m->facts_again);
    facts_look(m);
    return 0;
}

/* A fact that cannot be told at this moment is not another one: asked again for a while, then nothing has been changed
 * and the coordinator orders anew. */
static void facts_unsure(struct member *m, const char *why) {
    char sentence[KEDGE_REASON_MAX];
    if (clock_monotonic_us() < m->facts_until_us &&
        sd_event_add_time_relative(m->executor->loop, &m->facts_again, CLOCK_MONOTONIC,
                                   (uint64_t)FACTS_AGAIN_MS * 1000, 1000, on_facts_again, m) >= 0)
        return;
    snprintf(sentence, sizeof(sentence), "whether its mode is as the plan says cannot be told: %.400s", why);
    member_say(m, m->incoming->order, m->incoming->step, OUTCOME_WAITS, sentence);
    order_forget(m);
}

static bool fact_is(const struct facts *facts, const char *name, const char *wanted) {
    const char *value = fact_get(facts->items, facts->n, name);
    return value && wanted && strcmp(value, wanted) == 0;
}

/* Other hands have started just what this step would start: the generation of this order, with the signed configuration, as
 * the same user. Release, port, mode and gates are the step's own proof. */
static bool runs_already(const struct member *m, const struct verified_order *v, const struct facts *facts) {
    const struct work_order *order = v->order;
    const struct row *start = step_last_row(v->step, PRIMITIVE_START);
    char digest[KEDGE_DIGEST_TEXT_SIZE];
    uint32_t number;
    if (!start || start->generation == 0 || m->process.id.pid == 0 || m->process.origin != ORIGIN_OPERATOR ||
        generation_number(m, order, start->generation, &number) < 0 || m->process.generation != number)
        return false;
    const struct render *render = order->generations[start->generation - 1].render;
    if (render)
        digest_format(digest, &render->new_digest);
    return fact_is(facts, "user", fact_get(order->binding, order->n_binding, "user")) &&
           (!render || fact_is(facts, "config.digest", digest));
}

static void on_facts(void *context, const struct facts *facts) {
    struct member *m = context;
    const struct work_order *order = m->incoming->order;
    bool unsure;
    m->facts = NULL;
    const char *why = facts_compare(facts, order->binding, order->n_binding, m->incoming_arena, &unsure);
    bool adopts = why[0] && m->incoming->step->verb == VERB_SWITCH && runs_already(m, m->incoming, facts);
    if (unsure && !why[0] && m->incoming->step->verb != VERB_PREPARE) { /* which stops nothing: switch asks */
        facts_unsure(m, facts->unsure);
        return;
    }
    struct verified_order *v = TAKE(m->incoming);
    struct arena *arena = TAKE(m->incoming_arena);
    char sentence[KEDGE_REASON_MAX] = "";
    if (why[0] && !adopts)
        snprintf(sentence, sizeof(sentence),
                 "%.150s is not as the plan says: %.290s. Make and approve a new plan", m->name, why);
    else if ((why = preflight(m, facts, arena)) && why[0])
        snprintf(sentence, sizeof(sentence), "%.500s", why);
    begin(m, v, m->incoming_claim, sentence, adopts);
    arena_free(arena);
}

static void facts_look(struct member *m) {
    m->facts = facts_gather(m, on_facts, m);
    if (m->facts)
        return;
    member_say(m, m->incoming->order, m->incoming->step, OUTCOME_REFUSED,
               "its facts could not be gathered: out of memory");
    order_forget(m);
}

void order_forget(struct member *m) {
    m->facts = facts_cancel(m->facts);
    m->facts_again = sd_event_source_disable_unref(m->facts_again);
    m->incoming = verified_order_free(m->incoming);
    m->incoming_arena = arena_free(m->incoming_arena);
}

/* ---- the door ---- */

/* An ended step is answered as it ended, but for one that changed nothing and is ordered anew. */
static bool answered_before(struct member *m, const struct verified_order *v) {
    struct outcome_record kept;
    if (!outcome_of(m->executor, v->order, v->step->name, &kept))
        return false;
    struct offer offer = offer_of(v);
    if (!acceptance_is_answered(kept.outcome, kept.epoch, kept.expires_s, &offer))
        return false;
    if (m->executor->is_open)
        (void)!link_client_send(&m->executor->link, MESSAGE_REPORT, kept.report);
    return true;
}

/* At the barrier the order of the step that has ended is kept: it is not under way, and one that failed may come again. */
static bool is_under_way(const struct member *m, const struct verified_order *v) {
    bool goes_on = m->order && !machine_is_at_barrier(&m->machine);
    const struct verified_order *open = goes_on ? m->order : m->incoming;
    return open && open->order->serial == v->order->serial && strcmp(open->step->name, v->step->name) == 0;
}

static void accept(struct member *m, struct verified_order *v, const struct order_claim *claim,
                   struct arena **arena) {
    if (answered_before(m, v) || is_under_way(m, v)) {
        verified_order_free(v);
        return;
    }
    const char *before = quarantine_forbids(m->executor, v, v->arena);
    if (before[0]) {
        member_say(m, v->order, v->step, OUTCOME_QUARANTINED, before);
        verified_order_free(v);
        return;
    }
    struct machine_event now = {.kind = MACHINE_EVENT_TIME};
    member_feed(m, &now); /* a hold limit that is over comes first */
    if (m->incoming || (machine_is_busy(&m->machine) && !machine_is_at_barrier(&m->machine))) {
        member_say(m, v->order, v->step, OUTCOME_REFUSED, "another step of this member is open");
        verified_order_free(v);
        return;
    }
    if (!acceptance_needs_facts(&m->machine.record, v->order, v->step)) {
        begin(m, v, claim, "", false);
        return;
    }
    m->incoming = v;
    m->incoming_arena = TAKE(*arena);
    m->incoming_claim = arena_copy(m->incoming_arena, claim, sizeof(*claim));
    m->facts_until_us = clock_monotonic_us() + (uint64_t)FACTS_KNOWN_MS * 1000;
    if (!m->incoming_claim) {
        member_say(m, v->order, v->step, OUTCOME_REFUSED, "its facts could not be gathered: out of memory");
        order_forget(m);
        return;
    }
    facts_look(m);
}

void order_receive(struct executor *executor, struct bytes bytes) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(ORDER_ARENA_BYTES);
    struct order_message *message;
    struct order_claim claim;
    struct verified_order *v = NULL;
    struct member *m = NULL;
    struct error err = {""};
    if (!arena || codec_decode(&order_message_codec, bytes, arena, &message, &err) < 0) {
        executor_warn(executor, "order", err.text);
        return;
    }
    claim_of(message, &claim);
    struct verify_context context = {.anchors = &executor->config.anchors,
                                     .self = executor->key.public,
                                     .now_s = executor_now_s(executor),
                                     .began = has_begun(executor, &claim)};
    int r = order_verify(&context, &claim, &v, &err);
    if (r == 0)
        r = outputs_allowed(v, &err);
    if (r == 0)
        r = may_begin(executor, v, &m, &err);
    if (r < 0) {
        say_refused(executor, &claim, err.text);
        verified_order_free(v);
        return;
    }
    accept(m, v, &claim, &arena);
}
