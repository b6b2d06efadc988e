/* The first byte names a document or message, the rest is offered as it: what is accepted comes out again byte by byte. */
#include "common/base/limits.h"
#include "common/plan/encoding.h"
#include "common/plan/release.h"
#include "proto/messages.h"
#include "tests/fuzz/fuzz.h"

/* Append only: the corpus counts on the places. */
static const struct codec_message *const codecs[] = {
    &command_codec,         &probe_codec,          &gate_codec,
    &render_codec,          &generation_codec,     &work_order_codec,
    &shape_codec,           &header_codec,         &plan_codec,
    &manifest_codec,        &charter_codec,        &charter_member_codec,
    &heartbeat_codec,       &order_message_codec,  &report_codec,
    &charter_message_codec, &inquire_codec,        &facts_message_codec,
    &preview_codec,         &preview_result_codec, &ask_codec,
    &answer_message_codec,  &lease_message_codec,  &latch_codec,
    &control_request_codec, &control_reply_codec,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    const struct codec_message *codec = codecs[data[0] % ARRAY_LEN(codecs)];
    struct bytes bytes = {data + 1, size - 1};
    _cleanup_(arena_freep) struct arena *arena = arena_new(KEDGE_DOCUMENT_ARENA_BYTES_MAX);
    _cleanup_(buffer_deinit) struct buffer again = {0};
    struct error err = {""};
    void *value;
    int r = codec_decode(codec, bytes, arena, &value, &err);
    if (r < 0 ? !err.text[0] : codec_encode(codec, value, &again, &err) < 0)
        abort();
    if (r == 0 && !bytes_equal(buffer_bytes(&again), bytes))
        abort();
    if (r == 0 && codec == &manifest_codec)
        r = manifest_check(value, &err);
    return 0;
}
