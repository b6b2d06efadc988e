/* Why so much is recorded: a service that starts with another umask, group or limit than yesterday works for weeks and
 * then does not. What cannot be recorded (a pipe to a log reader) is replaced by a file, because a service whose reader
 * is gone kills itself at its next line. */
#include "agent/executor/spec.h"

#include "common/base/file.h"
#include "common/base/limits.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* ---- reading ---- */

static int read_oom(pid_t pid, struct start_spec *out) {
    char path[64];
    _cleanup_(buffer_deinit) struct buffer text = {0};
    snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
    int r = file_read(path, 64, &text, NULL);
    out->oom_score = r == 0 && text.data ? (int32_t)strtol((char *)text.data, NULL, 10) : 0;
    return r;
}

/* Appending always: whoever started it with `> log` had an empty file, we do not. */
static int read_output(pid_t pid, int fd, const char *fallback, struct arena *arena, struct output *out,
                       struct error *err) {
    struct proc_descriptor found;
    int r = procfs_descriptor(pid, fd, arena, &found, err);
    if (r < 0)
        return r;
    struct stat st;
    bool is_file = found.is_file && stat(found.path, &st) == 0 &&
                   (S_ISREG(st.st_mode) || strcmp(found.path, "/dev/null") == 0);
    int keep = O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME | O_NOFOLLOW;
    out->flags = (uint32_t)((is_file ? found.flags & keep : O_WRONLY) | O_APPEND);
    if ((out->flags & O_ACCMODE) == O_RDONLY)
        out->flags |= O_WRONLY;
    out->path = is_file ? found.path : arena_text(arena, fallback);
    return out->path ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* A word may name a link, alone or behind an option's "="; where it led is written down, since people move links. */
static int resolve_arguments(struct arena *arena, struct start_spec *out) {
    const char **resolved = arena_array(arena, out->n_arguments + 1, sizeof(*resolved));
    if (!resolved)
        return -ENOMEM;
    for (size_t i = 0; i < out->n_arguments; i++) {
        char path[2 * KEDGE_PATH_MAX + 2], target[KEDGE_PATH_MAX + 1];
        const char *word = out->arguments[i];
        resolved[i] = "";
        if (!strchr(word, '/') || strlen(word) > KEDGE_PATH_MAX)
            continue;
        snprintf(path, sizeof(path), "%s%s%s", word[0] == '/' ? "" : out->directory,
                 word[0] == '/' ? "" : "/", word);
        if (realpath(path, target) && strcmp(target, path) != 0 && !(resolved[i] = arena_text(arena, target)))
            return -ENOMEM;
    }
    out->resolved = resolved;
    return 0;
}

int spec_read(pid_t pid, const char *fallback, struct arena *arena, struct start_spec *out,
              struct error *err) {
    struct proc_texts arguments = {0}, environment = {0};
    *out = (struct start_spec){0};
    int r = procfs_link(pid, "exe", arena, &out->executable, err);
    if (r == 0)
        r = procfs_link(pid, "cwd", arena, &out->directory, err);
    if (r == 0)
        r = procfs_arguments(pid, arena, &arguments, err);
    if (r == 0)
        r = procfs_environment(pid, arena, &environment, err);
    if (r == 0)
        r = procfs_ids(pid, &out->ids, err);
    if (r == 0)
        r = procfs_limits(pid, out->limits, err);
    if (r == 0)
        r = read_output(pid, 1, fallback, arena, &out->output, err);
    if (r == 0)
        r = read_output(pid, 2, fallback, arena, &out->errors, err);
    if (r == 0 && read_oom(pid, out) < 0)
        r = error_set(err, -ESRCH, "it has just ended");
    if (r == 0 && arguments.n == 0)
        r = error_set(err, -ESRCH, "it has just been started or ended");
    out->arguments = (const char *const *)arguments.items;
    out->n_arguments = arguments.n;
    out->environment = (const char *const *)environment.items;
    out->n_environment = environment.n;
    if (r == 0 && resolve_arguments(arena, out) < 0)
        r = error_set(err, -ENOMEM, "out of memory");
    return r < 0 ? error_context(err, r, "process %d cannot be recorded", (int)pid) : 0;
}

/* ---- packing ---- */

static void pack_words(struct buffer *out, const char *const *words, size_t n) {
    buffer_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        pack_text(out, words[i]);
}

static const char *const *unpack_words(struct unpack *from, struct arena *arena, size_t *np) {
    uint32_t n = unpack_u32(from);
    if (n > from->rest.len / 4)
        from->failed = true;
    const char **words = from->failed ? NULL : arena_array(arena, (size_t)n + 1, sizeof(*words));
    if (!words) {
        from->failed = true;
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++)
        words[i] = unpack_text(from, arena);
    *np = n;
    return words;
}

void spec_pack(const struct start_spec *spec, struct buffer *out) {
    pack_text(out, spec->executable);
    pack_words(out, spec->arguments, spec->n_arguments);
    pack_words(out, spec->resolved, spec->n_arguments);
    pack_words(out, spec->environment, spec->n_environment);
    pack_text(out, spec->directory);
    buffer_u32(out, spec->ids.uid);
    buffer_u32(out, spec->ids.gid);
    buffer_u32(out, spec->ids.umask);
    buffer_u32(out, (uint32_t)spec->ids.n_groups);
    for (size_t i = 0; i < spec->ids.n_groups; i++)
        buffer_u32(out, spec->ids.groups[i]);
    buffer_u32(out, (uint32_t)spec->oom_score);
    buffer_u32(out, SPEC_LIMITS);
    for (size_t i = 0; i < SPEC_LIMITS; i++) {
        buffer_u64(out, spec->limits[i].rlim_cur);
        buffer_u64(out, spec->limits[i].rlim_max);
    }
    pack_text(out, spec->output.path);
    buffer_u32(out, spec->output.flags);
    pack_text(out, spec->errors.path);
    buffer_u32(out, spec->errors.flags);
}

static void unpack_ids(struct unpack *from, struct proc_identity *out) {
    out->uid = unpack_u32(from);
    out->gid = unpack_u32(from);
    out->umask = unpack_u32(from);
    out->n_groups = unpack_u32(from);
    if (out->n_groups > ARRAY_LEN(out->groups)) {
        from->failed = true;
        out->n_groups = 0;
    }
    for (size_t i = 0; i < out->n_groups; i++)
        out->groups[i] = unpack_u32(from);
}

int spec_unpack(struct bytes packed, struct arena *arena, struct start_spec *out) {
    struct unpack from = {.rest = packed};
    size_t n_resolved = 0;
    *out = (struct start_spec){.executable = unpack_text(&from, arena)};
    out->arguments = unpack_words(&from, arena, &out->n_arguments);
    out->resolved = unpack_words(&from, arena, &n_resolved);
    out->environment = unpack_words(&from, arena, &out->n_environment);
    out->directory = unpack_text(&from, arena);
    unpack_ids(&from, &out->ids);
    out->oom_score = (int32_t)unpack_u32(&from);
    if (unpack_u32(&from) != SPEC_LIMITS)
        from.failed = true;
    for (size_t i = 0; i < SPEC_LIMITS; i++) {
        out->limits[i].rlim_cur = unpack_u64(&from);
        out->limits[i].rlim_max = unpack_u64(&from);
    }
    out->output.path = unpack_text(&from, arena);
    out->output.flags = unpack_u32(&from);
    out->errors.path = unpack_text(&from, arena);
    out->errors.flags = unpack_u32(&from);
    return unpack_done(&from) && n_resolved == out->n_arguments && out->n_arguments > 0 ? 0 : -EBADMSG;
}

/* ---- for people ---- */

static bool among(struct words words, const char *text) {
    for (size_t i = 0; i < words.n; i++)
        if (strcmp(words.items[i], text) == 0)
            return true;
    return false;
}

static bool sounds_secret(const char *option) {
    static const char *const sounds[] = {"pass", "secret", "token", "key", "credential"};
    for (size_t i = 0; i < ARRAY_LEN(sounds); i++)
        if (strcasestr(option, sounds[i]))
            return true;
    return false;
}

const char *argument_shown(const struct start_spec *spec, size_t i, struct words clear, struct arena *arena,
                           bool *clearp) {
    const char *word = spec->arguments[i], *before = i > 0 ? spec->arguments[i - 1] : "";
    const char *equals = strchr(word, '=');
    *clearp = true;
    if (i == 0 || among(clear, before))
        return word;
    if (before[0] == '-' && !strchr(before, '=') && sounds_secret(before) && word[0] != '-') {
        *clearp = false;
        return "****";
    }
    if (!equals || (strncmp(word, "-D", 2) != 0 && strncmp(word, "--", 2) != 0))
        return word;
    const char *name = arena_text_n(arena, word, (size_t)(equals - word));
    if (!name || among(clear, name))
        return name ? word : NULL;
    *clearp = false;
    return arena_format(arena, "%s=****", name);
}

const char *spec_argument_after(const struct start_spec *spec, const char *option, size_t *indexp) {
    for (size_t i = 1; i + 1 < spec->n_arguments; i++)
        if (strcmp(spec->arguments[i], option) == 0) {
            *indexp = i + 1;
            return spec->arguments[i + 1];
        }
    return NULL;
}

void spec_text(const struct start_spec *spec, struct words clear, struct buffer *out) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(1024 * 1024);
    buffer_format(
        out, "# How this generation is started. Written for people; kedge-agent reads its own journal.\n");
    buffer_format(out, "executable %s\ndirectory %s\nuser %u group %u groups", spec->executable,
                  spec->directory, spec->ids.uid, spec->ids.gid);
    for (size_t i = 0; i < spec->ids.n_groups; i++)
        buffer_format(out, " %u", spec->ids.groups[i]);
    buffer_format(out, "\numask %04o\noutput %s\nerrors %s\n", spec->ids.umask, spec->output.path,
                  spec->errors.path);
    for (size_t i = 0; arena && i < spec->n_arguments; i++) {
        bool shown;
        const char *text = argument_shown(spec, i, clear, arena, &shown);
        buffer_format(out, "argument %s\n", text ? text : "****");
        if (spec->resolved[i][0] && shown)
            buffer_format(out, "  led to %s\n", spec->resolved[i]);
    }
    for (size_t i = 0; i < spec->n_environment; i++)
        buffer_format(out, "environment %.*s=****\n", (int)strcspn(spec->environment[i], "="),
                      spec->environment[i]);
}
