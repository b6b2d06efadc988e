/* Strict YAML: a tree of texts, lists and maps with the place of each, and a cursor that takes a map apart
 * key by key and refuses what is left over (parse, reject leftovers, judge, freeze).
 *
 *     struct yaml_map map;
 *     if ((r = yaml_map_begin(&map, node, "member", err)) < 0 ||
 *         (r = yaml_take_text(&map, "host", KEDGE_NAME_MAX, &member->host)) < 0 ||
 *         (r = yaml_take_uint(&map, "port", yaml_range(1, 65535), &member->port)) < 0 ||
 *         (r = yaml_take_duration_optional(&map, "soak", yaml_range(0, HOUR_MS), &member->soak_ms)) < 0 ||
 *         (r = yaml_map_end(&map)) < 0)
 *         return r;
 *
 * Accepted is the part of YAML that reads the same to everybody: one document, no anchors, aliases, tags,
 * directives or merge keys; keys are plain, not empty and stand once in a map; UTF-8 without control bytes,
 * carriage returns or marks that change the direction of text, not even escaped. There are no implicit
 * types: `4.5`, `no` and `2024-01-01` are texts until a taker asks for something else. A value that is left
 * out, `~` or `null` is nothing, and no taker accepts it.
 *
 * Errors: 0 or negative: -EINVAL for what the author of the file must change, -EFBIG when it is too large,
 * -ENOMEM when memory or the arena's cap is out, and what open(2) and read(2) return. Each is one sentence
 * in err, which may be NULL: `FILE: line L, column C: what was wrong, what was expected`. Nothing is
 * printed. After an error the caller returns.
 *
 * Ownership: everything that is returned lies in the arena that was given to yaml_read or yaml_parse. */
#ifndef KEDGE_YAML_READER_H
#define KEDGE_YAML_READER_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"

#include <stdbool.h>

/* NOTHING: left out, `~` or `null`, unquoted. */
enum yaml_kind { YAML_KIND_NOTHING, YAML_KIND_TEXT, YAML_KIND_LIST, YAML_KIND_MAP };

/* The file that a tree came from: its name for errors, the arena that it lies in. */
struct yaml_file {
    const char *name;
    struct arena *arena;
};

struct yaml_node {
    const struct yaml_file *file;
    enum yaml_kind kind;
    unsigned line, column; /* from 1; columns count characters */
    unsigned n;            /* items of a list, pairs of a map */
    const char *text;      /* of a text: UTF-8, NUL-terminated, no NUL inside; otherwise NULL */
    union {
        const struct yaml_node *const *items; /* of a list, in the order of the file */
        const struct yaml_pair *pairs;        /* of a map, in the order of the file */
    };
};

struct yaml_pair {
    const struct yaml_node *key; /* a text */
    const struct yaml_node *value;
};

/* Bytes that are already in memory, and the name that errors give them. */
struct yaml_source {
    const char *name;
    struct bytes content;
};

/* Both ends belong to it. The unit is the taker's: a number, milliseconds, bytes, items. */
struct yaml_range {
    uint64_t min, max;
};

static inline struct yaml_range yaml_range(uint64_t min, uint64_t max) {
    return (struct yaml_range){min, max};
}

/* A row of an enumeration's table; the table ends with a row whose word is NULL. */
struct yaml_word {
    const char *word;
    int value;
};

/* `items[n]` is NULL, so the array also serves as an argument vector. */
struct yaml_texts {
    const char *const *items;
    size_t n;
};

/* "25%" or "3". */
struct yaml_amount {
    uint64_t value;
    bool is_percent;
};

/* The most keys that one map with known keys may know: more is a bug of the caller, and asserted. */
enum { YAML_KNOWN_KEYS_MAX = 64 };

/* A cursor over one map; embedded, nothing to free. Its fields belong to the reader. */
struct yaml_map {
    const struct yaml_node *node;
    const char *what;
    struct error *err;
    const char *known[YAML_KNOWN_KEYS_MAX];
    unsigned n_known;
};

/* Reads the file, at most KEDGE_YAML_BYTES_MAX of it and KEDGE_YAML_DEPTH_MAX lists and maps deep. A small
 * node costs some 64 bytes of the arena; KEDGE_DOCUMENT_ARENA_BYTES_MAX is a good cap. */
int yaml_read(struct arena *arena, const char *path, const struct yaml_node **rootp,
              struct error *err) _must_check_;

/* The same for bytes in memory. Nothing points into the source afterwards. */
int yaml_parse(struct arena *arena, const struct yaml_source *source, const struct yaml_node **rootp,
               struct error *err) _must_check_;

/* Begins to take a map apart. `what` names it in errors ("member", "gate writable") and, like err and the
 * tree, must stay valid until yaml_map_end. Refuses what is not a map. */
int yaml_map_begin(struct yaml_map *map, const struct yaml_node *node, const char *what,
                   struct error *err) _must_check_;

/* Refuses the first key that no taker and no yaml_has asked for, names the nearest known one and lists all.
 */
int yaml_map_end(struct yaml_map *map) _must_check_;

/* Is the key there? Makes it known. For rules between keys: "either port or socket". */
bool yaml_has(struct yaml_map *map, const char *key);

/* The known word that was perhaps meant: set `typed`, offer every candidate, read `word`, which stays NULL
 * while none is near (one edit for the shortest words, three for long ones). */
struct yaml_nearest {
    const char *typed, *word;
    unsigned distance;
};
void yaml_nearest_offer(struct yaml_nearest *nearest, const char *candidate);

/* Takers. Each makes its key known; `key` must stay valid until yaml_map_end. The plain one refuses a
 * missing key, the _optional one leaves *outp as it is, so the caller puts the default there first. On error
 * *outp is unchanged. */

/* A text of 1 to `max` bytes. */
int yaml_take_text(struct yaml_map *map, const char *key, size_t max, const char **outp) _must_check_;
int yaml_take_text_optional(struct yaml_map *map, const char *key, size_t max,
                            const char **outp) _must_check_;

/* Decimal digits, no sign, no leading zero. */
int yaml_take_uint(struct yaml_map *map, const char *key, struct yaml_range range,
                   uint64_t *outp) _must_check_;
int yaml_take_uint_optional(struct yaml_map *map, const char *key, struct yaml_range range,
                            uint64_t *outp) _must_check_;

/* `true` or `false`, nothing else. */
int yaml_take_bool(struct yaml_map *map, const char *key, bool *outp) _must_check_;
int yaml_take_bool_optional(struct yaml_map *map, const char *key, bool *outp) _must_check_;

/* One word of the table; *outp is its value. */
int yaml_take_enum(struct yaml_map *map, const char *key, const struct yaml_word *table,
                   int *outp) _must_check_;
int yaml_take_enum_optional(struct yaml_map *map, const char *key, const struct yaml_word *table,
                            int *outp) _must_check_;

/* A whole number with its unit: ms, s, m, h, d. Range and result in milliseconds. */
int yaml_take_duration(struct yaml_map *map, const char *key, struct yaml_range range_ms,
                       uint64_t *ms_outp) _must_check_;
int yaml_take_duration_optional(struct yaml_map *map, const char *key, struct yaml_range range_ms,
                                uint64_t *ms_outp) _must_check_;

/* A whole number with its unit: B, KiB, MiB, GiB, TiB. Range and result in bytes. */
int yaml_take_size(struct yaml_map *map, const char *key, struct yaml_range range_bytes,
                   uint64_t *bytes_outp) _must_check_;
int yaml_take_size_optional(struct yaml_map *map, const char *key, struct yaml_range range_bytes,
                            uint64_t *bytes_outp) _must_check_;

/* "0%" to "100%", or a count from 0 to KEDGE_MEMBERS_MAX. */
int yaml_take_percent_or_count(struct yaml_map *map, const char *key, struct yaml_amount *outp) _must_check_;
int yaml_take_percent_or_count_optional(struct yaml_map *map, const char *key,
                                        struct yaml_amount *outp) _must_check_;

/* A list of anything; the range counts items. Walk it with yaml_each_item. */
int yaml_take_list(struct yaml_map *map, const char *key, struct yaml_range range,
                   const struct yaml_node **outp) _must_check_;
int yaml_take_list_optional(struct yaml_map *map, const char *key, struct yaml_range range,
                            const struct yaml_node **outp) _must_check_;

/* A list of texts, each 0 to KEDGE_ARGUMENT_MAX bytes; the range counts them. */
int yaml_take_texts(struct yaml_map *map, const char *key, struct yaml_range range,
                    struct yaml_texts *outp) _must_check_;
int yaml_take_texts_optional(struct yaml_map *map, const char *key, struct yaml_range range,
                             struct yaml_texts *outp) _must_check_;

/* A map, to be begun with yaml_map_begin (known keys) or walked with yaml_each (free keys). */
int yaml_take_map(struct yaml_map *map, const char *key, const struct yaml_node **outp) _must_check_;
int yaml_take_map_optional(struct yaml_map *map, const char *key, const struct yaml_node **outp) _must_check_;

/* Whatever stands there, for values of more than one kind. */
int yaml_take_node(struct yaml_map *map, const char *key, const struct yaml_node **outp) _must_check_;
int yaml_take_node_optional(struct yaml_map *map, const char *key,
                            const struct yaml_node **outp) _must_check_;

/* The same judgements for items of lists and values under free keys; here the range of a text counts its
 * bytes. */
int yaml_text_of(const struct yaml_node *node, struct yaml_range range, const char **outp,
                 struct error *err) _must_check_;
int yaml_uint_of(const struct yaml_node *node, struct yaml_range range, uint64_t *outp,
                 struct error *err) _must_check_;
int yaml_bool_of(const struct yaml_node *node, bool *outp, struct error *err) _must_check_;
int yaml_enum_of(const struct yaml_node *node, const struct yaml_word *table, int *outp,
                 struct error *err) _must_check_;
int yaml_duration_of(const struct yaml_node *node, struct yaml_range range_ms, uint64_t *ms_outp,
                     struct error *err) _must_check_;
int yaml_list_of(const struct yaml_node *node, struct yaml_range range, const struct yaml_node **outp,
                 struct error *err) _must_check_;
int yaml_texts_of(const struct yaml_node *node, struct yaml_range range, struct yaml_texts *outp,
                  struct error *err) _must_check_;
int yaml_map_of(const struct yaml_node *node, const struct yaml_node **outp, struct error *err) _must_check_;

/* Walks a map with free keys, or a list, in the order of the file; `node` must be of that kind:
 *     yaml_each(pair, node) use(pair->key->text, pair->value);
 *     yaml_each_item(item, node) use(*item); */
#define yaml_each(pair, node)                                                                                \
    for (const struct yaml_pair *pair = (node)->pairs; pair < (node)->pairs + (node)->n; pair++)
#define yaml_each_item(item, node)                                                                           \
    for (const struct yaml_node *const *item = (node)->items; item < (node)->items + (node)->n; item++)

/* For judgements of the caller: `FILE: line L, column C: ` and the sentence, returns -EINVAL. */
int yaml_refuse(const struct yaml_node *node, struct error *err, const char *format, ...) _must_check_
    _printf_(3, 4);

#endif
