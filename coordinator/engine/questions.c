/* Asking gates and keeping the answers for as long as they may be used. An answer counts only if it was asked after the
 * last change of the run and is younger than the evidence age of its gates; no answer in time is unknown. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- which gates ---- */

static void list_add(struct run *run, struct gate_list *list, struct digest *gates,
                     const struct digest *digest) {
    const struct gate *gate = verified_plan_gate(run->plan, digest);
    for (size_t i = 0; i < list->n; i++)
        if (digest_equal(&gates[i], digest))
            return;
    if (!gate || list->n == KEDGE_GATES_MAX)
        return;
    gates[list->n++] = *digest;
    uint32_t age = gate->evidence_age_ms ? gate->evidence_age_ms : EVIDENCE_AGE_MS;
    list->age_ms = list->age_ms == 0 || age < list->age_ms ? age : list->age_ms;
    list->detection_ms = gate->detection_ms > list->detection_ms ? gate->detection_ms : list->detection_ms;
    for (size_t i = 0; i < gate->n_checks; i++)
        list->timeout_ms += gate->checks[i].probe.timeout_ms;
}

static void list_finish(struct run *run, struct gate_list *list, struct digest *gates,
                        const struct digest *last) {
    struct digest *kept = must(arena_array(run->arena, list->n + 1, sizeof(*kept)));
    memcpy(kept, gates, list->n * sizeof(*kept));
    if (last)
        kept[list->n] = *last;
    list->gates = kept;
    list->age_ms = list->age_ms ? list->age_ms : EVIDENCE_AGE_MS;
    list->timeout_ms += ANSWER_SLACK_MS;
}

/* The member's own gates in a stage are those that its work order asks, after the start, in the step that leads there; of one
 * that finalizes, and stops nothing, all. */
static void member_list_make(struct run *run, struct run_member *member, enum stage stage,
                             const char *step_name, const struct digest *last) {
    struct digest gates[KEDGE_GATES_MAX];
    struct gate_list *list = &member->gates[stage];
    const struct step *step = work_order_step(member->order, step_name);
    bool started = step && step->verb == VERB_FINALIZE;
    for (size_t i = 0; step && i < step->n_rows; i++) {
        const struct row *row = &step->rows[i];
        started = started || row->primitive == PRIMITIVE_START;
        for (size_t k = 0; started && row->primitive == PRIMITIVE_ASK && k < row->n_gates; k++) {
            const struct gate *gate = verified_plan_gate(run->plan, &row->gates[k]);
            if (gate && gate->scope == GATE_SCOPE_MEMBER && !gate->sample)
                list_add(run, list, gates, &row->gates[k]);
        }
    }
    list_finish(run, list, gates, last);
}

static void cluster_list_make(struct run *run, struct gate_list *list, const struct digest *digests,
                              size_t n) {
    struct digest gates[KEDGE_GATES_MAX];
    for (size_t i = 0; i < n; i++)
        list_add(run, list, gates, &digests[i]);
    list_finish(run, list, gates, NULL);
}

void gate_lists_make(struct run *run) {
    const struct shape *shape = &run->plan->shape;
    cluster_list_make(run, &run->may_stop, shape->may_stop, shape->n_may_stop);
    cluster_list_make(run, &run->recovered, shape->recovered, shape->n_recovered);
    for (uint32_t i = 0; i < run->n_members; i++) {
        struct run_member *member = &run->members[i];
        const struct wave *wave = member->wave < shape->n_waves ? &shape->waves[member->wave] : NULL;
        const struct digest *last = wave && wave->has_last ? &wave->last : NULL;
        bool promotes = work_order_step(member->order, "promote") != NULL;
        const char *first = work_order_step(member->order, "switch") ? "switch" : "start";
        member_list_make(run, member, STAGE_BEFORE, "return", last);
        member_list_make(run, member, STAGE_READ_ONLY, first, last);
        member_list_make(run, member, STAGE_AFTER, promotes ? "promote" : first, last);
    }
}

static enum stage stage_of(const struct run_member *member) {
    enum member_state state = member->state == MEMBER_REVERTING ? member->before : member->state;
    switch (state) {
    case MEMBER_RECOVERING:
    case MEMBER_SOAKING_READ_ONLY:
    case MEMBER_PROMOTING: return STAGE_READ_ONLY;
    case MEMBER_SETTLING:
    case MEMBER_SOAKING:
    case MEMBER_DONE: return STAGE_AFTER;
    case MEMBER_PLANNED:
    case MEMBER_PREPARING:
    case MEMBER_PREPARED:
    case MEMBER_SWITCHING:
    case MEMBER_FAILED:
    case MEMBER_RETURNED:
    case MEMBER_HELD:
    case MEMBER_REVERTING:
    case MEMBER_RECOVERING_BACK:
    case MEMBER_BACK:
    case MEMBER_SKIPPED:
    case MEMBER_RETIRED:
    case MEMBER_STOPPING:
    case MEMBER_STOPPED:
    case MEMBER_PASSING:
    case MEMBER_PASSED:
    case MEMBER_STARTING:
    case MEMBER_ACTING:
    case MEMBER_HALTING:
    case MEMBER_QUARANTINED: break;
    }
    return STAGE_BEFORE;
}

const struct gate_list *member_gates(const struct run_member *member) {
    return &member->gates[stage_of(member)];
}

/* ---- asking ---- */

/* The number of an ask says where its answer belongs: 32 bits of its own, the run, the member, which question. */
static uint64_t ask_id(struct run *run, uint32_t member, unsigned which) {
    return ++run->engine->n_asks << 32 | (run->id & 0x3fff) << 18 | (uint64_t)member << 2 | which;
}

static struct question *question_of(struct run_member *member, unsigned which) {
    return which == 0 ? &member->own : which <= PROBERS ? &member->cluster[which - 1] : NULL;
}

void question_end(struct run *run, struct question *question) {
    if (question->id != 0)
        run->engine->nodes[question->node].n_asked--;
    question->id = 0;
    timer_clear(run->engine, &question->timeout);
}

static void answer_unknown(struct run *run, uint32_t member, struct question *question, const char *text) {
    question_end(run, question);
    question->answered = true;
    question->stale = false;
    question->answer = question->last = KEDGE_MUTANT(unknown_is_yes) ? ANSWER_YES : ANSWER_UNKNOWN;
    question->at_ms = run->engine->now_ms;
    reasons_clear(&question->reasons);
    const char *who = question->purpose == PURPOSE_OWN ? run->members[member].order->member
                                                       : run->engine->nodes[question->node].name;
    reasons_add(&question->reasons, question->purpose == PURPOSE_OWN ? "its agent" : "cluster gates", who,
                ANSWER_UNKNOWN, text);
}

static const struct gate_list *gates_for(const struct run *run, uint32_t member, enum purpose purpose) {
    switch (purpose) {
    case PURPOSE_OWN: return member_gates(&run->members[member]);
    case PURPOSE_MAY_STOP: return &run->may_stop;
    case PURPOSE_RECOVERED: break;
    }
    return &run->recovered;
}

static void question_send(struct run *run, uint32_t member, struct question *question) {
    const struct run_member *m = &run->members[member];
    struct action *action = action_add(run->engine, ACTION_ASK);
    action->run = run->id;
    action->member = member;
    action->ask = question->id;
    action->node = run->engine->nodes[question->node].name;
    /* Recovered gates count the member like any other; the others ask what is without it, or whether it is the one. */
    action->self = question->purpose == PURPOSE_RECOVERED ? "" : m->order->self;
    if (question->purpose == PURPOSE_MAY_STOP)
        action->beside = may_stop_beside(run, member);
    action->gates = question->gates->gates;
    action->n_gates = question->gates->n + question->with_last;
}

void question_ask(struct run *run, uint32_t member, struct question *question, enum purpose purpose,
                  uint32_t node) {
    struct engine *engine = run->engine;
    struct run_member *m = &run->members[member];
    question->purpose = purpose;
    question->node = node;
    question->gates = gates_for(run, member, purpose);
    question->change = run->n_changes;
    question->asked_ms = engine->now_ms;
    question->with_last =
        purpose == PURPOSE_OWN && m->state == MEMBER_PREPARED && run->plan->shape.waves[m->wave].has_last;
    if (!engine->nodes[node].up) {
        answer_unknown(run, member, question, "it is not connected");
        return;
    }
    if (question->gates->n + question->with_last == 0) { /* nothing to ask: that it is there must do */
        reasons_clear(&question->reasons);
        question->answered = true;
        question->stale = false;
        question->answer = ANSWER_YES;
        question->at_ms = engine->now_ms;
        return;
    }
    question->id = ask_id(run, member, question == &m->own ? 0 : 1 + (unsigned)(question - m->cluster));
    engine->nodes[node].n_asked++;
    timer_set(engine, &question->timeout, engine->now_ms + question->gates->timeout_ms);
    question_send(run, member, question);
}

/* How long an answer may be used. One that is not yes holds somebody back and nothing else: it is good for a whole round
 * of questions, of which each may take until its time-out. With the age of a yes it would be gone before the round is
 * complete when nobody's prober answers, and the run would ask for ever without telling that it waits. */
static uint64_t use_ms(const struct run *run, const struct question *question) {
    if (question->answer == ANSWER_YES)
        return question->gates->age_ms;
    return question->gates->age_ms + 2 * ((uint64_t)question->gates->timeout_ms + run->may_stop.timeout_ms);
}

bool question_is_fresh(const struct run *run, const struct question *question) {
    return question->answered && !question->stale && question->id == 0 &&
           (question->change == run->n_changes || KEDGE_MUTANT(evidence_from_before)) &&
           (run->engine->now_ms <= question->at_ms + use_ms(run, question) ||
            KEDGE_MUTANT(evidence_age_ignored));
}

/* What was asked before a change says nothing about what is after it: a late answer finds no question. */
void questions_drop(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    for (unsigned which = 0; which <= PROBERS; which++) {
        struct question *question = question_of(m, which);
        question_end(run, question);
        question->answered = false;
    }
    run->n_surveyed -= m->surveyed;
    m->surveyed = false;
}

/* ---- answers ---- */

static void answer_take(struct run *run, uint32_t member, struct question *question,
                        const struct event *event) {
    struct engine *engine = run->engine;
    const char *who = question->purpose == PURPOSE_OWN ? run->members[member].order->member
                                                       : engine->nodes[question->node].name;
    size_t n = question->gates->n;
    uint64_t oldest_us = 0;
    reasons_clear(&question->reasons);
    question->answer = ANSWER_YES;
    for (size_t i = 0; i < n; i++) {
        const struct gate_answer *a = &event->answers[i];
        struct verdict all = {.answer = question->answer}, one = {.answer = a->answer};
        verdict_join(&all, &one);
        question->answer = all.answer;
        oldest_us = a->age_us > oldest_us ? a->age_us : oldest_us;
        reasons_add(&question->reasons, a->gate, who, a->answer, a->reason);
    }
    question->last = question->with_last ? event->answers[n].answer : ANSWER_UNKNOWN;
    /* Only a yes must be young: what a service that does not answer has cost in time does not make its unknown old, else
     * the round in which it stands would never be complete, and nobody be told that it waits. */
    uint64_t age_ms = question->answer == ANSWER_YES ? oldest_us / 1000 : 0;
    question->at_ms = engine->now_ms > age_ms ? engine->now_ms - age_ms : 0;
    question->change = KEDGE_MUTANT(answer_of_before) ? run->n_changes : question->change;
    question->answered = true;
    question->stale = false;
    question_end(run, question);
}

/* After any answer: who waited for it? */
static void answered(struct run *run, uint32_t member) {
    struct run_member *m = &run->members[member];
    if (m->surveyed && m->own.id == 0) {
        m->surveyed = false;
        run->n_surveyed--;
    }
    recovered_answered(run, member);
    run_advance(run);
}

void questions_answer(struct engine *engine, const struct event *event) {
    uint64_t run_bits = event->ask >> 18 & 0x3fff;
    uint32_t member = (uint32_t)(event->ask >> 2 & 0xffff);
    for (size_t i = engine->n_runs; i-- > 0;) {
        struct run *run = engine->runs[i];
        if ((run->id & 0x3fff) != run_bits || member >= run->n_members)
            continue;
        struct question *question = question_of(&run->members[member], (unsigned)(event->ask & 3));
        if (!question || question->id != event->ask ||
            strcmp(engine->nodes[question->node].name, event->node) != 0)
            continue;
        if (event->n_answers == question->gates->n + question->with_last)
            answer_take(run, member, question, event);
        else
            answer_unknown(run, member, question,
                           event->n_answers == 1 ? event->answers[0].reason
                                                 : "its agent answered another question");
        answered(run, member);
        return;
    }
}

static void lose(struct run *run, uint32_t member, struct question *question, const char *text) {
    answer_unknown(run, member, question, text);
    answered(run, member);
}

/* First those about its own members, which it has most of the time and no others. */
void questions_node_lost(struct run *run, uint32_t node) {
    const struct node *asked = &run->engine->nodes[node];
    size_t n_here;
    const struct node_member *here = members_on(run, node, &n_here);
    for (size_t i = 0; asked->n_asked > 0 && i < n_here; i++) {
        struct question *own = &run->members[here[i].member].own;
        if (own->id != 0)
            lose(run, here[i].member, own, "its connection was lost");
    }
    for (uint32_t i = 0; asked->n_asked > 0 && n_here > 0 && i < run->n_members; i++)
        for (unsigned which = 1; which <= PROBERS; which++) {
            struct question *question = question_of(&run->members[i], which);
            if (question->id != 0 && question->node == node)
                lose(run, i, question, "its connection was lost");
        }
}

void question_timed_out(struct run *run, uint32_t member) {
    for (unsigned which = 0; which <= PROBERS; which++) {
        struct question *question = question_of(&run->members[member], which);
        if (question->id != 0 && question->timeout.place == 0) {
            char text[64];
            snprintf(text, sizeof(text), "no answer for %u ms", question->gates->timeout_ms);
            lose(run, member, question, text);
        }
    }
}
