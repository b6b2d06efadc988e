/* The line between coordinator and agent is a session: what is on it when it breaks is lost, and nothing of an old session
 * arrives in a new one. Each side notices a break in its own time. */
#include "coordinator/rehearsal/internal.h"

void line_cut(struct world *w, uint32_t node, uint64_t for_us) {
    struct node *n = &w->nodes[node];
    if (!n->connected)
        return;
    world_say(w, "line     %s is cut for %llu ms", n->name, (unsigned long long)(for_us / MS));
    n->connected = false;
    n->session++;
    n->cut_until_us = w->now_us + for_us;
    struct item *seen = item_add(w, ITEM_CUT_SEEN, world_between(w, FAULT_CUT, MS, 5 * SECOND));
    seen->index = node;
    seen->token = n->session;
    struct item *back = item_add(w, ITEM_CONNECT, for_us + world_between(w, FAULT_CUT, MS, 2 * SECOND));
    back->index = node;
    back->token = n->session;
}

/* Most of them short, a few very long. */
static uint64_t tail_us(struct world *w) {
    uint64_t part = world_between(w, FAULT_TAIL, 1, 1000);
    return part * part * part / 1000 * 60; /* a minute at most */
}

/* How long after `now` a message that is sent now arrives: later where one direction carries nothing, and where the reader is
 * at an earlier one. */
uint64_t line_delay_us(struct world *w, struct node *n, bool to_agent, uint64_t delay_us) {
    uint64_t until = to_agent ? n->deaf_until_us : n->mute_until_us;
    if (world_chance(w, FAULT_TAIL, 100))
        delay_us += tail_us(w);
    if (until > w->now_us + delay_us)
        delay_us += until - w->now_us;
    if (to_agent && n->slow_until_us > w->now_us) {
        uint64_t from = n->busy_until_us > w->now_us + delay_us ? n->busy_until_us : w->now_us + delay_us;
        n->busy_until_us = from + world_between(w, FAULT_SLOW_READER, MS, 400 * MS);
        delay_us = n->busy_until_us - w->now_us;
    }
    uint64_t *last_us =
        &n->last_us[to_agent]; /* one stream: nothing overtakes, a slow one holds up the rest */
    delay_us = w->now_us + delay_us > *last_us ? delay_us : *last_us - w->now_us;
    *last_us = w->now_us + delay_us;
    return delay_us;
}

void line_cut_seen(struct world *w, uint32_t node) {
    struct event event = {.kind = EVENT_AGENT_DOWN, .node = w->nodes[node].name};
    if (!w->engine || w->nodes[node].connected)
        return;
    w->nodes[node].known_up = false;
    (void)!coordinator_give(w, &event);
}

void line_connect(struct world *w, uint32_t node) {
    struct node *n = &w->nodes[node];
    struct event event = {.kind = EVENT_AGENT_UP, .node = n->name};
    bool anybody = false;
    for (uint32_t i = 0; i < w->n_members; i++)
        anybody = anybody || (w->members[i].node == node && w->members[i].agent_up);
    if (n->connected || !w->engine || !anybody)
        return; /* whoever comes back connects anew */
    n->connected = n->known_up = true;
    n->session++;
    n->last_us[0] = n->last_us[1] = 0;
    (void)!coordinator_give(w, &event);
    for (uint32_t i = 0; i < w->n_members; i++)
        if (w->members[i].node == node && w->members[i].agent_up)
            agent_reports_again(w, &w->members[i]);
    words_again(w, node);
}
