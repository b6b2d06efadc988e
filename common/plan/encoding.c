/* Why the limits stand in these rows: a reader sees at once how long each thing that an operator signs may be, and a
 * document that breaks one is refused before anything looks at it. */
#include "common/plan/encoding.h"

#include "common/plan/quarantine.h"

#include "proto/rows.h"

#include "proto/documents.pb-c.h"

enum {
    EXPRESSION_MAX = 1024,
    URL_MAX = 1024,
    TARGETS_BYTES_MAX = 16 * 1024, /* a question about the cluster names every member, each with its URL */
    SAYS_MAX = KEDGE_REASON_MAX,
    PROBE_BYTES_MAX = 4096,
    DEADLINE_MS_MAX = 24 * 3600 * 1000,
    FACTS_MAX = 1024,
    GATE_BYTES_MAX = 64 * 1024,
    WORK_ORDER_BYTES_MAX = 512 * 1024,
};

static const struct codec_field output_use_fields[] = {
    FIELD_LINE(output_use, member, KEDGE_MEMBER_NAME_MAX), FIELD_FIXED(output_use, key),
    FIELD_LINE(output_use, step, KEDGE_NAME_MAX),          FIELD_LINE(output_use, name, KEDGE_NAME_MAX),
    FIELD_TEXT(output_use, allowed, EXPRESSION_MAX),       FIELD_TEXT(output_use, before, EXPRESSION_MAX),
    FIELD_TEXT(output_use, after, EXPRESSION_MAX),
};
static CODEC_MESSAGE(output_use, "use of an output", output_use, kedge__output_use__descriptor);

static const struct codec_field action_output_fields[] = {
    FIELD_U32(action_output, format, 1),
    FIELD_LINE(action_output, cluster, KEDGE_NAME_MAX),
    FIELD_U64(action_output, serial),
    FIELD_FIXED(action_output, root),
    FIELD_LINE(action_output, member, KEDGE_MEMBER_NAME_MAX),
    FIELD_LINE(action_output, step, KEDGE_NAME_MAX),
    FIELD_LINE(action_output, name, KEDGE_NAME_MAX),
    FIELD_LINE(action_output, value, KEDGE_OUTPUT_MAX),
};
CODEC_MESSAGE(action_output, "output", action_output, kedge__output__descriptor);

static const struct codec_field argument_fields[] = {
    FIELD_TEXT(argument, text, KEDGE_ARGUMENT_MAX),
    FIELD_U32_IF(argument, found, KEDGE_ARGUMENTS_MAX),
    FIELD_SUB(argument, output, &output_use_codec),
};
static CODEC_MESSAGE(argument, "argument", argument, kedge__argument__descriptor);

static const struct codec_field command_fields[] = {
    FIELD_SUBS(command, arguments, KEDGE_ARGUMENTS_MAX, &argument_codec),
    FIELD_TEXTS(command, environment, 64, KEDGE_ARGUMENT_MAX),
    FIELD_LINE(command, user, KEDGE_NAME_MAX),
    FIELD_U32(command, deadline_ms, DEADLINE_MS_MAX),
};
CODEC_MESSAGE(command, "command", command, kedge__command__descriptor);

static const struct codec_field probe_fields[] = {
    FIELD_ENUM(probe, kind, PROBE_KINDS),
    FIELD_LINE(probe, target, TARGETS_BYTES_MAX),
    FIELD_LINE(probe, path, URL_MAX),
    FIELD_BYTES(probe, send, PROBE_BYTES_MAX),
    FIELD_TEXT(probe, match, EXPRESSION_MAX),
    FIELD_SUB(probe, command, &command_codec),
    FIELD_U32(probe, timeout_ms, DEADLINE_MS_MAX),
};
CODEC_MESSAGE(probe, "probe", probe, kedge__probe__descriptor);

static const struct codec_field check_fields[] = {
    FIELD_INLINE(check, probe, &probe_codec),
    FIELD_ENUM(check, rule, CHECK_RULES),
    FIELD_U64(check, count),
    FIELD_TEXTS(check, values, KEDGE_PROBE_ITEMS_MAX, URL_MAX),
    FIELD_BOOL(check, exclude_self),
    FIELD_ENUM(check, otherwise, ANSWERS),
    FIELD_TEXT(check, says, SAYS_MAX),
};
static CODEC_MESSAGE(check, "check", check, kedge__check__descriptor);

static const struct codec_field sample_fields[] = {
    FIELD_INLINE(sample, source, &probe_codec),      FIELD_TEXT(sample, filter, EXPRESSION_MAX),
    FIELD_BYTES_LIST(sample, filter_any, 8, 256),    FIELD_LINE(sample, target, URL_MAX),
    FIELD_BYTES(sample, request, PROBE_BYTES_MAX),   FIELD_BYTES(sample, answer, PROBE_BYTES_MAX),
    FIELD_U32(sample, per_object, KEDGE_SAMPLE_MAX), FIELD_U32(sample, limit, KEDGE_SAMPLE_MAX),
    FIELD_U32(sample, minimum, KEDGE_SAMPLE_MAX),    FIELD_U32(sample, timeout_ms, DEADLINE_MS_MAX),
};
static CODEC_MESSAGE(sample, "sample", sample, kedge__sample__descriptor);

static const struct codec_field gate_fields[] = {
    FIELD_LINE(gate, name, KEDGE_NAME_MAX),
    FIELD_ENUM(gate, scope, GATE_SCOPES),
    FIELD_SUBS(gate, checks, KEDGE_CHECKS_MAX, &check_codec),
    FIELD_SUB(gate, sample, &sample_codec),
    FIELD_U32(gate, detection_ms, DEADLINE_MS_MAX),
    FIELD_U32(gate, evidence_age_ms, DEADLINE_MS_MAX),
};
CODEC_MESSAGE(gate, "gate", gate, kedge__gate__descriptor);

static const struct codec_field config_op_fields[] = {
    FIELD_ENUM(config_op, kind, CONFIG_OP_KINDS),
    FIELD_LINE(config_op, key, EXPRESSION_MAX),
    FIELD_TEXT(config_op, value, KEDGE_ARGUMENT_MAX),
};
static CODEC_MESSAGE(config_op, "config op", config_op, kedge__config_op__descriptor);

static const struct codec_field render_fields[] = {
    FIELD_LINE(render, path, KEDGE_PATH_MAX),
    FIELD_LINE(render, name, KEDGE_NAME_MAX),
    FIELD_ENUM(render, format, CONFIG_FORMATS),
    FIELD_BYTES_IF(render, shipped, KEDGE_CONFIG_BYTES_MAX),
    FIELD_SUBS(render, ops, KEDGE_CONFIG_OPS_MAX, &config_op_codec),
    FIELD_FIXED(render, old_digest),
    FIELD_FIXED(render, new_digest),
};
CODEC_MESSAGE(render, "render", render, kedge__render__descriptor);

static const struct codec_field generation_fields[] = {
    FIELD_ENUM(generation, mode, MODES),
    FIELD_FIXED_IF(generation, manifest),
    FIELD_LINE(generation, version, KEDGE_NAME_MAX),
    FIELD_SUB(generation, render, &render_codec),
    FIELD_SUBS(generation, arguments, KEDGE_ARGUMENTS_MAX, &argument_codec),
    FIELD_FIXED(generation, digest),
};
CODEC_MESSAGE(generation, "generation", generation, kedge__generation__descriptor);

static const struct codec_field capture_fields[] = {
    FIELD_LINE(capture, name, KEDGE_NAME_MAX),
    FIELD_TEXT(capture, match, EXPRESSION_MAX),
    FIELD_TEXT(capture, allowed, EXPRESSION_MAX),
};
static CODEC_MESSAGE(capture, "capture", capture, kedge__capture__descriptor);

static const struct codec_field row_fields[] = {
    FIELD_ENUM(row, primitive, PRIMITIVES),
    FIELD_U32(row, deadline_ms, DEADLINE_MS_MAX),
    FIELD_U32(row, hard_cap_ms, DEADLINE_MS_MAX),
    FIELD_U32(row, hold_ms, DEADLINE_MS_MAX),
    FIELD_U32(row, generation, 16),
    FIELD_FIXED_LIST(row, gates, KEDGE_GATES_MAX),
    FIELD_ENUM(row, sample, SAMPLE_USES),
    FIELD_ENUM(row, on_failure, ON_FAILURES),
    FIELD_U32(row, signal, 64),
    FIELD_TEXT(row, progress, EXPRESSION_MAX),
    FIELD_LINE(row, deadline_why, EXPRESSION_MAX),
    FIELD_SUB(row, command, &command_codec),
    FIELD_SUB(row, done_if, &check_codec),
    FIELD_SUBS(row, captures, KEDGE_CAPTURES_MAX, &capture_codec),
};
static CODEC_MESSAGE(row, "row", row, kedge__row__descriptor);

static const struct codec_field step_fields[] = {
    FIELD_LINE(step, name, KEDGE_NAME_MAX),
    FIELD_ENUM(step, verb, VERBS),
    FIELD_SUBS(step, rows, KEDGE_ROWS_MAX, &row_codec),
};
static CODEC_MESSAGE(step, "step", step, kedge__step__descriptor);

static const struct codec_field lease_fields[] = {
    FIELD_LINE(lease, name, KEDGE_NAME_MAX),     FIELD_LINE(lease, close_step, KEDGE_NAME_MAX),
    FIELD_TEXT(lease, previous, EXPRESSION_MAX), FIELD_TEXT(lease, ours, EXPRESSION_MAX),
    FIELD_U32(lease, ttl_ms, DEADLINE_MS_MAX),   FIELD_U32(lease, delta_ms, DEADLINE_MS_MAX),
    FIELD_U32(lease, rank, KEDGE_MEMBERS_MAX),   FIELD_ENUM(lease, on_loss, ON_LOSSES),
};
static CODEC_MESSAGE(lease, "lease", lease, kedge__lease__descriptor);

static const struct codec_field fact_fields[] = {
    FIELD_LINE(fact, name, KEDGE_NAME_MAX),
    FIELD_TEXT(fact, value, KEDGE_ARGUMENT_MAX),
};
static CODEC_MESSAGE(fact, "fact", fact, kedge__fact__descriptor);

static const struct codec_field work_order_fields[] = {
    FIELD_U32(work_order, format, 1),
    FIELD_LINE(work_order, cluster, KEDGE_NAME_MAX),
    FIELD_U64(work_order, serial),
    FIELD_LINE(work_order, member, KEDGE_MEMBER_NAME_MAX),
    FIELD_LINE(work_order, role, KEDGE_NAME_MAX),
    FIELD_LINE(work_order, node, KEDGE_NAME_MAX),
    FIELD_FIXED(work_order, node_key),
    FIELD_LINE_OR_EMPTY(work_order, domain, KEDGE_NAME_MAX),
    FIELD_LINE(work_order, system, KEDGE_NAME_MAX),
    FIELD_LINE(work_order, self, URL_MAX),
    FIELD_ENUM(work_order, end_mode, MODES),
    FIELD_ENUM(work_order, way_back, WAYS_BACK),
    FIELD_SUBS(work_order, binding, FACTS_MAX, &fact_codec),
    FIELD_SUBS(work_order, generations, 16, &generation_codec),
    FIELD_SUBS(work_order, steps, KEDGE_STEPS_MAX, &step_codec),
    FIELD_SUBS(work_order, leases, 8, &lease_codec),
    FIELD_LINE(work_order, from_version, KEDGE_NAME_MAX),
    FIELD_LINE(work_order, to_version, KEDGE_NAME_MAX),
};
CODEC_MESSAGE(work_order, "work order", work_order, kedge__work_order__descriptor);

static const struct codec_field budget_fields[] = {
    FIELD_ENUM(budget, kind, BUDGETS),
    FIELD_U32(budget, count, KEDGE_MEMBERS_MAX),
    FIELD_U32(budget, percent, 100),
};
static CODEC_MESSAGE(budget, "budget", budget, kedge__budget__descriptor);

static const struct codec_field wave_fields[] = {
    FIELD_LINE(wave, name, KEDGE_NAME_MAX),
    FIELD_ENUM(wave, kind, WAVE_KINDS),
    FIELD_U32_LIST(wave, members, KEDGE_MEMBERS_MAX, KEDGE_MEMBERS_MAX - 1),
    FIELD_U32(wave, limit_count, KEDGE_MEMBERS_MAX),
    FIELD_U32(wave, limit_percent, 100),
    FIELD_BOOL(wave, one_domain),
    FIELD_FIXED_IF(wave, last),
    FIELD_U32(wave, soak_read_only_ms, UINT32_MAX),
    FIELD_U32(wave, soak_ms, UINT32_MAX),
    FIELD_U32(wave, wait_limit_ms, UINT32_MAX),
    FIELD_BOOL(wave, approval),
    FIELD_BOOL(wave, return_inconclusive),
    FIELD_SUBS(wave, budgets, BUDGETS, &budget_codec),
};
static CODEC_MESSAGE(wave, "wave", wave, kedge__wave__descriptor);

static const struct codec_field side_action_fields[] = {
    FIELD_LINE(side_action, name, KEDGE_NAME_MAX),       FIELD_LINE(side_action, open_step, KEDGE_NAME_MAX),
    FIELD_LINE(side_action, close_step, KEDGE_NAME_MAX), FIELD_TEXT(side_action, previous, EXPRESSION_MAX),
    FIELD_TEXT(side_action, ours, EXPRESSION_MAX),       FIELD_U32(side_action, ttl_ms, DEADLINE_MS_MAX),
};
static CODEC_MESSAGE(side_action, "side action", side_action, kedge__side_action__descriptor);

static const struct codec_field shape_fields[] = {
    FIELD_U32(shape, format, 1),
    FIELD_LINE(shape, strategy, KEDGE_NAME_MAX),
    FIELD_SUBS(shape, waves, KEDGE_MEMBERS_MAX, &wave_codec),
    FIELD_SUBS(shape, side_actions, 8, &side_action_codec),
    FIELD_FIXED_LIST(shape, may_stop, KEDGE_GATES_MAX),
    FIELD_FIXED_LIST(shape, recovered, KEDGE_GATES_MAX),
    FIELD_LINES(shape, warnings, 64, SAYS_MAX),
    FIELD_LINE_OR_EMPTY(shape, point_of_no_return, SAYS_MAX),
    FIELD_LINES(shape, depends_on, 32, KEDGE_NAME_MAX),
    FIELD_SUBS(shape, budgets, BUDGETS, &budget_codec),
    FIELD_BOOL(shape, return_on_abort),
    FIELD_FIXED_IF(shape, diffs),
};
CODEC_MESSAGE(shape, "shape", shape, kedge__shape__descriptor);

static const struct codec_field header_fields[] = {
    FIELD_U32(header, format, 1),
    FIELD_LINE(header, cluster, KEDGE_NAME_MAX),
    FIELD_U64(header, serial),
    FIELD_FIXED(header, root),
    FIELD_U32(header, n_leaves, KEDGE_MEMBERS_MAX),
    FIELD_FIXED(header, charter),
    FIELD_FIXED(header, recipe),
    FIELD_FIXED(header, manifest),
    FIELD_LINE(header, from_version, KEDGE_NAME_MAX),
    FIELD_LINE(header, to_version, KEDGE_NAME_MAX),
    FIELD_LINE(header, author, KEDGE_NAME_MAX),
    FIELD_LINE_OR_EMPTY(header, ticket, KEDGE_NAME_MAX),
    FIELD_LINE_OR_EMPTY(header, reason, KEDGE_REASON_MAX),
    FIELD_U64(header, created_s),
    FIELD_U64(header, not_before_s),
    FIELD_U64(header, not_after_s),
    FIELD_LINES(header, consents, 64, KEDGE_NAME_MAX),
    FIELD_ENUM(header, urgency, URGENCIES),
    FIELD_U64(header, supersedes),
    FIELD_FIXED_LIST(header, lifts, QUARANTINE_LIFTS_MAX),
};
CODEC_MESSAGE(header, "plan header", header, kedge__header__descriptor);

static const struct codec_field word_fields[] = {
    FIELD_U32(word, format, 1),
    FIELD_ENUM(word, kind, WORD_KINDS),
    FIELD_LINE(word, cluster, KEDGE_NAME_MAX),
    FIELD_U64(word, serial),
    FIELD_LINE(word, member, KEDGE_MEMBER_NAME_MAX),
    FIELD_LINE_OR_EMPTY(word, gate, KEDGE_NAME_MAX),
    FIELD_LINE(word, reason, WORD_REASON_MAX),
    FIELD_LINE(word, author, KEDGE_NAME_MAX),
    FIELD_U64(word, created_s),
    FIELD_U64(word, expires_s),
};
CODEC_MESSAGE(word, "word", word, kedge__word__descriptor);

static const struct codec_field plan_fields[] = {
    FIELD_BYTES(plan, header, 64 * 1024),
    FIELD_BYTES(plan, shape, KEDGE_CONTROL_BYTES_MAX),
    FIELD_BYTES_LIST(plan, work_orders, KEDGE_MEMBERS_MAX, WORK_ORDER_BYTES_MAX),
    FIELD_BYTES_LIST(plan, gates, KEDGE_MEMBERS_MAX * 4, GATE_BYTES_MAX),
    FIELD_BYTES(plan, manifest, KEDGE_MANIFEST_BYTES_MAX),
    FIELD_TEXTS(plan, diffs, KEDGE_MEMBERS_MAX, KEDGE_CONFIG_BYTES_MAX),
};
CODEC_MESSAGE(plan, "plan", plan, kedge__plan__descriptor);

static const struct codec_field release_file_fields[] = {
    FIELD_LINE(release_file, path, KEDGE_PATH_MAX), FIELD_U64(release_file, size),
    FIELD_U32(release_file, mode, 07777),           FIELD_FIXED(release_file, digest),
    FIELD_LINE(release_file, link, KEDGE_PATH_MAX),
};
static CODEC_MESSAGE(release_file, "release file", release_file, kedge__release_file__descriptor);

static const struct codec_field component_fields[] = {
    FIELD_LINE(component, name, KEDGE_NAME_MAX),
    FIELD_FIXED(component, artifact),
    FIELD_U64(component, size),
    FIELD_U32(component, strip, 8),
    FIELD_SUBS(component, files, KEDGE_RELEASE_FILES_MAX, &release_file_codec),
};
static CODEC_MESSAGE(component, "component", component, kedge__component__descriptor);

static const struct codec_field manifest_fields[] = {
    FIELD_U32(manifest, format, 1),
    FIELD_LINE(manifest, system, KEDGE_NAME_MAX),
    FIELD_LINE(manifest, version, KEDGE_NAME_MAX),
    FIELD_U64(manifest, serial),
    FIELD_SUBS(manifest, components, 32, &component_codec),
};
CODEC_MESSAGE(manifest, "release manifest", manifest, kedge__manifest__descriptor);

static const struct codec_field mode_gate_fields[] = {
    FIELD_ENUM(mode_gate, mode, MODES),
    FIELD_FIXED(mode_gate, gate),
};
static CODEC_MESSAGE(mode_gate, "mode gate", mode_gate, kedge__mode_gate__descriptor);

static const struct codec_field charter_member_fields[] = {
    FIELD_LINE(charter_member, name, KEDGE_MEMBER_NAME_MAX),
    FIELD_LINE(charter_member, role, KEDGE_NAME_MAX),
    FIELD_LINE(charter_member, node, KEDGE_NAME_MAX),
    FIELD_LINE(charter_member, self, URL_MAX),
    FIELD_U32(charter_member, port, 65535),
    FIELD_TEXT(charter_member, process, EXPRESSION_MAX),
    FIELD_ENUM(charter_member, release_from, RELEASE_FROMS),
    FIELD_TEXT(charter_member, release_match, EXPRESSION_MAX),
    FIELD_LINE(charter_member, config_after, KEDGE_NAME_MAX),
    FIELD_ENUM(charter_member, config_format, CONFIG_FORMATS),
    FIELD_LINES(charter_member, clear_after, 32, KEDGE_NAME_MAX),
    FIELD_SUBS(charter_member, modes, MODES, &mode_gate_codec),
    FIELD_FIXED_LIST(charter_member, gates, KEDGE_GATES_MAX),
    FIELD_SUB(charter_member, instance, &probe_codec),
    FIELD_TEXTS(charter_member, data_after, 32, EXPRESSION_MAX),
    FIELD_TEXTS(charter_member, clear_config, 512, EXPRESSION_MAX),
};
CODEC_MESSAGE(charter_member, "charter member", charter_member, kedge__charter_member__descriptor);

static const struct codec_field roster_entry_fields[] = {
    FIELD_LINE(roster_entry, node, KEDGE_NAME_MAX),
    FIELD_FIXED(roster_entry, key),
    FIELD_LINE_OR_EMPTY(roster_entry, domain, KEDGE_NAME_MAX),
};
static CODEC_MESSAGE(roster_entry, "roster entry", roster_entry, kedge__roster_entry__descriptor);

static const struct codec_field charter_fields[] = {
    FIELD_U32(charter, format, 1),
    FIELD_LINE(charter, cluster, KEDGE_NAME_MAX),
    FIELD_LINE(charter, system, KEDGE_NAME_MAX),
    FIELD_U64(charter, serial),
    FIELD_FIXED(charter, recipe),
    FIELD_SUBS(charter, roster, KEDGE_MEMBERS_MAX, &roster_entry_codec),
    FIELD_SUBS(charter, members, KEDGE_MEMBERS_MAX, &charter_member_codec),
    FIELD_BYTES_LIST(charter, gates, KEDGE_MEMBERS_MAX * 4, GATE_BYTES_MAX),
    FIELD_FIXED_LIST(charter, cluster_gates, KEDGE_GATES_MAX),
    FIELD_LINES(charter, depends_on, 32, KEDGE_NAME_MAX),
};
CODEC_MESSAGE(charter, "charter", charter, kedge__charter__descriptor);

int generation_digest(const struct generation *generation, struct digest *outp, struct error *err) {
    struct generation plain = *generation;
    plain.digest = (struct digest){0};
    _cleanup_(buffer_deinit) struct buffer bytes = {0};
    int r = codec_encode(&generation_codec, &plain, &bytes, err);
    if (r == 0)
        *outp = digest_of(buffer_bytes(&bytes));
    return r;
}
