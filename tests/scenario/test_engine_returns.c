/* A node that was held comes back, and somebody has had its member in hand meanwhile. */
#include "tests/unit/test.h"

#include "tests/scenario/world_checks.h"

#include <string.h>

static const struct world_config rolling = {.n_members = 4,
                                            .limit = 1,
                                            .soak_ms = 1000,
                                            .detection_ms = 500,
                                            .wait_limit_ms = 60000,
                                            .way_back = WAY_BACK_UNTIL_FINALIZE};

enum { HELD = 2 };

/* A run whose first member is done, the node of `member` is held. */
static struct world *held(unsigned member) {
    struct world *w = world_new(&rolling);
    check(world_begin(w) == 0 &&
          world_run_until(w, member, member == HELD ? MEMBER_PREPARED : MEMBER_DONE, 60000) &&
          world_hold(w, member, 0, "bob: I do this one by hand") == 0);
    return w;
}

static void touch(struct world *w, unsigned member, uint32_t generation) {
    w->hands[member] = (struct world_hands){.touched = true, .generation = generation};
}

static void check_stays_held(struct world *w, unsigned member, const char *why) {
    struct node_hold hold;
    char node[16];
    snprintf(node, sizeof(node), "n%u", member + 1);
    check(world_return(w, member, "bob") == ENGINE_REFUSED);
    check_contains((const char *)w->actions.refused, why);
    check_contains((const char *)w->actions.refused, "stays held: make it so and return it again");
    check(engine_node_hold(w->engine, node, &hold));
}

TEST("F06 a member that runs what it ran, or what its switch starts, comes back and is still to do") {
    for (uint32_t generation = 0; generation < 2; generation++) {
        _cleanup_(world_freep) struct world *w = held(HELD);
        touch(w, HELD, generation);
        check(world_return(w, HELD, "bob: done") == 0);
        check(world_run_of(w)->members[HELD].state == MEMBER_PREPARED ||
              world_run_of(w)->members[HELD].state == MEMBER_PLANNED);
        world_run(w, 60000);
        ended(w, VERDICT_DONE);
    }
}

TEST("F06 a member that is done and was put back by hand is returned, and the run says so") {
    _cleanup_(world_freep) struct world *w = held(0);
    touch(w, 0, 0);
    check(world_return(w, 0, "bob: it misbehaved") == 0);
    world_crash(w);
    const struct run *run = world_run_of(w);
    check_eq_int(run->members[0].state, MEMBER_RETURNED);
    check_contains(run->members[0].reason, "put it back to 1.0");
    check_contains(run->members[0].reason, "bob: it misbehaved");
    world_run(w, 10000);
    check(run->paused); /* as after any member that went back: the budget is none */
    check(world_member(w, RUN_EVENT_RETRY, 0, "bob") == ENGINE_REFUSED);
    check_contains((const char *)w->actions.refused, "make a new plan");
    check(world_command(w, RUN_EVENT_RESUME, "bob: go on without it") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_FAILED);
    check_eq_int(world_run_of(w)->n_state[MEMBER_DONE], 3);
}

TEST("F06 a member that is done and runs its new release stays done") {
    _cleanup_(world_freep) struct world *w = held(0);
    touch(w, 0, 1);
    check(world_return(w, 0, "bob: only looked") == 0);
    check_eq_int(world_run_of(w)->members[0].state, MEMBER_DONE);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

TEST("F06 anything else stays held, and what differs is named; so does what nobody could look at") {
    _cleanup_(world_freep) struct world *w = held(HELD);
    touch(w, HELD, FOUND_OTHER);
    check_stays_held(w, HELD,
                     "shop/server@n3 is prepared and runs something else: user is root, expected shop");
    touch(w, HELD, FOUND_UNSEEN);
    check_stays_held(w, HELD, "what shop/server@n3 runs cannot be seen");
    check_contains((const char *)w->actions.refused, "kedge run retire");
    world_run(w, 30000);
    check_eq_int(world_run_of(w)->members[HELD].state, MEMBER_PREPARED);
    touch(w, HELD, 0);
    check(world_return(w, HELD, "bob: put right") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

TEST("F06 who is left out of the run is nobody's to look at") {
    _cleanup_(world_freep) struct world *w = held(HELD);
    touch(w, HELD, FOUND_UNSEEN);
    check(world_member(w, RUN_EVENT_RETIRE, HELD, "bob: the host is gone") == 0);
    check(world_return(w, HELD, "bob") == 0);
    world_run(w, 60000);
    ended(w, VERDICT_DONE);
}

/* ---- what an agent's facts say ---- */

static const struct fact binding[] = {
    {"config.digest", "b2:01"}, {"mode", "read-write"}, {"release.version", "1.0"}, {"user", "shop"}};
static const struct generation generation = {.mode = MODE_READ_WRITE, .version = "1.1"};
static const struct work_order order = {
    .serial = 7, .binding = binding, .n_binding = 4, .generations = &generation, .n_generations = 1};

static uint32_t found(const struct fact *facts, size_t n, const char *says) {
    struct node_finding finding;
    char text[700];
    engine_find(&order, facts, n, &finding, text, sizeof(text));
    check_eq_str(text, says);
    return finding.generation;
}

TEST("F06 what runs is told by the facts: what was signed, the plan's generation, or what differs") {
    check_eq_int(found(binding, 4, ""), 0);
    struct fact by_hand[] = {{"plan.serial", "7"},
                             {"plan.generation", "1"},
                             {"mode", "read-write"},
                             {"release.version", "1.1"},
                             {"user", "shop"}};
    check_eq_int(found(by_hand, 5, ""), 1);
    by_hand[0].value = "6"; /* another plan's first generation */
    check(found(by_hand, 5,
                "release.version is 1.1, expected 1.0; config.digest is not known, expected b2:01") ==
          FOUND_OTHER);
    by_hand[0].value = "7";
    by_hand[4].value = "root";
    by_hand[2].value = "read-only";
    check(found(by_hand, 5, "mode is read-only, expected read-write; user is root, expected shop") ==
          FOUND_OTHER);
    by_hand[1].value = "9"; /* this order has no such generation */
    check(found(by_hand, 5,
                "release.version is 1.1, expected 1.0; mode is read-only, expected read-write; user is root, "
                "expected shop; config.digest is not known, expected b2:01") == FOUND_OTHER);
}
