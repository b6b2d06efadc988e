/* The rows of a work order, done: one function for each primitive, each of which begins something and answers it, at once
 * or later from the loop. What an answer leads to is decided in agent/core.
 *
 * The way from the stop signal to the exec of the new one is: pidfd readable, waitpid, one write to the journal, one
 * rename, one write to the journal, one byte to the child that has been waiting since before the stop. */
#include "agent/executor/executor.h"

#include "agent/executor/commands.h"
#include "agent/executor/generations.h"
#include "agent/executor/prepare.h"
#include "agent/executor/stage.h"
#include "common/base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

enum {
    RUN_AGAIN_US = 20 * 1000,
    RUN_DEFAULT_MS = 60 * 1000,
    OTHERS_EVERY = 8 /* looks */
};

static const struct work_order *order_of(const struct member *m) {
    return m->order->order;
}

void row_forget(struct member *m) {
    m->questions = questions_cancel(m->questions);
    m->command = command_cancel(m->command);
    m->stage = stage_cancel(m->stage);
    m->retry = sd_event_source_disable_unref(m->retry);
    m->row = NULL;
}

/* ---- ask ---- */

static void keep_evidence(struct member *m, const struct evidence *evidence) {
    size_t i = 0;
    while (i < m->n_evidence && strcmp(m->evidence[i].gate, evidence->gate) != 0)
        i++;
    if (i == ARRAY_LEN(m->evidence))
        return;
    if (i == m->n_evidence)
        m->n_evidence++;
    struct evidence_kept *kept = &m->evidence[i];
    snprintf(kept->gate, sizeof(kept->gate), "%s", evidence->gate);
    snprintf(kept->reason, sizeof(kept->reason), "%.511s", evidence->reason);
    kept->answer = evidence->answer;
    kept->age_us = evidence->age_us;
}

/* The last question before a stop: only there a gate may be set aside. What comes after the stop proves that the service
 * is whole, and no word replaces that. */
static bool asks_before_stop(const struct member *m) {
    bool stops = false;
    if (m->machine.record.state != MACHINE_FORWARD || m->machine.record.changed)
        return false;
    for (size_t i = m->machine.record.row; i < m->machine.step->n_rows; i++)
        stops |= m->machine.step->rows[i].primitive == PRIMITIVE_STOP;
    return stops;
}

/* True when it was not yes and an operator's word makes it pass; `evidence` then says so. */
static bool waived(const struct member *m, struct evidence *evidence, char *reason, size_t size) {
    char word[KEDGE_REASON_MAX];
    const struct gate *gate = NULL;
    for (size_t i = 0; i < m->order->n_gates; i++)
        if (strcmp(m->order->gates[i].name, evidence->gate) == 0)
            gate = &m->order->gates[i];
    if (evidence->answer == ANSWER_YES || !gate ||
        !operator_word_waives(m->executor, order_of(m), gate, word, sizeof(word)))
        return false;
    snprintf(reason, size, "%.320s (it said %s: %.150s)", word, answer_text(evidence->answer),
             evidence->reason);
    evidence->answer = ANSWER_YES;
    evidence->reason = reason;
    return true;
}

/* The answers joined once more, without the gates that are set aside. */
static void waive(struct member *m, const struct answers *answers, struct verdict *all) {
    char reason[KEDGE_REASON_MAX];
    *all = (struct verdict){.answer = ANSWER_YES};
    for (size_t i = 0; i < answers->n_evidence; i++) {
        struct evidence evidence = answers->evidence[i];
        if (waived(m, &evidence, reason, sizeof(reason)))
            log_warning("gate", "%s: %s: %s", m->name, evidence.gate, reason);
        struct verdict named = {.answer = evidence.answer};
        if (evidence.answer != ANSWER_YES)
            snprintf(named.reason, sizeof(named.reason), "%.63s: %.440s", evidence.gate, evidence.reason);
        verdict_join(all, &named);
        keep_evidence(m, &evidence);
    }
}

static void on_gates(void *context, const struct answers *answers) {
    struct member *m = context;
    struct verdict all = answers->all;
    m->questions = NULL;
    if (asks_before_stop(m))
        waive(m, answers, &all);
    for (size_t i = 0; !asks_before_stop(m) && i < answers->n_evidence; i++)
        keep_evidence(m, &answers->evidence[i]);
    struct machine_event event = {.kind = MACHINE_EVENT_ANSWER,
                                  .op = m->op,
                                  .answer = all.answer,
                                  .reason = all.reason,
                                  .age_us = answers->age_us,
                                  .limit_us = answers->limit_us};
    member_feed(m, &event);
}

static int prepare_next(struct member *m, struct error *err);

/* The next service's child is made before the questions, so that their answers are as fresh as can be at the stop. */
static void prepare_early(struct member *m) {
    struct error err = {""};
    if (m->machine.record.state == MACHINE_FORWARD && !m->machine.record.changed && prepare_next(m, &err) < 0)
        log_debug("member", "%s: %s", m->name, err.text); /* the stop tries again and says it */
}

static void row_ask(struct member *m, const struct row *row) {
    struct question_gate gates[KEDGE_GATES_MAX];
    struct asker asker = member_asker(m);
    if (asks_before_stop(m))
        asker.beside = m->order->beside;
    prepare_early(m);
    for (size_t i = 0; i < row->n_gates; i++) {
        gates[i].gate = verified_order_gate(m->order, &row->gates[i]);
        for (size_t k = 0; k < m->order->n_gates; k++)
            if (digest_equal(&m->order->gate_digests[k], &row->gates[i]))
                gates[i].bytes = m->order->gate_bytes[k];
    }
    bool nothing_kept = row->sample == SAMPLE_COMPARE && m->machine.record.adopts; /* nobody asked before */
    m->questions =
        questions_ask(&asker, gates, row->n_gates, nothing_kept ? SAMPLE_CAPTURE : row->sample, on_gates, m);
    if (!m->questions)
        member_fail(m, m->op, "the questions could not be asked: out of memory");
}

/* ---- stop ---- */

static const struct row *next_start(const struct member *m) {
    const struct member_machine *machine = &m->machine;
    const struct row *rows = machine->record.state == MACHINE_RETURNING ? machine->way : machine->step->rows;
    size_t n = machine->record.state == MACHINE_RETURNING ? machine->n_way : machine->step->n_rows;
    for (size_t i = machine->record.row; machine->record.state != MACHINE_HOLDING && i < n; i++)
        if (rows[i].primitive == PRIMITIVE_START)
            return &rows[i];
    return NULL;
}

/* The child that will be the next service, made while the old one still serves. */
static int prepare_child(struct member *m, uint32_t number, struct error *err) {
    struct generation_record record;
    if (m->child.id.pid > 0 && m->child.tag == number && m->child.go_fd >= 0)
        return 0;
    child_deinit(&m->child);
    _cleanup_(arena_freep) struct arena *arena = arena_new(8 * 1024 * 1024);
    int r = arena ? generation_load(m, number, arena, &record) : -ENOMEM;
    if (r < 0)
        return error_set(err, r, "generation %u was not prepared", number);
    r = child_prepare(&record.spec, &m->child, err);
    if (r == 0)
        m->child.tag = number;
    return r;
}

/* Nothing is stopped that could not be started again. */
static int prepare_next(struct member *m, struct error *err) {
    const struct row *start = next_start(m);
    uint32_t number;
    if (!start)
        return 0;
    if (generation_number(m, order_of(m), start->generation, &number) < 0)
        return error_set(err, -ENOENT, "generation %u of the order was not prepared", start->generation);
    int r = generation_swap_prepare(m->folder, number, err);
    return r < 0 ? r : prepare_child(m, number, err);
}

static void stop_untouched(struct member *m, const char *reason) {
    struct machine_event event = {
        .kind = MACHINE_EVENT_FAILED, .op = m->op, .untouched = true, .reason = reason};
    member_feed(m, &event);
}

/* Nothing is started beside a living process of the member, so before "it is down already" is believed, who else may have
 * started it is looked for. */
static bool something_runs(struct member *m) {
    uint32_t number;
    if (m->process.id.pid == 0 && member_take_other(m, &number))
        member_watch(m);
    return m->process.id.pid != 0;
}

static void row_stop(struct member *m, const struct machine_action *action) {
    struct error err = {""};
    _cleanup_(buffer_deinit) struct buffer packed = {0};
    struct machine_record record = action->record;
    m->signalled_us = clock_monotonic_us();
    if (!something_runs(m)) {
        member_answer(m, m->op, ANSWER_YES, NULL);
        return;
    }
    bool forward = m->machine.record.state == MACHINE_FORWARD;
    if (forward && prepare_next(m, &err) < 0) {
        stop_untouched(m, err.text);
        return;
    }
    m->signalled_us = clock_monotonic_us();
    if (action->not_after_us > 0 && m->signalled_us > action->not_after_us) {
        struct machine_event event = {.kind = MACHINE_EVENT_STALE, .op = m->op};
        member_feed(m, &event);
        return;
    }
    if (forward && record.stopped_at_us == 0)
        record.stopped_at_us = m->signalled_us;
    machine_record_pack(&record, &packed);
    (void)executor_put(m->executor, RECORD_MEMBER, m->name, &packed);
    m->stopping = true;
    int r = process_signal(m->pidfd, action->row->signal ? (int)action->row->signal : SIGTERM);
    if (r == 0 || r == -ESRCH)
        return; /* its end comes from the loop */
    m->stopping = false;
    (void)error_errno(&err, r, "process %d cannot be signalled", (int)m->process.id.pid);
    stop_untouched(m, err.text);
}

void row_kill(struct member *m) {
    log_warning("member", "%s did not end in time and is killed", m->name);
    if (m->pidfd >= 0 && process_signal(m->pidfd, SIGKILL) < 0)
        log_error("member", "%s cannot be killed", m->name);
}

/* ---- swap and start ---- */

static void row_swap(struct member *m, const struct row *row) {
    struct error err = {""};
    uint32_t number;
    if (generation_number(m, order_of(m), row->generation, &number) < 0)
        member_fail(m, m->op, "the generation was not prepared");
    else if (generation_swap(m->folder, number, &err) < 0)
        member_fail(m, m->op, err.text);
    else
        member_answer(m, m->op, ANSWER_YES, NULL);
}

/* From now on it is the one that is told of the member. */
static void generation_take(struct member *m, uint32_t number) {
    struct arena *arena = arena_new(8 * 1024 * 1024);
    struct generation_record record;
    if (arena && generation_load(m, number, arena, &record) == 0) {
        arena_free(m->spec_arena);
        m->spec_arena = TAKE(arena);
        m->generation = record;
        m->has_generation = true;
    }
    arena_free(arena);
}

static int start_now(struct member *m, uint32_t number, struct error *err) {
    int r = prepare_child(m, number, err);
    if (r < 0)
        return r;
    struct stat st;
    m->process = (struct process_record){.id = m->child.id, .generation = number, .managed = true};
    memcpy(m->instance_before, m->instance, sizeof(m->instance_before));
    m->instance[0] = 0;
    if (m->generation.spec.output.path && stat(m->generation.spec.output.path, &st) == 0)
        m->process.log_offset = (uint64_t)st.st_size;
    start_output_skip(m);
    member_process_put(m);
    r = child_release(&m->child);
    if (r < 0) /* it has left before, and says why */
        return child_result(&m->child, err) < 0 ? -ENOEXEC
                                                : error_errno(err, r, "the waiting child cannot be released");
    start_released(m);
    generation_take(m, number); /* the service is on its way: behind its back */
    return 0;
}

bool port_is_taken(const struct member *m, char *out, size_t size) {
    pid_t owner = 0;
    struct error err;
    const char *executable = "?";
    _cleanup_(arena_freep) struct arena *arena = arena_new(16 * 1024);
    if (procfs_listener((uint16_t)m->charter->port, &owner, &err) < 0 || owner == 0 ||
        owner == m->process.id.pid)
        return false;
    if (!arena || procfs_link(owner, "exe", arena, &executable, &err) < 0)
        executable = "?";
    snprintf(out, size,
             "other hands: port %u is served by process %d (%.200s), which this agent did not start; whoever "
             "starts this "
             "service besides Kedge has to be switched off",
             m->charter->port, (int)owner, executable);
    return true;
}

static void look_if_up(struct member *m, const struct row *row, uint32_t attempt) {
    struct error err = {""};
    char why[KEDGE_REASON_MAX];
    uint32_t op = m->op;
    int r = child_result(&m->child, &err);
    if (r < 0) {
        member_fail_by_itself(m, op, err.text); /* it cannot be executed */
        return;
    }
    start_look_for_progress(m, row);
    if (r == 1)
        member_answer(m, op, ANSWER_UNKNOWN, "it is being started");
    else if (m->process.id.pid == 0)
        member_fail_by_itself(m, op, "it has ended");
    else if (m->charter->port == 0 || procfs_owns_port(m->process.id.pid, (uint16_t)m->charter->port))
        member_answer(m, op, ANSWER_YES, NULL);
    else if (attempt % OTHERS_EVERY == 0 && port_is_taken(m, why, sizeof(why)))
        member_fail(m, op, why);
    else {
        snprintf(why, sizeof(why), "it runs as process %d and does not listen on port %u yet",
                 (int)m->process.id.pid, m->charter->port);
        member_answer(m, op, ANSWER_NO, why);
    }
}

/* On the way back there is nothing to go back to: whoever sits on the port may leave it before the row's deadline. Nothing is
 * started onto a port that is taken, else it would come up by itself, unseen, when the port is free. On the way forward
 * nobody looks: it costs time, and what was started there is stopped on the way back. */
static bool port_is_waited_for(struct member *m, uint32_t number) {
    char why[KEDGE_REASON_MAX];
    bool waited = m->waits_for_port;
    m->waits_for_port = m->machine.record.state == MACHINE_RETURNING && m->charter->port != 0 &&
                        port_is_taken(m, why, sizeof(why));
    if (m->waits_for_port && !waited) { /* should it stay down, then as this one */
        m->process.generation = number;
        member_process_put(m);
        generation_take(m, number);
    }
    if (m->waits_for_port)
        member_answer(m, m->op, ANSWER_NO, why);
    return m->waits_for_port;
}

static void row_start(struct member *m, const struct row *row, uint32_t attempt) {
    struct error err = {""};
    uint32_t number, op = m->op;
    m->waits_for_port = m->waits_for_port && attempt > 0;
    if (attempt > 0 && !m->waits_for_port) {
        look_if_up(m, row, attempt);
        return;
    }
    if (generation_number(m, order_of(m), row->generation, &number) < 0) {
        member_fail(m, op, "the generation was not prepared");
        return;
    }
    if (port_is_waited_for(m, number))
        return;
    if (start_now(m, number, &err) < 0) {
        m->process.id.pid = 0;
        member_fail(m, op, err.text);
        return;
    }
    member_watch(m);
    if (m->row == row && m->op == op)
        member_answer(m, op, ANSWER_UNKNOWN, "it is being started");
}

/* ---- run ---- */

static void run_phase(struct member *m);

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
    struct member *m = userdata;
    (void)source;
    (void)usec;
    m->retry = sd_event_source_disable_unref(m->retry);
    run_phase(m);
    return 0;
}

/* Actions of a downtime (a format, a restore) are never done twice on a guess. */
static bool acts_once(const struct member *m) {
    const struct step *step = m->order ? m->order->step : NULL;
    return step && (step->verb == VERB_BACK || step->verb == VERB_ACT) && work_order_is_downtime(order_of(m));
}

static void on_done_if(void *context, const struct answers *answers) {
    struct member *m = context;
    char why[KEDGE_REASON_MAX];
    m->questions = NULL;
    if (answers->all.answer == ANSWER_YES && m->row->n_captures > m->outputs.n) {
        snprintf(why, sizeof(why), "%.500s",
                 m->run_phase > 0
                     ? m->output_missing
                     : "it was done already, so nobody knows what it puts out for later actions; undo it "
                       "by hand and order it again");
        member_fail(m, m->op, why);
    } else if (answers->all.answer == ANSWER_YES) {
        member_answer(m, m->op, ANSWER_YES, m->run_phase == 0 ? "it was so already" : NULL);
    } else if (m->run_phase == 0 && answers->all.answer == ANSWER_UNKNOWN && acts_once(m)) {
        snprintf(why, sizeof(why), "nobody knows whether it is done already, so it is not done: %.400s",
                 answers->all.reason);
        member_fail(m, m->op, why);
    } else if (m->run_phase == 0) {
        m->run_phase = 1;
        run_phase(m);
    } else if (clock_monotonic_us() >= m->run_until_us ||
               sd_event_add_time_relative(m->executor->loop, &m->retry, CLOCK_MONOTONIC, RUN_AGAIN_US, 1000,
                                          on_retry, m) < 0) {
        snprintf(why, sizeof(why), "%.150s%sthe command has run, and it is not so: %.300s", m->command_said,
                 m->command_said[0] ? "; " : "", answers->all.reason);
        member_fail(m, m->op, why);
    }
}

static void on_command(void *context, const struct command_result *result) {
    struct member *m = context;
    struct error err = {""};
    m->command = NULL;
    m->command_said[0] = 0;
    m->output_missing[0] = 0;
    if (outputs_capture(&m->outputs, m->row, result->output, &err) < 0)
        snprintf(m->output_missing, sizeof(m->output_missing), "%.500s", err.text);
    if (result->exit_code < 0)
        snprintf(m->command_said, sizeof(m->command_said), "the command %.400s", result->problem);
    else if (result->exit_code > 0)
        snprintf(m->command_said, sizeof(m->command_said), "the command ended with exit code %d",
                 result->exit_code);
    if (m->row->done_if) {
        m->run_phase = 2;
        run_phase(m);
    } else if (result->exit_code > 0) {
        member_fail_by_itself(m, m->op, m->command_said);
    } else if (result->exit_code < 0) {
        member_fail(m, m->op, m->command_said);
    } else if (m->output_missing[0]) {
        member_fail(m, m->op, m->output_missing);
    } else {
        member_answer(m, m->op, ANSWER_YES, NULL);
    }
}

static int run_command(struct member *m, struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(4 * 1024 * 1024);
    struct ready_command ready;
    struct command filled;
    const struct start_spec *spec = m->has_generation ? &m->generation.spec : NULL;
    if (!arena)
        return error_set(err, -ENOMEM, "out of memory");
    struct start_spec base;
    uint32_t number;
    struct generation_record record;
    const char *own[4] = {m->folder, m->executor->znode};
    if (generation_number(m, order_of(m), 0, &number) == 0 &&
        generation_load(m, number, arena, &record) == 0) {
        base = record.spec; /* `found` speaks of the generation that ran when the plan was made */
        spec = &base;
        if (record.serial != 0 &&
            record.release[0]) /* Kedge's own: its folder holds nothing but what was signed */
            own[2] = record.release;
    }
    int r = outputs_fill(m->order, m->row->command, arena, &filled, err);
    if (r == 0)
        r = command_ready(&m->executor->config, &filled, spec, own, arena, &ready, err);
    if (r < 0)
        return r;
    uint32_t deadline_ms = filled.deadline_ms ? filled.deadline_ms : m->row->deadline_ms;
    struct command_spec run = {.arguments = ready.arguments,
                               .environment = ready.environment,
                               .directory = ready.directory,
                               .identity = &ready.ids,
                               .deadline_ms = deadline_ms ? deadline_ms : RUN_DEFAULT_MS};
    return command_start(m->executor->loop, &run, on_command, m, &m->command, err);
}

static void run_phase(struct member *m) {
    struct error err = {""};
    struct asker asker = member_asker(m);
    if (m->run_phase == 1) {
        if (run_command(m, &err) < 0)
            member_fail(m, m->op, err.text);
        return;
    }
    m->questions = questions_check(&asker, m->row->done_if, on_done_if, m);
    if (!m->questions)
        member_fail(m, m->op, "done_if could not be asked: out of memory");
}

static void row_run(struct member *m, const struct row *row) {
    uint32_t ms = row->deadline_ms ? row->deadline_ms : RUN_DEFAULT_MS;
    m->run_until_us = clock_monotonic_us() + (uint64_t)ms * 900; /* nine tenths: the last answer is ours */
    m->run_phase = row->done_if ? 0 : 1;
    m->command_said[0] = m->output_missing[0] = 0;
    m->outputs.n = 0;
    run_phase(m);
}

/* ---- stage and render ---- */

static void on_staged(void *context, int r, const struct error *err) {
    struct member *m = context;
    m->stage = NULL;
    if (r < 0)
        member_fail(m, m->op, err->text);
    else
        member_answer(m, m->op, ANSWER_YES, NULL);
}

static void row_stage(struct member *m, const struct row *row) {
    struct error err = {""};
    const struct generation *generation =
        row->generation > 0 ? &order_of(m)->generations[row->generation - 1] : NULL;
    if (!generation || !generation->has_manifest) {
        member_answer(m, m->op, ANSWER_YES, NULL);
        return;
    }
    struct stage_spec spec = {.stager = m->executor->stager,
                              .user = geteuid() == 0 ? m->executor->config.helper_user : NULL,
                              .artifacts = m->executor->config.artifacts,
                              .releases = m->executor->releases,
                              .manifest = m->order->manifest,
                              .name = generation->manifest,
                              .deadline_ms = row->deadline_ms ? row->deadline_ms
                                                              : primitive_rule(PRIMITIVE_STAGE)->deadline_ms};
    if (prepare_room(m, m->order->manifest, &err) < 0 ||
        stage_start(m->executor->loop, &spec, on_staged, m, &m->stage, &err) < 0)
        member_fail(m, m->op, err.text);
}

static void row_render(struct member *m, const struct row *row) {
    struct error err = {""};
    if (prepare_generation(m, row->generation, &err) < 0)
        member_fail(m, m->op, err.text);
    else
        member_answer(m, m->op, ANSWER_YES, NULL);
}

/* ---- the door ---- */

void row_execute(struct member *m, const struct machine_action *action) {
    const struct row *row = action->row;
    if (action->attempt == 0)
        row_forget(m);
    m->row = row;
    m->op = action->op;
    switch (row->primitive) {
    case PRIMITIVE_OBSERVE: row_observe(m, row); return;
    case PRIMITIVE_ASK: row_ask(m, row); return;
    case PRIMITIVE_RENDER: row_render(m, row); return;
    case PRIMITIVE_STAGE: row_stage(m, row); return;
    case PRIMITIVE_STOP: row_stop(m, action); return;
    case PRIMITIVE_SWAP: row_swap(m, row); return;
    case PRIMITIVE_START: row_start(m, row, action->attempt); return;
    case PRIMITIVE_RUN: row_run(m, row); return;
    }
}
