/* Why the node is judged before the plan and not when the order fails there: a full disk, a clock that makes orders expire, an
 * agent that fell silent are known today, and each would stop the run in its middle. */
#include "coordinator/planner/planning.h"

#include <string.h>

enum {
    CLOCK_WARN_MS = 2 * 1000,
    CLOCK_REFUSE_MS =
        60 * 1000, /* half of what an order lives; the other half is for the way and the work before it */
    HEARTBEAT_WARN_MS = 20 * 1000, /* four beats that did not come */
    FACTS_REFUSE_MS = 120 * 1000,
    ROOM_RESERVE_BYTES = 32 * 1024 * 1024, /* journal, configurations, backups */
};

static uint64_t number_of(const char *text) {
    return *text ? strtoull(text, NULL, 10) : 0;
}

/* "600 s", "2.5 s" */
static const char *seconds_text(struct planning *p, uint64_t ms) {
    if (ms >= 10 * 1000)
        return keep_format(p, "%llu s", (unsigned long long)(ms / 1000));
    return keep_format(p, "%llu.%llu s", (unsigned long long)(ms / 1000),
                       (unsigned long long)(ms % 1000 / 100));
}

static void clock_judge(struct planning *p, const struct member_plan *m) {
    const char *clock = fact_of(m, "clock.ms");
    if (!*clock || m->in->received_ms == 0)
        return;
    /* The node read its clock at some moment between question and answer: a slow answer is no wrong clock. */
    uint64_t theirs = number_of(clock), latest = m->in->received_ms,
             first = m->in->asked_ms ? m->in->asked_ms : latest;
    uint64_t apart = theirs > latest ? theirs - latest : theirs < first ? first - theirs : 0;
    const char *side = theirs > latest ? "ahead of" : "behind";
    if (apart > CLOCK_REFUSE_MS)
        refuse(p, "clock-apart", "%s: the clock of node %s is %s %s ours: set it right, orders carry times",
               m->member->name, m->member->node, seconds_text(p, apart), side);
    else if (apart > CLOCK_WARN_MS)
        warn(p, "clock", m->member->node, "the clock of node %s is %s %s ours", m->member->node,
             seconds_text(p, apart), side);
}

/* A clock that was set back in between makes no age. */
static uint64_t age_ms(uint64_t now_ms, uint64_t then_ms) {
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

static void agent_judge(struct planning *p, const struct member_plan *m) {
    const struct planner_member *in = m->in;
    const char *version = in->agent_version ? in->agent_version : "";
    uint64_t facts_ms = in->received_ms ? age_ms(p->input->options.created_s * 1000, in->received_ms) : 0;
    uint64_t heard_ms = in->heard_ms ? age_ms(in->received_ms, in->heard_ms) : 0;
    if (facts_ms > FACTS_REFUSE_MS)
        refuse(p, "facts-old", "%s: what is known about it is %s old: plan again", m->member->name,
               seconds_text(p, facts_ms));
    if (heard_ms > HEARTBEAT_WARN_MS)
        warn(p, "heartbeat", m->member->node, "the last heartbeat of node %s came %s ago", m->member->node,
             seconds_text(p, heard_ms));
    if (*version && strcmp(version, KEDGE_VERSION) != 0)
        warn(p, "agent-version", m->member->node, "the agent of node %s is Kedge %s, the coordinator %s",
             m->member->node, version, KEDGE_VERSION);
}

/* The archive, what it unpacks to, and a reserve. */
static uint64_t room_needed(const struct manifest *manifest) {
    uint64_t bytes = ROOM_RESERVE_BYTES;
    for (size_t i = 0; i < manifest->n_components; i++) {
        const struct component *component = &manifest->components[i];
        bytes += component->size;
        for (size_t k = 0; k < component->n_files; k++)
            bytes += component->files[k].size;
    }
    return bytes;
}

static void room_judge(struct planning *p, const struct member_plan *m) {
    const char *free_text = fact_of(m, "disk.free");
    uint64_t needed = p->release_as_found ? ROOM_RESERVE_BYTES : room_needed(p->input->manifest);
    if (!*free_text)
        warn(p, "disk-unknown", m->member->node, "node %s does not say how much room it has under %s",
             m->member->node, fact_of(m, "releases.path"));
    else if (number_of(free_text) < needed)
        refuse(p, "disk-room", "%s: node %s has %llu MiB free under %s, the release needs %llu MiB",
               m->member->name, m->member->node, (unsigned long long)(number_of(free_text) >> 20),
               fact_of(m, "releases.path"), (unsigned long long)((needed >> 20) + 1));
}

void node_findings(struct planning *p, const struct member_plan *m) {
    clock_judge(p, m);
    agent_judge(p, m);
    room_judge(p, m);
}
