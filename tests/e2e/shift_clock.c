/* A wrong clock for one process: LD_PRELOAD this, and SHIFT_CLOCK_S seconds are added to the time of day. Only what tells
 * the date is shifted; the monotonic clocks, by which everybody waits, go on as they are. */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

typedef int clock_gettime_fn(clockid_t, struct timespec *);

static time_t shift_s(void) {
    const char *text = getenv("SHIFT_CLOCK_S");
    return text ? (time_t)strtoll(text, NULL, 10) : 0;
}

static int true_time(clockid_t clock, struct timespec *now) {
    static clock_gettime_fn *next;
    if (!next)
        next = (clock_gettime_fn *)dlsym(RTLD_NEXT, "clock_gettime");
    return next(clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int r = true_time(clock, now);
    if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift_s();
    return r;
}

time_t time(time_t *outp) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (outp)
        *outp = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec real = {0};
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &real);
    *now = (struct timeval){real.tv_sec, real.tv_nsec / 1000};
    return 0;
}
