/* The one thing that comes from the peer and reaches the file system is a name that was checked to be 64 lower-case
 * hexadecimal digits, opened beneath one folder's descriptor. libmicrohttpd's threads touch nothing of the loop's. */
#include "coordinator/fleet/artifact_server.h"

#include "common/base/bytes.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { NAME_LEN = 64, THREADS = 2 };

static const char PREFIX[] = "/artifact/";

struct artifact_server {
    struct MHD_Daemon *daemon;
    int folder_fd, port;
    struct MHD_Response *not_found, *not_allowed;
};

/* ---- requests, on libmicrohttpd's threads ---- */

static bool is_artifact_name(const char *name) {
    return strlen(name) == NAME_LEN && strspn(name, "0123456789abcdef") == NAME_LEN;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status,
                              struct MHD_Response *response) {
    return MHD_queue_response(connection, status, response);
}

static enum MHD_Result file_serve(const struct artifact_server *server, struct MHD_Connection *connection,
                                  const char *name) {
    struct stat st;
    int fd = openat(server->folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        closep(&fd);
        return refuse(connection, MHD_HTTP_NOT_FOUND, server->not_found);
    }
    struct MHD_Response *response = MHD_create_response_from_fd64((uint64_t)st.st_size, fd);
    if (!response) {
        close(fd);
        return MHD_NO;
    }
    enum MHD_Result result =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    if (result == MHD_YES)
        result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result request_take(void *user, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *version, const char *upload,
                                    size_t *upload_size, void **state) {
    const struct artifact_server *server = user;
    (void)version, (void)upload, (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, server->not_allowed);
    if (*upload_size > 0)
        return MHD_NO; /* a body where none belongs: the connection is closed */
    if (strncmp(url, PREFIX, sizeof(PREFIX) - 1) != 0 || !is_artifact_name(url + sizeof(PREFIX) - 1))
        return refuse(connection, MHD_HTTP_NOT_FOUND, server->not_found);
    return file_serve(server, connection, url + sizeof(PREFIX) - 1);
}

/* ---- starting ---- */

static int address_find(const char *address, struct addrinfo **outp, struct error *err) {
    char host[256];
    const char *colon = strrchr(address, ':');
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    size_t len = colon ? (size_t)(colon - address) : 0;
    bool in_brackets = len > 2 && address[0] == '[' && address[len - 1] == ']';
    if (!colon || len == 0 || len >= sizeof(host))
        return error_set(err, -EINVAL, "%s: expected HOST:PORT", address);
    snprintf(host, sizeof(host), "%.*s", (int)(in_brackets ? len - 2 : len), address + in_brackets);
    int r = getaddrinfo(host, colon + 1, &hints, outp);
    return r != 0 ? error_set(err, -EINVAL, "%s: expected HOST:PORT in numbers: %s", address, gai_strerror(r))
                  : 0;
}

static int listener_open(const struct addrinfo *info) {
    _cleanup_(closep) int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, 1024) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int port_of(int fd) {
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    char port[16];
    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0 ||
        getnameinfo((struct sockaddr *)&name, len, NULL, 0, port, sizeof(port), NI_NUMERICSERV) != 0)
        return 0;
    return (int)strtol(port, NULL, 10);
}

static struct MHD_Response *text_response(const char *text) {
    union {
        const char *text;
        void *data;
    } body = {.text = text};
    return MHD_create_response_from_buffer(strlen(text), body.data, MHD_RESPMEM_PERSISTENT);
}

static int daemon_start(struct artifact_server *server, int listener, struct error *err) {
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, request_take, server, MHD_OPTION_LISTEN_SOCKET,
        listener, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)ARTIFACT_CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)ARTIFACT_CONNECTIONS_PER_ADDRESS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)ARTIFACT_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_END);
    return server->daemon ? 0 : error_set(err, -EIO, "the HTTP server does not start");
}

static int server_start(struct artifact_server *server, const char *address, const char *folder,
                        struct error *err) {
    struct addrinfo *info = NULL;
    server->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (server->folder_fd < 0)
        return error_errno(err, -errno, "%s", folder);
    server->not_found = text_response("no such artifact\n");
    server->not_allowed = text_response("only GET and HEAD\n");
    if (!server->not_found || !server->not_allowed)
        return error_errno(err, -ENOMEM, "the HTTP server");
    int r = address_find(address, &info, err);
    if (r < 0)
        return r;
    int listener = listener_open(info);
    freeaddrinfo(info);
    if (listener == -EADDRINUSE)
        return error_set(err, listener,
                         "%s: another program listens there already; end it or choose another port", address);
    if (listener < 0)
        return error_errno(err, listener, "%s", address);
    server->port = port_of(listener);
    r = daemon_start(server, listener, err);
    if (r < 0)
        close(listener);
    return r;
}

int artifact_server_new(struct artifact_server **outp, const char *address, const char *folder,
                        struct error *err) {
    _cleanup_(artifact_server_freep) struct artifact_server *server = calloc(1, sizeof(*server));
    if (!server)
        return error_errno(err, -ENOMEM, "artifacts");
    server->folder_fd = -1;
    int r = server_start(server, address, folder, err);
    if (r < 0)
        return error_context(err, r, "serving artifacts");
    *outp = TAKE(server);
    return 0;
}

int artifact_server_port(const struct artifact_server *server) {
    return server->port;
}

struct artifact_server *artifact_server_free(struct artifact_server *server) {
    if (!server)
        return NULL;
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    if (server->not_found)
        MHD_destroy_response(server->not_found);
    if (server->not_allowed)
        MHD_destroy_response(server->not_allowed);
    closep(&server->folder_fd);
    free(server);
    return NULL;
}
