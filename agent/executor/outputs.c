/* Why expressions are compiled here and nowhere below: they are signed, and regcomp() has no bound (common/plan/check_gate.c). The
 * node that captures looks at `allowed` as well as the one that takes: what the plan does not allow is a failure where it is
 * made, and not a refusal later, behind a barrier. */
#include "agent/executor/outputs.h"

#include "common/plan/encoding.h"

#include <regex.h>
#include <string.h>

/* Leftmost and longest: if the whole value can match, it does. */
static int allowed_check(const char *value, const char *allowed, struct error *err) {
    regex_t expression;
    regmatch_t whole;
    if (regcomp(&expression, allowed, REG_EXTENDED) != 0)
        return error_set(err, -EINVAL, "what is allowed is no regular expression: %.200s", allowed);
    int r = regexec(&expression, value, 1, &whole, 0);
    regfree(&expression);
    if (r != 0 || whole.rm_so != 0 || value[whole.rm_eo] != 0)
        return error_set(err, -EPERM, "\"%s\" is not what the plan allows, %.200s", value, allowed);
    return 0;
}

/* ---- taking ---- */

int outputs_allowed(const struct verified_order *v, struct error *err) {
    for (size_t i = 0; i < v->n_outputs; i++) {
        int r = allowed_check(v->outputs[i].value, v->outputs[i].use->allowed, err);
        if (r < 0)
            return error_context(err, r, "output %s of %s", v->outputs[i].use->name,
                                 v->outputs[i].use->member);
    }
    return 0;
}

static const char *value_of(const struct verified_order *v, const struct output_use *use) {
    for (size_t i = 0; i < v->n_outputs; i++)
        if (v->outputs[i].use == use)
            return v->outputs[i].value;
    return NULL;
}

int outputs_fill(const struct verified_order *v, const struct command *command, struct arena *arena,
                 struct command *out, struct error *err) {
    struct argument *words = arena_array(arena, command->n_arguments, sizeof(*words));
    if (!words)
        return error_set(err, -ENOMEM, "out of memory");
    *out = *command;
    out->arguments = words;
    for (size_t i = 0; i < command->n_arguments; i++) {
        const struct output_use *use = command->arguments[i].output;
        words[i] = command->arguments[i];
        if (!use)
            continue;
        const char *value = value_of(v, use);
        if (!value)
            return error_set(err, -EPERM,
                             "word %zu of the command is an output that the order does not bring", i + 1);
        words[i] = (struct argument){.text = arena_format(arena, "%s%s%s", use->before ? use->before : "",
                                                          value, use->after ? use->after : "")};
        if (!words[i].text)
            return error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

/* ---- capturing ---- */

static int capture_one(const struct capture *capture, struct bytes said, struct captured *out,
                       struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(2 * 1024 * 1024);
    const char *const *items = NULL;
    size_t n = 0;
    int r = arena ? output_items(capture->match, said, arena, &items, &n) : -ENOMEM;
    if (r < 0)
        return error_errno(err, r, "what the command has put out cannot be searched");
    if (n == 0)
        return error_set(err, -ENOENT, "no line of what the command has put out matches %.200s",
                         capture->match);
    for (size_t i = 1; i < n; i++)
        if (strcmp(items[0], items[i]) != 0)
            return error_set(err, -ENOTUNIQ, "the command has put out \"%.100s\" and \"%.100s\"", items[0],
                             items[i]);
    r = output_value_check(items[0], err);
    if (r == 0)
        r = allowed_check(items[0], capture->allowed, err);
    if (r == 0)
        snprintf(out->value, sizeof(out->value), "%s", items[0]);
    out->capture = capture;
    return r;
}

int outputs_capture(struct outputs *outputs, const struct row *row, struct bytes said, struct error *err) {
    outputs->n = 0;
    for (size_t i = 0; i < row->n_captures && i < ARRAY_LEN(outputs->items); i++) {
        int r = capture_one(&row->captures[i], said, &outputs->items[i], err);
        if (r < 0)
            return error_context(err, r, "output %s is missing", row->captures[i].name);
    }
    outputs->n = row->n_captures;
    return 0;
}

/* ---- signing ---- */

static int sign_one(const struct captured *captured, const struct verified_order *v,
                    const struct key_pair *key, struct buffer *out, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    struct action_output output = {.format = 1,
                                   .cluster = v->header.cluster,
                                   .serial = v->header.serial,
                                   .root = v->header.root,
                                   .member = v->order->member,
                                   .step = v->step->name,
                                   .name = captured->capture->name,
                                   .value = captured->value};
    int r = codec_encode(&action_output_codec, &output, &bytes, err);
    struct signed_blob blob = {.context = TRUST_AGENT_REPORT, .bytes = buffer_bytes(&bytes)};
    if (r == 0)
        r = signed_blob_sign(&blob, key, err);
    if (r == 0)
        signed_blob_encode(out, &blob);
    return r == 0 && out->failed ? error_set(err, -ENOMEM, "out of memory") : r;
}

int outputs_sign(const struct outputs *outputs, const struct verified_order *v, const struct key_pair *key,
                 struct arena *arena, const struct bytes **outp, struct error *err) {
    struct bytes *blobs = arena_array(arena, outputs->n, sizeof(*blobs));
    if (!blobs)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < outputs->n; i++) {
        _cleanup_(buffer_deinit) struct buffer blob = {0};
        int r = sign_one(&outputs->items[i], v, key, &blob, err);
        if (r < 0)
            return r;
        blobs[i] = (struct bytes){arena_copy(arena, blob.data, blob.len), blob.len};
        if (!blobs[i].data)
            return error_set(err, -ENOMEM, "out of memory");
    }
    *outp = blobs;
    return 0;
}
