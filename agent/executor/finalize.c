/* Finalized: the plan after which nothing leads back. What could be returned to is of no use from then on, and a start of
 * it would meet data that it cannot read: so it is forgotten, and its files go. The journal says first that the member is
 * finalized; removing is done after that, and done again at the next start when it was cut off. */
#include "agent/executor/finalize.h"

#include "agent/executor/prepare.h"
#include "common/base/file.h"
#include "common/base/log.h"

#include <string.h>

enum { FINALIZE_ARENA_BYTES = 16 * 1024 * 1024 };

void finalize_note(struct member *m, const char *version) {
    _cleanup_(buffer_deinit) struct buffer value = {0};
    buffer_text(&value, version);
    (void)executor_put(m->executor, RECORD_FINALIZED, m->name, &value);
}

const char *finalize_version(const struct member *m) {
    struct bytes version = journal_get(m->executor->journal, RECORD_FINALIZED, m->name);
    return version.data ? (const char *)version.data : "";
}

/* ---- pruning ---- */

static void folder_drop(const char *path) {
    struct error err = {""};
    if (folder_remove(path, &err) < 0)
        log_warning("finalize", "%s", err.text);
    else
        log_info("finalize", "%s is removed", path);
}

static void generation_drop(const struct member *m, uint32_t number) {
    char path[KEDGE_PATH_MAX + 1];
    int n = snprintf(path, sizeof(path), "%s/gen/%u", m->folder, number);
    if (n > 0 && (size_t)n < sizeof(path))
        folder_drop(path);
}

static bool is_used_by(const struct member *m, const char *release) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(FINALIZE_ARENA_BYTES);
    struct generation_record record;
    for (const char *key = NULL; (key = arena ? generation_next(m, key, arena, &record) : NULL);)
        if (record.number > 0 && strcmp(record.release, release) == 0)
            return true;
    return !arena;
}

/* Only what this agent unpacked, and only while nobody could be about to use it. */
static void release_drop(const struct member *m, const char *release) {
    const struct executor *executor = m->executor;
    size_t len = strlen(executor->releases);
    if (strncmp(release, executor->releases, len) != 0 || release[len] != '/' || strstr(release, "/.."))
        return;
    for (const struct member *other = executor->members; other; other = other->next)
        if (machine_is_busy(&other->machine) || is_used_by(other, release))
            return;
    folder_drop(release);
}

/* The next generation that is not needed any more, with its release; false when there is none. */
static bool generation_forget(struct member *m, char *release, size_t size) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(FINALIZE_ARENA_BYTES);
    struct generation_record record;
    char name[JOURNAL_KEY_MAX + 1];
    for (const char *key = NULL; (key = arena ? generation_next(m, key, arena, &record) : NULL);) {
        if (record.number == 0 || record.number == m->generation.number)
            continue;
        snprintf(name, sizeof(name), "%s", key);
        snprintf(release, size, "%s", record.release);
        generation_drop(m, record.number);
        (void)!journal_drop(m->executor->journal, RECORD_GENERATION, name);
        return true;
    }
    return false;
}

void finalize_prune(struct member *m) {
    char release[KEDGE_PATH_MAX + 1];
    if (!m->has_generation || strcmp(finalize_version(m), m->generation.version) != 0 ||
        machine_is_busy(&m->machine))
        return;
    /* What was found stays on record, and nobody can be led back to it: its folder has no link to its release any more. */
    if (m->generation.number > 0)
        generation_drop(m, 0);
    while (generation_forget(m, release, sizeof(release)))
        release_drop(m, release);
}
