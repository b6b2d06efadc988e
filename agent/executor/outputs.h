/* What named actions put out, on both ends: captured from a command's output and signed by this node; taken from other nodes'
 * signed documents and put into a command line, each as a part of one word. See common/plan/output.h for who believes what. */
#ifndef KEDGE_EXECUTOR_OUTPUTS_H
#define KEDGE_EXECUTOR_OUTPUTS_H

#include "agent/executor/questions.h"
#include "common/plan/verify.h"
#include "common/trust/keys.h"

struct captured {
    const struct capture *capture; /* of the order under way */
    char value[KEDGE_OUTPUT_MAX + 1];
};

/* Of the row under way; all of its captures or none. */
struct outputs {
    struct captured items[KEDGE_CAPTURES_MAX];
    size_t n;
};

/* -EPERM with a sentence when a value that the order brings is not what the plan allows. */
int outputs_allowed(const struct verified_order *v, struct error *err) _must_check_;

/* The command with the values in their words. In `arena`, for as long as `command` lives. */
int outputs_fill(const struct verified_order *v, const struct command *command, struct arena *arena,
                 struct command *out, struct error *err) _must_check_;

/* Takes the row's captures from what its command has said. A sentence when one is missing, ambiguous or not allowed. */
int outputs_capture(struct outputs *outputs, const struct row *row, struct bytes said,
                    struct error *err) _must_check_;

/* Signed documents, as many as outputs->n, in `arena`. */
int outputs_sign(const struct outputs *outputs, const struct verified_order *v, const struct key_pair *key,
                 struct arena *arena, const struct bytes **outp, struct error *err) _must_check_;

#endif
