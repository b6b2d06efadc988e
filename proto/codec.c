/* Why one generic walk over tables instead of a pair of functions per message: thirty messages with ten fields each
 * would be two thousand lines in which a forgotten limit hides. Here a field is one row, and its limit stands in it.
 *
 * protobuf-c's descriptors say where the generated structs keep a field; our rows say where ours do. The two are joined
 * by name. */
#include "proto/codec.h"

#include "common/base/limits.h"
#include "common/base/text.h"

#include <assert.h>
#include <string.h>

/* What protobuf-c allocates is charged to the arena; it cannot tell us itself why it gave up. */
struct charge {
    struct arena *arena;
    bool exhausted;
};

static void *charge_allocate(void *data, size_t size) {
    struct charge *charge = data;
    void *p = arena_alloc(charge->arena, size);
    charge->exhausted |= !p;
    return p;
}

static void charge_release(void *data, void *pointer) {
    (void)data;
    (void)pointer;
}

/* Where row `i` stands on the wire. Our rows follow the order of its fields, so its own place is looked at first: to
 * search by name for each field of each message is dear in a plan of 10,000 members. */
static const ProtobufCFieldDescriptor *wire_field(const struct codec_message *message, size_t i) {
    const char *name = message->fields[i].name;
    if (i < message->wire->n_fields && strcmp(message->wire->fields[i].name, name) == 0)
        return &message->wire->fields[i];
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->wire, name);
    assert(field);
    return field;
}

static int refuse(const struct codec_message *message, const struct codec_field *field, const char *why,
                  struct error *err) {
    return error_set(err, -EBADMSG, "%s.%s: %s", message->name, field->name, why);
}

/* ---- decoding ---- */

struct decoder {
    struct arena *arena;
    struct error *err;
};

static int decode_into(const struct decoder *d, const struct codec_message *message,
                       const ProtobufCMessage *wire, void *ours);

static int text_check(const struct codec_message *m, const struct codec_field *f, const char *text,
                      struct error *err) {
    if (strlen(text) > f->max)
        return refuse(m, f, "text is too long", err);
    if (f->one_line ? !text_is_line(text) : !text_is_clean(text))
        return refuse(m, f, "text is not UTF-8, or has control, invisible or direction characters", err);
    return 0;
}

static int number_check(const struct codec_message *m, const struct codec_field *f, uint64_t value,
                        struct error *err) {
    return value > f->max ? refuse(m, f, "number is out of range", err) : 0;
}

/* Present bytes have an address, also when there are none of them. */
static struct bytes bytes_of(const ProtobufCBinaryData *data) {
    return (struct bytes){data->len > 0 ? data->data : (const uint8_t *)"", data->len};
}

static int decode_list(const struct decoder *d, const struct codec_message *m, const struct codec_field *f,
                       const ProtobufCFieldDescriptor *wf, const uint8_t *wire, uint8_t *ours) {
    size_t n = *(const size_t *)(const void *)(wire + wf->quantifier_offset);
    const void *items = *(void *const *)(const void *)(wire + wf->offset);
    if (n > f->max_items)
        return refuse(m, f, "too many items", d->err);
    size_t size = f->kind == CODEC_TEXTS        ? sizeof(const char *)
                  : f->kind == CODEC_BYTES_LIST ? sizeof(struct bytes)
                  : f->kind == CODEC_U32_LIST   ? sizeof(uint32_t)
                  : f->kind == CODEC_FIXED_LIST ? f->max
                                                : f->sub->size;
    uint8_t *list = arena_array(d->arena, n, size);
    if (!list)
        return error_set(d->err, -ENOMEM, "%s.%s: the document is too large", m->name, f->name);
    for (size_t i = 0; i < n; i++) {
        int r = 0;
        if (f->kind == CODEC_TEXTS) {
            char *text = ((char *const *)items)[i];
            r = text_check(m, f, text, d->err);
            ((const char **)(void *)list)[i] = text;
        } else if (f->kind == CODEC_U32_LIST) {
            ((uint32_t *)(void *)list)[i] = ((const uint32_t *)items)[i];
            r = number_check(m, f, ((const uint32_t *)items)[i], d->err);
        } else if (f->kind == CODEC_SUBS) {
            r = decode_into(d, f->sub, ((ProtobufCMessage *const *)items)[i], list + i * size);
        } else {
            const ProtobufCBinaryData *data = (const ProtobufCBinaryData *)items + i;
            if (f->kind == CODEC_FIXED_LIST ? data->len != f->max : data->len > f->max)
                return refuse(m, f, "wrong length", d->err);
            if (f->kind == CODEC_FIXED_LIST)
                memcpy(list + i * size, data->data, size);
            else
                ((struct bytes *)(void *)list)[i] = bytes_of(data);
        }
        if (r < 0)
            return r;
    }
    *(void **)(void *)(ours + f->offset) = list;
    *(size_t *)(void *)(ours + f->count) = n;
    return 0;
}

static bool is_list(enum codec_kind kind) {
    return kind == CODEC_TEXTS || kind == CODEC_BYTES_LIST || kind == CODEC_FIXED_LIST ||
           kind == CODEC_U32_LIST || kind == CODEC_SUBS;
}

static bool wire_has(const ProtobufCFieldDescriptor *wf, const uint8_t *wire) {
    if (wf->label == PROTOBUF_C_LABEL_REQUIRED)
        return true;
    if (wf->type == PROTOBUF_C_TYPE_STRING || wf->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)(const void *)(wire + wf->offset) != NULL;
    return *(const protobuf_c_boolean *)(const void *)(wire + wf->quantifier_offset) != 0;
}

static int decode_sub(const struct decoder *d, const struct codec_field *f, const uint8_t *from,
                      uint8_t *to) {
    const ProtobufCMessage *sub = *(ProtobufCMessage *const *)(const void *)from;
    if (f->kind == CODEC_INLINE)
        return decode_into(d, f->sub, sub, to);
    void *fresh = arena_alloc(d->arena, f->sub->size);
    if (!fresh)
        return error_set(d->err, -ENOMEM, "%s: the document is too large", f->name);
    *(void **)(void *)to = fresh;
    return decode_into(d, f->sub, sub, fresh);
}

static int decode_binary(const struct decoder *d, const struct codec_message *m, const struct codec_field *f,
                         const uint8_t *from, uint8_t *to) {
    const ProtobufCBinaryData *data = (const ProtobufCBinaryData *)(const void *)from;
    if (f->kind == CODEC_FIXED ? data->len != f->max : data->len > f->max)
        return refuse(m, f, "wrong length", d->err);
    if (f->kind == CODEC_FIXED)
        memcpy(to, data->data, data->len);
    else
        *(struct bytes *)(void *)to = bytes_of(data);
    return 0;
}

static int decode_scalar(const struct decoder *d, const struct codec_message *m, const struct codec_field *f,
                         const uint8_t *from, uint8_t *to) {
    switch (f->kind) {
    case CODEC_TEXT:
        *(const char **)(void *)to = *(char *const *)(const void *)from;
        return text_check(m, f, *(char *const *)(const void *)from, d->err);
    case CODEC_U32:
    case CODEC_ENUM:
        *(uint32_t *)(void *)to = *(const uint32_t *)(const void *)from;
        return number_check(m, f, *(const uint32_t *)(const void *)from, d->err);
    case CODEC_U64: *(uint64_t *)(void *)to = *(const uint64_t *)(const void *)from; return 0;
    case CODEC_BOOL: *(bool *)to = *(const protobuf_c_boolean *)(const void *)from != 0; return 0;
    case CODEC_BYTES:
    case CODEC_FIXED: return decode_binary(d, m, f, from, to);
    case CODEC_SUB:
    case CODEC_INLINE: return decode_sub(d, f, from, to);
    case CODEC_TEXTS:
    case CODEC_BYTES_LIST:
    case CODEC_FIXED_LIST:
    case CODEC_U32_LIST:
    case CODEC_SUBS: break;
    }
    assert(false);
    return -EINVAL;
}

static int decode_into(const struct decoder *d, const struct codec_message *message,
                       const ProtobufCMessage *wire, void *ours) {
    const uint8_t *base = (const uint8_t *)wire;
    if (wire->n_unknown_fields > 0)
        return error_set(d->err, -EBADMSG, "%s: unknown field %u", message->name,
                         wire->unknown_fields[0].tag);
    for (size_t i = 0; i < message->n_fields; i++) {
        const struct codec_field *f = &message->fields[i];
        const ProtobufCFieldDescriptor *wf = wire_field(message, i);
        uint8_t *to = (uint8_t *)ours + f->offset;
        if (is_list(f->kind)) {
            int r = decode_list(d, message, f, wf, base, ours);
            if (r < 0)
                return r;
            continue;
        }
        bool has = wire_has(wf, base);
        if (f->has)
            *((bool *)ours + f->has) = has;
        if (!has && f->empty_is_absent)
            *(const char **)(void *)to = "";
        if (!has)
            continue;
        int r = decode_scalar(d, message, f, base + wf->offset, to);
        if (r < 0)
            return r;
    }
    return 0;
}

static int encode_from(struct arena *arena, const struct codec_message *message, const void *ours,
                       ProtobufCMessage **outp, struct error *err);

/* What is packed is compared piece by piece with what was received: a second copy of a plan of 10,000 members would cost
 * more than all else that is done to it. */
struct comparison {
    ProtobufCBuffer sink;
    struct bytes rest;
    bool differs;
};

static void compare_piece(ProtobufCBuffer *sink, size_t len, const uint8_t *data) {
    struct comparison *c = (struct comparison *)(void *)sink;
    c->differs = c->differs || len > c->rest.len || (len > 0 && memcmp(data, c->rest.data, len) != 0);
    if (!c->differs && len > 0)
        c->rest = (struct bytes){c->rest.data + len, c->rest.len - len};
}

/* One struct has one encoding, and one encoding is one struct: what does not come out again as it went in is refused. */
static int canonical_check(const struct codec_message *message, const void *ours, struct bytes bytes,
                           struct error *err) {
    _cleanup_(arena_freep) struct arena *scratch = arena_new((size_t)KEDGE_CONTROL_BYTES_MAX);
    struct comparison again = {.sink = {.append = compare_piece}, .rest = bytes};
    ProtobufCMessage *wire;
    int r = scratch ? encode_from(scratch, message, ours, &wire, err)
                    : error_set(err, -ENOMEM, "%s: out of memory", message->name);
    if (r == -ENOMEM)
        return r;
    if (r == 0)
        protobuf_c_message_pack_to_buffer(wire, &again.sink);
    return r == 0 && !again.differs && again.rest.len == 0
               ? 0
               : error_set(err, -EBADMSG, "%s: not in canonical form", message->name);
}

int codec_decode(const struct codec_message *message, struct bytes bytes, struct arena *arena, void *outp,
                 struct error *err) {
    struct charge charge = {arena, false};
    ProtobufCAllocator allocator = {charge_allocate, charge_release, &charge};
    ProtobufCMessage *wire = protobuf_c_message_unpack(message->wire, &allocator, bytes.len, bytes.data);
    void *ours = arena_alloc(arena, message->size);
    if (charge.exhausted || !ours)
        return error_set(err, -ENOMEM, "%s: the document is too large", message->name);
    if (!wire)
        return error_set(err, -EBADMSG, "%s: not a well-formed message", message->name);
    struct decoder decoder = {arena, err};
    int r = decode_into(&decoder, message, wire, ours);
    if (r == 0)
        r = canonical_check(message, ours, bytes, err);
    if (r == 0)
        *(void **)outp = ours;
    return r;
}

/* ---- encoding ---- */

static int encode_list(struct arena *arena, const struct codec_message *m, const struct codec_field *f,
                       const ProtobufCFieldDescriptor *wf, const uint8_t *ours, uint8_t *wire,
                       struct error *err) {
    size_t n = *(const size_t *)(const void *)(ours + f->count);
    const uint8_t *items = *(const uint8_t *const *)(const void *)(ours + f->offset);
    if (n > f->max_items)
        return refuse(m, f, "too many items", err);
    *(size_t *)(void *)(wire + wf->quantifier_offset) = n;
    if (f->kind == CODEC_TEXTS || f->kind == CODEC_U32_LIST) {
        for (size_t i = 0; i < n; i++) {
            int r = f->kind == CODEC_TEXTS
                        ? text_check(m, f, ((const char *const *)(const void *)items)[i], err)
                        : number_check(m, f, ((const uint32_t *)(const void *)items)[i], err);
            if (r < 0)
                return r;
        }
        *(const uint8_t **)(void *)(wire + wf->offset) = items;
        return 0;
    }
    bool subs = f->kind == CODEC_SUBS;
    void *list = arena_array(arena, n, subs ? sizeof(ProtobufCMessage *) : sizeof(ProtobufCBinaryData));
    if (!list)
        return error_set(err, -ENOMEM, "%s.%s: out of memory", m->name, f->name);
    for (size_t i = 0; i < n; i++) {
        ProtobufCBinaryData *data = (ProtobufCBinaryData *)list + i;
        if (subs) {
            int r = encode_from(arena, f->sub, items + i * f->sub->size, (ProtobufCMessage **)list + i, err);
            if (r < 0)
                return error_context(err, r, "%s.%s %zu", m->name, f->name, i);
        } else if (f->kind == CODEC_FIXED_LIST) {
            *data = (ProtobufCBinaryData){f->max, (uint8_t *)(uintptr_t)(items + i * f->max)};
        } else {
            const struct bytes *b = (const struct bytes *)(const void *)items + i;
            if (b->len > f->max)
                return refuse(m, f, "too long", err);
            *data = (ProtobufCBinaryData){b->len, (uint8_t *)(uintptr_t)b->data};
        }
    }
    *(void **)(void *)(wire + wf->offset) = list;
    return 0;
}

static int encode_binary(const struct codec_message *m, const struct codec_field *f, const uint8_t *from,
                         uint8_t *to, struct error *err) {
    struct bytes b =
        f->kind == CODEC_FIXED ? (struct bytes){from, f->max} : *(const struct bytes *)(const void *)from;
    if (b.len > f->max)
        return refuse(m, f, "too long", err);
    *(ProtobufCBinaryData *)(void *)to = (ProtobufCBinaryData){b.len, (uint8_t *)(uintptr_t)b.data};
    return 0;
}

static bool all_zero(const uint8_t *p, uint64_t len) {
    for (uint64_t i = 0; i < len; i++)
        if (p[i] != 0)
            return false;
    return true;
}

static int encode_text(struct arena *arena, const struct codec_message *m, const struct codec_field *f,
                       const uint8_t *from, uint8_t *to, struct error *err) {
    const char *text = *(const char *const *)(const void *)from;
    if (f->tame) {
        size_t size = strlen(text) < f->max ? strlen(text) + 4 : f->max + 1;
        char *tamed = arena_alloc(arena, size);
        if (!tamed)
            return error_set(err, -ENOMEM, "%s.%s: out of memory", m->name, f->name);
        text_tame(tamed, size, text);
        text = tamed;
    }
    *(const char **)(void *)to = text;
    return text_check(m, f, text, err);
}

/* Absent is what an optional field is when it says nothing: zero, no bytes, no text. So a field that is added later
 * changes no bytes while it is not used. */
static bool is_there(const struct codec_field *f, const uint8_t *ours) {
    const uint8_t *at = ours + f->offset;
    if (f->has)
        return *((const bool *)ours + f->has);
    switch (f->kind) {
    case CODEC_TEXT: {
        const char *text = *(const char *const *)(const void *)at;
        return text && !(f->empty_is_absent && !*text);
    }
    case CODEC_BYTES: return ((const struct bytes *)(const void *)at)->len > 0;
    case CODEC_FIXED: return !all_zero(at, f->max);
    case CODEC_U32:
    case CODEC_ENUM: return *(const uint32_t *)(const void *)at != 0;
    case CODEC_U64: return *(const uint64_t *)(const void *)at != 0;
    case CODEC_BOOL: return *(const bool *)at;
    case CODEC_SUB: return *(const void *const *)(const void *)at != NULL;
    case CODEC_INLINE: return true;
    case CODEC_TEXTS:
    case CODEC_BYTES_LIST:
    case CODEC_FIXED_LIST:
    case CODEC_U32_LIST:
    case CODEC_SUBS: break;
    }
    assert(false);
    return false;
}

static int encode_scalar(struct arena *arena, const struct codec_message *m, const struct codec_field *f,
                         const uint8_t *from, uint8_t *to, struct error *err) {
    switch (f->kind) {
    case CODEC_TEXT: return encode_text(arena, m, f, from, to, err);
    case CODEC_U32:
    case CODEC_ENUM:
        *(uint32_t *)(void *)to = *(const uint32_t *)(const void *)from;
        return number_check(m, f, *(const uint32_t *)(const void *)from, err);
    case CODEC_U64: *(uint64_t *)(void *)to = *(const uint64_t *)(const void *)from; return 0;
    case CODEC_BOOL: *(protobuf_c_boolean *)(void *)to = *(const bool *)from; return 0;
    case CODEC_BYTES:
    case CODEC_FIXED: return encode_binary(m, f, from, to, err);
    case CODEC_INLINE: return encode_from(arena, f->sub, from, (ProtobufCMessage **)(void *)to, err);
    case CODEC_SUB:
        return encode_from(arena, f->sub, *(const void *const *)(const void *)from,
                           (ProtobufCMessage **)(void *)to, err);
    case CODEC_TEXTS:
    case CODEC_BYTES_LIST:
    case CODEC_FIXED_LIST:
    case CODEC_U32_LIST:
    case CODEC_SUBS: break;
    }
    assert(false);
    return -EINVAL;
}

/* A required field is there even when it is zero; only a text or a message can be missing. */
static int encode_single(struct arena *arena, const struct codec_message *m, const struct codec_field *f,
                         const ProtobufCFieldDescriptor *wf, const uint8_t *ours, uint8_t *wire,
                         struct error *err) {
    bool there = is_there(f, ours), required = wf->label == PROTOBUF_C_LABEL_REQUIRED;
    if (required && !there && (f->kind == CODEC_TEXT || f->kind == CODEC_SUB))
        return refuse(m, f, "missing", err);
    if (!required && wf->type != PROTOBUF_C_TYPE_STRING && wf->type != PROTOBUF_C_TYPE_MESSAGE)
        *(protobuf_c_boolean *)(void *)(wire + wf->quantifier_offset) = there;
    return required || there ? encode_scalar(arena, m, f, ours + f->offset, wire + wf->offset, err) : 0;
}

static int encode_from(struct arena *arena, const struct codec_message *message, const void *ours,
                       ProtobufCMessage **outp, struct error *err) {
    ProtobufCMessage *wire = arena_alloc(arena, message->wire->sizeof_message);
    if (!wire)
        return error_set(err, -ENOMEM, "%s: out of memory", message->name);
    protobuf_c_message_init(message->wire, wire);
    *outp = wire;
    for (size_t i = 0; i < message->n_fields; i++) {
        const struct codec_field *f = &message->fields[i];
        const ProtobufCFieldDescriptor *wf = wire_field(message, i);
        uint8_t *base = (uint8_t *)wire;
        int r = is_list(f->kind) ? encode_list(arena, message, f, wf, ours, base, err)
                                 : encode_single(arena, message, f, wf, ours, base, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int codec_encode(const struct codec_message *message, const void *value, struct buffer *out,
                 struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = arena_new((size_t)KEDGE_CONTROL_BYTES_MAX);
    ProtobufCMessage *wire;
    if (!arena)
        return error_set(err, -ENOMEM, "%s: out of memory", message->name);
    int r = encode_from(arena, message, value, &wire, err);
    if (r < 0)
        return r == -EBADMSG ? -EINVAL : r; /* what is bad is ours, not a message */
    uint8_t *packed = buffer_extend(out, protobuf_c_message_get_packed_size(wire));
    if (!packed)
        return error_set(err, -ENOMEM, "%s: out of memory", message->name);
    (void)protobuf_c_message_pack(wire, packed);
    return 0;
}
