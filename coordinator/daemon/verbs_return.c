/* A held node is returned: first its agent looks what its members run, then the engine judges what it saw. Asked anew each
 * time: what was seen before the hold says nothing about what somebody did since. */
#include "coordinator/daemon/clients.h"

#include "common/base/log.h"

#include <string.h>

enum {
    LOOK_MS = 15 * 1000,
    LOOK_ARENA_BYTES = 16 * 1024 * 1024,
    SAYS_MAX = 700,
};

struct returning {
    struct client *client;
    struct daemon *daemon;
    struct arena *arena;
    const char *node, *text;
    struct node_finding *findings;
    size_t n_findings, n_open;
};

static void returning_free(void *operation) {
    struct returning *r = operation;
    fleet_forget(r->daemon->fleet, r);
    arena_free(r->arena);
    free(r);
}

static void give_back(struct returning *r) {
    struct daemon *d = r->daemon;
    int refused = conduct_event(d, (struct event){.kind = EVENT_NODE_RETURN,
                                                  .node = r->node,
                                                  .text = r->text,
                                                  .findings = r->findings,
                                                  .n_findings = r->n_findings});
    if (refused == ENGINE_REFUSED) {
        client_refuse(r->client, CLIENT_REFUSED, "%s", d->actions.refused);
    } else {
        log_info("node", "%s: returned by %s", r->node, r->text);
        client_done(r->client, json_pack("{s:o}", "node", json_node(d, fleet_node(d->fleet, r->node))));
    }
    returning_free(r);
}

static void on_facts(void *user, const struct fleet_reply *reply) {
    struct returning *r = user;
    struct node_finding *finding = &r->findings[reply->tag];
    const struct run *run = engine_run(r->daemon->engine, finding->run);
    const struct work_order *order = run->members[finding->member].order;
    const struct facts_message *facts = reply->facts;
    char says[SAYS_MAX] = "";
    const char *problem = !facts                                      ? reply->problem
                          : strcmp(facts->member, order->member) != 0 ? "its agent answered for another"
                          : facts->n_facts == 0 && facts->problem     ? facts->problem
                                                                      : NULL;
    if (problem)
        snprintf(says, sizeof(says), "node %s: %.600s", r->node, problem);
    else
        engine_find(order, facts->facts, facts->n_facts, finding, says, sizeof(says));
    finding->says = arena_text(r->arena, says);
    if (!finding->says)
        finding->says = "out of memory";
    if (--r->n_open == 0)
        give_back(r);
}

/* One finding for each member that must be looked at; until it is answered it is unseen. */
static void findings_make(struct returning *r) {
    const struct engine *engine = r->daemon->engine;
    size_t n = 0;
    for (int fill = 0; fill < 2; fill++) {
        for (size_t i = 0; i < engine_n_runs(engine); i++) {
            const struct run *run = engine_run_at(engine, i);
            for (uint32_t k = 0; k < run->n_members; k++)
                if (engine_must_look(run, k, r->node) && n++ < r->n_findings)
                    r->findings[n - 1] = (struct node_finding){run->id, k, FOUND_UNSEEN, "not answered"};
        }
        if (fill == 0) {
            r->findings = arena_array(r->arena, n, sizeof(*r->findings));
            r->n_findings = r->findings ? n : 0;
            n = 0;
        }
    }
}

static void look(struct returning *r) {
    uint64_t deadline_ms = daemon_now(r->daemon) + LOOK_MS;
    r->n_open = r->n_findings;
    for (size_t i = 0; i < r->n_findings; i++) {
        const struct run *run = engine_run(r->daemon->engine, r->findings[i].run);
        const struct work_order *order = run->members[r->findings[i].member].order;
        struct fleet_request request = {r->node, deadline_ms, on_facts, r, i};
        (void)fleet_inquire(r->daemon->fleet, &request,
                            (struct inquire){.cluster = order->cluster, .member = order->member});
    }
}

void verb_node_return(struct client *client) {
    struct daemon *d = client->daemon;
    const char *name = client_argument(client, "node"), *reason = client_argument(client, "reason");
    const struct fleet_node *node = name ? fleet_node(d->fleet, name) : NULL;
    char who[256];
    if (!node) {
        client_refuse(client, CLIENT_BAD_INPUT, "node %s: none of the name is approved; see kedge node list",
                      name ? name : "?");
        return;
    }
    struct returning *r = calloc(1, sizeof(*r));
    if (!r || !(r->arena = arena_new(LOOK_ARENA_BYTES)))
        abort(); /* memory is out */
    client_by(client, who, sizeof(who));
    r->client = client;
    r->daemon = d;
    r->node = node->name;
    r->text = arena_format(r->arena, "%s%s%s", who, reason ? ": " : "", reason ? reason : "");
    findings_make(r);
    if (r->n_findings == 0) {
        give_back(r);
        return;
    }
    client_begin(client, r, returning_free);
    look(r);
}
