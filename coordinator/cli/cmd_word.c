/* Words about one member of a run. What weakens the plan is written, shown and signed here, and kedged passes it on: it
 * has no key with which it could say so itself. Cluster and plan come from kedged, so they are on the page that the
 * person reads before the signature; an agent accepts the word for that plan alone. */
#include "coordinator/cli/view.h"
#include "coordinator/cli/passphrase.h"
#include "common/plan/encoding.h"
#include "common/plan/word.h"

#include <string.h>
#include <time.h>

enum { WAIVE_S = 30 * 60 };

/* ---- what is said ---- */

int cli_life(struct cli *cli, const char *text, uint64_t max_s, uint64_t *outp) {
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}};
    char *end = NULL;
    errno = 0;
    unsigned long n = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    for (size_t i = 0; n > 0 && n <= max_s && errno == 0 && i < ARRAY_LEN(units); i++)
        if (end[0] == units[i].unit && !end[1] && n * units[i].seconds <= max_s) {
            *outp = n * units[i].seconds;
            return 0;
        }
    return error_set(cli->err, -EINVAL, "--for %s: expected 90s, 30m or 2h, at most %llu h", text,
                     (unsigned long long)max_s / 3600);
}

/* "store@n1" stands for "shop/store@n1". */
static const char *member_name(struct cli *cli, const char *cluster, const char *given) {
    const char *name = strchr(given, '/') ? arena_text(cli->arena, given)
                                          : arena_format(cli->arena, "%s/%s", cluster, given);
    return name ? name : "";
}

static int run_ask(struct cli *cli, struct word *word) {
    struct call call = {.verb = "run show"};
    call_argument(&call, "run", cli->arguments[0]);
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    const json_t *run = json_object_get(reply.json, "run");
    word->cluster = arena_text(cli->arena, json_text(run, "cluster"));
    word->serial = (uint64_t)json_number(run, "serial");
    return word->cluster ? 0 : error_set(cli->err, -ENOMEM, "out of memory");
}

static int word_make(struct cli *cli, enum word_kind kind, struct word *word) {
    const char *life = cli_option(cli, "for"), *reason;
    uint64_t now_s = (uint64_t)time(NULL), life_s = kind == WORD_WAIVE ? WAIVE_S : WORD_LIFE_S_MAX;
    int r = cli_option_needed(cli, "reason", &reason);
    if (r == 0 && life)
        r = cli_life(cli, life, WORD_LIFE_S_MAX, &life_s);
    if (r < 0)
        return r;
    *word = (struct word){.format = 1,
                          .kind = kind,
                          .gate = kind == WORD_WAIVE ? cli->arguments[2] : "",
                          .reason = reason,
                          .author = cli_user_name(),
                          .created_s = now_s,
                          .expires_s = now_s + life_s};
    r = run_ask(cli, word);
    if (r != 0)
        return r;
    word->member = member_name(cli, word->cluster, cli->arguments[1]);
    return word_check(word, cli->err);
}

/* ---- what is signed ---- */

static const char *meaning(enum word_kind kind) {
    switch (kind) {
    case WORD_WAIVE:
        return "Its answer no or unknown will not keep the member from being stopped. What is asked after "
               "the start is asked as before.";
    case WORD_SKIP:
        return "Nothing more is begun with it in this run; what runs there now stays, and counts as skipped.";
    case WORD_RETIRE: return "It counts as gone for good: nothing is asked of it, nothing waits for it.";
    case WORD_PROMOTE:
        return "It is promoted without the rest of its soak; of a canary that is done: the waves after it "
               "begin.";
    }
    return "";
}

static void word_print(const struct word *word) {
    char text[KEDGE_REASON_MAX];
    word_text(word, text, sizeof(text));
    printf("%s\n  cluster  %s, plan %llu\n  until    %s\n  reason   %s\n  author   %s\n%s\n", text,
           word->cluster, (unsigned long long)word->serial, text_time((int64_t)word->expires_s * 1000).s,
           word->reason, word->author, meaning(word->kind));
}

/* Each --key signs: as many as the agents ask for. */
static int keys_sign(struct cli *cli, struct signed_blob *blob) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < cli->n_options; i++) {
        _cleanup_(key_pair_deinit) struct key_pair key = {0};
        if (strcmp(cli->options[i].name, "key") != 0)
            continue;
        r = cli_key_load(cli, cli->options[i].value, &key);
        if (r == 0)
            r = signed_blob_sign(blob, &key, cli->err);
    }
    return r;
}

static int word_sign(struct cli *cli, const struct word *word, struct buffer *out) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    struct signed_blob blob = {.context = TRUST_OPERATOR_WORD};
    int r = codec_encode(&word_codec, word, &bytes, cli->err);
    if (r == 0 && bytes.failed)
        r = error_set(cli->err, -ENOMEM, "out of memory");
    if (r < 0)
        return r;
    blob.bytes = buffer_bytes(&bytes);
    r = keys_sign(cli, &blob);
    if (r == 0)
        signed_blob_encode(out, &blob);
    return r == 0 && out->failed ? error_set(cli->err, -ENOMEM, "out of memory") : r;
}

static int say(struct cli *cli, struct call *call) {
    call_argument(call, "run", cli->arguments[0]);
    call_argument(call, "by", cli_user_name());
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    const json_t *run = json_object_get(reply.json, "run");
    _cleanup_(buffer_deinit) struct buffer state = {0};
    view_run_state(&state, run);
    view_still_paused(&state, run);
    printf("run %lld: %s\n", (long long)json_number(run, "id"), state.data ? (const char *)state.data : "");
    return EXIT_DONE;
}

static int signed_word(struct cli *cli, enum word_kind kind, const char *verb) {
    const char *key;
    struct word word;
    _cleanup_(buffer_deinit) struct buffer blob = {0};
    int r = cli_option_needed(cli, "key", &key);
    if (r == 0)
        r = word_make(cli, kind, &word);
    if (r != 0)
        return r;
    if (!cli->json)
        word_print(&word);
    r = cli_confirm(cli, "Sign this?");
    if (r == 0)
        r = word_sign(cli, &word, &blob);
    if (r < 0)
        return r;
    struct bytes blobs[] = {buffer_bytes(&blob)};
    struct call call = {.verb = verb, .blobs = blobs, .n_blobs = ARRAY_LEN(blobs)};
    return say(cli, &call);
}

int cmd_run_skip(struct cli *cli) {
    return signed_word(cli, WORD_SKIP, "run skip");
}

int cmd_run_retire(struct cli *cli) {
    return signed_word(cli, WORD_RETIRE, "run retire");
}

int cmd_run_promote(struct cli *cli) {
    return signed_word(cli, WORD_PROMOTE, "run promote");
}

int cmd_run_waive(struct cli *cli) {
    return signed_word(cli, WORD_WAIVE, "run waive");
}

/* ---- what goes on with what was signed ---- */

int cmd_run_retry(struct cli *cli) {
    struct word word = {0};
    int r = run_ask(cli, &word);
    if (r != 0)
        return r;
    struct call call = {.verb = "run retry"};
    call_argument(&call, "member", member_name(cli, word.cluster, cli->arguments[1]));
    call_argument(&call, "reason", cli_option(cli, "reason"));
    return say(cli, &call);
}
