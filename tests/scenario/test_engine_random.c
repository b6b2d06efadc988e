/* The engine under random trouble, each run from one seed: agents cut off and back, gates that flap, steps that fail,
 * operators that pause, resume, abort and roll back at any time, a coordinator that dies. What must always hold is checked
 * at each order (world.c); at the end of the trouble every run ends, or is paused with a reason, with its side action
 * closed once it has ended. A failing seed is printed: test_engine_random is run again with it as KEDGE_SEED. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

struct trouble {
    uint64_t random;
    bool over;
    unsigned flap, fail; /* per thousand */
};
static struct trouble trouble;

static uint64_t random_next(void) { /* xorshift64* */
    uint64_t x = trouble.random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    trouble.random = x;
    return x * 2685821657736338717u >> 16;
}

static bool one_in(unsigned n) {
    return random_next() % n == 0;
}

static enum answer troubled_gate(struct world *world, enum world_gate gate, unsigned node, const char *self) {
    (void)world, (void)node, (void)self;
    if (!trouble.over && random_next() % 1000 < trouble.flap)
        return one_in(2) ? ANSWER_NO : ANSWER_UNKNOWN;
    return gate == GATE_LAST && !one_in(4) ? ANSWER_NO : ANSWER_YES;
}

static enum outcome troubled_step(struct world *world, unsigned member, const char *step) {
    static const enum outcome ends[] = {OUTCOME_WAITS, OUTCOME_REFUSED, OUTCOME_FAILED, OUTCOME_RETURNED,
                                        OUTCOME_HELD};
    (void)world, (void)member;
    bool side = strstr(step, "delay") != NULL, prepare = strcmp(step, "prepare") == 0;
    if (trouble.over || random_next() % 1000 >= trouble.fail)
        return OUTCOME_DONE;
    return ends[random_next() % (side || prepare ? 3 : 5)];
}

static bool loses_orders(struct world *world) {
    (void)world;
    return !trouble.over && one_in(25);
}

static void make_trouble(struct world *w) {
    static const enum run_event words[] = {RUN_EVENT_PAUSE, RUN_EVENT_RESUME, RUN_EVENT_ABORT,
                                           RUN_EVENT_ROLLBACK};
    unsigned node = (unsigned)(random_next() % w->config.n_members);
    if (one_in(40))
        world_agent_down(w, node);
    if (one_in(15) && w->agents[node].down)
        world_agent_up(w, node);
    if (one_in(120))
        world_crash(w);
    if (one_in(80) && world_run_of(w))
        (void)!world_command(w, words[one_in(3) ? random_next() % 4 : random_next() % 2], "somebody");
}

static struct world_config any_config(void) {
    unsigned n = 1 + (unsigned)(random_next() % 9);
    return (struct world_config){
        .n_members = n,
        .n_canaries = one_in(3) ? 0 : 1,
        .limit = 1 + (unsigned)(random_next() % 3),
        .limit_percent = one_in(3) ? 40 : 0,
        .members_per_domain = (unsigned)(random_next() % 4),
        .one_domain = one_in(2),
        .has_last = one_in(2),
        .side_action = !one_in(3),
        .soak_ms = one_in(3) ? 0 : 200,
        .soak_read_only_ms = one_in(3) ? 0 : 200,
        .detection_ms = one_in(3) ? 0 : 100,
        .wait_limit_ms = one_in(3) ? 0 : 3000,
        .way_back = WAY_BACK_UNTIL_FINALIZE,
    };
}

static void steps_once(const struct world *w) {
    /* Not the close: what puts back is done anew when it is ordered anew. */
    static const char *const steps[] = {"prepare", "switch", "promote", "return", "open delay"};
    for (unsigned m = 0; m < w->config.n_members; m++)
        for (size_t s = 0; s < ARRAY_LEN(steps); s++)
            if (world_effects(w, m, steps[s]) > 1)
                test_fail(__FILE__, __LINE__, "n%u did %s %u times", m + 1, steps[s],
                          world_effects(w, m, steps[s]));
}

/* All agents are back and well; the operator resumes what is paused, some times. */
static void calm(struct world *w) {
    trouble.over = true;
    for (unsigned i = 0; i < w->config.n_members; i++)
        if (w->agents[i].down || w->agents[i].cut)
            world_agent_up(w, i);
    for (unsigned i = 0; i < 12 && world_run_of(w) && world_run_of(w)->state != RUN_ENDED; i++) {
        world_run(w, 120000);
        if (world_run_of(w)->paused)
            (void)!world_command(w, RUN_EVENT_RESUME, "somebody");
    }
}

static void at_the_end(const struct world *w) {
    const struct run *run = world_run_of(w);
    if (!run)
        return;
    check_eq_str(run_state_text(run->state), "ended");
    check(!w->side_in_force);
    check(run->verdict != VERDICT_NONE && run->verdict_text && run->verdict_text[0]);
    for (uint32_t i = 0; i < run->n_members; i++)
        check(run->verdict != VERDICT_DONE || run->members[i].state == MEMBER_DONE);
    if (!w->config.one_domain && w->config.limit_percent == 0)
        check(w->max_in_change <= w->config.limit);
}

static unsigned n_verdicts[VERDICTS];

static bool run_seed(uint64_t seed, bool loud) {
    trouble = (struct trouble){.random = seed * 2654435769u + 1};
    for (unsigned i = 0; i < 8; i++)
        (void)random_next();
    trouble.flap = one_in(2) ? 0 : (unsigned)(random_next() % 200);
    trouble.fail = one_in(2) ? 0 : (unsigned)(random_next() % 150);
    struct world_config config = any_config();
    _cleanup_(world_freep) struct world *w = world_new(&config);
    w->quiet = !loud;
    w->gate = troubled_gate;
    w->step = troubled_step;
    w->loses = loses_orders;
    unsigned failures = test_n_failures;
    (void)!world_begin(w);
    uint64_t until = w->now_ms + 1000 + random_next() % 8000;
    while (world_run_of(w) && w->now_ms < until && world_next(w, until))
        make_trouble(w);
    calm(w);
    at_the_end(w);
    steps_once(w);
    replay_equals(w);
    if (world_run_of(w))
        n_verdicts[world_run_of(w)->verdict]++;
    if (loud)
        printf("%s\n", (const char *)w->transcript.data);
    return test_n_failures == failures;
}

TEST("F04 F06 F08 F14 F15 F31 under random trouble every run ends, and what must hold holds") {
    const char *only = getenv("KEDGE_SEED"), *many = getenv("KEDGE_SEEDS");
    if (only) {
        run_seed(strtoul(only, NULL, 10), true);
        return;
    }
    unsigned long n = many ? strtoul(many, NULL, 10) : 400;
    for (uint64_t seed = 1; seed <= n; seed++)
        if (!run_seed(seed, false)) {
            test_fail(__FILE__, __LINE__, "seed %llu (KEDGE_SEED=%llu shows it)", (unsigned long long)seed,
                      (unsigned long long)seed);
            return;
        }
    printf("# of %lu runs: %u done, %u failed, %u aborted, %u rolled back\n", n, n_verdicts[VERDICT_DONE],
           n_verdicts[VERDICT_FAILED], n_verdicts[VERDICT_ABORTED], n_verdicts[VERDICT_ROLLED_BACK]);
    for (unsigned v = VERDICT_DONE; v <= VERDICT_ROLLED_BACK; v++)
        check(n_verdicts[v] > 0); /* else the trouble is too much or too little to find anything */
}
