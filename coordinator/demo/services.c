/* What is there before Kedge comes: a cluster of demo-store, started by hand as an administrator would, each replica with
 * a folder of its own, and clients that use it all the time. Kedge is told nothing about how it was installed. */
#include "coordinator/demo/demo.h"
#include "common/base/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char *const found_files[] = {"bin/demo-store", "conf/demo-store.conf.sample"};

static int file_copy(const char *from, const char *to, mode_t mode, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer content = {0};
    int r = file_read(from, (size_t)64 * 1024 * 1024, &content, err);
    return r < 0 ? r : file_write(to, buffer_bytes(&content), mode, err);
}

/* nodes/nK/opt/demo-store-1.0.0: where "somebody" unpacked the release. */
static int release_install(struct demo *demo, unsigned node) {
    char from[KEDGE_PATH_MAX], to[KEDGE_PATH_MAX], folder[KEDGE_PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(found_files); i++) {
        snprintf(from, sizeof(from), "%s/store/releases/demo-store-1.0.0/%s", demo->programs, found_files[i]);
        snprintf(to, sizeof(to), "nodes/n%u/opt/demo-store-1.0.0/%s", node, found_files[i]);
        snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(to, '/') - to), to);
        int r = folder_make(folder, 0755, demo->err);
        if (r == 0)
            r = file_copy(from, to, i == 0 ? 0755 : 0644, demo->err);
        if (r < 0)
            return r;
    }
    return 0;
}

static void peers_write(const struct demo *demo, struct buffer *out, const char *between) {
    for (unsigned i = 0; i < demo->n_members; i++)
        buffer_format(out, "%s127.0.0.1:%u", i ? between : "", demo->ports[i]);
}

static int store_start(struct demo *demo, unsigned i) {
    char path[128], folder[64], log[128];
    _cleanup_(buffer_deinit) struct buffer conf = {0};
    int r = release_install(demo, i + 1);
    snprintf(folder, sizeof(folder), "nodes/n%u/srv", i + 1);
    snprintf(path, sizeof(path), "%s/demo-store.conf", folder);
    snprintf(log, sizeof(log), "%s/demo-store.log", folder);
    if (r == 0)
        r = folder_make(folder, 0755, demo->err);
    buffer_format(
        &conf, "# replica %u, written by hand\nid = s%u\nlisten = 127.0.0.1:%u\ndata = data\npeers = ", i + 1,
        i + 1, demo->ports[i]);
    peers_write(demo, &conf, ", ");
    buffer_text(&conf, "\n");
    if (r == 0)
        r = file_write(path, buffer_bytes(&conf), 0644, demo->err);
    if (r < 0)
        return r;
    struct process *process = process_add(demo, log, "demo-store s%u", i + 1);
    process_argument(process, "%s/nodes/n%u/opt/demo-store-1.0.0/bin/demo-store", demo->folder, i + 1);
    process_argument(process, "--config");
    process_argument(process, "demo-store.conf");
    process->folder = strdup(folder);
    return process_start(demo, process);
}

/* Every replica sees every other one, and nothing is missing anywhere. */
static int all_serve(struct demo *demo) {
    for (unsigned i = 0; i < demo->n_members; i++) {
        _cleanup_(buffer_deinit) struct buffer view = {0}, health = {0};
        char behind[32];
        if (!demo_http_get(demo->ports[i], "/cluster", &view) ||
            !demo_http_get(demo->ports[i], "/health", &health) ||
            !demo_value((const char *)health.data, "behind", behind, sizeof(behind)) ||
            strcmp(behind, "0") != 0)
            return 0;
        unsigned n = 0;
        for (const char *at = (const char *)view.data; (at = strstr(at, " read-write")); at++)
            n++;
        if (n < demo->n_members)
            return 0;
    }
    return 1;
}

static int load_runs(struct demo *demo) {
    _cleanup_(buffer_deinit) struct buffer stats = {0};
    char writes[32];
    return file_read("load.stats", 65536, &stats, NULL) == 0 &&
           demo_value((const char *)stats.data, "writes", writes, sizeof(writes)) &&
           strtoul(writes, NULL, 10) >= 200;
    (void)demo;
}

static int load_start(struct demo *demo) {
    _cleanup_(buffer_deinit) struct buffer servers = {0};
    peers_write(demo, &servers, ",");
    if (servers.failed)
        return error_set(demo->err, -ENOMEM, "out of memory");
    demo->load = process_add(demo, "load.log", "demo-load");
    process_argument(demo->load, "%s/store/demo-load", demo->programs);
    process_argument(demo->load, "--servers");
    process_argument(demo->load, "%s", (const char *)servers.data);
    process_argument(demo->load, "--stats");
    process_argument(demo->load, "load.stats");
    return process_start(demo, demo->load);
}

int demo_services_start(struct demo *demo) {
    demo_head(demo, "What is there already");
    demo_say(demo,
             "  %u replicas of demo-store 1.0.0, a small replicated store, started by hand (nodes/nK/opt, "
             "nodes/nK/srv);\n"
             "  one client writes and one reads back, all the time, from now until after the verdict.",
             demo->n_members);
    int r = 0;
    for (unsigned i = 0; r == 0 && i < demo->n_members; i++)
        r = store_start(demo, i);
    if (r == 0)
        r = demo_wait(demo, all_serve, "all replicas see each other", 10);
    if (r == 0)
        r = load_start(demo);
    return r == 0 ? demo_wait(demo, load_runs, "the clients have written 200 keys", 10) : r;
}
