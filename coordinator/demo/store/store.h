/* demo-store: a small replicated key-value store for demonstrations and fault tests (README.md says what it is not).
 * One process is one replica. What is shared lies in struct store under one mutex: the HTTP thread holds it for a whole
 * request, the two peer threads for single looks and changes, never while they wait for a peer. */
#ifndef KEDGE_DEMO_STORE_H
#define KEDGE_DEMO_STORE_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    PEERS_MAX = 31,
    ID_MAX = 15,
    ADDRESS_MAX = 31,
    KEY_MAX = 47,
    ENSEMBLE_MAX = 63,
    VALUE_MAX = 4096,
    FOLDER_MAX = 255,
    PROBLEM_MAX = 1024,
    PAGE_LINES = 256, /* of one answer of GET /keys; a line is shorter than 200 bytes */
    PING_MS = 200,
    SILENCE_MS = 600, /* three pings missed: the peer is down */
    SETTLE_MS = 300,  /* a younger write may still be on its way to us: not yet called missed */
    TIMEOUT_MS = 500, /* of a request to a peer */
    REPLAY_STEP_MS = 100,
};

struct config {
    char id[ID_MAX + 1], listen[ADDRESS_MAX + 1], data[FOLDER_MAX + 1];
    char peers[PEERS_MAX][ADDRESS_MAX + 1]; /* all replicas; the own address may stand among them */
    size_t n_peers;
    bool sync;
    unsigned replay_ms; /* a start takes so long, as if there were much to replay */
    bool replay_silent; /* and says nothing meanwhile, as if it hung */
};

/* From `crc` on just as in the log. */
struct record {
    uint64_t number;     /* of the log, from 1 */
    uint64_t arrived_ms; /* 0: replayed */
    uint32_t crc;        /* of all that follows */
    uint32_t value_length;
    uint64_t sequence; /* the writer's; the highest wins */
    uint64_t time_ms;  /* wall clock of the replica that took the write; copies keep it */
    char key[KEY_MAX + 1];
    char ensemble[ENSEMBLE_MAX + 1]; /* ids of the replicas that should hold the key: "s1,s2,s3" */
    char value[];
};

struct records {
    int folder_fd, fd;
    unsigned format; /* of the data: 1, or 2 after `finalize` */
    bool sync;
    off_t end;
    uint64_t born_ms;          /* from the cookie: what is older was never promised to this replica */
    void *tree;                /* by key */
    struct record **by_number; /* NULL: a later entry of the log replaced it */
    size_t n_numbers, n_allocated, n_keys;
};

struct setting {
    char name[16], value[8];
    uint64_t version;
};

struct peer {
    char address[ADDRESS_MAX + 1];
    struct sockaddr_in to;
    char id[ID_MAX + 1], mode[12], instance[17]; /* as it said last; id "-" until then */
    uint64_t heard_ms;                           /* 0: never */
    uint64_t next_number;                        /* of its log, not yet compared with ours */
    bool compared;                               /* its whole log since its start and ours */
    char (*missed)[KEY_MAX + 1];                 /* keys that it holds for us */
    size_t n_missed, n_allocated;
};

struct store {
    struct config config;
    pthread_mutex_t lock;
    struct records records;
    struct setting settings[2];
    struct peer peers[PEERS_MAX];
    size_t n_peers;
    char instance[17];
    uint64_t started_ms;
    bool read_only, stopping;
    const char *read_only_by; /* start-flag, request, disk or - */
    int ping_fd;
};

extern const char store_version[]; /* main.c, the only file that is compiled for each version */

/* config.c: 0, or -1 with a sentence that names file and line. */
int config_read(struct config *config, const char *path, char problem[static PROBLEM_MAX]);
bool word_is_valid(const char *word, size_t max); /* 1..max of [A-Za-z0-9._-] */
bool address_parse(const char *text, struct sockaddr_in *address);

/* records.c. Opens or makes the folder and replays the log: 0, -1 refused, -2 environment (`problem` says it). */
int records_open(struct records *records, const struct config *config, char problem[static PROBLEM_MAX]);
struct record *records_find(const struct records *records, const char *key);
struct record *record_new(size_t value_length);
struct record *record_load(const char *bytes, size_t n, bool *damaged); /* NULL: incomplete or damaged */
size_t record_size(const struct record *record);                        /* in the log, from `crc` on */
int records_append(struct records *records,
                   struct record *record); /* takes it; -errno: it is freed, not stored */
int file_replace(int folder_fd, const char *name, const char *text); /* whole or not at all; 0 or -errno */
int record_file_read(int folder_fd, const char *name, char *text, size_t size); /* length or -errno */
void *must_grow(void *memory, size_t size);
uint64_t now_ms(void); /* monotonic */
uint64_t store_wall_ms(void);

/* peers.c. All but peers_start are called with the lock held. */
int peers_start(struct store *store); /* 0 or -errno */
void peers_tell(struct store *store); /* our state, to all, now; after `stopping` that is a goodbye */
const char *peer_mode(const struct store *store,
                      const struct peer *peer); /* unknown down read-only read-write */
const char *store_mode(const struct store *store);
bool ensemble_has(const char *ensemble, const char *id);
void settings_load(struct store *store);
struct setting *setting_find(struct store *store, const char *name);
int setting_put(struct store *store, struct setting *setting, uint64_t version, const char *value);

/* The highest format of data that this version starts on; 1.0 knows 1 only. */
unsigned format_max(void);
/* Raises the format of the data, for good: 0, -EINVAL for one that is unknown or lower, -errno of the disk. */
int format_raise(struct records *records, unsigned format);

/* setting.c: the exit code of `get ADDRESS NAME`, `set ADDRESS NAME VALUE` and `finalize ADDRESS FORMAT`. */
int setting_command(int n, char **words);

/* http.c */
struct MHD_Daemon;
struct MHD_Daemon *http_start(struct store *store, int listening_fd);
void http_stop(struct MHD_Daemon *daemon, int listening_fd); /* what has begun is finished, within 1 s */

#endif
