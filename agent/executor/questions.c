/* Why rounds and not a standing question: how long yes must last and when no is final is decided in agent/core, so that
 * the simulator decides alike; here one round is asked and joined.
 *
 * A gate has up to three parts: what the prober answers, its commands, its sample. Each is pending until it is answered;
 * the round is over when nothing is. */
#include "agent/executor/questions.h"

#include "agent/executor/commands.h"
#include "agent/executor/generations.h"
#include "common/plan/encoding.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <regex.h>
#include <string.h>
#include <time.h>

enum { TIMEOUT_DEFAULT_MS = 10000, TIMEOUT_GRACE_MS = 500, ROUND_ARENA_BYTES = 4 * 1024 * 1024 };

struct part {
    struct questions *round;
    size_t gate; /* index */
    const struct check *check;
    uint32_t prober_id;
    struct command_run *run;
    bool captures;
};

struct questions {
    struct asker asker;
    struct arena *arena;
    struct question_gate *gates;
    struct evidence *evidence;
    struct verdict *verdicts;
    uint64_t *seen_us; /* when the oldest answer of each gate was seen; 0: none */
    size_t n_gates;
    struct part parts[KEDGE_GATES_MAX * 3];
    size_t n_parts, n_pending;
    bool
        captures; /* samples first, gates when they are there: a gate's answer must be fresh, a sample need not */
    sd_event_source *finish; /* when nothing was pending from the start */
    questions_done done;
    void *context;
};

/* ---- the end of a round ---- */

static struct questions *round_free(struct questions *q) {
    sd_event_source_disable_unref(q->finish);
    arena_free(q->arena);
    free(q);
    return NULL;
}

static uint64_t limit_of(const struct questions *q) {
    uint64_t limit = 0;
    for (size_t i = 0; i < q->n_gates; i++) {
        uint64_t its = q->gates[i].gate ? (uint64_t)q->gates[i].gate->evidence_age_ms * 1000 : 0;
        if (its > 0 && (limit == 0 || its < limit))
            limit = its;
    }
    return limit;
}

static uint64_t monotonic_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void finish(struct questions *q) {
    uint64_t now = monotonic_us();
    struct answers answers = {
        .all = {.answer = ANSWER_YES}, .evidence = q->evidence, .n_evidence = q->n_gates};
    for (size_t i = 0; i < q->n_gates; i++) {
        struct verdict named = q->verdicts[i];
        if (named.answer != ANSWER_YES && q->gates[i].gate)
            snprintf(named.reason, sizeof(named.reason), "%.63s: %.440s", q->gates[i].gate->name,
                     q->verdicts[i].reason);
        verdict_join(&answers.all, &named);
        q->evidence[i].answer = q->verdicts[i].answer;
        q->evidence[i].reason = q->verdicts[i].reason;
        q->evidence[i].age_us = q->seen_us[i] ? now - q->seen_us[i] : 0;
        if (q->evidence[i].age_us > answers.age_us)
            answers.age_us = q->evidence[i].age_us;
    }
    answers.limit_us = limit_of(q);
    questions_done done = q->done;
    void *context = q->context;
    done(context, &answers);
    round_free(q);
}

static void gates_begin(struct questions *q);

/* Nothing is pending: the second half, or the end. */
static void round_goes_on(struct questions *q) {
    if (--q->n_pending > 0)
        return;
    if (!q->captures) {
        finish(q);
        return;
    }
    q->captures = false;
    q->n_pending++; /* not before all are asked */
    gates_begin(q);
    if (--q->n_pending == 0)
        finish(q);
}

static void part_answered(struct part *part, const struct verdict *verdict, uint64_t age_us) {
    struct questions *q = part->round;
    uint64_t now = monotonic_us(), seen_us = now > age_us ? now - age_us : 1;
    verdict_join(&q->verdicts[part->gate], verdict);
    if (!part->captures && (q->seen_us[part->gate] == 0 || seen_us < q->seen_us[part->gate]))
        q->seen_us[part->gate] = seen_us;
    round_goes_on(q);
}

static void part_unknown(struct part *part, const char *why) {
    struct verdict verdict = {.answer = ANSWER_UNKNOWN};
    snprintf(verdict.reason, sizeof(verdict.reason), "%.500s", why);
    part_answered(part, &verdict, 0);
}

static struct part *part_new(struct questions *q, size_t gate) {
    struct part *part = &q->parts[q->n_parts++];
    *part = (struct part){.round = q, .gate = gate};
    q->n_pending++;
    return part;
}

/* ---- what the prober answers ---- */

static void sample_key(const struct questions *q, size_t gate, char *out, size_t size) {
    snprintf(out, size, "%s/%s", q->asker.member, q->gates[gate].gate->name);
}

/* Captured objects are kept before the answer counts: without them there is nothing to compare with. */
static bool sample_kept(const struct part *part, const struct prober_reply *reply) {
    char key[JOURNAL_KEY_MAX + 1];
    sample_key(part->round, part->gate, key, sizeof(key));
    return journal_put(part->round->asker.journal, RECORD_SAMPLE, key, reply->blob) == 0;
}

static void on_reply(void *context, const struct prober_reply *reply) {
    struct part *part = context;
    struct verdict verdict = {.answer = reply->answer};
    part->prober_id = 0;
    snprintf(verdict.reason, sizeof(verdict.reason), "%s", reply->reason);
    if (!part->round->gates[part->gate].gate &&
        reply->answer == ANSWER_YES) /* an instance: the answer is its text */
        snprintf(verdict.reason, sizeof(verdict.reason), "%.*s",
                 (int)(reply->blob.len < 500 ? reply->blob.len : 500), (const char *)reply->blob.data);
    if (part->captures && reply->answer == ANSWER_YES && !sample_kept(part, reply)) {
        part_unknown(part, "the sample could not be kept in the journal");
        return;
    }
    part_answered(part, &verdict, reply->age_us);
}

static uint32_t timeout_of(const struct gate *gate) {
    uint32_t longest = 0;
    for (size_t i = 0; i < gate->n_checks; i++)
        if (gate->checks[i].probe.timeout_ms > longest)
            longest = gate->checks[i].probe.timeout_ms;
    return (longest ? longest : TIMEOUT_DEFAULT_MS) + TIMEOUT_GRACE_MS;
}

/* To capture, the source is walked first, which may take as long as it says. */
static uint32_t timeout_of_sample(const struct sample *sample) {
    return (sample->timeout_ms ? sample->timeout_ms : TIMEOUT_DEFAULT_MS) + sample->source.timeout_ms +
           TIMEOUT_GRACE_MS;
}

static void ask_prober(struct questions *q, struct part *part, struct prober_request *request,
                       uint32_t timeout_ms) {
    request->self = q->asker.self ? q->asker.self : "";
    request->beside = q->asker.beside;
    request->log_path = q->asker.spec ? q->asker.spec->output.path : "";
    request->log_offset = q->asker.log_offset;
    part->prober_id = prober_ask(q->asker.prober, request, timeout_ms, on_reply, part);
    if (part->prober_id)
        return;
    struct verdict verdict = {.answer = ANSWER_UNKNOWN, .reason = "too many questions at once"};
    verdict_join(&q->verdicts[part->gate], &verdict);
    q->n_pending--;
}

/* ---- commands ---- */

static int user_ids(const char *user, struct proc_identity *out, struct error *err) {
    struct passwd entry, *found = NULL;
    char text[4096];
    int n = (int)ARRAY_LEN(out->groups);
    if (getpwnam_r(user, &entry, text, sizeof(text), &found) != 0 || !found)
        return error_set(err, -EPERM, "there is no user %s on this node", user);
    out->uid = found->pw_uid;
    out->gid = found->pw_gid;
    if (getgrouplist(user, found->pw_gid, out->groups, &n) < 0)
        return error_set(err, -EPERM, "user %s is in more than %zu groups", user, ARRAY_LEN(out->groups));
    out->n_groups = (size_t)n;
    return 0;
}

static const char *word_of(const struct argument *argument, const struct start_spec *spec) {
    if (!argument->has_found)
        return argument->text;
    return argument->found < spec->n_arguments ? spec->arguments[argument->found] : NULL;
}

static int words_ready(const struct command *command, const struct start_spec *spec, struct arena *arena,
                       struct ready_command *out, struct error *err) {
    const char **words = arena_array(arena, command->n_arguments + 1, sizeof(*words));
    const char **environment =
        arena_array(arena, spec->n_environment + command->n_environment + 1, sizeof(*environment));
    if (!words || !environment)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < command->n_arguments; i++)
        if (!(words[i] = word_of(&command->arguments[i], spec)))
            return error_set(err, -EINVAL, "word %zu of the command is none that the member was found with",
                             i);
    if (command->arguments[0].has_found && command->arguments[0].found == 0)
        words[0] = spec->executable;
    size_t n = 0;
    for (size_t i = 0; i < command->n_environment; i++) /* the first of two counts for most programs */
        environment[n++] = command->environment[i];
    for (size_t i = 0; i < spec->n_environment; i++)
        environment[n++] = spec->environment[i];
    out->arguments = words;
    out->environment = environment;
    return 0;
}

/* What lies in the member's own generations and releases was signed as a release; a helper is named itself. A folder may be
 * named by a link. */
static bool lies_in_own(const char *program, const char *const *own) {
    char resolved[PATH_MAX];
    if (strstr(program, "/../"))
        return false;
    for (; *own; own++)
        if (path_lies_in(program, *own) || (realpath(*own, resolved) && path_lies_in(program, resolved)))
            return true;
    return false;
}

int command_ready(const struct agent_config *config, const struct command *command,
                  const struct start_spec *spec, const char *const *own, struct arena *arena,
                  struct ready_command *out, struct error *err) {
    if (!spec)
        return error_set(err, -EPERM,
                         "no member was adopted here whose folder and user the command could have");
    int r = words_ready(command, spec, arena, out, err);
    if (r < 0)
        return r;
    out->directory = spec->directory;
    out->ids = spec->ids;
    if (command->user && (r = user_ids(command->user, &out->ids, err)) < 0)
        return r;
    if (command->user && out->ids.uid != spec->ids.uid)
        return error_set(err, -EPERM, "the command asks for user %s, the member runs as another one",
                         command->user);
    if (out->arguments[0][0] != '/')
        return error_set(err, -EPERM, "program \"%s\" is not an absolute path", out->arguments[0]);
    if (own && lies_in_own(out->arguments[0], own))
        return 0;
    return agent_config_allows_command(config, out->arguments[0], spec->executable, err);
}

/* The lines of an output, or what the expression finds in each. */
int output_items(const char *match, struct bytes output, struct arena *arena, const char *const **itemsp,
                 size_t *np) {
    regex_t expression;
    char *text = arena_text_n(arena, (const char *)output.data, output.len), *line;
    const char **items = arena_array(arena, KEDGE_PROBE_ITEMS_MAX, sizeof(*items));
    size_t n = 0;
    if (!text || !items)
        return -ENOMEM;
    if (match && regcomp(&expression, match, REG_EXTENDED) != 0)
        return -EINVAL;
    while (n < KEDGE_PROBE_ITEMS_MAX && (line = strsep(&text, "\n"))) {
        regmatch_t found[2];
        if (!match && *line) {
            items[n++] = line;
        } else if (match && regexec(&expression, line, 2, found, 0) == 0) {
            regmatch_t part = found[found[1].rm_so >= 0 ? 1 : 0];
            line[part.rm_eo] = 0;
            items[n++] = line + part.rm_so;
        }
    }
    if (match)
        regfree(&expression);
    *itemsp = items;
    *np = n;
    return 0;
}

static void on_command(void *context, const struct command_result *result) {
    struct part *part = context;
    const struct probe *probe = &part->check->probe;
    _cleanup_(arena_freep) struct arena *arena = arena_new(2 * 1024 * 1024);
    const char *const *items = NULL;
    size_t n = 0;
    char code[16];
    const char *code_item[] = {code};
    part->run = NULL;
    snprintf(code, sizeof(code), "%d", result->exit_code);
    if (result->exit_code < 0) {
        part_unknown(part, result->problem);
        return;
    }
    if (probe->kind == PROBE_COMMAND_EXIT) {
        items = code_item;
        n = 1;
    } else if (result->exit_code != 0 || !arena ||
               output_items(probe->match, result->output, arena, &items, &n) < 0) {
        char why[96];
        snprintf(why, sizeof(why), "the command that is asked ended with exit code %d", result->exit_code);
        part_unknown(part, why);
        return;
    }
    const struct asker *asker = &part->round->asker;
    struct verdict verdict =
        check_judge_beside(part->check, items, n, asker->self ? asker->self : "", &asker->beside);
    part_answered(part, &verdict, 0);
}

static bool is_command(const struct check *check) {
    return check->probe.kind == PROBE_COMMAND || check->probe.kind == PROBE_COMMAND_EXIT;
}

static int command_begin(struct questions *q, struct part *part, struct error *err) {
    struct ready_command ready;
    const struct probe *probe = &part->check->probe;
    if (!probe->command || probe->command->n_arguments == 0)
        return error_set(err, -EINVAL, "the check has no command");
    int r = command_ready(q->asker.config, probe->command, q->asker.spec, NULL, q->arena, &ready, err);
    if (r < 0)
        return r;
    uint32_t deadline_ms = probe->command->deadline_ms ? probe->command->deadline_ms : probe->timeout_ms;
    struct command_spec spec = {.arguments = ready.arguments,
                                .environment = ready.environment,
                                .directory = ready.directory,
                                .identity = &ready.ids,
                                .deadline_ms = deadline_ms ? deadline_ms : TIMEOUT_DEFAULT_MS};
    return command_start(q->asker.loop, &spec, on_command, part, &part->run, err);
}

/* ---- the beginning of a round ---- */

static bool has_probes(const struct gate *gate) {
    for (size_t i = 0; i < gate->n_checks; i++)
        if (!is_command(&gate->checks[i]))
            return true;
    return false;
}

static void gate_begin(struct questions *q, size_t i) {
    if (q->gates[i].gate && has_probes(q->gates[i].gate))
        ask_prober(q, part_new(q, i),
                   &(struct prober_request){.kind = PROBER_GATE, .document = q->gates[i].bytes},
                   timeout_of(q->gates[i].gate));
}

static void sample_begin(struct questions *q, size_t i, enum sample_use use) {
    char key[JOURNAL_KEY_MAX + 1];
    sample_key(q, i, key, sizeof(key));
    struct part *part = part_new(q, i);
    part->captures = use == SAMPLE_CAPTURE;
    struct prober_request request = {
        .kind = part->captures ? PROBER_SAMPLE_CAPTURE : PROBER_SAMPLE_COMPARE,
        .document = q->gates[i].bytes,
        .blob = part->captures ? (struct bytes){NULL, 0} : journal_get(q->asker.journal, RECORD_SAMPLE, key)};
    ask_prober(q, part, &request, timeout_of_sample(q->gates[i].gate->sample));
}

/* Commands that cannot even be started are answered unknown, but only after all else was asked. */
static void commands_begin(struct questions *q) {
    for (size_t i = 0; i < q->n_gates; i++)
        for (size_t k = 0; q->gates[i].gate && k < q->gates[i].gate->n_checks; k++) {
            if (!is_command(&q->gates[i].gate->checks[k]))
                continue;
            if (q->n_parts == ARRAY_LEN(q->parts)) {
                struct verdict many = {.answer = ANSWER_UNKNOWN,
                                       .reason = "too many commands in one question"};
                verdict_join(&q->verdicts[i], &many);
                continue;
            }
            struct part *part = part_new(q, i);
            struct error err = {""};
            part->check = &q->gates[i].gate->checks[k];
            if (command_begin(q, part, &err) < 0) {
                struct verdict verdict = {.answer = ANSWER_UNKNOWN};
                snprintf(verdict.reason, sizeof(verdict.reason), "%.500s", err.text);
                verdict_join(&q->verdicts[i], &verdict);
                q->n_pending--;
            }
        }
}

static void gates_begin(struct questions *q) {
    for (size_t i = 0; i < q->n_gates; i++)
        gate_begin(q, i);
    commands_begin(q);
}

static bool samples_begin(struct questions *q, enum sample_use use) {
    bool any = false;
    for (size_t i = 0; use != SAMPLE_NONE && q->asker.member && i < q->n_gates; i++)
        if (q->gates[i].gate->sample) {
            sample_begin(q, i, use);
            any = true;
        }
    return any;
}

static int on_finish(sd_event_source *source, void *userdata) {
    struct questions *q = userdata;
    (void)source;
    q->n_pending = 1;
    round_goes_on(q);
    return 0;
}

static struct questions *round_new(const struct asker *asker, size_t n_gates, questions_done done,
                                   void *context) {
    struct questions *q = n_gates <= KEDGE_GATES_MAX ? calloc(1, sizeof(*q)) : NULL;
    if (!q || !(q->arena = arena_new(ROUND_ARENA_BYTES))) {
        free(q);
        return NULL;
    }
    q->asker = *asker;
    q->gates = arena_array(q->arena, n_gates, sizeof(*q->gates));
    q->evidence = arena_array(q->arena, n_gates, sizeof(*q->evidence));
    q->verdicts = arena_array(q->arena, n_gates, sizeof(*q->verdicts));
    q->seen_us = arena_array(q->arena, n_gates, sizeof(*q->seen_us));
    q->n_gates = n_gates;
    q->n_pending = 1; /* until all are asked */
    q->done = done;
    q->context = context;
    return q->gates && q->evidence && q->verdicts && q->seen_us ? q : round_free(q);
}

/* The first of a round is answered from the loop, so nobody hears an answer before he knows his question. */
static struct questions *round_started(struct questions *q) {
    if (--q->n_pending == 0 && sd_event_add_defer(q->asker.loop, &q->finish, on_finish, q) < 0)
        return questions_cancel(q);
    return q;
}

struct questions *questions_ask(const struct asker *asker, const struct question_gate *gates, size_t n_gates,
                                enum sample_use sample, questions_done done, void *context) {
    struct questions *q = round_new(asker, n_gates, done, context);
    if (!q)
        return NULL;
    for (size_t i = 0; i < n_gates; i++) {
        q->gates[i] = gates[i];
        q->evidence[i] = (struct evidence){.gate = gates[i].gate->name, .reason = ""};
        q->verdicts[i] = (struct verdict){.answer = ANSWER_YES};
    }
    q->captures = samples_begin(q, sample) && sample == SAMPLE_CAPTURE;
    if (!q->captures)
        gates_begin(q);
    return round_started(q);
}

struct questions *questions_check(const struct asker *asker, const struct check *check, questions_done done,
                                  void *context) {
    struct gate gate = {.name = "done-if", .scope = GATE_SCOPE_MEMBER, .checks = check, .n_checks = 1};
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    struct error err;
    struct questions *q = round_new(asker, 1, done, context);
    if (!q)
        return NULL;
    struct gate *kept = arena_copy(q->arena, &gate, sizeof(gate));
    if (!kept || codec_encode(&gate_codec, kept, &bytes, &err) < 0)
        return questions_cancel(q);
    q->gates[0] = (struct question_gate){kept, buffer_bytes(&bytes)};
    q->evidence[0] = (struct evidence){.gate = kept->name, .reason = ""};
    q->verdicts[0] = (struct verdict){.answer = ANSWER_YES};
    gates_begin(q);
    q->gates[0].bytes = (struct bytes){NULL, 0};
    return round_started(q);
}

struct questions *questions_instance(const struct asker *asker, const struct probe *probe,
                                     questions_done done, void *context) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    struct error err;
    struct questions *q = round_new(asker, 1, done, context);
    if (!q)
        return NULL;
    if (codec_encode(&probe_codec, probe, &bytes, &err) < 0)
        return questions_cancel(q);
    q->gates[0] = (struct question_gate){NULL, {NULL, 0}};
    q->evidence[0] = (struct evidence){.gate = "instance", .reason = ""};
    q->verdicts[0] = (struct verdict){.answer = ANSWER_YES};
    uint32_t timeout_ms = (probe->timeout_ms ? probe->timeout_ms : TIMEOUT_DEFAULT_MS) + TIMEOUT_GRACE_MS;
    ask_prober(q, part_new(q, 0),
               &(struct prober_request){.kind = PROBER_INSTANCE, .document = buffer_bytes(&bytes)},
               timeout_ms);
    return round_started(q);
}

struct questions *questions_cancel(struct questions *q) {
    if (!q)
        return NULL;
    for (size_t i = 0; i < q->n_parts; i++) {
        if (q->parts[i].prober_id)
            prober_cancel(q->asker.prober, q->parts[i].prober_id);
        command_cancel(q->parts[i].run);
    }
    return round_free(q);
}
