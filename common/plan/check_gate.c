/* Why a gate without a question is refused: it would be answered yes for ever. Regular expressions are not compiled here:
 * regcomp() has no bound in time or memory; they come signed, and whoever compiles one does it in the prober. */
#include "common/plan/check.h"
#include "common/plan/check_parts.h"
#include "common/plan/encoding.h"

#include <string.h>

/* ---- words and commands ---- */

static bool is_word(const struct argument *argument) {
    return (argument->text != NULL) + argument->has_found + (argument->output != NULL) == 1;
}

int no_output_check(const struct argument *arguments, size_t n, struct error *err) {
    for (size_t i = 0; i < n; i++)
        if (arguments[i].output)
            return error_set(err, -EBADMSG,
                             "argument %zu is the output of an action, which only a later action can take",
                             i + 1);
    return 0;
}

int arguments_check(const struct argument *arguments, size_t n, struct error *err) {
    for (size_t i = 0; i < n; i++)
        if (!is_word(&arguments[i]))
            return error_set(err, -EBADMSG, "argument %zu is neither a text nor a found one nor an output",
                             i + 1);
    if (n > 0 && arguments[0].output)
        return error_set(err, -EBADMSG, "its program would be the output of an action");
    if (n > 0 && arguments[0].text && arguments[0].text[0] != '/')
        return error_set(err, -EBADMSG, "it would run \"%s\", expected an absolute path", arguments[0].text);
    return 0;
}

int command_check(const struct command *command, struct error *err) {
    if (!command || command->n_arguments == 0)
        return error_set(err, -EBADMSG, "it has no command");
    for (size_t i = 0; i < command->n_environment; i++) {
        const char *equals = strchr(command->environment[i], '=');
        if (!equals || equals == command->environment[i])
            return error_set(err, -EBADMSG, "\"%s\" is not NAME=value", command->environment[i]);
    }
    return arguments_check(command->arguments, command->n_arguments, err);
}

/* ---- gates ---- */

static int probe_check(const struct probe *probe, struct error *err) {
    if (probe->kind == PROBE_COMMAND || probe->kind == PROBE_COMMAND_EXIT) {
        int r = command_check(probe->command, err);
        return r == 0 ? no_output_check(probe->command->arguments, probe->command->n_arguments, err) : r;
    }
    if (probe->command)
        return error_set(err, -EBADMSG, "it has a command and asks by other means");
    if (!probe->target && probe->kind != PROBE_LOG)
        return error_set(err, -EBADMSG, "it has nobody to ask");
    return 0;
}

int condition_check(const struct check *check, struct error *err) {
    return probe_check(&check->probe, err);
}

static int sample_check(const struct sample *sample, struct error *err) {
    int r = probe_check(&sample->source, err);
    if (r < 0)
        return error_context(err, r, "sample");
    if (sample->limit == 0 || sample->per_object == 0 || sample->minimum > sample->limit)
        return error_set(err, -EBADMSG, "its sample keeps %u to %u objects with %u entries each",
                         sample->minimum, sample->limit, sample->per_object);
    return 0;
}

static int gate_check(const struct gate *gate, struct error *err) {
    int r = 0;
    if (gate->n_checks == 0 && !gate->sample)
        r = error_set(err, -EBADMSG, "it asks nothing");
    for (size_t i = 0; r == 0 && i < gate->n_checks; i++)
        r = condition_check(&gate->checks[i], err);
    if (r == 0 && gate->sample)
        r = sample_check(gate->sample, err);
    return r < 0 ? error_context(err, r, "gate %s", gate->name) : 0;
}

/* ---- sets ---- */

struct item {
    struct digest digest;
    struct bytes bytes;
};

static int by_digest(const void *a, const void *b) {
    return memcmp(((const struct item *)a)->digest.b, ((const struct item *)b)->digest.b, KEDGE_DIGEST_LEN);
}

static int gate_open(struct arena *arena, const struct item *item, struct gate *out, struct error *err) {
    struct gate *gate;
    int r = codec_decode(&gate_codec, item->bytes, arena, &gate, err);
    if (r == 0)
        r = gate_check(gate, err);
    if (r == 0)
        *out = *gate;
    return r;
}

int gate_set_open(struct gate_set *set, struct arena *arena, const struct bytes *bytes, size_t n,
                  struct error *err) {
    struct item *items = arena_array(arena, n, sizeof(*items));
    struct gate *gates = arena_array(arena, n, sizeof(*gates));
    struct bytes *sorted = arena_array(arena, n, sizeof(*sorted));
    struct digest *digests = arena_array(arena, n, sizeof(*digests));
    bool *named = arena_array(arena, n, sizeof(*named));
    if (!items || !gates || !sorted || !digests || !named)
        return error_set(err, -ENOMEM, "gates: out of memory");
    for (size_t i = 0; i < n; i++)
        items[i] = (struct item){digest_of(bytes[i]), bytes[i]};
    qsort(items, n, sizeof(*items), by_digest);
    for (size_t i = 0; i < n; i++) {
        int r = gate_open(arena, &items[i], &gates[i], err);
        if (r == 0 && i > 0 && by_digest(&items[i - 1], &items[i]) == 0)
            r = error_set(err, -EBADMSG, "gate %s stands twice", gates[i].name);
        if (r < 0)
            return r;
        sorted[i] = items[i].bytes;
        digests[i] = items[i].digest;
    }
    *set = (struct gate_set){gates, sorted, digests, n, named};
    return 0;
}

static int digest_order(const void *a, const void *b) {
    return memcmp(a, b, KEDGE_DIGEST_LEN);
}

const struct gate *gate_set_find(const struct gate_set *set, const struct digest *digest) {
    const struct digest *found =
        set->n > 0 ? bsearch(digest, set->digests, set->n, sizeof(*digest), digest_order) : NULL;
    if (found && set->named)
        set->named[found - set->digests] = true;
    return found ? &set->gates[found - set->digests] : NULL;
}

int gates_known(const struct gate_set *set, const struct digest *wanted, size_t n, const char *what,
                struct error *err) {
    for (size_t i = 0; i < n; i++)
        if (!gate_set_find(set, &wanted[i]))
            return error_set(err, -EBADMSG, "a gate that %s was not sent with it", what);
    return 0;
}
