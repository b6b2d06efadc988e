/* One request, one connection: nothing to keep in step, and a CLI that is interrupted leaves nothing behind. */
#include "coordinator/cli/client.h"
#include "coordinator/control/control.h"

void reply_deinit(struct reply *reply) {
    json_decref(reply->json);
    arena_free(reply->arena);
    *reply = (struct reply){0};
}

void call_argument(struct call *call, const char *name, const char *value) {
    if (value && call->n_arguments < CLI_WORDS_MAX)
        call->arguments[call->n_arguments++] = (struct fact){name, value};
}

/* ---- the line ---- */

static int line_send(struct cli *cli, int fd, const struct call *call) {
    struct control_request request = {.verb = call->verb,
                                      .arguments = call->arguments,
                                      .n_arguments = call->n_arguments,
                                      .blobs = call->blobs,
                                      .n_blobs = call->n_blobs};
    return control_send(fd, &request, cli->err);
}

static int line_receive(struct cli *cli, int fd, struct reply *reply, bool *morep) {
    reply->arena = arena_new(CONTROL_ARENA_BYTES_MAX);
    if (!reply->arena)
        return error_set(cli->err, -ENOMEM, "out of memory");
    const struct control_reply *raw;
    int r = control_receive(fd, reply->arena, &raw, cli->err);
    if (r < 0)
        return r;
    reply->exit_code = (int)raw->exit_code;
    reply->text = raw->text ? raw->text : "";
    reply->blobs = raw->blobs;
    reply->n_blobs = raw->n_blobs;
    *morep = raw->more;
    json_error_t problem;
    reply->json = raw->json && *raw->json ? json_loads(raw->json, 0, &problem) : json_object();
    if (!reply->json)
        return error_set(cli->err, -EBADMSG, "kedged's reply is not JSON: %s", problem.text);
    return 0;
}

bool client_is_gone(int result) {
    return result == -ECONNREFUSED || result == -EPIPE || result == -ECONNRESET || result == -EAGAIN;
}

/* ---- cleaning ---- */

static int json_clean(json_t *value) {
    if (json_is_string(value)) {
        _cleanup_(freep) char *clean = text_clean(json_string_value(value), true);
        return clean ? json_string_set(value, clean) : -1;
    }
    void *next;
    const char *key;
    json_t *item;
    size_t i;
    int r = 0;
    if (json_is_array(value)) {
        json_array_foreach(value, i, item) r = r < 0 ? r : json_clean(item);
    } else if (json_is_object(value)) {
        json_object_foreach_safe(value, next, key, item) r = r < 0 ? r : json_clean(item);
    }
    return r;
}

static int reply_clean(struct cli *cli, struct reply *reply) {
    _cleanup_(freep) char *clean = text_clean(reply->text, true);
    char *kept = clean ? arena_text(reply->arena, clean) : NULL;
    if (!kept || json_clean(reply->json) < 0)
        return error_set(cli->err, -ENOMEM, "out of memory");
    reply->text = kept;
    return 0;
}

static int reply_judge(struct cli *cli, const struct reply *reply) {
    if (reply->exit_code == EXIT_DONE || reply->exit_code == EXIT_UNFINISHED)
        return 0;
    error_set(cli->err, -EIO, "%s", *reply->text ? reply->text : "kedged gave no reason");
    return reply->exit_code > EXIT_UNFINISHED ? EXIT_FAILED : reply->exit_code;
}

static int reply_take(struct cli *cli, int fd, struct reply *reply, bool *morep) {
    int r = line_receive(cli, fd, reply, morep);
    if (r == 0)
        r = reply_clean(cli, reply);
    return r == 0 ? reply_judge(cli, reply) : r;
}

/* A socket that is not there means the same as one that nobody answers: not bad input, but a kedged that does not run. */
static int line_open(struct cli *cli) {
    int fd = control_connect(cli->socket, cli->err);
    return fd == -ENOENT ? -ECONNREFUSED : fd;
}

int client_call(struct cli *cli, const struct call *call, struct reply *reply) {
    bool more = false;
    _cleanup_(closep) int fd = line_open(cli);
    int r = fd < 0 ? fd : line_send(cli, fd, call);
    return r < 0 ? r : reply_take(cli, fd, reply, &more);
}

int client_watch(struct cli *cli, const struct call *call, client_each *each, void *argument) {
    bool more = true;
    _cleanup_(closep) int fd = line_open(cli);
    int r = fd < 0 ? fd : line_send(cli, fd, call);
    while (r == 0 && more) {
        _cleanup_(reply_deinit) struct reply reply = {0};
        r = reply_take(cli, fd, &reply, &more);
        if (r == 0)
            r = each(cli, &reply, argument);
    }
    return r;
}

/* ---- taking JSON apart ---- */

const char *json_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

int64_t json_number(const json_t *object, const char *key) {
    return (int64_t)json_number_value(json_object_get(object, key));
}

bool json_yes(const json_t *object, const char *key) {
    return json_is_true(json_object_get(object, key));
}

bool json_has(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value);
}

const json_t *json_list(const json_t *object, const char *key) {
    return json_object_get(object, key); /* jansson takes NULL for an empty array */
}

const char *json_joined(struct cli *cli, const json_t *object, const char *key) {
    _cleanup_(buffer_deinit) struct buffer out = {0};
    const json_t *list = json_list(object, key);
    for (size_t i = 0; i < json_array_size(list); i++)
        buffer_format(&out, "%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
    const char *text = out.failed || !out.data ? NULL : arena_text(cli->arena, (const char *)out.data);
    return text ? text : "";
}

int json_print(const json_t *json) {
    int r = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    fputc('\n', stdout);
    return r < 0 ? EXIT_FAILED : EXIT_DONE;
}
