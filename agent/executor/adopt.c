/* Finding a member among the processes of this node, and recording it as generation 0, without touching it.
 *
 * Why the port decides between several that match: a wrapper, a shell and a command of the same system have much the same
 * command line, but only one of them serves. */
#include "agent/executor/executor.h"

#include "agent/executor/generations.h"
#include "agent/executor/prepare.h"
#include "common/base/file.h"
#include "common/base/log.h"

#include <dirent.h>
#include <regex.h>
#include <string.h>
#include <sys/stat.h>

struct search {
    regex_t expression;
    uint16_t port;
    pid_t found[16];
    size_t n_found;
    pid_t owner;
};

static void search_one(struct search *search, pid_t pid, struct arena *arena) {
    struct proc_texts words;
    _cleanup_(buffer_deinit) struct buffer line = {0};
    if (pid == getpid() || procfs_arguments(pid, arena, &words, NULL) < 0 || words.n == 0)
        return;
    for (size_t i = 0; i < words.n; i++)
        buffer_format(&line, "%s%s", i ? " " : "", words.items[i]);
    if (line.failed || regexec(&search->expression, (char *)line.data, 0, NULL, 0) != 0)
        return;
    if (search->n_found < ARRAY_LEN(search->found))
        search->found[search->n_found++] = pid;
    if (search->port > 0 && procfs_owns_port(pid, search->port))
        search->owner = pid;
}

static int search_all(struct search *search, struct error *err) {
    DIR *dir = opendir("/proc");
    if (!dir)
        return error_errno(err, -errno, "/proc");
    for (struct dirent *entry; search->owner == 0 && (entry = readdir(dir));) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        _cleanup_(arena_freep) struct arena *arena = *end == 0 && pid > 0 ? arena_new(4 * 1024 * 1024) : NULL;
        if (arena)
            search_one(search, (pid_t)pid, arena);
    }
    closedir(dir);
    return 0;
}

pid_t member_find(const struct member *m, struct error *err) {
    struct search search = {.port = (uint16_t)m->charter->port};
    if (regcomp(&search.expression, m->charter->process, REG_EXTENDED | REG_NOSUB) != 0) {
        (void)error_set(err, -EINVAL, "the charter's expression for the process is not understood");
        return 0;
    }
    int r = search_all(&search, err);
    regfree(&search.expression);
    if (r < 0)
        return 0;
    if (search.owner > 0)
        return search.owner;
    if (search.n_found == 1)
        return search.found[0];
    (void)error_set(err, -ESRCH,
                    search.n_found == 0
                        ? "no process here matches the charter's expression for it"
                        : "several processes here match the charter's expression, and none of them "
                          "listens on the member's port");
    return 0;
}

/* ---- generation 0 ---- */

/* A file of ours for a service whose output led to nobody's file; its user must be able to write it. */
static const char *fallback_output(const struct member *m, struct arena *arena, struct error *err) {
    const char *path = arena_format(arena, "%s/output", m->folder);
    if (!path || folder_make(m->folder, 0755, err) < 0 || chmod(m->folder, 0755) < 0)
        return NULL;
    return path;
}

static int own_output(const struct start_spec *spec, const char *fallback, struct error *err) {
    bool used = strcmp(spec->output.path, fallback) == 0 || strcmp(spec->errors.path, fallback) == 0;
    if (!used)
        return 0;
    FILE *file = fopen(fallback, "ae");
    bool ours = file && (geteuid() != 0 || fchown(fileno(file), spec->ids.uid, spec->ids.gid) == 0);
    if (file)
        (void)fclose(file);
    return ours ? 0 : error_errno(err, -errno, "%s", fallback);
}

static int keep_generation(struct member *m, const struct generation_record *record, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer packed = {0}, text = {0}, config = {0};
    char key[JOURNAL_KEY_MAX + 1];
    struct generation_files files = {.release = record->release};
    spec_text(&record->spec, (struct words){m->charter->clear_after, m->charter->n_clear_after}, &text);
    files.start = buffer_bytes(&text);
    if (record->config[0]) { /* the back-up of what was found */
        const char *slash = strrchr(record->config, '/');
        char path[KEDGE_PATH_MAX + 1];
        snprintf(path, sizeof(path), "%s%s%s", record->config[0] == '/' ? "" : record->spec.directory,
                 record->config[0] == '/' ? "" : "/", record->config);
        int r = file_read(path, KEDGE_CONFIG_BYTES_MAX, &config, err);
        if (r < 0)
            return r;
        files.config_name = slash ? slash + 1 : record->config;
        files.config = buffer_bytes(&config);
    }
    int r = generation_current(m->folder) == (int)record->number
                ? 0
                : generation_make(m->folder, record->number, &files, err);
    if (r == 0 && generation_current(m->folder) < 0)
        r = generation_swap(m->folder, record->number, err);
    if (r < 0)
        return r;
    generation_record_pack(record, &packed);
    generation_key(m, record->number, key, sizeof(key));
    return executor_put(m->executor, RECORD_GENERATION, key, &packed) ? 0
                                                                      : error_set(err, -EIO, "journal lost");
}

static int adopt_record(struct member *m, pid_t pid, struct arena *arena, struct generation_record *out,
                        struct error *err) {
    const char *fallback = fallback_output(m, arena, err), *folder = "", *version = "";
    size_t index;
    if (!fallback)
        return -EIO;
    int r = spec_read(pid, fallback, arena, &out->spec, err);
    if (r == 0)
        r = own_output(&out->spec, fallback, err);
    if (r < 0)
        return r;
    struct proc_texts files = {0};
    if (m->charter->release_from == RELEASE_FROM_EXECUTABLE)
        (void)release_of(m->charter, out->spec.executable, arena, &folder, &version);
    else if ((r = procfs_files(pid, arena, &files, err)) < 0)
        return r;
    for (size_t i = 0; i < files.n && !folder[0]; i++)
        (void)release_of(m->charter, files.items[i], arena, &folder, &version);
    const char *config =
        m->charter->config_after ? spec_argument_after(&out->spec, m->charter->config_after, &index) : NULL;
    out->release = folder;
    out->version = version;
    out->config = config ? config : "";
    out->mode = MODE_UNKNOWN;
    return 0;
}

int member_adopt(struct member *m, struct error *err) {
    if (m->process.managed || (m->has_generation && m->generation.number > 0))
        return 0; /* already Kedge's */
    struct generation_record record = {0};
    pid_t pid = member_find(m, err);
    _cleanup_(arena_freep) struct arena *arena = arena_new(8 * 1024 * 1024);
    if (pid == 0)
        return error_context(err, -ESRCH, "%s", m->name);
    if (!arena)
        return error_set(err, -ENOMEM, "out of memory");
    int r = process_may_be_taken(pid, err);
    if (r == 0)
        r = adopt_record(m, pid, arena, &record, err);
    if (r == 0)
        r = keep_generation(m, &record, err);
    if (r == 0)
        r = procfs_identify(pid, &m->process.id, err);
    if (r < 0)
        return error_context(err, r, "%s cannot be adopted", m->name);
    m->process.generation = 0;
    m->process.managed = false;
    m->process.origin = ORIGIN_NONE;
    m->process.log_offset = 0;
    member_process_put(m);
    arena_free(m->spec_arena);
    m->spec_arena = TAKE(arena);
    m->generation = record;
    m->has_generation = true;
    log_info("member", "%s: adopted process %d, %s, from %s", m->name, (int)pid, record.version,
             record.release);
    member_watch(m);
    return 0;
}
