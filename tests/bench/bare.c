/* What a switch costs when nothing is asked, kept, proven or reported: the measure of Kedge's own (PROMISES.md section 5).
 * SIGTERM, wait for the end by a pidfd, one rename of a link, fork and exec, wait until the service answers.
 *
 * It is written as somebody would who wants it short, not slow: the process is waited for by its descriptor and not by
 * looking again and again, and the new link is made before the stop. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_MS = 10 * 1000, START_LOOKS = 10000, LOOK_US = 1000 };

static int fail(const char *what) {
    fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
    return 1;
}

static int stop(pid_t pid) {
    struct pollfd fd = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    if (fd.fd < 0 || syscall(SYS_pidfd_send_signal, fd.fd, SIGTERM, NULL, 0) < 0 ||
        poll(&fd, 1, STOP_MS) != 1)
        return fail("stop");
    return 0;
}

static int start(char **command, const char *folder, const char *log) {
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || setsid() < 0 || chdir(folder) < 0)
            _exit(126);
        execv(command[0], command);
        _exit(127);
    }
    printf("%d\n", (int)pid);
    return pid < 0 ? fail("fork") : 0;
}

static int wait_until_it_answers(uint16_t port) {
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char byte;
    for (int i = 0; i < START_LOOKS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 &&
                       send(fd, "GET /health HTTP/1.0\r\n\r\n", 24, MSG_NOSIGNAL) == 24 &&
                       recv(fd, &byte, 1, 0) == 1;
        close(fd);
        if (answers)
            return 0;
        usleep(LOOK_US);
    }
    return fail("start");
}

int main(int argc, char **argv) {
    if (argc < 8) {
        fprintf(stderr, "usage: bare PORT PID LINK TARGET FOLDER LOG PROGRAM [ARGUMENT...]: one switch; "
                        "prints the new pid\n");
        return 2;
    }
    unsigned long port = strtoul(argv[1], NULL, 10);
    long pid = strtol(argv[2], NULL, 10);
    const char *link = argv[3], *target = argv[4];
    char next[4096];
    snprintf(next, sizeof(next), "%s.next", link);
    if (port == 0 || port > UINT16_MAX || pid <= 1 || (unlink(next) < 0 && errno != ENOENT) ||
        symlink(target, next) < 0)
        return fail("before the stop");
    if (stop((pid_t)pid) != 0)
        return 1;
    if (rename(next, link) < 0)
        return fail("rename");
    return start(argv + 7, argv[5], argv[6]) != 0 || wait_until_it_answers((uint16_t)port) != 0;
}
