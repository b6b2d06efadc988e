/* Why looking at states and not a hook at each place where something happens: what is told cannot drift from what is, and
 * the model stays free of it. The price is one look at every member after every event, paid only where somebody looks on. */
#include "coordinator/rehearsal/staging.h"

#include <stdlib.h>
#include <string.h>

enum { STAY_TOLD_US = 20 * SECOND };

const char *note_kind_text(enum note_kind kind) {
    static const char *const texts[NOTE_KINDS] = {"run",  "member", "service",  "wait",
                                                  "side", "fault",  "operator", "agent"};
    return (unsigned)kind < NOTE_KINDS ? texts[kind] : "?";
}

/* ---- plans ---- */

struct verified_plan *rehearsal_plan_borrow(const struct verified_plan *plan) {
    struct verified_plan *copy = calloc(1, sizeof(*copy));
    if (!copy)
        return NULL;
    *copy = *plan;
    copy->arena = arena_new(KEDGE_CONTROL_BYTES_MAX);
    const struct work_order **orders =
        copy->arena ? arena_array(copy->arena, plan->n_orders + 1, sizeof(*orders)) : NULL;
    if (!orders)
        return verified_plan_free(copy);
    for (size_t i = 0; i < plan->n_orders; i++)
        orders[i] = outputs_rekey(copy->arena, plan->orders[i]);
    copy->orders = orders;
    copy->signed_by_enough = true;
    return copy;
}

/* What is asked at once is what one step asks after its start, with the gate of who goes last. */
static size_t gates_at_once(const struct work_order *order) {
    size_t most = 0;
    for (size_t i = 0; i < order->n_steps; i++) {
        size_t n = 1;
        for (size_t k = 0; k < order->steps[i].n_rows; k++)
            n += order->steps[i].rows[k].n_gates;
        most = n > most ? n : most;
    }
    return most;
}

static int order_fits(const struct work_order *order, struct error *err) {
    size_t n_gates = gates_at_once(order);
    if (n_gates > MESSAGE_GATES)
        return error_set(err, -E2BIG, "%s asks %zu gates in one step, the model has room for %d",
                         order->member, n_gates, MESSAGE_GATES);
    if (order->n_steps > STEPS_MAX)
        return error_set(err, -E2BIG, "%s has %zu steps, the model has room for %d", order->member,
                         order->n_steps, STEPS_MAX);
    return 0;
}

int rehearsal_fits(const struct verified_plan *plan, struct error *err) {
    int r = 0;
    if (plan->n_orders == 0)
        return error_set(err, -E2BIG, "the plan has no members");
    if (plan->shape.n_side_actions > SIDES_MAX)
        return error_set(err, -E2BIG, "the plan has %zu side actions, the model has room for %d",
                         plan->shape.n_side_actions, SIDES_MAX);
    for (size_t i = 0; r == 0 && i < plan->n_orders; i++)
        r = order_fits(plan->orders[i], err);
    return r;
}

const char *rehearsal_gate_model(const struct verified_plan *plan, size_t gate) {
    struct cluster w = {.plans = {rehearsal_plan_borrow(plan)}};
    const char *text = "?";
    if (!w.plans[0])
        return text;
    model_gates(&w);
    switch (w.gates[gate].asks) {
    case ASKS_MAY_STOP:
        text = "yes while another member that serves holds a copy of every entry that this one holds";
        break;
    case ASKS_RECOVERED: text = "yes while every copy of every entry is served and up to date"; break;
    case ASKS_MEMBER: text = "yes while its service serves, in the mode that the step wants"; break;
    case ASKS_LAST:
        text = "yes for one leader: the member that the plan names last, when it is away the next one";
        break;
    case ASKS_SAMPLE: text = "yes while the member has not lost its data"; break;
    case ASKS_IN_FORCE: text = "yes while the side action is open"; break;
    }
    free(w.gates);
    verified_plan_free(w.plans[0]);
    return text;
}

/* ---- telling ---- */

uint64_t staging_after(const struct world *w) {
    return w->staging->begun_us && w->now_us > w->staging->begun_us ? w->now_us - w->staging->begun_us : 0;
}

void staging_tell(struct world *w, enum note_kind kind, const struct member *m, const char *format, ...) {
    const struct rehearsal_stage *stage = w->config->stage;
    char text[1024];
    va_list ap;
    if (!stage->see || w->result->rest.is)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    const struct run *run = coordinator_run(w);
    const struct shape *shape = &w->clusters[0].plans[0]->shape;
    uint32_t wave = !m || !run || m->index >= run->n_members ? UINT32_MAX
                    : barrier_is_declared(w, m->index) && run->state == RUN_WAVES
                        ? w->staging->wave
                        : run->members[m->index].wave;
    struct rehearsal_note note = {.kind = kind,
                                  .after_us = staging_after(w),
                                  .wave = wave < shape->n_waves ? shape->waves[wave].name : "",
                                  .member = m ? m->order->member : "",
                                  .text = text};
    stage->see(stage->context, &note);
}

/* ---- the run ---- */

static void tell_run_state(struct world *w, const struct run *run) {
    switch (run->state) {
    case RUN_WAITING: staging_tell(w, NOTE_RUN, NULL, "waits for another run"); return;
    case RUN_PREPARING:
        staging_tell(w, NOTE_RUN, NULL, "prepares all %u members; nothing is stopped before all are prepared",
                     run->n_members);
        return;
    case RUN_OPENING:
        staging_tell(w, NOTE_RUN, NULL, "%s%s",
                     run->rollback ? "is taken up once more, to roll back" : "all members are prepared",
                     run->n_sides ? "; side actions are opened" : "");
        return;
    case RUN_WAVES: return; /* the wave itself is told */
    case RUN_RETURNING:
        staging_tell(w, NOTE_RUN, NULL, "returns the changed members, the last wave first");
        return;
    case RUN_CLOSING:
        staging_tell(w, NOTE_RUN, NULL, "closes%s", run->n_sides ? ": side actions are put back" : "");
        return;
    case RUN_ENDED:
        staging_tell(w, NOTE_RUN, NULL, "ENDED: %s: %s", run_verdict_text(run->verdict),
                     run->verdict_text ? run->verdict_text : "");
        return;
    }
}

static void tell_wave(struct world *w, const struct run *run) {
    const struct wave *wave = &w->clusters[0].plans[0]->shape.waves[run->wave];
    const struct gate *last =
        wave->has_last ? verified_plan_gate(w->clusters[0].plans[0], &wave->last) : NULL;
    staging_tell(
        w, NOTE_RUN, NULL, "wave %u of %zu begins: %s, %zu member%s, %u at once%s%s%s%s", run->wave + 1,
        w->clusters[0].plans[0]->shape.n_waves, wave->name, wave->n_members, wave->n_members == 1 ? "" : "s",
        wave->limit_count, wave->one_domain ? ", one failure domain at a time" : "",
        last ? ", last who says yes to gate " : "", last ? last->name : "",
        wave->kind == WAVE_CANARY ? ", read-only first"
        : wave->kind == WAVE_STOP ? ", all go down; nobody is started before all have passed the barrier"
        : wave->kind == WAVE_PASS ? ", the barrier: from here on nobody goes back alone"
                                  : "");
}

static void look_at_run(struct world *w, const struct run *run) {
    struct staging *s = w->staging;
    bool began = !s->has_run;
    s->has_run = true;
    if (began || s->run_state != run->state)
        tell_run_state(w, run);
    if (run->state == RUN_WAVES && run->wave < w->clusters[0].plans[0]->shape.n_waves &&
        (s->run_state != RUN_WAVES || s->wave != run->wave))
        tell_wave(w, run);
    s->run_state = run->state;
    s->wave = run->wave;
    if (run->paused && !s->paused)
        staging_tell(w, NOTE_RUN, NULL, "PAUSED: %s", run->pause_reason ? run->pause_reason : "");
    if (!run->paused && s->paused)
        staging_tell(w, NOTE_RUN, NULL, "goes on");
    if (run->aborting && !s->aborting)
        staging_tell(w, NOTE_RUN, NULL,
                     "is aborted: what is in flight finishes or returns, then the closing moves");
    s->paused = run->paused;
    s->aborting = run->aborting;
}

/* ---- side actions, agents ---- */

static void look_at_sides(struct world *w) {
    for (size_t i = 0; i < w->clusters[0].plans[0]->shape.n_side_actions && i < SIDES_MAX; i++) {
        const struct side_action *side = &w->clusters[0].plans[0]->shape.side_actions[i];
        bool ours = w->clusters[0].side_ours[i];
        if (ours != w->staging->side_ours[i])
            staging_tell(w, NOTE_SIDE, NULL, "side action %s is %s: %s -> %s", side->name,
                         ours ? "opened" : "put back", ours ? side->previous : side->ours,
                         ours ? side->ours : side->previous);
        w->staging->side_ours[i] = ours;
    }
}

static void look_at_agents(struct world *w) {
    struct staging *s = w->staging;
    bool up = w->engine != NULL;
    if (s->has_run && up != s->coordinator_up)
        staging_tell(w, NOTE_AGENT, NULL,
                     up ? "the coordinator is back: it has read its journal and reigns anew (epoch %llu)"
                        : "the coordinator is gone; agents finish or return what they have begun",
                     (unsigned long long)w->epoch);
    for (uint32_t i = 0; i < w->n_nodes; i++) {
        bool connected = w->nodes[i].connected;
        if (!s->has_run || !up || !s->coordinator_up)
            s->gone[i] = false;
        else if (s->connected[i] && !connected) {
            staging_tell(w, NOTE_AGENT, NULL, "the agent of %s is not connected any more", w->nodes[i].name);
            s->gone[i] = true;
        } else if (s->gone[i] && connected) {
            staging_tell(w, NOTE_AGENT, NULL, "the agent of %s is connected again", w->nodes[i].name);
            s->gone[i] = false;
        }
        s->connected[i] = connected;
    }
    s->coordinator_up = up;
}

/* ---- members ---- */

static const char *generation_text(const struct world *w, const struct member *m, uint32_t generation) {
    const char *version = generation > 0 && generation <= m->order->n_generations
                              ? m->order->generations[generation - 1].version
                              : m->order->from_version;
    return version && *version ? version : w->clusters[0].plans[0]->header.from_version;
}

static void count_away(struct world *w, uint32_t index, bool away) {
    const struct rehearsal_stage *stage = w->config->stage;
    struct last_look *seen = &w->staging->members[index];
    if (away == seen->away)
        return;
    seen->away = away;
    if (away)
        seen->away_since_us = w->now_us;
    else if (stage->members)
        stage->members[index].away_us += w->now_us - seen->away_since_us;
    w->staging->n_away = away ? w->staging->n_away + 1 : w->staging->n_away - 1;
    if (stage->most_away && w->staging->n_away > *stage->most_away)
        *stage->most_away = w->staging->n_away;
}

static void look_at_service(struct world *w, struct member *m) {
    const struct service *service = &m->service;
    struct last_look *seen = &w->staging->members[m->index];
    bool began = service->running &&
                 (!seen->running || seen->content != service->content || (seen->ready && !service->ready));
    if (service->stopping && !seen->stopping) {
        staging_tell(w, NOTE_SERVICE, m, "is told to stop");
        if (w->config->stage->members)
            w->config->stage->members[m->index].n_stops++;
    }
    if (seen->running && (!service->running || began) && !seen->stopping)
        staging_tell(w, NOTE_SERVICE, m, "ENDED, and nobody had told it to");
    if (began)
        staging_tell(w, NOTE_SERVICE, m, "starts %s, %s%s", generation_text(w, m, service->content % 10),
                     mode_text(content_mode(m, service->content)),
                     service->content == 0 ? " (as found)" : "");
    if (service->ready && !seen->ready)
        staging_tell(w, NOTE_SERVICE, m, "serves%s%s", m->data_lost ? ", and has lost its data" : "",
                     content_mode(m, service->content) == MODE_READ_ONLY ? " (read-only)" : "");
    count_away(w, m->index, !service->running || !service->ready || service->stopping);
    *seen = (struct last_look){.state = seen->state,
                               .known = seen->known,
                               .away = seen->away,
                               .away_since_us = seen->away_since_us,
                               .declined = seen->declined && !service->stopping,
                               .running = service->running,
                               .ready = service->ready,
                               .stopping = service->stopping,
                               .content = service->content};
}

static void seconds(char *text, size_t size, uint32_t ms) {
    snprintf(text, size, ms % 1000 ? "%u.%01u s" : "%u s", ms / 1000, ms % 1000 / 100);
}

/* It counts from the first good answer, which was before it began: what is left of it is what a reader waits for. */
static void tell_soak(struct world *w, const struct run_member *rm, const char *what, uint32_t soak_ms) {
    uint64_t now = coordinator_wall_ms(w), until = rm->good_since_ms + soak_ms;
    char all[32], left[32];
    seconds(all, sizeof(all), soak_ms);
    seconds(left, sizeof(left), rm->good_since_ms && until > now ? (uint32_t)(until - now) : 0);
    staging_tell(w, NOTE_MEMBER, &w->members[rm - coordinator_run(w)->members], "%s %s, %s of it to come",
                 what, all, left);
}

static void tell_why(struct world *w, const struct run *run, uint32_t member, enum note_kind kind) {
    struct why why;
    char text[900];
    engine_explain(w->engine, run, member, &why);
    int n = snprintf(text, sizeof(text), "%s", why.headline);
    for (size_t i = 0; i < why.reasons.n && n >= 0 && (size_t)n < sizeof(text); i++) {
        const struct reason *r = &why.reasons.items[i];
        const char *mark = kind == NOTE_WAIT && i > 0 ? "; " : ": ";
        if (kind == NOTE_MEMBER && r->text[0])
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", mark, r->text);
        else if (r->answer != ANSWER_YES)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s: %s%s%s", mark, r->gate,
                          answer_text(r->answer), r->text[0] ? ": " : "", r->text);
    }
    staging_tell(w, kind, &w->members[member], "%s", text);
    why_deinit(&why);
}

static bool is_finalized_by(const struct work_order *order) {
    const struct step *step = work_order_step(order, "switch");
    return step && step->verb == VERB_FINALIZE;
}

/* Its agent has asked for the last time and did not stop it. True: that is all there is to tell. */
static bool tell_declined(struct world *w, const struct run *run, uint32_t index, enum member_state was) {
    const struct run_member *rm = &run->members[index];
    struct last_look *seen = &w->staging->members[index];
    bool stops = was == MEMBER_SWITCHING || was == MEMBER_PROMOTING || was == MEMBER_REVERTING;
    if (!stops || rm->state != rm->before)
        return false;
    if (!seen->declined)
        staging_tell(w, NOTE_MEMBER, &w->members[index], "declined to stop, nothing was changed: %s",
                     rm->reason ? rm->reason : "");
    seen->declined = true;
    return true;
}

/* How far it has come, also when it was ordered on in the same moment. */
static void tell_reached(struct world *w, const struct run *run, uint32_t index, enum member_state was) {
    const struct run_member *rm = &run->members[index];
    const struct shape *shape = &w->clusters[0].plans[0]->shape;
    const struct wave *wave = rm->wave < shape->n_waves ? &shape->waves[rm->wave] : NULL;
    struct member *m = &w->members[index];
    if (was == MEMBER_STOPPING && (rm->state == MEMBER_STOPPED || member_state_is_ordered(rm->state)))
        staging_tell(w, NOTE_MEMBER, m, "is down and waits at the barrier");
    if (was == MEMBER_PASSING && (rm->state == MEMBER_PASSED || member_state_is_ordered(rm->state)))
        staging_tell(w, NOTE_MEMBER, m, "has passed the barrier: it does not go back alone any more");
    switch (rm->state) {
    case MEMBER_PLANNED:
    case MEMBER_STOPPED:
    case MEMBER_PASSED:
    case MEMBER_PREPARING:
    case MEMBER_SWITCHING:
    case MEMBER_PROMOTING:
    case MEMBER_STOPPING:
    case MEMBER_PASSING:
    case MEMBER_STARTING:
    case MEMBER_ACTING:
    case MEMBER_HALTING:
    case MEMBER_REVERTING: return;
    case MEMBER_PREPARED: return;
    case MEMBER_RECOVERING:
    case MEMBER_SETTLING:
    case MEMBER_RECOVERING_BACK:
        staging_tell(w, NOTE_MEMBER, m,
                     is_finalized_by(m->order)
                         ? "is finalized, no way leads back; now the cluster must be well"
                         : "is proven (release, mode, its gates); now the cluster must have recovered");
        return;
    case MEMBER_SOAKING_READ_ONLY:
        tell_soak(w, rm, "soaks read-only for", wave ? wave->soak_read_only_ms : 0);
        return;
    case MEMBER_SOAKING: tell_soak(w, rm, "soaks for", wave ? wave->soak_ms : 0); return;
    case MEMBER_DONE: staging_tell(w, NOTE_MEMBER, m, "is done"); return;
    case MEMBER_FAILED:
    case MEMBER_RETURNED:
    case MEMBER_HELD:
    case MEMBER_BACK:
    case MEMBER_SKIPPED:
    case MEMBER_QUARANTINED:
    case MEMBER_RETIRED: tell_why(w, run, index, NOTE_MEMBER); return;
    }
}

static const char *order_text(enum member_state state, bool down) {
    static const char *const texts[MEMBER_STATES] = {
        [MEMBER_SWITCHING] = "may stop; is ordered to switch",
        [MEMBER_PROMOTING] = "may stop; is ordered to be promoted",
        [MEMBER_STOPPING] = "is ordered to stop for the downtime",
        [MEMBER_STARTING] = "is ordered to start",
        [MEMBER_HALTING] = "is ordered to stop for the way back",
        [MEMBER_REVERTING] = "may stop; is ordered to return",
    };
    return state == MEMBER_REVERTING && down ? "is ordered to start what it ran before" : texts[state];
}

static void tell_ordered(struct world *w, const struct run *run, uint32_t index) {
    const struct run_member *rm = &run->members[index];
    struct member *m = &w->members[index];
    const char *text = order_text(rm->state, !m->service.running);
    if (rm->state == MEMBER_ACTING)
        staging_tell(w, NOTE_MEMBER, m, "is ordered to do \"%s\" while all are down",
                     rm->step ? rm->step : "");
    else if (rm->state == MEMBER_SWITCHING && is_finalized_by(m->order))
        staging_tell(w, NOTE_MEMBER, m, "is ordered to finalize: it is not stopped");
    else if (text)
        staging_tell(w, NOTE_MEMBER, m, "%s", text);
}

/* What holds the next member back is told when it begins, and again when the reasons are others. */
static void look_at_wait(struct world *w, const struct run *run) {
    struct staging *s = w->staging;
    bool waits = run->candidate != NO_MEMBER && run->wait_since_ms && !run->paused;
    uint64_t sum = waits ? 1469598103934665603u + run->candidate : 0;
    for (size_t i = 0; waits && i < run->wait.n; i++)
        for (const char *p = run->wait.items[i].gate; p && *p; p++)
            sum = (sum ^ (uint64_t)*p ^ (uint64_t)run->wait.items[i].answer << 8) * 1099511628211u;
    if (waits && run->wait.n > 0 && sum != s->wait && s->candidate_told != sum) {
        tell_why(w, run, run->candidate, NOTE_WAIT);
        s->candidate_told = sum;
    }
    s->wait = sum;
}

static uint64_t text_sum(const char *text) { /* numbers count down: they are no other reason */
    uint64_t sum = 1469598103934665603u;
    for (; *text; text++)
        sum = *text >= '0' && *text <= '9' ? sum : (sum ^ (uint64_t)*text) * 1099511628211u;
    return sum;
}

/* What else the run waits for, when it has for a while: `run show` says the same. */
static void look_at_stay(struct world *w, const struct run *run) {
    struct staging *s = w->staging;
    char text[KEDGE_REASON_MAX] = "";
    bool goes = run->state != RUN_ENDED && !run->paused && s->wait == 0 && s->approval_us == 0;
    if (goes && w->config->stage->see)
        engine_explain_run(w->engine, run, text, sizeof(text));
    uint64_t sum = text[0] ? text_sum(text) : 0;
    if (sum != s->stay)
        s->stay_since_us = w->now_us;
    s->stay = sum;
    if (sum == 0 || sum == s->stay_told || w->now_us - s->stay_since_us < STAY_TOLD_US)
        return;
    s->stay_told = sum;
    staging_tell(w, NOTE_WAIT, NULL, "waits: %s", text);
}

static void look_at_members(struct world *w, const struct run *run) {
    for (uint32_t i = 0; i < w->n_members; i++) {
        struct last_look *seen = &w->staging->members[i];
        look_at_service(w, &w->members[i]);
        if (run && i < run->n_members && seen->known && seen->state != run->members[i].state &&
            !tell_declined(w, run, i, seen->state))
            tell_reached(w, run, i, seen->state);
    }
}

/* What the run has decided is told before what its members are ordered because of it. */
static void look_at_orders(struct world *w, const struct run *run) {
    for (uint32_t i = 0; i < w->n_members && i < run->n_members; i++) {
        struct last_look *seen = &w->staging->members[i];
        if (seen->known && seen->state != run->members[i].state && !seen->declined)
            tell_ordered(w, run, i);
        seen->state = run->members[i].state;
        seen->known = true;
    }
}

/* ---- the doors ---- */

bool stage_is_alone(const struct world *w) {
    return w->config->stage && w->config->stage->alone;
}

void stage_begin(struct world *w) {
    if (!w->config->stage)
        return;
    struct staging *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->members = calloc(w->n_members + 1, sizeof(*s->members));
    s->connected = calloc(w->n_nodes + 1, sizeof(*s->connected));
    s->gone = calloc(w->n_nodes + 1, sizeof(*s->gone));
    if (!s->members || !s->connected || !s->gone)
        abort();
    for (uint32_t i = 0; i < w->n_members; i++)
        s->members[i] = (struct last_look){.running = w->members[i].service.running,
                                           .ready = w->members[i].service.ready,
                                           .content = w->members[i].service.content};
    s->coordinator_up = true;
    w->staging = s;
}

void stage_look(struct world *w) {
    const struct run *run = coordinator_run(w);
    if (w->result->rest.is)
        return;
    if (run && !w->staging->has_run)
        w->staging->begun_us = w->now_us;
    look_at_members(w, run);
    if (run)
        look_at_run(w, run);
    look_at_agents(w);
    look_at_sides(w);
    if (run)
        look_at_orders(w, run);
    if (run) {
        look_at_wait(w, run);
        look_at_stay(w, run);
    }
    if (w->staging->has_run)
        staged_look(w, run);
}

/* Without a word from somebody nothing more happens. */
static bool stands_still(const struct world *w, const struct run *run) {
    bool waits = engine_approval_awaited(run) != UINT32_MAX && !stage_approves(w);
    return run->state == RUN_ENDED || run->paused || waits;
}

bool stage_rests(const struct world *w) {
    const struct run *run = coordinator_run(w);
    return stage_is_alone(w) && run && stands_still(w, run) && !staged_is_to_come(w, run);
}

static void members_end(struct world *w, const struct run *run) {
    for (uint32_t i = 0; w->config->stage->members && i < w->n_members; i++) {
        const struct member *m = &w->members[i];
        struct rehearsal_member *out = &w->config->stage->members[i];
        if (w->staging->members[i].away)
            out->away_us += w->now_us - w->staging->members[i].away_since_us;
        out->state = run && i < run->n_members ? member_state_text(run->members[i].state) : "";
        out->mode = mode_text(service_mode(m));
        out->version = m->service.running ? generation_text(w, m, m->service.content % 10) : "";
    }
}

/* The first time that the run has ended or is paused and nothing else is to come. */
void stage_rest(struct world *w) {
    const struct run *run = coordinator_run(w);
    struct rehearsal_rest *rest = &w->result->rest;
    if (rest->is || !run)
        return;
    if (w->staging)
        members_end(w, run);
    *rest = (struct rehearsal_rest){.is = true,
                                    .ended = run->state == RUN_ENDED,
                                    .paused = run->paused,
                                    .unapproved = engine_approval_awaited(run) != UINT32_MAX,
                                    .after_us = w->staging ? staging_after(w) : w->now_us};
    snprintf(rest->verdict, sizeof(rest->verdict), "%s", run_verdict_text(run->verdict));
    engine_explain_run(w->engine, run, rest->text, sizeof(rest->text));
}

void stage_end(struct world *w) {
    if (!w->staging)
        return;
    free(w->staging->members);
    free(w->staging->connected);
    free(w->staging->gone);
    free(w->staging);
    w->staging = NULL;
}
