/* Transcripts of one member's machine: what is written, what is synced, what is done, in which order, compared with golden
 * files that a person can read. KEDGE_GOLDEN_WRITE=1 makes them anew; read the difference before you commit it. */
#include "tests/unit/test.h"

#include "agent/core/member.h"
#include "common/base/bytes.h"
#include "common/base/file.h"

#include <signal.h>
#include <stdarg.h>

/* ---- the order ---- */

static struct digest gate = {{1}};
#define ASK(...)                                                                                             \
    { .primitive = PRIMITIVE_ASK, .gates = &gate, .n_gates = 1, __VA_ARGS__ }
static const struct row switch_rows[] = {
    ASK(.sample = SAMPLE_CAPTURE),
    {.primitive = PRIMITIVE_STOP, .signal = SIGTERM, .deadline_ms = 5000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_SWAP, .generation = 1, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_START, .generation = 1, .deadline_ms = 2000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_OBSERVE, .generation = 1, .on_failure = ON_FAILURE_RETURN},
    ASK(.deadline_ms = 1000, .on_failure = ON_FAILURE_RETURN),
    ASK(.sample = SAMPLE_COMPARE, .deadline_ms = 1000, .on_failure = ON_FAILURE_HOLD),
};
static const struct row return_rows[] = {
    ASK(.on_failure = ON_FAILURE_STOP),
    {.primitive = PRIMITIVE_STOP, .signal = SIGTERM, .deadline_ms = 5000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_SWAP, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_START, .deadline_ms = 2000, .on_failure = ON_FAILURE_RETURN},
    {.primitive = PRIMITIVE_OBSERVE, .on_failure = ON_FAILURE_RETURN},
    ASK(.deadline_ms = 1000, .on_failure = ON_FAILURE_RETURN),
};
static const struct step steps[] = {
    {.name = "switch", .verb = VERB_SWITCH, .rows = switch_rows, .n_rows = 7},
    {.name = "return", .verb = VERB_REVERT, .rows = return_rows, .n_rows = 6},
};
static const struct generation generation = {.mode = MODE_READ_WRITE};
static struct work_order order = {.serial = 7,
                                  .member = "shop/server@n3",
                                  .steps = steps,
                                  .n_steps = 2,
                                  .generations = &generation,
                                  .n_generations = 1};

/* ---- a world that writes everything down ---- */

struct world {
    struct member_machine m;
    struct machine_record kept, synced;
    struct buffer text;
    uint64_t now_us;
    bool running, dead;
    uint32_t generation;
    uint32_t fails_at; /* row of the step; UINT32_MAX none */
    bool definite;     /* fails as MACHINE_EVENT_FAILED */
    uint32_t dies_after;
    const char *why;  /* it fails */
    uint32_t ends_at; /* row at which the process ends by itself; 0: none */
    bool hangs;       /* the process does not heed the stop signal */
    uint64_t gone_us; /* when a process that was killed is gone; 0: it was not */
    uint32_t stop_op;
};

static void say(struct world *w, const char *kind, const char *format, ...) _printf_(3, 4);
static void say(struct world *w, const char *kind, const char *format, ...) {
    char line[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    buffer_format(&w->text, "%9.3f ms  %-8s %s\n", (double)w->now_us / 1000, kind, line);
}

static void begin(struct world *w) {
    *w = (struct world){.running = true, .fails_at = UINT32_MAX, .dies_after = UINT32_MAX};
    struct machine_record empty = {0};
    struct machine_actions none;
    machine_init(&w->m, &empty, NULL, NULL);
    machine_step(&w->m,
                 &(struct machine_event){.kind = MACHINE_EVENT_RECOVERED, .same_boot = true, .running = true},
                 &none);
}

static const char *sample_text(enum sample_use use) {
    return use == SAMPLE_CAPTURE ? "sample captured" : use == SAMPLE_COMPARE ? "sample compared" : "gates";
}

static void perform(struct world *w, const struct row *row) {
    switch (row->primitive) {
    case PRIMITIVE_STOP: w->running = false; break;
    case PRIMITIVE_START:
        w->running = true;
        w->generation = row->generation;
        break;
    case PRIMITIVE_OBSERVE:
    case PRIMITIVE_ASK:
    case PRIMITIVE_RENDER:
    case PRIMITIVE_STAGE:
    case PRIMITIVE_SWAP:
    case PRIMITIVE_RUN: break;
    }
}

/* True with the answer in *event, false when nothing was asked or the agent died. */
static bool execute(struct world *w, const struct machine_action *action, struct machine_event *event) {
    const struct row *row = action->row;
    bool forward = w->m.record.state == MACHINE_FORWARD;
    bool bad = forward && w->m.record.row == w->fails_at;
    if (row->primitive == PRIMITIVE_ASK)
        say(w, "ASK", "%s", sample_text(row->sample));
    else
        say(w, "DO", "%s, generation %u%s", primitive_text(row->primitive), row->generation,
            action->attempt > 0 ? " (looks again)" : "");
    if (action->attempt == 0)
        perform(w, row);
    if (row->primitive == PRIMITIVE_STOP)
        w->kept.stopped_at_us = w->now_us;
    if (forward && w->m.record.row == w->dies_after) {
        w->dead = true;
        return false;
    }
    w->now_us += 250;
    if (row->primitive == PRIMITIVE_STOP && w->hangs) {
        w->stop_op = action->op; /* no answer before it is gone */
        return false;
    }
    if (forward && w->ends_at && w->m.record.row == w->ends_at) {
        w->running = false;
        w->ends_at = 0;
        *event = (struct machine_event){
            .kind = MACHINE_EVENT_ENDED, .now_us = w->now_us, .reason = "it ended with exit code 0"};
        say(w, "ended", "%s", event->reason);
        return true;
    }
    *event = (struct machine_event){.kind = bad && w->definite ? MACHINE_EVENT_FAILED : MACHINE_EVENT_ANSWER,
                                    .op = action->op,
                                    .now_us = w->now_us,
                                    .answer = bad ? ANSWER_NO : ANSWER_YES,
                                    .age_us = 250,
                                    .reason = !bad     ? NULL
                                              : w->why ? w->why
                                                       : "as this scenario wants it"};
    if (bad)
        say(w, "answer", "no: %s", event->reason);
    return true;
}

static bool act(struct world *w, const struct machine_actions *actions, struct machine_event *event) {
    for (size_t i = 0; i < actions->n; i++) {
        const struct machine_action *action = &actions->items[i];
        switch (action->kind) {
        case MACHINE_ACTION_JOURNAL:
            w->kept = action->record;
            if (action->sync)
                w->synced = action->record;
            say(w, "journal", "%s, row %u%s%s%s", machine_state_text(action->record.state),
                action->record.row, action->record.outcome ? ", outcome " : "",
                action->record.outcome ? outcome_text(action->record.outcome) : "",
                action->sync ? "  -- synced" : "");
            break;
        case MACHINE_ACTION_EXECUTE: return execute(w, action, event);
        case MACHINE_ACTION_KILL:
            say(w, "DO", "SIGKILL");
            w->gone_us = w->now_us + 300000; /* the kernel takes its time */
            break;
        case MACHINE_ACTION_REPORT:
            say(w, "REPORT", "%s%s%s", outcome_text(action->outcome), action->reason[0] ? ": " : "",
                action->reason);
            break;
        case MACHINE_ACTION_ALARM: say(w, "ALARM", "%s", action->reason); break;
        }
    }
    return false;
}

static void run(struct world *w, struct machine_event event) {
    for (int i = 0; i < 1000; i++) {
        struct machine_actions actions;
        machine_step(&w->m, &event, &actions);
        if (act(w, &actions, &event))
            continue;
        uint64_t next = machine_next_deadline(&w->m);
        if (w->hangs && w->gone_us && w->gone_us <= next) {
            w->hangs = false;
            w->now_us = w->gone_us;
            say(w, "ended", "the process that was killed is gone");
            event = (struct machine_event){
                .kind = MACHINE_EVENT_ANSWER, .op = w->stop_op, .now_us = w->now_us, .answer = ANSWER_YES};
            continue;
        }
        if (w->dead || next == UINT64_MAX)
            break;
        w->now_us = next;
        event = (struct machine_event){.kind = MACHINE_EVENT_TIME, .now_us = next};
    }
    if (!w->dead)
        say(w, "=", "%s, %s%s", machine_state_text(w->m.record.state),
            w->running ? "runs from generation " : "is down", w->running ? (w->generation ? "1" : "0") : "");
}

static void order_switch(struct world *w) {
    say(w, "order", "switch");
    run(w, (struct machine_event){
               .kind = MACHINE_EVENT_ORDER, .now_us = w->now_us, .order = &order, .step = &steps[0]});
}

static void restart(struct world *w, bool same_boot) {
    struct machine_record record = same_boot ? w->kept : w->synced;
    w->dead = false;
    w->dies_after = UINT32_MAX;
    w->running = w->running && same_boot;
    w->now_us += 500000;
    say(w, "CRASH", "%s; then it starts again", same_boot ? "of the agent" : "of the host");
    machine_init(&w->m, &record, &order, &steps[0]);
    run(w, (struct machine_event){.kind = MACHINE_EVENT_RECOVERED,
                                  .now_us = w->now_us,
                                  .same_boot = same_boot,
                                  .running = w->running,
                                  .running_generation = w->generation});
}

static void golden(struct world *w, const char *name) {
    char path[512];
    struct buffer wanted = {0};
    struct error err = {""};
    snprintf(path, sizeof(path), "%s/golden/agent-%s.txt", KEDGE_SCENARIO_FOLDER, name);
    if (getenv("KEDGE_GOLDEN_WRITE") && file_write(path, buffer_bytes(&w->text), 0644, &err) < 0)
        printf("# %s\n", err.text);
    check(file_read(path, 1 << 20, &wanted, &err) == 0);
    check_eq_str((char *)w->text.data, wanted.data ? (char *)wanted.data : err.text);
    buffer_deinit(&wanted);
    buffer_deinit(&w->text);
}

TEST("a switch that goes well") {
    struct world w;
    begin(&w);
    order_switch(&w);
    golden(&w, "clean");
}

TEST("F05 a start that fails is returned") {
    struct world w;
    begin(&w);
    w.fails_at = 3;
    w.definite = true;
    order_switch(&w);
    golden(&w, "start-fails");
}

TEST("F05 past its way back the member is held") {
    struct world w;
    begin(&w);
    order.way_back = WAY_BACK_UNTIL_START;
    w.fails_at = 4;
    w.definite = true;
    order_switch(&w);
    order.way_back = WAY_BACK_UNTIL_FINALIZE;
    golden(&w, "way-back-closed");
}

TEST("a sample that is gone is held at once") {
    struct world w;
    begin(&w);
    w.fails_at = 6;
    order_switch(&w);
    golden(&w, "sample-gone");
}

TEST("F27 the agent dies between stop and start: it goes on") {
    struct world w;
    begin(&w);
    w.dies_after = 2;
    order_switch(&w);
    restart(&w, true);
    golden(&w, "agent-dies-after-stop");
}

TEST("F05 the host dies between stop and start: it goes back") {
    struct world w;
    begin(&w);
    w.dies_after = 2;
    order_switch(&w);
    restart(&w, false);
    golden(&w, "host-dies-after-stop");
}

/* ---- lessons of other systems that are about one member; the others are in test_lessons.c ---- */

TEST("F07 lesson_04_done_is_what_runs_not_what_was_installed") {
    struct world w;
    begin(&w);
    w.fails_at = 4;
    w.definite = true;
    w.why = "executable is of release 1.0, 1.1 was started";
    order_switch(&w);
    check(w.running && w.generation == 0);
    golden(&w, "lesson_04_done_is_what_runs");
}

TEST("F07 lesson_21_who_answers_must_be_who_was_started") {
    struct world w;
    begin(&w);
    w.fails_at = 4;
    w.definite = true;
    w.why = "the socket on port 7100 belongs to pid 77, which was not started here";
    order_switch(&w);
    check(w.kept.outcome == OUTCOME_RETURNED);
    golden(&w, "lesson_21_who_answers_must_be_who_was_started");
}

TEST("F05 lesson_22_an_end_that_nobody_asked_for_is_a_failure_exit_code_0_included") {
    struct world w;
    begin(&w);
    w.ends_at = 5;
    order_switch(&w);
    check(w.kept.outcome == OUTCOME_RETURNED && w.running && w.generation == 0);
    golden(&w, "lesson_22_an_unasked_end_is_a_failure");
}

TEST("F27 lesson_23_a_stop_has_its_own_deadline_and_a_kill_is_waited_for") {
    struct world w;
    begin(&w);
    w.hangs = true;
    order_switch(&w);
    check(w.gone_us >= 5000000 && w.kept.outcome == OUTCOME_DONE);
    golden(&w, "lesson_23_a_kill_is_waited_for");
}

TEST("F05 lesson_24_one_that_founded_a_cluster_of_its_own_is_stopped_at_once") {
    struct world w;
    begin(&w);
    w.fails_at = 6;
    w.why = "entries read back 0/40: it is healthy, and knows nothing of its cluster";
    order_switch(&w);
    check(w.kept.outcome == OUTCOME_HELD && !w.running);
    golden(&w, "lesson_24_a_founder_is_stopped_at_once");
}

__attribute__((constructor)) static void set_way_back(void) {
    order.way_back = WAY_BACK_UNTIL_FINALIZE;
}
