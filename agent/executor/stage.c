/* Why the tree is not copied: the executor becomes the owner of each file and asks the kernel for a read lease, which is
 * given only when nobody has the file open for writing. From then on what was hashed cannot change: the stager, whoever
 * has hijacked it, can neither write through an old descriptor nor open a new one.
 *
 * Every file is reached from the folder's descriptor, part by part, without following a link. */
#include "agent/executor/stage.h"

#include "agent/executor/commands.h"
#include "common/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

enum {
    INCOMING_PATH_SIZE = 4096,
    DEPTH_MAX = 32,
    STAGER_EXIT_SOURCE = 3, /* kedge-stager: the source failed, the artifact is not to blame */
    /* A coordinator that is started again is back in a second; a stager that was killed is started again at once. */
    AGAIN_FIRST_MS = 100,
    AGAIN_LAST_MS = 2000,
    AGAIN_PATIENCE_MS = 60 * 1000,
};

/* ---- taking over ---- */

struct take_over {
    const struct component *component;
    uint8_t *seen; /* one per file of the component */
    size_t n_seen;
    struct error *err;
};

static int file_order(const void *key, const void *item) {
    return strcmp(key, ((const struct release_file *)item)->path);
}

static const struct release_file *file_find(const struct component *component, const char *path) {
    return bsearch(path, component->files, component->n_files, sizeof(*component->files), file_order);
}

static int refuse(const struct take_over *t, const char *path, const char *why) {
    return error_set(t->err, -EBADMSG, "component %s: \"%s\" %s", t->component->name, path, why);
}

static int digest_of_fd(int fd, uint64_t size, struct digest *outp) {
    struct digest_state state;
    digest_init(&state);
    static uint8_t chunk[256 * 1024];
    uint64_t read_bytes = 0;
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        read_bytes += (uint64_t)n;
        if (read_bytes > size)
            return -EBADMSG;
        digest_update(&state, (struct bytes){chunk, (size_t)n});
    }
    *outp = digest_final(&state);
    return read_bytes == size ? 0 : -EBADMSG;
}

static int own(int fd, mode_t mode) {
    if (geteuid() == 0 && fchown(fd, 0, 0) < 0)
        return -errno;
    return fchmod(fd, mode) < 0 ? -errno : 0;
}

static int take_file(struct take_over *t, int folder, const char *name, const char *path) {
    const struct release_file *file = file_find(t->component, path);
    if (!file || file->link)
        return refuse(t, path, "is not a file of the signed manifest");
    _cleanup_(closep) int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(t->err, -errno, "%s", path);
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return refuse(t, path, "is not a plain file of its own");
    int r = own(fd, (mode_t)(file->mode & 0755) | 0400);
    if (r < 0)
        return error_errno(t->err, r, "%s", path);
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return refuse(t, path,
                      errno == EAGAIN ? "is still open for writing somewhere"
                                      : "cannot be leased on this file system");
    struct digest digest;
    r = digest_of_fd(fd, file->size, &digest);
    if (r == -EBADMSG || (r == 0 && !digest_equal(&digest, &file->digest)))
        return refuse(t, path, "is not what the signed manifest says");
    if (r < 0)
        return error_errno(t->err, r, "%s", path);
    t->seen[file - t->component->files] = 1;
    t->n_seen++;
    return 0;
}

static int take_link(struct take_over *t, int folder, const char *name, const char *path) {
    const struct release_file *file = file_find(t->component, path);
    char target[1100];
    ssize_t n = readlinkat(folder, name, target, sizeof(target) - 1);
    if (n < 0)
        return error_errno(t->err, -errno, "%s", path);
    target[n] = 0;
    if (!file || !file->link || strcmp(file->link, target) != 0)
        return refuse(t, path, "is a link that the signed manifest does not have");
    t->seen[file - t->component->files] = 1;
    t->n_seen++;
    return 0;
}

static int take_folder(struct take_over *t, int folder, const char *prefix, unsigned depth);

static int take_entry(struct take_over *t, int folder, const char *name, const char *path, unsigned depth) {
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(t->err, -errno, "%s", path);
    if (S_ISREG(st.st_mode))
        return take_file(t, folder, name, path);
    if (S_ISLNK(st.st_mode))
        return take_link(t, folder, name, path);
    if (!S_ISDIR(st.st_mode))
        return refuse(t, path, "is neither file, folder nor link");
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(t->err, -errno, "%s", path);
    char below[1101];
    if ((size_t)snprintf(below, sizeof(below), "%s/", path) >= sizeof(below)) {
        close(fd);
        return refuse(t, path, "has a path that is too long");
    }
    return take_folder(t, fd, below, depth + 1);
}

/* Owns the folder first, so that nobody can put anything into it while it is read. Closes `folder`. */
static int take_folder(struct take_over *t, int folder, const char *prefix, unsigned depth) {
    int r = depth > DEPTH_MAX ? refuse(t, prefix, "lies too deep") : own(folder, 0755);
    DIR *dir = r == 0 ? fdopendir(folder) : NULL;
    if (!dir) {
        close(folder);
        return r == -EBADMSG ? r : error_errno(t->err, r < 0 ? r : -errno, "%s", prefix);
    }
    for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char path[1100];
        int n = snprintf(path, sizeof(path), "%s%s", prefix, entry->d_name);
        r = n < 0 || (size_t)n >= sizeof(path) ? refuse(t, entry->d_name, "has a path that is too long")
                                               : take_entry(t, dirfd(dir), entry->d_name, path, depth);
    }
    closedir(dir);
    return r;
}

int stage_take_over(const char *folder, const struct component *component, struct error *err) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, -errno, "%s", folder);
    struct take_over t = {component, calloc(component->n_files, 1), 0, err};
    if (!t.seen) {
        close(fd);
        return error_set(err, -ENOMEM, "%s: out of memory", folder);
    }
    int r = take_folder(&t, fd, "", 0);
    for (size_t i = 0; r == 0 && i < component->n_files; i++)
        if (!t.seen[i])
            r = refuse(&t, component->files[i].path, "is missing");
    free(t.seen);
    return r;
}

/* ---- a run: component by component ---- */

struct stage_run {
    sd_event *loop;
    struct stage_spec spec;
    size_t next;          /* component */
    uint64_t patience_us; /* monotonic: after it a failed source is not asked again */
    uint32_t pause_ms;    /* before the next attempt */
    struct command_run *command;
    sd_event_source *later;
    char incoming[INCOMING_PATH_SIZE], folder[INCOMING_PATH_SIZE], final[INCOMING_PATH_SIZE];
    stage_done done;
    void *context;
    int result;
    struct error err;
};

bool stage_is_there(const char *releases, const struct digest *name, char *path, size_t size) {
    char hex[2 * KEDGE_DIGEST_LEN + 1];
    hex_encode(hex, name->b, KEDGE_DIGEST_LEN);
    struct stat st;
    int n = snprintf(path, size, "%s/%s", releases, hex);
    return n > 0 && (size_t)n < size && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static struct stage_run *run_free(struct stage_run *run) {
    command_cancel(run->command);
    sd_event_source_disable_unref(run->later);
    if (run->incoming[0] && folder_remove(run->incoming, NULL) < 0)
        run->result = run->result ? run->result : -EIO;
    free(run);
    return NULL;
}

struct stage_run *stage_cancel(struct stage_run *run) {
    return run ? run_free(run) : NULL;
}

static void run_finish(struct stage_run *run, int r) {
    stage_done done = run->done;
    void *context = run->context;
    struct error err = run->err;
    run_free(run);
    done(context, r, &err);
}

static int component_begin(struct stage_run *run);

static int run_complete(struct stage_run *run) {
    /* One component is the release; several lie side by side in it. */
    const char *complete = run->spec.manifest->n_components == 1 ? run->folder : run->incoming;
    _cleanup_(closep) int fd = open(complete, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* The content must be on disk before its name is: a release under its final name is complete, also after a power
     * cut. */
    if (fd < 0 || fchmod(fd, 0755) < 0 || syncfs(fd) < 0)
        return error_errno(&run->err, -errno, "%s", complete);
    if (rename(complete, run->final) < 0)
        return error_errno(&run->err, -errno, "%s", run->final);
    return 0;
}

/* What the stager said is its last line; the rest is for the log of a person who looks. */
static void problem_of(const struct command_result *result, char *out, size_t size) {
    if (result->problem[0]) {
        snprintf(out, size, "the stager %s", result->problem);
        return;
    }
    const char *text = result->output.len > 0 ? (const char *)result->output.data : "the stager said nothing";
    size_t len = result->output.len > 0 ? result->output.len : strlen(text);
    while (len > 0 && text[len - 1] == '\n')
        len--;
    size_t begin = len;
    while (begin > 0 && text[begin - 1] != '\n')
        begin--;
    snprintf(out, size, "%.*s", (int)(len - begin), text + begin);
}

static void component_ended(struct stage_run *run, int r) {
    if (r == 0 && ++run->next < run->spec.manifest->n_components)
        r = component_begin(run);
    else if (r == 0)
        r = run_complete(run);
    if (r < 0 || run->next == run->spec.manifest->n_components)
        run_finish(run, r < 0 ? error_context(&run->err, r, "release %s %s", run->spec.manifest->system,
                                              run->spec.manifest->version)
                              : 0);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
    (void)source;
    (void)usec;
    struct stage_run *run = userdata;
    run->later = sd_event_source_disable_unref(run->later);
    int r = folder_remove(run->folder, &run->err);
    if (r == 0)
        r = component_begin(run);
    if (r < 0)
        component_ended(run, r);
    return 0;
}

/* True when the component will be tried again: not its bytes were wrong, but its source or its stager went away. */
static bool tries_again(struct stage_run *run, const struct command_result *result) {
    uint64_t now_us;
    bool went_away = result->exit_code == STAGER_EXIT_SOURCE || (result->exit_code < 0 && !result->expired);
    if (!went_away || sd_event_now(run->loop, CLOCK_MONOTONIC, &now_us) < 0 || now_us >= run->patience_us)
        return false;
    run->pause_ms = run->pause_ms == 0 ? AGAIN_FIRST_MS : run->pause_ms * 2;
    if (run->pause_ms > AGAIN_LAST_MS)
        run->pause_ms = AGAIN_LAST_MS;
    return sd_event_add_time_relative(run->loop, &run->later, CLOCK_MONOTONIC, (uint64_t)run->pause_ms * 1000,
                                      0, on_again, run) >= 0;
}

static void on_stager_ended(void *context, const struct command_result *result) {
    struct stage_run *run = context;
    run->command = NULL;
    if (result->exit_code == 0) {
        run->pause_ms = 0;
        component_ended(run,
                        stage_take_over(run->folder, &run->spec.manifest->components[run->next], &run->err));
        return;
    }
    if (tries_again(run, result))
        return;
    char problem[512];
    problem_of(result, problem, sizeof(problem));
    component_ended(run, error_set(&run->err, -EIO, "%s", problem));
}

static int folder_for_stager(const struct stage_run *run, struct error *err) {
    if (mkdir(run->folder, 0700) < 0)
        return error_errno(err, -errno, "%s", run->folder);
    if (geteuid() != 0 || !run->spec.user)
        return 0;
    const struct passwd *user = getpwnam(run->spec.user);
    if (!user)
        return error_set(err, -ENOENT, "helper-user %s does not exist on this node", run->spec.user);
    if (chown(run->folder, user->pw_uid, user->pw_gid) < 0)
        return error_errno(err, -errno, "%s", run->folder);
    return 0;
}

static int component_begin(struct stage_run *run) {
    const struct component *component = &run->spec.manifest->components[run->next];
    char hex[2 * KEDGE_DIGEST_LEN + 1], url[512], size[24], strip[12];
    int n = snprintf(run->folder, sizeof(run->folder), "%s/%s", run->incoming, component->name);
    if (run->spec.manifest->n_components == 1)
        n = snprintf(run->folder, sizeof(run->folder), "%s/release", run->incoming);
    if (n < 0 || (size_t)n >= sizeof(run->folder))
        return error_set(&run->err, -ENAMETOOLONG, "%s: path is too long", run->incoming);
    int r = folder_for_stager(run, &run->err);
    if (r < 0)
        return r;
    hex_encode(hex, component->artifact.b, KEDGE_DIGEST_LEN);
    snprintf(url, sizeof(url), "%s/artifact/%s", run->spec.artifacts, hex);
    snprintf(size, sizeof(size), "%llu", (unsigned long long)component->size);
    snprintf(strip, sizeof(strip), "%u", component->strip);
    bool drop = geteuid() == 0 && run->spec.user;
    const char *arguments[] = {run->spec.stager,
                               "--url",
                               url,
                               "--size",
                               size,
                               "--digest",
                               hex,
                               "--strip",
                               strip,
                               "--into",
                               run->folder,
                               drop ? "--user" : NULL,
                               run->spec.user,
                               NULL};
    const char *environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    struct command_spec spec = {arguments, environment, "/", NULL, run->spec.deadline_ms};
    return command_start(run->loop, &spec, on_stager_ended, run, &run->command, &run->err);
}

static int on_already_there(sd_event_source *source, void *userdata) {
    (void)source;
    run_finish(userdata, 0);
    return 0;
}

static int run_begin(struct stage_run *run, struct error *err) {
    const struct stage_spec *spec = &run->spec;
    int r = folder_make(spec->releases, 0755, err);
    if (r < 0)
        return r;
    if (stage_is_there(spec->releases, &spec->name, run->final, sizeof(run->final))) {
        r = sd_event_add_defer(run->loop, &run->later, on_already_there, run);
        return r < 0 ? error_errno(err, r, "release") : 0;
    }
    int n = snprintf(run->incoming, sizeof(run->incoming), "%s.incoming", run->final);
    if (n < 0 || (size_t)n >= sizeof(run->incoming))
        return error_set(err, -ENAMETOOLONG, "%s: path is too long", spec->releases);
    r = folder_remove(run->incoming, err); /* of a run that was cut off */
    if (r == 0 && mkdir(run->incoming, 0711) < 0)
        r = error_errno(err, -errno, "%s", run->incoming);
    if (r == 0)
        r = component_begin(run);
    if (r < 0 && err != &run->err)
        *err = run->err.text[0] ? run->err : *err;
    return r;
}

int stage_start(sd_event *loop, const struct stage_spec *spec, stage_done done, void *context,
                struct stage_run **outp, struct error *err) {
    struct stage_run *run = calloc(1, sizeof(*run));
    if (!run)
        return error_set(err, -ENOMEM, "release: out of memory");
    run->loop = loop;
    run->spec = *spec;
    run->done = done;
    run->context = context;
    uint64_t now_us;
    int r = sd_event_now(loop, CLOCK_MONOTONIC, &now_us);
    if (r < 0) {
        free(run);
        return error_errno(err, r, "release");
    }
    run->patience_us = now_us + (uint64_t)AGAIN_PATIENCE_MS * 1000;
    r = run_begin(run, err);
    if (r < 0) {
        run_free(run);
        return error_context(err, r, "release %s %s", spec->manifest->system, spec->manifest->version);
    }
    *outp = run;
    return 0;
}
