/* A run as JSON: what the engine knows, what the journal says, and the evidence that agents sent. Nothing is decided
 * here, and nothing is left out that a person would need to see why it waits. */
#include "coordinator/daemon/clients.h"

#include <string.h>

static void put_text(json_t *object, const char *key, const char *text) {
    if (text && *text)
        json_put(object, key, json_text_of(text));
}

static void put_number(json_t *object, const char *key, uint64_t value) {
    json_put(object, key, json_integer((json_int_t)value));
}

/* 0 stands for "there is none". */
static void put_some(json_t *object, const char *key, uint64_t value) {
    if (value > 0)
        put_number(object, key, value);
}

/* ---- events ---- */

static void event_words(const struct run *run, const struct record *record, char *out, size_t size) {
    const char *separator = *record->text ? ": " : "";
    const struct shape *shape = &run->plan->shape;
    switch (record->kind) {
    case RECORD_RUN_BEGUN: snprintf(out, size, "applied by %s", record->text); return;
    case RECORD_RUN_EVENT:
        snprintf(out, size, "%s%s%s", run_event_text((enum run_event)record->number), separator,
                 record->text);
        return;
    case RECORD_WAVE: snprintf(out, size, "wave %s begins", record->name); return;
    case RECORD_ORDERED: snprintf(out, size, "%s ordered", record->name); return;
    case RECORD_REPORTED:
        snprintf(out, size, "%s: %s%s%s", record->name, outcome_text((enum outcome)record->number), separator,
                 record->text);
        return;
    case RECORD_MEMBER_EVENT:
        snprintf(out, size, "%s%s%s%s%s", member_event_text((enum member_event)record->number),
                 record->name[0] ? ": " : "", record->name, separator, record->text);
        return;
    case RECORD_SIDE_ORDERED:
        snprintf(out, size, "side action %s: %s ordered",
                 record->number < shape->n_side_actions ? shape->side_actions[record->number].name : "?",
                 record->name);
        return;
    case RECORD_SIDE_REPORTED:
        snprintf(out, size, "%s: %s%s%s", record->name, outcome_text((enum outcome)record->value), separator,
                 record->text);
        return;
    case RECORD_NODE_HELD:
    case RECORD_NODE_RETURNED:
    case RECORD_MEMBER_SEEN:
        snprintf(out, size, "seen %s on %s", mode_text((enum mode)record->number), record->name);
        return;
    case RECORD_MEMBER_AWAY:
        snprintf(out, size, record->number ? "its agent is away for long" : "its agent is back");
        return;
    case RECORD_OUTPUT: {
        const struct run_output *output = run_output_of(run, record);
        if (output)
            snprintf(out, size, "%s put out %s: %s", output->step, output->name, output->value);
        else
            snprintf(out, size, "%s put something out", record->name);
        return;
    }
    case RECORD_REIGN:
    case RECORD_KIND_END: break;
    }
    snprintf(out, size, "?");
}

static bool event_has_member(const struct record *record, const struct run *run) {
    return record->kind != RECORD_RUN_BEGUN && record->kind != RECORD_RUN_EVENT &&
           record->kind != RECORD_WAVE && record->member < run->n_members;
}

/* How long the part of an operator's word is that says who: "alice (uid 1000)" or "uid 1000", before ": why". 0: this was
 * not said by an operator. See who_of() in verbs_run.c. */
static size_t who_length(const char *text) {
    size_t uid = strncmp(text, "uid ", 4) == 0 ? 4 : 0;
    const char *named = strstr(text, " (uid ");
    size_t at = uid ? uid : named ? (size_t)(named - text) + 6 : 0, digits = strspn(text + at, "0123456789");
    if (at == 0 || digits == 0)
        return 0;
    at += digits;
    if (!uid && text[at++] != ')')
        return 0;
    return text[at] == 0 || strncmp(text + at, ": ", 2) == 0 ? at : 0;
}

/* Who said it and why, for what changes the course of a run: an operator, or kedged itself (it pauses). */
static const char *event_word(const struct record *record) {
    if (record->kind == RECORD_RUN_EVENT)
        return record->number >= RUN_EVENT_PAUSE ? run_event_text((enum run_event)record->number) : NULL;
    static const char *const texts[MEMBER_EVENTS] = {[MEMBER_EVENT_RETRY] = "tried again",
                                                     [MEMBER_EVENT_SKIP] = "left out",
                                                     [MEMBER_EVENT_RETIRE] = "retired",
                                                     [MEMBER_EVENT_PROMOTE] = "promoted",
                                                     [MEMBER_EVENT_WAIVE] = "gate waived"};
    return record->kind == RECORD_MEMBER_EVENT && record->number < MEMBER_EVENTS ? texts[record->number]
                                                                                 : NULL;
}

static void event_word_put(json_t *json, const struct record *record) {
    const char *word = event_word(record);
    if (!word)
        return;
    char by[256];
    size_t n = who_length(record->text);
    snprintf(by, sizeof(by), "%.*s", (int)n, record->text);
    put_text(json, "word", word);
    put_text(json, "by", n ? by : "kedged");
    put_text(json, "why", n && record->text[n] ? record->text + n + 2 : n ? "" : record->text);
}

static json_t *event_object(const struct run *run, const struct history_event *event) {
    char text[RECORD_BYTES_MAX];
    json_t *json = json_object();
    event_words(run, &event->record, text, sizeof(text));
    put_number(json, "seq", event->seq);
    put_number(json, "at_ms", event->record.at_ms);
    if (event_has_member(&event->record, run))
        put_text(json, "member", run->members[event->record.member].order->member);
    put_text(json, "kind", record_kind_text(event->record.kind));
    put_text(json, "text", text);
    event_word_put(json, &event->record);
    return json;
}

static json_t *events_of(const struct daemon *d, const struct run *run, uint64_t after_seq) {
    const struct history *history = history_of(d, run->id);
    json_t *events = json_array();
    for (size_t i = 0; history && i < history->n; i++)
        if (history->events[i].seq > after_seq)
            json_add(events, event_object(run, &history->events[i]));
    return events;
}

/* ---- steps, with their evidence ---- */

/* The last element with this name and member, as steps are filled in. */
struct step_list {
    json_t **by_member; /* arrays */
    const struct run *run;
};

static json_t *step_open(const struct step_list *list, const struct record *record) {
    json_t *steps = list->by_member[record->member];
    for (size_t i = json_array_size(steps); i-- > 0;) {
        json_t *step = json_array_get(steps, i);
        const char *name = json_string_value(json_object_get(step, "step"));
        if (name && strcmp(name, record->name) == 0)
            return json_object_get(step, "ended_ms") ? NULL : step;
    }
    return NULL;
}

/* A side action's step is done by one: what another had under way is given up. */
static void step_taken_over(const struct step_list *list, const struct record *record) {
    for (uint32_t i = 0; i < list->run->n_members; i++) {
        struct record other = *record;
        other.member = i;
        json_t *step = i == record->member ? NULL : step_open(list, &other);
        char text[KEDGE_REASON_MAX];
        if (!step)
            continue;
        snprintf(text, sizeof(text), "no report came; %s was asked to do it",
                 list->run->members[record->member].order->member);
        put_text(step, "outcome", "given up");
        put_text(step, "reason", text);
        put_number(step, "ended_ms", record->at_ms);
    }
}

static void step_record(const struct step_list *list, const struct record *record) {
    json_t *step = step_open(list, record);
    if (record->kind == RECORD_ORDERED || record->kind == RECORD_SIDE_ORDERED) {
        if (step)
            return; /* the same step, sent again */
        if (record->kind == RECORD_SIDE_ORDERED)
            step_taken_over(list, record);
        step = json_object();
        put_text(step, "step", record->name);
        put_number(step, "sent_ms", record->at_ms);
        json_add(list->by_member[record->member], step);
        return;
    }
    enum outcome outcome = (enum outcome)(record->kind == RECORD_REPORTED ? record->number : record->value);
    if (!step || outcome == OUTCOME_BEGUN)
        return;
    put_text(step, "outcome", outcome_text(outcome));
    put_text(step, "reason", record->text);
    put_number(step, "ended_ms", record->at_ms);
    if (record->kind == RECORD_REPORTED) {
        put_some(step, "interruption_us", record->value);
        put_some(step, "evidence_age_us", record->value2);
    }
}

static json_t *evidence_object(const struct evidence *evidence) {
    json_t *json = json_object();
    put_text(json, "gate", evidence->gate);
    put_text(json, "answer", answer_text(evidence->answer));
    put_text(json, "reason", evidence->reason);
    put_number(json, "age_us", evidence->age_us);
    return json;
}

/* The evidence goes to the first step of this name that has an end and no evidence yet: reports lie in their order. */
static int report_evidence(void *user, const struct store_report *stored, struct error *err) {
    const struct step_list *list = user;
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    struct report *report;
    if (!arena)
        return error_errno(err, -ENOMEM, "report");
    int r = codec_decode(&report_codec, stored->report, arena, &report, err);
    uint32_t m = r == 0 ? run_member_index(list->run, report->member) : NO_MEMBER;
    if (m == NO_MEMBER)
        return r;
    for (size_t i = 0; i < json_array_size(list->by_member[m]); i++) {
        json_t *step = json_array_get(list->by_member[m], i);
        const char *name = json_string_value(json_object_get(step, "step"));
        if (!name || strcmp(name, report->step) != 0 || json_object_get(step, "evidence") ||
            !json_object_get(step, "ended_ms"))
            continue;
        json_t *evidence = json_array();
        for (size_t k = 0; k < report->n_evidence; k++)
            json_add(evidence, evidence_object(&report->evidence[k]));
        json_put(step, "evidence", evidence);
        break;
    }
    return 0;
}

static void steps_put(struct daemon *d, const struct run *run, json_t *members) {
    struct error err;
    const struct history *history = history_of(d, run->id);
    json_t **by_member = calloc(run->n_members, sizeof(*by_member));
    if (!by_member)
        abort();
    struct step_list list = {by_member, run};
    for (uint32_t i = 0; i < run->n_members; i++)
        by_member[i] = json_array();
    for (size_t i = 0; history && i < history->n; i++) {
        const struct record *record = &history->events[i].record;
        if (record->member < run->n_members &&
            (record->kind == RECORD_ORDERED || record->kind == RECORD_REPORTED ||
             record->kind == RECORD_SIDE_ORDERED || record->kind == RECORD_SIDE_REPORTED))
            step_record(&list, record);
    }
    if (store_reports(d->store, run->plan->header.cluster, run->plan->header.serial, report_evidence, &list,
                      &err) < 0)
        daemon_fail(d, -EIO, &err);
    for (uint32_t i = 0; i < run->n_members; i++)
        json_put(json_array_get(members, i), "steps", by_member[i]);
    free(by_member);
}

/* ---- members ---- */

static json_t *reason_object(const struct reason *reason) {
    json_t *json = json_object();
    put_text(json, "gate", reason->gate);
    put_text(json, "asked", reason->who);
    put_text(json, "answer", answer_text(reason->answer));
    put_text(json, "reason", reason->text);
    return json;
}

static void why_put(json_t *json, const struct why *why, const struct run_member *m) {
    json_t *gates = json_array();
    for (size_t i = 0; i < why->reasons.n; i++)
        json_add(gates, reason_object(&why->reasons.items[i]));
    put_text(json, "state", why->state);
    put_text(json, "headline", why->headline);
    put_some(json, "since_ms", why->since_ms);
    put_text(json, "then", why->then);
    put_some(json, "limit_ms", why->limit_ms);
    json_put(json, "gates", gates);
    if (why->soak_of_ms > 0) {
        json_t *soak = json_object();
        put_some(soak, "until_ms", why->soak_until_ms);
        put_number(soak, "of_ms", why->soak_of_ms);
        put_text(soak, "mode", mode_text(m->mode));
        json_put(json, "soak", soak);
    }
}

static json_t *planned_of(const struct work_order *order) {
    json_t *steps = json_array();
    for (size_t i = 0; i < order->n_steps; i++)
        json_add(steps, json_text_of(order->steps[i].name));
    return steps;
}

/* What the agent said last of a member that is in its hands just now, or NULL. */
static const struct member_seen *seen_live(const struct daemon *d, const struct run *run,
                                           const struct run_member *m) {
    const struct cluster *cluster = m->step ? cluster_find(d, run->plan->header.cluster) : NULL;
    size_t i = cluster ? cluster_member(cluster, m->order->member) : 0;
    bool known = cluster && i < cluster->charter->n_members && cluster->seen[i].reported_ms >= m->since_ms;
    return known ? &cluster->seen[i] : NULL;
}

/* What was reported in this run, else what was found when it was planned. */
static void seen_put(json_t *json, const struct run_member *m, const struct member_seen *live) {
    const struct work_order *order = m->order;
    if (live) {
        put_text(json, "mode", mode_text(live->mode));
        put_text(json, "origin", origin_text(live->origin));
        put_text(json, "version", live->version);
        put_number(json, "generation", live->generation);
        return;
    }
    const char *mode =
        m->mode != MODE_UNKNOWN ? mode_text(m->mode) : fact_get(order->binding, order->n_binding, "mode");
    const char *origin = m->mode != MODE_UNKNOWN ? origin_text(m->origin) : NULL;
    put_text(json, "mode", mode ? mode : "unknown");
    put_text(json, "origin", origin);
    put_text(json, "version", m->version && *m->version ? m->version : order->from_version);
    put_number(json, "generation", m->generation);
}

static json_t *member_object(const struct daemon *d, const struct run *run, uint32_t index) {
    const struct run_member *m = &run->members[index];
    const struct work_order *order = m->order;
    const struct shape *shape = &run->plan->shape;
    json_t *json = json_object();
    struct why why;
    engine_explain(d->engine, run, index, &why);
    put_text(json, "name", order->member);
    put_text(json, "node", order->node);
    put_text(json, "domain", order->domain);
    put_text(json, "wave", m->wave < shape->n_waves ? shape->waves[m->wave].name : "");
    why_put(json, &why, m);
    why_deinit(&why);
    seen_put(json, m, seen_live(d, run, m));
    put_text(json, "from", order->from_version);
    put_text(json, "to", order->to_version);
    put_text(json, "reason", m->reason && *m->reason ? m->reason : m->waits);
    put_some(json, "interruption_us", m->interruption_us);
    put_some(json, "evidence_age_us", m->evidence_age_us);
    put_number(json, "stops", m->n_stops);
    json_put(json, "relapsed", json_boolean(m->relapsed));
    json_put(json, "planned", planned_of(order));
    return json;
}

/* ---- the run ---- */

/* An action's wave has nobody who ends in it: it was begun or not, and its members have done it or not. */
static const char *act_state(const struct run *run, size_t wave) {
    bool done = true;
    for (size_t i = 0; i < run->plan->shape.waves[wave].n_members; i++)
        done = done && run->acted[wave][i];
    if (done || !run->act_begun[wave])
        return done ? "done" : "planned";
    return run->state == RUN_WAVES || run->state == RUN_RETURNING ? "running" : "stopped";
}

static const char *wave_state(const struct run *run, size_t wave) {
    if (run->acted[wave])
        return act_state(run, wave);
    if (run->state == RUN_PREPARING || run->state == RUN_OPENING)
        return "planned";
    if (run->state == RUN_WAVES)
        return wave < run->wave ? "done" : wave == run->wave ? "running" : "planned";
    for (uint32_t i = 0; i < run->n_members; i++)
        if (run->members[i].wave == wave && run->members[i].state != MEMBER_DONE)
            return "stopped";
    return "done";
}

/* A budget without a limit has no `..._max`. */
static void budget_put(json_t *json, enum budget_kind kind, uint32_t n, uint32_t allowed) {
    char key[32];
    put_number(json, budget_kind_text(kind), n);
    snprintf(key, sizeof(key), "%s_max", budget_kind_text(kind));
    if (allowed != BUDGET_NO_LIMIT)
        put_number(json, key, allowed);
}

static json_t *budget_of(const struct run *run) {
    json_t *json = json_object();
    for (unsigned k = 0; k < BUDGETS; k++)
        budget_put(json, (enum budget_kind)k, run->count.n[k], run_budget(run, (enum budget_kind)k));
    put_number(json, "retired", run->n_state[MEMBER_RETIRED]);
    return json;
}

static json_t *wave_budget_of(const struct run *run, uint32_t wave) {
    json_t *json = json_object();
    for (unsigned k = 0; k < BUDGETS; k++) {
        uint32_t allowed = run_wave_budget(run, wave, (enum budget_kind)k);
        if (allowed != BUDGET_NO_LIMIT)
            budget_put(json, (enum budget_kind)k, run->wave_counts[wave].n[k], allowed);
    }
    return json;
}

/* Why it is paused: each thing apart, the first one first. */
static json_t *pauses_of(const struct run *run) {
    json_t *list = json_array();
    for (size_t i = 0; i < run->n_pauses; i++) {
        const struct pause *pause = &run->pauses[i];
        json_t *json = json_object();
        put_text(json, "text", pause->text);
        if (pause->member != NO_MEMBER)
            put_text(json, "member", run->members[pause->member].order->member);
        put_number(json, "since_ms", pause->since_ms);
        json_add(list, json);
    }
    return list;
}

static json_t *waves_of(const struct run *run) {
    json_t *waves = json_array();
    for (size_t i = 0; i < run->plan->shape.n_waves; i++) {
        const struct wave *wave = &run->plan->shape.waves[i];
        json_t *json = json_object(), *members = json_array();
        for (size_t k = 0; k < wave->n_members; k++)
            json_add(members, json_text_of(run->members[wave->members[k]].order->member));
        put_text(json, "name", wave->name);
        put_text(json, "kind", wave_kind_text(wave->kind));
        put_text(json, "state", wave_state(run, i));
        put_number(json, "limit", wave->limit_count);
        json_put(json, "members", members);
        put_number(json, "soak_read_only_ms", wave->soak_read_only_ms);
        put_number(json, "soak_ms", wave->soak_ms);
        if (wave->kind == WAVE_CANARY)
            put_text(json, "on_inconclusive", wave->return_inconclusive ? "return" : "pause");
        if (wave->n_budgets > 0)
            json_put(json, "budget", wave_budget_of(run, (uint32_t)i));
        json_add(waves, json);
    }
    return waves;
}

static json_t *sides_of(const struct run *run) {
    json_t *sides = json_array();
    for (uint32_t i = 0; i < run->n_sides; i++) {
        const struct run_side *side = &run->sides[i];
        json_t *json = json_object();
        put_text(json, "name", side->action->name);
        put_text(json, "state", side_state_text(side->state));
        put_text(json, "previous", side->action->previous);
        put_text(json, "ours", side->action->ours);
        put_some(json, "since_ms", side->since_ms);
        put_text(json, "reason", side->reason);
        json_add(sides, json);
    }
    return sides;
}

/* Also those that are over: somebody who looks later wants to know under which the run went on. */
static json_t *waivers_of(const struct daemon *d, const struct run *run) {
    json_t *list = json_array();
    for (size_t i = 0; i < run->n_waivers; i++) {
        const struct waiver *waiver = &run->waivers[i];
        json_t *json = json_object();
        put_text(json, "member", run->members[waiver->member].order->member);
        put_text(json, "gate", waiver->gate);
        put_text(json, "reason", waiver->reason);
        put_number(json, "until_ms", waiver->until_ms);
        json_put(json, "over", json_boolean(run->state == RUN_ENDED || waiver->until_ms <= daemon_now(d)));
        json_add(list, json);
    }
    return list;
}

static json_t *approvals_of(const struct run *run) {
    struct signed_blob blob;
    struct error err;
    json_t *list = json_array();
    if (signed_blob_decode(&blob, run->plan->plan.header, &err) == 0)
        for (size_t i = 0; i < blob.n_signatures; i++)
            json_add(list, json_fingerprint(&blob.signatures[i].key));
    return list;
}

static json_t *consents_of(const struct run *run) {
    json_t *list = json_array();
    for (size_t i = 0; i < run->plan->header.n_consents; i++)
        json_add(list, json_text_of(run->plan->header.consents[i]));
    return list;
}

/* No member was stopped: as if the run had been refused before it began. */
static bool is_unchanged(const struct run *run) {
    for (uint32_t i = 0; i < run->n_members; i++)
        if (run->members[i].n_stops > 0)
            return false;
    return true;
}

static json_t *outputs_of(const struct run *run) {
    json_t *list = json_array();
    for (size_t i = 0; i < run->n_outputs; i++) {
        const struct run_output *output = &run->outputs[i];
        json_t *object = json_object();
        put_text(object, "member", run->members[output->member].order->member);
        put_text(object, "step", output->step);
        put_text(object, "name", output->name);
        put_text(object, "value", output->value);
        json_add(list, object);
    }
    return list;
}

static void verdict_put(json_t *json, const struct run *run) {
    if (run->state != RUN_ENDED)
        return;
    json_t *verdict = json_object();
    json_put(verdict, "unchanged", json_boolean(is_unchanged(run)));
    put_text(verdict, "result", run_verdict_text(run->verdict));
    put_text(verdict, "text", run->verdict_text);
    json_put(json, "verdict", verdict);
    put_number(json, "ended_ms", run->ended_ms);
}

/* Who is in the way of a run that waits, and until when it may still begin something. */
static void lock_put(json_t *json, const struct run *run) {
    struct run_lock lock;
    if (!engine_run_lock(run, &lock))
        return;
    const struct run *holder = lock.holder;
    json_t *object = json_object();
    put_number(object, "run", holder->id);
    put_text(object, "cluster", holder->plan->header.cluster);
    put_text(object, "state", run_state_text(holder->state));
    put_text(object, "why", lock.reason);
    put_number(object, "since_ms", holder->begun_ms);
    put_number(object, "done", holder->n_state[MEMBER_DONE]);
    put_number(object, "of", run_n_present(holder));
    put_number(object, "begins_until_ms", holder->plan->header.not_after_s * 1000);
    json_put(json, "waits_for", object);
}

static void head_put(const struct daemon *d, json_t *json, const struct run *run) {
    const struct header *header = &run->plan->header;
    char reason[1024];
    engine_explain_run(d->engine, run, reason, sizeof(reason));
    put_number(json, "id", run->id);
    put_text(json, "cluster", header->cluster);
    put_text(json, "system", run->n_members > 0 ? run->members[0].order->system : "");
    put_number(json, "serial", header->serial);
    json_put(json, "plan", json_digest(&run->plan->digest));
    put_text(json, "from", header->from_version);
    put_text(json, "to", header->to_version);
    put_text(json, "strategy", run->plan->shape.strategy);
    put_text(json, "point_of_no_return", run->plan->shape.point_of_no_return);
    put_text(json, "on_abort", run->plan->shape.return_on_abort ? "return" : "leave");
    json_put(json, "behind_no_return", json_boolean(run_is_behind(run)));
    put_text(json, "state", run_state_text(run->state));
    json_put(json, "paused", json_boolean(run->paused));
    json_put(json, "aborting", json_boolean(run->aborting));
    json_put(json, "rollback", json_boolean(run->rollback));
    put_text(json, "reason", reason);
    lock_put(json, run);
    if (header->supersedes)
        put_number(json, "supersedes", header->supersedes);
    put_some(json, "since_ms", run->since_ms);
    put_some(json, "started_ms", run->begun_ms);
    put_text(json, "by", run->by);
    put_text(json, "author", header->author);
    put_text(json, "ticket", header->ticket);
    put_text(json, "plan_reason", header->reason);
    verdict_put(json, run);
}

json_t *json_run(struct daemon *d, const struct run *run, enum json_run_size size, uint64_t after_seq) {
    json_t *json = json_object(), *members;
    head_put(d, json, run);
    json_put(json, "approved_by", approvals_of(run));
    json_put(json, "consents", consents_of(run));
    json_put(json, "budget", budget_of(run));
    json_put(json, "pauses", pauses_of(run));
    json_put(json, "waivers", waivers_of(d, run));
    json_put(json, "outputs", outputs_of(run));
    json_put(json, "waves", waves_of(run));
    json_put(json, "side_actions", sides_of(run));
    json_put(json, "members", members = json_array());
    for (uint32_t i = 0; i < run->n_members; i++)
        json_add(members, member_object(d, run, i));
    if (size == JSON_RUN_SHORT)
        return json;
    json_put(json, "events", events_of(d, run, after_seq));
    if (size == JSON_RUN_WHOLE)
        steps_put(d, run, members);
    return json;
}
