/* Named actions of a downtime. Who carries one is said by the plan and not found out later: its order alone holds the step, so
 * nobody else can do it a second time. */
#include "coordinator/planner/planning.h"

#include "common/plan/output.h"

#include <string.h>

static const char *step_name(struct planning *p, const struct recipe_action *action) {
    return keep_format(p, action->place == ACTION_WAY_BACK ? "restore %s" : "act %s", action->name);
}

bool action_is_carried(const struct planning *p, const struct recipe_action *action,
                       const struct member_plan *m) {
    if (m->member->role != action->role || !when_holds(&action->command.when, &m->facts))
        return false;
    for (size_t i = 0; i < p->n_order && !action->each; i++)
        if (p->order[i]->member->role == action->role)
            return p->order[i] == m;
    return action->each;
}

/* ---- what they put out and take ---- */

static const struct member_plan *carrier_of(const struct planning *p, const struct recipe_action *action,
                                            const struct member_plan *taker) {
    if (action->each)
        return action_is_carried(p, action, taker) ? taker : NULL;
    for (size_t i = 0; i < p->n_order; i++)
        if (action_is_carried(p, action, p->order[i]))
            return p->order[i];
    return NULL;
}

/* The template of an output in the word: where it begins, behind its end; NULL: the word has none. */
static const char *output_at(const char *word, const char **endp) {
    size_t len;
    for (const char *at = template_next(word, &len); at; at = template_next(at + len, &len))
        if (strncmp(at, "output.", strlen("output.")) == 0) {
            *endp = at + len + 1;
            return at - 1;
        }
    return NULL;
}

static const char *part_fill(struct planning *p, const char *part, const struct scope *scope,
                             const struct member_plan *m) {
    struct error why = {{0}};
    const char *text = NULL;
    if (template_fill(p->arena, part, TEMPLATE_TEXT, scope, &text, &why) < 0)
        refuse(p, "value-missing", "%s: command word \"%s\": %s", m->member->name, part, why.text);
    else if (is_masked(text))
        refuse(p, "value-missing", "%s: command word \"%s\" would hold a secret beside an output",
               m->member->name, part);
    return text;
}

bool output_word_make(struct planning *p, const char *from, const struct scope *scope,
                      const struct member_plan *m, struct argument *outp) {
    const char *end, *begin = output_at(from, &end);
    if (!begin)
        return false;
    const struct recipe_capture *capture = NULL;
    const char *name = keep_format(p, "%.*s", (int)(end - begin - 2), begin + 1);
    const struct recipe_action *action = name ? recipe_output_find(p->recipe, name, &capture) : NULL;
    const struct member_plan *carrier = action ? carrier_of(p, action, m) : NULL;
    struct output_use *use = keep(p, 1, sizeof(*use));
    if (!carrier || !use) {
        refuse(p, "value-missing", "%s: command word \"%s\": nobody carries that action in this plan",
               m->member->name, from);
        return true;
    }
    *use = (struct output_use){.member = carrier->member->full_name,
                               .key = carrier->node->key,
                               .step = step_name(p, action),
                               .name = capture->name,
                               .allowed = capture->allowed};
    const char *before = keep_format(p, "%.*s", (int)(begin - from), from);
    if (before && *before)
        use->before = part_fill(p, before, scope, m);
    if (*end)
        use->after = part_fill(p, end, scope, m);
    *outp = (struct argument){.output = use};
    return true;
}

static const struct capture *captures_make(struct planning *p, const struct recipe_action *action) {
    struct capture *captures = keep(p, action->n_captures, sizeof(*captures));
    for (size_t i = 0; captures && i < action->n_captures; i++)
        captures[i] = (struct capture){action->captures[i].name, action->captures[i].match,
                                       action->captures[i].allowed};
    return captures;
}

int action_step_make(struct planning *p, const struct member_plan *m, const struct recipe_action *action,
                     struct step *outp) {
    struct row *row = keep(p, 1, sizeof(*row));
    struct check *done_if = keep(p, 1, sizeof(*done_if));
    struct error why = {{0}};
    if (!row || !done_if)
        return p->failed;
    if (check_resolve(p->arena, &action->done_if, &m->facts, NULL, 0, done_if, &why) < 0) {
        refuse(p, "value-missing", "%s: action %s: %s", m->member->name, action->name, why.text);
        return 0;
    }
    *row = (struct row){.primitive = PRIMITIVE_RUN,
                        .deadline_ms = action->command.deadline_ms,
                        .on_failure = ON_FAILURE_STOP,
                        .done_if = done_if,
                        .captures = captures_make(p, action),
                        .n_captures = action->n_captures};
    enum verb verb = action->place == ACTION_WAY_BACK ? VERB_BACK : VERB_ACT;
    *outp = (struct step){step_name(p, action), verb, row, 1};
    return command_make(p, &action->command, &m->facts, m, &row->command);
}

static void wave_add(struct planning *p, const struct recipe_action *action) {
    uint32_t *members = keep(p, p->n_order, sizeof(*members));
    size_t n = 0;
    for (size_t i = 0; members && i < p->n_order; i++)
        if (action_is_carried(p, action, p->order[i]))
            members[n++] = (uint32_t)i;
    if (n == 0)
        return;
    p->waves[p->n_waves++] = (struct wave){.name = step_name(p, action),
                                           .kind = action->place == ACTION_WAY_BACK ? WAVE_BACK : WAVE_ACT,
                                           .members = members,
                                           .n_members = n,
                                           .limit_count = (uint32_t)n,
                                           .wait_limit_ms = p->input->options.wait_limit_ms};
}

void actions_waves_make(struct planning *p, enum action_place place) {
    for (size_t i = 0; i < p->recipe->n_actions; i++)
        if (p->recipe->actions[i].place == place)
            wave_add(p, &p->recipe->actions[i]);
}

const char *action_behind(const struct planning *p) {
    bool passed = false;
    for (size_t i = 0; i < p->n_waves; i++) {
        if (passed && p->waves[i].kind == WAVE_ACT)
            return p->waves[i].name;
        passed = passed || p->waves[i].kind == WAVE_PASS;
    }
    return NULL;
}

/* What may take so long that the hold limit would end in the middle of it is refused now. */
void hold_judge(struct planning *p) {
    uint64_t stop_ms = 0, act_ms = 0;
    for (size_t i = 0; i < p->recipe->n_roles; i++)
        stop_ms += p->recipe->roles[i].stop_deadline_ms;
    for (size_t i = 0; i < p->recipe->n_actions; i++)
        for (size_t k = 0; k < p->n_order; k++)
            if (p->recipe->actions[i].place == ACTION_BEFORE &&
                action_is_carried(p, &p->recipe->actions[i], p->order[k])) {
                act_ms += p->recipe->actions[i].command.deadline_ms;
                break;
            }
    uint32_t hold_ms = p->input->options.hold_ms;
    if (act_ms > 0 && hold_ms <= stop_ms + act_ms)
        refuse(p, "hold-limit-too-short",
               "the hold limit is %u s, and the stops and the actions before the barrier may take %llu s: "
               "members would start again in the middle (--hold-limit)",
               hold_ms / 1000, (unsigned long long)((stop_ms + act_ms) / 1000));
}
