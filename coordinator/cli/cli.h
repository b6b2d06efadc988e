/* The CLI's frame: one table of nouns and verbs (commands.c), and what every command is called with. A handler reads
 * its arguments, asks kedged if it must, and prints to standard output; main() prints the one sentence of an error.
 *
 * Handlers return an enum cli_exit, or a negative errno with the sentence in cli->err, which main() turns into an
 * exit code: bad input 2, refused 3, anything else 1. */
#ifndef KEDGE_CLI_CLI_H
#define KEDGE_CLI_CLI_H

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/fact.h"

#include <stdbool.h>
#include <stdint.h>

enum cli_exit { EXIT_DONE, EXIT_FAILED, EXIT_BAD_INPUT, EXIT_REFUSED, EXIT_UNFINISHED };

enum { CLI_WORDS_MAX = 64 };

/* An option of a command. `value` is the word for its value in help ("FILE"), NULL for a flag. */
struct cli_option {
    const char *name, *value;
    const char *help; /* NULL: the help of another option names it */
};

struct cli;

struct cli_command {
    const char *noun, *verb; /* verb NULL: the noun is the command */
    const char *arguments;   /* "NODE FINGERPRINT", as help shows them */
    unsigned n_min, n_max;
    const char *help; /* one line, what it does */
    const char *example;
    const struct cli_option *options; /* ends with a NULL name; NULL: none */
    int (*run)(struct cli *cli);
};

extern const struct cli_command cli_commands[];
extern const size_t n_cli_commands;

/* A noun, for help. */
struct cli_noun {
    const char *noun, *help;
};
extern const struct cli_noun cli_nouns[];
extern const size_t n_cli_nouns;

struct cli {
    const struct cli_command *command; /* NULL: help was asked */
    const char *noun;                  /* of which help was asked; NULL: of all */
    const char *arguments[CLI_WORDS_MAX];
    size_t n_arguments;
    struct fact options[CLI_WORDS_MAX]; /* name without dashes; value "" for a flag */
    size_t n_options;
    const char *socket;
    bool json;
    bool help;
    bool terminal; /* standard output is one */
    bool colour;
    struct error *err;
    struct arena *arena; /* lives as long as the call */
};

/* Takes the command line apart; 0, or -EINVAL with a sentence. Options may stand before or after arguments,
 * `--name value` or `--name=value`; `--` ends them. */
int cli_parse(struct cli *cli, int argc, char **argv) _must_check_;

/* The value of an option; NULL when it was not given. */
const char *cli_option(const struct cli *cli, const char *name);
bool cli_flag(const struct cli *cli, const char *name);

/* -EINVAL, naming the option, when it was not given. */
int cli_option_needed(struct cli *cli, const char *name, const char **outp) _must_check_;

/* The text of --help at each level; `noun` NULL: of all, `command` NULL: of the noun. */
void cli_help(FILE *out, const char *noun, const struct cli_command *command);

/* The word of the list that was probably meant, or NULL. */
const char *cli_nearest(const char *word, const char *const *words, size_t n);

/* Asks for the word "yes" on the terminal, unless --yes was given; -EPERM when it does not come. */
int cli_confirm(struct cli *cli, const char *question) _must_check_;

/* The value of --for: "90s", "30m", "2h", in seconds; -EINVAL for another one, or more than `max_s`. */
int cli_life(struct cli *cli, const char *text, uint64_t max_s, uint64_t *outp) _must_check_;

/* Of the user who runs this; "unknown" if it has none. */
const char *cli_user_name(void);

/* Completion scripts, made from the table. */
int cli_completion_bash(FILE *out);
int cli_completion_zsh(FILE *out);

/* Handlers, one file a noun. */
int cmd_key_new(struct cli *cli);
int cmd_key_show(struct cli *cli);
int cmd_node_list(struct cli *cli);
int cmd_node_show(struct cli *cli);
int cmd_node_approve(struct cli *cli);
int cmd_node_hold(struct cli *cli);
int cmd_node_return(struct cli *cli);
int cmd_cluster_adopt(struct cli *cli);
int cmd_cluster_add(struct cli *cli);
int cmd_cluster_list(struct cli *cli);
int cmd_cluster_show(struct cli *cli);
int cmd_cluster_check(struct cli *cli);
int cmd_release_cut(struct cli *cli);
int cmd_release_add(struct cli *cli);
int cmd_release_list(struct cli *cli);
int cmd_release_show(struct cli *cli);
int cmd_plan(struct cli *cli);
int cmd_approve(struct cli *cli);
int cmd_apply(struct cli *cli);
int cmd_rehearse(struct cli *cli);
int cmd_run_list(struct cli *cli);
int cmd_run_show(struct cli *cli);
int cmd_run_watch(struct cli *cli);
int cmd_run_pause(struct cli *cli);
int cmd_run_resume(struct cli *cli);
int cmd_run_abort(struct cli *cli);
int cmd_run_rollback(struct cli *cli);
int cmd_run_retry(struct cli *cli);
int cmd_run_skip(struct cli *cli);
int cmd_run_retire(struct cli *cli);
int cmd_run_promote(struct cli *cli);
int cmd_run_waive(struct cli *cli);
int cmd_run_report(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_demo(struct cli *cli);
int cmd_explain(struct cli *cli);
int cmd_completion(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_help(struct cli *cli);

/* Watches a run until it ends or needs somebody; shared by `run watch` and `apply --watch`. `began`: the run is known to be
 * there, so a kedged that does not answer is waited for. */
int run_watch(struct cli *cli, const char *run, bool began);

#endif
