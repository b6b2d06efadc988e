/* The command line, taken apart by the table. Options are known before they are read: one that the command does not
 * have is an error that names the nearest, never an argument by accident. */
#include "coordinator/cli/cli.h"

#include <string.h>

/* What every command understands. */
static const struct cli_option common_options[] = {{"json", NULL, "print JSON"},
                                                   {"socket", "PATH", "control socket of kedged"},
                                                   {"help", NULL, "explain the command"},
                                                   {0}};

const char *cli_option(const struct cli *cli, const char *name) {
    return fact_get(cli->options, cli->n_options, name);
}

bool cli_flag(const struct cli *cli, const char *name) {
    return cli_option(cli, name) != NULL;
}

int cli_option_needed(struct cli *cli, const char *name, const char **outp) {
    *outp = cli_option(cli, name);
    if (*outp && **outp)
        return 0;
    return error_set(cli->err, -EINVAL, "--%s is needed; see kedge help %s%s%s", name, cli->command->noun,
                     cli->command->verb ? " " : "", cli->command->verb ? cli->command->verb : "");
}

/* ---- "did you mean" ---- */

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Damerau-Levenshtein over short words; neighbours that changed places count once. */
static size_t distance(const char *a, const char *b) {
    enum { WORD_MAX = 31 };
    size_t n = strlen(a), m = strlen(b);
    size_t d[WORD_MAX + 1][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX;
    for (size_t i = 0; i <= n; i++)
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] =
                smaller(smaller(d[i - 1][j] + 1, d[i][j - 1] + 1), d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = smaller(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[n][m];
}

const char *cli_nearest(const char *word, const char *const *words, size_t n) {
    const char *best = NULL;
    size_t best_distance = strlen(word) < 4 ? 2 : 3;
    for (size_t i = 0; i < n; i++) {
        size_t here = distance(word, words[i]);
        if (here < best_distance) {
            best_distance = here;
            best = words[i];
        }
    }
    return best;
}

static int unknown(struct cli *cli, const char *what, const char *word, const char *const *words, size_t n) {
    const char *nearest = cli_nearest(word, words, n);
    if (nearest)
        return error_set(cli->err, -EINVAL, "unknown %s \"%s\"; did you mean \"%s\"?", what, word, nearest);
    return error_set(cli->err, -EINVAL, "unknown %s \"%s\"; see kedge help", what, word);
}

/* ---- words ---- */

static int command_find(struct cli *cli, int argc, char **argv, int *nextp) {
    const char *words[CLI_WORDS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < n_cli_commands; i++)
        if (strcmp(cli_commands[i].noun, argv[*nextp]) == 0) {
            cli->noun = cli_commands[i].noun;
            const char *verb = *nextp + 1 < argc ? argv[*nextp + 1] : NULL;
            if (!cli_commands[i].verb) {
                cli->command = &cli_commands[i];
                *nextp += 1;
                return 0;
            }
            if (verb && strcmp(cli_commands[i].verb, verb) == 0) {
                cli->command = &cli_commands[i];
                *nextp += 2;
                return 0;
            }
            words[n++] = cli_commands[i].verb;
        }
    if (n > 0) {
        if (*nextp + 1 >= argc)
            return error_set(cli->err, -EINVAL, "\"%s\" needs a verb; see kedge help %s", cli->noun,
                             cli->noun);
        if (strcmp(argv[*nextp + 1], "--help") == 0 || strcmp(argv[*nextp + 1], "-h") == 0) {
            cli->help = true;
            return 0;
        }
        return unknown(cli, "verb", argv[*nextp + 1], words, n);
    }
    for (size_t i = 0; i < n_cli_nouns; i++)
        words[i] = cli_nouns[i].noun;
    return unknown(cli, "word", argv[*nextp], words, n_cli_nouns);
}

static const struct cli_option *option_find(const struct cli *cli, const char *name, size_t len) {
    const struct cli_option *lists[] = {common_options, cli->command ? cli->command->options : NULL};
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (const struct cli_option *o = lists[l]; o && o->name; o++)
            if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
                return o;
    return NULL;
}

static int option_unknown(struct cli *cli, const char *name) {
    const char *words[CLI_WORDS_MAX];
    size_t n = 0;
    const struct cli_option *lists[] = {common_options, cli->command ? cli->command->options : NULL};
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (const struct cli_option *o = lists[l]; o && o->name; o++)
            words[n++] = o->name;
    return unknown(cli, "option", name, words, n);
}

static int option_take(struct cli *cli, int argc, char **argv, int *nextp) {
    const char *word = argv[*nextp];
    const char *name = strcmp(word, "-o") == 0 ? "out" : strcmp(word, "-h") == 0 ? "help" : word + 2;
    if (word[1] != '-' && name == word + 2)
        return error_set(cli->err, -EINVAL, "unknown option \"%s\"; see kedge help", word);
    size_t len = strcspn(name, "=");
    const struct cli_option *option = option_find(cli, name, len);
    if (!option)
        return option_unknown(cli, name);
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    if (!option->value && value)
        return error_set(cli->err, -EINVAL, "--%s takes no value", option->name);
    if (option->value && !value) {
        if (*nextp + 1 >= argc)
            return error_set(cli->err, -EINVAL, "--%s needs a value: %s", option->name, option->value);
        value = argv[++*nextp];
    }
    *nextp += 1;
    if (cli->n_options == CLI_WORDS_MAX)
        return error_set(cli->err, -EINVAL, "more than %d options", CLI_WORDS_MAX);
    cli->options[cli->n_options++] = (struct fact){option->name, value ? value : ""};
    return 0;
}

static int argument_take(struct cli *cli, const char *word) {
    if (cli->n_arguments == CLI_WORDS_MAX)
        return error_set(cli->err, -EINVAL, "more than %d arguments", CLI_WORDS_MAX);
    cli->arguments[cli->n_arguments++] = word;
    return 0;
}

static int arguments_check(struct cli *cli) {
    const struct cli_command *command = cli->command;
    if (cli->n_arguments >= command->n_min && cli->n_arguments <= command->n_max)
        return 0;
    return error_set(cli->err, -EINVAL, "%s%s%s takes %s%s; example: %s", command->noun,
                     command->verb ? " " : "", command->verb ? command->verb : "",
                     *command->arguments ? command->arguments : "no arguments",
                     cli->n_arguments < command->n_min ? ", something is missing" : "", command->example);
}

static int words_take(struct cli *cli, int argc, char **argv, int next) {
    bool only_arguments = cli->command && cli->command->run == cmd_demo; /* it has options of its own */
    int r = 0;
    while (r == 0 && next < argc) {
        const char *word = argv[next];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
            next++;
        } else if (!only_arguments && word[0] == '-' && word[1]) {
            r = option_take(cli, argc, argv, &next);
        } else {
            r = argument_take(cli, word);
            next++;
        }
    }
    return r;
}

int cli_parse(struct cli *cli, int argc, char **argv) {
    int next = 1, r = 0;
    /* Options that every command has may stand in front. */
    while (r == 0 && next < argc && argv[next][0] == '-' && argv[next][1])
        r = strcmp(argv[next], "--version") == 0 ? 1 : option_take(cli, argc, argv, &next);
    if (r == 1) {
        static char version[] = "version";
        argv[next] = version;
        r = 0;
    }
    if (r == 0 && next < argc)
        r = command_find(cli, argc, argv, &next);
    else
        cli->help = true;
    if (r == 0 && cli->command)
        r = words_take(cli, argc, argv, next);
    if (r < 0)
        return r;
    cli->json = cli_flag(cli, "json");
    cli->help = cli->help || cli_flag(cli, "help");
    if (cli_option(cli, "socket"))
        cli->socket = cli_option(cli, "socket");
    return cli->help || !cli->command ? 0 : arguments_check(cli);
}
