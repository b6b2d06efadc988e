/* One append-only log, all of it also in memory. An incomplete record at its end is what a kill leaves: it was never
 * acknowledged and is cut off. A complete record with a wrong CRC is damage and refuses the start. */
#include "coordinator/demo/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_SIZE = offsetof(struct record, value) - offsetof(struct record, crc) };

static uint64_t clock_ms(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t now_ms(void) {
    return clock_ms(CLOCK_MONOTONIC);
}

uint64_t store_wall_ms(void) {
    return clock_ms(CLOCK_REALTIME);
}

void *must_grow(void *memory, size_t size) {
    void *grown = realloc(memory, size);
    if (grown == NULL) {
        fputs("demo-store: out of memory\n", stderr);
        _exit(1);
    }
    return grown;
}

struct record *record_new(size_t value_length) {
    struct record *record = memset(must_grow(NULL, sizeof *record + value_length), 0, sizeof *record);
    record->value_length = (uint32_t)value_length;
    return record;
}

size_t record_size(const struct record *record) {
    return HEAD_SIZE + record->value_length;
}

static uint32_t crc_of(const struct record *record) {
    static uint32_t table[256];
    for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = (table[i] >> 1) ^ (table[i] & 1 ? 0xedb88320U : 0);
    }
    uint32_t crc = ~0U;
    const unsigned char *bytes = (const unsigned char *)&record->crc;
    for (size_t i = sizeof crc; i < record_size(record); i++)
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xff];
    return ~crc;
}

static int compare(const void *a, const void *b) {
    return strcmp(((const struct record *)a)->key, ((const struct record *)b)->key);
}

struct record *records_find(const struct records *r, const char *key) {
    struct record wanted;
    if ((size_t)snprintf(wanted.key, sizeof wanted.key, "%s", key) >= sizeof wanted.key)
        return NULL;
    struct record *const *found = tfind(&wanted, &r->tree, compare);
    return found == NULL ? NULL : *found;
}

static void index_put(struct records *r, struct record *record) {
    struct record **slot = tsearch(record, &r->tree, compare);
    if (++r->n_numbers >= r->n_allocated) {
        r->n_allocated = r->n_numbers * 2 + 1024;
        r->by_number = must_grow(r->by_number, r->n_allocated * sizeof *r->by_number);
    }
    if (slot != NULL && *slot != record) {
        r->by_number[(*slot)->number] = NULL;
        free(*slot);
        *slot = record;
        r->n_keys--;
    }
    r->n_keys++;
    r->by_number[r->n_numbers] = record;
    record->number = r->n_numbers;
}

int records_append(struct records *r, struct record *record) {
    record->arrived_ms = now_ms();
    record->crc = crc_of(record);
    ssize_t size = (ssize_t)record_size(record), n = pwrite(r->fd, &record->crc, (size_t)size, r->end);
    int error = n == size ? 0 : n < 0 ? errno : ENOSPC;
    if (error == 0 && r->sync && fdatasync(r->fd) != 0)
        error = errno;
    if (error != 0) {
        free(record);
        return ftruncate(r->fd, r->end) == 0 ? -error : -EIO;
    }
    r->end += size;
    index_put(r, record);
    return 0;
}

struct record *record_load(const char *bytes, size_t n, bool *damaged) {
    struct record head = {0};
    if (n < HEAD_SIZE)
        return NULL;
    memcpy(&head.crc, bytes, HEAD_SIZE);
    *damaged = head.value_length > VALUE_MAX;
    if (*damaged || n < record_size(&head))
        return NULL;
    struct record *record = record_new(head.value_length);
    memcpy(&record->crc, bytes, record_size(&head));
    *damaged = crc_of(record) != record->crc;
    if (!*damaged)
        return record;
    free(record);
    return NULL;
}

/* 0, -1 damaged, -2 environment with errno */
static int replay(struct records *r) {
    struct stat st;
    struct record *record;
    bool damaged = false;
    if (fstat(r->fd, &st) != 0)
        return -2;
    size_t size = (size_t)st.st_size, at = 0;
    char *log = size == 0 ? NULL : mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, r->fd, 0);
    if (log == MAP_FAILED)
        return -2;
    for (; (record = record_load(log + at, size - at, &damaged)) != NULL; at += record_size(record))
        index_put(r, record);
    if (size > 0)
        munmap(log, size);
    r->end = (off_t)at;
    return damaged ? -1 : ftruncate(r->fd, r->end) == 0 ? 0 : -2;
}

int record_file_read(int folder_fd, const char *name, char *text, size_t size) {
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
static bool cookie_fits(struct records *r, const struct config *c) {
    char ours[ID_MAX + FOLDER_MAX + 32], cookie[sizeof ours + 32];
    snprintf(ours, sizeof ours, "id=%s\nfolder=%s\nborn=", c->id, c->data);
    if (record_file_read(r->folder_fd, "cookie", cookie, sizeof cookie) == -ENOENT &&
        folder_is_empty(r->folder_fd)) {
        snprintf(cookie, sizeof cookie, "%s%020llu\n", ours, (unsigned long long)store_wall_ms());
        if (file_replace(r->folder_fd, "cookie", cookie) != 0)
            return false;
    }
    r->born_ms = strncmp(cookie, ours, strlen(ours)) == 0 ? strtoull(cookie + strlen(ours), NULL, 10) : 0;
    return r->born_ms != 0;
}

/* ---- the format ---- */

unsigned format_max(void) {
    return strncmp(store_version, "1.0.", 4) == 0 ? 1 : 2;
}

int format_raise(struct records *r, unsigned format) {
    char text[16];
    if (format < r->format || format > format_max())
        return -EINVAL;
    if (format == r->format)
        return 0;
    snprintf(text, sizeof text, "%u\n", format);
    int result = file_replace(r->folder_fd, "format", text);
    if (result == 0)
        r->format = format;
    return result;
}

/* Data of a later format are refused before anything of them is read. */
static bool format_fits(struct records *r) {
    char text[16];
    int n = record_file_read(r->folder_fd, "format", text, sizeof text);
    r->format = n == -ENOENT ? 1 : n > 0 ? (unsigned)strtoul(text, NULL, 10) : 0;
    return r->format >= 1 && r->format <= format_max();
}

int records_open(struct records *r, const struct config *c, char problem[static PROBLEM_MAX]) {
    *r = (struct records){.sync = c->sync, .fd = -1};
    r->folder_fd = mkdir(c->data, 0755) == 0 || errno == EEXIST ? open(c->data, O_DIRECTORY | O_CLOEXEC) : -1;
    if (r->folder_fd >= 0 && !cookie_fits(r, c)) {
        snprintf(problem, PROBLEM_MAX, "%s: has no cookie of id=%s folder=%s and is not empty: refused",
                 c->data, c->id, c->data);
        return -1;
    }
    if (r->folder_fd >= 0 && !format_fits(r)) {
        snprintf(problem, PROBLEM_MAX, "%s: data of format %u, demo-store %s reads up to %u: refused",
                 c->data, r->format, store_version, format_max());
        return -1;
    }
    r->fd = r->folder_fd < 0 ? -1 : openat(r->folder_fd, "log", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    int result = r->fd < 0 || flock(r->fd, LOCK_EX | LOCK_NB) != 0 ? -2 : replay(r);
    if (result == -2)
        snprintf(problem, PROBLEM_MAX, "%s: %s", c->data,
                 errno == EWOULDBLOCK ? "another process serves this folder" : strerror(errno));
    if (result == -1)
        snprintf(problem, PROBLEM_MAX, "%s/log: damaged at byte %lld: refused", c->data, (long long)r->end);
    return result;
}
