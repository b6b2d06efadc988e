/* A signed file is refused, or is byte by byte what its parts make; and counts only for keys that signed, for its own purpose. */
#include "common/trust/verify.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct signed_blob blob;
    struct error err = {""};
    struct bytes file = {data, size};
    if (signed_blob_decode(&blob, file, &err) < 0)
        return err.text[0] ? 0 : (abort(), 0);
    _cleanup_(buffer_deinit) struct buffer again = {0};
    signed_blob_encode(&again, &blob);
    if (!bytes_equal(buffer_bytes(&again), file))
        abort();
    const struct public_key stranger = {{1}};
    struct public_key keys[] = {stranger, blob.n_signatures > 0 ? blob.signatures[0].key : stranger};
    int own = signed_blob_verify(&blob, blob.context, &keys[1], 1, 1, &err);
    if (signed_blob_verify(&blob, blob.context, &stranger, 1, 1, &err) == 0 ||
        signed_blob_verify(&blob, blob.context, keys, 2, 2, &err) == 0)
        abort();
    if (signed_blob_verify(&blob, blob.context % (TRUST_CONTEXT_END - 1) + 1, &keys[1], 1, 1, &err) == 0)
        abort(); /* signed for one purpose, taken for another */
    (void)own;
    return 0;
}
