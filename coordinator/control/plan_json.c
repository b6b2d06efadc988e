/* Why rows are told in the words of the page: a program that shows a plan should not have to learn the primitives, and what
 * it shows is then what people sign. Numbers that a program may want to compare stand beside them. */
#include "coordinator/control/plan_page.h"

#include "coordinator/control/plan_words.h"

#include <jansson.h>
#include <string.h>

/* jansson's *_new functions take the reference; a failed allocation anywhere shows as NULL at the end. */
static void put(json_t *object, const char *key, json_t *value) {
    (void)json_object_set_new(object, key, value);
}

static json_t *digest_json(const struct digest *digest) {
    char text[KEDGE_DIGEST_TEXT_SIZE];
    digest_format(text, digest);
    return json_string(text);
}

static json_t *texts_json(const char *const *texts, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list, json_string(texts[i]));
    return list;
}

static json_t *number(uint64_t value) {
    return json_integer((json_int_t)value);
}

struct stream {
    FILE *out;
    char *text;
    size_t len;
};

static json_t *stream_json(struct stream *stream) {
    json_t *text = NULL;
    if (stream->out && fclose(stream->out) == 0)
        text = json_string(stream->text);
    free(stream->text);
    return text;
}

static json_t *gate_json(const struct verified_plan *plan, size_t index) {
    const struct gate *gate = &plan->gates[index];
    json_t *object = json_object(), *checks = json_array();
    put(object, "name", json_string(gate->name));
    put(object, "digest", digest_json(&plan->gate_digests[index]));
    put(object, "scope", json_string(gate->scope == GATE_SCOPE_CLUSTER ? "cluster" : "member"));
    put(object, "detection_ms", number(gate->detection_ms));
    for (size_t i = 0; i < gate->n_checks; i++) {
        struct stream stream = {0};
        if ((stream.out = open_memstream(&stream.text, &stream.len)))
            words_check(stream.out, &gate->checks[i]);
        (void)json_array_append_new(checks, stream_json(&stream));
    }
    put(object, "checks", checks);
    return object;
}

static json_t *gate_names_json(const struct verified_plan *plan, const struct digest *digests, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list, json_string(words_gate_name(plan, &digests[i])));
    return list;
}

static json_t *row_json(const struct verified_plan *plan, const struct work_order *order,
                        const struct row *row) {
    json_t *object = json_object();
    struct stream stream = {0};
    if ((stream.out = open_memstream(&stream.text, &stream.len)))
        words_row(stream.out, plan, order, row);
    put(object, "does", json_string(primitive_text(row->primitive)));
    put(object, "words", stream_json(&stream));
    put(object, "otherwise", json_string(words_failure(row)));
    put(object, "deadline_ms", number(row->deadline_ms));
    return object;
}

static json_t *step_json(const struct verified_plan *plan, const struct work_order *order,
                         const struct step *step) {
    json_t *object = json_object(), *rows = json_array();
    for (size_t i = 0; i < step->n_rows; i++)
        (void)json_array_append_new(rows, row_json(plan, order, &step->rows[i]));
    put(object, "name", json_string(step->name));
    put(object, "rows", rows);
    return object;
}

static json_t *order_json(const struct verified_plan *plan, size_t index) {
    const struct work_order *order = plan->orders[index];
    json_t *object = json_object(), *steps = json_array(), *commands = json_array();
    put(object, "member", json_string(order->member));
    put(object, "role", json_string(order->role));
    put(object, "node", json_string(order->node));
    put(object, "domain", json_string(order->domain));
    put(object, "from_version", json_string(order->from_version));
    put(object, "to_version", json_string(order->to_version));
    put(object, "end_mode", json_string(mode_text(order->end_mode)));
    put(object, "way_back", json_string(way_back_text(order->way_back)));
    for (size_t i = 0; i < order->n_steps; i++)
        (void)json_array_append_new(steps, step_json(plan, order, &order->steps[i]));
    for (size_t i = 0; i < order->n_generations; i++) {
        struct stream stream = {0};
        if ((stream.out = open_memstream(&stream.text, &stream.len)))
            words_command(stream.out, order, order->generations[i].arguments,
                          order->generations[i].n_arguments);
        (void)json_array_append_new(commands, stream_json(&stream));
    }
    put(object, "steps", steps);
    put(object, "commands", commands);
    put(object, "configuration_diff", json_string(index < plan->plan.n_diffs ? plan->plan.diffs[index] : ""));
    return object;
}

static json_t *budgets_json(const struct budget *budgets, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *object = json_object();
        put(object, "kind", json_string(budget_kind_text(budgets[i].kind)));
        put(object, "count", number(budgets[i].count));
        put(object, "percent", budgets[i].percent ? number(budgets[i].percent) : json_null());
        (void)json_array_append_new(list, object);
    }
    return list;
}

static json_t *wave_json(const struct verified_plan *plan, const struct wave *wave) {
    json_t *object = json_object(), *members = json_array();
    for (size_t i = 0; i < wave->n_members; i++)
        (void)json_array_append_new(members, json_string(plan->orders[wave->members[i]]->member));
    put(object, "name", json_string(wave->name));
    put(object, "kind", json_string(wave_kind_text(wave->kind)));
    put(object, "members_as_expected_today", members);
    put(object, "limit_count", number(wave->limit_count));
    put(object, "limit_percent", number(wave->limit_percent));
    put(object, "one_domain", json_boolean(wave->one_domain));
    put(object, "last", wave->has_last ? json_string(words_gate_name(plan, &wave->last)) : json_null());
    put(object, "soak_read_only_ms", number(wave->soak_read_only_ms));
    put(object, "soak_ms", number(wave->soak_ms));
    put(object, "wait_limit_ms", number(wave->wait_limit_ms));
    put(object, "approval", json_boolean(wave->approval));
    if (wave->kind == WAVE_CANARY)
        put(object, "on_inconclusive", json_string(wave->return_inconclusive ? "return" : "pause"));
    put(object, "budgets", budgets_json(wave->budgets, wave->n_budgets));
    return object;
}

static json_t *side_json(const struct side_action *side) {
    json_t *object = json_object();
    put(object, "name", json_string(side->name));
    put(object, "previous", json_string(side->previous));
    put(object, "ours", json_string(side->ours));
    put(object, "ttl_ms", number(side->ttl_ms));
    return object;
}

static json_t *digests_json(const struct digest *digests, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, digest_json(&digests[i]));
    return list;
}

static void header_put(json_t *object, const struct verified_plan *plan) {
    const struct header *header = &plan->header;
    put(object, "digest", digest_json(&plan->digest));
    put(object, "cluster", json_string(header->cluster));
    put(object, "serial", number(header->serial));
    put(object, "from_version", json_string(header->from_version));
    put(object, "to_version", json_string(header->to_version));
    put(object, "author", json_string(header->author));
    put(object, "ticket", json_string(header->ticket));
    put(object, "reason", json_string(header->reason));
    put(object, "urgency", json_string(header->urgency == URGENCY_URGENT ? "urgent" : "normal"));
    put(object, "supersedes", header->supersedes ? number(header->supersedes) : json_null());
    put(object, "lifts", digests_json(header->lifts, header->n_lifts));
    put(object, "depends_on", texts_json(plan->shape.depends_on, plan->shape.n_depends_on));
    put(object, "created_s", number(header->created_s));
    put(object, "not_before_s", number(header->not_before_s));
    put(object, "not_after_s", number(header->not_after_s));
    put(object, "release", digest_json(&header->manifest));
    put(object, "recipe", digest_json(&header->recipe));
    put(object, "charter", digest_json(&header->charter));
    put(object, "consents", texts_json(header->consents, header->n_consents));
    put(object, "signatures", number(plan->n_signatures));
    put(object, "signed_by_enough", json_boolean(plan->signed_by_enough));
}

char *plan_json(const struct verified_plan *plan) {
    const struct shape *shape = &plan->shape;
    json_t *object = json_object(), *waves = json_array(), *sides = json_array(), *gates = json_array(),
           *orders = json_array();
    header_put(object, plan);
    put(object, "strategy", json_string(shape->strategy));
    put(object, "budgets", budgets_json(shape->budgets, shape->n_budgets));
    put(object, "warnings", texts_json(shape->warnings, shape->n_warnings));
    put(object, "point_of_no_return", json_string(shape->point_of_no_return));
    put(object, "on_abort", json_string(shape->return_on_abort ? "return" : "leave"));
    put(object, "may_stop", gate_names_json(plan, shape->may_stop, shape->n_may_stop));
    put(object, "recovered", gate_names_json(plan, shape->recovered, shape->n_recovered));
    for (size_t i = 0; i < shape->n_waves; i++)
        (void)json_array_append_new(waves, wave_json(plan, &shape->waves[i]));
    for (size_t i = 0; i < shape->n_side_actions; i++)
        (void)json_array_append_new(sides, side_json(&shape->side_actions[i]));
    for (size_t i = 0; i < plan->n_gates; i++)
        (void)json_array_append_new(gates, gate_json(plan, i));
    for (size_t i = 0; i < plan->n_orders; i++)
        (void)json_array_append_new(orders, order_json(plan, i));
    put(object, "waves", waves);
    put(object, "side_actions", sides);
    put(object, "gates", gates);
    put(object, "work_orders", orders);
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(object);
    return text;
}
