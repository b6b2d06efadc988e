/* Watches one demo-store from outside, as a client sees it, and says how long its clients were without it: from the last
 * good answer of one instance to the first good answer of another. It knows nothing of who restarts the service, so the
 * same measure holds for Kedge and for what Kedge is compared with.
 *
 * Each look is a connection of its own: a client that was connected before would tell of the old socket, not of the
 * service. Both ends of the interval are taken when an answer has arrived; so one period is in every figure. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 4096, INSTANCE_MAX = 32, GIVE_UP_US = 60 * 1000 * 1000, ANSWER_US = 500 * 1000 };

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* One GET /health; true when it was answered with 200 and an instance. */
static bool look(const struct sockaddr_in *to, char instance[static INSTANCE_MAX + 1]) {
    static const char request[] = "GET /health HTTP/1.0\r\n\r\n";
    struct timeval patience = {.tv_usec = ANSWER_US};
    char answer[ANSWER_MAX + 1];
    size_t have = 0;
    ssize_t n = -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 &&
        send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == sizeof(request) - 1)
        while (have < ANSWER_MAX && (n = recv(fd, answer + have, ANSWER_MAX - have, 0)) > 0)
            have += (size_t)n;
    if (fd >= 0)
        close(fd);
    answer[have] = '\0';
    const char *found = strstr(answer, "\ninstance=");
    return n == 0 && have > 12 && strncmp(answer + 8, " 200 ", 5) == 0 && found != NULL &&
           sscanf(found, "\ninstance=%32[0-9a-f]\n", instance) == 1;
}

static void sleep_us(uint64_t us) {
    struct timespec pause = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&pause, NULL);
}

/* Prints `ready`, then one line for the first change of instance: interruption_us, looks, failed looks. */
static int watch(const struct sockaddr_in *to, uint64_t period_us) {
    char first[INSTANCE_MAX + 1] = "", instance[INSTANCE_MAX + 1];
    uint64_t begin_us = now_us(), last_us = 0;
    unsigned n_looks = 0, n_failed = 0;
    while (now_us() - begin_us < GIVE_UP_US) {
        bool good = look(to, instance);
        uint64_t now = now_us();
        n_looks++;
        if (good && first[0] == '\0') {
            memcpy(first, instance, sizeof(first));
            n_looks = n_failed = 0;
            puts("ready");
            fflush(stdout);
        } else if (good && strcmp(first, instance) != 0) {
            printf("%" PRIu64 " %u %u\n", now - last_us, n_looks, n_failed);
            return 0;
        }
        if (good)
            last_us = now;
        else
            n_failed++;
        sleep_us(period_us);
    }
    fprintf(stderr, "poller: the instance did not change\n");
    return 1;
}

int main(int argc, char **argv) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char *end = argv[0];
    unsigned long port = argc == 3 ? strtoul(argv[1], &end, 10) : 0;
    unsigned long period_us = argc == 3 && *end == '\0' ? strtoul(argv[2], &end, 10) : 0;
    if (port == 0 || port > UINT16_MAX || period_us == 0 || period_us > 1000 || *end != '\0') {
        fprintf(stderr, "usage: poller PORT PERIOD_US (1..1000)\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)port);
    (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL); /* ns; else a pause of 250 us takes 50 more */
    return watch(&to, period_us);
}
