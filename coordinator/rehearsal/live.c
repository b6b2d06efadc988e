/* The end: once the faults are over, every run has to end, or to wait or be paused with a reason that the operator is
 * told. Then somebody resumes it, returns the nodes that are held, and at last gives it up. */
#include "coordinator/rehearsal/internal.h"

#include <string.h>

enum { ROUNDS = 8 };

static bool is_open(const struct run *run) {
    return run->state != RUN_ENDED;
}

static size_t n_runs(const struct world *w) {
    return w->engine ? engine_n_runs(w->engine) : 0;
}

/* A canary is done, and nobody is there who approves it. */
static bool is_unapproved(const struct world *w, const struct run *run) {
    return engine_approval_awaited(run) != UINT32_MAX && !stage_approves(w);
}

/* Nothing more happens without a word from somebody. */
static bool all_rest(const struct world *w) {
    bool begun = w->clusters[0].n_begun > 0;
    for (size_t i = 0; i < n_runs(w); i++) {
        const struct run *run = engine_run_at(w->engine, i);
        if (is_open(run) && run->state != RUN_WAITING && !run->paused && !is_unapproved(w, run))
            return false;
    }
    return begun && w->engine;
}

static bool any_open(const struct world *w) {
    for (size_t i = 0; i < n_runs(w); i++)
        if (is_open(engine_run_at(w->engine, i)))
            return true;
    return false;
}

static void wait_for(struct world *w) {
    uint64_t patience_us = w->config->patience_us ? w->config->patience_us : 600ull * SECOND;
    uint64_t until = w->now_us + patience_us * (1 + w->n_members / 40);
    while (!all_rest(w))
        if (!world_turn(w, until))
            break;
    if (!all_rest(w) && !w->result->failed)
        w->now_us = until;
}

static void say_why(struct world *w, const struct run *run) {
    char text[512];
    engine_explain_run(w->engine, run, text, sizeof(text));
    world_say(w, "# run %llu is %s: %s", (unsigned long long)run->id, run_state_text(run->state), text);
    if (run->paused && strlen(text) <= strlen("paused: "))
        world_fail(w, "liveness: the run is paused without a reason");
    else if (!text[0])
        world_fail(w, "liveness: ten minutes after the last fault the run is %s and says nothing about why",
                   run_state_text(run->state));
}

/* True when somebody did something about it. */
static bool somebody_helps(struct world *w) {
    bool helped = holds_return(w);
    for (size_t i = 0; i < n_runs(w) && !w->result->failed; i++) {
        const struct run *run = engine_run_at(w->engine, i);
        if (!is_open(run))
            continue;
        helped |= words_retire_gone(w, run);
        helped |= w->engine && words_approve(w, run, "somebody");
        if (run->paused && w->engine) {
            coordinator_command(w, run, RUN_EVENT_RESUME, "somebody");
            helped = true;
        }
    }
    return helped;
}

static void give_up(struct world *w) {
    for (size_t i = n_runs(w); i-- > 0 && !w->result->failed;)
        if (is_open(engine_run_at(w->engine, i)))
            coordinator_command(w, engine_run_at(w->engine, i), RUN_EVENT_ABORT, "somebody");
    wait_for(w);
    if (any_open(w) && !barrier_waits_for_a_person(w))
        world_fail(w, "liveness: ten minutes after an abort the run has not ended");
}

/* Who stands still when the faults end does so to the end of it. */
static void all_go_on(struct world *w) {
    uint64_t until = w->stalled_until_us;
    for (uint32_t i = 0; i < w->n_members; i++)
        until = w->members[i].paused_until_us > until ? w->members[i].paused_until_us : until;
    while (world_turn(w, until))
        ;
    if (!w->result->failed && until > w->now_us)
        w->now_us = until;
}

void live(struct world *w) {
    all_go_on(w);
    for (unsigned round = 0; round < ROUNDS && !w->result->failed; round++) {
        wait_for(w);
        stage_rest(w);
        if (!any_open(w))
            return;
        for (size_t i = 0; i < n_runs(w); i++)
            if (is_open(engine_run_at(w->engine, i)))
                say_why(w, engine_run_at(w->engine, i));
        if (!somebody_helps(w))
            break;
    }
    wait_for(w);
    if (any_open(w) && !w->result->failed)
        give_up(w);
}
