/* Why the store of the demonstration: it starts in a millisecond, has a mode, an instance and objects to read back, and
 * says in its output when it began and ended to serve. */
#include "tests/scenario/agent_world.h"

#include "agent/executor/generations.h"
#include "agent/executor/stage.h"
#include "common/base/file.h"
#include "common/plan/merkle.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { WAIT_MS = 20000, ARENA_BYTES = 64 * 1024 * 1024 };

char *world_text(struct agent_world *w, const char *format, ...) {
    char line[2048];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    return arena_text(w->arena, line);
}

bool world_complain(const struct error *err) {
    fprintf(stderr, "# %s\n", err->text);
    return false;
}

/* ---- documents ---- */

static void encode(const struct codec_message *codec, const void *value, struct buffer *out) {
    struct error err = {""};
    buffer_clear(out);
    if (codec_encode(codec, value, out, &err) < 0) {
        world_complain(&err);
        abort();
    }
}

static void sign(const struct codec_message *codec, const void *value, enum trust_context context,
                 const struct key_pair *key, struct buffer *out) {
    struct buffer bytes = {0};
    struct error err;
    encode(codec, value, &bytes);
    struct signed_blob blob = {.context = context, .bytes = buffer_bytes(&bytes)};
    if (signed_blob_sign(&blob, key, &err) < 0)
        abort();
    buffer_clear(out);
    signed_blob_encode(out, &blob);
    buffer_deinit(&bytes);
}

static void add_file(struct agent_world *w, const char *folder, const char *path, struct release_file *out) {
    struct buffer content = {0};
    struct error err;
    struct stat st;
    char *full = world_text(w, "%s/%s", folder, path);
    if (file_read(full, 64 << 20, &content, &err) < 0 || stat(full, &st) < 0)
        abort();
    *out = (struct release_file){.path = path,
                                 .size = content.len,
                                 .mode = st.st_mode & 0777,
                                 .digest = digest_of(buffer_bytes(&content))};
    buffer_deinit(&content);
}

static void make_manifest(struct agent_world *w, const char *folder, const char *version) {
    struct release_file *files = arena_array(w->arena, 2, sizeof(*files));
    struct component *component = arena_alloc(w->arena, sizeof(*component));
    add_file(w, folder, "bin/demo-store", &files[0]);
    add_file(w, folder, "conf/demo-store.conf.sample", &files[1]);
    *component = (struct component){.name = "store",
                                    .artifact = digest_of(bytes_of_text(version)),
                                    .size = 1,
                                    .files = files,
                                    .n_files = 2};
    w->manifest = (struct manifest){.format = 1,
                                    .system = "demo-store",
                                    .version = version,
                                    .serial = 2,
                                    .components = component,
                                    .n_components = 1};
    sign(&manifest_codec, &w->manifest, TRUST_RELEASE_MANIFEST, &w->release_key, &w->manifest_blob);
}

/* As staging would: a copy, taken over and renamed. */
static bool lay_release(struct agent_world *w, const char *folder) {
    char hex[2 * KEDGE_DIGEST_LEN + 1];
    struct error err = {""};
    struct digest digest = digest_of(buffer_bytes(&w->manifest_blob));
    hex_encode(hex, digest.b, sizeof(digest.b));
    char *to = world_text(w, "%s/releases/%s", w->state, hex);
    if (folder_make(to, 0755, &err) < 0)
        return world_complain(&err);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/cp", "cp", "-r", world_text(w, "%s/bin", folder), world_text(w, "%s/conf", folder), to,
              NULL);
        _exit(1);
    }
    int status;
    return waitpid(pid, &status, 0) == pid && status == 0 &&
           (stage_take_over(to, &w->manifest.components[0], &err) == 0 || world_complain(&err));
}

static void make_gate(struct agent_world *w, size_t i, const char *name, const char *match) {
    struct check *check = arena_alloc(w->arena, sizeof(*check));
    *check = (struct check){.probe = {.kind = PROBE_HTTP,
                                      .target = world_text(w, "http://127.0.0.1:%u/health", w->port),
                                      .match = match,
                                      .timeout_ms = 1000},
                            .rule = RULE_PRESENT,
                            .exclude_self = true,
                            .otherwise = ANSWER_NO,
                            .says = world_text(w, "it is not %s", name)};
    w->gates[i] = (struct gate){
        .name = name, .scope = GATE_SCOPE_MEMBER, .checks = check, .n_checks = 1, .evidence_age_ms = 2000};
}

static void make_gates(struct agent_world *w) {
    make_gate(w, 0, "read-write", "^mode=(read-write)$");
    make_gate(w, 1, "read-only", "^mode=(read-only)$");
    make_gate(w, 2, "never", "^(never)$");
    struct sample *sample = arena_alloc(w->arena, sizeof(*sample));
    *sample = (struct sample){.source = {.kind = PROBE_HTTP,
                                         .target = world_text(w, "http://127.0.0.1:%u/keys", w->port),
                                         .match = "^[0-9]+ ([^ ]+) ",
                                         .timeout_ms = 1000},
                              .target = world_text(w, "http://127.0.0.1:%u/kv/{i}", w->port),
                              .per_object = 1,
                              .limit = 20,
                              .minimum = 10,
                              .timeout_ms = 1000};
    w->gates[3] = (struct gate){
        .name = "read-back", .scope = GATE_SCOPE_MEMBER, .sample = sample, .evidence_age_ms = 2000};
    for (size_t i = 0; i < 4; i++) {
        struct buffer bytes = {0};
        encode(&gate_codec, &w->gates[i], &bytes);
        w->gate_views[i] = (struct bytes){arena_copy(w->arena, bytes.data, bytes.len), bytes.len};
        w->gate_digests[i] = digest_of(w->gate_views[i]);
        buffer_deinit(&bytes);
    }
}

static void make_charter(struct agent_world *w) {
    static const char *const clear[] = {"--config"}, *const data[] = {"data"};
    struct roster_entry *roster = arena_alloc(w->arena, sizeof(*roster));
    struct mode_gate *modes = arena_array(w->arena, 2, sizeof(*modes));
    struct probe *instance = arena_alloc(w->arena, sizeof(*instance));
    *roster = (struct roster_entry){.node = "n1", .key = w->executor->key.public, .domain = ""};
    modes[0] = (struct mode_gate){MODE_READ_WRITE, w->gate_digests[0]};
    modes[1] = (struct mode_gate){MODE_READ_ONLY, w->gate_digests[1]};
    *instance = w->gates[0].checks[0].probe;
    instance->match = "^instance=(.+)$";
    w->charter_member =
        (struct charter_member){.name = "c/store@n1",
                                .role = "store",
                                .node = "n1",
                                .self = world_text(w, "127.0.0.1:%u", w->port),
                                .port = w->port,
                                .process = "(^|/)demo-store --config ",
                                .release_from = RELEASE_FROM_EXECUTABLE,
                                .release_match = "^(.*/demo-store-([0-9][0-9.]*))/bin/demo-store$",
                                .config_after = "--config",
                                .clear_after = clear,
                                .n_clear_after = 1,
                                .modes = modes,
                                .n_modes = 2,
                                .instance = instance,
                                .data_after = data,
                                .n_data_after = 1};
    w->charter = (struct charter){.format = 1,
                                  .cluster = "c",
                                  .system = "demo-store",
                                  .serial = 1,
                                  .roster = roster,
                                  .n_roster = 1,
                                  .members = &w->charter_member,
                                  .n_members = 1,
                                  .gates = w->gate_views,
                                  .n_gates = 4};
    sign(&charter_codec, &w->charter, TRUST_OPERATOR_CHARTER, &w->operator_key, &w->charter_blob);
}

/* ---- the order ---- */

static void add_row(struct agent_world *w, size_t step, struct row row) {
    struct row *rows = w->rows[step];
    size_t n = w->steps[step].n_rows++;
    rows[n] = row;
    w->steps[step].rows = rows;
}

static struct row ask(struct agent_world *w, size_t gate, enum on_failure on_failure, uint32_t deadline_ms) {
    return (struct row){.primitive = PRIMITIVE_ASK,
                        .gates = &w->gate_digests[gate],
                        .n_gates = 1,
                        .on_failure = on_failure,
                        .deadline_ms = deadline_ms};
}

static void make_switch(struct agent_world *w, size_t step, const char *name, enum verb verb,
                        uint32_t generation) {
    enum mode mode = generation == 0 ? MODE_READ_WRITE : w->generations[generation - 1].mode;
    size_t before = verb == VERB_PROMOTE ? 1 : 0, after = mode == MODE_READ_ONLY ? 1 : 0;
    struct row capture = ask(w, 3, ON_FAILURE_STOP, 0), compare = ask(w, 3, ON_FAILURE_HOLD, 3000);
    capture.sample = SAMPLE_CAPTURE;
    compare.sample = SAMPLE_COMPARE;
    w->steps[step] = (struct step){.name = name, .verb = verb};
    if (verb != VERB_REVERT) {
        add_row(w, step, ask(w, before, ON_FAILURE_STOP, 0));
        add_row(w, step, capture);
    }
    add_row(w, step,
            (struct row){.primitive = PRIMITIVE_STOP,
                         .signal = SIGTERM,
                         .deadline_ms = 5000,
                         .on_failure = ON_FAILURE_RETURN});
    add_row(
        w, step,
        (struct row){.primitive = PRIMITIVE_SWAP, .generation = generation, .on_failure = ON_FAILURE_RETURN});
    add_row(w, step,
            (struct row){.primitive = PRIMITIVE_START,
                         .generation = generation,
                         .deadline_ms = 3000,
                         .hard_cap_ms = 8000,
                         .on_failure = ON_FAILURE_RETURN});
    add_row(w, step,
            (struct row){.primitive = PRIMITIVE_OBSERVE,
                         .generation = generation,
                         .deadline_ms = 3000,
                         .on_failure = ON_FAILURE_RETURN});
    add_row(w, step, ask(w, after, ON_FAILURE_RETURN, 1000));
    if (verb != VERB_REVERT)
        add_row(w, step, compare);
}

static void make_lease(struct agent_world *w);

static void make_order(struct agent_world *w) {
    char folder[KEDGE_PATH_MAX + 1];
    if (member_folder(w->state, "c/store@n1", folder, sizeof(folder)) < 0)
        abort();
    for (size_t i = 0; i < 2; i++) {
        struct argument *arguments = arena_array(w->arena, 4, sizeof(*arguments));
        arguments[0] = (struct argument){.text = world_text(w, "%s/current/release/bin/demo-store", folder)};
        arguments[1] = (struct argument){.found = 1, .has_found = true};
        arguments[2] = (struct argument){.found = 2, .has_found = true};
        arguments[3] = (struct argument){.text = "--read-only"};
        w->generations[i] = (struct generation){.mode = i == 0 ? MODE_READ_ONLY : MODE_READ_WRITE,
                                                .has_manifest = true,
                                                .version = w->manifest.version,
                                                .arguments = arguments,
                                                .n_arguments = i == 0 ? 4 : 3};
    }
    w->steps[0] = (struct step){.name = "prepare", .verb = VERB_PREPARE};
    for (uint32_t i = 1; i <= 2; i++) {
        add_row(w, 0, (struct row){.primitive = PRIMITIVE_STAGE, .generation = i, .deadline_ms = 10000});
        add_row(w, 0, (struct row){.primitive = PRIMITIVE_RENDER, .generation = i});
    }
    make_switch(w, 1, "switch", VERB_SWITCH, 1);
    make_switch(w, 2, "promote", VERB_PROMOTE, 2);
    make_switch(w, 3, "return", VERB_REVERT, 0);
    w->order = (struct work_order){.format = 1,
                                   .cluster = "c",
                                   .serial = 1,
                                   .member = "c/store@n1",
                                   .role = "store",
                                   .node = "n1",
                                   .domain = "",
                                   .system = "demo-store",
                                   .self = w->charter_member.self,
                                   .end_mode = MODE_READ_WRITE,
                                   .way_back = WAY_BACK_UNTIL_FINALIZE,
                                   .generations = w->generations,
                                   .n_generations = 2,
                                   .steps = w->steps,
                                   .n_steps = 6,
                                   .from_version = "1.0.0",
                                   .to_version = w->manifest.version};
    make_lease(w);
}

/* A step that sets the store's repair-delay, and is done when it has the value. */
static void make_act(struct agent_world *w, size_t step, const char *name, const char *value) {
    struct argument *arguments = arena_array(w->arena, 5, sizeof(*arguments));
    struct command *command = arena_alloc(w->arena, sizeof(*command));
    struct check *check = arena_alloc(w->arena, sizeof(*check));
    const char **values = arena_array(w->arena, 1, sizeof(*values));
    arguments[0] = (struct argument){.has_found = true};
    arguments[1] = (struct argument){.text = "set"};
    arguments[2] = (struct argument){.text = w->charter_member.self};
    arguments[3] = (struct argument){.text = "repair-delay"};
    arguments[4] = (struct argument){.text = value};
    *command = (struct command){.arguments = arguments, .n_arguments = 5, .deadline_ms = 5000};
    values[0] = value;
    *check =
        (struct check){.probe = {.kind = PROBE_HTTP,
                                 .target = world_text(w, "http://127.0.0.1:%u/setting/repair-delay", w->port),
                                 .match = "^([0-9]+)$",
                                 .timeout_ms = 1000},
                       .rule = RULE_EQUALS,
                       .values = values,
                       .n_values = 1,
                       .otherwise = ANSWER_NO,
                       .says = "repair-delay is {items}"};
    w->steps[step] = (struct step){.name = name, .verb = VERB_ACT};
    add_row(
        w, step,
        (struct row){.primitive = PRIMITIVE_RUN, .command = command, .done_if = check, .deadline_ms = 5000});
}

static void make_lease(struct agent_world *w) {
    make_act(w, 4, "open repair-delay", "60");
    make_act(w, 5, "close repair-delay", "0");
    w->lease = (struct lease){.name = "repair-delay",
                              .close_step = "close repair-delay",
                              .previous = "0",
                              .ours = "60",
                              .ttl_ms = 300,
                              .delta_ms = 100,
                              .on_loss = ON_LOSS_UNDO};
    w->order.leases = &w->lease;
    w->order.n_leases = 1;
}

void world_sign(struct agent_world *w) {
    struct error err = {""};
    w->order.node_key = w->executor->key.public;
    w->release = digest_of(buffer_bytes(&w->manifest_blob));
    for (size_t i = 0; i < 2; i++) {
        w->generations[i].manifest = w->release;
        if (generation_digest(&w->generations[i], &w->generations[i].digest, &err) < 0)
            abort();
    }
    encode(&work_order_codec, &w->order, &w->order_bytes);
    struct digest leaves[2] = {merkle_leaf(bytes_of_text("shape")),
                               merkle_leaf(buffer_bytes(&w->order_bytes))};
    struct digest scratch[2] = {leaves[0], leaves[1]};
    w->n_path = merkle_path(scratch, 2, 1, w->path);
    w->header = (struct header){.format = 1,
                                .cluster = "c",
                                .serial = w->order.serial,
                                .root = merkle_root(leaves, 2),
                                .n_leaves = 2,
                                .manifest = w->release,
                                .lifts = &w->release,
                                .n_lifts = w->lifts,
                                .from_version = "1.0.0",
                                .to_version = w->manifest.version,
                                .author = "alice",
                                .ticket = "",
                                .reason = "",
                                .created_s = clock_wall_s() - 1,
                                .not_after_s = clock_wall_s() + 3600};
    sign(&header_codec, &w->header, TRUST_OPERATOR_PLAN, &w->operator_key, &w->header_blob);
}

/* ---- life ---- */

/* However a test ends (a failed requirement, a time-out, a crash), its service and its folder end too. */
static bool start_janitor(struct agent_world *w) {
    int ends[2];
    char byte;
    struct error err = {""};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    w->janitor = fork();
    w->janitor_fd = ends[1];
    if (w->janitor != 0) {
        close(ends[0]);
        return w->janitor > 0;
    }
    (void)setsid();
    for (int fd = 3; fd < 64; fd++)
        if (fd != ends[0])
            close(fd);
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
        ;
    (void)world_kill_services(w);
    _exit(folder_remove(w->folder, &err) < 0);
}

bool world_init(struct agent_world *w, const char *store_releases, const char *target) {
    struct error err = {""};
    *w = (struct agent_world){.epoch = 1};
    snprintf(w->folder, sizeof(w->folder), "/tmp/kedge-agent-world-XXXXXX");
    w->arena = arena_new(ARENA_BYTES);
    if (!mkdtemp(w->folder) || !w->arena || trust_init(&err) < 0)
        return world_complain(&err);
    w->port = world_free_port();
    snprintf(w->state, sizeof(w->state), "%s/state", w->folder);
    snprintf(w->store_folder, sizeof(w->store_folder), "%s/store", w->folder);
    if (!start_janitor(w))
        return false;
    if (mkdir(w->store_folder, 0755) < 0 ||
        folder_make(world_text(w, "%s/releases", w->state), 0755, &err) < 0 ||
        !world_write(
            world_text(w, "%s/store.conf", w->store_folder),
            world_text(
                w,
                "# by hand\nid = s1\nlisten = 127.0.0.1:%u\ndata = data\npeers = 127.0.0.1:%u\nsync = no\n",
                w->port, w->port)))
        return world_complain(&err);
    key_pair_generate(&w->operator_key);
    key_pair_generate(&w->release_key);
    w->allowed = (struct allowed_member){.member = "c/store@n1"};
    w->config =
        (struct agent_config){.node = "n1",
                              .state = w->state,
                              .coordinator = "127.0.0.1:1",
                              .artifacts = "http://127.0.0.1:1",
                              .level = ALLOW_CHANGE,
                              .members = &w->allowed,
                              .n_members = 1,
                              .anchors = {&w->operator_key.public, 1, 1, &w->release_key.public, 1, 1}};
    char *folder = world_text(w, "%s/demo-store-%s", store_releases, target);
    make_manifest(w, folder, target);
    make_gates(w);
    world_start_stranger(w, world_text(w, "%s/demo-store-1.0.0/bin/demo-store", store_releases));
    for (int i = 0; i < 5000 && !world_answer(w)[0]; i++)
        (void)poll(NULL, 0, 1);
    return lay_release(w, folder) && world_fill_store(w);
}

bool world_agent_start(struct agent_world *w, const char *prober) {
    struct error err = {""};
    if (executor_new(&w->config, w->arena, &w->executor, &err) < 0 ||
        prober_client_new(w->executor->loop, prober, NULL, &w->executor->prober, &err) < 0)
        return world_complain(&err);
    w->executor->stager = "/nonexistent";
    executor_load(w->executor);
    return true;
}

void world_agent_stop(struct agent_world *w) {
    w->executor = executor_free(w->executor);
}

bool world_answers(struct agent_world *w) {
    uint64_t until = clock_monotonic_us() + WAIT_MS * 1000ull;
    while (!world_answer(w)[0] && clock_monotonic_us() < until)
        (void)sd_event_run(w->executor->loop, 10000);
    return world_answer(w)[0] != 0;
}

static bool is_ours(struct agent_world *w, pid_t pid) {
    struct arena *arena = arena_new(1 << 20);
    const char *cwd = "";
    struct error err;
    bool ours = arena && procfs_link(pid, "cwd", arena, &cwd, &err) == 0 && strcmp(cwd, w->store_folder) == 0;
    arena_free(arena);
    return ours;
}

unsigned world_kill_services(struct agent_world *w) {
    unsigned n = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        pid_t pid =
            entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? (pid_t)strtol(entry->d_name, NULL, 10) : 0;
        if (pid == 0 || !is_ours(w, pid))
            continue;
        n++;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0); /* when it is ours */
        for (int i = 0; i < 5000 && is_ours(w, pid); i++)
            (void)poll(NULL, 0, 1);
    }
    if (dir)
        closedir(dir);
    return n;
}

bool world_reboot(struct agent_world *w) {
    struct journal *journal;
    struct process_record record;
    struct buffer packed = {0};
    struct error err = {""};
    (void)world_kill_services(w);
    if (journal_open(world_text(w, "%s/journal", w->state), &journal, &err) < 0)
        return world_complain(&err);
    struct bytes bytes = journal_get(journal, RECORD_PROCESS, "c/store@n1");
    bool found = bytes.data && process_record_unpack(bytes, w->arena, &record) == 0;
    snprintf(record.id.boot, sizeof(record.id.boot), "00000000-0000-0000-0000-000000000000");
    if (found) {
        process_record_pack(&record, &packed);
        found = journal_put(journal, RECORD_PROCESS, "c/store@n1", buffer_bytes(&packed)) == 0;
    }
    buffer_deinit(&packed);
    journal_close(journal);
    return found;
}

void world_deinit(struct agent_world *w) {
    struct error err;
    world_agent_stop(w);
    (void)world_kill_services(w);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    if (folder_remove(w->folder, &err) < 0)
        world_complain(&err);
    close(w->janitor_fd);
    (void)waitpid(w->janitor, NULL, 0);
    buffer_deinit(&w->charter_blob);
    buffer_deinit(&w->order_bytes);
    buffer_deinit(&w->manifest_blob);
    buffer_deinit(&w->header_blob);
    key_pair_deinit(&w->operator_key);
    key_pair_deinit(&w->release_key);
    arena_free(w->arena);
}

static void receive(struct agent_world *w, enum message_type type, struct bytes bytes) {
    message_receive(w->executor, &(struct verified_message){.type = type, .bytes = bytes});
}

struct gathered {
    struct agent_world *w;
    bool done;
};

/* What a planner would copy: here all that is binding by name. */
static void on_facts(void *context, const struct facts *facts) {
    static const char *const binding[] = {
        "found",         "executable",     "directory",       "arguments",
        "argument.0",    "release.folder", "release.version", "config.path",
        "config.digest", "mode",           "socket",          "generation",
        "adopted",       "member.path",    "data.inside",     "environment.digest"};
    struct gathered *gathered = context;
    struct agent_world *w = gathered->w;
    struct fact *copy = arena_array(w->arena, ARRAY_LEN(binding), sizeof(*copy));
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(binding); i++) {
        const char *value = fact_get(facts->items, facts->n, binding[i]);
        if (value)
            copy[n++] = (struct fact){binding[i], arena_text(w->arena, value)};
    }
    w->order.binding = copy;
    w->order.n_binding = n;
    gathered->done = true;
}

bool world_bind_facts(struct agent_world *w) {
    struct gathered gathered = {.w = w};
    struct facts_run *run = facts_gather(executor_member(w->executor, "c/store@n1"), on_facts, &gathered);
    uint64_t until = clock_monotonic_us() + WAIT_MS * 1000ull;
    while (run && !gathered.done && clock_monotonic_us() < until)
        (void)sd_event_run(w->executor->loop, 10000);
    return gathered.done;
}

bool world_adopt(struct agent_world *w) {
    struct buffer bytes = {0};
    make_charter(w);
    make_order(w);
    struct charter_message message = {.charter = buffer_bytes(&w->charter_blob), .adopt = true};
    encode(&charter_message_codec, &message, &bytes);
    receive(w, MESSAGE_CHARTER, buffer_bytes(&bytes));
    buffer_deinit(&bytes);
    const struct member *m = executor_member(w->executor, "c/store@n1");
    if (!m || !m->has_generation || !world_bind_facts(w))
        return false;
    world_sign(w);
    return true;
}

void world_send(struct agent_world *w, const char *step,
                void (*spoil)(struct order_message *message, void *data), void *data) {
    struct buffer bytes = {0};
    w->expires_s = (w->expires_s ? w->expires_s : clock_wall_s() + 600) + 1;
    struct order_message message = {.epoch = w->epoch,
                                    .header = buffer_bytes(&w->header_blob),
                                    .work_order = buffer_bytes(&w->order_bytes),
                                    .leaf = 1,
                                    .path = w->path,
                                    .n_path = w->n_path,
                                    .gates = w->gate_views,
                                    .n_gates = 4,
                                    .manifest = buffer_bytes(&w->manifest_blob),
                                    .step = step,
                                    .addressee = w->executor->key.public,
                                    .expires_s = w->expires_s};
    if (spoil)
        spoil(&message, data);
    encode(&order_message_codec, &message, &bytes);
    receive(w, MESSAGE_ORDER, buffer_bytes(&bytes));
    buffer_deinit(&bytes);
}

static const struct report *find_report(struct agent_world *w, const char *step) {
    char key[512];
    struct outcome_record record;
    struct report *report;
    struct error err;
    snprintf(key, sizeof(key), "c/%020llu/c/store@n1/%s", (unsigned long long)w->order.serial, step);
    struct bytes packed = journal_get(w->executor->journal, RECORD_OUTCOME, key);
    if (!packed.data || outcome_record_unpack(packed, &record) < 0 ||
        (w->expires_s > 0 && record.expires_s != w->expires_s) ||
        codec_decode(&report_codec, record.report, w->arena, &report, &err) < 0)
        return NULL;
    return report;
}

const struct report *world_wait(struct agent_world *w, const char *step) {
    uint64_t until = clock_monotonic_us() + WAIT_MS * 1000ull;
    const struct report *report = find_report(w, step);
    while (!report && clock_monotonic_us() < until) {
        if (sd_event_run(w->executor->loop, 10000) < 0)
            return NULL;
        report = find_report(w, step);
    }
    return report;
}

const struct report *world_wait_any(struct agent_world *w, const char *step) {
    uint64_t expires_s = w->expires_s;
    w->expires_s = 0;
    const struct report *report = world_wait(w, step);
    w->expires_s = expires_s;
    return report;
}

const struct report *world_order(struct agent_world *w, const char *step) {
    world_send(w, step, NULL, NULL);
    return world_wait(w, step);
}
