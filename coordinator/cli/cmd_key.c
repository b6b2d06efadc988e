/* Keys of people and build systems: made and kept here, never sent anywhere. */
#include "coordinator/cli/client.h"
#include "coordinator/cli/passphrase.h"

#include <string.h>

static int key_print(struct cli *cli, const char *path, const struct public_key *key) {
    char text[KEDGE_PUBLIC_KEY_TEXT_SIZE], fingerprint[KEDGE_FINGERPRINT_TEXT_SIZE];
    public_key_format(text, key);
    public_key_fingerprint(fingerprint, key);
    if (cli->json) {
        _cleanup_(json_freep) json_t *json =
            json_pack("{s:s, s:s, s:s}", "file", path, "key", text, "fingerprint", fingerprint);
        return json_print(json);
    }
    printf("key          %s\nfingerprint  %s\n", text, fingerprint);
    return EXIT_DONE;
}

int cmd_key_new(struct cli *cli) {
    const char *path = cli->arguments[0];
    const char *role = cli_option(cli, "role"), *whose = cli_option(cli, "comment");
    role = role ? role : "operator";
    if (strcmp(role, "operator") != 0 && strcmp(role, "release") != 0)
        return error_set(cli->err, -EINVAL, "--role %s: expected operator or release", role);
    if (!whose) {
        const char *slash = strrchr(path, '/');
        whose = slash ? slash + 1 : path;
    }
    char comment[256];
    snprintf(comment, sizeof(comment), "%s key of %s", role, whose);
    if (strpbrk(comment, "\n\r"))
        return error_set(cli->err, -EINVAL, "--comment: must be one line");
    bool seals = cli_flag(cli, "passphrase");
    _cleanup_(passphrase_deinit) struct passphrase passphrase = {""};
    int r = seals ? cli_passphrase_new(cli, path, &passphrase) : 0;
    if (r < 0)
        return r;
    _cleanup_(key_pair_deinit) struct key_pair pair;
    key_pair_generate(&pair);
    r = key_pair_save(&pair, path, comment, seals ? &passphrase : NULL, cli->err);
    if (r < 0)
        return r;
    if (!cli->json)
        printf("%s is secret: keep it off the coordinator. %s.pub may be shown to everybody.\n", path, path);
    return key_print(cli, path, &pair.public);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

int cmd_key_show(struct cli *cli) {
    char path[KEDGE_PATH_MAX + 1];
    snprintf(path, sizeof(path), "%s%s", cli->arguments[0],
             ends_with(cli->arguments[0], ".pub") ? "" : ".pub");
    struct public_key key;
    int r = public_key_load(&key, path, cli->err);
    return r < 0 ? r : key_print(cli, path, &key);
}
