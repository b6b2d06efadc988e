/* A side action that is open when the coordinator falls silent is put back by the member itself: once, only while it is
 * still ours, also by the next agent after a kill, and never in the middle of a switch. */
#include "tests/unit/test.h"

#include "agent/core/acceptance.h"
#include "tests/scenario/agent_world.h"

#include <poll.h>

static const char *releases, *prober;
static const char member_name[] = "c/store@n1";

__attribute__((constructor)) static void begin(void) {
    releases = getenv("KEDGE_STORE_RELEASES");
    prober = getenv("KEDGE_PROBER");
}

static void say_lease(struct agent_world *w, enum lease_state state) {
    struct lease_message message = {
        .cluster = "c", .serial = 1, .name = "repair-delay", .state = state, .epoch = 1};
    lease_receive(w->executor, &message);
}

static bool opened(struct agent_world *w) {
    if (!check(world_init(w, releases, "1.1.0") && world_agent_start(w, prober) && world_adopt(w)))
        return false;
    const struct report *report = world_order(w, "prepare");
    bool prepared = check(report && report->outcome == OUTCOME_DONE);
    report = prepared ? world_order(w, "open repair-delay") : NULL;
    return check(report && report->outcome == OUTCOME_DONE) && check_eq_str(world_setting(w), "60");
}

/* Looks like the tick of the loop does, for so long or until the setting is `wanted`. */
static bool becomes(struct agent_world *w, const char *wanted, unsigned ms) {
    uint64_t until = clock_monotonic_us() + ms * 1000ull;
    while (strcmp(world_setting(w), wanted) != 0 && clock_monotonic_us() < until) {
        leases_look(w->executor);
        (void)sd_event_run(w->executor->loop, 10000);
    }
    return strcmp(world_setting(w), wanted) == 0;
}

TEST("F31 F27 a silent coordinator: the member puts the previous value back, once") {
    struct agent_world w;
    require(opened(&w));
    say_lease(&w, LEASE_OPEN);
    leases_look(w.executor);
    check_eq_str(world_setting(&w), "60"); /* not before its time */
    check(becomes(&w, "0", 10000));
    const struct report *report = world_wait_any(&w, "close repair-delay");
    check(report && report->outcome == OUTCOME_DONE);
    uint64_t until = clock_monotonic_us() + 10000000;
    while (w.executor->leases && clock_monotonic_us() < until) {
        leases_look(w.executor);
        (void)sd_event_run(w.executor->loop, 10000);
    }
    check(!w.executor->leases);
    world_deinit(&w);
}

TEST("F31 the agent is killed and the coordinator never comes back: the next agent puts it back") {
    struct agent_world w;
    require(opened(&w));
    world_agent_stop(&w);
    require(world_agent_start(&w, prober));
    check(w.executor->leases != NULL);
    check(becomes(&w, "0", 10000));
    world_deinit(&w);
}

static void talk(struct agent_world *w) {
    static const uint8_t nothing[1] = {0};
    struct verified_message heartbeat = {.type = MESSAGE_HEARTBEAT, .bytes = {nothing, sizeof(nothing)}};
    message_receive(w->executor, &heartbeat);
}

TEST("F31 A20 a coordinator that never said that the side action is open, and talks on about other things: "
     "who "
     "opened it puts it back") {
    struct agent_world w;
    require(opened(&w));
    check(w.executor->leases != NULL);
    uint64_t until = clock_monotonic_us() + 10000000;
    while (strcmp(world_setting(&w), "0") != 0 && clock_monotonic_us() < until) {
        talk(&w);
        leases_look(w.executor);
        (void)sd_event_run(w.executor->loop, 10000);
    }
    check_eq_str(world_setting(&w), "0");
    world_deinit(&w);
}

TEST("F31 what somebody else has set since is left alone") {
    struct agent_world w;
    require(opened(&w));
    world_set(&w, "7");
    check(!becomes(&w, "0", 3000));
    check_eq_str(world_setting(&w), "7");
    check(!w.executor->leases);
    world_deinit(&w);
}

TEST("F31 a lease that was closed is not looked at, nor one whose coordinator speaks") {
    struct agent_world w;
    require(opened(&w));
    for (int i = 0; i < 100; i++) {
        say_lease(&w, LEASE_OPEN);
        leases_look(w.executor);
        (void)sd_event_run(w.executor->loop, 5000);
    }
    check_eq_str(world_setting(&w), "60");
    say_lease(&w, LEASE_CLOSED);
    check(!becomes(&w, "0", 1000));
    check(!executor_member(w.executor, member_name)->order);
    world_deinit(&w);
}

TEST("F31 a side action that was opened anew is put back again by a newer order, whatever the lease did "
     "before") {
    static const struct lease lease = {.name = "delay", .close_step = "close delay"};
    static const struct step steps[] = {{.name = "close delay", .verb = VERB_ACT},
                                        {.name = "switch", .verb = VERB_SWITCH}};
    static const struct work_order order = {.steps = steps, .n_steps = 2, .leases = &lease, .n_leases = 1};
    struct offer offer = {.epoch = 3, .serial = 1, .expires_s = 200, .order = &order, .step = &steps[0]};
    check(acceptance_is_answered(OUTCOME_DONE, 3, 200, &offer));
    check(!acceptance_is_answered(OUTCOME_DONE, 3, 199, &offer));
    check(!acceptance_is_answered(OUTCOME_DONE, 2, 300, &offer));
    offer.step = &steps[1];
    check(acceptance_is_answered(OUTCOME_DONE, 2, 100, &offer));
    check(!acceptance_is_answered(OUTCOME_WAITS, 2, 100, &offer));
}
