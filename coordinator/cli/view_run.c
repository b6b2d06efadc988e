/* The view of a run. A person who looks at it wants to know, in this order: does it go on; if not, why, since when, and
 * what happens if nobody does anything; what has been done; is anything held open. */
#include "coordinator/cli/view.h"

#include <ctype.h>
#include <string.h>

enum { LIVE_GATES = 3, LIVE_WAITS = 2, LIVE_MEMBERS = 14 };

const char *view_member_name(const json_t *run, const char *name) {
    const char *cluster = json_text(run, "cluster");
    size_t n = strlen(cluster);
    return n > 0 && strncmp(name, cluster, n) == 0 && name[n] == '/' ? name + n + 1 : name;
}

static void line(struct buffer *out, enum colour colour, const char *text) {
    buffer_format(out, "%s%s%s\n", colour_on(colour), text, colour ? colour_off() : "");
}

/* ---- head ---- */

static bool ended(const json_t *run) {
    return json_number(run, "ended_ms") > 0;
}

enum colour view_run_colour(const json_t *run) {
    const char *result = json_text(json_object_get(run, "verdict"), "result");
    if (ended(run))
        return strcmp(result, "done") == 0 ? COLOUR_GOOD : COLOUR_BAD;
    return json_yes(run, "paused") || json_yes(run, "aborting") ? COLOUR_WARN : COLOUR_NONE;
}

void view_run_state(struct buffer *out, const json_t *run) {
    if (ended(run)) {
        buffer_format(out, "ENDED: %s", json_text(json_object_get(run, "verdict"), "result"));
        return;
    }
    if (json_yes(run, "aborting"))
        buffer_text(out, "ABORTING, ");
    else if (json_yes(run, "rollback"))
        buffer_text(out, "ROLLING BACK, ");
    else if (json_yes(run, "paused"))
        buffer_text(out, "PAUSED, ");
    for (const char *c = json_text(run, "state"); *c; c++) {
        char upper = (char)toupper((unsigned char)*c);
        buffer_append(out, &upper, 1);
    }
}

/* After a word about a member: it may have taken one reason away, and left others. */
void view_still_paused(struct buffer *out, const json_t *run) {
    size_t i;
    const json_t *pause;
    json_array_foreach(json_list(run, "pauses"), i, pause) {
        buffer_format(out, "%sstill paused: %s", "\n", json_text(pause, "text"));
    }
    if (i > 0)
        buffer_text(out, "\n`kedge run resume` lets it go on");
}

/* All reasons, a line each: who resumes it must have read them. */
static void pauses(struct buffer *out, const json_t *run) {
    size_t i;
    const json_t *pause;
    json_array_foreach(json_list(run, "pauses"), i, pause) {
        buffer_format(out, "%spaused: %s%s\n", colour_on(COLOUR_WARN), json_text(pause, "text"),
                      colour_off());
    }
}

static void head(struct buffer *out, const json_t *run, int64_t now_ms) {
    int64_t started = json_number(run, "started_ms"),
            end = ended(run) ? json_number(run, "ended_ms") : now_ms;
    struct short_text lasted = text_duration(end - started);
    buffer_format(out, "%srun %lld  %s  %s -> %s%s  %s  ", colour_on(COLOUR_STRONG),
                  (long long)json_number(run, "id"), json_text(run, "cluster"), json_text(run, "from"),
                  json_text(run, "to"), colour_off(), json_text(run, "strategy"));
    buffer_text(out, colour_on(view_run_colour(run)));
    view_run_state(out, run);
    buffer_format(out, "%s, %s\n", colour_off(), lasted.s);
    const char *reason = json_text(run, "reason");
    size_t n = strlen(reason);
    bool told_below = n > 6 && strcmp(reason + n - 6, " waits") == 0;
    if (json_array_size(json_list(run, "pauses")) > 0)
        pauses(out, run);
    else if (n > 0 && !ended(run) && !told_below)
        line(out, json_yes(run, "paused") ? COLOUR_WARN : COLOUR_DIM, reason);
}

static void no_return(struct buffer *out, const json_t *run) {
    const char *text = json_text(run, "point_of_no_return");
    if (strcmp(json_text(run, "strategy"), "downtime") == 0 && *text && !ended(run))
        buffer_format(out, "point of no return (%s): %s\n",
                      json_yes(run, "behind_no_return") ? "PASSED" : "not reached", text);
}

/* Who holds the cluster: since when, how far it is, and when it ends. */
static void lock(struct buffer *out, const json_t *run, int64_t now_ms) {
    const json_t *holder = json_object_get(run, "waits_for");
    if (!holder)
        return;
    int64_t run_id = json_number(holder, "run");
    buffer_format(
        out,
        "lock: held by run %lld of cluster %s for %s, %lld of %lld members done; it begins nothing after %s; "
        "kedge run show %lld says what it waits for\n",
        (long long)run_id, json_text(holder, "cluster"),
        text_duration(now_ms - json_number(holder, "since_ms")).s, (long long)json_number(holder, "done"),
        (long long)json_number(holder, "of"), text_time(json_number(holder, "begins_until_ms")).s,
        (long long)run_id);
}

static bool member_is_over(const json_t *member) {
    static const char *const words[] = {"done", "failed", "returned", "held", "back", "skipped", "retired"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(json_text(member, "state"), words[i]) == 0)
            return true;
    return false;
}

const json_t *view_run_member(const json_t *run, const char *name) {
    size_t i;
    const json_t *member;
    json_array_foreach(json_list(run, "members"), i, member) {
        if (strcmp(json_text(member, "name"), name) == 0)
            return member;
    }
    return NULL;
}

static void waves(struct buffer *out, const json_t *run) {
    size_t i, m;
    const json_t *wave, *name;
    const json_t *list = json_list(run, "waves");
    json_array_foreach(list, i, wave) {
        size_t n_over = 0, n = json_array_size(json_list(wave, "members"));
        json_array_foreach(json_list(wave, "members"), m, name) {
            const json_t *member = view_run_member(run, json_string_value(name));
            n_over += member && member_is_over(member);
        }
        buffer_format(out, "%swave %s %zu of %zu, %lld at once", i ? "   " : "", json_text(wave, "name"),
                      n_over, n, (long long)json_number(wave, "limit"));
    }
    if (json_array_size(list) > 0)
        buffer_text(out, "\n");
}

/* ---- members ---- */

static enum colour member_colour(const json_t *member) {
    const char *state = json_text(member, "state");
    if (strcmp(state, "done") == 0)
        return COLOUR_GOOD;
    if (strcmp(state, "held") == 0 || strcmp(state, "failed") == 0 || strcmp(state, "returned") == 0)
        return COLOUR_BAD;
    if (view_waits(member))
        return COLOUR_WARN;
    return strcmp(state, "planned") == 0 || strcmp(state, "prepared") == 0 ? COLOUR_DIM : COLOUR_NONE;
}

static void soak_cell(struct table *table, const json_t *member, int64_t now_ms) {
    const json_t *soak = json_object_get(member, "soak");
    int64_t until = json_number(soak, "until_ms"), of = json_number(soak, "of_ms");
    if (of == 0)
        table_cell(table, "", COLOUR_NONE);
    else if (until == 0)
        table_format(table, COLOUR_WARN, "%s, not begun", text_duration(of).s);
    else
        table_format(table, COLOUR_NONE, "%s left", text_duration(until - now_ms).s);
}

static void member_row(struct table *table, const json_t *run, const json_t *member, int64_t now_ms) {
    const char *mode = json_text(member, "mode"), *origin = json_text(member, "origin");
    int64_t since = json_number(member, "since_ms"), interruption = json_number(member, "interruption_us");
    bool by = *origin && strcmp(origin, "none") != 0 && strcmp(mode, "read-write") != 0;
    table_cell(table, view_member_name(run, json_text(member, "name")), COLOUR_NONE);
    table_cell(table,
               *json_text(member, "headline") ? json_text(member, "headline") : json_text(member, "state"),
               member_colour(member));
    table_cell(table, since && !ended(run) ? text_duration(now_ms - since).s : "", COLOUR_NONE);
    table_format(table, COLOUR_NONE, "%s%s%s", mode, by ? " by " : "", by ? origin : "");
    table_cell(table, json_text(member, "version"), COLOUR_NONE);
    table_cell(table, interruption ? text_interval_us(interruption).s : "", COLOUR_NONE);
    soak_cell(table, member, now_ms);
}

void view_table(struct buffer *out, const struct table *table) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file) {
        table_print(table, file);
        fclose(file);
        buffer_append(out, text, size);
    }
    free(text);
}

static void members(struct buffer *out, const json_t *run, int64_t now_ms, enum view_size size) {
    static const char *const titles[] = {"MEMBER",  "STATE",        "SINCE", "MODE",
                                         "VERSION", ">INTERRUPTED", "SOAK",  NULL};
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    const json_t *list = json_list(run, "members");
    size_t i, n = json_array_size(list), n_left_out = 0;
    const json_t *member;
    json_array_foreach(list, i, member) {
        /* With too many for a screen, those that are done or untouched are counted only. */
        bool dull = !view_waits(member) &&
                    (member_is_over(member) || strcmp(json_text(member, "state"), "planned") == 0 ||
                     strcmp(json_text(member, "state"), "prepared") == 0);
        if (size == VIEW_LIVE && n > LIVE_MEMBERS && dull && member_colour(member) != COLOUR_BAD)
            n_left_out++;
        else
            member_row(&table, run, member, now_ms);
    }
    view_table(out, &table);
    if (n_left_out > 0)
        buffer_format(out, "%s(%zu more: done, or not begun)%s\n", colour_on(COLOUR_DIM), n_left_out,
                      colour_off());
}

/* ---- who waits, and why ---- */

/* Every member has a headline and a "then"; those wait that something keeps from going on. */
bool view_waits(const json_t *member) {
    size_t i;
    const json_t *gate;
    if (member_is_over(member) || !*json_text(member, "then"))
        return false;
    json_array_foreach(json_list(member, "gates"), i, gate) {
        if (strcmp(json_text(gate, "answer"), "yes") != 0)
            return true;
    }
    return false;
}

static enum colour answer_colour(const char *answer) {
    return strcmp(answer, "yes") == 0 ? COLOUR_GOOD : strcmp(answer, "no") == 0 ? COLOUR_BAD : COLOUR_WARN;
}

static void gate_line(struct buffer *out, const json_t *gate) {
    const char *answer = json_text(gate, "answer"), *asked = json_text(gate, "asked");
    buffer_format(out, "     %s%-7s%s %s%s%s", colour_on(answer_colour(answer)), answer, colour_off(),
                  json_text(gate, "gate"), *json_text(gate, "reason") ? ": " : "", json_text(gate, "reason"));
    if (*asked && strcmp(answer, "yes") != 0)
        buffer_format(out, " %s(asked %s)%s", colour_on(COLOUR_DIM), asked, colour_off());
    buffer_text(out, "\n");
}

/* Those that block come first; the ones that say yes share one line. */
static void gate_lines(struct buffer *out, const json_t *gates, size_t n_max) {
    size_t i, n = 0, n_yes = 0;
    const json_t *gate;
    json_array_foreach(gates, i, gate) {
        bool yes = strcmp(json_text(gate, "answer"), "yes") == 0;
        n_yes += yes;
        if (!yes && n++ < n_max)
            gate_line(out, gate);
    }
    if (n > n_max)
        buffer_format(out, "     and %zu more that do not say yes\n", n - n_max);
    if (n_yes == 0)
        return;
    buffer_format(out, "     %syes%s     ", colour_on(COLOUR_GOOD), colour_off());
    bool first = true;
    json_array_foreach(gates, i, gate) {
        if (strcmp(json_text(gate, "answer"), "yes") != 0)
            continue;
        const char *reason = json_text(gate, "reason");
        buffer_format(out, "%s%s%s%s%s", first ? "" : ", ", json_text(gate, "gate"), *reason ? " (" : "",
                      reason, *reason ? ")" : "");
        first = false;
    }
    buffer_text(out, "\n");
}

/* "n1 itself is up, read-write, on 4.5.0: waiting hurts nobody", if that is so. */
static void itself(struct buffer *out, const json_t *member) {
    const char *mode = json_text(member, "mode");
    if (strcmp(mode, "down") == 0 || strcmp(mode, "unknown") == 0 || !*mode)
        buffer_format(out, "     %s itself is %s%s%s\n", json_text(member, "node"),
                      *mode ? mode : "not known", *json_text(member, "origin") ? " by " : "",
                      json_text(member, "origin"));
    else
        buffer_format(out, "     %s itself is up, %s, on %s: waiting hurts nobody\n",
                      json_text(member, "node"), mode, json_text(member, "version"));
}

void view_wait(struct buffer *out, const json_t *run, const json_t *member, int64_t now_ms,
               size_t n_gates_max) {
    if (!view_waits(member))
        return;
    const json_t *since =
        json_object_get(member, json_has(member, "wait_since_ms") ? "wait_since_ms" : "since_ms");
    int64_t since_ms = (int64_t)json_number_value(since);
    const char *headline = json_text(member, "headline");
    buffer_format(out, "%s%s  %s%s, %s", colour_on(COLOUR_WARN),
                  view_member_name(run, json_text(member, "name")),
                  *headline ? headline : json_text(member, "state"), colour_off(),
                  text_duration(since_ms ? now_ms - since_ms : 0).s);
    int64_t limit_ms = json_number(member, "limit_ms");
    buffer_format(out, " (%s%s%s%s)\n", limit_ms ? "at " : "",
                  limit_ms ? text_duration(limit_ms - since_ms).s : "", limit_ms ? " " : "",
                  json_text(member, "then"));
    const json_t *gates = json_list(member, "gates");
    if (json_array_size(gates) > 0)
        gate_lines(out, gates, n_gates_max);
    else if (*json_text(member, "reason"))
        buffer_format(out, "     %s\n", json_text(member, "reason"));
    itself(out, member);
}

static void waits(struct buffer *out, const json_t *run, int64_t now_ms, enum view_size size) {
    size_t i, n = 0;
    const json_t *member;
    json_array_foreach(json_list(run, "members"), i, member) {
        if (!view_waits(member) || (size == VIEW_LIVE && n == LIVE_WAITS))
            continue;
        if (n++ == 0 && size == VIEW_WHOLE)
            buffer_text(out, "\n");
        view_wait(out, run, member, now_ms, size == VIEW_LIVE ? LIVE_GATES : SIZE_MAX);
    }
    /* What ended badly says why, too. */
    json_array_foreach(json_list(run, "members"), i, member) {
        if (!view_waits(member) && member_colour(member) == COLOUR_BAD && *json_text(member, "reason"))
            buffer_format(out, "%s%s  %s%s: %s\n", colour_on(COLOUR_BAD),
                          view_member_name(run, json_text(member, "name")), json_text(member, "state"),
                          colour_off(), json_text(member, "reason"));
    }
}

/* ---- foot ---- */

static void side_actions(struct buffer *out, const json_t *run, int64_t now_ms) {
    size_t i;
    const json_t *side;
    json_array_foreach(json_list(run, "side_actions"), i, side) {
        bool closed = strcmp(json_text(side, "state"), "closed") == 0;
        int64_t since = json_number(side, "since_ms");
        buffer_format(out, "side action %s: %s", json_text(side, "name"), json_text(side, "state"));
        if (!closed)
            buffer_format(out, ", now %s", json_text(side, "ours"));
        buffer_format(out, "%s %s", closed ? ", at" : ", goes back to", json_text(side, "previous"));
        if (since && !ended(run))
            buffer_format(out, ", since %s", text_duration(now_ms - since).s);
        buffer_text(out, "\n");
    }
}

static void outputs(struct buffer *out, const json_t *run) {
    size_t i;
    const json_t *output;
    json_array_foreach(json_list(run, "outputs"), i, output)
        buffer_format(out, "%s of %s put out %s: %s\n", json_text(output, "step"),
                      json_text(output, "member"), json_text(output, "name"), json_text(output, "value"));
}

/* What was set aside is shown wherever the run is, also after it has ended. */
static void waivers(struct buffer *out, const json_t *run, int64_t now_ms) {
    size_t i;
    const json_t *waiver;
    json_array_foreach(json_list(run, "waivers"), i, waiver) {
        bool over = json_yes(waiver, "over");
        buffer_format(
            out, "%swaived for %s: gate %s, %s%s%s: %s%s\n", colour_on(over ? COLOUR_DIM : COLOUR_WARN),
            view_member_name(run, json_text(waiver, "member")), json_text(waiver, "gate"),
            over ? "is over" : "for ", over ? "" : text_duration(json_number(waiver, "until_ms") - now_ms).s,
            over ? "" : " more", json_text(waiver, "reason"), colour_off());
    }
}

/* "failed 1 of 2": of which `of` is left out where there is no limit. */
static void budget_cells(struct buffer *out, const json_t *b) {
    static const char *const kinds[] = {"failed", "unreachable", "held", "quarantined", "skipped", "retired"};
    const char *separator = "";
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        char key[32];
        snprintf(key, sizeof(key), "%s_max", kinds[i]);
        if (!json_has(b, kinds[i]))
            continue;
        buffer_format(out, "%s%s %lld", separator, kinds[i], (long long)json_number(b, kinds[i]));
        if (json_has(b, key))
            buffer_format(out, " of %lld", (long long)json_number(b, key));
        separator = ", ";
    }
}

void view_budget(struct buffer *out, const json_t *run) {
    const json_t *wave;
    size_t i;
    budget_cells(out, json_object_get(run, "budget"));
    json_array_foreach(json_list(run, "waves"), i, wave) {
        if (!json_has(wave, "budget"))
            continue;
        buffer_format(out, "; wave %s: ", json_text(wave, "name"));
        budget_cells(out, json_object_get(wave, "budget"));
    }
}

static void budget(struct buffer *out, const json_t *run) {
    const json_t *b = json_object_get(run, "budget");
    if (!b)
        return;
    bool bad = json_number(b, "failed") + json_number(b, "held") + json_number(b, "quarantined") +
                   json_number(b, "unreachable") >
               0;
    buffer_format(out, "%sbudget: ", colour_on(bad ? COLOUR_WARN : COLOUR_DIM));
    view_budget(out, run);
    buffer_format(out, "%s\n", colour_off());
}

void view_event(struct buffer *out, const json_t *run, const json_t *event) {
    const char *member = view_member_name(run, json_text(event, "member"));
    buffer_format(out, "%s  %-12s  %s\n", text_clock(json_number(event, "at_ms")).s, *member ? member : "run",
                  json_text(event, "text"));
}

void view_run(struct buffer *out, const json_t *run, int64_t now_ms, enum view_size size) {
    head(out, run, now_ms);
    lock(out, run, now_ms);
    no_return(out, run);
    waves(out, run);
    members(out, run, now_ms, size);
    waits(out, run, now_ms, size);
    side_actions(out, run, now_ms);
    outputs(out, run);
    waivers(out, run, now_ms);
    budget(out, run);
    if (ended(run))
        line(out, view_run_colour(run), json_text(json_object_get(run, "verdict"), "text"));
}
