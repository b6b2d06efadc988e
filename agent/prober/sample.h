/* A proof of life: entries that are read through the member before its stop, and again after it. */
#ifndef KEDGE_AGENT_PROBER_SAMPLE_H
#define KEDGE_AGENT_PROBER_SAMPLE_H

#include "agent/prober/entry.h"
#include "agent/prober/tree.h"

/* One entry that was captured. In the blob: object u64 | entry u64 | digest 32 | length of the item u16 | item. */
struct sample_record {
    struct places places;
    struct digest digest;
};

/* One path or name that the source yielded. */
struct candidate {
    const char *text, *where;
    uint64_t object;
    bool read_under_way, passed;
    struct sample_run *run;
    struct tree_read read;
};

struct sample_run {
    /* set by the owner; the probe inside of `sample` too must live as long */
    struct prober *prober;
    const struct sample *sample;
    const char *log_path;
    uint64_t log_offset;
    bool is_compare;
    struct bytes captured;     /* compare: the blob; lives as long as the run */
    void (*done)(void *owner); /* once, never from within sample_start */
    void *owner;

    enum answer answer;
    char reason[KEDGE_REASON_MAX];
    struct buffer blob; /* capture: the records */
    uint64_t asked_us;

    bool started, ended;
    struct ask source;
    uint64_t synced;
    struct candidate *candidates;
    size_t n_candidates, at, n_asked_ahead;
    uint64_t entry;
    struct arena *arena;
    struct sample_record *records; /* compare */
    size_t n_records, n_good, n_read;
    char first_missing[160];
    struct entry_reader reader;
    struct timer timer;
};

void sample_start(struct sample_run *run);

/* Ends it in any state; fine on a zeroed one. */
void sample_stop(struct sample_run *run);

#endif
