/* The journal in memory, by run, for those who look: decided nowhere, so it may be read by replies without touching the
 * disk. Records of a run are some dozens for each member. */
#include "coordinator/daemon/daemon.h"

#include <string.h>

static struct history *history_find(const struct daemon *d, uint64_t run) {
    for (size_t i = d->n_histories; i-- > 0;) /* the latest are asked for most */
        if (d->histories[i]->run == run)
            return d->histories[i];
    return NULL;
}

const struct history *history_of(const struct daemon *d, uint64_t run) {
    return history_find(d, run);
}

static struct history *history_add(struct daemon *d, uint64_t run) {
    struct history **histories = realloc(d->histories, (d->n_histories + 1) * sizeof(*histories));
    struct history *history = calloc(1, sizeof(*history));
    if (!histories || !history)
        abort();
    history->run = run;
    d->histories = histories;
    d->histories[d->n_histories++] = history;
    return history;
}

static char *text_of(const char *text) {
    char *copy = strdup(text);
    if (!copy)
        abort();
    return copy;
}

void history_note(struct daemon *d, uint64_t seq, const struct record *record) {
    if (record->run == 0)
        return; /* of a reign, not of a run */
    struct history *history = history_find(d, record->run);
    if (!history)
        history = history_add(d, record->run);
    if (history->n == history->room) {
        history->room = history->room ? 2 * history->room : 64;
        history->events = realloc(history->events, history->room * sizeof(*history->events));
        if (!history->events)
            abort();
    }
    struct history_event *event = &history->events[history->n++];
    event->seq = seq;
    event->record = *record;
    event->record.name = text_of(record->name);
    event->record.text = text_of(record->text);
}

void histories_deinit(struct daemon *d) {
    for (size_t i = 0; i < d->n_histories; i++) {
        struct history *history = d->histories[i];
        for (size_t k = 0; k < history->n; k++) {
            free((void *)(uintptr_t)history->events[k].record.name);
            free((void *)(uintptr_t)history->events[k].record.text);
        }
        free(history->events);
        free(history);
    }
    free(d->histories);
}
