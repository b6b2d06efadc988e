/* People's keys, and the passphrases that some of them are sealed with. A passphrase comes from the file that
 * KEDGE_PASSPHRASE_FILE names, for who has no terminal; else it is asked for on the terminal, unseen. */
#ifndef KEDGE_CLI_PASSPHRASE_H
#define KEDGE_CLI_PASSPHRASE_H

#include "common/trust/keys.h"
#include "coordinator/cli/cli.h"

int cli_key_load(struct cli *cli, const char *path, struct key_pair *pair) _must_check_;

/* For the new key in `path`: asked twice. -EINVAL when it is too short, or the second is another. */
int cli_passphrase_new(struct cli *cli, const char *path, struct passphrase *out) _must_check_;

#endif
