/* kedged, the coordinator. Exit codes: 0 asked to end, 1 it could not go on (what is durable brings it back), 2 it could not
 * begin: bad options, a bad configuration, a port that is taken, a journal that is not what was written. */
#include "coordinator/daemon/daemon.h"

#include "common/base/log.h"

enum { CONFIG_ARENA_BYTES_MAX = 8 * 1024 * 1024, EXIT_CANNOT_BEGIN = 2 };

static int begin(int argc, char **argv, struct error *err) {
    _cleanup_(arena_freep) struct arena *arena = arena_new(CONFIG_ARENA_BYTES_MAX);
    struct daemon_config config = {0};
    int r = trust_init(err);
    if (r == 0)
        r = arena ? config_take(&config, argc, argv, arena, err) : error_errno(err, -ENOMEM, "kedged");
    if (r == CONFIG_HELP)
        return fputs(CONFIG_HELP_TEXT, stdout) < 0 ? -EIO : 0;
    if (r == CONFIG_VERSION)
        return puts("kedged " KEDGE_VERSION) < 0 ? -EIO : 0;
    if (r == 0 && config.check)
        return puts("configuration is fine") < 0 ? -EIO : 0;
    return r == 0 ? daemon_run(&config, err) : r;
}

int main(int argc, char **argv) {
    struct error err = {0};
    log_open("kedged");
    int r = begin(argc, argv, &err);
    if (r < 0)
        fprintf(stderr, "kedged: %s\n", err.text);
    return r < 0 ? EXIT_CANNOT_BEGIN : r;
}
