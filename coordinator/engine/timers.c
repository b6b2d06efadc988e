/* Why a heap with the place in the timer: setting one again is one move, and the next deadline is read off the top; a
 * list would be walked through for every event of a large run. */
#include "coordinator/engine/internal.h"

static void place(struct engine *engine, size_t at, struct timer *timer) {
    engine->timers[at] = timer;
    timer->place = at;
}

static void rise(struct engine *engine, size_t at) {
    struct timer *timer = engine->timers[at];
    for (; at > 1 && engine->timers[at / 2]->at_ms > timer->at_ms; at /= 2)
        place(engine, at, engine->timers[at / 2]);
    place(engine, at, timer);
}

static void sink(struct engine *engine, size_t at) {
    struct timer *timer = engine->timers[at];
    for (size_t child; (child = at * 2) <= engine->n_timers; at = child) {
        if (child < engine->n_timers && engine->timers[child + 1]->at_ms < engine->timers[child]->at_ms)
            child++;
        if (engine->timers[child]->at_ms >= timer->at_ms)
            break;
        place(engine, at, engine->timers[child]);
    }
    place(engine, at, timer);
}

void timer_clear(struct engine *engine, struct timer *timer) {
    size_t at = timer->place;
    timer->place = 0;
    timer->at_ms = 0;
    if (at == 0)
        return;
    struct timer *moved = engine->timers[engine->n_timers--];
    if (moved == timer)
        return;
    place(engine, at, moved);
    rise(engine, at);
    sink(engine, moved->place);
}

void timer_set(struct engine *engine, struct timer *timer, uint64_t at_ms) {
    timer_clear(engine, timer);
    if (engine->n_timers + 2 > engine->room_timers) {
        engine->room_timers = engine->room_timers ? engine->room_timers * 2 : 64;
        engine->timers = must(realloc(engine->timers, engine->room_timers * sizeof(*engine->timers)));
    }
    timer->at_ms = at_ms > 0 ? at_ms : 1;
    place(engine, ++engine->n_timers, timer);
    rise(engine, engine->n_timers);
}

void timers_fire(struct engine *engine) {
    while (engine->n_timers > 0 && engine->timers[1]->at_ms <= engine->now_ms) {
        struct timer *timer = engine->timers[1];
        timer_clear(engine, timer);
        timer->fire(timer->run, timer->member);
    }
}

uint64_t engine_next_deadline(const struct engine *engine) {
    uint64_t at_ms = engine->n_timers > 0 ? engine->timers[1]->at_ms : UINT64_MAX;
    return at_ms == UINT64_MAX || at_ms <= engine->ahead_ms ? at_ms : at_ms - engine->ahead_ms;
}
