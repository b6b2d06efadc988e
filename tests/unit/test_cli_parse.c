/* The table of commands and its reader: everything in it can be called, explained and completed; nothing else can. */
#include "coordinator/cli/cli.h"
#include "tests/unit/test.h"

static int parse(struct cli *cli, struct error *err, const char *text) {
    static char copy[512];
    static char *argv[32];
    int argc = 0;
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *save = NULL, *word = strtok_r(copy, " ", &save); word && argc < 31;
         word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    argv[argc] = NULL;
    *cli = (struct cli){.err = err, .socket = "default"};
    *err = (struct error){""};
    return cli_parse(cli, argc, argv);
}

static void refused(const char *text, const char *part) {
    struct cli cli;
    struct error err;
    check_eq_int(parse(&cli, &err, text), -EINVAL);
    check_contains(err.text, part);
}

static size_t lines_of(const char *noun, const struct cli_command *command) {
    char *text = NULL;
    size_t size = 0, n = 0, width = 0, widest = 0;
    FILE *file = open_memstream(&text, &size);
    cli_help(file, noun, command);
    fclose(file);
    check_contains(text, "Example");
    for (const char *c = text; *c; c++) {
        n += *c == '\n';
        width = *c == '\n' ? 0 : width + 1;
        if (width > 110)
            test_fail(__FILE__, __LINE__, "a line of help is wider than 110 columns: %s", c);
    }
    check(widest <= 110);
    free(text);
    return n;
}

TEST("every example of the table is a command of the table") {
    for (size_t i = 0; i < n_cli_commands; i++) {
        struct cli cli;
        struct error err;
        const char *example = cli_commands[i].example;
        if (strchr(example, '\'') || strstr(example, ".d/")) /* a shell's quotes and redirections */
            continue;
        int r = parse(&cli, &err, example);
        check_eq_int(r, 0);
        check(cli.command == &cli_commands[i]);
    }
}

TEST("help fits a screen and has an example, at each level") {
    check(lines_of(NULL, NULL) <= 30);
    for (size_t i = 0; i < n_cli_nouns; i++)
        check(lines_of(cli_nouns[i].noun, NULL) <= 24);
    for (size_t i = 0; i < n_cli_commands; i++)
        check(lines_of(cli_commands[i].noun, &cli_commands[i]) <= 24);
}

TEST("every command has a noun that help lists, and the other way round") {
    for (size_t i = 0; i < n_cli_commands; i++) {
        bool found = false;
        for (size_t k = 0; k < n_cli_nouns; k++)
            found = found || strcmp(cli_nouns[k].noun, cli_commands[i].noun) == 0;
        check(found);
    }
    for (size_t k = 0; k < n_cli_nouns; k++) {
        bool found = false;
        for (size_t i = 0; i < n_cli_commands; i++)
            found = found || strcmp(cli_nouns[k].noun, cli_commands[i].noun) == 0;
        check(found);
    }
}

TEST("options stand anywhere, with = or without, and -- ends them") {
    struct cli cli;
    struct error err;
    require(parse(&cli, &err, "kedge --json run pause 7 --reason=x --socket /s") == 0);
    check_eq_str(cli_option(&cli, "reason"), "x");
    check_eq_str(cli.socket, "/s");
    check_eq_str(cli.arguments[0], "7");
    check(cli.json);
    require(parse(&cli, &err, "kedge key new -- --odd") == 0);
    check_eq_str(cli.arguments[0], "--odd");
    require(parse(&cli, &err, "kedge demo --fail --members 3") == 0);
    check_eq_int(cli.n_arguments, 3);
}

TEST("what is not understood is refused, with the nearest word") {
    refused("kedge nod list", "did you mean \"node\"");
    refused("kedge node lsit", "did you mean \"list\"");
    refused("kedge run pause --raeson x", "did you mean \"reason\"");
    refused("kedge frobnicate", "see kedge help");
    refused("kedge node", "needs a verb");
    refused("kedge node approve n1", "something is missing");
    refused("kedge node list n1", "no arguments");
    refused("kedge run pause --reason", "needs a value");
    refused("kedge node list --json=1", "takes no value");
    refused("kedge node list -x", "unknown option");
}

TEST("without words, and with --help, help is what is meant") {
    struct cli cli;
    struct error err;
    require(parse(&cli, &err, "kedge") == 0);
    check(cli.help && !cli.command);
    require(parse(&cli, &err, "kedge node --help") == 0);
    check(cli.help && !cli.command);
    check_eq_str(cli.noun, "node");
    require(parse(&cli, &err, "kedge node approve -h") == 0);
    check(cli.help && cli.command);
}
