/* Making a plan: ask the cluster (facts, and its gates as they are today), read what the release ships, have each node
 * preview its next configuration, then ask the planner, which decides everything. Nothing is kept of it but the serial.
 *
 *   survey ──▶ shipped file (if one is wanted) ──▶ previews ──▶ planner_make ──▶ reply */
#include "coordinator/daemon/clients.h"
#include "coordinator/daemon/plan_options.h"
#include "coordinator/daemon/shipped.h"
#include "coordinator/daemon/survey.h"

#include <string.h>

enum {
    SURVEY_MS = 30 * 1000,
    PREVIEW_MS = 20 * 1000,
    PLAN_ARENA_BYTES_MAX = 512 * 1024 * 1024,
};

struct planning {
    struct client *client;
    struct daemon *daemon;
    const struct cluster *cluster;
    const struct release *release;
    struct arena *arena;
    struct survey *survey;
    struct shipped *shipped;
    size_t n_open; /* previews */
    struct planner_input input;
};

static void planning_free(void *operation) {
    struct planning *p = operation;
    fleet_forget(p->daemon->fleet, p);
    survey_free(p->survey);
    shipped_free(p->shipped);
    arena_free(p->arena);
    free(p);
}

static void planning_refuse(struct planning *p, enum client_exit exit_code, const char *text) {
    client_reply(p->client, exit_code, NULL, NULL, text);
    planning_free(p);
}

/* ---- the end ---- */

static json_t *warnings_of(const struct planner_result *result) {
    json_t *warnings = json_array();
    for (size_t i = 0; i < result->n_warnings; i++) {
        json_t *json = json_object();
        json_put(json, "name", json_text_of(result->warnings[i].name));
        json_put(json, "says", json_text_of(result->warnings[i].says));
        json_put(json, "consented", json_boolean(result->warnings[i].consented));
        json_add(warnings, json);
    }
    return warnings;
}

static json_t *texts_of(const char *const *texts, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_add(list, json_text_of(texts[i]));
    return list;
}

/* Every reason a line, and what to type where a person may decide otherwise. */
static void refusal_text(const struct planner_result *result, struct buffer *out) {
    buffer_text(out, "plan refused:");
    for (size_t i = 0; i < result->n_problems; i++)
        buffer_format(out, "\n%s [%s]", result->problems[i].says, result->problems[i].code);
    for (size_t i = 0; i < result->n_warnings; i++)
        if (!result->warnings[i].consented)
            buffer_format(out, "\n%s (if you accept that: --consent %s)", result->warnings[i].says,
                          result->warnings[i].name);
    buffer_text(out, "\nwhat a word in [ ] or a consent means: kedge explain WORD");
}

static void plan_reply(struct planning *p, const struct planner_result *result) {
    json_t *plan = json_object(), *json = json_object();
    json_put(plan, "digest", json_digest(&result->digest));
    json_put(plan, "cluster", json_text_of(p->cluster->name));
    json_put(plan, "serial", json_integer((json_int_t)p->input.options.serial));
    json_put(plan, "warnings", warnings_of(result));
    json_put(plan, "notes", texts_of(result->notes, result->n_notes));
    json_put(json, "plan", plan);
    client_reply(p->client, CLIENT_DONE, json, &result->plan, "");
    planning_free(p);
}

/* As late as can be: what failed while the plan was made is found as well. */
static void quarantines_look(struct planning *p) {
    const struct engine *engine = p->daemon->engine;
    size_t n = engine_n_quarantines(engine);
    struct planner_quarantine *list = arena_array(p->arena, n + 1, sizeof(*list));
    char text[KEDGE_REASON_MAX];
    for (size_t i = 0; list && i < n; i++) {
        const struct quarantine *q = engine_quarantine_at(engine, i);
        engine_quarantine_text(engine, q, text, sizeof(text));
        list[i] = (struct planner_quarantine){q->what, arena_text(p->arena, text)};
        if (!list[i].says)
            abort();
    }
    if (!list)
        abort();
    p->input.quarantines = list;
    p->input.n_quarantines = n;
}

static void plan_make(struct planning *p) {
    struct planner_result result;
    struct error err;
    quarantines_look(p);
    int r = planner_make(&p->input, p->arena, &result, &err);
    if (r == 0) {
        plan_reply(p, &result);
        return;
    }
    _cleanup_(buffer_deinit) struct buffer text = {0};
    if (r < 0)
        buffer_format(&text, "plan refused: %s", err.text);
    else
        refusal_text(&result, &text);
    planning_refuse(p, r == -ENOMEM ? CLIENT_FAILED : CLIENT_REFUSED,
                    text.data ? (const char *)text.data : "");
}

/* ---- previews ---- */

static void preview_keep(struct planning *p, struct planner_preview *preview,
                         const struct fleet_reply *reply) {
    const struct preview_result *result = reply->preview;
    const char *problem = result ? result->problem : reply->problem;
    preview->problem = problem && *problem ? arena_text(p->arena, problem) : NULL;
    if (!result || preview->problem)
        return;
    preview->has = true;
    preview->old_digest = result->old_digest;
    preview->new_digest = result->new_digest;
    preview->diff = arena_text(p->arena, result->diff ? result->diff : "");
}

static void on_preview(void *user, const struct fleet_reply *reply) {
    struct planning *p = user;
    preview_keep(p, &p->survey->members[reply->tag].preview, reply);
    if (--p->n_open == 0)
        plan_make(p);
}

static void previews_ask(struct planning *p) {
    const struct planner_preview_request *requests;
    struct error err;
    size_t n;
    int r = planner_previews(&p->input, p->arena, &requests, &n, &err);
    if (r < 0) {
        planning_refuse(p, CLIENT_REFUSED, err.text);
        return;
    }
    p->n_open = n;
    for (size_t i = 0; i < n; i++) {
        const struct charter_member *member = &p->cluster->charter->members[requests[i].member];
        struct fleet_request request = {member->node, daemon_now(p->daemon) + PREVIEW_MS, on_preview, p,
                                        requests[i].member};
        struct preview preview = {
            .cluster = p->cluster->name, .member = member->name, .render = requests[i].render};
        (void)fleet_preview(p->daemon->fleet, &request, preview);
    }
    if (n == 0)
        plan_make(p);
}

/* ---- what the release ships ---- */

static void on_shipped(void *user) {
    struct planning *p = user;
    struct error err;
    if (shipped_result(p->shipped, &p->input.shipped, &err) < 0)
        planning_refuse(p, CLIENT_FAILED, err.text);
    else
        previews_ask(p);
}

static void shipped_read(struct planning *p) {
    struct error err;
    const char *path = planner_shipped_path(&p->input);
    struct shipped_request request = {
        p->daemon->loop, p->daemon->artifacts_path, p->release->manifest, path, on_shipped, p};
    if (!path)
        previews_ask(p);
    else if (shipped_new(&p->shipped, &request, &err) < 0)
        planning_refuse(p, CLIENT_FAILED, err.text);
}

/* ---- what is open already ---- */

/* The run that --supersede names must be the one that holds the cluster. */
static int overtake(struct planning *p, const char *text, struct error *err) {
    const struct run *open = engine_run_open(p->daemon->engine, p->cluster->name);
    unsigned long long id = strtoull(text, NULL, 10);
    if (*text < '0' || *text > '9' || strspn(text, "0123456789") != strlen(text))
        return error_set(err, -EINVAL, "supersede \"%s\": expected the number of a run; see kedge run list",
                         text);
    if (!open)
        return error_set(err, -EPERM, "run %s: cluster %s has no open run; plan without --supersede", text,
                         p->cluster->name);
    if (open->id != id)
        return error_set(err, -EPERM, "run %s does not hold cluster %s; the open run is %llu", text,
                         p->cluster->name, (unsigned long long)open->id);
    p->input.options.supersedes = open->plan->header.serial;
    bool rests = open->paused || open->aborting || open->state == RUN_WAITING || open->state == RUN_CLOSING;
    p->input.goes_on = rests ? 0 : open->id;
    return 0;
}

static void overtaken_add(struct planning *p, struct fact *list, const struct run *run) {
    for (uint32_t i = 0; i < run->n_sides; i++) {
        const struct side_action *action = run->sides[i].action;
        const char *name = arena_text(p->arena, action->name),
                   *previous = arena_text(p->arena, action->previous);
        if (!name || !previous)
            abort();
        if (run->sides[i].state != SIDE_CLOSED && !fact_get(list, p->input.n_overtaken, name))
            list[p->input.n_overtaken++] = (struct fact){name, previous};
    }
}

static void in_change_look(struct planning *p, const struct run *run) {
    for (size_t i = 0; i < p->survey->n_members; i++)
        for (uint32_t k = 0; k < run->n_members; k++) {
            const struct run_member *m = &run->members[k];
            if (strcmp(m->order->member, p->cluster->charter->members[i].name) != 0 || !m->step ||
                !member_state_is_in_change(m->state))
                continue;
            p->survey->members[i].in_change = arena_format(
                p->arena, "%s, by run %llu", member_state_text(m->state), (unsigned long long)run->id);
        }
}

/* What open runs of the cluster are about to put back, and whom they are changing; the oldest first. Looked at before
 * the cluster is asked and after it: what was so at either time, the answers may be about. */
static void open_runs_look(struct planning *p) {
    const struct engine *engine = p->daemon->engine;
    size_t n = p->input.n_overtaken;
    for (size_t i = 0; i < engine_n_runs(engine); i++)
        n += engine_run_at(engine, i)->n_sides;
    struct fact *list = arena_array(p->arena, n + 1, sizeof(*list));
    if (!list)
        abort();
    for (size_t i = 0; i < p->input.n_overtaken; i++)
        list[i] = p->input.overtaken[i];
    p->input.overtaken = list;
    for (size_t i = 0; i < engine_n_runs(engine); i++) {
        const struct run *run = engine_run_at(engine, i);
        if (run->state == RUN_ENDED || strcmp(run->plan->header.cluster, p->cluster->name) != 0)
            continue;
        overtaken_add(p, list, run);
        in_change_look(p, run);
    }
}

static void on_survey(struct survey *survey) {
    struct planning *p = survey->user;
    p->input.members = survey->members;
    p->input.n_members = survey->n_members;
    p->input.answers = survey->answers;
    p->input.n_answers = survey->n_answers;
    open_runs_look(p);
    shipped_read(p);
}

/* ---- the beginning ---- */

/* Serials of plans rise, and none is given twice. */
static int serial_next(struct daemon *d, const char *cluster, uint64_t *outp, struct error *err) {
    char name[KEDGE_NAME_MAX + 16];
    uint64_t last;
    snprintf(name, sizeof(name), "serial:%s", cluster);
    int r = store_number_get(d->store, name, &last, err);
    for (size_t i = 0; i < engine_n_runs(d->engine) && r == 0; i++) {
        const struct header *header = &engine_run_at(d->engine, i)->plan->header;
        if (strcmp(header->cluster, cluster) == 0 && header->serial > last)
            last = header->serial;
    }
    *outp = last + 1;
    return r == 0 ? store_number_put(d->store, name, last + 1, err) : r;
}

static struct planning *planning_new(struct client *client, const struct cluster *cluster,
                                     const struct release *release) {
    struct planning *p = calloc(1, sizeof(*p));
    if (!p || !(p->arena = arena_new(PLAN_ARENA_BYTES_MAX)))
        abort();
    p->client = client;
    p->daemon = client->daemon;
    p->cluster = cluster;
    p->release = release;
    p->input.cluster = cluster->file;
    p->input.charter = cluster->charter;
    p->input.charter_digest = cluster->digest;
    p->input.manifest = release->manifest;
    p->input.manifest_blob = release->blob;
    return p;
}

void verb_plan(struct client *client) {
    struct daemon *d = client->daemon;
    struct error err;
    const char *name = client_argument(client, "cluster"), *to = client_argument(client, "to");
    name = name ? name : "?";
    to = to ? to : "?";
    const struct cluster *cluster = cluster_find(d, name);
    const struct release *release = release_find(d, to);
    if (!cluster || !release) {
        client_refuse(client, CLIENT_BAD_INPUT, "%s %s: there is none; see kedge %s list",
                      cluster ? "release" : "cluster", cluster ? to : name, cluster ? "release" : "cluster");
        return;
    }
    struct planning *p = planning_new(client, cluster, release);
    int r = plan_options_take(&(struct plan_request){.arguments = client->request->arguments,
                                                     .n_arguments = client->request->n_arguments,
                                                     .cluster = cluster->file,
                                                     .who = client->who,
                                                     .now_s = daemon_now(d) / 1000},
                              p->arena, &p->input.options, &err);
    if (r == 0 && client_argument(client, "supersede"))
        r = overtake(p, client_argument(client, "supersede"), &err);
    if (r < 0) {
        planning_refuse(p, r == -EPERM ? CLIENT_REFUSED : CLIENT_BAD_INPUT, err.text);
        return;
    }
    r = serial_next(d, cluster->name, &p->input.options.serial, &err);
    if (r < 0) {
        daemon_fail(d, r, &err);
        planning_refuse(p, CLIENT_FAILED, err.text);
        return;
    }
    p->survey = survey_new(d, cluster, SURVEY_FACTS | SURVEY_GATES, SURVEY_MS, on_survey, p);
    open_runs_look(p);
    client_begin(client, p, planning_free);
}
