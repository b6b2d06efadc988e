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
    X(unreachable_passes, COMMON, "a member whose agent does not answer holds nobody back")                  \
    X(prepare_not_awaited, COMMON, "the first member is changed before all are prepared")                    \
    X(recovered_by_itself, COMMON, "recovered gates of the cluster are not asked of anybody else")           \
    X(prober_in_change, COMMON, "a node that is in change speaks for the cluster")                           \
    X(asked_alone, COMMON, "who of its domain goes down together with a member is not named")                \
    X(one_prober, COMMON, "one node speaks for the cluster where two could")                                 \
    X(probers_of_one_domain, COMMON, "both who speak for the cluster are of one failure domain")             \
    X(last_not_awaited, COMMON, "the member that goes last is changed while others are not done")            \
    X(last_comes_first, COMMON, "the member that goes last goes first")                                      \
    X(promoted_unsoaked, COMMON, "a canary is promoted before it has soaked read-only")                      \
    X(holds_not_counted, COMMON, "members of a held node do not count against the limit")                    \
    X(silent_member_ordered, COMMON, "a member whose agent is away is ordered to change")                    \
    X(waived_for_all, RARE, "a gate that was waived for one member is waived for all")                       \
    X(waived_for_ever, RARE, "a waiver counts after its end")                                                \
    /* engine: after a change */                                                                             \
    X(detection_ignored, COMMON, "a recovered gate need not hold for its detection time")                    \
    X(soak_skipped, COMMON, "a member is done as soon as it has recovered")                                  \
    X(soak_not_restarted, COMMON, "a bad answer does not begin the soak anew")                               \
    X(one_no_is_relapse, COMMON, "one bad answer of a member that was well halts the run")                   \
    X(relapse_ignored, RARE, "a done member that is not well halts nothing")                                 \
    X(pause_ignored, COMMON, "members are changed while the run is paused")                                  \
    X(contradiction_believed, COMMON,                                                                        \
      "a report of done is believed although it says what runs, and that is not it")                         \
    X(returned_believed, COMMON,                                                                             \
      "a report of a return is believed although it says that the new release runs")                         \
    X(failure_ignored, COMMON, "a member that failed or is held does not pause the run")                     \
    X(canary_ignored, COMMON, "the waves go on after a canary that failed")                                  \
    X(failed_is_done, COMMON, "the verdict is done although a member failed")                                \
    X(any_report_counts, COMMON, "the report on another step counts for the order in flight")                \
    X(first_waves_not_returned, COMMON, "a rollback ends after the last wave")                               \
    X(returns_begin_early, RARE, "a rollback begins with the first wave")                                    \
    X(replay_drops_reason, COMMON, "why a member failed is not replayed from the journal")                   \
    X(order_not_recorded, COMMON, "an order goes out that the journal does not hold")                        \
    X(abort_forgotten, COMMON, "after an abort the waves go on")                                             \
    X(abort_leaves, COMMON, "an abort leaves a member on the new release that the plan takes back")          \
    X(abort_takes_all, COMMON, "an abort takes back a member that the plan leaves")                          \
    X(side_left_open, COMMON, "a run that is aborted ends with its side action in force")                    \
    X(superseded_goes_on, COMMON, "a run that a newer plan has overtaken goes on")                           \
    X(locks_ignored, COMMON, "a run begins while another holds its cluster, or one that depends on it")      \
    X(host_shared, COMMON, "members of two clusters on one host are in change together")                     \
    X(retired_in_limit, RARE, "who is gone for good counts in the wave's percentage")                        \
    X(retired_in_budget, RARE, "who is gone for good counts in a budget's percentage")                       \
    X(budget_off_by_one, COMMON, "one failure more than the budget allows")                                  \
    X(budget_rounded_up, COMMON, "a budget's percentage is rounded up")                                      \
    X(budget_not_while_paused, COMMON, "what breaks a budget while the run is paused is passed over")        \
    X(budget_of_wave_ignored, COMMON, "only the run's budgets count, not the wave's")                        \
    X(resume_not_judged, RARE, "after a resume, who is ill still is not said again")                         \
    X(broken_come_late, COMMON, "members that serve nothing are not changed first")                          \
    X(unknown_is_no_break, COMMON, "no answer does not begin the time anew that a member has to be well")    \
    X(abort_untold, COMMON, "agents are not told that the run is aborted")                                   \
    X(latch_not_repeated, COMMON, "an order is repeated after an abort that its agent may not know")         \
    X(aborted_over_orders, COMMON, "an aborted run ends over orders that are under way")                     \
    X(sides_not_drained, COMMON, "a run ends over a side action that is being opened")                       \
    X(lease_said_once, COMMON, "leases are not renewed")                                                     \
    X(lease_for_ever, COMMON, "leases of what is closed are renewed")                                        \
    X(evidence_of_the_lost, COMMON, "what a member said before its agent was lost is used")                  \
    X(hold_end_unseen, COMMON, "nobody looks when a hold ends")                                              \
    X(prepared_held, COMMON, "a held node is prepared")                                                      \
    X(nobody_is_done, RARE, "the verdict is done although all were left out")                                \
    X(broken_excuses_unknown, COMMON, "a broken member is changed while others cannot be asked")             \
    X(prober_held, COMMON, "a held node speaks for the cluster")                                             \
    X(answer_of_before, COMMON, "an answer to what was asked before a change counts after it")               \
    X(last_beside_change, COMMON, "the member that goes last is changed while another is in change")         \
    X(replay_drops_waivers, COMMON, "waivers are not replayed from the journal")                             \
    X(return_takes_anything, COMMON, "a held node comes back whatever its members run")                      \
    X(replay_drops_holds, COMMON, "holds are not replayed from the journal")                                 \
    X(replay_drops_quarantine, COMMON, "what is quarantined is not replayed from the journal")               \
    X(quarantine_applied, RARE, "a plan that leads to a quarantined release is taken")                       \
    X(quarantine_not_stopping, COMMON, "a run goes on with a release that another run has quarantined")      \
    /* outputs of actions */                                                                                 \
    X(output_of_another, RARE, "the output of another plan, member or action is taken for the one meant")    \
    X(output_not_awaited, RARE, "an action is taken for done though its report lacks what it puts out")      \
    /* agent */                                                                                              \
    X(epoch_ignored, RARE, "an order of an older coordinator is obeyed")                                     \
    X(order_done_twice, COMMON, "a step that has ended is begun again by a repeated order")                  \
    X(intent_not_synced, COMMON, "the stop does not wait until its intent is durable")                       \
    X(way_back_overstepped, COMMON, "a member returns past its way back")                                    \
    X(way_back_not_synced, COMMON, "the start that closes the way back is not durable when it happens")      \
    X(latch_ignored, RARE, "a stop that an abort should have kept back goes on")                             \
    X(start_beside, COMMON, "a restarted agent starts the service beside the one that runs")                 \
    X(sample_not_compared, COMMON, "lost data that the sample shows is passed over")                         \
    X(last_answer_too_old, COMMON, "the agent's last answer before the stop is used however old it is")      \
    X(epoch_not_kept, RARE, "the epoch that was obeyed is not remembered")                                   \
    X(expiry_ignored, RARE, "an order that has expired begins a step")                                       \
    X(latch_forgotten, RARE, "the agent does not remember which plan was aborted")                           \
    X(held_in_silence, COMMON, "a member is held and nobody is alarmed")                                     \
    X(held_is_freed, COMMON, "a held member is free after its next step, whatever came of it")               \
    X(returned_after_promotion, COMMON, "a member returns past its way back, which ended with promotion")    \
    X(return_always_ordered, COMMON, "a return is obeyed past the way back")                                 \
    X(loss_asked_again, COMMON, "lost data is asked about until the time is over")                           \
    X(late_is_yes, COMMON, "a gate that did not say yes in its time has passed")                             \
    X(returned_is_done, COMMON, "a member that went back is reported as done")                               \
    X(overtaken_obeyed, RARE, "an order of a plan that a newer one has overtaken is obeyed")                 \
    X(stopped_unasked, COMMON, "the agent does not ask before the stop")                                     \
    X(lease_blind, RARE, "a lease puts back what is not in force by us")                                     \
    X(quarantine_ignored, COMMON, "an agent tries again what failed on its node before")

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
