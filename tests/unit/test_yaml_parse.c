/* What the reader accepts, what it refuses and in which words, and that nothing makes it slow, large or
 * leaky. Every refusal is one row with its whole sentence. malloc is of own_malloc.c, so that it can fail. */
#include "common/base/limits.h"
#include "common/yaml/reader.h"
#include "tests/unit/own_malloc.h"
#include "tests/unit/test.h"

#include <time.h>

static struct error err;

static int parse_bytes(struct arena *arena, const void *data, size_t len, const struct yaml_node **rootp) {
    err.text[0] = 0;
    return yaml_parse(arena, &(struct yaml_source){"f.yaml", {data, len}}, rootp, &err);
}

static int parse_text(struct arena *arena, const char *text, const struct yaml_node **rootp) {
    return parse_bytes(arena, text, strlen(text), rootp);
}

static struct arena *arena_of_document(void) {
    return arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
}

TEST("texts, lists and maps with their places") {
    _cleanup_(arena_freep) struct arena *arena = arena_of_document();
    const struct yaml_node *root = NULL;
    require(parse_text(arena,
                       "# a comment\n"
                       "---\n"
                       "name: bk-prod\n"
                       "members: [n1, \"n 2\"]\n"
                       "text: |\n  one\n  two\n"
                       "größe: {a: 1, b: }\n"
                       "none: ~\n"
                       "quoted: 'null'\n"
                       "...\n",
                       &root) == 0);
    require(root->kind == YAML_KIND_MAP && root->n == 6);
    check_eq_int(root->line, 3);
    check_eq_str(root->pairs[0].key->text, "name");
    check_eq_str(root->pairs[0].value->text, "bk-prod");
    check_eq_int(root->pairs[0].value->line, 3);
    check_eq_int(root->pairs[0].value->column, 7);

    const struct yaml_node *members = root->pairs[1].value;
    require(members->kind == YAML_KIND_LIST && members->n == 2);
    check_eq_str(members->items[0]->text, "n1");
    check_eq_str(members->items[1]->text, "n 2");
    check_eq_int(members->items[1]->column, 15);

    check_eq_str(root->pairs[2].value->text, "one\ntwo\n");
    const struct yaml_node *inner = root->pairs[3].value;
    require(inner->kind == YAML_KIND_MAP && inner->n == 2);
    check_eq_int(inner->column, 8); /* characters, not bytes */
    check_eq_int(inner->pairs[1].value->kind, YAML_KIND_NOTHING);
    check(inner->pairs[1].value->text == NULL);
    check_eq_int(root->pairs[4].value->kind, YAML_KIND_NOTHING);
    check_eq_int(root->pairs[5].value->kind, YAML_KIND_TEXT);
    check_eq_str(root->pairs[5].value->text, "null");
    check_eq_str(root->file->name, "f.yaml");
}

TEST("nothing has a type before it is asked for") {
    _cleanup_(arena_freep) struct arena *arena = arena_of_document();
    const struct yaml_node *root = NULL;
    require(parse_text(arena, "[no, 4.10, 0x10, 2024-01-01, 1e3, \"\\u00fc\\t\"]", &root) == 0);
    static const char *const texts[] = {"no", "4.10", "0x10", "2024-01-01", "1e3", "ü\t"};
    require(root->n == ARRAY_LEN(texts));
    for (size_t i = 0; i < root->n; i++)
        check_eq_str(root->items[i]->text, texts[i]);
}

TEST("a file is walked in its own order") {
    _cleanup_(arena_freep) struct arena *arena = arena_of_document();
    const struct yaml_node *root = NULL;
    require(parse_text(arena, "z: [1, 2]\na: []\nm: {}\n", &root) == 0);
    static const char *const keys[] = {"z", "a", "m"};
    size_t n_keys = 0;
    yaml_each(pair, root) check_eq_str(pair->key->text, keys[n_keys++]);
    check_eq_int(n_keys, 3);
    unsigned n_items = 0;
    yaml_each(pair, root) {
        if (pair->value->kind == YAML_KIND_LIST)
            yaml_each_item(item, pair->value) n_items += (*item)->kind == YAML_KIND_TEXT;
    }
    check_eq_int(n_items, 2);
}

#define TEXT(s) (s), sizeof(s) - 1
#define NO_CONTROLS ", expected UTF-8 text without control characters"
#define WELL_FORMED ", expected well-formed YAML"

static const struct refusal {
    const char *content;
    size_t len;
    const char *sentence;
} refusals[] = {
    {TEXT(""), "f.yaml: line 1, column 1: the file is empty, expected a document"},
    {TEXT("# only a comment\n"), "f.yaml: line 2, column 1: the file is empty, expected a document"},
    /* what the strict part of YAML leaves out */
    {TEXT("a: *x\n"), "f.yaml: line 1, column 4: found an alias, expected the value itself"},
    {TEXT("*x : 1\n"), "f.yaml: line 1, column 1: found an alias, expected the value itself"},
    {TEXT("a: &x 1\n"), "f.yaml: line 1, column 4: found an anchor, expected a value without one"},
    {TEXT("&x a: 1\n"), "f.yaml: line 1, column 1: found an anchor, expected a value without one"},
    {TEXT("a: &x [1]\n"), "f.yaml: line 1, column 4: found an anchor, expected a value without one"},
    {TEXT("ü: &x {}\n"), "f.yaml: line 1, column 4: found an anchor, expected a value without one"},
    {TEXT("a: !!str 1\n"), "f.yaml: line 1, column 4: found a tag, expected a value without one"},
    {TEXT("- ü\n- ! 1\n"), "f.yaml: line 2, column 3: found a tag, expected a value without one"},
    {TEXT("a: ! 'x'\n"), "f.yaml: line 1, column 4: found a tag, expected a value without one"},
    {TEXT("a: ! [x]\n"), "f.yaml: line 1, column 4: found a tag, expected a value without one"},
    {TEXT("!!map {}\n"), "f.yaml: line 1, column 1: found a tag, expected a value without one"},
    {TEXT("a: 1\n<<: {b: 1}\n"),
     "f.yaml: line 2, column 1: found a merge key (<<), expected the keys themselves"},
    {TEXT("a: 1\n---\nb: 1\n"), "f.yaml: line 2, column 1: found a second document, expected one in a file"},
    {TEXT("--- ~\n--- ~\n"), "f.yaml: line 2, column 1: found a second document, expected one in a file"},
    {TEXT("%YAML 1.1\n---\na: 1\n"),
     "f.yaml: line 1, column 1: found a directive (%), expected a file without one"},
    {TEXT("%TAG ! x\n---\na: 1\n"),
     "f.yaml: line 1, column 1: found a directive (%), expected a file without one"},
    /* keys */
    {TEXT("a: 1\nb: 2\nb: 3\na: 4\n"),
     "f.yaml: line 3, column 1: repeated key \"b\", expected it once (it stands at line 2, column 1)"},
    {TEXT("{a: 1, a: 2}\n"),
     "f.yaml: line 1, column 8: repeated key \"a\", expected it once (it stands at line 1, column 2)"},
    {TEXT("\"a\": 1\n"), "f.yaml: line 1, column 1: found a quoted key, expected it without quotes"},
    {TEXT("? |\n  a\n: 1\n"), "f.yaml: line 1, column 3: found a quoted key, expected it without quotes"},
    {TEXT("? [a]\n: 1\n"), "f.yaml: line 1, column 3: found a list as a key, expected a plain text"},
    {TEXT("? {a: b}\n: 1\n"), "f.yaml: line 1, column 3: found a map as a key, expected a plain text"},
    {TEXT("~: 1\n"), "f.yaml: line 1, column 1: found nothing as a key, expected a plain text"},
    {TEXT("{a: 1, ~: 2}\n"), "f.yaml: line 1, column 8: found nothing as a key, expected a plain text"},
    /* characters, as they stand */
    {TEXT("a: b\0c\n"), "f.yaml: line 1, column 5: found a NUL byte" NO_CONTROLS},
    {TEXT("a: 1\r\n"), "f.yaml: line 1, column 5: found a carriage return" NO_CONTROLS},
    {TEXT("a: 1\n\"\x07\"\n"), "f.yaml: line 2, column 2: found a control character (U+0007)" NO_CONTROLS},
    {TEXT("a: \x7f\n"), "f.yaml: line 1, column 4: found a control character (U+007F)" NO_CONTROLS},
    {TEXT("a: \xc2\x85\n"), "f.yaml: line 1, column 4: found a control character (U+0085)" NO_CONTROLS},
    {TEXT("# \xe2\x80\xa8\n"),
     "f.yaml: line 1, column 3: found a line break that editors do not show (U+2028)" NO_CONTROLS},
    {TEXT("# \xe2\x80\xae\n"),
     "f.yaml: line 1, column 3: found a mark that changes the direction of text (U+202E)" NO_CONTROLS},
    {TEXT("\xef\xbb\xbf"
          "a: 1\n"),
     "f.yaml: line 1, column 1: found a byte order mark (U+FEFF)" NO_CONTROLS},
    {TEXT("a: \xef\xbf\xbe\n"),
     "f.yaml: line 1, column 4: found a code that is no character (U+FFFE)" NO_CONTROLS},
    {TEXT("\xff\xfe"
          "a\0"),
     "f.yaml: line 1, column 1: found byte 0xFF, which is not UTF-8" NO_CONTROLS},
    {TEXT("ü: \xc3(\n"), "f.yaml: line 1, column 4: found byte 0xC3, which is not UTF-8" NO_CONTROLS},
    {TEXT("a: \xc0\xaf\n"), "f.yaml: line 1, column 4: found byte 0xC0, which is not UTF-8" NO_CONTROLS},
    {TEXT("a: \xe0\x80\xaf\n"), "f.yaml: line 1, column 4: found byte 0xE0, which is not UTF-8" NO_CONTROLS},
    {TEXT("a: \xed\xa0\x80\n"), "f.yaml: line 1, column 4: found byte 0xED, which is not UTF-8" NO_CONTROLS},
    {TEXT("a: \xf4\x90\x80\x80\n"),
     "f.yaml: line 1, column 4: found byte 0xF4, which is not UTF-8" NO_CONTROLS},
    {TEXT("a: \xf0\x9f\x98"), "f.yaml: line 1, column 4: found byte 0xF0, which is not UTF-8" NO_CONTROLS},
    {TEXT("a: \x80\n"), "f.yaml: line 1, column 4: found byte 0x80, which is not UTF-8" NO_CONTROLS},
    /* characters, behind an escape */
    {TEXT("a: \"b\\0\"\n"), "f.yaml: line 1, column 4: found a NUL byte behind an escape" NO_CONTROLS},
    {TEXT("a: \"\\r\"\n"), "f.yaml: line 1, column 4: found a carriage return behind an escape" NO_CONTROLS},
    {TEXT("a: \"\\e\"\n"),
     "f.yaml: line 1, column 4: found a control character (U+001B) behind an escape" NO_CONTROLS},
    {TEXT("a: \"\\u202e\"\n"), "f.yaml: line 1, column 4: found a mark that changes the direction of text "
                               "(U+202E) behind an escape" NO_CONTROLS},
    /* depth */
    {TEXT("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]"),
     "f.yaml: line 1, column 17: found a list or map inside 16 others, expected a flatter file"},
    /* what is no YAML at all, in libyaml's words */
    {TEXT("a: [1, 2\n"),
     "f.yaml: line 2, column 1: did not find expected ',' or ']' while parsing a flow sequence "
     "from line 1, column 4" WELL_FORMED},
    {TEXT("a: b: c\n"),
     "f.yaml: line 1, column 5: mapping values are not allowed in this context" WELL_FORMED},
    {TEXT("a:\n\t- b\n"),
     "f.yaml: line 2, column 1: found character that cannot start any token while scanning for "
     "the next token from line 2, column 1" WELL_FORMED},
    {TEXT("a: 'x\n"),
     "f.yaml: line 2, column 1: found unexpected end of stream while scanning a quoted scalar from "
     "line 1, column 4" WELL_FORMED},
    {TEXT("a: 1\n- b\n"),
     "f.yaml: line 2, column 1: did not find expected key while parsing a block mapping from "
     "line 1, column 1" WELL_FORMED},
    {TEXT("a: \"\\q\"\n"),
     "f.yaml: line 1, column 5: found unknown escape character while parsing a quoted scalar "
     "from line 1, column 4" WELL_FORMED},
    {TEXT("{a: 1}}\n"), "f.yaml: line 1, column 7: did not find expected <document start>" WELL_FORMED},
};

TEST("every refusal is one sentence with its place") {
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        _cleanup_(arena_freep) struct arena *arena = arena_of_document();
        const struct yaml_node *root = NULL;
        check_eq_int(parse_bytes(arena, refusals[i].content, refusals[i].len, &root), -EINVAL);
        check_eq_str(err.text, refusals[i].sentence);
        check(root == NULL);
        check(yaml_parse(arena,
                         &(struct yaml_source){"f", {(const uint8_t *)refusals[i].content, refusals[i].len}},
                         &root, NULL) == -EINVAL);
    }
}

TEST("sixteen levels are fine") {
    _cleanup_(arena_freep) struct arena *arena = arena_of_document();
    const struct yaml_node *root = NULL;
    check_eq_int(parse_text(arena, "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", &root), 0);
}

TEST("an alias bomb costs nothing") {
    _cleanup_(arena_freep) struct arena *arena = arena_of_document();
    const struct yaml_node *root = NULL;
    check_eq_int(parse_text(arena,
                            "a: [l, l, l, l, l, l, l, l, l]\n"
                            "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
                            "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n",
                            &root),
                 -EINVAL);
    check_eq_str(err.text, "f.yaml: line 2, column 4: found an anchor, expected a value without one");
    check(arena_used(arena) < 4096);
}

/* A buffer of `len` bytes made of `unit` again and again, after `head`. */
static struct buffer repeated(const char *head, const char *unit, size_t len) {
    struct buffer buffer = {0};
    buffer_text(&buffer, head);
    while (buffer.len + strlen(unit) <= len)
        buffer_text(&buffer, unit);
    return buffer;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

TEST("a file of the largest size is read or refused in seconds, never past the arena") {
    static const char *const units[] = {
        "a ",  "a: b\n", "- a\n",  "[",    "{",        "[]\n",       "- ",   "? ", "'",
        "a,",  "#",      "\n",     " ",    "- - a\n",  "\"\\n\"",    "|\n ", ": ", "&a ",
        "!a ", "- {}\n", "- []\n", "{a: ", "\xc3\xbc", "- |\n  a\n", "]",    "%"};
    static const char *const heads[] = {"", "[", "{", "a: ", "- ", "\"", "a: |\n "};
    for (size_t i = 0; i < ARRAY_LEN(units) * ARRAY_LEN(heads); i++) {
        const char *unit = units[i / ARRAY_LEN(heads)], *head = heads[i % ARRAY_LEN(heads)];
        _cleanup_(arena_freep) struct arena *arena = arena_of_document();
        _cleanup_(buffer_deinit) struct buffer content = repeated(head, unit, KEDGE_YAML_BYTES_MAX);
        const struct yaml_node *root = NULL;
        double begin = seconds_now();
        int r = parse_bytes(arena, content.data, content.len, &root);
        double took = seconds_now() - begin;
        check(r == 0 || r == -EINVAL || r == -ENOMEM);
        if (took > 5)
            test_fail(__FILE__, __LINE__, "head \"%s\" unit \"%s\" took %.1f s", head, unit, took);
        check(arena_used(arena) <= KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    }
}

TEST("one byte too many is refused") {
    _cleanup_(arena_freep) struct arena *arena = arena_of_document();
    _cleanup_(buffer_deinit) struct buffer content = repeated("", "a", KEDGE_YAML_BYTES_MAX);
    const struct yaml_node *root = NULL;
    check_eq_int(parse_bytes(arena, content.data, content.len, &root), 0);
    buffer_text(&content, "a");
    check_eq_int(parse_bytes(arena, content.data, content.len, &root), -EFBIG);
    check_eq_str(err.text, "f.yaml: line 1, column 1: found 1048577 bytes, expected at most 1048576");
}

TEST("many keys are compared quickly, the first repeated one is named") {
    _cleanup_(arena_freep) struct arena *arena = arena_new(64 * 1024 * 1024);
    _cleanup_(buffer_deinit) struct buffer content = {0};
    for (int i = 0; i < 60000; i++)
        buffer_format(&content, "k%d: v\n", i);
    const struct yaml_node *root = NULL;
    check_eq_int(parse_bytes(arena, content.data, content.len, &root), 0);
    buffer_text(&content, "k7: v\nk3: v\nk7: v\n");
    check_eq_int(parse_bytes(arena, content.data, content.len, &root), -EINVAL);
    check_eq_str(err.text,
                 "f.yaml: line 60001, column 1: repeated key \"k7\", expected it once (it stands at line 8, "
                 "column 1)");
}

static const char document[] = "cluster: bk\n"
                               "members: [{node: n1, port: 3181}, {node: n2}]\n"
                               "text: |\n  one\n  two\n"
                               "empty: {}\n";

TEST("every cap of the arena gives the tree or one sentence") {
    size_t used = 0;
    const struct yaml_node *root = NULL;
    for (size_t cap = 0; used == 0 && cap < 65536; cap += 16) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(cap);
        root = NULL;
        int r = parse_text(arena, document, &root);
        if (r == 0) {
            used = arena_used(arena);
            check_eq_int(used, cap);
            check(root->n == 4);
        } else {
            check_eq_int(r, -ENOMEM);
            check(root == NULL);
            check_contains(err.text, "f.yaml: line ");
            check_contains(err.text, ": the file needs more memory than it may have, expected a smaller one");
        }
    }
    check(used > 0);
}

/* Parses while the nth allocation fails; true if that one was reached. */
static bool parse_failing(long n, int *rp) {
    _cleanup_(arena_freep) struct arena *arena = arena_of_document();
    const struct yaml_node *root = NULL;
    own_malloc_countdown = n;
    *rp = parse_text(arena, document, &root);
    bool was_reached = own_malloc_countdown < 0;
    own_malloc_countdown = -1;
    check((*rp == 0) == (root != NULL));
    return was_reached;
}

TEST("every allocation that fails gives one sentence and leaves nothing behind") {
    if (!own_malloc())
        skip("the sanitizer brings its own malloc");
    int r = 0;
    long n = 0;
    for (; n < 1000; n++) {
        long n_before = own_malloc_live;
        bool was_reached = parse_failing(n, &r);
        check_eq_int(own_malloc_live, n_before);
        if (!was_reached)
            break;
        check_eq_int(r, -ENOMEM);
        check_contains(err.text, "the file needs more memory than it may have, expected a smaller one");
    }
    check_eq_int(r, 0);
    check(n > 10 && n < 1000);
}

TEST("a file that is not there") {
    _cleanup_(arena_freep) struct arena *arena = arena_of_document();
    const struct yaml_node *root = NULL;
    check_eq_int(yaml_read(arena, "/nonexistent/f.yaml", &root, &err), -ENOENT);
    check_eq_str(err.text, "/nonexistent/f.yaml: No such file or directory");
}

TEST("a file is read under its path, and one that is too large is refused") {
    char path[] = "/tmp/test_yaml_XXXXXX";
    _cleanup_(closep) int fd = mkstemp(path);
    require(fd >= 0);
    _cleanup_(arena_freep) struct arena *arena = arena_of_document();
    const struct yaml_node *root = NULL;
    check(write(fd, "a: *b\n", 6) == 6);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s: line 1, column 4: found an alias, expected the value itself",
             path);
    check_eq_int(yaml_read(arena, path, &root, &err), -EINVAL);
    check_eq_str(err.text, expected);
    check(ftruncate(fd, KEDGE_YAML_BYTES_MAX + 1) == 0);
    snprintf(expected, sizeof(expected), "%s: larger than 1048576 bytes", path);
    check_eq_int(yaml_read(arena, path, &root, &err), -EFBIG);
    check_eq_str(err.text, expected);
    unlink(path);
}
