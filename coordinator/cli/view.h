/* How runs and members look to people. Every function appends lines to a buffer from a JSON document of kedged
 * (coordinator/control/README.md says what is in it); nothing is asked and nothing is printed here. */
#ifndef KEDGE_CLI_VIEW_H
#define KEDGE_CLI_VIEW_H

#include "coordinator/cli/client.h"

/* How much room there is: a live view leaves out what does not fit, `run show` leaves out nothing. */
enum view_size { VIEW_LIVE, VIEW_WHOLE };

/* The state of a run: head, waves, members, who waits and why, side actions, budget, verdict. */
void view_run(struct buffer *out, const json_t *run, int64_t now_ms, enum view_size size);

/* Why one member waits: headline, since when, what happens then, the gates that say no or unknown. Nothing when it does
 * not wait. */
void view_wait(struct buffer *out, const json_t *run, const json_t *member, int64_t now_ms,
               size_t n_gates_max);
bool view_waits(const json_t *member);

/* One line: "10:02:03  server@n2  stopped". */
void view_event(struct buffer *out, const json_t *run, const json_t *event);

/* Planned against actual, for a change board: pages of REPORT_LINES lines, none wider than REPORT_COLUMNS, each with the
 * digest of the plan. At most its headings have colours; the JSON is the run itself. */
enum { REPORT_LINES = 60, REPORT_COLUMNS = 100 };
void view_report(struct buffer *out, const json_t *run);

/* Lays `body` out on pages with heads; empties it. */
void report_pages(struct buffer *out, const json_t *run, struct buffer *body);

/* The table as lines. */
void view_table(struct buffer *out, const struct table *table);

/* "server@n1" of "shop/server@n1" when the run's cluster is shop. */
const char *view_member_name(const json_t *run, const char *name);

/* The members of a cluster, as a table on standard output. */
void cluster_print(struct cli *cli, const json_t *cluster);

/* The member of a run by its name, or NULL. */
const json_t *view_run_member(const json_t *run, const char *name);

/* "RUNNING", "PAUSED by ...", "ENDED: done": for heads and lists. */
void view_run_state(struct buffer *out, const json_t *run);
/* Each reason for which it is still paused, and what lets it go on; nothing when it is not. */
void view_still_paused(struct buffer *out, const json_t *run);

/* "failed 0 of 0, unreachable 1, ...", of the run and of each wave that has a budget of its own; without a line's end. */
void view_budget(struct buffer *out, const json_t *run);
enum colour view_run_colour(const json_t *run);

#endif
