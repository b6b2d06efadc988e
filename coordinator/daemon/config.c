/* Why options beside the file: a test or a demo gives everything on one line; a host has a file. Both meet the same
 * judgements, and `--check` runs exactly this code. */
#include "coordinator/daemon/config.h"

#include "common/yaml/reader.h"

#include <string.h>

const char CONFIG_HELP_TEXT[] =
    "kedged: the coordinator of Kedge\n"
    "\n"
    "  kedged --state DIR [OPTIONS]\n"
    "\n"
    "  --state DIR          its folder: key, journal, artifacts, control socket\n"
    "  --config FILE        default: DIR/kedged.yaml, if it is there\n"
    "  --listen HOST:PORT   for agents; default 127.0.0.1:7400\n"
    "  --artifacts HOST:PORT  for what agents fetch; default 127.0.0.1:7401\n"
    "  --operator KEY       whose signatures count on charters and plans; may be repeated\n"
    "  --release-key KEY    whose signatures count on releases; may be repeated\n"
    "  --check              judge the configuration, change nothing\n"
    "  --help, --version\n"
    "\n"
    "A KEY is `ed25519:...`, as `kedge key show FILE` prints it. In the file:\n"
    "\n"
    "  listen: 127.0.0.1:7400\n"
    "  artifacts: 127.0.0.1:7401\n"
    "  operators: {threshold: 1, keys: [\"ed25519:...\"]}\n"
    "  release-keys: {threshold: 1, keys: [\"ed25519:...\"]}\n"
    "\n"
    "example: kedged --state /var/lib/kedged --operator ed25519:... --release-key ed25519:...\n";

/* ---- keys ---- */

struct key_list {
    struct public_key *keys;
    size_t n;
    size_t threshold; /* 0: not said */
    const char *name;
};

static int key_add(struct key_list *list, const char *text, struct error *err) {
    struct public_key key;
    if (!public_key_parse(&key, text))
        return error_set(err, -EINVAL,
                         "%s: \"%s\" is not a public key, expected \"ed25519:\" and 64 hexadecimal digits",
                         list->name, text);
    for (size_t i = 0; i < list->n; i++)
        if (public_key_equal(&list->keys[i], &key))
            return error_set(err, -EINVAL, "%s: %s stands there twice", list->name, text);
    if (list->n == CONFIG_KEYS_MAX)
        return error_set(err, -EINVAL, "%s: more than %d keys", list->name, CONFIG_KEYS_MAX);
    list->keys[list->n++] = key;
    return 0;
}

/* {threshold: 1, keys: [...]} */
static int keys_take(struct yaml_map *top, struct key_list *list, struct error *err) {
    const struct yaml_node *node = NULL, *keys;
    struct yaml_map map;
    uint64_t threshold = 1;
    int r = yaml_take_map_optional(top, list->name, &node);
    if (r < 0 || !node)
        return r;
    r = yaml_map_begin(&map, node, list->name, err);
    if (r == 0)
        r = yaml_take_uint_optional(&map, "threshold", yaml_range(1, KEDGE_SIGNATURES_MAX), &threshold);
    if (r == 0)
        r = yaml_take_list(&map, "keys", yaml_range(1, CONFIG_KEYS_MAX), &keys);
    if (r == 0)
        r = yaml_map_end(&map);
    for (size_t i = 0; r == 0 && i < keys->n; i++) {
        const char *text;
        struct error why;
        r = yaml_text_of(keys->items[i], yaml_range(1, 128), &text, err);
        if (r == 0 && key_add(list, text, &why) < 0)
            r = yaml_refuse(keys->items[i], err, "%s", why.text);
    }
    list->threshold = (size_t)threshold;
    return r;
}

/* ---- the file ---- */

struct config_file {
    const char *listen, *artifacts;
    struct key_list operators, release_keys;
};

static int file_take(struct config_file *file, const char *path, struct arena *arena, struct error *err) {
    const struct yaml_node *root;
    struct yaml_map map;
    int r = yaml_read(arena, path, &root, err);
    if (r == 0)
        r = yaml_map_begin(&map, root, "kedged.yaml", err);
    if (r == 0)
        r = yaml_take_text_optional(&map, "listen", 256, &file->listen);
    if (r == 0)
        r = yaml_take_text_optional(&map, "artifacts", 256, &file->artifacts);
    if (r == 0)
        r = keys_take(&map, &file->operators, err);
    if (r == 0)
        r = keys_take(&map, &file->release_keys, err);
    return r == 0 ? yaml_map_end(&map) : r;
}

/* ---- the words ---- */

struct words {
    const char *state, *config, *listen, *artifacts;
    const char *operators[CONFIG_KEYS_MAX], *release_keys[CONFIG_KEYS_MAX];
    size_t n_operators, n_release_keys;
    bool check;
};

static int list_word(const char **list, size_t *n, const char *value, struct error *err) {
    if (*n == CONFIG_KEYS_MAX)
        return error_set(err, -EINVAL, "more than %d keys", CONFIG_KEYS_MAX);
    list[(*n)++] = value;
    return 0;
}

static int word_take(struct words *words, const char *option, const char *value, struct error *err) {
    if (strcmp(option, "--operator") == 0)
        return list_word(words->operators, &words->n_operators, value, err);
    if (strcmp(option, "--release-key") == 0)
        return list_word(words->release_keys, &words->n_release_keys, value, err);
    const char **place = strcmp(option, "--state") == 0       ? &words->state
                         : strcmp(option, "--config") == 0    ? &words->config
                         : strcmp(option, "--listen") == 0    ? &words->listen
                         : strcmp(option, "--artifacts") == 0 ? &words->artifacts
                                                              : NULL;
    if (!place)
        return error_set(err, -EINVAL, "%s: unknown option; see kedged --help", option);
    *place = value;
    return 0;
}

static int words_take(struct words *words, int argc, char **argv, struct error *err) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return CONFIG_HELP;
        if (strcmp(argv[i], "--version") == 0)
            return CONFIG_VERSION;
        if (strcmp(argv[i], "--check") == 0) {
            words->check = true;
            continue;
        }
        if (strncmp(argv[i], "--", 2) != 0)
            return error_set(err, -EINVAL, "\"%s\": expected an option; see kedged --help", argv[i]);
        if (i + 1 == argc)
            return error_set(err, -EINVAL, "%s: its value is missing", argv[i]);
        int r = word_take(words, argv[i], argv[i + 1], err);
        if (r < 0)
            return r;
        i++;
    }
    return words->state ? 0 : error_set(err, -EINVAL, "--state DIR is missing; see kedged --help");
}

/* ---- together ---- */

static int list_take(struct key_list *list, const char *const *texts, size_t n, struct error *err) {
    for (size_t i = 0; i < n; i++) {
        int r = key_add(list, texts[i], err);
        if (r < 0)
            return r;
    }
    if (list->threshold == 0)
        list->threshold = 1;
    if (list->n == 0)
        return error_set(
            err, -EINVAL,
            "%s: there is none, so nothing could ever be approved; give a public key with --%s or in "
            "kedged.yaml",
            list->name, strcmp(list->name, "operators") == 0 ? "operator" : "release-key");
    if (list->threshold > list->n)
        return error_set(err, -EINVAL, "%s: threshold %zu, but only %zu keys", list->name, list->threshold,
                         list->n);
    return 0;
}

static int config_path(const struct words *words, struct arena *arena, const char **outp, struct error *err) {
    *outp = words->config ? words->config : arena_format(arena, "%s/kedged.yaml", words->state);
    if (!*outp)
        return error_errno(err, -ENOMEM, "configuration");
    if (!words->config && access(*outp, F_OK) < 0)
        *outp = NULL;
    return 0;
}

static const char *first_of(const char *a, const char *b, const char *c) {
    return a ? a : b ? b : c;
}

int config_take(struct daemon_config *config, int argc, char **argv, struct arena *arena, struct error *err) {
    struct words words = {0};
    struct config_file file = {.operators = {config->operators, 0, 0, "operators"},
                               .release_keys = {config->release_keys, 0, 0, "release-keys"}};
    const char *path;
    int r = words_take(&words, argc, argv, err);
    if (r == 0)
        r = config_path(&words, arena, &path, err);
    if (r == 0 && path)
        r = file_take(&file, path, arena, err);
    if (r == 0)
        r = list_take(&file.operators, words.operators, words.n_operators, err);
    if (r == 0)
        r = list_take(&file.release_keys, words.release_keys, words.n_release_keys, err);
    if (r != 0)
        return r;
    config->state = words.state;
    config->check = words.check;
    config->listen = first_of(words.listen, file.listen, "127.0.0.1:7400");
    config->artifacts = first_of(words.artifacts, file.artifacts, "127.0.0.1:7401");
    config->anchors = (struct trust_anchors){
        .operators = config->operators,
        .n_operators = file.operators.n,
        .operator_threshold = file.operators.threshold,
        .release_keys = config->release_keys,
        .n_release_keys = file.release_keys.n,
        .release_threshold = file.release_keys.threshold,
    };
    return 0;
}
