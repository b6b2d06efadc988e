/* Completion scripts, printed from the table of commands so that they cannot fall behind it. They complete nouns, verbs
 * and options; everything else is a file name. packaging/ installs what is printed here. */
#include "coordinator/cli/cli.h"

#include <string.h>

static bool is_first_of_noun(size_t i) {
    return i == 0 || strcmp(cli_commands[i].noun, cli_commands[i - 1].noun) != 0;
}

static void verbs_print(FILE *out, const char *noun) {
    for (size_t i = 0; i < n_cli_commands; i++)
        if (strcmp(cli_commands[i].noun, noun) == 0 && cli_commands[i].verb)
            fprintf(out, "%s ", cli_commands[i].verb);
}

static void options_print(FILE *out, const struct cli_command *command) {
    for (const struct cli_option *o = command->options; o && o->name; o++)
        fprintf(out, "--%s ", o->name);
    fputs("--json --socket --help", out);
}

int cli_completion_bash(FILE *out) {
    fputs("# bash completion of kedge; made by: kedge completion bash\n"
          "_kedge() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
          "        words=\"",
          out);
    for (size_t i = 0; i < n_cli_nouns; i++)
        fprintf(out, "%s%s", i ? " " : "", cli_nouns[i].noun);
    fputs("\"\n    elif [ \"$COMP_CWORD\" = 2 ]; then\n        case ${COMP_WORDS[1]} in\n", out);
    for (size_t i = 0; i < n_cli_commands; i++)
        if (cli_commands[i].verb && is_first_of_noun(i)) {
            fprintf(out, "        %s) words=\"", cli_commands[i].noun);
            verbs_print(out, cli_commands[i].noun);
            fputs("\" ;;\n", out);
        }
    fputs("        esac\n    fi\n    case $cur in\n    -*)\n        case \"${COMP_WORDS[1]} "
          "${COMP_WORDS[2]}\" in\n",
          out);
    for (size_t i = 0; i < n_cli_commands; i++) {
        const struct cli_command *c = &cli_commands[i];
        fprintf(out, "        \"%s %s\"%s) words=\"", c->noun, c->verb ? c->verb : "", c->verb ? "" : "*");
        options_print(out, c);
        fputs("\" ;;\n", out);
    }
    fputs("        esac ;;\n"
          "    esac\n"
          "    # shellcheck disable=SC2207 # words of ours, without spaces\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "}\n"
          "complete -o default -F _kedge kedge\n",
          out);
    return ferror(out) ? EXIT_FAILED : EXIT_DONE;
}

/* zsh quotes colons and brackets in descriptions. */
static void zsh_text(FILE *out, const char *text) {
    for (; *text; text++) {
        if (strchr(":[]\\", *text))
            fputc('\\', out);
        if (*text == '\'')
            fputs("'\\'", out);
        fputc(*text, out);
    }
}

static void zsh_verbs(FILE *out) {
    for (size_t i = 0; i < n_cli_commands; i++) {
        const struct cli_command *c = &cli_commands[i];
        if (!c->verb)
            continue;
        if (is_first_of_noun(i))
            fprintf(out, "        %s) verbs=(\n", c->noun);
        fprintf(out, "            '%s:", c->verb);
        zsh_text(out, c->help);
        fputs("'\n", out);
        if (i + 1 == n_cli_commands || is_first_of_noun(i + 1))
            fputs("        ) ;;\n", out);
    }
}

int cli_completion_zsh(FILE *out) {
    fputs("#compdef kedge\n# zsh completion of kedge; made by: kedge completion zsh\n"
          "_kedge() {\n    local -a nouns verbs options\n    nouns=(\n",
          out);
    for (size_t i = 0; i < n_cli_nouns; i++) {
        fprintf(out, "        '%s:", cli_nouns[i].noun);
        zsh_text(out, cli_nouns[i].help);
        fputs("'\n", out);
    }
    fputs("    )\n    if (( CURRENT == 2 )); then\n        _describe noun nouns\n        return\n    fi\n"
          "    if (( CURRENT == 3 )); then\n        case ${words[2]} in\n",
          out);
    zsh_verbs(out);
    fputs("        esac\n        if (( $#verbs )); then\n            _describe verb verbs\n            "
          "return\n        fi\n"
          "    fi\n    case \"${words[2]} ${words[3]}\" in\n",
          out);
    for (size_t i = 0; i < n_cli_commands; i++) {
        const struct cli_command *c = &cli_commands[i];
        fprintf(out, "    \"%s %s\"%s) options=(", c->noun, c->verb ? c->verb : "", c->verb ? "" : "*");
        options_print(out, c);
        fputs(") ;;\n", out);
    }
    fputs("    esac\n    if [[ $PREFIX == -* ]]; then\n        compadd -- $options\n    else\n        "
          "_files\n    fi\n}\n"
          "_kedge \"$@\"\n",
          out);
    return ferror(out) ? EXIT_FAILED : EXIT_DONE;
}
