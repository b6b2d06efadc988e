/* Who reads a plan file on this side checks it by the same code as kedged and the agents. */
#include "coordinator/cli/plan_file.h"
#include "common/base/file.h"
#include "common/plan/encoding.h"
#include "common/trust/keys.h"

#include <string.h>

/* Who signed the release is shown on the page and judged by the agents; --release-key makes this side judge, too. */
struct release_trust {
    struct public_key keys[KEDGE_SIGNATURES_MAX];
    size_t n;
};

static int release_trust_find(struct cli *cli, struct bytes file, struct release_trust *out) {
    for (size_t i = 0; i < cli->n_options && out->n < KEDGE_SIGNATURES_MAX; i++)
        if (strcmp(cli->options[i].name, "release-key") == 0) {
            int r = public_key_load(&out->keys[out->n++], cli->options[i].value, cli->err);
            if (r < 0)
                return r;
        }
    if (out->n > 0)
        return 0;
    struct plan *plan;
    struct signed_blob blob;
    int r = codec_decode(&plan_codec, file, cli->arena, &plan, cli->err);
    if (r == 0)
        r = signed_blob_decode(&blob, plan->manifest, cli->err);
    if (r == -EBADMSG)
        return error_set(cli->err, -EINVAL, "no plan as kedge plan writes them, or a part of one");
    if (r < 0)
        return error_context(cli->err, r, "plan");
    for (size_t i = 0; i < blob.n_signatures; i++)
        out->keys[out->n++] = blob.signatures[i].key;
    return 0;
}

int plan_check(struct cli *cli, struct bytes file, struct verified_plan **outp) {
    struct release_trust trust = {.n = 0};
    int r = release_trust_find(cli, file, &trust);
    if (r < 0)
        return r;
    struct trust_anchors anchors = {
        .release_keys = trust.keys, .n_release_keys = trust.n, .release_threshold = 1};
    return plan_verify(&anchors, file, outp, cli->err);
}

int plan_read(struct cli *cli, const char *path, struct buffer *file, struct verified_plan **outp) {
    int r = file_read(path, KEDGE_CONTROL_BYTES_MAX, file, cli->err);
    if (r < 0)
        return r;
    r = plan_check(cli, buffer_bytes(file), outp);
    return r < 0 ? error_context(cli->err, r, "%s", path) : 0;
}
