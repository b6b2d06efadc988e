/* The canonical bytes of the documents: one table per struct, for codec_encode and codec_decode (proto/codec.h).
 * One struct has exactly one encoding; what is signed are these bytes, and they are never made again from the struct. */
#ifndef KEDGE_PLAN_ENCODING_H
#define KEDGE_PLAN_ENCODING_H

#include "common/plan/charter.h"
#include "common/plan/output.h"
#include "common/plan/plan.h"
#include "common/plan/release.h"
#include "common/plan/word.h"
#include "proto/codec.h"

extern const struct codec_message command_codec, probe_codec, gate_codec, render_codec, generation_codec,
    work_order_codec, shape_codec, header_codec, plan_codec, manifest_codec, charter_codec,
    charter_member_codec, word_codec, action_output_codec;

/* The digest that `generation->digest` must hold: over its encoding with the digest zeroed. */
int generation_digest(const struct generation *generation, struct digest *outp,
                      struct error *err) _must_check_;

#endif
