/* What somebody wanted to happen, done when its moment comes: by the same doors by which chance does it, so that a wanted
 * fault is no other fault. Each strikes once. */
#include "coordinator/rehearsal/staging.h"

#include <string.h>

enum { SLOWER = 10, GATE_WAIVED_S = 3600 };

const struct staged_fault *staged_fault_of(enum staged_kind kind) {
    static const struct staged_fault faults[STAGED_KINDS] = {
        [STAGED_START_FAILS] = {"start-fails", "the new release ends as soon as it was started", "switch"},
        [STAGED_START_HANGS] = {"start-hangs", "the new release is started and never serves", "switch"},
        [STAGED_STOP_HANGS] = {"stop-hangs", "the service does not end when it is told to", "switch"},
        [STAGED_SLOW] = {"slow", "the new release takes ten times as long to start", "switch"},
        [STAGED_CRASH] = {"crash", "the service ends by itself; somebody starts it again later", "soak"},
        [STAGED_EMPTY] = {"empty-disk", "the new release comes up green and has lost its data", "switch"},
        [STAGED_HOST_DIES] = {"host-dies", "the host dies, with what was not synced, and boots later",
                              "switch"},
        [STAGED_AGENT_DIES] = {"agent-dies", "the agent is killed in the middle of a step", "switch"},
        [STAGED_AGENT_AWAY] = {"agent-away", "the line between agent and coordinator breaks", "switch"},
        [STAGED_PARTITION] = {"partition", "half of the lines break at once", "switch"},
        [STAGED_COORDINATOR_DIES] = {"coordinator-dies", "the coordinator is killed, and starts again later",
                                     "switch"},
        [STAGED_GATE_NO] = {"gate-no", "what is asked on the member's node is answered no", "soak"},
        [STAGED_GATE_UNKNOWN] = {"gate-unknown", "what is asked on the member's node is answered unknown",
                                 "soak"},
        [STAGED_FLAP] = {"flap", "what is asked on the member's node is answered now so, now so", "soak"},
        [STAGED_DISK_FULL] = {"disk-full", "there is no room for the new release", "prepare"},
        [STAGED_JOURNAL_LOST] = {"journal-lost",
                                 "the agent cannot write its journal, until somebody restarts it", "switch"},
        [STAGED_SIDE_BACK] = {"side-back", "somebody puts the side actions back by hand", "soak"},
    };
    return (unsigned)kind < STAGED_KINDS && faults[kind].name ? &faults[kind] : NULL;
}

/* ---- moments ---- */

static bool is_in_step(const struct member *m, const char *step) {
    return m->machine.step && machine_is_busy(&m->machine) &&
           (m->machine.record.stopped || m->machine.step->verb == VERB_START) &&
           strcmp(m->machine.step->name, step) == 0;
}

static bool moment_is(const struct run *run, const struct member *m, const char *moment) {
    enum member_state state = run->members[m->index].state;
    if (strcmp(moment, "pause") == 0)
        return run->paused;
    if (strcmp(moment, "end") == 0)
        return run->state == RUN_ENDED;
    if (strcmp(moment, "prepare") == 0)
        return state == MEMBER_PREPARING;
    if (strcmp(moment, "soak") == 0)
        return state == MEMBER_SOAKING || state == MEMBER_SOAKING_READ_ONLY;
    if (strcmp(moment, "switch") == 0 &&
        !work_order_step(m->order, "switch")) /* a downtime has it in halves */
        return is_in_step(m, "stop") || is_in_step(m, "start");
    return is_in_step(m, moment);
}

/* Some things can happen only to a service that is just being started, or stopped. */
static bool fits(const struct staged *item, const struct member *m) {
    const struct service *service = &m->service;
    bool begins = service->running && !service->ready && !service->stopping && !service->hangs;
    switch (item->kind) {
    case STAGED_START_FAILS:
    case STAGED_START_HANGS:
    case STAGED_SLOW:
    case STAGED_EMPTY: return begins && service->content > 0;
    case STAGED_STOP_HANGS: return service->running && service->stopping && !service->hangs;
    case STAGED_CRASH: return service->running && !service->stopping;
    case STAGED_HOST_DIES:
    case STAGED_AGENT_DIES:
    case STAGED_JOURNAL_LOST: return m->agent_up;
    case STAGED_AGENT_AWAY:
    case STAGED_PARTITION:
    case STAGED_COORDINATOR_DIES:
    case STAGED_GATE_NO:
    case STAGED_GATE_UNKNOWN:
    case STAGED_FLAP:
    case STAGED_DISK_FULL:
    case STAGED_WORD: return true;
    case STAGED_SIDE_BACK: return hands_could_put_back(m->cluster);
    }
    return false;
}

static bool is_named(const struct member *m, const char *name) {
    return !name || strcmp(m->order->member, name) == 0;
}

static bool time_has_come(struct world *w, const struct staged *item, struct striking *striking) {
    uint64_t at = w->staging->begun_us + item->at_us;
    if (w->now_us >= at)
        return true;
    if (!striking->armed)
        item_add(w, ITEM_STAGE, at - w->now_us);
    striking->armed = true;
    return false;
}

/* The member that it happens to now, or NULL. */
static struct member *victim(struct world *w, const struct run *run, const struct staged *item,
                             struct striking *striking) {
    const char *whose = item->moment_member ? item->moment_member : item->member;
    if (!item->moment && !time_has_come(w, item, striking))
        return NULL;
    for (uint32_t i = 0; i < w->n_members && i < run->n_members; i++) {
        struct member *m = &w->members[i];
        if (item->moment && (!is_named(m, whose) || !moment_is(run, m, item->moment)))
            continue;
        if (item->moment_member && item->member)
            for (uint32_t k = 0; k < w->n_members; k++)
                if (is_named(&w->members[k], item->member))
                    m = &w->members[k];
        if (is_named(m, item->member) && fits(item, m))
            return m;
    }
    return NULL;
}

/* ---- what happens ---- */

/* What the process would have done next does not come. */
static void process_goes_astray(struct member *m) {
    m->service.token++;
}

static void process_later(struct world *w, struct member *m, enum item_kind kind, uint64_t after_us,
                          bool failed) {
    struct item *item = item_add(w, kind, after_us);
    item->index = m->index;
    item->token = m->service.token;
    item->failed = failed;
}

static void agent_up_later(struct world *w, struct member *m, uint64_t after_us) {
    struct item *item = item_add(w, ITEM_AGENT_UP, after_us);
    item->index = m->index;
    item->token = ++m->agent_token;
}

static void on_node(struct world *w, const struct member *m, uint64_t lasts_us, bool host) {
    uint32_t node = m->node;
    for (uint32_t i = 0; i < w->n_members; i++) {
        struct member *other = &w->members[i];
        if (other->node != node || !other->agent_up)
            continue;
        if (host) {
            other->touched = true;
            agent_host_dies(w, other);
        } else
            agent_kill(w, other);
        agent_up_later(w, other, lasts_us);
    }
}

static void partition(struct world *w, uint32_t node, uint64_t lasts_us) {
    for (uint32_t i = 0; i < w->n_nodes; i++)
        if (i % 2 == node % 2)
            line_cut(w, i, lasts_us);
}

static void journal_lost(struct world *w, struct member *m) {
    struct machine_event lost = {.kind = MACHINE_EVENT_JOURNAL_LOST, .now_us = w->now_us};
    struct machine_actions none;
    m->journal_lost = true;
    machine_step(&m->machine, &lost, &none);
}

static void crash(struct world *w, struct member *m, uint64_t lasts_us) {
    m->touched = true;
    service_end(w, m, "signal 9");
    item_add(w, ITEM_SOMEBODY_STARTS, lasts_us)->index = m->index;
}

static bool is_about_a_member(enum run_event word) {
    return word == RUN_EVENT_RETRY || word == RUN_EVENT_SKIP || word == RUN_EVENT_RETIRE ||
           word == RUN_EVENT_PROMOTE || word == RUN_EVENT_WAIVE;
}

static uint32_t gate_named(const struct cluster *cluster, const char *name) {
    for (size_t i = 0; name && i < cluster->n_gates; i++)
        if (strcmp(cluster->gates[i].name, name) == 0)
            return (uint32_t)i;
    return 0;
}

static void word(struct world *w, const struct run *run, const struct staged *item, const struct member *m) {
    static const char who[] = "an operator, in this rehearsal";
    bool about = is_about_a_member(item->word);
    struct said said = {.member = m->index,
                        .word = item->word,
                        .gate = gate_named(m->cluster, item->gate),
                        .until_ms = coordinator_wall_ms(w) + GATE_WAIVED_S * 1000ull};
    struct event event = {.kind = EVENT_COMMAND, .run = run->id, .command = item->word, .text = who};
    int r = about ? word_give(w, run, &said, who) : coordinator_give(w, &event);
    staging_tell(w, NOTE_OPERATOR, about ? m : NULL, "%s%s%s", item->says, r ? ": REFUSED: " : "",
                 r && w->engine ? w->actions.refused : "");
}

static void strike(struct world *w, const struct run *run, const struct staged *item, struct member *m) {
    uint64_t start = w->config->pace.start_us ? w->config->pace.start_us : SECOND;
    if (item->kind != STAGED_WORD)
        staging_tell(w, NOTE_FAULT, m, "%s", staged_fault_of(item->kind)->says);
    switch (item->kind) {
    case STAGED_START_FAILS:
        process_goes_astray(m);
        process_later(w, m, ITEM_SERVICE_END, 300 * MS, true);
        return;
    case STAGED_START_HANGS:
    case STAGED_STOP_HANGS:
        process_goes_astray(m);
        m->service.hangs = true;
        return;
    case STAGED_SLOW:
        process_goes_astray(m);
        process_later(w, m, ITEM_SERVICE_READY, SLOWER * start, false);
        return;
    case STAGED_CRASH: crash(w, m, item->lasts_us); return;
    case STAGED_EMPTY: m->service.empty = true; return;
    case STAGED_HOST_DIES: on_node(w, m, item->lasts_us, true); return;
    case STAGED_AGENT_DIES: on_node(w, m, item->lasts_us, false); return;
    case STAGED_AGENT_AWAY: line_cut(w, m->node, item->lasts_us); return;
    case STAGED_PARTITION: partition(w, m->node, item->lasts_us); return;
    case STAGED_COORDINATOR_DIES:
        coordinator_die(w);
        w->staging->coordinator_until_us = w->now_us + item->lasts_us;
        item_add(w, ITEM_COORDINATOR_UP, item->lasts_us);
        return;
    case STAGED_FLAP: m->flaps_until_us = w->now_us + item->lasts_us; return;
    case STAGED_JOURNAL_LOST:
        journal_lost(w, m);
        item_add(w, ITEM_STAGE, item->lasts_us);
        return;
    case STAGED_SIDE_BACK: hands_put_back(w, m->cluster); return;
    case STAGED_WORD: word(w, run, item, m); return;
    case STAGED_GATE_NO:
    case STAGED_GATE_UNKNOWN:
    case STAGED_DISK_FULL: return; /* asked where it counts, below */
    }
}

static bool can_strike(const struct world *w, const struct staged *item) {
    return w->engine || (item->kind != STAGED_WORD && item->kind != STAGED_COORDINATOR_DIES);
}

/* The operator whom the plan waits for, when nobody says more about it. */
static void approve(struct world *w, const struct run *run) {
    const struct rehearsal_stage *stage = w->config->stage;
    uint32_t canary = w->engine && run && !run->paused ? engine_approval_awaited(run) : UINT32_MAX;
    struct staging *s = w->staging;
    if (canary == UINT32_MAX) {
        s->approval_us = 0;
        return;
    }
    if (s->approval_us == 0) {
        staging_tell(w, NOTE_WAIT, &w->members[canary],
                     "is done and well, and the plan waits for an operator's word about it%s",
                     stage_approves(w) ? "" : ", which nobody says");
        s->approval_us = stage_approves(w) ? w->now_us + stage->approve_us : UINT64_MAX;
        if (stage_approves(w))
            item_add(w, ITEM_STAGE, stage->approve_us);
    }
    if (w->now_us < s->approval_us)
        return;
    staging_tell(w, NOTE_OPERATOR, &w->members[canary], "promote (assumed): the other waves may begin");
    (void)words_approve(w, run, "an operator, in this rehearsal");
}

void staged_look(struct world *w, const struct run *run) {
    const struct rehearsal_stage *stage = w->config->stage;
    approve(w, run);
    for (size_t i = 0; i < stage->n_items && !w->calm && !w->result->failed; i++) {
        const struct staged *item = &stage->items[i];
        struct striking *striking = &w->staging->striking[i];
        struct member *m;
        if (striking->struck) {
            struct member *hit = &w->members[striking->member];
            if (item->kind == STAGED_JOURNAL_LOST && hit->journal_lost &&
                w->now_us >= striking->at_us + item->lasts_us)
                agent_kill(w, hit);
            continue;
        }
        run = coordinator_run(w);
        if (!run || !can_strike(w, item) || !(m = victim(w, run, item, striking)))
            continue;
        *striking = (struct striking){.struck = true, .member = m->index, .at_us = w->now_us};
        if (stage->struck)
            stage->struck[i] = true;
        strike(w, run, item, m);
    }
}

/* Whether a word is still to be said, though the run has ended or is paused. */
bool staged_is_to_come(const struct world *w, const struct run *run) {
    const struct rehearsal_stage *stage = w->config->stage;
    (void)run;
    for (size_t i = 0; i < stage->n_items; i++)
        if (!w->staging->striking[i].struck && stage->items[i].kind == STAGED_WORD && !stage->items[i].moment)
            return true;
    return false;
}

/* ---- asked by the model ---- */

bool stage_approves(const struct world *w) {
    return w->staging && w->config->stage->approve_us != UINT64_MAX;
}

static bool is_in_force(const struct world *w, enum staged_kind kind, const struct member *m) {
    const struct rehearsal_stage *stage = w->config->stage;
    if (!w->staging || w->calm)
        return false;
    for (size_t i = 0; i < stage->n_items; i++) {
        const struct striking *striking = &w->staging->striking[i];
        if (striking->struck && stage->items[i].kind == kind &&
            w->members[striking->member].node == m->node &&
            w->now_us < striking->at_us + stage->items[i].lasts_us)
            return true;
    }
    return false;
}

bool stage_answers(const struct world *w, const struct member *by, enum answer *outp) {
    if (is_in_force(w, STAGED_GATE_NO, by))
        *outp = ANSWER_NO;
    else if (is_in_force(w, STAGED_GATE_UNKNOWN, by))
        *outp = ANSWER_UNKNOWN;
    else
        return false;
    return true;
}

bool stage_fails(const struct world *w, const struct member *m) {
    return is_in_force(w, STAGED_DISK_FULL, m);
}

bool stage_keeps_the_coordinator_away(const struct world *w) {
    return w->staging && !w->calm && w->now_us < w->staging->coordinator_until_us;
}
