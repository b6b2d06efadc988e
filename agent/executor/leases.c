/* A side action that is open when the coordinator falls silent is put back by the members themselves, one after the
 * other: the one of rank i looks after ttl + i * delta whether our value is still in force, and puts the previous one
 * back only then. What somebody else has set since is nobody's of ours.
 *
 * Silence is that of the run: only the word that this side action is open counts, for a coordinator that was stolen, or has
 * lost its journal, talks on about other things. For the same reason the agent that opens it holds its lease from that
 * moment, whether or not it is ever told to.
 *
 * The close step runs through the member's machine like any other step, so it is journaled, done once and reported; it
 * waits while a step of this member is open. */
#include "agent/executor/executor.h"

#include "agent/core/lease.h"
#include "common/base/log.h"

#include <string.h>

enum { LOOK_AGAIN_US = 2 * 1000 * 1000 };

/* One open lease that this node holds, by one of its members. */
struct lease_watch {
    struct executor *executor;
    char key[JOURNAL_KEY_MAX + 1]; /* cluster/serial/name */
    char member[KEDGE_MEMBER_NAME_MAX + 1];
    uint64_t heard_us; /* when it was last said to be open */
    uint64_t look_us;
    uint64_t due_ms;              /* of silence, as last read from the order; 0: not read yet */
    struct verified_order *order; /* while it is being looked at */
    struct questions *questions;
    struct lease_watch *next;
};

static struct lease_watch *watch_free(struct lease_watch *watch) {
    questions_cancel(watch->questions);
    verified_order_free(watch->order);
    free(watch);
    return NULL;
}

static void key_of(const char *cluster, uint64_t serial, const char *name, char *out, size_t size) {
    snprintf(out, size, "%s/%020llu/%s", cluster, (unsigned long long)serial, name);
}

static void put(struct executor *executor, const char *key, bool open, const char *member) {
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    struct lease_record record = {open, member};
    if (!open) {
        (void)!journal_drop(executor->journal, RECORD_LEASE, key);
        return;
    }
    lease_record_pack(&record, &packed);
    (void)executor_put(executor, RECORD_LEASE, key, &packed);
}

/* ---- which member holds it ---- */

static bool holds(struct member *m, const char *key, struct verified_order **outp) {
    struct error err;
    char its[JOURNAL_KEY_MAX + 1];
    const char *name = strrchr(key, '/') + 1;
    struct step_record step;
    _cleanup_(arena_freep) struct arena *arena = arena_new(64 * 1024);
    _cleanup_(verified_order_freep) struct verified_order *order = NULL;
    if (!arena ||
        step_record_unpack(journal_get(m->executor->journal, RECORD_STEP, m->name), arena, &step) < 0 ||
        order_restore(m, step.step, &order, &err) < 0 || !lease_find(order->order, name))
        return false;
    key_of(order->order->cluster, order->order->serial, name, its, sizeof(its));
    if (strcmp(its, key) != 0)
        return false;
    *outp = TAKE(order);
    return true;
}

static void watch_drop(struct lease_watch *watch) {
    struct lease_watch **at = &watch->executor->leases;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    watch_free(watch);
}

static void watch_add(struct executor *executor, const char *key) {
    struct lease_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return;
    watch->executor = executor;
    watch->heard_us = clock_monotonic_us();
    snprintf(watch->key, sizeof(watch->key), "%s", key);
    watch->next = executor->leases;
    executor->leases = watch;
}

static struct lease_watch *watch_find(struct executor *executor, const char *key) {
    struct lease_watch *watch = executor->leases;
    while (watch && strcmp(watch->key, key) != 0)
        watch = watch->next;
    return watch;
}

/* Only a lease that an order of this node's speaks of: whatever else a coordinator names would fill the journal. */
static bool is_known(struct executor *executor, const struct lease_message *message, const char *key) {
    const struct cluster *cluster = executor_cluster(executor, message->cluster);
    if (!cluster || cluster->record.serial != message->serial)
        return false;
    for (struct member *m = executor->members; m; m = m->next) {
        _cleanup_(verified_order_freep) struct verified_order *order = NULL;
        if (m->cluster == cluster && holds(m, key, &order))
            return true;
    }
    return false;
}

static void hold(struct executor *executor, const char *key, bool open) {
    struct lease_watch *watch = watch_find(executor, key);
    if (watch && open) {
        watch->heard_us = clock_monotonic_us();
        return; /* it stands in the journal */
    }
    if (open)
        watch_add(executor, key);
    else if (watch)
        watch_drop(watch);
    put(executor, key, open, "");
}

void lease_receive(struct executor *executor, const struct lease_message *message) {
    char key[JOURNAL_KEY_MAX + 1];
    key_of(message->cluster, message->serial, message->name, key, sizeof(key));
    struct lease_watch *watch = watch_find(executor, key);
    bool open = message->state == LEASE_OPEN;
    if (!lease_word_counts(message->epoch, executor->trust.epoch))
        return;
    if (!watch && (!open || !is_known(executor, message, key)))
        return;
    hold(executor, key, open);
}

void lease_opens(struct executor *executor, const struct work_order *order, const struct step *step) {
    char key[JOURNAL_KEY_MAX + 1];
    const struct lease *lease = lease_of_open(order, step);
    if (!lease)
        return;
    key_of(order->cluster, order->serial, lease->name, key, sizeof(key));
    hold(executor, key, true);
}

/* ---- silence ---- */

static void run_close(struct lease_watch *watch, struct member *m) {
    const struct lease *lease = lease_find(watch->order->order, strrchr(watch->key, '/') + 1);
    struct verified_order *v = TAKE(watch->order);
    if (!lease) { /* looked for and found just before */
        verified_order_free(v);
        return;
    }
    /* It answers no order, so any order to put it back is newer, however wrong this node's clock is. */
    struct step_record record = {lease->close_step, watch->executor->trust.epoch, 0};
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    log_warning("lease", "%s: the coordinator is silent about it; %s is put back by %s", watch->key,
                lease->name, m->name);
    v->step = work_order_step(v->order, lease->close_step);
    step_record_pack(&record, &packed);
    (void)executor_put(watch->executor, RECORD_STEP, m->name, &packed);
    m->order = v;
    m->epoch = record.epoch;
    m->expires_s = record.expires_s;
    m->n_evidence = 0;
    m->outcome_kept = false;
    struct machine_event event = {
        .kind = MACHINE_EVENT_ORDER, .order = v->order, .step = v->step, .latched = true};
    member_feed(m, &event);
}

static void on_ours(void *context, const struct answers *answers) {
    struct lease_watch *watch = context;
    struct member *m = executor_member(watch->executor, watch->member);
    watch->questions = NULL;
    watch->look_us = clock_monotonic_us() + LOOK_AGAIN_US;
    bool heard = (clock_monotonic_us() - watch->heard_us) / 1000 < watch->due_ms; /* while it was asked */
    if (heard && answers->all.answer != ANSWER_NO)
        return;
    switch (lease_decide(answers->all.answer, m && !machine_is_busy(&m->machine) && !m->incoming)) {
    case LEASE_FORGET:
        log_info("lease", "%s: it is not in force any more", watch->key);
        put(watch->executor, watch->key, false, "");
        watch_drop(watch);
        return;
    case LEASE_PUT_BACK: run_close(watch, m); return; /* looked at again until it is no more in force */
    case LEASE_LOOK_AGAIN: return;
    }
}

static void look(struct lease_watch *watch, uint64_t now_us) {
    struct executor *executor = watch->executor;
    const char *name = strrchr(watch->key, '/') + 1;
    uint64_t silent_ms = (now_us - watch->heard_us) / 1000;
    if (now_us < watch->look_us || watch->questions || silent_ms < watch->due_ms)
        return;
    watch->look_us = now_us + LOOK_AGAIN_US;
    for (struct member *m = executor->members; m; m = m->next) {
        struct verified_order *order = NULL;
        if (machine_is_busy(&m->machine) || m->incoming || !holds(m, watch->key, &order))
            continue;
        const struct lease *lease = lease_find(order->order, name);
        if (!lease)
            continue;
        watch->due_ms = lease_due_ms(lease);
        if (!lease_must_look(order->order, lease, silent_ms)) {
            verified_order_free(order);
            continue;
        }
        verified_order_free(watch->order);
        watch->order = order;
        snprintf(watch->member, sizeof(watch->member), "%s", m->name);
        struct asker asker = member_asker(m);
        watch->questions = questions_check(&asker, lease_ours(order->order, lease), on_ours, watch);
        return;
    }
}

void leases_look(struct executor *executor) {
    uint64_t now_us = clock_monotonic_us();
    for (struct lease_watch *watch = executor->leases, *next; watch; watch = next) {
        next = watch->next;
        look(watch, now_us);
    }
}

void leases_load(struct executor *executor) {
    for (const char *key = journal_next(executor->journal, RECORD_LEASE, ""); key;
         key = journal_next(executor->journal, RECORD_LEASE, key))
        watch_add(executor, key);
}

void leases_free(struct executor *executor) {
    while (executor->leases) {
        struct lease_watch *next = executor->leases->next;
        watch_free(executor->leases);
        executor->leases = next;
    }
}
