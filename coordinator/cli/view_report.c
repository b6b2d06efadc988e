/* The report of a run, for a change board: what was signed and by whom, what was planned and what happened, who stepped in,
 * and each gate's answer with its age. It only arranges what kedged tells; what is not known is left out. */
#include "coordinator/cli/view.h"

#include <string.h>

static void title(struct buffer *out, const char *text) {
    buffer_format(out, "%s%s\n", out->len ? "\n" : "", text);
}

static void texts(struct buffer *out, const json_t *list, const char *none) {
    for (size_t i = 0; i < json_array_size(list); i++)
        buffer_format(out, "%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
    if (json_array_size(list) == 0)
        buffer_text(out, none);
}

static void field(struct buffer *out, const char *name, const char *text) {
    if (*text)
        buffer_format(out, "  %-12s %s\n", name, text);
}

/* ---- what it was ---- */

static void signatures(struct buffer *out, const json_t *run) {
    size_t i;
    const json_t *key;
    json_array_foreach(json_list(run, "approved_by"), i, key) {
        buffer_format(out, "  %-12s key %s\n", i ? "" : "approved by", json_string_value(key));
    }
    if (json_array_size(json_list(run, "consents")) > 0) {
        buffer_format(out, "  %-12s ", "consents to");
        texts(out, json_list(run, "consents"), "");
        buffer_text(out, "\n");
    }
}

static void budget(struct buffer *out, const json_t *run) {
    _cleanup_(buffer_deinit) struct buffer text = {0};
    view_budget(&text, run);
    field(out, "budget", text.data ? (const char *)text.data : "");
}

static void verdict(struct buffer *out, const json_t *run) {
    const json_t *said = json_object_get(run, "verdict");
    int64_t started = json_number(run, "started_ms"), end = json_number(run, "ended_ms");
    buffer_format(out, "  %-12s %s %s\n", "began", text_time(started).s, text_zone(started).s);
    if (!end) {
        _cleanup_(buffer_deinit) struct buffer state = {0};
        view_run_state(&state, run);
        field(out, "ended", "not yet");
        field(out, "state", state.data ? (const char *)state.data : "");
        field(out, "reason", json_text(run, "reason"));
        return;
    }
    buffer_format(out, "  %-12s %s, after %s\n", "ended", text_time(end).s, text_duration(end - started).s);
    buffer_format(out, "  %-12s %s: %s\n", "verdict", json_text(said, "result"), json_text(said, "text"));
}

static void head(struct buffer *out, const json_t *run) {
    title(out, "CHANGE");
    buffer_format(out, "  %-12s %s: %s -> %s, %s\n", "cluster", json_text(run, "cluster"),
                  json_text(run, "from"), json_text(run, "to"), json_text(run, "strategy"));
    buffer_format(out, "  %-12s serial %lld\n", "plan", (long long)json_number(run, "serial"));
    field(out, "ticket", json_text(run, "ticket"));
    field(out, "reason", json_text(run, "plan_reason"));
    field(out, "made by", json_text(run, "author"));
    signatures(out, run);
    field(out, "applied by", json_text(run, "by"));
    budget(out, run);
    if (strcmp(json_text(run, "on_abort"), "return") == 0)
        field(out, "on abort", "who is changed and not done goes back");
    verdict(out, run);
}

/* ---- planned against actual ---- */

static bool is_way_forward(const char *step) {
    return strcmp(step, "prepare") != 0 && strcmp(step, "return") != 0 && !strchr(step, ' ');
}

/* When the first of its members was changed; 0: none was. */
static int64_t member_began(const json_t *member) {
    size_t i;
    const json_t *step;
    json_array_foreach(json_list(member, "steps"), i, step) {
        if (is_way_forward(json_text(step, "step")))
            return json_number(step, "sent_ms");
    }
    return 0;
}

struct wave_sum {
    size_t n, n_done, n_back;
    int64_t began_ms;
};

static struct wave_sum wave_sum(const json_t *run, const json_t *wave) {
    struct wave_sum sum = {0};
    size_t i;
    const json_t *name;
    json_array_foreach(json_list(wave, "members"), i, name) {
        const json_t *member = view_run_member(run, json_string_value(name));
        int64_t began = member_began(member);
        sum.n++;
        sum.n_done += strcmp(json_text(member, "state"), "done") == 0;
        sum.n_back += strcmp(json_text(member, "state"), "back") == 0;
        if (began && (!sum.began_ms || began < sum.began_ms))
            sum.began_ms = began;
    }
    return sum;
}

static void waves(struct buffer *out, const json_t *run) {
    static const char *const titles[] = {"  WAVE", "PLANNED",  ">AT ONCE", ">SOAK, READ-ONLY",
                                         ">SOAK",  "ACTUALLY", "BEGAN",    NULL};
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    size_t i;
    const json_t *wave;
    const char *inconclusive = "";
    title(out, "WAVES, PLANNED AND ACTUAL");
    json_array_foreach(json_list(run, "waves"), i, wave) {
        struct wave_sum sum = wave_sum(run, wave);
        int64_t read_only = json_number(wave, "soak_read_only_ms");
        table_format(&table, COLOUR_NONE, "  %s", json_text(wave, "name"));
        table_format(&table, COLOUR_NONE, "%zu member%s", sum.n, sum.n == 1 ? "" : "s");
        table_format(&table, COLOUR_NONE, "%lld", (long long)json_number(wave, "limit"));
        table_cell(&table, read_only ? text_duration(read_only).s : "", COLOUR_NONE);
        table_cell(&table, text_duration(json_number(wave, "soak_ms")).s, COLOUR_NONE);
        bool back = sum.n_back > 0 && sum.n_done == 0;
        table_format(&table, COLOUR_NONE, "%zu of %zu %s", back ? sum.n_back : sum.n_done, sum.n,
                     back ? "back" : "done");
        table_cell(&table, sum.began_ms ? text_clock(sum.began_ms).s : "not begun", COLOUR_NONE);
        inconclusive =
            *json_text(wave, "on_inconclusive") ? json_text(wave, "on_inconclusive") : inconclusive;
    }
    view_table(out, &table);
    if (*inconclusive)
        buffer_format(out, "  a canary that stays unknown never passes: %s\n",
                      strcmp(inconclusive, "return") == 0 ? "the canaries are returned" : "the run pauses");
}

static void interval_cell(struct table *table, int64_t us) {
    table_cell(table, us ? text_interval_us(us).s : "", COLOUR_NONE);
}

/* All its stops together, by its agent's reports; the last one alone when they are not told. */
static int64_t interruption_us(const json_t *member) {
    int64_t sum = 0;
    size_t i;
    const json_t *step;
    json_array_foreach(json_list(member, "steps"), i, step) {
        sum += json_number(step, "interruption_us");
    }
    return sum ? sum : json_number(member, "interruption_us");
}

static void member_row(struct table *table, const json_t *run, const json_t *member) {
    int64_t began = member_began(member);
    table_format(table, COLOUR_NONE, "  %s", view_member_name(run, json_text(member, "name")));
    table_cell(table, json_text(member, "to"), COLOUR_NONE);
    table_cell(table, json_text(member, "version"), COLOUR_NONE);
    table_cell(table, json_text(member, "mode"), COLOUR_NONE);
    table_cell(table, json_text(member, "state"), COLOUR_NONE);
    table_cell(table, began ? text_clock(began).s : "", COLOUR_NONE);
    table_format(table, COLOUR_NONE, "%lld", (long long)json_number(member, "stops"));
    interval_cell(table, interruption_us(member));
    interval_cell(table, json_number(member, "evidence_age_us"));
}

static void members(struct buffer *out, const json_t *run) {
    static const char *const titles[] = {"  MEMBER", "PLANNED", "RUNS",         "MODE",      "STATE",
                                         "BEGAN",    ">STOPS",  ">INTERRUPTED", ">EVIDENCE", NULL};
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    size_t i;
    const json_t *member;
    title(out, "MEMBERS, PLANNED AND ACTUAL");
    json_array_foreach(json_list(run, "members"), i, member) member_row(&table, run, member);
    view_table(out, &table);
}

/* ---- who stepped in, and what was changed beside the members ---- */

static void words(struct buffer *out, const json_t *run) {
    static const char *const titles[] = {"  AT", "WORD", "BY", "WHY", NULL};
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    size_t i;
    const json_t *event;
    json_array_foreach(json_list(run, "events"), i, event) {
        const char *member = view_member_name(run, json_text(event, "member")),
                   *why = json_text(event, "why");
        if (!*json_text(event, "word"))
            continue;
        table_format(&table, COLOUR_NONE, "  %s", text_clock(json_number(event, "at_ms")).s);
        table_cell(&table, json_text(event, "word"), COLOUR_NONE);
        table_cell(&table, json_text(event, "by"), COLOUR_NONE);
        table_format(&table, COLOUR_NONE, "%s%s%s", member, *member && *why ? ": " : "", why);
    }
    title(out, "WORDS OF OPERATORS, AND PAUSES");
    if (table.n_rows > 0)
        view_table(out, &table);
    else
        buffer_text(out, "  none\n");
}

static void side_actions(struct buffer *out, const json_t *run) {
    static const char *const titles[] = {"  NAME", "PREVIOUS", "OURS", "STATE", "SINCE", "REASON", NULL};
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    size_t i;
    const json_t *side;
    title(out, "SIDE ACTIONS ON THE CLUSTER");
    json_array_foreach(json_list(run, "side_actions"), i, side) {
        int64_t since = json_number(side, "since_ms");
        table_format(&table, COLOUR_NONE, "  %s", json_text(side, "name"));
        table_cell(&table, json_text(side, "previous"), COLOUR_NONE);
        table_cell(&table, json_text(side, "ours"), COLOUR_NONE);
        table_cell(&table, json_text(side, "state"), COLOUR_NONE);
        table_cell(&table, since ? text_clock(since).s : "", COLOUR_NONE);
        table_cell(&table, json_text(side, "reason"), COLOUR_NONE);
    }
    if (table.n_rows > 0)
        view_table(out, &table);
    else
        buffer_text(out, "  none\n");
}

/* ---- each member, each gate ---- */

static void evidence(struct buffer *out, const json_t *step) {
    size_t i;
    const json_t *gate;
    json_array_foreach(json_list(step, "evidence"), i, gate) {
        buffer_format(out, "      %-8s%s", json_text(gate, "answer"), json_text(gate, "gate"));
        if (json_has(gate, "age_us"))
            buffer_format(out, ", %s old", text_interval_us(json_number(gate, "age_us")).s);
        buffer_format(out, "%s%s\n", *json_text(gate, "reason") ? ": " : "", json_text(gate, "reason"));
    }
}

static void step_lines(struct buffer *out, const json_t *step) {
    int64_t sent = json_number(step, "sent_ms"), end = json_number(step, "ended_ms");
    buffer_format(out, "    %s  %-20s  %s", text_clock(sent).s, json_text(step, "step"),
                  *json_text(step, "outcome") ? json_text(step, "outcome") : "under way");
    if (end && sent)
        buffer_format(out, " after %s", text_interval_us((end - sent) * 1000).s);
    if (json_number(step, "interruption_us"))
        buffer_format(out, ", interrupted %s, evidence %s old at the stop",
                      text_interval_us(json_number(step, "interruption_us")).s,
                      text_interval_us(json_number(step, "evidence_age_us")).s);
    if (*json_text(step, "reason"))
        buffer_format(out, ": %s", json_text(step, "reason"));
    buffer_text(out, "\n");
    evidence(out, step);
}

/* "return" and side actions are in every order, for the case. */
static void planned_steps(struct buffer *out, const json_t *steps) {
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const char *name = json_string_value(json_array_get(steps, i));
        if (name && strcmp(name, "return") != 0 && !strchr(name, ' '))
            buffer_format(out, "%s%s", n++ ? ", " : "", name);
    }
    buffer_text(out, n ? "" : "nothing");
}

static void done_steps(struct buffer *out, const json_t *steps) {
    size_t i, n = 0;
    const json_t *step;
    json_array_foreach(steps, i, step) {
        const char *name = json_text(step, "step"), *outcome = json_text(step, "outcome");
        bool done = strcmp(outcome, "done") == 0;
        buffer_format(out, "%s%s%s%s%s", n++ ? ", " : "", name, done ? "" : " (",
                      done       ? ""
                      : *outcome ? outcome
                                 : "under way",
                      done ? "" : ")");
    }
    buffer_text(out, n ? "" : "nothing");
}

static void member_lines(struct buffer *out, const json_t *run, const json_t *member) {
    buffer_format(out, "\n  %s on %s", view_member_name(run, json_text(member, "name")),
                  json_text(member, "node"));
    if (*json_text(member, "domain"))
        buffer_format(out, ", %s", json_text(member, "domain"));
    if (*json_text(member, "wave"))
        buffer_format(out, ", wave %s", json_text(member, "wave"));
    buffer_format(out, "\n    planned   %s -> %s: ", json_text(member, "from"), json_text(member, "to"));
    planned_steps(out, json_list(member, "planned"));
    buffer_text(out, "\n    actually  ");
    done_steps(out, json_list(member, "steps"));
    buffer_format(out, "\n    now       %s, %s on %s, generation %lld\n", json_text(member, "state"),
                  json_text(member, "mode"), json_text(member, "version"),
                  (long long)json_number(member, "generation"));
    if (*json_text(member, "reason"))
        buffer_format(out, "    reason    %s\n", json_text(member, "reason"));
    size_t i;
    const json_t *step;
    json_array_foreach(json_list(member, "steps"), i, step) step_lines(out, step);
}

static void events(struct buffer *out, const json_t *run) {
    size_t i;
    const json_t *event;
    title(out, "ALL EVENTS");
    json_array_foreach(json_list(run, "events"), i, event) {
        buffer_text(out, "  ");
        view_event(out, run, event);
    }
}

/* What named actions have put out, for those who look for the backup. */
static void outputs(struct buffer *out, const json_t *run) {
    static const char *const titles[] = {"  MEMBER", "ACTION", "NAME", "VALUE", NULL};
    _cleanup_(table_deinit) struct table table = {0};
    size_t i;
    const json_t *output;
    if (json_array_size(json_list(run, "outputs")) == 0)
        return;
    table_init(&table, titles);
    title(out, "PUT OUT BY ACTIONS");
    json_array_foreach(json_list(run, "outputs"), i, output) {
        table_format(&table, COLOUR_NONE, "  %s", view_member_name(run, json_text(output, "member")));
        table_cell(&table, json_text(output, "step"), COLOUR_NONE);
        table_cell(&table, json_text(output, "name"), COLOUR_NONE);
        table_cell(&table, json_text(output, "value"), COLOUR_NONE);
    }
    view_table(out, &table);
}

void view_report(struct buffer *out, const json_t *run) {
    _cleanup_(buffer_deinit) struct buffer body = {0};
    size_t i;
    const json_t *member;
    head(&body, run);
    waves(&body, run);
    members(&body, run);
    words(&body, run);
    side_actions(&body, run);
    outputs(&body, run);
    title(&body, "STEPS AND GATES OF EACH MEMBER");
    json_array_foreach(json_list(run, "members"), i, member) member_lines(&body, run, member);
    events(&body, run);
    report_pages(out, run, &body);
}
