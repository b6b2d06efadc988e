/* Why a table beside the planner and not texts in it: a refusal is one sentence with names and numbers; what it means in
 * general stands once, for the terminal, for the docs and for the page of a ticket. */
#include "coordinator/control/explain.h"

#include <string.h>

enum { BLOCKS = false, CONSENT = true };

const struct explanation explanations[] = {
    {"agent-silent", BLOCKS,
     "Nothing is known about a member: its agent is not connected, or did not answer in time.",
     "What cannot be seen cannot be planned: silence is not health.",
     "Look at `kedge node list`; start the agent or mend the network, then plan again."},
    {"agent-version", CONSENT, "The agent of a node is of another version than the coordinator.",
     "Neighbouring versions talk; but what one of them mends, the other may still do wrong.",
     "Bring both to one version first, or consent."},
    {"argument-masked", BLOCKS,
     "An argument that has to be rewritten for the new release is masked as a secret.",
     "The planner never sees secrets, so it cannot rewrite what is inside one.",
     "Name the argument under `clear-arguments` of the role in the recipe, if it is no secret, and sign a "
     "new charter."},
    {"becomes-read-write", CONSENT,
     "The member was left read-only by an earlier run of Kedge; this plan makes it read-write.",
     "That earlier run may have stopped at that point for a reason.",
     "Read `kedge run report` of the earlier run, then consent."},
    {"broken", CONSENT, "The member runs, but its gates do not say what it does for its clients.",
     "It is changed first, without a proof from before: whether it was ill already cannot be told apart from "
     "what the change did.",
     "Look at `kedge cluster show`; consent if the plan is its repair."},
    {"budget-wave-unknown", BLOCKS, "A budget of failures names a wave that the plan does not have.", "",
     "`kedge plan --short` prints the names of the waves; without a wave the budget is the run's."},
    {"canary-goes-last", BLOCKS, "The named canary is the member that goes last: it leads the others today.",
     "A leader that goes first makes the cluster elect twice.", "Name another canary."},
    {"canary-not-fit", BLOCKS, "The named canary is down, broken, read-only or left out of this plan.",
     "A canary that was not healthy before proves nothing after.", "Name a healthy read-write member."},
    {"canary-unknown", BLOCKS, "No member has the name of the canary.", "",
     "`kedge cluster show` lists the names."},
    {"capacity", BLOCKS,
     "With so many members in change at once, fewer stay read-write than the clients need.",
     "Clients would fail while the run goes on as planned.",
     "Lower --limit, or heal the members that are down or read-only first."},
    {"capacity-unknown", BLOCKS,
     "The recipe's capacity uses a value that the cluster as a whole does not have.",
     "Without it nobody knows how many members the clients need.",
     "Give the value under `values` of the cluster file, and add the cluster again."},
    {"charter-is-old", BLOCKS, "The charter and the cluster file name different members.",
     "Agents only obey for members of a charter that an operator signed.",
     "Sign a new charter: kedge cluster add."},
    {"charter-of-other-recipe", BLOCKS, "The recipe is not the one that the charter was signed with.",
     "Its gates could be others than those that the agents were told to answer.",
     "Sign a new charter: kedge cluster add."},
    {"clock", CONSENT, "The clock of a node is more than 2 s off the coordinator's.",
     "Orders carry the times at which they begin and end; evidence and logs of the two are hard to lay side "
     "by side.",
     "Mend the time service of the node, or consent."},
    {"clock-apart", BLOCKS,
     "The clock of a node is so far off that orders to it would have expired, or would outlive their end.",
     "An order that is refused as expired stops the run in its middle; one that lives too long can be "
     "replayed.",
     "Set the clock right, then plan again."},
    {"command-line-differs", BLOCKS, "The member's command line is not as the recipe describes it.",
     "It could not be led to the new release: the old one would be started again.",
     "Compare `kedge cluster show` with `rewrites` of the role in the recipe."},
    {"command-line-too-long", BLOCKS, "The command line has more words than a plan can hold.", "",
     "Move the words into a file that the service reads, restart it once by hand, plan again."},
    {"configuration", BLOCKS, "The node could not make the member's next configuration.",
     "The member would be started with none, or with half of it.",
     "The sentence behind it names file and line: mend that, plan again."},
    {"consent-not-asked", BLOCKS, "A --consent names something that this plan does not warn of.",
     "Nobody shall sign for what is not there: the situation is another than you think.",
     "Leave it out, after looking at what has changed."},
    {"data-in-release", BLOCKS, "The service writes into its own release folder.",
     "The next release has another folder: the service would come up without its data.",
     "Move its data out, name the new place in its configuration, restart it once, then adopt it again."},
    {"degraded", CONSENT, "A gate says no, or cannot be answered, before anything was done.",
     "The run will wait until it says yes, and is not shown what is new.",
     "Heal it, or consent if it will heal while the run waits."},
    {"disk-room", BLOCKS,
     "A node lacks room for the archive, the unpacked release and the reserve for the journal.",
     "A full disk in the middle of a change is the worst place to stop at.",
     "Free the room that the sentence names, or move the agent's state folder."},
    {"disk-unknown", CONSENT, "A node does not say how much room it has.",
     "The release may not fit there; staging would fail before the first stop, but late.",
     "Look at the node, or consent."},
    {"down", CONSENT, "The member is down. The plan changes it first and starts it.",
     "Somebody may have stopped it on purpose, or it may be down for a reason that a new release does not "
     "cure.",
     "Find out who stopped it and why; consent if it may be started."},
    {"facts-missing", BLOCKS, "The agent does not know something that the plan needs of this member.",
     "The way back could not be made.",
     "If it is down: start it once by hand, so that it can be adopted. Else compare its process with the "
     "recipe."},
    {"facts-old", BLOCKS, "What is known about a member is older than two minutes.",
     "A plan is signed for what was seen: this may have changed.",
     "Plan again; if it stays so, the coordinator's clock was moved."},
    {"finalize-not-well", BLOCKS, "A member that is to be finalized is not read-write.",
     "Until it is well, the way back may still be needed for it.", "Heal it, then plan again."},
    {"finalize-too-early", BLOCKS,
     "The release has not run for as long as the recipe asks for before finalizing.",
     "What shows only after a while could not be answered by going back any more.",
     "Wait for the time that the sentence names, then plan again."},
    {"finalize-with-changes", BLOCKS,
     "--strategy finalize was given together with a change of the configuration.", "",
     "Plan the change first, let it soak, then finalize."},
    {"finalized", BLOCKS, "A member was finalized on a later version than the one that the plan leads to.",
     "That version cannot read its data any more: it would not start, or would destroy them.",
     "Go forward to a version from there on; or restore a backup by hand, and adopt the cluster anew."},
    {"gate-not-answered", BLOCKS, "No prober could be asked about the cluster.",
     "Without an answer today nobody can tell later what is new.",
     "Connect at least one agent of the cluster (kedge node list)."},
    {"heal-first", BLOCKS, "Something is wrong already, and its name is too long for a consent.",
     "Only what was consented to by name may be passed over later.", "Heal it, then plan again."},
    {"heartbeat", CONSENT, "The last heartbeat of a node is older than four of its beats.",
     "Its agent answers, but late: the node may be overloaded or its network bad.",
     "Look at the node before you change it, or consent."},
    {"hold-limit-too-short", BLOCKS,
     "The actions before the barrier may take longer than members may stay stopped there.",
     "At its hold limit a member that has not passed the barrier starts what it ran before, by itself. If "
     "the stops and the actions before the barrier (a backup) may take as long as that, members would start "
     "again in the middle of them.",
     "Give a longer --hold-limit, or shorten the deadlines of the actions in the recipe."},
    {"in-change", CONSENT, "An open run is changing the member right now.",
     "What was found is signed: when the member is on something else by then, its agent refuses the plan for "
     "it.",
     "Pause the run, wait until nobody is in change (`kedge run show`), then plan again; consent if that "
     "member "
     "does not come to an end."},
    {"known", CONSENT, "The named object is wrong before the run (a gate that counts what is new found it).",
     "It will be passed over for this run: only what is new or worse counts, so a loss of this very object "
     "would not be seen.",
     "Heal it, or consent to it by its name."},
    {"lift-names-nothing", BLOCKS, "--lift-quarantine names a digest to which this plan does not lead.",
     "What is signed would mean nothing tonight, and perhaps something tomorrow.",
     "Give the digest that the refusal named (`kedge release list` prints it), or leave the option out."},
    {"limit-out-of-range", BLOCKS, "The limit is below one member or above 100 percent.", "",
     "Give --limit as 2 or as 25%."},
    {"needs-downtime", BLOCKS, "The recipe says that these two versions cannot serve side by side.",
     "A rolling upgrade would mix them.",
     "Plan it as a downtime, in a window in which the cluster may be down."},
    {"needs-hops", BLOCKS,
     "The recipe has no rule for this pair of versions itself; its rules lead there only over versions "
     "between.",
     "Each hop may move formats and close ways back; nobody tried them in one step.",
     "Plan to the version that the sentence names first, let it soak, then plan on."},
    {"no-change-named", BLOCKS, "--strategy config-only was given without a change.", "",
     "Say what to change: --change KEY=VALUE."},
    {"no-preview", BLOCKS, "The node did not say what the next configuration will be.",
     "People sign its digest: without it nothing can be compared at the time of the change.",
     "Plan again; look at the agent's log if it stays so."},
    {"no-shipped-configuration", BLOCKS,
     "--config release was asked for, but the recipe names no configuration that a release ships.", "",
     "Plan with --config found."},
    {"no-version-rule", BLOCKS, "The recipe has no rule that leads from the running version to this one.",
     "Nobody has said what happens to data, protocol and the way back.",
     "Read the release notes, add a row under `versions` of the recipe, and sign a new charter."},
    {"node-not-in-charter", BLOCKS, "The member's node is not in the charter.",
     "Its agent would refuse every order.", "Sign a new charter: kedge cluster add."},
    {"not-adopted", BLOCKS, "What runs there today was never recorded as generation 0.",
     "There would be no way back.", "kedge cluster adopt FILE --key KEY"},
    {"not-paused", CONSENT, "The run that the plan supersedes goes on while the plan is read and signed.",
     "Members that it changes meanwhile are not what was signed: their agents refuse this plan for them.",
     "kedge run pause, wait until nobody is in change, then plan again; or consent and be quick."},
    {"nothing-to-do", BLOCKS, "Every member is left out: all of them are where the plan would bring them.",
     "", "Nothing. To change only the configuration, add --change."},
    {"nothing-to-finalize", BLOCKS, "The recipe knows no act that closes the way back for what runs there.",
     "", "Nothing: the way back stays open as the plan that led here said."},
    {"port-not-owned", BLOCKS, "The member's port is not listened on by the member's process.",
     "Another process answers in its place: every gate would ask the wrong one.",
     "Find out who listens there (`ss -ltnp` on the node), end or move it."},
    {"quarantined", BLOCKS,
     "What the plan leads to failed before: it did not start, was not what was ordered, said no, or lost "
     "data.",
     "A release (or a configuration, where the release stays) that failed once is kept from every cluster by "
     "its "
     "digest, and from its node by the agent itself, so that no night tries it again.",
     "Find out why: `kedge run report` of the run that is named. If it was something else and is mended, "
     "plan with "
     "--lift-quarantine DIGEST: the operators sign it with the plan, and what then proves itself is free "
     "again."},
    {"read-only-cannot-stay", BLOCKS,
     "The member is read-only, and the recipe knows no way to start it so again.",
     "The change would make it read-write against somebody's will.",
     "Make it read-write first, if that is right."},
    {"release-not-everywhere", BLOCKS,
     "The strategy keeps the release, but not every member runs the one that --to names.",
     "Some members would change their release by the way.",
     "Name the release that runs everywhere, or upgrade first."},
    {"release-of-other-system", BLOCKS, "The release is of another system than the cluster.", "",
     "Name a release of the cluster's system: kedge release list."},
    {"restart-with-changes", BLOCKS,
     "--strategy restart was given together with a change of the configuration.",
     "A restart keeps release and configuration; what it does must not depend on a left-over option.",
     "Leave --change and --config out, or take --strategy config-only."},
    {"shipped-file-missing", BLOCKS,
     "The release does not hold the file from which the configuration is to be made.", "",
     "Plan with --config found, or cut the release again with the file."},
    {"side-action-value-unknown", BLOCKS, "The present value of a side action could not be read.",
     "It could not be put back after the run.",
     "Mend what the sentence names, or plan without the side action (--set)."},
    {"soak-too-short", BLOCKS, "The soak is shorter than the recipe asks for.",
     "What comes back after a minute is not seen in ten seconds: the next member would be stopped beside one "
     "that is ill.",
     "Leave --soak out, or give a longer one."},
    {"soak-unknown", CONSENT, "The agent does not know since when the member runs its release as proven.",
     "The soak before finalizing cannot be counted: Kedge did not start what runs there.",
     "Make sure by other means that it has run for long enough, then consent."},
    {"stays-read-only", CONSENT,
     "The member is read-only by another's will; it is upgraded and is read-only again afterwards.",
     "It takes no writes, so that part of the new release is not proven on it.",
     "Consent, or make it read-write first."},
    {"time-is-over", BLOCKS, "--not-after lies before the plan could begin.", "",
     "Give a later --not-after."},
    {"too-few-canaries", BLOCKS,
     "Fewer members are healthy, read-write and not the one that goes last than canaries were asked for.", "",
     "Ask for fewer canaries, or heal members first."},
    {"too-many-changes", BLOCKS, "More changes of one configuration than a plan can hold.", "",
     "Split them over two plans."},
    {"too-many-warnings", BLOCKS, "More warnings than a person can consent to with open eyes.",
     "Consents that nobody reads protect nobody.", "Heal the cluster first."},
    {"too-much-is-wrong", BLOCKS, "A gate finds more objects wrong than its answer can name.",
     "What is not named cannot be consented to, and could not be told from what is new.",
     "Heal the cluster first."},
    {"unknown-choice", BLOCKS, "An option of the recipe has no such choice.", "",
     "The recipe lists the choices under `options`."},
    {"unknown-option", BLOCKS, "The recipe has no such option.", "",
     "The recipe lists its options under `options`."},
    {"value-missing", BLOCKS, "A text of the recipe uses a name that has no value for this member.",
     "A command, a path or a warning would have a hole.",
     "The sentence names it: give the value in the cluster file, or correct the recipe."},
    {"version-refused", BLOCKS, "The recipe forbids this pair of versions, and says why.",
     "Whoever wrote that has seen or read what happens.",
     "Take the way that the sentence names, if there is one."},
};
const size_t n_explanations = sizeof(explanations) / sizeof(explanations[0]);

const struct explanation *explanation_find(const char *code) {
    size_t len = strcspn(code, ":");
    for (size_t i = 0; i < n_explanations; i++)
        if (strncmp(explanations[i].code, code, len) == 0 && explanations[i].code[len] == 0)
            return &explanations[i];
    return NULL;
}

void explanations_page(FILE *out) {
    fputs("# Why a plan is refused, and what needs a consent\n\n"
          "Printed by `kedge explain --all`; a test compares them. `kedge explain CODE` says one of them, "
          "and also explains "
          "what an\ninstalled recipe names: its warnings, gates, side actions, values and options.\n",
          out);
    for (int consent = 0; consent < 2; consent++) {
        fputs(consent ? "\n## Warnings: need `--consent CODE` (or `CODE:OBJECT`)\n"
                      : "\n## Problems: block the plan\n",
              out);
        for (size_t i = 0; i < n_explanations; i++) {
            const struct explanation *e = &explanations[i];
            if (e->consent == (consent == 1))
                fprintf(out, "\n**`%s`** %s%s%s\n*Do:* %s\n", e->code, e->means,
                        *e->matters ? "\n*Why:* " : "", e->matters, e->todo);
        }
    }
}
