/* The closed table of what may be said on the fleet's line: who may say it, in which state, how large, and whether it is
 * signed as a message. Anything that is not a row, or not allowed now, closes the connection (A26).
 *
 *            agent            coordinator
 *   NEW      HELLO ────────▶
 *                    ◀─────── CHALLENGE (signed)      the receiver of each leaves NEW
 *   CHALLENGED
 *            AUTH (signed) ─▶                         encrypted from here on, every message signed
 *   PENDING          ◀─────── WELCOME pending         the node's key waits for an operator's approval
 *                    ◀─────── WELCOME admitted
 *   OPEN     everything else
 *   CLOSED   nothing
 *
 * To add a message: a row in message_types.c, and one in tests/unit/test_session_types.c, which says it independently. */
#ifndef KEDGE_PROTO_MESSAGE_TYPES_H
#define KEDGE_PROTO_MESSAGE_TYPES_H

#include "common/base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers are on the wire: append only, never reuse. */
enum message_type {
    MESSAGE_HELLO = 1,
    MESSAGE_CHALLENGE = 2,
    MESSAGE_AUTH = 3,
    MESSAGE_WELCOME = 4, /* one byte: enum welcome */
    MESSAGE_BYE = 5,     /* one byte: enum bye_reason; before authentication a hint only, nobody signed it */
    MESSAGE_HEARTBEAT = 6,
    MESSAGE_CHARTER = 16,
    MESSAGE_FACTS = 17,
    MESSAGE_PREVIEW = 18,
    MESSAGE_PREVIEW_RESULT = 19,
    MESSAGE_ORDER = 20,
    MESSAGE_REPORT = 21,
    MESSAGE_ASK = 22,
    MESSAGE_ANSWER = 23,
    MESSAGE_LEASE = 24,
    MESSAGE_WORD =
        25, /* an operator's signed word (common/plan/word.h), passed on: the blob as it was signed */
    MESSAGE_INQUIRE = 26, /* answered by FACTS */
    MESSAGE_LATCH = 27,   /* an abort; it only reduces, so the coordinator's word is enough */
};

enum message_role { ROLE_AGENT = 1, ROLE_COORDINATOR = 2 };

enum session_state {
    SESSION_NEW,        /* connected, nobody has shown who he is */
    SESSION_CHALLENGED, /* the coordinator has shown it, the agent not yet */
    SESSION_PENDING,    /* both have; the agent is not admitted yet */
    SESSION_OPEN,
    SESSION_CLOSED,
};

enum welcome { WELCOME_PENDING = 0, WELCOME_ADMITTED = 1 };

/* What a peer is told, in words of the receiver: a closed set, no text ever comes from a peer. */
enum bye_reason {
    BYE_ENDING = 0,   /* the program ends, come back */
    BYE_VERSION = 1,  /* no protocol version in common */
    BYE_REFUSED = 2,  /* this key is not admitted */
    BYE_REPLACED = 3, /* a newer session of the same node took over */
    BYE_BUSY = 4,     /* too many connections */
};

struct message_rule {
    const char *name;              /* the word in signatures and logs: "report" */
    uint8_t agent_in;              /* states (as bits) in which the coordinator accepts it from an agent */
    uint8_t coordinator_in;        /* states in which an agent accepts it from the coordinator */
    uint32_t bytes_min, bytes_max; /* of the bytes, without signer and signature */
};

/* NULL for a number that is not a type. */
const struct message_rule *message_rule_of(unsigned type);

/* True if a receiver in `state` accepts this type from a peer of this role. */
bool message_is_allowed(unsigned type, enum message_role sender, enum session_state state);

const char *session_state_name(enum session_state state);
const char *bye_reason_text(unsigned reason);

#endif
