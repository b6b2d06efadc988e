/* Two ends of a session without a socket, for the tests of the attacks: a coordinator's line, a link's line and an
 * executor's session, with the bytes of both directions in the test's hands. */
#ifndef KEDGE_TESTS_SESSION_PAIR_H
#define KEDGE_TESTS_SESSION_PAIR_H

#include "proto/agent_line.h"
#include "proto/coordinator_line.h"

#include <sodium.h>
#include <string.h>

struct pair {
    struct key_pair coordinator_key, agent_key;
    struct coordinator_line coordinator;
    struct agent_line link;
    struct session executor;
    struct buffer to_coordinator, to_agent; /* on the wire, not yet delivered */
    uint64_t now_ms;
    /* what came out */
    unsigned n_at_coordinator, n_at_agent;
    struct verified_message last;
    char last_text[64];
    bool proven;
    struct error err;
};

static inline struct handshake_randomness pair_random(void) {
    struct handshake_randomness random;
    randombytes_buf(&random, sizeof(random));
    return random;
}

/* Both ends, keys of their own, nothing said yet but the hello, which lies in to_coordinator. */
static inline void pair_begin_with(struct pair *p, const struct key_pair *coordinator,
                                   const struct key_pair *agent) {
    struct handshake_randomness a = pair_random(), c = pair_random();

    memset(p, 0, sizeof(*p));
    p->coordinator_key = *coordinator;
    p->agent_key = *agent;
    coordinator_line_init(&p->coordinator, &p->coordinator_key, &c);
    struct agent_line_config config = {"n3", p->agent_key.public, p->coordinator_key.public};
    agent_line_start(&p->link, &config, &a, &p->to_coordinator);
}

static inline void pair_begin(struct pair *p) {
    struct key_pair coordinator, agent;

    key_pair_generate(&coordinator);
    key_pair_generate(&agent);
    pair_begin_with(p, &coordinator, &agent);
    key_pair_deinit(&coordinator);
    key_pair_deinit(&agent);
}

static inline void pair_end(struct pair *p) {
    coordinator_line_deinit(&p->coordinator);
    agent_line_deinit(&p->link);
    buffer_deinit(&p->to_coordinator);
    buffer_deinit(&p->to_agent);
    key_pair_deinit(&p->coordinator_key);
    key_pair_deinit(&p->agent_key);
}

static inline void pair_note(struct pair *p, const struct verified_message *message) {
    size_t len =
        message->bytes.len < sizeof(p->last_text) - 1 ? message->bytes.len : sizeof(p->last_text) - 1;

    p->last = *message;
    memcpy(p->last_text, message->bytes.data, len);
    p->last_text[len] = 0;
}

/* Gives bytes to the coordinator; false when it closes the connection. */
static inline bool coordinator_take(struct pair *p, struct bytes bytes) {
    for (;;) {
        struct verified_message message;
        switch (coordinator_line_feed(&p->coordinator, &bytes, p->now_ms, &p->to_agent, &message, &p->err)) {
        case LINE_NOTHING: return true;
        case LINE_REFUSED: return false;
        case LINE_PROVEN: p->proven = true; break;
        case LINE_MESSAGE:
            p->n_at_coordinator++;
            pair_note(p, &message);
            break;
        }
    }
}

/* Link asks the executor to sign; the executor learns the session. */
static inline bool executor_sign(struct pair *p) {
    struct auth_request request = {&p->link.transcript, "n3", &p->agent_key, &p->coordinator_key.public};
    struct signature auth;

    if (auth_sign(&auth, &request, &p->err) < 0 ||
        agent_line_signed(&p->link, &auth, &p->to_coordinator, &p->err) < 0)
        return false;
    struct digest id = session_id_of(&p->link.transcript);
    session_init(&p->executor, ROLE_AGENT, &id, &p->coordinator_key.public, p->now_ms);
    return true;
}

/* Gives bytes to the agent: link, and what link passes on to the executor; false when either closes the connection. */
static inline bool agent_take(struct pair *p, struct bytes bytes) {
    for (;;) {
        struct frame frame;
        struct verified_message message;
        switch (agent_line_feed(&p->link, &bytes, &frame, &p->err)) {
        case AGENT_LINE_NOTHING: return true;
        case AGENT_LINE_REFUSED: return false;
        case AGENT_LINE_SIGN:
            if (!executor_sign(p))
                return false;
            break;
        case AGENT_LINE_FRAME:
            if (session_open(&p->executor, &message, frame.type, frame.seq, frame.message, p->now_ms) !=
                SESSION_ACCEPTED)
                return false;
            p->n_at_agent++;
            pair_note(p, &message);
            break;
        }
    }
}

/* Delivers what lies on the wire, both ways, once. */
static inline bool pair_deliver(struct pair *p) {
    bool ok = coordinator_take(p, buffer_bytes(&p->to_coordinator));
    buffer_clear(&p->to_coordinator);
    ok = agent_take(p, buffer_bytes(&p->to_agent)) && ok;
    buffer_clear(&p->to_agent);
    return ok;
}

static inline void coordinator_say(struct pair *p, enum message_type type, const char *text) {
    coordinator_line_say(&p->coordinator, type, bytes_of_text(text), &p->to_agent);
}

static inline void agent_say(struct pair *p, enum message_type type, const char *text) {
    struct buffer message = {0};

    session_seal(&p->executor, type, bytes_of_text(text), &p->agent_key, &message);
    struct frame frame = {(uint8_t)type, p->executor.sent, buffer_bytes(&message)};
    if (agent_line_send(&p->link, &frame, &p->to_coordinator, &p->err) < 0)
        abort();
    buffer_deinit(&message);
}

static inline void pair_welcome(struct pair *p, uint8_t welcome) {
    coordinator_line_say(&p->coordinator, MESSAGE_WELCOME, (struct bytes){&welcome, 1}, &p->to_agent);
}

/* The whole handshake, up to an open session on both sides. */
static inline bool pair_meet(struct pair *p) {
    if (!pair_deliver(p) || !pair_deliver(p) || !p->proven)
        return false;
    pair_welcome(p, WELCOME_ADMITTED);
    return pair_deliver(p) && p->executor.state == SESSION_OPEN &&
           p->coordinator.session.state == SESSION_OPEN;
}

/* What was delivered so far; for "nothing came of it". */
static inline unsigned pair_n_delivered(const struct pair *p) {
    return p->n_at_coordinator + p->n_at_agent;
}

#endif
