#include "tests/unit/test.h"

#include "coordinator/control/plan_page.h"
#include "tests/unit/planner_world.h"

#include <string.h>

static const char demo[] = "coordinator/recipes/demo-store.yaml";
static const char golden[] = "tests/unit/golden/plan-page.txt";

static char *page_of(struct world *w, unsigned width) {
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct verified_plan *plan = world_plan(w) == 0 ? world_verify(w) : NULL;
    if (!out || !plan || plan_page(plan, width, out) < 0)
        abort();
    fclose(out);
    verified_plan_free(plan);
    return text;
}

/* The release key of the world is made by chance, and with it every digest that hangs on it. */
static void mask_digests(char *text) {
    for (char *at = strstr(text, "b2:"); at; at = strstr(at + 3, "b2:"))
        memset(at + 3, '0', strspn(at + 3, "0123456789abcdef"));
}

static void diffs_tell(struct world *w) {
    for (size_t i = 0; i < w->n_members; i++) {
        w->members[i].preview.new_digest.b[0] = 8;
        w->members[i].preview.diff =
            i == 2 ? "-sync = no\n+sync = yes\n token = ****\n" : "-sync = no\n+sync = yes\n";
    }
}

TEST("the page of the demonstration's plan, word for word") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    diffs_tell(w);
    world_fact(w, 3, "clock.ms", "1699999990000");
    static const char *const consents[] = {"clock:n4"};
    world_consents(w, consents, 1);
    _cleanup_(freep) char *page = page_of(w, 110);
    _cleanup_(freep) char *want = world_file(golden);
    mask_digests(page);
    if (getenv("KEDGE_SHOW_PAGE")) /* to make the file anew: read every line that changed */
        fputs(page, stderr);
    check(strcmp(page, want) == 0);
}

TEST("no line is wider than asked for, but for words that are") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(freep) char *page = page_of(w, 80);
    for (const char *line = page; *line; line += strcspn(line, "\n") + 1) {
        size_t len = strcspn(line, "\n");
        const char *blank = memrchr(line, ' ', len);
        if (!check(len <= 80 || (blank && strspn(line, " ") + (size_t)(line + len - blank) > 60)))
            printf("# %.*s\n", (int)len, line);
    }
}

TEST("equal configuration changes are told once, with all names") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    diffs_tell(w);
    _cleanup_(freep) char *page = page_of(w, 110);
    check_contains(page, "of store@n5, store@n1, store@n2, store@n4: these lines change");
    const char *first = strstr(page, "+sync = yes");
    require(first);
    const char *second = strstr(first + 1, "+sync = yes");
    require(second);
    check(!strstr(second + 1, "+sync = yes"));
}

TEST("the page says who signed, and whether that is enough") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(freep) char *page = page_of(w, 110);
    check_contains(page, "signed by     nobody yet");
}

TEST("the JSON form says the same") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    require(world_plan(w) == 0);
    _cleanup_(verified_plan_freep) struct verified_plan *plan = world_verify(w);
    _cleanup_(freep) char *json = plan_json(plan);
    require(json);
    check_contains(json, "\"cluster\": \"shop\"");
    check_contains(json, "\"members_as_expected_today\": [\n        \"shop/store@n5\"\n      ]");
    check_contains(json, "\"otherwise\": \"else returns\"");
    check_contains(json, "\"previous\": \"2\"");
}

TEST("without a wait limit the page says that it is waited for, and not after how long") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    w->input.options.wait_limit_ms = 0;
    _cleanup_(freep) char *page = page_of(w, 200);
    check_contains(page, "a member that may not stop is waited for without a limit");
    check_contains(page, "never passes: while the gates of a canary are unknown, the run waits");
    check(!strstr(page, "for 0"));
    check(!strstr(page, "after 0"));
}

TEST("F23 a configuration that is made from the shipped file says so, and what is kept of the found one") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(freep) char *found = page_of(w, 160);
    check(!strstr(found, "the file that the release ships"));
    w->input.options.config = PLANNER_CONFIG_RELEASE;
    w->input.shipped = bytes_of_text("id = s1\nsync = no\n");
    for (size_t i = 0; i < w->n_members; i++)
        w->members[i].preview.new_digest.b[0] = 8;
    _cleanup_(freep) char *page = page_of(w, 160);
    const char *base = strstr(page, "made from the file that the release ships");
    require(base != NULL);
    check_contains(base, "data, id, listen, peers, sync are kept");
}

TEST("an urgent plan says so, and why, on its page") {
    _cleanup_(world_freep) struct world *w = world_new(demo, NULL);
    _cleanup_(freep) char *calm = page_of(w, 110);
    w->input.options.urgent = "hole in the parser";
    _cleanup_(freep) char *page = page_of(w, 110);
    check(strstr(calm, "URGENT") == NULL);
    check_contains(page, "URGENT");
    check_contains(page, "urgent: hole in the parser");
}
