/* Why an end is always told by the loop and never on the spot: a kind may find its end deep inside a library's call, and
 * the owner's answer to it is to free everything. Between the two lies one turn of the loop. */
#include "agent/prober/ask.h"

#include "common/base/text.h"

#include <stdarg.h>
#include <string.h>

static const struct ask_kind *kind_of(const struct probe *probe) {
    switch (probe->kind) {
    case PROBE_HTTP: return &ask_http_kind;
    case PROBE_TCP: return probe->send.len == 0 && !probe->match ? &ask_connect_kind : &ask_tcp_kind;
    case PROBE_ZK_EXISTS:
    case PROBE_ZK_GET:
    case PROBE_ZK_CHILDREN:
    case PROBE_ZK_FIRST:
    case PROBE_ZK_LEAVES: return &ask_tree_kind;
    case PROBE_FILE:
    case PROBE_LOG: return &ask_file_kind;
    case PROBE_COMMAND:
    case PROBE_COMMAND_EXIT: return NULL;
    }
    return NULL;
}

static void end(struct ask *ask, bool answered) {
    ask->answered = answered;
    ask->ended = true;
    loop_timer_set(&ask->timer, now_us());
}

void ask_answered(struct ask *ask) {
    if (ask->ended)
        return;
    if (ask->found.trouble)
        ask_failed(ask, "%s", ask->found.trouble);
    else
        end(ask, true);
}

void ask_failed(struct ask *ask, const char *format, ...) {
    char text[TROUBLE_MAX];
    va_list args;
    if (ask->ended)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    text_tame(ask->trouble, sizeof(ask->trouble), text);
    end(ask, false);
}

/* Asks the next of the targets; each gets its share of the time that is left. */
static void ask_next(struct ask *ask) {
    uint64_t now = now_us();
    if (ask->kind != &ask_connect_kind)
        ask->target = strsep(&ask->next_target, " ");
    while (ask->target && !*ask->target && ask->next_target)
        ask->target = strsep(&ask->next_target, " ");
    found_clear(&ask->found);
    ask->ended = false;
    ask->asked_us = now;
    uint64_t left = ask->deadline_us > now ? ask->deadline_us - now : 0;
    loop_timer_set(&ask->timer, now + left / (ask->n_targets ? ask->n_targets : 1));
    if (ask->n_targets > 0)
        ask->n_targets--;
    ask->kind->start(ask);
}

static void on_timer(void *owner) {
    struct ask *ask = owner;
    if (!ask->ended) {
        ask_failed(ask, "no answer in %llu ms", (unsigned long long)(now_us() - ask->asked_us) / 1000);
        loop_timer_stop(&ask->timer);
    }
    if (ask->kind)
        ask->kind->stop(ask);
    if (!ask->answered && ask->kind && ask->n_targets > 0)
        ask_next(ask);
    else
        ask->done(ask->owner);
}

static size_t count_targets(const char *text) {
    size_t n = 0;
    for (const char *p = text; *p; p++)
        n += *p != ' ' && (p == text || p[-1] == ' ');
    return n;
}

void ask_start(struct ask *ask) {
    struct error err = {0};
    uint64_t ms = ask->probe->timeout_ms ? ask->probe->timeout_ms : ASK_TIMEOUT_MS_DEFAULT;
    ask->timer = (struct timer){.loop = ask->prober->loop, .due = on_timer, .owner = ask};
    ask->asked_us = now_us();
    ask->deadline_us = ask->asked_us + (ms < ASK_TIMEOUT_MS_MAX ? ms : ASK_TIMEOUT_MS_MAX) * 1000;
    ask->kind = kind_of(ask->probe);
    const char *target = ask->probe->target ? ask->probe->target : "";
    if (ask->probe->kind == PROBE_LOG)
        target = ask->log_path ? ask->log_path : "";
    bool is_one = ask->kind == &ask_file_kind || ask->kind == &ask_connect_kind;
    ask->n_targets = is_one ? *target != 0 : count_targets(target);
    ask->targets = strdup(target);
    ask->next_target = ask->targets;
    const struct ask_kind *kind = TAKE(ask->kind);
    if (!kind)
        ask_failed(ask, "a prober runs no commands");
    else if (!ask->targets)
        ask_failed(ask, "out of memory");
    else if (ask->n_targets == 0)
        ask_failed(ask, ask->probe->kind == PROBE_LOG ? "the member has no output file"
                                                      : "nothing to ask is named");
    else if (matcher_init(&ask->matcher, ask->probe->match, &err) < 0)
        ask_failed(ask, "%s", err.text);
    else
        ask->kind = kind;
    if (ask->kind)
        ask_next(ask);
}

void ask_stop(struct ask *ask) {
    if (!ask->prober)
        return;
    loop_timer_stop(&ask->timer);
    if (ask->kind)
        ask->kind->stop(ask);
    matcher_deinit(&ask->matcher);
    found_deinit(&ask->found);
    free(ask->targets);
    *ask = (struct ask){0};
}
