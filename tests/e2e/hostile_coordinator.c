/* A coordinator that was taken over: it holds the true session key, and with it says to every agent what the real one
 * would never say. What it says is chosen by the words of the command line and is sent once to each session:
 *
 *     kedge-hostile KEYFILE HOST:PORT REPORT WORD...
 *
 *     orders=FILE            every step of every work order of a plan file, as it lies there
 *     epoch=N expires=S      of the orders that follow (seconds from now)
 *     steps=A,B              only these steps of the orders that follow; "" all
 *     manifest=FILE          orders that follow carry the release manifest of this plan file; "" ends it
 *     latch=CLUSTER/SERIAL   an abort
 *     leases=CLUSTER/SERIAL  200 side actions that nobody ordered are said to be open
 *     garbage                every type that a coordinator may send, with bytes that mean nothing, of many lengths
 *     flood=N                N inquiries and questions, as fast as the line takes them
 *
 * REPORT is written anew whenever something changed: sent=, answered=, done= (steps that an agent says it has done),
 * refused=, finished=yes when each of the sessions has got everything. Ends on SIGTERM. */
#include "common/base/arena.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/nng/nng_transport.h"
#include "common/plan/encoding.h"
#include "common/plan/merkle.h"
#include "common/plan/verify.h"
#include "common/trust/keys.h"
#include "coordinator/fleet/session_server.h"
#include "proto/messages.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

enum { SESSIONS_MAX = 64, ITEMS_MAX = 1024, AT_ONCE = 8, PLAN_BYTES_MAX = 64 * 1024 * 1024 };

struct item {
    enum message_type type;
    struct bytes bytes;         /* of anything but an order */
    struct order_message order; /* addressee is filled in for each session */
    size_t again;               /* further times */
};

struct victim {
    struct session_handle session;
    struct public_key key;
    size_t next, times; /* item, and how often it was sent */
};

struct hostile {
    struct session_server *server;
    struct arena *arena;
    struct item items[ITEMS_MAX];
    size_t n_items;
    struct victim victims[SESSIONS_MAX];
    size_t n_victims;
    uint64_t epoch, expires_s;
    struct bytes manifest;
    const char *steps;
    unsigned sent, answered, done, refused;
    const char *report;
};

static volatile sig_atomic_t ends;

static void on_end(int signal_number) {
    (void)signal_number;
    ends = 1;
}

_Noreturn static void die(const char *what, const struct error *err) {
    fprintf(stderr, "hostile: %s: %s\n", what, err ? err->text : "");
    exit(2);
}

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- what will be said ---- */

static struct item *item_add(struct hostile *h, enum message_type type) {
    if (h->n_items == ITEMS_MAX)
        die("too much to say", NULL);
    struct item *item = &h->items[h->n_items++];
    *item = (struct item){.type = type};
    return item;
}

static void encoded_add(struct hostile *h, enum message_type type, const struct codec_message *codec,
                        const void *value, size_t times) {
    struct buffer out = {0};
    struct error err;
    if (codec_encode(codec, value, &out, &err) < 0)
        die("encode", &err);
    struct item *item = item_add(h, type);
    item->bytes = (struct bytes){arena_copy(h->arena, out.data, out.len), out.len};
    item->again = times - 1;
    buffer_deinit(&out);
}

static struct plan *plan_load(struct hostile *h, const char *path) {
    struct buffer file = {0}; /* lives as long as the program: the plan points into the arena's copy */
    struct plan *plan;
    struct error err;
    if (file_read(path, PLAN_BYTES_MAX, &file, &err) < 0 ||
        codec_decode(&plan_codec, buffer_bytes(&file), h->arena, &plan, &err) < 0)
        die(path, &err);
    return plan;
}

static void path_of(struct hostile *h, const struct plan *plan, size_t index, struct order_message *out) {
    size_t n = plan->n_work_orders + 1;
    struct digest *leaves = arena_array(h->arena, n, sizeof(*leaves));
    struct digest *path = arena_array(h->arena, KEDGE_MERKLE_DEPTH_MAX, sizeof(*path));
    leaves[0] = merkle_leaf(plan->shape);
    for (size_t i = 0; i < plan->n_work_orders; i++)
        leaves[i + 1] = merkle_leaf(plan->work_orders[i]);
    out->n_path = merkle_path(leaves, n, index, path);
    out->path = path;
    out->leaf = (uint32_t)index;
}

static bool is_asked(const struct step *step, const struct digest *gate) {
    for (size_t r = 0; r < step->n_rows; r++)
        for (size_t i = 0; i < step->rows[r].n_gates; i++)
            if (digest_equal(&step->rows[r].gates[i], gate))
                return true;
    return false;
}

/* The gates of all steps, as the real coordinator would send those of one. */
static void gates_of(struct hostile *h, const struct plan *plan, const struct work_order *order,
                     struct order_message *out) {
    struct bytes *gates = arena_array(h->arena, plan->n_gates, sizeof(*gates));
    for (size_t g = 0; g < plan->n_gates; g++) {
        struct digest digest = digest_of(plan->gates[g]);
        for (size_t s = 0; s < order->n_steps; s++)
            if (is_asked(&order->steps[s], &digest)) {
                gates[out->n_gates++] = plan->gates[g];
                break;
            }
    }
    out->gates = gates;
}

static void orders_add(struct hostile *h, const char *path) {
    const struct plan *plan = plan_load(h, path);
    for (size_t i = 0; i < plan->n_work_orders; i++) {
        struct work_order *order;
        struct error err;
        if (codec_decode(&work_order_codec, plan->work_orders[i], h->arena, &order, &err) < 0)
            die(path, &err);
        for (size_t s = 0; s < order->n_steps; s++) {
            if (h->steps && *h->steps && !strstr(h->steps, order->steps[s].name))
                continue;
            struct order_message *message = &item_add(h, MESSAGE_ORDER)->order;
            *message = (struct order_message){.epoch = h->epoch,
                                              .header = plan->header,
                                              .work_order = plan->work_orders[i],
                                              .manifest = h->manifest.data ? h->manifest : plan->manifest,
                                              .step = order->steps[s].name,
                                              .expires_s = (uint64_t)time(NULL) + h->expires_s};
            path_of(h, plan, i + 1, message);
            gates_of(h, plan, order, message);
        }
    }
}

static void latch_add(struct hostile *h, char *text) {
    char *slash = strchr(text, '/');
    if (!slash)
        die(text, NULL);
    *slash = 0;
    struct latch latch = {text, strtoull(slash + 1, NULL, 10), h->epoch};
    encoded_add(h, MESSAGE_LATCH, &latch_codec, &latch, 1);
}

static void leases_add(struct hostile *h, char *text) {
    char *slash = strchr(text, '/');
    if (!slash)
        die(text, NULL);
    *slash = 0;
    for (size_t i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof(name), "lease-%zu", i);
        struct lease_message lease = {text, strtoull(slash + 1, NULL, 10), name, LEASE_OPEN, h->epoch};
        encoded_add(h, MESSAGE_LEASE, &lease_message_codec, &lease, 1);
    }
}

/* Bytes that no random source is needed for: they only have to be wrong. */
static void garbage_add(struct hostile *h) {
    static const enum message_type types[] = {MESSAGE_CHARTER, MESSAGE_PREVIEW, MESSAGE_ORDER,
                                              MESSAGE_ASK,     MESSAGE_LEASE,   MESSAGE_WORD,
                                              MESSAGE_INQUIRE, MESSAGE_LATCH};
    static const size_t lengths[] = {1, 2, 3, 7, 64, 1000, 4096};
    uint32_t state = 1;
    for (size_t t = 0; t < ARRAY_LEN(types); t++)
        for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
            uint8_t *data = arena_array(h->arena, lengths[l], 1);
            for (size_t i = 0; i < lengths[l]; i++)
                data[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
            item_add(h, types[t])->bytes = (struct bytes){data, lengths[l]};
        }
}

static void flood_add(struct hostile *h, size_t n) {
    static const struct digest nowhere[KEDGE_GATES_MAX];
    struct inquire inquire = {1, "demo", "demo/store@n1"};
    struct ask ask = {2, "demo", "", nowhere, 8};
    encoded_add(h, MESSAGE_INQUIRE, &inquire_codec, &inquire, n / 2);
    encoded_add(h, MESSAGE_ASK, &ask_codec, &ask, n / 2);
}

static void word_take(struct hostile *h, char *word) {
    char *value = strchr(word, '=');
    size_t len = value ? (size_t)(value - word) : strlen(word);
    value = value ? value + 1 : word + len;
    if (strncmp(word, "orders=", 7) == 0)
        orders_add(h, value);
    else if (strncmp(word, "epoch=", 6) == 0)
        h->epoch = strtoull(value, NULL, 10);
    else if (strncmp(word, "expires=", 8) == 0)
        h->expires_s = strtoull(value, NULL, 10);
    else if (strncmp(word, "steps=", 6) == 0)
        h->steps = value;
    else if (strncmp(word, "manifest=", 9) == 0)
        h->manifest = *value ? plan_load(h, value)->manifest : (struct bytes){NULL, 0};
    else if (strncmp(word, "latch=", 6) == 0)
        latch_add(h, value);
    else if (strncmp(word, "leases=", 7) == 0)
        leases_add(h, value);
    else if (strncmp(word, "flood=", 6) == 0)
        flood_add(h, strtoull(value, NULL, 10));
    else if (strcmp(word, "garbage") == 0)
        garbage_add(h);
    else
        die(word, NULL);
}

/* ---- the sessions ---- */

static void report_write(const struct hostile *h) {
    char text[256];
    struct error err;
    bool finished = h->n_victims > 0;
    for (size_t i = 0; i < h->n_victims; i++)
        finished = finished && h->victims[i].next == h->n_items;
    int n =
        snprintf(text, sizeof(text), "sessions=%zu\nsent=%u\nanswered=%u\ndone=%u\nrefused=%u\nfinished=%s\n",
                 h->n_victims, h->sent, h->answered, h->done, h->refused, finished ? "yes" : "no");
    if (file_write(h->report, (struct bytes){(const uint8_t *)text, (size_t)n}, 0644, &err) < 0)
        die(h->report, &err);
}

static enum peer_verdict on_judge(void *user, const struct peer *peer) {
    (void)user, (void)peer;
    return PEER_ADMITTED;
}

static void on_opened(void *user, struct session_handle session, const struct peer *peer) {
    struct hostile *h = user;
    if (h->n_victims == SESSIONS_MAX)
        die("too many sessions", NULL);
    h->victims[h->n_victims++] = (struct victim){session, peer->key, 0, 0};
}

static void on_message(void *user, struct session_handle session, const struct peer *peer,
                       const struct verified_message *message) {
    struct hostile *h = user;
    struct report *report;
    struct error ignored;
    (void)session, (void)peer;
    h->answered++;
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    if (message->type != MESSAGE_REPORT || !arena ||
        codec_decode(&report_codec, message->bytes, arena, &report, &ignored) < 0)
        return;
    h->refused += report->outcome == OUTCOME_REFUSED;
    h->done += report->outcome != OUTCOME_REFUSED;
    printf("%s %s: %d %s\n", report->member, report->step, (int)report->outcome, report->reason);
}

/* An agent that hangs up has had its say; what was left for it is not sent to its next session. */
static void on_closed(void *user, struct session_handle session, const struct peer *peer,
                      const char *reason) {
    struct hostile *h = user;
    printf("%s hangs up: %s\n", peer->node, reason);
    for (size_t i = 0; i < h->n_victims; i++)
        if (h->victims[i].session.id == session.id)
            h->victims[i].next = h->n_items;
}

static int item_send(struct hostile *h, const struct victim *v, const struct item *item) {
    _cleanup_(buffer_deinit) struct buffer out = {0};
    struct error err;
    if (item->type != MESSAGE_ORDER || item->bytes.data)
        return session_server_send(h->server, v->session, item->type, item->bytes);
    struct order_message order = item->order;
    order.addressee = v->key;
    if (codec_encode(&order_message_codec, &order, &out, &err) < 0)
        die("order", &err);
    return session_server_send(h->server, v->session, MESSAGE_ORDER, buffer_bytes(&out));
}

static bool victim_turn(struct hostile *h, struct victim *v) {
    bool busy = false;
    for (size_t i = 0; i < AT_ONCE && v->next < h->n_items; i++) {
        const struct item *item = &h->items[v->next];
        int r = item_send(h, v, item);
        if (r == -ENOTCONN || r == -ENOBUFS)
            v->next = h->n_items;
        else if (v->times++ == item->again) {
            v->next++;
            v->times = 0;
        }
        h->sent += r == 0;
        busy = true;
    }
    return busy;
}

static void hostile_run(struct hostile *h) {
    unsigned told = 0;
    while (!ends) {
        struct pollfd fd = {session_server_fd(h->server), POLLIN, 0};
        bool busy = false;
        for (size_t i = 0; i < h->n_victims; i++)
            busy |= victim_turn(h, &h->victims[i]);
        (void)poll(&fd, 1, busy ? 1 : 20);
        session_server_turn(h->server, now_ms());
        if (h->sent + h->answered != told || !busy) {
            told = h->sent + h->answered;
            report_write(h);
        }
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    static struct hostile h;
    struct error err = {""};
    struct transport *transport;
    _cleanup_(key_pair_deinit) struct key_pair key;
    if (argc < 5 || trust_init(&err) < 0)
        die("usage: KEYFILE HOST:PORT REPORT WORD...", &err);
    if (key_pair_load(&key, argv[1], NULL, NULL, &err) < 0)
        die(argv[1], &err);
    h = (struct hostile){
        .epoch = 1, .expires_s = 60, .report = argv[3], .arena = arena_new((size_t)256 << 20)};
    if (!h.arena)
        die("out of memory", NULL);
    for (int i = 4; i < argc; i++)
        word_take(&h, argv[i]);
    (void)signal(SIGTERM, on_end);
    (void)signal(SIGPIPE, SIG_IGN);
    if (nng_transport_new(&transport, SESSIONS_MAX, &err) < 0)
        die("transport", &err);
    struct session_server_config config = {
        transport, argv[2], &key, SESSIONS_MAX, {&h, on_judge, on_opened, on_message, on_closed}};
    if (session_server_new(&h.server, &config, &err) < 0)
        die(argv[2], &err);
    hostile_run(&h);
    report_write(&h);
    session_server_free(h.server);
    arena_free(h.arena);
    return 0;
}
