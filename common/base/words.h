/* The closed sets of words that coordinator and agent share, each with its text for people.
 * The text functions answer "?" for a number outside the set, so they are safe on foreign input that was not
 * range-checked yet; the codec (proto/) refuses such numbers. */
#ifndef KEDGE_BASE_WORDS_H
#define KEDGE_BASE_WORDS_H

#include <stdbool.h>

/* The three answers of a gate. Unknown never passes. */
enum answer { ANSWER_YES, ANSWER_NO, ANSWER_UNKNOWN };
enum { ANSWERS = 3 };
const char *answer_text(enum answer answer);

/* What a member does for its clients. */
enum mode { MODE_UNKNOWN, MODE_DOWN, MODE_READ_ONLY, MODE_READ_WRITE };
enum { MODES = 4 };
const char *mode_text(enum mode mode);

/* By whose will or fault a member is down or read-only. */
enum origin {
    ORIGIN_NONE,
    ORIGIN_KEDGE,
    ORIGIN_OPERATOR,
    ORIGIN_DISK,
    ORIGIN_CRASH,
    ORIGIN_START_FLAG,
    ORIGIN_BOOT
};
enum { ORIGINS = 7 };
const char *origin_text(enum origin origin);

/* How far a member may return alone. */
enum way_back {
    WAY_BACK_UNTIL_START,     /* not once the new release was started */
    WAY_BACK_UNTIL_PROMOTION, /* not once it was read-write */
    WAY_BACK_UNTIL_FINALIZE,
    WAY_BACK_CLUSTER, /* only with the whole cluster */
    WAY_BACK_NEVER
};
enum { WAYS_BACK = 5 };
const char *way_back_text(enum way_back way_back);

/* The eight primitives of a work order's rows. */
enum primitive {
    PRIMITIVE_OBSERVE,
    PRIMITIVE_ASK,
    PRIMITIVE_RENDER,
    PRIMITIVE_STAGE,
    PRIMITIVE_STOP,
    PRIMITIVE_SWAP,
    PRIMITIVE_START,
    PRIMITIVE_RUN
};
enum { PRIMITIVES = 8 };
const char *primitive_text(enum primitive primitive);

/* What a step is for. */
enum verb {
    VERB_PREPARE,
    VERB_SWITCH,
    VERB_PROMOTE,
    VERB_REVERT,
    VERB_ACT,
    VERB_STOP,  /* the halves of a downtime: down to the barrier ... */
    VERB_PASS,  /* ... the word that it is passed: from now on nobody goes back alone ... */
    VERB_START, /* ... and up with the new generation */
    VERB_BACK, /* a part of the way back of a whole cluster that leaves the member down: its stop, or a restore */
    VERB_FINALIZE /* a named action that closes the way back for good; it stops nothing */
};
enum { VERBS = 10 };
const char *verb_text(enum verb verb);

/* What an asking row does with a sample. */
enum sample_use { SAMPLE_NONE, SAMPLE_CAPTURE, SAMPLE_COMPARE };
enum { SAMPLE_USES = 3 };

/* What a row's failure leads to. */
enum on_failure {
    ON_FAILURE_STOP,   /* nothing was changed: end the step, report why */
    ON_FAILURE_RETURN, /* go the way back, as far as it reaches; otherwise hold */
    ON_FAILURE_HOLD    /* stop what runs, keep it stopped, alarm */
};
enum { ON_FAILURES = 3 };

/* How a step ended, in a report. */
enum outcome {
    OUTCOME_NONE,
    OUTCOME_DONE,
    OUTCOME_WAITS,    /* may-stop said no or unknown; nothing was stopped */
    OUTCOME_REFUSED,  /* the order was not acceptable; nothing was changed */
    OUTCOME_FAILED,   /* failed before anything was stopped */
    OUTCOME_RETURNED, /* failed after the stop; the old generation runs and was proven */
    OUTCOME_HELD,     /* failed; the member is kept by its agent, with an alarm */
    OUTCOME_BEGUN,    /* a progress report: the step is under way */
    OUTCOME_QUARANTINED /* what the step leads to failed on this node before, and nobody has lifted that; nothing was
                         * changed: common/plan/quarantine.h */
};
enum { OUTCOMES = 9 };
const char *outcome_text(enum outcome outcome);

enum wave_kind {
    WAVE_CANARY,
    WAVE_ROLLING,
    WAVE_STOP, /* of a downtime: all members of the wave at once, no may-stop is asked */
    WAVE_PASS, /* every member confirms that the barrier is passed */
    WAVE_START,
    WAVE_ACT, /* of a downtime: a named action while all are down; the wave bears the name of the step */
    WAVE_BACK /* an action of the way back, while all are down again; it is no part of the way forward */
};
enum { WAVE_KINDS = 7 };
const char *wave_kind_text(enum wave_kind kind);

/* Urgent: soaks are as short as the gates' detection time. Nothing else is different. */
enum urgency { URGENCY_NORMAL, URGENCY_URGENT };
enum { URGENCIES = 2 };

/* What a budget counts, each apart: see common/plan/budget.h. */
enum budget_kind {
    BUDGET_FAILED,      /* failed before its stop, or was returned by its agent */
    BUDGET_UNREACHABLE, /* its agent is away for long */
    BUDGET_SKIPPED,     /* left out by an operator */
    BUDGET_HELD,        /* kept by its agent, with an alarm */
    BUDGET_QUARANTINED  /* its agent refuses what failed on its node before */
};
enum { BUDGETS = 5 };
const char *budget_kind_text(enum budget_kind kind);

enum on_loss { ON_LOSS_UNDO, ON_LOSS_HOLD };
enum { ON_LOSSES = 2 };

enum gate_scope { GATE_SCOPE_CLUSTER, GATE_SCOPE_MEMBER };
enum { GATE_SCOPES = 2 };

/* Ways to ask. Each answers with a list of text items, or with unknown and a reason. */
enum probe_kind {
    PROBE_HTTP,        /* target: URL; items: matches of `match` over the lines of a 2xx body */
    PROBE_TCP,         /* target: host:port; send bytes, items: matches over the answer */
    PROBE_ZK_EXISTS,   /* target: servers; path; item: the path when it exists */
    PROBE_ZK_GET,      /* item: its content, or matches over its lines */
    PROBE_ZK_CHILDREN, /* items: names of children that match */
    PROBE_ZK_LEAVES,   /* items: paths of leaves below path that match, walked */
    PROBE_FILE,        /* target: path; items: matches over its lines */
    PROBE_LOG,         /* as FILE, from the place where the output stood when the member was started */
    PROBE_COMMAND, /* run by the executor; items: matches over its output lines; exit code not 0 is unknown */
    PROBE_COMMAND_EXIT, /* run by the executor; item: the exit code as text */
    PROBE_ZK_FIRST,     /* items: as GET, of that child of path whose name sorts first; no children: none */
};
enum { PROBE_KINDS = 11 };

/* Rules over the items of a probe. */
enum check_rule {
    RULE_PRESENT,  /* at least one item */
    RULE_ABSENT,   /* none */
    RULE_AT_LEAST, /* at least `count` items, self left out where `exclude_self` */
    RULE_NONE_NEW, /* no item that is not in `values` (consented or known before) */
    RULE_EQUALS,   /* the items are exactly `values`, in any order */
    RULE_ALL_IN    /* every one of `values` is among the items, self left out where `exclude_self` */
};
enum { CHECK_RULES = 6 };

enum config_format { CONFIG_PROPERTIES };
enum { CONFIG_FORMATS = 1 };

enum config_op_kind {
    CONFIG_SET,            /* key = value, in its place; appended when it is not there */
    CONFIG_REMOVE,         /* the line becomes a comment */
    CONFIG_RENAME,         /* key to value */
    CONFIG_ADD_IF_MISSING, /* appended when no such key */
    CONFIG_CARRY           /* takes the found file's value over into a shipped base */
};
enum { CONFIG_OP_KINDS = 5 };

enum release_from { RELEASE_FROM_EXECUTABLE, RELEASE_FROM_OPEN_FILES };
enum { RELEASE_FROMS = 2 };

#endif
