/* The order of starting: the store first (its lock says that we are alone in this folder), then the doors, so that a port that
 * is taken changes nothing, then the journal's replay, and only then a new epoch and the loop. */
#include "coordinator/daemon/daemon.h"
#include "coordinator/daemon/clients.h"

#include "common/base/file.h"
#include "common/base/log.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>

enum { SESSIONS_MAX = 12000 };

/* ---- time ---- */

static uint64_t clock_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t daemon_now(const struct daemon *d) {
    return d->real_ms + (clock_us(CLOCK_BOOTTIME) - d->boot_us) / 1000;
}

static void clock_init(struct daemon *d) {
    d->real_ms = clock_us(CLOCK_REALTIME) / 1000;
    d->boot_us = clock_us(CLOCK_BOOTTIME);
    d->began_ms = d->real_ms;
}

/* ---- ending ---- */

void daemon_fail(struct daemon *d, int code, const struct error *err) {
    if (d->failed == 0)
        log_error("kedged", "ends: %s", err->text);
    d->failed = code;
    (void)sd_event_exit(d->loop, 1);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *user) {
    (void)user;
    log_info("kedged", "ends on signal %u; agents finish or return what they have begun", info->ssi_signo);
    return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* ---- a turn ---- */

static int on_fleet(sd_event_source *source, int fd, uint32_t events, void *user) {
    struct daemon *d = user;
    (void)source, (void)fd, (void)events;
    fleet_turn(d->fleet, daemon_now(d));
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *user) {
    struct daemon *d = user;
    (void)source, (void)usec;
    uint64_t now_ms = daemon_now(d);
    if (fleet_deadline(d->fleet) <= now_ms)
        fleet_turn(d->fleet, now_ms);
    if (engine_next_deadline(d->engine) <= now_ms)
        (void)conduct_event(d, (struct event){.kind = EVENT_TICK});
    return 0;
}

static void timer_set(struct daemon *d) {
    uint64_t at_ms = fleet_deadline(d->fleet), engine = engine_next_deadline(d->engine),
             clients = clients_deadline(d);
    at_ms = engine < at_ms ? engine : at_ms;
    at_ms = clients < at_ms ? clients : at_ms;
    if (at_ms == UINT64_MAX) {
        (void)sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
        return;
    }
    uint64_t at_us = at_ms <= d->real_ms ? 0 : d->boot_us + (at_ms - d->real_ms) * 1000;
    (void)sd_event_source_set_time(d->timer, at_us);
    (void)sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
}

/* Runs after whatever else ran: everything of the turn becomes durable, then it is said. */
static int on_turn_end(sd_event_source *source, void *user) {
    struct daemon *d = user;
    (void)source;
    conduct_commit(d);
    if (d->failed)
        return 0;
    clients_flush(d);
    if (store_is_dirty(d->store))
        conduct_commit(d);
    timer_set(d);
    return 0;
}

/* ---- starting ---- */

static int paths_make(struct daemon *d, struct error *err) {
    const char *state = d->config->state;
    if (strlen(state) > KEDGE_PATH_MAX - 32)
        return error_set(err, -ENAMETOOLONG, "%s: the path is too long", state);
    snprintf(d->journal_path, sizeof(d->journal_path), "%s/journal.sqlite", state);
    snprintf(d->artifacts_path, sizeof(d->artifacts_path), "%s/artifacts", state);
    snprintf(d->control_path, sizeof(d->control_path), "%s/control.sock", state);
    int r = folder_make(state, 0755, err);
    return r == 0 ? folder_make(d->artifacts_path, 0755, err) : r;
}

/* Made at the first start. */
static int key_take(struct daemon *d, struct error *err) {
    char path[KEDGE_PATH_MAX + 1];
    snprintf(path, sizeof(path), "%.*s/kedged.key", KEDGE_PATH_MAX - 16, d->config->state);
    if (access(path, F_OK) == 0)
        return key_pair_load(&d->key, path, NULL, NULL, err);
    key_pair_generate(&d->key);
    return key_pair_save(&d->key, path, "coordinator key", NULL, err);
}

static int node_load(void *user, const struct store_node *node, struct error *err) {
    struct daemon *d = user;
    return fleet_node_add(d->fleet, node->name, &node->key, node->approved_ms, err);
}

static int doors_open(struct daemon *d, struct error *err) {
    struct fleet_config fleet = {d->config->listen, &d->key, SESSIONS_MAX, conduct_callbacks};
    fleet.callbacks.user = d;
    int r = fleet_new(&d->fleet, &fleet, err);
    if (r == 0)
        r = artifact_server_new(&d->artifact_server, d->config->artifacts, d->artifacts_path, err);
    return r == 0 ? clients_open(d, err) : r;
}

static int loop_make(struct daemon *d, struct error *err) {
    int r = sd_event_new(&d->loop);
    if (r >= 0)
        r = sd_event_add_signal(d->loop, NULL, SIGTERM, on_signal, d);
    if (r >= 0)
        r = sd_event_add_signal(d->loop, NULL, SIGINT, on_signal, d);
    if (r >= 0)
        r = sd_event_add_time(d->loop, &d->timer, CLOCK_BOOTTIME, 0, 1, on_timer, d);
    if (r >= 0)
        r = sd_event_add_post(d->loop, &d->commit, on_turn_end, d);
    return r < 0 ? error_errno(err, r, "event loop") : 0;
}

static int daemon_start(struct daemon *d, struct error *err) {
    int r = paths_make(d, err);
    if (r == 0)
        r = key_take(d, err);
    if (r == 0)
        r = loop_make(d, err);
    if (r == 0)
        r = store_open(d->journal_path, &d->key, &d->store, err);
    if (r == 0)
        r = doors_open(d, err);
    if (r == 0)
        r = store_nodes(d->store, node_load, d, err);
    if (r == 0)
        r = releases_load(d, err);
    if (r == 0)
        r = clusters_load(d, err);
    if (r == 0)
        r = conduct_recover(d, err);
    if (r == 0 && (r = sd_event_add_io(d->loop, NULL, fleet_fd(d->fleet), EPOLLIN, on_fleet, d)) < 0)
        r = error_errno(err, r, "event loop");
    return r < 0 ? r : 0;
}

/* "HOST" of "HOST:PORT". */
static int host_len(const char *address) {
    const char *colon = strrchr(address, ':');
    return colon ? (int)(colon - address) : 0;
}

static void say_where(const struct daemon *d) {
    char key[KEDGE_PUBLIC_KEY_TEXT_SIZE];
    const struct daemon_config *config = d->config;
    public_key_format(key, &d->key.public);
    log_info("kedged",
             "agents at %.*s:%d, artifacts at http://%.*s:%d, control socket %s, epoch %llu, key %s",
             host_len(config->listen), config->listen, fleet_port(d->fleet), host_len(config->artifacts),
             config->artifacts, artifact_server_port(d->artifact_server), d->control_path,
             (unsigned long long)d->epoch, key);
    (void)sd_notify(0, "READY=1");
}

static void daemon_deinit(struct daemon *d) {
    clients_close(d);
    d->artifact_server = artifact_server_free(d->artifact_server);
    d->fleet = fleet_free(d->fleet);
    plan_indexes_deinit(d);
    conduct_deinit(d);
    clusters_deinit(d);
    releases_deinit(d);
    histories_deinit(d);
    store_close(d->store);
    sd_event_source_unref(d->timer);
    sd_event_source_unref(d->commit);
    sd_event_unref(d->loop);
    key_pair_deinit(&d->key);
}

/* Blocked before any thread exists, so that only the loop hears them. */
static void signals_block(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int daemon_run(const struct daemon_config *config, struct error *err) {
    struct daemon d = {.config = config, .control_fd = -1};
    signals_block();
    clock_init(&d);
    int r = daemon_start(&d, err);
    if (r == 0) {
        conduct_commit(&d); /* the new reign */
        say_where(&d);
        timer_set(&d);
        r = d.failed ? d.failed : sd_event_loop(d.loop);
        if (r > 0)
            r = error_set(err, d.failed ? d.failed : -EIO, "its journal could not be written");
        else if (r < 0)
            error_errno(err, r, "event loop");
        r = r < 0 ? 1 : 0;
    }
    daemon_deinit(&d);
    return r;
}
