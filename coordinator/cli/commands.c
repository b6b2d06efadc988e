/* What the CLI can do, as data: parsing, help, "did you mean" and the completions all read this table, so a command
 * that is here is documented, and one that is not does not exist. */
#include "coordinator/cli/cli.h"

static const struct cli_option key_new_options[] = {
    {"role", "operator|release", "what the key is for, written into its comment (operator)"},
    {"comment", "TEXT", "whose key it is"},
    {"passphrase", NULL, "seal the secret with a passphrase: asked for twice, and at each use"},
    {0}};
static const struct cli_option sign_cluster_options[] = {
    {"key", "KEY", "operator key that signs the charter"},
    {"recipe", "FILE", "recipe, instead of the installed one of the cluster's system"},
    {"wait", "SECONDS", "how long to wait for the facts of its agents (20)"},
    {"yes", NULL, "do not ask before signing"},
    {0}};
static const struct cli_option cut_options[] = {
    {"system", "NAME", "system that it is a release of"},
    {"version", "VERSION", "its version"},
    {"key", "KEY", "release key that signs the manifest"},
    {"serial", "N", "rising number of the system's releases (seconds since 1970)"},
    {"strip", "N", "leading parts of each path in the archive to leave out (0)"},
    {"out", "FILE", "where the signed manifest goes (PATH.release)"},
    {0}};
static const struct cli_option plan_options[] = {
    {"to", "RELEASE", "release to go to, SYSTEM-VERSION"},
    {"strategy", "WORDS", "canary,rolling, rolling, downtime, finalize, config-only, restart"},
    {"canary", "N|MEMBER", "who goes first; --approve-after-canary: the rest waits for a signed word"},
    {"approve-after-canary", NULL, NULL},
    {"on-inconclusive", "pause|return",
     "canary unknown; --on-abort return|leave: aborted, changed, not done"},
    {"on-abort", "return|leave", NULL},
    {"limit", "N|N%", "members in change at once; --budget KIND=N|N%: beyond so many failed, pause"},
    {"budget", "KIND=N|N%", NULL},
    {"soak", "10s", "how long a changed member must be well; --soak-read-only for the canary"},
    {"soak-read-only", "10s", NULL},
    {"wait-limit", "30m", "after waiting so long to stop a member, pause"},
    {"hold-limit", "10m", "downtime: how long a member may stay stopped before the barrier is passed"},
    {"config", "found|release", "configuration to start from (found)"},
    {"change", "KEY=VALUE", "change the configuration; also -KEY, KEY->NEW, KEY?=VALUE"},
    {"set", "OPTION=WORD", "a choice that the recipe offers; may be repeated"},
    {"consent", "NAME", "accept a named warning; --lift-quarantine DIGEST: what failed once"},
    {"supersede", "RUN", "overtake this open run; --depends-on CLUSTER: wait for its runs"},
    {"depends-on", "CLUSTER", NULL},
    {"lift-quarantine", "DIGEST", NULL},
    {"urgent", "REASON", "cut soaks to the gates' detection time; no gate is dropped"},
    {"ticket", "TEXT", "signed with the plan, as are --reason and --author"},
    {"reason", "TEXT", NULL},
    {"author", "NAME", NULL},
    {"not-before", "TIME", "earliest begin: 2026-01-31T22:00Z or +2h; --not-after (+7d)"},
    {"not-after", "TIME", NULL},
    {"out", "FILE", "where the plan file goes (CLUSTER.plan)"},
    {"short", NULL, "print the short form of the page"},
    {0}};
static const struct cli_option approve_options[] = {
    {"key", "KEY", "operator key that signs the plan"},
    {"release-key", "FILE.pub", "demand that the release is signed by this key; may be repeated"},
    {"short", NULL, "print the short form of the page"},
    {"yes", NULL, "do not ask before signing"},
    {0}};
static const struct cli_option apply_options[] = {{"watch", NULL, "watch the run until it ends"}, {0}};
static const struct cli_option rehearse_options_of[] = {
    {"fault", "NAME[:MEMBER][@WHEN]", "let this go wrong, once; may be repeated; --fault list names all"},
    {"at", "WORD[:MEMBER]@WHEN", "say pause, resume, abort, rollback, retry, skip, ... then; repeated"},
    {"lasts", "60s", "how long a wanted fault lasts"},
    {"approve-after", "10m", "somebody approves a canary so long after it is done, or never"},
    {"seeds", "N", "N rehearsals with random faults, and a table of how they end"},
    {"seed", "N", "show one of them"},
    {"random", "NAME", "random faults to draw from (all but what people do); --without NAME; repeated"},
    {"without", "NAME", NULL},
    {"prepare-time", "10s", "assumed: to fetch and unpack; also --stop-time 1s, --start-time 5s and"},
    {"stop-time", "1s", NULL},
    {"start-time", "5s", NULL},
    {"heal-time", "2s", "until the cluster has caught up with a member that serves again"},
    {"transcript", NULL, "every event, as the simulator has it"},
    {"release-key", "FILE.pub", "demand that the release is signed by this key; may be repeated"},
    {0}};
static const struct cli_option run_list_options[] = {{"cluster", "NAME", "only runs of this cluster"}, {0}};
static const struct cli_option word_options[] = {
    {"reason", "TEXT", "why; signed, and shown wherever the run is"},
    {"key", "KEY", "operator key that signs it; may be repeated"},
    {"for", "30m", "how long the word is good, at most 24h"},
    {"yes", NULL, "do not ask before signing"},
    {0}};
static const struct cli_option hold_options[] = {
    {"reason", "TEXT", "why; shown until the node is returned"},
    {"for", "2h", "ends by itself then, at most 720h (until it is returned)"},
    {0}};
static const struct cli_option reason_options[] = {{"reason", "TEXT", "why, kept in the report"}, {0}};

static const struct cli_option explain_options[] = {
    {"all", NULL, "print the whole table, as docs/explain.md"},
    {"recipe", "FILE", "look into this recipe instead of the installed ones"},
    {0}};

const struct cli_command cli_commands[] = {
    {"key", "new", "FILE", 1, 1, "make a key pair: FILE (secret) and FILE.pub", "kedge key new alice.key",
     key_new_options, cmd_key_new},
    {"key", "show", "FILE", 1, 1, "show the public half of a key, and its fingerprint",
     "kedge key show alice.key.pub", NULL, cmd_key_show},

    {"node", "list", "", 0, 0, "list the nodes, those that wait for approval first", "kedge node list", NULL,
     cmd_node_list},
    {"node", "show", "NODE", 1, 1, "show one node", "kedge node show n1", NULL, cmd_node_show},
    {"node", "approve", "NODE FINGERPRINT", 2, 2,
     "admit the agent of a node, after comparing its fingerprint there",
     "kedge node approve n1 1a2b-3c4d-5e6f-7a8b-9c0d-1e2f-3a4b-5c6d", NULL, cmd_node_approve},
    {"node", "hold", "NODE", 1, 1, "leave a node alone: nothing begins there, and it counts as in change",
     "kedge node hold n3 --reason 'new disk' --for 2h", hold_options, cmd_node_hold},
    {"node", "return", "NODE", 1, 1, "end the hold of a node", "kedge node return n3", reason_options,
     cmd_node_return},

    {"cluster", "adopt", "FILE", 1, 1, "add a cluster and record what runs today as generation 0",
     "kedge cluster adopt shop.yaml --key alice.key", sign_cluster_options, cmd_cluster_adopt},
    {"cluster", "add", "FILE", 1, 1, "add a cluster or its changed file: its agents may observe it",
     "kedge cluster add shop.yaml --key alice.key", sign_cluster_options, cmd_cluster_add},
    {"cluster", "list", "", 0, 0, "list the clusters", "kedge cluster list", NULL, cmd_cluster_list},
    {"cluster", "show", "CLUSTER", 1, 1, "show the members of a cluster as they are",
     "kedge cluster show shop", NULL, cmd_cluster_show},
    {"cluster", "check", "CLUSTER", 1, 1, "ask all gates of a cluster now", "kedge cluster check shop", NULL,
     cmd_cluster_check},

    {"release", "cut", "PATH", 1, 1, "make and sign the manifest of an archive or a folder",
     "kedge release cut app-1.2.tar.gz --system app --version 1.2 --strip 1 --key build.key", cut_options,
     cmd_release_cut},
    {"release", "add", "FILE.release [ARCHIVE]", 1, 2, "hand a signed release to the coordinator",
     "kedge release add app-1.2.release", NULL, cmd_release_add},
    {"release", "list", "", 0, 0, "list the releases that the coordinator has", "kedge release list", NULL,
     cmd_release_list},
    {"release", "show", "RELEASE", 1, 1, "show one release and its files", "kedge release show app-1.2", NULL,
     cmd_release_show},

    {"plan", NULL, "CLUSTER", 1, 1, "compute from the live cluster what an upgrade would do; changes nothing",
     "kedge plan shop --to app-1.2 --strategy canary,rolling -o shop.plan", plan_options, cmd_plan},
    {"approve", NULL, "FILE", 1, 1, "show the page of a plan and sign it",
     "kedge approve shop.plan --key alice.key", approve_options, cmd_approve},
    {"apply", NULL, "FILE", 1, 1, "begin the run of an approved plan", "kedge apply shop.plan --watch",
     apply_options, cmd_apply},
    {"rehearse", NULL, "FILE", 0, 1, "play a plan against a model in this process; never touches the cluster",
     "kedge rehearse shop.plan --fault start-fails:server@n3", rehearse_options_of, cmd_rehearse},

    {"run", "list", "", 0, 0, "list the runs, the latest first", "kedge run list --cluster shop",
     run_list_options, cmd_run_list},
    {"run", "show", "[RUN]", 0, 1, "show a run: who waits, why, since when", "kedge run show", NULL,
     cmd_run_show},
    {"run", "watch", "[RUN]", 0, 1, "watch a run until it ends", "kedge run watch", NULL, cmd_run_watch},
    {"run", "pause", "[RUN]", 0, 1, "begin nothing new; what has begun goes on",
     "kedge run pause --reason 'looking at n3'", reason_options, cmd_run_pause},
    {"run", "resume", "[RUN]", 0, 1, "go on with a paused run", "kedge run resume", reason_options,
     cmd_run_resume},
    {"run", "abort", "[RUN]", 0, 1, "begin nothing but the closing moves, for good",
     "kedge run abort --reason 'wrong release'", reason_options, cmd_run_abort},
    {"run", "rollback", "[RUN]", 0, 1, "return the changed members, by the ways back of the plan",
     "kedge run rollback", reason_options, cmd_run_rollback},
    {"run", "retry", "RUN MEMBER", 2, 2, "let a member that failed without a change try again",
     "kedge run retry 7 server@n3", reason_options, cmd_run_retry},
    {"run", "skip", "RUN MEMBER", 2, 2, "sign: leave a member out of the rest of the run",
     "kedge run skip 7 server@n3 --reason 'disk is being replaced' --key alice.key", word_options,
     cmd_run_skip},
    {"run", "retire", "RUN MEMBER", 2, 2, "sign: a member is gone for good, nothing waits for it",
     "kedge run retire 7 server@n3 --reason 'host burnt down' --key alice.key", word_options, cmd_run_retire},
    {"run", "promote", "RUN MEMBER", 2, 2, "sign: end a read-only soak now; of a done canary: begin the rest",
     "kedge run promote 7 server@n3 --reason 'seen enough' --key alice.key", word_options, cmd_run_promote},
    {"run", "waive", "RUN MEMBER GATE", 3, 3, "sign: one gate does not keep one member from being stopped",
     "kedge run waive 7 server@n3 in-sync --reason 'known' --for 30m --key alice.key", word_options,
     cmd_run_waive},
    {"run", "report", "[RUN]", 0, 1, "for the change board: planned, done, by whom, all evidence",
     "kedge run report 7 --json", NULL, cmd_run_report},

    {"status", NULL, "", 0, 0, "what runs, what waits and why, what needs somebody", "kedge status", NULL,
     cmd_status},
    {"demo", NULL, "[OPTIONS]", 0, CLI_WORDS_MAX, "upgrade a small cluster before your eyes",
     "kedge demo --fail", NULL, cmd_demo},
    {"explain", NULL, "[CODE]", 0, 1, "what a problem, a warning, a gate means, and what to do",
     "kedge explain disk-room", explain_options, cmd_explain},
    {"completion", NULL, "bash|zsh", 1, 1, "print the completion script of a shell",
     "kedge completion bash > /etc/bash_completion.d/kedge", NULL, cmd_completion},
    {"version", NULL, "", 0, 0, "print the version", "kedge version", NULL, cmd_version},
    {"help", NULL, "[NOUN [VERB]]", 0, 2, "explain a command", "kedge help run pause", NULL, cmd_help},
};
const size_t n_cli_commands = ARRAY_LEN(cli_commands);

const struct cli_noun cli_nouns[] = {
    {"key", "keys that people and build systems sign with"},
    {"node", "hosts and their agents"},
    {"cluster", "what is upgraded: adopt, add, look at, check"},
    {"release", "what it is upgraded to: cut, add, look at"},
    {"plan", "compute from the live cluster what an upgrade would do"},
    {"approve", "show the page of a plan and sign it"},
    {"apply", "begin the run of an approved plan"},
    {"rehearse", "play a plan against a model, with faults: never touches the cluster"},
    {"run", "watch, pause, resume, abort, retry, skip, waive, roll back, report"},
    {"status", "what runs, what waits and why, what needs somebody"},
    {"demo", "upgrade a small cluster before your eyes"},
    {"explain", "what a problem, a warning, a gate means"},
    {"completion", "completion scripts for bash and zsh"},
    {"version", "print the version"},
    {"help", "explain a command: kedge help run pause"},
};
const size_t n_cli_nouns = ARRAY_LEN(cli_nouns);
