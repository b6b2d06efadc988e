/* Why the previous value is in the plan and not looked up at the end: what a crashed run put in its place would else be
 * taken for the operator's. It was asked when planning, is signed, and both ends are decidable: open is done when ours is
 * in force, close is done when nothing but the previous value is. */
#include "coordinator/planner/planning.h"

#include <string.h>

static bool is_number(const char *text) {
    return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 19;
}

/* As an operator left it: what an open run has put in its place goes back when that run ends, which is before this one
 * begins. */
static const char *previous_value(const struct planner_input *input, const struct recipe_side_action *action,
                                  const struct planner_answer *now) {
    const char *before = fact_get(input->overtaken, input->n_overtaken, action->name);
    return before ? before : now->answer == ANSWER_NO ? now->reason : action->absent;
}

/* Already as wished, by somebody else's will: nothing to change, nothing to put back. */
static bool is_enough(const struct recipe_side_action *action, const char *previous, const char *ours) {
    if (strcmp(previous, ours) == 0)
        return true;
    return action->at_least && is_number(previous) && is_number(ours) &&
           strtoull(previous, NULL, 10) >= strtoull(ours, NULL, 10);
}

static void side_look(struct planning *p, const struct recipe_side_action *action) {
    const struct planner_input *input = p->input;
    struct error why = {{0}};
    struct side_plan side = {.action = action};
    const struct planner_answer *answer =
        answer_find(input->answers, input->n_answers, keep_format(p, "value:%s", action->name));
    if (!answer || answer->answer == ANSWER_UNKNOWN) {
        refuse(p, "side-action-value-unknown", "side action %s: its present value is not known%s%s",
               action->name, answer ? ": " : "", answer ? answer->reason : "");
        return;
    }
    int r = template_fill(p->arena, action->ours, TEMPLATE_TEXT, &p->scope, &side.ours, &why);
    if (r == 0)
        r = probe_resolve(p->arena, &action->value, &p->scope, &side.value, &why);
    if (r == 0)
        r = duration_fill(p->arena, action->ttl, &p->scope, &side.ttl_ms, &why);
    if (r == 0)
        r = duration_fill(p->arena, action->delta, &p->scope, &side.delta_ms, &why);
    if (r < 0) {
        refuse(p, "value-missing", "side action %s: %s", action->name, why.text);
        return;
    }
    side.previous = previous_value(input, action, answer);
    if (is_enough(action, side.previous, side.ours)) {
        note(p, "side action %s is not needed: its value is %s already", action->name, side.previous);
        return;
    }
    side.open_step = keep_format(p, "open %s", action->name);
    side.close_step = keep_format(p, "close %s", action->name);
    p->sides[p->n_sides++] = side;
}

void sides_look(struct planning *p) {
    p->sides = keep(p, p->recipe->n_side_actions, sizeof(*p->sides));
    if (is_finalize(p))
        return; /* nobody is away */
    for (size_t i = 0; p->sides && i < p->recipe->n_side_actions; i++)
        if (when_holds(&p->recipe->side_actions[i].when, &p->scope))
            side_look(p, &p->recipe->side_actions[i]);
}

static const struct check *done_if_make(struct planning *p, const struct side_plan *side, bool open) {
    struct check *check = keep(p, 1, sizeof(*check));
    const char **value = keep(p, 1, sizeof(*value));
    if (!check || !value)
        return NULL;
    *value = open ? side->ours : side->previous;
    *check = (struct check){.probe = side->value,
                            .rule = open ? RULE_EQUALS : RULE_NONE_NEW,
                            .values = value,
                            .n_values = 1,
                            .otherwise = ANSWER_NO,
                            .says = keep_format(p, "%s is {items}, not %s", side->action->name, *value)};
    return check;
}

void side_gate_add(struct planning *p, const struct side_plan *side, struct digest *outp) {
    const char *name = side->action->name;
    struct check *check = keep(p, 1, sizeof(*check));
    const char **ours = keep(p, 1, sizeof(*ours));
    if (!check || !ours)
        return;
    *ours = side->ours;
    *check = (struct check){
        .probe = side->value,
        .rule = RULE_EQUALS,
        .values = ours,
        .n_values = 1,
        .otherwise = ANSWER_NO,
        .says = keep_format(p, "side action %s is no longer in force: {items}, not %s", name, *ours)};
    const struct gate gate = {.name = keep_format(p, SIDE_GATE_PREFIX "%s", name),
                              .scope = GATE_SCOPE_CLUSTER,
                              .checks = check,
                              .n_checks = 1,
                              .evidence_age_ms = 2000};
    int r = gate_set_add(&p->gates, &gate, outp, p->err);
    if (r < 0)
        (void)fail(p, r);
}

int side_step_make(struct planning *p, const struct member_plan *m, const struct side_plan *side, bool open,
                   struct step *outp) {
    const struct recipe_command *from = open ? &side->action->open : &side->action->close;
    const struct fact names[] = {{"ours", side->ours}, {"previous", side->previous}};
    const struct scope scope = {names, ARRAY_LEN(names), &m->facts};
    struct row *row = keep(p, 1, sizeof(*row));
    if (!row)
        return p->failed;
    *row = (struct row){
        .primitive = PRIMITIVE_RUN, .deadline_ms = from->deadline_ms, .on_failure = ON_FAILURE_STOP};
    row->done_if = done_if_make(p, side, open);
    *outp = (struct step){open ? side->open_step : side->close_step, VERB_ACT, row, 1};
    return row->done_if ? command_make(p, from, &scope, m, &row->command) : p->failed;
}
