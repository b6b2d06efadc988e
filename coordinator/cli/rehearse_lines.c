/* The timeline of a rehearsal. What happens to one member in one moment is one line, and so is what happens to several
 * members in one moment: a reader follows the run, not the events. Lines are broken at the width of a terminal, under their
 * own text; elsewhere they are whole, for who searches them. */
#include "coordinator/cli/rehearse.h"

#include <string.h>
#include <sys/ioctl.h>

enum { TIME_WIDTH = 12, NAMES_MAX = 6, TEXT_LEAST = 30, MOMENT_US = 100 * 1000 };

static size_t member_width(const struct rehearse *asked) {
    size_t width = strlen("MEMBER");
    for (size_t i = 0; i < asked->plan->n_orders; i++) {
        size_t n = text_width(rehearse_member(asked, asked->plan->orders[i]->member));
        width = n > width ? n : width;
    }
    return width;
}

static size_t wave_width(const struct rehearse *asked) {
    size_t width = strlen("WAVE");
    for (size_t i = 0; i < asked->plan->shape.n_waves; i++) {
        size_t n = text_width(asked->plan->shape.waves[i].name);
        width = n > width ? n : width;
    }
    return width;
}

void rehearse_timeline_begin(const struct rehearse *asked) {
    printf("\n%s%*s  %-*s  %-*s  WHAT%s\n", colour_on(COLOUR_STRONG), TIME_WIDTH, "TIME",
           (int)wave_width(asked), "WAVE", (int)member_width(asked), "MEMBER", colour_off());
}

/* "1:02:03.4": hours, minutes and seconds since the plan was applied. */
static struct short_text clock_text(uint64_t us) {
    struct short_text out;
    unsigned long long tenths = us / 100000;
    if (tenths < 36000)
        snprintf(out.s, sizeof(out.s), "%llu:%02llu.%llu", tenths / 600, tenths / 10 % 60, tenths % 10);
    else
        snprintf(out.s, sizeof(out.s), "%llu:%02llu:%02llu.%llu", tenths / 36000, tenths / 600 % 60,
                 tenths / 10 % 60, tenths % 10);
    return out;
}

static enum colour kind_colour(enum note_kind kind) {
    switch (kind) {
    case NOTE_RUN: return COLOUR_STRONG;
    case NOTE_FAULT: return COLOUR_BAD;
    case NOTE_WAIT:
    case NOTE_OPERATOR:
    case NOTE_AGENT: return COLOUR_WARN;
    case NOTE_MEMBER:
    case NOTE_SIDE: return COLOUR_NONE;
    case NOTE_SERVICE: return COLOUR_DIM;
    }
    return COLOUR_NONE;
}

static const char *kind_mark(enum note_kind kind) {
    return kind == NOTE_FAULT ? "FAULT: " : kind == NOTE_OPERATOR ? "OPERATOR: " : "";
}

/* ---- one line ---- */

static void padded(const char *text, size_t width) {
    _cleanup_(freep) char *clean = text_clean(text, false);
    printf("%s%*s", clean ? clean : "?", (int)(width - text_width(clean ? clean : "?") + 2), "");
}

/* Columns for the text; 0: no terminal, as many as it takes. */
static size_t text_room(size_t indent) {
    struct winsize window;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) < 0 || window.ws_col == 0)
        return 0;
    return window.ws_col > indent + TEXT_LEAST ? window.ws_col - indent : TEXT_LEAST;
}

void rehearse_text_print(const char *text, size_t indent, enum colour colour) {
    _cleanup_(freep) char *clean = text_clean(text, false);
    size_t room = text_room(indent);
    for (const char *at = clean ? clean : "?"; *at;) {
        size_t len = room ? text_break(at, 0, room) : strlen(at);
        printf("%s%.*s%s\n", colour_on(colour), (int)len, at, colour ? colour_off() : "");
        at += len + strspn(at + len, " ");
        if (*at)
            printf("%*s", (int)indent, "");
    }
}

/* Who it is: one by its name, more by their number, and then their names stand behind the text. */
static void who_text(const struct rehearse *asked, const struct rehearse_line *line, char *who, size_t size) {
    if (line->n_members == 1)
        snprintf(who, size, "%s", rehearse_member(asked, line->members[0]));
    else if (line->n_members == asked->plan->n_orders)
        snprintf(who, size, "all %zu", line->n_members);
    else if (line->n_members > 1)
        snprintf(who, size, "%zu of %zu", line->n_members, asked->plan->n_orders);
    else
        who[0] = 0;
}

static void names_add(const struct rehearse *asked, const struct rehearse_line *line, struct buffer *text) {
    if (line->n_members < 2 || line->n_members == asked->plan->n_orders)
        return;
    for (size_t i = 0; i < line->n_members && i < NAMES_MAX; i++)
        buffer_format(text, "%s%s", i ? ", " : ": ", rehearse_member(asked, line->members[i]));
    if (line->n_members > NAMES_MAX)
        buffer_format(text, " and %zu more", line->n_members - NAMES_MAX);
}

void rehearse_line_end(struct rehearse *asked) {
    struct rehearse_line *line = &asked->line;
    size_t waves = wave_width(asked), members = member_width(asked);
    _cleanup_(buffer_deinit) struct buffer text = {0};
    char who[KEDGE_NAME_MAX];
    if (line->text.len == 0)
        return;
    buffer_format(&text, "%s%s", kind_mark(line->kind), (const char *)line->text.data);
    names_add(asked, line, &text);
    who_text(asked, line, who, sizeof(who));
    printf("%*s  ", TIME_WIDTH, clock_text(line->after_us).s);
    padded(line->wave, waves);
    padded(who, members);
    rehearse_text_print(text.data ? (const char *)text.data : "?", TIME_WIDTH + 2 + waves + 2 + members + 2,
                        line->mixed ? COLOUR_NONE : kind_colour(line->kind));
    buffer_deinit(&line->text);
    line->text = (struct buffer){0};
    line->n_members = 0;
}

/* ---- joining ---- */

static bool is_quiet(enum note_kind kind) {
    return kind == NOTE_MEMBER || kind == NOTE_SERVICE;
}

static bool is_same_moment(const struct rehearse_line *line, const struct rehearsal_note *note) {
    return line->text.len > 0 && note->after_us - line->after_us < MOMENT_US && is_quiet(line->kind) &&
           is_quiet(note->kind) && strcmp(line->wave, note->wave) == 0;
}

/* True when it stands in the line that is not printed yet. */
static bool join(struct rehearse *asked, const struct rehearsal_note *note) {
    struct rehearse_line *line = &asked->line;
    if (!is_same_moment(line, note))
        return false;
    if (line->n_members == 1 && strcmp(line->members[0], note->member) == 0) {
        buffer_format(&line->text, "; %s", note->text);
        line->mixed = line->mixed || line->kind != note->kind;
        return true;
    }
    if (line->mixed || line->n_members == ARRAY_LEN(line->members) ||
        strcmp((const char *)line->text.data, note->text) != 0)
        return false;
    line->members[line->n_members++] = note->member;
    return true;
}

void rehearse_note_print(struct rehearse *asked, const struct rehearsal_note *note) {
    struct rehearse_line *line = &asked->line;
    if (join(asked, note))
        return;
    rehearse_line_end(asked);
    *line = (struct rehearse_line){.kind = note->kind, .after_us = note->after_us, .wave = note->wave};
    if (note->member[0])
        line->members[line->n_members++] = note->member;
    buffer_text(&line->text, note->text);
}
