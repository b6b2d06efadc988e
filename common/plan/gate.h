/* Gates: questions with three answers (yes, no with all reasons, unknown), as data. A gate is a list of checks; each
 * check is a probe, which yields text items, and a rule over them. The rule is evaluated here, purely; the probe is
 * asked by the prober (or, for commands, by the executor).
 *
 * All pointers point into the arena of the document that the gate was decoded from. */
#ifndef KEDGE_PLAN_GATE_H
#define KEDGE_PLAN_GATE_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/words.h"

struct output_use; /* common/plan/output.h */

/* One word of a command line: either text, or argument number `found` of generation 0, which may be a secret and
 * therefore never leaves its node, or what an earlier action has put out. */
struct argument {
    const char *text; /* NULL when `found` or `output` is used */
    uint32_t found;
    bool has_found;
    const struct output_use *output; /* NULL: none; only in a named action of a downtime */
};

/* A command: resolved words, no shell; runs in the member's found working directory with its found environment
 * plus `environment` (NAME=value). `user` NULL: the member's user. */
struct command {
    const struct argument *arguments;
    size_t n_arguments;
    const char *const *environment;
    size_t n_environment;
    const char *user;
    uint32_t deadline_ms;
};

struct probe {
    enum probe_kind kind;
    const char
        *target; /* URL, host:port, servers, path: by kind; NULL for commands. Of URLs and host:port there may
                         * be several, separated by blanks: asked in order until one answers */
    const char *path; /* path in the tree that is asked */
    struct bytes send;
    const char
        *match; /* POSIX extended regular expression; item = first group, else the whole match; NULL: lines */
    const struct command *command;
    uint32_t timeout_ms;
};

struct check {
    struct probe probe;
    enum check_rule rule;
    uint64_t count;
    const char *const *values;
    size_t n_values;
    bool exclude_self;
    enum answer otherwise; /* no or unknown, when the rule does not hold */
    const char
        *says; /* the reason for people; "{items}" becomes the blocking items, "{count}" their number */
};

/* A proof of life: objects read through the member before its stop and again after it.
 * A source of paths (ZK_LEAVES): those whose content has `filter` (text) and one of `filter_any` (bytes) are candidates;
 * the digits of the path behind the source's path, joined, are the object's number; `per_object` entries, from 0 on, are
 * asked of each. A source of names (HTTP): every item is a candidate, nothing is fetched for it, one entry is asked.
 * Templates are bytes with places: "{o}" 8 bytes big endian object number, "{e}" 8 bytes entry number, "{o:d}" and
 * "{e:d}" the same in decimal text, "{i}" the item itself; "??" bytes (0xff 0x3f 0x3f) stand for any byte in `answer`.
 * Where an answer ends: one whose template begins with four such bytes begins with its length (4 bytes, big endian, of
 * what follows); any other ends with the peer's close, or when it is as long as the template and 50 ms of silence follow. */
struct sample {
    struct probe source;
    const char *filter;
    const struct bytes *filter_any;
    size_t n_filter_any;
    const char *target; /* host:port, or an http URL with placeholders */
    struct bytes request;
    struct bytes answer; /* what a good answer begins with */
    uint32_t per_object, limit, minimum, timeout_ms;
};

struct gate {
    const char *name;
    enum gate_scope scope;
    const struct check *checks;
    size_t n_checks;
    const struct sample *sample;
    uint32_t detection_ms; /* the system's own time to notice a loss; held longer than that after any stop */
    uint32_t evidence_age_ms; /* how old an answer may be when it is used */
};

/* One answer, with its reason: for no all reasons joined by "; ", for yes what was seen. */
struct verdict {
    enum answer answer;
    char reason[512];
};

/* Who is on the way down while another member is asked for: what a check leaves out for that one, it leaves out for them as
 * well. By the names that the system has for them. */
struct beside {
    const char *const *names;
    size_t n;
};

/* -ENOMEM past the arena's cap. */
int beside_copy(struct arena *arena, const struct beside *from, struct beside *outp) _must_check_;

/* Applies the rule of a check to the items that its probe found. `self` is left out where the check says so; it may
 * be "". Never fails. */
struct verdict check_judge(const struct check *check, const char *const *items, size_t n_items,
                           const char *self);

/* The same for one of several that will be down together. The rule must hold twice: without `self` alone, as it was signed,
 * and without all of them (F01). So naming somebody here never turns a no into a yes. */
struct verdict check_judge_beside(const struct check *check, const char *const *items, size_t n_items,
                                  const char *self, const struct beside *beside);

/* Whether the check leaves this item out. */
bool check_leaves_out(const struct check *check, const char *item, const char *self,
                      const struct beside *beside);

/* Joins the verdict of one more check into that of its gate: a no beats an unknown beats a yes; reasons of the same
 * answer are joined. Start with {ANSWER_YES, ""}. */
void verdict_join(struct verdict *all, const struct verdict *one);

#endif
