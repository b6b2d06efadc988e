/*
 * One append-only log, all of it also in memory. The CRC of a record covers everything behind itself. An incomplete
 * record at the end is what a kill leaves: it was never acknowledged and is cut off. A complete record with a wrong
 * CRC is damage and refuses the start.
 */
#include "coordinator/demo/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct header {
    uint32_t crc, key_size, ensemble_size, value_length; /* sizes count the final NUL */
    uint64_t sequence, time_ms;
};
enum { BODY_MAX = KEY_MAX + 1 + ENSEMBLE_MAX + 1 + VALUE_MAX };

static uint64_t clock_ms(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t now_ms(void) {
    return clock_ms(CLOCK_MONOTONIC);
}

uint64_t wall_ms(void) {
    return clock_ms(CLOCK_REALTIME);
}

static void out_of_memory(void) {
    fputs("demo-store: out of memory\n", stderr);
    _exit(1);
}

void *must_grow(void *memory, size_t size) {
    void *grown = realloc(memory, size);
    if (grown == NULL)
        out_of_memory();
    return grown;
}

static uint32_t crc_add(uint32_t crc, const void *bytes, size_t n) {
    static uint32_t table[256];
    for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = (table[i] >> 1) ^ (table[i] & 1 ? 0xedb88320U : 0);
    }
    for (size_t i = 0; i < n; i++)
        crc = (crc >> 8) ^ table[(crc ^ ((const unsigned char *)bytes)[i]) & 0xff];
    return crc;
}

static uint32_t crc_of(const struct header *h, const char *body, size_t n) {
    return ~crc_add(crc_add(~0U, &h->key_size, sizeof *h - sizeof h->crc), body, n);
}

static int compare(const void *a, const void *b) {
    return strcmp(((const struct record *)a)->key, ((const struct record *)b)->key);
}

struct record *records_find(const struct records *r, const char *key) {
    struct record wanted = {.key = (char *)(uintptr_t)key};
    void *found = tfind(&wanted, &r->tree, compare);
    return found == NULL ? NULL : *(struct record **)found;
}

/* Takes `body` over: key, NUL, ensemble, NUL, value. */
static void index_put(struct records *r, const struct header *h, char *body, uint64_t arrived_ms) {
    struct record *record = records_find(r, body);
    bool is_new = record == NULL;
    if (is_new) {
        record = must_grow(NULL, sizeof *record);
        r->n_keys++;
    } else {
        r->by_number[record->number] = NULL;
        free(record->key);
    }
    if (++r->n_numbers >= r->n_allocated) {
        r->n_allocated = r->n_numbers * 2 + 1024;
        r->by_number = must_grow(r->by_number, r->n_allocated * sizeof *r->by_number);
    }
    r->by_number[r->n_numbers] = record;
    *record = (struct record){.key = body,
                              .ensemble = body + h->key_size,
                              .value = body + h->key_size + h->ensemble_size,
                              .value_length = h->value_length,
                              .sequence = h->sequence,
                              .time_ms = h->time_ms,
                              .number = r->n_numbers,
                              .arrived_ms = arrived_ms};
    if (is_new && tsearch(record, &r->tree, compare) == NULL)
        out_of_memory();
}

int records_append(struct records *r, const struct record *record) {
    struct header h = {.key_size = (uint32_t)strlen(record->key) + 1,
                       .ensemble_size = (uint32_t)strlen(record->ensemble) + 1,
                       .value_length = (uint32_t)record->value_length,
                       .sequence = record->sequence,
                       .time_ms = record->time_ms};
    size_t n = h.key_size + h.ensemble_size + h.value_length;
    char bytes[sizeof h + BODY_MAX], *body = bytes + sizeof h;
    memcpy(mempcpy(mempcpy(body, record->key, h.key_size), record->ensemble, h.ensemble_size), record->value,
           h.value_length);
    h.crc = crc_of(&h, body, n);
    memcpy(bytes, &h, sizeof h);
    ssize_t written = pwrite(r->fd, bytes, sizeof h + n, r->end);
    if (written != (ssize_t)(sizeof h + n) || (r->sync && fdatasync(r->fd) != 0)) {
        int error = written >= 0 && written < (ssize_t)(sizeof h + n) ? ENOSPC : errno;
        return ftruncate(r->fd, r->end) == 0 ? -error : -EIO;
    }
    r->end += written;
    index_put(r, &h, memcpy(must_grow(NULL, n), body, n), now_ms());
    return 0;
}

static int replay(struct records *r, const char *folder, char problem[static PROBLEM_MAX]) {
    FILE *file = fdopen(openat(r->folder_fd, "log", O_RDONLY | O_CLOEXEC), "r");
    struct header h;
    bool complete = true, damaged = false;
    while (file != NULL && !damaged && fread(&h, 1, sizeof h, file) == sizeof h) {
        damaged =
            h.key_size > KEY_MAX + 1 || h.ensemble_size > ENSEMBLE_MAX + 1 || h.value_length > VALUE_MAX;
        size_t n = damaged ? 0 : h.key_size + h.ensemble_size + h.value_length;
        char *body = must_grow(NULL, n + 1);
        complete = fread(body, 1, n, file) == n;
        damaged = damaged || (complete && crc_of(&h, body, n) != h.crc);
        if (!complete || damaged) {
            free(body);
            break;
        }
        index_put(r, &h, body, 0);
        r->end += (off_t)(sizeof h + n);
    }
    if (file == NULL || ferror(file) || damaged)
        snprintf(problem, PROBLEM_MAX, "%s/log: %s at byte %lld", folder,
                 damaged ? "damaged: refused" : "cannot be read", (long long)r->end);
    if (file == NULL || ferror(file))
        return -2;
    fclose(file);
    if (!damaged && ftruncate(r->fd, r->end) != 0)
        return -2;
    return damaged ? -1 : 0;
}

int file_read(int folder_fd, const char *name, char *text, size_t size) {
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -errno : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = '\0';
    return (int)n;
}

int file_replace(int folder_fd, const char *name, const char *text) {
    char new_name[64];
    snprintf(new_name, sizeof new_name, "%s.new", name);
    int fd = openat(folder_fd, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    bool whole = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return whole && renameat(folder_fd, new_name, folder_fd, name) == 0 ? 0 : -EIO;
}

static bool folder_is_empty(int folder_fd) {
    DIR *folder = fdopendir(openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    bool empty = folder != NULL;
    for (struct dirent *e; empty && (e = readdir(folder)) != NULL;)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                strcmp(e->d_name, "cookie.new") == 0;
    if (folder != NULL)
        closedir(folder);
    return empty;
}

/* An empty folder is taken for a new replica, whatever this replica held before: real systems have this hole too. */
static int check_cookie(struct records *r, const struct config *c, char problem[static PROBLEM_MAX]) {
    char wanted[ID_MAX + FOLDER_MAX + 32], cookie[sizeof wanted + 32], born[32];
    snprintf(wanted, sizeof wanted, "id=%s\nfolder=%s\nborn=", c->id, c->data);
    int n = file_read(r->folder_fd, "cookie", cookie, sizeof cookie);
    if (n == -ENOENT && folder_is_empty(r->folder_fd)) {
        snprintf(born, sizeof born, "%llu\n", (unsigned long long)wall_ms());
        snprintf(cookie, sizeof cookie, "%s%s", wanted, born);
        n = file_replace(r->folder_fd, "cookie", cookie);
    }
    if (n >= 0 && strncmp(cookie, wanted, strlen(wanted)) == 0) {
        r->born_ms = strtoull(cookie + strlen(wanted), NULL, 10);
        return 0;
    }
    snprintf(problem, PROBLEM_MAX, "%s/cookie: %s id=%s folder=%s: refused", c->data,
             n >= 0 ? "is another replica's or another folder's, not that of" : "cannot be read or made for",
             c->id, c->data);
    return -1;
}

int records_open(struct records *r, const struct config *c, char problem[static PROBLEM_MAX]) {
    *r = (struct records){.sync = c->sync, .fd = -1};
    r->folder_fd = mkdir(c->data, 0755) == 0 || errno == EEXIST ? open(c->data, O_DIRECTORY | O_CLOEXEC) : -1;
    if (r->folder_fd < 0) {
        snprintf(problem, PROBLEM_MAX, "%s: %s", c->data, strerror(errno));
        return -2;
    }
    if (check_cookie(r, c, problem) != 0)
        return -1;
    r->fd = openat(r->folder_fd, "log", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (r->fd < 0 || flock(r->fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(problem, PROBLEM_MAX, "%s/log: %s", c->data,
                 errno == EWOULDBLOCK ? "another process serves this folder" : strerror(errno));
        return -2;
    }
    return replay(r, c->data, problem);
}
