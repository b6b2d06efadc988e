/* Deliberate bugs: the simulator is tried on them, and must see each (kedge-sim --mutants; tests/sim/mutants.c).
 *
 * KEDGE_MUTANT(name) stands in the one line of the rule that it breaks. In every build but one of -Dmutants=true it is the
 * constant false, so nothing of it is left in what people run. COMMON ones are seen within some hundred seeds, and tried by
 * every check; RARE ones take longer, and are tried by the suite `long`. */
#ifndef KEDGE_BASE_MUTANT_H
#define KEDGE_BASE_MUTANT_H

#include <stdbool.h>

#define KEDGE_MUTANTS_LIST(X)                                                                                \
    /* engine: before a change */                                                                            \
    X(limit_off_by_one, COMMON, "one member more than the wave's limit is in change")                        \
    X(percent_ignored, COMMON, "the wave's limit in percent is not looked at")                               \
    X(two_domains, COMMON, "members of two failure domains are in change at once")                           \
    X(evidence_age_ignored, COMMON, "a yes is used however old it is")                                       \
    X(evidence_from_before, COMMON, "an answer from before the last change is used after it")                \
    X(unknown_is_yes, COMMON, "no answer counts as yes")                                                     \
    X(unreachable_passes, RARE, "a member whose agent does not answer holds nobody back")                    \
    X(prepare_not_awaited, COMMON, "the first member is changed before all are prepared")                    \
    /* engine: after a change */                                                                             \
    X(order_not_recorded, COMMON, "an order goes out that the journal does not hold")                        \
    X(abort_forgotten, COMMON, "after an abort the waves go on")                                             \
    X(side_left_open, COMMON, "a run that is aborted ends with its side action in force")                    \
    /* agent */                                                                                              \
    X(epoch_ignored, RARE, "an order of an older coordinator is obeyed")                                     \
    X(order_done_twice, COMMON, "a step that has ended is begun again by a repeated order")                  \
    X(intent_not_synced, COMMON, "the stop does not wait until its intent is durable")                       \
    X(way_back_overstepped, COMMON, "a member returns past its way back")                                    \
    X(way_back_not_synced, COMMON, "the start that closes the way back is not durable when it happens")      \
    X(latch_ignored, COMMON, "a stop that an abort should have kept back goes on")                           \
    X(start_beside, COMMON, "a restarted agent starts the service beside the one that runs")                 \
    X(sample_not_compared, COMMON, "lost data that the sample shows is passed over")                         \
    X(last_answer_too_old, COMMON, "the agent's last answer before the stop is used however old it is")      \
    X(returned_is_done, COMMON, "a member that went back is reported as done")

enum mutant_kind { MUTANT_COMMON, MUTANT_RARE };
enum mutant {
#define NAME(name, kind, text) MUTANT_##name,
    KEDGE_MUTANTS_LIST(NAME)
#undef NAME
        MUTANT_NONE
};

#ifdef KEDGE_MUTANTS
extern enum mutant mutant_now;
#define KEDGE_MUTANT(name) (mutant_now == MUTANT_##name)
#else
#define KEDGE_MUTANT(name) ((void)MUTANT_##name, false)
#endif

#endif
