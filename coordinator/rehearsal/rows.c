/* The eight primitives as a node of the model does them: each begins something and answers it later. */
#include "coordinator/rehearsal/internal.h"

#include <string.h>

static struct item *row_later(struct world *w, struct member *m, uint64_t after_us, enum answer answer) {
    struct item *item = item_add(w, ITEM_ROW, after_us);
    item->index = m->index;
    item->token = m->agent_token;
    item->op = m->op;
    item->answer = answer;
    item->message.asked_us = w->now_us;
    return item;
}

static uint64_t habit(struct world *w, uint64_t us) {
    return us + world_random(w, FAULTS) % us;
}

/* What was asked for, if anything was. */
static uint64_t pace(uint64_t wanted_us, uint64_t otherwise_us) {
    return wanted_us ? wanted_us : otherwise_us;
}

/* ---- ask ---- */

static uint64_t age_limit_us(const struct member *m, const struct row *row) {
    uint64_t limit = UINT64_MAX;
    for (size_t i = 0; i < row->n_gates; i++) {
        const struct model_gate *gate = world_gate(m->cluster, &row->gates[i]);
        if (gate && gate->age_ms && (uint64_t)gate->age_ms * MS < limit)
            limit = (uint64_t)gate->age_ms * MS;
    }
    return limit == UINT64_MAX ? 0 : limit;
}

/* A gate after a start is about the mode that was started. */
static enum mode mode_wanted(const struct member *m) {
    const struct step *step = m->machine.step;
    const struct row *rows = m->machine.record.state == MACHINE_RETURNING ? m->machine.way : step->rows;
    for (uint32_t i = m->machine.record.row; i-- > 0;)
        if (rows[i].primitive == PRIMITIVE_START)
            return content_mode(m, content_of(m, m->machine.record.serial, rows[i].generation));
    return MODE_UNKNOWN;
}

/* The last question before a stop: only there a gate may be set aside. */
static bool asks_before_stop(const struct member *m) {
    bool stops = false;
    for (size_t i = m->machine.record.row; i < m->machine.step->n_rows; i++)
        stops = stops || m->machine.step->rows[i].primitive == PRIMITIVE_STOP;
    return stops && m->machine.record.state == MACHINE_FORWARD && !m->machine.record.changed;
}

static bool is_waived(const struct world *w, const struct member *m, const struct model_gate *gate) {
    size_t which = (size_t)(gate - m->cluster->gates);
    return gate->asks != ASKS_SAMPLE && which < GATES_MAX &&
           m->written.waived_serial == m->machine.record.serial &&
           m->written.waived_until_s[which] > agent_wall_s(w, m);
}

static enum answer waive(struct member *m) {
    m->asked_waived = true;
    return ANSWER_YES;
}

static void ask(struct world *w, struct member *m, const struct row *row) {
    struct verdict all = {.answer = ANSWER_YES};
    m->asked_waived = false;
    m->doubts = NULL;
    for (size_t i = 0; i < row->n_gates; i++) {
        const struct model_gate *gate = world_gate(m->cluster, &row->gates[i]);
        struct verdict one = {.answer = ANSWER_YES};
        if (!gate || (gate->asks == ASKS_SAMPLE && row->sample != SAMPLE_COMPARE))
            continue;
        one.answer =
            model_answer(w, gate, m, m->index, asks_before_stop(m) ? m->written.herd : NULL, mode_wanted(m));
        if (one.answer != ANSWER_YES && asks_before_stop(m) && is_waived(w, m, gate))
            one.answer = waive(m);
        if (one.answer != ANSWER_YES && !m->doubts) {
            m->doubts = gate;
            m->doubts_answer = one.answer;
        }
        verdict_join(&all, &one);
    }
    uint64_t takes = habit(w, MS);
    if (world_chance(w, FAULT_DELAY, 8))
        takes = world_between(w, FAULT_DELAY, MS, 3 * SECOND);
    row_later(w, m, takes, all.answer);
}

/* ---- stop, swap, start ---- */

static void end_later(struct world *w, struct member *m, uint64_t after_us, bool failed) {
    struct item *item = item_add(w, ITEM_SERVICE_END, after_us);
    item->index = m->index;
    item->token = m->service.token;
    item->failed = failed;
}

/* Nothing is stopped that could not be started again. */
static bool is_prepared(const struct member *m) {
    for (size_t i = 0; i < m->machine.step->n_rows; i++) {
        const struct row *row = &m->machine.step->rows[i];
        if (row->primitive == PRIMITIVE_START && row->generation > 0)
            return m->prepared == m->machine.record.serial;
    }
    return true;
}

static void stop(struct world *w, struct member *m) {
    const struct machine_action *action = &m->executing;
    if (!m->service.running) {
        row_later(w, m, 0, ANSWER_YES)->message.asked_us = w->now_us;
        return;
    }
    if (m->machine.record.state == MACHINE_FORWARD && !is_prepared(m)) {
        struct machine_event event = {.kind = MACHINE_EVENT_FAILED,
                                      .op = m->op,
                                      .untouched = true,
                                      .reason = "the generation was not prepared"};
        agent_feed(w, m, &event);
        return;
    }
    if (action->not_after_us > 0 && w->now_us > action->not_after_us) {
        struct machine_event event = {.kind = MACHINE_EVENT_STALE, .op = m->op};
        agent_feed(w, m, &event);
        return;
    }
    if (!m->journal_lost) {
        m->written.record = action->record;
        m->written.ran = true; /* one that somebody restarted is adopted as it runs now */
        m->written.ran_content = m->service.content;
        m->written.boot = m->boot;
        if (m->machine.record.state == MACHINE_FORWARD && action->record.stopped_at_us == 0)
            m->written.record.stopped_at_us = w->now_us;
        disk_write(m);
    }
    oracle_signal(w, m);
    m->service.stopping = true;
    m->service.signalled_us = w->now_us;
    world_say(w, "STOP     %s", m->order->member);
    m->service.hangs = world_chance(w, FAULT_HANG, 4);
    if (m->service.hangs)
        return;
    end_later(w, m,
              world_chance(w, FAULT_SLOW, 2) ? world_between(w, FAULT_SLOW, 10 * MS, 5 * SECOND)
                                             : pace(w->config->pace.stop_us, habit(w, 4 * MS)),
              false);
}

void row_kill_now(struct world *w, struct member *m) {
    world_say(w, "KILL     %s", m->order->member);
    if (m->service.running)
        end_later(w, m, 10 * MS, false);
}

static void start(struct world *w, struct member *m, const struct row *row) {
    if (m->executing.attempt > 0) {
        if (!m->service.running) {
            struct machine_event event = {
                .kind = MACHINE_EVENT_FAILED, .op = m->op, .reason = "it has ended", .blames = true};
            agent_feed(w, m, &event);
            return;
        }
        row_later(w, m, 0, m->service.ready ? ANSWER_YES : ANSWER_NO);
        return;
    }
    if (m->service.running && m->service.foreign) {
        struct machine_event event = {.kind = MACHINE_EVENT_FAILED,
                                      .op = m->op,
                                      .reason =
                                          "other hands: a process that this agent did not start serves"};
        agent_feed(w, m, &event);
        return;
    }
    uint32_t content = content_of(m, m->machine.record.serial, row->generation);
    oracle_start(w, m, row);
    if (!m->journal_lost) {
        m->written.ran = true;
        m->written.ran_content = content;
        m->written.boot = m->boot;
        m->written.process = m->service.token + 1;
        disk_write(m);
    }
    service_start(w, m, content);
    row_later(w, m, 0, ANSWER_UNKNOWN);
}

/* ---- run ---- */

static bool side_of(const struct shape *shape, const char *name, size_t *side, bool *opens) {
    for (*side = 0; *side < shape->n_side_actions && *side < SIDES_MAX; ++*side) {
        *opens = strcmp(shape->side_actions[*side].open_step, name) == 0;
        if (*opens || strcmp(shape->side_actions[*side].close_step, name) == 0)
            return true;
    }
    return false;
}

static void run(struct world *w, struct member *m) {
    size_t side;
    bool opens;
    struct item *item;
    if (m->machine.step->verb == VERB_FINALIZE) {
        item = row_later(w, m, habit(w, 20 * MS), ANSWER_YES);
        item->failed = world_chance(w, FAULT_STEP, 8) || !m->service.running || !m->service.ready;
        if (!item->failed)
            oracle_finalizes(w, m);
        return;
    }
    if (!side_of(&m->cluster->plans[0]->shape, m->machine.step->name, &side, &opens)) {
        oracle_barrier_act(w, m);
        item = row_later(w, m, habit(w, 20 * MS), ANSWER_YES);
        item->failed = world_chance(w, FAULT_STEP, 8);
        return;
    }
    if (world_chance(w, FAULT_STEP, 8)) {
        item = row_later(w, m, habit(w, 20 * MS), ANSWER_NO);
        item->failed = true;
        return;
    }
    if (m->cluster->side_ours[side] != opens)
        world_say(w, "side     %s is %s by %s", m->cluster->plans[0]->shape.side_actions[side].name,
                  opens ? "opened" : "put back", m->order->member);
    m->cluster->side_ours[side] = opens;
    if (!w->config->elects && m->row->command && m->row->command->n_arguments > 0)
        m->cluster->side_value[side] = m->row->command->arguments[0].text;
    row_later(w, m, habit(w, 10 * MS), ANSWER_YES);
}

/* ---- the door ---- */

/* A release that was fetched for one generation is there for the next. */
static bool is_first_fetch(const struct member *m, const struct row *row) {
    const struct step *step = m->machine.step;
    for (size_t i = 0; i < step->n_rows; i++)
        if (step->rows[i].primitive == PRIMITIVE_STAGE)
            return row == &step->rows[i];
    return false;
}

void row_execute_now(struct world *w, struct member *m) {
    const struct row *row = m->row;
    struct item *item;
    switch (row->primitive) {
    case PRIMITIVE_OBSERVE:
        row_later(w, m, 500,
                  m->service.running && m->service.ready &&
                          m->service.content == content_of(m, m->machine.record.serial, row->generation)
                      ? ANSWER_YES
                      : ANSWER_NO);
        return;
    case PRIMITIVE_ASK: ask(w, m, row); return;
    case PRIMITIVE_RENDER:
    case PRIMITIVE_STAGE:
        item =
            row_later(w, m, pace(is_first_fetch(m, row) ? w->config->pace.prepare_us : 0, habit(w, 10 * MS)),
                      ANSWER_YES);
        item->failed = world_chance(w, FAULT_STEP, 60) || stage_fails(w, m);
        return;
    case PRIMITIVE_STOP: stop(w, m); return;
    case PRIMITIVE_SWAP:
        m->link = content_of(m, m->machine.record.serial, row->generation);
        row_later(w, m, 0, ANSWER_YES);
        return;
    case PRIMITIVE_START: start(w, m, row); return;
    case PRIMITIVE_RUN: run(w, m); return;
    }
}

static bool asks_may_stop(const struct member *m, const struct row *row) {
    for (size_t i = 0; i < row->n_gates; i++) {
        const struct model_gate *gate = world_gate(m->cluster, &row->gates[i]);
        if (gate && gate->before_stop)
            return true;
    }
    return false;
}

/* As an agent would say it. */
static void why_not(const struct member *m, const struct row *row, bool failed, char *text, size_t size) {
    static const char *const does_not[] = {[PRIMITIVE_OBSERVE] = "the new process is not up as it should be",
                                           [PRIMITIVE_START] = "it does not serve",
                                           [PRIMITIVE_RUN] = "what it should have done is not so"};
    static const char *const fails[] = {[PRIMITIVE_STAGE] = "no room on the disk",
                                        [PRIMITIVE_RENDER] = "no room on the disk",
                                        [PRIMITIVE_RUN] = "the command ended with exit code 1"};
    const char *const *texts = failed ? fails : does_not;
    size_t n = failed ? ARRAY_LEN(fails) : ARRAY_LEN(does_not), kind = row->primitive;
    if (!failed && row->primitive == PRIMITIVE_ASK && m->doubts)
        snprintf(text, size, "%s: %s: %s", m->doubts->name, answer_text(m->doubts_answer),
                 answer_reason(m->doubts, m->doubts_answer));
    else
        snprintf(text, size, "%s", kind < n && texts[kind] ? texts[kind] : "it did not work");
}

void row_finish(struct world *w, struct member *m, const struct item *item) {
    const struct row *row = m->row;
    char why[KEDGE_REASON_MAX];
    why_not(m, row, item->failed, why, sizeof(why));
    if (row->primitive == PRIMITIVE_RENDER && !item->failed)
        m->prepared = m->machine.record.serial;
    struct machine_event event = {.kind = item->failed ? MACHINE_EVENT_FAILED : MACHINE_EVENT_ANSWER,
                                  .op = item->op,
                                  .answer = item->answer,
                                  .reason = why};
    if (row->primitive == PRIMITIVE_ASK) {
        event.age_us = w->now_us - item->message.asked_us;
        event.limit_us = age_limit_us(m, row);
        if (item->answer == ANSWER_YES && asks_may_stop(m, row)) {
            m->asked_us = item->message.asked_us;
            m->asked_limit_us = event.limit_us;
        }
    }
    oracle_row(m, item->failed ? ANSWER_NO : item->answer);
    agent_feed(w, m, &event);
    if (!item->failed)
        oracle_row_after(w, m, row, item->answer);
}
