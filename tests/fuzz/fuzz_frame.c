/* Bytes of a peer, in pieces, for both ends of the line before anybody is known, and for the reader of a session whose keys
 * the peer has. The first byte chooses which, the second how large the pieces are. */
#include "proto/agent_line.h"
#include "proto/coordinator_line.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void reader_give(struct frame_reader *reader, struct bytes piece) {
    struct frame frame;
    int r;
    while ((r = frame_read(reader, &piece, &frame)) == FRAME_COMPLETE)
        if (frame.message.len > KEDGE_FRAME_BYTES_MAX)
            abort();
    if (r == FRAME_NONE && piece.len > 0)
        abort(); /* it wants more and has not taken all */
}

static void coordinator_give(struct coordinator_line *line, struct bytes piece, struct buffer *out) {
    struct verified_message message;
    struct error err = {""};
    enum coordinator_line_outcome outcome = coordinator_line_feed(line, &piece, 1, out, &message, &err);
    if (outcome == LINE_PROVEN || outcome == LINE_MESSAGE || (outcome == LINE_REFUSED && !err.text[0]))
        abort(); /* nobody has proven anything here */
}

static void agent_give(struct agent_line *line, struct bytes piece) {
    struct frame frame;
    struct error err = {""};
    enum agent_line_outcome outcome = agent_line_feed(line, &piece, &frame, &err);
    if (outcome == AGENT_LINE_SIGN || outcome == AGENT_LINE_FRAME)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    static struct key_pair pair; /* all zero: what it signs is of no use */
    struct handshake_randomness random = {.nonce = {1}};
    memset(random.ephemeral_secret, 7, sizeof(random.ephemeral_secret));
    struct agent_line_config config = {.node = "n1"};
    _cleanup_(buffer_deinit) struct buffer out = {0};
    struct coordinator_line coordinator;
    struct agent_line agent;
    struct frame_reader reader;
    coordinator_line_init(&coordinator, &pair, &random);
    agent_line_start(&agent, &config, &random, &out);
    frame_reader_init(&reader);
    if (data[0] % 4 == 1)
        frame_reader_encrypt(&reader, &(struct frame_keys){.key = {1}});
    size_t step = (size_t)data[1] + 1;
    for (size_t at = 2; at < size; at += step) {
        struct bytes piece = {data + at, size - at < step ? size - at : step};
        switch (data[0] % 4) {
        case 0:
        case 1: reader_give(&reader, piece); break;
        case 2: coordinator_give(&coordinator, piece, &out); break;
        case 3: agent_give(&agent, piece); break;
        }
    }
    frame_reader_deinit(&reader);
    agent_line_deinit(&agent);
    coordinator_line_deinit(&coordinator);
    return 0;
}
