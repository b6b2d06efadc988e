/* Why libyaml's events and not its documents: its loader resolves aliases and keeps repeated keys, and a
 * bomb would be built before we could look at it; events are refused one by one, before anything is made of
 * them. Children are chained while their list or map is open and become one array when it closes, so that
 * nothing grows by copying and all of it lies in the arena. The one file that knows libyaml. */
#include "common/yaml/internal.h"

#include "common/base/file.h"
#include "common/base/limits.h"

#include <stdarg.h>
#include <string.h>
#include <yaml.h>

struct child {
    struct yaml_node node;
    struct child *next;
};

struct open_node {
    struct child *self, *first, *last;
};

struct reader {
    const struct yaml_file *file;
    struct bytes content;
    struct error *err;
    struct child *root;
    struct open_node open[KEDGE_YAML_DEPTH_MAX];
    unsigned depth;
    size_t byte, character; /* the same place of the content, moving forward with the events */
};

static int refuse_at(const struct yaml_file *file, size_t line, size_t column, int code, struct error *err) {
    return error_context(err, code, "%s: line %zu, column %zu", file->name, line, column);
}

int yaml_refuse(const struct yaml_node *node, struct error *err, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    if (err)
        vsnprintf(err->text, sizeof(err->text), format, ap);
    va_end(ap);
    return refuse_at(node->file, node->line, node->column, -EINVAL, err);
}

static int refuse_mark(const struct reader *reader, yaml_mark_t mark, const char *sentence) {
    error_set(reader->err, -EINVAL, "%s", sentence);
    return refuse_at(reader->file, mark.line + 1, mark.column + 1, -EINVAL, reader->err);
}

static int refuse_memory(const struct reader *reader, yaml_mark_t mark) {
    error_set(reader->err, -ENOMEM, "the file needs more memory than it may have, expected a smaller one");
    return refuse_at(reader->file, mark.line + 1, mark.column + 1, -ENOMEM, reader->err);
}

/* Before libyaml sees a byte: size and characters. */
static int content_judge(const struct reader *reader) {
    const struct bytes content = reader->content;
    if (content.len > KEDGE_YAML_BYTES_MAX) {
        error_set(reader->err, -EFBIG, "found %zu bytes, expected at most %d", content.len,
                  KEDGE_YAML_BYTES_MAX);
        return refuse_at(reader->file, 1, 1, -EFBIG, reader->err);
    }
    struct text_flaw flaw;
    if (text_judge(content, &flaw))
        return 0;
    size_t line = 1, column = 1;
    for (size_t i = 0; i < flaw.offset; i++) {
        if (content.data[i] == '\n') {
            line++;
            column = 1;
        } else if ((content.data[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    error_set(reader->err, -EINVAL, "found %s, expected UTF-8 text without control characters", flaw.words);
    return refuse_at(reader->file, line, column, -EINVAL, reader->err);
}

/* libyaml's own complaint as one sentence. */
static int refuse_syntax(const struct reader *reader, const yaml_parser_t *parser) {
    if (parser->error == YAML_MEMORY_ERROR)
        return refuse_memory(reader, parser->mark);
    const char *problem = parser->problem ? parser->problem : "the text cannot be read";
    if (parser->context)
        error_set(reader->err, -EINVAL, "%s %s from line %zu, column %zu, expected well-formed YAML", problem,
                  parser->context, parser->context_mark.line + 1, parser->context_mark.column + 1);
    else
        error_set(reader->err, -EINVAL, "%s, expected well-formed YAML", problem);
    return refuse_at(reader->file, parser->problem_mark.line + 1, parser->problem_mark.column + 1, -EINVAL,
                     reader->err);
}

/* The byte where an event begins. */
static uint8_t byte_at(struct reader *reader, yaml_mark_t mark) {
    while (reader->byte < reader->content.len && reader->character < mark.index) {
        reader->byte++;
        if (reader->byte == reader->content.len || (reader->content.data[reader->byte] & 0xc0) != 0x80)
            reader->character++;
    }
    return reader->byte < reader->content.len ? reader->content.data[reader->byte] : 0;
}

static int properties_judge(const struct reader *reader, const yaml_event_t *event, const yaml_char_t *anchor,
                            const yaml_char_t *tag) {
    if (anchor)
        return refuse_mark(reader, event->start_mark, "found an anchor, expected a value without one");
    if (tag)
        return refuse_mark(reader, event->start_mark, "found a tag, expected a value without one");
    return 0;
}

static bool scalar_is_nothing(const yaml_event_t *event) {
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp((const char *)event->data.scalar.value, words[i]) == 0)
            return true;
    return false;
}

static bool key_is_next(const struct reader *reader) {
    const struct open_node *top = reader->depth > 0 ? &reader->open[reader->depth - 1] : NULL;
    return top && top->self->node.kind == YAML_KIND_MAP && top->self->node.n % 2 == 0;
}

static int key_judge(const struct reader *reader, const yaml_event_t *event, enum yaml_kind kind) {
    if (kind == YAML_KIND_NOTHING)
        return refuse_mark(reader, event->start_mark, "found nothing as a key, expected a plain text");
    if (kind != YAML_KIND_TEXT)
        return refuse_mark(reader, event->start_mark,
                           kind == YAML_KIND_LIST ? "found a list as a key, expected a plain text"
                                                  : "found a map as a key, expected a plain text");
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return refuse_mark(reader, event->start_mark, "found a quoted key, expected it without quotes");
    if (strcmp((const char *)event->data.scalar.value, "<<") == 0)
        return refuse_mark(reader, event->start_mark, "found a merge key (<<), expected the keys themselves");
    return 0;
}

/* Makes a node and hangs it under the list or map that is open. While a map is open, n counts keys and
 * values. */
static int child_add(struct reader *reader, const yaml_event_t *event, enum yaml_kind kind,
                     struct child **childp) {
    if (key_is_next(reader)) {
        int r = key_judge(reader, event, kind);
        if (r < 0)
            return r;
    }
    struct child *child = arena_alloc(reader->file->arena, sizeof(*child));
    if (!child)
        return refuse_memory(reader, event->start_mark);
    child->node.file = reader->file;
    child->node.kind = kind;
    child->node.line = (unsigned)event->start_mark.line + 1;
    child->node.column = (unsigned)event->start_mark.column + 1;
    *childp = child;
    if (reader->depth == 0) {
        reader->root = child;
        return 0;
    }
    struct open_node *top = &reader->open[reader->depth - 1];
    if (top->last)
        top->last->next = child;
    else
        top->first = child;
    top->last = child;
    top->self->node.n++;
    return 0;
}

static int scalar_add(struct reader *reader, const yaml_event_t *event) {
    int r = properties_judge(reader, event, event->data.scalar.anchor, event->data.scalar.tag);
    if (r < 0)
        return r;
    /* libyaml drops the tag `!`; no plain text begins with it. Quoted ones tell by their flag. */
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (is_plain ? byte_at(reader, event->start_mark) == '!' : !event->data.scalar.quoted_implicit)
        return refuse_mark(reader, event->start_mark, "found a tag, expected a value without one");

    const struct bytes text = {event->data.scalar.value, event->data.scalar.length};
    struct text_flaw flaw;
    if (!text_judge(text, &flaw)) {
        error_set(reader->err, -EINVAL,
                  "found %s behind an escape, expected UTF-8 text without control characters", flaw.words);
        return refuse_at(reader->file, event->start_mark.line + 1, event->start_mark.column + 1, -EINVAL,
                         reader->err);
    }

    struct child *child = NULL;
    bool is_nothing = scalar_is_nothing(event);
    r = child_add(reader, event, is_nothing ? YAML_KIND_NOTHING : YAML_KIND_TEXT, &child);
    if (r < 0 || is_nothing)
        return r;
    child->node.text = arena_text_n(reader->file->arena, (const char *)text.data, text.len);
    return child->node.text ? 0 : refuse_memory(reader, event->start_mark);
}

static int open_add(struct reader *reader, const yaml_event_t *event, enum yaml_kind kind) {
    if (reader->depth == KEDGE_YAML_DEPTH_MAX) {
        error_set(reader->err, -EINVAL, "found a list or map inside %d others, expected a flatter file",
                  KEDGE_YAML_DEPTH_MAX);
        return refuse_at(reader->file, event->start_mark.line + 1, event->start_mark.column + 1, -EINVAL,
                         reader->err);
    }
    struct child *child = NULL;
    int r = child_add(reader, event, kind, &child);
    if (r < 0)
        return r;
    reader->open[reader->depth++] = (struct open_node){.self = child};
    return 0;
}

static int list_close(struct reader *reader, const yaml_event_t *event) {
    const struct open_node *top = &reader->open[--reader->depth];
    struct yaml_node *list = &top->self->node;
    const struct yaml_node **items = arena_array(reader->file->arena, list->n, sizeof(struct yaml_node *));
    if (!items)
        return refuse_memory(reader, event->start_mark);
    size_t i = 0;
    for (const struct child *child = top->first; child; child = child->next)
        items[i++] = &child->node;
    list->items = items;
    return 0;
}

/* Orders keys by text and equal ones by place: pairs of one map lie in the file's order. */
static int key_compare(const void *a, const void *b) {
    const struct yaml_node *left = *(const struct yaml_node *const *)a,
                           *right = *(const struct yaml_node *const *)b;
    int order = strcmp(left->text, right->text);
    if (order != 0)
        return order;
    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    return left->column < right->column ? -1 : left->column > right->column;
}

/* Refuses the first key, in the order of the file, that stood before. Sorted, so that a large map costs n
 * log n. */
static int keys_judge(const struct reader *reader, const struct yaml_node *map,
                      const struct yaml_node **sorted) {
    const struct yaml_node *found = NULL, *before = NULL;
    qsort(sorted, map->n, sizeof(struct yaml_node *), key_compare);
    for (size_t i = 1; i < map->n; i++) {
        const struct yaml_node *key = sorted[i];
        bool is_repeated = strcmp(sorted[i - 1]->text, key->text) == 0;
        bool is_earlier =
            !found || key->line < found->line || (key->line == found->line && key->column < found->column);
        if (is_repeated && is_earlier) {
            found = key;
            before = sorted[i - 1];
        }
    }
    char shown[SHOWN_MAX];
    if (found)
        return yaml_refuse(found, reader->err,
                           "repeated key %s, expected it once (it stands at line %u, column %u)",
                           text_shown(shown, found->text), before->line, before->column);
    return 0;
}

static int map_close(struct reader *reader, const yaml_event_t *event) {
    const struct open_node *top = &reader->open[--reader->depth];
    struct yaml_node *map = &top->self->node;
    map->n /= 2;
    struct yaml_pair *pairs = arena_array(reader->file->arena, map->n, sizeof(*pairs));
    const struct yaml_node **sorted = arena_array(reader->file->arena, map->n, sizeof(struct yaml_node *));
    if (!pairs || !sorted)
        return refuse_memory(reader, event->start_mark);
    size_t i = 0;
    for (const struct child *key = top->first; key; key = key->next->next) {
        sorted[i] = &key->node;
        pairs[i++] = (struct yaml_pair){&key->node, &key->next->node};
    }
    map->pairs = pairs;
    return keys_judge(reader, map, sorted);
}

static int document_begin(const struct reader *reader, const yaml_event_t *event) {
    if (reader->root)
        return refuse_mark(reader, event->start_mark, "found a second document, expected one in a file");
    if (event->data.document_start.version_directive ||
        event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end)
        return refuse_mark(reader, event->start_mark, "found a directive (%), expected a file without one");
    return 0;
}

static int event_handle(struct reader *reader, const yaml_event_t *event) {
    int r = 0;
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT: return 0;
    case YAML_STREAM_END_EVENT:
        return reader->root
                   ? 0
                   : refuse_mark(reader, event->start_mark, "the file is empty, expected a document");
    case YAML_DOCUMENT_START_EVENT: return document_begin(reader, event);
    case YAML_ALIAS_EVENT:
        return refuse_mark(reader, event->start_mark, "found an alias, expected the value itself");
    case YAML_SCALAR_EVENT: return scalar_add(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        r = properties_judge(reader, event, event->data.sequence_start.anchor,
                             event->data.sequence_start.tag);
        return r < 0 ? r : open_add(reader, event, YAML_KIND_LIST);
    case YAML_MAPPING_START_EVENT:
        r = properties_judge(reader, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        return r < 0 ? r : open_add(reader, event, YAML_KIND_MAP);
    case YAML_SEQUENCE_END_EVENT: return list_close(reader, event);
    case YAML_MAPPING_END_EVENT: return map_close(reader, event);
    }
    return 0;
}

static int events_read(struct reader *reader) {
    _cleanup_(yaml_parser_delete) yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return refuse_memory(reader, (yaml_mark_t){0});
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, reader->content.data, reader->content.len);
    for (bool is_end = false; !is_end;) {
        _cleanup_(yaml_event_delete) yaml_event_t event = {0};
        if (!yaml_parser_parse(&parser, &event))
            return refuse_syntax(reader, &parser);
        int r = event_handle(reader, &event);
        if (r < 0)
            return r;
        is_end = event.type == YAML_STREAM_END_EVENT;
    }
    return 0;
}

int yaml_parse(struct arena *arena, const struct yaml_source *source, const struct yaml_node **rootp,
               struct error *err) {
    const struct yaml_file outside = {source->name, arena};
    struct reader reader = {.file = &outside, .content = source->content, .err = err};
    struct yaml_file *file = arena_alloc(arena, sizeof(*file));
    const char *name = arena_text(arena, source->name);
    if (!file || !name)
        return refuse_memory(&reader, (yaml_mark_t){0});
    *file = (struct yaml_file){name, arena};
    reader.file = file;
    int r = content_judge(&reader);
    if (r == 0)
        r = events_read(&reader);
    if (r < 0)
        return r;
    *rootp = &reader.root->node;
    return 0;
}

int yaml_read(struct arena *arena, const char *path, const struct yaml_node **rootp, struct error *err) {
    _cleanup_(buffer_deinit) struct buffer content = {0};
    int r = file_read(path, KEDGE_YAML_BYTES_MAX, &content, err);
    if (r < 0)
        return r;
    return yaml_parse(arena, &(struct yaml_source){path, buffer_bytes(&content)}, rootp, err);
}
