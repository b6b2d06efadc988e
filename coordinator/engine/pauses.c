/* Why a run is paused: a list, because several things may be wrong at once, and who resumes it must have read them all.
 * Each stands in the journal with its kind and whom it is about, so that an operator's word which takes the last of them
 * away (the failed member is tried again, or left out) lets the run go on without another word, while what an operator
 * himself paused waits for his `run resume`. A breach stays when its cause goes away by itself: somebody has to know. */
#include "coordinator/engine/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_about_member(enum pause_kind kind) {
    return kind == PAUSE_WAIT || kind == PAUSE_RECOVERY || kind == PAUSE_RELAPSE || kind == PAUSE_STEP ||
           kind == PAUSE_LIE;
}

static struct pause *pause_find(const struct run *run, enum pause_kind kind, uint32_t member) {
    for (size_t i = 0; i < run->n_pauses; i++)
        if (run->pauses[i].kind == kind && (!is_about_member(kind) || run->pauses[i].member == member))
            return &run->pauses[i];
    return NULL;
}

bool run_has_pause(const struct run *run, enum pause_kind kind, uint32_t member) {
    return pause_find(run, kind, member) != NULL;
}

/* An operator has paused it with these words. */
bool run_is_paused_by(const struct run *run, const char *text) {
    const struct pause *pause = pause_find(run, PAUSE_WORD, NO_MEMBER);
    return pause && text && strstr(pause->text, text);
}

/* Two operators paused it: who resumes it reads what both of them said. */
static void also_by(struct pause *pause, const char *text) {
    char both[KEDGE_REASON_MAX];
    bool more = strncmp(text, pause->text, strlen(pause->text)) == 0; /* the same one says why */
    snprintf(both, sizeof(both), "%s%s%s", more ? "" : pause->text, more ? "" : "; ", text);
    text_set(&pause->text, both);
}

/* What `pause_reason` says is all of them. */
static void reason_make(struct run *run) {
    char text[KEDGE_REASON_MAX];
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < run->n_pauses && used + 1 < sizeof(text); i++) {
        int n = snprintf(text + used, sizeof(text) - used, "%s%s", i ? "; " : "", run->pauses[i].text);
        used += n > 0 ? (size_t)n : 0;
    }
    text_set(&run->pause_reason, text);
    run->paused = run->n_pauses > 0;
}

/* ---- durable ---- */

bool pause_fold(struct run *run, const struct record *record) {
    if (record->value2 >= PAUSES)
        return false;
    enum pause_kind kind = (enum pause_kind)record->value2;
    if (is_about_member(kind) && record->member >= run->n_members)
        return false;
    struct pause *pause = pause_find(run, kind, record->member);
    if (run->n_pauses == 0)
        run->paused_ms = record->at_ms;
    if (!pause) {
        run->pauses = must(realloc(run->pauses, (run->n_pauses + 1) * sizeof(*run->pauses)));
        pause = &run->pauses[run->n_pauses++];
        *pause = (struct pause){.kind = kind,
                                .member = is_about_member(kind) ? record->member : NO_MEMBER,
                                .since_ms = record->at_ms};
    }
    if (kind == PAUSE_WORD && pause->text)
        also_by(pause, record->text);
    else
        text_set(&pause->text, record->text);
    reason_make(run);
    return true;
}

void pauses_clear(struct run *run) {
    for (size_t i = 0; i < run->n_pauses; i++)
        free(run->pauses[i].text);
    free(run->pauses);
    run->pauses = NULL;
    run->n_pauses = 0;
    run->paused = false;
}

static bool is_lifted(const struct run *run, const struct pause *pause, uint32_t member,
                      enum member_event word) {
    bool about = is_about_member(pause->kind) && pause->member == member;
    bool leaves = word == MEMBER_EVENT_SKIP || word == MEMBER_EVENT_RETIRE;
    if (word == MEMBER_EVENT_WAIVE)
        return about && pause->kind == PAUSE_WAIT;
    if (!leaves && word != MEMBER_EVENT_RETRY)
        return false;
    if (pause->kind < PAUSE_BUDGET)
        return about;
    enum budget_kind kind = (enum budget_kind)(pause->kind - PAUSE_BUDGET);
    if (kind == BUDGET_UNREACHABLE && !(leaves && run->members[member].is_away))
        return false; /* that agents came back by themselves lifts nothing */
    return !budget_is_over(run, kind);
}

/* After an operator's word about a member. */
void pauses_lift(struct run *run, uint32_t member, enum member_event word) {
    size_t n_left = 0;
    if (run->n_pauses == 0)
        return;
    for (size_t i = 0; i < run->n_pauses; i++) {
        if (is_lifted(run, &run->pauses[i], member, word))
            free(run->pauses[i].text);
        else
            run->pauses[n_left++] = run->pauses[i];
    }
    run->n_pauses = n_left;
    reason_make(run);
    if (n_left == 0) {
        run->wait_since_ms = 0;
        pauses_clear(run);
    }
}

/* ---- deciding ---- */

/* Also when it is paused already, by whomever: what comes later must be read too before it is resumed. The same thing
 * about the same member is said once; a budget again whenever more is over it. */
void run_pause(struct run *run, enum pause_kind kind, uint32_t member, const char *format, ...) {
    char text[KEDGE_REASON_MAX];
    va_list ap;
    if (run->aborting || run_move(run->state, RUN_EVENT_PAUSE).kind != RUN_MOVE_FLAG ||
        (kind < PAUSE_BUDGET && run_has_pause(run, kind, member)))
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    commit(run->engine,
           (struct record){.kind = RECORD_RUN_EVENT,
                           .run = run->id,
                           .member = is_about_member(kind) ? member : 0,
                           .number = RUN_EVENT_PAUSE,
                           .value2 = kind,
                           .text = text},
           NULL);
}
