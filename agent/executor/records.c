/* Why each record carries no version of its own: the journal's first line does, and a new layout gets a new type. */
#include "agent/executor/records.h"

#include <string.h>

static int done(const struct unpack *from) {
    return unpack_done(from) ? 0 : -EBADMSG;
}

/* A number that must be below `n`; a foreign one fails the record. */
static unsigned unpack_below(struct unpack *from, unsigned n) {
    unsigned value = unpack_u8(from);
    if (value >= n)
        from->failed = true;
    return from->failed ? 0 : value;
}

static void pack_digest(struct buffer *out, const struct digest *digest) {
    buffer_append(out, digest->b, sizeof(digest->b));
}

static struct digest unpack_digest(struct unpack *from) {
    struct digest digest = {0};
    const uint8_t *p = unpack_raw(from, sizeof(digest.b));
    if (p)
        memcpy(digest.b, p, sizeof(digest.b));
    return digest;
}

void machine_record_pack(const struct machine_record *record, struct buffer *out) {
    pack_u8(out, record->state);
    buffer_u32(out, record->row);
    pack_u8(out, record->changed);
    pack_u8(out, record->stopped);
    pack_u8(out, record->held);
    pack_u8(out, record->started_new);
    pack_u8(out, record->promoted);
    buffer_u64(out, record->serial);
    buffer_u32(out, record->generation);
    pack_u8(out, record->outcome);
    buffer_u64(out, record->stopped_at_us);
    buffer_u64(out, record->interruption_us);
    buffer_u64(out, record->evidence_age_us);
    pack_text(out, record->reason);
    if (record->barrier == BARRIER_NONE && !record->adopts && !record->held && !record->blames)
        return; /* as agents wrote it that knew no barrier */
    pack_u8(out, record->barrier);
    buffer_u64(out, record->hold_until_us);
    buffer_u64(out, record->barrier_serial);
    if (record->adopts || record->held || record->blames) /* as those wrote it that adopted nothing */
        pack_u8(out, record->adopts);
    if (record->held || record->blames)
        buffer_u64(out, record->held_serial);
    if (record->blames)
        pack_u8(out, record->blames);
}

int machine_record_unpack(struct bytes packed, struct machine_record *out) {
    struct unpack from = {.rest = packed};
    *out = (struct machine_record){0};
    out->state = (enum machine_state)unpack_below(&from, MACHINE_STATES);
    out->row = unpack_u32(&from);
    out->changed = unpack_below(&from, 2);
    out->stopped = unpack_below(&from, 2);
    out->held = unpack_below(&from, 2);
    out->started_new = unpack_below(&from, 2);
    out->promoted = unpack_below(&from, 2);
    out->serial = unpack_u64(&from);
    out->generation = unpack_u32(&from);
    out->outcome = (enum outcome)unpack_below(&from, OUTCOMES);
    out->stopped_at_us = unpack_u64(&from);
    out->interruption_us = unpack_u64(&from);
    out->evidence_age_us = unpack_u64(&from);
    struct bytes reason = unpack_bytes(&from);
    if (reason.len >= sizeof(out->reason))
        from.failed = true;
    else if (reason.len > 0)
        memcpy(out->reason, reason.data, reason.len);
    if (!from.failed && from.rest.len > 0) {
        out->barrier = (enum barrier)unpack_below(&from, BARRIERS);
        out->hold_until_us = unpack_u64(&from);
        out->barrier_serial = unpack_u64(&from);
    }
    if (!from.failed && from.rest.len > 0)
        out->adopts = unpack_below(&from, 2);
    out->held_serial = !from.failed && from.rest.len > 0 ? unpack_u64(&from) : out->serial;
    if (!from.failed && from.rest.len > 0)
        out->blames = unpack_below(&from, 2);
    return done(&from);
}

void trust_record_pack(const struct trust_record *record, struct buffer *out) {
    buffer_u64(out, record->epoch);
    buffer_u64(out, record->time_s);
}

int trust_record_unpack(struct bytes packed, struct trust_record *out) {
    struct unpack from = {.rest = packed};
    *out = (struct trust_record){.epoch = unpack_u64(&from)};
    out->time_s = unpack_u64(&from);
    return done(&from);
}

void cluster_record_pack(const struct cluster_record *record, struct buffer *out) {
    buffer_u64(out, record->serial);
    pack_digest(out, &record->root);
    buffer_u64(out, record->aborted);
}

int cluster_record_unpack(struct bytes packed, struct cluster_record *out) {
    struct unpack from = {.rest = packed};
    *out = (struct cluster_record){.serial = unpack_u64(&from)};
    out->root = unpack_digest(&from);
    out->aborted = unpack_u64(&from);
    return done(&from);
}

void charter_record_pack(const struct charter_record *record, struct buffer *out) {
    pack_bytes(out, record->blob);
    pack_u8(out, record->adopt);
}

int charter_record_unpack(struct bytes packed, struct charter_record *out) {
    struct unpack from = {.rest = packed};
    *out = (struct charter_record){.blob = unpack_bytes(&from)};
    out->adopt = unpack_below(&from, 2);
    return done(&from);
}

void order_record_pack(const struct order_claim *claim, struct buffer *out) {
    pack_bytes(out, claim->header);
    pack_bytes(out, claim->work_order);
    buffer_u32(out, claim->leaf);
    buffer_u32(out, (uint32_t)claim->n_path);
    for (size_t i = 0; i < claim->n_path; i++)
        pack_digest(out, &claim->path[i]);
    buffer_u32(out, (uint32_t)claim->n_gates);
    for (size_t i = 0; i < claim->n_gates; i++)
        pack_bytes(out, claim->gates[i]);
    pack_bytes(out, claim->manifest);
    buffer_append(out, claim->addressee.b, sizeof(claim->addressee.b));
    if (claim->beside.n == 0 && claim->n_outputs == 0)
        return; /* as agents wrote it that were never told of others */
    buffer_u32(out, (uint32_t)claim->beside.n);
    for (size_t i = 0; i < claim->beside.n; i++)
        pack_text(out, claim->beside.names[i]);
    if (claim->n_outputs == 0)
        return; /* as agents wrote it that knew of none */
    buffer_u32(out, (uint32_t)claim->n_outputs);
    for (size_t i = 0; i < claim->n_outputs; i++)
        pack_bytes(out, claim->outputs[i]);
}

/* How many items follow; no more than could lie in the rest. */
static size_t unpack_count(struct unpack *from, size_t item_bytes) {
    uint32_t n = unpack_u32(from);
    if (n > from->rest.len / item_bytes)
        from->failed = true;
    return from->failed ? 0 : n;
}

static int unpack_beside(struct unpack *from, struct arena *arena, struct beside *outp) {
    *outp = (struct beside){NULL, 0};
    if (from->failed || from->rest.len == 0)
        return 0;
    size_t n = unpack_count(from, 4);
    const char **names = arena_array(arena, n + 1, sizeof(*names));
    for (size_t i = 0; names && i < n; i++)
        if (!(names[i] = unpack_text(from, arena)))
            return from->failed ? 0 : -ENOMEM;
    *outp = (struct beside){names, n};
    return names ? 0 : -ENOMEM;
}

static int unpack_outputs(struct unpack *from, struct arena *arena, struct order_claim *out) {
    if (from->failed || from->rest.len == 0)
        return 0;
    out->n_outputs = unpack_count(from, 4);
    struct bytes *outputs = arena_array(arena, out->n_outputs, sizeof(*outputs));
    for (size_t i = 0; outputs && i < out->n_outputs; i++)
        outputs[i] = unpack_bytes(from);
    out->outputs = outputs;
    return outputs ? 0 : -ENOMEM;
}

int order_record_unpack(struct bytes packed, struct arena *arena, struct order_claim *out) {
    struct unpack from = {.rest = packed};
    *out = (struct order_claim){.header = unpack_bytes(&from)};
    out->work_order = unpack_bytes(&from);
    out->leaf = unpack_u32(&from);
    out->n_path = unpack_count(&from, KEDGE_DIGEST_LEN);
    struct digest *path = arena_array(arena, out->n_path, sizeof(*path));
    for (size_t i = 0; path && i < out->n_path; i++)
        path[i] = unpack_digest(&from);
    out->n_gates = unpack_count(&from, 4);
    struct bytes *gates = arena_array(arena, out->n_gates, sizeof(*gates));
    for (size_t i = 0; gates && i < out->n_gates; i++)
        gates[i] = unpack_bytes(&from);
    out->manifest = unpack_bytes(&from);
    const uint8_t *key = unpack_raw(&from, sizeof(out->addressee.b));
    if (!path || !gates || unpack_beside(&from, arena, &out->beside) < 0 ||
        unpack_outputs(&from, arena, out) < 0)
        return -ENOMEM;
    out->path = path;
    out->gates = gates;
    if (key)
        memcpy(out->addressee.b, key, sizeof(out->addressee.b));
    return done(&from);
}

void step_record_pack(const struct step_record *record, struct buffer *out) {
    pack_text(out, record->step);
    buffer_u64(out, record->epoch);
    buffer_u64(out, record->expires_s);
}

int step_record_unpack(struct bytes packed, struct arena *arena, struct step_record *out) {
    struct unpack from = {.rest = packed};
    *out = (struct step_record){.step = unpack_text(&from, arena)};
    out->epoch = unpack_u64(&from);
    out->expires_s = unpack_u64(&from);
    return done(&from);
}

void process_record_pack(const struct process_record *record, struct buffer *out) {
    buffer_u32(out, (uint32_t)record->id.pid);
    buffer_u64(out, record->id.started);
    pack_text(out, record->id.boot);
    buffer_u32(out, record->generation);
    pack_u8(out, record->managed);
    buffer_u64(out, record->log_offset);
    pack_u8(out, record->origin);
    pack_text(out, record->instance);
}

int process_record_unpack(struct bytes packed, struct arena *arena, struct process_record *out) {
    struct unpack from = {.rest = packed};
    *out = (struct process_record){.id.pid = (pid_t)unpack_u32(&from)};
    out->id.started = unpack_u64(&from);
    snprintf(out->id.boot, sizeof(out->id.boot), "%s", unpack_text(&from, arena));
    out->generation = unpack_u32(&from);
    out->managed = unpack_below(&from, 2);
    out->log_offset = unpack_u64(&from);
    out->origin = (enum origin)unpack_below(&from, ORIGINS);
    out->instance = unpack_text(&from, arena);
    return done(&from);
}

void generation_record_pack(const struct generation_record *record, struct buffer *out) {
    _cleanup_(buffer_deinit) struct buffer spec = {0};
    spec_pack(&record->spec, &spec);
    buffer_u32(out, record->number);
    buffer_u64(out, record->serial);
    buffer_u32(out, record->index);
    pack_digest(out, &record->digest);
    pack_u8(out, record->mode);
    pack_text(out, record->version);
    pack_text(out, record->release);
    pack_text(out, record->config);
    pack_bytes(out, buffer_bytes(&spec));
    out->failed |= spec.failed;
}

int generation_record_unpack(struct bytes packed, struct arena *arena, struct generation_record *out) {
    struct unpack from = {.rest = packed};
    *out = (struct generation_record){.number = unpack_u32(&from)};
    out->serial = unpack_u64(&from);
    out->index = unpack_u32(&from);
    out->digest = unpack_digest(&from);
    out->mode = (enum mode)unpack_below(&from, MODES);
    out->version = unpack_text(&from, arena);
    out->release = unpack_text(&from, arena);
    out->config = unpack_text(&from, arena);
    struct bytes spec = unpack_bytes(&from);
    int r = done(&from);
    return r < 0 ? r : spec_unpack(spec, arena, &out->spec);
}

void outcome_record_pack(const struct outcome_record *record, struct buffer *out) {
    pack_u8(out, record->outcome);
    buffer_u64(out, record->epoch);
    buffer_u64(out, record->expires_s);
    pack_bytes(out, record->report);
}

int outcome_record_unpack(struct bytes packed, struct outcome_record *out) {
    struct unpack from = {.rest = packed};
    *out = (struct outcome_record){.outcome = (enum outcome)unpack_below(&from, OUTCOMES)};
    out->epoch = unpack_u64(&from);
    out->expires_s = unpack_u64(&from);
    out->report = unpack_bytes(&from);
    return done(&from);
}

void lease_record_pack(const struct lease_record *record, struct buffer *out) {
    pack_u8(out, record->open);
    pack_text(out, record->member);
}

int lease_record_unpack(struct bytes packed, struct arena *arena, struct lease_record *out) {
    struct unpack from = {.rest = packed};
    *out = (struct lease_record){.open = unpack_below(&from, 2)};
    out->member = unpack_text(&from, arena);
    return done(&from);
}

void quarantine_record_pack(const struct quarantine_record *record, struct buffer *out) {
    pack_text(out, record->failed.cluster);
    buffer_u64(out, record->failed.serial);
    pack_text(out, record->member);
    buffer_u64(out, record->at_s);
    pack_text(out, record->reason);
}

int quarantine_record_unpack(struct bytes packed, struct arena *arena, struct quarantine_record *out) {
    struct unpack from = {.rest = packed};
    *out = (struct quarantine_record){.failed.cluster = unpack_text(&from, arena)};
    out->failed.serial = unpack_u64(&from);
    out->member = unpack_text(&from, arena);
    out->at_s = unpack_u64(&from);
    out->reason = unpack_text(&from, arena);
    return done(&from);
}
