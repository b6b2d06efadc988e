/* Why at the engine's own door and not in the model: what the engine may use is what it was told there, late, twice and
 * from the wrong reign as it may be. Answers that came too late for the engine are passed over here as well. */
#include "coordinator/rehearsal/witness.h"
#include "coordinator/rehearsal/internal.h"

#include <stdlib.h>
#include <string.h>

enum { EVIDENCE_MS = 2000, WAY_MS = 3000 /* of a gate that names no age; on top of the probes' time-outs */ };

/* ---- what is kept ---- */

static void *grown(void *items, size_t n, size_t size) {
    void *more = realloc(items, n * size);
    if (!more)
        abort();
    return more;
}

static uint32_t node_at(struct witness *wit, const char *name) {
    for (uint32_t i = 0; i < wit->n_nodes; i++)
        if (strcmp(wit->nodes[i].name, name) == 0)
            return i;
    wit->nodes = grown(wit->nodes, wit->n_nodes + 1, sizeof(*wit->nodes));
    wit->nodes[wit->n_nodes] = (struct witness_node){.name = strdup(name)};
    return wit->n_nodes++;
}

static struct trial *trial_of(struct witness *wit, const struct run *run) {
    for (size_t i = wit->n_trials; i-- > 0;)
        if (wit->trials[i].run == run->id)
            return &wit->trials[i];
    wit->trials = grown(wit->trials, wit->n_trials + 1, sizeof(*wit->trials));
    struct trial *trial = &wit->trials[wit->n_trials++];
    *trial = (struct trial){.run = run->id, .n_members = run->n_members};
    memset(trial->opening, 0xff, sizeof(trial->opening));
    trial->heard = calloc(run->n_members + 1, sizeof(*trial->heard));
    trial->accepted = calloc(run->plan->shape.n_waves + 1, sizeof(*trial->accepted));
    if (!trial->heard || !trial->accepted)
        abort();
    for (uint32_t i = 0; i < run->n_members; i++) {
        trial->heard[i].node = node_at(wit, run->members[i].order->node);
        trial->heard[i].last = ANSWER_UNKNOWN;
    }
    return trial;
}

void witness_free(struct world *w) {
    struct witness *wit = &w->witness;
    for (size_t i = 0; i < wit->n_trials; i++) {
        free(wit->trials[i].heard);
        free(wit->trials[i].accepted);
    }
    for (uint32_t i = 0; i < wit->n_nodes; i++)
        free(wit->nodes[i].name);
    free(wit->trials);
    free(wit->failed);
    free(wit->nodes);
    *wit = (struct witness){.n_trials = 0};
}

/* ---- which gates ---- */

static void gates_add(const struct run *run, struct gates_asked *all, const struct digest *digest) {
    const struct gate *gate = verified_plan_gate(run->plan, digest);
    if (!gate || gate->sample)
        return;
    uint32_t age = gate->evidence_age_ms ? gate->evidence_age_ms : EVIDENCE_MS;
    all->age_ms = all->n == 0 || age < all->age_ms ? age : all->age_ms;
    all->detection_ms = gate->detection_ms > all->detection_ms ? gate->detection_ms : all->detection_ms;
    for (size_t i = 0; i < gate->n_checks; i++)
        all->timeout_ms += gate->checks[i].probe.timeout_ms;
    all->n++;
}

struct gates_asked own_gates(const struct run *run, uint32_t member, const char *name) {
    struct gates_asked all = {.timeout_ms = WAY_MS};
    const struct step *step = work_order_step(run->members[member].order, name);
    bool started = step && step->verb == VERB_FINALIZE; /* nothing is: all that it asks is about what runs */
    for (size_t i = 0; step && i < step->n_rows; i++) {
        const struct row *row = &step->rows[i];
        started = started || row->primitive == PRIMITIVE_START;
        for (size_t k = 0; started && row->primitive == PRIMITIVE_ASK && k < row->n_gates; k++) {
            const struct gate *gate = verified_plan_gate(run->plan, &row->gates[k]);
            if (gate && gate->scope == GATE_SCOPE_MEMBER)
                gates_add(run, &all, &row->gates[k]);
        }
    }
    return all;
}

struct gates_asked cluster_gates(const struct run *run, const struct digest *digests, size_t n) {
    struct gates_asked all = {.timeout_ms = WAY_MS};
    for (size_t i = 0; i < n; i++)
        gates_add(run, &all, &digests[i]);
    return all;
}

/* The step that led to what runs: its gates are those that the member answers. */
const char *stage_step(const struct run *run, const struct trial *trial, uint32_t member) {
    const struct heard *h = &trial->heard[member];
    bool promotes = work_order_step(run->members[member].order, "promote") != NULL;
    if (!h->changed)
        return "return";
    return promotes && (h->state == MEMBER_SETTLING || h->state == MEMBER_SOAKING || h->state == MEMBER_DONE)
               ? "promote"
               : "switch";
}

/* ---- what was asked ---- */

static bool is_among(const struct digest *list, size_t n, const struct digest *digest) {
    for (size_t i = 0; i < n; i++)
        if (digest_equal(&list[i], digest))
            return true;
    return false;
}

/* One that was never answered gives way to the newer one, and was unknown. */
static struct asking *voice_for(struct asking voices[static VOICES], uint32_t node) {
    struct asking *oldest = &voices[0];
    for (size_t i = 0; i < VOICES; i++) {
        if (voices[i].at_ms > 0 && voices[i].node == node)
            return &voices[i];
        bool closed = voices[i].id == 0, was_closed = oldest->id == 0;
        if (closed != was_closed ? closed : voices[i].at_ms < oldest->at_ms)
            oldest = &voices[i];
    }
    return oldest;
}

static void asked(struct world *w, const struct run *run, struct trial *trial, const struct action *a) {
    const struct shape *shape = &run->plan->shape;
    struct heard *h = &trial->heard[a->member];
    uint32_t node = node_at(&w->witness, a->node);
    struct asking *to = &h->own;
    if (a->n_gates > 0 && a->self[0] && is_among(shape->may_stop, shape->n_may_stop, &a->gates[0]))
        to = voice_for(h->may_stop, node);
    else if (a->n_gates > 0 && !a->self[0] && is_among(shape->recovered, shape->n_recovered, &a->gates[0]))
        to = voice_for(h->recovered, node);
    bool never = to->id != 0 && w->witness.now_ms < to->until_ms;
    struct gates_asked gates = to == &h->own ? own_gates(run, a->member, stage_step(run, trial, a->member))
                               : to < h->recovered ? cluster_gates(run, shape->may_stop, shape->n_may_stop)
                                                   : cluster_gates(run, shape->recovered, shape->n_recovered);
    if (never && to == &h->own)
        h->own_ms = 0;
    else if (never && to >= h->recovered && to < h->recovered + VOICES)
        h->cluster_ms = 0;
    h->last = to == &h->own ? ANSWER_UNKNOWN : h->last;
    *to = (struct asking){.id = a->ask,
                          .change = trial->n_changes,
                          .at_ms = w->witness.now_ms,
                          .until_ms = w->witness.now_ms + gates.timeout_ms,
                          .node = node};
}

/* ---- what was answered ---- */

static enum answer joined(enum answer a, enum answer b) {
    if (a == ANSWER_NO || b == ANSWER_NO)
        return ANSWER_NO;
    return a == ANSWER_UNKNOWN || b == ANSWER_UNKNOWN ? ANSWER_UNKNOWN : ANSWER_YES;
}

static void answer_keep(struct world *w, const struct run *run, struct trial *trial, uint32_t member,
                        struct asking *to) {
    const struct event *event = &w->witness.event;
    struct heard *h = &trial->heard[member];
    uint64_t oldest_us = 0;
    const struct wave *wave = &run->plan->shape.waves[run->members[member].wave];
    const struct gate *last = wave->has_last ? verified_plan_gate(run->plan, &wave->last) : NULL;
    to->answered = true;
    to->id = 0;
    to->answer = event->n_answers > 0 ? ANSWER_YES : ANSWER_UNKNOWN;
    for (size_t i = 0; i < event->n_answers; i++) {
        const struct gate_answer *a = &event->answers[i];
        if (to == &h->own && last && strcmp(a->gate, last->name) == 0) {
            h->last = a->answer;
            continue;
        }
        to->answer = joined(to->answer, a->answer);
        oldest_us = a->age_us > oldest_us ? a->age_us : oldest_us;
    }
    to->seen_ms = w->witness.now_ms - (oldest_us / 1000 < w->witness.now_ms ? oldest_us / 1000 : 0);
}

/* All who were asked in the same round as this one, or still owe an answer, have said yes. */
static bool all_said_yes(const struct world *w, const struct asking voices[static VOICES],
                         const struct asking *one) {
    for (size_t i = 0; i < VOICES; i++) {
        bool waits = voices[i].id != 0 && w->witness.now_ms < voices[i].until_ms;
        if (waits || (voices[i].answered && voices[i].answer != ANSWER_YES && voices[i].at_ms >= one->at_ms))
            return false;
    }
    return true;
}

static void yes_or_not(struct world *w, struct heard *h, const struct asking *to) {
    uint64_t now = w->witness.now_ms;
    bool own = to == &h->own, recovered = to >= h->recovered && to < h->recovered + VOICES;
    uint64_t *since = own ? &h->own_ms : &h->cluster_ms;
    if (!own && !recovered)
        return;
    if (own && h->n_noes == 0)
        h->noes_since_ms = now;
    if (own)
        h->n_noes = to->answer == ANSWER_YES ? 0 : h->n_noes + (to->answer == ANSWER_NO);
    if (to->answer != ANSWER_YES)
        *since = 0;
    else if (*since == 0 && (own || all_said_yes(w, h->recovered, to)))
        *since = now;
}

static void longest_note(const struct run *run, struct heard *h, uint64_t now_ms) {
    uint64_t since = h->own_ms > h->cluster_ms ? h->own_ms : h->cluster_ms;
    bool both = h->own_ms && (h->cluster_ms || run->plan->shape.n_recovered == 0);
    if (both && now_ms - since > h->longest_ms)
        h->longest_ms = now_ms - since;
}

static struct asking *asking_of(struct heard *h, uint64_t id) {
    if (h->own.id == id)
        return &h->own;
    for (size_t i = 0; i < VOICES; i++) {
        if (h->may_stop[i].id == id)
            return &h->may_stop[i];
        if (h->recovered[i].id == id)
            return &h->recovered[i];
    }
    return NULL;
}

static void answered(struct world *w) {
    struct witness *wit = &w->witness;
    for (size_t t = 0; t < wit->n_trials; t++) {
        struct trial *trial = &wit->trials[t];
        const struct run *run = engine_run(w->engine, trial->run);
        for (uint32_t i = 0; run && i < trial->n_members; i++) {
            struct heard *h = &trial->heard[i];
            struct asking *to = asking_of(h, wit->event.ask);
            if (!to || strcmp(wit->nodes[to->node].name, wit->event.node) != 0)
                continue;
            /* later the engine may have given it up: then only a yes is believed here, which forbids nothing */
            bool in_time = wit->now_ms < to->until_ms;
            answer_keep(w, run, trial, i, to);
            to->late = !in_time;
            h->last = to->late && to == &h->own ? ANSWER_UNKNOWN : h->last;
            if (in_time || to->answer == ANSWER_YES)
                yes_or_not(w, h, to);
            h->n_all_noes += to->answer == ANSWER_NO;
            longest_note(run, h, wit->now_ms);
            return;
        }
    }
}

/* ---- lines ---- */

static void lost(struct heard *h, struct asking *to, uint64_t now_ms) {
    bool waits = to->id != 0 && now_ms < to->until_ms;
    if (to->id != 0)
        to->answered = false;
    to->id = 0;
    if (!waits)
        return;
    if (to == &h->own)
        h->own_ms = 0;
    else if (to >= h->recovered && to < h->recovered + VOICES)
        h->cluster_ms = 0;
}

static void line_changes(struct witness *wit, const char *name, bool up) {
    uint32_t node = node_at(wit, name);
    wit->nodes[node].up = up;
    for (size_t t = 0; t < wit->n_trials; t++)
        for (uint32_t i = 0; i < wit->trials[t].n_members; i++) {
            struct heard *h = &wit->trials[t].heard[i];
            if (h->node == node) /* who goes last was said before, and holds as long as its evidence */
                lost(h, &h->own, wit->now_ms);
            for (size_t k = 0; k < VOICES; k++) {
                if (h->may_stop[k].node == node)
                    lost(h, &h->may_stop[k], wit->now_ms);
                if (h->recovered[k].node == node)
                    lost(h, &h->recovered[k], wit->now_ms);
            }
        }
}

/* ---- reports and words ---- */

static void begin_anew(struct heard *h) {
    h->own_ms = h->cluster_ms = h->longest_ms = 0;
    h->n_noes = h->n_all_noes = 0;
    h->own.id = 0;
    h->own.answered = false;
    for (size_t i = 0; i < VOICES; i++)
        h->recovered[i] = (struct asking){.id = 0};
}

static void changed_by(struct heard *h, const char *step, enum outcome outcome) {
    bool back = strcmp(step, "return") == 0;
    if (outcome == OUTCOME_DONE)
        h->changed = !back;
    if (outcome == OUTCOME_RETURNED)
        h->changed = false;
    if (outcome_changed_nothing(outcome))
        h->in_change = h->was_in_change;
    else if (outcome != OUTCOME_DONE)
        h->in_change = false;
}

static void reported(struct world *w) {
    const struct engine_report *report = &w->witness.event.report;
    enum outcome outcome = w->witness.gives_away ? OUTCOME_HELD : report->outcome;
    for (size_t t = 0; t < w->witness.n_trials; t++) {
        struct trial *trial = &w->witness.trials[t];
        const struct run *run = engine_run(w->engine, trial->run);
        if (!run || run->plan->header.serial != report->serial ||
            strcmp(run->plan->header.cluster, report->cluster) != 0)
            continue;
        if (!w->witness.gives_away)
            blames_heard(w, run, report);
        for (uint32_t i = 0; i < trial->n_members; i++) {
            struct heard *h = &trial->heard[i];
            if (strcmp(run->members[i].order->member, report->member) != 0 || !h->ordered ||
                strcmp(h->ordered, report->step) != 0)
                continue;
            h->outcome = outcome;
            h->ordered = NULL;
            if (outcome == OUTCOME_WAITS) /* it went on for nothing */
                trial->free_ms = h->free_before_ms;
            trial->n_changes++;
            changed_by(h, report->step, outcome);
            begin_anew(h);
            failures_reported(w, run, trial, i, report->step);
        }
    }
}

static void word_about(struct trial *trial, const struct run *run, const struct event *event) {
    for (uint32_t i = 0; event->member && i < trial->n_members; i++) {
        struct heard *h = &trial->heard[i];
        if (strcmp(run->members[i].order->member, event->member) != 0)
            continue;
        h->left_out = h->left_out || event->command == RUN_EVENT_SKIP || event->command == RUN_EVENT_RETIRE;
        h->retired = h->retired || event->command == RUN_EVENT_RETIRE;
        h->in_change = h->in_change && !h->retired;
        h->promote_now = h->promote_now || event->command == RUN_EVENT_PROMOTE;
        if (event->command == RUN_EVENT_RETRY)
            h->outcome = OUTCOME_NONE;
        if (i == trial->halted_by && event->command != RUN_EVENT_WAIVE && event->command != RUN_EVENT_PROMOTE)
            trial->halted[0] = 0; /* its trouble is no more */
        failures_word(run, trial, i, event->command);
        if (event->command == RUN_EVENT_WAIVE && event->until_ms > h->waived_until_ms)
            h->waived_until_ms = event->until_ms;
    }
}

static void resumed(struct trial *trial) {
    trial->paused = false;
    trial->halted[0] = 0;
    for (uint32_t i = 0; i < trial->n_members; i++) {
        struct heard *h = &trial->heard[i];
        h->n_noes = 0;
        if (h->outcome == OUTCOME_FAILED || h->outcome == OUTCOME_REFUSED)
            h->outcome = OUTCOME_NONE;
    }
}

static void said(struct world *w) {
    const struct event *event = &w->witness.event;
    const struct run *run = engine_run(w->engine, event->run);
    if (!run)
        return;
    struct trial *trial = trial_of(&w->witness, run);
    if (event->command == RUN_EVENT_PAUSE)
        trial->paused = true;
    else if (event->command == RUN_EVENT_RESUME || event->command == RUN_EVENT_ROLLBACK ||
             event->command == RUN_EVENT_ABORT)
        resumed(trial);
    else
        word_about(trial, run, event);
    if (event->command == RUN_EVENT_RESUME)
        failures_accept(run, trial);
    if (event->command == RUN_EVENT_ABORT && trial->aborted_ms == 0 &&
        (run->state == RUN_WAVES || run->state == RUN_RETURNING))
        trial->aborted_ms = w->witness.now_ms;
}

/* A newer plan came: the older ones of its cluster begin nothing more. */
static void applied(struct world *w) {
    size_t n = engine_n_runs(w->engine);
    const struct run *newest = n > 0 ? engine_run_at(w->engine, n - 1) : NULL;
    if (newest)
        blames_judge(w, newest, 0, "is to be changed by a new run");
    for (size_t i = 0; i + 1 < n; i++) {
        const struct run *run = engine_run_at(w->engine, i);
        struct trial *trial = trial_of(&w->witness, run);
        if (strcmp(run->plan->header.cluster, newest->plan->header.cluster) == 0)
            trial->superseded = true;
    }
}

/* ---- the door ---- */

static void node_held(struct witness *wit, uint64_t until_ms) {
    uint32_t node = node_at(wit, wit->event.node); /* may move the nodes */
    wit->nodes[node].held_until_ms = until_ms;
}

/* What its agent saw while the node was held: who runs again what ran before was put back by other hands. */
static void node_seen(struct world *w) {
    struct witness *wit = &w->witness;
    node_held(wit, 0);
    for (size_t i = 0; i < wit->event.n_findings; i++) {
        const struct node_finding *finding = &wit->event.findings[i];
        const struct run *run = engine_run(w->engine, finding->run);
        struct heard *h = run ? &trial_of(wit, run)->heard[finding->member] : NULL;
        if (!h || finding->generation != 0 || !h->changed)
            continue;
        h->changed = h->in_change = false;
        if (h->state != MEMBER_DONE) /* else it had proven what a canary proves */
            h->outcome = OUTCOME_RETURNED;
    }
}

static void event_keep(struct world *w) {
    struct witness *wit = &w->witness;
    switch (wit->event.kind) {
    case EVENT_AGENT_UP: line_changes(wit, wit->event.node, true); return;
    case EVENT_AGENT_DOWN: line_changes(wit, wit->event.node, false); return;
    case EVENT_REPORT: reported(w); return;
    case EVENT_ANSWER: answered(w); return;
    case EVENT_COMMAND: said(w); return;
    case EVENT_NODE_HOLD: node_held(wit, wit->event.until_ms ? wit->event.until_ms : UINT64_MAX); return;
    case EVENT_NODE_RETURN: node_seen(w); return;
    case EVENT_APPLY: applied(w); return;
    case EVENT_TICK: return;
    }
}

static void ordered(struct world *w, const struct action *a) {
    const struct run *run = engine_run(w->engine, a->run);
    struct trial *trial = trial_of(&w->witness, run);
    struct heard *h = &trial->heard[a->member];
    const struct step *step = work_order_step(run->members[a->member].order, a->step);
    bool repeated = h->ordered && strcmp(h->ordered, a->step) == 0;
    duties_begins(w, run, trial, a);
    if (!repeated && step->verb != VERB_ACT)
        verdict_begins(w, run, a->member, step);
    if (step->verb != VERB_SWITCH && step->verb != VERB_PROMOTE && step->verb != VERB_REVERT &&
        step->verb != VERB_FINALIZE)
        return;
    if (!repeated && step->verb != VERB_REVERT)
        blames_judge(w, run, a->member, "is ordered to go on");
    if (!repeated) {
        verdict_order(w, run, trial, a->member, step);
        h->was_in_change = h->in_change;
        h->free_before_ms = trial->free_ms;
        trial->free_ms = w->witness.now_ms;
    }
    h->ordered = step->name;
    h->return_ordered = step->verb == VERB_REVERT;
    h->in_change = true;
    trial->n_changes++;
}

void witness_event(struct world *w, const struct event *event) {
    w->witness.event = *event;
    w->witness.has_event = true;
    w->witness.now_ms = event->now_ms > w->witness.now_ms ? event->now_ms : w->witness.now_ms;
}

void witness_heard(struct world *w, bool refused) {
    struct witness *wit = &w->witness;
    if (wit->has_event && !refused)
        event_keep(w);
    wit->has_event = false;
    for (size_t i = 0; i < engine_n_runs(w->engine); i++) {
        const struct run *run = engine_run_at(w->engine, i);
        verdict_claims(w, run, trial_of(wit, run));
        duties_after(w, run, trial_of(wit, run));
    }
    for (size_t i = 0; i < w->actions.n; i++) {
        const struct action *a = &w->actions.items[i];
        if (a->kind == ACTION_ORDER)
            ordered(w, a);
        else if (a->kind == ACTION_ASK)
            asked(w, engine_run(w->engine, a->run), trial_of(wit, engine_run(w->engine, a->run)), a);
    }
}

/* Answers are in no journal. */
void witness_forgets(struct world *w) {
    struct witness *wit = &w->witness;
    wit->has_event = false;
    wit->now_ms = 0;
    for (uint32_t i = 0; i < wit->n_nodes; i++)
        wit->nodes[i].up = false;
    for (size_t t = 0; t < wit->n_trials; t++) {
        wit->trials[t].free_ms = 0; /* another reign, another clock */
        memset(wit->trials[t].lease_ms, 0, sizeof(wit->trials[t].lease_ms));
        for (uint32_t i = 0; i < wit->trials[t].n_members; i++) {
            struct heard *h = &wit->trials[t].heard[i];
            begin_anew(h);
            h->last = ANSWER_UNKNOWN;
            for (size_t k = 0; k < VOICES; k++)
                h->may_stop[k] = (struct asking){.id = 0};
        }
    }
}

/* Another clock, which may be behind: who is to go back after an abort has the whole wait limit again. */
void witness_begins(struct world *w, uint64_t now_ms) {
    struct witness *wit = &w->witness;
    wit->now_ms = now_ms;
    for (size_t t = 0; t < wit->n_trials; t++)
        if (wit->trials[t].aborted_ms > 0)
            wit->trials[t].aborted_ms = now_ms;
}
