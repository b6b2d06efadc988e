/* The report of a run, for the change ticket: what was signed, what was planned, what happened, with what evidence. */
#include "coordinator/cli/view.h"

#include <string.h>

static void texts(struct buffer *out, const json_t *list, const char *none) {
    for (size_t i = 0; i < json_array_size(list); i++)
        buffer_format(out, "%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
    if (json_array_size(list) == 0)
        buffer_text(out, none);
}

static void head(struct buffer *out, const json_t *run) {
    int64_t started = json_number(run, "started_ms"), end = json_number(run, "ended_ms");
    buffer_format(out, "REPORT of run %lld\n\n", (long long)json_number(run, "id"));
    buffer_format(out, "cluster      %s, %s -> %s, %s\n", json_text(run, "cluster"), json_text(run, "from"),
                  json_text(run, "to"), json_text(run, "strategy"));
    buffer_format(out, "plan         %s, serial %lld\n", json_text(run, "plan"),
                  (long long)json_number(run, "serial"));
    if (*json_text(run, "ticket"))
        buffer_format(out, "ticket       %s\n", json_text(run, "ticket"));
    buffer_format(out, "made by      %s\napproved by  ", json_text(run, "author"));
    texts(out, json_list(run, "approved_by"), "nobody");
    buffer_format(out, "\napplied by   %s\nbegan        %s\n", json_text(run, "by"), text_time(started).s);
    if (end)
        buffer_format(out, "ended        %s, after %s\n", text_time(end).s, text_duration(end - started).s);
    else
        buffer_text(out, "ended        not yet\n");
    const json_t *verdict = json_object_get(run, "verdict");
    if (end)
        buffer_format(out, "verdict      %s%s%s: %s\n", colour_on(view_run_colour(run)),
                      json_text(verdict, "result"), colour_off(), json_text(verdict, "text"));
}

static void evidence(struct buffer *out, const json_t *step) {
    size_t i;
    const json_t *gate;
    json_array_foreach(json_list(step, "evidence"), i, gate) {
        buffer_format(out, "      %-7s %s%s%s", json_text(gate, "answer"), json_text(gate, "gate"),
                      *json_text(gate, "reason") ? ": " : "", json_text(gate, "reason"));
        if (json_has(gate, "age_us"))
            buffer_format(out, " (%s old)", text_interval_us(json_number(gate, "age_us")).s);
        buffer_text(out, "\n");
    }
}

static void step_lines(struct buffer *out, const json_t *step) {
    int64_t sent = json_number(step, "sent_ms"), end = json_number(step, "ended_ms");
    buffer_format(out, "    %s  %s: %s", text_clock(sent).s, json_text(step, "step"),
                  *json_text(step, "outcome") ? json_text(step, "outcome") : "under way");
    if (end && sent)
        buffer_format(out, " after %s", text_interval_us((end - sent) * 1000).s);
    if (json_number(step, "interruption_us"))
        buffer_format(out, ", interrupted %s, evidence %s old",
                      text_interval_us(json_number(step, "interruption_us")).s,
                      text_interval_us(json_number(step, "evidence_age_us")).s);
    if (*json_text(step, "reason"))
        buffer_format(out, ": %s", json_text(step, "reason"));
    buffer_text(out, "\n");
    evidence(out, step);
}

/* The steps of the way forward; "return" and side actions are in every order, for the case. */
static void planned(struct buffer *out, const json_t *steps) {
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const char *name = json_string_value(json_array_get(steps, i));
        if (name && strcmp(name, "return") != 0 && !strchr(name, ' '))
            buffer_format(out, "%s%s", n++ ? ", " : "", name);
    }
    buffer_text(out, n ? "" : "nothing");
}

static void member_lines(struct buffer *out, const json_t *run, const json_t *member) {
    buffer_format(out, "\n%s on %s", view_member_name(run, json_text(member, "name")),
                  json_text(member, "node"));
    if (*json_text(member, "domain"))
        buffer_format(out, ", %s", json_text(member, "domain"));
    buffer_format(out, ", wave %s\n  planned  %s -> %s: ", json_text(member, "wave"),
                  json_text(member, "from"), json_text(member, "to"));
    planned(out, json_list(member, "planned"));
    buffer_format(out, "\n  actual   %s, %s on %s, generation %lld, stopped %lld times\n",
                  json_text(member, "state"), json_text(member, "mode"), json_text(member, "version"),
                  (long long)json_number(member, "generation"), (long long)json_number(member, "stops"));
    if (*json_text(member, "reason"))
        buffer_format(out, "  reason   %s\n", json_text(member, "reason"));
    size_t i;
    const json_t *step;
    json_array_foreach(json_list(member, "steps"), i, step) step_lines(out, step);
}

void view_report(struct buffer *out, const json_t *run) {
    size_t i;
    const json_t *item;
    head(out, run);
    json_array_foreach(json_list(run, "members"), i, item) member_lines(out, run, item);
    if (json_array_size(json_list(run, "side_actions")) > 0)
        buffer_text(out, "\nside actions\n");
    json_array_foreach(json_list(run, "side_actions"), i, item) {
        buffer_format(out, "  %s: %s, ours %s, previous %s\n", json_text(item, "name"),
                      json_text(item, "state"), json_text(item, "ours"), json_text(item, "previous"));
    }
    if (json_array_size(json_list(run, "events")) > 0)
        buffer_text(out, "\nevents\n");
    json_array_foreach(json_list(run, "events"), i, item) {
        buffer_text(out, "  ");
        view_event(out, run, item);
    }
}
