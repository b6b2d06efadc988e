/* rehearse: what would this plan do? The plan file is read and checked as for `approve`, and then executed by the engine and
 * the agents' machines in a model, in this process. There is no call to kedged in this file and none behind it, so that
 * nothing can be sent: not by a wrong option and not by a bug in the model. */
#include "coordinator/cli/plan_file.h"
#include "coordinator/cli/rehearse.h"

#include <stdlib.h>
#include <string.h>

enum { S = 1000 * 1000 };

/* ---- time ---- */

static uint32_t longest_detection_ms(const struct verified_plan *plan) {
    uint32_t most = 0;
    for (size_t i = 0; i < plan->n_gates; i++)
        most = plan->gates[i].detection_ms > most ? plan->gates[i].detection_ms : most;
    return most;
}

static uint64_t longest_wait_us(const struct verified_plan *plan) {
    uint64_t most = 0;
    for (size_t i = 0; i < plan->shape.n_waves; i++)
        most = plan->shape.waves[i].wait_limit_ms > most ? plan->shape.waves[i].wait_limit_ms : most;
    return most * 1000;
}

/* Longer than the plan can take when nothing waits; a bound for the model and no promise. */
static uint64_t bound_us(const struct rehearse *asked) {
    const struct verified_plan *plan = asked->plan;
    const struct rehearsal_pace *pace = &asked->pace;
    uint64_t change =
        pace->stop_us + pace->start_us + pace->heal_us + 2000ull * longest_detection_ms(plan) + 30ull * S;
    uint64_t bound = pace->prepare_us + 3600ull * S + 2 * longest_wait_us(plan);
    for (size_t i = 0; i < plan->shape.n_waves; i++) {
        const struct wave *wave = &plan->shape.waves[i];
        bound += wave->n_members * (2 * change + 1000ull * wave->soak_ms + 1000ull * wave->soak_read_only_ms);
    }
    if (rehearse_wants_approval(plan) && asked->approve_us != UINT64_MAX)
        bound += asked->approve_us;
    for (size_t i = 0; i < asked->n_items; i++)
        bound += asked->items[i].at_us + asked->items[i].lasts_us;
    return bound;
}

/* ---- one rehearsal ---- */

struct watcher {
    struct rehearse *asked;
    json_t *notes; /* NULL: they are printed */
};

static void see(void *context, const struct rehearsal_note *note) {
    const struct watcher *watcher = context;
    if (watcher->notes)
        json_array_append_new(watcher->notes, rehearse_note_json(watcher->asked, note));
    else
        rehearse_note_print(watcher->asked, note);
}

static struct verified_plan *plan_again(void *context, uint64_t serial) {
    const struct rehearse *asked = context;
    (void)serial;
    return rehearsal_plan_borrow(asked->plan);
}

enum how { HOW_SILENT, HOW_TOLD, HOW_TRANSCRIPT };

/* `seed` 0: no chance, and nothing happens but what is wanted. `notes`: what is told, for JSON. */
static int rehearse(struct cli *cli, struct rehearse *asked, uint64_t seed, enum how how, json_t *notes,
                    struct rehearsed *done) {
    const struct header *header = &asked->plan->header;
    struct watcher watcher = {asked, notes};
    *done =
        (struct rehearsed){.members = arena_array(cli->arena, asked->plan->n_orders, sizeof(*done->members))};
    if (!done->members)
        return error_set(cli->err, -ENOMEM, "out of memory");
    struct rehearsal_stage stage = {.alone = seed == 0,
                                    .items = asked->items,
                                    .approve_us = asked->approve_us,
                                    .n_items = asked->n_items,
                                    .struck = asked->struck,
                                    .see = how == HOW_TOLD ? see : NULL,
                                    .context = &watcher,
                                    .members = done->members,
                                    .most_away = &done->most_away};
    bool looked_at =
        seed == 0 || how != HOW_SILENT || asked->n_items > 0 || rehearse_wants_approval(asked->plan);
    uint64_t begin_s = header->created_s > header->not_before_s ? header->created_s : header->not_before_s;
    uint64_t least = 40ull * S;
    struct rehearsal_config config = {.seed = seed,
                                      .faults = seed ? asked->random : 0,
                                      .plan = plan_again,
                                      .context = asked,
                                      .transcript = how == HOW_TRANSCRIPT ? stdout : NULL,
                                      .pace = asked->pace,
                                      .begin_ms = 1000 * (begin_s > 100 ? begin_s : 100),
                                      .calm_us = seed == 0                 ? bound_us(asked)
                                                 : asked->whole_us > least ? asked->whole_us
                                                                           : least,
                                      .patience_us = bound_us(asked),
                                      .elects = true,
                                      .stage = looked_at ? &stage : NULL};
    memset(asked->struck, 0, sizeof(asked->struck));
    rehearsal_run(&config, &done->result);
    if (strncmp(done->result.what, "setup: ", 7) == 0) /* the engine's own word about the plan */
        return error_set(cli->err, -EPERM, "%s: %s", asked->path, done->result.what + 7);
    return 0;
}

static int run_silently(struct cli *cli, struct rehearse *asked, uint64_t seed, struct rehearsed *done) {
    return rehearse(cli, asked, seed, HOW_SILENT, NULL, done);
}

/* The same without anything that was wanted: how long does it take when nothing happens? */
static int measure(struct cli *cli, struct rehearse *asked) {
    struct rehearsed calm;
    struct rehearse plain = *asked;
    plain.n_items = 0;
    int r = rehearse(cli, &plain, 0, HOW_SILENT, NULL, &calm);
    asked->whole_us = calm.result.rest.after_us;
    return r;
}

static int show_json(struct cli *cli, struct rehearse *asked) {
    _cleanup_(json_freep) json_t *json = rehearse_head_json(asked);
    json_t *notes = json_array();
    struct rehearsed done;
    int r = rehearse(cli, asked, asked->one ? asked->seed : 0, HOW_TOLD, notes, &done);
    json_object_set_new(json, "timeline", notes);
    if (r < 0)
        return r;
    _cleanup_(json_freep) json_t *summary = rehearse_summary_json(asked, &done);
    json_object_update(json, summary);
    r = json_print(json);
    return r == EXIT_DONE ? rehearse_exit(&done.result) : r;
}

static int show(struct cli *cli, struct rehearse *asked) {
    bool transcript = cli_flag(cli, "transcript");
    struct rehearsed done;
    rehearse_head(asked);
    if (!transcript)
        rehearse_timeline_begin(asked);
    int r = rehearse(cli, asked, asked->one ? asked->seed : 0, transcript ? HOW_TRANSCRIPT : HOW_TOLD, NULL,
                     &done);
    rehearse_line_end(asked);
    if (r < 0)
        return r;
    rehearse_summary(asked, &done);
    return rehearse_exit(&done.result);
}

int cmd_rehearse(struct cli *cli) {
    const char *fault = cli_option(cli, "fault");
    if (fault && strcmp(fault, "list") == 0)
        return rehearse_list(cli);
    if (cli->n_arguments == 0)
        return error_set(cli->err, -EINVAL, "which plan? kedge rehearse FILE");
    _cleanup_(verified_plan_freep) struct verified_plan *plan = NULL;
    struct rehearse asked = {.path = cli->arguments[0]};
    _cleanup_(buffer_deinit) struct buffer file = {0};
    int r = plan_read(cli, asked.path, &file, &plan);
    asked.plan = plan;
    if (r == 0)
        r = rehearsal_fits(plan, cli->err);
    if (r == 0)
        r = rehearse_options(cli, &asked);
    if (r == 0 && (asked.many || asked.one))
        r = measure(cli, &asked);
    if (r < 0)
        return r;
    if (asked.many)
        return rehearse_many(cli, &asked, run_silently);
    return cli->json ? show_json(cli, &asked) : show(cli, &asked);
}
