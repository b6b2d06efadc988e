/* The loop of kedge-link: one connection at a time to one coordinator, on behalf of one executor. */
#ifndef KEDGE_LINK_LINE_H
#define KEDGE_LINK_LINE_H

#include "proto/agent_line.h"

enum {
    /* Between two dials: anything from 0 to a limit that doubles from the first to the last of these (full jitter), so
     * that a fleet comes back spread out, and a single agent at once. */
    REDIAL_FIRST_MS = 100,
    REDIAL_LAST_MS = 10 * 1000,
    /* The handshake, from the connection to the executor's signature. */
    HANDSHAKE_MS = 10 * 1000,
    /* The coordinator answers every heartbeat, so silence of four of them is a dead line. */
    SILENCE_MS = 20 * 1000,
};

struct line_config {
    const char *address;
    struct agent_line_config agent;
};

/* The longest pause before dial number `attempt` (from 0). */
uint64_t redial_limit_ms(unsigned attempt);

/* Runs until the executor is gone or says so (0), or fails. Takes the descriptor. */
int line_run(const struct line_config *config, int executor_fd, struct error *err) _must_check_;

#endif
