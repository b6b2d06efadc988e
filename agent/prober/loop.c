/* Why not sd-event: the prober needs two things of a loop, and libsystemd would cost more private memory than all the
 * rest of an idle prober. Timers are a plain list: there are as many as questions under way. */
#include "agent/prober/loop.h"

#include <sys/epoll.h>
#include <time.h>

struct loop {
    int epoll;
    bool ended;
    struct timer *timers;
};

uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct loop *loop_new(void) {
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return NULL;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll < 0 ? loop_free(loop) : loop;
}

struct loop *loop_free(struct loop *loop) {
    if (!loop)
        return NULL;
    closep(&loop->epoll);
    free(loop);
    return NULL;
}

void loop_end(struct loop *loop) {
    loop->ended = true;
}

int watch_set(struct watch *watch, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int how = watch->fd == fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (watch->fd >= 0 && watch->fd != fd)
        watch_remove(watch);
    watch->fd = fd;
    if (epoll_ctl(watch->loop->epoll, how, fd, &event) == 0)
        return 0;
    watch->fd = -1;
    return -errno;
}

void watch_remove(struct watch *watch) {
    if (watch->fd >= 0)
        epoll_ctl(watch->loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
}

void loop_timer_stop(struct timer *timer) {
    if (!timer->link)
        return;
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    timer->link = NULL;
}

void loop_timer_set(struct timer *timer, uint64_t at_us) {
    loop_timer_stop(timer);
    timer->at_us = at_us;
    timer->next = timer->loop->timers;
    timer->link = &timer->loop->timers;
    if (timer->next)
        timer->next->link = &timer->next;
    timer->loop->timers = timer;
}

static struct timer *first_timer(const struct loop *loop) {
    struct timer *first = loop->timers;
    for (struct timer *timer = first; timer; timer = timer->next)
        if (timer->at_us < first->at_us)
            first = timer;
    return first;
}

/* Milliseconds until the first timer, rounded up; -1 when there is none. */
static int patience(const struct timer *first) {
    if (!first)
        return -1;
    uint64_t now = now_us();
    if (first->at_us <= now)
        return 0;
    uint64_t ms = (first->at_us - now + 999) / 1000;
    return ms > 60000 ? 60000 : (int)ms;
}

int loop_run(struct loop *loop) {
    while (!loop->ended) {
        struct epoll_event event;
        struct timer *first = first_timer(loop);
        if (first && first->at_us <= now_us()) {
            loop_timer_stop(first);
            first->due(first->owner);
            continue;
        }
        int n = epoll_wait(loop->epoll, &event, 1, patience(first));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 1) {
            struct watch *watch = event.data.ptr;
            watch->ready(watch->owner, event.events);
        }
    }
    return 0;
}
