/* Importing archives, and the HTTP server that gives them out: only by digest, only by GET and HEAD. */
#include "common/base/file.h"
#include "coordinator/fleet/artifact_server.h"
#include "coordinator/fleet/artifacts.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct place {
    char folder[64], artifacts[96];
    struct artifact_server *server;
};

static void place_deinit(struct place *place) {
    struct error err;
    artifact_server_free(place->server);
    if (folder_remove(place->folder, &err) < 0)
        fprintf(stderr, "%s\n", err.text);
}

static bool place_init(struct place *place) {
    struct error err;
    *place = (struct place){.folder = "/tmp/kedge-artifacts-XXXXXX"};
    if (!mkdtemp(place->folder))
        return false;
    snprintf(place->artifacts, sizeof(place->artifacts), "%s/artifacts", place->folder);
    return folder_make(place->artifacts, 0755, &err) == 0 &&
           artifact_server_new(&place->server, "127.0.0.1:0", place->artifacts, &err) == 0;
}

static int import(const struct place *place, struct artifact_source source, struct error *err) {
    _cleanup_(artifact_import_freep) struct artifact_import *import = NULL;
    int r = artifact_import_new(&import, place->artifacts, &source, 1, err);
    if (r < 0)
        return r;
    struct pollfd fd = {artifact_import_fd(import), POLLIN, 0};
    check_eq_int(poll(&fd, 1, 10000), 1);
    return artifact_import_result(import, err);
}

static struct artifact_source source_of(const char *text) {
    struct bytes bytes = bytes_of_text(text);
    return (struct artifact_source){-1, bytes, digest_of(bytes), bytes.len, "program"};
}

/* Sends raw bytes, returns all that comes back until the server closes; `out` is NUL-terminated. */
static size_t http(const struct place *place, const char *request, char *out, size_t size) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)artifact_server_port(place->server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    _cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {10, 0};
    size_t len = 0;
    out[0] = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        return 0;
    ssize_t n;
    while (len + 1 < size && (n = recv(fd, out + len, size - len - 1, 0)) > 0)
        len += (size_t)n;
    out[len] = 0;
    return len;
}

static void ask(const struct place *place, const char *method, const char *path, char *out, size_t size) {
    _cleanup_(buffer_deinit) struct buffer request = {0};
    buffer_format(&request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    http(place, (const char *)request.data, out, size);
}

TEST("an archive that is what its digest says is imported and served, whole and by HEAD") {
    _cleanup_(place_deinit) struct place place;
    struct error err = {0};
    char name[ARTIFACT_NAME_SIZE], path[128], out[4096];
    struct artifact_source source = source_of("the archive");
    require(place_init(&place));
    require(import(&place, source, &err) == 0);
    check(artifact_is_there(place.artifacts, &source.digest, source.size));
    check(!artifact_is_there(place.artifacts, &source.digest, source.size + 1));
    artifact_name(name, &source.digest);
    snprintf(path, sizeof(path), "/artifact/%s", name);
    ask(&place, "GET", path, out, sizeof(out));
    check_contains(out, "200 OK");
    check_contains(out, "\r\n\r\nthe archive");
    ask(&place, "HEAD", path, out, sizeof(out));
    check_contains(out, "Content-Length: 11");
    check(!strstr(out, "the archive"));
}

TEST("an archive that is another one, shorter or longer, leaves nothing behind") {
    _cleanup_(place_deinit) struct place place;
    struct error err = {0};
    require(place_init(&place));
    struct artifact_source other = source_of("the archive");
    other.bytes = bytes_of_text("the srchive");
    check_eq_int(import(&place, other, &err), -EBADMSG);
    check_contains(err.text, "component program: its archive has the digest b2:");
    other.bytes = bytes_of_text("the");
    check_eq_int(import(&place, other, &err), -EBADMSG);
    check_contains(err.text, "has 3 bytes, the manifest says 11");
    other.bytes = bytes_of_text("the archive and more");
    check_eq_int(import(&place, other, &err), -EBADMSG);
    check_contains(err.text, "larger than the manifest says");
    check(rmdir(place.artifacts) == 0); /* it is empty */
}

TEST("an archive is imported from a file, too") {
    _cleanup_(place_deinit) struct place place;
    struct error err = {0};
    char path[128];
    require(place_init(&place));
    snprintf(path, sizeof(path), "%s/a.tar", place.folder);
    require(file_write(path, bytes_of_text("from a file"), 0600, &err) == 0);
    struct artifact_source source = source_of("from a file");
    source.fd = open(path, O_RDONLY | O_CLOEXEC);
    source.bytes = (struct bytes){NULL, 0};
    check_eq_int(import(&place, source, &err), 0);
    check(artifact_is_there(place.artifacts, &source.digest, source.size));
}

TEST("everything but /artifact/ and 64 digits of an artifact is refused") {
    _cleanup_(place_deinit) struct place place;
    struct error err = {0};
    char name[ARTIFACT_NAME_SIZE], secret[192], paths[10][128], out[4096];
    struct artifact_source source = source_of("the archive");
    require(place_init(&place) && import(&place, source, &err) == 0);
    artifact_name(name, &source.digest);
    snprintf(secret, sizeof(secret), "%s/secret", place.artifacts);
    require(file_write(secret, bytes_of_text("secret"), 0600, &err) == 0);
    snprintf(secret, sizeof(secret), "%s/%064d", place.artifacts, 1);
    require(symlink("secret", secret) == 0);
    snprintf(secret, sizeof(secret), "%s/%064d", place.artifacts, 2);
    require(mkfifo(secret, 0600) == 0);
    snprintf(paths[0], sizeof(paths[0]), "/artifact/secret");
    snprintf(paths[1], sizeof(paths[1]), "/artifact/%064d", 1); /* a link */
    snprintf(paths[2], sizeof(paths[2]), "/artifact/%064d", 2); /* a fifo: must not block either */
    snprintf(paths[3], sizeof(paths[3]), "/artifact/%s/", name);
    snprintf(paths[4], sizeof(paths[4]), "/artifact/../artifacts/%s", name);
    snprintf(paths[5], sizeof(paths[5]), "/artifact/%%2e%%2e/artifacts/%s", name);
    snprintf(paths[6], sizeof(paths[6]), "/%s", name);
    snprintf(paths[7], sizeof(paths[7]), "/");
    snprintf(paths[8], sizeof(paths[8]), "/artifact/%s.new", name);
    snprintf(paths[9], sizeof(paths[9]), "/artifact/%.63s", name);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        ask(&place, "GET", paths[i], out, sizeof(out));
        check_contains(out, "404 ");
        check(!strstr(out, "secret\n") && !strstr(out, "the archive"));
    }
}

TEST("other methods, bodies and noise get nothing") {
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "X"};
    _cleanup_(place_deinit) struct place place;
    struct error err = {0};
    char name[ARTIFACT_NAME_SIZE], path[128], out[4096], request[512];
    struct artifact_source source = source_of("the archive");
    require(place_init(&place) && import(&place, source, &err) == 0);
    artifact_name(name, &source.digest);
    snprintf(path, sizeof(path), "/artifact/%s", name);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        ask(&place, methods[i], path, out, sizeof(out));
        check(!strstr(out, "the archive") && !strstr(out, " 200 "));
    }
    snprintf(request, sizeof(request),
             "GET %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", path);
    http(&place, request, out, sizeof(out));
    check(artifact_is_there(place.artifacts, &source.digest, source.size));
    http(&place, "\x16\x03\x01\x02hello\r\n\r\n", out, sizeof(out));
    check(!strstr(out, " 200 "));
    ask(&place, "GET", path, out, sizeof(out)); /* it still serves */
    check_contains(out, "the archive");
}

TEST("addresses that cannot be listened on get one sentence") {
    _cleanup_(place_deinit) struct place place;
    struct artifact_server *second = NULL;
    struct error err = {0};
    char address[32];
    require(place_init(&place));
    snprintf(address, sizeof(address), "127.0.0.1:%d", artifact_server_port(place.server));
    check_eq_int(artifact_server_new(&second, address, place.artifacts, &err), -EADDRINUSE);
    check_contains(err.text, address);
    check_contains(err.text, "another program listens there already");
    check_eq_int(artifact_server_new(&second, "nowhere", place.artifacts, &err), -EINVAL);
    check_contains(err.text, "expected HOST:PORT");
    check(artifact_server_new(&second, "127.0.0.1:0", "/nonexistent", &err) < 0);
    check_contains(err.text, "/nonexistent");
}
