/* Operators' words at one agent, over a real process: what a word makes pass and what it stops, and that nothing but a
 * word of this agent's own operators does. */
#include "tests/unit/test.h"

#include "tests/scenario/agent_world.h"

#include "common/plan/word.h"

static const char *releases, *prober;

__attribute__((constructor)) static void begin(void) {
    releases = getenv("KEDGE_STORE_RELEASES");
    prober = getenv("KEDGE_PROBER");
}

static bool ready(struct agent_world *w) {
    return world_init(w, releases, "1.1.0") && world_agent_start(w, prober) && world_adopt(w);
}

static void is_outcome(const struct report *report, enum outcome outcome) {
    require(report != NULL);
    check_eq_str(outcome_text(report->outcome), outcome_text(outcome));
    if (report->outcome != outcome)
        printf("# %s\n", report->reason);
}

static struct word word_of(enum word_kind kind) {
    return (struct word){.format = 1,
                         .kind = kind,
                         .cluster = "c",
                         .serial = 1,
                         .member = "c/store@n1",
                         .gate = kind == WORD_WAIVE ? "never" : "",
                         .reason = "it is known",
                         .author = "lena",
                         .created_s = clock_wall_s() - 1,
                         .expires_s = clock_wall_s() + 600};
}

static void say_as(struct agent_world *w, const struct word *word, enum trust_context context,
                   const struct key_pair *key) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0}, out = {0};
    struct error err;
    struct signed_blob blob = {.context = context};
    if (codec_encode(&word_codec, word, &bytes, &err) < 0)
        abort();
    blob.bytes = buffer_bytes(&bytes);
    if (key && signed_blob_sign(&blob, key, &err) < 0)
        abort();
    signed_blob_encode(&out, &blob);
    message_receive(w->executor,
                    &(struct verified_message){.type = MESSAGE_WORD, .bytes = buffer_bytes(&out)});
}

static void say(struct agent_world *w, const struct word *word) {
    say_as(w, word, TRUST_OPERATOR_WORD, &w->operator_key);
}

/* The next refusal of a step, which is sent and not kept: nothing may follow from the order. */
static void is_refused(struct agent_world *w, const char *step) {
    uint64_t seq = journal_seq(w->executor->journal);
    const struct member *m = executor_member(w->executor, "c/store@n1");
    world_send(w, step, NULL, NULL);
    while (sd_event_run(w->executor->loop, 0) > 0)
        ;
    check_eq_int(journal_seq(w->executor->journal), seq);
    check(!m->incoming && !machine_is_busy(&m->machine));
}

static const struct evidence *evidence_of(const struct report *report, const char *gate) {
    for (size_t i = 0; report && i < report->n_evidence; i++)
        if (strcmp(report->evidence[i].gate, gate) == 0)
            return &report->evidence[i];
    return NULL;
}

TEST("F06 A14 a gate that stays no: only a word of this node's operators sets it aside, and the report says "
     "so") {
    struct agent_world w;
    struct key_pair coordinator;
    require(ready(&w));
    key_pair_generate(&coordinator);
    w.rows[1][0].gates = &w.gate_digests[2];
    world_sign(&w);
    is_outcome(world_order(&w, "prepare"), OUTCOME_DONE);
    is_outcome(world_order(&w, "switch"), OUTCOME_WAITS);

    /* what a coordinator can send without the operators */
    struct word word = word_of(WORD_WAIVE), other;
    uint64_t seq = journal_seq(w.executor->journal);
    say_as(&w, &word, TRUST_OPERATOR_WORD, NULL);
    say_as(&w, &word, TRUST_OPERATOR_WORD, &coordinator);
    say_as(&w, &word, TRUST_OPERATOR_WORD, &w.release_key);
    say_as(&w, &word, TRUST_OPERATOR_PLAN, &w.operator_key);
    other = word;
    other.created_s = clock_wall_s() - 1000;
    other.expires_s = clock_wall_s() - 1;
    say(&w, &other);
    other = word;
    other.cluster = "d";
    other.member = "d/store@n1";
    say(&w, &other);
    other = word;
    other.member = "c/store@n2";
    say(&w, &other);
    check_eq_int(journal_seq(w.executor->journal), seq);
    is_outcome(world_order(&w, "switch"), OUTCOME_WAITS);

    /* rightly signed, and about something else: kept, and of no use here */
    other = word;
    other.gate = "read-write";
    say(&w, &other);
    other = word;
    other.serial = 2;
    say(&w, &other);
    check(journal_seq(w.executor->journal) > seq);
    is_outcome(world_order(&w, "switch"), OUTCOME_WAITS);
    check(world_counts(&w, "stopped", 0));

    say(&w, &word);
    const struct report *report = world_order(&w, "switch");
    is_outcome(report, OUTCOME_DONE);
    const struct evidence *evidence = evidence_of(report, "never");
    require(evidence != NULL);
    check_contains(evidence->reason, "waived by lena until 20");
    check_contains(evidence->reason, "it is known (it said no: it is not never)");
    check_eq_str(world_answer(&w), "1.1.0 read-only");
    world_deinit(&w);
}

TEST("F06 a waiver that is over, or taken back by a later word, lets nothing pass; one outlives the agent") {
    struct agent_world w;
    require(ready(&w));
    w.rows[1][0].gates = &w.gate_digests[2];
    world_sign(&w);
    is_outcome(world_order(&w, "prepare"), OUTCOME_DONE);

    struct word word = word_of(WORD_WAIVE), later = word;
    say(&w, &word);
    later.created_s = clock_wall_s();
    later.expires_s = clock_wall_s() + 1;
    say(&w, &later);
    say(&w, &word); /* the older one again changes nothing */
    while (clock_wall_s() <= later.expires_s)
        (void)sd_event_run(w.executor->loop, 50000);
    is_outcome(world_order(&w, "switch"), OUTCOME_WAITS);

    word = word_of(WORD_WAIVE);
    say(&w, &word);
    world_agent_stop(&w);
    require(world_agent_start(&w, prober));
    is_outcome(world_order(&w, "switch"), OUTCOME_DONE);
    world_deinit(&w);
}

TEST("F06 a waiver is for the question before the stop: neither a sample nor a proof after the start is "
     "waived") {
    struct agent_world w;
    require(ready(&w));
    w.rows[1][6].gates = &w.gate_digests[2];
    w.rows[1][6].deadline_ms = 200;
    world_sign(&w);
    is_outcome(world_order(&w, "prepare"), OUTCOME_DONE);
    struct word word = word_of(WORD_WAIVE);
    say(&w, &word);
    is_outcome(world_order(&w, "switch"), OUTCOME_RETURNED);
    check_eq_str(world_answer(&w), "1.0.0 read-write");

    const struct member *m = executor_member(w.executor, "c/store@n1");
    char text[KEDGE_REASON_MAX];
    word.gate = "read-back";
    say(&w, &word);
    check(!operator_word_waives(m->executor, &w.order, &w.gates[3], text, sizeof(text)));
    check(operator_word_waives(m->executor, &w.order, &w.gates[2], text, sizeof(text)));
    world_deinit(&w);
}

TEST("F08 a member that was skipped: nothing more is begun with it in this plan, but its way back") {
    struct agent_world w;
    require(ready(&w));
    is_outcome(world_order(&w, "prepare"), OUTCOME_DONE);
    is_outcome(world_order(&w, "switch"), OUTCOME_DONE);
    struct word word = word_of(WORD_SKIP);
    say(&w, &word);
    is_refused(&w, "promote");
    check_eq_str(world_answer(&w), "1.1.0 read-only");
    is_outcome(world_order(&w, "return"), OUTCOME_DONE);
    check_eq_str(world_answer(&w), "1.0.0 read-write");

    /* the next plan begins with a clean sheet */
    w.order.serial = 2;
    world_sign(&w);
    is_outcome(world_order(&w, "prepare"), OUTCOME_DONE);
    check(journal_next(w.executor->journal, RECORD_WORD, "c/") == NULL);
    say(&w, &word); /* of a plan that was overtaken */
    check(journal_next(w.executor->journal, RECORD_WORD, "c/") == NULL);
    world_deinit(&w);
}

TEST("F08 a member that was retired is not touched any more; an early promotion is noted") {
    struct agent_world w;
    require(ready(&w));
    struct word promote = word_of(WORD_PROMOTE), retire = word_of(WORD_RETIRE);
    uint64_t seq = journal_seq(w.executor->journal);
    say(&w, &promote);
    check(journal_seq(w.executor->journal) > seq);
    is_outcome(world_order(&w, "prepare"), OUTCOME_DONE);
    say(&w, &retire);
    is_refused(&w, "switch");
    check(world_counts(&w, "stopped", 0));
    world_deinit(&w);
}
