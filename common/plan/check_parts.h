/* What the check_*.c files of this room share; see check.h. */
#ifndef KEDGE_PLAN_CHECK_PARTS_H
#define KEDGE_PLAN_CHECK_PARTS_H

#include "common/plan/check.h"

/* Each word is a text or a found one, the first an absolute path or found. No words: as found. */
int arguments_check(const struct argument *arguments, size_t n, struct error *err) _must_check_;

/* None of the words is what an action has put out. */
int no_output_check(const struct argument *arguments, size_t n, struct error *err) _must_check_;

/* NULL, or no words: refused. */
int command_check(const struct command *command, struct error *err) _must_check_;

int condition_check(const struct check *check, struct error *err) _must_check_;

/* `what`: "it asks". */
int gates_known(const struct gate_set *set, const struct digest *wanted, size_t n, const char *what,
                struct error *err) _must_check_;

/* "CLUSTER/NAME@NODE" of letters, digits and ._- : it becomes the name of a folder. */
int member_name_check(const char *member, const char *cluster, struct error *err) _must_check_;

#endif
