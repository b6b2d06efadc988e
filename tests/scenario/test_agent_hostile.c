/* The coordinator's key in an attacker's hands: fifty orders that nobody signed for. None of them starts, stops or writes
 * anything: no record in the journal, no step, the same process as before. */
#include "tests/unit/test.h"

#include "tests/scenario/agent_world.h"

#include "common/base/file.h"

static const char *releases, *prober;

__attribute__((constructor)) static void begin(void) {
    releases = getenv("KEDGE_STORE_RELEASES");
    prober = getenv("KEDGE_PROBER");
}

/* One field of the message, replaced. */
enum field { HEADER, WORK_ORDER, MANIFEST, GATE, N_FIELDS };

struct attack {
    struct agent_world *w;
    enum field field;
    size_t at;          /* the byte that is flipped; SIZE_MAX: another value for the whole */
    struct bytes value; /* then this one */
};

static struct bytes *field_of(struct order_message *message, enum field field) {
    switch (field) {
    case HEADER: return &message->header;
    case WORK_ORDER: return &message->work_order;
    case MANIFEST: return &message->manifest;
    case GATE: return (struct bytes *)(uintptr_t)&message->gates[0];
    case N_FIELDS: break;
    }
    abort();
}

static void spoil_field(struct order_message *message, void *data) {
    const struct attack *attack = data;
    struct bytes *gates = arena_array(attack->w->arena, message->n_gates, sizeof(*gates));
    memcpy(gates, message->gates, message->n_gates * sizeof(*gates));
    message->gates = gates;
    struct bytes *bytes = field_of(message, attack->field);
    if (attack->at == SIZE_MAX) {
        *bytes = attack->value;
        return;
    }
    uint8_t *copy = arena_copy(attack->w->arena, bytes->data, bytes->len);
    copy[attack->at % bytes->len] ^= 0x20;
    bytes->data = copy;
}

static struct key_pair thief;

static void spoil_addressee(struct order_message *message, void *data) {
    (void)data;
    message->addressee = thief.public;
}
static void spoil_leaf(struct order_message *message, void *data) {
    message->leaf = *(uint32_t *)data;
}
static void spoil_path(struct order_message *message, void *data) {
    (void)data;
    message->n_path = 0;
}
static void spoil_step(struct order_message *message, void *data) {
    message->step = data;
}
static void spoil_expiry(struct order_message *message, void *data) {
    message->expires_s = *(uint64_t *)data;
}
static void spoil_epoch(struct order_message *message, void *data) {
    (void)data;
    message->epoch = 1;
}
static void spoil_gates(struct order_message *message, void *data) {
    (void)data;
    message->n_gates = 0;
}

/* A document of the world, signed by somebody who may not. */
static struct bytes signed_by(struct agent_world *w, const struct codec_message *codec, const void *value,
                              enum trust_context context, const struct key_pair *key) {
    struct buffer bytes = {0}, out = {0};
    struct error err;
    struct signed_blob blob = {.context = context};
    if (codec_encode(codec, value, &bytes, &err) < 0)
        abort();
    blob.bytes = buffer_bytes(&bytes);
    if (signed_blob_sign(&blob, key, &err) < 0)
        abort();
    signed_blob_encode(&out, &blob);
    struct bytes copy = {arena_copy(w->arena, out.data, out.len), out.len};
    buffer_deinit(&bytes);
    buffer_deinit(&out);
    return copy;
}

/* What must be as before. */
struct before {
    uint64_t seq;
    pid_t pid;
};

static struct before look(const struct agent_world *w) {
    return (struct before){journal_seq(w->executor->journal),
                           executor_member(w->executor, "c/store@n1")->process.id.pid};
}

static unsigned n_refused;

/* Runs the loop until it has nothing to do at once, and compares. */
static void nothing_happened(struct agent_world *w, const struct before *before, const char *what) {
    while (sd_event_run(w->executor->loop, 0) > 0)
        ;
    const struct member *m = executor_member(w->executor, "c/store@n1");
    bool same = journal_seq(w->executor->journal) == before->seq && m->process.id.pid == before->pid &&
                !machine_is_busy(&m->machine) && !m->incoming && world_count(w, "stopped") == 0;
    if (!same)
        test_fail(__FILE__, __LINE__, "not refused: %s", what);
    n_refused++;
}

static void attack_bytes(struct agent_world *w, const struct before *before, enum field field, size_t n) {
    static const char *const names[N_FIELDS] = {"header", "work order", "manifest", "gate"};
    for (size_t i = 0; i < n; i++) {
        struct attack attack = {w, field, 7 + i * 37, {NULL, 0}};
        world_send(w, "switch", spoil_field, &attack);
        nothing_happened(w, before, names[field]);
    }
}

static void attack_value(struct agent_world *w, const struct before *before, enum field field,
                         struct bytes value, const char *what) {
    struct attack attack = {w, field, SIZE_MAX, value};
    world_send(w, "switch", spoil_field, &attack);
    nothing_happened(w, before, what);
}

TEST("A14 A7 a coordinator key in an attacker's hands: fifty orders, none runs") {
    struct agent_world w;
    require(world_init(&w, releases, "1.1.0") && world_agent_start(&w, prober) && world_adopt(&w));
    key_pair_generate(&thief);
    w.epoch = 5;
    const struct report *report = world_order(&w, "prepare");
    require(report && report->outcome == OUTCOME_DONE);
    struct before before = look(&w);

    attack_bytes(&w, &before, HEADER, 12);
    attack_bytes(&w, &before, WORK_ORDER, 14);
    attack_bytes(&w, &before, MANIFEST, 6);
    attack_bytes(&w, &before, GATE, 4);

    /* whole documents of others */
    attack_value(&w, &before, HEADER, (struct bytes){(const uint8_t *)"", 0}, "no header");
    attack_value(&w, &before, WORK_ORDER, bytes_of_text("\xff\xff"), "no work order");
    attack_value(&w, &before, HEADER, signed_by(&w, &header_codec, &w.header, TRUST_OPERATOR_PLAN, &thief),
                 "a header that the coordinator signed itself");
    attack_value(&w, &before, HEADER,
                 signed_by(&w, &header_codec, &w.header, TRUST_OPERATOR_PLAN, &w.release_key),
                 "a header that the release key signed");
    attack_value(&w, &before, HEADER,
                 signed_by(&w, &header_codec, &w.header, TRUST_OPERATOR_CHARTER, &w.operator_key),
                 "an operator's signature for something else");
    attack_value(&w, &before, MANIFEST,
                 signed_by(&w, &manifest_codec, &w.manifest, TRUST_RELEASE_MANIFEST, &thief),
                 "a release of the coordinator's own");
    struct work_order order = w.order;
    order.way_back = WAY_BACK_NEVER;
    struct buffer bytes = {0};
    struct error err;
    require(codec_encode(&work_order_codec, &order, &bytes, &err) == 0);
    attack_value(&w, &before, WORK_ORDER, buffer_bytes(&bytes), "a work order with another way back");
    buffer_deinit(&bytes);

    /* the message around them */
    uint32_t leaf = 0;
    world_send(&w, "switch", spoil_leaf, &leaf);
    nothing_happened(&w, &before, "leaf 0");
    leaf = 2;
    world_send(&w, "switch", spoil_leaf, &leaf);
    nothing_happened(&w, &before, "leaf 2");
    world_send(&w, "switch", spoil_path, NULL);
    nothing_happened(&w, &before, "no path");
    world_send(&w, "switch", spoil_addressee, NULL);
    nothing_happened(&w, &before, "another node's order (A7)");
    world_send(&w, "switch", spoil_gates, NULL);
    nothing_happened(&w, &before, "no gates");
    world_send(&w, "switch", spoil_epoch, NULL);
    nothing_happened(&w, &before, "an older epoch");
    uint64_t expired = 1;
    world_send(&w, "switch", spoil_expiry, &expired);
    nothing_happened(&w, &before, "an order that has expired");
    char unknown[] = "../../bin/sh", empty[] = "x";
    world_send(&w, "switch", spoil_step, unknown);
    nothing_happened(&w, &before, "a step with a path for a name");
    world_send(&w, "switch", spoil_step, empty);
    nothing_happened(&w, &before, "a step that is not in the order");

    /* a member of another name, node and cluster, rightly signed */
    struct work_order kept = w.order;
    static const char *const members[] = {"c/store@n2", "d/store@n1", "c/../store@n1"};
    for (size_t i = 0; i < 3; i++) {
        w.order = kept;
        w.order.member = members[i];
        world_sign(&w);
        world_send(&w, "switch", NULL, NULL);
        nothing_happened(&w, &before, members[i]);
    }
    /* another plan under the serial that was begun */
    w.order = kept;
    w.order.domain = "elsewhere";
    world_sign(&w);
    world_send(&w, "switch", NULL, NULL);
    nothing_happened(&w, &before, "another root under the same serial");

    check(n_refused >= 50);
    printf("# %u hostile orders\n", n_refused);
    world_deinit(&w);
}

TEST("F25 a fact that is not as signed: refused with its name, both values, and nothing has changed") {
    struct agent_world w;
    require(world_init(&w, releases, "1.1.0") && world_agent_start(&w, prober) && world_adopt(&w));
    struct error err;
    struct before before = look(&w);
    require(file_write(arena_format(w.arena, "%s/store.conf", w.store_folder),
                       bytes_of_text("id = s1\nlisten = 127.0.0.1:1\ndata = data\n"), 0644, &err) == 0);
    world_send(&w, "prepare", NULL, NULL);
    uint64_t until = clock_monotonic_us() + 5000000;
    struct member *m = executor_member(w.executor, "c/store@n1");
    while (m->incoming && clock_monotonic_us() < until)
        (void)sd_event_run(w.executor->loop, 10000);
    nothing_happened(&w, &before, "a changed configuration");
    world_deinit(&w);
}

TEST("F09 a node that may only be observed is not changed by any signature") {
    struct agent_world w;
    require(world_init(&w, releases, "1.1.0"));
    w.config.level = ALLOW_OBSERVE;
    require(world_agent_start(&w, prober) && world_adopt(&w));
    struct before before = look(&w);
    world_send(&w, "prepare", NULL, NULL);
    nothing_happened(&w, &before, "observe only");
    w.executor->config.level = ALLOW_CHANGE;
    w.allowed.user = "nobody";
    world_send(&w, "prepare", NULL, NULL);
    nothing_happened(&w, &before, "another user than agent.yaml names");
    world_deinit(&w);
}
