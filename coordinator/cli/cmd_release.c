/* Releases as the coordinator has them, and handing one over. Cutting one is in cut.c. */
#include "coordinator/cli/client.h"
#include "common/base/file.h"
#include "common/plan/encoding.h"

#include <string.h>
#include <sys/stat.h>

enum {
    MANIFEST_BYTES_MAX = 8 * 1024 * 1024,
    SENT_BYTES_MAX = KEDGE_CONTROL_BYTES_MAX - MANIFEST_BYTES_MAX,
};

/* A line for each failure that keeps it from being planned. */
static void quarantines_print(const json_t *quarantines) {
    size_t i;
    const json_t *q;
    json_array_foreach(quarantines, i, q) {
        printf("quarantined  %s %.19s since %s: it failed on %s in run %lld: %s\n", json_text(q, "is"),
               json_text(q, "digest"), text_time(json_number(q, "since_ms")).s, json_text(q, "member"),
               (long long)json_number(q, "run"), json_text(q, "reason"));
    }
}

static void releases_print(const json_t *releases) {
    static const char *const titles[] = {"RELEASE", ">FILES", ">SIZE", "ADDED", "MANIFEST", NULL};
    _cleanup_(table_deinit) struct table table;
    table_init(&table, titles);
    size_t i, c;
    const json_t *release, *component;
    json_array_foreach(releases, i, release) {
        int64_t size = 0, n_files = 0;
        json_array_foreach(json_list(release, "components"), c, component) {
            size += json_number(component, "size");
            n_files += json_number(component, "n_files");
        }
        table_format(&table, COLOUR_NONE, "%s-%s", json_text(release, "system"),
                     json_text(release, "version"));
        table_format(&table, COLOUR_NONE, "%lld", (long long)n_files);
        table_cell(&table, text_size((uint64_t)size).s, COLOUR_NONE);
        table_cell(&table, text_time(json_number(release, "added_ms")).s, COLOUR_NONE);
        table_cell(&table, json_text(release, "manifest"), COLOUR_DIM);
    }
    if (table.n_rows == 0)
        puts("no releases yet: kedge release cut makes one, kedge release add hands it over");
    else
        table_print(&table, stdout);
}

int cmd_release_list(struct cli *cli) {
    struct call call = {.verb = "release list"};
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    releases_print(json_list(reply.json, "releases"));
    quarantines_print(json_list(reply.json, "quarantines"));
    return EXIT_DONE;
}

static void component_print(const json_t *component) {
    printf("component    %s: %lld files, archive of %s\n             %s\n", json_text(component, "name"),
           (long long)json_number(component, "n_files"),
           text_size((uint64_t)json_number(component, "size")).s, json_text(component, "artifact"));
}

/* The files, from the signed manifest itself; nothing is believed here, it is only shown. */
static int files_print(struct cli *cli, struct bytes file) {
    struct signed_blob blob;
    struct manifest *manifest;
    int r = signed_blob_decode(&blob, file, cli->err);
    if (r == 0)
        r = codec_decode(&manifest_codec, blob.bytes, cli->arena, &manifest, cli->err);
    if (r < 0)
        return error_context(cli->err, r, "manifest");
    for (size_t i = 0; i < blob.n_signatures; i++) {
        char fingerprint[KEDGE_FINGERPRINT_TEXT_SIZE];
        public_key_fingerprint(fingerprint, &blob.signatures[i].key);
        printf("signed by    %s\n", fingerprint);
    }
    for (size_t c = 0; c < manifest->n_components; c++)
        for (size_t i = 0; i < manifest->components[c].n_files; i++) {
            const struct release_file *f = &manifest->components[c].files[i];
            printf("  %04o %10llu  %s%s%s\n", f->mode, (unsigned long long)f->size, f->path,
                   f->link ? " -> " : "", f->link ? f->link : "");
        }
    return EXIT_DONE;
}

int cmd_release_show(struct cli *cli) {
    struct call call = {.verb = "release show"};
    call_argument(&call, "release", cli->arguments[0]);
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    const json_t *release = json_object_get(reply.json, "release"), *component;
    printf("release      %s-%s\nserial       %lld\nmanifest     %s\nadded        %s\n",
           json_text(release, "system"), json_text(release, "version"),
           (long long)json_number(release, "serial"), json_text(release, "manifest"),
           text_time(json_number(release, "added_ms")).s);
    quarantines_print(json_list(release, "quarantines"));
    size_t c;
    json_array_foreach(json_list(release, "components"), c, component) component_print(component);
    return reply.n_blobs > 0 ? files_print(cli, reply.blobs[0]) : EXIT_DONE;
}

/* FILE.release lies beside its archive: the same name without the ending, perhaps with one of these. */
static const char *const archive_endings[] = {"", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar"};

static int archive_path(struct cli *cli, char *out, size_t size) {
    const char *path = cli->arguments[0];
    static const char ending[] = ".release";
    size_t n = strlen(path), m = sizeof(ending) - 1;
    struct stat st;
    if (cli->n_arguments > 1) {
        snprintf(out, size, "%s", cli->arguments[1]);
        return 0;
    }
    if (n <= m || strcmp(path + n - m, ending) != 0)
        return error_set(cli->err, -EINVAL, "%s does not end with .release; say where its archive is", path);
    for (size_t i = 0; i < ARRAY_LEN(archive_endings); i++) {
        snprintf(out, size, "%.*s%s", (int)(n - m), path, archive_endings[i]);
        if (stat(out, &st) == 0 && S_ISREG(st.st_mode))
            return 0;
    }
    return error_set(cli->err, -ENOENT,
                     "no archive beside %s (%.*s, with or without .tar.gz); say where it is", path,
                     (int)(n - m), path);
}

/* `archive`: an absolute path of a file that kedged is to read, or NULL when it comes as a blob. */
static int release_send(struct cli *cli, const struct bytes *blobs, size_t n_blobs, const char *archive) {
    struct call call = {.verb = "release add", .blobs = blobs, .n_blobs = n_blobs};
    call_argument(&call, "archive", archive);
    _cleanup_(reply_deinit) struct reply reply = {0};
    int r = client_call(cli, &call, &reply);
    if (r != 0)
        return r;
    if (cli->json)
        return json_print(reply.json);
    const json_t *release = json_object_get(reply.json, "release");
    printf("added        %s-%s\nmanifest     %s\n", json_text(release, "system"),
           json_text(release, "version"), json_text(release, "manifest"));
    return EXIT_DONE;
}

/* What is too large for the socket is named only: kedged reads the file itself, and checks its digest as ever. */
static int release_send_path(struct cli *cli, struct bytes manifest, const char *archive) {
    _cleanup_(freep) char *path = realpath(archive, NULL);
    if (!path)
        return error_errno(cli->err, -errno, "%s", archive);
    return release_send(cli, &manifest, 1, path);
}

int cmd_release_add(struct cli *cli) {
    char archive[KEDGE_PATH_MAX + 1];
    struct signed_blob blob;
    struct stat st;
    _cleanup_(buffer_deinit) struct buffer manifest = {0}, content = {0};
    int r = archive_path(cli, archive, sizeof(archive));
    if (r == 0)
        r = file_read(cli->arguments[0], MANIFEST_BYTES_MAX, &manifest, cli->err);
    if (r < 0)
        return r;
    r = signed_blob_decode(&blob, buffer_bytes(&manifest), cli->err);
    if (r < 0)
        return error_context(cli->err, r, "%s", cli->arguments[0]);
    if (stat(archive, &st) == 0 && st.st_size > SENT_BYTES_MAX)
        return release_send_path(cli, buffer_bytes(&manifest), archive);
    r = file_read(archive, SENT_BYTES_MAX, &content, cli->err);
    if (r < 0)
        return r;
    struct bytes blobs[] = {buffer_bytes(&manifest), buffer_bytes(&content)};
    return release_send(cli, blobs, ARRAY_LEN(blobs), NULL);
}
