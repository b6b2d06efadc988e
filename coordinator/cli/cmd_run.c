/* Runs: looking at them, and the words that reduce or go on. None of these words needs a key: what weakens a plan is a
 * new plan. */
#include "coordinator/cli/view.h"

#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

/* The exit code that a run's state deserves. */
static int run_exit(const json_t *run) {
    if (json_number(run, "ended_ms") == 0)
        return EXIT_UNFINISHED;
    const json_t *verdict = json_object_get(run, "verdict");
    const char *result = json_text(verdict, "result");
    bool refused = strcmp(result, "failed") == 0 && json_yes(verdict, "unchanged");
    return strcmp(result, "done") == 0 ? EXIT_DONE : refused ? EXIT_REFUSED : EXIT_FAILED;
}

static int buffer_print(struct cli *cli, const struct buffer *text) {
    if (text->failed)
        return error_set(cli->err, -ENOMEM, "out of memory");
    fputs(text->data ? (const char *)text->data : "", stdout);
    return EXIT_DONE;
}

int cmd_run_list(struct cli *cli) {
    static const char *const titles[] = {">RUN", "CLUSTER", "FROM", "TO", "STATE", "BEGAN", "BY", NULL};
    struct call call = {.verb = "run list"};
    call_argument(&call, "cluster", cli_option(cli, "cluster"));
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    size_t i;
    const json_t *run;
    json_array_foreach(json_list(reply.json, "runs"), i, run) {
        _cleanup_(buffer_deinit) struct buffer state = {0};
        view_run_state(&state, run);
        table_format(&table, COLOUR_NONE, "%lld", (long long)json_number(run, "id"));
        table_cell(&table, json_text(run, "cluster"), COLOUR_NONE);
        table_cell(&table, json_text(run, "from"), COLOUR_NONE);
        table_cell(&table, json_text(run, "to"), COLOUR_NONE);
        table_cell(&table, (const char *)state.data, view_run_colour(run));
        table_cell(&table, text_time(json_number(run, "started_ms")).s, COLOUR_NONE);
        table_cell(&table, json_text(run, "by"), COLOUR_NONE);
    }
    if (table.n_rows == 0)
        puts("no runs yet: kedge plan, kedge approve, kedge apply begin one");
    else
        table_print(&table, stdout);
    return EXIT_DONE;
}

static const char *run_argument(const struct cli *cli) {
    return cli->n_arguments > 0 ? cli->arguments[0] : NULL;
}

int cmd_run_show(struct cli *cli) {
    struct call call = {.verb = "run show"};
    call_argument(&call, "run", run_argument(cli));
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    _cleanup_(buffer_deinit) struct buffer out = {0};
    view_run(&out, json_object_get(reply.json, "run"), wall_ms(), VIEW_WHOLE);
    return buffer_print(cli, &out);
}

int cmd_run_report(struct cli *cli) {
    struct call call = {.verb = "run report"};
    call_argument(&call, "run", run_argument(cli));
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    _cleanup_(buffer_deinit) struct buffer out = {0};
    view_report(&out, json_object_get(reply.json, "run"));
    return buffer_print(cli, &out);
}

/* ---- words ---- */

static int run_word(struct cli *cli, const char *verb) {
    struct call call = {.verb = verb};
    call_argument(&call, "run", run_argument(cli));
    call_argument(&call, "reason", cli_option(cli, "reason"));
    call_argument(&call, "by", cli_user_name());
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    const json_t *run = json_object_get(reply.json, "run");
    _cleanup_(buffer_deinit) struct buffer state = {0};
    view_run_state(&state, run);
    printf("run %lld: %s\n", (long long)json_number(run, "id"), (const char *)state.data);
    if (*reply.text)
        printf("%s\n", reply.text);
    return EXIT_DONE;
}

int cmd_run_pause(struct cli *cli) {
    return run_word(cli, "run pause");
}

int cmd_run_resume(struct cli *cli) {
    return run_word(cli, "run resume");
}

int cmd_run_abort(struct cli *cli) {
    return run_word(cli, "run abort");
}

int cmd_run_rollback(struct cli *cli) {
    return run_word(cli, "run rollback");
}

/* ---- watch ---- */

/* On a terminal the view is drawn over itself, with the latest events below; elsewhere each event is a line. */
struct watch {
    size_t n_lines; /* of the last drawing */
    json_t *recent; /* the last events, at most RECENT */
    int exit_code;
    bool seen;       /* the run is there, so kedged was */
    int64_t gone_ms; /* since when it does not answer; 0: it does */
    int64_t seq;     /* of the last event: a kedged that came back tells all of them again */
};
enum { RECENT = 5, WATCH_OVER = 1000, GONE_MAX_MS = 60000 };

static bool event_is_new(struct watch *watch, const json_t *event) {
    int64_t seq = json_number(event, "seq");
    if (seq <= watch->seq)
        return false;
    watch->seq = seq;
    return true;
}

static void recent_add(struct watch *watch, const json_t *run) {
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(run, "events"), i, event) {
        if (!event_is_new(watch, event))
            continue;
        json_array_append(watch->recent, event);
        if (json_array_size(watch->recent) > RECENT)
            json_array_remove(watch->recent, 0);
    }
}

static void watch_draw(struct watch *watch, const json_t *run) {
    struct winsize window = {.ws_col = 100, .ws_row = 24};
    _cleanup_(buffer_deinit) struct buffer out = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) < 0 || window.ws_col == 0)
        window.ws_col = 100;
    view_run(&out, run, wall_ms(), VIEW_LIVE);
    for (size_t i = 0; i < json_array_size(watch->recent); i++) {
        buffer_text(&out, colour_on(COLOUR_DIM));
        view_event(&out, run, json_array_get(watch->recent, i));
    }
    if (watch->n_lines > 0)
        printf("\033[%zuA\r", watch->n_lines);
    watch->n_lines = 0;
    for (const char *at = out.data ? (const char *)out.data : "";
         *at && watch->n_lines + 2 < window.ws_row;) {
        size_t len = strcspn(at, "\n");
        char *text = strndup(at, len);
        if (!text)
            break;
        printf("%.*s%s\033[K\n", (int)text_fit(text, window.ws_col), text, colour_off());
        free(text);
        at += len + (at[len] == '\n');
        watch->n_lines++;
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

static void watch_lines(struct watch *watch, const json_t *run) {
    size_t i;
    const json_t *event;
    json_array_foreach(json_list(run, "events"), i, event) {
        _cleanup_(buffer_deinit) struct buffer out = {0};
        if (!event_is_new(watch, event))
            continue;
        view_event(&out, run, event);
        fputs(out.data ? (const char *)out.data : "", stdout);
    }
    fflush(stdout);
}

static int watch_each(struct cli *cli, struct reply *reply, void *argument) {
    struct watch *watch = argument;
    const json_t *run = json_object_get(reply->json, "run");
    bool over = json_number(run, "ended_ms") > 0;
    watch->seen = true;
    watch->gone_ms = 0;
    if (cli->json) {
        json_dumpf(run, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
        puts("");
        fflush(stdout);
    } else if (cli->terminal) {
        recent_add(watch, run);
        watch_draw(watch, run);
    } else {
        watch_lines(watch, run);
    }
    watch->exit_code = run_exit(run);
    /* A script is not kept waiting for a person; a person may look on. */
    if (!over && json_yes(run, "paused") && !cli->terminal) {
        if (!cli->json)
            printf("run %lld is paused: %s\n", (long long)json_number(run, "id"), json_text(run, "reason"));
        return WATCH_OVER;
    }
    if (over && !cli->json && !cli->terminal)
        printf("run %lld ended: %s: %s\n", (long long)json_number(run, "id"),
               json_text(json_object_get(run, "verdict"), "result"),
               json_text(json_object_get(run, "verdict"), "text"));
    return over ? WATCH_OVER : 0;
}

/* A watch outlives the coordinator: a run goes on without it, and so does looking on once it is back. */
int run_watch(struct cli *cli, const char *run, bool began) {
    struct call call = {.verb = "run watch"};
    call_argument(&call, "run", run);
    _cleanup_(json_freep) json_t *recent = json_array();
    struct watch watch = {.recent = recent, .exit_code = EXIT_UNFINISHED, .seen = began};
    for (;;) {
        int r = client_watch(cli, &call, watch_each, &watch);
        if (r == 0 || r == WATCH_OVER)
            return watch.exit_code;
        if (!client_is_gone(r) || !watch.seen)
            return r;
        if (watch.gone_ms == 0 && !cli->json && !cli->terminal)
            puts("kedged does not answer; agents finish or return what they have begun, nothing new begins");
        if (watch.gone_ms == 0)
            watch.gone_ms = wall_ms();
        if (wall_ms() - watch.gone_ms > GONE_MAX_MS)
            return r;
        poll(NULL, 0, 200);
    }
}

int cmd_run_watch(struct cli *cli) {
    return run_watch(cli, run_argument(cli), false);
}
