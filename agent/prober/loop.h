/* The prober's event loop: descriptors and timers, each with a function to call. One thread; nothing here blocks but
 * loop_run itself. One event is taken from the kernel at a time, so a function may add, change or remove any watch and
 * any timer, its own included. */
#ifndef KEDGE_AGENT_PROBER_LOOP_H
#define KEDGE_AGENT_PROBER_LOOP_H

#include "common/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Embedded in its owner. Ready while `fd` >= 0. */
struct watch {
    struct loop *loop;
    int fd;
    void (*ready)(void *owner, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP */
    void *owner;
};

/* Embedded in its owner; zeroed is off. */
struct timer {
    struct loop *loop;
    struct timer *next, **link; /* link is NULL while off */
    uint64_t at_us;
    void (*due)(void *owner);
    void *owner;
};

struct loop *loop_new(void) _must_check_;
struct loop *loop_free(struct loop *loop);
static inline void loop_freep(struct loop **loop) {
    *loop = loop_free(*loop);
}

/* Until loop_end. Negative errno of epoll_wait. */
int loop_run(struct loop *loop) _must_check_;
void loop_end(struct loop *loop);

/* Watches `fd` for `events` from now on: adds it, or changes what it was watched for. 0 or -errno. */
int watch_set(struct watch *watch, int fd, uint32_t events) _must_check_;

/* Forgets the descriptor without closing it; fine when nothing is watched, or it is closed already. */
void watch_remove(struct watch *watch);

/* Once, at `at_us` of now_us(); replaces an earlier time. */
void loop_timer_set(struct timer *timer, uint64_t at_us);
void loop_timer_stop(struct timer *timer);

/* CLOCK_MONOTONIC in microseconds. */
uint64_t now_us(void);

#endif
