/* Named actions of a downtime. Who carries one is said by the plan and not found out later: its order alone holds the step, so
 * nobody else can do it a second time. */
#include "coordinator/planner/planning.h"

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
                        .done_if = done_if};
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
