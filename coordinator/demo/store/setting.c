/* `demo-store get ADDRESS NAME` and `demo-store set ADDRESS NAME VALUE`: the settings of a running cluster, and
 * `demo-store finalize ADDRESS FORMAT`: the format of one replica's data, for good; from the command line, as an administrator's tool would have them. One request over HTTP/1.0, then the end. */
#include "coordinator/demo/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_SIZE = 4096 };

static int connect_to(const char *address) {
    struct sockaddr_in to;
    struct timeval limit = {.tv_usec = TIMEOUT_MS * 1000};
    int fd = address_parse(address, &to) ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The status, with the body in `answer`; -1 when nothing understandable came. */
static int exchange(const char *address, const char *request, char answer[static ANSWER_SIZE]) {
    int fd = connect_to(address);
    size_t used = 0;
    if (fd < 0 || write(fd, request, strlen(request)) != (ssize_t)strlen(request)) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    for (ssize_t n; used < ANSWER_SIZE - 1 && (n = read(fd, answer + used, ANSWER_SIZE - 1 - used)) > 0;)
        used += (size_t)n;
    close(fd);
    answer[used] = 0;
    char *body = strstr(answer, "\r\n\r\n");
    if (strncmp(answer, "HTTP/1.", 7) != 0 || body == NULL)
        return -1;
    int status = (int)strtol(answer + 9, NULL, 10);
    memmove(answer, body + 4, strlen(body + 4) + 1);
    return status;
}

int setting_command(int n, char **words) {
    char request[512], answer[ANSWER_SIZE];
    bool get = n == 3 && strcmp(words[0], "get") == 0, set = n == 4 && strcmp(words[0], "set") == 0;
    bool finalize = n == 3 && strcmp(words[0], "finalize") == 0;
    if ((!get && !set && !finalize) || !word_is_valid(words[2], 15) || (set && !word_is_valid(words[3], 7))) {
        fputs("demo-store: expected get ADDRESS NAME, set ADDRESS NAME VALUE, or finalize ADDRESS FORMAT\n",
              stderr);
        return 2;
    }
    const char *value = set ? words[3] : finalize ? words[2] : "";
    snprintf(request, sizeof request, "%s /%s%s HTTP/1.0\r\nHost: %s\r\nContent-Length: %zu\r\n\r\n%s",
             get ? "GET" : "PUT", finalize ? "format" : "setting/", finalize ? "" : words[2], words[1],
             strlen(value), value);
    int status = exchange(words[1], request, answer);
    if (status / 100 != 2) {
        fprintf(stderr, "demo-store: %s: %s %s: %s\n", words[1], words[0], words[2],
                status < 0 ? "no answer" : answer);
        return 1;
    }
    return (get ? printf("%s\n", answer) : 0) < 0 ? 1 : 0;
}
