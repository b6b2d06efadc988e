/* Why secretstream with a derived nonce: its stream header is a random number that only has to differ per key, and our
 * keys live for one session and one direction. Deriving it with the key keeps this room free of randomness and the wire
 * free of 24 bytes; init_pull() makes the same state from (header, key) on both sides. secretstream counts frames by
 * itself; `seq` is there besides because the signature of a message covers it, out of reach of whoever holds the AEAD
 * key (the link process). */
#include "proto/frame.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

enum {
    AEAD_BYTES = crypto_secretstream_xchacha20poly1305_ABYTES,
    /* Larger buffers are given back after their frame: an idle agent stays small. */
    KEEP_BYTES = 16 * 1024,
};

static uint32_t put_u32(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
    return value;
}

static void cipher_init(crypto_secretstream_xchacha20poly1305_state *cipher, const struct frame_keys *keys) {
    int r = crypto_secretstream_xchacha20poly1305_init_pull(cipher, keys->nonce, keys->key);
    assert(r == 0);
    (void)r;
}

/* ---- writing ---- */

void frame_writer_init(struct frame_writer *writer) {
    *writer = (struct frame_writer){0};
}

void frame_writer_deinit(struct frame_writer *writer) {
    sodium_memzero(writer, sizeof(*writer));
}

void frame_writer_encrypt(struct frame_writer *writer, const struct frame_keys *keys) {
    cipher_init(&writer->cipher, keys);
    writer->encrypted = true;
    writer->last_seq = 0;
}

static void frame_content(struct buffer *out, uint8_t type, uint64_t seq, struct bytes message) {
    const uint8_t head[4] = {FRAME_VERSION, type, 0, 0};
    buffer_append(out, head, sizeof(head));
    buffer_u64(out, seq);
    buffer_append(out, message.data, message.len);
}

static void frame_encrypted(struct frame_writer *writer, const struct buffer *plain, struct buffer *out) {
    size_t wire_len = plain->len + AEAD_BYTES;
    uint8_t len[FRAME_LEN_BYTES];
    put_u32(len, (uint32_t)wire_len);
    uint8_t *cipher = malloc(wire_len);
    if (!cipher || plain->failed) {
        out->failed = true;
        free(cipher);
        return;
    }
    crypto_secretstream_xchacha20poly1305_push(&writer->cipher, cipher, NULL, plain->data, plain->len, len,
                                               sizeof(len), 0);
    buffer_append(out, len, sizeof(len));
    buffer_append(out, cipher, wire_len);
    free(cipher);
}

void frame_write(struct frame_writer *writer, uint8_t type, struct bytes message, struct buffer *out) {
    uint64_t seq = ++writer->last_seq;
    assert(message.len <= KEDGE_FRAME_BYTES_MAX - FRAME_HEADER_BYTES - AEAD_BYTES);
    if (!writer->encrypted) {
        buffer_u32(out, (uint32_t)(FRAME_HEADER_BYTES + message.len));
        frame_content(out, type, seq, message);
        return;
    }
    _cleanup_(buffer_deinit) struct buffer plain = {0};
    frame_content(&plain, type, seq, message);
    frame_encrypted(writer, &plain, out);
}

/* ---- reading ---- */

void frame_reader_init(struct frame_reader *reader) {
    *reader = (struct frame_reader){0};
}

void frame_reader_deinit(struct frame_reader *reader) {
    buffer_deinit(&reader->wire);
    buffer_deinit(&reader->plain);
    sodium_memzero(reader, sizeof(*reader));
}

void frame_reader_encrypt(struct frame_reader *reader, const struct frame_keys *keys) {
    cipher_init(&reader->cipher, keys);
    reader->encrypted = true;
    reader->last_seq = 0;
}

/* Moves bytes from input until wire holds `want`; true when it does. */
static bool wire_fill(struct frame_reader *reader, struct bytes *input, size_t want) {
    size_t lacking = want - reader->wire.len;
    size_t n = input->len < lacking ? input->len : lacking;
    if (n > 0) { /* input->data may be NULL */
        buffer_append(&reader->wire, input->data, n);
        *input = (struct bytes){input->data + n, input->len - n};
    }
    return reader->wire.len == want;
}

static void buffer_rest(struct buffer *buffer) {
    if (buffer->room > KEEP_BYTES)
        buffer_deinit(buffer);
    else
        buffer_clear(buffer);
}

static int length_judge(const struct frame_reader *reader, uint32_t len) {
    uint32_t least = FRAME_HEADER_BYTES + (reader->encrypted ? AEAD_BYTES : 0);
    uint32_t most = reader->encrypted ? KEDGE_FRAME_BYTES_MAX : KEDGE_HANDSHAKE_FRAME_BYTES_MAX;
    return len > most ? FRAME_TOO_LONG : len < least ? FRAME_TOO_SHORT : FRAME_COMPLETE;
}

/* From reader->wire to reader->plain. */
static int wire_decrypt(struct frame_reader *reader) {
    const uint8_t *content = reader->wire.data + FRAME_LEN_BYTES;
    size_t len = reader->wire.len - FRAME_LEN_BYTES;
    buffer_rest(&reader->plain);
    buffer_append(&reader->plain, content, reader->encrypted ? len - AEAD_BYTES : len); /* makes the room */
    if (reader->plain.failed)
        return -ENOMEM;
    if (!reader->encrypted)
        return FRAME_COMPLETE;
    uint8_t tag;
    int r = crypto_secretstream_xchacha20poly1305_pull(&reader->cipher, reader->plain.data, NULL, &tag,
                                                       content, len, reader->wire.data, FRAME_LEN_BYTES);
    return r == 0 && tag == 0 ? FRAME_COMPLETE : FRAME_FORGED; /* a writer of ours sets no tag */
}

static int content_judge(struct frame_reader *reader, struct frame *frame) {
    const uint8_t *p = reader->plain.data;
    if (p[0] != FRAME_VERSION || p[2] != 0 || p[3] != 0)
        return FRAME_OTHER_VERSION;
    uint64_t seq = read_u64(p + 4);
    if (seq != reader->last_seq + 1)
        return FRAME_OUT_OF_ORDER;
    reader->last_seq = seq;
    *frame = (struct frame){p[1], seq, {p + FRAME_HEADER_BYTES, reader->plain.len - FRAME_HEADER_BYTES}};
    return FRAME_COMPLETE;
}

int frame_read(struct frame_reader *reader, struct bytes *input, struct frame *frame) {
    if (reader->wire.len < FRAME_LEN_BYTES && !wire_fill(reader, input, FRAME_LEN_BYTES))
        return reader->wire.failed ? -ENOMEM : FRAME_NONE;
    uint32_t len = read_u32(reader->wire.data);
    int r = length_judge(reader, len); /* stays in wire: a refused length is refused for ever */
    if (r != FRAME_COMPLETE)
        return r;
    if (!wire_fill(reader, input, FRAME_LEN_BYTES + (size_t)len))
        return reader->wire.failed ? -ENOMEM : FRAME_NONE;
    r = wire_decrypt(reader);
    if (r == FRAME_COMPLETE)
        r = content_judge(reader, frame);
    if (r == FRAME_COMPLETE)
        buffer_rest(&reader->wire);
    else if (r > 0)
        put_u32(reader->wire.data, UINT32_MAX); /* so is what was forged */
    return r;
}

const char *frame_outcome_text(int outcome) {
    switch (outcome) {
    case FRAME_NONE: return "incomplete frame";
    case FRAME_COMPLETE: return "complete frame";
    case FRAME_TOO_LONG: return "frame longer than allowed";
    case FRAME_TOO_SHORT: return "frame shorter than its header";
    case FRAME_FORGED: return "forged or damaged frame";
    case FRAME_OUT_OF_ORDER: return "frame out of order";
    case FRAME_OTHER_VERSION: return "frame of another version";
    }
    return "out of memory";
}
