/* One rehearsal for people and for programs. Both are made from the same notes and figures; the text leaves out what a
 * column says already. */
#include "coordinator/cli/rehearse.h"
#include "coordinator/control/plan_words.h"

#include <string.h>

const char *rehearse_member(const struct rehearse *asked, const char *name) {
    size_t n = strlen(asked->plan->header.cluster);
    return strncmp(name, asked->plan->header.cluster, n) == 0 && name[n] == '/' ? name + n + 1 : name;
}

const char *rehearse_end_text(const struct rehearsal_rest *rest) {
    return !rest->is          ? "never began"
           : rest->ended      ? rest->verdict
           : rest->paused     ? "PAUSED"
           : rest->unapproved ? "WAITS"
                              : "NEITHER ENDED NOR PAUSED";
}

int rehearse_exit(const struct rehearsal_result *result) {
    const struct rehearsal_rest *rest = &result->rest;
    if (result->failed)
        return EXIT_FAILED;
    if (!rest->is || !rest->ended)
        return EXIT_UNFINISHED;
    return strcmp(rest->verdict, "done") == 0 ? EXIT_DONE : EXIT_FAILED;
}

bool rehearse_wants_approval(const struct verified_plan *plan) {
    for (size_t i = 0; i + 1 < plan->shape.n_waves; i++)
        if (plan->shape.waves[i].approval)
            return true;
    return false;
}

static void print_clean(const char *text) {
    _cleanup_(freep) char *clean = text_clean(text, false);
    fputs(clean ? clean : "?", stdout);
}

/* ---- head ---- */

/* Gates of one name differ in what they ask of which member; the model makes the same of them. */
static bool gate_was_said(const struct verified_plan *plan, size_t gate) {
    for (size_t i = 0; i < gate; i++)
        if (strcmp(plan->gates[i].name, plan->gates[gate].name) == 0 &&
            strcmp(rehearsal_gate_model(plan, i), rehearsal_gate_model(plan, gate)) == 0)
            return true;
    return false;
}

static void gates_print(const struct verified_plan *plan) {
    size_t width = 0;
    for (size_t i = 0; i < plan->n_gates; i++) {
        size_t n = text_width(plan->gates[i].name);
        width = n > width ? n : width;
    }
    printf("gates, as the model answers them:\n");
    for (size_t i = 0; i < plan->n_gates; i++) {
        if (gate_was_said(plan, i))
            continue;
        printf("  ");
        print_clean(plan->gates[i].name);
        printf("%*s  ", (int)(width - text_width(plan->gates[i].name)), "");
        rehearse_text_print(rehearsal_gate_model(plan, i), width + 4, COLOUR_NONE);
    }
}

void rehearse_head(const struct rehearse *asked) {
    const struct verified_plan *plan = asked->plan;
    const struct header *h = &plan->header;
    const struct rehearsal_pace *pace = &asked->pace;
    char digest[KEDGE_DIGEST_TEXT_SIZE];
    digest_format(digest, &plan->digest);
    printf("%sREHEARSAL%s of ", colour_on(COLOUR_STRONG), colour_off());
    print_clean(asked->path);
    printf(": %s %s -> %s, %s, %zu members, serial %llu\nplan %s\n", h->cluster, h->from_version,
           h->to_version, plan->shape.strategy, plan->n_orders, (unsigned long long)h->serial, digest);
    printf(
        "The real engine and the agents' real machines against a model of the cluster, all in this process:\n"
        "nothing is sent and nothing is changed anywhere.\n");
    printf("assumed: a release is prepared in %s, a service stops in %s and starts in %s, the cluster "
           "catches up in %s\n",
           text_duration((int64_t)pace->prepare_us / 1000).s, text_duration((int64_t)pace->stop_us / 1000).s,
           text_duration((int64_t)pace->start_us / 1000).s, text_duration((int64_t)pace->heal_us / 1000).s);
    if (rehearse_wants_approval(plan) && asked->approve_us == UINT64_MAX)
        printf("assumed: nobody approves the canary\n");
    else if (rehearse_wants_approval(plan))
        printf("assumed: an operator approves the canary %s after it is done\n",
               text_duration((int64_t)asked->approve_us / 1000).s);
    printf("on abort: %s\n", words_on_abort(&plan->shape));
    gates_print(asked->plan);
    for (size_t i = 0; i < asked->n_items; i++)
        printf("wanted: %s\n", asked->items[i].says);
    if (asked->one)
        printf("random faults: seed %llu\n", (unsigned long long)asked->seed);
}

/* ---- summary ---- */

static void members_print(const struct rehearse *asked, const struct rehearsed *done) {
    static const char *const titles[] = {"MEMBER", ">STOPPED", ">AWAY", "RUNS", "MODE", "STATE", NULL};
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    for (size_t i = 0; i < asked->plan->n_orders; i++) {
        const struct rehearsal_member *m = &done->members[i];
        const struct work_order *order = asked->plan->orders[i];
        table_cell(&table, rehearse_member(asked, order->member), COLOUR_NONE);
        table_format(&table, COLOUR_NONE, "%u", m->n_stops);
        table_cell(&table, text_duration((int64_t)m->away_us / 1000).s, COLOUR_NONE);
        table_cell(&table, m->version && *m->version ? m->version : "-", COLOUR_NONE);
        table_cell(&table, m->mode, COLOUR_NONE);
        table_cell(&table, m->state, COLOUR_NONE);
    }
    table_print(&table, stdout);
}

static void window_print(const struct rehearse *asked, const struct rehearsed *done) {
    const struct header *h = &asked->plan->header;
    uint64_t begin_s = h->created_s > h->not_before_s ? h->created_s : h->not_before_s;
    uint64_t window_s = h->not_after_s > begin_s ? h->not_after_s - begin_s : 0;
    if (h->not_after_s && window_s < done->result.rest.after_us / 1000000)
        printf("%sthe plan's own window is shorter: %s%s\n", colour_on(COLOUR_BAD),
               text_duration((int64_t)window_s * 1000).s, colour_off());
}

static void broken_print(const struct rehearsed *done) {
    printf("%sBROKEN: what must always hold (docs/map.md) did not: %s%s\n", colour_on(COLOUR_BAD),
           done->result.what, colour_off());
}

/* What the word before says already is not said again. */
static const char *without(const char *text, const char *beginning) {
    size_t n = strlen(beginning);
    return strncmp(text, beginning, n) == 0 ? text + n : text;
}

void rehearse_summary(const struct rehearse *asked, const struct rehearsed *done) {
    const struct rehearsal_rest *rest = &done->result.rest;
    printf("\nwhole time  %s%s\nat once     %u away at most\n\n",
           text_duration((int64_t)rest->after_us / 1000).s, rest->ended ? "" : ", until here",
           done->most_away);
    members_print(asked, done);
    window_print(asked, done);
    for (size_t i = 0; i < asked->n_items; i++)
        if (!asked->struck[i])
            printf("%swanted and never came to it: %s%s\n", colour_on(COLOUR_WARN), asked->items[i].says,
                   colour_off());
    if (done->result.failed)
        broken_print(done);
    const char *end = rehearse_end_text(rest);
    printf("\n%sEND%s  %s: ", colour_on(COLOUR_STRONG), colour_off(), end);
    rehearse_text_print(without(rest->text, rest->paused       ? "paused: "
                                            : rest->unapproved ? "waits "
                                                               : ""),
                        strlen("END  : ") + strlen(end), COLOUR_NONE);
    if (!rest->ended && done->result.ended)
        printf("     %s with all faults mended, and aborted if that did not help, it ends: %s\n",
               rest->unapproved ? "approved" : "resumed", done->result.verdict);
}

/* ---- JSON ---- */

json_t *rehearse_head_json(const struct rehearse *asked) {
    const struct header *h = &asked->plan->header;
    const struct rehearsal_pace *pace = &asked->pace;
    char digest[KEDGE_DIGEST_TEXT_SIZE];
    digest_format(digest, &asked->plan->digest);
    json_t *gates = json_array(), *wanted = json_array();
    for (size_t i = 0; i < asked->plan->n_gates; i++)
        json_array_append_new(gates, json_pack("{s:s, s:s}", "gate", asked->plan->gates[i].name, "model",
                                               rehearsal_gate_model(asked->plan, i)));
    for (size_t i = 0; i < asked->n_items; i++)
        json_array_append_new(wanted, json_string(asked->items[i].says));
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:{s:I, s:I, s:I, s:I}, s:o}", "file", asked->path,
        "digest", digest, "cluster", h->cluster, "serial", (json_int_t)h->serial, "from", h->from_version,
        "to", h->to_version, "strategy", asked->plan->shape.strategy, "gates", gates, "assumed", "prepare_ms",
        (json_int_t)pace->prepare_us / 1000, "stop_ms", (json_int_t)pace->stop_us / 1000, "start_ms",
        (json_int_t)pace->start_us / 1000, "heal_ms", (json_int_t)pace->heal_us / 1000, "wanted", wanted);
    if (rehearse_wants_approval(asked->plan))
        json_object_set_new(json_object_get(json, "assumed"), "approve_ms",
                            asked->approve_us == UINT64_MAX
                                ? json_null()
                                : json_integer((json_int_t)asked->approve_us / 1000));
    json_object_set_new(json, "on_abort",
                        json_string(asked->plan->shape.return_on_abort ? "return" : "leave"));
    if (asked->one)
        json_object_set_new(json, "seed", json_integer((json_int_t)asked->seed));
    return json;
}

json_t *rehearse_note_json(const struct rehearse *asked, const struct rehearsal_note *note) {
    (void)asked;
    _cleanup_(freep) char *text = text_clean(note->text, false);
    return json_pack("{s:I, s:s, s:s, s:s, s:s}", "after_ms", (json_int_t)note->after_us / 1000, "kind",
                     note_kind_text(note->kind), "wave", note->wave, "member", note->member, "text",
                     text ? text : "");
}

json_t *rehearse_summary_json(const struct rehearse *asked, const struct rehearsed *done) {
    const struct rehearsal_rest *rest = &done->result.rest;
    json_t *members = json_array(), *missed = json_array();
    for (size_t i = 0; i < asked->plan->n_orders; i++) {
        const struct rehearsal_member *m = &done->members[i];
        const struct work_order *order = asked->plan->orders[i];
        json_array_append_new(members,
                              json_pack("{s:s, s:I, s:I, s:s, s:s, s:s}", "name", order->member, "stops",
                                        (json_int_t)m->n_stops, "away_ms", (json_int_t)m->away_us / 1000,
                                        "version", m->version ? m->version : "", "mode",
                                        m->mode ? m->mode : "", "state", m->state ? m->state : ""));
    }
    for (size_t i = 0; i < asked->n_items; i++)
        if (!asked->struck[i])
            json_array_append_new(missed, json_string(asked->items[i].says));
    json_t *json = json_pack(
        "{s:I, s:I, s:o, s:o, s:{s:s, s:b, s:b, s:s}}", "whole_ms", (json_int_t)rest->after_us / 1000,
        "most_away", (json_int_t)done->most_away, "members", members, "never_came", missed, "end", "result",
        rehearse_end_text(rest), "ended", rest->ended, "paused", rest->paused, "text", rest->text);
    if (done->result.failed)
        json_object_set_new(json, "broken", json_string(done->result.what));
    return json;
}
