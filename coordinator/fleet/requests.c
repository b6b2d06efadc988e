/* Exactly one reply each: the answer, or why there is none. What cannot be sent at once fails in the next turn, never inside
 * the call that asks, so that no caller is called back before it knows the id. */
#include "coordinator/fleet/internal.h"

#include <string.h>

static struct request **bucket_of(struct fleet *fleet, uint64_t id) {
    return &fleet->requests[id % REQUEST_BUCKETS];
}

static void request_tell(const struct request *request, struct fleet_reply reply) {
    reply.id = request->id;
    reply.tag = request->asked.tag;
    reply.node = request->asked.node;
    request->asked.reply(request->asked.user, &reply);
}

static void list_free(struct request *list) {
    while (list) {
        struct request *next = list->next;
        free(list);
        list = next;
    }
}

void requests_deinit(struct fleet *fleet) {
    for (size_t i = 0; i < REQUEST_BUCKETS; i++)
        list_free(fleet->requests[i]);
    list_free(fleet->failed);
}

/* ---- asking ---- */

/* Out of memory ends the program: a question that is silently lost would be waited for. */
static struct request *request_new(struct fleet *fleet, const struct fleet_request *asked,
                                   enum message_type expects) {
    struct request *request = calloc(1, sizeof(*request));
    if (!request)
        abort();
    request->id = ++fleet->n_requests_ever;
    request->expects = expects;
    request->asked = *asked;
    return request;
}

static uint64_t request_send(struct fleet *fleet, struct request *request, enum message_type type,
                             const struct codec_message *codec, const void *message) {
    const struct fleet_node *node = node_find(fleet, request->asked.node);
    bool is_sent = node && fleet_say(fleet, node->name, type, codec, message) == 0;
    struct request **list = is_sent ? bucket_of(fleet, request->id) : &fleet->failed;
    if (node)
        request->asked.node = node->name;
    request->next = *list;
    *list = request;
    if (is_sent && request->asked.deadline_ms < fleet->next_timeout_ms)
        fleet->next_timeout_ms = request->asked.deadline_ms;
    return request->id;
}

uint64_t fleet_inquire(struct fleet *fleet, const struct fleet_request *asked, struct inquire inquire) {
    struct request *request = request_new(fleet, asked, MESSAGE_FACTS);
    inquire.id = request->id;
    return request_send(fleet, request, MESSAGE_INQUIRE, &inquire_codec, &inquire);
}

uint64_t fleet_preview(struct fleet *fleet, const struct fleet_request *asked, struct preview preview) {
    struct request *request = request_new(fleet, asked, MESSAGE_PREVIEW_RESULT);
    preview.id = request->id;
    return request_send(fleet, request, MESSAGE_PREVIEW, &preview_codec, &preview);
}

uint64_t fleet_ask(struct fleet *fleet, const struct fleet_request *asked, struct ask ask) {
    struct request *request = request_new(fleet, asked, MESSAGE_ANSWER);
    ask.id = request->id;
    return request_send(fleet, request, MESSAGE_ASK, &ask_codec, &ask);
}

/* ---- answers ---- */

bool request_answer(struct fleet *fleet, const char *node, enum message_type type, struct fleet_reply reply) {
    struct request **at = bucket_of(fleet, reply.id);
    while (*at && (*at)->id != reply.id)
        at = &(*at)->next;
    if (!*at || (*at)->expects != type || strcmp((*at)->asked.node, node) != 0)
        return false;
    _cleanup_(freep) struct request *request = *at;
    *at = request->next;
    request_tell(request, reply);
    return true;
}

/* Moves those that `is` picks out of the table, then tells them: a callback may ask anew. */
typedef bool request_is(const struct request *request, const void *value);

static struct request *requests_pick(struct request **list, request_is *is, const void *value) {
    struct request *picked = NULL;
    while (*list) {
        struct request *request = *list;
        if (is(request, value)) {
            *list = request->next;
            request->next = picked;
            picked = request;
        } else {
            list = &request->next;
        }
    }
    return picked;
}

static void requests_fail(struct request *list, const char *problem) {
    while (list) {
        struct request *next = list->next;
        request_tell(list, (struct fleet_reply){.problem = problem});
        free(list);
        list = next;
    }
}

static bool is_of_node(const struct request *request, const void *node) {
    return strcmp(request->asked.node, node) == 0;
}

void requests_of_node_fail(struct fleet *fleet, const char *node, const char *problem) {
    for (size_t i = 0; i < REQUEST_BUCKETS; i++)
        requests_fail(requests_pick(&fleet->requests[i], is_of_node, node), problem);
}

static bool is_late(const struct request *request, const void *now_ms) {
    return request->asked.deadline_ms <= *(const uint64_t *)now_ms;
}

static void timeout_note(struct fleet *fleet, const struct request *list) {
    for (; list; list = list->next)
        if (list->asked.deadline_ms < fleet->next_timeout_ms)
            fleet->next_timeout_ms = list->asked.deadline_ms;
}

void requests_turn(struct fleet *fleet) {
    requests_fail(TAKE(fleet->failed), "the node is not connected");
    if (fleet->now_ms < fleet->next_timeout_ms)
        return;
    fleet->next_timeout_ms = UINT64_MAX;
    for (size_t i = 0; i < REQUEST_BUCKETS; i++) {
        requests_fail(requests_pick(&fleet->requests[i], is_late, &fleet->now_ms), "no answer in time");
        timeout_note(fleet, fleet->requests[i]);
    }
}

uint64_t requests_deadline(const struct fleet *fleet) {
    return fleet->failed ? 0 : fleet->next_timeout_ms;
}

/* ---- forgetting ---- */

static bool is_of_user(const struct request *request, const void *user) {
    return request->asked.user == user;
}

void fleet_forget(struct fleet *fleet, const void *user) {
    for (size_t i = 0; i < REQUEST_BUCKETS; i++)
        list_free(requests_pick(&fleet->requests[i], is_of_user, user));
    list_free(requests_pick(&fleet->failed, is_of_user, user));
}
