/* Why findings and not a first error: an operator who learns the ten reasons one by one plans ten times. */
#include "coordinator/planner/planning.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fail(struct planning *p, int code) {
    if (p->failed == 0) {
        p->failed = code;
        if (code == -ENOMEM)
            (void)error_set(p->err, code, "plan: out of memory");
    }
    return p->failed;
}

void *keep(struct planning *p, size_t n, size_t size) {
    void *memory = arena_array(p->arena, n, size);
    if (!memory)
        (void)fail(p, -ENOMEM);
    return memory;
}

static const char *keep_formatted(struct planning *p, const char *format, va_list args) _printf_(2, 0);
static const char *keep_formatted(struct planning *p, const char *format, va_list args) {
    char text[2 * KEDGE_REASON_MAX];
    (void)vsnprintf(text, sizeof(text), format, args);
    const char *kept = arena_text(p->arena, text);
    if (!kept)
        (void)fail(p, -ENOMEM);
    return kept ? kept : "";
}

const char *keep_format(struct planning *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = keep_formatted(p, format, args);
    va_end(args);
    return text;
}

void texts_add(struct planning *p, struct texts *texts, const char *text) {
    if (texts->n == texts->room) {
        size_t room = texts->room ? texts->room * 2 : 8;
        const char **items = keep(p, room, sizeof(*items));
        if (!items)
            return;
        if (texts->n > 0)
            memcpy(items, texts->items, texts->n * sizeof(*items));
        texts->items = items;
        texts->room = room;
    }
    texts->items[texts->n++] = text;
}

void texts_add_once(struct planning *p, struct texts *texts, const char *text) {
    for (size_t i = 0; i < texts->n; i++)
        if (strcmp(texts->items[i], text) == 0)
            return;
    texts_add(p, texts, text);
}

/* A list that doubles its room; NULL when memory is out. */
static void *grown(struct planning *p, const void *items, size_t n, size_t *room, size_t size) {
    if (n < *room)
        return (void *)(uintptr_t)items;
    size_t more = *room ? *room * 2 : 8;
    void *list = keep(p, more, size);
    if (list && n > 0)
        memcpy(list, items, n * size);
    *room = list ? more : *room;
    return list;
}

void refuse(struct planning *p, const char *code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *says = keep_formatted(p, format, args);
    va_end(args);
    for (size_t i = 0; i < p->n_problems; i++)
        if (strcmp(p->problems[i].says, says) == 0)
            return;
    struct planner_problem *list =
        grown(p, p->problems, p->n_problems, &p->problems_room, sizeof(*p->problems));
    if (!list)
        return;
    p->problems = list;
    list[p->n_problems++] = (struct planner_problem){code, says};
}

void note(struct planning *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    texts_add_once(p, &p->notes, keep_formatted(p, format, args));
    va_end(args);
}

bool is_consented(const struct planning *p, const char *name) {
    const struct planner_options *options = &p->input->options;
    for (size_t i = 0; i < options->n_consents; i++)
        if (strcmp(options->consents[i], name) == 0)
            return true;
    return false;
}

void warn(struct planning *p, const char *code, const char *object, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *name = *object ? keep_format(p, "%s:%s", code, object) : code;
    const char *says = keep_formatted(p, format, args);
    va_end(args);
    for (size_t i = 0; i < p->n_warnings; i++)
        if (strcmp(p->warnings[i].name, name) == 0 && strcmp(p->warnings[i].says, says) == 0)
            return;
    struct planner_warning *list =
        grown(p, p->warnings, p->n_warnings, &p->warnings_room, sizeof(*p->warnings));
    if (!list)
        return;
    p->warnings = list;
    list[p->n_warnings++] = (struct planner_warning){name, says, is_consented(p, name)};
}

const char *fact_of(const struct member_plan *m, const char *name) {
    const char *value = fact_get(m->in->facts, m->in->n_facts, name);
    return value ? value : "";
}

bool is_in_plan(const struct member_plan *m) {
    return m->part == PART_BROKEN || m->part == PART_LEFT || m->part == PART_CANARY ||
           m->part == PART_ROLLING;
}

const struct planner_answer *answer_find(const struct planner_answer *answers, size_t n, const char *gate) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(answers[i].gate, gate) == 0)
            return &answers[i];
    return NULL;
}
