/* The agent's life: key and journal, clusters and members out of the journal, then one loop. Members are recovered before
 * anything is heard from outside: what was begun goes on whether or not there is a coordinator.
 *
 * Ends on SIGTERM and SIGINT without touching a member; SIGKILL is as good, since nothing is kept in memory only. */
#include "agent/executor/executor.h"

#include "agent/executor/stage.h"
#include "common/base/file.h"
#include "common/base/log.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>

enum { TICK_US = 1000 * 1000, LIVE_EVERY_TICKS = 5, HEARTBEAT_FACTS_MAX = 64 };

static uint64_t clock_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void) {
    return clock_us(CLOCK_MONOTONIC);
}

uint64_t clock_wall_s(void) {
    return clock_us(CLOCK_REALTIME) / 1000000;
}

uint64_t clock_wall_ms(void) {
    return clock_us(CLOCK_REALTIME) / 1000;
}

/* ---- the log ---- */

enum { WARNINGS_MAX = 100, WARNINGS_US = 10 * 1000 * 1000 };

/* How many were not said is said when the time is over, whether or not another comes. */
static void warnings_look(struct executor *executor, uint64_t now_us) {
    if (now_us - executor->warned.since_us < WARNINGS_US)
        return;
    if (executor->warned.n > WARNINGS_MAX)
        log_warning("message", "%u more messages of the coordinator were refused",
                    executor->warned.n - WARNINGS_MAX);
    executor->warned.since_us = now_us;
    executor->warned.n = 0;
}

void executor_warn(struct executor *executor, const char *id, const char *text) {
    warnings_look(executor, clock_monotonic_us());
    if (executor->warned.n++ < WARNINGS_MAX)
        log_warning(id, "%s", text);
}

/* ---- the journal ---- */

void executor_journal_lost(struct executor *executor) {
    if (executor->told_lost)
        return;
    executor->told_lost = true;
    log_error(
        "alarm",
        "journal lost: this agent finishes what is open and begins nothing more until its disk is mended "
        "and it is started again");
    for (struct member *m = executor->members; m; m = m->next) {
        struct machine_event event = {.kind = MACHINE_EVENT_JOURNAL_LOST};
        struct machine_actions
            none; /* it only makes a machine remember, so it may come in the middle of another step */
        machine_step(&m->machine, &event, &none);
    }
}

bool executor_put(struct executor *executor, enum record_type type, const char *key,
                  const struct buffer *value) {
    int r = value->failed ? -ENOMEM : journal_put(executor->journal, type, key, buffer_bytes(value));
    if (r < 0 && journal_is_lost(executor->journal))
        executor_journal_lost(executor);
    else if (r < 0)
        log_error("journal", "a record of %s cannot be written: %s", key, strerror(-r));
    return r == 0;
}

/* ---- clusters ---- */

struct cluster *executor_cluster(const struct executor *executor, const char *name) {
    struct cluster *cluster = executor->clusters;
    while (cluster && strcmp(cluster->charter->cluster, name) != 0)
        cluster = cluster->next;
    return cluster;
}

struct member *executor_member(const struct executor *executor, const char *name) {
    struct member *m = executor->members;
    while (m && strcmp(m->name, name) != 0)
        m = m->next;
    return m;
}

const struct gate *cluster_gate(const struct cluster *cluster, const struct digest *digest,
                                struct bytes *bytesp) {
    const struct gate *gate = gate_set_find(&cluster->gates, digest);
    if (gate)
        *bytesp = cluster->gates.bytes[gate - cluster->gates.gates];
    return gate;
}

static struct cluster *cluster_free(struct cluster *cluster) {
    if (cluster)
        arena_free(cluster->arena);
    free(cluster);
    return NULL;
}

static int cluster_open(struct executor *executor, struct bytes blob, struct cluster **outp,
                        struct error *err) {
    struct cluster *cluster = calloc(1, sizeof(*cluster));
    if (cluster)
        cluster->arena = arena_new(2 * KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    if (!cluster || !cluster->arena) {
        free(cluster);
        return error_set(err, -ENOMEM, "out of memory");
    }
    int r = charter_verify(&executor->config.anchors, &executor->key.public, blob, cluster->arena,
                           &cluster->charter, err);
    if (r == 0)
        r = gate_set_open(&cluster->gates, cluster->arena, cluster->charter->gates, cluster->charter->n_gates,
                          err);
    if (r < 0) {
        cluster_free(cluster);
        return r;
    }
    struct bytes packed = journal_get(executor->journal, RECORD_CLUSTER, cluster->charter->cluster);
    if (packed.data && cluster_record_unpack(packed, &cluster->record) < 0)
        log_error("journal", "the record of cluster %s is not understood", cluster->charter->cluster);
    *outp = cluster;
    return 0;
}

static bool is_ours(const struct executor *executor, const struct charter *charter, const char *node) {
    for (size_t i = 0; i < charter->n_roster; i++)
        if (public_key_equal(&charter->roster[i].key, &executor->key.public))
            return strcmp(charter->roster[i].node, node) == 0;
    return false;
}

/* Members of an older charter are let go of (their processes live on, their records stay). */
static void drop_members(struct executor *executor, const struct cluster *cluster) {
    for (struct member **at = &executor->members; *at;) {
        struct member *m = *at;
        if (m->cluster != cluster) {
            at = &m->next;
            continue;
        }
        *at = m->next;
        member_free(m);
    }
}

static void drop_cluster(struct executor *executor, struct cluster *cluster) {
    struct cluster **at = &executor->clusters;
    while (*at && *at != cluster)
        at = &(*at)->next;
    if (*at)
        *at = cluster->next;
    drop_members(executor, cluster);
    cluster_free(cluster);
}

/* "a_b/x@n" and "a/b_x@n" would share a folder: the second is not taken. */
static bool folder_is_taken(const struct executor *executor, const char *folder) {
    for (const struct member *m = executor->members; m; m = m->next)
        if (strcmp(m->folder, folder) == 0)
            return true;
    return false;
}

static void member_take(struct executor *executor, struct cluster *cluster,
                        const struct charter_member *charter) {
    if (!is_ours(executor, cluster->charter, charter->node) || executor_member(executor, charter->name))
        return;
    struct member *m = member_new(executor, cluster, charter);
    if (!m || folder_is_taken(executor, m->folder)) {
        log_error("charter", "%s cannot be taken: %s", charter->name,
                  m ? "its folder would be that of another member; give it another name" : "out of memory");
        member_free(m);
        return;
    }
    m->next = executor->members;
    executor->members = m;
    member_recover_all(m);
}

int cluster_take(struct executor *executor, struct bytes blob, bool adopt, struct cluster **outp,
                 struct error *err) {
    struct cluster *cluster = NULL;
    int r = cluster_open(executor, blob, &cluster, err);
    if (!cluster)
        return r;
    cluster->adopt = adopt;
    struct cluster *older = executor_cluster(executor, cluster->charter->cluster);
    if (older) {
        asks_cancel(executor); /* they may look at its gates */
        drop_cluster(executor, older);
    }
    cluster->next = executor->clusters;
    executor->clusters = cluster;
    for (size_t i = 0; i < cluster->charter->n_members; i++)
        member_take(executor, cluster, &cluster->charter->members[i]);
    *outp = cluster;
    return 0;
}

static void load_clusters(struct executor *executor) {
    for (const char *key = journal_next(executor->journal, RECORD_CHARTER, ""); key;
         key = journal_next(executor->journal, RECORD_CHARTER, key)) {
        struct charter_record record;
        struct cluster *cluster;
        struct error err = {""};
        if (charter_record_unpack(journal_get(executor->journal, RECORD_CHARTER, key), &record) < 0)
            log_error("charter", "the charter of %s in the journal is not understood", key);
        else if (cluster_take(executor, record.blob, record.adopt, &cluster, &err) < 0)
            log_error("charter", "%s", err.text);
    }
}

/* ---- the line ---- */

void executor_send(struct executor *executor, enum message_type type, const struct codec_message *codec,
                   const void *value) {
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    struct error err = {""};
    int r = codec_encode(codec, value, &bytes, &err);
    if (r == 0 && executor->is_open)
        r = link_client_send(&executor->link, type, buffer_bytes(&bytes));
    if (r < 0 && r != -ENOTCONN)
        log_error("link", "a message of type %d was not sent: %s", (int)type,
                  err.text[0] ? err.text : strerror(-r));
}

/* What is seen of each member without asking, for lists of nodes and for who waits. What is new is said at once. */
static void set_heartbeat(struct executor *executor) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(64 * 1024);
    _cleanup_(buffer_deinit) struct buffer bytes = {0}, said = {0};
    struct fact live[HEARTBEAT_FACTS_MAX];
    struct error err;
    size_t n = 0;
    for (const struct member *m = executor->members; arena && m && n < ARRAY_LEN(live); m = m->next) {
        const char *text = arena_format(
            arena, "%s %s %s %s generation %u %s", m->name, mode_text(m->mode), origin_text(m->origin),
            m->has_generation && m->generation.version[0] ? m->generation.version : "?",
            m->has_generation ? m->generation.number : 0, machine_state_text(m->machine.record.state));
        if (text) {
            live[n++] = (struct fact){"member", text};
            buffer_format(&said, "%s\n", text);
        }
    }
    struct digest digest = digest_of(buffer_bytes(&said));
    bool is_news = !digest_equal(&digest, &executor->said);
    executor->said = digest;
    struct heartbeat heartbeat = {.clock_ms = clock_wall_ms(),
                                  .version = KEDGE_VERSION,
                                  .epoch = executor->trust.epoch,
                                  .live = live,
                                  .n_live = n};
    if (codec_encode(&heartbeat_codec, &heartbeat, &bytes, &err) == 0)
        link_client_heartbeat(&executor->link, buffer_bytes(&bytes), is_news);
}

static void line_is_open(struct executor *executor) {
    log_info("link", "the coordinator has admitted this node");
    executor->is_open = true;
    for (const struct member *m = executor->members; m; m = m->next)
        member_reports_again(m);
}

static void pump_link(struct executor *executor) {
    struct link_event event;
    while (link_client_next(&executor->link, clock_monotonic_us() / 1000, &event)) {
        switch (event.kind) {
        case LINK_EVENT_PENDING:
            log_info("link",
                     "the coordinator waits for an operator to approve this node's key (kedge node approve)");
            break;
        case LINK_EVENT_OPEN: line_is_open(executor); break;
        case LINK_EVENT_MESSAGE: message_receive(executor, &event.message); break;
        case LINK_EVENT_DOWN:
            log_warning("link", "%s", event.reason);
            executor->is_open = false;
            break;
        }
    }
    uint64_t due_ms = link_client_deadline(&executor->link);
    (void)sd_event_source_set_time(executor->link_timer, due_ms == UINT64_MAX ? UINT64_MAX : due_ms * 1000);
    (void)sd_event_source_set_enabled(executor->link_timer, SD_EVENT_ONESHOT);
}

static int on_link(sd_event_source *source, int fd, uint32_t events, void *userdata) {
    (void)source;
    (void)fd;
    (void)events;
    pump_link(userdata);
    return 0;
}

static int on_link_timer(sd_event_source *source, uint64_t usec, void *userdata) {
    (void)source;
    (void)usec;
    pump_link(userdata);
    return 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
    struct executor *executor = userdata;
    (void)usec;
    leases_look(executor);
    warnings_look(executor, clock_monotonic_us());
    if (executor->has_link) {
        set_heartbeat(executor);
        pump_link(executor);
    }
    (void)sd_event_source_set_time_relative(source, TICK_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* ---- helpers ---- */

/* Without links and "..": one of them is told to the planner, and compared with what comes back in an order. */
static const char *resolved(const struct executor *executor, const char *path) {
    char real[PATH_MAX];
    return realpath(path, real) ? arena_text(executor->arena, real) : NULL;
}

/* `helpers:` of agent.yaml; else where they are installed; else beside this program: in the tree that it was built in, or
 * in one that was installed to another place than it was configured for. */
static const char *helper_path(const struct executor *executor, const char *name, struct error *err) {
    char self[KEDGE_PATH_MAX + 1];
    ssize_t n = readlink("/proc/self/exe", self, KEDGE_PATH_MAX);
    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = 0;
    const char *folder = executor->config.helpers ? executor->config.helpers : KEDGE_LIBEXEC;
    const char *path = arena_format(executor->arena, "%s/kedge-%s", folder, name);
    if (path && access(path, X_OK) == 0)
        return resolved(executor, path);
    const char *beside[] = {arena_format(executor->arena, "%s/../%s/kedge-%s", self, name, name),
                            arena_format(executor->arena, "%s/../libexec/kedge/kedge-%s", self, name)};
    for (size_t i = 0; !executor->config.helpers && i < ARRAY_LEN(beside); i++)
        if (beside[i] && access(beside[i], X_OK) == 0)
            return resolved(executor, beside[i]);
    (void)error_set(err, -ENOENT,
                    "%s is not there; set helpers: in agent.yaml to the folder of kedge-link, kedge-prober, "
                    "kedge-stager and kedge-znode",
                    path ? path : name);
    return NULL;
}

static int start_helpers(struct executor *executor, struct error *err) {
    const char *user = geteuid() == 0 ? executor->config.helper_user : NULL;
    const char *link = helper_path(executor, "link", err),
               *prober = link ? helper_path(executor, "prober", err) : NULL;
    executor->stager = prober ? helper_path(executor, "stager", err) : NULL;
    executor->znode = executor->stager ? helper_path(executor, "znode", err) : NULL;
    if (!executor->znode)
        return -ENOENT;
    int r = prober_client_new(executor->loop, prober, user, &executor->prober, err);
    if (r < 0)
        return r;
    struct link_client_config config = {.program = link,
                                        .address = executor->config.coordinator,
                                        .node = executor->config.node,
                                        .user = user,
                                        .agent = &executor->key,
                                        .coordinator = executor->config.coordinator_key};
    r = link_client_init(&executor->link, &config, err);
    executor->has_link = r == 0;
    return r;
}

/* ---- life ---- */

static int load_key(struct executor *executor, struct error *err) {
    char path[KEDGE_PATH_MAX + 1];
    snprintf(path, sizeof(path), "%s/agent.key", executor->config.state);
    if (access(path, F_OK) == 0)
        return key_pair_load(&executor->key, path, NULL, NULL, err);
    key_pair_generate(&executor->key);
    return key_pair_save(&executor->key, path, "identity key of this node's kedge-agent; never copy it", NULL,
                         err);
}

static int open_state(struct executor *executor, struct error *err) {
    char path[KEDGE_PATH_MAX + 1];
    const char *state = executor->config.state;
    int r = folder_make(state, 0711, err);
    if (r == 0)
        r = load_key(executor, err);
    if (r == 0)
        r = procfs_boot_id(executor->boot, err);
    if (r < 0)
        return r;
    snprintf(executor->releases, sizeof(executor->releases), "%s/releases", state);
    snprintf(path, sizeof(path), "%s/members", state);
    /* Services run as others and read their releases and configurations below; what is secret is a file of mode 0600. */
    if ((r = folder_make(executor->releases, 0755, err)) < 0 || (r = folder_make(path, 0755, err)) < 0)
        return r;
    if (chmod(state, 0711) < 0 || chmod(executor->releases, 0755) < 0 || chmod(path, 0755) < 0)
        return error_errno(err, -errno, "%s", state);
    snprintf(path, sizeof(path), "%s/journal", state);
    r = journal_open(path, &executor->journal, err);
    struct bytes packed = r == 0 ? journal_get(executor->journal, RECORD_TRUST, "") : (struct bytes){NULL, 0};
    if (packed.data && trust_record_unpack(packed, &executor->trust) < 0)
        r = error_set(err, -EBADMSG, "the journal's record of epoch and time is not understood");
    return r;
}

static int add_signal(struct executor *executor, int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return sd_event_add_signal(executor->loop, NULL, signal, NULL, NULL);
}

int executor_new(const struct agent_config *config, struct arena *arena, struct executor **outp,
                 struct error *err) {
    struct executor *executor = calloc(1, sizeof(*executor));
    if (!executor)
        return error_set(err, -ENOMEM, "out of memory");
    executor->config = *config;
    executor->arena = arena;
    int r = open_state(executor, err);
    if (r == 0 && sd_event_new(&executor->loop) < 0)
        r = error_set(err, -ENOMEM, "no event loop");
    if (r < 0) {
        executor_free(executor);
        return r;
    }
    *outp = executor;
    return 0;
}

struct executor *executor_free(struct executor *executor) {
    if (!executor)
        return NULL;
    asks_cancel(executor);
    leases_free(executor);
    while (executor->clusters)
        drop_cluster(executor, executor->clusters);
    prober_client_free(executor->prober);
    sd_event_source_disable_unref(executor->link_io);
    sd_event_source_disable_unref(executor->link_timer);
    sd_event_source_disable_unref(executor->tick);
    if (executor->has_link)
        link_client_deinit(&executor->link);
    sd_event_unref(executor->loop);
    journal_close(executor->journal);
    key_pair_deinit(&executor->key);
    free(executor);
    return NULL;
}

void executor_load(struct executor *executor) {
    load_clusters(executor);
    leases_load(executor);
}

int executor_run(struct executor *executor, struct error *err) {
    int r = start_helpers(executor, err);
    if (r < 0)
        return r;
    executor_load(executor);
    set_heartbeat(executor);
    r = sd_event_add_io(executor->loop, &executor->link_io, link_client_fd(&executor->link), EPOLLIN, on_link,
                        executor);
    if (r >= 0)
        r = sd_event_add_time(executor->loop, &executor->link_timer, CLOCK_MONOTONIC, 0, 1000, on_link_timer,
                              executor);
    if (r >= 0)
        r = sd_event_add_time_relative(executor->loop, &executor->tick, CLOCK_MONOTONIC, TICK_US,
                                       TICK_US / 10, on_tick, executor);
    if (r >= 0)
        r = add_signal(executor, SIGTERM);
    if (r >= 0)
        r = add_signal(executor, SIGINT);
    if (r >= 0)
        r = sd_event_loop(executor->loop);
    return r < 0 ? error_errno(err, r, "event loop") : 0;
}
