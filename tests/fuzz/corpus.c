/* A fuzz target as a plain test: it gets every file of its corpus, then every file once more, cut short at each
 * of its bytes. Arguments: the folder. Prints how many inputs it gave; a corpus without files is a failure. */
#include "common/base/file.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <string.h>

enum { FILE_BYTES_MAX = 2 * 1024 * 1024, CUT_BYTES_MAX = 4096 };

/* In a block of its own size, so that a sanitizer sees the first byte that is read past the end. */
static int give(const uint8_t *data, size_t len) {
    _cleanup_(freep) uint8_t *copy = malloc(len > 0 ? len : 1);
    if (!copy)
        return -ENOMEM;
    if (len > 0)
        memcpy(copy, data, len);
    return LLVMFuzzerTestOneInput(copy, len);
}

static int give_file(const char *path, unsigned *n_givenp, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer content = {0};
    int r = file_read(path, FILE_BYTES_MAX, &content, err);
    if (r < 0)
        return r;
    for (size_t len = content.len < CUT_BYTES_MAX ? 0 : content.len; len <= content.len; len++) {
        r = give(content.data, len);
        if (r != 0)
            return error_set(err, -EINVAL, "%s: cut at %zu bytes: the target returned %d", path, len, r);
        ++*n_givenp;
    }
    return 0;
}

static void closedirp(DIR **dir) {
    if (*dir)
        closedir(*dir);
}

static int give_folder(const char *folder, unsigned *n_givenp, struct error *err) {
    _cleanup_(closedirp) DIR *dir = opendir(folder);
    if (!dir)
        return error_errno(err, -errno, "%s", folder);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        int r = give_file(path, n_givenp, err);
        if (r < 0)
            return r;
    }
    return *n_givenp > 0 ? 0 : error_set(err, -ENOENT, "%s: no file to give to the target", folder);
}

int main(int argc, char **argv) {
    struct error err = {""};
    unsigned n_given = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    if (give_folder(argv[1], &n_given, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("%u inputs\n", n_given);
    return 0;
}
