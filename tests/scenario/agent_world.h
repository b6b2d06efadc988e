/* One node with the real executor, the real prober and one real service that somebody else had started: a charter, a
 * signed plan of one member, and the coordinator's part played by function calls. Nothing is simulated but the line. */
#ifndef KEDGE_TESTS_AGENT_WORLD_H
#define KEDGE_TESTS_AGENT_WORLD_H

#include "agent/executor/executor.h"
#include "common/plan/encoding.h"

enum { WORLD_STEPS = 6 };

struct agent_world {
    char folder[64], state[80], releases[256], store_folder[80];
    uint16_t port;
    int janitor_fd; /* its other end is held by a process that cleans up when this one is gone */
    pid_t janitor;
    struct key_pair operator_key, release_key;
    struct agent_config config;
    struct allowed_member allowed;
    struct arena *arena;
    struct executor *executor;

    /* what may be changed before world_sign */
    struct charter charter;
    struct charter_member charter_member;
    struct work_order order;
    struct lease lease;
    struct generation generations[2];
    struct step steps[WORLD_STEPS];
    struct row rows[WORLD_STEPS][12];
    struct gate gates[4]; /* 0 read-write, 1 read-only, 2 never yes, 3 sample */
    struct header header;
    bool lifts; /* the header lifts the quarantine of the release, which is: */
    struct digest release;
    struct manifest manifest;

    struct buffer charter_blob, order_bytes, manifest_blob, header_blob;
    struct digest gate_digests[4];
    struct bytes gate_views[4];
    struct digest path[KEDGE_MERKLE_DEPTH_MAX];
    size_t n_path;
    uint64_t expires_s, epoch;
};

/* Makes folders, keys and configurations; starts version 1.0.0 as a stranger. `target` is the release of the plan, e.g.
 * "1.1.0"; it is laid into place as if it had been staged. False: see standard error. */
bool world_init(struct agent_world *w, const char *store_releases, const char *target);
void world_deinit(struct agent_world *w);

/* The agent starts: journal, charter, prober. */
bool world_agent_start(struct agent_world *w, const char *prober);
void world_agent_stop(struct agent_world *w);

/* SIGKILL for everything that runs in the service's folder; returns how many there were. */
unsigned world_kill_services(struct agent_world *w);

/* As if the host had died and come back: nothing runs, and what the journal says of processes is of another boot. The
 * agent must be stopped. */
bool world_reboot(struct agent_world *w);

/* Sends the charter with adopt, and makes and signs the plan from the facts of now. */
bool world_adopt(struct agent_world *w);
void world_sign(struct agent_world *w);
bool world_bind_facts(struct agent_world *w);

/* Orders a step and runs the loop until it is concluded; the report is in the world's arena. NULL after 20 s. */
const struct report *world_order(struct agent_world *w, const char *step);

/* Sends the order as it stands, runs the loop for what follows at once. `spoil` may change the message first. */
void world_send(struct agent_world *w, const char *step,
                void (*spoil)(struct order_message *message, void *data), void *data);

/* Runs the loop until the outcome of a step is in the journal. */
const struct report *world_wait(struct agent_world *w, const char *step);

/* The same for whatever order it answers. */
const struct report *world_wait_any(struct agent_world *w, const char *step);

/* The store's repair-delay, in the arena; and another one, set by hand. */
const char *world_setting(struct agent_world *w);
void world_set(struct agent_world *w, const char *value);

/* How often the service's output says so: "serves" is a start, "stopped" a stop. */
unsigned world_count(const struct agent_world *w, const char *word);

/* True when it says so exactly n times; the service answers before it has said that it does, so this waits for n. */
bool world_counts(const struct agent_world *w, const char *word, unsigned n);

/* What answers on the port: "1.0.0 read-write", or "". In the arena. */
const char *world_answer(struct agent_world *w);

/* Runs the loop until something answers. */
bool world_answers(struct agent_world *w);

/* ---- between the files of the world ---- */

char *world_text(struct agent_world *w, const char *format, ...) _printf_(2, 3); /* in the arena */
bool world_complain(const struct error *err);                                    /* false, and says why */
uint16_t world_free_port(void);
bool world_write(const char *path, const char *content);
void world_start_stranger(struct agent_world *w, const char *program);
bool world_fill_store(struct agent_world *w);

#endif
