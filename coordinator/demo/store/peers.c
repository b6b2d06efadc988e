/* Two threads. One sends this replica's state to every peer as a datagram each PING_MS and takes theirs: who was not
 * heard for SILENCE_MS is down, who says goodbye is down at once. The other compares the logs of the peers that are up
 * with ours and fetches what they hold for us. It asks over its own few lines of HTTP/1.0 and not libcurl, whose
 * loading alone costs more than the whole start of this program. */
#include "coordinator/demo/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = PAGE_LINES * 200 };

bool ensemble_has(const char *ensemble, const char *id) {
    size_t n = strlen(id);
    for (const char *item = ensemble; item != NULL; item = (item = strchr(item, ',')) ? item + 1 : NULL)
        if (strncmp(item, id, n) == 0 && (item[n] == ',' || item[n] == '\0'))
            return true;
    return false;
}

const char *peer_mode(const struct store *s, const struct peer *peer) {
    if (now_ms() - (peer->heard_ms ? peer->heard_ms : s->started_ms) > SILENCE_MS)
        return "down";
    return peer->heard_ms ? peer->mode : "unknown";
}

const char *store_mode(const struct store *s) {
    return s->read_only ? "read-only" : "read-write";
}

/* ---- settings: the higher version wins everywhere; between equal ones the greater text */

static void settings_text(const struct store *s, char text[static 64]) {
    snprintf(text, 64, "%" PRIu64 " %s %" PRIu64 " %s", s->settings[0].version, s->settings[0].value,
             s->settings[1].version, s->settings[1].value);
}

struct setting *setting_find(struct store *s, const char *name) {
    for (int i = 0; i < 2; i++)
        if (strcmp(s->settings[i].name, name) == 0)
            return &s->settings[i];
    return NULL;
}

int setting_put(struct store *s, struct setting *setting, uint64_t version, const char *value) {
    bool good = setting == &s->settings[0] ? value[0] != '\0' && value[strspn(value, "0123456789")] == '\0'
                                           : strcmp(value, "on") == 0 || strcmp(value, "off") == 0;
    if (!good || strlen(value) >= sizeof setting->value)
        return -EINVAL;
    if (version < setting->version || (version == setting->version && strcmp(value, setting->value) <= 0))
        return 0;
    setting->version = version;
    snprintf(setting->value, sizeof setting->value, "%s", value);
    char text[64];
    settings_text(s, text);
    return file_replace(s->records.folder_fd, "settings", text);
}

static void settings_take(struct store *s, const char *text) {
    char value[2][8];
    uint64_t version[2];
    if (sscanf(text, "%" SCNu64 " %7s %" SCNu64 " %7s", &version[0], value[0], &version[1], value[1]) == 4)
        for (int i = 0; i < 2; i++)
            (void)setting_put(s, &s->settings[i], version[i], value[i]);
}

void settings_load(struct store *s) {
    char text[64];
    s->settings[0] = (struct setting){.name = "repair-delay", .value = "0"};
    s->settings[1] = (struct setting){.name = "repair", .value = "on"};
    if (record_file_read(s->records.folder_fd, "settings", text, sizeof text) > 0)
        settings_take(s, text);
}

/* ---- ping */

static void tell(struct store *s, const struct peer *peer) {
    char text[256], settings[64];
    settings_text(s, settings);
    int n = snprintf(text, sizeof text, "%s %s %s %s %s", s->config.listen, s->config.id,
                     s->stopping ? "down" : store_mode(s), s->instance, settings);
    (void)!sendto(s->ping_fd, text, (size_t)n, MSG_DONTWAIT, (const struct sockaddr *)&peer->to,
                  sizeof peer->to);
}

void peers_tell(struct store *s) {
    for (size_t i = 0; i < s->n_peers; i++)
        tell(s, &s->peers[i]);
}

static void hear(struct store *s, const char *text) {
    char address[ADDRESS_MAX + 1], id[ID_MAX + 1], mode[12], instance[17];
    int n = 0;
    if (sscanf(text, "%31s %15s %11s %16s %n", address, id, mode, instance, &n) != 4 ||
        !word_is_valid(id, ID_MAX))
        return;
    for (struct peer *peer = s->peers; peer < s->peers + s->n_peers; peer++) {
        if (strcmp(peer->address, address) != 0)
            continue;
        bool is_new = strcmp(peer->instance, instance) != 0;
        memcpy(peer->id, id, sizeof id);
        memcpy(peer->mode, mode, sizeof mode);
        memcpy(peer->instance, instance, sizeof instance);
        peer->heard_ms = now_ms();
        settings_take(s, text + n);
        if (is_new) { /* it knows nobody yet, and its log may be another one */
            peer->next_number = 1;
            peer->compared = false;
            peer->n_missed = 0;
            tell(s, peer);
        }
    }
}

static void *ping_run(void *arg) {
    struct store *s = arg;
    for (uint64_t next_ms = now_ms();;) {
        struct pollfd fd = {.fd = s->ping_fd, .events = POLLIN};
        uint64_t now = now_ms();
        char text[256];
        ssize_t n =
            poll(&fd, 1, now < next_ms ? (int)(next_ms - now) : 0) > 0 ? recv(fd.fd, text, 255, 0) : 0;
        text[n < 0 ? 0 : n] = '\0';
        pthread_mutex_lock(&s->lock);
        hear(s, text);
        if (now_ms() >= next_ms) {
            peers_tell(s);
            next_ms = now_ms() + PING_MS;
        }
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

/* ---- catching up */

/* GET over one connection: the length of the body, moved to the front of `answer`, or -1. */
static ssize_t fetch(const struct sockaddr_in *to, const char *path, char answer[static ANSWER_MAX]) {
    struct timeval patience = {.tv_usec = TIMEOUT_MS * 1000};
    char request[128];
    size_t have = 0;
    ssize_t got = -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 &&
        send(fd, request, (size_t)n, MSG_NOSIGNAL) == n)
        while ((got = recv(fd, answer + have, ANSWER_MAX - 1 - have, 0)) > 0)
            have += (size_t)got;
    if (fd >= 0)
        close(fd);
    answer[have] = '\0';
    char *body = strstr(answer, "\r\n\r\n");
    if (got != 0 || body == NULL || strncmp(answer + 8, " 200 ", 5) != 0)
        return -1;
    have -= (size_t)(body + 4 - answer);
    memmove(answer, body + 4, have + 1);
    return (ssize_t)have;
}

static bool is_missed(struct store *s, const struct record *offered) {
    struct record *ours = records_find(&s->records, offered->key);
    if (ours != NULL)
        return ours->sequence < offered->sequence;
    return ensemble_has(offered->ensemble, s->config.id) && offered->time_ms >= s->records.born_ms;
}

static void note_missed(struct peer *peer, const struct record *offered) {
    if (peer->n_missed == peer->n_allocated) {
        peer->n_allocated = peer->n_allocated * 2 + 64;
        peer->missed = must_grow(peer->missed, peer->n_allocated * sizeof *peer->missed);
    }
    memcpy(peer->missed[peer->n_missed++], offered->key, sizeof offered->key);
}

/* Compares one page of the peer's log with ours; true: there may be more. */
static bool compare_page(struct store *s, struct peer *peer, char *answer) {
    char path[64], instance[sizeof peer->instance];
    bool any = false;
    pthread_mutex_lock(&s->lock);
    memcpy(instance, peer->instance, sizeof instance);
    snprintf(path, sizeof path, "/keys?from=%" PRIu64 "%s", peer->next_number,
             peer->compared ? "" : "&young=yes");
    pthread_mutex_unlock(&s->lock);
    if (fetch(&peer->to, path, answer) < 0)
        return false;
    pthread_mutex_lock(&s->lock);
    bool same = strcmp(instance, peer->instance) == 0;
    for (char *rest = answer, *line; same && (line = strsep(&rest, "\n")) != NULL;) {
        struct record offered;
        if (sscanf(line, "%" SCNu64 " %47s %" SCNu64 " %" SCNu64 " %63s", &offered.number, offered.key,
                   &offered.sequence, &offered.time_ms, offered.ensemble) != 5)
            continue;
        any = true;
        peer->next_number = offered.number + 1;
        if (is_missed(s, &offered))
            note_missed(peer, &offered);
    }
    peer->compared = peer->compared || (same && !any);
    pthread_mutex_unlock(&s->lock);
    return any;
}

/* Fetches the last key of the peer's list; false: none is left, or it could not be had or stored. */
static bool fetch_one(struct store *s, struct peer *peer, char *answer) {
    char path[KEY_MAX + 16], key[KEY_MAX + 1];
    pthread_mutex_lock(&s->lock);
    bool any = peer->n_missed > 0;
    snprintf(key, sizeof key, "%s", any ? peer->missed[peer->n_missed - 1] : "");
    pthread_mutex_unlock(&s->lock);
    snprintf(path, sizeof path, "/record/%s", key);
    ssize_t n = any ? fetch(&peer->to, path, answer) : -1;
    bool damaged, stored = true;
    struct record *record = n < 0 ? NULL : record_load(answer, (size_t)n, &damaged);
    if (record == NULL)
        return false;
    pthread_mutex_lock(&s->lock);
    if (is_missed(s, record))
        stored = records_append(&s->records, record) == 0;
    else
        free(record);
    if (stored && peer->n_missed > 0 && strcmp(peer->missed[peer->n_missed - 1], key) == 0)
        peer->n_missed--;
    pthread_mutex_unlock(&s->lock);
    return stored;
}

static void *catch_up_run(void *arg) {
    struct store *s = arg;
    char *answer = must_grow(NULL, ANSWER_MAX);
    for (bool waiting = true;; poll(NULL, 0, waiting ? 5 : PING_MS)) {
        waiting = false;
        for (struct peer *peer = s->peers; peer < s->peers + s->n_peers; peer++) {
            pthread_mutex_lock(&s->lock);
            char mode = peer_mode(s, peer)[0]; /* r: up, u: unknown, d: down */
            waiting = waiting || mode == 'u' || (mode == 'r' && !peer->compared);
            pthread_mutex_unlock(&s->lock);
            while (mode == 'r' && compare_page(s, peer, answer))
                ;
            while (mode == 'r' && fetch_one(s, peer, answer))
                ;
        }
    }
    return NULL;
}

int peers_start(struct store *s) {
    pthread_t ping, catch_up;
    int error = pthread_create(&ping, NULL, ping_run, s);
    return -(error != 0 ? error : pthread_create(&catch_up, NULL, catch_up_run, s));
}
