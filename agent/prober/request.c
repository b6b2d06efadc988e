/* Where a question becomes an answer. All checks of a gate are asked at once and judged together when the last one has
 * ended, so that the answer is one picture; its age counts from the moment the first of them was sent, since what a service
 * says may have been true at any time after that. */
#include "agent/prober/request.h"

#include "common/base/text.h"
#include "common/plan/encoding.h"

#include <string.h>

struct request {
    struct desk *desk;
    struct request *next, **link;
    struct arena *arena;
    struct prober_request asked;
    const struct gate *gate;
    const struct probe *probe;
    struct ask *asks;
    size_t n_asks, n_pending;
    struct sample_run sample;
    struct timer timer;
    struct verdict early; /* of a request that nothing is asked for */
};

static void request_free(struct request *request) {
    for (size_t i = 0; request->asks && i < request->n_asks; i++)
        ask_stop(&request->asks[i]);
    free(request->asks);
    sample_stop(&request->sample);
    loop_timer_stop(&request->timer);
    *request->link = request->next;
    if (request->next)
        request->next->link = request->link;
    request->desk->n_requests--;
    arena_free(request->arena);
    free(request);
}

static void answer(struct request *request, const struct verdict *verdict, uint64_t asked_us,
                   struct bytes blob) {
    struct desk *desk = request->desk;
    char reason[KEDGE_REASON_MAX];
    uint64_t now = now_us();
    text_tame(reason, sizeof(reason), verdict->reason);
    struct prober_reply reply = {.id = request->asked.id,
                                 .answer = verdict->answer,
                                 .age_us = asked_us && now > asked_us ? now - asked_us : 0,
                                 .reason = reason,
                                 .blob = blob};
    desk->reply(desk->owner, &reply);
    request_free(request);
}

/* ---- gates ---- */

/* What was seen, in a few words, for an answer that is yes. */
static void say_seen(const struct check *check, const struct found *found, const struct prober_request *asked,
                     struct verdict *verdict) {
    size_t used = 0, n = 0, size = sizeof(verdict->reason) / 2;
    for (size_t i = 0; i < found->n; i++) {
        if (check_leaves_out(check, found->texts[i], asked->self, &asked->beside))
            continue;
        int len = snprintf(verdict->reason + used, size - used, "%s%s", n++ ? ", " : "", found->texts[i]);
        used = len > 0 && used + (size_t)len < size ? used + (size_t)len : size - 1;
    }
    switch (check->rule) {
    case RULE_AT_LEAST:
        snprintf(verdict->reason, size, "%zu of at least %llu", n, (unsigned long long)check->count);
        return;
    case RULE_NONE_NEW: snprintf(verdict->reason, size, n ? "%zu known, 0 new" : "none", n); return;
    case RULE_ABSENT: snprintf(verdict->reason, size, "none"); return;
    case RULE_PRESENT:
    case RULE_EQUALS:
    case RULE_ALL_IN: return;
    }
}

static struct verdict verdict_of(const struct ask *ask, const struct check *check,
                                 const struct prober_request *asked) {
    struct verdict verdict = {.answer = ANSWER_UNKNOWN};
    if (!ask->answered) {
        snprintf(verdict.reason, sizeof(verdict.reason), "%s", ask->trouble);
        return verdict;
    }
    verdict = check_judge_beside(check, ask->found.texts, ask->found.n, asked->self, &asked->beside);
    if (verdict.answer == ANSWER_YES)
        say_seen(check, &ask->found, asked, &verdict);
    return verdict;
}

static bool is_for_executor(const struct check *check) {
    return check->probe.kind == PROBE_COMMAND || check->probe.kind == PROBE_COMMAND_EXIT;
}

static void gate_judge(struct request *request) {
    struct verdict all = {.answer = ANSWER_YES};
    uint64_t asked_us = UINT64_MAX;
    for (size_t i = 0; i < request->n_asks; i++) {
        const struct check *check = &request->gate->checks[i];
        if (is_for_executor(check))
            continue;
        struct verdict one = verdict_of(&request->asks[i], check, &request->asked);
        verdict_join(&all, &one);
        if (request->asks[i].asked_us < asked_us)
            asked_us = request->asks[i].asked_us;
    }
    answer(request, &all, asked_us, (struct bytes){NULL, 0});
}

static void on_asked(void *owner) {
    struct request *request = owner;
    if (--request->n_pending == 0)
        gate_judge(request);
}

/* How many items settle a check, so that a peer that does not close need not be waited for. */
static size_t enough_for(const struct check *check) {
    if (check->exclude_self)
        return 0;
    return check->rule == RULE_PRESENT ? 1 : check->rule == RULE_AT_LEAST ? (size_t)check->count : 0;
}

static void ask_for(struct request *request, struct ask *ask, const struct probe *probe, size_t enough,
                    void (*done)(void *owner)) {
    *ask = (struct ask){.prober = &request->desk->prober,
                        .probe = probe,
                        .log_path = request->asked.log_path,
                        .log_offset = request->asked.log_offset,
                        .enough = enough,
                        .done = done,
                        .owner = request};
    request->n_pending++;
    ask_start(ask);
}

static void prepare(struct request *request, const struct probe *probe) {
    if (probe->kind == PROBE_HTTP)
        http_prepare(request->desk->prober.http);
}

/* NULL, or why nothing can be asked. */
static const char *gate_ask(struct request *request) {
    const struct gate *gate = request->gate;
    if (gate->n_checks == 0)
        return "the gate has no checks";
    request->asks = calloc(gate->n_checks, sizeof(*request->asks));
    if (!request->asks)
        return "out of memory";
    request->n_asks = gate->n_checks;
    for (size_t i = 0; i < gate->n_checks; i++)
        prepare(request, &gate->checks[i].probe);
    for (size_t i = 0; i < gate->n_checks; i++)
        if (!is_for_executor(&gate->checks[i]))
            ask_for(request, &request->asks[i], &gate->checks[i].probe, enough_for(&gate->checks[i]),
                    on_asked);
    if (request->n_pending > 0)
        return NULL;
    request->early.answer = ANSWER_YES; /* commands only: the executor's */
    return "";
}

/* ---- samples and instances ---- */

static void on_sampled(void *owner) {
    struct request *request = owner;
    const struct sample_run *run = &request->sample;
    struct verdict verdict = {.answer = run->answer};
    memcpy(verdict.reason, run->reason, sizeof(verdict.reason));
    bool captured = run->answer == ANSWER_YES && !run->is_compare;
    answer(request, &verdict, run->asked_us, captured ? buffer_bytes(&run->blob) : (struct bytes){NULL, 0});
}

static const char *sample_ask(struct request *request) {
    if (!request->gate->sample)
        return "the gate has no sample";
    request->sample = (struct sample_run){.prober = &request->desk->prober,
                                          .sample = request->gate->sample,
                                          .log_path = request->asked.log_path,
                                          .log_offset = request->asked.log_offset,
                                          .is_compare = request->asked.kind == PROBER_SAMPLE_COMPARE,
                                          .captured = request->asked.blob,
                                          .done = on_sampled,
                                          .owner = request};
    prepare(request, &request->gate->sample->source);
    sample_start(&request->sample);
    return NULL;
}

static void on_instance(void *owner) {
    struct request *request = owner;
    const struct ask *ask = request->asks;
    struct verdict verdict = {.answer = ANSWER_UNKNOWN};
    bool is_there = ask->answered && ask->found.n > 0;
    if (is_there)
        verdict.answer = ANSWER_YES;
    snprintf(verdict.reason, sizeof(verdict.reason), "%s",
             is_there        ? ask->found.texts[0]
             : ask->answered ? "it does not say which instance it is"
                             : ask->trouble);
    answer(request, &verdict, ask->asked_us,
           is_there ? bytes_of_text(ask->found.texts[0]) : (struct bytes){NULL, 0});
}

static const char *instance_ask(struct request *request) {
    request->asks = calloc(1, sizeof(*request->asks));
    if (!request->asks)
        return "out of memory";
    request->n_asks = 1;
    prepare(request, request->probe);
    ask_for(request, request->asks, request->probe, 1, on_instance);
    return NULL;
}

/* ---- the desk ---- */

static void on_early(void *owner) {
    struct request *request = owner;
    answer(request, &request->early, 0, (struct bytes){NULL, 0});
}

/* Decodes the document and begins to ask; NULL, or why not. */
static const char *begin(struct request *request, struct error *err) {
    struct bytes document = request->asked.document;
    enum prober_kind kind = request->asked.kind;
    bool is_gate = kind != PROBER_INSTANCE;
    if (request->desk->n_requests > PROBER_REQUESTS_MAX)
        return "too many questions at once";
    if (codec_decode(is_gate ? &gate_codec : &probe_codec, document, request->arena,
                     is_gate ? (void *)&request->gate : (void *)&request->probe, err) < 0)
        return err->text;
    switch (kind) {
    case PROBER_GATE: return gate_ask(request);
    case PROBER_SAMPLE_CAPTURE:
    case PROBER_SAMPLE_COMPARE: return sample_ask(request);
    case PROBER_INSTANCE: return instance_ask(request);
    }
    return "an unknown kind of question";
}

static struct request *request_new(struct desk *desk) {
    struct request *request = calloc(1, sizeof(*request));
    struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    if (!request || !arena)
        abort(); /* a prober that cannot even say so is of no use; the executor starts a new one */
    request->desk = desk;
    request->arena = arena;
    request->early.answer = ANSWER_UNKNOWN;
    request->timer = (struct timer){.loop = desk->prober.loop, .due = on_early, .owner = request};
    request->next = desk->requests;
    request->link = &desk->requests;
    if (request->next)
        request->next->link = &request->next;
    desk->requests = request;
    desk->n_requests++;
    return request;
}

int desk_take(struct desk *desk, struct bytes datagram) {
    struct error err = {0};
    struct request *request = request_new(desk);
    uint8_t *copy = arena_copy(request->arena, datagram.data, datagram.len);
    int r = copy ? prober_request_unpack((struct bytes){copy, datagram.len}, request->arena, &request->asked)
                 : -ENOMEM;
    if (r < 0) {
        request_free(request);
        return -EBADMSG;
    }
    const char *trouble = begin(request, &err);
    if (trouble) {
        snprintf(request->early.reason, sizeof(request->early.reason), "%.500s", trouble);
        loop_timer_set(&request->timer, now_us());
    }
    return 0;
}

void desk_clear(struct desk *desk) {
    while (desk->requests)
        request_free(desk->requests);
}
