/* explain: what a word means that a plan is refused with or warns of. First the planner's own table, then what the installed
 * recipes name: the same word may stand in several, and each says what it means by it. */
#include "coordinator/cli/client.h"
#include "coordinator/control/explain.h"
#include "coordinator/recipes/recipe.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

/* ---- what recipes name ---- */

struct finding {
    const char *recipe, *kind;
    const char *text; /* may be NULL */
};

enum { FINDINGS_MAX = 64 };

struct findings {
    struct finding list[FINDINGS_MAX];
    size_t n;
};

static void finding_add(struct findings *found, const struct recipe *recipe, const char *kind,
                        const char *text) {
    for (size_t i = 0; i < found->n; i++)
        if (strcmp(found->list[i].recipe, recipe->name) == 0 && strcmp(found->list[i].kind, kind) == 0)
            return;
    if (found->n < FINDINGS_MAX)
        found->list[found->n++] = (struct finding){recipe->name, kind, text};
}

static void warnings_search(struct findings *found, const struct recipe *recipe, const char *word,
                            const struct recipe_warning *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, word) == 0)
            finding_add(found, recipe, list[i].refuses ? "problem" : "warning", list[i].says);
}

static void gates_search(struct findings *found, const struct recipe *recipe, const char *word) {
    const struct recipe_gate *gate = recipe_gate_find(recipe, word);
    if (gate)
        finding_add(found, recipe, "gate",
                    gate->about && *gate->about                  ? gate->about
                    : gate->n_checks > 0 && gate->checks[0].says ? gate->checks[0].says
                                                                 : NULL);
}

static void recipe_search(struct findings *found, const struct recipe *recipe, const char *word) {
    warnings_search(found, recipe, word, recipe->warnings, recipe->n_warnings);
    for (size_t i = 0; i < recipe->n_versions; i++)
        warnings_search(found, recipe, word, recipe->versions[i].warnings, recipe->versions[i].n_warnings);
    gates_search(found, recipe, word);
    for (size_t i = 0; i < recipe->n_side_actions; i++)
        if (strcmp(recipe->side_actions[i].name, word) == 0)
            finding_add(found, recipe, "side action", recipe->side_actions[i].about);
    const struct recipe_value *value = recipe_value_find(recipe, word);
    if (value)
        finding_add(found, recipe, "value of the cluster file", value->about);
    const struct recipe_option *option = recipe_option_find(recipe, word);
    if (option)
        finding_add(found, recipe, "option (--set)", option->about);
}

static int is_recipe(const struct dirent *entry) {
    size_t len = strlen(entry->d_name);
    return len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static void folder_search(struct cli *cli, const char *folder, struct findings *found, const char *word) {
    struct dirent **entries;
    char path[KEDGE_PATH_MAX + 1];
    int n = scandir(folder, &entries, is_recipe, alphasort);
    for (int i = 0; i < n; i++) {
        const struct recipe *recipe;
        struct error ignored; /* a file that is no recipe explains nothing */
        int len = snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        if (len > 0 && (size_t)len < sizeof(path) && recipe_load(cli->arena, path, &recipe, &ignored) == 0)
            recipe_search(found, recipe, word);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

/* Beside this program in a build tree, or where it is installed. */
static int installed_search(struct cli *cli, struct findings *found, const char *word) {
    static const char *const places[] = {"../recipes", "../share/kedge/recipes"};
    char self[KEDGE_PATH_MAX + 1], folder[KEDGE_PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0)
        return error_errno(cli->err, -errno, "/proc/self/exe");
    self[n] = 0;
    *strrchr(self, '/') = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        snprintf(folder, sizeof(folder), "%s/%s", self, places[i]);
        folder_search(cli, folder, found, word);
    }
    return 0;
}

/* ---- printing ---- */

static void explanation_print(const struct explanation *e) {
    printf("%s (%s)\n\n  %s\n", e->code, e->consent ? "a warning: needs a consent" : "blocks the plan",
           e->means);
    if (*e->matters)
        printf("\nWhy it matters\n  %s\n", e->matters);
    printf("\nWhat to do\n  %s\n", e->todo);
    if (e->consent)
        printf("\nTo accept it: kedge plan … --consent, with the name as the plan prints it.\n");
}

static int explanation_json(const struct explanation *e, const struct findings *found) {
    _cleanup_(json_freep) json_t *json = json_object();
    json_t *recipes = json_array();
    if (e) {
        json_object_set_new(json, "code", json_string(e->code));
        json_object_set_new(json, "level", json_string(e->consent ? "consent" : "blocking"));
        json_object_set_new(json, "means", json_string(e->means));
        json_object_set_new(json, "matters", json_string(e->matters));
        json_object_set_new(json, "todo", json_string(e->todo));
    }
    for (size_t i = 0; i < found->n; i++)
        json_array_append_new(recipes, json_pack("{s:s, s:s, s:s?}", "recipe", found->list[i].recipe, "kind",
                                                 found->list[i].kind, "says", found->list[i].text));
    json_object_set_new(json, "recipes", recipes);
    return json_print(json);
}

static void codes_print(void) {
    for (size_t i = 0; i < n_explanations; i++)
        printf("%-26s %-8s %s\n", explanations[i].code, explanations[i].consent ? "consent" : "blocks",
               explanations[i].means);
}

int cmd_explain(struct cli *cli) {
    if (cli_flag(cli, "all") || cli->n_arguments == 0) {
        cli_flag(cli, "all") ? explanations_page(stdout) : codes_print();
        return EXIT_DONE;
    }
    const char *word = cli->arguments[0];
    const struct explanation *e = explanation_find(word);
    const char *given = cli_option(cli, "recipe");
    struct findings found = {.n = 0};
    const struct recipe *recipe;
    int r = given ? recipe_load(cli->arena, given, &recipe, cli->err) : installed_search(cli, &found, word);
    if (r < 0)
        return r;
    if (given)
        recipe_search(&found, recipe, word);
    if (!e && found.n == 0)
        return error_set(cli->err, -EINVAL,
                         "\"%s\" is no code of the planner and no word of a recipe that is installed here "
                         "(kedge explain lists the codes; --recipe FILE looks into another recipe)",
                         word);
    if (cli->json)
        return explanation_json(e, &found);
    if (e)
        explanation_print(e);
    for (size_t i = 0; i < found.n; i++)
        printf("%s%s: %s of recipe %s\n\n  %s\n", e || i > 0 ? "\n" : "", word, found.list[i].kind,
               found.list[i].recipe,
               found.list[i].text && *found.list[i].text ? found.list[i].text : "(the recipe says no more)");
    return EXIT_DONE;
}
