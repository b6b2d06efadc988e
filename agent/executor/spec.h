/* How a member is started: everything that was found in /proc of the process that somebody else had started, so that
 * the same can be started again, with another release, after a crash and after a reboot. */
#ifndef KEDGE_EXECUTOR_SPEC_H
#define KEDGE_EXECUTOR_SPEC_H

#include "agent/executor/pack.h"
#include "agent/executor/procfs.h"

enum { SPEC_LIMITS = RLIM_NLIMITS };

/* Where descriptor 1 or 2 leads. */
struct output {
    const char *path;
    uint32_t flags; /* of open(2), without those that create or cut */
};

/* All texts lie in the arena that it was read into. */
struct start_spec {
    const char *executable; /* resolved */
    const char *const *arguments;
    size_t n_arguments;
    const char *const
        *resolved; /* per argument: what the link that it names led to when it was read; "" no link */
    const char *const *environment;
    size_t n_environment;
    const char *directory;
    struct proc_identity ids;
    int32_t oom_score;
    struct rlimit limits[SPEC_LIMITS];
    struct output output, errors;
};

/* Reads the spec of a living process without touching it. An output that is no file (pipe, terminal, socket) becomes
 * `fallback`, since the member must outlive whoever reads it. -EACCES when this agent may not look. */
int spec_read(pid_t pid, const char *fallback, struct arena *arena, struct start_spec *out,
              struct error *err) _must_check_;

void spec_pack(const struct start_spec *spec, struct buffer *out);
int spec_unpack(struct bytes packed, struct arena *arena, struct start_spec *out) _must_check_;

/* For people: gen/N/start. Values of options and of the environment are masked; `clear` says after which options words
 * may be shown. */
struct words {
    const char *const *items;
    size_t n;
};
void spec_text(const struct start_spec *spec, struct words clear, struct buffer *out);

/* Argument i as it may be shown: itself, or with the value behind "=" as "****", or "****". In `arena`; NULL when memory is
 * out. *clearp says whether nothing was masked. */
const char *argument_shown(const struct start_spec *spec, size_t i, struct words clear, struct arena *arena,
                           bool *clearp);

/* The argument after `option`, or NULL; *indexp is its number. */
const char *spec_argument_after(const struct start_spec *spec, const char *option, size_t *indexp);

#endif
