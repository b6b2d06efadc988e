/* The HTTP side: one table of routes. A handler runs under the store's lock, prints its answer to `out` and returns the
 * status. libmicrohttpd runs one thread, so a request is never half done when the next one is looked at. */
#include "coordinator/demo/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct request {
    struct MHD_Connection *connection;
    const char *tail; /* of the path, behind the route */
    char body[VALUE_MAX + 1];
    size_t length;
    bool too_long;
};

static atomic_int n_open; /* requests that have begun and are not yet answered */

static const char *argument(const struct request *q, enum MHD_ValueKind kind, const char *name) {
    return MHD_lookup_connection_value(q->connection, kind, name);
}

/* 0 when it is no number. */
static uint64_t number_or(const char *text, uint64_t otherwise) {
    if (text == NULL)
        return otherwise;
    return text[strspn(text, "0123456789")] == '\0' ? strtoull(text, NULL, 10) : 0;
}

static unsigned say(FILE *out, unsigned status, const char *text) {
    fprintf(out, "%s\n", text);
    return status;
}

/* What we miss is known when every peer that is up was compared, and at least one is up. */
static bool behind_is_known(const struct store *s) {
    bool any = s->n_peers == 0;
    for (size_t i = 0; i < s->n_peers; i++) {
        if (strcmp(peer_mode(s, &s->peers[i]), "down") == 0)
            continue;
        if (!s->peers[i].compared)
            return false;
        any = true;
    }
    return any;
}

static unsigned get_health(struct store *s, const struct request *q, FILE *out) {
    (void)q;
    size_t behind = 0;
    for (size_t i = 0; i < s->n_peers; i++)
        behind += s->peers[i].n_missed;
    fprintf(out, "id=%s\nversion=%s\nmode=%s\ninstance=%s\nkeys=%zu\nformat=%u\n", s->config.id,
            store_version, store_mode(s), s->instance, s->records.n_keys, s->records.format);
    fprintf(out, behind_is_known(s) ? "behind=%zu\n" : "behind=unknown\n", behind);
    fprintf(out, "read-only-by=%s\n", s->read_only_by);
    return MHD_HTTP_OK;
}

static unsigned get_cluster(struct store *s, const struct request *q, FILE *out) {
    (void)q;
    fprintf(out, "%s %s %s\n", s->config.id, s->config.listen, store_mode(s));
    for (size_t i = 0; i < s->n_peers; i++)
        fprintf(out, "%s %s %s\n", s->peers[i].id, s->peers[i].address, peer_mode(s, &s->peers[i]));
    return MHD_HTTP_OK;
}

/* Not seen up for `delay_ms`. An id that no peer claims was never seen. */
static bool is_gone(const struct store *s, const char *id, uint64_t delay_ms) {
    uint64_t since = s->started_ms;
    for (const struct peer *peer = s->peers; peer < s->peers + s->n_peers; peer++) {
        if (strcmp(peer->id, id) != 0)
            continue;
        if (strcmp(peer_mode(s, peer), "down") != 0)
            return false;
        since = peer->heard_ms;
    }
    return strcmp(id, s->config.id) != 0 && now_ms() - since >= delay_ms;
}

static bool is_short(const struct store *s, const struct record *record, uint64_t delay_ms) {
    char ids[ENSEMBLE_MAX + 1], *rest = ids, *id;
    memcpy(ids, record->ensemble, sizeof ids);
    while ((id = strsep(&rest, ",")) != NULL)
        if (is_gone(s, id, delay_ms))
            return true;
    return false;
}

static unsigned get_missing(struct store *s, const struct request *q, FILE *out) {
    (void)q;
    if (strcmp(setting_find(s, "repair")->value, "off") == 0)
        return say(out, MHD_HTTP_SERVICE_UNAVAILABLE, "watch disabled");
    for (size_t i = 0; i < s->n_peers; i++)
        if (strcmp(peer_mode(s, &s->peers[i]), "unknown") == 0)
            return say(out, MHD_HTTP_SERVICE_UNAVAILABLE, "not known yet");
    uint64_t delay_ms = number_or(setting_find(s, "repair-delay")->value, 0) * 1000;
    for (size_t n = 1; n <= s->records.n_numbers; n++)
        if (s->records.by_number[n] != NULL && is_short(s, s->records.by_number[n], delay_ms))
            fprintf(out, "%s\n", s->records.by_number[n]->key);
    return MHD_HTTP_OK;
}

static unsigned get_behind(struct store *s, const struct request *q, FILE *out) {
    (void)q;
    if (!behind_is_known(s))
        return say(out, MHD_HTTP_SERVICE_UNAVAILABLE, "not known yet");
    for (size_t i = 0; i < s->n_peers; i++)
        for (size_t k = 0; k < s->peers[i].n_missed; k++)
            fprintf(out, "%s\n", s->peers[i].missed[k]);
    return MHD_HTTP_OK;
}

static unsigned get_keys(struct store *s, const struct request *q, FILE *out) {
    bool young = argument(q, MHD_GET_ARGUMENT_KIND, "young") != NULL;
    uint64_t n = number_or(argument(q, MHD_GET_ARGUMENT_KIND, "from"), 1);
    for (unsigned n_lines = 0; n >= 1 && n <= s->records.n_numbers && n_lines < PAGE_LINES; n++) {
        const struct record *r = s->records.by_number[n];
        if (r == NULL)
            continue;
        if (!young && now_ms() - r->arrived_ms < SETTLE_MS)
            break;
        n_lines++;
        fprintf(out, "%" PRIu64 " %s %" PRIu64 " %" PRIu64 " %s\n", n, r->key, r->sequence, r->time_ms,
                r->ensemble);
    }
    return MHD_HTTP_OK;
}

static unsigned get_value(struct store *s, const struct request *q, FILE *out) {
    const struct record *record = records_find(&s->records, q->tail);
    if (record == NULL)
        return say(out, MHD_HTTP_NOT_FOUND, "no such key");
    fwrite(record->value, 1, record->value_length, out);
    return MHD_HTTP_OK;
}

static unsigned get_record(struct store *s, const struct request *q, FILE *out) {
    const struct record *record = records_find(&s->records, q->tail);
    if (record == NULL)
        return say(out, MHD_HTTP_NOT_FOUND, "no such key");
    fwrite(&record->crc, 1, record_size(record), out);
    return MHD_HTTP_OK;
}

static unsigned put_value(struct store *s, const struct request *q, FILE *out) {
    if (s->read_only)
        return say(out, MHD_HTTP_SERVICE_UNAVAILABLE, "read-only");
    const struct record *old = records_find(&s->records, q->tail);
    const char *ensemble = argument(q, MHD_HEADER_KIND, "X-Ensemble");
    uint64_t held = old == NULL ? 0 : old->sequence;
    uint64_t sequence = number_or(argument(q, MHD_HEADER_KIND, "X-Sequence"), held + 1);
    ensemble = ensemble == NULL ? s->config.id : ensemble;
    if (!word_is_valid(q->tail, KEY_MAX) || strlen(ensemble) > ENSEMBLE_MAX || sequence == 0 ||
        strpbrk(ensemble, " \t") != NULL || !ensemble_has(ensemble, s->config.id))
        return say(out, MHD_HTTP_BAD_REQUEST, "bad key, sequence or ensemble (it must name this replica)");
    if (sequence <= held)
        return sequence == held ? MHD_HTTP_NO_CONTENT
                                : say(out, MHD_HTTP_CONFLICT, "a later sequence is held");
    struct record *record = record_new(q->length);
    record->sequence = sequence;
    record->time_ms = store_wall_ms();
    memcpy(record->key, q->tail, strlen(q->tail));
    memcpy(record->ensemble, ensemble, strlen(ensemble));
    memcpy(record->value, q->body, q->length);
    int result = records_append(&s->records, record);
    if (result == 0)
        return MHD_HTTP_NO_CONTENT;
    s->read_only = true; /* a full or broken disk: go on serving reads */
    s->read_only_by = "disk";
    peers_tell(s);
    return say(out, MHD_HTTP_SERVICE_UNAVAILABLE, strerror(-result));
}

static unsigned put_mode(struct store *s, const struct request *q, FILE *out) {
    bool read_only = strcmp(q->body, "read-only") == 0;
    if (!read_only && strcmp(q->body, "read-write") != 0)
        return say(out, MHD_HTTP_BAD_REQUEST, "read-only or read-write");
    if (strcmp(s->read_only_by, "start-flag") == 0 && !read_only)
        return say(out, MHD_HTTP_CONFLICT, "was started with --read-only");
    if (s->read_only != read_only) {
        s->read_only = read_only;
        s->read_only_by = read_only ? "request" : "-";
        peers_tell(s);
    }
    return MHD_HTTP_NO_CONTENT;
}

static unsigned get_setting(struct store *s, const struct request *q, FILE *out) {
    struct setting *setting = setting_find(s, q->tail);
    if (setting == NULL)
        return say(out, MHD_HTTP_NOT_FOUND, "no such setting");
    fputs(setting->value, out);
    return MHD_HTTP_OK;
}

static unsigned put_setting(struct store *s, const struct request *q, FILE *out) {
    struct setting *setting = setting_find(s, q->tail);
    if (setting == NULL)
        return say(out, MHD_HTTP_NOT_FOUND, "no such setting");
    int result = setting_put(s, setting, setting->version + 1, q->body);
    if (result != 0)
        return say(out, result == -EINVAL ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_INTERNAL_SERVER_ERROR,
                   strerror(-result));
    peers_tell(s);
    return MHD_HTTP_NO_CONTENT;
}

static unsigned put_format(struct store *s, const struct request *q, FILE *out) {
    int result = format_raise(&s->records, (unsigned)number_or(q->body, 0));
    if (result == -EINVAL)
        return say(out, MHD_HTTP_CONFLICT, "the format is unknown here, or lower than that of the data");
    return result == 0 ? MHD_HTTP_NO_CONTENT : say(out, MHD_HTTP_INTERNAL_SERVER_ERROR, strerror(-result));
}

static const struct route {
    const char *method, *path; /* a path that ends in / takes a tail */
    unsigned (*handle)(struct store *, const struct request *, FILE *);
} routes[] = {
    {"GET", "/health", get_health},    {"GET", "/cluster", get_cluster},  {"GET", "/missing", get_missing},
    {"GET", "/behind", get_behind},    {"GET", "/keys", get_keys},        {"GET", "/kv/", get_value},
    {"PUT", "/kv/", put_value},        {"GET", "/record/", get_record},   {"PUT", "/mode", put_mode},
    {"GET", "/setting/", get_setting}, {"PUT", "/setting/", put_setting}, {"PUT", "/format", put_format},
};

static unsigned handle(struct store *s, struct request *q, const char *method, const char *path, FILE *out) {
    if (q->too_long)
        return say(out, MHD_HTTP_CONTENT_TOO_LARGE, "too long");
    q->body[q->length] = '\0';
    if (strncmp(path, "/kv/", 4) != 0 && q->length > 0 && q->body[q->length - 1] == '\n')
        q->body[q->length - 1] = '\0';
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t n = strlen(routes[i].path);
        bool prefix = routes[i].path[n - 1] == '/';
        if (strcmp(method, routes[i].method) != 0 || strncmp(path, routes[i].path, n) != 0 ||
            (path[n] != '\0') != prefix)
            continue;
        q->tail = path + n;
        pthread_mutex_lock(&s->lock);
        unsigned status = routes[i].handle(s, q, out);
        pthread_mutex_unlock(&s->lock);
        return status;
    }
    return say(out, MHD_HTTP_NOT_FOUND, "no such page");
}

static enum MHD_Result on_request(void *store, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *http_version, const char *data,
                                  size_t *n_data, void **state) {
    (void)http_version;
    struct request *q = *state;
    if (q == NULL) {
        q = *state = must_grow(NULL, sizeof *q);
        q->connection = connection;
        q->length = 0;
        q->too_long = false;
        n_open++;
        return MHD_YES;
    }
    if (*n_data > 0) {
        q->too_long = q->too_long || *n_data > VALUE_MAX - q->length;
        if (!q->too_long)
            q->length = (size_t)((char *)mempcpy(q->body + q->length, data, *n_data) - q->body);
        *n_data = 0;
        return MHD_YES;
    }
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out == NULL)
        return MHD_NO;
    unsigned status = handle(store, q, method, path, out);
    fclose(out);
    struct MHD_Response *response = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static void on_end(void *unused, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode why) {
    (void)unused, (void)connection, (void)why;
    if (*state != NULL)
        n_open--;
    free(*state);
    *state = NULL;
}

struct MHD_Daemon *http_start(struct store *store, int listening_fd) {
    return MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC, 0, NULL, NULL,
                            on_request, store, MHD_OPTION_LISTEN_SOCKET, listening_fd,
                            MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_CONNECTION_TIMEOUT, 60U,
                            MHD_OPTION_END);
}

void http_stop(struct MHD_Daemon *daemon, int listening_fd) {
    uint64_t deadline_ms = now_ms() + 1000;
    if (MHD_quiesce_daemon(daemon) == listening_fd)
        close(listening_fd);
    while (n_open > 0 && now_ms() < deadline_ms)
        poll(NULL, 0, 1);
    MHD_stop_daemon(daemon);
}
