/* Any bytes as an archive, in small pieces: every entry that comes out obeys the rules for releases, and all that comes
 * out is within the limits. */
#include "tests/fuzz/fuzz.h"

#include "common/archive/tarball.h"
#include "common/base/limits.h"
#include "common/plan/release.h"

#include <assert.h>
#include <sys/types.h>

enum { PIECE = 100 };

static ssize_t pull(void *from, const uint8_t **data, struct error *err) {
    struct bytes *rest = from;
    size_t n = rest->len < PIECE ? rest->len : PIECE;
    (void)err;
    *data = rest->data;
    rest->data += n;
    rest->len -= n;
    return (ssize_t)n;
}

static int read_all(struct tarball *tarball, const struct tarball_entry *entry, struct error *err) {
    struct bytes bytes;
    uint64_t n = 0;
    int r;
    while ((r = tarball_read(tarball, &bytes, err)) == 0 && bytes.len > 0)
        n += bytes.len;
    assert(n <= entry->size && (r < 0 || n == entry->size));
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes rest = {data, size};
    struct error err = {0};
    struct tarball_entry entry;
    uint64_t total = 0;
    struct tarball *tarball = tarball_new(pull, &rest, size, 1);
    int n_entries = 0, r = 1;
    assert(tarball);
    while (r >= 0 && (r = tarball_next(tarball, &entry, &err)) == 1) {
        assert(release_path_check(entry.path, NULL) == 0 && (entry.mode & ~0777u) == 0);
        assert(entry.kind != TARBALL_LINK || release_link_check(entry.path, entry.link, NULL) == 0);
        assert(++n_entries <= KEDGE_RELEASE_FILES_MAX);
        total += entry.size;
        assert(total <= (uint64_t)KEDGE_RELEASE_BYTES_MAX_GIB << 30);
        if (entry.kind == TARBALL_FILE)
            r = read_all(tarball, &entry, &err);
    }
    assert(r == 0 || err.text[0]);
    tarball_free(tarball);
    return 0;
}
