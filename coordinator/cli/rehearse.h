/* What `kedge rehearse` is asked, and what it shows. The rehearsal itself is coordinator/rehearsal: it runs in this process,
 * and nothing of it leaves it. */
#ifndef KEDGE_CLI_REHEARSE_H
#define KEDGE_CLI_REHEARSE_H

#include "coordinator/cli/client.h"
#include "coordinator/rehearsal/stage.h"

/* A line of the timeline that more may join; its texts live as long as the plan. */
struct rehearse_line {
    enum note_kind kind;
    bool mixed; /* of several kinds */
    uint64_t after_us;
    const char *wave;
    const char *members[64];
    size_t n_members;
    struct buffer text; /* empty: there is none */
};

struct rehearse {
    const char *path; /* of the plan file */
    const struct verified_plan *plan;
    struct rehearsal_pace pace;
    uint64_t lasts_us;
    uint64_t approve_us; /* so long after a canary is done somebody approves it; UINT64_MAX: nobody does */
    struct staged items[STAGED_MAX]; /* wanted faults and words */
    size_t n_items;
    bool struck[STAGED_MAX];
    uint64_t random; /* bits of enum fault that seeds may draw */
    bool many, one;  /* --seeds, --seed */
    uint64_t n_seeds, seed;
    uint64_t whole_us; /* of the calm rehearsal */
    struct rehearse_line line;
};

/* Reads the options; `asked->plan` is there. -EINVAL with a sentence. */
int rehearse_options(struct cli *cli, struct rehearse *asked) _must_check_;

/* Does an operator have to say something before the other waves begin? */
bool rehearse_wants_approval(const struct verified_plan *plan);

/* The names of all faults, for `--fault list`. */
int rehearse_list(struct cli *cli);

/* One rehearsal. */
struct rehearsed {
    struct rehearsal_result result;
    struct rehearsal_member *members; /* by work order */
    uint32_t most_away;
};

/* How it ended, for people: "done", "rolled-back", "PAUSED", "WAITS", ... */
const char *rehearse_end_text(const struct rehearsal_rest *rest);
int rehearse_exit(const struct rehearsal_result *result); /* enum cli_exit */

/* "server@n3" of "shop/server@n3". */
const char *rehearse_member(const struct rehearse *asked, const char *name);

/* ---- text ---- */
void rehearse_head(const struct rehearse *asked);
void rehearse_timeline_begin(const struct rehearse *asked);
void rehearse_note_print(struct rehearse *asked, const struct rehearsal_note *note);
/* Prints a text that begins in column `indent`, broken at the width of a terminal. */
void rehearse_text_print(const char *text, size_t indent, enum colour colour);
void rehearse_line_end(struct rehearse *asked); /* prints what is not printed yet */
void rehearse_summary(const struct rehearse *asked, const struct rehearsed *done);

/* ---- JSON ---- */
json_t *rehearse_head_json(const struct rehearse *asked);
json_t *rehearse_note_json(const struct rehearse *asked, const struct rehearsal_note *note);
json_t *rehearse_summary_json(const struct rehearse *asked, const struct rehearsed *done);

/* Many seeds: runs them, shows the table of ends, returns the exit code. */
typedef int rehearse_run_fn(struct cli *cli, struct rehearse *asked, uint64_t seed, struct rehearsed *done);
int rehearse_many(struct cli *cli, struct rehearse *asked, rehearse_run_fn *run);

#endif
