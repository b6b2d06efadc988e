/* What a named action has put out ("Backup written to /backups/a1"), handed to a later action of the same plan as a word of its
 * command line. The coordinator carries it and cannot make it: the value is signed by the node that captured it, for one plan,
 * member, step and name; who takes it compares that with what operators signed (struct output_use), down to the key. PURE. */
#ifndef KEDGE_PLAN_OUTPUT_H
#define KEDGE_PLAN_OUTPUT_H

#include "common/plan/work_order.h"

struct header;

/* The document that a node signs for its value (TRUST_AGENT_REPORT), as it travels in reports and orders. */
struct action_output {
    uint32_t format; /* 1 */
    const char *cluster;
    uint64_t serial;
    struct digest root; /* of the plan */
    const char *member, *step, *name, *value;
};

/* Which output the word takes: it lies in the work order, so every part of it was signed by operators. */
struct output_use {
    const char *member;    /* that captures it */
    struct public_key key; /* of its node */
    const char *step, *name;
    const char *allowed;        /* regular expression that the whole value must match; see struct capture */
    const char *before, *after; /* the rest of the word, around the value; "" nothing */
};

/* A value, with the word that takes it. */
struct output_value {
    const struct output_use *use;
    const char *value;
};

/* One word of a command line and nothing else: 1 to KEDGE_OUTPUT_MAX printable characters of ASCII, no blank at either end,
 * and not beginning with "-", which would make it an option. -EBADMSG with a sentence. */
int output_value_check(const char *value, struct error *err) _must_check_;

/* The value, if the blob is what `use` speaks of: signed by that key, for this very plan, member, step and name. In `arena`.
 * -EKEYREJECTED, -EPERM, -EBADMSG, -ENOMEM, with a sentence. `allowed` is the caller's to compare. */
int output_open(struct bytes blob, const struct header *header, const struct output_use *use,
                struct arena *arena, const char **outp, struct error *err) _must_check_;

/* All that the step's commands take, each out of one of the blobs; refuses when one is missing. */
int outputs_open(const struct bytes *blobs, size_t n_blobs, const struct header *header,
                 const struct step *step, struct arena *arena, const struct output_value **outp,
                 size_t *n_outp, struct error *err) _must_check_;

/* The next use in the step's commands after `last` (NULL: the first), or NULL. */
const struct output_use *step_output_next(const struct step *step, const struct output_use *last);

/* The capture of that name in a row of the step, or NULL. */
const struct capture *step_capture(const struct step *step, const char *name);

#endif
