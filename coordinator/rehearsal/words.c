/* What operators say about one member or one node, from two consoles, at any time and also twice. A word that weakens is
 * signed and kept: it goes to every agent, and once more to each that connects, before what the engine orders because of
 * it. */
#include "coordinator/rehearsal/internal.h"

/* ---- words about a member ---- */

static void word_send(struct world *w, const struct said *said, uint32_t node) {
    struct message message = {.kind = MESSAGE_WORD,
                              .member = said->member,
                              .step = said->word,
                              .side = said->gate,
                              .serial = said->serial,
                              .asked_us = said->until_ms};
    if (w->members[said->member].node == node)
        message_send(w, node, true, &message);
}

void words_again(struct world *w, uint32_t node) {
    for (size_t i = 0; i < w->n_said; i++)
        word_send(w, &w->said[i], node);
}

static bool is_signed(enum run_event word) {
    return word == RUN_EVENT_SKIP || word == RUN_EVENT_RETIRE || word == RUN_EVENT_WAIVE;
}

static void word_said(struct world *w, const struct said *said) {
    struct member *m = &w->members[said->member];
    if (!is_signed(said->word))
        return;
    if (w->n_said < WORDS_MAX)
        w->said[w->n_said++] = *said;
    if (said->word != RUN_EVENT_WAIVE)
        m->left_out = said->serial;
    if (said->word == RUN_EVENT_RETIRE)
        m->retired = said->serial;
    if (said->word == RUN_EVENT_WAIVE && m->cluster->gates[said->gate].before_stop)
        m->waived_until_ms = said->until_ms;
    word_send(w, said, m->node);
}

/* The word that is being said is in the journal now. */
void words_said(struct world *w) {
    const struct said *said = w->saying;
    w->saying = NULL;
    if (!said)
        return;
    if (said->hold || said->give_back)
        w->nodes[said->node].held_until_ms = said->give_back  ? 0
                                             : said->until_ms ? said->until_ms
                                                              : UINT64_MAX;
    else
        word_said(w, said);
}

static int say(struct world *w, struct event *event, const struct said *said) {
    w->saying = said;
    int r = coordinator_give(w, event);
    if (r != 0)
        world_say(w, "%s is refused: %s", event->text, w->engine ? w->actions.refused : "nobody answers");
    return r;
}

int word_give(struct world *w, const struct run *run, struct said *said, const char *who) {
    const struct member *m = &w->members[said->member];
    if (run)
        said->serial = run->plan->header.serial;
    if (!run || w->stalled_until_us > w->now_us)
        return -EAGAIN;
    struct event event = {.kind = EVENT_COMMAND,
                          .run = run->id,
                          .command = said->word,
                          .member = m->order->member,
                          .gate = m->cluster->gates[said->gate].name,
                          .until_ms = said->until_ms,
                          .text = who};
    world_say(w, "%s says: %s: %s %s", who, m->order->member, run_event_text(said->word),
              said->word == RUN_EVENT_WAIVE ? event.gate : "");
    return say(w, &event, said);
}

static enum run_event word_draw(struct world *w) {
    static const enum run_event words[] = {RUN_EVENT_RETRY, RUN_EVENT_RETRY,   RUN_EVENT_PROMOTE,
                                           RUN_EVENT_WAIVE, RUN_EVENT_PROMOTE, RUN_EVENT_WAIVE,
                                           RUN_EVENT_SKIP,  RUN_EVENT_RETIRE};
    return words[world_random(w, FAULT_WORDS) % (sizeof(words) / sizeof(words[0]))];
}

void words_strike(struct world *w) {
    struct said said = {.member = (uint32_t)(world_random(w, FAULT_WORDS) % w->n_members)};
    said.gate = (uint32_t)(world_random(w, FAULT_WORDS) % w->members[said.member].cluster->n_gates);
    said.word = word_draw(w);
    said.until_ms = coordinator_wall_ms(w) + world_between(w, FAULT_WORDS, 1000, 20000);
    bool gone = world_random(w, FAULT_WORDS) % 3 != 0, twice = world_random(w, FAULT_WORDS) % 4 == 0;
    struct member *m = &w->members[said.member];
    (void)!word_give(w, coordinator_run_of(w, m->cluster), &said, "alice");
    if (twice)
        (void)!word_give(w, coordinator_run_of(w, m->cluster), &said, "bob");
    bool alone = next_on_host(w, m, NULL) == m && !next_on_host(w, m, m);
    if (said.word == RUN_EVENT_RETIRE && m->retired && gone && !m->gone && alone)
        agent_gone(w, m);
}

/* True: a canary was waited for, and somebody has approved it. */
bool words_approve(struct world *w, const struct run *run, const char *who) {
    uint32_t canary = engine_approval_awaited(run);
    if (canary == UINT32_MAX || run->paused)
        return false;
    struct said said = {.member = cluster_of_run(w, run)->first + canary, .word = RUN_EVENT_PROMOTE};
    return word_give(w, run, &said, who) == 0;
}

/* Who is gone with its host is retired in every run that still waits for it. True: there was one. */
bool words_retire_gone(struct world *w, const struct run *run) {
    const struct cluster *cluster = cluster_of_run(w, run);
    bool any = false;
    for (uint32_t i = 0; i < cluster->n_members && w->engine; i++) {
        struct said said = {.member = cluster->first + i, .word = RUN_EVENT_RETIRE};
        if (!w->members[said.member].gone || run->members[i].state == MEMBER_RETIRED)
            continue;
        (void)!word_give(w, run, &said, "somebody");
        any = true;
    }
    return any;
}

/* ---- words about a node ---- */

bool node_is_held_now(const struct world *w, uint32_t node) {
    uint64_t now = coordinator_wall_ms(w);
    return w->nodes[node].held_until_ms > (now > w->told_ms ? now : w->told_ms);
}

/* What its agent sees of the member, by the plan of that run. */
static uint32_t seen_as(const struct member *m, uint64_t serial) {
    if (!m->agent_up || m->gone)
        return FOUND_UNSEEN;
    if (!facts_differ(m, serial))
        return 0;
    uint32_t generation = m->service.running ? generation_of(m, serial, m->service.content) : FOUND_OTHER;
    bool fits =
        generation != FOUND_OTHER && generation > 0 && service_mode(m) == content_mode(m, m->service.content);
    return fits ? generation : FOUND_OTHER;
}

static size_t findings_make(struct world *w, const char *node, struct node_finding *findings, size_t room) {
    size_t n = 0;
    for (size_t r = 0; r < engine_n_runs(w->engine); r++) {
        const struct run *run = engine_run_at(w->engine, r);
        const struct cluster *cluster = cluster_of_run(w, run);
        for (uint32_t i = 0; i < run->n_members && n < room; i++)
            if (engine_must_look(run, i, node))
                findings[n++] = (struct node_finding){
                    run->id, i, seen_as(&w->members[cluster->first + i], run->plan->header.serial),
                    "as the model has it"};
    }
    return n;
}

static void returned(struct world *w, const struct event *event) {
    for (size_t i = 0; i < event->n_findings; i++)
        if (event->findings[i].generation == FOUND_OTHER || event->findings[i].generation == FOUND_UNSEEN)
            world_fail(w, "F06: node %s comes back, and nobody has seen its member run what it should",
                       event->node);
}

static void hold_give(struct world *w, uint32_t node, bool hold, uint64_t for_ms, const char *who) {
    struct said said = {.hold = hold, .give_back = !hold, .node = node};
    said.until_ms = hold && for_ms ? coordinator_wall_ms(w) + for_ms : 0;
    struct event event = {.kind = hold ? EVENT_NODE_HOLD : EVENT_NODE_RETURN,
                          .node = w->nodes[node].name,
                          .until_ms = said.until_ms,
                          .text = who};
    if (!w->engine || w->stalled_until_us > w->now_us)
        return;
    world_say(w, "%s says: node %s: %s", who, event.node, hold ? "hold" : "return");
    struct node_finding findings[16];
    event.findings = findings;
    event.n_findings =
        hold ? 0 : findings_make(w, event.node, findings, sizeof(findings) / sizeof(findings[0]));
    if (say(w, &event, &said) == 0 && !hold)
        returned(w, &event);
}

void holds_strike(struct world *w) {
    uint32_t node = (uint32_t)(world_random(w, FAULT_HOLDS) % w->n_nodes);
    bool hold = world_random(w, FAULT_HOLDS) % 2, twice = world_random(w, FAULT_HOLDS) % 4 == 0;
    uint64_t for_ms = world_random(w, FAULT_HOLDS) % 3 ? world_between(w, FAULT_HOLDS, 1000, 15000) : 0;
    hold_give(w, node, hold, for_ms, "alice");
    if (twice)
        hold_give(w, node, world_random(w, FAULT_HOLDS) % 2, 0, "bob");
}

bool holds_return(struct world *w) {
    bool any = false;
    for (uint32_t i = 0; i < w->n_nodes; i++)
        if (node_is_held_now(w, i)) {
            hold_give(w, i, false, 0, "alice");
            any = true;
        }
    return any;
}
