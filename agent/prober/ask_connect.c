/* The TCP probe that says nothing and expects nothing: the items are those targets that accept a connection. All of them
 * are tried at once; one that refuses or stays silent is no item. A name that cannot be looked up says nothing about a
 * service, so then there is no answer. */
#include "agent/prober/ask.h"

#include <string.h>

enum { TARGETS_MAX = 64 };

struct attempt {
    struct ask *ask;
    struct dial dial;
    char *target;
    bool over;
};

struct attempts {
    struct attempt *items;
    size_t n, n_over;
    struct timer patience;
};

static void finish(struct ask *ask) {
    struct attempts *attempts = ask->state;
    for (size_t i = 0; i < attempts->n; i++) {
        struct attempt *attempt = &attempts->items[i];
        struct bytes name = bytes_of_text(attempt->target);
        if (attempt->over && attempt->dial.fd >= 0)
            found_add(&ask->found, name, name);
        else if (attempt->over && attempt->dial.lookup.n == 0)
            ask_failed(ask, "%s", attempt->dial.trouble);
    }
    ask_answered(ask);
}

static void on_patience(void *owner) {
    finish(owner);
}

static void on_dialled(void *owner) {
    struct attempt *attempt = owner;
    struct attempts *attempts = attempt->ask->state;
    attempt->over = true;
    if (++attempts->n_over == attempts->n)
        finish(attempt->ask);
}

static void start(struct ask *ask) {
    struct attempts *attempts = ask->state = calloc(1, sizeof(*attempts));
    struct loop *loop = ask->prober->loop;
    if (attempts)
        attempts->items = calloc(TARGETS_MAX, sizeof(*attempts->items));
    if (!attempts || !attempts->items) {
        ask_failed(ask, "out of memory");
        return;
    }
    uint64_t now = now_us(), left = ask->timer.at_us > now ? ask->timer.at_us - now : 0;
    attempts->patience = (struct timer){.loop = loop, .due = on_patience, .owner = ask};
    loop_timer_set(&attempts->patience, now + left - left / 10); /* before the whole times out */
    for (char *rest = ask->targets, *target; (target = strsep(&rest, " "));) {
        if (!*target)
            continue;
        if (attempts->n == TARGETS_MAX) {
            ask_failed(ask, "more than %d addresses", TARGETS_MAX);
            return;
        }
        struct attempt *attempt = &attempts->items[attempts->n++];
        *attempt = (struct attempt){.ask = ask, .target = target};
        attempt->dial = (struct dial){.loop = loop, .done = on_dialled, .owner = attempt};
        dial_start(&attempt->dial, target);
    }
}

static void stop(struct ask *ask) {
    struct attempts *attempts = TAKE(ask->state);
    if (!attempts)
        return;
    for (size_t i = 0; i < attempts->n; i++)
        dial_stop(&attempts->items[i].dial);
    loop_timer_stop(&attempts->patience);
    free(attempts->items);
    free(attempts);
}

const struct ask_kind ask_connect_kind = {start, stop};
