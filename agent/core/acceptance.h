/* Which orders an agent obeys, after their signatures were verified: what it has seen of epochs, serials and roots, what
 * it has answered already, and whether a plan was aborted. Pure: the executor keeps `struct seen` in its journal. */
#ifndef KEDGE_AGENT_CORE_ACCEPTANCE_H
#define KEDGE_AGENT_CORE_ACCEPTANCE_H

#include "agent/core/member.h"
#include "common/base/error.h"

/* An epoch is a start of a coordinator. Whoever holds its key may name any number; past this one no later coordinator could
 * be told from an older one (A11). */
#define EPOCH_JUMP_MAX (UINT64_C(1) << 32)

/* What an agent remembers of a cluster, and of whoever commands it. */
struct seen {
    uint64_t epoch;  /* the highest that was obeyed */
    uint64_t serial; /* the highest that was begun */
    struct digest root;
    uint64_t aborted; /* the highest serial that was aborted */
};

/* An order whose signatures are good. */
struct offer {
    uint64_t epoch, serial;
    uint64_t expires_s; /* grows with every order of the coordinator */
    struct digest root;
    const struct work_order *order;
    const struct step *step;
    const char *forbidden; /* NULL or "", or why operators want nothing more to begin with the member */
    bool lifts;            /* its header says that what failed before may be tried again */
};

/* What failed on this node: in which plan. Kept by its digest, see common/plan/quarantine.h. */
struct quarantined {
    const char *cluster;
    uint64_t serial;
};

/* 0, or one sentence: -ESTALE (an older epoch, an overtaken plan), -EPERM (an epoch that jumps, another root under the same serial; forbidden). */
int acceptance_check(const struct seen *seen, const struct offer *offer, struct error *err) _must_check_;

/* What is seen once the offer is taken: epoch and serial grow, never shrink. Says which of them have changed. */
struct seen_change {
    bool epoch, plan;
};
struct seen_change acceptance_note(struct seen *seen, const struct offer *offer);

/* It was this plan in which it failed. */
bool quarantined_by(const struct quarantined *before, const struct work_order *order);

/* `before` is what is kept of the order's subject: true when this step is not to begin, for it leads there again. */
bool acceptance_is_quarantined(const struct quarantined *before, const struct offer *offer);

/* True when the plan of this serial was aborted. */
bool acceptance_is_latched(const struct seen *seen, uint64_t serial);

/* Such a step may be ordered again. */
bool outcome_changed_nothing(enum outcome outcome);

/* Whether a step that ended so is reported again, unasked, to a coordinator that comes back. One that changed nothing is
 * not: the coordinator orders it anew, and the old word would pass for the answer to the new order. */
bool outcome_is_said_again(enum outcome outcome);

/* How the same step ended before, by an order of that epoch and expiry: true when that is the answer to this one too, and
 * nothing is done again. What puts a side action back is looked at again by a newer order: it may have been opened anew
 * since (the lease closed it while the coordinator was silent). Its done_if says whether there is anything to do. */
bool acceptance_is_answered(enum outcome outcome, uint64_t epoch, uint64_t expires_s,
                            const struct offer *offer);

/* True when this member's part of the plan has begun, so that expiry does not block going on: `ended` when a step of this
 * name has ended with a change. */
bool acceptance_has_begun(const struct member_machine *machine, const struct work_order *order,
                          const struct step *step, bool ended);

/* Before the first change of a member in a plan its facts are held against the signed ones; and once more after what other
 * hands had started could not be proven. */
bool acceptance_needs_facts(const struct machine_record *record, const struct work_order *order,
                            const struct step *step);

#endif
