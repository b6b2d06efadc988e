/* One table per message; see proto/rows.h for how a row reads. */
#include "proto/messages.h"

#include "proto/rows.h"

#include "proto/wire.pb-c.h"

enum {
    SELF_MAX = 1024,
    FACTS_MAX = 1024,
    EVIDENCE_MAX = 256,
    DIFF_MAX = KEDGE_CONFIG_BYTES_MAX,
    TEXT_MAX = 4096,
};

static const struct codec_field fact_fields[] = {
    FIELD_LINE(fact, name, KEDGE_NAME_MAX),
    FIELD_TAMED(fact, value, KEDGE_ARGUMENT_MAX),
};
static CODEC_MESSAGE(fact, "fact", fact, kedge__wire__fact__descriptor);

static const struct codec_field heartbeat_fields[] = {
    FIELD_U64(heartbeat, clock_ms),
    FIELD_LINE(heartbeat, version, KEDGE_NAME_MAX),
    FIELD_U64(heartbeat, epoch),
    FIELD_SUBS(heartbeat, live, FACTS_MAX, &fact_codec),
};
CODEC_MESSAGE(heartbeat, "heartbeat", heartbeat, kedge__wire__heartbeat__descriptor);

static const struct codec_field order_message_fields[] = {
    FIELD_U64(order_message, epoch),
    FIELD_BYTES(order_message, header, 64 * 1024),
    FIELD_BYTES(order_message, work_order, KEDGE_MESSAGE_BYTES_MAX),
    FIELD_U32(order_message, leaf, KEDGE_MEMBERS_MAX),
    FIELD_FIXED_LIST(order_message, path, KEDGE_MERKLE_DEPTH_MAX),
    FIELD_BYTES_LIST(order_message, gates, KEDGE_GATES_MAX, 64 * 1024),
    FIELD_BYTES(order_message, manifest, KEDGE_MANIFEST_BYTES_MAX),
    FIELD_LINE(order_message, step, KEDGE_NAME_MAX),
    FIELD_FIXED(order_message, addressee),
    FIELD_U64(order_message, expires_s),
    FIELD_LINES(order_message, beside, KEDGE_BESIDE_MAX, SELF_MAX),
    FIELD_BYTES_LIST(order_message, outputs, KEDGE_ARGUMENTS_MAX, KEDGE_OUTPUT_BYTES_MAX),
};
CODEC_MESSAGE(order_message, "order", order_message, kedge__wire__order__descriptor);

static const struct codec_field evidence_fields[] = {
    FIELD_LINE(evidence, gate, KEDGE_NAME_MAX),
    FIELD_ENUM(evidence, answer, ANSWERS),
    FIELD_TAMED_OR_EMPTY(evidence, reason, TEXT_MAX),
    FIELD_U64(evidence, age_us),
};
static CODEC_MESSAGE(evidence, "evidence", evidence, kedge__wire__evidence__descriptor);

static const struct codec_field report_fields[] = {
    FIELD_LINE(report, cluster, KEDGE_NAME_MAX),
    FIELD_U64(report, serial),
    FIELD_LINE(report, member, KEDGE_MEMBER_NAME_MAX),
    FIELD_LINE(report, step, KEDGE_NAME_MAX),
    FIELD_ENUM(report, outcome, OUTCOMES),
    FIELD_TAMED_OR_EMPTY(report, reason, TEXT_MAX),
    FIELD_SUBS(report, evidence, EVIDENCE_MAX, &evidence_codec),
    FIELD_U64(report, interruption_us),
    FIELD_U64(report, evidence_age_us),
    FIELD_ENUM(report, mode, MODES),
    FIELD_ENUM(report, origin, ORIGINS),
    FIELD_LINE_OR_EMPTY(report, version, KEDGE_NAME_MAX),
    FIELD_U32(report, generation, UINT32_MAX),
    FIELD_U64(report, at_ms),
    FIELD_U64(report, epoch),
    FIELD_BOOL(report, blames),
    FIELD_BYTES_LIST(report, outputs, KEDGE_CAPTURES_MAX, KEDGE_OUTPUT_BYTES_MAX),
};
CODEC_MESSAGE(report, "report", report, kedge__wire__report__descriptor);

static const struct codec_field charter_message_fields[] = {
    FIELD_BYTES(charter_message, charter, KEDGE_MESSAGE_BYTES_MAX),
    FIELD_BOOL(charter_message, adopt),
};
CODEC_MESSAGE(charter_message, "charter message", charter_message, kedge__wire__charter_message__descriptor);

static const struct codec_field inquire_fields[] = {
    FIELD_U64(inquire, id),
    FIELD_LINE(inquire, cluster, KEDGE_NAME_MAX),
    FIELD_LINE(inquire, member, KEDGE_MEMBER_NAME_MAX),
};
CODEC_MESSAGE(inquire, "inquiry", inquire, kedge__wire__inquire__descriptor);

static const struct codec_field facts_message_fields[] = {
    FIELD_LINE(facts_message, cluster, KEDGE_NAME_MAX),
    FIELD_LINE(facts_message, member, KEDGE_MEMBER_NAME_MAX),
    FIELD_U64(facts_message, at_ms),
    FIELD_SUBS(facts_message, facts, FACTS_MAX, &fact_codec),
    FIELD_TAMED_OR_EMPTY(facts_message, problem, TEXT_MAX),
    FIELD_U64(facts_message, id),
};
CODEC_MESSAGE(facts_message, "facts", facts_message, kedge__wire__facts_message__descriptor);

static const struct codec_field preview_fields[] = {
    FIELD_U64(preview, id),
    FIELD_LINE(preview, cluster, KEDGE_NAME_MAX),
    FIELD_LINE(preview, member, KEDGE_MEMBER_NAME_MAX),
    FIELD_BYTES(preview, render, KEDGE_MESSAGE_BYTES_MAX),
};
CODEC_MESSAGE(preview, "preview", preview, kedge__wire__preview__descriptor);

static const struct codec_field preview_result_fields[] = {
    FIELD_U64(preview_result, id),
    FIELD_LINE(preview_result, member, KEDGE_MEMBER_NAME_MAX),
    FIELD_FIXED(preview_result, old_digest),
    FIELD_FIXED(preview_result, new_digest),
    FIELD_TAMED_OR_EMPTY(preview_result, diff, DIFF_MAX),
    FIELD_TAMED_OR_EMPTY(preview_result, problem, TEXT_MAX),
};
CODEC_MESSAGE(preview_result, "preview result", preview_result, kedge__wire__preview_result__descriptor);

static const struct codec_field ask_fields[] = {
    FIELD_U64(ask, id),
    FIELD_LINE(ask, cluster, KEDGE_NAME_MAX),
    FIELD_LINE(ask, self, SELF_MAX),
    FIELD_FIXED_LIST(ask, gates, KEDGE_GATES_MAX),
    FIELD_LINES(ask, beside, KEDGE_BESIDE_MAX, SELF_MAX),
};
CODEC_MESSAGE(ask, "ask", ask, kedge__wire__ask__descriptor);

static const struct codec_field answer_message_fields[] = {
    FIELD_U64(answer_message, id),
    FIELD_SUBS(answer_message, evidence, EVIDENCE_MAX, &evidence_codec),
};
CODEC_MESSAGE(answer_message, "answer", answer_message, kedge__wire__answer__descriptor);

static const struct codec_field lease_message_fields[] = {
    FIELD_LINE(lease_message, cluster, KEDGE_NAME_MAX),
    FIELD_U64(lease_message, serial),
    FIELD_LINE(lease_message, name, KEDGE_NAME_MAX),
    FIELD_ENUM(lease_message, state, LEASE_STATES),
    FIELD_U64(lease_message, epoch),
};
CODEC_MESSAGE(lease_message, "lease", lease_message, kedge__wire__lease_message__descriptor);

static const struct codec_field latch_fields[] = {
    FIELD_LINE(latch, cluster, KEDGE_NAME_MAX),
    FIELD_U64(latch, serial),
    FIELD_U64(latch, epoch),
};
CODEC_MESSAGE(latch, "latch", latch, kedge__wire__latch__descriptor);

static const struct codec_field control_request_fields[] = {
    FIELD_LINE(control_request, verb, KEDGE_NAME_MAX),
    FIELD_SUBS(control_request, arguments, FACTS_MAX, &fact_codec),
    FIELD_BYTES_LIST(control_request, blobs, 64, KEDGE_CONTROL_BYTES_MAX),
};
CODEC_MESSAGE(control_request, "control request", control_request, kedge__wire__control_request__descriptor);

static const struct codec_field control_reply_fields[] = {
    FIELD_U32(control_reply, exit_code, 255),
    FIELD_TAMED_OR_EMPTY(control_reply, text, 1024 * 1024),
    FIELD_TAMED_OR_EMPTY(control_reply, json, KEDGE_CONTROL_BYTES_MAX),
    FIELD_BYTES_LIST(control_reply, blobs, 64, KEDGE_CONTROL_BYTES_MAX),
    FIELD_BOOL(control_reply, more),
};
CODEC_MESSAGE(control_reply, "control reply", control_reply, kedge__wire__control_reply__descriptor);
