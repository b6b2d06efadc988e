/* The executor's shell: which orders come in, what is written, what a restart finds. All that is decided is decided in
 * agent/core; the disk loses what was not synced when its host dies, and keeps it when only the agent does. */
#include "coordinator/rehearsal/internal.h"

#include <stdlib.h>
#include <string.h>

uint32_t step_number(const struct member *m, const char *name) {
    for (uint32_t i = 0; i < m->order->n_steps; i++)
        if (strcmp(m->order->steps[i].name, name) == 0)
            return i;
    abort();
}

bool step_closes(const struct member *m, const struct step *step) {
    for (size_t i = 0; i < m->order->n_leases; i++)
        if (strcmp(m->order->leases[i].close_step, step->name) == 0)
            return true;
    return step->verb == VERB_REVERT || step->verb == VERB_BACK;
}

/* ---- disk ---- */

void disk_write(struct member *m) {
    if (m->n_snapshots == SNAPSHOTS) {
        memmove(&m->snapshots[1], &m->snapshots[2], (SNAPSHOTS - 2) * sizeof(m->snapshots[0]));
        m->n_snapshots--;
    }
    m->snapshots[m->n_snapshots++] = m->written;
}

void disk_sync(struct member *m) {
    m->synced = m->written;
    m->n_snapshots = 0;
}

/* ---- reports ---- */

static void report_send(struct world *w, struct member *m, uint32_t step, const struct kept_outcome *kept) {
    struct message message = {
        .kind = MESSAGE_REPORT, .member = m->index, .step = step, .serial = kept->serial, .report = *kept};
    message_send(w, m->node, false, &message);
}

static struct kept_outcome outcome_now(const struct world *w, const struct member *m, enum outcome outcome,
                                       uint64_t serial, const char *reason) {
    struct kept_outcome kept = {
        .is = true,
        .outcome = outcome,
        .serial = serial,
        .epoch = m->epoch,
        .expires_s = m->expires_s,
        .interruption_us = m->machine.record.interruption_us,
        .evidence_age_us = m->machine.record.evidence_age_us,
        .at_ms = w->wall_ms + w->now_us / MS,
        .generation = generation_of(m, serial, m->service.running ? m->service.content : m->link),
        .mode = service_mode(m),
        .blames = m->machine.record.blames && (outcome == OUTCOME_RETURNED || outcome == OUTCOME_HELD)};
    snprintf(kept.reason, sizeof(kept.reason), "%.150s", reason ? reason : "");
    return kept;
}

static void say(struct world *w, struct member *m, uint32_t step, uint64_t serial, enum outcome outcome,
                const char *reason) {
    struct kept_outcome kept = outcome_now(w, m, outcome, serial, reason);
    world_say(w, "agent    %s: %s: %s: %s", m->order->member, step_at(m, step)->name, outcome_text(outcome),
              kept.reason);
    report_send(w, m, step, &kept);
}

void agent_reports_again(struct world *w, struct member *m) {
    for (uint32_t i = 0; i < STEPS_MAX; i++)
        if (m->written.outcomes[i].is && outcome_is_said_again(m->written.outcomes[i].outcome))
            report_send(w, m, i, &m->written.outcomes[i]);
}

/* ---- what the machine says ---- */

static void time_arm(struct world *w, struct member *m) {
    uint64_t next = machine_next_deadline(&m->machine);
    m->time_token++;
    if (next == UINT64_MAX)
        return;
    struct item *item = item_add(w, ITEM_MACHINE_TIME, next > w->now_us ? next - w->now_us : 0);
    item->index = m->index;
    item->token = m->time_token;
}

/* ---- what failed here ---- */

static struct failed_here *failed_find(struct disk *disk, const struct digest *what) {
    for (size_t i = 0; i < disk->n_failed; i++)
        if (digest_equal(&disk->failed[i].what, what))
            return &disk->failed[i];
    return NULL;
}

/* At the end of a step: the first failure is kept, until what failed proves itself by a plan that was signed for it. */
static void quarantine_keep(struct world *w, struct member *m, const struct kept_outcome *kept) {
    const struct header *header = &plan_of(m->cluster, kept->serial)->header;
    struct disk *disk = &m->written;
    struct digest what;
    if (!quarantine_subject(order_of(m, kept->serial), &what))
        return;
    struct failed_here *before = failed_find(disk, &what);
    bool proven = kept->outcome == OUTCOME_DONE && verb_proves(step_at(m, disk->step)->verb) &&
                  m->machine.record.generation > 0;
    bool lifted = quarantine_is_lifted(header, &what);
    struct failed_here now = {what, {header->cluster, kept->serial}};
    if (kept->blames && world_chance(w, FAULT_SUPERSEDE, 2)) /* while nobody else has heard of it */
        item_add(w, ITEM_FAULT, 0)->index = FAULT_SUPERSEDE;
    if (kept->blames && !before && disk->n_failed < FAILED_MAX)
        disk->failed[disk->n_failed++] = now;
    else if (kept->blames && before && lifted)
        *before = now;
    else if (proven && before && lifted && !quarantined_by(&before->before, order_of(m, kept->serial)))
        *before = disk->failed[--disk->n_failed];
}

static bool is_quarantined(struct member *m, const struct offer *offer) {
    struct digest what;
    if (!quarantine_subject(offer->order, &what))
        return false;
    const struct failed_here *before = failed_find(&m->written, &what);
    return before && acceptance_is_quarantined(&before->before, offer);
}

/* True when it is written. */
static bool act_journal(struct world *w, struct member *m, const struct machine_action *action) {
    if (m->journal_lost) {
        if (action->record.outcome != OUTCOME_NONE)
            oracle_conclude(w, m, action->record.outcome);
        return !action->sync;
    }
    m->written.record = action->record;
    if (action->record.outcome != OUTCOME_NONE && m->machine.record.outcome != OUTCOME_NONE) {
        struct kept_outcome *kept = &m->written.outcomes[m->written.step];
        *kept = outcome_now(w, m, action->record.outcome, action->record.serial, action->record.reason);
        kept->gives_away = lie_shows(w, m, step_at(m, m->written.step), kept);
        outputs_make(w, m, step_at(m, m->written.step), kept);
        m->outcome_kept = true;
        if (action->record.outcome == OUTCOME_DONE || action->record.outcome == OUTCOME_RETURNED)
            m->written.proven = m->service.content;
        quarantine_keep(w, m, kept);
    }
    disk_write(m);
    if (action->sync && world_chance(w, FAULT_DISK, 60)) {
        struct machine_event lost = {.kind = MACHINE_EVENT_JOURNAL_LOST, .now_us = w->now_us};
        struct machine_actions none;
        world_say(w, "disk     %s: its journal is lost", m->order->member);
        m->journal_lost = true;
        machine_step(&m->machine, &lost, &none);
        if (m->outcome_kept)
            oracle_conclude(w, m, action->record.outcome);
        return false;
    }
    if (action->sync)
        disk_sync(m);
    if (m->outcome_kept)
        oracle_conclude(w, m, action->record.outcome);
    return true;
}

static void act_execute(struct world *w, struct member *m, const struct machine_action *action, bool synced) {
    struct item *item;
    uint64_t after = synced ? 200 : 0;
    if (synced && world_chance(w, FAULT_SLOW_DISK, 3))
        after = world_between(w, FAULT_SLOW_DISK, MS, 2 * SECOND);
    if (synced && w->now_us + after > m->paused_until_us) /* it does nothing else meanwhile */
        m->paused_until_us = w->now_us + after;
    m->row = action->row;
    m->op = action->op;
    m->executing = *action;
    item = item_add(w, ITEM_EXECUTE, after);
    item->index = m->index;
    item->token = m->agent_token;
    item->op = m->op;
}

static void act_report(struct world *w, struct member *m, const struct machine_action *action) {
    uint32_t step = m->written.step;
    if (action->outcome == OUTCOME_BEGUN)
        return;
    if (!m->outcome_kept) {
        say(w, m, step, m->ordering, action->outcome, action->reason);
        return;
    }
    m->outcome_kept = false;
    struct kept_outcome kept = m->written.outcomes[step];
    world_say(w, "agent    %s: %s: %s%s%s", m->order->member, step_at(m, step)->name,
              outcome_text(kept.outcome), kept.reason[0] ? ": " : "", kept.reason);
    report_send(w, m, step, &kept);
}

static void untouched(struct world *w, struct member *m, const struct machine_action *action) {
    struct machine_event event = {.kind = MACHINE_EVENT_FAILED,
                                  .op = action->op,
                                  .untouched = true,
                                  .reason = "this agent's journal cannot be written (journal lost)"};
    agent_feed(w, m, &event);
}

void agent_feed(struct world *w, struct member *m, struct machine_event *event) {
    struct machine_actions actions;
    bool written = true, synced = false;
    event->now_us = w->now_us;
    enum machine_state was = m->machine.record.state;
    machine_step(&m->machine, event, &actions);
    oracle_moved(w, m, was, &actions);
    if (was != m->machine.record.state)
        world_say(w, "machine  %s: %s -> %s %s", m->order->member, machine_state_text(was),
                  machine_state_text(m->machine.record.state), m->machine.record.reason);
    for (size_t i = 0; i < actions.n; i++) {
        const struct machine_action *action = &actions.items[i];
        switch (action->kind) {
        case MACHINE_ACTION_JOURNAL:
            written = act_journal(w, m, action);
            synced = action->sync;
            if (world_chance(w, FAULT_AGENT, 150)) {
                agent_kill(w, m);
                return;
            }
            break;
        case MACHINE_ACTION_EXECUTE:
            if (written)
                act_execute(w, m, action, synced);
            else {
                untouched(w, m, action);
                return;
            }
            break; /* always the last of its list */
        case MACHINE_ACTION_KILL: row_kill_now(w, m); break;
        case MACHINE_ACTION_REPORT: act_report(w, m, action); break;
        case MACHINE_ACTION_ALARM: world_say(w, "ALARM    %s: %s", m->order->member, action->reason); break;
        }
    }
    time_arm(w, m);
}

/* ---- orders ---- */

/* Its lease is held from the moment that it opens. */
static void lease_opens(struct world *w, struct member *m, uint64_t serial, const struct step *step) {
    const struct work_order *order = order_of(m, serial);
    const struct lease *lease = lease_of_open(order, step);
    if (!lease || lease - order->leases >= SIDES_MAX)
        return;
    m->written.lease_open[lease - order->leases] = true;
    m->written.lease_serial = serial;
    m->lease_heard_us[lease - order->leases] = w->now_us;
}

/* What runs was started by nobody whom the journal names; from now on it names it. */
static void service_is_ours(struct member *m) {
    m->written.ran = true;
    m->written.ran_content = m->service.content;
    m->written.process = m->service.token;
    disk_write(m);
}

static void order_begin(struct world *w, struct member *m, const struct message *message,
                        const struct offer *offer) {
    if (m->journal_lost) {
        say(w, m, message->step, message->serial, OUTCOME_REFUSED,
            "this agent's journal cannot be written (journal lost)");
        return;
    }
    const char *no = machine_refuses(&m->machine, m->order, offer->step);
    if (no) {
        say(w, m, message->step, message->serial, OUTCOME_REFUSED, no);
        return;
    }
    struct disk *disk = &m->written;
    (void)acceptance_note(&disk->seen, offer);
    disk->has_order = true;
    disk->step = message->step;
    disk->step_epoch = message->epoch;
    disk->herd = message->herd;
    disk->step_expires_s = message->expires_s;
    disk->outcomes[message->step].is = false;
    lease_opens(w, m, message->serial, offer->step);
    disk_write(m);
    m->epoch = message->epoch;
    m->expires_s = message->expires_s;
    m->asked_us = 0;
    m->ordering = message->serial;
    oracle_accept(w, m, message);
    oracle_begins(w, m, message);
    bool compares = acceptance_needs_facts(&m->machine.record, offer->order, offer->step);
    const char *differs = compares ? facts_differ(m, message->serial) : NULL;
    bool runs_already = differs && hands_did(m, message->serial, offer->step);
    if (runs_already)
        service_is_ours(m);
    struct machine_event event = {.kind = MACHINE_EVENT_ORDER,
                                  .order = offer->order,
                                  .step = offer->step,
                                  .refused = runs_already ? NULL : differs,
                                  .runs_already = runs_already,
                                  .latched = acceptance_is_latched(&disk->seen, message->serial)};
    agent_feed(w, m, &event);
}

uint64_t agent_wall_s(const struct world *w, const struct member *m) {
    if (m->clock_stands_s > 0)
        return m->clock_stands_s;
    int64_t now_s = (int64_t)((w->wall_ms + w->now_us / MS) / 1000) + m->skew_s;
    return now_s > 0 ? (uint64_t)now_s : 0;
}

static void order_receive(struct world *w, struct member *m, const struct message *message) {
    const struct step *step = step_at(m, message->step);
    struct digest what;
    struct offer offer = {
        .epoch = message->epoch,
        .serial = message->serial,
        .expires_s = message->expires_s,
        .root = plan_of(m->cluster, message->serial)->header.root,
        .order = order_of(m, message->serial),
        .step = step,
        .forbidden = m->written.forbids == message->serial ? "an operator left it out of the run" : "",
        .lifts = quarantine_subject(order_of(m, message->serial), &what) &&
                 quarantine_is_lifted(&plan_of(m->cluster, message->serial)->header, &what)};
    const struct kept_outcome *kept = &m->written.outcomes[message->step];
    bool known = kept->is && kept->serial == message->serial;
    bool ended = known && !outcome_changed_nothing(kept->outcome);
    struct error err = {""};
    if (m->no_charter) {
        say(w, m, message->step, message->serial, OUTCOME_REFUSED,
            "it is in no charter that this node holds");
        return;
    }
    if (agent_lies_about(w, m, message))
        return;
    if (!acceptance_has_begun(&m->machine, offer.order, step, ended) &&
        agent_wall_s(w, m) > message->expires_s) {
        say(w, m, message->step, message->serial, OUTCOME_REFUSED, "the order has expired");
        return;
    }
    if (acceptance_check(&m->written.seen, &offer, &err) < 0) {
        say(w, m, message->step, message->serial, OUTCOME_REFUSED, err.text);
        return;
    }
    if (!outputs_believed(w, m, message, &err)) {
        say(w, m, message->step, message->serial, OUTCOME_REFUSED, err.text);
        return;
    }
    if (known && acceptance_is_answered(kept->outcome, kept->epoch, kept->expires_s, &offer)) {
        report_send(w, m, message->step, kept);
        return;
    }
    if (is_quarantined(m, &offer)) {
        say(w, m, message->step, message->serial, OUTCOME_QUARANTINED, "it failed here before");
        return;
    }
    struct machine_event time = {.kind = MACHINE_EVENT_TIME};
    if (machine_is_at_barrier(&m->machine))
        agent_feed(w, m, &time); /* a hold limit that is over comes first */
    if (!m->agent_up)
        return;
    if (machine_is_busy(&m->machine) && !machine_is_at_barrier(&m->machine)) {
        if (m->machine.step != step || m->machine.order != offer.order)
            say(w, m, message->step, message->serial, OUTCOME_REFUSED, "another step of this member is open");
        return;
    }
    order_begin(w, m, message, &offer);
}

/* ---- other words ---- */

static void latch(struct world *w, struct member *m, uint64_t serial) {
    if (serial <= m->written.seen.aborted)
        return;
    m->written.seen.aborted = m->latched = serial;
    disk_write(m);
    struct machine_event event = {.kind = MACHINE_EVENT_LATCH};
    if (machine_is_busy(&m->machine))
        agent_feed(w, m, &event);
}

/* An operator's signed word: synced before it counts, as the executor does it. */
static void word(struct member *m, const struct message *message) {
    enum run_event what = (enum run_event)message->step;
    if (m->journal_lost || message->member != m->index)
        return;
    if (what == RUN_EVENT_SKIP || what == RUN_EVENT_RETIRE)
        m->written.forbids = message->serial;
    if (what == RUN_EVENT_WAIVE && m->written.waived_serial != message->serial)
        memset(m->written.waived_until_s, 0, sizeof(m->written.waived_until_s));
    m->written.waived_serial = what == RUN_EVENT_WAIVE ? message->serial : m->written.waived_serial;
    if (what == RUN_EVENT_WAIVE && message->side < GATES_MAX)
        m->written.waived_until_s[message->side] = message->asked_us / 1000;
    disk_write(m);
    disk_sync(m);
}

static void answer(struct world *w, struct member *m, const struct message *message) {
    struct message back = *message;
    enum mode wanted = MODE_UNKNOWN;
    back.kind = MESSAGE_ANSWER;
    back.asked_us = w->now_us;
    for (size_t i = 0; i < message->n_gates; i++)
        back.answers[i] = m->no_charter
                              ? ANSWER_UNKNOWN
                              : model_answer(w, message->gates[i], m, message->self, message->herd, wanted);
    message_send(w, m->node, false, &back);
}

void agent_receive(struct world *w, struct member *m, struct message *message) {
    if (!m->agent_up)
        return;
    switch (message->kind) {
    case MESSAGE_ORDER: order_receive(w, m, message); return;
    case MESSAGE_ASK: answer(w, m, message); return;
    case MESSAGE_LATCH: latch(w, m, message->serial); return;
    case MESSAGE_LEASE:
        if (lease_word_counts(message->epoch, m->written.seen.epoch)) {
            m->written.lease_open[message->side] = message->open;
            m->written.lease_serial = message->serial;
            m->lease_heard_us[message->side] = w->now_us;
            disk_write(m);
        }
        return;
    case MESSAGE_WORD: word(m, message); return;
    case MESSAGE_REPORT:
    case MESSAGE_ANSWER: return;
    }
}

/* ---- leases ---- */

static void lease_close(struct world *w, struct member *m, const struct lease *lease, bool ours) {
    oracle_lease(w, m, lease->name, ours);
    world_say(w, "lease    %s: the coordinator is silent; %s is put back", m->order->member, lease->name);
    m->ordering = m->written.lease_serial;
    m->written.step = step_number(m, lease->close_step);
    m->written.step_epoch = m->epoch = m->written.seen.epoch;
    m->written.step_expires_s = m->expires_s = 0; /* it answers no order: every one is newer */
    disk_write(m);
    struct machine_event event = {.kind = MACHINE_EVENT_ORDER,
                                  .order = order_of(m, m->written.lease_serial),
                                  .step = step_at(m, m->written.step),
                                  .latched = true};
    agent_feed(w, m, &event);
}

void agent_lease_look(struct world *w, struct member *m) {
    if (!m->agent_up || m->journal_lost || !m->written.has_order || m->paused_until_us > w->now_us)
        return;
    for (size_t i = 0; i < m->order->n_leases && i < SIDES_MAX; i++) {
        const struct lease *lease = &m->order->leases[i];
        uint64_t silent_ms = (w->now_us - m->lease_heard_us[i]) / MS;
        if (!m->written.lease_open[i] || !lease_must_look(m->order, lease, silent_ms))
            continue;
        switch (
            lease_decide(m->cluster->side_ours[i] ? ANSWER_YES : ANSWER_NO, !machine_is_busy(&m->machine))) {
        case LEASE_FORGET:
            m->written.lease_open[i] = false;
            disk_write(m);
            break;
        case LEASE_PUT_BACK: lease_close(w, m, lease, m->cluster->side_ours[i]); return;
        case LEASE_LOOK_AGAIN: break;
        }
    }
}

/* ---- death and return ---- */

/* One agent for all members of a host. */
struct member *next_on_host(struct world *w, const struct member *m, const struct member *after) {
    for (uint32_t i = after ? after->index + 1 : 0; i < w->n_members; i++)
        if (w->members[i].node == m->node)
            return &w->members[i];
    return NULL;
}

static void agent_down(struct world *w, struct member *m) {
    m->agent_up = false;
    m->paused_until_us = 0;
    m->time_token++;
    m->agent_token++;
    m->outcome_kept = false;
    line_cut(w, m->node, 0);
}

static void agent_comes_back(struct world *w, struct member *m, uint64_t after_us) {
    struct item *item = item_add(w, ITEM_AGENT_UP, after_us);
    item->index = m->index;
    item->token = m->agent_token;
}

static void kill_one(struct world *w, struct member *m, uint64_t after_us) {
    if (!m->agent_up)
        return;
    world_say(w, "killed   the agent of %s", m->order->member);
    agent_down(w, m);
    agent_comes_back(w, m, after_us);
}

void agent_kill(struct world *w, struct member *m) {
    bool loops = m->loop_until_us > w->now_us;
    uint64_t after_us = loops ? 100 * MS : world_between(w, FAULT_AGENT, 10 * MS, 3 * SECOND);
    for (struct member *each = NULL; (each = next_on_host(w, m, each));)
        kill_one(w, each, after_us);
}

/* Of what was written since the last sync any first part may have reached the disk. */
static void dies_one(struct world *w, struct member *m, uint64_t after_us) {
    world_say(w, "host     of %s dies", m->order->member);
    size_t kept = m->n_snapshots ? world_random(w, FAULT_HOST) % (m->n_snapshots + 1) : 0;
    m->written = kept > 0 ? m->snapshots[kept - 1] : m->synced;
    disk_sync(m);
    m->boot++;
    m->journal_lost = false;
    m->epoch_obeyed = m->written.seen.epoch;
    m->serial_obeyed = m->written.seen.serial;
    m->latched = m->written.seen.aborted;
    service_end(w, m, NULL);
    m->service.token++;
    agent_down(w, m);
    agent_comes_back(w, m, after_us);
}

void agent_host_dies(struct world *w, struct member *m) {
    uint64_t after_us = world_between(w, FAULT_HOST, SECOND, 8 * SECOND);
    for (struct member *each = NULL; (each = next_on_host(w, m, each));)
        if (!each->gone)
            dies_one(w, each, after_us);
}

/* The host is given away, with all that is on it. */
void agent_gone(struct world *w, struct member *m) {
    world_say(w, "host     of %s is gone for good", m->order->member);
    m->gone = true;
    m->stopped_by_kedge = false;
    service_end(w, m, NULL);
    m->service.token++;
    agent_down(w, m);
    cluster_forget(w, m);
}

static void boot_start(struct world *w, struct member *m, bool ran) {
    if (machine_holds_service(&m->machine) || !ran || m->service.running)
        return;
    m->link = m->written.ran_content;
    m->written.boot = m->boot;
    m->written.process = m->service.token + 1;
    disk_write(m);
    service_start(w, m, m->written.ran_content);
}

void agent_start(struct world *w, struct member *m) {
    struct disk *disk = &m->written;
    const struct machine_record *record = &disk->record;
    if (m->agent_up || m->gone || m->damaged)
        return;
    bool at_barrier = record->state == MACHINE_BARRIER;
    bool open =
        disk->has_order && (at_barrier || (record->outcome == OUTCOME_NONE && record->state != MACHINE_IDLE &&
                                           record->state != MACHINE_HELD));
    bool same_boot = disk->boot == m->boot, ran = disk->ran;
    bool named = ran && same_boot && disk->process == m->service.token; /* by its journal */
    m->agent_up = true;
    m->up_since_us = w->now_us;
    m->agent_token++;
    m->journal_lost = false;
    m->epoch = disk->step_epoch;
    m->expires_s = disk->step_expires_s;
    m->asked_us = 0;
    m->ordering = record->serial;
    for (size_t i = 0; i < SIDES_MAX; i++)
        m->lease_heard_us[i] = w->now_us;
    m->service.stopping = false;
    if (open && !at_barrier) /* there the step has ended, and was reported */
        disk->outcomes[disk->step].is = false;
    machine_init(&m->machine, record, open ? order_of(m, record->serial) : NULL,
                 open ? step_at(m, disk->step) : NULL);
    if (open && acceptance_is_latched(&disk->seen, record->serial))
        m->machine.latched = true;
    if (m->service.running && same_boot && !named)
        service_is_ours(m);
    world_say(w, "agent    %s: is back, step %s is %s, the service %s", m->order->member,
              disk->has_order ? step_at(m, disk->step)->name : "-", open ? "open" : "not open",
              m->service.running ? "runs" : "does not run");
    uint64_t serial = record->serial > 0 ? record->serial : m->order->serial;
    struct machine_event event = {.kind = MACHINE_EVENT_RECOVERED,
                                  .same_boot = same_boot,
                                  .running = same_boot && m->service.running,
                                  .other = same_boot && m->service.running && !named,
                                  .running_generation = generation_of(m, serial, m->service.content)};
    agent_feed(w, m, &event);
    if (!same_boot && m->agent_up)
        boot_start(w, m, ran);
    struct item *item = item_add(w, ITEM_CONNECT, world_between(w, FAULT_AGENT, MS, SECOND));
    item->index = m->node;
    item->token = w->nodes[m->node].session;
    if (m->loop_until_us > w->now_us && !w->calm) {
        item = item_add(w, ITEM_FAULT, world_between(w, FAULT_LOOP, MS, 2 * SECOND));
        item->index = FAULT_LOOP;
        item->token = m->index + 1;
    }
}
