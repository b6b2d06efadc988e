/* Why reasons are kept one by one and joined late: `status` shows each gate on a line of its own, the journal wants one
 * sentence, and both must say the same. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <string.h>

void *must(void *pointer) {
    if (!pointer)
        abort();
    return pointer;
}

char *text_copy(const char *text) {
    return must(strndup(text ? text : "", KEDGE_REASON_MAX));
}

void text_set(char **text, const char *value) {
    char *copy = text_copy(value);
    free(*text);
    *text = copy;
}

void reasons_clear(struct reasons *reasons) {
    for (size_t i = 0; i < reasons->n; i++) {
        free(reasons->items[i].gate);
        free(reasons->items[i].who);
        free(reasons->items[i].text);
    }
    free(reasons->items);
    *reasons = (struct reasons){0};
}

void reasons_add(struct reasons *reasons, const char *gate, const char *who, enum answer answer,
                 const char *text) {
    if (reasons->n == reasons->room) {
        reasons->room = reasons->room ? reasons->room * 2 : 4;
        reasons->items = must(realloc(reasons->items, reasons->room * sizeof(*reasons->items)));
    }
    reasons->items[reasons->n++] = (struct reason){text_copy(gate), text_copy(who), answer, text_copy(text)};
}

void reasons_add_all(struct reasons *to, const struct reasons *from, bool only_not_yes) {
    for (size_t i = 0; i < from->n; i++) {
        const struct reason *r = &from->items[i];
        if (!only_not_yes || r->answer != ANSWER_YES)
            reasons_add(to, r->gate, r->who, r->answer, r->text);
    }
}

void reasons_text(const struct reasons *reasons, char *out, size_t size) {
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < reasons->n && used + 1 < size; i++) {
        const struct reason *r = &reasons->items[i];
        if (r->answer == ANSWER_YES)
            continue;
        int n = snprintf(out + used, size - used, "%s%s: %s: %s%s%s", used ? "; " : "", r->who, r->gate,
                         answer_text(r->answer), r->text[0] ? ": " : "", r->text);
        used += n > 0 ? (size_t)n : 0;
    }
}
