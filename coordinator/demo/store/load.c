/*
 * demo-load: one writer and one reader that never rest, to see what an upgrade does to the clients of a cluster.
 * The writer chooses for each key three writable replicas (its ensemble), sends the value to all three and needs two
 * acknowledgements; a replica that refuses or does not answer is exchanged for another writable one, and the new
 * ensemble is told to all its members under a higher sequence. That, and asking the next replica of the ensemble when
 * reading, is the protocol; beyond it nothing is ever tried again. A third thread asks the replicas that were found
 * wanting how they are, so that one that came back is used again.
 */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SERVERS_MAX = 32,
    ENSEMBLE = 3,
    ACKS_NEEDED = 2,
    TIMEOUT_MS = 1000, /* of one request; a replica that hangs costs this once, then it is avoided */
    VALUE_LENGTH = 16,
    BODY_MAX = 512,
};

enum state { STATE_GONE, STATE_READ_ONLY, STATE_READ_WRITE };

struct server {
    char address[32];
    char id[16]; /* written once, before `known` */
    atomic_bool known;
    _Atomic enum state state;
};

/* One thread's connections, one per server, and the last answer. */
struct client {
    CURL *handles[SERVERS_MAX];
    char body[BODY_MAX];
    size_t length;
};

struct written {
    unsigned char ensemble[ENSEMBLE];
    unsigned char n; /* 0: the write failed, the key is not expected */
};

struct counts {
    uint64_t writes, failed_writes, reads, failed_reads, lost, longest_pause_us, ensemble_changes;
    char first_failure[256];
};

static struct server servers[SERVERS_MAX];
static size_t n_servers;
static uint64_t rate = 500;
static const char *stats_path;
static atomic_bool ending;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static struct counts counts;
static struct written *map; /* [i] is key i + 1 */
static size_t n_map, n_map_allocated;

static uint64_t now_us(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- one request */

static size_t take_body(char *data, size_t size, size_t n, void *arg) {
    struct client *c = arg;
    n *= size;
    if (n > BODY_MAX - 1 - c->length)
        return 0;
    memcpy(c->body + c->length, data, n);
    c->length += n;
    c->body[c->length] = '\0';
    return n;
}

static void client_open(struct client *c) {
    for (size_t i = 0; i < n_servers; i++) {
        CURL *h = c->handles[i] = curl_easy_init();
        if (h == NULL) {
            fputs("demo-load: out of memory\n", stderr);
            exit(1);
        }
        curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(h, CURLOPT_PROXY, "");
        curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
        curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_body);
        curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    }
}

static void client_close(struct client *c) {
    for (size_t i = 0; i < n_servers; i++)
        curl_easy_cleanup(c->handles[i]);
}

/* The HTTP status, or 0 when there was no answer. `body` NULL: GET. */
static long ask(struct client *c, size_t server, const char *path, const char *body,
                struct curl_slist *headers) {
    CURL *h = c->handles[server];
    char url[128];
    long status = 0;
    c->length = 0;
    c->body[0] = '\0';
    snprintf(url, sizeof url, "http://%s%s", servers[server].address, path);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    if (body == NULL) {
        curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, NULL);
    } else {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, "PUT");
    }
    if (curl_easy_perform(h) == CURLE_OK)
        curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Asks a server how it is and believes it. */
static void look_at(struct client *c, size_t server) {
    char *id = servers[server].id;
    enum state state = STATE_GONE;
    if (ask(c, server, "/health", NULL, NULL) == 200) {
        state = strstr(c->body, "\nmode=read-write\n") != NULL ? STATE_READ_WRITE : STATE_READ_ONLY;
        servers[server].known = servers[server].known || sscanf(c->body, "id=%15s", id) == 1;
    }
    servers[server].state = state;
}

/* ---- keys and values */

static void key_name(size_t i, char out[static 24]) {
    snprintf(out, 24, "k-%06zu", i + 1);
}

static void value_of(const char *key, char out[static VALUE_LENGTH + 1]) {
    uint64_t hash = 14695981039346656037U;
    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * 1099511628211U;
    snprintf(out, VALUE_LENGTH + 1, "%016" PRIx64, hash);
}

static void note_failure(uint64_t *counter, const char *what, const char *key, const char *why) {
    pthread_mutex_lock(&lock);
    (*counter)++;
    if (counts.first_failure[0] == '\0')
        snprintf(counts.first_failure, sizeof counts.first_failure, "%s of %s: %.180s", what, key, why);
    pthread_mutex_unlock(&lock);
}

/* Adds "; s2 says 503" to the reasons of one operation. */
static void add_reason(char *why, size_t size, size_t server, long status) {
    size_t n = strlen(why);
    const char *name = servers[server].known ? servers[server].id : servers[server].address;
    if (status == 0)
        snprintf(why + n, size - n, "%s%s does not answer", n ? "; " : "", name);
    else
        snprintf(why + n, size - n, "%s%s answers %ld", n ? "; " : "", name, status);
}

/* ---- writing */

/* All servers whose id is known, the writable ones first, each group rotated by the key. */
static size_t candidates(size_t i, unsigned char out[static SERVERS_MAX], size_t *n_writable) {
    size_t n = 0;
    for (int writable = 1; writable >= 0; writable--) {
        for (size_t k = 0; k < n_servers; k++) {
            size_t server = (i + k) % n_servers;
            if (servers[server].known && (servers[server].state == STATE_READ_WRITE) == (writable == 1))
                out[n++] = (unsigned char)server;
        }
        *n_writable = writable ? n : *n_writable;
    }
    return n;
}

static long put(struct client *c, size_t server, const char *key, const char *value, const struct written *w,
                uint64_t sequence) {
    char path[40], ensemble[80] = "X-Ensemble: ", number[48];
    for (size_t k = 0; k < w->n; k++) {
        size_t n = strlen(ensemble);
        snprintf(ensemble + n, sizeof ensemble - n, "%s%s", k ? "," : "", servers[w->ensemble[k]].id);
    }
    snprintf(number, sizeof number, "X-Sequence: %" PRIu64, sequence);
    snprintf(path, sizeof path, "/kv/%s", key);
    struct curl_slist *headers = curl_slist_append(curl_slist_append(NULL, ensemble), number);
    long status = ask(c, server, path, value, headers);
    curl_slist_free_all(headers);
    if (status != 204)
        servers[server].state = status == 0 ? STATE_GONE : STATE_READ_ONLY;
    return status;
}

/* Writes one key to the first three of `order`, and returns the acknowledgements. Only the first `n_ask` are asked: a
 * member that fails is exchanged for the next of them; one that cannot be exchanged stays a member and catches up. */
static size_t write_to(struct client *c, const char *key, const unsigned char *order, size_t n, size_t n_ask,
                       struct written *w, char *why, size_t size) {
    bool acked[ENSEMBLE] = {false}, gave_up[ENSEMBLE] = {false};
    size_t next = n_ask < ENSEMBLE ? n_ask : ENSEMBLE, n_acks = 0;
    uint64_t sequence = now_us(CLOCK_REALTIME);
    char value[VALUE_LENGTH + 1];
    value_of(key, value);
    w->n = (unsigned char)(n < ENSEMBLE ? n : ENSEMBLE);
    memcpy(w->ensemble, order, w->n);
    for (size_t k = 0; k < w->n; k++) {
        if (acked[k] || gave_up[k] || k >= n_ask)
            continue;
        long status = put(c, w->ensemble[k], key, value, w, sequence);
        acked[k] = status == 204;
        gave_up[k] = !acked[k] && next == n_ask;
        if (!acked[k])
            add_reason(why, size, w->ensemble[k], status);
        if (acked[k] || gave_up[k])
            continue;
        w->ensemble[k] = order[next++];
        sequence++;
        memset(acked, 0, sizeof acked);
        k = SIZE_MAX; /* from the first member again: all must know the new ensemble */
        pthread_mutex_lock(&lock);
        counts.ensemble_changes++;
        pthread_mutex_unlock(&lock);
    }
    for (size_t k = 0; k < w->n; k++)
        n_acks += acked[k];
    return n_acks;
}

static bool write_key(struct client *c, const char *key, size_t i, struct written *w, char *why,
                      size_t size) {
    unsigned char order[SERVERS_MAX];
    size_t n_writable, n = candidates(i, order, &n_writable);
    if (write_to(c, key, order, n, n_writable, w, why, size) >= ACKS_NEEDED)
        return true;
    /* Those that were thought writable do not suffice: the others may have come back unnoticed. */
    n = candidates(i, order, &n_writable);
    return n_writable < n && write_to(c, key, order, n, n, w, why, size) >= ACKS_NEEDED;
}

/* ---- reading */

static bool read_key(struct client *c, size_t i, struct written w, size_t first, char *why, size_t size) {
    char key[24], value[VALUE_LENGTH + 1], path[40];
    key_name(i, key);
    value_of(key, value);
    snprintf(path, sizeof path, "/kv/%s", key);
    for (int gone = 0; gone <= 1; gone++) /* those that are thought gone come last */
        for (size_t k = 0; k < w.n; k++) {
            size_t server = w.ensemble[(first + k) % w.n];
            if ((servers[server].state == STATE_GONE) != (gone == 1))
                continue;
            long status = ask(c, server, path, NULL, NULL);
            if (status == 200 && strcmp(c->body, value) == 0)
                return true;
            add_reason(why, size, server, status);
            if (status == 0)
                servers[server].state = STATE_GONE;
        }
    return false;
}

/* ---- the threads */

/* Paces one thread, and knows how long it went without a success. */
struct pace {
    uint64_t due_us, began_us;
};

static void pace_wait(struct pace *p) {
    uint64_t now = now_us(CLOCK_MONOTONIC);
    if (now < p->due_us) {
        struct timespec rest = {.tv_sec = (time_t)((p->due_us - now) / 1000000),
                                .tv_nsec = (long)((p->due_us - now) % 1000000) * 1000};
        nanosleep(&rest, NULL);
        now = now_us(CLOCK_MONOTONIC);
    }
    uint64_t period = 1000000 / rate;
    p->due_us = (p->due_us + period > now ? p->due_us : now) + period;
    if (p->began_us == 0)
        p->began_us = now;
}

static void pace_success(struct pace *p) {
    uint64_t pause = now_us(CLOCK_MONOTONIC) - p->began_us;
    p->began_us = 0;
    if (pause > counts.longest_pause_us)
        counts.longest_pause_us = pause;
}

static void *writer_run(void *unused) {
    struct client client = {0};
    struct pace pace = {0};
    client_open(&client);
    for (size_t i = 0; !ending; i++) {
        struct written w = {0};
        char why[256] = "", key[24];
        pace_wait(&pace);
        key_name(i, key);
        bool good = write_key(&client, key, i, &w, why, sizeof why);
        if (!good)
            note_failure(&counts.failed_writes, "write", key, why);
        pthread_mutex_lock(&lock);
        if (n_map == n_map_allocated) {
            n_map_allocated = n_map_allocated * 2 + 4096;
            map = realloc(map, n_map_allocated * sizeof *map);
            if (map == NULL)
                abort();
        }
        w.n = good ? w.n : 0;
        map[n_map++] = w;
        if (good) {
            counts.writes++;
            pace_success(&pace);
        }
        pthread_mutex_unlock(&lock);
    }
    client_close(&client);
    return unused;
}

static void *reader_run(void *unused) {
    struct client client = {0};
    struct pace pace = {0};
    uint64_t random = now_us(CLOCK_REALTIME) | 1;
    client_open(&client);
    while (!ending) {
        char why[256] = "", key[24];
        pace_wait(&pace);
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        pthread_mutex_lock(&lock);
        size_t i = n_map == 0 ? 0 : random % n_map;
        struct written w = n_map == 0 ? (struct written){0} : map[i];
        pthread_mutex_unlock(&lock);
        if (w.n == 0) {
            pace.began_us = 0; /* nothing to read yet, or a write that failed: no pause of ours */
            continue;
        }
        if (read_key(&client, i, w, (size_t)(random >> 32), why, sizeof why)) {
            pthread_mutex_lock(&lock);
            counts.reads++;
            pace_success(&pace);
            pthread_mutex_unlock(&lock);
        } else {
            key_name(i, key);
            note_failure(&counts.failed_reads, "read", key, why);
        }
    }
    client_close(&client);
    return unused;
}

static void *watcher_run(void *unused) {
    struct client client = {0};
    client_open(&client);
    while (!ending) {
        for (size_t i = 0; i < n_servers; i++)
            if (servers[i].state != STATE_READ_WRITE)
                look_at(&client, i);
        poll(NULL, 0, 50);
    }
    client_close(&client);
    return unused;
}

/* Every key that was ever acknowledged, once. */
static void read_all_back(void) {
    struct client client = {0};
    client_open(&client);
    for (size_t i = 0; i < n_map; i++) {
        char why[256] = "", key[24];
        if (map[i].n == 0 || read_key(&client, i, map[i], i, why, sizeof why))
            continue;
        key_name(i, key);
        note_failure(&counts.lost, "reading back", key, why);
    }
    client_close(&client);
}

static int stats_write(bool final) {
    char path[4096];
    snprintf(path, sizeof path, "%s.new", stats_path);
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return -errno;
    pthread_mutex_lock(&lock);
    struct counts c = counts;
    pthread_mutex_unlock(&lock);
    fprintf(file,
            "writes=%" PRIu64 "\nfailed_writes=%" PRIu64 "\nreads=%" PRIu64 "\nfailed_reads=%" PRIu64
            "\nlost=%" PRIu64 "\nlongest_pause_us=%" PRIu64 "\nensemble_changes=%" PRIu64
            "\nfirst_failure=%s\nfinal=%s\n",
            c.writes, c.failed_writes, c.reads, c.failed_reads, c.lost, c.longest_pause_us,
            c.ensemble_changes, c.first_failure[0] ? c.first_failure : "-", final ? "yes" : "no");
    if (fclose(file) != 0 || rename(path, stats_path) != 0)
        return -errno;
    return 0;
}

/* ---- start */

static bool take_servers(char *list) {
    for (char *item; (item = strsep(&list, ",")) != NULL;) {
        if (*item == '\0' || strlen(item) >= sizeof servers[0].address || n_servers == SERVERS_MAX)
            return false;
        snprintf(servers[n_servers++].address, sizeof servers[0].address, "%s", item);
    }
    return n_servers >= ACKS_NEEDED;
}

static bool take_rate(const char *text) {
    char *end;
    rate = strtoul(text, &end, 10);
    return *text != '\0' && *end == '\0' && rate >= 1 && rate <= 100000;
}

static int fail(int status, const char *what) {
    fprintf(stderr, "demo-load: %s\n", what);
    return status;
}

/* A cluster that was just started gets 5 s until two replicas can be written. */
static bool wait_for_servers(void) {
    struct client client = {0};
    uint64_t deadline = now_us(CLOCK_MONOTONIC) + 5000000;
    size_t n_writable;
    client_open(&client);
    do {
        n_writable = 0;
        for (size_t i = 0; i < n_servers; i++) {
            look_at(&client, i);
            n_writable += servers[i].state == STATE_READ_WRITE;
        }
        if (n_writable < n_servers)
            poll(NULL, 0, 10);
    } while (n_writable < ACKS_NEEDED && !ending && now_us(CLOCK_MONOTONIC) < deadline);
    client_close(&client);
    return n_writable >= ACKS_NEEDED;
}

static int run(void) {
    void *(*const runs[])(void *) = {writer_run, reader_run, watcher_run};
    pthread_t threads[3];
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    if (curl_global_init(CURL_GLOBAL_NOTHING) != 0)
        return fail(1, "libcurl does not start");
    if (!wait_for_servers())
        return fail(2, "fewer than two of the servers can be written");
    for (size_t i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, runs[i], NULL) != 0)
            return fail(1, "no more threads");
    int error = 0;
    for (struct timespec tick = {.tv_nsec = 100000000}; error == 0 && sigtimedwait(&ends, NULL, &tick) < 0;)
        error = stats_write(false);
    ending = true;
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    read_all_back();
    error = error != 0 ? error : stats_write(true);
    if (error != 0)
        return fail(1, "the statistics cannot be written");
    return counts.failed_writes + counts.failed_reads + counts.lost == 0 ? 0 : 1;
}

static const char help[] =
    "demo-load --servers A,B,... --stats FILE [--rate N]: writes and reads until SIGTERM\n"
    "  --servers LIST  addresses of demo-store replicas, at least two\n"
    "  --stats FILE    rewritten every 100 ms and at the end (final=yes)\n"
    "  --rate N        operations a second of the writer and of the reader (500)\n"
    "  --version       print the version\n"
    "Exit code: 0 nothing failed, 1 something failed or was lost, 2 usage.\n"
    "Example: demo-load --servers 127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103 --stats load.txt\n";

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"servers", required_argument, NULL, 's'}, {"stats", required_argument, NULL, 'f'},
        {"rate", required_argument, NULL, 'r'},    {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 's':
            if (n_servers > 0 || !take_servers(optarg))
                return fail(2, "--servers: two to 32 addresses with commas between them");
            break;
        case 'f': stats_path = optarg; break;
        case 'r':
            if (!take_rate(optarg))
                return fail(2, "--rate: a number from 1 to 100000");
            break;
        case 'v': return printf("demo-load %s\n", DEMO_LOAD_VERSION) > 0 ? 0 : 1;
        case 'h': return fputs(help, stdout) >= 0 ? 0 : 1;
        default: return fail(2, "try --help");
        }
    if (n_servers == 0 || stats_path == NULL || optind != argc)
        return fail(2, "--servers and --stats are needed; try --help");
    return run();
}
