/* What failed on this node is not tried again by it, whatever its coordinator says (lesson 18): over a real process. */
#include "tests/unit/test.h"

#include "tests/scenario/agent_world.h"

static const char *releases, *prober;

__attribute__((constructor)) static void begin(void) {
    releases = getenv("KEDGE_STORE_RELEASES");
    prober = getenv("KEDGE_PROBER");
}

static bool ready(struct agent_world *w) {
    return world_init(w, releases, "1.1.0") && world_agent_start(w, prober) && world_adopt(w);
}

static void is_outcome(const struct report *report, enum outcome outcome, bool blames) {
    require(report != NULL);
    check_eq_str(outcome_text(report->outcome), outcome_text(outcome));
    check_eq_int(report->blames, blames);
    if (report->outcome != outcome)
        printf("# %s\n", report->reason);
}

/* The next plan; `word` is what its service is started with last. */
static void plan(struct agent_world *w, const char *word) {
    struct argument *arguments = arena_array(w->arena, 4, sizeof(*arguments));
    require(arguments != NULL);
    memcpy(arguments, w->generations[0].arguments, 4 * sizeof(*arguments));
    arguments[3].text = word;
    w->generations[0].arguments = arguments;
    w->order.serial++;
    require(world_bind_facts(w));
    world_sign(w);
}

static bool is_kept(struct agent_world *w) {
    char key[KEDGE_DIGEST_TEXT_SIZE];
    digest_format(key, &w->release);
    return journal_get(w->executor->journal, RECORD_QUARANTINE, key).data != NULL;
}

/* Nothing follows from the order but a report that is not kept. */
static void is_refused(struct agent_world *w, const char *step) {
    uint64_t seq = journal_seq(w->executor->journal);
    const struct member *m = executor_member(w->executor, "c/store@n1");
    world_send(w, step, NULL, NULL);
    while (sd_event_run(w->executor->loop, 0) > 0)
        ;
    check_eq_int(journal_seq(w->executor->journal), seq);
    check(!m->incoming && !machine_is_busy(&m->machine));
}

TEST("F06 lesson_18: what did not start here is refused, also after a restart, until operators have signed "
     "for it") {
    struct agent_world w;
    require(ready(&w));
    const char *good = w.generations[0].arguments[3].text;
    plan(&w, "--no-such-option");
    is_outcome(world_order(&w, "prepare"), OUTCOME_DONE, false);
    is_outcome(world_order(&w, "switch"), OUTCOME_RETURNED, true);
    check(is_kept(&w));
    plan(&w, good);
    is_refused(&w, "prepare");
    world_agent_stop(&w);
    require(world_agent_start(&w, prober));
    is_refused(&w, "prepare");
    is_refused(&w, "switch");
    w.lifts = true;
    plan(&w, good);
    is_outcome(world_order(&w, "prepare"), OUTCOME_DONE, false);
    check(is_kept(&w)); /* it has not proven itself yet */
    is_outcome(world_order(&w, "switch"), OUTCOME_DONE, false);
    check(!is_kept(&w));
    check_contains(world_answer(&w), "1.1.0");
    world_deinit(&w);
}

TEST("lesson_18: lost data and a gate that says no are the release's; may-stop, other hands and an abort are "
     "not") {
    struct agent_world w;
    require(ready(&w));
    w.rows[1][6].gates = &w.gate_digests[2];
    w.rows[1][6].deadline_ms = 200;
    plan(&w, w.generations[0].arguments[3].text);
    is_outcome(world_order(&w, "prepare"), OUTCOME_DONE, false);
    is_outcome(world_order(&w, "switch"), OUTCOME_RETURNED, true);
    check(is_kept(&w));
    world_deinit(&w);
    require(ready(&w));
    w.rows[1][0].gates = &w.gate_digests[2];
    plan(&w, w.generations[0].arguments[3].text);
    is_outcome(world_order(&w, "prepare"), OUTCOME_DONE, false);
    is_outcome(world_order(&w, "switch"), OUTCOME_WAITS, false);
    check(!is_kept(&w));
    world_deinit(&w);
}
