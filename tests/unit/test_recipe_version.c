#include "tests/unit/test.h"

#include "coordinator/recipes/version.h"

#include <string.h>

TEST("versions compare by their numbers") {
    check(version_compare("4.16.0", "4.9.1") > 0);
    check(version_compare("4.5.0", "4.5.0") == 0);
    check(version_compare("4.5", "4.5.1") < 0);
    check(version_compare("1.0.0-rc1", "1.0.0-rc2") < 0);
    check(version_compare("2", "10") < 0);
}

TEST("patterns: one, a line, a range, from, any") {
    check(version_matches("4.5.0", "4.5.0") && !version_matches("4.5.0", "4.5.01"));
    check(version_matches("4.5.x", "4.5.7") && version_matches("4.5.x", "4.5") &&
          !version_matches("4.5.x", "4.50.1"));
    check(version_matches("4.8.0..4.12.x", "4.8.0") && version_matches("4.8.0..4.12.x", "4.12.9"));
    check(version_matches("4.8.x..4.12.x", "4.9.3") && !version_matches("4.8.x..4.12.x", "4.13.0") &&
          !version_matches("4.8.x..4.12.x", "4.7.9"));
    check(version_matches(">=4.6", "4.16.6") && !version_matches(">=4.6", "4.5.9") &&
          version_matches("*", "anything"));
    static const char *const wrong[] = {"", "x", "4..", "..4", "> 4", "4.5 ", "-1"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        check(!version_pattern_is_valid(wrong[i]));
}

static const struct version_row rows[] = {
    {.from = "1.0.x", .to = "1.1.x", .way_back = WAY_BACK_UNTIL_FINALIZE, .why = "", .line = 1},
    {.from = "1.1.x", .to = "1.2.x", .way_back = WAY_BACK_UNTIL_START, .why = "", .line = 2},
    {.from = "1.2.x", .to = "1.3.x", .way_back = WAY_BACK_UNTIL_PROMOTION, .why = "", .line = 3},
    {.from = "1.0.5", .to = "1.3.1", .way_back = WAY_BACK_UNTIL_FINALIZE, .why = "", .line = 4},
    {.from = "1.3.x",
     .to = "1.4.x",
     .verdict = VERSION_DOWNTIME,
     .way_back = WAY_BACK_UNTIL_FINALIZE,
     .why = "all at once",
     .line = 5},
    {.from = "1.1.x", .to = "1.0.x", .way_back = WAY_BACK_UNTIL_FINALIZE, .why = "", .line = 6},
};
static const struct recipe recipe = {.versions = rows, .n_versions = ARRAY_LEN(rows)};

static int find(struct arena *arena, const char *from, const char *to, struct version_path *path) {
    const struct scope scope = {0};
    return version_path_find(&recipe, from, to, &scope, arena, path);
}

TEST("F23: several versions apart, the rules on the way are walked and the narrowest way back counts") {
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    struct version_path path;
    check_eq_int(find(arena, "1.0.0", "1.3.0", &path), 0);
    check_eq_int(path.n_rows, 3);
    check_eq_int(path.rows[0]->line, 1);
    check_eq_int(path.rows[2]->line, 3);
    check_eq_int(path.way_back, WAY_BACK_UNTIL_START);
    check_eq_int(path.verdict, VERSION_ALLOWED);
}

TEST("F23: a rule for the pair itself wins over a walk") {
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    struct version_path path;
    check_eq_int(find(arena, "1.0.5", "1.3.1", &path), 0);
    check_eq_int(path.n_rows, 1);
    check_eq_int(path.way_back, WAY_BACK_UNTIL_FINALIZE);
}

TEST("F23: what one rule on the way does not allow, the whole does not") {
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    struct version_path path;
    check_eq_int(find(arena, "1.0.0", "1.4.0", &path), 0);
    check_eq_int(path.verdict, VERSION_DOWNTIME);
    check_eq_str(path.why, "all at once");
}

TEST("F23: no rule, no way; never there by going back first") {
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    struct version_path path;
    check_eq_int(find(arena, "1.0.0", "2.0.0", &path), VERSION_NO_PATH);
    check_eq_int(find(arena, "1.3.0", "1.2.0", &path), VERSION_NO_PATH);
    check_eq_int(find(arena, "1.1.4", "1.0.9", &path), 0);
    check_eq_int(path.n_rows, 1);
    check_eq_int(find(arena, "1.3.0", "1.3.0", &path), 0);
    check_eq_int(path.n_rows, 0);
}

TEST("patterns of paths: * is any text, \\* a star") {
    check(pattern_matches("*/lib/\\*", "n1/current/lib/*"));
    check(!pattern_matches("*/lib/\\*", "n1/current/lib/x.jar"));
    check(pattern_matches("*/lib/*.jar", "/opt/bk/lib/a.b.jar"));
    check(!pattern_matches("lib/\\*", "n1/lib/*"));
    check(pattern_matches("*", "") && !pattern_matches("a*", "b"));
}

TEST("F23: a chain of hops passes over refusals and over the pair itself") {
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 20);
    static const struct version_row some[] = {
        {.from = "*", .to = "*", .verdict = VERSION_REFUSED, .why = "never tried", .line = 1},
        {.from = "1.0.x", .to = "1.1.x", .why = "", .line = 2},
        {.from = "1.0.x", .to = "1.2.x", .why = "", .line = 3},
        {.from = "1.1.x", .to = "1.2.x", .verdict = VERSION_DOWNTIME, .why = "all", .line = 4},
    };
    const struct recipe refusing = {.versions = some, .n_versions = ARRAY_LEN(some)};
    const struct scope scope = {0};
    struct version_path path;
    check_eq_int(version_chain_find(&refusing, "1.0.3", "1.2.0", &scope, arena, &path), 0);
    check_eq_int(path.n_rows, 2);
    check_eq_int(path.rows[0]->line, 2);
    check_eq_int(path.verdict, VERSION_DOWNTIME);
    check_eq_int(version_chain_find(&refusing, "1.1.0", "1.3.0", &scope, arena, &path), VERSION_NO_PATH);
}
