/* The HTTP probe: lines of a 2xx body. Any other status is no answer: with many services 404 means "clean", "broken" and
 * "no such page" alike. */
#include "agent/prober/ask.h"

static void on_done(void *owner) {
    struct ask *ask = owner;
    struct http_get *get = ask->state;
    if (!get->answered) {
        ask_failed(ask, "%s %s", ask->target, get->trouble);
        return;
    }
    matcher_lines(&ask->matcher, buffer_bytes(&get->body), &ask->found);
    ask_answered(ask);
}

static void start(struct ask *ask) {
    struct http_get *get = calloc(1, sizeof(*get));
    if (!get) {
        ask_failed(ask, "out of memory");
        return;
    }
    *get = (struct http_get){.http = ask->prober->http, .done = on_done, .owner = ask};
    ask->state = get;
    http_get_start(get, ask->target);
}

static void stop(struct ask *ask) {
    struct http_get *get = TAKE(ask->state);
    if (get)
        http_get_stop(get);
    free(get);
}

const struct ask_kind ask_http_kind = {start, stop};
