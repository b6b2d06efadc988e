/* The demonstration: the whole path with real processes in a temporary folder, driven by the same commands that an
 * operator types. It is a supervisor (as a service manager would be), a typist, and a sceptic who asks the services
 * themselves in the end. */
#ifndef KEDGE_DEMO_DEMO_H
#define KEDGE_DEMO_DEMO_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/limits.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    DEMO_MEMBERS_MAX = 15,
    DEMO_MEMBERS_MIN = 4, /* three writable ones are left while one is away */
    PROCESSES_MAX = 64,
    PROCESS_ARGUMENTS_MAX = 24,
    KILLS_MAX = 8,
};

/* ---- processes: started, started again when they end, stopped by pid ---- */

/* A point at which a process is killed by kedge-killpoint; one start each, the next start has the next. */
struct kill_point {
    const char *program; /* file name of the executable that is killed */
    const char *count;   /* "fdatasync" or "all" */
    unsigned at;
    bool after;
    const char *trigger;      /* a file that begins the count; NULL: from the start */
    const char *trigger_text; /* when it has this text; NULL: when it exists */
};

struct process {
    char name[32];
    char *argv[PROCESS_ARGUMENTS_MAX];
    char *folder;  /* working directory; NULL: as ours */
    char *log;     /* what it prints goes there */
    bool restarts; /* it is started again when it ends */
    pid_t pid;     /* 0: does not run */
    unsigned n_starts, n_killed;
    struct kill_point kills[KILLS_MAX];
    size_t n_kills;
};

struct demo {
    /* what was asked for */
    bool fail, kill, keep;
    unsigned n_members;
    /* where things are */
    char *folder;    /* the temporary one, absolute; the working directory */
    char *programs;  /* .../coordinator/demo of the build */
    char *kedge;     /* the CLI */
    char *killpoint; /* NULL: ptrace is not permitted here */
    unsigned ports[DEMO_MEMBERS_MAX], fleet_port, artifact_port;
    char operator_key[128], release_key[128], coordinator_key[128];
    char *run; /* id of the run; NULL before it */
    bool struck[DEMO_MEMBERS_MAX];
    unsigned n_struck; /* helpers that were killed without ptrace */
    /* what runs */
    struct process processes[PROCESSES_MAX];
    size_t n_processes;
    struct process *kedged, *load, *agents[DEMO_MEMBERS_MAX];
    pid_t command; /* the kedge command that runs now, and how it ended */
    int command_status;
    bool stopping;
    int signal; /* that asked us to end; 0: none */
    int64_t began_ms;
    bool terminal;
    struct error *err;
};

int64_t demo_now_ms(void); /* monotonic */

/* Never fails: a slot beyond PROCESSES_MAX is a bug, and aborts. `name` by format. */
struct process *process_add(struct demo *demo, const char *log, const char *format, ...) _printf_(3, 4);
void process_argument(struct process *process, const char *format, ...) _printf_(2, 3);
int process_start(struct demo *demo, struct process *process) _must_check_;

/* Looks after all processes for so long; returns early when something happened. -EINTR when a signal asks us to end,
 * -ECHILD with a sentence when a process ends again and again. */
int demo_pump(struct demo *demo, int timeout_ms) _must_check_;

/* Ends everything that we, or anything that we started, has started. Never fails. */
void demo_stop_all(struct demo *demo);

/* Pumps until the condition says 1; a negative value ends it. -ETIME with a sentence naming `what`. */
typedef int demo_condition(struct demo *demo);
int demo_wait(struct demo *demo, demo_condition *condition, const char *what, int seconds) _must_check_;

/* ---- typing ---- */

enum type_how {
    TYPE_QUIET,  /* not shown */
    TYPE_SHOWN,  /* the command is shown */
    TYPE_OUTPUT, /* the command and what it prints */
    TYPE_LIVE,   /* the command, and it has the terminal for itself */
};

/* Runs `kedge WORDS...` (split at blanks; no word of ours has one) while all processes are looked after. Returns its exit
 * code, or negative. `output`, if not NULL, gets what it printed; initialised by the caller. */
int demo_type(struct demo *demo, enum type_how how, struct buffer *output, const char *format,
              ...) _must_check_ _printf_(4, 5);

/* As above with --json, quietly; *outp is the document. A command that fails is an error, with what it printed. */
int demo_ask(struct demo *demo, json_t **outp, const char *format, ...) _must_check_ _printf_(3, 4);

void demo_say(const struct demo *demo, const char *format, ...) _printf_(2, 3);
void demo_head(struct demo *demo, const char *format, ...) _printf_(2, 3);

/* ---- the parts of the story ---- */

int demo_folder_make(struct demo *demo) _must_check_;
int demo_services_start(struct demo *demo) _must_check_; /* "what others installed", and its clients */
int demo_keys_make(struct demo *demo) _must_check_;
int demo_kedge_start(struct demo *demo) _must_check_; /* coordinator and agents */
int demo_cluster_adopt(struct demo *demo) _must_check_;
int demo_release_add(struct demo *demo) _must_check_;
int demo_kedged_wait(struct demo *demo) _must_check_; /* until it answers; it may just have been killed */
int demo_upgrade(struct demo *demo) _must_check_; /* plan, approve, apply, watch; the exit code of apply */

/* Looks at everything that can be looked at; 0 when all is as it should be, otherwise a sentence. */
int demo_verdict(struct demo *demo, int apply_code) _must_check_;

/* With --kill: where each process is killed; planned before it is started, begun when the run has. */
void demo_kills_plan_kedged(struct demo *demo);
void demo_kills_plan_agents(struct demo *demo);
int demo_kills_begin(struct demo *demo) _must_check_;
/* How many processes were killed so far. */
unsigned demo_kills_count(const struct demo *demo);
/* Where the killer of a process' start number `start` says what it did. */
void demo_kill_report_path(const struct demo *demo, const struct process *process, unsigned start, char *out,
                           size_t size);
/* Without ptrace; called again and again while the run goes on. */
void demo_kills_by_events(struct demo *demo);

/* GET http://127.0.0.1:PORT/PATH; the body, at most 64 KiB. False when nobody answers 200. */
bool demo_http_get(unsigned port, const char *path, struct buffer *out) _must_check_;
/* A line "name=value" of a text; false when it is not there. */
bool demo_value(const char *text, const char *name, char *out, size_t size) _must_check_;

/* Binds to n free ports of the loopback address, for TCP and UDP, all at once so that they differ. */
int demo_ports_find(unsigned *ports, size_t n, struct error *err) _must_check_;

#endif
