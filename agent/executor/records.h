/* What stands in the journal's records, as structs: one pack and one unpack for each, used by the running agent and by
 * recovery alike. Unpacking copies texts into the arena; -EBADMSG when the bytes are not what was packed. */
#ifndef KEDGE_EXECUTOR_RECORDS_H
#define KEDGE_EXECUTOR_RECORDS_H

#include "agent/core/acceptance.h"
#include "agent/executor/spec.h"
#include "common/plan/verify.h"

/* RECORD_MEMBER */
void machine_record_pack(const struct machine_record *record, struct buffer *out);
int machine_record_unpack(struct bytes packed, struct machine_record *out) _must_check_;

/* RECORD_TRUST */
struct trust_record {
    uint64_t epoch;  /* the highest that was obeyed */
    uint64_t time_s; /* the latest signed time that was seen, seconds since 1970 */
};
void trust_record_pack(const struct trust_record *record, struct buffer *out);
int trust_record_unpack(struct bytes packed, struct trust_record *out) _must_check_;

/* RECORD_CLUSTER */
struct cluster_record {
    uint64_t serial; /* the highest that was begun */
    struct digest root;
    uint64_t aborted; /* the highest serial that was aborted */
};
void cluster_record_pack(const struct cluster_record *record, struct buffer *out);
int cluster_record_unpack(struct bytes packed, struct cluster_record *out) _must_check_;

/* RECORD_CHARTER; the blob is a view into `packed`. */
struct charter_record {
    struct bytes blob;
    bool adopt;
};
void charter_record_pack(const struct charter_record *record, struct buffer *out);
int charter_record_unpack(struct bytes packed, struct charter_record *out) _must_check_;

/* RECORD_ORDER: a claim without step, epoch and expiry; RECORD_STEP has those. Views into `packed`, lists in the arena. */
void order_record_pack(const struct order_claim *claim, struct buffer *out);
int order_record_unpack(struct bytes packed, struct arena *arena, struct order_claim *out) _must_check_;

struct step_record {
    const char *step;
    uint64_t epoch, expires_s;
};
void step_record_pack(const struct step_record *record, struct buffer *out);
int step_record_unpack(struct bytes packed, struct arena *arena, struct step_record *out) _must_check_;

/* RECORD_PROCESS: what runs, or how it came that nothing does. */
struct process_record {
    struct process_id id; /* pid 0: nothing runs */
    uint32_t generation;  /* number */
    bool managed;         /* started by this agent; otherwise found */
    uint64_t log_offset;  /* where its output stood when it was started */
    enum origin origin;   /* why nothing runs */
    const char *instance; /* the id that the system gave it; "" not known */
};
void process_record_pack(const struct process_record *record, struct buffer *out);
int process_record_unpack(struct bytes packed, struct arena *arena, struct process_record *out) _must_check_;

/* RECORD_GENERATION: how one generation of a member is started. */
struct generation_record {
    uint32_t number;
    uint64_t serial; /* of the plan that made it; 0: found */
    uint32_t index;  /* in that plan's order */
    struct digest digest;
    enum mode mode;      /* that it starts in */
    const char *version; /* "" not known */
    const char *release; /* folder; "" not known */
    const char *config;  /* file as the service names it, relative to its folder; "" none */
    struct start_spec spec;
};
void generation_record_pack(const struct generation_record *record, struct buffer *out);
int generation_record_unpack(struct bytes packed, struct arena *arena,
                             struct generation_record *out) _must_check_;

/* RECORD_OUTCOME; the report is a view into `packed`. */
struct outcome_record {
    enum outcome outcome;
    uint64_t epoch, expires_s; /* of the order that it answers */
    struct bytes report;       /* encoded struct report */
};
void outcome_record_pack(const struct outcome_record *record, struct buffer *out);
int outcome_record_unpack(struct bytes packed, struct outcome_record *out) _must_check_;

/* RECORD_LEASE */
struct lease_record {
    bool open;
    const char *member; /* whose order holds it here; "" none yet */
};
void lease_record_pack(const struct lease_record *record, struct buffer *out);
int lease_record_unpack(struct bytes packed, struct arena *arena, struct lease_record *out) _must_check_;

/* RECORD_QUARANTINE */
struct quarantine_record {
    struct quarantined failed;
    const char *member, *reason; /* which one failed, and how */
    uint64_t at_s;               /* since 1970 */
};
void quarantine_record_pack(const struct quarantine_record *record, struct buffer *out);
int quarantine_record_unpack(struct bytes packed, struct arena *arena,
                             struct quarantine_record *out) _must_check_;

#endif
