/* Other hands: what people do to a service besides Kedge; and agents that say what is not so. A member that was touched is
 * not as the plan says any more, and its agent has to notice before it changes it. */
#include "coordinator/rehearsal/internal.h"

#include <string.h>

enum { SOMETHING_ELSE = 99 /* a generation that nobody signed, started by hand */ };

/* ---- what the plan took for granted ---- */

/* Why the member is not as the plan says, or NULL: the binding facts, as the executor compares them before the first change. */
const char *facts_differ(const struct member *m, uint64_t serial) {
    const struct base *base = &m->base[plan_index(m->cluster, serial)];
    bool found = m->service.running;
    if (found == base->down)
        return found ? "found is yes, was no" : "found is no, was yes";
    if (found && m->service.content != base->content)
        return "another release runs";
    if (found && service_mode(m) != base->mode)
        return "another mode";
    return NULL;
}

/* What the step would start was started by hand already. */
bool hands_did(const struct member *m, uint64_t serial, const struct step *step) {
    const struct row *start = step_last_row(step, PRIMITIVE_START);
    return step->verb == VERB_SWITCH && start && start->generation > 0 && m->service.running &&
           !m->service.stopping && m->service.content == content_of(m, serial, start->generation);
}

/* One is down before anybody makes a plan. */
void hands_begin(struct world *w) {
    if (w->config->elects || !world_chance(w, FAULT_CRASH, 4)) /* a plan of people says what ran */
        return;
    struct member *m = &w->members[world_random(w, FAULT_CRASH) % w->n_members];
    world_say(w, "crash    %s is down when the plan is made", m->order->member);
    service_end(w, m, NULL);
    m->written.ran = m->synced.ran = false;
}

/* ---- hands ---- */

static void started_later(struct world *w, const struct member *m, uint64_t most_us) {
    item_add(w, ITEM_SOMEBODY_STARTS, world_between(w, FAULT_HANDS, 100 * MS, most_us))->index = m->index;
}

static void stop_by_hand(struct world *w, struct member *m) {
    if (!m->service.running || m->service.stopping)
        return;
    world_say(w, "hands    %s is stopped by somebody", m->order->member);
    m->touched = true;
    service_end(w, m, "somebody stopped it");
    started_later(w, m, 8 * SECOND);
}

/* While the agent has it stopped. */
static void start_between(struct world *w, struct member *m) {
    if (m->service.running || m->gone || !machine_is_busy(&m->machine))
        return;
    world_say(w, "hands    %s is started by somebody, while its agent has it stopped", m->order->member);
    m->touched = true;
    service_start(w, m, m->link);
    m->service.foreign = true;
}

/* As Kedge would have done it, from what was prepared. */
static void upgrade(struct world *w, struct member *m) {
    world_say(w, "hands    %s is upgraded by somebody", m->order->member);
    m->touched = true;
    service_end(w, m, "somebody stopped it");
    m->link = content_of(m, m->prepared, 1);
    service_start(w, m, m->link);
}

static void replace(struct world *w, struct member *m) {
    if (!m->service.running || m->service.stopping || machine_is_busy(&m->machine))
        return;
    if (m->prepared > 0 && world_random(w, FAULT_HANDS) % 2) {
        upgrade(w, m);
        return;
    }
    world_say(w, "hands    of %s: something else is started in its place", m->order->member);
    m->touched = true;
    service_end(w, m, "somebody stopped it");
    service_start(w, m, SOMETHING_ELSE);
}

static void make_read_only(struct world *w, struct member *m) {
    if (!m->service.running || m->service.stopping || machine_is_busy(&m->machine))
        return;
    world_say(w, "hands    %s is made read-only by somebody", m->order->member);
    m->touched = true;
    m->service.read_only = true;
}

/* Only where a gate asks for it: else nobody would see it before the end. */
bool hands_could_put_back(const struct cluster *cluster) {
    for (size_t i = 0; i < cluster->n_gates; i++)
        if (cluster->gates[i].asks == ASKS_IN_FORCE && cluster->side_ours[cluster->gates[i].side])
            return true;
    return false;
}

void hands_put_back(struct world *w, struct cluster *cluster) {
    for (size_t i = 0; i < cluster->n_gates; i++)
        if (cluster->gates[i].asks == ASKS_IN_FORCE && cluster->side_ours[cluster->gates[i].side]) {
            world_say(w, "hands    the side action of %s is put back by somebody", cluster->gates[i].name);
            cluster->side_ours[cluster->gates[i].side] = false;
            cluster->side_value[cluster->gates[i].side] =
                cluster->plans[0]->shape.side_actions[cluster->gates[i].side].previous;
        }
}

void hands_strike(struct world *w, struct member *m) {
    unsigned kinds = hands_could_put_back(m->cluster) ? 7 : 6;
    switch (world_random(w, FAULT_HANDS) % kinds) {
    case 0: stop_by_hand(w, m); return;
    case 1:
    case 2: start_between(w, m); return;
    case 3: replace(w, m); return;
    case 4: make_read_only(w, m); return;
    case 6: hands_put_back(w, m->cluster); return;
    default:
        world_say(w, "hands    in the prepared folder of %s: a file is gone", m->order->member);
        m->prepared = 0;
        return;
    }
}

/* Whoever did it takes it back. */
void hands_mend(struct world *w, struct member *m) {
    bool other = m->service.running && m->service.content == SOMETHING_ELSE;
    m->service.read_only = m->service.read_only && world_random(w, FAULT_HANDS) % 2;
    if (!other || machine_is_busy(&m->machine))
        return;
    service_end(w, m, "somebody stopped it");
    started_later(w, m, SECOND);
}

/* ---- agents that lie ---- */

void lie_strike(struct world *w, struct member *m) {
    m->lies_until_us = w->now_us + world_between(w, FAULT_LIE, SECOND, 20 * SECOND);
    world_say(w, "lie      the agent of %s lies from now on", m->order->member);
}

bool agent_lies(const struct world *w, const struct member *m) {
    return !w->calm && m->lies_until_us > w->now_us;
}

/* Its machine was done by the lies of its own prober, and what it says of the service shows it. */
bool lie_shows(const struct world *w, const struct member *m, const struct step *step,
               const struct kept_outcome *kept) {
    const struct row *last = step_last_row(step, PRIMITIVE_START);
    return agent_lies(w, m) && last && kept->outcome == OUTCOME_DONE &&
           (kept->generation != last->generation ||
            (last->generation > 0 &&
             kept->mode != content_mode(m, content_of(m, kept->serial, last->generation))));
}

/* That it went back, where it would run the old release; every other time it shows the new one. */
static void lies_about_return(struct world *w, const struct member *m, uint64_t serial,
                              struct kept_outcome *report) {
    bool old = world_random(w, FAULT_LIE) % 2;
    uint32_t shown = old ? 0 : 1;
    report->outcome = OUTCOME_RETURNED;
    report->generation = shown;
    report->mode = content_mode(m, content_of(m, serial, shown));
    report->gives_away = !old;
}

/* It says that the step is done, or that it went back, and has done nothing. Every other time what it says of the service
 * gives it away. True: it lied. */
bool agent_lies_about(struct world *w, struct member *m, const struct message *order) {
    const struct step *step = step_at(m, order->step);
    const struct row *last = step_last_row(step, PRIMITIVE_START);
    if (!agent_lies(w, m) || step->verb == VERB_ACT)
        return false;
    struct message report = {
        .kind = MESSAGE_REPORT, .member = m->index, .step = order->step, .serial = order->serial};
    report.report = (struct kept_outcome){.is = true,
                                          .outcome = OUTCOME_DONE,
                                          .serial = order->serial,
                                          .epoch = order->epoch,
                                          .expires_s = order->expires_s,
                                          .interruption_us = 1000};
    uint32_t now = generation_of(m, order->serial, m->service.content);
    bool stays = !last && step->verb != VERB_STOP && step->verb != VERB_PASS && step->verb != VERB_BACK;
    bool well = stays || world_random(w, FAULT_LIE) % 2;
    uint32_t wanted = last ? last->generation : now;
    enum mode mode = !last ? MODE_DOWN : content_mode(m, content_of(m, order->serial, wanted));
    report.report.generation = well ? wanted : now;
    report.report.mode = well && !stays ? mode : service_mode(m);
    report.report.gives_away =
        report.report.generation != wanted || ((!last || wanted > 0) && !stays && report.report.mode != mode);
    if (wanted > 0 && world_random(w, FAULT_LIE) % 3 == 0)
        lies_about_return(w, m, order->serial, &report.report);
    world_say(w, "lie      %s: %s: %s%s", m->order->member, step->name, outcome_text(report.report.outcome),
              report.report.gives_away ? ", and what it runs shows that it is not" : "");
    if (!report.report.gives_away) /* else the engine can see it, and must */
        m->touched = m->lied = true;
    if (step->verb == VERB_PREPARE)
        m->has_prepared[plan_index(m->cluster, order->serial)] = true;
    message_send(w, m->node, false, &report);
    return true;
}
