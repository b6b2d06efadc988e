/* Every request has its tag: which member, and whether facts or gates. The reply functions only fill in; the last one calls
 * `done`. Cluster gates are asked of one node that is here: a plan takes them as a picture of today, the run asks again. */
#include "coordinator/daemon/survey.h"

#include <string.h>

enum { SURVEY_ARENA_BYTES_MAX = 256 * 1024 * 1024 };

static const uint64_t TAG_CLUSTER = UINT64_MAX; /* else: index of the member */

static void *must(void *pointer) {
    if (!pointer)
        abort(); /* within the cap it is memory that is out */
    return pointer;
}

static const char *text_keep(const struct survey *survey, const char *text) {
    return must(arena_text(survey->arena, text ? text : ""));
}

static void request_over(struct survey *survey) {
    if (--survey->n_open == 0)
        survey->done(survey);
}

/* ---- facts ---- */

static void facts_keep(struct survey *survey, struct planner_member *member,
                       const struct facts_message *message) {
    struct fact *facts = must(arena_array(survey->arena, message->n_facts, sizeof(*facts)));
    for (size_t i = 0; i < message->n_facts; i++)
        facts[i] = (struct fact){text_keep(survey, message->facts[i].name),
                                 text_keep(survey, message->facts[i].value)};
    member->facts = facts;
    member->n_facts = message->n_facts;
    member->problem = text_keep(survey, message->problem);
}

static void on_facts(void *user, const struct fleet_reply *reply) {
    struct survey *survey = user;
    struct planner_member *member = &survey->members[reply->tag];
    const struct charter_member *of = &survey->cluster->charter->members[reply->tag];
    const struct fleet_node *node = fleet_node(survey->daemon->fleet, reply->node);
    member->received_ms = daemon_now(survey->daemon);
    member->heard_ms = node ? node->heard_ms : 0;
    member->agent_version = node ? text_keep(survey, node->version) : NULL;
    if (!reply->facts)
        member->problem = must(arena_format(survey->arena, "node %s: %s", reply->node, reply->problem));
    else if (strcmp(reply->facts->member, of->name) != 0)
        member->problem =
            must(arena_format(survey->arena, "node %s answered for %s", reply->node, reply->facts->member));
    else
        facts_keep(survey, member, reply->facts);
    request_over(survey);
}

/* ---- gates ---- */

/* The gates that a tag has asked. */
static const struct digest *gates_of(const struct survey *survey, uint64_t tag, size_t *n) {
    const struct charter *charter = survey->cluster->charter;
    *n = tag == TAG_CLUSTER ? charter->n_cluster_gates : charter->members[tag].n_gates;
    return tag == TAG_CLUSTER ? charter->cluster_gates : charter->members[tag].gates;
}

static struct planner_answer *answers_of(struct survey *survey, uint64_t tag, size_t **np) {
    if (tag == TAG_CLUSTER) {
        *np = &survey->n_answers;
        return survey->answers;
    }
    *np = &survey->members[tag].n_answers;
    return (struct planner_answer *)(uintptr_t)survey->members[tag].answers;
}

static struct survey_answer answer_of(struct survey *survey, const struct fleet_reply *reply,
                                      const struct digest *digest, size_t index, size_t n_asked) {
    const struct gate *gate = cluster_gate(survey->cluster, digest);
    struct survey_answer one = {
        .gate = gate ? gate->name : "?",
        .member = reply->tag == TAG_CLUSTER ? NULL : survey->cluster->charter->members[reply->tag].name,
        .node = text_keep(survey, reply->node),
        .is = gate,
        .answer = ANSWER_UNKNOWN,
        .reason = "",
    };
    if (!reply->answer || reply->answer->n_evidence != n_asked) {
        one.reason =
            text_keep(survey, reply->problem ? reply->problem : "its agent answered another question");
        return one;
    }
    const struct evidence *e = &reply->answer->evidence[index];
    one.answer = e->answer;
    one.reason = text_keep(survey, e->reason);
    one.age_us = e->age_us;
    return one;
}

static void on_answer(void *user, const struct fleet_reply *reply) {
    struct survey *survey = user;
    size_t n, *np;
    const struct digest *gates = gates_of(survey, reply->tag, &n);
    struct planner_answer *answers = answers_of(survey, reply->tag, &np);
    for (size_t i = 0; i < n; i++) {
        struct survey_answer one = answer_of(survey, reply, &gates[i], i, n);
        answers[(*np)++] = (struct planner_answer){one.gate, one.answer, one.reason};
        survey->all[survey->n_all++] = one;
    }
    request_over(survey);
}

/* ---- asking ---- */

/* A node of the roster that is here, or the first. */
static const char *node_for_cluster(const struct survey *survey) {
    const struct charter *charter = survey->cluster->charter;
    for (size_t i = 0; i < charter->n_roster; i++) {
        const struct fleet_node *node = fleet_node(survey->daemon->fleet, charter->roster[i].node);
        if (node && node->state == NODE_OPEN)
            return node->name;
    }
    return charter->roster[0].node;
}

static void gates_ask(struct survey *survey, uint64_t tag, const char *node, const char *self,
                      uint64_t deadline_ms) {
    struct fleet_request request = {node, deadline_ms, on_answer, survey, tag};
    struct ask ask = {.cluster = survey->cluster->name, .self = self};
    ask.gates = gates_of(survey, tag, &ask.n_gates);
    if (ask.n_gates == 0)
        return;
    survey->n_open++;
    (void)fleet_ask(survey->daemon->fleet, &request, ask);
}

static void facts_ask(struct survey *survey, uint64_t tag, uint64_t deadline_ms) {
    const struct charter_member *member = &survey->cluster->charter->members[tag];
    struct fleet_request request = {member->node, deadline_ms, on_facts, survey, tag};
    survey->n_open++;
    survey->members[tag].asked_ms = daemon_now(survey->daemon);
    (void)fleet_inquire(survey->daemon->fleet, &request,
                        (struct inquire){.cluster = survey->cluster->name, .member = member->name});
}

/* Room for every answer that can come. */
static void room_make(struct survey *survey) {
    const struct charter *charter = survey->cluster->charter;
    size_t n = charter->n_cluster_gates;
    survey->n_members = charter->n_members;
    survey->members = must(arena_array(survey->arena, charter->n_members, sizeof(*survey->members)));
    survey->answers = must(arena_array(survey->arena, n, sizeof(*survey->answers)));
    for (size_t i = 0; i < charter->n_members; i++) {
        survey->members[i].answers =
            must(arena_array(survey->arena, charter->members[i].n_gates, sizeof(struct planner_answer)));
        n += charter->members[i].n_gates;
    }
    survey->all = must(arena_array(survey->arena, n, sizeof(*survey->all)));
}

struct survey *survey_new(struct daemon *d, const struct cluster *cluster, unsigned what, uint64_t wait_ms,
                          void (*done)(struct survey *survey), void *user) {
    struct survey *survey = must(calloc(1, sizeof(*survey)));
    uint64_t deadline_ms = daemon_now(d) + wait_ms;
    survey->daemon = d;
    survey->cluster = cluster;
    survey->done = done;
    survey->user = user;
    survey->arena = must(arena_new(SURVEY_ARENA_BYTES_MAX));
    room_make(survey);
    for (size_t i = 0; i < survey->n_members; i++) {
        const struct charter_member *member = &cluster->charter->members[i];
        if (what & SURVEY_FACTS)
            facts_ask(survey, i, deadline_ms);
        if (what & SURVEY_GATES)
            gates_ask(survey, i, member->node, member->self, deadline_ms);
    }
    if (what & SURVEY_GATES)
        gates_ask(survey, TAG_CLUSTER, node_for_cluster(survey), "", deadline_ms);
    return survey;
}

struct survey *survey_free(struct survey *survey) {
    if (!survey)
        return NULL;
    fleet_forget(survey->daemon->fleet, survey);
    arena_free(survey->arena);
    free(survey);
    return NULL;
}
