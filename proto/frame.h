/* Frames: how messages lie in a byte stream. Pure: bytes in, frames out; no socket, no clock, no random source.
 *
 *     plain      u32 len | u8 ver | u8 type | u16 flags | u64 seq | message          handshake only, at most 1 KiB
 *     encrypted  u32 len | AEAD( u8 ver | u8 type | u16 flags | u64 seq | message )  libsodium secretstream; len is
 *                                                                                    authenticated as additional data
 * `len` counts what follows it. Big endian. flags are 0 in version 1. A reader checks, in this order: length cap, AEAD,
 * version and flags, seq == last + 1; session.h goes on with type, rate and signature. */
#ifndef KEDGE_PROTO_FRAME_H
#define KEDGE_PROTO_FRAME_H

#include "common/base/bytes.h"
#include "common/base/limits.h"

#include <sodium/crypto_secretstream_xchacha20poly1305.h>

enum {
    FRAME_VERSION = 1,
    FRAME_LEN_BYTES = 4,
    FRAME_HEADER_BYTES = 12,
    FRAME_KEY_BYTES = crypto_secretstream_xchacha20poly1305_KEYBYTES,
    FRAME_NONCE_BYTES = crypto_secretstream_xchacha20poly1305_HEADERBYTES,
};

struct frame {
    uint8_t type;
    uint64_t seq;
    struct bytes message;
};

/* The keys of one direction of one session. The nonce is derived with the key and never sent. */
struct frame_keys {
    uint8_t key[FRAME_KEY_BYTES];
    uint8_t nonce[FRAME_NONCE_BYTES];
};

/* ---- writing ---- */

struct frame_writer {
    crypto_secretstream_xchacha20poly1305_state cipher;
    bool encrypted;
    uint64_t last_seq;
};

void frame_writer_init(struct frame_writer *writer);
void frame_writer_deinit(struct frame_writer *writer);

/* From the next frame on. Counting begins anew: the first encrypted frame has seq 1. */
void frame_writer_encrypt(struct frame_writer *writer, const struct frame_keys *keys);

/* Appends one frame with the next seq to `out`; out->failed tells when memory is out, the writer is of no use then. */
void frame_write(struct frame_writer *writer, uint8_t type, struct bytes message, struct buffer *out);

/* ---- reading ---- */

enum frame_outcome {
    FRAME_NONE = 1, /* more bytes are needed */
    FRAME_COMPLETE,
    FRAME_TOO_LONG, /* this and all below: close the connection */
    FRAME_TOO_SHORT,
    FRAME_FORGED,        /* the AEAD does not fit */
    FRAME_OUT_OF_ORDER,  /* seq is not last + 1 */
    FRAME_OTHER_VERSION, /* of frames, or flags that version 1 does not have */
};

struct frame_reader {
    crypto_secretstream_xchacha20poly1305_state cipher;
    bool encrypted;
    uint64_t last_seq;
    struct buffer
        wire; /* the frame that is being received; grows as bytes arrive, never by what `len` claims */
    struct buffer plain; /* the last frame, decrypted */
};

void frame_reader_init(struct frame_reader *reader);
void frame_reader_deinit(struct frame_reader *reader);

/* From the next frame on; the cap rises from KEDGE_HANDSHAKE_FRAME_BYTES_MAX to KEDGE_FRAME_BYTES_MAX. */
void frame_reader_encrypt(struct frame_reader *reader, const struct frame_keys *keys);

/* Takes bytes from the front of `input` until one frame is complete. Call it again until FRAME_NONE: `input` may hold
 * more. frame->message is valid until the next call. -ENOMEM, or an outcome. After a refusal the reader refuses all. */
int frame_read(struct frame_reader *reader, struct bytes *input, struct frame *frame) _must_check_;

const char *frame_outcome_text(int outcome);

#endif
