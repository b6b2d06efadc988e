/* What people see of a run: why a member waits, since when, and what happens if it goes on; what fits a screen. */
#include "coordinator/cli/view.h"
#include "tests/unit/test.h"

#include "common/base/file.h"

#include <locale.h>
#include <time.h>

enum { NOW = 1000000000 };

static const char waiting[] =
    "{'id': 7, 'cluster': 'shop', 'from': '4.5.0', 'to': '4.5.1', 'strategy': 'canary,rolling', 'state': "
    "'waves',"
    " 'started_ms': 999000000, 'approved_by': ['1a2b'],"
    " 'budget': {'failed': 0, 'failed_max': 0, 'unreachable': 0, 'held': 0, 'skipped': 0},"
    " 'waves': [{'name': 'canary', 'limit': 1, 'members': ['shop/server@n1']},"
    "           {'name': 'rolling', 'limit': 1, 'members': ['shop/server@n21']}],"
    " 'side_actions': [{'name': 'recovery-delay', 'state': 'open', 'ours': '3600', 'previous': '0',"
    "                   'since_ms': 999990000}],"
    " 'members': ["
    "  {'name': 'shop/server@n1', 'node': 'n1', 'state': 'done', 'since_ms': 999990000, 'mode': 'read-write',"
    "   'version': '4.5.1', 'interruption_us': 12345},"
    "  {'name': 'shop/server@n21', 'node': 'n21', 'state': 'prepared', 'since_ms': 999627999, 'mode': "
    "'read-write',"
    "   'version': '4.5.0', 'headline': 'WAITS to stop', 'then': 'the run pauses, nothing else', 'limit_ms': "
    "1001427999, "
    "'gates': ["
    "    {'gate': 'under-replicated', 'answer': 'yes', 'reason': '0 new'},"
    "    {'gate': 'writable', 'answer': 'no', 'reason': 'zone b would keep 2, clients need 3', 'asked': "
    "'n3'},"
    "    {'gate': 'entries', 'answer': 'yes', 'reason': 'read back 40/40'}]}]}";

/* JSON with ' for ", so that it can be read here. */
static json_t *document(const char *text) {
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_error_t problem;
    json_t *json = json_loads(copy, 0, &problem);
    if (!json)
        printf("# %s\n", problem.text);
    free(copy);
    return json;
}

static size_t count_lines(const struct buffer *text) {
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++)
        n += text->data[i] == '\n';
    return n;
}

TEST("F29 a member that waits says why, since when, and what happens if it goes on") {
    setlocale(LC_CTYPE, "C.UTF-8");
    json_t *run = document(waiting);
    struct buffer out = {0};
    require(run);
    view_wait(&out, run, json_array_get(json_object_get(run, "members"), 1), NOW, 9);
    check_eq_str((const char *)out.data,
                 "server@n21  WAITS to stop, 6 m 12 s (at 30 m 0 s the run pauses, nothing else)\n"
                 "     no      writable: zone b would keep 2, clients need 3 (asked n3)\n"
                 "     yes     under-replicated (0 new), entries (read back 40/40)\n"
                 "     n21 itself is up, read-write, on 4.5.0: waiting hurts nobody\n");
    buffer_deinit(&out);
    json_decref(run);
}

TEST("F29 the view of a run shows state, waves, members, side actions and budget") {
    json_t *run = document(waiting);
    struct buffer out = {0};
    require(run);
    view_run(&out, run, NOW, VIEW_WHOLE);
    const char *text = (const char *)out.data;
    check_contains(text, "run 7  shop  4.5.0 -> 4.5.1  canary,rolling  WAVES, 16 m 40 s");
    check_contains(text, "wave canary 1 of 1, 1 at once   wave rolling 0 of 1");
    check_contains(text, "server@n1");
    check_contains(text, "12.3 ms");
    check_contains(text, "side action recovery-delay: open, now 3600, goes back to 0, since 10 s");
    check_contains(text, "budget: failed 0 of 0");
    check_contains(text, "WAITS to stop");
    buffer_deinit(&out);
    json_decref(run);
}

TEST("F26 F29 the view of a run shows every budget, and every reason of a pause on a line of its own") {
    json_t *run = document(
        "{'id': 9, 'cluster': 'shop', 'state': 'waves', 'paused': true, 'started_ms': 999990000,"
        " 'reason': 'paused: a; b', 'pauses': [{'text': 'bob: lunch'}, {'text': 'shop/server@n2 failed'}],"
        " 'budget': {'failed': 3, 'failed_max': 2, 'unreachable': 1, 'skipped': 0, 'skipped_max': 4, 'held': "
        "0,"
        "            'held_max': 0, 'retired': 1},"
        " 'waves': [{'name': 'canary', 'members': []},"
        "           {'name': 'rolling', 'members': [], 'budget': {'failed': 3, 'failed_max': 1}}]}");
    struct buffer out = {0};
    require(run);
    view_run(&out, run, NOW, VIEW_WHOLE);
    check_contains((const char *)out.data, "paused: bob: lunch\npaused: shop/server@n2 failed\n");
    check_contains((const char *)out.data,
                   "budget: failed 3 of 2, unreachable 1, held 0 of 0, skipped 0 of 4, "
                   "retired 1; wave rolling: failed 3 of 1\n");
    buffer_clear(&out);
    view_still_paused(&out, run);
    check_eq_str((const char *)out.data, "\nstill paused: bob: lunch\nstill paused: shop/server@n2 failed\n"
                                         "`kedge run resume` lets it go on");
    buffer_clear(&out);
    view_report(&out, run);
    check_contains((const char *)out.data, "  budget       failed 3 of 2, unreachable 1");
    buffer_deinit(&out);
    json_decref(run);
}

TEST("F29 the live view of five members fits 24 lines, of a thousand too") {
    json_t *run = document(waiting);
    require(run);
    json_t *members = json_object_get(run, "members"), *waits = json_array_get(members, 1);
    for (int i = 0; i < 3; i++)
        json_array_append(members, waits);
    struct buffer out = {0};
    view_run(&out, run, NOW, VIEW_LIVE);
    check(count_lines(&out) + 5 <= 24); /* and five events below it */
    buffer_clear(&out);
    json_t *done = json_array_get(members, 0);
    for (int i = 0; i < 1000; i++)
        json_array_append(members, done);
    view_run(&out, run, NOW, VIEW_LIVE);
    check(count_lines(&out) + 5 <= 24);
    check_contains((const char *)out.data, "(1001 more: done, or not begun)");
    buffer_deinit(&out);
    json_decref(run);
}

TEST("what is missing in a document is left out, and nothing breaks") {
    json_t *run = document("{}");
    struct buffer out = {0};
    view_run(&out, run, NOW, VIEW_WHOLE);
    view_report(&out, run);
    view_event(&out, run, run);
    view_wait(&out, run, run, NOW, 3);
    check(!out.failed);
    buffer_deinit(&out);
    json_decref(run);
}

TEST("F29 an ended run says how and why") {
    json_t *run = document(
        "{'id': 8, 'cluster': 'shop', 'state': 'ended', 'started_ms': 999990000, 'ended_ms': 999999000,"
        " 'verdict': {'result': 'failed', 'text': 'shop/server@n1 was returned: key \\\"x\\\"'}}");
    struct buffer out = {0};
    require(run);
    view_run(&out, run, NOW, VIEW_WHOLE);
    check_contains((const char *)out.data, "ENDED: failed, 9.0 s");
    check_contains((const char *)out.data, "shop/server@n1 was returned");
    buffer_clear(&out);
    view_report(&out, run);
    check_contains((const char *)out.data, "verdict      failed: shop/server@n1 was returned");
    buffer_deinit(&out);
    json_decref(run);
}

/* ---- the report ---- */

static void file_get(struct buffer *out, const char *name) {
    char path[512];
    struct error err;
    snprintf(path, sizeof(path), "%s/tests/unit/golden/%s", getenv("KEDGE_SOURCE"), name);
    check(file_read(path, 1 << 20, out, &err) == 0);
}

static json_t *report_run(void) {
    struct buffer text = {0};
    file_get(&text, "run-report.json");
    json_t *run = json_loads(text.data ? (const char *)text.data : "", 0, NULL);
    buffer_deinit(&text);
    setlocale(LC_CTYPE, "C.UTF-8");
    setenv("TZ", "UTC0", 1);
    tzset();
    return run;
}

/* After a change that is meant: KEDGE_GOLDEN_WRITE=1 KEDGE_SOURCE=. build/tests/test_cli_view, then read the diff. */
TEST("F29 F37 the report for the change board, word for word") {
    json_t *run = report_run();
    require(run);
    struct buffer out = {0}, want = {0};
    view_report(&out, run);
    if (getenv("KEDGE_GOLDEN_WRITE")) {
        FILE *f = fopen("tests/unit/golden/run-report.txt", "w");
        check(f && fwrite(out.data, 1, out.len, f) == out.len);
        if (f)
            fclose(f);
    }
    file_get(&want, "run-report.txt");
    check_eq_str((const char *)out.data, (const char *)want.data);
    buffer_deinit(&out);
    buffer_deinit(&want);
    json_decref(run);
}

static size_t count_text(const char *text, const char *what) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

TEST("F37 every page of a report has 60 lines, none too wide, and the digest of the plan") {
    json_t *run = report_run();
    require(run);
    json_t *members = json_object_get(run, "members");
    for (int i = 0; i < 300; i++)
        json_array_append(members, json_array_get(members, 2));
    json_object_set_new(run, "plan_reason",
                        json_string("\xc3\xa4\xc3\xb6\xc3\xbc-without-any-blank-\xc3\xa4\xc3\xb6\xc3\xbc-"
                                    "that-is-wider-than-a-page-of-one-hundred-columns-and-must-go-on-below-"
                                    "somehow"));
    struct buffer out = {0};
    view_report(&out, run);
    size_t n_lines = count_lines(&out), n_pages = (n_lines + REPORT_LINES - 1) / REPORT_LINES;
    char last[64];
    snprintf(last, sizeof(last), "page %zu of %zu\n", n_pages, n_pages);
    check(n_pages > 30);
    check_contains((const char *)out.data, last);
    check(count_text((const char *)out.data, json_text(run, "plan")) == n_pages);
    size_t i = 0;
    for (char *line = (char *)out.data; *line; i++) {
        size_t len = strcspn(line, "\n");
        line[len] = 0;
        if (i % REPORT_LINES == 0)
            check_contains(line, "Kedge, report of run 7: cluster books, 4.5.0 -> 4.5.1");
        if (i % REPORT_LINES == 1)
            check_contains(line, json_text(run, "plan"));
        check(text_width(line) <= REPORT_COLUMNS);
        line += len + 1;
    }
    buffer_deinit(&out);
    json_decref(run);
}
