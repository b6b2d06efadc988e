/* What named actions put out: kept as the signed document that the node made, so that a later order can bring it to another node,
 * which believes its signer and not us. A report of done that lacks one is no report of done: the plan says that it comes with it.
 * Behind a restart they are known from the journal, each as a record with the document in hexadecimal digits. */
#include "coordinator/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(2 * KEDGE_OUTPUT_BYTES_MAX < RECORD_BYTES_MAX / 4, "it fits into a text of a record");

enum { OUTPUT_ARENA_BYTES = 16 * 1024 };

static const struct row *captures_of(const struct run_member *m, const char *name) {
    const struct step *step = work_order_step(m->order, name);
    for (size_t i = 0; step && i < step->n_rows; i++)
        if (step->rows[i].n_captures > 0)
            return &step->rows[i];
    return NULL;
}

/* As an action that takes it would ask for it. */
static int open_output(const struct run *run, const struct run_member *m, const char *step,
                       const struct capture *capture, struct bytes blob, char *value, size_t size,
                       struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = must(arena_new(OUTPUT_ARENA_BYTES));
    struct output_use use = {.member = m->order->member,
                             .key = m->order->node_key,
                             .step = step,
                             .name = capture->name,
                             .allowed = capture->allowed};
    const char *text;
    int r = output_open(blob, &run->plan->header, &use, arena, &text, err);
    if (r == 0)
        snprintf(value, size, "%s", text);
    return r;
}

/* ---- durable ---- */

static struct run_output *output_find(const struct run *run, uint32_t member, const char *step,
                                      const char *name) {
    for (size_t i = 0; i < run->n_outputs; i++) {
        struct run_output *o = &run->outputs[i];
        if (o->member == member && strcmp(o->step, step) == 0 && strcmp(o->name, name) == 0)
            return o;
    }
    return NULL;
}

bool output_fold(struct run *run, const struct record *record) {
    struct run_member *m = &run->members[record->member];
    const struct row *row = captures_of(m, record->name);
    uint8_t blob[KEDGE_OUTPUT_BYTES_MAX];
    size_t len = strlen(record->text) / 2;
    char value[KEDGE_OUTPUT_MAX + 1];
    struct error err;
    if (!row || record->number >= row->n_captures || len > sizeof(blob) ||
        !hex_decode(blob, len, record->text))
        return false;
    const struct capture *capture = &row->captures[record->number];
    struct bytes bytes = {blob, len};
    if (open_output(run, m, record->name, capture, bytes, value, sizeof(value), &err) < 0)
        return false;
    struct run_output *o = output_find(run, record->member, record->name, capture->name);
    if (!o) {
        run->outputs = must(realloc(run->outputs, (run->n_outputs + 1) * sizeof(*run->outputs)));
        o = &run->outputs[run->n_outputs++];
        *o = (struct run_output){.member = record->member,
                                 .step = work_order_step(m->order, record->name)->name,
                                 .name = capture->name};
    }
    text_set(&o->value, value);
    memcpy(o->blob, blob, len);
    o->len = len;
    return true;
}

void outputs_deinit(struct run *run) {
    for (size_t i = 0; i < run->n_outputs; i++)
        free(run->outputs[i].value);
    free(run->outputs);
}

void outputs_dump(const struct run *run, struct buffer *out) {
    for (size_t i = 0; i < run->n_outputs; i++)
        buffer_format(out, "  %s of %u put out %s: %s\n", run->outputs[i].step, run->outputs[i].member,
                      run->outputs[i].name, run->outputs[i].value);
}

const struct run_output *run_output_of(const struct run *run, const struct record *record) {
    const struct row *row = captures_of(&run->members[record->member], record->name);
    return row && record->number < row->n_captures
               ? output_find(run, record->member, record->name, row->captures[record->number].name)
               : NULL;
}

/* ---- deciding ---- */

/* Which of the report's documents is this one; NULL: none. */
static const struct bytes *reported(const struct run *run, const struct run_member *m,
                                    const struct engine_report *report, const struct capture *capture,
                                    struct error *err) {
    char value[KEDGE_OUTPUT_MAX + 1];
    (void)error_set(err, -ENOENT, "its report does not bring it");
    for (size_t i = 0; i < report->n_outputs; i++)
        if (report->outputs[i].len <= KEDGE_OUTPUT_BYTES_MAX &&
            open_output(run, m, report->step, capture, report->outputs[i], value, sizeof(value), err) == 0)
            return &report->outputs[i];
    return NULL;
}

bool outputs_are_missing(const struct run *run, uint32_t member, const struct engine_report *report,
                         char *why, size_t size) {
    const struct run_member *m = &run->members[member];
    const struct row *row = report->outcome == OUTCOME_DONE ? captures_of(m, report->step) : NULL;
    for (size_t i = 0; row && i < row->n_captures && !KEDGE_MUTANT(output_not_awaited); i++) {
        struct error err;
        if (reported(run, m, report, &row->captures[i], &err))
            continue;
        snprintf(why, size, "not believed: done is reported, and output %s is not there: %.300s",
                 row->captures[i].name, err.text);
        return true;
    }
    return false;
}

void outputs_record(struct run *run, uint32_t member, const struct engine_report *report) {
    const struct run_member *m = &run->members[member];
    const struct row *row = report->outcome == OUTCOME_DONE ? captures_of(m, report->step) : NULL;
    for (size_t i = 0; row && i < row->n_captures; i++) {
        struct error err;
        const struct bytes *blob = reported(run, m, report, &row->captures[i], &err);
        char text[2 * KEDGE_OUTPUT_BYTES_MAX + 1];
        if (!blob)
            continue;
        hex_encode(text, blob->data, blob->len);
        commit(run->engine,
               (struct record){.kind = RECORD_OUTPUT,
                               .run = run->id,
                               .member = member,
                               .number = (uint32_t)i,
                               .name = report->step,
                               .text = text},
               NULL);
    }
}

/* What the step's commands take, as far as it is known; its agent refuses the order when something is missing. */
void outputs_bring(const struct run *run, uint32_t member, const char *name, struct action *action) {
    const struct step *step = work_order_step(run->members[member].order, name);
    struct bytes *blobs = NULL;
    size_t n = 0;
    for (const struct output_use *use = NULL; (use = step_output_next(step, use));) {
        uint32_t from = run_member_index(run, use->member);
        const struct run_output *o = from == NO_MEMBER ? NULL : output_find(run, from, use->step, use->name);
        if (!o)
            continue;
        blobs = must(realloc(blobs, (n + 1) * sizeof(*blobs)));
        blobs[n++] = (struct bytes){o->blob, o->len};
    }
    action->outputs = blobs;
    action->n_outputs = n;
}
