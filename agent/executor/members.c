/* Where the machine of agent/core meets the world: events in, actions done in their order, one timer. Nothing is decided
 * here; what looks like a decision is the order in which the machine's list is worked off.
 *
 * A failed sync before the first change keeps the next action from happening: the machine hears that the row failed
 * untouched. After the stop a failing journal changes nothing but the alarm. */
#include "agent/executor/executor.h"

#include "agent/core/acceptance.h"
#include "agent/executor/finalize.h"
#include "agent/executor/generations.h"
#include "common/base/log.h"

#include <malloc.h>
#include <string.h>
#include <sys/epoll.h>

/* ---- reports ---- */

static void outcome_key(const struct work_order *order, const struct step *step, char *out, size_t size) {
    snprintf(out, size, "%s/%020llu/%s/%s", order->cluster, (unsigned long long)order->serial, order->member,
             step->name);
}

static int report_encode(struct member *m, const struct work_order *order, const struct step *step,
                         enum outcome outcome, const char *reason, struct buffer *out) {
    struct evidence evidence[ARRAY_LEN(m->evidence)];
    const struct machine_record *record = &m->machine.record;
    char both[KEDGE_REASON_MAX];
    if (m->executor->told_lost) { /* whoever reads the outcome must know that this agent does nothing more */
        snprintf(both, sizeof(both), "%.300s%sjournal lost: mend this node's disk and restart its agent",
                 reason, reason[0] ? "; " : "");
        reason = both;
    }
    struct error err = {""};
    const struct bytes *outputs = NULL;
    size_t n_outputs = outcome == OUTCOME_DONE && m->order ? m->outputs.n : 0;
    _cleanup_(arena_freep) struct arena *arena = n_outputs > 0 ? arena_new(64 * 1024) : NULL;
    if (n_outputs > 0 &&
        (!arena || outputs_sign(&m->outputs, m->order, &m->executor->key, arena, &outputs, &err) < 0)) {
        log_error("report", "%s: what %s has put out cannot be signed: %s", m->name, step->name, err.text);
        return -ENOMEM;
    }
    for (size_t i = 0; i < m->n_evidence; i++)
        evidence[i] = (struct evidence){m->evidence[i].gate, m->evidence[i].answer, m->evidence[i].reason,
                                        m->evidence[i].age_us};
    struct report report = {.cluster = order->cluster,
                            .serial = order->serial,
                            .member = order->member,
                            .step = step->name,
                            .outcome = outcome,
                            .reason = reason,
                            .evidence = evidence,
                            .n_evidence = m->n_evidence,
                            .interruption_us = record->interruption_us,
                            .evidence_age_us = record->evidence_age_us,
                            .mode = m->mode,
                            .origin = m->origin,
                            .version = m->has_generation ? m->generation.version : "",
                            .generation = m->has_generation ? m->generation.number : 0,
                            .at_ms = clock_wall_ms(),
                            .epoch = m->executor->trust.epoch,
                            .blames =
                                record->blames && (outcome == OUTCOME_RETURNED || outcome == OUTCOME_HELD),
                            .outputs = outputs,
                            .n_outputs = n_outputs};
    int r = codec_encode(&report_codec, &report, out, &err);
    if (r < 0)
        log_error("report", "%s: %s", m->name, err.text);
    return r;
}

void member_outcome_drop(struct member *m, const struct work_order *order, const struct step *step) {
    char key[JOURNAL_KEY_MAX + 1];
    outcome_key(order, step, key, sizeof(key));
    (void)!journal_drop(m->executor->journal, RECORD_OUTCOME, key);
}

/* One that is not kept: progress, or a refusal. */
void member_say(struct member *m, const struct work_order *order, const struct step *step,
                enum outcome outcome, const char *reason) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    log_info("report", "%s %s: %s%s%s", m->name, step->name, outcome_text(outcome), reason[0] ? ": " : "",
             reason);
    if (report_encode(m, order, step, outcome, reason, &bytes) == 0 && m->executor->is_open)
        (void)!link_client_send(&m->executor->link, MESSAGE_REPORT, buffer_bytes(&bytes));
}

/* `again`: unasked, to a coordinator that has come back. */
static void send_outcome(struct executor *executor, struct bytes packed, bool again) {
    struct outcome_record record;
    if (!packed.data || !executor->is_open || outcome_record_unpack(packed, &record) < 0)
        return;
    if (!again || outcome_is_said_again(record.outcome))
        (void)!link_client_send(&executor->link, MESSAGE_REPORT, record.report);
}

void member_reports_again(const struct member *m) {
    char first[JOURNAL_KEY_MAX + 1], part[KEDGE_MEMBER_NAME_MAX + 3];
    size_t len = (size_t)snprintf(first, sizeof(first), "%s/", m->cluster->charter->cluster);
    snprintf(part, sizeof(part), "/%s/", m->name);
    for (const char *key = journal_next(m->executor->journal, RECORD_OUTCOME, first);
         key && strncmp(key, first, len) == 0; key = journal_next(m->executor->journal, RECORD_OUTCOME, key))
        if (strstr(key + len, part))
            send_outcome(m->executor, journal_get(m->executor->journal, RECORD_OUTCOME, key), true);
}

static bool proves(enum outcome outcome, const struct step *step) {
    return outcome == OUTCOME_RETURNED || (outcome == OUTCOME_DONE && verb_proves(step->verb));
}

/* What was proven is what a restart of the host starts, and where `current` leads outlives the host. */
static void proven(struct member *m, const struct machine_record *record) {
    uint32_t number;
    char text[48];
    struct error err = {""};
    _cleanup_(buffer_deinit) struct buffer value = {0};
    if (generation_number(m, m->order->order, record->generation, &number) < 0)
        return;
    snprintf(text, sizeof(text), "%u %" PRIu64, number, clock_wall_ms());
    buffer_text(&value, text);
    (void)executor_put(m->executor, RECORD_PROVEN, m->name, &value);
    start_keep(m);
    if (generation_sync(m->folder, &err) < 0)
        log_error("generation", "%s: %s", m->name, err.text);
}

/* The report stands in the journal before anybody hears it. */
static void keep_outcome(struct member *m, const struct machine_record *record) {
    const struct work_order *order = m->order->order;
    const struct step *step = m->order->step;
    _cleanup_(buffer_deinit) struct buffer report = {0}, packed = {0};
    char key[JOURNAL_KEY_MAX + 1];
    if (proves(record->outcome, step))
        proven(m, record);
    if (step->verb == VERB_FINALIZE && record->outcome == OUTCOME_DONE)
        finalize_note(m, order->to_version);
    if (record->blames && (record->outcome == OUTCOME_RETURNED || record->outcome == OUTCOME_HELD))
        quarantine_note(m, record->reason);
    if (record->outcome == OUTCOME_DONE && verb_proves(step->verb) && record->generation > 0)
        quarantine_end(m);
    if (record->outcome == OUTCOME_HELD && m->process.id.pid == 0) {
        m->mode = MODE_DOWN;
        m->origin = m->process.origin = ORIGIN_KEDGE;
    }
    if (report_encode(m, order, step, record->outcome, record->reason, &report) < 0)
        return;
    struct outcome_record outcome = {record->outcome, m->epoch, m->expires_s, buffer_bytes(&report)};
    outcome_record_pack(&outcome, &packed);
    outcome_key(order, step, key, sizeof(key));
    (void)executor_put(m->executor, RECORD_OUTCOME, key, &packed);
    m->outcome_kept = true; /* in memory, whatever the disk said */
}

/* ---- actions ---- */

static bool act_journal(struct member *m, const struct machine_action *action) {
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    if (action->record.outcome != OUTCOME_NONE && m->order)
        keep_outcome(m, &action->record);
    machine_record_pack(&action->record, &packed);
    bool written = executor_put(m->executor, RECORD_MEMBER, m->name, &packed);
    if (action->sync && written && journal_sync(m->executor->journal) < 0) {
        executor_journal_lost(m->executor);
        written = false;
    }
    return written || !action->sync;
}

static void act_report(struct member *m, const struct machine_action *action) {
    char key[JOURNAL_KEY_MAX + 1];
    if (!m->order)
        return;
    const struct step *step = m->order->step;
    if (!m->outcome_kept) {
        member_say(m, m->order->order, step, action->outcome, action->reason);
        return;
    }
    m->outcome_kept = false;
    outcome_key(m->order->order, step, key, sizeof(key));
    struct bytes kept = journal_get(m->executor->journal, RECORD_OUTCOME, key);
    log_info("report", "%s %s: %s%s%s", m->name, step->name, outcome_text(action->outcome),
             action->reason[0] ? ": " : "", action->reason);
    send_outcome(m->executor, kept, false);
    if (step->verb == VERB_FINALIZE && action->outcome == OUTCOME_DONE)
        finalize_prune(m);
}

static void perform(struct member *m, const struct machine_actions *actions) {
    bool written = true;
    for (size_t i = 0; i < actions->n; i++) {
        const struct machine_action *action = &actions->items[i];
        switch (action->kind) {
        case MACHINE_ACTION_JOURNAL: written = act_journal(m, action); break;
        case MACHINE_ACTION_EXECUTE:
            if (written) {
                row_execute(m, action);
            } else {
                struct machine_event failed = {.kind = MACHINE_EVENT_FAILED,
                                               .op = action->op,
                                               .untouched = true,
                                               .reason =
                                                   "this agent's journal cannot be written (journal lost)"};
                member_feed(m, &failed);
            }
            return; /* always the last of its list */
        case MACHINE_ACTION_KILL: row_kill(m); break;
        case MACHINE_ACTION_REPORT:
            if (written || action->outcome != OUTCOME_BEGUN)
                act_report(m, action);
            break;
        case MACHINE_ACTION_ALARM: log_error("alarm", "%s: %s", m->name, action->reason); break;
        }
    }
}

static void arm(struct member *m) {
    uint64_t next = machine_next_deadline(&m->machine);
    (void)sd_event_source_set_time(m->timer, next);
    (void)sd_event_source_set_enabled(m->timer, next == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* A concluded step: nothing of it is under way, its order is given back. */
static void settle(struct member *m) {
    struct error err;
    if (machine_is_busy(&m->machine) || !m->order)
        return;
    row_forget(m);
    if (m->child.go_fd >= 0)
        child_deinit(&m->child); /* made for a start that did not come */
    m->order = verified_order_free(m->order);
    m->n_evidence = 0;
    m->outputs.n = 0;
    if (journal_compact(m->executor->journal, &err) < 0)
        log_error("journal", "%s", err.text);
    (void)malloc_trim(0); /* an agent is idle for months */
}

void member_feed(struct member *m, struct machine_event *event) {
    struct machine_actions actions;
    m->depth++;
    enum machine_state before = m->machine.record.state;
    if (event->now_us == 0)
        event->now_us = clock_monotonic_us();
    machine_step(&m->machine, event, &actions);
    if (before != m->machine.record.state)
        log_info("member", "%s: %s -> %s%s%s", m->name, machine_state_text(before),
                 machine_state_text(m->machine.record.state), m->machine.record.reason[0] ? ", " : "",
                 m->machine.record.reason);
    perform(m, &actions);
    if (--m->depth > 0)
        return; /* an answer that came while an earlier event's actions are worked off */
    settle(m);
    arm(m);
}

void member_answer(struct member *m, uint32_t op, enum answer answer, const char *reason) {
    struct machine_event event = {.kind = MACHINE_EVENT_ANSWER, .op = op, .answer = answer, .reason = reason};
    member_feed(m, &event);
}

void member_fail(struct member *m, uint32_t op, const char *reason) {
    struct machine_event event = {.kind = MACHINE_EVENT_FAILED, .op = op, .reason = reason};
    member_feed(m, &event);
}

void member_fail_by_itself(struct member *m, uint32_t op, const char *reason) {
    struct machine_event event = {.kind = MACHINE_EVENT_FAILED, .op = op, .reason = reason, .blames = true};
    member_feed(m, &event);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
    (void)source;
    (void)usec;
    struct machine_event event = {.kind = MACHINE_EVENT_TIME};
    member_feed(userdata, &event);
    return 0;
}

/* ---- the process ---- */

void member_process_put(struct member *m) {
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    m->process.instance = m->instance;
    process_record_pack(&m->process, &packed);
    (void)executor_put(m->executor, RECORD_PROCESS, m->name, &packed);
}

void member_unwatch(struct member *m) {
    m->watch = sd_event_source_disable_unref(m->watch);
    closep(&m->pidfd);
    m->pidfd = -1;
}

static void ended_as_asked(struct member *m) {
    uint32_t op = m->op;
    uint64_t now = clock_monotonic_us();
    m->stopping = false;
    m->process.origin = ORIGIN_KEDGE;
    m->mode = MODE_DOWN;
    m->origin = ORIGIN_KEDGE;
    struct machine_event event = {.kind = MACHINE_EVENT_ANSWER,
                                  .op = op,
                                  .now_us = now,
                                  .answer = ANSWER_YES,
                                  .age_us = now - m->signalled_us};
    member_feed(m, &event);
}

void member_ended(struct member *m, const char *how, bool by_itself) {
    m->process.origin = ORIGIN_CRASH;
    m->mode = MODE_DOWN;
    m->origin = ORIGIN_CRASH;
    member_process_put(m);
    log_warning("member", "%s ended by itself: %s", m->name, how);
    struct machine_event event = {.kind = MACHINE_EVENT_ENDED, .reason = how, .blames = by_itself};
    member_feed(m, &event);
}

/* Its end is told with what is known of it, however soon it came. */
static void process_is_over(struct member *m) {
    char how[KEDGE_REASON_MAX];
    bool by_itself = true;
    process_epitaph(&m->process.id, how, sizeof(how));
    member_unwatch(m);
    m->process.id.pid = 0;
    if (m->stopping) {
        ended_as_asked(m);
        return;
    }
    if (m->row && m->row->primitive == PRIMITIVE_START)
        by_itself = !port_is_taken(m, how, sizeof(how)); /* else that is why */
    member_last_words(m, how, sizeof(how));
    member_ended(m, how, by_itself);
}

static int on_process_end(sd_event_source *source, int fd, uint32_t events, void *userdata) {
    struct member *m = userdata;
    (void)source;
    (void)fd;
    (void)events;
    if (process_has_ended(m->pidfd, &m->process.id))
        process_is_over(m);
    return 0;
}

void member_watch(struct member *m) {
    member_unwatch(m);
    if (m->process.id.pid == 0)
        return;
    m->pidfd = process_open(&m->process.id);
    if (m->pidfd < 0 ||
        sd_event_add_io(m->executor->loop, &m->watch, m->pidfd, EPOLLIN, on_process_end, m) < 0)
        process_is_over(m);
}

struct asker member_asker(const struct member *m) {
    return (struct asker){.loop = m->executor->loop,
                          .prober = m->executor->prober,
                          .config = &m->executor->config,
                          .journal = m->executor->journal,
                          .member = m->name,
                          .self = m->order ? m->order->order->self : m->charter->self,
                          .spec = m->has_generation ? &m->generation.spec : NULL,
                          .log_offset = m->process.log_offset};
}

/* ---- life ---- */

struct member *member_new(struct executor *executor, struct cluster *cluster,
                          const struct charter_member *charter) {
    struct member *m = calloc(1, sizeof(*m));
    if (!m || snprintf(m->name, sizeof(m->name), "%s", charter->name) >= (int)sizeof(m->name) ||
        member_folder(executor->config.state, charter->name, m->folder, sizeof(m->folder)) < 0 ||
        sd_event_add_time(executor->loop, &m->timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_timer, m) < 0) {
        free(m);
        return NULL;
    }
    m->executor = executor;
    m->cluster = cluster;
    m->charter = charter;
    m->pidfd = -1;
    m->child = (struct waiting_child){.go_fd = -1, .result_fd = -1};
    return m;
}

struct member *member_free(struct member *m) {
    if (!m)
        return NULL;
    order_forget(m);
    row_forget(m);
    child_deinit(&m->child);
    member_unwatch(m);
    sd_event_source_disable_unref(m->timer);
    verified_order_free(m->order);
    arena_free(m->spec_arena);
    free(m);
    return NULL;
}
