/* Small things of the demonstration that have nothing to do with Kedge: ports, one HTTP request, copying a folder. */
#include "coordinator/demo/demo.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

static struct sockaddr_in loopback(unsigned port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Bound for TCP and UDP, or both -1. */
static unsigned port_bind(int fds[2]) {
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fds[0] >= 0 && fds[1] >= 0 && bind(fds[0], (const struct sockaddr *)&address, sizeof(address)) == 0 &&
        getsockname(fds[0], (struct sockaddr *)&address, &len) == 0 &&
        bind(fds[1], (const struct sockaddr *)&address, sizeof(address)) == 0)
        return ntohs(address.sin_port);
    for (int i = 0; i < 2; i++) {
        closep(&fds[i]);
        fds[i] = -1;
    }
    return 0;
}

int demo_ports_find(unsigned *ports, size_t n, struct error *err) {
    int fds[DEMO_MEMBERS_MAX + 2][2];
    size_t found = 0;
    for (unsigned tries = 0; found < n && tries < 200; tries++) {
        ports[found] = port_bind(fds[found]);
        found += ports[found] != 0;
    }
    for (size_t i = 0; i < found; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
    return found == n ? 0 : error_set(err, -EADDRINUSE, "no %zu free ports on 127.0.0.1", n);
}

bool demo_http_get(unsigned port, const char *path, struct buffer *out) {
    struct sockaddr_in address = loopback(port);
    struct timeval timeout = {.tv_sec = 2};
    char block[4096];
    _cleanup_(buffer_deinit) struct buffer answer = {0};
    _cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return false;
    int n = snprintf(block, sizeof(block), "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", path);
    if (n < 0 || send(fd, block, (size_t)n, MSG_NOSIGNAL) != n)
        return false;
    for (ssize_t got; answer.len < 65536 && (got = read(fd, block, sizeof(block))) > 0;)
        buffer_append(&answer, block, (size_t)got);
    const char *text = answer.data ? (const char *)answer.data : "", *body = strstr(text, "\r\n\r\n");
    if (!body || strncmp(text, "HTTP/1.", 7) != 0 || strncmp(text + 8, " 200", 4) != 0)
        return false;
    buffer_text(out, body + 4);
    return !out->failed;
}

bool demo_value(const char *text, const char *name, char *out, size_t size) {
    size_t n = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, n) == 0 && line[n] == '=') {
            snprintf(out, size, "%.*s", (int)strcspn(line + n + 1, "\n"), line + n + 1);
            return true;
        }
    return false;
}
