/* kedge-stager: lives for one artifact. Fetches it, checks it and unpacks it, as a user who may write to one folder.
 *
 * Why a program of its own: an archive is the most hostile thing that an agent reads, and its readers (libcurl,
 * libarchive and what stands behind them) are the largest code near it. Here they know nothing and may nothing: no key,
 * no order, no root. What comes out is not believed either: the executor takes the folder over and compares every file
 * with the signed manifest.
 *
 * The archive is unpacked while it comes, before its digest is known: bytes lie in a private folder that nobody uses
 * until this program ends with 0, and a release needs its room once only. */
#include "agent/stager/fetch.h"
#include "agent/stager/unpack.h"
#include "common/base/confine.h"
#include "common/base/limits.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { EXIT_USAGE = 2, EXIT_SOURCE = 3 };

static const char help[] =
    "usage: kedge-stager --url URL --size BYTES --digest HEX --into FOLDER [OPTION]...\n"
    "Fetches one artifact, checks it and unpacks it into FOLDER, which must be empty. Started by "
    "kedge-agent.\n"
    "  --url URL          http or https; no redirect is followed\n"
    "  --size BYTES       exactly so many\n"
    "  --digest HEX       BLAKE2b-256 of the whole artifact, 64 digits\n"
    "  --into FOLDER      becomes that user's, mode 0700\n"
    "  --strip N          leave out N leading folders of every path (default 0)\n"
    "  --user NAME        become NAME first, when started as root\n"
    "  --min-speed BYTES  give up below so many a second over --patience (default 16384)\n"
    "  --patience SECONDS (default 20)\n"
    "  --timeout SECONDS  for the whole (default 3600)\n"
    "  --allow-file       let URL begin with file:, for tests\n"
    "Exit codes: 0 done, 1 failed (one sentence on standard error), 2 usage, 3 the source failed: may be "
    "tried again.\n"
    "Example: kedge-stager --url http://c1:7401/artifact/04a1... --size 16512345 --digest 04a1... --strip 1 "
    "--into new\n";

struct options {
    struct fetch_wish wish;
    const char *into, *user;
    uint64_t strip;
    bool has_size, has_digest;
};

enum {
    OPTION_URL = 1,
    OPTION_SIZE,
    OPTION_DIGEST,
    OPTION_INTO,
    OPTION_STRIP,
    OPTION_USER,
    OPTION_SPEED,
    OPTION_PATIENCE,
    OPTION_TIMEOUT,
    OPTION_FILE,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option option_table[] = {
    {"url", required_argument, NULL, OPTION_URL},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"digest", required_argument, NULL, OPTION_DIGEST},
    {"into", required_argument, NULL, OPTION_INTO},
    {"strip", required_argument, NULL, OPTION_STRIP},
    {"user", required_argument, NULL, OPTION_USER},
    {"min-speed", required_argument, NULL, OPTION_SPEED},
    {"patience", required_argument, NULL, OPTION_PATIENCE},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"allow-file", no_argument, NULL, OPTION_FILE},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static bool take_number(const char *text, uint64_t max, uint64_t *outp) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *outp = value;
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && value <= max;
}

static bool take_u32(const char *text, uint32_t max, uint32_t *outp) {
    uint64_t value = 0;
    bool good = take_number(text, max, &value) && value > 0;
    *outp = (uint32_t)value;
    return good;
}

/* Takes one option; false when its value is no good. */
static bool option_take(struct options *options, int option, const char *value) {
    const uint64_t size_max = (uint64_t)KEDGE_RELEASE_BYTES_MAX_GIB << 30;
    switch (option) {
    case OPTION_URL: options->wish.url = value; return true;
    case OPTION_SIZE: options->has_size = true; return take_number(value, size_max, &options->wish.size);
    case OPTION_DIGEST:
        options->has_digest = true;
        return hex_decode(options->wish.digest.b, KEDGE_DIGEST_LEN, value);
    case OPTION_INTO: options->into = value; return true;
    case OPTION_STRIP: return take_number(value, TARBALL_DEPTH_MAX, &options->strip);
    case OPTION_USER: options->user = value; return true;
    case OPTION_SPEED: return take_u32(value, 1u << 30, &options->wish.speed_min);
    case OPTION_PATIENCE: return take_u32(value, 3600, &options->wish.patience_s);
    case OPTION_TIMEOUT: return take_u32(value, 24 * 3600, &options->wish.timeout_s);
    case OPTION_FILE: options->wish.file_allowed = true; return true;
    default: return false;
    }
}

/* 0 to go on, or the exit code + 1. */
static int options_parse(struct options *options, int argc, char **argv) {
    int option, which = 0;
    while ((option = getopt_long(argc, argv, "", option_table, &which)) != -1) {
        if (option == OPTION_HELP || option == OPTION_VERSION)
            return fputs(option == OPTION_HELP ? help : "kedge-stager " KEDGE_VERSION "\n", stdout) < 0 ? 2
                                                                                                        : 1;
        if (option == '?')
            return EXIT_USAGE + 1;
        if (!option_take(options, option, optarg)) {
            fprintf(stderr, "kedge-stager: --%s: \"%s\" is no good, see --help\n", option_table[which].name,
                    optarg);
            return EXIT_USAGE + 1;
        }
    }
    if (optind == argc && options->wish.url && options->into && options->has_size && options->has_digest)
        return 0;
    fputs("kedge-stager: --url, --size, --digest and --into are needed, and nothing else; see --help\n",
          stderr);
    return EXIT_USAGE + 1;
}

static int check_empty(int folder, const char *name, struct error *err) {
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return error_errno(err, -errno, "folder %s", name);
    bool empty = true;
    for (const struct dirent *entry; (entry = readdir(dir));)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    closedir(dir);
    return empty ? 0
                 : error_set(err, -ENOTEMPTY,
                             "folder %s is not empty: a release is unpacked into a fresh one", name);
}

/* Opens the folder once, while we may still reach it, and makes it private to whom we become. */
static int folder_take(const char *name, const struct account *account, int *outp, struct error *err) {
    _cleanup_(closep) int folder = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return error_errno(err, -errno, "folder %s", name);
    int r = check_empty(folder, name, err);
    if (r < 0)
        return r;
    if (account && geteuid() == 0 && fchown(folder, account->uid, account->gid) < 0)
        return error_errno(err, -errno, "folder %s", name);
    if (fchmod(folder, 0700) < 0)
        return error_errno(err, -errno, "folder %s: not ours", name);
    *outp = TAKE_FD(folder);
    return 0;
}

static int give_up_powers(const struct account *account, struct error *err) {
    signal(SIGXFSZ, SIG_IGN); /* a file that is too large is an error of one write, not our end */
    umask(022);
    int r = confine_resource(RLIMIT_FSIZE, (uint64_t)KEDGE_RELEASE_BYTES_MAX_GIB << 30, err);
    if (r == 0)
        r = confine_resource(RLIMIT_NOFILE, 64, err);
    if (r == 0)
        r = confine_resource(RLIMIT_AS, STAGER_MEMORY_BYTES_MAX, err);
    return r == 0 ? confine(account, err) : r;
}

static int stage(const struct options *options, int folder, struct error *err) {
    _cleanup_(fetch_freep) struct fetch *fetch = NULL;
    int r = fetch_new(&fetch, &options->wish, err);
    if (r < 0)
        return r;
    _cleanup_(tarball_freep) struct tarball *tarball =
        tarball_new(fetch_pull, fetch, options->wish.size, (unsigned)options->strip);
    if (!tarball)
        return error_set(err, -ENOMEM, "out of memory");
    r = unpack(tarball, folder, options->into, err);
    if (r < 0 && r != -EBADMSG)
        return r;
    /* Whoever serves the wrong bytes hears of the bytes, not of what they looked like as an archive. */
    struct error drained = {0};
    int whole = fetch_drain(fetch, &drained);
    return whole < 0 ? error_set(err, whole, "%s", drained.text) : r;
}

static int run(const struct options *options, struct error *err) {
    struct account account;
    _cleanup_(closep) int folder = -1;
    int r = options->user ? account_find(options->user, &account, err) : 0;
    if (r == 0)
        r = folder_take(options->into, options->user ? &account : NULL, &folder, err);
    if (r == 0)
        r = give_up_powers(options->user ? &account : NULL, err);
    if (r < 0)
        return r;
    r = stage(options, folder, err);
    return r < 0 ? error_context(err, r, "artifact %s", options->wish.url) : 0;
}

int main(int argc, char **argv) {
    struct options options = {.wish = {.speed_min = 16384, .patience_s = 20, .timeout_s = 3600}};
    struct error err = {0};
    int r = options_parse(&options, argc, argv);
    if (r > 0)
        return r - 1;
    r = run(&options, &err);
    if (r == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "kedge-stager: %s\n", err.text);
    return r == -EIO ? EXIT_SOURCE : EXIT_FAILURE;
}
