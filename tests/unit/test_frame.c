#include "proto/frame.h"
#include "tests/unit/test.h"

#include <sodium.h>

static struct frame_keys keys_of(uint8_t n) {
    struct frame_keys keys;
    memset(&keys, n, sizeof(keys));
    return keys;
}

TEST("frames survive any cut of the stream") {
    for (int encrypted = 0; encrypted < 2; encrypted++)
        for (size_t piece = 1; piece < 90; piece++) {
            _cleanup_(buffer_deinit) struct buffer wire = {0};
            struct frame_keys keys = keys_of(7);
            struct frame_writer writer;
            _cleanup_(frame_reader_deinit) struct frame_reader reader;
            uint64_t n = 0;

            frame_writer_init(&writer);
            frame_reader_init(&reader);
            if (encrypted) {
                frame_writer_encrypt(&writer, &keys);
                frame_reader_encrypt(&reader, &keys);
            }
            frame_write(&writer, 3, bytes_of_text("hello"), &wire);
            frame_write(&writer, 4, bytes_of_text(""), &wire);
            frame_write(&writer, 5, bytes_of_text("world"), &wire);
            for (size_t at = 0; at < wire.len; at += piece) {
                struct bytes input = {wire.data + at, wire.len - at < piece ? wire.len - at : piece};
                struct frame frame;
                int r;
                while ((r = frame_read(&reader, &input, &frame)) == FRAME_COMPLETE) {
                    n++;
                    check_eq_int(frame.seq, n);
                    check_eq_int(frame.type, 2 + n);
                    check_eq_int(frame.message.len, n == 2 ? 0 : 5);
                }
                require(r == FRAME_NONE && input.len == 0);
            }
            check_eq_int(n, 3);
        }
}

static int read_one(const void *data, size_t len) {
    _cleanup_(frame_reader_deinit) struct frame_reader reader;
    struct bytes input = {data, len};
    struct frame frame;

    frame_reader_init(&reader);
    return frame_read(&reader, &input, &frame);
}

TEST("A20 lengths outside of the caps are refused by their first four bytes") {
    check_eq_int(read_one("\xff\xff\xff\xff", 4), FRAME_TOO_LONG);
    check_eq_int(read_one("\x00\x00\x04\x01", 4), FRAME_TOO_LONG);
    check_eq_int(read_one("\x00\x00\x04\x00", 4), FRAME_NONE);
    check_eq_int(read_one("\x00\x00\x00\x0b", 4), FRAME_TOO_SHORT);
    check_eq_int(read_one("\x00\x00\x00\x00", 4), FRAME_TOO_SHORT);
    check_eq_int(read_one("\x00\x00\x00\x0c", 4), FRAME_NONE);
    check_eq_int(read_one("", 0), FRAME_NONE);
}

TEST("a claimed length costs nothing before its bytes are there") {
    _cleanup_(frame_reader_deinit) struct frame_reader reader;
    struct frame_keys keys = keys_of(7);
    struct bytes input = {(const uint8_t *)"\x00\x10\x00\x00"
                                           "abcd",
                          8};
    struct frame frame;

    frame_reader_init(&reader);
    frame_reader_encrypt(&reader, &keys);
    check_eq_int(frame_read(&reader, &input, &frame), FRAME_NONE);
    check(reader.wire.room <= 64 && reader.plain.room == 0);
}

TEST("version, flags and order are judged") {
    static const uint8_t good[] = {0, 0, 0, 12, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    uint8_t bad[sizeof(good)];

    check_eq_int(read_one(good, sizeof(good)), FRAME_COMPLETE);
    for (size_t at = 4; at < sizeof(good); at++) {
        memcpy(bad, good, sizeof(good));
        bad[at] ^= 0x40;
        int want = at == 5 ? FRAME_COMPLETE : at < 8 ? FRAME_OTHER_VERSION : FRAME_OUT_OF_ORDER;
        check_eq_int(read_one(bad, sizeof(bad)), want);
    }
}

TEST("after a refusal all is refused") {
    _cleanup_(frame_reader_deinit) struct frame_reader reader;
    struct frame_keys keys = keys_of(7), other = keys_of(8);
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    struct frame_writer writer;
    struct frame frame;

    frame_writer_init(&writer);
    frame_writer_encrypt(&writer, &other);
    frame_write(&writer, 3, bytes_of_text("x"), &wire);
    frame_reader_init(&reader);
    frame_reader_encrypt(&reader, &keys);
    struct bytes input = buffer_bytes(&wire);
    check_eq_int(frame_read(&reader, &input, &frame), FRAME_FORGED);

    buffer_clear(&wire);
    frame_writer_encrypt(&writer, &keys);
    frame_write(&writer, 3, bytes_of_text("x"), &wire);
    input = buffer_bytes(&wire);
    check(frame_read(&reader, &input, &frame) > FRAME_COMPLETE);
}

TEST("a large frame's memory is given back") {
    _cleanup_(frame_reader_deinit) struct frame_reader reader;
    _cleanup_(buffer_deinit) struct buffer wire = {0};
    _cleanup_(freep) uint8_t *large = calloc(1, KEDGE_MESSAGE_BYTES_MAX);
    struct frame_keys keys = keys_of(7);
    struct frame_writer writer;
    struct frame frame;

    require(large);
    frame_writer_init(&writer);
    frame_writer_encrypt(&writer, &keys);
    frame_write(&writer, 3, (struct bytes){large, KEDGE_MESSAGE_BYTES_MAX}, &wire);
    frame_write(&writer, 3, bytes_of_text("x"), &wire);
    frame_reader_init(&reader);
    frame_reader_encrypt(&reader, &keys);
    struct bytes input = buffer_bytes(&wire);
    require(frame_read(&reader, &input, &frame) == FRAME_COMPLETE);
    check_eq_int(frame.message.len, KEDGE_MESSAGE_BYTES_MAX);
    require(frame_read(&reader, &input, &frame) == FRAME_COMPLETE);
    check(reader.wire.room < 65536 && reader.plain.room < 65536);
}

TEST("A6 a frame with a tag of the cipher's own is refused: a stream cannot be ended or re-keyed from "
     "outside") {
    const unsigned char tags[] = {crypto_secretstream_xchacha20poly1305_TAG_PUSH,
                                  crypto_secretstream_xchacha20poly1305_TAG_REKEY,
                                  crypto_secretstream_xchacha20poly1305_TAG_FINAL};
    for (size_t i = 0; i < sizeof(tags); i++) {
        enum { SEALED = FRAME_HEADER_BYTES + crypto_secretstream_xchacha20poly1305_ABYTES };
        const uint8_t content[FRAME_HEADER_BYTES] = {FRAME_VERSION, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
        uint8_t wire[FRAME_LEN_BYTES + SEALED] = {0, 0, 0, SEALED};
        struct frame_keys keys = keys_of(7);
        crypto_secretstream_xchacha20poly1305_state cipher;
        _cleanup_(frame_reader_deinit) struct frame_reader reader;
        struct frame frame;
        require(crypto_secretstream_xchacha20poly1305_init_pull(&cipher, keys.nonce, keys.key) == 0);
        crypto_secretstream_xchacha20poly1305_push(&cipher, wire + FRAME_LEN_BYTES, NULL, content,
                                                   sizeof(content), wire, FRAME_LEN_BYTES, tags[i]);
        frame_reader_init(&reader);
        frame_reader_encrypt(&reader, &keys);
        struct bytes input = BYTES_OF(wire);
        check_eq_int(frame_read(&reader, &input, &frame), FRAME_FORGED);
    }
}
