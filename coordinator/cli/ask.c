/* What handlers share: asking the person at the terminal, and who that is. */
#include "coordinator/cli/client.h"

#include <pwd.h>
#include <string.h>

const char *cli_user_name(void) {
    const struct passwd *user = getpwuid(getuid());
    return user ? user->pw_name : "unknown";
}

/* Nobody signs by accident: the word is "yes", and without a terminal it must be said on the command line. */
int cli_confirm(struct cli *cli, const char *question) {
    char answer[16] = "";
    if (cli_flag(cli, "yes"))
        return 0;
    if (!isatty(STDIN_FILENO))
        return error_set(cli->err, -EPERM,
                         "nothing was signed: no terminal to ask on; read it and say --yes");
    printf("%s Type yes to sign: ", question);
    fflush(stdout);
    if (fgets(answer, sizeof(answer), stdin) && strcmp(answer, "yes\n") == 0)
        return 0;
    return error_set(cli->err, -EPERM, "nothing was signed");
}

const char *json_id(struct cli *cli, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value))
        return json_string_value(value);
    const char *text = json_is_integer(value)
                           ? arena_format(cli->arena, "%lld", (long long)json_integer_value(value))
                           : NULL;
    return text ? text : "";
}
