/* Everything that arrives here is signed by its node; what it says is still judged: a message that does not decode ends the
 * session, an answer that nobody asked this node for is passed over with a line in the log. No node speaks for another
 * (A17): the name that callbacks get is the session's, never one from a message. */
#include "coordinator/fleet/internal.h"

#include "common/base/log.h"
#include "common/nng/nng_transport.h"

#include <string.h>

/* ---- saying ---- */

int fleet_say(struct fleet *fleet, const char *node, enum message_type type,
              const struct codec_message *codec, const void *message) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    struct error err;
    const struct fleet_node *to = node_find(fleet, node);
    if (!to || to->state != NODE_OPEN)
        return -ENOTCONN;
    int r = codec_encode(codec, message, &bytes, &err);
    if (r == 0 && bytes.failed)
        r = error_errno(&err, -ENOMEM, "message");
    if (r < 0)
        log_error("fleet", "to %s: %s", node, err.text);
    return r == 0 ? session_server_send(fleet->server, to->session, type, buffer_bytes(&bytes)) : r;
}

int fleet_send_order(struct fleet *fleet, const char *node, const struct order_message *order) {
    return fleet_say(fleet, node, MESSAGE_ORDER, &order_message_codec, order);
}

int fleet_send_charter(struct fleet *fleet, const char *node, const struct charter_message *charter) {
    return fleet_say(fleet, node, MESSAGE_CHARTER, &charter_message_codec, charter);
}

int fleet_send_lease(struct fleet *fleet, const char *node, const struct lease_message *lease) {
    return fleet_say(fleet, node, MESSAGE_LEASE, &lease_message_codec, lease);
}

int fleet_send_latch(struct fleet *fleet, const char *node, const struct latch *latch) {
    return fleet_say(fleet, node, MESSAGE_LATCH, &latch_codec, latch);
}

int fleet_send_word(struct fleet *fleet, const char *node, struct bytes word) {
    const struct fleet_node *to = fleet_node(fleet, node);
    if (!to || to->state != NODE_OPEN)
        return -ENOTCONN;
    return session_server_send(fleet->server, to->session, MESSAGE_WORD, word);
}

/* ---- hearing ---- */

static void heartbeat_take(struct fleet *fleet, struct fleet_node *node, const struct heartbeat *heartbeat) {
    int64_t skew = (int64_t)heartbeat->clock_ms - (int64_t)fleet->now_ms;
    bool was_off = llabs(node->clock_skew_ms) > FLEET_SKEW_WARN_MS;
    if (llabs(skew) > FLEET_SKEW_WARN_MS && !was_off)
        log_warning("node",
                    "%s: its clock is %lld s %s this one; orders may seem expired to it: set the clock",
                    node->name, (long long)(llabs(skew) / 1000), skew < 0 ? "behind" : "ahead of");
    node->clock_skew_ms = skew;
    node->heard_ms = fleet->now_ms;
    node->epoch = heartbeat->epoch;
    snprintf(node->version, sizeof(node->version), "%s", heartbeat->version);
    fleet->callbacks.heartbeat(fleet->callbacks.user, node->name, heartbeat);
}

static void answer_take(struct fleet *fleet, const struct fleet_node *node, enum message_type type,
                        const struct fleet_reply *reply) {
    if (!request_answer(fleet, node->name, type, *reply))
        log_info("fleet", "%s: %s %llu answers nothing that waits", node->name, message_rule_of(type)->name,
                 (unsigned long long)reply->id);
}

static void facts_take(struct fleet *fleet, const struct fleet_node *node,
                       const struct facts_message *facts) {
    fleet->callbacks.facts(fleet->callbacks.user, node->name, facts);
    if (facts->id != 0)
        answer_take(fleet, node, MESSAGE_FACTS, &(struct fleet_reply){.id = facts->id, .facts = facts});
}

/* NULL for a type that no agent may send to this room. */
static const struct codec_message *codec_of(enum message_type type) {
    switch (type) {
    case MESSAGE_HEARTBEAT: return &heartbeat_codec;
    case MESSAGE_FACTS: return &facts_message_codec;
    case MESSAGE_PREVIEW_RESULT: return &preview_result_codec;
    case MESSAGE_REPORT: return &report_codec;
    case MESSAGE_ANSWER: return &answer_message_codec;
    case MESSAGE_HELLO:
    case MESSAGE_CHALLENGE:
    case MESSAGE_AUTH:
    case MESSAGE_WELCOME:
    case MESSAGE_BYE:
    case MESSAGE_CHARTER:
    case MESSAGE_PREVIEW:
    case MESSAGE_ORDER:
    case MESSAGE_ASK:
    case MESSAGE_LEASE:
    case MESSAGE_WORD:
    case MESSAGE_INQUIRE:
    case MESSAGE_LATCH: return NULL;
    }
    return NULL;
}

static void decoded_take(struct fleet *fleet, struct fleet_node *node, const struct verified_message *message,
                         const void *decoded) {
    if (message->type == MESSAGE_HEARTBEAT) {
        heartbeat_take(fleet, node, decoded);
    } else if (message->type == MESSAGE_REPORT) {
        fleet->callbacks.report(fleet->callbacks.user, node->name, decoded, message->bytes);
    } else if (message->type == MESSAGE_FACTS) {
        facts_take(fleet, node, decoded);
    } else if (message->type == MESSAGE_ANSWER) {
        const struct answer_message *answer = decoded;
        answer_take(fleet, node, message->type, &(struct fleet_reply){.id = answer->id, .answer = answer});
    } else if (message->type == MESSAGE_PREVIEW_RESULT) {
        const struct preview_result *preview = decoded;
        answer_take(fleet, node, message->type, &(struct fleet_reply){.id = preview->id, .preview = preview});
    }
}

/* ---- the sessions' callbacks ---- */

static void session_message(void *user, struct session_handle session, const struct peer *peer,
                            const struct verified_message *message) {
    struct fleet *fleet = user;
    struct fleet_node *node = node_find(fleet, peer->node);
    const struct codec_message *codec = codec_of(message->type);
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    struct error err;
    void *decoded;
    if (!node || node->session.id != session.id)
        return; /* an older session of the node that is being closed */
    if (message->type == MESSAGE_HEARTBEAT && message->bytes.len == 0)
        return; /* the link's, before its executor has said anything */
    int r = codec && arena ? codec_decode(codec, message->bytes, arena, &decoded, &err)
                           : error_set(&err, -EBADMSG, "%s", codec ? "out of memory" : "not an agent's word");
    if (r < 0) {
        log_warning("fleet", "%s: %s: session closed", node->name, err.text);
        session_server_close(fleet->server, session, BYE_REFUSED);
        return;
    }
    decoded_take(fleet, node, message, decoded);
}

static void session_opened(void *user, struct session_handle session, const struct peer *peer) {
    struct fleet *fleet = user;
    struct fleet_node *node = node_find(fleet, peer->node);
    if (!node) { /* the approval was for another name with the same key */
        session_server_close(fleet->server, session, BYE_REFUSED);
        return;
    }
    if (node->state == NODE_OPEN)
        requests_of_node_fail(fleet, node->name, "the node came with a new session");
    node->session = session;
    node_address_set(node, peer->address);
    node_state_set(fleet, node, NODE_OPEN);
    fleet->callbacks.up(fleet->callbacks.user, node->name);
}

static void session_closed(void *user, struct session_handle session, const struct peer *peer,
                           const char *reason) {
    struct fleet *fleet = user;
    struct fleet_node *node = node_find(fleet, peer->node);
    if (!node || node->session.id != session.id || node->state != NODE_OPEN)
        return; /* it was replaced */
    node_state_set(fleet, node, NODE_LOST);
    requests_of_node_fail(fleet, node->name, "the node's connection ended");
    fleet->callbacks.down(fleet->callbacks.user, node->name, reason);
}

/* ---- turning ---- */

void fleet_turn(struct fleet *fleet, uint64_t now_ms) {
    fleet->now_ms = now_ms;
    session_server_turn(fleet->server, now_ms);
    requests_turn(fleet);
}

uint64_t fleet_deadline(struct fleet *fleet) {
    uint64_t sessions = session_server_deadline(fleet->server), requests = requests_deadline(fleet);
    return sessions < requests ? sessions : requests;
}

int fleet_fd(struct fleet *fleet) {
    return session_server_fd(fleet->server);
}

int fleet_port(struct fleet *fleet) {
    return session_server_port(fleet->server);
}

int fleet_new(struct fleet **outp, const struct fleet_config *config, struct error *err) {
    _cleanup_(fleet_freep) struct fleet *fleet = calloc(1, sizeof(*fleet));
    struct session_server_config sessions = {
        .address = config->address,
        .key = config->key,
        .max_sessions = config->max_sessions,
        .callbacks = {fleet, node_judge, session_opened, session_message, session_closed},
    };
    if (!fleet || !(fleet->pending = calloc(FLEET_PENDING_MAX, sizeof(fleet->pending[0]))))
        return error_errno(err, -ENOMEM, "fleet");
    fleet->callbacks = config->callbacks;
    fleet->next_timeout_ms = UINT64_MAX;
    int r = nng_transport_new(&sessions.transport, config->max_sessions + UNPROVEN_MAX, err);
    if (r == 0)
        r = session_server_new(&fleet->server, &sessions, err);
    if (r < 0)
        return error_context(err, r, "listening for agents");
    *outp = TAKE(fleet);
    return 0;
}

struct fleet *fleet_free(struct fleet *fleet) {
    if (!fleet)
        return NULL;
    session_server_free(fleet->server);
    requests_deinit(fleet);
    nodes_deinit(fleet);
    free(fleet);
    return NULL;
}
