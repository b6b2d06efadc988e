/* Why tables and not switches: a text per number, side by side, is read at a glance, and the static assertions hold
 * every table to the size of its set. */
#include "common/base/words.h"

#include <stddef.h>

#define TEXT_OF(table, set, value)                                                                           \
    _Static_assert(sizeof(table) / sizeof((table)[0]) == (set), "one text per word");                        \
    return (size_t)(value) < (set) ? (table)[value] : "?"

const char *answer_text(enum answer answer) {
    static const char *const texts[] = {"yes", "no", "unknown"};
    TEXT_OF(texts, ANSWERS, answer);
}

const char *mode_text(enum mode mode) {
    static const char *const texts[] = {"unknown", "down", "read-only", "read-write"};
    TEXT_OF(texts, MODES, mode);
}

const char *origin_text(enum origin origin) {
    static const char *const texts[] = {"none", "kedge", "operator", "disk", "crash", "start flag", "boot"};
    TEXT_OF(texts, ORIGINS, origin);
}

const char *budget_kind_text(enum budget_kind kind) {
    static const char *const texts[] = {"failed", "unreachable", "skipped", "held", "quarantined"};
    TEXT_OF(texts, BUDGETS, kind);
}

const char *way_back_text(enum way_back way_back) {
    static const char *const texts[] = {"until its first start", "until promotion", "until finalize",
                                        "only with the whole cluster", "never"};
    TEXT_OF(texts, WAYS_BACK, way_back);
}

const char *primitive_text(enum primitive primitive) {
    static const char *const texts[] = {"observe", "ask", "render", "stage", "stop", "swap", "start", "run"};
    TEXT_OF(texts, PRIMITIVES, primitive);
}

const char *verb_text(enum verb verb) {
    static const char *const texts[] = {"prepare", "switch", "promote", "revert", "act",
                                        "stop",    "pass",   "start",   "back",   "finalize"};
    TEXT_OF(texts, VERBS, verb);
}

const char *wave_kind_text(enum wave_kind kind) {
    static const char *const texts[] = {"canary", "rolling", "stop", "pass", "start", "act", "back"};
    TEXT_OF(texts, WAVE_KINDS, kind);
}

const char *outcome_text(enum outcome outcome) {
    static const char *const texts[] = {"none",     "done", "waits", "refused",    "failed",
                                        "returned", "held", "begun", "quarantined"};
    TEXT_OF(texts, OUTCOMES, outcome);
}
