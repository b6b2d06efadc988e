#include "tests/unit/test.h"

#include "coordinator/control/explain.h"

/* The whole of docs/explain.md; the caller frees. */
static char *page_kept(void) {
    const char *top = getenv("KEDGE_SOURCE");
    char path[4096];
    snprintf(path, sizeof(path), "%s/docs/explain.md", top ? top : ".");
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 256 * 1024);
    if (file && text && fread(text, 1, 256 * 1024 - 1, file) == 0)
        text[0] = 0;
    if (file)
        fclose(file);
    return text;
}

TEST("docs/explain.md is what the table says (kedge explain --all)") {
    char *text = NULL, *kept = page_kept();
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    require(out && kept);
    explanations_page(out);
    fclose(out);
    check(strcmp(text, kept) == 0);
    free(text);
    free(kept);
}

TEST("codes stand once, in order, and say what to do") {
    for (size_t i = 0; i < n_explanations; i++) {
        const struct explanation *e = &explanations[i];
        if (i > 0)
            check(strcmp(explanations[i - 1].code, e->code) < 0);
        check(*e->means && *e->todo);
        check(strchr(e->code, ':') == NULL);
        check(strlen(e->code) < 26);
    }
}

TEST("a code is found by itself and by the name of a consent, and not by its beginning") {
    const struct explanation *e = explanation_find("disk-room");
    require(e);
    check(!e->consent);
    check(explanation_find("down:server@n3") && explanation_find("down:server@n3")->consent);
    check(explanation_find("dow") == NULL);
    check(explanation_find("downs") == NULL);
    check(explanation_find("") == NULL);
}
