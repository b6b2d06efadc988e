/* The coordinator's view of its agents, over real TCP on loopback: small agents of this program shake hands, are approved,
 * answer, stay silent and lie. Every wait is for a condition, with a deadline. */
#include "coordinator/fleet/fleet.h"

#include "common/plan/encoding.h"
#include "proto/agent_line.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sodium.h>
#include <sys/socket.h>
#include <time.h>

enum { PATIENCE_MS = 10 * 1000 };

struct agent {
    char name[16];
    struct key_pair key;
    struct public_key coordinator;
    int fd;
    struct agent_line line;
    struct session session;
    struct buffer out;
    bool admitted, closed;
    unsigned n_messages;
    enum message_type last_type;
    uint64_t last_id; /* of the last INQUIRE or ASK */
    struct buffer last;
};

struct world {
    struct fleet *fleet;
    struct key_pair key;
    uint64_t skip_ms;
    /* what came up */
    unsigned n_up, n_down, n_reports, n_facts, n_heartbeats;
    char reporter[32], report_reason[64];
    /* replies */
    unsigned n_replies;
    uint64_t tag;
    char problem[128], fact[64], answer[64];
};

static uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the coordinator of the tests ---- */

static void on_up(void *user, const char *node) {
    (void)node;
    ((struct world *)user)->n_up++;
}

static void on_down(void *user, const char *node, const char *reason) {
    (void)node, (void)reason;
    ((struct world *)user)->n_down++;
}

static void on_report(void *user, const char *node, const struct report *report, struct bytes bytes) {
    struct world *w = user;
    (void)bytes;
    w->n_reports++;
    snprintf(w->reporter, sizeof(w->reporter), "%s", node);
    snprintf(w->report_reason, sizeof(w->report_reason), "%s", report->reason);
}

static void on_facts(void *user, const char *node, const struct facts_message *facts) {
    (void)node, (void)facts;
    ((struct world *)user)->n_facts++;
}

static void on_heartbeat(void *user, const char *node, const struct heartbeat *heartbeat) {
    (void)node, (void)heartbeat;
    ((struct world *)user)->n_heartbeats++;
}

static void on_reply(void *user, const struct fleet_reply *reply) {
    struct world *w = user;
    w->n_replies++;
    w->tag = reply->tag;
    snprintf(w->problem, sizeof(w->problem), "%s", reply->problem ? reply->problem : "");
    if (reply->facts)
        snprintf(w->fact, sizeof(w->fact), "%s",
                 fact_get(reply->facts->facts, reply->facts->n_facts, "mode"));
    if (reply->answer)
        snprintf(w->answer, sizeof(w->answer), "%s", reply->answer->evidence[0].reason);
}

static void world_deinit(struct world *w) {
    fleet_free(w->fleet);
    key_pair_deinit(&w->key);
}

static bool world_init(struct world *w) {
    struct error err;
    *w = (struct world){0};
    if (trust_init(&err) < 0)
        return false;
    key_pair_generate(&w->key);
    struct fleet_config config = {
        "127.0.0.1:0", &w->key, 16, {w, on_up, on_down, on_report, on_facts, on_heartbeat}};
    int r = fleet_new(&w->fleet, &config, &err);
    if (r < 0)
        fprintf(stderr, "# %s\n", err.text);
    return r == 0;
}

/* ---- small agents ---- */

static void agent_flush(struct agent *a) {
    if (a->out.len > 0 && send(a->fd, a->out.data, a->out.len, MSG_NOSIGNAL) != (ssize_t)a->out.len)
        a->closed = true;
    buffer_clear(&a->out);
}

static void agent_dial(struct agent *a, const struct world *w, const char *name) {
    struct handshake_randomness random;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)fleet_port(w->fleet))};
    randombytes_buf(&random, sizeof(random));
    snprintf(a->name, sizeof(a->name), "%s", name);
    a->coordinator = w->key.public;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->fd = socket(AF_INET, SOCK_STREAM, 0);
    a->closed = connect(a->fd, (struct sockaddr *)&address, sizeof(address)) < 0;
    a->admitted = false;
    struct agent_line_config config = {a->name, a->key.public, a->coordinator};
    agent_line_start(&a->line, &config, &random, &a->out);
    agent_flush(a);
}

static void agent_hang_up(struct agent *a) {
    agent_line_deinit(&a->line);
    closep(&a->fd);
    a->fd = -1;
}

static void agent_deinit(struct agent *a) {
    if (a->fd >= 0)
        agent_hang_up(a);
    buffer_deinit(&a->out);
    buffer_deinit(&a->last);
    key_pair_deinit(&a->key);
}

static void agent_sign(struct agent *a) {
    struct error err;
    struct auth_request request = {&a->line.transcript, a->name, &a->key, &a->coordinator};
    struct signature auth;
    if (auth_sign(&auth, &request, &err) < 0 || agent_line_signed(&a->line, &auth, &a->out, &err) < 0) {
        a->closed = true;
        return;
    }
    struct digest id = session_id_of(&a->line.transcript);
    session_init(&a->session, ROLE_AGENT, &id, &a->coordinator, clock_ms());
}

static void agent_hear(struct agent *a, const struct frame *frame) {
    struct verified_message message;
    if (session_open(&a->session, &message, frame->type, frame->seq, frame->message, clock_ms()) !=
        SESSION_ACCEPTED) {
        a->closed = true;
        return;
    }
    if (message.type == MESSAGE_WELCOME)
        a->admitted = message.bytes.data[0] == WELCOME_ADMITTED;
    if (message.type == MESSAGE_BYE)
        a->closed = true;
    a->n_messages++;
    a->last_type = message.type;
    buffer_clear(&a->last);
    buffer_append(&a->last, message.bytes.data, message.bytes.len);
}

static void agent_turn(struct agent *a) {
    uint8_t bytes[65536];
    struct error err;
    ssize_t n = a->closed ? 0 : recv(a->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n == 0)
        a->closed = true;
    struct bytes input = {bytes, n > 0 ? (size_t)n : 0};
    while (input.len > 0 && !a->closed) {
        struct frame frame;
        enum agent_line_outcome outcome = agent_line_feed(&a->line, &input, &frame, &err);
        if (outcome == AGENT_LINE_NOTHING)
            break;
        if (outcome == AGENT_LINE_REFUSED)
            a->closed = true;
        else if (outcome == AGENT_LINE_SIGN)
            agent_sign(a);
        else
            agent_hear(a, &frame);
    }
    if (!a->closed)
        agent_flush(a);
}

static void agent_say(struct agent *a, enum message_type type, const struct codec_message *codec,
                      const void *value) {
    struct buffer bytes = {0}, message = {0};
    struct error err;
    if (!codec)
        buffer_append(&bytes, value, 4);
    else if (codec_encode(codec, value, &bytes, &err) < 0)
        fprintf(stderr, "# %s\n", err.text);
    session_seal(&a->session, type, buffer_bytes(&bytes), &a->key, &message);
    struct frame frame = {(uint8_t)type, a->session.sent, buffer_bytes(&message)};
    if (agent_line_send(&a->line, &frame, &a->out, &err) < 0)
        fprintf(stderr, "# %s\n", err.text);
    agent_flush(a);
    buffer_deinit(&bytes);
    buffer_deinit(&message);
}

/* ---- waiting ---- */

static void turn(struct world *w, struct agent *const *agents, size_t n) {
    struct pollfd fds[4] = {{fleet_fd(w->fleet), POLLIN, 0}};
    for (size_t i = 0; i < n; i++)
        fds[i + 1] = (struct pollfd){agents[i]->closed ? -1 : agents[i]->fd, POLLIN, 0};
    (void)poll(fds, n + 1, 10);
    fleet_turn(w->fleet, clock_ms() + w->skip_ms);
    for (size_t i = 0; i < n; i++)
        agent_turn(agents[i]);
}

#define wait_for(w, condition, ...)                                                                          \
    do {                                                                                                     \
        struct agent *const agents_[] = {__VA_ARGS__};                                                       \
        uint64_t until_ = clock_ms() + PATIENCE_MS;                                                          \
        while (!(condition) && clock_ms() < until_)                                                          \
            turn((w), agents_, sizeof(agents_) / sizeof(agents_[0]));                                        \
        require(condition);                                                                                  \
    } while (0)

static void agent_init(struct agent *a) {
    *a = (struct agent){.fd = -1};
    key_pair_generate(&a->key);
}

static bool approve(struct world *w, const struct agent *a) {
    struct error err;
    return fleet_node_add(w->fleet, a->name, &a->key.public, 1, &err) == 0;
}

static struct fleet_request request_to(struct world *w, const char *node, uint64_t wait_ms) {
    return (struct fleet_request){node, clock_ms() + wait_ms, on_reply, w, 42};
}

/* The id of the INQUIRE that came last. */
static uint64_t inquired(const struct agent *a) {
    struct error err;
    struct inquire *inquire;
    _cleanup_(arena_freep) struct arena *arena = arena_new(65536);
    if (codec_decode(&inquire_codec, buffer_bytes(&a->last), arena, &inquire, &err) < 0)
        return 0;
    return inquire->id;
}

/* ---- the tests ---- */

TEST("an unknown node waits, is listed with its key, and opens when an operator approves it") {
    _cleanup_(world_deinit) struct world w;
    _cleanup_(agent_deinit) struct agent a;
    require(world_init(&w));
    agent_init(&a);
    agent_dial(&a, &w, "n1");
    wait_for(&w, fleet_n_pending(w.fleet) == 1 && a.n_messages == 1, &a);
    check(public_key_equal(&fleet_pending_at(w.fleet, 0)->key, &a.key.public));
    check_eq_str(fleet_pending_at(w.fleet, 0)->address, "127.0.0.1");
    check(!a.admitted && w.n_up == 0);
    require(approve(&w, &a));
    wait_for(&w, a.admitted && w.n_up == 1, &a);
    check_eq_int(fleet_n_pending(w.fleet), 0);
    check_eq_int(fleet_node(w.fleet, "n1")->state, NODE_OPEN);
    agent_hang_up(&a);
    a.closed = true;
    wait_for(&w, w.n_down == 1, &a);
    check_eq_int(fleet_node(w.fleet, "n1")->state, NODE_LOST);
}

TEST("A17 a node that comes under an approved name with another key is refused, the real one stays") {
    _cleanup_(world_deinit) struct world w;
    _cleanup_(agent_deinit) struct agent a, thief;
    require(world_init(&w));
    agent_init(&a);
    agent_init(&thief);
    snprintf(a.name, sizeof(a.name), "n1");
    require(approve(&w, &a));
    agent_dial(&a, &w, "n1");
    wait_for(&w, w.n_up == 1, &a);
    agent_dial(&thief, &w, "n1");
    wait_for(&w, thief.closed, &a, &thief);
    check(!a.closed && !thief.admitted);
    check_eq_int(fleet_n_pending(w.fleet), 0);
    check_eq_int(fleet_node(w.fleet, "n1")->state, NODE_OPEN);
    struct error err;
    check_eq_int(fleet_node_add(w.fleet, "n1", &thief.key.public, 1, &err), -EEXIST);
    check_contains(err.text, "never used twice");
}

TEST("a question gets its answer, once, by id and node") {
    _cleanup_(world_deinit) struct world w;
    _cleanup_(agent_deinit) struct agent a, b;
    require(world_init(&w));
    agent_init(&a);
    agent_init(&b);
    agent_dial(&a, &w, "n1");
    agent_dial(&b, &w, "n2");
    require(approve(&w, &a) && approve(&w, &b));
    wait_for(&w, w.n_up == 2 && a.admitted && b.admitted, &a, &b);
    struct fleet_request request = request_to(&w, "n1", PATIENCE_MS);
    uint64_t id = fleet_inquire(w.fleet, &request, (struct inquire){.cluster = "c", .member = "c/r@n1"});
    wait_for(&w, a.last_type == MESSAGE_INQUIRE, &a, &b);
    check_eq_int(inquired(&a), id);
    struct fact mode = {"mode", "read-write"};
    struct facts_message facts = {id, "c", "c/r@n1", 1, &mode, 1, ""};
    agent_say(&b, MESSAGE_FACTS, &facts_message_codec, &facts); /* nobody asked n2 */
    wait_for(&w, w.n_facts == 1, &a, &b);
    check_eq_int(w.n_replies, 0);
    agent_say(&a, MESSAGE_FACTS, &facts_message_codec, &facts);
    wait_for(&w, w.n_replies == 1, &a, &b);
    check_eq_str(w.fact, "read-write");
    check_eq_int(w.tag, 42);
    agent_say(&a, MESSAGE_FACTS, &facts_message_codec, &facts); /* again */
    wait_for(&w, w.n_facts == 3, &a, &b);
    check_eq_int(w.n_replies, 1);
}

TEST("no answer in time, no session, a session that ends: each is said as what it is") {
    _cleanup_(world_deinit) struct world w;
    _cleanup_(agent_deinit) struct agent a;
    require(world_init(&w));
    agent_init(&a);
    agent_dial(&a, &w, "n1");
    require(approve(&w, &a));
    wait_for(&w, w.n_up == 1 && a.admitted, &a);
    struct ask ask = {.cluster = "c", .self = "", .gates = (struct digest[]){{{1}}}, .n_gates = 1};
    struct fleet_request late = request_to(&w, "n1", 50), nobody = request_to(&w, "n9", PATIENCE_MS),
                         cut = request_to(&w, "n1", PATIENCE_MS);
    check(fleet_ask(w.fleet, &nobody, ask) != 0);
    check_eq_int(w.n_replies, 0); /* never from inside the call */
    wait_for(&w, w.n_replies == 1, &a);
    check_eq_str(w.problem, "the node is not connected");
    (void)fleet_ask(w.fleet, &late, ask);
    wait_for(&w, w.n_replies == 2, &a);
    check_eq_str(w.problem, "no answer in time");
    (void)fleet_ask(w.fleet, &cut, ask);
    agent_hang_up(&a);
    a.closed = true;
    wait_for(&w, w.n_replies == 3, &a);
    check_eq_str(w.problem, "the node's connection ended");
}

TEST("who forgets gets no reply") {
    _cleanup_(world_deinit) struct world w;
    require(world_init(&w));
    struct fleet_request request = request_to(&w, "n1", 10);
    (void)fleet_inquire(w.fleet, &request, (struct inquire){.cluster = "c", .member = "c/r@n1"});
    fleet_forget(w.fleet, &w);
    check(fleet_deadline(w.fleet) > 0);
    fleet_turn(w.fleet, clock_ms());
    check_eq_int(w.n_replies, 0);
}

TEST("reports bear the name of the session, whatever they say; what does not decode ends it") {
    _cleanup_(world_deinit) struct world w;
    _cleanup_(agent_deinit) struct agent a;
    require(world_init(&w));
    agent_init(&a);
    agent_dial(&a, &w, "n1");
    require(approve(&w, &a));
    wait_for(&w, w.n_up == 1 && a.admitted, &a);
    struct report report = {.cluster = "c",
                            .serial = 1,
                            .member = "c/r@n7",
                            .step = "switch",
                            .outcome = OUTCOME_DONE,
                            .reason = "mine",
                            .version = "2"};
    agent_say(&a, MESSAGE_REPORT, &report_codec, &report);
    wait_for(&w, w.n_reports == 1, &a);
    check_eq_str(w.reporter, "n1");
    check_eq_str(w.report_reason, "mine");
    agent_say(&a, MESSAGE_REPORT, NULL, "\xff\xff\xff\xff");
    wait_for(&w, w.n_down == 1, &a);
    check_eq_int(w.n_reports, 1);
}

TEST("an agent's clock that is off is seen") {
    _cleanup_(world_deinit) struct world w;
    _cleanup_(agent_deinit) struct agent a;
    require(world_init(&w));
    agent_init(&a);
    agent_dial(&a, &w, "n1");
    require(approve(&w, &a));
    wait_for(&w, w.n_up == 1 && a.admitted, &a);
    struct heartbeat beat = {.clock_ms = clock_ms() + 3600000, .version = "0.1.0", .epoch = 1};
    agent_say(&a, MESSAGE_HEARTBEAT, &heartbeat_codec, &beat);
    wait_for(&w, fleet_node(w.fleet, "n1")->heard_ms > 0, &a);
    check(fleet_node(w.fleet, "n1")->clock_skew_ms > 3500000);
    check_eq_str(fleet_node(w.fleet, "n1")->version, "0.1.0");
    check_eq_int(fleet_node(w.fleet, "n1")->epoch, 1);
    check_eq_int(w.n_heartbeats, 1);
}

TEST("a newer session of a node takes the place of the older one") {
    _cleanup_(world_deinit) struct world w;
    _cleanup_(agent_deinit) struct agent a, again;
    require(world_init(&w));
    agent_init(&a);
    agent_init(&again);
    again.key = a.key;
    agent_dial(&a, &w, "n1");
    require(approve(&w, &a));
    wait_for(&w, w.n_up == 1 && a.admitted, &a);
    struct fleet_request request = request_to(&w, "n1", PATIENCE_MS);
    (void)fleet_inquire(w.fleet, &request, (struct inquire){.cluster = "c", .member = "c/r@n1"});
    agent_dial(&again, &w, "n1");
    wait_for(&w, w.n_up == 2 && again.admitted && a.closed, &a, &again);
    check_eq_int(fleet_node(w.fleet, "n1")->state, NODE_OPEN);
    wait_for(&w, w.n_replies == 1, &a, &again);
    check(*w.problem);
    check_eq_int(fleet_send_latch(w.fleet, "n1", &(struct latch){"c", 1, 1}), 0);
    wait_for(&w, again.last_type == MESSAGE_LATCH, &a, &again);
    check_eq_int(fleet_send_latch(w.fleet, "n2", &(struct latch){"c", 1, 1}), -ENOTCONN);
}

TEST("a port that is taken is said in one sentence") {
    _cleanup_(world_deinit) struct world w;
    struct error err = {0};
    struct fleet *second = NULL;
    char address[32];
    require(world_init(&w));
    snprintf(address, sizeof(address), "127.0.0.1:%d", fleet_port(w.fleet));
    struct fleet_config config = {
        address, &w.key, 16, {&w, on_up, on_down, on_report, on_facts, on_heartbeat}};
    check(fleet_new(&second, &config, &err) < 0);
    check_contains(err.text, address);
    check_contains(err.text, "another program listens there already");
}
