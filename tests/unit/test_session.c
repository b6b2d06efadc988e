#include "tests/unit/session_pair.h"
#include "tests/unit/test.h"

__attribute__((constructor)) static void begin(void) {
    if (trust_init(NULL) < 0)
        abort();
}

/* Frames as they lay on the wire, one by one. */
struct capture {
    struct buffer frames[16];
    size_t n;
};

static void capture_deinit(struct capture *capture) {
    for (size_t i = 0; i < capture->n; i++)
        buffer_deinit(&capture->frames[i]);
}

static void capture_add(struct capture *capture, const struct buffer *wire) {
    buffer_append(&capture->frames[capture->n++], wire->data, wire->len);
}

TEST("a session opens and carries messages both ways") {
    _cleanup_(pair_end) struct pair p;

    pair_begin(&p);
    require(pair_meet(&p));
    check(digest_equal(&p.executor.id, &p.coordinator.session.id));
    check_eq_str(p.coordinator.hello.node, "n3");

    agent_say(&p, MESSAGE_FACTS, "4.5.0");
    require(pair_deliver(&p));
    check_eq_int(p.last.type, MESSAGE_FACTS);
    check_eq_str(p.last_text, "4.5.0");
    coordinator_say(&p, MESSAGE_ORDER, "switch");
    coordinator_say(&p, MESSAGE_LEASE, "undo");
    require(pair_deliver(&p));
    check_eq_int(p.last.type, MESSAGE_LEASE);
    check_eq_int(p.n_at_agent, 3);
    check_eq_int(p.n_at_coordinator, 1);
}

TEST("a pending agent may beat and wait, nothing else") {
    _cleanup_(pair_end) struct pair p;

    pair_begin(&p);
    require(pair_deliver(&p) && pair_deliver(&p) && p.proven);
    pair_welcome(&p, WELCOME_PENDING);
    require(pair_deliver(&p));
    check_eq_int(p.executor.state, SESSION_PENDING);
    agent_say(&p, MESSAGE_HEARTBEAT, "");
    require(pair_deliver(&p));
    check_eq_int(p.n_at_coordinator, 1);

    p.executor.state = SESSION_OPEN; /* an agent that takes what it was not given */
    agent_say(&p, MESSAGE_FACTS, "x");
    check(!pair_deliver(&p));
    check_contains(p.err.text, "not allowed");
    check_eq_int(p.n_at_coordinator, 1);
}

TEST("the largest message passes, in any pieces") {
    _cleanup_(pair_end) struct pair p;
    _cleanup_(freep) char *text = malloc(KEDGE_MESSAGE_BYTES_MAX + 1);

    require(text);
    memset(text, 'x', KEDGE_MESSAGE_BYTES_MAX);
    text[KEDGE_MESSAGE_BYTES_MAX] = 0;
    pair_begin(&p);
    require(pair_meet(&p));
    agent_say(&p, MESSAGE_REPORT, text);
    for (size_t at = 0; at < p.to_coordinator.len; at += 8191) {
        size_t left = p.to_coordinator.len - at;
        require(coordinator_take(&p, (struct bytes){p.to_coordinator.data + at, left < 8191 ? left : 8191}));
    }
    check_eq_int(p.n_at_coordinator, 1);
    check_eq_int(p.last.bytes.len, KEDGE_MESSAGE_BYTES_MAX);
}

/* ---- A1 ---- */

/* Delivers `frame` with one byte changed and then what followed it; nothing of it may arrive. */
static void flipped_frame_is_refused(const struct pair *before, const struct buffer *frame, size_t at,
                                     bool to_agent) {
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    struct pair p = *before;
    unsigned n = pair_n_delivered(&p);

    p.coordinator.reader.wire = p.coordinator.reader.plain = (struct buffer){0};
    p.link.reader.wire = p.link.reader.plain = (struct buffer){0};
    buffer_append(&wire, frame->data, frame->len);
    wire.data[at] ^= (uint8_t)(1 + randombytes_uniform(255));
    bool ok = to_agent ? agent_take(&p, buffer_bytes(&wire)) : coordinator_take(&p, buffer_bytes(&wire));
    check(!ok || at < FRAME_LEN_BYTES); /* a longer length waits for more */
    check_eq_int(pair_n_delivered(&p), n);
    frame_reader_deinit(&p.coordinator.reader);
    frame_reader_deinit(&p.link.reader);
}

TEST("A1 a captured frame with any byte changed is refused") {
    _cleanup_(pair_end) struct pair p;

    pair_begin(&p);
    require(pair_meet(&p));
    agent_say(&p, MESSAGE_REPORT, "proven: 4.5.1 read-write");
    coordinator_say(&p, MESSAGE_ORDER, "switch bk/bookie@n3");
    for (size_t at = 0; at < p.to_coordinator.len; at++)
        flipped_frame_is_refused(&p, &p.to_coordinator, at, false);
    for (size_t at = 0; at < p.to_agent.len; at++)
        flipped_frame_is_refused(&p, &p.to_agent, at, true);
    require(pair_deliver(&p)); /* unchanged it passes */
    check_eq_int(pair_n_delivered(&p), 3);
}

TEST("A1 a handshake with any byte changed opens nothing") {
    _cleanup_(pair_end) struct pair clean;
    pair_begin(&clean);
    require(pair_deliver(&clean));

    for (unsigned step = 0; step < 3; step++)
        for (size_t at = 0; at < FRAME_LEN_BYTES + FRAME_HEADER_BYTES + HELLO_BYTES; at++) {
            _cleanup_(pair_end) struct pair p;
            pair_begin_with(&p, &clean.coordinator_key, &clean.agent_key);
            bool ok = step != 2 || pair_deliver(&p); /* 0: hello, 1: challenge, 2: auth */
            if (step == 1) {
                ok = coordinator_take(&p, buffer_bytes(&p.to_coordinator));
                buffer_clear(&p.to_coordinator);
            }
            require(ok);
            struct buffer *wire = step == 1 ? &p.to_agent : &p.to_coordinator;
            if (at >= wire->len)
                break;
            wire->data[at] ^= (uint8_t)(1 + randombytes_uniform(255));
            for (int i = 0; i < 3 && ok; i++)
                ok = pair_deliver(&p);
            check(!p.proven);
        }
}

TEST("A1 another key than the peer's is refused, however the frame was made") {
    _cleanup_(pair_end) struct pair p;
    _cleanup_(key_pair_deinit) struct key_pair stranger;

    key_pair_generate(&stranger);
    pair_begin(&p);
    require(pair_meet(&p));
    struct key_pair own = p.agent_key;
    p.agent_key =
        stranger; /* link was taken over: it has the AEAD key, and signs with what it can make itself */
    agent_say(&p, MESSAGE_REPORT, "success");
    check(!pair_deliver(&p));
    check_contains(p.err.text, "another key");
    check_eq_int(p.n_at_coordinator, 0);
    key_pair_deinit(&own);
}

TEST("A1 an impostor of the coordinator is turned away by its key") {
    _cleanup_(pair_end) struct pair p;

    pair_begin(&p);
    key_pair_generate(&p.coordinator_key); /* the agent has pinned the one before */
    check(!pair_deliver(&p));
    check_contains(p.err.text, "the known one has");
}

TEST("the executor signs only for itself") {
    _cleanup_(pair_end) struct pair p;
    struct signature auth;
    struct error err;

    pair_begin(&p);
    require(coordinator_take(&p, buffer_bytes(&p.to_coordinator)));
    memcpy(p.link.transcript.challenge, p.coordinator.transcript.challenge, CHALLENGE_BYTES);

    struct auth_request request = {&p.link.transcript, "n3", &p.agent_key, &p.coordinator_key.public};
    check_eq_int(auth_sign(&auth, &request, &err), 0);
    request.node = "n4";
    check_eq_int(auth_sign(&auth, &request, &err), -EKEYREJECTED);
    check_contains(err.text, "it names node n3, this is n4");
    request = (struct auth_request){&p.link.transcript, "n3", &p.coordinator_key, &p.coordinator_key.public};
    check_eq_int(auth_sign(&auth, &request, &err), -EKEYREJECTED);
    request = (struct auth_request){&p.link.transcript, "n3", &p.agent_key, &p.agent_key.public};
    check_eq_int(auth_sign(&auth, &request, &err), -EKEYREJECTED);
}

/* ---- A2, A3, A4 ---- */

/* Says `n` messages each way and keeps every frame. */
static bool pair_talk(struct pair *p, size_t n, struct capture *to_coordinator, struct capture *to_agent) {
    for (size_t i = 0; i < n; i++) {
        agent_say(p, MESSAGE_REPORT, "report");
        coordinator_say(p, MESSAGE_ORDER, "order");
        capture_add(to_coordinator, &p->to_coordinator);
        capture_add(to_agent, &p->to_agent);
        if (!pair_deliver(p))
            return false;
    }
    return true;
}

TEST("A2 a frame is refused at every later point of its session") {
    for (size_t said = 1; said <= 5; said++)
        for (size_t again = 0; again < said; again++)
            for (int to_agent = 0; to_agent < 2; to_agent++) {
                _cleanup_(pair_end) struct pair p;
                _cleanup_(capture_deinit) struct capture up = {0}, down = {0};
                pair_begin(&p);
                require(pair_meet(&p));
                require(pair_talk(&p, said, &up, &down));
                unsigned n = pair_n_delivered(&p);
                struct bytes frame = buffer_bytes(to_agent ? &down.frames[again] : &up.frames[again]);
                check(!(to_agent ? agent_take(&p, frame) : coordinator_take(&p, frame)));
                check_eq_int(pair_n_delivered(&p), n);
            }
}

TEST("A2 a link that was taken over cannot offer a message to the executor twice") {
    _cleanup_(pair_end) struct pair p;
    _cleanup_(buffer_deinit) struct buffer message = {0};
    struct verified_message out;

    pair_begin(&p);
    require(pair_meet(&p));
    session_seal(&p.coordinator.session, MESSAGE_ORDER, bytes_of_text("order"), &p.coordinator_key, &message);
    uint64_t seq = p.coordinator.session.sent;
    struct session again = p.executor, next = p.executor;
    require(session_open(&again, &out, MESSAGE_ORDER, seq, buffer_bytes(&message), 0) == SESSION_ACCEPTED);
    check_eq_int(session_open(&again, &out, MESSAGE_ORDER, seq, buffer_bytes(&message), 0),
                 SESSION_REFUSED_ORDER);
    check_eq_int(again.state, SESSION_CLOSED);

    require(session_open(&next, &out, MESSAGE_ORDER, seq, buffer_bytes(&message), 0) == SESSION_ACCEPTED);
    check_eq_int(session_open(&next, &out, MESSAGE_ORDER, seq + 1, buffer_bytes(&message), 0),
                 SESSION_REFUSED_SIGNATURE);
}

/* The frames of one whole session, handshake included. */
static bool record_session(struct pair *p, struct capture *to_coordinator, struct capture *to_agent) {
    pair_begin(p);
    for (int i = 0; i < 2; i++) {
        capture_add(to_coordinator, &p->to_coordinator);
        if (!coordinator_take(p, buffer_bytes(&p->to_coordinator)))
            return false;
        buffer_clear(&p->to_coordinator);
        if (p->proven)
            pair_welcome(p, WELCOME_ADMITTED);
        capture_add(to_agent, &p->to_agent);
        if (!agent_take(p, buffer_bytes(&p->to_agent)))
            return false;
        buffer_clear(&p->to_agent);
    }
    return pair_talk(p, 3, to_coordinator, to_agent);
}

TEST("A3 a recorded session is worth nothing to a fresh coordinator or agent") {
    _cleanup_(pair_end) struct pair recorded = {0}, fresh = {0}, victim = {0};
    _cleanup_(capture_deinit) struct capture up = {0}, down = {0};

    require(record_session(&recorded, &up, &down));
    pair_begin_with(&fresh, &recorded.coordinator_key,
                    &recorded.agent_key); /* the same keys, after a restart */
    bool open = true;
    for (size_t i = 0; i < up.n && open; i++)
        open = coordinator_take(&fresh, buffer_bytes(&up.frames[i]));
    check(!open);
    check(!fresh.proven);
    check_eq_int(fresh.n_at_coordinator, 0);

    pair_begin_with(&victim, &recorded.coordinator_key, &recorded.agent_key);
    check(!agent_take(&victim, buffer_bytes(&down.frames[0]))); /* the old challenge */
    check_eq_int(victim.n_at_agent, 0);
}

TEST("A3 A7 a message for one session is refused in every other, also of the same keys") {
    _cleanup_(pair_end) struct pair a, b, other_node;
    static const enum message_type types[] = {MESSAGE_ORDER, MESSAGE_CHARTER, MESSAGE_LEASE,    MESSAGE_WORD,
                                              MESSAGE_ASK,   MESSAGE_PREVIEW, MESSAGE_HEARTBEAT};

    pair_begin(&a);
    pair_begin_with(&b, &a.coordinator_key, &a.agent_key);
    pair_begin(&other_node);
    other_node.coordinator_key = a.coordinator_key;
    other_node.coordinator.self = &other_node.coordinator_key;
    other_node.link.coordinator = a.coordinator_key.public;
    require(pair_meet(&a) && pair_meet(&b) && pair_meet(&other_node));
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        _cleanup_(buffer_deinit) struct buffer message = {0};
        struct session right = a.executor, same_keys = b.executor, other = other_node.executor;
        struct session sender = a.coordinator.session;
        struct verified_message out;

        session_seal(&sender, types[i], bytes_of_text("stop"), &a.coordinator_key, &message);
        struct bytes m = buffer_bytes(&message);
        check_eq_int(session_open(&right, &out, (uint8_t)types[i], sender.sent, m, 0), SESSION_ACCEPTED);
        check_eq_int(session_open(&same_keys, &out, (uint8_t)types[i], sender.sent, m, 0),
                     SESSION_REFUSED_SIGNATURE);
        check_eq_int(session_open(&other, &out, (uint8_t)types[i], sender.sent, m, 0),
                     SESSION_REFUSED_SIGNATURE);
    }
}

TEST("A4 own words sent back are refused, on both sides and for every type") {
    _cleanup_(pair_end) struct pair p;
    struct verified_message out;

    pair_begin(&p);
    require(pair_meet(&p));
    agent_say(&p, MESSAGE_HEARTBEAT, "");
    coordinator_say(&p, MESSAGE_HEARTBEAT, "");
    unsigned n = pair_n_delivered(&p);
    check(!agent_take(&p, buffer_bytes(&p.to_coordinator)));
    check(!coordinator_take(&p, buffer_bytes(&p.to_agent)));
    check_eq_int(pair_n_delivered(&p), n);

    /* behind the AEAD, as a link that was taken over could do it */
    for (unsigned type = 0; type < 256; type++) {
        _cleanup_(buffer_deinit) struct buffer message = {0};
        struct session self = p.executor, back = p.executor;
        if (!message_is_allowed(type, ROLE_AGENT, SESSION_OPEN))
            continue;
        self.state = back.state = SESSION_OPEN;
        back.peer = p.agent_key.public; /* even if it took its own key for the peer's */
        back.received = self.sent;
        session_seal(&self, (enum message_type)type, bytes_of_text("x"), &p.agent_key, &message);
        enum session_outcome outcome =
            session_open(&back, &out, (uint8_t)type, self.sent, buffer_bytes(&message), 0);
        check(outcome == SESSION_REFUSED_TYPE || outcome == SESSION_REFUSED_SIGNATURE);
    }

    _cleanup_(pair_end) struct pair q;
    pair_begin(&q);
    check(!agent_take(&q, buffer_bytes(&q.to_coordinator))); /* its own hello */
}

/* ---- A5 ---- */

TEST("A5 a message of one type is refused as every other type") {
    _cleanup_(pair_end) struct pair p;
    struct verified_message out;

    pair_begin(&p);
    require(pair_meet(&p));
    for (unsigned from = 0; from < 256; from++) {
        if (!message_is_allowed(from, ROLE_COORDINATOR, SESSION_OPEN))
            continue;
        _cleanup_(buffer_deinit) struct buffer message = {0};
        struct session sender = p.coordinator.session;
        session_seal(&sender, (enum message_type)from, bytes_of_text("\x01"), &p.coordinator_key, &message);
        for (unsigned as = 0; as < 256; as++) {
            struct session receiver = p.executor;
            receiver.state = SESSION_OPEN;
            enum session_outcome outcome =
                session_open(&receiver, &out, (uint8_t)as, sender.sent, buffer_bytes(&message), 0);
            check((outcome == SESSION_ACCEPTED) == (from == as));
            if (as != from && message_is_allowed(as, ROLE_COORDINATOR, SESSION_OPEN))
                check_eq_int(outcome, SESSION_REFUSED_SIGNATURE);
        }
    }
}

TEST("A5 no tag of a message is a tag of anything else that is signed") {
    char tags[64][KEDGE_TAG_MAX];
    size_t n = 0;

    for (unsigned type = 0; type < 256; type++)
        for (enum message_role role = ROLE_AGENT; role <= ROLE_COORDINATOR; role++)
            if (message_tag(tags[n], role, type))
                n++;
    for (unsigned context = 1; context < TRUST_CONTEXT_END; context++)
        snprintf(tags[n++], KEDGE_TAG_MAX, "%s", trust_context_tag(context));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            check(strcmp(tags[i], tags[j]) != 0);
}

/* ---- A6 ---- */

/* A proxy that does one thing to the frames of one direction: whatever it does, what arrives is a beginning of what was
 * said, in order, and any disturbance but a delay ends the session. */
enum disturbance { SWAP, DUPLICATE, DROP, CUT_TAIL, CUT_HEAD, INSERT, DISTURBANCES };

static void disturb(struct buffer *wire, const struct capture *said, enum disturbance how, size_t at) {
    for (size_t i = 0; i < said->n; i++) {
        const struct buffer *f = &said->frames[i], *next = &said->frames[i + 1 < said->n ? i + 1 : 0];
        bool here = i == at;
        if (here && how == SWAP) {
            buffer_append(wire, next->data, next->len);
            buffer_append(wire, f->data, f->len);
            i++;
        } else if (here && (how == CUT_TAIL || how == CUT_HEAD)) {
            buffer_append(wire, f->data + (how == CUT_HEAD), f->len - (how == CUT_HEAD ? 1 : 5));
        } else if (!here || how != DROP) {
            buffer_append(wire, f->data, f->len);
        }
        if (here && how == DUPLICATE)
            buffer_append(wire, f->data, f->len);
        if (here && how == INSERT)
            buffer_append(wire,
                          "\0\0\0\x30"
                          "0123456789abcdef0123456789abcdef0123456789abcdef",
                          52);
    }
}

static void disturbed_session(enum disturbance how, size_t at) {
    _cleanup_(pair_end) struct pair p;
    _cleanup_(capture_deinit) struct capture said = {0};
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    static const char *const texts[] = {"0", "1", "2", "3", "4", "5"};

    pair_begin(&p);
    require(pair_meet(&p));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        coordinator_say(&p, MESSAGE_ORDER, texts[i]);
        capture_add(&said, &p.to_agent);
        buffer_clear(&p.to_agent);
    }
    disturb(&wire, &said, how, at);
    unsigned before = p.n_at_agent; /* the welcome */
    bool open = agent_take(&p, buffer_bytes(&wire));
    check(!open || how == CUT_HEAD); /* a length made of wrong bytes may wait for more, until the time-out */
    unsigned arrived = p.n_at_agent - before;
    check_eq_int(arrived, how == DUPLICATE || how == INSERT ? at + 1 : at);
    if (arrived > 0)
        check_eq_str(p.last_text, texts[arrived - 1]);
    (void)agent_take(&p, buffer_bytes(&said.frames[arrived])); /* and nothing arrives after it */
    check_eq_int(p.n_at_agent - before, arrived);
}

TEST("A6 permuted, doubled, lost and cut frames end the session, and nothing wrong arrives") {
    for (enum disturbance how = SWAP; how < DISTURBANCES; how++)
        for (size_t at = 0; at < 5; at++)
            disturbed_session(how, at);
}

/* ---- A20, A23, A43 ---- */

TEST("A20 a giant length is refused before anything is allocated") {
    _cleanup_(pair_end) struct pair p;

    pair_begin(&p);
    check(!coordinator_take(&p, (struct bytes){(const uint8_t *)"\xff\xff\xff\xff", 4}));
    check(p.coordinator.reader.wire.room <= 64);
    check_contains(p.err.text, "longer than allowed");
}

TEST("a peer that talks without end is closed before its signatures cost us more") {
    _cleanup_(pair_end) struct pair p;
    struct verified_message out;

    pair_begin(&p);
    require(pair_meet(&p));
    token_bucket_init(&p.executor.rate, 3, 1, 0);
    for (int i = 0; i < 5; i++) {
        _cleanup_(buffer_deinit) struct buffer m = {0};
        session_seal(&p.coordinator.session, MESSAGE_HEARTBEAT, (struct bytes){NULL, 0}, &p.coordinator_key,
                     &m);
        uint64_t now_ms = i < 3 ? 0 : 1500; /* one more after a second and a half */
        check_eq_int(session_open(&p.executor, &out, MESSAGE_HEARTBEAT, p.coordinator.session.sent,
                                  buffer_bytes(&m), now_ms),
                     i < 4 ? SESSION_ACCEPTED : SESSION_REFUSED_RATE);
    }
}

TEST("A43 versions cannot be stripped, and none in common is said in words") {
    _cleanup_(pair_end) struct pair p, q;

    pair_begin(&p);
    p.to_coordinator.data[FRAME_LEN_BYTES + FRAME_HEADER_BYTES + 1] =
        9; /* a range that the executor never offered */
    require(coordinator_take(&p, buffer_bytes(&p.to_coordinator)));
    check(!agent_take(&p, buffer_bytes(&p.to_agent)));

    pair_begin(&q);
    q.to_coordinator.data[FRAME_LEN_BYTES + FRAME_HEADER_BYTES] = 7;
    q.to_coordinator.data[FRAME_LEN_BYTES + FRAME_HEADER_BYTES + 1] = 9;
    check(!coordinator_take(&q, buffer_bytes(&q.to_coordinator)));
    check_contains(q.err.text, "node n3 speaks versions 7 to 9");
    check(!agent_take(&q, buffer_bytes(&q.to_agent)));
    check_contains(q.err.text, "no protocol version in common");
}

TEST("an ephemeral key of small order is refused") {
    _cleanup_(pair_end) struct pair p;
    struct session_keys keys;
    struct error err;

    pair_begin(&p);
    memset(p.link.transcript.challenge, 0, CHALLENGE_BYTES);
    check_eq_int(session_keys_derive(&keys, &p.link.transcript, &p.link.random, ROLE_AGENT, &err),
                 -EKEYREJECTED);
}

TEST("A20 a message of ours that is too large fails alone: a service with long arguments ends no agent") {
    _cleanup_(pair_end) struct pair p;
    _cleanup_(buffer_deinit) struct buffer large = {0}, message = {0};
    static const uint8_t block[4096];

    pair_begin(&p);
    require(pair_meet(&p));
    while (large.len <= KEDGE_MESSAGE_BYTES_MAX)
        buffer_append(&large, block, sizeof(block));
    uint64_t sent = p.executor.sent;
    session_seal(&p.executor, MESSAGE_FACTS, buffer_bytes(&large), &p.agent_key, &message);
    check(message.failed);
    check_eq_int(p.executor.sent, sent);
    agent_say(&p, MESSAGE_FACTS, "4.5.0");
    require(pair_deliver(&p));
    check_eq_str(p.last_text, "4.5.0");
}
