/* Taking a map apart: what each taker accepts, its sentence for a missing key, a wrong kind and a wrong
 * value, and that nothing is left over in silence. */
#include "common/base/limits.h"
#include "common/yaml/reader.h"
#include "tests/unit/test.h"

static struct error err;
static struct arena *arena;

/* The tree of a text; a failure of the parser is a failure of the test. Lives until the next call. */
static const struct yaml_node *tree(const char *text) {
    arena = arena_free(arena);
    arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    const struct yaml_node *root = NULL;
    err.text[0] = 0;
    if (!check(yaml_parse(arena, &(struct yaml_source){"f.yaml", bytes_of_text(text)}, &root, &err) == 0)) {
        puts(err.text);
        abort();
    }
    return root;
}

static struct yaml_map map_of(const char *text) {
    struct yaml_map map;
    check_eq_int(yaml_map_begin(&map, tree(text), "member", &err), 0);
    return map;
}

__attribute__((destructor)) static void tree_free(void) {
    arena = arena_free(arena);
}

enum { ROLLING = 3, CANARY = 7 };
static const struct yaml_word strategies[] = {{"rolling", ROLLING}, {"canary", CANARY}, {NULL, 0}};

TEST("a whole map is taken") {
    struct yaml_map map =
        map_of("host: n1\nport: 3181\non: true\nstrategy: canary\nsoak: 30s\nheap: 2GiB\nlimit: 25%\n"
               "list: [{}, a]\nargv: [java, '', -jar]\ninner: {x: 1}\nnode: {}\n");
    const char *host = NULL;
    uint64_t port = 0, soak_ms = 0, heap = 0;
    bool on = false;
    int strategy = 0;
    struct yaml_amount limit = {0};
    const struct yaml_node *list = NULL, *inner = NULL, *node = NULL;
    struct yaml_texts argv = {0};
    check_eq_int(yaml_take_text(&map, "host", KEDGE_NAME_MAX, &host), 0);
    check_eq_int(yaml_take_uint(&map, "port", yaml_range(1, 65535), &port), 0);
    check_eq_int(yaml_take_bool(&map, "on", &on), 0);
    check_eq_int(yaml_take_enum(&map, "strategy", strategies, &strategy), 0);
    check_eq_int(yaml_take_duration(&map, "soak", yaml_range(0, 60000), &soak_ms), 0);
    check_eq_int(yaml_take_size(&map, "heap", yaml_range(0, UINT64_MAX), &heap), 0);
    check_eq_int(yaml_take_percent_or_count(&map, "limit", &limit), 0);
    check_eq_int(yaml_take_list(&map, "list", yaml_range(0, 9), &list), 0);
    check_eq_int(yaml_take_texts(&map, "argv", yaml_range(1, 9), &argv), 0);
    check_eq_int(yaml_take_map(&map, "inner", &inner), 0);
    check_eq_int(yaml_take_node(&map, "node", &node), 0);
    check_eq_int(yaml_map_end(&map), 0);

    check_eq_str(host, "n1");
    check_eq_int(port, 3181);
    check(on);
    check_eq_int(strategy, CANARY);
    check_eq_int(soak_ms, 30000);
    check(heap == 2ull << 30);
    check(limit.is_percent && limit.value == 25);
    check(list && list->n == 2);
    require(argv.n == 3);
    check_eq_str(argv.items[0], "java");
    check_eq_str(argv.items[1], "");
    check_eq_str(argv.items[2], "-jar");
    check(argv.items[3] == NULL);
    check(inner && inner->n == 1);
    check(node && node->kind == YAML_KIND_MAP);
}

TEST("optional keys that are missing leave the default") {
    struct yaml_map map = map_of("{}");
    const char *text = "default";
    uint64_t number = 5;
    bool flag = true;
    int word = ROLLING;
    struct yaml_amount amount = {7, false};
    const struct yaml_node *node = NULL;
    struct yaml_texts texts = {0};
    check_eq_int(yaml_take_text_optional(&map, "a", 9, &text), 0);
    check_eq_int(yaml_take_uint_optional(&map, "b", yaml_range(0, 1), &number), 0);
    check_eq_int(yaml_take_duration_optional(&map, "c", yaml_range(0, 1), &number), 0);
    check_eq_int(yaml_take_size_optional(&map, "d", yaml_range(0, 1), &number), 0);
    check_eq_int(yaml_take_bool_optional(&map, "e", &flag), 0);
    check_eq_int(yaml_take_enum_optional(&map, "f", strategies, &word), 0);
    check_eq_int(yaml_take_percent_or_count_optional(&map, "g", &amount), 0);
    check_eq_int(yaml_take_list_optional(&map, "h", yaml_range(1, 1), &node), 0);
    check_eq_int(yaml_take_map_optional(&map, "i", &node), 0);
    check_eq_int(yaml_take_node_optional(&map, "j", &node), 0);
    check_eq_int(yaml_take_texts_optional(&map, "k", yaml_range(1, 1), &texts), 0);
    check(!yaml_has(&map, "l"));
    check_eq_int(yaml_map_end(&map), 0);
    check_eq_str(text, "default");
    check_eq_int(number, 5);
    check(flag && word == ROLLING && amount.value == 7 && !node && !texts.items);
}

TEST("an optional key that is there must still be right") {
    struct yaml_map map = map_of("soak:\n");
    uint64_t soak_ms = 9;
    check_eq_int(yaml_take_duration_optional(&map, "soak", yaml_range(0, 60000), &soak_ms), -EINVAL);
    check_eq_str(
        err.text,
        "f.yaml: line 1, column 6: \"soak\" in member: expected a duration from 0ms to 1m (as 500ms, "
        "30s, 6m, 2h, 1d), found nothing");
    check_eq_int(soak_ms, 9);
}

/* Each taker by a letter, so that a refusal is a row. */
static int take(struct yaml_map *map, char taker) {
    const char *text;
    uint64_t number;
    bool flag;
    int word;
    struct yaml_amount amount;
    const struct yaml_node *node;
    struct yaml_texts texts;
    switch (taker) {
    case 't': return yaml_take_text(map, "key", 63, &text);
    case 'u': return yaml_take_uint(map, "key", yaml_range(1, 65535), &number);
    case 'b': return yaml_take_bool(map, "key", &flag);
    case 'e': return yaml_take_enum(map, "key", strategies, &word);
    case 'd': return yaml_take_duration(map, "key", yaml_range(500, 7200000), &number);
    case 's': return yaml_take_size(map, "key", yaml_range(4096, 8ull << 30), &number);
    case 'p': return yaml_take_percent_or_count(map, "key", &amount);
    case 'l': return yaml_take_list(map, "key", yaml_range(1, 2), &node);
    case 'x': return yaml_take_texts(map, "key", yaml_range(0, UINT64_MAX), &texts);
    case 'X': return yaml_take_texts(map, "key", yaml_range(1, UINT64_MAX), &texts);
    case 'm': return yaml_take_map(map, "key", &node);
    case 'n': return yaml_take_node(map, "key", &node);
    }
    return 1;
}

#define MISSING "f.yaml: line 1, column 1: missing key \"key\" in member, expected "
#define AT_KEY "f.yaml: line 1, column 6: \"key\" in member: expected "
#define A_TEXT "a text of 1 to 63 bytes"
#define A_NUMBER "a whole number from 1 to 65535"
#define A_DURATION "a duration from 500ms to 2h (as 500ms, 30s, 6m, 2h, 1d)"
#define A_SIZE "a size from 4KiB to 8GiB (as 512B, 64KiB, 8GiB)"
#define AN_AMOUNT "a count from 0 to 16384 or a percentage from 0% to 100%"

static const struct {
    char taker;
    const char *text, *sentence;
} refusals[] = {
    {'t', "{}", MISSING A_TEXT},
    {'u', "{}", MISSING A_NUMBER},
    {'b', "{}", MISSING "true or false"},
    {'e', "{}", MISSING "one of rolling, canary"},
    {'d', "{}", MISSING A_DURATION},
    {'s', "{}", MISSING A_SIZE},
    {'p', "{}", MISSING AN_AMOUNT},
    {'l', "{}", MISSING "a list of 1 to 2 items"},
    {'x', "{}", MISSING "a list of texts"},
    {'X', "{}", MISSING "a list of at least 1 texts"},
    {'m', "{}", MISSING "a map"},
    {'n', "{}", MISSING "a value"},
    {'t', "key: [a]", AT_KEY A_TEXT ", found a list"},
    {'t', "key: ~", AT_KEY A_TEXT ", found nothing"},
    {'t', "key: ''", AT_KEY A_TEXT ", found an empty text"},
    {'t', "key: 0123456789012345678901234567890123456789012345678901234567890123",
     AT_KEY A_TEXT ", found 64 bytes"},
    {'u', "key: {}", AT_KEY A_NUMBER ", found a map"},
    {'u', "key: 80a", AT_KEY A_NUMBER ", found \"80a\""},
    {'u', "key: 0", AT_KEY A_NUMBER ", found \"0\""},
    {'u', "key: 65536", AT_KEY A_NUMBER ", found \"65536\""},
    {'u', "key: -1", AT_KEY A_NUMBER ", found \"-1\""},
    {'u', "key: +1", AT_KEY A_NUMBER ", found \"+1\""},
    {'u', "key: 08", AT_KEY A_NUMBER ", found \"08\""},
    {'u', "key: 0x8", AT_KEY A_NUMBER ", found \"0x8\""},
    {'u', "key: 1_000", AT_KEY A_NUMBER ", found \"1_000\""},
    {'u', "key: 18446744073709551617", AT_KEY A_NUMBER ", found \"18446744073709551617\""},
    {'u', "key: 'a\tb'", AT_KEY A_NUMBER ", found \"a b\""},
    {'u', "key: üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü",
     AT_KEY A_NUMBER ", found \"üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü...\""},
    {'b', "key: yes", AT_KEY "true or false, found \"yes\""},
    {'b', "key: True", AT_KEY "true or false, found \"True\""},
    {'b', "key: []", AT_KEY "true or false, found a list"},
    {'e', "key: rollling", AT_KEY "one of rolling, canary, found \"rollling\"; did you mean \"rolling\"?"},
    {'e', "key: downtime", AT_KEY "one of rolling, canary, found \"downtime\""},
    {'e', "key: {}", AT_KEY "one of rolling, canary, found a map"},
    {'d', "key: 30", AT_KEY A_DURATION ", found \"30\""},
    {'d', "key: 1.5h", AT_KEY A_DURATION ", found \"1.5h\""},
    {'d', "key: 5 m", AT_KEY A_DURATION ", found \"5 m\""},
    {'d', "key: 499ms", AT_KEY A_DURATION ", found \"499ms\""},
    {'d', "key: 121m", AT_KEY A_DURATION ", found \"121m\""},
    {'d', "key: 213503982334601d1", AT_KEY A_DURATION ", found \"213503982334601d1\""},
    {'d', "key: 213503982335d", AT_KEY A_DURATION ", found \"213503982335d\""},
    {'d', "key: s", AT_KEY A_DURATION ", found \"s\""},
    {'d', "key: []", AT_KEY A_DURATION ", found a list"},
    {'s', "key: 64K", AT_KEY A_SIZE ", found \"64K\""},
    {'s', "key: 4095B", AT_KEY A_SIZE ", found \"4095B\""},
    {'s', "key: 99999999TiB", AT_KEY A_SIZE ", found \"99999999TiB\""},
    {'s', "key: {}", AT_KEY A_SIZE ", found a map"},
    {'p', "key: 101%", AT_KEY AN_AMOUNT ", found \"101%\""},
    {'p', "key: 16385", AT_KEY AN_AMOUNT ", found \"16385\""},
    {'p', "key: half", AT_KEY AN_AMOUNT ", found \"half\""},
    {'p', "key: {}", AT_KEY AN_AMOUNT ", found a map"},
    {'l', "key: a", AT_KEY "a list of 1 to 2 items, found a text"},
    {'l', "key: []", AT_KEY "a list of 1 to 2 items, found an empty list"},
    {'l', "key: [a, b, c]", AT_KEY "a list of 1 to 2 items, found a list of 3"},
    {'x', "key: {}", AT_KEY "a list of texts, found a map"},
    {'x', "key: a", AT_KEY "a list of texts, found a text"},
    {'X', "key: []", AT_KEY "a list of at least 1 texts, found an empty list"},
    {'x', "key: [a, [b]]",
     "f.yaml: line 1, column 10: \"key\" in member: expected a list of texts, found a list as item 2"},
    {'x', "key: [a, ~]",
     "f.yaml: line 1, column 10: \"key\" in member: expected a list of texts, found nothing as item 2"},
    {'m', "key: [a]", AT_KEY "a map, found a list"},
    {'m', "key: a", AT_KEY "a map, found a text"},
    {'n', "key: null", AT_KEY "a value, found nothing"},
};

TEST("every refusal of a taker is one sentence with its place") {
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct yaml_map map = map_of(refusals[i].text);
        check_eq_int(take(&map, refusals[i].taker), -EINVAL);
        check_eq_str(err.text, refusals[i].sentence);
    }
}

TEST("durations, sizes and amounts in every unit, with both ends of their range") {
    static const struct {
        const char *text;
        char taker;
        uint64_t value;
    } rows[] = {{"500ms", 'd', 500},
                {"1s", 'd', 1000},
                {"6m", 'd', 360000},
                {"2h", 'd', 7200000},
                {"1d", 'd', 86400000},
                {"0s", 'd', 0},
                {"0ms", 'd', 0},
                {"1B", 's', 1},
                {"4KiB", 's', 4096},
                {"1MiB", 's', 1048576},
                {"1GiB", 's', 1ull << 30},
                {"3TiB", 's', 3ull << 40},
                {"0", 'p', 0},
                {"16384", 'p', 16384},
                {"'7'", 'p', 7}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[32];
        snprintf(text, sizeof(text), "key: %s", rows[i].text);
        struct yaml_map map = map_of(text);
        uint64_t value = 99;
        struct yaml_amount amount = {99, true};
        const struct yaml_range exact = yaml_range(rows[i].value, rows[i].value);
        switch (rows[i].taker) {
        case 'd': check_eq_int(yaml_take_duration(&map, "key", exact, &value), 0); break;
        case 's': check_eq_int(yaml_take_size(&map, "key", exact, &value), 0); break;
        case 'p':
            check_eq_int(yaml_take_percent_or_count(&map, "key", &amount), 0);
            check(!amount.is_percent);
            value = amount.value;
            break;
        }
        check_eq_int(value, rows[i].value);
    }
    struct yaml_map map = map_of("a: 0%\nb: 100%\nc: 18446744073709551615\n");
    struct yaml_amount amount = {9, false};
    check_eq_int(yaml_take_percent_or_count(&map, "a", &amount), 0);
    check(amount.is_percent && amount.value == 0);
    check_eq_int(yaml_take_percent_or_count(&map, "b", &amount), 0);
    check(amount.is_percent && amount.value == 100);
    uint64_t most = 0;
    check_eq_int(yaml_take_uint(&map, "c", yaml_range(0, UINT64_MAX), &most), 0);
    check(most == UINT64_MAX);
}

TEST("what was not taken is refused, with the nearest known key") {
    static const struct {
        const char *text, *sentence;
    } rows[] = {
        {"host: a\nportt: 1\n", "f.yaml: line 2, column 1: unknown key \"portt\" in member; did you mean "
                                "\"port\"? known keys: host, port"},
        {"prot: 1\n", "f.yaml: line 1, column 1: unknown key \"prot\" in member; did you mean \"port\"? "
                      "known keys: host, port"},
        {"Host: 1\n", "f.yaml: line 1, column 1: unknown key \"Host\" in member; did you mean \"host\"? "
                      "known keys: host, port"},
        {"colour: 1\n", "f.yaml: line 1, column 1: unknown key \"colour\" in member; known keys: host, port"},
        {"x: 1\n", "f.yaml: line 1, column 1: unknown key \"x\" in member; known keys: host, port"},
        {"host: a\nport: 1\nzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz: 1\n",
         "f.yaml: line 3, column 1: unknown key \"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz...\" in member; "
         "known keys: "
         "host, port"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct yaml_map map = map_of(rows[i].text);
        const char *host = NULL;
        uint64_t port = 0;
        check_eq_int(yaml_take_text_optional(&map, "host", 9, &host), 0);
        check_eq_int(yaml_take_uint_optional(&map, "port", yaml_range(1, 2), &port), 0);
        check_eq_int(yaml_map_end(&map), -EINVAL);
        check_eq_str(err.text, rows[i].sentence);
    }
    struct yaml_map map = map_of("a: 1\n");
    check_eq_int(yaml_map_end(&map), -EINVAL);
    check_eq_str(err.text, "f.yaml: line 1, column 1: unknown key \"a\" in member; known keys: none");
}

TEST("a key that was asked for twice is listed once") {
    struct yaml_map map = map_of("b: 1\n");
    check(!yaml_has(&map, "port"));
    check(!yaml_has(&map, "port"));
    check_eq_int(yaml_map_end(&map), -EINVAL);
    check_contains(err.text, "known keys: port");
    check(!strstr(err.text, "port, port"));
}

TEST("what is no map cannot be begun") {
    struct yaml_map map;
    check_eq_int(yaml_map_begin(&map, tree("- a\n"), "the cluster file", &err), -EINVAL);
    check_eq_str(err.text, "f.yaml: line 1, column 1: the cluster file: expected a map, found a list");
    check_eq_int(yaml_map_begin(&map, tree("~\n"), "the cluster file", &err), -EINVAL);
    check_eq_str(err.text, "f.yaml: line 1, column 1: the cluster file: expected a map, found nothing");
}

TEST("values under free keys are judged alike") {
    const struct yaml_node *root = tree("a: ''\nb: 7\nc: [x]\nd: true\ne: canary\nf: 3s\ng: {}\n");
    const char *text = NULL;
    uint64_t number = 0, ms = 0;
    bool flag = false;
    int word = 0;
    struct yaml_texts texts = {0};
    const struct yaml_node *node = NULL;
    check_eq_int(yaml_text_of(root->pairs[0].value, yaml_range(0, 9), &text, &err), 0);
    check_eq_int(yaml_uint_of(root->pairs[1].value, yaml_range(0, 9), &number, &err), 0);
    check_eq_int(yaml_list_of(root->pairs[2].value, yaml_range(0, 9), &node, &err), 0);
    check_eq_int(yaml_texts_of(root->pairs[2].value, yaml_range(0, 9), &texts, &err), 0);
    check_eq_int(yaml_bool_of(root->pairs[3].value, &flag, &err), 0);
    check_eq_int(yaml_enum_of(root->pairs[4].value, strategies, &word, &err), 0);
    check_eq_int(yaml_duration_of(root->pairs[5].value, yaml_range(0, 9000), &ms, &err), 0);
    check_eq_int(yaml_map_of(root->pairs[6].value, &node, &err), 0);
    check(text && !text[0] && number == 7 && flag && word == CANARY && ms == 3000 && texts.n == 1);
    check_eq_int(yaml_text_of(root->pairs[2].value, yaml_range(1, 9), &text, &err), -EINVAL);
    check_eq_str(err.text, "f.yaml: line 3, column 4: expected a text of 1 to 9 bytes, found a list");
    check_eq_int(yaml_uint_of(root->pairs[1].value, yaml_range(8, UINT64_MAX), &number, &err), -EINVAL);
    check_eq_str(err.text, "f.yaml: line 2, column 4: expected a whole number of at least 8, found \"7\"");
}

TEST("a judgement of the caller carries the place") {
    const struct yaml_node *root = tree("a: 1\nb: 2\n");
    check_eq_int(yaml_refuse(root->pairs[1].key, &err, "action \"%s\" is reached by nobody", "b"), -EINVAL);
    check_eq_str(err.text, "f.yaml: line 2, column 1: action \"b\" is reached by nobody");
    check_eq_int(yaml_refuse(root, NULL, "x"), -EINVAL);
}

TEST("without memory for the texts there is one sentence") {
    const char text[] = "key: [a, b, c]\n";
    bool was_refused = false;
    for (size_t cap = 0; cap < 4096; cap += 16) {
        _cleanup_(arena_freep) struct arena *small = arena_new(cap);
        const struct yaml_node *root = NULL;
        struct yaml_map map;
        struct yaml_texts texts = {0};
        if (yaml_parse(small, &(struct yaml_source){"f.yaml", bytes_of_text(text)}, &root, &err) < 0 ||
            yaml_map_begin(&map, root, "member", &err) < 0)
            continue;
        int r = yaml_take_texts(&map, "key", yaml_range(0, 9), &texts);
        if (r == 0)
            break;
        was_refused = true;
        check_eq_int(r, -ENOMEM);
        check(texts.items == NULL);
        check_eq_str(err.text,
                     "f.yaml: line 1, column 6: the file needs more memory than it may have, expected a "
                     "smaller one");
    }
    check(was_refused);
}
