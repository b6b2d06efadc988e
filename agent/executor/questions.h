/* A round of questions: each gate's checks, asked of the prober or, for commands, of a process of the member's user, and
 * joined into one verdict. One round asks each once; asking again is the caller's. */
#ifndef KEDGE_EXECUTOR_QUESTIONS_H
#define KEDGE_EXECUTOR_QUESTIONS_H

#include "agent/executor/config.h"
#include "agent/executor/journal.h"
#include "agent/executor/prober_client.h"
#include "agent/executor/spec.h"
#include "proto/messages.h"

struct question_gate {
    const struct gate *gate;
    struct bytes bytes; /* its encoding */
};

/* For whom is asked. All of it must stay valid until `done` or cancel. */
struct asker {
    sd_event *loop;
    struct prober_client *prober;
    const struct agent_config *config;
    struct journal *journal;       /* of samples */
    const char *member;            /* samples stand under its name; NULL: no samples */
    const char *self;              /* left out where a check says so */
    struct beside beside;          /* as well as they */
    const struct start_spec *spec; /* commands run as this one was found; NULL: they are unknown */
    uint64_t log_offset;           /* where the output of `spec` stood when the member was started */
};

/* What came of a round; valid during the call. Evidence is one per gate, in the order that was asked. */
struct answers {
    struct verdict all;
    const struct evidence *evidence;
    size_t n_evidence;
    uint64_t age_us;   /* of the oldest */
    uint64_t limit_us; /* the smallest evidence age of the gates; 0: none */
};
typedef void (*questions_done)(void *context, const struct answers *answers);

struct questions;

/* `done` is called once from the loop, unless cancelled. `sample` says what to do with gates that have one. NULL when
 * memory is out. `gates` is copied, what it points to is not. */
struct questions *questions_ask(const struct asker *asker, const struct question_gate *gates, size_t n_gates,
                                enum sample_use sample, questions_done done, void *context) _must_check_;

/* One check alone: the done_if of a command. `check` is wrapped into a gate of its own. */
struct questions *questions_check(const struct asker *asker, const struct check *check, questions_done done,
                                  void *context) _must_check_;

/* The id that the member has at its system. */
struct questions *questions_instance(const struct asker *asker, const struct probe *probe,
                                     questions_done done, void *context) _must_check_;

/* Accepts NULL, returns NULL. */
struct questions *questions_cancel(struct questions *questions);

/* The lines of an output, or what the expression finds in each: its first group, else the whole match. -EINVAL, -ENOMEM. */
int output_items(const char *match, struct bytes output, struct arena *arena, const char *const **itemsp,
                 size_t *np) _must_check_;

/* A command of a signed document, ready to run: words with the found arguments put in, found environment and folder.
 * Checks user and program against agent.yaml; a program that is or lies in one of `own` (NULL: none, ends with
 * NULL) was signed with a release, or is a helper of this agent, and needs no word there. In `arena`. */
struct ready_command {
    const char *const *arguments;
    const char *const *environment;
    const char *directory;
    struct proc_identity ids;
};
int command_ready(const struct agent_config *config, const struct command *command,
                  const struct start_spec *spec, const char *const *own, struct arena *arena,
                  struct ready_command *out, struct error *err) _must_check_;

#endif
