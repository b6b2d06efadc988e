/* Why on the node and not at the coordinator alone: one that was stolen, or restored from before the failure, knows of none
 * and would try the same thing every night. What is kept is keyed by the digest that is tried, for the whole node: two
 * members of it run the same release. The first failure is what is told, until a plan that was signed to try it again
 * fails as well, or proves it. */
#include "common/plan/quarantine.h"
#include "agent/executor/executor.h"
#include "common/base/log.h"

#include <string.h>

enum { QUARANTINE_ARENA_BYTES = 16 * 1024 };

static bool kept(const struct executor *executor, const struct digest *subject, struct arena *arena,
                 struct quarantine_record *outp) {
    char key[KEDGE_DIGEST_TEXT_SIZE];
    digest_format(key, subject);
    struct bytes packed = journal_get(executor->journal, RECORD_QUARANTINE, key);
    return packed.data && arena && quarantine_record_unpack(packed, arena, outp) == 0;
}

void quarantine_note(const struct member *m, const char *reason) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(QUARANTINE_ARENA_BYTES);
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    const struct work_order *order = m->order->order;
    struct quarantine_record record;
    struct digest subject;
    char key[KEDGE_DIGEST_TEXT_SIZE];
    if (!quarantine_subject(order, &subject) ||
        (kept(m->executor, &subject, arena, &record) && !quarantine_is_lifted(&m->order->header, &subject)))
        return;
    record = (struct quarantine_record){.failed = {order->cluster, order->serial},
                                        .member = order->member,
                                        .reason = reason,
                                        .at_s = executor_now_s(m->executor)};
    quarantine_record_pack(&record, &packed);
    digest_format(key, &subject);
    if (executor_put(m->executor, RECORD_QUARANTINE, key, &packed))
        log_warning("quarantine", "%s: %s is quarantined on this node: %s", m->name, key, reason);
}

void quarantine_end(const struct member *m) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(QUARANTINE_ARENA_BYTES);
    const struct work_order *order = m->order->order;
    struct quarantine_record record;
    struct digest subject;
    char key[KEDGE_DIGEST_TEXT_SIZE];
    if (!quarantine_subject(order, &subject) || !quarantine_is_lifted(&m->order->header, &subject) ||
        !kept(m->executor, &subject, arena, &record) || quarantined_by(&record.failed, order))
        return; /* what failed in this very plan on another member of the node stays */
    digest_format(key, &subject);
    (void)!journal_drop(m->executor->journal, RECORD_QUARANTINE, key);
    log_info("quarantine", "%s: %s has proven itself and is quarantined no more", m->name, key);
}

const char *quarantine_forbids(const struct executor *executor, const struct verified_order *v,
                               struct arena *arena) {
    struct quarantine_record record;
    struct digest subject;
    char key[KEDGE_DIGEST_TEXT_SIZE];
    if (!quarantine_subject(v->order, &subject) || !kept(executor, &subject, arena, &record))
        return "";
    struct offer offer = {.serial = v->header.serial,
                          .order = v->order,
                          .step = v->step,
                          .lifts = quarantine_is_lifted(&v->header, &subject)};
    if (!acceptance_is_quarantined(&record.failed, &offer))
        return "";
    digest_format(key, &subject);
    const char *why =
        arena_format(arena, "%.19s is quarantined on this node: it failed on %.80s in plan %llu: %.100s", key,
                     record.member, (unsigned long long)record.failed.serial, record.reason);
    return why ? why : "what it leads to is quarantined on this node";
}
