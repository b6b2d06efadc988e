/* The expected matrix is written here a second time, by hand: that the table agrees with itself proves nothing. */
#include "tests/unit/session_pair.h"
#include "tests/unit/test.h"

__attribute__((constructor)) static void begin(void) {
    if (trust_init(NULL) < 0)
        abort();
}

/* clang-format off */
/* Who may say it, in which states: n(ew), c(hallenged), p(ending), o(pen). */
static const struct {
    unsigned type;
    const char *agent, *coordinator;
} expected[] = {
    {1, "n", ""},      /* hello */
    {2, "", "n"},      /* challenge */
    {3, "c", ""},      /* auth */
    {4, "", "p"},      /* welcome */
    {5, "po", "npo"},  /* bye */
    {6, "po", "po"},   /* heartbeat */
    {16, "", "o"},     /* charter */
    {17, "o", ""},     /* facts */
    {18, "", "o"},     /* preview */
    {19, "o", ""},     /* preview-result */
    {20, "", "o"},     /* order */
    {21, "o", ""},     /* report */
    {22, "", "o"},     /* ask */
    {23, "o", ""},     /* answer */
    {24, "", "o"},     /* lease */
    {25, "", "o"},     /* word */
    {26, "", "o"},     /* inquire */
    {27, "", "o"},     /* latch */
};
/* clang-format on */

static const char letters[] = "ncpo";

static bool is_expected(unsigned type, enum message_role sender, enum session_state state) {
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        if (expected[i].type == type && state < SESSION_CLOSED)
            return strchr(sender == ROLE_AGENT ? expected[i].agent : expected[i].coordinator,
                          letters[state]) != NULL;
    return false;
}

TEST("A26 the table allows what the matrix says, for all 256 types, both roles and all states") {
    for (unsigned type = 0; type < 256; type++)
        for (enum session_state state = SESSION_NEW; state <= SESSION_CLOSED; state++) {
            check(message_is_allowed(type, ROLE_AGENT, state) == is_expected(type, ROLE_AGENT, state));
            check(message_is_allowed(type, ROLE_COORDINATOR, state) ==
                  is_expected(type, ROLE_COORDINATOR, state));
            check(!message_is_allowed(type, (enum message_role)0, state));
        }
}

/* A frame of this type with a body that would fit, as the state wants it. */
static void frame_of(struct frame_writer *writer, unsigned type, struct buffer *out) {
    static const uint8_t zeros[KEDGE_PUBLIC_KEY_LEN + KEDGE_SIGNATURE_LEN + 200];
    const struct message_rule *rule = message_rule_of(type);
    size_t len = rule && rule->bytes_max < 200 ? rule->bytes_max : 1;

    frame_write(writer, (uint8_t)type, (struct bytes){zeros, len}, out);
}

TEST("A26 an unauthenticated peer gets nowhere with any type, in either state") {
    for (unsigned type = 0; type < 256; type++)
        for (int challenged = 0; challenged < 2; challenged++) {
            _cleanup_(pair_end) struct pair p;
            _cleanup_(buffer_deinit) struct buffer wire = {0};
            struct frame_writer writer;

            pair_begin(&p);
            frame_writer_init(&writer);
            if (challenged) {
                require(coordinator_take(&p, buffer_bytes(&p.to_coordinator)));
                writer.last_seq = 1;
            }
            frame_of(&writer, type, &wire);
            check(!coordinator_take(&p, buffer_bytes(&wire)));
            check(!p.proven && p.n_at_coordinator == 0);
            check_eq_int(p.coordinator.session.state, SESSION_CLOSED);

            if (challenged)
                continue;
            wire.len = 0;
            frame_writer_init(&writer);
            frame_of(&writer, type, &wire);
            check(!agent_take(&p, buffer_bytes(&wire))); /* an impostor of the coordinator */
            check_eq_int(p.n_at_agent, 0);
        }
}

/* An authenticated peer that seals whatever it likes: what is not its word closes the session. */
static enum session_outcome offer(const struct pair *p, unsigned type, enum message_role sender,
                                  enum session_state state) {
    bool agent = sender == ROLE_AGENT;
    struct session from = agent ? p->executor : p->coordinator.session;
    struct session to = agent ? p->coordinator.session : p->executor;
    const struct key_pair *key = agent ? &p->agent_key : &p->coordinator_key;
    struct verified_message out;
    char tag[KEDGE_TAG_MAX];
    struct buffer message = {0};

    if (!message_tag(tag, sender, type))
        snprintf(tag, sizeof(tag), "%s/%u", agent ? "agent" : "coordinator", type);
    uint8_t seq[8] = {0}, one = 1;
    uint64_t next = from.sent + 1;
    seq[7] = (uint8_t)next;
    struct bytes parts[] = {BYTES_OF(from.id.b), BYTES_OF(seq), {&one, 1}};
    struct signature signature = sign_tagged(tag, parts, 3, key);
    buffer_append(&message, &one, 1);
    buffer_append(&message, key->public.b, sizeof(key->public.b));
    buffer_append(&message, signature.b, sizeof(signature.b));
    to.state = state;
    enum session_outcome outcome = session_open(&to, &out, (uint8_t)type, next, buffer_bytes(&message), 0);
    buffer_deinit(&message);
    return outcome;
}

TEST("A26 an authenticated peer says only what is in its rows, well signed or not") {
    _cleanup_(pair_end) struct pair p;

    pair_begin(&p);
    require(pair_meet(&p));
    for (unsigned type = 0; type < 256; type++)
        for (enum session_state state = SESSION_PENDING; state <= SESSION_CLOSED; state++)
            for (enum message_role sender = ROLE_AGENT; sender <= ROLE_COORDINATOR; sender++) {
                enum session_outcome outcome = offer(&p, type, sender, state);
                check_eq_int(outcome,
                             is_expected(type, sender, state) ? SESSION_ACCEPTED : SESSION_REFUSED_TYPE);
            }
}
