/* Why everything is compared here and nothing at the switch: the signed digests of the configuration, the program that
 * must be in the release, the words that must have been found. What passes can be started; what does not is refused
 * while the old one still serves. */
#include "agent/executor/prepare.h"

#include "agent/executor/generations.h"
#include "agent/executor/render.h"
#include "agent/executor/stage.h"
#include "common/base/file.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { PREPARE_ARENA_BYTES = 16 * 1024 * 1024 };

/* ---- numbers ---- */

void generation_key(const struct member *m, uint32_t number, char *out, size_t size) {
    snprintf(out, size, "%s/%010u", m->name, number);
}

int generation_load(struct member *m, uint32_t number, struct arena *arena, struct generation_record *out) {
    char key[JOURNAL_KEY_MAX + 1];
    generation_key(m, number, key, sizeof(key));
    struct bytes packed = journal_get(m->executor->journal, RECORD_GENERATION, key);
    return packed.data ? generation_record_unpack(packed, arena, out) : -ENOENT;
}

const char *generation_next(const struct member *m, const char *after, struct arena *arena,
                            struct generation_record *out) {
    char first[JOURNAL_KEY_MAX + 1];
    size_t len = (size_t)snprintf(first, sizeof(first), "%s/", m->name);
    const char *key = journal_next(m->executor->journal, RECORD_GENERATION, after ? after : first);
    while (key && strncmp(key, first, len) == 0) {
        if (generation_record_unpack(journal_get(m->executor->journal, RECORD_GENERATION, key), arena, out) ==
            0)
            return key;
        key = journal_next(m->executor->journal, RECORD_GENERATION, key);
    }
    return NULL;
}

static uint32_t base_number(const struct member *m, const struct work_order *order) {
    const char *text = fact_get(order->binding, order->n_binding, "generation");
    return text ? (uint32_t)strtoul(text, NULL, 10) : m->has_generation ? m->generation.number : 0;
}

int generation_number(const struct member *m, const struct work_order *order, uint32_t index,
                      uint32_t *outp) {
    if (index == 0) {
        *outp = base_number(m, order);
        return 0;
    }
    _cleanup_(arena_freep) struct arena *arena = arena_new(PREPARE_ARENA_BYTES);
    struct generation_record record;
    for (const char *key = NULL; arena && (key = generation_next(m, key, arena, &record));)
        if (record.serial == order->serial && record.index == index) {
            *outp = record.number;
            return 0;
        }
    return -ENOENT;
}

uint32_t generation_index(const struct member *m, const struct work_order *order, uint32_t number) {
    uint32_t its;
    for (uint32_t index = 0; index <= order->n_generations; index++)
        if (generation_number(m, order, index, &its) == 0 && its == number)
            return index;
    return UINT32_MAX;
}

bool generation_is_passing(const struct member *m) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(PREPARE_ARENA_BYTES);
    struct generation_record record;
    if (!m->has_generation || m->generation.serial == 0)
        return false;
    for (const char *key = NULL; arena && (key = generation_next(m, key, arena, &record));)
        if (record.serial == m->generation.serial && record.index > m->generation.index)
            return true;
    return false;
}

static uint32_t fresh_number(const struct member *m) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(PREPARE_ARENA_BYTES);
    struct generation_record record;
    uint32_t last = 0;
    for (const char *key = NULL; arena && (key = generation_next(m, key, arena, &record));)
        if (record.number > last)
            last = record.number;
    return last + 1;
}

void prepare_prune(struct member *m, const struct work_order *order) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(PREPARE_ARENA_BYTES);
    struct generation_record record;
    struct bytes proven = journal_get(m->executor->journal, RECORD_PROVEN, m->name);
    uint32_t kept = proven.data ? (uint32_t)strtoul((const char *)proven.data, NULL, 10) : 0;
    uint32_t base = base_number(m, order); /* the way back, also when what replaced it is proven */
    char key[JOURNAL_KEY_MAX + 1];
    for (const char *next = NULL; arena && (next = generation_next(m, next, arena, &record));) {
        bool needed = record.number == kept || record.number == base || record.serial >= order->serial ||
                      record.number == 0 || (m->has_generation && record.serial == m->generation.serial);
        snprintf(key, sizeof(key), "%s", next);
        if (!needed)
            (void)!journal_drop(m->executor->journal, RECORD_GENERATION, key);
        next = key;
    }
}

/* ---- room ---- */

int prepare_room(const struct member *m, const struct manifest *manifest, struct error *err) {
    struct statvfs fs;
    uint64_t need =
        16 * 1024 * 1024; /* what a file system keeps for itself, and the generation's own files */
    for (size_t i = 0; i < manifest->n_components; i++)
        for (size_t k = 0; k < manifest->components[i].n_files; k++)
            need += (manifest->components[i].files[k].size + 4095) / 4096 * 4096;
    if (statvfs(m->executor->config.state, &fs) < 0)
        return error_errno(err, -errno, "%s", m->executor->config.state);
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (free_bytes < need)
        return error_set(err, -ENOSPC,
                         "%s has %" PRIu64 " MiB free, the release needs %" PRIu64
                         " MiB: make room and retry",
                         m->executor->config.state, free_bytes >> 20, (need >> 20) + 1);
    return 0;
}

/* ---- the generation ---- */

static int render_config(const struct start_spec *base, const struct render *render, struct buffer *out,
                         struct error *err) {
    _cleanup_(buffer_deinit) struct buffer found = {0};
    char path[KEDGE_PATH_MAX + 1];
    int n = snprintf(path, sizeof(path), "%s%s%s", render->path[0] == '/' ? "" : base->directory,
                     render->path[0] == '/' ? "" : "/", render->path);
    if (n < 0 || (size_t)n >= sizeof(path))
        return error_set(err, -ENAMETOOLONG, "%s: path is too long", render->path);
    int r = file_read(path, KEDGE_CONFIG_BYTES_MAX, &found, err);
    if (r < 0)
        return error_context(err, r, "configuration");
    struct digest old_digest = digest_of(buffer_bytes(&found));
    if (!digest_equal(&old_digest, &render->old_digest))
        return error_set(err, -EINVAL,
                         "configuration %s has changed since the plan was made: make and approve a new plan",
                         path);
    r = render_apply(render, buffer_bytes(&found), out, err);
    if (r < 0)
        return error_context(err, r, "configuration %s", path);
    struct digest new_digest = digest_of(buffer_bytes(out));
    if (!digest_equal(&new_digest, &render->new_digest))
        return error_set(err, -EINVAL, "configuration %s would become another one than was signed", path);
    return 0;
}

static int set_arguments(const struct generation *generation, struct start_spec *spec, struct arena *arena,
                         struct error *err) {
    if (generation->n_arguments == 0)
        return 0;
    const char **words = arena_array(arena, generation->n_arguments + 1, sizeof(*words));
    const char **resolved = arena_array(arena, generation->n_arguments + 1, sizeof(*resolved));
    if (!words || !resolved)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < generation->n_arguments; i++) {
        const struct argument *argument = &generation->arguments[i];
        if (argument->has_found && argument->found >= spec->n_arguments)
            return error_set(err, -EINVAL,
                             "argument %zu is to be the found argument %u, of which there are %zu", i,
                             argument->found, spec->n_arguments);
        words[i] = argument->has_found ? spec->arguments[argument->found] : argument->text;
        resolved[i] = "";
        if (!words[i])
            return error_set(err, -EINVAL, "argument %zu is empty", i);
    }
    const struct argument *program = &generation->arguments[0];
    if (!program->has_found && program->text[0] != '/')
        return error_set(err, -EINVAL, "program \"%s\" is not an absolute path", program->text);
    if (!program->has_found)
        spec->executable = program->text;
    spec->arguments = words;
    spec->resolved = resolved;
    spec->n_arguments = generation->n_arguments;
    return 0;
}

/* The program as it will be there once `current` leads to this generation. */
static int program_check(const struct member *m, const struct start_spec *spec, const char *release,
                         struct error *err) {
    char prefix[KEDGE_PATH_MAX + 1], path[2 * KEDGE_PATH_MAX + 2];
    int n = snprintf(prefix, sizeof(prefix), "%s/current/release/", m->folder);
    if (n < 0 || (size_t)n >= sizeof(prefix))
        return error_set(err, -ENAMETOOLONG, "%s: path is too long", m->folder);
    bool ours = strncmp(spec->executable, prefix, (size_t)n) == 0;
    snprintf(path, sizeof(path), "%s%s%s", ours ? release : "", ours ? "/" : "",
             ours ? spec->executable + n : spec->executable);
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
        return error_set(err, -ENOENT,
                         "the program that would be started, %s, is not there or cannot be executed", path);
    return 0;
}

static int release_of_generation(const struct member *m, const struct generation *generation,
                                 const struct generation_record *base, struct arena *arena, const char **outp,
                                 struct error *err) {
    char path[KEDGE_PATH_MAX + 1];
    if (!generation->has_manifest) {
        *outp = base->release;
        return 0;
    }
    if (!stage_is_there(m->executor->releases, &generation->manifest, path, sizeof(path)))
        return error_set(err, -ENOENT, "release %s was not staged", generation->version);
    *outp = arena_text(arena, path);
    return *outp ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int generation_keep(struct member *m, const struct generation_record *record,
                           const struct generation *generation, const struct buffer *config,
                           struct error *err) {
    _cleanup_(buffer_deinit) struct buffer packed = {0}, text = {0};
    char key[JOURNAL_KEY_MAX + 1];
    spec_text(&record->spec, (struct words){m->charter->clear_after, m->charter->n_clear_after}, &text);
    struct generation_files files = {.release = record->release,
                                     .config_name = generation->render ? generation->render->name : NULL,
                                     .config = buffer_bytes(config),
                                     .start = buffer_bytes(&text)};
    int r = generation_make(m->folder, record->number, &files, err);
    if (r < 0)
        return r;
    generation_record_pack(record, &packed);
    generation_key(m, record->number, key, sizeof(key));
    return executor_put(m->executor, RECORD_GENERATION, key, &packed) ? 0
                                                                      : error_set(err, -EIO, "journal lost");
}

int prepare_generation(struct member *m, uint32_t index, struct error *err) {
    const struct work_order *order = m->order->order;
    _cleanup_(arena_freep) struct arena *arena = arena_new(PREPARE_ARENA_BYTES);
    _cleanup_(buffer_deinit) struct buffer config = {0};
    struct generation_record record;
    if (index == 0)
        return 0;
    if (!arena)
        return error_set(err, -ENOMEM, "out of memory");
    const struct generation *generation = &order->generations[index - 1];
    if (generation_load(m, base_number(m, order), arena, &record) < 0)
        return error_set(err, -ENOENT, "generation %u, from which this one is made, is not known here",
                         base_number(m, order));
    int r = release_of_generation(m, generation, &record, arena, &record.release, err);
    if (r == 0 && generation->render)
        r = render_config(&record.spec, generation->render, &config, err);
    if (r == 0)
        r = set_arguments(generation, &record.spec, arena, err);
    if (r == 0)
        r = program_check(m, &record.spec, record.release, err);
    if (r < 0)
        return r;
    if (generation_number(m, order, index, &record.number) < 0)
        record.number = fresh_number(m);
    record.serial = order->serial;
    record.index = index;
    record.digest = generation->digest;
    record.mode = generation->mode;
    if (generation->version)
        record.version = generation->version;
    r = generation_keep(m, &record, generation, &config, err);
    return r < 0 ? error_context(err, r, "generation %u", record.number) : 0;
}
