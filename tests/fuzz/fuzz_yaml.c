/* Any bytes are a tree or one sentence; any tree is taken apart or refused, never more. */
#include "common/base/limits.h"
#include "common/yaml/reader.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static const struct yaml_word words[] = {{"canary", 1}, {"rolling", 2}, {NULL, 0}};

/* Every taker tries every value of a map; the result does not matter, the sanitizers look on. */
static void map_take(const struct yaml_node *node, struct error *err) {
    struct yaml_map map;
    const char *text;
    uint64_t number;
    bool flag;
    int word;
    struct yaml_amount amount;
    struct yaml_texts texts;
    const struct yaml_node *inner;
    const struct yaml_range any = yaml_range(0, UINT64_MAX);
    if (yaml_map_begin(&map, node, "map", err) < 0)
        return;
    for (unsigned i = 0; i < node->n && i < YAML_KNOWN_KEYS_MAX / 2; i++) {
        const char *key = node->pairs[i].key->text;
        int r = yaml_take_text(&map, key, KEDGE_NAME_MAX, &text) & yaml_take_uint(&map, key, any, &number) &
                yaml_take_bool(&map, key, &flag) & yaml_take_enum(&map, key, words, &word) &
                yaml_take_duration(&map, key, any, &number) & yaml_take_size(&map, key, any, &number) &
                yaml_take_percent_or_count(&map, key, &amount) & yaml_take_texts(&map, key, any, &texts);
        if (r < 0 && !err->text[0])
            abort();
        if (yaml_take_map(&map, key, &inner) == 0)
            map_take(inner, err);
    }
    if (yaml_map_end(&map) < 0 && !strstr(err->text, "unknown key"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error err = {""};
    const struct yaml_node *root = NULL;
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    int r = yaml_parse(arena, &(struct yaml_source){"f", {data, size}}, &root, &err);
    if (r < 0 ? strncmp(err.text, "f: line ", 8) != 0 : !root)
        abort();
    if (r == 0)
        map_take(root, &err);
    return 0;
}
