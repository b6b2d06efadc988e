/* plan, approve, apply: kedged computes, a person reads and signs here, kedged runs. The plan file is checked by the same
 * code on the way out and on the way in (common/plan/verify.h); its page comes from the file, not from kedged's words. */
#include "coordinator/cli/client.h"
#include "coordinator/cli/passphrase.h"
#include "coordinator/cli/plan_file.h"
#include "coordinator/cli/plan_short.h"
#include "coordinator/control/plan_page.h"
#include "common/base/file.h"
#include "common/plan/encoding.h"
#include "common/plan/verify.h"

#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

/* ---- the page ---- */

static unsigned page_width(void) {
    struct winsize window;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 110;
}

static int page_make(struct cli *cli, const struct verified_plan *plan, struct buffer *page) {
    char *text = NULL;
    size_t size = 0;
    if (cli_flag(cli, "short")) {
        plan_short(plan, page);
        return page->failed ? -ENOMEM : 0;
    }
    FILE *file = open_memstream(&text, &size);
    int r = file ? plan_page(plan, page_width(), file) : -ENOMEM;
    if (file && fclose(file) != 0)
        r = -ENOMEM;
    if (r == 0)
        buffer_append(page, text, size);
    free(text);
    return page->failed ? -ENOMEM : r;
}

static int page_print(struct cli *cli, const struct verified_plan *plan) {
    _cleanup_(buffer_deinit) struct buffer page = {0};
    int r = page_make(cli, plan, &page);
    _cleanup_(freep) char *clean = r == 0 ? text_clean(page.data ? (const char *)page.data : "", true) : NULL;
    if (!clean)
        return error_set(cli->err, -ENOMEM, "out of memory");
    fputs(clean, stdout);
    return 0;
}

/* ---- plan ---- */

/* "+2h", "2026-01-31T22:00Z" or seconds since 1970; *outp is seconds since 1970 as text. */
static int time_parse(struct cli *cli, const char *option, const char *text, const char **outp) {
    static const struct {
        char unit;
        long long seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    long long at = -1;
    errno = 0;
    if (text[0] == '+') {
        long long n = strtoll(text + 1, &end, 10);
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            if (end > text + 1 && n >= 0 && n < 100000 && end[0] == units[i].unit && !end[1])
                at = (long long)time(NULL) + n * units[i].seconds;
    } else {
        struct tm tm = {0};
        const char *rest = strptime(text, "%Y-%m-%dT%H:%M", &tm);
        rest = rest && *rest == ':' ? strptime(rest, ":%S", &tm) : rest;
        if (rest && strcmp(rest, "Z") == 0)
            at = timegm(&tm);
    }
    if (at < 0 || errno == ERANGE)
        return error_set(cli->err, -EINVAL, "--%s %s: expected +2h or 2026-01-31T22:00Z", option, text);
    *outp = arena_format(cli->arena, "%lld", at);
    return *outp ? 0 : error_set(cli->err, -ENOMEM, "out of memory");
}

/* Options that go to kedged as they are; kedged and its planner judge them. */
static const struct {
    const char *option, *argument;
} passed_on[] = {{"canary", "canary"},
                 {"limit", "limit"},
                 {"soak", "soak"},
                 {"soak-read-only", "soak-read-only"},
                 {"wait-limit", "wait-limit"},
                 {"on-inconclusive", "on-inconclusive"},
                 {"on-abort", "on-abort"},
                 {"budget", "budget"},
                 {"hold-limit", "hold-limit"},
                 {"config", "config"},
                 {"change", "change"},
                 {"set", "choice"},
                 {"consent", "consent"},
                 {"ticket", "ticket"},
                 {"reason", "reason"},
                 {"supersede", "supersede"},
                 {"depends-on", "depends-on"},
                 {"lift-quarantine", "lift-quarantine"},
                 {"urgent", "urgent"}};

static int plan_request(struct cli *cli, struct call *call) {
    const char *to, *not_before = NULL, *not_after = NULL;
    const char *strategy = cli_option(cli, "strategy"), *author = cli_option(cli, "author");
    int r = cli_option_needed(cli, "to", &to);
    if (r == 0 && cli_option(cli, "not-before"))
        r = time_parse(cli, "not-before", cli_option(cli, "not-before"), &not_before);
    if (r == 0)
        r = time_parse(cli, "not-after", cli_option(cli, "not-after") ? cli_option(cli, "not-after") : "+7d",
                       &not_after);
    if (r < 0)
        return r;
    call_argument(call, "cluster", cli->arguments[0]);
    call_argument(call, "to", to);
    call_argument(call, "strategy", strategy);
    call_argument(call, "author", author ? author : cli_user_name());
    call_argument(call, "not-before", not_before);
    call_argument(call, "not-after", not_after);
    call_argument(call, "approve-after-canary", cli_flag(cli, "approve-after-canary") ? "yes" : NULL);
    for (size_t i = 0; i < cli->n_options; i++)
        for (size_t k = 0; k < ARRAY_LEN(passed_on); k++)
            if (strcmp(cli->options[i].name, passed_on[k].option) == 0)
                call_argument(call, passed_on[k].argument, cli->options[i].value);
    return 0;
}

static int plan_show(struct cli *cli, const struct reply *reply, const struct verified_plan *plan,
                     const char *path) {
    char digest[KEDGE_DIGEST_TEXT_SIZE];
    digest_format(digest, &plan->digest);
    if (cli->json) {
        _cleanup_(freep) char *text = plan_json(plan);
        json_t *content = text ? json_loads(text, 0, NULL) : NULL;
        json_object_set_new(reply->json, "file", json_string(path));
        json_object_set_new(reply->json, "digest", json_string(digest));
        if (content)
            json_object_set_new(reply->json, "content", content);
        return json_print(reply->json);
    }
    int r = page_print(cli, plan);
    if (r < 0)
        return r;
    printf("\nwritten to %s; nothing was changed. A model shows what it does:\n  kedge rehearse %s\n"
           "Who agrees, signs it:\n  kedge approve %s --key KEY\n",
           path, path, path);
    return EXIT_DONE;
}

int cmd_plan(struct cli *cli) {
    struct call call = {.verb = "plan"};
    char path[KEDGE_PATH_MAX + 1];
    const char *to = cli_option(cli, "out");
    if (to)
        snprintf(path, sizeof(path), "%s", to);
    else
        snprintf(path, sizeof(path), "%s.plan", cli->arguments[0]);
    _cleanup_(reply_deinit) struct reply reply = {0};
    _cleanup_(verified_plan_freep) struct verified_plan *plan = NULL;
    int r = plan_request(cli, &call);
    if (r == 0)
        r = client_call(cli, &call, &reply);
    if (r == 0 && reply.n_blobs != 1)
        r = error_set(cli->err, -EBADMSG, "kedged answered without a plan: %s", reply.text);
    if (r == 0)
        r = plan_check(cli, reply.blobs[0], &plan);
    if (r == 0)
        r = file_write(path, reply.blobs[0], 0644, cli->err);
    return r != 0 ? r : plan_show(cli, &reply, plan, path);
}

/* ---- approve ---- */

/* Puts one more signature into the plan file. */
static int plan_sign(struct cli *cli, const char *path, struct bytes file, const struct key_pair *key) {
    struct plan *plan;
    struct signed_blob blob;
    _cleanup_(buffer_deinit) struct buffer header = {0}, out = {0};
    int r = codec_decode(&plan_codec, file, cli->arena, &plan, cli->err);
    if (r == 0)
        r = signed_blob_decode(&blob, plan->header, cli->err);
    if (r == 0)
        r = signed_blob_sign(&blob, key, cli->err);
    if (r < 0)
        return error_context(cli->err, r, "%s", path);
    signed_blob_encode(&header, &blob);
    plan->header = buffer_bytes(&header);
    r = codec_encode(&plan_codec, plan, &out, cli->err);
    if (r == 0 && (header.failed || out.failed))
        r = error_set(cli->err, -ENOMEM, "out of memory");
    return r == 0 ? file_write(path, buffer_bytes(&out), 0644, cli->err) : r;
}

int cmd_approve(struct cli *cli) {
    const char *path = cli->arguments[0], *key_path;
    _cleanup_(key_pair_deinit) struct key_pair key = {0};
    _cleanup_(buffer_deinit) struct buffer file = {0};
    _cleanup_(verified_plan_freep) struct verified_plan *plan = NULL;
    int r = cli_option_needed(cli, "key", &key_path);
    if (r == 0)
        r = plan_read(cli, path, &file, &plan);
    if (r == 0)
        r = cli_key_load(cli, key_path, &key);
    if (r == 0 && !cli->json)
        r = page_print(cli, plan);
    if (r == 0)
        r = cli_confirm(cli, "Sign this plan?");
    if (r == 0)
        r = plan_sign(cli, path, buffer_bytes(&file), &key);
    if (r != 0)
        return r;
    char digest[KEDGE_DIGEST_TEXT_SIZE], fingerprint[KEDGE_FINGERPRINT_TEXT_SIZE];
    digest_format(digest, &plan->digest);
    public_key_fingerprint(fingerprint, &key.public);
    if (cli->json) {
        _cleanup_(json_freep) json_t *json =
            json_pack("{s:s, s:s, s:s, s:I}", "file", path, "digest", digest, "signed_by", fingerprint,
                      "signatures", (json_int_t)plan->n_signatures + 1);
        return json_print(json);
    }
    printf("signed %s\nby     %s (signature %zu of this plan)\nnext   kedge apply %s --watch\n", digest,
           fingerprint, plan->n_signatures + 1, path);
    return EXIT_DONE;
}

/* ---- apply ---- */

int cmd_apply(struct cli *cli) {
    _cleanup_(buffer_deinit) struct buffer file = {0};
    _cleanup_(verified_plan_freep) struct verified_plan *plan = NULL;
    int r = plan_read(cli, cli->arguments[0], &file, &plan);
    if (r == 0 && plan->n_signatures == 0)
        r = error_set(cli->err, -EPERM,
                      "%s is not signed; read and sign it first: kedge approve %s --key KEY",
                      cli->arguments[0], cli->arguments[0]);
    if (r < 0)
        return r;
    struct bytes blobs[] = {buffer_bytes(&file)};
    struct call call = {.verb = "apply", .blobs = blobs, .n_blobs = ARRAY_LEN(blobs)};
    call_argument(&call, "by", cli_user_name());
    _cleanup_(reply_deinit) struct reply reply = {0};
    r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    const json_t *run = json_object_get(reply.json, "run");
    const char *id = json_id(cli, run, "id");
    if (!cli_flag(cli, "watch")) {
        if (cli->json)
            return json_print(reply.json);
        printf("run %s has begun; kedge run watch %s shows it\n", id, id);
        return EXIT_DONE;
    }
    if (!cli->json)
        printf("run %s has begun\n", id);
    return run_watch(cli, id, true);
}
