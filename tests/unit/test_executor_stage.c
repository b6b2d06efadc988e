/* Why the stager is a script here: its own program has its own tests; this is about what the executor believes of a tree
 * that somebody without privilege has laid. */
#include "agent/executor/stage.h"
#include "common/base/file.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/stat.h>

static char folder[] = "/tmp/kedge-stage-XXXXXX";

static void path_of(char *out, size_t size, const char *name) {
    snprintf(out, size, "%s/%s", folder, name);
}

static void put(const char *name, const char *content) {
    char path[256];
    struct error err;
    path_of(path, sizeof(path), name);
    if (file_write(path, bytes_of_text(content), 0666, &err) < 0)
        abort();
}

static struct release_file files[] = {{.path = "bin/run", .size = 5, .mode = 0755},
                                      {.path = "link", .link = "bin/run"}};
static struct component component = {.name = "store", .files = files, .n_files = 2};

/* The tree of the manifest, fresh. */
static void lay(void) {
    char path[256];
    snprintf(folder, sizeof(folder), "/tmp/kedge-stage-XXXXXX");
    if (!mkdtemp(folder))
        abort();
    path_of(path, sizeof(path), "bin");
    mkdir(path, 0777);
    put("bin/run", "hello");
    path_of(path, sizeof(path), "link");
    if (symlink("bin/run", path) < 0)
        abort();
    files[0].digest = digest_of(bytes_of_text("hello"));
}

static int take(struct error *err) {
    int r = stage_take_over(folder, &component, err);
    return r;
}

static void clear(void) {
    if (folder_remove(folder, NULL) < 0)
        abort();
}

TEST("F32 a tree that is the manifest's becomes ours, with its modes") {
    struct error err = {0};
    struct stat st;
    char path[256];
    lay();
    check_eq_int(take(&err), 0);
    check_eq_str(err.text, "");
    path_of(path, sizeof(path), "bin/run");
    check_eq_int(stat(path, &st), 0);
    check_eq_int(st.st_mode & 07777, 0755);
    clear();
}

TEST("A14 a changed, missing or additional file is refused by name") {
    struct error err;
    lay();
    put("bin/run", "hellO");
    check_eq_int(take(&err), -EBADMSG);
    check_contains(err.text, "\"bin/run\" is not what the signed manifest says");
    put("bin/run", "hello!");
    check_eq_int(take(&err), -EBADMSG);
    put("bin/run", "hello");
    put("bin/more", "x");
    check_eq_int(take(&err), -EBADMSG);
    check_contains(err.text, "\"bin/more\" is not a file of the signed manifest");
    clear();
    lay();
    char path[256];
    path_of(path, sizeof(path), "bin/run");
    unlink(path);
    check_eq_int(take(&err), -EBADMSG);
    check_contains(err.text, "\"bin/run\" is missing");
    clear();
}

TEST("A28 links, pipes and second names that the manifest does not have are refused") {
    struct error err;
    char path[256], other[256];
    lay();
    path_of(path, sizeof(path), "link");
    unlink(path);
    check_eq_int(symlink("/etc/passwd", path), 0);
    check_eq_int(take(&err), -EBADMSG);
    clear();
    lay();
    path_of(path, sizeof(path), "bin/pipe");
    check_eq_int(mkfifo(path, 0666), 0);
    check_eq_int(take(&err), -EBADMSG);
    check_contains(err.text, "neither file, folder nor link");
    clear();
    lay();
    path_of(path, sizeof(path), "bin/run");
    snprintf(other, sizeof(other), "%s-second-name", folder);
    check_eq_int(link(path, other), 0);
    check_eq_int(take(&err), -EBADMSG);
    check_contains(err.text, "not a plain file of its own");
    unlink(other);
    clear();
}

TEST("A30 a file that somebody can still write is refused") {
    struct error err;
    char path[256];
    lay();
    path_of(path, sizeof(path), "bin/run");
    int fd = open(path, O_WRONLY);
    check_eq_int(take(&err), -EBADMSG);
    check_contains(err.text, "still open for writing");
    close(fd);
    check_eq_int(take(&err), 0);
    clear();
}
