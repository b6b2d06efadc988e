/* Files and logs: read at once, as a whole, since they are local and capped. Only regular files: a fifo or a device would
 * hold up everybody else. */
#include "agent/prober/ask.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 1024 * 1024, LOG_BYTES_MAX = 8 * 1024 * 1024 };

/* NULL, or what is wrong. */
static const char *read_from(int fd, uint64_t offset, size_t max, struct buffer *out) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return strerror(errno);
    if (!S_ISREG(st.st_mode))
        return "not a regular file";
    if (offset > 0 && (uint64_t)st.st_size < offset)
        return "shorter than it was when the member was started";
    for (;;) {
        static uint8_t chunk[16 * 1024];
        ssize_t n = pread(fd, chunk, sizeof(chunk), (off_t)(offset + out->len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? strerror(errno) : NULL;
        if ((size_t)n > max - out->len)
            return max == FILE_BYTES_MAX ? "longer than 1 MiB" : "longer than 8 MiB since the start";
        buffer_append(out, chunk, (size_t)n);
        if (out->failed)
            return "out of memory";
    }
}

static void start(struct ask *ask) {
    _cleanup_(buffer_deinit) struct buffer content = {0};
    bool is_log = ask->probe->kind == PROBE_LOG;
    const char *path = is_log ? ask->log_path : ask->probe->target; /* whole: it may have blanks */
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *trouble = fd < 0 ? strerror(errno)
                                 : read_from(fd, is_log ? ask->log_offset : 0,
                                             is_log ? LOG_BYTES_MAX : FILE_BYTES_MAX, &content);
    if (trouble) {
        ask_failed(ask, "%s: %s", path, trouble);
        return;
    }
    matcher_lines(&ask->matcher, buffer_bytes(&content), &ask->found);
    ask_answered(ask);
}

static void stop(struct ask *ask) {
    (void)ask;
}

const struct ask_kind ask_file_kind = {start, stop};
