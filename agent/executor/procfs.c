/* Why plain reads and no library: each file of /proc is a few lines whose format is the kernel's promise (proc(5)), and
 * the executor links as little as it can. */
#include "agent/executor/procfs.h"

#include "common/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    PROC_FILE_BYTES_MAX = 4 * 1024 * 1024,
    LISTENERS_MAX = 64,
    RECORD_BYTES = 150, /* of /proc/PID/net/tcp, padded by the kernel */
    TCP_LISTEN = 0x0A,
};

static int gone(int r) {
    return r == -ENOENT ? -ESRCH : r;
}

static int proc_read(pid_t pid, const char *name, struct buffer *out, struct error *err) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    int r = gone(file_read(path, PROC_FILE_BYTES_MAX, out, err));
    if (r == -ESRCH)
        return error_set(err, r, "process %d is gone", (int)pid);
    return r;
}

int procfs_boot_id(char out[static PROCFS_BOOT_ID_SIZE], struct error *err) {
    _cleanup_(buffer_deinit) struct buffer text = {0};
    int r = file_read("/proc/sys/kernel/random/boot_id", 64, &text, err);
    if (r < 0)
        return r;
    if (text.len < PROCFS_BOOT_ID_SIZE - 1)
        return error_set(err, -EBADMSG, "boot id of %zu bytes", text.len);
    memcpy(out, text.data, PROCFS_BOOT_ID_SIZE - 1);
    out[PROCFS_BOOT_ID_SIZE - 1] = 0;
    return 0;
}

/* State and start time stand behind the name in parentheses, which may itself hold anything. */
static int stat_read(pid_t pid, char *state, uint64_t *started, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer text = {0};
    int r = proc_read(pid, "stat", &text, err);
    if (r < 0)
        return r;
    const char *behind = text.data ? strrchr((const char *)text.data, ')') : NULL;
    if (!behind ||
        sscanf(behind + 1,
               " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64, state,
               started) != 2)
        return error_set(err, -EBADMSG, "/proc/%d/stat is not understood", (int)pid);
    return 0;
}

int procfs_identify(pid_t pid, struct process_id *outp, struct error *err) {
    char state;
    int r = procfs_boot_id(outp->boot, err);
    if (r == 0)
        r = stat_read(pid, &state, &outp->started, err);
    if (r == 0)
        outp->pid = pid;
    return r;
}

bool procfs_alive(const struct process_id *id) {
    char boot[PROCFS_BOOT_ID_SIZE], state;
    uint64_t started;
    if (id->pid <= 0 || procfs_boot_id(boot, NULL) < 0 || strcmp(boot, id->boot) != 0)
        return false;
    if (stat_read(id->pid, &state, &started, NULL) < 0)
        return false;
    return started == id->started && state != 'Z' && state != 'X';
}

int procfs_link(pid_t pid, const char *name, struct arena *arena, const char **outp, struct error *err) {
    char path[64], target[4096];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    ssize_t n = readlink(path, target, sizeof(target));
    if (n < 0)
        return error_errno(err, gone(-errno), "%s", path);
    if ((size_t)n == sizeof(target))
        return error_set(err, -ENAMETOOLONG, "%s: path is too long", path);
    *outp = arena_text_n(arena, target, (size_t)n);
    return *outp ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* A file of NUL-terminated texts. */
static int texts_read(pid_t pid, const char *name, struct arena *arena, struct proc_texts *outp,
                      struct error *err) {
    _cleanup_(buffer_deinit) struct buffer raw = {0};
    int r = proc_read(pid, name, &raw, err);
    if (r < 0)
        return r;
    size_t n = 0;
    for (size_t i = 0; i < raw.len; i++)
        n += raw.data[i] == 0;
    if (raw.len > 0 && raw.data[raw.len - 1] != 0)
        n++;
    char *copy = arena_text_n(arena, raw.data ? (char *)raw.data : "", raw.len);
    const char **items = arena_array(arena, n + 1, sizeof(*items));
    if (!copy || !items)
        return error_set(err, -ENOMEM, "/proc/%d/%s: out of memory", (int)pid, name);
    for (size_t i = 0; i < n; i++) {
        items[i] = copy;
        copy += strlen(copy) + 1;
    }
    *outp = (struct proc_texts){items, n};
    return 0;
}

int procfs_arguments(pid_t pid, struct arena *arena, struct proc_texts *outp, struct error *err) {
    return texts_read(pid, "cmdline", arena, outp, err);
}

int procfs_environment(pid_t pid, struct arena *arena, struct proc_texts *outp, struct error *err) {
    return texts_read(pid, "environ", arena, outp, err);
}

static void groups_parse(struct proc_identity *ids, const char *list) {
    ids->n_groups = 0;
    for (char *end; ids->n_groups < ARRAY_LEN(ids->groups); list = end) {
        unsigned long gid = strtoul(list, &end, 10);
        if (end == list)
            return;
        ids->groups[ids->n_groups++] = (gid_t)gid;
        while (*end == ' ' || *end == '\t')
            end++;
        if (*end == '\n')
            return;
    }
}

static const char *status_field(const char *text, const char *name) {
    const char *found = strstr(text, name);
    return found ? found + strlen(name) : NULL;
}

int procfs_ids(pid_t pid, struct proc_identity *outp, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer raw = {0};
    int r = proc_read(pid, "status", &raw, err);
    if (r < 0)
        return r;
    const char *text = raw.data ? (const char *)raw.data : "";
    const char *uid = status_field(text, "\nUid:"), *gid = status_field(text, "\nGid:");
    const char *umask_text = status_field(text, "\nUmask:"), *groups = status_field(text, "\nGroups:");
    if (!uid || !gid || !umask_text || !groups)
        return error_set(err, -EBADMSG, "/proc/%d/status is not understood", (int)pid);
    outp->uid = (uid_t)strtoul(uid, NULL, 10);
    outp->gid = (gid_t)strtoul(gid, NULL, 10);
    outp->umask = (mode_t)strtoul(umask_text, NULL, 8);
    groups_parse(outp, groups);
    return 0;
}

int procfs_limits(pid_t pid, struct rlimit limits[static RLIM_NLIMITS], struct error *err) {
    for (int i = 0; i < RLIM_NLIMITS; i++)
        if (prlimit(pid, (enum __rlimit_resource)i, NULL, &limits[i]) < 0)
            return error_errno(err, -errno, "limits of process %d", (int)pid);
    return 0;
}

static void fdinfo_parse(const char *text, struct proc_descriptor *out) {
    const char *flags = status_field(text, "flags:"), *position = status_field(text, "pos:");
    out->flags = flags ? (int)strtoul(flags, NULL, 8) : 0;
    out->position = position ? strtoull(position, NULL, 10) : 0;
}

int procfs_descriptor(pid_t pid, int fd, struct arena *arena, struct proc_descriptor *outp,
                      struct error *err) {
    *outp = (struct proc_descriptor){.path = ""};
    char name[32], info[32], path[64];
    snprintf(name, sizeof(name), "fd/%d", fd);
    snprintf(info, sizeof(info), "fdinfo/%d", fd);
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
    int r = procfs_link(pid, name, arena, &outp->path, err);
    if (r == -ESRCH) {
        outp->path = "";
        return 0;
    }
    _cleanup_(buffer_deinit) struct buffer text = {0};
    if (r == 0)
        r = proc_read(pid, info, &text, err);
    if (r < 0)
        return r;
    fdinfo_parse(text.data ? (const char *)text.data : "", outp);
    struct stat st;
    outp->is_file =
        outp->path[0] == '/' && stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISCHR(st.st_mode));
    return 0;
}

/* ---- open and mapped files ---- */

struct file_list {
    struct arena *arena;
    const char **items;
    size_t n, room;
};

static int list_add(struct file_list *list, const char *path, size_t len) {
    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        const char **items = realloc(list->items, room * sizeof(*items));
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->room = room;
    }
    char *copy = arena_text_n(list->arena, path, len);
    if (!copy)
        return -ENOMEM;
    list->items[list->n++] = copy;
    return 0;
}

static int list_descriptors(pid_t pid, struct file_list *list) {
    char folder[64], path[PATH_MAX], target[4096];
    snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(folder);
    if (!dir)
        return gone(-errno);
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        ssize_t n = readlink(path, target, sizeof(target));
        if (n <= 0 || target[0] != '/' || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
            continue;
        r = list_add(list, target, (size_t)n);
    }
    closedir(dir);
    return r;
}

static int list_mappings(pid_t pid, struct file_list *list, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer raw = {0};
    int r = proc_read(pid, "maps", &raw, err);
    for (char *line = (char *)raw.data; r == 0 && line && *line;) {
        char *end = strchrnul(line, '\n');
        char *path = memchr(line, '/', (size_t)(end - line));
        if (path)
            r = list_add(list, path, (size_t)(end - path));
        line = *end ? end + 1 : end;
    }
    return r;
}

static int text_order(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int procfs_files(pid_t pid, struct arena *arena, struct proc_texts *outp, struct error *err) {
    struct file_list list = {.arena = arena};
    int r = list_descriptors(pid, &list);
    if (r < 0)
        r = error_errno(err, r, "open files of process %d", (int)pid);
    else
        r = list_mappings(pid, &list, err);
    size_t n = 0;
    if (r == 0 && list.n > 0) {
        qsort(list.items, list.n, sizeof(*list.items), text_order);
        for (size_t i = 0; i < list.n; i++)
            if (n == 0 || strcmp(list.items[n - 1], list.items[i]) != 0)
                list.items[n++] = list.items[i];
    }
    const char **items = r == 0 ? arena_array(arena, n + 1, sizeof(*items)) : NULL;
    if (r == 0 && !items)
        r = error_set(err, -ENOMEM, "open files of process %d: out of memory", (int)pid);
    if (r == 0) {
        if (n > 0)
            memcpy(items, list.items, n * sizeof(*items));
        *outp = (struct proc_texts){items, n};
    }
    free(list.items);
    return r;
}

int procfs_cgroup(pid_t pid, struct arena *arena, const char **outp, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer raw = {0};
    int r = proc_read(pid, "cgroup", &raw, err);
    if (r < 0)
        return r;
    const char *text = raw.data ? (const char *)raw.data : "";
    const char *line = strstr(text, "name=systemd:");
    if (!line)
        line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    const char *path = line ? strchr(line, '/') : NULL;
    *outp = arena_text_n(arena, path ? path : "", path ? strcspn(path, "\n") : 0);
    return *outp ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* ---- who listens ---- */

/* One table of /proc/PID/net, read record by record: the kernel lists all listening sockets before all others, and what is
 * not asked for it does not look for. To come to the end of a table it walks through all the room that it has for
 * connections: milliseconds on a host with much memory, however few there are. */
struct socket_table {
    FILE *file;
    char record[RECORD_BYTES];
};

static bool table_open(struct socket_table *table, pid_t pid, const char *name) {
    char path[64], line[512];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    table->file = fopen(path, "re");
    return table->file && setvbuf(table->file, table->record, _IOFBF, sizeof(table->record)) == 0 &&
           fgets(line, sizeof(line), table->file);
}

/* The inode of the next socket that listens on `port`. */
static bool table_next(struct socket_table *table, uint16_t port, uint64_t *inode) {
    char line[512];
    while (fgets(line, sizeof(line), table->file)) {
        unsigned local, state;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %" SCNu64, &local, &state,
                   inode) != 3)
            continue;
        if (state != TCP_LISTEN)
            return false;
        if (local == port)
            return true;
    }
    return false;
}

static void table_close(struct socket_table *table) {
    fclosep(&table->file);
}

static size_t listeners_in(const char *name, uint16_t port, uint64_t *inodes, size_t n) {
    _cleanup_(table_close) struct socket_table table = {0};
    if (table_open(&table, getpid(), name))
        while (n < LISTENERS_MAX && table_next(&table, port, &inodes[n]))
            n++;
    return n;
}

/* Whether an open file of the process is one of these sockets; with none given, whether any is a socket. */
static bool has_socket(pid_t pid, const uint64_t *inodes, size_t n) {
    char folder[64], path[PATH_MAX], target[64];
    snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(folder);
    if (!dir)
        return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(dir));) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        ssize_t len = readlink(path, target, sizeof(target) - 1);
        uint64_t inode;
        if (len <= 0)
            continue;
        target[len] = 0;
        if (sscanf(target, "socket:[%" SCNu64 "]", &inode) != 1)
            continue;
        found = n == 0;
        for (size_t i = 0; i < n; i++)
            found = found || inodes[i] == inode;
    }
    closedir(dir);
    return found;
}

static bool owns_port_in(pid_t pid, const char *name, uint16_t port) {
    _cleanup_(table_close) struct socket_table table = {0};
    uint64_t inode;
    if (table_open(&table, pid, name))
        while (table_next(&table, port, &inode))
            if (has_socket(pid, &inode, 1))
                return true;
    return false;
}

/* A service that is being started has no socket at all for a while: then no table needs to be read. */
bool procfs_owns_port(pid_t pid, uint16_t port) {
    return has_socket(pid, NULL, 0) &&
           (owns_port_in(pid, "net/tcp", port) || owns_port_in(pid, "net/tcp6", port));
}

int procfs_listener(uint16_t port, pid_t *outp, struct error *err) {
    uint64_t inodes[LISTENERS_MAX];
    size_t n = listeners_in("net/tcp6", port, inodes, listeners_in("net/tcp", port, inodes, 0));
    *outp = 0;
    if (n == 0)
        return 0;
    DIR *dir = opendir("/proc");
    if (!dir)
        return error_errno(err, -errno, "/proc");
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (*end || pid <= 0 || (*outp && pid > *outp))
            continue;
        if (has_socket((pid_t)pid, inodes, n))
            *outp = (pid_t)pid;
    }
    closedir(dir);
    return 0;
}
