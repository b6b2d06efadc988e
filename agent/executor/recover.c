/* What a member does when the agent starts: reads the journal and /proc, tells the machine what it saw, and lets it go
 * on. The rules of going on are in agent/core/recovery.c; here is only the looking.
 *
 * The agent's death and the host's are told apart by the boot id in the process record. */
#include "agent/executor/executor.h"

#include "agent/executor/finalize.h"
#include "agent/executor/generations.h"
#include "common/base/log.h"

#include <string.h>

static void recover_process(struct member *m) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(64 * 1024);
    struct bytes packed = journal_get(m->executor->journal, RECORD_PROCESS, m->name);
    if (!arena || !packed.data || process_record_unpack(packed, arena, &m->process) < 0)
        return;
    snprintf(m->instance, sizeof(m->instance), "%s", m->process.instance);
    m->process.instance = m->instance;
}

static void recover_generation(struct member *m) {
    uint32_t number = m->process.generation;
    struct bytes proven_text = journal_get(m->executor->journal, RECORD_PROVEN, m->name);
    if (m->process.id.pid == 0 && proven_text.data)
        number = (uint32_t)strtoul((const char *)proven_text.data, NULL, 10);
    m->spec_arena = arena_new(8 * 1024 * 1024);
    m->has_generation = m->spec_arena && generation_load(m, number, m->spec_arena, &m->generation) == 0;
}

/* The order of an open step, out of the journal; without it the step cannot go on and a person is needed. */
static bool recover_order(struct member *m, struct machine_record *record) {
    struct step_record step;
    struct error err = {""};
    _cleanup_(arena_freep) struct arena *arena = arena_new(64 * 1024);
    bool at_barrier = record->state == MACHINE_BARRIER;
    bool open = at_barrier || (record->outcome == OUTCOME_NONE && record->state != MACHINE_IDLE &&
                               record->state != MACHINE_HELD);
    if (!open || !arena)
        return false;
    if (step_record_unpack(journal_get(m->executor->journal, RECORD_STEP, m->name), arena, &step) < 0 ||
        order_restore(m, step.step, &m->order, &err) < 0) {
        log_error("alarm", "%s: its open step cannot go on: %s", m->name, err.text);
        record->state = MACHINE_HELD;
        record->held = true;
        snprintf(record->reason, sizeof(record->reason), "its open step cannot go on: %.400s", err.text);
        return false;
    }
    if (!at_barrier) /* there the step has ended, and was reported */
        member_outcome_drop(m, m->order->order, m->order->step);
    m->epoch = step.epoch;
    m->expires_s = step.expires_s;
    return true;
}

/* After a restart of the host: what was proven last and ran is started; what was down stays down. */
static void start_at_boot(struct member *m, bool ran) {
    struct error err = {""};
    if (machine_holds_service(&m->machine) || !ran || !m->has_generation)
        return;
    if (m->charter->port > 0) {
        pid_t owner = 0;
        if (procfs_listener((uint16_t)m->charter->port, &owner, &err) == 0 && owner > 0) {
            log_warning("boot", "%s: port %u is taken by process %d; it is not started", m->name,
                        m->charter->port, (int)owner);
            return;
        }
    }
    (void)!generation_swap(m->folder, m->generation.number, &err);
    struct waiting_child child;
    if (child_prepare(&m->generation.spec, &child, &err) < 0) {
        log_error("alarm", "%s is not started after the host's restart: %s", m->name, err.text);
        return;
    }
    m->process = (struct process_record){.id = child.id, .generation = m->generation.number, .managed = true};
    member_process_put(m);
    if (child_release(&child) < 0)
        log_error("alarm", "%s is not started after the host's restart", m->name);
    closep(&child.result_fd);
    log_info("boot", "%s: generation %u is started after the host's restart", m->name, m->generation.number);
    member_watch(m);
}

void member_recover_all(struct member *m) {
    struct machine_record record = {0};
    recover_process(m);
    struct bytes packed = journal_get(m->executor->journal, RECORD_MEMBER, m->name);
    if (packed.data && machine_record_unpack(packed, &record) < 0)
        log_error("alarm", "%s: its record in the journal is not understood", m->name);
    recover_generation(m);
    start_output_skip(m);
    bool open = recover_order(m, &record);
    bool same_boot = strcmp(m->process.id.boot, m->executor->boot) == 0 || m->process.id.boot[0] == 0;
    bool ran = m->process.id.pid > 0;
    bool alive = ran && same_boot && !process_is_unborn(&m->process.id) && procfs_alive(&m->process.id);
    uint32_t number = m->process.generation;
    bool other = !alive && same_boot && member_take_other(m, &number);
    alive = alive || other;
    if (ran && !alive) {
        m->process.id.pid = 0;
        m->process.origin = same_boot ? ORIGIN_CRASH : ORIGIN_BOOT;
    }
    m->mode = alive ? MODE_UNKNOWN : MODE_DOWN;
    m->origin = alive ? ORIGIN_NONE : m->process.origin;
    machine_init(&m->machine, &record, open ? m->order->order : NULL, open ? m->order->step : NULL);
    if (m->cluster->record.aborted >= record.serial && record.serial > 0 && open)
        m->machine.latched = true;
    if (alive)
        member_watch(m);
    struct machine_event event = {.kind = MACHINE_EVENT_RECOVERED,
                                  .same_boot = same_boot,
                                  .running = alive,
                                  .other = other,
                                  .running_generation =
                                      open ? generation_index(m, m->order->order, number) : UINT32_MAX};
    if (open)
        log_info("recovery", "%s: step %s was open (%s, row %u), the process %s", m->name,
                 m->order->step->name, machine_state_text(record.state), record.row,
                 alive ? "runs" : "does not run");
    member_feed(m, &event);
    if (ran && !alive && same_boot && !open)
        member_ended(m, "it ended while the agent was away", true);
    if (!same_boot)
        start_at_boot(m, ran);
    finalize_prune(m); /* what the agent's end may have cut off */
}
