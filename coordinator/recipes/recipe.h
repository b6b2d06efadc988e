/* Recipes: what Kedge knows about a system, as data. A recipe is read once, strictly, and is constant from then on;
 * its texts may still hold templates ("{port}"), whose names were checked when it was read, and which are filled in by
 * coordinator/recipes/resolve.h for one cluster or one member. docs/recipes.md is the reference for authors.
 *
 * Ownership: everything lies in the arena that was given to recipe_load. Durations are in milliseconds. */
#ifndef KEDGE_RECIPES_RECIPE_H
#define KEDGE_RECIPES_RECIPE_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/words.h"
#include "common/plan/charter.h"
#include "common/plan/work_order.h"

/* What may stand in a value; judged when a cluster file is read. */
enum value_kind {
    VALUE_TEXT,      /* 1 to 1024 bytes, no control bytes */
    VALUE_NUMBER,    /* decimal digits */
    VALUE_DURATION,  /* "5s"; templates may say {name.ms} and {name.s} */
    VALUE_PATH,      /* begins with / */
    VALUE_ADDRESS,   /* host:port */
    VALUE_ADDRESSES, /* host:port,host:port */
};

struct recipe_value {
    const char *name;
    enum value_kind kind;
    const char *fallback; /* NULL: none; may hold templates of values */
    bool required, clear;
    const char *about;
};

/* A choice that the plan makes: one word of a few. */
struct recipe_option {
    const char *name;
    const char *const *choices;
    size_t n_choices;
    const char *fallback;
    const char *about;
};

/* "name is one of values" (or, for versions, matches one of the patterns), or, negated, is none of them; with `other`:
 * "both have a value, and they differ". */
struct condition {
    const char *name;
    const char *other;
    bool negate, is_version;
    const char *const *values;
    size_t n_values;
};

/* All must hold; an empty one holds. */
struct when {
    const struct condition *all;
    size_t n_all;
};

struct recipe_probe {
    enum probe_kind kind;
    const char *target, *path, *match; /* templates; NULL when absent */
    struct bytes send;                 /* NULL data when absent */
    const char *const *arguments;      /* of a command: templates */
    size_t n_arguments;
    uint32_t timeout_ms;
};

struct recipe_check {
    struct recipe_probe probe;
    enum check_rule rule;
    const char *count; /* template that gives a number; NULL: 0 */
    const char *const *values;
    size_t n_values;
    bool without_self;
    enum answer otherwise;
    const char *says;
};

struct recipe_sample {
    struct recipe_probe source;
    const char *filter;
    const struct bytes *filter_any;
    size_t n_filter_any;
    const char *target;
    struct bytes request, answer;
    uint32_t per_object, limit, minimum, timeout_ms;
};

struct recipe_gate {
    const char *name;
    enum gate_scope scope;
    const char *about;
    const struct recipe_check *checks;
    size_t n_checks;
    const struct recipe_sample *sample;
    const char *detection; /* template that gives a duration */
    uint32_t evidence_age_ms;
};

struct gate_use {
    const struct recipe_gate *gate;
    struct when when;
};

struct recipe_command {
    const char *name;
    const char *const *arguments; /* templates */
    size_t n_arguments;
    uint32_t deadline_ms;
    struct when when;
};

/* Which argument of the found command line points into the release, and what it becomes. */
struct recipe_rewrite {
    bool by_position;
    uint32_t position; /* this argument ... */
    const char *after; /* ... or the one after this word ... */
    const char *word;  /* ... or every one that is this word, if there is one */
    struct when when;
    char
        separator; /* 0: the whole argument; else its entries, of which those that match `entries` are replaced */
    const char *const *entries; /* patterns: * is any text, \* a star */
    size_t n_entries;
    const char *to; /* template */
};

struct recipe_mode {
    enum mode mode;
    const struct recipe_gate *gate;
};

struct recipe_role {
    const char *name;
    const char *self, *port, *process; /* templates */
    enum release_from release_from;
    const char *release_match;
    const char *config_after;
    enum config_format config_format;
    const char *const *clear_arguments;
    size_t n_clear_arguments;
    const char *const *clear_config;
    size_t n_clear_config;
    const char *const *data_keys;
    size_t n_data_keys;
    const struct recipe_probe *instance;
    const struct recipe_mode *modes;
    size_t n_modes;
    const struct gate_use *after_start; /* member gates beside that of the mode */
    size_t n_after_start;
    const struct recipe_gate *proof; /* the gate with the sample; NULL: none */
    const struct recipe_gate *last;  /* yes: this member goes last; NULL: no such order */
    const struct recipe_rewrite *rewrites;
    size_t n_rewrites;
    const char *const *read_only; /* words that are appended; none: the role has no read-only start */
    size_t n_read_only;
    const char *start_deadline, *start_cap; /* templates that give durations; start_cap NULL: no hard cap */
    const char *progress;
    uint32_t signal, stop_deadline_ms;
    const struct recipe_command *after_promote;
    size_t n_after_promote;
    const char *shipped_config; /* path in the release; NULL: none */
    const char *const *carry;   /* keys that move from the found configuration into a shipped one */
    size_t n_carry;
};

struct recipe_side_action {
    const char *name, *about;
    struct when when;
    struct recipe_probe value; /* its one item is the value in force */
    const char *absent;        /* what stands for no item */
    const char *ours;          /* template */
    bool at_least;             /* a previous number that is not smaller is left alone */
    struct recipe_command open, close;
    const char *ttl, *delta; /* templates that give durations */
    enum on_loss on_loss;
};

/* Where a named action of a downtime stands. */
enum action_place {
    ACTION_BEFORE,  /* all are down, the barrier is not passed: the hold limit still leads back */
    ACTION_BEHIND,  /* the point of no return lies right before it */
    ACTION_WAY_BACK /* only on the way back, before the old generation starts */
};

/* A value that an action puts out; later ones take it as {output.ACTION.NAME}. */
struct recipe_capture {
    const char *name, *match, *allowed; /* regular expressions, see struct capture */
};

struct recipe_action {
    const char *name, *about;
    const struct recipe_role *role; /* its first member carries it, or */
    bool each;                      /* each of its members */
    enum action_place place;
    struct recipe_command command; /* its `when` is the action's */
    struct recipe_check done_if;
    const struct recipe_capture *captures;
    size_t n_captures;
};

/* The point of no return, its own plan: an action on each member after which the version before cannot read its data. */
struct recipe_finalize {
    const char *about; /* what is final then */
    struct when when;  /* of the member's facts; else there is nothing to finalize */
    uint32_t soak_ms;  /* how long a member must have been on its release, at least */
    struct recipe_probe value;
    const char *ours; /* template: the one item of `value` when it is done */
    struct recipe_command act;
};

struct recipe_config_op {
    enum config_op_kind kind;
    const char *key, *value; /* templates; value NULL for remove and carry */
    struct when when;
};

struct recipe_warning {
    const char *name, *says;
    bool refuses; /* no consent helps */
    struct when when;
};

enum version_verdict { VERSION_ALLOWED, VERSION_REFUSED, VERSION_DOWNTIME };

struct version_row {
    const char *from, *to; /* patterns, see version.h */
    enum version_verdict verdict;
    const char *why;
    enum way_back way_back;
    const char *no_return; /* NULL: nothing of this pair is final by itself */
    struct when when;
    const struct recipe_config_op *ops;
    size_t n_ops;
    const struct recipe_warning *warnings;
    size_t n_warnings;
    unsigned line;
};

struct recipe {
    const char *name, *about;
    struct digest digest; /* of the exact bytes of the file */
    const struct recipe_value *values;
    size_t n_values;
    const struct recipe_option *options;
    size_t n_options;
    const struct recipe_gate *gates;
    size_t n_gates;
    const struct recipe_role *roles; /* in the order of upgrade */
    size_t n_roles;
    const struct gate_use *may_stop, *recovered;
    size_t n_may_stop, n_recovered;
    const char
        *capacity; /* template: so many members stay read-write while others are in change; NULL: none */
    uint32_t soak_least_ms; /* after a member's last step; a site may lengthen it; 0: none */
    const struct recipe_side_action *side_actions;
    size_t n_side_actions;
    const struct recipe_action *actions; /* in the order in which they are done */
    size_t n_actions;
    const struct recipe_finalize *finalize; /* NULL: this system has no such point */
    const struct recipe_config_op *config;
    size_t n_config;
    const struct version_row *versions;
    size_t n_versions;
    const struct recipe_warning *warnings;
    size_t n_warnings;
};

/* Reads and judges a recipe; *outp lies in `arena`. -EINVAL with `FILE: line L, column C: ...` for what the author must
 * change; what open(2) and read(2) return; -ENOMEM. */
int recipe_load(struct arena *arena, const char *path, const struct recipe **outp,
                struct error *err) _must_check_;

/* The same for bytes in memory; `name` is what errors call them. */
int recipe_parse(struct arena *arena, const char *name, struct bytes content, const struct recipe **outp,
                 struct error *err) _must_check_;

/* What a template names ("output.backup.path"): the action and its capture; NULL when there is none of that name. */
const struct recipe_action *recipe_output_find(const struct recipe *recipe, const char *name,
                                               const struct recipe_capture **capture_outp);

/* NULL when there is none of that name. */
const struct recipe_role *recipe_role_find(const struct recipe *recipe, const char *name);
const struct recipe_gate *recipe_gate_find(const struct recipe *recipe, const char *name);
const struct recipe_value *recipe_value_find(const struct recipe *recipe, const char *name);
const struct recipe_option *recipe_option_find(const struct recipe *recipe, const char *name);

#endif
