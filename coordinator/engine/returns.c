/* A node that was held comes back: what a person did by hand counts if it proves true. Each of its members that an open run
 * knows must run either what it ran before, or what this run's next or last step starts; its agent has looked at the
 * process, and what it saw is held against the signed order. Then
 *
 *   not switched yet, runs what it ran      still to do
 *   not switched yet, runs the new release  still to do: its agent proves what runs instead of stopping it
 *   switched, runs the new release          stays as it was
 *   switched, runs what it ran              other hands have put it back: returned, a newer plan may try again
 *
 * With anything else the node stays held, and the operator hears what differs: an order would be refused over it anyway, at
 * a time when nobody looks. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- what runs ---- */

/* Adds to `says` when the fact is not so; `wanted` NULL: nothing is. */
static void compare(char *says, size_t size, const char *name, const char *wanted, const char *value) {
    size_t used = strlen(says);
    if (wanted && (!value || strcmp(value, wanted) != 0))
        snprintf(says + used, size - used, "%s%s is %.120s, expected %.120s", used ? "; " : "", name,
                 value ? value : "not known", wanted);
}

/* The number of the generation of this plan that it runs as, by its agent; 0: none of this plan's. */
static uint32_t started_as(const struct work_order *order, const struct fact *facts, size_t n_facts) {
    const char *serial = fact_get(facts, n_facts, "plan.serial"),
               *index = fact_get(facts, n_facts, "plan.generation");
    if (!serial || !index || strtoull(serial, NULL, 10) != order->serial)
        return 0;
    unsigned long number = strtoul(index, NULL, 10);
    return number <= order->n_generations ? (uint32_t)number : 0;
}

static void compare_generation(const struct work_order *order, const struct generation *generation,
                               const struct fact *facts, size_t n, char *says, size_t size) {
    char digest[KEDGE_DIGEST_TEXT_SIZE];
    if (generation->render)
        digest_format(digest, &generation->render->new_digest);
    compare(says, size, "release.version", generation->version, fact_get(facts, n, "release.version"));
    compare(says, size, "mode", mode_text(generation->mode), fact_get(facts, n, "mode"));
    compare(says, size, "user", fact_get(order->binding, order->n_binding, "user"),
            fact_get(facts, n, "user"));
    compare(says, size, "config.digest", generation->render ? digest : NULL,
            fact_get(facts, n, "config.digest"));
}

static const char *const said_first[] = {"release.version", "mode", "user", "config.digest", "arguments"};

static bool is_said_first(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(said_first); i++)
        if (strcmp(said_first[i], name) == 0)
            return true;
    return false;
}

static void compare_binding(const struct work_order *order, const struct fact *facts, size_t n, char *says,
                            size_t size) {
    for (size_t i = 0; i < ARRAY_LEN(said_first); i++)
        compare(says, size, said_first[i], fact_get(order->binding, order->n_binding, said_first[i]),
                fact_get(facts, n, said_first[i]));
    for (size_t i = 0; i < order->n_binding; i++)
        if (!is_said_first(order->binding[i].name))
            compare(says, size, order->binding[i].name, order->binding[i].value,
                    fact_get(facts, n, order->binding[i].name));
}

void engine_find(const struct work_order *order, const struct fact *facts, size_t n_facts,
                 struct node_finding *outp, char *says, size_t size) {
    uint32_t index = started_as(order, facts, n_facts);
    says[0] = 0;
    if (index > 0)
        compare_generation(order, &order->generations[index - 1], facts, n_facts, says, size);
    else
        compare_binding(order, facts, n_facts, says, size);
    outp->generation = says[0] ? FOUND_OTHER : index;
    outp->says = says;
}

/* ---- what should run ---- */

static bool is_before_change(enum member_state state) {
    return state == MEMBER_PLANNED || state == MEMBER_PREPARED || state == MEMBER_FAILED;
}

static bool is_after_change(enum member_state state) {
    return member_state_is_changed(state) && !member_state_is_ordered(state);
}

static uint32_t started_by(const struct work_order *order, const char *step) {
    const struct row *start = step_last_row(work_order_step(order, step), PRIMITIVE_START);
    return start ? start->generation : 0;
}

/* The generation that it should run, or be on its way to; 0: this run starts none. */
static uint32_t wanted_of(const struct run *run, const struct run_member *m) {
    bool promoted = m->state == MEMBER_SETTLING || m->state == MEMBER_SOAKING || m->state == MEMBER_DONE;
    uint32_t last = promoted ? started_by(m->order, "promote") : 0;
    return last > 0 ? last : started_by(m->order, run_is_downtime(run) ? "start" : "switch");
}

bool engine_must_look(const struct run *run, uint32_t member, const char *node) {
    const struct run_member *m = &run->members[member];
    return run->state != RUN_ENDED && strcmp(m->order->node, node) == 0 &&
           (is_before_change(m->state) || is_after_change(m->state)) && wanted_of(run, m) > 0;
}

static const struct node_finding *finding_of(const struct event *event, const struct run *run,
                                             uint32_t member) {
    for (size_t i = 0; i < event->n_findings; i++)
        if (event->findings[i].run == run->id && event->findings[i].member == member)
            return &event->findings[i];
    return NULL;
}

/* Behind a barrier the others may have gone on with data that the old release cannot read. */
static bool fits(const struct run *run, const struct run_member *m, const struct node_finding *finding) {
    if (!finding)
        return false;
    bool back = finding->generation == 0 && (is_before_change(m->state) || !run_is_downtime(run));
    return back || finding->generation == wanted_of(run, m) || KEDGE_MUTANT(return_takes_anything);
}

/* ---- the word ---- */

static void say_no(struct buffer *out, const struct run_member *m, const struct node_finding *finding) {
    const char *state = member_state_text(m->state);
    buffer_text(out, out->len ? "\n" : "");
    if (!finding || finding->generation == FOUND_UNSEEN)
        buffer_format(out, "what %s runs cannot be seen: %s", m->order->member,
                      finding ? finding->says : "its agent was not asked");
    else if (finding->generation == FOUND_OTHER)
        buffer_format(out, "%s is %s and runs something else: %s", m->order->member, state, finding->says);
    else
        buffer_format(out, "%s is %s and runs generation %u of its order, which does not follow",
                      m->order->member, state, finding->generation);
}

int returns_judge(struct engine *engine, const struct event *event) {
    _cleanup_(buffer_deinit) struct buffer no = {0};
    for (size_t i = 0; i < engine->n_runs; i++) {
        const struct run *run = engine->runs[i];
        for (uint32_t k = 0; k < run->n_members; k++) {
            const struct node_finding *finding = finding_of(event, run, k);
            if (engine_must_look(run, k, event->node) && !fits(run, &run->members[k], finding))
                say_no(&no, &run->members[k], finding);
        }
    }
    if (no.len == 0)
        return 0;
    return engine_refuse(
        engine->actions,
        "%.700s\nnode %s stays held: make it so and return it again; or leave the member out "
        "(kedge run skip, kedge run retire), abort the run, or make a newer plan",
        (const char *)no.data, event->node);
}

static void put_back(struct run *run, uint32_t member, const char *who) {
    char text[KEDGE_REASON_MAX];
    snprintf(text, sizeof(text),
             "other hands have put it back to %.60s while its node was held (returned by %.200s)",
             run->members[member].order->from_version, who);
    commit_member_event(run, member, MEMBER_EVENT_PUT_BACK, text);
    budget_judge(run, member, BUDGET_FAILED);
}

void returns_take(struct engine *engine, const struct event *event) {
    for (size_t i = 0; i < event->n_findings; i++) {
        const struct node_finding *finding = &event->findings[i];
        struct run *run = run_find(engine, finding->run);
        bool known =
            run && finding->member < run->n_members && engine_must_look(run, finding->member, event->node);
        if (known && finding->generation == 0 && is_after_change(run->members[finding->member].state))
            put_back(run, finding->member, event->text ? event->text : "nobody");
    }
}
