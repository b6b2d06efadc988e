/* Why facts are gathered in one place for inquiry and order alike: what the planner put into the order as binding is
 * compared with the very same observation, so a difference is a difference on the node and not between two programs.
 *
 * What can be read at once is read at once; mode and instance are asked, and the run is over when both are answered. */
#include "agent/executor/executor.h"

#include "agent/executor/finalize.h"
#include "agent/executor/generations.h"
#include "agent/executor/prepare.h"
#include "agent/executor/render.h"
#include "common/base/file.h"
#include "common/base/text.h"

#include <pwd.h>
#include <regex.h>
#include <sodium/crypto_generichash.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { FACTS_MAX = 1024, FACTS_ARENA_BYTES = 8 * 1024 * 1024, FACTS_BYTES_MAX = KEDGE_MESSAGE_BYTES_MAX / 2 };

struct facts_run {
    struct member *member;
    struct arena *arena;
    struct fact *items;
    size_t n, bytes;
    pid_t pid;
    struct start_spec spec;
    bool has_spec;
    struct questions *mode_questions, *instance_questions;
    struct question_gate mode_gates[MODES];
    bool needs_mode, needs_instance;
    char problem[KEDGE_REASON_MAX], unsure[KEDGE_REASON_MAX];
    sd_event_source *finish;
    facts_done done;
    void *context;
};

static void add(struct facts_run *run, const char *name, const char *value) {
    if (!value)
        return;
    run->bytes += strnlen(value, KEDGE_ARGUMENT_MAX) + strlen(name);
    if (run->n == FACTS_MAX || run->bytes > FACTS_BYTES_MAX) {
        snprintf(run->problem, sizeof(run->problem),
                 "its command line and configuration are too long to be told");
        return;
    }
    char *n = arena_text(run->arena, name),
         *v = arena_text_n(run->arena, value, strnlen(value, KEDGE_ARGUMENT_MAX));
    if (v && !text_is_clean(v) && strlen(v) >= 4) /* shown and compared in the same harmless form */
        (void)text_tame(v, strlen(v) + 1, v);
    if (n && v)
        run->items[run->n++] = (struct fact){n, v};
}

static void add_number(struct facts_run *run, const char *name, uint64_t value) {
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    add(run, name, text);
}

static void add_flag(struct facts_run *run, const char *name, bool value) {
    add(run, name, value ? "yes" : "no");
}

/* ---- release ---- */

bool release_of(const struct charter_member *charter, const char *path, struct arena *arena,
                const char **folderp, const char **versionp) {
    regex_t expression;
    regmatch_t found[3];
    if (!charter->release_match || regcomp(&expression, charter->release_match, REG_EXTENDED) != 0)
        return false;
    bool matches = regexec(&expression, path, 3, found, 0) == 0;
    regfree(&expression);
    if (!matches || found[1].rm_so < 0)
        return false;
    *folderp = arena_text_n(arena, path + found[1].rm_so, (size_t)(found[1].rm_eo - found[1].rm_so));
    *versionp = found[2].rm_so < 0
                    ? ""
                    : arena_text_n(arena, path + found[2].rm_so, (size_t)(found[2].rm_eo - found[2].rm_so));
    return *folderp && *versionp;
}

/* Of a found process: its executable, or the first of its files that matches. */
static void find_release(struct facts_run *run, const char **folderp, const char **versionp) {
    const struct charter_member *charter = run->member->charter;
    struct proc_texts files = {0};
    struct error ignored;
    if (charter->release_from == RELEASE_FROM_EXECUTABLE) {
        (void)release_of(charter, run->spec.executable, run->arena, folderp, versionp);
        return;
    }
    if (run->pid == 0 || procfs_files(run->pid, run->arena, &files, &ignored) < 0)
        return;
    for (size_t i = 0; i < files.n; i++)
        if (release_of(charter, files.items[i], run->arena, folderp, versionp))
            return;
}

/* ---- configuration ---- */

static const char *config_path(const struct facts_run *run) {
    size_t index;
    const char *option = run->member->charter->config_after;
    return option && run->has_spec ? spec_argument_after(&run->spec, option, &index) : NULL;
}

static const char *absolute(const struct facts_run *run, const char *path) {
    return path[0] == '/' ? path : arena_format(run->arena, "%s/%s", run->spec.directory, path);
}

/* Folders that the service writes and that lie in its release: a release is replaced as a whole. */
static const char *data_inside(const struct facts_run *run, struct bytes config, const char *release) {
    const struct charter_member *charter = run->member->charter;
    for (size_t i = 0; i < charter->n_data_after; i++) {
        const char *value = config_value(charter->config_format, config, charter->data_after[i], run->arena);
        char *list = value ? arena_text(run->arena, value) : NULL, *item;
        while (list && (item = strsep(&list, ", \t"))) {
            const char *path = *item ? absolute(run, item) : NULL;
            if (path && path_lies_in(path, release))
                return path;
        }
    }
    return "";
}

static void add_config(struct facts_run *run, const char *release) {
    const struct charter_member *charter = run->member->charter;
    _cleanup_(buffer_deinit) struct buffer content = {0};
    const char *path = config_path(run), *inside = "";
    struct error err;
    if (path) {
        const char *full = absolute(run, path);
        add(run, "config.path", path);
        if (full && file_read(full, KEDGE_CONFIG_BYTES_MAX, &content, &err) == 0) {
            char text[KEDGE_DIGEST_TEXT_SIZE];
            struct digest digest = digest_of(buffer_bytes(&content));
            digest_format(text, &digest);
            add(run, "config.digest", text);
        } else {
            snprintf(run->problem, sizeof(run->problem), "configuration %.480s", err.text);
        }
    }
    for (size_t i = 0; i < charter->n_clear_config; i++) {
        char name[KEDGE_NAME_MAX + 1];
        const char *value = config_value(charter->config_format, buffer_bytes(&content),
                                         charter->clear_config[i], run->arena);
        if (value && snprintf(name, sizeof(name), "config.%s", charter->clear_config[i]) < (int)sizeof(name))
            add(run, name, value);
    }
    if (release[0])
        inside = data_inside(run, buffer_bytes(&content), release);
    add(run, "data.inside", inside);
}

/* ---- the process ---- */

static void add_arguments(struct facts_run *run) {
    const struct charter_member *charter = run->member->charter;
    struct words clear = {charter->clear_after, charter->n_clear_after};
    add_number(run, "arguments", run->spec.n_arguments);
    for (size_t i = 0; i < run->spec.n_arguments; i++) {
        char name[32];
        bool shown;
        snprintf(name, sizeof(name), "argument.%zu", i);
        add(run, name, argument_shown(&run->spec, i, clear, run->arena, &shown));
    }
}

/* Which values are in the environment without saying them: the key never leaves this node. */
static void add_environment(struct facts_run *run) {
    const struct key_pair *key = &run->member->executor->key;
    crypto_generichash_state state;
    struct digest digest;
    char text[KEDGE_DIGEST_TEXT_SIZE];
    crypto_generichash_init(&state, key->secret.b, 32, sizeof(digest.b));
    for (size_t i = 0; i < run->spec.n_environment; i++)
        crypto_generichash_update(&state, (const uint8_t *)run->spec.environment[i],
                                  strlen(run->spec.environment[i]) + 1);
    crypto_generichash_final(&state, digest.b, sizeof(digest.b));
    digest_format(text, &digest);
    add(run, "environment.digest", text);
}

static void add_user(struct facts_run *run) {
    struct passwd entry, *found = NULL;
    char text[4096], number[16];
    snprintf(number, sizeof(number), "%u", run->spec.ids.uid);
    (void)getpwuid_r(run->spec.ids.uid, &entry, text, sizeof(text), &found);
    add(run, "user", found ? found->pw_name : number);
}

/* Managed, and somebody else serves in its place. */
static bool is_stranger(const struct facts_run *run) {
    return run->pid > 0 && run->member->process.managed && run->pid != run->member->process.id.pid;
}

/* What Kedge started, or nothing runs. What other hands started as a generation is held against its release. */
static bool runs_its_generation(const struct facts_run *run) {
    const struct member *m = run->member;
    if (is_stranger(run))
        return false;
    return run->pid == 0 || m->process.origin != ORIGIN_OPERATOR ||
           process_runs_from(m, run->pid, m->generation.release, run->arena);
}

static void add_spec(struct facts_run *run) {
    struct member *m = run->member;
    const char *folder = "", *version = "";
    add(run, "executable", run->spec.executable);
    add(run, "directory", run->spec.directory);
    add_user(run);
    add_arguments(run);
    add_environment(run);
    if (m->has_generation && m->generation.serial != 0 && runs_its_generation(run)) {
        folder = m->generation.release;
        version = m->generation.version;
    } else {
        find_release(run, &folder, &version);
        bool others = run->pid > 0 && (is_stranger(run) || m->process.origin == ORIGIN_OPERATOR);
        if (!folder[0] && m->has_generation && !others) { /* down: as it was found */
            folder = m->generation.release;
            version = m->generation.version;
        }
    }
    add(run, "release.folder", folder);
    add(run, "release.version", version);
    add_config(run, folder);
}

static void add_process(struct facts_run *run) {
    struct member *m = run->member;
    struct process_id id;
    struct error err;
    if (run->pid == 0 || procfs_identify(run->pid, &id, &err) < 0)
        return;
    add_number(run, "pid", (uint64_t)id.pid);
    add_number(run, "started", id.started);
    if (m->charter->port > 0)
        add_flag(run, "socket", procfs_owns_port(run->pid, (uint16_t)m->charter->port));
}

/* Since when the generation that runs is the proven one; nothing when it never was by Kedge. */
static void add_proven(struct facts_run *run) {
    const struct member *m = run->member;
    struct bytes proven = journal_get(m->executor->journal, RECORD_PROVEN, m->name);
    char *end = NULL;
    if (!proven.data || !m->has_generation || m->process.id.pid == 0 ||
        strtoul((const char *)proven.data, &end, 10) != m->generation.number || *end != ' ')
        return;
    add_number(run, "proven.ms", strtoull(end + 1, NULL, 10));
}

static void add_node(struct facts_run *run) {
    struct member *m = run->member;
    struct statvfs fs;
    add_flag(run, "adopted", m->has_generation);
    add_flag(run, "managed", m->process.managed);
    if (!is_stranger(run))
        add_number(run, "generation", m->has_generation ? m->generation.number : 0);
    if (run->pid > 0 && !is_stranger(run) && m->has_generation && m->generation.serial != 0) {
        add_number(run, "plan.serial", m->generation.serial);
        add_number(run, "plan.generation", m->generation.index);
    }
    add(run, "finalized", finalize_version(m));
    add(run, "starts.ms", start_history(m));
    add_proven(run);
    add(run, "releases.path", m->executor->releases);
    add(run, "helper.znode", m->executor->znode);
    add(run, "member.path", m->folder);
    if (statvfs(m->executor->config.state, &fs) == 0)
        add_number(run, "disk.free", (uint64_t)fs.f_bavail * fs.f_frsize);
    add_number(run, "clock.ms", clock_wall_ms());
}

/* ---- mode and instance ---- */

static void finish(struct facts_run *run) {
    struct facts facts = {.items = run->items,
                          .n = run->n,
                          .arena = run->arena,
                          .problem = run->problem,
                          .unsure = run->unsure};
    facts_done done = run->done;
    void *context = run->context;
    done(context, &facts);
    facts_cancel(run);
}

static void part_done(struct facts_run *run) {
    if (!run->needs_mode && !run->needs_instance)
        finish(run);
}

static enum origin origin_of(const struct member *m, enum mode mode) {
    bool started_so = m->has_generation && m->generation.mode == MODE_READ_ONLY;
    if (mode == MODE_READ_ONLY)
        return !started_so ? ORIGIN_OPERATOR : generation_is_passing(m) ? ORIGIN_KEDGE : ORIGIN_START_FLAG;
    return mode == MODE_DOWN ? m->process.origin : ORIGIN_NONE;
}

static void mode_known(struct facts_run *run, enum mode mode) {
    run->needs_mode = false;
    enum origin origin = origin_of(run->member, mode);
    if (!machine_is_busy(
            &run->member->machine)) { /* a step under way reports what it has seen itself, later than this */
        run->member->mode = mode;
        run->member->origin = origin;
    }
    add(run, "mode", mode_text(mode));
    add(run, "origin", origin_text(origin));
}

static void on_modes(void *context, const struct answers *answers) {
    struct facts_run *run = context;
    enum mode mode = MODE_UNKNOWN;
    run->mode_questions = NULL;
    for (size_t i = 0; i < answers->n_evidence && mode == MODE_UNKNOWN; i++)
        if (answers->evidence[i].answer == ANSWER_YES)
            mode = run->member->charter->modes[i].mode;
    if (mode == MODE_UNKNOWN)
        snprintf(run->unsure, sizeof(run->unsure), "%.500s", answers->all.reason);
    mode_known(run, mode);
    part_done(run);
}

static void on_instance(void *context, const struct answers *answers) {
    struct facts_run *run = context;
    run->instance_questions = NULL;
    run->needs_instance = false;
    if (answers->all.answer == ANSWER_YES) {
        add(run, "instance", answers->all.reason);
        snprintf(run->member->instance, sizeof(run->member->instance), "%.255s", answers->all.reason);
    }
    part_done(run);
}

static void ask_mode(struct facts_run *run, const struct asker *asker) {
    const struct charter_member *charter = run->member->charter;
    size_t n = 0;
    while (n < charter->n_modes && n < MODES) {
        run->mode_gates[n].gate =
            cluster_gate(run->member->cluster, &charter->modes[n].gate, &run->mode_gates[n].bytes);
        if (!run->mode_gates[n].gate)
            break;
        n++;
    }
    run->needs_mode = n > 0;
    if (n > 0)
        run->mode_questions = questions_ask(asker, run->mode_gates, n, SAMPLE_NONE, on_modes, run);
    if (run->mode_questions)
        return;
    if (n > 0) /* it has modes, and nobody could be asked */
        snprintf(run->unsure, sizeof(run->unsure), "its mode could not be asked: out of memory");
    mode_known(run, MODE_UNKNOWN);
}

static void ask_all(struct facts_run *run) {
    struct asker asker = member_asker(run->member);
    if (run->has_spec && !asker.spec)
        asker.spec = &run->spec;
    if (run->pid == 0)
        mode_known(run, MODE_DOWN);
    else
        ask_mode(run, &asker);
    if (run->pid > 0 && run->member->charter->instance) {
        run->needs_instance = true;
        run->instance_questions =
            questions_instance(&asker, run->member->charter->instance, on_instance, run);
        run->needs_instance = run->instance_questions != NULL;
    }
}

static int on_finish(sd_event_source *source, void *userdata) {
    (void)source;
    finish(userdata);
    return 0;
}

/* ---- a run ---- */

/* Nobody's of ours: other hands may have started it anew. As a generation that is known: then it is that one. One that
 * Kedge never started is adopted again as it runs now. Anybody else is only looked at. What differs from the plan shows in
 * the facts. */
static pid_t find_again(struct member *m, struct error *err) {
    bool adopted = m->has_generation && m->generation.number == 0 && !machine_is_busy(&m->machine);
    if (member_take_known(m))
        return m->process.id.pid;
    if (m->process.managed)
        return machine_is_busy(&m->machine) ? 0 : member_find_stranger(m);
    if (adopted && member_adopt(m, err) == 0)
        return m->process.id.pid;
    return member_find(m, err);
}

/* The living process, or the generation that ran last. */
static void find_spec(struct facts_run *run) {
    struct member *m = run->member;
    struct error err = {""};
    if (m->process.id.pid > 0 && procfs_alive(&m->process.id))
        run->pid = m->process.id.pid;
    else
        run->pid = find_again(m, &err);
    if (run->pid > 0 && spec_read(run->pid, "", run->arena, &run->spec, &err) == 0) {
        run->has_spec = true;
    } else if (m->has_generation) {
        run->pid = 0;
        run->spec = m->generation.spec;
        run->has_spec = true;
    } else {
        run->pid = 0;
        snprintf(run->problem, sizeof(run->problem), "%.500s", err.text);
    }
}

struct facts_run *facts_gather(struct member *member, facts_done done, void *context) {
    struct facts_run *run = calloc(1, sizeof(*run));
    if (!run || !(run->arena = arena_new(FACTS_ARENA_BYTES)) ||
        !(run->items = arena_array(run->arena, FACTS_MAX, sizeof(*run->items))))
        return facts_cancel(run);
    run->member = member;
    run->done = done;
    run->context = context;
    find_spec(run);
    add_flag(run, "found", run->has_spec);
    add_process(run);
    if (run->has_spec)
        add_spec(run);
    add_node(run);
    ask_all(run);
    if (!run->needs_mode && !run->needs_instance &&
        sd_event_add_defer(member->executor->loop, &run->finish, on_finish, run) < 0)
        return facts_cancel(run);
    return run;
}

struct facts_run *facts_cancel(struct facts_run *run) {
    if (!run)
        return NULL;
    questions_cancel(run->mode_questions);
    questions_cancel(run->instance_questions);
    sd_event_source_disable_unref(run->finish);
    arena_free(run->arena);
    free(run);
    return NULL;
}

const char *facts_compare(const struct facts *now, const struct fact *signed_facts, size_t n,
                          struct arena *arena, bool *unsurep) {
    struct buffer text = {0};
    *unsurep = false;
    for (size_t i = 0; i < n; i++) {
        const char *value = fact_get(now->items, now->n, signed_facts[i].name);
        if (value && strcmp(value, signed_facts[i].value) == 0)
            continue;
        if (now->unsure[0] &&
            (strcmp(signed_facts[i].name, "mode") == 0 || strcmp(signed_facts[i].name, "origin") == 0)) {
            *unsurep = true;
            continue;
        }
        buffer_format(&text, "%s%s was signed as \"%.120s\" and is %s%.120s%s now", text.len ? "; " : "",
                      signed_facts[i].name, signed_facts[i].value, value ? "\"" : "",
                      value ? value : "not known", value ? "\"" : "");
    }
    const char *out = text.failed ? "out of memory" : text.len ? arena_text(arena, (char *)text.data) : "";
    buffer_deinit(&text);
    return out ? out : "out of memory";
}
