/* A plan of the planner, by the shipped recipe, becomes a world, and what the world does is what the plan says. */
#include "tests/unit/test.h"

#include "coordinator/rehearsal/stage.h"
#include "tests/unit/bookkeeper_world.h"

#include <string.h>

enum { SECOND = 1000 * 1000, NOTES_MAX = 400 };

struct told {
    struct {
        enum note_kind kind;
        uint64_t after_us;
        char wave[32], member[64], text[300];
    } notes[NOTES_MAX];
    size_t n;
};

static void see(void *context, const struct rehearsal_note *note) {
    struct told *told = context;
    if (told->n == NOTES_MAX)
        return;
    told->notes[told->n].kind = note->kind;
    told->notes[told->n].after_us = note->after_us;
    snprintf(told->notes[told->n].wave, sizeof(told->notes[0].wave), "%s", note->wave);
    snprintf(told->notes[told->n].member, sizeof(told->notes[0].member), "%s", note->member);
    snprintf(told->notes[told->n].text, sizeof(told->notes[0].text), "%s", note->text);
    told->n++;
}

static struct verified_plan *again(void *context, uint64_t serial) {
    (void)serial;
    return rehearsal_plan_borrow(context);
}

struct play {
    struct world *world;
    struct verified_plan *plan;
    struct staged items[4];
    size_t n_items;
    bool struck[STAGED_MAX];
    uint64_t approve_us;
    uint64_t seed, hands; /* hands: faults that people make, too */
    struct told told;
    struct rehearsal_member members[WORLD_MEMBERS_MAX];
    uint32_t most_away;
    struct rehearsal_result result;
};

static struct play *play_of(struct world *world) {
    struct play *p = calloc(1, sizeof(*p));
    p->world = world;
    if (world_plan(p->world) == 0)
        p->plan = world_verify(p->world);
    return p;
}

static struct play *play_new(void) {
    return play_of(bookkeeper_world("4.5.1"));
}

static struct play *play_free(struct play *p) {
    verified_plan_free(p->plan);
    world_free(p->world);
    free(p);
    return NULL;
}

static inline void play_freep(struct play **p) {
    *p = play_free(*p);
}

static void play(struct play *p) {
    struct rehearsal_stage stage = {.alone = p->seed == 0,
                                    .items = p->items,
                                    .n_items = p->n_items,
                                    .approve_us = p->approve_us,
                                    .struck = p->struck,
                                    .see = see,
                                    .context = &p->told,
                                    .members = p->members,
                                    .most_away = &p->most_away};
    struct rehearsal_config config = {.seed = p->seed,
                                      .faults = p->seed ? REHEARSAL_NATURE | p->hands : 0,
                                      .plan = again,
                                      .context = p->plan,
                                      .pace = {10ull * SECOND, 1ull * SECOND, 5ull * SECOND, 2ull * SECOND},
                                      .begin_ms = 1000 * p->plan->header.created_s,
                                      .calm_us = p->seed ? 200ull * SECOND : 7200ull * SECOND,
                                      .patience_us = 7200ull * SECOND,
                                      .elects = true,
                                      .stage = &stage};
    p->told.n = 0;
    p->most_away = 0;
    memset(p->members, 0, sizeof(p->members));
    memset(p->struck, 0, sizeof(p->struck));
    rehearsal_run(&config, &p->result);
}

/* The number of the first note from `from` on with these words about this member; n when there is none. */
static size_t note_find(const struct play *p, size_t from, const char *member, const char *words) {
    for (size_t i = from; i < p->told.n; i++)
        if (strcmp(p->told.notes[i].member, member) == 0 && strstr(p->told.notes[i].text, words))
            return i;
    return p->told.n;
}

static bool is_told_in_order(const struct play *p, const char *const (*notes)[2], size_t n) {
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        at = note_find(p, at, notes[i][0], notes[i][1]);
        if (at == p->told.n) {
            printf("# not told there: %s %s\n", notes[i][0], notes[i][1]);
            return false;
        }
    }
    return true;
}

TEST("F41 a calm rehearsal tells what the plan says: canary read-only first, the auditor last, the side "
     "action put back") {
    _cleanup_(play_freep) struct play *p = play_new();
    require(p->plan);
    play(p);
    check_eq_str(p->result.what, "");
    check(p->result.rest.ended);
    check_eq_str(p->result.rest.verdict, "done");
    static const char *const notes[][2] = {{"", "prepares all 4 members"},
                                           {"", "side action recovery-delay is opened: 0 -> 60"},
                                           {"", "wave 1 of 2 begins: canary, 1 member"},
                                           {"bk-test/bookie@n3", "is told to stop"},
                                           {"bk-test/bookie@n3", "starts 4.5.1, read-only"},
                                           {"bk-test/bookie@n3", "soaks read-only for 60 s"},
                                           {"bk-test/bookie@n3", "starts 4.5.1, read-write"},
                                           {"bk-test/bookie@n3", "soaks for 60 s"},
                                           {"bk-test/bookie@n3", "is done"},
                                           {"", "wave 2 of 2 begins: rolling, 3 members"},
                                           {"bk-test/bookie@n1", "is told to stop"},
                                           {"bk-test/bookie@n2", "is told to stop"},
                                           {"bk-test/bookie@n4", "is told to stop"},
                                           {"bk-test/bookie@n4", "is done"},
                                           {"", "side action recovery-delay is put back: 60 -> 0"},
                                           {"", "ENDED: done: 4 of 4 members run 4.5.1"}};
    check(is_told_in_order(p, notes, ARRAY_LEN(notes)));
    check_eq_int(p->most_away, 1);
    uint32_t stops = 0;
    for (size_t i = 0; i < 4; i++) {
        stops += p->members[i].n_stops;
        check_eq_int(p->members[i].away_us / SECOND, i == 0 ? 12 : 6);
        check_eq_str(p->members[i].version, "4.5.1");
        check_eq_str(p->members[i].mode, "read-write");
        check_eq_str(p->members[i].state, "done");
    }
    check_eq_int(stops, 5);
}

TEST("F41 the same plan and the same seed are told in the same words") {
    _cleanup_(play_freep) struct play *p = play_new();
    require(p->plan);
    for (uint64_t seed = 0; seed < 6; seed++) {
        p->seed = seed;
        play(p);
        struct told *first = malloc(sizeof(*first));
        require(first);
        *first = p->told;
        play(p);
        check_eq_int(p->told.n, first->n);
        for (size_t i = 0; i < first->n && i < p->told.n; i++) {
            check_eq_int(p->told.notes[i].after_us, first->notes[i].after_us);
            check_eq_str(p->told.notes[i].text, first->notes[i].text);
        }
        free(first);
    }
}

TEST("F41 a wanted fault strikes whom it is wanted for, once, and the rest stays as it was") {
    _cleanup_(play_freep) struct play *p = play_new();
    require(p->plan);
    p->items[0] = (struct staged){
        .kind = STAGED_START_FAILS, .says = "start-fails", .member = "bk-test/bookie@n1", .moment = "switch"};
    p->n_items = 1;
    play(p);
    check_eq_str(p->result.what, "");
    check(p->struck[0]);
    check(p->result.rest.paused);
    check_contains(p->result.rest.text, "bookie@n1");
    check_eq_str(p->members[0].version, "4.5.1"); /* the canary */
    for (size_t i = 1; i < 4; i++) {
        check_eq_str(p->members[i].version, "4.5.0");
        check_eq_str(p->members[i].mode, "read-write");
        check_eq_int(p->members[i].n_stops, i == 1);
    }
}

TEST("F41 every wanted fault strikes and leads to an end or to a pause with a reason") {
    _cleanup_(play_freep) struct play *p = play_new();
    require(p->plan);
    for (unsigned kind = 0; kind < STAGED_WORD; kind++) {
        const struct staged_fault *fault = staged_fault_of((enum staged_kind)kind);
        require(fault != NULL);
        for (unsigned second = 0; second < 2; second++) { /* the canary, a member of the next wave */
            p->items[0] = (struct staged){.kind = (enum staged_kind)kind,
                                          .says = fault->name,
                                          .member = second ? "bk-test/bookie@n2" : NULL,
                                          .moment = fault->when,
                                          .lasts_us = 60ull * SECOND};
            p->n_items = 1;
            play(p);
            if (!check_eq_str(p->result.what, "") || !check(p->struck[0]))
                printf("# %s\n", fault->name);
            check(p->result.rest.ended || p->result.rest.paused);
            check(p->result.rest.text[0] != 0);
            check(p->result.ended); /* somebody mends it and resumes, or gives it up */
        }
    }
}

TEST("F41 words are said at their moment, and what never comes is known") {
    _cleanup_(play_freep) struct play *p = play_new();
    require(p->plan);
    p->items[0] =
        (struct staged){.kind = STAGED_WORD, .says = "pause", .word = RUN_EVENT_PAUSE, .moment = "promote"};
    p->items[1] = (struct staged){
        .kind = STAGED_WORD, .says = "resume", .word = RUN_EVENT_RESUME, .at_us = 600ull * SECOND};
    p->items[2] =
        (struct staged){.kind = STAGED_WORD, .says = "rollback", .word = RUN_EVENT_ROLLBACK, .moment = "end"};
    p->items[3] = (struct staged){.kind = STAGED_CRASH, .says = "crash", .at_us = 90ull * 3600 * SECOND};
    p->n_items = 4;
    play(p);
    check_eq_str(p->result.what, "");
    static const char *const notes[][2] = {{"", "pause"},
                                           {"", "PAUSED"},
                                           {"", "resume"},
                                           {"", "goes on"},
                                           {"", "ENDED: done"},
                                           {"", "rollback"},
                                           {"bk-test/bookie@n4", "starts 4.5.0, read-write (as found)"},
                                           {"bk-test/bookie@n3", "starts 4.5.0, read-write (as found)"},
                                           {"", "ENDED: rolled-back"}};
    check(is_told_in_order(p, notes, ARRAY_LEN(notes)));
    check_eq_str(p->result.rest.verdict, "rolled-back");
    check(p->struck[0] && p->struck[1] && p->struck[2] && !p->struck[3]);
}

static struct play *approval_new(void) {
    struct world *world = bookkeeper_world("4.5.1");
    world->input.options.canary = true;
    world->input.options.approve_after_canary = true;
    return play_of(world);
}

TEST("F18 F41 a canary that wants a word gets it after the assumed time, or never, and then the run waits") {
    _cleanup_(play_freep) struct play *p = approval_new();
    require(p->plan);
    p->approve_us = 600ull * SECOND;
    play(p);
    check_eq_str(p->result.what, "");
    check_eq_str(p->result.rest.verdict, "done");
    size_t waits = note_find(p, 0, "bk-test/bookie@n3", "waits for an operator's word");
    size_t said = note_find(p, waits, "bk-test/bookie@n3", "promote (assumed)");
    size_t first = note_find(p, 0, "bk-test/bookie@n1", "is told to stop");
    require(waits < said && said < first && first < p->told.n);
    check_eq_int(p->told.notes[said].after_us - p->told.notes[waits].after_us, 600ull * SECOND);

    p->approve_us = UINT64_MAX;
    play(p);
    check_eq_str(p->result.what, "");
    check(p->result.rest.unapproved && !p->result.rest.ended && !p->result.rest.paused);
    check_contains(p->result.rest.text, "waits for an operator: canary bk-test/bookie@n3");
    check_eq_int(p->members[1].n_stops, 0);
    check_eq_str(p->result.verdict, "done"); /* somebody comes after all */
}

TEST("F18 F41 what must always hold holds under random faults when a canary wants a word") {
    _cleanup_(play_freep) struct play *p = approval_new();
    unsigned n_done = 0;
    require(p->plan);
    p->approve_us = 60ull * SECOND;
    for (p->seed = 1; p->seed <= 50; p->seed++) {
        play(p);
        if (!check_eq_str(p->result.what, ""))
            printf("# seed %llu\n", (unsigned long long)p->seed);
        check(p->result.rest.ended || p->result.rest.paused);
        n_done += p->result.rest.ended && strcmp(p->result.rest.verdict, "done") == 0;
    }
    check(n_done > 5);
}

TEST("F41 what must always hold holds under random faults") {
    _cleanup_(play_freep) struct play *p = play_new();
    require(p->plan);
    unsigned n_done = 0, n_other = 0;
    for (p->seed = 1; p->seed <= 150; p->seed++) {
        play(p);
        if (!check_eq_str(p->result.what, ""))
            printf("# seed %llu\n", (unsigned long long)p->seed);
        bool done = p->result.rest.ended && strcmp(p->result.rest.verdict, "done") == 0;
        n_done += done;
        n_other += !done;
    }
    check(n_done > 20 && n_other > 20); /* the faults strike, and not always hard */
}

TEST("F31 F41 a coordinator that is away for longer than the lease opens the side action anew, and the run "
     "ends "
     "well") {
    _cleanup_(play_freep) struct play *p = play_new();
    require(p->plan && p->plan->shape.n_side_actions == 1);
    p->items[0] = (struct staged){.kind = STAGED_COORDINATOR_DIES,
                                  .says = "coordinator-dies",
                                  .moment = "soak",
                                  .lasts_us = 1800ull * SECOND};
    p->n_items = 1;
    play(p);
    check_eq_str(p->result.what, "");
    check_eq_str(p->result.rest.verdict, "done");
    check(!p->result.rest.paused);
}

TEST("F31 F41 a side action that somebody puts back by hand is opened anew when the run is resumed") {
    _cleanup_(play_freep) struct play *p = play_new();
    require(p->plan);
    p->items[0] = (struct staged){.kind = STAGED_SIDE_BACK, .says = "side-back", .moment = "soak"};
    p->items[1] = (struct staged){
        .kind = STAGED_WORD, .says = "resume", .word = RUN_EVENT_RESUME, .at_us = 3600ull * SECOND};
    p->n_items = 2;
    play(p);
    check_eq_str(p->result.what, "");
    static const char *const notes[][2] = {
        {"", "is put back: 60 -> 0"}, {"", "PAUSED"},     {"", "resume"}, {"", "is opened: 0 -> 60"},
        {"", "is put back: 60 -> 0"}, {"", "ENDED: done"}};
    check(is_told_in_order(p, notes, ARRAY_LEN(notes)));
}

TEST("F22 F41 a rehearsal of finalize stops nobody, and says for whom no way leads back") {
    struct world *world = world_new("coordinator/recipes/demo-store.yaml", NULL);
    for (size_t i = 0; i < WORLD_MEMBERS; i++) {
        world_fact(world, i, "release.version", "1.1.0");
        world_fact(world, i, "finalized", "");
        world_fact(world, i, "proven.ms", "1000");
    }
    world->input.options.goal = PLANNER_GOAL_FINALIZE;
    world->input.options.canary = false;
    _cleanup_(play_freep) struct play *p = play_of(world);
    require(p->plan);
    play(p);
    check_eq_str(p->result.what, "");
    check_contains(p->result.rest.text, "finalized, no way leads back");
    check_eq_int(p->most_away, 0);
    static const char *const notes[][2] = {{"shop/store@n1", "is ordered to finalize: it is not stopped"},
                                           {"shop/store@n1", "is finalized, no way leads back"},
                                           {"shop/store@n2", "is finalized, no way leads back"}};
    check(is_told_in_order(p, notes, ARRAY_LEN(notes)));
    check_eq_int(note_find(p, 0, "shop/store@n1", "may stop"), p->told.n);
}

TEST("F41 a plan with many members, each with gates of its own, is rehearsed as well") {
    enum { BOOKIES = 24 };
    _cleanup_(play_freep) struct play *p = play_of(bookkeeper_world_of(BOOKIES, "4.5.1"));
    require(p->plan);
    check(p->plan->n_gates > BOOKIES);
    struct error err = {""};
    check_eq_int(rehearsal_fits(p->plan, &err), 0);
    for (p->seed = 0; p->seed < 8; p->seed++) {
        play(p);
        check_eq_str(p->result.what, "");
        check(p->result.rest.ended || p->result.rest.paused);
        if (p->seed == 0)
            check_eq_str(p->result.rest.text, "24 of 24 members run 4.5.1");
    }
}

TEST("F41 each gate of the plan is said to be modelled by what it is about") {
    _cleanup_(play_freep) struct play *p = play_new();
    require(p->plan);
    static const char *const want[][2] = {{"writable", "another member that serves"},
                                          {"nothing-under-replicated", "every copy of every entry"},
                                          {"auditor", "one leader"},
                                          {"entries-read-back", "not lost its data"},
                                          {"registered-read-only", "in the mode that the step wants"},
                                          {"in-force:recovery-delay", "side action is open"}};
    for (size_t k = 0; k < ARRAY_LEN(want); k++) {
        bool found = false;
        for (size_t i = 0; i < p->plan->n_gates; i++)
            if (strcmp(p->plan->gates[i].name, want[k][0]) == 0)
                found = check_contains(rehearsal_gate_model(p->plan, i), want[k][1]) || found;
        check(found);
    }
}

static struct play *downtime_new(void) {
    struct world *world = world_new("coordinator/recipes/demo-store.yaml", NULL);
    world->input.options.goal = PLANNER_GOAL_DOWNTIME;
    world->input.options.canary = false;
    world->input.options.hold_ms = 90000;
    return play_of(world);
}

TEST("F30 F41 a downtime is rehearsed: all stop, the barrier, all start") {
    _cleanup_(play_freep) struct play *p = downtime_new();
    require(p->plan);
    play(p);
    check_eq_str(p->result.what, "");
    check_eq_str(p->result.rest.verdict, "done");
    check_eq_int(p->most_away, 5);
    size_t passed = note_find(p, 0, "shop/store@n1", "has passed the barrier");
    for (size_t i = 0; i < 5; i++) {
        check_eq_int(p->members[i].n_stops, 1);
        check(note_find(p, 0, p->plan->orders[i]->member, "is told to stop") < passed);
        check(note_find(p, 0, p->plan->orders[i]->member, "starts 1.1.0") > passed);
        check(note_find(p, 0, p->plan->orders[i]->member, "starts 1.1.0") < p->told.n);
    }
}

TEST("F30 F41 a downtime whose coordinator never passes the barrier ends at the hold limit, member by "
     "member") {
    _cleanup_(play_freep) struct play *p = downtime_new();
    require(p->plan);
    p->items[0] = (struct staged){.kind = STAGED_COORDINATOR_DIES,
                                  .says = "coordinator-dies",
                                  .moment = "stop",
                                  .lasts_us = 600ull * SECOND};
    p->n_items = 1;
    play(p);
    check_eq_str(p->result.what, "");
    for (size_t i = 0; i < 5; i++) {
        check_eq_str(p->members[i].version, "1.0.0");
        check_eq_str(p->members[i].mode, "read-write");
    }
}

TEST("F05 F30 F41 a downtime that is done and rolled back: all stop once more, the old release starts") {
    _cleanup_(play_freep) struct play *p = downtime_new();
    require(p->plan);
    p->items[0] =
        (struct staged){.kind = STAGED_WORD, .says = "rollback", .word = RUN_EVENT_ROLLBACK, .moment = "end"};
    p->n_items = 1;
    play(p);
    check_eq_str(p->result.what, "");
    check_eq_str(p->result.rest.verdict, "rolled-back");
    for (size_t i = 0; i < 5; i++) {
        check_eq_str(p->members[i].version, "1.0.0");
        check_eq_int(p->members[i].n_stops, 2);
    }
}

TEST("F30 F41 what must always hold holds in a downtime under random faults") {
    _cleanup_(play_freep) struct play *p = downtime_new();
    require(p->plan);
    for (p->seed = 1; p->seed <= 150; p->seed++) {
        play(p);
        if (!check_eq_str(p->result.what, ""))
            printf("# seed %llu\n", (unsigned long long)p->seed);
    }
}

TEST("F30 F41 what must always hold holds in a downtime under random faults and operators' words") {
    static const uint64_t broken[] = {158, 747, 1016, 1306};
    _cleanup_(play_freep) struct play *p = downtime_new();
    require(p->plan);
    p->hands = 1ull << FAULT_OPERATORS;
    for (size_t i = 0; i < ARRAY_LEN(broken) + 60; i++) {
        p->seed = i < ARRAY_LEN(broken) ? broken[i] : i;
        play(p);
        if (!check_eq_str(p->result.what, ""))
            printf("# seed %llu\n", (unsigned long long)p->seed);
    }
}
