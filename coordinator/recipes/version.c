/* Why a walk over rows and not a table of pairs: people who upgrade several versions must follow the section of every
 * version on the way (as all four guides say). A pair that the recipe knows itself is one row and wins; for any other the
 * rows of the way are found, so that the planner can name the plans that lead there, one a row. */
#include "coordinator/recipes/version.h"

#include <ctype.h>
#include <string.h>

static const char *part_end(const char *text) {
    const char *dot = strchr(text, '.');
    return dot ? dot : text + strlen(text);
}

static int part_compare(const char *a, const char *b) {
    char *a_rest, *b_rest;
    unsigned long long x = strtoull(a, &a_rest, 10), y = strtoull(b, &b_rest, 10);
    if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b) && x != y)
        return x < y ? -1 : 1;
    size_t n = (size_t)(part_end(a) - a), m = (size_t)(part_end(b) - b);
    int order = strncmp(a, b, n < m ? n : m);
    return order ? order : n < m ? -1 : n > m;
}

int version_compare(const char *a, const char *b) {
    while (*a && *b) {
        int order = part_compare(a, b);
        if (order)
            return order;
        a = part_end(a);
        b = part_end(b);
        a += *a == '.';
        b += *b == '.';
    }
    return *a ? 1 : *b ? -1 : 0;
}

/* ---- patterns ---- */

static bool ends_in_x(const char *pattern, size_t len) {
    return len > 2 && pattern[len - 1] == 'x' && pattern[len - 2] == '.';
}

/* One version or one line ("4.5.x"), of `len` bytes. */
static bool simple_matches(const char *pattern, size_t len, const char *version) {
    if (!ends_in_x(pattern, len))
        return strlen(version) == len && memcmp(pattern, version, len) == 0;
    size_t stem = len - 2;
    return strncmp(pattern, version, stem) == 0 && (version[stem] == '.' || version[stem] == 0);
}

enum { VERSION_MAX = 63 };

static bool range_matches(const char *pattern, const char *dots, const char *version) {
    char low[VERSION_MAX + 1];
    size_t len = (size_t)(dots - pattern);
    if (len > VERSION_MAX)
        return false;
    memcpy(low, pattern, len);
    low[len] = 0;
    if (ends_in_x(low, len))
        low[len - 2] = 0;
    const char *high = dots + 2;
    return version_compare(version, low) >= 0 &&
           (simple_matches(high, strlen(high), version) || version_compare(version, high) < 0);
}

bool version_matches(const char *pattern, const char *version) {
    const char *dots = strstr(pattern, "..");
    if (strcmp(pattern, "*") == 0)
        return true;
    if (strncmp(pattern, ">=", 2) == 0)
        return version_compare(version, pattern + 2) >= 0;
    return dots ? range_matches(pattern, dots, version) : simple_matches(pattern, strlen(pattern), version);
}

static bool simple_is_valid(const char *text, size_t len) {
    if (len == 0 || len > VERSION_MAX || !isdigit((unsigned char)*text))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr(".-_+", text[i]))
            return false;
    return true;
}

bool version_pattern_is_valid(const char *pattern) {
    const char *dots = strstr(pattern, "..");
    if (strcmp(pattern, "*") == 0)
        return true;
    if (strncmp(pattern, ">=", 2) == 0)
        return simple_is_valid(pattern + 2, strlen(pattern + 2));
    if (dots)
        return simple_is_valid(pattern, (size_t)(dots - pattern)) &&
               simple_is_valid(dots + 2, strlen(dots + 2));
    return simple_is_valid(pattern, strlen(pattern));
}

/* ---- the walk ---- */

/* A version that stands for the pattern: its lower end; "4.5.x" and "4.5.x..4.8.x" give "4.5.0". */
static void stand_in(const char *pattern, char out[static VERSION_MAX + 1]) {
    if (strncmp(pattern, ">=", 2) == 0)
        pattern += 2;
    const char *dots = strstr(pattern, "..");
    size_t len = dots ? (size_t)(dots - pattern) : strlen(pattern);
    if (len > VERSION_MAX)
        len = VERSION_MAX;
    memcpy(out, pattern, len);
    out[len] = 0;
    if (ends_in_x(out, len))
        out[len - 1] = '0';
    if (strcmp(out, "*") == 0)
        out[0] = '0';
}

static int sign(int number) {
    return number < 0 ? -1 : number > 0;
}

/* Does the row lead on from `at` in the direction of the whole? A row over open patterns leads anywhere. */
static bool row_leads(const struct version_row *row, const char *at, const char *to, int direction) {
    char low[VERSION_MAX + 1], high[VERSION_MAX + 1];
    stand_in(row->from, low);
    stand_in(row->to, high);
    return version_matches(row->from, at) &&
           (version_matches(row->to, to) || sign(version_compare(high, low)) == direction);
}

struct walk {
    struct arena *arena;
    const struct recipe *recipe;
    const struct scope *scope;
    const char *from, *to;
    int direction;
    bool in_hops;    /* neither refused rows nor those for the pair itself */
    size_t *came_by; /* per row: the row before it, plus 1; 0: it is the first */
    bool *seen;
    size_t *queue, n_queue;
};

static bool is_hop(const struct walk *walk, const struct version_row *row) {
    bool whole = version_matches(row->from, walk->from) && version_matches(row->to, walk->to);
    return row->verdict != VERSION_REFUSED && !whole;
}

static void walk_on(struct walk *walk, const char *at, size_t came_by) {
    for (size_t i = 0; i < walk->recipe->n_versions; i++) {
        const struct version_row *row = &walk->recipe->versions[i];
        if (walk->seen[i] || !row_leads(row, at, walk->to, walk->direction) ||
            !when_holds(&row->when, walk->scope) || (walk->in_hops && !is_hop(walk, row)))
            continue;
        walk->seen[i] = true;
        walk->came_by[i] = came_by;
        walk->queue[walk->n_queue++] = i;
    }
}

static int path_collect(const struct walk *walk, size_t last, struct version_path *outp) {
    size_t n = 1;
    for (size_t i = last; walk->came_by[i]; i = walk->came_by[i] - 1)
        n++;
    const struct version_row **rows = arena_array(walk->arena, n, sizeof(*rows));
    if (!rows)
        return -ENOMEM;
    for (size_t i = last, k = n; k > 0; i = walk->came_by[i] - 1)
        rows[--k] = &walk->recipe->versions[i];
    *outp = (struct version_path){VERSION_ALLOWED, "", rows, n, WAY_BACK_UNTIL_FINALIZE};
    for (size_t i = 0; i < n; i++) {
        if (rows[i]->verdict != VERSION_ALLOWED && outp->verdict == VERSION_ALLOWED) {
            outp->verdict = rows[i]->verdict;
            outp->why = rows[i]->why;
        }
        static const int narrow[] = {[WAY_BACK_UNTIL_FINALIZE] = 0,
                                     [WAY_BACK_CLUSTER] = 1,
                                     [WAY_BACK_UNTIL_PROMOTION] = 2,
                                     [WAY_BACK_UNTIL_START] = 3,
                                     [WAY_BACK_NEVER] = 4};
        if (narrow[rows[i]->way_back] > narrow[outp->way_back])
            outp->way_back = rows[i]->way_back;
    }
    return 0;
}

static int walk_run(struct walk *walk, struct version_path *outp) {
    const struct recipe *recipe = walk->recipe;
    size_t n = recipe->n_versions;
    walk->direction = sign(version_compare(walk->to, walk->from));
    walk->came_by = arena_array(walk->arena, n, sizeof(size_t));
    walk->seen = arena_array(walk->arena, n, sizeof(bool));
    walk->queue = arena_array(walk->arena, n, sizeof(size_t));
    if (!walk->came_by || !walk->seen || !walk->queue)
        return -ENOMEM;
    walk_on(walk, walk->from, 0);
    for (size_t head = 0; head < walk->n_queue; head++) {
        size_t i = walk->queue[head];
        char at[VERSION_MAX + 1];
        if (version_matches(recipe->versions[i].to, walk->to))
            return path_collect(walk, i, outp);
        stand_in(recipe->versions[i].to, at);
        walk_on(walk, at, i + 1);
    }
    return VERSION_NO_PATH;
}

int version_path_find(const struct recipe *recipe, const char *from, const char *to,
                      const struct scope *scope, struct arena *arena, struct version_path *outp) {
    *outp = (struct version_path){VERSION_ALLOWED, "", NULL, 0, WAY_BACK_UNTIL_FINALIZE};
    if (strcmp(from, to) == 0)
        return 0;
    struct walk walk = {.arena = arena, .recipe = recipe, .scope = scope, .from = from, .to = to};
    return walk_run(&walk, outp);
}

int version_chain_find(const struct recipe *recipe, const char *from, const char *to,
                       const struct scope *scope, struct arena *arena, struct version_path *outp) {
    *outp = (struct version_path){VERSION_ALLOWED, "", NULL, 0, WAY_BACK_UNTIL_FINALIZE};
    struct walk walk = {
        .arena = arena, .recipe = recipe, .scope = scope, .from = from, .to = to, .in_hops = true};
    return walk_run(&walk, outp);
}
