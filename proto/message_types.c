/* Default deny: a number without a row is NULL, and a row without a bit for a state is refused there. */
#include "proto/message_types.h"

enum {
    NEW = 1 << SESSION_NEW,
    CHALLENGED = 1 << SESSION_CHALLENGED,
    PENDING = 1 << SESSION_PENDING,
    OPEN = 1 << SESSION_OPEN,
    LARGE = KEDGE_MESSAGE_BYTES_MAX,
    SMALL = 4096,
    MIDDLE = 256 * 1024,
};

/* clang-format off: a table is read by its columns */
static const struct message_rule rules[] = {
    /*                         name              from an agent        from the coordinator  min  max */
    [MESSAGE_HELLO] = {"hello", NEW, 0, 164, 164},
    [MESSAGE_CHALLENGE] = {"challenge", 0, NEW, 164, 164},
    [MESSAGE_AUTH] = {"auth", CHALLENGED, 0, 64, 64},
    [MESSAGE_WELCOME] = {"welcome", 0, PENDING, 1, 1},
    [MESSAGE_BYE] = {"bye", PENDING | OPEN, NEW | PENDING | OPEN, 1, 1},
    [MESSAGE_HEARTBEAT] = {"heartbeat", PENDING | OPEN, PENDING | OPEN, 0, SMALL},
    [MESSAGE_CHARTER] = {"charter", 0, OPEN, 1, LARGE},
    [MESSAGE_FACTS] = {"facts", OPEN, 0, 1, LARGE},
    [MESSAGE_PREVIEW] = {"preview", 0, OPEN, 1, LARGE},
    [MESSAGE_PREVIEW_RESULT] = {"preview-result", OPEN, 0, 1, LARGE},
    [MESSAGE_ORDER] = {"order", 0, OPEN, 1, LARGE},
    [MESSAGE_REPORT] = {"report", OPEN, 0, 1, LARGE},
    [MESSAGE_ASK] = {"ask", 0, OPEN, 1, LARGE},
    [MESSAGE_ANSWER] = {"answer", OPEN, 0, 1, LARGE},
    [MESSAGE_LEASE] = {"lease", 0, OPEN, 1, MIDDLE},
    [MESSAGE_WORD] = {"word", 0, OPEN, 1, SMALL},
    [MESSAGE_INQUIRE] = {"inquire", 0, OPEN, 1, SMALL},
    [MESSAGE_LATCH] = {"latch", 0, OPEN, 1, SMALL},
};
/* clang-format on */

const struct message_rule *message_rule_of(unsigned type) {
    if (type >= sizeof(rules) / sizeof(rules[0]) || !rules[type].name)
        return NULL;
    return &rules[type];
}

bool message_is_allowed(unsigned type, enum message_role sender, enum session_state state) {
    const struct message_rule *rule = message_rule_of(type);
    if (!rule)
        return false;
    unsigned states = sender == ROLE_AGENT         ? rule->agent_in
                      : sender == ROLE_COORDINATOR ? rule->coordinator_in
                                                   : 0;
    return state < SESSION_CLOSED && (states & (1u << state));
}

const char *session_state_name(enum session_state state) {
    switch (state) {
    case SESSION_NEW: return "new";
    case SESSION_CHALLENGED: return "challenged";
    case SESSION_PENDING: return "pending";
    case SESSION_OPEN: return "open";
    case SESSION_CLOSED: return "closed";
    }
    return "?";
}

const char *bye_reason_text(unsigned reason) {
    switch (reason) {
    case BYE_ENDING: return "it is ending";
    case BYE_VERSION: return "there is no protocol version in common; bring the older side up to date";
    case BYE_REFUSED: return "this node's key is refused";
    case BYE_REPLACED: return "a newer session of this node took over";
    case BYE_BUSY: return "there are too many connections";
    }
    return "of an unknown reason";
}
