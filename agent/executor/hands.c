/* Other hands: a process of the member that this agent's journal does not name, because an agent that could not write has
 * started it, or a person. What lives counts, not what is written; but only what was started exactly as a generation that
 * is known here (the same words in the same folder) is taken for that generation, and whoever relies on it looks further:
 * the facts show release, user and configuration of the process itself, a step proves them before it counts. */
#include "agent/executor/executor.h"

#include "agent/executor/generations.h"
#include "common/base/log.h"

#include <dirent.h>
#include <string.h>

static bool same_words(const struct proc_texts *found, const struct start_spec *spec) {
    bool same = found->n > 0 && found->n == spec->n_arguments;
    for (size_t i = 0; same && i < found->n; i++)
        same = strcmp(found->items[i], spec->arguments[i]) == 0;
    return same;
}

/* Started as this generation is: the same words in the same folder. */
static bool runs_as(pid_t pid, const struct start_spec *spec) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(4 * 1024 * 1024);
    struct proc_texts words;
    const char *directory;
    return arena && pid != getpid() && procfs_arguments(pid, arena, &words, NULL) == 0 &&
           same_words(&words, spec) && procfs_link(pid, "cwd", arena, &directory, NULL) == 0 &&
           strcmp(directory, spec->directory) == 0;
}

static pid_t find_started_as(const struct start_spec *spec) {
    pid_t found = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && found == 0 && (entry = readdir(dir));) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (*end == 0 && pid > 0 && runs_as((pid_t)pid, spec))
            found = (pid_t)pid;
    }
    if (dir)
        closedir(dir);
    return found;
}

static pid_t find_generation(struct member *m, uint32_t number) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(8 * 1024 * 1024);
    struct generation_record record;
    return arena && generation_load(m, number, arena, &record) == 0 ? find_started_as(&record.spec) : 0;
}

/* `current` is moved only while the member is down, so what was started as its generation runs that generation. The found
 * generation was never started through it: its words are its own. */
static pid_t find_known(struct member *m, uint32_t *numberp) {
    int current = generation_current(m->folder);
    pid_t pid = current >= 0 ? find_generation(m, (uint32_t)current) : 0;
    *numberp = pid > 0 ? (uint32_t)current : 0;
    return pid > 0 || current == 0 ? pid : find_generation(m, 0);
}

static pid_t find_serving(const struct member *m) {
    pid_t owner = 0;
    struct error err;
    if (m->charter->port == 0 || procfs_listener((uint16_t)m->charter->port, &owner, &err) < 0 || owner == 0)
        return 0;
    return member_find(m, &err) == owner ? owner : 0;
}

static bool may_be_taken(pid_t pid, struct process_id *outp) {
    struct error err;
    return pid > 0 && process_may_be_taken(pid, &err) == 0 && procfs_identify(pid, outp, &err) == 0;
}

static void take(struct member *m, const struct process_id *id, uint32_t number) {
    log_warning("alarm", "%s: process %d runs, which this agent's journal does not name", m->name,
                (int)id->pid);
    m->process.id = *id;
    m->process.origin = ORIGIN_OPERATOR;
    m->instance[0] = 0;
    if (number != UINT32_MAX && number != m->generation.number) {
        struct error err = {""};
        m->process.managed = number > 0;
        m->process.generation = number;
        arena_free(m->spec_arena);
        m->spec_arena = arena_new(8 * 1024 * 1024);
        m->has_generation = m->spec_arena && generation_load(m, number, m->spec_arena, &m->generation) == 0;
        if (generation_swap(m->folder, number, &err) < 0)
            log_error("generation", "%s: %s", m->name, err.text);
    }
    member_process_put(m);
}

bool member_take_other(struct member *m, uint32_t *numberp) {
    struct process_id id;
    if (!m->has_generation)
        return false;
    pid_t pid = find_known(m, numberp);
    if (pid == 0) {
        *numberp = UINT32_MAX;
        pid = find_serving(m);
    }
    if (!may_be_taken(pid, &id))
        return false;
    take(m, &id, *numberp);
    return true;
}

bool member_take_known(struct member *m) {
    struct process_id id;
    uint32_t number;
    bool as_found = m->has_generation && m->generation.number == 0 && !m->process.managed;
    if (!m->has_generation || machine_is_busy(&m->machine) || !may_be_taken(find_known(m, &number), &id))
        return false;
    if (as_found && number == 0)
        return false; /* its owner started it anew: it is adopted anew, as it runs now */
    take(m, &id, number);
    member_watch(m);
    return m->process.id.pid > 0;
}

pid_t member_find_stranger(const struct member *m) {
    return find_serving(m);
}
