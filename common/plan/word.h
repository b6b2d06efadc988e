/* A word of operators that weakens what was signed with a plan, for one member of one plan: set one gate aside, pass the
 * member over, give it up, promote it before its soak is over. It is signed like the plan, by as many operators, in its
 * own context, and every agent of the run gets it: a coordinator alone can claim none. */
#ifndef KEDGE_PLAN_WORD_H
#define KEDGE_PLAN_WORD_H

#include "common/base/arena.h"
#include "common/plan/verify.h"

/* Numbers are in signed documents: append only. */
enum word_kind {
    WORD_WAIVE,   /* `gate` does not keep the member from being stopped, until the word expires */
    WORD_SKIP,    /* nothing more is begun with the member in this plan, but closings and its way back */
    WORD_RETIRE,  /* as skip; the member is gone for good and counts no more */
    WORD_PROMOTE, /* the member is promoted before its soak is over */
};
enum { WORD_KINDS = 4 };

enum {
    WORD_BYTES_MAX = 4096, /* a signed one */
    WORD_REASON_MAX = 200, /* it stands inside other reasons */
    /* A gate is set aside for the time of one act, not for good. */
    WORD_LIFE_S_MAX = 24 * 3600,
};

struct word {
    uint32_t format; /* 1 */
    enum word_kind kind;
    const char *cluster;
    uint64_t serial; /* of the plan */
    const char *member;
    const char *gate; /* WAIVE: its name; "" otherwise */
    const char *reason, *author;
    uint64_t created_s,
        expires_s; /* seconds since 1970. After it the word is not accepted, and a waiver is over */
};

/* "waive", "skip", ... */
const char *word_kind_text(enum word_kind kind);

/* A word makes sense in itself. 0, or -EBADMSG with a sentence. */
int word_check(const struct word *word, struct error *err) _must_check_;

/* Signed by enough operators, and makes sense; *outp and its texts in the arena, nothing of `blob` is kept. `now_s`:
 * seconds since 1970; 0: expired ones pass too (what was accepted before is read again). -EKEYREJECTED, -EBADMSG, -ESTALE,
 * -EPERM (no operators are trusted here), -ENOMEM, with a sentence. Whether cluster, plan, member and gate are known is
 * the caller's to judge. */
int word_verify(const struct trust_anchors *anchors, struct bytes blob, uint64_t now_s, struct arena *arena,
                const struct word **outp, struct error *err) _must_check_;

/* What people see before they sign it, and in every place that shows it: "waive gate in-sync of shop/server@n1 in plan 4". */
void word_text(const struct word *word, char *out, size_t size);

#endif
