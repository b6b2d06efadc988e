/* What an operator decides about one kedged before it starts: kedged.yaml, overruled by options of the command line.
 * Parsed strictly, judged, then constant. */
#ifndef KEDGE_DAEMON_CONFIG_H
#define KEDGE_DAEMON_CONFIG_H

#include "common/base/arena.h"
#include "common/plan/verify.h"

enum { CONFIG_KEYS_MAX = 64 };

struct daemon_config {
    const char *state;     /* the folder that kedged owns */
    const char *listen;    /* HOST:PORT for agents */
    const char *artifacts; /* HOST:PORT of the artifacts' HTTP server */
    struct public_key operators[CONFIG_KEYS_MAX], release_keys[CONFIG_KEYS_MAX];
    struct trust_anchors anchors; /* views of the two */
    bool check;                   /* only judge the configuration */
};

enum config_outcome { CONFIG_HELP = 1, CONFIG_VERSION };

/* From the words of the command line and the file that they name (or STATE/kedged.yaml, if it is there). Texts lie in
 * `arena` or in argv. -EINVAL with a sentence for a person; an outcome when nothing but that is wanted. */
int config_take(struct daemon_config *config, int argc, char **argv, struct arena *arena,
                struct error *err) _must_check_;

extern const char CONFIG_HELP_TEXT[];

#endif
