/* Why a cursor that remembers what was asked for, and not a schema table: the taker states type, range and
 * place of the result in one line that the compiler checks, and a key that depends on another is known only
 * where it is taken. Every taker is one static `*_at` over a place: required, optional, or a value without a
 * key. What is expected is put into words first, so that a missing key and a wrong value say the same. */
#include "common/yaml/internal.h"

#include "common/base/limits.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* A value to be judged, where it should stand, and what it should be. */
struct place {
    const struct yaml_node *node; /* NULL if the key is missing */
    const struct yaml_map *map;   /* NULL for a value without a key */
    const char *key;
    bool is_optional;
    struct error *err;
    char expected[512];
};

static bool key_is_known(const struct yaml_map *map, const char *key) {
    for (unsigned i = 0; i < map->n_known; i++)
        if (strcmp(map->known[i], key) == 0)
            return true;
    return false;
}

static void key_know(struct yaml_map *map, const char *key) {
    if (key_is_known(map, key))
        return;
    assert(map->n_known < YAML_KNOWN_KEYS_MAX);
    map->known[map->n_known++] = key;
}

static const struct yaml_node *key_find(const struct yaml_map *map, const char *key) {
    yaml_each(pair, map->node) if (strcmp(pair->key->text, key) == 0) return pair->value;
    return NULL;
}

static struct place place_of_key(struct yaml_map *map, const char *key, bool is_optional) {
    key_know(map, key);
    return (struct place){
        .node = key_find(map, key), .map = map, .key = key, .is_optional = is_optional, .err = map->err};
}

static struct place place_required(struct yaml_map *map, const char *key) {
    return place_of_key(map, key, false);
}

static struct place place_optional(struct yaml_map *map, const char *key) {
    return place_of_key(map, key, true);
}

static struct place place_of_node(const struct yaml_node *node, struct error *err) {
    return (struct place){.node = node, .err = err};
}

/* A key that nobody has asked for so far and that looks like the missing one is named: most likely it is mistyped. */
static int refuse_missing(const struct place *place) {
    struct yaml_nearest nearest = {.typed = place->key};
    const struct yaml_node *typed = NULL;
    yaml_each(pair, place->map->node) {
        if (!key_is_known(place->map, pair->key->text))
            yaml_nearest_offer(&nearest, pair->key->text);
        typed = nearest.word == pair->key->text ? pair->key : typed;
    }
    char meant[SHOWN_MAX + 64] = "", shown[SHOWN_MAX];
    if (typed)
        snprintf(meant, sizeof(meant), "; is it the %s of line %u?", text_shown(shown, typed->text),
                 typed->line);
    return yaml_refuse(place->map->node, place->err, "missing key \"%s\" in %s, expected %s%s", place->key,
                       place->map->what, place->expected, meant);
}

/* Puts what is expected into words. True if there is a value to judge; otherwise *rp is the taker's result.
 */
static bool place_expect(struct place *place, int *rp, const char *format, ...) _printf_(3, 4);
static bool place_expect(struct place *place, int *rp, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    vsnprintf(place->expected, sizeof(place->expected), format, ap);
    va_end(ap);
    *rp = place->node || place->is_optional ? 0 : refuse_missing(place);
    return place->node != NULL;
}

/* `"port" in member: expected a number, found "80a"`; `node` is the value or one item of it. */
static int place_refuse(const struct place *place, const struct yaml_node *node, const char *found) {
    if (!place->key)
        return yaml_refuse(node, place->err, "expected %s, found %s", place->expected, found);
    return yaml_refuse(node, place->err, "\"%s\" in %s: expected %s, found %s", place->key, place->map->what,
                       place->expected, found);
}

static const char *kind_words(const struct yaml_node *node) {
    switch (node->kind) {
    case YAML_KIND_NOTHING: return "nothing";
    case YAML_KIND_TEXT: return node->text[0] ? "a text" : "an empty text";
    case YAML_KIND_LIST: return "a list";
    case YAML_KIND_MAP: return "a map";
    }
    return "nothing";
}

static int refuse_kind(const struct place *place) {
    return place_refuse(place, place->node, kind_words(place->node));
}

/* The text of the value, or NULL and *rp when it is no text. */
static const char *place_text(const struct place *place, int *rp) {
    if (place->node->kind == YAML_KIND_TEXT)
        return place->node->text;
    *rp = refuse_kind(place);
    return NULL;
}

static int refuse_text(const struct place *place) {
    char shown[SHOWN_MAX];
    return place_refuse(place, place->node, text_shown(shown, place->node->text));
}

/* " from 1 to 65535"; nothing where the range says nothing. */
enum { RANGE_WORDS_MAX = 2 * QUANTITY_MAX + 16 };
static const char *range_words(char out[static RANGE_WORDS_MAX], struct yaml_range range,
                               const struct unit *units) {
    char min[QUANTITY_MAX], max[QUANTITY_MAX];
    quantity_shown(min, range.min, units);
    quantity_shown(max, range.max, units);
    if (range.max != UINT64_MAX)
        snprintf(out, RANGE_WORDS_MAX, " from %s to %s", min, max);
    else if (range.min > 0)
        snprintf(out, RANGE_WORDS_MAX, " of at least %s", min);
    else
        out[0] = 0;
    return out;
}

static bool range_holds(struct yaml_range range, uint64_t value) {
    return value >= range.min && value <= range.max;
}

/* "1 to 63 bytes", "at least 1 texts", "items": for texts and lists. */
static const char *count_words(char out[static RANGE_WORDS_MAX], struct yaml_range range,
                               const char *things) {
    if (range.min == range.max)
        snprintf(out, RANGE_WORDS_MAX, "%" PRIu64 " %s", range.min, things);
    else if (range.max != UINT64_MAX)
        snprintf(out, RANGE_WORDS_MAX, "%" PRIu64 " to %" PRIu64 " %s", range.min, range.max, things);
    else if (range.min > 0)
        snprintf(out, RANGE_WORDS_MAX, "at least %" PRIu64 " %s", range.min, things);
    else
        snprintf(out, RANGE_WORDS_MAX, "%s", things);
    return out;
}

static int text_at(struct place place, struct yaml_range range, const char **outp) {
    int r;
    char words[RANGE_WORDS_MAX];
    if (!place_expect(&place, &r, "a text of %s", count_words(words, range, "bytes")))
        return r;
    const char *text = place_text(&place, &r);
    if (!text)
        return r;
    size_t len = strlen(text);
    char found[32];
    snprintf(found, sizeof(found), "%zu bytes", len);
    if (!range_holds(range, len))
        return place_refuse(&place, place.node, len == 0 ? "an empty text" : found);
    *outp = text;
    return 0;
}

static int uint_at(struct place place, struct yaml_range range, uint64_t *outp) {
    int r;
    char words[RANGE_WORDS_MAX];
    if (!place_expect(&place, &r, "a whole number%s", range_words(words, range, NULL)))
        return r;
    const char *text = place_text(&place, &r);
    if (!text)
        return r;
    uint64_t value;
    if (!number_parse(text, &value) || !range_holds(range, value))
        return refuse_text(&place);
    *outp = value;
    return 0;
}

static int bool_at(struct place place, bool *outp) {
    int r;
    if (!place_expect(&place, &r, "true or false"))
        return r;
    const char *text = place_text(&place, &r);
    if (!text)
        return r;
    bool is_true = strcmp(text, "true") == 0;
    if (!is_true && strcmp(text, "false") != 0)
        return refuse_text(&place);
    *outp = is_true;
    return 0;
}

/* "one of rolling, canary"; cut at the end when the table is longer than an error should be. */
static const char *table_words(char *out, size_t room, const struct yaml_word *table) {
    size_t used = 0;
    for (const struct yaml_word *row = table; row->word && used < room; row++) {
        int n = snprintf(out + used, room - used, "%s%s", row == table ? "one of " : ", ", row->word);
        used += n > 0 ? (size_t)n : 0;
    }
    return out;
}

static int enum_at(struct place place, const struct yaml_word *table, int *outp) {
    int r;
    char words[480] = "";
    if (!place_expect(&place, &r, "%s", table_words(words, sizeof(words), table)))
        return r;
    const char *text = place_text(&place, &r);
    if (!text)
        return r;
    struct yaml_nearest nearest = {.typed = text};
    for (const struct yaml_word *row = table; row->word; row++) {
        if (strcmp(row->word, text) == 0) {
            *outp = row->value;
            return 0;
        }
        yaml_nearest_offer(&nearest, row->word);
    }
    if (!nearest.word)
        return refuse_text(&place);
    char shown[SHOWN_MAX], found[SHOWN_MAX + 128];
    snprintf(found, sizeof(found), "%s; did you mean \"%s\"?", text_shown(shown, text), nearest.word);
    return place_refuse(&place, place.node, found);
}

static int quantity_at(struct place *place, const struct unit *units, struct yaml_range range,
                       uint64_t *outp) {
    int r = 0;
    const char *text = place_text(place, &r);
    if (!text)
        return r;
    uint64_t value;
    if (!quantity_parse(text, units, &value) || !range_holds(range, value))
        return refuse_text(place);
    *outp = value;
    return 0;
}

static int duration_at(struct place place, struct yaml_range range, uint64_t *outp) {
    int r;
    char words[RANGE_WORDS_MAX];
    if (!place_expect(&place, &r, "a duration%s (as 500ms, 30s, 6m, 2h, 1d)",
                      range_words(words, range, duration_units)))
        return r;
    return quantity_at(&place, duration_units, range, outp);
}

static int size_at(struct place place, struct yaml_range range, uint64_t *outp) {
    int r;
    char words[RANGE_WORDS_MAX];
    if (!place_expect(&place, &r, "a size%s (as 512B, 64KiB, 8GiB)", range_words(words, range, size_units)))
        return r;
    return quantity_at(&place, size_units, range, outp);
}

static int amount_at(struct place place, struct yaml_amount *outp) {
    static const struct unit percent_units[] = {{"%", 1}, {NULL, 0}};
    int r;
    if (!place_expect(&place, &r, "a count from 0 to %d or a percentage from 0%% to 100%%",
                      KEDGE_MEMBERS_MAX))
        return r;
    const char *text = place_text(&place, &r);
    if (!text)
        return r;
    struct yaml_amount amount = {0};
    amount.is_percent = quantity_parse(text, percent_units, &amount.value);
    uint64_t most = amount.is_percent ? 100 : KEDGE_MEMBERS_MAX;
    if ((!amount.is_percent && !number_parse(text, &amount.value)) || amount.value > most)
        return refuse_text(&place);
    *outp = amount;
    return 0;
}

/* Is it a list with as many items as the range says? */
static int items_judge(const struct place *place, struct yaml_range range) {
    if (place->node->kind != YAML_KIND_LIST)
        return refuse_kind(place);
    char found[32] = "an empty list";
    if (place->node->n > 0)
        snprintf(found, sizeof(found), "a list of %u", place->node->n);
    return range_holds(range, place->node->n) ? 0 : place_refuse(place, place->node, found);
}

static int list_at(struct place place, struct yaml_range range, const struct yaml_node **outp) {
    int r;
    char words[RANGE_WORDS_MAX];
    if (!place_expect(&place, &r, "a list of %s", count_words(words, range, "items")))
        return r;
    r = items_judge(&place, range);
    if (r == 0)
        *outp = place.node;
    return r;
}

/* `position` from 0; the error names it from 1, at the item's own line. */
static int item_text(const struct place *place, const struct yaml_node *item, unsigned position,
                     const char **outp) {
    char found[64];
    if (item->kind != YAML_KIND_TEXT)
        snprintf(found, sizeof(found), "%s as item %u", kind_words(item), position + 1);
    else if (strlen(item->text) > KEDGE_ARGUMENT_MAX)
        snprintf(found, sizeof(found), "more than %d bytes in item %u", KEDGE_ARGUMENT_MAX, position + 1);
    else
        *outp = item->text;
    return *outp ? 0 : place_refuse(place, item, found);
}

static int texts_at(struct place place, struct yaml_range range, struct yaml_texts *outp) {
    int r;
    char words[RANGE_WORDS_MAX];
    if (!place_expect(&place, &r, "a list of %s", count_words(words, range, "texts")))
        return r;
    r = items_judge(&place, range);
    if (r < 0)
        return r;
    const struct yaml_node *list = place.node;
    const char **items = arena_array(list->file->arena, (size_t)list->n + 1, sizeof(char *));
    if (!items)
        return error_set(place.err, -ENOMEM,
                         "%s: line %u, column %u: the file needs more memory than it may have, "
                         "expected a smaller one",
                         list->file->name, list->line, list->column);
    for (unsigned i = 0; i < list->n && r == 0; i++)
        r = item_text(&place, list->items[i], i, &items[i]);
    if (r == 0)
        *outp = (struct yaml_texts){items, list->n};
    return r;
}

static int map_at(struct place place, const struct yaml_node **outp) {
    int r;
    if (!place_expect(&place, &r, "a map"))
        return r;
    if (place.node->kind != YAML_KIND_MAP)
        return refuse_kind(&place);
    *outp = place.node;
    return 0;
}

static int node_at(struct place place, const struct yaml_node **outp) {
    int r;
    if (!place_expect(&place, &r, "a value"))
        return r;
    if (place.node->kind == YAML_KIND_NOTHING)
        return refuse_kind(&place);
    *outp = place.node;
    return 0;
}

int yaml_map_begin(struct yaml_map *map, const struct yaml_node *node, const char *what, struct error *err) {
    *map = (struct yaml_map){.node = node, .what = what, .err = err};
    if (node->kind == YAML_KIND_MAP)
        return 0;
    return yaml_refuse(node, err, "%s: expected a map, found %s", what, kind_words(node));
}

/* What the map may hold, and which of it was perhaps meant. */
static int refuse_unknown(const struct yaml_map *map, const struct yaml_node *key) {
    struct yaml_nearest nearest = {.typed = key->text};
    char known[1024] = "none";
    size_t used = 0;
    for (unsigned i = 0; i < map->n_known; i++) {
        yaml_nearest_offer(&nearest, map->known[i]);
        int n = used < sizeof(known)
                    ? snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "", map->known[i])
                    : 0;
        used += n > 0 ? (size_t)n : 0;
    }
    char meant[128] = "", shown[SHOWN_MAX];
    if (nearest.word)
        snprintf(meant, sizeof(meant), " did you mean \"%s\"?", nearest.word);
    return yaml_refuse(key, map->err, "unknown key %s in %s;%s known keys: %s", text_shown(shown, key->text),
                       map->what, meant, known);
}

int yaml_map_end(struct yaml_map *map) {
    yaml_each(pair, map->node) {
        if (!key_is_known(map, pair->key->text))
            return refuse_unknown(map, pair->key);
    }
    return 0;
}

bool yaml_has(struct yaml_map *map, const char *key) {
    key_know(map, key);
    return key_find(map, key) != NULL;
}

/* The doors: required, optional. */

int yaml_take_text(struct yaml_map *map, const char *key, size_t max, const char **outp) {
    return text_at(place_required(map, key), yaml_range(1, max), outp);
}

int yaml_take_text_optional(struct yaml_map *map, const char *key, size_t max, const char **outp) {
    return text_at(place_optional(map, key), yaml_range(1, max), outp);
}

int yaml_take_uint(struct yaml_map *map, const char *key, struct yaml_range range, uint64_t *outp) {
    return uint_at(place_required(map, key), range, outp);
}

int yaml_take_uint_optional(struct yaml_map *map, const char *key, struct yaml_range range, uint64_t *outp) {
    return uint_at(place_optional(map, key), range, outp);
}

int yaml_take_bool(struct yaml_map *map, const char *key, bool *outp) {
    return bool_at(place_required(map, key), outp);
}

int yaml_take_bool_optional(struct yaml_map *map, const char *key, bool *outp) {
    return bool_at(place_optional(map, key), outp);
}

int yaml_take_enum(struct yaml_map *map, const char *key, const struct yaml_word *table, int *outp) {
    return enum_at(place_required(map, key), table, outp);
}

int yaml_take_enum_optional(struct yaml_map *map, const char *key, const struct yaml_word *table, int *outp) {
    return enum_at(place_optional(map, key), table, outp);
}

int yaml_take_duration(struct yaml_map *map, const char *key, struct yaml_range range_ms, uint64_t *ms_outp) {
    return duration_at(place_required(map, key), range_ms, ms_outp);
}

int yaml_take_duration_optional(struct yaml_map *map, const char *key, struct yaml_range range_ms,
                                uint64_t *ms_outp) {
    return duration_at(place_optional(map, key), range_ms, ms_outp);
}

int yaml_take_size(struct yaml_map *map, const char *key, struct yaml_range range_bytes,
                   uint64_t *bytes_outp) {
    return size_at(place_required(map, key), range_bytes, bytes_outp);
}

int yaml_take_size_optional(struct yaml_map *map, const char *key, struct yaml_range range_bytes,
                            uint64_t *bytes_outp) {
    return size_at(place_optional(map, key), range_bytes, bytes_outp);
}

int yaml_take_percent_or_count(struct yaml_map *map, const char *key, struct yaml_amount *outp) {
    return amount_at(place_required(map, key), outp);
}

int yaml_take_percent_or_count_optional(struct yaml_map *map, const char *key, struct yaml_amount *outp) {
    return amount_at(place_optional(map, key), outp);
}

int yaml_take_list(struct yaml_map *map, const char *key, struct yaml_range range,
                   const struct yaml_node **outp) {
    return list_at(place_required(map, key), range, outp);
}

int yaml_take_list_optional(struct yaml_map *map, const char *key, struct yaml_range range,
                            const struct yaml_node **outp) {
    return list_at(place_optional(map, key), range, outp);
}

int yaml_take_texts(struct yaml_map *map, const char *key, struct yaml_range range, struct yaml_texts *outp) {
    return texts_at(place_required(map, key), range, outp);
}

int yaml_take_texts_optional(struct yaml_map *map, const char *key, struct yaml_range range,
                             struct yaml_texts *outp) {
    return texts_at(place_optional(map, key), range, outp);
}

int yaml_take_map(struct yaml_map *map, const char *key, const struct yaml_node **outp) {
    return map_at(place_required(map, key), outp);
}

int yaml_take_map_optional(struct yaml_map *map, const char *key, const struct yaml_node **outp) {
    return map_at(place_optional(map, key), outp);
}

int yaml_take_node(struct yaml_map *map, const char *key, const struct yaml_node **outp) {
    return node_at(place_required(map, key), outp);
}

int yaml_take_node_optional(struct yaml_map *map, const char *key, const struct yaml_node **outp) {
    return node_at(place_optional(map, key), outp);
}

/* The doors for values without a key of the cursor. */

int yaml_text_of(const struct yaml_node *node, struct yaml_range range, const char **outp,
                 struct error *err) {
    return text_at(place_of_node(node, err), range, outp);
}

int yaml_uint_of(const struct yaml_node *node, struct yaml_range range, uint64_t *outp, struct error *err) {
    return uint_at(place_of_node(node, err), range, outp);
}

int yaml_bool_of(const struct yaml_node *node, bool *outp, struct error *err) {
    return bool_at(place_of_node(node, err), outp);
}

int yaml_enum_of(const struct yaml_node *node, const struct yaml_word *table, int *outp, struct error *err) {
    return enum_at(place_of_node(node, err), table, outp);
}

int yaml_duration_of(const struct yaml_node *node, struct yaml_range range_ms, uint64_t *ms_outp,
                     struct error *err) {
    return duration_at(place_of_node(node, err), range_ms, ms_outp);
}

int yaml_list_of(const struct yaml_node *node, struct yaml_range range, const struct yaml_node **outp,
                 struct error *err) {
    return list_at(place_of_node(node, err), range, outp);
}

int yaml_texts_of(const struct yaml_node *node, struct yaml_range range, struct yaml_texts *outp,
                  struct error *err) {
    return texts_at(place_of_node(node, err), range, outp);
}

int yaml_map_of(const struct yaml_node *node, const struct yaml_node **outp, struct error *err) {
    return map_at(place_of_node(node, err), outp);
}
