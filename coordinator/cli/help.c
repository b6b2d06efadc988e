/* Help, made from the table: all nouns, the verbs of one, or one command; each fits a screen and has an example. */
#include "coordinator/cli/cli.h"

#include <string.h>

static void help_all(FILE *out) {
    fputs("kedge upgrades running clusters, node by node, without losing them.\n\n"
          "usage: kedge NOUN [VERB] [ARGUMENTS] [--json] [--socket PATH]\n\n",
          out);
    for (size_t i = 0; i < n_cli_nouns; i++)
        fprintf(out, "  %-11s %s\n", cli_nouns[i].noun, cli_nouns[i].help);
    fputs("\nExample: a first upgrade is\n"
          "  kedge cluster adopt shop.yaml --key alice.key\n"
          "  kedge release add app-1.2.release\n"
          "  kedge plan shop --to app-1.2 -o shop.plan\n"
          "  kedge approve shop.plan --key alice.key && kedge apply shop.plan --watch\n\n"
          "Exit codes: 0 done, 1 failed, 2 bad input, 3 refused, 4 not finished or needs attention.\n"
          "kedge help NOUN explains one; kedge demo shows all of it in a minute.\n",
          out);
}

static void help_noun(FILE *out, const char *noun) {
    for (size_t i = 0; i < n_cli_nouns; i++)
        if (strcmp(cli_nouns[i].noun, noun) == 0)
            fprintf(out, "kedge %s: %s\n\n", noun, cli_nouns[i].help);
    const char *example = NULL;
    for (size_t i = 0; i < n_cli_commands; i++)
        if (strcmp(cli_commands[i].noun, noun) == 0) {
            const struct cli_command *c = &cli_commands[i];
            char words[128];
            snprintf(words, sizeof(words), "%s %s", c->verb ? c->verb : "", c->arguments);
            fprintf(out, "  %-26s %s\n", words, c->help);
            example = example ? example : c->example;
        }
    fprintf(out, "\nExample: %s\nkedge help %s VERB explains one.\n", example ? example : "kedge help", noun);
}

static void help_options(FILE *out, const struct cli_option *options) {
    for (const struct cli_option *o = options; o && o->name; o++) {
        char words[64];
        if (!o->help) /* the help of another option names it */
            continue;
        snprintf(words, sizeof(words), "--%s%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "",
                 strcmp(o->name, "out") == 0 ? ", -o" : "");
        fprintf(out, "  %-26s %s\n", words, o->help);
    }
}

static void help_command(FILE *out, const struct cli_command *c) {
    fprintf(out, "kedge %s%s%s%s%s: %s\n\n", c->noun, c->verb ? " " : "", c->verb ? c->verb : "",
            *c->arguments ? " " : "", c->arguments, c->help);
    help_options(out, c->options);
    fputs("  --json                     print JSON\n"
          "  --socket PATH              control socket of kedged ($KEDGE_SOCKET, "
          "/var/lib/kedge/control.sock)\n",
          out);
    fprintf(out, "\nExample: %s\n", c->example);
}

void cli_help(FILE *out, const char *noun, const struct cli_command *command) {
    if (command)
        help_command(out, command);
    else if (noun)
        help_noun(out, noun);
    else
        help_all(out);
}

int cmd_help(struct cli *cli) {
    if (cli->n_arguments == 0) {
        cli_help(stdout, NULL, NULL);
        return EXIT_DONE;
    }
    /* The words are read as a command line with --help behind them, so help and parsing cannot disagree. */
    char name[] = "kedge", help[] = "--help";
    char *argv[4] = {name};
    int argc = 1;
    for (size_t i = 0; i < cli->n_arguments; i++) {
        argv[argc] = arena_text(cli->arena, cli->arguments[i]);
        if (!argv[argc++])
            return error_set(cli->err, -ENOMEM, "out of memory");
    }
    argv[argc++] = help;
    struct cli asked = {.err = cli->err, .arena = cli->arena};
    int r = cli_parse(&asked, argc, argv);
    if (r < 0)
        return r;
    cli_help(stdout, asked.noun, asked.command);
    return EXIT_DONE;
}
