/* Why the order of rows is checked, when an operator signed them: the page that he read says "switch to 2.0", and a step that
 * starts another generation than it swapped in, or that ends without having looked, would report that as done. */
#include "common/plan/check.h"
#include "common/plan/check_parts.h"
#include "common/plan/encoding.h"
#include "common/plan/output.h"

#include <string.h>

int format_check(uint32_t format, const char *what, struct error *err) {
    return format == 1 ? 0 : error_set(err, -EBADMSG, "%s has format %u, this program knows 1", what, format);
}

int member_name_check(const char *member, const char *cluster, struct error *err) {
    size_t len = strlen(cluster);
    if (len == 0 || strncmp(member, cluster, len) != 0 || member[len] != '/')
        return error_set(err, -EBADMSG, "member \"%s\" is not one of cluster %s", member, cluster);
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *name = member + len + 1;
    size_t n = strspn(name, plain), node = name[n] == '@' ? strspn(name + n + 1, plain) : 0;
    if (n == 0 || node == 0 || name[n + 1 + node] != 0 || strspn(cluster, plain) != len)
        return error_set(err, -EBADMSG, "member \"%s\" is not CLUSTER/NAME@NODE of letters, digits and ._-",
                         member);
    return 0;
}

int header_check(const struct header *header, struct error *err) {
    int r = format_check(header->format, "plan header", err);
    if (r == 0 && header->n_leaves < 2)
        r = error_set(err, -EBADMSG, "the plan has no work order");
    if (r == 0 && header->not_after_s < header->not_before_s)
        r = error_set(err, -EBADMSG, "the plan ends before it may begin");
    return r;
}

/* ---- generations ---- */

static int op_check(const struct config_op *op, struct error *err) {
    bool wants = op->kind != CONFIG_REMOVE && op->kind != CONFIG_CARRY;
    if (!op->key[0] || (wants && !op->value))
        return error_set(err, -EBADMSG, "a change of \"%s\" says too little", op->key);
    if (op->value && strchr(op->value, '\n'))
        return error_set(err, -EBADMSG, "the value of \"%s\" has several lines", op->key);
    return 0;
}

static int render_check(const struct render *render, struct error *err) {
    if (strchr(render->name, '/') || release_path_check(render->name, NULL) < 0)
        return error_set(err, -EBADMSG, "configuration name \"%s\" is not a plain name", render->name);
    if (!render->path[0])
        return error_set(err, -EBADMSG, "configuration %s has no path", render->name);
    for (size_t i = 0; i < render->n_ops; i++) {
        int r = op_check(&render->ops[i], err);
        if (r < 0)
            return error_context(err, r, "configuration %s", render->name);
    }
    return 0;
}

static int generation_check(const struct generation *generation, const struct order_frame *frame,
                            struct error *err) {
    struct digest digest;
    int r = generation_digest(generation, &digest, err);
    if (r < 0)
        return r;
    if (!digest_equal(&digest, &generation->digest))
        return error_set(err, -EBADMSG, "it does not match its digest");
    if (generation->has_manifest && !digest_equal(&generation->manifest, &frame->header->manifest))
        return error_set(err, -EBADMSG, "it names another release than the plan");
    if (generation->has_manifest && generation->version &&
        strcmp(generation->version, frame->manifest->version) != 0)
        return error_set(err, -EBADMSG, "it calls release %s %s", frame->manifest->version,
                         generation->version);
    r = arguments_check(generation->arguments, generation->n_arguments, err);
    if (r == 0)
        r = no_output_check(generation->arguments, generation->n_arguments, err);
    return r == 0 && generation->render ? render_check(generation->render, err) : r;
}

/* ---- rows ---- */

static bool interrupts(enum primitive primitive) {
    return primitive == PRIMITIVE_STOP || primitive == PRIMITIVE_SWAP || primitive == PRIMITIVE_START;
}

static int ask_check(const struct row *row, const struct gate_set *gates, struct error *err) {
    bool sampled = false;
    if (row->n_gates == 0)
        return error_set(err, -EBADMSG, "it has no gate");
    int r = gates_known(gates, row->gates, row->n_gates, "it asks", err);
    for (size_t i = 0; r == 0 && i < row->n_gates; i++)
        sampled |= gate_set_find(gates, &row->gates[i])->sample != NULL;
    if (r == 0 && row->sample != SAMPLE_NONE && !sampled)
        r = error_set(err, -EBADMSG, "none of its gates has a sample");
    return r;
}

static int row_check(const struct work_order *order, const struct row *row, const struct gate_set *gates,
                     struct error *err) {
    if (row->generation > order->n_generations)
        return error_set(err, -EBADMSG, "it names generation %u of %zu", row->generation,
                         order->n_generations);
    if (row->primitive == PRIMITIVE_ASK)
        return ask_check(row, gates, err);
    if (row->n_gates > 0)
        return error_set(err, -EBADMSG, "it has gates, which only ask can have");
    if (row->primitive == PRIMITIVE_STOP && row->signal == 0)
        return error_set(err, -EBADMSG, "it has no signal");
    if (row->primitive == PRIMITIVE_RUN) {
        int r = command_check(row->command, err);
        return r == 0 && row->done_if ? condition_check(row->done_if, err) : r;
    }
    return row->command ? error_set(err, -EBADMSG, "it has a command, which only run can have") : 0;
}

/* ---- steps ---- */

/* What is started is what was swapped in, and is looked at before the step ends. */
static int sequence_check(const struct step *step, struct error *err) {
    const struct row *swapped = NULL, *unseen = NULL;
    for (size_t i = 0; i < step->n_rows; i++) {
        const struct row *row = &step->rows[i];
        bool still = step->verb == VERB_PREPARE || step->verb == VERB_ACT || step->verb == VERB_FINALIZE;
        if (interrupts(row->primitive) && still)
            return error_set(err, -EBADMSG, "row %zu: %s interrupts, which %s must not", i + 1,
                             primitive_text(row->primitive), verb_text(step->verb));
        bool moves = row->primitive == PRIMITIVE_SWAP || row->primitive == PRIMITIVE_START;
        if (moves && step->verb == VERB_REVERT && row->generation != 0)
            return error_set(err, -EBADMSG, "row %zu: revert leads to generation %u, expected 0", i + 1,
                             row->generation);
        if (row->primitive == PRIMITIVE_SWAP)
            swapped = row;
        if (row->primitive == PRIMITIVE_START && swapped && swapped->generation != row->generation)
            return error_set(err, -EBADMSG, "row %zu: it starts generation %u where %u was swapped in", i + 1,
                             row->generation, swapped->generation);
        if (row->primitive == PRIMITIVE_START)
            unseen = row;
        if (row->primitive == PRIMITIVE_OBSERVE && unseen && row->generation == unseen->generation)
            unseen = NULL;
    }
    return unseen ? error_set(err, -EBADMSG, "generation %u is started and not observed", unseen->generation)
                  : 0;
}

/* The halves of a downtime: stop ends with a stop that has a hold limit, pass has nothing to do, start does not stop. */
static int halves_check(const struct step *step, struct error *err) {
    size_t n_stops = 0, n_starts = 0;
    if (step->verb == VERB_PASS)
        return step->n_rows == 0 ? 0
                                 : error_set(err, -EBADMSG, "pass has rows; it is a word and does nothing");
    for (size_t i = 0; i < step->n_rows; i++) {
        const struct row *row = &step->rows[i];
        n_stops += row->primitive == PRIMITIVE_STOP;
        n_starts += row->primitive == PRIMITIVE_START || row->primitive == PRIMITIVE_SWAP;
        bool holds = row->primitive == PRIMITIVE_STOP && row->hold_ms > 0;
        if (holds && step->verb != VERB_STOP && step->verb != VERB_BACK)
            return error_set(err, -EBADMSG,
                             "row %zu: a stop with a hold limit belongs to the verbs stop and back", i + 1);
        if (row->primitive == PRIMITIVE_STOP && !holds && step->verb == VERB_BACK)
            return error_set(err, -EBADMSG, "row %zu: a stop on the way back has no hold limit", i + 1);
        if (step->verb == VERB_STOP && holds != (i + 1 == step->n_rows))
            return error_set(err, -EBADMSG, "row %zu: the last row of stop, and no other, has a hold limit",
                             i + 1);
    }
    if (step->verb == VERB_STOP && (n_stops != 1 || n_starts > 0))
        return error_set(err, -EBADMSG, "stop must stop once and start nothing");
    if (step->verb == VERB_BACK && n_starts > 0)
        return error_set(err, -EBADMSG, "back must start nothing; return does");
    if (step->verb == VERB_START && (n_stops > 0 || n_starts == 0))
        return error_set(err, -EBADMSG, "start must start and not stop");
    return 0;
}

static bool is_named_action(const struct work_order *order, const struct step *step) {
    return (step->verb == VERB_ACT || step->verb == VERB_BACK) && work_order_is_downtime(order);
}

/* Only a named action of a downtime puts something out, or takes what another one has put out, of this cluster. */
static int outputs_check(const struct work_order *order, const struct step *step, struct error *err) {
    for (size_t i = 0; i < step->n_rows; i++) {
        const struct row *row = &step->rows[i];
        for (size_t k = 0; k < row->n_captures; k++)
            if (step_capture(step, row->captures[k].name) != &row->captures[k])
                return error_set(err, -EBADMSG, "it captures %s twice", row->captures[k].name);
        if (row->n_captures > 0 && (row->primitive != PRIMITIVE_RUN || !is_named_action(order, step)))
            return error_set(err, -EBADMSG, "row %zu captures something and is no action of a downtime",
                             i + 1);
    }
    for (const struct output_use *use = NULL; (use = step_output_next(step, use));) {
        if (!is_named_action(order, step))
            return error_set(err, -EBADMSG, "it takes the output of an action and is none of a downtime");
        int r = member_name_check(use->member, order->cluster, err);
        if (r < 0)
            return error_context(err, r, "output %s", use->name);
    }
    return 0;
}

static int step_check(const struct work_order *order, const struct step *step, const struct gate_set *gates,
                      struct error *err) {
    bool empty = step->n_rows == 0 && step->verb != VERB_PASS;
    int r = empty ? error_set(err, -EBADMSG, "it has no rows") : halves_check(step, err);
    for (size_t i = 0; r == 0 && i < step->n_rows; i++) {
        r = row_check(order, &step->rows[i], gates, err);
        if (r < 0)
            (void)error_context(err, r, "row %zu: %s", i + 1, primitive_text(step->rows[i].primitive));
    }
    if (r == 0)
        r = sequence_check(step, err);
    if (r == 0)
        r = outputs_check(order, step, err);
    return r < 0 ? error_context(err, r, "step %s", step->name) : 0;
}

static int lease_check(const struct work_order *order, const struct lease *lease, struct error *err) {
    const struct step *close_step = work_order_step(order, lease->close_step);
    if (!close_step || close_step->verb != VERB_ACT)
        return error_set(err, -EBADMSG, "lease %s is closed by \"%s\", which is no act of this order",
                         lease->name, lease->close_step);
    if (lease->ttl_ms == 0 || lease->ttl_ms + (uint64_t)lease->rank * lease->delta_ms > UINT32_MAX)
        return error_set(err, -EBADMSG, "lease %s ends after %u + %u * %u ms", lease->name, lease->ttl_ms,
                         lease->rank, lease->delta_ms);
    return 0;
}

static size_t verbs_count(const struct work_order *order, enum verb verb) {
    size_t n = 0;
    for (size_t i = 0; i < order->n_steps; i++)
        n += order->steps[i].verb == verb;
    return n;
}

/* What cannot be taken back says so, and is asked for by a condition, so that half-done is decidable. */
static int finalize_check(const struct work_order *order, const struct step *step, struct error *err) {
    if (step->verb != VERB_FINALIZE)
        return 0;
    if (order->way_back != WAY_BACK_NEVER)
        return error_set(err, -EBADMSG, "step %s finalizes, but the way back is \"%s\"", step->name,
                         way_back_text(order->way_back));
    for (size_t i = 0; i < step->n_rows; i++)
        if (step->rows[i].primitive == PRIMITIVE_RUN && step->rows[i].done_if)
            return 0;
    return error_set(err, -EBADMSG, "step %s finalizes, but says not when that is done", step->name);
}

/* Who is stopped at a barrier has a way on and a way back. */
static int barrier_check(const struct work_order *order, struct error *err) {
    size_t stop = verbs_count(order, VERB_STOP), pass = verbs_count(order, VERB_PASS),
           start = verbs_count(order, VERB_START);
    if (stop > 1 || stop != pass || stop != start)
        return error_set(err, -EBADMSG, "stop, pass and start belong together, each once");
    if (stop == 0 && verbs_count(order, VERB_BACK) > 0)
        return error_set(err, -EBADMSG, "only a downtime has a way back in parts");
    if (stop == 1 && verbs_count(order, VERB_REVERT) != 1)
        return error_set(err, -EBADMSG, "a member that is stopped at a barrier has no way back");
    if (stop == 1 && (verbs_count(order, VERB_SWITCH) > 0 || verbs_count(order, VERB_PROMOTE) > 0))
        return error_set(err, -EBADMSG, "a downtime has no switch and no promote");
    return 0;
}

int order_check(const struct work_order *order, const struct order_frame *frame, struct error *err) {
    const struct header *header = frame->header;
    int r = format_check(order->format, "work order", err);
    if (r == 0 && (strcmp(order->cluster, header->cluster) != 0 || order->serial != header->serial))
        r = error_set(err, -EBADMSG, "work order and header name different plans");
    if (r == 0)
        r = member_name_check(order->member, order->cluster, err);
    if (r == 0 && strcmp(frame->manifest->system, order->system) != 0)
        r = error_set(err, -EPERM, "the release is for %s, the member is %s", frame->manifest->system,
                      order->system);
    if (r == 0 && strcmp(frame->manifest->version, header->to_version) != 0)
        r = error_set(err, -EPERM, "the release is %s, the plan says %s", frame->manifest->version,
                      header->to_version);
    for (size_t i = 0; r == 0 && i < order->n_generations; i++) {
        r = generation_check(&order->generations[i], frame, err);
        if (r < 0)
            (void)error_context(err, r, "generation %zu", i + 1);
    }
    for (size_t i = 0; r == 0 && i < order->n_steps; i++) {
        r = step_check(order, &order->steps[i], frame->gates, err);
        r = r == 0 ? finalize_check(order, &order->steps[i], err) : r;
        if (r == 0 && work_order_step(order, order->steps[i].name) != &order->steps[i])
            r = error_set(err, -EBADMSG, "step %s stands twice", order->steps[i].name);
    }
    if (r == 0)
        r = barrier_check(order, err);
    for (size_t i = 0; r == 0 && i < order->n_leases; i++)
        r = lease_check(order, &order->leases[i], err);
    return r;
}

/* ---- size ---- */

struct gates_asked {
    const struct gate *gates[KEDGE_GATES_MAX];
    size_t n, bytes;
};

static bool gate_ask(struct gates_asked *asked, const struct gate_set *set, const struct digest *digest) {
    const struct gate *gate = gate_set_find(set, digest);
    for (size_t i = 0; i < asked->n; i++)
        if (asked->gates[i] == gate)
            return true;
    if (asked->n == KEDGE_GATES_MAX)
        return false;
    asked->gates[asked->n++] = gate;
    asked->bytes += set->bytes[gate - set->gates].len + 8;
    return true;
}

static bool gates_ask(struct gates_asked *asked, const struct gate_set *set, const struct step *step) {
    for (size_t i = 0; i < step->n_rows; i++)
        for (size_t g = 0; g < step->rows[i].n_gates; g++)
            if (!gate_ask(asked, set, &step->rows[i].gates[g]))
                return false;
    return true;
}

int order_size_check(const struct work_order *order, const struct gate_set *gates, size_t bytes,
                     struct error *err) {
    enum { BESIDES = 4096 }; /* path, step, numbers, lengths, signatures to come */
    struct gates_asked asked = {.n = 0};
    size_t outputs = 0;
    for (size_t i = 0; i < order->n_steps; i++) {
        if (!gates_ask(&asked, gates, &order->steps[i]))
            return error_set(err, -EBADMSG, "it asks more than %d gates", KEDGE_GATES_MAX);
        for (const struct output_use *use = NULL; (use = step_output_next(&order->steps[i], use));)
            outputs += KEDGE_OUTPUT_BYTES_MAX;
    }
    size_t need = bytes + asked.bytes + outputs + BESIDES;
    if (need > KEDGE_MESSAGE_BYTES_MAX)
        return error_set(err, -EBADMSG, "with its release and gates it has %zu bytes, %d can travel", need,
                         KEDGE_MESSAGE_BYTES_MAX);
    return 0;
}
