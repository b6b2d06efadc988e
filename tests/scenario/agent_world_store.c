/* The service of the world, as somebody else would use it: started by hand, filled, asked, counted. */
#include "tests/scenario/agent_world.h"

#include "common/base/file.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

uint16_t world_free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        abort();
    close(fd);
    return ntohs(address.sin_port);
}

bool world_write(const char *path, const char *content) {
    struct error err;
    return file_write(path, bytes_of_text(content), 0644, &err) == 0 || world_complain(&err);
}

void world_start_stranger(struct agent_world *w, const char *program) {
    pid_t pid = fork();
    if (pid > 0) {
        waitpid(pid, NULL, 0);
        return;
    }
    if (fork() > 0)
        _exit(0);
    int out = open(world_text(w, "%s/output", w->store_folder), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (out < 0 || setsid() < 0 || chdir(w->store_folder) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(1);
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    execl(program, program, "--config", "store.conf", NULL);
    _exit(1);
}

static int http(struct agent_world *w, const char *request, char *answer, size_t size) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(w->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t used = 0;
    ssize_t n = -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        while (used + 1 < size && (n = recv(fd, answer + used, size - 1 - used, 0)) > 0)
            used += (size_t)n;
    answer[used] = 0;
    close(fd);
    return used > 0 ? 0 : -1;
}

const char *world_answer(struct agent_world *w) {
    char answer[4096], version[32] = "", mode[32] = "";
    if (http(w, "GET /health HTTP/1.0\r\n\r\n", answer, sizeof(answer)) < 0)
        return "";
    const char *v = strstr(answer, "version="), *m = strstr(answer, "mode=");
    if (v)
        (void)sscanf(v, "version=%31s", version);
    if (m)
        (void)sscanf(m, "mode=%31s", mode);
    return world_text(w, "%s %s", version, mode);
}

const char *world_setting(struct agent_world *w) {
    char answer[4096], *body;
    if (http(w, "GET /setting/repair-delay HTTP/1.0\r\n\r\n", answer, sizeof(answer)) < 0 ||
        !(body = strstr(answer, "\r\n\r\n")))
        return "";
    body[4 + strcspn(body + 4, "\r\n")] = 0;
    return world_text(w, "%s", body + 4);
}

void world_set(struct agent_world *w, const char *value) {
    char answer[4096];
    (void)http(w,
               world_text(w, "PUT /setting/repair-delay HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s",
                          strlen(value), value),
               answer, sizeof(answer));
}

bool world_fill_store(struct agent_world *w) {
    char answer[1024], request[256];
    for (int i = 0; i < 30; i++) {
        snprintf(request, sizeof(request), "PUT /kv/key-%d HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", i);
        if (http(w, request, answer, sizeof(answer)) < 0 || !strstr(answer, " 20"))
            return fprintf(stderr, "# the store took no key: %.200s\n", answer) < 0;
    }
    for (int i = 0; i < 5000; i++) { /* it lists keys once they have settled */
        char keys[16384];
        if (http(w, "GET /keys HTTP/1.0\r\n\r\n", keys, sizeof(keys)) == 0 && strstr(keys, "key-29"))
            return true;
        (void)poll(NULL, 0, 1);
    }
    return fprintf(stderr, "# the store does not list its keys\n") < 0;
}

unsigned world_count(const struct agent_world *w, const char *word) {
    char path[128];
    struct buffer content = {0};
    struct error err;
    unsigned n = 0;
    snprintf(path, sizeof(path), "%s/output", w->store_folder);
    if (file_read(path, 1 << 20, &content, &err) == 0 && content.data)
        for (const char *p = (char *)content.data; (p = strstr(p, word)); p++)
            n++;
    buffer_deinit(&content);
    return n;
}

bool world_counts(const struct agent_world *w, const char *word, unsigned n) {
    for (int i = 0; i < 5000 && world_count(w, word) < n; i++)
        (void)poll(NULL, 0, 1);
    unsigned count = world_count(w, word);
    if (count != n)
        fprintf(stderr, "# the service said \"%s\" %u times, expected %u\n", word, count, n);
    return count == n;
}
