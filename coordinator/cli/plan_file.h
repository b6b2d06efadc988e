/* A plan file, read and checked (common/plan/verify.h) on this side of the control socket. Whose release key is believed is
 * the agents' to judge; --release-key makes this side judge, too. */
#ifndef KEDGE_CLI_PLAN_FILE_H
#define KEDGE_CLI_PLAN_FILE_H

#include "common/plan/verify.h"
#include "coordinator/cli/cli.h"

/* 0 and *outp (free with verified_plan_free; keeps nothing of the bytes), or a negative errno with a sentence. */
int plan_check(struct cli *cli, struct bytes file, struct verified_plan **outp) _must_check_;
/* `file` takes the bytes; the sentence begins with the path. */
int plan_read(struct cli *cli, const char *path, struct buffer *file,
              struct verified_plan **outp) _must_check_;

#endif
