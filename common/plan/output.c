/* Why the signed document names its plan, member and step once more, when the report around it does so already: it is shown to
 * others, apart from its report. Without that a value of an older plan, or of another action, would be as good. */
#include "common/plan/output.h"

#include "common/base/mutant.h"
#include "common/plan/encoding.h"

#include <string.h>

int output_value_check(const char *value, struct error *err) {
    size_t len = strlen(value);
    if (len == 0 || len > KEDGE_OUTPUT_MAX)
        return error_set(err, -EBADMSG, "it has %zu characters, expected 1 to %d", len, KEDGE_OUTPUT_MAX);
    for (size_t i = 0; i < len; i++)
        if (value[i] < 0x20 || value[i] > 0x7e)
            return error_set(err, -EBADMSG, "character %zu of it is not printable ASCII", i + 1);
    if (value[0] == ' ' || value[len - 1] == ' ')
        return error_set(err, -EBADMSG, "it begins or ends with a blank");
    return value[0] == '-' ? error_set(err, -EBADMSG, "it begins with \"-\", as an option would") : 0;
}

static bool is_meant(const struct action_output *output, const struct header *header,
                     const struct output_use *use) {
    return output->serial == header->serial && strcmp(output->cluster, header->cluster) == 0 &&
           digest_equal(&output->root, &header->root) && strcmp(output->member, use->member) == 0 &&
           strcmp(output->step, use->step) == 0 && strcmp(output->name, use->name) == 0;
}

static int open_blob(struct bytes bytes, const struct header *header, const struct output_use *use,
                     struct arena *arena, const char **outp, struct error *err) {
    struct signed_blob blob;
    struct action_output *output;
    int r = signed_blob_decode(&blob, bytes, err);
    if (r == 0)
        r = signed_blob_verify(&blob, TRUST_AGENT_REPORT, &use->key, 1, 1, err);
    if (r == 0)
        r = codec_decode(&action_output_codec, blob.bytes, arena, &output, err);
    if (r < 0)
        return r;
    if (output->format != 1)
        return error_set(err, -EBADMSG, "it has format %u, this program knows 1", output->format);
    if (!is_meant(output, header, use) && !KEDGE_MUTANT(output_of_another))
        return error_set(err, -EPERM, "it is %s of %s of %s in plan %llu", output->name, output->step,
                         output->member, (unsigned long long)output->serial);
    r = output_value_check(output->value, err);
    *outp = output->value;
    return r;
}

int output_open(struct bytes blob, const struct header *header, const struct output_use *use,
                struct arena *arena, const char **outp, struct error *err) {
    int r = open_blob(blob, header, use, arena, outp, err);
    return r < 0 ? error_context(err, r, "output %s of %s of %s", use->name, use->step, use->member) : 0;
}

const struct output_use *step_output_next(const struct step *step, const struct output_use *last) {
    bool past = last == NULL;
    for (size_t i = 0; i < step->n_rows; i++) {
        const struct command *command = step->rows[i].command;
        for (size_t k = 0; command && k < command->n_arguments; k++) {
            const struct output_use *use = command->arguments[k].output;
            if (use && past)
                return use;
            past = past || use == last;
        }
    }
    return NULL;
}

const struct capture *step_capture(const struct step *step, const char *name) {
    for (size_t i = 0; i < step->n_rows; i++)
        for (size_t k = 0; k < step->rows[i].n_captures; k++)
            if (strcmp(step->rows[i].captures[k].name, name) == 0)
                return &step->rows[i].captures[k];
    return NULL;
}

/* Any blob may be the one; why the last was not is said when none is. */
static int value_find(const struct bytes *blobs, size_t n_blobs, const struct header *header,
                      const struct output_use *use, struct arena *arena, const char **outp,
                      struct error *err) {
    int r = error_set(err, -EPERM, "the order does not bring output %s of %s of %s", use->name, use->step,
                      use->member);
    for (size_t i = 0; r < 0 && i < n_blobs; i++)
        r = output_open(blobs[i], header, use, arena, outp, err);
    return r;
}

int outputs_open(const struct bytes *blobs, size_t n_blobs, const struct header *header,
                 const struct step *step, struct arena *arena, const struct output_value **outp,
                 size_t *n_outp, struct error *err) {
    struct output_value *values = arena_array(arena, KEDGE_ARGUMENTS_MAX, sizeof(*values));
    size_t n = 0;
    if (!values)
        return error_set(err, -ENOMEM, "out of memory");
    for (const struct output_use *use = NULL; (use = step_output_next(step, use)) && n < KEDGE_ARGUMENTS_MAX;
         n++) {
        values[n].use = use;
        int r = value_find(blobs, n_blobs, header, use, arena, &values[n].value, err);
        if (r < 0)
            return r;
    }
    *outp = values;
    *n_outp = n;
    return 0;
}
