/* What actions put out, in the model: real documents with real signatures, since whether they are believed is what is tried. The
 * model has not the nodes' keys, so the plan that is played names keys of the model's own, made from the nodes' names. A lying
 * coordinator signs with another node's, or hands on what was meant for something else. */
#include "coordinator/rehearsal/internal.h"

#include "common/plan/encoding.h"
#include "common/trust/keys.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUTS_ARENA_BYTES = 8 * 1024 * 1024, SCRATCH_BYTES = 64 * 1024 };

struct put_out {
    const char *member, *step, *name, *value;
    uint64_t serial;
    struct put_out *next;
};

static void *must(void *pointer) {
    if (!pointer)
        abort();
    return pointer;
}

static struct key_pair key_of(const char *node) {
    struct key_pair key = {0};
    struct digest seed = digest_of(bytes_of_text(node));
    _Static_assert(sizeof(seed.b) == crypto_sign_SEEDBYTES, "a digest is a seed");
    if (crypto_sign_seed_keypair(key.public.b, key.secret.b, seed.b) != 0)
        abort();
    return key;
}

/* ---- plans ---- */

static bool has_outputs(const struct step *step) {
    for (size_t i = 0; i < step->n_rows; i++)
        if (step->rows[i].n_captures > 0)
            return true;
    return step_output_next(step, NULL) != NULL;
}

static struct argument word_rekey(struct arena *arena, struct argument word) {
    if (!word.output)
        return word;
    struct output_use *use = must(arena_copy(arena, word.output, sizeof(*use)));
    const char *node = strrchr(use->member, '@');
    use->key = key_of(node ? node + 1 : use->member).public;
    word.output = use;
    return word;
}

static struct row row_rekey(struct arena *arena, struct row row) {
    if (!row.command)
        return row;
    struct command *command = must(arena_copy(arena, row.command, sizeof(*command)));
    struct argument *words = must(arena_array(arena, command->n_arguments + 1, sizeof(*words)));
    for (size_t i = 0; i < command->n_arguments; i++)
        words[i] = word_rekey(arena, command->arguments[i]);
    command->arguments = words;
    row.command = command;
    return row;
}

const struct work_order *outputs_rekey(struct arena *arena, const struct work_order *from) {
    struct work_order *order = must(arena_copy(arena, from, sizeof(*order)));
    struct step *steps = must(arena_array(arena, from->n_steps + 1, sizeof(*steps)));
    bool any = false;
    for (size_t i = 0; i < from->n_steps; i++) {
        steps[i] = from->steps[i];
        if (!has_outputs(&steps[i]))
            continue;
        struct row *rows = must(arena_array(arena, steps[i].n_rows, sizeof(*rows)));
        for (size_t k = 0; k < steps[i].n_rows; k++)
            rows[k] = row_rekey(arena, steps[i].rows[k]);
        steps[i].rows = rows;
        any = true;
    }
    order->steps = steps;
    order->node_key = key_of(from->node).public;
    return any ? order : from;
}

/* ---- what is put out ---- */

static struct arena *outputs_arena(struct world *w) {
    if (!w->outputs)
        w->outputs = must(arena_new(OUTPUTS_ARENA_BYTES));
    return w->outputs;
}

static struct bytes signed_output(struct world *w, const struct action_output *output, const char *node) {
    struct error err;
    _cleanup_(buffer_deinit) struct buffer bytes = {0}, file = {0};
    struct key_pair key = key_of(node);
    if (codec_encode(&action_output_codec, output, &bytes, &err) < 0)
        abort();
    struct signed_blob blob = {.context = TRUST_AGENT_REPORT, .bytes = buffer_bytes(&bytes)};
    if (signed_blob_sign(&blob, &key, &err) < 0)
        abort();
    signed_blob_encode(&file, &blob);
    return (struct bytes){must(arena_copy(outputs_arena(w), file.data, file.len)), file.len};
}

static struct bytes put_out(struct world *w, const struct member *m, uint64_t serial, const char *step,
                            const char *name) {
    struct put_out *o = must(arena_alloc(outputs_arena(w), sizeof(*o)));
    *o = (struct put_out){.member = m->order->member,
                          .step = step,
                          .name = name,
                          .serial = serial,
                          .value = must(arena_format(outputs_arena(w), "/put-out/%u", ++w->n_put_out)),
                          .next = w->put_out};
    w->put_out = o;
    const struct header *header = &plan_of(m->cluster, serial)->header;
    struct action_output output = {.format = 1,
                                   .cluster = header->cluster,
                                   .serial = serial,
                                   .root = header->root,
                                   .member = o->member,
                                   .step = step,
                                   .name = name,
                                   .value = o->value};
    return signed_output(w, &output, m->order->node);
}

void outputs_make(struct world *w, const struct member *m, const struct step *step,
                  struct kept_outcome *kept) {
    const struct row *row = step_find_row(step, PRIMITIVE_RUN);
    kept->n_outputs = 0;
    if (kept->outcome != OUTCOME_DONE || !row || row->n_captures == 0)
        return;
    struct bytes *blobs = must(arena_array(outputs_arena(w), row->n_captures, sizeof(*blobs)));
    for (size_t i = 0; i < row->n_captures; i++)
        blobs[i] = put_out(w, m, kept->serial, step->name, row->captures[i].name);
    kept->outputs = blobs;
    kept->n_outputs = agent_lies(w, m) && world_random(w, FAULT_LIE) % 2 ? 0 : row->n_captures;
}

/* ---- the coordinator's line ---- */

/* Its own invention: what it may sign with is a key that it has stolen elsewhere, and what it may hand on is of elsewhere. */
static struct bytes forged(struct world *w, const struct member *m, uint64_t serial,
                           const struct output_use *use) {
    bool thief = world_random(w, FAULT_LIE) % 2;
    const char *node = strrchr(use->member, '@');
    const struct header *header = &plan_of(m->cluster, serial)->header;
    struct action_output output = {.format = 1,
                                   .cluster = header->cluster,
                                   .serial = thief ? serial : serial + 1,
                                   .root = header->root,
                                   .member = use->member,
                                   .step = use->step,
                                   .name = use->name,
                                   .value = "/forged"};
    return signed_output(w, &output, thief || !node ? "stolen" : node + 1);
}

void outputs_send(struct world *w, const struct member *m, const struct action *a, struct message *message) {
    const struct output_use *use = step_output_next(step_at(m, message->step), NULL);
    if (!use)
        return;
    struct bytes *blobs = must(arena_array(outputs_arena(w), a->n_outputs + 1, sizeof(*blobs)));
    for (size_t i = 0; i < a->n_outputs; i++)
        blobs[i] = (struct bytes){must(arena_copy(outputs_arena(w), a->outputs[i].data, a->outputs[i].len)),
                                  a->outputs[i].len};
    message->outputs = blobs;
    message->n_outputs = a->n_outputs;
    if (message->n_outputs == 0 || !world_chance(w, FAULT_LIE, 3))
        return;
    blobs[0] = forged(w, m, message->serial, use);
    world_say(w, "lie      the coordinator brings %s an output of its own", m->order->member);
}

/* ---- the agent's door ---- */

static bool was_put_out(const struct world *w, uint64_t serial, const struct output_value *value) {
    for (const struct put_out *o = w->put_out; o; o = o->next)
        if (o->serial == serial && strcmp(o->member, value->use->member) == 0 &&
            strcmp(o->step, value->use->step) == 0 && strcmp(o->name, value->use->name) == 0 &&
            strcmp(o->value, value->value) == 0)
            return true;
    return false;
}

bool outputs_believed(struct world *w, const struct member *m, const struct message *message,
                      struct error *err) {
    const struct step *step = step_at(m, message->step);
    if (!step_output_next(step, NULL))
        return true;
    _cleanup_(arena_freep) struct arena *arena = must(arena_new(SCRATCH_BYTES));
    const struct output_value *values = NULL;
    size_t n = 0;
    if (outputs_open(message->outputs, message->n_outputs, &plan_of(m->cluster, message->serial)->header,
                     step, arena, &values, &n, err) < 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!was_put_out(w, message->serial, &values[i]))
            world_fail(w, "A14: %s takes %s for output %s of %s, which never put that out", m->order->member,
                       values[i].value, values[i].use->name, values[i].use->member);
    return true;
}

/* ---- what the engine makes of it ---- */

static bool is_known(const struct run *run, uint32_t member, const char *step, const char *name) {
    for (size_t i = 0; i < run->n_outputs; i++)
        if (run->outputs[i].member == member && strcmp(run->outputs[i].step, step) == 0 &&
            strcmp(run->outputs[i].name, name) == 0)
            return true;
    return false;
}

void outputs_owed(struct world *w, const struct member *m, const struct message *message) {
    const struct run *run = coordinator_run_of(w, m->cluster);
    const struct step *step = step_at(m, message->step);
    const struct row *row = step_find_row(step, PRIMITIVE_RUN);
    if (!run || run->plan->header.serial != message->serial || !row)
        return;
    for (size_t i = 0; i < run->plan->shape.n_waves; i++) {
        const struct wave *wave = &run->plan->shape.waves[i];
        bool acted = false;
        for (size_t k = 0; run->acted[i] && strcmp(wave->name, step->name) == 0 && k < wave->n_members; k++)
            acted = acted || (wave->members[k] == m->number && run->acted[i][k]);
        for (size_t k = 0; acted && k < row->n_captures; k++)
            if (!is_known(run, m->number, step->name, row->captures[k].name))
                world_fail(w, "9: %s is taken for done with %s, and nobody knows the %s that it puts out",
                           m->order->member, step->name, row->captures[k].name);
    }
}
